/* The executor. Without these tests a long compaction could stand before a commit-log sync, a stop
 * could lose a job without a word, and an idle node could wake up for nothing. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "node/ports.h"

static struct base_executor *executor;
static struct base_err err;

static void setup(void)
{
    ck_assert_int_eq(node_executor_open(&executor, &err), 0);
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static uint64_t now_ns(void)
{
    return base_clock_mono(node_real_clock()).ns;
}

struct counting_job {
    struct base_job job;
    int steps_wanted;
    enum base_step between; /* what to answer before the last step */
    int step_ms;
    atomic_int steps, cancelled, done;
    _Atomic uint64_t last_ns;
};

static enum base_step counting_step(struct base_job *job)
{
    struct counting_job *c = BASE_CONTAINER(job, struct counting_job, job);
    if (c->step_ms)
        sleep_ms(c->step_ms);
    c->last_ns = now_ns();
    if (atomic_fetch_add(&c->steps, 1) + 1 < c->steps_wanted)
        return c->between;
    c->done = 1;
    return BASE_STEP_DONE;
}

static void counting_cancelled(struct base_job *job)
{
    BASE_CONTAINER(job, struct counting_job, job)->cancelled++;
}

static struct counting_job counting(int lane, int steps)
{
    return (struct counting_job){.job = {.step = counting_step,
                                         .cancelled = counting_cancelled,
                                         .name = "count",
                                         .lane = lane},
                                 .steps_wanted = steps,
                                 .between = BASE_STEP_AGAIN};
}

static void wait_done(struct counting_job *job)
{
    for (int i = 0; i < 60000 && !job->done; i++)
        base_executor_wait(executor, 10000000);
    ck_assert_int_eq(job->done, 1);
}

START_TEST(runs_to_the_end)
{
    struct counting_job a = counting(BASE_LANE_SYNC, 1), b = counting(BASE_LANE_FLUSH, 100),
                        c = counting(BASE_LANE_COMPACT, 3);
    base_executor_post(executor, &a.job);
    base_executor_post(executor, &b.job);
    base_executor_post(executor, &c.job);
    wait_done(&a);
    wait_done(&b);
    wait_done(&c);
    ck_assert_int_eq(b.steps, 100);
    node_executor_close(executor);
    ck_assert_int_eq(a.cancelled + b.cancelled + c.cancelled, 0);
}
END_TEST

/* A lane that is busy for hours does not delay the others; in the same lane jobs take turns. */
START_TEST(lanes_do_not_wait_for_each_other)
{
    struct counting_job slow = counting(BASE_LANE_COMPACT, 1000000),
                        quick = counting(BASE_LANE_COMPACT, 1);
    struct counting_job sync = counting(BASE_LANE_SYNC, 1), flush = counting(BASE_LANE_FLUSH, 1);
    slow.step_ms = 10;
    base_executor_post(executor, &slow.job);
    sleep_ms(20);
    base_executor_post(executor, &sync.job);
    base_executor_post(executor, &flush.job);
    base_executor_post(executor, &quick.job);
    wait_done(&sync);
    wait_done(&flush);
    wait_done(&quick);
    ck_assert_int_eq(slow.done, 0);
    node_executor_close(executor);
    ck_assert_int_eq(slow.cancelled, 1);
}
END_TEST

START_TEST(delays_are_kept)
{
    struct counting_job late = counting(BASE_LANE_SYNC, 1), later = counting(BASE_LANE_SYNC, 2),
                        now = counting(BASE_LANE_SYNC, 1);
    uint64_t start = now_ns();
    later.job.delay_ns = 80000000;
    later.between = BASE_STEP_WAIT; /* 80 ms, then 80 ms again */
    base_executor_post(executor, &later.job);
    late.job.delay_ns = 40000000;
    base_executor_post(executor, &late.job);
    base_executor_post(executor, &now.job);
    uint64_t posted = now_ns();
    wait_done(&now);
    wait_done(&late);
    wait_done(&later);
    ck_assert_uint_ge(late.last_ns - start, 40000000);
    ck_assert_uint_ge(later.last_ns - start, 160000000);
    if (posted - start < 40000000) /* else not even this thread was in time */
        ck_assert(now.last_ns <= late.last_ns && late.last_ns <= later.last_ns);
    node_executor_close(executor);
}
END_TEST

START_TEST(idle_means_no_wakeups)
{
    struct node_lane_stats before, after;
    node_executor_get_stats(executor, BASE_LANE_SYNC, &before);
    ck_assert(!before.running); /* no job yet, no thread */
    struct counting_job a = counting(BASE_LANE_SYNC, 1);
    base_executor_post(executor, &a.job);
    wait_done(&a);
    do {
        sleep_ms(50);
        node_executor_get_stats(executor, BASE_LANE_SYNC, &before);
    } while (before.pending); /* a job counts until its step has returned */
    ck_assert(before.running);
    sleep_ms(300);
    node_executor_get_stats(executor, BASE_LANE_SYNC, &after);
    ck_assert_uint_eq(before.wakeups, after.wakeups);
    node_executor_get_stats(executor, BASE_LANE_COMPACT, &after);
    ck_assert(!after.running);
    node_executor_close(executor);
}
END_TEST

START_TEST(stop_cancels_what_is_left)
{
    struct counting_job running = counting(BASE_LANE_FLUSH, 1000000),
                        queued = counting(BASE_LANE_FLUSH, 1000000);
    struct counting_job delayed = counting(BASE_LANE_SYNC, 1);
    running.step_ms = 1;
    delayed.job.delay_ns = UINT64_MAX;
    base_executor_post(executor, &running.job);
    base_executor_post(executor, &queued.job);
    base_executor_post(executor, &delayed.job);
    sleep_ms(20);
    node_executor_close(executor);
    ck_assert_int_eq(running.cancelled, 1);
    ck_assert_int_eq(queued.cancelled, 1);
    ck_assert_int_eq(delayed.cancelled, 1);
    ck_assert_int_eq(delayed.steps, 0);
}
END_TEST

START_TEST(waiting_ends_at_the_timeout)
{
    base_executor_wait(executor, 0);
    uint64_t start = now_ns();
    base_executor_wait(executor, 50000000);
    ck_assert_uint_ge(now_ns() - start, 49000000);
    node_executor_close(executor);
}
END_TEST

/* A job that posts another and frees itself, as flushes and compactions do. */
struct chain_job {
    struct base_job job;
    int left;
    atomic_int *count;
};
static enum base_step chain_step(struct base_job *job)
{
    struct chain_job *c = BASE_CONTAINER(job, struct chain_job, job);
    if (c->left > 0) {
        struct chain_job *next = malloc(sizeof *next);
        *next = *c;
        next->left--;
        next->job.lane = (c->job.lane + 1) % BASE_LANE_COUNT;
        base_executor_post(executor, &next->job);
    }
    ++*c->count;
    free(c);
    return BASE_STEP_DONE;
}
static void chain_cancelled(struct base_job *job)
{
    free(BASE_CONTAINER(job, struct chain_job, job));
}

static void *post_chains(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct chain_job *c = malloc(sizeof *c);
        *c = (struct chain_job){.job = {.step = chain_step,
                                        .cancelled = chain_cancelled,
                                        .name = "chain",
                                        .lane = i % BASE_LANE_COUNT},
                                .left = 99,
                                .count = arg};
        base_executor_post(executor, &c->job);
    }
    return NULL;
}

START_TEST(many_posters)
{
    atomic_int count = 0;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_chains, &count), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 100000 && count < 8000; i++)
        base_executor_wait(executor, 10000000);
    ck_assert_int_eq(count, 8000);
    node_executor_close(executor);
}
END_TEST

static enum base_step mask_step(struct base_job *job)
{
    struct counting_job *c = BASE_CONTAINER(job, struct counting_job, job);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    c->steps = sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM) &&
               sigismember(&mask, SIGALRM) && sigismember(&mask, SIGUSR1);
    c->done = 1;
    return BASE_STEP_DONE;
}

START_TEST(signals_are_the_hosts)
{
    struct counting_job c = counting(BASE_LANE_SYNC, 1);
    c.job.step = mask_step;
    base_executor_post(executor, &c.job);
    wait_done(&c);
    ck_assert_int_eq(c.steps, 1);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert(!sigismember(&mask, SIGINT));
    node_executor_close(executor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/executor");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, runs_to_the_end);
    tcase_add_test(tc, lanes_do_not_wait_for_each_other);
    tcase_add_test(tc, delays_are_kept);
    tcase_add_test(tc, idle_means_no_wakeups);
    tcase_add_test(tc, stop_cancels_what_is_left);
    tcase_add_test(tc, waiting_ends_at_the_timeout);
    tcase_add_test(tc, many_posters);
    tcase_add_test(tc, signals_are_the_hosts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
