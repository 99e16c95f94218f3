/* Doors whose rooms are being built next door (cql_private.h): each goes away with the file that fills it. */
#include "node/cql_private.h"

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
