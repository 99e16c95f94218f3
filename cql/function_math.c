/* abs, exp, log, log10, round: of every number type, to the same type, as Java computes and
 * narrows. */
#include "cql/function.h"

#include "base/arith.h"

#include <math.h>

enum { ABS, EXP, LOG, LOG10, ROUND };

/* Math.round: half towards positive infinity, as a long; of a float as an int. */
static double round_half_up(double v)
{
    double low = floor(v);
    return v - low >= 0.5 ? low + 1 : low;
}

static double apply(int op, double v)
{
    switch (op) {
    case ABS:
        return fabs(v);
    case EXP:
        return exp(v);
    case LOG:
        return log(v);
    case LOG10:
        return log10(v);
    default:
        return round_half_up(v);
    }
}

static int put_integer(const struct cqli_expr *call, int64_t v, struct base_buf *out)
{
    const enum base_type_kind kind = call->type->kind;
    const bool wide = kind == BASE_TYPE_BIGINT || kind == BASE_TYPE_COUNTER;
    switch (call->function->op) {
    case ABS:
        return cqli_number_put_i64(kind, v < 0 ? (int64_t)(0 - (uint64_t)v) : v, out);
    case ROUND:
        return cqli_number_put_i64(kind, v, out);
    default: /* a double, narrowed */
        v = cqli_number_saturate(apply(call->function->op, (double)v), wide ? INT64_MIN : INT32_MIN,
                                 wide ? INT64_MAX : INT32_MAX);
        return cqli_number_put_i64(kind, v, out);
    }
}

static enum base_decimal_function exact(int op)
{
    return op == EXP ? BASE_DECIMAL_EXP : op == LOG ? BASE_DECIMAL_LOG : BASE_DECIMAL_LOG10;
}

static int put_decimal(int op, struct base_slice value, struct base_buf *out)
{
    switch (op) {
    case ABS:
        return base_decimal_abs(value, out);
    case ROUND:
        return base_decimal_round(value, out);
    default:
        return base_decimal_apply(exact(op), value, out);
    }
}

static int put_varint(int op, struct base_slice value, struct base_buf *out)
{
    struct base_buf decimal, result;
    if (op == ABS)
        return base_varint_abs(value, out);
    if (op == ROUND)
        return base_buf_put_slice(out, value);
    base_buf_init(&decimal, CQLI_VALUE_LEN_MAX);
    base_buf_init(&result, CQLI_VALUE_LEN_MAX);
    int rc = base_decimal_from_varint(value, &decimal);
    if (rc == BASE_OK)
        rc = base_decimal_apply(exact(op), base_buf_view(&decimal), &result);
    if (rc == BASE_OK)
        rc = base_decimal_to_varint(base_buf_view(&result), out);
    base_buf_fini(&decimal);
    base_buf_fini(&result);
    return rc;
}

static int run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval,
               struct cql_value *out)
{
    const struct base_type *type = call->type;
    const int op = call->function->op;
    struct base_slice value = args[0].bytes;
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc;
    switch (type->kind) {
    case BASE_TYPE_DECIMAL:
        rc = put_decimal(op, value, &buf);
        break;
    case BASE_TYPE_VARINT:
        rc = put_varint(op, value, &buf);
        break;
    case BASE_TYPE_DOUBLE: {
        double v = apply(op, cqli_number_double(type, value));
        rc = cqli_number_put_double(
            op == ROUND ? (double)cqli_number_saturate(v, INT64_MIN, INT64_MAX) : v, &buf);
        break;
    }
    case BASE_TYPE_FLOAT: {
        double v = apply(op, cqli_number_double(type, value));
        rc = cqli_number_put_float(
            op == ROUND ? (float)cqli_number_saturate(v, INT32_MIN, INT32_MAX) : (float)v, &buf);
        break;
    }
    default:
        rc = put_integer(call, cqli_number_i64(type, value), &buf);
        break;
    }
    if (rc == BASE_E_INVALID)
        rc = cqli_function_failed(
            eval->err,
            (const char *const[]){call->function->name,
                                  type->kind == BASE_TYPE_VARINT ? "varint" : "decimal"},
            2, "execution of 'system.%s' failed: %s of number zero or less", call->function->name,
            op == LOG ? "Natural log" : "Log10");
    return cqli_eval_take(eval, &buf, rc, out);
}

#define OF(type)                                                                                   \
    {"abs", 0, run, type, 1, {type}, ABS}, {"exp", 0, run, type, 1, {type}, EXP},                  \
        {"log", 0, run, type, 1, {type}, LOG}, {"log10", 0, run, type, 1, {type}, LOG10},          \
    {                                                                                              \
        "round", 0, run, type, 1, {type}, ROUND                                                    \
    }
static const struct cqli_function functions[] = {
    OF(BASE_TYPE_TINYINT), OF(BASE_TYPE_SMALLINT), OF(BASE_TYPE_INT),
    OF(BASE_TYPE_BIGINT),  OF(BASE_TYPE_FLOAT),    OF(BASE_TYPE_DOUBLE),
    OF(BASE_TYPE_VARINT),  OF(BASE_TYPE_DECIMAL),  OF(BASE_TYPE_COUNTER),
};
const struct cqli_signatures cqli_functions_math = {functions, BASE_COUNT(functions)};
