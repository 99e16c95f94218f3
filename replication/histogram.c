/* Latencies in buckets that grow by a fifth: Cassandra's EstimatedHistogram. A percentile is its
 * bucket's upper bound, so at most a fifth too high; the last bucket holds what is longer than 21
 * seconds, its bound is the longest seen.
 *
 * Invariants:
 *  1. Upper bounds ascend; the next is the last times 1.2, rounded, but at least one more.
 *  2. count is the sum of counts. */
#include "replication/replication_private.h"

static const uint32_t bounds_us[REPL_HISTOGRAM_BUCKETS - 1] = {
    1,       2,       3,       4,       5,        6,        7,        8,        10,       12,
    14,      17,      20,      24,      29,       35,       42,       50,       60,       72,
    86,      103,     124,     149,     179,      215,      258,      310,      372,      446,
    535,     642,     770,     924,     1109,     1331,     1597,     1916,     2299,     2759,
    3311,    3973,    4768,    5722,    6866,     8239,     9887,     11864,    14237,    17084,
    20501,   24601,   29521,   35425,   42510,    51012,    61214,    73457,    88148,    105778,
    126934,  152321,  182785,  219342,  263210,   315852,   379022,   454826,   545791,   654949,
    785939,  943127,  1131752, 1358102, 1629722,  1955666,  2346799,  2816159,  3379391,  4055269,
    4866323, 5839588, 7007506, 8409007, 10090808, 12108970, 14530764, 17436917, 20924300,
};

uint64_t repl_histogram_bound(size_t bucket)
{
    BASE_ASSERT(bucket < REPL_HISTOGRAM_BUCKETS);
    return bucket < BASE_COUNT(bounds_us) ? bounds_us[bucket] : UINT64_MAX;
}

void repl_histogram_add(struct repl_histogram *h, uint64_t us)
{
    /* the first bound that is not less, or the last bucket */
    size_t lo = 0, hi = BASE_COUNT(bounds_us);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (bounds_us[mid] < us)
            lo = mid + 1;
        else
            hi = mid;
    }
    h->counts[lo]++;
    h->count++;
    h->sum_us += us;
    h->max_us = us > h->max_us ? us : h->max_us;
}

uint64_t repl_histogram_percentile(const struct repl_histogram *h, double p)
{
    BASE_ASSERT(p >= 0 && p <= 1);
    if (h->count == 0)
        return 0;
    uint64_t wanted = (uint64_t)((double)h->count * p), seen = 0;
    if ((double)wanted < (double)h->count * p || wanted == 0)
        wanted++; /* rounded up: half of three are two */
    for (size_t i = 0; i < BASE_COUNT(bounds_us); i++) {
        seen += h->counts[i];
        if (seen >= wanted)
            return bounds_us[i] < h->max_us ? bounds_us[i] : h->max_us;
    }
    return h->max_us;
}
