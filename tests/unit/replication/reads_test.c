/* Coordinated reads over a few nodes with scripted faults. Without these a QUORUM read would miss
 * what a quorum has, a repair would not repair, LIMIT would come up short, or a read wait for
 * ever. */
#include <check.h>
#include <stdio.h>

#include "base/key.h"
#include "replication/reads_private.h"
#include "tests/lib/ck.h"
#include "tests/unit/replication/read_world.h"

static struct rw_world world;
static const struct rw_options three = {.nodes = 3, .rf = 3, .speculative_retry = "NONE"};

#define ALL_PARTITIONS LIB_PARTITIONS

START_TEST(a_digest_match_is_one_page_and_a_digest)
{
    struct rw_result r;
    rw_init(&world, &three, 1);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    ck_assert_uint_eq(r.outcome.received, 2);
    ck_assert_uint_eq(r.outcome.required, 2);
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    ck_assert_uint_eq(world.nodes[1].digests + world.nodes[2].digests, 1);
    ck_assert_uint_eq(world.nodes[1].reads + world.nodes[2].reads, 0);
    ck_assert_uint_eq(world.nodes[0].store_reads, 1);
    const struct repl_stats *stats = repl_get_stats(world.nodes[0].repl);
    ck_assert_uint_eq(stats->reads, 1);
    ck_assert_uint_eq(stats->read_latency.count, 1);
    ck_assert_uint_eq(stats->digest_mismatches, 0);
    ck_assert(repl_is_idle(world.nodes[0].repl));
    rw_read(&world, 0, &cmd, REPL_CL_ONE, 100, &r); /* our own replica: no message */
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    ck_assert_uint_eq(world.nodes[1].digests + world.nodes[2].digests, 1);
    rw_fini(&world);
}
END_TEST

START_TEST(a_mismatch_is_merged_and_repaired_before_the_answer)
{
    struct rw_result r;
    struct base_buf text;
    base_buf_init(&text, 1 << 16);
    rw_init(&world, &three, 2);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3 5=b@3");
    rw_put_row(&world, 2, 0, 0, "4=A@5");
    rw_put_row(&world, 4, 0, 1, "live@4 4=c@4");
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_text(&r, "0/a [] live@3 4=A@5 5=b@3\n0/b [] live@4 4=c@4\n");
    for (unsigned i = 0; i < 3; i++) { /* each has all of it now */
        ck_assert_uint_eq(world.nodes[i].repairs, 1);
        rw_expect(&world, 1u << i, &cmd, &text);
        ck_assert_str_eq((char *)text.data, "0/a [] live@3 4=A@5 5=b@3\n0/b [] live@4 4=c@4\n");
    }
    const struct repl_stats *stats = repl_get_stats(world.nodes[0].repl);
    ck_assert_uint_eq(stats->digest_mismatches, 1);
    ck_assert_uint_eq(stats->read_repairs, 3);
    rw_read(&world, 1, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_text(&r, "0/a [] live@3 4=A@5 5=b@3\n0/b [] live@4 4=c@4\n");
    ck_assert_uint_eq(repl_get_stats(world.nodes[1].repl)->digest_mismatches, 0);
    rw_fini(&world);
    base_buf_fini(&text);
}
END_TEST

START_TEST(a_repair_that_is_not_acknowledged_is_a_timeout)
{
    struct rw_result r;
    rw_init(&world, &three, 3);
    rw_put_row(&world, 1, 0, 0, "live@3 4=a@3");
    struct base_read cmd = rw_command(&world, 0);
    world.nodes[1].repairs_silent = world.nodes[2].repairs_silent = true;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    rw_expect_failure(&r, BASE_E_TIMEOUT, "read repair");
    ck_assert_uint_eq(repl_get_stats(world.nodes[0].repl)->read_timeouts, 1);
    rw_fini(&world);
    struct rw_options options = three; /* not where the table does not want it */
    options.read_repair = "NONE";
    rw_init(&world, &options, 3);
    rw_put_row(&world, 1, 0, 0, "live@3 4=a@3");
    world.nodes[1].repairs_silent = world.nodes[2].repairs_silent = true;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    ck_assert_uint_eq(world.nodes[1].repairs + world.nodes[2].repairs, 0);
    rw_fini(&world);
}
END_TEST

/* A replica whose disk is full cannot be repaired: reads go on as long as another one can take its
 * part, and what was read stays read. */
START_TEST(a_full_replica_is_replaced_in_a_repair)
{
    for (unsigned has = 1; has <= 3; has++)
        for (unsigned full = 0; full < 3; full++)
            for (unsigned wait = 0; wait < 3; wait++) {
                struct rw_result r;
                rw_init(&world, &three, 30 + wait);
                world.pending_percent = wait * 50;
                rw_put_row(&world, has, 0, 0, "live@3 4=a@3");
                world.nodes[full].write_rc = BASE_E_NOSPACE;
                struct base_read cmd = rw_command(&world, 0);
                for (unsigned k = 0, seen = 0; k < 6; k++) { /* once seen, always */
                    rw_read(&world, k % 3, &cmd, REPL_CL_QUORUM, 100, &r);
                    ck_assert_msg(r.outcome.rc == BASE_OK, "%s", r.outcome.err.text);
                    ck_assert(!seen || r.text.len > 1);
                    seen |= r.text.len > 1;
                    rw_result_fini(&r);
                }
                rw_fini(&world);
            }
    struct rw_result r; /* of ALL nobody else */
    rw_init(&world, &three, 3);
    rw_put_row(&world, 1, 0, 0, "live@3 4=a@3");
    world.nodes[2].write_rc = BASE_E_NOSPACE;
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_failure(&r, BASE_E_TIMEOUT, "no space left");
    rw_fini(&world);
}
END_TEST

START_TEST(tombstones_win)
{
    struct rw_result r;
    struct base_buf m;
    base_buf_init(&m, 1 << 16);
    rw_init(&world, &three, 4);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    rw_put_row(&world, 7, 0, 1, "live@3 4=b@3");
    rw_put_row(&world, 7, 0, 2, "live@3 4=c@3");
    rw_put_row(&world, 1, 0, 0, "del@5/20");
    rw_put_row(&world, 2, 0, 1, "4x@5/20");
    struct base_range_deletion range = {lib_bound(2, false), lib_bound(5, true), {6, 20}};
    ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey(0), BASE_DELETION_NONE,
                                       (struct base_slice){0}, &range, 1, NULL, 0),
                     BASE_OK);
    rw_put(&world, 4, base_buf_view(&m));
    struct base_read cmd = rw_command(&world, 0);
    for (unsigned round = 0; round < 2; round++) {
        cmd.reversed = round;
        rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
        rw_expect_text(&r, "0/b [] live@3\n");
    }
    ck_assert_uint_eq(repl_get_stats(world.nodes[0].repl)->digest_mismatches, 1);
    base_buf_reset(&m);
    ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey(0), (struct base_deletion){9, 21},
                                       (struct base_slice){0}, NULL, 0, NULL, 0),
                     BASE_OK);
    rw_put(&world, 2, base_buf_view(&m));
    rw_read(&world, 2, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_text(&r, "");
    rw_read(&world, 2, &cmd, REPL_CL_ONE, 100, &r);
    rw_expect_text(&r, "");
    rw_fini(&world);
    base_buf_fini(&m);
}
END_TEST

/* LIMIT 2 where one replica's first rows are deleted on the other. */
START_TEST(no_read_is_short)
{
    struct rw_result r;
    rw_init(&world, &three, 5);
    world.nodes[2].store_rc = BASE_E_IO;
    for (uint32_t k = 0; k < LIB_KEYS; k++)
        rw_put_row(&world, 3, 0, k, "live@3 4=a@3");
    for (uint32_t k = 0; k < 4; k++)
        rw_put_row(&world, 2, 0, k, "del@5/20");
    rw_alive(&world, 2, false);
    struct base_read cmd = rw_command(&world, 0);
    cmd.row_limit = 2;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 2, &r);
    ck_assert_uint_eq(r.empty_pages, 0);
    rw_expect_text(&r, "0/e [] live@3 4=a@3\n0/f [] live@3 4=a@3\n");
    ck_assert_uint_gt(repl_get_stats(world.nodes[0].repl)->short_reads, 0);
    rw_fini(&world);
}
END_TEST

/* A replica that missed an overwrite must not give a row that its newer value takes out. */
START_TEST(a_stale_replica_does_not_pass_a_filter)
{
    struct rw_result r;
    rw_init(&world, &three, 6);
    rw_alive(&world, 2, false);
    rw_put_row(&world, 3, 0, 0, "live@3 4=x@3");
    rw_put_row(&world, 2, 0, 0, "4=y@5");
    rw_put_row(&world, 3, 0, 1, "live@3 4=y@3");
    rw_put_row(&world, 2, 0, 1, "4=x@5");
    struct base_filter filter = {.column = 4, .op = BASE_FILTER_EQ, .operand = BASE_SLICE_LIT("x")};
    struct base_read cmd = rw_command(&world, 0);
    cmd.filters = &filter;
    cmd.filter_count = 1;
    cmd.row_limit = 1;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 1, &r);
    rw_expect_text(&r, "0/b [] live@3 4=x@5\n");
    rw_fini(&world);
}
END_TEST

START_TEST(a_slow_replica_is_passed_over)
{
    struct rw_result r;
    struct rw_options options = three;
    options.speculative_retry = "20ms";
    rw_init(&world, &options, 7);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    world.nodes[1].delay_ns = world.nodes[2].delay_ns = 0;
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    rw_result_fini(&r);
    size_t asked = world.nodes[1].digests ? 1 : 2;
    world.nodes[asked].silent = true;
    uint64_t before = base_clock_mono(&world.clock.base).ns;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    ck_assert_uint_lt(base_clock_mono(&world.clock.base).ns - before, 40000000);
    ck_assert_uint_eq(repl_get_stats(world.nodes[0].repl)->speculative_retries, 1);
    rw_fini(&world);
    rw_init(&world, &three, 7); /* NONE: it is waited for */
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    world.nodes[asked].silent = true;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    ck_assert_uint_eq(r.outcome.received, 1);
    ck_assert(r.outcome.data_present);
    rw_expect_failure(&r, BASE_E_TIMEOUT, "received only 1 responses");
    rw_fini(&world);
}
END_TEST

START_TEST(a_dead_replica_is_replaced_or_missed)
{
    struct rw_result r;
    rw_init(&world, &three, 8);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    struct base_read cmd = rw_command(&world, 0);
    world.nodes[1].refuses = true; /* nobody knows yet */
    for (unsigned i = 0; i < 2; i++) {
        rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
        rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    }
    rw_alive(&world, 1, true); /* a refused message made it dead */
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_failure(&r, BASE_E_UNAVAILABLE, "h2:7000");
    rw_alive(&world, 1, false);
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    ck_assert_uint_eq(r.outcome.required, 3);
    ck_assert_uint_eq(r.outcome.alive, 2);
    rw_expect_failure(&r, BASE_E_UNAVAILABLE, "Cannot achieve consistency level ALL");
    rw_fini(&world);
}
END_TEST

START_TEST(a_damaged_replica_is_named_or_replaced)
{
    struct rw_result r;
    rw_init(&world, &three, 9);
    rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
    struct base_read cmd = rw_command(&world, 0);
    world.nodes[0].store_rc = BASE_E_CORRUPT;
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n");
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    ck_assert_uint_eq(r.outcome.failures, 1);
    rw_expect_failure(&r, BASE_E_CORRUPT, "node h1:7000: sstable 17: checksum mismatch");
    world.nodes[0].store_rc = BASE_OK;
    world.nodes[2].store_rc = BASE_E_CORRUPT;
    rw_read(&world, 1, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_failure(&r, BASE_E_CORRUPT, "node h3:7000: sstable 17: checksum mismatch");
    ck_assert_uint_eq(repl_get_stats(world.nodes[1].repl)->read_failures, 1);
    rw_fini(&world);
}
END_TEST

/* Whatever a peer's reply says, the read ends and nothing falls over. */
START_TEST(replies_may_be_garbage)
{
    struct rw_result r;
    for (unsigned round = 0; round < test_rounds(300); round++) {
        rw_init(&world, &three, round);
        for (uint32_t k = 0; k < LIB_KEYS; k++)
            rw_put_row(&world, k % 2 ? 7 : 3, 0, k, "live@3 4=a@3 6[p]=x@4");
        world.nodes[1].corrupt = true;
        world.nodes[2].corrupt = round % 2;
        struct base_read cmd = rw_command(&world, round % 3 ? 0 : ALL_PARTITIONS);
        rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 1 + round % 4, &r);
        rw_result_fini(&r);
        ck_assert(repl_is_idle(world.nodes[0].repl));
        rw_fini(&world);
    }
}
END_TEST

START_TEST(levels_that_are_none_are_refused)
{
    struct rw_result r;
    rw_init(&world, &three, 10);
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_ANY, 100, &r);
    rw_expect_failure(&r, BASE_E_INVALID, "ANY");
    rw_read(&world, 0, &cmd, REPL_CL_SERIAL, 100, &r);
    rw_expect_failure(&r, BASE_E_INVALID, "SERIAL");
    rw_fini(&world);
}
END_TEST

/* A replica that is not asked what it owns refuses, and a body that is none does no harm. */
START_TEST(a_replica_checks_what_it_is_asked)
{
    struct rw_options options = {.nodes = 5, .rf = 2};
    rw_init(&world, &options, 11);
    struct base_buf body;
    base_buf_init(&body, 1 << 16);
    size_t stranger = 0;
    while (rw_is_replica(&world, stranger, lib_pkey(1)))
        stranger++;
    for (unsigned i = 0; i < 4; i++) {
        struct repli_read_request request = {
            .cmd = rw_command(&world, i == 0 || i == 3 ? 1 : ALL_PARTITIONS),
            .limits = REPL_PAGE_LIMITS_NONE,
            .truncated_us = INT64_MIN};
        struct repli_replica_read *r;
        struct base_arena arena;
        base_arena_init(&arena);
        if (i == 2)
            request.cmd.table_id.b[3] = 9;
        if (i == 3) { /* an owner, of a table that the coordinator knows as truncated */
            request.truncated_us = 5;
            while (!rw_is_replica(&world, stranger, lib_pkey(1)))
                stranger = (stranger + 1) % 5;
        }
        base_buf_reset(&body);
        ck_assert_int_eq(repli_read_encode(&request, &body), BASE_OK);
        repli_event_begin(world.nodes[stranger].repl);
        enum repl_answer answer = repli_replica_read_start(world.nodes[stranger].repl,
                                                           base_buf_view(&body), NULL, NULL, &r);
        ck_assert_int_eq(answer, REPL_DONE);
        ck_assert_int_eq(r->rc, BASE_E_STALE);
        repli_replica_read_put(world.nodes[stranger].repl, r);
        for (size_t len = 0; len < body.len; len++) { /* every truncation */
            struct repli_read_request decoded;
            ck_assert_int_eq(repli_read_decode(base_slice(body.data, len), &arena, &decoded, NULL),
                             BASE_E_CORRUPT);
        }
        repli_event_end(world.nodes[stranger].repl);
        base_arena_fini(&arena);
    }
    rw_fini(&world);
    base_buf_fini(&body);
}
END_TEST

/* A partition larger than a page, both ways, at every page size in rows; slices; static rows. */
START_TEST(wide_partitions_come_in_pages)
{
    struct rw_options options = three;
    options.page_size_bytes = 60;
    struct base_buf text;
    base_buf_init(&text, 1 << 16);
    rw_init(&world, &options, 12);
    for (uint32_t k = 0; k < LIB_KEYS; k++)
        rw_put_row(&world, 1u << k % 3 | 1u << (k + 1) % 3, 0, k,
                   "live@3 4=aaaaaaaaaaaaaaaaaaaaaaaa@3");
    struct base_buf m, row;
    base_buf_init(&m, 1 << 16);
    base_buf_init(&row, 1 << 16);
    row_parse("3=s@4", &row);
    ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey(0), BASE_DELETION_NONE,
                                       base_buf_view(&row), NULL, 0, NULL, 0),
                     BASE_OK);
    rw_put(&world, 6, base_buf_view(&m));
    struct base_range slices[3] = {
        {lib_ckey(0), lib_ckey(1)}, {lib_ckey(3), lib_ckey(3)}, {lib_ckey(4), lib_bound(5, true)}};
    for (unsigned round = 0; round < 24; round++) {
        struct base_read cmd = rw_command(&world, 0);
        struct rw_result r;
        cmd.reversed = round % 2;
        if (round % 4 > 1)
            cmd.slices = (struct base_slices){slices, 3};
        rw_read(&world, round % 3, &cmd, REPL_CL_QUORUM, 1 + round / 4, &r);
        rw_expect(&world, 7, &cmd, &text);
        ck_assert_uint_gt(r.pages, 1);
        ck_assert_uint_eq(r.empty_pages, 0);
        rw_expect_text(&r, (char *)text.data);
    }
    rw_fini(&world);
    base_buf_fini(&text);
    base_buf_fini(&m);
    base_buf_fini(&row);
}
END_TEST

/* Many tombstones before the first row: no empty page is handed out. */
START_TEST(tombstones_are_walked_through)
{
    struct rw_options options = three;
    struct rw_result r;
    options.page_size_bytes = 1;
    rw_init(&world, &options, 13);
    for (uint32_t k = 0; k + 1 < LIB_KEYS; k++)
        rw_put_row(&world, 7, 0, k, "del@5/20");
    rw_put_row(&world, 7, 0, LIB_KEYS - 1, "live@3 4=a@3");
    struct base_read cmd = rw_command(&world, 0);
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    ck_assert_uint_eq(r.pages, 1);
    rw_expect_text(&r, "0/f [] live@3 4=a@3\n");
    cmd = rw_command(&world, ALL_PARTITIONS);
    rw_read(&world, 0, &cmd, REPL_CL_QUORUM, 100, &r);
    ck_assert_uint_eq(r.empty_pages, 0);
    rw_expect_text(&r, "0/f [] live@3 4=a@3\n");
    rw_fini(&world);
}
END_TEST

static void note_done(struct repl_read *read)
{
    *(bool *)read->ctx = true;
}

/* A read may be closed whenever one likes. */
START_TEST(reads_end_at_any_time)
{
    unsigned early = 0;
    for (unsigned round = 0; round < test_rounds(300); round++) {
        struct rw_options options = {.nodes = 4, .rf = 3};
        rw_init(&world, &options, round);
        world.pending_percent = 50;
        for (uint32_t p = 0; p < LIB_PARTITIONS; p++) {
            for (uint32_t k = 0; k < LIB_KEYS; k++)
                rw_put_row(&world, 1u << (p + k) % 4, p, k, "live@3 4=a@3");
        }
        struct base_read cmd = rw_command(&world, round % 2 ? 0 : ALL_PARTITIONS);
        bool done = false;
        struct repl_read read = {.cmd = &cmd,
                                 .table = world.table,
                                 .consistency = REPL_CL_QUORUM,
                                 .page_rows_max = 3,
                                 .done = note_done,
                                 .ctx = &done};
        repl_read_start(world.nodes[0].repl, &read);
        for (unsigned steps = below(&world.rng, 16); steps > 0 && !done; steps--)
            (void)rw_step(&world);
        early += !done;
        repl_read_close(world.nodes[0].repl, &read);
        done = false;
        rw_run(&world, NULL);
        ck_assert_msg(!done, "done after close");
        ck_assert(repl_is_idle(world.nodes[0].repl));
        rw_fini(&world);
    }
    ck_assert_uint_gt(early, 0);
}
END_TEST

START_TEST(a_node_that_stops_ends_its_reads)
{
    rw_init(&world, &three, 15);
    struct base_read cmd = rw_command(&world, 0);
    bool done = false;
    struct repl_read read = {.cmd = &cmd,
                             .table = world.table,
                             .consistency = REPL_CL_QUORUM,
                             .page_rows_max = 3,
                             .done = note_done,
                             .ctx = &done};
    repl_read_start(world.nodes[0].repl, &read);
    ck_assert(!done);
    rw_fini(&world);
    ck_assert(done);
    ck_assert_int_eq(read.outcome.rc, BASE_E_CLOSED);
}
END_TEST

/* Replicas that are ahead of us refuse; when we have caught up the read is tried once more. */
START_TEST(a_coordinator_that_is_behind_tries_again)
{
    for (unsigned round = 0; round < 6; round++) {
        struct base_read cmd;
        bool done = false, range = round % 2;
        rw_init(&world, &three, 16);
        rw_put_row(&world, 7, 0, 0, "live@3 4=a@3");
        cmd = rw_command(&world, range ? ALL_PARTITIONS : 0);
        rw_truncate(&world, 1, 2);
        rw_truncate(&world, 2, 2);
        struct repl_read read = {.cmd = &cmd,
                                 .table = world.table,
                                 .consistency = REPL_CL_QUORUM,
                                 .page_rows_max = 3,
                                 .done = note_done,
                                 .ctx = &done};
        repl_read_start(world.nodes[0].repl, &read);
        while (repl_get_stats(world.nodes[0].repl)->stale_epochs == 0)
            ck_assert(rw_step(&world));
        ck_assert_msg(!done, "round %u: it does not wait", round);
        if (round < 2)
            rw_truncate(&world, 0, 2);
        else if (round < 4)
            rw_truncate(&world, 0,
                        1); /* the next entry is another one: once more is not for ever */
        rw_run(&world, &done);
        ck_assert_int_eq(read.outcome.rc, round < 2 ? BASE_OK : BASE_E_STALE);
        ck_assert(round < 2 || strstr(read.outcome.err.text, "was truncated"));
        repl_read_close(world.nodes[0].repl, &read);
        ck_assert(repl_is_idle(world.nodes[0].repl));
        rw_fini(&world);
    }
}
END_TEST

/* Subranges that bring nothing are asked many at once, but not more than 32. */
START_TEST(empty_ranges_are_walked_many_at_once)
{
    struct rw_options options = {.nodes = 5, .rf = 2, .tokens = 16, .speculative_retry = "NONE"};
    struct rw_result r;
    rw_init(&world, &options, 17);
    struct base_read cmd = rw_command(&world, ALL_PARTITIONS);
    uint64_t before = base_clock_mono(&world.clock.base).ns;
    rw_read(&world, 0, &cmd, REPL_CL_ALL, 100, &r);
    rw_expect_text(&r, "");
    unsigned asked = 0;
    for (size_t i = 1; i < 5; i++)
        asked += world.nodes[i].reads + world.nodes[i].digests;
    ck_assert_uint_gt(asked, 60); /* subranges, nearly each with a remote replica or two */
    ck_assert_uint_gt(world.in_flight_max, 16);
    ck_assert_uint_le(world.in_flight_max, 64); /* two replicas each */
    /* a round trip is 1 ms */
    ck_assert_uint_lt(base_clock_mono(&world.clock.base).ns - before, 8000000);
    rw_fini(&world);
}
END_TEST

static size_t dead;
static void another_dies(void)
{
    rw_alive(&world, dead, true);
    world.nodes[dead].refuses = false;
    dead = 1 + below(&world.rng, 3); /* not node 0, which asks */
    rw_alive(&world, dead, false);
    world.nodes[dead].refuses = true;
}

/* A subrange that one replica had all of is split when that one dies, also where the read is in the
 * middle of it (cluster_sim seed 5121). */
START_TEST(ranges_are_split_when_replicas_die)
{
    struct base_buf text;
    base_buf_init(&text, 1 << 16);
    for (unsigned round = 0; round < test_rounds(200); round++) {
        struct rw_options options = {
            .nodes = 4, .rf = 2, .tokens = 1 + round % 8, .speculative_retry = "NONE"};
        struct rw_result r;
        rw_init(&world, &options, round);
        for (uint32_t p = 0; p < LIB_PARTITIONS; p++) {
            for (uint32_t k = 0; k < LIB_KEYS; k++)
                rw_put_row(&world, rw_replicas_of(&world, lib_pkey(p)), p, k, "live@3 4=a@3");
        }
        dead = 1;
        world.between_pages = another_dies;
        struct base_read cmd = rw_command(&world, ALL_PARTITIONS);
        rw_expect(&world, 15, &cmd, &text);
        rw_read(&world, 0, &cmd, REPL_CL_ONE, 1 + below(&world.rng, 4), &r);
        ck_assert_uint_gt(r.pages, 5);
        rw_expect_text(&r, (char *)text.data);
        rw_fini(&world);
    }
    base_buf_fini(&text);
}
END_TEST

/* With enough rows in each, one after the other. */
START_TEST(full_ranges_are_asked_one_by_one)
{
    struct rw_options options = {.nodes = 3, .rf = 1, .tokens = 8, .speculative_retry = "NONE"};
    struct rw_result r;
    rw_init(&world, &options, 18);
    for (uint32_t p = 0; p < LIB_PARTITIONS; p++) {
        for (uint32_t k = 0; k < LIB_KEYS; k++)
            rw_put_row(&world, 7, p, k, "live@3 4=a@3");
    }
    struct base_read cmd = rw_command(&world, ALL_PARTITIONS);
    cmd.token_after = base_token_get(lib_pkey(0).data) - 1;
    cmd.row_limit = 2;
    rw_read(&world, 0, &cmd, REPL_CL_ONE, 2, &r);
    unsigned asked = 0;
    for (size_t i = 0; i < 3; i++)
        asked += world.nodes[i].store_reads;
    /* the first subrange has the first partition, and that has enough */
    ck_assert_uint_eq(asked, 1);
    rw_expect_text(&r, "0/a [] live@3 4=a@3\n0/b [] live@3 4=a@3\n");
    rw_fini(&world);
}
END_TEST

START_TEST(speculation_follows_the_option)
{
    rw_init(&world, &three, 14);
    struct repl *repl = world.nodes[0].repl;
    const uint64_t second = 1000000000, ms = 1000000;
    const struct {
        const char *text;
        uint64_t after_ns;
    } cases[] = {
        {"ALWAYS", 0},
        {"always", 0},
        {"NONE", UINT64_MAX},
        {"NEVER", UINT64_MAX},
        {"50ms", 50 * ms},
        {"1.5MS", 1500000},
        {"99p", second / 2},
        {"99PERCENTILE", second / 2},
        {"", second / 2},
        {"100p", UINT64_MAX},
        {"nonsense", UINT64_MAX},
        {"MIN(99p,50ms)", 50 * ms},
        {"MAX(99p,50ms)", second / 2},
        {"max(30ms,40ms)", 40 * ms},
        {"MIN(99p", UINT64_MAX},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        ck_assert_msg(repli_speculate_after(repl, base_slice_str(cases[i].text), second) ==
                          cases[i].after_ns,
                      "%s", cases[i].text);
    rw_fini(&world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication/reads");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, a_digest_match_is_one_page_and_a_digest);
    tcase_add_test(tc, a_mismatch_is_merged_and_repaired_before_the_answer);
    tcase_add_test(tc, a_repair_that_is_not_acknowledged_is_a_timeout);
    tcase_add_test(tc, a_full_replica_is_replaced_in_a_repair);
    tcase_add_test(tc, tombstones_win);
    tcase_add_test(tc, no_read_is_short);
    tcase_add_test(tc, a_stale_replica_does_not_pass_a_filter);
    tcase_add_test(tc, a_slow_replica_is_passed_over);
    tcase_add_test(tc, a_dead_replica_is_replaced_or_missed);
    tcase_add_test(tc, a_damaged_replica_is_named_or_replaced);
    tcase_add_test(tc, replies_may_be_garbage);
    tcase_add_test(tc, levels_that_are_none_are_refused);
    tcase_add_test(tc, a_replica_checks_what_it_is_asked);
    tcase_add_test(tc, wide_partitions_come_in_pages);
    tcase_add_test(tc, tombstones_are_walked_through);
    tcase_add_test(tc, reads_end_at_any_time);
    tcase_add_test(tc, a_node_that_stops_ends_its_reads);
    tcase_add_test(tc, a_coordinator_that_is_behind_tries_again);
    tcase_add_test(tc, empty_ranges_are_walked_many_at_once);
    tcase_add_test(tc, ranges_are_split_when_replicas_die);
    tcase_add_test(tc, full_ranges_are_asked_one_by_one);
    tcase_add_test(tc, speculation_follows_the_option);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
