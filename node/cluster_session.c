/* A session's requests in a cluster: handed to the loop, waited for on the caller's thread.
 *
 * Invariants:
 *  1. A request that was handed over is owned by two, caller and loop, and freed by the last: a
 *     caller that is interrupted goes away, and the write (of a copy of its bytes) may still
 *     happen; the text says so.
 *  2. A read's memory that the caller owns (command, table) is not touched by the loop after close
 *     returned.
 *  3. A read whose last page is small is closed by the loop with that page, of which the caller
 *     gets a copy: one hand-over to the loop and one back for a point read.
 *  4. While somebody waits an interrupt is looked for every WAIT_SLICE_NS. */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "base/key.h"
#include "node/cluster_private.h"
#include "replication/page.h"

#define WAIT_SLICE_NS 20000000L
#define PAGE_ROWS 5000
#define CHANGE_RETRY_NS 1000000u
/* a last page up to this is copied, and the read is over for the loop */
#define LAST_PAGE_BYTES ((size_t)64 << 10)

/* Waiting. */

/* A semaphore and not a condition variable: who is woken needs no mutex that its waker, not run any
 * more, still holds (seen in a trace: two more switches a read), and the waker touches nothing
 * after the post that the woken one may free. */
struct waiter {
    sem_t done;
};

static void waiter_init(struct waiter *w)
{
    int rc = sem_init(&w->done, 0, 0);
    BASE_ASSERT(rc == 0);
}

static void waiter_fini(struct waiter *w)
{
    sem_destroy(&w->done);
}

/* Nobody signals at this time. What was signalled and not waited for is forgotten. */
static void waiter_reset(struct waiter *w)
{
    while (sem_trywait(&w->done) == 0)
        continue;
}

static void waiter_signal(struct waiter *w)
{
    sem_post(&w->done);
}

static void slice_from_now(struct timespec *ts)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_nsec += WAIT_SLICE_NS;
    if (ts->tv_nsec >= 1000000000L) {
        ts->tv_nsec -= 1000000000L;
        ts->tv_sec++;
    }
}

/* False: interrupted before it was done. */
static bool waiter_wait(struct waiter *w, const struct node_session *session)
{
    for (;;) {
        struct timespec until;
        bool polls = session && session->interrupted;
        if (polls)
            slice_from_now(&until);
        if ((polls ? sem_timedwait(&w->done, &until) : sem_wait(&w->done)) == 0)
            return true;
        BASE_ASSERT(errno == EINTR || errno == ETIMEDOUT);
        if (errno == ETIMEDOUT && nodei_interrupted(session))
            return sem_trywait(&w->done) == 0;
    }
}

static int outcome_error(const struct repl_outcome *outcome, struct base_err *err)
{
    if (outcome->rc == BASE_OK)
        return BASE_OK;
    return base_err_set(err, outcome->rc, "%s",
                        outcome->err.text[0] ? outcome->err.text : base_err_words(outcome->rc));
}

/* Until the node serves. */

int nodei_cluster_wait(struct node *node, const struct node_session *session, struct base_err *err)
{
    struct nodei_cluster *cluster = node->cluster;
    if (BASE_LIKELY(atomic_load_explicit(&cluster->stage, memory_order_relaxed) == REPL_MEMBER))
        return BASE_OK;
    uint64_t end = base_clock_mono(node->clock).ns + node->settings.metadata_timeout_ns;
    bool interrupted = false;
    pthread_mutex_lock(&cluster->mutex);
    int stage = atomic_load(&cluster->stage);
    while ((stage == REPL_STARTING || stage == REPL_JOINING) && !interrupted &&
           base_clock_mono(node->clock).ns < end) {
        struct timespec until;
        slice_from_now(&until);
        pthread_cond_timedwait(&cluster->changed, &cluster->mutex, &until);
        stage = atomic_load(&cluster->stage);
        interrupted = session && nodei_interrupted(session);
    }
    pthread_mutex_unlock(&cluster->mutex);
    if (stage == REPL_MEMBER)
        return BASE_OK;
    if (interrupted)
        return base_err_set(err, BASE_E_INTERRUPTED,
                            "interrupted while waiting for the cluster; nothing was done");
    char why[512];
    nodei_cluster_refusal(node, why, sizeof why);
    if (why[0])
        return base_err_set(err, BASE_E_UNAVAILABLE, "%s", why);
    if (node->guest)
        return base_err_set(err, BASE_E_UNAVAILABLE,
                            "no node of the cluster answers at %s: is one running there?",
                            node->dir);
    return nodei_cluster_ready(node, err) == BASE_OK ? BASE_OK : BASE_E_UNAVAILABLE;
}

int node_wait_ready(struct node_session *session, struct base_err *err)
{
    int rc = nodei_check_usable(session->node, err);
    return rc == BASE_OK && session->node->cluster ? nodei_cluster_wait(session->node, session, err)
                                                   : rc;
}

/* Writes. */

struct nodei_write_call {
    struct net_task task;
    struct nodei_cluster *cluster;
    struct repl_write write;
    struct base_buf bytes;   /* mutations, condition */
    struct base_buf current; /* what a condition found */
    struct waiter waiter;
    atomic_int refs;
};

static void write_call_release(struct nodei_write_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) > 1)
        return;
    base_buf_fini(&call->bytes);
    base_buf_fini(&call->current);
    waiter_fini(&call->waiter);
    free(call);
}

void nodei_write_call_free(struct nodei_write_call *call)
{
    if (call)
        write_call_release(call);
}

static void write_done(struct repl_write *write)
{
    struct nodei_write_call *call = BASE_CONTAINER(write, struct nodei_write_call, write);
    if (write->outcome.rc == BASE_E_CONDITION &&
        base_buf_put_slice(&call->current, write->current) != BASE_OK)
        write->outcome.rc =
            base_err_set(&write->outcome.err, BASE_E_NOMEM,
                         "nothing was written; and no memory for what the condition found");
    waiter_signal(&call->waiter);
    write_call_release(call);
}

static void write_start(struct net_task *task)
{
    struct nodei_write_call *call = BASE_CONTAINER(task, struct nodei_write_call, task);
    repl_write_start(call->cluster->repl, &call->write);
}

static struct nodei_write_call *write_call_new(struct nodei_cluster *cluster)
{
    struct nodei_write_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->cluster = cluster;
    call->task.run = write_start;
    atomic_init(&call->refs, 1);
    base_buf_init(&call->bytes, SIZE_MAX / 2);
    base_buf_init(&call->current, SIZE_MAX / 2);
    waiter_init(&call->waiter);
    return call;
}

int nodei_cluster_write(struct node_session *session, const struct nodei_cluster_write *what,
                        struct base_err *err)
{
    struct nodei_cluster *cluster = session->node->cluster;
    int rc = nodei_cluster_wait(session->node, session, err);
    if (rc != BASE_OK)
        return rc;
    struct nodei_write_call *call = session->write_call;
    if (!call)
        call = session->write_call = write_call_new(cluster);
    if (!call)
        return base_err_set(err, BASE_E_NOMEM, "write: out of memory");
    base_buf_reset(&call->bytes);
    base_buf_reset(&call->current);
    rc = base_buf_put_slice(&call->bytes, what->mutations);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&call->bytes, what->condition);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "write: %s", base_err_words(rc));
    waiter_reset(&call->waiter);
    call->write = (struct repl_write){
        .mutations = base_slice(call->bytes.data, what->mutations.len),
        .mutation_count = what->mutation_count,
        .consistency = what->consistency,
        .logged = what->logged,
        .condition = base_slice(call->bytes.data + what->mutations.len, what->condition.len),
        .done = write_done,
    };
    atomic_fetch_add(&call->refs, 1);
    nodei_cluster_post(cluster, &call->task);
    if (!waiter_wait(&call->waiter, session)) {
        session->write_call = NULL;
        write_call_release(call);
        return base_err_set(
            err, BASE_E_UNKNOWN,
            "interrupted while waiting for replicas: the write may still take effect; "
            "repeating it with the same values is safe");
    }
    rc = outcome_error(&call->write.outcome, err);
    if (rc == BASE_E_CONDITION && what->current &&
        base_buf_put_slice(what->current, base_buf_view(&call->current)) != BASE_OK)
        rc = base_err_set(err, BASE_E_NOMEM,
                          "nothing was written; and no memory for what the condition found");
    if (call->bytes.cap > NODEI_KEEP_BYTES) {
        session->write_call = NULL;
        write_call_release(call);
    }
    return rc;
}

/* Writes that nobody waits for. */

struct async {
    struct net_task task;
    struct nodei_cluster *cluster;
    struct repl_write write;
    struct node_async_write *owner;
};

static void async_done(struct repl_write *write)
{
    struct async *async = BASE_CONTAINER(write, struct async, write);
    struct node_async_write *owner = async->owner;
    owner->rc = outcome_error(&write->outcome, &owner->err);
    owner->done(owner);
}

static void async_start(struct net_task *task)
{
    struct async *async = BASE_CONTAINER(task, struct async, task);
    repl_write_start(async->cluster->repl, &async->write);
}

int node_write_start(struct node *node, struct node_async_write *write, struct base_err *err)
{
    struct async *async = (struct async *)write->space;
    _Static_assert(sizeof *async <= sizeof write->space,
                   "node_async_write has room for the node's part");
    if (!node->cluster)
        return base_err_set(err, BASE_E_INVALID, "this node is in no cluster");
    int rc = nodei_cluster_wait(node, NULL, err);
    if (rc != BASE_OK)
        return rc;
    *async = (struct async){
        .task.run = async_start,
        .cluster = node->cluster,
        .owner = write,
        .write =
            {
                .mutations = write->mutations,
                .mutation_count = write->mutation_count,
                .consistency = write->consistency,
                .done = async_done,
            },
    };
    if (pthread_equal(pthread_self(), node->cluster->thread))
        async_start(&async->task);
    else
        nodei_cluster_post(node->cluster, &async->task);
    return BASE_OK;
}

/* Changes of the schema. */

static void change_done(struct repl_change *repl_change)
{
    struct nodei_change *change = BASE_CONTAINER(repl_change, struct nodei_change, repl);
    change->done(change);
}

/* A snapshot is published by the thread that makes it durable, a moment before the loop has taken
 * it up: a change made against it waits for the loop, and is not judged against the one before. */
static void change_try(struct nodei_change *change)
{
    struct nodei_cluster *cluster = change->cluster;
    uint64_t now = net_loop_now(cluster->loop).ns;
    bool early = change->repl.change->expected_epoch > repl_epoch(cluster->repl);
    if (early && now < change->patience_ns && !cluster->close_deadline_ns) {
        cluster->changes_waiting++;
        net_loop_arm(cluster->loop, &change->timer, CHANGE_RETRY_NS);
    } else {
        repl_change_start(cluster->repl, &change->repl); /* as the node closes: CLOSED */
    }
}

static void change_again(struct net_timer *timer)
{
    struct nodei_change *change = BASE_CONTAINER(timer, struct nodei_change, timer);
    BASE_ASSERT(change->cluster->changes_waiting > 0);
    change->cluster->changes_waiting--;
    change_try(change);
}

void nodei_change_start(struct node *node, struct nodei_change *change,
                        const struct base_change *what)
{
    struct nodei_cluster *cluster = node->cluster;
    change->cluster = cluster;
    change->repl = (struct repl_change){.change = what, .agreed = true, .done = change_done};
    change->timer = (struct net_timer){.fired = change_again};
    change->patience_ns = net_loop_now(cluster->loop).ns + node->settings.metadata_timeout_ns;
    change_try(change);
}

struct change_call {
    struct net_task task;
    struct node *node;
    const struct base_change *what;
    struct nodei_change change;
    struct waiter waiter;
};

static void change_call_done(struct nodei_change *change)
{
    waiter_signal(&BASE_CONTAINER(change, struct change_call, change)->waiter);
}

static void change_call_start(struct net_task *task)
{
    struct change_call *call = BASE_CONTAINER(task, struct change_call, task);
    nodei_change_start(call->node, &call->change, call->what);
}

/* Not interruptible: it ends by its own timeout, and the caller's memory holds the change. */
int nodei_cluster_change(struct node *node, const struct base_change *change, struct base_err *err)
{
    struct change_call call = {.task.run = change_call_start,
                               .node = node,
                               .what = change,
                               .change.done = change_call_done};
    waiter_init(&call.waiter);
    nodei_cluster_post(node->cluster, &call.task);
    (void)waiter_wait(&call.waiter, NULL);
    waiter_fini(&call.waiter);
    return outcome_error(&call.change.repl.outcome, err);
}

/* Reads: pages as one stream. */

struct nodei_paged {
    struct base_source source;
    struct net_task first_task, next_task, close_task;
    struct nodei_cluster *cluster;
    struct node_session *session;
    struct repl_read read;
    struct base_read cmd;
    struct waiter waiter, close_waiter;
    bool open; /* the loop may know the read */
    /* set by the loop with the last page: it does not know the read any more */
    bool over;
    struct base_buf last;     /* that page */
    bool awaited;             /* a page was asked for and its answer not looked at yet */
    struct base_source *page; /* the page at hand */
    struct base_buf pkey;     /* of the partition that we are in; empty: between partitions */
    /* a partition that a fresh page began with and that is not handed out yet */
    struct base_partition pending;
    bool has_pending;
};

static void page_done(struct repl_read *read)
{
    struct nodei_paged *paged = BASE_CONTAINER(read, struct nodei_paged, read);
    if (!read->more && read->page.len <= LAST_PAGE_BYTES) {
        base_buf_reset(&paged->last);
        if (base_buf_put_slice(&paged->last, read->page) == BASE_OK) {
            repl_read_close(paged->cluster->repl, read);
            read->page = base_buf_view(&paged->last);
            paged->over = true;
        } /* else: no memory: as with a large one */
    }
    waiter_signal(&paged->waiter);
}

static void page_first(struct net_task *task)
{
    struct nodei_paged *paged = BASE_CONTAINER(task, struct nodei_paged, first_task);
    repl_read_start(paged->cluster->repl, &paged->read);
}

static void page_next(struct net_task *task)
{
    struct nodei_paged *paged = BASE_CONTAINER(task, struct nodei_paged, next_task);
    repl_read_next(paged->cluster->repl, &paged->read);
}

static void page_close(struct net_task *task)
{
    struct nodei_paged *paged = BASE_CONTAINER(task, struct nodei_paged, close_task);
    repl_read_close(paged->cluster->repl, &paged->read);
    waiter_signal(&paged->close_waiter);
}

static void ask(struct nodei_paged *paged, struct net_task *task)
{
    BASE_ASSERT(!paged->awaited);
    waiter_reset(&paged->waiter);
    paged->awaited = true;
    nodei_cluster_post(paged->cluster, task);
}

static void drop_page(struct nodei_paged *paged)
{
    if (paged->page)
        paged->page->ops->close(paged->page);
    paged->page = NULL;
}

/* The page that was asked for, as a source. */
static int take_page(struct nodei_paged *paged, struct base_err *err)
{
    BASE_ASSERT(paged->awaited && !paged->page);
    if (!waiter_wait(&paged->waiter, paged->session))
        return base_err_set(err, BASE_E_INTERRUPTED, "interrupted");
    paged->awaited = false;
    int rc = outcome_error(&paged->read.outcome, err);
    if (rc != BASE_OK)
        return rc;
    return repl_page_source(paged->read.page, paged->cmd.reversed, NULL, &paged->page, err);
}

/* The next page, or no page at all at the end of the command. */
static int next_page(struct nodei_paged *paged, bool *end, struct base_err *err)
{
    *end = false;
    if (!paged->awaited) {
        bool more = paged->read.more;
        drop_page(paged);
        if (!more) {
            *end = true;
            return BASE_OK;
        }
        ask(paged, &paged->next_task);
    }
    return take_page(paged, err);
}

static int set_pkey(struct nodei_paged *paged, struct base_slice pkey, struct base_err *err)
{
    base_buf_reset(&paged->pkey);
    int rc = base_buf_put_slice(&paged->pkey, pkey);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "read: %s", base_err_words(rc));
}

/* The first partition after the one we are in, over as many pages as that takes. */
static int paged_partition(struct base_source *src, struct base_partition *out,
                           struct base_err *err)
{
    struct nodei_paged *paged = BASE_CONTAINER(src, struct nodei_paged, source);
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    if (paged->has_pending) {
        *out = paged->pending;
        paged->has_pending = false;
        return set_pkey(paged, out->pkey, err);
    }
    for (;;) {
        bool end = false;
        int rc = paged->page ? BASE_OK : next_page(paged, &end, err);
        if (rc != BASE_OK)
            return rc;
        if (end) {
            base_buf_reset(&paged->pkey);
            return BASE_OK;
        }
        rc = paged->page->ops->partition(paged->page, out, err);
        if (rc != BASE_OK)
            return rc;
        if (out->pkey.len == 0) { /* this page is through */
            if (!paged->read.more) {
                base_buf_reset(&paged->pkey);
                return BASE_OK;
            }
            drop_page(paged);
            ask(paged, &paged->next_task);
        } else if (!base_slice_equal(out->pkey, base_buf_view(&paged->pkey))) {
            return set_pkey(paged, out->pkey, err);
        } /* else the rest of the one that is being skipped */
    }
}

static int paged_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct nodei_paged *paged = BASE_CONTAINER(src, struct nodei_paged, source);
    *out = (struct base_item){.kind = BASE_ITEM_END};
    while (paged->page && !paged->has_pending) {
        int rc = paged->page->ops->next(paged->page, out, err);
        if (rc != BASE_OK || out->kind != BASE_ITEM_END)
            return rc;
        /* The partition's end, or only the page's? It goes on if the next page begins with the same
         * partition. */
        struct base_partition partition;
        rc = paged->page->ops->partition(paged->page, &partition, err);
        if (rc != BASE_OK)
            return rc;
        if (partition.pkey.len == 0) {
            bool end;
            rc = next_page(paged, &end, err);
            if (rc != BASE_OK || end)
                return rc;
            rc = paged->page->ops->partition(paged->page, &partition, err);
            if (rc != BASE_OK)
                return rc;
            if (base_slice_equal(partition.pkey, base_buf_view(&paged->pkey)))
                continue;
        }
        if (partition.pkey.len) {
            paged->pending = partition;
            paged->has_pending = true;
        }
        return BASE_OK;
    }
    return BASE_OK;
}

/* The struct stays: it is the node_read's, for reuse. */
static void paged_close(struct base_source *src)
{
    struct nodei_paged *paged = BASE_CONTAINER(src, struct nodei_paged, source);
    drop_page(paged);
    if (!paged->awaited && paged->over)
        paged->open = false;
    if (!paged->open)
        return;
    /* A page may be on its way: close comes after its request, ends it, and its done is not called
     * any more. */
    waiter_reset(&paged->close_waiter);
    nodei_cluster_post(paged->cluster, &paged->close_task);
    (void)waiter_wait(&paged->close_waiter, NULL);
    paged->open = paged->awaited = false;
}

static const struct base_source_ops paged_ops = {paged_partition, paged_next, paged_close};

void nodei_paged_free(struct nodei_paged *paged)
{
    if (!paged)
        return;
    BASE_ASSERT(!paged->open);
    waiter_fini(&paged->waiter);
    waiter_fini(&paged->close_waiter);
    base_buf_fini(&paged->pkey);
    base_buf_fini(&paged->last);
    free(paged);
}

/* Asks for the first page and does not wait for it. cmd's limits are the consumer's: here they only
 * say how much is wanted. */
int nodei_paged_open(struct node_session *session, const struct base_table *table,
                     const struct base_read *cmd, int consistency, struct nodei_paged **paged_io,
                     struct base_source **out, struct base_err *err)
{
    struct nodei_paged *paged = *paged_io;
    int rc = nodei_cluster_wait(session->node, session, err);
    if (rc != BASE_OK)
        return rc;
    if (!paged) {
        paged = *paged_io = calloc(1, sizeof *paged);
        if (!paged)
            return base_err_set(err, BASE_E_NOMEM, "read: out of memory");
        paged->source.ops = &paged_ops;
        paged->cluster = session->node->cluster;
        paged->session = session;
        paged->first_task.run = page_first;
        paged->next_task.run = page_next;
        paged->close_task.run = page_close;
        waiter_init(&paged->waiter);
        waiter_init(&paged->close_waiter);
        base_buf_init(&paged->pkey, BASE_PKEY_LEN_MAX);
        base_buf_init(&paged->last, LAST_PAGE_BYTES);
    }
    BASE_ASSERT(!paged->open);
    paged->cmd = *cmd;
    paged->cmd.row_limit = UINT64_MAX;
    paged->cmd.partition_row_limit = session->txn.count ? UINT64_MAX : cmd->partition_row_limit;
    bool filtered = cmd->filter_count > 0;
    paged->read = (struct repl_read){
        .cmd = &paged->cmd,
        .table = table,
        .consistency = consistency,
        .page_rows_max = !filtered && cmd->row_limit < PAGE_ROWS ? cmd->row_limit : PAGE_ROWS,
        .done = page_done,
    };
    base_buf_reset(&paged->pkey);
    paged->has_pending = false;
    paged->over = false;
    paged->open = true;
    ask(paged, &paged->first_task);
    *out = &paged->source;
    return BASE_OK;
}
