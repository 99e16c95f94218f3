/* system_views: what the node is doing, in Cassandra's virtual tables. What is not measured is null
 * rather than invented. */
#include <arpa/inet.h>
#include <stdio.h>

#include "net/internode.h"
#include "node/cluster_private.h"
#include "node/system_private.h"

/* Settings, caches. */

static int put_setting(void *ctx, const char *name, const char *value)
{
    struct nodei_fill *fill = ctx;
    nodei_fill_text(fill, "name", name);
    nodei_fill_text(fill, "value", value);
    nodei_fill_end(fill);
    return fill->rc;
}

void nodei_fill_settings(struct nodei_fill *fill)
{
    int rc = nodei_settings_each(&fill->node->settings, put_setting, fill);
    BASE_ASSERT(rc == fill->rc);
}

/* The one cache there is: decompressed blocks, which Cassandra calls chunks. */
void nodei_fill_caches(struct nodei_fill *fill)
{
    struct lsm_stats s;
    if (fill->node->guest)
        return;
    lsm_get_stats(fill->node->store, &s);
    uint64_t requests = s.cache_hits + s.cache_misses;
    nodei_fill_text(fill, "name", "chunks");
    nodei_fill_count(fill, "capacity_bytes", fill->node->settings.file_cache_size);
    nodei_fill_int(fill, "entry_count",
                   s.cache_entries > INT32_MAX ? INT32_MAX : (int32_t)s.cache_entries);
    nodei_fill_count(fill, "hit_count", s.cache_hits);
    nodei_fill_double(fill, "hit_ratio", requests ? (double)s.cache_hits / (double)requests : 0);
    nodei_fill_count(fill, "request_count", requests);
    nodei_fill_count(fill, "size_bytes", s.cache_bytes);
    nodei_fill_end(fill);
}

/* Threads. */

static void put_pool(struct nodei_fill *fill, const char *name, uint64_t active, uint64_t pending,
                     uint64_t completed)
{
    nodei_fill_text(fill, "name", name);
    nodei_fill_int(fill, "active_tasks", (int32_t)active);
    nodei_fill_int(fill, "active_tasks_limit", 1); /* each is one thread */
    nodei_fill_int(fill, "pending_tasks", pending > INT32_MAX ? INT32_MAX : (int32_t)pending);
    nodei_fill_count(fill, "blocked_tasks", 0);
    nodei_fill_count(fill, "blocked_tasks_all_time", 0);
    nodei_fill_count(fill, "completed_tasks", completed);
    nodei_fill_end(fill);
}

void nodei_fill_thread_pools(struct nodei_fill *fill)
{
    static const char *const names[BASE_LANE_COUNT] = {[BASE_LANE_SYNC] = "CommitLogSync",
                                                       [BASE_LANE_FLUSH] = "MemtableFlushWriter",
                                                       [BASE_LANE_COMPACT] = "CompactionExecutor",
                                                       [BASE_LANE_AUTH] =
                                                           "Native-Transport-Auth-Requests"};
    if (fill->node->guest)
        return;
    for (int i = 0; fill->repl && i < NODEI_STAGES; i++) {
        struct nodei_stage_stats s;
        nodei_cluster_stage(fill->node, i, &s);
        put_pool(fill, s.name, s.active, s.pending, s.completed);
    }
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct node_lane_stats s;
        node_executor_get_stats(fill->node->executor, (enum base_lane)i, &s);
        uint64_t active = s.running && s.pending > 0;
        put_pool(fill, names[i], active, s.pending - active, s.completed);
    }
}

/* The cluster. */

static void put_place(struct nodei_fill *fill, struct base_slice address)
{
    char host[64];
    uint16_t port;
    if (!nodei_split_address(address, host, &port))
        return;
    nodei_fill_inet(fill, "address", host);
    nodei_fill_int(fill, "port", port);
}

void nodei_fill_pending_hints(struct nodei_fill *fill)
{
    for (size_t i = 0; fill->repl && i < fill->ring->member_count; i++) {
        const struct ring_member *m = &fill->ring->members[i];
        struct repl_peer_info info;
        repl_peer_get(fill->repl, i, &info);
        if (info.hint_count == 0)
            continue;
        nodei_fill_uuid(fill, "host_id", m->host_id);
        put_place(fill, m->address);
        nodei_fill_put(fill, "dc", m->dc);
        nodei_fill_put(fill, "rack", m->rack);
        nodei_fill_text(fill, "status", info.alive ? "UP" : "DOWN");
        nodei_fill_count(fill, "total_size", info.hints_bytes);
        nodei_fill_int(fill, "corrupted_files", 0);
        nodei_fill_end(fill);
    }
}

/* A gossip state and its version. Ours have one version for all. */
static void put_state(struct nodei_fill *fill, const char *name, uint32_t version,
                      struct base_slice value)
{
    char column[64];
    nodei_fill_put(fill, name, value);
    snprintf(column, sizeof column, "%s_version", name);
    nodei_fill_int(fill, column, (int32_t)version);
}

static void put_text_state(struct nodei_fill *fill, const char *name, uint32_t version,
                           const char *value)
{
    put_state(fill, name, version, base_slice_str(value));
}

static void put_gossip(struct nodei_fill *fill, const struct ring_member *m,
                       const struct repl_peer_info *info)
{
    const char *status =
        m->state == RING_MEMBER_NORMAL ? info->alive ? "NORMAL" : "shutdown" : "BOOT";
    char text[64], id[37];
    put_place(fill, m->address);
    if (!nodei_fill_has(fill, "address")) { /* a host name: not a row that this table can have */
        nodei_fill_forget(fill);
        return;
    }
    nodei_fill_int(fill, "generation", (int32_t)info->generation);
    nodei_fill_int(fill, "heartbeat", (int32_t)info->version);
    put_text_state(fill, "status", info->version, status);
    put_text_state(fill, "status_with_port", info->version, status);
    put_state(fill, "dc", info->version, m->dc);
    put_state(fill, "rack", info->version, m->rack);
    put_state(fill, "internal_address_and_port", info->version, m->address);
    snprintf(text, sizeof text, "%llu", (unsigned long long)info->load_bytes);
    put_text_state(fill, "load", info->version, text);
    base_uuid_print(m->host_id, id);
    put_text_state(fill, "host_id", info->version, id);
    base_uuid_print(nodei_schema_version(nodei_cluster_name(fill), info->epoch), id);
    put_text_state(fill, "schema", info->version, id);
    put_text_state(fill, "rpc_ready", info->version, info->native.address_len ? "true" : "false");
    if (info->native.release[0])
        put_text_state(fill, "release_version", info->version, info->native.release);
    if (info->native.address_len && inet_ntop(info->native.address_len == 4 ? AF_INET : AF_INET6,
                                              info->native.address, text, sizeof text)) {
        char whole[80];
        put_text_state(fill, "rpc_address", info->version, text);
        snprintf(whole, sizeof whole, info->native.address_len == 4 ? "%s:%u" : "[%s]:%u", text,
                 info->native.port);
        put_text_state(fill, "native_address_and_port", info->version, whole);
    }
    nodei_fill_int(fill, "tokens_version", (int32_t)info->version);
    nodei_fill_end(fill);
}

void nodei_fill_gossip_info(struct nodei_fill *fill)
{
    for (size_t i = 0; fill->repl && !fill->node->guest && i < fill->ring->member_count; i++) {
        struct repl_peer_info info;
        repl_peer_get(fill->repl, i, &info);
        if (info.generation)
            put_gossip(fill, &fill->ring->members[i], &info);
    }
}

static int put_outbound(void *ctx, const struct net_internode_peer_stats *peer)
{
    struct nodei_fill *fill = ctx;
    int member = ring_member_find_address(fill->ring, base_slice_str(peer->address));
    uint64_t queued = 0, completed = 0, dropped = 0;
    for (int i = 0; i < NET_INTERNODE_LANES; i++) {
        queued += peer->lane_queued[i];
        completed += peer->lane_completed[i];
        dropped += peer->lane_dropped[i];
    }
    put_place(fill, base_slice_str(peer->address));
    if (member < 0 || !nodei_fill_has(fill, "address")) {
        nodei_fill_forget(fill);
        return fill->rc;
    }
    nodei_fill_put(fill, "dc", fill->ring->members[member].dc);
    nodei_fill_put(fill, "rack", fill->ring->members[member].rack);
    nodei_fill_count(fill, "pending_count", queued);
    nodei_fill_count(fill, "sent_count", completed);
    nodei_fill_count(fill, "error_count", dropped);
    nodei_fill_count(fill, "active_connections", peer->connected);
    nodei_fill_end(fill);
    return fill->rc;
}

void nodei_fill_internode_outbound(struct nodei_fill *fill)
{
    if (fill->repl)
        net_internode_each_peer(nodei_internode(fill->node), put_outbound, fill);
}

/* Clients. */

static struct nodei_native *native_of(const struct nodei_fill *fill)
{
    return fill->repl ? fill->node->cluster->native : NULL;
}

static void put_client(void *ctx, const struct nodei_native_client *client)
{
    struct nodei_fill *fill = ctx;
    nodei_fill_inet(fill, "address", client->address);
    if (!nodei_fill_has(fill, "address")) {
        nodei_fill_forget(fill);
        return;
    }
    nodei_fill_int(fill, "port", client->port);
    nodei_fill_text(fill, "hostname", client->address);
    nodei_fill_text(fill, "username", client->username);
    nodei_fill_text(fill, "connection_stage", client->stage);
    nodei_fill_int(fill, "protocol_version", client->protocol_version);
    if (client->driver_name[0])
        nodei_fill_text(fill, "driver_name", client->driver_name);
    if (client->driver_version[0])
        nodei_fill_text(fill, "driver_version", client->driver_version);
    if (client->keyspace[0])
        nodei_fill_text(fill, "keyspace_name", client->keyspace);
    nodei_fill_count(fill, "request_count", client->request_count);
    nodei_fill_bool(fill, "ssl_enabled", client->tls);
    nodei_fill_end(fill);
}

void nodei_fill_clients(struct nodei_fill *fill)
{
    if (native_of(fill))
        nodei_native_clients(native_of(fill), put_client, fill);
}

static void put_prepared(void *ctx, struct base_slice id, struct base_slice keyspace,
                         struct base_slice text)
{
    struct nodei_fill *fill = ctx;
    nodei_fill_put(fill, "prepared_id", id);
    if (keyspace.len)
        nodei_fill_put(fill, "logged_keyspace", keyspace);
    nodei_fill_put(fill, "query_string", text);
    nodei_fill_end(fill);
}

void nodei_fill_prepared_statements(struct nodei_fill *fill)
{
    uint64_t count, evicted;
    if (native_of(fill))
        nodei_native_prepared(native_of(fill), &count, &evicted, put_prepared, fill);
}

static void put_metric(struct nodei_fill *fill, const char *name, uint64_t value)
{
    nodei_fill_text(fill, "name", name);
    nodei_fill_double(fill, "value", (double)value);
    nodei_fill_end(fill);
}

void nodei_fill_cql_metrics(struct nodei_fill *fill)
{
    uint64_t count, evicted;
    if (!native_of(fill))
        return;
    nodei_native_prepared(native_of(fill), &count, &evicted, NULL, NULL);
    put_metric(fill, "prepared_statements_count", count);
    put_metric(fill, "prepared_statements_evicted", evicted);
}

/* Tables. */

static void put_table(struct nodei_fill *fill, const struct base_table *table)
{
    nodei_fill_put(fill, "keyspace_name", table->keyspace);
    nodei_fill_put(fill, "table_name", table->name);
}

static void put_mebibytes(struct nodei_fill *fill, const struct base_table *table, uint64_t bytes)
{
    put_table(fill, table);
    nodei_fill_count(fill, "mebibytes", (bytes + (1u << 20) - 1) >> 20);
    nodei_fill_end(fill);
}

static void disk_usage(struct nodei_fill *fill, const struct base_table *table,
                       const struct lsm_table_stats *stats)
{
    put_mebibytes(fill, table, stats->disk_bytes);
}

static void max_partition_size(struct nodei_fill *fill, const struct base_table *table,
                               const struct lsm_table_stats *stats)
{
    put_mebibytes(fill, table, stats->partition_size_max);
}

static void read_count(struct nodei_fill *fill, const struct base_table *table,
                       const struct lsm_table_stats *stats)
{
    put_table(fill, table);
    nodei_fill_count(fill, "count", stats->reads);
    nodei_fill_end(fill);
}

static void write_count(struct nodei_fill *fill, const struct base_table *table,
                        const struct lsm_table_stats *stats)
{
    put_table(fill, table);
    nodei_fill_count(fill, "count", stats->writes);
    nodei_fill_end(fill);
}

void nodei_fill_disk_usage(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, disk_usage);
}

void nodei_fill_max_partition_size(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, max_partition_size);
}

void nodei_fill_local_read_latency(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, read_count);
}

void nodei_fill_local_write_latency(struct nodei_fill *fill)
{
    nodei_fill_each_table(fill, write_count);
}
