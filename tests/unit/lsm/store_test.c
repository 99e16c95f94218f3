/* Without this: what was acknowledged is gone after a restart, a full disk loses data or stops the
 * store for good, a truncated or dropped table comes back, a file is left behind or removed too
 * early.
 *
 * The long random runs are tests/sim's; here each promise of lsm/lsm.h has its own short case. */
#include <pthread.h>
#include <stdio.h>

#include "base/key.h"
#include "tests/lib/ck.h"
#include "tests/unit/lsm/store_lib.h"

static const struct base_uuid T1 = {{1}}, T2 = {{2}};

struct world {
    struct store_world s;
    struct lsm_table *table, *other;
};

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){0};
    store_world_init(&w->s, seed);
}

static int try_open(struct world *w)
{
    struct lsm_table_desc one = store_table(T1), two = store_table(T2);
    int rc = lsm_open(&w->s.options, &w->s.store, &w->s.err);
    if (rc != BASE_OK)
        return rc;
    rc = lsm_table_open(w->s.store, &one, &w->table, &w->s.err);
    if (rc == BASE_OK)
        rc = lsm_table_open(w->s.store, &two, &w->other, &w->s.err);
    if (rc == BASE_OK)
        rc = lsm_replay(w->s.store, &w->s.err);
    if (rc != BASE_OK) {
        (void)!lsm_close(w->s.store, UINT64_MAX, NULL);
        w->s.store = NULL;
    }
    return rc;
}

static void world_open(struct world *w)
{
    base_err_clear(&w->s.err);
    int rc = try_open(w);
    ck_assert_msg(rc == BASE_OK, "open: %s", w->s.err.text);
}

static void world_close(struct world *w, uint64_t flush_over)
{
    store_world_close(&w->s, flush_over);
}

static void world_die(struct world *w, bool power)
{
    store_world_die(&w->s, power);
}

static void world_fini(struct world *w)
{
    store_world_fini(&w->s);
}

static void mutation(struct base_buf *out, struct base_uuid table, uint64_t key, int64_t ts,
                     const char *value)
{
    struct base_buf pkey, row;
    base_buf_init(&pkey, 100);
    base_buf_init(&row, 1 << 20);
    static const uint8_t ckey[] = {BASE_KEY_AT};
    struct base_row_builder b;
    ck_assert_int_eq(base_pkey_put(base_slice(&key, 8), &pkey), BASE_OK);
    ck_assert_int_eq(base_row_begin(&b, &row, ts), BASE_OK);
    if (value) {
        ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
        ck_assert_int_eq(base_row_put_value(&b, 1, base_slice_str(value)), BASE_OK);
    } else {
        ck_assert_int_eq(base_row_put_deletion(&b, (struct base_deletion){ts, ts / 1000000}),
                         BASE_OK);
    }
    base_row_end(&b);
    ck_assert_int_eq(base_mutation_put_row(out, table, base_buf_view(&pkey), base_slice(ckey, 1),
                                           base_buf_view(&row)),
                     BASE_OK);
    base_buf_fini(&pkey);
    base_buf_fini(&row);
}

static int write_one(struct world *w, struct base_uuid table, uint64_t key, int64_t ts,
                     const char *value, enum lsm_durability durability)
{
    struct base_buf m;
    base_buf_init(&m, 1 << 20);
    mutation(&m, table, key, ts, value);
    base_err_clear(&w->s.err);
    int rc =
        lsm_write(w->s.store, base_buf_view(&m), 1, durability, UINT64_C(10000000000), &w->s.err);
    base_buf_fini(&m);
    return rc;
}

static void put(struct world *w, uint64_t key, int64_t ts, const char *value)
{
    ck_ok(write_one(w, T1, key, ts, value, LSM_DURABLE_LOG), w->s.err);
}

/* The value of a key, or "" when there is none; static. */
static const char *get_from(struct world *w, struct lsm_table *table, uint64_t key)
{
    static char text[256];
    struct base_buf pkey;
    base_buf_init(&pkey, 100);
    ck_assert_int_eq(base_pkey_put(base_slice(&key, 8), &pkey), BASE_OK);
    struct base_read cmd = BASE_READ_INIT;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = base_slices_all;
    cmd.now_s = base_clock_wall_s(&w->s.clock.base);
    struct base_source *src;
    struct base_partition p;
    struct base_item item;
    text[0] = 0;
    ck_ok(lsm_read(table, &cmd, false, NULL, 0, NULL, &src, &w->s.err), w->s.err);
    ck_ok(src->ops->partition(src, &p, &w->s.err), w->s.err);
    if (p.pkey.len) {
        ck_ok(src->ops->next(src, &item, &w->s.err), w->s.err);
        if (item.kind == BASE_ITEM_ROW) {
            struct base_row row;
            struct base_cell cell;
            ck_assert(base_row_decode(item.row, &row));
            struct base_cells cells = base_cells_begin(&row);
            ck_assert_int_eq(base_cells_next(&cells, &cell), 1);
            snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(cell.value));
        }
    }
    src->ops->close(src);
    base_buf_fini(&pkey);
    return text;
}

static const char *get(struct world *w, uint64_t key)
{
    return get_from(w, w->table, key);
}

static size_t count_rows(struct world *w, struct lsm_table *table)
{
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    cmd.now_s = base_clock_wall_s(&w->s.clock.base);
    struct base_source *src;
    struct base_partition p;
    struct base_item item;
    size_t n = 0;
    ck_ok(lsm_read(table, &cmd, false, NULL, 0, NULL, &src, &w->s.err), w->s.err);
    for (;;) {
        ck_ok(src->ops->partition(src, &p, &w->s.err), w->s.err);
        if (!p.pkey.len)
            break;
        for (;; n++) {
            ck_ok(src->ops->next(src, &item, &w->s.err), w->s.err);
            if (item.kind == BASE_ITEM_END)
                break;
        }
    }
    src->ops->close(src);
    return n;
}

static uint64_t sstables(struct world *w)
{
    struct lsm_table_stats stats;
    lsm_table_get_stats(w->table, &stats);
    return stats.sstable_count;
}

/* The plain way. */

START_TEST(test_write_read_restart)
{
    struct world w;
    world_init(&w, 1);
    world_open(&w);
    for (uint64_t k = 0; k < 300; k++)
        put(&w, k, 10, "first");
    for (uint64_t k = 0; k < 300; k += 3)
        put(&w, k, 20, k % 2 ? "second" : NULL);
    for (int round = 0; round < 5; round++) {
        for (uint64_t k = 0; k < 300; k++)
            ck_assert_str_eq(get(&w, k), k % 3 ? "first" : k % 2 ? "second" : "");
        ck_assert_uint_eq(count_rows(&w, w.table), 250);
        switch (round) {
        case 0:
            ck_ok(lsm_flush(w.s.store, NULL, NULL, &w.s.err), w.s.err);
            ck_assert_uint_eq(sstables(&w), 1);
            break;
        case 1:
            world_close(&w, UINT64_MAX);
            world_open(&w);
            break;
        case 2:
            put(&w, 1000, 1, "x");
            put(&w, 1000, 2, NULL);
            world_close(&w, UINT64_MAX);
            world_open(&w);
            break;
        case 3:
            ck_ok(lsm_compact(w.s.store, w.table, NULL, &w.s.err), w.s.err);
            break;
        }
    }
    world_close(&w, 0);
    world_open(&w);
    ck_assert_uint_eq(count_rows(&w, w.table), 250);
    world_close(&w, UINT64_MAX);
    world_fini(&w);
}
END_TEST

/* A stream's memory is used again; an open stream sees what it saw. */
START_TEST(test_reuse)
{
    struct world w;
    world_init(&w, 2);
    world_open(&w);
    struct base_source *src = NULL;
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    for (uint64_t k = 0; k < 200; k++) {
        put(&w, k, 1, "v");
        if (k % 50 == 25)
            ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
        struct base_source *next;
        ck_ok(lsm_read(w.table, &cmd, k % 2, NULL, 0, src, &next, &w.s.err), w.s.err);
        ck_assert(!src || next == src);
        src = next;
        if (k == 100)
            lsm_read_park(src);
        size_t n = 0;
        for (;; n++) {
            struct base_partition p;
            ck_ok(src->ops->partition(src, &p, &w.s.err), w.s.err);
            if (!p.pkey.len)
                break;
            if (n == 5)
                put(&w, 10000 + k, 1, "later");
        }
        ck_assert_uint_eq(n, k == 100 ? 0 : k + 1 + (k > 5 ? k - 5 : 0) - (k > 100));
    }
    src->ops->close(src);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

START_TEST(test_group_is_refused_whole)
{
    struct world w;
    world_init(&w, 3);
    world_open(&w);
    struct base_buf m;
    base_buf_init(&m, 1 << 20);
    mutation(&m, T1, 1, 1, "a");
    mutation(&m, (struct base_uuid){{9}}, 2, 1, "b");
    ck_fails(lsm_write(w.s.store, base_buf_view(&m), 2, LSM_DURABLE_LOG, 0, &w.s.err),
             BASE_E_NOTFOUND, w.s.err);
    ck_assert_str_eq(get(&w, 1), "");
    base_buf_reset(&m);
    mutation(&m, T1, 1, 1, "a");
    mutation(&m, T2, 2, 1, "b");
    ck_fails(lsm_write(w.s.store, base_buf_view(&m), 3, LSM_DURABLE_LOG, 0, &w.s.err),
             BASE_E_INVALID, w.s.err);
    m.len--;
    ck_fails(lsm_write(w.s.store, base_buf_view(&m), 2, LSM_DURABLE_LOG, 0, &w.s.err),
             BASE_E_CORRUPT, w.s.err);
    m.len++;
    ck_ok(lsm_write(w.s.store, base_buf_view(&m), 2, LSM_DURABLE_LOG, 0, &w.s.err), w.s.err);
    world_die(&w, false);
    world_open(&w);
    ck_assert_str_eq(get(&w, 1), "a");
    ck_assert_str_eq(get_from(&w, w.other, 2), "b");
    base_buf_fini(&m);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Crashes. */

/* Acknowledged and synced: there after a power cut at any change of the disk. Acknowledged only:
 * after kill. */
static bool crash_round(uint64_t cut, bool power, enum lsm_sync sync)
{
    struct world w;
    world_init(&w, cut + 1);
    w.s.options.sync = sync;
    w.s.options.memtable_size_max = 1 << 17;
    w.s.options.commitlog_segment_size = 1 << 14;
    w.s.options.commitlog_total_size = 1 << 15;
    world_open(&w);
    sim_fs_cut_power(w.s.fs, SIM_FS_CHANGING, cut);
    uint64_t acknowledged = 0;
    bool hit = false;
    char value[200];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = 0;
    for (uint64_t k = 0; k < 800 && !hit; k++) {
        if (write_one(&w, T1, k, 1, value, LSM_DURABLE_LOG) == BASE_OK)
            acknowledged = k + 1;
        else
            hit = true;
        if (k % 10 == 9)
            sim_executor_run_for(&w.s.executor, 5, 20000000);
        if (k % 100 == 99 && lsm_flush(w.s.store, w.table, NULL, &w.s.err) != BASE_OK)
            hit = true;
        hit |= sim_fs_is_off(w.s.fs);
    }
    bool was_off = sim_fs_is_off(w.s.fs);
    world_die(&w, power || was_off);
    world_open(&w);
    if (sync == LSM_SYNC_BATCH || !(power || was_off))
        for (uint64_t k = 0; k < acknowledged; k++)
            ck_assert_msg(strcmp(get(&w, k), value) == 0, "cut %d: key %d of %d is lost", (int)cut,
                          (int)k, (int)acknowledged);
    /* A prefix in any case. */
    size_t rows = count_rows(&w, w.table);
    for (uint64_t k = 0; k < rows; k++)
        ck_assert_msg(strcmp(get(&w, k), value) == 0, "cut %d: not a prefix: %d of %d", (int)cut,
                      (int)k, (int)rows);
    put(&w, 5000, 1, "after");
    world_die(&w, false);
    world_open(&w);
    ck_assert_str_eq(get(&w, 5000), "after");
    ck_assert_uint_eq(count_rows(&w, w.table), rows + 1);
    world_close(&w, 0);
    world_fini(&w);
    return was_off;
}

START_TEST(test_power_cut)
{
    uint64_t stride = _i == 0 ? 17 : 29;
    uint64_t cut = 0;
    while (crash_round(cut, true, _i == 0 ? LSM_SYNC_BATCH : LSM_SYNC_PERIODIC))
        cut += stride;
    ck_assert_uint_gt(cut, 200);
}
END_TEST

START_TEST(test_kill)
{
    for (uint64_t i = 0; i < 5; i++)
        crash_round(UINT64_MAX, false, LSM_SYNC_PERIODIC);
}
END_TEST

/* The disk fails. */

START_TEST(test_failed_sync_stops)
{
    struct world w;
    world_init(&w, 5);
    w.s.options.sync = LSM_SYNC_BATCH;
    world_open(&w);
    put(&w, 1, 1, "safe");
    sim_fs_fail(w.s.fs, SIM_FS_SYNC, 0, 1, BASE_E_IO);
    ck_assert_int_eq(write_one(&w, T1, 2, 1, "unknown", LSM_DURABLE_LOG), BASE_E_IO);
    sim_fs_clear_faults(w.s.fs);
    ck_assert_int_eq(write_one(&w, T1, 3, 1, "refused", LSM_DURABLE_LOG), BASE_E_STOPPED);
    ck_assert_int_eq(write_one(&w, T1, 3, 1, "refused", LSM_DURABLE_MEMORY), BASE_E_STOPPED);
    ck_assert_str_eq(get(&w, 1), "safe");
    struct lsm_stats stats;
    lsm_get_stats(w.s.store, &stats);
    ck_assert(stats.stopped);
    world_die(&w, false);
    world_open(&w);
    ck_assert_str_eq(get(&w, 1), "safe");
    ck_assert_str_eq(get(&w, 3), "");
    put(&w, 3, 1, "again");
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

struct said {
    struct base_log log;
    unsigned full, again;
};

static void hear(struct base_log *log, enum base_log_level level, const char *text)
{
    struct said *said = BASE_CONTAINER(log, struct said, log);
    (void)level;
    said->full += strstr(text, "the disk is full") != NULL;
    said->again += strstr(text, "space on the disk again") != NULL;
}

static struct lsm_stats figures(struct world *w)
{
    struct lsm_stats stats;
    lsm_get_stats(w->s.store, &stats);
    return stats;
}

START_TEST(test_no_space)
{
    struct world w;
    struct said said = {.log = {.level_max = BASE_LOG_INFO, .write = hear}};
    world_init(&w, 6);
    w.s.options.memtable_size_max = 1 << 18;
    w.s.options.log = &said.log;
    world_open(&w);
    sim_fs_set_capacity(w.s.fs, sim_fs_used_bytes(w.s.fs) + (1 << 18));
    uint64_t k = 0;
    int rc;
    char value[200];
    memset(value, 'n', sizeof value);
    value[sizeof value - 1] = 0;
    while ((rc = write_one(&w, T1, k, 1, value, LSM_DURABLE_LOG)) == BASE_OK && k < 100000) {
        k++;
        sim_executor_run_for(&w.s.executor, 3, 1000000);
    }
    ck_assert_msg(rc == BASE_E_NOSPACE, "%s",
                  w.s.err.text); /* also when memtables ran full of it */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(write_one(&w, T1, k, 1, value, LSM_DURABLE_LOG), BASE_E_NOSPACE);
    ck_assert(figures(&w).disk_full && figures(&w).refuses_writes);
    ck_assert_uint_eq(figures(&w).writes_refused_full, 4);
    ck_assert(said.full == 1 && said.again == 0);
    for (uint64_t i = 0; i < k; i++)
        ck_assert_str_eq(get(&w, i), value);
    sim_fs_set_capacity(w.s.fs, UINT64_MAX);
    put(&w, k, 1, value);
    ck_ok(lsm_flush(w.s.store, NULL, NULL, &w.s.err), w.s.err);
    ck_assert_uint_eq(count_rows(&w, w.table), k + 1);
    put(&w, k + 1, 1, value);
    ck_assert(!figures(&w).disk_full && !figures(&w).refuses_writes);
    ck_assert(said.full == 1 && said.again == 1);
    world_close(&w, 0);
    world_open(&w);
    ck_assert_uint_eq(count_rows(&w, w.table), k + 2);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* A flush, and then a compaction, whose every operation fails in turn: nothing is lost, and it
 * comes right. */
START_TEST(test_failing_flush)
{
    for (uint64_t fail = 0;; fail++) {
        struct world w;
        world_init(&w, fail);
        world_open(&w);
        for (uint64_t k = 0; k < 50; k++)
            put(&w, k, 1, "v");
        ck_ok(lsm_sync(w.s.store, &w.s.err), w.s.err);
        sim_fs_fail(w.s.fs, SIM_FS_ANY, fail, 1, fail % 2 ? BASE_E_IO : BASE_E_NOSPACE);
        int rc = lsm_flush(w.s.store, w.table, NULL, &w.s.err);
        uint64_t hits = sim_fs_clear_faults(w.s.fs);
        ck_assert_uint_eq(count_rows(&w, w.table), 50);
        (void)rc;
        ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
        put(&w, 50, 1, "w");
        ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
        sim_fs_fail(w.s.fs, SIM_FS_ANY, fail, 1, fail % 2 ? BASE_E_IO : BASE_E_NOSPACE);
        rc = lsm_compact(w.s.store, w.table, NULL, &w.s.err);
        hits += sim_fs_clear_faults(w.s.fs);
        ck_assert_uint_eq(count_rows(&w, w.table), 51);
        ck_ok(lsm_compact(w.s.store, w.table, NULL, &w.s.err), w.s.err);
        ck_assert_uint_eq(sstables(&w), 1);
        ck_assert_uint_eq(count_rows(&w, w.table), 51);
        world_die(&w, true);
        world_open(&w);
        ck_assert_uint_eq(count_rows(&w, w.table), 51);
        world_close(&w, 0);
        world_fini(&w);
        if (hits == 0)
            break;
        ck_assert_uint_lt(fail, 1000);
    }
}
END_TEST

/* Tables. */

static void count_file(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, ".sst") == 0)
        ++*(size_t *)ctx;
}

static size_t sst_files(struct world *w)
{
    size_t n = 0;
    sim_fs_walk(w->s.fs, count_file, &n);
    return n;
}

START_TEST(test_truncate)
{
    struct world w;
    world_init(&w, 8);
    world_open(&w);
    for (uint64_t k = 0; k < 100; k++) {
        put(&w, k, 1, "old");
        if (k % 30 == 10)
            ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
    }
    ck_ok(write_one(&w, T2, 7, 1, "other", LSM_DURABLE_LOG), w.s.err);
    ck_ok(lsm_table_truncate(w.table, &w.s.err), w.s.err);
    ck_assert_uint_eq(count_rows(&w, w.table), 0);
    ck_assert_uint_eq(sst_files(&w), 0);
    put(&w, 5, 1, "new");
    ck_ok(lsm_sync(w.s.store, &w.s.err), w.s.err);
    for (int i = 0; i < 2; i++) {
        world_die(&w, i);
        world_open(&w);
        ck_assert_uint_eq(count_rows(&w, w.table), 1);
        ck_assert_str_eq(get(&w, 5), "new");
        ck_assert_str_eq(get_from(&w, w.other, 7), "other");
    }
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

START_TEST(test_drop)
{
    struct world w;
    world_init(&w, 9);
    world_open(&w);
    for (uint64_t k = 0; k < 100; k++)
        put(&w, k, 1, "old");
    ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
    put(&w, 100, 1, "in the log");
    struct base_source *src;
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    ck_ok(lsm_read(w.table, &cmd, false, NULL, 0, NULL, &src, &w.s.err), w.s.err);
    ck_ok(lsm_table_drop(w.s.store, w.table, &w.s.err), w.s.err);
    ck_assert_ptr_null(lsm_table_find(w.s.store, T1));
    ck_assert_uint_eq(sst_files(&w), 1); /* the stream still reads it */
    struct base_partition p;
    ck_ok(src->ops->partition(src, &p, &w.s.err), w.s.err);
    ck_assert_uint_gt(p.pkey.len, 0);
    src->ops->close(src);
    sim_executor_run(&w.s.executor, 10); /* a finished flush's job still knows the table */
    ck_assert_uint_eq(sst_files(&w), 0);
    ck_assert_int_eq(write_one(&w, T1, 1, 1, "x", LSM_DURABLE_LOG), BASE_E_NOTFOUND);
    world_close(&w, UINT64_MAX);
    world_open(&w);
    /* it was declared again; not even the log's row is back */
    ck_assert_uint_eq(count_rows(&w, w.table), 0);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Tables that nobody declares any more are removed by the replay, files too. */
START_TEST(test_undeclared)
{
    struct world w;
    world_init(&w, 10);
    world_open(&w);
    put(&w, 1, 1, "v");
    world_close(&w, 0);
    ck_assert_uint_eq(sst_files(&w), 1);
    ck_ok(lsm_open(&w.s.options, &w.s.store, &w.s.err), w.s.err);
    ck_ok(lsm_replay(w.s.store, &w.s.err), w.s.err);
    ck_assert_uint_eq(sst_files(&w), 0);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Four flushes make one SSTable; a tombstone past its grace goes with what it covers. */
START_TEST(test_compaction)
{
    struct world w;
    world_init(&w, 11);
    world_open(&w);
    for (uint64_t round = 0; round < 4; round++) {
        for (uint64_t k = 0; k < 50; k++)
            put(&w, k, (int64_t)round + 1, round == 3 && k < 10 ? NULL : "v");
        ck_ok(lsm_flush(w.s.store, w.table, NULL, &w.s.err), w.s.err);
    }
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    ck_assert_uint_eq(sstables(&w), 1);
    ck_assert_uint_eq(sst_files(&w), 1);
    ck_assert_uint_eq(count_rows(&w, w.table), 40);
    struct lsm_table_stats stats;
    lsm_table_get_stats(w.table, &stats);
    /* they were deleted in 1970: long past gc_grace */
    ck_assert_uint_eq(stats.row_count_estimate, 40);
    world_close(&w, 0);
    world_open(&w);
    ck_assert_uint_eq(count_rows(&w, w.table), 40);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Memtables are flushed by themselves, the log is given back, memory stays bounded, nobody is
 * refused. */
START_TEST(test_back_pressure)
{
    struct world w;
    world_init(&w, 12);
    w.s.options.memtable_size_max = 1 << 18;
    w.s.options.commitlog_total_size = 1 << 18;
    world_open(&w);
    char value[200];
    memset(value, 'b', sizeof value);
    value[sizeof value - 1] = 0;
    for (uint64_t k = 0; k < 5000; k++) {
        put(&w, k, 1, value);
        struct lsm_stats stats;
        lsm_get_stats(w.s.store, &stats);
        ck_assert_uint_lt(stats.memtable_bytes, 2u << 18);
        if (k % 64 == 0)
            sim_executor_run(&w.s.executor, 20);
    }
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    struct lsm_stats stats;
    lsm_get_stats(w.s.store, &stats);
    ck_assert_uint_gt(stats.flushes, 3);
    ck_assert_uint_le(stats.commitlog_bytes, 2u << 18);
    ck_assert_uint_eq(count_rows(&w, w.table), 5000);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Data up to the truncation time of the description are gone, wherever they are and whenever they
 * come. */
START_TEST(test_truncated_us)
{
    struct world w;
    world_init(&w, 14);
    world_open(&w);
    for (int round = 0; round < 2; round++) { /* both in an SSTable and in the memtable */
        for (uint64_t k = 0; k < 40; k++)
            put(&w, k + 100 * (uint64_t)round, k % 2 ? 5 : 50, "v");
        if (round == 0)
            ck_ok(lsm_flush(w.s.store, NULL, NULL, &w.s.err), w.s.err);
    }
    ck_assert_uint_eq(count_rows(&w, w.table), 80);
    struct lsm_table_desc desc = store_table(T1);
    desc.truncated_us = 10;
    ck_ok(lsm_table_alter(w.table, &desc, &w.s.err), w.s.err);
    put(&w, 300, 9, "too late");
    for (int round = 0; round < 3; round++) {
        ck_assert_uint_eq(count_rows(&w, w.table), 40);
        ck_assert_str_eq(get(&w, 1), "");
        ck_assert_str_eq(get(&w, 101), "");
        ck_assert_str_eq(get(&w, 2), "v");
        ck_assert_str_eq(get(&w, 300), "");
        if (round == 0)
            ck_ok(lsm_flush(w.s.store, NULL, NULL, &w.s.err), w.s.err);
        else
            ck_ok(lsm_compact(w.s.store, NULL, NULL, &w.s.err), w.s.err);
    }
    struct lsm_table_stats stats;
    lsm_table_get_stats(w.table, &stats);
    ck_assert_uint_eq(stats.row_count_estimate, 40);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

START_TEST(test_close_busy)
{
    struct world w;
    world_init(&w, 15);
    world_open(&w);
    put(&w, 1, 1, "v");
    struct base_source *src;
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    ck_ok(lsm_read(w.table, &cmd, false, NULL, 0, NULL, &src, &w.s.err), w.s.err);
    ck_fails(lsm_close(w.s.store, 0, &w.s.err), BASE_E_BUSY, w.s.err);
    put(&w, 2, 1, "v"); /* it is still open */
    lsm_read_park(src);
    src->ops->close(src);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* Who must not wait is told when a row is wholly in memory: in the memtable, or in blocks that the
 * cache has; not of other reads. */
START_TEST(test_may_wait)
{
    static const uint8_t at[] = {BASE_KEY_AT};
    const struct base_range row = {{at, 1}, {at, 1}};
    struct world w;
    uint64_t key = 7, nobody = 123456;
    struct base_buf pkey, other;
    world_init(&w, 21);
    world_open(&w);
    for (uint64_t k = 0; k < 2000; k++)
        put(&w, k, 1, "some value that fills blocks");
    base_buf_init(&pkey, 100);
    base_buf_init(&other, 100);
    ck_assert_int_eq(base_pkey_put(base_slice(&key, 8), &pkey), BASE_OK);
    ck_assert_int_eq(base_pkey_put(base_slice(&nobody, 8), &other), BASE_OK);
    struct base_read cmd = BASE_READ_INIT;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = (struct base_slices){&row, 1};
    ck_assert(!lsm_read_may_wait(w.table, &cmd)); /* the memtable's */
    world_close(&w, 0);
    world_open(&w); /* from the disk, with nothing cached */
    ck_assert_uint_eq(sstables(&w), 1);
    ck_assert(lsm_read_may_wait(w.table, &cmd));
    ck_assert_str_eq(get(&w, key), "some value that fills blocks");
    ck_assert_str_eq(get(&w, key), "some value that fills blocks");
    ck_assert(!lsm_read_may_wait(w.table, &cmd));
    cmd.pkey = base_buf_view(&other);
    ck_assert(!lsm_read_may_wait(w.table, &cmd)); /* the filter, which is loaded by now, says no */
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = base_slices_all;
    ck_assert(lsm_read_may_wait(w.table, &cmd));
    cmd.pkey = (struct base_slice){0};
    ck_assert(lsm_read_may_wait(w.table, &cmd));
    base_buf_fini(&pkey);
    base_buf_fini(&other);
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

/* What is not logged is lost by a crash and kept by a close. */
START_TEST(test_unlogged)
{
    struct world w;
    world_init(&w, 13);
    world_open(&w);
    ck_ok(write_one(&w, T1, 1, 1, "v", LSM_DURABLE_MEMORY), w.s.err);
    world_close(&w, UINT64_MAX);
    world_open(&w);
    ck_assert_str_eq(get(&w, 1), "v");
    ck_ok(write_one(&w, T1, 2, 1, "v", LSM_DURABLE_MEMORY), w.s.err);
    world_die(&w, false);
    world_open(&w);
    ck_assert_str_eq(get(&w, 2), "");
    world_close(&w, 0);
    world_fini(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, test_write_read_restart);
    tcase_add_test(tc, test_reuse);
    tcase_add_test(tc, test_group_is_refused_whole);
    tcase_add_loop_test(tc, test_power_cut, 0, 2);
    tcase_add_test(tc, test_kill);
    tcase_add_test(tc, test_failed_sync_stops);
    tcase_add_test(tc, test_no_space);
    tcase_add_test(tc, test_failing_flush);
    tcase_add_test(tc, test_truncate);
    tcase_add_test(tc, test_drop);
    tcase_add_test(tc, test_undeclared);
    tcase_add_test(tc, test_compaction);
    tcase_add_test(tc, test_back_pressure);
    tcase_add_test(tc, test_unlogged);
    tcase_add_test(tc, test_truncated_us);
    tcase_add_test(tc, test_close_busy);
    tcase_add_test(tc, test_may_wait);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
