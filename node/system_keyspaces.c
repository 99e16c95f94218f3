/* system_auth and system_traces: keyspaces that the cluster keeps for itself, in tables like any
 * other. A node that serves clients sees to it, once it is a member, that they are there; the
 * metadata log settles who was first.
 *
 * Invariants:
 *  1. One statement at a time; each is IF NOT EXISTS, so that it can be said again at any time, by
 *     any node.
 *  2. Nobody waits for it. What fails (no majority) is tried again, later and later, for as long as
 *     the node runs. */
#include "node/cluster_private.h"
#include "node/system_private.h"

#define SECOND UINT64_C(1000000000)
/* of a node that is not alone: another one is about to do it, or has */
#define FIRST_WAIT_NS (2 * SECOND)
#define RETRY_WAIT_MAX_NS (60 * SECOND)

#define AUTH " AND gc_grace_seconds = 7776000"
#define TRACES " AND gc_grace_seconds = 0"

/* Cassandra 5's. Roles at one replica, traces at two, as there: who has several nodes alters it. */
static const char *const statements[] = {
    "CREATE KEYSPACE IF NOT EXISTS system_auth WITH replication = {'class': 'SimpleStrategy', "
    "'replication_factor': '1'}",
    "CREATE TABLE IF NOT EXISTS system_auth.roles (role text PRIMARY KEY, can_login boolean, "
    "is_superuser boolean, member_of set<text>, "
    "salted_hash text) WITH comment = 'role definitions'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.role_members (role text, member text, PRIMARY KEY "
    "(role, member)) "
    "WITH comment = 'role memberships lookup table'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.role_permissions (role text, resource text, "
    "permissions set<text>, "
    "PRIMARY KEY (role, resource)) WITH comment = 'permissions granted to db roles'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.resource_role_permissons_index (resource text, role "
    "text, PRIMARY KEY (resource, role)) "
    "WITH comment = 'index of db roles with permissions granted on a resource'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.network_permissions (role text PRIMARY KEY, dcs "
    "frozen<set<text>>) "
    "WITH comment = 'user network permissions'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.cidr_permissions (role text PRIMARY KEY, cidr_groups "
    "frozen<set<text>>) "
    "WITH comment = 'user cidr permissions'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.cidr_groups (cidr_group text PRIMARY KEY, cidrs "
    "frozen<set<frozen<tuple<inet, smallint>>>>) "
    "WITH comment = 'cidr groups to cidrs mapping'" AUTH,
    "CREATE TABLE IF NOT EXISTS system_auth.identity_to_role (identity text PRIMARY KEY, role "
    "text) "
    "WITH comment = 'mtls authorized identities lookup table'" AUTH,
    "CREATE KEYSPACE IF NOT EXISTS system_traces WITH replication = {'class': 'SimpleStrategy', "
    "'replication_factor': '2'}",
    "CREATE TABLE IF NOT EXISTS system_traces.sessions (session_id uuid PRIMARY KEY, client inet, "
    "command text, coordinator inet, "
    "coordinator_port int, duration int, parameters map<text, text>, request text, started_at "
    "timestamp) "
    "WITH comment = 'tracing sessions'" TRACES,
    "CREATE TABLE IF NOT EXISTS system_traces.events (session_id uuid, event_id timeuuid, activity "
    "text, source inet, source_elapsed int, "
    "source_port int, thread text, PRIMARY KEY (session_id, event_id)) WITH comment = 'tracing "
    "events'" TRACES,
};

struct nodei_system_keyspaces {
    struct nodei_client client;
    struct cql_admin admin;
    struct cql_result result;
    struct base_arena arena;
    struct net_timer timer;
    size_t next; /* statement */
    uint64_t wait_ns;
    bool under_way, stopping;
};

static struct nodei_cluster *cluster_of(const struct nodei_system_keyspaces *k)
{
    return k->client.node->cluster;
}

static void keyspaces_free(struct nodei_system_keyspaces *k)
{
    net_loop_disarm(cluster_of(k)->loop, &k->timer);
    cluster_of(k)->system_keyspaces = NULL;
    cql_result_fini(&k->result);
    base_arena_fini(&k->arena);
    free(k);
}

static void ready(struct cql_admin *admin);

/* The next statement. True: its answer is there. */
static bool begin(struct nodei_system_keyspaces *k)
{
    struct cql_statement *statement;
    base_arena_reset(&k->arena);
    cql_result_fini(&k->result);
    cql_result_init(&k->result, 65536);
    k->admin = (struct cql_admin){.arena = &k->arena, .ready = ready, .result = &k->result};
    k->admin.rc =
        cql_parse(&k->arena, base_slice_str(statements[k->next]), &statement, &k->admin.err);
    BASE_ASSERT(k->admin.rc == BASE_OK || k->admin.rc == BASE_E_NOMEM);
    if (k->admin.rc != BASE_OK)
        return true;
    k->admin.statement = statement;
    k->under_way = k->client.ports.ops->admin(&k->client.ports, &k->admin) == CQL_PENDING;
    return !k->under_way;
}

/* False: it failed, and is tried again later. */
static bool take(struct nodei_system_keyspaces *k)
{
    if (k->admin.rc == BASE_OK || k->admin.rc == BASE_E_EXISTS) {
        k->next++;
        k->wait_ns = SECOND;
        return true;
    }
    base_logf(k->client.node->log, BASE_LOG_WARN,
              "system_auth and system_traces are not all there yet; trying again in %u s: %s",
              (unsigned)(k->wait_ns / SECOND), k->admin.err.text);
    net_loop_arm(cluster_of(k)->loop, &k->timer, k->wait_ns);
    k->wait_ns = k->wait_ns < RETRY_WAIT_MAX_NS / 2 ? k->wait_ns * 2 : RETRY_WAIT_MAX_NS;
    return false;
}

static void run(struct nodei_system_keyspaces *k)
{
    while (k->next < BASE_COUNT(statements)) {
        if (!begin(k) || !take(k))
            return;
    }
    keyspaces_free(k);
}

static void ready(struct cql_admin *admin)
{
    struct nodei_system_keyspaces *k = BASE_CONTAINER(admin, struct nodei_system_keyspaces, admin);
    k->under_way = false;
    if (k->stopping)
        keyspaces_free(k);
    else if (take(k))
        run(k);
}

static void fired(struct net_timer *timer)
{
    run(BASE_CONTAINER(timer, struct nodei_system_keyspaces, timer));
}

void nodei_system_keyspaces_start(struct node *node)
{
    struct nodei_cluster *cluster = node->cluster;
    if (node->guest || cluster->system_keyspaces)
        return;
    struct nodei_system_keyspaces *k = calloc(1, sizeof *k);
    if (!k) {
        base_logf(node->log, BASE_LOG_ERROR, "system_auth and system_traces: out of memory");
        return;
    }
    nodei_client_init_on_loop(&k->client, node);
    k->client.internal = true;
    base_arena_init(&k->arena);
    cql_result_init(&k->result, 65536);
    k->timer.fired = fired;
    k->wait_ns = SECOND;
    cluster->system_keyspaces = k;
    net_loop_arm(cluster->loop, &k->timer,
                 repl_ring(cluster->repl)->member_count > 1 ? FIRST_WAIT_NS : 0);
}

void nodei_system_keyspaces_stop(struct node *node)
{
    struct nodei_system_keyspaces *k = node->cluster->system_keyspaces;
    if (!k)
        return;
    k->stopping = true; /* a change under way ends with repl_close */
    net_loop_disarm(node->cluster->loop, &k->timer);
    if (!k->under_way)
        keyspaces_free(k);
}
