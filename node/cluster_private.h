/* The real world of replication/ (its ports filled with sockets, disk and threads), for
 * node/cluster*.c alone.
 *
 * Threads: the loop's (replication, net and HTTP live there), and three of the store port: writes,
 * reads, metadata. Sessions live on their callers' threads and hand requests over. */
#ifndef NODE_CLUSTER_PRIVATE_H
#define NODE_CLUSTER_PRIVATE_H

#include "net/internode.h"
#include "node/node_private.h"
#include "replication/replication.h"

/* cluster_work.c: what may wait for the disk. */

enum nodei_work_lane { NODEI_WORK_WRITES, NODEI_WORK_READS, NODEI_WORK_METADATA, NODEI_WORK_LANES };

struct nodei_worker {
    struct nodei_work *work;
    enum nodei_work_lane lane;
    pthread_t thread;
    bool started, sleeping;
    pthread_cond_t wake;
    struct repl_store_op *store_head, **store_end; /* WRITES, READS */
    struct repl_meta_op *meta_head, **meta_end;    /* METADATA */
    uint64_t active, completed;
    /* The thread's own: */
    struct node_session *session;
    struct base_source *spare; /* a parked stream */
    struct base_buf group;
};
struct nodei_work {
    struct node *node;
    struct net_loop *loop;
    struct repl_store store;
    struct repl_meta meta;
    pthread_mutex_t mutex;
    bool stopping;
    struct nodei_worker workers[NODEI_WORK_LANES];
    struct repl_store_op *store_done;
    struct repl_meta_op *meta_done;
    struct net_task done_task;
    bool done_posted;
    /* The loop's own: */
    size_t pending, pending_writes;
    uint64_t lone_turn, calm_until_ns;
    struct node_session *session;
    struct base_source *spare; /* a parked stream */
};
BASE_MUST int nodei_work_open(struct nodei_work *work, struct node *node, struct net_loop *loop,
                              struct base_err *err);
/* any thread */
void nodei_work_get_stats(struct nodei_work *work, enum nodei_work_lane lane,
                          struct nodei_stage_stats *out);
/* Nothing is pending. */
void nodei_work_close(struct nodei_work *work);

/* http_api.c: the listener's routes. */

struct nodei_api;
BASE_MUST int nodei_api_open(struct node *node, struct net_loop *loop, const char *token,
                             struct nodei_api **out, struct base_err *err);
void nodei_api_handle(struct nodei_api *api, struct net_http_request *request);
/* Refuse what waits and what comes. False: a command runs still (and may need the loop); ask
 * again. */
bool nodei_api_stop(struct nodei_api *api);
void nodei_api_close(struct nodei_api *api); /* after stop said true */

/* natives.c: where members last served clients. */

struct nodei_cluster;
struct nodei_natives;
BASE_MUST int nodei_natives_open(struct nodei_cluster *cluster, struct base_err *err);
void nodei_natives_close(struct nodei_cluster *cluster);
/* On the loop: members may have told something. */
void nodei_natives_look(struct nodei_cluster *cluster);
/* False: it never told. */
bool nodei_natives_find(const struct nodei_cluster *cluster, struct base_uuid host_id,
                        struct repl_native *out);

/* cluster.c. */

struct nodei_cluster {
    struct node *node;
    struct net_loop *loop;
    pthread_t thread;
    bool thread_started;
    struct net_http_server *server;
    struct net_internode *internode;
    struct nodei_api *api;
    struct repl *repl;
    struct nodei_work work;
    struct repl_alarm alarm;
    struct net_timer alarm_timer, close_timer, load_timer;
    struct repl_transport transport;
    struct inbound *spare_inbound;
    bool serves_clients;     /* of the native protocol: a daemon */
    struct nodei_auth *auth; /* roles_login.c's; NULL until somebody logs in */
    size_t traces_writing;   /* tracing.c */
    size_t changes_waiting;  /* on their timers: cluster_session.c */
    /* system_keyspaces.c's, while it has something to do */
    struct nodei_system_keyspaces *system_keyspaces;
    struct nodei_loop_read *spare_reads; /* cql_loop.c's */
    unsigned spare_read_count;
    struct nodei_native *native;   /* NULL: serves no CQL clients, or not yet */
    struct nodei_natives *natives; /* NULL: a guest's */
    char host[64], address[RING_ADDRESS_LEN_MAX + 1];
    uint16_t port;
    bool announced;
    char token[NET_TOKEN_LEN + 1];
    uint8_t secret[NET_CREDENTIAL_LEN_MAX];
    size_t secret_len;
    _Atomic int stage; /* enum repl_stage, for other threads */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* of stage; and of calls that wait */
    uint64_t close_deadline_ns;
    void (*on_stage)(void *ctx, int stage); /* on the loop's thread; the daemon's */
    void *on_stage_ctx;
    char refusal[512]; /* under mutex: why, at REPL_REFUSED; a guest's: what its contact said */
};

/* A change of the metadata log, on the loop's thread. The caller's storage until done, which may be
 * called before start returns; repl.outcome tells. */
struct nodei_change {
    void (*done)(struct nodei_change *change);
    struct repl_change repl;
    struct net_timer timer;
    struct nodei_cluster *cluster;
    uint64_t patience_ns;
};
void nodei_change_start(struct node *node, struct nodei_change *change,
                        const struct base_change *what);

void nodei_cql_loop_close(struct nodei_cluster *cluster); /* cql_loop.c: frees what it keeps */

/* Hand `task` to the loop. */
void nodei_cluster_post(struct nodei_cluster *cluster, struct net_task *task);

#endif
