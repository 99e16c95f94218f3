/* Without this: a crash between two edits names a file that is not there or forgets one that is; a
 * damaged manifest loses SSTables without a word. */
#include <stdio.h>

#include "lsm/manifest.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

static struct sim_random sim_random;

static int open_manifest(struct sim_fs *fs, struct lsmi_manifest *m, struct base_err *err)
{
    return lsmi_manifest_open(sim_fs_port(fs), &sim_random.base, "dir", m, err);
}

static struct sim_fs *fs_new(uint64_t seed)
{
    struct base_err err;
    struct sim_fs *fs = sim_fs_new(seed);
    ck_ok(base_fs_mkdir(sim_fs_port(fs), "dir", &err), err);
    ck_ok(base_fs_sync_dir(sim_fs_port(fs), ".", &err), err);
    return fs;
}

/* The state after n of these edits is a function of n. */
static void edit_of(uint64_t n, struct base_buf *edit)
{
    struct lsmi_manifest_sstable sstable = {
        .id = n + 1, .file_size = n * 10, .table_id = {{(uint8_t)(n % 3 + 1)}}};
    ck_assert_int_eq(lsmi_edit_add(edit, &sstable), BASE_OK);
    if (n >= 5)
        ck_assert_int_eq(lsmi_edit_remove(edit, n - 4), BASE_OK);
    ck_assert_int_eq(lsmi_edit_flushed(edit, sstable.table_id, n * 100), BASE_OK);
    ck_assert_int_eq(lsmi_edit_log_low(edit, n * 50), BASE_OK);
}

static int commit(struct lsmi_manifest *m, uint64_t n, struct base_err *err)
{
    struct base_buf edit;
    base_buf_init(&edit, 4096);
    edit_of(n, &edit);
    int rc = lsmi_manifest_commit(m, base_buf_view(&edit), err);
    base_buf_fini(&edit);
    return rc;
}

/* How many edits it says; asserts that it says exactly those. */
static uint64_t edits_in(const struct lsmi_manifest *m)
{
    if (m->sstable_count == 0)
        return 0;
    uint64_t n = m->sstables[m->sstable_count - 1].id;
    ck_assert_uint_eq(m->sstable_count, n < 5 ? n : 5);
    for (size_t i = 0; i < m->sstable_count; i++) {
        uint64_t id = n - m->sstable_count + 1 + i;
        const struct lsmi_manifest_sstable *sstable = lsmi_manifest_find(m, id);
        ck_assert_ptr_eq(sstable, &m->sstables[i]);
        ck_assert_uint_eq(sstable->file_size, (id - 1) * 10);
        ck_assert_uint_eq(sstable->table_id.b[0], (id - 1) % 3 + 1);
    }
    ck_assert_uint_eq(m->next_id, n + 1);
    ck_assert_uint_eq(m->log_low, (n - 1) * 50);
    ck_assert_uint_eq(lsmi_manifest_flushed_upto(m, m->sstables[m->sstable_count - 1].table_id),
                      (n - 1) * 100);
    return n;
}

START_TEST(test_edits)
{
    struct base_err err;
    struct lsmi_manifest m;
    struct sim_fs *fs = fs_new(1);
    uint64_t n = 0;
    for (int life = 0; life < 5; life++) {
        ck_ok(open_manifest(fs, &m, &err), err);
        ck_assert_uint_eq(edits_in(&m), n);
        for (int i = 0; i < 700; i++)
            ck_ok(commit(&m, n++, &err), err);
        lsmi_manifest_close(&m);
    }
    ck_ok(open_manifest(fs, &m, &err), err);
    ck_assert_uint_gt(m.number, 1); /* it was rewritten on the way */
    ck_assert_uint_lt(m.offset, 1 << 18);
    struct base_buf edit;
    base_buf_init(&edit, 4096);
    ck_assert_int_eq(lsmi_edit_drop(&edit, (struct base_uuid){{1}}), BASE_OK);
    ck_ok(lsmi_manifest_commit(&m, base_buf_view(&edit), &err), err);
    base_buf_fini(&edit);
    for (size_t i = 0; i < m.sstable_count; i++)
        ck_assert_uint_ne(m.sstables[i].table_id.b[0], 1);
    ck_assert_uint_eq(lsmi_manifest_flushed_upto(&m, (struct base_uuid){{1}}), 0);
    lsmi_manifest_close(&m);
    sim_fs_free(fs);
}
END_TEST

/* Power is cut at every change, errors strike at every operation: what was committed is there, and
 * of the edit under way all or nothing. */
static bool fault_round(uint64_t k, bool power)
{
    struct base_err err;
    struct lsmi_manifest m;
    struct sim_fs *fs = fs_new(k);
    if (power)
        sim_fs_cut_power(fs, SIM_FS_CHANGING, k);
    else
        sim_fs_fail(fs, SIM_FS_ANY, k, 1, k % 2 ? BASE_E_IO : BASE_E_NOSPACE);
    uint64_t n = 0;
    bool hit = false;
    for (int life = 0; life < 3; life++) {
        if (open_manifest(fs, &m, &err) != BASE_OK) {
            hit = true;
            if (power)
                break;
            sim_fs_clear_faults(fs);
            ck_ok(open_manifest(fs, &m, &err), err);
        }
        ck_assert_uint_eq(edits_in(&m), n);
        for (int i = 0; i < 8; i++) {
            if (commit(&m, n, &err) == BASE_OK) {
                n++;
                continue;
            }
            hit = true;
            ck_assert_uint_eq(edits_in(&m), n);
            if (power)
                break;
            sim_fs_clear_faults(fs);
            ck_ok(commit(&m, n++, &err), err); /* the same edit again, as the store does */
        }
        lsmi_manifest_close(&m);
        if (power && hit)
            break;
    }
    if (power) {
        hit = sim_fs_is_off(fs);
        sim_fs_power_off(fs);
        sim_fs_crash(fs);
    } else {
        hit = sim_fs_clear_faults(fs) > 0 || hit;
    }
    ck_ok(open_manifest(fs, &m, &err), err);
    uint64_t now = edits_in(&m);
    ck_assert_msg(now == n || (power && now == n + 1), "k %d: %d edits, %d committed", (int)k,
                  (int)now, (int)n);
    ck_ok(commit(&m, now, &err), err);
    lsmi_manifest_close(&m);
    ck_ok(open_manifest(fs, &m, &err), err);
    ck_assert_uint_eq(edits_in(&m), now + 1);
    lsmi_manifest_close(&m);
    sim_fs_free(fs);
    return hit;
}

START_TEST(test_faults)
{
    uint64_t k = 0;
    while (fault_round(k, _i))
        k++;
    ck_assert_uint_gt(k, 60);
}
END_TEST

START_TEST(test_flip)
{
    struct base_err err;
    struct lsmi_manifest m;
    struct sim_fs *whole = fs_new(3);
    ck_ok(open_manifest(whole, &m, &err), err);
    for (uint64_t n = 0; n < 10; n++)
        ck_ok(commit(&m, n, &err), err);
    lsmi_manifest_close(&m);
    static const char *const paths[] = {"dir/CURRENT", "dir/MANIFEST-0000000001"};
    for (size_t f = 0; f < BASE_COUNT(paths); f++) {
        size_t size = sim_fs_bytes(whole, paths[f]).len, refused = 0;
        ck_assert_uint_gt(size, 0);
        for (size_t bit = 0; bit < size * 8; bit++) {
            struct sim_fs *fs = sim_fs_clone(whole, bit);
            ck_assert(sim_fs_flip(fs, paths[f], bit / 8, (unsigned)(bit % 8)));
            int rc = open_manifest(fs, &m, &err);
            if (rc == BASE_OK) {
                ck_assert_uint_eq(edits_in(&m), 10);
                lsmi_manifest_close(&m);
            } else {
                ck_assert_msg(rc == BASE_E_CORRUPT || rc == BASE_E_VERSION, "bit %zu: %s", bit,
                              err.text);
                ck_assert_ptr_nonnull(strstr(err.text, paths[f]));
                refused++;
            }
            sim_fs_free(fs);
        }
        /* All but the gap behind the header, padding, and the mark at the end. */
        ck_assert_uint_gt(refused, size * 8 * 8 / 10);
    }
    sim_fs_free(whole);
}
END_TEST

int main(void)
{
    sim_random_init(&sim_random, 1);
    Suite *suite = suite_create("manifest");
    TCase *tc = tcase_create("manifest");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_edits);
    tcase_add_loop_test(tc, test_faults, 0, 2);
    tcase_add_test(tc, test_flip);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
