/* What the store's files share (store.c, table.c, write.c, flush.c, compact.c, read.c). Invariants:
 * lsm/README.md.
 *
 * Locks, in the order in which they may be taken:
 *   store->manifest_lock  one edit at a time; held across the edit's I/O, by background work and
 *                         the rare administrative call only: no reader and no writer ever waits for
 *                         it
 *   store->switch_lock    shared by a writer from log append to memtable apply; exclusive for the
 *                         instant of a memtable switch, so that a position divides records as
 *                         memtables do. Also guards the map of tables
 *   table->lock           the view, the description, the jobs' flags; never across I/O
 *   (inside)              the log's lock, a memtable shard's lock */
#ifndef LSM_LSM_PRIVATE_H
#define LSM_LSM_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lsm/commitlog.h"
#include "lsm/index.h"
#include "lsm/lsm.h"
#include "lsm/manifest.h"
#include "lsm/memtable.h"
#include "lsm/sstable.h"

enum { LSMI_PATH_MAX = 4096, LSMI_STEP_BYTES = 1 << 20 };
#define LSMI_WAIT_NS UINT64_C(10000000)      /* how long one wait for background work may last */
#define LSMI_RETRY_MIN_NS UINT64_C(50000000) /* after a failed flush or compaction, doubling … */
#define LSMI_RETRY_MAX_NS UINT64_C(10000000000) /* … up to this */
/* a job that waits longer looks up: is the store closing? */
#define LSMI_POLL_NS UINT64_C(100000000)

/* What a table consists of at one moment: immutable, shared by reference. */
struct lsmi_view {
    atomic_int refs;
    size_t memtable_count, sstable_count;
    struct base_deletion floor;       /* truncation: everything at or before it is gone */
    struct lsmi_memtable **memtables; /* the newest first; [0] takes the writes */
    struct lsm_sstable **sstables;    /* ascending by id */
};

/* A table's description: immutable, shared by reference. */
struct lsmi_desc {
    atomic_int refs;
    struct base_arena arena;
    struct lsm_table_desc desc;
};

/* A job that may fail and is tried again. */
struct lsmi_retry {
    uint64_t delay_ns; /* 0: the last attempt did not fail */
    uint64_t due_ns;   /* mono */
};

struct lsmi_flush {
    struct base_job job;
    bool posted, failing; /* under table->lock */
    enum { LSMI_FLUSH_PICK, LSMI_FLUSH_COPY, LSMI_FLUSH_INDEX, LSMI_FLUSH_COMMIT } phase;
    struct lsmi_retry retry;
    struct lsmi_view *view; /* pins what is being flushed */
    struct lsmi_memtable *memtable;
    uint64_t id;
    struct base_read cmd;
    struct lsmi_mt_source *source;
    struct base_source *merge;
    bool in_partition;
    struct lsmi_sst_writer *writer;
    struct lsmi_index_build *index; /* NULL: the table has no indexes */
    struct lsm_sstable *sstable;    /* written, not yet in the manifest */
};

struct lsmi_compact {
    struct base_job job;
    bool posted, failing; /* under table->lock */
    bool again;           /* likewise: poked while posted */
    enum { LSMI_COMPACT_PICK, LSMI_COMPACT_STEP, LSMI_COMPACT_COMMIT } phase;
    struct lsmi_retry retry;
    struct lsmi_view *view; /* pins the inputs */
    struct lsmi_desc *desc;
    struct lsmi_compaction *compaction;
    struct lsmi_index_build *index; /* NULL: the table has no indexes */
    struct lsm_sstable **inputs;
    size_t input_count;
    uint64_t id, started_ns, size_in;
    uint64_t major;              /* the request it serves */
    struct lsm_sstable *sstable; /* NULL: nothing was left */
};

/* Builds what SSTables lack of the table's indexes (index_job.c). */
struct lsmi_index_job {
    struct base_job job;
    bool posted, failing; /* under table->lock */
    bool again;           /* likewise: poked while posted */
    enum { LSMI_INDEX_PICK, LSMI_INDEX_SCAN, LSMI_INDEX_FINISH } phase;
    struct lsmi_retry retry;
    struct lsmi_view *view; /* pins the SSTable */
    struct lsmi_desc *desc;
    struct lsm_sstable *sst;
    struct lsmi_index_build *build;
    struct base_read cmd;
    struct lsmi_sst_source source;
    bool source_open, in_partition;
    uint64_t started_ns;
};

struct lsm_table {
    struct lsm_store *store;
    struct base_uuid id;
    atomic_int refs; /* the store's, and each posted job's */
    /* what is before it in the log was in SSTables when the table was opened */
    uint64_t replay_from;
    pthread_mutex_t lock;
    struct lsmi_desc *desc;
    struct lsmi_view *view;
    struct lsmi_memtable *memtable; /* view->memtables[0]; changes under switch_lock exclusive */
    bool dropped;
    bool truncating;
    struct lsmi_flush flush;
    struct lsmi_compact compact;
    struct lsmi_index_job index_job;
    /* the SSTable whose indexes are being built, 0: none; and how far its data are read */
    uint64_t index_sst;
    double index_fraction;
    uint64_t switched, flushed; /* memtables, so far */
    uint64_t flush_failures, compact_failures, index_failures;
    struct base_err flush_err, compact_err, index_err; /* of the last failure */
    bool compact_stopped;                              /* an input is damaged */
    uint64_t major_asked, major_done;
    double compact_fraction;
    uint64_t compact_size, compact_inputs; /* of the compaction under way; 0: none */
    _Atomic uint64_t reads, writes, compacted_bytes;
};

struct lsm_store {
    struct lsm_options options;
    char *dir;
    struct lsmi_log *log;
    struct lsmi_cache *cache;
    pthread_mutex_t manifest_lock;
    struct lsmi_manifest manifest;
    uint64_t next_id; /* under manifest_lock */
    pthread_rwlock_t switch_lock;
    struct lsm_table **tables; /* open addressing by id; table_cap a power of two */
    size_t table_count, table_cap;
    atomic_bool replayed;
    _Atomic uint64_t replay_position; /* while replaying: behind the last group that was applied */
    atomic_bool closing;
    bool has_index_files;  /* seen when the store was opened */
    atomic_int jobs;       /* posted */
    atomic_int open_reads; /* streams that pin a view */
    struct base_job sync_job, spare_job;
    atomic_bool sync_posted, spare_posted;
    uint64_t sync_due_ns;
    pthread_mutex_t choose_lock; /* one chooser of a memtable to flush */
    /* space.c: when a write was refused for a full disk, plus one (0: none since one was taken);
     * how many were; it is in the log that it is full */
    _Atomic uint64_t refused_ns, refused;
    atomic_bool full_said;
    _Atomic uint64_t memtable_bytes, flushing_bytes;
    _Atomic uint64_t flushed_bytes, flushes, compactions, compacted_read, compacted_written;
};

/* table.c. */

struct lsmi_view *lsmi_view_acquire(struct lsm_table *table);
void lsmi_view_release(struct lsmi_view *view);
/* A view of these (references are added); NULL when out of memory. */
struct lsmi_view *lsmi_view_new(struct lsmi_memtable *const *memtables, size_t memtable_count,
                                struct lsm_sstable *const *sstables, size_t sstable_count,
                                struct base_deletion floor);
/* Put `view` in place; the old one's reference is the caller's to release. Under table->lock. */
struct lsmi_view *lsmi_view_swap(struct lsm_table *table, struct lsmi_view *view);
void lsmi_table_release(struct lsm_table *table);
struct lsmi_desc *lsmi_desc_acquire(struct lsm_table *table);
void lsmi_desc_release(struct lsmi_desc *desc);
/* Under switch_lock. */
struct lsm_table *lsmi_table_lookup(struct lsm_store *store, struct base_uuid id);
/* All tables, each with a reference; free the array. NULL with count 0 when out of memory or there
 * are none. */
struct lsm_table **lsmi_tables_snapshot(struct lsm_store *store, size_t *count);

/* store.c. */

void lsmi_sstable_path(const struct lsm_store *store, uint64_t id, char path[LSMI_PATH_MAX]);
void lsmi_sstable_dir(const struct lsm_store *store, char path[LSMI_PATH_MAX]);
/* Post a job and count it; done is called by its last step, after which the store may be gone. */
void lsmi_job_post(struct lsm_store *store, struct base_job *job);
void lsmi_job_done(struct lsm_store *store);
bool lsmi_stopping(struct lsm_store *store);
/* Where the next record goes: a position that no record before has reached. */
uint64_t lsmi_store_position(struct lsm_store *store);
uint64_t lsmi_now_ns(struct lsm_store *store);
/* Retrying: note a failure; is it time to try again? (sets *delay_ns for BASE_STEP_WAIT) */
void lsmi_retry_failed(struct lsm_store *store, struct lsmi_retry *retry);
bool lsmi_retry_waits(struct lsm_store *store, struct lsmi_retry *retry, uint64_t *delay_ns);

/* flush.c. */

/* Begin a new memtable if there is anything in the current, and flush the old. *switched may be
 * NULL. NOMEM. */
BASE_MUST int lsmi_table_switch(struct lsm_table *table, bool *switched, struct base_err *err);
/* Under manifest_lock, when the table's indexes have changed: no memtable without the new ones
 * takes writes any more. */
BASE_MUST int lsmi_table_renew(struct lsm_table *table, struct base_err *err);
void lsmi_flush_init(struct lsm_table *table);
/* Flush what the limits ask for. */
void lsmi_flush_for_space(struct lsm_store *store);
/* The commit-log position from which on something is only in memory, but for `except`. Under
 * switch_lock exclusive. */
uint64_t lsmi_log_low(struct lsm_store *store, const struct lsmi_memtable *except,
                      const struct lsm_table *gone);
int lsmi_flush_wait(struct lsm_table *table, const struct lsm_wait *wait, struct base_err *err);

/* compact.c. */

void lsmi_compact_init(struct lsm_table *table);
void lsmi_compact_poke(struct lsm_table *table); /* is there something to compact? */

/* index_job.c. */

void lsmi_index_job_init(struct lsm_table *table);
void lsmi_index_poke(struct lsm_table *table); /* does an SSTable lack an index? */
/* A component could not be read: it goes, and is built anew. */
void lsmi_index_damaged(struct lsm_table *table, struct lsm_sstable *sst,
                        const struct lsm_sstable *component);
/* Under manifest_lock, when it counts: indexes that were dropped meanwhile go. */
void lsmi_index_prune(struct lsm_table *table, struct lsm_sstable *sst);
/* Remove the files of indexes that no table has (a crash came between the drop of one and the
 * removal of its files). */
BASE_MUST int lsmi_index_clean(struct lsm_store *store, struct base_err *err);

/* space.c. A job met a full disk (any other error is none of its business); a write was refused for
 * it; something was written, so maybe it is full no longer. */

void lsmi_space_missed(struct lsm_store *store, const struct base_err *err);
void lsmi_space_refused(struct lsm_store *store, const struct base_err *err);
void lsmi_space_found(struct lsm_store *store, bool by_write);
void lsmi_space_get_stats(struct lsm_store *store, struct lsm_stats *stats);

/* write.c. */

void lsmi_sync_job_init(struct lsm_store *store);
/* Apply one mutation that is in the log at `position` (0: in no log). Under switch_lock, shared. */
BASE_MUST int lsmi_apply(struct lsm_table *table, const struct base_mutation *m, uint64_t position,
                         struct base_err *err);

#endif
