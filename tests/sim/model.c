/* The naive model: arrays of versions, evaluated by looking at all of them.
 *
 * Invariants: partitions are sorted by pkey and rows by ckey; versions are in the order of their
 * seq; the journal lists the partitions touched since the floor, so that a rollback need not
 * look elsewhere. Only one thing is ever thrown away: a version of a cell that a surely kept
 * version of the same cell with a greater timestamp beats (whatever deletes the greater one
 * deletes the smaller too). */
#include "tests/sim/model.h"

#include <inttypes.h>

#define PRUNE_AT 48 /* versions in a row, ranges in a partition: then we look for beaten ones */

struct m_cell {
    struct w_cell cell; /* path and value are owned */
    uint64_t seq;
};
struct m_live {
    int64_t ts;
    int32_t ttl;
    int64_t expires_s;
    uint64_t seq;
};
struct m_deletion {
    struct base_deletion d;
    struct base_slice lo, hi; /* of a range; owned */
    uint64_t seq;
};
#define LIST(type)                                                                                 \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count, cap;                                                                         \
    }
struct m_row {
    struct base_slice ckey;
    LIST(struct m_live) lives;
    LIST(struct m_deletion) deletions;
    LIST(struct m_cell) cells;
    size_t prune_at;
};
struct m_partition {
    struct base_slice pkey;
    LIST(struct m_deletion) deletions;
    LIST(struct m_deletion) ranges;
    struct m_row static_row;
    LIST(struct m_row *) rows;
    size_t prune_at;
};
struct m_table {
    struct base_uuid id;
    LIST(struct m_partition *) partitions;
    struct base_dropped_column dropped[16];
    size_t dropped_count;
    int64_t truncated_us;
};
struct m_touch {
    uint64_t seq;
    struct m_table *table;
    struct m_partition *partition;
};
struct model {
    LIST(struct m_table *) tables;
    LIST(struct m_touch) journal;
    uint64_t floor;
    enum canary canary;
};

static void *grown(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 4;
    void *p = realloc(items, *cap * size);
    BASE_ASSERT(p);
    return p;
}
#define PUSH(list, ...)                                                                            \
    ((list).items = grown((list).items, (list).count, &(list).cap, sizeof *(list).items),          \
     (list).items[(list).count++] = (__VA_ARGS__))
#define INSERT(list, at, value)                                                                    \
    ((list).items = grown((list).items, (list).count, &(list).cap, sizeof *(list).items),          \
     memmove((list).items + (at) + 1, (list).items + (at),                                         \
             ((list).count++ - (at)) * sizeof *(list).items),                                      \
     (list).items[at] = (value))

static struct base_slice own(struct base_slice s)
{
    uint8_t *copy = malloc(s.len + 1);
    BASE_ASSERT(copy);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return base_slice(copy, s.len);
}

static void disown(struct base_slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* Tables and partitions. */

static void row_fini(struct m_row *row)
{
    for (size_t i = 0; i < row->cells.count; i++) {
        disown(row->cells.items[i].cell.path);
        disown(row->cells.items[i].cell.value);
    }
    free(row->cells.items);
    free(row->lives.items);
    free(row->deletions.items);
    disown(row->ckey);
}

static void partition_free(struct m_partition *p)
{
    for (size_t i = 0; i < p->rows.count; i++) {
        row_fini(p->rows.items[i]);
        free(p->rows.items[i]);
    }
    for (size_t i = 0; i < p->ranges.count; i++) {
        disown(p->ranges.items[i].lo);
        disown(p->ranges.items[i].hi);
    }
    row_fini(&p->static_row);
    free(p->rows.items);
    free(p->ranges.items);
    free(p->deletions.items);
    disown(p->pkey);
    free(p);
}

struct model *model_new(enum canary canary)
{
    struct model *model = calloc(1, sizeof *model);
    BASE_ASSERT(model);
    model->canary = canary;
    return model;
}

void model_free(struct model *model)
{
    while (model->tables.count)
        model_table_remove(model, model->tables.items[0]);
    free(model->tables.items);
    free(model->journal.items);
    free(model);
}

struct m_table *model_table_add(struct model *model, struct base_uuid id)
{
    struct m_table *table = calloc(1, sizeof *table);
    BASE_ASSERT(table);
    table->id = id;
    table->truncated_us = INT64_MIN;
    PUSH(model->tables, table);
    return table;
}

static void journal_forget(struct model *model, const struct m_table *table)
{
    size_t kept = 0;
    for (size_t i = 0; i < model->journal.count; i++)
        if (model->journal.items[i].table != table)
            model->journal.items[kept++] = model->journal.items[i];
    model->journal.count = kept;
}

static void table_clear(struct m_table *table)
{
    for (size_t i = 0; i < table->partitions.count; i++)
        partition_free(table->partitions.items[i]);
    table->partitions.count = 0;
}

void model_table_remove(struct model *model, struct m_table *table)
{
    size_t i = 0;
    while (model->tables.items[i] != table)
        i++;
    model->tables.items[i] = model->tables.items[--model->tables.count];
    journal_forget(model, table);
    table_clear(table);
    free(table->partitions.items);
    free(table);
}

struct m_table *model_table_find(struct model *model, struct base_uuid id)
{
    for (size_t i = 0; i < model->tables.count; i++)
        if (base_uuid_equal(model->tables.items[i]->id, id))
            return model->tables.items[i];
    return NULL;
}

void model_table_truncate(struct model *model, struct m_table *table)
{
    journal_forget(model, table);
    table_clear(table);
}

void model_table_set_truncated(struct m_table *table, int64_t truncated_us)
{
    table->truncated_us = truncated_us;
}

void model_table_set_dropped(struct m_table *table, const struct base_dropped_column *dropped,
                             size_t n)
{
    BASE_ASSERT(n <= BASE_COUNT(table->dropped));
    if (n)
        memcpy(table->dropped, dropped, n * sizeof *dropped);
    table->dropped_count = n;
}

/* Where pkey is, or should be. */
static size_t partition_at(const struct m_table *table, struct base_slice pkey, bool *found)
{
    size_t lo = 0, hi = table->partitions.count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (base_slice_compare(table->partitions.items[mid]->pkey, pkey) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found =
        lo < table->partitions.count && base_slice_equal(table->partitions.items[lo]->pkey, pkey);
    return lo;
}

static size_t row_at(const struct m_partition *p, struct base_slice ckey, bool *found)
{
    size_t lo = 0, hi = p->rows.count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (base_slice_compare(p->rows.items[mid]->ckey, ckey) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < p->rows.count && base_slice_equal(p->rows.items[lo]->ckey, ckey);
    return lo;
}

size_t model_partition_count(const struct m_table *table)
{
    return table->partitions.count;
}

/* Writing. */

static bool same_cell(const struct w_cell *a, const struct w_cell *b)
{
    return a->column == b->column && (a->kind == CELL_COMPLEX) == (b->kind == CELL_COMPLEX) &&
           base_slice_equal(a->path, b->path);
}

/* Drop versions that a surely kept one with a greater timestamp beats. */
static void row_prune(struct model *model, struct m_row *row)
{
    size_t kept = 0;
    for (size_t i = 0; i < row->cells.count; i++) {
        struct m_cell *c = &row->cells.items[i];
        bool beaten = false;
        for (size_t j = 0; j < row->cells.count && !beaten; j++) {
            const struct m_cell *o = &row->cells.items[j];
            beaten = j != i && o->cell.value.data && o->seq <= model->floor &&
                     o->cell.ts > c->cell.ts && same_cell(&o->cell, &c->cell);
        }
        if (beaten) {
            disown(c->cell.path);
            disown(c->cell.value);
            c->cell.value.data = NULL; /* not a beater any more */
        }
    }
    for (size_t i = 0; i < row->cells.count; i++)
        if (row->cells.items[i].cell.value.data)
            row->cells.items[kept++] = row->cells.items[i];
    row->cells.count = kept;
    size_t live_kept = 0;
    for (size_t i = 0; i < row->lives.count; i++) {
        bool beaten = false;
        for (size_t j = 0; j < row->lives.count && !beaten; j++)
            beaten = row->lives.items[j].seq <= model->floor &&
                     row->lives.items[j].ts > row->lives.items[i].ts;
        if (!beaten)
            row->lives.items[live_kept++] = row->lives.items[i];
    }
    row->lives.count = live_kept;
    row->prune_at = row->cells.count + row->lives.count + PRUNE_AT;
}

/* A range within a surely kept deletion of a greater timestamp says nothing. */
static void ranges_prune(struct model *model, struct m_partition *p)
{
    size_t n = p->ranges.count, kept = 0;
    struct m_deletion *all = p->ranges.items;
    bool *beaten = calloc(n + 1, sizeof *beaten);
    BASE_ASSERT(beaten);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < p->deletions.count && !beaten[i]; j++)
            beaten[i] = p->deletions.items[j].seq <= model->floor &&
                        p->deletions.items[j].d.ts > all[i].d.ts;
        for (size_t j = 0; j < n && !beaten[i]; j++)
            beaten[i] = all[j].seq <= model->floor && all[j].d.ts > all[i].d.ts &&
                        base_slice_compare(all[j].lo, all[i].lo) <= 0 &&
                        base_slice_compare(all[j].hi, all[i].hi) >= 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (beaten[i]) {
            disown(all[i].lo);
            disown(all[i].hi);
        } else {
            all[kept++] = all[i];
        }
    }
    free(beaten);
    p->ranges.count = kept;
    p->prune_at = kept + PRUNE_AT;
}

static void row_apply(struct model *model, uint64_t seq, struct m_row *row, const struct w_row *w)
{
    if (w->live_ts != BASE_TS_NONE)
        PUSH(row->lives, (struct m_live){w->live_ts, w->live_ttl, w->live_expires_s, seq});
    if (!base_deletion_is_none(w->deletion))
        PUSH(row->deletions, (struct m_deletion){w->deletion, {0}, {0}, seq});
    for (size_t i = 0; i < w->cell_count; i++) {
        struct m_cell c = {w->cells[i], seq};
        c.cell.path = own(c.cell.path);
        c.cell.value = own(c.cell.value);
        PUSH(row->cells, c);
    }
    if (row->cells.count + row->lives.count > row->prune_at)
        row_prune(model, row);
}

static struct m_row *row_get(struct m_partition *p, struct base_slice ckey)
{
    bool found;
    size_t at = row_at(p, ckey, &found);
    if (!found) {
        struct m_row *row = calloc(1, sizeof *row);
        BASE_ASSERT(row);
        row->ckey = own(ckey);
        row->prune_at = PRUNE_AT;
        INSERT(p->rows, at, row);
    }
    return p->rows.items[at];
}

void model_apply(struct model *model, uint64_t seq, const struct w_mutation *m)
{
    struct m_table *table = model_table_find(model, m->table_id);
    if (!table)
        return;
    bool found;
    size_t at = partition_at(table, m->pkey, &found);
    if (!found) {
        struct m_partition *p = calloc(1, sizeof *p);
        BASE_ASSERT(p);
        p->pkey = own(m->pkey);
        p->prune_at = PRUNE_AT;
        p->static_row.prune_at = PRUNE_AT;
        INSERT(table->partitions, at, p);
    }
    struct m_partition *p = table->partitions.items[at];
    PUSH(model->journal, (struct m_touch){seq, table, p});
    if (!base_deletion_is_none(m->deletion))
        PUSH(p->deletions, (struct m_deletion){m->deletion, {0}, {0}, seq});
    for (size_t i = 0; i < m->range_count; i++)
        PUSH(p->ranges, (struct m_deletion){m->ranges[i].deletion, own(m->ranges[i].lo),
                                            own(m->ranges[i].hi), seq});
    if (p->ranges.count > p->prune_at)
        ranges_prune(model, p);
    if (m->static_row)
        row_apply(model, seq, &p->static_row, m->static_row);
    for (size_t i = 0; i < m->row_count; i++)
        row_apply(model, seq, row_get(p, m->rows[i].ckey), &m->rows[i]);
}

static void row_rollback(struct m_row *row, uint64_t n)
{
    while (row->cells.count && row->cells.items[row->cells.count - 1].seq > n) {
        const struct m_cell *c = &row->cells.items[--row->cells.count];
        disown(c->cell.path);
        disown(c->cell.value);
    }
    while (row->lives.count && row->lives.items[row->lives.count - 1].seq > n)
        row->lives.count--;
    while (row->deletions.count && row->deletions.items[row->deletions.count - 1].seq > n)
        row->deletions.count--;
}

void model_rollback(struct model *model, uint64_t n)
{
    while (model->journal.count && model->journal.items[model->journal.count - 1].seq > n) {
        struct m_partition *p = model->journal.items[--model->journal.count].partition;
        while (p->deletions.count && p->deletions.items[p->deletions.count - 1].seq > n)
            p->deletions.count--;
        while (p->ranges.count && p->ranges.items[p->ranges.count - 1].seq > n) {
            const struct m_deletion *r = &p->ranges.items[--p->ranges.count];
            disown(r->lo);
            disown(r->hi);
        }
        row_rollback(&p->static_row, n);
        for (size_t i = 0; i < p->rows.count; i++)
            row_rollback(p->rows.items[i], n);
    }
}

void model_set_floor(struct model *model, uint64_t n)
{
    if (n <= model->floor)
        return;
    model->floor = n;
    size_t gone = 0;
    while (gone < model->journal.count && model->journal.items[gone].seq <= n)
        gone++;
    if (gone)
        memmove(model->journal.items, model->journal.items + gone,
                (model->journal.count - gone) * sizeof *model->journal.items);
    model->journal.count -= gone;
}

/* Evaluating. */

/* Does a beat b? Both are versions of one cell; Cassandra's Cells.resolveRegular, read from its
 * rules. */
static bool cell_beats(const struct model *model, const struct w_cell *a, const struct w_cell *b)
{
    if (a->ts != b->ts)
        return a->ts > b->ts;
    if ((a->kind == CELL_DEAD) != (b->kind == CELL_DEAD))
        return a->kind == CELL_DEAD;
    if ((a->kind == CELL_EXPIRING) != (b->kind == CELL_EXPIRING))
        return a->kind == CELL_EXPIRING;
    if (a->kind != CELL_LIVE && a->local_s != b->local_s)
        return a->local_s > b->local_s;
    if (a->kind == CELL_EXPIRING && a->ttl != b->ttl)
        return a->ttl < b->ttl;
    int c = base_slice_compare(a->value, b->value);
    return model->canary == CANARY_TIE ? c < 0 : c > 0;
}

static bool live_beats(const struct m_live *a, const struct m_live *b)
{
    if (a->ts != b->ts)
        return a->ts > b->ts;
    if ((a->ttl != 0) != (b->ttl != 0))
        return a->ttl != 0;
    return a->expires_s > b->expires_s;
}

static bool expired(const struct model *model, int64_t expires_s, int64_t now_s)
{
    return model->canary == CANARY_EXPIRY ? expires_s < now_s : expires_s <= now_s;
}

static int by_column_and_path(const void *a, const void *b)
{
    const struct w_cell *x = *(const struct w_cell *const *)a,
                        *y = *(const struct w_cell *const *)b;
    return x->column != y->column ? (x->column > y->column) - (x->column < y->column)
                                  : base_slice_compare(x->path, y->path);
}

/* The winning version of each cell, in order; returns how many. */
static size_t winners(const struct model *model, const struct m_row *row, const struct w_cell **out)
{
    size_t n = 0;
    for (size_t i = 0; i < row->cells.count; i++) {
        const struct w_cell *c = &row->cells.items[i].cell;
        if (c->kind == CELL_COMPLEX)
            continue;
        size_t j = 0;
        while (j < n && !same_cell(out[j], c))
            j++;
        if (j == n)
            out[n++] = c;
        else if (cell_beats(model, c, out[j]))
            out[j] = c;
    }
    if (n)
        qsort(out, n, sizeof *out, by_column_and_path);
    return n;
}

static int64_t dropped_at(const struct m_table *table, uint32_t column)
{
    for (size_t i = 0; i < table->dropped_count; i++)
        if (table->dropped[i].id == column)
            return table->dropped[i].dropped_us;
    return INT64_MIN;
}

/* Append the row if it is live at now_s, under deletions up to `covering`. */
static bool row_eval(const struct model *model, const struct m_table *table,
                     const struct m_row *row, int64_t covering, int64_t now_s, struct base_buf *out)
{
    if (row->cells.count + row->lives.count == 0)
        return false;
    size_t start = out->len;
    for (size_t i = 0; i < row->deletions.count; i++)
        covering =
            row->deletions.items[i].d.ts > covering ? row->deletions.items[i].d.ts : covering;
    covering = table->truncated_us > covering ? table->truncated_us : covering;
    const struct m_live *live = NULL;
    for (size_t i = 0; i < row->lives.count; i++)
        if (!live || live_beats(&row->lives.items[i], live))
            live = &row->lives.items[i];
    bool is_live =
        live && live->ts > covering && !(live->ttl && expired(model, live->expires_s, now_s));
    canonical_put_live(out, is_live ? live->ts : BASE_TS_NONE, is_live ? live->ttl : 0,
                       is_live && live->ttl ? live->expires_s : 0);
    const struct w_cell **best = calloc(row->cells.count + 1, sizeof *best);
    BASE_ASSERT(best);
    size_t n = winners(model, row, best);
    for (size_t i = 0; i < n; i++) {
        int64_t floor = dropped_at(table, best[i]->column);
        floor = covering > floor ? covering : floor;
        for (size_t j = 0; j < row->cells.count; j++) {
            const struct w_cell *c = &row->cells.items[j].cell;
            if (c->kind == CELL_COMPLEX && c->column == best[i]->column && c->ts > floor)
                floor = c->ts;
        }
        if (best[i]->ts <= floor || best[i]->kind == CELL_DEAD ||
            (best[i]->kind == CELL_EXPIRING && expired(model, best[i]->local_s, now_s)))
            continue;
        canonical_put_cell(out, best[i]);
        is_live = true;
    }
    free(best);
    if (!is_live)
        out->len = start;
    return is_live;
}

static int64_t partition_deleted(const struct m_partition *p)
{
    int64_t ts = BASE_TS_NONE;
    for (size_t i = 0; i < p->deletions.count; i++)
        ts = p->deletions.items[i].d.ts > ts ? p->deletions.items[i].d.ts : ts;
    return ts;
}

static int64_t range_deleted(const struct model *model, const struct m_partition *p,
                             struct base_slice ckey)
{
    int64_t ts = BASE_TS_NONE;
    for (size_t i = 0; i < p->ranges.count; i++) {
        const struct m_deletion *r = &p->ranges.items[i];
        int64_t deletes = model->canary == CANARY_RANGE ? r->d.ts - 1 : r->d.ts;
        if (deletes > ts && base_slice_compare(r->lo, ckey) < 0 &&
            base_slice_compare(ckey, r->hi) < 0)
            ts = deletes;
    }
    return ts;
}

static void view_add(struct view *view, struct base_slice pkey, struct base_slice ckey,
                     size_t row_from)
{
    size_t row_len = view->bytes.len - row_from, pkey_at = view->bytes.len,
           ckey_at = pkey_at + pkey.len;
    int rc = base_buf_put_slice(&view->bytes, pkey);
    rc = rc ? rc : base_buf_put_slice(&view->bytes, ckey);
    BASE_ASSERT(rc == BASE_OK);
    view->entries = grown(view->entries, view->count, &view->cap, sizeof *view->entries);
    view->entries[view->count++] =
        (struct view_entry){pkey_at, pkey.len, ckey_at, ckey.len, row_from, row_len};
}

static bool in_slices(struct base_slices slices, struct base_slice ckey)
{
    for (size_t i = 0; i < slices.count; i++) {
        const struct base_range *r = &slices.ranges[i];
        if ((r->lo.len == 0 || base_slice_compare(r->lo, ckey) <= 0) &&
            (r->hi.len == 0 || base_slice_compare(ckey, r->hi) <= 0))
            return true;
    }
    return false;
}

static void partition_read(const struct model *model, const struct m_table *table,
                           const struct m_partition *p, const struct base_read *cmd,
                           struct view *view)
{
    int64_t deleted = partition_deleted(p);
    size_t from = view->bytes.len;
    int64_t static_deleted = model->canary == CANARY_STATIC ? BASE_TS_NONE : deleted;
    if (row_eval(model, table, &p->static_row, static_deleted, cmd->now_s, &view->bytes))
        view_add(view, p->pkey, (struct base_slice){0}, from);
    for (size_t i = 0; i < p->rows.count; i++) {
        const struct m_row *row = p->rows.items[cmd->reversed ? p->rows.count - 1 - i : i];
        if (!in_slices(cmd->slices, row->ckey))
            continue;
        int64_t range = range_deleted(model, p, row->ckey);
        from = view->bytes.len;
        if (row_eval(model, table, row, deleted > range ? deleted : range, cmd->now_s,
                     &view->bytes))
            view_add(view, p->pkey, row->ckey, from);
    }
}

void model_read(const struct model *model, const struct m_table *table, const struct base_read *cmd,
                struct view *view)
{
    if (cmd->pkey.len) {
        bool found;
        size_t at = partition_at(table, cmd->pkey, &found);
        if (found)
            partition_read(model, table, table->partitions.items[at], cmd, view);
        return;
    }
    for (size_t i = 0; i < table->partitions.count; i++) {
        const struct m_partition *p = table->partitions.items[i];
        /* The key begins with the token, big-endian, its sign flipped. */
        int64_t token = (int64_t)(base_get_be64(p->pkey.data) ^ (UINT64_C(1) << 63));
        if (token <= cmd->token_after && !(cmd->token_after == INT64_MIN && token == INT64_MIN))
            continue;
        if (token > cmd->token_upto ||
            (cmd->start_pkey.len && base_slice_compare(p->pkey, cmd->start_pkey) < 0))
            continue;
        partition_read(model, table, p, cmd, view);
    }
}
