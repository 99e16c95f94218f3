/* Without this: compaction merges the wrong tables again and again (write amplification), or never
 * any (reads touch ever more files). The cases are those of Cassandra's
 * SizeTieredCompactionStrategyTest, in our terms. */
#include "lsm/sstable.h"
#include "tests/lib/ck.h"

#define MiB ((uint64_t)1 << 20)

static struct lsm_table_desc desc_of(uint32_t min, uint32_t max, uint64_t min_size)
{
    return (struct lsm_table_desc){.min_threshold = min,
                                   .max_threshold = max,
                                   .bucket_low = 0.5,
                                   .bucket_high = 1.5,
                                   .min_sstable_size = min_size};
}

/* The sizes picked, as a sum; the count comes back. */
static size_t pick(const uint64_t *sizes, size_t n, struct lsm_table_desc desc, uint64_t *sum)
{
    struct lsm_sstable_info infos[64] = {{0}};
    size_t chosen[64];
    for (size_t i = 0; i < n; i++)
        infos[i].file_size = sizes[i];
    size_t count = lsmi_stcs_pick(infos, n, &desc, chosen);
    *sum = 0;
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_lt(chosen[i], n);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(chosen[i], chosen[j]);
        *sum += sizes[chosen[i]];
    }
    return count;
}

START_TEST(nothing_to_do)
{
    uint64_t sum, sizes[] = {100 * MiB, 1000 * MiB, 10000 * MiB, 90 * MiB};
    ck_assert_uint_eq(pick(sizes, 0, desc_of(4, 32, 50 * MiB), &sum), 0);
    ck_assert_uint_eq(pick(sizes, 4, desc_of(4, 32, 50 * MiB), &sum), 0);
    /* one table alone is never rewritten */
    ck_assert_uint_eq(pick(sizes, 1, desc_of(1, 32, 50 * MiB), &sum), 0);
}
END_TEST

START_TEST(similar_sizes_make_a_bucket)
{
    uint64_t sum,
        sizes[] = {100 * MiB, 1000 * MiB, 110 * MiB, 1100 * MiB, 90 * MiB, 120 * MiB, 900 * MiB};
    ck_assert_uint_eq(pick(sizes, 7, desc_of(4, 32, 50 * MiB), &sum), 4);
    ck_assert_uint_eq(sum, 420 * MiB);
}
END_TEST

START_TEST(small_tables_belong_together)
{
    uint64_t sum, sizes[] = {1, 4 * MiB, 49 * MiB, 10000, 2 * MiB, 400 * MiB};
    ck_assert_uint_eq(pick(sizes, 6, desc_of(4, 32, 50 * MiB), &sum), 5);
    /* without the minimum they do not */
    ck_assert_uint_eq(pick(sizes, 6, desc_of(4, 32, 1), &sum), 0);
}
END_TEST

START_TEST(of_two_buckets_the_smaller_mean)
{
    uint64_t sum, sizes[] = {500 * MiB, 510 * MiB, 500 * MiB, 500 * MiB,
                             60 * MiB,  61 * MiB,  62 * MiB,  63 * MiB};
    ck_assert_uint_eq(pick(sizes, 8, desc_of(4, 32, 50 * MiB), &sum), 4);
    ck_assert_uint_eq(sum, 246 * MiB);
}
END_TEST

START_TEST(at_most_max_threshold)
{
    uint64_t sum, sizes[40];
    for (size_t i = 0; i < 40; i++)
        sizes[i] = 100 * MiB;
    ck_assert_uint_eq(pick(sizes, 40, desc_of(4, 32, 50 * MiB), &sum), 32);
    ck_assert_uint_eq(pick(sizes, 40, desc_of(4, 4, 50 * MiB), &sum), 4);
    ck_assert_uint_eq(pick(sizes, 40, desc_of(4, 3, 50 * MiB), &sum), 0);
}
END_TEST

START_TEST(a_bucket_drifts_with_its_mean)
{
    /* 160 is beyond 1.5 × 100, but not beyond 1.5 × the mean of 100, 140. */
    uint64_t sum, sizes[] = {100 * MiB, 140 * MiB, 160 * MiB, 190 * MiB};
    ck_assert_uint_eq(pick(sizes, 4, desc_of(4, 32, 50 * MiB), &sum), 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stcs");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, nothing_to_do);
    tcase_add_test(tc, similar_sizes_make_a_bucket);
    tcase_add_test(tc, small_tables_belong_together);
    tcase_add_test(tc, of_two_buckets_the_smaller_mean);
    tcase_add_test(tc, at_most_max_threshold);
    tcase_add_test(tc, a_bucket_drifts_with_its_mean);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
