/* Between schema.c and create_table.c: one change at a time. */
#ifndef NODE_SCHEMA_PRIVATE_H
#define NODE_SCHEMA_PRIVATE_H

#include "cql/cql.h"
#include "node/node_private.h"

/* Both need the DDL mutex. The context is the current schema, now, with an id for a new table. */
struct cql_context nodei_cql_context(struct node_session *session);
/* Make the change durable, do it, publish it. On an error from the log nothing has changed. */
BASE_MUST int nodei_schema_apply(struct node *node, const struct base_change *change,
                                 struct base_err *err);

#endif
