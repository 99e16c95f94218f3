/* Background work in one thread, in an order drawn from a seed. Fills base/executor.h.
 *
 * Nothing runs by itself: steps run when the owner calls sim_executor_run, or from inside a
 * store's own wait (back-pressure, close). Among the jobs that are due any may be next, so that
 * a flush, a compaction and a sync interleave step by step in every order. Single-threaded. */
#ifndef TESTS_SIM_EXECUTOR_H
#define TESTS_SIM_EXECUTOR_H

#include "base/executor.h"
#include "tests/lib/rng.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/trace.h"

struct sim_executor {
    struct base_executor base;
    struct sim_clock *clock;
    struct rng rng;
    struct base_job *jobs; /* in the order they were posted */
    size_t job_count;
    bool stopping, in_step;
    uint64_t steps;      /* run so far */
    struct trace *trace; /* may be NULL */
};

void sim_executor_init(struct sim_executor *executor, struct sim_clock *clock, uint64_t seed);
/* Run up to n steps of jobs that are due now; returns how many ran. */
size_t sim_executor_run(struct sim_executor *executor, size_t n);
/* The same, but when nothing is due the clock moves to the next due job, by at most max_ns in
 * all. */
size_t sim_executor_run_for(struct sim_executor *executor, size_t n, uint64_t max_ns);
/* From now on base_executor_stopping is true; jobs that are posted are cancelled, later ones
 * too, by the next wait or run. */
void sim_executor_stop(struct sim_executor *executor);

#endif
