/* xUpdate: one row at a time, as one mutation.
 *
 * 1. Everything is converted and built before anything is written: a row that fails leaves nothing
 *    behind (SQLite opens no savepoint around statements of a single row).
 * 2. INSERT writes the row's marker and the values that are not NULL; UPDATE writes cells only,
 *    those that SET names. Another key is another row: the old one is deleted, the new one written
 *    whole.
 * 3. UPDATE … FROM names every column. It is known by k, which a plain UPDATE does not pass on;
 *    then what equals the row as it is counts as not named.
 * 4. Each row takes its own timestamp, in order, so that the last of two writes to one key wins. */
#include "vtab/vtab_private.h"

#include <stdio.h>

#include "base/condition.h"
#include "base/key.h"

/* One call of xUpdate. */
struct write {
    struct vtabi_table *table;
    const struct vtabi_binding *binding;
    const struct base_table *schema;
    struct vtabi_writer *w;
    sqlite3_value **argv; /* the new row's values by declared column, or NULL (DELETE) */
    bool insert;
    bool all_named; /* UPDATE … FROM */
    int conflict;   /* SQLite's: SQLITE_REPLACE, … */
    int64_t ts, now_s;
    int32_t ttl;
    int consistency;
    struct vtabi_row *old; /* the row as it is, when it was read */
    struct base_err *err;
    int sqlite; /* SQLite's code when it is not what the error's code says */
};

void vtabi_writer_init(struct vtabi_writer *writer)
{
    struct base_buf *bufs[] = {&writer->value,      &writer->pk,        &writer->pkey,
                               &writer->ckey,       &writer->originals, &writer->row,
                               &writer->static_row, &writer->mutation,  &writer->condition};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_init(bufs[i], VTABI_BUF_MAX);
}

void vtabi_writer_fini(struct vtabi_writer *writer)
{
    struct base_buf *bufs[] = {&writer->value,      &writer->pk,        &writer->pkey,
                               &writer->ckey,       &writer->originals, &writer->row,
                               &writer->static_row, &writer->mutation,  &writer->condition};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_fini(bufs[i]);
}

static const struct base_column *column_at(const struct write *w, int column)
{
    return w->binding->columns[column - w->table->column_first];
}

/* "readings.celsius: " before the text. */
static int wrap_column(const struct write *w, int column, int rc)
{
    return base_err_wrap(w->err, rc, "%s.%.*s", w->table->name,
                         BASE_SLICE_ARG(vtabi_column_name(w->table, column)));
}

static int fail_column(const struct write *w, int column, const char *text)
{
    return base_err_set(w->err, BASE_E_INVALID, "%s.%.*s: %s", w->table->name,
                        BASE_SLICE_ARG(vtabi_column_name(w->table, column)), text);
}

/* A broken rule that OR IGNORE and its kin decide about. */
static int constraint(struct write *w, int rc)
{
    w->sqlite = SQLITE_CONSTRAINT;
    return rc;
}

/* Hidden columns. */

static int set_ttl(struct write *w)
{
    sqlite3_value *value = w->argv[w->table->column_ttl];
    w->ttl = w->schema->options.default_time_to_live_s;
    if (sqlite3_value_nochange(value) || sqlite3_value_type(value) == SQLITE_NULL)
        return BASE_OK;
    int64_t ttl = sqlite3_value_int64(value);
    if (sqlite3_value_type(value) != SQLITE_INTEGER || ttl < 0 || ttl > BASE_TTL_MAX)
        return base_err_set(w->err, BASE_E_INVALID, "%s.ttl: must be 0 to %d seconds",
                            w->table->name, BASE_TTL_MAX);
    if (w->all_named) { /* as it was read, or a little less: not assigned */
        int64_t left, writetime, elapsed = w->now_s - w->table->scan_s;
        if (vtabi_row_times(w->old, w->now_s, &left, &writetime) && left >= 0 && ttl >= left &&
            ttl - left <= elapsed + 1)
            return BASE_OK;
    }
    w->ttl = (int32_t)ttl;
    return BASE_OK;
}

static int set_writetime(struct write *w)
{
    sqlite3_value *value = w->argv[w->table->column_writetime];
    int64_t ttl, written = BASE_TS_NONE;
    w->ts = node_timestamp(w->table->link->node);
    if (sqlite3_value_nochange(value) || sqlite3_value_type(value) == SQLITE_NULL)
        return BASE_OK;
    int64_t ts = sqlite3_value_int64(value);
    if (w->all_named && vtabi_row_times(w->old, w->now_s, &ttl, &written) && written == ts)
        return BASE_OK;
    if (sqlite3_value_type(value) != SQLITE_INTEGER || ts == INT64_MIN || ts == INT64_MIN + 1)
        return base_err_set(w->err, BASE_E_INVALID, "%s.writetime: must be microseconds since 1970",
                            w->table->name);
    if (ts > w->ts + BASE_TS_AHEAD_MAX_US)
        return base_err_set(
            w->err, BASE_E_INVALID,
            "%s.writetime: %lld is more than a day ahead of the clock (microseconds since 1970)",
            w->table->name, (long long)ts);
    w->ts = ts;
    return BASE_OK;
}

static int set_consistency(struct write *w)
{
    int scan = w->insert ? -1 : w->table->scan_consistency;
    w->consistency = scan >= 0 ? scan : w->table->host->consistency;
    if (!w->argv)
        return BASE_OK;
    sqlite3_value *value = w->argv[w->table->column_consistency];
    if (sqlite3_value_nochange(value) || sqlite3_value_type(value) == SQLITE_NULL)
        return BASE_OK;
    const char *text = (const char *)sqlite3_value_text(value);
    int code = text ? node_consistency_parse(base_slice_str(text)) : -1;
    if (code < 0 || code == NODE_CL_SERIAL || code == NODE_CL_LOCAL_SERIAL)
        return base_err_set(w->err, BASE_E_INVALID,
                            "%s.consistency: '%s' is no consistency level for writes",
                            w->table->name, text ? text : "");
    w->consistency = code;
    return BASE_OK;
}

static int set_hidden(struct write *w)
{
    w->now_s = node_now_s(w->table->link->node);
    int rc = set_consistency(w);
    if (rc == BASE_OK)
        rc = set_writetime(w);
    return rc == BASE_OK ? set_ttl(w) : rc;
}

/* Reading the row as it is. */

/* The live row at a key; *found false: none. With an empty ckey: a partition's static row. */
static int probe(struct write *w, struct base_slice pkey, struct base_slice ckey,
                 struct base_live_row *live, bool *found)
{
    struct vtabi_link *link = w->table->link;
    struct base_read *cmd = &link->probe_cmd; /* they must outlive this call */
    link->probe_range = (struct base_range){ckey, ckey};
    *cmd = BASE_READ_INIT;
    cmd->table_id = w->schema->id;
    cmd->epoch = w->binding->schema->epoch;
    cmd->pkey = pkey;
    cmd->slices = ckey.len ? (struct base_slices){&link->probe_range, 1} : base_slices_all;
    cmd->row_limit = 1;
    int rc = node_read_open(link->session, w->schema, cmd, w->consistency, &link->probe, w->err);
    link->probing = rc == BASE_OK;
    if (rc == BASE_OK)
        rc = node_read_next(link->probe, live, w->err);
    *found = rc == BASE_OK && live->pkey.len && (ckey.len || live->static_row.len);
    return rc; /* the read stays open while the row is looked at: probe_end */
}

static void probe_end(struct write *w)
{
    if (w->table->link->probing)
        node_read_close(w->table->link->probe);
    w->table->link->probing = false;
}

/* Keys. */

/* The value of a key column for the new row, appended to w->value: as given, or the old row's. */
static int key_value(struct write *w, int column)
{
    const struct base_column *c = column_at(w, column);
    sqlite3_value *in = w->argv[column];
    struct base_sql_value sql;
    if (w->old && sqlite3_value_nochange(in)) {
        struct base_slice value;
        bool present;
        int rc = vtabi_row_value(w->old, c, &value, &present, w->err);
        return rc == BASE_OK ? base_buf_put_slice(&w->w->value, value) : rc;
    }
    vtabi_value_get(in, &sql);
    if (sql.kind == BASE_SQL_NULL)
        return constraint(w, fail_column(w, column,
                                         c->kind == BASE_COLUMN_PARTITION_KEY
                                             ? "a partition key column cannot be NULL"
                                             : "a clustering column cannot be NULL"));
    int rc = base_value_from_sql(c->type, &sql, &w->w->value, w->err);
    return rc == BASE_OK ? rc : wrap_column(w, column, rc);
}

static int build_pkey(struct write *w)
{
    struct vtabi_writer *b = w->w;
    size_t n = w->schema->partition_key_count;
    struct base_slice few[8], *values = few;
    size_t ends_few[8], *ends = ends_few;
    int rc = BASE_OK;
    if (n > BASE_COUNT(few)) {
        values = sqlite3_malloc64(n * (sizeof values[0] + sizeof ends[0]));
        if (!values)
            return BASE_E_NOMEM;
        ends = (size_t *)(void *)(values + n);
    }
    base_buf_reset(&b->value);
    for (size_t i = 0; rc == BASE_OK && i < n; i++) {
        rc = key_value(w, w->binding->partition[i]);
        ends[i] = b->value.len;
    }
    for (size_t i = 0, from = 0; rc == BASE_OK && i < n; from = ends[i++])
        values[i] = base_slice(b->value.data + from, ends[i] - from);
    base_buf_reset(&b->pk);
    base_buf_reset(&b->pkey);
    if (rc == BASE_OK) {
        rc = base_pk_compose(values, n, &b->pk, w->err);
        rc = rc == BASE_OK ? base_pkey_put(base_buf_view(&b->pk), &b->pkey)
                           : base_err_wrap(w->err, rc, "%s", w->table->name);
    }
    if (values != few)
        sqlite3_free(values);
    return rc;
}

/* The clustering key, and the values' own bytes if the key does not keep them. */
static int build_ckey(struct write *w)
{
    struct vtabi_writer *b = w->w;
    bool exact = true;
    int rc = BASE_OK;
    base_buf_reset(&b->ckey);
    base_buf_reset(&b->originals);
    for (size_t i = 0; rc == BASE_OK && i < w->schema->clustering_count; i++) {
        int column = w->binding->clustering[i];
        const struct base_column *c = column_at(w, column);
        base_buf_reset(&b->value);
        rc = key_value(w, column);
        if (rc == BASE_OK) {
            rc = base_ckey_put(c->type, c->descending, base_buf_view(&b->value), &b->ckey, &exact,
                               w->err);
            rc = rc == BASE_OK ? base_buf_put_bytes(&b->originals, base_buf_view(&b->value))
                               : wrap_column(w, column, rc);
        }
    }
    if (rc == BASE_OK && exact)
        base_buf_reset(&b->originals);
    if (rc == BASE_OK && b->ckey.len > BASE_CKEY_LEN_MAX)
        rc = base_err_set(w->err, BASE_E_LIMIT, "%s: the clustering key is longer than %d bytes",
                          w->table->name, BASE_CKEY_LEN_MAX);
    return rc == BASE_OK ? base_ckey_end(BASE_KEY_AT, &b->ckey) : rc;
}

/* Rows. */

static int64_t expires_s(const struct write *w)
{
    int64_t at = w->now_s + w->ttl;
    return at < BASE_EXPIRES_MAX ? at : BASE_EXPIRES_MAX;
}

/* NULL: nothing in INSERT, a tombstone in UPDATE. */
static int put_null(struct write *w, struct base_row_builder *row, const struct base_column *c)
{
    struct base_cell cell = {
        .column = c->id, .ts = w->ts, .local_s = w->now_s, .flags = BASE_CELL_DEAD};
    if (base_type_is_multicell(c->type))
        cell.flags = BASE_CELL_COMPLEX_DELETION;
    return base_row_put_cell(row, &cell);
}

static int put_value(struct write *w, struct base_row_builder *row, const struct base_column *c,
                     struct base_slice value)
{
    if (base_type_is_multicell(c->type)) {
        struct base_cell like = {.column = c->id,
                                 .ts = w->ts,
                                 .ttl = w->ttl,
                                 .local_s = w->ttl ? expires_s(w) : w->now_s,
                                 .flags = w->ttl ? BASE_CELL_EXPIRING : 0};
        return vtabi_collection_put(row, c->type, value, &like, w->err);
    }
    if (w->ttl == 0)
        return base_row_put_value(row, c->id, value);
    struct base_cell cell = {.column = c->id,
                             .ts = w->ts,
                             .ttl = w->ttl,
                             .local_s = expires_s(w),
                             .flags = BASE_CELL_EXPIRING,
                             .value = value};
    return base_row_put_cell(row, &cell);
}

/* Is the value what the row has already? (UPDATE … FROM) */
static int is_same(struct write *w, const struct base_column *c, struct base_slice value,
                   bool is_null, bool *same)
{
    struct base_slice old;
    bool present;
    int rc = vtabi_row_value(w->old, c, &old, &present, w->err);
    *same = rc == BASE_OK && (is_null ? !present : present && base_slice_equal(old, value));
    return rc;
}

/* Write one column if the statement names it. *wrote is set when something was put. */
static int put_column(struct write *w, struct base_row_builder *row, int column, bool whole,
                      bool *wrote)
{
    const struct base_column *c = column_at(w, column);
    sqlite3_value *in = w->argv[column];
    struct base_sql_value sql;
    bool same = false;
    int rc = BASE_OK;
    base_buf_reset(&w->w->value);
    if (sqlite3_value_nochange(in)) { /* not named: nothing, or, when a row moves, its old value */
        struct base_slice value;
        bool present;
        if (!whole)
            return BASE_OK;
        rc = vtabi_row_value(w->old, c, &value, &present, w->err);
        return rc == BASE_OK && present ? put_value(w, row, c, value) : rc;
    }
    vtabi_value_get(in, &sql);
    if (sql.kind == BASE_SQL_NULL && (w->insert || whole))
        return BASE_OK;
    if (c->type->kind == BASE_TYPE_COUNTER)
        return fail_column(w, column, "counters are not written by INSERT or UPDATE");
    if (sql.kind != BASE_SQL_NULL) {
        rc = base_value_from_sql(c->type, &sql, &w->w->value, w->err);
        if (rc != BASE_OK)
            return wrap_column(w, column, rc);
    }
    if (w->all_named && !whole)
        rc = is_same(w, c, base_buf_view(&w->w->value), sql.kind == BASE_SQL_NULL, &same);
    if (rc != BASE_OK || same)
        return rc;
    *wrote = true;
    if (sql.kind == BASE_SQL_NULL)
        rc = put_null(w, row, c);
    else
        rc = put_value(w, row, c, base_buf_view(&w->w->value));
    return rc == BASE_OK ? rc : wrap_column(w, column, rc);
}

/* All regular or all static columns. */
static int put_columns(struct write *w, struct base_row_builder *row, enum base_column_kind kind,
                       bool whole, bool *wrote)
{
    int rc = BASE_OK;
    for (int i = 0; rc == BASE_OK && i < w->binding->cell_count; i++)
        if (column_at(w, w->binding->cells[i])->kind == kind)
            rc = put_column(w, row, w->binding->cells[i], whole && kind == BASE_COLUMN_REGULAR,
                            wrote);
    return rc;
}

static int build_static(struct write *w, bool *wrote)
{
    struct base_row_builder row;
    *wrote = false;
    base_buf_reset(&w->w->static_row);
    if (!w->binding->has_static)
        return BASE_OK;
    int rc = base_row_begin(&row, &w->w->static_row, w->ts);
    if (rc == BASE_OK)
        rc = put_columns(w, &row, BASE_COLUMN_STATIC, false, wrote);
    if (rc == BASE_OK)
        base_row_end(&row);
    if (rc != BASE_OK || !*wrote)
        base_buf_reset(&w->w->static_row);
    return rc;
}

/* `marker`: a whole new row, as INSERT makes it. */
static int build_row(struct write *w, bool marker, bool *wrote)
{
    struct base_row_builder row;
    *wrote = marker;
    base_buf_reset(&w->w->row);
    int rc = base_row_begin(&row, &w->w->row, w->ts);
    if (rc == BASE_OK && marker)
        rc = base_row_put_liveness(&row, w->ttl, w->ttl ? expires_s(w) : 0);
    if (rc == BASE_OK && marker && w->conflict == SQLITE_REPLACE)
        rc = base_row_put_deletion(&row, (struct base_deletion){w->ts - 1, w->now_s});
    if (rc == BASE_OK && w->w->originals.len)
        rc = base_row_put_originals(&row, base_buf_view(&w->w->originals));
    if (rc == BASE_OK)
        rc = put_columns(w, &row, BASE_COLUMN_REGULAR, marker && !w->insert, wrote);
    if (rc == BASE_OK)
        base_row_end(&row);
    if (rc != BASE_OK || !*wrote)
        base_buf_reset(&w->w->row);
    return rc;
}

/* The mutation of what was built. */
static int put_mutation(struct write *w, struct base_slice pkey, struct base_slice ckey)
{
    struct vtabi_writer *b = w->w;
    if (b->static_row.len == 0)
        return base_mutation_put_row(&b->mutation, w->schema->id, pkey, ckey,
                                     base_buf_view(&b->row));
    struct base_mutation_row_part part = {ckey, base_buf_view(&b->row)};
    return base_mutation_put(&b->mutation, w->schema->id, pkey, BASE_DELETION_NONE,
                             base_buf_view(&b->static_row), NULL, 0, &part, b->row.len ? 1 : 0);
}

static int submit(struct write *w, size_t count)
{
    w->table->wrote = true;
    return node_write(w->table->link->session, w->schema, base_buf_view(&w->w->mutation), count,
                      w->consistency, w->err);
}

/* INSERT. */

/* SQLite's own words for it. */
static int unique_failed(struct write *w)
{
    char names[512];
    size_t at = 0;
    names[0] = 0;
    for (size_t i = 0; i < w->schema->partition_key_count + w->schema->clustering_count; i++) {
        int n = snprintf(names + at, sizeof names - at, "%s%s.%.*s", i ? ", " : "", w->table->name,
                         BASE_SLICE_ARG(w->schema->columns[i].name));
        at += n > 0 && (size_t)n < sizeof names - at ? (size_t)n : 0;
    }
    return constraint(
        w, base_err_set(w->err, BASE_E_CONDITION, "UNIQUE constraint failed: %s", names));
}

/* OR IGNORE, OR FAIL and OR ROLLBACK look whether the row is there. */
static int check_absent(struct write *w, struct base_slice pkey, struct base_slice ckey)
{
    struct base_live_row live;
    bool found = false;
    int rc = probe(w, pkey, ckey, &live, &found);
    probe_end(w);
    return rc == BASE_OK && found ? unique_failed(w) : rc;
}

/* INSERT OR IGNORE and its kin in a cluster, outside of BEGIN: the replica judges and writes, one
 * after the other. */
static int submit_if_absent(struct write *w)
{
    struct vtabi_writer *b = w->w;
    base_buf_reset(&b->condition);
    int rc = base_buf_put_varint(&b->condition, 1);
    if (rc == BASE_OK)
        rc = base_condition_put_row(&b->condition, BASE_CONDITION_NOT_EXISTS,
                                    base_buf_view(&b->ckey));
    if (rc != BASE_OK)
        return base_err_set(w->err, rc, "%s: %s", w->table->name, base_err_words(rc));
    const struct node_conditional what = {.mutation = base_buf_view(&b->mutation),
                                          .conditions = base_buf_view(&b->condition),
                                          .consistency = w->consistency};
    rc = node_write_if(w->table->link->session, w->schema, &what, w->err);
    return rc == BASE_E_CONDITION ? unique_failed(w) : rc;
}

/* Is this the static part of a partition alone? (no clustering column given) */
static bool is_static_insert(const struct write *w)
{
    if (!w->binding->has_static)
        return false;
    for (size_t i = 0; i < w->schema->clustering_count; i++)
        if (sqlite3_value_type(w->argv[w->binding->clustering[i]]) != SQLITE_NULL)
            return false;
    for (int i = 0; i < w->binding->cell_count; i++)
        if (column_at(w, w->binding->cells[i])->kind == BASE_COLUMN_REGULAR &&
            sqlite3_value_type(w->argv[w->binding->cells[i]]) != SQLITE_NULL)
            return false;
    return true;
}

/* Columns that are no more refuse values. */
static int check_dropped(const struct write *w)
{
    for (int i = 0; i < w->table->column_count; i++) {
        int column = i + w->table->column_first;
        if (!w->binding->columns[i] && !sqlite3_value_nochange(w->argv[column]) &&
            sqlite3_value_type(w->argv[column]) != SQLITE_NULL)
            return fail_column(w, column, "the column was dropped");
    }
    return BASE_OK;
}

static int insert(struct write *w)
{
    struct vtabi_writer *b = w->w;
    bool wrote = true, wrote_static;
    bool alone = is_static_insert(w);
    if (sqlite3_value_type(w->argv[w->table->column_key]) != SQLITE_NULL)
        return base_err_set(w->err, BASE_E_INVALID,
                            "%s: the key column k is made of the primary key; don't name it",
                            w->table->name);
    int rc = check_dropped(w);
    if (rc == BASE_OK)
        rc = set_hidden(w);
    if (rc == BASE_OK)
        rc = build_pkey(w);
    base_buf_reset(&b->ckey);
    base_buf_reset(&b->row);
    base_buf_reset(&b->originals);
    if (rc == BASE_OK && !alone)
        rc = build_ckey(w);
    if (rc == BASE_OK)
        rc = build_static(w, &wrote_static);
    if (rc == BASE_OK && !alone)
        rc = build_row(w, true, &wrote);
    if (rc != BASE_OK)
        return rc;
    if (alone && !wrote_static)
        return constraint(w, base_err_set(w->err, BASE_E_INVALID,
                                          "%s: give the clustering columns, or a static column",
                                          w->table->name));
    bool condition = w->conflict == SQLITE_IGNORE || w->conflict == SQLITE_FAIL ||
                     w->conflict == SQLITE_ROLLBACK;
    if (condition)
        rc = node_check_conditions(w->table->link->session, w->schema, w->err);
    bool at_replica = condition && node_conditions_at_replica(w->table->link->session) &&
                      sqlite3_get_autocommit(w->table->host->db) && !alone;
    if (rc == BASE_OK && condition && !at_replica)
        rc = check_absent(w, base_buf_view(&b->pkey), base_buf_view(&b->ckey));
    if (rc == BASE_OK)
        rc = put_mutation(w, base_buf_view(&b->pkey), base_buf_view(&b->ckey));
    if (rc != BASE_OK)
        return rc;
    return at_replica ? submit_if_absent(w) : submit(w, 1);
}

/* DELETE. */

static int no_key(const struct write *w)
{
    return base_err_set(w->err, BASE_E_INVALID, "%s: not a key", w->table->name);
}

/* k in its parts. */
static int split_key(const struct write *w, sqlite3_value *k, struct base_slice *pkey,
                     struct base_slice *ckey)
{
    struct base_slice key = base_slice(sqlite3_value_blob(k), (size_t)sqlite3_value_bytes(k));
    size_t len = key.len ? base_pkey_len(key) : 0;
    if (sqlite3_value_type(k) != SQLITE_BLOB || len == 0)
        return no_key(w);
    *pkey = base_slice(key.data, len);
    *ckey = base_slice(key.data + len, key.len - len);
    return BASE_OK;
}

static int build_deletion(struct write *w)
{
    struct base_row_builder row;
    base_buf_reset(&w->w->row);
    base_buf_reset(&w->w->static_row);
    int rc = base_row_begin(&row, &w->w->row, w->ts);
    if (rc == BASE_OK)
        rc = base_row_put_deletion(&row, (struct base_deletion){w->ts, w->now_s});
    if (rc == BASE_OK)
        base_row_end(&row);
    return rc;
}

/* The row of a partition that has only static values: they go one by one. */
static int build_static_deletion(struct write *w)
{
    struct base_row_builder row;
    base_buf_reset(&w->w->row);
    base_buf_reset(&w->w->static_row);
    int rc = base_row_begin(&row, &w->w->static_row, w->ts);
    for (int i = 0; rc == BASE_OK && i < w->binding->cell_count; i++) {
        const struct base_column *c = column_at(w, w->binding->cells[i]);
        if (c->kind == BASE_COLUMN_STATIC)
            rc = put_null(w, &row, c);
    }
    if (rc == BASE_OK)
        base_row_end(&row);
    return rc;
}

static int delete (struct write *w, sqlite3_value *k)
{
    struct base_slice pkey, ckey;
    int rc = split_key(w, k, &pkey, &ckey);
    if (rc == BASE_OK)
        rc = set_consistency(w);
    if (rc != BASE_OK)
        return rc;
    w->ts = node_timestamp(w->table->link->node);
    w->now_s = node_now_s(w->table->link->node);
    rc = ckey.len ? build_deletion(w) : build_static_deletion(w);
    if (rc == BASE_OK)
        rc = put_mutation(w, pkey, ckey);
    return rc == BASE_OK ? submit(w, 1) : rc;
}

/* UPDATE. */

static bool names_key_column(const struct write *w)
{
    for (size_t i = 0; i < w->schema->partition_key_count; i++)
        if (!sqlite3_value_nochange(w->argv[w->binding->partition[i]]))
            return true;
    for (size_t i = 0; i < w->schema->clustering_count; i++)
        if (!sqlite3_value_nochange(w->argv[w->binding->clustering[i]]))
            return true;
    return false;
}

/* SET changes the primary key: the old row goes, a whole new one comes. */
static int move(struct write *w, struct base_slice old_pkey, struct base_slice old_ckey)
{
    struct vtabi_writer *b = w->w;
    bool wrote;
    int rc = build_static(w, &wrote);
    if (rc == BASE_OK)
        rc = build_row(w, true, &wrote);
    if (rc == BASE_OK)
        rc = put_mutation(w, base_buf_view(&b->pkey), base_buf_view(&b->ckey));
    probe_end(w); /* the old row was needed up to here */
    if (rc == BASE_OK && w->conflict != SQLITE_REPLACE)
        rc = check_absent(w, base_buf_view(&b->pkey), base_buf_view(&b->ckey));
    if (rc == BASE_OK)
        rc = build_deletion(w);
    if (rc == BASE_OK)
        rc = put_mutation(w, old_pkey, old_ckey);
    return rc == BASE_OK ? submit(w, 2) : rc;
}

/* The key stays: cells only. */
static int update_cells(struct write *w, struct base_slice pkey, struct base_slice ckey)
{
    bool wrote_static, wrote = false;
    int rc = build_static(w, &wrote_static);
    base_buf_reset(&w->w->row);
    if (rc == BASE_OK)
        rc = build_row(w, false, &wrote);
    if (rc == BASE_OK && wrote && !ckey.len)
        rc = base_err_set(w->err, BASE_E_INVALID, "%s: this row has static columns only",
                          w->table->name);
    if (rc == BASE_OK && (wrote || wrote_static)) {
        rc = put_mutation(w, pkey, ckey);
        if (rc == BASE_OK)
            rc = submit(w, 1);
    }
    return rc;
}

/* UPDATE that needs the row as it is: SET names key columns, or all columns came (UPDATE …
 * FROM). */
static int update_known(struct write *w, struct base_slice pkey, struct base_slice ckey)
{
    struct vtabi_writer *b = w->w;
    struct base_live_row live;
    struct vtabi_row old;
    bool found, moved = false;
    int rc = vtabi_row_init(&old, w->binding);
    if (rc != BASE_OK)
        return rc;
    rc = probe(w, pkey, ckey, &live, &found);
    if (rc == BASE_OK && found) {
        old.live = live;
        vtabi_row_next(&old);
        w->old = &old;
        rc = set_hidden(w);
        if (rc == BASE_OK && ckey.len) {
            rc = build_pkey(w);
            if (rc == BASE_OK)
                rc = build_ckey(w);
            moved = rc == BASE_OK && !(base_slice_equal(base_buf_view(&b->pkey), pkey) &&
                                       base_slice_equal(base_buf_view(&b->ckey), ckey));
        }
        if (rc == BASE_OK)
            rc = moved ? move(w, pkey, ckey) : update_cells(w, pkey, ckey);
    }
    probe_end(w);
    w->old = NULL;
    vtabi_row_fini(&old);
    return rc;
}

static int update(struct write *w, sqlite3_value *old_k, sqlite3_value *new_k)
{
    struct base_slice pkey, ckey;
    w->all_named = !sqlite3_value_nochange(new_k);
    int rc = split_key(w, old_k, &pkey, &ckey);
    if (rc == BASE_OK && w->all_named &&
        !(sqlite3_value_type(new_k) == SQLITE_BLOB &&
          sqlite3_value_bytes(new_k) == sqlite3_value_bytes(old_k) &&
          memcmp(sqlite3_value_blob(new_k), sqlite3_value_blob(old_k),
                 (size_t)sqlite3_value_bytes(old_k)) == 0))
        rc = base_err_set(w->err, BASE_E_INVALID,
                          "%s: the key column k is made of the primary key; set that",
                          w->table->name);
    if (rc == BASE_OK)
        rc = check_dropped(w);
    if (rc == BASE_OK)
        rc = set_consistency(w);
    base_buf_reset(&w->w->originals);
    if (rc != BASE_OK)
        return rc;
    if (w->all_named || names_key_column(w))
        return update_known(w, pkey, ckey);
    rc = set_hidden(w);
    return rc == BASE_OK ? update_cells(w, pkey, ckey) : rc;
}

/* xUpdate. */

int vtabi_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct base_err err;
    (void)rowid;
    base_err_clear(&err);
    int rc = vtabi_table_bind(table, &err);
    if (rc != BASE_OK)
        return vtabi_fail(vtab, rc, &err);
    struct write w = {
        .table = table,
        .binding = table->binding,
        .schema = table->binding->table,
        .w = &table->writer,
        .argv = argc > 1 ? argv + 2 : NULL,
        .insert = argc > 1 && sqlite3_value_type(argv[0]) == SQLITE_NULL,
        .conflict = argc > 1 ? sqlite3_vtab_on_conflict(table->host->db) : SQLITE_ABORT,
        .err = &err,
    };
    base_buf_reset(&w.w->mutation);
    if (argc == 1)
        rc = delete (&w, argv[0]);
    else if (w.insert)
        rc = insert(&w);
    else
        rc = update(&w, argv[0], argv[1]);
    if (rc == BASE_OK)
        return SQLITE_OK;
    int sqlite = vtabi_fail(vtab, rc, &err);
    return w.sqlite ? w.sqlite : sqlite;
}
