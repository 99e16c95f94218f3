/* See log_lib.h. */
#include "tests/unit/replication/log_lib.h"

#include <stdio.h>

struct log_world lw;

static void watch_append(struct cluster_node *node, uint64_t epoch, struct base_slice entry)
{
    BASE_ASSERT(epoch > 0 && epoch < LOG_EPOCHS_MAX);
    struct base_buf *known = &lw.entries[epoch];
    if (known->len && !base_slice_equal(base_buf_view(known), entry))
        cluster_fail(&lw.w, "node %zu appends another entry %llu than somebody before", node->index,
                     (unsigned long long)epoch);
    if (known->len)
        return;
    base_buf_init(known, 1u << 20);
    if (base_buf_put_slice(known, entry) != BASE_OK)
        abort();
    if (epoch > lw.greatest)
        lw.greatest = epoch;
}

/* Also those that take a checkpoint over. */
static void watch_state(struct cluster_node *node, uint64_t epoch, uint64_t digest)
{
    BASE_ASSERT(epoch > 0 && epoch < LOG_EPOCHS_MAX);
    if (!lw.digests[epoch])
        lw.digests[epoch] = digest;
    if (lw.digests[epoch] != digest)
        cluster_fail(&lw.w, "node %zu has another state at %llu than somebody before", node->index,
                     (unsigned long long)epoch);
}

void log_world_begin(const struct cluster_options *options, bool formed)
{
    memset(&lw, 0, sizeof lw);
    base_arena_init(&lw.arena);
    cluster_world_init(&lw.w, options, NULL);
    lw.w.on_append = watch_append;
    lw.w.on_state = watch_state;
    if (formed)
        cluster_world_form(&lw.w);
}

void log_world_end(void)
{
    cluster_world_fini(&lw.w);
    for (size_t i = 0; i < LOG_EPOCHS_MAX; i++)
        base_buf_fini(&lw.entries[i]);
    base_arena_fini(&lw.arena);
}

void log_start(size_t node)
{
    struct base_err err;
    if (!cluster_node_start(&lw.w.nodes[node], &err))
        cluster_fail(&lw.w, "node %zu does not start: %s", node, err.text);
}

void log_start_all(void)
{
    for (size_t i = 0; i < lw.w.node_count; i++)
        log_start(i);
}

static void change_done(struct repl_change *change)
{
    struct log_change *c = change->ctx;
    if (c->done)
        cluster_fail(&lw.w, "%s is answered twice", c->name);
    c->done = true;
    c->ended_ns = lw.w.now_ns;
    if (change->outcome.rc != BASE_OK && !change->outcome.err.text[0])
        cluster_fail(&lw.w, "%s: %s, and no text", c->name, base_err_words(change->outcome.rc));
}

struct log_change *log_change(size_t node, const struct base_change *what)
{
    BASE_ASSERT(lw.change_count < LOG_CHANGES_MAX);
    struct log_change *c = &lw.changes[lw.change_count++];
    c->what = *what;
    c->node = node;
    snprintf(c->name, sizeof c->name, "change %zu", lw.change_count);
    c->asked_ns = lw.w.now_ns;
    c->change = (struct repl_change){.change = &c->what, .done = change_done, .ctx = c};
    cluster_node_sync_clock(&lw.w.nodes[node]);
    repl_change_start(lw.w.nodes[node].repl, &c->change);
    return c;
}

struct log_change *log_create(size_t node, const char *name)
{
    char *kept = base_arena_strdup(&lw.arena, base_slice_str(name));
    struct base_change what =
        make_create_keyspace(&lw.arena, repl_schema(lw.w.nodes[node].repl), kept);
    struct log_change *c = log_change(node, &what);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->creates = true;
    return c;
}

static bool is_done(struct cluster_world *w, void *ctx)
{
    (void)w;
    return ((const struct log_change *)ctx)->done;
}

void log_run_until_done(const struct log_change *change)
{
    if (!cluster_run_until(&lw.w, is_done, (void *)(uintptr_t)change, 60 * CLUSTER_S))
        cluster_fail(&lw.w, "%s waits for ever", change->name);
}

static bool all_serve(struct cluster_world *w, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < w->node_count; i++)
        if (cluster_node_is_up(&w->nodes[i]) && repl_stage(w->nodes[i].repl) != REPL_MEMBER)
            return false;
    return true;
}

static _Noreturn void fail_with_stages(const char *what)
{
    for (size_t i = 0; i < lw.w.node_count; i++)
        if (cluster_node_is_up(&lw.w.nodes[i]))
            fprintf(stderr, "node %zu: epoch %llu: %s\n", i, (unsigned long long)log_epoch(i),
                    repl_stage_text(lw.w.nodes[i].repl));
    cluster_fail(&lw.w, "%s", what);
}

void log_run_until_all_serve(uint64_t max_ns)
{
    if (!cluster_run_until(&lw.w, all_serve, NULL, max_ns))
        fail_with_stages("not all serve");
}

static bool even(struct cluster_world *w, void *ctx)
{
    (void)ctx;
    uint64_t epoch = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        if (!cluster_node_is_up(&w->nodes[i]))
            continue;
        if (epoch && repl_epoch(w->nodes[i].repl) != epoch)
            return false;
        epoch = repl_epoch(w->nodes[i].repl);
    }
    return true;
}

void log_run_until_even(uint64_t max_ns)
{
    if (!cluster_run_until(&lw.w, even, NULL, max_ns))
        fail_with_stages("the logs do not meet");
}

bool log_has_keyspace(size_t node, const char *name)
{
    return base_schema_keyspace(repl_schema(lw.w.nodes[node].repl), base_slice_str(name)) != NULL;
}

uint64_t log_epoch(size_t node)
{
    return repl_epoch(lw.w.nodes[node].repl);
}

void log_isolate(size_t node, bool isolated)
{
    for (size_t i = 0; i < lw.w.node_count; i++)
        if (i != node) {
            cluster_link(&lw.w, node, i)->blocked = isolated;
            cluster_link(&lw.w, i, node)->blocked = isolated;
        }
}
