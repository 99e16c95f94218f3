/* Consistency levels over placements of one and of several data centres, against tables made by
 * Cassandra's rules (ConsistencyLevel.blockFor, blockForWrite;
 * ReplicaPlans.assureSufficientLiveReplicas). What breaks without them: a QUORUM that is none, or
 * an Unavailable for what could be served. */
#include "tests/unit/replication/by_hand.h"

static struct ring_state *state;
static struct ring_placement *placement;
static struct repl repl;

/* Hosts 1 … per_dc in dc1, then as many in dc2 and so on; each with one token. */
static void begin(size_t dcs, size_t per_dc, const char *const *options)
{
    struct base_err err;
    state = ring_state_new();
    for (size_t i = 0; i < dcs * per_dc; i++) {
        char dc[32];
        snprintf(dc, sizeof dc, "dc%zu", 1 + i / per_dc);
        int64_t token = (int64_t)(i % per_dc * dcs + i / per_dc) * 1000;
        add(&state, i + 1, dc, "r1", &token, 1);
    }
    by_hand_init(&repl, state, 1, "dc1", "r1");
    ck_ok(place(state, options, host(1), &placement, &err), err);
    for (size_t i = 2; i <= dcs * per_dc; i++)
        by_hand_alive(&repl, i, true);
}

static void end(void)
{
    ring_placement_release(placement);
    by_hand_fini(&repl);
    ring_state_release(state);
}

static void dead(size_t n)
{
    by_hand_alive(&repl, n, false);
}

/* Negative: refused with INVALID. */
static void needs(int level, bool is_write, int required)
{
    struct repli_need need;
    struct base_err err;
    if (required < 0) {
        ck_fails(repli_need_of(&repl, placement, level, is_write, &need, &err), BASE_E_INVALID,
                 err);
        return;
    }
    ck_ok(repli_need_of(&repl, placement, level, is_write, &need, &err), err);
    ck_assert_msg((int)need.required == required, "%s: %u, expected %d",
                  repli_consistency_name(level), need.required, required);
    ck_assert_int_eq(need.consistency, level);
}

/* Is it achieved now, at token 0's range? If not: what is required and alive. */
static void check(int level, bool is_write, bool ok, unsigned required, unsigned alive)
{
    struct repli_need need;
    struct repl_outcome outcome = {0};
    struct base_err err;
    ck_ok(repli_need_of(&repl, placement, level, is_write, &need, &err), err);
    int rc = repli_check_alive(&repl, &need, placement, ring_placement_find(placement, 0), is_write,
                               &outcome);
    ck_assert_msg(rc == (ok ? BASE_OK : BASE_E_UNAVAILABLE), "%s: %s",
                  repli_consistency_name(level), outcome.err.text);
    ck_assert_int_eq(outcome.consistency, level);
    ck_assert_msg(outcome.required == required && outcome.alive == alive,
                  "%s: %u required, %u alive; expected %u, %u", repli_consistency_name(level),
                  outcome.required, outcome.alive, required, alive);
    if (!ok) {
        char text[64];
        snprintf(text, sizeof text, "%u required, %u alive", required, alive);
        ck_assert_msg(strstr(outcome.err.text, text) &&
                          strstr(outcome.err.text, "Cannot achieve consistency level") &&
                          strstr(outcome.err.text, repli_consistency_name(level)),
                      "%s", outcome.err.text);
    }
}

START_TEST(names)
{
    ck_assert_str_eq(repli_consistency_name(REPL_CL_ANY), "ANY");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_QUORUM), "QUORUM");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_LOCAL_QUORUM), "LOCAL_QUORUM");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_EACH_QUORUM), "EACH_QUORUM");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_SERIAL), "SERIAL");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_LOCAL_SERIAL), "LOCAL_SERIAL");
    ck_assert_str_eq(repli_consistency_name(REPL_CL_LOCAL_ONE), "LOCAL_ONE");
    ck_assert_str_eq(repli_consistency_name(-1), "UNKNOWN");
    ck_assert_str_eq(repli_consistency_name(11), "UNKNOWN");
}
END_TEST

START_TEST(quorums)
{
    static const int quorum[] = {0, 1, 2, 2, 3, 3};
    for (int rf = 1; rf <= 5; rf++) {
        char text[4];
        snprintf(text, sizeof text, "%d", rf);
        begin(1, 5, WORDS("class", "SimpleStrategy", "replication_factor", text));
        needs(REPL_CL_QUORUM, true, quorum[rf]);
        needs(REPL_CL_QUORUM, false, quorum[rf]);
        needs(REPL_CL_ALL, true, rf);
        end();
    }
}
END_TEST

START_TEST(levels_of_simple_strategy)
{
    begin(1, 4, WORDS("class", "SimpleStrategy", "replication_factor", "3"));
    for (int is_write = 0; is_write < 2; is_write++) {
        needs(REPL_CL_ONE, is_write, 1);
        needs(REPL_CL_TWO, is_write, 2);
        needs(REPL_CL_THREE, is_write, 3);
        needs(REPL_CL_QUORUM, is_write, 2);
        needs(REPL_CL_ALL, is_write, 3);
        needs(REPL_CL_LOCAL_ONE, is_write, 1);
        needs(REPL_CL_LOCAL_QUORUM, is_write, 2);
        needs(REPL_CL_EACH_QUORUM, is_write, 2);
        needs(REPL_CL_SERIAL, is_write, -1);
        needs(REPL_CL_LOCAL_SERIAL, is_write, -1);
        needs(11, is_write, -1);
        needs(-1, is_write, -1);
    }
    needs(REPL_CL_ANY, true, 1);
    needs(REPL_CL_ANY, false, -1);
    end();
}
END_TEST

/* Replicas of token 0 in a ring of hosts 1, 2, 3, 4 at 0, 1000, 2000, 3000: 1, 2, 3. */
START_TEST(some_are_dead)
{
    begin(1, 4, WORDS("class", "SimpleStrategy", "replication_factor", "3"));
    check(REPL_CL_ALL, true, true, 3, 3);
    dead(4); /* no replica */
    check(REPL_CL_ALL, true, true, 3, 3);
    dead(3);
    check(REPL_CL_ALL, true, false, 3, 2);
    check(REPL_CL_ALL, false, false, 3, 2);
    check(REPL_CL_THREE, false, false, 3, 2);
    check(REPL_CL_QUORUM, true, true, 2, 2);
    check(REPL_CL_EACH_QUORUM, true, true, 2, 2);
    dead(2);
    check(REPL_CL_QUORUM, true, false, 2, 1);
    check(REPL_CL_LOCAL_QUORUM, false, false, 2, 1);
    check(REPL_CL_EACH_QUORUM, false, false, 2, 1);
    check(REPL_CL_TWO, false, false, 2, 1);
    check(REPL_CL_ONE, false, true, 1, 1);
    check(REPL_CL_ANY, true, true, 1, 1);
    end();
}
END_TEST

START_TEST(text)
{
    begin(1, 3, WORDS("class", "SimpleStrategy", "replication_factor", "3"));
    dead(2);
    dead(3);
    struct repli_need need;
    struct repl_outcome outcome = {0};
    struct base_err err;
    ck_ok(repli_need_of(&repl, placement, REPL_CL_QUORUM, true, &need, &err), err);
    ck_assert_int_eq(repli_check_alive(&repl, &need, placement, ring_placement_find(placement, 0),
                                       true, &outcome),
                     BASE_E_UNAVAILABLE);
    ck_assert_str_eq(outcome.err.text,
                     "Cannot achieve consistency level QUORUM: 2 required, 1 alive");
    end();
}
END_TEST

/* Fewer members than the factor: still the factor's quorum. A write at ANY goes on without a live
 * replica. */
START_TEST(too_small_a_cluster)
{
    begin(1, 2, WORDS("class", "SimpleStrategy", "replication_factor", "5"));
    check(REPL_CL_QUORUM, true, false, 3, 2);
    check(REPL_CL_ALL, true, false, 5, 2);
    check(REPL_CL_TWO, true, true, 2, 2);
    end();
    begin(1, 2, WORDS("class", "SimpleStrategy", "replication_factor", "1"));
    check(REPL_CL_TWO, true, false, 2, 1);
    end();
}
END_TEST

START_TEST(two_data_centres)
{
    begin(2, 3, WORDS("class", "NetworkTopologyStrategy", "dc1", "3", "dc2", "2"));
    needs(REPL_CL_QUORUM, true, 3);
    needs(REPL_CL_ALL, true, 5);
    needs(REPL_CL_LOCAL_QUORUM, true, 2);
    needs(REPL_CL_LOCAL_ONE, true, 1);
    needs(REPL_CL_EACH_QUORUM, true, 4);
    needs(REPL_CL_EACH_QUORUM, false, 4);
    check(REPL_CL_EACH_QUORUM, true, true, 4, 5);
    check(REPL_CL_LOCAL_QUORUM, true, true, 2, 3); /* only ours are counted */
    /* dc2's replicas of token 0: the hosts at 1000 and 3000, which are 4 and 5 */
    dead(5);
    check(REPL_CL_EACH_QUORUM, true, false, 2, 1);
    check(REPL_CL_QUORUM, true, true, 3, 4);
    check(REPL_CL_LOCAL_QUORUM, true, true, 2, 3);
    dead(2);
    dead(3);
    check(REPL_CL_LOCAL_QUORUM, true, false, 2, 1);
    check(REPL_CL_LOCAL_ONE, true, true, 1, 1);
    check(REPL_CL_QUORUM, true, false, 3, 2);
    end();
}
END_TEST

/* Our data centre has no replicas: LOCAL levels need one there and there is none (as Cassandra). */
START_TEST(none_of_ours)
{
    begin(2, 3, WORDS("class", "NetworkTopologyStrategy", "dc2", "3"));
    check(REPL_CL_LOCAL_ONE, false, false, 1, 0);
    check(REPL_CL_LOCAL_QUORUM, false, false, 1, 0);
    check(REPL_CL_ONE, false, true, 1, 3);
    check(REPL_CL_EACH_QUORUM, false, true, 2, 3);
    end();
}
END_TEST

/* SimpleStrategy over two data centres: LOCAL_QUORUM is a quorum of the whole factor, counted in
 * ours. */
START_TEST(simple_over_two)
{
    begin(2, 3, WORDS("class", "SimpleStrategy", "replication_factor", "3"));
    check(REPL_CL_LOCAL_QUORUM, true, true, 2, 2); /* hosts 1, 4, 2 */
    check(REPL_CL_EACH_QUORUM, true, true, 2, 3);
    dead(2);
    check(REPL_CL_LOCAL_QUORUM, true, false, 2, 1);
    check(REPL_CL_QUORUM, true, true, 2, 2);
    end();
}
END_TEST

/* Pending owners: a write waits for one more each; a level of our data centre for those of ours; a
 * read and ANY for none. */
START_TEST(pending_owners)
{
    begin(2, 3, WORDS("class", "NetworkTopologyStrategy", "dc1", "2", "dc2", "2"));
    static const uint16_t read[] = {0, 1, 3, 4}, write[] = {0, 1, 3, 4, 5, 2};
    struct ring_range range = {INT64_MAX, {read, 4}, {write, 6}};
    static const struct {
        int level;
        unsigned read, write;
    } expected[] = {
        {REPL_CL_ONE, 1, 3},         {REPL_CL_TWO, 2, 4},       {REPL_CL_QUORUM, 3, 5},
        {REPL_CL_ALL, 4, 6},         {REPL_CL_LOCAL_ONE, 1, 2}, {REPL_CL_LOCAL_QUORUM, 2, 3},
        {REPL_CL_EACH_QUORUM, 4, 6},
    };
    struct repli_need need;
    struct base_err err;
    for (size_t i = 0; i < BASE_COUNT(expected); i++) {
        ck_ok(repli_need_of(&repl, placement, expected[i].level, true, &need, &err), err);
        ck_assert_uint_eq(repli_need_required(&repl, &need, placement, &range, true),
                          expected[i].write);
        ck_assert_uint_eq(repli_need_required(&repl, &need, placement, &range, false),
                          expected[i].read);
    }
    ck_ok(repli_need_of(&repl, placement, REPL_CL_ANY, true, &need, &err), err);
    ck_assert_uint_eq(repli_need_required(&repl, &need, placement, &range, true), 1);
    /* an owner and a pending one are gone: five are required, four live */
    dead(2);
    dead(6);
    struct repl_outcome outcome = {0};
    ck_ok(repli_need_of(&repl, placement, REPL_CL_QUORUM, true, &need, &err), err);
    ck_assert_int_eq(repli_check_alive(&repl, &need, placement, &range, true, &outcome),
                     BASE_E_UNAVAILABLE);
    ck_assert(outcome.required == 5 && outcome.alive == 4);
    ck_assert_int_eq(repli_check_alive(&repl, &need, placement, &range, false, &outcome), BASE_OK);
    ck_assert(outcome.required == 3 && outcome.alive == 3);
    end();
}
END_TEST

START_TEST(local_and_everywhere)
{
    begin(1, 3, WORDS("class", "LocalStrategy"));
    needs(REPL_CL_QUORUM, true, 1);
    needs(REPL_CL_ALL, true, 1);
    check(REPL_CL_ALL, true, true, 1, 1);
    end();
    begin(1, 3, WORDS("class", "EverywhereStrategy"));
    needs(REPL_CL_QUORUM, true, 2);
    needs(REPL_CL_ALL, true, 3);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("consistency");
    TCase *tc = tcase_create("consistency");
    tcase_add_test(tc, names);
    tcase_add_test(tc, quorums);
    tcase_add_test(tc, levels_of_simple_strategy);
    tcase_add_test(tc, some_are_dead);
    tcase_add_test(tc, text);
    tcase_add_test(tc, too_small_a_cluster);
    tcase_add_test(tc, two_data_centres);
    tcase_add_test(tc, none_of_ours);
    tcase_add_test(tc, simple_over_two);
    tcase_add_test(tc, pending_owners);
    tcase_add_test(tc, local_and_everywhere);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
