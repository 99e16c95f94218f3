/* Statements that are not about data: what cql_loop.c and cql_session.c share. */
#ifndef NODE_CQL_ADMIN_H
#define NODE_CQL_ADMIN_H

#include "node/cql_private.h"

/* The context that statements are judged in: `schema`, and the system's. */
struct cql_context nodei_cql_context(struct node *node, const char *keyspace,
                                     const struct base_schema *schema);
/* USE: the client's keyspace is set, and admin->result. NOTFOUND. */
BASE_MUST int nodei_admin_use(struct node *node, const struct cql_admin *admin,
                              char keyspace[BASE_NAME_LEN_MAX + 1], struct base_err *err);
BASE_MUST int nodei_admin_describe(struct node *node, const struct cql_admin *admin,
                                   struct base_err *err);
/* admin->result for a change that was made. */
BASE_MUST int nodei_admin_changed(const struct cql_admin *admin, const struct base_change *change,
                                  struct base_err *err);

#endif
