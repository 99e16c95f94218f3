/* Who is asked first. What breaks without it: reads that go to another data centre, or on and on to
 * a replica that is slow; one that was slow once and is never asked again. */
#include "tests/unit/replication/by_hand.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

static struct ring_state *state;
static struct repl repl;

static struct base_uuid nth(size_t n)
{
    return host(n * 10); /* room for others between them */
}

/* 1 (we), 2: dc1 r1; 3, 4: dc1 r2; 5, 6: dc2. Member indexes are one less. */
static void begin(size_t self)
{
    static const char *const dcs[] = {"dc1", "dc1", "dc1", "dc1", "dc2", "dc2"}, *const racks[] = {
                                                                                     "r1", "r1",
                                                                                     "r2", "r2",
                                                                                     "r1", "r2"};
    state = ring_state_new();
    for (size_t i = 0; i < 6; i++) {
        int64_t token = (int64_t)i * 1000;
        add(&state, (i + 1) * 10, dcs[i], racks[i], &token, 1);
    }
    by_hand_init(&repl, state, self * 10, "dc1", "r1");
}

static void end(void)
{
    by_hand_fini(&repl);
    ring_state_release(state);
}

static void seen(size_t n, uint64_t latency_ns)
{
    repli_snitch_observe(&repl, nth(n), latency_ns);
}

/* Hosts as digits, before and after. */
static void sorts(const char *given, const char *expected)
{
    uint16_t members[8];
    size_t count = strlen(given);
    char text[9] = "";
    for (size_t i = 0; i < count; i++)
        members[i] = (uint16_t)(given[i] - '1');
    repli_snitch_sort(&repl, members, count);
    for (size_t i = 0; i < count; i++)
        text[i] = (char)('1' + members[i]);
    ck_assert_msg(strcmp(text, expected) == 0, "%s: %s, expected %s", given, text, expected);
}

START_TEST(by_distance)
{
    begin(1);
    sorts("654321", "124365");
    sorts("513", "135");
    sorts("", "");
    sorts("6", "6");
    end();
}
END_TEST

/* In one class the caller's order stays: it is the ring's, and spreads the load. */
START_TEST(ring_order_in_a_class)
{
    begin(1);
    sorts("34", "34");
    sorts("43", "43");
    seen(3, 2 * MS);
    seen(4, 3 * MS); /* slower, but not by the threshold */
    sorts("43", "43");
    sorts("34", "34");
    end();
}
END_TEST

START_TEST(a_guest_has_no_place)
{
    begin(9);
    sorts("654321", "214365");
    end();
}
END_TEST

START_TEST(slow_is_passed_over)
{
    begin(1);
    for (size_t n = 1; n <= 6; n++)
        seen(n, n < 5 ? MS : 60 * MS);
    sorts("234", "234");
    seen(2, 5 * S); /* one timeout is enough */
    sorts("234", "342");
    sorts("25", "52"); /* even for another data centre */
    sorts("13", "13");
    for (int i = 0; i < 40; i++)
        seen(2, MS);
    sorts("234", "234"); /* it is fast again */
    seen(1, 3 * S);      /* ourselves, too */
    sorts("13", "31");
    end();
}
END_TEST

/* A data centre that is not known is not tried because it might be fast; nor are microseconds a
 * reason. */
START_TEST(unknown_and_tiny_differences)
{
    begin(1);
    seen(2, 20 * MS);
    sorts("25", "25");
    seen(2, 900 * MS);
    sorts("25", "52");
    seen(3, 10000);
    seen(4, 900000);
    sorts("43", "43");
    end();
}
END_TEST

/* Another chance with one request, not with all of them. */
START_TEST(another_chance)
{
    begin(1);
    for (size_t n = 1; n <= 4; n++)
        seen(n, MS);
    seen(2, 5 * S);
    repl.now_ns += 20 * S;
    for (size_t n = 3; n <= 4; n++)
        seen(n, MS);
    sorts("23", "32");
    repl.now_ns += 15 * S;
    sorts("23", "23"); /* this one */
    sorts("23", "32");
    sorts("23", "32");
    seen(2, 4 * S); /* still slow */
    repl.now_ns += 20 * S;
    sorts("23", "32");
    repl.now_ns += 15 * S;
    sorts("23", "23");
    for (int i = 0; i < 40; i++)
        seen(2, MS);
    sorts("23", "23");
    end();
}
END_TEST

/* Given up for a faster one: that it took at least so long does not make a slow one fast. */
START_TEST(given_up)
{
    begin(1);
    seen(3, MS);
    seen(2, 500 * MS);
    for (int i = 0; i < 100; i++)
        repli_snitch_observe_at_least(&repl, nth(2), 3 * MS);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(2)), 500);
    sorts("23", "32");
    repli_snitch_observe_at_least(&repl, nth(3), 101 * MS);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(3)), 26);
    end();
}
END_TEST

START_TEST(badness_zero_is_by_speed)
{
    begin(1);
    repl.config.dynamic_snitch_badness = 0;
    seen(3, 3 * MS);
    seen(4, 2 * MS);
    sorts("34", "43");
    end();
}
END_TEST

START_TEST(latency_and_percentile)
{
    begin(1);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(2)), 0);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(99)), 0);
    seen(2, 8 * MS);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(2)), 8);
    seen(2, 4 * MS);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(2)), 7);
    seen(99, MS);                                                  /* nobody */
    ck_assert_uint_eq(repli_snitch_percentile_ns(&repl, 0.99), 0); /* too few */
    for (unsigned i = 1; i <= 1000; i++) {
        seen(3, i * 10000);
        seen(1, 1); /* our own do not count: who waits, waits for others */
    }
    uint64_t p99 = repli_snitch_percentile_ns(&repl, 0.99);
    ck_assert_msg(p99 >= 9900000 && p99 <= 12000000, "%u", (unsigned)p99);
    /* and what is over is forgotten */
    for (unsigned i = 0; i < 40; i++) {
        repl.now_ns += 61 * S;
        for (unsigned k = 0; k < 30; k++)
            seen(3, MS);
    }
    p99 = repli_snitch_percentile_ns(&repl, 0.99);
    ck_assert_msg(p99 <= 1200000, "%u", (unsigned)p99);
    end();
}
END_TEST

/* Members come: who is known stays known, by host id and not by index. */
START_TEST(members_come)
{
    begin(1);
    seen(4, 40 * MS);
    int64_t token = 99000;
    add(&state, 1, "dc1", "r1", &token, 1); /* before all others */
    ring_state_release(repl.ring);
    repl.ring = ring_state_acquire(state);
    repli_snitch_on_epoch(&repl);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(4)), 40);
    ck_assert_double_eq(repli_snitch_latency_ms(&repl, nth(3)), 0);
    uint16_t members[] = {4, 3, 0}; /* the fourth, the third, the new one */
    repli_snitch_sort(&repl, members, 3);
    ck_assert(members[0] == 0 && members[1] == 3 && members[2] == 4);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snitch");
    TCase *tc = tcase_create("snitch");
    tcase_add_test(tc, by_distance);
    tcase_add_test(tc, ring_order_in_a_class);
    tcase_add_test(tc, a_guest_has_no_place);
    tcase_add_test(tc, slow_is_passed_over);
    tcase_add_test(tc, unknown_and_tiny_differences);
    tcase_add_test(tc, another_chance);
    tcase_add_test(tc, given_up);
    tcase_add_test(tc, badness_zero_is_by_speed);
    tcase_add_test(tc, latency_and_percentile);
    tcase_add_test(tc, members_come);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
