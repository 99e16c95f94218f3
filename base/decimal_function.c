/* e to a decimal and logarithms of one, to 32 digits or as many as it has.
 *
 * On GMP's floats with some digits to spare: series after the argument has been brought near 0 or
 * 1. A float's precision is fixed when it is made, so memory is bounded by DIGITS_MAX; an
 * argument's magnitude by what a decimal's scale can say of the result. */
#include "base/arith.h"

#include "base/base_private.h"
#include "base/mpz_private.h"

enum { DIGITS_MIN = 32, DIGITS_MAX = 1000, SPARE_DIGITS = 20 };

/* Floats of one precision, made together. */
struct work {
    mpf_t x, y, t, u, term, sum;
    unsigned long bits;
};

static void work_init(struct work *w, int digits)
{
    w->bits = (unsigned long)(digits + SPARE_DIGITS) * 10 / 3 + 64;
    mpf_init2(w->x, w->bits);
    mpf_init2(w->y, w->bits);
    mpf_init2(w->t, w->bits);
    mpf_init2(w->u, w->bits);
    mpf_init2(w->term, w->bits);
    mpf_init2(w->sum, w->bits);
}

static void work_fini(struct work *w)
{
    mpf_clears(w->x, w->y, w->t, w->u, w->term, w->sum, NULL);
}

/* |term| < |sum| * 2^-bits? Or the term is nothing. */
static bool is_small(const struct work *w, const mpf_t term, const mpf_t sum)
{
    long t, s;
    if (mpf_sgn(term) == 0)
        return true;
    mpf_get_d_2exp(&t, term);
    mpf_get_d_2exp(&s, sum);
    return t < s - (long)w->bits;
}

/* w->y = e^w->x. Halved until it is small, then squared as often. */
static void exp_of(struct work *w)
{
    long magnitude;
    mpf_get_d_2exp(&magnitude, w->x);
    unsigned long halvings = magnitude > -8 && mpf_sgn(w->x) ? (unsigned long)(magnitude + 8) : 0;
    mpf_div_2exp(w->x, w->x, halvings);
    mpf_set_ui(w->sum, 1);
    mpf_set_ui(w->term, 1);
    for (unsigned long n = 1; !is_small(w, w->term, w->sum); n++) {
        mpf_mul(w->term, w->term, w->x);
        mpf_div_ui(w->term, w->term, n);
        mpf_add(w->sum, w->sum, w->term);
    }
    for (; halvings; halvings--)
        mpf_mul(w->sum, w->sum, w->sum);
    mpf_set(w->y, w->sum);
}

/* w->y = ln(w->x), x > 0: by roots until it is near 1, then 2 artanh((x - 1) / (x + 1)). */
static void log_of(struct work *w)
{
    unsigned long roots = 0;
    for (;; roots++) {
        mpf_sub_ui(w->t, w->x, 1);
        mpf_abs(w->u, w->t);
        if (mpf_cmp_d(w->u, 0.01) < 0)
            break;
        mpf_sqrt(w->x, w->x);
    }
    mpf_add_ui(w->u, w->x, 1);
    mpf_div(w->t, w->t, w->u);
    mpf_mul(w->u, w->t, w->t);
    mpf_set(w->term, w->t);
    mpf_set(w->sum, w->t);
    for (unsigned long n = 3; !is_small(w, w->term, w->sum); n += 2) {
        mpf_mul(w->term, w->term, w->u);
        mpf_div_ui(w->t, w->term, n);
        mpf_add(w->sum, w->sum, w->t);
    }
    mpf_mul_2exp(w->y, w->sum, roots + 1);
}

/* w->x = the digits, as 0.digits * 10^exponent; text is the mantissa's. */
static void set_digits(struct work *w, const char *digits, long exponent)
{
    int bad = mpf_set_str(w->x, digits, 10);
    BASE_ASSERT(bad == 0);
    mpf_set_ui(w->t, 10);
    mpf_pow_ui(w->t, w->t, (unsigned long)(exponent < 0 ? -exponent : exponent));
    if (exponent < 0)
        mpf_div(w->x, w->x, w->t);
    else
        mpf_mul(w->x, w->x, w->t);
}

/* w->y as a decimal of so many digits. */
static int put_result(struct work *w, int digits, struct base_buf *out)
{
    char text[DIGITS_MAX + 3];
    mp_exp_t exponent;
    mpf_get_str(text, &exponent, 10, (size_t)digits, w->y);
    const bool negative = text[0] == '-';
    struct base_slice all = base_slice_str(text + negative);
    if (all.len == 0)
        return base_buf_put(out, "\0\0\0\0\0", 5);
    struct basei_number number = {
        .negative = negative, .whole = base_slice(NULL, 0), .fraction = all, .exponent = exponent};
    return basei_decimal_put_number(out, &number);
}

static int apply(enum base_decimal_function f, char *digits, size_t count, bool negative,
                 int64_t scale, struct base_buf *out)
{
    const int wanted = count < DIGITS_MIN ? DIGITS_MIN : (int)count;
    const int64_t magnitude = (int64_t)count - scale; /* 0.digits * 10^magnitude */
    struct work w;
    if (f == BASE_DECIMAL_EXP && magnitude > 6)
        return BASE_E_LIMIT;
    if (f == BASE_DECIMAL_EXP && magnitude < -DIGITS_MAX)
        return base_buf_put(out, "\0\0\0\0\1", 5); /* 1, to any digit that is asked for */
    /* The argument: of logarithms only its mantissa in [1, 10), the rest is exact. */
    /* near 1 a logarithm has lost half of them */
    work_init(&w, f == BASE_DECIMAL_EXP ? wanted + 10 : 2 * wanted);
    if (f == BASE_DECIMAL_EXP) {
        set_digits(&w, digits, (long)-scale);
        if (negative)
            mpf_neg(w.x, w.x);
        exp_of(&w);
    } else {
        mpf_t mantissa;
        mpf_init2(mantissa, w.bits);
        mpf_set_ui(w.x, 10);
        log_of(&w);
        mpf_set(mantissa, w.y); /* ln 10 for now */
        set_digits(&w, digits, 1 - (long)count);
        log_of(&w);
        if (f == BASE_DECIMAL_LOG10)
            mpf_div(w.y, w.y, mantissa);
        mpf_set_d(w.t, (double)(magnitude - 1)); /* below 2^33: exact */
        if (f == BASE_DECIMAL_LOG)
            mpf_mul(w.t, w.t, mantissa);
        mpf_add(w.y, w.y, w.t);
        mpf_clear(mantissa);
    }
    int rc = put_result(&w, wanted, out);
    work_fini(&w);
    return rc;
}

int base_decimal_apply(enum base_decimal_function f, struct base_slice value, struct base_buf *out)
{
    struct base_buf text;
    if (value.len < 5)
        return BASE_E_CORRUPT;
    base_buf_init(&text, BASEI_DIGITS_MAX + 16);
    int rc = basei_varint_print(base_slice(value.data + 4, value.len - 4), &text);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, 0);
    if (rc == BASE_OK) {
        char *digits = (char *)text.data;
        const bool negative = digits[0] == '-', zero = digits[0] == '0';
        size_t count = text.len - 1 - negative;
        if (f != BASE_DECIMAL_EXP && (negative || zero))
            rc = BASE_E_INVALID;
        else if (count > DIGITS_MAX)
            rc = BASE_E_LIMIT;
        else if (zero)
            rc = base_buf_put(out, "\0\0\0\0\1", 5);
        else
            rc = apply(f, digits + negative, count, negative, (int32_t)base_get_be32(value.data),
                       out);
    }
    base_buf_fini(&text);
    return rc;
}
