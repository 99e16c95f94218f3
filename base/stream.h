/* Streams of partitions: what memtables, SSTables, transactions and peers yield, and what the merge
 * consumes and yields again (Cassandra: UnfilteredPartitionIterator).
 *
 * A source is positioned by whoever made it (a token range or one partition, slices, direction) and
 * then read: partition(), next() until END, partition(), … Partitions come in ascending pkey order;
 * inside, rows and markers in ascending ckey order, or descending when the source was opened
 * reversed. Each slice of a partition is delimited: a range deletion that is open where a slice
 * begins is announced by a MARKER at the slice's bound, and closed at its other bound. Where a
 * bound is a row's own AT key the marker stands BEFORE (lo) or AFTER (hi) that row instead: a
 * marker's position is never AT, so it never ties with a row.
 *
 * MARKER: at ckey the deletion to its left (smaller keys) is `before`, to its right `after`,
 * whatever the direction. The stream is normalized: markers change something, and are consistent
 * with each other.
 *
 * Slices of an item borrow from the source until its next call; those of a partition until its next
 * call of partition(). Errors end the stream for good. */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/arena.h"
#include "base/row.h"

enum base_item_kind { BASE_ITEM_END, BASE_ITEM_ROW, BASE_ITEM_MARKER };

struct base_item {
    enum base_item_kind kind;
    struct base_slice ckey;             /* position byte included */
    struct base_slice row;              /* ROW: encoded; never void */
    struct base_deletion before, after; /* MARKER */
};

struct base_partition {
    struct base_slice pkey;        /* empty: no more partitions */
    struct base_deletion deletion; /* of the whole partition, or none */
    struct base_slice static_row;  /* encoded, or empty */
};

struct base_source {
    const struct base_source_ops *ops;
};
struct base_source_ops {
    /* Go to the next partition that has anything in the range (skipping what is left of the current
     * one). out->pkey is empty at the end. */
    int (*partition)(struct base_source *src, struct base_partition *out, struct base_err *err);
    /* Next item of the current partition; kind END after the last. */
    int (*next)(struct base_source *src, struct base_item *out, struct base_err *err);
    /* Release everything, the struct itself included if it is the source's. */
    void (*close)(struct base_source *src);
};

/* Slices of a partition. */

/* Inclusive bounds on encoded positions; for one row both are its AT key. An empty lo means from
 * the start, an empty hi to the end. */
struct base_range {
    struct base_slice lo, hi;
};
/* Sorted ascending, not overlapping. count 0: no rows at all (static row only);
 * the whole partition is one range with empty bounds. */
struct base_slices {
    const struct base_range *ranges;
    size_t count;
};
extern const struct base_slices base_slices_all;

/* Merge. */

struct base_merge_options {
    bool reversed;
    /* Apply time and deletions (base_row_purge): */
    struct base_purge purge;
    bool keep_tombstones; /* compaction, replicas: markers and deletions are part of the output */
    /* Compaction may ask what may be purged, at most once a partition and only where it matters
     * (NULL: purge.purgeable_ts) */
    int64_t (*purgeable_ts)(void *ctx, struct base_slice pkey);
    void *ctx;
};

/* Merge n sources into one source (n may be 0). Takes the sources over: closing the merge closes
 * them, also on failure of this call. Rows with equal ckey are reconciled (base_row_merge) under
 * the merged deletions, then purged at options->purge (its live_only is not looked at:
 * keep_tombstones says it); rows that vanish are skipped. Markers and deletions that say nothing
 * after that are gone, and what stays is normalized. A source whose markers do not fit each
 * other, or that leaves a range deletion open at a partition's end, is CORRUPT. Without
 * keep_tombstones the output has live rows only: no markers, no deletions, and partitions without
 * a live static row still appear (with zero rows) — the consumer counts. With them, empty
 * partitions are skipped. One source, no deletion in sight, and a row without mortal cells: the
 * row is passed through without a copy. */
BASE_MUST int base_merge_open(struct base_source *const *sources, size_t n,
                              const struct base_merge_options *options, struct base_source **out,
                              struct base_err *err);
/* The same struct again for other sources, without allocating (the previous sources are closed). */
BASE_MUST int base_merge_reopen(struct base_source *merge, struct base_source *const *sources,
                                size_t n, const struct base_merge_options *options,
                                struct base_err *err);

/* Range tombstones as a set: normalize [lo, hi] deletions into markers (memtable, transactions). */
struct base_range_deletion {
    struct base_slice lo, hi; /* positions, never AT */
    struct base_deletion deletion;
};
struct base_marker {
    struct base_slice ckey;
    struct base_deletion before, after;
};
/* Sorted, normalized markers of n deletions in any order; ckeys borrow from the input. *out lives
 * in the arena. Deletions that delete nothing (lo not below hi) are skipped. */
BASE_MUST int base_markers_normalize(struct base_arena *arena,
                                     const struct base_range_deletion *ranges, size_t n,
                                     struct base_marker **out, size_t *out_count);

#endif
