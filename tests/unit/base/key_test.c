/* Keys: tokens by Cassandra's own answers, and the order encoding against base_value_compare.
 * Without these, drivers would route to the wrong node, and rows would be lost in their own
 * table. */
#include <check.h>

#include "base/key.h"
#include "tests/lib/scale.h"
#include "value_random.h"

static uint64_t iterations = 300;

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static int64_t token_of_byte(uint8_t byte, size_t n)
{
    uint8_t bytes[64];
    memset(bytes, byte, n);
    return base_token(base_slice(bytes, n));
}

START_TEST(token_known_answers)
{
    /* From the tests of Cassandra's drivers (python-driver test_metadata.py, csharp-driver
     * TokenTests.cs, elixir-cassandra murmur3_test.exs): there is data with all of these. */
    static const struct {
        const char *bytes;
        size_t len;
        int64_t token;
    } known[] = {
        {"123", 3, -7468325962851647638LL},
        {"9223372036854775807", 19, 7162290910810015547LL},
        {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", 16,
         -5563837382979743776LL},
        {"\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11", 16,
         -1513403162740402161LL},
        {"\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16", 16,
         8228893370679682632LL},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 5457549051747178710LL},
        {"\x00\x01\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16,
         6463632673159404390LL},
        {"\0\0\0\0", 4, -3485513579396041028LL},
        {"\x00\x01\x7f\x7f", 4, 6573459401642635627LL},
        {"\x00\xff\xff\xff", 4,
         123573637386978882LL}, /* here the sign of the tail's bytes matters */
        {"\xff\x01\x02\x03", 4, -2839127690952877842LL},
        {"\xe2\xe7", 2, -8582699461035929883LL},
        {"\xe2\xe7\xe2\xe7\xe2\xe7\x01", 7, 2222373981930033306LL},
    };
    for (size_t i = 0; i < BASE_COUNT(known); i++)
        ck_assert_int_eq(base_token(base_slice(known[i].bytes, known[i].len)), known[i].token);
    ck_assert_int_eq(token_of_byte(0xfe, 8), -8927430733708461935LL);
    ck_assert_int_eq(token_of_byte(0x10, 8), 1446172840243228796LL);
    ck_assert_int_eq(token_of_byte(0xff, 16), -2824192546314762522LL);
    ck_assert_int_eq(token_of_byte(0xfe, 16), -833317529301936754LL);
    ck_assert_int_eq(token_of_byte(0xfe, 17), -1672437813826982685LL);
    ck_assert_int_eq(token_of_byte(0xfe, 4), 4566408979886474012LL);
    char fifty[51] = "";
    for (int i = 0; i < 10; i++)
        memcpy(fifty + 5 * i, "\x00\xff\x10\xfa\x99", 5);
    ck_assert_int_eq(base_token(base_slice(fifty, 50)), 5837342703291459765LL);
    ck_assert_int_eq(base_token(base_slice("", 0)), 0);
}
END_TEST

/* Encode a value as one component. */
static void component(const struct base_type *type, bool descending, struct base_slice value,
                      struct base_buf *out, bool *exact)
{
    struct base_err err;
    *exact = true;
    int rc = base_ckey_put(type, descending, value, out, exact, &err);
    ck_assert_msg(rc == BASE_OK, "%s", err.text);
}

/* The examples of docs/formats/keys.md: what is on disk must not change unseen. */
START_TEST(format_known_answers)
{
    static const struct {
        const char *type, *json;
        bool descending;
        const char *hex;
    } known[] = {
        {"text", "\"ab\"", false, "0x3061620001"},
        {"text", "\"ab\"", true, "0x309e9dfffe"},
        {"text", "\"\"", false, "0x2f"},
        {"text", "\"\"", true, "0x31"},
        {"blob", "\"0x0061\"", false, "0x3000ff610001"},
        {"int", "-1", false, "0x307fffffff"},
        {"bigint", "1", false, "0x308000000000000001"},
        {"bigint", "1", true, "0x307ffffffffffffffe"},
        {"boolean", "true", false, "0x3001"},
        {"date", "\"1970-01-01\"", false, "0x3080000000"},
        {"double", "1.0", false, "0x30bff0000000000000"},
        {"double", "-0.0", false, "0x307fffffffffffffff"},
        {"uuid", "\"123e4567-e89b-42d3-a456-426614174000\"", false,
         "0x304123e4567e89b2d3a456426614174000"},
        {"uuid", "\"123e4567-e89b-12d3-a456-426614174000\"", false,
         "0x3012d3e89b123e4567a456426614174000"},
        {"timeuuid", "\"123e4567-e89b-12d3-a456-426614174000\"", false,
         "0x3012d3e89b123e456724d6c2e69497c080"},
        {"inet", "\"1.2.3.4\"", false, "0x30010203040001"},
        {"varint", "1", false, "0x308101"},
        {"varint", "-1", false, "0x307eff"},
        {"varint", "256", false, "0x30820100"},
        {"decimal", "1.50", false, "0x30028000000000001000"},
        {"decimal", "-1.5", false, "0x30007fffffffffffefff"},
        {"decimal", "0", false, "0x3001"},
        {"frozen<list<int>>", "[1, 2]", false, "0x300480000001048000000201"},
        {"tuple<int, int>", "[null, 1]", false, "0x3002048000000101"},
        {"tuple<int, int>", "[1, null]", false, "0x30048000000101"},
        {"frozen<map<int, text>>", "{\"1\": \"\"}", false, "0x3004800000010301"},
        {"vector<tinyint, 2>", "[0, 1]", false, "0x300480048101"},
    };
    struct base_arena arena;
    struct base_buf value, key, hex;
    base_arena_init(&arena);
    base_buf_init(&value, 1000);
    base_buf_init(&key, 1000);
    base_buf_init(&hex, 1000);
    for (size_t i = 0; i < BASE_COUNT(known); i++) {
        const struct base_type *type;
        bool exact;
        value.len = key.len = hex.len = 0;
        ck_assert_int_eq(base_type_parse(&arena, base_slice_str(known[i].type), NULL, &type, NULL),
                         BASE_OK);
        ck_assert_int_eq(base_value_from_json(type, base_slice_str(known[i].json), &value, NULL),
                         BASE_OK);
        component(type, known[i].descending, base_buf_view(&value), &key, &exact);
        ck_assert_int_eq(basei_put_hex(&hex, base_buf_view(&key)) | base_buf_put_u8(&hex, 0), 0);
        ck_assert_str_eq((const char *)hex.data, known[i].hex);
    }
    key.len = hex.len = 0;
    ck_assert_int_eq(base_pkey_put(base_slice("\0\0\0\1", 4), &key), BASE_OK);
    ck_assert_int_eq(basei_put_hex(&hex, base_buf_view(&key)) | base_buf_put_u8(&hex, 0), 0);
    ck_assert_int_eq(base_token_get(key.data), -4069959284402364209LL);
    ck_assert_str_eq((const char *)hex.data, "0x478499982ae4e0cf00ff00ff00ff010001");
    base_arena_fini(&arena);
    base_buf_fini(&value);
    base_buf_fini(&key);
    base_buf_fini(&hex);
}
END_TEST

START_TEST(token_bytes_sort)
{
    static const int64_t tokens[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
    uint8_t a[8], b[8];
    for (size_t i = 0; i < BASE_COUNT(tokens); i++) {
        base_token_put(a, tokens[i]);
        ck_assert_int_eq(base_token_get(a), tokens[i]);
        for (size_t j = 0; j < BASE_COUNT(tokens); j++) {
            base_token_put(b, tokens[j]);
            ck_assert_int_eq(sign(memcmp(a, b, 8)), (i > j) - (i < j));
        }
    }
}
END_TEST

static void check_decode(const struct base_type *type, bool descending, struct base_slice value,
                         struct base_slice key, bool exact)
{
    struct base_buf back, again;
    struct base_err err;
    bool empty, exact_again;
    uint8_t position;
    base_buf_init(&back, 1 << 20);
    base_buf_init(&again, 1 << 20);
    struct base_reader r = base_reader(key);
    int rc = base_ckey_get(type, descending, &r, &back, &empty, &position, &err);
    ck_assert_msg(rc == BASE_OK, "%s", err.text);
    ck_assert_uint_eq(position, 0);
    ck_assert_uint_eq(base_reader_left(&r), 0);
    struct base_slice got = base_buf_view(&back);
    ck_assert_int_eq(base_value_validate(type, got, &err), BASE_OK);
    ck_assert_int_eq(base_value_compare(type, got, value), 0);
    char text[200];
    struct base_buf hex;
    base_buf_init(&hex, 1 << 20);
    ck_assert_int_eq(basei_put_hex(&hex, value) | base_buf_put(&hex, " ", 1) |
                         basei_put_hex(&hex, got) | base_buf_put_u8(&hex, 0),
                     0);
    ck_assert_msg(exact == base_slice_equal(got, value), "%s %d: %s",
                  basei_type_text(type, text, sizeof text), exact, (char *)hex.data);
    base_buf_fini(&hex);
    component(type, descending, got, &again, &exact_again);
    ck_assert(
        base_slice_equal(base_buf_view(&again), key)); /* the canonical form has the same key */
    for (size_t cut = 0; cut < key.len; cut++) {       /* and no prefix of it decodes */
        back.len = 0;
        r = base_reader(base_slice(key.data, cut));
        ck_assert_int_eq(base_ckey_get(type, descending, &r, &back, &empty, &position, NULL),
                         BASE_E_CORRUPT);
        ck_assert_uint_eq(back.len, 0);
    }
    base_buf_fini(&back);
    base_buf_fini(&again);
}

static void check_pair(const struct base_type *type, struct base_slice a, struct base_slice b)
{
    int want = sign(base_value_compare(type, a, b));
    ck_assert_int_eq(sign(base_value_compare(type, b, a)), -want);
    for (int descending = 0; descending <= 1; descending++) {
        struct base_buf x, y;
        bool x_exact, y_exact;
        base_buf_init(&x, 1 << 20);
        base_buf_init(&y, 1 << 20);
        component(type, descending, a, &x, &x_exact);
        component(type, descending, b, &y, &y_exact);
        struct base_slice xs = base_buf_view(&x), ys = base_buf_view(&y);
        int got = sign(base_slice_compare(xs, ys));
        if (got != (descending ? -want : want)) {
            char text[200];
            struct base_buf hex;
            base_buf_init(&hex, 1 << 20);
            ck_assert_int_eq(
                basei_put_hex(&hex, a) | base_buf_put(&hex, " ", 1) | basei_put_hex(&hex, b), 0);
            ck_abort_msg("%s %s: order %d, keys %d", basei_type_text(type, text, sizeof text),
                         (char *)hex.data, want, got);
        }
        if (got) { /* neither is a prefix of the other: they differ inside the shorter one */
            size_t n = x.len < y.len ? x.len : y.len;
            ck_assert(memcmp(x.data, y.data, n) != 0);
        }
        check_decode(type, descending, a, xs, x_exact);
        check_decode(type, descending, b, ys, y_exact);
        base_buf_fini(&x);
        base_buf_fini(&y);
    }
}

static void check_type(struct rng *r, const struct base_type *type, uint64_t n)
{
    struct base_buf a, b;
    base_buf_init(&a, 1 << 20);
    base_buf_init(&b, 1 << 20);
    for (uint64_t i = 0; i < n; i++) {
        struct base_err err = {0};
        a.len = b.len = 0;
        random_value(r, type, true, &a);
        random_value(r, type, true, &b);
        ck_assert_msg(base_value_validate(type, base_buf_view(&a), &err) == BASE_OK, "%s",
                      err.text);
        if (rng_below(r, 8) == 0) { /* near neighbours */
            b.len = 0;
            ck_assert_int_eq(base_buf_put_slice(&b, base_buf_view(&a)), BASE_OK);
            if (b.len)
                b.data[rng_below(r, b.len)] ^= (uint8_t)(1u << rng_below(r, 8));
            if (base_value_validate(type, base_buf_view(&b), NULL) != BASE_OK)
                continue;
        }
        check_pair(type, base_buf_view(&a), base_buf_view(&b));
    }
    base_buf_fini(&a);
    base_buf_fini(&b);
}

START_TEST(order_of_scalars)
{
    struct rng r = {1};
    for (int kind = 0; kind < BASE_TYPE_LIST; kind++) {
        const struct base_type *type = base_type_scalar((enum base_type_kind)kind);
        if (type && type->kind != BASE_TYPE_DURATION)
            check_type(&r, type, iterations * 4);
    }
}
END_TEST

START_TEST(order_of_nested_types)
{
    struct rng r = {2};
    struct base_arena arena;
    base_arena_init(&arena);
    for (uint64_t i = 0; i < iterations; i++) {
        const struct base_type *type = random_type(&r, &arena, 3, true);
        ck_assert_int_eq(base_type_check_key(type, NULL), BASE_OK);
        check_type(&r, type, 30);
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
}
END_TEST

static void put_position(struct base_buf *buf, enum base_key_byte position)
{
    ck_assert_int_eq(base_ckey_end(position, buf), BASE_OK);
}

/* before < at < after, longer clusterings between them, and the static row first. */
START_TEST(positions)
{
    const struct base_type *type = base_type_scalar(BASE_TYPE_TEXT);
    struct base_buf keys[5];
    bool exact;
    for (int descending = 0; descending <= 1; descending++) {
        for (int i = 0; i < 5; i++)
            base_buf_init(&keys[i], 1000);
        component(type, descending, BASE_SLICE_LIT("ab"), &keys[0], &exact);
        put_position(&keys[0], BASE_KEY_BEFORE);
        component(type, descending, BASE_SLICE_LIT("ab"), &keys[1], &exact);
        put_position(&keys[1], BASE_KEY_AT);
        component(type, descending, BASE_SLICE_LIT("ab"), &keys[2], &exact);
        component(type, descending, BASE_SLICE_LIT(""), &keys[2],
                  &exact); /* an empty second component */
        put_position(&keys[2], BASE_KEY_AT);
        component(type, descending, BASE_SLICE_LIT("ab"), &keys[3], &exact);
        component(type, descending, BASE_SLICE_LIT("x"), &keys[3], &exact);
        put_position(&keys[3], BASE_KEY_AT);
        component(type, descending, BASE_SLICE_LIT("ab"), &keys[4], &exact);
        put_position(&keys[4], BASE_KEY_AFTER);
        for (int i = 0; i < 5; i++) {
            uint8_t is_static = BASE_KEY_STATIC;
            ck_assert_int_lt(base_slice_compare(base_slice(&is_static, 1), base_buf_view(&keys[i])),
                             0);
            for (int j = 0; j < 5; j++) {
                int want = (i > j) - (i < j);
                if (descending && ((i == 2 && j == 3) || (i == 3 && j == 2)))
                    want = -want;
                ck_assert_int_eq(
                    sign(base_slice_compare(base_buf_view(&keys[i]), base_buf_view(&keys[j]))),
                    want);
            }
        }
        /* a neighbour is outside on both sides */
        struct base_buf other;
        base_buf_init(&other, 100);
        component(type, descending, BASE_SLICE_LIT("abc"), &other, &exact);
        put_position(&other, BASE_KEY_AT);
        ck_assert_int_eq(sign(base_slice_compare(base_buf_view(&other), base_buf_view(&keys[4]))),
                         descending ? -1 : 1);
        ck_assert_int_eq(sign(base_slice_compare(base_buf_view(&other), base_buf_view(&keys[0]))),
                         descending ? -1 : 1);
        base_buf_fini(&other);
        for (int i = 0; i < 5; i++)
            base_buf_fini(&keys[i]);
    }
}
END_TEST

START_TEST(partition_keys)
{
    struct rng r = {3};
    struct base_buf values, pk, pkey, back, last;
    base_buf_init(&values, 1000);
    base_buf_init(&pk, 70000);
    base_buf_init(&pkey, BASE_PKEY_LEN_MAX);
    base_buf_init(&back, 70000);
    base_buf_init(&last, BASE_PKEY_LEN_MAX);
    for (uint64_t i = 0; i < iterations * 10; i++) {
        struct base_slice in[3], out[4];
        size_t n = 1 + rng_below(&r, 3), at = 0;
        values.len = pk.len = pkey.len = back.len = 0;
        ck_assert_int_eq(base_buf_reserve(&values, 100), BASE_OK);
        for (size_t j = 0; j < n; j++, at = values.len) {
            random_value(&r, base_type_scalar(BASE_TYPE_BLOB), n > 1, &values);
            in[j] = base_slice(values.data + at, values.len - at);
        }
        ck_assert_int_eq(base_pk_compose(in, n, &pk, NULL), BASE_OK);
        ck_assert_int_eq(base_pk_split(base_buf_view(&pk), out, n, NULL), BASE_OK);
        for (size_t j = 0; j < n; j++)
            ck_assert(base_slice_equal(in[j], out[j]));
        ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), &pkey), BASE_OK);
        ck_assert_int_eq(base_token_get(pkey.data), base_token(base_buf_view(&pk)));
        size_t len = pkey.len;
        put_position(&pkey, BASE_KEY_AT);
        ck_assert_uint_eq(base_pkey_len(base_buf_view(&pkey)), len);
        ck_assert_uint_eq(base_pkey_len(base_slice(pkey.data, len - 1)), 0);
        pkey.len = len;
        ck_assert_int_eq(base_pkey_decode(base_buf_view(&pkey), &back, NULL), BASE_OK);
        ck_assert(base_slice_equal(base_buf_view(&back), base_buf_view(&pk)));
        if (n > 1) {
            ck_assert_int_eq(base_pk_split(base_slice(pk.data, pk.len - 1), out, n, NULL),
                             BASE_E_CORRUPT);
            ck_assert_int_eq(base_pk_split(base_buf_view(&pk), out, n + 1, NULL), BASE_E_CORRUPT);
        }
    }
    base_buf_fini(&values);
    base_buf_fini(&pk);
    base_buf_fini(&pkey);
    base_buf_fini(&back);
    base_buf_fini(&last);
}
END_TEST

START_TEST(limits)
{
    struct base_err err;
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    static uint8_t big[70000];
    memset(big, 'x', sizeof big);
    struct base_slice two[2] = {base_slice(big, 40000), base_slice(big, 40000)}, nothing = {0};
    ck_assert_int_eq(base_pk_compose(two, 2, &out, &err), BASE_E_LIMIT);
    ck_assert_int_eq(base_pk_compose(&nothing, 1, &out, &err), BASE_E_INVALID);
    ck_assert_str_eq(err.text, "Key may not be empty");
    ck_assert_int_eq(base_ckey_put(base_type_scalar(BASE_TYPE_TEXT), false, base_slice(big, 65535),
                                   &out, NULL, &err),
                     BASE_E_LIMIT);
    ck_assert_int_eq(
        base_ckey_put(base_type_scalar(BASE_TYPE_INT), true, base_slice(big, 3), &out, NULL, &err),
        BASE_E_INVALID);
    ck_assert_uint_eq(out.len, 0);
    base_buf_fini(&out);
}
END_TEST

/* Bytes from a damaged disk: an answer, never a crash; the sanitizers watch. */
START_TEST(random_bytes_decode_or_fail)
{
    struct rng r = {4};
    struct base_arena arena;
    struct base_buf bytes, out;
    base_arena_init(&arena);
    base_buf_init(&bytes, 1 << 20);
    base_buf_init(&out, 1 << 20);
    for (uint64_t i = 0; i < iterations * 20; i++) {
        const struct base_type *type = random_type(&r, &arena, 3, true);
        bool empty, exact;
        uint8_t position;
        bytes.len = out.len = 0;
        random_value(&r, type, false, &bytes);
        if (base_ckey_put(type, false, base_buf_view(&bytes), &out, &exact, NULL) != BASE_OK)
            continue;
        for (uint64_t flips = 1 + rng_below(&r, 3); flips; flips--)
            out.data[rng_below(&r, out.len)] = (uint8_t)rng_below(&r, 256);
        bytes.len = 0;
        struct base_reader in = base_reader(base_buf_view(&out));
        int rc = base_ckey_get(type, rng_below(&r, 2), &in, &bytes, &empty, &position, NULL);
        if (rc == BASE_OK && !position && !empty)
            ck_assert_int_eq(base_value_validate(type, base_buf_view(&bytes), NULL), BASE_OK);
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
    base_buf_fini(&bytes);
    base_buf_fini(&out);
}
END_TEST

int main(int argc, char **argv)
{
    iterations = scale_rounds(iterations);
    if (argc > 1)
        iterations = strtoull(argv[1], NULL, 10);
    Suite *suite = suite_create("base/key");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, token_known_answers);
    tcase_add_test(tc, format_known_answers);
    tcase_add_test(tc, token_bytes_sort);
    tcase_add_test(tc, order_of_scalars);
    tcase_add_test(tc, order_of_nested_types);
    tcase_add_test(tc, positions);
    tcase_add_test(tc, partition_keys);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, random_bytes_decode_or_fail);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
