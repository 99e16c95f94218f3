/* Decimals: a scale (int32, big-endian) and an unscaled varint; the value is unscaled * 10^-scale.
 *
 * All work but parsing goes through the digits: a value is a sign, its significant digits without
 * zeros at either end, and the power of ten of the first ("adjusted exponent"). Equal values have
 * equal digits, so this is what comparison and the order encoding use.
 *
 * order := 00 (negative) | 01 (zero, nothing follows) | 02 (positive)
 *          exponent + 2^47, 6 bytes big-endian
 *          pairs of digits as a byte 1 + pair each, an odd last digit padded with zero; 00 ends
 *          (after 00 (negative) every byte is complemented) */
#include "base/base_private.h"

#include <stdio.h>

#define EXPONENT_BIAS (1LL << 47)
enum { SIGN_NEGATIVE = 0, SIGN_ZERO = 1, SIGN_POSITIVE = 2, SMALL_DIGITS = 48 };

struct decimal {
    int sign;         /* -1, 0, 1 */
    int32_t scale;    /* as stored */
    int64_t exponent; /* of ten, of the first digit; 0 for zero */
    char *all;        /* every digit of the unscaled value, no sign */
    size_t all_len;
    size_t len; /* of all, without the zeros at the end */
    struct base_buf text;
    uint8_t small[SMALL_DIGITS];
};

static void decimal_fini(struct decimal *d)
{
    if (d->text.data != d->small)
        base_buf_fini(&d->text);
}

/* CORRUPT for bytes that are no decimal, LIMIT for more digits than we take, NOMEM. On success the
 * caller calls decimal_fini. */
static int decimal_init(struct decimal *d, struct base_slice value)
{
    d->text =
        (struct base_buf){.data = d->small, .cap = sizeof d->small, .len_max = sizeof d->small};
    if (value.len < 5)
        return BASE_E_CORRUPT;
    struct base_slice unscaled = basei_varint_minimal(base_slice(value.data + 4, value.len - 4));
    if (unscaled.len > 16)
        base_buf_init(&d->text, BASEI_DIGITS_MAX + 16);
    int rc = basei_varint_print(unscaled, &d->text);
    if (rc != BASE_OK) {
        decimal_fini(d);
        return rc;
    }
    d->scale = (int32_t)base_get_be32(value.data);
    d->all = (char *)d->text.data;
    d->all_len = d->text.len;
    d->sign = 1;
    if (d->all[0] == '-') {
        d->sign = -1;
        d->all++;
        d->all_len--;
    }
    d->len = d->all_len;
    while (d->len && d->all[d->len - 1] == '0')
        d->len--;
    if (d->len == 0)
        d->sign = 0;
    d->exponent = d->len ? (int64_t)d->all_len - 1 - d->scale : 0;
    return BASE_OK;
}

int basei_decimal_put_number(struct base_buf *out, const struct basei_number *number)
{
    int64_t scale = (int64_t)number->fraction.len - number->exponent;
    size_t start = out->len;
    if (scale < INT32_MIN || scale > INT32_MAX)
        return BASE_E_INVALID;
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)(int32_t)scale);
    int rc = base_buf_put(out, bytes, 4);
    /* The unscaled value: all digits, the point taken away. */
    struct basei_number unscaled = *number;
    bool exact;
    unscaled.exponent = (int64_t)number->fraction.len;
    if (rc == BASE_OK)
        rc = basei_varint_put_number(out, &unscaled, &exact);
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

int basei_decimal_print(struct base_slice value, struct base_buf *out)
{
    struct decimal d;
    int rc = decimal_init(&d, value);
    if (rc != BASE_OK)
        return rc;
    int64_t adjusted = (int64_t)d.all_len - 1 - d.scale, scale = d.scale;
    const char *sign = d.sign < 0 ? "-" : "";
    int len = (int)d.all_len;
    if (scale == 0)
        rc = base_buf_printf(out, "%s%.*s", sign, len, d.all);
    else if (scale > 0 && scale < len)
        rc = base_buf_printf(out, "%s%.*s.%.*s", sign, len - (int)scale, d.all, (int)scale,
                             d.all + len - (int)scale);
    else if (scale > 0 && adjusted >= -6)
        rc = base_buf_printf(out, "%s0.%.*s%.*s", sign, (int)scale - len, "00000000", len, d.all);
    else
        rc = base_buf_printf(out, "%s%c%s%.*sE%+lld", sign, d.all[0], len > 1 ? "." : "", len - 1,
                             d.all + 1, (long long)adjusted);
    decimal_fini(&d);
    return rc;
}

static int compare_magnitudes(const struct decimal *a, const struct decimal *b)
{
    if (a->exponent != b->exponent)
        return a->exponent < b->exponent ? -1 : 1;
    return base_slice_compare(base_slice(a->all, a->len), base_slice(b->all, b->len));
}

int basei_decimal_compare(struct base_slice a, struct base_slice b)
{
    struct decimal x, y;
    int c;
    if (a.len >= 5 && b.len >= 5 && memcmp(a.data, b.data, 4) == 0)
        return basei_varint_compare(base_slice(a.data + 4, a.len - 4),
                                    base_slice(b.data + 4, b.len - 4));
    if (decimal_init(&x, a) != BASE_OK)
        return base_slice_compare(a, b); /* beyond our limits or memory: some fixed order */
    if (decimal_init(&y, b) != BASE_OK) {
        decimal_fini(&x);
        return base_slice_compare(a, b);
    }
    if (x.sign != y.sign)
        c = x.sign < y.sign ? -1 : 1;
    else
        c = x.sign * compare_magnitudes(&x, &y);
    decimal_fini(&x);
    decimal_fini(&y);
    return c;
}

/* Is this the form that decoding gives back: no zero at the end but where the scale would leave
 * int32 without it; zero has scale 0? */
static bool is_canonical(const struct decimal *d, struct base_slice value)
{
    struct base_slice unscaled = base_slice(value.data + 4, value.len - 4);
    if (basei_varint_minimal(unscaled).len != unscaled.len)
        return false;
    if (d->sign == 0)
        return d->scale == 0;
    int64_t zeros = (int64_t)(d->all_len - d->len), needed = INT32_MIN - (d->scale - zeros);
    return zeros == (needed > 0 ? needed : 0);
}

int basei_decimal_order_put(struct base_slice value, struct base_buf *out, bool *exact)
{
    struct decimal d;
    int rc = decimal_init(&d, value);
    if (rc != BASE_OK)
        return rc;
    *exact = is_canonical(&d, value);
    rc = base_buf_reserve(out, 1 + 6 + d.len / 2 + 2);
    if (rc == BASE_OK) {
        uint8_t *p = out->data + out->len, flip = d.sign < 0 ? 0xFF : 0x00, exponent[8];
        *p++ = d.sign < 0 ? SIGN_NEGATIVE : d.sign ? SIGN_POSITIVE : SIGN_ZERO;
        base_put_be64(exponent, (uint64_t)(d.exponent + EXPONENT_BIAS));
        for (int i = 2; d.sign && i < 8; i++)
            *p++ = exponent[i] ^ flip;
        for (size_t i = 0; i < d.len; i += 2) {
            int pair = (d.all[i] - '0') * 10 + (i + 1 < d.len ? d.all[i + 1] - '0' : 0);
            *p++ = (uint8_t)(pair + 1) ^ flip;
        }
        if (d.sign)
            *p++ = flip;
        out->len = (size_t)(p - out->data);
    }
    decimal_fini(&d);
    return rc;
}

/* Digits and exponent to bytes: the fewest digits, more only where the scale would leave int32. */
static int put_canonical(struct base_buf *out, bool negative, const char *digits, size_t len,
                         int64_t exponent)
{
    int64_t scale = (int64_t)len - 1 - exponent;
    if (scale > INT32_MAX || scale < (int64_t)INT32_MIN - BASEI_DIGITS_MAX)
        return BASE_E_CORRUPT;
    struct basei_number number = {.negative = negative, .whole = base_slice(digits, len)};
    size_t zeros = scale < INT32_MIN ? (size_t)(INT32_MIN - scale) : 0, start = out->len;
    uint8_t bytes[4];
    bool exact;
    base_put_be32(bytes, (uint32_t)(int32_t)(scale + (int64_t)zeros));
    number.exponent = (int64_t)zeros;
    int rc = base_buf_put(out, bytes, 4);
    if (rc == BASE_OK)
        rc = basei_varint_put_number(out, &number, &exact);
    if (rc != BASE_OK)
        out->len = start;
    return rc == BASE_E_LIMIT ? BASE_E_CORRUPT : rc;
}

int basei_decimal_order_get(struct base_reader *in, bool inverted, struct base_buf *out)
{
    uint8_t sign, mask = inverted ? 0xFF : 0;
    if (!base_get_u8(in, &sign))
        return BASE_E_CORRUPT;
    sign ^= mask;
    if (sign == SIGN_ZERO)
        return base_buf_put(out, "\0\0\0\0\0", 5);
    if (sign == SIGN_NEGATIVE)
        mask ^= 0xFF;
    else if (sign != SIGN_POSITIVE)
        return BASE_E_CORRUPT;
    struct base_slice head;
    if (!base_get_raw(in, 6, &head))
        return BASE_E_CORRUPT;
    uint64_t biased = 0;
    for (int i = 0; i < 6; i++)
        biased = biased << 8 | (uint8_t)(head.data[i] ^ mask);
    const uint8_t *end = memchr(in->p, mask, base_reader_left(in));
    if (!end || end == in->p || (size_t)(end - in->p) > BASEI_DIGITS_MAX / 2 + 1)
        return BASE_E_CORRUPT;
    char small[SMALL_DIGITS], *digits = small;
    size_t pairs = (size_t)(end - in->p), len = 0;
    if (2 * pairs > sizeof small && !(digits = malloc(2 * pairs)))
        return BASE_E_NOMEM;
    bool valid = true;
    for (; in->p < end; in->p++) {
        int pair = (uint8_t)(*in->p ^ mask) - 1;
        valid = valid && pair < 100;
        digits[len++] = (char)('0' + pair / 10 % 10);
        digits[len++] = (char)('0' + pair % 10);
    }
    in->p++;
    len -= digits[len - 1] == '0';
    valid = valid && digits[0] != '0' && digits[len - 1] != '0';
    int rc = valid ? put_canonical(out, sign == SIGN_NEGATIVE, digits, len,
                                   (int64_t)biased - EXPONENT_BIAS)
                   : BASE_E_CORRUPT;
    if (digits != small)
        free(digits);
    return rc;
}
