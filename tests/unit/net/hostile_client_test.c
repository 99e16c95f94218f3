/* A node against whoever can reach its port. Breaks without it: a body that was recorded, changed,
 * cut or made up is acted upon; a slow or endless sender takes the node from the others; a flood of
 * hellos pushes out sessions that are in use. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/raw.h"

static const char messages[] = "/internode/v1/messages", hello[] = "/internode/v1/hello";
static const char secret[] = "a secret of the cluster, 32 bytes";
static struct peer_node a, b; /* b is attacked, a is one of those that must not suffer */
static struct net_internode_config client;
static struct neti_session *session;
static struct base_buf body, answer;

static void start(void)
{
    peers_start();
    peer_prepare(&a, 1, secret);
    peer_prepare(&b, 2, secret);
    b.http.idle_timeout_s = PEER_PATIENCE_MS / 1000;
    b.config.body_size_max = 1 << 20;
    b.config.frame_size_max = 1 << 16;
    peer_open(&a);
    peer_open(&b);
    client = a.config;
    client.host_id = (struct base_uuid){{7}};
    base_buf_init(&body, 16 << 20);
    base_buf_init(&answer, 1 << 20);
    raw_hello(&b, &client, &session);
}

static void stop(void)
{
    /* Whatever was done: others are served. */
    uint64_t replies = a.replies;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 99, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, replies + 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(b.bad, 0);
    neti_session_release(session);
    base_buf_fini(&body);
    base_buf_fini(&answer);
    peer_close(&a);
    peer_close(&b);
    peers_stop();
}

/* b anew, as b.config and b.http are now, and our session with it. */
static void reopen(void)
{
    peer_close(&b);
    peer_open(&b);
    neti_session_release(session);
    raw_hello(&b, &client, &session);
}

static unsigned post_body(void)
{
    return raw_post(b.port, messages, base_buf_view(&body), &answer);
}

static uint64_t refused(void)
{
    struct net_internode_stats stats;
    net_internode_get_stats(b.internode, &stats);
    return stats.refused;
}

START_TEST(a_good_body)
{
    struct neti_chunk chunk;
    struct base_err err = {0};
    raw_body(&body, &client, session, 1, 1, 10, 3, 1000);
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(b.requests, 3);
    struct base_reader in = base_reader(base_buf_view(&answer));
    ck_ok(neti_chunk_get(&in, session, 1, 1, 0, 1 << 20, &chunk, &err), err);
    ck_assert_uint_eq(chunk.flags, NETI_CHUNK_END);
    ck_assert_uint_eq(chunk.payload.len, 3 * NETI_FRAME_HEADER);
    in = base_reader(base_buf_view(&answer));
    /* it answers no other POST */
    ck_fails(neti_chunk_get(&in, session, 1, 2, 0, 1 << 20, &chunk, &err), BASE_E_CORRUPT, err);
    ck_fails(neti_chunk_get(&in, session, 0, 1, 0, 1 << 20, &chunk, &err), BASE_E_CORRUPT, err);
    raw_body(&body, &client, session, 1, 2, 0, 0, 0); /* without messages */
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(b.requests, 3);
}
END_TEST

START_TEST(recorded_bodies)
{
    raw_body(&body, &client, session, 1, 5, 10, 1, 1000);
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(post_body(), 403); /* again */
    ck_assert_uint_eq(b.requests, 1);
    raw_body(&body, &client, session, 1, 4, 11, 1, 1000); /* POSTs overtake each other */
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(post_body(), 403);
    raw_body(&body, &client, session, 0, 5, 12, 1, 1000); /* lanes count by themselves */
    ck_assert_uint_eq(post_body(), 200);
    raw_body(&body, &client, session, 1, 5 + NETI_WINDOW, 13, 1, 1000);
    ck_assert_uint_eq(post_body(), 200);
    raw_body(&body, &client, session, 1, 5, 14, 1, 1000); /* older than what is remembered */
    ck_assert_uint_eq(post_body(), 403);
    raw_body(&body, &client, session, 1, 6, 14, 1, 1000); /* the oldest that is */
    ck_assert_uint_eq(post_body(), 200);
    raw_body(&body, &client, session, 1, 0, 15, 1, 1000);
    ck_assert_uint_eq(post_body(), 403);
    ck_assert_uint_eq(b.requests, 5);
    ck_assert_uint_eq(refused(), 4);
}
END_TEST

START_TEST(changed_bodies)
{
    for (size_t at = 0; at < NETI_BODY_HEADER + NETI_FRAME_HEADER; at += at < 8 ? 1 : 5) {
        raw_body(&body, &client, session, 1, 100 + at, 10, 1, 1000);
        body.data[at] ^= 0x10;
        unsigned status = post_body();
        ck_assert_msg(status == 400 || status == 401 || status == 403 || status == 413,
                      "byte %zu: %u", at, status);
        body.data[at] ^= 0x10;
        ck_assert_uint_eq(post_body(), 200); /* a refused body's number is not used up */
        b.requests--;
    }
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(cut_bodies)
{
    raw_body(&body, &client, session, 1, 1, 10, 2, 1000);
    size_t whole = body.len;
    for (size_t len = 0; len < whole; len += 9) {
        body.len = len;
        unsigned status = post_body();
        ck_assert_msg(status == 400 || status == 403, "%zu bytes: %u", len, status);
    }
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(another_sessions_body)
{
    struct neti_session *other;
    uint8_t id[NETI_SESSION_ID_LEN];
    raw_hello(&b, &client, &other);
    raw_body(&body, &client, session, 1, 1, 10, 1, 1000);
    memcpy(body.data + 8, other->id, NETI_SESSION_ID_LEN);
    ck_assert_uint_eq(post_body(), 403);
    memcpy(id, other->id, sizeof id);
    memset(other->id, 0x55, sizeof other->id); /* nobody's */
    raw_body(&body, &client, other, 1, 1, 10, 1, 1000);
    ck_assert_uint_eq(post_body(), 401);
    memcpy(other->id, id, sizeof id);
    raw_body(&body, &client, other, 1, 1, 10, 1, 1000);
    ck_assert_uint_eq(post_body(), 200);
    neti_session_release(other);
    ck_assert_uint_eq(b.requests, 1);
}
END_TEST

/* Signed as it must be, by a peer that has the key and is broken or of another version. */
static unsigned post_signed(uint64_t sequence)
{
    ck_assert_int_eq(neti_body_seal(&body, session, 1, sequence, false), BASE_OK);
    return post_body();
}

START_TEST(signed_nonsense)
{
    static const int offsets[] = {0 /* version */, 1 /* flags */,   3 /* zero */,
                                  4 /* length */,  20 /* sender */, 60 /* checksum */};
    for (size_t i = 0; i < BASE_COUNT(offsets); i++) {
        raw_body(&body, &client, session, 1, 1, 10, 2, 1000);
        /* in the second: the first is not handed out either */
        body.data[NETI_BODY_HEADER + NETI_FRAME_HEADER + offsets[i]] ^= 0x82;
        ck_assert_msg(post_signed(1 + i) == 400, "byte %d", offsets[i]);
    }
    raw_body(&body, &client, session, 1, 1, 10, 1, 1000);
    ck_assert_int_eq(base_buf_put(&body, "tail", 4), BASE_OK);
    ck_assert_uint_eq(post_signed(20), 400);

    struct base_message message = {
        .verb = 1, .flags = BASE_MESSAGE_REPLY, .id = 5, .sender = client.host_id};
    raw_body(&body, &client, session, 1, 1, 0, 0, 0);
    ck_assert_int_eq(net_frame_put(&message, &body), BASE_OK);
    ck_assert_uint_eq(post_signed(21), 400);
    message.flags = 0;
    message.sender = a.config.host_id; /* in the name of another node */
    body.len = NETI_BODY_HEADER;
    ck_assert_int_eq(net_frame_put(&message, &body), BASE_OK);
    ck_assert_uint_eq(post_signed(22), 400);
    static uint8_t big[(1 << 16) + 1];
    message.sender = client.host_id;
    message.body = base_slice(big, sizeof big);
    body.len = NETI_BODY_HEADER;
    ck_assert_int_eq(net_frame_put(&message, &body), BASE_OK);
    ck_assert_uint_eq(post_signed(23), 400);
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(bombs)
{
    static uint8_t zeros[900000];
    raw_body(&body, &client, session, 1, 1, 0, 0, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(base_buf_put(&body, zeros, sizeof zeros), BASE_OK);
    ck_assert_int_eq(neti_body_seal(&body, session, 1, 1, true), BASE_OK);
    ck_assert_uint_lt(body.len, 20000); /* 1.8 MB inside, 1 MiB is taken */
    ck_assert_uint_eq(post_body(), 413);
    raw_body(&body, &client, session, 1, 1, 0, 0, 0);
    ck_assert_int_eq(base_buf_put(&body, zeros, sizeof zeros), BASE_OK);
    ck_assert_int_eq(neti_body_seal(&body, session, 1, 2, true), BASE_OK);
    ck_assert_uint_eq(post_body(), 400); /* zeros are no frames */
    static uint8_t huge[2 << 20];
    ck_assert_uint_eq(raw_post(b.port, hello, base_slice(huge, sizeof huge), &answer), 413);
    huge[0] = NETI_VERSION; /* no session of ours: nobody's large bodies are kept */
    ck_assert_uint_eq(
        raw_post(b.port, messages, base_slice(huge, NET_HTTP_PROBE_SIZE + 1), &answer), 413);
    ck_assert_uint_eq(raw_post(b.port, messages, base_slice(huge, NET_HTTP_PROBE_SIZE), &answer),
                      401);
    raw_body(&body, &client, session, 1, 3, 10, 2000, 1000); /* a large one of a session: taken */
    ck_assert_uint_gt(body.len, 2 * NET_HTTP_PROBE_SIZE - 10000);
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(b.requests, 2000);
    b.requests = 0;
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(a_slow_body)
{
    char head[300];
    static uint8_t in[4000];
    raw_body(&body, &client, session, 1, 1, 10, 2, 100);
    int fd = raw_connect(b.port);
    raw_head(head, sizeof head, b.port, messages, body.len);
    raw_send(fd, head, strlen(head));
    raw_send(fd, body.data, 100);
    peers_run_for(200);
    raw_send(fd, body.data + 100, body.len - 100);
    size_t len = raw_read(fd, in, sizeof in, sizeof in - 1, PEER_PATIENCE_MS);
    ck_assert_uint_gt(len, 12);
    ck_assert_mem_eq(in, "HTTP/1.1 200", 12);
    ck_assert_uint_eq(b.requests, 0); /* their time had passed */
    struct net_internode_stats stats;
    net_internode_get_stats(b.internode, &stats);
    ck_assert_uint_eq(stats.expired, 2);
    close(fd);
}
END_TEST

START_TEST(a_body_that_stops)
{
    char head[300];
    uint8_t in[1];
    b.http.idle_timeout_s = 1;
    reopen();
    raw_body(&body, &client, session, 1, 1, 10, 2, 100);
    int fd = raw_connect(b.port);
    raw_head(head, sizeof head, b.port, messages, body.len);
    raw_send(fd, head, strlen(head));
    raw_send(fd, body.data, 70); /* and nothing more */
    ck_assert_uint_eq(raw_read(fd, in, 1, sizeof in, PEER_PATIENCE_MS), 0);
    ck_assert_int_eq((int)recv(fd, in, sizeof in, 0), 0); /* closed after idle_timeout_s */
    close(fd);
}
END_TEST

/* Asks for much and reads nothing: what is kept for him is given back when his time is over. */
START_TEST(a_reader_that_does_not_read)
{
    static uint8_t much[60000];
    struct base_message message = {
        .verb = 20, .sender = client.host_id, .generation = 1, .timeout_ms = PEER_PATIENCE_MS};
    char head[300];
    enum { MANY = 160 }; /* 9.6 MB: more than the kernel keeps for a connection */
    b.config.body_size_max = 16 << 20;
    b.http.idle_timeout_s = 1;
    reopen();
    b.mode = PEER_HOLD;
    raw_body(&body, &client, session, 1, 1, 0, 0, 0);
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = peer_byte(0, i);
    message.body = base_slice(much, sizeof much);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(net_frame_put(&message, &body), BASE_OK);
    ck_assert_int_eq(neti_body_seal(&body, session, 1, 1, false), BASE_OK);
    int fd = raw_connect(b.port);
    raw_head(head, sizeof head, b.port, messages, body.len);
    raw_send(fd, head, strlen(head));
    raw_send(fd, body.data, body.len);
    ck_assert(peers_run_until(&b.requests, MANY, PEER_PATIENCE_MS));
    struct net_inbound *last = b.held[MANY - 1];
    b.held_count = MANY - 1;
    peer_answer_held(&b); /* and one is to come */
    b.mode = PEER_ECHO;
    for (uint64_t id = 1; id <= 30; id++) { /* others are served meanwhile */
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 100, PEER_PATIENCE_MS), BASE_OK);
        ck_assert(peers_run_until(&a.replies, id, PEER_PATIENCE_MS));
        peers_run_for(100);
    }
    ck_assert_uint_gt(b.internode->stats.inbound_bytes, 9 << 20);
    b.held[b.held_count++] = last;
    peer_answer_held(&b);
    while (b.internode->stats.inbound_bytes)
        peers_run_for(5);
    close(fd);
}
END_TEST

START_TEST(hellos_of_others)
{
    struct neti_hello h = {0};
    struct base_err err = {0};
    uint8_t bytes[300];
    h.credential = (struct neti_credential){.kind = NETI_KIND_SECRET, .len = sizeof secret - 1};
    memcpy(h.credential.bytes, secret, sizeof secret - 1);
    ck_ok(neti_hello_begin(&h, &client, &err), err);
    for (size_t len = 0; len < h.request_len; len += 7)
        ck_assert_uint_eq(raw_post(b.port, hello, base_slice(h.request, len), NULL), 400);
    for (size_t at = 0; at < h.request_len; at += 3) {
        memcpy(bytes, h.request, h.request_len);
        bytes[at] ^= 1;
        unsigned status = raw_post(b.port, hello, base_slice(bytes, h.request_len), NULL);
        ck_assert_msg(status == 400 || status == 403, "byte %zu: %u", at, status);
    }
    ck_assert_uint_eq(raw_post(b.port, "/internode/v1/other", base_slice(bytes, 10), NULL), 404);
    /* Recorded and sent again: sessions that nobody can use, and that take no place of those in
     * use. */
    raw_body(&body, &client, session, 1, 1, 10, 1, 1000);
    ck_assert_uint_eq(post_body(), 200);
    for (int i = 0; i < NETI_SESSIONS_UNPROVEN_MAX + 50; i++)
        ck_assert_uint_eq(raw_post(b.port, hello, base_slice(h.request, h.request_len), NULL), 200);
    raw_body(&body, &client, session, 1, 2, 10, 1, 1000);
    ck_assert_uint_eq(post_body(), 200);
    ck_assert_uint_eq(b.requests, 2);
}
END_TEST

START_TEST(not_http)
{
    static const char *const garbage[] = {
        "\r\n\r\n",
        "POST",
        "POST /internode/v1/messages HTTP/1.1\r\nHost: evil\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /internode/v1/messages HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        "POST /internode/v1/messages HTTP/1.1\r\nTransfer-Encoding: "
        "chunked\r\n\r\nffffffffffffffff\r\n",
        "\x16\x03\x01\x02\x00",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    static uint8_t in[4000];
    for (size_t i = 0; i < BASE_COUNT(garbage); i++) {
        int fd = raw_connect(b.port);
        raw_send(fd, garbage[i], strlen(garbage[i]));
        size_t len = raw_read(fd, in, 12, sizeof in, 300);
        ck_assert_msg(len < 12 || memcmp(in, "HTTP/1.1 200", 12) != 0, "%zu", i);
        close(fd);
    }
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(windows)
{
    static struct neti_window window;
    ck_assert(neti_window_take(&window, 1));
    ck_assert(!neti_window_take(&window, 1));
    ck_assert(neti_window_take(&window, 3 * NETI_WINDOW + 5)); /* all forgotten */
    ck_assert(!neti_window_take(&window, 2 * NETI_WINDOW + 5));
    ck_assert(neti_window_take(&window, 2 * NETI_WINDOW + 6));
    for (uint64_t s = 2 * NETI_WINDOW + 7; s < 3 * NETI_WINDOW + 5; s++)
        ck_assert(neti_window_take(&window, s));
    for (uint64_t s = 2 * NETI_WINDOW; s <= 3 * NETI_WINDOW + 5; s++)
        ck_assert(!neti_window_take(&window, s));
    ck_assert(neti_window_take(&window, 3 * NETI_WINDOW + 70)); /* the gap is new again */
    for (uint64_t s = 3 * NETI_WINDOW + 69; s > 3 * NETI_WINDOW + 5; s--)
        ck_assert(neti_window_take(&window, s));
    ck_assert(!neti_window_take(&window, 3 * NETI_WINDOW + 5));
    ck_assert(neti_window_take(&window, UINT64_MAX));
    ck_assert(!neti_window_take(&window, UINT64_MAX));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile clients");
    TCase *tc = tcase_create("clients");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, a_good_body);
    tcase_add_test(tc, recorded_bodies);
    tcase_add_test(tc, changed_bodies);
    tcase_add_test(tc, cut_bodies);
    tcase_add_test(tc, another_sessions_body);
    tcase_add_test(tc, signed_nonsense);
    tcase_add_test(tc, bombs);
    tcase_add_test(tc, a_slow_body);
    tcase_add_test(tc, a_body_that_stops);
    tcase_add_test(tc, a_reader_that_does_not_read);
    tcase_add_test(tc, hellos_of_others);
    tcase_add_test(tc, not_http);
    tcase_add_test(tc, windows);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
