/* The plain model that the store is compared with. It keeps every version of everything that was
 * written and evaluates Cassandra's rules by looking at all of them; it shares no code with
 * base_row_merge, and it never forgets a tombstone, so that whatever the store purges too early
 * shows.
 *
 * Each version carries the number of the write (seq) that brought it: after a crash the model
 * goes back to the last write that survived by dropping what came later. */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdio.h>

#include "base/mutation.h"
#include "base/read.h"

/* A write, as the generator makes it and the model takes it. */

enum cell_kind { CELL_LIVE, CELL_EXPIRING, CELL_DEAD, CELL_COMPLEX };

struct w_cell {
    uint32_t column;
    enum cell_kind kind;
    int64_t ts;
    int32_t ttl;
    int64_t local_s; /* dead, complex: when deleted; expiring: when it expires */
    struct base_slice path, value;
};
struct w_row {
    struct base_slice ckey; /* empty in the static row */
    int64_t live_ts;        /* BASE_TS_NONE: no liveness */
    int32_t live_ttl;       /* 0: for ever */
    int64_t live_expires_s;
    struct base_deletion deletion;
    const struct w_cell *cells; /* ascending by column, complex deletion first, path */
    size_t cell_count;
};
struct w_mutation {
    struct base_uuid table_id;
    struct base_slice pkey;
    struct base_deletion deletion;
    const struct w_row *static_row; /* or NULL */
    const struct base_range_deletion *ranges;
    size_t range_count;
    const struct w_row *rows; /* ascending by ckey */
    size_t row_count;
};
/* Append the mutation in the store's encoding. */
void w_mutation_encode(const struct w_mutation *m, struct base_buf *out);

/* The model. */

/* Deliberate mistakes, one at a time: a run with one of them must fail (tests/sim/canary.sh). */
enum canary {
    CANARY_NONE,
    CANARY_TIE,       /* on a tie the smaller value wins */
    CANARY_RANGE,     /* a range deletion does not delete cells of its own timestamp */
    CANARY_EXPIRY,    /* a cell is still there in the second in which it expires */
    CANARY_LAST_LOST, /* after a crash the last surviving write is not applied */
    CANARY_STATIC,    /* a partition deletion spares the static row */
    /* merge_model only: compaction is told that nothing older is outside its inputs */
    CANARY_PURGE,
    CANARY_COUNT,
};

struct model;
struct m_table;

struct model *model_new(enum canary canary);
void model_free(struct model *model);
struct m_table *model_table_add(struct model *model, struct base_uuid id);
void model_table_remove(struct model *model, struct m_table *table);
struct m_table *model_table_find(struct model *model, struct base_uuid id);
void model_table_truncate(struct model *model, struct m_table *table);
void model_table_set_truncated(struct m_table *table, int64_t truncated_us);
void model_table_set_dropped(struct m_table *table, const struct base_dropped_column *dropped,
                             size_t n);

/* seq must not be smaller than that of any earlier call. */
void model_apply(struct model *model, uint64_t seq, const struct w_mutation *m);
/* Forget all writes with seq > n. */
void model_rollback(struct model *model, uint64_t n);
/* Writes up to n will never be rolled back. */
void model_set_floor(struct model *model, uint64_t n);

/* What a reader must see. */

/* The expected answer: entries in order; a partition's live static row first, with an empty
 * ckey. Rows are in the canonical bytes of view_put_row. */
struct view_entry {
    size_t pkey_at, pkey_len, ckey_at, ckey_len, row_at, row_len;
};
struct view {
    struct base_buf bytes;
    struct view_entry *entries;
    size_t count, cap;
};
void view_init(struct view *view);
void view_fini(struct view *view);
void view_reset(struct view *view);
static inline struct base_slice view_slice(const struct view *view, size_t at, size_t len)
{
    return base_slice(view->bytes.data + at, len);
}

/* Evaluate cmd (pkey or tokens and start_pkey, slices, reversed, now_s) and append the answer. */
void model_read(const struct model *model, const struct m_table *table, const struct base_read *cmd,
                struct view *view);
/* All pkeys of a table that the model ever saw (for a generator that wants existing ones). */
size_t model_partition_count(const struct m_table *table);

/* Canonical bytes: liveness (ts, ttl, expiry; BASE_TS_NONE, 0, 0 when there is none), then for each
 * live cell its column, ts, ttl, expiry, path, value; numbers as 8 bytes. */
void canonical_put_live(struct base_buf *out, int64_t ts, int32_t ttl, int64_t expires_s);
void canonical_put_cell(struct base_buf *out, const struct w_cell *c);
/* The store's row in the same canonical form; false when the bytes are damaged or hold something
 * dead at now_s. Cells of dropped columns may still be there until a compaction (base_rows
 * ignores them): they are skipped, and *empty says that nothing else was there. */
BASE_MUST bool canonical_row(struct base_slice encoded, int64_t now_s,
                             const struct base_dropped_column *dropped, size_t dropped_count,
                             struct base_buf *out, bool *empty);
void canonical_print(FILE *out, struct base_slice canonical);

#endif
