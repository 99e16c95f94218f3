/* Statements on data, as trees. Without these a statement could mean something else than Cassandra
 * says: a hint taken for a column, a marker numbered wrongly, a column named like a keyword
 * refused. */
#include <stdio.h>

#include "tests/unit/cql/script.h"
#include "tests/unit/cql/sexpr.h"

START_TEST(select_clauses)
{
    TREES({"SELECT * FROM t", "(select t *)"}, {"SELECT * FROM \"K\".t;;", "(select K.t *)"},
          {"SELECT JSON [a, b] FROM t", "(select t json (list (col a) (col b)))"},
          {"SELECT json[1..2] FROM t", "(select t (slice (col json) 1 2))"},
          {"SELECT JSON DISTINCT a, b AS c FROM k.t",
           "(select k.t json distinct (col a) (col b) as c)"},
          {"SELECT a FROM t WHERE a = 1 AND b IN (1, 2) AND c IN ? AND d IN () AND e CONTAINS 'x' "
           "AND f CONTAINS KEY :Name "
           "AND g LIKE '%x' AND h IS NOT NULL AND m['k'] = 2 AND (i > 5)",
           "(select t (col a) (where (= a 1) (in b (tuple 1 2)) (in c ?0) (in d (tuple)) (contains "
           "e 'x') (contains-key f ?1name) "
           "(like g '%x') (not-null h) (= m (at 'k') 2) (> i 5)))"},
          {"SELECT a FROM t WHERE token(a, b) > token(1, ?) AND token(a,b) <= -5 AND (c, d) >= (1, "
           "2) AND (c, d) IN ((1, 2), (?, ?)) "
           "AND (c) = (3) AND (c, d) IN ? AND (c, d) < :m",
           "(select t (col a) (where (> (token a b) (call token 1 ?0)) (<= (token a b) -5) (>= "
           "(tuple c d) (tuple 1 2)) "
           "(in (tuple c d) (tuple (tuple 1 2) (tuple ?1 ?2))) (= (tuple c) (tuple 3)) (in (tuple "
           "c d) ?3) (< (tuple c d) ?4m)))"},
          {"select a from t where b != 3 group by a, floor(b, 1h) order by c desc, d asc, e per "
           "partition limit 2 limit :l "
           "allow filtering",
           "(select t (col a) (where (!= b 3)) (group (col a) (call floor (col b) 1h)) (order c- d "
           "e) (per-partition 2) (limit ?0l) "
           "filtering)"},
          {"SELECT a FROM t ORDER BY v ANN OF [1.5, -2] LIMIT 3",
           "(select t (col a) (order v) (ann (list 1.5 -2)) (limit 3))"},
          {"SELECT count(*), COUNT(a), max(k.b), system.now(), token(a,b), writetime(a.x), ttl(a), "
           "cast(a + 1 AS text) FROM t",
           "(select t (call count *) (call count (col a)) (call max (field b (col k))) (call "
           "system.now) (call token (col a) (col b)) "
           "(call writetime (field x (col a))) (call ttl (col a)) (cast text (+ (col a) 1)))"},
          {"SELECT m['k'], m[1..2], m[..5], m[?..], a.b.c, m[1].f[2], f(x)[0].y FROM t",
           "(select t (at (col m) 'k') (slice (col m) 1 2) (slice (col m) _ 5) (slice (col m) ?0 "
           "_) (field c (field b (col a))) "
           "(at (field f (at (col m) 1)) 2) (field y (at (call f (col x)) 0)))"});
}
END_TEST

START_TEST(terms)
{
    TREES({"SELECT a + b * c - -d / 2 % 3 FROM t",
           "(select t (- (+ (col a) (* (col b) (col c))) (% (/ (neg (col d)) 2) 3)))"},
          {"SELECT (a + b) * c, a -1, a - 1, a-1, 1 -2, 3-4, f(x) -1.5, m[1] -NaN, ? -1h FROM t",
           "(select t (* (tuple (+ (col a) (col b))) (col c)) (- (col a) 1) (- (col a) 1) (- (col "
           "a) 1) (- 1 2) (- 3 4) "
           "(- (call f (col x)) 1.5) (- (at (col m) 1) NaN) (- ?0 1h))"},
          {"SELECT -1, -a, - 5, (-1), [-1], [a, -1], f(-1, -2) FROM t",
           "(select t -1 (neg (col a)) (neg 5) (tuple -1) (list -1) (list (col a) -1) (call f -1 "
           "-2))"},
          {"SELECT (int)1, (int) -1, (text)a, (frozen<list<int>>)[1], (k.u) {a: 1}, (map<text, "
           "vector<float, 3>>){}, (int)(bigint)?, "
           "(list<int>) (x), (a) AS b, (set<int>){1} FROM t",
           "(select t (hint int 1) (hint int -1) (hint text (col a)) (hint frozen<list<int>> (list "
           "1)) (hint k.u (udt a: 1)) "
           "(hint map<text, vector<float, 3>> (map)) (hint int (hint bigint ?0)) (hint list<int> "
           "(tuple (col x))) "
           "(tuple (col a)) as b (hint set<int> (set 1)))"},
          {"SELECT (int /* c */ ) ? FROM t", "(select t (hint int ?0))"},
          {"SELECT {}, {1, 2}, {'a': 1, 'b': {2}}, {a: 1, \"B\": 'x'}, [], [[1], (2, 3)], (1, "
           "null, NULL), {(1, 2): 3}, {f(1): :x} FROM t",
           "(select t (map) (set 1 2) (map 'a' 1 'b' (set 2)) (udt a: 1 B: 'x') (list) (list (list "
           "1) (tuple 2 3)) "
           "(tuple 1 null NULL) (map (tuple 1 2) 3) (map (call f 1) ?0x))"},
          {"SELECT 1.5e3, nan, -Infinity, true, 0xff, P1Y2M, 123e4567-e89b-12d3-a456-426614174000, "
           "$$a'b$$, 'it''s' FROM t",
           "(select t 1.5e3 nan -Infinity true 0xff P1Y2M 123e4567-e89b-12d3-a456-426614174000 "
           "'a'b' 'it's')"},
          {"SELECT \"A\".\"b\"\"c\", Ab, \"Now\"() FROM t",
           "(select t (field b\"c (col A)) (col ab) (call Now))"});
}
END_TEST

START_TEST(terms_know_how_they_were_written)
{
    struct cql_statement *s;
    ck_assert_int_eq(cql_parse(&arena,
                               S("SELECT count( * ) , a  +  -b.c[1] , (int) ?, [1 , 2] FROM t"), &s,
                               &err),
                     BASE_OK);
    static const char *const sources[] = {"count( * )", "a  +  -b.c[1]", "(int) ?", "[1 , 2]"};
    const struct cql_selector *selector = s->select.selectors;
    for (size_t i = 0; i < BASE_COUNT(sources); i++, selector = selector->next)
        ck_assert_msg(base_slice_equal(selector->term->source, S(sources[i])), "%.*s",
                      BASE_SLICE_ARG(selector->term->source));
    ck_assert_uint_eq(s->bind_count, 1);
}
END_TEST

START_TEST(writing)
{
    TREES(
        {"INSERT INTO t (a, B, \"C\") VALUES (1, ?, :v)",
         "(insert t (columns a b C) (values 1 ?0 ?1v))"},
        {"INSERT INTO k.t (a) VALUES (now()) IF NOT EXISTS USING TTL 5 AND TIMESTAMP ?",
         "(insert k.t (columns a) (values (call now)) (timestamp ?0) (ttl 5) if-not-exists)"},
        {"INSERT INTO t (a) VALUES ((int)1) USING TIMESTAMP -7 AND TTL ? IF NOT EXISTS",
         "(insert t (columns a) (values (hint int 1)) (timestamp -7) (ttl ?0) if-not-exists)"},
        {"INSERT INTO t JSON '{\"a\": 1}'", "(insert t (json '{\"a\": 1}'))"},
        {"INSERT INTO t JSON ? DEFAULT UNSET IF NOT EXISTS USING TTL 1",
         "(insert t (json ?0) unset (ttl 1) if-not-exists)"},
        {"INSERT INTO t JSON :j DEFAULT NULL", "(insert t (json ?0j))"},
        {"UPDATE t USING TTL 3 SET a = 1, b = b + [1], c = [1] + c, d = d - {1}, e += ?, f -= 2, "
         "g['x'] = 1, h.i = 2, j = j -1, "
         "k = null WHERE p = 1 AND q IN (1, 2) IF a = 1 AND h.i != 2 AND g['x'] IN (1, 2) AND h.i "
         "IN ? AND b CONTAINS 3 AND "
         "g[1] >= 4 AND z IN (null)",
         "(update t (set a 1) (set b (+ (col b) (list 1))) (set c (+ (list 1) (col c))) (set d (- "
         "(col d) (set 1))) "
         "(set e (+ (col e) ?0)) (set f (- (col f) 2)) (set g (at 'x') 1) (set h.i 2) (set j (- "
         "(col j) 1)) (set k null) (ttl 3) "
         "(where (= p 1) (in q (tuple 1 2))) (if (= a 1) (!= h.i 2) (in g (at 'x') (tuple 1 2)) "
         "(in h.i ?1) (contains b 3) "
         "(>= g (at 1) 4) (in z (tuple null))))"},
        {"UPDATE t SET a = 1 WHERE p = 1 IF EXISTS",
         "(update t (set a 1) (where (= p 1)) if-exists)"},
        {"UPDATE t SET exists = 1 WHERE p = 1 IF exists = 2",
         "(update t (set exists 1) (where (= p 1)) (if (= exists 2)))"},
        {"DELETE FROM k.t WHERE p = 1", "(delete k.t (where (= p 1)))"},
        {"DELETE a, b[?], c.d FROM t USING TIMESTAMP ? WHERE p = ? IF EXISTS",
         "(delete t (del a) (del b (at ?0)) (del c.d) (timestamp ?1) (where (= p ?2)) if-exists)"},
        {"DELETE a FROM t WHERE p = 1 IF a = 3", "(delete t (del a) (where (= p 1)) (if (= a 3)))"},
        {"BEGIN BATCH APPLY BATCH", "(batch logged)"},
        {"BEGIN UNLOGGED BATCH USING TIMESTAMP ? INSERT INTO t (a) VALUES (?) UPDATE k.t SET b = ? "
         "WHERE a = 1; DELETE FROM t WHERE a = ?; "
         "APPLY BATCH;",
         "(batch unlogged (timestamp ?0) (insert t (columns a) (values ?1)) (update k.t (set b ?2) "
         "(where (= a 1))) "
         "(delete t (where (= a ?3))))"},
        {"BEGIN COUNTER BATCH UPDATE t SET c = c + 1 WHERE a = 1 APPLY BATCH",
         "(batch counter (update t (set c (+ (col c) 1)) (where (= a 1))))"},
        {"begin logged batch delete from t where a = 1 apply batch",
         "(batch logged (delete t (where (= a 1))))"});
    fails("BEGIN STRANGE BATCH APPLY BATCH", BASE_E_SYNTAX,
          "line 1:6 no viable alternative at input 'STRANGE'");
    fails("BEGIN BATCH SELECT * FROM t APPLY BATCH", BASE_E_SYNTAX,
          "line 1:12 no viable alternative at input 'SELECT'");
    fails("BEGIN BATCH INSERT INTO t (a) VALUES (1)", BASE_E_SYNTAX, "<EOF>");
    fails("DELETE FROM t USING TTL 5 WHERE a = 1", BASE_E_SYNTAX, "line 1:20");
    fails("UPDATE t SET a = 1", BASE_E_SYNTAX, "<EOF>");
}
END_TEST

/* Every unreserved word in every place where a column may stand. */
START_TEST(keywords_as_columns)
{
    static const char *const words[] = {
        "key",          "type",        "ttl",       "json",           "count",      "writetime",
        "maxwritetime", "user",        "timestamp", "values",         "list",       "map",
        "role",         "as",          "cast",      "distinct",       "exists",     "contains",
        "like",         "per",         "partition", "group",          "filtering",  "clustering",
        "compact",      "storage",     "static",    "frozen",         "tuple",      "vector",
        "counter",      "date",        "time",      "text",           "int",        "uuid",
        "password",     "superuser",   "login",     "options",        "access",     "function",
        "functions",    "aggregate",   "language",  "returns",        "input",      "replace",
        "default",      "unset",       "ann",       "masked",         "trigger",    "custom",
        "keys",         "keyspaces",   "tables",    "types",          "users",      "roles",
        "permission",   "permissions", "all",       "cluster",        "internals",  "only",
        "identity",     "expr",        "hashed",    "datacenters",    "cidrs",      "nosuperuser",
        "mbean",        "mbeans",      "unmask",    "select_masked",  "sfunc",      "stype",
        "finalfunc",    "initcond",    "called",    "columnfamilies", "aggregates", "logged",
        "index_name",
    };
    static const char *const texts[] = {
        "SELECT %w FROM %w.%w",
        "SELECT %w, a FROM t",
        "SELECT a, %w FROM t",
        "SELECT JSON %w FROM t",
        "SELECT DISTINCT %w FROM t",
        "SELECT %w AS %w FROM t",
        "SELECT max(%w) FROM t",
        "SELECT %w.x, %w[1] FROM t",
        "SELECT a + %w, %w + 1, %w -1 FROM t",
        "SELECT a FROM t WHERE %w = 1 AND %w IN (1) AND %w CONTAINS KEY 1 AND %w CONTAINS -1 AND "
        "%w['a'] = 1 AND (%w) = (1)",
        "SELECT a FROM t WHERE token(%w) > 1 GROUP BY %w ORDER BY %w DESC PER PARTITION LIMIT 1 "
        "LIMIT 1 ALLOW FILTERING",
        "INSERT INTO %w (%w) VALUES (1)",
        "INSERT INTO t (a, %w) VALUES (:%w, {%w: 1}) USING TTL -1 AND TIMESTAMP -1",
        "INSERT INTO %w JSON '{}'",
        "UPDATE %w SET %w = %w + 1, %w += 1, %w[1] = 2, %w.%w = 3 WHERE %w = 1 IF %w = 1 AND %w.%w "
        "= 2",
        "DELETE %w, %w[1], %w.%w FROM %w WHERE %w = 1 IF EXISTS",
        "BEGIN BATCH INSERT INTO %w (%w) VALUES (1) APPLY BATCH",
        "CREATE TABLE %w.%w (%w int, x %w static, y int, PRIMARY KEY ((%w), y)) WITH CLUSTERING "
        "ORDER BY (%w DESC) AND a = %w",
        "ALTER TABLE %w ADD %w int",
        "ALTER TABLE t DROP %w",
        "ALTER TABLE t DROP (%w, a) USING TIMESTAMP 1",
        "ALTER TABLE t RENAME %w TO %w AND a TO b",
        "CREATE TYPE %w (%w int, b text)",
        "ALTER TYPE %w ADD %w int",
        "TRUNCATE %w",
        "USE %w",
    };
    for (size_t w = 0; w < BASE_COUNT(words); w++) {
        for (size_t i = 0; i < BASE_COUNT(texts); i++) {
            char text[512];
            size_t len = 0;
            for (const char *c = texts[i]; *c; c++) {
                if (c[0] == '%' && c[1] == 'w') {
                    len += (size_t)snprintf(text + len, sizeof text - len, "%s", words[w]);
                    c++;
                } else {
                    text[len++] = *c;
                }
            }
            struct cql_statement *statement;
            int rc = cql_parse(&arena, base_slice(text, len), &statement, &err);
            ck_assert_msg(rc == BASE_OK, "%.*s\n%s", (int)len, text, err.text);
        }
    }
}
END_TEST

START_TEST(what_is_no_statement)
{
    fails("SELECT FROM t", BASE_E_SYNTAX, "line 1:7 no viable alternative at input 'FROM'");
    fails("SELECT a b FROM t", BASE_E_SYNTAX, "line 1:9");
    fails("SELECT * FROM t WHERE", BASE_E_SYNTAX, "<EOF>");
    fails("SELECT * FROM t WHERE a == 1", BASE_E_SYNTAX, "line 1:25");
    fails("SELECT * FROM t LIMIT 'x'", BASE_E_SYNTAX, "line 1:22");
    fails("SELECT * FROM t LIMIT 1 PER PARTITION LIMIT 1", BASE_E_SYNTAX, "line 1:24");
    fails("SELECT {a: 1, 'b': 2} FROM t", BASE_E_SYNTAX,
          "line 1:14 the name of a field was expected at ''b''");
    fails("SELECT m[..] FROM t", BASE_E_SYNTAX, "a slice needs a bound");
    fails("SELECT f(a AS int) FROM t", BASE_E_SYNTAX, "AS stands only in CAST");
    fails("SELECT a.b.c(1) FROM t", BASE_E_SYNTAX, "'a.b.c' is no function's name");
    fails("SELECT * FROM t WHERE expr(i, 'x')", BASE_E_INVALID, "custom indexes");
    fails("SELECT * FROM t WHERE f(i, 'x')", BASE_E_SYNTAX,
          "line 1:22 no viable alternative at input 'f'");
    fails("INSERT INTO t VALUES (1)", BASE_E_SYNTAX, "line 1:14");
    fails("ALTER TABLE t WITH comment = ?", BASE_E_SYNTAX,
          "bind variables are not supported in DDL queries");
}
END_TEST

START_TEST(hostile_terms)
{
    ck_assert_int_eq(parse_many("SELECT ", "(", 300000, ""), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT ", "[", 300000, ""), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT ", "(a<", 300000, ""), BASE_E_SYNTAX);
    ck_assert_int_eq(parse_many("SELECT (", "a<", 300000, ""), BASE_E_SYNTAX);
    ck_assert_int_eq(parse_many("SELECT ", "(int)", 200000, "1 FROM t"), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT ", "- ", 300000, "1 FROM t"), BASE_E_LIMIT);
    /* who comes after us may recurse */
    ck_assert_int_eq(parse_many("SELECT a", "+1", 300000, " FROM t"), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT a", ".b", 300000, " FROM t"), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT a", "[1]", 300000, " FROM t"), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT a", ", (int", 150000, ""), BASE_E_LIMIT);
    ck_assert_int_eq(parse_many("SELECT a", ",?", 70000, " FROM t"), BASE_E_INVALID);
    ck_assert_msg(
        strstr(err.text, "Too many markers(?). 70000 markers exceed the allowed maximum of 65535"),
        "%s", err.text);
    ck_assert_int_eq(parse_many("SELECT a FROM t WHERE a IN (1", ",1", 300000, ")"), BASE_OK);
    ck_assert_int_eq(parse_many("BEGIN BATCH ", "DELETE FROM t WHERE a=1;", 20000, "APPLY BATCH"),
                     BASE_OK);
}
END_TEST

START_TEST(a_batch_is_one_statement_of_a_script)
{
    static const char script[] = "BEGIN BATCH INSERT INTO t (a) VALUES (1); DELETE FROM t WHERE a "
                                 "= 1; APPLY BATCH; SELECT 1 FROM t";
    size_t len = cql_split(S(script));
    ck_assert_uint_eq(len, strlen(script) - strlen(" SELECT 1 FROM t"));
    ck_assert_uint_eq(cql_split(S("BEGIN BATCH INSERT INTO t (a) VALUES (1); ")),
                      strlen("BEGIN BATCH INSERT INTO t (a) VALUES (1); "));
}
END_TEST

/* Any cut and any byte changed: no crash, no reading past the text (sanitizers), one of the right
 * codes. */
START_TEST(any_damage_is_harmless)
{
    static const char *const texts[] = {
        "SELECT JSON a.b[1..?], (int)-1, cast(f(*) AS text) AS c FROM k.\"T\" WHERE token(a) >= 1 "
        "AND (b, c) IN ((1, 2)) AND "
        "m CONTAINS KEY {x: 'y'} ORDER BY v ANN OF [1] LIMIT :n ALLOW FILTERING",
        "BEGIN UNLOGGED BATCH USING TIMESTAMP -1 INSERT INTO t JSON $$x$$ DEFAULT UNSET; UPDATE t "
        "SET a += 1, b[?] = {1: (2, 3)} WHERE "
        "k IN ? IF EXISTS DELETE a.b FROM t WHERE k = -1h APPLY BATCH",
    };
    for (size_t n = 0; n < BASE_COUNT(texts); n++) {
        char copy[512];
        struct cql_statement *s;
        size_t len = strlen(texts[n]);
        for (size_t i = 0; i < len; i++) {
            int rc = cql_parse(&arena, base_slice(texts[n], i), &s, NULL);
            ck_assert(rc == BASE_OK || rc == BASE_E_SYNTAX);
            for (unsigned c = 1; c < 256; c += 3) {
                memcpy(copy, texts[n], len);
                copy[i] = (char)c;
                rc = cql_parse(&arena, base_slice(copy, len), &s, NULL);
                ck_assert(rc == BASE_OK || rc == BASE_E_SYNTAX || rc == BASE_E_INVALID);
            }
            base_arena_reset(&arena);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grammar");
    TCase *tc = tcase_create("grammar");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, select_clauses);
    tcase_add_test(tc, terms);
    tcase_add_test(tc, terms_know_how_they_were_written);
    tcase_add_test(tc, writing);
    tcase_add_test(tc, keywords_as_columns);
    tcase_add_test(tc, what_is_no_statement);
    tcase_add_test(tc, hostile_terms);
    tcase_add_test(tc, a_batch_is_one_statement_of_a_script);
    tcase_add_test(tc, any_damage_is_harmless);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
