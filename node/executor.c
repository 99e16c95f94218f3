/* The executor port over threads: a thread a lane, so that a sync is never behind a flush and a
 * flush never behind a compaction.
 *
 * Relies on: pthreads. Invariants:
 *  1. A lane's thread is started by its first job and never before: a host that only reads has no
 *     thread of ours.
 *  2. Threads block every signal: a signal to the host's process runs the host's handler on a
 *     thread of the host's.
 *  3. A thread sleeps without a timeout unless a delayed job is pending; then until the earliest is
 *     due. So an idle node has no wake-up at all (counted in node_lane_stats.wakeups).
 *  4. Within a lane jobs take turns step by step, in the order of posting; a job belongs to one
 *     queue at a time, and after it answered DONE it is not touched (its owner may have freed it).
 *  5. Flushes and compactions give way to who answers requests: their threads (on Linux a thread
 *     has a niceness of its own) are a little nicer than the host. They still get their part of a
 *     busy machine, so that writers do not wait for memtables.
 *  6. `cancelled` is called only by close, after the threads are gone: no step runs then. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "node/ports.h"

#define STACK_SIZE (1024u * 1024)
/* RocksDB takes 19, Cassandra none; p99 of replicated writes: docs/performance.md */
#define NICER 10

struct lane {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct base_job *ready_head, *ready_tail; /* FIFO */
    struct base_job *delayed;                 /* ascending by due_ns */
    bool started, stopping;
    pthread_t thread;
    struct executor *executor;
    struct node_lane_stats stats;
};

struct executor {
    struct base_executor executor;
    struct lane lanes[BASE_LANE_COUNT];
    atomic_bool stopping; /* for jobs that ask; the lanes have their own, under their mutex */
    /* For wait(): */
    pthread_mutex_t done_mutex;
    pthread_cond_t done;
    uint64_t done_count, done_seen;
};

static struct executor *executor_of(struct base_executor *e)
{
    return BASE_CONTAINER(e, struct executor, executor);
}

static uint64_t mono_ns(void)
{
    return base_clock_mono(node_real_clock()).ns;
}

static struct timespec timespec_at(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Queues (under the lane's mutex). */

static void push_ready(struct lane *lane, struct base_job *job)
{
    job->next = NULL;
    if (lane->ready_tail)
        lane->ready_tail->next = job;
    else
        lane->ready_head = job;
    lane->ready_tail = job;
}

static struct base_job *pop_ready(struct lane *lane)
{
    struct base_job *job = lane->ready_head;
    if (job) {
        lane->ready_head = job->next;
        if (!lane->ready_head)
            lane->ready_tail = NULL;
        job->next = NULL;
    }
    return job;
}

static void push(struct lane *lane, struct base_job *job)
{
    if (job->delay_ns == 0) {
        push_ready(lane, job);
        return;
    }
    job->due_ns = add_saturating(mono_ns(), job->delay_ns);
    struct base_job **at = &lane->delayed;
    while (*at && (*at)->due_ns <= job->due_ns)
        at = &(*at)->next;
    job->next = *at;
    *at = job;
}

static void move_due(struct lane *lane, uint64_t now_ns)
{
    while (lane->delayed && lane->delayed->due_ns <= now_ns) {
        struct base_job *job = lane->delayed;
        lane->delayed = job->next;
        push_ready(lane, job);
    }
}

/* The thread. */

static void announce_done(struct executor *executor)
{
    pthread_mutex_lock(&executor->done_mutex);
    executor->done_count++;
    pthread_cond_broadcast(&executor->done);
    pthread_mutex_unlock(&executor->done_mutex);
}

/* Sleep until there may be something to do. */
static void lane_sleep(struct lane *lane)
{
    if (lane->delayed) {
        struct timespec until = timespec_at(lane->delayed->due_ns);
        pthread_cond_timedwait(&lane->work, &lane->mutex, &until);
    } else {
        pthread_cond_wait(&lane->work, &lane->mutex);
    }
    lane->stats.wakeups++;
}

/* Of the calling thread. What cannot be done is left: it is about latency only. */
static void be_nicer(void)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (errno == 0)
        (void)setpriority(PRIO_PROCESS, 0, now + NICER);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    if (lane != &lane->executor->lanes[BASE_LANE_SYNC])
        be_nicer();
    pthread_mutex_lock(&lane->mutex);
    while (!lane->stopping) {
        if (lane->delayed)
            move_due(lane, mono_ns());
        struct base_job *job = pop_ready(lane);
        if (!job) {
            lane_sleep(lane);
            continue;
        }
        lane->stats.steps++;
        pthread_mutex_unlock(&lane->mutex);
        enum base_step answer = job->step(job);
        pthread_mutex_lock(&lane->mutex);
        switch (answer) {
        case BASE_STEP_DONE:
            lane->stats.pending--;
            lane->stats.completed++;
            pthread_mutex_unlock(&lane->mutex);
            announce_done(lane->executor);
            pthread_mutex_lock(&lane->mutex);
            break;
        case BASE_STEP_AGAIN:
            push_ready(lane, job);
            break;
        case BASE_STEP_WAIT:
            push(lane, job);
            break;
        }
    }
    pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

/* Under the lane's mutex. On failure the jobs stay queued; the next post or wait tries again. */
static void lane_start(struct lane *lane)
{
    static const char *const names[BASE_LANE_COUNT] = {"ringlet-sync", "ringlet-flush",
                                                       "ringlet-compact", "ringlet-auth"};
    pthread_attr_t attr;
    if (lane->started || lane->stopping || pthread_attr_init(&attr) != 0)
        return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    lane->started = pthread_create(&lane->thread, &attr, lane_main, lane) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (lane->started)
        pthread_setname_np(lane->thread, names[lane - lane->executor->lanes]);
    lane->stats.running = lane->started;
}

/* The port. */

static void executor_post(struct base_executor *e, struct base_job *job)
{
    BASE_ASSERT(job->lane >= 0 && job->lane < BASE_LANE_COUNT);
    BASE_ASSERT(job->step && job->cancelled);
    struct lane *lane = &executor_of(e)->lanes[job->lane];
    pthread_mutex_lock(&lane->mutex);
    push(lane, job);
    lane->stats.pending++;
    lane_start(lane);
    pthread_cond_signal(&lane->work);
    pthread_mutex_unlock(&lane->mutex);
}

static bool executor_stopping(struct base_executor *e)
{
    return atomic_load_explicit(&executor_of(e)->stopping, memory_order_relaxed);
}

/* Returns at once when a job was done since the last wait returned: the caller looked at its
 * condition before it called, and that job may have been the one. */
static void executor_wait(struct base_executor *e, uint64_t timeout_ns)
{
    struct executor *executor = executor_of(e);
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct lane *lane = &executor->lanes[i];
        pthread_mutex_lock(&lane->mutex);
        if (lane->stats.pending)
            lane_start(lane);
        pthread_mutex_unlock(&lane->mutex);
    }
    struct timespec until = timespec_at(add_saturating(mono_ns(), timeout_ns));
    pthread_mutex_lock(&executor->done_mutex);
    uint64_t count = executor->done_count;
    int rc = 0;
    if (executor->done_seen == count)
        while (executor->done_count == count && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&executor->done, &executor->done_mutex, &until);
    executor->done_seen = executor->done_count;
    pthread_mutex_unlock(&executor->done_mutex);
}

static const struct base_executor_ops executor_ops = {
    .post = executor_post,
    .stopping = executor_stopping,
    .wait = executor_wait,
};

void node_executor_get_stats(struct base_executor *e, enum base_lane lane,
                             struct node_lane_stats *stats)
{
    struct lane *l = &executor_of(e)->lanes[lane];
    pthread_mutex_lock(&l->mutex);
    *stats = l->stats;
    pthread_mutex_unlock(&l->mutex);
}

int node_executor_open(struct base_executor **out, struct base_err *err)
{
    *out = NULL;
    struct executor *executor = calloc(1, sizeof *executor);
    if (!executor)
        return base_err_set(err, BASE_E_NOMEM, "executor: out of memory");
    executor->executor.ops = &executor_ops;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&executor->done_mutex, NULL);
    pthread_cond_init(&executor->done, &attr);
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct lane *lane = &executor->lanes[i];
        lane->executor = executor;
        pthread_mutex_init(&lane->mutex, NULL);
        pthread_cond_init(&lane->work, &attr);
    }
    pthread_condattr_destroy(&attr);
    *out = &executor->executor;
    return BASE_OK;
}

static void cancel_all(struct base_job *job)
{
    while (job) {
        struct base_job *next = job->next;
        job->next = NULL;
        job->cancelled(job);
        job = next;
    }
}

void node_executor_close(struct base_executor *e)
{
    if (!e)
        return;
    struct executor *executor = executor_of(e);
    atomic_store(&executor->stopping, true);
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct lane *lane = &executor->lanes[i];
        pthread_mutex_lock(&lane->mutex);
        lane->stopping = true;
        pthread_cond_signal(&lane->work);
        pthread_mutex_unlock(&lane->mutex);
    }
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        BASE_ASSERT(!executor->lanes[i].started ||
                    !pthread_equal(pthread_self(), executor->lanes[i].thread));
        if (executor->lanes[i].started)
            pthread_join(executor->lanes[i].thread, NULL);
    }
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        struct lane *lane = &executor->lanes[i];
        cancel_all(lane->ready_head);
        cancel_all(lane->delayed);
        pthread_cond_destroy(&lane->work);
        pthread_mutex_destroy(&lane->mutex);
    }
    pthread_cond_destroy(&executor->done);
    pthread_mutex_destroy(&executor->done_mutex);
    free(executor);
}
