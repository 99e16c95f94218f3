/* Without this: rows come back wrong, or not, or twice, at a block's edge, under a range deletion,
 * in reverse; and a flipped bit on the disk becomes data.
 *
 * SST_SEED and SST_ROUNDS (environment) run more random histories than make check does. */
#include <stdio.h>

#include "base/checksum.h"
#include "base/compress.h"
#include "base/key.h"
#include "tests/lib/scale.h"
#include "tests/lib/sim_fs.h"
#include "tests/unit/lsm/sst_lib.h"

static const char path[] = "t.sst";

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static struct lsm_sstable *open_sst(struct sim_fs *fs, struct lsmi_cache *cache)
{
    struct base_err err;
    struct lsm_sstable *sst;
    ck_ok(lsmi_sst_open(sim_fs_port(fs), path, cache, &sst, &err), err);
    return sst;
}

static void check_read(struct lsm_sstable *sst, struct lsmi_sst_source *src, const struct model *m,
                       const struct base_read *cmd, const char *what)
{
    struct base_err err;
    struct base_buf expected, got;
    base_buf_init(&expected, SIZE_MAX / 2);
    base_buf_init(&got, SIZE_MAX / 2);
    model_read(m, cmd, &expected);
    ck_ok(lsmi_sst_source_init(src, sst, cmd, &err), err);
    ck_ok(source_dump(&src->source, &got, &err), err);
    src->source.ops->close(&src->source);
    if (!base_slice_equal(base_buf_view(&expected), base_buf_view(&got))) {
        size_t at = 0;
        while (at < expected.len && at < got.len && expected.data[at] == got.data[at])
            at++;
        while (at && expected.data[at - 1] != '\n')
            at--;
        ck_abort_msg("%s%s: expected\n%.*s\ngot\n%.*s", what, cmd->reversed ? " reversed" : "",
                     (int)(expected.len - at < 400 ? expected.len - at : 400),
                     (char *)expected.data + at, (int)(got.len - at < 400 ? got.len - at : 400),
                     (char *)got.data + at);
    }
    base_buf_fini(&expected);
    base_buf_fini(&got);
}

static void random_reads(struct rng *rng, struct lsm_sstable *sst, const struct model *m,
                         size_t count)
{
    struct lsmi_sst_source src = {0};
    struct base_arena arena;
    base_arena_init(&arena);
    for (size_t i = 0; i < count; i++) {
        struct base_read cmd = BASE_READ_INIT;
        const struct model_partition *p =
            m->count ? &m->partitions[rng_below(rng, m->count)] : NULL;
        cmd.reversed = rng_chance(rng, 50);
        cmd.slices = rng_chance(rng, 25) ? slices_whole : random_slices(rng, &arena, p);
        if (p && rng_chance(rng, 70)) {
            cmd.pkey = p->pkey;
            ck_assert(lsmi_sst_may_contain(sst, p->pkey));
            check_read(sst, &src, m, &cmd, "one partition");
        } else {
            if (p && rng_chance(rng, 70))
                cmd.token_after =
                    base_token_get(m->partitions[rng_below(rng, m->count)].pkey.data) -
                    (int64_t)rng_below(rng, 2);
            if (p && rng_chance(rng, 70))
                cmd.token_upto = base_token_get(m->partitions[rng_below(rng, m->count)].pkey.data) -
                                 (int64_t)rng_below(rng, 2);
            if (p && rng_chance(rng, 30))
                cmd.start_pkey = p->pkey;
            check_read(sst, &src, m, &cmd, "token range");
        }
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
    lsmi_sst_source_fini(&src);
}

static void round_trip(uint64_t seed, const struct model_shape *shape, int compressor,
                       uint32_t block_size, size_t cache_size, size_t reads)
{
    struct rng rng = rng_seeded(seed);
    struct sim_fs *fs = sim_fs_new(seed);
    struct lsmi_cache *cache = cache_size ? lsmi_cache_new(cache_size) : NULL;
    struct model m;
    struct base_err err;
    struct lsm_sstable_info info, again;
    model_make(&m, &rng, shape);
    struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
    params.compressor = compressor;
    params.block_size = block_size;
    params.bloom_fp_chance = seed % 5 == 0 ? 1 : 0.01;
    model_write(&m, &params, &info);
    struct lsm_sstable *sst = open_sst(fs, cache);
    lsm_sstable_get_info(sst, &again);
    ck_assert_mem_eq(&info, &again, sizeof info);
    ck_assert_uint_eq(info.partition_count, m.count);
    ck_ok(lsm_sstable_verify(sst, NULL, &err), err);
    struct lsmi_sst_source src = {0};
    struct base_read all = BASE_READ_INIT;
    all.slices = slices_whole;
    check_read(sst, &src, &m, &all, "everything");
    all.reversed = true;
    check_read(sst, &src, &m, &all, "everything");
    for (size_t i = 0; i < m.count && i < 20; i++) {
        all.pkey = m.partitions[i].pkey;
        check_read(sst, &src, &m, &all, "one partition");
    }
    lsmi_sst_source_fini(&src);
    random_reads(&rng, sst, &m, reads);
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    model_free(&m);
    sim_fs_free(fs);
}

START_TEST(random_tables_read_back)
{
    uint64_t rounds = setting("SST_ROUNDS", scale_rounds(6)),
             seed = setting("SST_SEED", 1) + (uint64_t)_i * 1000;
    static const struct model_shape shapes[] = {
        {.partitions = 300,
         .items_max = 1,
         .value_max = 60,
         .components = 0,
         .static_percent = 10,
         .deletion_percent = 5},
        {.partitions = 60,
         .items_max = 40,
         .value_max = 60,
         .components = 2,
         .marker_percent = 30,
         .static_percent = 30,
         .deletion_percent = 20},
        {.partitions = 3,
         .items_max = 3000,
         .value_max = 60,
         .components = 2,
         .marker_percent = 10,
         .static_percent = 50,
         .wide_first = true},
        {.partitions = 5,
         .items_max = 500,
         .value_max = 20,
         .components = 1,
         .marker_percent = 90,
         .static_percent = 50,
         .wide_first = true},
        {.partitions = 10,
         .items_max = 60,
         .value_max = 100000,
         .components = 1,
         .marker_percent = 20,
         .static_percent = 20,
         .wide_first = true},
        {.partitions = 40,
         .items_max = 3,
         .value_max = 10,
         .components = 2,
         .deletion_percent = 90,
         .static_percent = 50},
    };
    for (uint64_t round = 0; round < rounds; round++) {
        static const uint32_t block_sizes[] = {64, 300, 4096, 16384};
        struct rng rng = rng_seeded(seed + round);
        int compressor = (int)rng_below(&rng, 5);
        uint32_t block_size = block_sizes[rng_below(&rng, 4)];
        size_t cache = rng_chance(&rng, 50) ? 0 : rng_chance(&rng, 50) ? 20000 : 8 << 20;
        round_trip(seed + round, &shapes[_i], compressor, block_size, cache, 60);
    }
}
END_TEST

START_TEST(index_grows_levels)
{
    /* Blocks of one row, and index blocks of long keys: three levels. */
    static const struct model_shape shape = {.partitions = 12000,
                                             .items_max = 1,
                                             .value_max = 4,
                                             .components = 0,
                                             .static_percent = 100};
    round_trip(99, &shape, BASE_COMPRESS_NONE, 16, 1 << 20, 200);
    static const struct model_shape wide = {.partitions = 1,
                                            .items_max = 6000,
                                            .value_max = 4,
                                            .components = 2,
                                            .wide_first = true,
                                            .static_percent = 100};
    round_trip(98, &wide, BASE_COMPRESS_NONE, 16, 1 << 20, 200);
}
END_TEST

START_TEST(empty_table)
{
    static const struct model_shape shape = {.partitions = 0};
    round_trip(1, &shape, BASE_COMPRESS_LZ4, 4096, 0, 5);
}
END_TEST

/* Damage. */

static void make_small(struct sim_fs *fs, struct model *m, uint64_t seed)
{
    static const struct model_shape shape = {.partitions = 6,
                                             .items_max = 12,
                                             .value_max = 20,
                                             .components = 2,
                                             .marker_percent = 20,
                                             .static_percent = 50,
                                             .deletion_percent = 30,
                                             .wide_first = true};
    struct rng rng = rng_seeded(seed);
    model_make(m, &rng, &shape);
    struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
    params.block_size = 200;
    model_write(m, &params, NULL);
}

static struct base_file *open_raw(struct sim_fs *fs)
{
    struct base_err err;
    struct base_file *f;
    ck_ok(base_fs_open(sim_fs_port(fs), path, BASE_OPEN_READ | BASE_OPEN_WRITE, &f, &err), err);
    return f;
}

/* Verification must refuse the file and name it; reading gives damage or the right rows. */
static void check_damaged(struct sim_fs *fs, const struct model *m, uint64_t at,
                          struct base_slice expected)
{
    struct base_err err = {0};
    struct base_buf got;
    struct lsm_sstable *sst;
    base_buf_init(&got, SIZE_MAX / 2);
    int rc = lsm_sstable_open_file(sim_fs_port(fs), path, &sst, &err);
    if (rc) {
        ck_assert_msg(rc == BASE_E_CORRUPT && strstr(err.text, path) && strstr(err.text, "offset"),
                      "byte %llu: %d %s", (unsigned long long)at, rc, err.text);
        return;
    }
    rc = lsm_sstable_verify(sst, NULL, &err);
    ck_assert_msg(rc == BASE_E_CORRUPT && strstr(err.text, path) && strstr(err.text, "offset"),
                  "byte %llu: verify said %d %s", (unsigned long long)at, rc, err.text);
    struct base_read all = BASE_READ_INIT;
    all.slices = slices_whole;
    for (size_t i = 0; i <= m->count;
         i++) { /* every partition may be there for its filter; everything reads the same */
        struct base_source *src;
        if (i < m->count)
            (void)lsmi_sst_may_contain(sst, m->partitions[i].pkey);
        if (i > 0 && i < m->count)
            continue;
        base_buf_reset(&got);
        ck_ok(lsm_sstable_read(sst, &all, &src, &err), err);
        rc = source_dump(src, &got, &err);
        ck_assert_msg(rc == BASE_OK ? base_slice_equal(base_buf_view(&got), expected)
                                    : rc == BASE_E_CORRUPT,
                      "byte %llu: read: %d %s", (unsigned long long)at, rc, err.text);
        struct base_partition p;
        if (rc) /* and the stream stays ended */
            ck_fails(src->ops->partition(src, &p, &err), BASE_E_CORRUPT, err);
        src->ops->close(src);
    }
    lsm_sstable_close(sst);
    base_buf_fini(&got);
}

START_TEST(every_flipped_bit_is_found)
{
    struct sim_fs *fs = sim_fs_new(1);
    struct model m;
    struct base_err err;
    struct base_buf expected;
    uint64_t size;
    base_buf_init(&expected, SIZE_MAX / 2);
    make_small(fs, &m, 5);
    struct base_read all = BASE_READ_INIT;
    all.slices = slices_whole;
    model_read(&m, &all, &expected);
    struct base_file *f = open_raw(fs);
    ck_ok(base_file_size(f, &size, &err), err);
    for (uint64_t at = 0; at < size; at++) {
        uint8_t byte, flipped;
        size_t got;
        ck_ok(base_file_read(f, at, &byte, 1, &got, &err), err);
        flipped = (uint8_t)(byte ^ 1u << (at * 7 % 8));
        ck_ok(base_file_write(f, at, &flipped, 1, &err), err);
        check_damaged(fs, &m, at, base_buf_view(&expected));
        ck_ok(base_file_write(f, at, &byte, 1, &err), err);
    }
    base_file_close(f);
    struct lsm_sstable *sst = open_sst(fs, NULL);
    ck_ok(lsm_sstable_verify(sst, NULL, &err), err); /* or the test would prove nothing */
    lsm_sstable_close(sst);
    model_free(&m);
    base_buf_fini(&expected);
    sim_fs_free(fs);
}
END_TEST

START_TEST(truncated_files_are_refused)
{
    struct sim_fs *fs = sim_fs_new(1);
    struct model m;
    struct base_err err;
    struct lsm_sstable *sst;
    uint64_t size;
    make_small(fs, &m, 6);
    struct base_file *f = open_raw(fs);
    ck_ok(base_file_size(f, &size, &err), err);
    while (size > 0) {
        size--;
        ck_ok(base_file_truncate(f, size, &err), err);
        ck_fails(lsm_sstable_open_file(sim_fs_port(fs), path, &sst, &err), BASE_E_CORRUPT, err);
        ck_assert_ptr_null(sst);
    }
    base_file_close(f);
    model_free(&m);
    sim_fs_free(fs);
}
END_TEST

START_TEST(a_later_version_is_told_from_damage)
{
    struct sim_fs *fs = sim_fs_new(1);
    struct model m;
    struct base_err err;
    struct lsm_sstable *sst;
    uint64_t size;
    size_t got;
    uint8_t footer[96];
    make_small(fs, &m, 7);
    struct base_file *f = open_raw(fs);
    ck_ok(base_file_size(f, &size, &err), err);
    ck_ok(base_file_read(f, size - 96, footer, 96, &got, &err), err);
    base_put_le32(footer + 80, 2);
    memset(footer + 72, 0, 8);
    base_put_le64(footer + 72, base_checksum_seeded(footer, 96, size - 96));
    ck_ok(base_file_write(f, size - 96, footer, 96, &err), err);
    ck_fails(lsm_sstable_open_file(sim_fs_port(fs), path, &sst, &err), BASE_E_VERSION, err);
    base_file_close(f);
    model_free(&m);
    sim_fs_free(fs);
}
END_TEST

START_TEST(a_block_of_another_table_is_refused)
{
    /* The same bytes at the same offset in a file of another identity: a disk that wrote to the
     * wrong place. */
    struct sim_fs *fs = sim_fs_new(1);
    struct model m;
    struct base_err err;
    size_t got;
    uint8_t block[200];
    make_small(fs, &m, 8);
    struct base_file *f = open_raw(fs);
    ck_ok(base_file_read(f, 0, block, sizeof block, &got, &err), err);
    base_file_close(f);
    ck_ok(base_fs_remove(sim_fs_port(fs), path, &err), err);
    struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
    params.block_size = 200;
    params.id = 18;
    model_write(&m, &params, NULL);
    f = open_raw(fs);
    ck_ok(base_file_write(f, 0, block, sizeof block, &err), err);
    base_file_close(f);
    struct lsm_sstable *sst = open_sst(fs, NULL);
    ck_fails(lsm_sstable_verify(sst, NULL, &err), BASE_E_CORRUPT, err);
    lsm_sstable_close(sst);
    model_free(&m);
    sim_fs_free(fs);
}
END_TEST

/* The writer's own guard. */

static struct base_slice pkey_of(uint8_t n, uint8_t buf[16])
{
    memset(buf, 0x80, 8);
    buf[8] = n;
    buf[9] = 0;
    buf[10] = 1;
    return base_slice(buf, 11);
}

START_TEST(the_writer_refuses_disorder)
{
    struct sim_fs *fs = sim_fs_new(1);
    struct base_err err;
    struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
    uint8_t one[16], two[16], row[] = {BASE_ROW_LIVENESS, 1, 0, 0, 0, 0, 0, 0, 0},
                              a[] = {0x30, 1, 0x20}, b[] = {0x30, 2, 0x20}, lo[] = {0x30, 2, 0x10};
    struct base_partition p1 = {pkey_of(1, one), BASE_DELETION_NONE, {0}},
                          p2 = {pkey_of(2, two), BASE_DELETION_NONE, {0}};
    struct base_item ra = {BASE_ITEM_ROW, {a, 3}, {row, 9}, BASE_DELETION_NONE, BASE_DELETION_NONE},
                     rb = ra, open = ra;
    rb.ckey = base_slice(b, 3);
    open = (struct base_item){BASE_ITEM_MARKER, {lo, 3}, {0}, BASE_DELETION_NONE, {5, 5}};
    for (int i = 0; i < 6; i++) {
        struct lsmi_sst_writer *w;
        struct lsm_sstable_info info;
        ck_ok(lsmi_sst_writer_open(&params, &w, &err), err);
        ck_ok(lsmi_sst_writer_partition(w, &p2, &err), err);
        ck_ok(lsmi_sst_writer_item(w, &ra, &err), err);
        struct base_item bad = i == 1 ? ra : open;
        if (i == 0) {
            ck_fails(lsmi_sst_writer_partition(w, &p1, &err), BASE_E_CORRUPT, err);
        } else if (i == 1) {
            ck_fails(lsmi_sst_writer_item(w, &bad, &err), BASE_E_CORRUPT, err);
        } else if (i == 2) { /* a marker that opens what is never closed */
            ck_ok(lsmi_sst_writer_item(w, &open, &err), err);
            ck_fails(lsmi_sst_writer_finish(w, &info, &err), BASE_E_CORRUPT, err);
        } else if (i == 3) {
            bad.before = (struct base_deletion){9, 9};
            ck_fails(lsmi_sst_writer_item(w, &bad, &err), BASE_E_CORRUPT, err);
        } else if (i == 4) {
            bad.after = BASE_DELETION_NONE;
            ck_fails(lsmi_sst_writer_item(w, &bad, &err), BASE_E_CORRUPT, err);
        } else {
            bad.ckey = rb.ckey;
            ck_fails(lsmi_sst_writer_item(w, &bad, &err), BASE_E_CORRUPT, err);
        }
        lsmi_sst_writer_abort(w);
        struct base_file *f;
        ck_fails(base_fs_open(sim_fs_port(fs), path, BASE_OPEN_READ, &f, &err), BASE_E_NOTFOUND,
                 err);
    }
    sim_fs_free(fs);
}
END_TEST

START_TEST(a_failing_disk_fails_the_write_and_leaves_nothing)
{
    struct rng rng = rng_seeded(3);
    static const struct model_shape shape = {
        .partitions = 2000, .items_max = 4, .value_max = 400, .components = 1};
    struct model m;
    model_make(&m, &rng, &shape);
    for (uint64_t k = 0;; k++) {
        struct sim_fs *fs = sim_fs_new(k);
        struct base_err err;
        struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
        struct lsmi_sst_writer *w;
        struct lsm_sstable_info info;
        params.compressor = BASE_COMPRESS_NONE;
        sim_fs_fail(fs, SIM_FS_CREATE | SIM_FS_WRITE | SIM_FS_SYNC, k, 1, BASE_E_NOSPACE);
        int rc = lsmi_sst_writer_open(&params, &w, &err);
        bool opened = rc == BASE_OK;
        for (size_t i = 0; i < m.count && !rc; i++) {
            struct base_partition head = {m.partitions[i].pkey, m.partitions[i].deletion,
                                          m.partitions[i].static_row};
            rc = lsmi_sst_writer_partition(w, &head, &err);
            for (size_t j = 0; j < m.partitions[i].item_count && !rc; j++)
                rc = lsmi_sst_writer_item(w, &m.partitions[i].items[j], &err);
        }
        if (!rc)
            rc = lsmi_sst_writer_finish(w, &info, &err);
        bool hit = sim_fs_clear_faults(fs) > 0;
        ck_assert_int_eq(rc, hit ? BASE_E_NOSPACE : BASE_OK);
        if (rc && opened)
            lsmi_sst_writer_abort(w);
        struct base_file *f = NULL;
        ck_assert_int_eq(base_fs_open(sim_fs_port(fs), path, BASE_OPEN_READ, &f, &err),
                         hit ? BASE_E_NOTFOUND : BASE_OK);
        base_file_close(f);
        sim_fs_free(fs);
        if (!hit) {
            ck_assert_uint_ge(k, 4); /* create, at least two writes, sync */
            break;
        }
    }
    model_free(&m);
}
END_TEST

START_TEST(removal_waits_for_the_last_reference)
{
    struct sim_fs *fs = sim_fs_new(1);
    struct model m;
    struct base_err err;
    struct base_file *f;
    make_small(fs, &m, 9);
    struct lsm_sstable *sst = open_sst(fs, NULL);
    struct base_read all = BASE_READ_INIT;
    all.slices = slices_whole;
    struct lsmi_sst_source src = {0};
    struct base_partition p;
    ck_ok(lsmi_sst_source_init(&src, sst, &all, &err), err);
    lsmi_sst_mark_removed(sst);
    lsmi_sst_release(sst);
    ck_ok(src.source.ops->partition(&src.source, &p, &err), err);
    ck_assert_uint_gt(p.pkey.len, 0);
    src.source.ops->close(&src.source);
    lsmi_sst_source_fini(&src);
    ck_fails(base_fs_open(sim_fs_port(fs), path, BASE_OPEN_READ, &f, &err), BASE_E_NOTFOUND, err);
    model_free(&m);
    sim_fs_free(fs);
}
END_TEST

struct reader {
    struct lsm_sstable *sst;
    const struct model *m;
    uint64_t seed;
    uint64_t rows;
};

/* No Check calls off the main thread: count, and let it judge. */
static void *read_points(void *arg)
{
    struct reader *r = arg;
    struct rng rng = rng_seeded(r->seed);
    struct lsmi_sst_source src = {0};
    struct base_read cmd = BASE_READ_INIT;
    struct base_partition p;
    struct base_item item;
    cmd.slices = slices_whole;
    for (int i = 0; i < 3000; i++) {
        const struct model_partition *wanted = &r->m->partitions[rng_below(&rng, r->m->count)];
        cmd.pkey = wanted->pkey;
        cmd.reversed = i & 1;
        bool ok = lsmi_sst_may_contain(r->sst, cmd.pkey) &&
                  lsmi_sst_source_init(&src, r->sst, &cmd, NULL) == BASE_OK;
        ok = ok && src.source.ops->partition(&src.source, &p, NULL) == BASE_OK &&
             base_slice_equal(p.pkey, cmd.pkey);
        uint64_t rows = 0;
        while (ok && src.source.ops->next(&src.source, &item, NULL) == BASE_OK &&
               item.kind != BASE_ITEM_END)
            rows++;
        src.source.ops->close(&src.source);
        r->rows += ok && rows == wanted->item_count;
    }
    lsmi_sst_source_fini(&src);
    return NULL;
}

START_TEST(many_threads_read_one_table)
{
    static const struct model_shape shape = {
        .partitions = 500, .items_max = 30, .value_max = 60, .components = 2, .marker_percent = 10};
    struct rng rng = rng_seeded(21);
    struct sim_fs *fs = sim_fs_new(1);
    struct lsmi_cache *cache = lsmi_cache_new(100000);
    struct model m;
    model_make(&m, &rng, &shape);
    struct lsmi_sst_params params = test_params(sim_fs_port(fs), path);
    model_write(&m, &params, NULL);
    struct lsm_sstable *sst = open_sst(fs, cache);
    pthread_t threads[4];
    struct reader readers[4];
    for (uint64_t i = 0; i < 4; i++) {
        readers[i] = (struct reader){sst, &m, i, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_points, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(readers[i].rows, 3000);
    }
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    model_free(&m);
    sim_fs_free(fs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sst");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, random_tables_read_back, 0, 6);
    tcase_add_test(tc, index_grows_levels);
    tcase_add_test(tc, empty_table);
    tcase_add_test(tc, every_flipped_bit_is_found);
    tcase_add_test(tc, truncated_files_are_refused);
    tcase_add_test(tc, a_later_version_is_told_from_damage);
    tcase_add_test(tc, a_block_of_another_table_is_refused);
    tcase_add_test(tc, the_writer_refuses_disorder);
    tcase_add_test(tc, a_failing_disk_fails_the_write_and_leaves_nothing);
    tcase_add_test(tc, removal_waits_for_the_last_reference);
    tcase_add_test(tc, many_threads_read_one_table);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
