/* Restrictions and values → places: which partitions or tokens, which slices of them, which
 * conditions (cql/expr.h).
 *
 * Relies on values being in their normal form (cql/README.md, 10): they become keys. Partitions of
 * IN come in the order of their values, each once, as Cassandra reads them. */
#include "base/key.h"
#include "cql/restrictions_private.h"

#define FILTER_LEN_MAX ((size_t)1 << 24)

int cqli_places_no_memory(struct cqli_eval *eval)
{
    return base_err_set(eval->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

/* Values. */

static int key_value(const struct base_column *column, struct cqli_eval *eval,
                     const struct cql_value *value, struct base_slice *out)
{
    if (value->state != CQL_VALUE_SET)
        return base_err_set(eval->err, BASE_E_INVALID,
                            value->state == CQL_VALUE_NULL
                                ? "Invalid null value in condition for column %.*s"
                                : "Invalid unset value for column %.*s",
                            BASE_SLICE_ARG(column->name));
    *out = value->bytes;
    return BASE_OK;
}

/* A serialized tuple's fields, one for each column. */
static int split_tuple(const struct cqli_restrictions *r, uint32_t first, uint32_t count,
                       struct base_slice tuple, struct cqli_eval *eval, struct base_slice *out)
{
    struct base_reader in = base_reader(tuple);
    for (uint32_t i = 0; i < count; i++) {
        struct base_slice len;
        struct cql_value value = {.state = CQL_VALUE_NULL};
        if (!base_get_raw(&in, 4, &len))
            return base_err_set(eval->err, BASE_E_INVALID,
                                "Expected %u elements in value tuple, but got %u", count, i);
        int32_t n = (int32_t)base_get_be32(len.data);
        if (n >= 0 && base_get_raw(&in, (size_t)n, &value.bytes))
            value.state = CQL_VALUE_SET;
        else if (n >= 0)
            return base_err_set(eval->err, BASE_E_INVALID, "A value tuple is cut");
        int rc = key_value(&r->table->columns[first + i], eval, &value, &out[i]);
        if (rc != BASE_OK)
            return rc;
    }
    if (base_reader_left(&in))
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Expected %u elements in value tuple, but got more", count);
    return BASE_OK;
}

int cqli_operand_values(const struct cqli_restrictions *r, uint32_t first,
                        const struct cqli_operand *operand, struct cqli_eval *eval,
                        struct base_slice *out)
{
    struct cql_value value;
    int rc = BASE_OK;
    if (operand->whole) {
        rc = cqli_expr_eval(operand->whole, eval, &value);
        if (rc == BASE_OK && value.state != CQL_VALUE_SET)
            rc = key_value(&r->table->columns[first], eval, &value, out);
        return rc == BASE_OK ? split_tuple(r, first, operand->count, value.bytes, eval, out) : rc;
    }
    for (uint32_t i = 0; rc == BASE_OK && i < operand->count; i++) {
        rc = cqli_expr_eval(operand->items[i], eval, &value);
        if (rc == BASE_OK)
            rc = key_value(&r->table->columns[first + i], eval, &value, &out[i]);
    }
    return rc;
}

/* IN ?: a list of values or tuples. */
static int list_alternatives(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                             struct cqli_eval *eval, struct cqli_alternatives *out)
{
    const struct base_column *column = &r->table->columns[c->first];
    const struct base_type *type = cqli_expr_type(c->list);
    struct cql_value value;
    struct base_slice whole;
    struct base_elements it;
    int rc = cqli_expr_eval(c->list, eval, &value);
    if (rc != BASE_OK)
        return rc;
    if (value.state != CQL_VALUE_SET)
        return key_value(column, eval, &value, &whole);
    if (!base_elements_begin(&it, type, value.bytes))
        return base_err_set(eval->err, BASE_E_INVALID, "The values of %.*s's IN are no list",
                            BASE_SLICE_ARG(column->name));
    out->values =
        base_arena_alloc(eval->arena, ((size_t)it.left * c->count + 1) * sizeof *out->values);
    if (!out->values)
        return cqli_places_no_memory(eval);
    while (it.left) {
        struct cql_value element = {.state = CQL_VALUE_SET};
        bool is_null;
        if (!base_elements_next(&it, &element.bytes, &is_null))
            return base_err_set(eval->err, BASE_E_INVALID, "The values of %.*s's IN are cut",
                                BASE_SLICE_ARG(column->name));
        struct base_slice *at = out->values + out->count * c->count;
        if (is_null)
            element.state = CQL_VALUE_NULL;
        rc = c->multi && !is_null ? split_tuple(r, c->first, c->count, element.bytes, eval, at)
                                  : key_value(column, eval, &element, at);
        if (rc != BASE_OK)
            return rc;
        out->count++;
    }
    return BASE_OK;
}

int cqli_alternatives(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                      struct cqli_eval *eval, struct cqli_alternatives *out)
{
    BASE_ASSERT(c->kind == CQLI_RESTRICTION_EQ || c->kind == CQLI_RESTRICTION_IN);
    *out = (struct cqli_alternatives){.width = c->count};
    if (c->list)
        return list_alternatives(r, c, eval, out);
    out->values =
        base_arena_alloc(eval->arena, (c->operand_count * c->count + 1) * sizeof *out->values);
    if (!out->values)
        return cqli_places_no_memory(eval);
    for (; out->count < c->operand_count; out->count++) {
        int rc = cqli_operand_values(r, c->first, &c->operands[out->count], eval,
                                     out->values + out->count * c->count);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int cqli_restrictions_row(const struct cqli_restrictions *r, struct cqli_eval *eval,
                          struct base_slice *values, bool *one)
{
    const struct cqli_restriction *c;
    uint32_t i = 0, first = (uint32_t)r->table->partition_key_count;
    *one = true;
    while ((c = cqli_clustering_next(r, &i))) {
        struct cqli_alternatives alternatives;
        BASE_ASSERT(c->kind == CQLI_RESTRICTION_EQ || c->kind == CQLI_RESTRICTION_IN);
        int rc = cqli_alternatives(r, c, eval, &alternatives);
        if (rc != BASE_OK)
            return rc;
        *one = *one && alternatives.count == 1;
        if (*one)
            memcpy(values + (c->first - first), alternatives.values,
                   alternatives.width * sizeof *values);
    }
    return BASE_OK;
}

/* Tokens. */

static int token_value(const struct cqli_operand *operand, struct cqli_eval *eval, int64_t *out)
{
    struct cql_value value;
    int rc = cqli_expr_eval(operand->whole, eval, &value);
    if (rc != BASE_OK)
        return rc;
    if (value.state != CQL_VALUE_SET || value.bytes.len != 8)
        return base_err_set(eval->err, BASE_E_INVALID, "Invalid %s token value",
                            value.state == CQL_VALUE_UNSET ? "unset" : "null");
    *out = (int64_t)base_get_be64(value.bytes.data);
    return BASE_OK;
}

struct token_bounds {
    bool any, has_lo, has_hi, lo_inclusive, hi_inclusive;
    int64_t lo, hi;
};

static int eval_tokens(const struct cqli_restriction *c, struct cqli_eval *eval,
                       struct token_bounds *out)
{
    *out = (struct token_bounds){
        .any = true, .has_lo = true, .has_hi = true, .lo_inclusive = true, .hi_inclusive = true};
    if (c->kind == CQLI_RESTRICTION_EQ) {
        int rc = token_value(&c->operands[0], eval, &out->lo);
        out->hi = out->lo;
        return rc;
    }
    *out = (struct token_bounds){.any = true,
                                 .has_lo = c->lo.count > 0,
                                 .has_hi = c->hi.count > 0,
                                 .lo_inclusive = c->lo_inclusive,
                                 .hi_inclusive = c->hi_inclusive};
    int rc = out->has_lo ? token_value(&c->lo, eval, &out->lo) : BASE_OK;
    return rc == BASE_OK && out->has_hi ? token_value(&c->hi, eval, &out->hi) : rc;
}

/* As a range. Cassandra: the least token, which no key has, as an upper bound means no bound. */
static void range_of_tokens(const struct token_bounds *b, struct cqli_places *out)
{
    if (b->has_lo)
        out->token_after = b->lo_inclusive && b->lo != INT64_MIN ? b->lo - 1 : b->lo;
    if (b->has_hi && (b->hi != INT64_MIN || (b->has_lo && b->lo == b->hi)))
        out->token_upto = b->hi_inclusive || b->hi == INT64_MIN ? b->hi : b->hi - 1;
    out->nothing = out->token_after >= out->token_upto;
}

/* As a condition on partitions that are named; there a range whose end comes before its start goes
 * round, as in Cassandra. */
static bool admits_token(const struct token_bounds *b, int64_t token)
{
    if (!b->any)
        return true;
    bool lo = !b->has_lo || token > b->lo || (b->lo_inclusive && token == b->lo);
    bool hi = !b->has_hi || token < b->hi || (b->hi_inclusive && token == b->hi);
    return b->has_lo && b->has_hi && b->lo > b->hi ? lo || hi : lo && hi;
}

/* Partitions. */

static int make_pkey(const struct base_slice *values, size_t count, struct cqli_eval *eval,
                     struct base_slice *out)
{
    struct base_buf pk, pkey;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += values[i].len + 3;
    if (len > BASE_PK_LEN_MAX)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Key length of %zu is longer than maximum of %u", len,
                            (unsigned)BASE_PK_LEN_MAX);
    base_buf_init_in_arena(&pk, eval->arena, BASE_PK_LEN_MAX);
    base_buf_init_in_arena(&pkey, eval->arena, BASE_PKEY_LEN_MAX);
    int rc = base_buf_reserve(&pk, len);
    if (rc == BASE_OK)
        rc = base_pk_compose(values, count, &pk, eval->err);
    if (rc == BASE_OK && (rc = base_pkey_put(base_buf_view(&pk), &pkey)) != BASE_OK)
        return cqli_places_no_memory(eval);
    *out = base_buf_view(&pkey);
    return rc;
}

static void sort_alternatives(const struct base_type *type, struct cqli_alternatives *a)
{
    size_t n = 0;
    for (size_t i = 1; i < a->count; i++) { /* few, and mostly sorted */
        struct base_slice value = a->values[i];
        size_t lo = 0, hi = i;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (base_value_compare(type, a->values[mid], value) <= 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        memmove(a->values + lo + 1, a->values + lo, (i - lo) * sizeof value);
        a->values[lo] = value;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (n == 0 || !base_slice_equal(a->values[n - 1], a->values[i]))
            a->values[n++] = a->values[i];
    }
    a->count = n;
}

static int eval_partitions(const struct cqli_restrictions *r, const struct token_bounds *tokens,
                           struct cqli_eval *eval, struct cqli_places *out)
{
    size_t columns = r->table->partition_key_count, total = 1;
    const struct cql_limits *limits =
        eval->ports->limits ? eval->ports->limits : &cql_limits_default;
    struct cqli_alternatives *a = base_arena_alloc(eval->arena, columns * sizeof *a);
    struct base_slice *values = base_arena_alloc(eval->arena, columns * sizeof *values);
    if (!a || !values)
        return cqli_places_no_memory(eval);
    for (size_t i = 0; i < columns; i++) {
        int rc = cqli_alternatives(r, r->by_column[i], eval, &a[i]);
        if (rc != BASE_OK)
            return rc;
        sort_alternatives(r->table->columns[i].type, &a[i]);
        if (a[i].count && total > limits->in_select_max / a[i].count)
            return base_err_set(
                eval->err, BASE_E_INVALID,
                "The IN restrictions on the partition key have too many combinations: more than %u",
                limits->in_select_max);
        total *= a[i].count;
    }
    out->pkeys = base_arena_alloc(eval->arena, (total + 1) * sizeof *out->pkeys);
    if (!out->pkeys)
        return cqli_places_no_memory(eval);
    for (size_t n = 0; n < total; n++) {
        size_t rest = n;
        for (size_t i = columns; i-- > 0; rest /= a[i].count)
            values[i] = a[i].values[rest % a[i].count];
        int rc = make_pkey(values, columns, eval, &out->pkeys[out->pkey_count]);
        if (rc != BASE_OK)
            return rc;
        out->pkey_count += admits_token(tokens, base_token_get(out->pkeys[out->pkey_count].data));
    }
    out->nothing = out->nothing || out->pkey_count == 0;
    return BASE_OK;
}

/* Conditions. */

static int filter_value(const struct base_column *column, struct cqli_expr *expr, const char *what,
                        struct cqli_eval *eval, struct base_slice *out)
{
    struct cql_value value;
    int rc = cqli_expr_eval(expr, eval, &value);
    if (rc != BASE_OK)
        return rc;
    if (value.state != CQL_VALUE_SET)
        return base_err_set(eval->err, BASE_E_INVALID, "Unsupported %s %s for column %.*s",
                            value.state == CQL_VALUE_NULL ? "null" : "unset", what,
                            BASE_SLICE_ARG(column->name));
    *out = value.bytes;
    return BASE_OK;
}

static int put_in_values(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                         struct cqli_eval *eval, struct base_buf *list)
{
    int rc = BASE_OK;
    for (uint32_t i = 0; rc == BASE_OK && i < c->operand_count; i++) {
        struct cql_value value;
        struct base_slice bytes;
        rc = cqli_expr_eval(c->operands[i].items[0], eval, &value);
        if (rc == BASE_OK && value.state == CQL_VALUE_NULL)
            continue;
        if (rc == BASE_OK)
            rc = key_value(&r->table->columns[c->first], eval, &value, &bytes);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(list, bytes);
    }
    return rc;
}

static int put_in_filter(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                         struct cqli_eval *eval, struct base_filter *out)
{
    const enum base_column_kind kind = r->table->columns[c->first].kind;
    struct cqli_alternatives alternatives = {.values = NULL};
    struct base_buf list;
    int rc = BASE_OK;
    base_buf_init_in_arena(&list, eval->arena, FILTER_LEN_MAX);
    if (!c->list && (kind == BASE_COLUMN_REGULAR || kind == BASE_COLUMN_STATIC))
        rc = put_in_values(r, c, eval, &list); /* null is equal to nothing */
    else
        rc = cqli_alternatives(r, c, eval, &alternatives);
    for (size_t i = 0; rc == BASE_OK && i < alternatives.count; i++)
        rc = base_buf_put_bytes(&list, alternatives.values[i]);
    out->operand = base_buf_view(&list);
    return rc;
}

static int put_bound_filter(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                            const struct cqli_operand *operand, enum base_filter_op op,
                            struct cqli_eval *eval, struct base_filter *out)
{
    const struct base_column *column = &r->table->columns[c->first];
    *out = (struct base_filter){.column = column->id, .op = op};
    return filter_value(column, operand->items[0], "value", eval, &out->operand);
}

static int put_eq_filters(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                          struct cqli_eval *eval, struct cqli_places *out)
{
    if (c->count == 1 && !c->multi)
        return put_bound_filter(r, c, &c->operands[0], BASE_FILTER_EQ, eval,
                                &out->filters[out->filter_count++]);
    struct base_slice *values = base_arena_alloc(eval->arena, c->count * sizeof *values);
    if (!values)
        return cqli_places_no_memory(eval);
    int rc = cqli_operand_values(r, c->first, &c->operands[0], eval, values);
    for (uint32_t i = 0; rc == BASE_OK && i < c->count; i++)
        out->filters[out->filter_count++] =
            (struct base_filter){.column = r->table->columns[c->first + i].id,
                                 .op = BASE_FILTER_EQ,
                                 .operand = values[i]};
    return rc;
}

static int put_filters(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                       struct cqli_eval *eval, struct cqli_places *out)
{
    const struct base_column *column = &r->table->columns[c->first];
    struct base_filter *next = &out->filters[out->filter_count];
    int rc = BASE_OK;
    switch (c->kind) {
    case CQLI_RESTRICTION_EQ:
        return put_eq_filters(r, c, eval, out);
    case CQLI_RESTRICTION_IN:
        *next = (struct base_filter){.column = column->id, .op = BASE_FILTER_IN};
        out->filter_count++;
        return put_in_filter(r, c, eval, next);
    case CQLI_RESTRICTION_SLICE:
        if (c->lo.count)
            rc = put_bound_filter(r, c, &c->lo, c->lo_inclusive ? BASE_FILTER_GE : BASE_FILTER_GT,
                                  eval, next++);
        if (rc == BASE_OK && c->hi.count)
            rc = put_bound_filter(r, c, &c->hi, c->hi_inclusive ? BASE_FILTER_LE : BASE_FILTER_LT,
                                  eval, next++);
        out->filter_count = (size_t)(next - out->filters);
        return rc;
    case CQLI_RESTRICTION_CONTAINS:
        for (const struct cqli_containment *k = c->contains; rc == BASE_OK && k; k = k->next) {
            struct base_filter *filter = &out->filters[out->filter_count++];
            *filter = (struct base_filter){.column = column->id, .op = k->op};
            rc = filter_value(column, k->value, k->key ? "map value" : "value", eval,
                              &filter->operand);
            if (rc == BASE_OK && k->key)
                rc = filter_value(column, k->key, "map key", eval, &filter->element);
        }
        return rc;
    }
    return rc;
}

static size_t filters_of(const struct cqli_restriction *c)
{
    size_t n = 0;
    for (const struct cqli_containment *k = c->contains; k; k = k->next)
        n++;
    return n + 2 + c->count;
}

static int eval_filters(const struct cqli_restrictions *r, struct cqli_eval *eval,
                        struct cqli_places *out)
{
    const struct base_table *table = r->table;
    size_t most = 0, key = table->partition_key_count;
    const struct cqli_restriction *c;
    for (size_t i = 0; i < table->column_count; i++)
        most += r->by_column[i] ? filters_of(r->by_column[i]) : 0;
    out->filters = base_arena_alloc(eval->arena, (most + 1) * sizeof *out->filters);
    if (!out->filters)
        return cqli_places_no_memory(eval);
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && r->pk_filtered && i < key; i++) {
        if (r->by_column[i])
            rc = put_filters(r, r->by_column[i], eval, out);
    }
    uint32_t position = 0, i = 0;
    while (rc == BASE_OK && (c = cqli_clustering_next(r, &i))) {
        bool filtered = cqli_clustering_filtered(r, c, position);
        if (filtered || (c->indexed && r->uses_index))
            rc = put_filters(r, c, eval, out);
        if (!filtered && c->kind != CQLI_RESTRICTION_SLICE)
            position = i - (uint32_t)key;
    }
    for (size_t n = key + table->clustering_count; rc == BASE_OK && n < table->column_count; n++) {
        if (r->by_column[n])
            rc = put_filters(r, r->by_column[n], eval, out);
    }
    BASE_ASSERT(out->filter_count <= most);
    return rc;
}

int cqli_restrictions_eval(const struct cqli_restrictions *r, const struct base_table *table,
                           struct cqli_eval *eval, struct cqli_places *out)
{
    BASE_ASSERT(table == r->table);
    *out = (struct cqli_places){.token_after = INT64_MIN, .token_upto = INT64_MAX};
    struct token_bounds tokens = {.any = false};
    int rc = r->token ? eval_tokens(r->token, eval, &tokens) : BASE_OK;
    if (rc == BASE_OK && r->pk_complete)
        rc = eval_partitions(r, &tokens, eval, out);
    else if (rc == BASE_OK && r->token)
        range_of_tokens(&tokens, out);
    if (rc == BASE_OK)
        rc = cqli_restrictions_slices(r, eval, out);
    if (rc == BASE_OK && (r->pk_filtered || r->ck_filtered || r->uses_index || r->other_count))
        rc = eval_filters(r, eval, out);
    return rc;
}
