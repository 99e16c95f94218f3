/* A node in a cluster: the event loop's thread with replication/ on it, the HTTP listener, the
 * peers; and a guest's, without the listener and the store.
 *
 * Invariants:
 *  1. Everything of `repl`, `internode`, `server` and `api` happens on the loop's thread, from its
 *     start to its end; before the thread starts and after it was joined, on the opener's and
 *     closer's.
 *  2. The loop never waits: what may is in cluster_work.c and http_api.c.
 *  3. The end: no new requests of peers, then no port operation pending, then repl_close, then the
 *     rest. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "node/cluster_private.h"
#include "node/cql_private.h"

enum { STACK_SIZE = 1024 * 1024, CLOSE_POLL_NS = 2000000, BODY_SIZE_MAX = 40 << 20 };
#define CLOSE_WAIT_NS UINT64_C(5000000000)
#define LOAD_INTERVAL_NS UINT64_C(60000000000)

/* Port: alarm. */

static void on_alarm(struct net_timer *timer)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(timer, struct nodei_cluster, alarm_timer);
    repl_tick(cluster->repl);
}

static void set_alarm(struct repl_alarm *alarm, uint64_t at_ns)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(alarm, struct nodei_cluster, alarm);
    uint64_t now = base_clock_mono(cluster->node->clock).ns;
    if (at_ns == UINT64_MAX)
        net_loop_disarm(cluster->loop, &cluster->alarm_timer);
    else
        net_loop_arm(cluster->loop, &cluster->alarm_timer, at_ns > now ? at_ns - now : 0);
}

static const struct repl_alarm_ops alarm_ops = {set_alarm};

/* Port: messages. */

struct inbound {
    struct repl_inbound repl;
    struct net_inbound *net;
    struct inbound *next;
};

/* SimpleSnitch: one data centre, one rack, whatever dc and rack say. */
static struct base_slice own_dc(const struct node *node)
{
    return node->settings.snitch ? BASE_SLICE_LIT("datacenter1")
                                 : base_slice_str(node->settings.dc);
}

static bool compresses(const struct nodei_cluster *cluster, struct base_uuid to)
{
    const struct ring_state *ring = repl_ring(cluster->repl);
    int member;
    switch (cluster->node->settings.internode_compression) {
    case 0:
        return false;
    case 2:
        return true;
    default:
        member = ring_member_find(ring, to);
        return member >= 0 && !base_slice_equal(ring->members[member].dc, own_dc(cluster->node));
    }
}

static int transport_send(struct repl_transport *t, struct base_slice address, struct base_uuid to,
                          enum repl_lane lane, const struct base_message *message)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(t, struct nodei_cluster, transport);
    return net_internode_send(cluster->internode, address, to, (int)lane, compresses(cluster, to),
                              message);
}

static void inbound_free(struct nodei_cluster *cluster, struct inbound *in)
{
    in->next = cluster->spare_inbound;
    cluster->spare_inbound = in;
}

static void transport_reply(struct repl_transport *t, struct repl_inbound *repl_in,
                            const struct base_message *message)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(t, struct nodei_cluster, transport);
    struct inbound *in = BASE_CONTAINER(repl_in, struct inbound, repl);
    net_internode_reply(cluster->internode, in->net, message);
    inbound_free(cluster, in);
}

static void transport_drop(struct repl_transport *t, struct repl_inbound *repl_in)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(t, struct nodei_cluster, transport);
    struct inbound *in = BASE_CONTAINER(repl_in, struct inbound, repl);
    net_internode_drop(cluster->internode, in->net);
    inbound_free(cluster, in);
}

static const struct repl_transport_ops transport_ops = {transport_send, transport_reply,
                                                        transport_drop};

static void on_request(void *ctx, struct net_inbound *net_in)
{
    struct nodei_cluster *cluster = ctx;
    struct inbound *in = cluster->spare_inbound;
    if (in)
        cluster->spare_inbound = in->next;
    else
        in = malloc(sizeof *in);
    if (!in || !cluster->repl || cluster->close_deadline_ns) {
        if (in)
            inbound_free(cluster, in);
        net_internode_drop(cluster->internode, net_in);
        return;
    }
    in->net = net_in;
    in->repl = (struct repl_inbound){
        .message = net_in->message,
        .deadline_ns = base_clock_mono(cluster->node->clock).ns +
                       (uint64_t)net_in->message.timeout_ms * 1000000u,
    };
    repl_on_request(cluster->repl, &in->repl);
}

static void on_reply(void *ctx, const struct base_message *reply)
{
    struct nodei_cluster *cluster = ctx;
    if (cluster->repl)
        repl_on_reply(cluster->repl, reply);
}

static void on_undelivered(void *ctx, uint64_t id)
{
    struct nodei_cluster *cluster = ctx;
    if (cluster->repl)
        repl_on_undelivered(cluster->repl, id);
}

/* Credentials. */

static int credential(void *ctx, const char *host, uint16_t port,
                      uint8_t out[NET_CREDENTIAL_LEN_MAX], size_t *len, bool *is_secret,
                      struct base_err *err)
{
    struct nodei_cluster *cluster = ctx;
    char token[NET_TOKEN_LEN + 1];
    *is_secret = cluster->secret_len > 0;
    if (*is_secret) {
        memcpy(out, cluster->secret, cluster->secret_len);
        *len = cluster->secret_len;
        return BASE_OK;
    }
    int rc = net_token_find(host, port, token, err);
    if (rc != BASE_OK)
        return rc;
    memcpy(out, token, NET_TOKEN_LEN);
    *len = NET_TOKEN_LEN;
    return BASE_OK;
}

/* Who waits for the cluster is told why a contact that is there does not speak with us. */
static void on_hello_failed(void *ctx, const char *address, const struct base_err *err)
{
    struct nodei_cluster *cluster = ctx;
    if (!cluster->node->guest || err->code == BASE_E_UNAVAILABLE || err->code == BASE_E_TIMEOUT)
        return;
    pthread_mutex_lock(&cluster->mutex);
    snprintf(cluster->refusal, sizeof cluster->refusal, "%s: %.400s", address, err->text);
    pthread_mutex_unlock(&cluster->mutex);
}

static int read_secret(struct nodei_cluster *cluster, struct base_err *err)
{
    const char *path = cluster->node->settings.cluster_secret_file;
    cluster->secret_len = 0;
    return path[0] ? net_secret_read(path, cluster->secret, &cluster->secret_len, err) : BASE_OK;
}

/* Clients of the native protocol. */

/* They are served from when the node is a member (just before anybody is told that it is) until it
 * drains. A daemon that cannot, ends. */
static void open_or_stop_native(struct nodei_cluster *cluster)
{
    struct base_err err = {0};
    enum repl_stage stage = repl_stage(cluster->repl);
    if (stage == REPL_DRAINED)
        nodei_native_stop(cluster->native);
    if (stage != REPL_MEMBER || !cluster->serves_clients || cluster->native ||
        cluster->close_deadline_ns)
        return;
    if (nodei_native_open(cluster->node, &cluster->native, &err) == BASE_OK)
        return;
    cluster->serves_clients = false;
    pthread_mutex_lock(&cluster->mutex);
    snprintf(cluster->refusal, sizeof cluster->refusal, "%.500s", err.text);
    pthread_mutex_unlock(&cluster->mutex);
    if (cluster->on_stage)
        cluster->on_stage(cluster->on_stage_ctx, REPL_REFUSED);
}

/* What other threads see. */

static void publish_stage(struct nodei_cluster *cluster)
{
    int stage = (int)repl_stage(cluster->repl);
    if (stage == atomic_load(&cluster->stage))
        return;
    pthread_mutex_lock(&cluster->mutex);
    atomic_store(&cluster->stage, stage);
    if (stage == REPL_REFUSED)
        snprintf(cluster->refusal, sizeof cluster->refusal, "%s", repl_stage_text(cluster->repl));
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->mutex);
    if (stage == REPL_MEMBER && cluster->serves_clients)
        nodei_system_keyspaces_start(cluster->node);
    if (cluster->on_stage)
        cluster->on_stage(cluster->on_stage_ctx, stage);
}

static void on_changed(void *ctx)
{
    struct nodei_cluster *cluster = ctx;
    if (!cluster->repl)
        return; /* from inside repl_open */
    if (cluster->node->guest)
        nodei_schema_publish(cluster->node, base_schema_acquire(repl_schema(cluster->repl)));
    open_or_stop_native(cluster);
    publish_stage(cluster);
    nodei_natives_look(cluster);
    if (cluster->native)
        nodei_native_changed(cluster->native);
}

static int64_t take_timestamp(void *ctx)
{
    return node_timestamp(((struct nodei_cluster *)ctx)->node);
}

static void on_load(struct net_timer *timer)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(timer, struct nodei_cluster, load_timer);
    struct lsm_stats stats;
    lsm_get_stats(cluster->node->store, &stats);
    repl_set_load(cluster->repl, stats.disk_bytes + stats.memtable_bytes);
    net_loop_arm(cluster->loop, timer, LOAD_INTERVAL_NS);
}

/* The loop's thread. */

void nodei_cluster_post(struct nodei_cluster *cluster, struct net_task *task)
{
    net_loop_post(cluster->loop, task);
}

static void *run_loop(void *ctx)
{
    struct nodei_cluster *cluster = ctx;
    struct base_err err = {0};
    repl_start(cluster->repl);
    open_or_stop_native(cluster);
    publish_stage(cluster);
    if (!cluster->node->guest)
        on_load(&cluster->load_timer);
    if (net_loop_run(cluster->loop, &err) != BASE_OK)
        base_logf(cluster->node->log, BASE_LOG_ERROR, "%s", err.text);
    return NULL;
}

static int start_thread(struct nodei_cluster *cluster, struct base_err *err)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    int rc = pthread_attr_init(&attr);
    if (rc == 0) {
        pthread_attr_setstacksize(&attr, STACK_SIZE);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&cluster->thread, &attr, run_loop, cluster);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
    }
    if (rc != 0)
        return base_err_set(err, BASE_E_NOMEM, "start the cluster's thread: %s", strerror(rc));
    cluster->thread_started = true;
    return BASE_OK;
}

struct on_loop {
    struct net_task task;
    struct nodei_cluster *cluster;
    void (*fn)(void *ctx, struct repl *repl);
    void *ctx;
    bool done;
};

static void run_on_loop(struct net_task *task)
{
    struct on_loop *call = BASE_CONTAINER(task, struct on_loop, task);
    struct nodei_cluster *cluster = call->cluster;
    call->fn(call->ctx, cluster->repl);
    pthread_mutex_lock(&cluster->mutex);
    call->done = true;
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->mutex);
}

int nodei_on_loop(struct node *node, void (*fn)(void *ctx, struct repl *repl), void *ctx,
                  struct base_err *err)
{
    struct nodei_cluster *cluster = node->cluster;
    if (!cluster || !cluster->thread_started)
        return base_err_set(err, BASE_E_CLOSED, "this node is in no cluster");
    if (pthread_equal(pthread_self(), cluster->thread)) {
        fn(ctx, cluster->repl);
        return BASE_OK;
    }
    struct on_loop call = {.task.run = run_on_loop, .cluster = cluster, .fn = fn, .ctx = ctx};
    nodei_cluster_post(cluster, &call.task);
    pthread_mutex_lock(&cluster->mutex);
    while (!call.done)
        pthread_cond_wait(&cluster->changed, &cluster->mutex);
    pthread_mutex_unlock(&cluster->mutex);
    return BASE_OK;
}

bool nodei_is_clustered(const struct node *node)
{
    return node->cluster != NULL;
}

struct net_internode *nodei_internode(struct node *node)
{
    return node->cluster ? node->cluster->internode : NULL;
}

void nodei_cluster_stage(struct node *node, int stage, struct nodei_stage_stats *out)
{
    *out = (struct nodei_stage_stats){.name = ""};
    if (node->cluster)
        nodei_work_get_stats(&node->cluster->work, (enum nodei_work_lane)stage, out);
}

const char *nodei_cluster_address(const struct node *node)
{
    return node->cluster ? node->cluster->address : "";
}

int nodei_cluster_ready(struct node *node, struct base_err *err)
{
    static const char *const words[] = {
        [REPL_STARTING] = "looking for the cluster",
        [REPL_JOINING] = "joining",
        [REPL_MEMBER] = "a member",
        [REPL_REFUSED] = "refused by the cluster",
        [REPL_DRAINED] = "drained",
    };
    int stage = node->cluster ? atomic_load(&node->cluster->stage) : REPL_MEMBER;
    if (stage == REPL_MEMBER)
        return BASE_OK;
    return base_err_set(err, BASE_E_STOPPED, "this node is not serving: it is %s", words[stage]);
}

void nodei_cluster_refusal(struct node *node, char *text, size_t size)
{
    text[0] = 0;
    if (!node->cluster)
        return;
    pthread_mutex_lock(&node->cluster->mutex);
    snprintf(text, size, "%s", node->cluster->refusal);
    pthread_mutex_unlock(&node->cluster->mutex);
}

bool nodei_cluster_secret_in_request(const struct node *node,
                                     const struct net_http_request *request)
{
    const struct nodei_cluster *cluster = node->cluster;
    static const char scheme[] = "Bearer ";
    struct base_slice header = net_http_header(request, "Authorization");
    size_t prefix = sizeof scheme - 1;
    if (!cluster || !cluster->secret_len || header.len != prefix + cluster->secret_len ||
        memcmp(header.data, scheme, prefix) != 0)
        return false;
    unsigned differ = 0; /* the same time whatever is sent */
    for (size_t i = 0; i < cluster->secret_len; i++)
        differ |= (unsigned)(header.data[prefix + i] ^ cluster->secret[i]);
    return differ == 0;
}

/* Opening. */

static int check_listener(struct nodei_cluster *cluster, struct base_err *err)
{
    const struct nodei_settings *s = &cluster->node->settings;
    bool tls = s->internode_encryption && s->internode_client_auth;
    if (s->internode_encryption && (!s->internode_certificate[0] || !s->internode_key[0]))
        return base_err_set(err, BASE_E_CONFIG,
                            "internode_encryption needs server_encryption_options.certificate and "
                            ".key (PEM files)");
    if (tls && !s->internode_ca[0])
        return base_err_set(err, BASE_E_CONFIG,
                            "require_client_auth needs server_encryption_options.ca (a PEM file)");
    if (net_address_is_loopback(cluster->host) || cluster->secret_len || tls)
        return BASE_OK;
    return base_err_set(err, BASE_E_CONFIG,
                        "listen on %s: beyond loopback a node needs a cluster secret "
                        "(cluster_secret_file) or mutual TLS "
                        "(server_encryption_options with require_client_auth: true)",
                        cluster->host);
}

static void handle_http(void *ctx, struct net_http_request *request)
{
    struct nodei_cluster *cluster = ctx;
    if (!net_internode_handle(cluster->internode, request))
        nodei_api_handle(cluster->api, request);
}

static struct net_tls_config tls_config(const struct nodei_settings *s)
{
    if (!s->internode_encryption)
        return (struct net_tls_config){0};
    return (struct net_tls_config){
        .certificate = s->internode_certificate[0] ? s->internode_certificate
                                                   : NULL, /* a guest may have none */
        .key = s->internode_key[0] ? s->internode_key : NULL,
        .ca = s->internode_ca[0] ? s->internode_ca : NULL,
        .require_client_auth = s->internode_client_auth,
    };
}

static size_t body_limit(void *ctx, const struct net_http_request *request,
                         struct base_slice so_far)
{
    struct nodei_cluster *cluster = ctx;
    return cluster->internode ? net_internode_body_limit(cluster->internode, request, so_far)
                              : NET_HTTP_PROBE_SIZE;
}

static int open_listener(struct nodei_cluster *cluster, struct base_err *err)
{
    const struct nodei_settings *s = &cluster->node->settings;
    snprintf(cluster->host, sizeof cluster->host, "%s",
             strcmp(s->listen_address, "localhost") == 0 ? "127.0.0.1" : s->listen_address);
    cluster->port = (uint16_t)s->storage_port;
    int rc = check_listener(cluster, err);
    if (rc != BASE_OK)
        return rc;
    struct net_http_server_config config = {
        .host = cluster->host,
        .port = cluster->port,
        .also_host = s->broadcast_address[0] ? s->broadcast_address : NULL,
        .body_size_max = BODY_SIZE_MAX,
        .bodies_bytes_max = 4 * (size_t)BODY_SIZE_MAX,
        .connections_max = 1024,
        .idle_timeout_s = 300,
        .tls = tls_config(s),
        .handle = handle_http,
        .body_limit = body_limit,
        .ctx = cluster,
    };
    rc = net_http_server_open(cluster->loop, &config, &cluster->server, err);
    if (rc != BASE_OK)
        return rc;
    cluster->port = net_http_server_port(cluster->server);
    const char *shown = s->broadcast_address[0] ? s->broadcast_address : cluster->host;
    snprintf(cluster->address, sizeof cluster->address, strchr(shown, ':') ? "[%s]:%u" : "%s:%u",
             shown, cluster->port);
    if (strcmp(shown, "0.0.0.0") == 0 || strcmp(shown, "::") == 0)
        return base_err_set(err, BASE_E_CONFIG,
                            "listen on %s: peers cannot reach a node there; set broadcast_address",
                            shown);
    return BASE_OK;
}

static int open_internode(struct nodei_cluster *cluster, struct base_err *err)
{
    struct node *node = cluster->node;
    struct net_internode_config config;
    net_internode_config_init(&config);
    config.loop = cluster->loop;
    config.random = node->random;
    config.log = node->log;
    config.host_id = node->identity.host_id;
    config.generation = node->identity.generation;
    /* a guest takes what its contact says */
    config.cluster_name = node->guest ? "" : node->settings.cluster_name;
    config.secret = base_slice(cluster->secret, cluster->secret_len);
    config.token = base_slice_str(cluster->token);
    config.credential = credential;
    config.tls = tls_config(&node->settings);
    config.https = node->settings.internode_encryption;
    config.queue_bytes_max = node->settings.internode_queue_size;
    config.on_request = on_request;
    config.on_reply = on_reply;
    config.on_undelivered = on_undelivered;
    config.on_hello_failed = on_hello_failed;
    config.ctx = cluster;
    return net_internode_open(&config, &cluster->internode, err);
}

/* "a:7000, b" → slices; entries without a port get `port`. */
static int split_seeds(const char *text, uint16_t port, struct base_arena *arena,
                       struct base_slice **out, size_t *count, struct base_err *err)
{
    size_t n = 1;
    for (const char *at = text; *at; at++)
        n += *at == ',';
    struct base_slice *seeds = base_arena_alloc(arena, n * sizeof *seeds);
    if (!seeds)
        return base_err_set(err, BASE_E_NOMEM, "seeds: out of memory");
    *count = 0;
    while (*text) {
        char one[RING_ADDRESS_LEN_MAX + 1], host[64], shown[RING_ADDRESS_LEN_MAX + 1];
        uint16_t seed_port = port;
        size_t len = strcspn(text, ", ");
        if (len >= sizeof one)
            return base_err_set(err, BASE_E_CONFIG, "seeds: \"%s\" holds too long an address",
                                text);
        memcpy(one, text, len);
        one[len] = 0;
        text += len + strspn(text + len, ", ");
        if (len == 0)
            continue;
        const char *bare = strncmp(one, "http://", 7) == 0    ? one + 7
                           : strncmp(one, "https://", 8) == 0 ? one + 8
                                                              : one;
        int rc = net_address_parse(bare, host, &seed_port, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, BASE_E_CONFIG, "seeds");
        snprintf(shown, sizeof shown, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, seed_port);
        rc = base_arena_copy(arena, base_slice_str(shown), &seeds[(*count)++]);
        if (rc != BASE_OK)
            return base_err_set(err, rc, "seeds: out of memory");
    }
    *out = seeds;
    return BASE_OK;
}

static int load_initial(struct node *node, struct repl_initial *initial, struct base_buf *paxos,
                        struct base_err *err)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 64u << 20);
    *initial = (struct repl_initial){.schema = node_schema(node)};
    int rc = node->guest ? BASE_E_NOTFOUND : cat_ring_load(node->catalog, &bytes, err);
    if (rc == BASE_OK)
        rc = ring_state_decode(base_buf_view(&bytes), &initial->ring, err);
    if (rc ==
        BASE_E_NOTFOUND) { /* in no cluster yet: its log may have the schema of an embedded node */
        struct ring_state *none = ring_state_new();
        base_err_clear(err);
        rc = none ? ring_state_advance(none, initial->schema->epoch, &initial->ring, err)
                  : base_err_set(err, BASE_E_NOMEM, "members: out of memory");
        ring_state_release(none);
    }
    base_buf_fini(&bytes);
    if (rc == BASE_OK && !node->guest)
        rc = cat_local_get(node->catalog, REPL_PAXOS_KEY, paxos, err);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        rc = BASE_OK;
    }
    initial->paxos = base_buf_view(paxos);
    return rc;
}

static int open_repl(struct nodei_cluster *cluster, const char *seeds, struct base_err *err)
{
    struct node *node = cluster->node;
    const struct nodei_settings *s = &node->settings;
    struct repl_config config;
    struct repl_initial initial = {0};
    struct base_arena arena;
    struct base_buf paxos;
    struct base_slice *list = NULL;
    base_arena_init(&arena);
    base_buf_init(&paxos, 256u << 20);
    repl_config_init(&config);
    config.host_id = node->identity.host_id;
    config.generation = node->identity.generation;
    config.cluster_name = base_slice_str(s->cluster_name);
    config.address = base_slice_str(cluster->address);
    config.dc = node->guest ? (struct base_slice){0} : own_dc(node);
    config.rack = s->snitch ? BASE_SLICE_LIT("rack1") : base_slice_str(s->rack);
    config.guest = node->guest;
    config.num_tokens = (unsigned)s->num_tokens;
    config.read_timeout_ns = s->read_request_timeout_ns;
    config.range_timeout_ns = s->range_request_timeout_ns;
    config.write_timeout_ns = s->write_request_timeout_ns;
    config.conditional_timeout_ns = s->cas_contention_timeout_ns;
    config.metadata_timeout_ns = s->metadata_timeout_ns;
    config.phi_convict_threshold = (double)s->phi_convict_threshold;
    config.hinted_handoff_enabled = s->hinted_handoff_enabled;
    config.max_hint_window_ns = s->max_hint_window_ns;
    config.hints_size_max = s->hints_size_max;
    config.metadata_log_entries = s->metadata_log_entries;
    config.hint_dispatch_bytes_s = s->hint_throttle;
    config.requests_max_bytes = s->native_transport_max_request_data;
    config.batch_size_max = s->transaction_size_max;
    int rc = split_seeds(seeds, (uint16_t)(s->storage_port ? s->storage_port : 7000), &arena, &list,
                         &config.seed_count, err);
    config.seeds = list;
    if (rc == BASE_OK)
        rc = load_initial(node, &initial, &paxos, err);
    struct repl_ports ports = {
        .clock = node->clock,
        .random = node->random,
        .log = node->log,
        .alarm = &cluster->alarm,
        .transport = &cluster->transport,
        .store = node->guest ? NULL : &cluster->work.store,
        .meta = node->guest ? NULL : &cluster->work.meta,
        .timestamp = take_timestamp,
        .changed = on_changed,
        .ctx = cluster,
    };
    if (rc == BASE_OK)
        rc = repl_open(&config, &ports, &initial, &cluster->repl, err);
    if (initial.schema)
        base_schema_release(initial.schema);
    if (initial.ring)
        ring_state_release(initial.ring);
    base_buf_fini(&paxos);
    base_arena_fini(&arena);
    return rc;
}

static int open_member(struct nodei_cluster *cluster, struct base_err *err)
{
    struct node *node = cluster->node;
    int rc = net_token_open(node->dir, node->random, cluster->token, err);
    if (rc == BASE_OK && cluster->serves_clients)
        rc = nodei_native_check(node, err);
    if (rc == BASE_OK)
        rc = open_listener(cluster, err);
    if (rc == BASE_OK)
        rc = nodei_work_open(&cluster->work, node, cluster->loop, err);
    if (rc == BASE_OK)
        rc = nodei_api_open(node, cluster->loop, cluster->token, &cluster->api, err);
    if (rc == BASE_OK)
        rc = net_token_announce(cluster->host, cluster->port, node->dir, err);
    cluster->announced = rc == BASE_OK;
    return rc;
}

/* Closing, on whichever thread owns the parts then. */
static void close_parts(struct nodei_cluster *cluster)
{
    nodei_native_close(cluster->native);
    cluster->native = NULL;
    repl_close(cluster->repl);
    cluster->repl = NULL;
    if (cluster->api)
        nodei_api_close(cluster->api);
    net_internode_close(cluster->internode);
    net_http_server_close(cluster->server);
    net_loop_disarm(cluster->loop, &cluster->alarm_timer);
    net_loop_disarm(cluster->loop, &cluster->load_timer);
}

int nodei_cluster_open(struct node *node, const char *seeds, const struct nodei_daemon *daemon,
                       struct base_err *err)
{
    struct nodei_cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return base_err_set(err, BASE_E_NOMEM, "cluster: out of memory");
    cluster->node = node;
    cluster->on_stage = daemon ? daemon->on_stage : NULL;
    cluster->on_stage_ctx = daemon ? daemon->ctx : NULL;
    cluster->serves_clients = nodei_native_is_wanted(node, daemon != NULL);
    cluster->alarm.ops = &alarm_ops;
    cluster->transport.ops = &transport_ops;
    cluster->alarm_timer.fired = on_alarm;
    cluster->load_timer.fired = on_load;
    pthread_mutex_init(&cluster->mutex, NULL);
    pthread_cond_init(&cluster->changed, NULL);
    node->cluster = cluster;
    int rc = net_loop_new(&cluster->loop, err);
    if (rc == BASE_OK)
        rc = read_secret(cluster, err);
    if (rc == BASE_OK && !node->guest)
        rc = open_member(cluster, err);
    if (rc == BASE_OK)
        rc = open_internode(cluster, err);
    if (rc == BASE_OK)
        rc = nodei_natives_open(cluster, err);
    if (rc == BASE_OK)
        rc = open_repl(cluster, seeds, err);
    if (rc == BASE_OK)
        rc = start_thread(cluster, err);
    if (rc != BASE_OK)
        nodei_cluster_close(node);
    return rc;
}

/* Closing. */

/* On the loop, again and again until nothing is pending: then the loop ends. */
static void on_close_poll(struct net_timer *timer)
{
    struct nodei_cluster *cluster = BASE_CONTAINER(timer, struct nodei_cluster, close_timer);
    uint64_t now = base_clock_mono(cluster->node->clock).ns;
    bool idle = repl_is_idle(cluster->repl) || now >= cluster->close_deadline_ns;
    bool answered = !cluster->api || nodei_api_stop(cluster->api);
    bool said = !cluster->system_keyspaces || now >= cluster->close_deadline_ns;
    bool logged_in = nodei_auth_stop(cluster->node, now >= cluster->close_deadline_ns);
    if (cluster->work.pending > 0 || cluster->changes_waiting > 0 || !idle || !answered || !said ||
        !logged_in) {
        net_loop_arm(cluster->loop, timer, CLOSE_POLL_NS);
        return;
    }
    close_parts(cluster);
    net_loop_stop(cluster->loop);
}

static void begin_close(struct net_task *task)
{
    struct on_loop *call = BASE_CONTAINER(task, struct on_loop, task);
    struct nodei_cluster *cluster = call->cluster;
    nodei_system_keyspaces_stop(cluster->node);
    nodei_native_stop(cluster->native);
    repl_drain(cluster->repl);
    cluster->close_deadline_ns = base_clock_mono(cluster->node->clock).ns + CLOSE_WAIT_NS;
    cluster->close_timer.fired = on_close_poll;
    net_loop_arm(cluster->loop, &cluster->close_timer, 0);
}

void nodei_cluster_close(struct node *node)
{
    struct nodei_cluster *cluster = node->cluster;
    if (!cluster)
        return;
    if (cluster->announced)
        net_token_withdraw(cluster->host, cluster->port);
    if (cluster->thread_started) {
        struct on_loop call = {.task.run = begin_close, .cluster = cluster};
        nodei_cluster_post(cluster, &call.task);
        pthread_join(cluster->thread, NULL);
    } else if (cluster->loop) {
        close_parts(cluster);
    }
    nodei_work_close(&cluster->work);
    nodei_natives_close(cluster);
    nodei_cql_loop_close(cluster);
    while (cluster->spare_inbound) {
        struct inbound *in = cluster->spare_inbound;
        cluster->spare_inbound = in->next;
        free(in);
    }
    nodei_auth_close(node);
    net_loop_free(cluster->loop);
    pthread_mutex_destroy(&cluster->mutex);
    pthread_cond_destroy(&cluster->changed);
    memset(cluster->secret, 0, sizeof cluster->secret);
    free(cluster);
    node->cluster = NULL;
}
