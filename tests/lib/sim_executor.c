/* One thread's executor, in an order drawn from a seed.
 *
 * Invariants: a job on the list is owned by us; a job whose step runs is off the list; steps do
 * not nest (a step that waits for another job would be a deadlock in a pool of one thread, and
 * is an error here). */
#include "tests/lib/sim_executor.h"

static struct sim_executor *sim_executor_of(struct base_executor *base)
{
    return BASE_CONTAINER(base, struct sim_executor, base);
}

static uint64_t sim_now(struct sim_executor *executor)
{
    return atomic_load(&executor->clock->mono_ns);
}

static void sim_note(struct sim_executor *executor, const char *what, const struct base_job *job,
                     uint64_t a)
{
    trace_add(executor->trace, what, job->name ? job->name : "?", a, job->delay_ns,
              (struct base_slice){0});
}

static void sim_append(struct sim_executor *executor, struct base_job *job)
{
    struct base_job **at = &executor->jobs;
    while (*at) {
        BASE_ASSERT(*at != job); /* posted twice */
        at = &(*at)->next;
    }
    job->next = NULL;
    *at = job;
    executor->job_count++;
}

static void sim_unlink(struct sim_executor *executor, struct base_job *job)
{
    struct base_job **at = &executor->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->next = NULL;
    executor->job_count--;
}

static void sim_executor_post(struct base_executor *base, struct base_job *job)
{
    struct sim_executor *executor = sim_executor_of(base);
    BASE_ASSERT(job->step && job->lane >= 0 && job->lane < BASE_LANE_COUNT);
    job->due_ns = sim_now(executor) + job->delay_ns;
    sim_note(executor, "post", job, job->due_ns);
    sim_append(executor, job);
}

static bool sim_executor_stopping(struct base_executor *base)
{
    return sim_executor_of(base)->stopping;
}

/* Any of the due jobs, each equally likely; NULL when none is due. */
static struct base_job *sim_pick(struct sim_executor *executor)
{
    uint64_t now = sim_now(executor), seen = 0;
    struct base_job *chosen = NULL;
    for (struct base_job *job = executor->jobs; job; job = job->next)
        if (job->due_ns <= now && rng_below(&executor->rng, ++seen) == 0)
            chosen = job;
    return chosen;
}

static void sim_cancel_all(struct sim_executor *executor)
{
    while (executor->jobs) {
        struct base_job *job = executor->jobs;
        sim_unlink(executor, job);
        sim_note(executor, "cancel", job, 0);
        if (job->cancelled)
            job->cancelled(job);
    }
}

static bool sim_step(struct sim_executor *executor)
{
    BASE_ASSERT(!executor->in_step);
    if (executor->stopping)
        sim_cancel_all(executor);
    struct base_job *job = sim_pick(executor);
    if (!job)
        return false;
    sim_unlink(executor, job);
    sim_note(executor, "step", job, executor->steps);
    executor->steps++;
    executor->in_step = true;
    enum base_step more = job->step(job);
    executor->in_step = false;
    if (more == BASE_STEP_DONE) /* the job may be freed, or posted again, by now */
        return true;
    job->due_ns = sim_now(executor) + (more == BASE_STEP_WAIT ? job->delay_ns : 0);
    sim_append(executor, job);
    return true;
}

/* Move the clock to the next due job, by at most max_ns; returns by how much. */
static uint64_t sim_skip(struct sim_executor *executor, uint64_t max_ns)
{
    uint64_t now = sim_now(executor), next = now + max_ns;
    for (struct base_job *job = executor->jobs; job; job = job->next)
        if (job->due_ns < next)
            next = job->due_ns;
    if (next <= now)
        return 0;
    sim_clock_advance(executor->clock, next - now);
    return next - now;
}

static void sim_executor_wait(struct base_executor *base, uint64_t timeout_ns)
{
    struct sim_executor *executor = sim_executor_of(base);
    if (!sim_step(executor) && sim_skip(executor, timeout_ns) > 0)
        sim_step(executor);
}

static const struct base_executor_ops sim_executor_ops = {
    sim_executor_post,
    sim_executor_stopping,
    sim_executor_wait,
};

void sim_executor_init(struct sim_executor *executor, struct sim_clock *clock, uint64_t seed)
{
    *executor = (struct sim_executor){
        .base = {&sim_executor_ops},
        .clock = clock,
        .rng = rng_seeded(seed),
    };
}

size_t sim_executor_run(struct sim_executor *executor, size_t n)
{
    size_t ran = 0;
    while (ran < n && sim_step(executor))
        ran++;
    return ran;
}

size_t sim_executor_run_for(struct sim_executor *executor, size_t n, uint64_t max_ns)
{
    size_t ran = 0;
    while (ran < n) {
        if (sim_step(executor)) {
            ran++;
            continue;
        }
        uint64_t moved = sim_skip(executor, max_ns);
        if (moved == 0 || !executor->jobs)
            break;
        max_ns -= moved;
    }
    return ran;
}

void sim_executor_stop(struct sim_executor *executor)
{
    executor->stopping = true;
    sim_cancel_all(executor);
}
