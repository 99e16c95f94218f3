/* Aggregates: count, min, max over the rows of a group, and what a group's other expressions are: its first row's.
 *
 * 1. A node of an aggregation is an aggregate, or a largest part of an expression that has none in it; above them there are only calls,
 *    evaluated once the group is over.
 * 2. What an aggregation keeps lives in its own arena, in room that is used again: a group's rows cost no memory. */
#include "cql/function.h"

enum { COUNT, MIN, MAX };

struct node {
    const struct cqli_expr *expr;
    struct cql_value value; /* in `room` */
    uint8_t *room;
    size_t room_size;
    uint64_t count;
};
struct cqli_aggregation {
    struct base_arena *arena;
    const struct cqli_expr *const *exprs;
    size_t count;
    struct node *nodes;
    size_t node_count, node_room;
    uint64_t row_count;
};

/* --- nodes ------------------------------------------------------------------------------------------------------------------ */

static int collect(struct cqli_aggregation *a, const struct cqli_expr *expr)
{
    if (!expr || expr->is_constant)
        return BASE_OK;
    if (expr->has_aggregate && expr->kind != CQLI_EXPR_AGGREGATE) {
        for (uint32_t i = 0; i < expr->item_count; i++) {
            int rc = collect(a, expr->items[i]);
            if (rc != BASE_OK)
                return rc;
        }
        return BASE_OK;
    }
    if (a->node_count == a->node_room) {
        size_t room = a->node_room ? a->node_room * 2 : 8;
        struct node *nodes = base_arena_zalloc(a->arena, room * sizeof *nodes);
        if (!nodes)
            return BASE_E_NOMEM;
        if (a->node_count)
            memcpy(nodes, a->nodes, a->node_count * sizeof *nodes);
        a->nodes = nodes;
        a->node_room = room;
    }
    a->nodes[a->node_count++] = (struct node){.expr = expr, .value.state = CQL_VALUE_NULL};
    return BASE_OK;
}

int cqli_aggregation_new(struct base_arena *arena, const struct cqli_expr *const *exprs, size_t count, struct cqli_aggregation **out)
{
    struct cqli_aggregation *a = base_arena_zalloc(arena, sizeof *a);
    *out = NULL;
    if (!a)
        return BASE_E_NOMEM;
    *a = (struct cqli_aggregation){.arena = arena, .exprs = exprs, .count = count};
    for (size_t i = 0; i < count; i++) {
        int rc = collect(a, exprs[i]);
        if (rc != BASE_OK)
            return rc;
    }
    *out = a;
    return BASE_OK;
}

void cqli_aggregation_reset(struct cqli_aggregation *a)
{
    a->row_count = 0;
    for (size_t i = 0; i < a->node_count; i++) {
        a->nodes[i].value = (struct cql_value){.state = CQL_VALUE_NULL};
        a->nodes[i].count = 0;
    }
}

static int keep(struct cqli_aggregation *a, struct node *node, const struct cql_value *value, struct cqli_eval *eval)
{
    if (value->bytes.len > node->room_size) {
        node->room_size = value->bytes.len * 2;
        if (!(node->room = base_arena_alloc(a->arena, node->room_size)))
            return cqli_eval_no_memory(eval);
    }
    if (value->bytes.len)
        memcpy(node->room, value->bytes.data, value->bytes.len);
    node->value = (struct cql_value){value->state, base_slice(node->room, value->bytes.len)};
    return BASE_OK;
}

/* --- rows -------------------------------------------------------------------------------------------------------------------- */

static int add_extreme(struct cqli_aggregation *a, struct node *node, const struct cql_value *value, struct cqli_eval *eval)
{
    if (node->value.state == CQL_VALUE_SET) {
        int c = base_value_compare(node->expr->type, value->bytes, node->value.bytes);
        if (node->expr->function->op == MIN ? c >= 0 : c <= 0)
            return BASE_OK;
    }
    return keep(a, node, value, eval);
}

static int add_node(struct cqli_aggregation *a, struct node *node, struct cqli_eval *eval)
{
    struct cql_value value = {0};
    const bool first_row = node->expr->kind != CQLI_EXPR_AGGREGATE;
    if (first_row && a->row_count)
        return BASE_OK;
    const struct cqli_expr *expr = first_row ? node->expr : node->expr->item_count ? node->expr->items[0] : NULL;
    int rc = expr ? cqli_eval(expr, eval, NULL, &value) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    if (first_row)
        return keep(a, node, &value, eval);
    if (value.state == CQL_VALUE_UNSET)
        return base_err_set(eval->err, BASE_E_INVALID, "Invalid unset value for argument in call to function %s", node->expr->function->name);
    if (value.state == CQL_VALUE_NULL)
        return BASE_OK; /* aggregates pass nulls over */
    node->count++;
    return node->expr->function->op == COUNT ? BASE_OK : add_extreme(a, node, &value, eval);
}

int cqli_aggregation_add(struct cqli_aggregation *a, struct cqli_eval *eval)
{
    for (size_t i = 0; i < a->node_count; i++) {
        int rc = add_node(a, &a->nodes[i], eval);
        if (rc != BASE_OK)
            return rc;
    }
    a->row_count++;
    return BASE_OK;
}

/* --- results ------------------------------------------------------------------------------------------------------------------- */

static int result_of(const struct node *node, struct cqli_eval *eval, struct cql_value *out)
{
    if (node->expr->kind != CQLI_EXPR_AGGREGATE || node->expr->function->op != COUNT) {
        *out = node->value;
        return BASE_OK;
    }
    uint8_t *bytes = base_arena_alloc(eval->arena, 8);
    if (!bytes)
        return cqli_eval_no_memory(eval);
    base_put_be64(bytes, node->count);
    *out = (struct cql_value){.bytes = base_slice(bytes, 8)};
    return BASE_OK;
}

int cqli_aggregation_node(const struct cqli_aggregation *a, const struct cqli_expr *expr, struct cqli_eval *eval, bool *found,
                          struct cql_value *out)
{
    *found = !expr->has_aggregate || expr->kind == CQLI_EXPR_AGGREGATE;
    if (!*found)
        return BASE_OK;
    for (size_t i = 0; i < a->node_count; i++)
        if (a->nodes[i].expr == expr)
            return result_of(&a->nodes[i], eval, out);
    BASE_ASSERT(false); /* it was among the expressions that the aggregation was made for */
    return BASE_E_INTERNAL;
}

int cqli_aggregation_result(struct cqli_aggregation *a, size_t index, struct cqli_eval *eval, struct cql_value *out)
{
    BASE_ASSERT(index < a->count);
    return cqli_eval(a->exprs[index], eval, a, out);
}
