/* Building in the background what SSTables lack of their table's indexes: after CREATE INDEX, after
 * a start that finds a build cut off, after damage. One job a table, one SSTable at a time, all its
 * missing indexes in one pass over it.
 *
 * The crash argument: a component's name appears when it is whole and durable, so what is there is
 * done, and a start goes on with the SSTables that lack one. The manifest says nothing of indexes.
 *
 * An SSTable that is compacted away meanwhile is built to the end or not: what replaced it was
 * built with the table's indexes as they were when the compaction began, and is looked at again
 * when it ends. */
#include "lsm/lsm_private.h"

#include "lsm/sst_private.h"

/* What is missing. */

static bool lacks_any(struct lsm_sstable *sst, const struct base_indexer *indexer)
{
    for (size_t i = 0; indexer && i < base_indexer_count(indexer); i++)
        if (!lsmi_component_is_there(sst, base_indexer_id(indexer, i)))
            return true;
    return false;
}

/* The largest one that lacks any: so reads soon have half of the table by index, from which on they
 * use it (index_read.c). */
static struct lsm_sstable *find_missing(const struct lsmi_view *view,
                                        const struct base_indexer *indexer)
{
    struct lsm_sstable *largest = NULL;
    for (size_t i = 0; i < view->sstable_count; i++) {
        struct lsm_sstable *sst = view->sstables[i];
        bool larger = !largest || lsmi_sst_info(sst)->file_size > lsmi_sst_info(largest)->file_size;
        if (larger && lacks_any(sst, indexer))
            largest = sst;
    }
    return largest;
}

static bool is_wanted(void *ctx, uint32_t index_id)
{
    return !lsmi_component_is_there(ctx, index_id);
}

/* Steps. */

static void job_reset(struct lsm_table *table)
{
    struct lsmi_index_job *j = &table->index_job;
    if (j->source_open)
        j->source.source.ops->close(&j->source.source);
    j->source_open = j->in_partition = false;
    lsmi_sst_source_fini(&j->source);
    j->source = (struct lsmi_sst_source){0};
    lsmi_index_build_close(j->build);
    j->build = NULL;
    j->sst = NULL;
    lsmi_view_release(j->view);
    j->view = NULL;
    lsmi_desc_release(j->desc);
    j->desc = NULL;
    j->phase = LSMI_INDEX_PICK;
    pthread_mutex_lock(&table->lock);
    table->index_sst = 0;
    table->index_fraction = 0;
    pthread_mutex_unlock(&table->lock);
}

static int begin(struct lsm_table *table, bool *idle, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct lsmi_index_job *j = &table->index_job;
    j->view = lsmi_view_acquire(table);
    j->desc = lsmi_desc_acquire(table);
    j->sst = find_missing(j->view, j->desc->desc.indexer);
    *idle = !j->sst;
    if (*idle)
        return BASE_OK;
    const struct lsm_sstable_info *info = lsmi_sst_info(j->sst);
    const struct lsm_table_desc *desc = &j->desc->desc;
    char dir[LSMI_PATH_MAX];
    lsmi_sstable_dir(store, dir);
    struct lsmi_index_config config = {
        .sst = {.fs = store->options.fs,
                .id = info->id,
                .table_id = table->id,
                .host_id = info->host_id,
                .table_name = desc->name,
                .compressor = desc->compressor,
                .compression_level = desc->compression_level,
                .block_size = store->options.block_size,
                .bloom_fp_chance = desc->bloom_fp_chance},
        .dir = dir,
        .indexer = desc->indexer,
        .wanted = is_wanted,
        .ctx = j->sst,
        .memory_max = store->options.index_build_size_max,
    };
    int rc = lsmi_index_build_open(&config, &j->build, err);
    j->cmd = BASE_READ_INIT;
    j->cmd.slices = base_slices_all;
    if (rc == BASE_OK)
        rc = lsmi_sst_source_init_scan(&j->source, j->sst, &j->cmd, err);
    j->source_open = rc == BASE_OK;
    j->started_ns = lsmi_now_ns(store);
    if (rc == BASE_OK)
        j->phase = LSMI_INDEX_SCAN;
    pthread_mutex_lock(&table->lock);
    table->index_sst = info->id;
    table->index_fraction = 0;
    pthread_mutex_unlock(&table->lock);
    return rc;
}

static int scan(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_index_job *j = &table->index_job;
    struct base_source *source = &j->source.source;
    size_t bytes = 0;
    int rc = BASE_OK;
    while (rc == BASE_OK && bytes < LSMI_STEP_BYTES) {
        if (!j->in_partition) {
            struct base_partition partition;
            rc = source->ops->partition(source, &partition, err);
            if (rc == BASE_OK && partition.pkey.len == 0) {
                j->phase = LSMI_INDEX_FINISH;
                break;
            }
            bytes += partition.pkey.len + partition.static_row.len;
            j->in_partition = true;
            if (rc == BASE_OK)
                rc = lsmi_index_build_partition(j->build, &partition, err);
        } else {
            struct base_item item;
            rc = source->ops->next(source, &item, err);
            bytes += item.ckey.len + item.row.len + 16;
            if (rc == BASE_OK && item.kind == BASE_ITEM_END)
                j->in_partition = false;
            else if (rc == BASE_OK)
                rc = lsmi_index_build_item(j->build, &item, err);
        }
    }
    uint64_t size = j->sst->footer.index_offset, at = lsmi_sst_source_position(&j->source);
    pthread_mutex_lock(&table->lock);
    table->index_fraction = size ? (double)at / (double)size : 1;
    pthread_mutex_unlock(&table->lock);
    return rc;
}

static int finish(struct lsm_table *table, struct base_err *err)
{
    struct lsmi_index_job *j = &table->index_job;
    bool done;
    int rc = lsmi_index_build_finish(j->build, LSMI_STEP_BYTES, &done, err);
    if (rc != BASE_OK || !done)
        return rc;
    rc = lsmi_index_build_attach(j->build, j->sst, table->store->cache, err);
    if (rc != BASE_OK)
        return rc;
    lsmi_index_build_keep(j->build);
    pthread_mutex_lock(&table->store->manifest_lock);
    lsmi_index_prune(table, j->sst);
    pthread_mutex_unlock(&table->store->manifest_lock);
    job_reset(table);
    return BASE_OK;
}

/* The job. */

static void job_failed(struct lsm_table *table, const struct base_err *err)
{
    struct lsmi_index_job *j = &table->index_job;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    base_logf(table->store->options.log, BASE_LOG_WARN,
              "building an index of %s failed, will be tried again: %s", desc->desc.name,
              err->text);
    lsmi_desc_release(desc);
    job_reset(table);
    lsmi_retry_failed(table->store, &j->retry);
    pthread_mutex_lock(&table->lock);
    table->index_failures++;
    table->index_err = *err;
    j->failing = true;
    pthread_mutex_unlock(&table->lock);
    lsmi_space_missed(table->store, err);
}

/* Stop being posted, unless somebody asked for more in the meantime. */
static bool job_unpost(struct lsm_table *table, bool always)
{
    struct lsmi_index_job *j = &table->index_job;
    job_reset(table);
    pthread_mutex_lock(&table->lock);
    bool end = always || table->dropped || !j->again;
    j->again = false;
    j->posted = !end;
    if (end)
        j->failing = false;
    pthread_mutex_unlock(&table->lock);
    return end;
}

static void job_end(struct lsm_table *table)
{
    struct lsm_store *store = table->store;
    lsmi_table_release(table);
    lsmi_job_done(store);
}

/* How long to rest so that compaction's rate is kept; 0: not at all. */
static uint64_t rest_ns(struct lsm_store *store, const struct lsmi_index_job *j)
{
    uint64_t rate = store->options.compaction_rate_bytes_s;
    if (rate == 0 || j->phase != LSMI_INDEX_SCAN)
        return 0;
    double due_ns = (double)lsmi_sst_source_position(&j->source) / (double)rate * 1e9;
    double rest = due_ns - (double)(lsmi_now_ns(store) - j->started_ns);
    return rest <= 0 ? 0 : rest < (double)LSMI_POLL_NS ? (uint64_t)rest : LSMI_POLL_NS;
}

static enum base_step job_step(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, index_job.job);
    struct lsm_store *store = table->store;
    struct lsmi_index_job *j = &table->index_job;
    bool stop = lsmi_stopping(store), idle = false;
    if (!stop && lsmi_retry_waits(store, &j->retry, &job->delay_ns))
        return BASE_STEP_WAIT;
    pthread_mutex_lock(&table->lock);
    stop |= table->dropped;
    pthread_mutex_unlock(&table->lock);
    struct base_err err;
    base_err_clear(&err);
    int rc = BASE_OK;
    if (!stop) {
        switch (j->phase) {
        case LSMI_INDEX_PICK:
            rc = begin(table, &idle, &err);
            break;
        case LSMI_INDEX_SCAN:
            rc = scan(table, &err);
            break;
        case LSMI_INDEX_FINISH:
            rc = finish(table, &err);
            break;
        }
    }
    if (rc != BASE_OK) {
        job_failed(table, &err);
        return BASE_STEP_AGAIN;
    }
    if (stop || idle) {
        if (job_unpost(table, stop)) {
            job_end(table);
            return BASE_STEP_DONE;
        }
        return BASE_STEP_AGAIN;
    }
    if (j->retry.delay_ns && j->phase == LSMI_INDEX_PICK) { /* an SSTable is done */
        j->retry.delay_ns = 0;
        pthread_mutex_lock(&table->lock);
        j->failing = false;
        pthread_mutex_unlock(&table->lock);
        lsmi_space_found(table->store, false);
    }
    job->delay_ns = rest_ns(store, j);
    return job->delay_ns ? BASE_STEP_WAIT : BASE_STEP_AGAIN;
}

static void job_cancelled(struct base_job *job)
{
    struct lsm_table *table = BASE_CONTAINER(job, struct lsm_table, index_job.job);
    job_unpost(table, true);
    job_end(table);
}

void lsmi_index_job_init(struct lsm_table *table)
{
    table->index_job.job = (struct base_job){.step = job_step,
                                             .cancelled = job_cancelled,
                                             .name = "index build",
                                             .lane = BASE_LANE_COMPACT};
}

void lsmi_index_poke(struct lsm_table *table)
{
    struct lsm_store *store = table->store;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    bool due = false, post = false;
    if (desc->desc.indexer) {
        struct lsmi_view *view = lsmi_view_acquire(table);
        due = find_missing(view, desc->desc.indexer) != NULL;
        lsmi_view_release(view);
    }
    lsmi_desc_release(desc);
    if (!due)
        return;
    pthread_mutex_lock(&table->lock);
    if (!table->dropped && !lsmi_stopping(store)) {
        post = !table->index_job.posted;
        table->index_job.posted = true;
        table->index_job.again = !post;
        if (post)
            atomic_fetch_add(&table->refs, 1);
    }
    pthread_mutex_unlock(&table->lock);
    if (post) {
        table->index_job.job.delay_ns = 0;
        lsmi_job_post(store, &table->index_job.job);
    }
}

/* Components of a table. */

void lsmi_index_prune(struct lsm_table *table, struct lsm_sstable *sst)
{
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    lsmi_components_prune(sst, desc->desc.indexer);
    lsmi_desc_release(desc);
}

void lsmi_index_damaged(struct lsm_table *table, struct lsm_sstable *sst,
                        const struct lsm_sstable *component)
{
    lsmi_component_drop(sst, component);
    lsmi_index_poke(table);
}

/* Cleaning. */

struct cleaning {
    struct lsm_store *store;
    int rc;
    struct base_err *err;
};

static int clean_one(void *ctx, const char *name)
{
    struct cleaning *c = ctx;
    uint64_t sstable_id;
    uint32_t index_id;
    if (!lsmi_index_name_parse(name, &sstable_id, &index_id))
        return 0;
    const struct lsmi_manifest_sstable *sst = lsmi_manifest_find(&c->store->manifest, sstable_id);
    struct lsm_table *table = sst ? lsmi_table_lookup(c->store, sst->table_id) : NULL;
    bool known = table && lsmi_indexer_has(table->desc->desc.indexer, index_id);
    if (known)
        return 0;
    char path[LSMI_PATH_MAX], dir[LSMI_PATH_MAX];
    lsmi_sstable_dir(c->store, dir);
    lsmi_index_path(dir, sstable_id, index_id, path, sizeof path);
    c->rc = base_fs_remove(c->store->options.fs, path, c->err);
    if (c->rc == BASE_OK)
        base_logf(c->store->options.log, BASE_LOG_INFO, "removed %s, of an index that was dropped",
                  path);
    return c->rc != BASE_OK;
}

int lsmi_index_clean(struct lsm_store *store, struct base_err *err)
{
    char dir[LSMI_PATH_MAX];
    struct cleaning c = {store, BASE_OK, err};
    lsmi_sstable_dir(store, dir);
    int rc = base_fs_list(store->options.fs, dir, clean_one, &c, err);
    return rc == BASE_OK ? c.rc : rc;
}

/* Figures. */

size_t lsm_table_get_index_stats(struct lsm_table *table, struct lsm_index_stats *stats, size_t max)
{
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    struct lsmi_view *view = lsmi_view_acquire(table);
    const struct base_indexer *indexer = desc->desc.indexer;
    size_t count = indexer ? base_indexer_count(indexer) : 0;
    pthread_mutex_lock(&table->lock);
    uint64_t under_way = table->index_sst;
    double fraction = table->index_fraction;
    bool posted = table->index_job.posted;
    pthread_mutex_unlock(&table->lock);
    for (size_t i = 0; i < count && i < max; i++) {
        struct lsm_index_stats *s = &stats[i];
        *s = (struct lsm_index_stats){.id = base_indexer_id(indexer, i),
                                      .sstable_count = view->sstable_count};
        bool memtables = true;
        for (size_t k = 0; k < view->memtable_count; k++)
            memtables &= lsmi_memtable_size(view->memtables[k]) == 0 ||
                         lsmi_indexer_has(view->memtables[k]->indexer, s->id);
        for (size_t k = 0; k < view->sstable_count; k++) {
            const struct lsm_sstable_info *info = lsmi_sst_info(view->sstables[k]);
            struct lsm_sstable *component = lsmi_component_find(view->sstables[k], s->id);
            s->bytes_total += info->file_size;
            if (component) {
                s->sstables_built++;
                s->disk_bytes += lsmi_sst_info(component)->file_size;
                s->entry_count += lsmi_sst_info(component)->row_count;
                s->bytes_done += info->file_size;
            } else if (info->id == under_way) {
                s->bytes_done += (uint64_t)(fraction * (double)info->file_size);
            }
            lsmi_sst_release(component);
        }
        s->is_built = memtables && s->sstables_built == s->sstable_count;
        s->is_building = posted && s->sstables_built < s->sstable_count;
        s->fraction = s->bytes_total ? (double)s->bytes_done / (double)s->bytes_total : 1;
    }
    lsmi_view_release(view);
    lsmi_desc_release(desc);
    return count;
}

size_t lsm_table_get_tasks(struct lsm_table *table, struct lsm_task tasks[LSM_TASKS_MAX])
{
    size_t n = 0;
    pthread_mutex_lock(&table->lock);
    uint64_t under_way = table->index_sst;
    bool building = table->index_job.posted;
    double fraction = table->index_fraction;
    if (table->compact_inputs)
        tasks[n++] = (struct lsm_task){
            LSM_TASK_COMPACTION, (uint64_t)(table->compact_fraction * (double)table->compact_size),
            table->compact_size, table->compact_inputs};
    pthread_mutex_unlock(&table->lock);
    if (!building)
        return n;
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    struct lsmi_view *view = lsmi_view_acquire(table);
    struct lsm_task task = {.kind = LSM_TASK_INDEX_BUILD};
    for (size_t i = 0; i < view->sstable_count; i++) {
        const struct lsm_sstable_info *info = lsmi_sst_info(view->sstables[i]);
        bool done = !lacks_any(view->sstables[i], desc->desc.indexer);
        task.total += info->file_size;
        task.sstables += !done;
        task.completed += done                    ? info->file_size
                          : info->id == under_way ? (uint64_t)(fraction * (double)info->file_size)
                                                  : 0;
    }
    lsmi_view_release(view);
    lsmi_desc_release(desc);
    if (task.sstables)
        tasks[n++] = task;
    return n;
}
