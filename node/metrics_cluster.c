/* Metrics of a node in a cluster: requests and their latencies, hints, gossip, the metadata log,
 * messages, peers.
 *
 * Everything is copied in one visit of the loop's thread, on which GET /metrics also runs. Samples
 * of one name stand together. */
#include <stdio.h>

#include "net/internode.h"
#include "node/admin_private.h"
#include "node/cluster_private.h"
#include "node/cql_private.h"
#include "node/metrics.h"

/* A latency's buckets are every third of replication's (each 1.73 times the one before): the same
 * ones whatever was seen. */
enum { BUCKET_STEP = 3, LABEL_LEN_MAX = 256 };

struct request_kind {
    const char *name;
    size_t latency; /* offset in struct repl_stats */
};
static const struct request_kind kinds[] = {
    {"read", offsetof(struct repl_stats, read_latency)},
    {"range", offsetof(struct repl_stats, range_latency)},
    {"write", offsetof(struct repl_stats, write_latency)},
    {"conditional", offsetof(struct repl_stats, conditional_latency)},
};

static const struct repl_histogram *latency_of(const struct repl_stats *stats,
                                               const struct request_kind *kind)
{
    return (const struct repl_histogram *)(const void *)((const char *)stats + kind->latency);
}

static void put_latencies(struct nodei_metrics *m, const struct repl_stats *stats)
{
    char labels[LABEL_LEN_MAX];
    for (size_t k = 0; k < BASE_COUNT(kinds); k++) {
        const struct repl_histogram *h = latency_of(stats, &kinds[k]);
        uint64_t sum = 0;
        for (size_t i = 0; i + 1 < REPL_HISTOGRAM_BUCKETS; i++) {
            sum += h->counts[i];
            if (i % BUCKET_STEP != BUCKET_STEP - 1)
                continue;
            snprintf(labels, sizeof labels, "type=\"%s\",le=\"%.9g\"", kinds[k].name,
                     (double)repl_histogram_bound(i) / 1e6);
            nodei_metric(m, "ringlet_request_latency_seconds_bucket", labels, (double)sum);
        }
        snprintf(labels, sizeof labels, "type=\"%s\",le=\"+Inf\"", kinds[k].name);
        nodei_metric(m, "ringlet_request_latency_seconds_bucket", labels, (double)h->count);
    }
    for (size_t k = 0; k < BASE_COUNT(kinds); k++) {
        snprintf(labels, sizeof labels, "type=\"%s\"", kinds[k].name);
        nodei_metric(m, "ringlet_request_latency_seconds_sum", labels,
                     (double)latency_of(stats, &kinds[k])->sum_us / 1e6);
    }
    for (size_t k = 0; k < BASE_COUNT(kinds); k++) {
        snprintf(labels, sizeof labels, "type=\"%s\"", kinds[k].name);
        nodei_metric(m, "ringlet_request_latency_seconds_count", labels,
                     (double)latency_of(stats, &kinds[k])->count);
    }
}

/* Replication's counters; what they count is in their names (ringlet_read_timeouts_total …), but
 * for the kinds of requests. */
static void put_counters(struct nodei_metrics *m, const struct repl_stats *s)
{
    static const char requests[] = "ringlet_requests_total";
    nodei_metric(m, requests, "type=\"read\"", (double)s->reads);
    nodei_metric(m, requests, "type=\"range\"", (double)s->range_reads);
    nodei_metric(m, requests, "type=\"write\"", (double)s->writes);
    nodei_metric(m, requests, "type=\"batch\"", (double)s->batches);
    nodei_metric(m, requests, "type=\"conditional\"", (double)s->conditional_writes);
    const struct {
        const char *name;
        uint64_t read, write;
    } errors[] = {
        {"ringlet_request_unavailables_total", s->read_unavailables, s->write_unavailables},
        {"ringlet_request_timeouts_total", s->read_timeouts, s->write_timeouts},
        {"ringlet_request_failures_total", s->read_failures, s->write_failures},
    };
    for (size_t i = 0; i < BASE_COUNT(errors); i++) {
        nodei_metric(m, errors[i].name, "type=\"read\"", (double)errors[i].read);
        nodei_metric(m, errors[i].name, "type=\"write\"", (double)errors[i].write);
    }
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        {"ringlet_requests_overloaded_total", s->overloaded},
        {"ringlet_requests_in_flight", s->requests_in_flight},
        {"ringlet_requests_in_flight_bytes", s->requests_in_flight_bytes},
        {"ringlet_digest_mismatches_total", s->digest_mismatches},
        {"ringlet_read_repairs_total", s->read_repairs},
        {"ringlet_speculative_retries_total", s->speculative_retries},
        {"ringlet_short_reads_total", s->short_reads},
        {"ringlet_hints_bytes", s->hints_bytes},
        {"ringlet_hints_created_total", s->hints_created},
        {"ringlet_hints_dispatched_total", s->hints_dispatched},
        {"ringlet_hints_failed_total", s->hints_failed},
        {"ringlet_hints_expired_total", s->hints_expired},
        {"ringlet_hints_refused_total", s->hints_refused},
        {"ringlet_batches_replayed_total", s->batches_replayed},
        {"ringlet_gossip_rounds_total", s->gossip_rounds},
        {"ringlet_gossip_bytes_total", s->gossip_bytes},
        {"ringlet_messages_sent_total", s->messages_sent},
        {"ringlet_messages_received_total", s->messages_received},
        {"ringlet_messages_expired_total", s->messages_expired},
        {"ringlet_messages_stale_total", s->stale_epochs},
        {"ringlet_metadata_proposals_total", s->metadata_proposals},
        {"ringlet_metadata_conflicts_total", s->metadata_conflicts},
        {"ringlet_metadata_fetches_total", s->metadata_fetches},
        {"ringlet_metadata_checkpoints_total", s->metadata_checkpoints},
    };
    for (size_t i = 0; i < BASE_COUNT(others); i++)
        nodei_metric(m, others[i].name, "", (double)others[i].value);
}

static void put_internode(struct nodei_metrics *m, const struct net_internode_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"ringlet_internode_posts_sent_total", s->posts_sent},
        {"ringlet_internode_frames_sent_total", s->frames_sent},
        {"ringlet_internode_frames_received_total", s->frames_received},
        {"ringlet_internode_bytes_sent_total", s->bytes_sent},
        {"ringlet_internode_bytes_received_total", s->bytes_received},
        {"ringlet_internode_hellos_total", s->hellos},
        {"ringlet_internode_refused_total", s->refused},
        {"ringlet_internode_undelivered_total", s->undelivered},
        {"ringlet_internode_overloaded_total", s->overloaded},
        {"ringlet_internode_expired_total", s->expired},
        {"ringlet_internode_queued_bytes", s->queued_bytes},
        {"ringlet_internode_inbound_bytes", s->inbound_bytes},
    };
    for (size_t i = 0; i < BASE_COUNT(values); i++)
        nodei_metric(m, values[i].name, "", (double)values[i].value);
}

static void put_native(struct nodei_metrics *m, const struct nodei_native_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"ringlet_native_connections", s->connections},
        {"ringlet_native_connections_total", s->connections_total},
        {"ringlet_native_connections_refused_total", s->connections_refused},
        {"ringlet_native_connections_timed_out_total", s->connections_timed_out},
        {"ringlet_native_requests_total", s->requests},
        {"ringlet_native_errors_total", s->errors},
        {"ringlet_native_overloaded_total", s->overloaded},
        {"ringlet_native_paused_total", s->paused},
        {"ringlet_native_in_flight_bytes", s->in_flight_bytes},
        {"ringlet_native_response_bytes", s->response_bytes},
        {"ringlet_prepared_statements", s->prepared},
        {"ringlet_prepared_statements_bytes", s->prepared_bytes},
        {"ringlet_prepared_statements_evicted_total", s->prepared_evicted},
    };
    for (size_t i = 0; i < BASE_COUNT(values); i++)
        nodei_metric(m, values[i].name, "", (double)values[i].value);
}

static void put_stages(struct nodei_metrics *m, struct node *node)
{
    struct nodei_stage_stats stages[NODEI_STAGES];
    char labels[LABEL_LEN_MAX];
    for (int i = 0; i < NODEI_STAGES; i++)
        nodei_cluster_stage(node, i, &stages[i]);
    for (int i = 0; i < NODEI_STAGES; i++) {
        snprintf(labels, sizeof labels, "stage=\"%s\"", stages[i].name);
        nodei_metric(m, "ringlet_stage_pending", labels,
                     (double)(stages[i].active + stages[i].pending));
    }
    for (int i = 0; i < NODEI_STAGES; i++) {
        snprintf(labels, sizeof labels, "stage=\"%s\"", stages[i].name);
        nodei_metric(m, "ringlet_stage_completed_total", labels, (double)stages[i].completed);
    }
}

static double peer_up(const struct nodei_member *member)
{
    return member->info.alive;
}

static double peer_phi(const struct nodei_member *member)
{
    return member->info.phi;
}

static double peer_latency(const struct nodei_member *member)
{
    return member->info.latency_ms / 1000;
}

static double peer_hints(const struct nodei_member *member)
{
    return (double)member->info.hints_bytes;
}

static void put_peers(struct nodei_metrics *m, const struct nodei_view *view)
{
    static const struct {
        const char *name;
        double (*value)(const struct nodei_member *member);
    } values[] = {{"ringlet_peer_up", peer_up},
                  {"ringlet_peer_phi", peer_phi},
                  {"ringlet_peer_latency_seconds", peer_latency},
                  {"ringlet_peer_hints_bytes", peer_hints}};
    char labels[LABEL_LEN_MAX];
    for (size_t k = 0; k < BASE_COUNT(values); k++) {
        for (size_t i = 0; i < view->member_count; i++) {
            const struct nodei_member *member = &view->members[i];
            if (member->self)
                continue;
            size_t at = nodei_metric_label(labels, sizeof labels / 2, "peer", member->address);
            labels[at++] = ',';
            nodei_metric_label(labels + at, sizeof labels - at, "dc", member->dc);
            nodei_metric(m, values[k].name, labels, values[k].value(member));
        }
    }
}

static void put_view(struct nodei_metrics *m, const struct nodei_view *view)
{
    uint64_t alive = 0, joining = 0;
    for (size_t i = 0; i < view->member_count; i++) {
        alive += view->members[i].info.alive;
        joining += view->members[i].joining;
    }
    nodei_metric(m, "ringlet_serving", "", view->stage == REPL_MEMBER);
    nodei_metric(m, "ringlet_metadata_epoch", "", (double)view->epoch);
    nodei_metric(m, "ringlet_members", "", (double)view->member_count);
    nodei_metric(m, "ringlet_members_alive", "", (double)alive);
    nodei_metric(m, "ringlet_members_joining", "", (double)joining);
    nodei_metric(m, "ringlet_hints_enabled", "", view->hints_enabled);
    nodei_metric(m, "ringlet_hints_paused", "", view->hints_paused);
}

struct visit {
    struct node *node;
    struct net_internode_stats net;
    struct nodei_native_stats native;
};

static void visit_net(void *ctx, struct repl *repl)
{
    struct visit *visit = ctx;
    (void)repl;
    net_internode_get_stats(nodei_internode(visit->node), &visit->net);
    nodei_native_get_stats(visit->node->cluster->native, &visit->native);
}

int nodei_metrics_cluster(struct nodei_metrics *m, struct node *node)
{
    struct visit visit = {.node = node};
    struct nodei_view view;
    if (!nodei_is_clustered(node))
        return BASE_OK;
    int rc = nodei_view_open(node, &view, NULL);
    if (rc == BASE_OK)
        rc = nodei_on_loop(node, visit_net, &visit, NULL);
    if (rc == BASE_OK) {
        put_view(m, &view);
        put_counters(m, &view.stats);
        put_latencies(m, &view.stats);
        put_internode(m, &visit.net);
        if (!node->guest) {
            put_native(m, &visit.native);
            put_stages(m, node);
        }
        put_peers(m, &view);
    }
    nodei_view_close(&view);
    return rc;
}
