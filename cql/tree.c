/* What the grammar's actions make of terms and relations.
 *
 * 1. Memory is the parse's arena; when there is none, p->rc says so and NULL comes back. NULL may
 *    be handed on.
 * 2. Every term knows where it was written (source) and how deep it is; none is deeper than
 *    CQL_TERM_DEPTH_MAX. */
#include "cql/cql_private.h"

static struct base_slice between(const uint8_t *start, const uint8_t *end)
{
    BASE_ASSERT(start <= end);
    return base_slice(start, (size_t)(end - start));
}

static const uint8_t *end_of(const struct cql_term *term)
{
    return term->source.data + term->source.len;
}

void cqli_terms_add(struct cqli_terms *list, struct cql_term *term)
{
    if (!term)
        return;
    if (list->tail)
        list->tail->next = term;
    else
        list->head = term;
    list->tail = term;
    list->count++;
    list->depth = term->depth > list->depth ? term->depth : list->depth;
}

struct cql_term *cqli_compose(struct cqli_parse *p, enum cql_term_kind kind,
                              struct cqli_terms items, const uint8_t *start, const uint8_t *end)
{
    if (items.depth >= CQL_TERM_DEPTH_MAX)
        cqli_fail_at(p, start, BASE_E_LIMIT, "types or terms are nested too deep");
    struct cql_term *term = p->rc == BASE_OK ? cqli_zalloc(p, sizeof *term) : NULL;
    if (!term)
        return NULL;
    term->kind = kind;
    term->items = items.head;
    term->item_count = items.count;
    term->depth = items.count ? items.depth + 1 : 0;
    term->source = between(start, end);
    return term;
}

struct cql_term *cqli_binary(struct cqli_parse *p, char op, struct cql_term *left,
                             struct cql_term *right)
{
    struct cqli_terms items = {0};
    if (!left || !right)
        return NULL;
    cqli_terms_add(&items, left);
    cqli_terms_add(&items, right);
    struct cql_term *term =
        cqli_compose(p, CQL_TERM_BINARY, items, left->source.data, end_of(right));
    if (term)
        term->op = op;
    return term;
}

struct cql_term *cqli_column(struct cqli_parse *p, struct cqli_token name)
{
    struct cql_term *term = cqli_term(p, CQL_TERM_COLUMN, name);
    if (term)
        term->text = cqli_identifier(p, name);
    return term;
}

struct cql_term *cqli_field(struct cqli_parse *p, struct cql_term *of, struct cqli_token name)
{
    struct cqli_terms items = {0};
    if (!of)
        return NULL;
    cqli_terms_add(&items, of);
    struct cql_term *term =
        cqli_compose(p, CQL_TERM_FIELD, items, of->source.data, name.start + name.len);
    if (term)
        term->text = cqli_identifier(p, name);
    return term;
}

struct cql_term *cqli_element(struct cqli_parse *p, struct cql_term *of, struct cqli_terms at,
                              bool slice, const uint8_t *end)
{
    struct cqli_terms items = {0};
    if (!of || !at.head)
        return NULL;
    cqli_terms_add(&items, of);
    of->next = at.head;
    items.tail = at.tail;
    items.count += at.count;
    items.depth = at.depth > items.depth ? at.depth : items.depth;
    return cqli_compose(p, slice ? CQL_TERM_SLICE : CQL_TERM_ELEMENT, items, of->source.data, end);
}

struct cql_term *cqli_braces(struct cqli_parse *p, struct cqli_terms entries, const uint8_t *start,
                             const uint8_t *end)
{
    if (!entries.head || entries.head->kind != CQL_TERM_COLUMN)
        return cqli_compose(p, CQL_TERM_MAP, entries, start, end);
    struct cqli_terms values = {0};
    for (struct cql_term *key = entries.head, *value, *next; key; key = next) {
        value = key->next;
        if (!value) /* there was no memory */
            return NULL;
        next = value->next;
        if (key->kind != CQL_TERM_COLUMN) {
            cqli_fail_at(
                p, key->source.data, BASE_E_SYNTAX, "the name of a field was expected at '%.*s'",
                key->source.len > 40 ? 40 : (int)key->source.len, (const char *)key->source.data);
            return NULL;
        }
        value->field = key->text;
        value->next = NULL;
        cqli_terms_add(&values, value);
    }
    return cqli_compose(p, CQL_TERM_UDT, values, start, end);
}

struct cql_term *cqli_call(struct cqli_parse *p, const struct cql_term *path,
                           struct cqli_terms args, const uint8_t *end)
{
    struct cql_name name = {0};
    if (!path)
        return NULL;
    name.name = path->text;
    if (path->kind == CQL_TERM_FIELD) {
        if (path->items->kind != CQL_TERM_COLUMN) {
            cqli_fail_at(p, path->source.data, BASE_E_SYNTAX, "'%.*s' is no function's name",
                         path->source.len > 80 ? 80 : (int)path->source.len,
                         (const char *)path->source.data);
            return NULL;
        }
        name.keyspace = path->items->text;
    }
    struct cql_term *term = cqli_compose(p, CQL_TERM_CALL, args, path->source.data, end);
    if (term)
        term->name = name;
    return term;
}

struct cql_term *cqli_bind(struct cqli_parse *p, const uint8_t *start, struct base_slice name,
                           const uint8_t *end)
{
    struct cql_term *term = cqli_compose(p, CQL_TERM_BIND, (struct cqli_terms){0}, start, end);
    if (!term)
        return NULL;
    term->text = name;
    term->number = p->bind_count++;
    return term;
}

struct cql_term *cqli_hint(struct cqli_parse *p, struct cqli_token hint, struct cql_term *of)
{
    struct cqli_terms items = {0};
    if (!of)
        return NULL;
    cqli_terms_add(&items, of);
    struct cql_term *term = cqli_compose(p, CQL_TERM_HINT, items, hint.start, end_of(of));
    if (term)
        term->text = cqli_type_text(p, hint.start + 1, hint.start + hint.len - 1);
    return term;
}

struct cql_relation *cqli_relation(struct cqli_parse *p, enum cql_relation_left left,
                                   struct cql_name_item *columns, enum cql_operator op,
                                   const struct cql_term *value)
{
    struct cql_relation *relation = cqli_zalloc(p, sizeof *relation);
    if (!relation)
        return NULL;
    relation->left = left;
    relation->columns = columns;
    relation->op = op;
    relation->value = value;
    return relation;
}

struct cql_name_item *cqli_name_item(struct cqli_parse *p, struct base_slice name)
{
    struct cql_name_item *item = cqli_zalloc(p, sizeof *item);
    if (item)
        item->name = name;
    return item;
}
