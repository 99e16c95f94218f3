/* Writing an SSTable: a stream of partitions in, one file out, in one pass.
 *
 * Data blocks go to the file as they fill. The index is built alongside: an entry a block, gathered
 * to blocks of their own that wait in memory (about twenty bytes a data block) until the data end.
 * Then come the index, level by level, the filter, the metadata, the footer; then one sync.
 *
 * Invariants:
 *  1. The input's order and normal form are checked, not assumed: it may come from damaged tables
 *     (compaction) or a peer. What is written can be read.
 *  2. The file is written front to back, in whole chunks of CHUNK_SIZE from aligned memory but the
 *     last.
 *  3. A partition without anything in it (no deletion, no static row, no item) leaves no trace. */
#include <stdio.h>

#include "lsm/sst_private.h"

enum {
    CHUNK_SIZE = 256 * 1024,
    CHUNK_ALIGN = 4096,
    LEAF_SIZE = 4096,
    INNER_SIZE = 64 * 1024,
    INNER_ENTRIES_MIN = 8
};

struct level {
    struct lsmi_index_builder open; /* the block being gathered */
    struct base_buf bytes;          /* finished blocks' frames, checksums not yet set */
    struct block_note *notes;       /* of the finished blocks */
    size_t count, cap;
};
struct block_note {
    size_t at; /* in bytes: of the unframed block; its length up to the next */
    size_t separator_at, separator_len; /* of its first entry, in separators */
};

struct lsmi_sst_writer {
    struct base_fs *fs;
    struct base_file *file;
    char *path;
    int compressor, compression_level;
    uint32_t block_size;
    struct lsmi_footer footer;
    struct lsm_sstable_info info;
    struct lsmi_count count;
    struct lsmi_bloom_builder bloom;

    uint8_t *chunk; /* CHUNK_SIZE; what is not written yet */
    size_t chunk_len;
    uint64_t offset; /* in the file, the chunk included */

    struct lsmi_block_builder block;
    struct base_buf raw, packed; /* the finished block; its frame */
    struct base_buf last_key;    /* of the block before: pkey + ckey of its last entry */

    /* The partition under way. */
    bool in_partition, partition_begun; /* begun: it is in the builder or in the file */
    bool first_written;                 /* its first block is in the file, at first_offset */
    uint64_t first_offset;
    uint32_t first_len;
    struct base_buf pkey, static_row, ckey; /* ckey: of the last item */
    struct base_deletion deletion, open;
    struct base_buf pkey_min, key; /* key: scratch */

    struct level *levels; /* LSMI_LEVELS_MAX */
    struct base_buf separators;
};

static int fail(struct lsmi_sst_writer *w, int rc, const char *what, struct base_err *err)
{
    char text[160];
    snprintf(text, sizeof text, "%s at offset %llu", what, (unsigned long long)w->offset);
    return base_err_set(err, rc, "write sstable %s: %s: %s", w->path, text, base_err_words(rc));
}

/* The file. */

static int write_chunk(struct lsmi_sst_writer *w, struct base_err *err)
{
    int rc = base_file_write(w->file, w->offset - w->chunk_len, w->chunk, w->chunk_len, err);
    w->chunk_len = 0;
    return rc ? base_err_wrap(err, rc, "write sstable %s", w->path) : BASE_OK;
}

static int append(struct lsmi_sst_writer *w, struct base_slice bytes, struct base_err *err)
{
    while (bytes.len) {
        size_t n = CHUNK_SIZE - w->chunk_len;
        n = n < bytes.len ? n : bytes.len;
        memcpy(w->chunk + w->chunk_len, bytes.data, n);
        w->chunk_len += n;
        w->offset += n;
        bytes = base_slice(bytes.data + n, bytes.len - n);
        if (w->chunk_len == CHUNK_SIZE) {
            int rc = write_chunk(w, err);
            if (rc)
                return rc;
        }
    }
    return BASE_OK;
}

/* Frame `raw` and append it. The frame's length comes back. */
static int append_frame(struct lsmi_sst_writer *w, struct base_slice raw, int compressor,
                        uint32_t *frame_len, struct base_err *err)
{
    if (raw.len > INT32_MAX)
        return fail(w, BASE_E_LIMIT, "a section of 2 GiB", err);
    base_buf_reset(&w->packed);
    int rc = BASE_OK;
    if (compressor != BASE_COMPRESS_NONE)
        rc = base_compress((enum base_compressor)compressor, w->compression_level, raw, &w->packed);
    /* Not worth a reader's time when it saves less than an eighth. */
    if (rc == BASE_E_LIMIT || compressor == BASE_COMPRESS_NONE ||
        w->packed.len > raw.len - raw.len / 8) {
        compressor = BASE_COMPRESS_NONE;
        base_buf_reset(&w->packed);
        rc = base_buf_put_slice(&w->packed, raw);
    }
    if (!rc)
        rc = lsmi_frame_seal(&w->packed, 0, compressor, (uint32_t)raw.len, w->footer.salt,
                             w->offset);
    if (rc)
        return fail(w, rc, "a block", err);
    *frame_len = (uint32_t)w->packed.len;
    return append(w, base_buf_view(&w->packed), err);
}

/* Index. */

/* Move the open index block of a level to its finished ones. */
static int close_index_block(struct level *level, uint32_t number, struct base_buf *separators)
{
    if (level->count == level->cap) {
        size_t cap = level->cap ? level->cap * 2 : 64;
        struct block_note *notes = realloc(level->notes, cap * sizeof *notes);
        if (!notes)
            return BASE_E_NOMEM;
        level->notes = notes;
        level->cap = cap;
    }
    const struct lsmi_index_entry *first = &level->open.entries[0];
    struct block_note note = {level->bytes.len, separators->len, first->key_len};
    int rc = base_buf_put(separators, level->open.keys.data + first->key_at, first->key_len);
    if (!rc)
        rc = lsmi_index_builder_finish(&level->open, number, &level->bytes);
    if (!rc)
        level->notes[level->count++] = note;
    return rc;
}

static int add_index_entry(struct lsmi_sst_writer *w, uint32_t number, struct base_slice separator,
                           uint64_t offset, uint32_t len, struct base_err *err)
{
    struct level *level = &w->levels[number - 1];
    /* Above the leaves blocks are larger: usually all there is fits one, which is the root and
     * stays in memory. */
    size_t target = number == 1 ? LEAF_SIZE : INNER_SIZE;
    /* However long the separators are: with an entry a block there would be no end of levels. */
    size_t least = number == 1 ? 1 : INNER_ENTRIES_MIN;
    int rc = BASE_OK;
    if (level->open.count && (!lsmi_index_builder_fits(&level->open, len) ||
                              (level->open.count >= least &&
                               lsmi_index_builder_size(&level->open) + separator.len > target)))
        rc = close_index_block(level, number, &w->separators);
    if (!rc)
        rc = lsmi_index_builder_add(&level->open, separator, offset, len);
    return rc ? fail(w, rc, "an index entry", err) : BASE_OK;
}

/* Append a level's finished blocks; each becomes an entry of the level above. */
static int write_level(struct lsmi_sst_writer *w, uint32_t number, struct base_err *err)
{
    struct level *level = &w->levels[number - 1];
    for (size_t i = 0; i < level->count; i++) {
        const struct block_note *note = &level->notes[i];
        size_t end = i + 1 < level->count ? level->notes[i + 1].at : level->bytes.len;
        uint64_t offset = w->offset;
        uint32_t len;
        int rc = append_frame(w, base_slice(level->bytes.data + note->at, end - note->at),
                              BASE_COMPRESS_NONE, &len, err);
        if (!rc)
            rc = add_index_entry(
                w, number + 1,
                base_slice(w->separators.data + note->separator_at, note->separator_len), offset,
                len, err);
        if (rc)
            return rc;
    }
    return BASE_OK;
}

/* The level that is one block is the root. */
static int write_index(struct lsmi_sst_writer *w, struct base_err *err)
{
    w->footer.index_offset = w->offset;
    for (uint32_t number = 1;; number++) {
        struct level *level = &w->levels[number - 1];
        bool root = level->count == 0;
        if (!root && number == LSMI_LEVELS_MAX)
            return fail(w, BASE_E_LIMIT, "index too deep", err);
        int rc = root && level->open.count == 0
                     ? lsmi_index_builder_finish(&level->open, number, &level->bytes)
                     : close_index_block(level, number, &w->separators);
        if (rc)
            return fail(w, rc, "an index block", err);
        if (root) {
            uint32_t len;
            w->footer.levels = number;
            w->footer.root_offset = w->offset;
            rc = append_frame(w, base_buf_view(&level->bytes), BASE_COMPRESS_NONE, &len, err);
            w->footer.root_len = len;
            return rc;
        }
        if ((rc = write_level(w, number, err)))
            return rc;
    }
}

/* Data blocks. */

/* The first key of the block about to be written: its first partition's pkey, and with it the first
 * row's ckey when the partition goes on from the block before. */
static int first_key(struct lsmi_sst_writer *w)
{
    const struct lsmi_builder_partition *p = &w->block.partitions[0];
    base_buf_reset(&w->key);
    int rc = base_buf_put(&w->key, w->block.bytes.data + p->key_at, p->key_len);
    if (!rc && p->head.continued) {
        BASE_ASSERT(w->block.row_count > 0);
        const struct lsmi_builder_row *row = &w->block.rows[0];
        rc = base_buf_put(&w->key, w->block.bytes.data + row->key_at, row->key_len);
    }
    return rc;
}

/* Cut w->key to the shortest beginning that is still greater than the last key of the block
 * before. */
static void shorten_separator(struct lsmi_sst_writer *w)
{
    size_t same = 0;
    while (same < w->last_key.len && same < w->key.len &&
           w->last_key.data[same] == w->key.data[same])
        same++;
    BASE_ASSERT(same < w->key.len);
    if (w->info.block_count) /* the first block keeps its key whole, so that the index shares a
                                prefix */
        w->key.len = same + 1;
}

static int note_last_key(struct lsmi_sst_writer *w)
{
    const struct lsmi_block_builder *b = &w->block;
    const struct lsmi_builder_partition *p = &b->partitions[b->partition_count - 1];
    base_buf_reset(&w->last_key);
    int rc = base_buf_put(&w->last_key, b->bytes.data + p->key_at, p->key_len);
    if (!rc && b->row_count > p->row_begin) {
        const struct lsmi_builder_row *row = &b->rows[b->row_count - 1];
        rc = base_buf_put(&w->last_key, b->bytes.data + row->key_at, row->key_len);
    }
    return rc;
}

static int write_block(struct lsmi_sst_writer *w, bool continues, struct base_err *err)
{
    if (lsmi_builder_empty(&w->block))
        return BASE_OK;
    int rc = first_key(w);
    if (!rc) {
        shorten_separator(w);
        rc = note_last_key(w);
    }
    base_buf_reset(&w->raw);
    if (!rc)
        rc = lsmi_builder_finish(&w->block, continues, &w->raw);
    if (rc)
        return fail(w, rc, "a data block", err);
    uint64_t offset = w->offset;
    uint32_t len;
    rc = append_frame(w, base_buf_view(&w->raw), w->compressor, &len, err);
    if (!rc)
        rc = add_index_entry(w, 1, base_buf_view(&w->key), offset, len, err);
    if (rc)
        return rc;
    if (continues && !w->first_written) {
        w->first_written = true;
        w->first_offset = offset;
        w->first_len = len;
    }
    w->info.block_count++;
    w->info.data_bytes_uncompressed += w->raw.len;
    return BASE_OK;
}

/* Should the block be written before an entry of `extra` bytes comes in? */
static bool block_is_full(const struct lsmi_sst_writer *w, size_t extra)
{
    if (lsmi_builder_empty(&w->block))
        return false;
    size_t size = lsmi_builder_size(&w->block), with = size + extra;
    return with > w->block_size && (size >= w->block_size / 2 || with > 4 * (size_t)w->block_size);
}

/* Partitions and items. */

/* Put the partition under way into the builder: at its begin, or at the begin of a further
 * block. */
static int enter_partition(struct lsmi_sst_writer *w, bool continued, struct base_err *err)
{
    bool has_static = w->static_row.len > 0;
    struct lsmi_block_partition head = {
        .pkey = base_buf_view(&w->pkey),
        .continued = continued,
        .deletion = w->deletion,
        .open = continued ? w->open : BASE_DELETION_NONE,
        .static_row = continued ? (struct base_slice){0} : base_buf_view(&w->static_row),
        .static_elsewhere = continued && has_static,
        .first_offset = w->first_offset,
        .first_len = w->first_len,
    };
    int rc = lsmi_builder_add_partition(&w->block, &head);
    return rc ? fail(w, rc, "a partition", err) : BASE_OK;
}

/* The partition under way has something to say: count it and enter it. It begins with its first
 * item (of item_size; 0: it has none), so that a block's end does not come between them. */
static int begin_partition(struct lsmi_sst_writer *w, size_t item_size, struct base_err *err)
{
    int rc = BASE_OK;
    if (block_is_full(w, w->pkey.len + w->static_row.len + 32 + item_size))
        rc = write_block(w, false, err);
    if (!rc)
        rc = enter_partition(w, false, err);
    if (rc)
        return rc;
    struct base_partition p = {base_buf_view(&w->pkey), w->deletion, base_buf_view(&w->static_row)};
    if (!lsmi_count_partition(&w->count, &p))
        return fail(w, BASE_E_CORRUPT, "a static row", err);
    if (w->info.partition_count == 1 && base_buf_put_slice(&w->pkey_min, p.pkey))
        return fail(w, BASE_E_NOMEM, "a partition", err);
    if (lsmi_bloom_builder_add(&w->bloom, base_token_get(p.pkey.data)))
        return fail(w, BASE_E_NOMEM, "the filter", err);
    w->partition_begun = true;
    return BASE_OK;
}

static int end_partition(struct lsmi_sst_writer *w, struct base_err *err)
{
    if (!w->in_partition)
        return BASE_OK;
    if (!base_deletion_is_none(w->open))
        return fail(w, BASE_E_CORRUPT, "a range deletion without an end", err);
    bool says_something = w->static_row.len || !base_deletion_is_none(w->deletion);
    int rc = !w->partition_begun && says_something ? begin_partition(w, 0, err) : BASE_OK;
    if (w->partition_begun)
        lsmi_count_partition_end(&w->count);
    w->in_partition = false;
    return rc;
}

int lsmi_sst_writer_partition(struct lsmi_sst_writer *w, const struct base_partition *partition,
                              struct base_err *err)
{
    int rc = end_partition(w, err);
    if (rc)
        return rc;
    struct base_slice pkey = partition->pkey;
    if (pkey.len < LSMI_PKEY_LEN_MIN || pkey.len > BASE_PKEY_LEN_MAX ||
        base_slice_compare(pkey, base_buf_view(&w->pkey)) <= 0)
        return fail(w, BASE_E_CORRUPT, "a partition out of order", err);
    base_buf_reset(&w->pkey);
    base_buf_reset(&w->static_row);
    base_buf_reset(&w->ckey);
    rc = base_buf_put_slice(&w->pkey, pkey);
    if (!rc)
        rc = base_buf_put_slice(&w->static_row, partition->static_row);
    if (rc)
        return fail(w, rc, "a partition", err);
    w->deletion = partition->deletion;
    w->open = BASE_DELETION_NONE;
    w->in_partition = true;
    w->partition_begun = w->first_written = false;
    w->first_offset = w->first_len = 0;
    return BASE_OK;
}

/* Order, lengths and the markers' normal form. NULL, or what is wrong. */
static const char *check_item(const struct lsmi_sst_writer *w, const struct base_item *item)
{
    if (item->ckey.len == 0 || item->ckey.len > BASE_CKEY_LEN_MAX)
        return "a clustering key of impossible length";
    if (base_slice_compare(item->ckey, base_buf_view(&w->ckey)) <= 0)
        return "a row or marker out of order";
    if (item->kind == BASE_ITEM_ROW)
        return item->row.len ? NULL : "an empty row";
    if (base_deletion_equal(item->before, item->after) ||
        !base_deletion_equal(item->before, w->open))
        return "markers that do not fit each other";
    return item->ckey.data[item->ckey.len - 1] == BASE_KEY_AT ? "a marker at a row" : NULL;
}

int lsmi_sst_writer_item(struct lsmi_sst_writer *w, const struct base_item *item,
                         struct base_err *err)
{
    BASE_ASSERT(w->in_partition);
    const char *wrong = check_item(w, item);
    if (wrong)
        return fail(w, BASE_E_CORRUPT, wrong, err);
    int rc = BASE_OK;
    size_t size = item->ckey.len + item->row.len + 8;
    if (!w->partition_begun) {
        rc = begin_partition(w, size, err);
    } else if (block_is_full(w, size)) {
        rc = write_block(w, true, err);
        if (!rc)
            rc = enter_partition(w, true, err);
    }
    if (rc)
        return rc;
    if ((rc = lsmi_builder_add(&w->block, item)))
        return fail(w, rc, "a row", err);
    if (!lsmi_count_item(&w->count, item))
        return fail(w, BASE_E_CORRUPT, "a row", err);
    if (item->kind == BASE_ITEM_MARKER)
        w->open = item->after;
    base_buf_reset(&w->ckey);
    rc = base_buf_put_slice(&w->ckey, item->ckey);
    return rc ? fail(w, rc, "a row", err) : BASE_OK;
}

/* Open, finish, abort. */

static void free_writer(struct lsmi_sst_writer *w)
{
    base_file_close(w->file);
    lsmi_builder_fini(&w->block);
    lsmi_bloom_builder_fini(&w->bloom);
    struct base_buf *bufs[] = {&w->raw,  &w->packed,   &w->last_key, &w->pkey,      &w->static_row,
                               &w->ckey, &w->pkey_min, &w->key,      &w->separators};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_fini(bufs[i]);
    for (uint32_t i = 0; w->levels && i < LSMI_LEVELS_MAX; i++) {
        lsmi_index_builder_fini(&w->levels[i].open);
        base_buf_fini(&w->levels[i].bytes);
        free(w->levels[i].notes);
    }
    free(w->levels);
    free(w->chunk);
    free(w->path);
    free(w);
}

static void set_info(struct lsmi_sst_writer *w, const struct lsmi_sst_params *params)
{
    struct lsm_sstable_info *info = &w->info;
    info->format_version = LSMI_SST_VERSION;
    info->table_id = params->table_id;
    info->host_id = params->host_id;
    snprintf(info->table_name, sizeof info->table_name, "%s",
             params->table_name ? params->table_name : "");
    info->id = params->id;
    info->commitlog_from = params->commitlog_from;
    info->commitlog_upto = params->commitlog_upto;
    info->repaired_at_ms = params->repaired_at_ms;
    info->pending_repair = params->pending_repair;
    info->compressor = params->compressor;
    info->level = params->level;
    uint8_t identity[40];
    memcpy(identity, params->table_id.b, 16);
    memcpy(identity + 16, params->host_id.b, 16);
    base_put_le64(identity + 32, params->id);
    w->footer.salt = base_checksum(identity, sizeof identity);
    lsmi_count_begin(&w->count, info);
}

int lsmi_sst_writer_open(const struct lsmi_sst_params *params, struct lsmi_sst_writer **out,
                         struct base_err *err)
{
    *out = NULL;
    struct lsmi_sst_writer *w = calloc(1, sizeof *w);
    if (!w)
        return base_err_set(err, BASE_E_NOMEM, "write sstable %s: out of memory", params->path);
    w->fs = params->fs;
    w->compressor = params->compressor;
    w->compression_level = params->compression_level;
    w->block_size = params->block_size ? params->block_size : 4096;
    lsmi_builder_init(&w->block);
    lsmi_bloom_builder_init(&w->bloom, params->bloom_fp_chance, params->partition_count_hint);
    struct base_buf *bufs[] = {&w->raw,  &w->packed,   &w->last_key, &w->pkey,      &w->static_row,
                               &w->ckey, &w->pkey_min, &w->key,      &w->separators};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        base_buf_init(bufs[i], (size_t)4 << 30);
    w->deletion = w->open = BASE_DELETION_NONE;
    w->path = strdup(params->path);
    w->chunk = aligned_alloc(CHUNK_ALIGN, CHUNK_SIZE);
    w->levels = calloc(LSMI_LEVELS_MAX, sizeof *w->levels);
    int rc = w->path && w->chunk && w->levels ? BASE_OK : BASE_E_NOMEM;
    if (rc) {
        base_err_set(err, rc, "write sstable %s: out of memory", params->path);
    } else {
        for (uint32_t i = 0; i < LSMI_LEVELS_MAX; i++) {
            lsmi_index_builder_init(&w->levels[i].open);
            base_buf_init(&w->levels[i].bytes, (size_t)4 << 30);
        }
        set_info(w, params);
        int flags = BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE | BASE_OPEN_EXCLUSIVE;
        rc = base_fs_open(w->fs, w->path, params->direct ? flags | BASE_OPEN_DIRECT : flags,
                          &w->file, err);
    }
    if (rc) {
        free_writer(w);
        return rc;
    }
    *out = w;
    return BASE_OK;
}

uint64_t lsmi_sst_writer_size(const struct lsmi_sst_writer *w)
{
    return w->offset;
}

bool lsmi_sst_writer_is_empty(const struct lsmi_sst_writer *w)
{
    /* The partition under way begins with its first item or at its end: until then it is not
     * counted. */
    bool pending = w->in_partition && !w->partition_begun &&
                   (w->static_row.len || !base_deletion_is_none(w->deletion));
    return w->info.partition_count == 0 && !pending;
}

static int write_filter_and_metadata(struct lsmi_sst_writer *w, struct base_err *err)
{
    struct base_slice filter;
    uint32_t len;
    int rc = lsmi_bloom_builder_finish(&w->bloom, &filter);
    if (rc)
        return fail(w, rc, "the filter", err);
    w->footer.filter_offset = w->offset;
    if (filter.len) {
        if ((rc = append_frame(w, filter, BASE_COMPRESS_NONE, &len, err)))
            return rc;
        w->footer.filter_len = len;
    }
    struct lsmi_metadata m = {w->info, base_buf_view(&w->pkey_min), {0}};
    if (m.info.partition_count)
        m.pkey_max = base_buf_view(&w->last_key); /* cut below to its pkey */
    m.pkey_max.len = base_pkey_len(m.pkey_max);
    w->footer.metadata_offset = w->offset;
    base_buf_reset(&w->raw);
    if ((rc = lsmi_metadata_encode(&m, &w->raw)))
        return fail(w, rc, "the metadata", err);
    rc = append_frame(w, base_buf_view(&w->raw), BASE_COMPRESS_NONE, &len, err);
    w->footer.metadata_len = len;
    return rc;
}

int lsmi_sst_writer_finish(struct lsmi_sst_writer *w, struct lsm_sstable_info *info,
                           struct base_err *err)
{
    *info = (struct lsm_sstable_info){0};
    int rc = end_partition(w, err);
    if (!rc)
        rc = write_block(w, false, err);
    lsmi_count_end(&w->count);
    if (!rc)
        rc = write_index(w, err);
    if (!rc)
        rc = write_filter_and_metadata(w, err);
    if (rc)
        return rc;
    uint8_t footer[LSMI_FOOTER_LEN];
    lsmi_footer_encode(&w->footer, w->offset, footer);
    rc = append(w, base_slice(footer, sizeof footer), err);
    if (!rc && w->chunk_len)
        rc = write_chunk(w, err);
    if (!rc && (rc = base_file_sync(w->file, err)))
        base_err_wrap(err, rc, "write sstable %s", w->path);
    if (rc)
        return rc;
    w->info.file_size = w->offset;
    w->info.filter_bytes = w->footer.filter_len;
    w->info.index_bytes = w->footer.filter_offset - w->footer.index_offset;
    *info = w->info;
    free_writer(w);
    return BASE_OK;
}

void lsmi_sst_writer_abort(struct lsmi_sst_writer *w)
{
    if (!w)
        return;
    base_file_close(w->file);
    w->file = NULL;
    (void)base_fs_remove(w->fs, w->path, NULL); /* an orphan is removed at the next open */
    free_writer(w);
}
