/* Numbers of one type as another, as Java's Number does it: narrowing takes the low bits, floats
 * saturate, and what goes through text (decimals, varints to floats) rounds once. */
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

int64_t cqli_number_i64(const struct base_type *type, struct base_slice value)
{
    BASE_ASSERT(type->kind != BASE_TYPE_DECIMAL);
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return cqli_number_saturate(double_of(value), INT64_MIN, INT64_MAX);
    case BASE_TYPE_FLOAT:
        return cqli_number_saturate((double)float_of(value), INT64_MIN, INT64_MAX);
    default:
        return fixed(value);
    }
}

double cqli_number_double(const struct base_type *type, struct base_slice value)
{
    BASE_ASSERT(type->kind != BASE_TYPE_VARINT && type->kind != BASE_TYPE_DECIMAL);
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return double_of(value);
    case BASE_TYPE_FLOAT:
        return (double)float_of(value);
    default:
        return (double)fixed(value);
    }
}

float cqli_number_float(const struct base_type *type, struct base_slice value)
{
    BASE_ASSERT(type->kind != BASE_TYPE_VARINT && type->kind != BASE_TYPE_DECIMAL);
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return (float)double_of(value);
    case BASE_TYPE_FLOAT:
        return float_of(value);
    default:
        return (float)fixed(value);
    }
}

/* More digits than a double's rounding looks at are cut off the mantissa: "d.ddd…E±x", or digits
 * with a point. */
static void shorten(struct base_buf *text)
{
    enum { ENOUGH = 900 };
    const uint8_t *e = memchr(text->data, 'E', text->len),
                  *point = memchr(text->data, '.', text->len);
    const size_t tail = e ? (size_t)(text->data + text->len - e) : 0;
    if (text->len <= ENOUGH || !point || point - text->data > ENOUGH)
        return; /* a whole number that long is infinite */
    if (tail)
        memmove(text->data + ENOUGH, e, tail);
    text->len = ENOUGH + tail;
}

int cqli_number_from_exact(const struct base_type *type, struct base_slice value,
                           enum base_type_kind to, struct base_buf *out)
{
    const struct base_type *target = base_type_scalar(to);
    struct base_buf text;
    base_buf_init(&text, CQLI_VALUE_LEN_MAX);
    int rc = base_value_to_text(type, value, &text, NULL);
    if (rc == BASE_OK) {
        const bool negative = text.len && text.data[0] == '-';
        shorten(&text);
        rc = base_scalar_from_text(target, base_buf_view(&text), out);
        if (rc == BASE_E_INVALID) /* beyond the type's range */
            rc = to == BASE_TYPE_DOUBLE
                     ? cqli_number_put_double(negative ? -HUGE_VAL : HUGE_VAL, out)
                     : cqli_number_put_float(negative ? -HUGE_VALF : HUGE_VALF, out);
    }
    base_buf_fini(&text);
    return rc;
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
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_FLOAT: /* its shortest text: 5.2f is 5.2 */
        base_buf_init(&text, 64);
        rc = type->kind == BASE_TYPE_FLOAT ? base_float_java_text(float_of(value), &text)
                                           : base_double_java_text(double_of(value), &text);
        if (rc == BASE_OK)
            rc = base_scalar_from_text(base_type_scalar(BASE_TYPE_DECIMAL), base_buf_view(&text),
                                       out);
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
    size_t size = kind == BASE_TYPE_TINYINT    ? 1
                  : kind == BASE_TYPE_SMALLINT ? 2
                  : kind == BASE_TYPE_INT      ? 4
                                               : 8;
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
