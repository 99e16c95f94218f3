/* Placeholder until the expressions land: see cql/expr.h. */
#include "cql/expr.h"

int cqli_expr_prepare(struct cqli_prepare *p, const struct cql_term *term, struct base_slice receiver, const struct base_type *type,
                      struct cqli_expr **out)
{
    (void)term, (void)receiver, (void)type, (void)out;
    return base_err_set(p->err, BASE_E_INTERNAL, "expressions are not there yet");
}
