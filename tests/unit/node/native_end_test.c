/* The native protocol's listener and ends: clients that talk nonsense or go in the middle of
 * requests, and a node that ends while clients wait. Without these a broken client could bring a
 * node down or leave its requests' memory there, and a draining one forget answers. */
#include <poll.h>
#include <unistd.h>

#include "node/native_private.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"
#include "tests/unit/node/native_client.h"

static struct client c, d;

/* Whatever comes: the node goes on, and keeps nothing of it. */
START_TEST(garbage)
{
    struct rng rng = rng_seeded(11);
    client_tables(&c);
    for (int round = 0; round < 150; round++) {
        uint8_t bytes[600];
        size_t len = 1 + rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = rng_chance(&rng, 70) ? (uint8_t)rng_below(&rng, 8) : (uint8_t)rng_u64(&rng);
        bytes[0] = (uint8_t)(rng_chance(&rng, 80) ? 3 + rng_below(&rng, 3) : rng_u64(&rng));
        if (rng_chance(&rng, 60)) {
            client_open(&c, 0, (uint8_t)(3 + rng_below(&rng, 3)));
            if (rng_chance(&rng, 50) && c.out.version < 5)
                bytes[0] = c.out.version;
        } else {
            client_connect(&c, 0, 4);
        }
        if (rng_chance(&rng, 50) && len >= 9)
            base_put_be32(bytes + 5, (uint32_t)(rng_chance(&rng, 80) ? len - 9 : rng_u64(&rng)));
        client_send_raw(&c, bytes, len);
        if (rng_chance(&rng, 30)) /* wait for what it says, if anything */
            poll(&(struct pollfd){.fd = c.fd, .events = POLLIN}, 1, 20);
        client_close(&c);
    }
    client_open(&c, 0, 4);
    client_query(&c, "SELECT key FROM system.local");
    client_close(&c);
    UNTIL(native_bytes_held(0) == 0, "%zu bytes are kept", native_bytes_held(0));
}
END_TEST

/* Gone in the middle of requests: their memory goes with their end. */
START_TEST(gone_while_asked)
{
    struct base_buf body;
    base_buf_init(&body, 1024);
    client_tables(&c);
    const struct cql_query q = {.text = S("INSERT INTO lab.t (k, c) VALUES (1, 1)"),
                                .options = {.consistency = NODE_CL_ONE}},
                           r = {.text = S("SELECT * FROM lab.t"),
                                .options = {.consistency = NODE_CL_ONE}};
    for (int round = 0; round < 50; round++) {
        client_open(&c, 0, 4);
        for (int i = 0; i < 200; i++) {
            base_buf_reset(&body);
            ck_assert_int_eq(cql_put_query(&body, 4, i % 2 ? &q : &r), BASE_OK);
            ck_assert_int_eq(cql_wire_begin(&c.out, CQL_OPCODE_QUERY, (int16_t)i, 0), BASE_OK);
            ck_assert_int_eq(base_buf_put_slice(&c.out.bytes, base_buf_view(&body)), BASE_OK);
            ck_assert_int_eq(cql_wire_end(&c.out), BASE_OK);
        }
        client_flush(&c);
        if (round % 2)
            usleep(300);
        client_close(&c);
    }
    UNTIL(native_bytes_held(0) == 0, "%zu bytes are kept", native_bytes_held(0));
    base_buf_fini(&body);
}
END_TEST

/* The node drains with clients connected: what is under way is answered, then they are let go. */
START_TEST(the_node_ends)
{
    client_tables(&c);
    client_open(&c, 0, 4);
    client_open(&d, 0, 5);
    client_query(&c, "SELECT key FROM system.local");
    daemon_close(0);
    client_expect_end(&c);
    client_expect_end(&d);
    client_close(&c);
    client_close(&d);
}
END_TEST

/* An answer of the loop's last turn goes out before its connection is closed. */
static void answer_and_close(void *ctx, struct repl *repl)
{
    struct nodei_cluster *cluster = daemons[0].node->cluster;
    (void)ctx;
    (void)repl;
    ck_assert(cluster->native && cluster->native->conns);
    cluster->serves_clients = false;
    nodei_conn_answer(cluster->native->conns, CQL_OPCODE_READY, 7, (struct base_slice){0});
    nodei_native_close(cluster->native);
    cluster->native = NULL;
}

START_TEST(the_last_answer)
{
    daemons_one();
    client_open(&c, 0, 5);
    OK(nodei_on_loop(daemons[0].node, answer_and_close, NULL, &fixture.err));
    client_receive(&c);
    ck_assert(c.message.opcode == CQL_OPCODE_READY && c.message.stream == 7);
    client_expect_end(&c);
    client_close(&c);
}
END_TEST

/* A change of the schema that waits for the loop to take up what it was made against ends before
 * the node does. */
static struct nodei_change waiting;
static struct base_change change_ahead;
static bool has_ended;

static void waiting_done(struct nodei_change *change)
{
    ck_assert(change == &waiting && !has_ended);
    has_ended = true;
}

static void start_waiting(void *ctx, struct repl *repl)
{
    (void)ctx;
    change_ahead = (struct base_change){.kind = BASE_CHANGE_KEYSPACE_DROP,
                                        .keyspace = S("nothing"),
                                        .expected_epoch = repl_epoch(repl) + 1000};
    waiting = (struct nodei_change){.done = waiting_done};
    has_ended = false;
    nodei_change_start(daemons[0].node, &waiting, &change_ahead);
}

START_TEST(the_node_ends_while_a_change_waits)
{
    daemons_one();
    OK(nodei_on_loop(daemons[0].node, start_waiting, NULL, &fixture.err));
    ck_assert(!has_ended);
    daemon_close(0);
    ck_assert(has_ended);
    ck_assert_int_eq(waiting.repl.outcome.rc, BASE_E_CLOSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native_end");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, NULL, daemons_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, garbage);
    tcase_add_test(tc, gone_while_asked);
    tcase_add_test(tc, the_node_ends);
    tcase_add_test(tc, the_last_answer);
    tcase_add_test(tc, the_node_ends_while_a_change_waits);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
