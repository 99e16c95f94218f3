/* Evaluating a prepared tree for one execution or row.
 *
 * Recursion goes by the tree, whose depth the grammar has bounded. What is made lives in
 * eval->arena; what is not made borrows from the markers' values, the row or the tree. */
#include "cql/expr_private.h"

#include "cql/function.h"

int cqli_eval_no_memory(struct cqli_eval *eval)
{
    return base_err_set(eval->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

int cqli_eval_take(struct cqli_eval *eval, struct base_buf *buf, int rc, struct cql_value *out)
{
    *out = (struct cql_value){0};
    if (rc == BASE_OK)
        rc = base_arena_copy(eval->arena, base_buf_view(buf), &out->bytes);
    base_buf_fini(buf);
    if (rc == BASE_E_LIMIT)
        return base_err_set(eval->err, BASE_E_INVALID, "the result is too large");
    return rc == BASE_E_NOMEM ? cqli_eval_no_memory(eval) : rc;
}

int cqli_eval_copy(struct cqli_eval *eval, const void *bytes, size_t len, struct cql_value *out)
{
    *out = (struct cql_value){0};
    return base_arena_copy(eval->arena, base_slice(bytes, len), &out->bytes) == BASE_OK
               ? BASE_OK
               : cqli_eval_no_memory(eval);
}

static struct cql_value null_value(void)
{
    return (struct cql_value){.state = CQL_VALUE_NULL};
}

/* Member by member: a whole value, made on the stack and copied from there, waits for its own
 * stores. */
static inline void set_null(struct cql_value *out)
{
    out->state = CQL_VALUE_NULL;
    out->bytes = (struct base_slice){0};
}

static int eval_bind(const struct cqli_expr *expr, struct cqli_eval *eval, struct cql_value *out)
{
    set_null(out);
    if (expr->number >= eval->value_count)
        return base_err_set(eval->err, BASE_E_INVALID, "Invalid amount of bind variables");
    const struct cql_value *value = &eval->values[expr->number];
    out->state = value->state;
    if (value->state != CQL_VALUE_SET)
        return BASE_OK;
    int rc = cqli_value_take(eval->arena, expr->type, value->bytes, &out->bytes, eval->err);
    if (rc != BASE_OK)
        set_null(out);
    return rc;
}

/* Collections. */

static const struct base_type *item_type(const struct base_type *type, uint32_t i)
{
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    return type->params[fields ? i : type->kind == BASE_TYPE_MAP ? i & 1 : 0];
}

static int put_item(const struct cqli_expr *expr, uint32_t i, struct cqli_eval *eval,
                    const struct cqli_aggregation *a, struct base_buf *out)
{
    const bool fields = expr->type->kind == BASE_TYPE_TUPLE || expr->type->kind == BASE_TYPE_UDT;
    struct cql_value value = {.state = CQL_VALUE_NULL};
    int rc = expr->items[i] ? cqli_eval(expr->items[i], eval, a, &value) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    if (value.state == CQL_VALUE_UNSET)
        return base_err_set(eval->err, BASE_E_INVALID,
                            fields ? "Invalid unset value for tuple field number %u"
                                   : "unset value is not supported inside collections (element %u)",
                            i);
    if (value.state == CQL_VALUE_NULL && !fields)
        return base_err_set(eval->err, BASE_E_INVALID, "null is not supported inside %s",
                            expr->type->kind == BASE_TYPE_VECTOR ? "vectors" : "collections");
    rc = base_element_put(expr->type, item_type(expr->type, i), value.bytes,
                          value.state == CQL_VALUE_NULL, out);
    if (rc == BASE_E_INVALID)
        return base_err_set(eval->err, rc, "an empty value is not supported inside vectors");
    return rc;
}

static int eval_collection(const struct cqli_expr *expr, struct cqli_eval *eval,
                           const struct cqli_aggregation *a, struct cql_value *out)
{
    const enum base_type_kind kind = expr->type->kind;
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = BASE_OK;
    if (kind == BASE_TYPE_LIST || kind == BASE_TYPE_SET || kind == BASE_TYPE_MAP) {
        uint8_t count[4];
        base_put_be32(count, kind == BASE_TYPE_MAP ? expr->item_count / 2 : expr->item_count);
        rc = base_buf_put(&buf, count, 4);
    }
    for (uint32_t i = 0; rc == BASE_OK && i < expr->item_count; i++)
        rc = put_item(expr, i, eval, a, &buf);
    if (rc == BASE_OK && (kind == BASE_TYPE_SET || kind == BASE_TYPE_MAP)) {
        struct base_buf sorted;
        base_buf_init(&sorted, CQLI_VALUE_LEN_MAX);
        rc = base_value_normalize(expr->type, base_buf_view(&buf), &sorted, eval->err);
        base_buf_fini(&buf);
        buf = sorted;
    }
    return cqli_eval_take(eval, &buf, rc, out);
}

static int damaged(struct cqli_eval *eval, const struct base_type *type)
{
    char text[CQLI_TYPE_TEXT];
    return base_err_set(eval->err, BASE_E_CORRUPT, "damaged value: its bytes are not a %s",
                        cqli_type_text_of(type, text));
}

static int eval_field(const struct cqli_expr *expr, struct cqli_eval *eval, struct base_slice whole,
                      struct cql_value *out)
{
    struct base_elements it;
    struct base_slice element = {0};
    bool is_null = true;
    const struct base_type *type = expr->items[0]->type;
    if (!base_elements_begin(&it, type, whole))
        return damaged(eval, type);
    for (uint32_t i = 0; i <= expr->number; i++) {
        is_null = true;
        if (!it.left)
            break;
        if (!base_elements_next(&it, &element, &is_null))
            return damaged(eval, type);
    }
    *out = is_null ? null_value() : (struct cql_value){.bytes = element};
    return BASE_OK;
}

/* The entries of a set or map whose element or key is within; of one key: that one's value. */
struct range {
    const struct base_type *type;
    struct cql_value from, upto; /* NULL: open */
    struct base_buf *out;        /* for a slice: whole entries */
    uint32_t count;
    struct cql_value found; /* the last */
};

static bool within(const struct range *range, struct base_slice key)
{
    const struct base_type *type = range->type->params[0];
    return (range->from.state != CQL_VALUE_SET ||
            base_value_compare(type, range->from.bytes, key) <= 0) &&
           (range->upto.state != CQL_VALUE_SET ||
            base_value_compare(type, key, range->upto.bytes) <= 0);
}

static int walk_range(struct range *range, struct cqli_eval *eval, struct base_slice whole)
{
    struct base_elements it;
    int rc = BASE_OK;
    range->found = null_value();
    if (!base_elements_begin(&it, range->type, whole))
        return damaged(eval, range->type);
    while (it.left && rc == BASE_OK) {
        struct base_slice key, value;
        bool is_null;
        const uint8_t *start = it.reader.p;
        if (!base_elements_next(&it, &key, &is_null) || is_null)
            return damaged(eval, range->type);
        value = key;
        if (range->type->kind == BASE_TYPE_MAP &&
            (!base_elements_next(&it, &value, &is_null) || is_null))
            return damaged(eval, range->type);
        if (!within(range, key))
            continue;
        range->found = (struct cql_value){.bytes = value};
        range->count++;
        if (range->out)
            rc = base_buf_put(range->out, start, (size_t)(it.reader.p - start));
    }
    return rc;
}

static int eval_range(const struct cqli_expr *expr, struct cqli_eval *eval,
                      const struct cqli_aggregation *a, struct base_slice whole,
                      struct cql_value *out)
{
    struct range range = {.type = expr->items[0]->type, .from = null_value(), .upto = null_value()};
    const bool slice = expr->kind == CQLI_EXPR_SLICE;
    int rc = expr->items[1] ? cqli_eval(expr->items[1], eval, a, &range.from) : BASE_OK;
    if (rc == BASE_OK && slice && expr->items[2])
        rc = cqli_eval(expr->items[2], eval, a, &range.upto);
    if (rc != BASE_OK)
        return rc;
    if (range.from.state == CQL_VALUE_UNSET || range.upto.state == CQL_VALUE_UNSET)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Invalid unset value for the selection of an element");
    if (!slice) {
        if (range.from.state == CQL_VALUE_NULL)
            return BASE_OK; /* no element has that key */
        range.upto = range.from;
        rc = walk_range(&range, eval, whole);
        *out = rc == BASE_OK ? range.found : null_value();
        return rc;
    }
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    range.out = &buf;
    rc = base_buf_put(&buf, "\0\0\0\0", 4);
    if (rc == BASE_OK)
        rc = walk_range(&range, eval, whole);
    if (rc == BASE_OK && !range.count && !range.type->frozen) { /* as a column without elements */
        base_buf_fini(&buf);
        return BASE_OK;
    }
    if (rc == BASE_OK)
        base_put_be32(buf.data, range.count);
    return cqli_eval_take(eval, &buf, rc, out);
}

static int eval_part(const struct cqli_expr *expr, struct cqli_eval *eval,
                     const struct cqli_aggregation *a, struct cql_value *out)
{
    struct cql_value whole;
    int rc = cqli_eval(expr->items[0], eval, a, &whole);
    set_null(out);
    if (rc != BASE_OK || whole.state != CQL_VALUE_SET)
        return rc;
    return expr->kind == CQLI_EXPR_FIELD ? eval_field(expr, eval, whole.bytes, out)
                                         : eval_range(expr, eval, a, whole.bytes, out);
}

/* The tree. */

static int eval_call(const struct cqli_expr *expr, struct cqli_eval *eval,
                     const struct cqli_aggregation *a, struct cql_value *out)
{
    struct cql_value few[4], *args = few;
    if (expr->item_count > BASE_COUNT(few) &&
        !(args = base_arena_alloc(eval->arena, expr->item_count * sizeof *args)))
        return cqli_eval_no_memory(eval);
    for (uint32_t i = 0; i < expr->item_count; i++) {
        int rc = cqli_eval(expr->items[i], eval, a, &args[i]);
        if (rc != BASE_OK)
            return rc;
        if (args[i].state == CQL_VALUE_UNSET)
            return base_err_set(eval->err, BASE_E_INVALID,
                                "Invalid unset value for argument in call to function %s",
                                expr->function->name);
    }
    return cqli_function_run(expr, args, eval, out);
}

int cqli_eval(const struct cqli_expr *expr, struct cqli_eval *eval,
              const struct cqli_aggregation *a, struct cql_value *out)
{
    set_null(out);
    if (a && !expr->is_constant) {
        bool found;
        int rc = cqli_aggregation_node(a, expr, eval, &found, out);
        if (rc != BASE_OK || found)
            return rc;
    }
    switch (expr->kind) {
    case CQLI_EXPR_CONSTANT:
        *out = expr->value;
        return BASE_OK;
    case CQLI_EXPR_BIND:
        return eval_bind(expr, eval, out);
    case CQLI_EXPR_COLUMN:
        return cqli_row_value(eval->row, expr->column, out, eval->err);
    case CQLI_EXPR_COLLECTION:
        return eval_collection(expr, eval, a, out);
    case CQLI_EXPR_ROW:
        return expr->function->run(expr, NULL, eval, out);
    case CQLI_EXPR_AS:
        return cqli_eval(expr->items[0], eval, a, out);
    case CQLI_EXPR_FIELD:
    case CQLI_EXPR_ELEMENT:
    case CQLI_EXPR_SLICE:
        return eval_part(expr, eval, a, out);
    case CQLI_EXPR_CALL:
        return eval_call(expr, eval, a, out);
    case CQLI_EXPR_AGGREGATE:
        break;
    }
    return base_err_set(eval->err, BASE_E_INVALID,
                        "an aggregate is evaluated over the rows of a group");
}

int cqli_expr_eval(const struct cqli_expr *expr, struct cqli_eval *eval, struct cql_value *out)
{
    return cqli_eval(expr, eval, NULL, out);
}
