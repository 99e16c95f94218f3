/* Eponymous tables about the connection's default node: ringlet_tables, ringlet_metrics, and, from
 * the answers of nodetool's commands, ringlet_status, ringlet_ring, ringlet_peers. The rows are
 * made whole by xFilter: there are as many as tables, metrics, members or tokens. */
#include "vtab/vtab_private.h"

#include <stdio.h>

#include "base/json.h"

struct listing {
    const char *name, *declaration;
    int column_count;
    BASE_MUST int (*fill)(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                          struct base_err *err);
};
struct listing_table {
    sqlite3_vtab base; /* first */
    struct vtabi_host *host;
    const struct listing *listing;
};
/* Cells one after the other: kind u8, then 8 bytes (INTEGER, REAL) or varint length and text. */
struct listing_cursor {
    sqlite3_vtab_cursor base; /* first */
    struct base_buf rows;
    size_t count, row;
    size_t at; /* of the current row */
};

static int put_text(struct base_buf *rows, struct base_slice text)
{
    int rc = base_buf_put_u8(rows, BASE_SQL_TEXT);
    return rc == BASE_OK ? base_buf_put_bytes(rows, text) : rc;
}

static int put_real(struct base_buf *rows, double real)
{
    int rc = base_buf_put_u8(rows, BASE_SQL_REAL);
    return rc == BASE_OK ? base_buf_put(rows, &real, sizeof real) : rc;
}

static bool get_cell(struct base_reader *reader, struct base_sql_value *out)
{
    uint8_t kind;
    struct base_slice raw;
    *out = (struct base_sql_value){0};
    if (!base_get_u8(reader, &kind))
        return false;
    out->kind = (enum base_sql_kind)kind;
    if (kind == BASE_SQL_TEXT)
        return base_get_bytes(reader, &out->bytes);
    if (kind == BASE_SQL_NULL)
        return true;
    if (!base_get_raw(reader, 8, &raw))
        return false;
    memcpy(kind == BASE_SQL_REAL ? (void *)&out->real : (void *)&out->integer, raw.data, 8);
    return true;
}

/* ringlet_tables. */

static int put_names(struct base_buf *rows, const struct base_column *columns, size_t n)
{
    struct base_buf names;
    int rc = BASE_OK;
    base_buf_init(&names, VTABI_BUF_MAX);
    for (size_t i = 0; rc == BASE_OK && i < n; i++)
        rc = base_buf_printf(&names, "%s%.*s%s", i ? ", " : "", BASE_SLICE_ARG(columns[i].name),
                             columns[i].descending ? " DESC" : "");
    if (rc == BASE_OK)
        rc = put_text(rows, base_buf_view(&names));
    base_buf_fini(&names);
    return rc;
}

static int put_definition(struct base_buf *rows, const struct base_table *table)
{
    struct base_buf text;
    base_buf_init(&text, VTABI_BUF_MAX);
    int rc = cql_describe_table(table, &text);
    if (rc == BASE_OK)
        rc = put_text(rows, base_buf_view(&text));
    base_buf_fini(&text);
    return rc;
}

static int put_integer(struct base_buf *rows, int64_t integer)
{
    int rc = base_buf_put_u8(rows, BASE_SQL_INTEGER);
    return rc == BASE_OK ? base_buf_put(rows, &integer, sizeof integer) : rc;
}

/* The sum of the members `a` and `b` (may be NULL), wherever they are in the document. */
static int64_t sum_members(struct base_slice json, const char *a, const char *b)
{
    struct base_json_reader reader;
    struct base_json_token token;
    int64_t sum = 0;
    bool wanted = false;
    base_json_begin(&reader, json);
    while (base_json_next(&reader, &token, NULL) == BASE_OK && token.kind != BASE_JSON_END) {
        char number[24];
        if (wanted && token.kind == BASE_JSON_NUMBER && token.text.len < sizeof number) {
            memcpy(number, token.text.data, token.text.len);
            number[token.text.len] = 0;
            sum += strtoll(number, NULL, 10);
        }
        wanted =
            token.kind == BASE_JSON_KEY && (base_slice_equal(token.text, base_slice_str(a)) ||
                                            (b && base_slice_equal(token.text, base_slice_str(b))));
    }
    return sum;
}

/* Estimates of the store: rows and bytes on disk. */
static int put_sizes(struct base_buf *rows, struct vtabi_link *link, const struct base_table *table)
{
    struct base_buf json;
    const char *arg = NULL;
    base_buf_init(&json, VTABI_BUF_MAX);
    int rc = base_buf_printf(&json, "%.*s.%.*s%c", BASE_SLICE_ARG(table->keyspace),
                             BASE_SLICE_ARG(table->name), 0);
    char *name = rc == BASE_OK ? vtabi_strdup(base_slice_str((const char *)json.data)) : NULL;
    base_buf_reset(&json);
    arg = name;
    rc = name ? node_admin(link->node, "tablestats", &arg, 1, &json, NULL) : BASE_E_NOMEM;
    struct base_slice stats = base_buf_view(&json);
    if (rc == BASE_OK) {
        rc = put_integer(rows, sum_members(stats, "number_of_rows_estimate", "memtable_row_count"));
        if (rc == BASE_OK)
            rc = put_integer(rows, sum_members(stats, "space_used_live", NULL));
    } else if (rc != BASE_E_NOMEM) { /* a coordinator stores nothing, or the table was dropped just
                                        now: not known */
        rc = base_buf_put_u8(rows, BASE_SQL_NULL);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(rows, BASE_SQL_NULL);
    }
    sqlite3_free(name);
    base_buf_fini(&json);
    return rc;
}

static int put_table(struct base_buf *rows, struct vtabi_link *link, const struct base_table *table)
{
    char id[37];
    size_t keys = table->partition_key_count;
    base_uuid_print(table->id, id);
    int rc = put_text(rows, table->keyspace);
    if (rc == BASE_OK)
        rc = put_text(rows, table->name);
    if (rc == BASE_OK)
        rc = put_names(rows, table->columns, keys);
    if (rc == BASE_OK)
        rc = put_names(rows, table->columns + keys, table->clustering_count);
    if (rc == BASE_OK)
        rc = put_names(rows, table->columns + keys + table->clustering_count,
                       table->column_count - keys - table->clustering_count);
    if (rc == BASE_OK)
        rc = put_text(rows, base_slice_str(id));
    if (rc == BASE_OK)
        rc = put_sizes(rows, link, table);
    return rc == BASE_OK ? put_definition(rows, table) : rc;
}

static int fill_tables(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                       struct base_err *err)
{
    struct base_schema *schema = node_schema(link->node);
    int rc = BASE_OK;
    for (size_t k = 0; k < schema->keyspace_count; k++) {
        struct base_slice name = schema->keyspaces[k].name;
        if (name.len > 7 && memcmp(name.data, "system_", 7) == 0)
            continue; /* the cluster's own: no more a user's business than sqlite_schema; tablestats
                         has them */
        for (size_t t = 0; rc == BASE_OK && t < schema->keyspaces[k].table_count; t++) {
            rc = put_table(rows, link, schema->keyspaces[k].tables[t]);
            (*count)++;
        }
    }
    base_schema_release(schema);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "ringlet_tables: %s", base_err_words(rc));
}

/* ringlet_metrics. */

struct metrics {
    struct base_buf *rows;
    size_t *count;
};

static int each_metric(void *ctx, const char *name, const char *labels, double value)
{
    struct metrics *m = ctx;
    int rc = put_text(m->rows, base_slice_str(name));
    if (rc == BASE_OK)
        rc = put_text(m->rows, base_slice_str(labels ? labels : ""));
    if (rc == BASE_OK)
        rc = put_real(m->rows, value);
    (*m->count)++;
    return rc;
}

static int fill_metrics(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                        struct base_err *err)
{
    struct metrics m = {rows, count};
    int rc = node_metrics(link->node, each_metric, &m);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "ringlet_metrics: %s", base_err_words(rc));
}

/* ringlet_status, ringlet_ring, ringlet_peers. */

/* A column for each key of an answer's elements, in this order. */
static const char *const status_columns[] = {"datacenter", "rack",       "address", "status",
                                             "state",      "load_bytes", "tokens",  "owns",
                                             "host_id",    "epoch",      "self"};
static const char *const ring_columns[] = {"token", "address", "datacenter"};
static const char *const peer_columns[] = {"address",    "datacenter",   "rack",       "host_id",
                                           "alive",      "status",       "generation", "heartbeat",
                                           "phi",        "down_seconds", "epoch",      "load_bytes",
                                           "latency_ms", "hint_count",   "hints_bytes"};

/* A JSON scalar as a cell: numbers as INTEGER where they are, else REAL; true and false as 1 and
 * 0. */
static int put_json(struct base_buf *rows, struct base_slice value)
{
    struct base_json_reader reader;
    struct base_json_token token;
    struct base_buf text;
    char number[40] = "";
    base_json_begin(&reader, value);
    if (value.len == 0 || base_json_next(&reader, &token, NULL) != BASE_OK)
        return base_buf_put_u8(rows, BASE_SQL_NULL);
    switch (token.kind) {
    case BASE_JSON_TRUE:
        return put_integer(rows, 1);
    case BASE_JSON_FALSE:
        return put_integer(rows, 0);
    case BASE_JSON_NUMBER:
        snprintf(number, sizeof number, "%.*s", BASE_SLICE_ARG(token.text));
        return strpbrk(number, ".eE") ? put_real(rows, strtod(number, NULL))
                                      : put_integer(rows, strtoll(number, NULL, 10));
    case BASE_JSON_STRING:
        base_buf_init(&text, VTABI_BUF_MAX);
        int rc = base_json_unescape(&token, &text);
        if (rc == BASE_OK)
            rc = put_text(rows, base_buf_view(&text));
        base_buf_fini(&text);
        return rc;
    default:
        return base_buf_put_u8(rows, BASE_SQL_NULL);
    }
}

/* The rows of a command's answer: the elements of its array, or of its member `array`. */
static int fill_answer(struct vtabi_link *link, const char *command, const char *array,
                       const char *const *columns, size_t column_count, struct base_buf *rows,
                       size_t *count, struct base_err *err)
{
    struct base_json_walk walk;
    struct base_buf json;
    bool more = false;
    base_buf_init(&json, VTABI_BUF_MAX);
    int rc = node_admin(link->node, command, NULL, 0, &json, err);
    struct base_slice answer = base_buf_view(&json);
    base_json_walk_begin(&walk, array ? base_json_member(answer, array) : answer);
    if (rc == BASE_OK)
        rc = base_json_walk_next(&walk, &more, err);
    for (; rc == BASE_OK && more; rc = base_json_walk_next(&walk, &more, err)) {
        for (size_t i = 0; rc == BASE_OK && i < column_count; i++)
            rc = put_json(rows, base_json_member(walk.value, columns[i]));
        if (rc != BASE_OK)
            break;
        (*count)++;
    }
    base_buf_fini(&json);
    return rc == BASE_OK || err->code
               ? rc
               : base_err_set(err, rc, "%s: %s", command, base_err_words(rc));
}

static int fill_status(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                       struct base_err *err)
{
    return fill_answer(link, "status", "nodes", status_columns, BASE_COUNT(status_columns), rows,
                       count, err);
}

static int fill_ring(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                     struct base_err *err)
{
    return fill_answer(link, "ring", "ring", ring_columns, BASE_COUNT(ring_columns), rows, count,
                       err);
}

static int fill_peers(struct vtabi_link *link, struct base_buf *rows, size_t *count,
                      struct base_err *err)
{
    return fill_answer(link, "gossipinfo", NULL, peer_columns, BASE_COUNT(peer_columns), rows,
                       count, err);
}

/* The module. */

static const struct listing listings[] = {
    {"ringlet_tables",
     "CREATE TABLE x(keyspace TEXT, name TEXT, partition_key TEXT, clustering TEXT, columns TEXT, "
     "id TEXT, "
     "row_estimate INTEGER, disk_bytes INTEGER, definition TEXT)",
     9, fill_tables},
    {"ringlet_metrics", "CREATE TABLE x(name TEXT, labels TEXT, value REAL)", 3, fill_metrics},
    {"ringlet_status",
     "CREATE TABLE x(datacenter TEXT, rack TEXT, address TEXT, status TEXT, state TEXT, load_bytes "
     "INTEGER, tokens INTEGER, "
     "owns REAL, host_id TEXT, epoch INTEGER, self INTEGER)",
     BASE_COUNT(status_columns), fill_status},
    {"ringlet_ring", "CREATE TABLE x(token INTEGER, address TEXT, datacenter TEXT)",
     BASE_COUNT(ring_columns), fill_ring},
    {"ringlet_peers",
     "CREATE TABLE x(address TEXT, datacenter TEXT, rack TEXT, host_id TEXT, alive INTEGER, state "
     "TEXT, generation INTEGER, "
     "heartbeat INTEGER, phi REAL, down_seconds INTEGER, epoch INTEGER, load_bytes INTEGER, "
     "latency_ms REAL, hint_count INTEGER, "
     "hints_bytes INTEGER)",
     BASE_COUNT(peer_columns), fill_peers},
};
struct listing_aux {
    struct vtabi_host *host;
    const struct listing *listing;
};

static void aux_free(void *arg)
{
    struct listing_aux *aux = arg;
    vtabi_host_release(aux->host);
    sqlite3_free(aux);
}

static int listing_connect(sqlite3 *db, void *arg, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **message)
{
    const struct listing_aux *aux = arg;
    (void)argc;
    (void)argv;
    (void)message;
    int rc = sqlite3_declare_vtab(db, aux->listing->declaration);
    struct listing_table *table = rc == SQLITE_OK ? sqlite3_malloc64(sizeof *table) : NULL;
    if (!table)
        return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    *table = (struct listing_table){.host = aux->host, .listing = aux->listing};
    vtabi_host_acquire(table->host);
    *out = &table->base;
    return SQLITE_OK;
}

static int listing_disconnect(sqlite3_vtab *vtab)
{
    struct listing_table *table = (struct listing_table *)vtab;
    vtabi_host_release(table->host);
    sqlite3_free(table);
    return SQLITE_OK;
}

static int listing_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    (void)vtab;
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    return SQLITE_OK;
}

static int listing_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    struct listing_cursor *c = sqlite3_malloc64(sizeof *c);
    (void)vtab;
    if (!c)
        return SQLITE_NOMEM;
    *c = (struct listing_cursor){.row = 0};
    base_buf_init(&c->rows, VTABI_BUF_MAX);
    *out = &c->base;
    return SQLITE_OK;
}

static int listing_close(sqlite3_vtab_cursor *cursor)
{
    struct listing_cursor *c = (struct listing_cursor *)cursor;
    base_buf_fini(&c->rows);
    sqlite3_free(c);
    return SQLITE_OK;
}

static int listing_filter(sqlite3_vtab_cursor *cursor, int idx_num, const char *idx_str, int argc,
                          sqlite3_value **argv)
{
    struct listing_cursor *c = (struct listing_cursor *)cursor;
    struct listing_table *table = (struct listing_table *)cursor->pVtab;
    struct base_err err = {0};
    struct vtabi_link *link;
    (void)idx_num;
    (void)idx_str;
    (void)argc;
    (void)argv;
    base_buf_reset(&c->rows);
    c->count = c->row = c->at = 0;
    int rc = vtabi_host_link(table->host, "main", (struct base_slice){0}, &link, &err);
    if (rc == BASE_OK)
        rc = vtabi_link_open(link, NULL, 0, false, &err);
    if (rc == BASE_OK)
        rc = table->listing->fill(link, &c->rows, &c->count, &err);
    return vtabi_fail(&table->base, rc, &err);
}

static int listing_next(sqlite3_vtab_cursor *cursor)
{
    struct listing_cursor *c = (struct listing_cursor *)cursor;
    const struct listing *listing = ((struct listing_table *)cursor->pVtab)->listing;
    struct base_reader reader = base_reader(base_slice(c->rows.data + c->at, c->rows.len - c->at));
    struct base_sql_value value;
    for (int i = 0; i < listing->column_count; i++)
        if (!get_cell(&reader, &value))
            break;
    c->at = c->rows.len - base_reader_left(&reader);
    c->row++;
    return SQLITE_OK;
}

static int listing_eof(sqlite3_vtab_cursor *cursor)
{
    struct listing_cursor *c = (struct listing_cursor *)cursor;
    return c->row >= c->count;
}

static int listing_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    struct listing_cursor *c = (struct listing_cursor *)cursor;
    struct base_reader reader = base_reader(base_slice(c->rows.data + c->at, c->rows.len - c->at));
    struct base_sql_value value = {.kind = BASE_SQL_NULL};
    for (int i = 0; i <= column; i++)
        if (!get_cell(&reader, &value))
            return SQLITE_OK;
    vtabi_value_result(context, &value);
    return SQLITE_OK;
}

static int listing_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid)
{
    *rowid = (sqlite3_int64)((struct listing_cursor *)cursor)->row;
    return SQLITE_OK;
}

static const sqlite3_module listing_module = {
    .xConnect = listing_connect,
    .xBestIndex = listing_best_index,
    .xDisconnect = listing_disconnect,
    .xOpen = listing_open,
    .xClose = listing_close,
    .xFilter = listing_filter,
    .xNext = listing_next,
    .xEof = listing_eof,
    .xColumn = listing_column,
    .xRowid = listing_rowid,
};

int vtabi_tables_register(struct vtabi_host *host)
{
    for (size_t i = 0; i < BASE_COUNT(listings); i++) {
        struct listing_aux *aux = sqlite3_malloc64(sizeof *aux);
        if (!aux)
            return SQLITE_NOMEM;
        *aux = (struct listing_aux){host, &listings[i]};
        vtabi_host_acquire(host);
        int rc =
            sqlite3_create_module_v2(host->db, listings[i].name, &listing_module, aux, aux_free);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}
