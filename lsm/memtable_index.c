/* A memtable's part of its table's indexes (lsm/memtable.h): for each index and shard a tree of
 * keys.
 *
 * Keys are added for each row as it comes in, not for what it becomes by merging: whatever the
 * merged row has, one of the rows that came in had. What an update or a deletion made untrue stays
 * until the memtable goes: an index may find too much. */
#include "lsm/index.h"
#include "lsm/memtable.h"

struct item {
    struct lsmi_btree_item head;
    uint8_t key[];
};

bool lsmi_mt_indexes_new(struct lsmi_memtable *mt, struct base_indexer *indexer)
{
    size_t count = base_indexer_count(indexer);
    BASE_ASSERT(!mt->indexer && count > 0);
    for (unsigned i = 0; i < mt->shard_count; i++) {
        struct lsmi_mt_indexes *indexes =
            calloc(1, sizeof *indexes + count * sizeof indexes->trees[0]);
        if (!indexes)
            return false;
        base_buf_init(&indexes->scratch, (size_t)1 << 30);
        base_buf_init(&indexes->key, (size_t)1 << 20);
        mt->shards[i].indexes = indexes;
    }
    mt->indexer = base_indexer_acquire(indexer);
    return true;
}

void lsmi_mt_indexes_free(struct lsmi_memtable *mt)
{
    for (unsigned i = 0; i < mt->shard_count; i++) {
        struct lsmi_mt_indexes *indexes = mt->shards[i].indexes;
        if (!indexes)
            continue;
        base_buf_fini(&indexes->scratch);
        base_buf_fini(&indexes->key);
        free(indexes);
        mt->shards[i].indexes = NULL;
    }
    base_indexer_release(mt->indexer);
    mt->indexer = NULL;
}

/* Adding. */

struct adding {
    struct lsmi_mt_shard *shard;
    struct base_slice pkey, ckey; /* ckey empty: the whole partition */
};

static int add_key(void *ctx, size_t index, struct base_slice term)
{
    struct adding *a = ctx;
    struct lsmi_mt_indexes *indexes = a->shard->indexes;
    struct lsmi_btree *tree = &indexes->trees[index];
    struct lsmi_btree_spot spot;
    base_buf_reset(&indexes->key);
    int rc = lsmi_index_put_term(term, &indexes->key);
    if (rc == BASE_OK)
        rc = lsmi_index_put_place(a->pkey, a->ckey, &indexes->key);
    if (rc != BASE_OK || lsmi_btree_locate(tree, base_buf_view(&indexes->key), &spot))
        return rc;
    struct item *item = base_arena_alloc(&a->shard->arena, sizeof *item + indexes->key.len);
    if (!item)
        return BASE_E_NOMEM;
    item->head = (struct lsmi_btree_item){(uint32_t)indexes->key.len, sizeof *item, 0};
    memcpy(item->key, indexes->key.data, indexes->key.len);
    return lsmi_btree_insert(tree, &a->shard->arena, &spot, &item->head) ? BASE_OK : BASE_E_NOMEM;
}

int lsmi_mt_index_apply(struct lsmi_memtable *mt, struct lsmi_mt_shard *shard,
                        const struct base_mutation *m)
{
    struct adding adding = {.shard = shard, .pkey = m->pkey};
    struct base_index_emit emit = {add_key, &adding, &shard->indexes->scratch};
    int rc = BASE_OK;
    if (m->static_row.len || m->row_count)
        rc = base_indexer_key_terms(mt->indexer, m->pkey, &emit);
    if (rc == BASE_OK)
        rc = base_indexer_static_terms(mt->indexer, m->static_row, &emit);
    struct base_reader rows = m->rows;
    for (uint64_t i = 0; i < m->row_count && rc == BASE_OK; i++) {
        struct base_slice row;
        if (!base_mutation_row(&rows, &adding.ckey, &row))
            return BASE_E_CORRUPT;
        rc = base_indexer_row_terms(mt->indexer, adding.ckey, row, &emit);
    }
    return rc;
}

/* Reading. */

size_t lsmi_mt_index_page(struct lsmi_memtable *mt, unsigned number, size_t index,
                          struct base_slice from, bool after, struct base_slice *out, size_t max)
{
    BASE_ASSERT(number < mt->shard_count);
    struct lsmi_mt_shard *shard = &mt->shards[number];
    struct lsmi_btree_cursor cursor;
    size_t n = 0;
    pthread_rwlock_rdlock(&shard->lock);
    bool equal = lsmi_btree_seek(&shard->indexes->trees[index], from, &cursor);
    if (equal && after)
        lsmi_btree_next(&cursor);
    for (struct lsmi_btree_item *item; n < max && (item = lsmi_btree_at(&cursor));
         lsmi_btree_next(&cursor))
        out[n++] = lsmi_btree_key(item);
    pthread_rwlock_unlock(&shard->lock);
    return n;
}
