/* Numbers of one type as another, as Java's Number does it: narrowing takes the low bits, floats saturate, and what goes through text
 * (decimals, varints to floats) rounds once. */
#include "cql/function.h"

#include "base/arith.h"

#include <math.h>

int64_t cqli_number_saturate(double v, int64_t min, int64_t max)
{
    if (v != v)
        return 0;
    if (v <= (double)min)
        return min;
    return v >= (double)max ? max : (int64_t)v;
}

static int64_t fixed(struct base_slice value)
{
    return base_varint_to_i64(value); /* big-endian two's complement of any length */
}

static double double_of(struct base_slice value)
{
    double v;
    uint64_t bits = base_get_be64(value.data);
    memcpy(&v, &bits, 8);
    return v;
}

static float float_of(struct base_slice value)
{
    float v;
    uint32_t bits = base_get_be32(value.data);
    memcpy(&v, &bits, 4);
    return v;
}

static int64_t decimal_i64(struct base_slice value)
{
    struct base_buf whole;
    base_buf_init(&whole, CQLI_VALUE_LEN_MAX);
    /* Beyond what we compute its low bits are zeros: a power of ten is behind it. */
    int64_t v = base_decimal_to_varint(value, &whole) == BASE_OK ? fixed(base_buf_view(&whole)) : 0;
    base_buf_fini(&whole);
    return v;
}

int64_t cqli_number_i64(const struct base_type *type, struct base_slice value)
{
    switch (type->kind) {
    case BASE_TYPE_DECIMAL:
        return decimal_i64(value);
    case BASE_TYPE_DOUBLE:
        return cqli_number_saturate(double_of(value), INT64_MIN, INT64_MAX);
    case BASE_TYPE_FLOAT:
        return cqli_number_saturate((double)float_of(value), INT64_MIN, INT64_MAX);
    default:
        return fixed(value);
    }
}

/* A varint or decimal by its text. False: it is infinite there; *negative its sign. */
static bool through_text(const struct base_type *type, struct base_slice value, enum base_type_kind to, struct base_buf *out, bool *negative)
{
    struct base_buf text;
    base_buf_init(&text, CQLI_VALUE_LEN_MAX);
    bool ok = base_value_to_text(type, value, &text, NULL) == BASE_OK;
    *negative = ok && text.len && text.data[0] == '-';
    ok = ok && base_scalar_from_text(base_type_scalar(to), base_buf_view(&text), out) == BASE_OK;
    base_buf_fini(&text);
    return ok;
}

double cqli_number_double(const struct base_type *type, struct base_slice value)
{
    struct base_buf bytes;
    bool negative;
    double v;
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return double_of(value);
    case BASE_TYPE_FLOAT:
        return (double)float_of(value);
    case BASE_TYPE_VARINT: case BASE_TYPE_DECIMAL:
        base_buf_init(&bytes, 8);
        v = through_text(type, value, BASE_TYPE_DOUBLE, &bytes, &negative) ? double_of(base_buf_view(&bytes)) : negative ? -HUGE_VAL : HUGE_VAL;
        base_buf_fini(&bytes);
        return v;
    default:
        return (double)fixed(value);
    }
}

float cqli_number_float(const struct base_type *type, struct base_slice value)
{
    struct base_buf bytes;
    bool negative;
    float v;
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return (float)double_of(value);
    case BASE_TYPE_FLOAT:
        return float_of(value);
    case BASE_TYPE_VARINT: case BASE_TYPE_DECIMAL:
        base_buf_init(&bytes, 8);
        v = through_text(type, value, BASE_TYPE_FLOAT, &bytes, &negative) ? float_of(base_buf_view(&bytes)) : negative ? -HUGE_VALF : HUGE_VALF;
        base_buf_fini(&bytes);
        return v;
    default:
        return (float)fixed(value);
    }
}

int cqli_number_varint(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    switch (type->kind) {
    case BASE_TYPE_VARINT:
        return base_buf_put_slice(out, value);
    case BASE_TYPE_DECIMAL:
        return base_decimal_to_varint(value, out);
    default:
        return base_varint_from_i64(cqli_number_i64(type, value), out);
    }
}

int cqli_number_decimal(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    struct base_buf text;
    int rc;
    switch (type->kind) {
    case BASE_TYPE_DECIMAL:
        return base_buf_put_slice(out, value);
    case BASE_TYPE_VARINT:
        return base_decimal_from_varint(value, out);
    case BASE_TYPE_DOUBLE: case BASE_TYPE_FLOAT: /* BigDecimal.valueOf(double): its shortest text */
        base_buf_init(&text, 64);
        rc = base_double_java_text(cqli_number_double(type, value), &text);
        if (rc == BASE_OK)
            rc = base_scalar_from_text(base_type_scalar(BASE_TYPE_DECIMAL), base_buf_view(&text), out);
        base_buf_fini(&text);
        return rc;
    default:
        base_buf_init(&text, 16);
        rc = base_varint_from_i64(fixed(value), &text);
        if (rc == BASE_OK)
            rc = base_decimal_from_varint(base_buf_view(&text), out);
        base_buf_fini(&text);
        return rc;
    }
}

int cqli_number_put_i64(enum base_type_kind kind, int64_t v, struct base_buf *out)
{
    uint8_t bytes[8];
    size_t size = kind == BASE_TYPE_TINYINT ? 1 : kind == BASE_TYPE_SMALLINT ? 2 : kind == BASE_TYPE_INT ? 4 : 8;
    base_put_be64(bytes, (uint64_t)v);
    return base_buf_put(out, bytes + 8 - size, size);
}

int cqli_number_put_double(double v, struct base_buf *out)
{
    uint8_t bytes[8];
    uint64_t bits;
    memcpy(&bits, &v, 8);
    base_put_be64(bytes, v != v ? 0x7FF8000000000000u : bits); /* one NaN, as Java has it */
    return base_buf_put(out, bytes, 8);
}

int cqli_number_put_float(float v, struct base_buf *out)
{
    uint8_t bytes[4];
    uint32_t bits;
    memcpy(&bits, &v, 4);
    base_put_be32(bytes, v != v ? 0x7FC00000u : bits);
    return base_buf_put(out, bytes, 4);
}
