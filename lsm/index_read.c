/* Reading by an index: the stream of the rows that it names (lsm/lsm.h).
 *
 * Which index: of those that serve one of the command's filters the one that costs least: what it
 * finds, counted or estimated, and what is to be looked through where it is not built yet; none, if
 * that is more than half of the table. What it names is read from the whole table, merged, a
 * partition at a time: so of a row everything is there wherever its cells lie, and what the index
 * has in vain reads as what it is, or as nothing.
 *
 * 1. The view is pinned and the memtables' numbers are noted when the stream is opened: every part
 *    is read as of that moment. A memtable's tree has no versions, but all keys of what is seen;
 *    more are harmless.
 * 2. Places are ascending, so partitions are. A partition's rows are read by slices of ROWS at
 *    most, one after the other; backwards, where all places of the partition must be known first,
 *    at most ROWS_REVERSED are kept, past which the whole partition is read.
 * 3. Rows are the command's: of its tokens, its partition, its slices. */
#include "lsm/read_private.h"

#include "base/key.h"

enum { ROWS = 64, ROWS_REVERSED = 4096 };

struct lsmi_index_read {
    const struct base_read *cmd;
    uint64_t (*seq)[LSMI_SHARDS_MAX]; /* of the view's memtables */
    struct base_indexer *indexer;     /* of the candidates, and what they look for: */
    struct base_buf term;
    struct lsmi_candidates *candidates;
    struct lsmi_place next; /* the next place, in next_buf */
    struct base_buf next_buf;
    bool has_next, ended;
    /* The partition under way: */
    struct base_read sub;
    struct base_buf pkey, static_row, keys; /* keys: of the slices */
    struct base_range *ranges;
    size_t range_count, range_cap;
    size_t *offsets; /* of the keys, and their lengths: two a range */
    bool in_partition;
    bool whole; /* all of its rows */
    bool many;  /* the merge has partitions of one token */
};

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "read by index: out of memory");
}

/* Choosing. */

/* How much of the view has the index, and how much has not. */
struct built {
    uint64_t bytes, missing_bytes, missing_rows;
};

static struct built how_built(const struct lsmi_view *view, uint32_t index_id)
{
    struct built built = {0};
    for (size_t i = 0; i < view->memtable_count; i++) {
        struct lsmi_memtable *mt = view->memtables[i];
        if (lsmi_indexer_has(mt->indexer, index_id))
            built.bytes += lsmi_memtable_size(mt);
        else /* it is on its way to an SSTable: its rows are not worth counting */
            built.missing_bytes += lsmi_memtable_size(mt);
    }
    for (size_t i = 0; i < view->sstable_count; i++) {
        const struct lsm_sstable_info *info = lsmi_sst_info(view->sstables[i]);
        if (lsmi_component_is_there(view->sstables[i], index_id)) {
            built.bytes += info->file_size;
        } else {
            built.missing_bytes += info->file_size;
            built.missing_rows += info->row_count + info->partition_count;
        }
    }
    return built;
}

static void damaged(void *ctx, struct lsm_sstable *sst, const struct lsm_sstable *component)
{
    lsmi_index_damaged(ctx, sst, component);
}

static struct lsmi_candidates_config
config_of(struct lsm_table *table, const struct lsmi_view *view,
          const uint64_t (*seq)[LSMI_SHARDS_MAX], const struct base_read *cmd,
          struct base_indexer *indexer, size_t index, struct base_slice term)
{
    return (struct lsmi_candidates_config){
        .memtables = view->memtables,
        .seq = seq,
        .memtable_count = view->memtable_count,
        .sstables = view->sstables,
        .sstable_count = view->sstable_count,
        .indexer = indexer,
        .index = index,
        .term = term,
        .cmd = cmd,
        .damaged = damaged,
        .ctx = table,
    };
}

/* What it takes to read by the index, about, in rows: those that it finds, and those looked through
 * where it is missing, which cost less. UINT64_MAX: it is not to be read by. */
static int cost_of(const struct lsmi_candidates_config *config, const struct lsmi_view *view,
                   bool estimate, uint64_t *cost, struct base_err *err)
{
    uint32_t id = base_indexer_id(config->indexer, config->index);
    struct built built = how_built(view, id);
    *cost = UINT64_MAX;
    if (config->cmd->pkey.len && base_indexer_of_partition(config->indexer, config->index))
        return BASE_OK; /* it would find what is known */
    if (built.missing_bytes > built.bytes)
        return BASE_OK;
    *cost = built.missing_rows / LSMI_INDEX_SCAN_VAIN;
    if (!estimate)
        return BASE_OK;
    uint64_t count;
    int rc = lsmi_candidates_estimate(config, &count, err);
    if (rc == BASE_OK && built.missing_bytes) /* as densely in what is missing */
        count += (uint64_t)((double)count * (double)built.missing_bytes / (double)built.bytes);
    *cost += count;
    return rc;
}

/* The filter to read by: its term (in `best`) and index. SIZE_MAX: none. */
static int choose(struct lsm_table *table, const struct lsmi_stream *s,
                  const struct lsmi_index_read *r, struct base_indexer *indexer,
                  struct base_buf *best, size_t *best_index, struct base_err *err)
{
    const struct base_read *cmd = r->cmd;
    struct base_buf term;
    uint64_t best_cost = UINT64_MAX;
    int rc = BASE_OK;
    *best_index = SIZE_MAX;
    base_buf_init(&term, (size_t)1 << 30);
    for (size_t i = 0; i < cmd->filter_count && rc == BASE_OK; i++) {
        size_t index;
        uint64_t cost;
        base_buf_reset(&term);
        if (!base_indexer_lookup(indexer, &cmd->filters[i], &index, &term))
            continue;
        struct lsmi_candidates_config config =
            config_of(table, s->view, NULL, cmd, indexer, index, base_buf_view(&term));
        rc = cost_of(&config, s->view, cmd->filter_count > 1, &cost, err);
        if (rc == BASE_OK && cost < best_cost) {
            best_cost = cost;
            *best_index = index;
            base_buf_reset(best);
            if (base_buf_put_slice(best, base_buf_view(&term)) != BASE_OK)
                rc = no_memory(err);
        }
    }
    base_buf_fini(&term);
    return rc;
}

int lsm_index_counts(struct lsm_table *table, const struct base_read *cmd, uint64_t *counts,
                     struct base_err *err)
{
    struct lsmi_desc *desc = lsmi_desc_acquire(table);
    struct lsmi_view *view = lsmi_view_acquire(table);
    struct base_indexer *indexer = desc->desc.indexer;
    bool nothing =
        !cmd->pkey.len && (cmd->token_after == INT64_MAX || cmd->token_after >= cmd->token_upto);
    struct base_buf term;
    int rc = BASE_OK;
    base_buf_init(&term, (size_t)1 << 30);
    for (size_t i = 0; i < cmd->filter_count; i++) {
        size_t index;
        counts[i] = UINT64_MAX;
        base_buf_reset(&term);
        if (rc != BASE_OK || nothing || !indexer ||
            !base_indexer_lookup(indexer, &cmd->filters[i], &index, &term))
            continue;
        struct lsmi_candidates_config config =
            config_of(table, view, NULL, cmd, indexer, index, base_buf_view(&term));
        rc = cost_of(&config, view, true, &counts[i], err);
    }
    base_buf_fini(&term);
    lsmi_view_release(view);
    lsmi_desc_release(desc);
    return rc;
}

static int note_seq(struct lsmi_index_read *r, const struct lsmi_view *view)
{
    r->seq = malloc(view->memtable_count * sizeof *r->seq);
    if (!r->seq)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < view->memtable_count; i++)
        lsmi_memtable_seq(view->memtables[i], r->seq[i]);
    return BASE_OK;
}

/* `desc` NULL: the command names its places. */
int lsmi_index_read_open(struct lsm_table *table, struct lsmi_stream *s, struct lsmi_desc *desc,
                         const struct base_read *cmd, struct lsmi_index_read **out,
                         struct base_err *err)
{
    struct base_indexer *indexer = desc ? desc->desc.indexer : NULL;
    size_t index = SIZE_MAX;
    *out = NULL;
    if (!cmd->pkey.len && (cmd->token_after == INT64_MAX || cmd->token_after >= cmd->token_upto))
        return BASE_OK; /* there is nothing to find */
    struct lsmi_index_read *r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(err);
    r->cmd = cmd;
    base_buf_init(&r->next_buf, (size_t)1 << 20);
    base_buf_init(&r->pkey, (size_t)1 << 20);
    base_buf_init(&r->static_row, (size_t)1 << 31);
    base_buf_init(&r->keys, (size_t)1 << 30);
    base_buf_init(&r->term, (size_t)1 << 20);
    int rc = note_seq(r, s->view);
    if (rc != BASE_OK)
        no_memory(err);
    if (rc == BASE_OK && !indexer)
        rc = lsmi_candidates_of(cmd, &r->candidates, err);
    else if (rc == BASE_OK)
        rc = choose(table, s, r, indexer, &r->term, &index, err);
    if (rc == BASE_OK && indexer && index != SIZE_MAX) {
        r->indexer = base_indexer_acquire(indexer);
        struct lsmi_candidates_config config =
            config_of(table, s->view, (const uint64_t(*)[LSMI_SHARDS_MAX])r->seq, cmd, indexer,
                      index, base_buf_view(&r->term));
        rc = lsmi_candidates_open(&config, &r->candidates, err);
    }
    if (rc != BASE_OK || !r->candidates) {
        lsmi_index_read_close(r);
        return rc;
    }
    *out = r;
    return BASE_OK;
}

void lsmi_index_read_close(struct lsmi_index_read *r)
{
    if (!r)
        return;
    lsmi_candidates_close(r->candidates);
    base_indexer_release(r->indexer);
    base_buf_fini(&r->term);
    base_buf_fini(&r->next_buf);
    base_buf_fini(&r->pkey);
    base_buf_fini(&r->static_row);
    base_buf_fini(&r->keys);
    free(r->ranges);
    free(r->offsets);
    free(r->seq);
    free(r);
}

/* Places. */

/* Put the next place into r->next, unless it is there. It is copied: the candidates go on while it
 * is looked at. */
static int peek(struct lsmi_index_read *r, struct base_err *err)
{
    if (r->has_next || r->ended)
        return BASE_OK;
    struct lsmi_place place;
    int rc = lsmi_candidates_next(r->candidates, &place, &r->ended, err);
    if (rc != BASE_OK || r->ended)
        return rc;
    base_buf_reset(&r->next_buf);
    rc = base_buf_put_slice(&r->next_buf, place.pkey);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&r->next_buf, place.ckey);
    if (rc != BASE_OK)
        return no_memory(err);
    r->next = (struct lsmi_place){place.token, base_slice(r->next_buf.data, place.pkey.len),
                                  base_slice(r->next_buf.data + place.pkey.len, place.ckey.len)};
    r->has_next = true;
    return BASE_OK;
}

static bool in_slices(const struct base_slices *slices, struct base_slice ckey)
{
    size_t from = 0, upto = slices->count; /* the first whose hi is not below */
    while (from < upto) {
        size_t mid = from + (upto - from) / 2;
        struct base_slice hi = slices->ranges[mid].hi;
        if (hi.len && base_slice_compare(hi, ckey) < 0)
            from = mid + 1;
        else
            upto = mid;
    }
    return from < slices->count &&
           (!slices->ranges[from].lo.len || base_slice_compare(slices->ranges[from].lo, ckey) <= 0);
}

static bool add_range(struct lsmi_index_read *r, struct base_slice ckey)
{
    if (r->range_count == r->range_cap) {
        size_t cap = r->range_cap ? r->range_cap * 2 : ROWS;
        struct base_range *ranges = realloc(r->ranges, cap * sizeof *ranges);
        if (ranges)
            r->ranges = ranges;
        size_t *offsets = realloc(r->offsets, 2 * cap * sizeof *offsets);
        if (offsets)
            r->offsets = offsets;
        if (!ranges || !offsets)
            return false;
        r->range_cap = cap;
    }
    r->offsets[2 * r->range_count] = r->keys.len;
    r->offsets[2 * r->range_count + 1] = ckey.len;
    r->range_count++;
    return base_buf_put_slice(&r->keys, ckey) == BASE_OK;
}

/* Gather the partition's next places (its key is in r->pkey) into ranges; whole when one names the
 * whole partition, or when they are too many to be read backwards. */
static int gather(struct lsmi_index_read *r, struct base_err *err)
{
    size_t max = r->cmd->reversed ? ROWS_REVERSED : ROWS;
    base_buf_reset(&r->keys);
    r->range_count = 0;
    while (!r->whole) {
        int rc = peek(r, err);
        if (rc != BASE_OK)
            return rc;
        if (!r->has_next || !base_slice_equal(r->next.pkey, base_buf_view(&r->pkey)))
            break;
        if (r->range_count == max && !r->cmd->reversed)
            break;
        r->whole = r->next.ckey.len == 0 || r->range_count == max;
        if (!r->whole && in_slices(&r->cmd->slices, r->next.ckey) && !add_range(r, r->next.ckey))
            return no_memory(err);
        r->has_next = false;
    }
    for (size_t i = 0; i < r->range_count; i++) {
        struct base_slice key = {r->keys.data + r->offsets[2 * i], r->offsets[2 * i + 1]};
        r->ranges[i] = (struct base_range){key, key};
    }
    return BASE_OK;
}

/* Leave the partition's, or the token's, other places. */
static int skip(struct lsmi_index_read *r, bool token, int64_t of_token, struct base_err *err)
{
    for (;;) {
        int rc = peek(r, err);
        if (rc != BASE_OK || !r->has_next)
            return rc;
        if (token ? r->next.token != of_token
                  : !base_slice_equal(r->next.pkey, base_buf_view(&r->pkey)))
            return BASE_OK;
        r->has_next = false;
    }
}

/* Partitions. */

static int fill(struct lsmi_index_read *r, struct lsmi_stream *s, struct base_err *err)
{
    lsmi_stream_empty(s);
    return lsmi_stream_fill(s, &r->sub, (const uint64_t(*)[LSMI_SHARDS_MAX])r->seq, NULL, 0, err);
}

/* The head of what the merge has now; copied, for the merge is filled anew while the partition goes
 * on. */
static int take_head(struct lsmi_index_read *r, struct lsmi_stream *s, struct base_partition *out,
                     struct base_err *err)
{
    int rc = s->merge->ops->partition(s->merge, out, err);
    if (rc != BASE_OK || out->pkey.len == 0 || r->many)
        return rc;
    base_buf_reset(&r->static_row);
    if (base_buf_put_slice(&r->static_row, out->static_row) != BASE_OK)
        return no_memory(err);
    out->static_row = base_buf_view(&r->static_row);
    out->pkey = base_buf_view(&r->pkey);
    return BASE_OK;
}

/* Is the place's partition the command's? Keys of one token are not all in its range. */
static bool is_wanted(const struct lsmi_index_read *r, const struct lsmi_place *place)
{
    const struct base_read *cmd = r->cmd;
    if (!place->pkey.len)
        return true;
    if (cmd->pkey.len)
        return base_slice_equal(place->pkey, cmd->pkey);
    return !cmd->start_pkey.len || base_slice_compare(place->pkey, cmd->start_pkey) >= 0;
}

/* All partitions of the token, and none of its other places. */
static int begin_token(struct lsmi_index_read *r, struct lsmi_stream *s, struct base_err *err)
{
    int64_t token = r->next.token;
    r->has_next = false;
    int rc = skip(r, true, token, err);
    if (rc != BASE_OK)
        return rc;
    r->sub = *r->cmd;
    r->sub.filters = NULL;
    r->sub.filter_count = 0;
    if (!r->sub.pkey.len) {
        r->sub.token_after = token - 1;
        r->sub.token_upto = token;
    }
    r->many = true;
    return fill(r, s, err);
}

static int begin_partition(struct lsmi_index_read *r, struct lsmi_stream *s, struct base_err *err)
{
    base_buf_reset(&r->pkey);
    if (base_buf_put_slice(&r->pkey, r->next.pkey) != BASE_OK)
        return no_memory(err);
    r->whole = r->many = false;
    int rc = gather(r, err);
    if (rc == BASE_OK && r->whole)
        rc = skip(r, false, 0, err);
    if (rc != BASE_OK)
        return rc;
    r->sub = *r->cmd;
    r->sub.filters = NULL;
    r->sub.filter_count = 0;
    r->sub.pkey = base_buf_view(&r->pkey);
    if (!r->whole)
        r->sub.slices = (struct base_slices){r->ranges, r->range_count};
    return r->whole || r->range_count ? fill(r, s, err) : BASE_OK;
}

int lsmi_index_read_partition(struct lsmi_index_read *r, struct lsmi_stream *s,
                              struct base_partition *out, struct base_err *err)
{
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    int rc = BASE_OK;
    if (r->in_partition && !r->many)
        rc = skip(r, false, 0, err);
    r->in_partition = false;
    while (rc == BASE_OK) {
        if (r->many) {
            rc = take_head(r, s, out, err);
            r->in_partition = rc == BASE_OK && out->pkey.len > 0;
            if (rc != BASE_OK || r->in_partition)
                return rc;
            r->many = false;
        }
        if ((rc = peek(r, err)) != BASE_OK || !r->has_next)
            return rc;
        if (!is_wanted(r, &r->next)) {
            r->has_next = false;
            continue;
        }
        if (r->next.pkey.len == 0) {
            rc = begin_token(r, s, err);
            continue;
        }
        rc = begin_partition(r, s, err);
        if (rc != BASE_OK || (!r->whole && r->range_count == 0))
            continue;
        rc = take_head(r, s, out, err);
        if (rc == BASE_OK && out->pkey.len == 0) /* nothing of it is left; maybe further on */
            continue;
        r->in_partition = rc == BASE_OK;
        return rc;
    }
    return rc;
}

int lsmi_index_read_next(struct lsmi_index_read *r, struct lsmi_stream *s, struct base_item *out,
                         struct base_err *err)
{
    *out = (struct base_item){.kind = BASE_ITEM_END};
    while (r->in_partition) {
        int rc = s->merge->ops->next(s->merge, out, err);
        if (rc != BASE_OK || out->kind != BASE_ITEM_END)
            return rc;
        if (r->many || r->whole || r->cmd->reversed)
            break;
        rc = gather(r, err); /* the partition's further places */
        if (rc != BASE_OK)
            return rc;
        BASE_ASSERT(!r->whole); /* a place that names all of it comes first */
        if (r->range_count == 0)
            break;
        struct base_partition head;
        r->sub.slices = (struct base_slices){r->ranges, r->range_count};
        rc = fill(r, s, err);
        if (rc == BASE_OK)
            rc = s->merge->ops->partition(s->merge, &head, err);
        if (rc != BASE_OK)
            return rc;
        if (head.pkey.len == 0) /* of these nothing is left */
            lsmi_stream_empty(s);
    }
    r->in_partition = r->in_partition && r->many;
    return BASE_OK;
}
