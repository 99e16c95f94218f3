/* count, min, max, sum and avg of values of one type, with Cassandra's result types: a sum is of
 * its numbers' type and wraps around, an average of whole numbers is a whole one, of the exact
 * sum. */
#include "cql/aggregate.h"

#include "base/arith.h"

static bool is_float(const struct base_type *type)
{
    return type->kind == BASE_TYPE_FLOAT || type->kind == BASE_TYPE_DOUBLE;
}

static bool is_exact(const struct base_type *type)
{
    return type->kind == BASE_TYPE_VARINT || type->kind == BASE_TYPE_DECIMAL;
}

void cqli_accumulator_init(struct cqli_accumulator *a, struct base_arena *arena,
                           enum cqli_aggregate op, const struct base_type *type)
{
    BASE_ASSERT(op < CQLI_SUM || cqli_type_is_number(type));
    *a = (struct cqli_accumulator){.arena = arena, .op = op, .type = type};
}

void cqli_accumulator_reset(struct cqli_accumulator *a)
{
    *a = (struct cqli_accumulator){.arena = a->arena,
                                   .op = a->op,
                                   .type = a->type,
                                   .room = a->room,
                                   .room_size = a->room_size};
}

static int keep(struct cqli_accumulator *a, struct base_slice value, struct base_err *err)
{
    if (value.len > a->room_size) {
        a->room_size = 0;
        if (!(a->room = base_arena_alloc(a->arena, value.len * 2)))
            return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        a->room_size = value.len * 2;
    }
    if (value.len)
        memmove(a->room, value.data, value.len);
    a->value = base_slice(a->room, value.len);
    a->has_value = true;
    return BASE_OK;
}

static int add_exact(struct cqli_accumulator *a, struct base_slice value, struct base_err *err)
{
    struct base_buf sum;
    if (!a->has_value)
        return keep(a, value, err);
    base_buf_init(&sum, CQLI_VALUE_LEN_MAX);
    int rc = a->type->kind == BASE_TYPE_VARINT
                 ? base_varint_arith(BASE_ADD, a->value, value, &sum)
                 : base_decimal_arith(BASE_ADD, a->value, value, &sum);
    if (rc == BASE_OK)
        rc = keep(a, base_buf_view(&sum), err);
    else if (rc == BASE_E_LIMIT)
        rc = base_err_set(err, BASE_E_INVALID, "the sum has too many digits");
    else
        rc = base_err_set(err, rc, "%s", base_err_words(rc));
    base_buf_fini(&sum);
    return rc;
}

static void add_float(struct cqli_accumulator *a, long double v)
{
    long double sum = a->sum + v;
    long double larger = __builtin_fabsl(a->sum) >= __builtin_fabsl(v) ? a->sum : v,
                smaller = larger == a->sum ? v : a->sum;
    a->lost += larger - sum + smaller;
    a->sum = sum;
}

int cqli_accumulator_add(struct cqli_accumulator *a, struct base_slice value, struct base_err *err)
{
    const struct cql_value given = {.bytes = value};
    if (a->op >= CQLI_SUM && cqli_value_is_missing(a->type, &given))
        return BASE_OK; /* an empty number is none */
    a->count++;
    switch (a->op) {
    case CQLI_COUNT:
        return BASE_OK;
    case CQLI_MIN:
    case CQLI_MAX:
        if (a->has_value) {
            int c = base_value_compare(a->type, value, a->value);
            if (a->op == CQLI_MIN ? c >= 0 : c <= 0)
                return BASE_OK;
        }
        return keep(a, value, err);
    case CQLI_SUM:
    case CQLI_AVG:
        break;
    }
    if (is_exact(a->type))
        return add_exact(a, value, err);
    if (is_float(a->type))
        add_float(a, (long double)cqli_number_double(a->type, value));
    else
        a->whole += cqli_number_i64(a->type, value);
    return BASE_OK;
}

static int put_exact(const struct cqli_accumulator *a, struct base_buf *out)
{
    const bool varint = a->type->kind == BASE_TYPE_VARINT;
    if (!a->has_value)
        return varint ? base_buf_put(out, "\0", 1) : base_buf_put(out, "\0\0\0\0\0", 5);
    if (a->op == CQLI_SUM)
        return base_buf_put_slice(out, a->value);
    if (!varint)
        return base_decimal_average(a->value, a->count, out);
    struct base_buf count;
    base_buf_init(&count, 16);
    int rc = base_varint_from_i64((int64_t)a->count, &count);
    if (rc == BASE_OK)
        rc = base_varint_arith(BASE_DIVIDE, a->value, base_buf_view(&count), out);
    base_buf_fini(&count);
    return rc;
}

static int put_float(const struct cqli_accumulator *a, struct base_buf *out)
{
    long double total = a->sum + a->lost;
    if (total != total) /* infinities leave no difference that is lost */
        total = a->sum;
    if (a->op == CQLI_AVG)
        total = a->count ? total / (long double)a->count : 0;
    return a->type->kind == BASE_TYPE_FLOAT ? cqli_number_put_float((float)total, out)
                                            : cqli_number_put_double((double)total, out);
}

int cqli_accumulator_result(const struct cqli_accumulator *a, struct cqli_eval *eval,
                            struct cql_value *out)
{
    struct base_buf buf;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (a->op == CQLI_MIN || a->op == CQLI_MAX)
        return a->has_value ? cqli_eval_copy(eval, a->value.data, a->value.len, out) : BASE_OK;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc;
    if (a->op == CQLI_COUNT)
        rc = cqli_number_put_i64(BASE_TYPE_BIGINT, (int64_t)a->count, &buf);
    else if (is_exact(a->type))
        rc = put_exact(a, &buf);
    else if (is_float(a->type))
        rc = put_float(a, &buf);
    else if (a->op == CQLI_SUM)
        rc = cqli_number_put_i64(a->type->kind, (int64_t)(uint64_t)(unsigned __int128)a->whole,
                                 &buf);
    else
        rc = cqli_number_put_i64(a->type->kind,
                                 a->count ? (int64_t)(a->whole / (__int128)a->count) : 0, &buf);
    return cqli_eval_take(eval, &buf, rc, out);
}
