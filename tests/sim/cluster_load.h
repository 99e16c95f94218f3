/* Clients of a simulated cluster: they write, read and change the schema through random nodes and
 * tell the model what became of it (tests/sim/cluster_model.h). Each has one request under way at a
 * time. What they find wrong ends the run.
 *
 * cluster_load.c    the clients; writes and batches
 * cluster_read.c    reads: what a page says, judged
 * cluster_change.c  changes of the schema, the log's own checks */
#ifndef TESTS_SIM_CLUSTER_LOAD_H
#define TESTS_SIM_CLUSTER_LOAD_H

#include "base/condition.h"
#include "base/key.h"
#include "tests/sim/cluster_model.h"

#define CL_KEYSPACES_MAX 2
#define CL_NAMES 3 /* of tables in a keyspace; made and dropped again */

struct cl_options {
    unsigned clients;
    uint64_t think_max_ns;
    unsigned partitions, rows; /* of a table */
    unsigned keyspaces;
    unsigned rf[CL_KEYSPACES_MAX]; /* in one data centre */
    bool per_dc[CL_KEYSPACES_MAX]; /* NetworkTopologyStrategy */
    /* shares of a hundred; the rest are plain writes of one partition */
    unsigned reads, range_reads, logged, unlogged, if_absent, changes;
    unsigned indexes; /* of reads: by index; 0: there are none */
    /* of writes; of levels below QUORUM */
    unsigned ttl_percent, delete_percent, any_percent, weak_percent;
    uint64_t coarse_us; /* timestamps are multiples of it: ties; 0: as they come */
    unsigned value_len_max;
    const char *speculative_retry;
};

enum cl_request { CL_NONE, CL_WRITE, CL_READ, CL_CHANGE };

/* What a read by index asks for: rows whose a or b has this value, maybe with the number of the row
 * or the other's value; all that a write wrote. */
struct cl_sought {
    bool active;
    unsigned which; /* 1: a, 2: b */
    uint64_t value;
    int row;        /* or -1 */
    uint64_t other; /* the other one's value; 0: any */
};

struct cl_load;
struct cl_client {
    struct cl_load *load;
    size_t index;
    struct cluster_event event, watchdog;
    unsigned watched; /* times the watchdog has barked */
    uint64_t began_ns, timeout_ns;
    enum cl_request request; /* under way */
    bool between_pages;
    struct cluster_node *node;  /* its coordinator */
    struct base_schema *schema; /* the snapshot the request was made with */
    const struct base_table *table;
    struct cm_table *of; /* the model's */
    struct cm_op *op;
    struct base_arena arena;
    struct base_buf bytes;     /* mutations; an encoded change */
    struct base_buf condition; /* of a conditional write */
    uint64_t expected;         /* … that asks for this value of a; 0: that no row is there */
    struct repl_write write;
    struct repl_change change;
    struct base_change body;
    /* a read */
    struct repl_read read;
    struct base_read cmd;
    struct base_range range;
    unsigned row_lo, row_hi; /* the slice, both included; all: 0 … rows-1 with `whole` */
    bool whole, final;       /* final: of the last check: it must succeed */
    int one_partition;       /* or -1 */
    struct cl_sought sought;
    struct base_filter filters[2];
    struct cm_read judged;
    struct cm_view views[CM_PARTITIONS_MAX];
    unsigned partition_rows[CM_PARTITIONS_MAX];
    /* partition_row_limit: what is behind its last row is not covered */
    bool partition_cut[CM_PARTITIONS_MAX];
    bool static_counted[CM_PARTITIONS_MAX];
    struct base_buf last_pkey, last_ckey; /* the last row that was seen */
    struct base_buf end_pkey, end_ckey;   /* covered up to here, inclusive */
    bool end_known;                       /* else: to the end of the command */
    uint64_t rows_seen, pages;
};

/* What the log is, as its entries were first appended by anybody. */
struct cl_entry {
    struct base_slice bytes;
    uint64_t digest; /* of the state that it leads to, as the checker itself applies it */
};
struct cl_log {
    struct cl_entry *entries; /* entry e at e - 1 */
    size_t count, cap;
    struct base_schema *schema;
    struct ring_state *ring;
};
/* A change that was asked for, and how it ended: judged at the end. */
struct cl_asked {
    struct cl_asked *next;
    struct base_slice bytes;
    enum cm_outcome outcome;
    uint64_t epoch;
    int rc;
};

struct cl_load {
    struct cluster_world *w;
    struct cl_options options;
    struct cm_model model;
    struct cl_log log;
    struct cl_asked *asked;
    struct cl_client *clients;
    bool stopping;
    bool calm; /* no faults: nothing may be refused */
    void (*on_new_entry)(void *ctx, struct cluster_node *node); /* who has it first; may be NULL */
    /* its coordinator begins with it; may be NULL */
    void (*on_batch)(void *ctx, struct cluster_node *node);
    void *hooks_ctx;
    uint64_t next_value, outcomes[32]; /* by code */
    uint64_t truncations, drops, creates, index_changes, index_reads, index_finds;
};

void cl_options_draw(struct cl_options *o, struct rng *rng, const struct cluster_options *world);
void cl_options_print(const struct cl_options *o, FILE *out);
/* Hooks itself into the world (on_append, ctx): before cluster_world_form. */
void cl_init(struct cl_load *load, struct cluster_world *w, const struct cl_options *options);
void cl_fini(struct cl_load *load);
void cl_begin(struct cl_load *load);
/* No new requests. */
void cl_stop(struct cl_load *load);
bool cl_is_idle(struct cluster_world *w, void *load); /* for cluster_run_until */
/* The node's process is about to end: reads that wait between two pages are closed. */
void cl_node_ends(struct cl_load *load, struct cluster_node *node);
/* Keyspaces and tables before the start, as entries of the log. */
void cl_schema_before_start(struct cl_load *load);
/* Every replica's own store holds what was acknowledged. */
void cl_check_replicas(struct cl_load *load);
/* Read everything of every table at ALL (each through a random node), judge it; then whole
 * batches. */
void cl_check_everything(struct cl_load *load);
/* The changes that were asked for are in the log, or are not. */
void cl_check_log(struct cl_load *load);

/* Between the files. */

void cl_request_begins(struct cl_client *c, enum cl_request request, uint64_t timeout_ns);
void cl_request_ends(struct cl_client *c, const struct repl_outcome *outcome);
bool cl_pick_node(struct cl_client *c);
bool cl_pick_table(struct cl_client *c); /* of the node's snapshot */
void cl_put_pkey(const struct cm_table *t, unsigned partition, struct base_buf *out);
/* The clustering column of row `row`. */
static inline uint32_t cl_row_value(unsigned row)
{
    return 10 * row;
}
void cl_put_ckey(const struct cm_table *t, unsigned row, enum base_key_byte position,
                 struct base_buf *out);
int cl_pick_consistency(struct cl_client *c, bool is_write);
unsigned cl_node_dc(const struct cluster_node *node);
/* A value's bytes: its number, then zeros, as many as the number says; in the client's arena. */
struct base_slice cl_value_bytes(struct cl_client *c, uint64_t value);
void cl_start_read(struct cl_client *c);
void cl_start_change(struct cl_client *c);
void cl_on_append(struct cluster_node *node, uint64_t epoch, struct base_slice entry);
void cl_on_state(struct cluster_node *node, uint64_t epoch, uint64_t digest);
void cl_log_fini(struct cl_log *log);
void cl_asked_fini(struct cl_load *load);
#define CL_OK(expr) cl_must_(expr, #expr)
void cl_must_(int rc, const char *what);

#endif
