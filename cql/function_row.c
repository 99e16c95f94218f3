/* writetime, maxwritetime and ttl: of a column, and of fields, elements and slices of one, as deep
 * as they go (CASSANDRA-8877).
 *
 * 1. A frozen value is one cell: a part of it has that cell's time, if there is such a part. A
 *    multi-cell column has a list with its cells' times in their order, of a UDT one for each
 *    field; the first element or field that is selected picks one of them.
 * 2. What is not there has no time: null, also for a slice without elements. */
#include "cql/function.h"

enum { WRITETIME, MAXWRITETIME, TTL };

/* Places of cells in the list of a column's: [first, end). `one`: an element or field was picked;
 * its parts lie in the same cell. */
struct cells {
    uint32_t first, end;
    bool one;
};

static int damaged(struct cqli_eval *eval)
{
    return base_err_set(eval->err, BASE_E_CORRUPT, "damaged value of a collection");
}

/* Which cells. */

/* Those of the cells whose element or key is within the selection's bounds. */
static int narrow_range(const struct cqli_expr *part, struct base_slice value,
                        const struct base_type *type, struct cqli_eval *eval, struct cells *cells)
{
    struct cql_value from = {.state = CQL_VALUE_NULL}, upto = {.state = CQL_VALUE_NULL};
    struct base_elements it;
    int rc = part->items[1] ? cqli_eval(part->items[1], eval, NULL, &from) : BASE_OK;
    if (rc == BASE_OK && part->kind == CQLI_EXPR_SLICE && part->items[2])
        rc = cqli_eval(part->items[2], eval, NULL, &upto);
    if (rc != BASE_OK)
        return rc;
    if (part->kind == CQLI_EXPR_ELEMENT)
        upto = from;
    if (!base_elements_begin(&it, type, value))
        return damaged(eval);
    struct cells found = {0, 0, part->kind == CQLI_EXPR_ELEMENT};
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice key, ignored;
        bool is_null;
        if (!base_elements_next(&it, &key, &is_null) ||
            (type->kind == BASE_TYPE_MAP && !base_elements_next(&it, &ignored, &is_null)))
            return damaged(eval);
        if (i < cells->first || i >= cells->end ||
            (from.state == CQL_VALUE_SET &&
             base_value_compare(type->params[0], key, from.bytes) < 0) ||
            (upto.state == CQL_VALUE_SET &&
             base_value_compare(type->params[0], key, upto.bytes) > 0))
            continue;
        found.first = found.end ? found.first : i;
        found.end = i + 1;
    }
    *cells = found;
    return BASE_OK;
}

/* From the column outwards. */
static int narrow(const struct cqli_expr *part, struct base_slice value,
                  const struct base_type *type, struct cqli_eval *eval, struct cells *cells)
{
    if (part->kind == CQLI_EXPR_COLUMN)
        return BASE_OK;
    int rc = narrow(part->items[0], value, type, eval, cells);
    if (rc != BASE_OK || cells->one)
        return rc;
    if (part->kind != CQLI_EXPR_FIELD)
        return narrow_range(part, value, type, eval, cells);
    *cells = (struct cells){part->number, part->number + 1, true};
    return BASE_OK;
}

/* Their times. */

/* Of the list's entries those of the cells: as a list, the one as it is, or the greatest. */
static int pick(const struct cqli_expr *call, struct base_slice list, const struct cells *cells,
                struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *entry =
        base_type_scalar(call->function->op == TTL ? BASE_TYPE_INT : BASE_TYPE_BIGINT);
    const struct base_type list_type = {
        .kind = BASE_TYPE_LIST, .frozen = true, .param_count = 1, .params = &entry};
    const bool is_list = call->type->kind == BASE_TYPE_LIST;
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
        else if (i >= cells->first && !is_null &&
                 (out->state != CQL_VALUE_SET ||
                  base_value_compare(entry, element, out->bytes) > 0))
            *out = (struct cql_value){.bytes = element};
    }
    if (is_list)
        return cqli_eval_take(eval, &buf, rc, out);
    base_buf_fini(&buf);
    return rc;
}

/* Is there what was selected? Of a slice: any element. */
static int is_there(const struct cqli_expr *selection, struct cqli_eval *eval, bool *out)
{
    struct cql_value value;
    int rc = cqli_eval(selection, eval, NULL, &value);
    *out = rc == BASE_OK && value.state == CQL_VALUE_SET &&
           (selection->kind != CQLI_EXPR_SLICE ||
            (value.bytes.len >= 4 && base_get_be32(value.bytes.data) > 0));
    return rc;
}

static int run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval,
               struct cql_value *out)
{
    const struct cqli_expr *selection = call->items[0];
    const bool whole = selection->kind == CQLI_EXPR_COLUMN,
               multicell = base_type_is_multicell(call->column->type);
    struct cql_value times, value;
    bool there = true;
    (void)args;
    int rc = whole ? BASE_OK : is_there(selection, eval, &there);
    if (rc != BASE_OK || !there)
        return rc;
    rc = call->function->op == TTL
             ? cqli_row_ttl(eval->row, call->column, &times, eval->err)
             : cqli_row_writetime(eval->row, call->column,
                                  call->function->op == MAXWRITETIME && whole, &times, eval->err);
    if (rc != BASE_OK || times.state != CQL_VALUE_SET || whole || !multicell) {
        *out = times;
        return rc;
    }
    struct cells cells = {0, UINT32_MAX, false};
    rc = cqli_row_value(eval->row, call->column, &value, eval->err);
    if (rc == BASE_OK)
        rc = narrow(selection, value.bytes, call->column->type, eval, &cells);
    return rc == BASE_OK && cells.first < cells.end ? pick(call, times.bytes, &cells, eval, out)
                                                    : rc;
}

/* Preparing. */

static const struct cqli_function functions[] = {
    {"writetime", CQLI_FN_NULLS, run, BASE_TYPE_BIGINT, 1, {0}, WRITETIME},
    {"maxwritetime", CQLI_FN_NULLS, run, BASE_TYPE_BIGINT, 1, {0}, MAXWRITETIME},
    {"ttl", CQLI_FN_NULLS, run, BASE_TYPE_INT, 1, {0}, TTL},
};

static const struct cqli_function *find(const struct cql_term *call)
{
    for (size_t i = 0; i < BASE_COUNT(functions); i++)
        if (!call->name.keyspace.len &&
            base_slice_equal(call->name.name, base_slice_str(functions[i].name)))
            return &functions[i];
    return NULL;
}

bool cqli_row_function_is(const struct cql_term *call)
{
    return find(call) != NULL;
}

/* The column that a term is a part of; NULL: something else is in it. *one: an element or field is
 * picked. */
static const struct cql_term *column_of(const struct cql_term *term, bool *one)
{
    while (term && (term->kind == CQL_TERM_FIELD || term->kind == CQL_TERM_ELEMENT ||
                    term->kind == CQL_TERM_SLICE)) {
        *one = *one || term->kind != CQL_TERM_SLICE;
        term = term->items;
    }
    return term && term->kind == CQL_TERM_COLUMN ? term : NULL;
}

int cqli_row_function_prepare(struct cqli_scope *scope, const struct cql_term *call,
                              const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct cqli_function *function = find(call);
    bool one = false;
    const struct cql_term *column_term =
        call->item_count == 1 ? column_of(call->items, &one) : NULL;
    const struct cqli_expr *column, *selection;
    if (!scope->selection)
        return base_err_set(p->err, BASE_E_INVALID, "%s is for the selection of a SELECT",
                            function->name);
    if (!column_term)
        return base_err_set(p->err, BASE_E_SYNTAX,
                            "%s takes one column, or a field or element of one", function->name);
    int rc = cqli_term_own(scope, column_term, &column);
    if (rc != BASE_OK)
        return rc;
    if (column->column->kind == BASE_COLUMN_PARTITION_KEY ||
        column->column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Cannot use selection function %s on PRIMARY KEY part %.*s",
                            function->name, BASE_SLICE_ARG(column->column->name));
    rc = cqli_term_own(scope, call->items, &selection);
    if (rc != BASE_OK)
        return rc;
    const struct base_type *type = base_type_scalar(function->result);
    if (base_type_is_multicell(column->type) && !one && function->op != MAXWRITETIME)
        type = cqli_type_collection(p->arena, BASE_TYPE_LIST, &type, 1);
    struct cqli_expr *expr = type ? cqli_expr_new(p, CQLI_EXPR_ROW, type, 1) : NULL;
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->function = function;
    expr->column = column->column;
    expr->items[0] = selection;
    return cqli_expr_finish(p, expr, out);
}
