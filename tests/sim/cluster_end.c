/* The convergence phase: after healing, in this order: every request ends; the log, liveness, hints
 * and batches come to rest; (where no process ended: replicas hold what was acknowledged, without
 * any read;) everything is read at ALL and judged; replicas hold the same bytes, and nobody else
 * holds any; the log has what it must; nothing waits; every process ends well. */
#include "tests/sim/cluster_end.h"

#include <inttypes.h>
#include <stdio.h>

#define SERVICE_MAX_NS (120 * CLUSTER_S)
#define SETTLE_MAX_NS (600 * CLUSTER_S)
#define LOOK_EVERY_NS (500 * CLUSTER_MS)

/* Coming to rest. */

static bool is_empty(struct cluster_node *node, struct base_uuid table)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *stored, *live;
    struct base_partition partition;
    struct base_item item;
    struct base_err err = {0};
    struct base_merge_options options = {
        .purge = {.now_s = base_clock_wall_s(&node->clock.base), .gc_before_s = INT64_MIN}};
    cmd.table_id = table;
    cmd.slices = base_slices_all;
    if (cluster_store_read(node, &cmd, &stored, &err) != BASE_OK)
        cluster_fail(node->world, "%s: its own table cannot be read: %s", node->address, err.text);
    CL_OK(base_merge_open(&stored, 1, &options, &live, &err));
    bool empty = true;
    while (empty) {
        CL_OK(live->ops->partition(live, &partition, &err));
        if (!partition.pkey.len)
            break;
        CL_OK(live->ops->next(live, &item, &err));
        empty = item.kind == BASE_ITEM_END && !partition.static_row.len;
    }
    live->ops->close(live);
    return empty;
}

/* What is not at rest yet, or NULL. */
static const char *unrest(struct cluster_world *w, struct cl_load *load, size_t *which)
{
    static char text[64];
    if (w->net.on_the_way)
        return "late messages to it are on the way";
    for (size_t i = 0; i < w->node_count; i++) {
        struct cluster_node *node = &w->nodes[i];
        *which = i;
        if (!node->guest && repl_epoch(node->repl) !=
                                load->log.count) /* a guest asks when it has something to do */
            return "it does not know the whole log";
        for (size_t k = 0; k < w->options.nodes; k++) {
            if (repl_is_alive(node->repl, w->nodes[k].host_id) ||
                (node->guest && ring_member_find(repl_ring(node->repl), w->nodes[k].host_id) < 0))
                continue;
            snprintf(text, sizeof text, "it takes %s for dead", w->nodes[k].address);
            return text;
        }
        if (!repl_is_idle(node->repl))
            return "requests are under way";
        if (node->guest)
            continue;
        if (!is_empty(node, repl_hints_table_id))
            return "it keeps hints";
        if (!is_empty(node, repl_batches_table_id))
            return "it keeps batches";
    }
    return NULL;
}

static void settle(struct cluster_world *w, struct cl_load *load)
{
    size_t which = 0;
    const char *what = NULL;
    for (uint64_t waited = 0; waited <= SETTLE_MAX_NS; waited += LOOK_EVERY_NS) {
        what = unrest(w, load, &which);
        if (!what)
            return;
        cluster_run(w, LOOK_EVERY_NS);
    }
    cluster_fail(w, "after healing %s does not come to rest: %s", w->nodes[which].address, what);
}

static bool guests_know(const struct cluster_world *w)
{
    for (size_t i = w->options.nodes; i < w->node_count; i++)
        if (cluster_node_is_up(&w->nodes[i]) && repl_epoch(w->nodes[i].repl) == 0)
            return false;
    return true;
}

void ce_await_service(struct cluster_world *w, struct cl_load *load)
{
    size_t which = 0;
    const char *what = "";
    for (uint64_t waited = 0; waited <= SERVICE_MAX_NS; waited += LOOK_EVERY_NS) {
        if (cluster_all_members_serve(w, NULL) && guests_know(w) &&
            !(what = unrest(w, load, &which)))
            return;
        cluster_run(w, LOOK_EVERY_NS);
    }
    cluster_fail(w, "the cluster does not begin to serve: %s %s", w->nodes[which].address, what);
}

/* Replicas. */

static void put_row(struct base_buf *out, struct base_slice encoded)
{
    struct base_row row;
    struct base_cell cell;
    BASE_ASSERT(base_row_decode(encoded, &row));
    if (row.flags & BASE_ROW_LIVENESS)
        CL_OK(base_buf_printf(out, " live %" PRId64 " ttl %d until %" PRId64, row.row_ts, row.ttl,
                              row.expires_s));
    if (row.flags & BASE_ROW_DELETION)
        CL_OK(base_buf_printf(out, " deleted %" PRId64 " %" PRId64, row.deletion.ts,
                              row.deletion.local_s));
    struct base_cells it = base_cells_begin(&row);
    while (base_cells_next(&it, &cell) > 0)
        CL_OK(base_buf_printf(out, " %u: flags %x %" PRId64 " ttl %d %" PRId64 " %zu %016" PRIx64,
                              cell.column, (unsigned)(cell.flags & ~BASE_CELL_OWN_TS), cell.ts,
                              cell.ttl, cell.local_s, cell.value.len,
                              cell.value.len >= 8 ? base_get_be64(cell.value.data) : 0));
    CL_OK(base_buf_printf(out, "\n"));
}

static void put_items(struct base_source *source, struct base_buf *out)
{
    struct base_item item;
    struct base_err err = {0};
    do {
        CL_OK(source->ops->next(source, &item, &err));
        for (size_t i = 0; i < item.ckey.len && item.kind != BASE_ITEM_END; i++)
            CL_OK(base_buf_printf(out, "%02x", item.ckey.data[i]));
        if (item.kind == BASE_ITEM_ROW)
            put_row(out, item.row);
        else if (item.kind == BASE_ITEM_MARKER)
            CL_OK(base_buf_printf(
                out, " before %" PRId64 " %" PRId64 " after %" PRId64 " %" PRId64 "\n",
                item.before.ts, item.before.local_s, item.after.ts, item.after.local_s));
    } while (item.kind != BASE_ITEM_END);
}

/* What a node holds of one partition, as text: tombstones and all. Empty: nothing. now_s: when all
 * that may expire has: then it does not matter who has stored it as a tombstone already. */
static void contents(struct cluster_node *node, const struct cm_table *t, unsigned partition,
                     int64_t now_s, struct base_buf *out)
{
    /* What is as old as the table's TRUNCATE is no content: the store puts a deletion under a
     * partition whose files may have data from before it, and shows an old range deletion that came
     * late. */
    const struct base_table *table = base_schema_table_by_id(repl_schema(node->repl), t->id);
    bool truncated = table && table->truncated_us != INT64_MIN;
    struct base_merge_options options = {
        .keep_tombstones = true,
        .purge = {.now_s = now_s,
                  .gc_before_s = truncated ? INT64_MAX : INT64_MIN,
                  .purgeable_ts = truncated ? table->truncated_us + 1 : INT64_MIN}};
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *stored, *source;
    struct base_partition head;
    struct base_buf pkey;
    struct base_err err = {0};
    base_buf_init(&pkey, 1024);
    cl_put_pkey(t, partition, &pkey);
    cmd.table_id = t->id;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = base_slices_all;
    base_buf_reset(out);
    if (cluster_store_read(node, &cmd, &stored, &err) != BASE_OK)
        cluster_fail(node->world, "%s: its own table cannot be read: %s", node->address, err.text);
    CL_OK(base_merge_open(&stored, 1, &options, &source, &err));
    CL_OK(source->ops->partition(source, &head, &err));
    if (head.pkey.len) {
        if (!base_deletion_is_none(head.deletion))
            CL_OK(base_buf_printf(out, "partition deleted %" PRId64 " %" PRId64 "\n",
                                  head.deletion.ts, head.deletion.local_s));
        if (head.static_row.len)
            put_row(out, head.static_row);
        put_items(source, out);
    }
    source->ops->close(source);
    base_buf_fini(&pkey);
}

static struct cluster_node *node_of(struct cluster_world *w, struct base_uuid host_id)
{
    for (size_t i = 0; i < w->options.nodes; i++)
        if (base_uuid_equal(w->nodes[i].host_id, host_id))
            return &w->nodes[i];
    cluster_fail(w, "a range is owned by nobody we know");
}

static bool owns(const struct ring_range *range, const struct ring_state *ring,
                 struct base_uuid host_id)
{
    for (size_t i = 0; i < range->write.count; i++)
        if (base_uuid_equal(ring->members[range->write.members[i]].host_id, host_id))
            return true;
    return false;
}

static void compare_partition(struct cluster_world *w, const struct ring_state *ring,
                              const struct ring_placement *placement, const struct cm_table *t,
                              unsigned partition)
{
    struct base_buf first, other, pkey;
    base_buf_init(&first, 1u << 24);
    base_buf_init(&other, 1u << 24);
    base_buf_init(&pkey, 1024);
    cl_put_pkey(t, partition, &pkey);
    const struct ring_range *range = ring_placement_find(placement, base_token_get(pkey.data));
    struct cluster_node *one = node_of(w, ring->members[range->write.members[0]].host_id);
    int64_t now_s = base_clock_wall_s(&one->clock.base) + 1000000;
    contents(one, t, partition, now_s, &first);
    for (size_t i = 0; i < w->options.nodes; i++) {
        struct cluster_node *node = &w->nodes[i];
        contents(node, t, partition, now_s, &other);
        bool owner = owns(range, ring, node->host_id);
        if (!owner && other.len)
            cluster_fail(w, "%s holds rows of %s.%s partition %u and does not own it",
                         node->address, t->keyspace, t->name, partition);
        if (owner && !base_slice_equal(base_buf_view(&first), base_buf_view(&other)))
            cluster_fail(w, "%s and %s do not agree on %s.%s partition %u:\n%.*s--- and ---\n%.*s",
                         one->address, node->address, t->keyspace, t->name, partition,
                         BASE_SLICE_ARG(base_buf_view(&first)),
                         BASE_SLICE_ARG(base_buf_view(&other)));
    }
    base_buf_fini(&first);
    base_buf_fini(&other);
    base_buf_fini(&pkey);
}

static void compare_replicas(struct cluster_world *w, struct cl_load *load)
{
    for (const struct cm_table *t = load->model.tables; t; t = t->next) {
        const struct base_keyspace *ks =
            base_schema_keyspace(load->log.schema, base_slice_str(t->keyspace));
        struct ring_placement *placement;
        if (!ks || !base_schema_table_by_id(load->log.schema, t->id))
            continue;
        CL_OK(ring_placement_new(load->log.ring, &ks->replication, w->nodes[0].host_id, &placement,
                                 NULL));
        for (unsigned p = 0; p < t->partition_count; p++)
            compare_partition(w, load->log.ring, placement, t, p);
        ring_placement_release(placement);
    }
}

/* The end. */

static void check_quiet(struct cluster_world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct cluster_node *node = &w->nodes[i];
        if (node->ops)
            cluster_fail(w, "%s: an operation of its store is under way when nothing is",
                         node->address);
        if (!repl_is_idle(node->repl))
            cluster_fail(w, "%s: requests are under way when nobody asks", node->address);
        const struct repl_stats *stats = repl_get_stats(node->repl);
        if (stats->requests_in_flight || stats->requests_in_flight_bytes)
            cluster_fail(w, "%s: it counts %" PRIu64 " requests in flight when there is none",
                         node->address, stats->requests_in_flight);
    }
}

static void check_inbounds(struct cluster_world *w)
{
    size_t kept = 0;
    for (int tries = 0; tries < 20;
         tries++) { /* gossip may be under way at any one moment, not always */
        kept = 0;
        for (size_t i = 0; i < w->node_count; i++)
            kept += w->nodes[i].inbound_count;
        if (!kept)
            return;
        cluster_run(w, 77 * CLUSTER_MS);
    }
    cluster_fail(w, "%zu requests of peers were neither answered nor dropped", kept);
}

void ce_converge(struct cluster_world *w, struct cl_load *load, bool processes_ended)
{
    if (!cluster_run_until(w, cl_is_idle, load, 60 * CLUSTER_S))
        cluster_fail(w, "after healing a client's request does not end");
    ce_await_service(w, load);
    settle(w, load);
    if (!processes_ended)
        cl_check_replicas(load);
    cl_check_everything(load);
    settle(w, load);
    compare_replicas(w, load);
    cl_check_log(load);
    check_inbounds(w);
    check_quiet(w);
    for (size_t i = 0; i < w->node_count; i++)
        cluster_node_stop(&w->nodes[i]);
}
