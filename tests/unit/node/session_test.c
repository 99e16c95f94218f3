/* Sessions: schema changes, transactions with savepoints, reads of one's own writes, dropping what
 * others use. Without these tests a ROLLBACK could keep writes or a DROP could pull a table from
 * under a reader. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/node/node_fixture.h"

/* Schema. */

START_TEST(statements_answer_with_one_line)
{
    uint64_t epoch = node_schema_epoch(fixture.node);
    ck_assert_str_eq(fixture_cql("CREATE TYPE lab.address (street text)"),
                     "created type lab.address");
    ck_assert_uint_eq(node_schema_epoch(fixture.node), epoch + 1);
    ck_assert_str_eq(fixture_cql("ALTER TABLE lab.readings ADD note text;"),
                     "altered table lab.readings");
    ck_assert_str_eq(fixture_cql("CREATE TABLE IF NOT EXISTS lab.readings (a int PRIMARY KEY)"),
                     "nothing to do");
    ck_assert_uint_eq(node_schema_epoch(fixture.node), epoch + 2);
    FAILS(BASE_E_EXISTS, fixture_try_cql("CREATE TABLE lab.readings (a int PRIMARY KEY)"));
    FAILS(BASE_E_SYNTAX, fixture_try_cql("CREATE TABEL x"));
    FAILS(BASE_E_NOTFOUND, fixture_try_cql("USE nowhere"));
    ck_assert_str_eq(fixture_cql("USE lab"), "using keyspace lab");
    ck_assert_str_eq(fixture_cql("DROP TYPE address"), "dropped type lab.address");
    ck_assert_str_eq(fixture_cql("TRUNCATE readings"), "truncated table lab.readings");
}
END_TEST

START_TEST(the_schema_survives_a_restart)
{
    fixture_cql("ALTER TABLE lab.readings ADD note text");
    OK(fixture_write(fixture.session, "s1", 1, 20));
    uint64_t epoch = node_schema_epoch(fixture.node);
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_uint_eq(node_schema_epoch(fixture.node), epoch);
    ck_assert_ptr_nonnull(base_table_column(fixture.table, BASE_SLICE_LIT("note")));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 20);
}
END_TEST

START_TEST(truncate_removes_what_was_there)
{
    OK(fixture_write(fixture.session, "s1", 1, 20));
    fixture_cql("TRUNCATE lab.readings");
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), -1);
    OK(fixture_write(fixture.session, "s1", 2, 21));
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), -1);
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 2), 21);
}
END_TEST

/* The log says TRUNCATE and the process died before the store did it. */
START_TEST(a_truncate_that_was_cut_off_is_finished)
{
    OK(fixture_write(fixture.session, "s1", 1, 20));
    fixture_cql("TRUNCATE lab.readings");
    OK(fixture_write(fixture.session, "s1", 2,
                     21)); /* stands for a row that the store should have dropped */
    OK(cat_local_put_i64(fixture.node->catalog, "truncated_epoch", 0, &fixture.err));
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 0);
    OK(fixture_write(fixture.session, "s1", 3, 22));
    fixture_close();
    fixture_open(); /* and not once more */
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 1);
}
END_TEST

/* The state of others was taken over, in which the table was truncated, and the process died before
 * the store did it. */
START_TEST(a_takeover_that_was_cut_off_is_finished)
{
    struct base_buf left;
    base_buf_init(&left, 1024);
    OK(fixture_write(fixture.session, "s1", 1, 20));
    OK(cat_local_put(fixture.node->catalog, "truncating",
                     base_slice(fixture.table->id.b, sizeof fixture.table->id.b), &fixture.err));
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 0);
    FAILS(BASE_E_NOTFOUND, cat_local_get(fixture.node->catalog, "truncating", &left, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 3, 22));
    fixture_close();
    fixture_open(); /* and not once more */
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 1);
    base_buf_fini(&left);
}
END_TEST

START_TEST(a_dropped_table_is_named)
{
    OK(fixture_write(fixture.session, "s1", 1, 20));
    fixture_cql("DROP TABLE lab.readings");
    FAILS(BASE_E_NOTFOUND, fixture_write(fixture.session, "s1", 1, 20));
    SAYS("lab.readings");
    struct base_read cmd = BASE_READ_INIT;
    cmd.table_id = fixture.table->id;
    FAILS(BASE_E_NOTFOUND, node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ONE,
                                          &fixture.read, &fixture.err));
    fixture_cql(
        "CREATE TABLE lab.readings (sensor text, ts int, celsius int, PRIMARY KEY (sensor, ts))");
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 0);
}
END_TEST

static int create(const char *columns, const char *with, bool *attached)
{
    return node_create_table(fixture.session, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("weather"),
                             base_slice_str(columns), base_slice_str(with), attached, &fixture.err);
}

START_TEST(creating_what_exists_attaches_or_tells_the_difference)
{
    static const char columns[] = "place TEXT, day DATE, high DOUBLE, PRIMARY KEY (place, day)";
    bool attached;
    OK(create(columns, "CLUSTERING ORDER BY (day DESC) AND comment = 'w'", &attached));
    ck_assert(!attached);
    uint64_t epoch = node_schema_epoch(fixture.node);
    OK(create(columns, "CLUSTERING ORDER BY (day DESC) AND comment = 'w'", &attached));
    ck_assert(attached);
    OK(create(columns, "CLUSTERING ORDER BY (day DESC)",
              &attached)); /* no opinion on the comment */
    ck_assert(attached);
    ck_assert_uint_eq(node_schema_epoch(fixture.node), epoch);
    FAILS(BASE_E_EXISTS, create(columns, "", &attached));
    SAYS("column day is clustering column 1 DESC, not clustering column 1 ASC");
    ck_assert(!attached);
    FAILS(BASE_E_EXISTS,
          create(columns, "CLUSTERING ORDER BY (day DESC) AND comment = 'x'", &attached));
    SAYS("comment");
    FAILS(BASE_E_EXISTS, create("place TEXT, day DATE, high INT, PRIMARY KEY (place, day)",
                                "CLUSTERING ORDER BY (day DESC)", &attached));
    SAYS("column high is double, not int");
    FAILS(BASE_E_EXISTS, create("place TEXT, day DATE, PRIMARY KEY (place, day)",
                                "CLUSTERING ORDER BY (day DESC)", &attached));
    SAYS("it also has a column high");
    FAILS(BASE_E_EXISTS,
          create("place TEXT, day DATE, high DOUBLE, low DOUBLE, PRIMARY KEY (place, day)",
                 "CLUSTERING ORDER BY (day DESC)", &attached));
    SAYS("it has no column low");
}
END_TEST

/* Transactions. */

START_TEST(a_transaction_sees_itself_and_nobody_else_does)
{
    struct node_session *other;
    OK(node_session_new(fixture.node, &other, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 1, 20));
    OK(node_txn_begin(fixture.session, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 1, 30));
    OK(fixture_write(fixture.session, "s1", 2, 31));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 30);
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 2), 31);
    ck_assert_int_eq(fixture_count(fixture.session), 2);
    ck_assert_int_eq(fixture_get(other, "s1", 1), 20);
    ck_assert_int_eq(fixture_count(other), 1);
    OK(node_txn_apply(fixture.session, &fixture.err));
    OK(node_txn_apply(fixture.session, &fixture.err)); /* again: nothing */
    node_txn_end(fixture.session);
    ck_assert_int_eq(fixture_get(other, "s1", 1), 30);
    OK(node_txn_begin(fixture.session, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 1, -1));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), -1);
    ck_assert_int_eq(fixture_count(fixture.session), 1);
    node_txn_end(fixture.session); /* rolls back */
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 30);
    node_session_free(other);
}
END_TEST

/* A cursor that stays open while its transaction is rolled back, committed, ended (sqlite_facts
 * §5). */
START_TEST(cursors_outlive_the_transaction)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    int n = 0;
    for (int i = 0; i < 10; i++)
        OK(fixture_write(fixture.session, "s1", i, i));
    OK(node_txn_begin(fixture.session, &fixture.err));
    for (int i = 10; i < 20; i++)
        OK(fixture_write(fixture.session, "s1", i, i));
    cmd.table_id = fixture.table->id;
    cmd.slices = base_slices_all;
    OK(node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ONE, &fixture.read,
                      &fixture.err));
    OK(node_read_next(fixture.read, &row, &fixture.err));
    node_txn_end(fixture.session);
    for (n = 1; n < 100; n++) {
        OK(node_read_next(fixture.read, &row, &fixture.err));
        if (!row.pkey.len)
            break;
    }
    ck_assert_int_ge(
        n, 10); /* all that was committed; what was rolled back may still be in its picture */
    node_read_close(fixture.read);
    ck_assert_int_eq(fixture_count(fixture.session), 10);
}
END_TEST

/* Random writes, savepoints, rollbacks and commits against a plain array. */
#define KEYS 24
#define LEVELS 6
struct model {
    int now[KEYS];
    int saved[LEVELS][KEYS];
    bool announced[LEVELS];
};

static void model_check(const struct model *m, unsigned seed, int step)
{
    int n = 0;
    for (int k = 0; k < KEYS; k++) {
        char sensor[8];
        snprintf(sensor, sizeof sensor, "s%d", k % 3);
        int got = fixture_get(fixture.session, sensor, k);
        ck_assert_msg(got == m->now[k], "seed %u step %d key %d: %d, not %d", seed, step, k, got,
                      m->now[k]);
        n += m->now[k] >= 0;
    }
    ck_assert_int_eq(fixture_count(fixture.session), n);
}

/* A range of one sensor's rows; past the last key: the whole partition. */
static void model_delete(struct model *m, int which, int from, int upto)
{
    char sensor[8];
    snprintf(sensor, sizeof sensor, "s%d", which);
    if (upto >= KEYS)
        from = 0;
    if (upto < from)
        return;
    if (upto >= KEYS)
        fixture_delete_partition(fixture.session, sensor);
    else
        fixture_delete_range(fixture.session, sensor, from, upto);
    for (int k = from; k <= upto && k < KEYS; k++)
        if (k % 3 == which)
            m->now[k] = -1;
}

static void run_model(unsigned seed, int steps)
{
    struct model m;
    int committed[KEYS], level = -1;
    unsigned state = seed;
    for (int k = 0; k < KEYS; k++)
        m.now[k] = committed[k] = -1;
    OK(node_txn_begin(fixture.session, &fixture.err));
    for (int step = 0; step < steps; step++) {
        unsigned dice = (unsigned)rand_r(&state) % 100;
        int k = rand_r(&state) % KEYS;
        if (dice < 45) {
            char sensor[8];
            snprintf(sensor, sizeof sensor, "s%d", k % 3);
            int value = dice < 38 ? step : -1;
            OK(fixture_write(fixture.session, sensor, k, value));
            m.now[k] = value;
        } else if (dice < 60 && level + 1 < LEVELS) {
            OK(node_txn_savepoint(fixture.session, ++level, &fixture.err));
            memcpy(m.saved[level], m.now, sizeof m.now);
        } else if (dice < 70 && level >= 0) {
            int to = rand_r(&state) % (level + 1);
            node_txn_rollback_to(fixture.session, to);
            memcpy(m.now, m.saved[to], sizeof m.now);
            level = to;
        } else if (dice < 78 && level >= 0) {
            level = rand_r(&state) % (level + 1);
            node_txn_savepoint_release(fixture.session, level--);
        } else if (dice < 83) {
            OK(node_txn_apply(fixture.session, &fixture.err));
            node_txn_end(fixture.session);
            memcpy(committed, m.now, sizeof m.now);
            OK(node_txn_begin(fixture.session, &fixture.err));
            level = -1;
        } else if (dice < 86) {
            node_txn_end(fixture.session);
            memcpy(m.now, committed, sizeof m.now);
            OK(node_txn_begin(fixture.session, &fixture.err));
            level = -1;
        } else if (dice < 92) {
            model_check(&m, seed, step);
        } else {
            model_delete(&m, k % 3, rand_r(&state) % KEYS, rand_r(&state) % (KEYS + KEYS / 3));
        }
    }
    model_check(&m, seed, steps);
    node_txn_end(fixture.session);
}

START_TEST(savepoints_follow_the_model)
{
    unsigned seed = 1;
    const char *given = getenv("RINGLET_SEED");
    if (given)
        seed = (unsigned)strtoul(given, NULL, 10);
    for (unsigned i = 0; i < 6; i++) {
        run_model(seed + i, 1500);
        fixture_cql("TRUNCATE lab.readings");
    }
}
END_TEST

/* SQLite announces only the innermost of the savepoints that were open before the first write. */
START_TEST(a_savepoint_never_announced_undoes_all)
{
    OK(node_txn_begin(fixture.session, &fixture.err));
    OK(node_txn_savepoint(fixture.session, 3, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 1, 20));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 20);
    node_txn_rollback_to(fixture.session, 1);
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), -1);
    OK(fixture_write(fixture.session, "s1", 2, 21));
    OK(node_txn_apply(fixture.session, &fixture.err));
    node_txn_end(fixture.session);
    ck_assert_int_eq(fixture_count(fixture.session), 1);
}
END_TEST

START_TEST(transactions_have_a_limit)
{
    fixture.node->settings.transaction_size_max = 64 << 10;
    struct node_session *session;
    OK(node_session_new(fixture.node, &session, &fixture.err));
    OK(node_txn_begin(session, &fixture.err));
    int rc = 0, n = 0;
    while (n < 100000 && (rc = fixture_write(session, "s1", n, n)) == 0)
        n++;
    ck_assert_int_eq(rc, BASE_E_LIMIT);
    SAYS("ringlet_batch('unlogged')");
    ck_assert_int_gt(n, 100);
    OK(node_txn_apply(session, &fixture.err)); /* what fitted is intact */
    node_txn_end(session);
    ck_assert_int_eq(fixture_count(session), n);
    OK(node_session_set_batch(session, true, &fixture.err));
    OK(node_txn_begin(session, &fixture.err));
    for (int i = 0; i < 3 * n; i++)
        OK(fixture_write(session, "s2", i, i));
    ck_assert_int_eq(fixture_get(session, "s2", 3 * n - 1), 3 * n - 1);
    OK(node_txn_apply(session, &fixture.err));
    node_txn_end(session);
    ck_assert_int_eq(fixture_count(fixture.session), 4 * n);
    node_session_free(session);
}
END_TEST

START_TEST(committed_survives_open_does_not)
{
    OK(node_txn_begin(fixture.session, &fixture.err));
    for (int i = 0; i < 100; i++)
        OK(fixture_write(fixture.session, "s1", i, i));
    OK(node_txn_apply(fixture.session, &fixture.err));
    node_txn_end(fixture.session);
    OK(node_txn_begin(fixture.session, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 1000, 1));
    fixture_close(); /* rolls back */
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 100);
}
END_TEST

START_TEST(keyspaces_without_durable_writes_survive_a_clean_stop)
{
    fixture_cql("ALTER KEYSPACE lab WITH durable_writes = false");
    OK(fixture_write(fixture.session, "s1", 1, 20));
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 20);
}
END_TEST

/* Reads. */

static bool always(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

START_TEST(interrupts_end_long_reads)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    int asked = 0, rc = 0;
    OK(node_txn_begin(fixture.session, &fixture.err));
    for (int i = 0; i < 5000; i++)
        OK(fixture_write(fixture.session, "s1", i, i));
    OK(node_txn_apply(fixture.session, &fixture.err));
    node_txn_end(fixture.session);
    node_session_on_interrupt(fixture.session, always, &asked);
    cmd.table_id = fixture.table->id;
    cmd.slices = base_slices_all;
    OK(node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ONE, &fixture.read,
                      &fixture.err));
    for (int i = 0; i < 5000 && rc == 0; i++)
        rc = node_read_next(fixture.read, &row, &fixture.err);
    ck_assert_int_eq(rc, BASE_E_INTERRUPTED);
    ck_assert_int_eq(asked, 1);
    ck_assert_uint_eq(row.pkey.len, 0);
    node_session_on_interrupt(fixture.session, NULL, NULL);
    node_read_close(fixture.read);
    /* One call that skips everything must see it too. */
    struct base_filter filter = {
        .column = base_table_column(fixture.table, BASE_SLICE_LIT("celsius"))->id,
        .op = BASE_FILTER_EQ,
        .operand = base_slice("\xff\xff\xff\xff", 4)};
    cmd.filters = &filter;
    cmd.filter_count = 1;
    OK(node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ONE, &fixture.read,
                      &fixture.err));
    node_session_on_interrupt(fixture.session, always, &asked);
    FAILS(BASE_E_INTERRUPTED, node_read_next(fixture.read, &row, &fixture.err));
    node_session_on_interrupt(fixture.session, NULL, NULL);
}
END_TEST

START_TEST(levels_are_checked)
{
    struct base_read cmd = BASE_READ_INIT;
    cmd.table_id = fixture.table->id;
    FAILS(BASE_E_INVALID, node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ANY,
                                         &fixture.read, &fixture.err));
    FAILS(BASE_E_INVALID,
          node_read_open(fixture.session, fixture.table, &cmd, 77, &fixture.read, &fixture.err));
    FAILS(BASE_E_INVALID, node_write(fixture.session, fixture.table, BASE_SLICE_LIT("x"), 1,
                                     NODE_CL_SERIAL, &fixture.err));
    ck_assert_int_eq(node_consistency_parse(BASE_SLICE_LIT("local_Quorum")), NODE_CL_LOCAL_QUORUM);
    ck_assert_int_eq(node_consistency_parse(BASE_SLICE_LIT("most")), -1);
    ck_assert_str_eq(node_consistency_name(NODE_CL_ALL), "ALL");
    ck_assert_ptr_null(node_consistency_name(11));
}
END_TEST

/* Many sessions. */

static atomic_bool stop;
static atomic_int missing, worked;

/* Uses whatever table is called lab.readings just now. */
static void *use_table(void *arg)
{
    struct node_session *session;
    struct node_read *read = NULL;
    struct base_err err;
    (void)arg;
    if (node_session_new(fixture.node, &session, NULL) != BASE_OK)
        return NULL;
    while (!stop) {
        struct base_schema *schema = node_schema(fixture.node);
        const struct base_table *table =
            base_schema_table(schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("readings"));
        struct base_read cmd = BASE_READ_INIT;
        struct base_live_row row;
        cmd.slices = base_slices_all;
        for (int i = 0; table && i < 20; i++) {
            cmd.table_id = table->id;
            int rc = node_read_open(session, table, &cmd, NODE_CL_ONE, &read, &err);
            if (rc == BASE_OK) {
                rc = node_read_next(read, &row, &err);
                node_read_close(read);
                worked++;
            } else if (rc == BASE_E_NOTFOUND) {
                missing++;
                rc = BASE_OK;
            }
            ck_assert_msg(rc == BASE_OK, "%s", err.text);
        }
        base_schema_release(schema);
    }
    node_read_free(read);
    node_session_free(session);
    return NULL;
}

START_TEST(tables_come_and_go_under_readers)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_table, NULL), 0);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 20; k++)
            OK(fixture_write(fixture.session, "s1", k, k));
        fixture_cql("DROP TABLE lab.readings");
        fixture_cql("CREATE TABLE lab.readings (sensor text, ts int, celsius int, PRIMARY KEY "
                    "(sensor, ts))");
        fixture_find_table();
        ck_assert_int_eq(fixture_count(fixture.session), 0);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_gt(worked, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/session");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, statements_answer_with_one_line);
    tcase_add_test(tc, the_schema_survives_a_restart);
    tcase_add_test(tc, truncate_removes_what_was_there);
    tcase_add_test(tc, a_truncate_that_was_cut_off_is_finished);
    tcase_add_test(tc, a_takeover_that_was_cut_off_is_finished);
    tcase_add_test(tc, a_dropped_table_is_named);
    tcase_add_test(tc, creating_what_exists_attaches_or_tells_the_difference);
    tcase_add_test(tc, a_transaction_sees_itself_and_nobody_else_does);
    tcase_add_test(tc, cursors_outlive_the_transaction);
    tcase_add_test(tc, savepoints_follow_the_model);
    tcase_add_test(tc, a_savepoint_never_announced_undoes_all);
    tcase_add_test(tc, transactions_have_a_limit);
    tcase_add_test(tc, committed_survives_open_does_not);
    tcase_add_test(tc, keyspaces_without_durable_writes_survive_a_clean_stop);
    tcase_add_test(tc, interrupts_end_long_reads);
    tcase_add_test(tc, levels_are_checked);
    tcase_add_test(tc, tables_come_and_go_under_readers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
