/* Indexes inside lsm/ (docs/formats/index.md). What a term is the store does not know: base/index.h
 * gives it bytes.
 *
 *   memtable_index.c   a memtable's part: a tree an index
 *   index_component.c  an SSTable's part: a file beside it, itself in the SSTables' format; opened,
 *                      attached, removed with it
 *   index_build.c      from rows to such files: sorted in runs, merged
 *   index_job.c        building what is missing, in the background
 *   index_candidates.c what all parts have for a term, in order
 *   index_scan.c       what a part without the index would have for it
 *   index_read.c       the stream of the rows that they name
 *
 * An index's key says "a row with this term may be at this place": term key, then place. The term
 * key is shaped like a partition key, with the term's first 8 bytes where a token would be, so that
 * terms are in order and a file of keys is an SSTable. */
#ifndef LSM_INDEX_H
#define LSM_INDEX_H

#include "base/index.h"
#include "lsm/memtable.h"
#include "lsm/sstable.h"

/* Append a term's key. NOMEM. */
BASE_MUST int lsmi_index_put_term(struct base_slice term, struct base_buf *out);
/* Append a place: a row (pkey and ckey), a partition (ckey empty), or, of a key too long for a
 * file, all partitions with its token. */
BASE_MUST int lsmi_index_put_place(struct base_slice pkey, struct base_slice ckey,
                                   struct base_buf *out);
struct lsmi_place {
    int64_t token;
    struct base_slice pkey; /* empty: all of the token */
    struct base_slice ckey; /* empty: the whole partition */
};
/* false: damaged */
BASE_MUST bool lsmi_index_get_place(struct base_slice bytes, struct lsmi_place *out);

/* Components (index_component.c). */

#define LSMI_INDEX_SUFFIX_MAX 64
/* "<dir>/<id>.<index>.idx". `size` of path. */
void lsmi_index_path(const char *dir, uint64_t sstable_id, uint32_t index_id, char *path,
                     size_t size);
/* Is it a component's name, of which SSTable and index? */
bool lsmi_index_name_parse(const char *name, uint64_t *sstable_id, uint32_t *index_id);
/* Open what there is of the table's indexes and attach it. What is damaged or another SSTable's is
 * logged and removed: it is built anew. What is not there is not built. NOMEM, IO. */
BASE_MUST int lsmi_components_open(struct base_fs *fs, const char *dir, struct base_log *log,
                                   struct lsmi_cache *cache, struct lsm_sstable *sst,
                                   const struct base_indexer *indexer, struct base_err *err);
/* The SSTable's component, with a reference; NULL: not built. */
struct lsm_sstable *lsmi_component_find(struct lsm_sstable *sst, uint32_t index_id);
bool lsmi_component_is_there(struct lsm_sstable *sst, uint32_t index_id);
/* Take over a reference to the component. NOMEM (and the reference is released). One that is there
 * already stays instead. */
BASE_MUST int lsmi_component_attach(struct lsm_sstable *sst, uint32_t index_id,
                                    struct lsm_sstable *component, struct base_err *err);
/* Remove the files of indexes that the indexer (or NULL) does not have, with their last reader. */
void lsmi_components_prune(struct lsm_sstable *sst, const struct base_indexer *indexer);
/* The component is damaged: it is not used any more. Its file stays until another takes its
 * place. */
void lsmi_component_drop(struct lsm_sstable *sst, const struct lsm_sstable *component);
bool lsmi_indexer_has(const struct base_indexer *indexer, uint32_t index_id);

/* Building (index_build.c). */

struct lsmi_index_config {
    /* of the SSTable that it is for: fs, id, table, compressor …; path is not looked at */
    struct lsmi_sst_params sst;
    const char *dir; /* copied */
    struct base_indexer *indexer;
    bool (*wanted)(void *ctx, uint32_t index_id); /* NULL: all of them */
    void *ctx;
    uint64_t memory_max; /* past it keys go to runs on disk */
};
struct lsmi_index_build;
BASE_MUST int lsmi_index_build_open(const struct lsmi_index_config *config,
                                    struct lsmi_index_build **out, struct base_err *err);
/* Feed what goes into (or lies in) the SSTable, in its order. NOMEM, IO, NOSPACE. */
BASE_MUST int lsmi_index_build_partition(struct lsmi_index_build *b,
                                         const struct base_partition *partition,
                                         struct base_err *err);
BASE_MUST int lsmi_index_build_item(struct lsmi_index_build *b, const struct base_item *item,
                                    struct base_err *err);
/* After the last: bring about a step's bytes nearer to the end. *done: the files are in place and
 * synced, their names too. */
BASE_MUST int lsmi_index_build_finish(struct lsmi_index_build *b, size_t step_bytes, bool *done,
                                      struct base_err *err);
/* Open what was built and attach it. After done. */
BASE_MUST int lsmi_index_build_attach(struct lsmi_index_build *b, struct lsm_sstable *sst,
                                      struct lsmi_cache *cache, struct base_err *err);
/* The files stay: they are the SSTable's. Before close. */
void lsmi_index_build_keep(struct lsmi_index_build *b);
/* NULL is fine; removes what is not kept */
void lsmi_index_build_close(struct lsmi_index_build *b);

/* Reading (index_candidates.c). */

/* The places that all parts of a table have for a term, ascending, each once, and maybe some more.
 * Parts that have the index are asked; through the others it looks as it goes. What it was opened
 * on must outlive it (a view), and so must cmd and the indexer. */
struct lsmi_candidates;
struct lsmi_candidates_config {
    struct lsmi_memtable *const *memtables;
    const uint64_t (*seq)[LSMI_SHARDS_MAX]; /* the memtables', of the moment that is read */
    size_t memtable_count;
    struct lsm_sstable *const *sstables;
    size_t sstable_count;
    struct base_indexer *indexer;
    size_t index; /* of the indexer's */
    struct base_slice term;
    /* its partition, or tokens and start_pkey: other places are left out */
    const struct base_read *cmd;
    /* A component cannot be read. */
    void (*damaged)(void *ctx, struct lsm_sstable *sst, const struct lsm_sstable *component);
    void *ctx;
    bool built_only; /* only what has the index: for a count */
};
BASE_MUST int lsmi_candidates_open(const struct lsmi_candidates_config *config,
                                   struct lsmi_candidates **out, struct base_err *err);
/* The places of a command that names them (base/read.h: places). */
BASE_MUST int lsmi_candidates_of(const struct base_read *cmd, struct lsmi_candidates **out,
                                 struct base_err *err);
/* The next place, borrowed until the next call; *end: there is none. */
BASE_MUST int lsmi_candidates_next(struct lsmi_candidates *c, struct lsmi_place *out, bool *end,
                                   struct base_err *err);
void lsmi_candidates_close(struct lsmi_candidates *c); /* NULL is fine */
/* About how many places of `config` there are, in what has the index: exact when they are few, else
 * by how densely the first ones lie among the command's tokens. */
BASE_MUST int lsmi_candidates_estimate(const struct lsmi_candidates_config *config, uint64_t *count,
                                       struct base_err *err);

/* Looking through a part (index_scan.c). */

#define LSMI_INDEX_SCAN_VAIN 32 /* rows in vain for which one place more is named */
struct lsmi_index_scan;
struct lsmi_index_scan_config {
    struct lsmi_memtable *memtable; /* or */
    struct lsm_sstable *sst;
    const uint64_t *seq; /* the memtable's, LSMI_SHARDS_MAX of them */
    struct base_indexer *indexer;
    size_t index;
    struct base_slice term;
    const struct base_read *cmd; /* its partition, or tokens and start_pkey; its slices */
};
/* All that is pointed to must outlive it. NULL in *out: the part has nothing of the command. */
BASE_MUST int lsmi_index_scan_open(const struct lsmi_index_scan_config *config,
                                   struct lsmi_index_scan **out, struct base_err *err);
/* The next place, borrowed until the next call; empty: the end. CORRUPT: the part's own. */
BASE_MUST int lsmi_index_scan_next(struct lsmi_index_scan *scan, struct base_slice *place,
                                   struct base_err *err);
void lsmi_index_scan_close(struct lsmi_index_scan *scan); /* NULL is fine */

#endif
