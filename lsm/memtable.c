/* The memtable's writing side (lsm/memtable.h). Reading: memtable_source.c.
 *
 * Invariants: 1. a version's seq is greater than its prev's; 2. nothing has a version above the
 * shard's seq but while a mutation is being applied under the write lock; 3. a row whose head is
 * NULL, and a partition without any version, exist for nobody (they are left by a rollback); 4.
 * bytes reachable from a version never change, so readers use them without the lock.
 *
 * An update merges the newest version with the row that comes in (base_row_merge), so that a reader
 * finds one blob per row, however often it was written. */
#include "lsm/memtable.h"

/* A thing that got a version, to take it back. */
struct lsmi_mt_undo {
    struct lsmi_mt_undo *prev;
    struct lsmi_version **slot;
};

#define ROW_SIZE_MAX ((size_t)1 << 30)

struct lsmi_memtable *lsmi_memtable_new(unsigned shard_count, _Atomic uint64_t *size_total)
{
    BASE_ASSERT(shard_count == 1 || shard_count == LSMI_SHARDS_MAX);
    size_t size = sizeof(struct lsmi_memtable) + shard_count * sizeof(struct lsmi_mt_shard);
    struct lsmi_memtable *mt = calloc(1, size);
    if (!mt)
        return NULL;
    atomic_init(&mt->refs, 1);
    mt->shard_count = shard_count;
    mt->size_total = size_total;
    atomic_init(&mt->log_from, UINT64_MAX);
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* A stream of readers must not keep a writer out. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (unsigned i = 0; i < shard_count; i++) {
        pthread_rwlock_init(&mt->shards[i].lock, &attr);
        base_arena_init(&mt->shards[i].arena);
        mt->shards[i].ts_min = INT64_MAX;
        base_buf_init(&mt->shards[i].scratch, ROW_SIZE_MAX);
    }
    pthread_rwlockattr_destroy(&attr);
    return mt;
}

struct lsmi_memtable *lsmi_memtable_new_indexed(unsigned shard_count, _Atomic uint64_t *size_total,
                                                struct base_indexer *indexer)
{
    struct lsmi_memtable *mt = lsmi_memtable_new(shard_count, size_total);
    if (mt && indexer && !lsmi_mt_indexes_new(mt, indexer)) {
        lsmi_memtable_release(mt);
        return NULL;
    }
    return mt;
}

struct lsmi_memtable *lsmi_memtable_acquire(struct lsmi_memtable *mt)
{
    int before = atomic_fetch_add_explicit(&mt->refs, 1, memory_order_relaxed);
    BASE_ASSERT(before > 0);
    return mt;
}

void lsmi_memtable_release(struct lsmi_memtable *mt)
{
    if (!mt)
        return;
    int before = atomic_fetch_sub_explicit(&mt->refs, 1, memory_order_acq_rel);
    BASE_ASSERT(before > 0);
    if (before > 1)
        return;
    lsmi_mt_indexes_free(mt);
    for (unsigned i = 0; i < mt->shard_count; i++) {
        base_buf_fini(&mt->shards[i].scratch);
        base_arena_fini(&mt->shards[i].arena);
        pthread_rwlock_destroy(&mt->shards[i].lock);
    }
    if (mt->size_total)
        atomic_fetch_sub_explicit(mt->size_total, lsmi_memtable_size(mt), memory_order_relaxed);
    free(mt);
}

static struct lsmi_mt_shard *shard_of(struct lsmi_memtable *mt, struct base_slice pkey)
{
    return &mt->shards[mt->shard_count == 1 ? 0 : pkey.data[0] >> 5];
}

/* Pieces of a mutation, under the write lock. */

static struct lsmi_mt_partition *partition_get(struct lsmi_mt_shard *shard, struct base_slice pkey)
{
    struct lsmi_btree_spot spot;
    struct lsmi_btree_item *found = lsmi_btree_locate(&shard->partitions, pkey, &spot);
    if (found)
        return (struct lsmi_mt_partition *)(void *)found;
    struct lsmi_mt_partition *part = base_arena_alloc(&shard->arena, sizeof *part + pkey.len);
    if (!part)
        return NULL;
    *part = (struct lsmi_mt_partition){.item = {(uint32_t)pkey.len, sizeof *part, 0}};
    memcpy(part->key, pkey.data, pkey.len);
    return lsmi_btree_insert(&shard->partitions, &shard->arena, &spot, &part->item) ? part : NULL;
}

static struct lsmi_mt_row *row_get(struct lsmi_mt_shard *shard, struct lsmi_mt_partition *part,
                                   struct base_slice ckey)
{
    struct lsmi_btree_spot spot;
    struct lsmi_btree_item *found = lsmi_btree_locate(&part->rows, ckey, &spot);
    if (found)
        return (struct lsmi_mt_row *)(void *)found;
    struct lsmi_mt_row *row = base_arena_alloc(&shard->arena, sizeof *row + ckey.len);
    if (!row)
        return NULL;
    *row = (struct lsmi_mt_row){.item = {(uint32_t)ckey.len, sizeof *row, 0}};
    memcpy(row->key, ckey.data, ckey.len);
    if (!lsmi_btree_insert(&part->rows, &shard->arena, &spot, &row->item))
        return NULL;
    shard->row_count++;
    return row;
}

/* Make `bytes` the newest version at *slot. */
static int version_push(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard, uint64_t seq,
                        struct lsmi_version **slot, const void *bytes, size_t len)
{
    struct lsmi_mt_undo *undo = NULL;
    if (mt->shard_count == 1 && !(undo = base_arena_alloc(&shard->arena, sizeof *undo)))
        return BASE_E_NOMEM;
    struct lsmi_version *version = base_arena_alloc(&shard->arena, sizeof *version + len);
    if (!version)
        return BASE_E_NOMEM;
    BASE_ASSERT(!*slot || (*slot)->seq <= seq);
    version->seq = seq;
    version->prev = *slot;
    version->len = (uint32_t)len;
    memcpy(version->bytes, bytes, len);
    *slot = version;
    if (undo) {
        *undo = (struct lsmi_mt_undo){shard->undo, slot};
        shard->undo = undo;
    }
    return BASE_OK;
}

/* A bound on the row's timestamps without a look at its cells. */
static int64_t row_ts_bound(struct base_slice row)
{
    if (row.len < 9 || (row.data[0] & BASE_ROW_OWN_TS))
        return INT64_MIN;
    return (int64_t)base_get_le64(row.data + 1);
}

static int row_push(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard, uint64_t seq,
                    struct lsmi_version **slot, struct base_slice row)
{
    int64_t ts = row_ts_bound(row);
    if (ts < shard->ts_min)
        shard->ts_min = ts;
    if (!*slot)
        return version_push(mt, shard, seq, slot, row.data, row.len);
    struct base_slice versions[2] = {{(*slot)->bytes, (*slot)->len}, row};
    base_buf_reset(&shard->scratch);
    int rc = base_row_merge(versions, 2, BASE_DELETION_NONE, &shard->scratch);
    if (rc != BASE_OK || shard->scratch.len == 0) /* nothing came of nothing */
        return rc;
    return version_push(mt, shard, seq, slot, shard->scratch.data, shard->scratch.len);
}

static int extra_apply(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard, uint64_t seq,
                       struct lsmi_mt_partition *part, const struct base_mutation *m)
{
    if (!part->extra) {
        part->extra = base_arena_zalloc(&shard->arena, sizeof *part->extra);
        if (!part->extra)
            return BASE_E_NOMEM;
    }
    struct lsmi_mt_extra *extra = part->extra;
    int rc = BASE_OK;
    if (!base_deletion_is_none(m->deletion)) {
        struct base_deletion deletion = m->deletion;
        if (extra->deletion) {
            struct base_deletion old;
            memcpy(&old, extra->deletion->bytes, sizeof old);
            deletion = base_deletion_max(old, deletion);
        }
        rc = version_push(mt, shard, seq, &extra->deletion, &deletion, sizeof deletion);
    }
    if (rc == BASE_OK && m->static_row.len)
        rc = row_push(mt, shard, seq, &extra->static_row, m->static_row);
    if (rc != BASE_OK || m->range_count == 0)
        return rc;
    const struct lsmi_mt_run *list = NULL;
    if (extra->ranges)
        memcpy(&list, extra->ranges->bytes, sizeof list);
    struct base_reader ranges = m->ranges;
    for (uint64_t i = 0; i < m->range_count; i++) {
        struct base_range_deletion range;
        if (!base_mutation_range(&ranges, &range))
            return BASE_E_CORRUPT;
        if (!(list = lsmi_mt_run_push(&shard->arena, list, &range)))
            return BASE_E_NOMEM;
    }
    return version_push(mt, shard, seq, &extra->ranges, &list, sizeof list);
}

/* Take back the versions of a mutation that failed half-way. */
static void unapply(struct lsmi_mt_shard *shard, uint64_t seq, const struct base_mutation *m)
{
    for (; shard->undo && (*shard->undo->slot)->seq == seq; shard->undo = shard->undo->prev)
        *shard->undo->slot = (*shard->undo->slot)->prev;
    struct lsmi_mt_partition *part = (void *)lsmi_btree_find(&shard->partitions, m->pkey);
    if (!part)
        return;
    if (part->extra) {
        struct lsmi_version **slots[3] = {&part->extra->deletion, &part->extra->static_row,
                                          &part->extra->ranges};
        for (size_t i = 0; i < BASE_COUNT(slots); i++)
            while (*slots[i] && (*slots[i])->seq == seq)
                *slots[i] = (*slots[i])->prev;
    }
    struct base_reader rows = m->rows;
    struct base_slice ckey, bytes;
    for (uint64_t i = 0; i < m->row_count && base_mutation_row(&rows, &ckey, &bytes); i++) {
        struct lsmi_mt_row *row = (void *)lsmi_btree_find(&part->rows, ckey);
        while (row && row->head && row->head->seq == seq)
            row->head = row->head->prev;
    }
}

static int shard_apply(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard, uint64_t seq,
                       const struct base_mutation *m)
{
    struct lsmi_mt_partition *part = partition_get(shard, m->pkey);
    if (!part)
        return BASE_E_NOMEM;
    int rc = shard->indexes ? lsmi_mt_index_apply(mt, shard, m) : BASE_OK;
    if (rc == BASE_OK &&
        (!base_deletion_is_none(m->deletion) || m->static_row.len || m->range_count))
        rc = extra_apply(mt, shard, seq, part, m);
    struct base_reader rows = m->rows;
    for (uint64_t i = 0; i < m->row_count && rc == BASE_OK; i++) {
        struct base_slice ckey, bytes;
        if (!base_mutation_row(&rows, &ckey, &bytes))
            return BASE_E_CORRUPT;
        struct lsmi_mt_row *row = row_get(shard, part, ckey);
        rc = row ? row_push(mt, shard, seq, &row->head, bytes) : BASE_E_NOMEM;
    }
    return rc;
}

int lsmi_memtable_apply(struct lsmi_memtable *mt, const struct base_mutation *m,
                        struct base_err *err)
{
    if (m->pkey.len <= 8)
        return base_err_set(err, BASE_E_CORRUPT, "mutation: a partition key of %zu bytes",
                            m->pkey.len);
    struct lsmi_mt_shard *shard = shard_of(mt, m->pkey);
    bool locks = mt->shard_count > 1;
    if (locks)
        pthread_rwlock_wrlock(&shard->lock);
    size_t size_before = shard->arena.size_bytes;
    uint64_t seq = atomic_load_explicit(&shard->seq, memory_order_relaxed) + 1;
    int rc = shard_apply(mt, shard, seq, m);
    if (rc == BASE_OK)
        atomic_store_explicit(&shard->seq, seq, memory_order_release);
    else
        unapply(shard, seq, m);
    size_t grown = shard->arena.size_bytes - size_before;
    if (locks)
        pthread_rwlock_unlock(&shard->lock);
    if (grown) {
        atomic_fetch_add_explicit(&mt->size_bytes, grown, memory_order_relaxed);
        if (mt->size_total)
            atomic_fetch_add_explicit(mt->size_total, grown, memory_order_relaxed);
    }
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "memtable: %s", base_err_words(rc));
}

void lsmi_memtable_rollback(struct lsmi_memtable *mt, uint64_t seq)
{
    BASE_ASSERT(mt->shard_count == 1);
    struct lsmi_mt_shard *shard = &mt->shards[0];
    BASE_ASSERT(seq <= shard->seq);
    for (; shard->undo; shard->undo = shard->undo->prev) {
        struct lsmi_version **slot = shard->undo->slot;
        BASE_ASSERT(*slot);
        if ((*slot)->seq <= seq)
            break;
        *slot = (*slot)->prev;
    }
    atomic_store_explicit(&shard->seq, seq, memory_order_relaxed);
}

void lsmi_memtable_count(struct lsmi_memtable *mt, uint64_t *partitions, uint64_t *rows)
{
    *partitions = *rows = 0;
    for (unsigned i = 0; i < mt->shard_count; i++) {
        struct lsmi_mt_shard *shard = &mt->shards[i];
        pthread_rwlock_rdlock(&shard->lock);
        *partitions += shard->partitions.count;
        *rows += shard->row_count;
        pthread_rwlock_unlock(&shard->lock);
    }
}

static void chain_check(const struct lsmi_version *version, uint64_t seq)
{
    for (; version; version = version->prev) {
        BASE_ASSERT(version->seq <= seq);
        BASE_ASSERT(!version->prev || version->prev->seq <= version->seq);
    }
}

void lsmi_memtable_check(struct lsmi_memtable *mt)
{
    for (unsigned i = 0; i < mt->shard_count; i++) {
        struct lsmi_mt_shard *shard = &mt->shards[i];
        pthread_rwlock_rdlock(&shard->lock);
        lsmi_btree_check(&shard->partitions);
        uint64_t rows = 0;
        struct lsmi_btree_cursor at;
        for (lsmi_btree_seek(&shard->partitions, (struct base_slice){0}, &at); lsmi_btree_at(&at);
             lsmi_btree_next(&at)) {
            struct lsmi_mt_partition *part = (void *)lsmi_btree_at(&at);
            BASE_ASSERT(shard_of(mt, lsmi_btree_key(&part->item)) == shard);
            lsmi_btree_check(&part->rows);
            rows += part->rows.count;
            if (part->extra) {
                chain_check(part->extra->deletion, shard->seq);
                chain_check(part->extra->static_row, shard->seq);
                chain_check(part->extra->ranges, shard->seq);
            }
            struct lsmi_btree_cursor row;
            for (lsmi_btree_seek(&part->rows, (struct base_slice){0}, &row); lsmi_btree_at(&row);
                 lsmi_btree_next(&row))
                chain_check(((struct lsmi_mt_row *)(void *)lsmi_btree_at(&row))->head, shard->seq);
        }
        BASE_ASSERT(rows == shard->row_count);
        pthread_rwlock_unlock(&shard->lock);
    }
}
