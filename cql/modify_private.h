/* INSERT, UPDATE, DELETE, BATCH: shared by their files.
 *
 *   modify.c            preparing: one statement's operations, keys, USING
 *   modify_operation.c  preparing SET and DELETE's list, and IF
 *   modify_json.c       INSERT JSON: a document's values by column
 *   modify_build.c      executing: values, places, rows
 *   modify_cells.c      cells of one column
 *   modify_mutations.c  rows and deletions of several statements → one mutation a partition
 *   modify_run.c        the state machine: read what must be read, write, answer
 *   modify_result.c     the rows of a condition that does not hold
 *   batch.c             the rules of BATCH */
#ifndef CQL_MODIFY_PRIVATE_H
#define CQL_MODIFY_PRIVATE_H

#include "base/collection.h"
#include "base/condition.h"
#include "base/key.h"
#include "base/mutation.h"
#include "cql/expr.h"

/* bytes of one request: what the native protocol's frames can hold */
#define CQLI_WRITE_LEN_MAX (256u << 20)

/* Prepared. */

enum cqli_operation_kind {
    CQLI_SET,            /* c = v; also INSERT's */
    CQLI_SET_ELEMENT,    /* map[k] = v */
    CQLI_SET_INDEX,      /* list[i] = v; reads */
    CQLI_SET_FIELD,      /* udt.f = v */
    CQLI_APPEND,         /* c = c + v: list, set, map */
    CQLI_PREPEND,        /* list = v + list */
    CQLI_REMOVE,         /* c = c - v: set, map: v's elements */
    CQLI_REMOVE_VALUES,  /* list = list - v; reads */
    CQLI_DELETE,         /* DELETE c */
    CQLI_DELETE_ELEMENT, /* DELETE map[k], set[v] */
    CQLI_DELETE_INDEX,   /* DELETE list[i]; reads */
    CQLI_DELETE_FIELD,   /* DELETE udt.f */
};
struct cqli_operation {
    enum cqli_operation_kind kind;
    uint16_t field;
    const struct base_column *column;
    const struct base_type *value_type;      /* of value */
    const struct cqli_expr *element, *value; /* NULL: none; a SET of INSERT JSON has none either */
};
static inline bool cqli_operation_reads(enum cqli_operation_kind kind)
{
    return kind == CQLI_SET_INDEX || kind == CQLI_REMOVE_VALUES || kind == CQLI_DELETE_INDEX;
}

enum cqli_if { CQLI_IF_NONE, CQLI_IF_NOT_EXISTS, CQLI_IF_EXISTS, CQLI_IF_COLUMNS };
struct cqli_condition {
    const struct base_column *column;
    enum base_condition_op op;
    enum base_condition_element element;
    const struct cqli_expr *key;  /* ELEMENT: a map's key, a list's index */
    uint16_t field;               /* a UDT's: element PATH, no key */
    const struct base_type *type; /* of an operand */
    /* one; IN (…): any number; IN ?: one of type list (is_list) */
    const struct cqli_expr **operands;
    size_t operand_count;
    bool is_list;
};

struct cqli_modify {
    enum cql_statement_kind kind;
    const struct base_table *table; /* NULL: a BATCH */
    uint64_t epoch;                 /* of the snapshot it was prepared against */
    /* of static columns first, then regular; each by column id, and by their order in the text */
    struct cqli_operation *operations;
    size_t operation_count, static_count;
    bool reads;
    /* UPDATE: equal clustering values may differ in their bytes, which the row keeps */
    bool inexact;
    bool has_row; /* INSERT, UPDATE: a row is named; false: the partition's static part alone */
    const struct cqli_expr **keys; /* INSERT: by place in the primary key */
    const struct cqli_expr *json;
    bool json_unset;                       /* DEFAULT UNSET */
    const struct cqli_restrictions *where; /* UPDATE, DELETE */
    const struct cqli_expr *timestamp, *ttl;
    enum cqli_if if_kind;
    struct cqli_condition *conditions; /* CQLI_IF_COLUMNS; of regular columns first */
    size_t condition_count;
    /* BATCH */
    enum cql_batch_kind batch;
    struct cql_prepared *children;
    size_t child_count;
};

BASE_MUST int cqli_operations_prepare(struct cqli_prepare *p, struct cqli_modify *m);
BASE_MUST int cqli_conditions_prepare(struct cqli_prepare *p, struct cqli_modify *m);
/* "Undefined column name x in table ks.t" */
BASE_MUST int cqli_column_find(struct cqli_prepare *p, struct base_slice name,
                               const struct base_column **out);
/* USING */
BASE_MUST int cqli_using_prepare(struct cqli_prepare *p, struct cqli_modify *m);

/* What is gathered. */

/* Changes of partitions, in the arena; one mutation a partition comes of them. */
struct cqli_row_part {
    struct base_slice ckey, row;
    struct cqli_row_part *next;
};
struct cqli_range_part {
    struct base_range_deletion range;
    struct cqli_range_part *next;
};
struct cqli_partition {
    const struct base_table *table;
    struct base_slice pkey;
    struct base_deletion deletion;
    struct cqli_row_part *static_rows, *rows, *last_row;
    struct cqli_range_part *ranges;
    size_t row_count, static_count, range_count;
    bool unsorted; /* the rows are not ascending, or one came twice */
    struct cqli_partition *next, *bucket_next;
};
struct cqli_mutations {
    struct base_arena *arena;
    struct cqli_partition *first, *last;
    size_t count;
    struct cqli_partition **buckets; /* NULL while there are few */
    size_t bucket_count;
    /* a mutation also of a partition to which nothing is done: a condition is about it all the
     * same */
    bool keep_empty;
    struct base_err *err;
};
BASE_MUST int cqli_mutations_partition(struct cqli_mutations *all, const struct base_table *table,
                                       struct base_slice pkey, struct cqli_partition **out);
BASE_MUST int cqli_mutations_row(struct cqli_mutations *all, struct cqli_partition *to,
                                 struct base_slice ckey, struct base_slice row);
BASE_MUST int cqli_mutations_static(struct cqli_mutations *all, struct cqli_partition *to,
                                    struct base_slice row);
BASE_MUST int cqli_mutations_range(struct cqli_mutations *all, struct cqli_partition *to,
                                   struct base_slice lo, struct base_slice hi,
                                   struct base_deletion deletion);
/* Nothing is done to any partition. */
void cqli_mutations_clear(struct cqli_mutations *all);
/* Encode: *count mutations, into `out`. Partitions to which nothing was done are left out unless
 * keep_empty. */
BASE_MUST int cqli_mutations_put(struct cqli_mutations *all, struct base_buf *out, size_t *count);

/* Executing. */

struct cqli_found {              /* a row as it is, read before the write */
    size_t partition;            /* index in places.pkeys */
    struct base_slice ckey, row; /* ckey empty: the static row */
    struct cqli_found *next;
};
struct cqli_operands { /* of one operation, evaluated */
    struct cql_value element, value;
};
struct cqli_update { /* one statement of an execution */
    const struct cqli_modify *m;
    struct cqli_eval eval;
    int64_t ts, now_s, expires_s;
    int32_t ttl;
    struct cqli_operands *operands; /* by operation */
    struct cqli_places places;
    struct base_slice originals; /* of the one row, where its key does not keep the values' bytes */
    /* Ascending by partition and ckey, as they were read; what is built goes the same way, and
     * takes them from the front. */
    struct cqli_found *found, *found_last;
    struct cqli_run *run;
};
/* What the whole execution shares. */
struct cqli_item {
    const struct cqli_modify *m;
    const struct cql_value *values;
    size_t value_count;
};
struct cqli_run;

/* Evaluate the statement: timestamp, TTL, values, places. `ts`: when the statement gives none. */
BASE_MUST int cqli_update_begin(struct cqli_run *run, const struct cqli_item *item, int64_t ts,
                                struct cqli_update *u);
/* Its changes. */
BASE_MUST int cqli_update_build(struct cqli_update *u, struct cqli_mutations *all);
/* The row that its conditions are of; empty: the static row. */
struct base_slice cqli_update_judged(const struct cqli_update *u);
/* Its conditions, of that row, appended; their count. */
BASE_MUST int cqli_update_conditions(struct cqli_update *u, struct base_slice ckey,
                                     struct base_buf *out, size_t *count);
/* INSERT JSON: the values of the keys (by place in the primary key) and of the operations. */
BASE_MUST int cqli_json_eval(struct cqli_update *u, struct cql_value *keys);
/* One column's operations [first, first + n): cells into the row. `existing`: the row as it is, or
 * empty. */
BASE_MUST int cqli_cells_put(struct cqli_update *u, struct base_row_builder *row, size_t first,
                             size_t n, struct base_slice existing);
/* The place of the next list element, greater than all before on this node. */
struct base_uuid cqli_list_place(struct cqli_run *run, bool before_all);

/* That a row has conditions, and of which kind. */
struct cqli_judged {
    struct base_slice ckey; /* empty: the static row */
    size_t item;
    enum cqli_if kind;
};

struct cqli_run {
    struct cql_exec *exec;
    const struct cqli_item *items;
    size_t item_count, next;
    bool is_batch, conditional;
    enum cql_batch_kind kind;
    int64_t ts, now_us, now_s;
    struct cqli_update update; /* of the item under way */
    struct cqli_mutations mutations;
    struct base_buf conditions, bytes;
    size_t condition_count, mutation_count;
    struct base_err *unbuilt;   /* why nothing may be written if the conditions hold */
    struct cqli_judged *judged; /* by statement with conditions; of a batch */
    size_t judged_count;
    /* reads before the write */
    struct base_read cmd;
    uint32_t *columns; /* cmd's */
    /* 2 × the partition's index in update.places; + 1: its rows, else its static row */
    size_t reading;
    struct cql_read *read;
    enum { CQLI_RUN_ITEMS, CQLI_RUN_READING, CQLI_RUN_WRITING } stage;
    /* places in lists */
    int64_t place_us;
    unsigned place_left;
    uint8_t place_node[8];
    struct cql_write write; /* at the end: it is large, and made when it is needed */
};
/* All items are there; begin. */
enum cql_answer cqli_run_start(struct cql_exec *exec, const struct cqli_item *items, size_t count,
                               bool is_batch, enum cql_batch_kind kind,
                               const struct cqli_expr *timestamp);
/* exec->result: [applied], and what was found when it is false. */
BASE_MUST int cqli_result_applied(struct cqli_run *run, bool applied, struct base_slice current);
/* Rules of BATCH: over all its statements; before anything is evaluated. INVALID. */
BASE_MUST int cqli_batch_check(enum cql_batch_kind kind, bool has_timestamp,
                               const struct cqli_item *items, size_t count, struct base_err *err);
/* Conditions that cannot be of one row; sorts run->judged. INVALID. */
BASE_MUST int cqli_batch_check_judged(struct cqli_run *run);
/* Its size: warnings; INVALID. */
BASE_MUST int cqli_batch_check_size(struct cqli_run *run, const struct cql_limits *limits);

static inline int cqli_no_room(struct base_err *err, int rc)
{
    return base_err_set(err, rc == BASE_E_LIMIT ? BASE_E_INVALID : rc, "%s",
                        rc == BASE_E_LIMIT ? "the statement writes more than 256 MiB"
                                           : base_err_words(rc));
}

#endif
