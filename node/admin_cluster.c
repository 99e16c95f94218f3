/* nodetool's commands about the cluster: status, ring, describecluster, gossipinfo, getendpoints.
 *
 * What this node knows is copied on the loop's thread in one visit (nodei_view_open) and laid out
 * on the caller's, so that an answer is of one moment and the loop is not kept. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/key.h"
#include "config.h"
#include "node/admin_private.h"
#include "node/cql_private.h"

/* The view. */

struct visit {
    struct nodei_view *view;
    struct base_uuid self;
    int rc;
};

static void take_members(struct nodei_view *view, const struct ring_state *ring,
                         struct base_uuid self)
{
    for (size_t i = 0; i < ring->member_count; i++) {
        const struct ring_member *from = &ring->members[i];
        view->members[i] = (struct nodei_member){
            .host_id = from->host_id,
            .address = from->address,
            .dc = from->dc,
            .rack = from->rack,
            .tokens = from->tokens,
            .token_count = from->token_count,
            .joining = from->state == RING_MEMBER_JOINING,
            .voter = from->voter,
            .self = base_uuid_equal(from->host_id, self),
            .ring_index = i,
        };
    }
    view->member_count = ring->member_count;
}

/* On the loop's thread. */
static void visit_cluster(void *ctx, struct repl *repl)
{
    struct visit *visit = ctx;
    struct nodei_view *view = visit->view;
    struct ring_state *ring = repl_ring(repl);
    view->members = calloc(ring->member_count + 1, sizeof *view->members);
    if (!view->members) {
        visit->rc = BASE_E_NOMEM;
        return;
    }
    view->ring = ring_state_acquire(ring);
    take_members(view, ring, visit->self);
    for (size_t i = 0; i < ring->member_count; i++)
        repl_peer_get(repl, i, &view->members[i].info);
    view->epoch = repl_epoch(repl);
    view->stage = repl_stage(repl);
    snprintf(view->stage_text, sizeof view->stage_text, "%s", repl_stage_text(repl));
    view->hints_enabled = repl_hints_enabled(repl);
    view->hints_paused = repl_hints_paused(repl);
    view->stats = *repl_get_stats(repl);
}

/* An embedded node by itself: what there is of a cluster. */
static int view_alone(struct node *node, struct nodei_view *view)
{
    view->members = calloc(1, sizeof *view->members);
    if (!view->members)
        return BASE_E_NOMEM;
    view->stage = REPL_MEMBER;
    view->epoch = node_schema_epoch(node);
    nodei_listen_address(node, view->own_address, sizeof view->own_address);
    view->member_count = 1;
    view->members[0] = (struct nodei_member){
        .host_id = node->identity.host_id,
        .address = base_slice_str(view->own_address),
        .dc = base_slice_str(node->settings.dc),
        .rack = base_slice_str(node->settings.rack),
        .self = true,
        .info = {.host_id = node->identity.host_id,
                 .alive = true,
                 .generation = node->identity.generation,
                 .epoch = view->epoch},
    };
    return BASE_OK;
}

/* 127.0.0.2 before 127.0.0.10: digits in a row are a number. */
static int compare_naturally(struct base_slice a, struct base_slice b)
{
    size_t i = 0, k = 0;
    while (i < a.len && k < b.len) {
        uint64_t x = 0, y = 0;
        size_t from_i = i, from_k = k;
        for (; i < a.len && i - from_i < 18 && a.data[i] >= '0' && a.data[i] <= '9'; i++)
            x = x * 10 + (uint64_t)(a.data[i] - '0');
        for (; k < b.len && k - from_k < 18 && b.data[k] >= '0' && b.data[k] <= '9'; k++)
            y = y * 10 + (uint64_t)(b.data[k] - '0');
        if (i == from_i || k == from_k) { /* not numbers both */
            x = a.data[from_i];
            y = b.data[from_k];
            i = from_i + 1;
            k = from_k + 1;
        }
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a.len - i > b.len - k) - (a.len - i < b.len - k);
}

static int compare_members(const void *a, const void *b)
{
    const struct nodei_member *x = a, *y = b;
    int order = base_slice_compare(x->dc, y->dc);
    if (order == 0)
        order = compare_naturally(x->address, y->address);
    return order ? order : base_slice_compare(x->address, y->address);
}

static int sort_members(struct nodei_view *view)
{
    view->places = calloc(view->member_count + 1, sizeof *view->places);
    if (!view->places)
        return BASE_E_NOMEM;
    qsort(view->members, view->member_count, sizeof *view->members, compare_members);
    for (size_t i = 0; i < view->member_count; i++)
        view->places[view->members[i].ring_index] = i;
    return BASE_OK;
}

int nodei_view_open(struct node *node, struct nodei_view *view, struct base_err *err)
{
    *view = (struct nodei_view){.clustered = nodei_is_clustered(node)};
    view->now_ns = base_clock_mono(node_real_clock()).ns;
    struct visit visit = {.view = view};
    int rc = BASE_OK;
    if (!node->guest)
        visit.self = node->identity.host_id;
    if (view->clustered) {
        rc = nodei_on_loop(node, visit_cluster, &visit, err);
        if (rc == BASE_OK && visit.rc != BASE_OK)
            rc = base_err_set(err, visit.rc, "the view of the cluster: %s",
                              base_err_words(visit.rc));
    } else {
        rc = view_alone(node, view);
        if (rc != BASE_OK)
            base_err_set(err, rc, "%s", base_err_words(rc));
    }
    if (rc == BASE_OK && (rc = sort_members(view)) != BASE_OK)
        base_err_set(err, rc, "%s", base_err_words(rc));
    for (size_t i = 0; rc == BASE_OK && !node->guest && i < view->member_count; i++) {
        struct lsm_stats stats;
        if (!view->members[i].self)
            continue;
        view->members[i].info.epoch = view->epoch;
        lsm_get_stats(node->store, &stats);
        /* as gossip tells of others */
        view->members[i].info.load_bytes = stats.disk_bytes + stats.memtable_bytes;
    }
    if (rc != BASE_OK)
        nodei_view_close(view);
    return rc;
}

void nodei_view_close(struct nodei_view *view)
{
    if (view->ring)
        ring_state_release(view->ring);
    free(view->members);
    free(view->places);
    view->ring = NULL;
    view->members = NULL;
    view->places = NULL;
    view->member_count = 0;
}

/* Ownership. */

/* Under which replication "Owns" is meant: of the keyspace, or the one that all keyspaces have in
 * common. */
static const struct base_options *common_replication(const struct base_schema *schema,
                                                     const struct base_keyspace *keyspace,
                                                     enum nodei_ownership *kind)
{
    *kind = NODEI_OWNS_EFFECTIVE;
    if (keyspace)
        return &keyspace->replication;
    const struct base_options *common = NULL;
    for (size_t i = 0; i < schema->keyspace_count; i++) {
        const struct base_options *own = &schema->keyspaces[i].replication;
        if (schema->keyspaces[i].name.len > 7 &&
            memcmp(schema->keyspaces[i].name.data, "system_", 7) == 0)
            continue; /* the users' are meant, as by nodetool */
        if (common && !base_options_equal(common, own)) {
            *kind = NODEI_OWNS_UNKNOWN;
            return NULL;
        }
        common = own;
    }
    if (!common)
        *kind = NODEI_OWNS_TOKENS;
    return common;
}

int nodei_view_owns(const struct nodei_view *view, const struct base_schema *schema,
                    const struct base_keyspace *keyspace, double *owns, enum nodei_ownership *kind,
                    struct base_err *err)
{
    const struct base_options *replication = common_replication(schema, keyspace, kind);
    struct ring_placement *placement = NULL;
    for (size_t i = 0; i < view->member_count; i++)
        owns[i] = *kind == NODEI_OWNS_UNKNOWN ? (double)NAN : view->ring ? 0 : 1;
    if (!view->ring || view->ring->ring_count == 0 || *kind == NODEI_OWNS_UNKNOWN)
        return BASE_OK;
    if (replication) {
        int rc =
            ring_placement_new(view->ring, replication, view->members[0].host_id, &placement, err);
        if (rc != BASE_OK)
            return rc;
    }
    for (size_t i = 0; i < view->member_count; i++)
        owns[i] = placement ? ring_placement_owns(placement, view->members[i].host_id)
                            : ring_share(view->ring->ring, view->ring->ring_count,
                                         view->members[i].host_id);
    if (placement)
        ring_placement_release(placement);
    return BASE_OK;
}

/* Status, ring. */

static void put_member(struct nodei_admin *call, const struct nodei_member *member, double owns)
{
    char id[37], code[3] = {member->info.alive ? 'U' : 'D', member->joining ? 'J' : 'N', 0};
    base_uuid_print(member->host_id, id);
    base_json_open_object(&call->json);
    nodei_admin_slice(call, "datacenter", member->dc);
    nodei_admin_slice(call, "rack", member->rack);
    nodei_admin_slice(call, "address", member->address);
    nodei_admin_str(call, "code", code);
    nodei_admin_str(call, "status", member->info.alive ? "Up" : "Down");
    nodei_admin_str(call, "state", member->joining ? "Joining" : "Normal");
    nodei_admin_u64(call, "load_bytes", member->info.load_bytes);
    nodei_admin_u64(call, "tokens", member->token_count);
    nodei_admin_double(call, "owns", owns); /* NaN is null */
    nodei_admin_str(call, "host_id", id);
    nodei_admin_u64(call, "epoch", member->info.epoch);
    nodei_admin_bool(call, "voter", member->voter);
    nodei_admin_bool(call, "self", member->self);
    base_json_close_object(&call->json);
}

/* The cluster's own, which a guest's settings do not have. */
static struct base_slice cluster_name(const struct nodei_admin *call, const struct nodei_view *view)
{
    return view->ring && view->ring->cluster_name.len
               ? view->ring->cluster_name
               : base_slice_str(call->node->settings.cluster_name);
}

/* As system.local and drivers have it. */
static void version_text(const struct nodei_admin *call, const struct nodei_view *view,
                         uint64_t epoch, char text[37])
{
    char name[RING_CLUSTER_NAME_LEN_MAX + 1];
    snprintf(name, sizeof name, "%.*s", BASE_SLICE_ARG(cluster_name(call, view)));
    base_uuid_print(nodei_schema_version(name, epoch), text);
}

/* The members of the document; its object stays open. */
static int put_members(struct nodei_admin *call, const struct nodei_view *view)
{
    static const char *const kinds[] = {[NODEI_OWNS_TOKENS] = "tokens",
                                        [NODEI_OWNS_EFFECTIVE] = "effective",
                                        [NODEI_OWNS_UNKNOWN] = "unknown"};
    const struct base_keyspace *keyspace = NULL;
    enum nodei_ownership kind;
    if (call->arg_count && !(keyspace = nodei_admin_keyspace(call, base_slice_str(call->args[0]))))
        return BASE_E_NOTFOUND;
    double *owns = calloc(view->member_count + 1, sizeof *owns);
    if (!owns)
        return base_err_set(call->err, BASE_E_NOMEM, "out of memory");
    int rc = nodei_view_owns(view, call->schema, keyspace, owns, &kind, call->err);
    base_json_open_object(&call->json);
    nodei_admin_slice(call, "cluster_name", cluster_name(call, view));
    nodei_admin_u64(call, "epoch", view->epoch);
    if (keyspace)
        nodei_admin_slice(call, "keyspace", keyspace->name);
    nodei_admin_str(call, "ownership", kinds[kind]);
    base_json_key(&call->json, "nodes");
    base_json_open_array(&call->json);
    for (size_t i = 0; rc == BASE_OK && i < view->member_count; i++)
        put_member(call, &view->members[i], owns[i]);
    base_json_close_array(&call->json);
    free(owns);
    return rc;
}

int nodei_admin_status(struct nodei_admin *call)
{
    struct nodei_view view;
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc == BASE_OK)
        rc = put_members(call, &view);
    if (rc == BASE_OK)
        base_json_close_object(&call->json);
    nodei_view_close(&view);
    return rc;
}

int nodei_admin_ring(struct nodei_admin *call)
{
    struct nodei_view view;
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc == BASE_OK)
        rc = put_members(call, &view);
    if (rc == BASE_OK) {
        base_json_key(&call->json, "ring");
        base_json_open_array(&call->json);
        for (size_t i = 0; view.ring && i < view.ring->ring_count; i++) {
            size_t place = view.places[view.ring->ring_members[i]];
            const struct nodei_member *owner = &view.members[place];
            base_json_open_object(&call->json);
            base_json_key(&call->json, "token");
            base_json_i64(&call->json, view.ring->ring[i].token);
            nodei_admin_u64(call, "node", place); /* in nodes */
            nodei_admin_slice(call, "address", owner->address);
            nodei_admin_slice(call, "datacenter", owner->dc);
            base_json_close_object(&call->json);
        }
        base_json_close_array(&call->json);
        base_json_close_object(&call->json);
    }
    nodei_view_close(&view);
    return rc;
}

/* Describecluster. */

static int find_snitch(void *ctx, const char *name, const char *value)
{
    if (strcmp(name, "endpoint_snitch") == 0)
        snprintf(ctx, 64, "%s", value);
    return BASE_OK;
}

/* Addresses of the members at this epoch (of those that are down: whatever they last told). */
static void put_version(struct nodei_admin *call, const struct nodei_view *view, uint64_t epoch,
                        bool alive)
{
    base_json_open_array(&call->json);
    for (size_t i = 0; i < view->member_count; i++) {
        const struct nodei_member *m = &view->members[i];
        if (m->info.alive == alive && (!alive || m->info.epoch == epoch))
            base_json_string(&call->json, m->address);
    }
    base_json_close_array(&call->json);
}

static void put_versions(struct nodei_admin *call, const struct nodei_view *view)
{
    size_t down = 0;
    char text[37];
    base_json_key(&call->json, "schema_versions");
    base_json_open_object(&call->json);
    for (size_t i = 0; i < view->member_count; i++) {
        const struct nodei_member *m = &view->members[i];
        bool first = m->info.alive;
        for (size_t k = 0; k < i; k++)
            first = first &&
                    !(view->members[k].info.alive && view->members[k].info.epoch == m->info.epoch);
        down += !m->info.alive;
        if (!first)
            continue;
        version_text(call, view, m->info.epoch, text);
        /* has not told yet; a guest is never told */
        base_json_key(&call->json, view->clustered && m->info.epoch == 0 ? "UNKNOWN" : text);
        put_version(call, view, m->info.epoch, true);
    }
    if (down) {
        base_json_key(&call->json, "UNREACHABLE");
        put_version(call, view, 0, false);
    }
    base_json_close_object(&call->json);
}

static void put_datacenters(struct nodei_admin *call, const struct nodei_view *view)
{
    base_json_key(&call->json, "datacenters");
    base_json_open_object(&call->json);
    for (size_t i = 0; i < view->member_count; i++) {
        uint64_t nodes = 0, down = 0;
        bool first = true;
        for (size_t k = 0; k < view->member_count; k++) {
            bool same = base_slice_equal(view->members[k].dc, view->members[i].dc);
            first = first && !(same && k < i);
            nodes += same;
            down += same && !view->members[k].info.alive;
        }
        if (!first)
            continue;
        base_json_key_slice(&call->json, view->members[i].dc);
        base_json_open_object(&call->json);
        nodei_admin_u64(call, "nodes", nodes);
        nodei_admin_u64(call, "down", down);
        base_json_close_object(&call->json);
    }
    base_json_close_object(&call->json);
}

static void put_keyspaces(struct nodei_admin *call)
{
    base_json_key(&call->json, "keyspaces");
    base_json_open_object(&call->json);
    for (size_t i = 0; i < call->schema->keyspace_count; i++) {
        const struct base_keyspace *keyspace = &call->schema->keyspaces[i];
        base_json_key_slice(&call->json, keyspace->name);
        base_json_open_object(&call->json);
        for (size_t k = 0; k < keyspace->replication.count; k++) {
            base_json_key_slice(&call->json, keyspace->replication.items[k].key);
            base_json_string(&call->json, keyspace->replication.items[k].value);
        }
        base_json_close_object(&call->json);
    }
    base_json_close_object(&call->json);
}

int nodei_admin_describecluster(struct nodei_admin *call)
{
    struct nodei_view view;
    uint64_t live = 0, joining = 0;
    char snitch[64] = "GossipingPropertyFileSnitch";
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    rc = nodei_settings_each(&call->node->settings, find_snitch, snitch);
    for (size_t i = 0; i < view.member_count; i++) {
        live += view.members[i].info.alive;
        joining += view.members[i].joining;
    }
    base_json_open_object(&call->json);
    nodei_admin_slice(call, "name", cluster_name(call, &view));
    nodei_admin_str(call, "snitch", snitch);
    nodei_admin_bool(call, "dynamic_snitch", view.clustered);
    nodei_admin_str(call, "partitioner", "org.apache.cassandra.dht.Murmur3Partitioner");
    nodei_admin_u64(call, "epoch", view.epoch);
    put_versions(call, &view);
    nodei_admin_u64(call, "live", live);
    nodei_admin_u64(call, "joining", joining);
    nodei_admin_u64(call, "unreachable", view.member_count - live);
    put_datacenters(call, &view);
    nodei_admin_str(call, "release_version", PACKAGE_VERSION);
    put_keyspaces(call);
    base_json_close_object(&call->json);
    nodei_view_close(&view);
    return rc;
}

/* Gossipinfo. */

int nodei_admin_gossipinfo(struct nodei_admin *call)
{
    struct nodei_view view;
    char text[37];
    int rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    base_json_open_array(&call->json);
    for (size_t i = 0; i < view.member_count; i++) {
        const struct nodei_member *m = &view.members[i];
        uint64_t down_ns = m->info.down_since_ns && view.now_ns > m->info.down_since_ns
                               ? view.now_ns - m->info.down_since_ns
                               : 0;
        base_json_open_object(&call->json);
        nodei_admin_slice(call, "address", m->address);
        nodei_admin_u64(call, "generation", m->info.generation);
        nodei_admin_u64(call, "heartbeat", m->info.version);
        nodei_admin_str(call, "status", m->joining ? "JOINING" : "NORMAL");
        nodei_admin_bool(call, "alive", m->info.alive);
        nodei_admin_double(call, "phi", m->info.phi);
        nodei_admin_u64(call, "down_seconds", down_ns / 1000000000u);
        nodei_admin_u64(call, "load_bytes", m->info.load_bytes);
        nodei_admin_u64(call, "epoch", m->info.epoch);
        version_text(call, &view, m->info.epoch, text);
        nodei_admin_str(call, "schema", text);
        nodei_admin_slice(call, "datacenter", m->dc);
        nodei_admin_slice(call, "rack", m->rack);
        base_uuid_print(m->host_id, text);
        nodei_admin_str(call, "host_id", text);
        nodei_admin_u64(call, "tokens", m->token_count);
        nodei_admin_double(call, "latency_ms", m->info.latency_ms);
        nodei_admin_u64(call, "hint_count", m->info.hint_count);
        nodei_admin_u64(call, "hints_bytes", m->info.hints_bytes);
        base_json_close_object(&call->json);
    }
    base_json_close_array(&call->json);
    nodei_view_close(&view);
    return BASE_OK;
}

/* Getendpoints. */

#define KEY_PARTS_MAX 32

/* nodetool's form of a key of several columns: parts between colons, a colon inside written as \:
 * (and \ as \\). */
static size_t split_key(char *text, const char *parts[KEY_PARTS_MAX])
{
    size_t count = 0;
    char *out = text;
    parts[count++] = text;
    for (const char *at = text; *at; at++) {
        if (*at == '\\' && at[1]) {
            *out++ = *++at;
        } else if (*at == ':' && count < KEY_PARTS_MAX) {
            *out++ = 0;
            parts[count++] = out;
        } else {
            *out++ = *at;
        }
    }
    *out = 0;
    return count;
}

static int serialize_key(struct nodei_admin *call, const struct base_table *table,
                         const char *const *parts, struct base_buf *pk)
{
    struct base_slice values[KEY_PARTS_MAX];
    size_t ends[KEY_PARTS_MAX], count = table->partition_key_count;
    struct base_buf bytes;
    int rc = BASE_OK;
    base_buf_init(&bytes, 1 << 20);
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        struct base_sql_value value = {.kind = BASE_SQL_TEXT, .bytes = base_slice_str(parts[i])};
        rc = base_value_from_sql(table->columns[i].type, &value, &bytes, call->err);
        if (rc != BASE_OK)
            base_err_wrap(call->err, rc, "column %.*s", BASE_SLICE_ARG(table->columns[i].name));
        ends[i] = bytes.len;
    }
    for (size_t i = 0, at = 0; rc == BASE_OK && i < count; at = ends[i++])
        values[i] = base_slice(bytes.data + at, ends[i] - at);
    if (rc == BASE_OK)
        rc = base_pk_compose(values, count, pk, call->err);
    base_buf_fini(&bytes);
    return rc;
}

static int token_of_args(struct nodei_admin *call, const struct base_table *table, int64_t *token)
{
    const char *parts[KEY_PARTS_MAX];
    size_t count = call->arg_count - 2;
    char *text = NULL;
    struct base_buf pk;
    base_buf_init(&pk, 1 << 20);
    int rc = BASE_OK;
    if (table->partition_key_count > KEY_PARTS_MAX || count > KEY_PARTS_MAX)
        return base_err_set(call->err, BASE_E_LIMIT, "a key of more than %d columns",
                            KEY_PARTS_MAX);
    memcpy(parts, call->args + 2, count * sizeof parts[0]);
    if (count == 1 && table->partition_key_count > 1) {
        text = strdup(parts[0]);
        if (!text)
            return base_err_set(call->err, BASE_E_NOMEM, "out of memory");
        count = split_key(text, parts);
    }
    if (count != table->partition_key_count)
        rc = base_err_set(
            call->err, BASE_E_INVALID,
            "the partition key of %.*s.%.*s has %zu column%s, not %zu (a:b, or one argument each)",
            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name),
            table->partition_key_count, table->partition_key_count == 1 ? "" : "s", count);
    if (rc == BASE_OK)
        rc = serialize_key(call, table, parts, &pk);
    if (rc == BASE_OK)
        *token = base_token(base_buf_view(&pk));
    base_buf_fini(&pk);
    free(text);
    return rc;
}

/* The addresses of a token's replicas, the nearest on the ring first. */
static int put_endpoints(const struct nodei_view *view, const struct base_keyspace *keyspace,
                         int64_t token, struct base_json_writer *json, struct base_err *err)
{
    struct ring_placement *placement = NULL;
    int rc = BASE_OK;
    if (view->ring && view->member_count)
        rc = ring_placement_new(view->ring, &keyspace->replication, view->members[0].host_id,
                                &placement, err);
    if (rc != BASE_OK)
        return rc;
    base_json_open_array(json);
    if (placement) {
        const struct ring_range *range = ring_placement_find(placement, token);
        for (size_t i = 0; i < range->read.count; i++)
            base_json_string(json, view->members[view->places[range->read.members[i]]].address);
        ring_placement_release(placement);
    } else if (view->member_count) {
        base_json_string(json, view->members[0].address);
    }
    base_json_close_array(json);
    return BASE_OK;
}

int nodei_admin_getendpoints(struct nodei_admin *call)
{
    struct base_slice names[2] = {base_slice_str(call->args[0]), base_slice_str(call->args[1])};
    const struct base_keyspace *keyspace = nodei_admin_keyspace(call, names[0]);
    const struct base_table *table =
        keyspace ? base_schema_table(call->schema, names[0], names[1]) : NULL;
    struct nodei_view view;
    int64_t token = 0;
    if (!table)
        return keyspace ? base_err_set(call->err, BASE_E_NOTFOUND, "there is no table %s.%s",
                                       call->args[0], call->args[1])
                        : BASE_E_NOTFOUND;
    int rc = token_of_args(call, table, &token);
    if (rc == BASE_OK)
        rc = nodei_view_open(call->node, &view, call->err);
    if (rc != BASE_OK)
        return rc;
    base_json_open_object(&call->json);
    base_json_key(&call->json, "token");
    base_json_i64(&call->json, token);
    base_json_key(&call->json, "endpoints");
    rc = put_endpoints(&view, keyspace, token, &call->json, call->err);
    if (rc == BASE_OK)
        base_json_close_object(&call->json);
    nodei_view_close(&view);
    return rc;
}

int node_endpoints(struct node *node, const struct base_schema *schema,
                   struct base_slice keyspace_name, int64_t token, struct base_buf *json,
                   struct base_err *err)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(schema, keyspace_name);
    struct base_json_writer writer;
    struct nodei_view view;
    if (!keyspace)
        return base_err_set(err, BASE_E_NOTFOUND, "there is no keyspace %.*s",
                            BASE_SLICE_ARG(keyspace_name));
    int rc = nodei_view_open(node, &view, err);
    if (rc != BASE_OK)
        return rc;
    base_json_writer_init(&writer, json);
    rc = put_endpoints(&view, keyspace, token, &writer, err);
    if (rc == BASE_OK)
        rc = base_json_finish(&writer);
    nodei_view_close(&view);
    return rc;
}
