/* SELECT over a table in memory, with ports that answer at once or later: rows, order, limits,
 * groups, pages.
 *
 * Breaks without it: rows lost or given twice between pages, a page that says there is more when
 * there is not, results that depend on how ports answer. */
#include "tests/unit/cql/data_lib.h"

static void start(void)
{
    setup();
    base_arena_init(&prepare_arena);
    data_reset();
    lab();
    world_reset(1, 0);
}

static void stop(void)
{
    base_arena_fini(&prepare_arena);
    teardown();
}

/* The rows, whatever the page size and however the ports answer. */
static void gives_bound(const char *text, const char *values, const char *expected)
{
    int rc = prepare(text);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
    const int32_t sizes[] = {0, 1, 2, 3, 100};
    bool sorted = strstr(text, " IN ") && strstr(text, "ORDER BY");
    for (size_t i = 0; i < BASE_COUNT(sizes) && (i == 0 || !sorted); i++) {
        for (unsigned pending = 0; pending <= 100; pending += 50) {
            world_reset(i * 3 + pending, pending);
            const char *got = all_rows(values, sizes[i], 1 << 24);
            ck_assert_msg(strcmp(got, expected) == 0,
                          "%s\nin pages of %d, pending %u:\n%s\nexpected:\n%s", text, (int)sizes[i],
                          pending, got, expected);
        }
    }
}
static void gives(const char *text, const char *expected)
{
    gives_bound(text, NULL, expected);
}

static void make_events(void)
{
    must("CREATE TABLE t (k int, c int, d text, v int, s text static, tags set<text>, scores "
         "map<text, int>, items list<int>, "
         "PRIMARY KEY (k, c, d))");
    insert("t", "k=1;c=1;d=a;v=10;tags=[\"x\",\"y\"];s=one");
    insert("t", "k=1;c=1;d=b;v=20;scores={\"p\":1,\"q\":2}");
    insert("t", "k=1;c=2;d=a;items=[3,1,2]");
    insert("t", "k=2;c=1;d=a;v=30");
    insert("t", "k=2;c=3;d=z;v=40");
    insert("t", "k=3;s=three");
    insert("t", "k=4;c=5;d=q;v=50;s=four");
}

START_TEST(test_rows)
{
    make_events();
    gives("SELECT k, c, d, v, s FROM t WHERE k = 1 AND c = 1 AND d = 'b'", "1,1,b,20,one");
    gives("SELECT * FROM t WHERE k = 1 AND c = 1 AND d = 'a'", "1,1,a,one,null,null,{'x', 'y'},10");
    gives("SELECT items, scores FROM t WHERE k = 1",
          "null,null / null,{'p': 1, 'q': 2} / [3, 1, 2],null");
    gives("SELECT v FROM t WHERE k = 1 AND c = 9 AND d = 'b'", "");
    gives("SELECT d, v FROM t WHERE k = 1 AND c = 1", "a,10 / b,20");
    gives("SELECT k, c, s FROM t WHERE k = 3", "3,null,three");
    gives("SELECT k, c, s FROM t WHERE k = 3 AND c > 0", "");
    gives("SELECT s FROM t WHERE k = 1", "one / one / one");
    gives("SELECT k, c, d FROM t", "1,1,a / 1,1,b / 1,2,a / 2,1,a / 2,3,z / 4,5,q / 3,null,null");
    gives_bound("SELECT v FROM t WHERE k = ? AND c = ? AND d = ?", "1;1;a", "10");
    gives_bound("SELECT v FROM t WHERE k = ? AND c = ? AND d = ?", "1;1;zzz", "");
}
END_TEST

START_TEST(test_slices)
{
    make_events();
    gives("SELECT c, d FROM t WHERE k = 1 AND c > 1", "2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND c >= 1 AND c < 2", "1,a / 1,b");
    gives("SELECT c, d FROM t WHERE k = 1 AND c = 1 AND d > 'a'", "1,b");
    gives("SELECT c, d FROM t WHERE k = 1 AND (c, d) > (1, 'a')", "1,b / 2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND (c, d) >= (1, 'b') AND (c, d) <= (2, 'a')",
          "1,b / 2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND (c, d) >= (1, 'b') AND (c) < (2)", "1,b");
    gives("SELECT c, d FROM t WHERE k = 1 AND (c, d) IN ((2, 'a'), (1, 'b'), (1, 'b'), (7, 'x'))",
          "1,b / 2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND c IN (2, 1) AND d IN ('b', 'a')", "1,a / 1,b / 2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND c IN (2, 1) AND d >= 'b'", "1,b");
    gives("SELECT c, d FROM t WHERE k = 1 AND c IN ()", "");
    gives("SELECT c, d FROM t WHERE k = 1 ORDER BY c DESC", "2,a / 1,b / 1,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND c = 1 ORDER BY d DESC", "1,b / 1,a");
    gives_bound("SELECT c, d FROM t WHERE k = 1 AND c IN ?", "[2, 9]", "2,a");
    gives("SELECT c, d FROM t WHERE k = 1 AND c > 2 AND c < 1", "");
}
END_TEST

START_TEST(test_mixed_directions)
{
    must("CREATE TABLE m (k int, a int, b int, c int, PRIMARY KEY (k, a, b, c)) WITH CLUSTERING "
         "ORDER BY (a ASC, b DESC, c ASC)");
    for (int i = 0; i < 27; i++) {
        char text[64];
        snprintf(text, sizeof text, "k=0;a=%d;b=%d;c=%d", i / 9, i / 3 % 3, i % 3);
        insert("m", text);
    }
    gives("SELECT a, b, c FROM m WHERE k = 0 AND (a, b, c) > (1, 1, 1)",
          "1,2,0 / 1,2,1 / 1,2,2 / 1,1,2 / 2,2,0 / 2,2,1 / 2,2,2 / 2,1,0 / 2,1,1 / 2,1,2 / 2,0,0 / "
          "2,0,1 / 2,0,2");
    gives("SELECT a, b, c FROM m WHERE k = 0 AND (a, b, c) >= (1, 1, 1) AND (a, b, c) < (1, 2, 1)",
          "1,2,0 / 1,1,1 / 1,1,2");
    gives("SELECT a, b, c FROM m WHERE k = 0 AND a = 1 AND b > 1", "1,2,0 / 1,2,1 / 1,2,2");
    gives("SELECT a, b, c FROM m WHERE k = 0 AND a = 1 AND (b, c) <= (0, 1)", "1,0,0 / 1,0,1");
    gives("SELECT a, b, c FROM m WHERE k = 0 AND a = 2 AND b <= 1 ORDER BY a DESC, b ASC",
          "2,0,2 / 2,0,1 / 2,0,0 / 2,1,2 / 2,1,1 / 2,1,0");
}
END_TEST

START_TEST(test_partitions)
{
    make_events();
    gives("SELECT k, c FROM t WHERE k IN (4, 1, 9, 1)", "1,1 / 1,1 / 1,2 / 4,5");
    gives("SELECT k, c FROM t WHERE k IN ()", "");
    gives("SELECT k, c FROM t WHERE k IN (4, 1) AND c = 1", "1,1 / 1,1");
    gives_bound("SELECT k, c FROM t WHERE k IN ?", "[2, 3]", "2,1 / 2,3 / 3,null");
    gives("SELECT k, c FROM t WHERE token(k) > token(1) AND token(k) <= token(4)",
          "2,1 / 2,3 / 4,5");
    gives("SELECT k, c FROM t WHERE token(k) = token(2)", "2,1 / 2,3");
    gives("SELECT k FROM t WHERE token(k) > 5 AND token(k) < 5", "");
    gives("SELECT k, c FROM t WHERE token(k) > token(1) AND k IN (1, 2)", "2,1 / 2,3");
    /* round */
    gives("SELECT k, c FROM t WHERE token(k) > token(4) AND token(k) <= token(1) AND k IN (1, 2, "
          "3, 4)",
          "1,1 / 1,1 / 1,2 / 3,null");
    gives("SELECT k, c FROM t WHERE token(k) > token(4) AND token(k) <= token(1)", "");
    gives("SELECT k FROM t WHERE token(k) <= -9223372036854775808 AND token(k) >= token(4)",
          "4 / 3");
    gives("SELECT DISTINCT k, s FROM t", "1,one / 2,null / 4,four / 3,three");
    gives("SELECT DISTINCT k FROM t WHERE k IN (1, 3, 7)", "1 / 3");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2, 4) ORDER BY c DESC",
          "4,5,q / 2,3,z / 1,2,a / 1,1,b / 1,1,a / 2,1,a");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2, 4) ORDER BY c ASC, d ASC LIMIT 2",
          "1,1,a / 2,1,a");
    gives("SELECT d FROM t WHERE k IN (1, 2, 4) ORDER BY c DESC LIMIT 2", "q / z");
}
END_TEST

START_TEST(test_limits)
{
    make_events();
    gives("SELECT k, c FROM t LIMIT 3", "1,1 / 1,1 / 1,2");
    gives("SELECT k, c FROM t PER PARTITION LIMIT 1", "1,1 / 2,1 / 4,5 / 3,null");
    gives("SELECT k, c FROM t PER PARTITION LIMIT 2 LIMIT 4", "1,1 / 1,1 / 2,1 / 2,3");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2) PER PARTITION LIMIT 2",
          "1,1,a / 1,1,b / 2,1,a / 2,3,z");
    gives_bound("SELECT k FROM t WHERE k = 1 LIMIT ?", "2", "1 / 1");
    gives_bound("SELECT k FROM t WHERE k = 1 LIMIT ?", "UNSET", "1 / 1 / 1");
    gives_bound("SELECT k FROM t WHERE k = 1 LIMIT ?", "0", "LIMIT must be strictly positive");
    gives_bound("SELECT k FROM t WHERE k = 1 LIMIT ?", "NULL", "Invalid null value of limit");
}
END_TEST

START_TEST(test_filtering)
{
    make_events();
    gives("SELECT k, c FROM t WHERE v = 40 ALLOW FILTERING", "2,3");
    gives("SELECT k, c FROM t WHERE v > 10 AND v <= 40 ALLOW FILTERING", "1,1 / 2,1 / 2,3");
    gives("SELECT k, c, d FROM t WHERE d = 'a' ALLOW FILTERING", "1,1,a / 1,2,a / 2,1,a");
    gives("SELECT k, c, d FROM t WHERE k = 1 AND d = 'a' ALLOW FILTERING", "1,1,a / 1,2,a");
    gives("SELECT k, c, d FROM t WHERE d IN ('z', 'q') ALLOW FILTERING", "2,3,z / 4,5,q");
    gives("SELECT k, c FROM t WHERE v IN (10, 50) ALLOW FILTERING", "1,1 / 4,5");
    gives("SELECT k, d FROM t WHERE (d) IN (('b'), ('q')) ALLOW FILTERING", "1,b / 4,q");
    gives("SELECT k, d FROM t WHERE tags CONTAINS 'y' ALLOW FILTERING", "1,a");
    gives("SELECT k, d FROM t WHERE scores CONTAINS 2 ALLOW FILTERING", "1,b");
    gives("SELECT k, d FROM t WHERE scores CONTAINS KEY 'p' ALLOW FILTERING", "1,b");
    gives("SELECT k, d FROM t WHERE scores['q'] = 2 ALLOW FILTERING", "1,b");
    gives("SELECT k, d FROM t WHERE scores['q'] = 1 ALLOW FILTERING", "");
    gives("SELECT k, d FROM t WHERE items CONTAINS 1 ALLOW FILTERING", "1,a");
    gives("SELECT k, d FROM t WHERE s = 'four' ALLOW FILTERING", "4,q");
    gives("SELECT k, d FROM t WHERE k > 1 AND c > 1 ALLOW FILTERING", "2,z / 4,q");
    gives_bound("SELECT k FROM t WHERE v = ? ALLOW FILTERING", "NULL",
                "Unsupported null value for column v");
    gives_bound("SELECT k FROM t WHERE v = ? ALLOW FILTERING", "UNSET",
                "Unsupported unset value for column v");
}
END_TEST

/* Without aggregates a group is its first row. */
START_TEST(test_groups)
{
    make_events();
    gives("SELECT k, c, d FROM t GROUP BY k", "1,1,a / 2,1,a / 4,5,q / 3,null,null");
    gives("SELECT k, c, d FROM t GROUP BY k, c",
          "1,1,a / 1,2,a / 2,1,a / 2,3,z / 4,5,q / 3,null,null");
    gives("SELECT k, c, d FROM t GROUP BY k, c LIMIT 3", "1,1,a / 1,2,a / 2,1,a");
    gives("SELECT k, c, d FROM t GROUP BY k, c PER PARTITION LIMIT 1",
          "1,1,a / 2,1,a / 4,5,q / 3,null,null");
    gives("SELECT k, c, d FROM t GROUP BY k, c PER PARTITION LIMIT 1 LIMIT 2", "1,1,a / 2,1,a");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2) GROUP BY k, c PER PARTITION LIMIT 1",
          "1,1,a / 2,1,a");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2) GROUP BY k, c", "1,1,a / 1,2,a / 2,1,a / 2,3,z");
    gives("SELECT k, c, d FROM t WHERE k = 1 GROUP BY c ORDER BY c DESC", "1,2,a / 1,1,b");
    gives("SELECT k, c, d FROM t WHERE k IN (1, 2) GROUP BY k, c ORDER BY c DESC",
          "2,3,z / 1,2,a / 1,1,b / 2,1,a");
    gives("SELECT DISTINCT k, s FROM t GROUP BY k", "1,one / 2,null / 4,four / 3,three");
    gives("SELECT k, c FROM t WHERE k = 9 GROUP BY k", "");
}
END_TEST

START_TEST(test_aggregates)
{
    make_events();
    gives("SELECT count(*) FROM t", "7");
    gives("SELECT count(v), max(v), min(v), sum(v) FROM t", "5,50,10,150");
    gives("SELECT count(*) FROM t WHERE k = 99", "0");
    gives("SELECT max(v), k FROM t WHERE k = 99", "null,null");
    gives("SELECT count(*) FROM t LIMIT 1", "7");
    gives("SELECT k, count(*) FROM t GROUP BY k", "1,3 / 2,2 / 4,1 / 3,1");
    gives("SELECT k, c, count(*), sum(v) FROM t GROUP BY k, c LIMIT 3",
          "1,1,2,30 / 1,2,1,0 / 2,1,1,30");
    gives("SELECT k, max(v) FROM t WHERE k IN (2, 1) GROUP BY k", "1,20 / 2,40");
    gives("SELECT k, count(*) FROM t WHERE k = 99 GROUP BY k", "");
    gives("SELECT JSON k, max(v) AS m FROM t WHERE k = 2 GROUP BY k", "{\"k\": 2, \"m\": 40}");
    gives("SELECT k, c, max(v) FROM t WHERE k IN (1, 2) GROUP BY k, c ORDER BY c DESC",
          "2,3,40 / 1,2,null / 1,1,20 / 2,1,30");
    must("CREATE TABLE h (k int, at timestamp, v int, PRIMARY KEY (k, at))");
    for (int i = 0; i < 12; i++) {
        char text[96];
        snprintf(text, sizeof text, "k=1;at=2020-01-01T0%d:%02d:00Z;v=%d", i / 4, i % 4 * 15, i);
        insert("h", text);
    }
    gives("SELECT count(*), min(v) FROM h WHERE k = 1 GROUP BY floor(at, 1h)", "4,0 / 4,4 / 4,8");
    gives("SELECT k, count(*) FROM h GROUP BY k, floor(at, 2h)", "1,8 / 1,4");
    gives("SELECT count(*) FROM h GROUP BY k, floor(at, 30m) PER PARTITION LIMIT 2", "2 / 2");
}
END_TEST

START_TEST(test_aggregates_warn)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"SELECT count(*) FROM t", "Aggregation query used without partition key"},
        {"SELECT count(*) FROM t WHERE k IN (1, 2)",
         "Aggregation query used on multiple partition keys (IN restriction)"},
        {"SELECT count(*) FROM t WHERE k = 1", NULL},
        {"SELECT k FROM t", NULL},
    };
    make_events();
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        struct base_buf state, out;
        base_buf_init(&state, 1 << 20);
        base_buf_init(&out, 1 << 20);
        ck_assert_int_eq(prepare(cases[i].text), BASE_OK);
        ck_assert_int_eq(one_page(0, 0, &state, &out, 1 << 20), BASE_OK);
        ck_assert_uint_eq(exec.warning_count, cases[i].warning ? 1 : 0);
        if (cases[i].warning)
            ck_assert_str_eq(first_warning, cases[i].warning);
        base_buf_fini(&state);
        base_buf_fini(&out);
    }
}
END_TEST

/* The clock says second 1000. */
START_TEST(test_times)
{
    must("CREATE TABLE w (k int PRIMARY KEY, v int, tags set<text>, items list<int>, f "
         "frozen<set<int>>)");
    write_us = 5000;
    insert_ttl("w", "k=1;v=7;tags=[\"a\",\"b\"];f=[1,2]", 250, true);
    write_us = 6000;
    insert("w", "k=2;v=8");
    write_us = 1000000;
    gives("SELECT writetime(v), ttl(v) FROM w WHERE k = 1", "5000,250");
    gives("SELECT writetime(v), ttl(v) FROM w WHERE k = 2", "6000,null");
    gives("SELECT writetime(tags), ttl(tags), maxwritetime(tags) FROM w WHERE k = 1",
          "[5000, 5000],[250, 250],5000");
    gives("SELECT writetime(items), ttl(items), maxwritetime(items) FROM w WHERE k = 1",
          "null,null,null");
    gives("SELECT writetime(f), ttl(f) FROM w WHERE k = 1", "5000,250");
    gives("SELECT max(writetime(v)) FROM w", "6000");
}
END_TEST

START_TEST(test_composite_key)
{
    must("CREATE TABLE p (a int, b text, v int, PRIMARY KEY ((a, b)))");
    insert("p", "a=1;b=x;v=1");
    insert("p", "a=1;b=y;v=2");
    insert("p", "a=2;b=x;v=3");
    gives("SELECT v FROM p WHERE a = 1 AND b = 'y'", "2");
    gives("SELECT a, b FROM p WHERE a IN (2, 1) AND b IN ('y', 'x')", "1,x / 1,y / 2,x");
    gives("SELECT v FROM p WHERE b = 'x' AND a > 1 ALLOW FILTERING", "3");
    gives("SELECT v FROM p WHERE a = 2 ALLOW FILTERING", "3");
    gives_bound("SELECT v FROM p WHERE b = ? AND a = ?", "y;1", "2");
    const uint16_t *binds;
    ck_assert_int_eq(prepare("SELECT v FROM p WHERE b = ? AND v = ? AND a = ? ALLOW FILTERING"),
                     BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(prepared, &binds), 2);
    ck_assert_int_eq(binds[0], 2);
    ck_assert_int_eq(binds[1], 0);
    ck_assert_int_eq(prepare("SELECT v FROM p WHERE b = ? AND a = 1"), BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(prepared, &binds), 0);
}
END_TEST

START_TEST(test_json)
{
    make_events();
    must("CREATE TABLE j (k int PRIMARY KEY, \"Name\" text)");
    insert("j", "k=1;Name=say \"hi\"");
    gives("SELECT JSON k, v, tags AS t FROM t WHERE k = 1 AND c = 1 AND d = 'a'",
          "{\"k\": 1, \"v\": 10, \"t\": [\"x\", \"y\"]}");
    gives("SELECT JSON * FROM j WHERE k = 1", "{\"k\": 1, \"\\\"Name\\\"\": \"say \\\"hi\\\"\"}");
    gives("SELECT JSON v FROM t WHERE k = 1 AND c = 2", "{\"v\": null}");
}
END_TEST

/* One read of one row, and nothing beyond it, for a whole primary key. */
START_TEST(test_point_read_is_lean)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT v FROM t WHERE k = ? AND c = ? AND d = ?"), BASE_OK);
    ck_assert_str_eq(all_rows("1;1;a", 5000, 1 << 20), "10");
    ck_assert_uint_eq(world.opened, 1);
    ck_assert_uint_eq(world.rows_read, 1);
    ck_assert_uint_eq(world.asked, 1);
    ck_assert_uint_eq(pages, 1);
    world_reset(1, 0);
    ck_assert_int_eq(prepare("SELECT d FROM t WHERE k IN (1, 2) AND c = 1 AND d IN ('a', 'b')"),
                     BASE_OK);
    ck_assert_str_eq(all_rows(NULL, 5000, 1 << 20), "a / b / a");
    ck_assert_uint_eq(world.asked, 2 + 2); /* the second partition's end must be asked for */
}
END_TEST

START_TEST(test_more_is_exact)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k = 1"), BASE_OK);
    for (int32_t size = 1; size <= 4; size++) {
        (void)all_rows(NULL, size, 1 << 20);
        ck_assert_uint_eq(pages, (size_t)((3 + size - 1) / size));
    }
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k = 1 LIMIT 2"), BASE_OK);
    (void)all_rows(NULL, 2, 1 << 20);
    ck_assert_uint_eq(pages, 1);
    world_reset(1, 0);
    ck_assert_int_eq(prepare("SELECT k, c FROM t"), BASE_OK);
    (void)all_rows(NULL, 7, 1 << 20);
    ck_assert_uint_eq(pages, 1);
}
END_TEST

/* A result's limit in bytes ends a page early, and fails a result without pages. */
START_TEST(test_limit_in_bytes)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT k, c, d FROM t"), BASE_OK);
    ck_assert_str_eq(all_rows(NULL, 100, 50),
                     "1,1,a / 1,1,b / 1,2,a / 2,1,a / 2,3,z / 4,5,q / 3,null,null");
    ck_assert_uint_gt(pages, 2);
    ck_assert_str_eq(all_rows(NULL, 0, 50), "The result is larger than 50 bytes: use paging");
    ck_assert_str_eq(all_rows(NULL, 10, 5), "The result is larger than 5 bytes");
}
END_TEST

/* What drivers send need not be sorted; keys and conditions are. */
START_TEST(test_bound_sets_are_sorted)
{
    static const uint8_t unsorted[] = {0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0,
                                       0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9};
    must("CREATE TABLE z (k frozen<set<int>>, c frozen<set<int>>, v frozen<set<int>>, PRIMARY KEY "
         "(k, c))");
    insert("z", "k=[1,9];c=[1,9];v=[1,9]");
    ck_assert_int_eq(prepare("SELECT v FROM z WHERE k = ? AND c = ? AND v = ? ALLOW FILTERING"),
                     BASE_OK);
    for (size_t i = 0; i < 3; i++)
        bound[i] = (struct cql_value){CQL_VALUE_SET, base_slice(unsorted, sizeof unsorted)};
    struct base_buf state, out;
    base_buf_init(&state, 1 << 20);
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(one_page(3, 0, &state, &out, 1 << 20), BASE_OK);
    ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
    ck_assert_str_eq((const char *)out.data, "{1, 9}");
    base_buf_fini(&state);
    base_buf_fini(&out);
}
END_TEST

/* Sorting over partitions is for results without pages; the text is Cassandra's. */
START_TEST(test_sorted_is_not_paged)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT k FROM t WHERE k IN (1, 2) ORDER BY c LIMIT 1"), BASE_OK);
    ck_assert_str_eq(all_rows(NULL, 100, 1 << 20), "Cannot page queries with both ORDER BY and a "
                                                   "IN restriction on the partition key; you must "
                                                   "either remove the ORDER BY or the IN and sort "
                                                   "client side, or disable paging for this query");
    ck_assert_int_eq(prepare("SELECT k FROM t WHERE k IN () ORDER BY c"), BASE_OK);
    ck_assert_str_eq(all_rows(NULL, 100, 1 << 20), "");
}
END_TEST

START_TEST(test_failures)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k IN (1, 2, 3, 4)"), BASE_OK);
    for (int after = 0; after < 10; after++) {
        world_reset((uint64_t)after, after % 2 ? 60 : 0);
        world.fail_after = after;
        ck_assert_str_eq(all_rows(NULL, 0, 1 << 20), "Cannot achieve consistency level ONE");
        ck_assert_int_eq(exec.rc, BASE_E_UNAVAILABLE);
        ck_assert_uint_eq(exec.outcome.required, 1);
    }
}
END_TEST

START_TEST(test_cancel)
{
    make_events();
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k IN (1, 2, 3, 4)"), BASE_OK);
    for (int steps = 0; steps < 6; steps++) {
        world_reset((uint64_t)steps, 100);
        base_arena_init(&exec_arena);
        exec = (struct cql_exec){.arena = &exec_arena,
                                 .prepared = prepared,
                                 .ports = &world.ports,
                                 .consistency = 1,
                                 .done = exec_done};
        cql_result_init(&exec.result, 1 << 20);
        exec_ended = false;
        ck_assert_int_eq(cql_exec_start(&exec), CQL_PENDING);
        for (int i = 0; i < steps; i++)
            ck_assert(data_pump());
        ck_assert(!exec_ended);
        ck_assert(cql_exec_cancel(&exec));
        ck_assert_uint_eq(world.open, 0);
        ck_assert(!data_pump());
        ck_assert(!exec_ended);
        cql_result_fini(&exec.result);
        base_arena_fini(&exec_arena);
    }
}
END_TEST

/* What a client makes up is refused, and does nothing else. */
START_TEST(test_state_is_not_trusted)
{
    make_events();
    struct base_buf state, good, out;
    base_buf_init(&state, 1 << 20);
    base_buf_init(&good, 1 << 20);
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k IN (1, 2)"), BASE_OK);
    ck_assert_int_eq(one_page(0, 2, &good, &out, 1 << 20), BASE_OK);
    ck_assert_uint_gt(good.len, 0);
    for (size_t i = 0; i < good.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            base_buf_reset(&state);
            ck_assert_int_eq(base_buf_put_slice(&state, base_buf_view(&good)), BASE_OK);
            state.data[i] ^= (uint8_t)(1 << bit);
            ck_assert_int_eq(one_page(0, 2, &state, &out, 1 << 20), BASE_E_INVALID);
        }
    }
    for (size_t len = 1; len < good.len; len++) {
        base_buf_reset(&state);
        ck_assert_int_eq(base_buf_put(&state, good.data, len), BASE_OK);
        ck_assert_int_eq(one_page(0, 2, &state, &out, 1 << 20), BASE_E_INVALID);
    }
    /* whole, and another statement's */
    ck_assert_int_eq(prepare("SELECT k, c FROM t WHERE k = 2"), BASE_OK);
    ck_assert_int_eq(one_page(0, 2, &good, &out, 1 << 20), BASE_E_INVALID);
    base_buf_fini(&state);
    base_buf_fini(&good);
    base_buf_fini(&out);
}
END_TEST

/* Random data and statements: pages of any size give what one page gives. */
START_TEST(test_pages_agree)
{
    must("CREATE TABLE r (k int, a int, b int, v int, s int static, PRIMARY KEY (k, a, b)) WITH "
         "CLUSTERING ORDER BY (a DESC, b ASC)");
    struct rng rng = rng_seeded(7);
    for (int k = 0; k < 12; k++) {
        char text[64];
        if (rng_u64(&rng) % 3 == 0) {
            snprintf(text, sizeof text, "k=%d;s=%d", k, k * 7);
            insert("r", text);
        }
        for (int i = 0, n = (int)(rng_u64(&rng) % 20); i < n; i++) {
            snprintf(text, sizeof text, "k=%d;a=%d;b=%d;v=%d", k, i / 4, i % 4, i % 3);
            insert("r", text);
        }
    }
    static const char *const texts[] = {
        "SELECT k, a, b, v, s FROM r",
        "SELECT k, a, b FROM r WHERE v = 1 ALLOW FILTERING",
        "SELECT k, a, b FROM r LIMIT 37",
        "SELECT k, a, b FROM r PER PARTITION LIMIT 3",
        "SELECT k, a, b FROM r PER PARTITION LIMIT 2 LIMIT 9",
        "SELECT DISTINCT k, s FROM r",
        "SELECT k, a, b, s FROM r WHERE k IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)",
        "SELECT k, a, b FROM r WHERE k IN (1, 3, 5, 7, 9, 11) AND a IN (0, 2, 3) AND b > 0",
        "SELECT k, a, b FROM r WHERE k = 3 ORDER BY a ASC",
        "SELECT k, a, b FROM r WHERE k = 5 AND (a, b) > (1, 2)",
        "SELECT k, a, b FROM r GROUP BY k, a",
        "SELECT k, a, count(*), max(v), max(s) FROM r GROUP BY k, a",
        "SELECT count(*), sum(v) FROM r",
        "SELECT k, sum(v) FROM r WHERE k IN (1, 2, 3, 4) GROUP BY k, a PER PARTITION LIMIT 2 LIMIT "
        "5",
        "SELECT k, a, b, v FROM r GROUP BY k, a PER PARTITION LIMIT 2 LIMIT 11",
        "SELECT k, a FROM r GROUP BY k",
        "SELECT k, a, b FROM r WHERE k IN (1, 3, 5, 7, 9, 11) GROUP BY k, a PER PARTITION LIMIT 1",
        "SELECT k, a, b FROM r WHERE token(k) > token(3)",
        "SELECT k, a, b FROM r WHERE k IN (2, 4, 6) AND b = 1 PER PARTITION LIMIT 1 ALLOW "
        "FILTERING",
    };
    for (size_t i = 0; i < BASE_COUNT(texts); i++) {
        int rc = prepare(texts[i]);
        ck_assert_msg(rc == BASE_OK, "%s\n%s", texts[i], err.text);
        world_reset(i, 0);
        char *whole = strdup(all_rows(NULL, 0, 1 << 24));
        for (int32_t size = 1; size < 30; size += size < 5 ? 1 : 6) {
            for (unsigned pending = 0; pending <= 90; pending += 30) {
                world_reset(i * 100 + (uint64_t)size + pending, pending);
                const char *got = all_rows(NULL, size, size % 2 ? 1 << 20 : 200);
                ck_assert_msg(strcmp(got, whole) == 0,
                              "%s\nin pages of %d, pending %u:\n%s\nexpected:\n%s", texts[i],
                              (int)size, pending, got, whole);
            }
        }
        free(whole);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select");
    TCase *tc = tcase_create("select");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_slices);
    tcase_add_test(tc, test_mixed_directions);
    tcase_add_test(tc, test_partitions);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_filtering);
    tcase_add_test(tc, test_groups);
    tcase_add_test(tc, test_aggregates);
    tcase_add_test(tc, test_aggregates_warn);
    tcase_add_test(tc, test_times);
    tcase_add_test(tc, test_composite_key);
    tcase_add_test(tc, test_json);
    tcase_add_test(tc, test_point_read_is_lean);
    tcase_add_test(tc, test_more_is_exact);
    tcase_add_test(tc, test_limit_in_bytes);
    tcase_add_test(tc, test_bound_sets_are_sorted);
    tcase_add_test(tc, test_sorted_is_not_paged);
    tcase_add_test(tc, test_failures);
    tcase_add_test(tc, test_cancel);
    tcase_add_test(tc, test_state_is_not_trusted);
    tcase_add_test(tc, test_pages_agree);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
