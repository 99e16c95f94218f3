/* A scan: partition after partition (or row after row, or the whole table), filtered, skipped,
 * limited.
 *
 * 1. A cursor holds the binding and the read it began with: COMMIT, ROLLBACK and schema changes
 *    leave it alone.
 * 2. xFilter may run many times on one cursor (joins): every buffer is used again.
 * 3. Refusals come from here, not from the planner, and name the way out.
 * 4. In a cluster the reads of the next parts (IN over partitions) are under way while the first
 *    one's rows are taken. */
#include "vtab/vtab_private.h"

#include <stdio.h>

#include "base/key.h"

#define AHEAD_MAX 16

/* The read of one part: a partition, a row, or the whole table. Its memory stays for the next. */
struct part_read {
    struct node_read *read;
    struct base_read cmd;
    struct base_range row_range; /* KEY: the row's */
};

struct cursor {
    sqlite3_vtab_cursor base;      /* first */
    struct vtabi_binding *binding; /* NULL before the first xFilter */
    struct vtabi_link *link;       /* counted in it */
    /* a ring: `open_count` of them are open, from `open_at` on */
    struct part_read reads[AHEAD_MAX];
    unsigned open_at, open_count;
    struct base_read cmd; /* what all parts have in common */
    struct vtabi_plan plan;
    struct vtabi_request request;
    size_t next_part;
    struct vtabi_filter *filters;
    struct base_filter *equal; /* those of them that the node may serve by an index: in cmd */
    struct vtabi_row row;
    int consistency;
    sqlite3_value *consistency_value; /* what the query said, for xColumn */
    sqlite3_value **echo;             /* by key column, when SQLite tests terms again */
    uint64_t skip, left;
    int64_t now_s; /* 0: not asked yet */
    bool eof;
};

static struct vtabi_table *table_of(const struct cursor *c)
{
    return (struct vtabi_table *)c->base.pVtab;
}

int vtabi_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct cursor *c = table->spare_cursor;
    if (c) {
        table->spare_cursor = NULL;
    } else {
        c = sqlite3_malloc64(sizeof *c);
        if (!c)
            return SQLITE_NOMEM;
        memset(c, 0, sizeof *c);
        vtabi_request_init(&c->request);
    }
    c->eof = true;
    *out = &c->base;
    return SQLITE_OK;
}

static void echo_free(struct cursor *c)
{
    size_t keys =
        c->echo ? c->binding->table->partition_key_count + c->binding->table->clustering_count : 0;
    for (size_t i = 0; i < keys; i++)
        sqlite3_value_free(c->echo[i]);
    sqlite3_free(c->echo);
    c->echo = NULL;
}

/* Back to before xFilter; buffers keep their memory. */
static void cursor_reset(struct cursor *c)
{
    for (; c->open_count; c->open_count--)
        node_read_close(c->reads[(c->open_at + c->open_count - 1) % AHEAD_MAX].read);
    c->open_at = 0;
    vtabi_filters_free(c->filters, c->plan.filter_count);
    c->filters = NULL;
    sqlite3_free(c->equal);
    c->equal = NULL;
    sqlite3_value_free(c->consistency_value);
    c->consistency_value = NULL;
    echo_free(c);
    c->eof = true;
    c->now_s = 0;
}

/* Give the read back to the link, for the next cursor. */
static void cursor_detach(struct cursor *c)
{
    if (!c->link)
        return;
    BASE_ASSERT(c->link->cursor_count > 0);
    c->link->cursor_count--;
    for (unsigned i = 0; i < AHEAD_MAX; i++) {
        if (c->link->spare_read)
            node_read_free(c->reads[i].read);
        else
            c->link->spare_read = c->reads[i].read;
        c->reads[i].read = NULL;
    }
    c->link = NULL;
}

static void cursor_unbind(struct cursor *c)
{
    if (!c->binding)
        return;
    vtabi_row_fini(&c->row);
    vtabi_binding_release(c->binding);
    c->binding = NULL;
}

void vtabi_cursor_free(struct cursor *c)
{
    if (!c)
        return;
    cursor_unbind(c);
    vtabi_request_fini(&c->request);
    sqlite3_free(c);
}

/* One cursor stays with the table: a statement that runs again finds its buffers. */
int vtabi_cursor_close(sqlite3_vtab_cursor *cursor)
{
    struct cursor *c = (struct cursor *)cursor;
    struct vtabi_table *table = table_of(c);
    cursor_reset(c);
    cursor_detach(c);
    if (table->spare_cursor)
        vtabi_cursor_free(c);
    else
        table->spare_cursor = c;
    return SQLITE_OK;
}

static int cursor_bind(struct cursor *c, struct base_err *err)
{
    struct vtabi_table *table = table_of(c);
    int rc = vtabi_table_bind(table, err);
    if (rc != BASE_OK)
        return rc;
    if (c->binding != table->binding) {
        cursor_unbind(c);
        rc = vtabi_row_init(&c->row, table->binding);
        if (rc != BASE_OK)
            return base_err_set(err, rc, "out of memory");
        c->binding = vtabi_binding_acquire(table->binding);
    }
    if (c->link != table->link) {
        cursor_detach(c);
        c->link = table->link;
        c->link->cursor_count++;
        c->reads[0].read = c->link->spare_read;
        c->link->spare_read = NULL;
    }
    return BASE_OK;
}

/* Arguments. */

/* `missing` is what the planner found, or NULL: name the whole key. DELETE and UPDATE with LIMIT,
 * as a connection's first statement on the table, are compiled by SQLite 3.40 before it knows that
 * there is no rowid. */
static int refuse(const struct cursor *c, const char *missing, struct base_err *err)
{
    const struct vtabi_table *table = table_of(c);
    const struct base_table *schema = c->binding->table;
    char names[512] = "";
    if (missing && strcmp(missing, VTABI_PLAN_AGAIN) == 0)
        return base_err_set(err, BASE_E_STALE,
                            "%s: SQLite met the table for the first time in this statement and "
                            "took it for one with rowids; run it again",
                            table->name);
    for (size_t i = 0, at = 0; !missing && i < schema->partition_key_count && at < sizeof names;
         i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%.*s", i ? ", " : "",
                               BASE_SLICE_ARG(schema->columns[i].name));
    return base_err_set(err, BASE_E_INVALID,
                        "%s: a query needs = or IN on the whole partition key; missing: %s. To "
                        "read the whole table "
                        "instead, say so: AND %.*s = 1",
                        table->name, missing ? missing : names, BASE_SLICE_ARG(table->allow_name));
}

static int read_consistency(struct cursor *c, sqlite3_value *value, struct base_err *err)
{
    const char *text = (const char *)sqlite3_value_text(value);
    c->consistency = text ? node_consistency_parse(base_slice_str(text)) : -1;
    if (c->consistency < 0)
        return base_err_set(err, BASE_E_INVALID, "unknown consistency level '%s'",
                            text ? text : "NULL");
    c->consistency_value = sqlite3_value_dup(value);
    return c->consistency_value ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
}

static uint64_t row_count(sqlite3_value *value, uint64_t when_negative)
{
    sqlite3_int64 n = sqlite3_value_int64(value);
    return n < 0 ? when_negative : (uint64_t)n;
}

/* Our text form of the type is what the user would write, so that SQLite's second look agrees. */
static bool is_natural(const struct base_type *type)
{
    const char *sql = vtabi_sql_type(type);
    return strcmp(sql, "TEXT") != 0 || type->kind == BASE_TYPE_TEXT ||
           type->kind == BASE_TYPE_ASCII;
}

/* SQLite ignores `omit` for terms past the 16th and tests them on what xColumn gives. For equality
 * xColumn gives the operand itself; a range on a type whose text has many forms cannot be mended:
 * it is refused. */
static int keep_echo(struct cursor *c, sqlite3_value **argv, struct base_err *err)
{
    const struct base_table *schema = c->binding->table;
    size_t keys = schema->partition_key_count + schema->clustering_count;
    size_t fixed = schema->partition_key_count + c->plan.prefix_count;
    if (c->plan.kind != VTABI_PLAN_PARTITION)
        return BASE_OK;
    if ((c->plan.lower || c->plan.upper) && !is_natural(schema->columns[fixed].type))
        return base_err_set(err, BASE_E_INVALID,
                            "%s: a range on %.*s must be among the first 16 terms of WHERE",
                            table_of(c)->name, BASE_SLICE_ARG(schema->columns[fixed].name));
    c->echo = sqlite3_malloc64(keys * sizeof c->echo[0]);
    if (!c->echo)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    memset(c->echo, 0, keys * sizeof c->echo[0]);
    for (size_t i = 0; i < fixed; i++) {
        sqlite3_value *first;
        int sqlite = c->plan.in ? sqlite3_vtab_in_first(argv[i], &first) : SQLITE_ERROR;
        if (sqlite == SQLITE_OK || sqlite == SQLITE_DONE)
            continue; /* lists are taken among the first 16 only */
        c->echo[i] = sqlite3_value_dup(argv[i]);
        if (!c->echo[i])
            return base_err_set(err, BASE_E_NOMEM, "out of memory");
    }
    return BASE_OK;
}

/* Equalities on indexed columns go to the node as well: it leaves out rows for which they do not
 * hold, and judges them as we do. */
static int put_equalities(struct cursor *c, struct base_err *err)
{
    const struct base_table *table = c->binding->table;
    size_t n = 0;
    if (table->index_count == 0 || c->plan.filter_count == 0)
        return BASE_OK;
    c->equal = sqlite3_malloc64(c->plan.filter_count * sizeof *c->equal);
    if (!c->equal)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < c->plan.filter_count; i++) {
        const struct vtabi_filter *filter = &c->filters[i];
        const struct base_column *column =
            c->binding->columns[filter->column - table_of(c)->column_first];
        bool indexed = false;
        for (size_t k = 0; column && filter->op == '=' && !filter->always && !filter->never &&
                           k < table->index_count;
             k++)
            indexed |= table->indexes[k].column == column->id &&
                       table->indexes[k].target == BASE_INDEX_VALUE;
        if (indexed)
            c->equal[n++] = (struct base_filter){
                .column = column->id, .op = BASE_FILTER_EQ, .operand = filter->operands[0]};
    }
    c->cmd.filters = c->equal;
    c->cmd.filter_count = n;
    return BASE_OK;
}

static int cursor_arguments(struct cursor *c, const char *idx_str, sqlite3_value **argv,
                            struct base_err *err)
{
    struct vtabi_table *table = table_of(c);
    int at = 0;
    int rc = vtabi_request_build(&c->request, table, c->binding, &c->plan, argv, &at, err);
    if (rc == BASE_OK && c->plan.echo)
        rc = keep_echo(c, argv, err);
    if (rc == BASE_OK && c->plan.allow) {
        bool allowed = sqlite3_value_int(argv[at++]) != 0;
        if (!allowed && c->plan.kind == VTABI_PLAN_SCAN)
            rc = refuse(c, NULL, err);
    }
    if (rc == BASE_OK && c->plan.filter_count)
        rc = vtabi_filters_parse(table, c->binding, idx_str, argv + at, c->plan.filter_count,
                                 &c->filters, err);
    if (rc == BASE_OK)
        rc = put_equalities(c, err);
    at += (int)c->plan.filter_count;
    if (rc == BASE_OK && c->plan.consistency)
        rc = read_consistency(c, argv[at++], err);
    if (rc == BASE_OK && c->plan.limit)
        c->left = row_count(argv[at++], UINT64_MAX);
    if (rc == BASE_OK && c->plan.offset)
        c->skip = row_count(argv[at++], 0);
    return rc;
}

/* Reading. */

/* Address the next part. False when there is none. */
static bool next_command(struct cursor *c, struct part_read *part)
{
    const struct vtabi_request *request = &c->request;
    part->cmd = c->cmd;
    if (c->plan.kind == VTABI_PLAN_SCAN)
        return c->next_part++ == 0;
    if (c->next_part == request->part_count)
        return false;
    const struct vtabi_span *span = &request->parts[c->next_part++];
    const uint8_t *key = request->keys.data + span->at;
    part->cmd.pkey = base_slice(key, span->pkey_len);
    if (c->plan.kind == VTABI_PLAN_KEY) {
        struct base_slice ckey = base_slice(key + span->pkey_len, span->len - span->pkey_len);
        part->row_range = (struct base_range){ckey, ckey};
        part->cmd.slices = ckey.len ? (struct base_slices){&part->row_range, 1} : base_slices_all;
    } else {
        part->cmd.slices = request->whole
                               ? base_slices_all
                               : (struct base_slices){request->ranges, request->range_count};
        if (!request->whole && request->range_count == 0)
            return false;
    }
    return true;
}

/* Open the reads of the next parts, as many as may be under way at once. */
static int read_open(struct cursor *c, struct base_err *err)
{
    bool sum_fits = c->left <= UINT64_MAX - c->skip;
    unsigned ahead = c->left == UINT64_MAX ? node_reads_ahead(c->link->session) : 1;
    c->cmd.row_limit = c->plan.filter_count || !sum_fits ? UINT64_MAX : c->left + c->skip;
    if (c->plan.kind == VTABI_PLAN_KEY)
        c->cmd.row_limit = 1;
    while (c->open_count < ahead && c->open_count < AHEAD_MAX) {
        struct part_read *part = &c->reads[(c->open_at + c->open_count) % AHEAD_MAX];
        if (!next_command(c, part))
            break;
        int rc = node_read_open(c->link->session, c->binding->table, &part->cmd, c->consistency,
                                &part->read, err);
        if (rc != BASE_OK)
            return rc;
        c->open_count++;
    }
    return BASE_OK;
}

/* k without a clustering key is the row of a partition that has only static values. */
static bool is_wanted(const struct cursor *c, const struct part_read *part,
                      const struct base_live_row *live)
{
    return c->plan.kind != VTABI_PLAN_KEY || part->cmd.slices.ranges == &part->row_range ||
           live->ckey.len == 0;
}

/* Go to the next row that the query wants, or to the end. */
static int advance(struct cursor *c, struct base_err *err)
{
    while (c->left) {
        struct base_live_row *live = &c->row.live;
        bool match = true;
        if (c->open_count == 0) {
            int rc = read_open(c, err);
            if (rc != BASE_OK)
                return rc;
            if (c->open_count == 0)
                break;
        }
        struct part_read *part = &c->reads[c->open_at];
        vtabi_row_next(&c->row);
        int rc = node_read_next(part->read, live, err);
        if (rc != BASE_OK)
            return rc;
        if (live->pkey.len == 0) {
            node_read_close(part->read);
            c->open_at = (c->open_at + 1) % AHEAD_MAX;
            c->open_count--;
            rc = read_open(c, err);
            if (rc != BASE_OK)
                return rc;
            continue;
        }
        if (!is_wanted(c, part, live))
            continue;
        if (c->plan.filter_count) {
            rc = vtabi_filters_match(table_of(c), c->filters, c->plan.filter_count, &c->row, &match,
                                     err);
            if (rc != BASE_OK)
                return rc;
            if (!match)
                continue;
        }
        if (c->skip) {
            c->skip--;
            continue;
        }
        c->left -= c->left != UINT64_MAX;
        return BASE_OK;
    }
    c->eof = true;
    return BASE_OK;
}

int vtabi_cursor_filter(sqlite3_vtab_cursor *cursor, int idx_num, const char *idx_str, int argc,
                        sqlite3_value **argv)
{
    struct cursor *c = (struct cursor *)cursor;
    struct vtabi_table *table = table_of(c);
    struct base_err err;
    (void)argc;
    base_err_clear(&err);
    cursor_reset(c);
    vtabi_plan_decode(idx_num, &c->plan);
    unsigned filter_count = c->plan.filter_count;
    int rc = cursor_bind(c, &err);
    if (rc == BASE_OK && c->plan.kind == VTABI_PLAN_REFUSED)
        rc = refuse(c, idx_str && strchr(idx_str, ':') ? strchr(idx_str, ':') + 2 : NULL, &err);
    c->consistency = table->host->consistency;
    c->left = UINT64_MAX;
    c->skip = 0;
    c->next_part = 0;
    c->cmd = BASE_READ_INIT;
    if (rc == BASE_OK) {
        c->cmd.table_id = c->binding->table->id;
        c->cmd.epoch = c->binding->schema->epoch;
        c->cmd.reversed = c->plan.reversed;
        c->cmd.slices = base_slices_all;
        rc = cursor_arguments(c, idx_str, argv, &err);
    }
    if (rc == BASE_OK) {
        table->scan_consistency = c->consistency;
        c->eof = false;
        rc = advance(c, &err);
    }
    if (rc != BASE_OK)
        c->eof = true;
    BASE_ASSERT(filter_count == c->plan.filter_count);
    return rc == BASE_OK ? SQLITE_OK : vtabi_fail(&table->base, rc, &err);
}

int vtabi_cursor_next(sqlite3_vtab_cursor *cursor)
{
    struct cursor *c = (struct cursor *)cursor;
    struct base_err err;
    base_err_clear(&err);
    int rc = advance(c, &err);
    if (BASE_LIKELY(rc == BASE_OK))
        return SQLITE_OK;
    c->eof = true;
    return vtabi_fail(cursor->pVtab, rc, &err);
}

int vtabi_cursor_eof(sqlite3_vtab_cursor *cursor)
{
    return ((struct cursor *)cursor)->eof;
}

int vtabi_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid)
{
    (void)cursor;
    *rowid = 0; /* WITHOUT ROWID: never asked */
    return SQLITE_OK;
}

/* Columns. */

static int times_column(struct cursor *c, sqlite3_context *context, bool want_ttl,
                        struct base_err *err)
{
    int64_t ttl_s, writetime_us;
    if (c->now_s == 0) {
        c->now_s = node_now_s(c->link->node);
        table_of(c)->scan_s = c->now_s;
    }
    if (!vtabi_row_times(&c->row, c->now_s, &ttl_s, &writetime_us))
        return base_err_set(err, BASE_E_CORRUPT, "%s: damaged row", table_of(c)->name);
    if (want_ttl && ttl_s >= 0)
        sqlite3_result_int64(context, ttl_s);
    if (!want_ttl && writetime_us != BASE_TS_NONE)
        sqlite3_result_int64(context, writetime_us);
    return BASE_OK;
}

static int key_column(struct cursor *c, sqlite3_context *context)
{
    struct base_live_row *live = &c->row.live;
    if (live->pkey.data + live->pkey.len == live->ckey.data) { /* one piece already */
        sqlite3_result_blob64(context, live->pkey.data, live->pkey.len + live->ckey.len,
                              SQLITE_TRANSIENT);
        return BASE_OK;
    }
    struct base_buf *scratch = &c->row.scratch;
    base_buf_reset(scratch);
    int rc = base_buf_put_slice(scratch, live->pkey);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(scratch, live->ckey);
    if (rc == BASE_OK)
        sqlite3_result_blob64(context, scratch->data, scratch->len, SQLITE_TRANSIENT);
    return rc;
}

static int hidden_column(struct cursor *c, sqlite3_context *context, int column,
                         struct base_err *err)
{
    const struct vtabi_table *table = table_of(c);
    if (column == table->column_key)
        return key_column(c, context);
    if (column == table->column_allow) {
        sqlite3_result_int(context, 1);
    } else if (column == table->column_consistency) {
        if (c->consistency_value)
            sqlite3_result_value(context, c->consistency_value);
    } else {
        return times_column(c, context, column == table->column_ttl, err);
    }
    return BASE_OK;
}

/* The operand that SQLite will test again, or NULL. */
static sqlite3_value *echo_of(const struct cursor *c, const struct base_column *column)
{
    if (!column || column->kind == BASE_COLUMN_STATIC || column->kind == BASE_COLUMN_REGULAR)
        return NULL;
    size_t base =
        column->kind == BASE_COLUMN_CLUSTERING ? c->binding->table->partition_key_count : 0;
    return c->echo[base + column->position];
}

static int column_slow(struct cursor *c, sqlite3_context *context, int column)
{
    const struct vtabi_table *table = table_of(c);
    struct base_err err;
    int rc;
    int index = column - table->column_first;
    err.text[0] = 0;
    if (index >= 0 && index < table->column_count) {
        struct base_sql_value value;
        const struct base_column *described = c->binding->columns[index];
        sqlite3_value *echo = c->echo ? echo_of(c, described) : NULL;
        if (echo) {
            sqlite3_result_value(context, echo);
            return SQLITE_OK;
        }
        rc = vtabi_row_sql(&c->row, described, &value, &err);
        if (rc == BASE_OK)
            vtabi_value_result(context, &value);
    } else {
        rc = hidden_column(c, context, column, &err);
    }
    return rc == BASE_OK ? SQLITE_OK : vtabi_fail(c->base.pVtab, rc, &err);
}

int vtabi_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    struct cursor *c = (struct cursor *)cursor;
    const struct vtabi_table *table = table_of(c);
    int index = column - table->column_first;
    if (sqlite3_vtab_nochange(context))
        return SQLITE_OK; /* UPDATE will not write it */
    if (BASE_LIKELY(index >= 0 && index < table->column_count && !c->echo &&
                    vtabi_row_quick(&c->row, c->binding->columns[index], context)))
        return SQLITE_OK;
    return column_slow(c, context, column);
}
