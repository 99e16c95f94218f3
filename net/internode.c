/* Peers over HTTP: what both sides share: configuration, life cycle, counters. The client's side is
 * internode_client.c, the server's internode_server.c.
 *
 * Invariants:
 * 1. What was sent and what is to be answered in one turn of the loop goes out at its end: one hook
 *    flushes both.
 * 2. The receiver's callbacks run on the loop, never inside net_internode_send, reply or drop. */
#include "net/internode_private.h"

#include <stdio.h>

static void on_flush(struct net_hook *hook)
{
    struct net_internode *internode = BASE_CONTAINER(hook, struct net_internode, flush);
    neti_inposts_flush(internode);
    neti_peers_flush(internode);
}

static void on_gather(struct net_timer *timer)
{
    neti_peers_flush(BASE_CONTAINER(timer, struct net_internode, gather));
}

static void on_stream(struct net_timer *timer)
{
    neti_inposts_flush(BASE_CONTAINER(timer, struct net_internode, stream));
}

uint64_t neti_now(const struct net_internode *internode)
{
    return net_loop_now(internode->config.loop).ns;
}

void neti_complain(struct net_internode *internode, const char *what, const char *detail)
{
    uint64_t now_ns = neti_now(internode);
    if (internode->complained_ns && now_ns - internode->complained_ns < NETI_COMPLAINT_NS) {
        internode->complaints++;
        return;
    }
    if (internode->complaints)
        base_logf(internode->config.log, BASE_LOG_WARN,
                  "internode: %s: %s (and %llu times such things before)", what, detail,
                  (unsigned long long)internode->complaints);
    else
        base_logf(internode->config.log, BASE_LOG_WARN, "internode: %s: %s", what, detail);
    internode->complained_ns = now_ns;
    internode->complaints = 0;
}

void net_internode_config_init(struct net_internode_config *config)
{
    *config = (struct net_internode_config){
        .cluster_name = "",
        .frame_size_max = (16u << 20) + 4096,
        .body_size_max = 32u << 20,
        .queue_bytes_max = 16u << 20,
        .inbound_bytes_max = 64u << 20,
        .gather_bytes = 64u << 10,
        .posts_max = 8,
        .connect_timeout_ns = 2000000000u,
    };
}

static int copy_string(const char **string, char **owned)
{
    if (!*string)
        return BASE_OK;
    *owned = strdup(*string);
    *string = *owned;
    return *owned ? BASE_OK : BASE_E_NOMEM;
}

static int copy_bytes(struct base_slice *bytes, struct base_buf *owned)
{
    base_buf_reset(owned);
    int rc = base_buf_put_slice(owned, *bytes);
    *bytes = rc == BASE_OK ? base_buf_view(owned) : (struct base_slice){0};
    return rc;
}

static int check_config(const struct net_internode_config *config, struct base_err *err)
{
    BASE_ASSERT(config->loop && config->random && config->credential);
    BASE_ASSERT(config->on_request && config->on_reply && config->on_undelivered);
    if (strlen(config->cluster_name) > 255)
        return base_err_set(err, BASE_E_CONFIG, "cluster_name: more than 255 bytes");
    if (config->secret.len > NET_CREDENTIAL_LEN_MAX || config->token.len > NET_CREDENTIAL_LEN_MAX)
        return base_err_set(err, BASE_E_CONFIG, "the cluster secret is longer than %d bytes",
                            NET_CREDENTIAL_LEN_MAX);
    if (config->posts_max == 0 || config->body_size_max > UINT32_MAX ||
        config->frame_size_max + NETI_FRAME_HEADER > config->body_size_max)
        return base_err_set(err, BASE_E_CONFIG,
                            "internode limits: a message of %zu bytes does not fit a body of %zu",
                            config->frame_size_max, config->body_size_max);
    return BASE_OK;
}

int net_internode_open(const struct net_internode_config *config, struct net_internode **out,
                       struct base_err *err)
{
    *out = NULL;
    int rc = check_config(config, err);
    if (rc != BASE_OK)
        return rc;
    struct net_internode *internode = calloc(1, sizeof *internode);
    if (!internode)
        return base_err_set(err, BASE_E_NOMEM, "internode: out of memory");
    struct net_internode_config *own = &internode->config;
    *own = *config;
    base_buf_init(&internode->secret, NET_CREDENTIAL_LEN_MAX);
    base_buf_init(&internode->token, NET_CREDENTIAL_LEN_MAX);
    neti_sessions_init(&internode->sessions);
    internode->flush.run = on_flush;
    internode->gather.fired = on_gather;
    internode->stream.fired = on_stream;
    rc = copy_bytes(&own->secret, &internode->secret);
    if (rc == BASE_OK)
        rc = copy_bytes(&own->token, &internode->token);
    const char **strings[] = {&own->cluster_name, &own->tls.certificate, &own->tls.key,
                              &own->tls.ca};
    _Static_assert(BASE_COUNT(strings) == BASE_COUNT(internode->strings),
                   "a place for each string");
    for (size_t i = 0; i < BASE_COUNT(strings) && rc == BASE_OK; i++)
        rc = copy_string(strings[i], &internode->strings[i]);
    if (rc == BASE_OK)
        rc = net_http_client_new(own->loop, &internode->http, err);
    if (rc != BASE_OK) {
        net_internode_close(internode);
        return base_err_set(err, rc, "internode: out of memory");
    }
    *out = internode;
    return BASE_OK;
}

void net_internode_close(struct net_internode *internode)
{
    if (!internode)
        return;
    neti_inposts_flush(internode); /* what was answered last */
    BASE_ASSERT(!internode->inposts);
    if (internode->http) {
        neti_peers_free(internode);
        net_http_client_free(internode->http);
    }
    net_loop_not_at_end(internode->config.loop, &internode->flush);
    net_loop_disarm(internode->config.loop, &internode->gather);
    net_loop_disarm(internode->config.loop, &internode->stream);
    neti_sessions_fini(&internode->sessions);
    base_buf_fini(&internode->secret);
    base_buf_fini(&internode->token);
    for (size_t i = 0; i < BASE_COUNT(internode->strings); i++)
        free(internode->strings[i]);
    free(internode);
}

void net_internode_set_secret(struct net_internode *internode, struct base_slice secret)
{
    BASE_ASSERT(secret.len <= NET_CREDENTIAL_LEN_MAX);
    struct base_slice own = secret;
    if (copy_bytes(&own, &internode->secret) != BASE_OK)
        own = (struct base_slice){0};
    internode->config.secret = own;
}

void net_internode_get_stats(const struct net_internode *internode,
                             struct net_internode_stats *stats)
{
    *stats = internode->stats;
}
