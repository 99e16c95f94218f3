/* Statements of CQL with values from SQL: ringlet_cql(text, value…), and the table-valued
 * ringlet_query(cql, value…), a page at a time. */
#include "vtab/vtab_private.h"

#define VALUES_MAX 64
#define PAGE_ROWS 1000

/* Values. */

/* SQL values for a statement's markers, serialized. The caller's storage; buf owns the bytes. */
struct values {
    struct cql_value items[VALUES_MAX];
    struct base_buf bytes;
};

static void values_init(struct values *v)
{
    base_buf_init(&v->bytes, VTABI_BUF_MAX);
}

static void values_fini(struct values *v)
{
    base_buf_fini(&v->bytes);
}

static int values_set(struct values *v, const struct node_query *query, int argc,
                      sqlite3_value **argv, struct base_err *err)
{
    const struct cql_column_spec *specs;
    size_t ends[VALUES_MAX], count = cql_prepared_binds(node_query_prepared(query), &specs);
    base_buf_reset(&v->bytes);
    if ((size_t)argc != count)
        return base_err_set(err, BASE_E_INVALID,
                            "the statement has %zu markers, and %d values are given", count, argc);
    if (count > VALUES_MAX)
        return base_err_set(err, BASE_E_LIMIT, "more than %d values", VALUES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct base_sql_value value;
        vtabi_value_get(argv[i], &value);
        v->items[i] = (struct cql_value){.state = value.kind == BASE_SQL_NULL ? CQL_VALUE_NULL
                                                                              : CQL_VALUE_SET};
        int rc = value.kind == BASE_SQL_NULL
                     ? BASE_OK
                     : base_value_from_sql(specs[i].type, &value, &v->bytes, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "value %zu (%.*s)", i + 1, BASE_SLICE_ARG(specs[i].name));
        ends[i] = v->bytes.len;
    }
    for (size_t i = 0; i < count; i++) { /* now that they stay where they are */
        size_t start = i ? ends[i - 1] : 0;
        v->items[i].bytes = base_slice(v->bytes.data + start, ends[i] - start);
    }
    return BASE_OK;
}

static struct base_slice text_of(sqlite3_value *value)
{
    const unsigned char *text = sqlite3_value_text(value);
    return base_slice(text, text ? (size_t)sqlite3_value_bytes(value) : 0);
}

/* ringlet_cql. */

static int run_statement(struct vtabi_host *host, int argc, sqlite3_value **argv,
                         struct base_buf *out, bool *rows, struct base_err *err)
{
    const struct node_query_options options = {.consistency = host->consistency,
                                               .serial_consistency = NODE_CL_SERIAL};
    const struct cql_result *result;
    struct node_query *query;
    struct vtabi_link *link;
    struct values values;
    int rc = vtabi_host_default(host, &link, err);
    if (rc == BASE_OK)
        rc = node_query_prepare(link->session, text_of(argv[0]), &query, err);
    if (rc != BASE_OK)
        return rc;
    values_init(&values);
    rc = values_set(&values, query, argc - 1, argv + 1, err);
    if (rc == BASE_OK)
        rc = node_query_run(query, values.items, (size_t)argc - 1, &options, &result, err);
    if (rc == BASE_OK) {
        *rows = result->kind == CQL_RESULT_ROWS;
        rc = node_query_text(query, result, out, err);
    }
    values_fini(&values);
    node_query_free(query);
    return rc;
}

void vtabi_cql_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct base_buf out;
    bool rows = false;
    if (argc < 1 || sqlite3_value_type(argv[0]) != SQLITE_TEXT) {
        sqlite3_result_error(
            context,
            "ringlet_cql(text [, value…]): one CQL statement, and a value for each ? in it", -1);
        return;
    }
    base_buf_init(&out, VTABI_BUF_MAX);
    int rc = run_statement(sqlite3_user_data(context), argc, argv, &out, &rows, &err);
    if (rc == BASE_OK)
        vtabi_value_result(context,
                           &(struct base_sql_value){.kind = rows ? BASE_SQL_JSON : BASE_SQL_TEXT,
                                                    .bytes = base_buf_view(&out)});
    else
        vtabi_fail_function(context, rc, &err);
    base_buf_fini(&out);
}

/* ringlet_query. */

struct query_table {
    sqlite3_vtab base; /* first */
    struct vtabi_host *host;
};
struct query_cursor {
    sqlite3_vtab_cursor base; /* first */
    struct node_query *query;
    const struct cql_result *result;
    struct values values;
    size_t value_count;
    struct base_buf paging_state, row;
    uint32_t page_row; /* rows of the page that were handed out */
    size_t at;
    sqlite3_int64 number;
    bool eof;
};
enum { COLUMN_ROW, COLUMN_CQL, COLUMN_VALUES };

static void query_table_release(void *host)
{
    vtabi_host_release(host);
}

static int query_connect(sqlite3 *db, void *arg, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **message)
{
    struct base_buf text;
    (void)argc, (void)argv, (void)message;
    base_buf_init(&text, 4096);
    int rc = base_buf_printf(&text, "CREATE TABLE x(\"row\" TEXT, cql TEXT HIDDEN");
    for (int i = 1; i <= VALUES_MAX && rc == BASE_OK; i++)
        rc = base_buf_printf(&text, ", v%d HIDDEN", i);
    if (rc == BASE_OK)
        rc = base_buf_put(&text, ")", 2);
    rc = rc == BASE_OK ? sqlite3_declare_vtab(db, (const char *)text.data) : SQLITE_NOMEM;
    base_buf_fini(&text);
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(
            db, SQLITE_VTAB_DIRECTONLY); /* a stranger's view asks nothing of a cluster */
    struct query_table *table = rc == SQLITE_OK ? sqlite3_malloc64(sizeof *table) : NULL;
    if (!table)
        return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    *table = (struct query_table){.host = arg};
    vtabi_host_acquire(table->host);
    *out = &table->base;
    return SQLITE_OK;
}

static int query_disconnect(sqlite3_vtab *vtab)
{
    vtabi_host_release(((struct query_table *)vtab)->host);
    sqlite3_free(vtab);
    return SQLITE_OK;
}

/* All arguments or none: idxNum is their number, the statement's first. */
static int query_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    int at[VALUES_MAX + 1], count = 0;
    for (int i = 0; i <= VALUES_MAX; i++)
        at[i] = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        if (c->iColumn < COLUMN_CQL || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!c->usable)
            return SQLITE_CONSTRAINT;
        at[c->iColumn - COLUMN_CQL] = i;
    }
    while (count <= VALUES_MAX && at[count] >= 0) {
        info->aConstraintUsage[at[count]].argvIndex = count + 1;
        info->aConstraintUsage[at[count]].omit = 1;
        count++;
    }
    if (count == 0) {
        vtab->zErrMsg =
            sqlite3_mprintf("ringlet_query('SELECT …' [, value…]): the statement is missing");
        return SQLITE_ERROR;
    }
    info->idxNum = count;
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    return SQLITE_OK;
}

static int query_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    struct query_cursor *c = sqlite3_malloc64(sizeof *c);
    (void)vtab;
    if (!c)
        return SQLITE_NOMEM;
    *c = (struct query_cursor){.eof = true};
    values_init(&c->values);
    base_buf_init(&c->paging_state, VTABI_BUF_MAX);
    base_buf_init(&c->row, VTABI_BUF_MAX);
    *out = &c->base;
    return SQLITE_OK;
}

static int query_close(sqlite3_vtab_cursor *cursor)
{
    struct query_cursor *c = (struct query_cursor *)cursor;
    node_query_free(c->query);
    values_fini(&c->values);
    base_buf_fini(&c->paging_state);
    base_buf_fini(&c->row);
    sqlite3_free(c);
    return SQLITE_OK;
}

static int run_page(struct query_cursor *c, struct base_err *err)
{
    const struct query_table *table = (const struct query_table *)c->base.pVtab;
    const struct node_query_options options = {.consistency = table->host->consistency,
                                               .serial_consistency = NODE_CL_SERIAL,
                                               .page_size = PAGE_ROWS,
                                               .paging_state = base_buf_view(&c->paging_state)};
    c->page_row = 0;
    c->at = 0;
    return node_query_run(c->query, c->values.items, c->value_count, &options, &c->result, err);
}

/* The next row as JSON, over as many pages as that takes. */
static int advance(struct query_cursor *c, struct base_err *err)
{
    int rc = BASE_OK;
    base_buf_reset(&c->row);
    while (rc == BASE_OK && c->page_row == c->result->row_count) {
        if (!c->result->has_more) {
            c->eof = true;
            return BASE_OK;
        }
        base_buf_reset(&c->paging_state); /* the result's own goes with the next run */
        rc = base_buf_put_slice(&c->paging_state, base_buf_view(&c->result->paging_state));
        rc = rc == BASE_OK ? run_page(c, err) : base_err_set(err, rc, "%s", base_err_words(rc));
    }
    if (rc != BASE_OK)
        return rc;
    c->page_row++;
    c->number++;
    return node_query_row_json(c->result, &c->at, &c->row, err);
}

static bool gives_rows(enum cql_statement_kind kind)
{
    return kind == CQL_SELECT || kind == CQL_DESCRIBE || kind == CQL_LIST_ROLES;
}

static int start(struct query_cursor *c, int argc, sqlite3_value **argv, struct base_err *err)
{
    const struct query_table *table = (const struct query_table *)c->base.pVtab;
    struct vtabi_link *link;
    int rc = vtabi_host_default(table->host, &link, err);
    if (rc == BASE_OK)
        rc = node_query_prepare(link->session, text_of(argv[0]), &c->query, err);
    if (rc == BASE_OK && !gives_rows(cql_prepared_kind(node_query_prepared(c->query))))
        rc = base_err_set(err, BASE_E_INVALID,
                          "ringlet_query takes statements that give rows; SELECT ringlet_cql('…') "
                          "runs all others");
    c->value_count = (size_t)argc - 1;
    if (rc == BASE_OK)
        rc = values_set(&c->values, c->query, argc - 1, argv + 1, err);
    if (rc == BASE_OK)
        rc = run_page(c, err);
    if (rc != BASE_OK)
        return rc;
    c->eof = false;
    return advance(c, err);
}

static int query_filter(sqlite3_vtab_cursor *cursor, int idx_num, const char *idx_str, int argc,
                        sqlite3_value **argv)
{
    struct query_cursor *c = (struct query_cursor *)cursor;
    struct base_err err = {0};
    (void)idx_num, (void)idx_str;
    node_query_free(c->query);
    c->query = NULL;
    c->eof = true;
    c->number = 0;
    base_buf_reset(&c->paging_state);
    return vtabi_fail(c->base.pVtab, start(c, argc, argv, &err), &err);
}

static int query_next(sqlite3_vtab_cursor *cursor)
{
    struct query_cursor *c = (struct query_cursor *)cursor;
    struct base_err err = {0};
    return vtabi_fail(c->base.pVtab, advance(c, &err), &err);
}

static int query_eof(sqlite3_vtab_cursor *cursor)
{
    return ((struct query_cursor *)cursor)->eof;
}

static int query_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    struct query_cursor *c = (struct query_cursor *)cursor;
    if (column == COLUMN_ROW)
        vtabi_value_result(context, &(struct base_sql_value){.kind = BASE_SQL_JSON,
                                                             .bytes = base_buf_view(&c->row)});
    return SQLITE_OK;
}

static int query_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid)
{
    *rowid = ((struct query_cursor *)cursor)->number;
    return SQLITE_OK;
}

static const sqlite3_module query_module = {
    .xConnect = query_connect,
    .xBestIndex = query_best_index,
    .xDisconnect = query_disconnect,
    .xOpen = query_open,
    .xClose = query_close,
    .xFilter = query_filter,
    .xNext = query_next,
    .xEof = query_eof,
    .xColumn = query_column,
    .xRowid = query_rowid,
};

int vtabi_query_register(struct vtabi_host *host)
{
    vtabi_host_acquire(host);
    return sqlite3_create_module_v2(host->db, "ringlet_query", &query_module, host,
                                    query_table_release);
}
