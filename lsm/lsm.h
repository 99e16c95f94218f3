/* The store: commit log, memtables, SSTables, compaction (DESIGN.md §8). Formats: docs/formats/.
 *
 * A store is one directory:   commitlog/NNNN.log   MANIFEST-NNNN   CURRENT   sst/NNNN.sst
 *
 * It sees the world through ports only and starts no thread. Every function is thread-safe unless
 * it says otherwise, and may block on the disk; none may be called from an event loop but those
 * marked [loop].
 *
 * Durability. lsm_write returns when the group is in the commit log (a write() made: it survives
 * the process) and in the memtables (readers see it). `LSM_SYNC_PERIODIC`: synced within
 * sync_period_ns by a background job. `LSM_SYNC_BATCH`: before lsm_write returns; concurrent
 * writers share one sync. After a failed write or sync of the log the store stops writing: every
 * later write is refused with BASE_E_STOPPED and the first cause; reads go on. ENOSPC before
 * anything of a record was written refuses that write with NOSPACE, and writing resumes when there
 * is space. */
#ifndef LSM_LSM_H
#define LSM_LSM_H

#include "base/clock.h"
#include "base/executor.h"
#include "base/fs.h"
#include "base/index.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/read.h"

struct lsm_store;
struct lsm_table;
struct lsm_snapshot;

enum lsm_sync { LSM_SYNC_PERIODIC, LSM_SYNC_BATCH };
enum lsm_durability {
    LSM_DURABLE_MEMORY, /* memtable only: a keyspace with durable_writes = false */
    LSM_DURABLE_LOG,    /* as the store's sync mode says */
    LSM_DURABLE_SYNCED, /* synced before return, whatever the mode (Paxos state) */
};

struct lsm_options {
    const char *dir; /* made if it is not there; the caller holds the directory's lock */
    struct base_fs *fs;
    struct base_clock *clock;
    struct base_random *random;
    struct base_executor *executor;
    struct base_log *log;     /* may be NULL */
    struct base_uuid host_id; /* stamped into SSTables */
    enum lsm_sync sync;
    uint64_t sync_period_ns;         /* PERIODIC; default 10 ms */
    uint64_t commitlog_segment_size; /* default 32 MiB; a larger group gets a larger segment */
    uint64_t commitlog_total_size;   /* default 256 MiB: past it the oldest memtables are flushed */
    uint64_t memtable_size_max; /* all tables together, being flushed included; default 64 MiB. At
                                   half of it the largest is flushed; at the whole, writers wait */
    uint64_t cache_size_max;    /* blocks, indexes, filters; default 64 MiB */
    uint64_t compaction_rate_bytes_s; /* 0: no limit; default 64 MiB/s as Cassandra */
    uint32_t block_size;              /* uncompressed; default 4096 */
    /* memory of one build of an SSTable's indexes; past it, runs on disk. Default 16 MiB */
    uint64_t index_build_size_max;
};
void lsm_options_init(struct lsm_options *options); /* the defaults */

/* What the store knows of a table: not its columns' types, for keys and paths are bytes already. */
struct lsm_table_desc {
    struct base_uuid id;
    const char *name; /* "keyspace.table", for messages; copied */
    int32_t gc_grace_s;
    double bloom_fp_chance;            /* (0, 1]; 1: no filter */
    int compressor, compression_level; /* enum base_compressor */
    bool compaction_enabled;
    uint32_t min_threshold, max_threshold;     /* size-tiered: 4, 32 */
    double bucket_low, bucket_high;            /* 0.5, 1.5 */
    uint64_t min_sstable_size;                 /* 50 MiB */
    const struct base_dropped_column *dropped; /* cells of these ids are dropped; copied */
    size_t dropped_count;
    int64_t truncated_us; /* data with ts <= this are gone; INT64_MIN: never truncated */
    /* of its secondary indexes, or NULL; the store takes references of its own */
    struct base_indexer *indexer;
};
/* With the defaults of CQL's table options, without indexes. `name` is borrowed. */
struct lsm_table_desc lsm_table_desc(struct base_uuid id, const char *name);

/* Open: read the manifest, remove what no manifest names, but do not replay the log yet. CORRUPT
 * names file and offset. VERSION for a directory of a newer format. */
BASE_MUST int lsm_open(const struct lsm_options *options, struct lsm_store **out,
                       struct base_err *err);
/* Declare a table (all of them before lsm_replay: records of unknown tables are skipped, as
 * dropped). The pointer is valid until lsm_table_drop + the last snapshot's release, or
 * lsm_close. */
BASE_MUST int lsm_table_open(struct lsm_store *store, const struct lsm_table_desc *desc,
                             struct lsm_table **out, struct base_err *err);
BASE_MUST int lsm_table_alter(struct lsm_table *table, const struct lsm_table_desc *desc,
                              struct base_err *err);
/* Forget the table and remove its files (when no snapshot pins them any more). */
BASE_MUST int lsm_table_drop(struct lsm_store *store, struct lsm_table *table,
                             struct base_err *err);
/* Remove all data written before now: flush nothing, forget memtables and SSTables. Durable on
 * return. */
BASE_MUST int lsm_table_truncate(struct lsm_table *table, struct base_err *err);
/* NULL: none [loop] */
struct lsm_table *lsm_table_find(struct lsm_store *store, struct base_uuid id);
/* Tables on disk that nobody declared (dropped while we were away): removed by lsm_replay. */
BASE_MUST int lsm_replay(struct lsm_store *store, struct base_err *err);
/* Flush what is worth it (replay longer than `flush_over_bytes`), stop background jobs, close.
 * BUSY, and the store is still open, while a stream of lsm_read is neither closed nor parked. On
 * any other error it is closed all the same: IO says that what was written last may not be
 * durable. */
BASE_MUST int lsm_close(struct lsm_store *store, uint64_t flush_over_bytes, struct base_err *err);

/* Writing. */

/* Apply `group`: any number of encoded mutations (base/mutation.h) one after another, as one
 * commit-log record: after a crash all of them are there or none. Each mutation becomes visible
 * whole. The bytes must have passed base_mutation_check if they come from outside. mutation_count:
 * how many. On failure nothing is applied, but when only the sync failed (IO): then readers see the
 * group, whether it survives is unknown, and the store has stopped writing. Waits when memtables
 * are full (back-pressure) up to timeout_ns, then OVERLOADED. NOSPACE, STOPPED, NOTFOUND (a table
 * that is not open), LIMIT. */
BASE_MUST int lsm_write(struct lsm_store *store, struct base_slice group, size_t mutation_count,
                        enum lsm_durability durability, uint64_t timeout_ns, struct base_err *err);
/* May a write of so many bytes (LSM_DURABLE_LOG or less) wait for more than one write() to a file
 * that is there: for a sync, memory, a new segment, or another thread? A guess for who must not
 * wait (an event loop); never waits itself. [loop] */
bool lsm_write_may_wait(struct lsm_store *store, size_t size_bytes);
/* Sync the log now. */
BASE_MUST int lsm_sync(struct lsm_store *store, struct base_err *err);

/* Reading. */

/* A raw stream of the table's data at this moment (base/stream.h): every memtable and SSTable that
 * can hold something of the command, merged, tombstones kept if asked. The stream pins what it
 * reads; it is not thread-safe itself. cmd and what it points to must outlive its use (to park or
 * close). Extra sources (an open transaction's writes) are merged in and taken over, also on
 * failure. `*reuse` may hold a source of an earlier lsm_read on any table: its memory is used again
 * (and it is closed); pass NULL for none. */
BASE_MUST int lsm_read(struct lsm_table *table, const struct base_read *cmd, bool keep_tombstones,
                       struct base_source *const *extra, size_t extra_count,
                       struct base_source *reuse, struct base_source **out, struct base_err *err);
/* With filters in cmd, one of which a built index of the table serves, and neither tombstones nor
 * extra sources, the stream has only the rows (or, of an index on partitions, the partitions) that
 * the index finds: all rows for which the filter holds and maybe some more, so the filters are to
 * be judged all the same. Where the index is not built yet it looks through the SSTables that lack
 * it, once; until it is built for half of the table's bytes, it has all rows. */
/* About how many rows a read by index would look at, for each of cmd's filters; UINT64_MAX: by that
 * one nothing is gained (no index serves it, or it is hardly built). To choose among several: of
 * what this node has now, and nothing depends on it. `counts`: filter_count of them. */
BASE_MUST int lsm_index_counts(struct lsm_table *table, const struct base_read *cmd,
                               uint64_t *counts, struct base_err *err);
/* May this read wait for the disk? Only of one row that is wholly in memory (memtables, cached
 * blocks) the answer is no. A guess for who must not wait (an event loop); never waits itself.
 * [loop] */
#define LSM_READ_ALONE_KEY_MAX 4096 /* longer keys may wait */
bool lsm_read_may_wait(struct lsm_table *table, const struct base_read *cmd);
/* Release what a stream of lsm_read pins (memtables, SSTables, blocks, extra sources) but keep its
 * memory, so that it can be a later lsm_read's `reuse`. A parked stream answers nothing more;
 * close() frees it. */
void lsm_read_park(struct base_source *source);

/* A stand-alone memtable: a transaction's own writes, readable before they are applied. Not
 * thread-safe. Streams pin it. */
struct lsm_overlay;
struct lsm_overlay *lsm_overlay_new(void);
BASE_MUST int lsm_overlay_apply(struct lsm_overlay *overlay, struct base_slice mutation,
                                struct base_err *err);
/* Everything applied after `mark` is undone (streams opened earlier stay valid memory). */
uint64_t lsm_overlay_mark(const struct lsm_overlay *overlay);
void lsm_overlay_rollback(struct lsm_overlay *overlay, uint64_t mark);
BASE_MUST int lsm_overlay_read(struct lsm_overlay *overlay, const struct base_read *cmd,
                               struct base_source **out, struct base_err *err);
size_t lsm_overlay_size_bytes(const struct lsm_overlay *overlay);
void lsm_overlay_release(struct lsm_overlay *overlay); /* freed with its last stream */

/* Maintenance. */

/* Flush the table's memtable (NULL: all tables) and wait. Progress and interruption: `keep_going`
 * (may be NULL) is called now and then; when it returns false the call gives up waiting with
 * INTERRUPTED (the flush goes on). */
struct lsm_wait {
    bool (*keep_going)(void *ctx, double fraction);
    void *ctx;
};
BASE_MUST int lsm_flush(struct lsm_store *store, struct lsm_table *table,
                        const struct lsm_wait *wait, struct base_err *err);
/* Major compaction: all SSTables of the table (NULL: of all) into one; waits likewise. */
BASE_MUST int lsm_compact(struct lsm_store *store, struct lsm_table *table,
                          const struct lsm_wait *wait, struct base_err *err);
/* Wait until no flush or compaction is due or under way (benchmarks, tests). */
BASE_MUST int lsm_quiesce(struct lsm_store *store, struct base_err *err);

struct lsm_table_stats {
    uint64_t sstable_count, disk_bytes, data_bytes_uncompressed;
    uint64_t partition_estimate, row_count_estimate, tombstone_count;
    uint64_t memtable_rows, memtable_bytes, memtable_switches;
    uint64_t reads, writes, bloom_checks, bloom_false_positives;
    uint64_t compactions_pending, compacted_bytes;
    uint64_t partition_size_max, partition_size_mean;
};
/* An index of a table: how far it is built, and what it takes. */
struct lsm_index_stats {
    uint32_t id;
    uint64_t sstables_built, sstable_count;
    uint64_t disk_bytes, entry_count; /* of what is built */
    bool is_built;                    /* queries use it */
    bool is_building;                 /* a build is under way or due */
    double fraction; /* of the data of SSTables: built, or looked at by the build under way */
    uint64_t bytes_total, bytes_done; /* the same in bytes */
};
/* Of at most `max` of its indexes, by ascending id; how many there are. */
size_t lsm_table_get_index_stats(struct lsm_table *table, struct lsm_index_stats *stats,
                                 size_t max);
/* Background work under way that is worth watching. */
enum lsm_task_kind { LSM_TASK_COMPACTION, LSM_TASK_INDEX_BUILD };
struct lsm_task {
    enum lsm_task_kind kind;
    uint64_t completed, total; /* bytes of SSTables */
    uint64_t sstables;         /* that it reads */
};
enum { LSM_TASKS_MAX = 2 };
size_t lsm_table_get_tasks(struct lsm_table *table, struct lsm_task tasks[LSM_TASKS_MAX]);
struct lsm_stats {
    uint64_t commitlog_bytes, commitlog_segments, commitlog_syncs, commitlog_records;
    uint64_t memtable_bytes, cache_bytes, cache_hits, cache_misses, cache_entries;
    uint64_t flushed_bytes, compacted_bytes_read, compacted_bytes_written, flushes, compactions;
    uint64_t table_count, sstable_count, disk_bytes;
    bool stopped;
    /* the disk is full: a write was refused for it lately, or a flush, compaction or index build
     * waits */
    bool disk_full;
    bool refuses_writes; /* a write was, and none was taken since */
    uint64_t writes_refused_full;
};
void lsm_table_get_stats(struct lsm_table *table, struct lsm_table_stats *stats);
void lsm_get_stats(struct lsm_store *store, struct lsm_stats *stats);

/* Offline tools (ringlet sstable). */

struct lsm_sstable;
struct lsm_sstable_info { /* DESIGN.md §6: SSTable metadata */
    uint32_t format_version;
    struct base_uuid table_id, host_id;
    char table_name[128]; /* at the time of writing */
    uint64_t id, file_size, data_bytes_uncompressed, partition_count, row_count, cell_count,
        tombstone_count, marker_count;
    uint64_t block_count, index_bytes, filter_bytes;
    /* of tombstones and expiring data */
    int64_t token_min, token_max, ts_min, ts_max, local_s_min, local_s_max;
    int32_t ttl_max;
    uint64_t commitlog_from, commitlog_upto; /* positions covered */
    int64_t repaired_at_ms;                  /* 0: unrepaired */
    struct base_uuid pending_repair;         /* zero: none */
    uint64_t partition_size_max;
    int compressor;
    uint32_t level;
};
/* Open one file by itself. */
BASE_MUST int lsm_sstable_open_file(struct base_fs *fs, const char *path, struct lsm_sstable **out,
                                    struct base_err *err);
void lsm_sstable_get_info(const struct lsm_sstable *sst, struct lsm_sstable_info *info);
/* All of it as a stream (ranges of cmd apply). */
BASE_MUST int lsm_sstable_read(struct lsm_sstable *sst, const struct base_read *cmd,
                               struct base_source **out, struct base_err *err);
/* Read every byte, check every checksum, every order and every statistic. CORRUPT names section and
 * offset. */
BASE_MUST int lsm_sstable_verify(struct lsm_sstable *sst, const struct lsm_wait *wait,
                                 struct base_err *err);
void lsm_sstable_close(struct lsm_sstable *sst);

#endif
