/* Relations as text, for messages: as Cassandra prints them. */
#include "cql/restrictions_private.h"

static const char *const op_texts[] = {
    [CQL_OP_EQ] = "=",
    [CQL_OP_NE] = "!=",
    [CQL_OP_LT] = "<",
    [CQL_OP_LE] = "<=",
    [CQL_OP_GT] = ">",
    [CQL_OP_GE] = ">=",
    [CQL_OP_IN] = "IN",
    [CQL_OP_CONTAINS] = "CONTAINS",
    [CQL_OP_LIKE] = "LIKE",
    [CQL_OP_CONTAINS_KEY] = "CONTAINS KEY",
    [CQL_OP_IS_NOT_NULL] = "IS NOT",
};

const char *cqli_operator_text(enum cql_operator op)
{
    return op_texts[op];
}

static int print_term(const struct cql_term *term, struct base_buf *out)
{
    const struct cql_term *item = term->items;
    if (term->source.len)
        return base_buf_put_slice(out, term->source);
    switch (term->kind) {
    case CQL_TERM_STRING:
        return base_buf_printf(out, "'%.*s'", BASE_SLICE_ARG(term->text));
    case CQL_TERM_NULL:
        return base_buf_printf(out, "null");
    case CQL_TERM_BIND:
        return base_buf_printf(out, term->text.len ? ":%.*s" : "?", BASE_SLICE_ARG(term->text));
    case CQL_TERM_TUPLE: {
        int rc = base_buf_put_u8(out, '(');
        for (; rc == BASE_OK && item; item = item->next) {
            rc = print_term(item, out);
            if (rc == BASE_OK && item->next)
                rc = base_buf_printf(out, ", ");
        }
        return rc == BASE_OK ? base_buf_put_u8(out, ')') : rc;
    }
    default:
        return base_buf_put_slice(out, term->text);
    }
}

static int print_columns(const struct cql_name_item *item, struct base_buf *out)
{
    int rc = base_buf_put_u8(out, '(');
    for (; rc == BASE_OK && item; item = item->next)
        rc = base_buf_printf(out, item->next ? "%.*s, " : "%.*s)", BASE_SLICE_ARG(item->name));
    return rc;
}

static int print_relation(const struct cql_relation *relation, struct base_buf *out)
{
    int rc = BASE_OK;
    if (relation->left == CQL_LEFT_TOKEN)
        rc = base_buf_printf(out, "token");
    if (rc == BASE_OK)
        rc = relation->left == CQL_LEFT_TOKEN || relation->left == CQL_LEFT_TUPLE
                 ? print_columns(relation->columns, out)
                 : base_buf_put_slice(out, relation->columns->name);
    if (rc == BASE_OK && relation->left == CQL_LEFT_ELEMENT) {
        rc = base_buf_put_u8(out, '[');
        if (rc == BASE_OK)
            rc = print_term(relation->element, out);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(out, ']');
    }
    if (rc == BASE_OK)
        rc = base_buf_printf(out, " %s ", op_texts[relation->op]);
    if (rc != BASE_OK)
        return rc;
    return relation->value ? print_term(relation->value, out) : base_buf_printf(out, "NULL");
}

const char *cqli_relation_text(struct cqli_prepare *p, const struct cql_relation *relation)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 16);
    if (print_relation(relation, &text) != BASE_OK || base_buf_put_u8(&text, 0) != BASE_OK)
        return "the relation";
    return (const char *)text.data;
}
