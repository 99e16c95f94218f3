/* SQL values to serialized bytes and back (DESIGN.md §11), and comparison operands.
 *
 * A value that a column takes must be in the type's domain, or the statement is refused. A
 * comparison operand need not be: `tiny < 1000` is true of every tinyint. So operands are placed in
 * the type's order: exactly on a value, between two, below all or above all. */
#include "base/base_private.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* From SQL. */

static int put_integer_text(const struct base_type *type, int64_t v, struct base_buf *out)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)v);
    return basei_scalar_from_text(type, base_slice(text, (size_t)len), out);
}

static int from_integer(const struct base_type *type, int64_t v, struct base_buf *out)
{
    uint8_t bytes[8];
    switch (type->kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_TIMESTAMP:
        base_put_be64(bytes, (uint64_t)v);
        return base_buf_put(out, bytes, 8);
    case BASE_TYPE_INT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
        return basei_integer_put(type->kind, v, out);
    case BASE_TYPE_VARINT:
        return basei_varint_put_i64(out, v);
    case BASE_TYPE_DOUBLE:
        return basei_double_put(out, (double)v);
    case BASE_TYPE_FLOAT:
        return basei_float_put(out, (float)v);
    case BASE_TYPE_BOOLEAN:
        return v == 0 || v == 1 ? base_buf_put_u8(out, (uint8_t)v) : BASE_E_INVALID;
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
        return put_integer_text(type, v, out);
    default:
        return BASE_E_INVALID;
    }
}

static const double TWO_63 = 9223372036854775808.0;

static int from_real(const struct base_type *type, double v, struct base_buf *out)
{
    char text[32];
    switch (type->kind) {
    case BASE_TYPE_DOUBLE:
        return basei_double_put(out, v);
    case BASE_TYPE_FLOAT:
        return isfinite(v) && !isfinite((float)v) ? BASE_E_INVALID : basei_float_put(out, (float)v);
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
        if (!isfinite(v) && type->kind == BASE_TYPE_DECIMAL)
            return BASE_E_INVALID;
        return basei_scalar_from_text(type, base_slice(text, basei_double_print(v, text)), out);
    default:
        break;
    }
    if (!isfinite(v) || v != floor(v))
        return BASE_E_INVALID;
    if (v >= -TWO_63 && v < TWO_63)
        return from_integer(type, (int64_t)v, out);
    if (type->kind != BASE_TYPE_VARINT)
        return BASE_E_INVALID;
    char whole[400];
    int len = snprintf(whole, sizeof whole, "%.0f", v);
    return basei_scalar_from_text(type, base_slice(whole, (size_t)len), out);
}

static int from_blob(const struct base_type *type, struct base_slice bytes, struct base_buf *out)
{
    bool is_uuid = type->kind == BASE_TYPE_UUID || type->kind == BASE_TYPE_TIMEUUID;
    if (type->kind == BASE_TYPE_BLOB ||
        (is_uuid && bytes.len == 16 && base_value_validate(type, bytes, NULL) == BASE_OK))
        return base_buf_put_slice(out, bytes);
    return BASE_E_INVALID;
}

static int convert(const struct base_type *type, const struct base_sql_value *in,
                   struct base_buf *out)
{
    switch (in->kind) {
    case BASE_SQL_INTEGER:
        return from_integer(type, in->integer, out);
    case BASE_SQL_REAL:
        return from_real(type, in->real, out);
    case BASE_SQL_JSON: /* a document in a text column stays as it is */
    case BASE_SQL_TEXT:
        return basei_scalar_from_text(type, in->bytes, out);
    case BASE_SQL_BLOB:
        return from_blob(type, in->bytes, out);
    case BASE_SQL_NULL:
        break;
    }
    return BASE_E_INVALID;
}

static int said(const struct base_type *type, const struct base_sql_value *in, int rc,
                struct base_err *err)
{
    if (rc == BASE_E_INVALID)
        return basei_refuse(type, in, err);
    return base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind), base_err_words(rc));
}

static bool is_text(const struct base_sql_value *in)
{
    return in->kind == BASE_SQL_TEXT || in->kind == BASE_SQL_JSON;
}

int base_value_from_sql(const struct base_type *type, const struct base_sql_value *in,
                        struct base_buf *out, struct base_err *err)
{
    size_t start = out->len;
    int rc;
    if (!basei_is_scalar(type)) {
        if (!is_text(in))
            return basei_refuse(type, in, err);
        return base_value_from_json(type, in->bytes, out, err);
    }
    rc = convert(type, in, out);
    if (BASE_LIKELY(rc == BASE_OK))
        return BASE_OK;
    out->len = start;
    if (in->kind == BASE_SQL_JSON && rc == BASE_E_INVALID && type->kind != BASE_TYPE_ASCII &&
        type->kind != BASE_TYPE_TEXT)
        return base_value_from_json(type, in->bytes, out, err);
    return said(type, in, rc, err);
}

/* Operands. */

/* The number's place among a kind's integers. */
static int place_integer(const struct base_type *type, int64_t floor_value, int side, bool exact,
                         enum base_operand *operand, struct base_buf *out)
{
    int64_t min = INT64_MIN, max = INT64_MAX;
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
        min = INT8_MIN, max = INT8_MAX;
        break;
    case BASE_TYPE_SMALLINT:
        min = INT16_MIN, max = INT16_MAX;
        break;
    case BASE_TYPE_INT:
        min = INT32_MIN, max = INT32_MAX;
        break;
    case BASE_TYPE_BOOLEAN:
        min = 0, max = 1;
        break;
    case BASE_TYPE_DATE:
        min = 0, max = UINT32_MAX;
        break;
    case BASE_TYPE_TIME:
        min = 0, max = BASEI_DAY_NS - 1;
        break;
    default:
        break;
    }
    if (side < 0 || (side == 0 && floor_value < min)) {
        *operand = BASE_OPERAND_LOW;
        return BASE_OK;
    }
    if (side > 0 || floor_value > max) {
        *operand = BASE_OPERAND_HIGH;
        return BASE_OK;
    }
    if (!exact && floor_value == max) {
        *operand = BASE_OPERAND_HIGH;
        return BASE_OK;
    }
    *operand = exact ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
    return from_integer(type, floor_value, out);
}

static int place_real_among_integers(const struct base_type *type, double v,
                                     enum base_operand *operand, struct base_buf *out)
{
    if (v >= TWO_63 || v < -TWO_63)
        return place_integer(type, 0, v < 0 ? -1 : 1, true, operand, out);
    return place_integer(type, (int64_t)floor(v), 0, v == floor(v), operand, out);
}

/* Against a double or float column: a number, exactly. */
static int place_double(const struct base_type *type, double v, bool exact,
                        enum base_operand *operand, struct base_buf *out)
{
    if (type->kind == BASE_TYPE_DOUBLE) {
        *operand = exact ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
        return basei_double_put(out, v);
    }
    float f = (float)v;
    if ((double)f > v)
        f = nextafterf(f, -INFINITY);
    *operand = exact && (double)f == v ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
    return basei_float_put(out, f);
}

static int place_integer_among_doubles(const struct base_type *type, int64_t v,
                                       enum base_operand *operand, struct base_buf *out)
{
    double d = (double)v;
    if (d >= TWO_63 || (int64_t)d > v) /* rounded up: take the double below */
        d = nextafter(d, -INFINITY);
    return place_double(type, d, (int64_t)d == v, operand, out);
}

static int place_real_among_varints(double v, enum base_operand *operand, struct base_buf *out)
{
    if (!isfinite(v)) {
        *operand = v < 0 ? BASE_OPERAND_LOW : BASE_OPERAND_HIGH;
        return BASE_OK;
    }
    *operand = v == floor(v) ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
    return from_real(base_type_scalar(BASE_TYPE_VARINT), floor(v), out);
}

static int place_text(const struct base_type *type, struct base_slice text,
                      enum base_operand *operand, struct base_buf *out)
{
    struct basei_number number;
    int64_t v;
    int side, rc;
    bool exact;
    *operand = BASE_OPERAND_EXACT;
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        if (!basei_number_parse(basei_trim(text), &number))
            return BASE_E_INVALID;
        basei_number_floor(&number, &v, &side, &exact);
        return place_integer(type, v, side, exact, operand, out);
    case BASE_TYPE_VARINT:
        if (!basei_number_parse(basei_trim(text), &number))
            return BASE_E_INVALID;
        rc = basei_varint_put_number(out, &number, &exact);
        *operand = exact ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
        return rc;
    case BASE_TYPE_TIMESTAMP:
        if (!basei_timestamp_parse(text, &v, &exact))
            return BASE_E_INVALID;
        *operand = exact ? BASE_OPERAND_EXACT : BASE_OPERAND_BELOW;
        return from_integer(type, v, out);
    default:
        return basei_scalar_from_text(type, text, out);
    }
}

static int place_number(const struct base_type *type, const struct base_sql_value *in,
                        enum base_operand *operand, struct base_buf *out)
{
    const bool real = in->kind == BASE_SQL_REAL;
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_BOOLEAN:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_TIMESTAMP:
        return real ? place_real_among_integers(type, in->real, operand, out)
                    : place_integer(type, in->integer, 0, true, operand, out);
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_FLOAT:
        return real ? place_double(type, in->real, true, operand, out)
                    : place_integer_among_doubles(type, in->integer, operand, out);
    case BASE_TYPE_VARINT:
        if (real)
            return place_real_among_varints(in->real, operand, out);
        break;
    case BASE_TYPE_DECIMAL:
        if (real && !isfinite(in->real)) {
            *operand = in->real < 0 ? BASE_OPERAND_LOW : BASE_OPERAND_HIGH;
            return BASE_OK;
        }
        break;
    default:
        break;
    }
    return convert(type, in, out);
}

int base_operand_from_sql(const struct base_type *type, const struct base_sql_value *in,
                          enum base_operand *operand, struct base_buf *out, struct base_err *err)
{
    size_t start = out->len;
    int rc;
    *operand = BASE_OPERAND_EXACT;
    switch (in->kind) {
    case BASE_SQL_NULL:
        *operand = BASE_OPERAND_NONE;
        return BASE_OK;
    case BASE_SQL_INTEGER:
    case BASE_SQL_REAL:
        if (in->kind == BASE_SQL_REAL && isnan(in->real)) { /* SQLite's NULL */
            *operand = BASE_OPERAND_NONE;
            return BASE_OK;
        }
        rc = basei_is_scalar(type) ? place_number(type, in, operand, out) : BASE_E_INVALID;
        break;
    case BASE_SQL_TEXT:
    case BASE_SQL_JSON:
        if (!basei_is_scalar(type))
            return base_value_from_json(type, in->bytes, out, err);
        rc = place_text(type, in->bytes, operand, out);
        break;
    default:
        rc = basei_is_scalar(type) ? from_blob(type, in->bytes, out) : BASE_E_INVALID;
        break;
    }
    if (rc == BASE_OK)
        return BASE_OK;
    out->len = start;
    *operand = BASE_OPERAND_NONE;
    return said(type, in, rc, err);
}

/* To SQL. */

static int damaged(const struct base_type *type, struct base_slice value, struct base_err *err)
{
    int rc = base_value_validate(type, value, err);
    return rc == BASE_OK
               ? base_err_set(err, BASE_E_CORRUPT, "damaged %s", basei_kind_name(type->kind))
               : base_err_wrap(err, BASE_E_CORRUPT, "damaged value");
}

static void set_text(struct base_sql_value *out, const struct base_buf *scratch, size_t from,
                     enum base_sql_kind kind)
{
    out->kind = kind;
    out->bytes = base_slice(scratch->data + from, scratch->len - from);
}

/* NaN and the infinities have no place in SQL's REAL. */
static int floating_to_sql(double v, struct base_sql_value *out)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    if (isfinite(v)) {
        out->kind = BASE_SQL_REAL;
        out->real = v;
    } else {
        out->kind = BASE_SQL_TEXT;
        out->bytes = base_slice_str(names[isnan(v) ? 0 : v > 0 ? 1 : 2]);
    }
    return BASE_OK;
}

int base_value_to_sql(const struct base_type *type, struct base_slice value,
                      struct base_sql_value *out, struct base_buf *scratch, struct base_err *err)
{
    size_t size = basei_type_fixed_size(type), start = scratch->len;
    *out = (struct base_sql_value){.kind = BASE_SQL_NULL};
    if (size && value.len != size)
        return value.len == 0 && basei_type_has_empty(type)
                   ? BASE_OK /* CQL's empty value: no SQL value is closer */
                   : damaged(type, value, err);
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        out->kind = BASE_SQL_INTEGER;
        out->integer = basei_integer_get(value);
        return BASE_OK;
    case BASE_TYPE_BOOLEAN:
        out->kind = BASE_SQL_INTEGER;
        out->integer = value.data[0] != 0;
        return BASE_OK;
    case BASE_TYPE_DOUBLE:
        return floating_to_sql(basei_double_get(value), out);
    case BASE_TYPE_FLOAT:
        return floating_to_sql((double)basei_float_get(value), out);
    case BASE_TYPE_BLOB:
        out->kind = BASE_SQL_BLOB;
        out->bytes = value;
        return BASE_OK;
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
        if (!(type->kind == BASE_TYPE_TEXT ? basei_text_valid(value) : basei_ascii_valid(value)))
            return damaged(type, value, err);
        out->kind = BASE_SQL_TEXT;
        out->bytes = value;
        return BASE_OK;
    default:
        break;
    }
    if (value.len == 0 && basei_type_has_empty(type))
        return BASE_OK;
    if (basei_is_scalar(type)) {
        int rc = basei_scalar_to_text(type, value, scratch);
        if (rc == BASE_OK)
            set_text(out, scratch, start, BASE_SQL_TEXT);
        return rc == BASE_OK || rc == BASE_E_NOMEM || rc == BASE_E_LIMIT
                   ? rc
                   : damaged(type, value, err);
    }
    int rc = basei_value_put_json(type, value, BASEI_JSON_SQL, scratch, err);
    if (rc == BASE_OK)
        set_text(out, scratch, start, BASE_SQL_JSON);
    return rc;
}
