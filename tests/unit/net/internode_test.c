/* Peers over HTTP, between nodes of one loop. Breaks without it: messages that are lost, doubled or
 * changed on the way, that wait for others, or that somebody without the secret can send. */
#include <stdio.h>
#include <time.h>

#include "net/internode_private.h"
#include "tests/unit/net/peers.h"

static struct peer_node a, b;

static void start(void)
{
    peers_start();
    peer_prepare(&a, 1, "a secret of the cluster, 32 bytes");
    peer_prepare(&b, 2, "a secret of the cluster, 32 bytes");
    peer_open(&a);
    peer_open(&b);
}

static void stop(void)
{
    peer_close(&a);
    peer_close(&b);
    peers_stop();
}

static struct net_internode_stats stats_of(const struct peer_node *node)
{
    struct net_internode_stats stats;
    net_internode_get_stats(node->internode, &stats);
    return stats;
}

START_TEST(request_and_reply)
{
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 7, 200, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_reply, 7);
    ck_assert_uint_eq(a.reply_bytes, 200);
    ck_assert_uint_eq(a.bad + b.bad, 0);
    /* and back, without a body */
    ck_assert_int_eq(peer_send(&b, a.address, 0, 0, 8, 0, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(stats_of(&b).inbound_bytes, 0);
    ck_assert_uint_eq(stats_of(&a).hellos, 2); /* one said, one answered */
}
END_TEST

START_TEST(one_way_has_no_reply)
{
    for (uint64_t id = 1; id <= 10; id++)
        ck_assert_int_eq(
            peer_send(&a, b.address, 0, BASE_MESSAGE_ONE_WAY, id, 50, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.one_ways, 10, PEER_PATIENCE_MS));
    peers_run_for(50);
    ck_assert_uint_eq(a.replies + a.undelivered, 0);
    ck_assert_uint_eq(stats_of(&a).posts_sent, 1); /* gathered */
}
END_TEST

START_TEST(many_messages)
{
    enum { MANY = 5000 };
    for (uint64_t id = 1; id <= MANY; id++)
        ck_assert_int_eq(
            peer_send(&a, b.address, (int)(id % 3), 0, id, (size_t)(id % 500), PEER_PATIENCE_MS),
            BASE_OK);
    ck_assert(peers_run_until(&a.replies, MANY, PEER_PATIENCE_MS));
    ck_assert_uint_eq(b.requests, MANY);
    ck_assert_uint_eq(a.bad + b.bad + a.undelivered, 0);
    ck_assert_uint_lt(stats_of(&a).posts_sent, MANY / 20);
    ck_assert_uint_eq(stats_of(&a).queued_bytes, 0);
}
END_TEST

START_TEST(big_messages)
{
    static const size_t sizes[] = {16u << 20, 1, 5u << 20, 300000, 65536};
    for (size_t i = 0; i < BASE_COUNT(sizes); i++) {
        ck_assert_int_eq(peer_send(&a, b.address, 2, 0, i + 1, sizes[i], PEER_PATIENCE_MS),
                         BASE_OK);
        ck_assert(peers_run_until(&a.replies, i + 1, PEER_PATIENCE_MS));
    }
    ck_assert_uint_eq(a.bad + b.bad, 0);
    ck_assert_uint_eq(a.reply_bytes, (16u << 20) + 1 + (5u << 20) + 300000 + 65536);
    ck_assert_int_eq(peer_send(&a, b.address, 2, 0, 9, (17u << 20), PEER_PATIENCE_MS),
                     BASE_E_LIMIT);
}
END_TEST

START_TEST(replies_stream_as_they_come)
{
    b.mode = PEER_HOLD;
    for (uint64_t id = 1; id <= 3; id++)
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.requests, 3, PEER_PATIENCE_MS));
    ck_assert_uint_eq(stats_of(&a).posts_sent, 1);
    ck_assert_uint_gt(stats_of(&b).inbound_bytes, 300);
    struct net_inbound *first = b.held[0];
    b.held[0] = b.held[2];
    b.held_count = 2;
    struct base_message message = first->message;
    message.flags = BASE_MESSAGE_REPLY;
    message.sender = b.config.host_id;
    net_internode_reply(b.internode, first, &message);
    ck_assert(
        peers_run_until(&a.replies, 1, PEER_PATIENCE_MS)); /* though the others are not answered */
    ck_assert_uint_eq(a.last_reply, 1);
    peers_run_for(20);
    ck_assert_uint_eq(a.replies, 1);
    net_internode_drop(b.internode, b.held[0]); /* no reply for id 3 */
    b.held[0] = b.held[1];
    b.held_count = 1;
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, 2, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_reply, 2);
    while (stats_of(&b).inbound_bytes)
        peers_run_for(5);
    ck_assert_uint_eq(a.undelivered, 0);
}
END_TEST

/* Replies that follow each other closely wait for each other, but not for the last. */
START_TEST(replies_in_a_row)
{
    enum { ROW = 300 };
    b.mode = PEER_HOLD;
    for (uint64_t id = 1; id <= ROW; id++)
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 20, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.requests, ROW, PEER_PATIENCE_MS));
    struct net_internode_stats before = stats_of(&b);
    for (size_t i = 0; i + 1 < ROW; i++) {
        struct base_message message = b.held[i]->message;
        message.flags = BASE_MESSAGE_REPLY;
        message.sender = b.config.host_id;
        net_internode_reply(b.internode, b.held[i], &message);
        peers_run_for(0); /* a turn or two */
    }
    b.held[0] = b.held[ROW - 1];
    b.held_count = 1;
    ck_assert(peers_run_until(&a.replies, ROW - 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.bad, 0);
    size_t one_by_one = (ROW - 1) * (NETI_FRAME_HEADER + 20 + NETI_CHUNK_HEADER);
    ck_assert_uint_lt(stats_of(&b).bytes_sent - before.bytes_sent, one_by_one);
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, ROW, PEER_PATIENCE_MS));
}
END_TEST

START_TEST(a_slow_reply_delays_nobody)
{
    b.mode = PEER_HOLD;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.requests, 1, PEER_PATIENCE_MS));
    b.mode = PEER_ECHO;
    for (uint64_t id = 2; id < 50; id++) {
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 100, PEER_PATIENCE_MS), BASE_OK);
        ck_assert(peers_run_until(&a.replies, id - 1, PEER_PATIENCE_MS));
    }
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, 49, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_reply, 1);
}
END_TEST

START_TEST(expired_in_the_queue)
{
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    b.mode = PEER_HOLD; /* posts_max POSTs without an answer: the queue stands still */
    for (uint64_t id = 2; id < 10; id++) {
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 10, PEER_PATIENCE_MS), BASE_OK);
        ck_assert(peers_run_until(&b.requests, id, PEER_PATIENCE_MS));
    }
    ck_assert_uint_eq(stats_of(&a).posts_sent, 9);
    for (uint64_t id = 10; id < 15; id++)
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 10, 50), BASE_OK);
    peers_run_for(60);
    peer_drop_held(&b); /* their time has passed before there is room for them */
    while (stats_of(&a).expired < 5)
        peers_run_for(10);
    ck_assert_uint_eq(b.requests, 9);
    ck_assert_uint_eq(stats_of(&a).expired, 5);
    ck_assert_uint_eq(a.undelivered, 0); /* deadlines are the caller's */
    ck_assert_uint_eq(stats_of(&a).queued_bytes, 0);
}
END_TEST

START_TEST(nobody_there)
{
    ck_assert_int_eq(peer_send(&a, "127.0.0.1:1", 1, 0, 5, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert_int_eq(peer_send(&a, "127.0.0.1:1", 0, BASE_MESSAGE_ONE_WAY, 6, 10, PEER_PATIENCE_MS),
                     BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_undelivered, 5);
    ck_assert_uint_eq(stats_of(&a).undelivered, 2);
    ck_assert_int_eq(peer_send(&a, "nonsense:x", 1, 0, 7, 10, PEER_PATIENCE_MS), BASE_E_INVALID);
}
END_TEST

START_TEST(a_peer_restarts)
{
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    peer_close(&b);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 2, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    b.config.generation++;
    peer_open(&b); /* the same port, no session */
    for (uint64_t id = 3; id < 6; id++)
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 4, PEER_PATIENCE_MS));
    ck_assert_uint_eq(stats_of(&a).hellos, 2);
    ck_assert_uint_eq(stats_of(&b).refused, 1); /* "no session", once */
    ck_assert_uint_eq(b.requests, 4);
    ck_assert_uint_eq(a.undelivered, 1);
}
END_TEST

START_TEST(wrong_credentials)
{
    snprintf(a.secret, sizeof a.secret, "another secret, that is not theirs");
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_ptr_nonnull(strstr(a.logged, "the cluster secret is not this node's"));
    a.secret[0] = 0;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 2, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 2, PEER_PATIENCE_MS));
    ck_assert_uint_eq(b.requests, 0);
    ck_assert_uint_eq(stats_of(&b).refused, 1);
}
END_TEST

START_TEST(another_cluster)
{
    peer_close(&b);
    b.config.cluster_name = "Other";
    peer_open(&b);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_ptr_nonnull(strstr(a.logged, "this is a node of \\\"Other\\\""));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(a_guest_names_no_cluster)
{
    peer_close(&a);
    a.config.cluster_name = "";
    peer_open(&a);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, 0), BASE_OK); /* nor a time */
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_gt(b.last_timeout_ms, 5000);
    peer_close(&b);
    b.config.cluster_name = "\x1b[2J";
    peer_open(&b);
    ck_assert_int_eq(peer_send(&b, a.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_ptr_nonnull(strstr(a.logged, "the cluster \"?[2J\""));
    ck_assert_ptr_null(strchr(b.logged, 0x1b));
}
END_TEST

START_TEST(over_ipv6)
{
    struct net_http_server_config http = b.http;
    struct net_http_server *probe;
    http.host = "::1";
    http.port = 0;
    if (net_http_server_open(peers_loop, &http, &probe, NULL) != BASE_OK)
        return; /* this machine has none */
    net_http_server_close(probe);
    peer_close(&b);
    b.http.host = "::1";
    peer_open(&b);
    snprintf(b.address, sizeof b.address, "[::1]:%u", b.port);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_int_eq(peer_send(&b, a.address, 1, 0, 2, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.replies, 1, PEER_PATIENCE_MS));
}
END_TEST

START_TEST(another_host_id)
{
    struct base_message message = {
        .id = 1, .sender = a.config.host_id, .timeout_ms = PEER_PATIENCE_MS};
    struct base_uuid to = {{9}};
    ck_assert_int_eq(
        net_internode_send(a.internode, base_slice_str(b.address), to, 1, false, &message),
        BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    message.id = 2;
    ck_assert_int_eq(net_internode_send(a.internode, base_slice_str(b.address), b.config.host_id, 1,
                                        false, &message),
                     BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(b.requests, 1);
}
END_TEST

START_TEST(overloaded_queue)
{
    peer_close(&a);
    a.config.queue_bytes_max = 10000;
    peer_open(&a);
    int rc = BASE_OK;
    uint64_t sent = 0;
    while (rc == BASE_OK && sent < 1000)
        rc = peer_send(&a, b.address, 1, 0, ++sent, 500, PEER_PATIENCE_MS);
    ck_assert_int_eq(rc, BASE_E_OVERLOADED);
    ck_assert_uint_lt(sent, 21);
    ck_assert(peers_run_until(&a.replies, sent - 1, PEER_PATIENCE_MS));
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, sent, 500, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, sent, PEER_PATIENCE_MS));
}
END_TEST

START_TEST(overloaded_receiver)
{
    peer_close(&b);
    b.config.inbound_bytes_max = 5000;
    peer_open(&b);
    b.mode = PEER_HOLD;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 2000, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.requests, 1, PEER_PATIENCE_MS));
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 2, 2000, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_undelivered, 2);
    ck_assert_uint_eq(stats_of(&b).overloaded, 1);
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
}
END_TEST

START_TEST(compressed)
{
    struct base_message message = {
        .id = 3, .sender = a.config.host_id, .timeout_ms = PEER_PATIENCE_MS};
    static uint8_t body[100000];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = peer_byte(3, i);
    message.body = base_slice(body, sizeof body);
    ck_assert_int_eq(net_internode_send(a.internode, base_slice_str(b.address), b.config.host_id, 2,
                                        true, &message),
                     BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.bad + b.bad, 0);
    ck_assert_uint_eq(a.reply_bytes, sizeof body);
    ck_assert_uint_lt(stats_of(&a).bytes_sent, sizeof body / 10);
    ck_assert_uint_lt(stats_of(&b).bytes_sent, sizeof body / 10);
}
END_TEST

/* Two requests that are held, the first answered and the answer received, all before `ms` are
 * over: false where this machine was too slow for that, and nothing is held. */
static bool one_of_two_answered(uint32_t ms)
{
    uint64_t requests = b.requests, replies = a.replies;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 100, ms), BASE_OK);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 2, 100, ms), BASE_OK);
    peers_run_until(&b.requests, requests + 2, ms);
    if (b.requests == requests + 2) {
        struct net_inbound *other = b.held[1];
        b.held_count = 1;
        peer_answer_held(&b);
        b.held[b.held_count++] = other;
        if (peers_run_until(&a.replies, replies + 1, ms))
            return true;
    }
    peer_drop_held(&b);
    peers_run_for(ms);
    return false;
}

START_TEST(the_receiver_goes_while_it_answers)
{
    uint32_t ms = 300;
    b.mode = PEER_HOLD;
    while (!one_of_two_answered(ms))
        ms *= 2;
    struct net_inbound *other = b.held[0];
    b.held_count = 0;
    uint64_t replies = a.replies;
    peers_run_for(ms + 200); /* the sender's POST is over its deadline: it hangs up */
    b.held[b.held_count++] = other;
    peer_answer_held(&b);
    while (stats_of(&b).inbound_bytes)
        peers_run_for(5);
    peers_run_for(50);
    ck_assert_uint_eq(a.replies, replies);
    ck_assert_uint_eq(a.undelivered, 0);
}
END_TEST

/* Processor time is what tells a loop that sleeps from one that spins; 30 ms of half a second are
 * far from both. */
static bool sleeps_for(unsigned ms)
{
    clock_t before = clock();
    peers_run_for(ms);
    return (double)(clock() - before) / CLOCKS_PER_SEC < 0.03;
}

START_TEST(waiting_costs_nothing)
{
    ck_assert(sleeps_for(500));
    b.mode = PEER_HOLD;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 2, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&b.requests, 2, PEER_PATIENCE_MS));
    ck_assert(sleeps_for(500)); /* not answered */
    b.held_count--;
    struct net_inbound *other = b.held[1];
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert(sleeps_for(500)); /* half answered */
    b.held[b.held_count++] = other;
    peer_answer_held(&b);
    ck_assert(peers_run_until(&a.replies, 2, PEER_PATIENCE_MS));
    ck_assert(sleeps_for(500)); /* connections kept */
}
END_TEST

START_TEST(kept_connections_that_were_closed)
{
    peer_close(&b);
    b.http.idle_timeout_s = 1;
    peer_open(&b);
    for (uint64_t id = 1; id <= 3; id++) {
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 100, PEER_PATIENCE_MS), BASE_OK);
        ck_assert(peers_run_until(&a.replies, id, PEER_PATIENCE_MS));
        /* the last: about when the server hangs up */
        peers_run_for(id == 1 ? 2500 : 900 + 50 * (unsigned)id);
    }
    ck_assert_uint_eq(a.undelivered, 0);
    ck_assert_uint_eq(b.requests, 3);
}
END_TEST

/* Some of many: those to whom something was sent lately stay. */
START_TEST(many_peers)
{
    char address[40];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(address, sizeof address, "127.0.1.%u:1", i + 1);
        ck_assert_int_eq(peer_send(&a, address, (int)(i % 3), 0, i + 1, 10, PEER_PATIENCE_MS),
                         BASE_OK);
    }
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1000, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 200, PEER_PATIENCE_MS));
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.internode->peer_count, 201);
    neti_peers_forget_idle(a.internode, neti_now(a.internode));
    ck_assert_uint_eq(a.internode->peer_count, 201);
    for (struct neti_peer *peer = a.internode->peers; peer; peer = peer->next)
        if (peer->port == 1)
            peer->used_ns -= NETI_PEER_IDLE_NS;
    neti_peers_forget_idle(a.internode, neti_now(a.internode));
    ck_assert_uint_eq(a.internode->peer_count, 1);
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1001, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert_int_eq(peer_send(&a, "127.0.1.1:1", 1, 0, 1002, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 2, PEER_PATIENCE_MS));
    ck_assert(peers_run_until(&a.undelivered, 201, PEER_PATIENCE_MS));
    ck_assert_uint_eq(stats_of(&a).hellos, 202);
}
END_TEST

/* A caller that sends again whatever was not delivered: the loop goes on, and so do others. */
static void send_again(void *ctx, uint64_t id)
{
    struct peer_node *node = ctx;
    node->undelivered++;
    ck_assert_int_eq(peer_send(node, "127.0.0.1:1", 1, 0, id, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert_int_eq(peer_send(node, b.address, 1, 0, id, 10, PEER_PATIENCE_MS), BASE_OK);
}

START_TEST(undelivered_is_sent_again)
{
    peer_close(&a);
    a.config.on_undelivered = send_again;
    peer_open(&a);
    ck_assert_int_eq(peer_send(&a, "127.0.0.1:1", 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 50, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.bad, 0);
}
END_TEST

START_TEST(a_log_that_is_not_filled)
{
    snprintf(a.secret, sizeof a.secret, "another secret, that is not theirs");
    for (uint64_t id = 1; id <= 20; id++) {
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 10, PEER_PATIENCE_MS), BASE_OK);
        ck_assert(peers_run_until(&a.undelivered, id, PEER_PATIENCE_MS));
    }
    unsigned lines = 0;
    for (const char *at = b.logged; (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_uint_ge(lines, 1);
    ck_assert_uint_le(lines, 2);
    ck_assert_uint_eq(b.internode->complaints + lines, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("internode");
    TCase *tc = tcase_create("internode");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, request_and_reply);
    tcase_add_test(tc, one_way_has_no_reply);
    tcase_add_test(tc, many_messages);
    tcase_add_test(tc, big_messages);
    tcase_add_test(tc, replies_stream_as_they_come);
    tcase_add_test(tc, replies_in_a_row);
    tcase_add_test(tc, a_slow_reply_delays_nobody);
    tcase_add_test(tc, expired_in_the_queue);
    tcase_add_test(tc, nobody_there);
    tcase_add_test(tc, a_peer_restarts);
    tcase_add_test(tc, wrong_credentials);
    tcase_add_test(tc, another_cluster);
    tcase_add_test(tc, over_ipv6);
    tcase_add_test(tc, another_host_id);
    tcase_add_test(tc, a_guest_names_no_cluster);
    tcase_add_test(tc, overloaded_queue);
    tcase_add_test(tc, overloaded_receiver);
    tcase_add_test(tc, compressed);
    tcase_add_test(tc, the_receiver_goes_while_it_answers);
    tcase_add_test(tc, waiting_costs_nothing);
    tcase_add_test(tc, kept_connections_that_were_closed);
    tcase_add_test(tc, many_peers);
    tcase_add_test(tc, undelivered_is_sent_again);
    tcase_add_test(tc, a_log_that_is_not_filled);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
