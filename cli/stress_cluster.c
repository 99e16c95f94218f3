/* Where `ringlet stress` sends (stress_private.h): the nodes of the cluster, and what each has.
 *
 * 1. The ring is as it was when the run began: a node that joins later gets no requests, one that
 *    leaves is a node that is lost.
 * 2. A node of -node is reached by the address that was given, the others by what the cluster
 *    tells. */
#include <stdio.h>

#include "cli/stress_private.h"

enum { ROUTE_LEN_MAX = 16 };

int cli_stress_open(const struct cli_stress_options *o, const char *host, uint16_t port,
                    volatile sig_atomic_t *interrupted, struct cli_cql *cql, struct base_err *err)
{
    struct cli_cql_config config = {.host = host,
                                    .port = port,
                                    .version = o->version,
                                    .lz4 = o->lz4,
                                    .user = o->user,
                                    .password = o->password,
                                    .ssl = o->ssl,
                                    .tls = o->tls,
                                    .interrupted = interrupted,
                                    .connect_timeout_ms = 20000,
                                    .request_timeout_ms = 60000};
    return cli_cql_open(cql, &config, err);
}

int cli_stress_contact(const struct cli_stress_options *o, struct cli_cql *cql,
                       struct base_err *err)
{
    int rc = BASE_E_UNAVAILABLE;
    for (size_t i = 0; i < o->node_count; i++) {
        base_err_clear(err);
        rc = cli_stress_open(o, o->nodes[i], o->port, NULL, cql, err);
        if (rc == BASE_OK)
            return rc;
        if (i + 1 < o->node_count)
            fprintf(stderr, "ringlet: %s; the next node of -node is asked\n", err->text);
    }
    return rc;
}

/* -node's addresses and the ring's. */

static int member_by_host_id(const struct cli_ring *ring, struct base_slice id)
{
    for (size_t i = 0; i < ring->node_count && id.len == sizeof ring->nodes[i].host_id.b; i++)
        if (memcmp(ring->nodes[i].host_id.b, id.data, id.len) == 0)
            return (int)i;
    return -1;
}

/* Which member is it that answers there? -1: none, or it does not answer. */
static int ask_who(const struct cli_stress_options *o, const struct cli_ring *ring,
                   const char *host)
{
    struct cli_cql cql;
    struct cli_cql_reply reply;
    struct cql_value id;
    struct base_arena arena;
    struct base_err err = {0};
    int member = -1;
    int rc = cli_stress_open(o, host, o->port, NULL, &cql, &err);
    if (rc != BASE_OK) {
        fprintf(stderr, "ringlet: %s\n", err.text);
        return -1;
    }
    base_arena_init(&arena);
    rc = cli_cql_simple(&cql, &arena, "SELECT host_id FROM system.local WHERE key = 'local'",
                        &reply, &err);
    struct base_reader rows =
        base_reader(rc == BASE_OK ? reply.result.rows : (struct base_slice){0});
    if (rc == BASE_OK && reply.result.column_count == 1 && cql_next_row(&rows, &id, 1))
        member = member_by_host_id(ring, id.bytes);
    base_arena_fini(&arena);
    cli_cql_close(&cql);
    return member;
}

static int member_at(const struct cli_ring *ring, const struct cli_stress_options *o,
                     const char *host)
{
    for (size_t i = 0; i < ring->node_count; i++)
        if (strcmp(ring->nodes[i].host, host) == 0 &&
            (!ring->nodes[i].port || ring->nodes[i].port == o->port))
            return (int)i;
    return -1;
}

static int add_node(struct cli_stress_cluster *cluster, const char *host, uint16_t port)
{
    struct cli_stress_node *node = &cluster->nodes[cluster->node_count++];
    memset(node, 0, sizeof *node);
    node->port = port;
    node->host = base_arena_strdup(&cluster->arena, base_slice_str(host));
    return node->host ? BASE_OK : BASE_E_NOMEM;
}

/* The nodes that are used; index[member]: which of them it is. */
static int choose_nodes(struct cli_stress_cluster *cluster, const struct cli_stress_options *o,
                        const struct cli_cql *contact, uint16_t *index)
{
    struct cli_ring *ring = &cluster->ring;
    const char **listed = base_arena_zalloc(&cluster->arena, ring->node_count * sizeof *listed);
    if (!listed)
        return BASE_E_NOMEM;
    listed[0] = contact->config.host;
    for (size_t i = 0; i < o->node_count; i++) {
        const char *host = o->nodes[i];
        int member = host == contact->config.host ? 0 : member_at(ring, o, host);
        if (member < 0)
            member = ask_who(o, ring, host);
        if (member >= 0 && !listed[member])
            listed[member] = host;
        else if (member < 0)
            fprintf(stderr, "ringlet: %s:%u is left out: the cluster of %s does not name it\n",
                    host, o->port, contact->config.host);
    }
    struct base_slice dc = o->datacenter ? base_slice_str(o->datacenter) : ring->nodes[0].dc;
    for (size_t i = 0; i < ring->node_count; i++) {
        const struct cli_ring_node *m = &ring->nodes[i];
        bool is_there = base_slice_equal(m->dc, dc);
        index[i] = CLI_STRESS_NO_NODE;
        if (!(listed[i] && (is_there || !o->datacenter)) && (o->whitelist || !is_there))
            continue;
        index[i] = (uint16_t)cluster->node_count;
        int rc = add_node(cluster, listed[i] ? listed[i] : m->host,
                          listed[i] || !m->port ? o->port : m->port);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* Routes. */

static int make_routes(struct cli_stress_cluster *cluster,
                       const struct cli_replication *replication, const uint16_t *index)
{
    const struct cli_ring *ring = &cluster->ring;
    uint16_t *members = base_arena_alloc(&cluster->arena, ring->node_count * sizeof *members);
    size_t len = cluster->node_count < ROUTE_LEN_MAX ? cluster->node_count : ROUTE_LEN_MAX;
    cluster->routes =
        base_arena_alloc(&cluster->arena, (ring->token_count * len + 1) * sizeof *cluster->routes);
    if (!members || !cluster->routes)
        return BASE_E_NOMEM;
    bool any = false;
    for (size_t t = 0; t < ring->token_count; t++) {
        size_t n =
            cli_ring_replicas(ring, replication, ring->tokens[t].token, members, ring->node_count);
        uint16_t *route = &cluster->routes[t * len];
        size_t kept = 0;
        for (size_t i = 0; i < n && kept < len; i++)
            if (index[members[i]] != CLI_STRESS_NO_NODE)
                route[kept++] = index[members[i]];
        any = any || kept;
        while (kept < len)
            route[kept++] = CLI_STRESS_NO_NODE;
    }
    cluster->route_len = any ? len : 0;
    return BASE_OK;
}

const uint16_t *cli_stress_route(const struct cli_stress_cluster *cluster, int64_t token)
{
    if (cluster->route_len == 0)
        return NULL;
    return &cluster->routes[cli_ring_place(&cluster->ring, token) * cluster->route_len];
}

/* All of -node, whoever they are. */
static int take_listed(struct cli_stress_cluster *cluster, const struct cli_stress_options *o)
{
    int rc = BASE_OK;
    cluster->node_count = cluster->route_len = 0;
    for (size_t i = 0; rc == BASE_OK && i < o->node_count; i++)
        rc = add_node(cluster, o->nodes[i], o->port);
    return rc;
}

int cli_stress_cluster_init(struct cli_stress_cluster *cluster, const struct cli_stress_options *o,
                            struct cli_cql *contact, struct base_err *err)
{
    struct cli_replication replication;
    memset(cluster, 0, sizeof *cluster);
    base_arena_init(&cluster->arena);
    int rc = cli_ring_load(&cluster->ring, &cluster->arena, contact, err);
    bool known = rc == BASE_OK;
    if (rc == BASE_E_INVALID) { /* no such tables, or not as we know them */
        fprintf(stderr, "ringlet: the ring is not known: %s\n", err->text);
        base_err_clear(err);
        cluster->ring.node_count = 0;
        rc = BASE_OK;
    }
    if (rc == BASE_OK && known)
        rc = cli_replication_load(&replication, &cluster->arena, contact, o->keyspace, err);
    size_t room = cluster->ring.node_count + o->node_count;
    uint16_t *index = base_arena_alloc(&cluster->arena, room * sizeof *index);
    cluster->nodes = base_arena_zalloc(&cluster->arena, room * sizeof *cluster->nodes);
    if (rc == BASE_OK && (!index || !cluster->nodes))
        rc = base_err_set(err, BASE_E_NOMEM, "the cluster's nodes");
    if (rc == BASE_OK) {
        rc = known ? choose_nodes(cluster, o, contact, index) : take_listed(cluster, o);
        if (rc == BASE_OK && known)
            rc = make_routes(cluster, &replication, index);
        if (rc != BASE_OK)
            base_err_set(err, rc, "the cluster's nodes");
    }
    if (rc == BASE_OK && cluster->node_count == 0)
        rc = base_err_set(err, BASE_E_NOTFOUND, "there is no node in the data centre %s",
                          o->datacenter);
    if (rc != BASE_OK)
        cli_stress_cluster_fini(cluster);
    return rc;
}

void cli_stress_cluster_fini(struct cli_stress_cluster *cluster)
{
    base_arena_fini(&cluster->arena);
}
