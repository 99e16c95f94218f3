/* Terms with a type of their own to prepared trees: columns, their parts, hints. Calls are
 * function.c's.
 *
 * A term either has a type of its own (a column, a call, a hint), is prepared once a scope
 * (cqli_term_own) and then held against what it is for; or it takes the type of what it is for
 * (expr_collection.c). The texts are Cassandra's. */
#include "cql/expr_private.h"

#include <stdio.h>

/* What each term has been prepared to. */

static size_t memo_place(const struct cqli_memo *memo, size_t size, const struct cql_term *term)
{
    size_t at = ((uintptr_t)term >> 4) * 0x9E3779B97F4A7C15u & (size - 1);
    while (memo[at].term && memo[at].term != term)
        at = (at + 1) & (size - 1);
    return at;
}

static const struct cqli_expr *memo_find(const struct cqli_scope *scope,
                                         const struct cql_term *term)
{
    return scope->memo_size ? scope->memo[memo_place(scope->memo, scope->memo_size, term)].expr
                            : NULL;
}

static int memo_put(struct cqli_scope *scope, const struct cql_term *term,
                    const struct cqli_expr *expr)
{
    if (scope->memo_count * 2 >= scope->memo_size) {
        size_t size = scope->memo_size ? scope->memo_size * 2 : 16;
        struct cqli_memo *memo = base_arena_zalloc(scope->p->arena, size * sizeof *memo);
        if (!memo)
            return cqli_prepare_no_memory(scope->p);
        for (size_t i = 0; i < scope->memo_size; i++)
            if (scope->memo[i].term)
                memo[memo_place(memo, size, scope->memo[i].term)] = scope->memo[i];
        scope->memo = memo;
        scope->memo_size = size;
    }
    scope->memo[memo_place(scope->memo, scope->memo_size, term)] = (struct cqli_memo){term, expr};
    scope->memo_count++;
    return BASE_OK;
}

/* Columns and their parts. */

static int prepare_column(struct cqli_scope *scope, const struct cql_term *term,
                          const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    if (!scope->selection || !p->table)
        return base_err_set(p->err, BASE_E_SYNTAX, /* Cassandra's grammar has no columns here */
                            "a value is expected, and '%.*s' is the name of a column",
                            BASE_SLICE_ARG(term->text));
    const struct base_column *column = base_table_column(p->table, term->text);
    if (!column)
        return cqli_undefined_column(p->err, p->table, term->text);
    struct cqli_expr *expr = cqli_expr_new(p, CQLI_EXPR_COLUMN, column->type, 0);
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->column = column;
    return cqli_expr_finish(p, expr, out);
}

static int prepare_field(struct cqli_scope *scope, const struct cql_term *term,
                         const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct cqli_expr *whole;
    char type[CQLI_TYPE_TEXT], text[CQLI_TERM_TEXT];
    int rc = cqli_term_prepare(scope, term->items, NULL, &whole);
    if (rc != BASE_OK)
        return rc;
    if (whole->type->kind != BASE_TYPE_UDT)
        return base_err_set(
            p->err, BASE_E_INVALID, "Invalid field selection: %s of type %s is not a user type",
            cqli_term_text(term->items, text), cqli_type_text_of(whole->type, type));
    uint32_t i = 0;
    while (i < whole->type->param_count &&
           !base_slice_equal(whole->type->field_names[i], term->text))
        i++;
    if (i == whole->type->param_count)
        return base_err_set(p->err, BASE_E_INVALID, "%s of type %s has no field %.*s",
                            cqli_term_text(term->items, text), cqli_type_text_of(whole->type, type),
                            BASE_SLICE_ARG(term->text));
    struct cqli_expr *expr = cqli_expr_new(p, CQLI_EXPR_FIELD, whole->type->params[i], 1);
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->items[0] = whole;
    expr->number = i;
    return cqli_expr_finish(p, expr, out);
}

static bool is_open(const struct cql_term *bound)
{
    return !bound || (bound->kind == CQL_TERM_NULL && !bound->text.len);
}

int cqli_inner_name(struct cqli_prepare *p, const char *what, struct base_slice name,
                    struct base_slice *out)
{
    size_t len = strlen(what) + name.len + 3;
    char *text = base_arena_alloc(p->arena, len);
    if (!text)
        return cqli_prepare_no_memory(p);
    *out = base_slice(text, (size_t)snprintf(text, len, "%s(%.*s)", what, BASE_SLICE_ARG(name)));
    return BASE_OK;
}

static int prepare_part(struct cqli_scope *scope, const struct cql_term *term,
                        const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const bool slice = term->kind == CQL_TERM_SLICE;
    const struct cql_term *from = term->items->next, *upto = slice && from ? from->next : NULL;
    const struct cqli_expr *whole;
    char type_text[CQLI_TYPE_TEXT], text[CQLI_TERM_TEXT];
    int rc = cqli_term_prepare(scope, term->items, NULL, &whole);
    if (rc != BASE_OK)
        return rc;
    const struct base_type *type = whole->type;
    if (type->kind != BASE_TYPE_SET && type->kind != BASE_TYPE_MAP && type->kind != BASE_TYPE_LIST)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid %s selection: %s is of type %s is not a collection",
                            slice ? "slice" : "element", cqli_term_text(term->items, text),
                            cqli_type_text_of(type, type_text));
    if (type->kind == BASE_TYPE_LIST)
        return base_err_set(p->err, BASE_E_INVALID,
                            "%s selection is only allowed on sets and maps, but %s is a list",
                            slice ? "Slice" : "Element", cqli_term_text(term->items, text));
    const struct base_type *result =
        slice ? base_type_freeze(p->arena, type) : type->params[type->kind == BASE_TYPE_MAP];
    struct cqli_expr *expr = result ? cqli_expr_new(p, slice ? CQLI_EXPR_SLICE : CQLI_EXPR_ELEMENT,
                                                    result, slice ? 3 : 2)
                                    : NULL;
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->items[0] = whole;
    struct cqli_receiver key = {.type = type->params[0]};
    rc = cqli_inner_name(p, type->kind == BASE_TYPE_MAP ? "key" : "value",
                         base_slice_str(cqli_term_text(term->items, text)), &key.name);
    if (rc == BASE_OK && (!slice || !is_open(from)))
        rc = cqli_term_prepare(scope, from, &key, &expr->items[1]);
    if (rc == BASE_OK && slice && !is_open(upto))
        rc = cqli_term_prepare(scope, upto, &key, &expr->items[2]);
    return rc == BASE_OK ? cqli_expr_finish(p, expr, out) : rc;
}

/* Hints. */

static const struct base_type *find_type(void *ctx, struct base_slice keyspace,
                                         struct base_slice name)
{
    const struct cqli_prepare *p = ctx;
    if (!keyspace.len)
        keyspace = p->table ? p->table->keyspace : p->context->keyspace;
    const struct base_user_type *found =
        p->context->schema ? base_schema_type(p->context->schema, keyspace, name) : NULL;
    return found ? found->type : NULL;
}

int cqli_term_named_type(struct cqli_scope *scope, struct base_slice text,
                         const struct base_type **out)
{
    const struct base_type_resolver resolver = {find_type, scope->p};
    int rc = base_type_parse(scope->p->arena, text, &resolver, out, scope->p->err);
    if (rc != BASE_OK)
        return rc == BASE_E_NOTFOUND
                   ? base_err_wrap(scope->p->err, BASE_E_INVALID, "type %.*s", BASE_SLICE_ARG(text))
                   : rc;
    if (!(*out = base_type_freeze(scope->p->arena, *out))) /* values know no other */
        return cqli_prepare_no_memory(scope->p);
    return BASE_OK;
}

static int prepare_hint(struct cqli_scope *scope, const struct cql_term *term,
                        const struct cqli_expr **out)
{
    struct cqli_receiver to;
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    enum cqli_match match;
    const struct cqli_expr *inner;
    int rc = cqli_term_named_type(scope, term->text, &to.type);
    if (rc == BASE_OK)
        rc = cqli_term_match(scope, term->items, to.type, &match);
    if (rc != BASE_OK)
        return rc;
    if (match == CQLI_MATCH_NOT)
        return base_err_set(scope->p->err, BASE_E_INVALID, "Cannot cast value %s to type %s",
                            cqli_term_text(term->items, text), cqli_type_text_of(to.type, type));
    struct base_buf name;
    base_buf_init(&name, CQL_TEXT_LEN_MAX * 4u);
    rc =
        scope->selection ? base_buf_printf(&name, "[selection]") : cqli_term_put(term, NULL, &name);
    if (rc == BASE_OK)
        rc = base_arena_copy(scope->p->arena, base_buf_view(&name), &to.name);
    base_buf_fini(&name);
    if (rc != BASE_OK)
        return cqli_prepare_no_memory(scope->p);
    rc = cqli_term_prepare(scope, term->items, &to, &inner);
    if (rc != BASE_OK || cqli_type_same(inner->type, to.type)) {
        *out = inner;
        return rc;
    }
    struct cqli_expr *expr = cqli_expr_new(scope->p, CQLI_EXPR_AS, to.type, 1);
    if (!expr)
        return cqli_prepare_no_memory(scope->p);
    expr->items[0] = inner;
    return cqli_expr_finish(scope->p, expr, out);
}

/* Terms with a type of their own. */

bool cqli_term_has_own(const struct cql_term *term)
{
    switch (term->kind) {
    case CQL_TERM_COLUMN:
    case CQL_TERM_FIELD:
    case CQL_TERM_ELEMENT:
    case CQL_TERM_SLICE:
    case CQL_TERM_HINT:
    case CQL_TERM_CAST:
    case CQL_TERM_CALL:
    case CQL_TERM_BINARY:
    case CQL_TERM_NEGATE:
        return true;
    default:
        return false;
    }
}

int cqli_term_own(struct cqli_scope *scope, const struct cql_term *term,
                  const struct cqli_expr **out)
{
    BASE_ASSERT(cqli_term_has_own(term));
    int rc;
    if ((*out = memo_find(scope, term)))
        return BASE_OK;
    switch (term->kind) {
    case CQL_TERM_COLUMN:
        rc = prepare_column(scope, term, out);
        break;
    case CQL_TERM_FIELD:
        rc = prepare_field(scope, term, out);
        break;
    case CQL_TERM_ELEMENT:
    case CQL_TERM_SLICE:
        rc = prepare_part(scope, term, out);
        break;
    case CQL_TERM_HINT:
        rc = prepare_hint(scope, term, out);
        break;
    default:
        rc = cqli_call_prepare(scope, term, NULL, out);
        break;
    }
    return rc == BASE_OK ? memo_put(scope, term, *out) : rc;
}
