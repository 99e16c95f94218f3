/* Traces: sessions and events as drivers read them. What breaks without it: a driver that waits for
 * a trace that never comes. */
#include "tests/lib/ck.h"
#include "tests/unit/node/loop_client.h"

#include <unistd.h>

static struct loop_client c;
static char id[37];

static void setup(void)
{
    daemons_setup();
    daemon_open(0, NULL);
    daemons_settle(1);
    loop_client_init(&c, 0);
    loop_run(&c, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                 "'replication_factor': 1}");
    loop_run(&c, "CREATE TABLE lab.t (k int PRIMARY KEY, v text)");
    snprintf(c.client.address, sizeof c.client.address, "192.0.2.77");
}

static void begin(void *ctx, struct repl *repl)
{
    struct base_uuid uuid;
    (void)repl;
    OK(nodei_trace_begin(&c.client, base_slice_str(ctx), &uuid, &fixture.err));
    base_uuid_print(uuid, id);
}

static void end(void *ctx, struct repl *repl)
{
    (void)ctx, (void)repl;
    nodei_trace_end(&c.client);
    ck_assert_ptr_null(c.client.trace);
}

static void on_loop(void (*fn)(void *ctx, struct repl *repl), const char *text)
{
    OK(nodei_on_loop(daemons[0].node, fn, (void *)(uintptr_t)text, &fixture.err));
}

/* The row of a session, once it is whole. */
static const char *session_row(void)
{
    char text[200];
    snprintf(text, sizeof text,
             "SELECT duration, command, client, coordinator, coordinator_port, request, parameters "
             "FROM system_traces.sessions WHERE session_id = %s",
             id);
    for (int tries = 0; tries < 12000; tries++) {
        const char *row = loop_run(&c, text);
        if (row[0])
            return row;
        usleep(10000);
    }
    ck_abort_msg("no session %s", id);
}

static const char *event_rows(const char *columns)
{
    char text[200];
    snprintf(text, sizeof text, "SELECT %s FROM system_traces.events WHERE session_id = %s",
             columns, id);
    return loop_run(&c, text);
}

START_TEST(a_write_and_a_read)
{
    static const char write[] = "INSERT INTO lab.t (k, v) VALUES (1, 'one')";
    on_loop(begin, write);
    ck_assert_int_eq(id[14], '1');
    loop_run(&c, write);
    on_loop(end, NULL);
    const char *row = session_row();
    ck_assert_ptr_nonnull(
        strstr(row, with_port("|QUERY|192.0.2.77|127.0.0.1|@|Execute CQL3 query|{'query': 'INSERT "
                              "INTO lab.t (k, v) VALUES (1, ''one'')'}")));
    ck_assert_int_ge(atoi(row), 1);
    const char *events = event_rows("activity, source, source_port, thread");
    ck_assert_ptr_nonnull(strstr(events, with_port("Token -4069959284402364209 of lab.t: replicas "
                                                   "/127.0.0.1:@|127.0.0.1|@|ringlet-loop\n")));
    ck_assert_ptr_nonnull(strstr(events, "Parsing INSERT INTO lab.t (k, v) VALUES (1, 'one')|"));
    ck_assert_ptr_null(strstr(events, "Request complete")); /* clients say so themselves */
    static const char read[] = "SELECT * FROM lab.t WHERE k = 1";
    on_loop(begin, read);
    nodei_trace_describe(&c.client, "Execute CQL3 prepared query", NODE_CL_LOCAL_ONE,
                         NODE_CL_SERIAL, 5000);
    loop_run(&c, read);
    on_loop(end, NULL);
    ck_assert_ptr_nonnull(strstr(
        session_row(),
        "|Execute CQL3 prepared query|{'consistency_level': 'LOCAL_ONE', 'page_size': '5000', "
        "'query': 'SELECT * FROM lab.t WHERE k = 1', 'serial_consistency_level': 'SERIAL'}"));
    ck_assert_ptr_nonnull(
        strstr(event_rows("activity"), "Executing a read of partitions of lab.t"));
    ck_assert_int_gt(atoi(loop_run(&c, "SELECT ttl(duration) FROM system_traces.sessions LIMIT 1")),
                     86000);
}
END_TEST

/* In their order, each later than the one before. */
START_TEST(events_are_in_order)
{
    on_loop(begin, "many");
    for (int i = 0; i < 120; i++) {
        char text[32];
        snprintf(text, sizeof text, "event %03d", i);
        nodei_trace_event(&c.client, text);
    }
    on_loop(end, NULL);
    session_row();
    const char *events = event_rows("activity, source_elapsed");
    ck_assert_uint_eq(system_count(events), 101);
    int last = -1;
    ck_assert_int_eq(strncmp(events, "Parsing many|", 13), 0);
    events = strchr(events, '\n') + 1;
    for (int i = 0; i < 99; i++, events = strchr(events, '\n') + 1) {
        char text[32];
        snprintf(text, sizeof text, "event %03d|", i);
        ck_assert_int_eq(strncmp(events, text, strlen(text)), 0);
        ck_assert_int_ge(atoi(events + strlen(text)), last);
        last = atoi(events + strlen(text));
    }
    ck_assert_ptr_nonnull(strstr(events, "More events are not kept"));
}
END_TEST

/* The node ends while traces are written. */
START_TEST(closing)
{
    for (int i = 0; i < 300; i++) {
        on_loop(begin, "x");
        on_loop(end, NULL);
    }
    daemon_close(0);
}
END_TEST

/* Its table is not there: nothing happens but a line in the log. */
START_TEST(without_the_tables)
{
    daemon_close(0);
    daemon_open(1, "seeds", with_port("127.0.0.2:@"), "start_native_transport", "false", NULL);
    loop_client_init(&c, 1);
    OK(nodei_on_loop(daemons[1].node, begin, (void *)(uintptr_t) "x", &fixture.err));
    nodei_trace_event(&c.client, "y");
    OK(nodei_on_loop(daemons[1].node, end, NULL, &fixture.err));
    ck_assert_uint_eq(daemons[1].node->cluster->traces_writing, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("node/tracing");
    TCase *tc = tcase_create("tracing");
    tcase_add_checked_fixture(tc, setup, daemons_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_write_and_a_read);
    tcase_add_test(tc, events_are_in_order);
    tcase_add_test(tc, closing);
    tcase_add_test(tc, without_the_tables);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return ck_main(suite());
}
