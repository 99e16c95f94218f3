/* The language's ports on a caller's thread, with a session: ringlet_cql, ringlet_query, POST
 * /api/v1/cql. Every answer is DONE: whatever waits for the disk or for peers waits here, and looks
 * for interrupts as the session's other requests do. Writes take part in the session's
 * transaction. */
#include <semaphore.h>
#include <stdio.h>

#include "base/json.h"
#include "node/cluster_private.h"
#include "node/cql_admin.h"
#include "node/schema_private.h"

#define RESULT_BYTES_MAX ((size_t)1 << 30)

/* A client in a session. */
struct session_client {
    struct nodei_client client;
    struct node_session *session;
};

struct node_query {
    struct session_client client;
    struct base_schema *schema;
    struct base_arena arena; /* text, tree, prepared */
    struct cql_prepared *prepared;
    struct base_arena exec_arena; /* of the latest execution */
    struct cql_exec exec;
    bool executed;
};

static struct node_session *session_of(struct cql_ports *ports)
{
    struct nodei_client *client = BASE_CONTAINER(ports, struct nodei_client, ports);
    return BASE_CONTAINER(client, struct session_client, client)->session;
}

/* Reads. */

struct session_read {
    struct node_read *read; /* of a stored table */
    struct base_rows rows;  /* of a system table */
    bool system;
};

struct system_call {
    struct node *node;
    struct cql_read *read;
    struct base_source *source;
};

static void read_system(void *ctx, struct repl *repl)
{
    struct system_call *call = ctx;
    call->read->rc = nodei_system_read(call->node, repl, call->read->table, call->read->cmd,
                                       &call->source, &call->read->err);
}

static int open_system(struct node_session *session, struct session_read *r, struct cql_read *read)
{
    struct system_call call = {session->node, read, NULL};
    int rc = BASE_OK;
    if (session->node->cluster)
        rc = nodei_on_loop(session->node, read_system, &call, &read->err);
    else
        read_system(&call, NULL);
    if (rc != BASE_OK || read->rc != BASE_OK)
        return rc != BASE_OK ? rc : read->rc;
    base_rows_open(&r->rows, read->cmd, read->table, call.source);
    r->system = true;
    return BASE_OK;
}

static int session_read_open(struct node_session *session, struct cql_read *read)
{
    struct session_read *r = calloc(1, sizeof *r);
    if (!r)
        return base_err_set(&read->err, BASE_E_NOMEM, "a read: out of memory");
    int rc = nodei_is_system_table(read->table)
                 ? open_system(session, r, read)
                 : node_read_open(session, read->table, read->cmd, read->consistency, &r->read,
                                  &read->err);
    if (rc == BASE_OK) {
        read->state = r;
        return BASE_OK;
    }
    node_read_free(r->read);
    free(r);
    return rc;
}

static enum cql_answer session_read_next(struct cql_ports *ports, struct cql_read *read)
{
    read->row = (struct base_live_row){0};
    read->rc = BASE_OK;
    if (!read->state)
        read->rc = session_read_open(session_of(ports), read);
    if (read->rc != BASE_OK)
        return CQL_DONE;
    struct session_read *r = read->state;
    read->rc = r->system ? base_rows_next(&r->rows, &read->row, &read->err)
                         : node_read_next(r->read, &read->row, &read->err);
    return CQL_DONE;
}

static void session_read_close(struct cql_ports *ports, struct cql_read *read)
{
    struct session_read *r = read->state;
    (void)ports;
    if (!r)
        return;
    read->state = NULL;
    if (r->system)
        base_rows_close(&r->rows);
    node_read_free(r->read);
    free(r);
}

/* Writes. */

static int write_batch(struct node_session *session, struct cql_write *write)
{
    const struct nodei_cluster_write batch = {.mutations = write->mutations,
                                              .mutation_count = write->mutation_count,
                                              .consistency = write->consistency,
                                              .logged = true};
    int rc = nodei_check_usable(session->node, &write->err);
    return rc == BASE_OK ? nodei_cluster_write(session, &batch, &write->err) : rc;
}

static int write_conditional(struct node_session *session, struct cql_write *write)
{
    const struct node_conditional what = {.mutation = write->mutations,
                                          .conditions = write->condition,
                                          .consistency = write->consistency,
                                          .current = &write->current};
    return node_write_if(session, write->table, &what, &write->err);
}

static enum cql_answer session_write(struct cql_ports *ports, struct cql_write *write)
{
    struct node_session *session = session_of(ports);
    bool batch = write->logged && write->mutation_count > 1 && session->node->cluster &&
                 !node_txn_is_open(session);
    write->rc = write->condition.len ? write_conditional(session, write)
                : batch              ? write_batch(session, write)
                        : node_write(session, write->table, write->mutations, write->mutation_count,
                                     write->consistency, &write->err);
    return CQL_DONE;
}

/* Changes of the schema, roles. */

static int analyze_change(struct node_session *session, struct base_arena *arena,
                          const struct base_schema *schema, void *ctx, struct base_change *change,
                          bool *nothing, struct base_err *err)
{
    const struct cql_admin *admin = ctx;
    const struct cql_context context = nodei_cql_context(session->node, session->keyspace, schema);
    struct cql_ddl ddl = {0};
    int rc = cql_analyze_ddl(arena, admin->statement, &context, &ddl, err);
    if (rc != BASE_OK)
        return rc;
    *change = ddl.change;
    *nothing = ddl.nothing;
    return ddl.nothing ? BASE_OK : nodei_admin_changed(admin, change, err);
}

/* Roles are the loop's matter. */
struct roles_call {
    struct net_task task;
    struct nodei_client client;
    struct cql_admin *admin;
    sem_t done;
};

static void roles_ready(struct cql_admin *admin)
{
    struct roles_call *call = admin->ctx;
    sem_post(&call->done);
}

static void roles_start(struct net_task *task)
{
    struct roles_call *call = BASE_CONTAINER(task, struct roles_call, task);
    if (nodei_roles_admin(&call->client, call->admin) == CQL_DONE)
        sem_post(&call->done);
}

static int run_roles(struct node_session *session, struct cql_admin *admin)
{
    struct node *node = session->node;
    if (!node->cluster)
        return base_err_set(
            &admin->err, BASE_E_INVALID,
            "roles belong to a node that others can log in to: there are none in an embedded node");
    int rc = nodei_cluster_wait(node, session, &admin->err);
    if (rc != BASE_OK)
        return rc;
    struct roles_call call = {.task.run = roles_start, .admin = admin};
    void (*ready)(struct cql_admin *) = admin->ready;
    void *ctx = admin->ctx;
    nodei_client_init_on_loop(&call.client, node);
    rc = sem_init(&call.done, 0, 0);
    BASE_ASSERT(rc == 0);
    admin->ready = roles_ready;
    admin->ctx = &call;
    nodei_cluster_post(node->cluster, &call.task);
    while (sem_wait(&call.done) != 0)
        continue;
    sem_destroy(&call.done);
    admin->ready = ready;
    admin->ctx = ctx;
    return admin->rc;
}

static enum cql_answer session_admin(struct cql_ports *ports, struct cql_admin *admin)
{
    struct node_session *session = session_of(ports);
    switch (cql_statement_kind(admin->statement)) {
    case CQL_USE:
        admin->rc = nodei_admin_use(session->node, admin, session->keyspace, &admin->err);
        break;
    case CQL_DESCRIBE:
        admin->rc = nodei_admin_describe(session->node, admin, &admin->err);
        break;
    case CQL_CREATE_ROLE:
    case CQL_ALTER_ROLE:
    case CQL_DROP_ROLE:
    case CQL_LIST_ROLES:
        admin->rc = run_roles(session, admin);
        break;
    default:
        admin->rc = nodei_ddl(session, analyze_change, admin, &admin->err);
    }
    return CQL_DONE;
}

/* The rest. */

static int64_t session_timestamp(struct cql_ports *ports)
{
    return node_timestamp(session_of(ports)->node);
}

static int64_t session_now_us(struct cql_ports *ports)
{
    (void)ports;
    return node_wall_us();
}

static void session_random(struct cql_ports *ports, void *out, size_t len)
{
    (void)ports;
    node_random(out, len);
}

static void session_trace(struct cql_ports *ports, const char *fmt, ...)
{
    (void)ports, (void)fmt; /* nobody traces in a session */
}

static const struct cql_port_ops session_ops = {.timestamp = session_timestamp,
                                                .now_us = session_now_us,
                                                .random = session_random,
                                                .read_next = session_read_next,
                                                .read_close = session_read_close,
                                                .write = session_write,
                                                .admin = session_admin,
                                                .trace = session_trace};

/* Queries. */

static int prepare(struct node_query *query, struct base_slice text, struct base_err *err)
{
    struct node_session *session = query->client.session;
    struct cql_statement *statement;
    struct base_slice copy;
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK && session->node->cluster)
        rc = nodei_cluster_wait(session->node, session, err);
    if (rc != BASE_OK)
        return rc;
    if (base_arena_copy(&query->arena, text, &copy) != BASE_OK)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    query->schema = node_schema(session->node);
    const struct cql_context context =
        nodei_cql_context(session->node, session->keyspace, query->schema);
    rc = cql_parse(&query->arena, copy, &statement, err);
    return rc == BASE_OK ? cql_prepare(&query->arena, statement, &context, &query->prepared, err)
                         : rc;
}

int node_query_prepare(struct node_session *session, struct base_slice text,
                       struct node_query **out, struct base_err *err)
{
    struct node_query *query = calloc(1, sizeof *query);
    *out = NULL;
    if (!query)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    base_arena_init(&query->arena);
    base_arena_init(&query->exec_arena);
    query->client =
        (struct session_client){.client = {.ports = {&session_ops, &session->node->cql_limits},
                                           .node = session->node,
                                           .is_superuser = true},
                                .session = session};
    int rc = prepare(query, text, err);
    if (rc == BASE_OK)
        *out = query;
    else
        node_query_free(query);
    return rc;
}

const struct cql_prepared *node_query_prepared(const struct node_query *query)
{
    return query->prepared;
}

int node_query_run(struct node_query *query, const struct cql_value *values, size_t value_count,
                   const struct node_query_options *options, const struct cql_result **result,
                   struct base_err *err)
{
    struct cql_exec *exec = &query->exec;
    *result = NULL;
    int rc = nodei_check_usable(query->client.session->node, err);
    if (rc != BASE_OK)
        return rc;
    if (query->executed)
        cql_result_fini(&exec->result);
    base_arena_reset(&query->exec_arena);
    *exec = (struct cql_exec){
        .arena = &query->exec_arena,
        .prepared = query->prepared,
        .ports = &query->client.client.ports,
        .values = values,
        .value_count = value_count,
        .consistency = options->consistency,
        .serial_consistency = options->serial_consistency,
        .page_size = options->page_size,
        .paging_state = options->paging_state,
        .keyspace = base_slice_str(query->client.session->keyspace),
    };
    cql_result_init(&exec->result, RESULT_BYTES_MAX);
    query->executed = true;
    enum cql_answer answer = cql_exec_start(exec);
    BASE_ASSERT(answer == CQL_DONE);
    if (exec->rc != BASE_OK)
        return base_err_set(err, exec->rc, "%s",
                            exec->err.text[0] ? exec->err.text : base_err_words(exec->rc));
    *result = &exec->result;
    return BASE_OK;
}

void node_query_free(struct node_query *query)
{
    if (!query)
        return;
    if (query->executed)
        cql_result_fini(&query->exec.result);
    base_arena_fini(&query->exec_arena);
    base_arena_fini(&query->arena);
    if (query->schema)
        base_schema_release(query->schema);
    free(query);
}

/* Results for people. */

static const char *past(const char *change)
{
    return strcmp(change, "CREATED") == 0   ? "created"
           : strcmp(change, "UPDATED") == 0 ? "altered"
                                            : "dropped";
}

static const char *thing(const char *target)
{
    return strcmp(target, "KEYSPACE") == 0 ? "keyspace"
           : strcmp(target, "TABLE") == 0  ? "table"
                                           : "type";
}

static int put_words(const struct node_query *query, struct base_buf *out, struct base_err *err)
{
    const struct cql_result *r = &query->exec.result;
    enum cql_statement_kind kind = cql_prepared_kind(query->prepared);
    int rc = BASE_OK;
    if (r->kind == CQL_RESULT_SCHEMA_CHANGE)
        rc = base_buf_printf(out, "%s %s %.*s%s%.*s", past(r->change), thing(r->target),
                             BASE_SLICE_ARG(r->keyspace), r->name.len ? "." : "",
                             BASE_SLICE_ARG(r->name));
    else if (r->kind == CQL_RESULT_SET_KEYSPACE)
        rc = base_buf_printf(out, "using keyspace %.*s", BASE_SLICE_ARG(r->keyspace));
    else if (kind == CQL_TRUNCATE)
        rc = base_buf_printf(out, "truncated table %.*s.%.*s", BASE_SLICE_ARG(r->keyspace),
                             BASE_SLICE_ARG(r->name));
    else if (kind == CQL_INSERT || kind == CQL_UPDATE || kind == CQL_DELETE || kind == CQL_BATCH ||
             kind == CQL_CREATE_ROLE || kind == CQL_ALTER_ROLE || kind == CQL_DROP_ROLE)
        rc = base_buf_printf(out, "done");
    else
        rc = base_buf_printf(out, "nothing to do");
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

int node_query_row_json(const struct cql_result *result, size_t *at, struct base_buf *out,
                        struct base_err *err)
{
    struct base_reader in = {result->rows.data + *at, result->rows.data + result->rows.len};
    int rc = base_buf_put_u8(out, '{');
    for (size_t i = 0; i < result->column_count && rc == BASE_OK; i++) {
        const struct cql_column_spec *column = &result->columns[i];
        if (in.end - in.p < 4)
            return base_err_set(err, BASE_E_CORRUPT, "a result's row is cut off");
        int32_t len = (int32_t)base_get_be32(in.p);
        in.p += 4;
        if (len > in.end - in.p)
            return base_err_set(err, BASE_E_CORRUPT, "a result's row is cut off");
        if (i > 0)
            rc = base_buf_put(out, ", ", 2);
        if (rc == BASE_OK)
            rc = base_json_put_string(out, column->name);
        if (rc == BASE_OK)
            rc = base_buf_put(out, ": ", 2);
        if (rc != BASE_OK)
            break;
        if (len < 0) {
            rc = base_buf_put(out, "null", 4);
            continue;
        }
        rc = base_value_to_json(column->type, base_slice(in.p, (size_t)len), out, err);
        if (rc != BASE_OK)
            return rc;
        in.p += len;
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, '}');
    *at = (size_t)(in.p - result->rows.data);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

static int put_rows(const struct cql_result *result, struct base_buf *out, struct base_err *err)
{
    size_t at = 0;
    int rc = base_buf_put_u8(out, '[');
    for (uint32_t i = 0; i < result->row_count && rc == BASE_OK; i++) {
        if (i > 0)
            rc = base_buf_put(out, ",\n ", 3);
        if (rc == BASE_OK && (rc = node_query_row_json(result, &at, out, err)) != BASE_OK)
            return rc;
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, ']');
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

int node_query_text(struct node_query *query, const struct cql_result *result, struct base_buf *out,
                    struct base_err *err)
{
    return result->kind == CQL_RESULT_ROWS ? put_rows(result, out, err)
                                           : put_words(query, out, err);
}

int node_cql(struct node_session *session, struct base_slice text, struct base_buf *out,
             struct base_err *err)
{
    const struct node_query_options options = {.consistency = NODE_CL_LOCAL_QUORUM,
                                               .serial_consistency = NODE_CL_SERIAL};
    struct node_query *query;
    const struct cql_result *result;
    int rc = node_query_prepare(session, text, &query, err);
    if (rc != BASE_OK)
        return rc;
    rc = node_query_run(query, NULL, 0, &options, &result, err);
    if (rc == BASE_OK)
        rc = node_query_text(query, result, out, err);
    node_query_free(query);
    return rc;
}
