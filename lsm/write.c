/* Writing: back-pressure, commit log, memtables, durability (lsm/lsm.h).
 *
 * A group's order of events: it is checked whole; appended to the log; applied; then, if it was
 * asked for, synced. It is visible before it is durable, as in every store whose sync is shared;
 * who must not act on another's unsynced write asks LSM_DURABLE_SYNCED for its own. The switch lock
 * is held from append to apply and not while syncing. */
#include "lsm/lsm_private.h"

int lsmi_apply(struct lsm_table *table, const struct base_mutation *m, uint64_t position,
               struct base_err *err)
{
    struct lsmi_memtable *mt = table->memtable;
    if (position == 0) {
        atomic_store_explicit(&mt->unlogged, true, memory_order_relaxed);
    } else {
        uint64_t from = atomic_load_explicit(&mt->log_from, memory_order_relaxed);
        while (position < from && !atomic_compare_exchange_weak(&mt->log_from, &from, position))
            ;
    }
    atomic_fetch_add_explicit(&table->writes, 1, memory_order_relaxed);
    return lsmi_memtable_apply(mt, m, err);
}

/* Background syncs. */

static enum base_step sync_step(struct base_job *job)
{
    struct lsm_store *store = BASE_CONTAINER(job, struct lsm_store, sync_job);
    uint64_t now = lsmi_now_ns(store);
    if (now < store->sync_due_ns && !atomic_load(&store->closing)) {
        job->delay_ns =
            store->sync_due_ns - now < LSMI_POLL_NS ? store->sync_due_ns - now : LSMI_POLL_NS;
        return BASE_STEP_WAIT;
    }
    struct base_err err;
    if (lsmi_log_sync(store->log, UINT64_MAX, &err) != BASE_OK)
        base_logf(store->options.log, BASE_LOG_ERROR,
                  "commit log: sync failed, writing has stopped: %s", err.text);
    atomic_store(&store->sync_posted, false);
    bool expected = false;
    if (!atomic_load(&store->closing) && lsmi_log_is_dirty(store->log) &&
        atomic_compare_exchange_strong(&store->sync_posted, &expected, true)) {
        store->sync_due_ns = lsmi_now_ns(store) + store->options.sync_period_ns;
        job->delay_ns = store->options.sync_period_ns < LSMI_POLL_NS ? store->options.sync_period_ns
                                                                     : LSMI_POLL_NS;
        return BASE_STEP_WAIT;
    }
    lsmi_job_done(store);
    return BASE_STEP_DONE;
}

static void sync_cancelled(struct base_job *job)
{
    struct lsm_store *store = BASE_CONTAINER(job, struct lsm_store, sync_job);
    atomic_store(&store->sync_posted, false);
    lsmi_job_done(store);
}

static enum base_step spare_step(struct base_job *job)
{
    struct lsm_store *store = BASE_CONTAINER(job, struct lsm_store, spare_job);
    if (!atomic_load(&store->closing))
        lsmi_log_prepare_spare(store->log);
    atomic_store(&store->spare_posted, false);
    lsmi_job_done(store);
    return BASE_STEP_DONE;
}

static void spare_cancelled(struct base_job *job)
{
    struct lsm_store *store = BASE_CONTAINER(job, struct lsm_store, spare_job);
    atomic_store(&store->spare_posted, false);
    lsmi_job_done(store);
}

void lsmi_sync_job_init(struct lsm_store *store)
{
    store->sync_job = (struct base_job){.step = sync_step,
                                        .cancelled = sync_cancelled,
                                        .name = "commit log sync",
                                        .lane = BASE_LANE_SYNC};
    store->spare_job = (struct base_job){.step = spare_step,
                                         .cancelled = spare_cancelled,
                                         .name = "commit log segment",
                                         .lane = BASE_LANE_FLUSH};
}

static void sync_later(struct lsm_store *store)
{
    bool expected = false;
    if (atomic_load_explicit(&store->sync_posted, memory_order_relaxed) ||
        atomic_load(&store->closing) ||
        !atomic_compare_exchange_strong(&store->sync_posted, &expected, true))
        return;
    uint64_t period = store->options.sync_period_ns;
    store->sync_due_ns = lsmi_now_ns(store) + period;
    store->sync_job.delay_ns = period < LSMI_POLL_NS ? period : LSMI_POLL_NS;
    lsmi_job_post(store, &store->sync_job);
}

static void spare_later(struct lsm_store *store)
{
    bool expected = false;
    if (!atomic_load(&store->closing) &&
        atomic_compare_exchange_strong(&store->spare_posted, &expected, true))
        lsmi_job_post(store, &store->spare_job);
}

/* The group. */

/* Memtables are full and time is up: why do they not get emptier? A full disk is said as such, at
 * once. */
static int explain_full(struct lsm_store *store, uint64_t used, struct base_err *err)
{
    struct base_err cause = {0};
    size_t count;
    struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&tables[i]->lock);
        if (tables[i]->flush.failing)
            cause = tables[i]->flush_err;
        pthread_mutex_unlock(&tables[i]->lock);
        lsmi_table_release(tables[i]);
    }
    free(tables);
    if (cause.code == BASE_OK)
        return base_err_set(err, BASE_E_OVERLOADED,
                            "memtables hold %llu of %llu bytes and flushing does not "
                            "keep up; try again later",
                            (unsigned long long)used,
                            (unsigned long long)store->options.memtable_size_max);
    return base_err_set(err, cause.code == BASE_E_NOSPACE ? BASE_E_NOSPACE : BASE_E_OVERLOADED,
                        "memtables are full and cannot be flushed: %s", cause.text);
}

/* Wait until memtables have room. */
static int wait_for_space(struct lsm_store *store, uint64_t timeout_ns, struct base_err *err)
{
    uint64_t start = lsmi_now_ns(store);
    for (;;) {
        lsmi_flush_for_space(store);
        uint64_t used = atomic_load_explicit(&store->memtable_bytes, memory_order_relaxed);
        if (used < store->options.memtable_size_max)
            return BASE_OK;
        int rc = lsmi_log_usable(store->log, err);
        if (rc != BASE_OK)
            return rc;
        uint64_t waited = lsmi_now_ns(store) - start;
        if (waited >= timeout_ns || lsmi_stopping(store))
            return explain_full(store, used, err);
        uint64_t left = timeout_ns - waited;
        base_executor_wait(store->options.executor, left < LSMI_WAIT_NS ? left : LSMI_WAIT_NS);
    }
}

/* Every mutation decodes, its table is open, and there are as many as said. Under switch_lock. */
static int group_check(struct lsm_store *store, struct base_slice group, size_t count,
                       struct base_mutation *first, struct lsm_table **first_table,
                       struct base_err *err)
{
    struct base_reader in = base_reader(group);
    size_t n = 0;
    struct lsm_table *table = NULL;
    while (base_reader_left(&in)) {
        struct base_mutation m;
        if (!base_mutation_decode(&in, &m) || m.pkey.len <= 8)
            return base_err_set(err, BASE_E_CORRUPT, "write: mutation %zu does not decode", n);
        if (!table || !base_uuid_equal(table->id, m.table_id))
            table = lsmi_table_lookup(store, m.table_id);
        if (!table) {
            char id[37];
            base_uuid_print(m.table_id, id);
            return base_err_set(err, BASE_E_NOTFOUND, "write: no table with id %s", id);
        }
        if (n++ == 0) {
            *first = m;
            *first_table = table;
        }
    }
    if (n == 0 || n != count)
        return base_err_set(err, BASE_E_INVALID, "write: %zu mutations, %zu announced", n, count);
    return BASE_OK;
}

/* Apply a group of several; *applied: how many before a failure. */
static int group_apply(struct lsm_store *store, struct base_slice group, uint64_t position,
                       size_t *applied, struct base_err *err)
{
    struct base_reader in = base_reader(group);
    struct lsm_table *table = NULL;
    int rc = BASE_OK;
    *applied = 0;
    while (rc == BASE_OK && base_reader_left(&in)) {
        struct base_mutation m;
        bool ok = base_mutation_decode(&in, &m);
        BASE_ASSERT(ok); /* group_check saw it */
        if (!table || !base_uuid_equal(table->id, m.table_id))
            table = lsmi_table_lookup(store, m.table_id);
        rc = lsmi_apply(table, &m, position, err);
        *applied += rc == BASE_OK;
    }
    return rc;
}

/* A group that is in the log could not be applied. When nothing of it was, the log is told so. Else
 * only a restart can make it whole: replay applies all of it. */
static void group_failed(struct lsm_store *store, uint64_t position, size_t applied,
                         struct base_err *err)
{
    if (applied == 0 && (position == 0 || lsmi_log_cancel(store->log, position, NULL) == BASE_OK))
        return;
    struct base_err cause;
    base_err_set(&cause, BASE_E_STOPPED, "a logged group was applied in part (%s)",
                 err ? err->text : "");
    lsmi_log_stop(store->log, &cause);
    base_logf(store->options.log, BASE_LOG_ERROR, "%s", cause.text);
}

int lsm_write(struct lsm_store *store, struct base_slice group, size_t mutation_count,
              enum lsm_durability durability, uint64_t timeout_ns, struct base_err *err)
{
    struct base_err own;
    err = err ? err : &own;
    if (BASE_UNLIKELY(!store->replayed))
        return base_err_set(err, BASE_E_INVALID, "write before replay");
    uint64_t max = store->options.memtable_size_max;
    uint64_t used = atomic_load_explicit(&store->memtable_bytes, memory_order_relaxed);
    if (BASE_UNLIKELY(used >= max)) {
        int rc = wait_for_space(store, timeout_ns, err);
        if (rc == BASE_E_NOSPACE)
            lsmi_space_refused(store, err);
        if (rc != BASE_OK)
            return rc;
    }
    pthread_rwlock_rdlock(&store->switch_lock);
    struct base_mutation first;
    struct lsm_table *table = NULL;
    uint64_t position = 0;
    size_t applied = 0;
    int rc = group_check(store, group, mutation_count, &first, &table, err);
    if (rc == BASE_OK && durability != LSM_DURABLE_MEMORY)
        rc = lsmi_log_append(store->log, group, (uint32_t)mutation_count, &position, err);
    else if (rc == BASE_OK)
        rc = lsmi_log_usable(store->log, err);
    if (rc == BASE_OK) {
        rc = mutation_count == 1 ? lsmi_apply(table, &first, position, err)
                                 : group_apply(store, group, position, &applied, err);
        if (BASE_UNLIKELY(rc != BASE_OK))
            group_failed(store, position, applied, err);
    }
    pthread_rwlock_unlock(&store->switch_lock);
    if (BASE_UNLIKELY(rc == BASE_E_NOSPACE))
        lsmi_space_refused(store, err);
    if (BASE_UNLIKELY(rc != BASE_OK))
        return rc;
    if (BASE_UNLIKELY(atomic_load_explicit(&store->full_said, memory_order_relaxed)))
        lsmi_space_found(store, true);
    if (position && (durability == LSM_DURABLE_SYNCED || store->options.sync == LSM_SYNC_BATCH))
        rc = lsmi_log_sync(store->log, position + 1, err);
    else if (position)
        sync_later(store);
    if (BASE_UNLIKELY(lsmi_log_wants_spare(store->log)))
        spare_later(store);
    used = atomic_load_explicit(&store->memtable_bytes, memory_order_relaxed) -
           atomic_load_explicit(&store->flushing_bytes, memory_order_relaxed);
    if (BASE_UNLIKELY(used > max / 2 ||
                      lsmi_log_size(store->log) > store->options.commitlog_total_size))
        lsmi_flush_for_space(store);
    return rc;
}

bool lsm_write_may_wait(struct lsm_store *store, size_t size_bytes)
{
    uint64_t used = atomic_load_explicit(&store->memtable_bytes, memory_order_relaxed);
    if (!store->replayed || store->options.sync == LSM_SYNC_BATCH ||
        used >= store->options.memtable_size_max)
        return true;
    if (pthread_rwlock_tryrdlock(&store->switch_lock) != 0)
        return true;
    pthread_rwlock_unlock(&store->switch_lock);
    return !lsmi_log_has_room(store->log, size_bytes);
}

int lsm_sync(struct lsm_store *store, struct base_err *err)
{
    if (!store->replayed)
        return BASE_OK;
    return lsmi_log_sync(store->log, UINT64_MAX, err);
}
