/* WHERE, GROUP BY, ORDER BY, DISTINCT: what may be said, and Cassandra's words for what may not;
 * where a statement looks.
 *
 * Breaks without it: a statement that Cassandra refuses is run, or the other way round; a write
 * goes to other rows than it says. */
#include "cql/expr.h"
#include "tests/lib/make_table.h"
#include "tests/unit/cql/data_lib.h"

#define FILTERING                                                                                  \
    "Cannot execute this query as it might involve data filtering and thus may have "              \
    "unpredictable performance. If you want to execute this "                                      \
    "query despite the performance unpredictability, use ALLOW FILTERING"

static void start(void)
{
    setup();
    base_arena_init(&prepare_arena);
    lab();
    world_reset(1, 0);
    must("CREATE TYPE u (f int)");
    must("CREATE TABLE t (k int, c int, d text, e int, v int, s text static, tags set<text>, "
         "scores map<text, int>, items list<int>, "
         "fl frozen<list<int>>, fm frozen<map<text, int>>, du duration, ut u, PRIMARY KEY (k, c, "
         "d, e))");
    must("CREATE TABLE p (a int, b int, c int, v int, PRIMARY KEY ((a, b), c))");
    must("CREATE TABLE o (k int PRIMARY KEY, v int)");
    must("CREATE TABLE i (k int, c int, d int, v int, w int, s int static, tags set<text>, scores "
         "map<text, int>, PRIMARY KEY (k, c, d))");
    must("CREATE INDEX ON i (v)");
    must("CREATE INDEX ON i (d)");
    must("CREATE INDEX ON i (tags)");
    must("CREATE INDEX ON i (KEYS(scores))");
    must("CREATE INDEX ON i (s)");
}

static void stop(void)
{
    base_arena_fini(&prepare_arena);
    teardown();
}

struct refusal {
    const char *text, *why; /* NULL: fine */
};

static void check_all(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = prepare(cases[i].text);
        if (!cases[i].why)
            ck_assert_msg(rc == BASE_OK, "%s\n%s", cases[i].text, err.text);
        else
            ck_assert_msg(rc == BASE_E_INVALID && strcmp(err.text, cases[i].why) == 0,
                          "%s\ngave %d: %s\nexpected: %s", cases[i].text, rc, err.text,
                          cases[i].why);
    }
}

START_TEST(test_columns)
{
    static const struct refusal cases[] = {
        {"SELECT * FROM t WHERE nix = 1", "Undefined column name nix in table lab.t"},
        {"SELECT nix FROM t", "Undefined column name nix in table lab.t"},
        {"SELECT * FROM t WHERE k CONTAINS 1", "Cannot use CONTAINS on non-collection column k"},
        {"SELECT * FROM t WHERE tags CONTAINS KEY 'a'",
         "Cannot use CONTAINS KEY on non-map column tags"},
        {"SELECT * FROM t WHERE tags = {'a'} ALLOW FILTERING",
         "Collection column 'tags' (set<text>) cannot be restricted by a '=' relation"},
        {"SELECT * FROM t WHERE items IN ([1]) ALLOW FILTERING",
         "Collection column 'items' (list<int>) cannot be restricted by a 'IN' relation"},
        {"SELECT * FROM t WHERE items[0] = 1 ALLOW FILTERING",
         "Indexes on list entries (items[index] = value) are not currently supported."},
        {"SELECT * FROM t WHERE tags['a'] = 1 ALLOW FILTERING",
         "Column tags cannot be used as a map"},
        {"SELECT * FROM t WHERE scores['a'] > 1 ALLOW FILTERING",
         "Only EQ relations are supported on map entries"},
        {"SELECT * FROM t WHERE fm['a'] = 1 ALLOW FILTERING",
         "Map-entry equality predicates on frozen map column fm are not supported"},
        {"SELECT * FROM t WHERE ut = {f: 1} ALLOW FILTERING",
         "Non-frozen UDT column 'ut' (u) cannot be restricted by any relation"},
        {"SELECT * FROM t WHERE du > 1h ALLOW FILTERING",
         "Slice restrictions are not supported on duration columns"},
        {"SELECT * FROM t WHERE v != 1 ALLOW FILTERING", "Unsupported \"!=\" relation: v != 1"},
        {"SELECT * FROM t WHERE v IS NOT NULL", "Unsupported restriction: v IS NOT NULL"},
        {"SELECT * FROM t WHERE s LIKE 'a%'", "LIKE restriction is only supported on properly "
                                              "indexed columns. s LIKE 'a%' is not valid."},
        {"SELECT * FROM t WHERE fl = [1, 2] ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE fl CONTAINS 1 ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE fm CONTAINS KEY 'a' AND fm CONTAINS 1 ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE scores['a'] = 1 AND scores CONTAINS KEY 'b' ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE fm = {} AND fm CONTAINS 1 ALLOW FILTERING",
         "fm cannot be restricted by more than one relation if it includes an Equal"},
        {"SELECT * FROM t WHERE fm CONTAINS 1 AND fm = {} ALLOW FILTERING",
         "Collection column fm can only be restricted by CONTAINS, CONTAINS KEY, or map-entry "
         "equality"},
    };
    check_all(cases, BASE_COUNT(cases));
}
END_TEST

START_TEST(test_merging)
{
    static const struct refusal cases[] = {
        {"SELECT * FROM t WHERE k = 1 AND k = 2",
         "k cannot be restricted by more than one relation if it includes an Equal"},
        {"SELECT * FROM t WHERE k IN (1, 2) AND k = 2",
         "k cannot be restricted by more than one relation if it includes a IN"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1 AND c = 2",
         "Column \"c\" cannot be restricted by both an equality and an inequality relation"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1 AND c > 2",
         "More than one restriction was found for the start bound on c"},
        {"SELECT * FROM t WHERE k = 1 AND c < 1 AND c <= 2",
         "More than one restriction was found for the end bound on c"},
        {"SELECT * FROM t WHERE k = 1 AND (c, d) > (1, 'a') AND (d) < ('b')",
         "Column \"d\" cannot be restricted by two inequalities not starting with the same column"},
        {"SELECT * FROM t WHERE k = 1 AND (c, d) = (1, 'a') AND d = 'b'",
         "d cannot be restricted by more than one relation if it includes an Equal"},
        {"SELECT * FROM t WHERE k = 1 AND (c, d) > (1, 'a') AND c < 5", NULL},
        {"SELECT * FROM t WHERE k = 1 AND c > 0 AND (c, d) < (1, 'a')", NULL},
        {"SELECT * FROM t WHERE k = 1 AND c > 0 AND (c, d) > (1, 'a')",
         "More than one restriction was found for the start bound on c"},
        {"SELECT * FROM t WHERE k = 1 AND (c, e) = (1, 2)",
         "Clustering columns must appear in the PRIMARY KEY order in multi-column relations: (c, "
         "e) = (1, 2)"},
        {"SELECT * FROM t WHERE k = 1 AND (c, c) = (1, 2)",
         "Column \"c\" appeared twice in a relation: (c, c) = (1, 2)"},
        {"SELECT * FROM t WHERE k = 1 AND (k, c) = (1, 2)",
         "Multi-column relations can only be applied to clustering columns but was applied to: k"},
        {"SELECT * FROM t WHERE k = 1 AND (c, d) = (1, 'a', 2)",
         "Expected 2 elements in value tuple, but got 3: (1, 'a', 2)"},
        {"SELECT * FROM t WHERE k = 1 AND c = 0 AND d = 'b' AND (c, d) <= (0, 'a') ALLOW FILTERING",
         "d cannot be restricted by more than one relation if it includes an Equal"},
        {"SELECT * FROM p WHERE token(a) > 1",
         "The token() function must be applied to all partition key components or none of them"},
        {"SELECT * FROM p WHERE token(b, a) > 1",
         "The token function arguments must be in the partition key order: a, b"},
        {"SELECT * FROM p WHERE token(a, b) > 1 AND token(a, b) > 2",
         "More than one restriction was found for the start bound on a, b"},
        {"SELECT * FROM p WHERE token(a, b) > 1 AND token(a, b) = 2",
         "Columns \"a, b\" cannot be restricted by both an equality and an inequality relation"},
        {"SELECT * FROM p WHERE token(a, b) > 1 AND token(a, b) < token(3, 4)", NULL},
    };
    check_all(cases, BASE_COUNT(cases));
}
END_TEST

START_TEST(test_filtering)
{
    static const struct refusal cases[] = {
        {"SELECT * FROM t WHERE c = 1", FILTERING},
        {"SELECT * FROM t WHERE v = 1", FILTERING},
        {"SELECT * FROM t WHERE k = 1 AND v = 1", FILTERING},
        {"SELECT * FROM t WHERE k > 1", FILTERING},
        {"SELECT * FROM p WHERE a = 1", FILTERING},
        {"SELECT * FROM t WHERE k = 1 AND tags CONTAINS 'a'", FILTERING},
        {"SELECT * FROM t WHERE token(k) > 1 AND c = 1", FILTERING},
        {"SELECT * FROM t WHERE k = 1 AND d = 'a'", "PRIMARY KEY column \"d\" cannot be restricted "
                                                    "as preceding column \"c\" is not restricted"},
        {"SELECT * FROM t WHERE k = 1 AND c = 1 AND e = 2",
         "PRIMARY KEY column \"e\" cannot be restricted as preceding column \"d\" is not "
         "restricted"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1 AND d = 'a'",
         "Clustering column \"d\" cannot be restricted (preceding column \"c\" is restricted by a "
         "non-EQ relation)"},
        {"SELECT * FROM t WHERE k = 1 AND d = 'a' AND c > 1",
         "PRIMARY KEY column \"d\" cannot be restricted (preceding column \"c\" is restricted by a "
         "non-EQ relation)"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1 AND d = 'a' ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE k = 1 AND (d, e) > ('a', 1) ALLOW FILTERING",
         "Multi-column slice restrictions cannot be used for filtering."},
        {"SELECT * FROM t WHERE k = 1 AND (d, e) = ('a', 1) ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE k = 1 AND (d, e) IN (('a', 1), ('b', 2)) ALLOW FILTERING",
         "Multicolumn IN filters are not supported"},
        {"SELECT * FROM t WHERE k = 1 AND c IN (1, 2) AND d > 'a'", NULL},
        {"SELECT * FROM t WHERE k IN (1, 2) AND v = 1 ALLOW FILTERING", NULL},
        {"SELECT * FROM t WHERE v IN (1, 2)", FILTERING},
        {"SELECT * FROM t WHERE token(k) > 1", NULL},
        {"SELECT * FROM t", NULL},
    };
    check_all(cases, BASE_COUNT(cases));
}
END_TEST

START_TEST(test_indexes)
{
    static const struct refusal cases[] = {
        {"SELECT * FROM i WHERE v = 1", NULL},
        {"SELECT * FROM i WHERE v > 1", FILTERING},
        {"SELECT * FROM i WHERE v IN (1)", NULL},
        {"SELECT * FROM i WHERE v IN (1, 2)", FILTERING},
        {"SELECT * FROM i WHERE v = 1 AND w = 2", FILTERING},
        {"SELECT * FROM i WHERE v = 1 AND w = 2 ALLOW FILTERING", NULL},
        {"SELECT * FROM i WHERE k = 1 AND v = 1", NULL},
        {"SELECT * FROM i WHERE k = 1 AND c = 2 AND v = 1", NULL},
        {"SELECT * FROM i WHERE c = 2 AND v = 1", FILTERING},
        {"SELECT * FROM i WHERE k IN (1, 2) AND v = 1",
         "Select on indexed columns and with IN clause for the PRIMARY KEY are not supported"},
        {"SELECT * FROM i WHERE d = 1", NULL},
        {"SELECT * FROM i WHERE k = 1 AND d = 1", NULL},
        {"SELECT * FROM i WHERE tags CONTAINS 'a'", NULL},
        {"SELECT * FROM i WHERE tags CONTAINS 'a' AND tags CONTAINS 'b'", FILTERING},
        {"SELECT * FROM i WHERE scores CONTAINS KEY 'a'", NULL},
        {"SELECT * FROM i WHERE scores CONTAINS 1", FILTERING},
        {"SELECT * FROM i WHERE scores['a'] = 1", FILTERING},
        {"SELECT * FROM i WHERE s = 1", NULL},
        {"SELECT * FROM i WHERE token(k) > 1 AND v = 1", NULL},
        {"SELECT * FROM i WHERE v = 1 AND d = 1", FILTERING},
        {"SELECT * FROM i WHERE (d) = (1)", NULL},
        {"SELECT * FROM i WHERE (c, d) = (1, 1)", FILTERING},
        {"SELECT * FROM i WHERE token(k) > 1 AND (d) = (1)", NULL},
        {"SELECT * FROM i WHERE k = 1 AND c = 2 AND d = 1 AND w = 2", FILTERING},
        {"SELECT * FROM i WHERE v = 1 ORDER BY c",
         "ORDER BY with 2ndary indexes is not supported, except for ANN queries."},
    };
    check_all(cases, BASE_COUNT(cases));
}
END_TEST

/* Tables that the node makes up are filtered without being told to; real system tables are not. */
START_TEST(test_virtual_tables)
{
    static const char *const keyspaces[] = {"system_views", "system_virtual_schema",
                                            "system_schema"};
    for (size_t i = 0; i < BASE_COUNT(keyspaces); i++) {
        const struct base_table *t =
            make_table(&arena, keyspaces[i], "x", "p name text; r value text");
        struct base_schema *system = make_schema_of(&arena, t);
        struct cql_context at = context();
        struct cql_statement *statement;
        char text[100];
        at.system = system;
        base_err_clear(&err);
        snprintf(text, sizeof text, "SELECT * FROM %s.x WHERE value = 'a' AND name > 'b'",
                 keyspaces[i]);
        ck_assert_int_eq(cql_parse(&prepare_arena, S(text), &statement, &err), BASE_OK);
        int rc = cql_prepare(&prepare_arena, statement, &at, &prepared, &err);
        ck_assert_msg(rc == (i == 2 ? BASE_E_INVALID : BASE_OK), "%s: %d %s", text, rc, err.text);
        ck_assert_str_eq(err.text, i == 2 ? FILTERING : "");
        base_schema_release(system);
    }
}
END_TEST

START_TEST(test_order_distinct_group)
{
    static const struct refusal cases[] = {
        {"SELECT * FROM t ORDER BY c",
         "ORDER BY is only supported when the partition key is restricted by an EQ or an IN."},
        {"SELECT * FROM t WHERE k = 1 ORDER BY v",
         "Order by is currently only supported on the clustered columns of the PRIMARY KEY, got v"},
        {"SELECT * FROM t WHERE k = 1 ORDER BY d",
         "Order by currently only supports the ordering of columns following their declared order "
         "in the PRIMARY KEY"},
        {"SELECT * FROM t WHERE k = 1 AND c = 2 ORDER BY d DESC", NULL},
        {"SELECT * FROM t WHERE k = 1 ORDER BY c DESC, d ASC", "Unsupported order by relation"},
        {"SELECT * FROM t WHERE k = 1 ORDER BY c DESC, d DESC", NULL},
        {"SELECT * FROM t WHERE k = 1 ORDER BY nix", "Undefined column name nix in table lab.t"},
        {"SELECT DISTINCT c FROM t", "SELECT DISTINCT queries must only request partition key "
                                     "columns and/or static columns (not c)"},
        {"SELECT DISTINCT a FROM p",
         "SELECT DISTINCT queries must request all the partition key columns (missing b)"},
        {"SELECT DISTINCT k, s FROM t", NULL},
        {"SELECT DISTINCT s FROM t WHERE k = 1", NULL},
        {"SELECT DISTINCT k FROM t WHERE k = 1 AND c = 1",
         "SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or "
         "static columns."},
        {"SELECT DISTINCT k FROM t WHERE k IN (1, 2) ORDER BY c",
         "SELECT DISTINCT queries must only request partition key columns and/or static columns "
         "(not c)"},
        {"SELECT s FROM t WHERE (d, e) < ('a', 1) ALLOW FILTERING",
         "Cannot restrict clustering columns when selecting only static columns"},
        {"SELECT * FROM t WHERE c = 1 ORDER BY c",
         "ORDER BY is only supported when the partition key is restricted by an EQ or an IN."},
        {"SELECT k FROM t WHERE c > 1 GROUP BY c",
         "Group by currently only support groups of columns following their declared order in the "
         "PRIMARY KEY"},
        {"SELECT DISTINCT k FROM t PER PARTITION LIMIT 1",
         "PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries"},
        {"SELECT s FROM t WHERE k = 1 AND c = 1",
         "Cannot restrict clustering columns when selecting only static columns"},
        {"SELECT k FROM t GROUP BY v",
         "Group by is currently only supported on the columns of the PRIMARY KEY, got v"},
        {"SELECT k FROM t GROUP BY c", "Group by currently only support groups of columns "
                                       "following their declared order in the PRIMARY KEY"},
        {"SELECT k FROM t WHERE k = 1 GROUP BY c", NULL},
        {"SELECT k FROM t GROUP BY k, d", "Group by currently only support groups of columns "
                                          "following their declared order in the PRIMARY KEY"},
        {"SELECT k FROM t GROUP BY k, k", "Group by currently only support groups of columns "
                                          "following their declared order in the PRIMARY KEY"},
        {"SELECT a FROM p GROUP BY a",
         "Group by is not supported on only a part of the partition key"},
        {"SELECT k FROM t GROUP BY k, c, d", NULL},
        {"SELECT DISTINCT k FROM t GROUP BY k, c",
         "Grouping on clustering columns is not allowed for SELECT DISTINCT queries"},
    };
    check_all(cases, BASE_COUNT(cases));
}
END_TEST

/* UPDATE and DELETE: places. */

/* The WHERE of a SELECT's text, judged for a write; "refused: …", or its places: "2 partitions, 1
 * rows" … */
static const char *places_of(const char *text, enum cqli_restrict_for use)
{
    static char out[512];
    struct cql_statement *statement;
    struct cql_context at = context();
    const struct cqli_restrictions *r;
    struct cqli_places places;
    struct cqli_prepare p = {.arena = &prepare_arena, .context = &at, .err = &err};
    base_err_clear(&err);
    ck_assert_int_eq(cql_parse(&prepare_arena, S(text), &statement, &err), BASE_OK);
    p.statement = statement;
    ck_assert_int_eq(cqli_prepare_table(&p, &statement->target, &p.table), BASE_OK);
    if (cqli_restrictions_prepare(&p, statement->where, use, false, &r) != BASE_OK)
        return err.text;
    struct cqli_eval eval = {.arena = &prepare_arena, .ports = &world.ports, .err = &err};
    ck_assert_int_eq(cqli_restrictions_eval(r, p.table, &eval, &places), BASE_OK);
    int n = snprintf(out, sizeof out, "%zu partitions%s%s:", places.pkey_count,
                     places.static_only ? ", static" : "", places.nothing ? ", nothing" : "");
    for (size_t i = 0; i < places.slices.count; i++) {
        struct base_range range = places.slices.ranges[i];
        bool row = base_slice_equal(range.lo, range.hi) && range.lo.len &&
                   range.lo.data[range.lo.len - 1] == BASE_KEY_AT;
        n += snprintf(out + n, sizeof out - (size_t)n, " %s",
                      row                            ? "row"
                      : range.lo.len || range.hi.len ? "range"
                                                     : "all");
    }
    return out;
}

START_TEST(test_places_of_writes)
{
    static const struct {
        const char *text;
        enum cqli_restrict_for use;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM t WHERE k = 1 AND c = 1 AND d = 'a' AND e = 1", CQLI_FOR_UPDATE,
         "1 partitions: row"},
        {"SELECT * FROM t WHERE k IN (1, 2, 2) AND c = 1 AND d IN ('a', 'b') AND e = 1",
         CQLI_FOR_UPDATE, "2 partitions: row row"},
        {"UPDATE t SET s = 'x' WHERE k = 1", CQLI_FOR_UPDATE, "1 partitions, static: all"},
        {"UPDATE t SET s = 'x', v = 1 WHERE k = 1", CQLI_FOR_UPDATE,
         "Some clustering keys are missing: c, d, e"},
        {"UPDATE t SET s = 'x' WHERE k = 1 AND c > 1", CQLI_FOR_UPDATE,
         "Invalid restrictions on clustering columns since the UPDATE statement modifies only "
         "static columns"},
        {"DELETE s FROM t WHERE k = 1 AND d = 'a'", CQLI_FOR_DELETE,
         "Invalid restrictions on clustering columns since the DELETE statement modifies only "
         "static columns"},
        {"SELECT * FROM o WHERE k = 1", CQLI_FOR_UPDATE, "1 partitions: row"},
        {"SELECT * FROM o WHERE k = 1", CQLI_FOR_DELETE, "1 partitions: row"},
        {"SELECT * FROM t WHERE k = 1 AND c = 1", CQLI_FOR_UPDATE,
         "Some clustering keys are missing: d, e"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1", CQLI_FOR_UPDATE,
         "Slice restrictions are not supported on the clustering columns in UPDATE statements"},
        {"SELECT * FROM t WHERE c = 1", CQLI_FOR_UPDATE, "Some partition key parts are missing: k"},
        {"SELECT * FROM p WHERE c = 1", CQLI_FOR_DELETE,
         "Some partition key parts are missing: a, b"},
        {"SELECT * FROM t WHERE token(k) = 1", CQLI_FOR_DELETE,
         "The token function cannot be used in WHERE clauses for DELETE statements"},
        {"SELECT * FROM t WHERE token(k) = token(1) AND k IN (1, 2)", CQLI_FOR_DELETE,
         "1 partitions, static: all"},
        {"SELECT * FROM t WHERE k > 1", CQLI_FOR_DELETE,
         "Only EQ and IN relation are supported on the partition key (unless you use the token() "
         "function) for DELETE statements"},
        {"SELECT * FROM t WHERE k = 1 AND tags CONTAINS 'a'", CQLI_FOR_DELETE,
         "Cannot use DELETE with CONTAINS"},
        {"SELECT * FROM t WHERE k = 1 AND v = 1", CQLI_FOR_DELETE,
         "Non PRIMARY KEY columns found in where clause: v "},
        {"SELECT * FROM i WHERE k = 1 AND c = 1 AND d = 1 AND v = 1", CQLI_FOR_UPDATE,
         "Non PRIMARY KEY columns found in where clause: v "},
        {"SELECT * FROM t WHERE k = 1 AND c = 1", CQLI_FOR_DELETE, "1 partitions: range"},
        {"SELECT * FROM t WHERE k = 1 AND c > 1 AND c <= 5", CQLI_FOR_DELETE,
         "1 partitions: range"},
        {"SELECT * FROM t WHERE k = 1 AND c IN (1, 2, 3)", CQLI_FOR_DELETE,
         "1 partitions: range range range"},
        {"SELECT * FROM t WHERE k = 1 AND c IN ()", CQLI_FOR_DELETE, "1 partitions, nothing:"},
        {"SELECT * FROM t WHERE k = 1 AND d = 'a'", CQLI_FOR_DELETE,
         "PRIMARY KEY column \"d\" cannot be restricted as preceding column \"c\" is not "
         "restricted"},
        {"SELECT * FROM t WHERE k = 1", CQLI_FOR_DELETE, "1 partitions, static: all"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        const char *got = places_of(cases[i].text, cases[i].use);
        ck_assert_msg(strcmp(got, cases[i].expected) == 0, "%s\ngave: %s\nexpected: %s",
                      cases[i].text, got, cases[i].expected);
    }
}
END_TEST

/* Markers have the types and names that drivers show. */
START_TEST(test_markers)
{
    const struct cql_column_spec *specs;
    static const char *const names[] = {"in(k)",       "(c,d)",         "value(tags)",
                                        "key(scores)", "value(scores)", "[per_partition_limit]",
                                        "[limit]"};
    ck_assert_int_eq(prepare("SELECT v FROM t WHERE k IN ? AND (c, d) > ? AND tags CONTAINS ? AND "
                             "scores[?] = ? PER PARTITION LIMIT ? LIMIT ? "
                             "ALLOW FILTERING"),
                     BASE_OK);
    ck_assert_uint_eq(cql_prepared_binds(prepared, &specs), BASE_COUNT(names));
    for (size_t i = 0; i < BASE_COUNT(names); i++)
        ck_assert_msg(base_slice_equal(specs[i].name, S(names[i])), "marker %zu is %.*s", i,
                      BASE_SLICE_ARG(specs[i].name));
    ck_assert_int_eq(prepare("SELECT v FROM t WHERE token(k) > ?"), BASE_OK);
    (void)cql_prepared_binds(prepared, &specs);
    ck_assert(base_slice_equal(specs[0].name, S("partition key token")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("restrictions");
    TCase *tc = tcase_create("restrictions");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, test_columns);
    tcase_add_test(tc, test_merging);
    tcase_add_test(tc, test_filtering);
    tcase_add_test(tc, test_indexes);
    tcase_add_test(tc, test_virtual_tables);
    tcase_add_test(tc, test_order_distinct_group);
    tcase_add_test(tc, test_places_of_writes);
    tcase_add_test(tc, test_markers);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
