/* Placeholder until INSERT, UPDATE, DELETE and BATCH land: see cql/expr.h. */
#include "cql/expr.h"

int cqli_modify_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    (void)out;
    return base_err_set(p->err, BASE_E_INTERNAL, "writing is not there yet");
}
int cqli_batch_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    return cqli_modify_prepare(p, out);
}
enum cql_answer cqli_modify_start(struct cql_exec *exec)
{
    (void)exec;
    return CQL_DONE;
}
enum cql_answer cqli_batch_start(struct cql_exec *exec, enum cql_batch_kind kind, const struct cql_batch_item *items, size_t count)
{
    (void)exec, (void)kind, (void)items, (void)count;
    return CQL_DONE;
}
bool cqli_modify_cancel(struct cql_exec *exec)
{
    (void)exec;
    return true;
}
