/* The ring. Without these a token could have no owner or two, the range that wraps could be lost,
 * or the first node's tokens be out of balance from the start. */
#include "ring/ring.h"
#include "tests/lib/ck.h"

static const struct base_uuid a = {{1}}, b = {{2}}, c = {{3}};

START_TEST(first_tokens_are_ascending_and_evenly_spread)
{
    static const size_t counts[] = {1, 2, 3, 7, 16, 256, RING_TOKENS_MAX};
    int64_t tokens[RING_TOKENS_MAX];
    for (size_t k = 0; k < BASE_COUNT(counts); k++) {
        size_t n = counts[k];
        ring_allocate_first(n, tokens);
        uint64_t smallest = UINT64_MAX, largest = 0;
        for (size_t i = 1; i < n; i++) {
            ck_assert_int_lt(tokens[i - 1], tokens[i]);
            uint64_t distance = (uint64_t)tokens[i] - (uint64_t)tokens[i - 1];
            smallest = distance < smallest ? distance : smallest;
            largest = distance > largest ? distance : largest;
        }
        uint64_t wrap = (uint64_t)tokens[0] - (uint64_t)tokens[n - 1];
        if (n > 1) { /* equal but for rounding */
            ck_assert_uint_le(largest - smallest, 1);
            ck_assert(wrap <= largest + 1 && wrap + 1 >= smallest);
        }
        ck_assert_int_ne(tokens[0], INT64_MIN);
        ck_assert_int_eq(tokens[n - 1], INT64_MAX);
    }
    ring_allocate_first(2, tokens);
    ck_assert_int_eq(tokens[0], -1);
}
END_TEST

START_TEST(every_token_has_its_owner)
{
    const struct ring_owner ring[] = {{-100, a}, {0, b}, {100, c}};
    static const struct {
        int64_t token;
        size_t owner;
    } cases[] = {{-100, 0}, {-99, 1},       {0, 1},         {1, 2},   {100, 2},
                 {101, 0},  {INT64_MAX, 0}, {INT64_MIN, 0}, {-101, 0}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        ck_assert_ptr_eq(ring_lookup(ring, 3, cases[i].token), &ring[cases[i].owner]);
    ck_assert_ptr_eq(ring_lookup(ring, 1, 55), &ring[0]);
}
END_TEST

/* Against the definition, word for word, on every ring of few tokens. */
START_TEST(lookup_agrees_with_the_definition)
{
    struct ring_owner ring[5];
    for (unsigned set = 1; set < 1u << 5; set++) {
        size_t n = 0;
        for (unsigned k = 0; k < 5; k++)
            if (set & 1u << k)
                ring[n++] = (struct ring_owner){(int64_t)k * 2 - 4, a};
        ck_assert(ring_check(ring, n));
        for (int64_t token = -6; token <= 6; token++) {
            const struct ring_owner *want = &ring[0];
            for (size_t i = n; i-- > 0;)
                if (ring[i].token >= token)
                    want = &ring[i];
            ck_assert_ptr_eq(ring_lookup(ring, n, token), want);
        }
    }
}
END_TEST

START_TEST(shares_add_up)
{
    const struct ring_owner ring[] = {
        {INT64_MIN / 2, a}, {0, b}, {INT64_MAX / 2 + 1, a}, {INT64_MAX, c}};
    ck_assert_double_eq_tol(ring_share(ring, 4, a), 0.5, 1e-9);
    ck_assert_double_eq_tol(ring_share(ring, 4, b), 0.25, 1e-9);
    ck_assert_double_eq_tol(
        ring_share(ring, 4, a) + ring_share(ring, 4, b) + ring_share(ring, 4, c), 1, 1e-9);
    ck_assert_double_eq(ring_share(ring, 1, a), 1);
    ck_assert_double_eq(ring_share(ring, 1, b), 0);
}
END_TEST

START_TEST(what_is_no_ring)
{
    const struct ring_owner twice[] = {{1, a}, {1, b}}, unsorted[] = {{2, a}, {1, b}};
    ck_assert(!ring_check(twice, 2));
    ck_assert(!ring_check(unsorted, 2));
    ck_assert(!ring_check(NULL, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_add_test(tc, first_tokens_are_ascending_and_evenly_spread);
    tcase_add_test(tc, every_token_has_its_owner);
    tcase_add_test(tc, lookup_agrees_with_the_definition);
    tcase_add_test(tc, shares_add_up);
    tcase_add_test(tc, what_is_no_ring);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
