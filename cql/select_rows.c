/* What rows become: the protocol's bytes, or one JSON text; groups; sorting (cql/select_private.h).
 *
 * Invariant: when a row does not fit, result.rows and row_count are as they were before it. */
#include "base/json.h"
#include "base/key.h"
#include "cql/select_private.h"

#define KEY_LEN_MAX ((size_t)1 << 20)
#define JSON_LEN_MAX ((size_t)1 << 28)

int cqli_output_init(struct cqli_output *o, const struct cqli_select *select, struct cql_exec *exec,
                     int64_t now_us)
{
    *o = (struct cqli_output){.select = select, .exec = exec};
    base_arena_init(&o->row_arena);
    base_buf_init_in_arena(&o->group_key, exec->arena, KEY_LEN_MAX);
    base_buf_init_in_arena(&o->key, exec->arena, KEY_LEN_MAX);
    base_buf_init(&o->json, JSON_LEN_MAX);
    int64_t now_s = exec->now_s ? exec->now_s : now_us / 1000000;
    o->eval = (struct cqli_eval){.arena = &o->row_arena,
                                 .values = exec->values,
                                 .value_count = exec->value_count,
                                 .row = &o->row,
                                 .ports = exec->ports,
                                 .now_us = now_us,
                                 .err = &exec->err};
    int rc = cqli_row_init(&o->row, &select->fetch, exec->arena, &o->row_arena, now_s);
    if (rc == BASE_OK && select->aggregated)
        rc = cqli_aggregation_new(exec->arena, select->exprs, select->selector_count,
                                  &o->aggregation);
    return rc == BASE_OK ? BASE_OK : base_err_set(&exec->err, rc, "%s", base_err_words(rc));
}

void cqli_output_fini(struct cqli_output *o)
{
    base_arena_fini(&o->row_arena);
    base_buf_fini(&o->json);
}

/* A row. */

static int put_value(struct base_buf *out, const struct cql_value *value)
{
    bool is_null = value->state != CQL_VALUE_SET;
    int rc = base_buf_reserve(out, 4 + (is_null ? 0 : value->bytes.len));
    if (rc != BASE_OK)
        return rc;
    base_put_be32(out->data + out->len, is_null ? UINT32_MAX : (uint32_t)value->bytes.len);
    out->len += 4;
    return is_null ? BASE_OK : base_buf_put_slice(out, value->bytes);
}

/* The value of a result's column: of the group, or of the row at hand. */
static int column_value(struct cqli_output *o, size_t i, struct cql_value *out)
{
    const struct cqli_selector *selector = &o->select->selectors[i];
    if (o->aggregation)
        return cqli_aggregation_result(o->aggregation, i, &o->eval, out);
    if (selector->column)
        return cqli_row_value(&o->row, selector->column, out, &o->exec->err);
    return cqli_expr_eval(selector->expr, &o->eval, out);
}

static bool has_upper_case(struct base_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return true;
    }
    return false;
}

/* "name", or "\"Name\"" where CQL needs quotes, as Cassandra writes keys. */
static int put_json_name(struct cqli_output *o, struct base_slice name)
{
    if (!has_upper_case(name))
        return base_json_put_string(&o->json, name);
    struct base_buf quoted;
    base_buf_init_in_arena(&quoted, &o->row_arena, JSON_LEN_MAX);
    int rc = base_buf_printf(&quoted, "\"%.*s\"", BASE_SLICE_ARG(name));
    return rc == BASE_OK ? base_json_put_string(&o->json, base_buf_view(&quoted)) : rc;
}

static int put_json_row(struct cqli_output *o)
{
    base_buf_reset(&o->json);
    int rc = base_buf_put_u8(&o->json, '{');
    for (size_t i = 0; rc == BASE_OK && i < o->select->selector_count; i++) {
        const struct cql_column_spec *spec = &o->select->columns[i];
        struct cql_value value;
        if (i)
            rc = base_buf_printf(&o->json, ", ");
        if (rc == BASE_OK)
            rc = column_value(o, i, &value);
        if (rc == BASE_OK)
            rc = put_json_name(o, spec->name);
        if (rc == BASE_OK)
            rc = base_buf_printf(&o->json, ": ");
        if (rc == BASE_OK)
            rc = value.state == CQL_VALUE_SET
                     ? base_value_to_json(spec->type, value.bytes, &o->json, &o->exec->err)
                     : base_buf_printf(&o->json, "null");
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&o->json, '}');
    if (rc != BASE_OK)
        return rc;
    struct cql_value text = {CQL_VALUE_SET, base_buf_view(&o->json)};
    return put_value(&o->exec->result.rows, &text);
}

static int put_plain_row(struct cqli_output *o)
{
    for (size_t i = 0; i < o->select->selector_count; i++) {
        struct cql_value value;
        int rc = column_value(o, i, &value);
        if (rc == BASE_OK)
            rc = put_value(&o->exec->result.rows, &value);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* Where the row at hand sorts: ascending bytes, whatever the directions; null below all values. */
static int make_sort_key(struct cqli_output *o)
{
    struct base_buf key;
    base_buf_init_in_arena(&key, o->exec->arena, KEY_LEN_MAX);
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < o->select->order_count; i++) {
        const struct cqli_order *order = &o->select->order[i];
        const struct base_column *column = &o->select->table->columns[order->column];
        struct cql_value value;
        bool exact = true;
        rc = cqli_row_value(&o->row, column, &value, &o->exec->err);
        if (rc != BASE_OK)
            break;
        if (value.state == CQL_VALUE_SET)
            rc = base_ckey_put(column->type, order->descending, value.bytes, &key, &exact,
                               &o->exec->err);
        else
            rc = base_buf_put_u8(&key, order->descending ? 0xFF : 0x00);
    }
    o->sort_key = base_buf_view(&key);
    return rc;
}

static int note_sorted(struct cqli_output *o, size_t at)
{
    if (o->sorted_count == o->sorted_cap) {
        size_t cap = o->sorted_cap ? 2 * o->sorted_cap : 64;
        struct cqli_sort_row *more = base_arena_alloc(o->exec->arena, cap * sizeof *more);
        if (!more)
            return BASE_E_NOMEM;
        if (o->sorted_count)
            memcpy(more, o->sorted, o->sorted_count * sizeof *more);
        o->sorted = more;
        o->sorted_cap = cap;
    }
    o->sorted[o->sorted_count] =
        (struct cqli_sort_row){o->sort_key, at, o->exec->result.rows.len - at, o->sorted_count};
    o->sorted_count++;
    return BASE_OK;
}

int cqli_output_row(struct cqli_output *o)
{
    struct cql_result *result = &o->exec->result;
    size_t start = result->rows.len;
    int rc = BASE_OK;
    if (o->select->sorted && !o->aggregation)
        rc = make_sort_key(o);
    if (rc == BASE_OK)
        rc = o->select->json ? put_json_row(o) : put_plain_row(o);
    if (rc == BASE_OK && o->select->sorted)
        rc = note_sorted(o, start);
    if (o->row_arena.size_bytes)
        base_arena_reset(&o->row_arena);
    if (rc != BASE_OK)
        result->rows.len = start;
    else
        result->row_count++;
    return rc;
}

/* Groups. */

/* What names the row's group: its pkey, the first components of its ckey, the expression's
 * worth. */
static int make_group_key(struct cqli_output *o, struct base_buf *key)
{
    const struct cqli_select *select = o->select;
    const struct base_table *table = select->table;
    struct base_reader in = base_reader(o->row.live.ckey);
    base_buf_reset(key);
    int rc = base_buf_put_slice(key, o->row.live.pkey);
    size_t at = key->len; /* values are decoded there, and cut off again */
    for (size_t i = 0; rc == BASE_OK && o->row.live.ckey.len && i < select->group_clustering; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        uint8_t position;
        bool empty;
        rc = base_ckey_get(column->type, column->descending, &in, key, &empty, &position,
                           &o->exec->err);
        key->len = at;
    }
    size_t prefix = o->row.live.ckey.len - base_reader_left(&in);
    if (rc == BASE_OK)
        rc = base_buf_put(key, o->row.live.ckey.data, prefix);
    if (rc == BASE_OK && select->group_expr) {
        struct cql_value value;
        rc = cqli_expr_eval(select->group_expr, &o->eval, &value);
        if (rc == BASE_OK)
            rc = put_value(key, &value);
    }
    return rc;
}

int cqli_output_same_group(struct cqli_output *o, bool *same)
{
    *same = o->in_group;
    if (!o->select->grouped || !o->in_group)
        return BASE_OK;
    int rc = make_group_key(o, &o->key);
    *same = rc == BASE_OK && base_slice_equal(base_buf_view(&o->key), base_buf_view(&o->group_key));
    return rc;
}

int cqli_output_add(struct cqli_output *o)
{
    int rc = BASE_OK;
    if (!o->in_group) {
        cqli_aggregation_reset(o->aggregation);
        if (o->select->grouped)
            rc = make_group_key(o, &o->group_key);
        if (rc == BASE_OK && o->select->sorted)
            rc = make_sort_key(o);
    }
    o->in_group = true;
    if (rc == BASE_OK)
        rc = cqli_aggregation_add(o->aggregation, &o->eval);
    if (o->row_arena.size_bytes)
        base_arena_reset(&o->row_arena);
    return rc;
}

int cqli_output_group(struct cqli_output *o)
{
    int rc = cqli_output_row(o);
    if (rc == BASE_OK)
        o->in_group = false;
    return rc;
}

/* Sorting. */

static int compare_rows(const void *a, const void *b)
{
    const struct cqli_sort_row *x = a, *y = b;
    int c = base_slice_compare(x->key, y->key);
    return c ? c : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

int cqli_output_sort(struct cqli_output *o, uint64_t limit)
{
    struct cql_result *result = &o->exec->result;
    struct base_buf sorted;
    if (o->sorted_count > 1)
        qsort(o->sorted, o->sorted_count, sizeof *o->sorted, compare_rows);
    size_t n = o->sorted_count < limit ? o->sorted_count : (size_t)limit;
    base_buf_init(&sorted, result->rows.len_max);
    int rc = base_buf_reserve(&sorted, result->rows.len);
    for (size_t i = 0; rc == BASE_OK && i < n; i++)
        rc = base_buf_put(&sorted, result->rows.data + o->sorted[i].at, o->sorted[i].len);
    if (rc != BASE_OK) {
        base_buf_fini(&sorted);
        return base_err_set(&o->exec->err, rc, "%s", base_err_words(rc));
    }
    base_buf_fini(&result->rows);
    result->rows = sorted;
    result->row_count = (uint32_t)n;
    return BASE_OK;
}
