/* Indexes in the store. Without these a query by an index could miss rows that a scan has: a row
 * whose cells lie in different files, one that was updated, came back, lost its TTL, lies in a file
 * whose build was cut off or whose index file is damaged; or a dropped index's file could serve a
 * later index.
 *
 * The oracle is the same command without an index: what base_rows gives must be the same, row by
 * row.
 *
 * This file has over 800 lines because its world (a store, its indexes, random rows and the scan
 * that judges) serves histories, builds and places alike and is state of its own. The seam, when it
 * grows again, is "builds", with the world as a library. */
#include <stdio.h>

#include "base/key.h"
#include "base/path.h"
#include "lsm/lsm.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/sim_executor.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

#define S(text) base_slice_str(text)

enum column { K = 1, K2, C, ST, A, B, M, SET, L, F };
static const char columns[] =
    "p k int; p k2 int; c c int; s st int; r a int; r b text; r m map<int, int>; r set set<int>; "
    "r l list<int>; r f frozen<set<int>>";
static const struct base_index all_indexes[] = {
    {1, {(const uint8_t *)"k2", 2}, K2, BASE_INDEX_VALUE, {0}},
    {2, {(const uint8_t *)"c", 1}, C, BASE_INDEX_VALUE, {0}},
    {3, {(const uint8_t *)"st", 2}, ST, BASE_INDEX_VALUE, {0}},
    {4, {(const uint8_t *)"a", 1}, A, BASE_INDEX_VALUE, {0}},
    {5, {(const uint8_t *)"b", 1}, B, BASE_INDEX_VALUE, {0}},
    {6, {(const uint8_t *)"mv", 2}, M, BASE_INDEX_VALUES, {0}},
    {7, {(const uint8_t *)"mk", 2}, M, BASE_INDEX_KEYS, {0}},
    {8, {(const uint8_t *)"set", 3}, SET, BASE_INDEX_VALUES, {0}},
    {9, {(const uint8_t *)"l", 1}, L, BASE_INDEX_VALUES, {0}},
    {10, {(const uint8_t *)"f", 1}, F, BASE_INDEX_FULL, {0}},
    {11, {(const uint8_t *)"me", 2}, M, BASE_INDEX_ENTRIES, {0}},
};
enum { INDEXES = 11 };

struct world {
    struct base_arena arena;
    struct rng rng;
    struct sim_fs *fs;
    struct sim_clock clock;
    struct sim_executor executor;
    struct sim_random random;
    struct lsm_options options;
    struct lsm_store *store;
    struct lsm_table *place;
    struct base_table *table;
    struct base_index indexes[INDEXES];
    uint32_t index_mask;          /* which of all_indexes the table has */
    uint32_t generation[INDEXES]; /* an index that is made again has another id */
    int64_t ts;
    struct base_err err;
    uint64_t raw_indexed, raw_scanned, queries, used;
};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)rng_below(&w->rng, n);
}

/* The store. */

static void set_indexes(struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < INDEXES; i++) {
        if (!(w->index_mask >> i & 1))
            continue;
        w->indexes[n] = all_indexes[i];
        w->indexes[n++].id += w->generation[i] * INDEXES;
    }
    w->table->indexes = w->indexes;
    w->table->index_count = n;
}

static struct lsm_table_desc desc_of(struct world *w, struct base_indexer **indexer)
{
    set_indexes(w);
    ck_ok(base_indexer_new(w->table, indexer, &w->err), w->err);
    return (struct lsm_table_desc){.id = w->table->id,
                                   .name = "lab.t",
                                   .gc_grace_s = 50,
                                   .bloom_fp_chance = 0.01,
                                   .compaction_enabled = true,
                                   .min_threshold = 4,
                                   .max_threshold = 32,
                                   .bucket_low = 0.5,
                                   .bucket_high = 1.5,
                                   .min_sstable_size = 50u << 20,
                                   .truncated_us = INT64_MIN,
                                   .indexer = *indexer};
}

static void store_open(struct world *w)
{
    struct base_indexer *indexer;
    struct lsm_table_desc desc = desc_of(w, &indexer);
    base_err_clear(&w->err);
    ck_ok(lsm_open(&w->options, &w->store, &w->err), w->err);
    ck_ok(lsm_table_open(w->store, &desc, &w->place, &w->err), w->err);
    ck_ok(lsm_replay(w->store, &w->err), w->err);
    base_indexer_release(indexer);
}

static void alter(struct world *w, uint32_t mask)
{
    struct base_indexer *indexer;
    for (size_t i = 0; i < INDEXES; i++)
        w->generation[i] += (mask & ~w->index_mask) >> i & 1;
    w->index_mask = mask;
    struct lsm_table_desc desc = desc_of(w, &indexer);
    ck_ok(lsm_table_alter(w->place, &desc, &w->err), w->err);
    base_indexer_release(indexer);
}

static void store_close(struct world *w)
{
    ck_ok(lsm_close(w->store, UINT64_MAX, &w->err), w->err);
    w->store = NULL;
    ck_assert_uint_eq(sim_fs_open_files(w->fs), 0);
}

static void store_die(struct world *w, bool power)
{
    if (power)
        sim_fs_power_off(w->fs);
    else
        sim_fs_kill(w->fs);
    (void)!lsm_close(w->store, UINT64_MAX, NULL);
    w->store = NULL;
    if (power)
        sim_fs_crash(w->fs);
    sim_executor_init(&w->executor, &w->clock, rng_u64(&w->rng));
}

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.fs = sim_fs_new(seed)};
    w->rng = rng_seeded(seed);
    base_arena_init(&w->arena);
    w->table = make_table(&w->arena, "lab", "t", columns);
    sim_clock_init(&w->clock, 0);
    sim_executor_init(&w->executor, &w->clock, seed);
    sim_random_init(&w->random, seed);
    lsm_options_init(&w->options);
    w->options.dir = "store";
    w->options.fs = sim_fs_port(w->fs);
    w->options.clock = &w->clock.base;
    w->options.random = &w->random.base;
    w->options.executor = &w->executor.base;
    w->options.commitlog_segment_size = 1 << 16;
    w->options.commitlog_total_size = 1 << 20;
    w->options.block_size = 512;
    w->options.index_build_size_max = seed % 3 ? 4096 : 1 << 20; /* mostly by runs */
}

static void world_fini(struct world *w)
{
    sim_fs_free(w->fs);
    base_arena_fini(&w->arena);
}

static int64_t now_s(struct world *w)
{
    return base_clock_wall_s(&w->clock.base);
}

/* Writes. */

static void put_int(struct base_buf *out, int32_t v)
{
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)v);
    ck_assert_int_eq(base_buf_put(out, bytes, 4), BASE_OK);
}

static struct base_slice int_slice(struct world *w, int32_t v)
{
    uint8_t *p = base_arena_alloc(&w->arena, 4);
    base_put_be32(p, (uint32_t)v);
    return base_slice(p, 4);
}

static void pkey_of(struct world *w, int32_t k, int32_t k2, struct base_buf *out)
{
    struct base_slice values[2] = {int_slice(w, k), int_slice(w, k2)};
    struct base_buf pk;
    base_buf_init(&pk, 1 << 16);
    ck_ok(base_pk_compose(values, 2, &pk, &w->err), w->err);
    ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), out), BASE_OK);
    base_buf_fini(&pk);
}

static void ckey_of(struct world *w, int32_t c, enum base_key_byte position, struct base_buf *out)
{
    ck_ok(
        base_ckey_put(base_type_scalar(BASE_TYPE_INT), false, int_slice(w, c), out, NULL, &w->err),
        w->err);
    ck_assert_int_eq(base_ckey_end(position, out), BASE_OK);
}

/* A cell of the column: a small value, or dead; sometimes it expires. */
static void put_cell(struct world *w, struct base_row_builder *b, enum column column, int32_t ttl)
{
    struct base_cell cell = {.column = column, .ts = w->ts};
    struct base_buf path, value;
    base_buf_init(&path, 1 << 16);
    base_buf_init(&value, 1 << 16);
    bool dead = below(w, 5) == 0;
    if (column == M || column == SET)
        ck_ok(base_path_put(base_table_column_by_id(w->table, column)->type,
                            int_slice(w, (int32_t)below(w, 5)), &path, NULL, &w->err),
              w->err);
    if (column == L) {
        uint8_t id[16] = {0, 0, 0, (uint8_t)below(w, 4), 0, 0, 0x10, 0, 0x80};
        ck_ok(base_path_put(base_table_column_by_id(w->table, L)->type, base_slice(id, 16), &path,
                            NULL, &w->err),
              w->err);
    }
    if (column == B)
        ck_assert_int_eq(base_buf_printf(&value, "%.*s", (int)below(w, 4), "aaa"), BASE_OK);
    else if (column == F)
        for (int32_t n = (int32_t)below(w, 3), i = -1; i < n; i++) {
            if (i >= 0)
                put_int(&value, 4);
            put_int(&value, i < 0 ? n : i * 7);
        }
    else if (column != SET)
        put_int(&value, (int32_t)below(w, 6));
    cell.path = base_buf_view(&path);
    if (dead) {
        cell.flags = BASE_CELL_DEAD;
        cell.local_s = now_s(w);
    } else {
        cell.value = base_buf_view(&value);
        if (ttl) {
            cell.flags = BASE_CELL_EXPIRING;
            cell.ttl = ttl;
            cell.local_s = now_s(w) + ttl;
        }
    }
    ck_assert_int_eq(base_row_put_cell(b, &cell), BASE_OK);
    base_buf_fini(&path);
    base_buf_fini(&value);
}

static void random_row(struct world *w, struct base_buf *out)
{
    struct base_row_builder b;
    int32_t ttl = below(w, 4) == 0 ? (int32_t)below(w, 40) + 1 : 0;
    ck_assert_int_eq(base_row_begin(&b, out, w->ts), BASE_OK);
    uint32_t kind = below(w, 10);
    if (kind == 0) {
        ck_assert_int_eq(base_row_put_deletion(&b, (struct base_deletion){w->ts, now_s(w)}),
                         BASE_OK);
    } else {
        if (kind < 5)
            ck_assert_int_eq(base_row_put_liveness(&b, ttl, ttl ? now_s(w) + ttl : 0), BASE_OK);
        uint32_t mask = below(w, 1u << 6) | (kind >= 5 ? 1u << below(w, 6) : 0);
        for (uint32_t i = 0; i < 6; i++)
            if (mask >> i & 1)
                put_cell(w, &b, (enum column)(A + i), ttl);
    }
    base_row_end(&b);
}

static void apply(struct world *w, struct base_slice pkey, struct base_deletion deletion,
                  struct base_slice static_row, const struct base_range_deletion *range,
                  struct base_slice ckey, struct base_slice row)
{
    struct base_buf m;
    struct base_mutation_row_part part = {ckey, row};
    base_buf_init(&m, 1 << 20);
    ck_assert_int_eq(base_mutation_put(&m, w->table->id, pkey, deletion, static_row, range,
                                       range ? 1 : 0, &part, row.len ? 1 : 0),
                     BASE_OK);
    ck_ok(
        lsm_write(w->store, base_buf_view(&m), 1, LSM_DURABLE_LOG, UINT64_C(10000000000), &w->err),
        w->err);
    base_buf_fini(&m);
}

static void write_random(struct world *w)
{
    struct base_buf pkey, ckey, row, hi;
    static const struct base_slice none;
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    base_buf_init(&row, 1 << 20);
    base_buf_init(&hi, 1 << 16);
    w->ts += 1 + below(w, 3);
    pkey_of(w, (int32_t)below(w, 12), (int32_t)below(w, 3), &pkey);
    uint32_t kind = below(w, 40);
    if (kind == 0) {
        apply(w, base_buf_view(&pkey), (struct base_deletion){w->ts, now_s(w)}, none, NULL, none,
              none);
    } else if (kind == 1) {
        int32_t from = (int32_t)below(w, 20);
        ckey_of(w, from, BASE_KEY_BEFORE, &ckey);
        ckey_of(w, from + (int32_t)below(w, 6), BASE_KEY_AFTER, &hi);
        struct base_range_deletion range = {
            base_buf_view(&ckey), base_buf_view(&hi), {w->ts, now_s(w)}};
        apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, none, &range, none, none);
    } else if (kind < 6) {
        struct base_row_builder b;
        ck_assert_int_eq(base_row_begin(&b, &row, w->ts), BASE_OK);
        put_cell(w, &b, ST, 0);
        base_row_end(&b);
        apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, base_buf_view(&row), NULL, none, none);
    } else {
        ckey_of(w, (int32_t)below(w, 20), BASE_KEY_AT, &ckey);
        random_row(w, &row);
        apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, none, NULL, base_buf_view(&ckey),
              base_buf_view(&row));
    }
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    base_buf_fini(&hi);
}

/* Queries. */

static struct base_filter random_filter(struct world *w)
{
    static const struct {
        enum column column;
        enum base_filter_op op;
    } kinds[] = {{K2, BASE_FILTER_EQ},
                 {C, BASE_FILTER_EQ},
                 {ST, BASE_FILTER_EQ},
                 {A, BASE_FILTER_EQ},
                 {B, BASE_FILTER_EQ},
                 {M, BASE_FILTER_CONTAINS},
                 {M, BASE_FILTER_CONTAINS_KEY},
                 {SET, BASE_FILTER_CONTAINS},
                 {L, BASE_FILTER_CONTAINS},
                 {F, BASE_FILTER_EQ},
                 {M, BASE_FILTER_ENTRY},
                 {A, BASE_FILTER_GT},
                 {C, BASE_FILTER_LT}};
    uint32_t i = below(w, BASE_COUNT(kinds));
    struct base_filter f = {.column = kinds[i].column, .op = kinds[i].op};
    struct base_buf value;
    base_buf_init(&value, 1 << 16);
    if (f.op == BASE_FILTER_ENTRY)
        f.element = int_slice(w, (int32_t)below(w, 5));
    if (f.column == B) {
        ck_assert_int_eq(base_buf_printf(&value, "%.*s", (int)below(w, 4), "aaa"), BASE_OK);
    } else if (f.column == F) {
        int32_t n = (int32_t)below(w, 3);
        put_int(&value, n);
        for (int32_t k = 0; k < n; k++) {
            put_int(&value, 4);
            put_int(&value, k * 7);
        }
    } else {
        put_int(&value, (int32_t)below(w, f.column == C ? 20 : 6));
    }
    ck_assert_int_eq(base_arena_copy(&w->arena, base_buf_view(&value), &f.operand), BASE_OK);
    base_buf_fini(&value);
    return f;
}

/* Counts what passes through. */
struct counting {
    struct base_source source;
    struct base_source *inner;
    uint64_t *count;
};
static int counting_partition(struct base_source *src, struct base_partition *out,
                              struct base_err *err)
{
    struct counting *c = BASE_CONTAINER(src, struct counting, source);
    return c->inner->ops->partition(c->inner, out, err);
}
static int counting_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct counting *c = BASE_CONTAINER(src, struct counting, source);
    int rc = c->inner->ops->next(c->inner, out, err);
    *c->count += rc == BASE_OK && out->kind == BASE_ITEM_ROW;
    return rc;
}
static void counting_close(struct base_source *src)
{
    struct counting *c = BASE_CONTAINER(src, struct counting, source);
    c->inner->ops->close(c->inner);
}
static const struct base_source_ops counting_ops = {counting_partition, counting_next,
                                                    counting_close};

/* All rows of the command, one after the other, as bytes. store_cmd is what the store is asked. */
static int collect(struct world *w, const struct base_read *cmd, const struct base_read *store_cmd,
                   uint64_t *raw, struct base_buf *out)
{
    struct base_rows rows;
    struct base_live_row row;
    struct counting counting = {{&counting_ops}, NULL, raw};
    int rc = lsm_read(w->place, store_cmd, false, NULL, 0, NULL, &counting.inner, &w->err);
    if (rc != BASE_OK)
        return rc;
    base_rows_open(&rows, cmd, w->table, &counting.source);
    while ((rc = base_rows_next(&rows, &row, &w->err)) == BASE_OK && row.pkey.len)
        ck_assert(base_buf_put_bytes(out, row.pkey) == BASE_OK &&
                  base_buf_put_bytes(out, row.static_row) == BASE_OK &&
                  base_buf_put_bytes(out, row.ckey) == BASE_OK &&
                  base_buf_put_bytes(out, row.row) == BASE_OK);
    base_rows_close(&rows);
    return rc;
}

static void check_query(struct world *w, const struct base_read *cmd)
{
    struct base_buf by_index, by_scan;
    struct base_read plain = *cmd;
    uint64_t indexed = 0, scanned = 0;
    base_buf_init(&by_index, 1 << 24);
    base_buf_init(&by_scan, 1 << 24);
    plain.filters = NULL;
    plain.filter_count = 0;
    ck_ok(collect(w, cmd, cmd, &indexed, &by_index), w->err);
    ck_ok(collect(w, cmd, &plain, &scanned, &by_scan), w->err);
    ck_assert_msg(base_slice_equal(base_buf_view(&by_index), base_buf_view(&by_scan)),
                  "query %llu: %zu bytes by index, %zu by scan", (unsigned long long)w->queries,
                  by_index.len, by_scan.len);
    w->raw_indexed += indexed;
    w->raw_scanned += scanned;
    w->queries++;
    base_buf_fini(&by_index);
    base_buf_fini(&by_scan);
}

static void query_random(struct world *w)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_filter filters[2];
    struct base_range ranges[2];
    struct base_buf pkey, bounds[4];
    base_buf_init(&pkey, 1 << 16);
    for (size_t i = 0; i < 4; i++)
        base_buf_init(&bounds[i], 1 << 16);
    cmd.table_id = w->table->id;
    cmd.now_s = now_s(w);
    cmd.slices = base_slices_all;
    cmd.filter_count = 1 + (below(w, 3) == 0);
    for (size_t i = 0; i < cmd.filter_count; i++)
        filters[i] = random_filter(w);
    cmd.filters = filters;
    cmd.reversed = below(w, 4) == 0;
    uint32_t where = below(w, 5);
    if (where == 0) {
        pkey_of(w, (int32_t)below(w, 12), (int32_t)below(w, 3), &pkey);
        cmd.pkey = base_buf_view(&pkey);
    } else if (where == 1) {
        int64_t a = (int64_t)rng_u64(&w->rng), b = (int64_t)rng_u64(&w->rng);
        cmd.token_after = a < b ? a : b;
        cmd.token_upto = a < b ? b : a;
    } else if (where == 2) {
        pkey_of(w, (int32_t)below(w, 12), (int32_t)below(w, 3), &pkey);
        cmd.start_pkey = base_buf_view(&pkey);
    }
    if (below(w, 3) == 0) {
        int32_t at = (int32_t)below(w, 8);
        for (size_t i = 0; i < 4; i++, at += 1 + (int32_t)below(w, 5))
            ckey_of(w, at, i % 2 ? BASE_KEY_AFTER : BASE_KEY_BEFORE, &bounds[i]);
        ranges[0] = (struct base_range){base_buf_view(&bounds[0]), base_buf_view(&bounds[1])};
        ranges[1] = (struct base_range){base_buf_view(&bounds[2]), base_buf_view(&bounds[3])};
        cmd.slices = (struct base_slices){ranges, below(w, 3)};
    }
    if (below(w, 3) == 0)
        cmd.row_limit = 1 + below(w, 5);
    if (below(w, 6) == 0)
        cmd.partition_row_limit = 1 + below(w, 3);
    check_query(w, &cmd);
    base_buf_fini(&pkey);
    for (size_t i = 0; i < 4; i++)
        base_buf_fini(&bounds[i]);
}

/* Places. */

static int compare_keys(const void *a, const void *b)
{
    return base_slice_compare(base_buf_view(a), base_buf_view(b));
}

/* Some places, in a list as base/read.h has it; and the rows that it names, as `collect` writes
 * them, by a read for each. */
static void random_places(struct world *w, const struct base_read *cmd, struct base_buf *list,
                          struct base_buf *rows)
{
    struct base_buf keys[36], ckey;
    base_buf_init(&ckey, 1 << 16);
    for (int32_t i = 0; i < 36; i++) {
        base_buf_init(&keys[i], 1 << 16);
        pkey_of(w, i / 3, i % 3, &keys[i]);
    }
    qsort(keys, 36, sizeof keys[0], compare_keys);
    for (int i = 0; i < 36; i++) {
        bool whole = below(w, 3) == 0;
        struct base_range ranges[20];
        struct base_buf ckeys[20];
        size_t n = 0;
        if (below(w, 2))
            goto next;
        for (int32_t c = 0; c < 20; c++) {
            if (whole ? c > 0 : below(w, 2) == 0)
                continue;
            base_buf_init(&ckeys[n], 1 << 16);
            if (!whole)
                ckey_of(w, c, BASE_KEY_AT, &ckeys[n]);
            ranges[n] = (struct base_range){base_buf_view(&ckeys[n]), base_buf_view(&ckeys[n])};
            ck_assert(base_buf_put_bytes(list, base_buf_view(&keys[i])) == BASE_OK &&
                      base_buf_put_bytes(list, base_buf_view(&ckeys[n])) == BASE_OK);
            n++;
        }
        int64_t token = base_token_get(keys[i].data);
        if (n && token > cmd->token_after && token <= cmd->token_upto) {
            struct base_read one = *cmd;
            uint64_t raw = 0;
            one.pkey = base_buf_view(&keys[i]);
            if (!whole)
                one.slices = (struct base_slices){ranges, n};
            ck_ok(collect(w, &one, &one, &raw, rows), w->err);
        }
        for (size_t k = 0; k < n; k++)
            base_buf_fini(&ckeys[k]);
    next:
        base_buf_fini(&keys[i]);
    }
    base_buf_fini(&ckey);
}

static void check_places(struct world *w)
{
    struct base_buf list, by_places, one_by_one;
    struct base_read cmd = BASE_READ_INIT, judged;
    uint64_t raw = 0;
    base_buf_init(&list, 1 << 20);
    base_buf_init(&by_places, 1 << 24);
    base_buf_init(&one_by_one, 1 << 24);
    cmd.slices = base_slices_all;
    cmd.now_s = now_s(w);
    cmd.reversed = below(w, 2);
    if (below(w, 2))
        cmd.token_after = (int64_t)rng_u64(&w->rng) / 2;
    /* a static row alone is not what is compared: some slices never show it */
    struct base_filter filter = {.column = C, .op = BASE_FILTER_GE, .operand = int_slice(w, 0)};
    cmd.filters = &filter;
    cmd.filter_count = 1;
    cmd.no_index = true;
    judged = cmd;
    random_places(w, &judged, &list, &one_by_one);
    cmd.places = base_buf_view(&list);
    if (list.len)
        ck_ok(collect(w, &judged, &cmd, &raw, &by_places), w->err);
    ck_assert_msg(base_slice_equal(base_buf_view(&by_places), base_buf_view(&one_by_one)),
                  "%zu bytes by places, %zu one by one", by_places.len, one_by_one.len);
    base_buf_fini(&list);
    base_buf_fini(&by_places);
    base_buf_fini(&one_by_one);
}

START_TEST(test_places_are_read_as_one_by_one)
{
    struct world w;
    world_init(&w, 500 + (uint64_t)_i);
    w.ts = 1;
    store_open(&w);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 40; k++)
            write_random(&w);
        if (i % 9 == 8)
            ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
        sim_clock_advance(&w.clock, UINT64_C(1000000000));
        check_places(&w);
    }
    store_close(&w);
    world_fini(&w);
}
END_TEST

/* Random histories. */

static void step(struct world *w)
{
    uint32_t kind = below(w, 200);
    if (kind < 120)
        write_random(w);
    else if (kind < 160)
        query_random(w);
    else if (kind < 172)
        sim_executor_run(&w->executor, 1 + below(w, 5));
    else if (kind < 180)
        sim_clock_advance(&w->clock, UINT64_C(1000000000) * (1 + below(w, 20)));
    else if (kind < 186)
        ck_ok(lsm_flush(w->store, w->place, NULL, &w->err), w->err);
    else if (kind < 188)
        ck_ok(lsm_compact(w->store, w->place, NULL, &w->err), w->err);
    else if (kind < 190)
        ck_ok(lsm_quiesce(w->store, &w->err), w->err);
    else if (kind < 194) {
        alter(w, below(w, 4) ? w->index_mask | 1u << below(w, INDEXES)
                             : w->index_mask & ~(1u << below(w, INDEXES)));
    } else if (kind < 197) {
        store_close(w);
        store_open(w);
    } else if (kind < 199) {
        store_die(w, false);
        store_open(w);
    }
}

START_TEST(test_index_reads_what_a_scan_reads)
{
    struct world w;
    world_init(&w, 1000 + (uint64_t)_i);
    w.index_mask = _i % 2 ? (1u << INDEXES) - 1 : 0;
    w.ts = 1;
    store_open(&w);
    for (int i = 0; i < 3000; i++)
        step(&w);
    ck_assert_uint_gt(w.queries, 300);
    alter(&w, (1u << INDEXES) - 1);
    ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
    ck_ok(lsm_quiesce(w.store, &w.err), w.err);
    w.raw_indexed = w.raw_scanned = 0;
    for (int i = 0; i < 200; i++)
        query_random(&w);
    ck_assert_uint_gt(w.raw_scanned, 1000);
    /* it must have been the index that answered, mostly */
    ck_assert_msg(w.raw_indexed < w.raw_scanned / 2, "%llu rows looked at by index, %llu by scan",
                  (unsigned long long)w.raw_indexed, (unsigned long long)w.raw_scanned);
    store_close(&w);
    world_fini(&w);
}
END_TEST

/* Builds. */

static void fill(struct world *w, int rows)
{
    for (int i = 0; i < rows; i++)
        write_random(w);
    ck_ok(lsm_flush(w->store, w->place, NULL, &w->err), w->err);
}

static struct lsm_index_stats stats_of(struct world *w, size_t at)
{
    struct lsm_index_stats stats[INDEXES];
    ck_assert_uint_gt(lsm_table_get_index_stats(w->place, stats, INDEXES), at);
    return stats[at];
}

static void count_index_file(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    *(size_t *)ctx += strstr(path, ".idx") != NULL;
}

static size_t index_files(struct world *w)
{
    size_t n = 0;
    sim_fs_walk(w->fs, count_index_file, &n);
    return n;
}

static void count_other_file(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    *(size_t *)ctx += strstr(path, ".run") != NULL || strstr(path, ".new") != NULL;
}

static size_t leftovers(struct world *w)
{
    size_t n = 0;
    sim_fs_walk(w->fs, count_other_file, &n);
    return n;
}

START_TEST(test_build_on_existing_data_shows_progress)
{
    struct world w;
    world_init(&w, 1);
    w.ts = 1;
    store_open(&w);
    for (int i = 0; i < 3; i++)
        fill(&w, 300);
    alter(&w, 1 << 3 | 1 << 5);
    struct lsm_index_stats s = stats_of(&w, 0);
    ck_assert(!s.is_built && s.is_building);
    ck_assert_uint_eq(s.sstables_built, 0);
    ck_assert_uint_eq(s.sstable_count, 3);
    for (int i = 0; i < 50; i++) /* always right, built or not */
        query_random(&w);
    double before = 0;
    for (int steps = 0; !stats_of(&w, 1).is_built; steps++) {
        ck_assert_int_lt(steps, 1000);
        double fraction = stats_of(&w, 1).fraction;
        struct lsm_task tasks[LSM_TASKS_MAX];
        ck_assert_uint_eq(lsm_table_get_tasks(w.place, tasks), 1);
        ck_assert_int_eq(tasks[0].kind, LSM_TASK_INDEX_BUILD);
        ck_assert(tasks[0].completed <= tasks[0].total && tasks[0].sstables > 0);
        ck_assert(fraction >= before && fraction <= 1);
        before = fraction;
        sim_executor_run_for(&w.executor, 1, UINT64_C(1000000000));
        query_random(&w);
    }
    s = stats_of(&w, 0);
    ck_assert(s.is_built && s.fraction == 1);
    ck_assert_uint_eq(s.sstables_built, 3);
    ck_assert_uint_gt(s.entry_count, 100);
    ck_assert_uint_gt(s.disk_bytes, 1000);
    ck_ok(lsm_quiesce(w.store, &w.err), w.err);
    ck_assert(!stats_of(&w, 0).is_building);
    ck_assert_uint_eq(index_files(&w), 6);
    ck_assert_uint_eq(leftovers(&w), 0);
    alter(&w, 1 << 5);
    ck_assert_uint_eq(index_files(&w), 3);
    ck_ok(lsm_compact(w.store, w.place, NULL, &w.err), w.err);
    ck_assert(stats_of(&w, 0).is_built);
    /* its SSTable's, and those of the inputs are gone with them */
    ck_assert_uint_eq(index_files(&w), 1);
    ck_ok(lsm_table_truncate(w.place, &w.err), w.err);
    ck_assert_uint_eq(index_files(&w), 0);
    fill(&w, 100);
    ck_assert_uint_eq(index_files(&w), 1);
    ck_ok(lsm_table_drop(w.store, w.place, &w.err), w.err);
    ck_ok(lsm_quiesce(w.store, &w.err), w.err);
    ck_assert_uint_eq(index_files(&w), 0);
    store_close(&w);
    world_fini(&w);
}
END_TEST

/* A build is cut off after `_i` steps, by a kill or a power loss; a start goes on with it. */
START_TEST(test_build_goes_on_after_a_restart)
{
    struct world w;
    world_init(&w, 40 + (uint64_t)_i);
    w.ts = 1;
    store_open(&w);
    for (int i = 0; i < 4; i++)
        fill(&w, 200);
    ck_ok(lsm_quiesce(w.store, &w.err), w.err);
    alter(&w, 1 << 3 | 1 << 4 | 1 << 7);
    sim_executor_run_for(&w.executor, (size_t)_i, UINT64_C(100000000000));
    uint64_t built = stats_of(&w, 0).sstables_built;
    store_die(&w, _i % 2);
    store_open(&w);
    ck_assert_uint_ge(stats_of(&w, 0).sstables_built, built); /* what was done is done */
    ck_assert_uint_eq(leftovers(&w), 0);
    for (int i = 0; i < 20; i++)
        query_random(&w);
    ck_ok(lsm_quiesce(w.store, &w.err), w.err);
    ck_assert(stats_of(&w, 0).is_built && stats_of(&w, 2).is_built);
    w.raw_indexed = w.raw_scanned = 0;
    for (int i = 0; i < 100; i++)
        query_random(&w);
    /* dropped while the store was not there: its files go */
    w.index_mask = 1 << 4;
    store_close(&w);
    store_open(&w);
    ck_assert_uint_eq(index_files(&w), stats_of(&w, 0).sstable_count);
    for (int i = 0; i < 50; i++)
        query_random(&w);
    store_close(&w);
    world_fini(&w);
}
END_TEST

struct first_index {
    char path[256];
    uint64_t size;
};
static void find_index_file(void *ctx, const char *path, uint64_t size)
{
    struct first_index *f = ctx;
    if (strstr(path, ".idx") && !f->size) {
        snprintf(f->path, sizeof f->path, "%s", path);
        f->size = size;
    }
}

/* One flipped bit anywhere in a component: never a missing row. Found by checksum it is named, and
 * the file built anew. */
START_TEST(test_a_damaged_component_is_named_and_built_anew)
{
    unsigned named = 0, noticed = 0;
    for (uint64_t at = 0;; at += 61) {
        struct world w;
        struct first_index file = {{0}, 0};
        world_init(&w, 77);
        w.ts = 1;
        w.index_mask = 1 << 3;
        store_open(&w);
        fill(&w, 150);
        ck_ok(lsm_quiesce(w.store, &w.err), w.err);
        store_close(&w);
        sim_fs_walk(w.fs, find_index_file, &file);
        ck_assert_uint_gt(file.size, 500);
        bool end = at >= file.size;
        if (!end)
            ck_assert(sim_fs_flip(w.fs, file.path, at, (unsigned)(at % 8)));
        store_open(&w);
        noticed += stats_of(&w, 0).sstables_built == 0;
        for (int32_t v = 0; v < 6; v++) {
            struct base_read cmd = BASE_READ_INIT;
            struct base_filter filter = {
                .column = A, .op = BASE_FILTER_EQ, .operand = int_slice(&w, v)};
            struct base_buf rows;
            uint64_t raw = 0;
            cmd.slices = base_slices_all;
            cmd.now_s = now_s(&w);
            cmd.filters = &filter;
            cmd.filter_count = 1;
            base_buf_init(&rows, 1 << 24);
            base_err_clear(&w.err);
            int rc = collect(&w, &cmd, &cmd, &raw, &rows);
            base_buf_fini(&rows);
            if (rc != BASE_OK) {
                named++;
                ck_assert_int_eq(rc, BASE_E_CORRUPT);
                ck_assert_msg(strstr(w.err.text, file.path + 1) && strstr(w.err.text, "offset"),
                              "%s", w.err.text);
            }
            check_query(&w, &cmd); /* from now on right: by a scan, or by the new file */
        }
        ck_ok(lsm_quiesce(w.store, &w.err), w.err);
        ck_assert(stats_of(&w, 0).is_built);
        for (int i = 0; i < 10; i++)
            query_random(&w);
        store_close(&w);
        world_fini(&w);
        if (end)
            break;
    }
    ck_assert_uint_gt(named, 5);
    ck_assert_uint_gt(noticed, 1);
}
END_TEST

/* The k-th operation on the disk fails, while there is a flush, a build and a compaction: whatever
 * it is, tried again all is well. */
START_TEST(test_every_failure_of_the_disk)
{
    for (uint64_t k = 0;; k++) {
        struct world w;
        world_init(&w, 5);
        w.ts = 1;
        w.options.index_build_size_max = 2048;
        store_open(&w);
        fill(&w, 100);
        for (int i = 0; i < 100; i++)
            write_random(&w);
        alter(&w, 1 << 3);
        sim_fs_fail(w.fs, SIM_FS_ANY & ~(unsigned)(SIM_FS_READ | SIM_FS_SYNC), k, 1,
                    BASE_E_NOSPACE);
        (void)!lsm_flush(w.store, w.place, NULL, &w.err);
        (void)!lsm_compact(w.store, w.place, NULL, &w.err);
        sim_executor_run_for(&w.executor, 10000, UINT64_C(100000000000));
        bool hit = sim_fs_clear_faults(w.fs) > 0;
        ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
        ck_ok(lsm_quiesce(w.store, &w.err), w.err);
        ck_assert_msg(stats_of(&w, 0).is_built, "k %llu", (unsigned long long)k);
        for (int i = 0; i < 10; i++)
            query_random(&w);
        store_close(&w);
        store_open(&w);
        ck_assert_uint_eq(leftovers(&w), 0);
        for (int i = 0; i < 10; i++)
            query_random(&w);
        store_close(&w);
        world_fini(&w);
        if (!hit) {
            ck_assert_uint_gt(k, 20);
            break;
        }
    }
}
END_TEST

/* The power goes at the k-th thing that changes the disk, while there is a flush, a build and a
 * compaction: what is named then is whole. */
START_TEST(test_every_power_cut)
{
    for (uint64_t k = 0;; k++) {
        struct world w;
        world_init(&w, 6);
        w.ts = 1;
        w.options.index_build_size_max = 2048;
        store_open(&w);
        fill(&w, 100);
        for (int i = 0; i < 100; i++)
            write_random(&w);
        ck_ok(lsm_sync(w.store, &w.err), w.err);
        alter(&w, 1 << 3 | 1 << 10);
        sim_fs_cut_power(w.fs, SIM_FS_CHANGING, k);
        (void)!lsm_flush(w.store, w.place, NULL, &w.err);
        (void)!lsm_compact(w.store, w.place, NULL, &w.err);
        sim_executor_run_for(&w.executor, 10000, UINT64_C(1000000000));
        bool hit = sim_fs_clear_faults(w.fs) > 0;
        store_die(&w, true);
        store_open(&w);
        ck_assert_uint_eq(leftovers(&w), 0);
        for (int i = 0; i < 10; i++)
            query_random(&w);
        ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
        ck_ok(lsm_quiesce(w.store, &w.err), w.err);
        ck_assert_msg(stats_of(&w, 0).is_built && stats_of(&w, 1).is_built, "k %llu",
                      (unsigned long long)k);
        for (int i = 0; i < 20; i++)
            query_random(&w);
        store_close(&w);
        world_fini(&w);
        if (!hit) {
            ck_assert_uint_gt(k, 20);
            break;
        }
    }
}
END_TEST

/* Places. */

/* A partition of many rows, read forwards by pieces and backwards, where there may be too many to
 * keep. */
START_TEST(test_a_wide_partition)
{
    struct world w;
    world_init(&w, 9);
    w.ts = 1;
    w.index_mask = 1 << 3;
    store_open(&w);
    struct base_buf pkey, ckey, row;
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    base_buf_init(&row, 1 << 16);
    pkey_of(&w, 1, 1, &pkey);
    for (int32_t c = 0; c < 20000; c++) {
        struct base_row_builder b;
        base_buf_reset(&ckey);
        base_buf_reset(&row);
        ckey_of(&w, c, BASE_KEY_AT, &ckey);
        ck_assert_int_eq(base_row_begin(&b, &row, 10), BASE_OK);
        ck_assert_int_eq(base_row_put_value(&b, A,
                                            int_slice(&w, c % 1000 == 7 ? 1
                                                          : c % 2       ? 2
                                                                        : 3)),
                         BASE_OK);
        base_row_end(&b);
        apply(&w, base_buf_view(&pkey), BASE_DELETION_NONE, (struct base_slice){0}, NULL,
              base_buf_view(&ckey), base_buf_view(&row));
        if (c == 11000)
            ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
    }
    for (int32_t v = 1; v < 4; v++)
        for (int reversed = 0; reversed < 2; reversed++)
            for (int point = 0; point < 2; point++) {
                struct base_filter filter = {
                    .column = A, .op = BASE_FILTER_EQ, .operand = int_slice(&w, v)};
                struct base_read cmd = BASE_READ_INIT;
                cmd.slices = base_slices_all;
                cmd.filters = &filter;
                cmd.filter_count = 1;
                cmd.reversed = reversed;
                if (point)
                    cmd.pkey = base_buf_view(&pkey);
                check_query(&w, &cmd);
            }
    ck_assert_uint_lt(w.raw_indexed, w.raw_scanned);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    store_close(&w);
    world_fini(&w);
}
END_TEST

/* Keys that are too long for a place in an index: the partition, or all of a token, is read
 * instead. */
START_TEST(test_the_longest_keys)
{
    static const size_t lens[] = {10, 30000, 32000, 65000};
    struct base_arena a;
    struct world w;
    base_arena_init(&a);
    world_init(&w, 11);
    w.table = make_table(&a, "lab", "t", "p k blob; c c blob; r v int; r a int");
    struct base_index index = {4, S("a"), 4, BASE_INDEX_VALUE, {0}};
    struct base_indexer *indexer;
    struct lsm_table_desc desc = desc_of(&w, &indexer);
    base_indexer_release(indexer);
    w.table->indexes = &index;
    w.table->index_count = 1;
    ck_ok(base_indexer_new(w.table, &indexer, &w.err), w.err);
    desc.indexer = indexer;
    ck_ok(lsm_open(&w.options, &w.store, &w.err), w.err);
    ck_ok(lsm_table_open(w.store, &desc, &w.place, &w.err), w.err);
    ck_ok(lsm_replay(w.store, &w.err), w.err);
    base_indexer_release(indexer);
    struct base_buf pkey, ckey, row;
    base_buf_init(&pkey, 1 << 20);
    base_buf_init(&ckey, 1 << 20);
    base_buf_init(&row, 1 << 16);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BASE_COUNT(lens); i++)
            for (size_t k = 0; k < BASE_COUNT(lens); k++) {
                struct base_row_builder b;
                uint8_t *bytes = base_arena_zalloc(&a, 65536);
                memset(bytes, (int)i + 1, 65536);
                if (i == 3)
                    memset(bytes, 0, 65000); /* escaped: twice as long */
                base_buf_reset(&pkey);
                base_buf_reset(&ckey);
                base_buf_reset(&row);
                ck_assert_int_eq(base_pkey_put(base_slice(bytes, lens[i]), &pkey), BASE_OK);
                memset(bytes, (int)k + 10, 65536);
                ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_BLOB), false,
                                    base_slice(bytes, lens[k]), &ckey, NULL, &w.err),
                      w.err);
                ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
                ck_assert_int_eq(base_row_begin(&b, &row, 10), BASE_OK);
                ck_assert_int_eq(base_row_put_value(&b, 4, int_slice(&w, (int32_t)(k % 2))),
                                 BASE_OK);
                base_row_end(&b);
                apply(&w, base_buf_view(&pkey), BASE_DELETION_NONE, (struct base_slice){0}, NULL,
                      base_buf_view(&ckey), base_buf_view(&row));
            }
        for (int32_t v = 0; v < 3; v++)
            for (int reversed = 0; reversed < 2; reversed++) {
                struct base_filter filter = {
                    .column = 4, .op = BASE_FILTER_EQ, .operand = int_slice(&w, v)};
                struct base_read cmd = BASE_READ_INIT;
                cmd.slices = base_slices_all;
                cmd.filters = &filter;
                cmd.filter_count = 1;
                cmd.reversed = reversed;
                check_query(&w, &cmd);
                cmd.pkey = base_buf_view(&pkey);
                check_query(&w, &cmd);
            }
        ck_ok(lsm_flush(w.store, w.place, NULL, &w.err), w.err);
    }
    ck_assert_uint_lt(w.raw_indexed, w.raw_scanned);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    store_close(&w);
    world_fini(&w);
    base_arena_fini(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm index");
    TCase *tc = tcase_create("index");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_index_reads_what_a_scan_reads, 0, 12);
    tcase_add_loop_test(tc, test_places_are_read_as_one_by_one, 0, 4);
    tcase_add_test(tc, test_build_on_existing_data_shows_progress);
    tcase_add_loop_test(tc, test_build_goes_on_after_a_restart, 0, 24);
    tcase_add_test(tc, test_a_damaged_component_is_named_and_built_anew);
    tcase_add_test(tc, test_every_failure_of_the_disk);
    tcase_add_test(tc, test_every_power_cut);
    tcase_add_test(tc, test_a_wide_partition);
    tcase_add_test(tc, test_the_longest_keys);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
