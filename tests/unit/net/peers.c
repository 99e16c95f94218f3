/* Nodes of a test (peers.h). */
#include "tests/unit/net/peers.h"

#include <stdio.h>

struct net_loop *peers_loop;
static struct net_timer limit;
static bool too_late;
static uint64_t chance;

static void fill_random(struct base_random *random, void *buf, unsigned len)
{
    (void)random;
    for (unsigned i = 0; i < len; i++) {
        chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)buf)[i] = (uint8_t)(chance >> 33);
    }
}
static const struct base_random_ops random_ops = {fill_random};
static struct base_random random_port = {&random_ops};

static void on_limit(struct net_timer *timer)
{
    (void)timer;
    too_late = true;
    net_loop_stop(peers_loop);
}

void peers_start(void)
{
    struct base_err err = {0};
    limit = (struct net_timer){.fired = on_limit};
    ck_ok(net_loop_new(&peers_loop, &err), err);
}

void peers_stop(void)
{
    net_loop_free(peers_loop);
}

static const uint64_t *awaited;
static uint64_t awaited_value;

void peers_told(void)
{
    if (awaited && *awaited >= awaited_value)
        net_loop_stop(peers_loop);
}

bool peers_run_until(const uint64_t *counter, uint64_t wanted, unsigned ms)
{
    if (*counter >= wanted)
        return true;
    awaited = counter;
    awaited_value = wanted;
    too_late = false;
    net_loop_arm(peers_loop, &limit, ms * UINT64_C(1000000));
    if (net_loop_run(peers_loop, NULL) !=
        BASE_OK) /* not Check's words here: they allocate, and allocations may be made to fail */
        abort();
    net_loop_disarm(peers_loop, &limit);
    awaited = NULL;
    return *counter >= wanted;
}

void peers_run_for(unsigned ms)
{
    static const uint64_t never;
    if (peers_run_until(&never, 1, ms))
        abort();
}

uint8_t peer_byte(uint64_t id, size_t i)
{
    return (uint8_t)(id * 31 + i / 7);
}

static void reply(struct peer_node *node, struct net_inbound *in)
{
    struct base_message message = in->message;
    message.flags = BASE_MESSAGE_REPLY;
    message.sender = node->config.host_id;
    message.generation = node->config.generation;
    message.timeout_ms = 0;
    net_internode_reply(node->internode, in, &message);
}

static void on_request(void *ctx, struct net_inbound *in)
{
    struct peer_node *node = ctx;
    bool one_way = (in->message.flags & BASE_MESSAGE_ONE_WAY) != 0;
    node->requests++;
    node->last_timeout_ms = in->message.timeout_ms;
    node->one_ways += one_way;
    for (size_t i = 0; i < in->message.body.len; i++)
        if (in->message.body.data[i] != peer_byte(in->message.id, i)) {
            node->bad++;
            break;
        }
    if (node->mode == PEER_DROP || one_way)
        net_internode_drop(node->internode, in);
    else if (node->mode == PEER_HOLD && node->held_count < PEER_HELD_MAX)
        node->held[node->held_count++] = in;
    else
        reply(node, in);
    peers_told();
}

static void on_reply(void *ctx, const struct base_message *message)
{
    struct peer_node *node = ctx;
    node->replies++;
    node->last_reply = message->id;
    node->reply_bytes += message->body.len;
    for (size_t i = 0; i < message->body.len; i++)
        if (message->body.data[i] != peer_byte(message->id, i)) {
            node->bad++;
            break;
        }
    peers_told();
}

static void on_undelivered(void *ctx, uint64_t id)
{
    struct peer_node *node = ctx;
    node->undelivered++;
    node->last_undelivered = id;
    peers_told();
}

static int credential(void *ctx, const char *host, uint16_t port,
                      uint8_t out[NET_CREDENTIAL_LEN_MAX], size_t *len, bool *is_secret,
                      struct base_err *err)
{
    struct peer_node *node = ctx;
    (void)host, (void)port, (void)err;
    *len = strlen(node->secret);
    memcpy(out, node->secret, *len);
    *is_secret = *len > 0;
    return BASE_OK;
}

static void write_log(struct base_log *log, enum base_log_level level, const char *text)
{
    struct peer_node *node = BASE_CONTAINER(log, struct peer_node, log);
    size_t used = strlen(node->logged), len = strlen(text);
    (void)level;
    if (used + len + 2 > sizeof node->logged)
        used = 0;
    snprintf(node->logged + used, sizeof node->logged - used, "%s\n", text);
    if (getenv("PEERS_VERBOSE"))
        fprintf(stderr, "%s: %s\n", node->address, text);
}

static void handle(void *ctx, struct net_http_request *request)
{
    struct peer_node *node = ctx;
    if (!net_internode_handle(node->internode, request))
        net_http_respond(request, 404, "text/plain", BASE_SLICE_LIT("no\n"));
}

static size_t body_limit(void *ctx, const struct net_http_request *request,
                         struct base_slice so_far)
{
    struct peer_node *node = ctx;
    return net_internode_body_limit(node->internode, request, so_far);
}

void peer_prepare(struct peer_node *node, uint8_t id, const char *secret)
{
    memset(node, 0, sizeof *node);
    snprintf(node->secret, sizeof node->secret, "%s", secret);
    node->log = (struct base_log){BASE_LOG_DEBUG, write_log};
    net_internode_config_init(&node->config);
    node->config.loop = peers_loop;
    node->config.random = &random_port;
    node->config.log = &node->log;
    node->config.host_id.b[15] = id;
    node->config.generation = 1;
    node->config.cluster_name = "Test Cluster";
    node->config.secret = base_slice_str(node->secret);
    node->config.connect_timeout_ns = PEER_PATIENCE_MS * UINT64_C(1000000);
    node->config.credential = credential;
    node->config.on_request = on_request;
    node->config.on_reply = on_reply;
    node->config.on_undelivered = on_undelivered;
    node->config.ctx = node;
    node->http = (struct net_http_server_config){.host = "127.0.0.1",
                                                 .body_size_max = 40u << 20,
                                                 .connections_max = 64,
                                                 .idle_timeout_s = 5,
                                                 .handle = handle,
                                                 .body_limit = body_limit,
                                                 .ctx = node};
}

void peer_open(struct peer_node *node)
{
    struct base_err err = {0};
    node->http.port = node->port;
    ck_ok(net_internode_open(&node->config, &node->internode, &err), err);
    ck_ok(net_http_server_open(peers_loop, &node->http, &node->server, &err), err);
    node->port = net_http_server_port(node->server);
    snprintf(node->address, sizeof node->address, "127.0.0.1:%u", node->port);
}

void peer_close(struct peer_node *node)
{
    peer_drop_held(node);
    net_internode_close(node->internode);
    net_http_server_close(node->server);
    node->server = NULL;
    node->internode = NULL;
}

int peer_send(struct peer_node *from, const char *address, int lane, uint8_t flags, uint64_t id,
              size_t len, uint32_t timeout_ms)
{
    static uint8_t small[65536]; /* tests of memory count the code's allocations, not ours */
    uint8_t *body = len <= sizeof small ? small : malloc(len);
    struct base_message message = {.verb = 20,
                                   .flags = flags,
                                   .id = id,
                                   .sender = from->config.host_id,
                                   .generation = from->config.generation,
                                   .timeout_ms = timeout_ms,
                                   .body = base_slice(body, len)};
    for (size_t i = 0; i < len; i++)
        body[i] = peer_byte(id, i);
    int rc = net_internode_send(from->internode, base_slice_str(address), (struct base_uuid){{0}},
                                lane, false, &message);
    if (body != small)
        free(body);
    return rc;
}

void peer_answer_held(struct peer_node *node)
{
    size_t count = node->held_count;
    node->held_count = 0;
    for (size_t i = 0; i < count; i++)
        reply(node, node->held[i]);
}

void peer_drop_held(struct peer_node *node)
{
    size_t count = node->held_count;
    node->held_count = 0;
    for (size_t i = 0; i < count; i++)
        net_internode_drop(node->internode, node->held[i]);
}
