/* Compaction's schedule: when, what, at which rate, and how its result is committed. The work
 * itself is lsm/compaction.c's, in steps; the choice lsmi_stcs_pick's.
 *
 * One compaction a table at a time. Its inputs are pinned by a view; what else the table has is
 * asked for each partition as it is then (overlap_ts), so that a tombstone goes only when no older
 * data can be anywhere.
 *
 * The crash argument: the result's file is named, and the inputs no longer, by one edit. Before it,
 * the result is a file that nobody names; after it the inputs are. A commit that fails may be
 * durable all the same: the result is kept and the edit tried again. */
#include "lsm/lsm_private.h"

#include "base/key.h"

/* More rows than this in a memtable's partition are not looked at for their timestamps. */
enum { OVERLAP_ROWS_MAX = 10000 };

/* What may be purged. */

/* The smallest timestamp of a partition in a memtable; INT64_MAX: it is not there. */
static int64_t memtable_ts_min(struct lsmi_memtable *mt, struct base_slice pkey)
{
    struct base_read cmd = BASE_READ_INIT;
    cmd.pkey = pkey;
    cmd.slices = base_slices_all;
    struct lsmi_mt_source *src = calloc(1, sizeof *src);
    if (!src)
        return INT64_MIN;
    int64_t ts_min = INT64_MAX;
    struct base_partition partition;
    if (lsmi_mt_source_init(src, mt, &cmd, BASE_DELETION_NONE) &&
        src->source.ops->partition(&src->source, &partition, NULL) == BASE_OK &&
        partition.pkey.len) {
        struct base_row_stats stats = {.ts_min = INT64_MAX,
                                       .ts_max = INT64_MIN,
                                       .local_s_min = INT64_MAX,
                                       .local_s_max = INT64_MIN};
        if (!base_deletion_is_none(partition.deletion))
            stats.ts_min = partition.deletion.ts;
        bool ok = !partition.static_row.len || base_row_stats(partition.static_row, &stats);
        struct base_item item;
        for (int rows = 0; ok; rows++) {
            ok = rows < OVERLAP_ROWS_MAX &&
                 src->source.ops->next(&src->source, &item, NULL) == BASE_OK;
            if (!ok || item.kind == BASE_ITEM_END)
                break;
            if (item.kind == BASE_ITEM_ROW)
                ok = base_row_stats(item.row, &stats);
            else if (!base_deletion_is_none(item.after) && item.after.ts < stats.ts_min)
                stats.ts_min = item.after.ts;
        }
        ts_min = ok ? stats.ts_min : INT64_MIN;
    }
    lsmi_mt_source_fini(src);
    free(src);
    return ts_min;
}

static bool is_input(const struct lsmi_compact *c, const struct lsm_sstable *sst)
{
    for (size_t i = 0; i < c->input_count; i++)
        if (c->inputs[i] == sst)
            return true;
    return false;
}

static int64_t overlap_ts(void *ctx, struct base_slice pkey)
{
    struct lsm_table *table = ctx;
    struct lsmi_view *view = lsmi_view_acquire(table);
    int64_t ts_min = INT64_MAX;
    for (size_t i = 0; i < view->memtable_count && ts_min > INT64_MIN; i++) {
        if (lsmi_memtable_size(view->memtables[i]) == 0)
            continue;
        int64_t ts = memtable_ts_min(view->memtables[i], pkey);
        ts_min = ts < ts_min ? ts : ts_min;
    }
    for (size_t i = 0; i < view->sstable_count; i++) {
        struct lsm_sstable *sst = view->sstables[i];
        if (is_input(&table->compact, sst) || lsmi_sst_info(sst)->ts_min >= ts_min)
            continue;
        if (lsmi_sst_may_contain(sst, pkey))
            ts_min = lsmi_sst_info(sst)->ts_min;
    }
    lsmi_view_release(view);
    return ts_min;
}

/* Beginning. */

static void compact_reset(struct lsmi_compact *c)
{
    if (c->compaction)
        lsmi_compaction_close(c->compaction);
    c->compaction = NULL;
    lsmi_index_build_close(c->index);
    c->index = NULL;
    if (c->sstable)
        lsmi_sst_release(c->sstable);
    c->sstable = NULL;
    free(c->inputs);
    c->inputs = NULL;
    c->input_count = 0;
    lsmi_desc_release(c->desc);
    c->desc = NULL;
    lsmi_view_release(c->view);
    c->view = NULL;
    c->phase = LSMI_COMPACT_PICK;
}

/* For who watches. */
static void set_size(struct lsm_table *table, uint64_t size, uint64_t inputs)
{
    pthread_mutex_lock(&table->lock);
    table->compact_size = size;
    table->compact_inputs = inputs;
    table->compact_fraction = 0;
    pthread_mutex_unlock(&table->lock);
}

/* What size-tiered compaction would take: indexes into the view's SSTables, and how many. NOMEM. */
static int choose(const struct lsmi_view *view, const struct lsmi_desc *desc, size_t **chosen,
                  size_t *count)
{
    size_t n = view->sstable_count;
    *count = 0;
    *chosen = malloc((n + 1) * sizeof **chosen);
    struct lsm_sstable_info *infos = malloc((n + 1) * sizeof *infos);
    int rc = *chosen && infos ? BASE_OK : BASE_E_NOMEM;
    if (rc == BASE_OK && desc->desc.compaction_enabled && n > 1) {
        for (size_t i = 0; i < n; i++)
            infos[i] = *lsmi_sst_info(view->sstables[i]);
        *count = lsmi_stcs_pick(infos, n, &desc->desc, *chosen);
    }
    free(infos);
    return rc;
}

/* Fill c->inputs; none: nothing to do. A major compaction takes all, a single SSTable too:
 * something in it may go. */
static int pick(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_compact *c = &table->compact;
    size_t n = c->view->sstable_count, *chosen = NULL, count = 0;
    c->inputs = malloc((n + 1) * sizeof(struct lsm_sstable *));
    int rc = c->inputs ? BASE_OK : BASE_E_NOMEM;
    if (rc == BASE_OK && c->major) {
        for (; c->input_count < n; c->input_count++)
            c->inputs[c->input_count] = c->view->sstables[c->input_count];
    } else if (rc == BASE_OK) {
        rc = choose(c->view, c->desc, &chosen, &count);
        for (; c->input_count < count; c->input_count++)
            c->inputs[c->input_count] = c->view->sstables[chosen[c->input_count]];
    }
    free(chosen);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "compaction: out of memory");
}

static int compaction_open(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_compact *c = &table->compact;
    const struct lsm_table_desc *desc = &c->desc->desc;
    char path[LSMI_PATH_MAX];
    pthread_mutex_lock(&store->manifest_lock);
    c->id = store->next_id++;
    pthread_mutex_unlock(&store->manifest_lock);
    lsmi_sstable_path(store, c->id, path);
    int64_t now_s = base_clock_wall_s(store->options.clock);
    struct lsmi_compaction_config config = {
        .out = {.fs = store->options.fs,
                .path = path,
                .id = c->id,
                .table_id = table->id,
                .host_id = store->options.host_id,
                .table_name = desc->name,
                .compressor = desc->compressor,
                .compression_level = desc->compression_level,
                .block_size = store->options.block_size,
                .bloom_fp_chance = desc->bloom_fp_chance,
                .commitlog_from = UINT64_MAX},
        .inputs = c->inputs,
        .input_count = c->input_count,
        .now_s = now_s,
        .gc_before_s = now_s - desc->gc_grace_s,
        .overlap_ts = overlap_ts,
        .ctx = table,
        .dropped = desc->dropped,
        .dropped_count = desc->dropped_count,
        .truncated_us = desc->truncated_us,
    };
    c->size_in = 0;
    for (size_t i = 0; i < c->input_count; i++) {
        const struct lsm_sstable_info *info = lsmi_sst_info(c->inputs[i]);
        c->size_in += info->file_size;
        config.out.partition_count_hint += info->partition_count;
        if (info->commitlog_from < config.out.commitlog_from)
            config.out.commitlog_from = info->commitlog_from;
        if (info->commitlog_upto > config.out.commitlog_upto)
            config.out.commitlog_upto = info->commitlog_upto;
        if (info->level >= config.out.level)
            config.out.level = info->level;
    }
    c->started_ns = lsmi_now_ns(store);
    if (desc->indexer) {
        char dir[LSMI_PATH_MAX];
        lsmi_sstable_dir(store, dir);
        struct lsmi_index_config index = {.sst = config.out,
                                          .dir = dir,
                                          .indexer = desc->indexer,
                                          .memory_max = store->options.index_build_size_max};
        int rc = lsmi_index_build_open(&index, &c->index, err);
        if (rc != BASE_OK)
            return rc;
        config.index = c->index;
    }
    return lsmi_compaction_open(&config, &c->compaction, err);
}

/* *idle: there is nothing to compact. */
static int compact_begin(struct lsm_table *table, bool *idle, struct base_err *err)
{
    struct lsmi_compact *c = &table->compact;
    *idle = false;
    c->view = lsmi_view_acquire(table);
    c->desc = lsmi_desc_acquire(table);
    pthread_mutex_lock(&table->lock);
    c->major = table->major_asked > table->major_done ? table->major_asked : 0;
    pthread_mutex_unlock(&table->lock);
    int rc = pick(table, err);
    if (rc == BASE_OK && c->input_count == 0) {
        if (c->major) { /* asked for, and nothing there */
            pthread_mutex_lock(&table->lock);
            table->major_done = c->major;
            pthread_mutex_unlock(&table->lock);
        }
        *idle = true;
        return BASE_OK;
    }
    if (rc == BASE_OK)
        rc = compaction_open(table, err);
    if (rc == BASE_OK) {
        c->phase = LSMI_COMPACT_STEP;
        set_size(table, c->size_in, c->input_count);
    }
    return rc;
}

/* Working. */

static bool inputs_still_there(struct lsm_table *table)
{
    struct lsmi_compact *c = &table->compact;
    pthread_mutex_lock(&table->lock);
    size_t found = 0;
    for (size_t i = 0; i < table->view->sstable_count && !table->dropped; i++)
        found += is_input(c, table->view->sstables[i]);
    pthread_mutex_unlock(&table->lock);
    return found == c->input_count;
}

static int compact_work(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_compact *c = &table->compact;
    bool done = false;
    struct lsm_sstable_info info;
    if (!inputs_still_there(table)) { /* truncated or dropped */
        compact_reset(c);
        set_size(table, 0, 0);
        return BASE_OK;
    }
    int rc = lsmi_compaction_step(c->compaction, LSMI_STEP_BYTES, &done, &info, err);
    pthread_mutex_lock(&table->lock);
    table->compact_fraction = rc == BASE_OK ? lsmi_compaction_fraction(c->compaction) : 0;
    pthread_mutex_unlock(&table->lock);
    if (rc != BASE_OK || !done)
        return rc;
    if (info.partition_count > 0) {
        char path[LSMI_PATH_MAX], dir[LSMI_PATH_MAX];
        lsmi_sstable_path(store, c->id, path);
        lsmi_sstable_dir(store, dir);
        rc = base_fs_sync_dir(store->options.fs, dir, err);
        if (rc == BASE_OK)
            rc = lsmi_sst_open(store->options.fs, path, store->cache, &c->sstable, err);
        if (rc == BASE_OK && c->index) {
            rc = lsmi_index_build_attach(c->index, c->sstable, store->cache, err);
            if (rc == BASE_OK) /* from here on the files are the SSTable's */
                lsmi_index_build_keep(c->index);
        }
        if (rc != BASE_OK) {
            (void)!base_fs_remove(store->options.fs, path, NULL);
            return rc;
        }
    }
    c->phase = LSMI_COMPACT_COMMIT;
    return BASE_OK;
}

/* How long to rest so that the rate is kept; 0: not at all. */
static uint64_t rest_ns(struct lsm_store *store, const struct lsmi_compact *c)
{
    uint64_t rate = store->options.compaction_rate_bytes_s;
    if (rate == 0 || c->phase != LSMI_COMPACT_STEP)
        return 0;
    double due_ns = (double)lsmi_compaction_bytes_moved(c->compaction) / (double)rate * 1e9;
    double spent_ns = (double)(lsmi_now_ns(store) - c->started_ns);
    double rest = due_ns - spent_ns;
    return rest <= 0 ? 0 : rest < (double)LSMI_POLL_NS ? (uint64_t)rest : LSMI_POLL_NS;
}

/* Committing. */

static struct lsmi_view *view_after(const struct lsmi_view *view, const struct lsmi_compact *c)
{
    struct lsm_sstable **sstables = malloc((view->sstable_count + 1) * sizeof *sstables);
    if (!sstables)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < view->sstable_count; i++)
        if (!is_input(c, view->sstables[i]))
            sstables[n++] = view->sstables[i];
    if (c->sstable)
        sstables[n++] = c->sstable;
    struct lsmi_view *next =
        lsmi_view_new(view->memtables, view->memtable_count, sstables, n, view->floor);
    free(sstables);
    return next;
}

static int edit_make(struct lsm_table *table, struct base_buf *edit)
{
    const struct lsmi_compact *c = &table->compact;
    int rc = BASE_OK;
    for (size_t i = 0; i < c->input_count && rc == BASE_OK; i++)
        rc = lsmi_edit_remove(edit, lsmi_sst_info(c->inputs[i])->id);
    if (rc == BASE_OK && c->sstable) {
        struct lsmi_manifest_sstable entry = {
            .id = c->id, .table_id = table->id, .file_size = lsmi_sst_info(c->sstable)->file_size};
        rc = lsmi_edit_add(edit, &entry);
    }
    return rc;
}

/* Under manifest_lock. *out: the view before, to be released. */
static int commit_locked(struct lsm_table *table, struct lsmi_view **out, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_compact *c = &table->compact;
    struct base_buf edit;
    base_buf_init(&edit, (size_t)1 << 24);
    int rc = BASE_OK;
    if (lsmi_manifest_find(&store->manifest,
                           lsmi_sst_info(c->inputs[0])->id)) { /* else it is committed */
        rc = edit_make(table, &edit);
        rc = rc == BASE_OK ? lsmi_manifest_commit(&store->manifest, base_buf_view(&edit), err)
                           : base_err_set(err, rc, "compaction: out of memory");
    }
    base_buf_fini(&edit);
    if (rc != BASE_OK)
        return rc;
    pthread_rwlock_wrlock(&store->switch_lock);
    struct lsmi_view *next = view_after(table->view, c);
    if (next) {
        for (size_t i = 0; i < c->input_count; i++)
            lsmi_sst_mark_removed(c->inputs[i]);
        pthread_mutex_lock(&table->lock);
        *out = lsmi_view_swap(table, next);
        if (c->major > table->major_done)
            table->major_done = c->major;
        pthread_mutex_unlock(&table->lock);
    }
    pthread_rwlock_unlock(&store->switch_lock);
    return next ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "compaction: out of memory");
}

static int compact_commit(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_compact *c = &table->compact;
    struct lsmi_view *old = NULL;
    int rc = BASE_OK;
    pthread_mutex_lock(&store->manifest_lock);
    if (!inputs_still_there(table)) {
        if (c->sstable)
            lsmi_sst_mark_removed(c->sstable);
    } else {
        rc = commit_locked(table, &old, err);
        if (rc == BASE_OK && c->sstable)
            lsmi_index_prune(table, c->sstable);
    }
    pthread_mutex_unlock(&store->manifest_lock);
    lsmi_view_release(old);
    if (rc == BASE_OK && old) {
        atomic_fetch_add(&store->compactions, 1);
        atomic_fetch_add(&store->compacted_read, c->size_in);
        atomic_fetch_add(&table->compacted_bytes, c->size_in);
        if (c->sstable)
            atomic_fetch_add(&store->compacted_written, lsmi_sst_info(c->sstable)->file_size);
    }
    if (rc == BASE_OK) {
        compact_reset(c);
        set_size(table, 0, 0);
        lsmi_index_poke(table);
    }
    return rc;
}

/* The job. */

static void compact_failed(struct lsm_table *table, const struct base_err *err)
{
    struct lsmi_compact *c = &table->compact;
    bool damaged = err->code == BASE_E_CORRUPT;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    base_logf(table->store->options.log, damaged ? BASE_LOG_ERROR : BASE_LOG_WARN,
              "compaction of %s failed, %s: %s", desc->desc.name,
              damaged ? "it stops until the file is mended and the store restarted"
                      : "will be tried again",
              err->text);
    lsmi_desc_release(desc);
    if (c->phase != LSMI_COMPACT_COMMIT) {
        compact_reset(c);
        set_size(table, 0, 0);
    }
    lsmi_retry_failed(table->store, &c->retry);
    pthread_mutex_lock(&table->lock);
    table->compact_failures++;
    table->compact_err = *err;
    table->compact_stopped |= damaged;
    c->failing = true;
    pthread_mutex_unlock(&table->lock);
    lsmi_space_missed(table->store, err);
}

static void compact_end(struct lsm_table *table)
{
    struct lsm_store *store = table->store;
    lsmi_table_release(table);
    lsmi_job_done(store);
}

/* Stop being posted, unless somebody asked for more in the meantime. */
static bool compact_unpost(struct lsm_table *table, bool always)
{
    struct lsmi_compact *c = &table->compact;
    compact_reset(c);
    set_size(table, 0, 0);
    pthread_mutex_lock(&table->lock);
    bool end = always || table->dropped || table->compact_stopped || !c->again;
    c->again = false;
    c->posted = !end;
    if (end)
        c->failing = false;
    pthread_mutex_unlock(&table->lock);
    return end;
}

static enum base_step compact_step(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, compact.job);
    struct lsm_store *store = table->store;
    struct lsmi_compact *c = &table->compact;
    bool stop = lsmi_stopping(store), idle = false;
    if (!stop && lsmi_retry_waits(store, &c->retry, &job->delay_ns))
        return BASE_STEP_WAIT;
    pthread_mutex_lock(&table->lock);
    /* what is left of a dropped table is only pinned by readers */
    stop |= table->compact_stopped || table->dropped;
    pthread_mutex_unlock(&table->lock);
    struct base_err err;
    base_err_clear(&err);
    int rc = BASE_OK;
    if (!stop) {
        switch (c->phase) {
        case LSMI_COMPACT_PICK:
            rc = compact_begin(table, &idle, &err);
            break;
        case LSMI_COMPACT_STEP:
            rc = compact_work(table, &err);
            break;
        case LSMI_COMPACT_COMMIT:
            rc = compact_commit(table, &err);
            break;
        }
    }
    if (rc != BASE_OK) {
        compact_failed(table, &err);
        return BASE_STEP_AGAIN;
    }
    if (stop || idle) {
        if (compact_unpost(table, stop)) {
            compact_end(table);
            return BASE_STEP_DONE;
        }
        return BASE_STEP_AGAIN;
    }
    if (c->retry.delay_ns && c->phase == LSMI_COMPACT_PICK) { /* committed */
        c->retry.delay_ns = 0;
        pthread_mutex_lock(&table->lock);
        c->failing = false;
        pthread_mutex_unlock(&table->lock);
        lsmi_space_found(table->store, false);
    }
    job->delay_ns = rest_ns(store, c);
    return job->delay_ns ? BASE_STEP_WAIT : BASE_STEP_AGAIN;
}

static void compact_cancelled(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, compact.job);
    compact_unpost(table, true);
    compact_end(table);
}

void lsmi_compact_init(struct lsm_table *table)
{
    table->compact.job = (struct base_job){.step = compact_step,
                                           .cancelled = compact_cancelled,
                                           .name = "compaction",
                                           .lane = BASE_LANE_COMPACT};
}

/* Is there anything to choose? Asked before a job is posted, so that opening a settled store starts
 * no thread. */
static bool anything_due(struct lsm_table *table)
{
    struct lsmi_view *view = lsmi_view_acquire(table);
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    size_t *chosen, count;
    bool due = choose(view, desc, &chosen, &count) != BASE_OK || count > 0;
    free(chosen);
    lsmi_desc_release(desc);
    lsmi_view_release(view);
    return due;
}

void lsmi_compact_poke(struct lsm_table *table)
{
    struct lsm_store *store = table->store;
    bool post = false, due = anything_due(table);
    pthread_mutex_lock(&table->lock);
    due |= table->major_asked > table->major_done;
    if (due && !table->dropped && !table->compact_stopped && !lsmi_stopping(store)) {
        post = !table->compact.posted;
        table->compact.posted = true;
        table->compact.again = !post;
        if (post)
            atomic_fetch_add(&table->refs, 1);
    }
    pthread_mutex_unlock(&table->lock);
    if (post) {
        table->compact.job.delay_ns = 0;
        lsmi_job_post(store, &table->compact.job);
    }
}

/* Major compaction on demand. */

static int major_wait(struct lsm_table *table, uint64_t target, uint64_t failures,
                      const struct lsm_wait *wait, struct base_err *err)
{
    struct lsm_store *store = table->store;
    for (;;) {
        struct base_err failed = {0};
        pthread_mutex_lock(&table->lock);
        bool done = table->major_done >= target || table->dropped;
        if (table->compact_failures != failures || table->compact_stopped)
            failed = table->compact_err;
        double fraction = table->compact_fraction;
        pthread_mutex_unlock(&table->lock);
        if (done)
            return BASE_OK;
        if (failed.code)
            return base_err_set(err, failed.code, "compaction: %s", failed.text);
        if (base_executor_stopping(store->options.executor))
            return base_err_set(err, BASE_E_CLOSED, "compaction: background work has stopped");
        if (wait && wait->keep_going && !wait->keep_going(wait->ctx, fraction))
            return base_err_set(err, BASE_E_INTERRUPTED,
                                "compaction: interrupted; it goes on in the background");
        base_executor_wait(store->options.executor, LSMI_WAIT_NS);
    }
}

int lsm_compact(struct lsm_store *store, struct lsm_table *table, const struct lsm_wait *wait,
                struct base_err *err)
{
    size_t count = 1;
    struct lsm_table **tables = &table;
    if (!table)
        tables = lsmi_tables_snapshot(store, &count);
    int rc = BASE_OK;
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        pthread_mutex_lock(&tables[i]->lock);
        uint64_t target = ++tables[i]->major_asked, failures = tables[i]->compact_failures;
        tables[i]->compact_fraction = 0;
        pthread_mutex_unlock(&tables[i]->lock);
        lsmi_compact_poke(tables[i]);
        rc = major_wait(tables[i], target, failures, wait, err);
    }
    if (!table) {
        for (size_t i = 0; i < count; i++)
            lsmi_table_release(tables[i]);
        free(tables);
    }
    return rc;
}
