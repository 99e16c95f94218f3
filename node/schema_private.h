/* Between schema.c and create_table.c: one change at a time. */
#ifndef NODE_SCHEMA_PRIVATE_H
#define NODE_SCHEMA_PRIVATE_H

#include "cql/cql.h"
#include "node/node_private.h"

/* One change of the schema: `analyze` makes it against a snapshot (in the arena; *nothing: there is
 * none to make), and again against a later one when another node's change came first. Alone: under
 * the DDL mutex, durable, done, published. On an error from the log nothing has changed. */
typedef int nodei_ddl_fn(struct node_session *session, struct base_arena *arena,
                         const struct base_schema *schema, void *ctx, struct base_change *change,
                         bool *nothing, struct base_err *err);
BASE_MUST int nodei_ddl(struct node_session *session, nodei_ddl_fn *analyze, void *ctx,
                        struct base_err *err);

#endif
