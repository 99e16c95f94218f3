/* WHERE: relations become restrictions, one for each column (a tuple's is shared by its columns).
 *
 * Invariants:
 * 1. A restriction's columns are neighbours.
 * 2. Every expression is prepared with its column's own type, so that what it evaluates to can be a
 *    key's component. */
#include "cql/restrictions_private.h"

/* Names of markers. */

/* before + name + after, as markers are called: "in(a)", "value(tags)". */
static int marker_name(struct cqli_prepare *p, const char *before, struct base_slice name,
                       const char *after, struct base_slice *out)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 18);
    if (base_buf_printf(&text, "%s%.*s%s", before, BASE_SLICE_ARG(name), after) != BASE_OK)
        return cqli_prepare_no_memory(p);
    *out = base_buf_view(&text);
    return BASE_OK;
}

/* "(a,b)" */
static int tuple_name(struct cqli_prepare *p, const char *before, uint32_t first, uint32_t count,
                      const char *after, struct base_slice *out)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 20);
    int rc = base_buf_printf(&text, "%s", before);
    for (uint32_t i = 0; rc == BASE_OK && i < count; i++)
        rc = base_buf_printf(&text, i ? ",%.*s" : "%.*s",
                             BASE_SLICE_ARG(p->table->columns[first + i].name));
    if (rc == BASE_OK)
        rc = base_buf_printf(&text, "%s", after);
    *out = base_buf_view(&text);
    return rc == BASE_OK ? BASE_OK : cqli_prepare_no_memory(p);
}

/* Operands. */

static int make_type(struct cqli_prepare *p, enum base_type_kind kind,
                     const struct base_type *const *params, uint32_t count,
                     const struct base_type **out)
{
    struct base_type *type = base_arena_zalloc(p->arena, sizeof *type);
    if (!type)
        return cqli_prepare_no_memory(p);
    *type =
        (struct base_type){.kind = kind, .frozen = true, .params = params, .param_count = count};
    *out = type;
    return BASE_OK;
}

static int column_type(struct cqli_prepare *p, uint32_t first, uint32_t count, bool multi,
                       const struct base_type **out)
{
    *out = p->table->columns[first].type;
    if (!multi)
        return BASE_OK;
    const struct base_type **params =
        base_arena_alloc(p->arena, count * sizeof(const struct base_type *));
    if (!params)
        return cqli_prepare_no_memory(p);
    for (uint32_t i = 0; i < count; i++)
        params[i] = p->table->columns[first + i].type;
    return make_type(p, BASE_TYPE_TUPLE, params, count, out);
}

static int prepare_operand(struct cqli_prepare *p, const struct cqli_restriction *r,
                           const struct cql_term *term, struct cqli_operand *out)
{
    const struct base_type *type;
    struct base_slice name;
    *out = (struct cqli_operand){.count = r->count};
    if (r->multi && term->kind != CQL_TERM_TUPLE) {
        int rc = column_type(p, r->first, r->count, true, &type);
        if (rc == BASE_OK)
            rc = tuple_name(p, "(", r->first, r->count, ")", &name);
        return rc == BASE_OK ? cqli_expr_prepare(p, term, name, type, &out->whole) : rc;
    }
    if (r->multi && term->item_count != r->count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Expected %u elements in value tuple, but got %u: %.*s", r->count,
                            term->item_count, BASE_SLICE_ARG(term->source));
    out->items = base_arena_zalloc(p->arena, r->count * sizeof *out->items);
    if (!out->items)
        return cqli_prepare_no_memory(p);
    const struct cql_term *item = r->multi ? term->items : term;
    for (uint32_t i = 0; i < r->count; i++, item = item->next) {
        const struct base_column *column = &p->table->columns[r->first + i];
        int rc = cqli_expr_prepare(p, item, column->name, column->type, &out->items[i]);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int prepare_in(struct cqli_prepare *p, struct cqli_restriction *r,
                      const struct cql_term *term)
{
    if (term->kind != CQL_TERM_TUPLE) {
        const struct base_type *type = NULL,
                               **params =
                                   base_arena_alloc(p->arena, sizeof(const struct base_type *));
        struct base_slice name;
        if (!params)
            return cqli_prepare_no_memory(p);
        int rc = column_type(p, r->first, r->count, r->multi, &params[0]);
        if (rc == BASE_OK)
            rc = make_type(p, BASE_TYPE_LIST, params, 1, &type);
        if (rc == BASE_OK)
            rc = tuple_name(p, "in(", r->first, r->count, ")", &name);
        return rc == BASE_OK ? cqli_expr_prepare(p, term, name, type, &r->list) : rc;
    }
    r->operands = base_arena_zalloc(p->arena, (term->item_count + 1) * sizeof *r->operands);
    if (!r->operands)
        return cqli_prepare_no_memory(p);
    for (const struct cql_term *item = term->items; item; item = item->next) {
        int rc = prepare_operand(p, r, item, &r->operands[r->operand_count]);
        if (rc != BASE_OK)
            return rc;
        r->operand_count++;
    }
    if (r->operand_count == 1)
        r->kind = CQLI_RESTRICTION_EQ; /* Cassandra: the same */
    return BASE_OK;
}

/* A relation. */

static bool holds_duration(const struct base_type *type)
{
    if (type->kind == BASE_TYPE_DURATION)
        return true;
    for (uint32_t i = 0; i < type->param_count; i++) {
        if (holds_duration(type->params[i]))
            return true;
    }
    return false;
}

static int check_slice_type(struct cqli_prepare *p, const struct base_column *column)
{
    const struct base_type *type = column->type;
    if (!holds_duration(type))
        return BASE_OK;
    const char *what = type->kind == BASE_TYPE_DURATION ? "duration columns"
                       : type->kind == BASE_TYPE_TUPLE  ? "tuples containing durations"
                       : type->kind == BASE_TYPE_UDT    ? "UDTs containing durations"
                                                        : "collections containing durations";
    return base_err_set(p->err, BASE_E_INVALID, "Slice restrictions are not supported on %s", what);
}

static const char *type_text(struct cqli_prepare *p, const struct base_type *type)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 16);
    if (base_type_print(type, &text) != BASE_OK || base_buf_put_u8(&text, 0) != BASE_OK)
        return "";
    return (const char *)text.data;
}

static bool is_collection(const struct base_type *type)
{
    return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
           type->kind == BASE_TYPE_MAP;
}

/* May this column have this relation? Cassandra's order of the questions. */
static int check_column(struct cqli_prepare *p, const struct cql_relation *relation,
                        const struct base_column *column)
{
    const struct base_type *type = column->type;
    struct base_slice name = column->name;
    bool element = relation->left == CQL_LEFT_ELEMENT;
    bool contains = relation->op == CQL_OP_CONTAINS || relation->op == CQL_OP_CONTAINS_KEY;
    if (relation->op == CQL_OP_CONTAINS_KEY && type->kind != BASE_TYPE_MAP)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Cannot use CONTAINS KEY on non-map column %.*s", BASE_SLICE_ARG(name));
    if (relation->op == CQL_OP_CONTAINS && !is_collection(type))
        return base_err_set(p->err, BASE_E_INVALID,
                            "Cannot use CONTAINS on non-collection column %.*s",
                            BASE_SLICE_ARG(name));
    if (element && type->kind == BASE_TYPE_LIST)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Indexes on list entries (%.*s[index] = value) are not currently supported.",
            BASE_SLICE_ARG(name));
    if (element && type->kind != BASE_TYPE_MAP)
        return base_err_set(p->err, BASE_E_INVALID, "Column %.*s cannot be used as a map",
                            BASE_SLICE_ARG(name));
    if (element && type->frozen)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Map-entry equality predicates on frozen map column %.*s are not supported",
            BASE_SLICE_ARG(name));
    if (element && relation->op != CQL_OP_EQ)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Only EQ relations are supported on map entries");
    if (base_type_is_multicell(type) && type->kind == BASE_TYPE_UDT)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Non-frozen UDT column '%.*s' (%s) cannot be restricted by any relation",
            BASE_SLICE_ARG(name), type_text(p, type));
    if (base_type_is_multicell(type) && !element && !contains)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Collection column '%.*s' (%s) cannot be restricted by a '%s' relation",
                            BASE_SLICE_ARG(name), type_text(p, type),
                            cqli_operator_text(relation->op));
    return BASE_OK;
}

static int prepare_contains(struct cqli_prepare *p, const struct cql_relation *relation,
                            struct cqli_restriction *r)
{
    const struct base_column *column = &p->table->columns[r->first];
    const struct base_type *type = column->type;
    struct cqli_containment *c = base_arena_zalloc(p->arena, sizeof *c);
    struct base_slice key_name, value_name;
    if (!c)
        return cqli_prepare_no_memory(p);
    r->kind = CQLI_RESTRICTION_CONTAINS;
    r->contains = c;
    int rc = marker_name(p, "key(", column->name, ")", &key_name);
    if (rc == BASE_OK)
        rc = marker_name(p, "value(", column->name, ")", &value_name);
    if (rc != BASE_OK)
        return rc;
    switch (relation->op) {
    case CQL_OP_CONTAINS:
        c->op = BASE_FILTER_CONTAINS;
        return cqli_expr_prepare(p, relation->value, value_name,
                                 type->params[type->kind == BASE_TYPE_MAP ? 1 : 0], &c->value);
    case CQL_OP_CONTAINS_KEY:
        c->op = BASE_FILTER_CONTAINS_KEY;
        return cqli_expr_prepare(p, relation->value, key_name, type->params[0], &c->value);
    default:
        c->op = BASE_FILTER_ENTRY;
        rc = cqli_expr_prepare(p, relation->element, key_name, type->params[0], &c->key);
        return rc == BASE_OK
                   ? cqli_expr_prepare(p, relation->value, value_name, type->params[1], &c->value)
                   : rc;
    }
}

/* What stands on the right, into a new restriction of r->first, r->count. */
static int prepare_right(struct cqli_prepare *p, const struct cql_relation *relation,
                         struct cqli_restriction *r)
{
    struct cqli_operand *bound =
        relation->op == CQL_OP_GT || relation->op == CQL_OP_GE ? &r->lo : &r->hi;
    switch (relation->op) {
    case CQL_OP_EQ:
        r->kind = CQLI_RESTRICTION_EQ;
        r->operands = base_arena_zalloc(p->arena, sizeof *r->operands);
        if (!r->operands)
            return cqli_prepare_no_memory(p);
        r->operand_count = 1;
        return prepare_operand(p, r, relation->value, r->operands);
    case CQL_OP_IN:
        r->kind = CQLI_RESTRICTION_IN;
        return prepare_in(p, r, relation->value);
    case CQL_OP_LT:
    case CQL_OP_LE:
    case CQL_OP_GT:
    case CQL_OP_GE:
        r->kind = CQLI_RESTRICTION_SLICE;
        for (uint32_t i = 0; i < r->count; i++) {
            int rc = check_slice_type(p, &p->table->columns[r->first + i]);
            if (rc != BASE_OK)
                return rc;
        }
        r->lo_inclusive = relation->op == CQL_OP_GE;
        r->hi_inclusive = relation->op == CQL_OP_LE;
        return prepare_operand(p, r, relation->value, bound);
    default:
        return base_err_set(p->err, BASE_E_INVALID, "Unsupported \"%s\" relation: %s",
                            cqli_operator_text(relation->op), cqli_relation_text(p, relation));
    }
}

static int find_column(struct cqli_prepare *p, struct base_slice name, uint32_t *out)
{
    const struct base_column *column = base_table_column(p->table, name);
    *out = 0;
    if (!column)
        return cqli_undefined_column(p->err, p->table, name);
    *out = (uint32_t)(column - p->table->columns);
    return BASE_OK;
}

/* (a, b, …): clustering columns that are neighbours. */
static int tuple_columns(struct cqli_prepare *p, const struct cql_relation *relation,
                         struct cqli_restriction *r)
{
    const struct base_table *table = p->table;
    uint32_t previous = 0;
    r->multi = true;
    for (const struct cql_name_item *item = relation->columns; item; item = item->next) {
        uint32_t at;
        int rc = find_column(p, item->name, &at);
        if (rc != BASE_OK)
            return rc;
        if (table->columns[at].kind != BASE_COLUMN_CLUSTERING)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Multi-column relations can only be applied to clustering columns "
                                "but was applied to: %.*s",
                                BASE_SLICE_ARG(item->name));
        if (r->count && at >= r->first && at <= previous)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Column \"%.*s\" appeared twice in a relation: %s",
                                BASE_SLICE_ARG(item->name), cqli_relation_text(p, relation));
        if (r->count && at != previous + 1)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Clustering columns must appear in the PRIMARY KEY order in "
                                "multi-column relations: %s",
                                cqli_relation_text(p, relation));
        if (r->count == 0)
            r->first = at;
        previous = at;
        r->count++;
    }
    return BASE_OK;
}

/* token(…). */

static int check_token_columns(struct cqli_prepare *p, const struct cql_relation *relation)
{
    const struct base_table *table = p->table;
    size_t n = 0, of_key = 0;
    bool in_order = true;
    for (const struct cql_name_item *item = relation->columns; item; item = item->next, n++) {
        uint32_t at;
        int rc = find_column(p, item->name, &at);
        if (rc != BASE_OK)
            return rc;
        of_key += table->columns[at].kind == BASE_COLUMN_PARTITION_KEY;
        in_order = in_order && at == n;
    }
    if (in_order && n == table->partition_key_count)
        return BASE_OK;
    if (of_key < table->partition_key_count)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "The token() function must be applied to all partition key components or none of them");
    if (of_key > table->partition_key_count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "The token() function contains duplicate partition key components");
    if (n > of_key)
        return base_err_set(p->err, BASE_E_INVALID,
                            "The token() function must contains only partition key components");
    const struct cqli_restriction key = {.count = (uint32_t)table->partition_key_count};
    return base_err_set(p->err, BASE_E_INVALID,
                        "The token function arguments must be in the partition key order: %s",
                        cqli_common_columns(p, &key, &key));
}

static int token_relation(struct cqli_prepare *p, struct cqli_restrictions *r,
                          const struct cql_relation *relation)
{
    struct cqli_restriction *more = base_arena_zalloc(p->arena, sizeof *more);
    struct cqli_operand *operand;
    int rc = more ? check_token_columns(p, relation) : cqli_prepare_no_memory(p);
    if (rc != BASE_OK)
        return rc;
    more->count = (uint32_t)p->table->partition_key_count;
    switch (relation->op) {
    case CQL_OP_EQ:
        more->kind = CQLI_RESTRICTION_EQ;
        more->operands = operand = base_arena_zalloc(p->arena, sizeof *operand);
        if (!operand)
            return cqli_prepare_no_memory(p);
        more->operand_count = 1;
        break;
    case CQL_OP_LT:
    case CQL_OP_LE:
    case CQL_OP_GT:
    case CQL_OP_GE:
        more->kind = CQLI_RESTRICTION_SLICE;
        more->lo_inclusive = relation->op == CQL_OP_GE;
        more->hi_inclusive = relation->op == CQL_OP_LE;
        operand = relation->op == CQL_OP_GT || relation->op == CQL_OP_GE ? &more->lo : &more->hi;
        break;
    default:
        return base_err_set(p->err, BASE_E_INVALID, "%s cannot be used with the token function",
                            cqli_operator_text(relation->op));
    }
    operand->count = more->count;
    rc = cqli_expr_prepare(p, relation->value, BASE_SLICE_LIT("partition key token"),
                           base_type_scalar(BASE_TYPE_BIGINT), &operand->whole);
    if (rc != BASE_OK)
        return rc;
    if (!r->token) {
        r->token = more;
        return BASE_OK;
    }
    if (r->token->kind != more->kind && r->token->kind == CQLI_RESTRICTION_SLICE)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Columns \"%s\" cannot be restricted by both an equality and an inequality relation",
            cqli_common_columns(p, more, more));
    return cqli_restriction_merge(p, r->token, more);
}

/* All of it. */

static int add_relation(struct cqli_prepare *p, struct cqli_restrictions *r,
                        const struct cql_relation *relation)
{
    int rc = BASE_OK;
    if (relation->left == CQL_LEFT_TOKEN)
        return token_relation(p, r, relation);
    struct cqli_restriction *more = base_arena_zalloc(p->arena, sizeof *more);
    if (!more)
        return cqli_prepare_no_memory(p);
    if (relation->left == CQL_LEFT_TUPLE) {
        rc = tuple_columns(p, relation, more);
    } else {
        more->count = 1;
        rc = find_column(p, relation->columns->name, &more->first);
    }
    if (rc != BASE_OK)
        return rc;
    if (relation->op == CQL_OP_IS_NOT_NULL)
        return base_err_set(p->err, BASE_E_INVALID, "Unsupported restriction: %s",
                            cqli_relation_text(p, relation));
    if (relation->op == CQL_OP_LIKE)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "LIKE restriction is only supported on properly indexed columns. %s is not valid.",
            cqli_relation_text(p, relation));
    if (relation->left == CQL_LEFT_FIELD)
        return base_err_set(p->err, BASE_E_INVALID,
                            "A field of a user type cannot be restricted in WHERE: %s",
                            cqli_relation_text(p, relation));
    if (relation->op == CQL_OP_NE)
        return base_err_set(p->err, BASE_E_INVALID, "Unsupported \"!=\" relation: %s",
                            cqli_relation_text(p, relation));
    if (r->use != CQLI_FOR_SELECT &&
        (relation->op == CQL_OP_CONTAINS || relation->op == CQL_OP_CONTAINS_KEY))
        return base_err_set(p->err, BASE_E_INVALID, "Cannot use %s with %s", cqli_use_text(r),
                            cqli_operator_text(relation->op));
    if (!more->multi &&
        (rc = check_column(p, relation, &p->table->columns[more->first])) != BASE_OK)
        return rc;
    bool contains = relation->op == CQL_OP_CONTAINS || relation->op == CQL_OP_CONTAINS_KEY ||
                    relation->left == CQL_LEFT_ELEMENT;
    rc = contains ? prepare_contains(p, relation, more) : prepare_right(p, relation, more);
    if (rc != BASE_OK)
        return rc;
    cqli_restriction_find_index(p, relation, more);
    return cqli_restriction_put(p, r, more);
}

static int prepare(struct cqli_prepare *p, const struct cql_relation *where,
                   const struct cqli_restrictions *begun, const struct cqli_restrictions **out)
{
    struct cqli_restrictions *r = base_arena_zalloc(p->arena, sizeof *r);
    *out = NULL;
    if (!r)
        return cqli_prepare_no_memory(p);
    *r = *begun;
    r->by_column =
        base_arena_zalloc(p->arena, p->table->column_count * sizeof(struct cqli_restriction *));
    if (!r->by_column)
        return cqli_prepare_no_memory(p);
    for (; where; where = where->next) {
        int rc = add_relation(p, r, where);
        if (rc != BASE_OK)
            return rc;
    }
    int rc = cqli_restrictions_judge(p, r);
    if (rc == BASE_OK)
        *out = r;
    return rc;
}

static bool is_static(const struct cqli_prepare *p, struct base_slice name)
{
    const struct base_column *column = base_table_column(p->table, name);
    return column && column->kind == BASE_COLUMN_STATIC;
}

/* Does an UPDATE or DELETE name static columns and no others? */
static bool writes_only_statics(const struct cqli_prepare *p)
{
    const struct cql_modify *modify = &p->statement->modify;
    for (const struct cql_assignment *a = modify->assignments; a; a = a->next) {
        if (!is_static(p, a->column))
            return false;
    }
    for (const struct cql_deletion *d = modify->deletions; d; d = d->next) {
        if (!is_static(p, d->column))
            return false;
    }
    return modify->assignments || modify->deletions;
}

int cqli_restrictions_prepare(struct cqli_prepare *p, const struct cql_relation *where,
                              enum cqli_restrict_for use, bool allow_filtering,
                              const struct cqli_restrictions **out)
{
    BASE_ASSERT(p->table);
    const struct cqli_restrictions begun = {.use = use,
                                            .table = p->table,
                                            .allow_filtering = allow_filtering,
                                            .only_statics =
                                                use != CQLI_FOR_SELECT && writes_only_statics(p)};
    int rc = prepare(p, where, &begun, out);
    return rc == BASE_OK && use == CQLI_FOR_SELECT ? cqli_restrictions_check_filtering(p, *out)
                                                   : rc;
}

int cqli_restrictions_of_select(struct cqli_prepare *p, const struct cql_relation *where,
                                bool allow_filtering, bool only_statics,
                                const struct cqli_restrictions **out)
{
    const struct cqli_restrictions begun = {.use = CQLI_FOR_SELECT,
                                            .table = p->table,
                                            .allow_filtering = allow_filtering,
                                            .only_statics = only_statics};
    return prepare(p, where, &begun, out);
}

/* The marker that alone is the value of a partition key's column, or -1. */
static int pk_bind(const struct cqli_restriction *c)
{
    if (!c || c->kind != CQLI_RESTRICTION_EQ || c->operand_count != 1 || c->operands[0].whole)
        return -1;
    return cqli_expr_bind(c->operands[0].items[0]);
}

int cqli_restrictions_pk_binds(struct cqli_prepare *p, const struct cqli_restrictions *r,
                               const uint16_t **out, size_t *count)
{
    size_t n = r->table->partition_key_count;
    uint16_t *binds = base_arena_alloc(p->arena, n * sizeof *binds);
    *out = NULL;
    *count = 0;
    if (!binds)
        return cqli_prepare_no_memory(p);
    for (size_t i = 0; i < n; i++) {
        int bind = pk_bind(r->by_column[i]);
        if (bind < 0)
            return BASE_OK;
        binds[i] = (uint16_t)bind;
    }
    *out = binds;
    *count = n;
    return BASE_OK;
}
