/* The failure detector's arithmetic and the latency histogram: known answers. What breaks without
 * them: nodes that are called dead too early (flapping) or minutes too late, and percentiles that
 * mislead. */
#include "replication/phi.h"
#include "replication/replication.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

#define S UINT64_C(1000000000)
#define GUESS (2 * S)
#define LN10 2.302585092994046

static void near(double value, double expected)
{
    ck_assert_msg(value > expected * 0.9999 && value < expected * 1.0001, "%.6f, expected %.6f",
                  value, expected);
}

START_TEST(before_anything)
{
    struct repli_phi phi;
    repli_phi_init(&phi, GUESS);
    ck_assert_double_eq(repli_phi_value(&phi, 100 * S), 0);
    repli_phi_fini(&phi);
}
END_TEST

/* The first arrival brings the guess alone: phi = elapsed / 2 s / ln 10. */
START_TEST(the_guess)
{
    struct repli_phi phi;
    repli_phi_init(&phi, GUESS);
    repli_phi_arrived(&phi, 10 * S);
    near(repli_phi_mean_ns(&phi), (double)GUESS);
    ck_assert_double_eq(repli_phi_value(&phi, 10 * S), 0);
    near(repli_phi_value(&phi, 30 * S), 20 / 2.0 / LN10);
    repli_phi_arrived(&phi, 11 * S);
    near(repli_phi_mean_ns(&phi), 1.5e9);
    repli_phi_reset(&phi);
    ck_assert_double_eq(repli_phi_value(&phi, 100 * S), 0);
    repli_phi_arrived(&phi, 50 * S);
    near(repli_phi_mean_ns(&phi), (double)GUESS);
    repli_phi_fini(&phi);
}
END_TEST

/* A heartbeat a second for long: phi reaches 8 after 8 · ln 10 = 18.42 s of silence. */
START_TEST(a_heartbeat_a_second)
{
    struct repli_phi phi;
    uint64_t now = S;
    repli_phi_init(&phi, GUESS);
    for (int i = 0; i < 1001; i++, now += S)
        repli_phi_arrived(&phi, now);
    now -= S;
    near(repli_phi_mean_ns(&phi), 1e9); /* the guess has left the window */
    near(repli_phi_value(&phi, now + 10 * S), 10 / LN10);
    ck_assert(repli_phi_value(&phi, now + 18400000000) < 8);
    ck_assert(repli_phi_value(&phi, now + 18440000000) > 8);
    repli_phi_touch(&phi, now + 18 * S);
    near(repli_phi_value(&phi, now + 28 * S), 10 / LN10);
    near(repli_phi_mean_ns(&phi), 1e9);
    repli_phi_fini(&phi);
}
END_TEST

/* Silences longer than the guess do not make it patient (Cassandra's MAX_INTERVAL). */
START_TEST(pauses_do_not_count)
{
    struct repli_phi phi;
    uint64_t now = S;
    repli_phi_init(&phi, GUESS);
    for (int i = 0; i < 200; i++) {
        repli_phi_arrived(&phi, now);
        now += i % 2 ? S : 60 * S;
    }
    repli_phi_arrived(&phi, now);
    ck_assert(repli_phi_mean_ns(&phi) < 1.02e9);
    ck_assert(repli_phi_value(&phi, now + 20 * S) > 8);
    repli_phi_fini(&phi);
}
END_TEST

/* The ring against a sum over all, over windows that grow and wrap. */
START_TEST(the_window)
{
    struct rng rng = rng_seeded(7);
    struct repli_phi phi;
    static uint64_t all[5000];
    uint64_t now = S;
    repli_phi_init(&phi, GUESS);
    repli_phi_arrived(&phi, now);
    all[0] = GUESS;
    for (size_t n = 1; n < BASE_COUNT(all); n++) {
        all[n] = 1000 + rng_below(&rng, GUESS - 1000);
        now += all[n];
        repli_phi_arrived(&phi, now);
        size_t from = n + 1 > REPLI_PHI_WINDOW ? n + 1 - REPLI_PHI_WINDOW : 0;
        double sum = 0;
        for (size_t i = from; i <= n; i++)
            sum += (double)all[i];
        double mean = sum / (double)(n + 1 - from);
        mean = mean > (double)GUESS / 2 ? mean : (double)GUESS / 2;
        double error = repli_phi_mean_ns(&phi) / mean - 1;
        ck_assert_msg(error > -1e-4 && error < 1e-4, "after %zu: %.0f, expected %.0f", n,
                      repli_phi_mean_ns(&phi), mean);
    }
    repli_phi_fini(&phi);
}
END_TEST

/* What gathered while we were stopped comes at once: the next silence is judged as ever. (The
 * simulator found a mean of 0.12 s.) */
START_TEST(a_burst)
{
    struct repli_phi phi;
    uint64_t now = 10 * S;
    repli_phi_init(&phi, GUESS);
    for (int i = 0; i < 100; i++, now += 1000000)
        repli_phi_arrived(&phi, now);
    near(repli_phi_mean_ns(&phi), 1e9);
    ck_assert(repli_phi_value(&phi, now + 18 * S) < 8);
    repli_phi_fini(&phi);
}
END_TEST

START_TEST(histogram_bounds)
{
    /* Cassandra's series: each bound is the last times 1.2, rounded, at least one more. */
    uint64_t bound = 1;
    for (size_t i = 0; i < REPL_HISTOGRAM_BUCKETS - 1; i++) {
        struct repl_histogram h = {0};
        repl_histogram_add(&h, bound);
        ck_assert_uint_eq(h.counts[i], 1);
        ck_assert_uint_eq(repl_histogram_bound(i), bound);
        repl_histogram_add(&h, bound + 1);
        ck_assert_uint_eq(h.counts[i + 1], 1);
        ck_assert_uint_eq(repl_histogram_percentile(&h, 0.5), bound);
        uint64_t next = (bound * 12 + 5) / 10;
        bound = next > bound ? next : bound + 1;
    }
    struct repl_histogram h = {0};
    repl_histogram_add(&h, 0);
    ck_assert_uint_eq(h.counts[0], 1);
}
END_TEST

START_TEST(histogram_percentiles)
{
    struct repl_histogram h = {0};
    ck_assert_uint_eq(repl_histogram_percentile(&h, 0.99), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        repl_histogram_add(&h, us);
    ck_assert_uint_eq(h.count, 1000);
    ck_assert_uint_eq(h.sum_us, 500500);
    static const double fractions[] = {0, 0.001, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < BASE_COUNT(fractions); i++) {
        uint64_t exact = (uint64_t)(fractions[i] * 1000),
                 us = repl_histogram_percentile(&h, fractions[i]);
        exact += exact == 0;
        ck_assert_msg(us >= exact && us <= exact * 6 / 5 + 1, "p%g: %u for %u", fractions[i],
                      (unsigned)us, (unsigned)exact);
    }
    ck_assert_uint_eq(repl_histogram_percentile(&h, 1), 1000); /* not its bucket's 1109 */
    repl_histogram_add(&h, 3600 * UINT64_C(1000000));
    ck_assert_uint_eq(h.counts[REPL_HISTOGRAM_BUCKETS - 1], 1);
    ck_assert_uint_eq(repl_histogram_percentile(&h, 1), 3600 * UINT64_C(1000000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("phi");
    TCase *tc = tcase_create("phi");
    tcase_add_test(tc, before_anything);
    tcase_add_test(tc, the_guess);
    tcase_add_test(tc, a_heartbeat_a_second);
    tcase_add_test(tc, pauses_do_not_count);
    tcase_add_test(tc, the_window);
    tcase_add_test(tc, a_burst);
    tcase_add_test(tc, histogram_bounds);
    tcase_add_test(tc, histogram_percentiles);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
