/* The module: creating, connecting, binding to the schema, detaching.
 *
 * 1. xConnect never fails because the data cannot be had: then columns come from the definition's
 *    text or the shadow table, and the first use says what is wrong. DROP, RENAME and .schema work
 *    without the node.
 * 2. DROP TABLE detaches. It never removes data: SQLite may bring the table back by ROLLBACK.
 * 3. Columns are declared in the order of their ids: as defined, then as added. */
#include "vtab/vtab_private.h"

#include <stdio.h>

/* Binding. */

struct vtabi_binding *vtabi_binding_acquire(struct vtabi_binding *binding)
{
    binding->refs++;
    return binding;
}

void vtabi_binding_release(struct vtabi_binding *binding)
{
    if (!binding || --binding->refs)
        return;
    base_schema_release(binding->schema);
    sqlite3_free(binding);
}

static int compare_column_ids(const struct base_column *a, const struct base_column *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

/* One block: the binding and its arrays. */
static struct vtabi_binding *binding_alloc(int declared, const struct base_table *schema)
{
    size_t n = (size_t)declared, ids = schema->next_column_id;
    size_t ints = schema->partition_key_count + schema->clustering_count + ids + n;
    struct vtabi_binding *b =
        sqlite3_malloc64(sizeof *b + n * sizeof b->columns[0] + ints * sizeof(int));
    if (!b)
        return NULL;
    *b = (struct vtabi_binding){.refs = 1, .table = schema, .id_count = schema->next_column_id};
    b->columns = (const struct base_column **)(b + 1);
    b->partition = (int *)(b->columns + n);
    b->clustering = b->partition + schema->partition_key_count;
    b->by_id = b->clustering + schema->clustering_count;
    b->cells = b->by_id + ids;
    for (size_t i = 0; i < ids; i++)
        b->by_id[i] = -1;
    return b;
}

/* Insert a declared column among the cells, which ascend by id. */
static void binding_add_cell(struct vtabi_binding *b, int first, int column)
{
    int i = b->cell_count++;
    for (; i > 0; i--) {
        int before = b->cells[i - 1];
        if (compare_column_ids(b->columns[before - first], b->columns[column - first]) < 0)
            break;
        b->cells[i] = before;
    }
    b->cells[i] = column;
}

static int binding_fill(struct vtabi_binding *b, const struct vtabi_table *table,
                        struct base_err *err)
{
    size_t keys = 0;
    for (int i = 0; i < table->column_count; i++) {
        const struct base_column *c = base_table_column(b->table, table->columns[i]);
        int column = i + table->column_first;
        b->columns[i] = c;
        if (!c)
            continue;
        BASE_ASSERT(c->id < b->id_count);
        b->by_id[c->id] = column;
        b->has_static |= c->kind == BASE_COLUMN_STATIC;
        switch (c->kind) {
        case BASE_COLUMN_PARTITION_KEY:
            b->partition[c->position] = column;
            keys++;
            break;
        case BASE_COLUMN_CLUSTERING:
            b->clustering[c->position] = column;
            keys++;
            break;
        case BASE_COLUMN_STATIC:
        case BASE_COLUMN_REGULAR:
            binding_add_cell(b, table->column_first, column);
            break;
        }
    }
    if (keys != b->table->partition_key_count + b->table->clustering_count)
        return base_err_set(err, BASE_E_STALE,
                            "%.*s.%.*s has another primary key now: open the database again",
                            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->cql_name));
    return BASE_OK;
}

static int not_found(const struct vtabi_table *table, struct base_err *err)
{
    return base_err_set(err, BASE_E_NOTFOUND, "table %.*s.%.*s does not exist in %s",
                        BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->cql_name),
                        table->link->dir);
}

int vtabi_table_bind(struct vtabi_table *table, struct base_err *err)
{
    if (BASE_UNLIKELY(!table->link || !table->link->node)) {
        int rc = vtabi_host_link(table->host, table->schema, table->node_dir, &table->link, err);
        if (rc != BASE_OK)
            return rc;
    }
    int rc = vtabi_link_open(table->link, NULL, 0, false, err);
    if (rc != BASE_OK)
        return rc;
    struct vtabi_binding *old = table->binding;
    if (BASE_LIKELY(old && old->schema->epoch == node_schema_epoch(table->link->node)))
        return BASE_OK;
    struct base_schema *schema = node_schema(table->link->node);
    const struct base_table *found = base_schema_table(schema, table->keyspace, table->cql_name);
    struct vtabi_binding *binding = found ? binding_alloc(table->column_count, found) : NULL;
    if (!binding) {
        base_schema_release(schema);
        return found ? base_err_set(err, BASE_E_NOMEM, "out of memory") : not_found(table, err);
    }
    binding->schema = schema;
    rc = binding_fill(binding, table, err);
    if (rc != BASE_OK) {
        vtabi_binding_release(binding);
        return rc;
    }
    vtabi_binding_release(old);
    table->binding = binding;
    return BASE_OK;
}

struct base_slice vtabi_column_name(const struct vtabi_table *table, int column)
{
    int index = column - table->column_first;
    BASE_ASSERT(index >= 0 && index < table->column_count);
    return table->columns[index];
}

/* The shadow table of the attach form. */

static bool has_shadow(const struct vtabi_table *table)
{
    const char *file = sqlite3_db_filename(table->host->db, table->schema);
    return table->attached && file && file[0];
}

static int exec(struct vtabi_table *table, char *sql, struct base_err *err)
{
    if (!sql)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    char *message = NULL;
    int rc = BASE_OK;
    if (sqlite3_exec(table->host->db, sql, NULL, NULL, &message) != SQLITE_OK)
        rc = base_err_set(err, BASE_E_INVALID, "%s", message ? message : "SQL failed");
    sqlite3_free(message);
    sqlite3_free(sql);
    return rc;
}

static int shadow_write(struct vtabi_table *table, const struct vtabi_declared *columns, int count,
                        struct base_err *err)
{
    if (!has_shadow(table))
        return BASE_OK;
    int rc = exec(
        table,
        sqlite3_mprintf("CREATE TABLE IF NOT EXISTS \"%w\".\"%w_columns\"(position INTEGER PRIMARY "
                        "KEY, name TEXT NOT NULL, type TEXT NOT NULL);"
                        "DELETE FROM \"%w\".\"%w_columns\"",
                        table->schema, table->name, table->schema, table->name),
        err);
    for (int i = 0; rc == BASE_OK && i < count; i++)
        rc = exec(table,
                  sqlite3_mprintf("INSERT INTO \"%w\".\"%w_columns\" VALUES(%d, '%.*q', '%q')",
                                  table->schema, table->name, i, BASE_SLICE_ARG(columns[i].name),
                                  columns[i].sql_type),
                  err);
    return rc;
}

/* A type's name from the shadow table: one of ours, whatever stands there. */
static const char *known_type(const char *text)
{
    static const char *const types[] = {"INTEGER", "REAL", "BLOB"};
    for (size_t i = 0; text && i < BASE_COUNT(types); i++)
        if (strcmp(text, types[i]) == 0)
            return types[i];
    return "TEXT";
}

static int shadow_read(struct vtabi_table *table, struct vtabi_declared **out, int *count,
                       struct base_err *err)
{
    char *sql =
        sqlite3_mprintf("SELECT name, type, (SELECT count(*) FROM \"%w\".\"%w_columns\") FROM "
                        "\"%w\".\"%w_columns\" ORDER BY position",
                        table->schema, table->name, table->schema, table->name);
    sqlite3_stmt *statement = NULL;
    *count = 0;
    *out = NULL;
    if (!sql || sqlite3_prepare_v2(table->host->db, sql, -1, &statement, NULL) != SQLITE_OK) {
        sqlite3_free(sql);
        return base_err_set(err, BASE_E_NOTFOUND, "%s_columns: %s", table->name,
                            sqlite3_errmsg(table->host->db));
    }
    int rc = BASE_OK;
    while (rc == BASE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        size_t n = (size_t)sqlite3_column_int(statement, 2);
        if (!*out)
            *out = base_arena_zalloc(&table->arena, (n + 1) * sizeof **out);
        if (!*out) {
            rc = BASE_E_NOMEM;
            break;
        }
        struct vtabi_declared *column = &(*out)[(*count)++];
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        column->sql_type = known_type((const char *)sqlite3_column_text(statement, 1));
        column->collation = NULL; /* no rows will be compared */
        rc = base_arena_copy(&table->arena, base_slice_str(name ? name : ""), &column->name);
        if (*count > (int)n)
            break;
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "out of memory");
}

/* Create and connect. */

static void table_free(struct vtabi_table *table)
{
    vtabi_txn_leave(table);
    vtabi_cursor_free(table->spare_cursor);
    vtabi_binding_release(table->binding);
    vtabi_writer_fini(&table->writer);
    base_arena_fini(&table->arena);
    sqlite3_free(table->schema);
    sqlite3_free(table->name);
    vtabi_host_release(table->host);
    sqlite3_free(table);
}

static struct vtabi_table *table_new(struct vtabi_host *host, const char *const *argv)
{
    struct vtabi_table *table = sqlite3_malloc64(sizeof *table);
    if (!table)
        return NULL;
    *table = (struct vtabi_table){.host = host, .scan_consistency = -1};
    vtabi_host_acquire(host);
    base_arena_init(&table->arena);
    vtabi_writer_init(&table->writer);
    table->schema = sqlite3_mprintf("%s", argv[1]);
    table->name = sqlite3_mprintf("%s", argv[2]);
    if (!table->schema || !table->name) {
        table_free(table);
        return NULL;
    }
    return table;
}

/* Make sure that the table exists and agrees with the definition. */
static int create_in_node(struct vtabi_table *table, const struct vtabi_definition *definition,
                          struct base_err *err)
{
    bool attached;
    int rc = vtabi_link_open(table->link, NULL, 0, true, err);
    if (rc != BASE_OK || definition->attach)
        return rc;
    return node_create_table(table->link->session, table->keyspace, table->cql_name,
                             definition->columns, definition->with, &attached, err);
}

/* xConnect: no network I/O. A cluster's columns are had only if this connection talks to it
 * already. */
static int connect_to_node(struct vtabi_table *table, struct base_err *err)
{
    if (table->link->contacts && !table->link->node)
        return base_err_set(err, BASE_E_CLOSED, "%s is not connected yet", table->link->dir);
    return vtabi_link_open(table->link, NULL, 0, false, err);
}

/* The columns as the node has them, by id. */
static int columns_of_node(struct vtabi_table *table, struct vtabi_declared **out, int *count,
                           struct base_err *err)
{
    struct base_schema *schema = node_schema(table->link->node);
    const struct base_table *found = base_schema_table(schema, table->keyspace, table->cql_name);
    int rc = found ? BASE_OK : not_found(table, err);
    *count = 0;
    *out = found ? base_arena_alloc(&table->arena, (found->column_count + 1) * sizeof **out) : NULL;
    if (rc == BASE_OK && !*out)
        rc = base_err_set(err, BASE_E_NOMEM, "out of memory");
    for (uint32_t id = 0; rc == BASE_OK && id < found->next_column_id; id++) {
        const struct base_column *column = base_table_column_by_id(found, id);
        if (!column)
            continue;
        struct vtabi_declared *declared = &(*out)[(*count)++];
        declared->sql_type = vtabi_sql_type(column->type);
        declared->collation = vtabi_collation(column->type);
        rc = base_arena_copy(&table->arena, column->name, &declared->name);
    }
    base_schema_release(schema);
    return rc;
}

static int keep_names(struct vtabi_table *table, const struct vtabi_declared *columns, int count)
{
    table->columns =
        base_arena_alloc(&table->arena, ((size_t)count + 1) * sizeof table->columns[0]);
    if (!table->columns)
        return BASE_E_NOMEM;
    for (int i = 0; i < count; i++)
        table->columns[i] = columns[i].name;
    return BASE_OK;
}

static int table_setup(struct vtabi_table *table, int argc, const char *const *argv, bool create,
                       struct base_err *err)
{
    struct vtabi_definition definition;
    struct vtabi_declared *columns = NULL;
    int count = 0;
    int rc = vtabi_define_parse(&table->arena, argc, argv, &definition, err);
    if (rc != BASE_OK)
        return rc;
    table->keyspace = definition.keyspace;
    table->cql_name = definition.table;
    table->node_dir = definition.node_dir;
    table->renames = definition.names_table;
    table->attached = definition.attach;
    rc = vtabi_host_link(table->host, table->schema, table->node_dir, &table->link, err);
    if (rc == BASE_OK)
        rc = create ? create_in_node(table, &definition, err) : connect_to_node(table, err);
    if (rc == BASE_OK)
        rc = columns_of_node(table, &columns, &count, err);
    if (rc != BASE_OK && !create)
        rc = definition.attach
                 ? shadow_read(table, &columns, &count, err)
                 : vtabi_define_columns(&table->arena, definition.columns, &columns, &count, err);
    if (rc == BASE_OK)
        rc = keep_names(table, columns, count);
    if (rc == BASE_OK)
        rc = vtabi_declare(table, columns, count, err);
    if (rc == BASE_OK && create)
        rc = shadow_write(table, columns, count, err);
    if (rc == BASE_OK && create)
        rc = vtabi_txn_join(table, err); /* SQLite counts a created table in without xBegin */
    return rc;
}

static int create_or_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                             sqlite3_vtab **out, char **message, bool create)
{
    struct base_err err = {0};
    struct vtabi_table *table = table_new(aux, argv);
    *out = NULL;
    if (!table)
        return SQLITE_NOMEM;
    int rc = table_setup(table, argc, argv, create, &err);
    if (rc != BASE_OK) {
        *message = sqlite3_mprintf("%s", err.text[0] ? err.text : base_err_words(rc));
        table_free(table);
        return vtabi_sqlite_code(rc);
    }
    (void)sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    *out = &table->base;
    return SQLITE_OK;
}

static int module_create(sqlite3 *db, void *aux, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **message)
{
    return create_or_connect(db, aux, argc, argv, out, message, true);
}

static int module_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **message)
{
    return create_or_connect(db, aux, argc, argv, out, message, false);
}

static int module_disconnect(sqlite3_vtab *vtab)
{
    table_free((struct vtabi_table *)vtab);
    return SQLITE_OK;
}

/* DROP TABLE inside a transaction that wrote to the table would lose those writes or make them stay
 * after ROLLBACK: SQLite calls neither xSync nor xRollback for a dropped table. It is refused. */
static int module_destroy(sqlite3_vtab *vtab)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct base_err err = {0};
    if (table->joined && table->wrote)
        return SQLITE_LOCKED;
    if (has_shadow(table)) {
        int rc = exec(table,
                      sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\".\"%w_columns\"", table->schema,
                                      table->name),
                      &err);
        if (rc != BASE_OK)
            return vtabi_fail(vtab, rc, &err);
    }
    table_free(table);
    return SQLITE_OK;
}

static int module_rename(sqlite3_vtab *vtab, const char *name)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct base_err err = {0};
    if (!table->renames) {
        base_err_set(&err, BASE_E_INVALID,
                     "%s is named after %.*s.%.*s: to use another name, create it with "
                     "table='%.*s' or attach "
                     "%.*s.%.*s",
                     table->name, BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->cql_name),
                     BASE_SLICE_ARG(table->cql_name), BASE_SLICE_ARG(table->keyspace),
                     BASE_SLICE_ARG(table->cql_name));
        return vtabi_fail(vtab, BASE_E_INVALID, &err);
    }
    char *copy = sqlite3_mprintf("%s", name);
    if (!copy)
        return SQLITE_NOMEM;
    int rc = BASE_OK;
    if (has_shadow(table))
        rc = exec(table,
                  sqlite3_mprintf("ALTER TABLE \"%w\".\"%w_columns\" RENAME TO \"%w_columns\"",
                                  table->schema, table->name, name),
                  &err);
    if (rc != BASE_OK) {
        sqlite3_free(copy);
        return vtabi_fail(vtab, rc, &err);
    }
    sqlite3_free(table->name);
    table->name = copy;
    return SQLITE_OK;
}

static int module_shadow_name(const char *suffix)
{
    return sqlite3_stricmp(suffix, "columns") == 0;
}

const sqlite3_module vtabi_module = {
    .iVersion = 3,
    .xCreate = module_create,
    .xConnect = module_connect,
    .xBestIndex = vtabi_best_index,
    .xDisconnect = module_disconnect,
    .xDestroy = module_destroy,
    .xOpen = vtabi_cursor_open,
    .xClose = vtabi_cursor_close,
    .xFilter = vtabi_cursor_filter,
    .xNext = vtabi_cursor_next,
    .xEof = vtabi_cursor_eof,
    .xColumn = vtabi_cursor_column,
    .xRowid = vtabi_cursor_rowid,
    .xUpdate = vtabi_update,
    .xBegin = vtabi_txn_begin,
    .xSync = vtabi_txn_sync,
    .xCommit = vtabi_txn_commit,
    .xRollback = vtabi_txn_rollback,
    .xRename = module_rename,
    .xSavepoint = vtabi_txn_savepoint,
    .xRelease = vtabi_txn_release,
    .xRollbackTo = vtabi_txn_rollback_to,
    .xShadowName = module_shadow_name,
};
