/* Who has a token, asked of a node (replicas.h). */
#include <arpa/inet.h>
#include <stdio.h>

#include "cli/replicas.h"

/* A row's cell by its column's name; empty when null, or not there. */
static struct base_slice cell(const struct cql_result_info *result, const struct cql_value *cells,
                              const char *name)
{
    for (size_t i = 0; i < result->column_count; i++)
        if (base_slice_equal(result->columns[i].name, base_slice_str(name)))
            return cells[i].state == CQL_VALUE_SET ? cells[i].bytes : (struct base_slice){0};
    return (struct base_slice){0};
}

static bool print_address(struct base_slice bytes, char out[64])
{
    int family = bytes.len == 4 ? AF_INET : AF_INET6;
    return (bytes.len == 4 || bytes.len == 16) && inet_ntop(family, bytes.data, out, 64) != NULL;
}

static uint16_t port_of(struct base_slice bytes)
{
    uint32_t port = bytes.len == 4 ? base_get_be32(bytes.data) : 0;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void take_node(const struct cql_result_info *result, const struct cql_value *cells,
                      const char *address, const char *port, struct cli_ring_node *node)
{
    struct base_slice id = cell(result, cells, "host_id");
    *node = (struct cli_ring_node){.port = port_of(cell(result, cells, port)),
                                   .dc = cell(result, cells, "data_center"),
                                   .rack = cell(result, cells, "rack"),
                                   .tokens = cell(result, cells, "tokens")};
    if (!print_address(cell(result, cells, address), node->host))
        node->host[0] = 0;
    if (id.len == sizeof node->host_id.b)
        memcpy(node->host_id.b, id.data, id.len);
}

/* All rows of a query, one node each; those without an address are left out. */
static int take_rows(struct cli_ring *ring, struct base_arena *arena,
                     const struct cql_result_info *result, const char *address, const char *port,
                     struct base_err *err)
{
    size_t room = ring->node_count + result->row_count;
    if (room > CLI_RING_NODES_MAX)
        return base_err_set(err, BASE_E_LIMIT, "the cluster has %zu nodes", room);
    struct cli_ring_node *nodes = base_arena_alloc(arena, (room + 1) * sizeof *nodes);
    struct cql_value *cells = base_arena_alloc(arena, (result->column_count + 1) * sizeof *cells);
    struct base_reader rows = base_reader(result->rows);
    if (!nodes || !cells)
        return base_err_set(err, BASE_E_NOMEM, "the cluster's nodes");
    if (ring->node_count)
        memcpy(nodes, ring->nodes, ring->node_count * sizeof *nodes);
    ring->nodes = nodes;
    while (cql_next_row(&rows, cells, result->column_count)) {
        struct cli_ring_node *node = &ring->nodes[ring->node_count];
        take_node(result, cells, address, port, node);
        ring->node_count += node->host[0] != 0;
    }
    return BASE_OK;
}

int cli_ring_load(struct cli_ring *ring, struct base_arena *arena, struct cli_cql *cql,
                  struct base_err *err)
{
    struct cli_cql_reply local, peers;
    struct base_err no_v2 = {0};
    struct cql_value *cells;
    memset(ring, 0, sizeof *ring);
    int rc =
        cli_cql_simple(cql, arena, "SELECT * FROM system.local WHERE key = 'local'", &local, err);
    if (rc != BASE_OK)
        return rc;
    cells = base_arena_alloc(arena, (local.result.column_count + 1) * sizeof *cells);
    if (!cells)
        return base_err_set(err, BASE_E_NOMEM, "the cluster's nodes");
    struct base_reader rows = base_reader(local.result.rows);
    if (!cql_next_row(&rows, cells, local.result.column_count))
        return base_err_set(err, BASE_E_INVALID, "system.local is empty");
    struct base_slice partitioner = cell(&local.result, cells, "partitioner");
    rc = take_rows(ring, arena, &local.result, "rpc_address", "rpc_port", err);
    if (rc == BASE_OK && ring->node_count == 0)
        return base_err_set(err, BASE_E_INVALID, "system.local does not tell an address");
    bool has_v2 = rc == BASE_OK && cli_cql_simple(cql, arena, "SELECT * FROM system.peers_v2",
                                                  &peers, &no_v2) == BASE_OK;
    if (rc == BASE_OK && !has_v2)
        rc = cli_cql_simple(cql, arena, "SELECT * FROM system.peers", &peers, err);
    if (rc == BASE_OK)
        rc = take_rows(ring, arena, &peers.result, has_v2 ? "native_address" : "rpc_address",
                       "native_port", err);
    struct base_slice murmur = BASE_SLICE_LIT("Murmur3Partitioner");
    if (partitioner.len < murmur.len ||
        memcmp(partitioner.data + partitioner.len - murmur.len, murmur.data, murmur.len) != 0)
        for (size_t i = 0; i < ring->node_count; i++)
            ring->nodes[i].tokens = (struct base_slice){0};
    return rc == BASE_OK ? cli_ring_build(ring, arena, err) : rc;
}

int cli_replication_load(struct cli_replication *out, struct base_arena *arena, struct cli_cql *cql,
                         const char *keyspace, struct base_err *err)
{
    struct cli_cql_reply reply;
    struct cql_value name = {.state = CQL_VALUE_SET, .bytes = base_slice_str(keyspace)}, map;
    struct cql_query query = {
        .text = BASE_SLICE_LIT(
            "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?"),
        .options = {.consistency = 1,
                    .serial_consistency = CQL_SERIAL_DEFAULT,
                    .values = &name,
                    .value_count = 1}};
    memset(out, 0, sizeof *out);
    int rc = cli_cql_query(cql, arena, &query, false, &reply, err);
    if (rc == BASE_OK && reply.is_error)
        rc = base_err_set(err, BASE_E_INVALID, "%.*s", BASE_SLICE_ARG(reply.error.message));
    if (rc != BASE_OK || reply.result.row_count == 0 || reply.result.column_count != 1)
        return rc;
    struct base_reader rows = base_reader(reply.result.rows);
    if (!cql_next_row(&rows, &map, 1) || map.state != CQL_VALUE_SET)
        return BASE_OK;
    return cli_replication_parse(map.bytes, out, err);
}
