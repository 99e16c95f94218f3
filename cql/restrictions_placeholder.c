/* WHERE, until cql/restrictions.c is there: UPDATE and DELETE say so. Weak, so that it replaces this. */
#include "cql/expr.h"

#define WEAK __attribute__((weak))

WEAK int cqli_restrictions_prepare(struct cqli_prepare *p, const struct cql_relation *where, enum cqli_restrict_for use, bool allow_filtering,
                                   const struct cqli_restrictions **out)
{
    (void)where, (void)use, (void)allow_filtering;
    *out = NULL;
    return base_err_set(p->err, BASE_E_INTERNAL, "WHERE is not there yet");
}

WEAK int cqli_restrictions_eval(const struct cqli_restrictions *r, const struct base_table *table, struct cqli_eval *eval,
                                struct cqli_places *out)
{
    (void)r, (void)table, (void)out;
    return base_err_set(eval->err, BASE_E_INTERNAL, "WHERE is not there yet");
}

WEAK int cqli_restrictions_pk_binds(struct cqli_prepare *p, const struct cqli_restrictions *r, const uint16_t **out, size_t *count)
{
    (void)r;
    *out = NULL;
    *count = 0;
    return base_err_set(p->err, BASE_E_INTERNAL, "WHERE is not there yet");
}
