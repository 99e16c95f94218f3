/* Placeholder until SELECT lands: see cql/expr.h. */
#include "cql/expr.h"

int cqli_select_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    (void)out;
    return base_err_set(p->err, BASE_E_INTERNAL, "SELECT is not there yet");
}
enum cql_answer cqli_select_start(struct cql_exec *exec)
{
    (void)exec;
    return CQL_DONE;
}
bool cqli_select_cancel(struct cql_exec *exec)
{
    (void)exec;
    return true;
}
