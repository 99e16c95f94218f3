/* Calls: which function a name and its arguments mean, and running it.
 *
 * 1. Among a name's signatures an exact match wins, else the only weak one; with a receiver only
 *    those count whose result it takes. The texts are Cassandra's (FunctionResolver).
 * 2. Names are those of the system keyspace. Those that had another spelling before Cassandra 5
 *    (toDate) are known by both.
 * 3. A function sees nulls only if it says so; of the others an argument that is null makes
 *    null. */
#include "cql/function.h"

#include <stdio.h>

static const struct cqli_signatures *const tables[] = {&cqli_functions_basic, &cqli_functions_time,
                                                       &cqli_functions_math, &cqli_functions_blob};
static const struct cqli_factories *const factory_tables[] = {
    &cqli_factories_basic, &cqli_factories_collection, &cqli_factories_mask,
    &cqli_factories_vector};

/* Names. */

/* Is `name` this function's: as it is spelled, or, where Cassandra 4 had no underscores, without
 * them? */
static bool is_called(const char *spelled, unsigned flags, struct base_slice name)
{
    if (base_slice_equal(base_slice_str(spelled), name))
        return true;
    if (!(flags & CQLI_FN_OLD_NAME))
        return false;
    size_t i = 0;
    for (; *spelled; spelled++) {
        if (*spelled == '_')
            continue;
        if (i >= name.len || name.data[i] != (uint8_t)*spelled)
            return false;
        i++;
    }
    return i == name.len;
}

static const struct cqli_factory *find_factory(struct base_slice name)
{
    for (size_t t = 0; t < BASE_COUNT(factory_tables); t++)
        for (size_t i = 0; i < factory_tables[t]->count; i++)
            if (is_called(factory_tables[t]->items[i].function.name,
                          factory_tables[t]->items[i].function.flags, name))
                return &factory_tables[t]->items[i];
    return NULL;
}

/* The next signature of that name; *table and *at are where to go on. */
static const struct cqli_function *next_signature(struct base_slice name, size_t *table, size_t *at)
{
    for (; *table < BASE_COUNT(tables); ++*table, *at = 0)
        while (*at < tables[*table]->count) {
            const struct cqli_function *f = &tables[*table]->items[(*at)++];
            if (is_called(f->name, f->flags, name))
                return f;
        }
    return NULL;
}

bool cqli_call_takes_receiver(const struct cql_term *term)
{
    BASE_ASSERT(term->kind == CQL_TERM_CALL);
    const struct cqli_factory *factory = find_factory(term->name.name);
    return factory && (factory->function.flags & CQLI_FN_RECEIVER);
}

/* Arguments. */

/* Where an argument goes: "arg0(system.to_date)". */
static int argument_receiver(struct cqli_prepare *p, const char *function, uint32_t i,
                             const struct base_type *type, struct cqli_receiver *out)
{
    size_t len = strlen(function) + 32;
    char *text = base_arena_alloc(p->arena, len);
    if (!text)
        return cqli_prepare_no_memory(p);
    *out = (struct cqli_receiver){
        base_slice(text, (size_t)snprintf(text, len, "arg%u(system.%s)", i, function)), type};
    return BASE_OK;
}

int cqli_call_make(struct cqli_scope *scope, const struct cqli_function *function,
                   const struct base_type *result, const struct base_type *const *arg_types,
                   const struct cql_term *arg, uint32_t arg_count, const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    struct cqli_expr *expr =
        cqli_expr_new(p, function->flags & CQLI_FN_AGGREGATE ? CQLI_EXPR_AGGREGATE : CQLI_EXPR_CALL,
                      result, arg_count);
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->function = function;
    expr->table = p->table;
    for (uint32_t i = 0; i < arg_count; i++, arg = arg->next) {
        struct cqli_receiver to;
        BASE_ASSERT(arg);
        int rc = argument_receiver(p, function->name, i, arg_types[i], &to);
        if (rc == BASE_OK)
            rc = cqli_term_prepare(scope, arg, &to, &expr->items[i]);
        if (rc != BASE_OK)
            return rc;
        if (expr->kind == CQLI_EXPR_AGGREGATE && expr->items[i]->has_aggregate)
            return base_err_set(
                p->err, BASE_E_INVALID,
                "aggregate functions cannot be used as arguments of aggregate functions");
    }
    return cqli_expr_finish(p, expr, out);
}

/* Signatures. */

static int put_signature(const struct cqli_function *f, bool first, struct base_buf *out)
{
    char text[CQLI_TYPE_TEXT];
    int rc = base_buf_printf(out, "%ssystem.%s : (", first ? "" : ", ", f->name);
    for (uint32_t i = 0; rc == BASE_OK && i < f->arg_count; i++)
        rc = base_buf_printf(out, "%s%s", i ? ", " : "",
                             cqli_type_text_of(base_type_scalar(f->args[i]), text));
    return rc == BASE_OK ? base_buf_printf(out, ") -> %s",
                                           cqli_type_text_of(base_type_scalar(f->result), text))
                         : rc;
}

static int match_signature(struct cqli_scope *scope, const struct cqli_function *f,
                           const struct cql_term *call, const struct cqli_receiver *to,
                           enum cqli_match *out)
{
    *out = CQLI_MATCH_NOT;
    if (f->arg_count != call->item_count ||
        (to && cqli_type_match(to->type, base_type_scalar(f->result)) == CQLI_MATCH_NOT))
        return BASE_OK;
    enum cqli_match least = CQLI_MATCH_EXACT;
    uint32_t i = 0;
    for (const struct cql_term *arg = call->items; arg; arg = arg->next, i++) {
        enum cqli_match match;
        int rc = cqli_term_match(scope, arg, base_type_scalar(f->args[i]), &match);
        if (rc != BASE_OK || match == CQLI_MATCH_NOT)
            return rc;
        least = match < least ? match : least;
    }
    *out = least;
    return BASE_OK;
}

/* One signature alone: then the message can name the argument. */
static int check_only(struct cqli_scope *scope, const struct cqli_function *f,
                      const struct cql_term *call)
{
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    uint32_t i = 0;
    if (f->arg_count != call->item_count)
        return base_err_set(scope->p->err, BASE_E_INVALID,
                            "Invalid number of arguments in call to function system.%s: %u "
                            "required but %u provided",
                            f->name, f->arg_count, call->item_count);
    for (const struct cql_term *arg = call->items; arg; arg = arg->next, i++) {
        enum cqli_match match;
        int rc = cqli_term_match(scope, arg, base_type_scalar(f->args[i]), &match);
        if (rc != BASE_OK)
            return rc;
        if (match == CQLI_MATCH_NOT)
            return base_err_set(
                scope->p->err, BASE_E_INVALID,
                "Type error: %s cannot be passed as argument %u of function system.%s of type %s",
                cqli_term_text(arg, text), i, f->name,
                cqli_type_text_of(base_type_scalar(f->args[i]), type));
    }
    return BASE_OK;
}

/* None or several of a name's signatures fit: say which there are. */
static int refuse_call(struct cqli_scope *scope, const struct cql_term *call,
                       const struct cqli_receiver *to, bool ambiguous)
{
    struct base_buf known;
    size_t table = 0, at = 0;
    bool first = true;
    base_buf_init(&known, 1 << 20);
    for (const struct cqli_function *f; (f = next_signature(call->name.name, &table, &at));) {
        enum cqli_match match = CQLI_MATCH_WEAK;
        int rc = ambiguous ? match_signature(scope, f, call, to, &match) : BASE_OK;
        if (rc == BASE_OK && match != CQLI_MATCH_NOT)
            rc = put_signature(f, first, &known);
        first = first && match == CQLI_MATCH_NOT;
        if (rc != BASE_OK)
            break; /* the list is shorter then */
    }
    base_err_set(scope->p->err, BASE_E_INVALID,
                 ambiguous ? "Ambiguous call to function %.*s (can be matched by following "
                             "signatures: %.*s): use type hint to disambiguate, example '(int) ?'"
                           : "Invalid call to function %.*s, none of its type signatures match "
                             "(known type signatures: %.*s)",
                 BASE_SLICE_ARG(call->name.name), (int)known.len, (const char *)known.data);
    base_buf_fini(&known);
    return BASE_E_INVALID;
}

/* *out NULL: nothing is called so. */
static int resolve(struct cqli_scope *scope, const struct cql_term *call,
                   const struct cqli_receiver *to, const struct cqli_function **out)
{
    const struct cqli_function *weak = NULL, *only = NULL;
    size_t table = 0, at = 0, count = 0;
    bool several = false;
    *out = NULL;
    for (const struct cqli_function *f; (f = next_signature(call->name.name, &table, &at)); count++)
        only = f;
    if (count <= 1) {
        *out = only;
        return only ? check_only(scope, only, call) : BASE_OK;
    }
    table = at = 0;
    for (const struct cqli_function *f; (f = next_signature(call->name.name, &table, &at));) {
        enum cqli_match match;
        int rc = match_signature(scope, f, call, to, &match);
        if (rc != BASE_OK)
            return rc;
        if (match == CQLI_MATCH_EXACT) {
            *out = f;
            return BASE_OK;
        }
        several = several || (match == CQLI_MATCH_WEAK && weak);
        if (match == CQLI_MATCH_WEAK && !weak)
            weak = f;
    }
    if (!weak || several)
        return refuse_call(scope, call, to, several);
    *out = weak;
    return BASE_OK;
}

/* Factories. */

static int prepare_factory(struct cqli_scope *scope, const struct cqli_factory *factory,
                           const struct cql_term *call, const struct cqli_receiver *to,
                           const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct base_type **types =
                               base_arena_zalloc(p->arena, (call->item_count + 1) * sizeof *types),
                           *result = NULL;
    uint32_t i = 0;
    if (!types)
        return cqli_prepare_no_memory(p);
    if (call->item_count < factory->arg_min || call->item_count > factory->arg_max)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid number of arguments for function system.%s(%s)",
                            factory->function.name, factory->shape);
    for (const struct cql_term *arg = call->items; arg; arg = arg->next, i++) {
        int rc = cqli_term_compatible(scope, arg, &types[i]);
        if (rc != BASE_OK)
            return rc;
    }
    int rc = factory->infer(scope, factory, call, to, types, &result);
    return rc == BASE_OK ? cqli_call_make(scope, &factory->function, result, types, call->items,
                                          call->item_count, out)
                         : rc;
}

int cqli_factory_untyped(struct cqli_scope *scope, const struct cqli_factory *factory,
                         const struct cql_term *call, uint32_t i)
{
    char text[CQLI_TERM_TEXT];
    const struct cql_term *arg = call->items;
    while (i--)
        arg = arg->next;
    return base_err_set(scope->p->err, BASE_E_INVALID,
                        "Cannot infer type of argument %s in call to function system.%s(%s): use "
                        "type casts to disambiguate",
                        cqli_term_text(arg, text), factory->function.name, factory->shape);
}

/* Calls. */

static int prepare_named(struct cqli_scope *scope, const struct cql_term *call,
                         const struct cqli_receiver *to, const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    const struct cqli_function *function = NULL;
    const bool native =
        !call->name.keyspace.len || base_slice_equal(call->name.keyspace, BASE_SLICE_LIT("system"));
    if (native && cqli_row_function_is(call))
        return cqli_row_function_prepare(scope, call, out);
    if (native && cqli_aggregate_is(call))
        return cqli_aggregate_prepare(scope, call, out);
    const struct cqli_factory *factory = native ? find_factory(call->name.name) : NULL;
    if (factory)
        return prepare_factory(scope, factory, call, to, out);
    int rc = native ? resolve(scope, call, to, &function) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    if (!function) {
        const char *dot = call->name.keyspace.len ? "." : "";
        return base_err_set(p->err, BASE_E_INVALID,
                            scope->selection ? "Unknown function '%.*s%s%.*s'"
                                             : "Unknown function %.*s%s%.*s called",
                            BASE_SLICE_ARG(call->name.keyspace), dot,
                            BASE_SLICE_ARG(call->name.name));
    }
    const struct base_type *types[CQLI_FUNCTION_ARGS_MAX];
    for (uint32_t i = 0; i < function->arg_count; i++)
        types[i] = base_type_scalar(function->args[i]);
    return cqli_call_make(scope, function, base_type_scalar(function->result), types, call->items,
                          call->item_count, out);
}

static int check_result(struct cqli_scope *scope, const struct cql_term *term,
                        const struct cqli_receiver *to, const struct cqli_expr *expr)
{
    char from[CQLI_TYPE_TEXT], type[CQLI_TYPE_TEXT];
    if (cqli_type_match(to->type, expr->type) != CQLI_MATCH_NOT)
        return BASE_OK;
    cqli_type_text_of(expr->type, from);
    cqli_type_text_of(to->type, type);
    if (term->kind == CQL_TERM_BINARY)
        return base_err_set(
            scope->p->err, BASE_E_INVALID,
            "Type error: cannot assign result of operation %c (type %s) to %.*s (type %s)",
            term->op, from, BASE_SLICE_ARG(to->name), type);
    struct base_slice name =
        term->kind == CQL_TERM_NEGATE ? BASE_SLICE_LIT("_negate") : term->name.name;
    return base_err_set(
        scope->p->err, BASE_E_INVALID,
        "Type error: cannot assign result of function system.%.*s (type %s) to %.*s (type %s)",
        BASE_SLICE_ARG(name), from, BASE_SLICE_ARG(to->name), type);
}

int cqli_call_prepare(struct cqli_scope *scope, const struct cql_term *term,
                      const struct cqli_receiver *to, const struct cqli_expr **out)
{
    int rc = term->kind == CQL_TERM_CALL   ? prepare_named(scope, term, to, out)
             : term->kind == CQL_TERM_CAST ? cqli_cast_prepare(scope, term, out)
                                           : cqli_operator_prepare(scope, term, to, out);
    return rc == BASE_OK && to ? check_result(scope, term, to, *out) : rc;
}

/* Running. */

bool cqli_value_is_missing(const struct base_type *type, const struct cql_value *value)
{
    if (value->state != CQL_VALUE_SET)
        return true;
    return value->bytes.len == 0 && type->kind != BASE_TYPE_TEXT && type->kind != BASE_TYPE_ASCII &&
           type->kind != BASE_TYPE_BLOB;
}

int cqli_function_failed(struct base_err *err, const char *const *words, size_t count,
                         const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int rc = base_err_set(err, BASE_E_FUNCTION, "%s", text);
    for (size_t i = 0, used = 0; i < count && err && used < sizeof err->function; i++)
        used += (size_t)snprintf(err->function + used, sizeof err->function - used, "%s%s",
                                 i ? " " : "", words[i]);
    return rc;
}

int cqli_function_run(const struct cqli_expr *call, const struct cql_value *args,
                      struct cqli_eval *eval, struct cql_value *out)
{
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (!(call->function->flags & CQLI_FN_NULLS))
        for (uint32_t i = 0; i < call->item_count; i++)
            if (cqli_value_is_missing(call->items[i]->type, &args[i]))
                return BASE_OK;
    int rc = call->function->run(call, args, eval, out);
    if (rc != BASE_OK)
        *out = (struct cql_value){.state = CQL_VALUE_NULL};
    return rc;
}
