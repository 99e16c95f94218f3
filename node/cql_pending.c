/* Doors whose rooms are being built next door (cql_private.h): each goes away with the file that fills it. */
#include "node/cql_private.h"

const struct base_schema *nodei_system_schema(void)
{
    return NULL;
}

bool nodei_is_system_table(const struct base_table *table)
{
    (void)table;
    return false;
}

int nodei_system_read(struct node *node, struct repl *repl, const struct base_table *table, const struct base_read *cmd,
                      struct base_source **out, struct base_err *err)
{
    (void)node, (void)repl, (void)table, (void)cmd, (void)out;
    return base_err_set(err, BASE_E_INTERNAL, "no system tables yet");
}

enum cql_answer nodei_roles_admin(struct nodei_client *client, struct cql_admin *admin)
{
    (void)client;
    admin->rc = base_err_set(&admin->err, BASE_E_INTERNAL, "no roles yet");
    return CQL_DONE;
}

void nodei_trace_event(struct nodei_client *client, const char *text)
{
    (void)client, (void)text;
}
