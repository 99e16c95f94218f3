/* Memtables inside lsm/: the newest data of a table, in memory (also a transaction's overlay).
 *
 * A memtable is cut into shards by the token's top bits, so that shards are ordered as keys are.
 * Each has a lock, an arena and a sequence number: a mutation is applied whole under its shard's
 * write lock as one number. Everything that a mutation changes keeps its older versions, so that a
 * reader who noted the shard's number sees the same data however long it reads, though it takes the
 * read lock for a page of rows at a time only. Bytes handed out live as long as the memtable. */
#ifndef LSM_MEMTABLE_H
#define LSM_MEMTABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/index.h"
#include "base/mutation.h"
#include "base/read.h"
#include "lsm/btree.h"

enum { LSMI_SHARDS_MAX = 8, LSMI_PAGE_ROWS_FIRST = 8, LSMI_PAGE_ROWS = 64 };

/* One state of a changing thing (a row, a partition's deletion …) as of `seq`; newest first. */
struct lsmi_version {
    uint64_t seq;
    struct lsmi_version *prev;
    uint32_t len;
    uint8_t bytes[];
};
struct lsmi_mt_row {
    struct lsmi_btree_item item; /* key: the ckey */
    struct lsmi_version *head;   /* an encoded row; NULL: rolled back */
    uint8_t key[];
};
/* What few partitions have. */
struct lsmi_mt_extra {
    struct lsmi_version *deletion; /* struct base_deletion */
    struct lsmi_version *static_row;
    struct lsmi_version *ranges; /* pointer to the newest struct lsmi_mt_run (memtable_ranges.c) */
};
struct lsmi_mt_partition {
    struct lsmi_btree_item item; /* key: the pkey */
    struct lsmi_btree rows;
    struct lsmi_mt_extra *extra;
    uint8_t key[];
};

struct lsmi_mt_undo;
/* A shard's part of a table's indexes (memtable_index.c): of each a tree of keys (lsm/index.h),
 * which stand for themselves. They have no versions: what a mutation adds is there before the
 * mutation is seen, and never goes. */
struct lsmi_mt_indexes {
    struct base_buf scratch, key;
    struct lsmi_btree trees[]; /* as the indexer counts */
};
struct lsmi_mt_shard {
    pthread_rwlock_t lock;
    struct base_arena arena;
    struct lsmi_btree partitions;
    _Atomic uint64_t seq; /* of the last whole mutation */
    uint64_t row_count;
    int64_t ts_min;                  /* no cell or row is older; INT64_MAX: none yet */
    struct base_buf scratch;         /* merged rows on their way to the arena */
    struct lsmi_mt_undo *undo;       /* overlays only: the newest change first */
    struct lsmi_mt_indexes *indexes; /* NULL: none */
};

struct lsmi_memtable {
    atomic_int refs;
    unsigned shard_count; /* 1 (no locks, can roll back) or LSMI_SHARDS_MAX */
    _Atomic uint64_t size_bytes;
    _Atomic uint64_t *size_total; /* of all memtables of a store, or NULL */
    /* of the indexes that it keeps, from its first mutation on; NULL: none */
    struct base_indexer *indexer;
    /* The store's business: */
    _Atomic uint64_t log_from; /* commit-log position of the first record in it; UINT64_MAX: none */
    /* all of the table's records before this are in it or in older ones */
    uint64_t log_upto;
    _Atomic bool unlogged; /* holds mutations that are in no log */
    struct lsmi_mt_shard shards[];
};

/* One reference; NULL when out of memory. size_total (may be NULL) goes with size_bytes, up and
 * down. */
struct lsmi_memtable *lsmi_memtable_new(unsigned shard_count, _Atomic uint64_t *size_total);
/* With the table's indexes. */
struct lsmi_memtable *lsmi_memtable_new_indexed(unsigned shard_count, _Atomic uint64_t *size_total,
                                                struct base_indexer *indexer);
struct lsmi_memtable *lsmi_memtable_acquire(struct lsmi_memtable *mt);
void lsmi_memtable_release(struct lsmi_memtable *mt);
/* All of it or, on failure, nothing. CORRUPT (rows that do not decode), NOMEM, LIMIT. */
BASE_MUST int lsmi_memtable_apply(struct lsmi_memtable *mt, const struct base_mutation *m,
                                  struct base_err *err);
/* shard_count 1 only: take back everything after `seq`. */
void lsmi_memtable_rollback(struct lsmi_memtable *mt, uint64_t seq);
void lsmi_memtable_count(struct lsmi_memtable *mt, uint64_t *partitions, uint64_t *rows);
static inline uint64_t lsmi_memtable_size(const struct lsmi_memtable *mt)
{
    return atomic_load_explicit(&mt->size_bytes, memory_order_relaxed);
}
void lsmi_memtable_check(struct lsmi_memtable *mt); /* asserts its invariants */

/* Reading. */

/* A stream over a memtable in the caller's storage; the caller keeps the memtable. cmd and what it
 * points to must outlive it. close() frees nothing but what fini would; the struct can be used
 * again. */
struct lsmi_mt_source {
    struct base_source source;
    struct lsmi_memtable *mt;
    const struct base_read *cmd;
    uint64_t seq[LSMI_SHARDS_MAX]; /* the snapshot */
    unsigned shard;                /* where we stand */
    bool exhausted;                /* no further partition */
    bool ready;                    /* the first partition is loaded already (a point read) */
    bool failed;                   /* out of memory */
    struct lsmi_mt_partition *part;
    struct lsmi_btree_cursor part_cursor;
    uint32_t part_count; /* of the shard's tree when part_cursor was good */
    struct base_partition head;
    struct base_deletion deletion_floor; /* truncation: the least partition deletion */
    struct base_deletion head_floor;     /* the same, or none where the shard has nothing so old */
    /* the partition's range deletions, as markers */
    struct base_arena arena;
    struct base_marker *markers;
    size_t marker_count, marker_at;
    struct base_deletion open; /* in force where we stand */
    /* the slice */
    size_t slice; /* counted in reading direction */
    enum { LSMI_SLICE_ENTER, LSMI_SLICE_OPEN, LSMI_SLICE_INSIDE } state;
    /* where it announces and closes what is open; never AT */
    struct base_slice bound_first, bound_last;
    struct base_slice slice_last; /* its far bound as it was given */
    /* the page of rows */
    struct lsmi_btree_cursor row_cursor;
    uint32_t row_count; /* of the partition's tree when row_cursor was good */
    bool page_more;
    unsigned page_at, page_count;
    struct {
        struct base_slice ckey, row;
    } page[LSMI_PAGE_ROWS];
};
/* Position it. False: the memtable has nothing for the command; the source needs no close. `src`
 * must be zero at its first use; its memory is kept from one use to the next, until fini. `floor`:
 * a deletion that every partition has at least (a truncation), or none. */
bool lsmi_mt_source_init(struct lsmi_mt_source *src, struct lsmi_memtable *mt,
                         const struct base_read *cmd, struct base_deletion floor);
/* The same, of the moment at which lsmi_memtable_seq noted `seq`. */
bool lsmi_mt_source_init_at(struct lsmi_mt_source *src, struct lsmi_memtable *mt,
                            const struct base_read *cmd, struct base_deletion floor,
                            const uint64_t seq[LSMI_SHARDS_MAX]);
void lsmi_memtable_seq(struct lsmi_memtable *mt, uint64_t seq[LSMI_SHARDS_MAX]);
void lsmi_mt_source_fini(struct lsmi_mt_source *src);

/* Indexes (memtable_index.c). Under the shard's write lock, before the mutation's versions.
 * CORRUPT, NOMEM. */
BASE_MUST int lsmi_mt_index_apply(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard,
                                  const struct base_mutation *m);
/* false: out of memory */
bool lsmi_mt_indexes_new(struct lsmi_memtable *mt, struct base_indexer *indexer);
void lsmi_mt_indexes_free(struct lsmi_memtable *mt);
/* Up to `max` keys of a tree, from `from` on (after: behind it), in order; they live as long as the
 * memtable. */
size_t lsmi_mt_index_page(struct lsmi_memtable *mt, unsigned shard, size_t index,
                          struct base_slice from, bool after, struct base_slice *out, size_t max);

/* Range deletions of one partition (memtable_ranges.c): an immutable list of runs, each normalized,
 * sizes growing geometrically, so that adding is cheap and a reader looks at few. */
struct lsmi_mt_run;
/* The list with one more range; NULL when out of memory. Bytes are copied. */
const struct lsmi_mt_run *lsmi_mt_run_push(struct base_arena *arena, const struct lsmi_mt_run *list,
                                           const struct base_range_deletion *range);
/* Normalized markers of all that touches [lo, hi] (empty: open), in `arena`. */
BASE_MUST int lsmi_mt_run_markers(const struct lsmi_mt_run *list, struct base_slice lo,
                                  struct base_slice hi, struct base_arena *arena,
                                  struct base_marker **out, size_t *out_count);

#endif
