/* Without this: a torn tail stops a store from opening, or damage to what was synced passes for one
 * and acknowledged writes vanish silently; a recycled segment's old records come back. */
#include <stdio.h>

#include "lsm/commitlog.h"
#include "lsm/record.h"
#include "tests/lib/ck.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

static struct sim_random sim_random;

static struct lsmi_log_config config_of(struct sim_fs *fs, uint64_t low)
{
    return (struct lsmi_log_config){.fs = sim_fs_port(fs),
                                    .random = &sim_random.base,
                                    .dir = "log",
                                    .segment_size = 4096,
                                    .low = low};
}

/* The store makes the directory, and its name durable, before it opens the log. */
static struct sim_fs *fs_new(uint64_t seed)
{
    struct base_err err;
    struct sim_fs *fs = sim_fs_new(seed);
    ck_ok(base_fs_mkdir(sim_fs_port(fs), "log", &err), err);
    ck_ok(base_fs_sync_dir(sim_fs_port(fs), ".", &err), err);
    return fs;
}

struct seen {
    uint64_t count, first, last; /* groups are numbered from 0 in their first 8 bytes */
    uint64_t position_last;
};

static int see(void *ctx, uint64_t position, struct base_slice group, struct base_err *err)
{
    (void)err;
    struct seen *seen = ctx;
    uint64_t n = base_get_le64(group.data);
    for (size_t i = 8; i < group.len; i++)
        ck_assert_uint_eq(group.data[i], (uint8_t)(n + i));
    if (seen->count++ == 0)
        seen->first = n;
    else
        ck_assert_uint_eq(n, seen->last + 1); /* no gap, no repeat */
    ck_assert_uint_gt(position, seen->position_last);
    seen->last = n;
    seen->position_last = position;
    return BASE_OK;
}

static int open_log(struct sim_fs *fs, uint64_t low, struct lsmi_log **log, struct seen *seen,
                    struct base_err *err)
{
    *seen = (struct seen){0};
    struct lsmi_log_config config = config_of(fs, low);
    int rc = lsmi_log_open(&config, log, err);
    if (rc != BASE_OK)
        return rc;
    struct lsmi_log_sink sink = {see, seen};
    rc = lsmi_log_replay(*log, &sink, err);
    if (rc != BASE_OK) {
        (void)!lsmi_log_close(*log, NULL);
        *log = NULL;
    }
    return rc;
}

static int append(struct lsmi_log *log, uint64_t n, size_t len, uint64_t *position,
                  struct base_err *err)
{
    uint8_t group[8192];
    base_put_le64(group, n);
    for (size_t i = 8; i < len; i++)
        group[i] = (uint8_t)(n + i);
    return lsmi_log_append(log, base_slice(group, len), 1, position, err);
}

static size_t len_of(uint64_t n)
{
    return n % 50 == 49 ? 6000 : 8 + n * 37 % 300; /* some larger than a segment */
}

START_TEST(test_append_replay)
{
    struct base_err err;
    struct sim_fs *fs = fs_new(1);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t n = 0, position;
    for (int life = 0; life < 6; life++) {
        ck_ok(open_log(fs, 0, &log, &seen, &err), err);
        ck_assert_uint_eq(seen.count, n);
        for (int i = 0; i < 100; i++, n++) {
            ck_ok(append(log, n, len_of(n), &position, &err), err);
            if (i % 7 == 0)
                ck_ok(lsmi_log_sync(log, position + 1, &err), err);
            if (lsmi_log_wants_spare(log))
                lsmi_log_prepare_spare(log);
        }
        if (life % 2) {
            ck_ok(lsmi_log_close(log, &err), err);
        } else {
            sim_fs_kill(fs);
            (void)!lsmi_log_close(log, NULL);
        }
    }
    sim_fs_free(fs);
}
END_TEST

/* Segments that are not needed are given back and used again; what they held never comes back. */
START_TEST(test_recycle)
{
    struct base_err err;
    struct sim_fs *fs = fs_new(2);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position = 0, low = 0;
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    for (uint64_t n = 0; n < 2000; n++) {
        ck_ok(append(log, n, 100, &position, &err), err);
        if (n % 10 == 0)
            ck_ok(lsmi_log_sync(log, UINT64_MAX, &err), err);
        if (n % 100 == 60) {
            low = position;
            lsmi_log_discard(log, low);
        }
        if (lsmi_log_wants_spare(log))
            lsmi_log_prepare_spare(log);
    }
    struct lsmi_log_stats stats;
    lsmi_log_get_stats(log, &stats);
    ck_assert_uint_le(stats.segment_count, 5);
    sim_fs_power_off(fs);
    (void)!lsmi_log_close(log, NULL);
    sim_fs_crash(fs);
    ck_ok(open_log(fs, low, &log, &seen, &err), err);
    ck_assert_uint_eq(seen.first, 1960);
    ck_assert_uint_ge(seen.last, 1990);
    ck_ok(lsmi_log_close(log, &err), err);
    sim_fs_free(fs);
}
END_TEST

START_TEST(test_cancel)
{
    struct base_err err;
    struct sim_fs *fs = fs_new(3);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position;
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    ck_ok(append(log, 0, 50, &position, &err), err);
    ck_ok(append(log, 77, 50, &position, &err), err);
    ck_ok(lsmi_log_cancel(log, position, &err), err);
    ck_ok(append(log, 1, 50, &position, &err), err);
    ck_ok(lsmi_log_close(log, &err), err);
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    ck_assert_uint_eq(seen.count, 2);
    ck_ok(lsmi_log_close(log, &err), err);
    sim_fs_free(fs);
}
END_TEST

/* Power is cut at every change: the replay yields a prefix with at least what was synced, and goes
 * on. */
START_TEST(test_power)
{
    struct base_err err;
    for (uint64_t cut = 0;; cut++) {
        struct sim_fs *fs = fs_new(cut);
        struct lsmi_log *log;
        struct seen seen;
        uint64_t position, synced = 0, n = 0;
        int rc = open_log(fs, 0, &log, &seen, &err);
        ck_assert_int_eq(rc, BASE_OK);
        sim_fs_cut_power(fs, SIM_FS_CHANGING, cut);
        for (; n < 70 && rc == BASE_OK; n++) {
            rc = append(log, n, len_of(n), &position, &err);
            if (rc == BASE_OK && n % 5 == 0 &&
                (rc = lsmi_log_sync(log, UINT64_MAX, &err)) == BASE_OK)
                synced = n + 1;
        }
        bool done = !sim_fs_is_off(fs);
        sim_fs_power_off(fs);
        (void)!lsmi_log_close(log, NULL);
        sim_fs_crash(fs);
        for (int again = 0; again < 2; again++) {
            ck_ok(open_log(fs, 0, &log, &seen, &err), err);
            ck_assert_msg(seen.count >= synced && seen.count <= n + (uint64_t)again,
                          "cut %d: %d of %d synced, %d written", (int)cut, (int)seen.count,
                          (int)synced, (int)n);
            ck_ok(append(log, seen.count, 500, &position, &err), err);
            ck_ok(lsmi_log_sync(log, UINT64_MAX, &err), err);
            synced = n = seen.count + 1;
            sim_fs_kill(fs);
            (void)!lsmi_log_close(log, NULL);
        }
        sim_fs_free(fs);
        if (done)
            break;
    }
}
END_TEST

/* One flipped bit anywhere in what was synced: refused by name, or harmless (bytes that no record
 * covers). */
START_TEST(test_flip)
{
    struct base_err err;
    struct sim_fs *whole = fs_new(4);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position;
    enum { GROUPS = 40 };
    ck_ok(open_log(whole, 0, &log, &seen, &err), err);
    for (uint64_t n = 0; n < GROUPS; n++)
        ck_ok(append(log, n, 8 + n * 11 % 300, &position, &err), err);
    ck_ok(lsmi_log_sync(log, UINT64_MAX, &err), err);
    sim_fs_kill(whole);
    (void)!lsmi_log_close(log, NULL);
    char path[64];
    size_t refused = 0;
    for (unsigned segment = 1; segment <= 2; segment++) {
        snprintf(path, sizeof path, "log/%010u.log", segment);
        size_t size = sim_fs_bytes(whole, path).len;
        ck_assert_uint_gt(size, 0);
        for (size_t at = 0; at < size; at += at < 600 ? 1 : 13) {
            struct sim_fs *fs = sim_fs_clone(whole, at);
            ck_assert(sim_fs_flip(fs, path, at, (unsigned)(at % 8)));
            int rc = open_log(fs, 0, &log, &seen, &err);
            if (rc == BASE_OK) {
                ck_assert_uint_eq(seen.count, GROUPS);
                (void)!lsmi_log_close(log, NULL);
            } else {
                ck_assert_msg(rc == BASE_E_CORRUPT || rc == BASE_E_VERSION, "%s at %zu: %s", path,
                              at, err.text);
                ck_assert_ptr_nonnull(strstr(err.text, path));
                refused++;
            }
            sim_fs_free(fs);
        }
    }
    ck_assert_uint_gt(refused, 200);
    sim_fs_free(whole);
}
END_TEST

START_TEST(test_missing_segment)
{
    struct base_err err;
    struct sim_fs *fs = fs_new(5);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position;
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    for (uint64_t n = 0; n < 100; n++)
        ck_ok(append(log, n, 200, &position, &err), err);
    ck_ok(lsmi_log_close(log, &err), err);
    ck_ok(base_fs_remove(sim_fs_port(fs), "log/0000000002.log", &err), err);
    ck_fails(open_log(fs, 0, &log, &seen, &err), BASE_E_CORRUPT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "0000000002.log"));
    sim_fs_free(fs);
}
END_TEST

/* A full disk refuses, keeps nothing of the refused, and goes on when there is space. */
START_TEST(test_no_space)
{
    struct base_err err;
    struct sim_fs *fs = fs_new(6);
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position, n = 0;
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    sim_fs_set_capacity(fs, 10000);
    int rc;
    while ((rc = append(log, n, 200, &position, &err)) == BASE_OK)
        n++;
    ck_assert_int_eq(rc, BASE_E_NOSPACE);
    ck_assert_uint_gt(n, 5);
    ck_fails(append(log, n, 200, &position, &err), BASE_E_NOSPACE, err);
    sim_fs_set_capacity(fs, UINT64_MAX);
    for (int i = 0; i < 50; i++)
        ck_ok(append(log, n++, 200, &position, &err), err);
    ck_ok(lsmi_log_close(log, &err), err);
    ck_ok(open_log(fs, 0, &log, &seen, &err), err);
    ck_assert_uint_eq(seen.count, n);
    ck_ok(lsmi_log_close(log, &err), err);
    sim_fs_free(fs);
}
END_TEST

START_TEST(test_stops)
{
    struct base_err err;
    struct lsmi_log *log;
    struct seen seen;
    uint64_t position;
    for (int sync = 0; sync < 2; sync++) {
        struct sim_fs *fs = fs_new(7);
        ck_ok(open_log(fs, 0, &log, &seen, &err), err);
        ck_ok(append(log, 0, 200, &position, &err), err);
        sim_fs_fail(fs, sync ? SIM_FS_SYNC : SIM_FS_WRITE, 0, 1, BASE_E_IO);
        if (sync)
            ck_fails(lsmi_log_sync(log, UINT64_MAX, &err), BASE_E_IO, err);
        else
            ck_fails(append(log, 1, 200, &position, &err), BASE_E_IO, err);
        ck_fails(append(log, 1, 200, &position, &err), BASE_E_STOPPED, err);
        ck_fails(lsmi_log_usable(log, &err), BASE_E_STOPPED, err);
        /* it cannot promise what was written last */
        ck_fails(lsmi_log_close(log, &err), BASE_E_IO, err);
        ck_ok(open_log(fs, 0, &log, &seen, &err), err);
        ck_assert_uint_eq(seen.count, 1);
        ck_ok(lsmi_log_close(log, &err), err);
        sim_fs_free(fs);
    }
}
END_TEST

START_TEST(test_record)
{
    uint8_t bytes[128] = {0};
    struct lsmi_record record;
    memcpy(bytes + LSMI_RECORD_HEADER, "payload", 7);
    lsmi_record_seal(bytes, 7, LSMI_RECORD_GROUP, 3, 99, 1234, 512);
    ck_assert_uint_eq(lsmi_record_open(base_slice(bytes, sizeof bytes), 1234, 512, &record), 40);
    ck_assert(base_slice_equal(record.payload, BASE_SLICE_LIT("payload")));
    ck_assert(record.kind == LSMI_RECORD_GROUP && record.count == 3 && record.synced == 99);
    /* another file */
    ck_assert_uint_eq(lsmi_record_open(base_slice(bytes, sizeof bytes), 1235, 512, &record), 0);
    /* another place */
    ck_assert_uint_eq(lsmi_record_open(base_slice(bytes, sizeof bytes), 1234, 520, &record), 0);
    ck_assert_uint_eq(lsmi_record_open(base_slice(bytes, 39), 1234, 512, &record), 0);
    for (size_t bit = 0; bit < 8 * (LSMI_RECORD_HEADER + 7); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_eq(lsmi_record_open(base_slice(bytes, sizeof bytes), 1234, 512, &record), 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

int main(void)
{
    sim_random_init(&sim_random, 1);
    Suite *suite = suite_create("commitlog");
    TCase *tc = tcase_create("commitlog");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_record);
    tcase_add_test(tc, test_append_replay);
    tcase_add_test(tc, test_recycle);
    tcase_add_test(tc, test_cancel);
    tcase_add_test(tc, test_power);
    tcase_add_test(tc, test_flip);
    tcase_add_test(tc, test_missing_segment);
    tcase_add_test(tc, test_no_space);
    tcase_add_test(tc, test_stops);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
