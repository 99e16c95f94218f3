/* Coordinated reads by index. Without these a replica that missed a write could hide rows that its
 * newer value elsewhere has, or rows be given that the others have changed. */
#include <check.h>
#include <stdio.h>

#include "base/key.h"
#include "replication/reads_private.h"
#include "tests/lib/ck.h"
#include "tests/unit/replication/read_world.h"

static struct rw_world world;
static const struct rw_options three = {.nodes = 3, .rf = 3, .speculative_retry = "NONE"};

static const struct base_filter x_and_w[] = {{.column = 4, .operand = {(const uint8_t *)"x", 1}},
                                             {.column = 5, .operand = {(const uint8_t *)"w", 1}}};

/* A replica that missed an overwrite: of two replicas that say different things nothing is
 * believed. A lone one is. */
START_TEST(an_index_of_a_stale_replica_is_not_believed)
{
    struct rw_result r;
    struct rw_options options = three;
    options.indexed = true;
    rw_init(&world, &options, 6);
    rw_alive(&world, 2, false);
    rw_put_row(&world, 3, 0, 0, "live@3 4=x@3");
    rw_put_row(&world, 2, 0, 0, "4=y@5");
    rw_put_row(&world, 3, 0, 1, "live@3 4=y@3");
    rw_put_row(&world, 2, 0, 1, "4=x@5");
    rw_put_row(&world, 3, 0, 2, "live@3 5=z@3");
    rw_put_row(&world, 1, 0, 2, "4=x@5");
    rw_put_row(&world, 2, 0, 2, "5=w@6");
    struct base_read cmd = rw_command(&world, 0);
    cmd.filters = x_and_w;
    cmd.filter_count = 1;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 1, &r);
    rw_expect_text(&r, "0/b [] live@3 4=x@5\n0/c [] live@3 4=x@5 5=w@6\n");
    rw_fini(&world);
    rw_init(&world, &options, 6);
    rw_put_row(&world, 3, 0, 2, "live@3 5=z@3");
    rw_put_row(&world, 1, 0, 2, "4=x@5");
    rw_put_row(&world, 2, 0, 2, "5=w@6");
    world.nodes[2].refuses = true;
    rw_alive(&world, 2, false);
    cmd.filter_count = 2; /* each is another replica's: none has the row by itself */
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 1, &r);
    rw_expect_text(&r, "0/c [] live@3 4=x@5 5=w@6\n");
    rw_fini(&world);
}
END_TEST

/* Which of two conditions is read by: the one of which there is less, whoever is asked, and the
 * same everywhere; without an answer the first. Else a query by a rare value and a common one would
 * read all that have the common one. */
START_TEST(the_rarer_condition_is_read_by)
{
    struct rw_result r;
    struct rw_options options = {.nodes = 5, .rf = 3, .indexed = true};
    const struct {
        uint64_t counts[2];
        int fails;
        uint32_t column;
    } cases[] = {{{9, 5}, 0, 5}, {{5, 9}, 0, 4}, {{UINT64_MAX, 9}, 0, 5}, {{9, 5}, BASE_E_IO, 4}};
    for (unsigned i = 0; i < BASE_COUNT(cases) * 5; i++) {
        unsigned counted = 0, compared = 0;
        rw_init(&world, &options, 60 + i);
        world.pending_percent = i % 3 * 50;
        for (size_t k = 0; k < world.count; k++) {
            memcpy(world.nodes[k].counts, cases[i / 5].counts, sizeof cases[0].counts);
            world.nodes[k].count_rc = cases[i / 5].fails;
        }
        struct base_read cmd = rw_command(&world, 0);
        cmd.filters = x_and_w;
        cmd.filter_count = 2;
        rw_read(&world, i % 5, &cmd, REPL_CL_QUORUM, 1000, &r);
        ck_assert_msg(r.outcome.rc == BASE_OK, "%s", r.outcome.err.text);
        rw_result_fini(&r);
        for (size_t k = 0; k < world.count; k++) {
            counted += world.nodes[k].count_ops;
            compared += world.nodes[k].filtered_reads;
            if (!world.nodes[k].filtered_reads)
                continue;
            ck_assert_uint_eq(world.nodes[k].filters_seen, 1);
            ck_assert_uint_eq(world.nodes[k].filter_first, cases[i / 5].column);
        }
        ck_assert_uint_ge(counted, 1);
        ck_assert_uint_ge(compared, 2);
        rw_fini(&world);
    }
    /* of one replica everything is asked at once */
    rw_init(&world, &options, 6);
    struct base_read cmd = rw_command(&world, 0);
    cmd.filters = x_and_w;
    cmd.filter_count = 2;
    rw_read(&world, 0, &cmd, REPL_CL_ONE, 1000, &r);
    ck_assert_msg(r.outcome.rc == BASE_OK, "%s", r.outcome.err.text);
    rw_result_fini(&r);
    for (size_t k = 0; k < world.count; k++) {
        ck_assert_uint_eq(world.nodes[k].count_ops, 0);
        ck_assert(!world.nodes[k].filtered_reads || world.nodes[k].filters_seen == 2);
    }
    rw_fini(&world);
}
END_TEST

/* Who is asked by which condition to read may be slow, or silent: it is not waited for. */
START_TEST(a_choice_is_not_waited_for)
{
    struct rw_options options = {.nodes = 5, .rf = 3, .indexed = true};
    for (unsigned i = 0; i < 15; i++) {
        struct rw_result r;
        rw_init(&world, &options, 80 + i);
        world.nodes[i % 5].silent = true;
        struct base_read cmd = rw_command(&world, 0);
        cmd.filters = x_and_w;
        cmd.filter_count = 2;
        rw_read(&world, (i + 1) % 5, &cmd, REPL_CL_QUORUM, 1000, &r);
        rw_expect_text(&r, "");
        rw_fini(&world);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication/reads_by_index");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, an_index_of_a_stale_replica_is_not_believed);
    tcase_add_test(tc, the_rarer_condition_is_read_by);
    tcase_add_test(tc, a_choice_is_not_waited_for);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
