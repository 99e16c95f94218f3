/* The language's ports, filled by the node; and what the native protocol's listener, the HTTP API
 * and SQL share. For node/ alone.
 *
 *   cql_loop.c     ports on the cluster's event loop: nothing waits. The native protocol's
 *   cql_session.c  ports on a caller's thread (node/client.h: ringlet_cql, ringlet_query, POST
 *                  /api/v1/cql): everything is DONE
 *   system_*.c     the tables that the node makes up from its state
 *   roles*.c       PasswordAuthenticator, roles and permissions to log in
 *   native*.c      connections */
#ifndef NODE_CQL_PRIVATE_H
#define NODE_CQL_PRIVATE_H

#include "cql/exec.h"
#include "node/node_private.h"

/* A client: who asks, wherever it comes from. */

struct nodei_trace; /* tracing.c */
struct nodei_client {
    struct cql_ports ports; /* what cql_exec is given; the ops find the client around it */
    struct node *node;
    char keyspace[BASE_NAME_LEN_MAX + 1]; /* USE, or empty */
    /* logged in as; empty: nobody asked (AllowAllAuthenticator) */
    char role[128];
    bool is_superuser; /* AllowAllAuthenticator: true */
    bool internal;     /* the node itself: system keyspaces may be changed */
    /* of the other side, for system_views.clients and traces; empty: this process */
    char address[80];
    struct nodei_trace *trace; /* of the statement under way, or NULL */
};
/* On the loop's thread; the node is a member of a cluster or a guest. */
void nodei_client_init_on_loop(struct nodei_client *client, struct node *node);

/* System tables (system_*.c). */

/* The schema of system, system_schema, system_virtual_schema, system_views: one immutable snapshot
 * a process, made at the first call; borrowed for ever. NULL: out of memory. Its tables' ids are
 * fixed (made from their names). */
const struct base_schema *nodei_system_schema(void);
bool nodei_is_system_table(const struct base_table *table);
/* Rows of one of them as a stream for cmd (live rows, no tombstones; its slices, direction and
 * partition or tokens hold; limits and filters are the consumer's). `repl`: on the loop's thread;
 * NULL: an embedded node that is alone, any thread. Blocks on nothing. */
struct repl;
BASE_MUST int nodei_system_read(struct node *node, struct repl *repl,
                                const struct base_table *table, const struct base_read *cmd,
                                struct base_source **out, struct base_err *err);
/* The schema version that all nodes of one epoch agree on: a (version 3) uuid of the epoch and the
 * cluster's name. */
struct base_uuid nodei_schema_version(const char *cluster_name, uint64_t epoch);

/* On the loop's thread: clients are served at this port (0: no more). system.local and, by gossip,
 * the others' system.peers say so. */
void nodei_native_announce(struct node *node, struct repl *repl, uint16_t port);

/* Roles (roles*.c). */

/* Is a password asked for? (authenticator: AllowAllAuthenticator, PasswordAuthenticator) */
bool nodei_auth_is_required(const struct node *node);
/* Check a name and password: reads system_auth.roles (cached for roles_validity), compares bcrypt
 * on the pool; on the loop's thread. The caller's storage until done. rc: OK; UNAUTHORIZED with
 * Cassandra's text ("Provided username x and/or password are incorrect"); UNAVAILABLE …. */
struct nodei_login {
    char user[128];
    char password[256]; /* wiped before done */
    bool from_loopback;
    void (*done)(struct nodei_login *login);
    int rc;
    struct base_err err;
    bool is_superuser, can_login;
    void *ctx, *state;
};
void nodei_login_start(struct node *node, struct nodei_login *login);
/* As the cluster closes: no more logins; those that wait end with CLOSED. True: none is under way
 * (`now`: but for reads, which end with repl_close); else ask again. */
bool nodei_auth_stop(struct node *node, bool now);
void nodei_auth_close(struct node *node);
/* May the client touch these tables? Those of system_auth are the superusers'. UNAUTHORIZED. */
BASE_MUST int nodei_roles_check_read(const struct nodei_client *client,
                                     const struct base_table *table, struct base_err *err);
BASE_MUST int nodei_roles_check_write(const struct nodei_client *client,
                                      struct base_slice mutations, size_t count,
                                      struct base_err *err);
/* `keyspace`: where the statement's name says none. */
BASE_MUST int nodei_roles_check_ddl(const struct nodei_client *client,
                                    const struct cql_statement *statement,
                                    struct base_slice keyspace, struct base_err *err);
/* CREATE, ALTER, DROP ROLE and USER, LIST ROLES and USERS, on the loop's thread: as
 * cql_port_ops.admin. */
enum cql_answer nodei_roles_admin(struct nodei_client *client, struct cql_admin *admin);
/* On the loop's thread, when the node has become a member: see to system_auth and system_traces
 * being there. */
void nodei_system_keyspaces_start(struct node *node);
void nodei_system_keyspaces_stop(struct node *node); /* as the cluster closes */

/* Tracing (tracing.c). */

/* Begin a trace (session id: a timeuuid); events are written to system_traces when it ends, without
 * anybody waiting. On the loop. */
BASE_MUST int nodei_trace_begin(struct nodei_client *client, struct base_slice query,
                                struct base_uuid *id, struct base_err *err);
/* How it is asked, for the session's row: "Execute CQL3 query"; levels (-1: not said); rows a page
 * (0: not said). */
void nodei_trace_describe(struct nodei_client *client, const char *request, int consistency,
                          int serial_consistency, int32_t page_size);
void nodei_trace_end(struct nodei_client *client);
/* A line of the trace under way, if there is one; copied. */
void nodei_trace_event(struct nodei_client *client, const char *text);
/* … that says where a partition lives. */
void nodei_trace_replicas(struct nodei_client *client, const struct base_table *table,
                          struct base_slice pkey, bool write);

/* The native protocol's listener (native*.c). */

struct nodei_native;
/* Does this node serve clients? start_native_transport, and it is a daemon or was told where
 * (cql). */
bool nodei_native_is_wanted(const struct node *node, bool is_daemon);
/* Before anything is opened: may it listen where it is told to, and could it? CONFIG, BUSY; the
 * text says what to do. */
BASE_MUST int nodei_native_check(struct node *node, struct base_err *err);
/* On the loop's thread, once the node serves. host and port as rpc_address and
 * native_transport_port say; BUSY, CONFIG. */
BASE_MUST int nodei_native_open(struct node *node, struct nodei_native **out, struct base_err *err);
/* Take no more connections and requests; what is under way is answered. */
void nodei_native_stop(struct nodei_native *native);
/* What is under way is given up; memory goes with the last request (at repl_close at the latest).
 * NULL is fine. */
void nodei_native_close(struct nodei_native *native);
uint16_t nodei_native_port(const struct nodei_native *native);
/* A snapshot, liveness or membership changed: events are pushed to those who registered. */
void nodei_native_changed(struct nodei_native *native);
/* Counters since it was opened, and what is now. */
struct nodei_native_stats {
    uint64_t connections_total, connections_refused, connections_timed_out, requests, errors,
        overloaded, paused, prepared_evicted;
    uint64_t connections, in_flight_bytes, response_bytes, prepared, prepared_bytes;
};
/* NULL: all 0 */
void nodei_native_get_stats(const struct nodei_native *native, struct nodei_native_stats *out);
/* For system_views.clients: `each` for every connection. */
struct nodei_native_client {
    char address[80];
    uint16_t port;
    int protocol_version;
    const char *username, *driver_name, *driver_version, *keyspace;
    uint64_t request_count;
    const char *stage; /* "ready" */
    bool tls;
};
/* Its prepared statements: how many there are, how many had to go; and each (may be NULL). */
void nodei_native_prepared(const struct nodei_native *native, uint64_t *count, uint64_t *evicted,
                           void (*each)(void *ctx, struct base_slice id, struct base_slice keyspace,
                                        struct base_slice text),
                           void *ctx);
void nodei_native_clients(struct nodei_native *native,
                          void (*each)(void *ctx, const struct nodei_native_client *client),
                          void *ctx);

#endif
