/* storebench [DIR]: what the store's own paths cost: a mutation through lsm_write (one by one, in
 * groups), a point read of a memtable row through lsm_read with reuse, synced writes by one thread
 * and by eight. No peer beside it: for that there is kvbench; this says where its time goes. */
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/key.h"
#include "lsm/lsm.h"
#include "node/ports.h"

enum { ROWS = 300000, GROUP = 1000, READS = 1000000, THREADS = 8, SYNCED = 1500 };

static struct lsm_store *store;
static struct lsm_table *table;
static const struct base_uuid table_id = {{1}};

static void must(int rc, const struct base_err *err)
{
    if (rc != BASE_OK) {
        fprintf(stderr, "storebench: %s\n", err->text);
        exit(1);
    }
}

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x7fb5d329728ea185);
    x ^= x >> 27;
    return x * UINT64_C(0x81dadef4bc2dd44d);
}

/* A 16-byte key, a 100-byte value: about 150 bytes. */
static void put(struct base_buf *out, struct base_buf *scratch, uint64_t i)
{
    static const uint8_t ckey[] = {BASE_KEY_AT};
    uint64_t key[2] = {mix(i), mix(~i)};
    char value[100];
    memset(value, (int)i, sizeof value);
    struct base_row_builder b;
    base_buf_reset(scratch);
    int rc = base_pkey_put(base_slice(key, 16), scratch);
    size_t pkey_len = scratch->len;
    rc = rc ? rc : base_row_begin(&b, scratch, (int64_t)i);
    rc = rc ? rc : base_row_put_liveness(&b, 0, 0);
    rc = rc ? rc : base_row_put_value(&b, 1, base_slice(value, sizeof value));
    if (rc == BASE_OK) {
        base_row_end(&b);
        rc = base_mutation_put_row(out, table_id, base_slice(scratch->data, pkey_len),
                                   base_slice(ckey, 1),
                                   base_slice(scratch->data + pkey_len, scratch->len - pkey_len));
    }
    if (rc != BASE_OK)
        exit(1);
}

static void report(const char *what, uint64_t n, uint64_t start_ns, double start_cpu,
                   double less_us)
{
    double wall = (double)(base_clock_mono(node_real_clock()).ns - start_ns) / 1e3 / (double)n;
    printf("%-44s %8.3f us wall %8.3f us CPU of the caller\n", what, wall - less_us,
           (cpu_us() - start_cpu) / (double)n - less_us);
}

static void fill(uint64_t from, size_t group, double less_us, const char *what)
{
    struct base_err err;
    struct base_buf out, scratch;
    base_buf_init(&out, SIZE_MAX / 2);
    base_buf_init(&scratch, 1 << 16);
    uint64_t start = base_clock_mono(node_real_clock()).ns;
    double cpu = cpu_us();
    for (uint64_t i = 0; i < ROWS; i += group) {
        base_buf_reset(&out);
        for (size_t k = 0; k < group; k++)
            put(&out, &scratch, from + i + k);
        if (store)
            must(lsm_write(store, base_buf_view(&out), group, LSM_DURABLE_LOG,
                           UINT64_C(10000000000), &err),
                 &err);
    }
    if (what)
        report(what, ROWS, start, cpu, less_us);
    base_buf_fini(&out);
    base_buf_fini(&scratch);
}

static void read_points(uint64_t rows)
{
    struct base_err err;
    struct base_source *src = NULL;
    struct base_buf pkey;
    base_buf_init(&pkey, 100);
    uint64_t start = base_clock_mono(node_real_clock()).ns, found = 0;
    double cpu = cpu_us();
    for (uint64_t i = 0; i < READS; i++) {
        uint64_t n = mix(i * 77) % rows, key[2] = {mix(n), mix(~n)};
        base_buf_reset(&pkey);
        if (base_pkey_put(base_slice(key, 16), &pkey) != BASE_OK)
            exit(1);
        struct base_read cmd = BASE_READ_INIT;
        cmd.pkey = base_buf_view(&pkey);
        cmd.slices = base_slices_all;
        cmd.now_s = 1;
        must(lsm_read(table, &cmd, false, NULL, 0, src, &src, &err), &err);
        struct base_partition p;
        struct base_item item;
        must(src->ops->partition(src, &p, &err), &err);
        must(src->ops->next(src, &item, &err), &err);
        found += item.kind == BASE_ITEM_ROW;
    }
    report("point read in the memtable, key made each time", READS, start, cpu, 0);
    if (found != READS)
        printf("only %llu found\n", (unsigned long long)found);
    src->ops->close(src);
    base_buf_fini(&pkey);
}

static void *synced_main(void *arg)
{
    struct base_err err;
    struct base_buf out, scratch;
    base_buf_init(&out, SIZE_MAX / 2);
    base_buf_init(&scratch, 1 << 16);
    for (uint64_t i = 0; i < SYNCED; i++) {
        base_buf_reset(&out);
        put(&out, &scratch, (uint64_t)(uintptr_t)arg * SYNCED + i);
        must(lsm_write(store, base_buf_view(&out), 1, LSM_DURABLE_SYNCED, UINT64_C(10000000000),
                       &err),
             &err);
    }
    base_buf_fini(&out);
    base_buf_fini(&scratch);
    return NULL;
}

static void synced(size_t threads)
{
    pthread_t thread[THREADS];
    uint64_t start = base_clock_mono(node_real_clock()).ns;
    for (size_t i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, synced_main, (void *)(uintptr_t)i);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    double s = (double)(base_clock_mono(node_real_clock()).ns - start) / 1e9;
    printf("synced writes, %zu thread%s %30.0f /s\n", threads, threads > 1 ? "s" : " ",
           (double)(threads * SYNCED) / s);
}

int main(int argc, char **argv)
{
    struct base_err err;
    struct lsm_options options;
    struct base_executor *executor;
    char dir[4000], command[4100];
    snprintf(dir, sizeof dir, "%.3000s/storebench-%d", argc > 1 ? argv[1] : "/tmp", (int)getpid());
    must(node_executor_open(&executor, &err), &err);
    lsm_options_init(&options);
    options.dir = dir;
    options.fs = node_posix_fs();
    options.clock = node_real_clock();
    options.random = node_real_random();
    options.executor = executor;
    options.memtable_size_max = (uint64_t)1 << 30; /* no flush: the paths alone */
    options.commitlog_total_size = (uint64_t)1 << 30;
    uint64_t start = base_clock_mono(node_real_clock()).ns;
    fill(0, 1, 0, NULL); /* what making a mutation costs, to be taken off */
    double less = (double)(base_clock_mono(node_real_clock()).ns - start) / 1e3 / ROWS;
    struct lsm_table_desc desc = lsm_table_desc(table_id, "bench.t");
    desc.compaction_enabled = false;
    must(lsm_open(&options, &store, &err), &err);
    must(lsm_table_open(store, &desc, &table, &err), &err);
    must(lsm_replay(store, &err), &err);
    printf("making a mutation: %.3f us (taken off below)\n", less);
    fill(0, 1, less, "lsm_write, one by one");
    fill(ROWS, GROUP, less, "lsm_write, a row in groups of 1,000");
    fill(0, GROUP, less, "the same rows again (each merged with the old)");
    read_points(2 * ROWS);
    synced(1);
    synced(THREADS);
    must(lsm_close(store, UINT64_MAX, &err), &err);
    node_executor_close(executor);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
