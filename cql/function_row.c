/* writetime, maxwritetime and ttl: of a column, a field of a UDT, an element or slice of a collection.
 *
 * Of a multi-cell column they are the list of its cells' (maxwritetime: the greatest); of one element, that cell's. A frozen value is one
 * cell, whatever part of it is named. */
#include "cql/function.h"

enum { WRITETIME, MAXWRITETIME, TTL };
enum { WHOLE, FIELD, ELEMENT, SLICE };

/* --- which cells ---------------------------------------------------------------------------------------- */

/* Positions of cells in the list of a column's: [first, end). */
struct cells {
    uint32_t first, end;
};

static int damaged(struct cqli_eval *eval)
{
    return base_err_set(eval->err, BASE_E_CORRUPT, "damaged value of a collection");
}

/* A field's cell: null fields have none, unless the list has an entry for each field. */
static int field_cells(const struct cqli_expr *call, struct cqli_eval *eval, struct base_slice value, uint32_t cell_count,
                       struct cells *out)
{
    struct base_elements it;
    struct base_slice element;
    bool is_null = true;
    uint32_t before = 0;
    *out = (struct cells){0, 0};
    if (!base_elements_begin(&it, call->column->type, value))
        return damaged(eval);
    for (uint32_t i = 0; i <= call->number; i++) {
        before += !is_null;
        is_null = true;
        if (it.left && !base_elements_next(&it, &element, &is_null))
            return damaged(eval);
    }
    const uint32_t at = cell_count == call->column->type->param_count ? call->number : before;
    if (!is_null)
        *out = (struct cells){at, at + 1};
    return BASE_OK;
}

static int range_cells(const struct cqli_expr *call, struct cqli_eval *eval, struct base_slice value, struct cells *out)
{
    const struct base_type *type = call->column->type, *key_type = type->params[0];
    struct cql_value from = {.state = CQL_VALUE_NULL}, upto = {.state = CQL_VALUE_NULL};
    struct base_elements it;
    *out = (struct cells){0, 0};
    int rc = call->items[0] ? cqli_eval(call->items[0], eval, NULL, &from) : BASE_OK;
    if (rc == BASE_OK && call->item_count > 1 && call->items[1])
        rc = cqli_eval(call->items[1], eval, NULL, &upto);
    if (rc != BASE_OK)
        return rc;
    if (call->item_count == 1) { /* one element */
        if (from.state != CQL_VALUE_SET)
            return BASE_OK;
        upto = from;
    }
    if (!base_elements_begin(&it, type, value))
        return damaged(eval);
    bool any = false;
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice key, ignored;
        bool is_null;
        if (!base_elements_next(&it, &key, &is_null) || (type->kind == BASE_TYPE_MAP && !base_elements_next(&it, &ignored, &is_null)))
            return damaged(eval);
        if ((from.state == CQL_VALUE_SET && base_value_compare(key_type, key, from.bytes) < 0) ||
            (upto.state == CQL_VALUE_SET && base_value_compare(key_type, key, upto.bytes) > 0))
            continue;
        out->first = any ? out->first : i;
        out->end = i + 1;
        any = true;
    }
    return BASE_OK;
}

/* --- their times ---------------------------------------------------------------------------------------- */

/* The list's entries of those cells: one as it is, several as a list. */
static int pick(const struct cqli_expr *call, struct cqli_eval *eval, struct base_slice list, const struct cells *cells,
                struct cql_value *out)
{
    const bool is_list = call->type->kind == BASE_TYPE_LIST;
    const struct base_type element_type = {.kind = is_list ? call->type->params[0]->kind : call->type->kind};
    const struct base_type *param = &element_type;
    const struct base_type list_type = {.kind = BASE_TYPE_LIST, .frozen = true, .param_count = 1, .params = &param};
    struct base_elements it;
    struct base_buf buf;
    uint8_t count[4];
    if (!base_elements_begin(&it, &list_type, list))
        return damaged(eval);
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    base_put_be32(count, cells->end - cells->first);
    int rc = is_list ? base_buf_put(&buf, count, 4) : BASE_OK;
    for (uint32_t i = 0; rc == BASE_OK && i < cells->end; i++) {
        struct base_slice element;
        bool is_null;
        const uint8_t *start = it.reader.p;
        if (!it.left || !base_elements_next(&it, &element, &is_null))
            rc = damaged(eval);
        else if (i >= cells->first && is_list)
            rc = base_buf_put(&buf, start, (size_t)(it.reader.p - start));
        else if (i >= cells->first)
            *out = is_null ? (struct cql_value){.state = CQL_VALUE_NULL} : (struct cql_value){.bytes = element};
    }
    if (is_list)
        return cqli_eval_take(eval, &buf, rc, out);
    base_buf_fini(&buf);
    return rc;
}

static int run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval, struct cql_value *out)
{
    const int what = call->function->op & 3, part = call->function->op >> 2;
    struct cql_value times, value;
    struct cells cells;
    (void)args;
    int rc = what == TTL ? cqli_row_ttl(eval->row, call->column, &times, eval->err)
                         : cqli_row_writetime(eval->row, call->column, what == MAXWRITETIME && part == WHOLE, &times, eval->err);
    if (rc != BASE_OK || times.state != CQL_VALUE_SET || part == WHOLE || !base_type_is_multicell(call->column->type)) {
        *out = times;
        return rc;
    }
    rc = cqli_row_value(eval->row, call->column, &value, eval->err);
    if (rc != BASE_OK || value.state != CQL_VALUE_SET)
        return rc;
    rc = part == FIELD ? field_cells(call, eval, value.bytes, times.bytes.len >= 4 ? base_get_be32(times.bytes.data) : 0, &cells)
                       : range_cells(call, eval, value.bytes, &cells);
    if (rc != BASE_OK || (cells.first == cells.end && part != SLICE))
        return rc;
    return pick(call, eval, times.bytes, &cells, out);
}

/* --- preparing ------------------------------------------------------------------------------------------ */

/* op: what + 4 * part. Evaluated without arguments: the bounds of a selection are looked at only when there is a value. */
#define PART(name, what, part) {name, CQLI_FN_NULLS, run, BASE_TYPE_BIGINT, 0, {0}, (what) + 4 * (part)}
#define OF(name, what) PART(name, what, WHOLE), PART(name, what, FIELD), PART(name, what, ELEMENT), PART(name, what, SLICE)
static const struct cqli_function functions[] = {OF("writetime", WRITETIME), OF("maxwritetime", MAXWRITETIME), OF("ttl", TTL)};

static const struct cqli_function *find(const struct cql_term *call)
{
    for (size_t i = 0; i < BASE_COUNT(functions); i += 4)
        if (!call->name.keyspace.len && base_slice_equal(call->name.name, base_slice_str(functions[i].name)))
            return &functions[i];
    return NULL;
}

bool cqli_row_function_is(const struct cql_term *call)
{
    return find(call) != NULL;
}

static int part_of(const struct cql_term *arg)
{
    return arg->kind == CQL_TERM_FIELD ? FIELD : arg->kind == CQL_TERM_ELEMENT ? ELEMENT : arg->kind == CQL_TERM_SLICE ? SLICE : WHOLE;
}

static const struct base_type *result_type(struct cqli_prepare *p, int what, int part, const struct base_type *column)
{
    const struct base_type *one = base_type_scalar(what == TTL ? BASE_TYPE_INT : BASE_TYPE_BIGINT);
    const bool several = base_type_is_multicell(column) && (part == WHOLE || part == SLICE) && !(what == MAXWRITETIME && part == WHOLE);
    return several ? cqli_type_collection(p->arena, BASE_TYPE_LIST, &one, 1) : one;
}

int cqli_row_function_prepare(struct cqli_scope *scope, const struct cql_term *call, const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct cqli_function *function = find(call);
    const struct cql_term *arg = call->items;
    const int part = arg ? part_of(arg) : WHOLE;
    const struct cqli_expr *selection;
    if (!scope->selection)
        return base_err_set(p->err, BASE_E_INVALID, "%s is for the selection of a SELECT", function->name);
    if (call->item_count != 1 || (part == WHOLE ? arg : arg->items)->kind != CQL_TERM_COLUMN)
        return base_err_set(p->err, BASE_E_INVALID,
                            "%s takes one column, or a field or element of one", function->name);
    int rc = cqli_term_own(scope, arg, &selection);
    if (rc != BASE_OK)
        return rc;
    const struct cqli_expr *column = part == WHOLE ? selection : selection->items[0];
    BASE_ASSERT(column->kind == CQLI_EXPR_COLUMN);
    if (column->column->kind == BASE_COLUMN_PARTITION_KEY || column->column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Cannot use selection function %s on PRIMARY KEY part %.*s", function->name,
                            BASE_SLICE_ARG(column->column->name));
    const struct base_type *type = result_type(p, function->op & 3, part, column->type);
    struct cqli_expr *expr = type ? cqli_expr_new(p, CQLI_EXPR_ROW, type, part < ELEMENT ? 0 : selection->item_count - 1) : NULL;
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->function = function + part;
    expr->column = column->column;
    expr->number = selection->number;
    for (uint32_t i = 0; i < expr->item_count; i++)
        expr->items[i] = selection->items[i + 1];
    return cqli_expr_finish(p, expr, out);
}
