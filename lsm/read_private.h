/* Between read.c and index_read.c: the stream of lsm_read. */
#ifndef LSM_READ_PRIVATE_H
#define LSM_READ_PRIVATE_H

#include "lsm/lsm_private.h"

struct lsmi_index_read; /* index_read.c */

struct lsmi_stream {
    struct base_source source;
    struct base_source *merge;
    struct lsm_store *store;
    struct lsmi_view *view; /* NULL: parked */
    struct base_merge_options options;
    struct lsmi_index_read *indexed; /* NULL: all rows of the command */
    struct lsmi_mt_source **memtables;
    struct lsmi_sst_source **sstables;
    size_t memtable_cap, sstable_cap; /* sources that exist */
    struct base_source **sources;     /* of this read */
    size_t source_count, source_cap;
};

/* Close the merge's sources. */
void lsmi_stream_empty(struct lsmi_stream *s);
/* Open the view's sources for cmd and put them into the merge, as of `seq` (the memtables' in the
 * view's order; NULL: now). The merge is empty. Closed on failure. */
BASE_MUST int lsmi_stream_fill(struct lsmi_stream *s, const struct base_read *cmd,
                               const uint64_t (*seq)[LSMI_SHARDS_MAX],
                               struct base_source *const *extra, size_t extra_count,
                               struct base_err *err);

/* Is there a built index for one of the command's filters? Then *out reads by it: of several by the
 * one that finds least. NULL: read everything. `desc` is looked at only here; NULL: the command
 * names its places, and *out reads these. */
BASE_MUST int lsmi_index_read_open(struct lsm_table *table, struct lsmi_stream *s,
                                   struct lsmi_desc *desc, const struct base_read *cmd,
                                   struct lsmi_index_read **out, struct base_err *err);
BASE_MUST int lsmi_index_read_partition(struct lsmi_index_read *r, struct lsmi_stream *s,
                                        struct base_partition *out, struct base_err *err);
BASE_MUST int lsmi_index_read_next(struct lsmi_index_read *r, struct lsmi_stream *s,
                                   struct base_item *out, struct base_err *err);
void lsmi_index_read_close(struct lsmi_index_read *r); /* NULL is fine */

#endif
