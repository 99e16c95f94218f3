/* Token allocation. Without these a cluster could grow lopsided, two nodes that ask of one ring
 * could get different tokens, or a new member tokens that are taken. */
#include "tests/unit/ring/cluster_lib.h"

static struct ring_state *state;
static struct base_err err;

static void setup(void)
{
    state = ring_state_new();
    ck_assert_ptr_nonnull(state);
}
static void teardown(void)
{
    ring_state_release(state);
}

/* Greatest load of a member over the mean, under a factor within dc1. */
static double max_to_mean(const char *factor)
{
    struct ring_placement *p;
    double max = 0, sum = 0;
    ck_ok(place(state, WORDS("class", "NetworkTopologyStrategy", "dc1", factor), host(1), &p, &err),
          err);
    for (size_t i = 0; i < state->member_count; i++) {
        double owns = ring_placement_owns(p, state->members[i].host_id);
        sum += owns;
        max = owns > max ? owns : max;
    }
    ring_placement_release(p);
    return max / (sum / (double)state->member_count);
}

/* The bounds leave the measured table (docs/performance.md) a little room, and are far below random
 * tokens (1.2 to 1.4). */
START_TEST(balance_from_1_to_100)
{
    for (size_t n = 1; n <= 100; n++) {
        add_allocated(&state, n, "dc1", "r1", RING_TOKENS_DEFAULT, 3);
        double three = max_to_mean("3"), one = max_to_mean("1");
        ck_assert_msg(three <= 1.04, "%zu nodes: %f", n, three);
        ck_assert_msg(one <= 1.10, "%zu nodes, factor 1: %f", n, one);
    }
}
END_TEST

/* Three racks take turns. Where they are of one size, load is even; before that, a small rack's
 * members hold more. */
START_TEST(balance_over_racks)
{
    static const char *const racks[] = {"r1", "r2", "r3"};
    for (size_t n = 1; n <= 60; n++) {
        add_allocated(&state, n, "dc1", racks[n % 3], RING_TOKENS_DEFAULT, 3);
        if (n % 3 == 0)
            ck_assert_msg(max_to_mean("3") <= 1.06, "%zu nodes: %f", n, max_to_mean("3"));
    }
}
END_TEST

START_TEST(balance_of_other_settings)
{
    static const struct {
        size_t tokens;
        unsigned rf;
        double most;
    } cases[] = {{4, 3, 1.15},  {8, 3, 1.08},  {16, 1, 1.08}, {16, 2, 1.06},
                 {16, 5, 1.12}, {32, 3, 1.03}, {256, 3, 1.02}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        char factor[8];
        snprintf(factor, sizeof factor, "%u", cases[i].rf);
        for (size_t n = 1; n <= 24; n++) {
            add_allocated(&state, n, "dc1", "r1", cases[i].tokens, cases[i].rf);
            ck_assert_msg(max_to_mean(factor) <= cases[i].most,
                          "%zu tokens, factor %u, %zu nodes: %f", cases[i].tokens, cases[i].rf, n,
                          max_to_mean(factor));
        }
        teardown();
        setup();
    }
}
END_TEST

/* As many tokens as may be: no range is a sliver, and load is as even as one would think. */
START_TEST(many_tokens)
{
    for (size_t n = 1; n <= 8; n++) {
        add_allocated(&state, n, "dc1", "r1", RING_TOKENS_MAX, 3);
        uint64_t width_min = UINT64_MAX / state->ring_count / 8;
        for (size_t i = 1; i < state->ring_count; i++)
            ck_assert_uint_ge((uint64_t)state->ring[i].token - (uint64_t)state->ring[i - 1].token,
                              width_min);
        ck_assert_double_le(max_to_mean("3"), 1.01);
        ck_assert_double_le(max_to_mean("1"), 1.03);
    }
}
END_TEST

/* Twice the tokens, twice the load, as in Cassandra; but nobody can hold more than everything. */
START_TEST(load_goes_by_the_number_of_tokens)
{
    struct ring_placement *p;
    for (size_t n = 1; n <= 24; n++)
        add_allocated(&state, n, "dc1", "r1", n % 4 ? 16 : 32, 3);
    ck_ok(place(state, WORDS("class", "NetworkTopologyStrategy", "dc1", "3"), host(1), &p, &err),
          err);
    for (size_t n = 1; n <= 24; n++) {
        double fair = 3.0 * (n % 4 ? 16 : 32) / (18 * 16 + 6 * 32),
               owns = ring_placement_owns(p, host(n));
        ck_assert_msg(owns >= fair * 0.93 && owns <= fair * 1.07, "member %zu: %f, fair is %f", n,
                      owns, fair);
    }
    ring_placement_release(p);
    teardown();
    setup();
    for (size_t n = 1; n <= 5; n++)
        add_allocated(&state, n, "dc1", "r1", n == 2 ? 256 : 8, 3);
    ck_ok(place(state, WORDS("class", "NetworkTopologyStrategy", "dc1", "3"), host(1), &p, &err),
          err);
    ck_assert_double_ge(ring_placement_owns(p, host(2)), 0.95);
    ring_placement_release(p);
}
END_TEST

/* The same on every machine, and of a snapshot that went over the wire. */
START_TEST(the_same_everywhere)
{
    uint64_t hash = 0;
    int64_t tokens[RING_TOKENS_DEFAULT], again[RING_TOKENS_DEFAULT];
    for (size_t n = 1; n <= 30; n++) {
        struct base_buf buf;
        struct ring_state *copy;
        base_buf_init(&buf, 1 << 20);
        ck_assert_int_eq(ring_state_encode(state, &buf), BASE_OK);
        ck_ok(ring_state_decode(base_buf_view(&buf), &copy, &err), err);
        base_buf_fini(&buf);
        ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), BASE_COUNT(tokens),
                            3, tokens, &err),
              err);
        ck_ok(ring_allocate(copy, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), BASE_COUNT(again), 3,
                            again, &err),
              err);
        ring_state_release(copy);
        ck_assert_mem_eq(tokens, again, sizeof tokens);
        add(&state, n, "dc1", "r1", tokens, BASE_COUNT(tokens));
        for (size_t i = 0; i < BASE_COUNT(tokens); i++)
            hash = (hash ^ (uint64_t)tokens[i]) * UINT64_C(0x100000001b3);
    }
    ck_assert_msg(hash == UINT64_C(0x1717b9e55b446a20),
                  "other tokens than before, or than on another machine: %llx. If allocation "
                  "was meant to change, note the new figure",
                  (unsigned long long)hash);
}
END_TEST

START_TEST(first_of_a_data_centre)
{
    int64_t even[4], tokens[4];
    ring_allocate_first(4, even);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), 4, 3, tokens, &err),
          err);
    ck_assert_mem_eq(tokens, even, sizeof even);
    add(&state, 1, "dc1", "r1", tokens, 4);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc2"), BASE_SLICE_LIT("r1"), 4, 3, tokens, &err),
          err);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(tokens[i], even[i] - 1);
    add(&state, 2, "dc2", "r1", tokens, 4);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc3"), BASE_SLICE_LIT("r1"), 2, 3, tokens, &err),
          err);
    ck_assert_int_eq(tokens[1], INT64_MAX - 2);
    char text[24];
    /* it owns nothing yet, but they are its */
    struct ring_change change = joins(state, 3, "dc3", "r1", tokens, 2, text);
    apply(&state, &change);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc4"), BASE_SLICE_LIT("r1"), 1, 3, tokens, &err),
          err);
    ck_assert_int_eq(tokens[0], INT64_MAX - 3);
}
END_TEST

/* A second data centre grows as evenly as the first, whatever the first looks like. */
START_TEST(data_centres_do_not_disturb_each_other)
{
    struct ring_placement *p;
    for (size_t n = 1; n <= 24; n++) {
        add_allocated(&state, n, "dc1", "r1", RING_TOKENS_DEFAULT, 3);
        add_allocated(&state, 100 + n, "dc2", "r1", RING_TOKENS_DEFAULT, 3);
    }
    ck_ok(place(state, WORDS("class", "NetworkTopologyStrategy", "dc1", "3", "dc2", "3"), host(1),
                &p, &err),
          err);
    for (size_t i = 0; i < state->member_count; i++)
        ck_assert_double_le(ring_placement_owns(p, state->members[i].host_id), 3 / 24.0 * 1.05);
    ring_placement_release(p);
}
END_TEST

START_TEST(who_joins_just_now_is_counted)
{
    char text[24];
    int64_t tokens[8], others[8];
    add_allocated(&state, 1, "dc1", "r1", 8, 3);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), 8, 3, tokens, &err),
          err);
    struct ring_change change = joins(state, 2, "dc1", "r1", tokens, 8, text);
    apply(&state, &change);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), 8, 3, others, &err),
          err);
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < 8; k++)
            ck_assert_int_ne(tokens[i], others[k]);
    change.kind = RING_CHANGE_JOIN_FINISH;
    apply(&state, &change);
    add(&state, 3, "dc1", "r1", others, 8);
}
END_TEST

/* Rings that nobody would allocate, but that may be there. */
START_TEST(odd_rings)
{
    static int64_t dense[RING_TOKENS_MAX];
    for (size_t i = 0; i < BASE_COUNT(dense); i++)
        dense[i] = (int64_t)i - 700;
    static const int64_t ends[] = {INT64_MIN + 1, INT64_MIN + 2, INT64_MAX - 1, INT64_MAX},
                         last[] = {INT64_MAX}, zero[] = {0};
    const struct {
        const int64_t *tokens;
        size_t count;
    } rings[] = {{dense, BASE_COUNT(dense)}, {ends, 4}, {last, 1}, {zero, 1}};
    for (size_t i = 0; i < BASE_COUNT(rings); i++) {
        add(&state, 1, "dc1", "r1", rings[i].tokens, rings[i].count);
        add_allocated(&state, 2, "dc2", "r1", 7, 3);
        for (size_t n = 3; n < 9; n++)
            add_allocated(&state, n, "dc1", n % 2 ? "r1" : "r2", 1 + n * n, n < 6 ? 3 : 40);
        teardown();
        setup();
    }
}
END_TEST

/* Any cluster: add_allocated asserts by ring_state_check and apply that tokens are ascending and
 * nobody's. */
START_TEST(random_clusters)
{
    static const char *const dcs[] = {"dc1", "dc2"}, *const racks[] = {"r1", "r2", "r3", "r4"};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng = rng_seeded(seed);
        size_t members = 1 + rng_below(&rng, 20);
        for (size_t n = 1; n <= members; n++)
            add_allocated(&state, n, dcs[rng_one_in(&rng, 4)], racks[rng_skewed(&rng, 3)],
                          1 + rng_skewed(&rng, 40), 1 + (unsigned)rng_below(&rng, 9));
        teardown();
        setup();
    }
}
END_TEST

START_TEST(odd_questions)
{
    int64_t tokens[4];
    struct base_slice dc = BASE_SLICE_LIT("dc1"), rack = BASE_SLICE_LIT("r1"), none = {0};
    ck_fails(ring_allocate(state, dc, rack, 0, 3, tokens, &err), BASE_E_INVALID, err);
    ck_fails(ring_allocate(state, dc, rack, RING_TOKENS_MAX + 1, 3, tokens, &err), BASE_E_INVALID,
             err);
    ck_fails(ring_allocate(state, dc, rack, 4, 0, tokens, &err), BASE_E_INVALID, err);
    ck_fails(ring_allocate(state, none, rack, 4, 3, tokens, &err), BASE_E_INVALID, err);
    ck_fails(ring_allocate(state, dc, none, 4, 3, tokens, &err), BASE_E_INVALID, err);
    struct ring_state full = *state;
    full.member_count = RING_MEMBERS_MAX;
    ck_fails(ring_allocate(&full, dc, rack, 4, 3, tokens, &err), BASE_E_LIMIT, err);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring allocation");
    TCase *tc = tcase_create("allocate");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, balance_from_1_to_100);
    tcase_add_test(tc, balance_over_racks);
    tcase_add_test(tc, balance_of_other_settings);
    tcase_add_test(tc, many_tokens);
    tcase_add_test(tc, load_goes_by_the_number_of_tokens);
    tcase_add_test(tc, the_same_everywhere);
    tcase_add_test(tc, first_of_a_data_centre);
    tcase_add_test(tc, data_centres_do_not_disturb_each_other);
    tcase_add_test(tc, who_joins_just_now_is_counted);
    tcase_add_test(tc, odd_rings);
    tcase_add_test(tc, random_clusters);
    tcase_add_test(tc, odd_questions);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
