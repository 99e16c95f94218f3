/* A POST of gathered requests, and its response: each chunk's replies as it comes.
 *
 * Invariants:
 * 1. When a POST has ended, its requests certainly did not arrive if no byte of it left or the peer
 *    said 503 under a MAC; they are told to be undelivered. All else is "may have": libcurl itself
 *    may send a POST twice (over a kept connection that had just been closed), and the peer takes a
 *    sequence number once.
 * 2. A POST answered "no session" goes back to the front of its queue, once, and a hello precedes
 *    it.
 * 3. No reply is believed before its chunk's MAC was found good, and none in another node's
 *    name. */
#include "net/internode_private.h"

enum { FRAMES_PER_POST_MAX = 4096 };

/* Replies. */

static int deliver(struct neti_post *post, const struct neti_chunk *chunk, struct base_err *err)
{
    struct net_internode *internode = post->lane->peer->internode;
    struct base_buf raw;
    struct base_slice frames;
    base_buf_init(&raw, 0);
    int rc = neti_payload_open(chunk->payload, (chunk->flags & NETI_CHUNK_LZ4) != 0,
                               chunk->raw_size, &raw, &frames, err);
    struct base_reader in = base_reader(frames);
    while (rc == BASE_OK && base_reader_left(&in) > 0) {
        struct base_message message;
        rc = net_frame_get(&in, internode->config.frame_size_max, &message, err);
        if (rc != BASE_OK)
            break;
        if (!(message.flags & BASE_MESSAGE_REPLY) ||
            !base_uuid_equal(message.sender, post->session->peer)) {
            rc = base_err_set(err, BASE_E_CORRUPT,
                              "response: a message that is no reply of this peer");
            break;
        }
        internode->stats.frames_received++;
        post->lane->completed++;
        internode->config.on_reply(internode->config.ctx, &message);
    }
    base_buf_fini(&raw);
    return rc;
}

static int take_chunks(struct neti_post *post, struct base_err *err)
{
    struct net_internode *internode = post->lane->peer->internode;
    struct base_reader in = base_reader(base_buf_view(&post->in));
    int rc = BASE_OK;
    while (rc == BASE_OK && !post->ended) {
        struct neti_chunk chunk;
        rc = neti_chunk_get(&in, post->session, post->lane->number, post->sequence,
                            post->chunk_number, internode->config.body_size_max, &chunk, err);
        if (rc != BASE_OK)
            break;
        post->chunk_number++;
        post->ended = (chunk.flags & NETI_CHUNK_END) != 0;
        post->refused = (chunk.flags & NETI_CHUNK_REFUSED) != 0;
        rc = deliver(post, &chunk, err);
    }
    if (rc == BASE_OK && base_reader_left(&in) > 0)
        rc = base_err_set(err, BASE_E_CORRUPT, "response: bytes behind its end");
    size_t left = base_reader_left(&in);
    if (left &&
        in.p != post->in.data) /* a large chunk comes in many pieces: it is not moved for each */
        memmove(post->in.data, in.p, left);
    post->in.len = left;
    return rc == BASE_E_BUSY ? BASE_OK : rc;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    (void)one;
    struct neti_post *post = ctx;
    struct net_internode *internode = post->lane->peer->internode;
    struct base_err err = {0};
    long status = 0;
    curl_easy_getinfo(post->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    internode->stats.bytes_received += len;
    if (status != 200 && status != 503)
        return len; /* the status says it all */
    int rc = base_buf_put(&post->in, data, len);
    if (rc == BASE_OK)
        rc = take_chunks(post, &err);
    else
        base_err_set(&err, rc, "response: too large, or out of memory");
    if (rc == BASE_OK)
        return len;
    post->bad = true;
    if (status == 200) {
        internode->stats.refused++;
        neti_complain(internode, post->lane->peer->address, err.text);
    }
    return 0;
}

/* A POST. */

void neti_post_free(struct neti_post *post)
{
    if (post->transfer.easy)
        curl_easy_cleanup(post->transfer.easy);
    base_buf_fini(&post->body);
    base_buf_fini(&post->in);
    free(post);
}

static void on_posted(struct neti_transfer *transfer, CURLcode code);

static struct neti_post *post_new(struct neti_lane *lane)
{
    const struct net_internode_config *config = &lane->peer->internode->config;
    struct neti_post *post = calloc(1, sizeof *post);
    if (!post)
        return NULL;
    post->lane = lane;
    neti_queue_init(&post->frames);
    base_buf_init(&post->body, config->body_size_max + NETI_BODY_HEADER);
    base_buf_init(&post->in, config->body_size_max + 2 * NETI_CHUNK_HEADER + CURL_MAX_WRITE_SIZE);
    post->transfer.done = on_posted;
    post->transfer.easy = curl_easy_init();
    if (!post->transfer.easy ||
        neti_peer_options(&post->transfer, lane->peer, lane->peer->messages_url, post->message) !=
            BASE_OK) {
        neti_post_free(post);
        return NULL;
    }
    curl_easy_setopt(post->transfer.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(post->transfer.easy, CURLOPT_WRITEDATA, post);
    return post;
}

/* Buffers that one large POST made grow are not kept. */
static void shrink(struct base_buf *buf, size_t kept_max)
{
    if (buf->cap > kept_max)
        base_buf_fini(buf);
    base_buf_reset(buf);
}

void neti_post_land(struct neti_post *post)
{
    struct neti_lane *lane = post->lane;
    size_t kept_max = 4 * lane->peer->internode->config.gather_bytes;
    *post->prev = post->next;
    if (post->next)
        post->next->prev = post->prev;
    lane->flying_count--;
    neti_session_release(post->session);
    post->session = NULL;
    shrink(&post->body, kept_max);
    shrink(&post->in, kept_max);
    post->next = lane->idle;
    lane->idle = post;
}

/* "No session": all of it again, after a hello. */
static void send_again(struct neti_post *post)
{
    struct neti_lane *lane = post->lane;
    struct neti_queue again = post->frames;
    neti_queue_init(&post->frames);
    struct neti_queue old = lane->queue;
    neti_queue_init(&lane->queue);
    for (struct neti_queued *q = again.first, *next; q; q = next) {
        next = q->next;
        if (q->again) {
            neti_lane_undelivered(lane, q);
            continue;
        }
        q->again = true;
        neti_lane_count(lane, q);
        neti_queue_append(&lane->queue, q);
    }
    if (old.first) { /* what on_undelivered sent meanwhile stays behind what was there: order is no
                        promise */
        *lane->queue.end = old.first;
        lane->queue.end = old.end;
    }
    if (lane->peer->session == post->session) {
        neti_session_release(lane->peer->session);
        lane->peer->session = NULL;
    }
}

static void on_posted(struct neti_transfer *transfer, CURLcode code)
{
    struct neti_post *post = BASE_CONTAINER(transfer, struct neti_post, transfer);
    struct neti_lane *lane = post->lane;
    struct net_internode *internode = lane->peer->internode;
    long status = 0, sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    bool not_sent = code != CURLE_OK && sent == 0;
    bool refused = status == 503 && post->refused && !post->bad;
    if (not_sent || (code == CURLE_OK && status != 200) ||
        (code != CURLE_OK && !post->bad && !post->ended))
        base_logf(internode->config.log, BASE_LOG_DEBUG, "internode: POST to %s: status %ld: %s",
                  lane->peer->address, status,
                  code == CURLE_OK   ? "refused"
                  : post->message[0] ? post->message
                                     : curl_easy_strerror(code));
    if (status == 503)
        internode->stats.overloaded++;
    if (code == CURLE_OK && status == 401)
        send_again(post);
    struct neti_queue frames = post->frames;
    neti_queue_init(&post->frames);
    neti_post_land(post);
    for (struct neti_queued *q = frames.first, *next; q; q = next) {
        next = q->next;
        if (not_sent || refused)
            neti_lane_undelivered(lane, q);
        else
            free(q);
    }
    neti_peer_pending(lane->peer);
}

/* Fill a POST from the lane's queue; those whose time is over or that are for another host stay
 * out. */
static int fill(struct neti_post *post, uint64_t now_ns, uint64_t *deadline_ns)
{
    struct neti_lane *lane = post->lane;
    struct net_internode *internode = lane->peer->internode;
    static const uint8_t room[NETI_BODY_HEADER];
    size_t count = 0;
    uint64_t left = lane->queue_count; /* what on_undelivered sends is for the next POST */
    base_buf_reset(&post->body);
    int rc = base_buf_put(&post->body, room, sizeof room);
    for (; rc == BASE_OK && left > 0 && count < FRAMES_PER_POST_MAX; left--) {
        struct neti_queued *q = lane->queue.first;
        if (count > 0 && post->body.len + NETI_FRAME_HEADER + q->message.body.len >
                             internode->config.gather_bytes + NETI_BODY_HEADER)
            break;
        neti_lane_take(lane);
        if (q->deadline_ns <= now_ns) {
            internode->stats.expired++;
            lane->dropped++;
            free(q);
            continue;
        }
        static const struct base_uuid anybody;
        if (!base_uuid_equal(q->to, anybody) &&
            !base_uuid_equal(q->to, lane->peer->session->peer)) {
            neti_complain(internode, lane->peer->address,
                          "the node there has another host id than the one addressed");
            neti_lane_undelivered(lane, q);
            continue;
        }
        q->message.timeout_ms = (uint32_t)((q->deadline_ns - now_ns + 999999) / 1000000u);
        rc = net_frame_put(&q->message, &post->body);
        if (rc != BASE_OK) {
            neti_lane_undelivered(lane, q);
            break;
        }
        if (q->deadline_ns > *deadline_ns)
            *deadline_ns = q->deadline_ns;
        neti_queue_append(&post->frames, q);
        count++;
    }
    internode->stats.frames_sent += count;
    return count ? BASE_OK : rc;
}

static void post_fail(struct neti_post *post)
{
    struct neti_queue frames = post->frames;
    neti_queue_init(&post->frames);
    struct neti_lane *lane = post->lane;
    post->next = lane->idle;
    lane->idle = post;
    for (struct neti_queued *q = frames.first, *next; q; q = next) {
        next = q->next;
        neti_lane_undelivered(lane, q);
    }
}

/* Send what waits as one POST. False: there is nothing more to send now. */
bool neti_post_send(struct neti_lane *lane, uint64_t now_ns)
{
    struct neti_peer *peer = lane->peer;
    struct net_internode *internode = peer->internode;
    struct neti_post *post = lane->idle;
    uint64_t deadline_ns = 0;
    if (post)
        lane->idle = post->next;
    else if (!(post = post_new(lane)))
        return false; /* out of memory: the next turn tries again, or deadlines pass */
    uint64_t sequence = peer->session->sequence[lane->number] + 1;
    if (fill(post, now_ns, &deadline_ns) != BASE_OK || !post->frames.first ||
        neti_body_seal(&post->body, peer->session, lane->number, sequence, peer->compress) !=
            BASE_OK) {
        post_fail(post);
        return false;
    }
    peer->session->sequence[lane->number] = post->sequence = sequence;
    CURL *easy = post->transfer.easy;
    uint64_t timeout_ms = (deadline_ns - now_ns) / 1000000u + 1;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)post->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body.data);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    post->message[0] = 0;
    post->chunk_number = 0;
    post->ended = post->refused = post->bad = false;
    if (neti_transfer_start(internode->http, &post->transfer) != BASE_OK) {
        post_fail(post);
        return false;
    }
    post->session = peer->session;
    post->session->refs++;
    post->started_ns = now_ns;
    post->next = lane->flying;
    post->prev = &lane->flying;
    if (post->next)
        post->next->prev = &post->next;
    lane->flying = post;
    lane->flying_count++;
    internode->stats.posts_sent++;
    internode->stats.bytes_sent += post->body.len;
    return true;
}
