/* RocksDB behind bench/engine.h, by its C interface: 10-bit bloom filters, lz4, universal defaults
 * else. Link the honest build (docs/performance.md), not Debian's. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/engine.h"

struct state {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
    rocksdb_iterator_t *iterator; /* kept over scans and refreshed, the fastest way */
};

static int check(char *error)
{
    if (!error)
        return 0;
    fprintf(stderr, "rocksdb: %s\n", error);
    free(error);
    return -1;
}

static int engine_open(const struct bench_config *config, void **out)
{
    char *error = NULL;
    struct state *s = calloc(1, sizeof *s);
    s->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(s->options, 1);
    rocksdb_options_set_write_buffer_size(s->options, config->memtable_bytes);
    rocksdb_options_set_compression(s->options, rocksdb_lz4_compression);
    rocksdb_options_set_max_background_jobs(s->options, 2);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_block_cache(table,
                                                rocksdb_cache_create_lru(config->cache_bytes));
    rocksdb_options_set_block_based_table_factory(s->options, table);
    s->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->write, config->sync_writes);
    s->read = rocksdb_readoptions_create();
    s->batch = rocksdb_writebatch_create();
    s->db = rocksdb_open(s->options, config->dir, &error);
    *out = s;
    return check(error);
}

static void engine_close(void *state)
{
    struct state *s = state;
    if (s->iterator)
        rocksdb_iter_destroy(s->iterator);
    rocksdb_close(s->db);
    rocksdb_writebatch_destroy(s->batch);
    rocksdb_writeoptions_destroy(s->write);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_options_destroy(s->options);
    free(s);
}

static int engine_put(void *state, const uint8_t *keys, size_t key_len, const uint8_t *values,
                      size_t value_len, size_t n)
{
    struct state *s = state;
    char *error = NULL;
    if (n == 1) {
        rocksdb_put(s->db, s->write, (const char *)keys, key_len, (const char *)values, value_len,
                    &error);
        return check(error);
    }
    rocksdb_writebatch_clear(s->batch);
    for (size_t i = 0; i < n; i++)
        rocksdb_writebatch_put(s->batch, (const char *)keys + i * key_len, key_len,
                               (const char *)values + i * value_len, value_len);
    rocksdb_write(s->db, s->write, s->batch, &error);
    return check(error);
}

static int engine_get(void *state, const uint8_t *key, size_t key_len, uint8_t *value,
                      size_t value_len)
{
    struct state *s = state;
    char *error = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned(s->db, s->read, (const char *)key, key_len, &error);
    if (check(error) != 0)
        return -1;
    if (!found)
        return 0;
    size_t len;
    const char *data = rocksdb_pinnableslice_value(found, &len);
    memcpy(value, data, len < value_len ? len : value_len);
    rocksdb_pinnableslice_destroy(found);
    return 1;
}

static void row_key(uint64_t partition, int64_t row, char key[16])
{
    uint64_t big = __builtin_bswap64((uint64_t)row);
    memcpy(key, &partition, 8);
    memcpy(key + 8, &big, 8);
}

static int engine_put_row(void *state, uint64_t partition, int64_t row, const uint8_t *value,
                          size_t value_len)
{
    struct state *s = state;
    char key[16], *error = NULL;
    row_key(partition, row, key);
    rocksdb_put(s->db, s->write, key, 16, (const char *)value, value_len, &error);
    return check(error);
}

static int engine_scan(void *state, uint64_t partition, int64_t from, size_t count, uint64_t *sum)
{
    struct state *s = state;
    char key[16];
    size_t seen = 0;
    if (!s->iterator)
        s->iterator = rocksdb_create_iterator(s->db, s->read);
    row_key(partition, from, key);
    for (rocksdb_iter_seek(s->iterator, key, 16); seen < count && rocksdb_iter_valid(s->iterator);
         rocksdb_iter_next(s->iterator)) {
        size_t len;
        const char *found = rocksdb_iter_key(s->iterator, &len);
        if (memcmp(found, key, 8) != 0)
            break;
        const char *value = rocksdb_iter_value(s->iterator, &len);
        *sum += len ? (uint8_t)value[0] : 0;
        seen++;
    }
    return (int)seen;
}

static uint64_t property(struct state *s, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int(s->db, name, &value) == 0 ? value : 0;
}

static void engine_settle(void *state)
{
    struct state *s = state;
    struct timespec pause = {0, 20000000};
    while (property(s, "rocksdb.mem-table-flush-pending") ||
           property(s, "rocksdb.num-running-flushes") ||
           property(s, "rocksdb.compaction-pending") ||
           property(s, "rocksdb.num-running-compactions"))
        nanosleep(&pause, NULL);
}

static void engine_compact(void *state)
{
    struct state *s = state;
    char *error = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flush(s->db, flush, &error);
    rocksdb_flushoptions_destroy(flush);
    check(error);
    rocksdb_compact_range(s->db, NULL, 0, NULL, 0);
}

static uint64_t engine_disk_bytes(void *state)
{
    return property(state, "rocksdb.total-sst-files-size");
}

const struct bench_engine bench_rocksdb = {
    "rocksdb",      engine_open, engine_close,  engine_put,     engine_get,
    engine_put_row, engine_scan, engine_settle, engine_compact, engine_disk_bytes,
};
