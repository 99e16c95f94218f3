/* Coordinated reads of random content on replicas that differ. Without these a QUORUM read would
 * miss what a quorum has in some corner that nobody thought of, by an index too, or a repair leave
 * replicas different. Scripted faults: reads_test.c. */
#include <check.h>
#include <stdio.h>

#include "base/key.h"
#include "replication/reads_private.h"
#include "tests/lib/ck.h"
#include "tests/lib/scale.h"
#include "tests/unit/replication/read_world.h"

static struct rw_world world;

/* At random. */

/* Each mutation is on a quorum of its replicas, at least. */
static void random_content(struct rng *rng)
{
    struct base_buf m;
    base_buf_init(&m, 1 << 20);
    for (size_t n = 2 + below(rng, 14); n > 0; n--) {
        base_buf_reset(&m);
        lib_mutation_random(rng, &m);
        struct base_reader in = base_reader(base_buf_view(&m));
        struct base_mutation decoded;
        ck_assert(base_mutation_decode(&in, &decoded));
        unsigned set = rw_replicas_of(&world, decoded.pkey),
                 count = (unsigned)__builtin_popcount(set), quorum = count / 2 + 1;
        while ((unsigned)__builtin_popcount(set) > quorum && below(rng, 3))
            set &= ~(1u << below(rng, (uint32_t)world.count));
        rw_put(&world, set, base_buf_view(&m));
    }
    base_buf_fini(&m);
}

static void random_command(struct rng *rng, struct base_read *cmd, struct base_range ranges[2])
{
    *cmd = rw_command(&world, below(rng, 2) ? below(rng, LIB_PARTITIONS) : LIB_PARTITIONS);
    lib_slices_random(rng, ranges, &cmd->slices);
    cmd->reversed = below(rng, 2);
    cmd->now_s = below(rng, 60);
    if (below(rng, 3) == 0)
        cmd->row_limit = 1 + below(rng, 6);
    if (below(rng, 3) == 0)
        cmd->partition_row_limit = 1 + below(rng, 3);
    if (!cmd->pkey.len && below(rng, 3) == 0) {
        cmd->token_after = base_token_get(lib_pkey(below(rng, LIB_PARTITIONS)).data);
        if (cmd->token_after >= base_token_get(lib_pkey(LIB_PARTITIONS - 1).data))
            cmd->token_after = INT64_MIN;
        else if (below(rng, 2))
            cmd->token_upto = base_token_get(lib_pkey(LIB_PARTITIONS - 1).data);
    }
}

START_TEST(a_quorum_reads_what_a_quorum_has)
{
    struct rng rng = rng_seeded(test_seed() ^ 21);
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    unsigned mismatches = 0, pages = 0;
    for (unsigned round = 0; round < test_rounds(600); round++) {
        static const char *const retries[] = {"NONE", "ALWAYS", "1ms", "99p"};
        struct rw_options options = {.nodes = 3 + below(&rng, 3),
                                     .rf = 1 + below(&rng, 3),
                                     .tokens = 1 + below(&rng, 6),
                                     .speculative_retry = retries[below(&rng, 4)],
                                     .page_size_bytes = below(&rng, 2) ? 1 + below(&rng, 300) : 0};
        rw_init(&world, &options, rng_u64(&rng));
        world.pending_percent = below(&rng, 3) * 50;
        random_content(&rng);
        if (options.rf == 3 && below(&rng, 2)) {
            size_t slow = below(&rng, (uint32_t)world.count);
            world.nodes[slow].delay_ns = below(&rng, 5000000);
        }
        int64_t now_s = 0;
        for (unsigned i = 0; i < 4; i++) {
            struct base_range ranges[2];
            struct base_read cmd;
            struct rw_result r;
            random_command(&rng, &cmd, ranges);
            /* A repair tells what has expired by then: time does not go back. Before all expire or
             * after: of two cells with one timestamp and different TTLs a replica that has the
             * shorter one only says that it is dead (as in Cassandra). */
            cmd.now_s = now_s = now_s || below(&rng, 3) == 0 ? 45 : 0;
            rw_expect(&world, (1u << world.count) - 1, &cmd, &text);
            rw_read(&world, below(&rng, (uint32_t)world.count), &cmd,
                    i == 3 ? REPL_CL_ALL : REPL_CL_QUORUM,
                    below(&rng, 2) ? 1 + below(&rng, 5) : 1000, &r);
            ck_assert_msg(r.outcome.rc == BASE_OK, "round %u: %s", round, r.outcome.err.text);
            ck_assert_msg(strcmp((char *)r.text.data, (char *)text.data) == 0,
                          "round %u.%u (%s%s, limits %lld, %lld, %u pages, rf %u of %zu): "
                          "got\n%sexpected\n%s",
                          round, i, cmd.pkey.len ? "partition" : "range",
                          cmd.reversed ? ", reversed" : "", (long long)cmd.row_limit,
                          (long long)cmd.partition_row_limit, r.pages, options.rf, world.count,
                          (char *)r.text.data, (char *)text.data);
            ck_assert_uint_eq(r.empty_pages, 0);
            pages += r.pages;
            rw_result_fini(&r);
        }
        rw_run(&world, NULL);
        for (size_t i = 0; i < world.count; i++) {
            mismatches += (unsigned)repl_get_stats(world.nodes[i].repl)->digest_mismatches;
            ck_assert(repl_is_idle(world.nodes[i].repl));
        }
        rw_fini(&world);
    }
    ck_assert_uint_gt(mismatches, 0);
    ck_assert_uint_gt(pages, 0);
    base_buf_fini(&text);
}
END_TEST

/* Conditions that indexes serve go to the replicas, whose contents differ: what comes must be what
 * the merged rows say. */
START_TEST(a_quorum_reads_by_index_what_a_quorum_has)
{
    struct rng rng = rng_seeded(test_seed() ^ 23);
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    unsigned mismatches = 0, by_index = 0, by_places = 0, found = 0;
    for (unsigned round = 0; round < test_rounds(600); round++) {
        struct rw_options options = {.nodes = 3 + below(&rng, 3),
                                     .rf = 1 + below(&rng, 3),
                                     .indexed = true,
                                     .page_size_bytes = below(&rng, 2) ? 1 + below(&rng, 300) : 0};
        rw_init(&world, &options, rng_u64(&rng));
        world.pending_percent = below(&rng, 3) * 50;
        random_content(&rng);
        for (unsigned i = 0; i < 6; i++) {
            static const struct base_slice values[] = {BASE_SLICE_LIT("a"), BASE_SLICE_LIT("b"),
                                                       BASE_SLICE_LIT("c"), BASE_SLICE_LIT("s"),
                                                       BASE_SLICE_LIT("")};
            struct base_filter filters[2];
            struct base_range ranges[2];
            struct base_read cmd;
            struct rw_result r;
            random_command(&rng, &cmd, ranges);
            cmd.now_s = 0;
            cmd.filters = filters;
            cmd.filter_count = 1 + below(&rng, 2);
            for (size_t k = 0; k < cmd.filter_count; k++)
                filters[k] = (struct base_filter){.column = 3 + below(&rng, 3),
                                                  .operand = values[below(&rng, 5)]};
            rw_expect(&world, (1u << world.count) - 1, &cmd, &text);
            rw_read(&world, below(&rng, (uint32_t)world.count), &cmd,
                    i % 2 ? REPL_CL_ALL : REPL_CL_QUORUM,
                    below(&rng, 2) ? 1 + below(&rng, 5) : 1000, &r);
            ck_assert_msg(r.outcome.rc == BASE_OK, "round %u: %s", round, r.outcome.err.text);
            ck_assert_msg(strcmp((char *)r.text.data, (char *)text.data) == 0,
                          "round %u.%u (%s%s, %zu conditions): got\n%sexpected\n%s", round, i,
                          cmd.pkey.len ? "partition" : "range", cmd.reversed ? ", reversed" : "",
                          cmd.filter_count, (char *)r.text.data, (char *)text.data);
            found += text.len > 1;
            rw_result_fini(&r);
        }
        rw_run(&world, NULL);
        for (size_t i = 0; i < world.count; i++) {
            by_index += world.nodes[i].filtered_reads;
            by_places += world.nodes[i].places_reads;
            mismatches += (unsigned)repl_get_stats(world.nodes[i].repl)->digest_mismatches;
            ck_assert(repl_is_idle(world.nodes[i].repl));
        }
        rw_fini(&world);
    }
    ck_assert_uint_gt(by_index, scale_rounds(100));
    ck_assert_uint_gt(by_places, scale_rounds(10));
    ck_assert_uint_gt(mismatches, scale_rounds(10));
    ck_assert_uint_gt(found, scale_rounds(100));
    base_buf_fini(&text);
}
END_TEST

static void print_page(const struct base_buf *page, bool reversed)
{
    struct base_source *source;
    struct base_partition part;
    struct base_item item;
    struct base_buf text;
    base_buf_init(&text, 1 << 16);
    ck_assert_int_eq(repl_page_source(base_buf_view(page), reversed, NULL, &source, NULL), BASE_OK);
    while (source->ops->partition(source, &part, NULL) == BASE_OK && part.pkey.len) {
        base_buf_reset(&text);
        row_print(part.static_row, &text);
        printf("partition del %lld/%lld [%s]\n", (long long)part.deletion.ts,
               (long long)part.deletion.local_s, text.data);
        while (source->ops->next(source, &item, NULL) == BASE_OK && item.kind != BASE_ITEM_END) {
            base_buf_reset(&text);
            row_print(item.row, &text);
            printf("  %.*s%02x before %lld/%lld after %lld/%lld %s\n", (int)item.ckey.len - 1,
                   item.ckey.data, item.ckey.data[item.ckey.len - 1], (long long)item.before.ts,
                   (long long)item.before.local_s, (long long)item.after.ts,
                   (long long)item.after.local_s, text.data);
        }
    }
    printf("--\n");
    fflush(stdout);
    source->ops->close(source);
    base_buf_fini(&text);
}

/* A read at ALL leaves all replicas with the same content of what it read. */
START_TEST(a_repair_makes_replicas_equal)
{
    struct rng rng = rng_seeded(test_seed() ^ 22);
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    for (unsigned round = 0; round < test_rounds(400); round++) {
        struct rw_options options = {
            .nodes = 3, .rf = 3, .page_size_bytes = below(&rng, 2) ? 1 + below(&rng, 300) : 0};
        rw_init(&world, &options, rng_u64(&rng));
        random_content(&rng);
        struct base_read cmd = rw_command(&world, LIB_PARTITIONS);
        struct base_range ranges[2];
        struct rw_result r;
        lib_slices_random(&rng, ranges, &cmd.slices);
        cmd.reversed = below(&rng, 2);
        cmd.now_s = below(&rng, 60);
        rw_read(&world, 0, &cmd, REPL_CL_ALL, 1 + below(&rng, 6), &r);
        ck_assert_msg(r.outcome.rc == BASE_OK, "round %u: %s", round, r.outcome.err.text);
        rw_result_fini(&r);
        struct base_buf pages[3];
        for (size_t i = 0; i < 3; i++) {
            const struct lib_store *store = &world.nodes[i].store;
            struct base_source *source = lib_store_read(&store, 1, &cmd, INT64_MIN);
            base_buf_init(&pages[i], 1 << 20);
            ck_assert_int_eq(repl_page_write(source, cmd.reversed, cmd.now_s, INT64_MIN,
                                             &REPL_PAGE_LIMITS_NONE, &pages[i], NULL),
                             BASE_OK);
            source->ops->close(source);
            if (!base_slice_equal(base_buf_view(&pages[i]), base_buf_view(&pages[0]))) {
                print_page(&pages[0], cmd.reversed);
                print_page(&pages[i], cmd.reversed);
                ck_abort_msg("round %u: node %zu differs%s", round, i,
                             cmd.reversed ? ", reversed" : "");
            }
        }
        for (size_t i = 0; i < 3; i++)
            base_buf_fini(&pages[i]);
        rw_fini(&world);
    }
    base_buf_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication/reads_random");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, a_quorum_reads_what_a_quorum_has);
    tcase_add_test(tc, a_quorum_reads_by_index_what_a_quorum_has);
    tcase_add_test(tc, a_repair_makes_replicas_equal);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
