/* Reading all of an SSTable and proving what the format promises: docs/formats/sstable.md, "What
 * must hold".
 *
 * It opens the file anew and reads past every cache, so that what is judged is what the disk holds
 * now. A walk over all data blocks by the index visits every index block too; sections must follow
 * each other without a gap, so no byte goes unread. */
#include "lsm/sst_cursor.h"

struct verify {
    struct lsm_sstable *sst;
    struct lsmi_sst_cursor *cursor;
    const struct lsm_wait *wait;
    struct lsm_sstable_info found;
    struct lsmi_count count;
    struct lsmi_filter *filter;
    uint64_t data_end;                     /* of the blocks seen so far */
    uint64_t index_begin[LSMI_LEVELS_MAX]; /* of each level's first block */
    uint64_t index_end[LSMI_LEVELS_MAX];
    bool index_seen[LSMI_LEVELS_MAX];
    /* The last entry seen: its partition, and its ckey (empty: only the head so far). */
    struct base_buf pkey, ckey, key;
    bool continues; /* the last block said so */
    struct base_deletion deletion, open;
    struct base_slice static_row; /* in static_buf */
    struct base_buf static_buf;
    uint64_t first_offset; /* of the partition's first block */
    uint32_t first_len;
};

static int wrong_data(const struct verify *v, const char *what, struct base_err *err)
{
    return lsmi_sst_corrupt(v->sst, "data block", v->cursor->data->offset, what, err);
}

static int no_memory(const struct verify *v, int rc, struct base_err *err)
{
    return base_err_set(err, rc, "sstable %s: verify: %s", v->sst->path, base_err_words(rc));
}

static int set(const struct verify *v, struct base_buf *buf, struct base_slice s,
               struct base_err *err)
{
    base_buf_reset(buf);
    int rc = base_buf_put_slice(buf, s);
    return rc ? no_memory(v, rc, err) : BASE_OK;
}

/* Index. */

/* An index block met for the first time: contiguous, its separators ascending, the first one its
 * parent's. */
static int check_index_block(struct verify *v, uint32_t level, struct base_err *err)
{
    const struct lsmi_sst_step *step = &v->cursor->path[level - 1];
    const struct lsmi_block *b = step->block;
    if (v->index_seen[level - 1] && b->offset != v->index_end[level - 1])
        return lsmi_sst_corrupt(v->sst, "index block", b->offset, "a gap before it", err);
    if (!v->index_seen[level - 1])
        v->index_begin[level - 1] = b->offset;
    v->index_seen[level - 1] = true;
    v->index_end[level - 1] = b->offset + b->frame_len;
    if (!lsmi_block_heads_padded(b))
        return lsmi_sst_corrupt(v->sst, "index block", b->offset, "heads with more than their keys",
                                err);
    for (uint32_t i = 0; i < b->keys.count; i++) {
        int rc = lsmi_block_pkey(b, i, &v->key);
        if (rc)
            return no_memory(v, rc, err);
        if (i > 0 && lsmi_index_compare(b, i - 1, base_buf_view(&v->key)) >= 0)
            return lsmi_sst_corrupt(v->sst, "index block", b->offset, "separators out of order",
                                    err);
        if (i == 0 && level < v->sst->footer.levels) {
            const struct lsmi_sst_step *parent = &v->cursor->path[level];
            if (lsmi_index_compare(parent->block, parent->at, base_buf_view(&v->key)) != 0)
                return lsmi_sst_corrupt(v->sst, "index block", b->offset,
                                        "its first separator is not its parent's", err);
        }
    }
    return BASE_OK;
}

/* The levels follow each other from the data's end to the root. */
static int check_index_extent(const struct verify *v, struct base_err *err)
{
    const struct lsmi_footer *f = &v->sst->footer;
    uint64_t at = f->index_offset;
    for (uint32_t level = 1; level <= f->levels; level++) {
        if (v->index_seen[level - 1] && v->index_begin[level - 1] != at)
            return lsmi_sst_corrupt(v->sst, "index", at, "bytes that belong to no block", err);
        at = v->index_seen[level - 1] ? v->index_end[level - 1] : at;
    }
    return v->data_end == f->index_offset ? BASE_OK
                                          : lsmi_sst_corrupt(v->sst, "data", v->data_end,
                                                             "bytes that belong to no block", err);
}

/* Data. */

/* The separator above the block: after all keys before it, not after its own first key. */
static int check_separator(struct verify *v, const struct lsmi_block_partition *first,
                           struct base_err *err)
{
    const struct lsmi_sst_step *leaf = &v->cursor->path[0];
    struct lsmi_sst_cursor *c = v->cursor;
    struct base_slice ckey = {0};
    struct base_item item;
    int rc;
    if (v->found.block_count > 1) {
        if ((rc = lsmi_cursor_target(c, base_buf_view(&v->pkey), base_buf_view(&v->ckey), false)))
            return no_memory(v, rc, err);
        if (lsmi_index_compare(leaf->block, leaf->at, base_buf_view(&c->target)) <= 0)
            return wrong_data(v, "its separator is not after the block before", err);
    }
    if (first->continued) {
        memcpy(c->ckey, first->ckey_prefix.data, first->ckey_prefix.len);
        lsmi_block_item(c->data, 0, c->ckey, first->ckey_prefix.len, &item);
        ckey = item.ckey;
    }
    rc = lsmi_block_pkey(c->data, 0, &v->key);
    if (!rc)
        rc = lsmi_cursor_target(c, base_buf_view(&v->key), ckey, false);
    if (rc)
        return no_memory(v, rc, err);
    if (lsmi_index_compare(leaf->block, leaf->at, base_buf_view(&c->target)) > 0)
        return wrong_data(v, "its separator is after its first key", err);
    return BASE_OK;
}

static int end_partition(struct verify *v, struct base_err *err)
{
    if (v->pkey.len == 0)
        return BASE_OK;
    if (!base_deletion_is_none(v->open))
        return wrong_data(v, "a range deletion without an end", err);
    lsmi_count_partition_end(&v->count);
    return BASE_OK;
}

/* The head of a partition that goes on from the block before must repeat what is known. */
static int check_continued(struct verify *v, const struct lsmi_block_partition *head,
                           struct base_err *err)
{
    if (!base_slice_equal(base_buf_view(&v->key), base_buf_view(&v->pkey)))
        return wrong_data(v, "another partition goes on than began", err);
    if (!base_deletion_equal(head->deletion, v->deletion) ||
        !base_deletion_equal(head->open, v->open))
        return wrong_data(v, "deletions repeated wrongly", err);
    if (head->static_elsewhere != (v->static_row.len > 0))
        return wrong_data(v, "the static row is repeated wrongly", err);
    if (head->static_elsewhere &&
        (head->first_offset != v->first_offset || head->first_len != v->first_len))
        return wrong_data(v, "the partition's first block is named wrongly", err);
    return head->row_end > head->row_begin
               ? BASE_OK
               : wrong_data(v, "a partition goes on without a row", err);
}

static int check_new(struct verify *v, const struct lsmi_block_partition *head,
                     struct base_err *err)
{
    struct base_slice pkey = base_buf_view(&v->key);
    int rc = end_partition(v, err);
    if (rc)
        return rc;
    if (base_slice_compare(pkey, base_buf_view(&v->pkey)) <= 0)
        return wrong_data(v, "partitions out of order", err);
    if (base_pkey_len(pkey) != pkey.len)
        return wrong_data(v, "a malformed partition key", err);
    if (v->filter->bytes && !lsmi_bloom_test(&v->filter->bloom, base_token_get(pkey.data)))
        return lsmi_sst_corrupt(v->sst, "filter", v->sst->footer.filter_offset,
                                "a partition is missing in it", err);
    if ((rc = set(v, &v->pkey, pkey, err)) || (rc = set(v, &v->static_buf, head->static_row, err)))
        return rc;
    v->static_row = base_buf_view(&v->static_buf);
    v->deletion = head->deletion;
    v->open = BASE_DELETION_NONE;
    v->first_offset = v->cursor->data->offset;
    v->first_len = v->cursor->data->frame_len;
    base_buf_reset(&v->ckey);
    if (v->found.partition_count == 0 && !base_slice_equal(pkey, v->sst->pkey_min))
        return lsmi_sst_corrupt(v->sst, "metadata", v->sst->footer.metadata_offset,
                                "pkey_min is not the first partition", err);
    struct base_partition p = {pkey, head->deletion, v->static_row};
    if (p.static_row.len && !base_row_check(p.static_row))
        return wrong_data(v, "a malformed static row", err);
    return lsmi_count_partition(&v->count, &p) ? BASE_OK
                                               : wrong_data(v, "a malformed static row", err);
}

static int check_item(struct verify *v, const struct base_item *item, struct base_err *err)
{
    if (v->ckey.len && base_slice_compare(item->ckey, base_buf_view(&v->ckey)) <= 0)
        return wrong_data(v, "rows out of order", err);
    uint8_t position = item->ckey.data[item->ckey.len - 1];
    if (item->kind == BASE_ITEM_ROW) {
        if (!base_row_check(item->row))
            return wrong_data(v, "a malformed row", err);
        if (position != BASE_KEY_AT)
            return wrong_data(v, "a row at a position that is none", err);
    } else {
        if (!base_deletion_equal(item->before, v->open) ||
            base_deletion_equal(item->before, item->after))
            return wrong_data(v, "markers that do not fit each other", err);
        if (position != BASE_KEY_BEFORE && position != BASE_KEY_AFTER)
            return wrong_data(v, "a marker at a row", err);
        v->open = item->after;
    }
    if (!lsmi_count_item(&v->count, item))
        return wrong_data(v, "a malformed row", err);
    return set(v, &v->ckey, item->ckey, err);
}

static int check_data_block(struct verify *v, struct base_err *err)
{
    struct lsmi_sst_cursor *c = v->cursor;
    const struct lsmi_block *b = c->data;
    if (b->offset != v->data_end)
        return wrong_data(v, "a gap before it", err);
    if (!lsmi_block_heads_padded(b))
        return wrong_data(v, "heads with more than their keys", err);
    v->data_end = b->offset + b->frame_len;
    v->found.block_count++;
    v->found.data_bytes_uncompressed += b->size;
    for (uint32_t i = 0; i < b->keys.count; i++) {
        struct lsmi_block_partition head;
        struct base_item item;
        bool any_marker = false;
        int rc;
        lsmi_block_get_partition(b, i, &head);
        if (i == 0 && (rc = check_separator(v, &head, err)))
            return rc;
        if ((rc = lsmi_block_pkey(b, i, &v->key)))
            return no_memory(v, rc, err);
        if (head.continued != (i == 0 && v->continues))
            return wrong_data(v, "a partition's parts do not fit each other", err);
        if ((rc = head.continued ? check_continued(v, &head, err) : check_new(v, &head, err)))
            return rc;
        memcpy(c->ckey, head.ckey_prefix.data, head.ckey_prefix.len);
        for (uint32_t row = head.row_begin; row < head.row_end; row++) {
            lsmi_block_item(b, row, c->ckey, head.ckey_prefix.len, &item);
            any_marker |= item.kind == BASE_ITEM_MARKER;
            if ((rc = check_item(v, &item, err)))
                return rc;
        }
        if (any_marker != head.has_markers)
            return wrong_data(v, "a partition's flags are wrong", err);
    }
    v->continues = lsmi_block_continues(b);
    return BASE_OK;
}

/* The walk. */

static int walk(struct verify *v, struct base_err *err)
{
    struct lsmi_sst_cursor *c = v->cursor;
    const struct lsmi_footer *f = &v->sst->footer;
    int rc = lsmi_cursor_target(c, (struct base_slice){0}, (struct base_slice){0}, false);
    if (rc)
        return no_memory(v, rc, err);
    bool moved = v->sst->root->keys.count > 0;
    if (moved && (rc = lsmi_cursor_seek(c, err)))
        return rc;
    while (moved) {
        for (uint32_t level = f->levels; level >= 1; level--) {
            const struct lsmi_block *b = c->path[level - 1].block;
            bool entered =
                !v->index_seen[level - 1] || b->offset + b->frame_len != v->index_end[level - 1];
            if (entered && (rc = check_index_block(v, level, err)))
                return rc;
        }
        if ((rc = check_data_block(v, err)))
            return rc;
        double fraction = (double)v->data_end / (double)f->index_offset;
        if (v->wait && v->wait->keep_going && !v->wait->keep_going(v->wait->ctx, fraction))
            return base_err_set(err, BASE_E_INTERRUPTED, "sstable %s: verify: interrupted",
                                v->sst->path);
        if ((rc = lsmi_cursor_move(c, 1, &moved, err)))
            return rc;
    }
    if (v->continues)
        return wrong_data(v, "the last partition has no end", err);
    if (c->data && (rc = end_partition(v, err)))
        return rc;
    return check_index_extent(v, err);
}

static int compare_statistics(const struct verify *v, struct base_err *err)
{
    const char *name = lsmi_metadata_difference(&v->sst->info, &v->found);
    if (!name && !base_slice_equal(base_buf_view(&v->pkey), v->sst->pkey_max))
        name = "pkey_max";
    if (!name)
        return BASE_OK;
    return base_err_set(err, BASE_E_CORRUPT,
                        "sstable %s: metadata at offset %llu: %s is not what the data say",
                        v->sst->path, (unsigned long long)v->sst->footer.metadata_offset, name);
}

int lsm_sstable_verify(struct lsm_sstable *sst, const struct lsm_wait *wait, struct base_err *err)
{
    struct verify v = {.wait = wait, .deletion = BASE_DELETION_NONE, .open = BASE_DELETION_NONE};
    struct base_buf *bufs[] = {&v.pkey, &v.ckey, &v.key, &v.static_buf};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_init(bufs[i], (size_t)4 << 30);
    lsmi_count_begin(&v.count, &v.found);
    int rc = lsmi_sst_open(sst->fs, sst->path, NULL, &v.sst, err);
    if (!rc)
        rc = lsmi_sst_read_filter(v.sst, &v.filter, err);
    if (!rc && (rc = lsmi_cursor_new(&v.cursor)))
        rc = no_memory(&v, rc, err);
    if (!rc) {
        lsmi_cursor_attach(v.cursor, v.sst, true);
        rc = walk(&v, err);
    }
    if (!rc) {
        lsmi_count_end(&v.count);
        rc = compare_statistics(&v, err);
    }
    if (v.cursor)
        lsmi_cursor_detach(v.cursor);
    lsmi_cursor_free(v.cursor);
    lsmi_filter_free(v.filter);
    lsmi_sst_release(v.sst);
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_fini(bufs[i]);
    return rc;
}
