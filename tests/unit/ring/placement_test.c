/* Placements. Without these a token could have no replica or one twice, a rack could hold all
 * copies of a row, or nodes and drivers (which compute the same from Cassandra's rules) could look
 * for rows at different members. */
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

/* Host n with one token. */
static void one(size_t n, const char *dc, const char *rack, int64_t token)
{
    add(&state, n, dc, rack, &token, 1);
}

struct want {
    int64_t upto;
    const char *hosts; /* a letter for each: 'A' is host 1 */
};

static void check_ranges(const struct ring_placement *p, const struct want *want, size_t count)
{
    ck_assert_uint_eq(p->range_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct ring_range *range = &p->ranges[i];
        ck_assert_int_eq(range->upto, want[i].upto);
        ck_assert_uint_eq(range->read.count, strlen(want[i].hosts));
        for (uint16_t k = 0; k < range->read.count; k++) {
            size_t host_number = base_get_be64(p->state->members[range->read.members[k]].host_id.b);
            ck_assert_msg(host_number == (size_t)(want[i].hosts[k] - 'A' + 1),
                          "range %zu, replica %u: host %zu, want %c", i, k, host_number,
                          want[i].hosts[k]);
        }
        ck_assert_ptr_eq(range->write.members, range->read.members);
        ck_assert_uint_eq(range->write.count, range->read.count);
    }
}
#define RANGES(...)                                                                                \
    (const struct want[]){__VA_ARGS__}, BASE_COUNT(((const struct want[]){__VA_ARGS__}))

static void expect(const char *const *words, const struct want *want, size_t count)
{
    struct ring_placement *p;
    ck_ok(place(state, words, host(1), &p, &err), err);
    check_ranges(p, want, count);
    ring_placement_release(p);
}

START_TEST(simple_strategy)
{
    add(&state, 1, "dc1", "r1", (const int64_t[]){-100, 0}, 2);
    one(2, "dc1", "r1", 50);
    one(3, "dc2", "r9", 100);
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "1"),
           RANGES({-100, "A"}, {0, "A"}, {50, "B"}, {100, "C"}, {INT64_MAX, "A"}));
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "2"),
           RANGES({-100, "AB"}, {0, "AB"}, {50, "BC"}, {100, "CA"}, {INT64_MAX, "AB"}));
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "3"),
           RANGES({-100, "ABC"}, {0, "ABC"}, {50, "BCA"}, {100, "CAB"}, {INT64_MAX, "ABC"}));
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "9"), /* as many as there are */
           RANGES({-100, "ABC"}, {0, "ABC"}, {50, "BCA"}, {100, "CAB"}, {INT64_MAX, "ABC"}));
}
END_TEST

START_TEST(the_last_token_may_be_the_greatest)
{
    one(1, "dc1", "r1", 0);
    one(2, "dc1", "r1", INT64_MAX);
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "1"),
           RANGES({0, "A"}, {INT64_MAX, "B"}));
}
END_TEST

/* Two racks, three members in one: repeats only as often as the factor exceeds the racks. */
START_TEST(few_racks)
{
    one(1, "dc1", "r1", 0);
    one(2, "dc1", "r1", 10);
    one(3, "dc1", "r2", 20);
    one(4, "dc1", "r1", 30);
    expect(WORDS("class", "NetworkTopologyStrategy", "dc1", "1"),
           RANGES({0, "A"}, {10, "B"}, {20, "C"}, {30, "D"}, {INT64_MAX, "A"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc1", "2"),
           RANGES({0, "AC"}, {10, "BC"}, {20, "CD"}, {30, "DC"}, {INT64_MAX, "AC"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc1", "3"),
           RANGES({0, "ABC"}, {10, "BCD"}, {20, "CDA"}, {30, "DAC"}, {INT64_MAX, "ABC"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc1", "4"),
           RANGES({0, "ABCD"}, {10, "BCDA"}, {20, "CDAB"}, {30, "DABC"}, {INT64_MAX, "ABCD"}));
}
END_TEST

/* As Cassandra's NetworkTopologyStrategyTest: three data centres, factors of their own; order is
 * the ring's over all. */
START_TEST(data_centres)
{
    one(1, "dc1", "r1", 0);
    one(2, "dc2", "r1", 10);
    one(3, "dc1", "r2", 20);
    one(4, "dc2", "r1", 30);
    one(5, "dc3", "r1", 40);
    expect(
        WORDS("class", "NetworkTopologyStrategy", "dc1", "2", "dc2", "1"),
        RANGES({0, "ABC"}, {10, "BCA"}, {20, "CDA"}, {30, "DAC"}, {40, "ABC"}, {INT64_MAX, "ABC"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc3", "2"),
           RANGES({0, "E"}, {10, "E"}, {20, "E"}, {30, "E"}, {40, "E"}, {INT64_MAX, "E"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc2", "0", "replication_factor", "1"),
           RANGES({0, "AE"}, {10, "CE"}, {20, "CE"}, {30, "EA"}, {40, "EA"}, {INT64_MAX, "AE"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc9", "3"),
           RANGES({0, ""}, {10, ""}, {20, ""}, {30, ""}, {40, ""}, {INT64_MAX, ""}));
}
END_TEST

START_TEST(local_and_everywhere)
{
    one(1, "dc1", "r1", 0);
    one(2, "dc2", "r1", 10);
    one(3, "dc1", "r2", 20);
    expect(WORDS("class", "LocalStrategy"), RANGES({INT64_MAX, "A"}));
    expect(WORDS("class", "EverywhereStrategy"), RANGES({INT64_MAX, "ABC"}));
    struct ring_placement *p;
    /* a guest has none */
    ck_ok(place(state, WORDS("class", "LocalStrategy"), host(77), &p, &err), err);
    check_ranges(p, RANGES({INT64_MAX, ""}));
    ring_placement_release(p);
}
END_TEST

START_TEST(who_joins_owns_nothing)
{
    char text[24];
    one(1, "dc1", "r1", 0);
    struct ring_change change = joins(state, 2, "dc1", "r2", (const int64_t[]){50}, 1, text);
    apply(&state, &change);
    expect(WORDS("class", "SimpleStrategy", "replication_factor", "3"),
           RANGES({0, "A"}, {INT64_MAX, "A"}));
    expect(WORDS("class", "NetworkTopologyStrategy", "dc1", "2"),
           RANGES({0, "A"}, {INT64_MAX, "A"}));
    expect(WORDS("class", "EverywhereStrategy"), RANGES({INT64_MAX, "A"}));
}
END_TEST

START_TEST(no_members)
{
    struct ring_placement *p;
    const char *const *all[] = {WORDS("class", "SimpleStrategy", "replication_factor", "3"),
                                WORDS("class", "NetworkTopologyStrategy", "dc1", "3"),
                                WORDS("class", "LocalStrategy"),
                                WORDS("class", "EverywhereStrategy")};
    for (size_t i = 0; i < BASE_COUNT(all); i++) {
        ck_ok(place(state, all[i], host(1), &p, &err), err);
        check_ranges(p, RANGES({INT64_MAX, ""}));
        ck_assert_ptr_eq(ring_placement_find(p, INT64_MIN), p->ranges);
        ck_assert_double_eq(ring_placement_owns(p, host(1)), 0);
        ring_placement_release(p);
    }
}
END_TEST

START_TEST(factors_as_asked_for)
{
    struct ring_placement *p;
    one(1, "dc1", "r1", 0);
    one(2, "dc2", "r1", 10);
    ck_ok(place(state,
                WORDS("class", "NetworkTopologyStrategy", "dc1", "3", "dc7", "2", "dc8", "0"),
                host(1), &p, &err),
          err);
    ck_assert(p->per_dc);
    ck_assert_uint_eq(p->rf_total, 5);
    ck_assert_uint_eq(p->dc_count, 2);
    ck_assert_uint_eq(ring_placement_rf(p, BASE_SLICE_LIT("dc1")), 3);
    ck_assert_uint_eq(ring_placement_rf(p, BASE_SLICE_LIT("dc2")), 0);
    ck_assert_uint_eq(ring_placement_rf(p, BASE_SLICE_LIT("dc7")), 2);
    ring_placement_release(p);
    ck_ok(place(state,
                WORDS("class", "NetworkTopologyStrategy", "dc1", "3", "replication_factor", "2"),
                host(1), &p, &err),
          err);
    ck_assert_uint_eq(p->rf_total, 5);
    ck_assert_uint_eq(ring_placement_rf(p, BASE_SLICE_LIT("dc2")), 2);
    ring_placement_release(p);
    ck_ok(place(state, WORDS("class", "SimpleStrategy", "replication_factor", "3"), host(1), &p,
                &err),
          err);
    ck_assert(!p->per_dc);
    ck_assert_uint_eq(p->rf_total, 3);
    ck_assert_uint_eq(ring_placement_rf(p, BASE_SLICE_LIT("dc1")), 3);
    ck_assert_uint_eq(p->dc_count, 0);
    struct ring_placement *again = ring_placement_acquire(p);
    ck_assert_ptr_eq(again, p);
    ring_placement_release(p);
    ck_assert_ptr_eq(again->state, state);
    ring_placement_release(again);
}
END_TEST

START_TEST(odd_options)
{
    struct ring_placement *p;
    const char *const *all[] = {
        WORDS("class", "OldStrategy"),
        WORDS("replication_factor", "3"),
        WORDS("class", "SimpleStrategy"),
        WORDS("class", "SimpleStrategy", "replication_factor", "0"),
        WORDS("class", "SimpleStrategy", "replication_factor", "x"),
        WORDS("class", "SimpleStrategy", "replication_factor", ""),
        WORDS("class", "SimpleStrategy", "replication_factor", "-1"),
        WORDS("class", "SimpleStrategy", "replication_factor", "5000"),
        WORDS("class", "SimpleStrategy", "replication_factor", "18446744073709551617"),
        WORDS("class", "NetworkTopologyStrategy", "dc1", "1/1"),
        WORDS("class", "NetworkTopologyStrategy", "dc1", "1", "replication_factor", "y")};
    for (size_t i = 0; i < BASE_COUNT(all); i++) {
        ck_fails(place(state, all[i], host(1), &p, &err), BASE_E_INVALID, err);
        ck_assert_ptr_null(p);
    }
}
END_TEST

START_TEST(distances)
{
    one(1, "dc1", "r1", 0);
    one(2, "dc1", "r1", 10);
    one(3, "dc1", "r2", 20);
    one(4, "dc2", "r1", 30);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(ring_distance(&state->members[0], &state->members[i]), i);
        ck_assert_uint_eq(ring_distance(&state->members[i], &state->members[0]), i);
    }
}
END_TEST

/* Properties over random clusters. */

static const char *const dcs[] = {"dc1", "dc2", "dc3"}, *const racks[] = {"r1", "r2", "r3", "r4",
                                                                          "r5"};

static void random_cluster(struct rng *rng)
{
    size_t members = 1 + rng_below(rng, 12), dc_count = 1 + rng_below(rng, 3),
           rack_count = 1 + rng_below(rng, 5);
    for (size_t n = 1; n <= members; n++) {
        int64_t tokens[8];
        size_t count = 1 + rng_below(rng, 8);
        for (size_t i = 0; i < count; i++) /* ascending, and unlike any other member's */
            tokens[i] = (int64_t)((uint64_t)INT64_MIN +
                                  (i * 1000 + rng_below(rng, 999)) * (UINT64_MAX / 8000)) +
                        (int64_t)n;
        if (rng_one_in(rng, 4))
            tokens[count - 1] = INT64_MAX - (int64_t)n;
        add(&state, n, dcs[rng_below(rng, dc_count)], racks[rng_below(rng, rack_count)], tokens,
            count);
    }
}

/* Of the members that own tokens: those of a data centre (NULL: all), and their racks. */
static unsigned members_of(const char *dc, unsigned *rack_count)
{
    unsigned count = 0;
    *rack_count = 0;
    for (size_t i = 0; i < state->member_count; i++) {
        const struct ring_member *m = &state->members[i];
        if (dc && !base_slice_equal(m->dc, base_slice_str(dc)))
            continue;
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = base_slice_equal(state->members[k].dc, m->dc) &&
                   base_slice_equal(state->members[k].rack, m->rack);
        count++;
        *rack_count += !seen;
    }
    return count;
}

/* Is each member in the set once, and in the order in which the ring meets them from entry `at`
 * on? */
static void check_order(struct ring_set set, size_t at)
{
    size_t found = 0;
    for (size_t step = 0; step < state->ring_count && found < set.count; step++)
        found += state->ring_members[(at + step) % state->ring_count] == set.members[found];
    ck_assert_uint_eq(found, set.count);
    for (uint16_t i = 0; i < set.count; i++)
        for (uint16_t k = 0; k < i; k++)
            ck_assert_uint_ne(set.members[i], set.members[k]);
}

/* In a data centre: as many as asked for or there are, on as many racks as can be. */
static void check_dc(struct ring_set set, const char *dc, unsigned rf)
{
    unsigned rack_count, members = members_of(dc, &rack_count), replicas = 0, on_racks = 0;
    for (uint16_t i = 0; i < set.count; i++) {
        const struct ring_member *m = &state->members[set.members[i]];
        if (!base_slice_equal(m->dc, base_slice_str(dc)))
            continue;
        bool seen = false;
        for (uint16_t k = 0; k < i; k++)
            seen |= base_slice_equal(state->members[set.members[k]].dc, m->dc) &&
                    base_slice_equal(state->members[set.members[k]].rack, m->rack);
        replicas++;
        on_racks += !seen;
    }
    ck_assert_uint_eq(replicas, rf < members ? rf : members);
    ck_assert_uint_eq(on_racks, rf < rack_count ? rf : rack_count);
}

static void check_cover(const struct ring_placement *p, struct rng *rng)
{
    double sum = 0;
    ck_assert_uint_ge(p->range_count, 1);
    ck_assert_int_eq(p->ranges[p->range_count - 1].upto, INT64_MAX);
    for (size_t i = 0; i < p->range_count; i++) {
        ck_assert_ptr_eq(ring_placement_find(p, p->ranges[i].upto), &p->ranges[i]);
        if (i)
            ck_assert_int_lt(p->ranges[i - 1].upto, p->ranges[i].upto);
        if (p->ranges[i].upto < INT64_MAX)
            ck_assert_ptr_eq(ring_placement_find(p, p->ranges[i].upto + 1), &p->ranges[i + 1]);
    }
    for (int i = 0; i < 20; i++) {
        int64_t token = (int64_t)rng_u64(rng);
        size_t k = 0;
        while (p->ranges[k].upto < token)
            k++;
        ck_assert_ptr_eq(ring_placement_find(p, token), &p->ranges[k]);
    }
    ck_assert_ptr_eq(ring_placement_find(p, INT64_MIN), p->ranges);
    for (size_t i = 0; i < state->member_count; i++)
        sum += ring_placement_owns(p, state->members[i].host_id);
    ck_assert_double_eq_tol(sum, p->ranges[0].read.count, 1e-9);
}

START_TEST(random_clusters)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng rng = rng_seeded(seed);
        struct ring_placement *p;
        char factors[3][8];
        unsigned rf[3];
        random_cluster(&rng);
        for (int d = 0; d < 3; d++) {
            rf[d] = (unsigned)rng_below(&rng, 6);
            snprintf(factors[d], sizeof factors[d], "%u", rf[d]);
        }
        ck_ok(place(state,
                    WORDS("class", "NetworkTopologyStrategy", "dc1", factors[0], "dc2", factors[1],
                          "dc3", factors[2]),
                    host(1), &p, &err),
              err);
        check_cover(p, &rng);
        for (size_t i = 0; i < p->range_count; i++) {
            check_order(p->ranges[i].read, i % state->ring_count);
            for (int d = 0; d < 3; d++)
                check_dc(p->ranges[i].read, dcs[d], rf[d]);
        }
        ring_placement_release(p);
        unsigned simple_rf = 1 + rf[0], rack_count, members = members_of(NULL, &rack_count);
        snprintf(factors[0], sizeof factors[0], "%u", simple_rf);
        ck_ok(place(state, WORDS("class", "SimpleStrategy", "replication_factor", factors[0]),
                    host(1), &p, &err),
              err);
        check_cover(p, &rng);
        for (size_t i = 0; i < p->range_count; i++) {
            struct ring_set set = p->ranges[i].read;
            check_order(set, i % state->ring_count);
            ck_assert_uint_eq(set.count, simple_rf < members ? simple_rf : members);
            for (size_t step = 0, found = 0; found < set.count;
                 step++) { /* nobody nearer was passed over */
                uint16_t member = state->ring_members[(i + step) % state->ring_count];
                ck_assert(set_has(set, member));
                found += member == set.members[found];
            }
        }
        ring_placement_release(p);
        teardown();
        setup();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring placement");
    TCase *tc = tcase_create("placement");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, simple_strategy);
    tcase_add_test(tc, the_last_token_may_be_the_greatest);
    tcase_add_test(tc, few_racks);
    tcase_add_test(tc, data_centres);
    tcase_add_test(tc, local_and_everywhere);
    tcase_add_test(tc, who_joins_owns_nothing);
    tcase_add_test(tc, no_members);
    tcase_add_test(tc, factors_as_asked_for);
    tcase_add_test(tc, odd_options);
    tcase_add_test(tc, distances);
    tcase_add_test(tc, random_clusters);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
