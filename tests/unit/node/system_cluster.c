/* See system_cluster.h. */
#include "tests/unit/node/system_cluster.h"

#include <stdarg.h>

struct daemon_node daemons[DAEMONS_MAX];

const char *with_port(const char *text)
{
    static char texts[4][512];
    static unsigned next;
    char *out = texts[next++ % 4];
    size_t len = 0;
    for (; *text; text++)
        len += (size_t)snprintf(out + len, sizeof texts[0] - len, *text == '@' ? "%d" : "%c",
                                *text == '@' ? fixture_port() : *text);
    return out;
}

void daemons_setup(void)
{
    char state[96];
    fixture_make_dir();
    snprintf(state, sizeof state, "%s/state", fixture.dir);
    setenv("XDG_STATE_HOME", state, 1);
}

void daemons_teardown(void)
{
    for (int i = 0; i < DAEMONS_MAX; i++)
        daemon_close(i);
    fixture_remove_dir();
}

void daemon_open(int i, ...)
{
    struct daemon_node *d = &daemons[i];
    char seeds[64];
    snprintf(d->dir, sizeof d->dir, "%s/node%d", fixture.dir, i + 1);
    snprintf(d->listen, sizeof d->listen, "127.0.0.%d:%d", i + 1, fixture_port());
    snprintf(d->rpc_address, sizeof d->rpc_address, "127.0.0.%d", i + 1);
    snprintf(seeds, sizeof seeds, "127.0.0.1:%d", fixture_port());
    struct node_option options[24] = {FIXTURE_PATIENCE,
                                      {"seeds", seeds},
                                      {"cluster_name", "unit"},
                                      {"dc", "lab1"},
                                      {"rpc_address", d->rpc_address},
                                      {"native_transport_port", "0"}};
    size_t count = 10;
    va_list args;
    va_start(args, i);
    for (const char *name; (name = va_arg(args, const char *));) {
        options[count].name = name;
        options[count++].value = va_arg(args, const char *);
    }
    va_end(args);
    struct node_config config = {.dir = d->dir, .options = options, .option_count = count};
    struct nodei_daemon hooks = {.listen = d->listen};
    OK(nodei_open_configured(&config, &hooks, &d->node, &fixture.err));
    OK(node_session_new(d->node, &d->session, &fixture.err));
    OK(node_wait_ready(d->session, &fixture.err));
}

void daemon_close(int i)
{
    struct daemon_node *d = &daemons[i];
    node_session_free(d->session);
    if (d->node)
        node_release(d->node);
    d->session = NULL;
    d->node = NULL;
}

struct state {
    size_t alive;
    bool has_keyspaces;
};

static void look(void *ctx, struct repl *repl)
{
    struct state *state = ctx;
    const struct ring_state *ring = repl_ring(repl);
    *state = (struct state){0};
    for (size_t i = 0; i < ring->member_count; i++)
        state->alive += repl_is_alive(repl, ring->members[i].host_id);
    state->has_keyspaces = base_schema_table(repl_schema(repl), BASE_SLICE_LIT("system_traces"),
                                             BASE_SLICE_LIT("events"));
}

static struct state state_of(int i)
{
    struct state state;
    OK(nodei_on_loop(daemons[i].node, look, &state, &fixture.err));
    return state;
}

void daemons_settle(int count)
{
    for (int i = 0; i < count; i++) {
        UNTIL(state_of(i).alive == (size_t)count, "node%d: %zu alive", i + 1, state_of(i).alive);
        UNTIL(state_of(i).has_keyspaces, "node%d: no system keyspaces", i + 1);
    }
}

void daemons_one(void)
{
    daemons_setup();
    daemon_open(0, NULL);
    daemons_settle(1);
}

int daemon_try_cql(int i, const char *text)
{
    struct base_buf result;
    base_buf_init(&result, 65536);
    fixture.err = (struct base_err){0};
    int rc = node_cql(daemons[i].session, base_slice_str(text), &result, &fixture.err);
    base_buf_fini(&result);
    return rc;
}

void daemon_cql(int i, const char *text)
{
    ck_assert_msg(daemon_try_cql(i, text) == BASE_OK, "%s: %s", text, fixture.err.text);
}
