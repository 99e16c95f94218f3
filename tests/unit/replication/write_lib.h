/* A simulated cluster with one keyspace and one table, for the tests of the write path: writes by
 * hand, and what the nodes' stores hold. */
#ifndef TESTS_UNIT_REPLICATION_WRITE_LIB_H
#define TESTS_UNIT_REPLICATION_WRITE_LIB_H

#include "replication/writes_private.h"
#include "tests/lib/ck.h"
#include "tests/sim/cluster_world.h"

extern struct cluster_world w;
extern const struct base_table *wt_table; /* wt.rows: p k int; c c int; r v text */

struct wt_options {
    unsigned nodes, guests, rf; /* SimpleStrategy; with dcs > 1: rf in each */
    unsigned dcs;
    int32_t gc_grace_s;                      /* 0: ten days; -1: none */
    bool volatile_writes;                    /* durable_writes = false */
    void (*tune)(struct cluster_options *o); /* may be NULL */
    uint64_t seed;
};
/* The cluster is formed and has the table; nobody runs. */
void wt_init(const struct wt_options *o);
void wt_end(void);
void wt_start(size_t node);
void wt_start_all(void);
/* All that run know of each other who lives. */
void wt_settle(void);

struct wt_write {
    struct repl_write write;
    struct base_buf mutations, condition;
    struct base_buf current; /* what a condition that does not hold found */
    unsigned done;
    struct wt_write *next;
};
/* A row of partition k, as one more mutation. ts 0: the coordinator's next. */
void wt_add(struct wt_write *write, size_t node, int k, int c, const char *v, int64_t ts);
void wt_write_init(struct wt_write *write, int consistency);
void wt_write_fini(struct wt_write *write);
void wt_begin(struct wt_write *write, size_t node);
/* Run until it is done. */
int wt_finish(struct wt_write *write);
/* One row at a level: the outcome's code; the outcome in wt_outcome. */
int wt_put(size_t node, int k, int c, const char *v, int consistency);
extern struct repl_outcome wt_outcome;

/* What the node's store has of a row: its value, "" when there is none. Until the next call. */
const char *wt_get(size_t node, int k, int c);
/* How many live rows its store has of an internal table. */
size_t wt_count(size_t node, struct base_uuid table_id);
/* The members that hold partition k. */
size_t wt_owners(size_t node, int k, size_t *owners);
const struct repl_stats *wt_stats(size_t node);
void wt_isolate(size_t node, bool blocked);

#endif
