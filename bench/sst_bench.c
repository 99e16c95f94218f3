/* SSTables alone, without a store around them: what writing, a point read, a missing key and a scan
 * cost, with blocks in our cache and from the operating system's. A floor and a regression check,
 * not a comparison:
 *     bench/sst_bench DIR [partitions [rows of the wide partition]]
 * Times are of the CPU, user and system, so that a shared machine disturbs less; waits for the disk
 * are not in them. Keys are 16 random bytes, values 100 bytes of which half compress, as in
 * bench/kvbench. */
#include <stdio.h>
#include <time.h>

#include "base/compress.h"
#include "base/key.h"
#include "lsm/sstable.h"
#include "node/ports.h"

#define MUST(expr)                                                                                 \
    do {                                                                                           \
        if (expr) {                                                                                \
            fprintf(stderr, "%s: %s\n", #expr, err.text);                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct base_err err;
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static double wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void say(const char *what, double ns, uint64_t n)
{
    printf("%-44s %9.1f ns each, %11.0f /s\n", what, ns / (double)n, (double)n * 1e9 / ns);
    fflush(stdout);
}

struct key {
    uint8_t len, bytes[47];
};

static int by_bytes(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    return memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
}

static struct key *make_keys(size_t n)
{
    struct key *keys = malloc(n * sizeof *keys);
    struct base_buf pkey;
    base_buf_init(&pkey, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        uint64_t pk[2] = {next_random(), next_random()};
        base_buf_reset(&pkey);
        MUST(base_pkey_put(base_slice(pk, 16), &pkey));
        keys[i].len = (uint8_t)pkey.len;
        memcpy(keys[i].bytes, pkey.data, pkey.len);
    }
    base_buf_fini(&pkey);
    qsort(keys, n, sizeof *keys, by_bytes);
    return keys;
}

static void make_row(struct base_buf *row)
{
    struct base_row_builder b;
    uint8_t value[100];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = i % 2 ? 'v' : (uint8_t)next_random();
    memset(value + 50, 'x', 50);
    base_buf_reset(row);
    MUST(base_row_begin(&b, row, 1700000000000000));
    MUST(base_row_put_liveness(&b, 0, 0));
    MUST(base_row_put_value(&b, 1, base_slice(value, sizeof value)));
    base_row_end(&b);
}

/* Rows made beforehand, so that making them is not measured. */
enum { ROWS = 1024 };
static struct base_buf rows_made[ROWS];

static struct base_slice row_of(size_t i)
{
    return base_buf_view(&rows_made[i % ROWS]);
}

static struct lsmi_sst_writer *open_writer(const char *path, int compressor, bool direct)
{
    struct lsmi_sst_params params = {.fs = node_posix_fs(),
                                     .path = path,
                                     .id = 1,
                                     .table_name = "b.b",
                                     .compressor = compressor,
                                     .block_size = 4096,
                                     .bloom_fp_chance = 0.01,
                                     .direct = direct};
    struct lsmi_sst_writer *w;
    (void)!base_fs_remove(node_posix_fs(), path, NULL);
    MUST(lsmi_sst_writer_open(&params, &w, &err));
    return w;
}

static void write_narrow(const char *path, int compressor, bool direct, const struct key *keys,
                         size_t n)
{
    static const uint8_t at = BASE_KEY_AT;
    double begin = now_ns(), begin_wall = wall_ns();
    struct lsmi_sst_writer *w = open_writer(path, compressor, direct);
    for (size_t i = 0; i < n; i++) {
        struct base_partition p = {base_slice(keys[i].bytes, keys[i].len), BASE_DELETION_NONE, {0}};
        struct base_item item = {
            BASE_ITEM_ROW, {&at, 1}, row_of(i), BASE_DELETION_NONE, BASE_DELETION_NONE};
        MUST(lsmi_sst_writer_partition(w, &p, &err));
        MUST(lsmi_sst_writer_item(w, &item, &err));
    }
    struct lsm_sstable_info info;
    double synced = now_ns();
    MUST(lsmi_sst_writer_finish(w, &info, &err));
    double end = now_ns();
    say(direct ? "write, one row a partition, direct" : "write, one row a partition", end - begin,
        n);
    printf("    of that finish and sync %.0f ms, all of it %.0f ms by the clock; file %.1f MB of "
           "%.1f, index %.1f KB, filter %.1f KB, %llu blocks\n",
           (end - synced) / 1e6, (wall_ns() - begin_wall) / 1e6, (double)info.file_size / 1e6,
           (double)info.data_bytes_uncompressed / 1e6, (double)info.index_bytes / 1e3,
           (double)info.filter_bytes / 1e3, (unsigned long long)info.block_count);
}

static size_t wide_key(uint8_t key[16], uint64_t i)
{
    key[0] = BASE_KEY_NEXT;
    base_put_be64(key + 1, i ^ 0x8000000000000000u);
    key[9] = BASE_KEY_AT;
    return 10;
}

static void write_wide(const char *path, const struct key *pkey, size_t n)
{
    double begin = now_ns();
    struct lsmi_sst_writer *w = open_writer(path, BASE_COMPRESS_LZ4, false);
    struct base_partition p = {base_slice(pkey->bytes, pkey->len), BASE_DELETION_NONE, {0}};
    MUST(lsmi_sst_writer_partition(w, &p, &err));
    for (size_t i = 0; i < n; i++) {
        uint8_t key[16];
        struct base_item item = {BASE_ITEM_ROW,
                                 {key, wide_key(key, i)},
                                 row_of(i),
                                 BASE_DELETION_NONE,
                                 BASE_DELETION_NONE};
        MUST(lsmi_sst_writer_item(w, &item, &err));
    }
    struct lsm_sstable_info info;
    MUST(lsmi_sst_writer_finish(w, &info, &err));
    say("write, rows of one partition, with sync", now_ns() - begin, n);
}

static void read_points(struct lsm_sstable *sst, struct lsmi_cache *cache, const struct key *keys,
                        size_t n, size_t spread, const char *what)
{
    static const uint8_t at = BASE_KEY_AT;
    struct base_range one = {{&at, 1}, {&at, 1}};
    struct lsmi_sst_source src = {0};
    struct base_read cmd = BASE_READ_INIT;
    struct base_partition p;
    struct base_item item;
    cmd.slices = (struct base_slices){&one, 1};
    uint64_t seed = random_state;
    for (int pass = 0; pass < 2; pass++) { /* the same keys twice: the first warms */
        double begin = now_ns();
        random_state = seed;
        for (size_t i = 0; i < n; i++) {
            const struct key *key = &keys[next_random() % spread];
            cmd.pkey = base_slice(key->bytes, key->len);
            if (!lsmi_sst_may_contain(sst, cmd.pkey))
                exit(2);
            MUST(lsmi_sst_source_init(&src, sst, &cmd, &err));
            MUST(src.source.ops->partition(&src.source, &p, &err));
            MUST(src.source.ops->next(&src.source, &item, &err));
            if (item.kind != BASE_ITEM_ROW)
                exit(3);
            src.source.ops->close(&src.source);
        }
        if (pass == 1)
            say(what, now_ns() - begin, n);
    }
    struct lsmi_cache_stats stats = {0};
    if (cache) {
        lsmi_cache_get_stats(cache, &stats);
        printf("    cache: %.1f MB, %llu entries, %.1f %% hits\n", (double)stats.size_bytes / 1e6,
               (unsigned long long)stats.entries,
               100.0 * (double)stats.hits / (double)(stats.hits + stats.misses));
    }
    lsmi_sst_source_fini(&src);
}

static void read_missing(struct lsm_sstable *sst, const struct key *keys, size_t n)
{
    uint64_t yes = 0;
    double begin = now_ns();
    for (size_t i = 0; i < n; i++)
        yes += lsmi_sst_may_contain(sst, base_slice(keys[i].bytes, keys[i].len));
    say("missing key (bounds and filter)", now_ns() - begin, n);
    printf("    %.2f %% let through\n", 100.0 * (double)yes / (double)n);
}

static void scan(struct lsm_sstable *sst, bool reversed, const char *what)
{
    struct base_range whole = {{0}, {0}};
    struct base_read cmd = BASE_READ_INIT;
    struct base_partition p;
    struct base_item item;
    struct lsmi_sst_source src = {0};
    cmd.slices = (struct base_slices){&whole, 1};
    cmd.reversed = reversed;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t n = 0;
        double begin = now_ns();
        MUST(lsmi_sst_source_init(&src, sst, &cmd, &err));
        for (;;) {
            MUST(src.source.ops->partition(&src.source, &p, &err));
            if (p.pkey.len == 0)
                break;
            for (;;) {
                MUST(src.source.ops->next(&src.source, &item, &err));
                if (item.kind == BASE_ITEM_END)
                    break;
                n++;
            }
        }
        src.source.ops->close(&src.source);
        if (pass == 1)
            say(what, now_ns() - begin, n);
    }
    lsmi_sst_source_fini(&src);
}

static void scan_50(struct lsm_sstable *sst, const struct key *pkey, size_t rows, size_t n)
{
    struct lsmi_sst_source src = {0};
    struct base_read cmd = BASE_READ_INIT;
    struct base_partition p;
    struct base_item item;
    cmd.pkey = base_slice(pkey->bytes, pkey->len);
    for (int pass = 0; pass < 2; pass++) {
        double begin = now_ns();
        for (size_t i = 0; i < n; i++) {
            uint8_t lo[16];
            uint64_t first = next_random() % (rows - 50);
            struct base_range from = {{lo, wide_key(lo, first)}, {0}};
            cmd.slices = (struct base_slices){&from, 1};
            MUST(lsmi_sst_source_init(&src, sst, &cmd, &err));
            MUST(src.source.ops->partition(&src.source, &p, &err));
            for (int j = 0; j < 50; j++)
                MUST(src.source.ops->next(&src.source, &item, &err));
            src.source.ops->close(&src.source);
        }
        if (pass == 1)
            say("50 rows from a random place", now_ns() - begin, n);
    }
    lsmi_sst_source_fini(&src);
}

static void find_in_cache(struct lsm_sstable *sst, struct lsmi_cache *cache, const struct key *keys,
                          size_t n)
{
    (void)cache;
    read_points(sst, cache, keys, 1000000, n < 2000 ? n : 2000, "point read, 2,000 hot keys");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: sst_bench DIR [partitions [rows of the wide partition]]\n");
        return 1;
    }
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000000,
           rows = argc > 3 ? strtoul(argv[3], NULL, 0) : 1000000;
    char narrow[4096], raw[4096], wide[4096];
    snprintf(narrow, sizeof narrow, "%s/narrow.sst", argv[1]);
    snprintf(raw, sizeof raw, "%s/raw.sst", argv[1]);
    snprintf(wide, sizeof wide, "%s/wide.sst", argv[1]);
    for (size_t i = 0; i < ROWS; i++) {
        base_buf_init(&rows_made[i], 1 << 20);
        make_row(&rows_made[i]);
    }
    struct key *keys = make_keys(n), *strangers = make_keys(n);
    struct lsm_sstable *sst;
    struct lsmi_cache *cache = lsmi_cache_new((size_t)1 << 30);
    write_narrow(narrow, BASE_COMPRESS_LZ4, true, keys, n);
    write_narrow(narrow, BASE_COMPRESS_LZ4, false, keys, n);
    MUST(lsmi_sst_open(node_posix_fs(), narrow, cache, &sst, &err));
    find_in_cache(sst, cache, keys, n);
    read_points(sst, cache, keys, 1000000, n, "point read, all blocks cached");
    read_missing(sst, strangers, n);
    scan(sst, false, "scan, one row a partition");
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    cache = lsmi_cache_new((size_t)4 << 20);
    MUST(lsmi_sst_open(node_posix_fs(), narrow, cache, &sst, &err));
    read_points(sst, cache, keys, 300000, n, "point read, 4 MiB cache, lz4, page cache");
    lsmi_sst_release(sst);
    write_narrow(raw, BASE_COMPRESS_NONE, true, keys, n);
    write_narrow(raw, BASE_COMPRESS_NONE, false, keys, n);
    MUST(lsmi_sst_open(node_posix_fs(), raw, cache, &sst, &err));
    read_points(sst, cache, keys, 300000, n, "point read, 4 MiB cache, raw, page cache");
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    write_wide(wide, keys, rows);
    cache = lsmi_cache_new((size_t)1 << 30);
    MUST(lsmi_sst_open(node_posix_fs(), wide, cache, &sst, &err));
    scan(sst, false, "scan of a wide partition, cached");
    scan(sst, true, "scan of a wide partition, cached, reversed");
    scan_50(sst, keys, rows, 200000);
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    cache = lsmi_cache_new((size_t)4 << 20);
    MUST(lsmi_sst_open(node_posix_fs(), wide, cache, &sst, &err));
    scan(sst, false, "scan of a wide partition, page cache, lz4");
    scan(sst, true, "scan of a wide partition, same, reversed");
    MUST(lsm_sstable_verify(sst, NULL, &err));
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    free(keys);
    free(strangers);
    for (size_t i = 0; i < ROWS; i++)
        base_buf_fini(&rows_made[i]);
    return 0;
}
