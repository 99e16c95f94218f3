/* A cluster of embedded members and a guest in one process: real loops, sockets on loopback and
 * disks under replication/. Without these tests the parts would only be known to work in the
 * simulator. */
#include <pthread.h>
#include <unistd.h>

#include "replication/replication.h"
#include "tests/unit/node/node_fixture.h"

enum { MEMBERS = 3 };

static struct member {
    char dir[96], listen[64];
    struct node *node;
    struct node_session *session;
} members[MEMBERS + 1];

static int open_member(int i)
{
    struct member *m = &members[i];
    char seeds[64];
    snprintf(m->dir, sizeof m->dir, "%s/node%d", fixture.dir, i + 1);
    snprintf(m->listen, sizeof m->listen, "127.0.0.%d:%d", i + 1, fixture_port());
    snprintf(seeds, sizeof seeds, "127.0.0.1:%d", fixture_port());
    struct node_option options[] = {FIXTURE_PATIENCE, {"listen", m->listen},
                                    {"seeds", seeds}, {"cluster_name", "unit"},
                                    {"dc", "lab1"},   {"metadata_log_entries", "16"}};
    struct node_config config = {
        .dir = m->dir, .options = options, .option_count = BASE_COUNT(options)};
    int rc = node_open(&config, &m->node, &fixture.err);
    if (rc == BASE_OK)
        rc = node_session_new(m->node, &m->session, &fixture.err);
    return rc == BASE_OK ? node_wait_ready(m->session, &fixture.err) : rc;
}

static void close_member(int i)
{
    struct member *m = &members[i];
    node_session_free(m->session);
    if (m->node)
        node_release(m->node);
    m->session = NULL;
    m->node = NULL;
}

struct alive {
    size_t members, alive;
};

static void count_alive(void *ctx, struct repl *repl)
{
    struct alive *a = ctx;
    const struct ring_state *ring = repl_ring(repl);
    *a = (struct alive){.members = ring->member_count};
    for (size_t i = 0; i < ring->member_count; i++)
        a->alive += repl_is_alive(repl, ring->members[i].host_id);
}

static struct alive alive_for(int i)
{
    struct alive a;
    OK(nodei_on_loop(members[i].node, count_alive, &a, &fixture.err));
    return a;
}

static void wait_for(int i, size_t alive)
{
    UNTIL(alive_for(i).alive == alive, "node%d sees %zu of %zu members alive, not %zu", i + 1,
          alive_for(i).alive, alive_for(i).members, alive);
}

static void wait_for_epoch(int i, int like)
{
    UNTIL(node_schema_epoch(members[i].node) == node_schema_epoch(members[like].node),
          "node%d does not know the whole log", i + 1);
}

static void run(int i, const char *text)
{
    struct base_buf result;
    base_buf_init(&result, 65536);
    OK(node_cql(members[i].session, base_slice_str(text), &result, &fixture.err));
    base_buf_fini(&result);
}

static void find_table(int i)
{
    if (fixture.schema)
        base_schema_release(fixture.schema);
    fixture.schema = node_schema(members[i].node);
    fixture.table =
        base_schema_table(fixture.schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("readings"));
    ck_assert_ptr_nonnull(fixture.table);
}

static void setup(void)
{
    char state[96];
    fixture_make_dir();
    snprintf(state, sizeof state, "%s/state", fixture.dir);
    setenv("XDG_STATE_HOME", state, 1);
    for (int i = 0; i < MEMBERS; i++)
        OK(open_member(i));
    for (int i = 0; i < MEMBERS; i++)
        wait_for(i, MEMBERS);
    run(0, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
           "'replication_factor': 3}");
    run(1,
        "CREATE TABLE lab.readings (sensor text, ts int, celsius int, PRIMARY KEY (sensor, ts))");
    find_table(1);
}

static void teardown(void)
{
    for (int i = 0; i <= MEMBERS; i++)
        close_member(i);
    if (fixture.schema)
        base_schema_release(fixture.schema);
    fixture.schema = NULL;
    fixture_remove_dir();
}

START_TEST(every_member_reads_what_any_wrote)
{
    for (int i = 0; i < 30; i++)
        OK(fixture_write(members[i % 3].session, i % 2 ? "s1" : "s2", i, 100 + i));
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(fixture_get(members[(i + 1) % 3].session, i % 2 ? "s1" : "s2", i),
                         100 + i);
    OK(fixture_write(members[0].session, "s1", 1, -1));
    fixture_delete_range(members[1].session, "s2", 0, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_get(members[i].session, "s1", 1), -1);
    ck_assert_int_eq(fixture_get(members[2].session, "s2", 2), -1);
    ck_assert_int_eq(fixture_get(members[2].session, "s2", 4), 104);
}
END_TEST

START_TEST(a_transaction_is_one_batch)
{
    struct node_session *session = members[0].session;
    char sensor[16];
    OK(node_txn_begin(session, &fixture.err));
    for (int i = 0; i < 20; i++) {
        snprintf(sensor, sizeof sensor, "t%d", i);
        OK(fixture_write(session, sensor, 1, i));
    }
    ck_assert_int_eq(fixture_get(session, "t7", 1), 7);
    ck_assert_int_eq(fixture_get(members[1].session, "t7", 1), -1);
    ck_assert_int_eq(fixture_count(session), 20);
    OK(node_txn_apply(session, &fixture.err));
    node_txn_end(session);
    for (int i = 0; i < 20; i++) {
        snprintf(sensor, sizeof sensor, "t%d", i);
        ck_assert_int_eq(fixture_get(members[2].session, sensor, 1), i);
    }
    OK(node_txn_begin(session, &fixture.err));
    OK(fixture_write(session, "t1", 1, 99));
    node_txn_end(session);
    ck_assert_int_eq(fixture_get(session, "t1", 1), 1);
}
END_TEST

/* More rows than one page has, through the ring, in both directions of paging and merging. */
START_TEST(the_whole_table_page_by_page)
{
    struct node_session *session = members[2].session;
    char sensor[16];
    OK(node_session_set_batch(session, true, &fixture.err));
    OK(node_txn_begin(session, &fixture.err));
    for (int i = 0; i < 12000; i++) {
        snprintf(sensor, sizeof sensor, "p%d", i % 40);
        OK(fixture_write(session, sensor, i / 40, i));
    }
    OK(node_txn_apply(session, &fixture.err));
    node_txn_end(session);
    ck_assert_int_eq(fixture_count(members[0].session), 12000);
    ck_assert_int_eq(fixture_count(members[1].session), 12000);
}
END_TEST

static int read_rows(struct node_read **read, struct node_session *session, int stop)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    int n = 0;
    cmd.table_id = fixture.table->id;
    cmd.slices = base_slices_all;
    OK(node_read_open(session, fixture.table, &cmd, NODE_CL_QUORUM, read, &fixture.err));
    for (; n < stop; n++) {
        int rc = node_read_next(*read, &row, &fixture.err);
        if (rc == BASE_E_INTERRUPTED) {
            n = -1;
            break;
        }
        OK(rc);
        if (!row.pkey.len)
            break;
    }
    node_read_close(*read);
    return n;
}

static bool always(void *ctx)
{
    return ctx == NULL;
}

/* One read taken up again and again: closed before its page came, in the middle, at its end, when
 * interrupted; the last page (or the only one) small, so that the loop ends the read by itself, and
 * large, so that close does. */
START_TEST(reads_end_at_any_time)
{
    static const int totals[] = {0, 10, 3000, 5200};
    struct node_session *session = members[0].session;
    struct node_read *read = NULL;
    int written = 0;
    for (size_t k = 0; k < BASE_COUNT(totals); k++) {
        int total = totals[k];
        OK(node_session_set_batch(members[1].session, true, &fixture.err));
        OK(node_txn_begin(members[1].session, &fixture.err));
        for (; written < total; written++)
            OK(fixture_write(members[1].session, written % 2 ? "odd" : "even", written, written));
        OK(node_txn_apply(members[1].session, &fixture.err));
        node_txn_end(members[1].session);
        for (int again = 0; again < 3; again++) {
            ck_assert_int_eq(read_rows(&read, session, 0), 0);
            ck_assert_int_eq(read_rows(&read, session, 1), total ? 1 : 0);
            ck_assert_int_eq(read_rows(&read, session, INT32_MAX), total);
        }
        node_session_on_interrupt(session, always, NULL);
        /* a slow answer may be interrupted before its first row */
        int n = read_rows(&read, session, INT32_MAX);
        ck_assert(n == -1 || (total < 256 && n == total));
        node_session_on_interrupt(session, NULL, NULL);
        ck_assert_int_eq(read_rows(&read, session, INT32_MAX), total);
    }
    node_read_free(read);
}
END_TEST

START_TEST(a_member_goes_and_comes_back)
{
    OK(fixture_write(members[0].session, "s1", 1, 20));
    close_member(2);
    OK(fixture_write(members[0].session, "s1", 2, 21));
    ck_assert_int_eq(fixture_get(members[1].session, "s1", 2), 21);
    run(0, "ALTER TABLE lab.readings ADD note text");
    OK(open_member(2));
    wait_for(0, MEMBERS);
    wait_for(2, MEMBERS);
    wait_for_epoch(2, 0);
    find_table(2);
    ck_assert_ptr_nonnull(base_table_column(fixture.table, BASE_SLICE_LIT("note")));
    ck_assert_int_eq(fixture_get(members[2].session, "s1", 2), 21);
}
END_TEST

static int try_count(int i, const char *table)
{
    struct base_buf result;
    char text[128];
    base_buf_init(&result, 65536);
    snprintf(text, sizeof text, "SELECT * FROM lab.%s", table);
    int rc = node_cql(members[i].session, base_slice_str(text), &result, &fixture.err);
    base_buf_fini(&result);
    return rc;
}

/* While it is away more is changed than anybody keeps of the log: it takes the state over, and its
 * store follows: tables are made, altered, truncated, dropped. */
START_TEST(a_member_behind_the_cut_of_the_log)
{
    run(0, "CREATE TABLE lab.gone (k int PRIMARY KEY)");
    run(0, "CREATE TABLE lab.emptied (sensor text, ts int, celsius int, "
           "PRIMARY KEY (sensor, ts))");
    OK(fixture_write(members[0].session, "s1", 1, 20));
    wait_for_epoch(2, 0);
    struct base_uuid gone, truncated;
    find_table(2);
    gone = base_schema_table(fixture.schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("gone"))->id;
    truncated = fixture.table->id;
    ck_assert_ptr_nonnull(lsm_table_find(members[2].node->store, gone));
    close_member(2);
    run(0, "TRUNCATE lab.readings");
    run(0, "DROP TABLE lab.gone");
    run(0, "CREATE TABLE lab.late (sensor text, ts int, celsius int, PRIMARY KEY (sensor, ts))");
    run(0, "ALTER TABLE lab.emptied ADD note text");
    for (int i = 0; i < 20; i++) {
        char text[128];
        snprintf(text, sizeof text, "ALTER TABLE lab.late WITH comment = 'change %d'", i);
        run(i % 2, text);
    }
    OK(open_member(2));
    wait_for(0, MEMBERS);
    wait_for(2, MEMBERS);
    wait_for_epoch(2, 0);
    uint64_t first = 0;
    OK(cat_log_first(members[2].node->catalog, &first, &fixture.err));
    ck_assert_uint_eq(first, node_schema_epoch(members[2].node) + 1);
    OK(cat_log_first(members[0].node->catalog, &first, &fixture.err));
    ck_assert_uint_eq(first, node_schema_epoch(members[0].node) - 15);
    UNTIL(!lsm_table_find(members[2].node->store, gone), "a dropped table stays in the store");
    struct lsm_table_stats stats = {0};
    lsm_table_get_stats(lsm_table_find(members[2].node->store, truncated), &stats);
    ck_assert_uint_eq(stats.sstable_count + stats.memtable_rows, 0);
    find_table(2);
    ck_assert_int_eq(fixture_get(members[2].session, "s1", 1), -1);
    OK(try_count(2, "late"));
    /* it takes part as before, also after a restart */
    run(2, "ALTER TABLE lab.late WITH comment = 'back'");
    close_member(2);
    OK(open_member(2));
    wait_for(2, MEMBERS);
    OK(fixture_write(members[2].session, "s1", 2, 21));
    ck_assert_int_eq(fixture_get(members[0].session, "s1", 2), 21);
}
END_TEST

START_TEST(a_minority_refuses_and_says_so)
{
    close_member(1);
    close_member(2);
    wait_for(0, 1);
    FAILS(BASE_E_UNAVAILABLE, fixture_write(members[0].session, "s1", 1, 20));
    SAYS("LOCAL_QUORUM");
    struct base_buf result;
    base_buf_init(&result, 65536);
    int rc =
        node_cql(members[0].session, BASE_SLICE_LIT("CREATE TABLE lab.more (a int PRIMARY KEY)"),
                 &result, &fixture.err);
    ck_assert_msg(rc == BASE_E_UNAVAILABLE || rc == BASE_E_UNKNOWN, "%d %s", rc, fixture.err.text);
    base_buf_fini(&result);
    fixture.err = (struct base_err){0};
    OK(open_member(1));
    wait_for(0, 2);
    OK(fixture_write(members[0].session, "s1", 1, 20));
}
END_TEST

static void *create_there(void *ctx)
{
    struct node_session *session = ctx;
    struct base_buf result;
    struct base_err err = {0};
    base_buf_init(&result, 65536);
    int rc = node_cql(session, BASE_SLICE_LIT("CREATE TABLE lab.same (a int PRIMARY KEY, b text)"),
                      &result, &err);
    base_buf_fini(&result);
    return (void *)(intptr_t)rc;
}

START_TEST(two_nodes_create_the_same_table)
{
    pthread_t threads[2];
    void *rc[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, create_there, members[i].session), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], &rc[i]);
    int ok = ((intptr_t)rc[0] == BASE_OK) + ((intptr_t)rc[1] == BASE_OK);
    int exists = ((intptr_t)rc[0] == BASE_E_EXISTS) + ((intptr_t)rc[1] == BASE_E_EXISTS);
    ck_assert_msg(ok == 1 && exists == 1, "%d and %d", (int)(intptr_t)rc[0], (int)(intptr_t)rc[1]);
}
END_TEST

START_TEST(a_guest_coordinates)
{
    struct member *guest = &members[MEMBERS];
    char contacts[64];
    snprintf(contacts, sizeof contacts, "127.0.0.2:%d", fixture_port());
    struct node_option options[] = {FIXTURE_PATIENCE};
    struct node_config config = {
        .contacts = contacts, .options = options, .option_count = BASE_COUNT(options)};
    OK(node_open(&config, &guest->node, &fixture.err));
    OK(node_session_new(guest->node, &guest->session, &fixture.err));
    OK(node_wait_ready(guest->session, &fixture.err));
    find_table(MEMBERS);
    OK(fixture_write(guest->session, "g", 1, 5));
    ck_assert_int_eq(fixture_get(members[0].session, "g", 1), 5);
    OK(fixture_write(members[1].session, "g", 2, 6));
    ck_assert_int_eq(fixture_get(guest->session, "g", 2), 6);
    run(MEMBERS, "CREATE TABLE lab.of_guest (a int PRIMARY KEY)");
    UNTIL(node_schema_epoch(members[0].node) == node_schema_epoch(guest->node),
          "node1 does not learn of the guest's table");
    struct base_schema *schema = node_schema(members[0].node);
    ck_assert_ptr_nonnull(
        base_schema_table(schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("of_guest")));
    base_schema_release(schema);
    OK(fixture_write(members[0].session, "g", 3, 7));
    ck_assert_int_eq(fixture_count(guest->session), 3);
}
END_TEST

START_TEST(a_member_of_several_is_not_opened_alone)
{
    struct node *node;
    close_member(2);
    struct node_config config = {.dir = members[2].dir};
    FAILS(BASE_E_CONFIG, node_open(&config, &node, &fixture.err));
    SAYS("member of cluster");
}
END_TEST

START_TEST(conditions_at_one_replica)
{
    run(0, "CREATE KEYSPACE one WITH replication = {'class': 'SimpleStrategy', "
           "'replication_factor': 1}");
    FAILS(BASE_E_INVALID, node_check_conditions(members[0].session, fixture.table, &fixture.err));
    SAYS("Paxos");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/cluster");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_member_reads_what_any_wrote);
    tcase_add_test(tc, a_transaction_is_one_batch);
    tcase_add_test(tc, the_whole_table_page_by_page);
    tcase_add_test(tc, reads_end_at_any_time);
    tcase_add_test(tc, a_member_goes_and_comes_back);
    tcase_add_test(tc, a_member_behind_the_cut_of_the_log);
    tcase_add_test(tc, a_minority_refuses_and_says_so);
    tcase_add_test(tc, two_nodes_create_the_same_table);
    tcase_add_test(tc, a_guest_coordinates);
    tcase_add_test(tc, a_member_of_several_is_not_opened_alone);
    tcase_add_test(tc, conditions_at_one_replica);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
