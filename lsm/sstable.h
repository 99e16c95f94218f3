/* SSTables inside lsm/: the writer, the reader, the block cache. One file each; format:
 * docs/formats/sstable.md. What programs outside see of them is in lsm/lsm.h (offline tools). */
#ifndef LSM_SSTABLE_H
#define LSM_SSTABLE_H

#include "lsm/lsm.h"

/* Block cache: decompressed, verified blocks that stay searchable; limit in bytes. */

struct lsmi_cache;
struct lsmi_cache_stats {
    uint64_t size_bytes, entries, hits, misses;
};
/* sharded, thread-safe; NULL when out of memory */
struct lsmi_cache *lsmi_cache_new(size_t size_bytes_max);
void lsmi_cache_free(struct lsmi_cache *cache); /* all pins must be gone */
void lsmi_cache_get_stats(struct lsmi_cache *cache, struct lsmi_cache_stats *stats);

/* Writer. */

struct lsmi_sst_params {
    struct base_fs *fs;
    const char *path; /* created exclusively */
    uint64_t id;
    struct base_uuid table_id, host_id;
    const char *table_name;
    int compressor, compression_level;
    uint32_t block_size; /* uncompressed target */
    double bloom_fp_chance;
    /* upper estimate, sizes the filter; the writer may gather tokens and be exact */
    uint64_t partition_count_hint;
    /* write around the page cache (BASE_OPEN_DIRECT): for output that is large and not read soon */
    bool direct;
    uint32_t level;
    uint64_t commitlog_from, commitlog_upto; /* positions covered */
    int64_t repaired_at_ms;
    struct base_uuid pending_repair;
};
struct lsmi_sst_writer;
/* Feed a normalized stream: partition(), item()… in order. finish writes index, filter, statistics,
 * footer and syncs the file (the caller syncs the directory and then names the file in the
 * manifest). *info gets the statistics. An error anywhere: call abort, which closes and removes the
 * file. NOSPACE, IO. Memory: O(block_size + index of one block + filter). */
BASE_MUST int lsmi_sst_writer_open(const struct lsmi_sst_params *params,
                                   struct lsmi_sst_writer **out, struct base_err *err);
BASE_MUST int lsmi_sst_writer_partition(struct lsmi_sst_writer *w,
                                        const struct base_partition *partition,
                                        struct base_err *err);
BASE_MUST int lsmi_sst_writer_item(struct lsmi_sst_writer *w, const struct base_item *item,
                                   struct base_err *err);
uint64_t lsmi_sst_writer_size(const struct lsmi_sst_writer *w); /* bytes written so far */
/* frees w on success */
BASE_MUST int lsmi_sst_writer_finish(struct lsmi_sst_writer *w, struct lsm_sstable_info *info,
                                     struct base_err *err);
void lsmi_sst_writer_abort(struct lsmi_sst_writer *w);

/* Reader. */

/* Reads footer, metadata and the top of the index only; the filter is loaded on first use. `cache`
 * may be NULL (offline tools): blocks are then owned by the source. References: the opener has
 * one. */
BASE_MUST int lsmi_sst_open(struct base_fs *fs, const char *path, struct lsmi_cache *cache,
                            struct lsm_sstable **out, struct base_err *err);
struct lsm_sstable *lsmi_sst_acquire(struct lsm_sstable *sst);
/* the last one closes; and removes the file if marked */
void lsmi_sst_release(struct lsm_sstable *sst);
/* remove the file with the last reference */
void lsmi_sst_mark_removed(struct lsm_sstable *sst);
const struct lsm_sstable_info *lsmi_sst_info(const struct lsm_sstable *sst);
struct base_slice lsmi_sst_pkey_min(const struct lsm_sstable *sst);
struct base_slice lsmi_sst_pkey_max(const struct lsm_sstable *sst);
/* Bounds and bloom filter: false means surely not there. Counts checks. Loading the filter may
 * fail: then true. */
bool lsmi_sst_may_contain(struct lsm_sstable *sst, struct base_slice pkey);
/* Ask for what may_contain will look at, so that several tables are waited for at once. */
void lsmi_sst_prefetch_filter(const struct lsm_sstable *sst, struct base_slice pkey);
/* Filter checks so far, and how many said yes in vain (a source of one partition did not find
 * it). */
void lsmi_sst_bloom_counts(struct lsm_sstable *sst, uint64_t *checks, uint64_t *false_positives);

/* A stream over one SSTable, in the caller's storage so that a read's sources need no allocation.
 * Holds a reference to the SSTable and pins the blocks it stands on. close() releases both, not the
 * struct. */
struct lsmi_sst_source {
    struct base_source source;
    struct lsm_sstable *sst;
    const struct base_read *cmd;
    /* kept over init calls when not NULL: memory for reuse; free with lsmi_sst_source_fini */
    struct lsmi_sst_cursor *cursor;
};
BASE_MUST int lsmi_sst_source_init(struct lsmi_sst_source *src, struct lsm_sstable *sst,
                                   const struct base_read *cmd, struct base_err *err);
/* frees the kept memory; src must be closed or zero */
void lsmi_sst_source_fini(struct lsmi_sst_source *src);

/* Compaction: one job's work, in bounded steps. */

/* Merge `inputs` of one table into one new SSTable at params->path. Purge: tombstones go when older
 * than gc_before_s and no source outside the inputs can hold older data for the partition:
 * `overlap_ts` answers with the smallest timestamp that data outside may have for this pkey
 * (INT64_MAX: none). Cells of dropped columns and data under truncation go. Each step moves at most
 * step_bytes. */
struct lsmi_compaction;
struct lsmi_index_build;
struct lsmi_compaction_config {
    struct lsmi_sst_params out;
    struct lsm_sstable *const *inputs; /* acquired by the compaction */
    size_t input_count;
    int64_t now_s, gc_before_s;
    int64_t (*overlap_ts)(void *ctx, struct base_slice pkey);
    void *ctx;
    const struct base_dropped_column *dropped;
    size_t dropped_count;
    int64_t truncated_us;
    /* fed with what is written, and finished before it is; borrowed until close. May be NULL */
    struct lsmi_index_build *index;
};
BASE_MUST int lsmi_compaction_open(const struct lsmi_compaction_config *config,
                                   struct lsmi_compaction **out, struct base_err *err);
/* *done true: finished, *info has the result (partition_count 0: nothing was left; the file is
 * removed). Progress by lsmi_compaction_fraction. */
BASE_MUST int lsmi_compaction_step(struct lsmi_compaction *c, size_t step_bytes, bool *done,
                                   struct lsm_sstable_info *info, struct base_err *err);
double lsmi_compaction_fraction(const struct lsmi_compaction *c);
uint64_t lsmi_compaction_bytes_moved(const struct lsmi_compaction *c);
void lsmi_compaction_close(struct lsmi_compaction *c); /* aborts if not done */

/* Size-tiered choice (Cassandra's SizeTieredCompactionStrategy): buckets by size (bucket_low,
 * bucket_high, min_sstable_size), the hottest bucket with at least min_threshold, at most
 * max_threshold of it. Fills `chosen` with indexes into infos and returns how many (0: nothing to
 * do). */
size_t lsmi_stcs_pick(const struct lsm_sstable_info *infos, size_t n,
                      const struct lsm_table_desc *desc, size_t *chosen);

#endif
