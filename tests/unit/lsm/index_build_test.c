/* Indexes made on data that is there. Without these rows could be missing by an index whose build
 * is under way, was cut off, met a full disk, or whose file is damaged; a build could leave files
 * behind, or never end. */
#include <stdio.h>

#include "tests/unit/lsm/index_lib.h"

static void count_index_file(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    *(size_t *)ctx += strstr(path, ".idx") != NULL;
}

static size_t index_files(struct ix_world *w)
{
    size_t n = 0;
    sim_fs_walk(w->s.fs, count_index_file, &n);
    return n;
}

static void count_other_file(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    *(size_t *)ctx += strstr(path, ".run") != NULL || strstr(path, ".new") != NULL;
}

static size_t leftovers(struct ix_world *w)
{
    size_t n = 0;
    sim_fs_walk(w->s.fs, count_other_file, &n);
    return n;
}

START_TEST(test_build_on_existing_data_shows_progress)
{
    struct ix_world w;
    ix_world_init(&w, 1);
    ix_store_open(&w);
    for (int i = 0; i < 3; i++)
        ix_fill(&w, 300);
    ix_alter(&w, 1 << 3 | 1 << 5);
    struct lsm_index_stats s = ix_stats_of(&w, 0);
    ck_assert(!s.is_built && s.is_building);
    ck_assert_uint_eq(s.sstables_built, 0);
    ck_assert_uint_eq(s.sstable_count, 3);
    for (int i = 0; i < 50; i++) /* always right, built or not */
        ix_query_random(&w);
    double before = 0;
    for (int steps = 0; !ix_stats_of(&w, 1).is_built; steps++) {
        ck_assert_int_lt(steps, 1000);
        double fraction = ix_stats_of(&w, 1).fraction;
        struct lsm_task tasks[LSM_TASKS_MAX];
        ck_assert_uint_eq(lsm_table_get_tasks(w.place, tasks), 1);
        ck_assert_int_eq(tasks[0].kind, LSM_TASK_INDEX_BUILD);
        ck_assert(tasks[0].completed <= tasks[0].total && tasks[0].sstables > 0);
        ck_assert(fraction >= before && fraction <= 1);
        before = fraction;
        sim_executor_run_for(&w.s.executor, 1, UINT64_C(1000000000));
        ix_query_random(&w);
    }
    s = ix_stats_of(&w, 0);
    ck_assert(s.is_built && s.fraction == 1);
    ck_assert_uint_eq(s.sstables_built, 3);
    ck_assert_uint_gt(s.entry_count, 100);
    ck_assert_uint_gt(s.disk_bytes, 1000);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    ck_assert(!ix_stats_of(&w, 0).is_building);
    ck_assert_uint_eq(index_files(&w), 6);
    ck_assert_uint_eq(leftovers(&w), 0);
    ix_alter(&w, 1 << 5);
    ck_assert_uint_eq(index_files(&w), 3);
    ck_ok(lsm_compact(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    ck_assert(ix_stats_of(&w, 0).is_built);
    /* its SSTable's, and those of the inputs are gone with them */
    ck_assert_uint_eq(index_files(&w), 1);
    ck_ok(lsm_table_truncate(w.place, &w.s.err), w.s.err);
    ck_assert_uint_eq(index_files(&w), 0);
    ix_fill(&w, 100);
    ck_assert_uint_eq(index_files(&w), 1);
    ck_ok(lsm_table_drop(w.s.store, w.place, &w.s.err), w.s.err);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    ck_assert_uint_eq(index_files(&w), 0);
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

/* A build is cut off after `_i` steps, by a kill or a power loss; a start goes on with it. */
START_TEST(test_build_goes_on_after_a_restart)
{
    struct ix_world w;
    ix_world_init(&w, 40 + (uint64_t)_i);
    ix_store_open(&w);
    for (int i = 0; i < 4; i++)
        ix_fill(&w, 200);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    ix_alter(&w, 1 << 3 | 1 << 4 | 1 << 7);
    sim_executor_run_for(&w.s.executor, (size_t)_i, UINT64_C(100000000000));
    uint64_t built = ix_stats_of(&w, 0).sstables_built;
    ix_store_die(&w, _i % 2);
    ix_store_open(&w);
    ck_assert_uint_ge(ix_stats_of(&w, 0).sstables_built, built); /* what was done is done */
    ck_assert_uint_eq(leftovers(&w), 0);
    for (int i = 0; i < 20; i++)
        ix_query_random(&w);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    ck_assert(ix_stats_of(&w, 0).is_built && ix_stats_of(&w, 2).is_built);
    w.raw_indexed = w.raw_scanned = 0;
    for (int i = 0; i < 100; i++)
        ix_query_random(&w);
    /* dropped while the store was not there: its files go */
    w.index_mask = 1 << 4;
    ix_store_close(&w);
    ix_store_open(&w);
    ck_assert_uint_eq(index_files(&w), ix_stats_of(&w, 0).sstable_count);
    for (int i = 0; i < 50; i++)
        ix_query_random(&w);
    ix_store_close(&w);
    ix_world_fini(&w);
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
        struct ix_world w;
        struct first_index file = {{0}, 0};
        ix_world_init(&w, 77);
        w.ts = 1;
        w.index_mask = 1 << 3;
        ix_store_open(&w);
        ix_fill(&w, 150);
        ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
        ix_store_close(&w);
        sim_fs_walk(w.s.fs, find_index_file, &file);
        ck_assert_uint_gt(file.size, 500);
        bool end = at >= file.size;
        if (!end)
            ck_assert(sim_fs_flip(w.s.fs, file.path, at, (unsigned)(at % 8)));
        ix_store_open(&w);
        noticed += ix_stats_of(&w, 0).sstables_built == 0;
        for (int32_t v = 0; v < 6; v++) {
            struct base_read cmd = BASE_READ_INIT;
            struct base_filter filter = {
                .column = A, .op = BASE_FILTER_EQ, .operand = ix_int_slice(&w, v)};
            struct base_buf rows;
            uint64_t raw = 0;
            cmd.slices = base_slices_all;
            cmd.now_s = ix_now_s(&w);
            cmd.filters = &filter;
            cmd.filter_count = 1;
            base_buf_init(&rows, 1 << 24);
            base_err_clear(&w.s.err);
            int rc = ix_collect(&w, &cmd, &cmd, &raw, &rows);
            base_buf_fini(&rows);
            if (rc != BASE_OK) {
                named++;
                ck_assert_int_eq(rc, BASE_E_CORRUPT);
                ck_assert_msg(strstr(w.s.err.text, file.path + 1) && strstr(w.s.err.text, "offset"),
                              "%s", w.s.err.text);
            }
            ix_check_query(&w, &cmd); /* from now on right: by a scan, or by the new file */
        }
        ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
        ck_assert(ix_stats_of(&w, 0).is_built);
        for (int i = 0; i < 10; i++)
            ix_query_random(&w);
        ix_store_close(&w);
        ix_world_fini(&w);
        if (end)
            break;
    }
    ck_assert_uint_gt(named, 5);
    ck_assert_uint_gt(noticed, 1);
}
END_TEST

/* What `arm` does to the disk comes at its k-th turn, while there is a flush, a build and a
 * compaction; false: it was not met any more. */
static bool disturbed(uint64_t k, uint32_t mask, void (*arm)(struct sim_fs *fs, uint64_t k),
                      bool power)
{
    struct ix_world w;
    ix_world_init(&w, 5 + power);
    w.s.options.index_build_size_max = 2048;
    ix_store_open(&w);
    ix_fill(&w, 100);
    for (int i = 0; i < 100; i++)
        ix_write_random(&w);
    ck_ok(lsm_sync(w.s.store, &w.s.err), w.s.err);
    ix_alter(&w, mask);
    arm(w.s.fs, k);
    (void)!lsm_flush(w.s.store, w.place, NULL, &w.s.err);
    (void)!lsm_compact(w.s.store, w.place, NULL, &w.s.err);
    sim_executor_run_for(&w.s.executor, 10000, UINT64_C(100000000000));
    bool hit = sim_fs_clear_faults(w.s.fs) > 0;
    if (power) {
        ix_store_die(&w, true);
        ix_store_open(&w);
        ck_assert_uint_eq(leftovers(&w), 0);
    }
    for (int i = 0; i < 10; i++)
        ix_query_random(&w);
    ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    for (size_t i = 0; i < w.table->index_count; i++)
        ck_assert_msg(ix_stats_of(&w, i).is_built, "k %llu", (unsigned long long)k);
    for (int i = 0; i < 10; i++)
        ix_query_random(&w);
    ix_store_close(&w);
    ix_store_open(&w);
    ck_assert_uint_eq(leftovers(&w), 0);
    for (int i = 0; i < 10; i++)
        ix_query_random(&w);
    ix_store_close(&w);
    ix_world_fini(&w);
    return hit;
}

static void arm_failure(struct sim_fs *fs, uint64_t k)
{
    sim_fs_fail(fs, SIM_FS_ANY & ~(unsigned)(SIM_FS_READ | SIM_FS_SYNC), k, 1, BASE_E_NOSPACE);
}

static void arm_power_cut(struct sim_fs *fs, uint64_t k)
{
    sim_fs_cut_power(fs, SIM_FS_CHANGING, k);
}

/* Whatever fails, tried again all is well. */
START_TEST(test_every_failure_of_the_disk)
{
    uint64_t k = 0;
    while (disturbed(k, IX_A, arm_failure, false))
        k++;
    ck_assert_uint_gt(k, 20);
}
END_TEST

/* What has its name then is whole. */
START_TEST(test_every_power_cut)
{
    uint64_t k = 0;
    while (disturbed(k, IX_A | 1 << 10, arm_power_cut, true))
        k++;
    ck_assert_uint_gt(k, 20);
}
END_TEST

/* Rows of A = 0 but one in 500 of A = 1, in `tables` SSTables. */
static void write_tables(struct ix_world *w, int tables)
{
    for (int32_t t = 0, c = 0; t < tables; t++) {
        for (int32_t i = 0; i < 1000; i++, c++)
            ix_write_a(w, 1, c, c % 500 == 77);
        ck_ok(lsm_flush(w->s.store, w->place, NULL, &w->s.err), w->s.err);
    }
}

/* What is built already is read by, and the rest looked through. Else a CREATE INDEX on a large
 * table would make all queries by it scan until its last file is done. */
START_TEST(test_what_is_built_is_read_by)
{
    struct ix_world w;
    struct base_filter filter;
    ix_world_init(&w, 21);
    ix_store_open(&w);
    write_tables(&w, 3);
    ix_write_a(&w, 1, 77, 0); /* no longer: the old file's place is in vain */
    ix_write_a(&w, 1, 78, 1);
    ix_alter(&w, IX_A);
    uint64_t built = 0, by_part = 0;
    do {
        uint64_t scanned = w.raw_scanned, indexed = w.raw_indexed;
        struct lsm_index_stats stats = ix_stats_of(&w, 0);
        struct base_read cmd = ix_read_a(&w, &filter, 1);
        bool half = stats.bytes_done * 2 > stats.bytes_total && stats.sstables_built;
        uint64_t done_before = stats.sstables_built;
        ix_check_query(&w, &cmd);
        cmd.reversed = true;
        ix_check_query(&w, &cmd);
        scanned = w.raw_scanned - scanned;
        indexed = w.raw_indexed - indexed;
        if (half && done_before >= 2) {
            by_part += done_before < stats.sstable_count;
            ck_assert_msg(indexed * 20 < scanned, "%llu of %llu rows looked at",
                          (unsigned long long)indexed, (unsigned long long)scanned);
        }
        ck_assert_uint_ge(done_before, built);
        built = done_before;
        sim_executor_run_for(&w.s.executor, 1, UINT64_C(1000000000));
    } while (!ix_stats_of(&w, 0).is_built);
    ck_assert_uint_gt(by_part, 0);
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

/* To choose by: few are counted, many are estimated, and of what nothing is gained is said. */
START_TEST(test_counts)
{
    struct ix_world w;
    struct base_filter filters[3];
    uint64_t counts[3];
    ix_world_init(&w, 22);
    w.index_mask = IX_A | IX_C;
    ix_store_open(&w);
    for (int32_t k = 0; k < 3000; k++)
        ix_write_a(&w, k, 5, k % 1000 == 3);
    ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    struct base_read cmd = ix_read_a(&w, &filters[0], 1);
    filters[1] = filters[0];
    filters[1].operand = ix_int_slice(&w, 0);
    filters[2] =
        (struct base_filter){.column = B, .op = BASE_FILTER_EQ, .operand = BASE_SLICE_LIT("a")};
    cmd.filters = filters;
    cmd.filter_count = 3;
    ck_ok(lsm_index_counts(w.place, &cmd, counts, &w.s.err), w.s.err);
    ck_assert_uint_eq(counts[0], 3);
    ck_assert_msg(counts[1] > 1500 && counts[1] < 6000, "%llu", (unsigned long long)counts[1]);
    ck_assert_uint_eq(counts[2], UINT64_MAX);
    /* the store chooses so too, whichever comes first */
    filters[1] =
        (struct base_filter){.column = C, .op = BASE_FILTER_EQ, .operand = ix_int_slice(&w, 5)};
    cmd.filter_count = 2;
    ix_check_query(&w, &cmd);
    ck_assert_uint_eq(w.raw_indexed, 3);
    struct base_filter swap = filters[0];
    filters[0] = filters[1];
    filters[1] = swap;
    ix_check_query(&w, &cmd);
    ck_assert_uint_eq(w.raw_indexed, 6);
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lsm index build");
    TCase *tc = tcase_create("index build");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_build_on_existing_data_shows_progress);
    tcase_add_loop_test(tc, test_build_goes_on_after_a_restart, 0, 24);
    tcase_add_test(tc, test_a_damaged_component_is_named_and_built_anew);
    tcase_add_test(tc, test_every_failure_of_the_disk);
    tcase_add_test(tc, test_every_power_cut);
    tcase_add_test(tc, test_what_is_built_is_read_by);
    tcase_add_test(tc, test_counts);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
