/* One compaction: several SSTables of a table merged into a new one, in steps.
 *
 * The merge (base/stream.h) reconciles and purges; after it come what only a compaction does: cells
 * of columns that were dropped after they were written, and what a truncation has hidden, go for
 * good.
 *
 * Invariants:
 *  1. The inputs are only read. Until the last step succeeds nothing but the output file exists,
 *     and close without it removes the file: a compaction that stops half-way never was.
 *  2. Memory is one window an input, one block and filter of the output, whatever the data's
 *     size. */
#include "lsm/index.h"
#include "lsm/sst_private.h"

struct lsmi_compaction {
    struct lsmi_sst_writer *writer; /* NULL when done */
    struct base_source *merge;
    struct lsmi_sst_source *sources; /* input_count */
    size_t input_count;
    struct base_read all;
    /* names and types not copied: only ids and times are used */
    struct base_dropped_column *dropped;
    size_t dropped_count;
    int64_t truncated_us; /* INT64_MIN: nothing in the inputs is under a truncation */
    struct lsmi_index_build *index;
    bool in_partition, ended; /* ended: only the indexes, then the writer are to be finished */
    struct base_buf pruned, static_pruned, kept;
    uint64_t size_bytes; /* of the inputs' data sections */
    struct lsm_sstable_info info;
};

/* What goes besides merging. */

static struct base_deletion after_truncation(const struct lsmi_compaction *c,
                                             struct base_deletion d)
{
    return d.ts <= c->truncated_us ? BASE_DELETION_NONE : d;
}

static bool is_dropped(const struct lsmi_compaction *c, const struct base_cell *cell)
{
    for (size_t i = 0; i < c->dropped_count; i++)
        if (c->dropped[i].id == cell->column)
            return cell->ts <= c->dropped[i].dropped_us;
    return false;
}

/* How many of the row's cells belong to dropped columns; -1: damaged. */
static int count_dropped(const struct lsmi_compaction *c, const struct base_row *row)
{
    struct base_cells it = base_cells_begin(row);
    struct base_cell cell;
    int more, n = 0;
    while ((more = base_cells_next(&it, &cell)) > 0)
        n += is_dropped(c, &cell);
    return more < 0 ? -1 : n;
}

/* Append the row without them; nothing when nothing is left. */
static int without_dropped(const struct lsmi_compaction *c, const struct base_row *row,
                           struct base_buf *out)
{
    struct base_row_builder b;
    struct base_cells it = base_cells_begin(row);
    struct base_cell cell;
    int rc = base_row_begin(&b, out, row->row_ts), more = 0;
    if (!rc && (row->flags & BASE_ROW_LIVENESS))
        rc = base_row_put_liveness(&b, row->ttl, row->expires_s);
    if (!rc && !base_deletion_is_none(row->deletion))
        rc = base_row_put_deletion(&b, row->deletion);
    if (!rc && row->originals.len)
        rc = base_row_put_originals(&b, row->originals);
    while (!rc && (more = base_cells_next(&it, &cell)) > 0)
        if (!is_dropped(c, &cell))
            rc = base_row_put_cell(&b, &cell);
    if (!rc && more < 0)
        rc = BASE_E_CORRUPT;
    if (!rc)
        base_row_end(&b);
    return rc;
}

/* Prune a merged row. *row becomes what is left, in `out` or as it was; empty when nothing is. */
static int prune(struct lsmi_compaction *c, struct base_slice *row, struct base_buf *out)
{
    struct base_row decoded;
    int rc;
    base_buf_reset(out);
    if (c->truncated_us != INT64_MIN && row->len) {
        struct base_deletion covering = {c->truncated_us, 0};
        base_buf_reset(&c->kept);
        if ((rc = base_row_merge(row, 1, covering, &c->kept)))
            return rc;
        if ((rc = base_buf_put_slice(out, base_buf_view(&c->kept))))
            return rc;
        *row = base_buf_view(out);
    }
    if (c->dropped_count == 0 || row->len == 0)
        return BASE_OK;
    if (!base_row_decode(*row, &decoded))
        return BASE_E_CORRUPT;
    int dropped = count_dropped(c, &decoded);
    if (dropped <= 0)
        return dropped < 0 ? BASE_E_CORRUPT : BASE_OK;
    base_buf_reset(&c->kept);
    if ((rc = without_dropped(c, &decoded, &c->kept)))
        return rc;
    base_buf_reset(out);
    if ((rc = base_buf_put_slice(out, base_buf_view(&c->kept))))
        return rc;
    *row = base_buf_view(out);
    return BASE_OK;
}

/* Steps. */

static int failed(int rc, struct base_err *err)
{
    return base_err_set(err, rc, "compaction: %s", base_err_words(rc));
}

/* The next partition; *end when there is none. */
static int take_partition(struct lsmi_compaction *c, size_t *moved, bool *end, struct base_err *err)
{
    struct base_partition p;
    int rc = c->merge->ops->partition(c->merge, &p, err);
    if (rc)
        return rc;
    *end = p.pkey.len == 0;
    if (*end)
        return BASE_OK;
    *moved += p.pkey.len + p.static_row.len;
    p.deletion = after_truncation(c, p.deletion);
    if ((rc = prune(c, &p.static_row, &c->static_pruned)))
        return failed(rc, err);
    c->in_partition = true;
    if (c->index && (rc = lsmi_index_build_partition(c->index, &p, err)))
        return rc;
    return lsmi_sst_writer_partition(c->writer, &p, err);
}

static int take_item(struct lsmi_compaction *c, size_t *moved, struct base_err *err)
{
    struct base_item item;
    int rc = c->merge->ops->next(c->merge, &item, err);
    if (rc)
        return rc;
    *moved += item.ckey.len + item.row.len;
    if (item.kind == BASE_ITEM_END) {
        c->in_partition = false;
        return BASE_OK;
    }
    if (item.kind == BASE_ITEM_MARKER) {
        item.before = after_truncation(c, item.before);
        item.after = after_truncation(c, item.after);
        if (base_deletion_equal(item.before, item.after))
            return BASE_OK;
    } else {
        if ((rc = prune(c, &item.row, &c->pruned)))
            return failed(rc, err);
        if (item.row.len == 0)
            return BASE_OK;
    }
    if (c->index && (rc = lsmi_index_build_item(c->index, &item, err)))
        return rc;
    return lsmi_sst_writer_item(c->writer, &item, err);
}

static int finish(struct lsmi_compaction *c, struct base_err *err)
{
    if (lsmi_sst_writer_is_empty(c->writer)) { /* nothing was left */
        lsmi_sst_writer_abort(c->writer);
        c->writer = NULL;
        return BASE_OK;
    }
    int rc = lsmi_sst_writer_finish(c->writer, &c->info, err);
    if (rc == BASE_OK)
        c->writer = NULL;
    return rc;
}

int lsmi_compaction_step(struct lsmi_compaction *c, size_t step_bytes, bool *done,
                         struct lsm_sstable_info *info, struct base_err *err)
{
    BASE_ASSERT(c->writer);
    size_t moved = 0;
    int rc = BASE_OK;
    *done = false;
    if (!c->ended) {
        while (!rc && !c->ended && moved <= step_bytes)
            rc = c->in_partition ? take_item(c, &moved, err)
                                 : take_partition(c, &moved, &c->ended, err);
        if (rc || !c->ended || c->index) /* indexes are finished in steps of their own */
            return rc;
    } else {
        bool indexed;
        if ((rc = lsmi_index_build_finish(c->index, step_bytes, &indexed, err)) || !indexed)
            return rc;
    }
    if ((rc = finish(c, err)))
        return rc;
    *done = true;
    *info = c->info;
    return BASE_OK;
}

/* Open, close. */

static int open_merge(struct lsmi_compaction *c, const struct lsmi_compaction_config *config,
                      struct base_err *err)
{
    struct base_source **sources = calloc(c->input_count + 1, sizeof *sources);
    if (!sources)
        return failed(BASE_E_NOMEM, err);
    int rc = BASE_OK;
    size_t opened = 0;
    while (!rc && opened < c->input_count) {
        struct lsmi_sst_source *src = &c->sources[opened];
        rc = lsmi_sst_source_init_scan(src, config->inputs[opened], &c->all, err);
        if (!rc)
            sources[opened++] = &src->source;
    }
    if (rc) {
        while (opened > 0) {
            opened--;
            sources[opened]->ops->close(sources[opened]);
        }
    } else {
        struct base_merge_options options = {
            .purge = {.now_s = config->now_s,
                      .gc_before_s = config->gc_before_s,
                      .purgeable_ts = INT64_MAX},
            .keep_tombstones = true,
            .purgeable_ts = config->overlap_ts,
            .ctx = config->ctx,
        };
        rc = base_merge_open(sources, opened, &options, &c->merge, err);
    }
    free(sources);
    return rc;
}

static void look_at_inputs(struct lsmi_compaction *c, const struct lsmi_compaction_config *config,
                           struct lsmi_sst_params *out)
{
    uint64_t partitions = 0;
    int64_t ts_min = INT64_MAX;
    for (size_t i = 0; i < config->input_count; i++) {
        const struct lsm_sstable *sst = config->inputs[i];
        partitions += sst->info.partition_count;
        ts_min = sst->info.ts_min < ts_min ? sst->info.ts_min : ts_min;
        c->size_bytes += sst->footer.index_offset;
    }
    c->truncated_us = ts_min <= config->truncated_us ? config->truncated_us : INT64_MIN;
    if (out->partition_count_hint == 0)
        out->partition_count_hint = partitions;
}

int lsmi_compaction_open(const struct lsmi_compaction_config *config, struct lsmi_compaction **out,
                         struct base_err *err)
{
    *out = NULL;
    struct lsmi_compaction *c = calloc(1, sizeof *c);
    if (!c)
        return failed(BASE_E_NOMEM, err);
    struct lsmi_sst_params params = config->out;
    base_buf_init(&c->pruned, (size_t)1 << 31);
    base_buf_init(&c->static_pruned, (size_t)1 << 31);
    base_buf_init(&c->kept, (size_t)1 << 31);
    c->all = BASE_READ_INIT;
    c->all.slices = base_slices_all;
    c->input_count = config->input_count;
    c->dropped_count = config->dropped_count;
    c->index = config->index;
    c->sources = calloc(config->input_count + 1, sizeof *c->sources);
    c->dropped = calloc(config->dropped_count + 1, sizeof *c->dropped);
    int rc = c->sources && c->dropped ? BASE_OK : failed(BASE_E_NOMEM, err);
    if (!rc) {
        if (config->dropped_count)
            memcpy(c->dropped, config->dropped, config->dropped_count * sizeof *c->dropped);
        look_at_inputs(c, config, &params);
        rc = open_merge(c, config, err);
    }
    if (!rc)
        rc = lsmi_sst_writer_open(&params, &c->writer, err);
    if (rc) {
        lsmi_compaction_close(c);
        return rc;
    }
    *out = c;
    return BASE_OK;
}

uint64_t lsmi_compaction_bytes_moved(const struct lsmi_compaction *c)
{
    uint64_t moved = 0;
    for (size_t i = 0; i < c->input_count; i++)
        moved += lsmi_sst_source_position(&c->sources[i]);
    return moved;
}

double lsmi_compaction_fraction(const struct lsmi_compaction *c)
{
    if (!c->writer || c->size_bytes == 0)
        return 1;
    return (double)lsmi_compaction_bytes_moved(c) / (double)c->size_bytes;
}

void lsmi_compaction_close(struct lsmi_compaction *c)
{
    if (!c)
        return;
    if (c->merge)
        c->merge->ops->close(c->merge); /* closes the sources */
    for (size_t i = 0; c->sources && i < c->input_count; i++)
        lsmi_sst_source_fini(&c->sources[i]);
    lsmi_sst_writer_abort(c->writer);
    base_buf_fini(&c->pruned);
    base_buf_fini(&c->static_pruned);
    base_buf_fini(&c->kept);
    free(c->sources);
    free(c->dropped);
    free(c);
}
