/* SET, DELETE's list and IF: what the statement says of a column → an operation that can be carried
 * out, or why not (Cassandra's words). */
#include "cql/modify_private.h"

static bool is_collection(const struct base_type *type)
{
    return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
           type->kind == BASE_TYPE_MAP;
}

/* "value(c)": how Cassandra calls the markers of parts of a column. */
static int part_name(struct cqli_prepare *p, const char *part, const struct base_column *column,
                     struct base_slice *out)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, BASE_COLUMN_NAME_LEN_MAX + 32);
    if (base_buf_printf(&text, "%s(%.*s)", part, BASE_SLICE_ARG(column->name)) != BASE_OK)
        return cqli_prepare_no_memory(p);
    *out = base_buf_view(&text);
    return BASE_OK;
}

static int prepare_part(struct cqli_prepare *p, const char *part, const struct base_column *column,
                        const struct cql_term *term, const struct base_type *type,
                        const struct cqli_expr **out)
{
    struct base_slice name;
    struct cqli_expr *expr = NULL;
    int rc = part_name(p, part, column, &name);
    if (rc == BASE_OK)
        rc = cqli_expr_prepare(p, term, name, type, &expr);
    *out = expr;
    return rc;
}

static int prepare_value(struct cqli_prepare *p, const struct cql_term *term,
                         struct base_slice receiver, const struct base_type *type,
                         struct cqli_operation *op)
{
    struct cqli_expr *expr = NULL;
    int rc = cqli_expr_prepare(p, term, receiver, type, &expr);
    op->value = expr;
    op->value_type = type;
    return rc;
}

static int find_field(struct cqli_prepare *p, const struct base_column *column,
                      struct base_slice name, uint16_t *out)
{
    for (uint32_t i = 0; i < column->type->param_count; i++)
        if (base_slice_equal(column->type->field_names[i], name)) {
            *out = (uint16_t)i;
            return BASE_OK;
        }
    return base_err_set(p->err, BASE_E_INVALID, "UDT column %.*s does not have a field named %.*s",
                        BASE_SLICE_ARG(column->name), BASE_SLICE_ARG(name));
}

/* UPDATE … SET. */

static int refuse_set(struct cqli_prepare *p, const struct cql_assignment *said, const char *kind)
{
    struct base_slice value = said->value->source;
    if (said->field.len)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid operation (%.*s.%.*s = %.*s) for %s column %.*s",
                            BASE_SLICE_ARG(said->column), BASE_SLICE_ARG(said->field),
                            BASE_SLICE_ARG(value), kind, BASE_SLICE_ARG(said->column));
    if (said->element)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid operation (%.*s[%.*s] = %.*s) for %s column %.*s",
                            BASE_SLICE_ARG(said->column), BASE_SLICE_ARG(said->element->source),
                            BASE_SLICE_ARG(value), kind, BASE_SLICE_ARG(said->column));
    return base_err_set(
        p->err, BASE_E_INVALID, "Invalid operation (%.*s = %.*s) for %s column %.*s",
        BASE_SLICE_ARG(said->column), BASE_SLICE_ARG(value), kind, BASE_SLICE_ARG(said->column));
}

static int set_element(struct cqli_prepare *p, const struct cql_assignment *said,
                       struct cqli_operation *op)
{
    const struct base_type *type = op->column->type;
    struct base_slice name;
    if (!is_collection(type))
        return refuse_set(p, said, "non collection");
    if (type->frozen)
        return refuse_set(p, said, "frozen collection");
    if (type->kind == BASE_TYPE_SET)
        return refuse_set(p, said, "set");
    bool list = type->kind == BASE_TYPE_LIST;
    op->kind = list ? CQLI_SET_INDEX : CQLI_SET_ELEMENT;
    int rc = prepare_part(p, list ? "idx" : "key", op->column, said->element,
                          list ? base_type_scalar(BASE_TYPE_INT) : type->params[0], &op->element);
    if (rc == BASE_OK)
        rc = part_name(p, "value", op->column, &name);
    return rc == BASE_OK ? prepare_value(p, said->value, name, type->params[list ? 0 : 1], op) : rc;
}

static int set_field(struct cqli_prepare *p, const struct cql_assignment *said,
                     struct cqli_operation *op)
{
    const struct base_type *type = op->column->type;
    struct base_buf name;
    if (type->kind != BASE_TYPE_UDT)
        return refuse_set(p, said, "non-UDT");
    if (type->frozen)
        return refuse_set(p, said, "frozen UDT");
    op->kind = CQLI_SET_FIELD;
    int rc = find_field(p, op->column, said->field, &op->field);
    base_buf_init_in_arena(&name, p->arena, 2 * BASE_COLUMN_NAME_LEN_MAX);
    if (rc == BASE_OK && base_buf_printf(&name, "%.*s.%.*s", BASE_SLICE_ARG(op->column->name),
                                         BASE_SLICE_ARG(said->field)) != BASE_OK)
        rc = cqli_prepare_no_memory(p);
    return rc == BASE_OK
               ? prepare_value(p, said->value, base_buf_view(&name), type->params[op->field], op)
               : rc;
}

/* c = c + v, c = v + c, c = c - v; a map's subtrahend is a set of keys. */
static int set_sum(struct cqli_prepare *p, const struct cql_assignment *said, bool column_first,
                   const struct cql_term *other, struct cqli_operation *op)
{
    const struct base_type *type = op->column->type;
    bool minus = said->value->op == '-', list = type->kind == BASE_TYPE_LIST;
    if (type->kind == BASE_TYPE_COUNTER)
        return BASE_OK; /* refused with all of them */
    if (!column_first && !list)
        return refuse_set(p, said, "non list");
    if (!is_collection(type))
        return refuse_set(
            p, said,
            type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT ? "tuple" : "non counter");
    if (type->frozen)
        return refuse_set(p, said, list && !column_first ? "frozen list" : "frozen collection");
    op->kind = !column_first ? CQLI_PREPEND
               : !minus      ? CQLI_APPEND
               : list        ? CQLI_REMOVE_VALUES
                             : CQLI_REMOVE;
    if (op->kind == CQLI_REMOVE && type->kind == BASE_TYPE_MAP) {
        struct base_type *keys = base_arena_zalloc(p->arena, sizeof *keys);
        if (!keys)
            return cqli_prepare_no_memory(p);
        *keys = (struct base_type){.kind = BASE_TYPE_SET, .param_count = 1, .params = type->params};
        type = keys;
    }
    return prepare_value(p, other, op->column->name, type, op);
}

static int set_column(struct cqli_prepare *p, const struct cql_assignment *said,
                      struct cqli_operation *op)
{
    const struct cql_term *value = said->value;
    if (value->kind == CQL_TERM_BINARY && (value->op == '+' || value->op == '-')) {
        const struct cql_term *left = value->items, *right = left->next;
        bool column_left = left->kind == CQL_TERM_COLUMN,
             column_right = right->kind == CQL_TERM_COLUMN;
        if (column_left && base_slice_equal(left->text, said->column) && !column_right)
            return set_sum(p, said, true, right, op);
        if (column_right && base_slice_equal(right->text, said->column) && !column_left &&
            value->op == '+')
            return set_sum(p, said, false, left, op);
        if (column_left || column_right)
            return base_err_set(
                p->err, BASE_E_SYNTAX,
                column_left ? "Only expressions of the form X = X %c <value> are supported."
                            : "Only expressions of the form X = <value> %c X are supported.",
                column_left ? value->op : '+');
    }
    op->kind = CQLI_SET;
    return prepare_value(p, value, op->column->name, op->column->type, op);
}

static int prepare_assignment(struct cqli_prepare *p, const struct cql_assignment *said,
                              struct cqli_operation *op)
{
    int rc = cqli_column_find(p, said->column, &op->column);
    if (rc != BASE_OK)
        return rc;
    if (op->column->kind == BASE_COLUMN_PARTITION_KEY || op->column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID, "PRIMARY KEY part %.*s found in SET part",
                            BASE_SLICE_ARG(said->column));
    return said->element     ? set_element(p, said, op)
           : said->field.len ? set_field(p, said, op)
                             : set_column(p, said, op);
}

/* DELETE … FROM. */

static int prepare_deletion(struct cqli_prepare *p, const struct cql_deletion *said,
                            struct cqli_operation *op)
{
    int rc = cqli_column_find(p, said->column, &op->column);
    if (rc != BASE_OK)
        return rc;
    const struct base_type *type = op->column->type;
    struct base_slice name = op->column->name;
    if (op->column->kind == BASE_COLUMN_PARTITION_KEY || op->column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Invalid identifier %.*s for deletion (should not be a PRIMARY KEY part)",
            BASE_SLICE_ARG(name));
    op->kind = CQLI_DELETE;
    if (said->field.len) {
        if (type->kind != BASE_TYPE_UDT)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Invalid field deletion operation for non-UDT column %.*s",
                                BASE_SLICE_ARG(name));
        if (type->frozen)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Frozen UDT column %.*s does not support field deletions",
                                BASE_SLICE_ARG(name));
        op->kind = CQLI_DELETE_FIELD;
        return find_field(p, op->column, said->field, &op->field);
    }
    if (!said->element)
        return BASE_OK;
    if (!is_collection(type))
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid deletion operation for non collection column %.*s",
                            BASE_SLICE_ARG(name));
    if (type->frozen)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid deletion operation for frozen collection column %.*s",
                            BASE_SLICE_ARG(name));
    bool list = type->kind == BASE_TYPE_LIST;
    op->kind = list ? CQLI_DELETE_INDEX : CQLI_DELETE_ELEMENT;
    return prepare_part(p,
                        list                          ? "idx"
                        : type->kind == BASE_TYPE_SET ? "value"
                                                      : "key",
                        op->column, said->element,
                        list ? base_type_scalar(BASE_TYPE_INT) : type->params[0], &op->element);
}

/* Both. */

/* Into its place: static columns first, by column id; after those of the same column. */
static int insert_sorted(struct cqli_prepare *p, struct cqli_modify *m,
                         const struct cqli_operation *op)
{
    bool is_static = op->column->kind == BASE_COLUMN_STATIC;
    size_t from = is_static ? 0 : m->static_count,
           at = is_static ? m->static_count : m->operation_count;
    while (at > from && m->operations[at - 1].column->id > op->column->id)
        at--;
    if (at > from && m->operations[at - 1].column == op->column) {
        const struct cqli_operation *other = &m->operations[at - 1];
        if (other->kind == CQLI_DELETE && op->kind == CQLI_DELETE)
            return BASE_OK;
        if (other->kind == CQLI_SET || op->kind == CQLI_SET)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Multiple incompatible setting of column %.*s",
                                BASE_SLICE_ARG(op->column->name));
    }
    memmove(m->operations + at + 1, m->operations + at, (m->operation_count - at) * sizeof *op);
    m->operations[at] = *op;
    m->operation_count++;
    m->static_count += is_static;
    return BASE_OK;
}

int cqli_operations_prepare(struct cqli_prepare *p, struct cqli_modify *m)
{
    const struct cql_modify *said = &p->statement->modify;
    size_t count = 0;
    int rc = BASE_OK;
    for (const struct cql_assignment *a = said->assignments; a; a = a->next)
        count++;
    for (const struct cql_deletion *d = said->deletions; d; d = d->next)
        count++;
    m->operations = base_arena_alloc(p->arena, (count + 1) * sizeof *m->operations);
    if (!m->operations)
        return cqli_prepare_no_memory(p);
    for (const struct cql_assignment *a = said->assignments; rc == BASE_OK && a; a = a->next) {
        struct cqli_operation op = {.kind = CQLI_SET};
        rc = prepare_assignment(p, a, &op);
        if (rc == BASE_OK)
            rc = insert_sorted(p, m, &op);
    }
    for (const struct cql_deletion *d = said->deletions; rc == BASE_OK && d; d = d->next) {
        struct cqli_operation op = {.kind = CQLI_DELETE};
        rc = prepare_deletion(p, d, &op);
        if (rc == BASE_OK)
            rc = insert_sorted(p, m, &op);
    }
    return rc;
}
