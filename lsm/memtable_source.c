/* The memtable's reading side: a stream (base/stream.h) over one memtable as it was when the stream
 * was opened.
 *
 * The shard's read lock is held while a page of rows is picked, never between calls: a page is
 * pointers only, for versions do not move or change. A page after an insert is found again by its
 * last key; without one (the tree's count says) the cursor goes on.
 *
 * Invariants: 1. only versions up to seq[shard] are seen; 2. in each slice `open` is the range
 * deletion at the place that was emitted last; 3. rows and markers never tie, for rows stand AT and
 * markers do not (a slice that is bounded AT a row announces its markers BEFORE and AFTER it). */
#include "lsm/memtable.h"

#include "base/key.h"

static const struct lsmi_version *version_at(const struct lsmi_version *version, uint64_t seq)
{
    while (version && version->seq > seq)
        version = version->prev;
    return version;
}

static void shard_lock(struct lsmi_mt_source *src)
{
    if (src->mt->shard_count > 1)
        pthread_rwlock_rdlock(&src->mt->shards[src->shard].lock);
}

static void shard_unlock(struct lsmi_mt_source *src)
{
    if (src->mt->shard_count > 1)
        pthread_rwlock_unlock(&src->mt->shards[src->shard].lock);
}

/* The slice by its number in reading direction. */
static const struct base_range *slice_at(const struct lsmi_mt_source *src)
{
    const struct base_slices *slices = &src->cmd->slices;
    BASE_ASSERT(src->slice < slices->count);
    return &slices->ranges[src->cmd->reversed ? slices->count - 1 - src->slice : src->slice];
}

/* Rows, under the read lock. */

static void page_add(struct lsmi_mt_source *src, struct lsmi_mt_row *row)
{
    const struct lsmi_version *version = version_at(row->head, src->seq[src->shard]);
    if (!version)
        return;
    src->page[src->page_count].ckey = lsmi_btree_key(&row->item);
    src->page[src->page_count].row = base_slice(version->bytes, version->len);
    src->page_count++;
}

static void page_fill_forward(struct lsmi_mt_source *src, struct base_range range, unsigned cap,
                              struct base_slice last)
{
    const struct lsmi_btree *rows = &src->part->rows;
    if (last.len == 0)
        lsmi_btree_seek(rows, range.lo, &src->row_cursor);
    else if (src->row_count != rows->count && lsmi_btree_seek(rows, last, &src->row_cursor))
        lsmi_btree_next(&src->row_cursor);
    src->page_more = false;
    for (;;) {
        struct lsmi_mt_row *row = (void *)lsmi_btree_at(&src->row_cursor);
        if (!row || (range.hi.len && base_slice_compare(lsmi_btree_key(&row->item), range.hi) > 0))
            return;
        if (src->page_count == cap) {
            src->page_more = true;
            return;
        }
        page_add(src, row);
        lsmi_btree_next(&src->row_cursor);
    }
}

static void page_fill_reverse(struct lsmi_mt_source *src, struct base_range range, unsigned cap,
                              struct base_slice last)
{
    const struct lsmi_btree *rows = &src->part->rows;
    bool have = true;
    if (last.len) {
        if (src->row_count != rows->count) {
            lsmi_btree_seek(rows, last, &src->row_cursor);
            have = lsmi_btree_prev(&src->row_cursor);
        }
    } else if (range.hi.len) {
        have =
            lsmi_btree_seek(rows, range.hi, &src->row_cursor) || lsmi_btree_prev(&src->row_cursor);
    } else {
        lsmi_btree_seek_end(rows, &src->row_cursor);
        have = lsmi_btree_prev(&src->row_cursor);
    }
    src->page_more = false;
    while (have) {
        struct lsmi_mt_row *row = (void *)lsmi_btree_at(&src->row_cursor);
        if (range.lo.len && base_slice_compare(lsmi_btree_key(&row->item), range.lo) < 0)
            return;
        if (src->page_count == cap) {
            src->page_more = true;
            return;
        }
        page_add(src, row);
        have = lsmi_btree_prev(&src->row_cursor);
    }
}

/* The slice's first page (first) or the one after the current. */
static void page_fill(struct lsmi_mt_source *src, bool first)
{
    struct base_slice last = {0};
    if (!first)
        last = src->page[src->page_count - 1].ckey;
    src->page_at = src->page_count = 0;
    unsigned cap = first ? LSMI_PAGE_ROWS_FIRST : LSMI_PAGE_ROWS;
    if (src->cmd->reversed)
        page_fill_reverse(src, *slice_at(src), cap, last);
    else
        page_fill_forward(src, *slice_at(src), cap, last);
    src->row_count = src->part->rows.count;
}

/* Slices and markers. */

/* Markers up to (not) the key: how many are < key, or <= key. */
static size_t markers_below(const struct lsmi_mt_source *src, struct base_slice key, bool or_equal)
{
    size_t from = 0, upto = src->marker_count;
    while (from < upto) {
        size_t mid = from + (upto - from) / 2;
        int c = base_slice_compare(src->markers[mid].ckey, key);
        if (c < 0 || (c == 0 && or_equal))
            from = mid + 1;
        else
            upto = mid;
    }
    return from;
}

/* The bound with AT replaced: a copy in the partition's arena, or the bound itself. */
static int bound_position(struct lsmi_mt_source *src, struct base_slice bound, uint8_t position,
                          struct base_slice *out)
{
    *out = bound;
    if (bound.len == 0 || bound.data[bound.len - 1] != BASE_KEY_AT)
        return BASE_OK;
    uint8_t *copy = base_arena_alloc_aligned(&src->arena, bound.len, 1);
    if (!copy)
        return BASE_E_NOMEM;
    memcpy(copy, bound.data, bound.len);
    copy[bound.len - 1] = position;
    *out = base_slice(copy, bound.len);
    return BASE_OK;
}

/* Find the markers inside the slice and what is open where it begins. */
static int slice_markers(struct lsmi_mt_source *src)
{
    src->open = BASE_DELETION_NONE;
    if (src->marker_count == 0)
        return BASE_OK;
    const struct base_range *range = slice_at(src);
    struct base_slice lo, hi;
    int rc = bound_position(src, range->lo, BASE_KEY_BEFORE, &lo);
    if (rc == BASE_OK)
        rc = bound_position(src, range->hi, BASE_KEY_AFTER, &hi);
    if (rc != BASE_OK)
        return rc;
    if (lo.len && base_slice_equal(
                      lo, hi)) { /* between two rows: nothing lies in it, nothing is open over it */
        src->bound_first = src->bound_last = src->slice_last = lo;
        src->marker_at = markers_below(src, lo, !src->cmd->reversed);
        return BASE_OK;
    }
    if (src->cmd->reversed) {
        src->bound_first = hi;
        src->bound_last = lo;
        src->slice_last = range->lo;
        src->marker_at = hi.len ? markers_below(src, range->hi, false) : src->marker_count;
        if (src->marker_at < src->marker_count)
            src->open = src->markers[src->marker_at].before;
    } else {
        src->bound_first = lo;
        src->bound_last = hi;
        src->slice_last = range->hi;
        src->marker_at = lo.len ? markers_below(src, range->lo, true) : 0;
        if (src->marker_at > 0)
            src->open = src->markers[src->marker_at - 1].after;
    }
    return BASE_OK;
}

/* The next marker inside the slice, or NULL. */
static const struct base_marker *marker_peek(const struct lsmi_mt_source *src)
{
    const struct base_marker *marker;
    if (src->cmd->reversed) {
        if (src->marker_count == 0 || src->marker_at == 0)
            return NULL;
        marker = &src->markers[src->marker_at - 1];
        if (src->slice_last.len && base_slice_compare(marker->ckey, src->slice_last) <= 0)
            return NULL;
    } else {
        if (src->marker_at >= src->marker_count)
            return NULL;
        marker = &src->markers[src->marker_at];
        if (src->slice_last.len && base_slice_compare(marker->ckey, src->slice_last) >= 0)
            return NULL;
    }
    return marker;
}

static void emit_marker(struct lsmi_mt_source *src, struct base_slice ckey,
                        struct base_deletion from, struct base_deletion to, struct base_item *out)
{
    *out = (struct base_item){.kind = BASE_ITEM_MARKER, .ckey = ckey};
    out->before = src->cmd->reversed ? to : from;
    out->after = src->cmd->reversed ? from : to;
    src->open = to;
}

static int source_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct lsmi_mt_source *src = BASE_CONTAINER(base, struct lsmi_mt_source, source);
    for (;;) {
        if (src->state == LSMI_SLICE_ENTER) {
            if (!src->part || src->slice == src->cmd->slices.count) {
                *out = (struct base_item){.kind = BASE_ITEM_END};
                return BASE_OK;
            }
            shard_lock(src);
            page_fill(src, true);
            shard_unlock(src);
            if (slice_markers(src) != BASE_OK)
                return base_err_set(err, BASE_E_NOMEM, "memtable: out of memory");
            src->state = LSMI_SLICE_OPEN;
        }
        if (src->state == LSMI_SLICE_OPEN) {
            src->state = LSMI_SLICE_INSIDE;
            if (!base_deletion_is_none(src->open)) {
                BASE_ASSERT(src->bound_first.len);
                emit_marker(src, src->bound_first, BASE_DELETION_NONE, src->open, out);
                return BASE_OK;
            }
        }
        if (src->page_at == src->page_count && src->page_more) {
            shard_lock(src);
            page_fill(src, false);
            shard_unlock(src);
            continue;
        }
        const struct base_marker *marker = src->marker_count ? marker_peek(src) : NULL;
        if (src->page_at < src->page_count) {
            struct base_slice ckey = src->page[src->page_at].ckey;
            int c = marker ? base_slice_compare(ckey, marker->ckey) : -1;
            if (!marker || (src->cmd->reversed ? c > 0 : c < 0)) {
                *out = (struct base_item){
                    .kind = BASE_ITEM_ROW, .ckey = ckey, .row = src->page[src->page_at].row};
                src->page_at++;
                return BASE_OK;
            }
        }
        if (marker) {
            src->marker_at += src->cmd->reversed ? (size_t)-1 : 1;
            if (src->cmd->reversed)
                emit_marker(src, marker->ckey, marker->after, marker->before, out);
            else
                emit_marker(src, marker->ckey, marker->before, marker->after, out);
            return BASE_OK;
        }
        src->slice++;
        src->state = LSMI_SLICE_ENTER;
        if (!base_deletion_is_none(src->open)) {
            BASE_ASSERT(src->bound_last.len);
            emit_marker(src, src->bound_last, src->open, BASE_DELETION_NONE, out);
            return BASE_OK;
        }
    }
}

/* Partitions. */

/* Take what the partition has but rows, and its first page; under the read lock. */
static void partition_load(struct lsmi_mt_source *src, struct lsmi_mt_partition *part,
                           const struct lsmi_mt_run **runs)
{
    uint64_t seq = src->seq[src->shard];
    src->part = part;
    /* A truncation long past concerns no row here, and rows without a deletion over them are read
     * faster. */
    src->head_floor = src->mt->shards[src->shard].ts_min <= src->deletion_floor.ts
                          ? src->deletion_floor
                          : BASE_DELETION_NONE;
    src->head =
        (struct base_partition){.pkey = lsmi_btree_key(&part->item), .deletion = src->head_floor};
    src->slice = 0;
    src->state = LSMI_SLICE_ENTER;
    src->marker_count = 0;
    src->page_at = src->page_count = 0;
    src->page_more = false;
    *runs = NULL;
    if (part->extra) {
        const struct lsmi_version *version = version_at(part->extra->deletion, seq);
        if (version) {
            struct base_deletion deletion;
            memcpy(&deletion, version->bytes, sizeof deletion);
            src->head.deletion = base_deletion_max(src->head.deletion, deletion);
        }
        version = version_at(part->extra->static_row, seq);
        if (version)
            src->head.static_row = base_slice(version->bytes, version->len);
        version = version_at(part->extra->ranges, seq);
        if (version && src->cmd->slices.count)
            memcpy(runs, version->bytes, sizeof *runs);
    }
    if (src->cmd->slices.count)
        page_fill(src, true);
}

/* After partition_load, without the lock: markers; *any false: nothing here for the command. */
static int partition_open(struct lsmi_mt_source *src, const struct lsmi_mt_run *runs, bool *any)
{
    const struct base_slices *slices = &src->cmd->slices;
    base_arena_reset(&src->arena);
    if (runs) {
        int rc =
            lsmi_mt_run_markers(runs, slices->ranges[0].lo, slices->ranges[slices->count - 1].hi,
                                &src->arena, &src->markers, &src->marker_count);
        if (rc != BASE_OK)
            return rc;
    }
    if (slices->count) {
        src->state = LSMI_SLICE_OPEN;
        int rc = slice_markers(src);
        if (rc != BASE_OK)
            return rc;
    }
    bool head = src->head.static_row.len || src->marker_count ||
                !base_deletion_equal(src->head.deletion, src->head_floor);
    while (!head && slices->count && src->page_count == 0 && src->slice + 1 < slices->count) {
        src->slice++;
        shard_lock(src);
        page_fill(src, true);
        shard_unlock(src);
    }
    *any = head || src->page_count > 0;
    return BASE_OK;
}

/* Where a range read begins. */
static struct base_slice range_start(const struct base_read *cmd, uint8_t token[8])
{
    base_token_put(token, cmd->token_after + 1);
    struct base_slice start = base_slice(token, 8);
    return base_slice_compare(cmd->start_pkey, start) > 0 ? cmd->start_pkey : start;
}

/* The next partition of the range in any shard, loaded; NULL part at the end. */
static void partition_step(struct lsmi_mt_source *src, const struct lsmi_mt_run **runs)
{
    for (; src->shard < src->mt->shard_count; src->shard++, src->part = NULL) {
        struct lsmi_btree *tree = &src->mt->shards[src->shard].partitions;
        shard_lock(src);
        if (!src->part) {
            uint8_t token[8];
            lsmi_btree_seek(tree, range_start(src->cmd, token), &src->part_cursor);
        } else if (src->part_count == tree->count) {
            lsmi_btree_next(&src->part_cursor);
        } else {
            lsmi_btree_seek(tree, src->head.pkey, &src->part_cursor);
            lsmi_btree_next(&src->part_cursor);
        }
        src->part_count = tree->count;
        struct lsmi_mt_partition *part = (void *)lsmi_btree_at(&src->part_cursor);
        bool past = part && base_token_get(part->key) > src->cmd->token_upto;
        if (part && !past)
            partition_load(src, part, runs);
        shard_unlock(src);
        if (past)
            break;
        if (part)
            return;
    }
    src->part = NULL;
    src->exhausted = true;
}

static int source_partition(struct base_source *base, struct base_partition *out,
                            struct base_err *err)
{
    struct lsmi_mt_source *src = BASE_CONTAINER(base, struct lsmi_mt_source, source);
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    if (src->failed)
        return base_err_set(err, BASE_E_NOMEM, "memtable: out of memory");
    bool any = src->ready;
    src->ready = false;
    while (!any && !src->exhausted) {
        const struct lsmi_mt_run *runs = NULL;
        partition_step(src, &runs);
        if (src->part && partition_open(src, runs, &any) != BASE_OK) {
            src->failed = true;
            return base_err_set(err, BASE_E_NOMEM, "memtable: out of memory");
        }
    }
    if (any)
        *out = src->head;
    else
        src->part = NULL, src->state = LSMI_SLICE_ENTER;
    return BASE_OK;
}

static void source_close(struct base_source *base)
{
    struct lsmi_mt_source *src = BASE_CONTAINER(base, struct lsmi_mt_source, source);
    src->part = NULL;
    src->exhausted = true;
}

static const struct base_source_ops source_ops = {source_partition, source_next, source_close};

void lsmi_memtable_seq(struct lsmi_memtable *mt, uint64_t seq[LSMI_SHARDS_MAX])
{
    for (unsigned i = 0; i < mt->shard_count; i++)
        seq[i] = atomic_load_explicit(&mt->shards[i].seq, memory_order_acquire);
}

bool lsmi_mt_source_init(struct lsmi_mt_source *src, struct lsmi_memtable *mt,
                         const struct base_read *cmd, struct base_deletion floor)
{
    return lsmi_mt_source_init_at(src, mt, cmd, floor, NULL);
}

bool lsmi_mt_source_init_at(struct lsmi_mt_source *src, struct lsmi_memtable *mt,
                            const struct base_read *cmd, struct base_deletion floor,
                            const uint64_t seq[LSMI_SHARDS_MAX])
{
    src->source.ops = &source_ops;
    src->mt = mt;
    src->cmd = cmd;
    src->part = NULL;
    src->exhausted = src->ready = src->failed = false;
    src->deletion_floor = floor;
    src->state = LSMI_SLICE_ENTER;
    if (!src->arena.chunk_size)
        base_arena_init(&src->arena);
    if (cmd->pkey.len) {
        src->shard = mt->shard_count == 1 ? 0 : cmd->pkey.data[0] >> 5;
        src->exhausted = true;
        struct lsmi_mt_shard *shard = &mt->shards[src->shard];
        const struct lsmi_mt_run *runs = NULL;
        shard_lock(src);
        src->seq[src->shard] =
            seq ? seq[src->shard] : atomic_load_explicit(&shard->seq, memory_order_relaxed);
        struct lsmi_mt_partition *part = (void *)lsmi_btree_find(&shard->partitions, cmd->pkey);
        if (part)
            partition_load(src, part, &runs);
        shard_unlock(src);
        if (!part)
            return false;
        src->failed = partition_open(src, runs, &src->ready) != BASE_OK;
        return src->ready || src->failed;
    }
    if (cmd->token_after == INT64_MAX || cmd->token_after >= cmd->token_upto)
        return false;
    uint8_t token[8];
    src->shard = mt->shard_count == 1 ? 0 : range_start(cmd, token).data[0] >> 5;
    bool any = false;
    for (unsigned i = src->shard; i < mt->shard_count; i++) {
        src->seq[i] = seq ? seq[i] : atomic_load_explicit(&mt->shards[i].seq, memory_order_acquire);
        any |= src->seq[i] > 0;
    }
    return any;
}

void lsmi_mt_source_fini(struct lsmi_mt_source *src)
{
    base_arena_fini(&src->arena);
    src->part = NULL;
}
