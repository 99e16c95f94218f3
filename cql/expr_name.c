/* A term as text: for messages, and as the name of a result's column.
 *
 * The forms are Cassandra's: a function's column carries its keyspace ("system.max(v)"), count(*)
 * is "count", casts are "cast(v as int)", writetime and ttl stand alone. A message shows a function
 * as it was written. */
#include "cql/expr_private.h"

#include <stdio.h>

static int put(struct base_buf *out, const char *text)
{
    return base_buf_put(out, text, strlen(text));
}

static bool is_named(const struct cql_term *call, const char *name)
{
    return base_slice_equal(call->name.name, base_slice_str(name));
}

static int put_items(const struct cql_term *term, const char *open, const char *close,
                     struct cqli_prepare *column, struct base_buf *out)
{
    uint32_t i = 0;
    int rc = put(out, open);
    for (const struct cql_term *item = term->items; item && rc == BASE_OK; item = item->next, i++) {
        const bool is_value = term->kind == CQL_TERM_MAP && i % 2;
        if (i)
            rc = put(out, is_value ? ": " : ", ");
        if (rc == BASE_OK && term->kind == CQL_TERM_UDT)
            rc = cql_put_identifier(item->field, out);
        if (rc == BASE_OK && term->kind == CQL_TERM_UDT)
            rc = put(out, ": ");
        if (rc == BASE_OK)
            rc = cqli_term_put(item, column, out);
    }
    return rc == BASE_OK ? put(out, close) : rc;
}

/* Names that stand for themselves, not for a function of the system keyspace. */
static bool is_metadata(const struct cql_term *call)
{
    return is_named(call, "writetime") || is_named(call, "maxwritetime") || is_named(call, "ttl");
}

static int put_call(const struct cql_term *call, struct cqli_prepare *column, struct base_buf *out)
{
    const bool star = call->items && call->items->kind == CQL_TERM_STAR;
    const bool constant = call->item_count == 1 && call->items && cqli_literal_is(call->items);
    if (column && is_named(call, "count") && (star || constant))
        return put(out, "count");
    int rc = BASE_OK;
    if (call->name.keyspace.len)
        rc = base_buf_printf(out, "%.*s.", BASE_SLICE_ARG(call->name.keyspace));
    else if (column && !is_metadata(call))
        rc = put(out, "system.");
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out, call->name.name);
    return rc == BASE_OK ? put_items(call, "(", ")", column, out) : rc;
}

/* items[0] and a text around it: "m['a']", "(int)v" */
static int put_around(const char *before, const struct cql_term *first, const char *between,
                      const struct cql_term *second, const char *after, struct cqli_prepare *column,
                      struct base_buf *out)
{
    int rc = put(out, before);
    if (rc == BASE_OK)
        rc = cqli_term_put(first, column, out);
    if (rc == BASE_OK)
        rc = put(out, between);
    if (rc == BASE_OK && second)
        rc = cqli_term_put(second, column, out);
    return rc == BASE_OK ? put(out, after) : rc;
}

static int put_slice(const struct cql_term *term, struct cqli_prepare *column, struct base_buf *out)
{
    const struct cql_term *from = term->items->next, *upto = from ? from->next : NULL;
    const bool open_from = !from || (from->kind == CQL_TERM_NULL && !from->text.len);
    const bool open_upto = !upto || (upto->kind == CQL_TERM_NULL && !upto->text.len);
    int rc = put_around("", term->items, "[", open_from ? NULL : from, "..", column, out);
    if (rc == BASE_OK && !open_upto)
        rc = cqli_term_put(upto, column, out);
    return rc == BASE_OK ? put(out, "]") : rc;
}

static int put_type(const char *before, struct base_slice type, const char *after,
                    struct base_buf *out)
{
    return base_buf_printf(out, "%s%.*s%s", before, BASE_SLICE_ARG(type), after);
}

/* A cast to the type that the term has already is nothing, and has no name of its own. */
static bool is_no_cast(struct cqli_prepare *p, const struct cql_term *term)
{
    struct cqli_scope scope = {.p = p, .selection = true};
    const struct base_type *from, *to;
    return cqli_term_type(&scope, term->items, &from) == BASE_OK && from &&
           cqli_term_named_type(&scope, term->text, &to) == BASE_OK && cqli_type_same(from, to);
}

static int put_cast(const struct cql_term *term, struct cqli_prepare *column, struct base_buf *out)
{
    if (term->kind == CQL_TERM_CAST && column && is_no_cast(column, term))
        return cqli_term_put(term->items, column, out);
    if (term->kind == CQL_TERM_HINT) {
        int rc = put_type("(", term->text, ")", out);
        return rc == BASE_OK ? cqli_term_put(term->items, column, out) : rc;
    }
    int rc = put_around("cast(", term->items, " as ", NULL, "", column, out);
    return rc == BASE_OK ? put_type("", term->text, ")", out) : rc;
}

int cqli_term_put(const struct cql_term *term, struct cqli_prepare *column, struct base_buf *out)
{
    char op[4];
    switch (term->kind) {
    case CQL_TERM_STRING:
        return base_buf_printf(out, "'%.*s'", BASE_SLICE_ARG(term->text));
    case CQL_TERM_NULL:
        return put(out, "NULL");
    case CQL_TERM_BIND:
        return term->text.len ? base_buf_printf(out, ":%.*s", BASE_SLICE_ARG(term->text))
                              : put(out, "?");
    case CQL_TERM_MAP:
    case CQL_TERM_SET:
    case CQL_TERM_UDT:
        return put_items(term, "{", "}", column, out);
    case CQL_TERM_LIST:
        return put_items(term, "[", "]", column, out);
    case CQL_TERM_TUPLE:
        return put_items(term, "(", ")", column, out);
    case CQL_TERM_CALL:
        return put_call(term, column, out);
    case CQL_TERM_STAR:
        return put(out, "*");
    case CQL_TERM_CAST:
    case CQL_TERM_HINT:
        return put_cast(term, column, out);
    case CQL_TERM_BINARY:
        snprintf(op, sizeof op, " %c ", term->op);
        return put_around("", term->items, op, term->items->next, "", column, out);
    case CQL_TERM_NEGATE:
        return put_around("-", term->items, "", NULL, "", column, out);
    case CQL_TERM_FIELD: {
        int rc = put_around("", term->items, ".", NULL, "", column, out);
        return rc == BASE_OK ? base_buf_put_slice(out, term->text) : rc;
    }
    case CQL_TERM_ELEMENT:
        return put_around("", term->items, "[", term->items->next, "]", column, out);
    case CQL_TERM_SLICE:
        return put_slice(term, column, out);
    case CQL_TERM_INTEGER:
    case CQL_TERM_FLOAT:
    case CQL_TERM_BOOLEAN:
    case CQL_TERM_DURATION:
    case CQL_TERM_UUID:
    case CQL_TERM_BLOB:
    case CQL_TERM_WORD:
    case CQL_TERM_COLUMN:
        break;
    }
    return base_buf_put_slice(out, term->text);
}

const char *cqli_term_text(const struct cql_term *term, char text[CQLI_TERM_TEXT])
{
    struct base_buf buf;
    base_buf_init(&buf, CQL_TEXT_LEN_MAX * 4u);
    text[0] = 0;
    if (cqli_term_put(term, NULL, &buf) == BASE_OK)
        snprintf(text, CQLI_TERM_TEXT, "%.*s", (int)buf.len, (const char *)buf.data);
    base_buf_fini(&buf);
    return text;
}

int cqli_expr_name(struct cqli_prepare *p, const struct cql_term *term, struct base_slice *out)
{
    struct base_buf buf;
    *out = (struct base_slice){0};
    base_buf_init(&buf, CQL_TEXT_LEN_MAX * 4u);
    int rc = cqli_term_put(term, p, &buf);
    if (rc == BASE_OK)
        rc = base_arena_copy(p->arena, base_buf_view(&buf), out);
    base_buf_fini(&buf);
    return rc == BASE_OK ? rc : cqli_prepare_no_memory(p);
}
