/* Conditional writes and lists that are read first, through the whole node: on the loop of either
 * of two daemons, in a session of a member, and in an embedded node by many threads. What breaks
 * without it: two who both believe that they were first. */
#include <pthread.h>

#include "tests/lib/ck.h"
#include "tests/unit/node/loop_client.h"

/* Two daemons, replication factor 1. */

static struct loop_client a, b;

static void setup(void)
{
    daemons_setup();
    daemon_open(0, NULL);
    daemon_open(1, NULL);
    daemons_settle(2);
    loop_client_init(&a, 0);
    loop_client_init(&b, 1);
    daemon_cql(0, "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                  "'replication_factor': 1}");
    daemon_cql(
        0,
        "CREATE TABLE k.t (p int, c int, s text static, v int, l list<int>, PRIMARY KEY (p, c))");
}

#define GIVES(client, rows, ...)                                                                   \
    do {                                                                                           \
        char text_[300];                                                                           \
        snprintf(text_, sizeof text_, __VA_ARGS__);                                                \
        const char *got_ = loop_run(&client, text_);                                               \
        ck_assert_msg(strcmp(got_, rows) == 0, "%s\ngave %s, not %s", text_, got_, rows);          \
    } while (0)

START_TEST(whoever_coordinates)
{
    for (int p = 0; p < 16; p++) {
        GIVES(a, "true\n",
              "INSERT INTO k.t (p, c, v, l) VALUES (%d, 1, 1, [1, 2, 3]) IF NOT EXISTS", p);
        char row[64];
        snprintf(row, sizeof row, "false|%d|1||[1, 2, 3]|1\n", p);
        GIVES(b, row, "INSERT INTO k.t (p, c, v) VALUES (%d, 1, 2) IF NOT EXISTS", p);
        GIVES(b, "true\n", "UPDATE k.t SET v = 2 WHERE p = %d AND c = 1 IF v = 1 AND l CONTAINS 3",
              p);
        GIVES(a, "false|2\n", "UPDATE k.t SET v = 2 WHERE p = %d AND c = 1 IF v = 1", p);
        GIVES(a, "", "UPDATE k.t SET l[1] = 9, l = l - [3] WHERE p = %d AND c = 1", p);
        GIVES(b, "[1, 9]|2\n", "SELECT l, v FROM k.t WHERE p = %d", p);
        snprintf(row, sizeof row, "false|%d|1|2\n", p); /* of a batch: with its keys */
        GIVES(b, row,
              "BEGIN BATCH UPDATE k.t SET v = 5 WHERE p = %d AND c = 1 IF v = 4; INSERT INTO k.t "
              "(p, c) VALUES (%d, 2); APPLY BATCH",
              p, p);
        GIVES(a, "true\n",
              "BEGIN BATCH UPDATE k.t SET s = 'x' WHERE p = %d IF s = null; DELETE FROM k.t WHERE "
              "p = %d AND c = 1 IF v = 2; "
              "INSERT INTO k.t (p, c) VALUES (%d, 3); APPLY BATCH",
              p, p, p);
        GIVES(b, "3|x\n", "SELECT c, s FROM k.t WHERE p = %d", p);
        /* in a session */
        daemon_cql(p % 2, "INSERT INTO k.t (p, c) VALUES (1000, 1) IF NOT EXISTS");
    }
}
END_TEST

START_TEST(above_factor_one)
{
    daemon_cql(0, "CREATE KEYSPACE two WITH replication = {'class': 'SimpleStrategy', "
                  "'replication_factor': 2}");
    daemon_cql(0, "CREATE TABLE two.t (p int PRIMARY KEY, v int)");
    ck_assert_int_eq(loop_try(&a, "INSERT INTO two.t (p, v) VALUES (1, 1) IF NOT EXISTS"),
                     BASE_E_INVALID);
    SAYS("conditions above replication factor 1 need Paxos for rows, which this version does not "
         "have: keyspace two has 2");
    ck_assert_int_eq(daemon_try_cql(1, "INSERT INTO two.t (p, v) VALUES (1, 1) IF NOT EXISTS"),
                     BASE_E_INVALID);
    GIVES(a, "", "SELECT * FROM two.t");
}
END_TEST

/* The limits of batches are the options'. */
START_TEST(size_of_a_batch)
{
    daemon_close(1);
    daemon_open(1, "batch_size_fail_threshold", "100B", NULL);
    daemons_settle(2);
    loop_client_init(&b, 1);
    static const char text[] = "BEGIN BATCH INSERT INTO k.t (p, c, v) VALUES (1, 1, 1); INSERT "
                               "INTO k.t (p, c, v) VALUES (2, 1, 1); APPLY BATCH";
    ck_assert_int_eq(loop_try(&b, text), BASE_E_INVALID);
    SAYS("Batch too large");
    ck_assert_int_eq(daemon_try_cql(1, text), BASE_E_INVALID);
    GIVES(a, "", "%s", text);
}
END_TEST

/* Alone. */

enum { THREADS = 6, KEYS = 40, STEPS = 30 };
static int winners[KEYS];

/* True: applied. */
static bool try(struct node_session *session, struct base_buf *out, const char *text)
{
    struct base_err err;
    base_buf_reset(out);
    int rc = node_cql(session, base_slice_str(text), out, &err);
    ck_assert_msg(rc == BASE_OK, "%s: %s", text, err.text);
    ck_assert_int_eq(base_buf_put_u8(out, 0), BASE_OK);
    return strstr((const char *)out->data, "\"[applied]\": true") != NULL;
}

static void *race(void *arg)
{
    struct node_session *session;
    struct base_buf out;
    struct base_err err;
    char text[200];
    int me = *(int *)arg;
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(node_session_new(fixture.node, &session, &err), BASE_OK);
    for (int k = 0; k < KEYS; k++) {
        snprintf(text, sizeof text, "INSERT INTO lab.t (p, c, v) VALUES (%d, %d, %d) IF NOT EXISTS",
                 k % 2, k, me);
        if (try(session, &out, text))
            __atomic_fetch_add(&winners[k], 1, __ATOMIC_RELAXED);
    }
    for (int done = 0, v = 0; done < STEPS;) { /* counting up, by conditions alone */
        snprintf(text, sizeof text, "UPDATE lab.t SET v = %d WHERE p = 9 AND c = 9 IF v = %d",
                 v + 1, v);
        if (try(session, &out, text)) {
            done++;
            v++;
            continue;
        }
        const char *found = strstr((const char *)out.data, "\"v\": ");
        ck_assert_ptr_nonnull(found);
        v = atoi(found + 5);
    }
    node_session_free(session);
    base_buf_fini(&out);
    return NULL;
}

START_TEST(threads_of_one_process)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    fixture_setup();
    fixture_cql("CREATE TABLE lab.t (p int, c int, v int, PRIMARY KEY (p, c))");
    fixture_cql("INSERT INTO lab.t (p, c, v) VALUES (9, 9, 0)");
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int k = 0; k < KEYS; k++)
        ck_assert_msg(winners[k] == 1, "row %d was first of %d", k, winners[k]);
    char expected[64];
    snprintf(expected, sizeof expected, "[{\"v\": %d}]", THREADS * STEPS);
    ck_assert_str_eq(fixture_cql("SELECT v FROM lab.t WHERE p = 9 AND c = 9"), expected);
    fixture_teardown();
}
END_TEST

/* Within a transaction the session sees its own writes, and others nothing until it ends. */
START_TEST(in_a_transaction)
{
    fixture_setup();
    fixture_cql("CREATE TABLE lab.t (p int, c int, s text static, v int, PRIMARY KEY (p, c))");
    OK(node_txn_begin(fixture.session, &fixture.err));
    ck_assert_ptr_nonnull(
        strstr(fixture_cql("INSERT INTO lab.t (p, c, v) VALUES (1, 1, 1) IF NOT EXISTS"), "true"));
    ck_assert_str_eq(fixture_cql("INSERT INTO lab.t (p, c, v) VALUES (1, 1, 1) IF NOT EXISTS"),
                     "[{\"[applied]\": false, \"p\": 1, \"c\": 1, \"s\": null, \"v\": 1}]");
    ck_assert_ptr_nonnull(
        strstr(fixture_cql("UPDATE lab.t SET s = 'x' WHERE p = 1 IF s = null"), "true"));
    ck_assert_str_eq(fixture_cql("UPDATE lab.t SET v = 2 WHERE p = 1 AND c = 7 IF s = 'y'"),
                     "[{\"[applied]\": false, \"s\": \"x\"}]");
    node_txn_end(fixture.session);
    ck_assert_str_eq(fixture_cql("SELECT * FROM lab.t"), "[]");
    fixture_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/conditional");
    TCase *tc = tcase_create("daemons");
    tcase_add_checked_fixture(tc, setup, daemons_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, whoever_coordinates);
    tcase_add_test(tc, above_factor_one);
    tcase_add_test(tc, size_of_a_batch);
    suite_add_tcase(suite, tc);
    tc = tcase_create("alone");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, threads_of_one_process);
    tcase_add_test(tc, in_a_transaction);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
