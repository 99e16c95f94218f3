/* Shared by cql/expr*.c, function*.c and aggregate.c only: the prepared tree, how terms meet types,
 * functions.
 *
 * 1. A prepared tree is immutable and lives in the arena of its statement; several executions
 *    evaluate it at once.
 * 2. Every node has a type. Bytes that a node yields are valid for it, sets and maps sorted.
 * 3. Only a marker at the top yields UNSET. */
#ifndef CQL_EXPR_PRIVATE_H
#define CQL_EXPR_PRIVATE_H

#include "cql/expr.h"

enum cqli_expr_kind {
    CQLI_EXPR_CONSTANT,   /* value */
    CQLI_EXPR_BIND,       /* number */
    CQLI_EXPR_COLUMN,     /* column */
    CQLI_EXPR_COLLECTION, /* a list, set, map, tuple, UDT or vector of the items (NULL among them:
                             null) */
    CQLI_EXPR_CALL,       /* function over the items */
    CQLI_EXPR_AGGREGATE,  /* function over the items, over the rows of a group */
    CQLI_EXPR_ROW,   /* a function of the row: of a column's cells; it evaluates the items itself */
    CQLI_EXPR_AS,    /* items[0], its bytes as another type's */
    CQLI_EXPR_FIELD, /* items[0].number */
    CQLI_EXPR_ELEMENT, /* items[0][items[1]] */
    CQLI_EXPR_SLICE,   /* items[0][items[1] .. items[2]]; a bound may be NULL */
};
struct cqli_function;
struct cqli_expr {
    enum cqli_expr_kind kind;
    const struct base_type *type;
    bool is_constant;   /* a CONSTANT */
    bool has_aggregate; /* in it, or it is one */
    /* no column, marker or aggregate in it: with pure functions only it is folded into a
     * constant */
    bool reads_nothing;
    bool pure; /* the same for the same row and values: no now(), no uuid() */
    struct cql_value value;
    uint32_t number;
    const struct base_column *column;
    const struct base_table *table; /* token() */
    const struct cqli_function *function;
    const struct cqli_expr **items;
    uint32_t item_count;
};

/* What a term is to be. */
struct cqli_receiver {
    struct base_slice name;
    const struct base_type *type;
};
/* Where a term stands. One scope for each tree: calls in it are prepared once, however often their
 * type is asked for. */
struct cqli_memo {
    const struct cql_term *term;
    const struct cqli_expr *expr;
};
struct cqli_scope {
    struct cqli_prepare *p;
    bool selection;         /* columns and aggregates are there */
    struct cqli_memo *memo; /* a hash table by term */
    size_t memo_count, memo_size;
};

/* Types and terms (expr_type.c). */

enum cqli_match { CQLI_MATCH_NOT, CQLI_MATCH_WEAK, CQLI_MATCH_EXACT }; /* ascending */

/* Equal but for frozen: to values it makes no difference. */
bool cqli_type_same(const struct base_type *a, const struct base_type *b);
/* May a value of type `from` be taken for one of `to`, its bytes as they are? */
enum cqli_match cqli_type_match(const struct base_type *to, const struct base_type *from);
bool cqli_type_is_number(const struct base_type *type);
const struct base_type *cqli_type_collection(struct base_arena *arena, enum base_type_kind kind,
                                             const struct base_type *const *params,
                                             uint32_t param_count);
/* A type's name for a message, cut to fit `text`; returns it. */
#define CQLI_TYPE_TEXT 256
const char *cqli_type_text_of(const struct base_type *type, char text[CQLI_TYPE_TEXT]);

bool cqli_literal_is(const struct cql_term *term); /* STRING … BLOB: one value, written out */
/* The type that a literal takes when it may choose; NULL: none. */
const struct base_type *cqli_literal_preferred(const struct cql_term *term);
enum cqli_match cqli_literal_match(const struct cql_term *term, const struct base_type *type);
BASE_MUST int cqli_literal_prepare(struct cqli_prepare *p, const struct cql_term *term,
                                   const struct cqli_receiver *receiver, struct cql_value *out);

/* Preparing (expr.c, expr_term.c). */

struct cqli_expr *cqli_expr_new(struct cqli_prepare *p, enum cqli_expr_kind kind,
                                const struct base_type *type, uint32_t item_count);
/* Flags from the items; a pure call of constants becomes a constant. */
BASE_MUST int cqli_expr_finish(struct cqli_prepare *p, struct cqli_expr *expr,
                               const struct cqli_expr **out);

/* The type that a term has whatever it is for; NULL: it depends (literals, markers). May prepare
 * calls on the way. */
BASE_MUST int cqli_term_type(struct cqli_scope *scope, const struct cql_term *term,
                             const struct base_type **out);
/* The type that a term would take if it may choose: of literals, and collections of them, the
 * preferred one; NULL: none. */
BASE_MUST int cqli_term_compatible(struct cqli_scope *scope, const struct cql_term *term,
                                   const struct base_type **out);
/* How a term fits a type. */
BASE_MUST int cqli_term_match(struct cqli_scope *scope, const struct cql_term *term,
                              const struct base_type *type, enum cqli_match *out);
/* Arithmetic on written numbers alone: its type may be chosen; may it be this one? */
bool cqli_term_is_flexible(const struct cql_term *term);
bool cqli_term_flexible_fits(const struct cql_term *term, const struct base_type *type);
/* from_json: its type is that of what it is for (function.c). */
bool cqli_call_takes_receiver(const struct cql_term *term);
/* receiver NULL: the term must have a type of its own. */
BASE_MUST int cqli_term_prepare(struct cqli_scope *scope, const struct cql_term *term,
                                const struct cqli_receiver *receiver, const struct cqli_expr **out);
/* "key(m)", "value(s)": what an element's receiver is called; in the arena. */
BASE_MUST int cqli_inner_name(struct cqli_prepare *p, const char *what, struct base_slice name,
                              struct base_slice *out);
bool cqli_term_has_own(const struct cql_term *term);
/* A term that has a type of its own (calls, columns, hints, selections): prepared once a scope. */
BASE_MUST int cqli_term_own(struct cqli_scope *scope, const struct cql_term *term,
                            const struct cqli_expr **out);
/* CALL, CAST, BINARY, NEGATE (function.c). receiver may be NULL. */
BASE_MUST int cqli_call_prepare(struct cqli_scope *scope, const struct cql_term *term,
                                const struct cqli_receiver *receiver, const struct cqli_expr **out);
/* A type's text in the statement's keyspace. */
BASE_MUST int cqli_term_named_type(struct cqli_scope *scope, struct base_slice text,
                                   const struct base_type **out);

/* A term as people write it; `column` not NULL: as a result's column is called (functions with
 * their keyspace). */
BASE_MUST int cqli_term_put(const struct cql_term *term, struct cqli_prepare *column,
                            struct base_buf *out);
#define CQLI_TERM_TEXT 256
const char *cqli_term_text(const struct cql_term *term, char text[CQLI_TERM_TEXT]); /* cut to fit */

/* Evaluating (expr_eval.c, expr_value.c). */

struct cqli_aggregation;
/* `a`: aggregates take their results from it, the rest what the group's first row had; NULL: there
 * are none. */
BASE_MUST int cqli_eval(const struct cqli_expr *expr, struct cqli_eval *eval,
                        const struct cqli_aggregation *a, struct cql_value *out);
/* What the aggregation has for a node; false: it must be evaluated. (aggregate.c) */
BASE_MUST int cqli_aggregation_node(const struct cqli_aggregation *a, const struct cqli_expr *expr,
                                    struct cqli_eval *eval, bool *found, struct cql_value *out);
int cqli_eval_no_memory(struct cqli_eval *eval);
/* The buffer's bytes as a value in the arena; the buffer is emptied. rc: what building it gave. */
BASE_MUST int cqli_eval_take(struct cqli_eval *eval, struct base_buf *buf, int rc,
                             struct cql_value *out);
#define CQLI_VALUE_LEN_MAX (256u << 20)

/* Check a bound value, with Cassandra's text ("Expected 4 or 0 byte int (3)"), and bring sets and
 * maps into order. */
BASE_MUST int cqli_value_take(struct base_arena *arena, const struct base_type *type,
                              struct base_slice bytes, struct base_slice *out,
                              struct base_err *err);

#endif
