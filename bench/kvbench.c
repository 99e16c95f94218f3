/* kvbench: one loop over our store and RocksDB, side by side in one run.
 *
 *   kvbench [--keys N] [--engines ringlet,rocksdb] [--dir DIR] [--cache MIB] [--memtable MIB]
 *   [--tests LIST] [--rounds N] [--ops N]
 *
 * LIST: of kv, batch, rows, sync (all); N operations in the read and scan tests (keys / 4, keys /
 * 40). 16-byte random keys, 100-byte values that compress by about 1.7. Rounds interleave the
 * engines; medians are printed with the ratio. A figure without its peer beside it is no figure
 * (DESIGN.md §13). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/engine.h"

enum {
    KEY_LEN = 16,
    VALUE_LEN = 100,
    BATCH = 1000,
    SCAN = 50,
    ROWS_PER_PARTITION = 1000,
    ROUNDS_MAX = 15
};

static size_t key_count = 2000000, op_count;
static const char *tests = "kv,batch,rows,sync";
static const char *root = "/tmp/kvbench";
static struct bench_config config = {.cache_bytes = (size_t)1 << 30,
                                     .memtable_bytes = (size_t)64 << 20};

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void make_key(uint64_t i, uint8_t key[KEY_LEN])
{
    uint64_t a = mix(i), b = mix(~i);
    memcpy(key, &a, 8);
    memcpy(key + 8, &b, 8);
}

static void make_value(uint64_t i, uint8_t value[VALUE_LEN])
{
    for (size_t at = 0; at < VALUE_LEN / 2; at += 8) {
        uint64_t v = mix(i * 131 + at);
        memcpy(value + at, &v, VALUE_LEN / 2 - at < 8 ? VALUE_LEN / 2 - at : 8);
    }
    memcpy(value + VALUE_LEN / 2, value, VALUE_LEN / 2);
}

static void must(int ok)
{
    if (!ok) {
        fputs("kvbench: wrong result\n", stderr);
        exit(1);
    }
}

struct result {
    double ops, cpu_us;
};

static struct result measure_end(double start, double cpu, double ops)
{
    double seconds = now_s() - start;
    return (struct result){ops / seconds, (cpu_s() - cpu) * 1e6 / ops};
}

static struct result fill(const struct bench_engine *e, void *s, size_t batch)
{
    static uint8_t keys[BATCH * KEY_LEN], values[BATCH * VALUE_LEN];
    double start = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < key_count; i += batch) {
        for (size_t j = 0; j < batch; j++) {
            make_key(i + j, keys + j * KEY_LEN);
            make_value(i + j, values + j * VALUE_LEN);
        }
        must(e->put(s, keys, KEY_LEN, values, VALUE_LEN, batch) == 0);
    }
    return measure_end(start, cpu, (double)key_count);
}

static struct result reads(const struct bench_engine *e, void *s, size_t n, bool missing)
{
    uint8_t key[KEY_LEN], value[VALUE_LEN], want[VALUE_LEN];
    static uint64_t seed = 1;
    double start = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < n; i++) {
        uint64_t k = mix(seed++) % key_count;
        make_key(missing ? k + ((uint64_t)1 << 40) : k, key);
        int found = e->get(s, key, KEY_LEN, value, VALUE_LEN);
        must(found == !missing);
        if (!missing && i % 64 == 0) {
            make_value(k, want);
            must(memcmp(value, want, VALUE_LEN) == 0);
        }
    }
    return measure_end(start, cpu, (double)n);
}

static struct result mixed(const struct bench_engine *e, void *s, size_t n)
{
    uint8_t key[KEY_LEN], value[VALUE_LEN];
    static uint64_t seed = 77777;
    double start = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < n; i++) {
        uint64_t k = mix(seed++) % key_count;
        make_key(k, key);
        if (i & 1) {
            make_value(k, value);
            must(e->put(s, key, KEY_LEN, value, VALUE_LEN, 1) == 0);
        } else {
            must(e->get(s, key, KEY_LEN, value, VALUE_LEN) == 1);
        }
    }
    return measure_end(start, cpu, (double)n);
}

static struct result fill_rows(const struct bench_engine *e, void *s)
{
    uint8_t value[VALUE_LEN];
    double start = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < key_count; i++) {
        make_value(i, value);
        must(e->put_row(s, mix(i / ROWS_PER_PARTITION), (int64_t)(i % ROWS_PER_PARTITION), value,
                        VALUE_LEN) == 0);
    }
    return measure_end(start, cpu, (double)key_count);
}

static struct result scans(const struct bench_engine *e, void *s, size_t n)
{
    static uint64_t seed = 5;
    uint64_t sum = 0;
    double start = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < n; i++) {
        uint64_t r = mix(seed++);
        int64_t from = (int64_t)((r >> 32) % (ROWS_PER_PARTITION - SCAN));
        must(e->scan(s, mix(r % (key_count / ROWS_PER_PARTITION)), from, SCAN, &sum) == SCAN);
    }
    return measure_end(start, cpu, (double)n);
}

/* Rounds. */

enum test {
    FILL,
    FILL_BATCH,
    READ_SETTLED,
    READ_COMPACTED,
    MISSING,
    MIXED,
    FILL_ROWS,
    SCAN_SETTLED,
    SCAN_COMPACTED,
    DISK_MB,
    SYNC_ONE,
    TEST_COUNT
};
static const char *const test_names[TEST_COUNT] = {
    "random fill, one by one",
    "random fill, 1,000 a group",
    "read, settled",
    "read, compacted",
    "missing key",
    "mixed 50/50",
    "rows of a partition, one by one",
    "scan of 50, settled",
    "scan of 50, compacted",
    "disk MB (after compaction)",
    "synced, 1 thread",
};

static struct result results[2][TEST_COUNT][ROUNDS_MAX];

static void *reopen(const struct bench_engine *e, const char *sub, bool fresh)
{
    static char dir[512];
    char command[600];
    void *s;
    snprintf(dir, sizeof dir, "%s/%s-%s", root, e->name, sub);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (fresh)
        must(system(command) == 0);
    mkdir(root, 0700);
    config.dir = dir;
    must(e->open(&config, &s) == 0);
    return s;
}

static void round_kv(const struct bench_engine *e, struct result r[TEST_COUNT][ROUNDS_MAX],
                     int round)
{
    size_t n = op_count ? op_count : key_count / 4;
    void *s = reopen(e, "kv", true);
    r[FILL][round] = fill(e, s, 1);
    e->settle(s);
    reads(e, s, n, false);
    r[READ_SETTLED][round] = reads(e, s, n, false);
    r[MISSING][round] = reads(e, s, n, true);
    e->compact(s);
    e->settle(s);
    reads(e, s, n, false);
    r[READ_COMPACTED][round] = reads(e, s, n, false);
    r[DISK_MB][round].ops = (double)e->disk_bytes(s) / 1e6;
    r[MIXED][round] = mixed(e, s, n);
    e->close(s);
}

static void round_rows(const struct bench_engine *e, struct result r[TEST_COUNT][ROUNDS_MAX],
                       int round)
{
    size_t n = op_count ? op_count : key_count / 40;
    void *s = reopen(e, "rows", true);
    r[FILL_ROWS][round] = fill_rows(e, s);
    e->settle(s);
    scans(e, s, n / 2);
    r[SCAN_SETTLED][round] = scans(e, s, n);
    e->compact(s);
    e->settle(s);
    scans(e, s, n / 2);
    r[SCAN_COMPACTED][round] = scans(e, s, n);
    e->close(s);
}

static void round_sync(const struct bench_engine *e, struct result r[TEST_COUNT][ROUNDS_MAX],
                       int round)
{
    size_t all = key_count;
    config.sync_writes = true;
    void *s = reopen(e, "sync", true);
    key_count = 4000;
    r[SYNC_ONE][round] = fill(e, s, 1);
    key_count = all;
    config.sync_writes = false;
    e->close(s);
}

static void run_round(const struct bench_engine *e, struct result r[TEST_COUNT][ROUNDS_MAX],
                      int round)
{
    if (strstr(tests, "kv"))
        round_kv(e, r, round);
    if (strstr(tests, "batch")) {
        void *s = reopen(e, "kv", true);
        r[FILL_BATCH][round] = fill(e, s, BATCH);
        e->close(s);
    }
    if (strstr(tests, "rows"))
        round_rows(e, r, round);
    if (strstr(tests, "sync"))
        round_sync(e, r, round);
}

static int by_ops(const void *a, const void *b)
{
    double x = ((const struct result *)a)->ops, y = ((const struct result *)b)->ops;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"keys", required_argument, NULL, 'k'},
        {"dir", required_argument, NULL, 'd'},
        {"cache", required_argument, NULL, 'c'},
        {"memtable", required_argument, NULL, 'm'},
        {"rounds", required_argument, NULL, 'r'},
        {"engines", required_argument, NULL, 'e'},
        {"tests", required_argument, NULL, 't'},
        {"ops", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    const struct bench_engine *engines[2] = {&bench_ringlet, NULL};
    int engine_count = 1, rounds = 3, option;
#ifdef BENCH_ROCKSDB
    engines[engine_count++] = &bench_rocksdb;
#endif
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'k')
            key_count = strtoull(optarg, NULL, 10) / BATCH * BATCH;
        else if (option == 'd')
            root = optarg;
        else if (option == 'c')
            config.cache_bytes = (size_t)strtoull(optarg, NULL, 10) << 20;
        else if (option == 'm')
            config.memtable_bytes = (size_t)strtoull(optarg, NULL, 10) << 20;
        else if (option == 'r')
            rounds = atoi(optarg) < ROUNDS_MAX ? atoi(optarg) : ROUNDS_MAX;
        else if (option == 't')
            tests = optarg;
        else if (option == 'o')
            op_count = strtoull(optarg, NULL, 10);
        else if (option == 'e' && strcmp(optarg, "ringlet") == 0)
            engine_count = 1;
        else if (option != 'e')
            return 2;
    }
    for (int round = 0; round < rounds; round++)
        for (int e = 0; e < engine_count; e++) {
            fprintf(stderr, "round %d: %s\n", round + 1, engines[e]->name);
            run_round(engines[e], results[e], round);
        }
    printf("%zu keys, cache %zu MiB, memtable %zu MiB, median of %d\n", key_count,
           config.cache_bytes >> 20, config.memtable_bytes >> 20, rounds);
    printf("%-32s %12s %9s", "", "ringlet/s", "CPU us");
    if (engine_count > 1)
        printf(" %12s %9s %7s", "rocksdb/s", "CPU us", "ratio");
    puts("");
    for (int t = 0; t < TEST_COUNT; t++) {
        struct result median[2];
        for (int e = 0; e < engine_count; e++) {
            qsort(results[e][t], (size_t)rounds, sizeof(struct result), by_ops);
            median[e] = results[e][t][rounds / 2];
        }
        if (median[0].ops <= 0)
            continue;
        printf("%-32s %12.0f %9.2f", test_names[t], median[0].ops, median[0].cpu_us);
        if (engine_count > 1)
            printf(" %12.0f %9.2f %7.2f", median[1].ops, median[1].cpu_us,
                   median[0].ops / median[1].ops);
        puts("");
    }
    return 0;
}
