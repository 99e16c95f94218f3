/* The read command: what is asked of a replica, and of the store (DESIGN.md §6).
 *
 * The store answers with a stream (base/stream.h) of the command's partitions and slices; limits
 * and the row filter are applied on the merged result by base_read_rows, wherever the merge is. */
#ifndef BASE_READ_H
#define BASE_READ_H

#include "base/schema.h"
#include "base/stream.h"

enum base_filter_op {
    BASE_FILTER_EQ,
    BASE_FILTER_NE,
    BASE_FILTER_LT,
    BASE_FILTER_LE,
    BASE_FILTER_GT,
    BASE_FILTER_GE,
    BASE_FILTER_CONTAINS,
    BASE_FILTER_CONTAINS_KEY,
    BASE_FILTER_ENTRY, /* map[element] = operand, of a map that is not frozen */
    BASE_FILTER_IN,
};
/* One condition on a column that is not part of the addressed key (all are ANDed). Null meets
 * none. */
struct base_filter {
    uint32_t column; /* column id */
    enum base_filter_op op;
    struct base_slice operand; /* serialized in the column's type (CONTAINS, ENTRY: the element's).
                                  IN: any number of values, each as varint length, bytes */
    struct base_slice element; /* ENTRY: the key, serialized */
};

struct base_read {
    struct base_uuid table_id;
    uint64_t epoch; /* of the schema and placements the command was made with */
    /* Either one partition: */
    struct base_slice pkey;
    /* … or, with an empty pkey, tokens: token_after < token <= token_upto, wrapping never. */
    int64_t token_after, token_upto;
    struct base_slice start_pkey; /* range: continue at this pkey (inclusive), or empty */
    struct base_slices slices;    /* the same for every partition */
    bool reversed;                /* rows inside partitions */
    const uint32_t *columns;      /* ids wanted, ascending; NULL: all */
    size_t column_count;
    const struct base_filter *filters;
    size_t filter_count;
    struct base_slice places; /* not empty: of all that only these: (pkey, ckey)*, each as varint
                                 length and bytes, ascending, each once; an empty ckey: the whole
                                 partition. A store may give more */
    /* rows for which the filters do not hold are not to be left out by an index: more is merged in
     * later */
    bool no_index;
    uint64_t row_limit;           /* UINT64_MAX: none */
    uint64_t partition_row_limit; /* per partition; UINT64_MAX: none */
    uint64_t size_bytes_max;      /* stop a page after this many bytes; UINT64_MAX: none */
    int64_t now_s;                /* the time at which TTLs and gc are judged */
};
#define BASE_READ_INIT                                                                             \
    ((struct base_read){.token_after = INT64_MIN,                                                  \
                        .token_upto = INT64_MAX,                                                   \
                        .slices = {0},                                                             \
                        .row_limit = UINT64_MAX,                                                   \
                        .partition_row_limit = UINT64_MAX,                                         \
                        .size_bytes_max = UINT64_MAX})

/* A live row as the consumer sees it. Borrowed until the next call. */
struct base_live_row {
    struct base_slice pkey;
    struct base_slice static_row; /* encoded, or empty */
    struct base_slice ckey;       /* empty: a partition that has only a static row */
    struct base_slice row;        /* encoded; empty with ckey */
};

/* The consumer: live rows of a merged stream (one without tombstones), with the command's filters
 * and limits. A partition without rows whose static row is live yields one row with an empty ckey
 * when the command's slices are the whole partition or none at all, and no filter asks for a
 * column that this row cannot have (Cassandra's rule). Takes the source over. `table` and `cmd`
 * must outlive it. Reusable: open again on the same struct after close.
 *
 * cmd->columns is not applied here: rows may hold cells of other columns, and whoever reads
 * cells skips those it did not ask for. */
struct base_rows_filter;
struct base_rows {
    const struct base_read *cmd;
    const struct base_table *table;
    struct base_source *source;
    struct base_partition partition;
    uint64_t rows_left, partition_rows_left, partition_rows_seen, size_bytes;
    bool in_partition;
    bool stopped; /* after the end: a limit ended it, there may be more */
    bool more;    /* the stream at hand is a page, and another one follows */
    /* a static row that may stand alone, if the next page does not go on with its partition:
     * `last`, `last_static` */
    bool holds;
    struct base_rows_filter *filters; /* prepared at the first call of next */
    struct base_buf scratch;
    /* with `more`: the partition that the next page may go on with; empty: none */
    struct base_buf last, last_static;
};
void base_rows_open(struct base_rows *rows, const struct base_read *cmd,
                    const struct base_table *table, struct base_source *merged);
/* The stream comes in pages, each a merged stream of its own: the first, or after the end of one
 * (and not `stopped`) the next. A partition that goes on in the next page begins there again. The
 * page before is the caller's to close. */
void base_rows_page(struct base_rows *rows, struct base_source *merged, bool more);
/* out->pkey is empty at the end, also of a page with more to come. */
BASE_MUST int base_rows_next(struct base_rows *rows, struct base_live_row *out,
                             struct base_err *err);
void base_rows_close(struct base_rows *rows);

/* Only the partitions and rows of a stream of live rows for which the command's filters hold, as a
 * stream: what base_rows judges, where it is not the end. When a filter is about rows, only
 * partitions that have such rows. `live` stays the caller's. After `budget` partitions and rows in
 * vain in one go it stops, as at its end: `stopped`, and the last place that was looked at (an
 * empty ckey: all of that partition). */
struct base_filtered {
    struct base_source source;
    struct base_rows rows;
    struct base_item ahead; /* the partition's first row, found while it was looked for */
    uint64_t budget, left;
    bool of_rows, stopped;
    struct base_buf pkey, ckey;
};
/* INVALID (filters that do not fit the table), NOMEM. table, cmd and live must outlive it. */
BASE_MUST int base_filtered_init(struct base_filtered *f, const struct base_read *cmd,
                                 const struct base_table *table, struct base_source *live,
                                 uint64_t budget, struct base_err *err);
void base_filtered_fini(struct base_filtered *f); /* also after a failed init */
/* Do a filter's column and operands fit the table? For filters from outside. INVALID, NOTFOUND (no
 * such column). */
BASE_MUST int base_filter_check(const struct base_filter *filter, const struct base_table *table,
                                struct base_err *err);

#endif
