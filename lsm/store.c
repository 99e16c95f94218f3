/* The store as a whole: options, opening, replay, closing, figures (lsm/lsm.h).
 *
 * Opening is in two parts, for the store does not know what tables there are: lsm_open reads the
 * manifest and looks at the log's segments; the caller declares its tables; lsm_replay applies the
 * log and removes what belongs to none of them. */
#include "lsm/lsm_private.h"

#include <stdio.h>

#include "base/compress.h"

void lsm_options_init(struct lsm_options *options)
{
    *options = (struct lsm_options){
        .sync = LSM_SYNC_PERIODIC,
        .sync_period_ns = 10u * 1000 * 1000,
        .commitlog_segment_size = 32u << 20,
        .commitlog_total_size = 256u << 20,
        .memtable_size_max = 64u << 20,
        .cache_size_max = 64u << 20,
        .compaction_rate_bytes_s = 64u << 20,
        .block_size = 4096,
        .index_build_size_max = 16u << 20,
    };
}

struct lsm_table_desc lsm_table_desc(struct base_uuid id, const char *name)
{
    return (struct lsm_table_desc){
        .id = id,
        .name = name,
        .gc_grace_s = 864000,
        .bloom_fp_chance = 0.01,
        .compressor = BASE_COMPRESS_LZ4,
        .compaction_enabled = true,
        .min_threshold = 4,
        .max_threshold = 32,
        .bucket_low = 0.5,
        .bucket_high = 1.5,
        .min_sstable_size = 50u << 20,
        .truncated_us = INT64_MIN,
    };
}

/* Small things that all files use. */

void lsmi_sstable_dir(const struct lsm_store *store, char path[LSMI_PATH_MAX])
{
    snprintf(path, LSMI_PATH_MAX, "%s/sst", store->dir);
}

void lsmi_sstable_path(const struct lsm_store *store, uint64_t id, char path[LSMI_PATH_MAX])
{
    snprintf(path, LSMI_PATH_MAX, "%s/sst/%010llu.sst", store->dir, (unsigned long long)id);
}

void lsmi_job_post(struct lsm_store *store, struct base_job *job)
{
    atomic_fetch_add(&store->jobs, 1);
    base_executor_post(store->options.executor, job);
}

void lsmi_job_done(struct lsm_store *store)
{
    int before = atomic_fetch_sub(&store->jobs, 1);
    BASE_ASSERT(before > 0);
}

bool lsmi_stopping(struct lsm_store *store)
{
    return atomic_load(&store->closing) || base_executor_stopping(store->options.executor);
}

uint64_t lsmi_now_ns(struct lsm_store *store)
{
    return base_clock_mono(store->options.clock).ns;
}

uint64_t lsmi_store_position(struct lsm_store *store)
{
    return store->replayed ? lsmi_log_position(store->log) : store->replay_position;
}

void lsmi_retry_failed(struct lsm_store *store, struct lsmi_retry *retry)
{
    uint64_t delay = retry->delay_ns ? retry->delay_ns * 2 : LSMI_RETRY_MIN_NS;
    retry->delay_ns = delay < LSMI_RETRY_MAX_NS ? delay : LSMI_RETRY_MAX_NS;
    retry->due_ns = lsmi_now_ns(store) + retry->delay_ns;
}

bool lsmi_retry_waits(struct lsm_store *store, struct lsmi_retry *retry, uint64_t *delay_ns)
{
    uint64_t now = retry->delay_ns ? lsmi_now_ns(store) : 0;
    if (retry->delay_ns == 0 || now >= retry->due_ns)
        return false;
    uint64_t left = retry->due_ns - now;
    *delay_ns = left < LSMI_POLL_NS ? left : LSMI_POLL_NS;
    return true;
}

/* Opening. */

struct cleaning {
    struct lsm_store *store;
    bool in_sst; /* else the store's own directory */
    int rc;
    struct base_err *err;
};

/* Remove what nobody names: SSTables of a crash between writing and commit, old manifests. */
static int clean_one(void *ctx, const char *name)
{
    struct cleaning *c = ctx;
    struct lsm_store *store = c->store;
    char path[LSMI_PATH_MAX], expected[64];
    if (c->in_sst) {
        unsigned long long id = strtoull(name, NULL, 10);
        snprintf(expected, sizeof expected, "%010llu.sst", id);
        if (strcmp(name, expected) == 0 && lsmi_manifest_find(&store->manifest, id))
            return 0;
        uint64_t sstable_id;
        uint32_t index_id;
        if (lsmi_index_name_parse(name, &sstable_id, &index_id) &&
            lsmi_manifest_find(&store->manifest, sstable_id)) {
            store->has_index_files = true;
            return 0;
        }
        snprintf(path, sizeof path, "%s/sst/%s", store->dir, name);
    } else {
        snprintf(expected, sizeof expected, "MANIFEST-%010llu",
                 (unsigned long long)store->manifest.number);
        bool ours = strncmp(name, "MANIFEST-", 9) == 0 || strcmp(name, "CURRENT.new") == 0;
        if (!ours || strcmp(name, expected) == 0)
            return 0;
        snprintf(path, sizeof path, "%s/%s", store->dir, name);
    }
    c->rc = base_fs_remove(store->options.fs, path, c->err);
    if (c->rc == BASE_E_NOTFOUND)
        c->rc = BASE_OK;
    if (c->rc == BASE_OK)
        base_logf(store->options.log, BASE_LOG_INFO, "removed %s, which no manifest names", path);
    return c->rc != BASE_OK;
}

static int clean(struct lsm_store *store, bool in_sst, struct base_err *err)
{
    char dir[LSMI_PATH_MAX];
    struct cleaning c = {store, in_sst, BASE_OK, err};
    lsmi_sstable_dir(store, dir);
    int rc = base_fs_list(store->options.fs, in_sst ? dir : store->dir, clean_one, &c, err);
    return rc == BASE_OK ? c.rc : rc;
}

static void store_free(struct lsm_store *store)
{
    lsmi_manifest_close(&store->manifest);
    if (store->cache)
        lsmi_cache_free(store->cache);
    pthread_mutex_destroy(&store->choose_lock);
    pthread_mutex_destroy(&store->manifest_lock);
    pthread_rwlock_destroy(&store->switch_lock);
    free(store->tables);
    free(store->dir);
    free(store);
}

static struct lsm_store *store_new(const struct lsm_options *options)
{
    struct lsm_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->options = *options;
    pthread_mutex_init(&store->manifest_lock, NULL);
    pthread_mutex_init(&store->choose_lock, NULL);
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&store->switch_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    lsmi_sync_job_init(store);
    store->dir = strdup(options->dir);
    store->cache = lsmi_cache_new(options->cache_size_max);
    if (!store->dir || !store->cache) {
        store_free(store);
        return NULL;
    }
    store->options.dir = store->dir;
    return store;
}

/* Make the directories and their names durable, the store's own in its parent too. */
static int dirs_make(struct lsm_store *store, struct base_err *err)
{
    char path[LSMI_PATH_MAX];
    struct base_fs *fs = store->options.fs;
    struct base_file *current;
    snprintf(path, sizeof path, "%s/CURRENT", store->dir);
    if (base_fs_open(fs, path, BASE_OPEN_READ, &current, NULL) == BASE_OK) {
        base_file_close(current); /* written after all this was done */
        return BASE_OK;
    }
    int rc = base_fs_mkdir(fs, store->dir, err);
    lsmi_sstable_dir(store, path);
    if (rc == BASE_OK)
        rc = base_fs_mkdir(fs, path, err);
    snprintf(path, sizeof path, "%s/commitlog", store->dir);
    if (rc == BASE_OK)
        rc = base_fs_mkdir(fs, path, err);
    if (rc == BASE_OK)
        rc = base_fs_sync_dir(fs, store->dir, err);
    if (rc != BASE_OK)
        return rc;
    size_t len = strlen(store->dir);
    while (len > 1 && store->dir[len - 1] == '/')
        len--;
    while (len > 0 && store->dir[len - 1] != '/')
        len--;
    while (len > 1 && store->dir[len - 1] == '/')
        len--;
    snprintf(path, sizeof path, "%.*s", len ? (int)len : 1, len ? store->dir : ".");
    rc = base_fs_sync_dir(fs, path, err);
    return rc == BASE_E_UNAUTHORIZED ? BASE_OK : rc; /* a parent that we may enter but not read */
}

int lsm_open(const struct lsm_options *options, struct lsm_store **out, struct base_err *err)
{
    *out = NULL;
    BASE_ASSERT(options->fs && options->clock && options->random && options->executor);
    if (strlen(options->dir) > LSMI_PATH_MAX - 64)
        return base_err_set(err, BASE_E_INVALID, "open store: the path is too long");
    struct lsm_store *store = store_new(options);
    if (!store)
        return base_err_set(err, BASE_E_NOMEM, "open store: out of memory");
    int rc = dirs_make(store, err);
    if (rc == BASE_OK)
        rc = lsmi_manifest_open(options->fs, options->random, store->dir, &store->manifest, err);
    if (rc == BASE_OK) {
        char dir[LSMI_PATH_MAX];
        snprintf(dir, sizeof dir, "%s/commitlog", store->dir);
        struct lsmi_log_config config = {.fs = options->fs,
                                         .random = options->random,
                                         .dir = dir,
                                         .segment_size = options->commitlog_segment_size,
                                         .low = store->manifest.log_low};
        store->next_id = store->manifest.next_id;
        store->replay_position = store->manifest.log_low;
        rc = lsmi_log_open(&config, &store->log, err);
    }
    if (rc == BASE_OK)
        rc = clean(store, true, err);
    if (rc == BASE_OK)
        rc = clean(store, false, err);
    if (rc != BASE_OK) {
        (void)!lsmi_log_close(store->log, NULL);
        store_free(store);
        return base_err_wrap(err, rc, "open store %s", options->dir);
    }
    *out = store;
    return BASE_OK;
}

/* Replay. */

static int replay_wait(struct lsm_store *store, struct base_err *err)
{
    lsmi_flush_for_space(store);
    while (atomic_load(&store->memtable_bytes) >= store->options.memtable_size_max) {
        struct lsm_table *stuck = NULL;
        struct base_err cause = {0};
        for (size_t i = 0; i < store->table_cap; i++) {
            struct lsm_table *table = store->tables[i];
            if (!table)
                continue;
            pthread_mutex_lock(&table->lock);
            if (table->flush.posted && table->flush_failures > 3)
                stuck = table, cause = table->flush_err;
            pthread_mutex_unlock(&table->lock);
        }
        if (stuck)
            return base_err_set(err, cause.code, "flush while replaying: %s", cause.text);
        if (lsmi_stopping(store))
            return base_err_set(err, BASE_E_CLOSED, "background work has stopped");
        base_executor_wait(store->options.executor, LSMI_WAIT_NS);
    }
    return BASE_OK;
}

static int replay_group(void *ctx, uint64_t position, struct base_slice group, struct base_err *err)
{
    struct lsm_store *store = ctx;
    struct base_reader in = base_reader(group);
    while (base_reader_left(&in)) {
        struct base_mutation m;
        if (!base_mutation_decode(&in, &m))
            return base_err_set(err, BASE_E_CORRUPT, "a mutation does not decode");
        struct lsm_table *table = lsmi_table_lookup(store, m.table_id);
        if (!table || position < table->replay_from)
            continue;
        int rc = lsmi_apply(table, &m, position, err);
        if (rc != BASE_OK)
            return rc;
    }
    store->replay_position = position + 1; /* every later record begins behind this */
    uint64_t used = atomic_load_explicit(&store->memtable_bytes, memory_order_relaxed);
    return BASE_UNLIKELY(used > store->options.memtable_size_max / 2) ? replay_wait(store, err)
                                                                      : BASE_OK;
}

/* Tables that the manifest knows and nobody declared were dropped while we were away. */
static int drop_undeclared(struct lsm_store *store, struct base_err *err)
{
    struct base_buf edit;
    base_buf_init(&edit, (size_t)1 << 24);
    int rc = BASE_OK;
    const struct lsmi_manifest *m = &store->manifest;
    uint64_t *files = malloc((m->sstable_count + 1) * sizeof *files);
    size_t file_count = 0;
    if (!files)
        rc = BASE_E_NOMEM;
    for (size_t i = 0; i < m->sstable_count + m->table_count && rc == BASE_OK; i++) {
        bool file = i < m->sstable_count;
        struct base_uuid id = file ? m->sstables[i].table_id : m->tables[i - m->sstable_count].id;
        if (lsmi_table_lookup(store, id))
            continue;
        rc = lsmi_edit_drop(&edit, id);
        if (file)
            files[file_count++] = m->sstables[i].id;
    }
    if (rc != BASE_OK)
        base_err_set(err, rc, "out of memory");
    if (rc == BASE_OK && edit.len)
        rc = lsmi_manifest_commit(&store->manifest, base_buf_view(&edit), err);
    for (size_t i = 0; i < file_count && rc == BASE_OK; i++) {
        char path[LSMI_PATH_MAX];
        lsmi_sstable_path(store, files[i], path);
        /* if it stays, the next open removes it */
        (void)!base_fs_remove(store->options.fs, path, NULL);
    }
    free(files);
    base_buf_fini(&edit);
    return rc;
}

int lsm_replay(struct lsm_store *store, struct base_err *err)
{
    if (store->replayed)
        return base_err_set(err, BASE_E_INVALID, "replay: done already");
    struct lsmi_log_sink sink = {replay_group, store};
    int rc = lsmi_log_replay(store->log, &sink, err);
    if (rc != BASE_OK)
        return rc;
    pthread_mutex_lock(&store->manifest_lock);
    pthread_rwlock_wrlock(&store->switch_lock);
    store->replayed = true;
    pthread_rwlock_unlock(&store->switch_lock);
    rc = drop_undeclared(store, err);
    if (rc == BASE_OK && store->has_index_files)
        rc = lsmi_index_clean(store, err);
    pthread_mutex_unlock(&store->manifest_lock);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "replay");
    size_t count;
    struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
    for (size_t i = 0; i < count; i++) {
        lsmi_compact_poke(tables[i]);
        lsmi_index_poke(tables[i]);
        lsmi_table_release(tables[i]);
    }
    free(tables);
    return BASE_OK;
}

/* Closing. */

/* What a restart would have to read of the log, about. */
static uint64_t replay_size(struct lsm_store *store)
{
    pthread_rwlock_wrlock(&store->switch_lock);
    uint64_t position = lsmi_store_position(store), low = lsmi_log_low(store, NULL, NULL);
    pthread_rwlock_unlock(&store->switch_lock);
    uint64_t segments = (position >> 32) - (low >> 32);
    return segments * store->options.commitlog_segment_size + (uint32_t)position -
           (uint64_t)(uint32_t)low;
}

/* Is something of the table in no log? */
static bool has_unlogged(struct lsm_table *table)
{
    struct lsmi_view *view = lsmi_view_acquire(table);
    bool unlogged = false;
    for (size_t i = 0; i < view->memtable_count; i++)
        unlogged |= atomic_load(&view->memtables[i]->unlogged);
    lsmi_view_release(view);
    return unlogged;
}

/* Flush what is worth it. A failure is no loss where the log has it; else it is the close's
 * failure. */
static int close_flush(struct lsm_store *store, uint64_t flush_over_bytes, struct base_err *err)
{
    bool all = replay_size(store) > flush_over_bytes;
    size_t count;
    struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
    struct base_err cause;
    int first = BASE_OK;
    for (size_t i = 0; i < count; i++) {
        bool unlogged = has_unlogged(tables[i]);
        if (all || unlogged) {
            int rc = lsmi_table_switch(tables[i], NULL, &cause);
            if (rc == BASE_OK)
                rc = lsmi_flush_wait(tables[i], NULL, &cause);
            if (rc != BASE_OK)
                base_logf(store->options.log, BASE_LOG_WARN, "close: %s", cause.text);
            if (rc != BASE_OK && unlogged && first == BASE_OK)
                first = base_err_set(err, rc, "writes that were not to be logged are lost: %s",
                                     cause.text);
        }
        lsmi_table_release(tables[i]);
    }
    free(tables);
    return first;
}

int lsm_close(struct lsm_store *store, uint64_t flush_over_bytes, struct base_err *err)
{
    if (!store)
        return BASE_OK;
    int reads = atomic_load(&store->open_reads);
    if (reads > 0)
        return base_err_set(err, BASE_E_BUSY,
                            "close store: %d reads are still open; close them first", reads);
    int rc = store->replayed ? close_flush(store, flush_over_bytes, err) : BASE_OK;
    atomic_store(&store->closing, true);
    while (atomic_load(&store->jobs) > 0)
        base_executor_wait(store->options.executor, LSMI_WAIT_NS);
    for (size_t i = 0; i < store->table_cap; i++)
        lsmi_table_release(store->tables[i]);
    int log_rc = lsmi_log_close(store->log, rc == BASE_OK ? err : NULL);
    rc = rc == BASE_OK ? log_rc : rc;
    store_free(store);
    return rc == BASE_OK ? rc : base_err_wrap(err, rc, "close store");
}

int lsm_quiesce(struct lsm_store *store, struct base_err *err)
{
    while (atomic_load(&store->jobs) > 0) {
        size_t count;
        struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
        struct base_err failed = {0};
        for (size_t i = 0; i < count; i++) {
            struct lsm_table *table = tables[i];
            pthread_mutex_lock(&table->lock);
            if (table->flush.posted && table->flush.failing)
                failed = table->flush_err;
            if (table->compact.posted && table->compact.failing)
                failed = table->compact_err;
            if (table->index_job.posted && table->index_job.failing)
                failed = table->index_err;
            pthread_mutex_unlock(&table->lock);
            lsmi_table_release(table);
        }
        free(tables);
        if (failed.code)
            return base_err_set(err, failed.code, "%s", failed.text);
        if (base_executor_stopping(store->options.executor))
            return base_err_set(err, BASE_E_CLOSED, "background work has stopped");
        base_executor_wait(store->options.executor, LSMI_WAIT_NS);
    }
    return BASE_OK;
}

/* Figures. */

void lsm_table_get_stats(struct lsm_table *table, struct lsm_table_stats *stats)
{
    *stats = (struct lsm_table_stats){0};
    struct lsmi_view *view = lsmi_view_acquire(table);
    uint64_t partition_bytes = 0;
    for (size_t i = 0; i < view->sstable_count; i++) {
        const struct lsm_sstable_info *info = lsmi_sst_info(view->sstables[i]);
        stats->disk_bytes += info->file_size;
        stats->data_bytes_uncompressed += info->data_bytes_uncompressed;
        stats->partition_estimate += info->partition_count;
        stats->row_count_estimate += info->row_count;
        stats->tombstone_count += info->tombstone_count;
        if (info->partition_size_max > stats->partition_size_max)
            stats->partition_size_max = info->partition_size_max;
        partition_bytes += info->data_bytes_uncompressed;
        uint64_t checks, false_positives;
        lsmi_sst_bloom_counts(view->sstables[i], &checks, &false_positives);
        stats->bloom_checks += checks;
        stats->bloom_false_positives += false_positives;
    }
    stats->sstable_count = view->sstable_count;
    if (stats->partition_estimate)
        stats->partition_size_mean = partition_bytes / stats->partition_estimate;
    for (size_t i = 0; i < view->memtable_count; i++) {
        uint64_t partitions, rows;
        lsmi_memtable_count(view->memtables[i], &partitions, &rows);
        stats->memtable_rows += rows;
        stats->memtable_bytes += lsmi_memtable_size(view->memtables[i]);
        stats->partition_estimate += partitions;
        stats->row_count_estimate += rows;
    }
    lsmi_view_release(view);
    pthread_mutex_lock(&table->lock);
    stats->memtable_switches = table->switched;
    stats->compactions_pending = table->compact.posted;
    pthread_mutex_unlock(&table->lock);
    stats->reads = atomic_load(&table->reads);
    stats->writes = atomic_load(&table->writes);
    stats->compacted_bytes = atomic_load(&table->compacted_bytes);
}

void lsm_get_stats(struct lsm_store *store, struct lsm_stats *stats)
{
    *stats = (struct lsm_stats){0};
    struct lsmi_log_stats log;
    struct lsmi_cache_stats cache;
    lsmi_log_get_stats(store->log, &log);
    lsmi_cache_get_stats(store->cache, &cache);
    stats->commitlog_bytes = log.size_bytes;
    stats->commitlog_segments = log.segment_count;
    stats->commitlog_syncs = log.syncs;
    stats->commitlog_records = log.records;
    stats->stopped = log.stopped;
    lsmi_space_get_stats(store, stats);
    stats->cache_bytes = cache.size_bytes;
    stats->cache_entries = cache.entries;
    stats->cache_hits = cache.hits;
    stats->cache_misses = cache.misses;
    stats->memtable_bytes = atomic_load(&store->memtable_bytes);
    stats->flushed_bytes = atomic_load(&store->flushed_bytes);
    stats->flushes = atomic_load(&store->flushes);
    stats->compactions = atomic_load(&store->compactions);
    stats->compacted_bytes_read = atomic_load(&store->compacted_read);
    stats->compacted_bytes_written = atomic_load(&store->compacted_written);
    size_t count;
    struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
    for (size_t i = 0; i < count; i++) {
        struct lsmi_view *view = lsmi_view_acquire(tables[i]);
        stats->sstable_count += view->sstable_count;
        for (size_t k = 0; k < view->sstable_count; k++)
            stats->disk_bytes += lsmi_sst_info(view->sstables[k])->file_size;
        lsmi_view_release(view);
        lsmi_table_release(tables[i]);
    }
    free(tables);
    stats->table_count = count;
}
