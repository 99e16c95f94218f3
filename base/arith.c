/* Arithmetic on varints and decimals.
 *
 * GMP aborts the process when memory ends, so nothing large reaches it: operands are bounded by
 * BASEI_VARINT_LEN_MAX, and a result that would have more than BASEI_DIGITS_MAX digits is refused
 * before it is computed. */
#include "base/arith.h"

#include "base/base_private.h"
#include "base/mpz_private.h"

/* Digits of a quotient at least, and behind its point at most (Cassandra's DecimalType). */
enum { QUOTIENT_DIGITS = 32, QUOTIENT_SCALE_MAX = 1000 };

/* Varint. */

int base_varint_from_i64(int64_t v, struct base_buf *out)
{
    return basei_varint_put_i64(out, v);
}

int64_t base_varint_to_i64(struct base_slice value)
{
    uint64_t v = value.len && value.data[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = value.len > 8 ? value.len - 8 : 0; i < value.len; i++)
        v = v << 8 | value.data[i];
    return (int64_t)v;
}

static int compute(enum base_arith_op op, mpz_t z, const mpz_t a, const mpz_t b)
{
    switch (op) {
    case BASE_ADD:
        mpz_add(z, a, b);
        break;
    case BASE_SUBTRACT:
        mpz_sub(z, a, b);
        break;
    case BASE_MULTIPLY:
        mpz_mul(z, a, b);
        break;
    case BASE_DIVIDE:
    case BASE_MODULO:
        if (mpz_sgn(b) == 0)
            return BASE_E_INVALID;
        if (op == BASE_DIVIDE)
            mpz_tdiv_q(z, a, b);
        else
            mpz_tdiv_r(z, a, b);
        break;
    }
    return BASE_OK;
}

int base_varint_arith(enum base_arith_op op, struct base_slice a, struct base_slice b,
                      struct base_buf *out)
{
    if (a.len > BASEI_VARINT_LEN_MAX || b.len > BASEI_VARINT_LEN_MAX)
        return BASE_E_LIMIT;
    mpz_t x, y, z;
    mpz_inits(x, y, z, NULL);
    basei_mpz_get(a, x);
    basei_mpz_get(b, y);
    int rc = compute(op, z, x, y);
    if (rc == BASE_OK)
        rc = basei_mpz_put(out, z);
    mpz_clears(x, y, z, NULL);
    return rc;
}

int base_varint_abs(struct base_slice value, struct base_buf *out)
{
    if (value.len && value.data[0] >= 0x80)
        return base_varint_arith(BASE_SUBTRACT, base_slice("\0", 1), value, out);
    return base_buf_put_slice(out, value);
}

/* Decimal. */

struct number {
    mpz_t unscaled;
    int64_t scale;
};

/* The caller clears it, also after a failure. */
static int number_get(struct number *n, struct base_slice value)
{
    mpz_init(n->unscaled);
    n->scale = 0;
    if (value.len < 5)
        return BASE_E_CORRUPT;
    if (value.len - 4 > BASEI_VARINT_LEN_MAX)
        return BASE_E_LIMIT;
    n->scale = (int32_t)base_get_be32(value.data);
    basei_mpz_get(base_slice(value.data + 4, value.len - 4), n->unscaled);
    return BASE_OK;
}

static int number_put(struct number *n, struct base_buf *out)
{
    uint8_t scale[4];
    size_t start = out->len;
    if (n->scale < INT32_MIN || n->scale > INT32_MAX)
        return BASE_E_LIMIT;
    base_put_be32(scale, (uint32_t)(int32_t)n->scale);
    int rc = base_buf_put(out, scale, 4);
    if (rc == BASE_OK)
        rc = basei_mpz_put(out, n->unscaled);
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

/* Decimal digits, of zero 1; may be one too many only when `exactly` is not asked for. */
static int64_t digits_of(const mpz_t z)
{
    size_t n = mpz_sizeinbase(z, 10);
    if (n > 1) { /* GMP's answer may be one too large */
        mpz_t power;
        mpz_init(power);
        mpz_ui_pow_ui(power, 10, n - 1);
        n -= mpz_cmpabs(z, power) < 0;
        mpz_clear(power);
    }
    return (int64_t)n;
}

/* To a greater scale, exactly. */
static int number_extend(struct number *n, int64_t scale)
{
    int64_t by = scale - n->scale;
    BASE_ASSERT(by >= 0);
    n->scale = scale;
    if (by == 0 || mpz_sgn(n->unscaled) == 0)
        return BASE_OK;
    if (by + (int64_t)mpz_sizeinbase(n->unscaled, 10) > BASEI_DIGITS_MAX)
        return BASE_E_LIMIT;
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, (unsigned long)by);
    mpz_mul(n->unscaled, n->unscaled, power);
    mpz_clear(power);
    return BASE_OK;
}

enum rounding { TO_ZERO, HALF_UP, HALF_EVEN };

/* q = a / b, rounded. b is not zero. */
static void divide(mpz_t q, const mpz_t a, const mpz_t b, enum rounding rounding)
{
    mpz_t r;
    mpz_init(r);
    int sign = mpz_sgn(a) * mpz_sgn(b);
    mpz_tdiv_qr(q, r, a, b);
    mpz_mul_2exp(r, r, 1);
    int half = mpz_cmpabs(r, b);
    bool away = rounding == HALF_UP
                    ? half >= 0
                    : rounding == HALF_EVEN && (half > 0 || (half == 0 && mpz_odd_p(q)));
    if (away && sign < 0)
        mpz_sub_ui(q, q, 1);
    else if (away)
        mpz_add_ui(q, q, 1);
    mpz_clear(r);
}

/* To a smaller or greater scale. */
static int number_rescale(struct number *n, int64_t scale, enum rounding rounding)
{
    int64_t by = n->scale - scale;
    if (by <= 0)
        return number_extend(n, scale);
    n->scale = scale;
    if (by > (int64_t)mpz_sizeinbase(n->unscaled, 10) + 1) { /* less than a half */
        mpz_set_ui(n->unscaled, 0);
        return BASE_OK;
    }
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, (unsigned long)by);
    divide(n->unscaled, n->unscaled, power, rounding);
    mpz_clear(power);
    return BASE_OK;
}

static void number_strip(struct number *n)
{
    mpz_t ten;
    if (mpz_sgn(n->unscaled) == 0) {
        n->scale = 0;
        return;
    }
    mpz_init_set_ui(ten, 10);
    n->scale -= (int64_t)mpz_remove(n->unscaled, n->unscaled, ten);
    mpz_clear(ten);
}

static int quotient(struct number *a, const struct number *b)
{
    if (mpz_sgn(b->unscaled) == 0)
        return BASE_E_INVALID;
    /* Where its first digit will be tells how far behind the point the last one must be. */
    int64_t first = digits_of(a->unscaled) - a->scale - (digits_of(b->unscaled) - b->scale);
    int64_t scale = QUOTIENT_DIGITS - first;
    scale = scale > a->scale ? scale : a->scale;
    scale = scale > b->scale ? scale : b->scale;
    scale = scale > QUOTIENT_DIGITS ? scale : QUOTIENT_DIGITS;
    scale = scale < QUOTIENT_SCALE_MAX ? scale : QUOTIENT_SCALE_MAX;
    /* a / b at this scale: (ua * 10^(scale + sb - sa)) / ub */
    int64_t by = scale + b->scale - a->scale;
    struct number divisor = {.scale = 0};
    mpz_init_set(divisor.unscaled, b->unscaled);
    int rc;
    if (by >= 0) {
        int64_t target = a->scale + by;
        rc = number_extend(a, target);
    } else {
        rc = number_extend(&divisor, -by);
    }
    if (rc == BASE_OK)
        divide(a->unscaled, a->unscaled, divisor.unscaled, HALF_UP);
    mpz_clear(divisor.unscaled);
    a->scale = scale;
    number_strip(a);
    return rc;
}

static int decimal_compute(enum base_arith_op op, struct number *a, struct number *b)
{
    if (op == BASE_MULTIPLY) {
        mpz_mul(a->unscaled, a->unscaled, b->unscaled);
        a->scale += b->scale;
        return BASE_OK;
    }
    if (op == BASE_DIVIDE)
        return quotient(a, b);
    if (op == BASE_MODULO && mpz_sgn(b->unscaled) == 0)
        return BASE_E_INVALID;
    int64_t scale = a->scale > b->scale ? a->scale : b->scale;
    int rc = number_extend(a, scale);
    if (rc == BASE_OK)
        rc = number_extend(b, scale);
    return rc == BASE_OK ? compute(op, a->unscaled, a->unscaled, b->unscaled) : rc;
}

int base_decimal_arith(enum base_arith_op op, struct base_slice a, struct base_slice b,
                       struct base_buf *out)
{
    struct number x, y;
    int rc = number_get(&x, a), rc_y = number_get(&y, b);
    rc = rc == BASE_OK ? rc_y : rc;
    if (rc == BASE_OK)
        rc = decimal_compute(op, &x, &y);
    if (rc == BASE_OK)
        rc = number_put(&x, out);
    mpz_clears(x.unscaled, y.unscaled, NULL);
    return rc;
}

int base_decimal_negate(struct base_slice value, struct base_buf *out)
{
    struct number n;
    int rc = number_get(&n, value);
    mpz_neg(n.unscaled, n.unscaled);
    if (rc == BASE_OK)
        rc = number_put(&n, out);
    mpz_clear(n.unscaled);
    return rc;
}

int base_decimal_abs(struct base_slice value, struct base_buf *out)
{
    if (value.len > 4 && value.data[4] >= 0x80)
        return base_decimal_negate(value, out);
    return base_buf_put_slice(out, value);
}

int base_decimal_round(struct base_slice value, struct base_buf *out)
{
    struct number n;
    int rc = number_get(&n, value);
    if (rc == BASE_OK)
        rc = number_rescale(&n, 0, HALF_UP);
    if (rc == BASE_OK)
        rc = number_put(&n, out);
    mpz_clear(n.unscaled);
    return rc;
}

int base_decimal_average(struct base_slice sum, uint64_t count, struct base_buf *out)
{
    struct number n;
    mpz_t by;
    BASE_ASSERT(count > 0);
    mpz_init(by);
    mpz_import(by, 1, 1, sizeof count, 0, 0, &count);
    int rc = number_get(&n, sum);
    if (rc == BASE_OK) {
        divide(n.unscaled, n.unscaled, by, HALF_EVEN);
        rc = number_put(&n, out);
    }
    mpz_clears(n.unscaled, by, NULL);
    return rc;
}

int base_decimal_from_varint(struct base_slice varint, struct base_buf *out)
{
    size_t start = out->len;
    int rc = base_buf_put(out, "\0\0\0\0", 4);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out, basei_varint_minimal(varint));
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

int base_decimal_to_varint(struct base_slice value, struct base_buf *out)
{
    struct number n;
    int rc = number_get(&n, value);
    if (rc == BASE_OK)
        rc = number_rescale(&n, 0, TO_ZERO);
    if (rc == BASE_OK)
        rc = basei_mpz_put(out, n.unscaled);
    mpz_clear(n.unscaled);
    return rc;
}
