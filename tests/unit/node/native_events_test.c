/* Who may speak to the native protocol's listener, and what it tells unasked. Without these a wrong
 * password could log in, or a driver miss a table, or a node that came or went. Requests:
 * native_test.c. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/native_private.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"
#include "tests/unit/node/native_client.h"

static struct client c, d;

/* Who may. */

static void authenticate(struct client *client, const void *token, size_t len)
{
    struct base_buf body;
    struct base_slice s = base_slice(token, len);
    base_buf_init(&body, 1024);
    ck_assert_int_eq(cql_wire_put_bytes(&body, &s), BASE_OK);
    client_call(client, CQL_OPCODE_AUTH_RESPONSE, base_buf_view(&body));
    base_buf_fini(&body);
}

START_TEST(passwords)
{
    static const struct {
        const char *token;
        size_t len;
        const char *says;
    } bad[] = {
        {"\0cassandra\0wrong", 16, "Provided username cassandra and/or password are incorrect"},
        {"\0nobody\0x", 9, "Provided username nobody and/or password are incorrect"},
        {"nonsense", 8, "SASL"},
        {"", 0, "SASL"},
        {"\0\0x", 3, "Authentication ID must not be null"},
        {"\0x\0", 3, "Password must not be null"},
    };
    daemons_setup();
    daemon_open(0, "authenticator", "PasswordAuthenticator", NULL);
    daemons_settle(1);
    for (uint8_t version = 4; version <= 5; version++) {
        for (size_t i = 0; i < BASE_COUNT(bad); i++) {
            client_connect(&c, 0, version);
            client_startup(&c, NULL);
            ck_assert_int_eq(c.message.opcode, CQL_OPCODE_AUTHENTICATE);
            authenticate(&c, bad[i].token, bad[i].len);
            client_expect_error(&c, CQL_ERROR_CREDENTIALS, bad[i].says);
            client_expect_end(&c);
            client_close(&c);
        }
        client_connect(&c, 0, version);
        client_startup(&c, NULL);
        struct base_reader r = base_reader(c.message.body);
        struct base_slice class;
        ck_assert(cql_wire_get_string(&r, &class));
        ck_assert(base_slice_equal(class, S("org.apache.cassandra.auth.PasswordAuthenticator")));
        client_fails(&c, "SELECT key FROM system.local", CQL_ERROR_PROTOCOL,
                     "expecting AUTH_RESPONSE");
        client_close(&c);
        client_connect(&c, 0, version);
        client_startup(&c, NULL);
        authenticate(&c, "\0cassandra\0cassandra", 20);
        ck_assert_msg(c.message.opcode == CQL_OPCODE_AUTH_SUCCESS, "%.*s",
                      BASE_SLICE_ARG(c.error.message));
        client_query(&c, "SELECT key FROM system.local");
        client_close(&c);
    }
}
END_TEST

START_TEST(beyond_loopback_clients_log_in)
{
    struct node_option options[] = {{"cql", "0.0.0.0:0"}, {"listen", with_port("127.0.0.1:@")}};
    char dir[128];
    daemons_setup();
    snprintf(dir, sizeof dir, "%s/refused", fixture.dir);
    struct node_config config = {
        .dir = dir, .options = options, .option_count = BASE_COUNT(options)};
    struct node *node;
    FAILS(BASE_E_CONFIG, node_open(&config, &node, &fixture.err));
    SAYS("set authenticator: PasswordAuthenticator");
}
END_TEST

/* Events. */

static void enlist(struct client *client, const char *kind)
{
    struct base_buf body;
    const struct base_slice kinds[] = {S(kind)};
    base_buf_init(&body, 256);
    ck_assert_int_eq(cql_wire_put_string_list(&body, kinds, 1), BASE_OK);
    client_call(client, CQL_OPCODE_REGISTER, base_buf_view(&body));
    base_buf_fini(&body);
}

static void expect_event(struct client *client, const char *change, const char *target,
                         const char *keyspace, const char *name)
{
    client_receive(client);
    ck_assert_int_eq(client->message.opcode, CQL_OPCODE_EVENT);
    ck_assert_int_eq(client->message.stream, -1);
    const struct cql_event *e = &client->event;
    ck_assert_msg(
        base_slice_equal(e->change, S(change)) && base_slice_equal(e->target, S(target)) &&
            base_slice_equal(e->keyspace, S(keyspace)) && base_slice_equal(e->name, S(name)),
        "%.*s %.*s %.*s.%.*s, not %s %s %s.%s", BASE_SLICE_ARG(e->change),
        BASE_SLICE_ARG(e->target), BASE_SLICE_ARG(e->keyspace), BASE_SLICE_ARG(e->name), change,
        target, keyspace, name);
}

START_TEST(schema_events)
{
    client_tables(&c);
    client_open(&c, 0, 5);
    client_open(&d, 0, 4);
    enlist(&c, "NOTHING");
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "Invalid value 'NOTHING' for Event.Type");
    enlist(&c, "SCHEMA_CHANGE");
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_READY);
    client_query(&d, "CREATE TABLE lab.u (k int PRIMARY KEY)");
    expect_event(&c, "CREATED", "TABLE", "lab", "u");
    client_query(&d, "ALTER TABLE lab.u ADD v int");
    expect_event(&c, "UPDATED", "TABLE", "lab", "u");
    client_query(&d, "CREATE TYPE lab.p (x int)");
    expect_event(&c, "CREATED", "TYPE", "lab", "p");
    client_query(&d, "ALTER KEYSPACE lab WITH durable_writes = false");
    expect_event(&c, "UPDATED", "KEYSPACE", "lab", "");
    client_query(&d, "CREATE INDEX ON lab.u (v)");
    expect_event(&c, "UPDATED", "TABLE", "lab", "u");
    client_query(&d, "DROP TABLE lab.u");
    expect_event(&c, "DROPPED", "TABLE", "lab", "u");
    client_query(&d, "TRUNCATE lab.t"); /* changes no schema */
    client_query(&d, "DROP KEYSPACE lab");
    expect_event(&c, "DROPPED", "TABLE", "lab", "t");
    expect_event(&c, "DROPPED", "TYPE", "lab", "p");
    expect_event(&c, "DROPPED", "KEYSPACE", "lab", "");
    ck_assert(client_is_quiet(&c, 100));
    ck_assert(client_is_quiet(&d, 1)); /* who did not ask is told nothing */
    client_close(&c);
    client_close(&d);
}
END_TEST

static void expect_node(struct client *client, enum cql_event_kind kind, const char *change,
                        uint8_t last_byte, int32_t port)
{
    client_receive(client);
    ck_assert_int_eq(client->message.opcode, CQL_OPCODE_EVENT);
    ck_assert_int_eq(client->event.kind, kind);
    ck_assert_msg(base_slice_equal(client->event.change, S(change)), "%.*s, not %s",
                  BASE_SLICE_ARG(client->event.change), change);
    ck_assert_uint_eq(client->event.address.len, 4);
    ck_assert_uint_eq(client->event.address.data[3], last_byte);
    ck_assert(port == 0 || client->event.port == port);
}

struct announced {
    struct node *node;
    uint16_t port;
};

static void announce_on_loop(void *ctx, struct repl *repl)
{
    struct announced *a = ctx;
    nodei_native_announce(a->node, repl, a->port);
}

static void announce(int i, uint16_t port)
{
    struct announced a = {daemons[i].node, port};
    OK(nodei_on_loop(a.node, announce_on_loop, &a, &fixture.err));
}

START_TEST(events_of_members)
{
    daemons_one();
    client_open(&c, 0, 4);
    client_open(&d, 0, 4);
    enlist(&c, "STATUS_CHANGE");
    enlist(&d, "TOPOLOGY_CHANGE");
    daemon_open(1, NULL);
    expect_node(&d, CQL_EVENT_TOPOLOGY_CHANGE, "NEW_NODE", 2, native_port(1));
    expect_node(&c, CQL_EVENT_STATUS_CHANGE, "UP", 2, native_port(1));
    daemon_close(1);
    expect_node(&c, CQL_EVENT_STATUS_CHANGE, "DOWN", 2, 0);
    daemon_open(1, NULL);
    expect_node(&c, CQL_EVENT_STATUS_CHANGE, "UP", 2, native_port(1));
    ck_assert(client_is_quiet(&d, 100));
    announce(1, 0); /* alive, and serves no clients for a while: nothing else changes */
    expect_node(&c, CQL_EVENT_STATUS_CHANGE, "DOWN", 2, 0);
    announce(1, 9999);
    expect_node(&c, CQL_EVENT_STATUS_CHANGE, "UP", 2, 9999);
    client_close(&c);
    client_close(&d);
}
END_TEST

/* Whatever the daemon has open of its commit log takes nothing any more: a full disk. */
static void fill_disk(int daemon)
{
    char link[64], path[256];
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), replaced = 0;
    ck_assert_int_ge(full, 0);
    for (int fd = 3; fd < 1024; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path - 1);
        if (len <= 0)
            continue;
        path[len] = 0;
        if (strstr(path, daemons[daemon].dir) && strstr(path, "commitlog"))
            replaced += dup2(full, fd) == fd;
    }
    close(full);
    ck_assert_int_gt(replaced, 0);
}

/* A replica that says no: v5 names it, and why; v4 counts it. */
START_TEST(a_replica_that_fails)
{
    daemons_setup();
    daemon_open(0, NULL);
    daemon_open(1, "seeds", with_port("127.0.0.1:@"), NULL);
    daemons_settle(2);
    client_open(&c, 0, 5);
    client_query(&c, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                     "'replication_factor': 2}");
    client_query(&c, "CREATE TABLE lab.t (k int PRIMARY KEY, v text)");
    struct cql_query q = {
        .text = S("INSERT INTO lab.t (k, v) VALUES (1, 'x')"),
        .options = {.consistency = NODE_CL_ALL, .serial_consistency = CQL_SERIAL_DEFAULT}};
    client_query_full(&c, &q);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    fill_disk(1);
    client_query_full(&c, &q);
    client_expect_error(&c, CQL_ERROR_WRITE_FAILURE, "1 failed");
    ck_assert(c.error.outcome.required == 2 && c.error.outcome.received == 1);
    ck_assert_uint_eq(c.error.failure_map_count, 1);
    ck_assert(base_slice_equal(c.error.failure_map[0].address,
                               base_slice((const uint8_t *)"\x7f\0\0\2", 4)));
    ck_assert_uint_eq(c.error.failure_map[0].reason, CQL_FAILED_UNKNOWN);
    client_open(&d, 0, 4);
    client_query_full(&d, &q);
    client_expect_error(&d, CQL_ERROR_WRITE_FAILURE, "1 failed");
    ck_assert_uint_eq(d.error.outcome.failures, 1);
    q.options.consistency = NODE_CL_ONE;
    client_query_full(&d, &q);
    ck_assert_int_eq(d.message.opcode, CQL_OPCODE_RESULT);
    client_close(&c);
    client_close(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native_events");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, NULL, daemons_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, passwords);
    tcase_add_test(tc, beyond_loopback_clients_log_in);
    tcase_add_test(tc, schema_events);
    tcase_add_test(tc, events_of_members);
    tcase_add_test(tc, a_replica_that_fails);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
