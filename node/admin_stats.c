/* nodetool's commands about work: tpstats, netstats, proxyhistograms; hints; drain.
 *
 * A node that is alone has no requests of peers and no hints: it answers with zeros, and what
 * cannot be is refused. */
#include <stdio.h>
#include <time.h>

#include "net/internode.h"
#include "node/admin_private.h"

/* Tpstats. */

static void put_pool(struct nodei_admin *call, const char *name, uint64_t active, uint64_t pending,
                     uint64_t completed, uint64_t blocked)
{
    base_json_open_object(&call->json);
    nodei_admin_str(call, "name", name);
    nodei_admin_u64(call, "active", active);
    nodei_admin_u64(call, "pending", pending);
    nodei_admin_u64(call, "completed", completed);
    nodei_admin_u64(call, "blocked", blocked);
    base_json_close_object(&call->json);
}

static void put_lanes(struct nodei_admin *call)
{
    static const char *const names[BASE_LANE_COUNT] = {[BASE_LANE_SYNC] = "CommitLogSync",
                                                       [BASE_LANE_FLUSH] = "MemtableFlushWriter",
                                                       [BASE_LANE_COMPACT] = "CompactionExecutor",
                                                       [BASE_LANE_AUTH] =
                                                           "Native-Transport-Auth-Requests"};
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct node_lane_stats s;
        node_executor_get_stats(call->node->executor, (enum base_lane)i, &s);
        uint64_t active = s.running && s.pending > 0; /* a lane is one thread */
        put_pool(call, names[i], active, s.pending - active, s.completed, 0);
    }
}

/* What the cluster's messages lost, by the reason. */
struct drops {
    struct node *node;
    struct net_internode_stats net;
};

static void visit_net(void *ctx, struct repl *repl)
{
    struct drops *drops = ctx;
    (void)repl;
    net_internode_get_stats(nodei_internode(drops->node), &drops->net);
}

static void put_drops(struct nodei_admin *call, const struct nodei_view *view,
                      const struct net_internode_stats *net)
{
    base_json_key(&call->json, "dropped");
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "expired", view->stats.messages_expired + net->expired);
    nodei_admin_u64(call, "undelivered", net->undelivered);
    nodei_admin_u64(call, "queue_full", net->overloaded);
    nodei_admin_u64(call, "refused", net->refused);
    base_json_close_object(&call->json);
}

int nodei_admin_tpstats(struct nodei_admin *call)
{
    struct drops drops = {.node = call->node};
    struct nodei_view view;
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc == BASE_OK && view.clustered)
        rc = nodei_on_loop(call->node, visit_net, &drops, call->err);
    const struct repl_stats *s = &view.stats;
    base_json_open_object(&call->json);
    base_json_key(&call->json, "pools");
    base_json_open_array(&call->json);
    if (rc == BASE_OK && view.clustered) {
        put_pool(call, "ClientRequest", s->requests_in_flight, 0,
                 s->reads + s->range_reads + s->writes + s->batches + s->conditional_writes,
                 s->overloaded);
        for (int i = 0; i < NODEI_STAGES && !call->node->guest; i++) {
            struct nodei_stage_stats stage;
            nodei_cluster_stage(call->node, i, &stage);
            put_pool(call, stage.name, stage.active, stage.pending, stage.completed, 0);
        }
    }
    if (rc == BASE_OK && !call->node->guest)
        put_lanes(call);
    base_json_close_array(&call->json);
    if (rc == BASE_OK)
        put_drops(call, &view, &drops.net);
    base_json_close_object(&call->json);
    nodei_view_close(&view);
    return rc;
}

/* Netstats. */

struct peers {
    struct node *node;
    struct net_internode_stats net;
    struct base_json_writer json; /* of the peers' array */
    struct base_buf text;
    uint64_t queued[NET_INTERNODE_LANES], completed[NET_INTERNODE_LANES],
        dropped[NET_INTERNODE_LANES];
};

static const char *const lane_names[NET_INTERNODE_LANES] = {"Gossip messages", "Small messages",
                                                            "Large messages"};

static int put_peer(void *ctx, const struct net_internode_peer_stats *peer)
{
    struct peers *peers = ctx;
    uint64_t queued = 0, completed = 0, dropped = 0;
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        peers->queued[i] += peer->lane_queued[i];
        peers->completed[i] += peer->lane_completed[i];
        peers->dropped[i] += peer->lane_dropped[i];
        queued += peer->lane_queued[i];
        completed += peer->lane_completed[i];
        dropped += peer->lane_dropped[i];
    }
    base_json_open_object(&peers->json);
    base_json_key(&peers->json, "address");
    base_json_str(&peers->json, peer->address);
    base_json_key(&peers->json, "connected");
    base_json_bool(&peers->json, peer->connected);
    base_json_key(&peers->json, "pending");
    base_json_u64(&peers->json, queued);
    base_json_key(&peers->json, "completed");
    base_json_u64(&peers->json, completed);
    base_json_key(&peers->json, "dropped");
    base_json_u64(&peers->json, dropped);
    base_json_close_object(&peers->json);
    return 0;
}

static void visit_peers(void *ctx, struct repl *repl)
{
    struct peers *peers = ctx;
    const struct net_internode *internode = nodei_internode(peers->node);
    (void)repl;
    net_internode_get_stats(internode, &peers->net);
    net_internode_each_peer(internode, put_peer, peers);
}

static const char *mode_of(const struct nodei_view *view)
{
    switch (view->stage) {
    case REPL_STARTING:
        return "STARTING";
    case REPL_JOINING:
        return "JOINING";
    case REPL_MEMBER:
        return "NORMAL";
    case REPL_REFUSED:
        return "REFUSED";
    case REPL_DRAINED:
        return "DRAINED";
    }
    return "?";
}

static void put_traffic(struct nodei_admin *call, const struct nodei_view *view,
                        const struct peers *peers)
{
    base_json_key(&call->json, "read_repair");
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "attempted", view->stats.digest_mismatches);
    nodei_admin_u64(call, "blocking", view->stats.read_repairs);
    base_json_close_object(&call->json);
    base_json_key(&call->json, "pools");
    base_json_open_array(&call->json);
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        base_json_open_object(&call->json);
        nodei_admin_str(call, "name", lane_names[i]);
        nodei_admin_u64(call, "pending", peers->queued[i]);
        nodei_admin_u64(call, "completed", peers->completed[i]);
        nodei_admin_u64(call, "dropped", peers->dropped[i]);
        base_json_close_object(&call->json);
    }
    base_json_close_array(&call->json);
    nodei_admin_u64(call, "posts_sent", peers->net.posts_sent);
    nodei_admin_u64(call, "frames_sent", peers->net.frames_sent);
    nodei_admin_u64(call, "frames_received", peers->net.frames_received);
    nodei_admin_u64(call, "bytes_sent", peers->net.bytes_sent);
    nodei_admin_u64(call, "bytes_received", peers->net.bytes_received);
    base_json_key(&call->json, "peers");
    base_json_raw(&call->json, base_buf_view(&peers->text));
}

int nodei_admin_netstats(struct nodei_admin *call)
{
    struct peers peers = {.node = call->node};
    struct nodei_view view;
    base_buf_init(&peers.text, 16 << 20);
    base_json_writer_init(&peers.json, &peers.text);
    base_json_open_array(&peers.json);
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc == BASE_OK && view.clustered)
        rc = nodei_on_loop(call->node, visit_peers, &peers, call->err);
    base_json_close_array(&peers.json);
    if (rc == BASE_OK && (rc = base_json_finish(&peers.json)) != BASE_OK)
        base_err_set(call->err, rc, "the peers: %s", base_err_words(rc));
    if (rc == BASE_OK) {
        base_json_open_object(&call->json);
        nodei_admin_str(call, "mode", mode_of(&view));
        nodei_admin_str(call, "mode_reason", view.stage_text);
        put_traffic(call, &view, &peers);
        base_json_close_object(&call->json);
    }
    base_buf_fini(&peers.text);
    nodei_view_close(&view);
    return rc;
}

/* Proxyhistograms. */

static void put_histogram(struct nodei_admin *call, const char *name,
                          const struct repl_histogram *h)
{
    static const struct {
        const char *name;
        double p;
    } points[] = {{"50%", 0.5},  {"75%", 0.75}, {"95%", 0.95},
                  {"98%", 0.98}, {"99%", 0.99}, {"min", 0}};
    base_json_key(&call->json, name);
    base_json_open_object(&call->json);
    for (size_t i = 0; i < BASE_COUNT(points); i++)
        nodei_admin_u64(call, points[i].name,
                        h->count ? repl_histogram_percentile(h, points[i].p) : 0);
    nodei_admin_u64(call, "max", h->max_us);
    nodei_admin_u64(call, "count", h->count);
    nodei_admin_ratio(call, "mean", h->sum_us, h->count);
    base_json_close_object(&call->json);
}

int nodei_admin_proxyhistograms(struct nodei_admin *call)
{
    struct nodei_view view;
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    base_json_open_object(&call->json);
    put_histogram(call, "read", &view.stats.read_latency);
    put_histogram(call, "write", &view.stats.write_latency);
    put_histogram(call, "range", &view.stats.range_latency);
    put_histogram(call, "cas_write", &view.stats.conditional_latency);
    base_json_close_object(&call->json);
    nodei_view_close(&view);
    return BASE_OK;
}

/* Hints. */

int nodei_admin_statushandoff(struct nodei_admin *call)
{
    struct nodei_view view;
    uint64_t count = 0;
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    for (size_t i = 0; i < view.member_count; i++)
        count += view.members[i].info.hint_count;
    base_json_open_object(&call->json);
    nodei_admin_bool(call, "running", view.clustered && view.hints_enabled);
    nodei_admin_bool(call, "paused", view.hints_paused);
    nodei_admin_u64(call, "hints", count);
    nodei_admin_u64(call, "hints_bytes", view.stats.hints_bytes);
    base_json_close_object(&call->json);
    nodei_view_close(&view);
    return BASE_OK;
}

int nodei_admin_listpendinghints(struct nodei_admin *call)
{
    struct nodei_view view;
    char id[37];
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    base_json_open_array(&call->json);
    for (size_t i = 0; i < view.member_count; i++) {
        const struct nodei_member *m = &view.members[i];
        if (m->info.hint_count == 0)
            continue;
        base_uuid_print(m->host_id, id);
        base_json_open_object(&call->json);
        nodei_admin_str(call, "host_id", id);
        nodei_admin_slice(call, "address", m->address);
        nodei_admin_slice(call, "rack", m->rack);
        nodei_admin_slice(call, "datacenter", m->dc);
        nodei_admin_str(call, "status", m->info.alive ? "UP" : "DOWN");
        nodei_admin_u64(call, "hints", m->info.hint_count);
        nodei_admin_u64(call, "hints_bytes", m->info.hints_bytes);
        base_json_close_object(&call->json);
    }
    base_json_close_array(&call->json);
    nodei_view_close(&view);
    return BASE_OK;
}

static void visit_pause(void *ctx, struct repl *repl)
{
    repl_hints_pause(repl, *(const bool *)ctx);
}

static int set_paused(struct nodei_admin *call, bool paused)
{
    int rc = nodei_on_loop(call->node, visit_pause, &paused, call->err); /* alone: it says so */
    return rc == BASE_OK ? nodei_admin_statushandoff(call) : rc;
}

int nodei_admin_pausehandoff(struct nodei_admin *call)
{
    return set_paused(call, true);
}

int nodei_admin_resumehandoff(struct nodei_admin *call)
{
    return set_paused(call, false);
}

struct truncation {
    const struct nodei_admin *call;
    size_t hosts;
    const char *unknown;
};

/* "127.0.0.2", "127.0.0.2:7000" or a host id. */
static int find_member(const struct ring_state *ring, const char *text)
{
    struct base_uuid id;
    if (base_uuid_parse(base_slice_str(text), &id))
        return ring_member_find(ring, id);
    for (size_t i = 0; i < ring->member_count; i++) {
        struct base_slice address = ring->members[i].address;
        size_t len = strlen(text);
        if (address.len >= len && memcmp(address.data, text, len) == 0 &&
            (address.len == len || address.data[len] == ':'))
            return (int)i;
    }
    return -1;
}

static void visit_truncate(void *ctx, struct repl *repl)
{
    struct truncation *t = ctx;
    const struct ring_state *ring = repl_ring(repl);
    for (size_t i = 0; i < t->call->arg_count && !t->unknown; i++)
        if (find_member(ring, t->call->args[i]) < 0)
            t->unknown = t->call->args[i];
    if (t->unknown)
        return;
    for (size_t i = 0; i < t->call->arg_count; i++)
        repl_hints_truncate(repl, ring->members[find_member(ring, t->call->args[i])].host_id);
    if (t->call->arg_count == 0)
        repl_hints_truncate(repl, (struct base_uuid){{0}});
    t->hosts = t->call->arg_count ? t->call->arg_count : ring->member_count;
}

int nodei_admin_truncatehints(struct nodei_admin *call)
{
    struct truncation t = {.call = call};
    int rc = nodei_on_loop(call->node, visit_truncate, &t, call->err);
    if (rc == BASE_OK && t.unknown)
        rc = base_err_set(call->err, BASE_E_NOTFOUND, "%s is no member of the cluster: see status",
                          t.unknown);
    if (rc != BASE_OK)
        return rc;
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "hosts", t.hosts);
    base_json_close_object(&call->json);
    return BASE_OK;
}

/* Drain. */

enum { DRAIN_POLLS_MAX = 3000, DRAIN_POLL_NS = 10 * 1000 * 1000 };

static void visit_drain(void *ctx, struct repl *repl)
{
    (void)ctx;
    repl_drain(repl);
}

static void visit_idle(void *ctx, struct repl *repl)
{
    *(bool *)ctx = repl_is_idle(repl);
}

/* Clients are refused from now on; what is under way ends; memtables become SSTables. Replicas'
 * duties go on until the process ends. */
int nodei_admin_drain(struct nodei_admin *call)
{
    bool idle = false;
    int rc = nodei_on_loop(call->node, visit_drain, NULL, call->err);
    for (int i = 0; rc == BASE_OK && !idle && i < DRAIN_POLLS_MAX; i++) {
        rc = nodei_on_loop(call->node, visit_idle, &idle, call->err);
        if (rc == BASE_OK && !idle)
            nanosleep(&(struct timespec){.tv_nsec = DRAIN_POLL_NS}, NULL);
    }
    if (rc == BASE_OK) {
        nodei_enter(call->session);
        base_schema_release(call->schema);
        call->schema = node_schema(call->node); /* of this side of the door */
        rc = nodei_admin_flush_all(call);
        nodei_leave(call->session);
    }
    if (rc != BASE_OK)
        return rc;
    base_json_open_object(&call->json);
    nodei_admin_bool(call, "drained", true);
    nodei_admin_bool(call, "idle", idle);
    base_json_close_object(&call->json);
    return BASE_OK;
}
