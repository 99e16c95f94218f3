/* A node that sends to somebody who answers wrong, or not. Breaks without it: a request told as not
 * delivered that was, or the other way round; replies that were made up; a peer that stops its
 * callers for ever. Every test ends with the same peer, now in order: it is served at once. */
#include <stdio.h>

#include "tests/unit/net/raw.h"

static const char secret[] = "a secret of the cluster, 32 bytes";
static struct peer_node a;
static struct net_internode_config config;
static struct raw_server server;
static struct base_buf out;

static void good(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body);

static void start(void)
{
    peers_start();
    peer_prepare(&a, 1, secret);
    a.config.body_size_max = 1 << 20;
    a.config.frame_size_max = 1 << 16;
    peer_open(&a);
    config = a.config;
    config.host_id = (struct base_uuid){{2}};
    raw_server_open(&server, &config);
    base_buf_init(&out, 8 << 20);
}

static struct net_internode_stats stats(void)
{
    struct net_internode_stats s;
    net_internode_get_stats(a.internode, &s);
    return s;
}

static void stop(void)
{
    uint64_t replies = a.replies;
    server.honest_hello = true;
    server.answer = good;
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 99, 100, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, replies + 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.last_reply, 99);
    ck_assert_uint_eq(stats().queued_bytes, 0);
    peer_close(&a);
    raw_server_close(&server);
    base_buf_fini(&out);
    peers_stop();
}

/* Pieces of answers. */

static struct neti_session *session_of(struct base_slice body, struct neti_body *parsed)
{
    struct base_err err = {0};
    ck_ok(neti_body_parse(body, 1 << 20, parsed, &err), err);
    struct neti_session *session = neti_sessions_find(&server.sessions, parsed->session_id, 1);
    ck_assert_ptr_nonnull(session);
    ck_assert(neti_body_verify(body, session));
    return session;
}

static void begin(void)
{
    static const uint8_t room[NETI_CHUNK_HEADER];
    base_buf_reset(&out);
    ck_assert_int_eq(base_buf_put(&out, room, sizeof room), BASE_OK);
}

/* Replies to all of a body's requests. */
static void put_replies(struct base_slice frames, struct base_uuid sender)
{
    struct base_reader in = base_reader(frames);
    struct base_err err = {0};
    while (base_reader_left(&in)) {
        struct base_message message;
        ck_ok(net_frame_get(&in, 1 << 16, &message, &err), err);
        message.flags = BASE_MESSAGE_REPLY;
        message.sender = sender;
        ck_assert_int_eq(net_frame_put(&message, &out), BASE_OK);
    }
}

static void make_answer(struct base_slice body, unsigned flags)
{
    struct neti_body parsed;
    struct neti_session *session = session_of(body, &parsed);
    begin();
    put_replies(parsed.payload, config.host_id);
    ck_assert_int_eq(neti_chunk_seal(&out, session, parsed.lane, parsed.sequence, 0, flags, false),
                     BASE_OK);
}

static void good(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, NETI_CHUNK_END);
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

/* Hellos. */

static void silent(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    (void)s, (void)conn, (void)hello, (void)body;
}

static void hangs_up(struct raw_server *s, struct raw_conn *conn, bool hello,
                     struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_close(conn);
}

static void garbage(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    static const char text[] = "\x15\x03\x01\x00\x02\x02\x16 220 mail ready\r\n\r\n";
    (void)s, (void)hello, (void)body;
    raw_conn_send(conn, text, sizeof text - 1);
    raw_conn_close(conn);
}

static void half_a_head(struct raw_server *s, struct raw_conn *conn, bool hello,
                        struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_send(conn, "HTTP/1.1 200 OK\r\nConte", 22);
}

static void zeros(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    static const uint8_t none[104];
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 200, base_slice(none, sizeof none));
}

static void too_much(struct raw_server *s, struct raw_conn *conn, bool hello,
                     struct base_slice body)
{
    static uint8_t much[100000];
    (void)s, (void)hello, (void)body;
    memset(much, NETI_VERSION, sizeof much);
    raw_conn_answer(conn, 200, base_slice(much, sizeof much));
}

static void echo(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    (void)s, (void)hello;
    raw_conn_answer(conn, 200, body);
}

/* As it must be, but for one byte. */
static size_t changed_byte;
static void changed_hello(struct raw_server *s, struct raw_conn *conn, bool hello,
                          struct base_slice body)
{
    struct base_err err = {0};
    (void)hello;
    base_buf_reset(&out);
    ck_ok(neti_hello_answer(&s->sessions, &s->config, false, body, 1, &out, &err), err);
    out.data[changed_byte] ^= 0x40;
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

static void no_longer(struct raw_server *s, struct raw_conn *conn, bool hello,
                      struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 403, BASE_SLICE_LIT("go \x1b[2J away"));
}

START_TEST(hellos)
{
    static void (*const answers[])(struct raw_server *, struct raw_conn *, bool,
                                   struct base_slice) = {silent, hangs_up, garbage, half_a_head,
                                                         zeros,  too_much, echo,    no_longer};
    server.honest_hello = false;
    a.internode->config.connect_timeout_ns = 150000000; /* for those that never answer */
    for (size_t i = 0; i < BASE_COUNT(answers); i++) {
        server.answer = answers[i];
        ck_assert_int_eq(peer_send(&a, server.address, 1, 0, i + 1, 10, PEER_PATIENCE_MS), BASE_OK);
        ck_assert_msg(peers_run_until(&a.undelivered, i + 1, PEER_PATIENCE_MS), "case %zu", i);
        ck_assert_uint_eq(a.last_undelivered, i + 1);
    }
    ck_assert_ptr_null(strchr(a.logged, 0x1b)); /* bytes from outside are no text for a terminal */
    ck_assert_uint_eq(server.posts, 0);
    server.answer = changed_hello;
    uint64_t told = a.undelivered;
    for (changed_byte = 0; changed_byte < 104; changed_byte += 3) {
        ck_assert_int_eq(
            peer_send(&a, server.address, 1, 0, 1000 + changed_byte, 10, PEER_PATIENCE_MS),
            BASE_OK);
        ck_assert_msg(peers_run_until(&a.undelivered, ++told, PEER_PATIENCE_MS), "byte %zu",
                      changed_byte);
    }
    ck_assert_uint_eq(server.posts, 0);
    a.internode->config.connect_timeout_ns = a.config.connect_timeout_ns;
}
END_TEST

/* POSTs that are not answered as they should be: nobody knows what became of them. */

static void half_a_chunk(struct raw_server *s, struct raw_conn *conn, bool hello,
                         struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, NETI_CHUNK_END);
    raw_conn_answer(conn, 200, base_slice(out.data, out.len - 10));
}

static void no_end(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 200, (struct base_slice){0});
}

static void stalls(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, NETI_CHUNK_END);
    raw_conn_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 41);
    raw_conn_send(conn, out.data, 60);
}

static void changed_chunk(struct raw_server *s, struct raw_conn *conn, bool hello,
                          struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, NETI_CHUNK_END);
    out.data[changed_byte] ^= 0x20;
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

static void declares_4_gib(struct raw_server *s, struct raw_conn *conn, bool hello,
                           struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, NETI_CHUNK_END);
    memset(out.data, 0xff, 8);
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

/* Signed as it must be, and wrong. */
static void answer_sealed(struct raw_conn *conn, struct base_slice body, int lane_off,
                          uint64_t sequence_off, uint32_t number, unsigned flags)
{
    struct neti_body parsed;
    struct neti_session *session = session_of(body, &parsed);
    ck_assert_int_eq(neti_chunk_seal(&out, session, parsed.lane + lane_off,
                                     parsed.sequence + sequence_off, number, flags, false),
                     BASE_OK);
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

static void of_another_post(struct raw_server *s, struct raw_conn *conn, bool hello,
                            struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    answer_sealed(conn, body, 0, 1, 0, NETI_CHUNK_END);
}

static void of_another_lane(struct raw_server *s, struct raw_conn *conn, bool hello,
                            struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    answer_sealed(conn, body, 1, 0, 0, NETI_CHUNK_END);
}

static void out_of_order(struct raw_server *s, struct raw_conn *conn, bool hello,
                         struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    answer_sealed(conn, body, 0, 0, 1, NETI_CHUNK_END);
}

static void unknown_flags(struct raw_server *s, struct raw_conn *conn, bool hello,
                          struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    answer_sealed(conn, body, 0, 0, 0, NETI_CHUNK_END | 0x100);
}

static uint8_t frame_version;
static void other_version(struct raw_server *s, struct raw_conn *conn, bool hello,
                          struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    out.data[NETI_CHUNK_HEADER] = frame_version;
    answer_sealed(conn, body, 0, 0, 0, NETI_CHUNK_END);
}

static void in_anothers_name(struct raw_server *s, struct raw_conn *conn, bool hello,
                             struct base_slice body)
{
    struct neti_body parsed;
    (void)s, (void)hello;
    session_of(body, &parsed);
    begin();
    put_replies(parsed.payload, a.config.host_id);
    answer_sealed(conn, body, 0, 0, 0, NETI_CHUNK_END);
}

static void requests_back(struct raw_server *s, struct raw_conn *conn, bool hello,
                          struct base_slice body)
{
    struct neti_body parsed;
    (void)s, (void)hello;
    session_of(body, &parsed);
    begin();
    ck_assert_int_eq(base_buf_put_slice(&out, parsed.payload), BASE_OK);
    answer_sealed(conn, body, 0, 0, 0, NETI_CHUNK_END);
}

static void cut_frame(struct raw_server *s, struct raw_conn *conn, bool hello,
                      struct base_slice body)
{
    (void)s, (void)hello;
    make_answer(body, 0);
    out.len -= 3;
    answer_sealed(conn, body, 0, 0, 0, NETI_CHUNK_END);
}

static void bomb(struct raw_server *s, struct raw_conn *conn, bool hello, struct base_slice body)
{
    static const uint8_t much[3 << 19]; /* 1.5 MiB; 1 MiB is taken */
    struct neti_body parsed;
    (void)s, (void)hello;
    struct neti_session *session = session_of(body, &parsed);
    begin();
    ck_assert_int_eq(base_buf_put(&out, much, sizeof much), BASE_OK);
    ck_assert_int_eq(
        neti_chunk_seal(&out, session, parsed.lane, parsed.sequence, 0, NETI_CHUNK_END, true),
        BASE_OK);
    ck_assert_uint_lt(out.len, 100000);
    raw_conn_answer(conn, 200, base_buf_view(&out));
}

static void unsigned_503(struct raw_server *s, struct raw_conn *conn, bool hello,
                         struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 503, BASE_SLICE_LIT("not now"));
}

static void unsigned_chunk_503(struct raw_server *s, struct raw_conn *conn, bool hello,
                               struct base_slice body)
{
    static uint8_t chunk[NETI_CHUNK_HEADER];
    (void)s, (void)hello, (void)body;
    base_put_le32(chunk + 12, NETI_CHUNK_REFUSED | NETI_CHUNK_END);
    raw_conn_answer(conn, 503, base_slice(chunk, sizeof chunk));
}

static void status_500(struct raw_server *s, struct raw_conn *conn, bool hello,
                       struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 500, BASE_SLICE_LIT("oh"));
}

static void redirects(struct raw_server *s, struct raw_conn *conn, bool hello,
                      struct base_slice body)
{
    static const char text[] =
        "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    (void)s, (void)hello, (void)body;
    raw_conn_send(conn, text, sizeof text - 1);
}

START_TEST(answers_that_say_nothing)
{
    static void (*const answers[])(struct raw_server *, struct raw_conn *, bool,
                                   struct base_slice) = {silent,
                                                         hangs_up,
                                                         garbage,
                                                         half_a_head,
                                                         zeros,
                                                         too_much,
                                                         echo,
                                                         no_longer,
                                                         half_a_chunk,
                                                         no_end,
                                                         stalls,
                                                         declares_4_gib,
                                                         of_another_post,
                                                         of_another_lane,
                                                         out_of_order,
                                                         unknown_flags,
                                                         in_anothers_name,
                                                         requests_back,
                                                         cut_frame,
                                                         bomb,
                                                         unsigned_503,
                                                         unsigned_chunk_503,
                                                         status_500,
                                                         redirects};
    uint64_t replies = 0;
    for (size_t i = 0; i < BASE_COUNT(answers); i++) {
        server.answer = answers[i];
        uint64_t posts = server.posts;
        ck_assert_int_eq(peer_send(&a, server.address, 1, 0, i + 1, 10, PEER_PATIENCE_MS), BASE_OK);
        ck_assert_msg(peers_run_until(&server.posts, posts + 1, PEER_PATIENCE_MS) ||
                          server.posts > posts,
                      "case %zu: not sent", i);
        peers_run_for(30);
        ck_assert_msg(a.replies == replies && a.undelivered == 0,
                      "case %zu: %lu replies, %lu undelivered", i, (unsigned long)a.replies,
                      (unsigned long)a.undelivered);
        server.answer = good; /* and the next is served, though that one may still be waited for */
        ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 500 + i, 10, PEER_PATIENCE_MS),
                         BASE_OK);
        ck_assert_msg(peers_run_until(&a.replies, ++replies, PEER_PATIENCE_MS),
                      "case %zu: the next is not served", i);
        ck_assert_uint_eq(a.last_reply, 500 + i);
    }
    ck_assert_uint_eq(server.hellos, 1);
}
END_TEST

/* Send one that is answered wrong; the answer was seen, and refused. */
static void refused_reply(void)
{
    uint64_t refused = stats().refused;
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    while (stats().refused == refused)
        peers_run_for(5);
    ck_assert_msg(stats().refused == refused + 1 && a.replies == 0 && a.undelivered == 0,
                  "byte %zu, version %u: %lu refused, %lu replies, %lu undelivered", changed_byte,
                  frame_version, (unsigned long)(stats().refused - refused),
                  (unsigned long)a.replies, (unsigned long)a.undelivered);
}

/* Of a size that makes the chunk look incomplete there is nothing to refuse: it ends with the
 * response. */
static void ignored_reply(void)
{
    uint64_t posts = server.posts;
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&server.posts, posts + 1, PEER_PATIENCE_MS));
    peers_run_for(20);
    ck_assert_msg(a.replies == 0 && a.undelivered == 0, "byte %zu", changed_byte);
}

START_TEST(changed_chunks)
{
    server.answer = changed_chunk;
    for (changed_byte = 0; changed_byte < NETI_CHUNK_HEADER + NETI_FRAME_HEADER;
         changed_byte += changed_byte < 16 ? 1 : 7) {
        if (changed_byte < 4)
            ignored_reply();
        else
            refused_reply();
    }
    for (frame_version = 0; frame_version < 4; frame_version++) {
        server.answer = other_version;
        if (frame_version == NET_FRAME_VERSION)
            continue;
        refused_reply();
    }
}
END_TEST

/* The first chunk is good, then the connection is gone: what came is taken, of the other request
 * nothing is known. */
static void one_of_two(struct raw_server *s, struct raw_conn *conn, bool hello,
                       struct base_slice body)
{
    struct neti_body parsed;
    char head[100];
    (void)s, (void)hello;
    struct neti_session *session = session_of(body, &parsed);
    begin();
    put_replies(base_slice(parsed.payload.data, parsed.payload.len / 2), config.host_id);
    ck_assert_int_eq(neti_chunk_seal(&out, session, parsed.lane, parsed.sequence, 0, 0, false),
                     BASE_OK);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
             out.len);
    raw_conn_send(conn, head, strlen(head));
    for (size_t i = 0; i < out.len; i++) /* byte by byte */
        raw_conn_send(conn, out.data + i, 1);
    raw_conn_send(conn, "\r\n4\r\nab", 7);
    raw_conn_close(conn);
}

START_TEST(half_of_the_replies)
{
    server.answer = one_of_two;
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 2, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
    peers_run_for(50);
    ck_assert_uint_eq(a.last_reply, 1);
    ck_assert_uint_eq(a.replies, 1);
    ck_assert_uint_eq(a.undelivered, 0);
}
END_TEST

static void signed_503(struct raw_server *s, struct raw_conn *conn, bool hello,
                       struct base_slice body)
{
    struct neti_body parsed;
    (void)s, (void)hello;
    struct neti_session *session = session_of(body, &parsed);
    begin();
    ck_assert_int_eq(neti_chunk_seal(&out, session, parsed.lane, parsed.sequence, 0,
                                     NETI_CHUNK_REFUSED | NETI_CHUNK_END, false),
                     BASE_OK);
    raw_conn_answer(conn, 503, base_buf_view(&out));
}

static void no_session(struct raw_server *s, struct raw_conn *conn, bool hello,
                       struct base_slice body)
{
    (void)s, (void)hello, (void)body;
    raw_conn_answer(conn, 401, BASE_SLICE_LIT("no session\n"));
}

START_TEST(certainly_not_delivered)
{
    server.answer = signed_503;
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 1, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 1, PEER_PATIENCE_MS));
    ck_assert_uint_eq(server.hellos, 1);
    server.answer = no_session; /* and no session after the hello again: not for ever */
    ck_assert_int_eq(peer_send(&a, server.address, 1, 0, 2, 10, PEER_PATIENCE_MS), BASE_OK);
    ck_assert(peers_run_until(&a.undelivered, 2, PEER_PATIENCE_MS));
    peers_run_for(50);
    ck_assert_uint_eq(server.hellos, 2);
    ck_assert_uint_eq(server.posts, 3);
    ck_assert_uint_eq(a.replies, 0);
}
END_TEST

/* Many that never answer: no more than posts_max connections, and all over with the deadlines. */
START_TEST(never_an_answer)
{
    uint64_t sent = 0;
    server.answer = silent;
    for (uint32_t ms = 200; server.posts == 0; ms *= 2) {
        uint64_t end_ns = neti_now(a.internode) + ms * UINT64_C(1000000);
        for (uint64_t id = 1; id <= 30; id++, sent++) {
            ck_assert_int_eq(peer_send(&a, server.address, 1, 0, id, 10, ms), BASE_OK);
            peers_run_for(3);
        }
        if (neti_now(a.internode) < end_ns)
            ck_assert_uint_eq(server.posts, a.config.posts_max);
        else
            server.posts = 0; /* the first deadlines are over already: once more, with later ones */
        peers_run_for(ms);
        while (stats().expired + stats().frames_sent < sent)
            peers_run_for(5);
    }
    ck_assert_uint_eq(a.replies + a.undelivered, 0);
    ck_assert_uint_eq(stats().expired + stats().frames_sent, sent);
    ck_assert_uint_eq(stats().queued_bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile servers");
    TCase *tc = tcase_create("servers");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, hellos);
    tcase_add_test(tc, answers_that_say_nothing);
    tcase_add_test(tc, changed_chunks);
    tcase_add_test(tc, half_of_the_replies);
    tcase_add_test(tc, certainly_not_delivered);
    tcase_add_test(tc, never_an_answer);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
