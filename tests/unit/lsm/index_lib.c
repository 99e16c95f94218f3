#include "tests/unit/lsm/index_lib.h"

#include "base/compress.h"
#include "base/path.h"

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

uint32_t ix_below(struct ix_world *w, uint32_t n)
{
    return (uint32_t)rng_below(&w->rng, n);
}

/* The store. */

static void set_indexes(struct ix_world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < IX_INDEXES; i++) {
        if (!(w->index_mask >> i & 1))
            continue;
        w->indexes[n] = all_indexes[i];
        w->indexes[n++].id += w->generation[i] * IX_INDEXES;
    }
    w->table->indexes = w->indexes;
    w->table->index_count = n;
}

struct lsm_table_desc ix_desc_of(struct ix_world *w, struct base_indexer **indexer)
{
    struct lsm_table_desc desc = store_table(w->table->id);
    set_indexes(w);
    ck_ok(base_indexer_new(w->table, indexer, &w->s.err), w->s.err);
    desc.gc_grace_s = 50;
    desc.compressor = BASE_COMPRESS_NONE;
    desc.indexer = *indexer;
    return desc;
}

void ix_store_open(struct ix_world *w)
{
    struct base_indexer *indexer;
    struct lsm_table_desc desc = ix_desc_of(w, &indexer);
    base_err_clear(&w->s.err);
    ck_ok(lsm_open(&w->s.options, &w->s.store, &w->s.err), w->s.err);
    ck_ok(lsm_table_open(w->s.store, &desc, &w->place, &w->s.err), w->s.err);
    ck_ok(lsm_replay(w->s.store, &w->s.err), w->s.err);
    base_indexer_release(indexer);
}

void ix_alter(struct ix_world *w, uint32_t mask)
{
    struct base_indexer *indexer;
    for (size_t i = 0; i < IX_INDEXES; i++)
        w->generation[i] += (mask & ~w->index_mask) >> i & 1;
    w->index_mask = mask;
    struct lsm_table_desc desc = ix_desc_of(w, &indexer);
    ck_ok(lsm_table_alter(w->place, &desc, &w->s.err), w->s.err);
    base_indexer_release(indexer);
}

void ix_store_close(struct ix_world *w)
{
    store_world_close(&w->s, UINT64_MAX);
}

void ix_store_die(struct ix_world *w, bool power)
{
    store_world_die(&w->s, power);
}

void ix_world_init(struct ix_world *w, uint64_t seed)
{
    *w = (struct ix_world){.rng = rng_seeded(seed)};
    store_world_init(&w->s, seed);
    w->s.options.memtable_size_max = 64u << 20; /* flushes are the test's */
    w->s.options.block_size = 512;
    w->s.options.index_build_size_max = seed % 3 ? 4096 : 1 << 20; /* mostly by runs */
    base_arena_init(&w->arena);
    w->table = make_table(&w->arena, "lab", "t", columns);
    w->ts = 1;
}

void ix_world_fini(struct ix_world *w)
{
    store_world_fini(&w->s);
    base_arena_fini(&w->arena);
}

int64_t ix_now_s(struct ix_world *w)
{
    return base_clock_wall_s(&w->s.clock.base);
}

/* Writes. */

static void put_int(struct base_buf *out, int32_t v)
{
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)v);
    ck_assert_int_eq(base_buf_put(out, bytes, 4), BASE_OK);
}

struct base_slice ix_int_slice(struct ix_world *w, int32_t v)
{
    uint8_t *p = base_arena_alloc(&w->arena, 4);
    base_put_be32(p, (uint32_t)v);
    return base_slice(p, 4);
}

void ix_pkey_of(struct ix_world *w, int32_t k, int32_t k2, struct base_buf *out)
{
    struct base_slice values[2] = {ix_int_slice(w, k), ix_int_slice(w, k2)};
    struct base_buf pk;
    base_buf_init(&pk, 1 << 16);
    ck_ok(base_pk_compose(values, 2, &pk, &w->s.err), w->s.err);
    ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), out), BASE_OK);
    base_buf_fini(&pk);
}

void ix_ckey_of(struct ix_world *w, int32_t c, enum base_key_byte position, struct base_buf *out)
{
    ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_INT), false, ix_int_slice(w, c), out, NULL,
                        &w->s.err),
          w->s.err);
    ck_assert_int_eq(base_ckey_end(position, out), BASE_OK);
}

/* A cell of the column: a small value, or dead; sometimes it expires. */
static void put_cell(struct ix_world *w, struct base_row_builder *b, enum ix_column column,
                     int32_t ttl)
{
    struct base_cell cell = {.column = column, .ts = w->ts};
    struct base_buf path, value;
    base_buf_init(&path, 1 << 16);
    base_buf_init(&value, 1 << 16);
    bool dead = ix_below(w, 5) == 0;
    if (column == M || column == SET)
        ck_ok(base_path_put(base_table_column_by_id(w->table, column)->type,
                            ix_int_slice(w, (int32_t)ix_below(w, 5)), &path, NULL, &w->s.err),
              w->s.err);
    if (column == L) {
        uint8_t id[16] = {0, 0, 0, (uint8_t)ix_below(w, 4), 0, 0, 0x10, 0, 0x80};
        ck_ok(base_path_put(base_table_column_by_id(w->table, L)->type, base_slice(id, 16), &path,
                            NULL, &w->s.err),
              w->s.err);
    }
    if (column == B)
        ck_assert_int_eq(base_buf_printf(&value, "%.*s", (int)ix_below(w, 4), "aaa"), BASE_OK);
    else if (column == F)
        for (int32_t n = (int32_t)ix_below(w, 3), i = -1; i < n; i++) {
            if (i >= 0)
                put_int(&value, 4);
            put_int(&value, i < 0 ? n : i * 7);
        }
    else if (column != SET)
        put_int(&value, (int32_t)ix_below(w, 6));
    cell.path = base_buf_view(&path);
    if (dead) {
        cell.flags = BASE_CELL_DEAD;
        cell.local_s = ix_now_s(w);
    } else {
        cell.value = base_buf_view(&value);
        if (ttl) {
            cell.flags = BASE_CELL_EXPIRING;
            cell.ttl = ttl;
            cell.local_s = ix_now_s(w) + ttl;
        }
    }
    ck_assert_int_eq(base_row_put_cell(b, &cell), BASE_OK);
    base_buf_fini(&path);
    base_buf_fini(&value);
}

static void random_row(struct ix_world *w, struct base_buf *out)
{
    struct base_row_builder b;
    int32_t ttl = ix_below(w, 4) == 0 ? (int32_t)ix_below(w, 40) + 1 : 0;
    ck_assert_int_eq(base_row_begin(&b, out, w->ts), BASE_OK);
    uint32_t kind = ix_below(w, 10);
    if (kind == 0) {
        ck_assert_int_eq(base_row_put_deletion(&b, (struct base_deletion){w->ts, ix_now_s(w)}),
                         BASE_OK);
    } else {
        if (kind < 5)
            ck_assert_int_eq(base_row_put_liveness(&b, ttl, ttl ? ix_now_s(w) + ttl : 0), BASE_OK);
        uint32_t mask = ix_below(w, 1u << 6) | (kind >= 5 ? 1u << ix_below(w, 6) : 0);
        for (uint32_t i = 0; i < 6; i++)
            if (mask >> i & 1)
                put_cell(w, &b, (enum ix_column)(A + i), ttl);
    }
    base_row_end(&b);
}

void ix_apply(struct ix_world *w, struct base_slice pkey, struct base_deletion deletion,
              struct base_slice static_row, const struct base_range_deletion *range,
              struct base_slice ckey, struct base_slice row)
{
    struct base_buf m;
    struct base_mutation_row_part part = {ckey, row};
    base_buf_init(&m, 1 << 20);
    ck_assert_int_eq(base_mutation_put(&m, w->table->id, pkey, deletion, static_row, range,
                                       range ? 1 : 0, &part, row.len ? 1 : 0),
                     BASE_OK);
    ck_ok(lsm_write(w->s.store, base_buf_view(&m), 1, LSM_DURABLE_LOG, UINT64_C(10000000000),
                    &w->s.err),
          w->s.err);
    base_buf_fini(&m);
}

void ix_write_random(struct ix_world *w)
{
    struct base_buf pkey, ckey, row, hi;
    static const struct base_slice none;
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    base_buf_init(&row, 1 << 20);
    base_buf_init(&hi, 1 << 16);
    w->ts += 1 + ix_below(w, 3);
    ix_pkey_of(w, (int32_t)ix_below(w, 12), (int32_t)ix_below(w, 3), &pkey);
    uint32_t kind = ix_below(w, 40);
    if (kind == 0) {
        ix_apply(w, base_buf_view(&pkey), (struct base_deletion){w->ts, ix_now_s(w)}, none, NULL,
                 none, none);
    } else if (kind == 1) {
        int32_t from = (int32_t)ix_below(w, 20);
        ix_ckey_of(w, from, BASE_KEY_BEFORE, &ckey);
        ix_ckey_of(w, from + (int32_t)ix_below(w, 6), BASE_KEY_AFTER, &hi);
        struct base_range_deletion range = {
            base_buf_view(&ckey), base_buf_view(&hi), {w->ts, ix_now_s(w)}};
        ix_apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, none, &range, none, none);
    } else if (kind < 6) {
        struct base_row_builder b;
        ck_assert_int_eq(base_row_begin(&b, &row, w->ts), BASE_OK);
        put_cell(w, &b, ST, 0);
        base_row_end(&b);
        ix_apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, base_buf_view(&row), NULL, none,
                 none);
    } else {
        ix_ckey_of(w, (int32_t)ix_below(w, 20), BASE_KEY_AT, &ckey);
        random_row(w, &row);
        ix_apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, none, NULL, base_buf_view(&ckey),
                 base_buf_view(&row));
    }
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    base_buf_fini(&hi);
}

void ix_write_a(struct ix_world *w, int32_t k, int32_t c, int32_t a)
{
    struct base_buf pkey, ckey, row;
    struct base_row_builder b;
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    base_buf_init(&row, 1 << 16);
    ix_pkey_of(w, k, 1, &pkey);
    ix_ckey_of(w, c, BASE_KEY_AT, &ckey);
    ck_assert_int_eq(base_row_begin(&b, &row, ++w->ts), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, A, ix_int_slice(w, a)), BASE_OK);
    base_row_end(&b);
    ix_apply(w, base_buf_view(&pkey), BASE_DELETION_NONE, (struct base_slice){0}, NULL,
             base_buf_view(&ckey), base_buf_view(&row));
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
}

void ix_fill(struct ix_world *w, int rows)
{
    for (int i = 0; i < rows; i++)
        ix_write_random(w);
    ck_ok(lsm_flush(w->s.store, w->place, NULL, &w->s.err), w->s.err);
}

/* Queries. */

struct base_filter ix_random_filter(struct ix_world *w)
{
    static const struct {
        enum ix_column column;
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
    uint32_t i = ix_below(w, BASE_COUNT(kinds));
    struct base_filter f = {.column = kinds[i].column, .op = kinds[i].op};
    struct base_buf value;
    base_buf_init(&value, 1 << 16);
    if (f.op == BASE_FILTER_ENTRY)
        f.element = ix_int_slice(w, (int32_t)ix_below(w, 5));
    if (f.column == B) {
        ck_assert_int_eq(base_buf_printf(&value, "%.*s", (int)ix_below(w, 4), "aaa"), BASE_OK);
    } else if (f.column == F) {
        int32_t n = (int32_t)ix_below(w, 3);
        put_int(&value, n);
        for (int32_t k = 0; k < n; k++) {
            put_int(&value, 4);
            put_int(&value, k * 7);
        }
    } else {
        put_int(&value, (int32_t)ix_below(w, f.column == C ? 20 : 6));
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
int ix_collect(struct ix_world *w, const struct base_read *cmd, const struct base_read *store_cmd,
               uint64_t *raw, struct base_buf *out)
{
    struct base_rows rows;
    struct base_live_row row;
    struct counting counting = {{&counting_ops}, NULL, raw};
    int rc = lsm_read(w->place, store_cmd, false, NULL, 0, NULL, &counting.inner, &w->s.err);
    if (rc != BASE_OK)
        return rc;
    base_rows_open(&rows, cmd, w->table, &counting.source);
    while ((rc = base_rows_next(&rows, &row, &w->s.err)) == BASE_OK && row.pkey.len)
        ck_assert(base_buf_put_bytes(out, row.pkey) == BASE_OK &&
                  base_buf_put_bytes(out, row.static_row) == BASE_OK &&
                  base_buf_put_bytes(out, row.ckey) == BASE_OK &&
                  base_buf_put_bytes(out, row.row) == BASE_OK);
    base_rows_close(&rows);
    return rc;
}

void ix_check_query(struct ix_world *w, const struct base_read *cmd)
{
    struct base_buf by_index, by_scan;
    struct base_read plain = *cmd;
    uint64_t indexed = 0, scanned = 0;
    base_buf_init(&by_index, 1 << 24);
    base_buf_init(&by_scan, 1 << 24);
    plain.filters = NULL;
    plain.filter_count = 0;
    ck_ok(ix_collect(w, cmd, cmd, &indexed, &by_index), w->s.err);
    ck_ok(ix_collect(w, cmd, &plain, &scanned, &by_scan), w->s.err);
    ck_assert_msg(base_slice_equal(base_buf_view(&by_index), base_buf_view(&by_scan)),
                  "query %llu: %zu bytes by index, %zu by scan", (unsigned long long)w->queries,
                  by_index.len, by_scan.len);
    w->raw_indexed += indexed;
    w->raw_scanned += scanned;
    w->queries++;
    base_buf_fini(&by_index);
    base_buf_fini(&by_scan);
}

void ix_query_random(struct ix_world *w)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_filter filters[2];
    struct base_range ranges[2];
    struct base_buf pkey, bounds[4];
    base_buf_init(&pkey, 1 << 16);
    for (size_t i = 0; i < 4; i++)
        base_buf_init(&bounds[i], 1 << 16);
    cmd.table_id = w->table->id;
    cmd.now_s = ix_now_s(w);
    cmd.slices = base_slices_all;
    cmd.filter_count = 1 + (ix_below(w, 3) == 0);
    for (size_t i = 0; i < cmd.filter_count; i++)
        filters[i] = ix_random_filter(w);
    cmd.filters = filters;
    cmd.reversed = ix_below(w, 4) == 0;
    uint32_t where = ix_below(w, 5);
    if (where == 0) {
        ix_pkey_of(w, (int32_t)ix_below(w, 12), (int32_t)ix_below(w, 3), &pkey);
        cmd.pkey = base_buf_view(&pkey);
    } else if (where == 1) {
        int64_t a = (int64_t)rng_u64(&w->rng), b = (int64_t)rng_u64(&w->rng);
        cmd.token_after = a < b ? a : b;
        cmd.token_upto = a < b ? b : a;
    } else if (where == 2) {
        ix_pkey_of(w, (int32_t)ix_below(w, 12), (int32_t)ix_below(w, 3), &pkey);
        cmd.start_pkey = base_buf_view(&pkey);
    }
    if (ix_below(w, 3) == 0) {
        int32_t at = (int32_t)ix_below(w, 8);
        for (size_t i = 0; i < 4; i++, at += 1 + (int32_t)ix_below(w, 5))
            ix_ckey_of(w, at, i % 2 ? BASE_KEY_AFTER : BASE_KEY_BEFORE, &bounds[i]);
        ranges[0] = (struct base_range){base_buf_view(&bounds[0]), base_buf_view(&bounds[1])};
        ranges[1] = (struct base_range){base_buf_view(&bounds[2]), base_buf_view(&bounds[3])};
        cmd.slices = (struct base_slices){ranges, ix_below(w, 3)};
    }
    if (ix_below(w, 3) == 0)
        cmd.row_limit = 1 + ix_below(w, 5);
    if (ix_below(w, 6) == 0)
        cmd.partition_row_limit = 1 + ix_below(w, 3);
    ix_check_query(w, &cmd);
    base_buf_fini(&pkey);
    for (size_t i = 0; i < 4; i++)
        base_buf_fini(&bounds[i]);
}

struct base_read ix_read_a(struct ix_world *w, struct base_filter *filter, int32_t v)
{
    struct base_read cmd = BASE_READ_INIT;
    *filter =
        (struct base_filter){.column = A, .op = BASE_FILTER_EQ, .operand = ix_int_slice(w, v)};
    cmd.slices = base_slices_all;
    cmd.now_s = ix_now_s(w);
    cmd.filters = filter;
    cmd.filter_count = 1;
    return cmd;
}

struct lsm_index_stats ix_stats_of(struct ix_world *w, size_t at)
{
    struct lsm_index_stats stats[IX_INDEXES];
    ck_assert_uint_gt(lsm_table_get_index_stats(w->place, stats, IX_INDEXES), at);
    return stats[at];
}
