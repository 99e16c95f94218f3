/* POST /api/v1/cql (http_api.c calls it on its worker). */
#ifndef NODE_HTTP_CQL_H
#define NODE_HTTP_CQL_H

#include "node/client.h"

/* Run what the body says; the answer is appended to `json`. INVALID, SYNTAX, and what statements
 * end with. */
BASE_MUST int nodei_http_cql(struct node *node, struct base_slice body, struct base_buf *json,
                             struct base_err *err);

#endif
