/* Without this: running out of memory inside the host leaks, crashes, or makes a read look complete
 * when it is not. Every allocation of a write, a read, a verification and a compaction fails once.
 * Under the address sanitizer leaks show too. Real files in the working directory: the simulated
 * disk may not run out of memory. */
#include <stdio.h>
#include <unistd.h>

#include "base/compress.h"
#include "lsm/sst_private.h"
#include "node/ports.h"
#include "tests/lib/alloc_fault.h"
#include "tests/unit/lsm/sst_lib.h"

static char dir[64], in_path[96], out_path[96];

static void setup(void)
{
    snprintf(dir, sizeof dir, "sst_alloc_%ld", (long)getpid());
    snprintf(in_path, sizeof in_path, "%s/in.sst", dir);
    snprintf(out_path, sizeof out_path, "%s/out.sst", dir);
    ck_assert_int_eq(base_fs_mkdir(node_posix_fs(), dir, NULL), BASE_OK);
}

static void teardown(void)
{
    (void)base_fs_remove(node_posix_fs(), in_path, NULL);
    (void)base_fs_remove(node_posix_fs(), out_path, NULL);
    (void)base_fs_rmdir(node_posix_fs(), dir, NULL);
}

static const struct model_shape shape = {.partitions = 30,
                                         .items_max = 60,
                                         .value_max = 60,
                                         .components = 2,
                                         .marker_percent = 20,
                                         .static_percent = 50,
                                         .deletion_percent = 20,
                                         .wide_first = true};

static struct lsmi_sst_params small_params(const char *path)
{
    struct lsmi_sst_params params = test_params(node_posix_fs(), path);
    params.block_size = 400;
    return params;
}

static int write_model(const struct model *m, const char *path, struct base_err *err)
{
    struct lsmi_sst_params params = small_params(path);
    struct lsmi_sst_writer *w;
    struct lsm_sstable_info info;
    int rc = lsmi_sst_writer_open(&params, &w, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < m->count && !rc; i++) {
        const struct model_partition *p = &m->partitions[i];
        struct base_partition head = {p->pkey, p->deletion, p->static_row};
        rc = lsmi_sst_writer_partition(w, &head, err);
        for (size_t j = 0; j < p->item_count && !rc; j++)
            rc = lsmi_sst_writer_item(w, &p->items[j], err);
    }
    if (!rc)
        rc = lsmi_sst_writer_finish(w, &info, err);
    if (rc)
        lsmi_sst_writer_abort(w);
    return rc;
}

/* Rows and markers of all partitions, forward and backward, through a small cache. */
static int read_all(const char *path, uint64_t *count, struct base_err *err)
{
    struct lsmi_cache *cache = lsmi_cache_new(30000);
    struct lsm_sstable *sst = NULL;
    struct lsmi_sst_source src = {0};
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = slices_whole;
    *count = 0;
    int rc = cache ? lsmi_sst_open(node_posix_fs(), path, cache, &sst, err) : BASE_E_NOMEM;
    for (int i = 0; i < 2 && !rc; i++) {
        struct base_partition p;
        struct base_item item;
        cmd.reversed = i;
        (void)lsmi_sst_may_contain(sst, lsmi_sst_pkey_min(sst));
        rc = lsmi_sst_source_init(&src, sst, &cmd, err);
        if (rc)
            break;
        while (!(rc = src.source.ops->partition(&src.source, &p, err)) && p.pkey.len)
            while (!(rc = src.source.ops->next(&src.source, &item, err)) &&
                   item.kind != BASE_ITEM_END)
                ++*count;
        src.source.ops->close(&src.source);
    }
    if (!rc)
        rc = lsm_sstable_verify(sst, NULL, err);
    lsmi_sst_source_fini(&src);
    lsmi_sst_release(sst);
    lsmi_cache_free(cache);
    return rc;
}

static int compact(const char *from, const char *to, struct base_err *err)
{
    struct lsm_sstable *sst;
    struct lsmi_compaction *c = NULL;
    struct lsm_sstable_info info;
    int rc = lsmi_sst_open(node_posix_fs(), from, NULL, &sst, err);
    if (rc)
        return rc;
    struct lsm_sstable *inputs[] = {sst, sst};
    struct lsmi_compaction_config config = {.out = small_params(to),
                                            .inputs = inputs,
                                            .input_count = 2,
                                            .now_s = 10,
                                            .gc_before_s = INT64_MIN,
                                            .truncated_us = INT64_MIN};
    rc = lsmi_compaction_open(&config, &c, err);
    for (bool done = false; !rc && !done;)
        rc = lsmi_compaction_step(c, 4000, &done, &info, err);
    lsmi_compaction_close(c);
    lsmi_sst_release(sst);
    return rc;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

START_TEST(every_allocation_may_fail)
{
    struct rng rng = rng_seeded(4);
    struct model m;
    struct base_err err;
    uint64_t expected, count;
    model_make(&m, &rng, &shape);
    ck_ok(write_model(&m, in_path, &err), err);
    ck_ok(read_all(in_path, &expected, &err), err);
    bool more = true;
    for (uint64_t k = 0; more; k++) {
        more = false;
        alloc_fault_set(k, 1);
        int rc = write_model(&m, out_path, &err);
        bool hit = alloc_fault_clear();
        more |= hit;
        ck_assert_msg(rc == BASE_OK || (hit && rc == BASE_E_NOMEM), "write, allocation %llu: %d %s",
                      (unsigned long long)k, rc, err.text);
        ck_assert_int_eq(exists(out_path), rc == BASE_OK);
        if (rc == BASE_OK)
            ck_ok(base_fs_remove(node_posix_fs(), out_path, &err), err);

        alloc_fault_set(k, 1);
        rc = read_all(in_path, &count, &err);
        hit = alloc_fault_clear();
        more |= hit;
        ck_assert_msg(rc == BASE_OK ? count == expected : hit && rc == BASE_E_NOMEM,
                      "read, allocation %llu: %d %s", (unsigned long long)k, rc, err.text);

        alloc_fault_set(k, 1);
        rc = compact(in_path, out_path, &err);
        hit = alloc_fault_clear();
        more |= hit;
        ck_assert_msg(rc == BASE_OK || (hit && rc == BASE_E_NOMEM),
                      "compaction, allocation %llu: %d %s", (unsigned long long)k, rc, err.text);
        ck_assert_int_eq(exists(out_path), rc == BASE_OK);
        if (rc == BASE_OK)
            ck_ok(base_fs_remove(node_posix_fs(), out_path, &err), err);
    }
    model_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sst_alloc");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
