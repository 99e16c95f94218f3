/* QUERY, PREPARE, EXECUTE, BATCH: from the message to the answer, any number at a time, answered as
 * they end.
 *
 * Invariants:
 *  1. A request's body, values and result live in the request: nothing of it points into the
 *     receive buffer.
 *  2. In the steady state a request allocates nothing: requests come from a pool with their arena
 *     and buffers.
 *  3. Every request is answered once, or its connection has gone.
 *  4. What is begun there was room for (native_receive.c), or it is refused with OVERLOADED before
 *     it is looked at. A result grows while there is room: then a page ends early, and a result
 *     that was asked for in one is OVERLOADED.
 *  5. A batch's statements are bound a slice a turn of the loop.
 *  6. When the schema moved between binding and storing (STALE), nothing was written: it is bound
 *     and tried again. */
#include "node/native_private.h"

#include <stdio.h>

#include "node/cql_admin.h"

enum {
    POOL_MAX = 256,
    KEEP_BYTES = 64 << 10,
    TRIES_MAX = 5,
    /* of a batch, bound in a turn of the loop */
    SLICE_STATEMENTS = 128,
    SLICE_TEXT = 64 << 10
};
#define RESULT_SIZE_MAX (256u << 20)

/* The pool. */

static struct nodei_native_request *take_request(struct nodei_native *native)
{
    struct nodei_native_request *r = native->spare_requests;
    if (r) {
        native->spare_requests = r->next;
        native->spare_request_count--;
        r->next = NULL;
        return r;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    base_arena_init(&r->arena);
    base_buf_init(&r->body, SIZE_MAX / 4);
    base_buf_init(&r->rows, RESULT_SIZE_MAX);
    base_buf_init(&r->paging_state, 1 << 20);
    return r;
}

static void free_request(struct nodei_native_request *r)
{
    base_arena_fini(&r->arena);
    base_buf_fini(&r->body);
    base_buf_fini(&r->rows);
    base_buf_fini(&r->paging_state);
    free(r);
}

void nodei_request_pool_free(struct nodei_native *native)
{
    while (native->spare_requests) {
        struct nodei_native_request *r = native->spare_requests;
        native->spare_requests = r->next;
        free_request(r);
    }
    native->spare_request_count = 0;
}

static void keep_or_free(struct base_buf *buf)
{
    base_buf_reset(buf);
    if (buf->cap > KEEP_BYTES)
        base_buf_fini(buf);
}

/* Take the result's memory back and let go of what it was bound to. */
static void unbind(struct nodei_native_request *r)
{
    if (r->exec.result.rows.len_max) {
        r->rows = r->exec.result.rows;
        r->paging_state = r->exec.result.paging_state;
        keep_or_free(&r->rows);
        keep_or_free(&r->paging_state);
    }
    r->exec.result = (struct cql_result){0};
    nodei_prepared_release(r->entry);
    for (size_t i = 0; r->batch_entries && i < r->batch.statement_count; i++)
        nodei_prepared_release(r->batch_entries[i]);
    if (r->schema)
        base_schema_release(r->schema);
    r->entry = NULL;
    r->bound = 0;
    r->batch_entries = NULL;
    r->batch_items = NULL;
    r->schema = NULL;
    r->prepared = NULL;
}

static void end_request(struct nodei_native_request *r)
{
    struct nodei_native_conn *conn = r->conn;
    struct nodei_native *native = conn->native;
    if (r->has_tracing_id)
        nodei_trace_end(r->client);
    if (r->client != &conn->client &&
        r->exec.result.kind == CQL_RESULT_SET_KEYSPACE) /* a USE that was traced */
        memcpy(conn->client.keyspace, r->client->keyspace, sizeof conn->client.keyspace);
    conn->typical_answer -= conn->typical_answer / 4;
    conn->typical_answer += (uint32_t)(r->exec.result.rows.len / 4);
    unbind(r);
    if (r->next)
        r->next->prev = r->prev;
    *(r->prev ? &r->prev->next : &conn->requests) = r->next;
    BASE_ASSERT(conn->request_count > 0);
    conn->request_count--;
    nodei_hold(conn, NODEI_POOL_REQUESTS, &r->counted, 0);
    nodei_hold(conn, NODEI_POOL_ANSWERS, &r->answer_counted, 0);
    nodei_admit(conn, -1);
    keep_or_free(&r->body);
    if (r->arena.size_bytes > KEEP_BYTES)
        base_arena_fini(&r->arena);
    else
        base_arena_reset(&r->arena);
    if (native->spare_request_count < POOL_MAX) {
        r->prev = NULL;
        r->next = native->spare_requests;
        native->spare_requests = r;
        native->spare_request_count++;
    } else {
        free_request(r);
    }
    if (conn->closing && !conn->requests)
        nodei_conn_dirty(conn);
    nodei_conn_release(conn);
}

/* Answers. */

/* CREATE of something that is there: only for keyspaces and tables the protocol has a code. */
static void name_what_exists(const struct nodei_native_request *r, struct cql_error *error)
{
    const struct cql_statement *s = r->prepared ? cql_prepared_statement(r->prepared) : NULL;
    if (error->code != CQL_ERROR_ALREADY_EXISTS)
        return;
    if (s && s->kind == CQL_CREATE_KEYSPACE) {
        error->keyspace = s->target.name;
    } else if (s && s->kind == CQL_CREATE_TABLE) {
        error->keyspace = s->target.keyspace.data ? s->target.keyspace : r->keyspace;
        error->name = s->target.name;
    } else {
        error->code = CQL_ERROR_INVALID;
    }
}

static void answer_error(struct nodei_native_request *r, int rc, const struct base_err *err,
                         const struct cql_outcome *outcome)
{
    struct cql_error error;
    struct base_slice types[CQL_FAILED_TYPES_MAX];
    cql_error_make(rc, err, outcome, &error);
    name_what_exists(r, &error);
    cql_error_name_function(err, types, &error);
    nodei_conn_answer_error(r->conn, r->stream, &error);
}

static void answer_unprepared(struct nodei_native_request *r, struct base_slice id)
{
    char hex[2 * BASE_DIGEST_LEN + 1] = "", text[128];
    for (size_t i = 0; i < id.len && i < BASE_DIGEST_LEN; i++)
        snprintf(hex + 2 * i, 3, "%02x", id.data[i]);
    snprintf(text, sizeof text, "Prepared query with ID %s not found", hex);
    const struct cql_error error = {
        .code = CQL_ERROR_UNPREPARED, .message = base_slice_str(text), .id = id};
    nodei_conn_answer_error(r->conn, r->stream, &error);
}

/* What the client need not be told of the columns, and what it must. */
static struct cql_rows_options rows_options(const struct nodei_native_request *r)
{
    struct cql_rows_options options = {.skip_metadata = r->options.skip_metadata};
    const struct cql_column_spec *columns;
    if (!r->entry)
        return options;
    if (cql_prepared_columns(r->entry->prepared, &columns) ==
        0) { /* they come anew each time: conditional writes, DESCRIBE */
        options.skip_metadata = false;
    } else if (r->conn->version < 5) {
        options.skip_metadata = options.skip_metadata && !r->entry->columns_moved;
    } else if (!base_slice_equal(r->metadata_id,
                                 base_slice(r->entry->metadata_id, BASE_DIGEST_LEN))) {
        options.new_metadata_id = base_slice(r->entry->metadata_id, BASE_DIGEST_LEN);
    }
    return options;
}

static int put_prefix(struct nodei_native_request *r, uint8_t *flags, struct cql_prefix *prefix)
{
    const struct cql_exec *exec = &r->exec;
    *prefix = (struct cql_prefix){.has_tracing_id = r->has_tracing_id, .tracing_id = r->tracing_id};
    if (exec->warning_count && r->conn->version >= 4) {
        struct base_slice *warnings =
            base_arena_alloc(&r->arena, exec->warning_count * sizeof *warnings);
        if (!warnings)
            return BASE_E_NOMEM;
        for (size_t i = 0; i < exec->warning_count; i++)
            warnings[i] = base_slice_str(exec->warnings[i]);
        prefix->warnings = warnings;
        prefix->warning_count = exec->warning_count;
    }
    *flags = cql_prefix_flags(prefix);
    return BASE_OK;
}

static int put_answer(struct nodei_native_request *r)
{
    struct cql_wire_out *out = &r->conn->out;
    const struct cql_rows_options options = rows_options(r);
    struct cql_prefix prefix;
    uint8_t flags;
    int rc = put_prefix(r, &flags, &prefix);
    if (rc == BASE_OK)
        rc = cql_wire_begin(out, CQL_OPCODE_RESULT, r->stream, flags);
    if (rc != BASE_OK)
        return rc;
    rc = cql_put_prefix(&out->bytes, &prefix);
    if (rc == BASE_OK)
        rc = cql_put_result(&out->bytes, out->version, &r->exec.result, &options);
    if (rc != BASE_OK) {
        cql_wire_abandon(out);
        return rc;
    }
    return cql_wire_end(out);
}

static void answer(struct nodei_native_request *r)
{
    const struct cql_exec *exec = &r->exec;
    if (r->conn->dead)
        return;
    if (exec->rc != BASE_OK) {
        answer_error(r, exec->rc, &exec->err, &exec->outcome);
        return;
    }
    nodei_conn_borrow_out(r->conn);
    int rc = put_answer(r);
    if (rc != BASE_OK)
        answer_error(r, rc, NULL, NULL);
    nodei_conn_dirty(r->conn);
}

/* Binding. */

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

static int prepare_text(struct nodei_native_request *r, struct base_slice text,
                        const struct cql_prepared **out, struct base_err *err)
{
    struct node *node = r->conn->native->node;
    struct cql_statement *statement;
    struct cql_prepared *prepared;
    if (!r->schema)
        r->schema = node_schema(node);
    int rc = cql_parse(&r->arena, text, &statement, err);
    if (rc != BASE_OK)
        return rc;
    struct cql_context context = nodei_cql_context(node, "", r->schema);
    context.keyspace = r->keyspace;
    rc = cql_prepare(&r->arena, statement, &context, &prepared, err);
    *out = prepared;
    return rc;
}

/* Values by name, in the markers' order. */
static int order_values(struct nodei_native_request *r, const struct cql_value **out, size_t *count,
                        struct base_err *err)
{
    const struct cql_query_options *o = &r->options;
    const struct cql_column_spec *specs;
    size_t n = cql_prepared_binds(r->prepared, &specs);
    struct cql_value *ordered = base_arena_alloc(&r->arena, (n + 1) * sizeof *ordered);
    if (!ordered)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < o->value_count && !base_slice_equal(o->names[at], specs[i].name))
            at++;
        if (at == o->value_count)
            return base_err_set(err, BASE_E_INVALID,
                                "No value was given for the bind variable %.*s",
                                BASE_SLICE_ARG(specs[i].name));
        ordered[i] = o->values[at];
    }
    *out = ordered;
    *count = n;
    return BASE_OK;
}

static int bind_batch_begin(struct nodei_native_request *r, struct base_err *err)
{
    size_t count = r->batch.statement_count + 1;
    r->batch_entries = base_arena_zalloc(&r->arena, count * sizeof *r->batch_entries);
    r->batch_items = base_arena_zalloc(&r->arena, count * sizeof *r->batch_items);
    r->batch_epoch = node_schema_epoch(r->conn->native->node);
    return r->batch_entries && r->batch_items ? BASE_OK : no_memory(err);
}

/* The statement at `r->bound`. UNPREPARED has no code of ours: *unprepared is the id then. */
static int bind_statement(struct nodei_native_request *r, struct base_slice *unprepared,
                          struct base_err *err)
{
    struct nodei_native *native = r->conn->native;
    const struct cql_batch_statement *s = &r->batch.statements[r->bound];
    struct cql_batch_item *item = &r->batch_items[r->bound];
    struct nodei_prepared **entry = &r->batch_entries[r->bound];
    item->values = s->values;
    item->value_count = s->value_count;
    if (s->text.data)
        return prepare_text(r, s->text, &item->prepared, err);
    *entry = nodei_prepared_find(&native->prepared, native->node, s->id);
    if (!*entry) {
        *unprepared = s->id;
        return BASE_E_NOTFOUND;
    }
    item->prepared = (*entry)->prepared;
    return BASE_OK;
}

/* The next statements of a batch, as many as a turn of the loop may take. BUSY: there are more. If
 * the schema has moved meanwhile, they are bound anew. */
static int bind_batch(struct nodei_native_request *r, struct base_slice *unprepared,
                      struct base_err *err)
{
    struct node *node = r->conn->native->node;
    size_t text = 0, upto = r->bound + SLICE_STATEMENTS;
    int rc = r->batch_entries ? BASE_OK : bind_batch_begin(r, err);
    for (; rc == BASE_OK && r->bound < r->batch.statement_count; r->bound++) {
        if (r->bound == upto || text > SLICE_TEXT)
            return BASE_E_BUSY;
        text += r->batch.statements[r->bound].text.len;
        rc = bind_statement(r, unprepared, err);
    }
    if (rc != BASE_OK || r->batch_epoch == node_schema_epoch(node) || r->tries >= TRIES_MAX)
        return rc;
    r->tries++;
    unbind(r);
    return BASE_E_BUSY;
}

static int bind(struct nodei_native_request *r, struct base_slice *unprepared, struct base_err *err)
{
    struct nodei_native *native = r->conn->native;
    switch (r->opcode) {
    case CQL_OPCODE_QUERY:
        return prepare_text(r, r->text, &r->prepared, err);
    case CQL_OPCODE_EXECUTE:
        r->entry = nodei_prepared_find(&native->prepared, native->node, r->id);
        if (!r->entry) {
            *unprepared = r->id;
            return BASE_E_NOTFOUND;
        }
        r->prepared = r->entry->prepared;
        r->keyspace = r->entry->keyspace;
        return BASE_OK;
    default:
        return bind_batch(r, unprepared, err);
    }
}

/* Executing. */

static void on_done(struct cql_exec *exec);

/* The request's own bytes: its body, what was parsed, what is about to be written. */
static void count_request(struct nodei_native_request *r)
{
    size_t arena = r->arena.size_bytes > KEEP_BYTES ? r->arena.size_bytes : 0;
    nodei_hold(r->conn, NODEI_POOL_REQUESTS, &r->counted, r->body.len + NODEI_REQUEST_COST + arena);
}

/* A row was put into the result: may it go on growing? What is small is not looked at. */
static bool may_grow(struct cql_exec *exec)
{
    struct nodei_native_request *r = exec->ctx;
    size_t held = exec->result.rows.len + r->arena.size_bytes;
    held -= r->arena_at_start;
    if (held <= KEEP_BYTES || held == r->answer_counted)
        return true;
    nodei_hold(r->conn, NODEI_POOL_ANSWERS, &r->answer_counted, held);
    return nodei_may_answer(r->conn, 0);
}

static int fill_exec(struct nodei_native_request *r, struct base_err *err)
{
    const struct cql_query_options *o = &r->options;
    r->exec = (struct cql_exec){
        .arena = &r->arena,
        .prepared = r->prepared,
        .ports = &r->client->ports,
        .values = o->values,
        .value_count = o->value_count,
        .consistency = o->consistency,
        .serial_consistency = o->serial_consistency,
        .has_timestamp = o->has_timestamp,
        .timestamp_us = o->timestamp_us,
        .page_size = o->has_page_size && o->page_size > 0 ? o->page_size : CQL_PAGE_SIZE_NONE,
        .paging_state = o->paging_state,
        .now_s = o->has_now ? o->now_s : 0,
        .tracing = r->has_tracing_id,
        .keyspace = r->keyspace,
        .may_grow = may_grow,
        .done = on_done,
        .ctx = r,
    };
    cql_result_init(&r->exec.result, RESULT_SIZE_MAX);
    r->exec.result.rows = r->rows;
    r->exec.result.paging_state = r->paging_state;
    base_buf_init(&r->rows, RESULT_SIZE_MAX);
    base_buf_init(&r->paging_state, 1 << 20);
    return o->names && r->prepared ? order_values(r, &r->exec.values, &r->exec.value_count, err)
                                   : BASE_OK;
}

/* A batch that is bound over several turns: it goes on in the next one, while there is memory. */
static int go_on_later(struct nodei_native_request *r, struct base_err *err)
{
    struct nodei_native *native = r->conn->native;
    count_request(r);
    if (!nodei_may_keep(r->conn))
        return base_err_set(err, BASE_E_OVERLOADED,
                            "Server is in overloaded state: %zu statements of a batch have taken "
                            "%zu bytes, and there is no room for more",
                            r->bound, r->counted);
    r->binds_later = true;
    r->later_next = NULL;
    *native->binding_end = r;
    native->binding_end = &r->later_next;
    net_loop_arm(native->loop, &native->bind_again, 1);
    return BASE_E_BUSY;
}

/* True: it has ended, in r->exec. */
static bool start(struct nodei_native_request *r)
{
    struct base_slice unprepared = {0};
    struct base_err err = {0};
    int rc = bind(r, &unprepared, &err);
    if (rc == BASE_E_BUSY && r->opcode == CQL_OPCODE_BATCH &&
        (rc = go_on_later(r, &err)) == BASE_E_BUSY)
        return false;
    if (rc == BASE_E_NOTFOUND && unprepared.data) {
        if (!r->conn->dead)
            answer_unprepared(r, unprepared);
        end_request(r);
        return false;
    }
    if (rc == BASE_OK)
        rc = fill_exec(r, &err);
    if (rc != BASE_OK) {
        if (!r->conn->dead)
            answer_error(r, rc, &err, NULL);
        end_request(r);
        return false;
    }
    count_request(r);
    r->arena_at_start = r->arena.size_bytes;
    r->started = true;
    enum cql_answer answer = r->opcode == CQL_OPCODE_BATCH
                                 ? cql_exec_start_batch(&r->exec, r->batch.kind, r->batch_items,
                                                        r->batch.statement_count)
                                 : cql_exec_start(&r->exec);
    if (answer == CQL_PENDING) {
        count_request(r); /* the mutations of a write */
        return false;
    }
    r->started = false;
    return true;
}

/* It has ended: answer, or bind it anew and go on. */
static void run(struct nodei_native_request *r, bool ended)
{
    while (ended || start(r)) {
        if (r->exec.rc != BASE_E_STALE || r->tries++ >= TRIES_MAX || r->conn->dead) {
            answer(r);
            end_request(r);
            return;
        }
        unbind(r);
        ended = false;
    }
}

static void unqueue(struct nodei_native_request *r)
{
    struct nodei_native *native = r->conn->native;
    struct nodei_native_request **at = &native->binding;
    while (*at != r)
        at = &(*at)->later_next;
    *at = r->later_next;
    if (!r->later_next)
        native->binding_end = at;
    r->binds_later = false;
}

void nodei_requests_bind(struct net_timer *timer)
{
    struct nodei_native *native = BASE_CONTAINER(timer, struct nodei_native, bind_again);
    size_t count = 0;
    for (const struct nodei_native_request *r = native->binding; r; r = r->later_next)
        count++;
    for (; count > 0 && native->binding; count--) { /* not those that come again */
        struct nodei_native_request *r = native->binding;
        unqueue(r);
        run(r, false);
    }
}

static void on_done(struct cql_exec *exec)
{
    struct nodei_native_request *r = exec->ctx;
    r->started = false;
    run(r, true);
}

/* Messages. */

static struct nodei_native_request *begin_request(struct nodei_native_conn *conn,
                                                  const struct cql_message *m)
{
    struct nodei_native *native = conn->native;
    struct nodei_native_request *r = take_request(native);
    if (!r || base_buf_put_slice(&r->body, m->body) != BASE_OK) {
        if (r)
            free_request(r);
        nodei_conn_refuse_overloaded(conn, m->stream);
        return NULL;
    }
    r->conn = conn;
    conn->refs++;
    r->stream = m->stream;
    r->opcode = m->opcode;
    r->tries = 0;
    r->bound = 0;
    r->started = r->binds_later = false;
    r->client = &conn->client;
    r->has_tracing_id = false;
    r->exec.result = (struct cql_result){0};
    r->exec.warning_count = 0;
    r->text = r->keyspace = r->id = r->metadata_id = (struct base_slice){0};
    r->options = (struct cql_query_options){0};
    r->batch = (struct cql_batch_request){0};
    r->counted = r->answer_counted = 0;
    nodei_hold(conn, NODEI_POOL_REQUESTS, &r->counted, m->body.len + NODEI_REQUEST_COST);
    nodei_admit(conn, 1);
    native->stats.requests++;
    r->prev = NULL;
    r->next = conn->requests;
    if (r->next)
        r->next->prev = r;
    conn->requests = r;
    conn->request_count++;
    return r;
}

static int decode(struct nodei_native_request *r, struct base_err *err)
{
    struct base_slice body = base_buf_view(&r->body);
    uint8_t version = r->conn->version;
    struct cql_query query;
    struct cql_execute execute;
    int rc;
    switch (r->opcode) {
    case CQL_OPCODE_QUERY:
        rc = cql_get_query(&r->arena, version, body, &query, err);
        r->text = query.text;
        r->options = query.options;
        return rc;
    case CQL_OPCODE_EXECUTE:
        rc = cql_get_execute(&r->arena, version, body, &execute, err);
        r->id = execute.id;
        r->metadata_id = execute.result_metadata_id;
        r->options = execute.options;
        return rc;
    default:
        rc = cql_get_batch(&r->arena, version, body, &r->batch, err);
        r->options = r->batch.options;
        return rc;
    }
}

/* The session's keyspace as it is now: a later USE does not change what is under way. */
static int set_keyspace(struct nodei_native_request *r, struct base_err *err)
{
    r->keyspace = r->options.keyspace;
    if (r->keyspace.data)
        return BASE_OK;
    return base_arena_copy(&r->arena, base_slice_str(r->conn->client.keyspace), &r->keyspace) ==
                   BASE_OK
               ? BASE_OK
               : no_memory(err);
}

/* A traced request has a client of its own: the trace is the client's. */
static int begin_trace(struct nodei_native_request *r, struct base_err *err)
{
    struct nodei_native *native = r->conn->native;
    struct nodei_client *client = base_arena_alloc(&r->arena, sizeof *client);
    struct base_slice text = r->text;
    if (!client)
        return no_memory(err);
    *client = r->conn->client;
    client->trace = NULL;
    if (r->opcode == CQL_OPCODE_EXECUTE) {
        struct nodei_prepared *entry = nodei_prepared_find(&native->prepared, native->node, r->id);
        if (entry && base_arena_copy(&r->arena, entry->text, &text) != BASE_OK)
            text = (struct base_slice){0};
        nodei_prepared_release(entry);
    } else if (r->opcode == CQL_OPCODE_BATCH) {
        text = BASE_SLICE_LIT("BATCH");
    }
    int rc = nodei_trace_begin(client, text, &r->tracing_id, err);
    if (rc == BASE_OK) {
        nodei_trace_describe(client,
                             r->opcode == CQL_OPCODE_EXECUTE ? "Execute CQL3 prepared query"
                             : r->opcode == CQL_OPCODE_BATCH ? "Execute batch of CQL3 queries"
                                                             : "Execute CQL3 query",
                             r->options.consistency, r->options.serial_consistency,
                             r->options.has_page_size ? r->options.page_size : 0);
        r->client = client;
        r->has_tracing_id = true;
    }
    return rc;
}

static void handle_prepare(struct nodei_native_conn *conn, const struct cql_message *m)
{
    struct nodei_native *native = conn->native;
    struct cql_prepare_request request;
    struct nodei_prepared *entry = NULL;
    struct base_err err = {0};
    struct base_buf body;
    int rc = cql_get_prepare(conn->version, m->body, &request, &err);
    if (rc != BASE_OK) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL, "%s", err.text);
        return;
    }
    struct base_slice keyspace =
        request.keyspace.data ? request.keyspace : base_slice_str(conn->client.keyspace);
    base_buf_init(&body, 64u << 20);
    native->stats.requests++;
    rc = nodei_prepared_make(&native->prepared, native->node, request.text, keyspace, &entry, &err);
    if (rc == BASE_OK) {
        struct cql_prepared_info info = {.id = base_slice(entry->id, BASE_DIGEST_LEN),
                                         .result_metadata_id =
                                             base_slice(entry->metadata_id, BASE_DIGEST_LEN)};
        info.bind_count = cql_prepared_binds(entry->prepared, &info.binds);
        info.pk_count = cql_prepared_pk_binds(entry->prepared, &info.pk_indexes);
        info.column_count = cql_prepared_columns(entry->prepared, &info.columns);
        rc = cql_put_prepared(&body, conn->version, &info);
    }
    if (rc == BASE_OK) {
        nodei_conn_answer(conn, CQL_OPCODE_RESULT, m->stream, base_buf_view(&body));
    } else {
        struct cql_error error;
        cql_error_make(rc, err.text[0] ? &err : NULL, NULL, &error);
        nodei_conn_answer_error(conn, m->stream, &error);
    }
    nodei_prepared_release(entry);
    base_buf_fini(&body);
}

void nodei_request_handle(struct nodei_native_conn *conn, struct cql_message *m)
{
    struct base_arena scratch; /* for a custom payload, which is taken and ignored */
    struct cql_prefix prefix;
    struct base_err err = {0};
    int rc = BASE_OK;
    if (m->flags & CQL_FLAG_CUSTOM_PAYLOAD) {
        base_arena_init(&scratch);
        rc = cql_get_prefix(m, &scratch, &prefix, &err);
        base_arena_fini(&scratch);
    }
    if (rc != BASE_OK) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL, "%s", err.text);
        return;
    }
    if (m->opcode == CQL_OPCODE_PREPARE) {
        handle_prepare(conn, m);
        return;
    }
    if (m->opcode != CQL_OPCODE_QUERY && m->opcode != CQL_OPCODE_EXECUTE &&
        m->opcode != CQL_OPCODE_BATCH) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL, "Unknown opcode %u", m->opcode);
        return;
    }
    struct nodei_native_request *r = begin_request(conn, m);
    if (!r)
        return;
    rc = decode(r, &err);
    if (rc == BASE_OK && r->opcode != CQL_OPCODE_EXECUTE)
        rc = set_keyspace(r, &err);
    if (rc != BASE_OK) {
        nodei_conn_answer_code(conn, m->stream,
                               rc == BASE_E_INVALID ? CQL_ERROR_PROTOCOL : CQL_ERROR_OVERLOADED,
                               "%s", err.text);
        end_request(r);
        return;
    }
    if ((m->flags & CQL_FLAG_TRACING) && begin_trace(r, &err) != BASE_OK)
        base_logf(conn->native->node->log, BASE_LOG_WARN, "a request could not be traced: %s",
                  err.text);
    run(r, false);
}

void nodei_requests_abandon(struct nodei_native_conn *conn)
{
    struct nodei_native_request *next;
    for (struct nodei_native_request *r = conn->requests; r; r = next) {
        next = r->next;
        if (r->binds_later) {
            unqueue(r);
            end_request(r);
            continue;
        }
        if (r->started && cql_exec_cancel(&r->exec))
            end_request(r);
    }
}
