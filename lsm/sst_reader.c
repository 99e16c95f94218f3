/* An open SSTable: footer, metadata, index root and filter; reading frames. Streams: sst_source.c.
 *
 * Invariants:
 *  1. Nothing from the file is used before its checksum has been verified and its structure
 *     checked; what is wrong is CORRUPT with file, section and offset.
 *  2. The filter is read on first use, without a lock: of two threads that read it at once the
 *     first to publish wins. It does not change after. One that cannot be read costs only its help.
 *  3. The file is closed, and removed if marked, with the last reference, and only then. */
#include <stdio.h>

#include "lsm/sst_private.h"

int lsmi_sst_corrupt(const struct lsm_sstable *sst, const char *section, uint64_t offset,
                     const char *what, struct base_err *err)
{
    return base_err_set(err, BASE_E_CORRUPT, "sstable %s: %s at offset %llu: %s", sst->path,
                        section, (unsigned long long)offset, what);
}

/* Frames. */

static int read_exactly(struct lsm_sstable *sst, const char *section, uint64_t offset, void *buf,
                        size_t len, struct base_err *err)
{
    size_t got;
    int rc = base_file_read(sst->file, offset, buf, len, &got, err);
    if (rc)
        return base_err_wrap(err, rc, "sstable %s: %s at offset %llu", sst->path, section,
                             (unsigned long long)offset);
    return got == len ? BASE_OK
                      : lsmi_sst_corrupt(sst, section, offset, "the file is cut short", err);
}

static const char *section_of_level(uint32_t level)
{
    return level ? "index block" : "data block";
}

int lsmi_sst_block_from(struct lsm_sstable *sst, uint32_t level, uint64_t offset,
                        struct base_slice bytes, struct lsmi_block **spare, struct lsmi_block **out,
                        struct base_err *err)
{
    *out = NULL;
    struct lsmi_frame frame;
    const char *section = section_of_level(level),
               *wrong = lsmi_frame_open(bytes, sst->footer.salt, offset, &frame);
    if (wrong)
        return lsmi_sst_corrupt(sst, section, offset, wrong, err);
    struct lsmi_block *b =
        spare ? lsmi_block_renew(*spare, frame.size) : lsmi_block_new(frame.size);
    if (spare)
        *spare = NULL;
    if (!b)
        return base_err_set(err, BASE_E_NOMEM,
                            "sstable %s: %s at offset %llu: no memory for %u bytes", sst->path,
                            section, (unsigned long long)offset, frame.size);
    wrong = lsmi_frame_unpack(&frame, b->bytes);
    if (!wrong && (!lsmi_block_parse(b) || b->level != level))
        wrong = "not a well-formed block";
    /* Children lie before their index block: a walk down ends. */
    if (!wrong && level && b->keys.count == 0 && offset != sst->footer.root_offset)
        wrong = "an empty index block";
    if (!wrong && level && b->keys.count) {
        uint64_t last;
        uint32_t len;
        lsmi_index_child(b, b->keys.count - 1, &last, &len);
        if (b->child_base > offset || last + len > (level == 1 ? sst->footer.index_offset : offset))
            wrong = "children out of place";
    }
    if (wrong) {
        lsmi_block_unpin(b);
        return lsmi_sst_corrupt(sst, section, offset, wrong, err);
    }
    b->file = sst->file_no;
    b->offset = offset;
    b->frame_len = (uint32_t)bytes.len;
    *out = b;
    return BASE_OK;
}

int lsmi_sst_read_section(struct lsm_sstable *sst, const char *section, uint64_t offset,
                          uint64_t len, uint8_t **out, size_t *out_len, struct base_err *err)
{
    *out = NULL;
    *out_len = 0;
    uint8_t *bytes = malloc(len), *unpacked = NULL;
    struct lsmi_frame frame;
    int rc = bytes ? read_exactly(sst, section, offset, bytes, len, err)
                   : base_err_set(err, BASE_E_NOMEM, "sstable %s: %s: out of memory", sst->path,
                                  section);
    const char *wrong = NULL;
    if (!rc)
        wrong = lsmi_frame_open(base_slice(bytes, len), sst->footer.salt, offset, &frame);
    if (!rc && !wrong) {
        unpacked = malloc(frame.size + 1u);
        if (unpacked)
            wrong = lsmi_frame_unpack(&frame, unpacked);
        else
            rc = base_err_set(err, BASE_E_NOMEM, "sstable %s: %s: out of memory", sst->path,
                              section);
    }
    free(bytes);
    if (!rc && wrong)
        rc = lsmi_sst_corrupt(sst, section, offset, wrong, err);
    if (rc) {
        free(unpacked);
        return rc;
    }
    *out = unpacked;
    *out_len = frame.size;
    return BASE_OK;
}

/* Open. */

static int read_footer(struct lsm_sstable *sst, struct base_err *err)
{
    uint8_t tail[LSMI_FOOTER_LEN_MAX];
    uint64_t size;
    int rc = base_file_size(sst->file, &size, err);
    if (rc)
        return base_err_wrap(err, rc, "sstable %s", sst->path);
    size_t len = size < sizeof tail ? (size_t)size : sizeof tail;
    rc = read_exactly(sst, "footer", size - len, tail, len, err);
    if (rc)
        return rc;
    rc = lsmi_footer_decode(base_slice(tail, len), size, &sst->footer, err);
    sst->info.file_size = size;
    return rc ? base_err_wrap(err, rc, "sstable %s", sst->path) : BASE_OK;
}

static int read_metadata(struct lsm_sstable *sst, struct base_err *err)
{
    const struct lsmi_footer *f = &sst->footer;
    size_t len;
    int rc = lsmi_sst_read_section(sst, "metadata", f->metadata_offset, f->metadata_len,
                                   &sst->metadata_bytes, &len, err);
    if (rc)
        return rc;
    struct lsmi_metadata m;
    if (!lsmi_metadata_decode(base_slice(sst->metadata_bytes, len), &m))
        return lsmi_sst_corrupt(sst, "metadata", f->metadata_offset, "not well-formed", err);
    m.info.file_size = sst->info.file_size;
    m.info.format_version = LSMI_SST_VERSION;
    m.info.filter_bytes = f->filter_len;
    m.info.index_bytes = f->filter_offset - f->index_offset;
    sst->info = m.info;
    sst->pkey_min = m.pkey_min;
    sst->pkey_max = m.pkey_max;
    return BASE_OK;
}

static int read_root(struct lsm_sstable *sst, struct base_err *err)
{
    const struct lsmi_footer *f = &sst->footer;
    if (f->root_len > INT32_MAX)
        return lsmi_sst_corrupt(sst, "index root", f->root_offset, "impossible length", err);
    uint8_t *bytes = malloc(f->root_len);
    if (!bytes)
        return base_err_set(err, BASE_E_NOMEM, "sstable %s: index root: out of memory", sst->path);
    int rc = read_exactly(sst, "index root", f->root_offset, bytes, f->root_len, err);
    if (!rc)
        rc = lsmi_sst_block_from(sst, f->levels, f->root_offset, base_slice(bytes, f->root_len),
                                 NULL, &sst->root, err);
    free(bytes);
    if (!rc && (sst->root->keys.count == 0) != (sst->info.block_count == 0))
        rc =
            lsmi_sst_corrupt(sst, "index root", f->root_offset, "disagrees with the metadata", err);
    return rc;
}

static void free_sst(struct lsm_sstable *sst)
{
    struct lsmi_filter *filter = atomic_load(&sst->filter);
    if (sst->cache) {
        lsmi_cache_forget(sst->cache, sst->file_no);
        if (sst->root)
            lsmi_cache_charge(sst->cache, -(int64_t)lsmi_block_cost(sst->root));
        if (filter && filter->bytes)
            lsmi_cache_charge(sst->cache, -(int64_t)sst->footer.filter_len);
    }
    base_file_close(sst->file);
    lsmi_components_free(sst, atomic_load(&sst->removed));
    pthread_mutex_destroy(&sst->components_lock);
    lsmi_block_unpin(sst->root);
    lsmi_filter_free(filter);
    free(sst->metadata_bytes);
    free(sst->path);
    free(sst);
}

int lsmi_sst_open(struct base_fs *fs, const char *path, struct lsmi_cache *cache,
                  struct lsm_sstable **out, struct base_err *err)
{
    *out = NULL;
    struct lsm_sstable *sst = calloc(1, sizeof *sst);
    if (!sst || !(sst->path = strdup(path))) {
        free(sst);
        return base_err_set(err, BASE_E_NOMEM, "sstable %s: out of memory", path);
    }
    atomic_init(&sst->refs, 1);
    pthread_mutex_init(&sst->components_lock, NULL);
    sst->fs = fs;
    int rc = base_fs_open(fs, path, BASE_OPEN_READ, &sst->file, err);
    if (!rc)
        rc = read_footer(sst, err);
    if (!rc)
        rc = read_metadata(sst, err);
    if (!rc)
        rc = read_root(sst, err);
    if (rc) {
        free_sst(sst);
        return rc;
    }
    if (cache) {
        sst->cache = cache;
        sst->file_no = lsmi_cache_file(cache);
        lsmi_cache_charge(cache, (int64_t)lsmi_block_cost(sst->root));
    }
    *out = sst;
    return BASE_OK;
}

struct lsm_sstable *lsmi_sst_acquire(struct lsm_sstable *sst)
{
    atomic_fetch_add_explicit(&sst->refs, 1, memory_order_relaxed);
    return sst;
}

void lsmi_sst_release(struct lsm_sstable *sst)
{
    if (!sst)
        return;
    uint32_t refs = atomic_fetch_sub_explicit(&sst->refs, 1, memory_order_acq_rel);
    BASE_ASSERT(refs > 0);
    if (refs > 1)
        return;
    if (atomic_load(&sst->removed))
        (void)base_fs_remove(sst->fs, sst->path, NULL); /* an orphan is removed at the next open */
    free_sst(sst);
}

void lsmi_sst_mark_removed(struct lsm_sstable *sst)
{
    atomic_store(&sst->removed, true);
}

const struct lsm_sstable_info *lsmi_sst_info(const struct lsm_sstable *sst)
{
    return &sst->info;
}

struct base_slice lsmi_sst_pkey_min(const struct lsm_sstable *sst)
{
    return sst->pkey_min;
}

struct base_slice lsmi_sst_pkey_max(const struct lsm_sstable *sst)
{
    return sst->pkey_max;
}

/* Filter. */

void lsmi_filter_free(struct lsmi_filter *filter)
{
    if (filter)
        free(filter->bytes);
    free(filter);
}

int lsmi_sst_read_filter(struct lsm_sstable *sst, struct lsmi_filter **out, struct base_err *err)
{
    *out = NULL;
    const struct lsmi_footer *f = &sst->footer;
    struct lsmi_filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return base_err_set(err, BASE_E_NOMEM, "sstable %s: filter: out of memory", sst->path);
    size_t len;
    int rc = BASE_OK;
    if (f->filter_len)
        rc = lsmi_sst_read_section(sst, "filter", f->filter_offset, f->filter_len, &filter->bytes,
                                   &len, err);
    if (!rc && f->filter_len && !lsmi_bloom_view(base_slice(filter->bytes, len), &filter->bloom))
        rc = lsmi_sst_corrupt(sst, "filter", f->filter_offset, "not well-formed", err);
    if (rc)
        lsmi_filter_free(filter);
    else
        *out = filter;
    return rc;
}

/* The filter, read if it was not; NULL only when there is no memory. */
static const struct lsmi_filter *filter_of(struct lsm_sstable *sst)
{
    struct lsmi_filter *filter = atomic_load_explicit(&sst->filter, memory_order_acquire),
                       *expected = NULL;
    if (BASE_LIKELY(filter != NULL))
        return filter;
    if (lsmi_sst_read_filter(sst, &filter,
                             NULL)) /* then the blocks are read, and name their own damage */
        filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (!atomic_compare_exchange_strong(&sst->filter, &expected, filter)) {
        lsmi_filter_free(filter);
        return expected;
    }
    if (sst->cache && filter->bytes)
        lsmi_cache_charge(sst->cache, (int64_t)sst->footer.filter_len);
    return filter;
}

void lsmi_sst_prefetch_filter(const struct lsm_sstable *sst, struct base_slice pkey)
{
    const struct lsmi_filter *filter = atomic_load_explicit(&sst->filter, memory_order_acquire);
    if (filter && filter->bytes)
        lsmi_bloom_prefetch(&filter->bloom, base_token_get(pkey.data));
}

bool lsmi_sst_may_contain(struct lsm_sstable *sst, struct base_slice pkey)
{
    BASE_ASSERT(pkey.len >= 8);
    int64_t token = base_token_get(pkey.data);
    if (sst->info.partition_count == 0 || token < sst->info.token_min ||
        token > sst->info.token_max)
        return false;
    const struct lsmi_filter *filter = filter_of(sst);
    if (!filter || !filter->bytes)
        return true;
    atomic_fetch_add_explicit(&sst->bloom_checks, 1, memory_order_relaxed);
    return lsmi_bloom_test(&filter->bloom, token);
}

void lsmi_sst_bloom_counts(struct lsm_sstable *sst, uint64_t *checks, uint64_t *false_positives)
{
    *checks = atomic_load_explicit(&sst->bloom_checks, memory_order_relaxed);
    *false_positives = atomic_load_explicit(&sst->bloom_false_positives, memory_order_relaxed);
}

/* Offline tools. */

int lsm_sstable_open_file(struct base_fs *fs, const char *path, struct lsm_sstable **out,
                          struct base_err *err)
{
    return lsmi_sst_open(fs, path, NULL, out, err);
}

void lsm_sstable_get_info(const struct lsm_sstable *sst, struct lsm_sstable_info *info)
{
    *info = sst->info;
}

void lsm_sstable_close(struct lsm_sstable *sst)
{
    lsmi_sst_release(sst);
}
