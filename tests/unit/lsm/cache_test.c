/* Without this: the cache gives a block of another file, frees one that a reader stands on, grows
 * past its limit, or lets one scan throw out what everyone reads. */
#include <pthread.h>

#include "lsm/sst_private.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

enum { SIZE = 4000 };

static struct lsmi_block *block_of(uint64_t file, uint64_t offset)
{
    struct lsmi_block *b = lsmi_block_new(SIZE);
    b->file = file;
    b->offset = offset;
    base_put_le64(b->bytes, file);
    base_put_le64(b->bytes + 8, offset);
    return b;
}

static void offer(struct lsmi_cache *cache, uint64_t file, uint64_t offset, bool scan)
{
    struct lsmi_block *b = block_of(file, offset);
    lsmi_cache_offer(cache, b, scan);
    lsmi_block_unpin(b);
}

static bool has(struct lsmi_cache *cache, uint64_t file, uint64_t offset)
{
    struct lsmi_block *b = lsmi_cache_find(cache, file, offset);
    if (b)
        ck_assert(base_get_le64(b->bytes) == file && base_get_le64(b->bytes + 8) == offset);
    lsmi_block_unpin(b);
    return b != NULL;
}

static struct lsmi_cache_stats stats_of(struct lsmi_cache *cache)
{
    struct lsmi_cache_stats stats;
    lsmi_cache_get_stats(cache, &stats);
    return stats;
}

START_TEST(finds_what_was_offered)
{
    struct lsmi_cache *cache = lsmi_cache_new(64 << 20);
    for (uint64_t i = 0; i < 3000; i++)
        offer(cache, i % 3, i * 100, false);
    for (uint64_t i = 0; i < 3000; i++)
        ck_assert(has(cache, i % 3, i * 100) && !has(cache, i % 3 + 1, i * 100) &&
                  !has(cache, i % 3, i * 100 + 1));
    struct lsmi_cache_stats stats = stats_of(cache);
    ck_assert_uint_eq(stats.entries, 3000);
    ck_assert_uint_eq(stats.hits, 3000);
    ck_assert_uint_eq(stats.misses, 6000);
    ck_assert_uint_ge(stats.size_bytes, 3000 * SIZE);
    offer(cache, 1, 100, false); /* the same again: nothing changes */
    ck_assert_uint_eq(stats_of(cache).entries, 3000);
    lsmi_cache_forget(cache, 1);
    ck_assert_uint_eq(stats_of(cache).entries, 2000);
    ck_assert(!has(cache, 1, 100) && has(cache, 2, 200));
    lsmi_cache_free(cache);
}
END_TEST

START_TEST(stays_within_its_limit)
{
    for (size_t limit = 10000; limit <= 16u << 20; limit *= 7) {
        struct lsmi_cache *cache = lsmi_cache_new(limit);
        for (uint64_t i = 0; i < 9000; i++) {
            offer(cache, 1, i, false);
            ck_assert_uint_le(stats_of(cache).size_bytes, limit);
        }
        ck_assert_uint_ge(stats_of(cache).size_bytes, limit / 2 < SIZE ? 0 : limit / 2 - SIZE);
        lsmi_cache_charge(cache, (int64_t)limit / 2); /* filters take their share of it */
        for (uint64_t i = 0; i < 9000; i++)
            offer(cache, 2, i, false);
        ck_assert_uint_le(stats_of(cache).size_bytes, limit + SIZE);
        lsmi_cache_charge(cache, -(int64_t)limit / 2);
        lsmi_cache_free(cache);
    }
}
END_TEST

START_TEST(what_is_read_stays_and_a_scan_passes_by)
{
    struct lsmi_cache *cache = lsmi_cache_new(1 << 20);
    for (uint64_t i = 0; i < 100; i++)
        offer(cache, 1, i, false);
    for (uint64_t i = 100; i < 100000; i++)
        offer(cache, 2, i, true); /* a scan only fills what is free */
    for (uint64_t i = 0; i < 100; i++)
        ck_assert(has(cache, 1, i));
    for (uint64_t i = 0; i < 1000;
         i++) { /* point reads of cold blocks push out the cold ones first */
        offer(cache, 3, i, false);
        ck_assert(has(cache, 1, i % 20));
    }
    lsmi_cache_free(cache);
}
END_TEST

START_TEST(a_wandering_read_pushes_nothing_out)
{
    struct lsmi_cache *cache = lsmi_cache_new(1 << 20);
    for (uint64_t i = 0; i < 10000; i++) /* far more than fits, each once */
        offer(cache, 1, i, false);
    size_t left = 0;
    for (uint64_t i = 0; i < 100; i++)
        left += has(cache, 1, i);
    ck_assert_uint_eq(left, 100); /* the first ones are still there */
    offer(cache, 2, 7, false);
    ck_assert(!has(cache, 2, 7));
    offer(cache, 2, 7, false); /* wanted again: it gets a place */
    ck_assert(has(cache, 2, 7));
    lsmi_cache_free(cache);
}
END_TEST

START_TEST(a_pinned_block_outlives_its_eviction)
{
    struct lsmi_cache *cache = lsmi_cache_new(100000);
    offer(cache, 1, 5, false);
    struct lsmi_block *b = lsmi_cache_find(cache, 1, 5);
    for (uint64_t i = 0; i < 1000; i++)
        offer(cache, 2, i, false);
    lsmi_cache_forget(cache, 1);
    ck_assert(!has(cache, 1, 5));
    ck_assert_uint_eq(base_get_le64(b->bytes + 8), 5);
    lsmi_block_unpin(b);
    lsmi_cache_free(cache);
}
END_TEST

static void *hammer(void *arg)
{
    struct lsmi_cache *cache = arg;
    struct rng rng = rng_seeded((uint64_t)(uintptr_t)&rng);
    for (int i = 0; i < 40000; i++) {
        uint64_t offset = rng_below(&rng, 600), file = rng_below(&rng, 2);
        if (!has(cache, file, offset))
            offer(cache, file, offset, rng_chance(&rng, 20));
        if (rng_one_in(&rng, 5000))
            lsmi_cache_forget(cache, file);
    }
    return NULL;
}

START_TEST(many_threads)
{
    struct lsmi_cache *cache = lsmi_cache_new(1 << 20);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(stats_of(cache).size_bytes, 1 << 20);
    lsmi_cache_free(cache);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, finds_what_was_offered);
    tcase_add_test(tc, stays_within_its_limit);
    tcase_add_test(tc, what_is_read_stays_and_a_scan_passes_by);
    tcase_add_test(tc, a_wandering_read_pushes_nothing_out);
    tcase_add_test(tc, a_pinned_block_outlives_its_eviction);
    tcase_add_test(tc, many_threads);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
