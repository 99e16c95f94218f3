/* Types and values: the type syntax, and every type through text, SQL and JSON and back. Breaks
 * without it: what a user writes is stored as something else, or what is stored cannot be read. */
#include <check.h>
#include <locale.h>
#include <math.h>

#include "base/key.h"
#include "tests/lib/scale.h"
#include "value_random.h"

static uint64_t iterations = 200;

static struct base_buf out, scratch;
static struct base_arena arena;
static struct base_err err;

static void setup(void)
{
    base_buf_init(&out, 1 << 20);
    base_buf_init(&scratch, 1 << 20);
    base_arena_init(&arena);
    base_err_clear(&err);
}

static void teardown(void)
{
    base_buf_fini(&out);
    base_buf_fini(&scratch);
    base_arena_fini(&arena);
}

static const struct base_type *find_point(void *ctx, struct base_slice keyspace,
                                          struct base_slice name)
{
    static const struct base_slice names[] = {{(const uint8_t *)"x", 1}, {(const uint8_t *)"Y", 1}};
    static const struct base_type *params[2];
    static struct base_type point;
    (void)ctx;
    if (!base_slice_equal(name, BASE_SLICE_LIT("point")) ||
        (keyspace.len && !base_slice_equal(keyspace, BASE_SLICE_LIT("ks"))))
        return NULL;
    params[0] = base_type_scalar(BASE_TYPE_INT);
    params[1] = base_type_scalar(BASE_TYPE_TEXT);
    point = (struct base_type){.kind = BASE_TYPE_UDT,
                               .param_count = 2,
                               .params = params,
                               .keyspace = BASE_SLICE_LIT("ks"),
                               .name = BASE_SLICE_LIT("point"),
                               .field_names = names};
    return &point;
}

static const struct base_type *type_of(const char *text)
{
    static const struct base_type_resolver resolver = {find_point, NULL};
    const struct base_type *type;
    int rc = base_type_parse(&arena, base_slice_str(text), &resolver, &type, &err);
    ck_assert_msg(rc == BASE_OK, "%s", err.text);
    return type;
}

static const char *text_of(struct base_buf *buf)
{
    ck_assert_int_eq(base_buf_put_u8(buf, 0), BASE_OK);
    return (const char *)buf->data;
}

static struct base_sql_value text_value(const char *text)
{
    return (struct base_sql_value){.kind = BASE_SQL_TEXT, .bytes = base_slice_str(text)};
}

START_TEST(type_syntax)
{
    static const char *const same[][2] = {
        {"INT", "int"},
        {"varchar", "text"},
        {" map < text , frozen<list<int>> > ", "map<text, frozen<list<int>>>"},
        {"frozen<map<text, list<set<int>>>>", "frozen<map<text, frozen<list<frozen<set<int>>>>>>"},
        {"tuple<int, list<text>>", "tuple<int, frozen<list<text>>>"},
        {"frozen<tuple<int>>", "tuple<int>"},
        {"vector<float, 1536>", "vector<float, 1536>"},
        {"list<frozen<ks.point>>", "list<frozen<point>>"},
        {"\"point\"", "point"},
    };
    for (size_t i = 0; i < BASE_COUNT(same); i++) {
        out.len = 0;
        const struct base_type *type = type_of(same[i][0]);
        ck_assert_int_eq(base_type_print(type, &out), BASE_OK);
        ck_assert_str_eq(text_of(&out), same[i][1]);
        ck_assert(base_type_equal(type, type_of(same[i][1])));
        struct base_arena other;
        base_arena_init(&other);
        ck_assert(base_type_equal(type, base_type_copy(&other, type)));
        base_arena_fini(&other);
    }
    ck_assert(!base_type_equal(type_of("list<int>"), type_of("frozen<list<int>>")));
    ck_assert(base_type_is_multicell(type_of("point")));
    ck_assert(base_type_equal(base_type_freeze(&arena, type_of("set<int>")),
                              type_of("frozen<set<int>>")));
}
END_TEST

START_TEST(type_refusals)
{
    static const struct {
        const char *text;
        int code;
    } bad[] = {
        {"", BASE_E_SYNTAX},
        {"list<int", BASE_E_SYNTAX},
        {"list<>", BASE_E_SYNTAX},
        {"int<int>", BASE_E_SYNTAX},
        {"int int", BASE_E_SYNTAX},
        {"nosuch", BASE_E_NOTFOUND},
        {"list<list<int>>", BASE_E_INVALID},
        {"set<point>", BASE_E_INVALID},
        {"frozen<int>", BASE_E_INVALID},
        {"set<duration>", BASE_E_INVALID},
        {"map<duration, int>", BASE_E_INVALID},
        {"list<counter>", BASE_E_INVALID},
        {"vector<float, 0>", BASE_E_INVALID},
        {"vector<float, 8193>", BASE_E_INVALID},
        {"'org.x'", BASE_E_INVALID},
        {"\"int", BASE_E_SYNTAX},
        {"vector<float>", BASE_E_SYNTAX},
    };
    static const struct base_type_resolver resolver = {find_point, NULL};
    const struct base_type *type;
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        ck_assert_msg(base_type_parse(&arena, base_slice_str(bad[i].text), &resolver, &type,
                                      &err) == bad[i].code,
                      "%s", bad[i].text);
    char deep[4000] = "";
    for (int i = 0; i < 300; i++)
        strcat(deep, "tuple<");
    ck_assert_int_eq(base_type_parse(&arena, base_slice_str(deep), NULL, &type, &err),
                     BASE_E_LIMIT);
    ck_assert_int_eq(base_type_check_key(type_of("tuple<int, duration>"), &err), BASE_E_INVALID);
    ck_assert_int_eq(base_type_check_key(type_of("set<int>"), &err), BASE_E_INVALID);
    ck_assert_int_eq(base_type_check_key(type_of("counter"), &err), BASE_E_INVALID);
    ck_assert_int_eq(base_type_check_key(type_of("frozen<set<int>>"), &err), BASE_OK);
}
END_TEST

/* SQL in → SQL out. */
struct conversion {
    const char *type;
    struct base_sql_value in;
    const char *want; /* what comes out, as a literal: kind and value */
};
#define T(s)                                                                                       \
    {                                                                                              \
        .kind = BASE_SQL_TEXT, .bytes = {(const uint8_t *)(s), sizeof(s) - 1 }                     \
    }
#define J(s)                                                                                       \
    {                                                                                              \
        .kind = BASE_SQL_JSON, .bytes = {(const uint8_t *)(s), sizeof(s) - 1 }                     \
    }
#define B(s)                                                                                       \
    {                                                                                              \
        .kind = BASE_SQL_BLOB, .bytes = {(const uint8_t *)(s), sizeof(s) - 1 }                     \
    }
#define I(v)                                                                                       \
    {                                                                                              \
        .kind = BASE_SQL_INTEGER, .integer = (v)                                                   \
    }
#define R(v)                                                                                       \
    {                                                                                              \
        .kind = BASE_SQL_REAL, .real = (v)                                                         \
    }

static const char *show(const struct base_sql_value *v, struct base_buf *buf)
{
    static const char letters[] = "NIRTBJ";
    int rc = base_buf_put_u8(buf, (uint8_t)letters[v->kind]);
    char number[40];
    if (v->kind == BASE_SQL_INTEGER)
        rc |= base_buf_printf(buf, " %lld", (long long)v->integer);
    else if (v->kind == BASE_SQL_REAL)
        rc |= basei_double_print(v->real, number) ? base_buf_printf(buf, " %s", number) : 1;
    else if (v->kind == BASE_SQL_BLOB)
        rc |= base_buf_put_u8(buf, ' ') | basei_put_hex(buf, v->bytes);
    else if (v->kind != BASE_SQL_NULL)
        rc |= base_buf_printf(buf, " %.*s", BASE_SLICE_ARG(v->bytes));
    ck_assert_int_eq(rc, 0);
    return text_of(buf);
}

static const struct conversion conversions[] = {
    {"tinyint", I(-128), "I -128"},
    {"smallint", T("32767"), "I 32767"},
    {"int", R(7.0), "I 7"},
    {"int", T(" 42 "), "I 42"},
    {"int", T("4.2e1"), "I 42"},
    {"bigint", I(INT64_MIN), "I -9223372036854775808"},
    {"bigint", T("9223372036854775807"), "I 9223372036854775807"},
    {"counter", I(5), "I 5"},
    {"varint", T("123456789012345678901234567890"), "T 123456789012345678901234567890"},
    {"varint", T("-340282366920938463463374607431768211456"),
     "T -340282366920938463463374607431768211456"},
    {"varint", I(-1), "T -1"},
    {"varint", R(1e20), "T 100000000000000000000"},
    {"decimal", T("1.00"), "T 1.00"},
    {"decimal", T("-0.000"), "T 0.000"},
    {"decimal", T("1E+5"), "T 1E+5"},
    {"decimal", T("12345678901234567890.123456789"), "T 12345678901234567890.123456789"},
    {"decimal", T(".5e-3"), "T 0.0005"},
    {"decimal", T("1e-10"), "T 1E-10"},
    {"decimal", I(7), "T 7"},
    {"decimal", R(0.1), "T 0.1"},
    {"double", R(0.1), "R 0.1"},
    {"double", T("Infinity"), "T Infinity"},
    {"double", T("nan"), "T NaN"},
    {"double", I(3), "R 3.0"},
    {"double", R(-0.0), "R -0.0"},
    {"float", R(0.5), "R 0.5"},
    {"float", T("0.1"), "R 0.10000000149011612"},
    {"boolean", I(1), "I 1"},
    {"boolean", T("TRUE"), "I 1"},
    {"boolean", T("false"), "I 0"},
    {"text", T("h\xc3\xa9"), "T h\xc3\xa9"},
    {"text", T(""), "T "},
    {"text", I(5), "T 5"},
    {"text", J("{\"a\": 1}"), "T {\"a\": 1}"},
    {"ascii", T("abc"), "T abc"},
    {"blob", B("\x00\xff"), "B 0x00ff"},
    {"blob", T("0xCAfe"), "B 0xcafe"},
    {"uuid", T("123E4567-e89b-12d3-a456-426614174000"), "T 123e4567-e89b-12d3-a456-426614174000"},
    {"uuid", B("0123456789abcdef"), "T 30313233-3435-3637-3839-616263646566"},
    {"timeuuid", T("123e4567-e89b-12d3-a456-426614174000"),
     "T 123e4567-e89b-12d3-a456-426614174000"},
    {"inet", T("192.0.2.1"), "T 192.0.2.1"},
    {"inet", T("2001:DB8::1"), "T 2001:db8::1"},
    {"date", T("2026-11-23"), "T 2026-11-23"},
    {"date", I(2147483648), "T 1970-01-01"},
    {"date", T("-5877641-06-23"), "T -5877641-06-23"},
    {"date", T("+5881580-07-11"), "T +5881580-07-11"},
    {"time", T("08:12:54.123456789"), "T 08:12:54.123456789"},
    {"time", T("23:59"), "T 23:59:00.000000000"},
    {"time", I(1), "T 00:00:00.000000001"},
    {"timestamp", T("2026-11-23T10:00:00.000Z"), "T 2026-11-23T10:00:00.000Z"},
    {"timestamp", T("2026-11-23 10:00"), "T 2026-11-23T10:00:00.000Z"},
    {"timestamp", T("2026-11-23 12:00:00.5 +0200"), "T 2026-11-23T10:00:00.500Z"},
    {"timestamp", T("2026-11-23T05:30:00-04:30"), "T 2026-11-23T10:00:00.000Z"},
    {"timestamp", T("2026-11-23"), "T 2026-11-23T00:00:00.000Z"},
    {"timestamp", T("2026-11-23T10:00:00.123456"), "T 2026-11-23T10:00:00.123Z"},
    {"timestamp", I(-1), "T 1969-12-31T23:59:59.999Z"},
    {"timestamp", T("1000"), "T 1970-01-01T00:00:01.000Z"},
    {"timestamp", I(INT64_MAX), "T +292278994-08-17T07:12:55.807Z"},
    {"timestamp", T("-292275055-05-16T16:47:04.192Z"), "T -292275055-05-16T16:47:04.192Z"},
    {"timestamp", T("2024-02-29"), "T 2024-02-29T00:00:00.000Z"},
    {"duration", T("1y2mo3w4d5h6m7s8ms9us10ns"), "T 1y2mo25d5h6m7s8ms9us10ns"},
    {"duration", T("-P1Y2M3DT4H5M6S"), "T -1y2mo3d4h5m6s"},
    {"duration", T("P2W"), "T 14d"},
    {"duration", T("P0001-02-03T04:05:06"), "T 1y2mo3d4h5m6s"},
    {"duration", T("0s"), "T 0s"},
    {"list<int>", T("[3, 1, 3]"), "J [3, 1, 3]"},
    {"list<int>", J("[]"), "J []"},
    {"set<int>", T("[3, 1, 3, \"2\"]"), "J [1, 2, 3]"},
    {"set<decimal>", T("[1.00, 1.0, 0.5]"), "J [0.5, 1.00]"},
    {"map<text, int>", T("{\"b\": 2, \"a\": 1, \"b\": 3}"), "J {\"a\": 1, \"b\": 3}"},
    {"map<int, text>", T("{\"10\": \"x\", \"9\": \"y\"}"), "J {\"9\": \"y\", \"10\": \"x\"}"},
    {"map<int, text>", T("[[10, \"x\"], [9, \"y\"]]"), "J {\"9\": \"y\", \"10\": \"x\"}"},
    {"map<frozen<list<int>>, text>", T("{\"[1, 2]\": \"x\"}"), "J {\"[1, 2]\": \"x\"}"},
    {"list<timestamp>", T("[0, \"2026-11-23\"]"),
     "J [\"1970-01-01T00:00:00.000Z\", \"2026-11-23T00:00:00.000Z\"]"},
    {"list<double>", T("[1.5, \"NaN\", 1e300]"), "J [1.5, \"NaN\", 1e+300]"},
    {"list<varint>", T("[123456789012345678901234567890]"), "J [123456789012345678901234567890]"},
    {"list<blob>", T("[\"0xff\"]"), "J [\"0xff\"]"},
    {"list<text>", T("[\"a\\n\\u00e9\"]"), "J [\"a\\n\xc3\xa9\"]"},
    {"tuple<int, text>", T("[1, null]"), "J [1, null]"},
    {"point", T("{\"Y\": \"up\", \"x\": 1}"), "J {\"x\": 1, \"Y\": \"up\"}"},
    {"point", T("{\"\\\"Y\\\"\": \"up\"}"), "J {\"x\": null, \"Y\": \"up\"}"},
    {"vector<float, 3>", T("[1, 2.5, -0.1]"), "J [1.0, 2.5, -0.1]"},
    {"vector<text, 2>", T("[\"a\", \"\"]"), "J [\"a\", \"\"]"},
    {"frozen<map<text, set<int>>>", T("{\"k\": [2, 1]}"), "J {\"k\": [1, 2]}"},
};

START_TEST(sql_round_trips)
{
    for (size_t i = 0; i < BASE_COUNT(conversions); i++) {
        const struct conversion *c = &conversions[i];
        const struct base_type *type = type_of(c->type);
        struct base_sql_value got;
        struct base_buf shown, again;
        out.len = scratch.len = 0;
        base_buf_init(&shown, 10000);
        base_buf_init(&again, 10000);
        int rc = base_value_from_sql(type, &c->in, &out, &err);
        ck_assert_msg(rc == BASE_OK, "%zu %s: %s", i, c->type, err.text);
        ck_assert_msg(base_value_validate(type, base_buf_view(&out), &err) == BASE_OK, "%s",
                      err.text);
        ck_assert_int_eq(base_value_to_sql(type, base_buf_view(&out), &got, &scratch, &err),
                         BASE_OK);
        ck_assert_str_eq(show(&got, &shown), c->want);
        /* what comes out goes in, to the same bytes */
        rc = base_value_from_sql(type, &got, &again, &err);
        ck_assert_msg(rc == BASE_OK, "%zu %s: %s", i, c->type, err.text);
        ck_assert_msg(base_slice_equal(base_buf_view(&again), base_buf_view(&out)), "%zu %s", i,
                      c->type);
        base_buf_fini(&shown);
        base_buf_fini(&again);
    }
}
END_TEST

START_TEST(sql_refusals)
{
    static const struct conversion bad[] = {
        {"tinyint", I(300), "cannot take INTEGER 300 as tinyint: give a whole number in -128..127"},
        {"int", T("abc"),
         "cannot take TEXT 'abc' as int: give a whole number in -2147483648..2147483647"},
        {"int", R(7.5),
         "cannot take REAL 7.5 as int: give a whole number in -2147483648..2147483647"},
        {"int", T("7.5"), NULL},
        {"int", T(""), NULL},
        {"int", B("x"), NULL},
        {"int", T("1 2"), NULL},
        {"bigint", T("9223372036854775808"), NULL},
        {"bigint", R(1e19), NULL},
        {"varint", T("1.5"), NULL},
        {"decimal", T("1.2.3"), NULL},
        {"decimal", T("1e9999999999"), NULL},
        {"float", R(1e300), NULL},
        {"float", T("1e39"), NULL},
        {"double", T("1e999"), NULL},
        {"double", T("0x10"), NULL},
        {"boolean", I(2), "cannot take INTEGER 2 as boolean: give 0, 1, 'true' or 'false'"},
        {"text", T("\xff"), NULL},
        {"text", B("abc"), "cannot take BLOB of 3 bytes as text: give TEXT in UTF-8"},
        {"ascii", T("\xc3\xa9"), NULL},
        {"blob", T("abc"),
         "cannot take TEXT 'abc' as blob: give a BLOB, or TEXT of hexadecimal digits after 0x"},
        {"blob", T("0xabc"), NULL},
        {"blob", I(1), NULL},
        {"uuid", T("123"), NULL},
        {"uuid", B("abc"), NULL},
        {"timeuuid", T("123e4567-e89b-42d3-a456-426614174000"), NULL},
        {"inet", T("300.1.1.1"), NULL},
        {"inet", T("localhost"), NULL},
        {"date", T("2026-02-29"), NULL},
        {"date", I(-1), NULL},
        {"date", T("2026-1"), NULL},
        {"time", T("24:00:00"), NULL},
        {"time", I(86400000000000), NULL},
        {"timestamp", T("2026-13-01"), NULL},
        {"timestamp", T("2026-11-23T10"), NULL},
        {"timestamp", T("2026-11-23 10:00 CET"), NULL},
        {"timestamp", T("now"), NULL},
        {"duration", T("1d1y"), NULL},
        {"duration", T("1"), NULL},
        {"duration", T("P"), NULL},
        {"duration", T("PT"), NULL},
        {"duration", T("9999999999mo"), NULL},
        {"duration", T("-"), NULL},
        {"duration", T("1y1y"), NULL},
        {"list<int>", I(1), "cannot take INTEGER 1 as list<int>: give a JSON array"},
        {"list<int>", T("{}"), NULL},
        {"list<int>", T("[null]"), NULL},
        {"list<int>", T("[1"), NULL},
        {"list<int>", T("[1] 2"), NULL},
        {"list<int>", T("[\"x\"]"),
         "list<int>: element 1: cannot take JSON 'x' as int: give a whole number in "
         "-2147483648..2147483647"},
        {"list<text>", T("[1]"), NULL},
        {"list<int>", T("[true]"), NULL},
        {"list<int>", T("[[1]]"), NULL},
        {"tuple<int, text>", T("[1]"), NULL},
        {"tuple<int, text>", T("[1, \"a\", 2]"), NULL},
        {"vector<float, 2>", T("[1]"), NULL},
        {"vector<float, 2>", T("[1, null]"), NULL},
        {"vector<float, 1>", T("[\"\"]"), NULL},
        {"map<text, int>", T("{\"a\": null}"), NULL},
        {"map<text, int>", T("[[1]]"), NULL},
        {"map<text, int>", T("[[]]"), NULL},
        {"map<text, int>", T("[[\"a\", 1, 2]]"), NULL},
        {"map<int, int>", T("{\"x\": 1}"), NULL},
        {"point", T("{\"z\": 1}"), "point: user type point has no field 'z'"},
        {"point", T("[1]"), NULL},
        {"int", {.kind = BASE_SQL_NULL}, NULL},
    };
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        out.len = 0;
        err.text[0] = 0;
        int rc = base_value_from_sql(type_of(bad[i].type), &bad[i].in, &out, &err);
        ck_assert_msg(rc == BASE_E_INVALID, "%zu %s: %d", i, bad[i].type, rc);
        ck_assert_uint_eq(out.len, 0);
        ck_assert_uint_gt(strlen(err.text), 10);
        if (bad[i].want)
            ck_assert_str_eq(err.text, bad[i].want);
    }
}
END_TEST

START_TEST(operands)
{
    static const struct {
        const char *type;
        struct base_sql_value in;
        enum base_operand operand;
        const char *want; /* the text of the value, NULL: none */
    } cases[] = {
        {"int", R(7.5), BASE_OPERAND_BELOW, "7"},
        {"int", R(-7.5), BASE_OPERAND_BELOW, "-8"},
        {"int", R(7.0), BASE_OPERAND_EXACT, "7"},
        {"int", T("7"), BASE_OPERAND_EXACT, "7"},
        {"int", T("-7.01"), BASE_OPERAND_BELOW, "-8"},
        {"int", R(2147483647.5), BASE_OPERAND_HIGH, NULL},
        {"tinyint", I(128), BASE_OPERAND_HIGH, NULL},
        {"tinyint", I(-129), BASE_OPERAND_LOW, NULL},
        {"tinyint", R(-128.5), BASE_OPERAND_LOW, NULL},
        {"bigint", R(9.3e18), BASE_OPERAND_HIGH, NULL},
        {"bigint", R(-INFINITY), BASE_OPERAND_LOW, NULL},
        {"bigint", T("1e30"), BASE_OPERAND_HIGH, NULL},
        {"bigint", T("-9223372036854775808.5"), BASE_OPERAND_LOW, NULL},
        {"varint", R(0.5), BASE_OPERAND_BELOW, "0"},
        {"varint", T("-100000000000000000000.5"), BASE_OPERAND_BELOW, "-100000000000000000001"},
        {"varint", R(INFINITY), BASE_OPERAND_HIGH, NULL},
        {"decimal", R(0.1), BASE_OPERAND_EXACT, "0.1"},
        {"decimal", R(-INFINITY), BASE_OPERAND_LOW, NULL},
        {"double", I(9007199254740993), BASE_OPERAND_BELOW, "9007199254740992.0"},
        {"double", I(INT64_MAX), BASE_OPERAND_BELOW, "9.223372036854775e+18"},
        {"double", R(INFINITY), BASE_OPERAND_EXACT, "Infinity"},
        {"float", R(0.5), BASE_OPERAND_EXACT, "0.5"},
        {"float", R(0.1), BASE_OPERAND_BELOW, "0.099999994"},
        {"float", R(1e300), BASE_OPERAND_BELOW, "3.4028235e+38"},
        {"float", R(-1e300), BASE_OPERAND_BELOW, "-Infinity"},
        {"float", T("0.1"), BASE_OPERAND_EXACT, "0.1"},
        {"boolean", I(1), BASE_OPERAND_EXACT, "true"},
        {"boolean", I(2), BASE_OPERAND_HIGH, NULL},
        {"boolean", R(0.5), BASE_OPERAND_BELOW, "false"},
        {"timestamp", T("1970-01-01T00:00:00.0005Z"), BASE_OPERAND_BELOW,
         "1970-01-01T00:00:00.000Z"},
        {"timestamp", I(1000), BASE_OPERAND_EXACT, "1970-01-01T00:00:01.000Z"},
        {"date", I(4294967296), BASE_OPERAND_HIGH, NULL},
        {"time", I(-1), BASE_OPERAND_LOW, NULL},
        {"text", I(5), BASE_OPERAND_EXACT, "5"},
        {"int", {.kind = BASE_SQL_NULL}, BASE_OPERAND_NONE, NULL},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        const struct base_type *type = type_of(cases[i].type);
        enum base_operand operand;
        out.len = scratch.len = 0;
        ck_assert_int_eq(base_operand_from_sql(type, &cases[i].in, &operand, &out, &err), BASE_OK);
        ck_assert_msg(operand == cases[i].operand, "case %zu: %d", i, (int)operand);
        if (!cases[i].want) {
            ck_assert_uint_eq(out.len, 0);
            continue;
        }
        ck_assert_int_eq(base_value_to_text(type, base_buf_view(&out), &scratch, &err), BASE_OK);
        ck_assert_str_eq(text_of(&scratch), cases[i].want);
    }
    enum base_operand operand;
    struct base_sql_value abc = text_value("abc"), blob = B("x");
    ck_assert_int_eq(base_operand_from_sql(type_of("int"), &abc, &operand, &out, &err),
                     BASE_E_INVALID);
    ck_assert_int_eq(base_operand_from_sql(type_of("uuid"), &abc, &operand, &out, &err),
                     BASE_E_INVALID);
    ck_assert_int_eq(base_operand_from_sql(type_of("int"), &blob, &operand, &out, &err),
                     BASE_E_INVALID);
}
END_TEST

START_TEST(literals_and_cassandra_json)
{
    static const struct {
        const char *type, *json, *literal, *cassandra;
    } cases[] = {
        {"list<text>", "[\"it's\"]", "['it''s']", "[\"it's\"]"},
        {"map<text, uuid>", "{\"a\": \"123e4567-e89b-12d3-a456-426614174000\"}",
         "{'a': 123e4567-e89b-12d3-a456-426614174000}", NULL},
        {"tuple<int, timestamp>", "[1, 0]", "(1, '1970-01-01T00:00:00.000Z')",
         "[1, \"1970-01-01 00:00:00.000Z\"]"},
        {"point", "{\"x\": 1}", "{x: 1, \"Y\": null}", "{\"x\": 1, \"\\\"Y\\\"\": null}"},
        {"set<blob>", "[\"0x01\"]", "{0x01}", "[\"0x01\"]"},
        {"vector<double, 2>", "[\"NaN\", 2]", "[NaN, 2.0]", "[null, 2.0]"},
        {"double", "1.5e10", "15000000000.0", "1.5E10"},
        {"inet", "\"2001:db8::8:800:200c:417a\"", "2001:db8::8:800:200c:417a",
         "\"2001:db8:0:0:8:800:200c:417a\""},
        {"inet", "\"::ffff:1.2.3.4\"", "1.2.3.4", "\"1.2.3.4\""},
        {"float", "0.0001", "0.0001", "1.0E-4"},
        {"float", "1.4e-45", "1.4e-45", "1.4E-45"},
        {"map<double, float>", "{\"1e7\": 123456}", "{10000000.0: 123456.0}",
         "{\"1.0E7\": 123456.0}"},
        {"map<double, int>", "{\"NaN\": 1}", "{NaN: 1}", "{\"null\": 1}"},
        {"decimal", "1.2300", "1.2300", "1.2300"},
        {"text", "\"it's\"", "it's", "\"it's\""},
        {"int", "\"\"", "", "\"\""},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        const struct base_type *type = type_of(cases[i].type);
        out.len = scratch.len = 0;
        int rc = base_value_from_json(type, base_slice_str(cases[i].json), &out, &err);
        ck_assert_msg(rc == BASE_OK, "%s", err.text);
        ck_assert_int_eq(base_value_to_text(type, base_buf_view(&out), &scratch, &err), BASE_OK);
        ck_assert_str_eq(text_of(&scratch), cases[i].literal);
        scratch.len = 0;
        if (cases[i].cassandra) {
            ck_assert_int_eq(base_value_to_json(type, base_buf_view(&out), &scratch, &err),
                             BASE_OK);
            ck_assert_str_eq(text_of(&scratch), cases[i].cassandra);
        }
    }
}
END_TEST

static bool same_but_nan(const struct base_type *type, struct base_slice a, struct base_slice b)
{
    return base_slice_equal(a, b) || base_value_compare(type, a, b) == 0;
}

/* Every scalar's bytes through SQL, and (but for NaN's bits and shorter varints) the same bytes
 * back. */
START_TEST(random_values_round_trip)
{
    struct rng r = {10};
    for (uint64_t i = 0; i < iterations * 10; i++) {
        const struct base_type *type = random_type(&r, &arena, 3, false);
        struct base_buf value, back;
        struct base_sql_value sql;
        base_buf_init(&value, 1 << 20);
        base_buf_init(&back, 1 << 20);
        out.len = scratch.len = 0;
        random_value(&r, type, false, &out);
        ck_assert_int_eq(base_value_normalize(type, base_buf_view(&out), &value, &err), BASE_OK);
        int rc = base_value_to_sql(type, base_buf_view(&value), &sql, &scratch, &err);
        ck_assert_msg(rc == BASE_OK, "%s", err.text);
        if (sql.kind != BASE_SQL_NULL) {
            rc = base_value_from_sql(type, &sql, &back, &err);
            ck_assert_msg(rc == BASE_OK, "%s", err.text);
            ck_assert(same_but_nan(type, base_buf_view(&value), base_buf_view(&back)));
        }
        base_arena_reset(&arena);
        base_buf_fini(&value);
        base_buf_fini(&back);
    }
}
END_TEST

START_TEST(damaged_values_are_refused)
{
    static const struct {
        const char *type, *bytes;
        size_t len;
    } bad[] = {
        {"int", "abc", 3},
        {"text", "\xff", 1},
        {"ascii", "\x80", 1},
        {"inet", "12345", 5},
        {"decimal", "\0\0\0\0", 4},
        {"time", "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
        {"timeuuid", "0123456789abcdef", 16},
        {"duration", "\x01\x02\x02", 3},
        {"duration", "\x02", 1},
        {"date", "", 0},
        {"tinyint", "", 0},
        {"counter", "", 0},
        {"list<int>", "", 0},
        {"list<int>", "\0\0\0\x01", 4},
        {"list<int>", "\xff\xff\xff\xff", 4},
        {"list<int>", "\0\0\0\x01\xff\xff\xff\xff", 8},
        {"list<int>",
         "\0\0\0\x01\0\0\0\x03"
         "abc",
         11},
        {"list<int>", "\0\0\0\0x", 5},
        {"tuple<int>",
         "\0\0\0\x04"
         "abcdx",
         9},
        {"vector<int, 2>", "1234", 4},
        {"vector<text, 1>",
         "\x05"
         "abc",
         4},
        {"map<int, int>",
         "\0\0\0\x01\0\0\0\x04"
         "abcd",
         12},
    };
    struct base_sql_value sql;
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        const struct base_type *type = type_of(bad[i].type);
        struct base_slice value = base_slice(bad[i].bytes, bad[i].len);
        scratch.len = 0;
        ck_assert_msg(base_value_validate(type, value, &err) == BASE_E_INVALID, "%zu %s", i,
                      bad[i].type);
        ck_assert_msg(base_value_to_sql(type, value, &sql, &scratch, &err) == BASE_E_CORRUPT,
                      "%zu %s", i, bad[i].type);
        ck_assert_int_eq(sql.kind, BASE_SQL_NULL);
        ck_assert_uint_eq(scratch.len, 0);
    }
}
END_TEST

/* A host that sets its locale must not change what numbers look like. */
START_TEST(locale_does_not_matter)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        setlocale(LC_ALL, "");
    char text[32];
    double d;
    ck_assert_uint_eq(basei_double_print(1234.5, text), 6);
    ck_assert_str_eq(text, "1234.5");
    ck_assert(basei_double_parse(BASE_SLICE_LIT("1234.5"), &d));
    ck_assert(d == 1234.5);
    ck_assert(!basei_double_parse(BASE_SLICE_LIT("1234,5"), &d));
    setlocale(LC_ALL, "C");
}
END_TEST

int main(int argc, char **argv)
{
    iterations = scale_rounds(iterations);
    if (argc > 1)
        iterations = strtoull(argv[1], NULL, 10);
    Suite *suite = suite_create("base/value");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, type_syntax);
    tcase_add_test(tc, type_refusals);
    tcase_add_test(tc, sql_round_trips);
    tcase_add_test(tc, sql_refusals);
    tcase_add_test(tc, operands);
    tcase_add_test(tc, literals_and_cassandra_json);
    tcase_add_test(tc, random_values_round_trip);
    tcase_add_test(tc, damaged_values_are_refused);
    tcase_add_test(tc, locale_does_not_matter);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
