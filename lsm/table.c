/* Tables of a store: their descriptions and views; opening, altering, dropping, truncating
 * (lsm/lsm.h).
 *
 * A view is what a reader sees: immutable, replaced as a whole, freed with its last reader. Its
 * SSTables change only under manifest_lock, its memtables only with the switch lock held
 * exclusively.
 *
 * Dropping and truncating: the manifest's edit comes first; when it is durable, the files are
 * marked and go with their last reader. A crash in between leaves files that nobody names, which
 * the next open removes. */
#include "lsm/lsm_private.h"

/* Views. */

struct lsmi_view *lsmi_view_new(struct lsmi_memtable *const *memtables, size_t memtable_count,
                                struct lsm_sstable *const *sstables, size_t sstable_count,
                                struct base_deletion floor)
{
    BASE_ASSERT(memtable_count >= 1);
    struct lsmi_view *view =
        malloc(sizeof *view + (memtable_count + sstable_count) * sizeof(void *));
    if (!view)
        return NULL;
    *view = (struct lsmi_view){
        .memtable_count = memtable_count, .sstable_count = sstable_count, .floor = floor};
    atomic_init(&view->refs, 1);
    view->memtables = (struct lsmi_memtable **)(void *)(view + 1);
    view->sstables = (struct lsm_sstable **)(void *)(view->memtables + memtable_count);
    for (size_t i = 0; i < memtable_count; i++)
        view->memtables[i] = lsmi_memtable_acquire(memtables[i]);
    for (size_t i = 0; i < sstable_count; i++)
        view->sstables[i] = lsmi_sst_acquire(sstables[i]);
    return view;
}

struct lsmi_view *lsmi_view_acquire(struct lsm_table *table)
{
    pthread_mutex_lock(&table->lock);
    struct lsmi_view *view = table->view;
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&table->lock);
    return view;
}

void lsmi_view_release(struct lsmi_view *view)
{
    if (!view || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < view->memtable_count; i++)
        lsmi_memtable_release(view->memtables[i]);
    for (size_t i = 0; i < view->sstable_count; i++)
        lsmi_sst_release(view->sstables[i]);
    free(view);
}

struct lsmi_view *lsmi_view_swap(struct lsm_table *table, struct lsmi_view *view)
{
    BASE_ASSERT(view->memtables[0] == table->memtable);
    struct lsmi_view *old = table->view;
    table->view = view;
    return old;
}

/* Descriptions. */

static struct lsmi_desc *desc_new(const struct lsm_table_desc *from)
{
    struct lsmi_desc *desc = calloc(1, sizeof *desc);
    if (!desc)
        return NULL;
    atomic_init(&desc->refs, 1);
    base_arena_init(&desc->arena);
    desc->desc = *from;
    desc->desc.name = base_arena_strdup(&desc->arena, base_slice_str(from->name ? from->name : ""));
    desc->desc.dropped = NULL;
    base_indexer_acquire(desc->desc.indexer);
    size_t size = from->dropped_count * sizeof *from->dropped;
    if (size) {
        struct base_dropped_column *dropped = base_arena_alloc(&desc->arena, size);
        if (dropped) {
            memcpy(dropped, from->dropped, size);
            for (size_t i = 0; i < from->dropped_count;
                 i++) { /* only ids and times are the store's concern */
                dropped[i].name = (struct base_slice){0};
                dropped[i].type = NULL;
            }
        }
        desc->desc.dropped = dropped;
    }
    if (!desc->desc.name || (size && !desc->desc.dropped)) {
        lsmi_desc_release(desc);
        return NULL;
    }
    return desc;
}

struct lsmi_desc *lsmi_desc_acquire(struct lsm_table *table)
{
    pthread_mutex_lock(&table->lock);
    struct lsmi_desc *desc = table->desc;
    atomic_fetch_add(&desc->refs, 1);
    pthread_mutex_unlock(&table->lock);
    return desc;
}

void lsmi_desc_release(struct lsmi_desc *desc)
{
    if (!desc || atomic_fetch_sub(&desc->refs, 1) > 1)
        return;
    base_indexer_release(desc->desc.indexer);
    base_arena_fini(&desc->arena);
    free(desc);
}

static struct base_deletion floor_of(const struct lsm_table_desc *desc)
{
    if (desc->truncated_us == INT64_MIN)
        return BASE_DELETION_NONE;
    return (struct base_deletion){desc->truncated_us, desc->truncated_us / 1000000};
}

/* The map of tables. */

static size_t slot_of(const struct lsm_store *store, struct base_uuid id)
{
    uint64_t hash = (base_get_le64(id.b) ^ base_get_le64(id.b + 8)) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(hash >> 32) & (store->table_cap - 1);
}

struct lsm_table *lsmi_table_lookup(struct lsm_store *store, struct base_uuid id)
{
    if (store->table_cap == 0)
        return NULL;
    for (size_t at = slot_of(store, id); store->tables[at]; at = (at + 1) & (store->table_cap - 1))
        if (base_uuid_equal(store->tables[at]->id, id))
            return store->tables[at];
    return NULL;
}

static void map_put(struct lsm_store *store, struct lsm_table *table)
{
    size_t at = slot_of(store, table->id);
    while (store->tables[at])
        at = (at + 1) & (store->table_cap - 1);
    store->tables[at] = table;
}

static bool map_grow(struct lsm_store *store)
{
    if ((store->table_count + 1) * 2 <= store->table_cap)
        return true;
    size_t cap_old = store->table_cap, cap = cap_old ? cap_old * 2 : 16;
    struct lsm_table **old = store->tables, **larger = calloc(cap, sizeof *larger);
    if (!larger)
        return false;
    store->tables = larger;
    store->table_cap = cap;
    for (size_t i = 0; i < cap_old; i++)
        if (old[i])
            map_put(store, old[i]);
    free(old);
    return true;
}

static void map_remove(struct lsm_store *store, struct lsm_table *table)
{
    size_t mask = store->table_cap - 1, at = slot_of(store, table->id);
    while (store->tables[at] != table)
        at = (at + 1) & mask;
    store->tables[at] = NULL;
    for (at = (at + 1) & mask; store->tables[at]; at = (at + 1) & mask) { /* close the gap */
        struct lsm_table *moved = store->tables[at];
        store->tables[at] = NULL;
        map_put(store, moved);
    }
    store->table_count--;
}

struct lsm_table *lsm_table_find(struct lsm_store *store, struct base_uuid id)
{
    pthread_rwlock_rdlock(&store->switch_lock);
    struct lsm_table *table = lsmi_table_lookup(store, id);
    pthread_rwlock_unlock(&store->switch_lock);
    return table;
}

struct lsm_table **lsmi_tables_snapshot(struct lsm_store *store, size_t *count)
{
    *count = 0;
    pthread_rwlock_rdlock(&store->switch_lock);
    struct lsm_table **tables =
        store->table_count ? malloc(store->table_count * sizeof(struct lsm_table *)) : NULL;
    for (size_t i = 0; i < store->table_cap && tables; i++) {
        if (!store->tables[i])
            continue;
        atomic_fetch_add(&store->tables[i]->refs, 1);
        tables[(*count)++] = store->tables[i];
    }
    pthread_rwlock_unlock(&store->switch_lock);
    return tables;
}

void lsmi_table_release(struct lsm_table *table)
{
    if (!table || atomic_fetch_sub(&table->refs, 1) > 1)
        return;
    BASE_ASSERT(!table->flush.posted && !table->compact.posted && !table->index_job.posted);
    lsmi_view_release(table->view);
    lsmi_desc_release(table->desc);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* Opening. */

/* Open the SSTables that the manifest names for the table, and their indexes. Under
 * manifest_lock. */
static int sstables_open(struct lsm_store *store, const struct lsm_table_desc *desc,
                         struct lsm_sstable ***out, size_t *out_count, struct base_err *err)
{
    struct base_uuid id = desc->id;
    char dir[LSMI_PATH_MAX];
    lsmi_sstable_dir(store, dir);
    const struct lsmi_manifest *m = &store->manifest;
    struct lsm_sstable **sstables = calloc(m->sstable_count + 1, sizeof *sstables);
    size_t n = 0;
    int rc = sstables ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < m->sstable_count && rc == BASE_OK; i++) {
        if (!base_uuid_equal(m->sstables[i].table_id, id))
            continue;
        char path[LSMI_PATH_MAX];
        lsmi_sstable_path(store, m->sstables[i].id, path);
        rc = lsmi_sst_open(store->options.fs, path, store->cache, &sstables[n], err);
        if (rc == BASE_E_NOTFOUND)
            rc =
                base_err_set(err, BASE_E_CORRUPT, "%s, which the manifest names, is missing", path);
        if (rc != BASE_OK)
            break;
        const struct lsm_sstable_info *info = lsmi_sst_info(sstables[n++]);
        if (info->id != m->sstables[i].id || info->file_size != m->sstables[i].file_size ||
            !base_uuid_equal(info->table_id, id))
            rc = base_err_set(err, BASE_E_CORRUPT,
                              "%s is another file than the manifest's (id %llu, %llu bytes)", path,
                              (unsigned long long)info->id, (unsigned long long)info->file_size);
        if (rc == BASE_OK)
            rc = lsmi_components_open(store->options.fs, dir, store->options.log, store->cache,
                                      sstables[n - 1], desc->indexer, err);
    }
    if (rc != BASE_OK) {
        while (n > 0)
            lsmi_sst_release(sstables[--n]);
        free(sstables);
        return rc;
    }
    *out = sstables;
    *out_count = n;
    return BASE_OK;
}

static struct lsm_table *table_new(struct lsm_store *store, const struct lsm_table_desc *desc,
                                   struct lsm_sstable *const *sstables, size_t sstable_count)
{
    struct lsm_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    atomic_init(&table->refs, 1);
    table->store = store;
    table->id = desc->id;
    pthread_mutex_init(&table->lock, NULL);
    lsmi_flush_init(table);
    lsmi_compact_init(table);
    lsmi_index_job_init(table);
    table->desc = desc_new(desc);
    table->memtable =
        lsmi_memtable_new_indexed(LSMI_SHARDS_MAX, &store->memtable_bytes, desc->indexer);
    if (table->desc && table->memtable)
        table->view = lsmi_view_new(&table->memtable, 1, sstables, sstable_count, floor_of(desc));
    lsmi_memtable_release(table->memtable); /* the view keeps it */
    if (!table->view) {
        lsmi_table_release(table);
        return NULL;
    }
    return table;
}

int lsm_table_open(struct lsm_store *store, const struct lsm_table_desc *desc,
                   struct lsm_table **out, struct base_err *err)
{
    *out = NULL;
    if (lsm_table_find(store, desc->id))
        return base_err_set(err, BASE_E_EXISTS, "open table %s: it is open already", desc->name);
    struct lsm_sstable **sstables = NULL;
    size_t n = 0;
    pthread_mutex_lock(&store->manifest_lock);
    int rc = sstables_open(store, desc, &sstables, &n, err);
    uint64_t replay_from = lsmi_manifest_flushed_upto(&store->manifest, desc->id);
    pthread_mutex_unlock(&store->manifest_lock);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "open table %s", desc->name);
    struct lsm_table *table = table_new(store, desc, sstables, n);
    while (n > 0)
        lsmi_sst_release(sstables[--n]);
    free(sstables);
    if (!table)
        return base_err_set(err, BASE_E_NOMEM, "open table %s: out of memory", desc->name);
    table->replay_from = replay_from;
    pthread_rwlock_wrlock(&store->switch_lock);
    bool ok = map_grow(store);
    if (ok) {
        map_put(store, table);
        store->table_count++;
    }
    pthread_rwlock_unlock(&store->switch_lock);
    if (!ok) {
        lsmi_table_release(table);
        return base_err_set(err, BASE_E_NOMEM, "open table %s: out of memory", desc->name);
    }
    *out = table;
    if (store->replayed) {
        lsmi_compact_poke(table);
        lsmi_index_poke(table);
    }
    return BASE_OK;
}

/* After the description: writes go to a memtable that keeps the indexes as they are now, files of
 * dropped ones go. Without a new memtable (NOMEM) queries do not use a new index until the next
 * one. Under manifest_lock. */
static int alter_indexes(struct lsm_table *table, struct base_indexer *before,
                         struct base_indexer *now, struct base_err *err)
{
    if (!before && !now)
        return BASE_OK;
    struct lsmi_view *view = lsmi_view_acquire(table);
    for (size_t i = 0; i < view->sstable_count; i++)
        lsmi_components_prune(view->sstables[i], now);
    lsmi_view_release(view);
    return lsmi_table_renew(table, err);
}

int lsm_table_alter(struct lsm_table *table, const struct lsm_table_desc *desc,
                    struct base_err *err)
{
    struct lsm_store *store = table->store;
    if (!base_uuid_equal(table->id, desc->id))
        return base_err_set(err, BASE_E_INVALID, "alter table %s: a different id", desc->name);
    struct lsmi_desc *next = desc_new(desc), *old = NULL;
    if (!next)
        return base_err_set(err, BASE_E_NOMEM, "alter table %s: out of memory", desc->name);
    pthread_mutex_lock(&store->manifest_lock);
    pthread_rwlock_wrlock(&store->switch_lock);
    struct lsmi_view *view =
        lsmi_view_new(table->view->memtables, table->view->memtable_count, table->view->sstables,
                      table->view->sstable_count, floor_of(desc));
    if (view) {
        pthread_mutex_lock(&table->lock);
        old = table->desc;
        table->desc = next;
        view = lsmi_view_swap(table, view);
        pthread_mutex_unlock(&table->lock);
    }
    pthread_rwlock_unlock(&store->switch_lock);
    int rc = old ? alter_indexes(table, old->desc.indexer, desc->indexer, err) : BASE_OK;
    pthread_mutex_unlock(&store->manifest_lock);
    if (!old) {
        lsmi_desc_release(next);
        return base_err_set(err, BASE_E_NOMEM, "alter table %s: out of memory", desc->name);
    }
    lsmi_view_release(view);
    lsmi_desc_release(old);
    lsmi_compact_poke(table);
    lsmi_index_poke(table);
    return rc;
}

/* Dropping and truncating. */

/* Memtables that will not be flushed are no longer counted. */
static void forget_memtables(struct lsm_store *store, const struct lsmi_view *view, size_t from)
{
    for (size_t i = from; i < view->memtable_count; i++) {
        struct lsmi_memtable *mt = view->memtables[i];
        uint64_t size = lsmi_memtable_size(mt);
        mt->size_total = NULL;
        atomic_fetch_sub(&store->memtable_bytes, size);
        if (i > 0)
            atomic_fetch_sub(&store->flushing_bytes, size);
    }
}

int lsm_table_drop(struct lsm_store *store, struct lsm_table *table, struct base_err *err)
{
    struct base_buf edit;
    base_buf_init(&edit, 1 << 16);
    pthread_mutex_lock(&store->manifest_lock);
    pthread_rwlock_wrlock(&store->switch_lock);
    uint64_t low = lsmi_log_low(store, NULL, table);
    pthread_rwlock_unlock(&store->switch_lock);
    int rc = lsmi_edit_drop(&edit, table->id);
    if (rc == BASE_OK && store->replayed)
        rc = lsmi_edit_log_low(&edit, low);
    if (rc == BASE_OK)
        rc = lsmi_manifest_commit(&store->manifest, base_buf_view(&edit), err);
    base_buf_fini(&edit);
    if (rc == BASE_OK) {
        pthread_rwlock_wrlock(&store->switch_lock);
        pthread_mutex_lock(&table->lock);
        table->dropped = true;
        map_remove(store, table);
        forget_memtables(store, table->view, 0);
        for (size_t i = 0; i < table->view->sstable_count; i++)
            lsmi_sst_mark_removed(table->view->sstables[i]);
        pthread_mutex_unlock(&table->lock);
        pthread_rwlock_unlock(&store->switch_lock);
    }
    pthread_mutex_unlock(&store->manifest_lock);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "drop table");
    if (store->replayed)
        lsmi_log_discard(store->log, low);
    lsmi_table_release(table);
    return BASE_OK;
}

static int truncate_edit(struct lsm_table *table, const struct lsmi_view *view, uint64_t upto,
                         struct base_buf *edit)
{
    int rc = lsmi_edit_flushed(edit, table->id, upto);
    for (size_t i = 0; i < view->sstable_count && rc == BASE_OK; i++)
        rc = lsmi_edit_remove(edit, lsmi_sst_info(view->sstables[i])->id);
    return rc;
}

/* Until the edit is decided, no memtable is switched in: the view that follows it is made
 * beforehand. */
static void truncating_set(struct lsm_table *table, bool truncating)
{
    pthread_mutex_lock(&table->lock);
    table->truncating = truncating;
    pthread_mutex_unlock(&table->lock);
}

/* Under manifest_lock, after a switch: what is older than the switch is in the older memtables and
 * the SSTables. */
static int truncate_locked(struct lsm_table *table, struct base_buf *edit, struct base_err *err)
{
    struct lsm_store *store = table->store;
    truncating_set(table, true);
    pthread_rwlock_wrlock(&store->switch_lock);
    struct lsmi_view *view = table->view;
    uint64_t upto = lsmi_store_position(store), from = atomic_load(&table->memtable->log_from);
    if (view->memtable_count > 1)
        upto = view->memtables[1]->log_upto;
    else if (from < upto) /* written since the call began */
        upto = from;
    int rc = truncate_edit(table, view, upto, edit);
    struct lsmi_view *next = lsmi_view_new(view->memtables, 1, NULL, 0, view->floor);
    pthread_rwlock_unlock(&store->switch_lock);
    if (rc != BASE_OK || !next)
        rc = base_err_set(err, rc != BASE_OK ? rc : BASE_E_NOMEM, "out of memory");
    /* A power cut gives positions behind the log's durable end to other records: `upto` must not be
     * there. */
    if (rc == BASE_OK && store->replayed)
        rc = lsmi_log_sync(store->log, upto, err);
    if (rc == BASE_OK)
        rc = lsmi_manifest_commit(&store->manifest, base_buf_view(edit), err);
    if (rc == BASE_OK) {
        pthread_rwlock_wrlock(&store->switch_lock);
        BASE_ASSERT(view == table->view);
        forget_memtables(store, view, 1);
        for (size_t i = 0; i < view->sstable_count; i++)
            lsmi_sst_mark_removed(view->sstables[i]);
        pthread_mutex_lock(&table->lock);
        table->flushed += view->memtable_count - 1;
        next = lsmi_view_swap(table, next);
        pthread_mutex_unlock(&table->lock);
        pthread_rwlock_unlock(&store->switch_lock);
    }
    truncating_set(table, false);
    lsmi_view_release(next);
    return rc;
}

int lsm_table_truncate(struct lsm_table *table, struct base_err *err)
{
    struct lsm_store *store = table->store;
    struct base_buf edit;
    base_buf_init(&edit, (size_t)1 << 24);
    pthread_mutex_lock(&store->manifest_lock);
    int rc = lsmi_table_switch(table, NULL, err);
    if (rc == BASE_OK)
        rc = truncate_locked(table, &edit, err);
    pthread_mutex_unlock(&store->manifest_lock);
    base_buf_fini(&edit);
    return rc == BASE_OK ? rc : base_err_wrap(err, rc, "truncate");
}
