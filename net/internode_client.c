/* What we send to peers: queues by peer and lane, the hello, when a POST goes out.
 *
 * Gathering: at the end of a turn each lane's queue goes out as one POST, unless a POST of the lane
 * is fresh (less than GATHER_NS under way) and the queue is below gather_bytes: then it waits for
 * that POST to end or to be fresh no longer. So batches grow with load, a lone message waits for
 * nobody, and one that is answered late holds up nobody for longer than GATHER_NS.
 *
 * Invariants:
 * 1. A request is in one place: its lane's queue, or one POST under way; whoever removes it tells
 *    on_undelivered if it certainly did not arrive, and nothing if it may have.
 * 2. A peer has a session, or a hello under way, or nothing of it is under way.
 * 3. Callbacks that come out of libcurl's own (on_reply) may send: that only queues. */
#include "net/internode_private.h"

#include <stdio.h>

#include "base/checksum.h"

#define GATHER_NS 500000u

enum { ERROR_TEXT_MAX = 300 };

/* Queues. */

static size_t queued_size(const struct neti_queued *q)
{
    return sizeof *q + q->message.body.len;
}

struct neti_queued *neti_lane_take(struct neti_lane *lane)
{
    struct neti_queued *q = neti_queue_take(&lane->queue);
    size_t size = queued_size(q);
    BASE_ASSERT(lane->queue_bytes >= size && lane->queue_count > 0);
    lane->queue_bytes -= size;
    lane->queue_count--;
    lane->peer->internode->stats.queued_bytes -= size;
    return q;
}

void neti_lane_count(struct neti_lane *lane, const struct neti_queued *q)
{
    size_t size = queued_size(q);
    lane->queue_bytes += size;
    lane->queue_count++;
    lane->peer->internode->stats.queued_bytes += size;
}

void neti_lane_undelivered(struct neti_lane *lane, struct neti_queued *q)
{
    struct net_internode *internode = lane->peer->internode;
    internode->stats.undelivered++;
    lane->dropped++;
    uint64_t id = q->message.id;
    bool one_way = (q->message.flags & BASE_MESSAGE_ONE_WAY) != 0;
    free(q);
    if (!one_way)
        internode->config.on_undelivered(internode->config.ctx, id);
}

static void drop_expired(struct neti_lane *lane, uint64_t now_ns)
{
    struct neti_queue kept;
    neti_queue_init(&kept);
    while (lane->queue.first) {
        struct neti_queued *q = neti_lane_take(lane);
        if (q->deadline_ns <= now_ns) {
            lane->peer->internode->stats.expired++;
            lane->dropped++;
            free(q);
        } else {
            neti_queue_append(&kept, q);
        }
    }
    while (kept.first) {
        struct neti_queued *q = neti_queue_take(&kept);
        neti_lane_count(lane, q);
        neti_queue_append(&lane->queue, q);
    }
}

/* Nothing that waits for this peer can be sent. */
static void fail_queues(struct neti_peer *peer)
{
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        struct neti_lane *lane = &peer->lanes[i];
        /* on_undelivered may send again: that is for the next hello */
        struct neti_queue failed = lane->queue;
        if (!failed.first)
            continue;
        for (struct neti_queued *q = failed.first; q; q = q->next)
            peer->internode->stats.queued_bytes -= queued_size(q);
        neti_queue_init(&lane->queue);
        lane->queue_bytes = lane->queue_count = 0;
        for (struct neti_queued *q = failed.first, *next; q; q = next) {
            next = q->next;
            neti_lane_undelivered(lane, q);
        }
    }
}

/* The hello. */

int neti_peer_options(struct neti_transfer *transfer, struct neti_peer *peer, const char *url,
                      char *message)
{
    CURL *easy = transfer->easy;
    const struct net_internode_config *config = &peer->internode->config;
    neti_transfer_options(easy);
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, peer->headers) == CURLE_OK;
    ok = ok && neti_transfer_tls(easy, &config->tls) == BASE_OK;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(config->connect_timeout_ns / 1000000u));
    return ok ? BASE_OK : BASE_E_NOMEM;
}

static size_t on_hello_body(char *data, size_t one, size_t len, void *ctx)
{
    (void)one;
    struct neti_peer *peer = ctx;
    return base_buf_put(&peer->answer, data, len) == BASE_OK ? len : 0;
}

static void hello_failed(struct neti_peer *peer, const struct base_err *err)
{
    base_logf(peer->internode->config.log, peer->failed ? BASE_LOG_DEBUG : BASE_LOG_WARN,
              "internode: %s: %s", peer->address, err->text);
    peer->failed = true;
    if (peer->internode->config.on_hello_failed)
        peer->internode->config.on_hello_failed(peer->internode->config.ctx, peer->address, err);
    neti_hello_forget(&peer->hello);
    fail_queues(peer);
}

/* What a peer that refuses says, as text for people: bytes from outside. */
static int refused_hello(const struct neti_peer *peer, long status, struct base_err *err)
{
    char text[ERROR_TEXT_MAX + 1];
    size_t len = peer->answer.len < ERROR_TEXT_MAX ? peer->answer.len : ERROR_TEXT_MAX;
    for (size_t i = 0; i < len; i++)
        text[i] = peer->answer.data[i] >= 0x20 && peer->answer.data[i] < 0x7f
                      ? (char)peer->answer.data[i]
                      : ' ';
    text[len] = 0;
    return base_err_set(err, BASE_E_UNAUTHORIZED, "it answered the hello with status %ld: %s",
                        status, text);
}

static void on_hello_done(struct neti_transfer *transfer, CURLcode code)
{
    struct neti_peer *peer = BASE_CONTAINER(transfer, struct neti_peer, transfer);
    struct net_internode *internode = peer->internode;
    struct neti_session *session = NULL;
    struct base_err err = {0};
    long status = 0;
    int rc;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        rc = base_err_set(
            &err, code == CURLE_PEER_FAILED_VERIFICATION ? BASE_E_UNAUTHORIZED : BASE_E_UNAVAILABLE,
            "%s", peer->message[0] ? peer->message : curl_easy_strerror(code));
    else if (status != 200)
        rc = refused_hello(peer, status, &err);
    else
        rc = neti_hello_end(&peer->hello, &internode->config, base_buf_view(&peer->answer),
                            &session, &err);
    base_buf_fini(&peer->answer);
    if (rc != BASE_OK) {
        hello_failed(peer, &err);
        return;
    }
    if (peer->failed)
        base_logf(internode->config.log, BASE_LOG_INFO, "internode: %s: connected", peer->address);
    peer->failed = false;
    BASE_ASSERT(!peer->session);
    peer->session = session;
    neti_peer_pending(peer);
}

static void say_hello(struct neti_peer *peer)
{
    struct net_internode *internode = peer->internode;
    const struct net_internode_config *config = &internode->config;
    struct neti_credential *credential = &peer->hello.credential;
    struct base_err err = {0};
    bool is_secret = false;
    BASE_ASSERT(!peer->transfer.active && !peer->session);
    int rc = config->credential(config->ctx, peer->host, peer->port, credential->bytes,
                                &credential->len, &is_secret, &err);
    if (rc != BASE_OK)
        goto out;
    credential->kind = is_secret         ? NETI_KIND_SECRET
                       : credential->len ? NETI_KIND_TOKEN
                                         : NETI_KIND_CERTIFICATE;
    if (credential->kind == NETI_KIND_CERTIFICATE && !config->tls.certificate) {
        rc = base_err_set(&err, BASE_E_UNAUTHORIZED,
                          "no secret, no token and no certificate to say hello with");
        goto out;
    }
    rc = neti_hello_begin(&peer->hello, config, &err);
    if (rc != BASE_OK)
        goto out;
    if (!peer->transfer.easy) {
        peer->transfer.easy = curl_easy_init();
        if (!peer->transfer.easy ||
            neti_peer_options(&peer->transfer, peer, peer->hello_url, peer->message) != BASE_OK) {
            rc = base_err_set(&err, BASE_E_NOMEM, "out of memory");
            goto out;
        }
        curl_easy_setopt(peer->transfer.easy, CURLOPT_WRITEFUNCTION, on_hello_body);
        curl_easy_setopt(peer->transfer.easy, CURLOPT_WRITEDATA, peer);
        curl_easy_setopt(peer->transfer.easy, CURLOPT_TIMEOUT_MS,
                         (long)(2 * config->connect_timeout_ns / 1000000u));
    }
    curl_easy_setopt(peer->transfer.easy, CURLOPT_POSTFIELDSIZE, (long)peer->hello.request_len);
    curl_easy_setopt(peer->transfer.easy, CURLOPT_POSTFIELDS, peer->hello.request);
    peer->message[0] = 0;
    base_buf_reset(&peer->answer);
    internode->stats.hellos++;
    rc = neti_transfer_start(internode->http, &peer->transfer);
    if (rc != BASE_OK)
        base_err_set(&err, rc, "%s", base_err_words(rc));
out:
    if (rc != BASE_OK)
        hello_failed(peer, &err);
}

/* Flushing. */

/* Nanoseconds until the queue may go; 0: now. */
static uint64_t must_wait(const struct neti_lane *lane, uint64_t now_ns)
{
    const struct net_internode_config *config = &lane->peer->internode->config;
    if (!lane->flying || lane->queue_bytes >= config->gather_bytes)
        return 0;
    uint64_t age_ns = now_ns - lane->flying->started_ns; /* of the youngest */
    return age_ns < GATHER_NS ? GATHER_NS - age_ns : 0;
}

/* Sets *wait_ns to when it must be flushed again, if that is sooner. */
static bool flush_lane(struct neti_lane *lane, uint64_t now_ns, uint64_t *wait_ns)
{
    const struct net_internode_config *config = &lane->peer->internode->config;
    bool sent = false;
    while (lane->queue.first && lane->flying_count < config->posts_max) {
        uint64_t wait = must_wait(lane, now_ns);
        if (wait == 0 && neti_post_send(lane, now_ns)) {
            sent = true;
            continue;
        }
        if (wait == 0 && lane->queue.first && !lane->flying)
            wait = GATHER_NS; /* out of memory: try again */
        if (wait > 0 && wait < *wait_ns)
            *wait_ns = wait;
        break;
    }
    return sent;
}

static bool flush_peer(struct neti_peer *peer, uint64_t now_ns, uint64_t *wait_ns)
{
    bool waiting = false, sent = false;
    for (int i = 0; i < NET_INTERNODE_LANES; i++)
        waiting = waiting || peer->lanes[i].queue.first;
    if (!waiting || peer->transfer.active)
        return false;
    if (!peer->session) {
        say_hello(peer);
        return true;
    }
    for (int i = 0; i < NET_INTERNODE_LANES && peer->session; i++)
        sent |= flush_lane(&peer->lanes[i], now_ns, wait_ns);
    return sent;
}

void neti_peer_pending(struct neti_peer *peer)
{
    struct net_internode *internode = peer->internode;
    if (!peer->pending) {
        peer->pending = true;
        peer->next_pending = internode->pending;
        internode->pending = peer;
    }
    net_loop_at_end(internode->config.loop, &internode->flush);
}

void neti_peers_flush(struct net_internode *internode)
{
    uint64_t wait_ns = UINT64_MAX, now_ns = neti_now(internode);
    bool sent = false;
    struct neti_peer *peers = internode->pending, *waiting = NULL;
    internode->pending = NULL;
    for (struct neti_peer *peer = peers, *next; peer; peer = next) {
        uint64_t wait = UINT64_MAX;
        next = peer->next_pending;
        peer->pending = false;
        sent |= flush_peer(peer, now_ns, &wait);
        if (wait == UINT64_MAX || peer->pending)
            continue;
        wait_ns = wait < wait_ns ? wait : wait_ns;
        peer->pending = true; /* gathering: with the timer, not in this turn's next round */
        peer->next_pending = waiting;
        waiting = peer;
    }
    while (waiting) {
        struct neti_peer *next = waiting->next_pending;
        waiting->next_pending = internode->pending;
        internode->pending = waiting;
        waiting = next;
    }
    if (wait_ns != UINT64_MAX)
        net_loop_arm(internode->config.loop, &internode->gather, wait_ns);
    if (sent)
        neti_client_kick(internode->http);
    if (internode->peer_is_new && internode->peer_count > NETI_PEERS_KEPT)
        neti_peers_forget_idle(internode, now_ns);
    internode->peer_is_new = false;
}

/* Peers. */

static void peer_free(struct neti_peer *peer)
{
    struct net_internode *internode = peer->internode;
    neti_transfer_cancel(internode->http, &peer->transfer);
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        struct neti_lane *lane = &peer->lanes[i];
        while (lane->flying) {
            struct neti_post *post = lane->flying;
            neti_transfer_cancel(internode->http, &post->transfer);
            while (post->frames.first)
                free(neti_queue_take(&post->frames));
            neti_post_land(post);
        }
        while (lane->queue.first)
            free(neti_lane_take(lane));
        for (struct neti_post *post = lane->idle, *next; post; post = next) {
            next = post->next;
            neti_post_free(post);
        }
    }
    if (peer->transfer.easy)
        curl_easy_cleanup(peer->transfer.easy);
    neti_hello_forget(&peer->hello);
    neti_session_release(peer->session);
    base_buf_fini(&peer->answer);
    curl_slist_free_all(peer->headers);
    free(peer->address);
    free(peer->hello_url);
    free(peer->messages_url);
    free(peer);
}

void neti_peers_free(struct net_internode *internode)
{
    for (struct neti_peer *peer = internode->peers, *next; peer; peer = next) {
        next = peer->next;
        peer_free(peer);
    }
    internode->peers = internode->pending = NULL;
    memset(internode->peer_buckets, 0, sizeof internode->peer_buckets);
    internode->peer_count = 0;
}

static struct neti_peer **bucket_of(struct net_internode *internode, struct base_slice address)
{
    return &internode->peer_buckets[base_checksum(address.data, address.len) % NETI_PEER_BUCKETS];
}

static bool is_idle(const struct neti_peer *peer, uint64_t now_ns)
{
    bool busy =
        peer->pending || peer->transfer.active || now_ns - peer->used_ns < NETI_PEER_IDLE_NS;
    for (int i = 0; i < NET_INTERNODE_LANES; i++)
        busy = busy || peer->lanes[i].queue.first || peer->lanes[i].flying;
    return !busy;
}

void neti_peers_forget_idle(struct net_internode *internode, uint64_t now_ns)
{
    for (struct neti_peer **at = &internode->peers; *at;) {
        struct neti_peer *peer = *at;
        if (!is_idle(peer, now_ns)) {
            at = &peer->next;
            continue;
        }
        struct neti_peer **in_bucket = bucket_of(internode, base_slice_str(peer->address));
        while (*in_bucket != peer) {
            BASE_ASSERT(*in_bucket);
            in_bucket = &(*in_bucket)->next_in_bucket;
        }
        *in_bucket = peer->next_in_bucket;
        *at = peer->next;
        internode->peer_count--;
        peer_free(peer);
    }
}

static char *make_url(const struct net_internode *internode, const struct neti_peer *peer,
                      const char *path)
{
    struct base_buf url;
    char *text = NULL;
    size_t len;
    const struct net_internode_config *config = &internode->config;
    bool v6 = strchr(peer->host, ':') != NULL,
         https = config->https || config->tls.certificate || config->tls.ca;
    base_buf_init(&url, 256);
    if (base_buf_printf(&url, "%s://%s%s%s:%u/internode/v1/%s", https ? "https" : "http",
                        v6 ? "[" : "", peer->host, v6 ? "]" : "", peer->port, path) == BASE_OK &&
        base_buf_put_u8(&url, 0) == BASE_OK)
        base_buf_take(&url, (uint8_t **)&text, &len);
    base_buf_fini(&url);
    return text;
}

static int peer_init(struct neti_peer *peer, struct net_internode *internode,
                     struct base_slice address, struct base_err *err)
{
    peer->internode = internode;
    peer->transfer.done = on_hello_done;
    base_buf_init(&peer->answer, NETI_HELLO_SIZE_MAX);
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        peer->lanes[i].peer = peer;
        peer->lanes[i].number = i;
        neti_queue_init(&peer->lanes[i].queue);
    }
    peer->address = strndup((const char *)address.data, address.len);
    if (!peer->address)
        return BASE_E_NOMEM;
    int rc = net_address_parse(peer->address, peer->host, &peer->port, err);
    if (rc != BASE_OK)
        return rc;
    static const char *const headers[] = {
        "Expect:", "Accept:", "Content-Type: application/octet-stream"};
    for (size_t i = 0; i < BASE_COUNT(headers); i++) {
        struct curl_slist *more = curl_slist_append(peer->headers, headers[i]);
        if (!more)
            return BASE_E_NOMEM;
        peer->headers = more;
    }
    peer->hello_url = make_url(internode, peer, "hello");
    peer->messages_url = make_url(internode, peer, "messages");
    return peer->hello_url && peer->messages_url ? BASE_OK : BASE_E_NOMEM;
}

static int find_peer(struct net_internode *internode, struct base_slice address,
                     struct neti_peer **out)
{
    struct neti_peer **bucket = bucket_of(internode, address);
    for (struct neti_peer *peer = *bucket; peer; peer = peer->next_in_bucket) {
        if (base_slice_equal(base_slice_str(peer->address), address)) {
            *out = peer;
            return BASE_OK;
        }
    }
    struct neti_peer *peer = calloc(1, sizeof *peer);
    struct base_err err = {0};
    *out = NULL;
    if (!peer)
        return BASE_E_NOMEM;
    int rc = peer_init(peer, internode, address, &err);
    if (rc != BASE_OK) {
        peer_free(peer);
        return rc;
    }
    peer->next = internode->peers;
    internode->peers = peer;
    peer->next_in_bucket = *bucket;
    *bucket = peer;
    internode->peer_count++;
    internode->peer_is_new = true;
    *out = peer;
    return BASE_OK;
}

int net_internode_send(struct net_internode *internode, struct base_slice address,
                       struct base_uuid to, int lane_number, bool compress,
                       const struct base_message *message)
{
    const struct net_internode_config *config = &internode->config;
    struct neti_peer *peer;
    BASE_ASSERT(lane_number >= 0 && lane_number < NET_INTERNODE_LANES);
    BASE_ASSERT((message->flags & BASE_MESSAGE_REPLY) == 0);
    if (message->body.len > config->frame_size_max)
        return BASE_E_LIMIT;
    int rc = find_peer(internode, address, &peer);
    if (rc != BASE_OK)
        return rc;
    struct neti_lane *lane = &peer->lanes[lane_number];
    uint64_t now_ns = neti_now(internode);
    struct neti_queued *q = malloc(sizeof *q + message->body.len);
    if (!q)
        return BASE_E_NOMEM;
    *q = (struct neti_queued){.to = to, .message = *message};
    q->deadline_ns = now_ns + (message->timeout_ms ? message->timeout_ms : NETI_NO_DEADLINE_MS) *
                                  UINT64_C(1000000);
    if (message->body.len)
        memcpy(q->body, message->body.data, message->body.len);
    q->message.body.data = q->body;
    if (lane->queue_bytes + queued_size(q) > config->queue_bytes_max && lane->queue.first &&
        lane->queue.first->deadline_ns <= now_ns)
        drop_expired(lane, now_ns);
    if (lane->queue.first && lane->queue_bytes + queued_size(q) > config->queue_bytes_max) {
        internode->stats.overloaded++;
        lane->dropped++;
        free(q);
        return BASE_E_OVERLOADED;
    }
    peer->compress = compress;
    peer->used_ns = now_ns;
    neti_lane_count(lane, q);
    neti_queue_append(&lane->queue, q);
    neti_peer_pending(peer);
    return BASE_OK;
}

int net_internode_each_peer(const struct net_internode *internode,
                            int (*each)(void *ctx, const struct net_internode_peer_stats *peer),
                            void *ctx)
{
    int stop = 0;
    for (const struct neti_peer *peer = internode->peers; peer && !stop; peer = peer->next) {
        struct net_internode_peer_stats stats = {.address = peer->address,
                                                 .connected = peer->session != NULL};
        for (int i = 0; i < NET_INTERNODE_LANES; i++) {
            stats.lane_queued[i] = peer->lanes[i].queue_count;
            stats.lane_completed[i] = peer->lanes[i].completed;
            stats.lane_dropped[i] = peer->lanes[i].dropped;
        }
        stop = each(ctx, &stats);
    }
    return stop;
}
