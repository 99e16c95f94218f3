/* Placeholder until DESCRIBE lands: see cql/exec.h. */
#include "cql/exec.h"

int cql_describe_run(struct base_arena *arena, const struct cql_statement *statement, const struct cql_context *context,
                     const struct cql_describe_facts *facts, struct cql_result *out, struct base_err *err)
{
    (void)arena, (void)statement, (void)context, (void)facts, (void)out;
    return base_err_set(err, BASE_E_INTERNAL, "no DESCRIBE yet");
}
