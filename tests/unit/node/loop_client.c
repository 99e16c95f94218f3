/* See loop_client.h. */
#include "tests/unit/node/loop_client.h"

#include <unistd.h>

#include "node/cql_admin.h"

struct run {
    struct loop_client *c;
    const char *text;
    struct base_arena arena, exec_arena;
    struct base_schema *schema;
    struct cql_exec exec;
    _Atomic bool done;
};
static struct base_buf rows;

static void init_client(void *ctx, struct repl *repl)
{
    struct loop_client *c = ctx;
    (void)repl;
    nodei_client_init_on_loop(&c->client, daemons[c->daemon].node);
}

void loop_client_init(struct loop_client *c, int daemon)
{
    c->daemon = daemon;
    OK(nodei_on_loop(daemons[daemon].node, init_client, c, &fixture.err));
}

static void exec_done(struct cql_exec *exec)
{
    BASE_CONTAINER(exec, struct run, exec)->done = true;
}

static void start(void *ctx, struct repl *repl)
{
    struct run *run = ctx;
    struct nodei_client *client = &run->c->client;
    struct cql_statement *statement;
    struct cql_prepared *prepared;
    (void)repl;
    run->schema = node_schema(client->node);
    const struct cql_context context =
        nodei_cql_context(client->node, client->keyspace, run->schema);
    run->exec.rc = cql_parse(&run->arena, base_slice_str(run->text), &statement, &run->exec.err);
    if (run->exec.rc == BASE_OK)
        run->exec.rc = cql_prepare(&run->arena, statement, &context, &prepared, &run->exec.err);
    if (run->exec.rc != BASE_OK) {
        run->done = true;
        return;
    }
    run->exec.prepared = prepared;
    run->exec.arena = &run->exec_arena;
    run->exec.ports = &client->ports;
    run->exec.consistency = NODE_CL_ONE;
    run->exec.serial_consistency = NODE_CL_SERIAL;
    run->exec.keyspace = base_slice_str(client->keyspace);
    run->exec.done = exec_done;
    run->exec.tracing = client->trace != NULL;
    if (cql_exec_start(&run->exec) == CQL_DONE)
        run->done = true;
}

static void put_rows(const struct cql_result *result)
{
    size_t at = 0;
    for (uint32_t r = 0; result->kind == CQL_RESULT_ROWS && r < result->row_count; r++) {
        for (size_t i = 0; i < result->column_count; i++) {
            int32_t len = (int32_t)base_get_be32(result->rows.data + at);
            at += 4;
            if (i)
                OK(base_buf_put_u8(&rows, '|'));
            if (len < 0)
                continue;
            OK(base_value_to_text(result->columns[i].type,
                                  base_slice(result->rows.data + at, (size_t)len), &rows,
                                  &fixture.err));
            at += (size_t)len;
        }
        OK(base_buf_put_u8(&rows, '\n'));
    }
}

int loop_try(struct loop_client *c, const char *text)
{
    struct run run = {.c = c, .text = text};
    base_arena_init(&run.arena);
    base_arena_init(&run.exec_arena);
    cql_result_init(&run.exec.result, 64 << 20);
    fixture.err = (struct base_err){0};
    OK(nodei_on_loop(daemons[c->daemon].node, start, &run, &fixture.err));
    UNTIL(run.done, "%s: no answer", text);
    base_buf_fini(&rows);
    base_buf_init(&rows, 64 << 20);
    if (run.exec.rc == BASE_OK)
        put_rows(&run.exec.result);
    OK(base_buf_put_u8(&rows, 0));
    fixture.err = run.exec.err;
    cql_result_fini(&run.exec.result);
    base_arena_fini(&run.arena);
    base_arena_fini(&run.exec_arena);
    base_schema_release(run.schema);
    return run.exec.rc;
}

const char *loop_run(struct loop_client *c, const char *text)
{
    int rc = loop_try(c, text);
    ck_assert_msg(rc == BASE_OK, "%s: %s", text, fixture.err.text);
    return (const char *)rows.data;
}

struct login_call {
    struct nodei_login login;
    struct node *node;
    _Atomic bool done;
};

static void login_done(struct nodei_login *login)
{
    struct login_call *call = login->ctx;
    call->done = true;
}

static void login_start(void *ctx, struct repl *repl)
{
    struct login_call *call = ctx;
    (void)repl;
    nodei_login_start(call->node, &call->login);
}

int loop_login(int daemon, const char *user, const char *password, bool from_loopback,
               struct nodei_login *out)
{
    struct login_call call = {.node = daemons[daemon].node,
                              .login = {.from_loopback = from_loopback, .done = login_done}};
    call.login.ctx = &call;
    snprintf(call.login.user, sizeof call.login.user, "%s", user);
    snprintf(call.login.password, sizeof call.login.password, "%s", password);
    OK(nodei_on_loop(call.node, login_start, &call, &fixture.err));
    UNTIL(call.done, "login of %s: no answer", user);
    for (size_t i = 0; i < sizeof call.login.password; i++)
        ck_assert_int_eq(call.login.password[i], 0);
    fixture.err = call.login.err;
    if (out)
        *out = call.login;
    return call.login.rc;
}
