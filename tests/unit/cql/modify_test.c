/* INSERT, UPDATE, DELETE, BATCH: CQL in, mutations out, as text. Without these a statement could
 * write other cells, other timestamps or other places than Cassandra's, and no reader would
 * know. */
#include "tests/unit/cql/modify_run.h"

/* INSERT. */

START_TEST(insert_rows)
{
    begin();
    static const struct {
        const char *text, *mutations;
    } cases[] = {
        {"INSERT INTO t (k, c, v, w) VALUES (1, 2, 3, 'x')", "t[1] (2){ live v=3 w='x' }"},
        {"INSERT INTO t (w, c, v, k) VALUES ('x', 2, 3, 1)", "t[1] (2){ live v=3 w='x' }"},
        {"INSERT INTO lab.t (k, c) VALUES (-1, 0)", "t[-1] (0){ live }"},
        {"INSERT INTO t (k, c, v, w) VALUES (1, 2, null, '')", "t[1] (2){ live v=del w='' }"},
        {"INSERT INTO t (k, c, s, v) VALUES (1, 2, 'st', 3)",
         "t[1] static{ s='st' } (2){ live v=3 }"},
        {"INSERT INTO t (k, s) VALUES (1, 'st')", "t[1] static{ s='st' }"},
        {"INSERT INTO t (k, c, s) VALUES (1, 2, null)", "t[1] static{ s=del } (2){ live }"},
        {"INSERT INTO t (k, c, v) VALUES (1, 2, 3) USING TIMESTAMP 7", "t[1] (2){ live@7 v=3@7 }"},
        {"INSERT INTO t (k, c, v) VALUES (1, 2, 3) USING TTL 10", "t[1] (2){ livettl10 v=3ttl10 }"},
        {"INSERT INTO t (k, c, v, w) VALUES (1, 2, 3, null) USING TIMESTAMP 7 AND TTL 10",
         "t[1] (2){ live@7ttl10 v=3@7ttl10 w=del@7 }"},
        {"INSERT INTO t (k, c, v) VALUES (1, 2, 3) USING TTL 0", "t[1] (2){ live v=3 }"},
        {"INSERT INTO p (k, v) VALUES ('a', 1)", "p['a'] (){ live v=1 }"},
        {"INSERT INTO pp (a, b, c, d, v) VALUES (1, '', 1.0, 2, 3)",
         "pp[1,''] (1,2){ live originals11 v=3 }"},
        {"INSERT INTO pp (a, b, c, d) VALUES (1, 'b', 1, 2)", "pp[1,'b'] (1,2){ live }"},
        {"INSERT INTO ttl (k, v) VALUES (1, 2)", "ttl[1] (){ livettl60 v=2ttl60 }"},
        {"INSERT INTO ttl (k, v) VALUES (1, 2) USING TTL 0", "ttl[1] (){ live v=2 }"},
        {"INSERT INTO ttl (k, v) VALUES (1, 2) USING TTL 5", "ttl[1] (){ livettl5 v=2ttl5 }"},
        {"INSERT INTO ttl (k, m) VALUES (1, {2: 3})",
         "ttl[1] (){ livettl60 m=del@999* m[2]=3ttl60 }"},
        {"INSERT INTO l (k, l, st, m) VALUES (1, [3, 1, 3], {'b', 'a'}, {'y': 2, 'x': 1})",
         "l[1] (){ live l=del@999* l[]=3 l[]=1 l[]=3 st=del@999* st['a'] st['b'] m=del@999* "
         "m['x']=1 m['y']=2 }"},
        {"INSERT INTO l (k, l, st, m) VALUES (1, [], {}, {})",
         "l[1] (){ live l=del@999* st=del@999* m=del@999* }"},
        {"INSERT INTO l (k, l, m, u) VALUES (1, null, null, null)",
         "l[1] (){ live l=del@999* m=del@999* u=del@999* }"},
        {"INSERT INTO l (k, u) VALUES (1, {x: 1, y: 2})", "l[1] (){ live u=del@999* u.x=1 u.y=2 }"},
        {"INSERT INTO l (k, u) VALUES (1, {y: 2})", "l[1] (){ live u=del@999* u.y=2 }"},
        {"INSERT INTO l (k, fl, fu, fm, tu) VALUES (1, [1], {x: 1}, {'b': 1, 'a': 2}, (1, 'x'))",
         "l[1] (){ live fl=[1] fu={x: 1, y: null} fm={'a': 2, 'b': 1} tu=(1, 'x') }"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        does(cases[i].text, cases[i].mutations);
    ck_assert_uint_eq(world.write_count, BASE_COUNT(cases));
    ck_assert_uint_eq(world.read_count, 0);
    end();
}
END_TEST

START_TEST(insert_values)
{
    begin();
    DOES("INSERT INTO t (k, c, v, w) VALUES (?, ?, ?, ?)", "t[1] (2){ live v=1 w='x' }", INT1, INT2,
         INT1, SET("x"));
    DOES("INSERT INTO t (k, c, v, w) VALUES (?, ?, ?, ?)", "t[1] (2){ live v=del }", INT1, INT2,
         NIL, UNSET);
    DOES("INSERT INTO t (k, c, v, w) VALUES (:a, :b, :a, 'z')", "t[1] (2){ live v=1 w='z' }", INT1,
         INT2, INT1);
    DOES("INSERT INTO t (k, c, v) VALUES (?, ?, ?)", "t[1] (2){ live v=empty }", INT1, INT2,
         SET(""));
    DOES("INSERT INTO t (k, c, s) VALUES (?, ?, ?)", "t[1] (2){ live }", INT1, INT2, UNSET);
    DOES("INSERT INTO t (k, s) VALUES (?, ?)", "", INT1, UNSET);
    DOES("INSERT INTO l (k, st) VALUES (?, ?)", "l[1] (){ live st=del@999* st['a'] st['b'] }", INT1,
         SET("\0\0\0\3\0\0\0\1b\0\0\0\1a\0\0\0\1b"));
    DOES("INSERT INTO l (k, l, m, u) VALUES (?, ?, ?, ?)", "l[1] (){ live }", INT1, UNSET, UNSET,
         UNSET);
    DOES("INSERT INTO p (k, v) VALUES (?, ?) USING TTL ? AND TIMESTAMP ?",
         "p['a'] (){ live@5ttl1 v=2@5ttl1 }", SET("a"), INT2, INT1, SET("\0\0\0\0\0\0\0\5"));
    DOES("INSERT INTO p (k, v) VALUES (?, ?) USING TTL ? AND TIMESTAMP ?", "p['a'] (){ live v=2 }",
         SET("a"), INT2, UNSET, UNSET);
    DOES("INSERT INTO ttl (k, v) VALUES (?, ?) USING TTL ?", "ttl[1] (){ livettl60 v=2ttl60 }",
         INT1, INT2, UNSET);
    DOES("INSERT INTO ttl (k, v) VALUES (?, ?) USING TTL ?", "ttl[1] (){ live v=2 }", INT1, INT2,
         NIL);
    DOES("INSERT INTO pp (a, b, c, d) VALUES (?, ?, ?, ?)", "pp[1,''] (empty,2){ live }", INT1,
         SET(""), SET(""), INT2);
    end();
}
END_TEST

START_TEST(insert_json)
{
    begin();
    does("INSERT INTO t JSON '{\"k\": 1, \"c\": 2, \"v\": 3}'",
         "t[1] static{ s=del } (2){ live v=3 w=del }");
    does("INSERT INTO t JSON '{\"k\": 1, \"C\": 2, \"v\": 3}' DEFAULT NULL",
         "t[1] static{ s=del } (2){ live v=3 w=del }");
    does("INSERT INTO t JSON ' {\"\\\"k\\\"\": 1, \"c\": 2, \"v\": null}' DEFAULT UNSET",
         "t[1] (2){ live v=del }");
    does("INSERT INTO t JSON '{\"k\": 1, \"c\": 2, \"v\": 4, \"v\": 5}' DEFAULT UNSET USING TTL 9",
         "t[1] (2){ livettl9 v=5ttl9 }");
    does("INSERT INTO l JSON '{\"k\": 1, \"st\": [\"b\", \"a\"], \"m\": {\"x\": 1}, \"u\": {\"y\": "
         "1}, \"fm\": {\"a\": 1}}' DEFAULT UNSET",
         "l[1] (){ live st=del@999* st['a'] st['b'] m=del@999* m['x']=1 u=del@999* u.y=1 fm={'a': "
         "1} }");
    DOES("INSERT INTO p JSON ?", "p['x'] (){ live v=del }", SET("{\"k\": \"x\"}"));
    FAILS("INSERT INTO p JSON ?", "Got null for INSERT JSON values", NIL);
    fails("INSERT INTO p JSON '{\"v\": 1}'", "Invalid null value in condition for column k");
    fails("INSERT INTO p JSON '{\"k\": \"a\", \"z\": 1}'",
          "JSON values map contains unrecognized column: z");
    int rc = execute("INSERT INTO p JSON '[1]'", NULL, 0);
    ck_assert_int_eq(rc, BASE_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "Could not decode JSON string as a map: "));
    rc = execute("INSERT INTO p JSON '{\"k\": \"a\", \"v\": \"x\"}'", NULL, 0);
    ck_assert_int_eq(rc, BASE_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "Error decoding JSON value for v: "));
    end();
}
END_TEST

START_TEST(insert_refused)
{
    begin();
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"INSERT INTO t (k, v) VALUES (1, 2)", "Some clustering keys are missing: c"},
        {"INSERT INTO t (k) VALUES (1)", "Some clustering keys are missing: c"},
        {"INSERT INTO t (k, s, v) VALUES (1, 's', 2)", "Some clustering keys are missing: c"},
        {"INSERT INTO pp (a, b, v) VALUES (1, 'b', 2)", "Some clustering keys are missing: c, d"},
        {"INSERT INTO t (c, v) VALUES (1, 2)", "Some partition key parts are missing: k"},
        {"INSERT INTO t (k, c, zz) VALUES (1, 2, 3)", "Undefined column name zz in table lab.t"},
        {"INSERT INTO t (k, c, v) VALUES (1, 2)", "Unmatched column names/values"},
        {"INSERT INTO t (k, c, v, v) VALUES (1, 2, 3, 4)", "The column names contains duplicates"},
        {"INSERT INTO t (k, k, c) VALUES (1, 2, 3)", "The column names contains duplicates"},
        {"INSERT INTO t (k, c, v) VALUES (null, 2, 3)",
         "Invalid null value in condition for column k"},
        {"INSERT INTO t (k, c, v) VALUES (1, null, 3)",
         "Invalid null value in condition for column c"},
        {"INSERT INTO p (k, v) VALUES ('', 3)", "Key may not be empty"},
        {"INSERT INTO t (k, c) VALUES (1, 2) USING TTL -1",
         "A TTL must be greater or equal to 0, but was -1"},
        {"INSERT INTO t (k, c) VALUES (1, 2) USING TTL 630720001",
         "ttl is too large. requested (630720001) maximum (630720000)"},
        {"INSERT INTO t (k, c) VALUES (1, 2) USING TIMESTAMP -9223372036854775808",
         "Out of bound timestamp, must be in [-9223372036854775806, 9223372036854775807]"},
        {"INSERT INTO t (k, c) VALUES (1, 2) USING TIMESTAMP 1800086400000001",
         "The timestamp 1800086400000001 is more than a day ahead of the clock (microseconds since "
         "1970): it would hide all later writes"},
        {"INSERT INTO t (k, c) VALUES (1, 2) IF NOT EXISTS USING TIMESTAMP 5",
         "Cannot provide custom timestamp for conditional updates"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        fails(cases[i].text, cases[i].message);
    FAILS("INSERT INTO t (k, c) VALUES (?, ?)", "Invalid unset value for column k", UNSET, INT1);
    FAILS("INSERT INTO t (k, c) VALUES (?, ?)", "Invalid unset value for column c", INT1, UNSET);
    FAILS("INSERT INTO t (k, c) VALUES (?, 1) USING TIMESTAMP ?", "Invalid null value of timestamp",
          INT1, NIL);
    ck_assert_int_eq(execute("INSERT INTO zz (k) VALUES (1)", NULL, 0), BASE_E_INVALID);
    ck_assert_uint_eq(world.write_count, 0);
    static char big[65537];
    const struct cql_value key = {CQL_VALUE_SET, {(const uint8_t *)big, 65536}};
    fails_with("INSERT INTO p (k) VALUES (?)", &key, 1, BASE_E_INVALID,
               "Key length of 65536 is longer than maximum of 65535");
    end();
}
END_TEST

START_TEST(levels_and_timestamps)
{
    begin();
    struct cql_prepared *p;
    int rc;
    client_ts = 0; /* the node's then */
    does("INSERT INTO p (k) VALUES ('a')", "p['a'] (){ live@1800000000000001 }");
    client_ts = WORLD_TS;
    p = prepare("INSERT INTO p (k) VALUES ('a')", &rc);
    ck_assert_int_eq(rc, BASE_OK);
    exec_init();
    exec.prepared = p;
    exec.consistency = 4;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_OK);
    ck_assert_int_eq(world.consistency, 4);
    ck_assert_int_eq(exec.result.kind, CQL_RESULT_VOID);
    exec_init();
    exec.prepared = p;
    exec.consistency = 8;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_E_INVALID);
    ck_assert_str_eq(err.text, "You must use conditional updates for serializable writes");
    world.fail_write = BASE_E_TIMEOUT;
    exec_init();
    exec.prepared = p;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_E_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(err.text, "asked to fail"));
    end();
}
END_TEST

START_TEST(routing)
{
    begin();
    const uint16_t *binds;
    int rc;
    struct cql_prepared *p = prepare("INSERT INTO pp (v, b, a, c, d) VALUES (?, ?, ?, 1, 2)", &rc);
    ck_assert_int_eq(rc, BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(p, &binds), 2);
    ck_assert_uint_eq(binds[0], 2);
    ck_assert_uint_eq(binds[1], 1);
    p = prepare("INSERT INTO pp (v, b, a, c, d) VALUES (?, 'x', ?, 1, 2)", &rc);
    ck_assert_int_eq(rc, BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(p, &binds), 0);
    p = prepare(
        "BEGIN BATCH INSERT INTO p (v, k) VALUES (?, ?); INSERT INTO p (k) VALUES (?) APPLY BATCH",
        &rc);
    ck_assert_int_eq(rc, BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(p, &binds), 1);
    ck_assert_uint_eq(binds[0], 1);
    p = prepare("BEGIN BATCH INSERT INTO p (v, k) VALUES (?, ?); INSERT INTO ttl (k) VALUES (?) "
                "APPLY BATCH",
                &rc);
    ck_assert_int_eq(rc, BASE_OK);
    ck_assert_uint_eq(cql_prepared_pk_binds(p, &binds), 0);
    end();
}
END_TEST

/* UPDATE. */

START_TEST(updates)
{
    begin();
    static const struct {
        const char *text, *mutations;
    } cases[] = {
        {"UPDATE t SET v = 3, w = 'x' WHERE k = 1 AND c = 2", "t[1] (2){ v=3 w='x' }"},
        {"UPDATE t SET w = 'x', v = null WHERE c = 2 AND k = 1", "t[1] (2){ v=del w='x' }"},
        {"UPDATE t SET s = 'x' WHERE k = 1", "t[1] static{ s='x' }"},
        {"UPDATE t SET s = 'x', v = 1 WHERE k = 1 AND c = 2", "t[1] static{ s='x' } (2){ v=1 }"},
        {"UPDATE t SET v = 1 WHERE k IN (1, 2) AND c IN (3, 4)",
         "t[1] (3){ v=1 } (4){ v=1 }\nt[2] (3){ v=1 } (4){ v=1 }"},
        {"UPDATE t USING TTL 10 AND TIMESTAMP 7 SET v = 1, w = null WHERE k = 1 AND c = 2",
         "t[1] (2){ v=1@7ttl10 w=del@7 }"},
        {"UPDATE p SET v = 1 WHERE k = 'a'", "p['a'] (){ v=1 }"},
        {"UPDATE pp SET v = 1 WHERE a = 1 AND b = 'b' AND c = 2 AND d = 3",
         "pp[1,'b'] (2,3){ v=1 }"},
        {"UPDATE pp SET v = 1 WHERE a = 1 AND b = 'b' AND (c, d) = (2, 3)",
         "pp[1,'b'] (2,3){ v=1 }"},
        {"UPDATE pp SET v = 1 WHERE a = 1 AND b = 'b' AND c = 2.00 AND d = 3",
         "pp[1,'b'] (2,3){ originals12 v=1 }"},
        {"UPDATE pp SET v = 1 WHERE a = 1 AND b = 'b' AND (c, d) IN ((2.0, 3))",
         "pp[1,'b'] (2,3){ originals11 v=1 }"},
        {"UPDATE pp SET v = 1 WHERE a = 1 AND b = 'b' AND c = 2.0 AND d IN (3, 4)",
         "pp[1,'b'] (2,3){ v=1 } (2,4){ v=1 }"},
        {"UPDATE ttl SET v = 1, m = m + {1: 2} WHERE k = 1", "ttl[1] (){ v=1ttl60 m[1]=2ttl60 }"},
        {"UPDATE l SET l = [1, 2] WHERE k = 1", "l[1] (){ l=del@999* l[]=1 l[]=2 }"},
        {"UPDATE l SET l = null, u = null WHERE k = 1", "l[1] (){ l=del@999* u=del@999* }"},
        {"UPDATE l SET l = l + [1, 2] WHERE k = 1", "l[1] (){ l[]=1 l[]=2 }"},
        {"UPDATE l SET l += [1, 2] WHERE k = 1", "l[1] (){ l[]=1 l[]=2 }"},
        {"UPDATE l SET l = [1, 2] + l WHERE k = 1", "l[1] (){ l[]=1 l[]=2 }"},
        {"UPDATE l SET l = l + [1], l = [0] + l, l = l + [2], l = [-1] + l WHERE k = 1",
         "l[1] (){ l[]=-1 l[]=0 l[]=1 l[]=2 }"},
        {"UPDATE l SET st = st + {'b', 'a'} WHERE k = 1", "l[1] (){ st['a'] st['b'] }"},
        {"UPDATE l SET st = st - {'b', 'a'} WHERE k = 1", "l[1] (){ st['a']=del st['b']=del }"},
        {"UPDATE l SET st += {'b'}, st -= {'a'} WHERE k = 1", "l[1] (){ st['a']=del st['b'] }"},
        {"UPDATE l SET st = st - {'b'}, st = st + {'b'} WHERE k = 1", "l[1] (){ st['b']=del }"},
        {"UPDATE l SET m = m + {'b': 1, 'a': 2} WHERE k = 1", "l[1] (){ m['a']=2 m['b']=1 }"},
        {"UPDATE l SET m = m - {'b', 'a'} WHERE k = 1", "l[1] (){ m['a']=del m['b']=del }"},
        {"UPDATE l SET m['x'] = 1, m['a'] = null WHERE k = 1", "l[1] (){ m['a']=del m['x']=1 }"},
        {"UPDATE l SET m['x'] = 1, m['x'] = 2 WHERE k = 1", "l[1] (){ m['x']=2 }"},
        {"UPDATE l SET u.y = 5, u.x = null WHERE k = 1", "l[1] (){ u.x=del u.y=5 }"},
        {"UPDATE l SET u = {x: 1} WHERE k = 1", "l[1] (){ u=del@999* u.x=1 }"},
        {"UPDATE l SET fl = [2, 1], fu = {y: 1} WHERE k = 1",
         "l[1] (){ fl=[2, 1] fu={x: null, y: 1} }"},
        {"UPDATE sl SET sl = sl + [1] WHERE k = 1", "sl[1] static{ sl[]=1 }"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        does(cases[i].text, cases[i].mutations);
    DOES("UPDATE t SET v = ?, w = ? WHERE k = ? AND c = ?", "t[1] (2){ w='y' }", UNSET, SET("y"),
         INT1, INT2);
    DOES("UPDATE t SET v = ? WHERE k = ? AND c = ?", "", UNSET, INT1, INT2);
    DOES("UPDATE l SET m[?] = ?, l = l + ?, st = st - ? WHERE k = 1", "l[1] (){ m['a']=1 }",
         SET("a"), INT1, NIL, UNSET);
    DOES("UPDATE l SET m[?] = ?, u.x = ? WHERE k = 1", "", SET("a"), UNSET, UNSET);
    FAILS("UPDATE l SET m[?] = 1 WHERE k = 1", "Invalid null map key", NIL);
    FAILS("UPDATE l SET m[?] = 1 WHERE k = 1", "Invalid unset map key", UNSET);
    ck_assert_uint_eq(world.read_count, 0);
    end();
}
END_TEST

START_TEST(updates_refused)
{
    begin();
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"UPDATE t SET v = 3 WHERE k = 1", "Some clustering keys are missing: c"},
        {"UPDATE pp SET v = 3 WHERE a = 1 AND b = 'b' AND c = 1",
         "Some clustering keys are missing: d"},
        {"UPDATE t SET v = 3 WHERE c = 1", "Some partition key parts are missing: k"},
        {"UPDATE t SET v = 3 WHERE k = 1 AND c > 1",
         "Slice restrictions are not supported on the clustering columns in UPDATE statements"},
        {"UPDATE t SET s = 'x' WHERE k = 1 AND c = 1",
         "Invalid restrictions on clustering columns since the UPDATE statement modifies only "
         "static columns"},
        {"UPDATE t SET c = 3 WHERE k = 1 AND c = 1", "PRIMARY KEY part c found in SET part"},
        {"UPDATE t SET zz = 3 WHERE k = 1 AND c = 1", "Undefined column name zz in table lab.t"},
        {"UPDATE t SET v = 1, v = 2 WHERE k = 1 AND c = 1",
         "Multiple incompatible setting of column v"},
        {"UPDATE l SET l = [1], l = l + [2] WHERE k = 1",
         "Multiple incompatible setting of column l"},
        {"UPDATE t SET v = v + 1 WHERE k = 1 AND c = 1",
         "Invalid operation (v = v + 1) for non counter column v"},
        {"UPDATE t SET v[1] = 1 WHERE k = 1 AND c = 1",
         "Invalid operation (v[1] = 1) for non collection column v"},
        {"UPDATE t SET v.x = 1 WHERE k = 1 AND c = 1",
         "Invalid operation (v.x = 1) for non-UDT column v"},
        {"UPDATE l SET st['a'] = 1 WHERE k = 1",
         "Invalid operation (st['a'] = 1) for set column st"},
        {"UPDATE l SET fl = fl + [1] WHERE k = 1",
         "Invalid operation (fl = fl + [1]) for frozen collection column fl"},
        {"UPDATE l SET fm['a'] = 1 WHERE k = 1",
         "Invalid operation (fm['a'] = 1) for frozen collection column fm"},
        {"UPDATE l SET fu.x = 1 WHERE k = 1",
         "Invalid operation (fu.x = 1) for frozen UDT column fu"},
        {"UPDATE l SET u.z = 1 WHERE k = 1", "UDT column u does not have a field named z"},
        {"UPDATE l SET st = {'a'} + st WHERE k = 1",
         "Invalid operation (st = {'a'} + st) for non list column st"},
        {"UPDATE l SET tu = tu + (1, 'a') WHERE k = 1",
         "Invalid operation (tu = tu + (1, 'a')) for tuple column tu"},
        {"UPDATE l SET l = l + [null] WHERE k = 1", "null is not supported inside collections"},
        {"UPDATE p SET v = 1 WHERE k = ''", "Key may not be empty"},
        {"UPDATE t SET v = 1 WHERE k = null AND c = 1",
         "Invalid null value in condition for column k"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        fails(cases[i].text, cases[i].message);
    end();
}
END_TEST

/* Lists by index and by value read first; whatever the ports answer. */
static void list_operations(bool pending)
{
    begin();
    world.pending = pending;
    does("INSERT INTO l (k, l) VALUES (1, [10, 20, 30, 20]) USING TIMESTAMP 5",
         "l[1] (){ live@5 l=del@4* l[]=10@5 l[]=20@5 l[]=30@5 l[]=20@5 }");
    does("UPDATE l SET l[1] = 21 WHERE k = 1", "l[1] (){ l[]=21 }");
    ck_assert_uint_eq(world.read_count, 1);
    /* What a statement deletes its next index does not count. */
    does("UPDATE l SET l[0] = null, l[1] = 31 WHERE k = 1", "l[1] (){ l[]=del l[]=31 }");
    does("DELETE l[0] FROM l USING TIMESTAMP 1001 WHERE k = 1", "l[1] (){ l[]=del@1001 }"); /* 21 */
    fails("UPDATE l SET l[2] = 1 WHERE k = 1", "List index 2 out of bound, list has size 2");
    fails("UPDATE l SET l[-1] = 1 WHERE k = 1", "List index -1 out of bound, list has size 2");
    fails("DELETE l[2] FROM l WHERE k = 1", "List index 2 out of bound, list has size 2");
    does("UPDATE l SET l = l - [20, 31] WHERE k = 1", "l[1] (){ l[]=del l[]=del }");
    does("UPDATE l SET l = l - [20] WHERE k = 1", "");
    fails("UPDATE l SET l[0] = 1 WHERE k = 1",
          "Attempted to set an element on a list which is null");
    fails("DELETE l[0] FROM l WHERE k = 2",
          "Attempted to delete an element from a list which is null");
    FAILS("UPDATE l SET l[?] = 1 WHERE k = 1", "Invalid null value for list index", NIL);
    FAILS("UPDATE l SET l[?] = 1 WHERE k = 1", "Invalid unset value for list index", UNSET);
    /* several partitions and rows; static lists */
    does("BEGIN BATCH INSERT INTO sl (k, c, sl, v) VALUES (1, 1, [1, 2], [3]); INSERT INTO sl (k, "
         "c, v) VALUES (1, 2, [4, 5]); "
         "INSERT INTO sl (k, c, v) VALUES (2, 2, [6]); APPLY BATCH",
         "sl[1] static{ sl=del@999* sl[]=1 sl[]=2 } (1){ live v=del@999* v[]=3 } (2){ live "
         "v=del@999* v[]=4 v[]=5 }\n"
         "sl[2] (2){ live v=del@999* v[]=6 }");
    does("UPDATE sl SET v[0] = 9 WHERE k IN (1, 2) AND c = 2",
         "sl[1] (2){ v[]=9 }\nsl[2] (2){ v[]=9 }");
    does("UPDATE sl SET sl[1] = 8 WHERE k = 1", "sl[1] static{ sl[]=8 }");
    does("UPDATE sl SET sl[0] = 7, v[0] = 7 WHERE k = 1 AND c = 1",
         "sl[1] static{ sl[]=7 } (1){ v[]=7 }");
    /* statements of a batch see what was there before it */
    does("INSERT INTO l (k, l) VALUES (3, [1, 2])", "l[3] (){ live l=del@999* l[]=1 l[]=2 }");
    does("BEGIN BATCH UPDATE l USING TIMESTAMP 2000 SET l[0] = 5 WHERE k = 3; DELETE l[1] FROM l "
         "USING TIMESTAMP 2000 WHERE k = 3; APPLY BATCH",
         "l[3] (){ l[]=5@2000 l[]=del@2000 }");
    /* ANY reads nothing */
    int rc;
    struct cql_prepared *p = prepare("UPDATE l SET l[0] = 1 WHERE k = 1", &rc);
    exec_init();
    exec.prepared = p;
    exec.consistency = 0;
    ck_assert_int_eq(finish_exec(cql_exec_start(&exec)), BASE_E_INVALID);
    ck_assert_str_eq(
        err.text, "Write operation require a read but consistency ANY is not supported on reads");
    if (pending) { /* given up while reading, and while writing */
        exec_init();
        exec.prepared = p;
        ck_assert_int_eq(cql_exec_start(&exec), CQL_PENDING);
        ck_assert(cql_exec_cancel(&exec));
        ck_assert(!world_step(&world));
        exec_init();
        exec.prepared = prepare("UPDATE l SET fl = [1] WHERE k = 1", &rc);
        ck_assert_int_eq(cql_exec_start(&exec), CQL_PENDING);
        ck_assert(!cql_exec_cancel(&exec));
        ck_assert(world_step(&world));
        ck_assert(done);
    }
    end();
}

START_TEST(lists)
{
    list_operations(_i != 0);
}
END_TEST

/* DELETE. */

START_TEST(deletes)
{
    begin();
    static const struct {
        const char *text, *mutations;
    } cases[] = {
        {"DELETE FROM t WHERE k = 1", "t[1] del"},
        {"DELETE FROM t USING TIMESTAMP 7 WHERE k = 1", "t[1] del@7"},
        {"DELETE FROM t WHERE k IN (1, 2)", "t[1] del\nt[2] del"},
        {"DELETE FROM t WHERE k = 1 AND c = 2", "t[1] (2){ del }"},
        {"DELETE FROM t WHERE k = 1 AND c IN (3, 2)", "t[1] (2){ del } (3){ del }"},
        {"DELETE v, w FROM t WHERE k = 1 AND c = 2", "t[1] (2){ v=del w=del }"},
        {"DELETE s FROM t WHERE k = 1", "t[1] static{ s=del }"},
        {"DELETE s, v FROM t WHERE k = 1 AND c = 2", "t[1] static{ s=del } (2){ v=del }"},
        {"DELETE v, v FROM t WHERE k = 1 AND c = 2", "t[1] (2){ v=del }"},
        {"DELETE FROM t WHERE k = 1 AND c > 2", "t[1] range(2> .. >) del"},
        {"DELETE FROM t WHERE k = 1 AND c >= 2 AND c < 5", "t[1] range(2< .. 5<) del"},
        {"DELETE FROM t WHERE k = 1 AND c <= 5", "t[1] range(< .. 5>) del"},
        {"DELETE FROM pp WHERE a = 1 AND b = 'b' AND c = 2", "pp[1,'b'] range(2< .. 2>) del"},
        {"DELETE FROM pp WHERE a = 1 AND b = 'b' AND c > 2", "pp[1,'b'] range(< .. 2<) del"},
        {"DELETE FROM pp WHERE a = 1 AND b = 'b' AND c = 2 AND d = 3", "pp[1,'b'] (2,3){ del }"},
        {"DELETE FROM p WHERE k = 'a'", "p['a'] del"},
        {"DELETE v FROM p WHERE k = 'a'", "p['a'] (){ v=del }"},
        {"DELETE l, m, u, fl FROM l WHERE k = 1", "l[1] (){ l=del* m=del* u=del* fl=del }"},
        {"DELETE m['a'], st['b'], u.x FROM l WHERE k = 1",
         "l[1] (){ st['b']=del m['a']=del u.x=del }"},
        {"DELETE m, m['a'] FROM l WHERE k = 1", "l[1] (){ m=del* m['a']=del }"},
        {"BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 2, 3); DELETE FROM t WHERE k = 1 AND c = "
         "2; APPLY BATCH",
         "t[1] (2){ del }"},
        {"BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 2, 3); DELETE FROM t WHERE k = 1 AND c > "
         "2; UPDATE t SET s = 'a' WHERE k = 1; "
         "APPLY BATCH",
         "t[1] static{ s='a' } range(2> .. >) del (2){ live v=3 }"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        does(cases[i].text, cases[i].mutations);
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"DELETE v FROM t WHERE k = 1", "Range deletions are not supported for specific columns"},
        {"DELETE v FROM t WHERE k = 1 AND c > 1",
         "Range deletions are not supported for specific columns"},
        {"DELETE s FROM t WHERE k = 1 AND c = 1",
         "Invalid restrictions on clustering columns since the DELETE statement modifies only "
         "static columns"},
        {"DELETE c FROM t WHERE k = 1",
         "Invalid identifier c for deletion (should not be a PRIMARY KEY part)"},
        {"DELETE zz FROM t WHERE k = 1", "Undefined column name zz in table lab.t"},
        {"DELETE v['a'] FROM t WHERE k = 1 AND c = 1",
         "Invalid deletion operation for non collection column v"},
        {"DELETE fm['a'] FROM l WHERE k = 1",
         "Invalid deletion operation for frozen collection column fm"},
        {"DELETE fu.x FROM l WHERE k = 1", "Frozen UDT column fu does not support field deletions"},
        {"DELETE v.x FROM t WHERE k = 1 AND c = 1",
         "Invalid field deletion operation for non-UDT column v"},
        {"DELETE u.z FROM l WHERE k = 1", "UDT column u does not have a field named z"},
        {"DELETE FROM t WHERE c = 1", "Some partition key parts are missing: k"},
    };
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        fails(bad[i].text, bad[i].message);
    FAILS("DELETE m[?] FROM l WHERE k = 1", "Invalid null map key", NIL);
    FAILS("DELETE st[?] FROM l WHERE k = 1", "Invalid null set element", NIL);
    end();
}
END_TEST

/* BATCH. */

START_TEST(batches)
{
    begin();
    does("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 2, 3); INSERT INTO t (k, c, v) VALUES (1, "
         "1, 4); APPLY BATCH",
         "t[1] (1){ live v=4 } (2){ live v=3 }");
    ck_assert(!world.logged);
    does("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 2, 3) INSERT INTO t (k, c, w) VALUES (1, "
         "2, 'x') APPLY BATCH",
         "t[1] (2){ live v=3 w='x' }");
    does("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (1, 2, 3); INSERT INTO t (k, s) VALUES (1, "
         "'a'); INSERT INTO t (k, s) VALUES (1, 'b'); "
         "APPLY BATCH",
         "t[1] static{ s='b' } (2){ live v=3 }");
    does("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (2, 2, 3); INSERT INTO p (k, v) VALUES ('a', "
         "4); APPLY BATCH",
         "t[2] (2){ live v=3 }\np['a'] (){ live v=4 }");
    ck_assert(world.logged);
    ck_assert_uint_eq(world.mutation_count, 2);
    does("BEGIN UNLOGGED BATCH INSERT INTO t (k, c, v) VALUES (2, 2, 3); INSERT INTO p (k, v) "
         "VALUES ('a', 4); APPLY BATCH",
         "t[2] (2){ live v=3 }\np['a'] (){ live v=4 }");
    ck_assert(!world.logged);
    /* the same partition of two tables */
    does("BEGIN BATCH INSERT INTO l (k, fl) VALUES (2, [1]); INSERT INTO ttl (k, v) VALUES (2, 4) "
         "USING TTL 0; APPLY BATCH",
         "l[2] (){ live fl=[1] }\nttl[2] (){ live v=4 }");
    ck_assert(!world.logged);
    does("BEGIN BATCH USING TIMESTAMP 8 INSERT INTO p (k, v) VALUES ('a', 4); APPLY BATCH",
         "p['a'] (){ live@8 v=4@8 }");
    does("BEGIN BATCH INSERT INTO p (k, v) VALUES ('a', 4) USING TIMESTAMP 9; INSERT INTO p (k, v) "
         "VALUES ('a', 5); APPLY BATCH",
         "p['a'] (){ live v=5 }");
    DOES("BEGIN BATCH INSERT INTO t (k, c, v) VALUES (?, ?, 3); INSERT INTO t (k, c, v) VALUES (1, "
         "?, 4); APPLY BATCH",
         "t[1] (1){ live v=4 } (2){ live v=3 }", INT1, INT2, INT1);
    size_t writes = world.write_count;
    does("BEGIN BATCH APPLY BATCH", "");
    ck_assert_uint_eq(world.write_count, writes);
    fails("BEGIN BATCH USING TIMESTAMP 8 INSERT INTO p (k, v) VALUES ('a', 4) USING TIMESTAMP 4; "
          "APPLY BATCH",
          "Timestamp must be set either on BATCH or individual statements");
    fails("BEGIN COUNTER BATCH INSERT INTO p (k, v) VALUES ('a', 4); APPLY BATCH",
          "Cannot include non-counter statement in a counter batch");
    fails("BEGIN BATCH USING TIMESTAMP 8 INSERT INTO p (k, v) VALUES ('a', 4) IF NOT EXISTS; APPLY "
          "BATCH",
          "Cannot provide custom timestamp for conditional BATCH");
    fails("BEGIN BATCH INSERT INTO p (k, v) VALUES ('a', 4) IF NOT EXISTS; INSERT INTO ttl (k) "
          "VALUES (1); APPLY BATCH",
          "Batch with conditions cannot span multiple tables");
    fails("BEGIN BATCH INSERT INTO p (k, v) VALUES ('a', 4) IF NOT EXISTS; INSERT INTO p (k) "
          "VALUES ('b'); APPLY BATCH",
          "Batch with conditions cannot span multiple partitions");
    fails("BEGIN BATCH INSERT INTO p (k, v) VALUES ('a', 4) IF NOT EXISTS; DELETE FROM p WHERE k = "
          "'a' IF EXISTS; APPLY BATCH",
          "Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row");
    fails("BEGIN BATCH UPDATE p SET v = 1 WHERE k = 'a' IF v = 2; INSERT INTO p (k, v) VALUES "
          "('a', 4) IF NOT EXISTS; APPLY BATCH",
          "Cannot mix IF conditions and IF NOT EXISTS for the same row");
    end();
}
END_TEST

/* Many partitions: each is found again. */
START_TEST(batch_of_many)
{
    begin();
    enum { COUNT = 600 };
    static struct cql_batch_item items[COUNT];
    static struct cql_value values[COUNT][2];
    static uint8_t bytes[COUNT][2][4];
    int rc;
    struct cql_prepared *p = prepare("INSERT INTO ttl (k, v) VALUES (?, ?)", &rc);
    ck_assert_int_eq(rc, BASE_OK);
    for (int i = 0; i < COUNT; i++) {
        base_put_be32(bytes[i][0], (uint32_t)i % 200);
        base_put_be32(bytes[i][1], (uint32_t)i);
        for (int j = 0; j < 2; j++)
            values[i][j] = (struct cql_value){CQL_VALUE_SET, {bytes[i][j], 4}};
        items[i] = (struct cql_batch_item){p, values[i], 2};
    }
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_LOGGED, items, COUNT)),
                     BASE_OK);
    ck_assert_uint_eq(world.mutation_count, 200);
    ck_assert(world.logged);
    ck_assert_ptr_nonnull(
        strstr((const char *)printed.data, "ttl[199] (){ livettl60 v=599ttl60 }"));
    ck_assert_uint_eq(exec.warning_count, 1); /* its size */
    ck_assert_ptr_nonnull(strstr(exec.warnings[0], "Batch for [lab.ttl] is of size "));
    ck_assert_ptr_nonnull(
        strstr(exec.warnings[0], ", exceeding specified threshold of 5.000KiB by "));
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_UNLOGGED, items, 11)),
                     BASE_OK);
    ck_assert_uint_eq(exec.warning_count, 1);
    ck_assert_str_eq(exec.warnings[0], "Unlogged batch covering 11 partitions detected against "
                                       "table [lab.ttl]. You should use a logged batch "
                                       "for atomicity, or asynchronous writes for performance.");
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_UNLOGGED, items, 10)),
                     BASE_OK);
    ck_assert_uint_eq(exec.warning_count, 0);
    const struct cql_limits small = {
        .batch_size_warn = 50, .batch_size_fail = 100, .unlogged_batch_partitions_warn = 10};
    world.ports.limits = &small;
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_LOGGED, items, 10)),
                     BASE_E_INVALID);
    ck_assert_str_eq(err.text, "Batch too large");
    world.ports.limits = NULL;
    /* what a batch may hold */
    items[1].value_count = 1;
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_LOGGED, items, 10)),
                     BASE_E_INVALID);
    ck_assert_str_eq(err.text, "There were 2 markers(?) in CQL but 1 bound variables");
    items[1].prepared = prepare("TRUNCATE p", &rc);
    exec_init();
    ck_assert_int_eq(finish_exec(cql_exec_start_batch(&exec, CQL_BATCH_LOGGED, items, 10)),
                     BASE_E_INVALID);
    ck_assert_str_eq(
        err.text,
        "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cql/modify");
    TCase *tc = tcase_create("insert");
    tcase_add_test(tc, insert_rows);
    tcase_add_test(tc, insert_values);
    tcase_add_test(tc, insert_json);
    tcase_add_test(tc, insert_refused);
    tcase_add_test(tc, levels_and_timestamps);
    tcase_add_test(tc, routing);
    suite_add_tcase(suite, tc);
    tc = tcase_create("update");
    tcase_add_test(tc, updates);
    tcase_add_test(tc, updates_refused);
    tcase_add_loop_test(tc, lists, 0, 2);
    tcase_add_test(tc, deletes);
    suite_add_tcase(suite, tc);
    tc = tcase_create("batch");
    tcase_add_test(tc, batches);
    tcase_add_test(tc, batch_of_many);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
