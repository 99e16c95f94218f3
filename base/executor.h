/* The port that runs background work. lsm/ and the cluster's logic start no thread: they hand over
 * jobs. Real filling: node/executor.c, a pool whose threads start with the first job and sleep
 * without a wake-up when there is none. Simulated: tests/lib/sim_executor.c, one thread, order by
 * seed.
 *
 * A job is resumable: `step` does a bounded piece (about a millisecond or a mebibyte) and says
 * whether to go on. Between steps the executor may run other jobs, and a stop may come: it asks by
 * base_executor_stopping; an unfinished job is dropped then, its `step` never called again, so that
 * jobs leave durable state only by complete, atomic moves. */
#ifndef BASE_EXECUTOR_H
#define BASE_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

enum base_step {
    BASE_STEP_DONE,  /* finished; the job struct may be freed or posted again by its owner */
    BASE_STEP_AGAIN, /* call again soon */
    BASE_STEP_WAIT,  /* call again no earlier than job->delay_ns from now */
};

struct base_job {
    enum base_step (*step)(struct base_job *job);
    /* Called once, instead of further steps, when the executor stops before the job is done. */
    void (*cancelled)(struct base_job *job);
    const char *name;  /* static; for metrics and messages */
    uint64_t delay_ns; /* first step no earlier than this from now; and see BASE_STEP_WAIT */
    int lane;          /* enum base_lane */
    /* Owned by the executor while posted: */
    struct base_job *next;
    uint64_t due_ns;
};

enum base_lane {
    BASE_LANE_SYNC,    /* commit-log syncs: never behind long work */
    BASE_LANE_FLUSH,   /* memtable flushes */
    BASE_LANE_COMPACT, /* compaction, index builds */
    BASE_LANE_AUTH,    /* passwords: hashing one takes tens of milliseconds on purpose */
    BASE_LANE_COUNT,
};

struct base_executor {
    const struct base_executor_ops *ops;
};
struct base_executor_ops {
    /* Queue a job; it must not be posted already. From any thread, also from inside a step. Never
     * blocks, never runs the step in the caller. */
    void (*post)(struct base_executor *executor, struct base_job *job);
    bool (*stopping)(struct base_executor *executor);
    /* Let background work make progress while the caller waits for it (back-pressure, close). The
     * real filling blocks on nothing: it sleeps up to timeout_ns or until some job is done; the
     * simulated one runs a step. */
    void (*wait)(struct base_executor *executor, uint64_t timeout_ns);
};
static inline void base_executor_post(struct base_executor *e, struct base_job *job)
{
    e->ops->post(e, job);
}
static inline bool base_executor_stopping(struct base_executor *e)
{
    return e->ops->stopping(e);
}
static inline void base_executor_wait(struct base_executor *e, uint64_t timeout_ns)
{
    e->ops->wait(e, timeout_ns);
}

#endif
