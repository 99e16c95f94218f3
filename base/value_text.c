/* Scalars as CQL literal text, and back; and the message that says what a type would have taken.
 *
 * Reading takes what a user or a driver's tool writes; printing gives one form that reads back as
 * the very same bytes (decimals keep their scale, floats their bits but a NaN's). */
#include "base/base_private.h"

#include <arpa/inet.h>
#include <stdio.h>

/* From text. */

/* Bytes of the big-endian two's complement integer kinds; 0 for others. */
static int integer_size(enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        return 8;
    case BASE_TYPE_INT:
        return 4;
    case BASE_TYPE_SMALLINT:
        return 2;
    case BASE_TYPE_TINYINT:
        return 1;
    default:
        return 0;
    }
}

int basei_integer_put(enum base_type_kind kind, int64_t v, struct base_buf *out)
{
    int size = integer_size(kind);
    uint8_t bytes[8];
    if (size < 8 && (v < -(1LL << (8 * size - 1)) || v >= 1LL << (8 * size - 1)))
        return BASE_E_INVALID;
    base_put_be64(bytes, (uint64_t)v);
    return base_buf_put(out, bytes + 8 - size, (size_t)size);
}

static int put_be64(struct base_buf *out, uint64_t v)
{
    uint8_t bytes[8];
    base_put_be64(bytes, v);
    return base_buf_put(out, bytes, 8);
}

static int put_be32(struct base_buf *out, uint32_t v)
{
    uint8_t bytes[4];
    base_put_be32(bytes, v);
    return base_buf_put(out, bytes, 4);
}

int basei_double_put(struct base_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    return put_be64(out, v != v ? 0x7FF8000000000000ULL : bits);
}

int basei_float_put(struct base_buf *out, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return put_be32(out, v != v ? 0x7FC00000U : bits);
}

static int integer_from_text(enum base_type_kind kind, struct base_slice text, struct base_buf *out)
{
    struct basei_number number;
    int64_t v;
    int side;
    bool exact;
    if (!basei_number_parse(text, &number))
        return BASE_E_INVALID;
    basei_number_floor(&number, &v, &side, &exact);
    return side || !exact ? BASE_E_INVALID : basei_integer_put(kind, v, out);
}

static int varint_from_text(struct base_slice text, struct base_buf *out)
{
    struct basei_number number;
    bool exact;
    size_t start = out->len;
    if (!basei_number_parse(text, &number))
        return BASE_E_INVALID;
    int rc = basei_varint_put_number(out, &number, &exact);
    if (rc == BASE_OK && !exact) {
        out->len = start;
        return BASE_E_INVALID;
    }
    return rc;
}

static int decimal_from_text(struct base_slice text, struct base_buf *out)
{
    struct basei_number number;
    return basei_number_parse(text, &number) ? basei_decimal_put_number(out, &number)
                                             : BASE_E_INVALID;
}

/* A finite literal may not become infinite: that is out of range. */
static bool is_infinite(double v)
{
    return v - v != 0 && v == v;
}

static int floating_from_text(enum base_type_kind kind, struct base_slice text,
                              struct base_buf *out)
{
    double d;
    float f;
    bool named =
        text.len && !basei_is_digit(text.data[text.len - 1]) && text.data[text.len - 1] != '.';
    if (kind == BASE_TYPE_DOUBLE)
        return basei_double_parse(text, &d) && (named || !is_infinite(d)) ? basei_double_put(out, d)
                                                                          : BASE_E_INVALID;
    return basei_float_parse(text, &f) && (named || !is_infinite((double)f))
               ? basei_float_put(out, f)
               : BASE_E_INVALID;
}

static int boolean_from_text(struct base_slice text, struct base_buf *out)
{
    bool yes = base_slice_equal_nocase(text, BASE_SLICE_LIT("true")) ||
               base_slice_equal(text, BASE_SLICE_LIT("1"));
    bool no = base_slice_equal_nocase(text, BASE_SLICE_LIT("false")) ||
              base_slice_equal(text, BASE_SLICE_LIT("0"));
    return yes || no ? base_buf_put_u8(out, yes) : BASE_E_INVALID;
}

static int uuid_from_text(enum base_type_kind kind, struct base_slice text, struct base_buf *out)
{
    struct base_uuid id;
    if (!base_uuid_parse(text, &id) || (kind == BASE_TYPE_TIMEUUID && id.b[6] >> 4 != 1))
        return BASE_E_INVALID;
    return base_buf_put(out, id.b, 16);
}

static int inet_from_text(struct base_slice text, struct base_buf *out)
{
    char copy[INET6_ADDRSTRLEN + 1];
    uint8_t address[16];
    if (text.len >= sizeof copy || memchr(text.data, 0, text.len))
        return BASE_E_INVALID;
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET, copy, address) == 1)
        return base_buf_put(out, address, 4);
    if (inet_pton(AF_INET6, copy, address) != 1)
        return BASE_E_INVALID;
    if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address)) /* is the IPv4 one, as in Java */
        return base_buf_put(out, address + 12, 4);
    return base_buf_put(out, address, 16);
}

static int temporal_from_text(enum base_type_kind kind, struct base_slice text,
                              struct base_buf *out)
{
    int64_t v;
    uint32_t days;
    bool exact;
    struct basei_duration duration;
    switch (kind) {
    case BASE_TYPE_TIMESTAMP:
        return basei_timestamp_parse(text, &v, &exact) ? put_be64(out, (uint64_t)v)
                                                       : BASE_E_INVALID;
    case BASE_TYPE_DATE:
        return basei_date_parse(text, &days) ? put_be32(out, days) : BASE_E_INVALID;
    case BASE_TYPE_TIME:
        return basei_time_parse(text, &v) ? put_be64(out, (uint64_t)v) : BASE_E_INVALID;
    default:
        return basei_duration_parse(text, &duration) ? basei_duration_encode(&duration, out)
                                                     : BASE_E_INVALID;
    }
}

int basei_scalar_from_text(const struct base_type *type, struct base_slice text,
                           struct base_buf *out)
{
    BASE_ASSERT(basei_is_scalar(type));
    switch (type->kind) {
    case BASE_TYPE_TEXT:
        return basei_text_valid(text) ? base_buf_put_slice(out, text) : BASE_E_INVALID;
    case BASE_TYPE_ASCII:
        return basei_ascii_valid(text) ? base_buf_put_slice(out, text) : BASE_E_INVALID;
    case BASE_TYPE_BLOB:
        return basei_hex_parse(text, out);
    default:
        text = basei_trim(text);
    }
    if (text.len == 0)
        return BASE_E_INVALID;
    switch (type->kind) {
    case BASE_TYPE_VARINT:
        return varint_from_text(text, out);
    case BASE_TYPE_DECIMAL:
        return decimal_from_text(text, out);
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_FLOAT:
        return floating_from_text(type->kind, text, out);
    case BASE_TYPE_BOOLEAN:
        return boolean_from_text(text, out);
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
        return uuid_from_text(type->kind, text, out);
    case BASE_TYPE_INET:
        return inet_from_text(text, out);
    case BASE_TYPE_TIMESTAMP:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_DURATION:
        return temporal_from_text(type->kind, text, out);
    default:
        return integer_from_text(type->kind, text, out);
    }
}

int base_scalar_from_text(const struct base_type *type, struct base_slice text,
                          struct base_buf *out)
{
    size_t start = out->len;
    int rc = basei_scalar_from_text(type, text, out);
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

/* To text. */

int64_t basei_integer_get(struct base_slice value)
{
    uint64_t v = value.data[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < value.len; i++)
        v = v << 8 | value.data[i];
    return (int64_t)v;
}

double basei_double_get(struct base_slice value)
{
    uint64_t bits = base_get_be64(value.data);
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

float basei_float_get(struct base_slice value)
{
    uint32_t bits = base_get_be32(value.data);
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

int basei_scalar_to_text(const struct base_type *type, struct base_slice value,
                         struct base_buf *out)
{
    char text[64];
    size_t len;
    struct base_uuid id;
    struct basei_duration duration;
    int rc = base_value_validate(type, value, NULL);
    if (rc != BASE_OK)
        return BASE_E_CORRUPT;
    if (value.len == 0)
        return BASE_OK;
    switch (type->kind) {
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
        return base_buf_put_slice(out, value);
    case BASE_TYPE_BLOB:
        return basei_put_hex(out, value);
    case BASE_TYPE_VARINT:
        return basei_varint_print(value, out);
    case BASE_TYPE_DECIMAL:
        return basei_decimal_print(value, out);
    case BASE_TYPE_DOUBLE:
        len = basei_double_print(basei_double_get(value), text);
        break;
    case BASE_TYPE_FLOAT:
        len = basei_float_print(basei_float_get(value), text);
        break;
    case BASE_TYPE_BOOLEAN:
        return value.data[0] ? base_buf_put(out, "true", 4) : base_buf_put(out, "false", 5);
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
        memcpy(id.b, value.data, 16);
        base_uuid_print(id, text);
        len = 36;
        break;
    case BASE_TYPE_INET:
        inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.data, text, sizeof text);
        len = strlen(text);
        break;
    case BASE_TYPE_TIMESTAMP:
        len = basei_timestamp_print((int64_t)base_get_be64(value.data), 'T', text);
        break;
    case BASE_TYPE_DATE:
        len = basei_date_print(base_get_be32(value.data), text);
        break;
    case BASE_TYPE_TIME:
        len = basei_time_print((int64_t)base_get_be64(value.data), text);
        break;
    case BASE_TYPE_DURATION:
        return basei_duration_decode(value, &duration) ? basei_duration_print(&duration, out)
                                                       : BASE_E_CORRUPT;
    default:
        return base_buf_printf(out, "%lld", (long long)basei_integer_get(value));
    }
    return base_buf_put(out, text, len);
}

/* Refusals. */

static const char *accepted(enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_TINYINT:
        return "a whole number in -128..127";
    case BASE_TYPE_SMALLINT:
        return "a whole number in -32768..32767";
    case BASE_TYPE_INT:
        return "a whole number in -2147483648..2147483647";
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        return "a whole number in -9223372036854775808..9223372036854775807";
    case BASE_TYPE_VARINT:
        return "a whole number";
    case BASE_TYPE_DECIMAL:
        return "a number such as 12.50";
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
        return "a number within the type's range, or TEXT 'NaN', 'Infinity' or '-Infinity'";
    case BASE_TYPE_BOOLEAN:
        return "0, 1, 'true' or 'false'";
    case BASE_TYPE_UUID:
        return "TEXT such as '123e4567-e89b-12d3-a456-426614174000' or a BLOB of 16 bytes";
    case BASE_TYPE_TIMEUUID:
        return "a version 1 uuid, TEXT such as '123e4567-e89b-12d3-a456-426614174000' or a BLOB of "
               "16 bytes";
    case BASE_TYPE_INET:
        return "an IPv4 or IPv6 address such as '192.0.2.1' or '2001:db8::1'";
    case BASE_TYPE_DATE:
        return "a date such as '2026-11-23', or the days since 1970-01-01 plus 2147483648";
    case BASE_TYPE_TIME:
        return "a time such as '10:00:00.5', or nanoseconds since midnight";
    case BASE_TYPE_TIMESTAMP:
        return "ISO 8601 such as '2026-11-23T10:00:00.000Z', or milliseconds since 1970-01-01";
    case BASE_TYPE_DURATION:
        return "a duration such as '1y2mo3d4h5m6s' or 'P1Y2M3DT4H5M6S'";
    case BASE_TYPE_BLOB:
        return "a BLOB, or TEXT of hexadecimal digits after 0x";
    case BASE_TYPE_ASCII:
        return "TEXT of 7-bit characters";
    case BASE_TYPE_TEXT:
        return "TEXT in UTF-8";
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
        return "a JSON array";
    case BASE_TYPE_VECTOR:
        return "a JSON array with a value for each dimension";
    case BASE_TYPE_TUPLE:
        return "a JSON array with a value for each field";
    case BASE_TYPE_MAP:
        return "a JSON object, or an array of [key, value] arrays";
    case BASE_TYPE_UDT:
        return "a JSON object of the type's fields";
    default:
        return "nothing";
    }
}

int basei_refuse(const struct base_type *type, const struct base_sql_value *in,
                 struct base_err *err)
{
    char name[200], value[100];
    if (!err)
        return BASE_E_INVALID;
    basei_type_text(type, name, sizeof name);
    switch (in->kind) {
    case BASE_SQL_NULL:
        return base_err_set(err, BASE_E_INVALID, "cannot take NULL as %s: give %s", name,
                            accepted(type->kind));
    case BASE_SQL_INTEGER:
        return base_err_set(err, BASE_E_INVALID, "cannot take INTEGER %lld as %s: give %s",
                            (long long)in->integer, name, accepted(type->kind));
    case BASE_SQL_REAL:
        basei_double_print(in->real, value);
        return base_err_set(err, BASE_E_INVALID, "cannot take REAL %s as %s: give %s", value, name,
                            accepted(type->kind));
    case BASE_SQL_BLOB:
        return base_err_set(err, BASE_E_INVALID, "cannot take BLOB of %zu bytes as %s: give %s",
                            in->bytes.len, name, accepted(type->kind));
    case BASE_SQL_JSON:
    case BASE_SQL_TEXT:
        break;
    }
    return base_err_set(err, BASE_E_INVALID, "cannot take %s '%s' as %s: give %s",
                        in->kind == BASE_SQL_JSON ? "JSON" : "TEXT",
                        basei_bytes_text(in->bytes, value, sizeof value), name,
                        accepted(type->kind));
}
