/* ringlet_import('lab'): every table of the keyspace as lab.<table>, in an attached in-memory
 * schema of that name. Run again, it adds what is new, renews tables whose columns changed, and
 * drops what is gone. */
#include "vtab/vtab_private.h"

static int run(sqlite3 *db, const char *sql, struct base_err *err)
{
    char *message = NULL;
    int rc = BASE_OK;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        rc = base_err_set(err, BASE_E_INVALID, "%s", message ? message : "SQL failed");
    sqlite3_free(message);
    return rc;
}

/* Takes the text over. */
static int run_owned(sqlite3 *db, char *sql, struct base_err *err)
{
    int rc = sql ? run(db, sql, err) : base_err_set(err, BASE_E_NOMEM, "out of memory");
    sqlite3_free(sql);
    return rc;
}

/* The in-memory schema, attached if it is not there. */
static int attach(sqlite3 *db, const char *name, struct base_err *err)
{
    const char *file = sqlite3_db_filename(db, name);
    bool exists = false;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM pragma_database_list WHERE name = ?1 COLLATE NOCASE",
                           -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK)
        exists = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    if (!exists)
        return run_owned(db, sqlite3_mprintf("ATTACH ':memory:' AS \"%w\"", name), err);
    if ((file && file[0]) || sqlite3_stricmp(name, "main") == 0 ||
        sqlite3_stricmp(name, "temp") == 0)
        return base_err_set(err, BASE_E_EXISTS,
                            "a database is attached as %s already: detach it, or attach the "
                            "tables one by one",
                            name);
    return BASE_OK;
}

/* One text that changes when the columns do, from the schema and from SQLite's view of the imported
 * table. */
static int columns_of_schema(const struct base_table *table, struct base_buf *out)
{
    int rc = BASE_OK;
    for (uint32_t id = 0; rc == BASE_OK && id < table->next_column_id; id++) {
        const struct base_column *column = base_table_column_by_id(table, id);
        if (column)
            rc = base_buf_printf(out, "%.*s %s\n", BASE_SLICE_ARG(column->name),
                                 vtabi_sql_type(column->type));
    }
    return rc;
}

static int columns_of_import(sqlite3 *db, const char *schema, const char *table,
                             struct base_buf *out)
{
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT name, type FROM pragma_table_info(%Q, %Q)", table, schema);
    int rc = BASE_OK;
    if (!sql || sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        rc = BASE_E_NOMEM;
    while (rc == BASE_OK && sqlite3_step(statement) == SQLITE_ROW)
        rc = base_buf_printf(out, "%s %s\n", (const char *)sqlite3_column_text(statement, 0),
                             (const char *)sqlite3_column_text(statement, 1));
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return rc;
}

static int import_table(sqlite3 *db, const char *schema, const struct base_table *table,
                        struct base_err *err)
{
    struct base_buf have, want, keyspace, name;
    char *sql_name = vtabi_strdup(table->name);
    struct base_buf *bufs[] = {&have, &want, &keyspace, &name};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_init(bufs[i], VTABI_BUF_MAX);
    int rc = sql_name ? columns_of_schema(table, &want) : BASE_E_NOMEM;
    if (rc == BASE_OK)
        rc = columns_of_import(db, schema, sql_name, &have);
    if (rc == BASE_OK)
        rc = vtabi_put_quoted(table->keyspace, &keyspace);
    if (rc == BASE_OK)
        rc = vtabi_put_quoted(table->name, &name);
    if (rc != BASE_OK)
        rc = base_err_set(err, rc, "out of memory");
    else if (!base_slice_equal(base_buf_view(&have), base_buf_view(&want))) {
        if (have.len)
            rc = run_owned(db, sqlite3_mprintf("DROP TABLE \"%w\".\"%w\"", schema, sql_name), err);
        if (rc == BASE_OK)
            rc = run_owned(
                db,
                sqlite3_mprintf("CREATE VIRTUAL TABLE \"%w\".\"%w\" USING ringlet(%.*s.%.*s)",
                                schema, sql_name, BASE_SLICE_ARG(base_buf_view(&keyspace)),
                                BASE_SLICE_ARG(base_buf_view(&name))),
                err);
    }
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_fini(bufs[i]);
    sqlite3_free(sql_name);
    return rc;
}

/* Imported tables that exist no more. */
static int drop_gone(sqlite3 *db, const char *schema, const struct base_keyspace *keyspace,
                     const struct base_schema *snapshot, struct base_err *err)
{
    sqlite3_stmt *statement = NULL;
    char *sql =
        sqlite3_mprintf("SELECT name FROM \"%w\".sqlite_schema WHERE type = 'table' AND sql LIKE "
                        "'%%USING ringlet(%%'",
                        schema);
    int rc = BASE_OK;
    struct base_buf drops;
    base_buf_init(&drops, VTABI_BUF_MAX);
    if (!sql || sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        rc = base_err_set(err, BASE_E_INVALID, "%s", sqlite3_errmsg(db));
    while (rc == BASE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (base_schema_table(snapshot, keyspace->name, base_slice_str(name)))
            continue;
        char *drop = sqlite3_mprintf("DROP TABLE \"%w\".\"%w\";", schema, name);
        rc = drop ? base_buf_put(&drops, drop, strlen(drop)) : BASE_E_NOMEM;
        sqlite3_free(drop);
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    if (rc == BASE_OK && drops.len) {
        rc = base_buf_put_u8(&drops, 0);
        rc = rc == BASE_OK ? run(db, (const char *)drops.data, err) : rc;
    }
    base_buf_fini(&drops);
    return rc;
}

/* "lab.readings, lab.stations" */
static int put_names(const struct base_keyspace *keyspace, struct base_buf *out)
{
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < keyspace->table_count; i++)
        rc = base_buf_printf(out, "%s%.*s.%.*s", i ? ", " : "", BASE_SLICE_ARG(keyspace->name),
                             BASE_SLICE_ARG(keyspace->tables[i]->name));
    return rc;
}

static int import(struct vtabi_host *host, const char *name, struct base_buf *names,
                  struct base_err *err)
{
    struct vtabi_link *link;
    int rc = vtabi_host_default(host, &link, err);
    if (rc != BASE_OK)
        return rc;
    struct base_schema *schema = node_schema(link->node);
    const struct base_keyspace *keyspace = base_schema_keyspace(schema, base_slice_str(name));
    rc = keyspace ? attach(host->db, name, err)
                  : base_err_set(err, BASE_E_NOTFOUND, "ringlet_import: no keyspace %s in %s", name,
                                 link->dir);
    for (size_t i = 0; rc == BASE_OK && i < keyspace->table_count; i++)
        rc = import_table(host->db, name, keyspace->tables[i], err);
    if (rc == BASE_OK)
        rc = drop_gone(host->db, name, keyspace, schema, err);
    if (rc == BASE_OK)
        rc = put_names(keyspace, names);
    base_schema_release(schema);
    return rc;
}

void vtabi_import(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct base_buf names;
    (void)argc;
    char *name = sqlite3_mprintf("%s", sqlite3_value_text(argv[0]));
    base_buf_init(&names, VTABI_BUF_MAX);
    int rc = name ? import(sqlite3_user_data(context), name, &names, &err)
                  : base_err_set(&err, BASE_E_NOMEM, "out of memory");
    if (rc == BASE_OK)
        sqlite3_result_text64(context, names.len ? (const char *)names.data : "", names.len,
                              SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        vtabi_fail_function(context, rc, &err);
    base_buf_fini(&names);
    sqlite3_free(name);
}
