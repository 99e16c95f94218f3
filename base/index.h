/* Indexes on rows: what of a row is found by which index, as bytes (DESIGN.md §6: a table
 * component).
 *
 * A term is what an index finds rows by: an indexed value, element, key or entry as one ascending
 * clustering component (base/key.h; an entry of a map is two of them), so that terms compare by
 * memcmp as their values do and no term is a beginning of another. What is longer than
 * BASE_INDEX_TERM_LEN_MAX is cut there: terms find too many rows rather than too few, always. So
 * whoever reads by an index looks at the rows again (base_rows judges the command's filters).
 *
 * An indexer is what the store holds of a table's indexes: it knows the types, the store does not.
 * Immutable; functions are thread-safe, do no I/O. */
#ifndef BASE_INDEX_H
#define BASE_INDEX_H

#include "base/read.h"

#define BASE_INDEX_TERM_LEN_MAX 1024

struct base_indexer;
/* Of a table that has indexes; a deep copy, one reference. NULL in *out without an error: it has
 * none. NOMEM. */
BASE_MUST int base_indexer_new(const struct base_table *table, struct base_indexer **out,
                               struct base_err *err);
struct base_indexer *base_indexer_acquire(struct base_indexer *ix); /* NULL gives NULL */
void base_indexer_release(struct base_indexer *ix);

/* Its indexes are numbered by ascending id. */
size_t base_indexer_count(const struct base_indexer *ix);
uint32_t base_indexer_id(const struct base_indexer *ix, size_t index);
/* Does it find whole partitions (a partition-key component, a static column), not rows? */
bool base_indexer_of_partition(const struct base_indexer *ix, size_t index);

/* Called once or more often for each term; the term is borrowed until it returns. What it returns,
 * if not OK, ends the walk. */
typedef int base_index_emit_fn(void *ctx, size_t index, struct base_slice term);
struct base_index_emit {
    base_index_emit_fn *fn;
    void *ctx;
    struct base_buf *scratch; /* used and reset */
};
/* The terms of a partition's key, static row and rows. Dead cells have none; whether one has
 * expired is not looked at. Values that are not what their type says have none either. NOMEM,
 * CORRUPT (a row that does not decode), and what `fn` returned. */
BASE_MUST int base_indexer_key_terms(const struct base_indexer *ix, struct base_slice pkey,
                                     const struct base_index_emit *emit);
BASE_MUST int base_indexer_static_terms(const struct base_indexer *ix, struct base_slice row,
                                        const struct base_index_emit *emit);
BASE_MUST int base_indexer_row_terms(const struct base_indexer *ix, struct base_slice ckey,
                                     struct base_slice row, const struct base_index_emit *emit);
bool base_indexer_has_key_terms(const struct base_indexer *ix);

/* Does an index with that target find all rows for which such a filter holds? */
bool base_index_serves(enum base_index_target target, enum base_filter_op op);
/* Is there an index that serves the filter, and would find less than the command names anyhow? */
bool base_index_has(const struct base_table *table, const struct base_read *cmd,
                    const struct base_filter *filter);
/* The command's filter to read by, where nobody can count what the table's indexes would find: the
 * first that one serves, rather one that finds rows than partitions. NULL: none; or no_index. */
const struct base_filter *base_index_filter(const struct base_table *table,
                                            const struct base_read *cmd);
/* An index for the filter, and the term that all its rows have (appended); false: there is none, or
 * no memory. */
BASE_MUST bool base_indexer_lookup(const struct base_indexer *ix, const struct base_filter *filter,
                                   size_t *index, struct base_buf *term);

#endif
