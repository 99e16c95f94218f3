/* The native functions: tables of signatures, and factories for those whose types no table could
 * list. For cql/'s files only.
 *
 * How to add one: a line in the table of its file and the function that computes it, a line in
 * docs/cql_functions.md, and in tests/unit/cql/function_test.c. */
#ifndef CQL_FUNCTION_H
#define CQL_FUNCTION_H

#include "cql/expr_private.h"

#define CQLI_FUNCTION_ARGS_MAX 4

enum cqli_function_flag {
    CQLI_FN_NULLS = 1,  /* sees nulls. Of others an argument that is missing (cqli_value_is_missing)
                           makes null */
    CQLI_FN_IMPURE = 2, /* not the same each time, or needs more than its arguments */
    CQLI_FN_AGGREGATE = 4, /* over the rows of a group (aggregate.c) */
    CQLI_FN_OLD_NAME = 8,  /* known without underscores too, as Cassandra 4 had it */
    CQLI_FN_RECEIVER = 16, /* its type is that of what it is for */
};
/* *out is NULL's state before. */
typedef int cqli_function_run_fn(const struct cqli_expr *call, const struct cql_value *args,
                                 struct cqli_eval *eval, struct cql_value *out);

struct cqli_function {
    const char *name; /* "to_date"; messages put "system." in front */
    unsigned flags;
    cqli_function_run_fn *run; /* AGGREGATE: NULL */
    enum base_type_kind result;
    uint32_t arg_count;
    enum base_type_kind args[CQLI_FUNCTION_ARGS_MAX];
    int op; /* which of several that the same code does */
};
struct cqli_signatures {
    const struct cqli_function *items;
    size_t count;
};
extern const struct cqli_signatures cqli_functions_basic, cqli_functions_time, cqli_functions_math,
    cqli_functions_blob;

/* Functions whose types are inferred from their arguments. */
struct cqli_factory {
    struct cqli_function function; /* name, flags, run, op */
    const char *shape;             /* its parameters, for messages */
    uint32_t arg_min, arg_max;
    /* types: what is known of the arguments' types (else NULL); it must have them all afterwards,
     * as they are to be. INVALID with text. */
    int (*infer)(struct cqli_scope *scope, const struct cqli_factory *factory,
                 const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result);
};
struct cqli_factories {
    const struct cqli_factory *items;
    size_t count;
};
extern const struct cqli_factories cqli_factories_basic, cqli_factories_collection,
    cqli_factories_mask, cqli_factories_vector;

/* Numbers (number.c). */

/* A number, not missing, as another: exactly where that is possible, else as Java converts. Of a
 * fixed size; i64 takes varints too (their low 64 bits), and saturates from floats. */
int64_t cqli_number_i64(const struct base_type *type, struct base_slice value);
double cqli_number_double(const struct base_type *type, struct base_slice value);
float cqli_number_float(const struct base_type *type, struct base_slice value);
/* A varint or decimal as a double or float, appended; what is too large is infinite. */
BASE_MUST int cqli_number_from_exact(const struct base_type *type, struct base_slice value,
                                     enum base_type_kind to, struct base_buf *out);
/* As varint and decimal, appended. INVALID: NaN and infinities have none. */
BASE_MUST int cqli_number_varint(const struct base_type *type, struct base_slice value,
                                 struct base_buf *out);
BASE_MUST int cqli_number_decimal(const struct base_type *type, struct base_slice value,
                                  struct base_buf *out);
/* A tinyint, smallint, int, bigint or counter, of the low bits. */
BASE_MUST int cqli_number_put_i64(enum base_type_kind kind, int64_t v, struct base_buf *out);
BASE_MUST int cqli_number_put_double(double v, struct base_buf *out);
BASE_MUST int cqli_number_put_float(float v, struct base_buf *out);
/* (long) v of Java: saturating, NaN is 0. */
int64_t cqli_number_saturate(double v, int64_t min, int64_t max);

/* Casts, operators (function_cast.c, function_operator.c). */

BASE_MUST int cqli_cast_prepare(struct cqli_scope *scope, const struct cql_term *term,
                                const struct cqli_expr **out);
BASE_MUST int cqli_operator_prepare(struct cqli_scope *scope, const struct cql_term *term,
                                    const struct cqli_receiver *to, const struct cqli_expr **out);
/* writetime, maxwritetime, ttl (function_row.c). */
bool cqli_row_function_is(const struct cql_term *call);
BASE_MUST int cqli_row_function_prepare(struct cqli_scope *scope, const struct cql_term *call,
                                        const struct cqli_expr **out);
/* count, min, max, sum, avg (aggregate.c). */
bool cqli_aggregate_is(const struct cql_term *call);
BASE_MUST int cqli_aggregate_prepare(struct cqli_scope *scope, const struct cql_term *call,
                                     const struct cqli_expr **out);

void cqli_sha256(struct base_slice bytes, uint8_t out[32]); /* sha256.c */
/* Milliseconds of a timestamp, date or timeuuid. */
int64_t cqli_time_ms(const struct base_type *type, struct base_slice value);
/* A day of a date; false: beyond it. */
BASE_MUST bool cqli_time_date(int64_t ms, uint8_t out[4]);
/* Bytes of a value that the evaluation's arena keeps. */
BASE_MUST int cqli_eval_copy(struct cqli_eval *eval, const void *bytes, size_t len,
                             struct cql_value *out);

/* "Cannot infer type of argument …": argument i. */
int cqli_factory_untyped(struct cqli_scope *scope, const struct cqli_factory *factory,
                         const struct cql_term *call, uint32_t i);
/* The call, its arguments prepared for arg_types. */
BASE_MUST int cqli_call_make(struct cqli_scope *scope, const struct cqli_function *function,
                             const struct base_type *result,
                             const struct base_type *const *arg_types, const struct cql_term *arg,
                             uint32_t arg_count, const struct cqli_expr **out);

/* Null, or the empty value of what is neither text nor blob. */
bool cqli_value_is_missing(const struct base_type *type, const struct cql_value *value);
/* Run a CALL whose arguments are there. */
/* FUNCTION: says that a function could not compute a result, and which: words[0] is its name, the
 * others its arguments' types. */
int cqli_function_failed(struct base_err *err, const char *const *words, size_t count,
                         const char *fmt, ...) BASE_PRINTF(4, 5);
BASE_MUST int cqli_function_run(const struct cqli_expr *call, const struct cql_value *args,
                                struct cqli_eval *eval, struct cql_value *out);

#endif
