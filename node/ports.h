/* The real fillings of base's ports: files, time, chance, background threads. The composition root
 * hands them to lsm/; tests and benchmarks that want the real world use them too. */
#ifndef NODE_PORTS_H
#define NODE_PORTS_H

#include "base/clock.h"
#include "base/executor.h"
#include "base/fs.h"

/* POSIX files. Without state: the pointers are valid for ever and shared by all. */
struct base_fs *node_posix_fs(void);
/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
struct base_clock *node_real_clock(void);
/* getrandom(2): the kernel's cryptographic generator. */
struct base_random *node_real_random(void);

/* One thread a lane, started by the lane's first job, with every signal blocked. No thread runs
 * while its lane has nothing due. */
BASE_MUST int node_executor_open(struct base_executor **out, struct base_err *err);
/* Stop: steps that run come to their end, nothing starts any more, threads are joined; then every
 * job that was not done is cancelled on the caller's thread, in the order of posting. Frees.
 * Whoever posts must have stopped before (a store is closed first). Not from inside a step. */
void node_executor_close(struct base_executor *executor);

struct node_lane_stats {
    uint64_t pending;   /* posted and not done, the running one included */
    uint64_t completed; /* jobs that answered DONE */
    uint64_t steps;
    uint64_t wakeups; /* times the thread came back from sleep: constant when idle */
    bool running;     /* the thread was started */
};
void node_executor_get_stats(struct base_executor *executor, enum base_lane lane,
                             struct node_lane_stats *stats);

#endif
