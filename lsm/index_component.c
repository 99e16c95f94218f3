/* An SSTable's index components: files beside it, one an index, that live and die with it
 * (lsm/index.h).
 *
 * 1. A component's name appears when it is whole and durable; so what is there is built. The
 *    manifest does not name it: it is made of the SSTable, and can be made again.
 * 2. The SSTable holds a reference to each. Readers take their own, so a component that is dropped,
 *    or whose SSTable goes, stays until they end; the file goes with the last. */
#include "lsm/index.h"

#include <stdio.h>

#include "base/key.h"
#include "lsm/sst_private.h"

/* Keys. */

int lsmi_index_put_term(struct base_slice term, struct base_buf *out)
{
    size_t start = out->len;
    BASE_ASSERT(term.len <= BASE_INDEX_TERM_LEN_MAX);
    int rc = base_pkey_put(term, out);
    if (rc == BASE_OK) { /* in the terms' order, not the tokens' */
        memset(out->data + start, 0, 8);
        if (term.len)
            memcpy(out->data + start, term.data, term.len < 8 ? term.len : 8);
    }
    return rc;
}

/* Rows end AT, and so does every place, as rows of an SSTable do. */
int lsmi_index_put_place(struct base_slice pkey, struct base_slice ckey, struct base_buf *out)
{
    /* 00 00 is in no key's escapes: before all keys */
    static const uint8_t of_token[] = {0, 0, BASE_KEY_AT}, at = BASE_KEY_AT;
    if (ckey.len && pkey.len + ckey.len > BASE_CKEY_LEN_MAX)
        ckey.len = 0;
    if (pkey.len >= BASE_CKEY_LEN_MAX) {
        int rc = base_buf_put(out, pkey.data, 8);
        return rc == BASE_OK ? base_buf_put(out, of_token, sizeof of_token) : rc;
    }
    int rc = base_buf_put_slice(out, pkey);
    return rc != BASE_OK ? rc : ckey.len ? base_buf_put_slice(out, ckey) : base_buf_put_u8(out, at);
}

bool lsmi_index_get_place(struct base_slice bytes, struct lsmi_place *out)
{
    *out = (struct lsmi_place){0};
    if (bytes.len < 11 || bytes.data[bytes.len - 1] != BASE_KEY_AT)
        return false;
    out->token = base_token_get(bytes.data);
    if (out->token == INT64_MIN) /* no key has it (base/key.h) */
        return false;
    if (bytes.len == 11 && bytes.data[8] == 0 && bytes.data[9] == 0)
        return true;
    size_t len = base_pkey_len(bytes);
    if (len == 0 || len >= bytes.len)
        return false;
    out->pkey = base_slice(bytes.data, len);
    if (bytes.len > len + 1)
        out->ckey = base_slice(bytes.data + len, bytes.len - len);
    return true;
}

/* Files. */

void lsmi_index_path(const char *dir, uint64_t sstable_id, uint32_t index_id, char *path,
                     size_t size)
{
    snprintf(path, size, "%s/%010llu.%u.idx", dir, (unsigned long long)sstable_id, index_id);
}

bool lsmi_index_name_parse(const char *name, uint64_t *sstable_id, uint32_t *index_id)
{
    char again[LSMI_INDEX_SUFFIX_MAX];
    char *end;
    unsigned long long id = strtoull(name, &end, 10);
    unsigned long index = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    *sstable_id = id;
    *index_id = (uint32_t)index;
    snprintf(again, sizeof again, "%010llu.%lu.idx", id, index);
    return index > 0 && index <= UINT32_MAX && strcmp(again, name) == 0;
}

bool lsmi_indexer_has(const struct base_indexer *indexer, uint32_t index_id)
{
    for (size_t i = 0; indexer && i < base_indexer_count(indexer); i++)
        if (base_indexer_id(indexer, i) == index_id)
            return true;
    return false;
}

static bool belongs_to(const struct lsm_sstable *component, const struct lsm_sstable *sst,
                       uint32_t index_id)
{
    const struct lsm_sstable_info *a = lsmi_sst_info(component), *b = lsmi_sst_info(sst);
    return a->id == b->id && a->level == index_id && base_uuid_equal(a->table_id, b->table_id) &&
           base_uuid_equal(a->host_id, b->host_id);
}

static int open_one(struct base_fs *fs, const char *path, struct base_log *log,
                    struct lsmi_cache *cache, struct lsm_sstable *sst, uint32_t index_id,
                    struct base_err *err)
{
    struct lsm_sstable *component;
    int rc = lsmi_sst_open(fs, path, cache, &component, err);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        return BASE_OK;
    }
    if (rc == BASE_OK && !belongs_to(component, sst, index_id)) {
        lsmi_sst_release(component);
        rc = base_err_set(err, BASE_E_CORRUPT, "%s is another SSTable's or index's", path);
    }
    if (rc == BASE_E_CORRUPT || rc == BASE_E_VERSION) {
        base_logf(log, BASE_LOG_ERROR, "an index file is damaged and will be built anew: %s",
                  err ? err->text : path);
        base_err_clear(err);
        return base_fs_remove(fs, path, err);
    }
    return rc == BASE_OK ? lsmi_component_attach(sst, index_id, component, err) : rc;
}

int lsmi_components_open(struct base_fs *fs, const char *dir, struct base_log *log,
                         struct lsmi_cache *cache, struct lsm_sstable *sst,
                         const struct base_indexer *indexer, struct base_err *err)
{
    int rc = BASE_OK;
    struct base_err own;
    err = err ? err : &own;
    for (size_t i = 0; indexer && i < base_indexer_count(indexer) && rc == BASE_OK; i++) {
        char path[4096];
        uint32_t id = base_indexer_id(indexer, i);
        lsmi_index_path(dir, lsmi_sst_info(sst)->id, id, path, sizeof path);
        rc = open_one(fs, path, log, cache, sst, id, err);
    }
    return rc;
}

/* Attached. */

static struct lsmi_component *find(struct lsm_sstable *sst, uint32_t index_id)
{
    for (size_t i = 0; i < sst->component_count; i++)
        if (sst->components[i].index_id == index_id)
            return &sst->components[i];
    return NULL;
}

struct lsm_sstable *lsmi_component_find(struct lsm_sstable *sst, uint32_t index_id)
{
    pthread_mutex_lock(&sst->components_lock);
    struct lsmi_component *component = find(sst, index_id);
    struct lsm_sstable *file = component ? lsmi_sst_acquire(component->file) : NULL;
    pthread_mutex_unlock(&sst->components_lock);
    return file;
}

bool lsmi_component_is_there(struct lsm_sstable *sst, uint32_t index_id)
{
    pthread_mutex_lock(&sst->components_lock);
    bool there = find(sst, index_id) != NULL;
    pthread_mutex_unlock(&sst->components_lock);
    return there;
}

int lsmi_component_attach(struct lsm_sstable *sst, uint32_t index_id, struct lsm_sstable *file,
                          struct base_err *err)
{
    int rc = BASE_OK;
    pthread_mutex_lock(&sst->components_lock);
    bool there = find(sst, index_id) != NULL;
    struct lsmi_component *larger = NULL;
    if (!there &&
        (larger = realloc(sst->components, (sst->component_count + 1) * sizeof *larger))) {
        sst->components = larger;
        larger[sst->component_count++] = (struct lsmi_component){index_id, file};
    }
    pthread_mutex_unlock(&sst->components_lock);
    if (larger)
        return rc;
    lsmi_sst_release(file);
    return there ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "an index: out of memory");
}

/* Take it out of the list; its reference is the caller's. Under the lock. */
static struct lsm_sstable *take(struct lsm_sstable *sst, size_t at)
{
    struct lsm_sstable *file = sst->components[at].file;
    sst->components[at] = sst->components[--sst->component_count];
    return file;
}

void lsmi_components_prune(struct lsm_sstable *sst, const struct base_indexer *indexer)
{
    for (;;) {
        struct lsm_sstable *file = NULL;
        pthread_mutex_lock(&sst->components_lock);
        for (size_t i = 0; i < sst->component_count && !file; i++)
            if (!lsmi_indexer_has(indexer, sst->components[i].index_id))
                file = take(sst, i);
        pthread_mutex_unlock(&sst->components_lock);
        if (!file)
            return;
        lsmi_sst_mark_removed(file);
        lsmi_sst_release(file);
    }
}

void lsmi_component_drop(struct lsm_sstable *sst, const struct lsm_sstable *component)
{
    struct lsm_sstable *file = NULL;
    pthread_mutex_lock(&sst->components_lock);
    for (size_t i = 0; i < sst->component_count && !file; i++)
        if (sst->components[i].file == component)
            file = take(sst, i);
    pthread_mutex_unlock(&sst->components_lock);
    /* the build that follows puts its file in this one's place: who ends late must not remove
     * that */
    lsmi_sst_release(file);
}

/* With the SSTable's last reference (sst_reader.c). */
void lsmi_components_free(struct lsm_sstable *sst, bool removed)
{
    while (sst->component_count) {
        struct lsm_sstable *file = take(sst, 0);
        if (removed)
            lsmi_sst_mark_removed(file);
        lsmi_sst_release(file);
    }
    free(sst->components);
    sst->components = NULL;
}
