/* Lexer, grammar, splitting. Without these a statement could mean something else than it says, an
 * error point nowhere, hostile text end the host by recursion or run for minutes, a script be cut
 * inside a string. */
#include "cql/ast.h"
#include "tests/unit/cql/script.h"

static struct cql_statement *parse(const char *text)
{
    struct cql_statement *statement;
    int rc = cql_parse(&arena, S(text), &statement, &err);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
    return statement;
}

static void syntax(const char *text, const char *part)
{
    struct cql_statement *statement;
    int rc = cql_parse(&arena, S(text), &statement, &err);
    ck_assert_msg(rc == BASE_E_SYNTAX, "%s\ngave %s: %s", text, base_err_words(rc), err.text);
    ck_assert_msg(strstr(err.text, part), "%s\ngave: %s\nwithout: %s", text, err.text, part);
    ck_assert_ptr_null(statement);
}

START_TEST(statements_of_every_kind)
{
    static const struct {
        const char *text;
        enum cql_statement_kind kind;
    } cases[] = {
        {"CREATE KEYSPACE a WITH replication = {'class': 'x'};", CQL_CREATE_KEYSPACE},
        {"create schema if not exists a with durable_writes = false and replication = {}",
         CQL_CREATE_KEYSPACE},
        {"ALTER KEYSPACE a WITH durable_writes = true", CQL_ALTER_KEYSPACE},
        {"DROP KEYSPACE IF EXISTS a", CQL_DROP_KEYSPACE},
        {"CREATE TABLE a.b (k int PRIMARY KEY)", CQL_CREATE_TABLE},
        {"CREATE COLUMNFAMILY b (k int, c text, s text STATIC, PRIMARY KEY ((k), c)) WITH "
         "CLUSTERING ORDER BY (c DESC) "
         "AND comment = 'x'",
         CQL_CREATE_TABLE},
        {"ALTER TABLE b ADD x int", CQL_ALTER_TABLE},
        {"ALTER TABLE IF EXISTS b ADD IF NOT EXISTS x int, y text static", CQL_ALTER_TABLE},
        {"ALTER TABLE b ADD (x int, y map<text, frozen<list<int>>>)", CQL_ALTER_TABLE},
        {"ALTER TABLE b DROP x", CQL_ALTER_TABLE},
        {"ALTER TABLE b DROP IF EXISTS (x, y) USING TIMESTAMP 17", CQL_ALTER_TABLE},
        {"ALTER TABLE b RENAME IF EXISTS x TO y AND z TO w", CQL_ALTER_TABLE},
        {"ALTER TABLE b WITH comment = 'x' AND gc_grace_seconds = 5", CQL_ALTER_TABLE},
        {"DROP TABLE IF EXISTS a.b", CQL_DROP_TABLE},
        {"CREATE TYPE IF NOT EXISTS t (a int, b frozen<u>)", CQL_CREATE_TYPE},
        {"ALTER TYPE t ADD c text", CQL_ALTER_TYPE},
        {"ALTER TYPE t RENAME c TO d AND e TO f", CQL_ALTER_TYPE},
        {"DROP TYPE t", CQL_DROP_TYPE},
        {"TRUNCATE b", CQL_TRUNCATE},
        {"TRUNCATE TABLE a.b", CQL_TRUNCATE},
        {"USE a", CQL_USE},
        {" ; -- first\n USE /* here */ \"A b\" // last", CQL_USE},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        ck_assert_msg(cql_statement_kind(parse(cases[i].text)) == cases[i].kind, "%s",
                      cases[i].text);
    ck_assert(base_slice_equal(cql_use_keyspace(parse("USE \"A b\"")), S("A b")));
    ck_assert(base_slice_equal(cql_use_keyspace(parse("USE MyKs")), S("myks")));
}
END_TEST

START_TEST(names_and_strings_lose_their_quotes)
{
    struct cql_statement *s =
        parse("CREATE TABLE \"Ks\".\"a\"\"b\" (Sensor TEXT, \"Day\" date, PRIMARY KEY (sensor)) "
              "WITH comment = 'it''s' AND x = $$it's $ fine$$ AND y = '' AND z = $$$$");
    ck_assert(base_slice_equal(s->target.keyspace, S("Ks")));
    ck_assert(base_slice_equal(s->target.name, S("a\"b")));
    ck_assert(base_slice_equal(s->columns->name, S("sensor")));
    ck_assert(base_slice_equal(s->columns->next->name, S("Day")));
    ck_assert(base_slice_equal(s->properties->value->text, S("it's")));
    ck_assert(base_slice_equal(s->properties->next->value->text, S("it's $ fine")));
    ck_assert_uint_eq(s->properties->next->next->value->text.len, 0);
    ck_assert_uint_eq(s->properties->next->next->next->value->text.len, 0);
}
END_TEST

START_TEST(literals)
{
    static const struct {
        const char *text;
        enum cql_term_kind kind;
    } cases[] = {
        {"12", CQL_TERM_INTEGER},
        {"-12", CQL_TERM_INTEGER},
        {"1.5", CQL_TERM_FLOAT},
        {"1.", CQL_TERM_FLOAT},
        {"-1e10", CQL_TERM_FLOAT},
        {"1.5E-3", CQL_TERM_FLOAT},
        {"true", CQL_TERM_BOOLEAN},
        {"FALSE", CQL_TERM_BOOLEAN},
        {"1h30m", CQL_TERM_DURATION},
        {"-2mo3d", CQL_TERM_DURATION},
        {"P1Y2M3DT4H", CQL_TERM_DURATION},
        {"PT5S", CQL_TERM_DURATION},
        {"P3W", CQL_TERM_DURATION},
        {"P0001-02-03T04:05:06", CQL_TERM_DURATION},
        {"0xCAFE", CQL_TERM_BLOB},
        {"0x", CQL_TERM_BLOB},
        {"123e4567-e89b-12d3-a456-426614174000", CQL_TERM_UUID},
        {"abcdefab-e89b-12d3-a456-426614174000", CQL_TERM_UUID},
        {"always", CQL_TERM_WORD},
        {"ttl", CQL_TERM_WORD},
        {"{}", CQL_TERM_MAP},
        {"{'a': 1, 'b' : {'c': 2}}", CQL_TERM_MAP},
    };
    char text[128];
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        snprintf(text, sizeof text, "ALTER TABLE t WITH x = %s", cases[i].text);
        const struct cql_term *value = parse(text)->properties->value;
        ck_assert_msg(value->kind == cases[i].kind, "%s", cases[i].text);
        if (value->kind != CQL_TERM_MAP)
            ck_assert(base_slice_equal(value->text, S(cases[i].text)));
    }
}
END_TEST

START_TEST(unreserved_words_are_names)
{
    static const char *const words[] = {"key",   "static", "type",   "timestamp",  "text", "list",
                                        "map",   "frozen", "int",    "uuid",       "ttl",  "json",
                                        "count", "values", "exists", "clustering", "ann"};
    char text[256];
    for (size_t i = 0; i < BASE_COUNT(words); i++) {
        snprintf(text, sizeof text, "CREATE TABLE %s.%s (%s int, c text static, PRIMARY KEY (%s))",
                 words[i], words[i], words[i], words[i]);
        struct cql_statement *s = parse(text);
        ck_assert(base_slice_equal(s->target.keyspace, S(words[i])));
        ck_assert(base_slice_equal(s->target.name, S(words[i])));
        ck_assert(base_slice_equal(s->columns->name, S(words[i])));
        ck_assert(s->columns->next->is_static);
    }
    static const char *const reserved[] = {"table", "select", "from",  "where", "primary",
                                           "set",   "order",  "token", "nan"};
    for (size_t i = 0; i < BASE_COUNT(reserved); i++) {
        snprintf(text, sizeof text, "USE %s", reserved[i]);
        syntax(text, "line 1:4 no viable alternative at input");
        snprintf(text, sizeof text, "USE \"%s\"", reserved[i]);
        ck_assert(base_slice_equal(cql_use_keyspace(parse(text)), S(reserved[i])));
    }
}
END_TEST

START_TEST(errors_say_where_and_what_was_expected)
{
    syntax("CREATE TABEL x (a int)",
           "line 1:7 no viable alternative at input 'TABEL': expected AGGREGATE, CUSTOM");
    syntax("SELECT a b FROM t", "line 1:9 no viable alternative at input 'b': expected '+', '-', "
                                "'*', '/', '%', AS, '.', '(', ',', '[', FROM");
    syntax("CREATE TABLE x\n  (a int primary)",
           "line 2:16 no viable alternative at input ')': expected KEY");
    syntax("CREATE TABLE x (a int", "line 1:21 no viable alternative at input '<EOF>'");
    syntax("USE \xc3\xa4", "line 1:4 ");
    syntax("ALTER TABLE t WITH comment = '\xc3\xa4\xc3\xb6' x", "line 1:34 ");
    syntax("USE a b", "line 1:6 no viable alternative at input 'b': expected the end");
    syntax("USE 'a", "line 1:4 a string that does not end");
    syntax("USE \"a", "line 1:4 a quoted name that does not end");
    syntax("USE \"\"", "line 1:4 an empty name");
    syntax("USE a /* b", "line 1:6 a comment that does not end");
    syntax("USE a; USE b", "line 1:7 ");
    syntax("", "no viable alternative at input '<EOF>'");
    syntax("ALTER TABLE t WITH a = 1 AND a = 2", "Multiple definitions for property 'a'");
    syntax("CREATE TABLE t (a varchar(20) PRIMARY KEY)",
           "line 1:18 CQL types have no length: write varchar");
    syntax("USE \xff", "UTF-8");
    struct cql_statement *s;
    ck_assert_int_eq(cql_parse(&arena, base_slice("USE a\0b", 7), &s, &err), BASE_E_SYNTAX);
}
END_TEST

START_TEST(hostile_text_is_refused_soon)
{
    ck_assert_int_eq(parse_many("ALTER TABLE t WITH a = ", "{1:", 300000, ""), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("CREATE TABLE t (a ", "list<", 200000, ""), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("", "((((((", 100000, ""), BASE_E_SYNTAX);
    ck_assert_int_eq(parse_many("USE a /*", "*******", 100000, ""), BASE_E_SYNTAX);
    ck_assert_int_eq(parse_many("USE '", "''", 400000, ""), BASE_E_SYNTAX);
    /* analysis refuses */
    ck_assert_int_eq(parse_many("CREATE TABLE t (k int PRIMARY KEY", ", c int", 100000, ")"),
                     BASE_OK);
    ck_assert_int_eq(parse_many("ALTER TABLE t WITH a = 1", " AND a = 1", 90000, ""),
                     BASE_E_SYNTAX);
    ck_assert_int_eq(parse_many("USE ", "x", CQL_TEXT_LEN_MAX, ""), BASE_E_LIMIT);
}
END_TEST

START_TEST(any_damage_to_a_statement_is_harmless)
{
    static const char text[] =
        "CREATE TABLE a.\"B\" (k int, c frozen<map<text, tuple<int, uuid>>> /*x*/, PRIMARY KEY "
        "((k), c)) "
        "WITH CLUSTERING ORDER BY (c DESC) AND x = {'a': 1.5e3, $$b$$: 0xff} AND y = 1h -- end";
    char copy[sizeof text];
    struct cql_statement *s;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        int rc = cql_parse(&arena, base_slice(text, i), &s, NULL);
        ck_assert(rc == BASE_OK || rc == BASE_E_SYNTAX);
        for (unsigned c = 0; c < 256; c += 3) {
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            rc = cql_parse(&arena, base_slice(copy, sizeof text - 1), &s, NULL);
            ck_assert(rc == BASE_OK || rc == BASE_E_SYNTAX || rc == BASE_E_INVALID);
        }
        base_arena_reset(&arena);
    }
}
END_TEST

START_TEST(scripts_are_split)
{
    static const char script[] =
        "USE a; -- one; two\n CREATE TABLE \"x;y\" (a int /* ; */) WITH c = 'p;q' AND d = $$;$$;\n"
        "  USE b ";
    static const char *const parts[] = {
        "USE a;",
        " -- one; two\n CREATE TABLE \"x;y\" (a int /* ; */) WITH c = 'p;q' AND d = $$;$$;",
        "\n  USE b "};
    struct base_slice rest = S(script);
    for (size_t i = 0; i < BASE_COUNT(parts); i++) {
        size_t len = cql_split(rest);
        ck_assert_msg(base_slice_equal(base_slice(rest.data, len), S(parts[i])), "part %zu: %.*s",
                      i, (int)len, (const char *)rest.data);
        rest = base_slice(rest.data + len, rest.len - len);
    }
    ck_assert_uint_eq(cql_split(rest), 0);
    ck_assert_uint_eq(cql_split(S(" -- only this\n ; ;")), 0);
    ck_assert_uint_eq(cql_split(S("")), 0);
    ck_assert_uint_eq(cql_split(S("USE 'a; b")), 9); /* the parser will say what is wrong */
    ck_assert_uint_eq(cql_split(S("USE a")), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parse");
    TCase *tc = tcase_create("parse");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, statements_of_every_kind);
    tcase_add_test(tc, names_and_strings_lose_their_quotes);
    tcase_add_test(tc, literals);
    tcase_add_test(tc, unreserved_words_are_names);
    tcase_add_test(tc, errors_say_where_and_what_was_expected);
    tcase_add_test(tc, hostile_text_is_refused_soon);
    tcase_add_test(tc, any_damage_to_a_statement_is_harmless);
    tcase_add_test(tc, scripts_are_split);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
