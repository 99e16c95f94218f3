/* Exact arithmetic, against 128-bit integers and against itself. Without these a sum could lose a
 * digit, a quotient round the wrong way, a month be added twice, or a number of too many digits end
 * the process inside GMP. */
#include <stdio.h>

#include "base/arith.h"
#include "tests/lib/ck.h"
#include "tests/unit/base/value_random.h"

static struct base_err err;

/* Values as text. */

static struct base_slice of_text(enum base_type_kind kind, const char *text, struct base_buf *out)
{
    size_t start = out->len;
    ck_assert_msg(base_scalar_from_text(base_type_scalar(kind), base_slice_str(text), out) ==
                      BASE_OK,
                  "%s", text);
    return base_slice(out->data + start, out->len - start);
}

static const char *as_text(enum base_type_kind kind, struct base_slice value)
{
    static char text[4096];
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    ck_ok(base_value_validate(base_type_scalar(kind), value, &err), err);
    ck_ok(base_value_to_text(base_type_scalar(kind), value, &out, &err), err);
    snprintf(text, sizeof text, "%.*s", (int)out.len, (char *)out.data);
    base_buf_fini(&out);
    return text;
}

typedef int arith_fn(enum base_arith_op op, struct base_slice a, struct base_slice b,
                     struct base_buf *out);

static void gives(arith_fn *fn, enum base_type_kind kind, const char *a, enum base_arith_op op,
                  const char *b, const char *wanted)
{
    struct base_buf x, y, out;
    base_buf_init(&x, 1 << 20);
    base_buf_init(&y, 1 << 20);
    base_buf_init(&out, 1 << 20);
    int rc = fn(op, of_text(kind, a, &x), of_text(kind, b, &y), &out);
    ck_assert_msg(rc == BASE_OK, "%s %d %s: %s", a, op, b, base_err_words(rc));
    ck_assert_str_eq(as_text(kind, base_buf_view(&out)), wanted);
    base_buf_fini(&x);
    base_buf_fini(&y);
    base_buf_fini(&out);
}

static int fails(arith_fn *fn, enum base_type_kind kind, const char *a, enum base_arith_op op,
                 const char *b)
{
    struct base_buf x, y, out;
    base_buf_init(&x, 1 << 20);
    base_buf_init(&y, 1 << 20);
    base_buf_init(&out, 1 << 20);
    int rc = fn(op, of_text(kind, a, &x), of_text(kind, b, &y), &out);
    ck_assert_uint_eq(out.len, 0);
    base_buf_fini(&x);
    base_buf_fini(&y);
    base_buf_fini(&out);
    return rc;
}

/* Varint. */

static struct base_slice put_128(__int128 v, uint8_t bytes[17])
{
    for (int i = 16; i >= 0; i--, v >>= 8)
        bytes[i] = (uint8_t)v;
    size_t skip = 0;
    while (skip < 16 && ((bytes[skip] == 0 && bytes[skip + 1] < 0x80) ||
                         (bytes[skip] == 0xFF && bytes[skip + 1] >= 0x80)))
        skip++;
    return base_slice(bytes + skip, 17 - skip);
}

static int64_t random_i64(struct rng *r)
{
    static const int64_t edges[] = {0,   1,   -1,        127,       128,       -128,     -129,
                                    255, 256, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    return rng_below(r, 3) ? (int64_t)rng_next(r) >> rng_below(r, 64)
                           : edges[rng_below(r, BASE_COUNT(edges))];
}

START_TEST(varints)
{
    struct rng r = {1};
    struct base_buf out;
    base_buf_init(&out, 64);
    for (int i = 0; i < 20000; i++) {
        const int64_t a = random_i64(&r), b = random_i64(&r);
        uint8_t x[17], y[17], z[17];
        struct base_slice va = put_128(a, x), vb = put_128(b, y);
        const __int128 wanted[] = {(__int128)a + b, (__int128)a - b, (__int128)a * b,
                                   b ? (__int128)a / b : 0, b ? (__int128)a % b : 0};
        ck_assert_int_eq(base_varint_to_i64(va), a);
        for (int op = BASE_ADD; op <= BASE_MODULO; op++) {
            out.len = 0;
            int rc = base_varint_arith((enum base_arith_op)op, va, vb, &out);
            if (op >= BASE_DIVIDE && b == 0) {
                ck_assert_int_eq(rc, BASE_E_INVALID);
                continue;
            }
            ck_assert_int_eq(rc, BASE_OK);
            ck_assert(base_slice_equal(base_buf_view(&out), put_128(wanted[op], z)));
        }
        out.len = 0;
        ck_assert_int_eq(base_varint_abs(va, &out), BASE_OK);
        ck_assert(base_slice_equal(base_buf_view(&out), put_128(a < 0 ? -(__int128)a : a, z)));
        out.len = 0;
        ck_assert_int_eq(base_varint_from_i64(a, &out), BASE_OK);
        ck_assert(base_slice_equal(base_buf_view(&out), va));
    }
    base_buf_fini(&out);
    /* the low bits of a long one */
    uint8_t long_one[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    ck_assert_int_eq(base_varint_to_i64(base_slice(long_one, 10)), 0x030405060708090A);
}
END_TEST

START_TEST(too_long)
{
    struct base_buf a, out;
    base_buf_init(&a, 1 << 20);
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(base_buf_reserve(&a, 70000), BASE_OK);
    memset(a.data, 0x55, 70000);
    struct base_slice half = base_slice(a.data, 40000), whole = base_slice(a.data, 70000);
    ck_assert_int_eq(base_varint_arith(BASE_MULTIPLY, half, half, &out), BASE_E_LIMIT);
    ck_assert_int_eq(base_varint_arith(BASE_ADD, whole, half, &out), BASE_E_LIMIT);
    ck_assert_int_eq(base_decimal_arith(BASE_MULTIPLY, half, half, &out), BASE_E_LIMIT);
    ck_assert_int_eq(base_decimal_arith(BASE_ADD, whole, half, &out), BASE_E_LIMIT);
    ck_assert_int_eq(base_decimal_arith(BASE_ADD, base_slice("\0", 1), half, &out), BASE_E_CORRUPT);
    ck_assert_int_eq(base_decimal_round(whole, &out), BASE_E_LIMIT);
    ck_assert_uint_eq(out.len, 0);
    base_buf_fini(&a);
    base_buf_fini(&out);
}
END_TEST

/* Decimal. */

START_TEST(decimals)
{
    static const struct {
        const char *a;
        enum base_arith_op op;
        const char *b, *wanted;
    } rows[] = {
        {"1.10", BASE_ADD, "2.2", "3.30"},
        {"1e3", BASE_ADD, "1", "1001"},
        {"1e3", BASE_ADD, "1e5", "1.01E+5"},
        {"1.5", BASE_SUBTRACT, "1.50", "0.00"},
        {"1.5", BASE_MULTIPLY, "1.50", "2.250"},
        {"0", BASE_ADD, "1e-5", "0.00001"},
        {"1e-20", BASE_MULTIPLY, "1e20", "1"},
        {"7.5", BASE_MODULO, "2", "1.5"},
        {"-7.5", BASE_MODULO, "2", "-1.5"},
        {"7.5", BASE_MODULO, "-2", "1.5"},
        {"1e3", BASE_MODULO, "7", "6"},
        {"1", BASE_DIVIDE, "4", "0.25"},
        {"1", BASE_DIVIDE, "3", "0.33333333333333333333333333333333"},
        {"-2", BASE_DIVIDE, "3", "-0.66666666666666666666666666666667"},
        {"1000000", BASE_DIVIDE, "3", "333333.33333333333333333333333333333333"},
        {"1e-10", BASE_DIVIDE, "3", "3.3333333333333333333333333333333E-11"},
        {"6", BASE_DIVIDE, "2", "3"},
        {"100", BASE_DIVIDE, "1", "1E+2"},
        {"0", BASE_DIVIDE, "7", "0"},
        {"1e-900", BASE_DIVIDE, "3e900", "0"},
        {"1", BASE_DIVIDE, "1e-2000", "1E+2000"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        gives(base_decimal_arith, BASE_TYPE_DECIMAL, rows[i].a, rows[i].op, rows[i].b,
              rows[i].wanted);
    ck_assert_int_eq(fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1", BASE_DIVIDE, "0.00"),
                     BASE_E_INVALID);
    ck_assert_int_eq(fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1", BASE_MODULO, "0"),
                     BASE_E_INVALID);
    ck_assert_int_eq(fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1e2000000000", BASE_ADD, "1"),
                     BASE_E_LIMIT);
    ck_assert_int_eq(
        fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1e2000000000", BASE_MULTIPLY, "1e2000000000"),
        BASE_E_LIMIT);
    ck_assert_int_eq(fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1e2000000000", BASE_MODULO, "3"),
                     BASE_E_LIMIT);
    ck_assert_int_eq(
        fails(base_decimal_arith, BASE_TYPE_DECIMAL, "1e2000000000", BASE_DIVIDE, "1e-2000000000"),
        BASE_E_LIMIT);
}
END_TEST

/* (a + b) - b = a, (a * b) / b = a, a = (a / b) * b + a % b for whole numbers, by value. */
START_TEST(decimal_laws)
{
    struct rng r = {2};
    const struct base_type *type = base_type_scalar(BASE_TYPE_DECIMAL);
    for (int i = 0; i < 3000; i++) {
        char text[2][64];
        struct base_buf v[2], sum, back;
        base_buf_init(&sum, 1 << 16);
        base_buf_init(&back, 1 << 16);
        for (int k = 0; k < 2; k++) {
            base_buf_init(&v[k], 1 << 16);
            snprintf(text[k], sizeof text[k], "%llde%d", (long long)random_i64(&r) / 1000000000,
                     (int)rng_below(&r, 30) - 15);
            of_text(BASE_TYPE_DECIMAL, text[k], &v[k]);
        }
        struct base_slice a = base_buf_view(&v[0]), b = base_buf_view(&v[1]);
        ck_assert_int_eq(base_decimal_arith(BASE_ADD, a, b, &sum), BASE_OK);
        ck_assert_int_eq(base_decimal_arith(BASE_SUBTRACT, base_buf_view(&sum), b, &back), BASE_OK);
        ck_assert_int_eq(base_value_compare(type, base_buf_view(&back), a), 0);
        sum.len = back.len = 0;
        ck_assert_int_eq(base_decimal_arith(BASE_MULTIPLY, a, b, &sum), BASE_OK);
        int rc = base_decimal_arith(BASE_DIVIDE, base_buf_view(&sum), b, &back);
        if (rc == BASE_OK)
            ck_assert_msg(base_value_compare(type, base_buf_view(&back), a) == 0, "%s * %s",
                          text[0], text[1]);
        else
            ck_assert_int_eq(rc, BASE_E_INVALID); /* by zero */
        base_buf_fini(&v[0]);
        base_buf_fini(&v[1]);
        base_buf_fini(&sum);
        base_buf_fini(&back);
    }
}
END_TEST

START_TEST(decimal_rounding)
{
    static const struct {
        /* third: value / 3, half even, same scale */
        const char *value, *rounded, *truncated, *third;
    } rows[] = {
        {"2.5", "3", "2", "0.8"},       {"-2.5", "-3", "-2", "-0.8"},
        {"2.49", "2", "2", "0.83"},     {"-0.5", "-1", "0", "-0.2"},
        {"0.05", "0", "0", "0.02"},     {"1e3", "1000", "1000", "0E+3"},
        {"1e-400", "0", "0", "0E-400"}, {"123.456", "123", "123", "41.152"},
        {"1.5", "2", "1", "0.5"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++) {
        struct base_buf v, out;
        base_buf_init(&v, 1 << 16);
        base_buf_init(&out, 1 << 16);
        of_text(BASE_TYPE_DECIMAL, rows[i].value, &v);
        ck_assert_int_eq(base_decimal_round(base_buf_view(&v), &out), BASE_OK);
        ck_assert_str_eq(as_text(BASE_TYPE_DECIMAL, base_buf_view(&out)), rows[i].rounded);
        out.len = 0;
        ck_assert_int_eq(base_decimal_to_varint(base_buf_view(&v), &out), BASE_OK);
        ck_assert_str_eq(as_text(BASE_TYPE_VARINT, base_buf_view(&out)), rows[i].truncated);
        out.len = 0;
        ck_assert_int_eq(base_decimal_average(base_buf_view(&v), 3, &out), BASE_OK);
        ck_assert_str_eq(as_text(BASE_TYPE_DECIMAL, base_buf_view(&out)), rows[i].third);
        base_buf_fini(&v);
        base_buf_fini(&out);
    }
    struct base_buf v, out;
    base_buf_init(&v, 64);
    base_buf_init(&out, 64);
    of_text(BASE_TYPE_DECIMAL, "0.5", &v);
    ck_assert_int_eq(base_decimal_average(base_buf_view(&v), 2, &out), BASE_OK);
    ck_assert_str_eq(as_text(BASE_TYPE_DECIMAL, base_buf_view(&out)), "0.2"); /* half to even */
    base_buf_fini(&v);
    base_buf_fini(&out);
}
END_TEST

/* log(exp(x)) = x to 30 digits, and known digits. */
START_TEST(decimal_functions)
{
    static const char *const values[] = {
        "1",   "-1",   "0.001", "12.345",
        "-50", "1000", "99999", "3.14159265358979323846264338327950288419716939937510"};
    const struct base_type *type = base_type_scalar(BASE_TYPE_DECIMAL);
    for (size_t i = 0; i < BASE_COUNT(values); i++) {
        struct base_buf v, e, back, difference, bound;
        struct base_buf *const all[] = {&v, &e, &back, &difference, &bound};
        for (size_t k = 0; k < BASE_COUNT(all); k++)
            base_buf_init(all[k], 1 << 16);
        of_text(BASE_TYPE_DECIMAL, values[i], &v);
        of_text(BASE_TYPE_DECIMAL, "1e-26", &bound);
        ck_assert_int_eq(base_decimal_apply(BASE_DECIMAL_EXP, base_buf_view(&v), &e), BASE_OK);
        ck_assert_int_eq(base_decimal_apply(BASE_DECIMAL_LOG, base_buf_view(&e), &back), BASE_OK);
        ck_assert_int_eq(
            base_decimal_arith(BASE_SUBTRACT, base_buf_view(&back), base_buf_view(&v), &difference),
            BASE_OK);
        e.len = 0;
        ck_assert_int_eq(base_decimal_abs(base_buf_view(&difference), &e), BASE_OK);
        ck_assert_msg(base_value_compare(type, base_buf_view(&e), base_buf_view(&bound)) < 0,
                      "%s came back as %s", values[i],
                      as_text(BASE_TYPE_DECIMAL, base_buf_view(&back)));
        for (size_t k = 0; k < BASE_COUNT(all); k++)
            base_buf_fini(all[k]);
    }
}
END_TEST

/* Text and time. */

START_TEST(java_text)
{
    static const struct {
        double v;
        const char *wanted;
    } rows[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {-1.5, "-1.5"},
        {100, "100.0"},
        {9999999, "9999999.0"},
        {1e7, "1.0E7"},
        {12345678.9, "1.23456789E7"},
        {0.001, "0.001"},
        {0.00123, "0.00123"},
        {0.000999, "9.99E-4"},
        {1e21, "1.0E21"},
        {1.7976931348623157e308, "1.7976931348623157E308"},
        {0.1, "0.1"},
        {0.012, "0.012"},
        {1e300 * 1e10, "Infinity"},
        {123456.789, "123456.789"},
        {4.9e-324, "4.9E-324"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++) {
        struct base_buf out;
        base_buf_init(&out, 64);
        ck_assert_int_eq(base_double_java_text(rows[i].v, &out), BASE_OK);
        ck_assert_msg(base_slice_equal(base_buf_view(&out), base_slice_str(rows[i].wanted)),
                      "%.*s is not %s", (int)out.len, (char *)out.data, rows[i].wanted);
        base_buf_fini(&out);
    }
}
END_TEST

START_TEST(adding_durations)
{
    static const struct {
        const char *from;
        struct base_duration duration;
        int64_t times;
        const char *wanted;
    } rows[] = {
        {"2024-01-31", {1, 0, 0}, 1, "2024-02-29T00:00:00.000Z"},
        {"2023-01-31", {1, 0, 0}, 1, "2023-02-28T00:00:00.000Z"},
        {"2024-01-31", {1, 0, 0}, 2, "2024-03-31T00:00:00.000Z"},
        {"2024-03-31", {1, 0, 0}, -1, "2024-02-29T00:00:00.000Z"},
        {"2024-02-29", {12, 0, 0}, -1, "2023-02-28T00:00:00.000Z"},
        {"2024-01-15", {0, -1, -1000000}, 1, "2024-01-13T23:59:59.999Z"},
        {"1969-12-31T23:59:59.999Z", {0, 0, 1000000}, 1, "1970-01-01T00:00:00.000Z"},
        {"1970-01-01", {-1, 0, 0}, 13, "1968-12-01T00:00:00.000Z"},
        {"0000-01-01", {-1, 0, 0}, 1, "-0001-12-01T00:00:00.000Z"},
        {"2024-01-31T01:02:03.004Z", {1, 1, 3600000000000}, 1, "2024-03-01T02:02:03.004Z"},
    };
    const struct base_type *type = base_type_scalar(BASE_TYPE_TIMESTAMP);
    for (size_t i = 0; i < BASE_COUNT(rows); i++) {
        struct base_buf v;
        uint8_t bytes[8];
        int64_t at;
        base_buf_init(&v, 64);
        of_text(BASE_TYPE_TIMESTAMP, rows[i].from, &v);
        ck_assert(base_timestamp_add((int64_t)base_get_be64(v.data), &rows[i].duration,
                                     rows[i].times, &at));
        base_put_be64(bytes, (uint64_t)at);
        ck_assert_str_eq(as_text(type->kind, base_slice(bytes, 8)), rows[i].wanted);
        base_buf_fini(&v);
    }
    int64_t at;
    ck_assert(!base_timestamp_add(INT64_MAX, &(struct base_duration){0, 1, 0}, 1, &at));
    ck_assert(!base_timestamp_add(INT64_MIN, &(struct base_duration){0, 0, -1000000}, 1, &at));
    ck_assert(!base_timestamp_add(0, &(struct base_duration){INT32_MAX, 0, 0}, INT64_MAX, &at));
    ck_assert(base_timestamp_add(INT64_MAX, &(struct base_duration){0, 0, 0}, 1, &at));
    ck_assert_int_eq(at, INT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/arith");
    TCase *tc = tcase_create("arith");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, varints);
    tcase_add_test(tc, too_long);
    tcase_add_test(tc, decimals);
    tcase_add_test(tc, decimal_laws);
    tcase_add_test(tc, decimal_rounding);
    tcase_add_test(tc, decimal_functions);
    tcase_add_test(tc, java_text);
    tcase_add_test(tc, adding_durations);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
