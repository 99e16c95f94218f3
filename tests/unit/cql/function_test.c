/* Functions, operators and casts: CQL text to type and value. Without these a sum could
 * have another type than a driver was told, a date be off by a day, a rounding go the other way
 * than Cassandra's, or a call mean another function than it says. */
#include "tests/unit/cql/function_lib.h"

/* Operators. */

START_TEST(operators)
{
    static const struct row rows[] = {
        {"i + 1", "int 8"},
        {"i - 10", "int -3"},
        {"i * 3", "int 21"},
        {"i / 2", "int 3"},
        {"i % 4", "int 3"},
        {"-i", "int -7"},
        {"-7 / 2", "int -3"},
        {"-7 % 2", "int -1"},
        {"1 + 2 * 3", "int 7"},
        {"-(2) + (3)", "int 1"},
        {"(1 + 2) * 3", "int 9"},
        {"10 - 2 - 3", "int 5"},
        {"ti + ti", "tinyint -56"},
        {"ti + si", "smallint 1100"},
        {"ti + i", "int 107"},
        {"i + bi", "bigint 5000000007"},
        {"2147483647 + 1", "int -2147483648"},
        {"9223372036854775807 + 1", "bigint -9223372036854775808"},
        {"(int)-2147483648 / -1", "int -2147483648"},
        {"9223372036854775808 + 1", "varint 9223372036854775809"},
        {"vi * vi", "varint 15241578753238836750495351562536198787501905199875019052100"},
        {"vi - bi", "varint 123456789012345678896234567890"},
        {"vi / 1000000007", "varint 123456788148148161864"},
        {"-vi % 1000", "varint -890"},
        {"i + f", "float 8.5"},
        {"bi + f", "double 5000000001.5"},
        {"i + d", "double 9.25"},
        {"f * f", "float 2.25"},
        {"d / 0", "double Infinity"},
        {"i * 1.5", "double 10.5"},
        {"d % 2", "double 0.25"},
        {"vi + f", "decimal 123456789012345678901234567891.5"},
        {"de + i", "decimal 17.50"},
        {"de * i", "decimal 73.500"},
        {"de % 2", "decimal 0.50"},
        {"de * 2", "decimal 21.000"},
        {"de + 9007199254740993", "decimal 9007199254741003.50"},
        {"de + (float)5.2", "decimal 15.699999809265137"},
        {"de * de", "decimal 110.2500"},
        {"de - 0.5", "decimal 10.00"},
        {"de / 4", "decimal 2.625"},
        {"de % 3", "decimal 1.50"},
        {"(decimal)1 / 3", "decimal 0.33333333333333333333333333333333"},
        {"(decimal)2 / 3", "decimal 0.66666666666666666666666666666667"},
        {"(decimal)100 / 10", "decimal 1E+1"},
        {"(decimal)1e-40 / 3", "decimal 3.3333333333333333333333333333333E-41"},
        {"-de", "decimal -10.50"},
        {"i + (int)NULL", "int null"},
        /* which type a written number prefers */
        {"-(1.5)", "double -1.5"},
        {"-(0.1)", "double -0.1"},
        {"-(1e308)", "double -1e+308"},
        {"-(1e309)", "decimal -1E+309"},
        {"-(0.10)", "double -0.1"},
        {"-(0e5)", "double -0.0"},
        {"-(0.1234567890123456789)", "decimal -0.1234567890123456789"},
        {"-(123456789012345678.5)", "decimal -123456789012345678.5"},
        {"-(100.0)", "double -100.0"},
        {"-(1000000000000000000000000.0)", "double -1e+24"},
        {"-((decimal)1e2000000000)", "decimal -1E+2000000000"},
        {"-(NaN)", "double NaN"},
        {"-(9007199254740993.0)", "decimal -9007199254740993.0"},
        {"ts + 1mo", "timestamp 2024-02-29T10:20:30.456Z"},
        {"ts - 1d", "timestamp 2024-01-30T10:20:30.456Z"},
        {"ts + 2h30m", "timestamp 2024-01-31T12:50:30.456Z"},
        {"ts - 1y1mo", "timestamp 2022-12-31T10:20:30.456Z"},
        {"da + 1y", "date 2025-02-28"},
        {"da - 2mo", "date 2023-12-29"},
        {"te + '!'", "text h\xC3\xA9llo!"},
        {"ac + ac", "ascii abcabc"},
        {"ac + te", "text abch\xC3\xA9llo"},
    };
    SELECT_ALL(rows);
    static const struct row bad[] = {
        {"da + du", "The duration must have a day precision. Was: 1mo2d3h"},
        {"i / 0", "the operation 'int / int' failed: / by zero"},
        {"i % 0", "/ by zero"},
        {"vi / 0", "the operation 'varint / int' failed: BigInteger divide by zero"},
        {"de / 0", "the operation 'decimal / int' failed: BigInteger divide by zero"},
        {"de % 0", "the operation 'decimal % int' failed: Division by zero"},
        {"de + (double)NaN", "A NaN cannot be converted into a decimal"},
        {"te + 1", "the '+' operation is not supported between te and 1"},
        {"ts + 1", "the '+' operation is not supported between ts and 1"},
        {"ts * 2d", "not supported"},
        {"te - 'x'", "not supported"},
        {"tm + 1h", "not supported"},
        {"i + ?", "Ambiguous '+' operation with args i and ?: use type hint to disambiguate, "
                  "example '(int) ?'"},
        {"-te", "the '-' operation is not supported on te"},
        {"(decimal)1E+2000000000 + 1", "the result has too many digits"},
        {"(decimal)1E+2000000000 * (decimal)1E+2000000000", "the result has too many digits"},
        {"bo + bo", "the '+' operation is not supported between bo and bo"},
    };
    REFUSE_ALL(bad);
    no_selector("de - vi / 0", "failed");
    ck_assert_str_eq(err.function, "_divide varint int");
    no_selector("log10(vi * 0)", "failed");
    ck_assert_str_eq(err.function, "log10 varint");
}
END_TEST

START_TEST(operators_for_receivers)
{
    is_value("bigint", "1 + 2", "3");
    is_value("bigint", "2147483647 + 1", "2147483648");
    is_value("tinyint", "100 + 27", "127");
    is_value("tinyint", "100 + 28", "-128");
    is_value("decimal", "1 / 4", "0.25");
    is_value("double", "1 / 4", "0.25");
    is_value("varint", "(1 + 2) * 9223372036854775807", "27670116110564327421");
    is_value("list<bigint>", "[1 + 1, -(2)]", "[2, -2]");
    is_value("timestamp", "(timestamp)'2024-01-01' + 1d", "2024-01-02T00:00:00.000Z");
    no_value("int", "1.5 + 1",
             "Type error: cannot assign result of operation + (type double) to v (type int)");
    no_value("text", "1 + 1",
             "Type error: cannot assign result of operation + (type int) to v (type text)");
    no_value("int", "1 / 0", "/ by zero");
}
END_TEST

/* Casts. */

START_TEST(casts)
{
    static const struct row rows[] = {
        {"CAST(i AS bigint)", "bigint 7"},
        {"CAST(i AS text)", "text 7"},
        {"CAST(i AS int)", "int 7"},
        {"CAST(bi AS int)", "int 705032704"},
        {"CAST(si AS tinyint)", "tinyint -24"},
        {"CAST(vi AS bigint)", "bigint -4362896299872285998"},
        {"CAST(vi AS double)", "double 1.2345678901234568e+29"},
        {"CAST(i AS varint)", "varint 7"},
        {"CAST(i AS decimal)", "decimal 7"},
        {"CAST(d AS decimal)", "decimal 2.25"},
        {"CAST(f AS decimal)", "decimal 1.5"},
        {"CAST(d AS int)", "int 2"},
        {"CAST(-d AS int)", "int -2"},
        {"CAST((double)1e30 AS int)", "int 2147483647"},
        {"CAST((double)1e30 AS tinyint)", "tinyint -1"},
        {"CAST((double)NaN AS int)", "int 0"},
        {"CAST((double)1e30 AS bigint)", "bigint 9223372036854775807"},
        {"CAST(de AS int)", "int 10"},
        {"CAST(de AS varint)", "varint 10"},
        {"CAST(de AS double)", "double 10.5"},
        {"CAST(de AS float)", "float 10.5"},
        {"CAST(de AS text)", "text 10.50"},
        {"CAST(d AS text)", "text 2.25"},
        {"CAST((double)10000000 AS text)", "text 1.0E7"},
        {"CAST((double)0.0001 AS text)", "text 1.0E-4"},
        {"CAST((double)1234567.5 AS text)", "text 1234567.5"},
        {"CAST((double)0.001 AS text)", "text 0.001"},
        {"CAST((double)0 AS text)", "text 0.0"},
        {"CAST((double)-1.25e100 AS text)", "text -1.25E100"},
        {"CAST((double)NaN AS text)", "text NaN"},
        {"CAST((double)123456789 AS decimal)", "decimal 123456789"},
        {"CAST((double)1e10 AS decimal)", "decimal 1.0E+10"},
        {"CAST((float)0.1 AS text)", "text 0.1"},
        {"CAST((float)0.1 AS decimal)", "decimal 0.1"},
        {"CAST(bo AS text)", "text true"},
        {"CAST(ac AS text)", "text abc"},
        {"CAST(te AS text)", "text h\xC3\xA9llo"},
        {"CAST(inet AS ascii)", "ascii ::1"},
        {"CAST(tu AS date)", "date 2015-07-14"},
        {"CAST(tu AS timestamp)", "timestamp 2015-07-14T00:00:18.805Z"},
        {"CAST(tu AS text)", "text 50554d6e-29bb-11e5-b345-feff819cdc9f"},
        {"CAST(ts AS date)", "date 2024-01-31"},
        {"CAST(ts AS text)", "text 2024-01-31T10:20:30.456Z"},
        {"CAST(da AS timestamp)", "timestamp 2024-02-29T00:00:00.000Z"},
        {"CAST(da AS text)", "text 2024-02-29"},
        {"CAST(tm AS text)", "text 13:14:15.123456789"},
        {"CAST(id AS text)", "text 123e4567-e89b-42d3-a456-426614174000"},
        {"CAST(1 AS text)", "text 1"},
        {"CAST(c AS text)", "text null"},
        {"CAST((decimal)1e400 AS double)", "double Infinity"},
        {"CAST((decimal)-1e400 AS float)", "float -Infinity"},
        {"CAST((decimal)1e-400 AS double)", "double 0.0"},
        {"CAST((decimal)1e2000000000 AS int)", "int 0"},
        {"CAST((varint)18446744073709551617 AS bigint)", "bigint 1"},
        {"CAST((decimal)18446744073709551617.9 AS tinyint)", "tinyint 1"},
        {"CAST(exp((decimal)1) AS double)", "double 2.718281828459045"},
        {"CAST(CAST(i AS text) AS text)", "text 7"},
    };
    SELECT_ALL(rows);
    static const struct row bad[] = {
        {"CAST(te AS int)", "te cannot be cast to int"},
        {"CAST(i AS counter)", "i cannot be cast to counter"},
        {"CAST(bl AS text)", "bl cannot be cast to text"},
        {"CAST(l AS text)", "l cannot be cast to text"},
        {"CAST((double)NaN AS decimal)", "cast double as decimal"},
        {"CAST(i AS nosuch)", "nosuch"},
        {"CAST(te AS ascii)", "te cannot be cast to ascii"},
        {"CAST(? AS int)", "Ambiguous call to function system.cast_as_int"},
        {"CAST(a AS boolean)", "a cannot be cast to boolean"},
    };
    REFUSE_ALL(bad);
}
END_TEST

/* Digits without end before a double is made of them. */
START_TEST(long_decimals)
{
    char term[1400], digits[1202];
    memset(digits, '3', sizeof digits);
    digits[1200] = 0;
    snprintf(term, sizeof term, "CAST((decimal)0.%s AS double)", digits);
    selects(term, "double 0.3333333333333333");
    snprintf(term, sizeof term, "CAST((decimal)3.%sE-10 AS double)", digits);
    selects(term, "double 3.333333333333333e-10");
    snprintf(term, sizeof term, "CAST((decimal)3.%sE-1500 AS double)", digits);
    selects(term, "double 0.0");
    snprintf(term, sizeof term, "CAST((decimal)%s.5 AS double)", digits);
    selects(term, "double Infinity");
    snprintf(term, sizeof term, "CAST((varint)-%s AS float)", digits);
    selects(term, "float -Infinity");
}
END_TEST

/* Times. */

START_TEST(times)
{
    static const struct row rows[] = {
        {"to_date(ts)", "date 2024-01-31"},
        {"toDate(tu)", "date 2015-07-14"},
        {"to_timestamp(da)", "timestamp 2024-02-29T00:00:00.000Z"},
        {"toTimestamp(tu)", "timestamp 2015-07-14T00:00:18.805Z"},
        {"to_unix_timestamp(ts)", "bigint 1706696430456"},
        {"toUnixTimestamp(da)", "bigint 1709164800000"},
        {"to_unix_timestamp(tu)", "bigint 1436832018805"},
        {"to_date((timestamp)-1)", "date 1969-12-31"},
        {"min_timeuuid(ts)", "timeuuid 5c45bf80-c022-11ee-8080-808080808080"},
        {"maxTimeuuid(ts)", "timeuuid 5c45e68f-c022-11ee-7f7f-7f7f7f7f7f7f"},
        {"mintimeuuid('1970-01-01')", "timeuuid 13814000-1dd2-11b2-8080-808080808080"},
        {"to_timestamp(max_timeuuid(ts))", "timestamp 2024-01-31T10:20:30.456Z"},
        {"current_timestamp()", "timestamp 2023-11-14T22:13:20.123Z"},
        {"currentDate()", "date 2023-11-14"},
        {"current_time()", "time 22:13:20.123456000"},
        {"now()", "timeuuid 04c29680-833b-11ee-8001-030304050607"},
        {"current_timeuuid()", "timeuuid 04c2968a-833b-11ee-8809-0b0b0c0d0e0f"},
        {"to_timestamp(now())", "timestamp 2023-11-14T22:13:20.123Z"},
        {"floor(ts, 1h)", "timestamp 2024-01-31T10:00:00.000Z"},
        {"floor(ts, 7m)", "timestamp 2024-01-31T10:14:00.000Z"},
        {"floor(ts, 1d)", "timestamp 2024-01-31T00:00:00.000Z"},
        {"floor(ts, 1mo)", "timestamp 2024-01-01T00:00:00.000Z"},
        {"floor(ts, 1y)", "timestamp 2024-01-01T00:00:00.000Z"},
        {"floor(ts, 5mo)", "timestamp 2023-10-01T00:00:00.000Z"},
        {"floor(ts, 1h, '2024-01-31 00:20Z')", "timestamp 2024-01-31T10:20:00.000Z"},
        {"floor(ts, 1mo, '2023-01-15')", "timestamp 2024-01-15T00:00:00.000Z"},
        {"floor(ts, 1mo, '2023-08-31')", "timestamp 2024-01-31T00:00:00.000Z"},
        {"floor((timestamp)'2016-07-02', 2mo2d8h, '2016-01-01')",
         "timestamp 2016-05-05T16:00:00.000Z"},
        {"floor((timestamp)'2024-01-10', 1mo, '2023-01-15')", "timestamp 2023-12-15T00:00:00.000Z"},
        {"floor(tu, 1d)", "timestamp 2015-07-14T00:00:00.000Z"},
        {"floor(da, 1mo)", "date 2024-02-01"},
        {"floor(da, 1w, '2024-02-05')", "date 2024-02-26"},
        {"floor(tm, 1h)", "time 13:00:00.000000000"},
        {"floor(tm, 10m)", "time 13:10:00.000000000"},
        {"floor(ts, (duration)NULL)", "timestamp null"},
    };
    for (size_t i = 0; i < BASE_COUNT(rows); i++) {
        last_us = chance = 0;
        if (strcmp(rows[i].term, "current_timeuuid()") == 0)
            last_us = clock_us, chance = 8;
        selects(rows[i].term, rows[i].wanted);
    }
    static const struct row bad[] = {
        {"floor(ts, 1us)",
         "The floor cannot be computed for the 1us duration as precision is below 1 "
         "millisecond"},
        {"floor(ts, -1h)", "Negative durations are not supported by the floor function"},
        {"floor(ts, 1h, '2025-01-01')",
         "The floor function starting time is greater than the provided time"},
        {"floor(da, 1h)", "The floor on date values cannot be computed for the 1h duration as "
                          "precision is below 1 day"},
        {"floor(tm, 1d)",
         "For time values, the floor can only be computed for durations smaller that a day"},
        {"now(1)",
         "Invalid number of arguments in call to function system.now: 0 required but 1 provided"},
        {"min_timeuuid(i)", "Type error: i cannot be passed as argument 0 of function "
                            "system.min_timeuuid of type timestamp"},
        {"to_date(i)", "Invalid call to function to_date, none of its type signatures match (known "
                       "type signatures: system.to_date : (timeuuid) -> date, "
                       "system.to_date : (timestamp) -> date)"},
        {"to_date(?)", "Ambiguous call to function to_date (can be matched by following "
                       "signatures: system.to_date : (timeuuid) -> "
                       "date, system.to_date : (timestamp) -> date): use type hint to "
                       "disambiguate, example '(int) ?'"},
        {"dateof(tu)", "Unknown function 'dateof'"},
        {"to__date(ts)", "Unknown function 'to__date'"},
        {"min_timeuuid((timestamp)-99999999999999999)", "cannot have the time"},
        {"to_date((timestamp)9223372036854775807)", "beyond the dates"},
    };
    REFUSE_ALL(bad);
    selects("to_date('2024-01-01')", "date 2024-01-01"); /* only the timestamp takes a string */
}
END_TEST

/* Numbers. */

START_TEST(math)
{
    static const struct row rows[] = {
        {"abs(-i)", "int 7"},
        {"abs(i)", "int 7"},
        {"abs((tinyint)-128)", "tinyint -128"},
        {"abs(-vi)", "varint 123456789012345678901234567890"},
        {"abs(-de)", "decimal 10.50"},
        {"abs(-d)", "double 2.25"},
        {"abs((double)-Infinity)", "double Infinity"},
        {"exp((int)1)", "int 2"},
        {"exp((int)100)", "int 2147483647"},
        {"exp((bigint)100)", "bigint 9223372036854775807"},
        {"exp((double)0)", "double 1.0"},
        {"exp((double)1)", "double 2.718281828459045"},
        {"exp((float)1)", "float 2.7182817"},
        {"log((double)1)", "double 0.0"},
        {"log((int)100)", "int 4"},
        {"log((int)0)", "int -2147483648"},
        {"log((double)-1)", "double NaN"},
        {"log10((double)1000)", "double 3.0"},
        {"log10(si)", "smallint 3"},
        {"round((double)2.5)", "double 3.0"},
        {"round((double)-2.5)", "double -2.0"},
        {"round((float)1e20)", "float 2.1474836e+09"},
        {"round((double)NaN)", "double 0.0"},
        {"round(i)", "int 7"},
        {"round((decimal)2.5)", "decimal 3"},
        {"round((decimal)-2.5)", "decimal -3"},
        {"round((decimal)1e3)", "decimal 1000"},
        {"round((decimal)0.4)", "decimal 0"},
        {"exp((decimal)0)", "decimal 1"},
        {"exp((decimal)1)", "decimal 2.7182818284590452353602874713527"},
        {"exp((decimal)-1)", "decimal 0.36787944117144232159552377016146"},
        {"exp((decimal)100)", "decimal 2.68811714181613544841262555158E+43"},
        {"exp((decimal)1e-400)", "decimal 1"},
        {"log((decimal)10)", "decimal 2.3025850929940456840179914546844"},
        {"log((decimal)0.5)", "decimal -0.69314718055994530941723212145818"},
        {"log((decimal)1.00000000000000000000000000000001)",
         "decimal 9.99999999999999999999999999999995E-33"},
        {"log10((decimal)100)", "decimal 2"},
        {"log10((decimal)0.001)", "decimal -3"},
        {"log10((decimal)2)", "decimal 0.30102999566398119521373889472449"},
        {"exp((varint)10)", "varint 22026"},
        {"log10((varint)1000000)", "varint 6"},
        {"round(vi)", "varint 123456789012345678901234567890"},
        {"abs(c)", "int null"},
    };
    SELECT_ALL(rows);
    no_selector("log((decimal)0)", "Natural log of number zero or less");
    no_selector("log10((varint)-1)", "of number zero or less");
    no_selector("abs(te)", "Invalid call to function abs, none of its type signatures match");
    no_selector("exp((decimal)10000000)", "too large");
    is_value("bigint", "abs(-5)", "5");
    is_value("bigint", "abs(-5000000000)", "5000000000");
    no_value("text", "abs(-5)", "none of its type signatures match");
}
END_TEST

/* Bytes, JSON, token. */

START_TEST(bytes)
{
    static const struct row rows[] = {
        {"int_as_blob(i)", "blob 0x00000007"},
        {"intAsBlob(i)", "blob 0x00000007"},
        {"blob_as_int(0x00000007)", "int 7"},
        {"blobasbigint(bigintasblob(bi))", "bigint 5000000000"},
        {"text_as_blob('a')", "blob 0x61"},
        {"varcharasblob('a')", "blob 0x61"},
        {"blob_as_text(0x61)", "text a"},
        {"blob_as_varchar(0x61)", "text a"},
        {"ascii_as_blob(ac)", "blob 0x616263"},
        {"blob_as_uuid(uuid_as_blob(id))", "uuid 123e4567-e89b-42d3-a456-426614174000"},
        {"blob_as_duration(duration_as_blob(du))", "duration 1mo2d3h"},
        {"decimal_as_blob(de)", "blob 0x00000002041a"},
        {"blob_as_decimal(0x000000020a)", "decimal 0.10"},
        {"boolean_as_blob(bo)", "blob 0x01"},
        {"date_as_blob(da)", "blob 0x80004d46"},
        {"blob_as_timestamp(timestamp_as_blob(ts))", "timestamp 2024-01-31T10:20:30.456Z"},
        {"blob_as_inet(0x7f000001)", "inet 127.0.0.1"},
        {"int_as_blob(c)", "blob null"},
        {"blob_as_time(time_as_blob(tm))", "time 13:14:15.123456789"},
        {"blob_as_tinyint(0xff)", "tinyint -1"},
        {"blob_as_varint(0x0100)", "varint 256"},
        {"blob_as_counter(0x0000000000000001)", "counter 1"},
        {"to_json(i)", "text 7"},
        {"toJson(m)", "text {\"x\": 1, \"y\": 2}"},
        {"to_json(te)", "text \"h\xC3\xA9llo\""},
        {"to_json(c)", "text null"},
        {"to_json(ts)", "text \"2024-01-31 10:20:30.456Z\""},
        {"to_json(l)", "text [3, 1, 2, 2]"},
        {"to_json(tup)", "text [1, \"x\"]"},
        {"to_json('q\"')", "text \"q\\\"\""},
        {"system.abs(i)", "int 7"},
        {"uuid()", "uuid 00010203-0405-4607-8809-0a0b0c0d0e0f"},
    };
    SELECT_ALL(rows);
    struct cqli_expr *expr;
    const char *name;
    ck_assert_int_eq(prepare_selector("token(a, b)", &expr, &name), BASE_OK);
    struct cqli_eval eval = evaluation();
    struct cql_value value;
    ck_ok(cqli_expr_eval(expr, &eval, &value), err);
    ck_assert_int_eq((int64_t)base_get_be64(value.bytes.data),
                     base_token(base_slice("\0\4\0\0\0\1\0\0\1x\0", 11)));
    is_value("int", "from_json('5')", "5");
    is_value("map<text, int>", "fromJson('{\"b\": 1, \"a\": 2}')", "{'a': 2, 'b': 1}");
    is_value("int", "from_json(' null ')", "null");
    is_value("text", "from_json('\"x\"')", "x");
    is_value("list<int>", "[from_json('5'), 6]", "[5, 6]");
    no_value("int", "from_json('\"x\"')", "Could not decode JSON string '\"x\"'");
    no_value("int", "from_json('{')", "Could not decode JSON string");
    no_selector("from_json('5')",
                "from_json() cannot be used in the selection clause of a SELECT statement");
    no_selector("blob_as_int(0x01)", "In call to function system.blob_as_int, value 0x01 is not a "
                                     "valid binary representation for type int");
    no_selector(
        "token(a)",
        "Invalid number of arguments in call to function system.token: 2 required but 1 provided");
    no_selector(
        "token(b, a)",
        "Type error: b cannot be passed as argument 0 of function system.token of type int");
    no_selector("to_json(?)", "Cannot infer type of argument ? in call to function "
                              "system.to_json(any): use type casts to disambiguate");
}
END_TEST

/* Collections, vectors, masks. */

START_TEST(of_collections)
{
    static const struct row rows[] = {
        {"map_keys(m)", "frozen<set<text>> {'x', 'y'}"},
        {"map_values(m)", "frozen<list<int>> [1, 2]"},
        {"collection_count(m)", "int 2"},
        {"collection_count(l)", "int 4"},
        {"collection_min(s)", "int 1"},
        {"collection_max(l)", "int 3"},
        {"collection_min(lt)", "text a"},
        {"collection_sum(l)", "int 8"},
        {"collection_avg(l)", "int 2"},
        {"collection_avg(ld)", "double 1.0"},
        {"collection_sum(s)", "int 6"},
        {"collection_count(fl)", "int null"},
        {"collection_sum([i, 1])", "int 8"},
        {"collection_sum([1, 2])", "int 3"},
        {"collection_max({1, 2147483648})", "bigint 2147483648"},
        {"collection_avg([1, 2.5])", "double 1.75"},
        {"map_keys({'b': 1, 'a': 2})", "frozen<set<ascii>> {'a', 'b'}"},
        {"to_json({1: ['x']})", "text {\"1\": [\"x\"]}"},
        {"mask_default((5))", "int 0"},
        {"collection_min((list<int>)[])", "int null"},
        {"collection_sum((list<int>)[])", "int 0"},
        {"collection_avg((list<int>)[])", "int 0"},
        {"similarity_cosine(vec, vec)", "float 1.0"},
        {"similarity_cosine(vec, [-1, -2, -3])", "float 0.0"},
        {"similarity_euclidean(vec, [1, 2, 4])", "float 0.5"},
        {"similarity_dot_product([1, 1, 1], vec)", "float 3.5"},
        {"similarity_cosine(vec, (vector<float, 3>)[3, 2, 1])", "float 0.85714287"},
        {"similarity_euclidean([1, 2], [1, 2])", "float 1.0"},
        {"similarity_dot_product(vec, NULL)", "float null"},
        {"similarity_dot_product(vec, [0, 0, 0])", "float 0.5"},
        {"mask_null(te)", "text null"},
        {"mask_default(te)", "text ****"},
        {"mask_default(i)", "int 0"},
        {"mask_default(de)", "decimal 0"},
        {"mask_default(da)", "date 1970-01-01"},
        {"mask_default(tup)", "tuple<int, text> (0, '****')"},
        {"mask_default(m)", "map<text, int> {}"},
        {"mask_default(vec)", "vector<float, 3> [0.0, 0.0, 0.0]"},
        {"mask_default(inet)", "inet 0.0.0.0"},
        {"mask_default(tu)", "timeuuid 13814000-1dd2-11b2-8080-808080808080"},
        {"mask_default(du)", "duration 0s"},
        {"mask_default(u)", "address {street: '****', zip: 0, tags: {}}"},
        {"mask_default(bl)", "blob 0x"},
        {"mask_replace(te, 'x')", "text x"},
        {"mask_replace(i, 0)", "int 0"},
        {"mask_inner(te, 1, 1)", "text h***o"},
        {"mask_outer(te, 1, 1)", "text *\xC3\xA9ll*"},
        {"mask_inner(te, 1, NULL)", "text h****"},
        {"mask_inner(te, 0, 0, '#')", "text #####"},
        {"mask_inner(te, 9, 0)", "text h\xC3\xA9llo"},
        {"mask_inner(te, 2, 1, '\xC3\xA9')", "text h\xC3\xA9\xC3\xA9\xC3\xA9o"},
        {"mask_hash(ac)",
         "blob 0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"mask_hash('')",
         "blob 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"mask_hash('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq', 'SHA-256')",
         "blob 0x248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    SELECT_ALL(rows);
    static const struct row bad[] = {
        {"map_keys(l)", "Function system.map_keys requires a map argument, but found argument l of "
                        "type list<int>"},
        {"collection_sum(lt)", "Function system.collection_sum requires a numeric set/list "
                               "argument, but found argument lt of type list<text>"},
        {"collection_min(m)", "requires a set or list argument"},
        {"collection_count(i)", "requires a collection argument"},
        {"map_keys(?)", "Cannot infer type of argument ?"},
        {"map_keys()", "Invalid number of arguments for function system.map_keys(map)"},
        {"similarity_cosine(l, l)", "Function system.similarity_cosine requires a float vector "
                                    "argument, but found argument l of type list<int>"},
        {"similarity_cosine(vec, [1, 2])", "All arguments must have the same vector dimensions"},
        {"similarity_cosine(vec, ['a', 'b', 'c'])",
         "Type error: ['a', 'b', 'c'] cannot be passed as argument 1"},
        {"similarity_cosine(?, ?)",
         "Cannot infer type of argument ? in call to function "
         "system.similarity_cosine(vector<float, n>, vector<float, n>): use"},
        {"similarity_cosine(null, null)", "Cannot infer type of argument NULL"},
        {"similarity_cosine(vec, [0, 0, 0])",
         "Function system.similarity_cosine doesn't support all-zero vectors"},
        {"similarity_cosine(vec, (vector<int, 3>)[1, 2, 3])",
         "requires a float vector argument, but found argument (vector<int, 3>)[1, 2, 3] of type "
         "vector<int, 3>"},
        {"similarity_cosine(1, vec)",
         "requires a float vector argument, but found argument 1 of type int"},
        {"similarity_cosine(vec, (vector<float, 2>)[1, 2])",
         "All arguments must have the same vector dimensions"},
        {"mask_inner(i, 1, 1)",
         "requires an argument of type [text|varchar|ascii], but found argument i of type int"},
        {"mask_inner(te, 1)", "Invalid number of arguments"},
        {"mask_inner(te, 1, 1, 'ab')", "should be single-character, but 'ab' has 2 characters"},
        {"mask_hash(te, 'MD9')", "Hash algorithm not found: MD9"},
        {"mask_replace(i, 'x')", "Invalid STRING constant (x)"},
        {"mask_default(?)", "Cannot infer type of argument ?"},
        {"map_keys({})", "Cannot infer type of argument {}"},
    };
    REFUSE_ALL(bad);
}
END_TEST

/* Of the row's cells. */

static void times_set(const char *column, const char *writetime_type, const char *writetimes,
                      const char *ttl_type, const char *ttls)
{
    uint32_t id = base_table_column(of_table, S(column))->id;
    ck_ok(value_of(type_of(writetime_type), S(writetimes), &the_row.writetimes[id]), err);
    ck_ok(value_of(type_of(ttl_type), S(ttls), &the_row.ttls[id]), err);
}

START_TEST(of_cells)
{
    times_set("i", "bigint", "100", "int", "60");
    times_set("m", "list<bigint>", "[11, 12]", "list<int>", "[1, 2]");
    times_set("s", "list<bigint>", "[21, 23, 22]", "list<int>", "[1, 2, 3]");
    times_set("fm", "bigint", "300", "int", "5");
    /* an entry for each field, null ones too */
    times_set("u", "list<bigint>", "[0, 41, 42]", "list<int>", "[0, 4, 5]");
    row_set("fm", "{'x': 1}");
    row_set("u", "{zip: 8000, tags: {'a'}}");
    static const struct row rows[] = {
        {"writetime(i)", "bigint 100"},
        {"ttl(i)", "int 60"},
        {"maxwritetime(i)", "bigint 100"},
        {"writetime(te)", "bigint null"},
        {"ttl(te)", "int null"},
        {"writetime(m)", "frozen<list<bigint>> [11, 12]"},
        {"ttl(m)", "frozen<list<int>> [1, 2]"},
        {"writetime(m['y'])", "bigint 12"},
        {"ttl(m['x'])", "int 1"},
        {"writetime(m['z'])", "bigint null"},
        {"maxwritetime(m['y'])", "bigint 12"},
        {"writetime(m['x'..'y']['y'])", "bigint 12"},
        {"writetime(m['x'..'x']['y'])", "bigint null"},
        {"writetime(s[2])", "bigint 23"},
        {"writetime(s[2..9])", "frozen<list<bigint>> [23, 22]"},
        {"writetime(s[..2])", "frozen<list<bigint>> [21, 23]"},
        {"writetime(s[7..9])", "frozen<list<bigint>> null"},
        {"maxwritetime(s[1..3])", "bigint 23"},
        {"maxwritetime(s[7..])", "bigint null"},
        {"ttl(s[3..])", "frozen<list<int>> [3]"},
        {"writetime(s[1..3][2..])", "frozen<list<bigint>> [23, 22]"},
        {"writetime(u)", "frozen<list<bigint>> [0, 41, 42]"},
        {"writetime(u.zip)", "bigint 41"},
        {"writetime(u.street)", "bigint null"},
        {"ttl(u.zip)", "int 4"},
        {"writetime(u.tags['a'])", "bigint 42"},
        {"writetime(u.tags['b'])", "bigint null"},
        {"writetime(u.tags['a'..])", "bigint 42"},
        {"writetime(u.tags['b'..])", "bigint null"},
        {"writetime(fm)", "bigint 300"},
        {"writetime(fm['x'])", "bigint 300"},
        {"writetime(fm['y'])", "bigint null"},
        {"ttl(fm['x'..])", "int 5"},
        {"writetime(fm['y'..])", "bigint null"},
    };
    SELECT_ALL(rows);
    no_selector("writetime(a)", "Cannot use selection function writetime on PRIMARY KEY part a");
    no_selector("ttl(c)", "Cannot use selection function ttl on PRIMARY KEY part c");
    no_selector("writetime(1)", "writetime takes one column");
    no_selector("writetime(abs(i))", "writetime takes one column");
    no_selector("writetime(i, i)", "writetime takes one column");
    no_selector("writetime(nosuch)", "Undefined column name nosuch");
    no_value("bigint", "writetime(i)", "is for the selection of a SELECT");
    is_named("writetime(i)", "writetime(i)");
    is_named("TTL(m['x'])", "ttl(m['x'])");
}
END_TEST

START_TEST(function_names)
{
    is_named("max(i)", "system.max(i)");
    is_named("count(*)", "count");
    is_named("COUNT(1)", "count");
    is_named("count(i)", "system.count(i)");
    is_named("toDate(ts)", "system.todate(ts)");
    is_named("to_date(ts)", "system.to_date(ts)");
    is_named("CAST(i AS text)", "cast(i as text)");
    is_named("CAST(i AS int)", "i");
    is_named("abs(CAST(i AS int))", "system.abs(i)");
    is_named("(int)((i - si) % 2 / (i + 1))", "(int)((i - si) % 2 / (i + 1))");
    is_named("i + 1", "i + 1");
    is_named("-i", "-i");
    is_named("i+1*bi", "i + 1 * bi");
    is_named("abs(-i)", "system.abs(-i)");
    is_named("mask_inner(te, 1, NULL)", "system.mask_inner(te, 1, NULL)");
    is_named("system.abs(i)", "system.abs(i)");
}
END_TEST

static void marker_is(const char *name, const char *type)
{
    ck_assert_msg(base_slice_equal(specs[0].name, S(name)), "%.*s", BASE_SLICE_ARG(specs[0].name));
    ck_assert(base_type_equal(specs[0].type, type_of(type)));
}

START_TEST(markers_of_operators)
{
    bound_count = 1;
    bound[0] = (struct cql_value){.bytes = base_slice("\5", 1)};
    is_value("tinyint", "1 + ?", "6"); /* only tinyints make one */
    marker_is("arg1(system._add)", "tinyint");
    bound[0] = (struct cql_value){.bytes = base_slice("\0\0\0\5", 4)};
    no_value("tinyint", "1 + ?", "Expected 1 byte for a tinyint (4)");
    is_value("int", "-?", "-5");
    marker_is("arg0(system._negate)", "int");
    is_value("int", "(int)? / (2 + 1)", "1");
    bound[0] = (struct cql_value){.bytes = base_slice("\000\000\001\127\154\162\033\200", 8)};
    is_value("timestamp", "? - 5m", "2016-09-27T16:15:00.000Z");
    marker_is("arg0(system._substract)", "timestamp");
    no_value("timestamp", "? - 10us",
             "the operation 'timestamp - duration' failed: The duration must have a millisecond "
             "precision. Was: 10us");
    bound[0] = (struct cql_value){.bytes = base_slice("\x80\0\0\5", 4)};
    is_value("date", "? + 5d", "1970-01-11");
    no_value(
        "date", "? - 10m",
        "the operation 'date - duration' failed: The duration must have a day precision. Was: 10m");
    is_value("int", "1 + NULL", "null");
    is_value("int", "-NULL", "null");
    no_value("varint", "-?",
             "Ambiguous negation: use type hint to disambiguate, example '(int) ?'");
    no_value("int", "? + 1",
             "Ambiguous '+' operation with args ? and 1: use type hint to disambiguate, example "
             "'(int) ?'");
    no_value("text", "? * 2d", "the '*' operation is not supported between ? and 2d");
    no_selector("1 + ?", "Ambiguous '+' operation with args 1 and ?");
    no_selector("i + NULL", "Ambiguous '+' operation with args i and NULL");
    no_selector("bo + NaN", "the '+' operation is not supported between bo and NaN");
}
END_TEST

START_TEST(markers_of_arguments)
{
    bound[0] = (struct cql_value){.bytes = base_slice("\0\0\0\5", 4)};
    bound_count = 1;
    is_value("text", "CAST((int)? AS text)", "5");
    selects("mask_inner(te, ?, 0)", "text h\xC3\xA9llo");
    ck_assert_msg(base_slice_equal(specs[0].name, S("arg1(system.mask_inner)")), "%.*s",
                  BASE_SLICE_ARG(specs[0].name));
    is_value("int", "abs(?)", "5");
    ck_assert(base_slice_equal(specs[0].name, S("arg0(system.abs)")));
    bound[0].state = CQL_VALUE_UNSET;
    no_value("int", "abs(?)", "Invalid unset value for argument in call to function abs");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("function");
    TCase *tc = tcase_create("calls");
    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, operators);
    tcase_add_test(tc, operators_for_receivers);
    tcase_add_test(tc, casts);
    tcase_add_test(tc, long_decimals);
    tcase_add_test(tc, times);
    tcase_add_test(tc, math);
    tcase_add_test(tc, bytes);
    tcase_add_test(tc, of_collections);
    tcase_add_test(tc, of_cells);
    tcase_add_test(tc, function_names);
    tcase_add_test(tc, markers_of_operators);
    tcase_add_test(tc, markers_of_arguments);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
