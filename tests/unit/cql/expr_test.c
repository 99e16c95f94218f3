/* Terms for receivers, and selectors without functions. Without these a literal could be read as
 * another value than it says, a marker get another type than its column's, damaged bytes of a
 * client reach a table, or a message name the wrong thing. */
#include "tests/unit/cql/expr_lib.h"

#include "tests/unit/base/value_random.h"
#include "tests/unit/cql/literal_lib.h"

static void begin(void)
{
    expr_setup("CREATE TABLE t (a int, b text, c int, v int, m map<text, int>, s set<int>, l "
               "list<text>, f frozen<map<int, text>>, "
               "u address, fu frozen<address>, tu tuple<int, text>, \"Odd Name\" text, PRIMARY KEY "
               "((a, b), c))");
}

/* Literals. */

START_TEST(scalars)
{
    static const struct {
        const char *type, *term, *wanted;
    } rows[] = {
        {"int", "1", "1"},
        {"int", "-2147483648", "-2147483648"},
        {"int", "NULL", "null"},
        {"int", "null", "null"},
        {"bigint", "9223372036854775807", "9223372036854775807"},
        {"counter", "5", "5"},
        {"smallint", "-32768", "-32768"},
        {"tinyint", "127", "127"},
        {"varint", "123456789012345678901234567890", "123456789012345678901234567890"},
        {"decimal", "1", "1"},
        {"decimal", "1.50", "1.50"},
        {"decimal", "-1e-7", "-1E-7"},
        {"double", "1", "1.0"},
        {"double", "1.5e3", "1500.0"},
        {"double", "NaN", "NaN"},
        {"double", "Infinity", "Infinity"},
        {"double", "-Infinity", "-Infinity"},
        {"float", "0.1", "0.1"},
        {"float", "nan", "NaN"},
        {"float", "-infinity", "-Infinity"},
        {"float", "16777217", "16777216.0"},
        {"boolean", "true", "true"},
        {"boolean", "FALSE", "false"},
        {"text", "'it''s'", "it's"},
        {"text", "$$it's$$", "it's"},
        {"text", "''", ""},
        {"varchar", "'\xC3\xA9'", "\xC3\xA9"},
        {"ascii", "'abc'", "abc"},
        {"blob", "0xCAfe", "0xcafe"},
        {"blob", "0x", "0x"},
        {"uuid", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-42d3-a456-426614174000"},
        {"timeuuid", "50554D6E-29BB-11E5-B345-FEFF819CDC9F",
         "50554d6e-29bb-11e5-b345-feff819cdc9f"},
        {"inet", "'127.0.0.1'", "127.0.0.1"},
        {"inet", "'2001:db8::1'", "2001:db8::1"},
        {"inet", "''", ""},
        {"date", "'2011-02-03'", "2011-02-03"},
        {"date", "2147483648", "1970-01-01"},
        {"date", "0", "-5877641-06-23"},
        {"time", "'08:12:54.123456789'", "08:12:54.123456789"},
        {"time", "54000000000000", "15:00:00.000000000"},
        {"time", "'08:12'", "08:12:00.000000000"},
        {"timestamp", "'2011-02-03 04:05+0000'", "2011-02-03T04:05:00.000Z"},
        {"timestamp", "1299038700000", "2011-03-02T04:05:00.000Z"},
        {"timestamp", "'2011-02-03T04:05:00.123Z'", "2011-02-03T04:05:00.123Z"},
        {"timestamp", "-1", "1969-12-31T23:59:59.999Z"},
        {"timestamp", "''", ""},
        {"duration", "1y2mo3d4h5m6s", "1y2mo3d4h5m6s"},
        {"duration", "-P1Y2M3DT4H5M6S", "-1y2mo3d4h5m6s"},
        {"duration", "P2W", "14d"},
        {"duration", "P0001-02-03T04:05:06", "1y2mo3d4h5m6s"},
        {"duration", "89h4m48s", "89h4m48s"},
        {"duration", "1\xC2\xB5s", "1us"},
        {"int", "(1)", "1"},
        {"int", "((1))", "1"},
        {"int", "(int)1", "1"},
        {"bigint", "(bigint)1", "1"},
        {"varint", "(int)7", "7"},
        {"text", "(ascii)'x'", "x"},
        {"blob", "(text)'x'", "0x78"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        is_value(rows[i].type, rows[i].term, rows[i].wanted);
}
END_TEST

START_TEST(collections)
{
    static const struct {
        const char *type, *term, *wanted;
    } rows[] = {
        {"list<int>", "[3, 1, 2]", "[3, 1, 2]"},
        {"list<int>", "[]", "[]"},
        {"set<int>", "{3, 1, 2, 3}", "{1, 2, 3}"},
        {"set<int>", "{}", "{}"},
        {"map<text, int>", "{'b': 1, 'a': 2, 'b': 3}", "{'a': 2, 'b': 3}"},
        {"map<text, int>", "{}", "{}"},
        {"map<int, frozen<list<text>>>", "{1: ['a', 'b'], -1: []}", "{-1: [], 1: ['a', 'b']}"},
        {"set<frozen<map<int, int>>>", "{{2: 1, 1: 1}, {}}", "{{}, {1: 1, 2: 1}}"},
        {"tuple<int, text, double>", "(1, 'a', 2)", "(1, 'a', 2.0)"},
        {"tuple<int, text>", "(1)", "(1, null)"},
        {"tuple<int, text>", "(NULL, 'x')", "(null, 'x')"},
        {"tuple<int>", "(1)", "(1)"},
        {"tuple<frozen<tuple<int>>>", "((1))", "((1))"},
        {"vector<float, 3>", "[1, 2.5, -3]", "[1.0, 2.5, -3.0]"},
        {"vector<text, 2>", "['a', 'bc']", "['a', 'bc']"},
        {"address", "{zip: 1, street: 'x'}", "{street: 'x', zip: 1, tags: null}"},
        {"frozen<address>", "{tags: {'b', 'a'}, zip: NULL}",
         "{street: null, zip: null, tags: {'a', 'b'}}"},
        {"list<frozen<address>>", "[{zip: 1}]", "[{street: null, zip: 1, tags: null}]"},
        {"list<int>", "[(int)1, (2)]", "[1, 2]"},
        {"list<timestamp>", "[0]", "['1970-01-01T00:00:00.000Z']"},
        {"list<int>", "(list<int>)[1]", "[1]"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        is_value(rows[i].type, rows[i].term, rows[i].wanted);
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *type, *term, *part;
    } rows[] = {
        {"int", "'abc'", "Invalid STRING constant (abc) for \"v\" of type int"},
        {"int", "1.5", "Invalid FLOAT constant (1.5) for \"v\" of type int"},
        {"text", "1", "Invalid INTEGER constant (1) for \"v\" of type text"},
        {"uuid", "'123e4567-e89b-42d3-a456-426614174000'",
         "Invalid STRING constant (123e4567-e89b-42d3-a456-426614174000) for \"v\" of type uuid"},
        {"blob", "'0x00'", "Invalid STRING constant (0x00) for \"v\" of type blob"},
        {"int", "0x00", "Invalid HEX constant (0x00) for \"v\" of type int"},
        {"boolean", "1", "Invalid INTEGER constant (1) for \"v\" of type boolean"},
        {"int", "true", "Invalid BOOLEAN constant (true) for \"v\" of type int"},
        {"int", "1d", "Invalid DURATION constant (1d) for \"v\" of type int"},
        {"list<int>", "1", "Invalid INTEGER constant (1) for \"v\" of type list<int>"},
        {"tuple<int, int>", "'1:2'",
         "Invalid STRING constant (1:2) for \"v\" of type tuple<int, int>"},
        {"int", "2147483648", "Unable to make int from '2147483648'"},
        {"bigint", "9223372036854775808", "Unable to make long from '9223372036854775808'"},
        {"smallint", "32768", "Unable to make short from '32768'"},
        {"tinyint", "128", "Unable to make byte from '128'"},
        {"inet", "'localhost'", "Unable to make inet address from 'localhost'"},
        {"timestamp", "'yesterday'", "Unable to parse a date/time from 'yesterday'"},
        {"date", "'x'", "Unable to coerce 'x' to a formatted date (long)"},
        {"date", "''", "to a formatted date"},
        {"time", "'24:00:00'", "(TimeType) Unable to coerce '24:00:00' to a formatted time (long)"},
        {"timeuuid", "123e4567-e89b-42d3-a456-426614174000",
         "TimeUUID supports only version 1 UUIDs"},
        {"blob", "0x123", "cannot parse '123' as hex bytes"},
        {"duration", "12", "Unable to convert '12' to a duration"},
        {"ascii", "'\xC3\xA9'", "ASCII"},
        {"counter", "NULL", "Invalid null value for counter increment/decrement"},
        {"int", "[1]", "Unexpected receiver type 'int'; only list and vector are expected"},
        {"set<int>", "[1]",
         "Unexpected receiver type 'set<int>'; only list and vector are expected"},
        {"list<int>", "{1}", "Invalid set literal for v of type list<int>"},
        {"map<int, int>", "{1}", "Invalid set literal for v of type map<int, int>"},
        {"set<int>", "{1: 2}", "Invalid map literal for v of type set<int>"},
        {"int", "{}", "Invalid set literal for v of type int"},
        {"int", "(1, 2)", "Invalid tuple type literal for v of type int"},
        {"int", "{a: 1}", "Invalid user type literal for v of type int"},
        {"tuple<int, int>", "(1, 2, 3)",
         "Invalid tuple literal for v: too many elements. Type tuple<int, int> expects 2 but got "
         "3"},
        {"tuple<int, int>", "(1, 'a')",
         "Invalid tuple literal for v: component 1 is not of type int"},
        {"list<int>", "['a']", "Invalid list literal for v: value 'a' is not of type int"},
        {"set<text>", "{1}", "Invalid set literal for v: value 1 is not of type text"},
        {"map<int, text>", "{'a': 'b'}", "Invalid map literal for v: key 'a' is not of type int"},
        {"map<int, text>", "{1: 2}", "Invalid map literal for v: value 2 is not of type text"},
        {"vector<float, 3>", "[1, 2]",
         "Invalid vector literal for v of type vector<float, 3>; expected 3 elements, but given 2"},
        {"vector<float, 2>", "[1, 'a']",
         "Invalid vector literal for v: value 'a' is not of type float"},
        {"address", "{zip: 'x'}", "Invalid user type literal for v: field zip is not of type int"},
        {"address", "{zap: 1}", "Unknown field 'zap' in value of user defined type"},
        {"list<int>", "[NULL]", "null is not supported inside collections"},
        {"map<int, int>", "{1: NULL}", "null is not supported inside collections"},
        {"vector<int, 1>", "[NULL]", "null is not supported inside vectors"},
        {"int", "(text)'1'", "Cannot assign value (text)'1' to v of type int"},
        {"int", "(int)'1'", "Cannot cast value '1' to type int"},
        {"int", "(bigint)1", "Cannot assign value (bigint)1 to v of type int"},
        {"int", "nosuch(1)", "Unknown function nosuch called"},
        {"int", "ks.f(1)", "Unknown function ks.f called"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        no_value(rows[i].type, rows[i].term, rows[i].part);
}
END_TEST

/* `value` printed in a tuple, so that strings come with their quotes, and read back. */
static struct base_slice through_text(const struct base_type *tuple, struct base_slice value)
{
    struct base_buf text;
    struct cql_value back;
    base_buf_init(&text, 1 << 24);
    ck_ok(base_value_to_text(tuple, value, &text, &err), err);
    int rc = value_of(tuple, base_buf_view(&text), &back);
    ck_assert_msg(rc == BASE_OK, "%.*s: %s", (int)text.len, (char *)text.data, err.text);
    ck_assert_str_eq(printed(tuple, &back), base_arena_strdup(&arena, base_buf_view(&text)));
    base_buf_fini(&text);
    return back.bytes;
}

/* Whatever base prints as a literal is read back as the same value; and once it has its one form
 * (true is 1, missing fields are null), as the very same bytes. */
START_TEST(printed_literals)
{
    struct rng r = {(uint64_t)_i * 7919 + 1};
    struct base_buf random, value;
    int taken = 0;
    base_buf_init(&random, 1 << 24);
    base_buf_init(&value, 1 << 24);
    for (int i = 0; i < 400; i++) {
        const struct base_type *inner = random_type(&r, &arena, 3, false);
        struct base_type tuple = {
            .kind = BASE_TYPE_TUPLE, .frozen = true, .param_count = 1, .params = &inner};
        random.len = value.len = 0;
        random_value(&r, &tuple, false, &random);
        ck_ok(base_value_normalize(&tuple, base_buf_view(&random), &value, &err), err);
        if (literal_is_impossible(&tuple, base_buf_view(&value)) || value.len > 100000)
            continue;
        struct base_slice once = through_text(&tuple, base_buf_view(&value)),
                          twice = through_text(&tuple, once);
        ck_assert_int_eq(base_value_compare(&tuple, base_buf_view(&value), once), 0);
        ck_assert(base_slice_equal(once, twice));
        taken++;
    }
    ck_assert_int_gt(taken, 200);
    base_buf_fini(&random);
    base_buf_fini(&value);
}
END_TEST

/* Markers. */

static void bind(size_t i, const char *bytes, size_t len)
{
    bound[i] = (struct cql_value){.bytes = base_slice(bytes, len)};
    bound_count = bound_count > i + 1 ? bound_count : i + 1;
}
#define BIND(i, bytes) bind(i, bytes, sizeof(bytes) - 1)

static void spec_is(size_t i, const char *name, const char *type)
{
    ck_assert_msg(base_slice_equal(specs[i].name, S(name)), "marker %zu is called %.*s, not %s", i,
                  BASE_SLICE_ARG(specs[i].name), name);
    ck_assert_msg(base_type_equal(specs[i].type, type_of(type)), "marker %zu", i);
    ck_assert(base_slice_equal(specs[i].keyspace, S("lab")) &&
              base_slice_equal(specs[i].table, S("t")));
}

START_TEST(markers)
{
    struct cqli_expr *expr;
    struct cqli_eval eval;
    struct cql_value value;
    BIND(0, "\0\0\0\5");
    is_value("int", "?", "5");
    spec_is(0, "v", "int");
    is_value("int", "(int)?", "5");
    spec_is(0, "(int)?", "int");
    is_value("int", ":five", "5");
    spec_is(0, "five", "int");
    ck_assert_int_eq(prepare_value(type_of("int"), S("?"), &expr), BASE_OK);
    ck_assert_int_eq(cqli_expr_bind(expr), 0);
    ck_assert(!cqli_expr_is_constant(expr));
    ck_assert_int_eq(prepare_value(type_of("int"), S("5"), &expr), BASE_OK);
    ck_assert_int_eq(cqli_expr_bind(expr), -1);
    ck_assert(cqli_expr_is_constant(expr));
    is_value("list<int>", "[1, ?]", "[1, 5]");
    spec_is(0, "value(v)", "int");
    is_value("map<int, text>", "{?: 'x'}", "{5: 'x'}");
    spec_is(0, "key(v)", "int");
    is_value("tuple<text, int>", "('a', ?)", "('a', 5)");
    spec_is(0, "v[1]", "int");
    is_value("address", "{zip: ?}", "{street: null, zip: 5, tags: null}");
    spec_is(0, "v.zip", "int");
    /* null and unset */
    bound[0].state = CQL_VALUE_NULL;
    is_value("int", "?", "null");
    is_value("tuple<int>", "(?)", "(null)");
    no_value("list<int>", "[?]", "null is not supported inside collections");
    bound[0].state = CQL_VALUE_UNSET;
    is_value("int", "?", "unset");
    no_value("list<int>", "[?]", "unset value is not supported inside collections");
    no_value("tuple<int>", "(?)", "Invalid unset value for tuple field number 0");
    bound_count = 0;
    ck_assert_int_eq(prepare_value(type_of("int"), S("?"), &expr), BASE_OK);
    eval = evaluation();
    ck_fails(cqli_expr_eval(expr, &eval, &value), BASE_E_INVALID, err);
    no_value("int", "? + 1",
             "Ambiguous '+' operation with args ? and 1: use type hint to disambiguate, example "
             "'(int) ?'");
}
END_TEST

START_TEST(bound_order)
{
    /* Drivers send sets and maps in any order, with repetitions. */
    BIND(0, "\0\0\0\3\0\0\0\4\0\0\0\3\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\3");
    is_value("set<int>", "?", "{1, 3}");
    is_value("list<int>", "?", "[3, 1, 3]");
    BIND(0, "\0\0\0\2\0\0\0\1b\0\0\0\1x\0\0\0\1a\0\0\0\1y");
    is_value("map<text, text>", "?", "{'a': 'y', 'b': 'x'}");
    BIND(0, "");
    is_value("int", "?", "");
    is_value("text", "?", "");
}
END_TEST

START_TEST(bound_bytes)
{
    static const struct {
        const char *type, *bytes;
        size_t len;
        const char *part;
    } rows[] = {
#define ROW(type, bytes, part) {type, bytes, sizeof(bytes) - 1, part}
        ROW("int", "\1\2\3", "Expected 4 or 0 byte int (3)"),
        ROW("bigint", "\1", "Expected 8 or 0 byte long (1)"),
        ROW("counter", "\1", "Expected 8 or 0 byte long (1)"),
        ROW("smallint", "", "Expected 2 bytes for a smallint (0)"),
        ROW("tinyint", "\1\2", "Expected 1 byte for a tinyint (2)"),
        ROW("boolean", "\1\2", "Expected 1 or 0 byte value (2)"),
        ROW("double", "\1", "Expected 8 or 0 byte value for a double (1)"),
        ROW("float", "\1", "Expected 4 or 0 byte value for a float (1)"),
        ROW("decimal", "\1\2\3", "Expected 0 or at least 4 bytes (3)"),
        ROW("timestamp", "\1", "Expected 8 or 0 byte long for date (1)"),
        ROW("date", "\1", "Expected 4 byte long for date (1)"),
        ROW("time", "\1", "Expected 8 byte long for time (1)"),
        ROW("time", "\377\377\377\377\377\377\377\377", "not within a day"),
        ROW("uuid", "\1", "UUID should be 16 or 0 bytes (1)"),
        ROW("timeuuid", "\1", "TimeUUID should be 16 or 0 bytes (1)"),
        ROW("timeuuid", "\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0", "Invalid version for TimeUUID type."),
        ROW("inet", "\1\2\3", "Expected 4 or 16 byte inetaddress; got 010203"),
        ROW("ascii", "\200", "Invalid byte for ascii: -128"),
        ROW("text", "\377", "String didn't validate."),
        ROW("duration", "\1", "Expected at least 3 bytes for a duration (1)"),
        ROW("list<int>", "\0", "Not enough bytes to read a list"),
        ROW("list<int>", "\0\0\0\1\0\0\0\1\0", "Expected 4 or 0 byte int (1)"),
        ROW("set<int>", "\377\377\377\377", "Not enough bytes to read a set"),
        ROW("map<int, int>", "\0\0\0\1\0\0\0\4\0\0\0\1", "Not enough bytes to read a map"),
        ROW("list<int>", "\0\0\0\0\1", "Unexpected extraneous bytes after list value"),
        ROW("list<int>", "\0\0\0\1\377\377\377\377", "null is not supported inside collections"),
        ROW("tuple<int, int>", "\0\0\0\4\0", "Not enough bytes to read 0th component"),
        ROW("tuple<int>", "\0\0\0\4\0\0\0\1\0", "Invalid remaining data after end of tuple value"),
        ROW("frozen<address>", "\0\0\0\1a\0\0\0\1", "Not enough bytes to read 1th field"),
        ROW("vector<float, 2>", "\0\0\0\0", "Not enough bytes to read a vector<float, 2>"),
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++) {
        bind(0, rows[i].bytes, rows[i].len);
        no_value(rows[i].type, "?", rows[i].part);
    }
}
END_TEST

/* Selectors. */

START_TEST(selectors)
{
    row_set("v", "7");
    row_set("b", "'key'");
    row_set("m", "{'a': 1, 'b': 2, 'c': 3}");
    row_set("s", "{1, 2, 3}");
    row_set("l", "['x']");
    row_set("f", "{1: 'one', 2: 'two'}");
    row_set("u", "{zip: 8000}");
    row_set("tu", "(1, 'x')");
    selects("v", "int 7");
    selects("a", "int null");
    selects("b", "text key");
    selects("\"Odd Name\"", "text null");
    selects("m", "map<text, int> {'a': 1, 'b': 2, 'c': 3}");
    selects("m['b']", "int 2");
    selects("m['z']", "int null");
    selects("m['b'..'c']", "frozen<map<text, int>> {'b': 2, 'c': 3}");
    selects("m[..'b']", "frozen<map<text, int>> {'a': 1, 'b': 2}");
    selects("m['c'..]", "frozen<map<text, int>> {'c': 3}");
    selects("m['x'..'z']", "frozen<map<text, int>> null");
    selects("s[2]", "int 2");
    selects("s[4]", "int null");
    selects("s[2..9]", "frozen<set<int>> {2, 3}");
    selects("f[2]", "text two");
    selects("u.zip", "int 8000");
    selects("u.street", "text null");
    selects("fu.zip", "int null");
    selects("(int)5", "int 5");
    selects("(text)'x'", "text x");
    selects("[v, 5]", "frozen<list<int>> [7, 5]");
    selects("{v}", "frozen<set<int>> {7}");
    selects("(v, b)", "tuple<int, text> (7, 'key')");
    selects("(v)", "int 7");
    selects("(blob)b", "blob 0x6b6579");
    selects("(map<text, int>){b: v, b: 5}", "frozen<map<text, int>> {'key': 5}");
    selects("(frozen<address>){zip: v}", "frozen<address> {street: null, zip: 7, tags: null}");
    no_selector("(map<text, int>){nosuch: v}", "Undefined column name nosuch");
    no_selector("{b: v}", "Cannot infer type for term {b: v}");
    no_selector("nosuch", "Undefined column name nosuch in table lab.t");
    no_selector("v.zip", "Invalid field selection: v of type int is not a user type");
    no_selector("u.zap", "u of type address has no field zap");
    no_selector("v[1]", "Invalid element selection: v is of type int is not a collection");
    no_selector("l[0]", "Element selection is only allowed on sets and maps, but l is a list");
    no_selector("m[1]", "Invalid INTEGER constant (1) for \"key(m)\" of type text");
    no_selector(
        "5", "Cannot infer type for term 5 in selection clause (try using a cast to force a type)");
    no_selector("?", "Cannot infer type for term ? in selection clause");
    no_selector("nosuch(v)", "Unknown function 'nosuch'");
    no_selector("(int)b", "Cannot cast value b to type int");
    BIND(0, "\0\0\0\5");
    selects("(int)?", "int 5");
    spec_is(0, "[selection]", "int");
    BIND(0, "a");
    selects("m[?]", "int 1");
    spec_is(0, "key(m)", "text");
}
END_TEST

START_TEST(names)
{
    is_named("v", "v");
    is_named("\"Odd Name\"", "Odd Name");
    is_named("M['a']", "m['a']");
    is_named("m['a'..'b']", "m['a'..'b']");
    is_named("m[..'b']", "m[..'b']");
    is_named("m['a'..]", "m['a'..]");
    is_named("u.zip", "u.zip");
    is_named("(int)5", "(int)5");
    is_named("[v, 5]", "[v, 5]");
    is_named("(v, b)", "(v, b)");
    is_named("uuid()", "system.uuid()");
    is_named("token(a, b)", "system.token(a, b)");
}
END_TEST

static void note_column(void *ctx, const struct base_column *column)
{
    strncat(ctx, (const char *)column->name.data, column->name.len);
    strcat(ctx, " ");
}

START_TEST(columns_that_are_read)
{
    struct cqli_expr *expr;
    const char *name;
    char read[200] = "";
    ck_assert_int_eq(prepare_selector("[v, c, m['x'], u.zip]", &expr, &name), BASE_OK);
    cqli_expr_columns(expr, note_column, read);
    ck_assert_str_eq(read, "v c m u ");
    ck_assert(!cqli_expr_has_aggregate(expr) && !cqli_expr_is_constant(expr));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expr");
    TCase *tc = tcase_create("terms");
    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, scalars);
    tcase_add_test(tc, collections);
    tcase_add_test(tc, refused);
    tcase_add_loop_test(tc, printed_literals, 0, 8);
    tcase_add_test(tc, markers);
    tcase_add_test(tc, bound_order);
    tcase_add_test(tc, bound_bytes);
    tcase_add_test(tc, selectors);
    tcase_add_test(tc, names);
    tcase_add_test(tc, columns_that_are_read);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
