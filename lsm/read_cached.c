/* May a read wait for the disk? For who must not wait: an event loop that reads a row by itself
 * when all of it is in memory. */
#include "lsm/lsm_private.h"
#include "lsm/sst_private.h"
#include "lsm/sstable.h"

/* Are the blocks on the way to a key in the cache? Index nodes and the data block; the root always
 * is. */
static bool path_is_cached(struct lsm_sstable *sst, struct base_slice target)
{
    struct lsmi_block *held = NULL;
    const struct lsmi_block *block = sst->root;
    bool cached = true;
    for (uint32_t level = sst->footer.levels; level >= 1 && cached; level--) {
        uint64_t offset;
        uint32_t len;
        lsmi_index_child(block, lsmi_index_find(block, target), &offset, &len);
        struct lsmi_block *child = lsmi_cache_find(sst->cache, sst->file_no, offset);
        lsmi_block_unpin(held);
        block = held = child;
        cached = child != NULL && child->level == level - 1;
    }
    lsmi_block_unpin(held);
    return cached;
}

static bool sstable_may_wait(struct lsm_sstable *sst, struct base_slice pkey, struct base_slice key)
{
    if (!sst->cache || !atomic_load_explicit(&sst->filter, memory_order_acquire))
        return true;
    if (!lsmi_sst_may_contain(sst, pkey))
        return false;
    return sst->root->keys.count == 0 || !path_is_cached(sst, pkey) || !path_is_cached(sst, key);
}

bool lsm_read_may_wait(struct lsm_table *table, const struct base_read *cmd)
{
    uint8_t key[LSM_READ_ALONE_KEY_MAX];
    const struct base_range *row = cmd->slices.ranges;
    if (!cmd->pkey.len || cmd->slices.count != 1 || !row->lo.len ||
        !base_slice_equal(row->lo, row->hi) || cmd->pkey.len + row->lo.len > sizeof key)
        return true;
    memcpy(key, cmd->pkey.data, cmd->pkey.len);
    memcpy(key + cmd->pkey.len, row->lo.data, row->lo.len);
    struct lsmi_view *view = lsmi_view_acquire(table);
    bool waits = false;
    for (size_t i = 0; i < view->sstable_count && !waits; i++)
        waits = sstable_may_wait(view->sstables[i], cmd->pkey,
                                 base_slice(key, cmd->pkey.len + row->lo.len));
    lsmi_view_release(view);
    return waits;
}
