/* See cql_internal.h. Invariant: `done` is called only after PENDING was answered, and
 * nodei_query_end is right after either. */
#include "node/cql_internal.h"

#include <limits.h>

#include "node/cql_admin.h"

#define RESULT_SIZE_MAX ((size_t)16 << 20)

static void take(struct nodei_query *query)
{
    query->rc = query->exec.rc;
    query->err = query->exec.err;
    query->outcome = query->exec.outcome;
}

static void exec_done(struct cql_exec *exec)
{
    struct nodei_query *query = BASE_CONTAINER(exec, struct nodei_query, exec);
    take(query);
    query->done(query);
}

static int copy_values(struct nodei_query *query, const struct cql_value *values, size_t count)
{
    struct cql_value *copy = base_arena_zalloc(&query->arena, (count + 1) * sizeof *copy);
    int rc = copy ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        copy[i].state = values[i].state;
        if (values[i].state == CQL_VALUE_SET)
            rc = base_arena_copy(&query->arena, values[i].bytes, &copy[i].bytes);
    }
    query->exec.values = copy;
    query->exec.value_count = count;
    return rc == BASE_OK ? rc : base_err_set(&query->err, rc, "%s", base_err_words(rc));
}

static int prepare(struct nodei_query *query, const char *text)
{
    struct cql_statement *statement;
    struct cql_prepared *prepared;
    struct cql_context context = nodei_cql_context(query->client.node, "", query->schema);
    context.internal = true;
    int rc = cql_parse(&query->arena, base_slice_str(text), &statement, &query->err);
    BASE_ASSERT(rc == BASE_OK || rc == BASE_E_NOMEM);
    if (rc == BASE_OK)
        rc = cql_prepare(&query->arena, statement, &context, &prepared, &query->err);
    if (rc ==
        BASE_E_INVALID) /* our own statements are good; what they are about may not be there */
        rc = base_err_set(&query->err, BASE_E_NOTFOUND, "%s", query->err.text);
    if (rc == BASE_OK)
        query->exec.prepared = prepared;
    return rc;
}

enum cql_answer nodei_query_start(struct nodei_query *query, struct node *node, const char *text,
                                  const struct cql_value *values, size_t value_count,
                                  int consistency)
{
    query->err = (struct base_err){0};
    query->outcome = (struct cql_outcome){0};
    query->at = 0;
    static const struct cql_limits no_limits = {.batch_size_warn = SIZE_MAX,
                                                .batch_size_fail = SIZE_MAX,
                                                .unlogged_batch_partitions_warn = UINT_MAX,
                                                .in_select_max = UINT_MAX};
    nodei_client_init_on_loop(&query->client, node);
    query->client.ports.limits = &no_limits;
    query->client.internal = true;
    base_arena_init(&query->arena);
    query->schema = node_schema(node);
    base_arena_init(&query->exec_arena);
    query->exec = (struct cql_exec){.arena = &query->exec_arena,
                                    .ports = &query->client.ports,
                                    .consistency = consistency,
                                    .serial_consistency = NODE_CL_SERIAL,
                                    .page_size = CQL_PAGE_SIZE_NONE,
                                    .done = exec_done};
    cql_result_init(&query->exec.result, RESULT_SIZE_MAX);
    query->rc = prepare(query, text);
    if (query->rc == BASE_OK)
        query->rc = copy_values(query, values, value_count);
    if (query->rc != BASE_OK)
        return CQL_DONE;
    if (cql_exec_start(&query->exec) == CQL_PENDING)
        return CQL_PENDING;
    take(query);
    return CQL_DONE;
}

void nodei_query_end(struct nodei_query *query)
{
    cql_result_fini(&query->exec.result);
    base_arena_fini(&query->arena);
    base_arena_fini(&query->exec_arena);
    if (query->schema)
        base_schema_release(query->schema);
    query->schema = NULL;
}

bool nodei_query_row(struct nodei_query *query, struct base_slice *values, size_t count)
{
    const struct base_buf *rows = &query->exec.result.rows;
    if (query->rc != BASE_OK || query->exec.result.kind != CQL_RESULT_ROWS ||
        query->at >= rows->len)
        return false;
    BASE_ASSERT(count == query->exec.result.column_count);
    for (size_t i = 0; i < count; i++) {
        BASE_ASSERT(rows->len - query->at >= 4);
        int32_t len = (int32_t)base_get_be32(rows->data + query->at);
        query->at += 4;
        values[i] = (struct base_slice){0};
        if (len < 0)
            continue;
        BASE_ASSERT(rows->len - query->at >= (size_t)len);
        values[i] = base_slice(rows->data + query->at, (size_t)len);
        query->at += (size_t)len;
    }
    return true;
}
