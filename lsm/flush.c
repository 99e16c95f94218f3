/* Flushing: a memtable becomes an SSTable (lsm/lsm_private.h).
 *
 * A switch puts a new memtable in front at an instant when no writer is between log and memtable:
 * so all records of the table before that position are in the older memtables. A job per table
 * writes the oldest of them in bounded steps and commits it; until then it is read where it is.
 *
 * The crash argument. Before the manifest's edit is durable the file is one that nobody names, and
 * the next open removes it; the log still has the records. With the edit both change together: the
 * file counts and replay starts behind its records. Only then is the log's space given back. A
 * commit that fails may be durable all the same: so its file is kept, and the same edit is tried
 * again. */
#include "lsm/lsm_private.h"

/* Switching. */

static bool memtable_is_empty(struct lsmi_memtable *mt)
{
    return lsmi_memtable_size(mt) == 0;
}

/* A new memtable in front, made for the indexes that the table has now. renew: also in place of an
 * empty one. *stale: the indexes have changed meanwhile, nothing was done. */
static int switch_once(struct lsm_table *table, bool renew, bool *switched, bool *stale,
                       struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    struct lsmi_memtable *fresh =
        lsmi_memtable_new_indexed(LSMI_SHARDS_MAX, &store->memtable_bytes, desc->desc.indexer);
    struct lsmi_view *old = NULL;
    int rc = fresh ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "flush: out of memory");
    bool post = false;
    *stale = false;
    if (rc != BASE_OK) {
        lsmi_desc_release(desc);
        return rc;
    }
    pthread_rwlock_wrlock(&store->switch_lock);
    pthread_mutex_lock(&table->lock);
    struct lsmi_view *view = table->view;
    bool empty = memtable_is_empty(table->memtable);
    *stale = table->desc->desc.indexer != desc->desc.indexer;
    if (!*stale && !table->dropped && !table->truncating && (!empty || renew)) {
        size_t kept = empty ? 1 : 0; /* an empty one is left out */
        struct lsmi_memtable **memtables = malloc((view->memtable_count + 1) * sizeof *memtables);
        struct lsmi_view *next = NULL;
        if (memtables) {
            memtables[0] = fresh;
            memcpy(memtables + 1, view->memtables + kept,
                   (view->memtable_count - kept) * sizeof *memtables);
            next = lsmi_view_new(memtables, view->memtable_count + 1 - kept, view->sstables,
                                 view->sstable_count, view->floor);
            free(memtables);
        }
        if (next) {
            if (!empty) {
                table->memtable->log_upto = lsmi_store_position(store);
                atomic_fetch_add(&store->flushing_bytes, lsmi_memtable_size(table->memtable));
                table->switched++;
                *switched = true;
                post = !table->flush.posted;
                table->flush.posted = true;
            }
            table->memtable = fresh;
            old = lsmi_view_swap(table, next);
        } else {
            rc = base_err_set(err, BASE_E_NOMEM, "flush: out of memory");
        }
    }
    pthread_mutex_unlock(&table->lock);
    pthread_rwlock_unlock(&store->switch_lock);
    lsmi_memtable_release(fresh); /* the view has its own reference, if it was needed */
    lsmi_view_release(old);
    lsmi_desc_release(desc);
    if (post) {
        atomic_fetch_add(&table->refs, 1);
        table->flush.job.delay_ns = 0;
        lsmi_job_post(store, &table->flush.job);
    }
    return rc;
}

int lsmi_table_switch(struct lsm_table *table, bool *switched, struct base_err *err)
{
    bool own, stale;
    switched = switched ? switched : &own;
    *switched = false;
    int rc;
    do
        rc = switch_once(table, false, switched, &stale, err);
    while (rc == BASE_OK && stale);
    return rc;
}

int lsmi_table_renew(struct lsm_table *table, struct base_err *err)
{
    bool switched, stale;
    /* only who holds manifest_lock changes the indexes */
    return switch_once(table, true, &switched, &stale, err);
}

uint64_t lsmi_log_low(struct lsm_store *store, const struct lsmi_memtable *except,
                      const struct lsm_table *gone)
{
    uint64_t low = lsmi_store_position(store);
    for (size_t i = 0; i < store->table_cap; i++) {
        struct lsm_table *table = store->tables[i];
        if (!table || table == gone)
            continue;
        pthread_mutex_lock(&table->lock);
        for (size_t k = 0; k < table->view->memtable_count; k++) {
            struct lsmi_memtable *mt = table->view->memtables[k];
            if (mt != except && atomic_load(&mt->log_from) < low)
                low = atomic_load(&mt->log_from);
        }
        pthread_mutex_unlock(&table->lock);
    }
    return low;
}

/* Choosing. */

/* The table with the largest memtable, or, when the log is what is too large, the one with the
 * oldest record; NULL when what asks for space is being flushed already. */
static struct lsm_table *choose(struct lsm_store *store, bool for_log)
{
    struct lsm_table *chosen = NULL;
    uint64_t best = 0, oldest = lsmi_store_position(store) >> 32 << 32;
    pthread_rwlock_rdlock(&store->switch_lock);
    for (size_t i = 0; i < store->table_cap; i++) {
        struct lsm_table *table = store->tables[i];
        if (!table)
            continue;
        uint64_t size = lsmi_memtable_size(table->memtable),
                 from = atomic_load(&table->memtable->log_from);
        if (for_log ? from < oldest : size > best) {
            chosen = table;
            best = size;
            oldest = from;
        }
    }
    if (chosen)
        atomic_fetch_add(&chosen->refs, 1);
    pthread_rwlock_unlock(&store->switch_lock);
    return chosen;
}

void lsmi_flush_for_space(struct lsm_store *store)
{
    if (pthread_mutex_trylock(&store->choose_lock) != 0)
        return;                    /* somebody is at it */
    for (int i = 0; i < 64; i++) { /* a bound, not a need: each round makes the condition smaller */
        uint64_t used = atomic_load(&store->memtable_bytes),
                 flushing = atomic_load(&store->flushing_bytes);
        bool memory = used > flushing && used - flushing > store->options.memtable_size_max / 2;
        bool log =
            store->replayed && lsmi_log_size(store->log) > store->options.commitlog_total_size;
        struct lsm_table *table = memory ? choose(store, false) : log ? choose(store, true) : NULL;
        if (!table)
            break;
        bool switched;
        int rc = lsmi_table_switch(table, &switched, NULL);
        lsmi_table_release(table);
        if (rc != BASE_OK || !switched)
            break;
    }
    pthread_mutex_unlock(&store->choose_lock);
}

/* The job: steps. */

static void flush_reset(struct lsmi_flush *f)
{
    if (f->merge)
        f->merge->ops->close(f->merge);
    f->merge = NULL;
    if (f->source)
        lsmi_mt_source_fini(f->source);
    free(f->source);
    f->source = NULL;
    lsmi_index_build_close(f->index);
    f->index = NULL;
    if (f->writer)
        lsmi_sst_writer_abort(f->writer);
    f->writer = NULL;
    if (f->sstable)
        lsmi_sst_release(f->sstable);
    f->sstable = NULL;
    f->memtable = NULL;
    f->in_partition = false;
    lsmi_view_release(f->view);
    f->view = NULL;
    f->phase = LSMI_FLUSH_PICK;
}

static int writer_open(struct lsm_table *table, uint64_t partitions, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_flush *f = &table->flush;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    char path[LSMI_PATH_MAX];
    pthread_mutex_lock(&store->manifest_lock);
    f->id = store->next_id++;
    pthread_mutex_unlock(&store->manifest_lock);
    lsmi_sstable_path(store, f->id, path);
    uint64_t from = atomic_load(&f->memtable->log_from);
    struct lsmi_sst_params params = {
        .fs = store->options.fs,
        .path = path,
        .id = f->id,
        .table_id = table->id,
        .host_id = store->options.host_id,
        .table_name = desc->desc.name,
        .compressor = desc->desc.compressor,
        .compression_level = desc->desc.compression_level,
        .block_size = store->options.block_size,
        .bloom_fp_chance = desc->desc.bloom_fp_chance,
        .partition_count_hint = partitions,
        .commitlog_from = from == UINT64_MAX ? f->memtable->log_upto : from,
        .commitlog_upto = f->memtable->log_upto,
    };
    int rc = lsmi_sst_writer_open(&params, &f->writer, err);
    if (rc == BASE_OK && desc->desc.indexer) {
        char dir[LSMI_PATH_MAX];
        lsmi_sstable_dir(store, dir);
        struct lsmi_index_config config = {.sst = params,
                                           .dir = dir,
                                           .indexer = desc->desc.indexer,
                                           .memory_max = store->options.index_build_size_max};
        rc = lsmi_index_build_open(&config, &f->index, err);
    }
    lsmi_desc_release(desc);
    return rc;
}

/* Pin the oldest memtable and open what is needed to write it. The one in front is never it:
 * writers are at work there, and a truncation may have taken the older ones since the job was
 * found due. Then nothing is pinned, and the next step ends. */
static int flush_begin(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_flush *f = &table->flush;
    f->view = lsmi_view_acquire(table);
    if (f->view->memtable_count == 1) {
        flush_reset(f);
        return BASE_OK;
    }
    f->memtable = f->view->memtables[f->view->memtable_count - 1];
    uint64_t partitions, rows;
    lsmi_memtable_count(f->memtable, &partitions, &rows);
    f->cmd = BASE_READ_INIT;
    f->cmd.slices = base_slices_all;
    f->source = calloc(1, sizeof *f->source);
    if (!f->source)
        return base_err_set(err, BASE_E_NOMEM, "flush: out of memory");
    struct base_source *source = &f->source->source;
    bool any = lsmi_mt_source_init(f->source, f->memtable, &f->cmd, BASE_DELETION_NONE);
    /* Through the merge, so that what a deletion in the same memtable shadows is not written. */
    struct base_merge_options options = {
        .keep_tombstones = true,
        .purge = {.now_s = INT64_MIN, .gc_before_s = INT64_MIN, .purgeable_ts = INT64_MIN},
    };
    int rc = base_merge_open(&source, any ? 1 : 0, &options, &f->merge, err);
    if (rc == BASE_OK)
        rc = writer_open(table, partitions, err);
    if (rc == BASE_OK)
        f->phase = LSMI_FLUSH_COPY;
    return rc;
}

/* Up to a step's bytes from the memtable to the writer. */
static int flush_copy(struct lsmi_flush *f, bool *done, struct base_err *err)
{
    size_t bytes = 0;
    *done = false;
    while (bytes < LSMI_STEP_BYTES) {
        int rc;
        if (!f->in_partition) {
            struct base_partition partition;
            rc = f->merge->ops->partition(f->merge, &partition, err);
            if (rc != BASE_OK)
                return rc;
            if (partition.pkey.len == 0) {
                *done = true;
                return BASE_OK;
            }
            f->in_partition = true;
            bytes += partition.pkey.len + partition.static_row.len;
            rc = lsmi_sst_writer_partition(f->writer, &partition, err);
            if (rc == BASE_OK && f->index)
                rc = lsmi_index_build_partition(f->index, &partition, err);
        } else {
            struct base_item item;
            rc = f->merge->ops->next(f->merge, &item, err);
            if (rc == BASE_OK && item.kind == BASE_ITEM_END) {
                f->in_partition = false;
                continue;
            }
            bytes += item.ckey.len + item.row.len + 16;
            if (rc == BASE_OK)
                rc = lsmi_sst_writer_item(f->writer, &item, err);
            if (rc == BASE_OK && f->index)
                rc = lsmi_index_build_item(f->index, &item, err);
        }
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* From here on the indexes' files are the SSTable's. */
static int flush_open_indexes(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_flush *f = &table->flush;
    int rc = lsmi_index_build_attach(f->index, f->sstable, table->store->cache, err);
    if (rc != BASE_OK)
        return rc;
    lsmi_index_build_keep(f->index);
    lsmi_index_build_close(f->index);
    f->index = NULL;
    return BASE_OK;
}

static int flush_finish(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_flush *f = &table->flush;
    struct lsm_sstable_info info;
    char path[LSMI_PATH_MAX], dir[LSMI_PATH_MAX];
    int rc = lsmi_sst_writer_finish(f->writer, &info, err);
    if (rc != BASE_OK)
        return rc;
    f->writer = NULL;
    lsmi_sstable_path(store, f->id, path);
    lsmi_sstable_dir(store, dir);
    if (info.partition_count ==
        0) { /* everything in it was rolled away by truncation or its own deletions */
        rc = base_fs_remove(store->options.fs, path, err);
        f->phase = LSMI_FLUSH_COMMIT;
        return rc;
    }
    rc = base_fs_sync_dir(store->options.fs, dir, err);
    if (rc == BASE_OK)
        rc = lsmi_sst_open(store->options.fs, path, store->cache, &f->sstable, err);
    if (rc == BASE_OK && f->index)
        rc = flush_open_indexes(table, err);
    if (rc == BASE_OK)
        f->phase = LSMI_FLUSH_COMMIT;
    else
        (void)!base_fs_remove(store->options.fs, path, NULL);
    return rc;
}

/* The job: commit. */

/* The view without the flushed memtable and with the new SSTable. */
static struct lsmi_view *view_after(const struct lsmi_view *view, const struct lsmi_flush *f)
{
    size_t n = view->memtable_count, m = view->sstable_count;
    struct lsmi_memtable **memtables = malloc(n * sizeof *memtables);
    struct lsm_sstable **sstables = malloc((m + 1) * sizeof *sstables);
    struct lsmi_view *next = NULL;
    if (memtables && sstables) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (view->memtables[i] != f->memtable)
                memtables[kept++] = view->memtables[i];
        BASE_ASSERT(kept == n - 1);
        if (m)
            memcpy(sstables, view->sstables, m * sizeof *sstables);
        if (f->sstable)
            sstables[m++] = f->sstable;
        next = lsmi_view_new(memtables, kept, sstables, m, view->floor);
    }
    free(memtables);
    free(sstables);
    return next;
}

static int edit_make(struct lsm_table *table, uint64_t low, struct base_buf *edit)
{
    const struct lsmi_flush *f = &table->flush;
    int rc = lsmi_edit_flushed(edit, table->id, f->memtable->log_upto);
    if (rc == BASE_OK && f->sstable) {
        struct lsmi_manifest_sstable entry = {
            .id = f->id, .table_id = table->id, .file_size = lsmi_sst_info(f->sstable)->file_size};
        rc = lsmi_edit_add(edit, &entry);
    }
    return rc == BASE_OK ? lsmi_edit_log_low(edit, low) : rc;
}

/* Put the view after the flush in place; the memtable's bytes are no longer ours to count. */
static void flush_swap(struct lsm_table *table, struct lsmi_view *next)
{
    struct lsm_store *store = table->store;
    struct lsmi_flush *f = &table->flush;
    uint64_t size = lsmi_memtable_size(f->memtable);
    pthread_mutex_lock(&table->lock);
    struct lsmi_view *old = lsmi_view_swap(table, next);
    table->flushed++;
    pthread_mutex_unlock(&table->lock);
    lsmi_view_release(old);
    /* readers may pin it for long; writers need not wait for them */
    f->memtable->size_total = NULL;
    atomic_fetch_sub(&store->memtable_bytes, size);
    atomic_fetch_sub(&store->flushing_bytes, size);
}

static bool still_there(struct lsm_table *table, const struct lsmi_memtable *mt)
{
    pthread_mutex_lock(&table->lock);
    bool there = false;
    for (size_t i = 0; i < table->view->memtable_count && !table->dropped; i++)
        there |= table->view->memtables[i] == mt;
    pthread_mutex_unlock(&table->lock);
    return there;
}

static int flush_commit(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_flush *f = &table->flush;
    struct base_buf edit;
    base_buf_init(&edit, 1 << 16);
    int rc = BASE_OK;
    uint64_t low = 0;
    struct lsmi_view *next = NULL;
    /* A group may span tables: none of it may be durable here before all of it is in the log, or a
     * power loss would leave a part of it, and a later group without an earlier one. */
    pthread_rwlock_rdlock(&store->switch_lock);
    bool replayed = store->replayed; /* before: what is replayed is durable in the log */
    pthread_rwlock_unlock(&store->switch_lock);
    if (replayed && f->memtable->log_upto)
        rc = lsmi_log_sync(store->log, f->memtable->log_upto, err);
    if (rc != BASE_OK) {
        base_buf_fini(&edit);
        return rc;
    }
    pthread_mutex_lock(&store->manifest_lock);
    if (!still_there(table, f->memtable)) { /* truncated or dropped meanwhile */
        if (f->sstable)
            lsmi_sst_mark_removed(f->sstable);
    } else {
        pthread_rwlock_wrlock(&store->switch_lock);
        low = lsmi_log_low(store, f->memtable, NULL);
        pthread_rwlock_unlock(&store->switch_lock);
        /* The sstables of a view change only under manifest_lock; memtables may be added in front
         * until the swap, which makes the view again if so. */
        rc = edit_make(table, low, &edit);
        if (rc != BASE_OK)
            base_err_set(err, rc, "flush: out of memory");
        bool committed = f->sstable && lsmi_manifest_find(&store->manifest, f->id);
        if (rc == BASE_OK && !committed)
            rc = lsmi_manifest_commit(&store->manifest, base_buf_view(&edit), err);
        if (rc == BASE_OK) {
            /* Durable. If there is no memory for the view now, we come again (`committed`). */
            pthread_rwlock_wrlock(&store->switch_lock);
            next = view_after(table->view, f);
            if (next)
                flush_swap(table, next);
            pthread_rwlock_unlock(&store->switch_lock);
            if (next && f->sstable)
                lsmi_index_prune(table, f->sstable);
            if (!next)
                rc = base_err_set(err, BASE_E_NOMEM, "flush: out of memory");
        }
    }
    pthread_mutex_unlock(&store->manifest_lock);
    base_buf_fini(&edit);
    if (rc == BASE_OK && next) {
        if (replayed)
            lsmi_log_discard(store->log, low);
        if (f->sstable)
            atomic_fetch_add(&store->flushed_bytes, lsmi_sst_info(f->sstable)->file_size);
        atomic_fetch_add(&store->flushes, 1);
    }
    return rc;
}

/* The job. */

static int flush_once(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_flush *f = &table->flush;
    bool done = false;
    int rc = BASE_OK;
    switch (f->phase) {
    case LSMI_FLUSH_PICK:
        return flush_begin(table, err);
    case LSMI_FLUSH_COPY:
        if (!still_there(table, f->memtable)) {
            flush_reset(f);
            return BASE_OK;
        }
        rc = flush_copy(f, &done, err);
        if (rc == BASE_OK && done && f->index)
            f->phase = LSMI_FLUSH_INDEX;
        else if (rc == BASE_OK && done)
            rc = flush_finish(table, err);
        return rc;
    case LSMI_FLUSH_INDEX:
        if (!still_there(table, f->memtable)) {
            flush_reset(f);
            return BASE_OK;
        }
        rc = lsmi_index_build_finish(f->index, LSMI_STEP_BYTES, &done, err);
        return rc == BASE_OK && done ? flush_finish(table, err) : rc;
    case LSMI_FLUSH_COMMIT:
        rc = flush_commit(table, err);
        if (rc == BASE_OK) {
            flush_reset(f);
            lsmi_compact_poke(table);
            lsmi_index_poke(table);
        }
        return rc;
    }
    return rc;
}

static void flush_failed(struct lsm_table *table, const struct base_err *err)
{
    struct lsmi_flush *f = &table->flush;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    base_logf(table->store->options.log, BASE_LOG_WARN,
              "flush of %s failed, will be tried again: %s", desc->desc.name, err->text);
    lsmi_desc_release(desc);
    /* A commit that failed may be on the disk: its file must stay, and be committed again. */
    if (f->phase != LSMI_FLUSH_COMMIT)
        flush_reset(f);
    lsmi_retry_failed(table->store, &f->retry);
    pthread_mutex_lock(&table->lock);
    table->flush_failures++;
    table->flush_err = *err;
    f->failing = true;
    pthread_mutex_unlock(&table->lock);
    lsmi_space_missed(table->store, err);
}

static void flush_end(struct lsm_table *table)
{
    struct lsm_store *store = table->store;
    flush_reset(&table->flush);
    lsmi_table_release(table);
    lsmi_job_done(store);
}

static enum base_step flush_step(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, flush.job);
    struct lsm_store *store = table->store;
    struct lsmi_flush *f = &table->flush;
    bool stop = lsmi_stopping(store);
    if (!stop && lsmi_retry_waits(store, &f->retry, &job->delay_ns))
        return BASE_STEP_WAIT;
    if (stop || f->phase == LSMI_FLUSH_PICK) {
        pthread_mutex_lock(&table->lock);
        bool end = stop || table->dropped || table->view->memtable_count == 1;
        if (end)
            f->posted = f->failing = false;
        pthread_mutex_unlock(&table->lock);
        if (end) {
            flush_end(table);
            return BASE_STEP_DONE;
        }
    }
    struct base_err err;
    base_err_clear(&err);
    if (flush_once(table, &err) != BASE_OK) {
        flush_failed(table, &err);
    } else if (f->retry.delay_ns && f->phase == LSMI_FLUSH_PICK) { /* committed */
        f->retry.delay_ns = 0;
        pthread_mutex_lock(&table->lock);
        f->failing = false;
        pthread_mutex_unlock(&table->lock);
        lsmi_space_found(table->store, false);
    }
    return BASE_STEP_AGAIN;
}

static void flush_cancelled(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, flush.job);
    pthread_mutex_lock(&table->lock);
    table->flush.posted = false;
    pthread_mutex_unlock(&table->lock);
    flush_end(table);
}

void lsmi_flush_init(struct lsm_table *table)
{
    table->flush.job = (struct base_job){
        .step = flush_step, .cancelled = flush_cancelled, .name = "flush", .lane = BASE_LANE_FLUSH};
}

/* Waiting. */

int lsmi_flush_wait(struct lsm_table *table, const struct lsm_wait *wait, struct base_err *err)
{
    struct lsm_store *store = table->store;
    pthread_mutex_lock(&table->lock);
    uint64_t target = table->switched, from = table->flushed, failures = table->flush_failures;
    pthread_mutex_unlock(&table->lock);
    for (;;) {
        struct base_err failed = {0};
        pthread_mutex_lock(&table->lock);
        uint64_t flushed = table->flushed;
        bool done = flushed >= target || table->dropped;
        if (table->flush_failures != failures)
            failed = table->flush_err;
        pthread_mutex_unlock(&table->lock);
        if (done)
            return BASE_OK;
        if (failed.code)
            return base_err_set(err, failed.code, "flush: %s", failed.text);
        if (base_executor_stopping(store->options.executor))
            return base_err_set(err, BASE_E_CLOSED, "flush: background work has stopped");
        double fraction = target > from ? (double)(flushed - from) / (double)(target - from) : 1;
        if (wait && wait->keep_going && !wait->keep_going(wait->ctx, fraction))
            return base_err_set(err, BASE_E_INTERRUPTED,
                                "flush: interrupted; it goes on in the background");
        base_executor_wait(store->options.executor, LSMI_WAIT_NS);
    }
}

int lsm_flush(struct lsm_store *store, struct lsm_table *table, const struct lsm_wait *wait,
              struct base_err *err)
{
    size_t count = 1;
    struct lsm_table **tables = &table;
    if (!table)
        tables = lsmi_tables_snapshot(store, &count);
    int rc = BASE_OK;
    for (size_t i = 0; i < count && rc == BASE_OK; i++)
        rc = lsmi_table_switch(tables[i], NULL, err);
    for (size_t i = 0; i < count && rc == BASE_OK; i++)
        rc = lsmi_flush_wait(tables[i], wait, err);
    if (!table) {
        for (size_t i = 0; i < count; i++)
            lsmi_table_release(tables[i]);
        free(tables);
    }
    return rc;
}
