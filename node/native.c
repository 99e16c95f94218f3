/* The native protocol's listener: where it listens, whom it lets in, and who is sent away for not
 * getting on.
 *
 * Invariants:
 *  1. Beyond loopback nobody is served without an authenticator.
 *  2. A connection that holds something and does not get on is ended: one that does not log in, a
 *     message that does not become whole, answers that are not read. One that only waits may wait
 *     for ever, or as long as native_transport_idle_timeout says. */
#include "node/native_private.h"

#define SWEEP_NS UINT64_C(2000000000)
#define STARTUP_NS UINT64_C(10000000000)
#define PATIENCE_NS UINT64_C(60000000000)
#define SLOWEST_RATE (128u << 10) /* bytes a second, beside the patience */
enum { RECEIVE_SIZE = 64 << 10, DECODED_MAX = 32 << 20 };

static const char *rpc_host(const struct nodei_settings *s)
{
    return strcmp(s->rpc_address, "localhost") == 0 ? "127.0.0.1" : s->rpc_address;
}

static struct net_stream_server_config server_config(const struct node *node)
{
    const struct nodei_settings *s = &node->settings;
    return (struct net_stream_server_config){
        .host = rpc_host(s),
        .port = (uint16_t)s->native_transport_port,
        .port_hint = "another node, or Cassandra? choose a place with --cql HOST:PORT, or "
                     "--start_native_transport=false",
        .tls = {.certificate = s->client_encryption ? s->client_certificate : NULL,
                .key = s->client_key[0] ? s->client_key : NULL,
                .ca = s->client_ca[0] ? s->client_ca : NULL,
                .require_client_auth = s->client_auth},
        .tls_optional = s->client_encryption_optional,
        .accepted = nodei_conn_accept,
    };
}

bool nodei_native_is_wanted(const struct node *node, bool is_daemon)
{
    return node->settings.start_native_transport && !node->guest &&
           (is_daemon || node->settings.serves_cql);
}

int nodei_native_check(struct node *node, struct base_err *err)
{
    const struct nodei_settings *s = &node->settings;
    const char *host = rpc_host(s);
    if (s->client_encryption && (!s->client_certificate[0] || !s->client_key[0]))
        return base_err_set(err, BASE_E_CONFIG,
                            "client_encryption_options need .certificate and .key (PEM files)");
    if (s->client_encryption && s->client_auth && !s->client_ca[0])
        return base_err_set(err, BASE_E_CONFIG,
                            "client_encryption_options.require_client_auth needs .ca (a PEM file)");
    if (!net_address_is_loopback(host) && !nodei_auth_is_required(node))
        return base_err_set(err, BASE_E_CONFIG,
                            "serve CQL on %s: beyond loopback clients must log in; set "
                            "authenticator: PasswordAuthenticator (or keep "
                            "rpc_address on loopback, or start_native_transport: false)",
                            host);
    if (net_address_is_wildcard(host) && !s->broadcast_rpc_address[0])
        return base_err_set(err, BASE_E_CONFIG,
                            "serve CQL on %s: clients cannot reach a node there by that name; set "
                            "broadcast_rpc_address",
                            host);
    const struct net_stream_server_config config = server_config(node);
    return net_stream_probe(&config, err);
}

/* The sweep. */

uint64_t nodei_native_time_for(const struct nodei_native *native, size_t bytes)
{
    return native->patience_ns + (uint64_t)bytes * 1000000000u / SLOWEST_RATE;
}

static bool is_stuck(const struct nodei_native_conn *c, uint64_t now, uint64_t idle_ns)
{
    uint64_t last = c->read_ns > c->written_ns ? c->read_ns : c->written_ns;
    if (last < c->opened_ns)
        last = c->opened_ns;
    bool waits = c->waits || c->held_back; /* for us */
    if (c->stage != NODEI_NATIVE_READY && !c->login && !waits && now - c->opened_ns > STARTUP_NS)
        return true;
    if (c->partial_since_ns &&
        now - c->partial_since_ns > nodei_native_time_for(c->native, c->reserved))
        return true;
    if (c->due_ns && now > c->due_ns)
        return true;
    if (c->closing && !c->requests && now - last > STARTUP_NS)
        return true;
    return idle_ns && !c->requests && !waits && !c->due_ns && now - last > idle_ns;
}

static void on_sweep(struct net_timer *timer)
{
    struct nodei_native *native = BASE_CONTAINER(timer, struct nodei_native, sweep);
    uint64_t now = net_loop_now(native->loop).ns,
             idle_ns = native->node->settings.native_idle_timeout_ns;
    struct nodei_native_conn *next;
    for (struct nodei_native_conn *c = native->conns; c; c = next) {
        next = c->next;
        if (!is_stuck(c, now, idle_ns))
            continue;
        native->stats.connections_timed_out++;
        nodei_conn_close(c);
    }
    if (native->conns)
        net_loop_arm(native->loop, timer, SWEEP_NS);
}

static void on_again(struct net_timer *timer)
{
    nodei_resume(BASE_CONTAINER(timer, struct nodei_native, again));
}

static void on_flush(struct net_hook *hook)
{
    struct nodei_native *native = BASE_CONTAINER(hook, struct nodei_native, flush);
    while (native->dirty) {
        struct nodei_native_conn *c = native->dirty;
        native->dirty = c->dirty_next;
        if (!native->dirty)
            native->dirty_end = &native->dirty;
        c->dirty_next = NULL;
        c->is_dirty = false;
        c->refs++;
        nodei_conn_flush(c);
        nodei_conn_release(c);
    }
}

/* Open, close. */

static void free_native(struct nodei_native *native)
{
    nodei_events_fini(native);
    nodei_request_pool_free(native);
    nodei_prepared_cache_fini(&native->prepared);
    nodei_limits_fini(&native->limits);
    while (native->spare_out_count)
        base_buf_fini(&native->spare_out[--native->spare_out_count]);
    base_buf_fini(&native->receive);
    base_buf_fini(&native->spare_assembly);
    base_buf_fini(&native->spare_plain);
    free(native);
}

void nodei_native_free_if_done(struct nodei_native *native)
{
    if (native->closed && !native->conns && native->orphans == 0)
        free_native(native);
}

int nodei_native_open(struct node *node, struct nodei_native **out, struct base_err *err)
{
    *out = NULL;
    struct nodei_native *native = calloc(1, sizeof *native);
    if (!native)
        return base_err_set(err, BASE_E_NOMEM, "native protocol: out of memory");
    native->node = node;
    native->loop = node->cluster->loop;
    native->dirty_end = &native->dirty;
    native->flush.run = on_flush;
    native->sweep.fired = on_sweep;
    native->again.fired = on_again;
    native->bind_again.fired = nodei_requests_bind;
    native->binding_end = &native->binding;
    native->patience_ns = PATIENCE_NS;
    base_buf_init(&native->receive, RECEIVE_SIZE);
    base_buf_init(&native->spare_assembly, DECODED_MAX);
    base_buf_init(&native->spare_plain, DECODED_MAX);
    nodei_events_init(native);
    struct net_stream_server_config config = server_config(node);
    config.ctx = native;
    int rc = nodei_limits_init(&native->limits, &node->settings, err);
    if (rc == BASE_OK)
        rc = nodei_prepared_cache_init(&native->prepared, node->settings.prepared_statements_size,
                                       err);
    if (rc == BASE_OK && base_buf_reserve(&native->receive, RECEIVE_SIZE) != BASE_OK)
        rc = base_err_set(err, BASE_E_NOMEM, "native protocol: out of memory");
    if (rc == BASE_OK)
        rc = net_stream_server_open(native->loop, &config, &native->server, err);
    if (rc != BASE_OK) {
        free_native(native);
        return rc;
    }
    uint16_t port = net_stream_server_port(native->server);
    nodei_events_look(native);
    nodei_native_announce(node, node->cluster->repl, port);
    base_logf(node->log, BASE_LOG_INFO, "serving CQL on %s:%u%s", config.host, port,
              config.tls.certificate ? config.tls_optional ? " (TLS or not)" : " (TLS)" : "");
    *out = native;
    return BASE_OK;
}

void nodei_native_stop(struct nodei_native *native)
{
    struct nodei_native_conn *next;
    if (!native || !net_stream_server_port(native->server))
        return;
    nodei_native_announce(native->node, native->node->cluster->repl, 0);
    net_stream_server_stop(native->server);
    for (struct nodei_native_conn *c = native->conns; c; c = next) {
        next = c->next;
        nodei_conn_end(c);
    }
}

void nodei_native_close(struct nodei_native *native)
{
    if (!native)
        return;
    nodei_native_stop(native);
    native->closed = true;
    native->orphans++;      /* so that the last connection does not take us along */
    while (native->conns) { /* answers of this turn of the loop go first, as far as they go */
        struct nodei_native_conn *c = native->conns;
        nodei_conn_flush(c);
        if (native->conns == c)
            nodei_conn_close(c);
    }
    net_stream_server_close(native->server);
    native->server = NULL;
    native->orphans--;
    net_loop_not_at_end(native->loop, &native->flush);
    net_loop_disarm(native->loop, &native->sweep);
    net_loop_disarm(native->loop, &native->again);
    net_loop_disarm(native->loop, &native->bind_again);
    nodei_native_free_if_done(native);
}

uint16_t nodei_native_port(const struct nodei_native *native)
{
    return native->server ? net_stream_server_port(native->server) : 0;
}

void nodei_native_get_stats(const struct nodei_native *native, struct nodei_native_stats *out)
{
    *out = (struct nodei_native_stats){0};
    if (!native)
        return;
    *out = native->stats;
    out->connections = native->conn_count;
    out->in_flight_bytes = native->limits.use.held[NODEI_POOL_REQUESTS];
    out->response_bytes = native->limits.use.held[NODEI_POOL_ANSWERS];
    out->prepared = native->prepared.count;
    out->prepared_bytes = native->prepared.size_bytes;
    out->prepared_evicted = native->prepared.evicted;
}

void nodei_native_changed(struct nodei_native *native)
{
    if (native->closed)
        return;
    nodei_prepared_schema_moved(&native->prepared, node_schema_epoch(native->node));
    nodei_events_look(native);
}

void nodei_native_prepared(const struct nodei_native *native, uint64_t *count, uint64_t *evicted,
                           void (*each)(void *ctx, struct base_slice id, struct base_slice keyspace,
                                        struct base_slice text),
                           void *ctx)
{
    *count = native->prepared.count;
    *evicted = native->prepared.evicted;
    for (const struct nodei_prepared *p = each ? native->prepared.newest : NULL; p; p = p->older)
        each(ctx, base_slice(p->id, sizeof p->id), p->keyspace, p->text);
}

void nodei_native_clients(struct nodei_native *native,
                          void (*each)(void *ctx, const struct nodei_native_client *client),
                          void *ctx)
{
    for (const struct nodei_native_conn *c = native->conns; c; c = c->next) {
        struct nodei_native_client client = {
            .port = c->port,
            .protocol_version = c->version,
            .username = c->client.role[0] ? c->client.role : "anonymous",
            .driver_name = c->driver_name ? c->driver_name : "",
            .driver_version = c->driver_version ? c->driver_version : "",
            .keyspace = c->client.keyspace,
            .request_count = c->requests_total,
            .stage = c->stage == NODEI_NATIVE_READY ? "ready"
                     : c->stage == NODEI_NATIVE_NEW ? "establishing"
                                                    : "authenticating",
            .tls = net_stream_is_tls(&c->stream),
        };
        memcpy(client.address, c->client.address, sizeof client.address);
        each(ctx, &client);
    }
}
