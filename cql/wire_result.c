/* RESULT and EVENT, both ways.
 *
 * Invariants:
 *  1. Columns of one table say its name once; so do bind markers.
 *  2. A decoded ROWS has all its cells: cql_next_row cannot run out of bytes before its last
 *     row. */
#include "cql/wire.h"

enum { GLOBAL_TABLE = 0x01, HAS_MORE = 0x02, NO_METADATA = 0x04, METADATA_CHANGED = 0x08 };

/* Putting. */

static bool one_table(const struct cql_column_spec *columns, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if ((columns[i].keyspace.data != columns[0].keyspace.data &&
             !base_slice_equal(columns[i].keyspace, columns[0].keyspace)) ||
            (columns[i].table.data != columns[0].table.data &&
             !base_slice_equal(columns[i].table, columns[0].table)) ||
            columns[i].table.len != columns[0].table.len ||
            columns[i].keyspace.len != columns[0].keyspace.len)
            return false;
    return count > 0;
}

static int put_table(struct base_buf *buf, const struct cql_column_spec *column)
{
    int rc = cql_wire_put_string(buf, column->keyspace);
    return rc == BASE_OK ? cql_wire_put_string(buf, column->table) : rc;
}

static int put_columns(struct base_buf *buf, uint8_t version, const struct cql_column_spec *columns,
                       size_t count, bool global)
{
    int rc = global ? put_table(buf, &columns[0]) : BASE_OK;
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        rc = global ? BASE_OK : put_table(buf, &columns[i]);
        if (rc == BASE_OK)
            rc = cql_wire_put_string(buf, columns[i].name);
        if (rc == BASE_OK)
            rc = cql_wire_put_type(buf, version, columns[i].type);
    }
    return rc;
}

static int put_rows(struct base_buf *buf, uint8_t version, const struct cql_result *result,
                    const struct cql_rows_options *options)
{
    bool skip = options->skip_metadata && !options->new_metadata_id.data;
    bool global = !skip && one_table(result->columns, result->column_count);
    int32_t flags = (global ? GLOBAL_TABLE : 0) | (result->has_more ? HAS_MORE : 0) |
                    (skip ? NO_METADATA : 0) |
                    (options->new_metadata_id.data ? METADATA_CHANGED : 0);
    struct base_slice paging_state = base_buf_view(&result->paging_state);
    int rc = cql_wire_put_int(buf, flags);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, (int32_t)result->column_count);
    if (rc == BASE_OK && result->has_more)
        rc = cql_wire_put_bytes(buf, &paging_state);
    if (rc == BASE_OK && options->new_metadata_id.data)
        rc = cql_wire_put_short_bytes(buf, options->new_metadata_id);
    if (rc == BASE_OK && !skip)
        rc = put_columns(buf, version, result->columns, result->column_count, global);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, (int32_t)result->row_count);
    return rc == BASE_OK ? base_buf_put_slice(buf, base_buf_view(&result->rows)) : rc;
}

/* KEYSPACE has no name of its own; what else there is stands in a keyspace. */
static int put_schema_change(struct base_buf *buf, struct base_slice change,
                             struct base_slice target, struct base_slice keyspace,
                             struct base_slice name)
{
    int rc = cql_wire_put_string(buf, change);
    if (rc == BASE_OK)
        rc = cql_wire_put_string(buf, target);
    if (rc == BASE_OK)
        rc = cql_wire_put_string(buf, keyspace);
    if (rc == BASE_OK && !base_slice_equal(target, BASE_SLICE_LIT("KEYSPACE")))
        rc = cql_wire_put_string(buf, name);
    return rc;
}

int cql_put_result(struct base_buf *buf, uint8_t version, const struct cql_result *result,
                   const struct cql_rows_options *options)
{
    static const struct cql_rows_options none;
    int rc = cql_wire_put_int(buf, (int32_t)result->kind);
    if (rc != BASE_OK)
        return rc;
    switch (result->kind) {
    case CQL_RESULT_VOID:
        return BASE_OK;
    case CQL_RESULT_ROWS:
        return put_rows(buf, version, result, options ? options : &none);
    case CQL_RESULT_SET_KEYSPACE:
        return cql_wire_put_string(buf, result->keyspace);
    case CQL_RESULT_SCHEMA_CHANGE:
        return put_schema_change(buf, base_slice_str(result->change),
                                 base_slice_str(result->target), result->keyspace, result->name);
    case CQL_RESULT_PREPARED:
        break;
    }
    return BASE_E_INTERNAL; /* cql_put_prepared's */
}

int cql_put_prepared(struct base_buf *buf, uint8_t version, const struct cql_prepared_info *info)
{
    bool global = one_table(info->binds, info->bind_count),
         result_global = one_table(info->columns, info->column_count);
    int rc = cql_wire_put_int(buf, CQL_RESULT_PREPARED);
    if (rc == BASE_OK)
        rc = cql_wire_put_short_bytes(buf, info->id);
    if (rc == BASE_OK && version >= 5)
        rc = cql_wire_put_short_bytes(buf, info->result_metadata_id);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, global ? GLOBAL_TABLE : 0);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, (int32_t)info->bind_count);
    if (rc == BASE_OK && version >= 4)
        rc = cql_wire_put_int(buf, (int32_t)info->pk_count);
    for (size_t i = 0; i < info->pk_count && rc == BASE_OK && version >= 4; i++)
        rc = cql_wire_put_short(buf, info->pk_indexes[i]);
    if (rc == BASE_OK)
        rc = put_columns(buf, version, info->binds, info->bind_count, global);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, info->column_count == 0 ? NO_METADATA
                                   : result_global         ? GLOBAL_TABLE
                                                           : 0);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, (int32_t)info->column_count);
    return rc == BASE_OK
               ? put_columns(buf, version, info->columns, info->column_count, result_global)
               : rc;
}

int cql_metadata_id(const struct cql_column_spec *columns, size_t count,
                    uint8_t out[BASE_DIGEST_LEN])
{
    struct base_buf buf;
    base_buf_init(&buf, 64u << 20);
    int rc = put_columns(&buf, CQL_WIRE_VERSION_MAX, columns, count, false);
    if (rc == BASE_OK)
        base_digest(buf.data, buf.len, out);
    base_buf_fini(&buf);
    return rc;
}

/* Getting. */

static int cut_off(struct base_err *err)
{
    return base_err_set(err, BASE_E_INVALID, "A RESULT is cut off or damaged");
}

static int get_columns(struct base_reader *r, struct base_arena *arena, int32_t flags, size_t count,
                       const struct cql_column_spec **out, struct base_err *err)
{
    struct cql_column_spec global = {0};
    if ((flags & GLOBAL_TABLE) &&
        (!cql_wire_get_string(r, &global.keyspace) || !cql_wire_get_string(r, &global.table)))
        return cut_off(err);
    if (count > base_reader_left(r) / 4)
        return cut_off(err);
    struct cql_column_spec *columns = base_arena_alloc(arena, (count + 1) * sizeof *columns);
    if (!columns)
        return base_err_set(err, BASE_E_NOMEM, "columns: out of memory");
    for (size_t i = 0; i < count; i++) {
        struct cql_column_spec *c = &columns[i];
        *c = global;
        if (!(flags & GLOBAL_TABLE) &&
            (!cql_wire_get_string(r, &c->keyspace) || !cql_wire_get_string(r, &c->table)))
            return cut_off(err);
        if (!cql_wire_get_string(r, &c->name))
            return cut_off(err);
        int rc = cql_wire_get_type(r, arena, &c->type, err);
        if (rc != BASE_OK)
            return rc;
    }
    *out = columns;
    return BASE_OK;
}

/* The metadata of rows, in ROWS and in PREPARED. */
static int get_metadata(struct base_reader *r, struct base_arena *arena,
                        struct cql_result_info *out, struct base_err *err)
{
    int32_t flags, count;
    bool is_null;
    if (!cql_wire_get_int(r, &flags) || !cql_wire_get_int(r, &count) || count < 0)
        return cut_off(err);
    out->has_more = flags & HAS_MORE;
    out->no_metadata = flags & NO_METADATA;
    out->column_count = (size_t)count;
    if (out->has_more && !cql_wire_get_bytes(r, &out->paging_state, &is_null))
        return cut_off(err);
    if ((flags & METADATA_CHANGED) && !cql_wire_get_short_bytes(r, &out->new_metadata_id))
        return cut_off(err);
    return out->no_metadata ? BASE_OK
                            : get_columns(r, arena, flags, out->column_count, &out->columns, err);
}

static int get_rows(struct base_reader *r, struct base_arena *arena, struct cql_result_info *out,
                    struct base_err *err)
{
    int32_t rows;
    int rc = get_metadata(r, arena, out, err);
    if (rc != BASE_OK)
        return rc;
    if (!cql_wire_get_int(r, &rows) || rows < 0)
        return cut_off(err);
    out->row_count = (uint32_t)rows;
    const uint8_t *start = r->p;
    if (out->column_count && out->row_count > base_reader_left(r) / 4 / out->column_count)
        return cut_off(err);
    for (size_t cells = (size_t)out->row_count * out->column_count; cells; cells--) {
        struct base_slice cell;
        bool is_null;
        if (!cql_wire_get_bytes(r, &cell, &is_null))
            return cut_off(err);
    }
    out->rows = base_slice(start, (size_t)(r->p - start));
    return BASE_OK;
}

static int get_pk(struct base_reader *r, struct base_arena *arena, struct cql_prepared_info *out,
                  struct base_err *err)
{
    int32_t n;
    if (!cql_wire_get_int(r, &n) || n < 0 || (size_t)n > base_reader_left(r) / 2)
        return cut_off(err);
    uint16_t *indexes = base_arena_alloc(arena, ((size_t)n + 1) * sizeof *indexes);
    if (!indexes)
        return base_err_set(err, BASE_E_NOMEM, "prepared: out of memory");
    for (int32_t i = 0; i < n; i++)
        if (!cql_wire_get_short(r, &indexes[i]) || indexes[i] >= out->bind_count)
            return cut_off(err);
    out->pk_indexes = indexes;
    out->pk_count = (size_t)n;
    return BASE_OK;
}

static int get_prepared(struct base_reader *r, struct base_arena *arena, uint8_t version,
                        struct cql_result_info *result, struct base_err *err)
{
    struct cql_prepared_info *out = &result->prepared;
    int32_t flags, count;
    if (!cql_wire_get_short_bytes(r, &out->id) ||
        (version >= 5 && !cql_wire_get_short_bytes(r, &out->result_metadata_id)))
        return cut_off(err);
    if (!cql_wire_get_int(r, &flags) || !cql_wire_get_int(r, &count) || count < 0)
        return cut_off(err);
    out->bind_count = (size_t)count;
    int rc = version >= 4 ? get_pk(r, arena, out, err) : BASE_OK;
    if (rc == BASE_OK && !(flags & NO_METADATA))
        rc = get_columns(r, arena, flags, out->bind_count, &out->binds, err);
    if (rc == BASE_OK)
        rc = get_metadata(r, arena, result, err);
    out->columns = result->columns;
    out->column_count = result->no_metadata ? 0 : result->column_count;
    return rc;
}

static bool get_schema_change(struct base_reader *r, struct base_slice *change,
                              struct base_slice *target, struct base_slice *keyspace,
                              struct base_slice *name)
{
    return cql_wire_get_string(r, change) && cql_wire_get_string(r, target) &&
           cql_wire_get_string(r, keyspace) &&
           (base_slice_equal(*target, BASE_SLICE_LIT("KEYSPACE")) || cql_wire_get_string(r, name));
}

int cql_get_result(struct base_arena *arena, uint8_t version, struct base_slice body,
                   struct cql_result_info *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    int32_t kind;
    int rc = BASE_OK;
    memset(out, 0, sizeof *out);
    if (!cql_wire_get_int(&r, &kind) || kind < CQL_RESULT_VOID || kind > CQL_RESULT_SCHEMA_CHANGE)
        return cut_off(err);
    out->kind = (enum cql_result_kind)kind;
    switch (out->kind) {
    case CQL_RESULT_VOID:
        break;
    case CQL_RESULT_ROWS:
        rc = get_rows(&r, arena, out, err);
        break;
    case CQL_RESULT_SET_KEYSPACE:
        rc = cql_wire_get_string(&r, &out->keyspace) ? BASE_OK : cut_off(err);
        break;
    case CQL_RESULT_PREPARED:
        rc = get_prepared(&r, arena, version, out, err);
        break;
    case CQL_RESULT_SCHEMA_CHANGE:
        rc = get_schema_change(&r, &out->change, &out->target, &out->keyspace, &out->name)
                 ? BASE_OK
                 : cut_off(err);
        break;
    }
    if (rc != BASE_OK)
        memset(out, 0, sizeof *out);
    return rc;
}

bool cql_next_row(struct base_reader *rows, struct cql_value *cells, size_t column_count)
{
    for (size_t i = 0; i < column_count; i++) {
        bool is_null;
        if (!cql_wire_get_bytes(rows, &cells[i].bytes, &is_null))
            return false;
        cells[i].state = is_null ? CQL_VALUE_NULL : CQL_VALUE_SET;
    }
    return column_count > 0;
}

/* Events. */

static const char *const event_names[CQL_EVENT_KINDS] = {"TOPOLOGY_CHANGE", "STATUS_CHANGE",
                                                         "SCHEMA_CHANGE"};

const char *cql_event_name(enum cql_event_kind kind)
{
    BASE_ASSERT(kind < CQL_EVENT_KINDS);
    return event_names[kind];
}

int cql_event_by_name(struct base_slice name)
{
    for (int i = 0; i < CQL_EVENT_KINDS; i++)
        if (base_slice_equal(name, base_slice_str(event_names[i])))
            return i;
    return -1;
}

int cql_put_event(struct base_buf *buf, const struct cql_event *event)
{
    int rc = cql_wire_put_string(buf, base_slice_str(cql_event_name(event->kind)));
    if (rc != BASE_OK)
        return rc;
    if (event->kind == CQL_EVENT_SCHEMA_CHANGE)
        return put_schema_change(buf, event->change, event->target, event->keyspace, event->name);
    rc = cql_wire_put_string(buf, event->change);
    return rc == BASE_OK ? cql_wire_put_inet(buf, event->address, event->port) : rc;
}

int cql_get_event(struct base_slice body, struct cql_event *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    struct base_slice name;
    memset(out, 0, sizeof *out);
    int kind = cql_wire_get_string(&r, &name) ? cql_event_by_name(name) : -1;
    bool ok = kind >= 0;
    out->kind = ok ? (enum cql_event_kind)kind : CQL_EVENT_TOPOLOGY_CHANGE;
    if (ok && out->kind == CQL_EVENT_SCHEMA_CHANGE)
        ok = get_schema_change(&r, &out->change, &out->target, &out->keyspace, &out->name);
    else if (ok)
        ok = cql_wire_get_string(&r, &out->change) &&
             cql_wire_get_inet(&r, &out->address, &out->port);
    if (ok)
        return BASE_OK;
    memset(out, 0, sizeof *out);
    return base_err_set(err, BASE_E_INVALID, "An EVENT is cut off or damaged");
}
