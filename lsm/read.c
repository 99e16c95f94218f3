/* Reading: the sources of a command, merged into one stream (lsm/lsm.h).
 *
 * A stream pins one view of its table. Its sources live in the stream's own storage and are used
 * again with it, so that a point read with `reuse` allocates nothing. What it pins is given up as
 * soon as it has said that there is no further partition: nothing is borrowed then.
 *
 * Invariant: between calls `merge` holds exactly the sources of this read; it is emptied before
 * their storage is used again. */
#include "lsm/read_private.h"

/* Puts a truncation under every partition of a source that may have older data: rare, so it may
 * allocate. */
struct floored {
    struct base_source source;
    struct base_source *inner;
    struct base_deletion floor;
};

/* The floor. */

static int floored_partition(struct base_source *base, struct base_partition *out,
                             struct base_err *err)
{
    struct floored *f = BASE_CONTAINER(base, struct floored, source);
    int rc = f->inner->ops->partition(f->inner, out, err);
    if (rc == BASE_OK && out->pkey.len)
        out->deletion = base_deletion_max(out->deletion, f->floor);
    return rc;
}

static int floored_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct floored *f = BASE_CONTAINER(base, struct floored, source);
    return f->inner->ops->next(f->inner, out, err);
}

static void floored_close(struct base_source *base)
{
    struct floored *f = BASE_CONTAINER(base, struct floored, source);
    f->inner->ops->close(f->inner);
    free(f);
}

static const struct base_source_ops floored_ops = {floored_partition, floored_next, floored_close};

/* The stream. */

static void unpin(struct lsmi_stream *s)
{
    if (!s->view)
        return;
    lsmi_view_release(s->view);
    s->view = NULL;
    atomic_fetch_sub_explicit(&s->store->open_reads, 1, memory_order_release);
}

void lsmi_stream_empty(struct lsmi_stream *s)
{
    if (s->merge) {
        static const struct base_merge_options none = {0};
        (void)!base_merge_reopen(s->merge, NULL, 0, &none, NULL);
    }
    s->source_count = 0;
}

/* Close the sources and give up what they pin. */
static void park(struct lsmi_stream *s)
{
    lsmi_stream_empty(s);
    lsmi_index_read_close(s->indexed);
    s->indexed = NULL;
    unpin(s);
}

static int stream_partition(struct base_source *base, struct base_partition *out,
                            struct base_err *err)
{
    struct lsmi_stream *s = BASE_CONTAINER(base, struct lsmi_stream, source);
    if (!s->view) {
        *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
        return BASE_OK;
    }
    int rc = BASE_UNLIKELY(s->indexed != NULL) ? lsmi_index_read_partition(s->indexed, s, out, err)
                                               : s->merge->ops->partition(s->merge, out, err);
    if (rc == BASE_OK && out->pkey.len == 0)
        park(s);
    return rc;
}

static int stream_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct lsmi_stream *s = BASE_CONTAINER(base, struct lsmi_stream, source);
    if (!s->view) {
        *out = (struct base_item){.kind = BASE_ITEM_END};
        return BASE_OK;
    }
    if (BASE_UNLIKELY(s->indexed != NULL))
        return lsmi_index_read_next(s->indexed, s, out, err);
    return s->merge->ops->next(s->merge, out, err);
}

static void stream_close(struct base_source *base)
{
    struct lsmi_stream *s = BASE_CONTAINER(base, struct lsmi_stream, source);
    park(s);
    if (s->merge)
        s->merge->ops->close(s->merge);
    for (size_t i = 0; i < s->memtable_cap; i++) {
        lsmi_mt_source_fini(s->memtables[i]);
        free(s->memtables[i]);
    }
    for (size_t i = 0; i < s->sstable_cap; i++) {
        lsmi_sst_source_fini(s->sstables[i]);
        free(s->sstables[i]);
    }
    free(s->memtables);
    free(s->sstables);
    free(s->sources);
    free(s);
}

static const struct base_source_ops stream_ops = {stream_partition, stream_next, stream_close};

void lsm_read_park(struct base_source *source)
{
    BASE_ASSERT(source->ops == &stream_ops);
    park(BASE_CONTAINER(source, struct lsmi_stream, source));
}

/* Room for `count` source structs of `size` each, zeroed when new. Their addresses stay. */
static bool storage_reserve(void ***items, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return true;
    void **larger = realloc(*items, count * sizeof *larger);
    if (!larger)
        return false;
    *items = larger;
    for (; *cap < count; ++*cap)
        if (!(larger[*cap] = calloc(1, size)))
            return false;
    return true;
}

static int stream_reserve(struct lsmi_stream *s, size_t memtables, size_t sstables, size_t extra,
                          struct base_err *err)
{
    size_t sources = memtables + sstables + extra;
    bool ok =
        storage_reserve((void ***)&s->memtables, &s->memtable_cap, memtables,
                        sizeof **s->memtables) &&
        storage_reserve((void ***)&s->sstables, &s->sstable_cap, sstables, sizeof **s->sstables);
    if (ok && sources > s->source_cap) {
        struct base_source **larger = realloc(s->sources, sources * sizeof *larger);
        ok = larger != NULL;
        if (ok) {
            s->sources = larger;
            s->source_cap = sources;
        }
    }
    return ok ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "read: out of memory");
}

/* Can the SSTable hold anything of the command? */
static bool sstable_matters(struct lsm_sstable *sst, const struct base_read *cmd)
{
    if (cmd->pkey.len)
        return lsmi_sst_may_contain(sst, cmd->pkey);
    const struct lsm_sstable_info *info = lsmi_sst_info(sst);
    if (info->token_max <= cmd->token_after || info->token_min > cmd->token_upto)
        return false;
    return !cmd->start_pkey.len || base_slice_compare(lsmi_sst_pkey_max(sst), cmd->start_pkey) >= 0;
}

/* Take a source over, under the table's floor if it may have something as old as that; closed on
 * failure. */
static int source_add(struct lsmi_stream *s, struct base_source *source, int64_t ts_min,
                      struct base_err *err)
{
    if (!base_deletion_is_none(s->view->floor) && ts_min <= s->view->floor.ts) {
        struct floored *f = malloc(sizeof *f);
        if (!f) {
            source->ops->close(source);
            return base_err_set(err, BASE_E_NOMEM, "read: out of memory");
        }
        *f = (struct floored){{&floored_ops}, source, s->view->floor};
        source = &f->source;
    }
    s->sources[s->source_count++] = source;
    return BASE_OK;
}

static int add_sstable(struct lsmi_stream *s, size_t *used, struct lsm_sstable *sst,
                       const struct base_read *cmd, struct base_err *err)
{
    struct lsmi_sst_source *src = s->sstables[*used];
    int rc = lsmi_sst_source_init(src, sst, cmd, err);
    if (rc != BASE_OK)
        return rc;
    ++*used;
    return source_add(s, &src->source, lsmi_sst_info(sst)->ts_min, err);
}

/* Choose and position this read's sources. On failure those that were opened are in s->sources. */
static int sources_open(struct lsmi_stream *s, const struct base_read *cmd,
                        const uint64_t (*seq)[LSMI_SHARDS_MAX], struct base_err *err)
{
    struct lsmi_view *view = s->view;
    size_t used = 0;
    for (size_t i = 0; i < view->memtable_count; i++) {
        if (lsmi_memtable_size(view->memtables[i]) == 0)
            continue;
        struct lsmi_mt_source *src = s->memtables[used];
        if (!lsmi_mt_source_init_at(src, view->memtables[i], cmd, view->floor, seq ? seq[i] : NULL))
            continue;
        used++;
        s->sources[s->source_count++] = &src->source;
    }
    used = 0;
    if (cmd->pkey.len && view->sstable_count > 1)
        for (size_t i = 0; i < view->sstable_count; i++) /* wait for all filters' lines at once */
            lsmi_sst_prefetch_filter(view->sstables[i], cmd->pkey);
    for (size_t i = 0; i < view->sstable_count; i++) {
        if (!sstable_matters(view->sstables[i], cmd))
            continue;
        int rc = add_sstable(s, &used, view->sstables[i], cmd, err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static void close_all(struct base_source *const *sources, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sources[i]->ops->close(sources[i]);
}

int lsmi_stream_fill(struct lsmi_stream *s, const struct base_read *cmd,
                     const uint64_t (*seq)[LSMI_SHARDS_MAX], struct base_source *const *extra,
                     size_t extra_count, struct base_err *err)
{
    BASE_ASSERT(s->view && s->source_count == 0);
    int rc = stream_reserve(s, s->view->memtable_count, s->view->sstable_count, extra_count, err);
    if (rc == BASE_OK)
        rc = sources_open(s, cmd, seq, err);
    size_t taken = 0;
    for (; rc == BASE_OK && taken < extra_count; taken++)
        rc = source_add(s, extra[taken], INT64_MIN, err);
    if (rc != BASE_OK) {
        close_all(s->sources, s->source_count);
        close_all(extra + taken, extra_count - taken);
        s->source_count = 0;
        return rc;
    }
    rc = s->merge ? base_merge_reopen(s->merge, s->sources, s->source_count, &s->options, err)
                  : base_merge_open(s->sources, s->source_count, &s->options, &s->merge, err);
    if (rc != BASE_OK)
        s->source_count = 0; /* the merge has closed them */
    return rc;
}

/* The stream whose memory is used again, or a new one. */
static struct lsmi_stream *stream_take(struct base_source *reuse)
{
    if (reuse) {
        BASE_ASSERT(reuse->ops == &stream_ops);
        struct lsmi_stream *s = BASE_CONTAINER(reuse, struct lsmi_stream, source);
        park(s);
        return s;
    }
    struct lsmi_stream *s = calloc(1, sizeof *s);
    if (s)
        s->source.ops = &stream_ops;
    return s;
}

int lsm_read(struct lsm_table *table, const struct base_read *cmd, bool keep_tombstones,
             struct base_source *const *extra, size_t extra_count, struct base_source *reuse,
             struct base_source **out, struct base_err *err)
{
    *out = NULL;
    struct lsmi_stream *s = stream_take(reuse);
    if (!s) {
        close_all(extra, extra_count);
        return base_err_set(err, BASE_E_NOMEM, "read: out of memory");
    }
    s->store = table->store;
    atomic_fetch_add_explicit(&s->store->open_reads, 1, memory_order_relaxed);
    struct lsmi_desc *indexed = NULL;
    pthread_mutex_lock(&table->lock);
    s->view = table->view;
    atomic_fetch_add_explicit(&s->view->refs, 1, memory_order_relaxed);
    int32_t gc_grace_s = table->desc->desc.gc_grace_s;
    if (BASE_UNLIKELY(cmd->filter_count && table->desc->desc.indexer && !cmd->no_index &&
                      !keep_tombstones && !extra_count)) {
        indexed = table->desc;
        atomic_fetch_add(&indexed->refs, 1);
    }
    pthread_mutex_unlock(&table->lock);
    atomic_fetch_add_explicit(&table->reads, 1, memory_order_relaxed);
    /* Everything the table has is in this merge, so what is past its grace may go; but for an
     * overlay's sake nothing that a replica still needs. */
    s->options = (struct base_merge_options){
        .reversed = cmd->reversed,
        .keep_tombstones = keep_tombstones,
        .purge = {.now_s = cmd->now_s,
                  .gc_before_s = cmd->now_s - gc_grace_s,
                  .purgeable_ts = INT64_MAX,
                  .live_only = !keep_tombstones},
    };
    int rc = BASE_OK;
    if (BASE_UNLIKELY(cmd->places.len && !extra_count))
        rc = lsmi_index_read_open(table, s, NULL, cmd, &s->indexed, err);
    else if (indexed)
        rc = lsmi_index_read_open(table, s, indexed, cmd, &s->indexed, err);
    lsmi_desc_release(indexed);
    if (rc == BASE_OK && !s->indexed)
        rc = lsmi_stream_fill(s, cmd, NULL, extra, extra_count, err);
    if (rc != BASE_OK) {
        stream_close(&s->source);
        return rc;
    }
    *out = &s->source;
    return BASE_OK;
}
