/* SELECT's parts, for select*.c, row.c and paging.c.
 *
 * select.c        preparing: selectors, columns of the result, limits
 * select_rules.c  ORDER BY, GROUP BY, DISTINCT: Cassandra's rules
 * select_plan.c   executing: where to look: places, limits, where a page goes on
 * select_exec.c   executing: one row after another, pages
 * select_rows.c   what a row becomes: the protocol's bytes, JSON, groups, sorting
 * row.c           a live row, taken apart
 * paging.c        the paging state */
#ifndef CQL_SELECT_PRIVATE_H
#define CQL_SELECT_PRIVATE_H

#include "cql/restrictions_private.h"

/* A row, taken apart (row.c). */

/* Which columns are looked at. Immutable once prepared. */
struct cqli_fetch {
    const struct base_table *table;
    bool *wanted;                 /* by index into table->columns */
    uint32_t *statics, *regulars; /* indexes, ascending by column id */
    size_t static_count, regular_count;
    size_t clustering_count; /* components to decode: up to the last that is wanted */
    bool partition_key;
    uint32_t *ids; /* for base_read: of statics and regulars, ascending */
    size_t id_count;
};
BASE_MUST int cqli_fetch_init(struct base_arena *arena, const struct base_table *table,
                              struct cqli_fetch *out);
void cqli_fetch_add(struct cqli_fetch *fetch, const struct base_column *column);
void cqli_fetch_finish(struct cqli_fetch *fetch);

struct cqli_row_slot {
    struct cql_value value;
    size_t at; /* in the scratch, + 1; 0: not there */
};
struct cqli_row {
    const struct cqli_fetch *fetch;
    /* for what writetime and ttl make: the caller resets it between rows */
    struct base_arena *arena;
    int64_t now_s;
    struct base_live_row live;
    struct cqli_row_slot *slots; /* by index into table->columns */
    struct base_slice *pk_values;
    struct base_buf pkey, pk, scratch; /* pkey: whose values are in the slots */
};
/* arena: for the row's own buffers, as long as the row is used. */
BASE_MUST int cqli_row_init(struct cqli_row *row, const struct cqli_fetch *fetch,
                            struct base_arena *arena, struct base_arena *row_arena, int64_t now_s);
/* CORRUPT, NOMEM, LIMIT. `live` is borrowed until the next load. */
BASE_MUST int cqli_row_load(struct cqli_row *row, const struct base_live_row *live,
                            struct base_err *err);

/* The paging state (paging.c). */

struct cqli_paging {
    /* the last row that was given; ckey empty: its partition has only a static row */
    struct base_slice pkey, ckey;
    uint64_t rows_left;           /* of LIMIT; UINT64_MAX: none */
    uint64_t partition_rows_left; /* of PER PARTITION LIMIT, for pkey; UINT64_MAX: none */
};
BASE_MUST int cqli_paging_encode(const struct cqli_paging *paging, struct base_buf *out);
/* Bytes from a client: nothing in them is believed. INVALID. *out borrows from the state. */
BASE_MUST int cqli_paging_decode(struct base_slice state, const struct base_table *table,
                                 struct cqli_paging *out, struct base_err *err);

/* Prepared. */

struct cqli_selector {
    const struct base_column *column; /* nothing but a column; or */
    struct cqli_expr *expr;
};
struct cqli_order {
    uint32_t column; /* index into table->columns */
    bool descending;
};
struct cqli_select {
    const struct base_table *table;
    const struct cqli_restrictions *restrictions;
    struct cqli_selector *selectors;
    const struct cql_column_spec *columns; /* of the selectors (JSON: their names and types) */
    const struct cqli_expr **exprs;        /* aggregated: of all selectors */
    size_t selector_count;
    struct cqli_fetch fetch;
    struct cqli_expr *limit, *partition_limit; /* or NULL */
    bool json, distinct, reversed;
    bool aggregated; /* rows are gathered into groups (or into one) */
    bool grouped;    /* GROUP BY */
    /* clustering columns that are part of the group's key, besides … */
    size_t group_clustering;
    struct cqli_expr *group_expr; /* … the worth of this one, or NULL */
    bool sorted;                  /* ORDER BY over several partitions */
    struct cqli_order *order;
    size_t order_count;
};
/* ORDER BY, GROUP BY, DISTINCT; and what they make of *select. (select_rules.c) */
bool cqli_select_only_statics(const struct cqli_prepare *p, const struct cqli_select *select);
BASE_MUST int cqli_select_rules(struct cqli_prepare *p, struct cqli_select *select);
BASE_MUST int cqli_select_order(struct cqli_prepare *p, struct cqli_select *select);

/* Executing. */

struct cqli_sort_row {
    struct base_slice key;
    size_t at, len; /* in result.rows */
    size_t sequence;
};
/* What rows become (select_rows.c). */
struct cqli_output {
    const struct cqli_select *select;
    struct cql_exec *exec;
    /* reset after each row; nothing is allocated when all selectors are columns */
    struct base_arena row_arena;
    struct cqli_row row;
    struct cqli_eval eval;
    struct cqli_aggregation *aggregation;
    bool in_group;
    struct base_buf group_key, key;
    struct base_buf json;
    struct base_slice sort_key;
    struct cqli_sort_row *sorted;
    size_t sorted_count, sorted_cap;
};
BASE_MUST int cqli_output_init(struct cqli_output *o, const struct cqli_select *select,
                               struct cql_exec *exec, int64_t now_us);
void cqli_output_fini(struct cqli_output *o);
/* Append the row at hand. LIMIT: result.rows is full; it is as it was. */
BASE_MUST int cqli_output_row(struct cqli_output *o);
/* The row at hand (loaded): is it of the group in progress? */
BASE_MUST int cqli_output_same_group(struct cqli_output *o, bool *same);
/* Add the row at hand to the group, which it may begin. */
BASE_MUST int cqli_output_add(struct cqli_output *o);
/* End the group and append its row. LIMIT as above. */
BASE_MUST int cqli_output_group(struct cqli_output *o);
/* Sort what was appended, and keep `limit` of it. */
BASE_MUST int cqli_output_sort(struct cqli_output *o, uint64_t limit);

/* The execution's state. */

enum cqli_slot_state {
    CQLI_SLOT_CLOSED,
    CQLI_SLOT_ASKED, /* PENDING */
    CQLI_SLOT_IDLE,  /* to be asked */
    CQLI_SLOT_READY, /* it has answered */
};
struct cqli_select_slot {
    struct cql_read read;
    struct base_read cmd;
    enum cqli_slot_state state;
    struct cqli_select_run *run;
};

struct cqli_select_place {
    struct base_buf pkey, ckey;
    uint64_t partition_rows_left;
};

struct cqli_select_run {
    struct cql_exec *exec;
    const struct cqli_select *select;
    struct cqli_places places;
    struct cqli_output output;
    uint64_t limit, partition_limit; /* UINT64_MAX: none */
    uint64_t rows_left, partition_rows_left;
    bool paged;
    bool must_end; /* there is no room for more rows in this page */
    /* steps */
    size_t step, step_count;
    size_t first_pkey; /* the first step's partition */
    /* resumes: the first step is the rest of a partition; is_range: the last step is tokens */
    bool resumes, is_range;
    struct cqli_paging from; /* where it resumes */
    struct base_slices rest; /* the slices of what is left of that partition */
    struct base_slice start_pkey;
    struct cqli_select_slot *slots;
    size_t slot_count, opened; /* steps that were opened, the current one included */
    /* rows that a partition can have at most; that this step gave */
    uint64_t partition_rows_max, step_rows;
    int64_t now_s;
    /* the last row that was looked at; … that is in the result */
    struct cqli_select_place seen, given;
};

void cqli_place_init(struct cqli_select_place *place, struct base_arena *arena);
BASE_MUST int cqli_place_set(struct cqli_select_place *place, struct base_slice pkey,
                             struct base_slice ckey);
/* Values, limits, the paging state → the steps. run->output is there. (select_plan.c) */
BASE_MUST int cqli_select_plan(struct cqli_select_run *run);

#endif
