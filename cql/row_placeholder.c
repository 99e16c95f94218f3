/* Rows as selectors read them, until cql/row.c is there: nobody evaluates a selector before. Weak, so that row.c replaces it. */
#include "cql/expr.h"

#define WEAK __attribute__((weak))

WEAK int cqli_row_value(struct cqli_row *row, const struct base_column *column, struct cql_value *out, struct base_err *err)
{
    (void)row, (void)column;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    return base_err_set(err, BASE_E_INTERNAL, "rows are not there yet");
}

WEAK int cqli_row_writetime(struct cqli_row *row, const struct base_column *column, bool max, struct cql_value *out, struct base_err *err)
{
    (void)max;
    return cqli_row_value(row, column, out, err);
}

WEAK int cqli_row_ttl(struct cqli_row *row, const struct base_column *column, struct cql_value *out, struct base_err *err)
{
    return cqli_row_value(row, column, out, err);
}
