/* The cells of one column: what a statement's operations on it put into a row.
 *
 * Invariants:
 *  1. Cells go into the row ascending by path, each path once: those of several operations on one
 *     column are sorted and reconciled.
 *  2. Assigning to a collection deletes what is older, a microsecond before the statement's
 *     timestamp, as Cassandra does: the new elements, of the statement's own timestamp, stay.
 *     DELETE of one deletes at the timestamp.
 *  3. UNSET leaves everything as it is. NULL is a tombstone, or, where elements are added or
 *     removed, nothing. */
#include <stdlib.h>

#include "cql/modify_private.h"

struct gather {
    struct cqli_update *u;
    const struct base_column *column;
    struct base_cell *items;
    size_t count, cap;
    struct base_deletion deletion;
    struct base_cell *existing; /* a list's elements, for operations that read */
    size_t existing_count;
    bool is_loaded;
};

static int no_memory(struct cqli_update *u)
{
    return cqli_no_room(u->eval.err, BASE_E_NOMEM);
}

static int invalid(struct cqli_update *u, const char *text)
{
    return base_err_set(u->eval.err, BASE_E_INVALID, "%s", text);
}

static struct base_cell dead_cell(const struct cqli_update *u, uint32_t column)
{
    return (struct base_cell){
        .column = column, .ts = u->ts, .local_s = u->now_s, .flags = BASE_CELL_DEAD};
}

static struct base_cell live_cell(const struct cqli_update *u, uint32_t column)
{
    struct base_cell cell = {.column = column, .ts = u->ts};
    if (u->ttl) {
        cell.flags = BASE_CELL_EXPIRING;
        cell.ttl = u->ttl;
        cell.local_s = u->expires_s;
    }
    return cell;
}

static int push(struct base_arena *arena, struct base_cell **items, size_t *count, size_t *cap,
                const struct base_cell *cell)
{
    if (*count == *cap) {
        size_t more = *cap ? *cap * 2 : 4;
        struct base_cell *grown = base_arena_alloc(arena, more * sizeof *grown);
        if (!grown)
            return BASE_E_NOMEM;
        if (*count)
            memcpy(grown, *items, *count * sizeof *grown);
        *items = grown;
        *cap = more;
    }
    (*items)[(*count)++] = *cell;
    return BASE_OK;
}

/* The path's bytes must be the arena's or the existing row's. */
static int add(struct gather *g, const struct base_cell *cell)
{
    int rc = push(g->u->eval.arena, &g->items, &g->count, &g->cap, cell);
    return rc == BASE_OK ? rc : no_memory(g->u);
}

/* A cell for an element: a set's, or of a map's key. */
static int add_element(struct gather *g, struct base_slice element, bool dead,
                       struct base_slice value)
{
    struct base_cell cell = dead ? dead_cell(g->u, g->column->id) : live_cell(g->u, g->column->id);
    struct base_buf path;
    bool exact = true;
    base_buf_init_in_arena(&path, g->u->eval.arena, 2 * BASE_CKEY_LEN_MAX);
    if (element.len > BASE_PK_LEN_MAX)
        return base_err_set(
            g->u->eval.err, BASE_E_INVALID, "%s limited to %d bytes but %zu bytes provided",
            g->column->type->kind == BASE_TYPE_MAP ? "Map key is too long. Map keys are"
                                                   : "Set value is too long. Set values are",
            BASE_PK_LEN_MAX, element.len);
    int rc = base_path_put(g->column->type, element, &path, &exact, g->u->eval.err);
    if (rc != BASE_OK)
        return rc;
    cell.path = base_buf_view(&path);
    cell.path_original = exact ? (struct base_slice){0} : element;
    cell.value = value;
    return add(g, &cell);
}

static int add_field(struct gather *g, uint16_t field, bool dead, struct base_slice value)
{
    struct base_cell cell = dead ? dead_cell(g->u, g->column->id) : live_cell(g->u, g->column->id);
    uint8_t *path = base_arena_alloc_aligned(g->u->eval.arena, 2, 1);
    if (!path)
        return no_memory(g->u);
    base_put_be16(path, field);
    cell.path = base_slice(path, 2);
    cell.value = value;
    return add(g, &cell);
}

/* Whole values. */

static int add_list(struct gather *g, struct base_elements *it, bool before_all)
{
    const struct base_type *list = g->column->type;
    struct base_slice element;
    bool is_null;
    size_t first = g->count;
    while (it->left > 0) {
        struct base_cell cell = live_cell(g->u, g->column->id);
        struct base_buf path;
        if (!base_elements_next(it, &element, &is_null))
            return invalid(g->u, "Invalid list value");
        if (is_null)
            return invalid(g->u, "null is not supported inside collections");
        struct base_uuid place = cqli_list_place(g->u->run, before_all);
        base_buf_init_in_arena(&path, g->u->eval.arena, 64);
        int rc =
            base_path_put(list, base_slice(place.b, sizeof place.b), &path, NULL, g->u->eval.err);
        cell.path = base_buf_view(&path);
        cell.value = element;
        if (rc == BASE_OK)
            rc = add(g, &cell);
        if (rc != BASE_OK)
            return rc;
    }
    /* Each place before all is before the one taken earlier: the elements take them in the other
     * direction. */
    for (size_t i = first, j = g->count; before_all && i + 1 < j; i++) {
        struct base_slice path = g->items[i].path;
        g->items[i].path = g->items[--j].path;
        g->items[j].path = path;
    }
    return BASE_OK;
}

/* All elements of a value. `dead`: of a set of elements or keys to remove. */
static int add_all(struct gather *g, const struct base_type *type, struct base_slice value,
                   bool dead, bool before_all)
{
    struct base_elements it;
    struct base_slice element, second = {0};
    bool is_null, second_null = false;
    if (!base_elements_begin(&it, type, value))
        return invalid(g->u, "Invalid collection value");
    if (type->kind == BASE_TYPE_LIST)
        return add_list(g, &it, before_all);
    for (uint16_t field = 0; it.left > 0; field++) {
        if (!base_elements_next(&it, &element, &is_null) ||
            (type->kind == BASE_TYPE_MAP && !base_elements_next(&it, &second, &second_null)))
            return invalid(g->u, "Invalid collection value");
        if (is_null && type->kind == BASE_TYPE_UDT)
            continue;
        if (is_null || second_null)
            return invalid(g->u, "null is not supported inside collections");
        int rc = type->kind == BASE_TYPE_UDT ? add_field(g, field, false, element)
                                             : add_element(g, element, dead, second);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int set_whole(struct gather *g, const struct cqli_operation *op,
                     const struct cql_value *value)
{
    if (value->state == CQL_VALUE_UNSET)
        return BASE_OK;
    g->deletion = (struct base_deletion){g->u->ts - 1, g->u->now_s};
    return value->state == CQL_VALUE_NULL ? BASE_OK
                                          : add_all(g, op->value_type, value->bytes, false, false);
}

/* Parts. */

static int check_key(struct gather *g, const struct cql_value *key)
{
    if (key->state == CQL_VALUE_SET)
        return BASE_OK;
    return base_err_set(g->u->eval.err, BASE_E_INVALID, "Invalid %s %s",
                        key->state == CQL_VALUE_NULL ? "null" : "unset",
                        g->column->type->kind == BASE_TYPE_MAP ? "map key" : "set element");
}

static int set_element(struct gather *g, const struct cqli_operands *operands)
{
    int rc = check_key(g, &operands->element);
    if (rc != BASE_OK || operands->value.state == CQL_VALUE_UNSET)
        return rc;
    return add_element(g, operands->element.bytes, operands->value.state == CQL_VALUE_NULL,
                       operands->value.bytes);
}

/* Lists, as they are. */

static int load_existing(struct gather *g, struct base_slice encoded)
{
    struct base_row row;
    struct base_cell cell;
    size_t cap = 0;
    int n = 0;
    if (encoded.len == 0 || g->is_loaded)
        return BASE_OK;
    g->is_loaded = true;
    if (!base_row_decode(encoded, &row))
        return base_err_set(g->u->eval.err, BASE_E_CORRUPT, "damaged row");
    struct base_cells it = base_cells_begin(&row);
    while ((n = base_cells_next(&it, &cell)) > 0 && cell.column <= g->column->id) {
        if (cell.column != g->column->id ||
            (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)))
            continue;
        if (push(g->u->eval.arena, &g->existing, &g->existing_count, &cap, &cell) != BASE_OK)
            return no_memory(g->u);
    }
    return n < 0 ? base_err_set(g->u->eval.err, BASE_E_CORRUPT, "damaged cells") : BASE_OK;
}

/* list[i] = v and DELETE list[i]. */
static int change_index(struct gather *g, const struct cqli_operation *op,
                        const struct cqli_operands *operands)
{
    bool is_delete = op->kind == CQLI_DELETE_INDEX;
    const struct cql_value *index = &operands->element;
    if (index->state == CQL_VALUE_NULL)
        return invalid(g->u, "Invalid null value for list index");
    if (index->state == CQL_VALUE_UNSET)
        return is_delete ? BASE_OK : invalid(g->u, "Invalid unset value for list index");
    if (g->existing_count == 0)
        return invalid(g->u, is_delete ? "Attempted to delete an element from a list which is null"
                                       : "Attempted to set an element on a list which is null");
    int32_t i = index->bytes.len == 4 ? (int32_t)base_get_be32(index->bytes.data) : -1;
    if (i < 0 || (size_t)i >= g->existing_count)
        return base_err_set(g->u->eval.err, BASE_E_INVALID,
                            "List index %d out of bound, list has size %zu", i, g->existing_count);
    if (!is_delete && operands->value.state == CQL_VALUE_UNSET)
        return BASE_OK;
    bool dead = is_delete || operands->value.state == CQL_VALUE_NULL;
    struct base_cell cell = dead ? dead_cell(g->u, g->column->id) : live_cell(g->u, g->column->id);
    cell.path = g->existing[i].path;
    cell.value = dead ? (struct base_slice){0} : operands->value.bytes;
    if (dead) /* the statement's next index counts what is left, as Cassandra's does */
        memmove(&g->existing[i], &g->existing[i + 1],
                (--g->existing_count - (size_t)i) * sizeof *g->existing);
    return add(g, &cell);
}

static int by_bytes(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

static int remove_values(struct gather *g, const struct cqli_operation *op, struct base_slice value)
{
    struct base_elements it;
    struct base_slice *values = NULL;
    size_t count = 0;
    bool is_null;
    if (!base_elements_begin(&it, op->value_type, value))
        return invalid(g->u, "Invalid list value");
    if (!(values = base_arena_alloc(g->u->eval.arena, ((size_t)it.left + 1) * sizeof *values)))
        return no_memory(g->u);
    while (it.left > 0) {
        if (!base_elements_next(&it, &values[count], &is_null))
            return invalid(g->u, "Invalid list value");
        count += !is_null;
    }
    qsort(values, count, sizeof *values, by_bytes);
    for (size_t i = 0; i < g->existing_count; i++) {
        struct base_cell cell = dead_cell(g->u, g->column->id);
        cell.path = g->existing[i].path;
        bool found = bsearch(&g->existing[i].value, values, count, sizeof *values, by_bytes);
        int rc = found ? add(g, &cell) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* All of a column. */

static int gather_operation(struct gather *g, const struct cqli_operation *op,
                            const struct cqli_operands *operands, struct base_slice existing)
{
    const struct cql_value *value = &operands->value;
    bool nothing = value->state != CQL_VALUE_SET;
    int rc = cqli_operation_reads(op->kind) ? load_existing(g, existing) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    switch (op->kind) {
    case CQLI_SET:
        return set_whole(g, op, value);
    case CQLI_SET_ELEMENT:
        return set_element(g, operands);
    case CQLI_SET_FIELD:
        return value->state == CQL_VALUE_UNSET ? BASE_OK
                                               : add_field(g, op->field, nothing, value->bytes);
    case CQLI_APPEND:
    case CQLI_PREPEND:
    case CQLI_REMOVE:
        return nothing ? BASE_OK
                       : add_all(g, op->value_type, value->bytes, op->kind == CQLI_REMOVE,
                                 op->kind == CQLI_PREPEND);
    case CQLI_REMOVE_VALUES:
        return nothing ? BASE_OK : remove_values(g, op, value->bytes);
    case CQLI_DELETE:
        g->deletion = (struct base_deletion){g->u->ts, g->u->now_s};
        return BASE_OK;
    case CQLI_DELETE_ELEMENT:
        rc = check_key(g, &operands->element);
        return rc == BASE_OK ? add_element(g, operands->element.bytes, true, (struct base_slice){0})
                             : rc;
    case CQLI_DELETE_FIELD:
        return add_field(g, op->field, true, (struct base_slice){0});
    case CQLI_SET_INDEX:
    case CQLI_DELETE_INDEX:
        return change_index(g, op, operands);
    }
    return BASE_OK;
}

static int by_path(const void *a, const void *b)
{
    const struct base_cell *x = a, *y = b;
    int c = base_slice_compare(x->path, y->path);
    return c ? c : base_cell_compare(x, y);
}

static int put_gathered(struct gather *g, struct base_row_builder *row, bool sorted)
{
    int rc = BASE_OK;
    if (!base_deletion_is_none(g->deletion)) {
        const struct base_cell cell = {.column = g->column->id,
                                       .ts = g->deletion.ts,
                                       .local_s = g->deletion.local_s,
                                       .flags = BASE_CELL_COMPLEX_DELETION};
        rc = base_row_put_cell(row, &cell);
    }
    if (!sorted && g->count)
        qsort(g->items, g->count, sizeof *g->items, by_path);
    for (size_t i = 0; rc == BASE_OK && i < g->count; i++)
        if (i == 0 ||
            !base_slice_equal(g->items[i - 1].path, g->items[i].path)) /* the winner comes first */
            rc = base_row_put_cell(row, &g->items[i]);
    return rc == BASE_OK ? rc : cqli_no_room(g->u->eval.err, rc);
}

static int put_simple(struct cqli_update *u, struct base_row_builder *row,
                      const struct cqli_operation *op, const struct cql_value *value)
{
    struct base_cell cell;
    int rc;
    if (op->kind == CQLI_SET && value->state == CQL_VALUE_UNSET)
        return BASE_OK;
    if (op->kind == CQLI_SET && value->state == CQL_VALUE_SET) {
        if (u->ttl == 0) {
            rc = base_row_put_value(row, op->column->id, value->bytes);
            return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
        }
        cell = live_cell(u, op->column->id);
        cell.value = value->bytes;
    } else {
        cell = dead_cell(u, op->column->id);
    }
    rc = base_row_put_cell(row, &cell);
    return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
}

int cqli_cells_put(struct cqli_update *u, struct base_row_builder *row, size_t first, size_t n,
                   struct base_slice existing)
{
    const struct cqli_operation *op = &u->m->operations[first];
    if (BASE_LIKELY(!base_type_is_multicell(op->column->type))) {
        BASE_ASSERT(n == 1);
        return put_simple(u, row, op, &u->operands[first].value);
    }
    struct gather g = {.u = u, .column = op->column, .deletion = BASE_DELETION_NONE};
    bool sorted = n == 1;
    for (size_t i = 0; i < n; i++) {
        int rc = gather_operation(&g, &op[i], &u->operands[first + i], existing);
        if (rc != BASE_OK)
            return rc;
    }
    return put_gathered(&g, row, sorted);
}
