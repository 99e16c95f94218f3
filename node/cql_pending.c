/* Doors whose rooms are being built next door (cql_private.h): each goes away with the file that fills it. */
#include "node/cql_private.h"

void nodei_trace_event(struct nodei_client *client, const char *text)
{
    (void)client, (void)text;
}

bool nodei_auth_is_required(const struct node *node)
{
    return node->settings.authenticator % 2 == 1;
}

void nodei_login_start(struct node *node, struct nodei_login *login)
{
    (void)node;
    login->rc = base_err_set(&login->err, BASE_E_UNAUTHORIZED, "no roles yet");
    login->done(login);
}

int nodei_trace_begin(struct nodei_client *client, struct base_slice query, struct base_uuid *id, struct base_err *err)
{
    (void)client, (void)query;
    *id = (struct base_uuid){0};
    return base_err_set(err, BASE_E_INTERNAL, "no tracing yet");
}

void nodei_trace_end(struct nodei_client *client)
{
    (void)client;
}
