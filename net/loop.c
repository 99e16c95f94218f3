/* The event loop: epoll for descriptors, a pairing heap for timers, an eventfd to be woken.
 *
 * Invariants:
 * 1. Callbacks run on the loop's thread only, one at a time.
 * 2. A watch that was removed during a turn is not called later in that turn (its slot is cleared).
 * 3. Without timers, tasks and hooks the loop sleeps without a timeout: nothing wakes an idle
 *    process.
 * 4. A turn is: events, timers, tasks, hooks. A hook armed by a hook runs in the same turn,
 *    HOOK_ROUNDS_MAX times at most; what is left runs in a next turn that does not sleep, so that
 *    descriptors are looked at in between. */
#include "net/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 64, HOOK_ROUNDS_MAX = 4 };

struct net_loop {
    int epoll_fd;
    int wake_fd;
    atomic_bool stop;
    struct net_timer *timers; /* the heap's root: the first one due */
    struct net_hook *hooks, **hooks_end;
    pthread_mutex_t lock; /* tasks */
    struct net_task *tasks, **tasks_end;
    struct epoll_event events[EVENTS_PER_TURN];
    int event_count, event_at;
    bool coarse; /* no epoll_pwait2: waits are whole milliseconds */
    uint64_t now_ns;
};

static uint64_t mono_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int net_loop_new(struct net_loop **out, struct base_err *err)
{
    *out = NULL;
    struct net_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return base_err_set(err, BASE_E_NOMEM, "event loop: out of memory");
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        int rc = base_err_set(err, BASE_E_IO, "event loop: %s", strerror(errno));
        if (loop->epoll_fd >= 0)
            close(loop->epoll_fd);
        if (loop->wake_fd >= 0)
            close(loop->wake_fd);
        free(loop);
        return rc;
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->tasks_end = &loop->tasks;
    loop->hooks_end = &loop->hooks;
    loop->now_ns = mono_now();
    *out = loop;
    return BASE_OK;
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop)
        return;
    BASE_ASSERT(!loop->timers);
    BASE_ASSERT(!loop->tasks);
    BASE_ASSERT(!loop->hooks);
    pthread_mutex_destroy(&loop->lock);
    close(loop->epoll_fd);
    close(loop->wake_fd);
    free(loop);
}

static void wake(struct net_loop *loop)
{
    uint64_t one = 1;
    ssize_t ignored = write(loop->wake_fd, &one, sizeof one); /* full: it is awake anyway */
    (void)ignored;
}

void net_loop_stop(struct net_loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}

void net_loop_post(struct net_loop *loop, struct net_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&loop->lock);
    *loop->tasks_end = task;
    loop->tasks_end = &task->next;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

struct base_mono_ns net_loop_now(const struct net_loop *loop)
{
    return (struct base_mono_ns){loop->now_ns};
}

int net_loop_watch(struct net_loop *loop, struct net_watch *watch, int events, struct base_err *err)
{
    BASE_ASSERT(watch->ready);
    struct epoll_event event = {.data.ptr = watch};
    if (events & NET_READABLE)
        event.events |= EPOLLIN;
    if (events & NET_WRITABLE)
        event.events |= EPOLLOUT;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0)
        return BASE_OK;
    if (errno == ENOENT && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0)
        return BASE_OK;
    return base_err_set(err, BASE_E_IO, "watch descriptor %d: %s", watch->fd, strerror(errno));
}

void net_loop_unwatch(struct net_loop *loop, struct net_watch *watch)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL, loop->events[i].events = 0;
}

/* Timers: a pairing heap; link is where this timer hangs. */

static struct net_timer *meld(struct net_timer *a, struct net_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_ns < a->due_ns) {
        struct net_timer *first = b;
        b = a;
        a = first;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    a->child = b;
    b->link = &a->child;
    return a;
}

/* The children of a node that went, as one heap: pairs from the left, then all of them. */
static struct net_timer *meld_children(struct net_timer *child)
{
    struct net_timer *pairs = NULL, *root = NULL;
    while (child) {
        struct net_timer *a = child, *b = child->next;
        child = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct net_timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void set_root(struct net_loop *loop, struct net_timer *root)
{
    loop->timers = root;
    if (root)
        root->link = &loop->timers;
}

void net_loop_disarm(struct net_loop *loop, struct net_timer *timer)
{
    if (!timer->armed)
        return;
    BASE_ASSERT(*timer->link == timer);
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    set_root(loop, meld(loop->timers, meld_children(timer->child)));
    timer->child = timer->next = NULL;
    timer->link = NULL;
    timer->armed = false;
}

void net_loop_arm(struct net_loop *loop, struct net_timer *timer, uint64_t after_ns)
{
    BASE_ASSERT(timer->fired);
    net_loop_disarm(loop, timer);
    timer->due_ns = mono_now() + after_ns;
    timer->armed = true;
    set_root(loop, meld(loop->timers, timer));
    BASE_ASSERT(loop->timers->due_ns <= timer->due_ns);
}

/* Hooks. */

void net_loop_at_end(struct net_loop *loop, struct net_hook *hook)
{
    BASE_ASSERT(hook->run);
    if (hook->armed)
        return;
    hook->armed = true;
    hook->next = NULL;
    *loop->hooks_end = hook;
    loop->hooks_end = &hook->next;
}

void net_loop_not_at_end(struct net_loop *loop, struct net_hook *hook)
{
    if (!hook->armed)
        return;
    struct net_hook **at = &loop->hooks;
    while (*at != hook) {
        BASE_ASSERT(*at);
        at = &(*at)->next;
    }
    *at = hook->next;
    if (!hook->next)
        loop->hooks_end = at;
    hook->armed = false;
}

static void run_hooks(struct net_loop *loop)
{
    for (int round = 0; loop->hooks && round < HOOK_ROUNDS_MAX; round++) {
        struct net_hook *last = BASE_CONTAINER(loop->hooks_end, struct net_hook, next), *hook;
        do {
            hook = loop->hooks;
            if (!hook)
                break;
            net_loop_not_at_end(loop, hook);
            hook->run(hook);
        } while (hook != last);
    }
}

/* Turns. */

/* Wait for events until the first timer is due, to the microsecond where the kernel can (5.11). */
static int wait_for_events(struct net_loop *loop)
{
    uint64_t wait_ns = 0, now = mono_now();
    bool for_ever = !loop->hooks && !loop->timers;
    if (!loop->hooks && loop->timers && loop->timers->due_ns > now)
        wait_ns = loop->timers->due_ns - now;
    if (!loop->coarse) {
        struct timespec ts = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                              .tv_nsec = (long)(wait_ns % 1000000000u)};
        int n = epoll_pwait2(loop->epoll_fd, loop->events, EVENTS_PER_TURN, for_ever ? NULL : &ts,
                             NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        loop->coarse = true;
    }
    uint64_t ms = (wait_ns + 999999) / 1000000;
    return epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN,
                      for_ever        ? -1
                      : ms > 86400000 ? 86400000
                                      : (int)ms);
}

static void run_timers(struct net_loop *loop)
{
    while (loop->timers && loop->timers->due_ns <= loop->now_ns) {
        struct net_timer *timer = loop->timers;
        net_loop_disarm(loop, timer);
        timer->fired(timer);
    }
}

static void run_tasks(struct net_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct net_task *tasks = loop->tasks;
    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    pthread_mutex_unlock(&loop->lock);
    for (struct net_task *next; tasks; tasks = next) {
        next = tasks->next;
        tasks->run(tasks);
    }
}

static void run_event(struct net_loop *loop, const struct epoll_event *event)
{
    if (!event->data.ptr) {
        uint64_t count;
        if (event->events && read(loop->wake_fd, &count, sizeof count) < 0)
            return; /* woken for nothing, or a watch that was removed this turn */
        return;
    }
    struct net_watch *watch = event->data.ptr;
    int ready = 0;
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        ready |= NET_READABLE;
    if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        ready |= NET_WRITABLE;
    watch->ready(watch, ready);
}

int net_loop_run(struct net_loop *loop, struct base_err *err)
{
    while (!atomic_load(&loop->stop)) {
        int n = wait_for_events(loop);
        if (n < 0 && errno != EINTR)
            return base_err_set(err, BASE_E_IO, "event loop: %s", strerror(errno));
        loop->now_ns = mono_now();
        loop->event_count = n < 0 ? 0 : n;
        for (loop->event_at = 0; loop->event_at < loop->event_count;) {
            struct epoll_event event = loop->events[loop->event_at++];
            run_event(loop, &event);
        }
        loop->event_count = loop->event_at = 0;
        run_timers(loop);
        run_tasks(loop);
        run_hooks(loop);
    }
    run_tasks(loop); /* what was posted before the stop */
    run_hooks(loop);
    atomic_store(&loop->stop, false);
    return BASE_OK;
}
