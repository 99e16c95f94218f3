/* The cursor over blocks: lsm/sst_cursor.h.
 *
 * Invariants:
 *  1. After a successful seek or move, path[0..levels-1] leads from the root to `data`.
 *  2. Index blocks and data blocks are pinned while the path stands on them; the root belongs to
 *     the table, which the cursor refers to.
 *  3. `window` holds file bytes [window_at, window_at + window_len); they are checked each time a
 *     block is made of them. */
#include "lsm/sst_cursor.h"

enum {
    WINDOW_MIN = 64 * 1024,
    WINDOW_MAX = 256 * 1024,
    RUN_TO_READ_AHEAD = 2,
    RUN_TO_READ_FAR_AHEAD = 32,
    SPARE_MAX = 64 * 1024
};

int lsmi_cursor_new(struct lsmi_sst_cursor **out)
{
    struct lsmi_sst_cursor *c = *out = calloc(1, sizeof *c);
    if (!c)
        return BASE_E_NOMEM;
    base_buf_init(&c->target, BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX + 1);
    base_buf_init(&c->pkey, BASE_PKEY_LEN_MAX + 64);
    base_buf_init(&c->bound, BASE_CKEY_LEN_MAX);
    c->ckey = malloc(LSMI_CKEY_ROOM);
    if (c->ckey)
        return BASE_OK;
    *out = NULL;
    free(c);
    return BASE_E_NOMEM;
}

void lsmi_cursor_free(struct lsmi_sst_cursor *c)
{
    if (!c)
        return;
    BASE_ASSERT(!c->sst);
    base_buf_fini(&c->target);
    base_buf_fini(&c->pkey);
    base_buf_fini(&c->bound);
    lsmi_block_unpin(c->spare);
    free(c->ckey);
    free(c->window);
    free(c);
}

void lsmi_cursor_attach(struct lsmi_sst_cursor *c, struct lsm_sstable *sst, bool scan)
{
    BASE_ASSERT(!c->sst && !c->data && !c->static_block);
    c->sst = lsmi_sst_acquire(sst);
    c->scan = scan;
    c->run = 0;
    c->window_len = 0;
    c->path[sst->footer.levels - 1] = (struct lsmi_sst_step){sst->root, 0};
}

/* Unpin the data block, or keep its memory for the next one when nobody else, the cache neither,
 * has it. */
static void leave_data(struct lsmi_sst_cursor *c)
{
    if (c->data && !c->spare && c->data->capacity <= SPARE_MAX && lsmi_block_is_sole(c->data))
        c->spare = c->data;
    else
        lsmi_block_unpin(c->data);
    c->data = NULL;
}

void lsmi_cursor_detach(struct lsmi_sst_cursor *c)
{
    if (!c->sst)
        return;
    for (uint32_t i = 0; i + 1 < c->sst->footer.levels; i++)
        lsmi_block_unpin(c->path[i].block);
    memset(c->path, 0, sizeof c->path);
    lsmi_block_unpin(c->static_block);
    c->static_block = NULL;
    leave_data(c);
    lsmi_sst_release(c->sst);
    c->sst = NULL;
    if (c->window_cap > WINDOW_MIN) {
        free(c->window);
        c->window = NULL;
        c->window_cap = 0;
    }
}

/* Read [offset, offset + len) of the file into the window. */
static int fill_window(struct lsmi_sst_cursor *c, const char *section, uint64_t offset, size_t len,
                       struct base_err *err)
{
    c->window_len = 0;
    if (c->window_cap < len) {
        size_t cap = len < 8192 ? 8192 : len;
        uint8_t *window = malloc(cap);
        if (!window)
            return base_err_set(err, BASE_E_NOMEM, "sstable %s: no memory to read %zu bytes",
                                c->sst->path, len);
        free(c->window);
        c->window = window;
        c->window_cap = cap;
    }
    size_t got;
    int rc = base_file_read(c->sst->file, offset, c->window, len, &got, err);
    if (rc)
        return base_err_wrap(err, rc, "sstable %s: %s at offset %llu", c->sst->path, section,
                             (unsigned long long)offset);
    if (got < len)
        return lsmi_sst_corrupt(c->sst, section, offset + got, "the file is cut short", err);
    c->window_at = offset;
    c->window_len = len;
    return BASE_OK;
}

static bool in_window(const struct lsmi_sst_cursor *c, uint64_t offset, uint32_t len)
{
    return c->window_len && offset >= c->window_at && offset + len <= c->window_at + c->window_len;
}

/* A block by cache, window or file. [from, upto): what to read at once if it must be read. */
static int fetch(struct lsmi_sst_cursor *c, uint32_t level, uint64_t offset, uint32_t len,
                 uint64_t from, uint64_t upto, struct lsmi_block **out, struct base_err *err)
{
    BASE_ASSERT(from <= offset && offset + len <= upto);
    struct lsmi_cache *cache = c->scan && level == 0 ? NULL : c->sst->cache;
    *out = cache ? lsmi_cache_find(cache, c->sst->file_no, offset) : NULL;
    if (*out) {
        if (BASE_LIKELY((*out)->level == level))
            return BASE_OK;
        lsmi_block_unpin(*out);
        *out = NULL;
        return lsmi_sst_corrupt(c->sst, "index", offset, "leads to a block of another level", err);
    }
    int rc = BASE_OK;
    if (!in_window(c, offset, len))
        rc = fill_window(c, level ? "index block" : "data block", from, (size_t)(upto - from), err);
    if (!rc)
        rc = lsmi_sst_block_from(c->sst, level, offset,
                                 base_slice(c->window + (offset - c->window_at), len), &c->spare,
                                 out, err);
    if (!rc && cache)
        lsmi_cache_offer(cache, *out, level == 0 && c->run >= RUN_TO_READ_AHEAD);
    return rc;
}

int lsmi_cursor_fetch_other(struct lsmi_sst_cursor *c, uint64_t offset, uint32_t len,
                            struct lsmi_block **out, struct base_err *err)
{
    *out = NULL;
    if (len > c->sst->footer.index_offset || offset > c->sst->footer.index_offset - len)
        return lsmi_sst_corrupt(c->sst, "data block", offset, "out of the data section", err);
    return fetch(c, 0, offset, len, offset, offset + len, out, err);
}

/* How much to read at once at this point of a run. */
static size_t window_wanted(const struct lsmi_sst_cursor *c)
{
    if (c->scan)
        return WINDOW_MAX;
    if (c->run < RUN_TO_READ_AHEAD)
        return 0;
    return c->run < RUN_TO_READ_FAR_AHEAD ? WINDOW_MIN : WINDOW_MAX;
}

/* Set `data` to the block the leaf points at. */
static int fetch_data(struct lsmi_sst_cursor *c, int direction, struct base_err *err)
{
    const struct lsmi_sst_step *leaf = &c->path[0];
    uint64_t offset, from, upto, other;
    uint32_t len, other_len;
    lsmi_index_child(leaf->block, leaf->at, &offset, &len);
    if (c->data && c->data->offset == offset)
        return BASE_OK;
    from = offset;
    upto = offset + len;
    size_t wanted = window_wanted(c);
    if (direction >= 0) {
        for (uint32_t i = leaf->at + 1; upto - from < wanted && i < leaf->block->keys.count; i++) {
            lsmi_index_child(leaf->block, i, &other, &other_len);
            upto = other + other_len;
        }
    } else {
        for (uint32_t i = leaf->at; upto - from < wanted && i > 0; i--) {
            lsmi_index_child(leaf->block, i - 1, &other, &other_len);
            from = other;
        }
    }
    struct lsmi_block *block;
    int rc = fetch(c, 0, offset, len, from, upto, &block, err);
    if (rc)
        return rc;
    leave_data(c);
    c->data = block;
    return BASE_OK;
}

/* Set path[level - 2].block to the child that path[level - 1] points at. */
static int fetch_index(struct lsmi_sst_cursor *c, uint32_t level, struct base_err *err)
{
    const struct lsmi_sst_step *parent = &c->path[level - 1];
    struct lsmi_sst_step *child = &c->path[level - 2];
    uint64_t offset;
    uint32_t len;
    lsmi_index_child(parent->block, parent->at, &offset, &len);
    if (child->block && child->block->offset == offset)
        return BASE_OK;
    struct lsmi_block *block;
    int rc = fetch(c, level - 1, offset, len, offset, offset + len, &block, err);
    if (rc)
        return rc;
    lsmi_block_unpin(child->block);
    child->block = block;
    return BASE_OK;
}

int lsmi_cursor_target(struct lsmi_sst_cursor *c, struct base_slice pkey, struct base_slice ckey,
                       bool past)
{
    base_buf_reset(&c->target);
    int rc = base_buf_reserve(&c->target, pkey.len + ckey.len + 1);
    if (rc)
        return rc;
    uint8_t *at = c->target.data;
    if (pkey.len)
        memcpy(at, pkey.data, pkey.len);
    at += pkey.len;
    if (ckey.len)
        memcpy(at, ckey.data, ckey.len);
    at += ckey.len;
    if (past)
        *at++ = 0xff;
    c->target.len = (size_t)(at - c->target.data);
    return BASE_OK;
}

int lsmi_cursor_seek(struct lsmi_sst_cursor *c, struct base_err *err)
{
    struct base_slice target = base_buf_view(&c->target);
    BASE_ASSERT(c->sst->root->keys.count > 0);
    c->run = 0;
    for (uint32_t level = c->sst->footer.levels; level >= 1; level--) {
        struct lsmi_sst_step *step = &c->path[level - 1];
        step->at = lsmi_index_find(step->block, target);
        int rc = level > 1 ? fetch_index(c, level, err) : fetch_data(c, 1, err);
        if (rc)
            return rc;
    }
    return BASE_OK;
}

int lsmi_cursor_move(struct lsmi_sst_cursor *c, int direction, bool *moved, struct base_err *err)
{
    uint32_t levels = c->sst->footer.levels, level = 1;
    *moved = false;
    while (level <= levels) {
        const struct lsmi_sst_step *step = &c->path[level - 1];
        if (direction > 0 ? step->at + 1 < step->block->keys.count : step->at > 0)
            break;
        level++;
    }
    if (level > levels)
        return BASE_OK;
    c->path[level - 1].at += (uint32_t)direction;
    c->run++;
    int rc = BASE_OK;
    for (; level > 1 && !rc; level--) {
        rc = fetch_index(c, level, err);
        if (!rc)
            c->path[level - 2].at = direction > 0 ? 0 : c->path[level - 2].block->keys.count - 1;
    }
    if (!rc)
        rc = fetch_data(c, direction, err);
    *moved = rc == BASE_OK;
    return rc;
}

bool lsmi_cursor_neighbour_may_hold(const struct lsmi_sst_cursor *c, int direction)
{
    const struct lsmi_sst_step *leaf = &c->path[0];
    struct base_slice target = base_buf_view(&c->target);
    if (direction < 0) /* all before this block is below its separator */
        return lsmi_index_compare(leaf->block, leaf->at, target) > 0;
    return leaf->at + 1 >= leaf->block->keys.count ||
           lsmi_index_compare(leaf->block, leaf->at + 1, target) <= 0;
}
