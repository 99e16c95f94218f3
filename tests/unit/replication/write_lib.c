#include "tests/unit/replication/write_lib.h"

#include "base/key.h"
#include "tests/lib/make_table.h"

struct cluster_world w;
const struct base_table *wt_table;
struct repl_outcome wt_outcome;
static struct base_arena arena;

static struct base_keyspace *make_keyspace(const struct wt_options *o)
{
    static char factors[8][16], names[8][16];
    struct base_option *options = base_arena_alloc(&arena, 9 * sizeof *options);
    struct base_keyspace *ks = base_arena_zalloc(&arena, sizeof *ks);
    unsigned dcs = o->dcs > 1 ? o->dcs : 1;
    size_t n = 0;
    ck_assert(options && ks && dcs <= 8);
    options[n++] = (struct base_option){
        BASE_SLICE_LIT("class"),
        base_slice_str(o->dcs > 1 ? "NetworkTopologyStrategy" : "SimpleStrategy")};
    for (unsigned i = 0; i < dcs; i++) {
        snprintf(factors[i], sizeof factors[i], "%u", o->rf);
        snprintf(names[i], sizeof names[i], "dc%u", i + 1);
        options[n++] =
            (struct base_option){base_slice_str(o->dcs > 1 ? names[i] : "replication_factor"),
                                 base_slice_str(factors[i])};
    }
    *ks = (struct base_keyspace){.name = BASE_SLICE_LIT("wt"),
                                 .replication = {options, n},
                                 .durable_writes = !o->volatile_writes};
    return ks;
}

void wt_init(const struct wt_options *o)
{
    struct cluster_options options;
    cluster_options_init(&options);
    options.nodes = o->nodes;
    options.guests = o->guests;
    options.dcs = o->dcs ? o->dcs : 1;
    options.seed = o->seed ? o->seed : 1;
    options.late_max_ns = 2000 * CLUSTER_S;
    if (o->tune)
        o->tune(&options);
    cluster_world_init(&w, &options, NULL);
    cluster_world_form(&w);
    base_arena_init(&arena);
    struct base_keyspace *ks = make_keyspace(o);
    struct base_table *table = make_table(&arena, "wt", "rows", "p k int; c c int; r v text");
    if (o->gc_grace_s)
        table->options.gc_grace_s = o->gc_grace_s < 0 ? 0 : o->gc_grace_s;
    wt_table = table;
    struct base_change change = {
        .kind = BASE_CHANGE_KEYSPACE_CREATE, .keyspace = ks->name, .keyspace_new = ks};
    cluster_world_change(&w, &change);
    change = (struct base_change){.kind = BASE_CHANGE_TABLE_CREATE,
                                  .keyspace = table->keyspace,
                                  .name = table->name,
                                  .table_new = table,
                                  .table_id = table->id};
    cluster_world_change(&w, &change);
}

void wt_end(void)
{
    cluster_world_fini(&w);
    base_arena_fini(&arena);
}

void wt_start(size_t node)
{
    struct base_err err;
    ck_assert_msg(cluster_node_start(&w.nodes[node], &err), "%s", err.text);
}

void wt_start_all(void)
{
    for (size_t i = 0; i < w.node_count; i++)
        wt_start(i);
    wt_settle();
}

static bool all_know(struct cluster_world *world, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < world->node_count; i++)
        for (size_t j = 0; j < world->options.nodes; j++)
            if (cluster_node_is_up(&world->nodes[i]) &&
                repl_is_alive(world->nodes[i].repl, world->nodes[j].host_id) !=
                    cluster_node_is_up(&world->nodes[j]))
                return false;
    return true;
}

void wt_settle(void)
{
    ck_assert_msg(cluster_run_until(&w, all_know, NULL, 120 * CLUSTER_S),
                  "liveness is not known within two minutes");
}

/* Writes. */

static void write_done(struct repl_write *write)
{
    struct wt_write *t = BASE_CONTAINER(write, struct wt_write, write);
    t->done++;
    ck_assert_uint_eq(t->done, 1);
    if (write->outcome.rc == BASE_E_CONDITION)
        ck_assert_int_eq(base_buf_put_slice(&t->current, write->current), BASE_OK);
}

void wt_write_init(struct wt_write *t, int consistency)
{
    memset(t, 0, sizeof *t);
    base_buf_init(&t->mutations, (size_t)1 << 30);
    base_buf_init(&t->condition, (size_t)1 << 30);
    base_buf_init(&t->current, (size_t)1 << 30);
    t->write.consistency = consistency;
    t->write.done = write_done;
}

void wt_write_fini(struct wt_write *t)
{
    base_buf_fini(&t->mutations);
    base_buf_fini(&t->condition);
    base_buf_fini(&t->current);
}

static void put_pkey(int k, struct base_buf *out)
{
    uint8_t value[4];
    base_put_be32(value, (uint32_t)k);
    base_buf_init(out, 256);
    ck_assert_int_eq(base_pkey_put(base_slice(value, 4), out), BASE_OK);
}

static void put_ckey(int c, struct base_buf *out)
{
    struct base_err err;
    uint8_t value[4];
    bool exact = true;
    base_put_be32(value, (uint32_t)c);
    base_buf_init(out, 256);
    ck_ok(base_ckey_put(wt_table->columns[1].type, false, base_slice(value, 4), out, &exact, &err),
          err);
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, out), BASE_OK);
}

void wt_add(struct wt_write *t, size_t node, int k, int c, const char *v, int64_t ts)
{
    struct base_buf pkey, ckey, row;
    struct base_row_builder b;
    put_pkey(k, &pkey);
    put_ckey(c, &ckey);
    base_buf_init(&row, 1 << 20);
    ck_assert_int_eq(base_row_begin(&b, &row, ts ? ts : cluster_node_timestamp(&w.nodes[node])),
                     BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 3, base_slice_str(v)), BASE_OK);
    base_row_end(&b);
    ck_assert_int_eq(base_mutation_put_row(&t->mutations, wt_table->id, base_buf_view(&pkey),
                                           base_buf_view(&ckey), base_buf_view(&row)),
                     BASE_OK);
    t->write.mutation_count++;
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
}

void wt_begin(struct wt_write *t, size_t node)
{
    t->write.mutations = base_buf_view(&t->mutations);
    cluster_node_sync_clock(&w.nodes[node]);
    repl_write_start(w.nodes[node].repl, &t->write);
}

static bool is_done(struct cluster_world *world, void *ctx)
{
    (void)world;
    return ((struct wt_write *)ctx)->done;
}

int wt_finish(struct wt_write *t)
{
    ck_assert_msg(cluster_run_until(&w, is_done, t, 60 * CLUSTER_S), "a write is not answered");
    /* nobody looks at the caller's bytes any more */
    memset(t->mutations.data, 0xee, t->mutations.cap);
    wt_outcome = t->write.outcome;
    ck_assert_int_eq(wt_outcome.err.code, wt_outcome.rc);
    ck_assert((wt_outcome.rc == BASE_OK) == (wt_outcome.err.text[0] == 0));
    return wt_outcome.rc;
}

int wt_put(size_t node, int k, int c, const char *v, int consistency)
{
    struct wt_write t;
    wt_write_init(&t, consistency);
    wt_add(&t, node, k, c, v, 0);
    wt_begin(&t, node);
    int rc = wt_finish(&t);
    wt_write_fini(&t);
    return rc;
}

/* Looking. */

const char *wt_get(size_t node, int k, int c)
{
    static char value[128];
    struct base_buf pkey, ckey;
    struct base_err err;
    struct base_source *source;
    struct base_partition partition;
    struct base_item item = {0};
    put_pkey(k, &pkey);
    put_ckey(c, &ckey);
    struct base_range range = {base_buf_view(&ckey), base_buf_view(&ckey)};
    struct base_read cmd = BASE_READ_INIT;
    cmd.table_id = wt_table->id;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = (struct base_slices){&range, 1};
    cmd.now_s = base_clock_wall_s(&w.nodes[node].clock.base);
    value[0] = 0;
    ck_ok(cluster_store_read(&w.nodes[node], &cmd, &source, &err), err);
    ck_ok(source->ops->partition(source, &partition, &err), err);
    if (partition.pkey.len)
        ck_ok(source->ops->next(source, &item, &err), err);
    struct base_row row;
    struct base_cell cell;
    if (item.kind == BASE_ITEM_ROW && base_row_decode(item.row, &row)) {
        struct base_cells it = base_cells_begin(&row);
        if (base_cells_next(&it, &cell) == 1 && !(cell.flags & BASE_CELL_DEAD))
            snprintf(value, sizeof value, "%.*s", BASE_SLICE_ARG(cell.value));
    }
    source->ops->close(source);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    return value;
}

size_t wt_count(size_t node, struct base_uuid table_id)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *source;
    struct base_partition partition;
    struct base_item item;
    struct base_slice value;
    struct base_err err;
    size_t n = 0;
    cmd.table_id = table_id;
    cmd.slices = base_slices_all;
    cmd.now_s = base_clock_wall_s(&w.nodes[node].clock.base);
    ck_ok(cluster_store_read(&w.nodes[node], &cmd, &source, &err), err);
    for (;;) {
        ck_ok(source->ops->partition(source, &partition, &err), err);
        if (!partition.pkey.len)
            break;
        do {
            ck_ok(source->ops->next(source, &item, &err), err);
            n += item.kind == BASE_ITEM_ROW && repli_internal_row_get(item.row, cmd.now_s, &value);
        } while (item.kind != BASE_ITEM_END);
    }
    source->ops->close(source);
    return n;
}

size_t wt_owners(size_t node, int k, size_t *owners)
{
    struct repl *repl = w.nodes[node].repl;
    struct base_buf pkey;
    put_pkey(k, &pkey);
    const struct ring_placement *placement =
        repl_placement(repl, base_schema_keyspace(repl_schema(repl), wt_table->keyspace));
    const struct ring_range *range = ring_placement_find(placement, base_token_get(pkey.data));
    base_buf_fini(&pkey);
    for (uint16_t i = 0; i < range->write.count; i++)
        for (size_t j = 0; j < w.options.nodes; j++)
            if (base_uuid_equal(placement->state->members[range->write.members[i]].host_id,
                                w.nodes[j].host_id))
                owners[i] = j;
    return range->write.count;
}

const struct repl_stats *wt_stats(size_t node)
{
    return repl_get_stats(w.nodes[node].repl);
}

void wt_isolate(size_t node, bool blocked)
{
    for (size_t j = 0; j < w.node_count; j++)
        if (j != node)
            cluster_link(&w, node, j)->blocked = cluster_link(&w, j, node)->blocked = blocked;
}
