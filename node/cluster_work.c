/* The store and metadata ports of replication/ over lsm/ and catalog/: a thread each for writes,
 * reads and metadata, so that a slow disk never stops the event loop and a read never waits behind
 * a write.
 *
 * Invariants:
 *  1. An operation is pending from submit to its done, which runs on the loop's thread.
 *  2. Results go back in batches: one wake-up of the loop for all that were ready when it looked.
 *  3. Writes that wait together and ask for the same durability are one group of the commit log, up
 *     to GROUP_BYTES: under load one write() serves many. A group that is refused is tried again
 *     one by one, so that each gets its own answer.
 *  4. A lone small write in a turn of the loop, with nobody before it, is made on the loop itself
 *     if the store says that it is one write() to a file that is there (docs/decisions/0011): two
 *     wake-ups less on the way of one statement at a time. One that took longer than SLOW_NS shows
 *     a slow disk: for CALM_NS after it all go to the thread.
 *  5. A thread starts with its first operation, blocks all signals, and sleeps without a
 *     timeout. */
#include <errno.h>
#include <signal.h>

#include "node/cluster_private.h"
#include "node/schema_private.h"

enum { GROUP_BYTES = 1 << 20, STACK_SIZE = 512 * 1024, SMALL_BYTES = 16 << 10 };
#define SLOW_NS UINT64_C(2000000)
#define CALM_NS UINT64_C(10000000000)

/* Results, on the loop. */

static void run_done(struct net_task *task)
{
    struct nodei_work *work = BASE_CONTAINER(task, struct nodei_work, done_task);
    pthread_mutex_lock(&work->mutex);
    struct repl_store_op *store = work->store_done;
    struct repl_meta_op *meta = work->meta_done;
    work->store_done = NULL;
    work->meta_done = NULL;
    work->done_posted = false;
    pthread_mutex_unlock(&work->mutex);
    /* They came in by pushing: the first one is last. */
    struct repl_store_op *store_list = NULL;
    for (struct repl_store_op *next; store; store = next) {
        next = store->next;
        store->next = store_list;
        store_list = store;
    }
    for (struct repl_store_op *next; store_list; store_list = next) {
        next = store_list->next;
        work->pending--;
        work->pending_writes -= store_list->kind == REPL_STORE_WRITE;
        store_list->done(store_list);
    }
    struct repl_meta_op *meta_list = NULL;
    for (struct repl_meta_op *next; meta; meta = next) {
        next = meta->next;
        meta->next = meta_list;
        meta_list = meta;
    }
    for (struct repl_meta_op *next; meta_list; meta_list = next) {
        next = meta_list->next;
        work->pending--;
        meta_list->done(meta_list);
    }
}

/* Writes. */

static int write_group(struct nodei_worker *worker, struct base_slice group, size_t count,
                       enum repl_durability durability, uint64_t timeout_ns, struct base_err *err)
{
    static const enum lsm_durability levels[] = {
        [REPL_DURABLE_MEMORY] = LSM_DURABLE_MEMORY,
        [REPL_DURABLE_LOG] = LSM_DURABLE_LOG,
        [REPL_DURABLE_SYNCED] = LSM_DURABLE_SYNCED,
    };
    nodei_enter(worker->session);
    int rc =
        lsm_write(worker->work->node->store, group, count, levels[durability], timeout_ns, err);
    nodei_leave(worker->session);
    return rc;
}

static void write_alone(struct nodei_worker *worker, struct repl_store_op *op)
{
    op->rc = write_group(worker, op->group, op->mutation_count, op->durability, op->timeout_ns,
                         &op->err);
}

/* The operations from `first` that go into one group: up to the one returned (exclusive). */
static struct repl_store_op *gather(struct nodei_worker *worker, struct repl_store_op *first,
                                    size_t *count, uint64_t *timeout_ns)
{
    struct repl_store_op *op = first;
    base_buf_reset(&worker->group);
    *count = 0;
    *timeout_ns = UINT64_MAX;
    for (; op && op->kind == REPL_STORE_WRITE && op->durability == first->durability;
         op = op->next) {
        if (worker->group.len && worker->group.len + op->group.len > GROUP_BYTES)
            break;
        if (base_buf_put_slice(&worker->group, op->group) != BASE_OK)
            break;
        *count += op->mutation_count;
        *timeout_ns = op->timeout_ns < *timeout_ns ? op->timeout_ns : *timeout_ns;
    }
    return op;
}

static struct repl_store_op *run_writes(struct nodei_worker *worker, struct repl_store_op *first)
{
    size_t count;
    uint64_t timeout_ns;
    if (!first->next || first->next->kind != REPL_STORE_WRITE ||
        first->next->durability != first->durability) {
        write_alone(worker, first);
        return first->next;
    }
    struct repl_store_op *end = gather(worker, first, &count, &timeout_ns);
    if (end == first) { /* no memory for the group */
        write_alone(worker, first);
        return first->next;
    }
    struct base_err err = {0};
    int rc = write_group(worker, base_buf_view(&worker->group), count, first->durability,
                         timeout_ns, &err);
    for (struct repl_store_op *op = first; op != end; op = op->next) {
        if (rc == BASE_OK || rc == BASE_E_STOPPED || rc == BASE_E_IO) {
            op->rc = rc;
            op->err = err;
        } else {
            write_alone(worker, op);
        }
    }
    return end;
}

/* Reads. */

/* With a session and a parked stream of the thread's own. */
static void read_with(struct node *node, struct node_session *session, struct base_source **spare,
                      struct repl_store_op *op)
{
    struct base_source *source = NULL, *reuse = *spare;
    *spare = NULL;
    nodei_enter(session);
    struct lsm_table *table = lsm_table_find(node->store, op->cmd->table_id);
    if (!table) {
        op->rc = base_err_set(&op->err, BASE_E_NOTFOUND, "there is no such table here");
        *spare = reuse;
    } else {
        op->rc =
            lsm_read(table, op->cmd, op->cmd->filter_count == 0, NULL, 0, reuse, &source, &op->err);
    }
    nodei_leave(session);
    if (op->rc == BASE_OK)
        op->rc = op->consume(op, source, &op->err);
    if (source) {
        lsm_read_park(source);
        *spare = source;
    }
}

/* On the loop: one row that is in memory costs less there than handing it over. */
static bool read_lone(struct nodei_work *work, struct repl_store_op *op)
{
    nodei_enter(work->session);
    struct lsm_table *table = lsm_table_find(work->node->store, op->cmd->table_id);
    bool here = table && !lsm_read_may_wait(table, op->cmd);
    nodei_leave(work->session);
    if (here)
        read_with(work->node, work->session, &work->spare, op);
    return here;
}

/* What a joining node may miss is not in the way of its joining: traces are for today. (A role that
 * was made is.) */
static bool counts_as_data(const struct base_table *table)
{
    return !base_slice_equal(table->keyspace, BASE_SLICE_LIT("system_traces"));
}

static int holds_data(struct node *node, bool *out)
{
    struct base_schema *schema = node_schema(node);
    *out = false;
    for (size_t i = 0; i < schema->table_count && !*out; i++) {
        struct lsm_table *table = lsm_table_find(node->store, schema->tables_by_id[i]->id);
        struct lsm_table_stats stats = {0};
        if (table && counts_as_data(schema->tables_by_id[i]))
            lsm_table_get_stats(table, &stats);
        *out = stats.sstable_count > 0 || stats.memtable_rows > 0;
    }
    base_schema_release(schema);
    return BASE_OK;
}

static void probe(struct nodei_worker *worker, struct repl_store_op *op)
{
    nodei_enter(worker->session);
    op->rc = holds_data(worker->work->node, &op->holds_data);
    nodei_leave(worker->session);
}

static void count(struct nodei_worker *worker, struct repl_store_op *op)
{
    nodei_enter(worker->session);
    struct lsm_table *table = lsm_table_find(worker->work->node->store, op->cmd->table_id);
    op->rc = table ? lsm_index_counts(table, op->cmd, op->counts, &op->err)
                   : base_err_set(&op->err, BASE_E_NOTFOUND, "there is no such table here");
    nodei_leave(worker->session);
}

static void run_store_ops(struct nodei_worker *worker, struct repl_store_op *list)
{
    while (list) {
        switch (list->kind) {
        case REPL_STORE_WRITE:
            list = run_writes(worker, list);
            break;
        case REPL_STORE_READ:
            read_with(worker->work->node, worker->session, &worker->spare, list);
            list = list->next;
            break;
        case REPL_STORE_PROBE:
            probe(worker, list);
            list = list->next;
            break;
        case REPL_STORE_COUNT:
            count(worker, list);
            list = list->next;
            break;
        }
    }
}

/* Metadata. */

static int read_log(struct node *node, struct repl_meta_op *op)
{
    struct base_buf entry;
    size_t start = op->buf->len;
    base_buf_init(&entry, REPL_ENTRY_SIZE_MAX);
    uint64_t last = node_schema_epoch(node);
    int rc = BASE_OK;
    for (uint64_t epoch = op->epoch; rc == BASE_OK && epoch <= last; epoch++) {
        base_buf_reset(&entry);
        rc = cat_log_get(node->catalog, epoch, &entry, &op->err);
        if (rc == BASE_OK && op->buf->len > start &&
            op->buf->len - start + entry.len > op->bytes_max)
            break;
        if (rc == BASE_OK)
            rc = repl_entry_put(op->buf, epoch, base_buf_view(&entry));
    }
    base_buf_fini(&entry);
    return rc;
}

static void run_meta_ops(struct nodei_worker *worker, struct repl_meta_op *list)
{
    struct node *node = worker->work->node;
    for (struct repl_meta_op *op = list; op; op = op->next) {
        switch (op->kind) {
        case REPL_META_APPEND:
        case REPL_META_INSTALL:
            op->rc = nodei_schema_append(node, op, &op->err);
            break;
        case REPL_META_PUT:
            op->rc = cat_local_put(node->catalog, op->key, op->value, &op->err);
            break;
        case REPL_META_READ_LOG:
            op->rc = read_log(node, op);
            break;
        }
    }
}

/* Threads. */

/* Under the mutex. True: the caller posts the results' task, once the mutex is free, for the loop
 * takes it at once. */
BASE_MUST static bool finish(struct nodei_worker *worker, struct repl_store_op *store,
                             struct repl_meta_op *meta)
{
    struct nodei_work *work = worker->work;
    for (struct repl_store_op *next; store; store = next) {
        next = store->next;
        store->next = work->store_done;
        work->store_done = store;
        worker->completed++;
        worker->active--;
    }
    for (struct repl_meta_op *next; meta; meta = next) {
        next = meta->next;
        meta->next = work->meta_done;
        work->meta_done = meta;
        worker->completed++;
        worker->active--;
    }
    bool post = !work->done_posted;
    work->done_posted = true;
    return post;
}

static void *run(void *ctx)
{
    struct nodei_worker *worker = ctx;
    struct nodei_work *work = worker->work;
    pthread_mutex_lock(&work->mutex);
    for (;;) {
        struct repl_store_op *store = worker->store_head;
        struct repl_meta_op *meta = worker->meta_head;
        if (!store && !meta) {
            if (work->stopping)
                break;
            worker->sleeping = true;
            pthread_cond_wait(&worker->wake, &work->mutex);
            continue;
        }
        worker->store_head = NULL;
        worker->store_end = &worker->store_head;
        worker->meta_head = NULL;
        worker->meta_end = &worker->meta_head;
        pthread_mutex_unlock(&work->mutex);
        run_store_ops(worker, store);
        run_meta_ops(worker, meta);
        pthread_mutex_lock(&work->mutex);
        if (finish(worker, store, meta)) {
            pthread_mutex_unlock(&work->mutex);
            net_loop_post(work->loop, &work->done_task);
            pthread_mutex_lock(&work->mutex);
        }
    }
    pthread_mutex_unlock(&work->mutex);
    return NULL;
}

/* Under the mutex; false: there is no thread, and none can be made. *asleep: the caller wakes it
 * once the mutex is free, so that it does not wake only to wait for that; one call for all that
 * comes before it runs. */
static bool prepare(struct nodei_worker *worker, bool *asleep)
{
    *asleep = worker->sleeping;
    worker->sleeping = false;
    if (worker->started)
        return true;
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    worker->started = pthread_create(&worker->thread, &attr, run, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return worker->started;
}

/* On the loop. */
static bool is_lone(struct nodei_work *work, const struct repl_store_op *op)
{
    uint64_t turn = net_loop_now(work->loop).ns;
    bool first = turn != work->lone_turn;
    work->lone_turn = turn;
    return first && op->group.len <= SMALL_BYTES && op->durability != REPL_DURABLE_SYNCED &&
           turn >= work->calm_until_ns && work->pending_writes == 0 &&
           !lsm_write_may_wait(work->node->store, op->group.len);
}

static void write_lone(struct nodei_work *work, struct repl_store_op *op)
{
    uint64_t start = base_clock_mono(work->node->clock).ns;
    op->rc = lsm_write(work->node->store, op->group, op->mutation_count,
                       op->durability == REPL_DURABLE_MEMORY ? LSM_DURABLE_MEMORY : LSM_DURABLE_LOG,
                       0, &op->err);
    uint64_t end = base_clock_mono(work->node->clock).ns;
    if (end - start > SLOW_NS)
        work->calm_until_ns = end + CALM_NS;
}

static enum repl_answer submit_store(struct repl_store *store, struct repl_store_op *op)
{
    struct nodei_work *work = BASE_CONTAINER(store, struct nodei_work, store);
    struct nodei_worker *worker =
        &work->workers[op->kind == REPL_STORE_WRITE ? NODEI_WORK_WRITES : NODEI_WORK_READS];
    enum repl_answer answer = REPL_PENDING;
    bool asleep;
    op->next = NULL;
    op->rc = BASE_OK;
    if (op->kind == REPL_STORE_WRITE && is_lone(work, op)) {
        write_lone(work, op);
        return REPL_DONE;
    }
    if (op->kind == REPL_STORE_READ && read_lone(work, op))
        return REPL_DONE;
    pthread_mutex_lock(&work->mutex);
    *worker->store_end = op;
    worker->store_end = &op->next;
    worker->active++;
    if (!prepare(worker, &asleep)) {
        BASE_ASSERT(worker->store_head == op);
        worker->store_head = NULL;
        worker->store_end = &worker->store_head;
        worker->active--;
        op->rc = base_err_set(&op->err, BASE_E_NOMEM, "no thread for the store could be started");
        answer = REPL_DONE;
    } else {
        work->pending++;
        work->pending_writes += op->kind == REPL_STORE_WRITE;
    }
    pthread_mutex_unlock(&work->mutex);
    if (asleep)
        pthread_cond_signal(&worker->wake);
    return answer;
}

static enum repl_answer submit_meta(struct repl_meta *meta, struct repl_meta_op *op)
{
    struct nodei_work *work = BASE_CONTAINER(meta, struct nodei_work, meta);
    struct nodei_worker *worker = &work->workers[NODEI_WORK_METADATA];
    enum repl_answer answer = REPL_PENDING;
    bool asleep;
    op->next = NULL;
    op->rc = BASE_OK;
    pthread_mutex_lock(&work->mutex);
    *worker->meta_end = op;
    worker->meta_end = &op->next;
    worker->active++;
    if (!prepare(worker, &asleep)) {
        BASE_ASSERT(worker->meta_head == op);
        worker->meta_head = NULL;
        worker->meta_end = &worker->meta_head;
        worker->active--;
        op->rc = base_err_set(&op->err, BASE_E_NOMEM, "no thread for the catalog could be started");
        answer = REPL_DONE;
    } else {
        work->pending++;
    }
    pthread_mutex_unlock(&work->mutex);
    if (asleep)
        pthread_cond_signal(&worker->wake);
    return answer;
}

static const struct repl_store_ops store_ops = {submit_store};
static const struct repl_meta_ops meta_ops = {submit_meta};

int nodei_work_open(struct nodei_work *work, struct node *node, struct net_loop *loop,
                    struct base_err *err)
{
    int rc = BASE_OK;
    work->node = node;
    work->loop = loop;
    work->store.ops = &store_ops;
    work->meta.ops = &meta_ops;
    work->done_task.run = run_done;
    pthread_mutex_init(&work->mutex, NULL);
    rc = nodei_session_internal(node, &work->session, err);
    for (int i = 0; i < NODEI_WORK_LANES; i++) {
        struct nodei_worker *worker = &work->workers[i];
        worker->work = work;
        worker->lane = (enum nodei_work_lane)i;
        worker->store_end = &worker->store_head;
        worker->meta_end = &worker->meta_head;
        base_buf_init(&worker->group, 2 * GROUP_BYTES);
        pthread_cond_init(&worker->wake, NULL);
        if (rc == BASE_OK)
            rc = nodei_session_internal(node, &worker->session, err);
    }
    return rc;
}

void nodei_work_get_stats(struct nodei_work *work, enum nodei_work_lane lane,
                          struct nodei_stage_stats *out)
{
    static const char *const names[NODEI_WORK_LANES] = {[NODEI_WORK_WRITES] = "MutationStage",
                                                        [NODEI_WORK_READS] = "ReadStage",
                                                        [NODEI_WORK_METADATA] = "MetadataLogStage"};
    _Static_assert(NODEI_WORK_LANES == NODEI_STAGES, "a stage a lane");
    out->name = names[lane];
    if (!work->loop) /* a guest's: not opened */
        return;
    pthread_mutex_lock(&work->mutex);
    const struct nodei_worker *worker = &work->workers[lane];
    out->active = worker->active > 0; /* a lane is one thread */
    out->pending = worker->active - out->active;
    out->completed = worker->completed;
    pthread_mutex_unlock(&work->mutex);
}

void nodei_work_close(struct nodei_work *work)
{
    if (!work->loop)
        return;
    BASE_ASSERT(work->pending == 0);
    pthread_mutex_lock(&work->mutex);
    work->stopping = true;
    for (int i = 0; i < NODEI_WORK_LANES; i++)
        pthread_cond_signal(&work->workers[i].wake);
    pthread_mutex_unlock(&work->mutex);
    for (int i = 0; i < NODEI_WORK_LANES; i++) {
        struct nodei_worker *worker = &work->workers[i];
        if (worker->started)
            pthread_join(worker->thread, NULL);
        if (worker->spare)
            worker->spare->ops->close(worker->spare);
        nodei_session_internal_free(worker->session);
        base_buf_fini(&worker->group);
        pthread_cond_destroy(&worker->wake);
    }
    if (work->spare)
        work->spare->ops->close(work->spare);
    nodei_session_internal_free(work->session);
    pthread_mutex_destroy(&work->mutex);
}
