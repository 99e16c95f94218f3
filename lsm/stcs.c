/* Which SSTables to compact next: Cassandra's size-tiered strategy
 * (o.a.c.db.compaction.SizeTieredCompactionStrategy, getBuckets and mostInterestingBucket). Tables
 * of similar size form a bucket; a bucket of at least min_threshold is worth merging.
 *
 * Cassandra ranks buckets by reads a key first and, where that does not decide, by the smallest
 * mean size; we keep no read rates per table, so the mean decides always: small tables are the
 * cheapest to be rid of. */
#include "lsm/sstable.h"

struct sized {
    uint64_t size;
    size_t index; /* into infos */
};

static int by_size(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    return x->size != y->size ? (x->size > y->size) - (x->size < y->size)
                              : (x->index > y->index) - (x->index < y->index);
}

static bool belongs(uint64_t size, double mean, const struct lsm_table_desc *desc)
{
    double s = (double)size, min = (double)desc->min_sstable_size;
    return (s > mean * desc->bucket_low && s < mean * desc->bucket_high) || (s < min && mean < min);
}

size_t lsmi_stcs_pick(const struct lsm_sstable_info *infos, size_t n,
                      const struct lsm_table_desc *desc, size_t *chosen)
{
    struct sized *sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted || desc->min_threshold == 0) {
        free(sorted);
        return 0; /* without memory: another time */
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct sized){infos[i].file_size, i};
    qsort(sorted, n, sizeof *sorted, by_size);
    /* Sorted by size, a table belongs to the bucket that is open or to none before it, so that
     * buckets are runs; their means ascend, so that the first bucket that is large enough is the
     * one with the smallest mean. */
    size_t begin = 0, picked = 0;
    while (begin < n && picked == 0) {
        double mean = (double)sorted[begin].size;
        size_t end = begin + 1;
        while (end < n && belongs(sorted[end].size, mean, desc)) {
            double count = (double)(end - begin);
            mean = (mean * count + (double)sorted[end].size) / (count + 1);
            end++;
        }
        size_t count = end - begin < desc->max_threshold ? end - begin : desc->max_threshold;
        if (count >= desc->min_threshold && count > 1)
            for (; picked < count; picked++)
                chosen[picked] = sorted[begin + picked].index;
        begin = end;
    }
    free(sorted);
    return picked;
}
