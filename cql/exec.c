/* Preparing and executing statements: which part does what (cql/exec.h). The parts: select*.c,
 * modify*.c, expr*.c, describe*.c. */
#include "cql/exec.h"

#include "cql/expr.h"

#include <stdarg.h>
#include <stdio.h>

const struct cql_limits cql_limits_default = {.batch_size_warn = 5 << 10,
                                              .batch_size_fail = 50 << 10,
                                              .unlogged_batch_partitions_warn = 10,
                                              .in_select_max = 65535};

/* Preparing. */

int cqli_prepare_no_memory(struct cqli_prepare *p)
{
    return base_err_set(p->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

static int prepare_table(struct cqli_prepare *p, struct base_slice keyspace, struct base_slice name,
                         const struct base_table **out)
{
    const struct base_schema *const places[] = {p->context->schema, p->context->system};
    bool found = false;
    for (size_t i = 0; i < BASE_COUNT(places); i++) {
        if (!places[i])
            continue;
        found = found || base_schema_keyspace(places[i], keyspace);
        *out = base_schema_table(places[i], keyspace, name);
        if (*out)
            return BASE_OK;
    }
    if (!found)
        return base_err_set(p->err, BASE_E_INVALID, "keyspace %.*s does not exist",
                            BASE_SLICE_ARG(keyspace));
    return base_err_set(p->err, BASE_E_INVALID, "table %.*s does not exist", BASE_SLICE_ARG(name));
}

int cqli_prepare_table(struct cqli_prepare *p, const struct cql_name *name,
                       const struct base_table **out)
{
    struct base_slice keyspace = name->keyspace.data ? name->keyspace : p->context->keyspace;
    *out = NULL;
    if (keyspace.len == 0)
        return base_err_set(p->err, BASE_E_INVALID,
                            "No keyspace has been specified. USE a keyspace, or explicitly specify "
                            "keyspace.tablename");
    return prepare_table(p, keyspace, name->name, out);
}

static int prepare_parts(struct cqli_prepare *p, struct cql_prepared *out)
{
    switch (p->statement->kind) {
    case CQL_SELECT:
    case CQL_INSERT:
    case CQL_UPDATE:
    case CQL_DELETE: {
        int rc = cqli_prepare_table(p, &p->statement->target, &p->table);
        if (rc != BASE_OK)
            return rc;
        out->table = p->table;
        return p->statement->kind == CQL_SELECT ? cqli_select_prepare(p, out)
                                                : cqli_modify_prepare(p, out);
    }
    case CQL_BATCH:
        return cqli_batch_prepare(p, out);
    case CQL_REFUSED:
        return base_err_set(p->err, BASE_E_INVALID, "%s is not supported: %s",
                            p->statement->refused, p->statement->refused_why);
    default:
        return BASE_OK; /* judged when it is carried out */
    }
}

int cql_prepare(struct base_arena *arena, const struct cql_statement *statement,
                const struct cql_context *context, struct cql_prepared **out_io,
                struct base_err *err)
{
    struct cqli_prepare p = {.arena = arena,
                             .statement = statement,
                             .context = context,
                             .err = err,
                             .bind_count = statement->bind_count};
    struct cql_prepared *out = base_arena_zalloc(arena, sizeof *out);
    *out_io = NULL;
    p.binds = base_arena_zalloc(arena, (p.bind_count + 1) * sizeof *p.binds);
    if (!out || !p.binds)
        return cqli_prepare_no_memory(&p);
    out->kind = statement->kind;
    out->statement = statement;
    int rc = prepare_parts(&p, out);
    if (rc != BASE_OK)
        return rc;
    out->binds = p.binds;
    out->bind_count = p.bind_count;
    for (size_t i = 0; i < p.bind_count; i++) {
        if (!p.binds[i].type)
            return base_err_set(err, BASE_E_INVALID, "Bind variables are not allowed here");
    }
    *out_io = out;
    return BASE_OK;
}

enum cql_statement_kind cql_prepared_kind(const struct cql_prepared *p)
{
    return p->kind;
}

const struct cql_statement *cql_prepared_statement(const struct cql_prepared *p)
{
    return p->statement;
}

size_t cql_prepared_binds(const struct cql_prepared *p, const struct cql_column_spec **specs)
{
    *specs = p->binds;
    return p->bind_count;
}

size_t cql_prepared_pk_binds(const struct cql_prepared *p, const uint16_t **indexes)
{
    *indexes = p->pk_binds;
    return p->pk_bind_count;
}

size_t cql_prepared_columns(const struct cql_prepared *p, const struct cql_column_spec **specs)
{
    *specs = p->columns;
    return p->column_count;
}

const struct base_table *cql_prepared_table(const struct cql_prepared *p)
{
    return p->table;
}

/* Results. */

void cql_result_init(struct cql_result *result, size_t size_bytes_max)
{
    *result = (struct cql_result){.kind = CQL_RESULT_VOID};
    base_buf_init(&result->rows, size_bytes_max);
    base_buf_init(&result->paging_state, 1 << 20);
}

void cql_result_fini(struct cql_result *result)
{
    base_buf_fini(&result->rows);
    base_buf_fini(&result->paging_state);
}

/* Executing. */

void cqli_warn(struct cql_exec *exec, const char *fmt, ...)
{
    if (exec->warning_count == CQL_WARNINGS_MAX)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *copy = base_arena_strdup(exec->arena, base_slice_str(text));
    if (copy) /* a warning is worth no failure */
        exec->warnings[exec->warning_count++] = copy;
}

void cqli_exec_finish(struct cql_exec *exec)
{
    exec->done(exec);
}

/* The node's part has ended: schema changes, roles, USE, TRUNCATE. */
static void admin_take(struct cql_exec *exec, struct cql_admin *admin)
{
    exec->rc = admin->rc;
    exec->err = admin->err;
    exec->outcome = admin->outcome;
}

static void admin_ready(struct cql_admin *admin)
{
    struct cql_exec *exec = admin->ctx;
    admin_take(exec, admin);
    cqli_exec_finish(exec);
}

static enum cql_answer admin_start(struct cql_exec *exec)
{
    struct cql_admin *admin = base_arena_zalloc(exec->arena, sizeof *admin);
    if (!admin) {
        exec->rc = base_err_set(&exec->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        return CQL_DONE;
    }
    *admin = (struct cql_admin){.statement = exec->prepared->statement,
                                .arena = exec->arena,
                                .keyspace = exec->keyspace,
                                .ready = admin_ready,
                                .result = &exec->result,
                                .ctx = exec};
    if (exec->ports->ops->admin(exec->ports, admin) == CQL_PENDING)
        return CQL_PENDING;
    admin_take(exec, admin);
    return CQL_DONE;
}

static int check_values(struct cql_exec *exec)
{
    const struct cql_prepared *p = exec->prepared;
    if (exec->value_count != p->bind_count)
        return base_err_set(&exec->err, BASE_E_INVALID,
                            "Invalid amount of bind variables: there are %zu, and %zu values",
                            p->bind_count, exec->value_count);
    return BASE_OK;
}

enum cql_answer cql_exec_start(struct cql_exec *exec)
{
    exec->rc = check_values(exec);
    if (exec->rc != BASE_OK)
        return CQL_DONE;
    switch (exec->prepared->kind) {
    case CQL_SELECT:
        return cqli_select_start(exec);
    case CQL_INSERT:
    case CQL_UPDATE:
    case CQL_DELETE:
    case CQL_BATCH:
        return cqli_modify_start(exec);
    default:
        return admin_start(exec);
    }
}

enum cql_answer cql_exec_start_batch(struct cql_exec *exec, enum cql_batch_kind kind,
                                     const struct cql_batch_item *items, size_t count)
{
    return cqli_batch_start(exec, kind, items, count);
}

bool cql_exec_cancel(struct cql_exec *exec)
{
    if (!exec->prepared)
        return cqli_modify_cancel(exec);
    switch (exec->prepared->kind) {
    case CQL_SELECT:
        return cqli_select_cancel(exec);
    case CQL_INSERT:
    case CQL_UPDATE:
    case CQL_DELETE:
    case CQL_BATCH:
        return cqli_modify_cancel(exec);
    default:
        return false;
    }
}
