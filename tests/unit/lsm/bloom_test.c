/* Without this: a filter that forgets a key hides rows; one that says yes too often makes every
 * read of a missing key go to the disk. */
#include "lsm/bloom.h"

#include <stdio.h>

#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

static const double chances[] = {0.5, 0.1, 0.01, 0.001, 0.0001};
enum { KEYS = 200000 };

/* The share of strangers let in; every member must be. */
static double measure(double fp_chance, size_t keys, int64_t mask, int64_t base)
{
    struct rng rng = rng_seeded(5), again = rng;
    struct lsmi_bloom_builder b;
    struct base_slice section;
    struct lsmi_bloom bloom;
    lsmi_bloom_builder_init(&b, fp_chance, keys);
    for (size_t i = 0; i < keys; i++)
        ck_assert_int_eq(lsmi_bloom_builder_add(&b, ((int64_t)rng_u64(&rng) & mask) | base),
                         BASE_OK);
    ck_assert_int_eq(lsmi_bloom_builder_finish(&b, &section), BASE_OK);
    ck_assert(lsmi_bloom_view(section, &bloom));
    for (size_t i = 0; i < keys; i++)
        ck_assert(lsmi_bloom_test(&bloom, ((int64_t)rng_u64(&again) & mask) | base));
    size_t yes = 0, strangers = 400000;
    for (size_t i = 0; i < strangers; i++)
        yes += lsmi_bloom_test(&bloom, ((int64_t)rng_u64(&rng) & mask) | base);
    double bits = (double)section.len * 8 / (double)keys;
    lsmi_bloom_builder_fini(&b);
    if (getenv("BLOOM_PRINT"))
        printf("chance %g: measured %g, %.2f bits a key\n", fp_chance,
               (double)yes / (double)strangers, bits);
    return (double)yes / (double)strangers;
}

START_TEST(keeps_its_word)
{
    double measured = measure(chances[_i], KEYS, -1, 0);
    ck_assert_msg(measured <= chances[_i] * 1.25 + 0.00003, "asked for %g, got %g", chances[_i],
                  measured);
    ck_assert_msg(measured >= chances[_i] * 0.3, "asked for %g, got %g: memory wasted", chances[_i],
                  measured);
}
END_TEST

START_TEST(tokens_of_one_node_are_spread_too)
{
    /* A node owns ranges: all its tokens may share their upper bits. */
    double measured = measure(0.01, KEYS, INT64_C(0x0000ffffffffffff), INT64_C(0x1234000000000000));
    ck_assert_msg(measured <= 0.0125, "got %g", measured);
}
END_TEST

START_TEST(more_keys_than_are_kept_in_memory)
{
    double measured = measure(0.01, 3000000, -1, 0); /* past the cap, with a true hint */
    ck_assert_msg(measured <= 0.0125, "got %g", measured);
}
END_TEST

START_TEST(none_when_not_wanted)
{
    struct lsmi_bloom_builder b;
    struct base_slice section;
    lsmi_bloom_builder_init(&b, 1, 10);
    ck_assert_int_eq(lsmi_bloom_builder_add(&b, 7), BASE_OK);
    ck_assert_int_eq(lsmi_bloom_builder_finish(&b, &section), BASE_OK);
    ck_assert_uint_eq(section.len, 0);
    lsmi_bloom_builder_fini(&b);
}
END_TEST

START_TEST(impossible_sections_are_refused)
{
    uint8_t bytes[LSMI_BLOOM_HEADER + LSMI_BLOOM_LINE] = {7};
    struct lsmi_bloom bloom;
    ck_assert(lsmi_bloom_view(base_slice(bytes, sizeof bytes), &bloom));
    ck_assert(!lsmi_bloom_view(base_slice(bytes, sizeof bytes - 1), &bloom));
    ck_assert(!lsmi_bloom_view(base_slice(bytes, LSMI_BLOOM_HEADER), &bloom));
    bytes[0] = 31;
    ck_assert(!lsmi_bloom_view(base_slice(bytes, sizeof bytes), &bloom));
    bytes[0] = 0;
    ck_assert(!lsmi_bloom_view(base_slice(bytes, sizeof bytes), &bloom));
    bytes[0] = 7;
    bytes[3] = 1;
    ck_assert(!lsmi_bloom_view(base_slice(bytes, sizeof bytes), &bloom));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bloom");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, keeps_its_word, 0, (int)BASE_COUNT(chances));
    tcase_add_test(tc, tokens_of_one_node_are_spread_too);
    tcase_add_test(tc, more_keys_than_are_kept_in_memory);
    tcase_add_test(tc, none_when_not_wanted);
    tcase_add_test(tc, impossible_sections_are_refused);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
