/* A whole cluster in one thread, from one seed: nodes that are each a `struct repl` as shipped,
 * over an lsm store on a simulated disk and a catalog in memory, and everything between them in one
 * queue of events (tests/sim/README.md).
 *
 * A node is a machine (disk, catalog, clock: they outlive its process) and a process (repl, store,
 * executor: ended by kill and power loss). Nothing is shared between nodes: messages are copied as
 * bytes.
 *
 * cluster_world.c   the queue, machines and processes, clocks, pauses
 * cluster_ports.c   the store's and the metadata's ports
 * cluster_net.c     messages: delay, loss, repetition, links
 *
 * The world's own mistakes abort; what the code under test does wrong ends in cluster_fail. */
#ifndef TESTS_SIM_CLUSTER_WORLD_H
#define TESTS_SIM_CLUSTER_WORLD_H

#include "catalog/catalog.h"
#include "lsm/lsm.h"
#include "replication/replication.h"
#include "tests/lib/mem_catalog.h"
#include "tests/lib/sim_executor.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

#define CLUSTER_MS UINT64_C(1000000)
#define CLUSTER_S (1000 * CLUSTER_MS)

struct cluster_world;
struct cluster_node;

/* Events. */

/* Something that will happen. The owner's storage, zeroed before its first use. Events of one
 * moment happen in the order they were posted. An event of a paused node is held back until it goes
 * on. */
struct cluster_event {
    uint64_t at_ns, seq;
    size_t place; /* in the heap, from 1; 0: not posted */
    bool held;
    struct cluster_node *node;  /* NULL: the world's own */
    struct cluster_event *next; /* of a node's held ones */
    void (*fire)(struct cluster_world *w, struct cluster_event *event);
};
void cluster_post(struct cluster_world *w, struct cluster_event *event, struct cluster_node *node,
                  uint64_t after_ns,
                  void (*fire)(struct cluster_world *w, struct cluster_event *event));
/* no effect when it is not posted */
void cluster_cancel(struct cluster_world *w, struct cluster_event *event);
static inline bool cluster_is_posted(const struct cluster_event *event)
{
    return event->place || event->held;
}

/* Options. */

/* Planted mistakes, which the checkers must find (cluster_canary.sh). */
enum cluster_canary {
    CLUSTER_CANARY_NONE,
    CLUSTER_CANARY_EARLY_ACK,     /* a replica acknowledges a write and does not do it */
    CLUSTER_CANARY_NO_PROMISE,    /* Paxos state is not kept over a restart */
    CLUSTER_CANARY_NO_REPAIR,     /* read repairs are acknowledged and not carried out */
    CLUSTER_CANARY_HINTS_DROPPED, /* hints are acknowledged and not kept */
    CLUSTER_CANARY_TOMBSTONE,     /* a replica does not tell of tombstones */
    CLUSTER_CANARY_BATCHLOG,      /* the batchlog forgets */
    CLUSTER_CANARY_INDEX,         /* indexes lack some rows */
    CLUSTER_CANARY_COUNT,
};
extern const char *const cluster_canary_names[CLUSTER_CANARY_COUNT];

struct cluster_options {
    uint64_t seed;
    unsigned nodes, guests, dcs, racks, seeds; /* node i is in dc 1 + i % dcs */
    /* false: nodes keep no rows (thousands of nodes that only gossip and agree) */
    bool stores;
    unsigned done_percent; /* of port calls that are answered at once */
    /* messages */
    uint64_t delay_min_ns, delay_max_ns;
    unsigned loss_permille, repeat_permille, late_permille;
    uint64_t late_max_ns;
    unsigned refused_percent; /* of messages to a dead process whose sender hears of it */
    /* disk */
    uint64_t disk_max_ns;   /* a store operation takes up to this (most far less) */
    struct lsm_options lsm; /* ports are filled in */
    /* clocks */
    uint64_t skew_max_us; /* of wall clocks, each way */
    unsigned drift_ppm;
    struct repl_config config; /* timeouts and limits; what names a node is filled in */
    enum cluster_canary canary;
    /* not 0: messages and writes that hold these 8 bytes (big-endian) are told of on stderr */
    uint64_t needle;
};
/* A quiet world: three nodes, a good network, no faults, small stores. */
void cluster_options_init(struct cluster_options *o);

/* Nodes. */

enum cluster_node_state { CLUSTER_NODE_DOWN, CLUSTER_NODE_UP, CLUSTER_NODE_DYING };

struct cluster_message;
struct cluster_op;

struct cluster_node {
    struct cluster_world *world;
    size_t index;
    bool guest;
    char address[32], dc[16], rack[16];
    const char *cluster_name;           /* NULL: "simulated" */
    const struct base_slice *own_seeds; /* NULL: the world's */
    size_t own_seed_count;
    struct base_slice addresses; /* as a slice */
    struct base_uuid host_id;
    /* the machine */
    struct sim_fs *fs; /* NULL: stores nothing */
    struct mem_catalog *disk_catalog;
    struct sim_clock clock;
    uint64_t clock_at_ns; /* the world's time when the clock was last moved */
    int64_t drift_rest;
    /* the last given out; kept over restarts, as node/timestamp.c keeps a floor */
    int64_t timestamp_us;
    uint32_t generation;
    uint64_t slow_disk; /* store operations take this many times as long; 1 */
    bool power_off;     /* down by power loss: nobody answers */
    /* the process */
    enum cluster_node_state state;
    struct repl *repl;
    struct lsm_store *store;
    struct cat_catalog *catalog;
    struct sim_executor executor;
    struct sim_random random;
    /* the first metadata or store operation that failed for good: it wants a restart */
    struct base_err stopped;
    bool paused;
    uint64_t resumed_ns; /* when it went on last */
    struct cluster_event *held, **held_end;
    struct cluster_event alarm_event, work_event;
    uint64_t alarm_at_ns;             /* by the node's own clock */
    struct cluster_op *ops;           /* pending port operations */
    struct cluster_message *inbounds; /* requests it has, neither answered nor dropped */
    size_t inbound_count;
    struct repl_alarm alarm;
    struct repl_transport transport;
    struct repl_store store_port;
    struct repl_meta meta_port;
};

struct cluster_link {
    bool blocked;
    uint32_t slow; /* delays are this many times as long; 0 and 1: as they are */
};

struct cluster_net_stats {
    uint64_t messages, bytes, lost, late, repeated, refused;
    uint64_t by_verb[256], bytes_by_verb[256];
    uint64_t on_the_way; /* requests that wait for their time to arrive, gossip's not counted */
};

struct cluster_world {
    struct cluster_options options;
    struct rng rng;
    struct trace trace;
    uint64_t now_ns;
    struct cluster_event **heap;
    size_t heap_count, heap_cap;
    uint64_t next_seq, events, installs; /* of checkpoints */
    struct cluster_node *nodes;          /* members first, then guests */
    size_t node_count;                   /* guests included */
    struct cluster_link *links;          /* [from * node_count + to]; NULL: all are open */
    bool quiet_net;                      /* no loss, no repetition, nothing late */
    struct cluster_net_stats net;
    struct base_slice seeds[8];
    /* what a program adds */
    /* the node's snapshots or its view of liveness changed */
    void (*on_changed)(struct cluster_node *node);
    /* a node appends an entry to its log, and then has it */
    void (*on_append)(struct cluster_node *node, uint64_t epoch, struct base_slice entry);
    /* a node has this state at this epoch, by an entry or by a checkpoint; digest of its bytes */
    void (*on_state)(struct cluster_node *node, uint64_t epoch, uint64_t digest);
    void (*on_fail)(struct cluster_world *w); /* before the end: print more */
    void *ctx;
};

/* Everything is made and nothing runs. Members' machines are empty. trace_out (may be NULL): a line
 * for each event. */
void cluster_world_init(struct cluster_world *w, const struct cluster_options *options,
                        FILE *trace_out);
/* Processes are killed first. */
void cluster_world_fini(struct cluster_world *w);
/* Print what, the seed and the time, and end with status 1. */
_Noreturn void cluster_fail(struct cluster_world *w, const char *what, ...) BASE_PRINTF(2, 3);

/* Before any node was started: a change as an entry of every member's log, as if it had been agreed
 * upon. */
void cluster_world_change(struct cluster_world *w, const struct base_change *change);
/* Likewise: the cluster is formed, all members are NORMAL. */
void cluster_world_form(struct cluster_world *w);

/* Start the process. False: the disk did not let it (err says it), the node is down as before. */
bool cluster_node_start(struct cluster_node *node, struct base_err *err);
/* kill -9, or the power goes. */
void cluster_node_kill(struct cluster_node *node, bool power);
/* As after SIGTERM: repl_close when nothing is pending, then the store's close. */
void cluster_node_stop(struct cluster_node *node);
void cluster_node_pause(struct cluster_node *node);
void cluster_node_resume(struct cluster_node *node);
static inline bool cluster_node_is_up(const struct cluster_node *node)
{
    return node->state == CLUSTER_NODE_UP;
}
/* Its clocks as they are now. Call it before anything of its repl is called from outside of an
 * event. */
void cluster_node_sync_clock(struct cluster_node *node);
int64_t cluster_node_timestamp(struct cluster_node *node);

/* One event; false when there is none. */
bool cluster_step(struct cluster_world *w);
/* All events up to this moment, which is now then. */
void cluster_run(struct cluster_world *w, uint64_t for_ns);
/* Until it is so (asked after every event that happened); false: it was not within the time. */
bool cluster_run_until(struct cluster_world *w, bool (*is_so)(struct cluster_world *w, void *ctx),
                       void *ctx, uint64_t max_ns);
bool cluster_all_members_serve(struct cluster_world *w, void *unused); /* for cluster_run_until */

/* Links, one way. */
struct cluster_link *cluster_link(struct cluster_world *w, size_t from, size_t to);
void cluster_heal_links(struct cluster_world *w);

/* Between the world's files. */

extern const struct repl_store_ops cluster_store_ops;
extern const struct repl_meta_ops cluster_meta_ops;
extern const struct repl_transport_ops cluster_transport_ops;

/* Open the store and its tables as the catalog says, or end it as a crash does. */
BASE_MUST int cluster_store_open(struct cluster_node *node, const struct base_schema *schema,
                                 struct base_err *err);
void cluster_store_close(struct cluster_node *node, bool crash);
/* The process is dying: every pending port operation ends: after a crash with STOPPED (what it does
 * may have been done), else it is carried out first. */
void cluster_ops_end(struct cluster_node *node, bool crash);
/* The power goes in the middle of a pending write, if there is one. */
void cluster_ops_tear(struct cluster_node *node);
/* The process ends: of what it sent and is under way some was still in its own queues. */
void cluster_messages_cut(struct cluster_node *node);
void cluster_inbounds_free(struct cluster_node *node);
/* A stream of cmd over the node's own store, for checkers. */
BASE_MUST int cluster_store_read(struct cluster_node *node, const struct base_read *cmd,
                                 struct base_source **out, struct base_err *err);
/* Of schema and ring as they are kept. */
uint64_t cluster_state_digest(const struct base_schema *schema, const struct ring_state *ring);
/* What a node keeps of its log: the configuration's number of entries. */
struct cat_log_keep cluster_log_keep(const struct cluster_world *w);
/* Background work goes on some time soon. */
void cluster_work_post(struct cluster_node *node);
uint64_t cluster_draw_ns(struct cluster_world *w, uint64_t max_ns); /* small ones more often */
void *cluster_must(void *p);
void cluster_tell(struct cluster_node *node, const char *what, size_t peer, unsigned verb,
                  struct base_slice bytes);

#endif
