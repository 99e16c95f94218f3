/* A worker of `ringlet stress`, inside: one event loop (stress_worker.c), its connections
 * (stress_connection.c).
 *
 * 1. Connections go round the nodes: number i of the run is one to node i % node_count, and every
 *    worker has one to each node at least.
 * 2. A connection is the worker's while it is OPEN, and the mender's, a thread that lives as long
 *    as something is lost, while it is LOST: connecting may take seconds, and the other nodes'
 *    answers are not to wait. READY gives it back. */
#ifndef CLI_STRESS_WORKER_H
#define CLI_STRESS_WORKER_H

#include "cli/stress_private.h"

enum { CLI_STRESS_ANSWER_S_MAX = 12 }; /* as long does cassandra-stress's driver wait */
#define CLI_STRESS_SECOND_NS 1000000000u

struct cli_stress_slot { /* a request in flight */
    uint64_t due_ns, sent_ns, partition, row;
    uint16_t statement;
    int16_t next_free; /* -1: none */
    bool busy, routed;
};
enum cli_stress_connection_state { CLI_STRESS_LOST, CLI_STRESS_READY, CLI_STRESS_OPEN };
struct cli_stress_connection {
    struct cli_cql cql;
    struct cli_stress_slot *slots;
    int16_t free;
    unsigned slot_count, in_flight;
    unsigned node; /* of the cluster's, and its target */
    _Atomic enum cli_stress_connection_state state;
    bool wants_write;
};
struct cli_stress_target { /* a node, as this worker has it */
    unsigned first, count; /* its connections: first, first + node_count, … */
    unsigned turn, open, in_flight;
    uint64_t again_ns; /* when the mender tries next */
};
struct cli_stress_worker {
    struct cli_stress_run *run;
    unsigned number, of;
    struct cli_stress_connection *connections;
    unsigned connection_count, turn;
    struct cli_stress_target *targets; /* by node */
    unsigned open, in_flight, in_flight_max;
    uint64_t alone_since_ns; /* 0: a connection is open */
    uint64_t looked_ns;      /* for requests without an answer */
    uint64_t scheduled;      /* operations of this worker's share, at a rate */
    int epoll;
    struct base_arena arena;
    struct base_buf scratch, key;
    pthread_t thread, mender;
    bool started;
    bool mender_started;
    atomic_bool mending;          /* the mender has work */
    volatile sig_atomic_t ending; /* its waits end */
    int rc;
    struct base_err err;
    pthread_mutex_t lock; /* of counts */
    struct cli_stress_counts counts;
};

void cli_stress_count_errors(struct cli_stress_worker *w, uint64_t count, const char *text);

/* Open all, as far as nodes answer: one at least. */
BASE_MUST int cli_stress_connect(struct cli_stress_worker *w, struct base_err *err);
/* It is of no use any more, w->err says why: what was in flight on it has failed. */
void cli_stress_lose(struct cli_stress_worker *w, struct cli_stress_connection *c);
/* Take back what the mender opened, start it when it has work, lose connections that do not answer.
 * Once in a while. TIMEOUT: there is no connection, and has been none for long. */
BASE_MUST int cli_stress_tend(struct cli_stress_worker *w);
/* Tell epoll whether its socket's readiness for writing is of interest. */
BASE_MUST int cli_stress_watch(struct cli_stress_worker *w, struct cli_stress_connection *c);
void cli_stress_disconnect(struct cli_stress_worker *w);

static inline bool cli_stress_is_open(const struct cli_stress_connection *c)
{
    return atomic_load_explicit(&c->state, memory_order_acquire) == CLI_STRESS_OPEN;
}

#endif
