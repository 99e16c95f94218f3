/* Terms that take the type of what they are for: literals, markers, null, and collections of terms.
 *
 * A collection is judged element by element, so that a message names the element. {} is a map and,
 * for a set, a set; (x) is x unless a tuple is wanted; [x, y] is a list or a vector, as what it is
 * for. */
#include "cql/expr_private.h"

#include <stdio.h>

/* Matching. */

/* Numbers written out, and arithmetic with nothing else: their type may still be chosen. */
static bool is_flexible(const struct cql_term *term)
{
    if (term->kind == CQL_TERM_INTEGER || term->kind == CQL_TERM_FLOAT)
        return true;
    if (term->kind == CQL_TERM_TUPLE && term->item_count == 1)
        return is_flexible(term->items);
    if (term->kind == CQL_TERM_NEGATE)
        return is_flexible(term->items);
    return term->kind == CQL_TERM_BINARY && is_flexible(term->items) &&
           is_flexible(term->items->next);
}

bool cqli_term_is_flexible(const struct cql_term *term)
{
    return !cqli_literal_is(term) && is_flexible(term);
}

static bool leaves_fit(const struct cql_term *term, const struct base_type *type)
{
    if (cqli_literal_is(term))
        return cqli_literal_match(term, type) != CQLI_MATCH_NOT;
    for (const struct cql_term *item = term->items; item; item = item->next)
        if (!leaves_fit(item, type))
            return false;
    return true;
}

bool cqli_term_flexible_fits(const struct cql_term *term, const struct base_type *type)
{
    return cqli_type_is_number(type) && is_flexible(term) && leaves_fit(term, type);
}

static bool takes_items(const struct cql_term *term, const struct base_type *type)
{
    switch (term->kind) {
    case CQL_TERM_MAP:
        return type->kind == BASE_TYPE_MAP || (type->kind == BASE_TYPE_SET && !term->items);
    case CQL_TERM_SET:
        return type->kind == BASE_TYPE_SET;
    case CQL_TERM_LIST:
        return type->kind == BASE_TYPE_LIST ||
               (type->kind == BASE_TYPE_VECTOR && term->item_count == type->dimension);
    case CQL_TERM_TUPLE:
        return type->kind == BASE_TYPE_TUPLE && term->item_count <= type->param_count;
    case CQL_TERM_UDT:
        return type->kind == BASE_TYPE_UDT;
    default:
        return false;
    }
}

static uint32_t find_field(const struct base_type *type, struct base_slice name)
{
    uint32_t i = 0;
    while (i < type->param_count && !base_slice_equal(type->field_names[i], name))
        i++;
    return i;
}

/* Which of the type's parameters the i-th item is of; of a UDT param_count when there is no such
 * field. */
static uint32_t item_index(const struct base_type *type, const struct cql_term *item, uint32_t i)
{
    switch (type->kind) {
    case BASE_TYPE_UDT:
        return find_field(type, item->field);
    case BASE_TYPE_TUPLE:
        return i;
    case BASE_TYPE_MAP:
        return i & 1;
    default:
        return 0;
    }
}

static int match_items(struct cqli_scope *scope, const struct cql_term *term,
                       const struct base_type *type, enum cqli_match *out)
{
    uint32_t i = 0;
    *out = CQLI_MATCH_NOT;
    if (!takes_items(term, type))
        return BASE_OK;
    enum cqli_match least = CQLI_MATCH_EXACT;
    for (const struct cql_term *item = term->items; item; item = item->next, i++) {
        const uint32_t at = item_index(type, item, i);
        enum cqli_match match = CQLI_MATCH_NOT;
        int rc = at < type->param_count ? cqli_term_match(scope, item, type->params[at], &match)
                                        : BASE_OK;
        if (rc != BASE_OK || match == CQLI_MATCH_NOT)
            return rc;
        least = match < least ? match : least;
    }
    *out = least;
    return BASE_OK;
}

/* {a: x} in a selector is a map with the column a's value for a key, where a map is wanted: as such
 * a term. */
static int map_of_columns(struct cqli_scope *scope, const struct cql_term *term,
                          const struct cql_term **out)
{
    struct cql_term *terms = base_arena_zalloc(scope->p->arena,
                                               (2 * term->item_count + 1) * sizeof *terms),
                    *at = terms + 1;
    if (!terms)
        return cqli_prepare_no_memory(scope->p);
    *terms = *term;
    terms->kind = CQL_TERM_MAP;
    terms->items = at;
    terms->item_count = 2 * term->item_count;
    for (const struct cql_term *item = term->items; item; item = item->next, at += 2) {
        at[0] = (struct cql_term){.kind = CQL_TERM_COLUMN, .text = item->field, .next = &at[1]};
        at[1] = *item;
        at[1].next = item->next ? &at[2] : NULL;
    }
    *out = terms;
    return BASE_OK;
}

static bool is_map_of_columns(const struct cqli_scope *scope, const struct cql_term *term,
                              const struct base_type *type)
{
    return scope->selection && term->kind == CQL_TERM_UDT && type->kind == BASE_TYPE_MAP;
}

int cqli_term_match(struct cqli_scope *scope, const struct cql_term *term,
                    const struct base_type *type, enum cqli_match *out)
{
    *out = CQLI_MATCH_NOT;
    if (cqli_literal_is(term)) {
        *out = cqli_literal_match(term, type);
        return BASE_OK;
    }
    if (term->kind == CQL_TERM_NULL || term->kind == CQL_TERM_BIND) {
        *out = term->kind == CQL_TERM_NULL && type->kind == BASE_TYPE_COUNTER ? CQLI_MATCH_NOT
                                                                              : CQLI_MATCH_WEAK;
        return BASE_OK;
    }
    if (term->kind == CQL_TERM_TUPLE && term->item_count == 1 && type->kind != BASE_TYPE_TUPLE)
        return cqli_term_match(scope, term->items, type, out);
    if (is_map_of_columns(scope, term, type)) {
        int rc = map_of_columns(scope, term, &term);
        if (rc != BASE_OK)
            return rc;
    }
    if (!cqli_term_has_own(term))
        return match_items(scope, term, type, out);
    if (term->kind == CQL_TERM_CALL && cqli_call_takes_receiver(term)) {
        *out = CQLI_MATCH_WEAK;
        return BASE_OK;
    }
    const struct cqli_expr *own;
    int rc = cqli_term_own(scope, term, &own);
    if (rc != BASE_OK)
        return rc;
    *out = cqli_type_match(type, own->type);
    if (*out == CQLI_MATCH_NOT && cqli_term_flexible_fits(term, type))
        *out = CQLI_MATCH_WEAK;
    return BASE_OK;
}

/* Types. */

/* The first type known among the items from `item` on, each `step`-th. */
static int first_type(struct cqli_scope *scope, const struct cql_term *item, unsigned step,
                      const struct base_type **out)
{
    int rc = BASE_OK;
    *out = NULL;
    while (item && rc == BASE_OK && !*out) {
        rc = cqli_term_type(scope, item, out);
        for (unsigned i = 0; item && i < step; i++)
            item = item->next;
    }
    return rc;
}

static int tuple_type(struct cqli_scope *scope, const struct cql_term *term,
                      const struct base_type **out)
{
    const struct base_type **params =
        base_arena_zalloc(scope->p->arena, (term->item_count + 1) * sizeof *params);
    uint32_t i = 0;
    if (!params)
        return cqli_prepare_no_memory(scope->p);
    if (term->depth > BASE_TYPE_DEPTH_MAX)
        return BASE_OK;
    for (const struct cql_term *item = term->items; item; item = item->next, i++) {
        int rc = cqli_term_type(scope, item, &params[i]);
        if (rc != BASE_OK || !params[i])
            return rc;
    }
    *out = cqli_type_collection(scope->p->arena, BASE_TYPE_TUPLE, params, i);
    return *out ? BASE_OK : cqli_prepare_no_memory(scope->p);
}

int cqli_term_type(struct cqli_scope *scope, const struct cql_term *term,
                   const struct base_type **out)
{
    const struct base_type *params[2] = {NULL, NULL};
    const struct cqli_expr *own;
    const bool map = term->kind == CQL_TERM_MAP;
    *out = NULL;
    if (term->kind == CQL_TERM_TUPLE)
        return term->item_count == 1 ? cqli_term_type(scope, term->items, out)
                                     : tuple_type(scope, term, out);
    if (cqli_term_has_own(term)) {
        if (term->kind == CQL_TERM_CALL && cqli_call_takes_receiver(term))
            return BASE_OK;
        int rc = cqli_term_own(scope, term, &own);
        *out = rc == BASE_OK ? own->type : NULL;
        return rc;
    }
    if ((!map && term->kind != CQL_TERM_LIST && term->kind != CQL_TERM_SET) ||
        term->depth > BASE_TYPE_DEPTH_MAX)
        return BASE_OK; /* no type is that deep */
    int rc = first_type(scope, term->items, map ? 2 : 1, &params[0]);
    if (rc == BASE_OK && map && term->items)
        rc = first_type(scope, term->items->next, 2, &params[1]);
    if (rc != BASE_OK || !params[0] || (map && !params[1]))
        return rc;
    *out = cqli_type_collection(scope->p->arena,
                                map                           ? BASE_TYPE_MAP
                                : term->kind == CQL_TERM_LIST ? BASE_TYPE_LIST
                                                              : BASE_TYPE_SET,
                                params, map ? 2 : 1);
    return *out ? BASE_OK : cqli_prepare_no_memory(scope->p);
}

/* Of types that a literal may prefer: which holds more. */
static int rank(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_INT:
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TIMEUUID:
        return 1;
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_UUID:
        return 2;
    case BASE_TYPE_VARINT:
        return 3;
    case BASE_TYPE_DOUBLE:
        return 4;
    default:
        return 5;
    }
}

/* Is a type what all these items could be of? */
static int fits_all(struct cqli_scope *scope, const struct cql_term *item, unsigned step,
                    const struct base_type *type, bool *out)
{
    int rc = BASE_OK;
    *out = true;
    while (item && rc == BASE_OK && *out) {
        enum cqli_match match;
        rc = cqli_term_match(scope, item, type, &match);
        const struct base_type *preferred = cqli_literal_preferred(item);
        *out = rc == BASE_OK && match != CQLI_MATCH_NOT &&
               (!preferred || rank(preferred) <= rank(type));
        for (unsigned i = 0; item && i < step; i++)
            item = item->next;
    }
    return rc;
}

/* The first compatible type of the items, each `step`-th, that is one for all of them. A few are
 * tried: items are many. */
static int common_type(struct cqli_scope *scope, const struct cql_term *items, unsigned step,
                       const struct base_type **out)
{
    const struct base_type *type = NULL, *failed[6];
    size_t failed_count = 0;
    int rc = BASE_OK;
    bool fits = false;
    *out = NULL;
    for (const struct cql_term *item = items;
         item && rc == BASE_OK && !fits && failed_count < BASE_COUNT(failed);) {
        rc = cqli_term_compatible(scope, item, &type);
        bool again = !type;
        for (size_t i = 0; i < failed_count && rc == BASE_OK; i++)
            again = again || cqli_type_same(failed[i], type);
        if (rc == BASE_OK && !again) {
            rc = fits_all(scope, items, step, type, &fits);
            failed[failed_count++] = type;
        }
        for (unsigned i = 0; item && i < step; i++)
            item = item->next;
    }
    *out = rc == BASE_OK && fits ? type : NULL;
    return rc;
}

int cqli_term_compatible(struct cqli_scope *scope, const struct cql_term *term,
                         const struct base_type **out)
{
    const struct base_type *params[2] = {NULL, NULL};
    const bool map = term->kind == CQL_TERM_MAP;
    if (term->kind == CQL_TERM_TUPLE && term->item_count == 1)
        return cqli_term_compatible(scope, term->items, out);
    if ((*out = cqli_literal_preferred(term)))
        return BASE_OK;
    if ((!map && term->kind != CQL_TERM_LIST && term->kind != CQL_TERM_SET) || !term->items ||
        term->depth > BASE_TYPE_DEPTH_MAX)
        return cqli_term_type(scope, term, out);
    int rc = common_type(scope, term->items, map ? 2 : 1, &params[0]);
    if (rc == BASE_OK && map)
        rc = common_type(scope, term->items->next, 2, &params[1]);
    if (rc != BASE_OK || !params[0] || (map && !params[1]))
        return rc;
    *out = cqli_type_collection(scope->p->arena,
                                map                           ? BASE_TYPE_MAP
                                : term->kind == CQL_TERM_LIST ? BASE_TYPE_LIST
                                                              : BASE_TYPE_SET,
                                params, map ? 2 : 1);
    return *out ? BASE_OK : cqli_prepare_no_memory(scope->p);
}

/* Preparing. */

static const char *literal_name(const struct cql_term *term, const struct base_type *type)
{
    switch (term->kind) {
    case CQL_TERM_MAP:
        return term->items ? "map" : "set"; /* as Cassandra calls {} */
    case CQL_TERM_SET:
        return "set";
    case CQL_TERM_TUPLE:
        return "tuple type";
    case CQL_TERM_UDT:
        return "user type";
    default:
        return type->kind == BASE_TYPE_VECTOR ? "vector" : "list";
    }
}

static int refuse_items(struct cqli_scope *scope, const struct cql_term *term,
                        const struct cqli_receiver *to)
{
    char type[CQLI_TYPE_TEXT];
    struct base_err *err = scope->p->err;
    cqli_type_text_of(to->type, type);
    if (term->kind == CQL_TERM_TUPLE && to->type->kind == BASE_TYPE_TUPLE)
        return base_err_set(
            err, BASE_E_INVALID,
            "Invalid tuple literal for %.*s: too many elements. Type %s expects %u but got %u",
            BASE_SLICE_ARG(to->name), type, to->type->param_count, term->item_count);
    if (term->kind == CQL_TERM_LIST && to->type->kind == BASE_TYPE_VECTOR)
        return base_err_set(
            err, BASE_E_INVALID,
            "Invalid vector literal for %.*s of type %s; expected %u elements, but given %u",
            BASE_SLICE_ARG(to->name), type, to->type->dimension, term->item_count);
    if (term->kind == CQL_TERM_LIST)
        return base_err_set(err, BASE_E_INVALID,
                            "Unexpected receiver type '%s'; only list and vector are expected",
                            type);
    return base_err_set(err, BASE_E_INVALID, "Invalid %s literal for %.*s of type %s",
                        literal_name(term, to->type), BASE_SLICE_ARG(to->name), type);
}

/* An item does not fit where it stands. */
static int refuse_item(struct cqli_scope *scope, const struct cql_term *item, uint32_t i,
                       const struct cqli_receiver *to, const struct base_type *wanted)
{
    char type[CQLI_TYPE_TEXT], text[CQLI_TERM_TEXT];
    struct base_err *err = scope->p->err;
    cqli_type_text_of(wanted, type);
    switch (to->type->kind) {
    case BASE_TYPE_TUPLE:
        return base_err_set(err, BASE_E_INVALID,
                            "Invalid tuple literal for %.*s: component %u is not of type %s",
                            BASE_SLICE_ARG(to->name), i, type);
    case BASE_TYPE_UDT:
        return base_err_set(err, BASE_E_INVALID,
                            "Invalid user type literal for %.*s: field %.*s is not of type %s",
                            BASE_SLICE_ARG(to->name), BASE_SLICE_ARG(item->field), type);
    case BASE_TYPE_MAP:
        return base_err_set(
            err, BASE_E_INVALID, "Invalid map literal for %.*s: %s %s is not of type %s",
            BASE_SLICE_ARG(to->name), i % 2 ? "value" : "key", cqli_term_text(item, text), type);
    default:
        return base_err_set(err, BASE_E_INVALID,
                            "Invalid %s literal for %.*s: value %s is not of type %s",
                            to->type->kind == BASE_TYPE_SET      ? "set"
                            : to->type->kind == BASE_TYPE_VECTOR ? "vector"
                                                                 : "list",
                            BASE_SLICE_ARG(to->name), cqli_term_text(item, text), type);
    }
}

static int item_name(struct cqli_scope *scope, const struct cql_term *item, uint32_t i,
                     const struct cqli_receiver *to, struct base_slice *out)
{
    struct cqli_prepare *p = scope->p;
    if (to->type->kind != BASE_TYPE_TUPLE && to->type->kind != BASE_TYPE_UDT)
        return cqli_inner_name(p, to->type->kind == BASE_TYPE_MAP && i % 2 == 0 ? "key" : "value",
                               to->name, out);
    size_t len = to->name.len + item->field.len + 16;
    char *text = base_arena_alloc(p->arena, len);
    if (!text)
        return cqli_prepare_no_memory(p);
    int n = to->type->kind == BASE_TYPE_UDT
                ? snprintf(text, len, "%.*s.%.*s", BASE_SLICE_ARG(to->name),
                           BASE_SLICE_ARG(item->field))
                : snprintf(text, len, "%.*s[%u]", BASE_SLICE_ARG(to->name), i);
    *out = base_slice(text, (size_t)n);
    return BASE_OK;
}

static int prepare_items(struct cqli_scope *scope, const struct cql_term *term,
                         const struct cqli_receiver *to, const struct cqli_expr **out)
{
    const struct base_type *type = to->type;
    const bool udt = type->kind == BASE_TYPE_UDT;
    char text[CQLI_TYPE_TEXT];
    if (!takes_items(term, type))
        return refuse_items(scope, term, to);
    struct cqli_expr *expr = cqli_expr_new(scope->p, CQLI_EXPR_COLLECTION, type,
                                           udt ? type->param_count : term->item_count);
    struct cqli_receiver inner[2] = {{{0}, NULL}, {{0}, NULL}};
    if (!expr)
        return cqli_prepare_no_memory(scope->p);
    uint32_t i = 0;
    for (const struct cql_term *item = term->items; item; item = item->next, i++) {
        const uint32_t at = item_index(type, item, i);
        if (at >= type->param_count)
            return base_err_set(scope->p->err, BASE_E_INVALID,
                                "Unknown field '%.*s' in value of user defined type %s",
                                BASE_SLICE_ARG(item->field), cqli_type_text_of(type, text));
        struct cqli_receiver *receiver = &inner[type->kind == BASE_TYPE_MAP ? at : 0];
        enum cqli_match match = CQLI_MATCH_WEAK;
        int rc = BASE_OK;
        if (!receiver->type || type->kind == BASE_TYPE_TUPLE || udt)
            rc = item_name(scope, item, i, to, &receiver->name);
        receiver->type = type->params[at];
        if (rc == BASE_OK && (cqli_literal_is(item) ||
                              !cqli_term_has_own(item))) /* calls are judged with their receiver */
            rc = cqli_term_match(scope, item, receiver->type, &match);
        if (rc == BASE_OK && match == CQLI_MATCH_NOT)
            rc = refuse_item(scope, item, i, to, receiver->type);
        if (rc == BASE_OK)
            rc = cqli_term_prepare(scope, item, receiver, &expr->items[udt ? at : i]);
        if (rc != BASE_OK)
            return rc;
    }
    return cqli_expr_finish(scope->p, expr, out);
}

static int prepare_bind(struct cqli_scope *scope, const struct cql_term *term,
                        const struct cqli_receiver *to, const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    BASE_ASSERT(term->number < p->bind_count);
    struct cqli_expr *expr = cqli_expr_new(p, CQLI_EXPR_BIND, to->type, 0);
    if (!expr)
        return cqli_prepare_no_memory(p);
    expr->number = term->number;
    struct cql_column_spec *spec = &p->binds[term->number];
    if (!spec->type)
        *spec = (struct cql_column_spec){
            .keyspace = p->table ? p->table->keyspace : p->context->keyspace,
            .table = p->table ? p->table->name : (struct base_slice){0},
            .name = term->text.len ? term->text : to->name,
            .type = to->type};
    else if (!cqli_type_same(spec->type, to->type))
        return base_err_set(p->err, BASE_E_INVALID,
                            "the marker :%.*s stands for values of two types",
                            BASE_SLICE_ARG(term->text));
    return cqli_expr_finish(p, expr, out);
}

static int prepare_constant(struct cqli_scope *scope, const struct cql_term *term,
                            const struct cqli_receiver *to, const struct cqli_expr **out)
{
    struct cqli_prepare *p = scope->p;
    struct cqli_expr *expr = cqli_expr_new(p, CQLI_EXPR_CONSTANT, to->type, 0);
    if (!expr)
        return cqli_prepare_no_memory(p);
    int rc = BASE_OK;
    if (cqli_literal_is(term))
        rc = cqli_literal_prepare(p, term, to, &expr->value);
    else if (to->type->kind == BASE_TYPE_COUNTER)
        rc = base_err_set(p->err, BASE_E_INVALID,
                          "Invalid null value for counter increment/decrement");
    else
        expr->value.state = CQL_VALUE_NULL;
    return rc == BASE_OK ? cqli_expr_finish(p, expr, out) : rc;
}

/* What has no type of its own and stands for nothing with one. */
static int refuse_untyped(struct cqli_scope *scope, const struct cql_term *term)
{
    char text[CQLI_TERM_TEXT];
    return base_err_set(
        scope->p->err, BASE_E_INVALID,
        "Cannot infer type for term %s in selection clause (try using a cast to force a type)",
        cqli_term_text(term, text));
}

static int prepare_own(struct cqli_scope *scope, const struct cql_term *term,
                       const struct cqli_receiver *to, const struct cqli_expr **out)
{
    const bool call = term->kind == CQL_TERM_CALL || term->kind == CQL_TERM_BINARY ||
                      term->kind == CQL_TERM_NEGATE;
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    if (to && call)
        return cqli_call_prepare(scope, term, to, out);
    int rc = cqli_term_own(scope, term, out);
    if (rc != BASE_OK || !to || cqli_type_match(to->type, (*out)->type) != CQLI_MATCH_NOT)
        return rc;
    return base_err_set(scope->p->err, BASE_E_INVALID, "Cannot assign value %s to %.*s of type %s",
                        cqli_term_text(term, text), BASE_SLICE_ARG(to->name),
                        cqli_type_text_of(to->type, type));
}

int cqli_term_prepare(struct cqli_scope *scope, const struct cql_term *term,
                      const struct cqli_receiver *to, const struct cqli_expr **out)
{
    *out = NULL;
    if (cqli_term_has_own(term))
        return prepare_own(scope, term, to, out);
    if (term->kind == CQL_TERM_TUPLE && term->item_count == 1 &&
        (!to || to->type->kind != BASE_TYPE_TUPLE))
        return cqli_term_prepare(scope, term->items, to, out);
    struct cqli_receiver found = {BASE_SLICE_LIT("[selection]"), NULL};
    if (!to) {
        int rc = cqli_term_type(scope, term, &found.type);
        if (rc != BASE_OK)
            return rc;
        if (!found.type)
            return refuse_untyped(scope, term);
        to = &found;
    }
    if (is_map_of_columns(scope, term, to->type)) {
        int rc = map_of_columns(scope, term, &term);
        if (rc != BASE_OK)
            return rc;
    }
    switch (term->kind) {
    case CQL_TERM_BIND:
        return prepare_bind(scope, term, to, out);
    case CQL_TERM_MAP:
    case CQL_TERM_SET:
    case CQL_TERM_LIST:
    case CQL_TERM_TUPLE:
    case CQL_TERM_UDT:
        return prepare_items(scope, term, to, out);
    case CQL_TERM_WORD:
    case CQL_TERM_STAR:
        return base_err_set(scope->p->err, BASE_E_INVALID, "a value is expected, not %.*s",
                            BASE_SLICE_ARG(term->text));
    default:
        return prepare_constant(scope, term, to, out);
    }
}
