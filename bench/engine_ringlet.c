/* Ringlet's store behind bench/engine.h: real files, the pool, no SQL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "bench/engine.h"
#include "lsm/lsm.h"
#include "node/ports.h"

struct state {
    struct base_executor *executor;
    struct lsm_store *store;
    struct lsm_table *table;
    struct base_uuid table_id;
    struct base_buf key, ckey, row, group;
    struct base_source *reuse;
    int64_t ts;
};

static int fail(const char *what, const struct base_err *err)
{
    fprintf(stderr, "ringlet: %s: %s\n", what, err->text);
    return -1;
}

static int engine_open(const struct bench_config *config, void **out)
{
    struct base_err err = {0};
    struct lsm_options options;
    struct state *s = calloc(1, sizeof *s);
    *out = NULL;
    lsm_options_init(&options);
    options.dir = config->dir;
    options.fs = node_posix_fs();
    options.clock = node_real_clock();
    options.random = node_real_random();
    options.cache_size_max = config->cache_bytes;
    /* one being filled, one being flushed */
    options.memtable_size_max = 2 * config->memtable_bytes;
    options.compaction_rate_bytes_s = 0;
    options.sync = config->sync_writes ? LSM_SYNC_BATCH : LSM_SYNC_PERIODIC;
    if (node_executor_open(&s->executor, &err) != BASE_OK)
        return fail("executor", &err);
    options.executor = s->executor;
    if (lsm_open(&options, &s->store, &err) != BASE_OK)
        return fail("open", &err);
    memset(s->table_id.b, 7, 16);
    struct lsm_table_desc desc = lsm_table_desc(s->table_id, "bench.kv");
    if (lsm_table_open(s->store, &desc, &s->table, &err) != BASE_OK ||
        lsm_replay(s->store, &err) != BASE_OK)
        return fail("open", &err);
    struct base_buf *bufs[] = {&s->key, &s->ckey, &s->row, &s->group};
    for (size_t i = 0; i < 4; i++)
        base_buf_init(bufs[i], 64 << 20);
    s->ts = 1700000000000000;
    *out = s;
    return 0;
}

static void engine_close(void *state)
{
    struct state *s = state;
    struct base_err err = {0};
    if (s->reuse)
        s->reuse->ops->close(s->reuse);
    if (lsm_close(s->store, UINT64_MAX, &err) != BASE_OK)
        fail("close", &err);
    node_executor_close(s->executor);
    struct base_buf *bufs[] = {&s->key, &s->ckey, &s->row, &s->group};
    for (size_t i = 0; i < 4; i++)
        base_buf_fini(bufs[i]);
    free(s);
}

static int make_row(struct state *s, const uint8_t *value, size_t value_len)
{
    struct base_row_builder b;
    base_buf_reset(&s->row);
    if (base_row_begin(&b, &s->row, ++s->ts) != BASE_OK ||
        base_row_put_liveness(&b, 0, 0) != BASE_OK ||
        base_row_put_value(&b, 3, base_slice(value, value_len)) != BASE_OK)
        return -1;
    base_row_end(&b);
    return 0;
}

static int engine_put(void *state, const uint8_t *keys, size_t key_len, const uint8_t *values,
                      size_t value_len, size_t n)
{
    struct state *s = state;
    struct base_err err = {0};
    static const uint8_t at[] = {BASE_KEY_AT};
    base_buf_reset(&s->group);
    for (size_t i = 0; i < n; i++) {
        base_buf_reset(&s->key);
        if (make_row(s, values + i * value_len, value_len) != 0 ||
            base_pkey_put(base_slice(keys + i * key_len, key_len), &s->key) != BASE_OK ||
            base_mutation_put_row(&s->group, s->table_id, base_buf_view(&s->key), base_slice(at, 1),
                                  base_buf_view(&s->row)) != BASE_OK)
            return -1;
    }
    int rc = lsm_write(s->store, base_buf_view(&s->group), n, LSM_DURABLE_LOG, 60000000000u, &err);
    return rc == BASE_OK ? 0 : fail("write", &err);
}

static int read_rows(struct state *s, const struct base_range *range, size_t count, uint64_t *sum,
                     uint8_t *value, size_t value_len)
{
    struct base_err err = {0};
    struct base_read cmd = BASE_READ_INIT;
    struct base_partition partition;
    struct base_item item;
    struct base_source *source = NULL;
    size_t seen = 0;
    cmd.table_id = s->table_id;
    cmd.pkey = base_buf_view(&s->key);
    cmd.slices = (struct base_slices){range, 1};
    cmd.row_limit = count;
    cmd.now_s = 1800000000;
    int rc = lsm_read(s->table, &cmd, false, NULL, 0, s->reuse, &source, &err);
    s->reuse = source;
    if (rc != BASE_OK)
        return fail("read", &err);
    rc = source->ops->partition(source, &partition, &err);
    while (rc == BASE_OK && partition.pkey.len && seen < count) {
        struct base_row row;
        struct base_cell cell;
        rc = source->ops->next(source, &item, &err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            break;
        if (!base_row_decode(item.row, &row))
            return -1;
        struct base_cells cells = base_cells_begin(&row);
        if (base_cells_next(&cells, &cell) != 1)
            return -1;
        if (value)
            memcpy(value, cell.value.data, cell.value.len < value_len ? cell.value.len : value_len);
        *sum += cell.value.len ? cell.value.data[0] : 0;
        seen++;
    }
    return rc == BASE_OK ? (int)seen : fail("read", &err);
}

static int engine_get(void *state, const uint8_t *key, size_t key_len, uint8_t *value,
                      size_t value_len)
{
    struct state *s = state;
    static const uint8_t at[] = {BASE_KEY_AT};
    struct base_range range = {base_slice(at, 1), base_slice(at, 1)};
    uint64_t sum = 0;
    base_buf_reset(&s->key);
    if (base_pkey_put(base_slice(key, key_len), &s->key) != BASE_OK)
        return -1;
    return read_rows(s, &range, 1, &sum, value, value_len);
}

static int make_ckey(struct state *s, int64_t row, enum base_key_byte position)
{
    uint8_t bytes[8];
    bool exact = true;
    struct base_err err = {0};
    base_put_be64(bytes, (uint64_t)row);
    if (base_ckey_put(base_type_scalar(BASE_TYPE_BIGINT), false, base_slice(bytes, 8), &s->ckey,
                      &exact, &err) != BASE_OK)
        return fail("key", &err);
    return base_ckey_end(position, &s->ckey);
}

static int engine_put_row(void *state, uint64_t partition, int64_t row, const uint8_t *value,
                          size_t value_len)
{
    struct state *s = state;
    struct base_err err = {0};
    base_buf_reset(&s->group);
    base_buf_reset(&s->key);
    base_buf_reset(&s->ckey);
    if (make_row(s, value, value_len) != 0 ||
        base_pkey_put(base_slice(&partition, 8), &s->key) != BASE_OK ||
        make_ckey(s, row, BASE_KEY_AT) != 0 ||
        base_mutation_put_row(&s->group, s->table_id, base_buf_view(&s->key),
                              base_buf_view(&s->ckey), base_buf_view(&s->row)) != BASE_OK)
        return -1;
    return lsm_write(s->store, base_buf_view(&s->group), 1, LSM_DURABLE_LOG, 60000000000u, &err) ==
                   BASE_OK
               ? 0
               : fail("write", &err);
}

static int engine_scan(void *state, uint64_t partition, int64_t from, size_t count, uint64_t *sum)
{
    struct state *s = state;
    static const uint8_t after[] = {BASE_KEY_AFTER};
    base_buf_reset(&s->key);
    base_buf_reset(&s->ckey);
    if (base_pkey_put(base_slice(&partition, 8), &s->key) != BASE_OK ||
        make_ckey(s, from, BASE_KEY_BEFORE) != 0)
        return -1;
    struct base_range range = {base_buf_view(&s->ckey), base_slice(after, 1)};
    return read_rows(s, &range, count, sum, NULL, 0);
}

static void engine_settle(void *state)
{
    struct base_err err = {0};
    if (lsm_quiesce(((struct state *)state)->store, &err) != BASE_OK)
        fail("settle", &err);
}

static void engine_compact(void *state)
{
    struct base_err err = {0};
    struct state *s = state;
    if (lsm_flush(s->store, NULL, NULL, &err) != BASE_OK ||
        lsm_compact(s->store, NULL, NULL, &err) != BASE_OK)
        fail("compact", &err);
}

static uint64_t engine_disk_bytes(void *state)
{
    struct lsm_stats stats;
    lsm_get_stats(((struct state *)state)->store, &stats);
    return stats.disk_bytes;
}

const struct bench_engine bench_ringlet = {
    "ringlet",      engine_open, engine_close,  engine_put,     engine_get,
    engine_put_row, engine_scan, engine_settle, engine_compact, engine_disk_bytes,
};
