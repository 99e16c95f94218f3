/* IF: which writes are done, and what is shown of those that are not, as Apache Cassandra 5
 * (tests/drivers/cql/language.expected has its own answers). Without these a condition could hold
 * that does not, or a client could not see why it was refused. */
#include "tests/lib/alloc_fault.h"
#include "tests/unit/cql/modify_run.h"

static struct base_buf shown;

/* "[applied]=False v=3", a row a line. */
static const char *show_result(void)
{
    struct base_reader in = base_reader(base_buf_view(&exec.result.rows));
    base_buf_reset(&shown);
    ck_assert_int_eq(exec.result.kind, CQL_RESULT_ROWS);
    for (uint32_t row = 0; row < exec.result.row_count; row++) {
        for (size_t i = 0; i < exec.result.column_count; i++) {
            const struct cql_column_spec *spec = &exec.result.columns[i];
            struct base_slice len, value;
            ck_assert(base_get_raw(&in, 4, &len));
            int32_t n = (int32_t)base_get_be32(len.data);
            ck_assert_int_eq(base_buf_printf(&shown, "%s%.*s=",
                                             i     ? " "
                                             : row ? "\n"
                                                   : "",
                                             BASE_SLICE_ARG(spec->name)),
                             BASE_OK);
            if (n < 0) {
                ck_assert_int_eq(base_buf_printf(&shown, "null"), BASE_OK);
                continue;
            }
            ck_assert(base_get_raw(&in, (size_t)n, &value));
            ck_ok(base_value_to_text(spec->type, value, &shown, &err), err);
        }
    }
    ck_assert_uint_eq(base_reader_left(&in), 0);
    ck_assert_int_eq(base_buf_put_u8(&shown, 0), BASE_OK);
    return (const char *)shown.data;
}

static void gives_with(const char *text, const struct cql_value *values, size_t count,
                       const char *result)
{
    int rc = execute(text, values, count);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
    const char *got = show_result();
    ck_assert_msg(strcmp(got, result) == 0, "%s\ngave      %s\nexpected  %s", text, got, result);
}

static void gives(const char *text, const char *result)
{
    gives_with(text, NULL, 0, result);
}

static void holds(const char *text)
{
    gives(text, "[applied]=true");
}

#define GIVES(text, result, ...)                                                                   \
    do {                                                                                           \
        const struct cql_value v_[] = {__VA_ARGS__};                                               \
        gives_with(text, v_, BASE_COUNT(v_), result);                                              \
    } while (0)

static void begin_conditions(bool pending)
{
    begin();
    base_buf_init(&shown, 1 << 20);
    world.pending = pending;
}

static void end_conditions(void)
{
    base_buf_fini(&shown);
    end();
}

START_TEST(existence)
{
    begin_conditions(_i != 0);
    holds("INSERT INTO t (k, c, v) VALUES (5, 1, 1) IF NOT EXISTS");
    gives("INSERT INTO t (k, c, v) VALUES (5, 1, 2) IF NOT EXISTS",
          "[applied]=false k=5 c=1 s=null v=1 w=null");
    holds("INSERT INTO t (k, c, v) VALUES (5, 2, 2) IF NOT EXISTS");
    gives("UPDATE t SET v = 5 WHERE k = 5 AND c = 9 IF EXISTS", "[applied]=false");
    holds("UPDATE t SET v = 7 WHERE k = 5 AND c = 1 IF EXISTS");
    holds("DELETE FROM t WHERE k = 5 AND c = 1 IF EXISTS");
    gives("DELETE FROM t WHERE k = 5 AND c = 1 IF EXISTS", "[applied]=false");
    holds("INSERT INTO t (k, c, v) VALUES (5, 1, 3) IF NOT EXISTS");
    /* the static row is a thing of its own */
    holds("INSERT INTO t (k, s) VALUES (5, 'st') IF NOT EXISTS");
    gives("INSERT INTO t (k, s) VALUES (5, 'other') IF NOT EXISTS",
          "[applied]=false k=5 c=null s=st v=null w=null");
    gives("INSERT INTO t (k, c, v) VALUES (5, 1, 2) IF NOT EXISTS",
          "[applied]=false k=5 c=1 s=null v=3 w=null");
    gives("INSERT INTO t (k, c, v, s) VALUES (5, 1, 2, 'x') IF NOT EXISTS",
          "[applied]=false k=5 c=1 s=st v=3 w=null");
    holds("UPDATE t SET s = 'new' WHERE k = 5 IF EXISTS");
    gives("UPDATE t SET s = 'new' WHERE k = 6 IF EXISTS", "[applied]=false");
    /* a table of one row a partition */
    holds("INSERT INTO p (k, v) VALUES ('a', 1) IF NOT EXISTS");
    gives("INSERT INTO p (k, v) VALUES ('a', 1) IF NOT EXISTS", "[applied]=false k=a v=1");
    holds("DELETE FROM p WHERE k = 'a' IF EXISTS");
    gives("DELETE FROM p WHERE k = 'a' IF EXISTS", "[applied]=false");
    GIVES("INSERT INTO p (k, v) VALUES (?, ?) IF NOT EXISTS", "[applied]=true", SET("b"), UNSET);
    /* the bytes of clustering values as they were written */
    holds("INSERT INTO pp (a, b, c, d) VALUES (1, 'x', 1.00, 2) IF NOT EXISTS");
    gives("INSERT INTO pp (a, b, c, d) VALUES (1, 'x', 1.0, 2) IF NOT EXISTS",
          "[applied]=false a=1 b=x c=1.00 d=2 v=null");
    /* the client's timestamp does not count */
    holds("INSERT INTO p (k, v) VALUES ('ts', 1) IF NOT EXISTS");
    ck_assert_ptr_nonnull(strstr((const char *)printed.data, "live@18000000000"));
    end_conditions();
}
END_TEST

START_TEST(columns)
{
    begin_conditions(_i != 0);
    does("INSERT INTO t (k, c, v, w) VALUES (5, 1, 1, 'x')", "t[5] (1){ live v=1 w='x' }");
    holds("UPDATE t SET v = 3 WHERE k = 5 AND c = 1 IF v = 1");
    gives("UPDATE t SET v = 3 WHERE k = 5 AND c = 1 IF v = 1", "[applied]=false v=3");
    holds("UPDATE t SET v = 4 WHERE k = 5 AND c = 1 IF v IN (3, 4)");
    gives("UPDATE t SET v = 5 WHERE k = 5 AND c = 1 IF v > 100", "[applied]=false v=4");
    holds("UPDATE t SET v = 5 WHERE k = 5 AND c = 1 IF v != 5 AND s = null");
    gives("UPDATE t SET v = 6 WHERE k = 5 AND c = 1 IF v = 5 AND w = 'y'",
          "[applied]=false v=5 w=x");
    gives("UPDATE t SET v = 6 WHERE k = 5 AND c = 1 IF w = 'y' AND v = 5",
          "[applied]=false w=x v=5");
    gives("UPDATE t SET v = 6 WHERE k = 5 AND c = 1 IF v > 5 AND v < 9", "[applied]=false v=5");
    gives("UPDATE t SET v = 6 WHERE k = 9 AND c = 1 IF v = 5", "[applied]=false");
    holds("UPDATE t SET v = 6 WHERE k = 9 AND c = 1 IF v = null");
    holds("UPDATE t SET s = 'a' WHERE k = 6 IF s = null");
    gives("UPDATE t SET s = 'b' WHERE k = 6 IF s = 'z'", "[applied]=false s=a");
    gives("UPDATE t SET v = 1 WHERE k = 6 AND c = 1 IF s = 'z'", "[applied]=false s=a");
    gives("UPDATE t SET v = 1 WHERE k = 5 AND c = 1 IF s = 'z' AND v = 1",
          "[applied]=false v=5 s=null");
    gives("DELETE FROM t WHERE k = 5 AND c = 1 IF v = 4", "[applied]=false v=5");
    gives("DELETE w FROM t WHERE k = 5 AND c = 1 IF v = 4", "[applied]=false v=5");
    holds("DELETE FROM t WHERE k = 5 AND c = 1 IF v = 5");
    /* An element that is not there is no error where the condition does not hold. */
    gives("DELETE l[0] FROM l WHERE k = 70 IF EXISTS", "[applied]=false");
    gives("UPDATE l SET l[3] = 1 WHERE k = 70 IF st = {'z'}", "[applied]=false");
    gives("BEGIN BATCH UPDATE t SET v = 1 WHERE k = 70 AND c = 1; UPDATE t SET v = 1 WHERE k = 70 "
          "AND c = 2 IF EXISTS; APPLY BATCH",
          "[applied]=false");
    ck_assert_int_eq(execute("UPDATE l SET l[3] = 1 WHERE k = 70 IF st = null", NULL, 0),
                     BASE_E_INVALID);
    ck_assert_str_eq(err.text, "Attempted to set an element on a list which is null");
    ck_assert_ptr_null(strchr((const char *)printed.data, '{'));           /* no row */
    gives("DELETE l[0] FROM l WHERE k = 70 IF EXISTS", "[applied]=false"); /* nothing was written */
    GIVES("UPDATE t SET v = 1 WHERE k = ? AND c = 1 IF v IN ?", "[applied]=false", INT1,
          SET("\0\0\0\1\0\0\0\4\0\0\0\7"));
    GIVES("UPDATE t SET v = 1 WHERE k = ? AND c = 1 IF v = ?", "[applied]=true", INT1, NIL);
    GIVES("UPDATE t SET v = 1 WHERE k = ? AND c = 1 IF v IN ?", "[applied]=false v=1", INT1,
          SET("\0\0\0\1\0\0\0\4\0\0\0\7"));
    GIVES("UPDATE t SET v = 1 WHERE k = ? AND c = 1 IF v IN ?", "[applied]=true", INT1,
          SET("\0\0\0\2\0\0\0\4\0\0\0\7\0\0\0\4\0\0\0\1"));
    GIVES("UPDATE t SET v = 1 WHERE k = ? AND c = 1 IF v IN (?, ?)", "[applied]=true", INT1, NIL,
          INT1);
    /* nothing to write */
    GIVES("UPDATE t SET v = ? WHERE k = 1 AND c = 1 IF v = ?", "[applied]=true", UNSET, INT1);
    GIVES("UPDATE t SET v = ? WHERE k = 1 AND c = 1 IF v = ?", "[applied]=false v=1", UNSET, INT2);
    end_conditions();
}
END_TEST

/* One row, every comparison that there is; in the form IF …: does it hold? */
START_TEST(comparisons)
{
    begin_conditions(false);
    does("INSERT INTO l (k, l, st, m, u, fl, fu, fm, tu) VALUES (1, [1, 2, 3], {'a', 'b'}, {'x': "
         "1, 'y': 2}, {x: 1}, [4, 5], {y: 2}, {'q': 9}, "
         "(1, 'one')) USING TIMESTAMP 5",
         "l[1] (){ live@5 l=del@4* l[]=1@5 l[]=2@5 l[]=3@5 st=del@4* st['a']@5 st['b']@5 m=del@4* "
         "m['x']=1@5 m['y']=2@5 u=del@4* u.x=1@5 "
         "fl=[4, 5]@5 fu={x: null, y: 2}@5 fm={'q': 9}@5 tu=(1, 'one')@5 }");
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"l = [1, 2, 3]", true},
        {"l = [1, 3, 2]", false},
        {"l != [1, 2]", true},
        {"l > [1, 2]", true},
        {"l < [1, 2]", false},
        {"l >= [1, 2, 3]", true},
        {"l <= [1, 2, 3]", true},
        {"l < [2]", true},
        {"l = null", false},
        {"l != null", true},
        {"l IN ([1], [1, 2, 3])", true},
        {"l IN ([1], null)", false},
        {"l IN ()", false},
        {"l[0] = 1", true},
        {"l[1] = 1", false},
        {"l[2] >= 3", true},
        {"l[3] = null", true},
        {"l[3] = 1", false},
        {"l[1] IN (1, 2)", true},
        {"l CONTAINS 2", true},
        {"l CONTAINS 7", false},
        {"st = {'b', 'a'}", true},
        {"st = {'a'}", false},
        {"st != {'a'}", true},
        {"st > {'a'}", true},
        {"st CONTAINS 'b'", true},
        {"st CONTAINS 'c'", false},
        {"m = {'y': 2, 'x': 1}", true},
        {"m = {'x': 1}", false},
        {"m['x'] = 1", true},
        {"m['x'] > 1", false},
        {"m['z'] = null", true},
        {"m['z'] != 5", true},
        {"m['z'] > 5", false},
        {"m CONTAINS 2", true},
        {"m CONTAINS 3", false},
        {"m CONTAINS KEY 'x'", true},
        {"m CONTAINS KEY 'z'", false},
        {"u = {x: 1}", true},
        {"u = {x: 1, y: 1}", false},
        {"u.x = 1", true},
        {"u.x = 2", false},
        {"u.y = null", true},
        {"u.x IN (0, 1)", true},
        {"fl = [4, 5]", true},
        {"fl[1] = 5", true},
        {"fl[2] = null", true},
        {"fl CONTAINS 4", true},
        {"fl > [4]", true},
        {"fu = {y: 2}", true},
        {"fu.y = 2", true},
        {"fu.x = null", true},
        {"fm['q'] = 9", true},
        {"fm['z'] = null", true},
        {"fm CONTAINS KEY 'q'", true},
        {"tu = (1, 'one')", true},
        {"tu < (1, 'two')", true},
        {"tu = (2, 'one')", false},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        char text[256];
        snprintf(text, sizeof text, "UPDATE l USING TTL 0 SET l = l + [] WHERE k = 1 IF %s",
                 cases[i].condition);
        int rc = execute(text, NULL, 0);
        ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
        ck_assert_msg((strncmp(show_result(), "[applied]=true", 14) == 0) == cases[i].holds, "%s",
                      cases[i].condition);
    }
    gives("UPDATE l SET fl = [] WHERE k = 1 IF m['x'] = 7 AND u.x = 2 AND l[0] = 4 AND m['y'] = 1",
          "[applied]=false m={'x': 1, 'y': 2} u={x: 1, y: null} l=[1, 2, 3]");
    /* a collection without elements is none; a frozen one is something */
    does("INSERT INTO l (k, l, fl) VALUES (2, [], [])", "l[2] (){ live l=del@999* fl=[] }");
    holds("UPDATE l SET l = null WHERE k = 2 IF l = [] AND l = null AND fl = [] AND fl != null AND "
          "st = {} AND fm = null AND u = null");
    gives("UPDATE l SET l = null WHERE k = 2 IF fm = {}", "[applied]=false fm=null");
    gives("UPDATE l SET l = null WHERE k = 2 IF l != []", "[applied]=false l=null");
    gives("UPDATE l SET l = null WHERE k = 2 IF u > {x: 1}", "[applied]=false u=null");
    end_conditions();
}
END_TEST

START_TEST(batches)
{
    begin_conditions(_i != 0);
    holds("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (7, 1, 1) IF NOT EXISTS; INSERT INTO t (k, "
          "c, v) VALUES (7, 2, 2) IF NOT EXISTS; "
          "APPLY BATCH");
    gives("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (7, 1, 1) IF NOT EXISTS; INSERT INTO t (k, "
          "c, v) VALUES (7, 3, 2); APPLY BATCH",
          "[applied]=false k=7 c=1 s=null v=1 w=null");
    gives("BEGIN BATCH UPDATE t SET v = 9 WHERE k = 7 AND c = 2 IF v = 2; UPDATE t SET v = 9 WHERE "
          "k = 7 AND c = 1 IF v = 2; APPLY BATCH",
          "[applied]=false k=7 c=1 v=1\n[applied]=false k=7 c=2 v=2");
    gives("BEGIN BATCH UPDATE t SET v = 9 WHERE k = 7 AND c = 5 IF v = 2; UPDATE t SET v = 9 WHERE "
          "k = 7 AND c = 1 IF w = null; APPLY BATCH",
          "[applied]=false k=7 c=1 v=1 w=null");
    holds("BEGIN BATCH UPDATE t SET v = 3 WHERE k = 7 AND c = 1 IF v = 1; DELETE FROM t WHERE k = "
          "7 AND c > 1; UPDATE t SET s = 'x' WHERE k = 7; "
          "INSERT INTO t (k, c, v) VALUES (7, 1, 4); APPLY BATCH");
    gives("INSERT INTO t (k, c) VALUES (7, 2) IF NOT EXISTS", "[applied]=true");
    gives("INSERT INTO t (k, c, s) VALUES (7, 1, 'y') IF NOT EXISTS",
          "[applied]=false k=7 c=1 s=x v=4 w=null");
    fails("BEGIN BATCH UPDATE t SET v = 1 WHERE k IN (1, 2) AND c = 1; INSERT INTO t (k, c) VALUES "
          "(1, 2) IF NOT EXISTS; APPLY BATCH",
          "Batch with conditions cannot span multiple partitions (you cannot use IN on the "
          "partition key)");
    end_conditions();
}
END_TEST

START_TEST(refused)
{
    begin_conditions(false);
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF zz = 1",
         "Undefined column name zz in table lab.t"},
        {"UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF k = 1",
         "PRIMARY KEY column 'k' cannot have IF conditions"},
        {"UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v > null",
         "Invalid comparison with null for operator \">\""},
        {"UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v[0] = 1",
         "Invalid element access syntax for non-collection column v"},
        {"UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v.x = 1",
         "Invalid field access syntax for non-UDT column v"},
        {"UPDATE l SET l = [] WHERE k = 1 IF u.z = 1", "Unknown field z for column u"},
        {"UPDATE l SET l = [] WHERE k = 1 IF st['a'] = 1",
         "Invalid element access syntax for set column st"},
        {"UPDATE l SET l = [] WHERE k = 1 IF l[-1] = 1", "Invalid negative list index -1"},
        {"UPDATE l SET l = [] WHERE k = 1 IF m[null] = 1",
         "Invalid null value for map element access"},
        {"UPDATE t SET v = 1 WHERE k IN (1, 2) AND c = 1 IF v = 1",
         "IN on the partition key is not supported with conditional updates"},
        {"UPDATE t SET v = 1 WHERE k = 1 AND c IN (1, 2) IF v = 1",
         "IN on the clustering key columns is not supported with conditional updates"},
        {"DELETE FROM t WHERE k IN (1, 2) AND c = 1 IF v = 1",
         "IN on the partition key is not supported with conditional deletions"},
        {"DELETE FROM t WHERE k = 1 IF EXISTS",
         "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order "
         "to delete non static columns"},
        {"DELETE s FROM t WHERE k = 1 IF v = 1",
         "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order "
         "to use IF condition on non static columns"},
        {"DELETE FROM t WHERE k = 1 AND c > 1 IF EXISTS",
         "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order "
         "to delete non static columns"},
        {"UPDATE t SET s = 'x' WHERE k = 1 IF v = 1", "Some clustering keys are missing: c"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        fails(cases[i].text, cases[i].message);
    FAILS("UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v = ?", "Invalid 'unset' value in condition",
          UNSET);
    FAILS("UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v IN ?", "Invalid null list in IN condition",
          NIL);
    /* levels */
    int rc;
    struct cql_prepared *p = prepare("UPDATE t SET v = 1 WHERE k = 1 AND c = 1 IF v = 1", &rc);
    exec_init();
    exec.prepared = p;
    exec.serial_consistency = 1;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_E_INVALID);
    ck_assert_str_eq(
        err.text,
        "Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL");
    world.fail_write = BASE_E_UNKNOWN;
    exec_init();
    exec.prepared = p;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_E_UNKNOWN);
    end_conditions();
}
END_TEST

/* Every allocation of preparing and executing fails once: NOMEM and nothing else; then it works. */
START_TEST(out_of_memory)
{
    begin_conditions(false);
    static const char *const texts[] = {
        "INSERT INTO l (k, l, st, m, u, fl) VALUES (1, [1, 2], {'a'}, {'x': 1}, {x: 1}, [4]) IF "
        "NOT EXISTS",
        "UPDATE l SET l[0] = 5, m['y'] = 2 WHERE k = 1 IF m['x'] = 1 AND l CONTAINS 2",
        "BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 1, 1); UPDATE t SET v = 2 WHERE k = 2 AND "
        "c IN (1, 2); DELETE FROM t WHERE k = 3 AND c > 2; "
        "INSERT INTO t JSON '{\"k\": 1, \"c\": 1}'; APPLY BATCH",
    };
    does("INSERT INTO l (k, l) VALUES (1, [1, 2])", "l[1] (){ live l=del@999* l[]=1 l[]=2 }");
    for (size_t i = 0; i < BASE_COUNT(texts); i++) {
        struct cql_statement *statement;
        struct base_arena work;
        base_arena_init(&work);
        bool hit = true;
        for (uint64_t k = 0; hit; k++) {
            const struct cql_context at = {
                .schema = schema, .keyspace = S(keyspace), .now_us = now_us};
            struct cql_prepared *p;
            base_arena_fini(&work);
            base_arena_fini(&exec_arena); /* so that its chunks are allocated */
            ck_ok(cql_parse(&work, S(texts[i]), &statement, &err), err);
            exec_init();
            world.injecting = true;
            alloc_fault_set(k, 1);
            int rc = cql_prepare(&work, statement, &at, &p, &err);
            if (rc == BASE_OK) {
                exec.prepared = p;
                rc = cql_exec_start(&exec) == CQL_DONE ? exec.rc : BASE_E_INTERNAL;
            }
            hit = alloc_fault_clear();
            world.injecting = false;
            ck_assert_msg(rc == (hit ? BASE_E_NOMEM : BASE_OK) || (hit && rc == BASE_OK),
                          "%s: allocation %u: %d %s", texts[i], (unsigned)k, rc, exec.err.text);
            ck_assert_uint_lt(k, 500);
        }
        base_arena_fini(&work);
    }
    end_conditions();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cql/condition");
    TCase *tc = tcase_create("condition");
    tcase_add_loop_test(tc, existence, 0, 2);
    tcase_add_loop_test(tc, columns, 0, 2);
    tcase_add_test(tc, comparisons);
    tcase_add_loop_test(tc, batches, 0, 2);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, out_of_memory);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
