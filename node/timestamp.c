/* Write timestamps: microseconds, strictly increasing per node, also when the clock goes back
 * across a restart (DESIGN.md §3).
 *
 * The catalog holds a limit: no timestamp at or past it was given out. It is moved ahead in steps
 * of RESERVE_US, at half of the step by a background job, so that under load nobody waits for it;
 * only the first timestamp after a start or a pause longer than the step writes it on the caller's
 * thread. A clean close writes the exact end; after a crash the next run begins up to RESERVE_US
 * ahead of the clock and lets it catch up.
 *
 * Invariants:
 *  1. A timestamp is returned only when a limit greater than it is on disk (if the disk refuses:
 *     after that was logged; writes will be refused by the store for the same cause).
 *  2. last_us only grows. */
#include "node/node_private.h"

#define RESERVE_US (10 * 1000000LL)
#define FLOOR_NAME "timestamp_floor_us"

/* Make the limit cover `ts`. Under no lock but our own. */
static void renew(struct node *node, int64_t ts)
{
    struct nodei_timestamps *t = &node->timestamps;
    struct base_err err = {0};
    pthread_mutex_lock(&t->mutex);
    if (ts >= atomic_load(&t->limit_us) - RESERVE_US / 2) {
        int64_t limit = ts + RESERVE_US;
        if (cat_local_put_i64(node->catalog, FLOOR_NAME, limit, &err) != BASE_OK)
            base_logf(node->log, BASE_LOG_WARN,
                      "timestamps may repeat if this process crashes and the clock goes back: %s",
                      err.text);
        atomic_store(&t->limit_us, limit);
    }
    pthread_mutex_unlock(&t->mutex);
}

static enum base_step renewal_step(struct base_job *job)
{
    struct node *node = BASE_CONTAINER(job, struct node, timestamps.renewal);
    renew(node, atomic_load(&node->timestamps.last_us));
    atomic_store(&node->timestamps.renewal_posted, false);
    return BASE_STEP_DONE;
}

static void renewal_cancelled(struct base_job *job)
{
    struct node *node = BASE_CONTAINER(job, struct node, timestamps.renewal);
    atomic_store(&node->timestamps.renewal_posted, false);
}

int nodei_timestamps_open(struct node *node, struct base_err *err)
{
    struct nodei_timestamps *t = &node->timestamps;
    int64_t floor_us = 0;
    bool floor = !node->temporary && !node->guest;
    if (floor) {
        int rc = cat_local_get_i64(node->catalog, FLOOR_NAME, &floor_us, err);
        if (rc != BASE_OK && rc != BASE_E_NOTFOUND)
            return base_err_wrap(err, rc, "timestamp floor");
        base_err_clear(err);
    }
    int64_t ahead_s = (floor_us - base_clock_wall(node->clock).us) / 1000000;
    if (ahead_s > 60)
        base_logf(node->log, BASE_LOG_WARN,
                  "write timestamps go on %lld s ahead of the clock: it was ahead when this node "
                  "ran before",
                  (long long)ahead_s);
    pthread_mutex_init(&t->mutex, NULL);
    atomic_init(&t->last_us, floor_us);
    atomic_init(&t->limit_us, floor ? floor_us : INT64_MAX);
    atomic_init(&t->renewal_posted, false);
    t->renewal = (struct base_job){.step = renewal_step,
                                   .cancelled = renewal_cancelled,
                                   .name = "timestamp floor",
                                   .lane = BASE_LANE_FLUSH};
    return BASE_OK;
}

void nodei_timestamps_close(struct node *node)
{
    struct nodei_timestamps *t = &node->timestamps;
    struct base_err err = {0};
    int64_t limit = atomic_load(&t->limit_us), next = atomic_load(&t->last_us) + 1;
    BASE_ASSERT(!atomic_load(&t->renewal_posted));
    if (limit != INT64_MAX && next < limit &&
        cat_local_put_i64(node->catalog, FLOOR_NAME, next, &err) != BASE_OK)
        base_logf(node->log, BASE_LOG_WARN,
                  "the next start will skip some seconds of timestamps: %s", err.text);
    pthread_mutex_destroy(&t->mutex);
}

int64_t node_timestamp(struct node *node)
{
    struct nodei_timestamps *t = &node->timestamps;
    int64_t wall = base_clock_wall(node->clock).us, last = atomic_load(&t->last_us), next;
    do {
        next = wall > last ? wall : last + 1;
    } while (!atomic_compare_exchange_weak(&t->last_us, &last, next));
    int64_t limit = atomic_load(&t->limit_us);
    if (BASE_UNLIKELY(next >= limit - RESERVE_US / 2)) {
        if (next >= limit)
            renew(node, next);
        else if (!atomic_exchange(&t->renewal_posted, true))
            base_executor_post(node->executor, &t->renewal);
    }
    return next;
}

int64_t node_now_s(struct node *node)
{
    return base_clock_wall_s(node->clock);
}
