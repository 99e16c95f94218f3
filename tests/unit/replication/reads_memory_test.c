/* Reads when memory runs out: the k-th allocation of the code under test fails, for every k.
 * Without this a read could end with half an answer, never end, or take its node down. */
#include <check.h>
#include <stdio.h>

#include "tests/lib/alloc_fault.h"
#include "tests/lib/ck.h"
#include "tests/unit/replication/read_world.h"

static struct rw_world world;
static uint64_t fail_at, counted, since; /* of the code's own allocations */
static bool injected, armed;
static unsigned depth;

static void arm(void)
{
    since = alloc_fault_count();
    if (armed && !injected)
        alloc_fault_set(fail_at - counted, 1);
}

/* The world's own allocations neither count nor fail. */
static void outside(bool is)
{
    if (is && depth++ == 0) {
        counted += alloc_fault_count() - since;
        injected |= alloc_fault_clear();
    } else if (!is && --depth == 0) {
        arm();
    }
}

/* True: a failure was injected. */
static bool read_with_failure(uint64_t k, bool range, const char *expected)
{
    static const struct rw_options options = {.nodes = 3, .rf = 2, .speculative_retry = "NONE"};
    struct rw_result r;
    rw_init(&world, &options, 1);
    world.pending_percent = k % 2 ? 50 : 0;
    for (uint32_t p = 0; p < (range ? 3u : 1u); p++) {
        rw_put_row(&world, 7, p, 0, "live@3 4=a@3");
        rw_put_row(&world, 1, p, 1, "live@4 5=b@4");
        rw_put_row(&world, 6, p, 1, "live@4 5=b@4");
        rw_put_row(&world, 2, p, 2, "live@5");
        rw_put_row(&world, 4, p, 0, "4=c@6");
        rw_put_row(&world, 1, p, 0, "4=c@6");
        rw_put_row(&world, 5, p, 2, "live@5");
    }
    struct base_read cmd = BASE_READ_INIT;
    cmd.table_id = lib_table_id;
    cmd.slices = base_slices_all;
    if (!range)
        cmd.pkey = lib_pkey(0);
    world.outside = outside;
    fail_at = k;
    counted = 0;
    injected = false;
    armed = true;
    depth = 1;
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 2, &r);
    rw_run(&world, NULL);
    injected |= alloc_fault_clear();
    armed = false;
    world.outside = NULL;
    if (r.outcome.rc == BASE_OK)
        ck_assert_msg(strcmp((char *)r.text.data, expected) == 0, "allocation %llu: %s",
                      (unsigned long long)k, (char *)r.text.data);
    else /* a replica's NOMEM, our own, or a call that it left without an answer */
        ck_assert_msg(injected && (r.outcome.rc == BASE_E_NOMEM || r.outcome.rc == BASE_E_TIMEOUT),
                      "allocation %llu: %s: %s", (unsigned long long)k,
                      base_err_words(r.outcome.rc), r.outcome.err.text);
    rw_result_fini(&r);
    for (size_t i = 0; i < world.count; i++)
        ck_assert_msg(repl_is_idle(world.nodes[i].repl), "allocation %llu: node %zu",
                      (unsigned long long)k, i);
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 2, &r); /* and once more, with memory */
    ck_assert_msg(r.outcome.rc == BASE_OK, "allocation %llu: %s", (unsigned long long)k,
                  r.outcome.err.text);
    ck_assert_str_eq((char *)r.text.data, expected);
    rw_result_fini(&r);
    rw_fini(&world);
    return injected;
}

#define ROWS(p) p "/a [] live@3 4=c@6\n" p "/b [] live@4 5=b@4\n" p "/c [] live@5\n"

START_TEST(any_allocation_may_fail)
{
    for (unsigned range = 0; range < 2; range++) {
        uint64_t k = 0;
        while (read_with_failure(k, range, range ? ROWS("0") ROWS("1") ROWS("2") : ROWS("0")))
            k++;
        ck_assert_uint_gt(k, 10);
        printf("%s: %llu allocations\n", range ? "a range" : "a partition", (unsigned long long)k);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication/reads, memory");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, any_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
