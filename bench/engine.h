/* What kvbench asks of an engine, so that one loop drives all of them. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_config {
    const char *dir;
    size_t cache_bytes;
    size_t memtable_bytes;
    bool sync_writes; /* every write synced before it is acknowledged */
};

struct bench_engine {
    const char *name;
    int (*open)(const struct bench_config *config, void **state);
    void (*close)(void *state);
    /* Put n rows as one atomic group. keys and values are packed, fixed sizes. */
    int (*put)(void *state, const uint8_t *keys, size_t key_len, const uint8_t *values,
               size_t value_len, size_t n);
    /* 1 found (value_len bytes copied), 0 missing, -1 error. */
    int (*get)(void *state, const uint8_t *key, size_t key_len, uint8_t *value, size_t value_len);
    /* The same for rows of a wide partition: partition 8 bytes, row number. */
    int (*put_row)(void *state, uint64_t partition, int64_t row, const uint8_t *value,
                   size_t value_len);
    /* Read `count` rows from row `from`; returns how many were seen, adds a byte of each value to
     * *sum. */
    int (*scan)(void *state, uint64_t partition, int64_t from, size_t count, uint64_t *sum);
    void (*settle)(void *state);  /* wait for flushes and compactions */
    void (*compact)(void *state); /* everything into one sorted run */
    uint64_t (*disk_bytes)(void *state);
};

extern const struct bench_engine bench_ringlet;
extern const struct bench_engine bench_rocksdb;

#endif
