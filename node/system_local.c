/* system.local, peers, peers_v2: this node and the others, as drivers find the cluster by them; and
 * estimates of tables' sizes.
 *
 * Where another member serves clients it tells by gossip (repl_peer_info.native); of one that is
 * down, what it told last counts, also before we were started (natives.c). One that has never
 * said it is left out: a driver would take the address of its peers instead, with the port that
 * the driver was given, and in a cluster on one machine that is somebody else. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "net/net.h"
#include "node/cluster_private.h"
#include "node/system_private.h"

/* This node. */

bool nodei_split_address(struct base_slice address, char host[64], uint16_t *port)
{
    char text[RING_ADDRESS_LEN_MAX + 1];
    *port = 0;
    if (address.len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(address));
    return net_address_parse(text, host, port, NULL) == BASE_OK;
}

struct base_slice nodei_own_dc(const struct node *node)
{
    return node->settings.snitch ? BASE_SLICE_LIT("datacenter1")
                                 : base_slice_str(node->settings.dc);
}

struct base_slice nodei_own_rack(const struct node *node)
{
    return node->settings.snitch ? BASE_SLICE_LIT("rack1") : base_slice_str(node->settings.rack);
}

const char *nodei_cluster_name(struct nodei_fill *fill)
{
    const struct ring_state *ring = fill->ring;
    char *name =
        ring && ring->cluster_name.len ? base_arena_strdup(&fill->arena, ring->cluster_name) : NULL;
    return name ? name : fill->node->settings.cluster_name;
}

static const char *numeric(const char *host)
{
    return strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
}

/* The address that clients are told. */
static const char *told_address(const struct node *node)
{
    const struct nodei_settings *s = &node->settings;
    if (s->broadcast_rpc_address[0])
        return numeric(s->broadcast_rpc_address);
    if (!net_address_is_wildcard(s->rpc_address))
        return numeric(s->rpc_address);
    return numeric(s->broadcast_address[0] ? s->broadcast_address : s->listen_address);
}

void nodei_native_announce(struct node *node, struct repl *repl, uint16_t port)
{
    struct repl_native native = {.port = port, .release = NODEI_CASSANDRA_VERSION};
    const char *address = told_address(node);
    if (port == 0)
        native = (struct repl_native){0};
    else if (inet_pton(AF_INET, address, native.address) == 1)
        native.address_len = 4;
    else if (inet_pton(AF_INET6, address, native.address) == 1)
        native.address_len = 16;
    else
        base_logf(node->log, BASE_LOG_WARN,
                  "rpc_address %s is no IP address: clients cannot be told of this node; set "
                  "broadcast_rpc_address to one",
                  address);
    repl_set_native(repl, &native);
}

static void put_tokens(struct nodei_fill *fill, const struct ring_member *member)
{
    for (uint32_t i = 0; i < member->token_count; i++) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, member->tokens[i]);
        nodei_fill_element(fill, base_slice_str(text));
    }
    if (member->token_count)
        nodei_fill_collection(fill, "tokens");
}

static int self_index(const struct nodei_fill *fill)
{
    return fill->ring && !fill->node->guest
               ? ring_member_find(fill->ring, fill->node->identity.host_id)
               : -1;
}

static void put_truncations(struct nodei_fill *fill)
{
    bool any = false;
    for (size_t i = 0; i < fill->schema->table_count; i++) {
        const struct base_table *table = fill->schema->tables_by_id[i];
        /* a place in the commit log, which we do not keep, and the time in ms */
        uint8_t blob[20] = {0};
        if (table->truncated_us == INT64_MIN)
            continue;
        base_put_be64(blob + 12, (uint64_t)(table->truncated_us / 1000));
        nodei_fill_element(fill, base_slice(table->id.b, sizeof table->id.b));
        nodei_fill_element(fill, base_slice(blob, sizeof blob));
        any = true;
    }
    if (any)
        nodei_fill_collection(fill, "truncated_at");
}

static void put_own_addresses(struct nodei_fill *fill, int self)
{
    const struct node *node = fill->node;
    const struct nodei_settings *s = &node->settings;
    struct repl_peer_info info = {0};
    char host[64];
    uint16_t port;
    nodei_fill_inet(fill, "listen_address", numeric(s->listen_address));
    nodei_fill_int(fill, "listen_port", (int32_t)s->storage_port);
    if (self >= 0 && nodei_split_address(fill->ring->members[self].address, host, &port)) {
        nodei_fill_inet(fill, "broadcast_address", numeric(host));
        nodei_fill_int(fill, "broadcast_port", port);
        nodei_fill_int(fill, "listen_port", port);
    } else {
        nodei_fill_inet(
            fill, "broadcast_address",
            numeric(s->broadcast_address[0] ? s->broadcast_address : s->listen_address));
        nodei_fill_int(fill, "broadcast_port", (int32_t)s->storage_port);
    }
    if (self >= 0)
        repl_peer_get(fill->repl, (size_t)self, &info);
    nodei_fill_inet(fill, "rpc_address", told_address(node));
    nodei_fill_int(fill, "rpc_port",
                   info.native.address_len ? info.native.port : (int32_t)s->native_transport_port);
}

void nodei_fill_local(struct nodei_fill *fill)
{
    const struct node *node = fill->node;
    int self = self_index(fill);
    nodei_fill_text(fill, "key", "local");
    nodei_fill_text(fill, "bootstrapped",
                    fill->repl && repl_stage(fill->repl) < REPL_MEMBER ? "IN_PROGRESS"
                                                                       : "COMPLETED");
    nodei_fill_text(fill, "cluster_name", nodei_cluster_name(fill));
    nodei_fill_text(fill, "cql_version", NODEI_CQL_VERSION);
    nodei_fill_put(fill, "data_center", nodei_own_dc(node));
    nodei_fill_put(fill, "rack", nodei_own_rack(node));
    nodei_fill_text(fill, "native_protocol_version", NODEI_PROTOCOL_VERSION);
    nodei_fill_text(fill, "partitioner", NODEI_PARTITIONER);
    nodei_fill_text(fill, "release_version", NODEI_CASSANDRA_VERSION);
    nodei_fill_uuid(fill, "schema_version",
                    nodei_schema_version(nodei_cluster_name(fill), fill->repl
                                                                       ? repl_epoch(fill->repl)
                                                                       : fill->schema->epoch));
    if (!node->guest) {
        nodei_fill_uuid(fill, "host_id", node->identity.host_id);
        nodei_fill_int(fill, "gossip_generation", (int32_t)node->identity.generation);
        put_own_addresses(fill, self);
    }
    if (self >= 0)
        put_tokens(fill, &fill->ring->members[self]);
    put_truncations(fill);
    nodei_fill_end(fill);
}

/* The others. */

struct peer {
    const struct ring_member *member;
    struct repl_peer_info info;
    char host[64], native[64]; /* numeric, or empty */
    uint16_t port;
};

static void native_text(const struct repl_native *native, char text[64])
{
    text[0] = 0;
    if (native->address_len)
        inet_ntop(native->address_len == 4 ? AF_INET : AF_INET6, native->address, text, 64);
}

/* False: ourselves, or one that clients cannot be told of. */
static bool get_peer(const struct nodei_fill *fill, size_t at, struct peer *peer)
{
    *peer = (struct peer){.member = &fill->ring->members[at]};
    if ((int)at == self_index(fill) || peer->member->state != RING_MEMBER_NORMAL ||
        !nodei_split_address(peer->member->address, peer->host, &peer->port))
        return false;
    repl_peer_get(fill->repl, at, &peer->info);
    if (!peer->info.alive && !peer->info.native.address_len)
        (void)nodei_natives_find(fill->node->cluster, peer->member->host_id, &peer->info.native);
    native_text(&peer->info.native, peer->native);
    if (!net_address_is_numeric(numeric(peer->host)))
        snprintf(peer->host, sizeof peer->host, "%s", peer->native);
    return peer->host[0] && (peer->native[0] || fill->node->guest);
}

static void put_peer(struct nodei_fill *fill, const struct peer *peer)
{
    const struct ring_member *m = peer->member;
    /* Of one that we have not met since our start it is not known: drivers wait until all versions
     * are one, and pass a row without one over. */
    uint64_t epoch =
        fill->node->guest || !peer->info.epoch ? repl_epoch(fill->repl) : peer->info.epoch;
    nodei_fill_inet(fill, "peer", numeric(peer->host));
    nodei_fill_put(fill, "data_center", m->dc);
    nodei_fill_put(fill, "rack", m->rack);
    nodei_fill_uuid(fill, "host_id", m->host_id);
    nodei_fill_uuid(fill, "schema_version", nodei_schema_version(nodei_cluster_name(fill), epoch));
    if (peer->info.native.release[0])
        nodei_fill_text(fill, "release_version", peer->info.native.release);
    put_tokens(fill, m);
}

void nodei_fill_peers_v2(struct nodei_fill *fill)
{
    struct peer peer;
    for (size_t i = 0; fill->ring && i < fill->ring->member_count; i++) {
        if (!get_peer(fill, i, &peer))
            continue;
        put_peer(fill, &peer);
        nodei_fill_int(fill, "peer_port", peer.port);
        nodei_fill_inet(fill, "native_address", peer.native);
        if (peer.native[0])
            nodei_fill_int(fill, "native_port", peer.info.native.port);
        nodei_fill_end(fill);
    }
}

/* Of several members at one address the first: the table has no place for the others (Cassandra's
 * neither). */
static bool is_first_at_address(const struct nodei_fill *fill, size_t at, const char *host)
{
    char other[64];
    uint16_t port;
    int self = self_index(fill);
    if (self >= 0 && nodei_split_address(fill->ring->members[self].address, other, &port) &&
        strcmp(host, other) == 0)
        return false;
    for (size_t i = 0; i < at; i++) {
        struct peer peer;
        if (get_peer(fill, i, &peer) && strcmp(host, peer.host) == 0)
            return false;
    }
    return true;
}

void nodei_fill_peers(struct nodei_fill *fill)
{
    struct peer peer;
    for (size_t i = 0; fill->ring && i < fill->ring->member_count; i++) {
        if (!get_peer(fill, i, &peer) || !is_first_at_address(fill, i, peer.host))
            continue;
        put_peer(fill, &peer);
        nodei_fill_inet(fill, "rpc_address", peer.native);
        nodei_fill_end(fill);
    }
}

/* Estimates of sizes. */

/* Of one table: its partitions, spread over the ranges that this node owns first, by their
 * width. */
struct estimate {
    const char *type; /* NULL: size_estimates */
    double partitions_per_token;
    uint64_t mean_bytes;
};

static void put_estimate(struct nodei_fill *fill, const struct base_table *table,
                         const struct estimate *e, int64_t after, int64_t upto)
{
    double width =
        after == upto ? 18446744073709551616.0 : (double)((uint64_t)upto - (uint64_t)after);
    nodei_fill_put(fill, "keyspace_name", table->keyspace);
    nodei_fill_put(fill, "table_name", table->name);
    if (e->type)
        nodei_fill_text(fill, "range_type", e->type);
    nodei_fill_printf(fill, "range_start", "%" PRId64, after);
    nodei_fill_printf(fill, "range_end", "%" PRId64, upto);
    nodei_fill_count(fill, "mean_partition_size", e->mean_bytes);
    nodei_fill_count(fill, "partitions_count", (uint64_t)(width * e->partitions_per_token + 0.5));
    nodei_fill_end(fill);
}

static void put_estimates(struct nodei_fill *fill, const struct base_table *table,
                          const struct lsm_table_stats *stats, const char *type)
{
    int self = self_index(fill);
    const struct base_keyspace *keyspace = base_schema_keyspace(fill->schema, table->keyspace);
    double owns = 1;
    if (!nodei_fill_wants(fill, table->keyspace))
        return;
    if (fill->repl && keyspace) {
        const struct ring_placement *placement = repl_placement(fill->repl, keyspace);
        owns = placement ? ring_placement_owns(placement, fill->node->identity.host_id) : 0;
    }
    struct estimate e = {.type = type, .mean_bytes = stats->partition_size_mean};
    if (owns > 0)
        e.partitions_per_token =
            (double)stats->partition_estimate / (owns * 18446744073709551616.0);
    if (self < 0) {
        put_estimate(fill, table, &e, INT64_MIN, INT64_MIN);
        return;
    }
    const struct ring_state *ring = fill->ring;
    for (size_t i = 0; i < ring->ring_count; i++) {
        int64_t after = ring->ring[i ? i - 1 : ring->ring_count - 1].token,
                upto = ring->ring[i].token;
        if (ring->ring_members[i] != self)
            continue;
        if (i > 0) {
            put_estimate(fill, table, &e, after, upto);
        } else { /* what wraps is two ranges */
            put_estimate(fill, table, &e, after, INT64_MIN);
            put_estimate(fill, table, &e, INT64_MIN, upto);
        }
    }
}

static void size_estimate(struct nodei_fill *fill, const struct base_table *table,
                          const struct lsm_table_stats *stats)
{
    put_estimates(fill, table, stats, NULL);
}

static void table_estimate(struct nodei_fill *fill, const struct base_table *table,
                           const struct lsm_table_stats *stats)
{
    put_estimates(fill, table, stats, "primary");
    put_estimates(fill, table, stats, "local_primary");
}

void nodei_fill_size_estimates(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, size_estimate);
}

void nodei_fill_table_estimates(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, table_estimate);
}

/* Indexes that are built here (the first column is the keyspace, whatever it is called). */
static void index_info(struct nodei_fill *fill, const struct base_table *table,
                       struct lsm_table *place)
{
    struct lsm_index_stats stats[64];
    size_t count =
        table->index_count ? lsm_table_get_index_stats(place, stats, BASE_COUNT(stats)) : 0;
    for (size_t i = 0; i < count && i < BASE_COUNT(stats); i++) {
        for (size_t k = 0; k < table->index_count; k++) {
            if (table->indexes[k].id != stats[i].id || !stats[i].is_built)
                continue;
            nodei_fill_put(fill, "table_name", table->keyspace);
            nodei_fill_put(fill, "index_name", table->indexes[k].name);
            nodei_fill_end(fill);
        }
    }
}

void nodei_fill_index_info(struct nodei_fill *fill)
{
    nodei_fill_each_place(fill, index_info);
}

/* Compactions and index builds under way. A task has no id of its own: the table's, and its kind,
 * make one. */
static void sstable_tasks(struct nodei_fill *fill, const struct base_table *table,
                          struct lsm_table *place)
{
    struct lsm_task tasks[LSM_TASKS_MAX];
    size_t count = lsm_table_get_tasks(place, tasks);
    for (size_t i = 0; i < count; i++) {
        struct base_uuid id = table->id;
        /* a version 1 uuid, as the column's type asks */
        id.b[6] = (uint8_t)(0x10 | (tasks[i].kind & 0x0F));
        id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3F));
        nodei_fill_put(fill, "keyspace_name", table->keyspace);
        nodei_fill_put(fill, "table_name", table->name);
        nodei_fill_uuid(fill, "task_id", id);
        nodei_fill_double(fill, "completion_ratio",
                          tasks[i].total ? (double)tasks[i].completed / (double)tasks[i].total : 0);
        nodei_fill_text(fill, "kind",
                        tasks[i].kind == LSM_TASK_COMPACTION ? "compaction"
                                                             : "secondary_index_build");
        nodei_fill_count(fill, "progress", tasks[i].completed);
        nodei_fill_int(fill, "sstables", (int32_t)tasks[i].sstables);
        nodei_fill_count(fill, "total", tasks[i].total);
        nodei_fill_text(fill, "unit", "bytes");
        nodei_fill_end(fill);
    }
}

void nodei_fill_sstable_tasks(struct nodei_fill *fill)
{
    nodei_fill_each_place(fill, sstable_tasks);
}
