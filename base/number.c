/* Numbers as text: taking literals apart, floats and doubles by their shortest digits, varints.
 * Decimals are decimal.c.
 *
 * Relies on GMP for conversions past 18 digits, on glibc's strtod_l and the C locale (a host may
 * have set another one). GMP aborts the process when memory ends: BASEI_DIGITS_MAX and
 * BASEI_VARINT_LEN_MAX keep every number that reaches it small. */
#include "base/base_private.h"

#include "base/arith.h"
#include "base/mpz_private.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

#define EXPONENT_MAX (1LL << 40)

/* Literals. */

static struct base_slice take_digits(struct base_slice text, size_t *at)
{
    size_t start = *at;
    while (*at < text.len && basei_is_digit(text.data[*at]))
        ++*at;
    return base_slice(text.data + start, *at - start);
}

bool basei_number_parse(struct base_slice text, struct basei_number *number)
{
    size_t at = 0;
    *number = (struct basei_number){0};
    if (text.len && (text.data[0] == '-' || text.data[0] == '+'))
        number->negative = text.data[at++] == '-';
    number->whole = take_digits(text, &at);
    number->is_plain = at == text.len;
    if (at < text.len && text.data[at] == '.') {
        at++;
        number->fraction = take_digits(text, &at);
    }
    if (number->whole.len + number->fraction.len == 0)
        return false;
    if (at < text.len && (text.data[at] | 0x20) == 'e') {
        bool negative = ++at < text.len && text.data[at] == '-';
        if (at < text.len && (text.data[at] == '-' || text.data[at] == '+'))
            at++;
        struct base_slice digits = take_digits(text, &at);
        if (digits.len == 0)
            return false;
        for (size_t i = 0; i < digits.len && number->exponent < EXPONENT_MAX; i++)
            number->exponent = number->exponent * 10 + (digits.data[i] - '0');
        if (number->exponent > EXPONENT_MAX)
            number->exponent = EXPONENT_MAX;
        if (negative)
            number->exponent = -number->exponent;
    }
    return at == text.len;
}

/* The i-th digit of whole and fraction together. */
static uint8_t digit_at(const struct basei_number *n, size_t i)
{
    return (uint8_t)((i < n->whole.len ? n->whole.data[i] : n->fraction.data[i - n->whole.len]) -
                     '0');
}

static size_t digit_count(const struct basei_number *n)
{
    return n->whole.len + n->fraction.len;
}

static size_t leading_zeros(const struct basei_number *n)
{
    size_t i = 0;
    while (i < digit_count(n) && digit_at(n, i) == 0)
        i++;
    return i;
}

/* Is any digit from index i on not zero? */
static bool rest_is_zero(const struct basei_number *n, size_t i)
{
    for (; i < digit_count(n); i++)
        if (digit_at(n, i))
            return false;
    return true;
}

void basei_number_floor(const struct basei_number *n, int64_t *out, int *side, bool *exact)
{
    size_t first = leading_zeros(n), count = digit_count(n);
    int64_t whole_digits = (int64_t)n->whole.len + n->exponent; /* digits before the point */
    *out = 0;
    *side = 0;
    *exact = true;
    if (first == count)
        return;
    if (whole_digits - (int64_t)first > 19) {
        *side = n->negative ? -1 : 1;
        return;
    }
    uint64_t v = 0;
    bool over = false;
    for (int64_t i = (int64_t)first; i < whole_digits; i++) {
        uint64_t digit = (size_t)i < count ? digit_at(n, (size_t)i) : 0;
        over |= __builtin_mul_overflow(v, 10u, &v);
        over |= __builtin_add_overflow(v, digit, &v);
    }
    *exact = rest_is_zero(n, whole_digits > (int64_t)first ? (size_t)whole_digits : first);
    uint64_t limit = n->negative ? 1ULL << 63 : INT64_MAX;
    if (n->negative && !*exact)
        over |= ++v == 0;
    if (over || v > limit)
        *side = n->negative ? -1 : 1;
    else
        *out = n->negative ? (int64_t)(0 - v) : (int64_t)v;
}

/* Floats. */

/* The C locale: a static object of glibc's, not an allocation. */
static locale_t c_locale(void)
{
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

enum { FLOAT_TEXT_MAX = 1100 }; /* longer literals of a double are refused */

static bool special_parse(struct base_slice text, double *out)
{
    bool negative = text.len && text.data[0] == '-';
    if (text.len && (text.data[0] == '-' || text.data[0] == '+')) {
        text.data++;
        text.len--;
    }
    if (base_slice_equal_nocase(text, BASE_SLICE_LIT("nan")))
        *out = NAN;
    else if (base_slice_equal_nocase(text, BASE_SLICE_LIT("infinity")) ||
             base_slice_equal_nocase(text, BASE_SLICE_LIT("inf")))
        *out = negative ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    return true;
}

static bool copy_literal(struct base_slice text, char copy[FLOAT_TEXT_MAX + 1])
{
    struct basei_number number;
    if (text.len > FLOAT_TEXT_MAX || !basei_number_parse(text, &number))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    return true;
}

bool basei_double_parse(struct base_slice text, double *out)
{
    char copy[FLOAT_TEXT_MAX + 1];
    *out = 0;
    if (special_parse(text, out))
        return true;
    if (!copy_literal(text, copy))
        return false;
    *out = strtod_l(copy, NULL, c_locale());
    return true;
}

bool basei_float_parse(struct base_slice text, float *out)
{
    char copy[FLOAT_TEXT_MAX + 1];
    double special;
    *out = 0;
    if (special_parse(text, &special)) {
        *out = (float)special;
        return true;
    }
    if (!copy_literal(text, copy))
        return false;
    *out = strtof_l(copy, NULL, c_locale());
    return true;
}

static size_t special_print(double v, char *text)
{
    const char *name = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
    size_t len = strlen(name);
    memcpy(text, name, len + 1);
    return len;
}

/* "%.*g" in the C locale, with ".0" where neither a point nor an exponent is. */
static size_t print_digits(double v, int digits, char *text)
{
    int len = snprintf(text, 32, "%.*g", digits, v);
    BASE_ASSERT(len > 0 && len < 30);
    if (!strpbrk(text, ".e"))
        len += snprintf(text + len, 3, ".0");
    return (size_t)len;
}

/* The shortest digits that read back as the same: any 15 (6) do so or more are needed, but for
 * numbers so small that they have fewer themselves. */
size_t basei_double_print(double v, char *text)
{
    if (!isfinite(v))
        return special_print(v, text);
    locale_t c = c_locale(), before = uselocale(c);
    size_t len = 0;
    for (int digits = fabs(v) < DBL_MIN ? 2 : 15; digits <= 17; digits++) {
        len = print_digits(v, digits, text);
        if (strtod_l(text, NULL, c) == v)
            break;
    }
    uselocale(before);
    return len;
}

size_t basei_float_print(float v, char *text)
{
    if (!isfinite(v))
        return special_print((double)v, text);
    locale_t c = c_locale(), before = uselocale(c);
    size_t len = 0;
    for (int digits = fabsf(v) < FLT_MIN ? 2 : 6; digits <= 9; digits++) {
        len = print_digits((double)v, digits, text);
        if (strtof_l(text, NULL, c) == v)
            break;
    }
    uselocale(before);
    return len;
}

/* The digits and the exponent of printed text, as Java writes them: from 0.001 to 10^7 with a
 * point, else with an exponent. */
static int put_java_text(const char *printed, struct base_buf *out)
{
    char digits[32];
    size_t count = 0;
    long exponent = 0, point = -1;
    const char *p = printed + (*printed == '-');
    for (; *p && *p != 'e'; p++) {
        if (*p == '.')
            point = (long)count;
        else if (count < sizeof digits)
            digits[count++] = *p;
    }
    if (*p == 'e')
        exponent = strtol(p + 1, NULL, 10);
    exponent += (point < 0 ? (long)count : point) - 1; /* of the first digit */
    size_t zeros = 0;
    while (zeros + 1 < count && digits[zeros] == '0')
        zeros++;
    while (count > zeros + 1 && digits[count - 1] == '0')
        count--;
    const char *first = digits + zeros;
    int len = (int)(count - zeros);
    exponent = *first == '0' ? 0 : exponent - (long)zeros;
    int rc = *printed == '-' ? base_buf_put_u8(out, '-') : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    if (exponent >= 7 || exponent < -3)
        return base_buf_printf(out, "%c.%.*sE%ld", *first, len > 1 ? len - 1 : 1,
                               len > 1 ? first + 1 : "0", exponent);
    if (exponent < 0)
        return base_buf_printf(out, "0.%.*s%.*s", (int)-exponent - 1, "00", len, first);
    int whole = (int)exponent + 1;
    if (len <= whole)
        return base_buf_printf(out, "%.*s%.*s.0", len, first, whole - len, "0000000");
    return base_buf_printf(out, "%.*s.%.*s", whole, first, len - whole, first + whole);
}

int base_double_java_text(double v, struct base_buf *out)
{
    char text[32];
    size_t len = basei_double_print(v, text);
    return isfinite(v) ? put_java_text(text, out) : base_buf_put(out, text, len);
}

int base_float_java_text(float v, struct base_buf *out)
{
    char text[32];
    size_t len = basei_float_print(v, text);
    return isfinite(v) ? put_java_text(text, out) : base_buf_put(out, text, len);
}

/* Varints: two's complement, big-endian. */

struct base_slice basei_varint_minimal(struct base_slice value)
{
    while (value.len > 1 && ((value.data[0] == 0x00 && value.data[1] < 0x80) ||
                             (value.data[0] == 0xFF && value.data[1] >= 0x80))) {
        value.data++;
        value.len--;
    }
    return value;
}

int basei_varint_compare(struct base_slice a, struct base_slice b)
{
    a = basei_varint_minimal(a);
    b = basei_varint_minimal(b);
    bool a_negative = a.len && a.data[0] >= 0x80, b_negative = b.len && b.data[0] >= 0x80;
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    if (a.len != b.len)
        return (a.len < b.len) != a_negative ? -1 : 1;
    return a.len ? memcmp(a.data, b.data, a.len) : 0;
}

int basei_varint_put_i64(struct base_buf *out, int64_t v)
{
    uint8_t bytes[8];
    base_put_be64(bytes, (uint64_t)v);
    return base_buf_put_slice(out, basei_varint_minimal(base_slice(bytes, 8)));
}

/* Append z as minimal two's complement. */
int basei_mpz_put(struct base_buf *out, mpz_t z)
{
    bool negative = mpz_sgn(z) < 0;
    if (negative)
        mpz_com(z, z);                         /* -z - 1: its complement is z */
    size_t len = mpz_sizeinbase(z, 2) / 8 + 1; /* a bit for the sign */
    int rc = len > BASEI_VARINT_LEN_MAX ? BASE_E_LIMIT : base_buf_reserve(out, len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    size_t written = 0;
    memset(p, 0, len);
    size_t used = mpz_sgn(z) ? (mpz_sizeinbase(z, 2) + 7) / 8 : 0;
    BASE_ASSERT(used <= len);
    mpz_export(p + (len - used), &written, 1, 1, 1, 0, z);
    BASE_ASSERT(written == used);
    for (size_t i = 0; negative && i < len; i++)
        p[i] = (uint8_t)~p[i];
    out->len += len;
    return BASE_OK;
}

void basei_mpz_get(struct base_slice value, mpz_t z)
{
    mpz_import(z, value.len, 1, 1, 1, 0, value.data);
    if (value.len && value.data[0] >= 0x80) {
        mpz_t bias;
        mpz_init_set_ui(bias, 1);
        mpz_mul_2exp(bias, bias, 8 * value.len);
        mpz_sub(z, z, bias);
        mpz_clear(bias);
    }
}

/* `count` digits of the number (zeros past its own) as a varint, less one more when `borrow`. */
static int put_digits(struct base_buf *out, const struct basei_number *n, size_t count, bool borrow)
{
    char *text = malloc(count + 2);
    if (!text)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        text[i] = (char)('0' + (i < digit_count(n) ? digit_at(n, i) : 0));
    text[count] = 0;
    mpz_t z;
    mpz_init(z);
    int bad = count ? mpz_set_str(z, text, 10) : 0;
    BASE_ASSERT(bad == 0);
    if (n->negative)
        mpz_neg(z, z);
    if (borrow)
        mpz_sub_ui(z, z, 1);
    int rc = basei_mpz_put(out, z);
    mpz_clear(z);
    free(text);
    return rc;
}

int basei_varint_put_number(struct base_buf *out, const struct basei_number *number, bool *exact)
{
    int64_t small;
    int side;
    basei_number_floor(number, &small, &side, exact);
    if (side == 0)
        return basei_varint_put_i64(out, small);
    int64_t whole_digits = (int64_t)number->whole.len + number->exponent;
    if (whole_digits > BASEI_DIGITS_MAX || digit_count(number) > BASEI_DIGITS_MAX)
        return BASE_E_LIMIT;
    BASE_ASSERT(whole_digits > 0);
    *exact = rest_is_zero(number, (size_t)whole_digits);
    return put_digits(out, number, (size_t)whole_digits, number->negative && !*exact);
}

int basei_varint_print(struct base_slice value, struct base_buf *out)
{
    value = basei_varint_minimal(value);
    if (value.len == 0)
        return BASE_E_CORRUPT;
    if (value.len <= 8) {
        uint64_t v = value.data[0] >= 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < value.len; i++)
            v = v << 8 | value.data[i];
        return base_buf_printf(out, "%lld", (long long)(int64_t)v);
    }
    if (value.len > BASEI_VARINT_LEN_MAX)
        return BASE_E_LIMIT;
    mpz_t z;
    mpz_init(z);
    basei_mpz_get(value, z);
    int rc = base_buf_reserve(out, mpz_sizeinbase(z, 10) + 2);
    if (rc == BASE_OK) {
        mpz_get_str((char *)out->data + out->len, 10, z);
        out->len += strlen((char *)out->data + out->len);
    }
    mpz_clear(z);
    return rc;
}
