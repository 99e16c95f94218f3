/* ringlet sstable dump: what is in an SSTable, one JSON object a line, with sstabledump's member
 * names.
 *
 * The file's bytes are not trusted and the schema may not be the one they were written under: what
 * does not decode is shown as hexadecimal ("0x…"), and a column that the table no longer has by its
 * number. */
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/key.h"
#include "base/path.h"
#include "node/sstable_private.h"

#define LINE_SIZE_MAX (256u << 20)

struct dump {
    const struct base_table *table; /* NULL: unknown */
    const struct nodei_printer *printer;
    struct base_buf line, scratch, value;
    struct base_json_writer json;
    struct base_partition partition;
    struct base_err *err;
};

/* Values. */

static void put_hex(struct dump *d, struct base_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    struct base_buf text;
    base_buf_init(&text, LINE_SIZE_MAX);
    int rc = base_buf_put(&text, "0x", 2);
    for (size_t i = 0; i < bytes.len && rc == BASE_OK; i++)
        rc = base_buf_put(&text, (char[]){digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15]},
                          2);
    base_json_string(&d->json, base_buf_view(&text));
    if (rc != BASE_OK && d->json.rc == BASE_OK)
        d->json.rc = rc;
    base_buf_fini(&text);
}

static void put_value(struct dump *d, const struct base_type *type, struct base_slice value)
{
    base_buf_reset(&d->value);
    if (type && value.len == 0 && type->kind != BASE_TYPE_TEXT && type->kind != BASE_TYPE_ASCII &&
        type->kind != BASE_TYPE_BLOB)
        base_json_str(&d->json, "");
    else if (type && base_value_to_json(type, value, &d->value, NULL) == BASE_OK)
        base_json_raw(&d->json, base_buf_view(&d->value));
    else
        put_hex(d, value);
}

static void put_time_us(struct dump *d, const char *key, int64_t us)
{
    char text[64];
    time_t s = (time_t)(us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000));
    struct tm tm;
    if (gmtime_r(&s, &tm) && tm.tm_year < 8100)
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)(us - (int64_t)s * 1000000));
    else
        snprintf(text, sizeof text, "%lld us", (long long)us);
    base_json_key(&d->json, key);
    base_json_str(&d->json, text);
}

static void put_time_s(struct dump *d, const char *key, int64_t s)
{
    char text[64];
    time_t t = (time_t)s;
    struct tm tm;
    if (gmtime_r(&t, &tm) && tm.tm_year < 8100)
        snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else
        snprintf(text, sizeof text, "%lld s", (long long)s);
    base_json_key(&d->json, key);
    base_json_str(&d->json, text);
}

static void put_deletion(struct dump *d, const char *key, struct base_deletion deletion)
{
    if (base_deletion_is_none(deletion))
        return;
    base_json_key(&d->json, key);
    base_json_open_object(&d->json);
    put_time_us(d, "marked_deleted", deletion.ts);
    put_time_s(d, "local_delete_time", deletion.local_s);
    base_json_close_object(&d->json);
}

/* Keys. */

static void put_partition_key(struct dump *d)
{
    struct base_slice pkey = d->partition.pkey, *values = NULL;
    size_t n = d->table ? d->table->partition_key_count : 0;
    base_json_key(&d->json, "partition");
    base_json_open_object(&d->json);
    base_json_key(&d->json, "key");
    base_json_open_array(&d->json);
    base_buf_reset(&d->scratch);
    bool known = n && (values = calloc(n, sizeof *values)) &&
                 base_pkey_decode(pkey, &d->scratch, NULL) == BASE_OK &&
                 base_pk_split(base_buf_view(&d->scratch), values, n, NULL) == BASE_OK;
    for (size_t i = 0; known && i < n; i++)
        put_value(d, d->table->columns[i].type, values[i]);
    if (!known)
        put_hex(d, pkey);
    free(values);
    base_json_close_array(&d->json);
    if (pkey.len >= 8) {
        base_json_key(&d->json, "token");
        base_json_i64(&d->json, base_token_get(pkey.data));
    }
    put_deletion(d, "deletion_info", d->partition.deletion);
    base_json_close_object(&d->json);
}

/* The clustering values of a ckey as an array; fewer than the table's columns for a bound. */
static void put_clustering(struct dump *d, struct base_slice ckey, struct base_slice originals)
{
    struct base_reader in = base_reader(ckey), own = base_reader(originals);
    uint8_t position = 0;
    base_json_key(&d->json, "clustering");
    if (!d->table) {
        put_hex(d, ckey);
        return;
    }
    base_json_open_array(&d->json);
    for (size_t i = 0; i < d->table->clustering_count; i++) {
        const struct base_column *column = &d->table->columns[d->table->partition_key_count + i];
        struct base_slice original;
        bool empty;
        base_buf_reset(&d->scratch);
        if (base_ckey_get(column->type, column->descending, &in, &d->scratch, &empty, &position,
                          NULL) != BASE_OK) {
            put_hex(d, ckey);
            break;
        }
        if (position)
            break;
        bool has_original = originals.len && base_get_bytes(&own, &original);
        put_value(d, column->type, has_original ? original : base_buf_view(&d->scratch));
    }
    base_json_close_array(&d->json);
}

static const char *position_name(struct base_slice ckey)
{
    switch (ckey.len ? ckey.data[ckey.len - 1] : 0) {
    case BASE_KEY_BEFORE:
        return "before";
    case BASE_KEY_AFTER:
        return "after";
    default:
        return "at";
    }
}

/* Cells. */

static const struct base_type *name_column(struct dump *d, uint32_t id)
{
    const struct base_column *column = d->table ? base_table_column_by_id(d->table, id) : NULL;
    const struct base_type *type = column ? column->type : NULL;
    base_json_key(&d->json, "name");
    if (column) {
        base_json_string(&d->json, column->name);
        return type;
    }
    for (size_t i = 0; d->table && i < d->table->dropped_count; i++)
        if (d->table->dropped[i].id == id) {
            base_json_string(&d->json, d->table->dropped[i].name);
            base_json_key(&d->json, "dropped");
            base_json_bool(&d->json, true);
            return d->table->dropped[i].type;
        }
    char text[32];
    snprintf(text, sizeof text, "column %u", (unsigned)id);
    base_json_str(&d->json, text);
    return NULL;
}

/* The cell's path; returns the type of its value. */
static const struct base_type *put_path(struct dump *d, const struct base_type *type,
                                        const struct base_cell *cell)
{
    struct base_slice element;
    uint16_t field;
    base_json_key(&d->json, "path");
    base_json_open_array(&d->json);
    const struct base_type *value_type = NULL;
    base_buf_reset(&d->scratch);
    if (type && type->kind == BASE_TYPE_UDT && base_path_get_field(cell->path, &field) &&
        field < type->param_count) {
        base_json_string(&d->json, type->field_names[field]);
        value_type = type->params[field];
    } else if (type &&
               (type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP ||
                type->kind == BASE_TYPE_LIST) &&
               base_path_get(type, cell, &d->scratch, &element, NULL) == BASE_OK) {
        put_value(d,
                  type->kind == BASE_TYPE_LIST ? base_type_scalar(BASE_TYPE_TIMEUUID)
                                               : type->params[0],
                  element);
        value_type = type->kind == BASE_TYPE_SET   ? base_type_scalar(BASE_TYPE_TEXT)
                     : type->kind == BASE_TYPE_MAP ? type->params[1]
                                                   : type->params[0];
    } else {
        put_hex(d, cell->path);
    }
    base_json_close_array(&d->json);
    return value_type;
}

static void put_cell(struct dump *d, const struct base_cell *cell)
{
    base_json_open_object(&d->json);
    const struct base_type *type = name_column(d, cell->column);
    if (cell->flags & BASE_CELL_COMPLEX_DELETION) {
        put_deletion(d, "deletion_info", (struct base_deletion){cell->ts, cell->local_s});
        base_json_close_object(&d->json);
        return;
    }
    if (cell->path.len)
        type = put_path(d, type, cell);
    if (cell->flags & BASE_CELL_DEAD) {
        base_json_key(&d->json, "deletion_info");
        base_json_open_object(&d->json);
        put_time_s(d, "local_delete_time", cell->local_s);
        base_json_close_object(&d->json);
    } else {
        base_json_key(&d->json, "value");
        put_value(d, cell->flags & BASE_CELL_COUNTER ? NULL : type, cell->value);
    }
    put_time_us(d, "tstamp", cell->ts);
    if (cell->flags & BASE_CELL_EXPIRING) {
        base_json_key(&d->json, "ttl");
        base_json_i64(&d->json, cell->ttl);
        put_time_s(d, "expires_at", cell->local_s);
    }
    base_json_close_object(&d->json);
}

static int put_cells(struct dump *d, const struct base_row *row)
{
    struct base_cells cells = base_cells_begin(row);
    struct base_cell cell;
    int more;
    base_json_key(&d->json, "cells");
    base_json_open_array(&d->json);
    while ((more = base_cells_next(&cells, &cell)) > 0)
        put_cell(d, &cell);
    base_json_close_array(&d->json);
    return more == 0 ? BASE_OK : base_err_set(d->err, BASE_E_CORRUPT, "a row's cells are damaged");
}

/* Lines. */

static void begin_line(struct dump *d, const char *type)
{
    base_buf_reset(&d->line);
    base_json_writer_init(&d->json, &d->line);
    base_json_open_object(&d->json);
    put_partition_key(d);
    base_json_key(&d->json, "type");
    base_json_str(&d->json, type);
}

static int end_line(struct dump *d)
{
    base_json_close_object(&d->json);
    int rc = base_json_finish(&d->json);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&d->line, '\n');
    if (rc != BASE_OK)
        return base_err_set(d->err, rc, "a row as JSON: %s", base_err_words(rc));
    rc = d->printer->print(d->printer->ctx, base_buf_view(&d->line));
    return rc == BASE_OK ? BASE_OK : base_err_set(d->err, rc, "print: %s", base_err_words(rc));
}

/* ckey empty: a static row. */
static int dump_row(struct dump *d, struct base_slice ckey, struct base_slice encoded)
{
    struct base_row row;
    if (!base_row_decode(encoded, &row))
        return base_err_set(d->err, BASE_E_CORRUPT, "a row is damaged");
    begin_line(d, ckey.len ? "row" : "static_block");
    if (ckey.len)
        put_clustering(d, ckey, row.originals);
    if (row.flags & BASE_ROW_LIVENESS) {
        base_json_key(&d->json, "liveness_info");
        base_json_open_object(&d->json);
        put_time_us(d, "tstamp", row.row_ts);
        if (row.flags & BASE_ROW_LIVENESS_TTL) {
            base_json_key(&d->json, "ttl");
            base_json_i64(&d->json, row.ttl);
            put_time_s(d, "expires_at", row.expires_s);
        }
        base_json_close_object(&d->json);
    }
    put_deletion(d, "deletion_info", row.deletion);
    int rc = put_cells(d, &row);
    return rc == BASE_OK ? end_line(d) : rc;
}

static int dump_marker(struct dump *d, const struct base_item *item)
{
    begin_line(d, "range_tombstone_bound");
    put_clustering(d, item->ckey, (struct base_slice){0});
    base_json_key(&d->json, "position");
    base_json_str(&d->json, position_name(item->ckey));
    put_deletion(d, "deletion_before", item->before);
    put_deletion(d, "deletion_after", item->after);
    return end_line(d);
}

static int dump_partition(struct dump *d, struct base_source *source)
{
    struct base_item item;
    int rc = BASE_OK;
    if (!base_deletion_is_none(d->partition.deletion)) {
        begin_line(d, "partition");
        rc = end_line(d);
    }
    if (rc == BASE_OK && d->partition.static_row.len)
        rc = dump_row(d, (struct base_slice){0}, d->partition.static_row);
    while (rc == BASE_OK) {
        rc = source->ops->next(source, &item, d->err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            break;
        rc = item.kind == BASE_ITEM_ROW ? dump_row(d, item.ckey, item.row) : dump_marker(d, &item);
    }
    return rc;
}

int nodei_sstable_dump(struct lsm_sstable *sst, const struct base_table *table,
                       const struct nodei_printer *printer, struct base_err *err)
{
    struct lsm_sstable_info info;
    struct base_source *source;
    struct base_read all = BASE_READ_INIT;
    struct dump d = {.table = table, .printer = printer, .err = err};
    lsm_sstable_get_info(sst, &info);
    all.table_id = info.table_id;
    all.slices = base_slices_all;
    int rc = lsm_sstable_read(sst, &all, &source, err);
    if (rc != BASE_OK)
        return rc;
    base_buf_init(&d.line, LINE_SIZE_MAX);
    base_buf_init(&d.scratch, LINE_SIZE_MAX);
    base_buf_init(&d.value, LINE_SIZE_MAX);
    while (rc == BASE_OK) {
        rc = source->ops->partition(source, &d.partition, err);
        if (rc != BASE_OK || d.partition.pkey.len == 0)
            break;
        rc = dump_partition(&d, source);
    }
    source->ops->close(source);
    base_buf_fini(&d.line);
    base_buf_fini(&d.scratch);
    base_buf_fini(&d.value);
    return rc;
}
