/* Expressions: what a term of the syntax tree is worth, for cql/'s files only. Bound to a
 * receiver's type when prepared, evaluated for each execution (values of markers) or each row
 * (selectors). Literals are converted once, when prepared; functions of constants stay calls where
 * they are not pure (now(), uuid()).
 *
 * Owner of the implementation: cql/expr*.c, cql/function*.c, cql/aggregate.c. */
#ifndef CQL_EXPR_H
#define CQL_EXPR_H

#include "cql/cql_private.h"
#include "cql/exec.h"

struct cqli_expr;

/* A statement under preparation. */
struct cqli_prepare {
    struct base_arena *arena;
    const struct cql_statement *statement;
    const struct cql_context *context;
    const struct base_table *table; /* or NULL */
    /* by marker number; bind_count of them, type NULL: not met yet */
    struct cql_column_spec *binds;
    size_t bind_count;
    struct base_err *err;
};
int cqli_prepare_no_memory(struct cqli_prepare *p);
/* The table of a statement on data: qualified, or of the session's keyspace; of the system schema
 * too. NOTFOUND and INVALID with Cassandra's texts ("No keyspace has been specified. USE a
 * keyspace, or explicitly specify keyspace.tablename"). */
BASE_MUST int cqli_prepare_table(struct cqli_prepare *p, const struct cql_name *name,
                                 const struct base_table **out);

/* Preparing. */

/* A value for a receiver (a column, an element of one, LIMIT's "[limit]", …): literals of every
 * form Cassandra takes for the type, markers (their spec becomes the receiver's), functions,
 * arithmetic, hints, casts; columns are refused. INVALID with Cassandra's text: "Invalid STRING
 * constant (abc) for \"v\" of type int". NULL literals are allowed: they evaluate to
 * CQL_VALUE_NULL. */
BASE_MUST int cqli_expr_prepare(struct cqli_prepare *p, const struct cql_term *term,
                                struct base_slice receiver, const struct base_type *type,
                                struct cqli_expr **out);
/* A selector: columns of p->table, their fields, elements and slices, functions, aggregates,
 * arithmetic, literals where the type is known, markers as arguments. */
BASE_MUST int cqli_expr_prepare_selector(struct cqli_prepare *p, const struct cql_term *term,
                                         struct cqli_expr **out);
const struct base_type *cqli_expr_type(const struct cqli_expr *expr);
/* The column's name in the result: "v", "system.count(v)" → Cassandra's spelling ("count",
 * "max(v)", "ttl(v)", "a + 1"). In the arena. */
BASE_MUST int cqli_expr_name(struct cqli_prepare *p, const struct cql_term *term,
                             struct base_slice *out);
bool cqli_expr_has_aggregate(const struct cqli_expr *expr);
/* A marker and nothing else: its number; else -1. */
int cqli_expr_bind(const struct cqli_expr *expr);
/* Is it the same for all rows and executions? Then a literal. */
bool cqli_expr_is_constant(const struct cqli_expr *expr);
/* Every column it reads (ids), by a call each; writetime and ttl too. */
void cqli_expr_columns(const struct cqli_expr *expr,
                       void (*each)(void *ctx, const struct base_column *column), void *ctx);

/* Evaluating. */

/* A live row, taken apart: what selectors read of it. Filled by cqli_row_load (cql/row.c, the
 * select part's), NULL-safe. */
struct cqli_row;
/* Column value as one serialized value (multi-cell ones put together); NULL state when absent.
 * Borrowed until the next row. */
BASE_MUST int cqli_row_value(struct cqli_row *row, const struct base_column *column,
                             struct cql_value *out, struct base_err *err);
/* writetime(column) and ttl(column): of a multi-cell column the list<bigint> and list<int> of its
 * cells, as Cassandra 5. max: the greatest (maxwritetime). ttl: seconds left. */
BASE_MUST int cqli_row_writetime(struct cqli_row *row, const struct base_column *column, bool max,
                                 struct cql_value *out, struct base_err *err);
BASE_MUST int cqli_row_ttl(struct cqli_row *row, const struct base_column *column,
                           struct cql_value *out, struct base_err *err);

struct cqli_eval {
    struct base_arena *arena; /* for results; the caller resets or drops it */
    const struct cql_value *values;
    size_t value_count;
    struct cqli_row *row;    /* selectors */
    struct cql_ports *ports; /* now(), uuid() */
    int64_t now_us;
    struct base_err *err;
};
/* UNSET comes only from a marker at the top; below it is INVALID. Values of markers are validated
 * against their types. */
BASE_MUST int cqli_expr_eval(const struct cqli_expr *expr, struct cqli_eval *eval,
                             struct cql_value *out);

/* Aggregates: one state for each group. add: a row; result: after the last (also after none). */
struct cqli_aggregation;
BASE_MUST int cqli_aggregation_new(struct base_arena *arena, const struct cqli_expr *const *exprs,
                                   size_t count, struct cqli_aggregation **out);
void cqli_aggregation_reset(struct cqli_aggregation *a);
/* Expressions without aggregates take the group's first row, as Cassandra. */
BASE_MUST int cqli_aggregation_add(struct cqli_aggregation *a, struct cqli_eval *eval);
BASE_MUST int cqli_aggregation_result(struct cqli_aggregation *a, size_t index,
                                      struct cqli_eval *eval, struct cql_value *out);

/* The statements' own parts. */

struct cql_prepared {
    enum cql_statement_kind kind;
    const struct cql_statement *statement;
    const struct base_table *table;
    const struct cql_column_spec *binds, *columns;
    size_t bind_count, column_count;
    const uint16_t *pk_binds;
    size_t pk_bind_count;
    const struct cqli_select *select; /* CQL_SELECT */
    const struct cqli_modify *modify; /* INSERT, UPDATE, DELETE, BATCH */
};
/* Fill what is theirs. (select*.c, modify*.c) */
BASE_MUST int cqli_select_prepare(struct cqli_prepare *p, struct cql_prepared *out);
BASE_MUST int cqli_modify_prepare(struct cqli_prepare *p, struct cql_prepared *out);
BASE_MUST int cqli_batch_prepare(struct cqli_prepare *p, struct cql_prepared *out);
/* Execute; the same contract as cql_exec_start. After PENDING they end by cqli_exec_finish. */
enum cql_answer cqli_select_start(struct cql_exec *exec);
bool cqli_select_cancel(struct cql_exec *exec);
enum cql_answer cqli_modify_start(struct cql_exec *exec); /* BATCH statements too */
enum cql_answer cqli_batch_start(struct cql_exec *exec, enum cql_batch_kind kind,
                                 const struct cql_batch_item *items, size_t count);
bool cqli_modify_cancel(struct cql_exec *exec);
void cqli_exec_finish(struct cql_exec *exec);
void cqli_warn(struct cql_exec *exec, const char *fmt, ...) BASE_PRINTF(2, 3);

/* The partition key and WHERE of one row's or partition's place: shared by SELECT, UPDATE and
 * DELETE (restrictions.c, the select part's). */
struct cqli_restrictions;
enum cqli_restrict_for { CQLI_FOR_SELECT, CQLI_FOR_UPDATE, CQLI_FOR_DELETE };
BASE_MUST int cqli_restrictions_prepare(struct cqli_prepare *p, const struct cql_relation *where,
                                        enum cqli_restrict_for use, bool allow_filtering,
                                        const struct cqli_restrictions **out);
/* Evaluated: partitions, each an encoded pkey (base/key.h), and the slices for all of them; in the
 * arena. For UPDATE and DELETE a row is a slice with lo == hi, a key AT. */
struct cqli_places {
    struct base_slice *pkeys; /* NULL: no partition key given: tokens */
    size_t pkey_count;
    int64_t token_after, token_upto; /* as in base_read; token_after == token_upto: nothing */
    struct base_slices slices;
    bool static_only; /* UPDATE, DELETE: no clustering column is restricted */
    struct base_filter *filters;
    size_t filter_count;
    bool nothing; /* contradictory: no row can be meant */
};
BASE_MUST int cqli_restrictions_eval(const struct cqli_restrictions *r,
                                     const struct base_table *table, struct cqli_eval *eval,
                                     struct cqli_places *out);
/* The clustering values of an UPDATE that names one row, as they were given (the key need not keep
 * their bytes); *one false: it names several, and nothing is given out. */
BASE_MUST int cqli_restrictions_row(const struct cqli_restrictions *r, struct cqli_eval *eval,
                                    struct base_slice *values, bool *one);
/* For pk_binds: as cql_prepared_pk_binds. */
BASE_MUST int cqli_restrictions_pk_binds(struct cqli_prepare *p, const struct cqli_restrictions *r,
                                         const uint16_t **out, size_t *count);

#endif
