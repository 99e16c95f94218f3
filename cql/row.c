/* A live row, taken apart: the values of the columns that a SELECT looks at.
 *
 * Relies on live rows (base_rows): a cell that is there has a value. Values borrow from the encoded
 * row where they can; what must be put together (clustering values, collections of cells, counters)
 * is in the scratch buffer, whose place is settled only when the row is whole, since it may
 * grow. */
#include "base/collection.h"
#include "base/key.h"
#include "cql/select_private.h"

#define SCRATCH_LEN_MAX ((size_t)1 << 30)

/* Which columns. */

int cqli_fetch_init(struct base_arena *arena, const struct base_table *table,
                    struct cqli_fetch *out)
{
    *out = (struct cqli_fetch){.table = table};
    out->wanted = base_arena_zalloc(arena, table->column_count * sizeof *out->wanted);
    out->statics = base_arena_alloc(arena, table->column_count * sizeof *out->statics);
    out->regulars = base_arena_alloc(arena, table->column_count * sizeof *out->regulars);
    out->ids = base_arena_alloc(arena, table->column_count * sizeof *out->ids);
    return out->wanted && out->statics && out->regulars && out->ids ? BASE_OK : BASE_E_NOMEM;
}

void cqli_fetch_add(struct cqli_fetch *fetch, const struct base_column *column)
{
    size_t i = (size_t)(column - fetch->table->columns);
    BASE_ASSERT(i < fetch->table->column_count);
    fetch->wanted[i] = true;
}

static void insert_by_id(const struct base_table *table, uint32_t *list, size_t *count,
                         uint32_t column)
{
    size_t i = (*count)++;
    for (; i > 0 && table->columns[list[i - 1]].id > table->columns[column].id; i--)
        list[i] = list[i - 1];
    list[i] = column;
}

void cqli_fetch_finish(struct cqli_fetch *fetch)
{
    const struct base_table *table = fetch->table;
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (!fetch->wanted[i])
            continue;
        switch (table->columns[i].kind) {
        case BASE_COLUMN_PARTITION_KEY:
            fetch->partition_key = true;
            break;
        case BASE_COLUMN_CLUSTERING:
            fetch->clustering_count = table->columns[i].position + 1;
            break;
        case BASE_COLUMN_STATIC:
            insert_by_id(table, fetch->statics, &fetch->static_count, i);
            break;
        case BASE_COLUMN_REGULAR:
            insert_by_id(table, fetch->regulars, &fetch->regular_count, i);
            break;
        }
    }
    for (size_t s = 0, r = 0; s < fetch->static_count || r < fetch->regular_count;) {
        bool from_statics = s < fetch->static_count && (r == fetch->regular_count ||
                                                        table->columns[fetch->statics[s]].id <
                                                            table->columns[fetch->regulars[r]].id);
        fetch->ids[fetch->id_count++] =
            table->columns[from_statics ? fetch->statics[s++] : fetch->regulars[r++]].id;
    }
}

/* Taking apart. */

int cqli_row_init(struct cqli_row *row, const struct cqli_fetch *fetch, struct base_arena *arena,
                  struct base_arena *row_arena, int64_t now_s)
{
    const struct base_table *table = fetch->table;
    *row = (struct cqli_row){.fetch = fetch, .arena = row_arena, .now_s = now_s};
    row->slots = base_arena_alloc(arena, table->column_count * sizeof *row->slots);
    row->pk_values = base_arena_alloc(arena, table->partition_key_count * sizeof *row->pk_values);
    if (!row->slots || !row->pk_values)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < table->column_count; i++)
        row->slots[i] = (struct cqli_row_slot){.value = {.state = CQL_VALUE_NULL}};
    base_buf_init_in_arena(&row->pkey, arena, BASE_PKEY_LEN_MAX);
    base_buf_init_in_arena(&row->pk, arena, BASE_PK_LEN_MAX);
    base_buf_init_in_arena(&row->scratch, arena, SCRATCH_LEN_MAX);
    return BASE_OK;
}

static int load_partition_key(struct cqli_row *row, struct base_err *err)
{
    const struct base_table *table = row->fetch->table;
    if (base_slice_equal(row->live.pkey, base_buf_view(&row->pkey)))
        return BASE_OK;
    base_buf_reset(&row->pkey);
    base_buf_reset(&row->pk);
    int rc = base_pkey_decode(row->live.pkey, &row->pk, err);
    if (rc == BASE_OK)
        rc =
            base_pk_split(base_buf_view(&row->pk), row->pk_values, table->partition_key_count, err);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&row->pkey, row->live.pkey);
    for (size_t i = 0; rc == BASE_OK && i < table->partition_key_count; i++)
        row->slots[i].value = (struct cql_value){CQL_VALUE_SET, row->pk_values[i]};
    return rc;
}

static void no_value(struct cqli_row_slot *slot)
{
    slot->value = (struct cql_value){.state = CQL_VALUE_NULL};
    slot->at = 0;
}

static void scratch_value(struct cqli_row *row, struct cqli_row_slot *slot, size_t at)
{
    slot->value = (struct cql_value){CQL_VALUE_SET, {NULL, row->scratch.len - at}};
    slot->at = at + 1;
}

/* The clustering values that do not decode to their own bytes come with the row. */
static int load_originals(struct cqli_row *row, struct base_slice originals)
{
    const struct cqli_fetch *fetch = row->fetch;
    struct base_reader in = base_reader(originals);
    for (size_t i = 0; i < fetch->clustering_count; i++) {
        struct cqli_row_slot *slot = &row->slots[fetch->table->partition_key_count + i];
        slot->value.state = CQL_VALUE_SET;
        slot->at = 0;
        if (!base_get_bytes(&in, &slot->value.bytes))
            return BASE_E_CORRUPT;
    }
    return BASE_OK;
}

static int load_clustering(struct cqli_row *row, struct base_err *err)
{
    const struct cqli_fetch *fetch = row->fetch;
    const struct base_table *table = fetch->table;
    struct base_reader in = base_reader(row->live.ckey);
    for (size_t i = 0; i < fetch->clustering_count; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        struct cqli_row_slot *slot = &row->slots[table->partition_key_count + i];
        size_t at = row->scratch.len;
        uint8_t position;
        bool empty;
        if (row->live.ckey.len == 0) {
            no_value(slot);
            continue;
        }
        int rc = base_ckey_get(column->type, column->descending, &in, &row->scratch, &empty,
                               &position, err);
        if (rc != BASE_OK)
            return rc;
        if (position)
            return base_err_set(err, BASE_E_CORRUPT, "a row's key of table %.*s has %zu components",
                                BASE_SLICE_ARG(table->name), i);
        scratch_value(row, slot, at);
    }
    return BASE_OK;
}

static int load_cell(struct cqli_row *row, struct cqli_row_slot *slot, const struct base_cell *cell)
{
    size_t at = row->scratch.len;
    int64_t total;
    slot->at = 0;
    slot->value = (struct cql_value){CQL_VALUE_SET, cell->value};
    if (BASE_LIKELY(!(cell->flags & BASE_CELL_COUNTER)))
        return BASE_OK;
    int rc = base_buf_reserve(&row->scratch, 8);
    if (rc != BASE_OK || !base_counter_total(cell->value, &total))
        return rc != BASE_OK ? rc : BASE_E_CORRUPT;
    base_put_be64(row->scratch.data + at, (uint64_t)total);
    row->scratch.len += 8;
    scratch_value(row, slot, at);
    return BASE_OK;
}

/* The cells of one column from *cell on into one value; *cell is the first of another
 * afterwards. */
static int load_cells(struct cqli_row *row, const struct base_column *column, struct base_cells *it,
                      struct base_cell *cell, int *more, struct base_err *err)
{
    struct cqli_row_slot *slot = &row->slots[column - row->fetch->table->columns];
    struct base_implode im;
    bool is_null;
    int rc = base_implode_begin(&im, column->type, &row->scratch, err);
    while (rc == BASE_OK && *more > 0 && cell->column == column->id) {
        rc = base_implode_add(&im, cell, err);
        *more = base_cells_next(it, cell);
    }
    if (rc == BASE_OK)
        rc = base_implode_end(&im, &is_null, err);
    if (rc != BASE_OK)
        return rc;
    if (!is_null)
        scratch_value(row, slot, im.start);
    return BASE_OK;
}

static bool is_dead(const struct base_cell *cell)
{
    return cell->flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION);
}

/* The wanted columns of a row's cells; both ascend by id. */
static int load_columns(struct cqli_row *row, struct base_cells it, const uint32_t *columns,
                        size_t count, struct base_err *err)
{
    const struct base_table *table = row->fetch->table;
    struct base_cell cell;
    int rc = BASE_OK, more = base_cells_next(&it, &cell);
    for (size_t i = 0; rc == BASE_OK && more > 0 && i < count;) {
        const struct base_column *column = &table->columns[columns[i]];
        if (cell.column < column->id) {
            more = base_cells_next(&it, &cell);
        } else if (cell.column > column->id) {
            i++;
        } else if (base_type_is_multicell(column->type)) {
            rc = load_cells(row, column, &it, &cell, &more, err);
        } else {
            if (!is_dead(&cell))
                rc = load_cell(row, &row->slots[columns[i]], &cell);
            more = base_cells_next(&it, &cell);
        }
    }
    return rc == BASE_OK && more < 0 ? BASE_E_CORRUPT : rc;
}

static int load_row(struct cqli_row *row, struct base_slice encoded, const uint32_t *columns,
                    size_t count, bool clustered, struct base_err *err)
{
    struct base_row head;
    for (size_t i = 0; i < count; i++)
        no_value(&row->slots[columns[i]]);
    bool keys = clustered && row->fetch->clustering_count;
    if (encoded.len == 0)
        return keys ? load_clustering(row, err) : BASE_OK;
    if (!base_row_decode(encoded, &head))
        return BASE_E_CORRUPT;
    int rc = !keys                ? BASE_OK
             : head.originals.len ? load_originals(row, head.originals)
                                  : load_clustering(row, err);
    return rc == BASE_OK && count ? load_columns(row, base_cells_begin(&head), columns, count, err)
                                  : rc;
}

static void settle(struct cqli_row *row, const uint32_t *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cqli_row_slot *slot =
            &row->slots[columns ? columns[i] : row->fetch->table->partition_key_count + i];
        if (slot->at)
            slot->value.bytes.data = row->scratch.data + slot->at - 1;
    }
}

int cqli_row_load(struct cqli_row *row, const struct base_live_row *live, struct base_err *err)
{
    const struct cqli_fetch *fetch = row->fetch;
    row->live = *live;
    base_buf_reset(&row->scratch);
    int rc = fetch->partition_key ? load_partition_key(row, err) : BASE_OK;
    if (rc == BASE_OK)
        rc = load_row(row, live->row, fetch->regulars, fetch->regular_count, true, err);
    if (rc == BASE_OK && fetch->static_count)
        rc = load_row(row, live->static_row, fetch->statics, fetch->static_count, false, err);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "a row of table %.*s cannot be read: %s",
                            BASE_SLICE_ARG(fetch->table->name), base_err_words(rc));
    settle(row, fetch->regulars, fetch->regular_count);
    settle(row, fetch->statics, fetch->static_count);
    settle(row, NULL, fetch->clustering_count);
    return BASE_OK;
}

/* Asking. */

int cqli_row_value(struct cqli_row *row, const struct base_column *column, struct cql_value *out,
                   struct base_err *err)
{
    (void)err;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (!row)
        return BASE_OK;
    size_t i = (size_t)(column - row->fetch->table->columns);
    BASE_ASSERT(i < row->fetch->table->column_count && row->fetch->wanted[i]);
    *out = row->slots[i].value;
    return BASE_OK;
}

/* Walks the live cells of one column. */
struct cell_walk {
    struct base_cells it;
    uint32_t column;
    bool any;
};

static int walk_begin(const struct cqli_row *row, const struct base_column *column,
                      struct cell_walk *walk, struct base_err *err)
{
    struct base_row head;
    struct base_slice encoded =
        column->kind == BASE_COLUMN_STATIC ? row->live.static_row : row->live.row;
    *walk = (struct cell_walk){.column = column->id};
    if (encoded.len == 0)
        return BASE_OK;
    if (!base_row_decode(encoded, &head))
        return base_err_set(err, BASE_E_CORRUPT, "a row of table %.*s cannot be read",
                            BASE_SLICE_ARG(row->fetch->table->name));
    walk->it = base_cells_begin(&head);
    walk->any = true;
    return BASE_OK;
}

static int walk_next(struct cell_walk *walk, struct base_cell *cell)
{
    int more = 0;
    while (walk->any && (more = base_cells_next(&walk->it, cell)) > 0 &&
           cell->column <= walk->column) {
        if (cell->column == walk->column && !is_dead(cell))
            return 1;
    }
    walk->any = false;
    return more < 0 ? -1 : 0;
}

static int put_be64(struct base_buf *out, int64_t v)
{
    uint8_t bytes[8];
    base_put_be64(bytes, (uint64_t)v);
    return base_buf_put(out, bytes, sizeof bytes);
}

static int put_be32(struct base_buf *out, int32_t v)
{
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)v);
    return base_buf_put(out, bytes, sizeof bytes);
}

static int32_t seconds_left(const struct cqli_row *row, const struct base_cell *cell)
{
    int64_t left = cell->local_s - row->now_s;
    return left > INT32_MAX ? INT32_MAX : left < 0 ? 0 : (int32_t)left;
}

/* One element of the list for a collection's cells, or the value itself. */
static int put_time(const struct cqli_row *row, const struct base_cell *cell, bool ttl,
                    bool element, struct base_buf *out)
{
    if (ttl && !(cell->flags & BASE_CELL_EXPIRING))
        return element ? put_be32(out, -1) : BASE_OK;
    int rc = element ? put_be32(out, ttl ? 4 : 8) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    return ttl ? put_be32(out, seconds_left(row, cell)) : put_be64(out, cell->ts);
}

/* The cells' times: of one cell its own, of a collection's a list. */
static int times(struct cqli_row *row, const struct base_column *column, bool ttl,
                 struct cql_value *out, struct base_err *err)
{
    struct cell_walk walk;
    struct base_cell cell;
    struct base_buf buf;
    int more = 0;
    uint32_t count = 0;
    bool list = base_type_is_multicell(column->type),
         fields = list && column->type->kind == BASE_TYPE_UDT;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (!row)
        return BASE_OK;
    base_buf_init_in_arena(&buf, row->arena, SCRATCH_LEN_MAX);
    int rc = walk_begin(row, column, &walk, err);
    if (rc == BASE_OK && list)
        rc = put_be32(&buf, 0);
    for (; rc == BASE_OK && (more = walk_next(&walk, &cell)) > 0; count++) {
        uint16_t field = 0;
        if (fields &&
            (!base_path_get_field(cell.path, &field) || field >= column->type->param_count))
            rc = BASE_E_CORRUPT;
        for (; rc == BASE_OK && count < field; count++) /* null fields have an entry too */
            rc = put_be32(&buf, -1);
        if (rc == BASE_OK)
            rc = put_time(row, &cell, ttl, list, &buf);
    }
    for (; rc == BASE_OK && fields && count && count < column->type->param_count; count++)
        rc = put_be32(&buf, -1);
    if (rc == BASE_OK && more < 0)
        rc = BASE_E_CORRUPT;
    if (rc != BASE_OK)
        return base_err_set(err, rc, "times of column %.*s: %s", BASE_SLICE_ARG(column->name),
                            base_err_words(rc));
    if (count == 0 || buf.len == 0)
        return BASE_OK;
    if (list)
        base_put_be32(buf.data, count);
    *out = (struct cql_value){CQL_VALUE_SET, base_buf_view(&buf)};
    return BASE_OK;
}

static int greatest_time(struct cqli_row *row, const struct base_column *column,
                         struct cql_value *out, struct base_err *err)
{
    struct cell_walk walk;
    struct base_cell cell;
    int64_t greatest = INT64_MIN;
    bool any = false;
    int more = 0;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    int rc = row ? walk_begin(row, column, &walk, err) : BASE_OK;
    if (rc != BASE_OK || !row)
        return rc;
    for (; (more = walk_next(&walk, &cell)) > 0; any = true)
        greatest = cell.ts > greatest ? cell.ts : greatest;
    if (more < 0)
        return base_err_set(err, BASE_E_CORRUPT, "times of column %.*s: damaged",
                            BASE_SLICE_ARG(column->name));
    if (!any)
        return BASE_OK;
    uint8_t *bytes = base_arena_alloc(row->arena, 8);
    if (!bytes)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    base_put_be64(bytes, (uint64_t)greatest);
    *out = (struct cql_value){CQL_VALUE_SET, {bytes, 8}};
    return BASE_OK;
}

int cqli_row_writetime(struct cqli_row *row, const struct base_column *column, bool max,
                       struct cql_value *out, struct base_err *err)
{
    return max ? greatest_time(row, column, out, err) : times(row, column, false, out, err);
}

int cqli_row_ttl(struct cqli_row *row, const struct base_column *column, struct cql_value *out,
                 struct base_err *err)
{
    return times(row, column, true, out, err);
}
