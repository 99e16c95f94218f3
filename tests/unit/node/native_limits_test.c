/* What clients of the native protocol can make the node hold. Without these one that does not read
 * his answers, or sends half of a message, takes the memory of all, or the place of others. */
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/native_private.h"
#include "tests/lib/ck.h"
#include "tests/unit/node/native_client.h"

enum { MIB = 1 << 20, WAIT_MS = 60000, STEP_MS = 10 };

static struct client c, d, e;

/* What is held now, and was at most since the last look. */
struct held {
    size_t requests, answers, paused, addresses, cut;
};

static void look(void *ctx, struct repl *repl)
{
    const struct nodei_native *native = daemons[0].node->cluster->native;
    (void)repl;
    *(struct held *)ctx =
        (struct held){native->limits.use.held[NODEI_POOL_REQUESTS],
                      native->limits.use.held[NODEI_POOL_ANSWERS], (size_t)native->stats.paused,
                      native->limits.address_count, (size_t)native->stats.connections_timed_out};
}

static struct held held(void)
{
    struct held h;
    OK(nodei_on_loop(daemons[0].node, look, &h, &fixture.err));
    return h;
}

/* Wait until the condition over `h` holds. */
#define HELD_UNTIL(condition)                                                                      \
    do {                                                                                           \
        struct held h = held();                                                                    \
        for (int ms = 0; ms < WAIT_MS && !(condition); ms += STEP_MS) {                            \
            usleep(STEP_MS * 1000);                                                                \
            h = held();                                                                            \
        }                                                                                          \
        ck_assert_msg(condition, "%s: requests %zu, answers %zu", #condition, h.requests,          \
                      h.answers);                                                                  \
    } while (0)

static void open_from(struct client *client, const char *address)
{
    client_connect_from(client, 0, 4, address);
    client_startup(client, NULL);
    ck_assert_int_eq(client->message.opcode, CQL_OPCODE_READY);
}

static void read_little(struct client *client)
{
    int small = 64 << 10;
    ck_assert_int_eq(setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
}

/* lab.t with `rows` rows of `size` bytes in one partition. */
static void wide_partition(int rows, int size)
{
    static char text[70000];
    client_open(&d, 0, 4);
    client_query(&d, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                     "'replication_factor': 1}");
    client_query(&d, "CREATE TABLE lab.t (k int, c int, v text, PRIMARY KEY (k, c))");
    for (int i = 0; i < rows; i++) {
        snprintf(text, sizeof text, "INSERT INTO lab.t (k, c, v) VALUES (1, %d, '%0*d')", i, size,
                 i);
        client_query(&d, text);
    }
    client_close(&d);
}

static struct base_buf query_body(const char *text, int page_size)
{
    const struct cql_query q = {.text = S(text),
                                .options = {.consistency = NODE_CL_ONE,
                                            .serial_consistency = CQL_SERIAL_DEFAULT,
                                            .has_page_size = page_size > 0,
                                            .page_size = page_size}};
    struct base_buf body;
    base_buf_init(&body, 8 * MIB);
    ck_assert_int_eq(cql_put_query(&body, 4, &q), BASE_OK);
    return body;
}

/* Answers that are not read: their sum stays in its limit, nobody of another address waits, and
 * nobody of the same one for ever; read, they are all there. */
START_TEST(answers_that_are_not_read)
{
    enum { COUNT = 600 };
    size_t most = 0;
    daemons_setup();
    daemon_open(0, "native_transport_max_response_data_in_flight", "16MiB", NULL);
    daemons_settle(1);
    wide_partition(1, 60000);
    open_from(&c, "127.0.0.1");
    read_little(&c);
    open_from(&d, "127.0.0.1");
    open_from(&e, "127.0.0.9");
    struct base_buf body = query_body("SELECT v FROM lab.t WHERE k = 1", 5000);
    for (int i = 0; i < COUNT; i++) /* 36 MB of answers */
        client_send(&c, CQL_OPCODE_QUERY, (int16_t)i, 0, base_buf_view(&body));
    /* below 256 KiB reading begins anew; the kernel may take some after it has stopped */
    HELD_UNTIL(h.answers > 128 << 10 && h.paused > 0);
    for (int i = 0; i < 50; i++) {
        client_query(&d, "SELECT v FROM lab.t WHERE k = 1");
        client_query(&e, "SELECT v FROM lab.t WHERE k = 1");
        size_t now = held().answers;
        most = now > most ? now : most;
    }
    ck_assert_msg(most <= 16 * MIB / 4 + 300000, "%zu", most); /* half of its address's share */
    for (int i = 0; i < COUNT; i++) {
        client_receive(&c);
        ck_assert_uint_eq(client_rows(&c), 1);
        base_arena_reset(&c.arena);
    }
    client_query(&c, "SELECT key FROM system.local");
    HELD_UNTIL(h.answers == 0 && h.requests == 0);
    base_buf_fini(&body);
    client_close(&c);
    client_close(&d);
    client_close(&e);
    HELD_UNTIL(h.addresses == 0);
}
END_TEST

/* A result in one that there is no room for is refused, with what to do; in pages all of it comes,
 * in shorter ones than were asked for. */
START_TEST(results_that_are_too_large)
{
    enum { ROWS = 100 };
    int next = 0, pages = 0;
    struct base_buf state;
    base_buf_init(&state, 1024);
    daemons_setup();
    daemon_open(0, "native_transport_max_response_data_in_flight", "4MiB", NULL);
    daemons_settle(1);
    wide_partition(ROWS, 60000);
    client_open(&c, 0, 4);
    client_fails(&c, "SELECT c, v FROM lab.t WHERE k = 1", CQL_ERROR_OVERLOADED, "use paging");
    client_fails(&c, "SELECT c, v FROM lab.t", CQL_ERROR_OVERLOADED, "use paging");
    client_query(&c, "SELECT count(*) FROM lab.t"); /* what is only looked at takes no room */
    do {
        const struct cql_query q = {.text = S("SELECT c, v FROM lab.t"),
                                    .options = {.consistency = NODE_CL_ONE,
                                                .serial_consistency = CQL_SERIAL_DEFAULT,
                                                .has_page_size = true,
                                                .page_size = 5000,
                                                .paging_state = base_buf_view(&state)}};
        struct cql_query first = q;
        if (pages == 0)
            first.options.paging_state = (struct base_slice){0};
        client_query_full(&c, &first);
        struct base_reader rows = base_reader(c.result.rows);
        ck_assert_uint_gt(client_rows(&c), 0);
        for (uint32_t i = 0; i < c.result.row_count; i++) {
            struct cql_value cells[2];
            ck_assert(cql_next_row(&rows, cells, 2));
            ck_assert_int_eq((int32_t)base_get_be32(cells[0].bytes.data), next++);
        }
        pages++;
        base_buf_reset(&state);
        ck_assert_int_eq(base_buf_put_slice(&state, c.result.paging_state), BASE_OK);
    } while (c.result.has_more);
    ck_assert_int_eq(next, ROWS);
    ck_assert_int_gt(pages, 4);
    HELD_UNTIL(h.answers == 0);
    base_buf_fini(&state);
    client_close(&c);
}
END_TEST

static void send_part(struct client *client, struct base_slice frame, size_t from, size_t to)
{
    client_send_raw(client, frame.data + from, to - from);
}

/* A QUERY's bytes as they go over the wire. */
static struct base_buf long_frame(size_t len, int16_t stream)
{
    static char text[MIB];
    memset(text, ' ', sizeof text);
    snprintf(text + len - 40, 41, "%-40s", "SELECT key FROM system.local");
    struct base_buf body = query_body(text, 0), frame;
    base_buf_init(&frame, 8 * MIB);
    uint8_t header[CQL_WIRE_HEADER_LEN] = {4, 0, 0, 0, CQL_OPCODE_QUERY};
    base_put_be16(header + 2, (uint16_t)stream);
    base_put_be32(header + 5, (uint32_t)body.len);
    ck_assert_int_eq(base_buf_put(&frame, header, sizeof header), BASE_OK);
    ck_assert_int_eq(base_buf_put_slice(&frame, base_buf_view(&body)), BASE_OK);
    base_buf_fini(&body);
    return frame;
}

/* Halves of messages are counted as the whole ones that they will be; those that there is no room
 * for wait, also behind each other, and all are answered; of another address nobody waits; who
 * asked for an error instead gets one. */
START_TEST(halves_of_messages)
{
    enum { COUNT = 6, LEN = 300000 };
    struct client many[COUNT];
    struct base_buf frame = long_frame(LEN, 1), shorter = long_frame(60000, 2);
    struct base_slice all = base_buf_view(&frame);
    daemons_setup();
    daemon_open(0, "native_transport_max_request_data_in_flight", "1MiB", NULL);
    daemons_settle(1);
    for (int i = 0; i < COUNT; i++)
        open_from(&many[i], "127.0.0.1");
    /* One that wants an error. */
    const struct cql_wire_pair pairs[] = {{S("CQL_VERSION"), S("3.0.0")},
                                          {S("THROW_ON_OVERLOAD"), S("1")}};
    struct base_buf startup;
    base_buf_init(&startup, 1024);
    ck_assert_int_eq(cql_wire_put_string_map(&startup, pairs, 2), BASE_OK);
    client_connect(&d, 0, 4);
    client_call(&d, CQL_OPCODE_STARTUP, base_buf_view(&startup));

    send_part(&many[0], all, 0, LEN / 2);
    HELD_UNTIL(h.requests >= LEN);
    for (int i = 1; i < COUNT; i++)
        send_part(&many[i], all, 0, all.len);
    HELD_UNTIL(h.paused >= COUNT - 1);
    ck_assert_uint_le(held().requests, MIB);
    ck_assert(client_is_quiet(&many[1], 50));
    open_from(&e, "127.0.0.9");
    client_query(&e, "SELECT key FROM system.local");

    for (int i = 0; i < 4; i++) {
        client_send_raw(&d, shorter.data, shorter.len);
        client_receive(&d);
        client_expect_error(&d, CQL_ERROR_OVERLOADED, "overloaded");
    }

    send_part(&many[0], all, LEN / 2, all.len);
    for (int i = 0; i < COUNT; i++) {
        client_receive(&many[i]);
        ck_assert_uint_eq(client_rows(&many[i]), 1);
    }
    client_send_raw(&d, shorter.data, shorter.len);
    client_receive(&d);
    ck_assert_uint_eq(client_rows(&d), 1);
    HELD_UNTIL(h.requests == 0);
    send_part(&many[0], all, 0, LEN / 2); /* and goes */
    HELD_UNTIL(h.requests >= LEN);
    for (int i = 0; i < COUNT; i++)
        client_close(&many[i]);
    HELD_UNTIL(h.requests == 0);
    client_close(&d);
    client_close(&e);
    base_buf_fini(&startup);
    base_buf_fini(&frame);
    base_buf_fini(&shorter);
}
END_TEST

/* Who has not logged in may not even announce a long message. */
START_TEST(a_strangers_message)
{
    struct base_buf frame = long_frame(200000, 1);
    daemons_one();
    client_connect(&c, 0, 4);
    send_part(&c, base_buf_view(&frame), 0, 1000);
    client_receive(&c);
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "Request is too big");
    client_expect_end(&c);
    client_close(&c);
    base_buf_fini(&frame);
}
END_TEST

static void be_impatient(void *ctx, struct repl *repl)
{
    (void)repl;
    daemons[0].node->cluster->native->patience_ns = *(uint64_t *)ctx;
}

/* A trickle of what is read does not keep a connection for ever. */
START_TEST(a_trickling_reader)
{
    enum { COUNT = 120 };
    uint64_t patience_ns = 2000000000;
    uint8_t byte;
    daemons_one();
    wide_partition(1, 60000);
    OK(nodei_on_loop(daemons[0].node, be_impatient, &patience_ns, &fixture.err));
    open_from(&c, "127.0.0.1");
    read_little(&c);
    struct base_buf body = query_body("SELECT v FROM lab.t WHERE k = 1", 5000);
    for (int i = 0; i < COUNT; i++)
        client_send(&c, CQL_OPCODE_QUERY, (int16_t)i, 0, base_buf_view(&body));
    HELD_UNTIL(h.answers > 128 << 10 || h.cut > 0);
    for (int ms = 0; ms < WAIT_MS && held().cut == 0; ms += STEP_MS) {
        ck_assert_int_eq(recv(c.fd, &byte, 1, 0), 1);
        usleep(STEP_MS * 1000);
    }
    ck_assert_uint_eq(held().cut, 1);
    HELD_UNTIL(h.answers == 0 && h.requests == 0);
    base_buf_fini(&body);
    client_close(&c);
}
END_TEST

static void push_events(void *ctx, struct repl *repl)
{
    struct nodei_native *native = daemons[0].node->cluster->native;
    static const uint8_t event[1000];
    (void)repl;
    for (int i = 0; i < 64 && native->conns; i++)
        nodei_conn_push(native->conns, base_slice(event, sizeof event));
    *(bool *)ctx = !native->conns || native->conns->closing;
}

/* Who registers and never reads is let go, not remembered everything for. */
START_TEST(events_that_are_not_read)
{
    bool ended = false;
    daemons_one();
    open_from(&c, "127.0.0.1");
    read_little(&c);
    for (int i = 0; i < 2000 && !ended; i++)
        OK(nodei_on_loop(daemons[0].node, push_events, &ended, &fixture.err));
    ck_assert(ended);
    ck_assert_uint_le(held().answers, 4 * MIB);
    client_close(&c);
    HELD_UNTIL(h.answers == 0);
}
END_TEST

/* A batch of many statements takes many turns of the loop. */
struct progress {
    size_t bound, count;
    bool seen;
};

static void look_at_batch(void *ctx, struct repl *repl)
{
    const struct nodei_native_request *r = daemons[0].node->cluster->native->binding;
    struct progress *p = ctx;
    (void)repl;
    p->seen = p->seen || (r && r->bound > 0 && r->bound < p->count);
}

static void put_batch(struct base_buf *body, size_t count, int32_t k)
{
    struct cql_batch_statement *statements = calloc(count, sizeof *statements);
    static char text[100];
    ck_assert_ptr_nonnull(statements);
    snprintf(text, sizeof text, "UPDATE lab.t SET v = 'x' WHERE k = %d AND c = 2", k);
    for (size_t i = 0; i < count; i++)
        statements[i].text = S(text);
    const struct cql_batch_request batch = {
        .kind = CQL_BATCH_UNLOGGED,
        .statements = statements,
        .statement_count = count,
        .options = {.consistency = NODE_CL_ONE, .serial_consistency = CQL_SERIAL_DEFAULT}};
    base_buf_init(body, 16 * MIB);
    ck_assert_int_eq(cql_put_batch(body, 4, &batch), BASE_OK);
    free(statements);
}

START_TEST(a_long_batch)
{
    struct progress progress = {.count = 5000};
    struct base_buf body;
    daemons_setup();
    daemon_open(0, "native_transport_max_request_data_in_flight", "256MiB", NULL);
    daemons_settle(1);
    wide_partition(1, 1);
    put_batch(&body, progress.count, 7);
    for (int tries = 0; tries < 20 && !progress.seen; tries++) {
        client_open(&c, 0, 4);
        client_send(&c, CQL_OPCODE_BATCH, 1, 0, base_buf_view(&body));
        struct pollfd answer = {.fd = c.fd, .events = POLLIN};
        while (!progress.seen && poll(&answer, 1, 0) == 0)
            OK(nodei_on_loop(daemons[0].node, look_at_batch, &progress, &fixture.err));
        if (tries % 2) /* gone before it is bound */
            client_receive(&c);
        client_close(&c);
        HELD_UNTIL(h.requests == 0);
    }
    ck_assert(progress.seen);
    client_open(&c, 0, 4);
    client_call(&c, CQL_OPCODE_BATCH, base_buf_view(&body));
    ck_assert_msg(c.message.opcode == CQL_OPCODE_RESULT, "0x%x %.*s", c.error.code,
                  BASE_SLICE_ARG(c.error.message));
    client_query(&c, "SELECT c FROM lab.t WHERE k = 7");
    ck_assert_int_eq(client_int(&c, 0), 2);
    base_buf_fini(&body);
    client_close(&c);
}
END_TEST

/* … and when it would take more memory than there is for its address, it is refused. */
START_TEST(a_batch_that_is_too_large)
{
    struct base_buf body;
    daemons_setup();
    daemon_open(0, "native_transport_max_request_data_in_flight", "16MiB", NULL);
    daemons_settle(1);
    wide_partition(1, 1);
    put_batch(&body, 5000, 7);
    client_open(&c, 0, 4);
    client_call(&c, CQL_OPCODE_BATCH, base_buf_view(&body));
    client_expect_error(&c, CQL_ERROR_OVERLOADED, "statements of a batch");
    client_query(&c, "SELECT c FROM lab.t WHERE k = 7");
    ck_assert_uint_eq(client_rows(&c), 0);
    HELD_UNTIL(h.requests == 0);
    base_buf_fini(&body);
    client_close(&c);
}
END_TEST

static const char password[] = "pass-word-that-must-go";

static bool has(const uint8_t *bytes, size_t len, const char *text)
{
    return bytes && memmem(bytes, len, text, strlen(text));
}

static void look_for_password(void *ctx, struct repl *repl)
{
    const struct nodei_native *native = daemons[0].node->cluster->native;
    const struct base_buf *bufs[] = {&native->receive, &native->spare_assembly,
                                     &native->spare_plain};
    (void)repl;
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        *(bool *)ctx |= has(bufs[i]->data, bufs[i]->cap, password);
}

/* What a login came in is wiped: plain, compressed, in segments, in one piece or two. */
START_TEST(logins_are_wiped)
{
    static const struct {
        uint8_t version;
        const char *compression;
    } modes[] = {{4, NULL}, {4, "lz4"}, {4, "snappy"}, {5, NULL}, {5, "lz4"}};
    char token[100];
    int len = snprintf(token, sizeof token, "%ccassandra%c%s", 0, 0, password);
    struct base_slice s = base_slice(token, (size_t)len);
    daemons_setup();
    daemon_open(0, "authenticator", "PasswordAuthenticator", NULL);
    daemons_settle(1);
    for (size_t i = 0; i < 2 * BASE_COUNT(modes); i++) {
        struct base_buf body;
        bool found = false;
        base_buf_init(&body, 1024);
        ck_assert_int_eq(cql_wire_put_bytes(&body, &s), BASE_OK);
        client_connect(&c, 0, modes[i / 2].version);
        client_startup(&c, modes[i / 2].compression);
        ck_assert_int_eq(c.message.opcode, CQL_OPCODE_AUTHENTICATE);
        ck_assert_int_eq(cql_wire_begin(&c.out, CQL_OPCODE_AUTH_RESPONSE, 3, 0), BASE_OK);
        ck_assert_int_eq(base_buf_put_slice(&c.out.bytes, base_buf_view(&body)), BASE_OK);
        ck_assert_int_eq(cql_wire_end(&c.out), BASE_OK);
        ck_assert_int_eq(cql_wire_flush(&c.out), BASE_OK);
        if (i % 2) { /* two pieces: the rest when the first was kept */
            client_send_raw(&c, c.out.bytes.data, c.out.bytes.len - 3);
            HELD_UNTIL(h.requests > 0);
            client_send_raw(&c, c.out.bytes.data + c.out.bytes.len - 3, 3);
        } else {
            client_send_raw(&c, c.out.bytes.data, c.out.bytes.len);
        }
        client_receive(&c);
        client_expect_error(&c, CQL_ERROR_CREDENTIALS, "incorrect");
        OK(nodei_on_loop(daemons[0].node, look_for_password, &found, &fixture.err));
        ck_assert_msg(!found, "version %u, %s", modes[i / 2].version, modes[i / 2].compression);
        base_buf_fini(&body);
        client_close(&c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native_limits");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, NULL, daemons_teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, answers_that_are_not_read);
    tcase_add_test(tc, results_that_are_too_large);
    tcase_add_test(tc, halves_of_messages);
    tcase_add_test(tc, a_strangers_message);
    tcase_add_test(tc, a_trickling_reader);
    tcase_add_test(tc, events_that_are_not_read);
    tcase_add_test(tc, a_long_batch);
    tcase_add_test(tc, a_batch_that_is_too_large);
    tcase_add_test(tc, logins_are_wiped);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
