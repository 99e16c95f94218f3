/* Order-preserving bytes (docs/formats/keys.md): for any two valid values of a type memcmp orders
 * their encodings as base_value_compare orders them, and none is a prefix of another.
 *
 * Invariants:
 * 1. Equal values have equal encodings, whatever their bytes (then `exact` is false for all but one
 *    of them, the canonical one).
 * 2. Decoding reads exactly one encoding and stops: it never looks at what follows.
 * 3. On failure `out` is as long as it was. */
#include "base/base_private.h"

/* Before each element of a collection, tuple or vector. END is last in a collection, and stands for
 * the null fields at the end of a tuple: so a type that gets a field later keeps its keys. */
enum { MARK_END = 0x01, MARK_NULL = 0x02, MARK_EMPTY = 0x03, MARK_VALUE = 0x04 };

static int damaged(const struct base_type *type, struct base_err *err)
{
    char text[200];
    return base_err_set(err, BASE_E_CORRUPT, "damaged %s: its bytes are not a value of the type",
                        basei_type_text(type, text, sizeof text));
}

static int said(const struct base_type *type, int rc, struct base_err *err)
{
    if (rc == BASE_OK)
        return rc;
    if (rc == BASE_E_CORRUPT)
        return damaged(type, err);
    return base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind), base_err_words(rc));
}

/* Scalars. */

static uint64_t uuid_time(uint64_t msb)
{
    return msb << 48 | (msb << 16 & 0xFFFF00000000ULL) | msb >> 32;
}

static uint64_t uuid_time_back(uint64_t v)
{
    return v << 32 | (v >> 16 & 0xFFFF0000ULL) | v >> 48;
}

/* uuid: version first, then time for version 1, else the other 60 bits as they are. */
static void uuid_put(uint8_t *p, const uint8_t *uuid)
{
    uint64_t msb = base_get_be64(uuid), version = msb >> 12 & 15;
    if (version == 1)
        msb = uuid_time(msb);
    else
        msb = version << 60 | (msb >> 16) << 12 | (msb & 0xFFF);
    base_put_be64(p, msb);
    memcpy(p + 8, uuid + 8, 8);
}

static void uuid_get(uint8_t *uuid, const uint8_t *p)
{
    uint64_t v = base_get_be64(p), version = v >> 60;
    if (version == 1)
        v = uuid_time_back(v);
    else
        v = (v << 4 >> 16) << 16 | version << 12 | (v & 0xFFF);
    base_put_be64(uuid, v);
    memcpy(uuid + 8, p + 8, 8);
}

/* timeuuid: time, then the other eight bytes signed. */
static void timeuuid_put(uint8_t *p, const uint8_t *uuid)
{
    base_put_be64(p, uuid_time(base_get_be64(uuid)));
    base_put_be64(p + 8, base_get_be64(uuid + 8) ^ 0x8080808080808080ULL);
}

static void timeuuid_get(uint8_t *uuid, const uint8_t *p)
{
    base_put_be64(uuid, uuid_time_back(base_get_be64(p)));
    base_put_be64(uuid + 8, base_get_be64(p + 8) ^ 0x8080808080808080ULL);
}

static const uint64_t SIGN64 = 1ULL << 63;
static const uint32_t SIGN32 = 1U << 31;
#define NAN64 0x7FF8000000000000ULL
#define NAN32 0x7FC00000U

static uint64_t double_bits_put(uint64_t bits, bool *exact)
{
    if ((bits & ~SIGN64) > 0x7FF0000000000000ULL) { /* NaN: one for all, after every number */
        *exact = bits == NAN64;
        bits = NAN64;
    }
    return bits & SIGN64 ? ~bits : bits | SIGN64;
}

static uint32_t float_bits_put(uint32_t bits, bool *exact)
{
    if ((bits & ~SIGN32) > 0x7F800000U) {
        *exact = bits == NAN32;
        bits = NAN32;
    }
    return bits & SIGN32 ? ~bits : bits | SIGN32;
}

/* varint: a non-negative one is a head (80 + length, F8 and four bytes of length from 120 on) and
 * its minimal bytes; a negative one the complement of that of its own complement. */
static int varint_put(struct base_slice value, struct base_buf *out, bool *exact)
{
    enum { LENGTH_SHORT_MAX = 119 };
    struct base_slice bytes = basei_varint_minimal(value);
    *exact = bytes.len == value.len;
    if (bytes.len > BASEI_VARINT_LEN_MAX)
        return BASE_E_LIMIT;
    int rc = base_buf_reserve(out, 5 + bytes.len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len, flip = bytes.data[0] >= 0x80 ? 0xFF : 0;
    uint8_t head[5] = {(uint8_t)(0x80 + bytes.len)};
    size_t head_len = 1;
    if (bytes.len > LENGTH_SHORT_MAX) {
        head[0] = 0xF8;
        base_put_be32(head + 1, (uint32_t)bytes.len);
        head_len = 5;
    }
    for (size_t i = 0; i < head_len; i++)
        *p++ = head[i] ^ flip;
    memcpy(p, bytes.data, bytes.len); /* two's complement orders by itself within a length */
    out->len += head_len + bytes.len;
    return BASE_OK;
}

static int varint_get(struct base_reader *in, bool inverted, struct base_buf *out)
{
    uint8_t head, mask = inverted ? 0xFF : 0;
    struct base_slice len_bytes, bytes;
    if (!base_get_u8(in, &head))
        return BASE_E_CORRUPT;
    head ^= mask;
    uint8_t flip = head < 0x80 ? 0xFF : 0;
    size_t len = (uint8_t)(head ^ flip) - 0x80u;
    if (len == 0x78) {
        if (!base_get_raw(in, 4, &len_bytes))
            return BASE_E_CORRUPT;
        uint32_t all = mask ^ flip ? UINT32_MAX : 0;
        len = base_get_be32(len_bytes.data) ^ all;
    } else if (len > 0x78) {
        return BASE_E_CORRUPT;
    }
    if (len == 0 || len > BASEI_VARINT_LEN_MAX || !base_get_raw(in, len, &bytes))
        return BASE_E_CORRUPT;
    if (((bytes.data[0] ^ mask) >= 0x80) != (flip != 0))
        return BASE_E_CORRUPT;
    int rc = base_buf_reserve(out, len);
    if (rc != BASE_OK)
        return rc;
    for (size_t i = 0; i < len; i++)
        out->data[out->len + i] = bytes.data[i] ^ mask;
    out->len += len;
    return BASE_OK;
}

/* The fixed-width types. p has room for 16. */
static void fixed_put(enum base_type_kind kind, const uint8_t *v, size_t size, uint8_t *p,
                      bool *exact)
{
    switch (kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_TIMESTAMP:
        memcpy(p, v, 8);
        p[0] ^= 0x80;
        break;
    case BASE_TYPE_INT:
        memcpy(p, v, 4);
        p[0] ^= 0x80;
        break;
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
        memcpy(p, v, size);
        p[0] ^= 0x80;
        break;
    case BASE_TYPE_BOOLEAN:
        p[0] = v[0] != 0;
        *exact = v[0] <= 1;
        break;
    case BASE_TYPE_DOUBLE:
        base_put_be64(p, double_bits_put(base_get_be64(v), exact));
        break;
    case BASE_TYPE_FLOAT:
        base_put_be32(p, float_bits_put(base_get_be32(v), exact));
        break;
    case BASE_TYPE_UUID:
        uuid_put(p, v);
        break;
    case BASE_TYPE_TIMEUUID:
        timeuuid_put(p, v);
        break;
    default: /* date, time: unsigned as they are */
        memcpy(p, v, size);
        break;
    }
}

static bool fixed_get(enum base_type_kind kind, const uint8_t *p, size_t size, uint8_t *v)
{
    switch (kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_TIMESTAMP:
    case BASE_TYPE_INT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
        memcpy(v, p, size);
        v[0] ^= 0x80;
        return true;
    case BASE_TYPE_BOOLEAN:
        v[0] = p[0];
        return p[0] <= 1;
    case BASE_TYPE_DOUBLE: {
        uint64_t bits = base_get_be64(p);
        base_put_be64(v, bits & SIGN64 ? bits & ~SIGN64 : ~bits);
        return true;
    }
    case BASE_TYPE_FLOAT: {
        uint32_t bits = base_get_be32(p);
        base_put_be32(v, bits & SIGN32 ? bits & ~SIGN32 : ~bits);
        return true;
    }
    case BASE_TYPE_UUID:
        uuid_get(v, p);
        return true;
    case BASE_TYPE_TIMEUUID:
        timeuuid_get(v, p);
        return v[6] >> 4 == 1;
    case BASE_TYPE_TIME:
        memcpy(v, p, 8);
        return base_get_be64(v) < (uint64_t)BASEI_DAY_NS;
    default:
        memcpy(v, p, size);
        return true;
    }
}

static int escaped_put(struct base_slice value, struct base_buf *out)
{
    int rc = value.len > SIZE_MAX / 4 ? BASE_E_LIMIT : base_buf_reserve(out, 2 * value.len + 2);
    if (rc == BASE_OK)
        out->len = (size_t)(basei_escape(out->data + out->len, value) - out->data);
    return rc;
}

static int scalar_put(const struct base_type *type, struct base_slice value, struct base_buf *out,
                      bool *exact)
{
    size_t size = basei_type_fixed_size(type);
    if (size) {
        int rc = value.len == size ? base_buf_reserve(out, 16) : BASE_E_CORRUPT;
        if (rc == BASE_OK) {
            fixed_put(type->kind, value.data, size, out->data + out->len, exact);
            out->len += size;
        }
        return rc;
    }
    switch (type->kind) {
    case BASE_TYPE_VARINT:
        return value.len ? varint_put(value, out, exact) : BASE_E_CORRUPT;
    case BASE_TYPE_DECIMAL:
        return basei_decimal_order_put(value, out, exact);
    default: /* text, ascii, blob, inet, duration: unsigned bytes */
        return value.len ? escaped_put(value, out) : BASE_E_CORRUPT;
    }
}

static int scalar_get(const struct base_type *type, struct base_reader *in, bool inverted,
                      struct base_buf *out)
{
    size_t size = basei_type_fixed_size(type), start = out->len;
    if (size) {
        struct base_slice bytes;
        uint8_t copy[16];
        if (!base_get_raw(in, size, &bytes))
            return BASE_E_CORRUPT;
        int rc = base_buf_reserve(out, size);
        if (rc != BASE_OK)
            return rc;
        if (inverted) {
            for (size_t i = 0; i < size; i++)
                copy[i] = (uint8_t)~bytes.data[i];
            bytes.data = copy;
        }
        if (!fixed_get(type->kind, bytes.data, size, out->data + out->len))
            return BASE_E_CORRUPT;
        out->len += size;
        return BASE_OK;
    }
    switch (type->kind) {
    case BASE_TYPE_VARINT:
        return varint_get(in, inverted, out);
    case BASE_TYPE_DECIMAL:
        return basei_decimal_order_get(in, inverted, out);
    default: {
        int rc = basei_unescape(in, inverted, out);
        if (rc == BASE_OK)
            rc = base_value_validate(type, base_slice(out->data + start, out->len - start), NULL);
        return rc == BASE_E_INVALID ? BASE_E_CORRUPT : rc;
    }
    }
}

/* Elements. */

static const struct base_type *element_type(const struct base_type *type, uint32_t i)
{
    if (type->kind == BASE_TYPE_MAP)
        return type->params[i & 1];
    return type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT ? type->params[i]
                                                                        : type->params[0];
}

static int element_put(const struct base_type *type, struct base_slice value, struct base_buf *out,
                       bool *exact, struct base_err *err)
{
    bool empty = value.len == 0 && basei_type_has_empty(type), own_exact = true;
    int rc = base_buf_put_u8(out, empty ? MARK_EMPTY : MARK_VALUE);
    if (rc != BASE_OK)
        return said(type, rc, err);
    if (empty)
        return BASE_OK;
    rc = base_order_encode(type, value, out, &own_exact, err);
    *exact = *exact && own_exact;
    return rc;
}

static int elements_put(const struct base_type *type, struct base_slice value, struct base_buf *out,
                        bool *exact, struct base_err *err)
{
    const bool is_tuple = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    struct base_elements it;
    if (!base_elements_begin(&it, type, value))
        return damaged(type, err);
    uint32_t nulls = 0, seen = 0;
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null) || (is_null && !is_tuple))
            return damaged(type, err);
        seen++;
        nulls += is_null;
        for (; !is_null && nulls; nulls--) { /* nulls are written when a value follows them */
            int rc = base_buf_put_u8(out, MARK_NULL);
            if (rc != BASE_OK)
                return said(type, rc, err);
        }
        int rc = is_null ? BASE_OK : element_put(element_type(type, i), element, out, exact, err);
        if (rc != BASE_OK)
            return rc;
    }
    if (base_reader_left(&it.reader))
        return damaged(type, err);
    if (is_tuple && seen < type->param_count)
        *exact = false; /* decoding gives every field */
    return said(type, base_buf_put_u8(out, MARK_END), err);
}

/* A decoded element, with its length as the parent has it. */
static int element_get(const struct base_type *type, const struct base_type *parent, uint8_t mark,
                       struct base_reader *in, bool inverted, struct base_buf *out,
                       struct base_err *err)
{
    size_t at = out->len;
    if (mark == MARK_EMPTY && !basei_type_has_empty(type))
        return damaged(parent, err);
    int rc = basei_element_begin(parent, out);
    if (rc != BASE_OK)
        return said(parent, rc, err);
    if (mark == MARK_VALUE)
        rc = base_order_decode(type, in, inverted, out, err);
    if (rc != BASE_OK)
        return rc;
    rc = basei_element_end(parent, type, out, at);
    return said(parent, rc == BASE_E_INVALID ? BASE_E_CORRUPT : rc, err);
}

static int elements_get(const struct base_type *type, struct base_reader *in, bool inverted,
                        struct base_buf *out, struct base_err *err)
{
    const bool is_tuple = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    const bool is_vector = type->kind == BASE_TYPE_VECTOR, is_map = type->kind == BASE_TYPE_MAP;
    uint32_t i = 0, most = is_tuple ? type->param_count : is_vector ? type->dimension : UINT32_MAX;
    size_t count_at = out->len;
    uint8_t mark;
    int rc = is_tuple || is_vector ? BASE_OK : base_buf_put(out, "\0\0\0\0", 4);
    if (rc != BASE_OK)
        return said(type, rc, err);
    for (;; i++) {
        if (!base_get_u8(in, &mark))
            return damaged(type, err);
        mark = inverted ? (uint8_t)~mark : mark;
        if (mark == MARK_END)
            break;
        if (i >= most || mark > MARK_VALUE || mark < MARK_NULL || (mark == MARK_NULL && !is_tuple))
            return damaged(type, err);
        if (mark == MARK_NULL)
            rc = said(type, base_buf_put(out, "\xff\xff\xff\xff", 4), err);
        else
            rc = element_get(element_type(type, i), type, mark, in, inverted, out, err);
        if (rc != BASE_OK)
            return rc;
    }
    if ((is_vector && i != most) || (is_map && i % 2))
        return damaged(type, err);
    for (; is_tuple && i < most; i++) {
        rc = base_buf_put(out, "\xff\xff\xff\xff", 4);
        if (rc != BASE_OK)
            return said(type, rc, err);
    }
    if (!is_tuple && !is_vector)
        base_put_be32(out->data + count_at, is_map ? i / 2 : i);
    return BASE_OK;
}

/* Both. */

int base_order_encode(const struct base_type *type, struct base_slice value, struct base_buf *out,
                      bool *exact, struct base_err *err)
{
    size_t start = out->len;
    bool own_exact = true;
    int rc;
    if (BASE_LIKELY(basei_is_scalar(type))) {
        rc = scalar_put(type, value, out, &own_exact);
        if (BASE_UNLIKELY(rc != BASE_OK))
            rc = said(type, rc, err);
    } else {
        rc = elements_put(type, value, out, &own_exact, err);
    }
    if (exact)
        *exact = rc == BASE_OK && own_exact;
    if (BASE_UNLIKELY(rc != BASE_OK))
        out->len = start;
    return rc;
}

int base_order_decode(const struct base_type *type, struct base_reader *in, bool inverted,
                      struct base_buf *out, struct base_err *err)
{
    size_t start = out->len;
    int rc;
    if (BASE_LIKELY(basei_is_scalar(type))) {
        rc = scalar_get(type, in, inverted, out);
        if (BASE_UNLIKELY(rc != BASE_OK))
            rc = said(type, rc, err);
    } else {
        rc = elements_get(type, in, inverted, out, err);
    }
    if (BASE_UNLIKELY(rc != BASE_OK)) {
        out->len = start;
        base_reader_fail(in);
    }
    return rc;
}
