/* IF: conditions of a write. Prepared against the table; evaluated into base/condition.h's
 * encoding, for the replica to judge.
 *
 * Invariant: what the replica gets compares: an operand that may not be null is checked here. */
#include "cql/modify_private.h"

static const struct {
    enum base_condition_op op;
    const char *text;
} operators[] = {
    [CQL_OP_EQ] = {BASE_CONDITION_EQ, "="},
    [CQL_OP_NE] = {BASE_CONDITION_NE, "!="},
    [CQL_OP_LT] = {BASE_CONDITION_LT, "<"},
    [CQL_OP_LE] = {BASE_CONDITION_LE, "<="},
    [CQL_OP_GT] = {BASE_CONDITION_GT, ">"},
    [CQL_OP_GE] = {BASE_CONDITION_GE, ">="},
    [CQL_OP_IN] = {BASE_CONDITION_IN, "IN"},
    [CQL_OP_CONTAINS] = {BASE_CONDITION_CONTAINS, "CONTAINS"},
    [CQL_OP_CONTAINS_KEY] = {BASE_CONDITION_CONTAINS_KEY, "CONTAINS KEY"},
};

static const char *operator_text(enum base_condition_op op)
{
    for (size_t i = 0; i < BASE_COUNT(operators); i++)
        if (operators[i].op == op)
            return operators[i].text;
    return "?";
}

static bool is_collection(const struct base_type *type)
{
    return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
           type->kind == BASE_TYPE_MAP;
}

static bool has_duration(const struct base_type *type)
{
    bool has = type->kind == BASE_TYPE_DURATION;
    for (uint32_t i = 0; !has && i < type->param_count; i++)
        has = has_duration(type->params[i]);
    return has;
}

/* Preparing. */

static int refuse(struct cqli_prepare *p, const char *text, struct base_slice column)
{
    return base_err_set(p->err, BASE_E_INVALID, "%s %.*s", text, BASE_SLICE_ARG(column));
}

static int prepare_name(struct cqli_prepare *p, const char *part, struct base_slice column,
                        struct base_slice *out)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, BASE_COLUMN_NAME_LEN_MAX + 32);
    if (base_buf_printf(&text, "%s(%.*s)", part, BASE_SLICE_ARG(column)) != BASE_OK)
        return cqli_prepare_no_memory(p);
    *out = base_buf_view(&text);
    return BASE_OK;
}

/* c[k] and c.f: the part that is compared. */
static int prepare_part(struct cqli_prepare *p, const struct cql_relation *said,
                        struct cqli_condition *c)
{
    const struct base_type *type = c->column->type;
    struct base_slice name;
    struct cqli_expr *key;
    if (said->left == CQL_LEFT_FIELD) {
        if (type->kind != BASE_TYPE_UDT)
            return refuse(p, "Invalid field access syntax for non-UDT column", c->column->name);
        for (uint32_t i = 0; i < type->param_count; i++)
            if (base_slice_equal(type->field_names[i], said->field)) {
                c->element = BASE_CONDITION_PATH;
                c->field = (uint16_t)i;
                c->type = type->params[i];
                return BASE_OK;
            }
        return base_err_set(p->err, BASE_E_INVALID, "Unknown field %.*s for column %.*s",
                            BASE_SLICE_ARG(said->field), BASE_SLICE_ARG(c->column->name));
    }
    if (!is_collection(type))
        return refuse(p, "Invalid element access syntax for non-collection column",
                      c->column->name);
    if (type->kind == BASE_TYPE_SET)
        return refuse(p, "Invalid element access syntax for set column", c->column->name);
    bool list = type->kind == BASE_TYPE_LIST;
    int rc = prepare_name(p, list ? "idx" : "key", c->column->name, &name);
    if (rc == BASE_OK)
        rc = cqli_expr_prepare(p, said->element, name,
                               list ? base_type_scalar(BASE_TYPE_INT) : type->params[0], &key);
    if (rc != BASE_OK)
        return rc;
    c->key = key;
    c->element = list ? BASE_CONDITION_INDEX : BASE_CONDITION_PATH;
    c->type = type->params[list ? 0 : 1];
    return BASE_OK;
}

static int check_operator(struct cqli_prepare *p, const struct cql_relation *said,
                          struct cqli_condition *c)
{
    const struct base_type *type = c->type;
    if (said->op > CQL_OP_CONTAINS_KEY)
        return base_err_set(p->err, BASE_E_INVALID, "%s is not supported in IF conditions",
                            said->op == CQL_OP_LIKE ? "LIKE" : "IS NOT NULL");
    c->op = operators[said->op].op;
    if (c->op == BASE_CONDITION_CONTAINS || c->op == BASE_CONDITION_CONTAINS_KEY) {
        bool key = c->op == BASE_CONDITION_CONTAINS_KEY;
        if (!is_collection(type) || (key && type->kind != BASE_TYPE_MAP))
            return base_err_set(p->err, BASE_E_INVALID, "Cannot use %s on non-%s column %.*s",
                                operators[said->op].text, key ? "map" : "collection",
                                BASE_SLICE_ARG(c->column->name));
        c->type = type->params[type->kind == BASE_TYPE_MAP && !key ? 1 : 0];
        return BASE_OK;
    }
    bool slice = c->op == BASE_CONDITION_LT || c->op == BASE_CONDITION_LE ||
                 c->op == BASE_CONDITION_GT || c->op == BASE_CONDITION_GE;
    if (slice && has_duration(type))
        return base_err_set(
            p->err, BASE_E_INVALID,
            type->kind == BASE_TYPE_DURATION ? "Slice conditions are not supported on durations"
            : is_collection(type)
                ? "Slice conditions are not supported on collections containing durations"
            : type->kind == BASE_TYPE_TUPLE
                ? "Slice conditions are not supported on tuples containing durations"
                : "Slice conditions are not supported on UDTs containing durations");
    return BASE_OK;
}

/* IN ?: a marker of a list of them. */
static int prepare_list_marker(struct cqli_prepare *p, const struct cql_relation *said,
                               struct cqli_condition *c)
{
    struct base_type *list = base_arena_zalloc(p->arena, sizeof *list);
    const struct base_type **item = base_arena_alloc(p->arena, sizeof(*item));
    struct base_slice name;
    struct cqli_expr *expr;
    if (!list || !item || !(*item = base_type_freeze(p->arena, c->type)))
        return cqli_prepare_no_memory(p);
    *list = (struct base_type){
        .kind = BASE_TYPE_LIST, .frozen = true, .param_count = 1, .params = item};
    int rc = prepare_name(p, "in", c->column->name, &name);
    if (rc == BASE_OK)
        rc = cqli_expr_prepare(p, said->value, name, list, &expr);
    if (rc != BASE_OK)
        return rc;
    c->operands[0] = expr;
    c->operand_count = 1;
    c->is_list = true;
    c->type = list;
    return BASE_OK;
}

static int prepare_operands(struct cqli_prepare *p, const struct cql_relation *said,
                            struct cqli_condition *c)
{
    bool in = said->op == CQL_OP_IN && said->value->kind == CQL_TERM_TUPLE;
    const struct cql_term *term = in ? said->value->items : said->value;
    size_t count = in ? said->value->item_count : 1;
    c->operands = base_arena_alloc(p->arena, (count + 1) * sizeof(*c->operands));
    if (!c->operands)
        return cqli_prepare_no_memory(p);
    if (said->op == CQL_OP_IN && !in)
        return prepare_list_marker(p, said, c);
    for (size_t i = 0; i < count; i++, term = term->next) {
        struct cqli_expr *expr;
        int rc = cqli_expr_prepare(p, term, c->column->name, c->type, &expr);
        if (rc != BASE_OK)
            return rc;
        c->operands[i] = expr;
    }
    c->operand_count = count;
    return BASE_OK;
}

static int prepare_condition(struct cqli_prepare *p, const struct cql_relation *said,
                             struct cqli_condition *c)
{
    if (said->left == CQL_LEFT_TUPLE || said->left == CQL_LEFT_TOKEN || !said->columns)
        return base_err_set(p->err, BASE_E_INVALID, "IF conditions are on single columns");
    int rc = cqli_column_find(p, said->columns->name, &c->column);
    if (rc != BASE_OK)
        return rc;
    if (c->column->kind == BASE_COLUMN_PARTITION_KEY || c->column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID,
                            "PRIMARY KEY column '%.*s' cannot have IF conditions",
                            BASE_SLICE_ARG(c->column->name));
    if (c->column->type->kind == BASE_TYPE_COUNTER)
        return base_err_set(p->err, BASE_E_INVALID, "Conditions on counters are not supported");
    c->type = c->column->type;
    if (said->left != CQL_LEFT_COLUMN)
        rc = prepare_part(p, said, c);
    if (rc == BASE_OK)
        rc = check_operator(p, said, c);
    return rc == BASE_OK ? prepare_operands(p, said, c) : rc;
}

int cqli_conditions_prepare(struct cqli_prepare *p, struct cqli_modify *m)
{
    size_t count = 0;
    for (const struct cql_relation *r = p->statement->modify.conditions; r; r = r->next)
        count++;
    m->conditions = base_arena_zalloc(p->arena, (count + 1) * sizeof *m->conditions);
    if (!m->conditions)
        return cqli_prepare_no_memory(p);
    for (int statics = 0; statics < 2;
         statics++) { /* of regular columns first: the order in which results name them */
        for (const struct cql_relation *r = p->statement->modify.conditions; r; r = r->next) {
            struct cqli_condition c = {.element = BASE_CONDITION_WHOLE};
            const struct base_column *column =
                r->columns ? base_table_column(p->table, r->columns->name) : NULL;
            if ((column && column->kind == BASE_COLUMN_STATIC) != (statics != 0))
                continue;
            int rc = prepare_condition(p, r, &c);
            if (rc != BASE_OK)
                return rc;
            m->conditions[m->condition_count++] = c;
        }
    }
    return BASE_OK;
}

/* Evaluating. */

static int check_operand(const struct cqli_condition *c, const struct cql_value *value,
                         struct base_err *err)
{
    if (value->state == CQL_VALUE_UNSET)
        return base_err_set(err, BASE_E_INVALID, "Invalid 'unset' value in condition");
    if (value->state == CQL_VALUE_NULL && c->op != BASE_CONDITION_EQ &&
        c->op != BASE_CONDITION_NE && c->op != BASE_CONDITION_IN)
        return base_err_set(err, BASE_E_INVALID, "Invalid comparison with null for operator \"%s\"",
                            operator_text(c->op));
    return BASE_OK;
}

/* IN ?: the elements of the list. */
static int list_operands(struct cqli_update *u, const struct cqli_condition *c,
                         struct base_slice list, struct base_condition_operand **out, size_t *count)
{
    struct base_elements it;
    if (!base_elements_begin(&it, c->type, list) || it.left > list.len)
        return base_err_set(u->eval.err, BASE_E_INVALID, "Invalid list of values for IN");
    *count = it.left;
    *out = base_arena_alloc(u->eval.arena, (*count + 1) * sizeof **out);
    if (!*out)
        return cqli_no_room(u->eval.err, BASE_E_NOMEM);
    for (size_t i = 0; i < *count; i++)
        if (!base_elements_next(&it, &(*out)[i].value, &(*out)[i].is_null))
            return base_err_set(u->eval.err, BASE_E_INVALID, "Invalid list of values for IN");
    return BASE_OK;
}

static int eval_operands(struct cqli_update *u, const struct cqli_condition *c,
                         struct base_condition_operand **out, size_t *count)
{
    struct cql_value value;
    *count = c->operand_count;
    *out = base_arena_alloc(u->eval.arena, (*count + 1) * sizeof **out);
    if (!*out)
        return cqli_no_room(u->eval.err, BASE_E_NOMEM);
    for (size_t i = 0; i < c->operand_count; i++) {
        int rc = cqli_expr_eval(c->operands[i], &u->eval, &value);
        if (rc == BASE_OK && c->is_list && value.state == CQL_VALUE_NULL)
            rc = base_err_set(u->eval.err, BASE_E_INVALID, "Invalid null list in IN condition");
        if (rc == BASE_OK)
            rc = check_operand(c, &value, u->eval.err);
        if (rc == BASE_OK && c->is_list)
            return list_operands(u, c, value.bytes, out, count);
        if (rc != BASE_OK)
            return rc;
        (*out)[i] = (struct base_condition_operand){value.state == CQL_VALUE_NULL, value.bytes};
    }
    return BASE_OK;
}

/* Which part of the column: its path, or a list's index. */
static int eval_part(struct cqli_update *u, const struct cqli_condition *c, struct base_buf *path,
                     uint32_t *index)
{
    struct cql_value key;
    *index = 0;
    if (c->element == BASE_CONDITION_WHOLE)
        return BASE_OK;
    if (!c->key) {
        int rc = base_path_put_field(c->field, path);
        return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
    }
    int rc = cqli_expr_eval(c->key, &u->eval, &key);
    if (rc != BASE_OK)
        return rc;
    const char *what = c->element == BASE_CONDITION_INDEX ? "list" : "map";
    if (key.state != CQL_VALUE_SET)
        return base_err_set(u->eval.err, BASE_E_INVALID, "Invalid %s value for %s element access",
                            key.state == CQL_VALUE_NULL ? "null" : "unset", what);
    if (c->element == BASE_CONDITION_PATH)
        return base_path_put(c->column->type, key.bytes, path, NULL, u->eval.err);
    int32_t i = key.bytes.len == 4 ? (int32_t)base_get_be32(key.bytes.data) : -1;
    if (i < 0)
        return base_err_set(u->eval.err, BASE_E_INVALID, "Invalid negative list index %d", i);
    *index = (uint32_t)i;
    return BASE_OK;
}

static int put_column(struct cqli_update *u, const struct cqli_condition *c, struct base_slice ckey,
                      struct base_buf *out)
{
    struct base_condition_operand *operands;
    struct base_buf path;
    size_t count;
    uint32_t index;
    base_buf_init_in_arena(&path, u->eval.arena, BASE_CKEY_LEN_MAX);
    int rc = eval_operands(u, c, &operands, &count);
    if (rc == BASE_OK)
        rc = eval_part(u, c, &path, &index);
    if (rc != BASE_OK)
        return rc;
    rc = base_condition_put_column(
        out, c->column->kind == BASE_COLUMN_STATIC ? (struct base_slice){0} : ckey, c->column->id,
        c->op, c->element, base_buf_view(&path), index, operands, count);
    return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
}

struct base_slice cqli_update_judged(const struct cqli_update *u)
{
    return u->m->has_row && u->places.slices.count ? u->places.slices.ranges[0].lo
                                                   : (struct base_slice){0};
}

int cqli_update_conditions(struct cqli_update *u, struct base_slice ckey, struct base_buf *out,
                           size_t *count)
{
    const struct cqli_modify *m = u->m;
    *count = m->condition_count ? m->condition_count : m->if_kind != CQLI_IF_NONE;
    if (m->if_kind != CQLI_IF_COLUMNS && *count) {
        int rc = base_condition_put_row(
            out, m->if_kind == CQLI_IF_EXISTS ? BASE_CONDITION_EXISTS : BASE_CONDITION_NOT_EXISTS,
            ckey);
        return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
    }
    for (size_t i = 0; i < m->condition_count; i++) {
        int rc = put_column(u, &m->conditions[i], ckey, out);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}
