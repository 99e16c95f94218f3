/* A plan and its arguments become keys and slices.
 *
 * 1. Operands are converted exactly: what no value of the type equals matches nothing; a range's
 *    bound moves to the next value that exists (c < 7.5 is c <= 7). NULL matches nothing.
 * 2. IN lists multiply; partitions and slices come out ascending, each once, so that the order we
 *    claim is right.
 * 3. Bounds are positions around a value: descending columns swap the ends. */
#include "vtab/vtab_private.h"

#include "base/key.h"

#define PRODUCT_MAX 1000000u /* keys or slices of one query's IN lists */

/* Values that one key column may have. */
struct list {
    size_t first, count; /* in spans */
};
struct lists {
    struct list *lists; /* one a key column */
    struct value_span {
        size_t at, len;
    } * spans; /* in request->values */
    size_t span_count, span_cap;
    size_t *odometer;
    struct base_slice *tuple;
};

void vtabi_request_init(struct vtabi_request *request)
{
    *request = (struct vtabi_request){0};
    base_buf_init(&request->values, VTABI_BUF_MAX);
    base_buf_init(&request->keys, VTABI_BUF_MAX);
    base_buf_init(&request->bounds, VTABI_BUF_MAX);
}

void vtabi_request_fini(struct vtabi_request *request)
{
    base_buf_fini(&request->values);
    base_buf_fini(&request->keys);
    base_buf_fini(&request->bounds);
    sqlite3_free(request->parts);
    sqlite3_free(request->ranges);
    *request = (struct vtabi_request){0};
}

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "out of memory");
}

/* Room for one more element. */
static int grow(void **array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return BASE_OK;
    size_t more = *cap ? 2 * *cap : 4;
    void *grown = sqlite3_realloc64(*array, more * size);
    if (!grown)
        return BASE_E_NOMEM;
    *array = grown;
    *cap = more;
    return BASE_OK;
}

static int add_part(struct vtabi_request *request, size_t at, size_t pkey_len)
{
    void *parts = request->parts;
    int rc = grow(&parts, request->part_count, &request->part_cap, sizeof request->parts[0]);
    request->parts = parts;
    if (rc == BASE_OK)
        request->parts[request->part_count++] =
            (struct vtabi_span){at, request->keys.len - at, pkey_len};
    return rc;
}

/* Rows by k. */

/* What is no key of ours matches nothing. */
static int add_key(struct vtabi_request *request, sqlite3_value *in)
{
    if (sqlite3_value_type(in) != SQLITE_BLOB)
        return BASE_OK;
    struct base_slice key = base_slice(sqlite3_value_blob(in), (size_t)sqlite3_value_bytes(in));
    size_t pkey_len = key.len ? base_pkey_len(key) : 0;
    if (pkey_len == 0 || (pkey_len < key.len && key.data[key.len - 1] != BASE_KEY_AT))
        return BASE_OK;
    size_t at = request->keys.len;
    int rc = base_buf_put_slice(&request->keys, key);
    return rc == BASE_OK ? add_part(request, at, pkey_len) : rc;
}

static int build_keys(struct vtabi_request *request, const struct vtabi_plan *plan,
                      sqlite3_value *in, struct base_err *err)
{
    int rc = BASE_OK;
    if (!plan->in) {
        rc = add_key(request, in);
    } else {
        sqlite3_value *value;
        for (int sqlite = sqlite3_vtab_in_first(in, &value);
             rc == BASE_OK && sqlite == SQLITE_OK && value;
             sqlite = sqlite3_vtab_in_next(in, &value))
            rc = add_key(request, value);
    }
    return rc == BASE_OK ? rc : no_memory(err);
}

/* Values of key columns. */

static int add_value(struct vtabi_request *request, struct lists *lists, struct list *list,
                     const struct base_column *column, sqlite3_value *in, struct base_err *err)
{
    bool none;
    size_t at = request->values.len;
    int rc = vtabi_operand_equal(request->table, column, in, &request->values, &none, err);
    if (rc != BASE_OK || none)
        return rc;
    void *spans = lists->spans;
    rc = grow(&spans, lists->span_count, &lists->span_cap, sizeof lists->spans[0]);
    lists->spans = spans;
    if (rc != BASE_OK)
        return no_memory(err);
    lists->spans[lists->span_count++] = (struct value_span){at, request->values.len - at};
    list->count++;
    return BASE_OK;
}

static int add_list(struct vtabi_request *request, struct lists *lists, struct list *list,
                    const struct base_column *column, bool may_be_in, sqlite3_value *in,
                    struct base_err *err)
{
    sqlite3_value *value = NULL;
    *list = (struct list){lists->span_count, 0};
    int sqlite = may_be_in ? sqlite3_vtab_in_first(in, &value) : SQLITE_ERROR;
    if (sqlite != SQLITE_OK && sqlite != SQLITE_DONE)
        return add_value(request, lists, list, column, in, err);
    int rc = BASE_OK;
    for (; rc == BASE_OK && sqlite == SQLITE_OK && value; sqlite = sqlite3_vtab_in_next(in, &value))
        rc = add_value(request, lists, list, column, value, err);
    return rc;
}

static int lists_init(struct lists *lists, size_t count)
{
    *lists = (struct lists){0};
    uint8_t *block =
        sqlite3_malloc64((count + 1) * (sizeof lists->lists[0] + sizeof lists->odometer[0] +
                                        sizeof lists->tuple[0]));
    if (!block)
        return BASE_E_NOMEM;
    lists->lists = (struct list *)(void *)block;
    lists->tuple = (struct base_slice *)(void *)(lists->lists + count + 1);
    lists->odometer = (size_t *)(void *)(lists->tuple + count + 1);
    return BASE_OK;
}

static void lists_fini(struct lists *lists)
{
    sqlite3_free(lists->lists);
    sqlite3_free(lists->spans);
}

/* The combinations of lists [first, first + n), one after the other. False when there is none
 * (left). */
static bool tuple_first(const struct vtabi_request *request, struct lists *lists, size_t first,
                        size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        if (lists->lists[i].count == 0)
            return false;
        lists->odometer[i] = 0;
        struct value_span span = lists->spans[lists->lists[i].first];
        lists->tuple[i] = base_slice(request->values.data + span.at, span.len);
    }
    return true;
}

static bool tuple_next(const struct vtabi_request *request, struct lists *lists, size_t first,
                       size_t n)
{
    for (size_t i = first + n; i-- > first;) {
        bool carry = ++lists->odometer[i] == lists->lists[i].count;
        if (carry)
            lists->odometer[i] = 0;
        struct value_span span = lists->spans[lists->lists[i].first + lists->odometer[i]];
        lists->tuple[i] = base_slice(request->values.data + span.at, span.len);
        if (!carry)
            return true;
    }
    return false;
}

static int too_many(struct base_err *err)
{
    return base_err_set(err, BASE_E_LIMIT, "the query's IN lists make more than %u combinations",
                        PRODUCT_MAX);
}

/* Partitions. */

static int build_partitions(struct vtabi_request *request, struct lists *lists, size_t n,
                            struct base_err *err)
{
    struct base_buf pk;
    int rc = BASE_OK;
    base_buf_init(&pk, BASE_PKEY_LEN_MAX);
    for (bool more = tuple_first(request, lists, 0, n); more && rc == BASE_OK;
         more = tuple_next(request, lists, 0, n)) {
        size_t at = request->keys.len;
        base_buf_reset(&pk);
        rc = base_pk_compose(lists->tuple, n, &pk, err);
        if (rc == BASE_E_INVALID || rc == BASE_E_LIMIT) { /* no partition can have this key */
            rc = BASE_OK;
            continue;
        }
        if (rc == BASE_OK)
            rc = base_pkey_put(base_buf_view(&pk), &request->keys);
        if (rc == BASE_OK)
            rc = add_part(request, at, request->keys.len - at);
        if (rc == BASE_OK && request->part_count > PRODUCT_MAX)
            rc = too_many(err);
    }
    base_buf_fini(&pk);
    return rc;
}

static int compare_parts(const void *a, const void *b, void *keys)
{
    const struct vtabi_span *x = a, *y = b;
    const uint8_t *data = ((struct base_buf *)keys)->data;
    return base_slice_compare(base_slice(data + x->at, x->len), base_slice(data + y->at, y->len));
}

static void sort_parts(struct vtabi_request *request)
{
    size_t kept = 0;
    if (request->part_count < 2)
        return;
    qsort_r(request->parts, request->part_count, sizeof request->parts[0], compare_parts,
            &request->keys);
    for (size_t i = 0; i < request->part_count; i++)
        if (kept == 0 ||
            compare_parts(&request->parts[kept - 1], &request->parts[i], &request->keys) != 0)
            request->parts[kept++] = request->parts[i];
    request->part_count = kept;
}

/* Slices. */

/* One end of a range on the column after the prefix, encoded. */
struct bound {
    bool given; /* there is a bound (after adjusting) */
    bool strict;
    struct base_buf bytes; /* base_ckey_put's */
};

/* *nothing: no value satisfies it. */
static int convert_bound(const struct vtabi_table *table, struct bound *bound, bool is_lower,
                         bool strict, const struct base_column *column, sqlite3_value *in,
                         bool *nothing, struct base_err *err)
{
    struct base_sql_value sql;
    struct base_buf value;
    enum base_operand operand = BASE_OPERAND_NONE;
    int rc = BASE_OK;
    bool exact = true;
    base_buf_init(&value, VTABI_BUF_MAX);
    vtabi_value_get(in, &sql);
    if (sql.kind != BASE_SQL_NULL)
        rc = base_operand_from_sql(column->type, &sql, &operand, &value, err);
    if (rc != BASE_OK)
        rc = vtabi_wrap_column(table, column, rc, err);
    switch (rc == BASE_OK ? operand : BASE_OPERAND_LOW) {
    case BASE_OPERAND_NONE:
        *nothing = true;
        break;
    case BASE_OPERAND_LOW:
        *nothing |= !is_lower;
        break;
    case BASE_OPERAND_HIGH:
        *nothing |= is_lower;
        break;
    case BASE_OPERAND_BELOW:
    case BASE_OPERAND_EXACT:
        bound->given = true;
        bound->strict = operand == BASE_OPERAND_EXACT ? strict : is_lower;
        rc = base_ckey_put(column->type, column->descending, base_buf_view(&value), &bound->bytes,
                           &exact, err);
        break;
    }
    base_buf_fini(&value);
    return rc;
}

/* Append prefix, the bound's component and a position. */
static int put_position(struct base_buf *out, size_t prefix_at, size_t prefix_len,
                        const struct bound *bound, enum base_key_byte position)
{
    int rc = base_buf_reserve(out, prefix_len);
    if (rc == BASE_OK && prefix_len) {
        memcpy(out->data + out->len, out->data + prefix_at, prefix_len);
        out->len += prefix_len;
    }
    if (rc == BASE_OK && bound)
        rc = base_buf_put_slice(out, base_buf_view(&bound->bytes));
    return rc == BASE_OK ? base_ckey_end(position, out) : rc;
}

/* The range of one prefix. While they are built, ranges hold offsets into `bounds` as lengths from
 * NULL. */
struct range_span {
    size_t lo, lo_len, hi, hi_len;
};

static int put_range(struct base_buf *out, size_t at, bool full, bool descending,
                     const struct bound *lower, const struct bound *upper, struct range_span *span)
{
    size_t prefix_len = out->len - at;
    if (full) {
        *span = (struct range_span){at, prefix_len + 1, at, prefix_len + 1};
        return base_ckey_end(BASE_KEY_AT, out);
    }
    const struct bound *lo = descending ? upper : lower, *hi = descending ? lower : upper;
    lo = lo->given ? lo : NULL;
    hi = hi->given ? hi : NULL;
    span->lo = out->len;
    int rc =
        put_position(out, at, prefix_len, lo, lo && lo->strict ? BASE_KEY_AFTER : BASE_KEY_BEFORE);
    span->lo_len = out->len - span->lo;
    span->hi = out->len;
    if (rc == BASE_OK)
        rc = put_position(out, at, prefix_len, hi,
                          hi && hi->strict ? BASE_KEY_BEFORE : BASE_KEY_AFTER);
    span->hi_len = out->len - span->hi;
    return rc;
}

static int compare_ranges(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_range *)a)->lo,
                              ((const struct base_range *)b)->lo);
}

/* Offsets to slices, empty ranges out, ascending, each once. */
static int finish_ranges(struct vtabi_request *request, const struct range_span *spans,
                         size_t count)
{
    const uint8_t *data = request->bounds.data;
    if (count > request->range_cap) {
        struct base_range *grown = sqlite3_realloc64(request->ranges, count * sizeof *grown);
        if (!grown)
            return BASE_E_NOMEM;
        request->ranges = grown;
        request->range_cap = count;
    }
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct base_range range = {{data + spans[i].lo, spans[i].lo_len},
                                   {data + spans[i].hi, spans[i].hi_len}};
        if (base_slice_compare(range.lo, range.hi) <= 0)
            request->ranges[n++] = range;
    }
    if (n > 1)
        qsort(request->ranges, n, sizeof request->ranges[0], compare_ranges);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || compare_ranges(&request->ranges[kept - 1], &request->ranges[i]) != 0)
            request->ranges[kept++] = request->ranges[i];
    request->range_count = kept;
    return BASE_OK;
}

static int put_prefix(struct vtabi_request *request, const struct base_table *schema,
                      const struct base_slice *values, size_t n, struct base_err *err)
{
    const struct base_column *columns = schema->columns + schema->partition_key_count;
    bool exact = true;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < n; i++)
        rc = base_ckey_put(columns[i].type, columns[i].descending, values[i], &request->bounds,
                           &exact, err);
    return rc;
}

static int build_slices(struct vtabi_request *request, struct lists *lists,
                        const struct base_table *schema, const struct vtabi_plan *plan,
                        const struct bound *lower, const struct bound *upper, struct base_err *err)
{
    size_t first = schema->partition_key_count, n = plan->prefix_count, count = 0, cap = 0;
    bool full = n == schema->clustering_count;
    bool descending = !full && schema->columns[first + n].descending;
    struct range_span one, *spans = &one;
    int rc = BASE_OK;
    void *grown = NULL;
    for (bool more = tuple_first(request, lists, first, n); more && rc == BASE_OK;
         more = tuple_next(request, lists, first, n)) {
        size_t at = request->bounds.len;
        if (count > 0 && count >= cap) { /* the second slice: from the stack to the heap */
            rc = grow(&grown, count, &cap, sizeof *spans);
            if (rc != BASE_OK)
                break;
            if (spans == &one)
                *(struct range_span *)grown = one;
            spans = grown;
        }
        rc = put_prefix(request, schema, lists->tuple + first, n, err);
        if (rc == BASE_OK)
            rc = put_range(&request->bounds, at, full, descending, lower, upper, &spans[count]);
        if (rc == BASE_E_LIMIT) { /* longer than any key: no such row */
            request->bounds.len = at;
            rc = BASE_OK;
            continue;
        }
        if (rc == BASE_OK && ++count > PRODUCT_MAX)
            rc = too_many(err);
    }
    if (rc == BASE_OK)
        rc = finish_ranges(request, spans, count);
    sqlite3_free(grown);
    return rc;
}

/* All. */

static int convert_bounds(const struct vtabi_table *table, const struct vtabi_plan *plan,
                          const struct base_table *schema, sqlite3_value **argv, int *used,
                          struct bound *lower, struct bound *upper, bool *nothing,
                          struct base_err *err)
{
    int rc = BASE_OK;
    if (!plan->lower && !plan->upper)
        return rc;
    const struct base_column *column =
        &schema->columns[schema->partition_key_count + plan->prefix_count];
    if (plan->lower)
        rc = convert_bound(table, lower, true, plan->lower == VTABI_BOUND_STRICT, column,
                           argv[(*used)++], nothing, err);
    if (rc == BASE_OK && plan->upper)
        rc = convert_bound(table, upper, false, plan->upper == VTABI_BOUND_STRICT, column,
                           argv[(*used)++], nothing, err);
    return rc;
}

static int build_partition(struct vtabi_request *request, const struct base_table *schema,
                           const struct vtabi_plan *plan, sqlite3_value **argv, int *used,
                           struct base_err *err)
{
    struct lists lists;
    struct bound lower = {0}, upper = {0};
    size_t keys = schema->partition_key_count + plan->prefix_count;
    bool nothing = false;
    int rc = lists_init(&lists, keys);
    if (rc != BASE_OK)
        return no_memory(err);
    base_buf_init(&lower.bytes, VTABI_BUF_MAX);
    base_buf_init(&upper.bytes, VTABI_BUF_MAX);
    for (size_t i = 0; rc == BASE_OK && i < keys; i++)
        rc = add_list(request, &lists, &lists.lists[i], &schema->columns[i], plan->in,
                      argv[(*used)++], err);
    if (rc == BASE_OK)
        rc =
            convert_bounds(request->table, plan, schema, argv, used, &lower, &upper, &nothing, err);
    if (rc == BASE_OK && !nothing)
        rc = build_partitions(request, &lists, schema->partition_key_count, err);
    request->whole = plan->prefix_count == 0 && !plan->lower && !plan->upper;
    if (rc == BASE_OK && !nothing && !request->whole)
        rc = build_slices(request, &lists, schema, plan, &lower, &upper, err);
    base_buf_fini(&lower.bytes);
    base_buf_fini(&upper.bytes);
    lists_fini(&lists);
    return rc;
}

int vtabi_request_build(struct vtabi_request *request, const struct vtabi_table *table,
                        const struct vtabi_binding *binding, const struct vtabi_plan *plan,
                        sqlite3_value **argv, int *used, struct base_err *err)
{
    int rc = BASE_OK;
    base_buf_reset(&request->values);
    base_buf_reset(&request->keys);
    base_buf_reset(&request->bounds);
    request->table = table;
    request->part_count = request->range_count = 0;
    request->whole = false;
    *used = 0;
    if (plan->kind == VTABI_PLAN_KEY)
        rc = build_keys(request, plan, argv[(*used)++], err);
    else if (plan->kind == VTABI_PLAN_PARTITION)
        rc = build_partition(request, binding->table, plan, argv, used, err);
    if (rc == BASE_OK)
        sort_parts(request);
    return rc;
}
