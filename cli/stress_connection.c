/* The connections of a worker of `ringlet stress` (stress_worker.h).
 *
 * 1. Any connection may be lost at any time, and is made again: what was in flight on it counts as
 *    errors, each once.
 * 2. Only a run that has no connection at all for ALONE_S_MAX seconds ends, and not even that one
 *    if errors are to be ignored.
 * 3. A node is said to be lost with its last connection, and to be back with the first. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli/stress_worker.h"

enum { ALONE_S_MAX = 30, MEND_SLICE_US = 20000, MEND_PAUSE_MS = 500 };

static int watch(struct cli_stress_worker *w, struct cli_stress_connection *c, int how)
{
    struct epoll_event e = {.events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(w->epoll, how, c->cql.fd, &e) == 0)
        return BASE_OK;
    return base_err_set(&w->err, BASE_E_IO, "epoll_ctl: %s", strerror(errno));
}

int cli_stress_watch(struct cli_stress_worker *w, struct cli_stress_connection *c)
{
    return watch(w, c, EPOLL_CTL_MOD);
}

static struct cli_stress_node *node_of(const struct cli_stress_worker *w,
                                       const struct cli_stress_connection *c)
{
    return &w->run->cluster->nodes[c->node];
}

/* Opening. */

static int open_wire(struct cli_stress_worker *w, struct cli_stress_connection *c,
                     struct base_err *err)
{
    const struct cli_stress_node *node = node_of(w, c);
    int rc = cli_stress_open(w->run->options, node->host, node->port, &w->ending, &c->cql, err);
    if (rc != BASE_OK)
        return rc;
    rc = cli_stress_workload_prepare(w->run->workload, &c->cql, err);
    if (rc != BASE_OK)
        cli_cql_close(&c->cql);
    return rc;
}

/* It is the worker's from now on. */
static int adopt(struct cli_stress_worker *w, struct cli_stress_connection *c)
{
    struct cli_stress_node *node = node_of(w, c);
    c->in_flight = 0;
    c->free = -1;
    for (unsigned i = c->slot_count; i-- > 0;) {
        c->slots[i] = (struct cli_stress_slot){.next_free = c->free};
        c->free = (int16_t)i;
    }
    c->wants_write = false;
    int rc = watch(w, c, EPOLL_CTL_ADD);
    if (rc != BASE_OK)
        return rc;
    w->open++;
    w->targets[c->node].open++;
    w->alone_since_ns = 0;
    if (atomic_fetch_add(&node->open, 1) == 0 && atomic_exchange(&node->is_lost, false))
        fprintf(stderr, "ringlet: %s:%u is back\n", node->host, node->port);
    atomic_store_explicit(&c->state, CLI_STRESS_OPEN, memory_order_release);
    return BASE_OK;
}

/* Said once, however many connections there were. */
static void say_lost(struct cli_stress_node *node, const char *why)
{
    if (atomic_load(&node->open) == 0 && !atomic_exchange(&node->is_lost, true))
        fprintf(stderr, "ringlet: %s:%u is lost (%s): it is tried again and again\n", node->host,
                node->port, why);
}

int cli_stress_connect(struct cli_stress_worker *w, struct base_err *err)
{
    struct base_err last = {0};
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        struct base_err why = {0};
        if (w->targets[c->node].again_ns) /* it did not answer the one before */
            continue;
        int rc = open_wire(w, c, &why);
        if (rc == BASE_OK) {
            rc = adopt(w, c);
            if (rc != BASE_OK)
                return base_err_set(err, rc, "%s", w->err.text);
        } else if (rc == BASE_E_UNAVAILABLE || rc == BASE_E_TIMEOUT || rc == BASE_E_CLOSED ||
                   rc == BASE_E_IO) {
            w->targets[c->node].again_ns = cli_stress_now_ns();
            last = why;
            say_lost(node_of(w, c), why.text);
        } else {
            return base_err_set(err, rc, "%s", why.text);
        }
    }
    return w->open ? BASE_OK : base_err_set(err, last.code, "%s", last.text);
}

/* Losing. */

void cli_stress_lose(struct cli_stress_worker *w, struct cli_stress_connection *c)
{
    struct cli_stress_node *node = node_of(w, c);
    struct cli_stress_target *target = &w->targets[c->node];
    BASE_ASSERT(cli_stress_is_open(c) && w->open > 0 && target->open > 0);
    BASE_ASSERT(w->in_flight >= c->in_flight && target->in_flight >= c->in_flight);
    if (c->in_flight)
        cli_stress_count_errors(w, c->in_flight, w->err.text);
    w->in_flight -= c->in_flight;
    target->in_flight -= c->in_flight;
    target->open--;
    if (--w->open == 0)
        w->alone_since_ns = cli_stress_now_ns();
    cli_cql_close(&c->cql);
    if (atomic_fetch_sub(&node->open, 1) == 1)
        say_lost(node, w->err.text);
    base_err_clear(&w->err);
    atomic_store_explicit(&c->state, CLI_STRESS_LOST, memory_order_release);
}

/* Mending: on its own thread. */

static bool is_ending(const struct cli_stress_worker *w)
{
    return __atomic_load_n(&w->ending, __ATOMIC_RELAXED) != 0;
}

/* One pass over what is lost; true: something still is. */
static bool mend_all(struct cli_stress_worker *w)
{
    bool more = false;
    for (unsigned i = 0; i < w->connection_count && !is_ending(w); i++) {
        struct cli_stress_connection *c = &w->connections[i];
        struct base_err err = {0};
        if (atomic_load_explicit(&c->state, memory_order_acquire) != CLI_STRESS_LOST)
            continue;
        if (cli_stress_now_ns() >= w->targets[c->node].again_ns) {
            if (open_wire(w, c, &err) == BASE_OK) {
                atomic_store_explicit(&c->state, CLI_STRESS_READY, memory_order_release);
                continue;
            }
            w->targets[c->node].again_ns = cli_stress_now_ns() + MEND_PAUSE_MS * 1000000ull;
        }
        more = true;
    }
    return more;
}

static void *mend(void *arg)
{
    struct cli_stress_worker *w = arg;
    while (mend_all(w) && !is_ending(w))
        usleep(MEND_SLICE_US);
    atomic_store(&w->mending, false);
    return NULL;
}

static int start_mender(struct cli_stress_worker *w)
{
    if (w->mender_started)
        pthread_join(w->mender, NULL); /* it has ended */
    w->mender_started = false;
    atomic_store(&w->mending, true);
    int failed = pthread_create(&w->mender, NULL, mend, w);
    if (failed)
        return base_err_set(&w->err, BASE_E_NOMEM, "pthread_create: %s", strerror(failed));
    w->mender_started = true;
    return BASE_OK;
}

/* Looking after them. */

static bool is_late(const struct cli_stress_connection *c, uint64_t now_ns)
{
    for (unsigned i = 0; i < c->slot_count && c->in_flight; i++)
        if (c->slots[i].busy &&
            now_ns - c->slots[i].sent_ns > (uint64_t)CLI_STRESS_ANSWER_S_MAX * CLI_STRESS_SECOND_NS)
            return true;
    return false;
}

static void lose_late(struct cli_stress_worker *w, uint64_t now_ns)
{
    if (now_ns - w->looked_ns < CLI_STRESS_SECOND_NS)
        return;
    w->looked_ns = now_ns;
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        if (!cli_stress_is_open(c) || !is_late(c, now_ns))
            continue;
        base_err_set(&w->err, BASE_E_TIMEOUT, "%s:%u: no answer within %d s", node_of(w, c)->host,
                     node_of(w, c)->port, CLI_STRESS_ANSWER_S_MAX);
        cli_stress_lose(w, c);
    }
}

int cli_stress_tend(struct cli_stress_worker *w)
{
    uint64_t now_ns = cli_stress_now_ns();
    lose_late(w, now_ns);
    if (w->open == w->connection_count)
        return BASE_OK;
    bool any_lost = false;
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        enum cli_stress_connection_state state =
            atomic_load_explicit(&c->state, memory_order_acquire);
        int rc = state == CLI_STRESS_READY ? adopt(w, c) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
        any_lost = any_lost || state == CLI_STRESS_LOST;
    }
    if (w->open == 0 && !w->run->options->ignore_errors &&
        now_ns - w->alone_since_ns > (uint64_t)ALONE_S_MAX * CLI_STRESS_SECOND_NS)
        return base_err_set(&w->err, BASE_E_TIMEOUT, "no node has answered for %d s", ALONE_S_MAX);
    return any_lost && !atomic_load(&w->mending) ? start_mender(w) : BASE_OK;
}

void cli_stress_disconnect(struct cli_stress_worker *w)
{
    __atomic_store_n(&w->ending, 1, __ATOMIC_RELAXED);
    if (w->mender_started)
        pthread_join(w->mender, NULL);
    for (unsigned i = 0; w->connections && i < w->connection_count; i++) {
        if (atomic_load(&w->connections[i].state) != CLI_STRESS_LOST)
            cli_cql_close(&w->connections[i].cql);
        free(w->connections[i].slots);
    }
    free(w->connections);
    free(w->targets);
}
