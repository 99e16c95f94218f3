/* The merge of streams: k sources of partitions into one (base/stream.h).
 *
 * Relies on each source being as stream.h says; what can be seen of the contrary (markers that do
 * not fit each other, a deletion left open at a partition's end, a row that does not decode) is
 * CORRUPT.
 *
 * Two levels of the same queue: inputs by the pkey they stand at, and inside a partition the active
 * inputs by the ckey they stand at. A queue is a sorted array whose top is the next key; equality
 * found when an input is put in is remembered, so no two keys are compared twice. A partition
 * that one input has needs neither queue nor comparison: its rows are handed through.
 *
 * Invariants:
 *  1. `covering` is what deletes rows at the place the stream stands at: the partition deletion or
 *     the strongest of the inputs' open range deletions.
 *  2. An item handed out borrows from inputs in `group` or from `rows_scratch`: they are advanced
 *     and written only when the next item is asked for. The same for partitions and
 *     `static_scratch`.
 *  3. Time (purging) is applied to merged content only.
 *  4. In the steady state nothing is allocated: arrays and scratch buffers only grow. */
#include "base/stream.h"

#define ROW_LEN_MAX ((size_t)1 << 30)
#define ROW_SPECIAL (BASE_ROW_MORTAL | BASE_ROW_DELETION | BASE_ROW_LIVENESS_TTL)

const struct base_slices base_slices_all = {.ranges = &(const struct base_range){{0}, {0}},
                                            .count = 1};

struct input {
    struct base_source *src;
    struct base_partition partition; /* where it stands, pkey empty: at the end */
    struct base_item item;
    struct base_deletion open; /* its range deletion at the place it stands at */
};

/* A place in a queue: the key, and its first eight bytes as a number, which decide most
 * comparisons. */
struct place {
    uint64_t prefix;
    struct base_slice key;
    struct input *input;
    bool ties; /* its key equals that of the place above */
};
struct queue {
    struct place *places; /* the next key is the last */
    size_t count;
};

struct scratch {
    struct base_buf merged, purged;
};

struct merge {
    struct base_source source;
    struct base_merge_options options;
    struct input *inputs;
    size_t input_count, input_cap; /* cap also of the arrays below */
    struct queue partitions, rows;
    struct input **active; /* the inputs that have the current partition */
    size_t active_count;
    struct input **group; /* those whose item was handed out last: to be advanced */
    size_t group_count;
    struct base_slice *versions;
    struct scratch rows_scratch, static_scratch;
    struct base_slice pkey;
    struct base_deletion partition_deletion;
    struct base_deletion open;     /* the inputs' strongest */
    struct base_deletion covering; /* of partition_deletion and open */
    struct base_item first;        /* looked at by merge_partition, to be handed out */
    bool has_first;
    bool at_end; /* the partition has no more items */
    bool purgeable_known;
    int64_t purgeable_ts;
    int failed;
};

/* The queue. */

static inline uint64_t key_prefix(struct base_slice key)
{
    if (BASE_LIKELY(key.len >= 8))
        return base_get_be64(key.data);
    uint8_t bytes[8] = {0};
    if (key.len)
        memcpy(bytes, key.data, key.len);
    return base_get_be64(bytes);
}

static inline int place_compare(const struct place *a, const struct place *b)
{
    if (BASE_LIKELY(a->prefix != b->prefix))
        return a->prefix < b->prefix ? -1 : 1;
    return base_slice_compare(a->key, b->key);
}

/* Most inputs come back next to the top (runs of one input's keys), hence it is compared first. */
static void queue_put(struct queue *q, struct input *input, struct base_slice key, bool descending)
{
    struct place place = {.prefix = key_prefix(key), .key = key, .input = input};
    size_t lo = 0, hi = q->count; /* the place goes to lo..hi: below lo the keys are further away */
    size_t probe = hi - 1;
    while (lo < hi) {
        int c = place_compare(&q->places[probe], &place);
        if (descending)
            c = -c;
        if (c == 0) {
            place.ties = q->places[probe].ties;
            q->places[probe].ties = true;
            lo = hi = probe + 1;
        } else if (c > 0) {
            lo = probe + 1;
        } else {
            hi = probe;
        }
        probe = lo + (hi - lo) / 2;
    }
    if (lo < q->count)
        memmove(q->places + lo + 1, q->places + lo, (q->count - lo) * sizeof *q->places);
    q->places[lo] = place;
    q->count++;
}

/* Take the inputs that stand at the next key; the count, 0 when the queue is empty. */
static size_t queue_take(struct queue *q, struct input **inputs)
{
    size_t n = 0;
    if (q->count == 0)
        return 0;
    do
        inputs[n++] = q->places[--q->count].input;
    while (q->count > 0 && q->places[q->count - 1].ties);
    return n;
}

/* One row. */

/* Asked for once a partition, and only when something might be purged. */
static int64_t merge_purgeable_ts(struct merge *m)
{
    if (!m->options.purgeable_ts)
        return m->options.purge.purgeable_ts;
    if (!m->purgeable_known) {
        m->purgeable_ts = m->options.purgeable_ts(m->options.ctx, m->pkey);
        m->purgeable_known = true;
    }
    return m->purgeable_ts;
}

static bool merge_may_go(struct merge *m, struct base_deletion deletion)
{
    return !base_deletion_is_none(deletion) &&
           (!m->options.keep_tombstones || (deletion.local_s < m->options.purge.gc_before_s &&
                                            deletion.ts < merge_purgeable_ts(m)));
}

/* Reconcile, cover and purge n versions of a row. *out is empty when nothing is left. */
static int resolve_slow(struct merge *m, const struct base_slice *versions, size_t n,
                        struct base_deletion covering, struct scratch *scratch,
                        struct base_slice *out)
{
    struct base_slice row = versions[0];
    *out = (struct base_slice){0};
    if (n > 1 || !base_deletion_is_none(covering)) {
        base_buf_reset(&scratch->merged);
        int rc = base_row_merge(versions, n, covering, &scratch->merged);
        if (rc != BASE_OK || scratch->merged.len == 0)
            return rc;
        row = base_buf_view(&scratch->merged);
    }
    if (row.data[0] & ROW_SPECIAL) {
        struct base_purge purge = m->options.purge;
        purge.live_only = !m->options.keep_tombstones;
        if (!purge.live_only && m->options.purgeable_ts && purge.gc_before_s > 0)
            purge.purgeable_ts = merge_purgeable_ts(m);
        bool changed, live;
        base_buf_reset(&scratch->purged);
        int rc = base_row_purge(row, &purge, &scratch->purged, &changed, &live);
        if (rc != BASE_OK || (purge.live_only && !live))
            return rc;
        if (changed)
            row = base_buf_view(&scratch->purged);
    }
    *out = row;
    return BASE_OK;
}

/* A row of one version that neither a deletion nor time can touch stays as it is. */
static inline bool row_untouched(struct base_slice row, struct base_deletion covering)
{
    if (row.len < BASE_ROW_HEAD_LEN || (row.data[0] & ROW_SPECIAL))
        return false;
    return base_deletion_is_none(covering) ||
           (!(row.data[0] & BASE_ROW_OWN_TS) && (int64_t)base_get_le64(row.data + 1) > covering.ts);
}

static int resolve(struct merge *m, const struct base_slice *versions, size_t n,
                   struct base_deletion covering, struct scratch *scratch, struct base_slice *out)
{
    if (BASE_LIKELY(n == 1 && row_untouched(versions[0], covering))) {
        *out = versions[0];
        return BASE_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (versions[i].len < BASE_ROW_HEAD_LEN) {
            *out = (struct base_slice){0};
            return BASE_E_CORRUPT;
        }
    }
    return resolve_slow(m, versions, n, covering, scratch, out);
}

/* Items of a partition. */

static int merge_fail(struct merge *m, int rc, struct base_item *out)
{
    m->failed = rc;
    *out = (struct base_item){.kind = BASE_ITEM_END};
    return rc;
}

static int merge_damaged(struct merge *m, struct base_item *out, struct base_err *err, int rc,
                         const char *what)
{
    merge_fail(m, rc, out);
    return base_err_set(err, rc, "merge of %zu sources: %s", m->active_count, what);
}

/* The inputs' open deletions after the markers of a group; false when a marker does not fit what is
 * open. */
static bool cross_markers(struct merge *m, struct input *const *group, size_t n)
{
    bool reversed = m->options.reversed;
    for (size_t i = 0; i < n; i++) {
        const struct base_item *item = &group[i]->item;
        if (item->kind != BASE_ITEM_MARKER ||
            !base_deletion_equal(group[i]->open, reversed ? item->after : item->before))
            return false;
        group[i]->open = reversed ? item->before : item->after;
    }
    m->open = BASE_DELETION_NONE;
    for (size_t i = 0; i < m->active_count; i++)
        m->open = base_deletion_max(m->open, m->active[i]->open);
    m->covering = base_deletion_max(m->partition_deletion, m->open);
    return true;
}

/* What a range deletion still says beyond the partition deletion, after purging. */
static struct base_deletion range_visible(struct merge *m, struct base_deletion open)
{
    struct base_deletion over = m->partition_deletion;
    bool beyond = open.ts > over.ts || (open.ts == over.ts && open.local_s > over.local_s);
    return !beyond || merge_may_go(m, open) ? BASE_DELETION_NONE : open;
}

/* False when the marker that stands here after all says nothing. */
static bool marker_visible(struct merge *m, struct base_deletion entered, struct base_slice ckey,
                           struct base_item *out)
{
    if (!m->options.keep_tombstones)
        return false;
    struct base_deletion entering = range_visible(m, entered), leaving = range_visible(m, m->open);
    if (base_deletion_equal(entering, leaving))
        return false;
    bool reversed = m->options.reversed;
    *out = (struct base_item){.kind = BASE_ITEM_MARKER,
                              .ckey = ckey,
                              .before = reversed ? leaving : entering,
                              .after = reversed ? entering : leaving};
    return true;
}

/* The partition that one input has: its items pass, and are looked at only where they must be. */
static int next_single(struct merge *m, struct base_item *out, struct base_err *err)
{
    struct input *input = m->active[0];
    for (;;) {
        int rc = input->src->ops->next(input->src, out, err);
        if (BASE_UNLIKELY(rc != BASE_OK))
            return merge_fail(m, rc, out);
        if (BASE_LIKELY(out->kind == BASE_ITEM_ROW)) {
            if (BASE_LIKELY(row_untouched(out->row, m->covering)))
                return BASE_OK;
            struct base_slice row = out->row;
            rc = resolve(m, &row, 1, m->covering, &m->rows_scratch, &out->row);
            if (rc != BASE_OK)
                return merge_damaged(m, out, err, rc, "a row cannot be read");
            if (out->row.len)
                return BASE_OK;
        } else if (out->kind == BASE_ITEM_MARKER) {
            struct base_deletion entered = m->open;
            input->item = *out;
            if (!cross_markers(m, &input, 1))
                return merge_damaged(m, out, err, BASE_E_CORRUPT,
                                     "a range deletion's markers do not fit");
            if (marker_visible(m, entered, input->item.ckey, out))
                return BASE_OK;
        } else {
            if (!base_deletion_is_none(input->open))
                return merge_damaged(m, out, err, BASE_E_CORRUPT, "a range deletion is not closed");
            m->at_end = true;
            return BASE_OK;
        }
    }
}

/* Let the inputs that were handed out go on, and queue them where they stand then. */
static int advance_group(struct merge *m, struct base_item *out, struct base_err *err)
{
    for (size_t i = 0; i < m->group_count; i++) {
        struct input *input = m->group[i];
        int rc = input->src->ops->next(input->src, &input->item, err);
        if (BASE_UNLIKELY(rc != BASE_OK))
            return merge_fail(m, rc, out);
        if (input->item.kind != BASE_ITEM_END)
            queue_put(&m->rows, input, input->item.ckey, m->options.reversed);
        else if (!base_deletion_is_none(input->open))
            return merge_damaged(m, out, err, BASE_E_CORRUPT, "a range deletion is not closed");
    }
    m->group_count = 0;
    return BASE_OK;
}

static int next_merged(struct merge *m, struct base_item *out, struct base_err *err)
{
    for (;;) {
        int rc = advance_group(m, out, err);
        if (BASE_UNLIKELY(rc != BASE_OK))
            return rc;
        size_t n = m->group_count = queue_take(&m->rows, m->group);
        if (n == 0) {
            m->at_end = true;
            *out = (struct base_item){.kind = BASE_ITEM_END};
            return BASE_OK;
        }
        const struct base_item *item = &m->group[0]->item;
        if (BASE_UNLIKELY(item->kind == BASE_ITEM_MARKER)) {
            struct base_deletion entered = m->open;
            if (!cross_markers(m, m->group, n))
                return merge_damaged(m, out, err, BASE_E_CORRUPT,
                                     "range deletions' markers do not fit");
            if (marker_visible(m, entered, item->ckey, out))
                return BASE_OK;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (m->group[i]->item.kind != BASE_ITEM_ROW)
                return merge_damaged(m, out, err, BASE_E_CORRUPT, "a marker stands at a row's key");
            m->versions[i] = m->group[i]->item.row;
        }
        *out = (struct base_item){.kind = BASE_ITEM_ROW, .ckey = item->ckey};
        rc = resolve(m, m->versions, n, m->covering, &m->rows_scratch, &out->row);
        if (BASE_UNLIKELY(rc != BASE_OK))
            return merge_damaged(m, out, err, rc, "a row cannot be read");
        if (out->row.len)
            return BASE_OK;
    }
}

static int merge_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct merge *m = BASE_CONTAINER(src, struct merge, source);
    if (BASE_UNLIKELY(m->failed)) {
        *out = (struct base_item){.kind = BASE_ITEM_END};
        return base_err_set(err, m->failed, "the stream ended with an earlier error");
    }
    if (BASE_UNLIKELY(m->has_first)) {
        m->has_first = false;
        *out = m->first;
        return BASE_OK;
    }
    if (BASE_UNLIKELY(m->at_end)) {
        *out = (struct base_item){.kind = BASE_ITEM_END};
        return BASE_OK;
    }
    return m->active_count == 1 ? next_single(m, out, err) : next_merged(m, out, err);
}

/* Partitions. */

/* Send the active inputs to their next partitions, and make the inputs of the next one active. */
static int next_active(struct merge *m, struct base_err *err)
{
    for (size_t i = 0; i < m->active_count; i++) {
        struct input *input = m->active[i];
        int rc = input->src->ops->partition(input->src, &input->partition, err);
        if (BASE_UNLIKELY(rc != BASE_OK))
            return rc;
        if (input->partition.pkey.len && m->input_count > 1)
            queue_put(&m->partitions, input, input->partition.pkey, false);
    }
    if (m->input_count == 1)
        m->active_count = m->inputs[0].partition.pkey.len ? 1 : 0;
    else
        m->active_count = queue_take(&m->partitions, m->active);
    return BASE_OK;
}

static int merge_static(struct merge *m, struct base_partition *out, struct base_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < m->active_count; i++) {
        if (m->active[i]->partition.static_row.len)
            m->versions[n++] = m->active[i]->partition.static_row;
    }
    if (BASE_LIKELY(n == 0))
        return BASE_OK;
    int rc =
        resolve(m, m->versions, n, m->partition_deletion, &m->static_scratch, &out->static_row);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "merge of %zu sources: a static row cannot be read", n);
    return BASE_OK;
}

/* The head of the partition that the active inputs stand at. */
static int enter_partition(struct merge *m, struct base_partition *out, struct base_err *err)
{
    *out = (struct base_partition){.pkey = m->active[0]->partition.pkey,
                                   .deletion = BASE_DELETION_NONE};
    m->pkey = out->pkey;
    m->partition_deletion = BASE_DELETION_NONE;
    m->purgeable_known = m->has_first = m->at_end = false;
    m->rows.count = 0;
    m->group_count = 0;
    for (size_t i = 0; i < m->active_count; i++) {
        struct input *input = m->active[i];
        m->partition_deletion = base_deletion_max(m->partition_deletion, input->partition.deletion);
        input->open = BASE_DELETION_NONE;
        m->group[m->group_count++] = input; /* all of them have to be asked for their first item */
    }
    m->open = BASE_DELETION_NONE;
    m->covering = m->partition_deletion;
    if (m->options.keep_tombstones && !merge_may_go(m, m->partition_deletion))
        out->deletion = m->partition_deletion;
    return merge_static(m, out, err);
}

static int merge_partition(struct base_source *src, struct base_partition *out,
                           struct base_err *err)
{
    struct merge *m = BASE_CONTAINER(src, struct merge, source);
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    if (m->failed)
        return base_err_set(err, m->failed, "the stream ended with an earlier error");
    for (;;) {
        int rc = next_active(m, err);
        if (rc == BASE_OK && m->active_count == 0) {
            m->at_end = true;
            m->has_first = false;
            return BASE_OK;
        }
        if (rc == BASE_OK)
            rc = enter_partition(m, out, err);
        bool empty = m->options.keep_tombstones && base_deletion_is_none(out->deletion) &&
                     out->static_row.len == 0;
        if (rc == BASE_OK && empty) { /* then it takes an item to be a partition */
            rc = merge_next(src, &m->first, err);
            m->has_first = empty = rc == BASE_OK && m->first.kind != BASE_ITEM_END;
            empty = !empty;
        }
        if (rc != BASE_OK) {
            m->failed = rc;
            *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
            return rc;
        }
        if (!empty)
            return BASE_OK;
        *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    }
}

/* Life. */

static void close_sources(struct base_source *const *sources, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sources[i]->ops->close(sources[i]);
}

static void close_inputs(struct merge *m)
{
    for (size_t i = 0; i < m->input_count; i++)
        m->inputs[i].src->ops->close(m->inputs[i].src);
    m->input_count = m->active_count = m->group_count = 0;
    m->partitions.count = m->rows.count = 0;
}

static void merge_close(struct base_source *src)
{
    struct merge *m = BASE_CONTAINER(src, struct merge, source);
    close_inputs(m);
    free(m->inputs);
    free(m->partitions.places);
    free(m->rows.places);
    free(m->active);
    free(m->group);
    free(m->versions);
    base_buf_fini(&m->rows_scratch.merged);
    base_buf_fini(&m->rows_scratch.purged);
    base_buf_fini(&m->static_scratch.merged);
    base_buf_fini(&m->static_scratch.purged);
    free(m);
}

static const struct base_source_ops merge_ops = {merge_partition, merge_next, merge_close};

/* Room for n inputs in every array. The arrays are empty when this is called. */
static bool merge_reserve(struct merge *m, size_t n)
{
    if (n <= m->input_cap)
        return true;
    size_t cap = n < 8 ? 8 : n + n / 2;
    void **arrays[] = {(void **)&m->inputs,      (void **)&m->partitions.places,
                       (void **)&m->rows.places, (void **)&m->active,
                       (void **)&m->group,       (void **)&m->versions};
    const size_t sizes[] = {sizeof *m->inputs,      sizeof *m->partitions.places,
                            sizeof *m->rows.places, sizeof *m->active,
                            sizeof *m->group,       sizeof *m->versions};
    m->input_cap = 0; /* until all of them are there */
    for (size_t i = 0; i < BASE_COUNT(arrays); i++) {
        free(*arrays[i]);
        *arrays[i] = calloc(cap, sizes[i]);
        if (!*arrays[i])
            return false;
    }
    m->input_cap = cap;
    return true;
}

int base_merge_reopen(struct base_source *merge, struct base_source *const *sources, size_t n,
                      const struct base_merge_options *options, struct base_err *err)
{
    BASE_ASSERT(merge->ops == &merge_ops);
    struct merge *m = BASE_CONTAINER(merge, struct merge, source);
    close_inputs(m);
    m->failed = BASE_OK;
    m->at_end = true;
    m->has_first = false;
    if (!merge_reserve(m, n)) {
        close_sources(sources, n);
        return base_err_set(err, BASE_E_NOMEM, "merge of %zu sources", n);
    }
    m->options = *options;
    m->input_count = m->active_count = n;
    for (size_t i = 0; i < n; i++) {
        m->inputs[i].src = sources[i];
        m->active[i] = &m->inputs[i]; /* all of them have to be asked for their first partition */
    }
    return BASE_OK;
}

int base_merge_open(struct base_source *const *sources, size_t n,
                    const struct base_merge_options *options, struct base_source **out,
                    struct base_err *err)
{
    *out = NULL;
    struct merge *m = calloc(1, sizeof *m);
    if (!m) {
        close_sources(sources, n);
        return base_err_set(err, BASE_E_NOMEM, "merge of %zu sources", n);
    }
    m->source.ops = &merge_ops;
    base_buf_init(&m->rows_scratch.merged, ROW_LEN_MAX);
    base_buf_init(&m->rows_scratch.purged, ROW_LEN_MAX);
    base_buf_init(&m->static_scratch.merged, ROW_LEN_MAX);
    base_buf_init(&m->static_scratch.purged, ROW_LEN_MAX);
    int rc = base_merge_reopen(&m->source, sources, n, options, err);
    if (rc != BASE_OK)
        merge_close(&m->source);
    else
        *out = &m->source;
    return rc;
}
