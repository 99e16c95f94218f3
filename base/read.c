/* The consumer of a merged stream: filters, limits, partitions that have only a static row
 * (base/read.h).
 *
 * Relies on the stream having live cells only (base_merge without keep_tombstones): a cell that is
 * there has a value. A column without a cell is null, and a condition on null does not hold.
 *
 * Conditions on the partition key and static columns are judged once a partition, the others for
 * each row. */
#include "base/read.h"

#include "base/key.h"
#include "base/path.h"

#define SCRATCH_LEN_MAX ((size_t)1 << 30)

struct base_rows_filter {
    const struct base_filter *filter;
    const struct base_column *column;
    /* the operand as a path: CONTAINS of a set's cells, CONTAINS KEY of a map's */
    struct base_slice path;
    struct base_buf path_buf;
};

/* Preparing. */

static bool wants_path(enum base_filter_op op, const struct base_type *type)
{
    return (op == BASE_FILTER_CONTAINS && type->kind == BASE_TYPE_SET) ||
           ((op == BASE_FILTER_CONTAINS_KEY || op == BASE_FILTER_ENTRY) &&
            type->kind == BASE_TYPE_MAP);
}

static bool op_fits(enum base_filter_op op, const struct base_type *type)
{
    switch (op) {
    case BASE_FILTER_CONTAINS:
        return type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_LIST ||
               type->kind == BASE_TYPE_MAP;
    case BASE_FILTER_CONTAINS_KEY:
        return type->kind == BASE_TYPE_MAP;
    case BASE_FILTER_ENTRY:
        return type->kind == BASE_TYPE_MAP && base_type_is_multicell(type);
    case BASE_FILTER_IN:
    case BASE_FILTER_EQ:
    case BASE_FILTER_NE:
    case BASE_FILTER_LT:
    case BASE_FILTER_LE:
    case BASE_FILTER_GT:
    case BASE_FILTER_GE:
        return !base_type_is_multicell(type);
    }
    return false;
}

static int prepare_filter(const struct base_rows *rows, const struct base_filter *filter,
                          struct base_rows_filter *out, struct base_err *err)
{
    const struct base_table *table = rows->table;
    out->filter = filter;
    out->column = base_table_column_by_id(table, filter->column);
    base_buf_init(&out->path_buf, BASE_CKEY_LEN_MAX);
    if (!out->column)
        return base_err_set(err, BASE_E_INVALID,
                            "condition on column %u, which table %.*s does not have",
                            filter->column, BASE_SLICE_ARG(table->name));
    const struct base_type *type = out->column->type;
    if (!op_fits(filter->op, type))
        return base_err_set(err, BASE_E_INVALID,
                            "condition %d does not fit the type of column %.*s", (int)filter->op,
                            BASE_SLICE_ARG(out->column->name));
    if (base_type_is_multicell(type) && wants_path(filter->op, type)) {
        struct base_slice element =
            filter->op == BASE_FILTER_ENTRY ? filter->element : filter->operand;
        int rc = base_path_put(type, element, &out->path_buf, NULL, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "condition on column %.*s",
                                 BASE_SLICE_ARG(out->column->name));
        out->path = base_buf_view(&out->path_buf);
    }
    return BASE_OK;
}

static void free_filters(struct base_rows *rows)
{
    if (!rows->filters)
        return;
    for (size_t i = 0; i < rows->cmd->filter_count; i++)
        base_buf_fini(&rows->filters[i].path_buf);
    free(rows->filters);
    rows->filters = NULL;
}

static int prepare(struct base_rows *rows, struct base_err *err)
{
    rows->filters = calloc(rows->cmd->filter_count, sizeof *rows->filters);
    if (!rows->filters)
        return base_err_set(err, BASE_E_NOMEM, "%zu conditions", rows->cmd->filter_count);
    for (size_t i = 0; i < rows->cmd->filter_count; i++) {
        int rc = prepare_filter(rows, &rows->cmd->filters[i], &rows->filters[i], err);
        if (rc != BASE_OK) {
            free_filters(rows);
            return rc;
        }
    }
    return BASE_OK;
}

/* Judging. */

static bool compare_holds(enum base_filter_op op, int c)
{
    switch (op) {
    case BASE_FILTER_EQ:
        return c == 0;
    case BASE_FILTER_NE:
        return c != 0;
    case BASE_FILTER_LT:
        return c < 0;
    case BASE_FILTER_LE:
        return c <= 0;
    case BASE_FILTER_GT:
        return c > 0;
    case BASE_FILTER_GE:
        return c >= 0;
    case BASE_FILTER_CONTAINS:
    case BASE_FILTER_CONTAINS_KEY:
    case BASE_FILTER_ENTRY:
    case BASE_FILTER_IN:
        break;
    }
    return false;
}

static bool is_containment(const struct base_rows_filter *f)
{
    return f->filter->op == BASE_FILTER_CONTAINS || f->filter->op == BASE_FILTER_CONTAINS_KEY;
}

/* A frozen collection. Of a map's elements the even ones are keys. */
static int frozen_contains(const struct base_rows_filter *f, struct base_slice value, bool *holds)
{
    const struct base_type *type = f->column->type;
    bool map = type->kind == BASE_TYPE_MAP, keys = f->filter->op == BASE_FILTER_CONTAINS_KEY;
    const struct base_type *element_type = type->params[map && !keys ? 1 : 0];
    struct base_elements it;
    *holds = false;
    if (!base_elements_begin(&it, type, value))
        return BASE_E_CORRUPT;
    for (size_t i = 0; it.left > 0 && !*holds; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null))
            return BASE_E_CORRUPT;
        bool looked_at = !map || (i % 2 == 0) == keys;
        *holds = looked_at && !is_null &&
                 base_value_compare(element_type, element, f->filter->operand) == 0;
    }
    return BASE_OK;
}

static int is_in(const struct base_rows_filter *f, struct base_slice value, bool *holds)
{
    struct base_reader in = base_reader(f->filter->operand);
    struct base_slice one;
    *holds = false;
    while (base_reader_left(&in) && !*holds) {
        if (!base_get_bytes(&in, &one))
            return BASE_E_INVALID;
        *holds = base_value_compare(f->column->type, value, one) == 0;
    }
    return BASE_OK;
}

static int value_holds(const struct base_rows_filter *f, struct base_slice value, bool *holds)
{
    if (f->filter->op == BASE_FILTER_IN)
        return is_in(f, value, holds);
    if (is_containment(f))
        return frozen_contains(f, value, holds);
    *holds = compare_holds(f->filter->op,
                           base_value_compare(f->column->type, value, f->filter->operand));
    return BASE_OK;
}

/* One cell of a non-frozen collection. */
static bool element_holds(const struct base_rows_filter *f, const struct base_cell *cell)
{
    const struct base_type *type = f->column->type;
    if (f->path.len &&
        (f->filter->op != BASE_FILTER_ENTRY || !base_slice_equal(cell->path, f->path)))
        return base_slice_equal(cell->path, f->path);
    const struct base_type *value_type = type->params[type->kind == BASE_TYPE_MAP ? 1 : 0];
    return base_value_compare(value_type, cell->value, f->filter->operand) == 0;
}

static int cells_hold(const struct base_rows_filter *f, struct base_slice encoded, bool *holds)
{
    struct base_row row;
    struct base_cell cell;
    int more;
    *holds = false;
    if (encoded.len == 0)
        return BASE_OK;
    if (!base_row_decode(encoded, &row))
        return BASE_E_CORRUPT;
    bool multicell = base_type_is_multicell(f->column->type);
    struct base_cells it = base_cells_begin(&row);
    while ((more = base_cells_next(&it, &cell)) > 0 && cell.column <= f->column->id) {
        if (cell.column != f->column->id ||
            (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)))
            continue;
        if (!multicell)
            return value_holds(f, cell.value, holds);
        if ((*holds = element_holds(f, &cell)))
            return BASE_OK;
    }
    return more < 0 ? BASE_E_CORRUPT : BASE_OK;
}

static int clustering_holds(struct base_rows *rows, const struct base_rows_filter *f,
                            struct base_slice ckey, bool *holds, struct base_err *err)
{
    const struct base_table *table = rows->table;
    struct base_reader in = base_reader(ckey);
    *holds = false;
    for (size_t i = 0; i <= f->column->position; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        bool empty;
        uint8_t position;
        base_buf_reset(&rows->scratch);
        int rc = base_ckey_get(column->type, column->descending, &in, &rows->scratch, &empty,
                               &position, err);
        if (rc != BASE_OK)
            return rc;
        if (position != 0)
            return base_err_set(err, BASE_E_CORRUPT,
                                "a row's key of table %.*s has %zu components of %zu",
                                BASE_SLICE_ARG(table->name), i, table->clustering_count);
    }
    return value_holds(f, base_buf_view(&rows->scratch), holds);
}

static int partition_key_holds(struct base_rows *rows, const struct base_rows_filter *f,
                               bool *holds, struct base_err *err)
{
    const struct base_table *table = rows->table;
    struct base_slice few[8], *values = few;
    *holds = false;
    size_t count = table->partition_key_count;
    if (count > BASE_COUNT(few) && !(values = calloc(count, sizeof *values)))
        return base_err_set(err, BASE_E_NOMEM, "a partition key's values");
    base_buf_reset(&rows->scratch);
    int rc = base_pkey_decode(rows->partition.pkey, &rows->scratch, err);
    if (rc == BASE_OK)
        rc = base_pk_split(base_buf_view(&rows->scratch), values, count, err);
    if (rc == BASE_OK)
        rc = value_holds(f, values[f->column->position], holds);
    if (values != few)
        free(values);
    return rc;
}

static bool of_partition(const struct base_column *column)
{
    return column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_STATIC;
}

/* The conditions on the partition (row NULL), or on a row of it. */
static int filters_hold(struct base_rows *rows, const struct base_item *row, bool *hold,
                        struct base_err *err)
{
    *hold = true;
    for (size_t i = 0; i < rows->cmd->filter_count && *hold; i++) {
        const struct base_rows_filter *f = &rows->filters[i];
        int rc = BASE_OK;
        base_err_clear(err);
        if (of_partition(f->column) != !row)
            continue;
        if (f->column->kind == BASE_COLUMN_PARTITION_KEY)
            rc = partition_key_holds(rows, f, hold, err);
        else if (f->column->kind == BASE_COLUMN_CLUSTERING)
            rc = clustering_holds(rows, f, row->ckey, hold, err);
        else
            rc = cells_hold(f, row ? row->row : rows->partition.static_row, hold);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "condition on column %.*s",
                                 BASE_SLICE_ARG(f->column->name));
    }
    return BASE_OK;
}

/* May the partition's static row stand alone? Only when all its rows were looked for (or none
 * wanted), and no condition needs a row. */
static bool static_may_stand_alone(const struct base_rows *rows)
{
    const struct base_slices *slices = &rows->cmd->slices;
    if (slices->count > 1 ||
        (slices->count == 1 && (slices->ranges[0].lo.len || slices->ranges[0].hi.len)))
        return false;
    for (size_t i = 0; i < rows->cmd->filter_count; i++) {
        if (!of_partition(rows->filters[i].column))
            return false;
    }
    return true;
}

/* Walking. */

void base_rows_open(struct base_rows *rows, const struct base_read *cmd,
                    const struct base_table *table, struct base_source *merged)
{
    *rows = (struct base_rows){
        .cmd = cmd, .table = table, .source = merged, .rows_left = cmd->row_limit};
    base_buf_init(&rows->scratch, SCRATCH_LEN_MAX);
    base_buf_init(&rows->last, SCRATCH_LEN_MAX);
    base_buf_init(&rows->last_static, SCRATCH_LEN_MAX);
}

void base_rows_page(struct base_rows *rows, struct base_source *merged, bool more)
{
    BASE_ASSERT(!rows->in_partition && !rows->stopped);
    rows->source = merged;
    rows->more = more;
}

/* The next page may go on with the partition at hand. */
static int keep_last(struct base_rows *rows, bool holds, struct base_err *err)
{
    base_buf_reset(&rows->last);
    base_buf_reset(&rows->last_static);
    int rc = base_buf_put_slice(&rows->last, rows->partition.pkey);
    if (rc == BASE_OK && holds)
        rc = base_buf_put_slice(&rows->last_static, rows->partition.static_row);
    rows->holds = holds && rc == BASE_OK;
    return rc == BASE_OK ? BASE_OK
                         : base_err_set(err, rc, "a partition's key: %s", base_err_words(rc));
}

/* The partition of a page before had nothing but its static row after all. */
static int give_held(struct base_rows *rows, struct base_live_row *out)
{
    *out = (struct base_live_row){.pkey = base_buf_view(&rows->last),
                                  .static_row = base_buf_view(&rows->last_static)};
    rows->holds = false;
    rows->rows_left--;
    rows->size_bytes += out->pkey.len + out->static_row.len;
    return BASE_OK;
}

static int give(struct base_rows *rows, struct base_slice ckey, struct base_slice row,
                struct base_live_row *out)
{
    *out = (struct base_live_row){rows->partition.pkey, rows->partition.static_row, ckey, row};
    rows->rows_left--;
    rows->partition_rows_left--;
    rows->partition_rows_seen++;
    rows->size_bytes += rows->partition.pkey.len + ckey.len + row.len;
    if (rows->partition_rows_seen == 1)
        rows->size_bytes += rows->partition.static_row.len;
    return BASE_OK;
}

/* The next partition whose own conditions hold; in_partition false at the end. */
/* Does the row live only by cells of dropped columns? Such a row is gone, though its cells stay in
 * the store until a compaction. An id in `dropped` is not used again, so that a timestamp need not
 * be looked at. */
static int only_dropped(const struct base_table *table, struct base_slice encoded, bool *only)
{
    struct base_row row;
    struct base_cell cell;
    int more;
    *only = false;
    if (!base_row_decode(encoded, &row))
        return BASE_E_CORRUPT;
    if (row.flags & BASE_ROW_LIVENESS)
        return BASE_OK;
    struct base_cells it = base_cells_begin(&row);
    while ((more = base_cells_next(&it, &cell)) > 0) {
        size_t i = 0;
        while (i < table->dropped_count && table->dropped[i].id != cell.column)
            i++;
        if (i == table->dropped_count)
            return BASE_OK;
    }
    *only = true;
    return more < 0 ? BASE_E_CORRUPT : BASE_OK;
}

static int row_damaged(const struct base_rows *rows, int rc, struct base_err *err)
{
    return base_err_set(err, rc, "a row of table %.*s cannot be read",
                        BASE_SLICE_ARG(rows->table->name));
}

static int next_partition(struct base_rows *rows, struct base_err *err)
{
    bool hold = true;
    rows->in_partition = false;
    do {
        int rc = BASE_OK;
        if (BASE_UNLIKELY(rows->more && !rows->holds && rows->partition.pkey.len &&
                          !base_slice_equal(rows->partition.pkey, base_buf_view(&rows->last))))
            rc = keep_last(rows, false, err);
        if (rc == BASE_OK)
            rc = rows->source->ops->partition(rows->source, &rows->partition, err);
        if (rc != BASE_OK || rows->partition.pkey.len == 0)
            return rc;
        if (BASE_UNLIKELY(rows->table->dropped_count && rows->partition.static_row.len)) {
            bool gone;
            if ((rc = only_dropped(rows->table, rows->partition.static_row, &gone)) != BASE_OK)
                return row_damaged(rows, rc, err);
            if (gone)
                rows->partition.static_row = (struct base_slice){0};
        }
        if (rows->filters && (rc = filters_hold(rows, NULL, &hold, err)) != BASE_OK)
            return rc;
    } while (!hold);
    rows->in_partition = true;
    if (BASE_UNLIKELY(rows->last.len &&
                      base_slice_equal(rows->partition.pkey, base_buf_view(&rows->last)))) {
        rows->holds = false; /* it goes on, with the counts it had; judged again when it ends */
        return BASE_OK;
    }
    rows->partition_rows_seen = 0;
    rows->partition_rows_left = rows->cmd->partition_row_limit;
    return BASE_OK;
}

int base_rows_next(struct base_rows *rows, struct base_live_row *out, struct base_err *err)
{
    const struct base_read *cmd = rows->cmd;
    int rc = BASE_OK;
    *out = (struct base_live_row){0};
    if (BASE_UNLIKELY(cmd->filter_count && !rows->filters) && (rc = prepare(rows, err)) != BASE_OK)
        return rc;
    for (;;) {
        if (BASE_UNLIKELY(rows->rows_left == 0 || rows->size_bytes >= cmd->size_bytes_max)) {
            rows->stopped = true;
            return BASE_OK;
        }
        if (!rows->in_partition || rows->partition_rows_left == 0) {
            if ((rc = next_partition(rows, err)) != BASE_OK)
                return rc;
            if (BASE_UNLIKELY(rows->holds && (rows->in_partition || !rows->more)))
                return give_held(rows, out);
            if (!rows->in_partition)
                return BASE_OK;
            if (BASE_UNLIKELY(rows->partition_rows_left == 0))
                continue;
        }
        struct base_item item;
        if ((rc = rows->source->ops->next(rows->source, &item, err)) != BASE_OK)
            return rc;
        if (BASE_LIKELY(item.kind == BASE_ITEM_ROW)) {
            bool hold = true, gone = false;
            if (BASE_UNLIKELY(rows->table->dropped_count) &&
                (rc = only_dropped(rows->table, item.row, &gone)) != BASE_OK)
                return row_damaged(rows, rc, err);
            if (BASE_UNLIKELY(gone))
                continue;
            if (rows->filters && (rc = filters_hold(rows, &item, &hold, err)) != BASE_OK)
                return rc;
            if (hold)
                return give(rows, item.ckey, item.row, out);
        } else if (item.kind == BASE_ITEM_END) {
            bool alone = rows->partition_rows_seen == 0 && rows->partition.static_row.len &&
                         static_may_stand_alone(rows);
            rows->in_partition = false;
            if (alone && !rows->more)
                return give(rows, (struct base_slice){0}, (struct base_slice){0}, out);
            if (alone && (rc = keep_last(rows, true, err)) != BASE_OK)
                return rc;
        }
    }
}

void base_rows_close(struct base_rows *rows)
{
    free_filters(rows);
    if (rows->source)
        rows->source->ops->close(rows->source);
    base_buf_fini(&rows->scratch);
    base_buf_fini(&rows->last);
    base_buf_fini(&rows->last_static);
    *rows = (struct base_rows){0};
}

/* As a stream. */

/* One more in vain. True: it was the last. */
static bool spend(struct base_filtered *f, struct base_slice pkey, struct base_slice ckey, int *rc)
{
    if (--f->left > 0)
        return false;
    base_buf_reset(&f->pkey);
    base_buf_reset(&f->ckey);
    *rc = base_buf_put_slice(&f->pkey, pkey);
    if (*rc == BASE_OK)
        *rc = base_buf_put_slice(&f->ckey, ckey);
    f->stopped = true;
    return true;
}

static int out_of_budget(int rc, struct base_err *err)
{
    return rc == BASE_OK ? rc : base_err_set(err, rc, "conditions: %s", base_err_words(rc));
}

/* The partition's next row for which all holds; END also when the budget is spent. */
static int find_row(struct base_filtered *f, struct base_item *out, struct base_err *err)
{
    int rc = BASE_OK;
    while (rc == BASE_OK && !f->stopped) {
        bool hold;
        rc = f->rows.source->ops->next(f->rows.source, out, err);
        if (rc != BASE_OK || out->kind == BASE_ITEM_END)
            return rc;
        if (out->kind != BASE_ITEM_ROW)
            continue;
        rc = filters_hold(&f->rows, out, &hold, err);
        if (rc == BASE_OK && hold) {
            f->left = f->budget;
            return BASE_OK;
        }
        if (rc == BASE_OK && spend(f, f->rows.partition.pkey, out->ckey, &rc))
            rc = out_of_budget(rc, err);
    }
    *out = (struct base_item){.kind = BASE_ITEM_END};
    return rc;
}

static int filtered_partition(struct base_source *source, struct base_partition *out,
                              struct base_err *err)
{
    struct base_filtered *f = BASE_CONTAINER(source, struct base_filtered, source);
    int rc = BASE_OK;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    f->ahead = (struct base_item){.kind = BASE_ITEM_END};
    while (rc == BASE_OK && !f->stopped) {
        bool hold;
        rc = f->rows.source->ops->partition(f->rows.source, &f->rows.partition, err);
        if (rc != BASE_OK || f->rows.partition.pkey.len == 0)
            return rc;
        rc = filters_hold(&f->rows, NULL, &hold, err);
        if (rc == BASE_OK && hold && f->of_rows) {
            rc = find_row(f, &f->ahead, err);
            hold = f->ahead.kind == BASE_ITEM_ROW;
        }
        if (rc == BASE_OK && hold) {
            *out = f->rows.partition;
            return BASE_OK;
        }
        if (rc == BASE_OK && !f->stopped &&
            spend(f, f->rows.partition.pkey, (struct base_slice){0}, &rc))
            rc = out_of_budget(rc, err);
    }
    return rc;
}

static int filtered_next(struct base_source *source, struct base_item *out, struct base_err *err)
{
    struct base_filtered *f = BASE_CONTAINER(source, struct base_filtered, source);
    if (f->ahead.kind != BASE_ITEM_ROW)
        return find_row(f, out, err);
    *out = f->ahead;
    f->ahead.kind = BASE_ITEM_END;
    return BASE_OK;
}

static void filtered_close(struct base_source *source)
{
    (void)source; /* its storage and what it reads are the caller's */
}

static const struct base_source_ops filtered_ops = {filtered_partition, filtered_next,
                                                    filtered_close};

int base_filtered_init(struct base_filtered *f, const struct base_read *cmd,
                       const struct base_table *table, struct base_source *live, uint64_t budget,
                       struct base_err *err)
{
    BASE_ASSERT(cmd->filter_count > 0 && budget > 0);
    *f = (struct base_filtered){.source = {&filtered_ops}, .budget = budget, .left = budget};
    base_buf_init(&f->pkey, SCRATCH_LEN_MAX);
    base_buf_init(&f->ckey, SCRATCH_LEN_MAX);
    base_rows_open(&f->rows, cmd, table, live);
    int rc = prepare(&f->rows, err);
    for (size_t i = 0; rc == BASE_OK && i < cmd->filter_count; i++)
        f->of_rows |= !of_partition(f->rows.filters[i].column);
    return rc;
}

void base_filtered_fini(struct base_filtered *f)
{
    f->rows.source = NULL;
    base_rows_close(&f->rows);
    base_buf_fini(&f->pkey);
    base_buf_fini(&f->ckey);
}

static int check_operand(const struct base_filter *filter, const struct base_column *column,
                         struct base_err *err)
{
    const struct base_type *type = column->type;
    bool map = type->kind == BASE_TYPE_MAP;
    switch (filter->op) {
    case BASE_FILTER_CONTAINS:
        return base_value_validate(type->params[map ? 1 : 0], filter->operand, err);
    case BASE_FILTER_CONTAINS_KEY:
        return base_value_validate(type->params[0], filter->operand, err);
    case BASE_FILTER_ENTRY: {
        int rc = base_value_validate(type->params[0], filter->element, err);
        return rc == BASE_OK ? base_value_validate(type->params[1], filter->operand, err) : rc;
    }
    case BASE_FILTER_IN: {
        struct base_reader in = base_reader(filter->operand);
        struct base_slice one;
        int rc = BASE_OK;
        while (rc == BASE_OK && base_reader_left(&in))
            rc = base_get_bytes(&in, &one) ? base_value_validate(type, one, err)
                                           : base_err_set(err, BASE_E_INVALID, "a list cut short");
        return rc;
    }
    case BASE_FILTER_EQ:
    case BASE_FILTER_NE:
    case BASE_FILTER_LT:
    case BASE_FILTER_LE:
    case BASE_FILTER_GT:
    case BASE_FILTER_GE:
        return base_value_validate(type, filter->operand, err);
    }
    return base_err_set(err, BASE_E_INVALID, "condition %d is none", (int)filter->op);
}

int base_filter_check(const struct base_filter *filter, const struct base_table *table,
                      struct base_err *err)
{
    const struct base_column *column = base_table_column_by_id(table, filter->column);
    if (!column)
        return base_err_set(err, BASE_E_NOTFOUND,
                            "condition on column %u, which table %.*s does not have",
                            filter->column, BASE_SLICE_ARG(table->name));
    if (!op_fits(filter->op, column->type))
        return base_err_set(err, BASE_E_INVALID,
                            "condition %d does not fit the type of column %.*s", (int)filter->op,
                            BASE_SLICE_ARG(column->name));
    int rc = check_operand(filter, column, err);
    return rc == BASE_OK
               ? rc
               : base_err_wrap(err, rc, "condition on column %.*s", BASE_SLICE_ARG(column->name));
}
