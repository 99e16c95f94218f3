/* Who has a token, by what a node says of its cluster: system.local, system.peers and the
 * keyspace's replication. For `ringlet stress`, which sends a request to a replica, and SHOW
 * REPLICAS. Of Ringlet, Apache Cassandra and ScyllaDB alike; a keyspace of ScyllaDB's tablets has
 * other replicas than are said here, and a request to one that is none is passed on by it. */
#ifndef CLI_REPLICAS_H
#define CLI_REPLICAS_H

#include "cli/cql_client.h"

enum { CLI_RING_NODES_MAX = 4096, CLI_RING_TOKENS_MAX = 1 << 20, CLI_RING_DCS_MAX = 64 };

struct cli_ring_node {
    char host[64]; /* its address for clients, as numbers */
    uint16_t port; /* 0: not told (system.peers of Cassandra before 4, ScyllaDB) */
    struct base_uuid host_id;
    struct base_slice dc, rack;
    uint16_t dc_number, rack_number; /* the same number: the same centre; … the same rack in it */
    struct base_slice tokens;        /* a set<text> as it came; empty: none */
};
struct cli_ring_token {
    int64_t token;
    uint16_t node;
};
struct cli_ring {
    struct cli_ring_node *nodes; /* the first: who was asked */
    size_t node_count;
    struct cli_ring_dc { /* by dc_number: what has tokens */
        uint16_t nodes, racks;
    } * dcs;
    struct cli_ring_token *tokens; /* ascending; none: another partitioner than Murmur3 */
    size_t token_count;
};

enum cli_replication_kind {
    CLI_REPLICATION_NONE, /* no such keyspace, or a strategy that we do not know */
    CLI_REPLICATION_LOCAL,
    CLI_REPLICATION_EVERYWHERE,
    CLI_REPLICATION_SIMPLE,
    CLI_REPLICATION_TOPOLOGY
};
struct cli_replication {
    enum cli_replication_kind kind;
    unsigned factor; /* SIMPLE */
    struct {         /* TOPOLOGY */
        struct base_slice dc;
        unsigned factor;
    } dcs[CLI_RING_DCS_MAX];
    size_t dc_count;
};

/* Pure (replicas.c). */

/* Number centres and racks, take the tokens apart and sort them. NOMEM, LIMIT; INVALID: a token
 * that is none. What is in it lives in the arena. */
BASE_MUST int cli_ring_build(struct cli_ring *ring, struct base_arena *arena, struct base_err *err);
/* The map of system_schema.keyspaces, serialized map<text, text>. INVALID. */
BASE_MUST int cli_replication_parse(struct base_slice map, struct cli_replication *out,
                                    struct base_err *err);
/* The place in ring->tokens, of which there is one at least, of whose owner a token is: the first
 * that is not less, or the first of all. */
size_t cli_ring_place(const struct cli_ring *ring, int64_t token);
/* The replicas of a token, the first its owner (of each centre): indexes of nodes, at most `max`
 * of them. 0: not known. */
size_t cli_ring_replicas(const struct cli_ring *ring, const struct cli_replication *replication,
                         int64_t token, uint16_t *out, size_t max);

/* Asked of a node (replicas_load.c). */

BASE_MUST int cli_ring_load(struct cli_ring *ring, struct base_arena *arena, struct cli_cql *cql,
                            struct base_err *err);
/* NONE, and no error, when there is no such keyspace. Names live in the arena. */
BASE_MUST int cli_replication_load(struct cli_replication *out, struct base_arena *arena,
                                   struct cli_cql *cql, const char *keyspace, struct base_err *err);

#endif
