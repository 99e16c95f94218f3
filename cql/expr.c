/* Expressions: the doors of cql/expr.h, and what all prepared nodes have in common. */
#include "cql/expr_private.h"

#include "cql/function.h"

/* Nodes. */

struct cqli_expr *cqli_expr_new(struct cqli_prepare *p, enum cqli_expr_kind kind,
                                const struct base_type *type, uint32_t item_count)
{
    struct cqli_expr *expr = base_arena_zalloc(p->arena, sizeof *expr);
    if (!expr)
        return NULL;
    if (item_count &&
        !(expr->items = base_arena_zalloc(p->arena, item_count * sizeof *expr->items)))
        return NULL;
    expr->kind = kind;
    expr->type = type;
    expr->item_count = item_count;
    return expr;
}

static void set_flags(struct cqli_expr *expr)
{
    expr->is_constant = expr->kind == CQLI_EXPR_CONSTANT;
    expr->has_aggregate = expr->kind == CQLI_EXPR_AGGREGATE;
    expr->reads_nothing =
        !expr->column && expr->kind != CQLI_EXPR_BIND && expr->kind != CQLI_EXPR_AGGREGATE;
    expr->pure = !expr->function || !(expr->function->flags & CQLI_FN_IMPURE);
    for (uint32_t i = 0; i < expr->item_count; i++) {
        const struct cqli_expr *item = expr->items[i];
        if (!item)
            continue;
        expr->has_aggregate = expr->has_aggregate || item->has_aggregate;
        expr->reads_nothing = expr->reads_nothing && item->reads_nothing;
        expr->pure = expr->pure && item->pure;
    }
}

int cqli_expr_finish(struct cqli_prepare *p, struct cqli_expr *expr, const struct cqli_expr **out)
{
    BASE_ASSERT(expr->type);
    set_flags(expr);
    *out = expr;
    if (expr->is_constant || !expr->reads_nothing || !expr->pure)
        return BASE_OK;
    /* Worth the same each time: computed now, and what is wrong with it is said now. */
    struct cqli_eval eval = {.arena = p->arena, .err = p->err};
    struct cqli_expr *constant = cqli_expr_new(p, CQLI_EXPR_CONSTANT, expr->type, 0);
    if (!constant)
        return cqli_prepare_no_memory(p);
    int rc = cqli_eval(expr, &eval, NULL, &constant->value);
    if (rc != BASE_OK)
        return rc;
    set_flags(constant);
    *out = constant;
    return BASE_OK;
}

/* Preparing. */

int cqli_expr_prepare(struct cqli_prepare *p, const struct cql_term *term,
                      struct base_slice receiver, const struct base_type *type,
                      struct cqli_expr **out)
{
    struct cqli_scope scope = {.p = p};
    const struct cqli_receiver to = {receiver, type};
    const struct cqli_expr *expr = NULL;
    int rc = cqli_term_prepare(&scope, term, &to, &expr);
    *out = rc == BASE_OK ? (struct cqli_expr *)(uintptr_t)expr : NULL;
    return rc;
}

int cqli_expr_prepare_selector(struct cqli_prepare *p, const struct cql_term *term,
                               struct cqli_expr **out)
{
    struct cqli_scope scope = {.p = p, .selection = true};
    const struct cqli_expr *expr = NULL;
    int rc = cqli_term_prepare(&scope, term, NULL, &expr);
    *out = rc == BASE_OK ? (struct cqli_expr *)(uintptr_t)expr : NULL;
    return rc;
}

/* Asking. */

const struct base_type *cqli_expr_type(const struct cqli_expr *expr)
{
    return expr->type;
}

bool cqli_expr_has_aggregate(const struct cqli_expr *expr)
{
    return expr->has_aggregate;
}

int cqli_expr_bind(const struct cqli_expr *expr)
{
    return expr->kind == CQLI_EXPR_BIND ? (int)expr->number : -1;
}

bool cqli_expr_is_constant(const struct cqli_expr *expr)
{
    return expr->is_constant;
}

void cqli_expr_columns(const struct cqli_expr *expr,
                       void (*each)(void *ctx, const struct base_column *column), void *ctx)
{
    if (expr->column)
        each(ctx, expr->column);
    for (uint32_t i = 0; i < expr->item_count; i++)
        if (expr->items[i])
            cqli_expr_columns(expr->items[i], each, ctx);
}
