/* Without this: a compaction loses a row, brings a deleted one back, keeps what was dropped or
 * truncated, or leaves a half-written file behind. */
#include <stdio.h>

#include "base/compress.h"
#include "base/key.h"
#include "tests/lib/sim_fs.h"
#include "tests/unit/lsm/sst_lib.h"

enum { INPUTS = 4, NOW = 3000 };

struct world {
    struct rng rng;
    struct sim_fs *fs;
    struct lsm_sstable *inputs[INPUTS];
};

static const struct model_shape shape = {.partitions = 60,
                                         .items_max = 60,
                                         .value_max = 80,
                                         .components = 2,
                                         .marker_percent = 25,
                                         .static_percent = 40,
                                         .deletion_percent = 20,
                                         .key_space = 90,
                                         .wide_first = true};

static void world_init(struct world *w, uint64_t seed)
{
    struct base_err err;
    w->rng = rng_seeded(seed);
    w->fs = sim_fs_new(seed);
    for (int i = 0; i < INPUTS; i++) {
        char path[32];
        struct model m;
        snprintf(path, sizeof path, "in-%d.sst", i);
        struct lsmi_sst_params params = test_params(sim_fs_port(w->fs), path);
        params.block_size = 500;
        model_make(&m, &w->rng, &shape);
        model_write(&m, &params, NULL);
        model_free(&m);
        ck_ok(lsmi_sst_open(sim_fs_port(w->fs), path, NULL, &w->inputs[i], &err), err);
    }
}

static void world_fini(struct world *w)
{
    for (int i = 0; i < INPUTS; i++)
        lsmi_sst_release(w->inputs[i]);
    sim_fs_free(w->fs);
}

static struct lsmi_compaction_config config_of(struct world *w)
{
    return (struct lsmi_compaction_config){
        .out = test_params(sim_fs_port(w->fs), "out.sst"),
        .inputs = w->inputs,
        .input_count = INPUTS,
        .now_s = NOW,
        .gc_before_s = INT64_MIN,
        .truncated_us = INT64_MIN,
    };
}

static bool exists(struct world *w, const char *path)
{
    struct base_file *f;
    if (base_fs_open(sim_fs_port(w->fs), path, BASE_OPEN_READ, &f, NULL))
        return false;
    base_file_close(f);
    return true;
}

/* Run to the end; NULL when nothing was left. */
static struct lsm_sstable *compact(struct world *w, const struct lsmi_compaction_config *config,
                                   size_t step)
{
    struct base_err err;
    struct lsmi_compaction *c;
    struct lsm_sstable_info info;
    struct lsm_sstable *sst;
    bool done = false;
    double fraction = 0;
    ck_ok(lsmi_compaction_open(config, &c, &err), err);
    while (!done) {
        ck_ok(lsmi_compaction_step(c, step, &done, &info, &err), err);
        ck_assert(lsmi_compaction_fraction(c) >= fraction && lsmi_compaction_fraction(c) <= 1);
        fraction = lsmi_compaction_fraction(c);
    }
    lsmi_compaction_close(c);
    ck_assert_int_eq(exists(w, config->out.path), info.partition_count > 0);
    if (info.partition_count == 0)
        return NULL;
    ck_ok(lsmi_sst_open(sim_fs_port(w->fs), config->out.path, NULL, &sst, &err), err);
    ck_ok(lsm_sstable_verify(sst, NULL, &err), err);
    return sst;
}

/* What a reader sees of some tables at a time, or (tombstones) all that is in them merged. */
static void dump(struct lsm_sstable *const *tables, size_t n, int64_t now_s, bool tombstones,
                 struct base_buf *out)
{
    struct base_err err;
    struct base_source *sources[INPUTS], *merge;
    struct base_read all = BASE_READ_INIT;
    all.slices = base_slices_all;
    for (size_t i = 0; i < n; i++)
        ck_ok(lsm_sstable_read(tables[i], &all, &sources[i], &err), err);
    struct base_merge_options options = {.purge = {.now_s = now_s,
                                                   .gc_before_s = INT64_MIN,
                                                   .purgeable_ts = INT64_MIN,
                                                   .live_only = !tombstones},
                                         .keep_tombstones = tombstones};
    ck_ok(base_merge_open(sources, n, &options, &merge, &err), err);
    base_buf_init(out, SIZE_MAX / 2);
    ck_ok(source_dump(merge, out, &err), err);
    merge->ops->close(merge);
}

/* Partitions without content may or may not be announced: leave those lines out. */
static void drop_empty_partitions(struct base_buf *b)
{
    size_t to = 0;
    for (size_t at = 0; at < b->len;) {
        uint8_t *end = memchr(b->data + at, '\n', b->len - at);
        size_t next = (size_t)(end - b->data) + 1;
        static const char nothing[] = "-  \n"; /* no deletion, no static row */
        bool empty = b->data[at] == 'P' && (next == b->len || b->data[next] == 'P') &&
                     next - at > 4 && memcmp(b->data + next - 4, nothing, 4) == 0;
        if (!empty) {
            memmove(b->data + to, b->data + at, next - at);
            to += next - at;
        }
        at = next;
    }
    b->len = to;
}

static void check_same(struct base_buf *expected, struct base_buf *got, const char *what)
{
    drop_empty_partitions(expected);
    drop_empty_partitions(got);
    size_t at = 0;
    while (at < expected->len && at < got->len && expected->data[at] == got->data[at])
        at++;
    while (at && expected->data[at - 1] != '\n')
        at--;
    ck_assert_msg(base_slice_equal(base_buf_view(expected), base_buf_view(got)),
                  "%s: expected\n%.300s\ngot\n%.300s", what, (char *)expected->data + at,
                  (char *)got->data + at);
    base_buf_fini(expected);
    base_buf_fini(got);
}

START_TEST(readers_see_no_difference)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world w;
        world_init(&w, seed * 10 + (uint64_t)_i);
        struct lsmi_compaction_config config = config_of(&w);
        config.gc_before_s = _i == 0 ? INT64_MIN : _i == 1 ? 101 : INT64_MAX;
        struct lsm_sstable *out = compact(&w, &config, 1 + rng_skewed(&w.rng, 100000));
        ck_assert_ptr_nonnull(out);
        for (int64_t now = NOW; now < 12000; now += 2500) {
            struct base_buf expected, got;
            dump(w.inputs, INPUTS, now, false, &expected);
            dump(&out, 1, now, false, &got);
            ck_assert_uint_gt(expected.len, 1000);
            check_same(&expected, &got, "live");
        }
        if (_i == 0) { /* nothing may be purged: nothing is lost at all */
            struct base_buf expected, got;
            dump(w.inputs, INPUTS, NOW, true, &expected);
            dump(&out, 1, NOW, true, &got);
            check_same(&expected, &got, "all");
        }
        lsmi_sst_release(out);
        world_fini(&w);
    }
}
END_TEST

static int64_t overlap_everywhere(void *ctx, struct base_slice pkey)
{
    ck_assert_uint_gt(pkey.len, 8);
    ++*(int *)ctx;
    return INT64_MIN; /* older data may be anywhere */
}

START_TEST(tombstones_go_only_when_nothing_older_is_elsewhere)
{
    struct world w;
    world_init(&w, 3);
    struct lsmi_compaction_config config = config_of(&w);
    config.gc_before_s = INT64_MAX;
    struct lsm_sstable *out = compact(&w, &config, 1 << 20);
    ck_assert_uint_eq(lsmi_sst_info(out)->marker_count, 0);
    uint64_t without = lsmi_sst_info(out)->tombstone_count;
    lsmi_sst_mark_removed(out);
    lsmi_sst_release(out);
    int calls = 0;
    config.overlap_ts = overlap_everywhere;
    config.ctx = &calls;
    out = compact(&w, &config, 1 << 20);
    ck_assert_int_gt(calls, 0);
    ck_assert_uint_gt(lsmi_sst_info(out)->marker_count, 0);
    ck_assert_uint_gt(lsmi_sst_info(out)->tombstone_count, without);
    struct base_buf expected, got;
    dump(w.inputs, INPUTS, NOW, true, &expected);
    dump(&out, 1, NOW, true, &got);
    check_same(&expected, &got, "all");
    lsmi_sst_release(out);
    world_fini(&w);
}
END_TEST

/* Dropped columns and truncation. */

enum { DROPPED_COLUMN = 2 };

static void put(struct base_buf *out, const char *kind, int64_t ts, struct base_slice bytes)
{
    ck_assert_int_eq(base_buf_printf(out, "%s %lld %zu ", kind, (long long)ts, bytes.len), BASE_OK);
    for (size_t i = 0; i < bytes.len && i < 20; i++)
        ck_assert_int_eq(base_buf_printf(out, "%02x", bytes.data[i]), BASE_OK);
    ck_assert_int_eq(base_buf_printf(out, "\n"), BASE_OK);
}

/* Everything in a table, cell by cell, but what the two limits hide. */
static void dump_cells(struct lsm_sstable *sst, int64_t dropped_us, int64_t truncated_us,
                       struct base_buf *out)
{
    struct base_err err;
    struct base_read all = BASE_READ_INIT;
    struct base_source *src;
    struct base_partition p;
    struct base_item item;
    all.slices = base_slices_all;
    base_buf_init(out, SIZE_MAX / 2);
    ck_ok(lsm_sstable_read(sst, &all, &src, &err), err);
    for (;;) {
        ck_ok(src->ops->partition(src, &p, &err), err);
        if (p.pkey.len == 0)
            break;
        if (p.deletion.ts > truncated_us)
            put(out, "partition", p.deletion.ts, p.pkey);
        struct base_slice row = p.static_row, key = p.pkey;
        for (;;) {
            struct base_row decoded;
            struct base_cell cell;
            if (row.len) {
                ck_assert(base_row_decode(row, &decoded));
                if (base_row_liveness_ts(&decoded) > truncated_us)
                    put(out, "liveness", decoded.row_ts, key);
                if (decoded.deletion.ts > truncated_us)
                    put(out, "deletion", decoded.deletion.ts, key);
                struct base_cells it = base_cells_begin(&decoded);
                while (base_cells_next(&it, &cell) > 0)
                    if (cell.ts > truncated_us &&
                        !(cell.column == DROPPED_COLUMN && cell.ts <= dropped_us))
                        put(out, "cell", cell.ts, cell.value);
            }
            ck_ok(src->ops->next(src, &item, &err), err);
            if (item.kind == BASE_ITEM_END)
                break;
            row = item.row;
            key = item.ckey;
            int64_t before = item.before.ts > truncated_us ? item.before.ts : INT64_MIN;
            int64_t after = item.after.ts > truncated_us ? item.after.ts : INT64_MIN;
            if (item.kind == BASE_ITEM_MARKER && before != after) {
                put(out, "before", before, key);
                put(out, "after", after, key);
            }
        }
    }
    src->ops->close(src);
}

START_TEST(dropped_and_truncated_go)
{
    struct world w;
    world_init(&w, 40 + (uint64_t)_i);
    struct lsmi_compaction_config config = config_of(&w);
    struct lsm_sstable *plain = compact(&w, &config, 1 << 20);
    int64_t dropped_us = _i == 1 ? INT64_MIN : 500000, truncated_us = _i == 0 ? INT64_MIN : 300000;
    struct base_dropped_column dropped[] = {{.id = 77, .dropped_us = 9999999},
                                            {.id = DROPPED_COLUMN, .dropped_us = dropped_us}};
    config.out.path = "pruned.sst";
    config.dropped = dropped;
    config.dropped_count = 2;
    config.truncated_us = truncated_us;
    struct lsm_sstable *pruned = compact(&w, &config, 1 << 20);
    struct base_buf expected, got, all;
    dump_cells(plain, dropped_us, truncated_us, &expected);
    dump_cells(pruned, INT64_MIN, INT64_MIN, &got);
    dump_cells(plain, INT64_MIN, INT64_MIN, &all);
    ck_assert_uint_lt(expected.len, all.len); /* something was there to be pruned */
    if (truncated_us != INT64_MIN)
        ck_assert_int_gt(lsmi_sst_info(pruned)->ts_min, truncated_us);
    base_buf_fini(&all);
    check_same(&expected, &got, "cells");
    lsmi_sst_release(plain);
    lsmi_sst_release(pruned);
    world_fini(&w);
}
END_TEST

START_TEST(nothing_left_leaves_no_file)
{
    struct world w;
    world_init(&w, 50);
    struct lsmi_compaction_config config = config_of(&w);
    config.truncated_us = INT64_MAX - 1;
    ck_assert_ptr_null(compact(&w, &config, 1000));
    world_fini(&w);
}
END_TEST

START_TEST(giving_up_leaves_no_file)
{
    struct world w;
    struct base_err err;
    struct lsmi_compaction *c;
    struct lsm_sstable_info info;
    bool done;
    world_init(&w, 51);
    struct lsmi_compaction_config config = config_of(&w);
    ck_ok(lsmi_compaction_open(&config, &c, &err), err);
    ck_ok(lsmi_compaction_step(c, 100, &done, &info, &err), err);
    ck_assert(!done);
    lsmi_compaction_close(c);
    ck_assert(!exists(&w, "out.sst"));
    /* A disk that fails, at any place: the error comes out, and close cleans up. */
    for (uint64_t k = 0;; k++) {
        int rc;
        sim_fs_fail(w.fs, SIM_FS_READ | SIM_FS_WRITE | SIM_FS_CREATE | SIM_FS_SYNC, k, 1,
                    BASE_E_IO);
        rc = lsmi_compaction_open(&config, &c, &err);
        for (done = false; !rc && !done;)
            rc = lsmi_compaction_step(c, 10000, &done, &info, &err);
        bool hit = sim_fs_clear_faults(w.fs) > 0;
        ck_assert_int_eq(rc, hit ? BASE_E_IO : BASE_OK);
        lsmi_compaction_close(c);
        ck_assert_int_eq(exists(&w, "out.sst"), !hit);
        if (!hit)
            break;
        ck_assert_uint_lt(k, 1000);
    }
    world_fini(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compaction");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, readers_see_no_difference, 0, 3);
    tcase_add_test(tc, tombstones_go_only_when_nothing_older_is_elsewhere);
    tcase_add_loop_test(tc, dropped_and_truncated_go, 0, 3);
    tcase_add_test(tc, nothing_left_leaves_no_file);
    tcase_add_test(tc, giving_up_leaves_no_file);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
