/* Aggregates: count, min, max over the rows of a group, and what a group's other expressions are:
 * its first row's.
 *
 * 1. A node of an aggregation is an aggregate, or a largest part of an expression that has none in
 *    it; above them there are only calls, evaluated once the group is over. Nulls are passed over.
 * 2. What an aggregation keeps lives in its own arena, in room that is used again: a group's rows
 *    cost no memory. */
#include "cql/aggregate.h"

struct node {
    const struct cqli_expr *expr;
    struct cqli_accumulator accumulator; /* an aggregate */
    struct cql_value first;              /* anything else: of the first row, in `room` */
    uint8_t *room;
    size_t room_size;
};
struct cqli_aggregation {
    struct base_arena *arena;
    const struct cqli_expr *const *exprs;
    size_t count;
    struct node *nodes;
    size_t node_count, node_room;
    uint64_t row_count;
};

/* Nodes. */

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
        /* sums are 16 bytes wide */
        struct node *nodes =
            base_arena_alloc_aligned(a->arena, room * sizeof *nodes, _Alignof(struct node));
        if (!nodes)
            return BASE_E_NOMEM;
        memset(nodes, 0, room * sizeof *nodes);
        if (a->node_count)
            memcpy(nodes, a->nodes, a->node_count * sizeof *nodes);
        a->nodes = nodes;
        a->node_room = room;
    }
    struct node *node = &a->nodes[a->node_count++];
    *node = (struct node){.expr = expr, .first.state = CQL_VALUE_NULL};
    if (expr->kind == CQLI_EXPR_AGGREGATE)
        cqli_accumulator_init(&node->accumulator, a->arena, (enum cqli_aggregate)expr->function->op,
                              expr->item_count ? expr->items[0]->type : expr->type);
    return BASE_OK;
}

int cqli_aggregation_new(struct base_arena *arena, const struct cqli_expr *const *exprs,
                         size_t count, struct cqli_aggregation **out)
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
        a->nodes[i].first = (struct cql_value){.state = CQL_VALUE_NULL};
        if (a->nodes[i].expr->kind == CQLI_EXPR_AGGREGATE)
            cqli_accumulator_reset(&a->nodes[i].accumulator);
    }
}

static int keep(struct cqli_aggregation *a, struct node *node, const struct cql_value *value,
                struct cqli_eval *eval)
{
    if (value->bytes.len > node->room_size) {
        node->room_size = value->bytes.len * 2;
        if (!(node->room = base_arena_alloc(a->arena, node->room_size)))
            return cqli_eval_no_memory(eval);
    }
    if (value->bytes.len)
        memcpy(node->room, value->bytes.data, value->bytes.len);
    node->first = (struct cql_value){value->state, base_slice(node->room, value->bytes.len)};
    return BASE_OK;
}

/* Rows. */

static int add_node(struct cqli_aggregation *a, struct node *node, struct cqli_eval *eval)
{
    struct cql_value value = {0};
    const bool first_row = node->expr->kind != CQLI_EXPR_AGGREGATE;
    if (first_row && a->row_count)
        return BASE_OK;
    const struct cqli_expr *expr = first_row                ? node->expr
                                   : node->expr->item_count ? node->expr->items[0]
                                                            : NULL;
    int rc = expr ? cqli_eval(expr, eval, NULL, &value) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    if (first_row)
        return keep(a, node, &value, eval);
    if (value.state == CQL_VALUE_UNSET)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Invalid unset value for argument in call to function %s",
                            node->expr->function->name);
    if (value.state == CQL_VALUE_NULL)
        return BASE_OK; /* aggregates pass nulls over */
    return cqli_accumulator_add(&node->accumulator, value.bytes, eval->err);
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

/* Results. */

int cqli_aggregation_node(const struct cqli_aggregation *a, const struct cqli_expr *expr,
                          struct cqli_eval *eval, bool *found, struct cql_value *out)
{
    *found = !expr->has_aggregate || expr->kind == CQLI_EXPR_AGGREGATE;
    if (!*found)
        return BASE_OK;
    for (size_t i = 0; i < a->node_count; i++) {
        const struct node *node = &a->nodes[i];
        if (node->expr != expr)
            continue;
        if (expr->kind == CQLI_EXPR_AGGREGATE)
            return cqli_accumulator_result(&node->accumulator, eval, out);
        *out = node->first;
        return BASE_OK;
    }
    BASE_ASSERT(false); /* it was among the expressions that the aggregation was made for */
    return BASE_E_INTERNAL;
}

int cqli_aggregation_result(struct cqli_aggregation *a, size_t index, struct cqli_eval *eval,
                            struct cql_value *out)
{
    BASE_ASSERT(index < a->count);
    return cqli_eval(a->exprs[index], eval, a, out);
}

/* Preparing. */

#define OF(name, op)                                                                               \
    {                                                                                              \
        name, CQLI_FN_AGGREGATE, NULL, BASE_TYPE_BIGINT, 1, {0}, op                                \
    }
static const struct cqli_function aggregates[] = {
    OF("count", CQLI_COUNT), OF("min", CQLI_MIN), OF("max", CQLI_MAX),
    OF("sum", CQLI_SUM),     OF("avg", CQLI_AVG),
};

static const struct cqli_function *find(const struct cql_term *call)
{
    for (size_t i = 0; i < BASE_COUNT(aggregates); i++)
        if (base_slice_equal(call->name.name, base_slice_str(aggregates[i].name)))
            return &aggregates[i];
    return NULL;
}

bool cqli_aggregate_is(const struct cql_term *call)
{
    return find(call) != NULL;
}

int cqli_aggregate_prepare(struct cqli_scope *scope, const struct cql_term *call,
                           const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct cqli_function *function = find(call);
    const struct cql_term *arg = call->items;
    char text[CQLI_TERM_TEXT], name[CQLI_TYPE_TEXT];
    const struct base_type *type;
    if (!scope->selection)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Aggregation function are not supported in the where clause");
    if (call->item_count != 1)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Invalid number of arguments in call to function system.%s: 1 required but %u provided",
            function->name, call->item_count);
    if (function->op == CQLI_COUNT &&
        (arg->kind == CQL_TERM_STAR || cqli_literal_is(arg))) /* count(1) counts rows too */
        return cqli_call_make(scope, function, base_type_scalar(BASE_TYPE_BIGINT), NULL, NULL, 0,
                              out);
    int rc = arg->kind == CQL_TERM_STAR ? base_err_set(p->err, BASE_E_INVALID, "only count takes *")
                                        : cqli_term_compatible(scope, arg, &type);
    if (rc != BASE_OK)
        return rc;
    if (!type)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Cannot infer type of argument %s in call to function system.%s: use "
                            "type casts to disambiguate",
                            cqli_term_text(arg, text), function->name);
    if (function->op >= CQLI_SUM && !cqli_type_is_number(type))
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid call to function %s, none of its type signatures match (it "
                            "takes numbers, not %s)",
                            function->name, cqli_type_text_of(type, name));
    return cqli_call_make(scope, function,
                          function->op == CQLI_COUNT ? base_type_scalar(BASE_TYPE_BIGINT) : type,
                          &type, arg, 1, out);
}
