/* Keys: partition keys with their token in front, clustering keys from ordered components.
 *
 * Invariants:
 * 1. A failing function leaves `out` as long as it was.
 * 2. Escaped bytes end with 00 01 and hold 00 only as 00 FF, so no pkey is a prefix of another.
 * 3. The NEXT, EMPTY and position bytes are never complemented: only what follows NEXT is. */
#include "base/key.h"
#include "base/base_private.h"

void base_token_put(uint8_t out[8], int64_t token)
{
    base_put_be64(out, (uint64_t)token ^ (1ULL << 63));
}

int64_t base_token_get(const uint8_t in[8])
{
    return (int64_t)(base_get_be64(in) ^ (1ULL << 63));
}

int base_pk_compose(const struct base_slice *values, size_t n, struct base_buf *out,
                    struct base_err *err)
{
    BASE_ASSERT(n > 0);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        size_t own = n > 1 ? values[i].len + 3 : values[i].len;
        if (values[i].len > BASE_PK_LEN_MAX || (len += own) > BASE_PK_LEN_MAX)
            return base_err_set(err, BASE_E_LIMIT,
                                "partition key too long: at most %d bytes are possible",
                                BASE_PK_LEN_MAX);
    }
    if (len == 0)
        return base_err_set(err, BASE_E_INVALID, "Key may not be empty");
    int rc = base_buf_reserve(out, len);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "partition key: %s", base_err_words(rc));
    uint8_t *p = out->data + out->len;
    for (size_t i = 0; i < n; i++) {
        if (n > 1) {
            base_put_be16(p, (uint16_t)values[i].len);
            p += 2;
        }
        if (values[i].len)
            memcpy(p, values[i].data, values[i].len);
        p += values[i].len;
        if (n > 1)
            *p++ = 0;
    }
    out->len += len;
    return BASE_OK;
}

int base_pk_split(struct base_slice pk, struct base_slice *values, size_t n, struct base_err *err)
{
    BASE_ASSERT(n > 0);
    if (n == 1) {
        values[0] = pk;
        return BASE_OK;
    }
    struct base_reader r = base_reader(pk);
    for (size_t i = 0; i < n; i++) {
        struct base_slice len;
        uint8_t end = 1;
        if (!base_get_raw(&r, 2, &len) || !base_get_raw(&r, base_get_be16(len.data), &values[i]) ||
            !base_get_u8(&r, &end) || end != 0) {
            memset(values, 0, n * sizeof *values);
            return base_err_set(err, BASE_E_CORRUPT,
                                "damaged partition key: component %zu of %zu is cut or badly ended",
                                i + 1, n);
        }
    }
    if (base_reader_left(&r)) {
        memset(values, 0, n * sizeof *values);
        return base_err_set(err, BASE_E_CORRUPT,
                            "damaged partition key: %zu bytes after component %zu",
                            base_reader_left(&r), n);
    }
    return BASE_OK;
}

int base_pkey_put(struct base_slice pk, struct base_buf *out)
{
    int rc = base_buf_reserve(out, 8 + 2 * pk.len + 2);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    base_token_put(p, base_token(pk));
    p = basei_escape(p + 8, pk);
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}

size_t base_pkey_len(struct base_slice key)
{
    if (key.len < 10)
        return 0;
    const uint8_t *p = key.data + 8, *end = key.data + key.len;
    while ((p = memchr(p, 0, (size_t)(end - p))) && p + 1 < end) {
        if (p[1] == 0x01)
            return (size_t)(p + 2 - key.data);
        if (p[1] != 0xFF)
            return 0;
        p += 2;
    }
    return 0;
}

int base_pkey_decode(struct base_slice pkey, struct base_buf *pk, struct base_err *err)
{
    size_t start = pk->len;
    struct base_reader r = base_reader(pkey);
    struct base_slice token;
    int rc = base_get_raw(&r, 8, &token) ? basei_unescape(&r, false, pk) : BASE_E_CORRUPT;
    if (rc == BASE_OK && base_reader_left(&r))
        rc = BASE_E_CORRUPT;
    if (rc == BASE_OK)
        return BASE_OK;
    pk->len = start;
    if (rc == BASE_E_CORRUPT)
        return base_err_set(err, rc, "damaged key: %zu bytes that are no partition key", pkey.len);
    return base_err_set(err, rc, "partition key: %s", base_err_words(rc));
}

static void complement(struct base_buf *out, size_t from)
{
    for (size_t i = from; i < out->len; i++)
        out->data[i] = (uint8_t)~out->data[i];
}

/* The commonest components, without base_order_encode's generality: 8-byte numbers, ints, strings.
 * False: not one of them, or no memory; nothing was written. */
static inline bool put_common(enum base_type_kind kind, bool descending, struct base_slice value,
                              struct base_buf *out)
{
    const uint64_t flip = descending ? UINT64_MAX : 0;
    switch (kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_TIMESTAMP:
        if (value.len != 8 || base_buf_reserve(out, 9) != BASE_OK)
            return false;
        out->data[out->len] = BASE_KEY_NEXT;
        base_put_be64(out->data + out->len + 1, base_get_be64(value.data) ^ 1ULL << 63 ^ flip);
        out->len += 9;
        return true;
    case BASE_TYPE_INT:
        if (value.len != 4 || base_buf_reserve(out, 5) != BASE_OK)
            return false;
        out->data[out->len] = BASE_KEY_NEXT;
        base_put_be32(out->data + out->len + 1,
                      base_get_be32(value.data) ^ 1U << 31 ^ (uint32_t)flip);
        out->len += 5;
        return true;
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
    case BASE_TYPE_BLOB:
        if (value.len == 0 || value.len > 4096 || descending ||
            base_buf_reserve(out, 3 + 2 * value.len) != BASE_OK)
            return false;
        out->data[out->len] = BASE_KEY_NEXT;
        out->len = (size_t)(basei_escape(out->data + out->len + 1, value) - out->data);
        return true;
    default:
        return false;
    }
}

int base_ckey_put(const struct base_type *type, bool descending, struct base_slice value,
                  struct base_buf *out, bool *exact, struct base_err *err)
{
    if (BASE_LIKELY(put_common(type->kind, descending, value, out)))
        return BASE_OK;
    size_t start = out->len;
    if (value.len == 0 && basei_type_has_empty(type)) {
        int rc = base_buf_put_u8(out, descending ? BASE_KEY_NEXT_EMPTY_DESC : BASE_KEY_NEXT_EMPTY);
        return rc == BASE_OK ? rc : base_err_set(err, rc, "clustering key: %s", base_err_words(rc));
    }
    int rc = base_buf_put_u8(out, BASE_KEY_NEXT);
    bool own_exact = true;
    if (rc == BASE_OK)
        rc = base_order_encode(type, value, out, &own_exact, err);
    else
        base_err_set(err, rc, "clustering key: %s", base_err_words(rc));
    if (rc == BASE_OK && BASE_UNLIKELY(out->len - start > BASE_CKEY_LEN_MAX))
        rc = base_err_set(err, BASE_E_LIMIT,
                          "clustering value too long: at most %d bytes (encoded) are possible",
                          BASE_CKEY_LEN_MAX);
    if (rc != BASE_OK) {
        out->len = start;
        return rc == BASE_E_CORRUPT ? base_err_wrap(err, BASE_E_INVALID, "clustering value") : rc;
    }
    if (!own_exact && exact)
        *exact = false;
    if (descending)
        complement(out, start + 1);
    return BASE_OK;
}

/* A string that holds no 00, and of a text only ASCII: its encoding is its bytes and the
 * terminator. */
static bool get_common_string(enum base_type_kind kind, struct base_reader *in,
                              struct base_buf *out)
{
    const uint8_t *zero = memchr(in->p, 0, base_reader_left(in));
    if (!zero || zero == in->p || in->end - zero < 2 || zero[1] != 0x01)
        return false;
    struct base_slice text = base_slice(in->p, (size_t)(zero - in->p));
    if ((kind != BASE_TYPE_BLOB && !basei_ascii_valid(text)) ||
        base_buf_put_slice(out, text) != BASE_OK)
        return false;
    in->p = zero + 2;
    return true;
}

/* As put_common. The reader stands after NEXT. */
static inline bool get_common(enum base_type_kind kind, bool descending, struct base_reader *in,
                              struct base_buf *out)
{
    const uint64_t flip = descending ? UINT64_MAX : 0;
    switch (kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_TIMESTAMP:
        if (base_reader_left(in) < 8 || base_buf_reserve(out, 8) != BASE_OK)
            return false;
        base_put_be64(out->data + out->len, base_get_be64(in->p) ^ 1ULL << 63 ^ flip);
        out->len += 8;
        in->p += 8;
        return true;
    case BASE_TYPE_INT:
        if (base_reader_left(in) < 4 || base_buf_reserve(out, 4) != BASE_OK)
            return false;
        base_put_be32(out->data + out->len, base_get_be32(in->p) ^ 1U << 31 ^ (uint32_t)flip);
        out->len += 4;
        in->p += 4;
        return true;
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
    case BASE_TYPE_BLOB:
        return !descending && get_common_string(kind, in, out);
    default:
        return false;
    }
}

int base_ckey_get(const struct base_type *type, bool descending, struct base_reader *in,
                  struct base_buf *out, bool *empty, uint8_t *position, struct base_err *err)
{
    uint8_t byte;
    *empty = false;
    *position = 0;
    if (!base_get_u8(in, &byte))
        return base_err_set(err, BASE_E_CORRUPT,
                            "damaged clustering key: it ends without a position byte");
    switch (byte) {
    case BASE_KEY_NEXT:
        if (get_common(type->kind, descending, in, out))
            return BASE_OK;
        return base_order_decode(type, in, descending, out, err);
    case BASE_KEY_NEXT_EMPTY:
    case BASE_KEY_NEXT_EMPTY_DESC:
        if ((byte == BASE_KEY_NEXT_EMPTY_DESC) != descending)
            break;
        *empty = true;
        return BASE_OK;
    case BASE_KEY_STATIC:
    case BASE_KEY_BEFORE:
    case BASE_KEY_AT:
    case BASE_KEY_AFTER:
        *position = byte;
        return BASE_OK;
    default:
        break;
    }
    base_reader_fail(in);
    return base_err_set(err, BASE_E_CORRUPT,
                        "damaged clustering key: byte 0x%02x where a component or its end must be",
                        byte);
}
