/* An SSTable as a stream: base/stream.h over lsm/sst_cursor.h.
 *
 * A block that begins inside a partition says in its head what precedes it (partition deletion,
 * open range deletion, where the static row is), so that wherever the index leads, that one block
 * is enough to begin.
 *
 * Invariants while a partition is open:
 *  1. `data` holds the partition at `part`, `head` is its record there, and ckey begins with its
 *     prefix.
 *  2. `open` is the range deletion at the gap before `row`.
 *  3. `target` is free for use between slices; pkey is the partition's. */
#include "lsm/sst_cursor.h"

static struct lsmi_sst_source *self(struct base_source *src)
{
    return BASE_CONTAINER(src, struct lsmi_sst_source, source);
}

/* Remember a failure: the stream stays ended. */
static int ended(struct lsmi_sst_cursor *c, int rc)
{
    c->failed = rc;
    return rc;
}

static int failed_before(const struct lsmi_sst_cursor *c, struct base_err *err)
{
    return base_err_set(err, c->failed, "sstable %s: the stream ended with an error before",
                        c->sst->path);
}

static int out_of_memory(const struct lsmi_sst_cursor *c, int rc, struct base_err *err)
{
    return base_err_set(err, rc, "sstable %s: read: %s", c->sst->path, base_err_words(rc));
}

static int damaged(const struct lsmi_sst_cursor *c, const char *what, struct base_err *err)
{
    return lsmi_sst_corrupt(c->sst, "data block", c->data->offset, what, err);
}

/* Where we stand in a partition. */

/* Partition `part` of the current block becomes the current one. */
static void enter_part(struct lsmi_sst_cursor *c, uint32_t part)
{
    c->part = part;
    lsmi_block_get_partition(c->data, part, &c->head);
    c->prefix_len = c->head.ckey_prefix.len;
    memcpy(c->ckey, c->head.ckey_prefix.data, c->prefix_len);
}

static bool goes_on(const struct lsmi_sst_cursor *c)
{
    return c->part + 1 == c->data->keys.count && lsmi_block_continues(c->data);
}

static bool came_from_before(const struct lsmi_sst_cursor *c)
{
    return c->head.continued;
}

/* To the neighbouring block of the same partition. */
static int move_within(struct lsmi_sst_cursor *c, int direction, struct base_err *err)
{
    bool moved, equal;
    int rc = lsmi_cursor_move(c, direction, &moved, err);
    if (rc)
        return rc;
    if (!moved)
        return damaged(c, "the partition goes on, but there is no further block", err);
    uint32_t at = lsmi_block_find_partition(c->data, base_buf_view(&c->pkey), &equal);
    if (!equal || (direction > 0 && at != 0))
        return damaged(c, "the partition does not go on where it should", err);
    enter_part(c, at);
    if (direction > 0 ? !came_from_before(c) : !goes_on(c))
        return damaged(c, "the partition's parts do not fit each other", err);
    return BASE_OK;
}

/* By the index to the block of this partition where ckey (or its end) belongs. */
static int seek_within(struct lsmi_sst_cursor *c, struct base_slice ckey, bool past,
                       struct base_err *err)
{
    bool equal;
    int rc = lsmi_cursor_target(c, base_buf_view(&c->pkey), ckey, past);
    if (rc)
        return out_of_memory(c, rc, err);
    if ((rc = lsmi_cursor_seek(c, err)))
        return rc;
    uint32_t at = lsmi_block_find_partition(c->data, base_buf_view(&c->pkey), &equal);
    if (!equal)
        return damaged(c, "the index leads to a block without the partition", err);
    enter_part(c, at);
    return BASE_OK;
}

/* The range deletion in the gap before row. */
static struct base_deletion open_before(const struct lsmi_sst_cursor *c, uint32_t row)
{
    if (c->head.has_markers) {
        while (row-- > c->head.row_begin) {
            if (lsmi_block_is_marker(c->data, row)) {
                struct base_deletion before, after;
                lsmi_block_marker(c->data, row, &before, &after);
                return after;
            }
        }
    }
    return c->head.open;
}

/* Slices. */

static const struct base_range *slice_of(const struct lsmi_sst_cursor *c)
{
    return &c->cmd->slices.ranges[c->slice];
}

static void next_slice(struct lsmi_sst_cursor *c)
{
    c->phase = LSMI_SLICE_ENTER;
    c->sought = false;
    if (c->cmd->reversed ? c->slice == 0 : c->slice + 1 == c->cmd->slices.count)
        c->phase = LSMI_SLICE_NONE;
    else
        c->slice += c->cmd->reversed ? (size_t)-1 : 1;
}

/* A marker at a slice's bound; at a row's own key it stands before (lo) or after (hi) the row. */
static int bound_marker(struct lsmi_sst_cursor *c, struct base_slice bound, bool lo,
                        struct base_deletion before, struct base_deletion after,
                        struct base_item *out, struct base_err *err)
{
    BASE_ASSERT(bound.len > 0);
    base_buf_reset(&c->bound);
    int rc = base_buf_put_slice(&c->bound, bound);
    if (rc)
        return out_of_memory(c, rc, err);
    uint8_t *position = &c->bound.data[c->bound.len - 1];
    if (*position == BASE_KEY_AT)
        *position = lo ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    *out = (struct base_item){BASE_ITEM_MARKER, base_buf_view(&c->bound), {0}, before, after};
    return BASE_OK;
}

static void set_stop(struct lsmi_sst_cursor *c)
{
    const struct base_range *slice = slice_of(c);
    if (c->cmd->reversed)
        c->stop = slice->lo.len ? lsmi_block_find_row(c->data, &c->head, slice->lo, false)
                                : c->head.row_begin;
    else
        c->stop = slice->hi.len ? lsmi_block_find_row(c->data, &c->head, slice->hi, true)
                                : c->head.row_end;
}

/* Is there more of the slice beyond this block? Then move there. The far bound decides. */
static int cross(struct lsmi_sst_cursor *c, bool *crossed, struct base_err *err)
{
    bool reversed = c->cmd->reversed;
    int direction = reversed ? -1 : 1;
    struct base_slice far = reversed ? slice_of(c)->lo : slice_of(c)->hi;
    *crossed = false;
    if (reversed ? !came_from_before(c) : !goes_on(c))
        return BASE_OK;
    if (far.len) {
        int rc = lsmi_cursor_target(c, base_buf_view(&c->pkey), far, false);
        if (rc)
            return out_of_memory(c, rc, err);
        if (!lsmi_cursor_neighbour_may_hold(c, direction))
            return BASE_OK;
    }
    int rc = move_within(c, direction, err);
    if (rc)
        return rc;
    c->row = reversed ? c->head.row_end : c->head.row_begin;
    set_stop(c);
    *crossed = true;
    return BASE_OK;
}

/* Put `row` at the slice's near bound, in the block where it lies. */
static int seek_near(struct lsmi_sst_cursor *c, struct base_err *err)
{
    bool reversed = c->cmd->reversed, crossed;
    struct base_slice near = reversed ? slice_of(c)->hi : slice_of(c)->lo;
    for (;;) {
        if (near.len)
            c->row = lsmi_block_find_row(c->data, &c->head, near, reversed);
        else
            c->row = reversed ? c->head.row_end : c->head.row_begin;
        bool elsewhere;
        if (near.len)
            elsewhere = (c->row == c->head.row_end && goes_on(c)) ||
                        (reversed && c->row == c->head.row_begin && came_from_before(c));
        else
            elsewhere = reversed ? goes_on(c) : came_from_before(c);
        if (!elsewhere || c->sought)
            break;
        c->sought = true;
        int rc = seek_within(c, near, reversed && near.len == 0, err);
        if (rc)
            return rc;
    }
    set_stop(c);
    c->open = open_before(c, c->row);
    /* The first entry may be beyond this block: a marker there at the very bound is ours to see. */
    while (c->row == (reversed ? c->head.row_begin : c->head.row_end)) {
        int rc = cross(c, &crossed, err);
        if (rc)
            return rc;
        if (!crossed)
            break;
    }
    return BASE_OK;
}

/* Begin a slice; *emitted when there is a marker to announce. */
static int enter_slice(struct lsmi_sst_cursor *c, struct base_item *out, bool *emitted,
                       struct base_err *err)
{
    const struct base_range *slice = slice_of(c);
    bool reversed = c->cmd->reversed;
    struct base_slice near = reversed ? slice->hi : slice->lo;
    *emitted = false;
    int width = slice->lo.len && slice->hi.len ? base_slice_compare(slice->hi, slice->lo) : 1;
    if (width < 0 || (width == 0 && slice->lo.data[slice->lo.len - 1] != BASE_KEY_AT)) {
        next_slice(c); /* nothing can lie in it */
        return BASE_OK;
    }
    int rc = seek_near(c, err);
    if (rc)
        return rc;
    c->phase = LSMI_SLICE_ROWS;
    if (near.len == 0)
        return BASE_OK;
    uint32_t first = reversed ? c->row - 1 : c->row;
    bool any = reversed ? c->row > c->head.row_begin : c->row < c->head.row_end;
    if (any && lsmi_block_is_marker(c->data, first)) {
        lsmi_block_item(c->data, first, c->ckey, c->prefix_len, out);
        if (base_slice_equal(out->ckey,
                             near)) { /* it changes right here: only its inner side counts */
            c->open = reversed ? out->before : out->after;
            c->row = reversed ? first : first + 1;
        }
    }
    if (base_deletion_is_none(c->open))
        return BASE_OK;
    *emitted = true;
    return reversed ? bound_marker(c, near, false, c->open, BASE_DELETION_NONE, out, err)
                    : bound_marker(c, near, true, BASE_DELETION_NONE, c->open, out, err);
}

/* End a slice: close what is open at its far bound. */
static int leave_slice(struct lsmi_sst_cursor *c, struct base_item *out, bool *emitted,
                       struct base_err *err)
{
    bool reversed = c->cmd->reversed;
    struct base_slice far = reversed ? slice_of(c)->lo : slice_of(c)->hi;
    struct base_deletion open = c->open;
    *emitted = !base_deletion_is_none(open);
    c->open = BASE_DELETION_NONE;
    next_slice(c);
    if (!*emitted)
        return BASE_OK;
    if (far.len == 0)
        return damaged(c, "a range deletion without an end", err);
    return reversed ? bound_marker(c, far, true, BASE_DELETION_NONE, open, out, err)
                    : bound_marker(c, far, false, open, BASE_DELETION_NONE, out, err);
}

/* A marker inside the slice: keep track of it; at the far bound only its inner side counts. False:
 * nothing to emit. */
static bool pass_marker(struct lsmi_sst_cursor *c, struct base_item *item)
{
    bool reversed = c->cmd->reversed;
    struct base_slice far = reversed ? slice_of(c)->lo : slice_of(c)->hi;
    if (far.len && base_slice_equal(item->ckey, far)) {
        *(reversed ? &item->before : &item->after) = BASE_DELETION_NONE;
        c->open = BASE_DELETION_NONE;
        return !base_deletion_is_none(reversed ? item->after : item->before);
    }
    c->open = reversed ? item->before : item->after;
    return true;
}

static int source_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct lsmi_sst_cursor *c = self(src)->cursor;
    bool emitted = false;
    int rc = BASE_OK;
    while (c->state == LSMI_SST_PARTITION && !c->failed) {
        if (BASE_LIKELY(c->phase == LSMI_SLICE_ROWS)) {
            if (BASE_LIKELY(c->row != c->stop && (c->row < c->stop) == !c->cmd->reversed)) {
                uint32_t row = c->cmd->reversed ? --c->row : c->row++;
                lsmi_block_item(c->data, row, c->ckey, c->prefix_len, out);
                if (BASE_LIKELY(out->kind == BASE_ITEM_ROW) || pass_marker(c, out))
                    return BASE_OK;
                continue;
            }
            bool crossed = false;
            if (c->stop == (c->cmd->reversed ? c->head.row_begin : c->head.row_end))
                rc = cross(c, &crossed, err);
            if (!rc && !crossed)
                c->phase = LSMI_SLICE_LEAVE;
        } else if (c->phase == LSMI_SLICE_ENTER) {
            rc = enter_slice(c, out, &emitted, err);
        } else if (c->phase == LSMI_SLICE_LEAVE) {
            rc = leave_slice(c, out, &emitted, err);
        } else {
            break;
        }
        if (rc) {
            *out = (struct base_item){.kind = BASE_ITEM_END};
            return ended(c, rc);
        }
        if (emitted)
            return BASE_OK;
    }
    *out = (struct base_item){.kind = BASE_ITEM_END};
    return c->failed ? failed_before(c, err) : BASE_OK;
}

/* Partitions. */

/* The static row of the current partition, wherever its first block is; the block stays pinned. */
static int static_row_of(struct lsmi_sst_cursor *c, struct base_slice *out, struct base_err *err)
{
    *out = c->head.static_row;
    lsmi_block_unpin(c->static_block);
    c->static_block = NULL;
    if (out->len) {
        lsmi_block_pin(c->data);
        c->static_block = c->data;
    }
    if (!c->head.static_elsewhere)
        return BASE_OK;
    int rc =
        lsmi_cursor_fetch_other(c, c->head.first_offset, c->head.first_len, &c->static_block, err);
    if (rc)
        return rc;
    bool equal;
    uint32_t at = lsmi_block_find_partition(c->static_block, base_buf_view(&c->pkey), &equal);
    if (equal) {
        struct lsmi_block_partition first;
        lsmi_block_get_partition(c->static_block, at, &first);
        *out = first.static_row;
    }
    return out->len ? BASE_OK : damaged(c, "the static row is not where it should be", err);
}

/* The partition at `part` begins: pkey is set. */
static int open_partition(struct lsmi_sst_cursor *c, uint32_t part, struct base_partition *out,
                          struct base_err *err)
{
    enter_part(c, part);
    c->state = LSMI_SST_PARTITION;
    c->open = BASE_DELETION_NONE;
    c->phase = c->cmd->slices.count ? LSMI_SLICE_ENTER : LSMI_SLICE_NONE;
    c->slice = c->cmd->reversed && c->cmd->slices.count ? c->cmd->slices.count - 1 : 0;
    struct base_slice static_row;
    int rc = static_row_of(c, &static_row, err);
    if (rc)
        return rc;
    *out = (struct base_partition){base_buf_view(&c->pkey), c->head.deletion, static_row};
    return BASE_OK;
}

/* The one partition of the command: straight to where its first slice (in reading order) begins. */
static int find_single(struct lsmi_sst_cursor *c, struct base_partition *out, struct base_err *err)
{
    const struct base_read *cmd = c->cmd;
    struct base_slice near = {0};
    if (cmd->slices.count)
        near =
            cmd->reversed ? cmd->slices.ranges[cmd->slices.count - 1].hi : cmd->slices.ranges[0].lo;
    base_buf_reset(&c->pkey);
    int rc = base_buf_put_slice(&c->pkey, cmd->pkey);
    if (!rc)
        rc = lsmi_cursor_target(c, cmd->pkey, near, cmd->reversed && near.len == 0);
    if (rc)
        return out_of_memory(c, rc, err);
    if ((rc = lsmi_cursor_seek(c, err)))
        return rc;
    bool equal;
    uint32_t at = lsmi_block_find_partition(c->data, cmd->pkey, &equal);
    if (!equal) {
        const struct lsmi_filter *filter =
            atomic_load_explicit(&c->sst->filter, memory_order_acquire);
        if (filter && filter->bytes)
            atomic_fetch_add_explicit(&c->sst->bloom_false_positives, 1, memory_order_relaxed);
        c->state = LSMI_SST_END;
        return BASE_OK;
    }
    c->sought = true;
    return open_partition(c, at, out, err);
}

/* To the first partition of the command's range. *part may be one past the block's last. */
static int seek_range(struct lsmi_sst_cursor *c, uint32_t *part, struct base_err *err)
{
    const struct base_read *cmd = c->cmd;
    uint8_t first[8];
    bool equal;
    base_token_put(first, cmd->token_after + 1);
    struct base_slice start = base_slice(first, sizeof first);
    if (cmd->start_pkey.len && base_slice_compare(cmd->start_pkey, start) > 0)
        start = cmd->start_pkey;
    int rc = lsmi_cursor_target(c, start, (struct base_slice){0}, false);
    if (rc)
        return out_of_memory(c, rc, err);
    if ((rc = lsmi_cursor_seek(c, err)))
        return rc;
    *part = lsmi_block_find_partition(c->data, start, &equal);
    return BASE_OK;
}

static int next_in_range(struct lsmi_sst_cursor *c, struct base_partition *out,
                         struct base_err *err)
{
    uint32_t part = 0;
    int rc = BASE_OK;
    if (c->state == LSMI_SST_START) {
        if (c->cmd->token_after == INT64_MAX) {
            c->state = LSMI_SST_END;
            return BASE_OK;
        }
        rc = seek_range(c, &part, err);
    } else {
        if (goes_on(c))
            rc = seek_within(c, (struct base_slice){0}, true, err);
        part = c->part + 1;
    }
    if (rc)
        return rc;
    if (part == c->data->keys.count) {
        bool moved;
        if (lsmi_block_continues(c->data))
            return damaged(c, "the index leads past the end of a partition", err);
        if ((rc = lsmi_cursor_move(c, 1, &moved, err)))
            return rc;
        if (!moved) {
            c->state = LSMI_SST_END;
            return BASE_OK;
        }
        part = 0;
    }
    if ((rc = lsmi_block_pkey(c->data, part, &c->pkey)))
        return out_of_memory(c, rc, err);
    if (base_token_get(c->pkey.data) > c->cmd->token_upto) {
        c->state = LSMI_SST_END;
        return BASE_OK;
    }
    c->sought = false;
    rc = open_partition(c, part, out, err);
    if (!rc && came_from_before(c))
        rc = damaged(c, "a partition without its beginning", err);
    return rc;
}

static int source_partition(struct base_source *src, struct base_partition *out,
                            struct base_err *err)
{
    struct lsmi_sst_cursor *c = self(src)->cursor;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    if (c->failed)
        return failed_before(c, err);
    if (c->state == LSMI_SST_END)
        return BASE_OK;
    if (c->sst->root->keys.count == 0 || (c->cmd->pkey.len && c->state == LSMI_SST_PARTITION)) {
        c->state = LSMI_SST_END;
        return BASE_OK;
    }
    int rc = c->cmd->pkey.len ? find_single(c, out, err) : next_in_range(c, out, err);
    if (rc) {
        *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
        return ended(c, rc);
    }
    return BASE_OK;
}

/* Making and closing. */

static void source_close(struct base_source *src)
{
    struct lsmi_sst_source *s = self(src);
    if (s->cursor)
        lsmi_cursor_detach(s->cursor);
    s->sst = NULL;
}

static void heap_source_close(struct base_source *src)
{
    source_close(src);
    lsmi_sst_source_fini(self(src));
    free(self(src));
}

static const struct base_source_ops source_ops = {source_partition, source_next, source_close};
static const struct base_source_ops heap_source_ops = {source_partition, source_next,
                                                       heap_source_close};

static int init(struct lsmi_sst_source *src, struct lsm_sstable *sst, const struct base_read *cmd,
                bool scan, struct base_err *err)
{
    if (!src->cursor) {
        int rc = lsmi_cursor_new(&src->cursor);
        if (rc)
            return base_err_set(err, rc, "sstable %s: read: out of memory", sst->path);
    }
    struct lsmi_sst_cursor *c = src->cursor;
    lsmi_cursor_attach(c, sst, scan);
    c->cmd = cmd;
    c->failed = 0;
    c->state = LSMI_SST_START;
    c->sought = false;
    src->source.ops = &source_ops;
    src->sst = sst;
    src->cmd = cmd;
    return BASE_OK;
}

int lsmi_sst_source_init(struct lsmi_sst_source *src, struct lsm_sstable *sst,
                         const struct base_read *cmd, struct base_err *err)
{
    return init(src, sst, cmd, false, err);
}

int lsmi_sst_source_init_scan(struct lsmi_sst_source *src, struct lsm_sstable *sst,
                              const struct base_read *cmd, struct base_err *err)
{
    return init(src, sst, cmd, true, err);
}

void lsmi_sst_source_fini(struct lsmi_sst_source *src)
{
    lsmi_cursor_free(src->cursor);
    src->cursor = NULL;
}

uint64_t lsmi_sst_source_position(const struct lsmi_sst_source *src)
{
    const struct lsmi_sst_cursor *c = src->cursor;
    if (!c || !c->sst || c->state == LSMI_SST_START || !c->data)
        return 0;
    return c->state == LSMI_SST_END ? c->sst->footer.index_offset : c->data->offset;
}

int lsm_sstable_read(struct lsm_sstable *sst, const struct base_read *cmd, struct base_source **out,
                     struct base_err *err)
{
    *out = NULL;
    struct lsmi_sst_source *src = calloc(1, sizeof *src);
    if (!src)
        return base_err_set(err, BASE_E_NOMEM, "sstable %s: read: out of memory", sst->path);
    int rc = init(src, sst, cmd, true, err);
    if (rc) {
        free(src);
        return rc;
    }
    src->source.ops = &heap_source_ops;
    *out = &src->source;
    return BASE_OK;
}
