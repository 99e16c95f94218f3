/* The native functions: tables of signatures, and factories for those whose types no table could list. For cql/'s files only.
 *
 * How to add one: a line in the table of its file and the function that computes it, a line in docs/cql_functions.md, and in
 * tests/unit/cql/function_test.c. */
#ifndef CQL_FUNCTION_H
#define CQL_FUNCTION_H

#include "cql/expr_private.h"

#define CQLI_FUNCTION_ARGS_MAX 4

enum cqli_function_flag {
    CQLI_FN_NULLS = 1,     /* sees nulls. Of others an argument that is missing (cqli_value_is_missing) makes null */
    CQLI_FN_IMPURE = 2,    /* not the same each time, or needs more than its arguments */
    CQLI_FN_AGGREGATE = 4, /* over the rows of a group (aggregate.c) */
    CQLI_FN_OLD_NAME = 8,  /* known without underscores too, as Cassandra 4 had it */
    CQLI_FN_RECEIVER = 16, /* its type is that of what it is for */
};
/* *out is NULL's state before. */
typedef int cqli_function_run_fn(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval, struct cql_value *out);

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
extern const struct cqli_signatures cqli_functions_basic;

/* Functions whose types are inferred from their arguments. */
struct cqli_factory {
    struct cqli_function function; /* name, flags, run, op */
    const char *shape;             /* its parameters, for messages */
    uint32_t arg_min, arg_max;
    /* types: what is known of the arguments' types (else NULL); it must have them all afterwards, as they are to be. INVALID with text. */
    int (*infer)(struct cqli_scope *scope, const struct cqli_factory *factory, const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result);
};
struct cqli_factories {
    const struct cqli_factory *items;
    size_t count;
};
extern const struct cqli_factories cqli_factories_basic;

/* "Cannot infer type of argument …": argument i. */
int cqli_factory_untyped(struct cqli_scope *scope, const struct cqli_factory *factory, const struct cql_term *call, uint32_t i);
/* The call, its arguments prepared for arg_types. */
BASE_MUST int cqli_call_make(struct cqli_scope *scope, const struct cqli_function *function, const struct base_type *result,
                             const struct base_type *const *arg_types, const struct cql_term *arg, uint32_t arg_count,
                             const struct cqli_expr **out);

/* Null, or the empty value of what is neither text nor blob. */
bool cqli_value_is_missing(const struct base_type *type, const struct cql_value *value);
/* Run a CALL whose arguments are there. */
BASE_MUST int cqli_function_run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval, struct cql_value *out);

#endif
