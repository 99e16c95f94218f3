/* One live row, decoded column by column as SQLite asks for them.
 *
 * 1. Nothing is decoded that is not asked for: the partition key once a partition, clustering
 *    values and cells up to the column wanted, in order.
 * 2. The row number tells what is stale: setting a row writes nothing but that number.
 * 3. Static and regular columns share the slots: a column is one or the other. */
#include "vtab/vtab_private.h"

#include "base/collection.h"
#include "base/key.h"

int vtabi_row_init(struct vtabi_row *row, const struct vtabi_binding *binding)
{
    const struct base_table *schema = binding->table;
    *row = (struct vtabi_row){.binding = binding, .number = 1};
    base_buf_init(&row->pkey, VTABI_BUF_MAX);
    base_buf_init(&row->pk, VTABI_BUF_MAX);
    base_buf_init(&row->ck, VTABI_BUF_MAX);
    base_buf_init(&row->scratch, VTABI_BUF_MAX);
    base_buf_init(&row->value, VTABI_BUF_MAX);
    /* one block: partition key values, ends of clustering values, slots by column id */
    size_t keys = schema->partition_key_count * sizeof row->pk_values[0];
    size_t ends = (schema->clustering_count + 1) * sizeof row->ck_ends[0];
    size_t slots = binding->id_count * sizeof row->slots[0];
    uint8_t *block = sqlite3_malloc64(keys + ends + slots);
    if (!block)
        return BASE_E_NOMEM;
    row->pk_values = (struct base_slice *)(void *)block;
    row->ck_ends = (size_t *)(void *)(block + keys);
    row->slots = (struct vtabi_slot *)(void *)(block + keys + ends);
    memset(row->slots, 0, slots);
    return BASE_OK;
}

void vtabi_row_fini(struct vtabi_row *row)
{
    sqlite3_free(row->pk_values);
    base_buf_fini(&row->pkey);
    base_buf_fini(&row->pk);
    base_buf_fini(&row->ck);
    base_buf_fini(&row->scratch);
    base_buf_fini(&row->value);
    *row = (struct vtabi_row){0};
}

static int corrupt(const struct vtabi_row *row, const char *what, struct base_err *err)
{
    return base_err_set(err, BASE_E_CORRUPT, "%.*s.%.*s: damaged %s",
                        BASE_SLICE_ARG(row->binding->table->keyspace),
                        BASE_SLICE_ARG(row->binding->table->name), what);
}

static int partition_value(struct vtabi_row *row, uint32_t position, struct base_slice *value,
                           struct base_err *err)
{
    const struct base_table *schema = row->binding->table;
    if (!row->pk_known || !base_slice_equal(base_buf_view(&row->pkey), row->live.pkey)) {
        row->pk_known = false;
        base_buf_reset(&row->pkey);
        base_buf_reset(&row->pk);
        int rc = base_buf_put_slice(&row->pkey, row->live.pkey);
        if (rc == BASE_OK)
            rc = base_pkey_decode(row->live.pkey, &row->pk, err);
        if (rc == BASE_OK)
            rc = base_pk_split(base_buf_view(&row->pk), row->pk_values, schema->partition_key_count,
                               err);
        if (rc != BASE_OK)
            return rc;
        row->pk_known = true;
    }
    *value = row->pk_values[position];
    return BASE_OK;
}

/* The next clustering value, appended to row->ck. Values whose encoding lost bytes (decimal 1.00)
 * stand in the row as they were written. */
static int clustering_next(struct vtabi_row *row, struct base_err *err)
{
    const struct base_table *schema = row->binding->table;
    const struct base_column *column =
        &schema->columns[schema->partition_key_count + row->ck_known];
    int rc;
    if (row->ck_original) {
        struct base_slice bytes;
        rc = base_get_bytes(&row->ck_reader, &bytes)
                 ? base_buf_put_slice(&row->ck, bytes)
                 : corrupt(row, "original clustering values", err);
    } else {
        uint8_t position;
        bool empty;
        rc = base_ckey_get(column->type, column->descending, &row->ck_reader, &row->ck, &empty,
                           &position, err);
        if (rc == BASE_OK && position)
            rc = corrupt(row, "clustering key", err);
    }
    if (rc == BASE_OK)
        row->ck_ends[++row->ck_known] = row->ck.len;
    return rc;
}

static int clustering_begin(struct vtabi_row *row, struct base_err *err)
{
    row->ck_number = row->number;
    row->ck_known = 0;
    row->ck_ends[0] = 0;
    base_buf_reset(&row->ck);
    row->ck_original = row->live.row.len && (row->live.row.data[0] & BASE_ROW_ORIGINALS);
    row->ck_reader = base_reader(row->live.ckey);
    if (row->ck_original) {
        struct base_row head;
        if (!base_row_decode(row->live.row, &head))
            return corrupt(row, "row", err);
        row->ck_reader = base_reader(head.originals);
    }
    return BASE_OK;
}

static int clustering_value(struct vtabi_row *row, uint32_t position, struct base_slice *value,
                            struct base_err *err)
{
    if (row->ck_number != row->number) {
        int rc = clustering_begin(row, err);
        if (rc != BASE_OK)
            return rc;
    }
    while (row->ck_known <= position) {
        int rc = clustering_next(row, err);
        if (rc != BASE_OK)
            return rc;
    }
    size_t from = row->ck_ends[position];
    *value = base_slice(row->ck.data + from, row->ck_ends[position + 1] - from);
    return BASE_OK;
}

/* Cells. */

/* Index cells until the column `id` is passed or found. The iterator stays in registers while it
 * runs: a copy of what was just written piecewise would wait for the store buffer, a third of a
 * scan's time. */
static int cells_find(struct vtabi_row *row, bool is_static, uint32_t id, struct vtabi_slot **found,
                      struct base_err *err)
{
    struct vtabi_cells *cells = &row->cells[is_static];
    struct base_cells it = {.column = 0};
    uint32_t upto = 0;
    *found = NULL;
    if (cells->number != row->number) {
        struct base_slice encoded = is_static ? row->live.static_row : row->live.row;
        struct base_row head;
        if (encoded.len == 0)
            upto = UINT32_MAX;
        else if (!base_row_decode(encoded, &head))
            return corrupt(row, "row", err);
        else
            it = base_cells_begin(&head);
    } else {
        it = cells->it;
        upto = cells->upto;
    }
    while (upto < id) {
        const uint8_t *at = it.reader.p;
        uint32_t column_before = it.column;
        struct base_cell cell;
        int n = base_cells_next(&it, &cell);
        if (n < 0)
            return corrupt(row, "cells", err);
        if (n == 0) {
            upto = UINT32_MAX;
            break;
        }
        upto = cell.column;
        if (cell.column >= row->binding->id_count ||
            (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)))
            continue;
        struct vtabi_slot *slot = &row->slots[cell.column];
        if (slot->number != row->number) {
            slot->number = row->number;
            slot->value = cell.value;
            slot->at = at;
            slot->column_before = column_before;
        }
    }
    cells->number = row->number;
    cells->it = it;
    cells->upto = upto;
    if (row->slots[id].number == row->number)
        *found = &row->slots[id];
    return BASE_OK;
}

/* All cells of one multi-cell column as its serialized value. */
static int assemble(struct vtabi_row *row, const struct vtabi_slot *slot,
                    const struct base_column *column, struct base_slice *value, bool *present,
                    struct base_err *err)
{
    struct base_cells it = row->cells[column->kind == BASE_COLUMN_STATIC].it;
    struct base_implode implode;
    struct base_cell cell;
    bool is_null = true;
    int n = 0;
    it.reader.p = slot->at;
    it.column = slot->column_before;
    base_buf_reset(&row->value);
    int rc = base_implode_begin(&implode, column->type, &row->value, err);
    while (rc == BASE_OK && (n = base_cells_next(&it, &cell)) > 0 && cell.column == column->id)
        rc = base_implode_add(&implode, &cell, err);
    if (n < 0)
        return corrupt(row, "cells", err);
    if (rc == BASE_OK)
        rc = base_implode_end(&implode, &is_null, err);
    *present = !is_null;
    *value = base_buf_view(&row->value);
    return rc;
}

static int cell_value(struct vtabi_row *row, const struct base_column *column,
                      struct base_slice *value, bool *present, struct base_err *err)
{
    struct vtabi_slot *slot;
    int rc = cells_find(row, column->kind == BASE_COLUMN_STATIC, column->id, &slot, err);
    if (rc != BASE_OK || !slot)
        return rc;
    if (BASE_UNLIKELY(base_type_is_multicell(column->type)))
        return assemble(row, slot, column, value, present, err);
    *present = true;
    *value = slot->value;
    return BASE_OK;
}

/* Values. */

int vtabi_row_value(struct vtabi_row *row, const struct base_column *column,
                    struct base_slice *value, bool *present, struct base_err *err)
{
    *value = (struct base_slice){0};
    *present = false;
    if (!column)
        return BASE_OK; /* dropped */
    switch (column->kind) {
    case BASE_COLUMN_PARTITION_KEY:
        *present = true;
        return partition_value(row, column->position, value, err);
    case BASE_COLUMN_CLUSTERING:
        *present = row->live.ckey.len > 0;
        return *present ? clustering_value(row, column->position, value, err) : BASE_OK;
    case BASE_COLUMN_STATIC:
    case BASE_COLUMN_REGULAR:
        break;
    }
    return cell_value(row, column, value, present, err);
}

/* The value of a cell among the first few of a row that has nothing but a marker and cells: most
 * scans ask for no more, and then the index (slots) is not worth its stores. */
enum plain { PLAIN_UNKNOWN, PLAIN_NULL, PLAIN_FOUND };
#define PLAIN_CELLS 6
static inline enum plain find_plain(const struct vtabi_row *row, uint32_t id,
                                    struct base_slice *value)
{
    struct base_cells it;
    struct base_cell cell;
    *value = (struct base_slice){0};
    if (row->cells[0].number == row->number || !base_cells_begin_plain(row->live.row, &it))
        return PLAIN_UNKNOWN;
    for (int i = 0; i < PLAIN_CELLS; i++) {
        int n = base_cells_next(&it, &cell);
        if (n == 0 || (n > 0 && cell.column > id))
            return PLAIN_NULL;
        if (n < 0 || (cell.column == id && cell.flags))
            return PLAIN_UNKNOWN;
        if (cell.column == id) {
            *value = cell.value;
            return PLAIN_FOUND;
        }
    }
    return PLAIN_UNKNOWN;
}

bool vtabi_row_quick(struct vtabi_row *row, const struct base_column *column,
                     sqlite3_context *context)
{
    struct base_sql_value value;
    struct base_slice bytes;
    if (!column)
        return false;
    if (column->kind == BASE_COLUMN_CLUSTERING) {
        if (column->position || !base_ckey_first_integer(column->type, column->descending,
                                                         row->live.ckey, &value.integer))
            return false;
        sqlite3_result_int64(context, value.integer);
        return true;
    }
    if (column->kind != BASE_COLUMN_REGULAR)
        return false;
    enum plain plain = find_plain(row, column->id, &bytes);
    if (plain == PLAIN_UNKNOWN) {
        struct vtabi_slot *slot;
        if (cells_find(row, false, column->id, &slot, NULL) != BASE_OK)
            return false;
        plain = slot ? PLAIN_FOUND : PLAIN_NULL;
        bytes = slot ? slot->value : bytes;
    }
    if (plain == PLAIN_NULL)
        return true; /* as SQLite has it already */
    if (!base_value_to_sql_quick(column->type, bytes, &value))
        return false;
    if (value.kind == BASE_SQL_INTEGER)
        sqlite3_result_int64(context, value.integer);
    else
        vtabi_value_result(context, &value);
    return true;
}

int vtabi_row_sql(struct vtabi_row *row, const struct base_column *column,
                  struct base_sql_value *out, struct base_err *err)
{
    struct base_slice value;
    bool present;
    out->kind = BASE_SQL_NULL;
    int rc = vtabi_row_value(row, column, &value, &present, err);
    if (rc != BASE_OK || !present)
        return rc;
    if (BASE_LIKELY(base_value_to_sql_quick(column->type, value, out)))
        return BASE_OK;
    base_buf_reset(&row->scratch);
    rc = base_value_to_sql(column->type, value, out, &row->scratch, err);
    if (rc != BASE_OK)
        rc = base_err_wrap(err, rc, "%.*s.%.*s", BASE_SLICE_ARG(row->binding->table->name),
                           BASE_SLICE_ARG(column->name));
    return rc;
}

/* ttl: of the row's marker, or, in a row that only UPDATE made, of the cell that lives longest;
 * writetime: the latest of all. */
bool vtabi_row_times(struct vtabi_row *row, int64_t now_s, int64_t *ttl_s, int64_t *writetime_us)
{
    struct base_slice encoded = row->live.ckey.len ? row->live.row : row->live.static_row;
    struct base_row head;
    struct base_cell cell;
    bool mortal = true;
    int64_t expires_s = 0;
    int n = 0;
    *ttl_s = -1;
    *writetime_us = BASE_TS_NONE;
    if (encoded.len == 0 || !base_row_decode(encoded, &head))
        return encoded.len == 0;
    *writetime_us = base_row_liveness_ts(&head);
    bool marker = (head.flags & BASE_ROW_LIVENESS) != 0;
    if (marker) {
        mortal = (head.flags & BASE_ROW_LIVENESS_TTL) != 0;
        expires_s = head.expires_s;
    }
    struct base_cells it = base_cells_begin(&head);
    while ((n = base_cells_next(&it, &cell)) > 0) {
        if (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION))
            continue;
        if (cell.ts > *writetime_us)
            *writetime_us = cell.ts;
        if (marker)
            continue;
        mortal = mortal && (cell.flags & BASE_CELL_EXPIRING);
        expires_s = cell.local_s > expires_s ? cell.local_s : expires_s;
    }
    if (mortal && expires_s)
        *ttl_s = expires_s > now_s ? expires_s - now_s : 0;
    return n == 0;
}
