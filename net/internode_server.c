/* What peers send us: hellos, and POSTs of frames. A POST's messages are handed out one by one; its
 * response carries each reply in the turn in which it comes; if the last ones have just gone
 * (STREAM_NS) and more are to come, a moment later, so that replies that come one by one do not go
 * one by one.
 *
 * Invariants:
 * 1. A POST's body and frames live until the last of its messages came back (net_internode_reply or
 *    _drop).
 * 2. Its response ends when all its messages that are not one-way came back, exactly once.
 * 3. All its frames are decoded before the first is handed out: a POST is taken whole or not at
 *    all.
 * 4. Nothing is handed out before MAC and sequence number were found good; a sequence number is
 *    good once. */
#include "net/internode_private.h"

#include <stdio.h>

enum { CHUNK_WORTH = 256 * 1024 }; /* replies gather to chunks of about this size */

#define STREAM_NS 150000u

struct inbound {
    struct net_inbound public;
    struct neti_inpost *post;
    bool one_way, out; /* `out`: with the receiver */
};

struct neti_inpost {
    struct net_internode *internode;
    struct net_http_request *request; /* NULL: answered, or the connection is gone */
    struct neti_session *session;
    int lane;
    uint64_t sequence;
    bool lz4;
    struct base_buf body, raw;
    struct inbound *inbound;
    size_t count;
    size_t unanswered, held; /* not one-way; handed out */
    size_t bytes;            /* counted in stats.inbound_bytes */
    struct base_buf chunk;   /* NETI_CHUNK_HEADER bytes and the replies of this turn */
    uint32_t chunk_number;
    uint64_t sent_ns; /* when the last chunk went */
    bool streaming, in_ready;
    struct neti_inpost *next, **prev, *next_ready;
};

static const char content_type[] = "application/octet-stream";

/* A POST's end. */

static void count_bytes(struct neti_inpost *post, size_t bytes)
{
    post->bytes += bytes;
    post->internode->stats.inbound_bytes += bytes;
}

static void inpost_free(struct neti_inpost *post)
{
    BASE_ASSERT(post->held == 0 && !post->request && !post->in_ready);
    BASE_ASSERT(post->internode->stats.inbound_bytes >= post->bytes);
    post->internode->stats.inbound_bytes -= post->bytes;
    *post->prev = post->next;
    if (post->next)
        post->next->prev = post->prev;
    neti_session_release(post->session);
    base_buf_fini(&post->body);
    base_buf_fini(&post->raw);
    base_buf_fini(&post->chunk);
    free(post->inbound);
    free(post);
}

static void make_ready(struct neti_inpost *post)
{
    struct net_internode *internode = post->internode;
    if (post->in_ready)
        return;
    post->in_ready = true;
    post->next_ready = internode->ready;
    internode->ready = post;
    net_loop_at_end(internode->config.loop, &internode->flush);
}

/* The peer's connection broke while we answered. */
static void on_gone(void *ctx)
{
    struct neti_inpost *post = ctx;
    post->request = NULL;
    make_ready(post);
}

/* Sending replies. */

static int begin_chunk(struct base_buf *chunk)
{
    static const uint8_t room[NETI_CHUNK_HEADER];
    base_buf_reset(chunk);
    return base_buf_put(chunk, room, sizeof room);
}

static int seal(struct neti_inpost *post, unsigned flags)
{
    return neti_chunk_seal(&post->chunk, post->session, post->lane, post->sequence,
                           post->chunk_number++, flags, post->lz4);
}

/* Out of memory: the response ends without its last chunk, so the peer knows that it is not
 * whole. */
static void give_up(struct neti_inpost *post)
{
    struct net_http_request *request = post->request;
    post->request = NULL;
    if (post->streaming)
        net_http_stream_end(request);
    else
        net_http_respond(request, 503, "text/plain", BASE_SLICE_LIT("out of memory\n"));
}

/* Send what there is; with `end`, the last. */
static void send_chunk(struct neti_inpost *post, bool end)
{
    struct net_http_request *request = post->request;
    if (post->chunk.len == 0 && begin_chunk(&post->chunk) != BASE_OK)
        goto nomem;
    if (seal(post, end ? NETI_CHUNK_END : 0) != BASE_OK)
        goto nomem;
    post->internode->stats.bytes_sent += post->chunk.len;
    if (end && !post->streaming) { /* all at once, as most are: one write, no chunked coding */
        post->request = NULL;
        net_http_respond(request, 200, content_type, base_buf_view(&post->chunk));
        return;
    }
    if (!post->streaming) {
        post->streaming = true;
        if (net_http_stream_begin(request, 200, content_type, on_gone, post) != BASE_OK) {
            post->request = NULL;
            return;
        }
    }
    if (net_http_stream_put(request, base_buf_view(&post->chunk)) != BASE_OK)
        goto nomem;
    base_buf_reset(&post->chunk);
    if (end) {
        post->request = NULL;
        net_http_stream_end(request);
    }
    return;
nomem:
    give_up(post);
}

/* False: its replies wait a moment for more. */
static bool flush(struct neti_inpost *post, uint64_t now_ns)
{
    if (post->request && post->unanswered == 0) {
        send_chunk(post, true);
    } else if (post->request && post->chunk.len > 0) {
        if (post->sent_ns && now_ns - post->sent_ns < STREAM_NS)
            return false;
        post->sent_ns = now_ns;
        send_chunk(post, false);
    }
    if (post->held == 0 && !post->request)
        inpost_free(post);
    return true;
}

void neti_inposts_flush(struct net_internode *internode)
{
    struct neti_inpost *post, *waiting = NULL;
    uint64_t now_ns = neti_now(internode);
    while ((post = internode->ready)) {
        internode->ready = post->next_ready;
        post->in_ready = false;
        if (!flush(post, now_ns)) {
            post->in_ready = true;
            post->next_ready = waiting;
            waiting = post;
        }
    }
    internode->ready = waiting;
    if (waiting && !internode->stream.armed)
        net_loop_arm(internode->config.loop, &internode->stream, STREAM_NS);
}

/* Answers of the receiver. */

static void give_back(struct inbound *in)
{
    struct neti_inpost *post = in->post;
    BASE_ASSERT(in->out);
    in->out = false;
    BASE_ASSERT(post->held > 0);
    post->held--;
    if (!in->one_way) {
        BASE_ASSERT(post->unanswered > 0);
        post->unanswered--;
    }
    make_ready(post);
}

void net_internode_drop(struct net_internode *internode, struct net_inbound *in)
{
    struct inbound *own = BASE_CONTAINER(in, struct inbound, public);
    BASE_ASSERT(own->post->internode == internode);
    give_back(own);
}

void net_internode_reply(struct net_internode *internode, struct net_inbound *in,
                         const struct base_message *reply)
{
    struct inbound *own = BASE_CONTAINER(in, struct inbound, public);
    struct neti_inpost *post = own->post;
    BASE_ASSERT(post->internode == internode);
    BASE_ASSERT(reply->flags & BASE_MESSAGE_REPLY);
    BASE_ASSERT(reply->id == in->message.id);
    if (post->request && !own->one_way) {
        size_t before = post->chunk.len;
        int rc = reply->body.len <= internode->config.frame_size_max ? BASE_OK : BASE_E_LIMIT;
        if (rc == BASE_OK && before == 0)
            rc = begin_chunk(&post->chunk);
        if (rc == BASE_OK)
            rc = net_frame_put(reply, &post->chunk);
        if (rc == BASE_OK) {
            internode->stats.frames_sent++;
            count_bytes(post, post->chunk.len - before);
        } else {
            neti_complain(internode, "a reply is not sent", base_err_words(rc));
            post->chunk.len = before;
        }
    }
    give_back(own);
    if (post->request && post->unanswered > 0 && post->chunk.len >= CHUNK_WORTH) {
        post->sent_ns = neti_now(internode);
        send_chunk(post, false);
    }
}

/* What a POST holds. */

static int decode(struct neti_inpost *post, struct base_slice frames, struct base_err *err)
{
    struct net_internode *internode = post->internode;
    size_t room = frames.len / NETI_FRAME_HEADER;
    struct base_reader in = base_reader(frames);
    post->inbound = calloc(room ? room : 1, sizeof *post->inbound);
    if (!post->inbound)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    while (base_reader_left(&in) > 0) {
        BASE_ASSERT(post->count < room || base_reader_left(&in) < NETI_FRAME_HEADER);
        struct base_message message;
        int rc = net_frame_get(&in, internode->config.frame_size_max, &message, err);
        if (rc != BASE_OK)
            return rc == BASE_E_BUSY ? base_err_set(err, BASE_E_CORRUPT, "a frame is cut off") : rc;
        if (message.flags & BASE_MESSAGE_REPLY)
            return base_err_set(err, BASE_E_CORRUPT, "a reply where requests come");
        if (!base_uuid_equal(message.sender, post->session->peer))
            return base_err_set(err, BASE_E_UNAUTHORIZED, "a message in another node's name");
        struct inbound *own = &post->inbound[post->count++];
        own->public.message = message;
        own->public.lane = post->lane;
        own->post = post;
        own->one_way = (message.flags & BASE_MESSAGE_ONE_WAY) != 0;
    }
    return BASE_OK;
}

/* Hand out all but those whose time passed while the body came. */
static void hand_out(struct neti_inpost *post, uint64_t took_ms)
{
    struct net_internode *internode = post->internode;
    internode->stats.frames_received += post->count;
    for (size_t i = 0; i < post->count; i++) {
        struct inbound *own = &post->inbound[i];
        uint32_t *timeout_ms = &own->public.message.timeout_ms;
        if (*timeout_ms != 0 && *timeout_ms <= took_ms) {
            internode->stats.expired++;
            continue;
        }
        *timeout_ms = *timeout_ms ? *timeout_ms - (uint32_t)took_ms : NETI_NO_DEADLINE_MS;
        own->out = true;
        post->held++;
        post->unanswered += own->one_way ? 0 : 1;
    }
    make_ready(post); /* nothing to wait for: the response ends at this turn's end */
    for (size_t i = 0; i < post->count; i++)
        if (post->inbound[i].out)
            internode->config.on_request(internode->config.ctx, &post->inbound[i].public);
}

static struct neti_inpost *inpost_new(struct net_internode *internode, struct neti_session *session,
                                      const struct neti_body *body)
{
    struct neti_inpost *post = calloc(1, sizeof *post);
    if (!post)
        return NULL;
    post->internode = internode;
    post->session = session;
    session->refs++;
    post->lane = body->lane;
    post->sequence = body->sequence;
    post->lz4 = (body->flags & NETI_BODY_WANTS_LZ4) != 0;
    base_buf_init(&post->body, 0);
    base_buf_init(&post->raw, 0);
    base_buf_init(&post->chunk, internode->config.body_size_max + NETI_CHUNK_HEADER);
    post->next = internode->inposts;
    post->prev = &internode->inposts;
    if (post->next)
        post->next->prev = &post->next;
    internode->inposts = post;
    return post;
}

/* Refusing. */

static void refuse(struct net_internode *internode, struct net_http_request *request,
                   unsigned status, const char *text)
{
    internode->stats.refused++;
    net_http_respond(request, status, "text/plain", base_slice_str(text));
}

/* A 503 that the peer can believe: nothing of its POST was read. */
static void refuse_overload(struct net_internode *internode, struct net_http_request *request,
                            struct neti_session *session, const struct neti_body *body)
{
    struct base_buf chunk;
    internode->stats.overloaded++;
    base_buf_init(&chunk, NETI_CHUNK_HEADER);
    if (begin_chunk(&chunk) == BASE_OK &&
        neti_chunk_seal(&chunk, session, body->lane, body->sequence, 0,
                        NETI_CHUNK_REFUSED | NETI_CHUNK_END, false) == BASE_OK)
        net_http_respond(request, 503, content_type, base_buf_view(&chunk));
    else
        net_http_respond(request, 503, "text/plain", BASE_SLICE_LIT("out of memory\n"));
    base_buf_fini(&chunk);
}

/* OK: it is new. UNAUTHORIZED, NOMEM. */
static int take_sequence(struct neti_session *session, const struct neti_body *body)
{
    struct neti_window **window = &session->windows[body->lane];
    if (!*window)
        *window = calloc(1, sizeof **window);
    if (!*window)
        return BASE_E_NOMEM;
    return body->sequence > 0 && neti_window_take(*window, body->sequence) ? BASE_OK
                                                                           : BASE_E_UNAUTHORIZED;
}

/* Requests. */

static void handle_hello(struct net_internode *internode, struct net_http_request *request)
{
    struct base_buf answer;
    struct base_err err = {0};
    base_buf_init(&answer, NETI_HELLO_SIZE_MAX);
    internode->stats.hellos++;
    int rc = neti_hello_answer(&internode->sessions, &internode->config,
                               net_http_peer_certified(request), net_http_body(request),
                               neti_now(internode), &answer, &err);
    if (rc == BASE_OK) {
        net_http_respond(request, 200, content_type, base_buf_view(&answer));
    } else {
        internode->stats.refused++;
        neti_complain(internode, "refused", err.text);
        if (rc == BASE_E_CORRUPT)
            err.code = BASE_E_INVALID; /* theirs, not ours */
        net_http_respond_error(request, &err);
    }
    base_buf_fini(&answer);
}

static void handle_messages(struct net_internode *internode, struct net_http_request *request)
{
    const struct net_internode_config *config = &internode->config;
    struct base_slice bytes = net_http_body(request), frames;
    struct neti_body body;
    struct base_err err = {0};
    uint64_t now_ns = neti_now(internode);
    int rc = neti_body_parse(bytes, config->body_size_max, &body, &err);
    if (rc != BASE_OK) {
        refuse(internode, request, rc == BASE_E_LIMIT ? 413 : 400, err.text);
        return;
    }
    struct neti_session *session =
        neti_sessions_find(&internode->sessions, body.session_id, now_ns);
    if (!session) {
        refuse(internode, request, 401, "no session\n"); /* the peer says hello again */
        return;
    }
    rc = neti_body_verify(bytes, session) ? take_sequence(session, &body) : BASE_E_UNAUTHORIZED;
    if (rc == BASE_E_UNAUTHORIZED) {
        neti_complain(internode, "refused", "a body whose MAC is wrong, or that came before");
        refuse(internode, request, 403, "the MAC is wrong, or it came before\n");
        return;
    }
    neti_sessions_used(session, now_ns);
    internode->stats.bytes_received += bytes.len;
    bool full = rc == BASE_E_NOMEM || internode->stats.inbound_bytes + bytes.len + body.raw_size >
                                          config->inbound_bytes_max;
    struct neti_inpost *post = full ? NULL : inpost_new(internode, session, &body);
    if (!post) {
        refuse_overload(internode, request, session, &body);
        return;
    }
    net_http_take_body(request, &post->body);
    rc = neti_payload_open(body.payload, (body.flags & NETI_BODY_LZ4) != 0, body.raw_size,
                           &post->raw, &frames, &err);
    count_bytes(post, post->body.len + post->raw.len);
    if (rc == BASE_OK)
        rc = decode(post, frames, &err);
    if (rc != BASE_OK) {
        neti_complain(internode, "refused a body", err.text);
        if (rc == BASE_E_NOMEM)
            refuse_overload(internode, request, session, &body);
        else
            refuse(internode, request, 400, err.text);
        inpost_free(post);
        return;
    }
    post->request = request;
    hand_out(post, (now_ns - net_http_arrived(request).ns) / 1000000u);
}

/* What is behind /internode/v1/; false: it is another path. */
static bool path_of(const struct net_http_request *request, struct base_slice *path)
{
    static const char prefix[] = "/internode/v1/";
    *path = net_http_path(request);
    if (path->len < sizeof prefix - 1 || memcmp(path->data, prefix, sizeof prefix - 1) != 0)
        return false;
    *path = base_slice(path->data + sizeof prefix - 1, path->len - (sizeof prefix - 1));
    return true;
}

size_t net_internode_body_limit(const struct net_internode *internode,
                                const struct net_http_request *request, struct base_slice so_far)
{
    struct base_slice path;
    struct neti_body body;
    if (!path_of(request, &path))
        return SIZE_MAX;
    bool known = base_slice_equal(path, BASE_SLICE_LIT("messages")) &&
                 neti_body_parse(so_far, internode->config.body_size_max, &body, NULL) == BASE_OK &&
                 neti_sessions_known(&internode->sessions, body.session_id);
    return known ? internode->config.body_size_max + NETI_BODY_HEADER : NET_HTTP_PROBE_SIZE;
}

bool net_internode_handle(struct net_internode *internode, struct net_http_request *request)
{
    struct base_slice path;
    if (!path_of(request, &path))
        return false;
    if (!base_slice_equal(net_http_method(request), BASE_SLICE_LIT("POST")))
        refuse(internode, request, 405, "POST\n");
    else if (base_slice_equal(path, BASE_SLICE_LIT("messages")))
        handle_messages(internode, request);
    else if (base_slice_equal(path, BASE_SLICE_LIT("hello")))
        handle_hello(internode, request);
    else
        refuse(internode, request, 404, "nothing is here\n");
    return true;
}
