/* Statements of the node's own, on the cluster's loop: roles and traces are kept in tables like any
 * other, so they are read and written by the language like any other. */
#ifndef NODE_CQL_INTERNAL_H
#define NODE_CQL_INTERNAL_H

#include "node/cql_private.h"

/* One statement. The caller's storage until nodei_query_end, which follows every start once it has
 * ended. */
struct nodei_query {
    void (*done)(struct nodei_query *query); /* after PENDING, once */
    void *ctx;
    /* After the end: */
    int rc; /* NOTFOUND: its table is not there (yet) */
    struct base_err err;
    struct cql_outcome outcome;
    /* Its own: */
    struct nodei_client client;
    struct base_arena arena, exec_arena; /* of the statement, of its execution */
    struct base_schema *schema;
    struct cql_exec exec;
    size_t at; /* in exec.result.rows */
};
/* `values` (and their bytes) are copied. */
enum cql_answer nodei_query_start(struct nodei_query *query, struct node *node, const char *text,
                                  const struct cql_value *values, size_t value_count,
                                  int consistency);
void nodei_query_end(struct nodei_query *query);
/* The next row's values, one for each column of the statement; data NULL: null. False: no more.
 * Valid until end. */
bool nodei_query_row(struct nodei_query *query, struct base_slice *values, size_t count);

static inline struct cql_value nodei_value(const void *bytes, size_t len)
{
    return (struct cql_value){.state = CQL_VALUE_SET, .bytes = {bytes, len}};
}
static inline struct cql_value nodei_value_text(const char *text)
{
    return nodei_value(text, strlen(text));
}
static inline struct cql_value nodei_value_bool(bool value)
{
    return nodei_value(value ? "\1" : "\0", 1);
}

#endif
