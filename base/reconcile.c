/* Reconciliation: which cell stays, how versions of a row become one, what time does to the result
 * (DESIGN.md §3). The one implementation: memtable, compaction, coordinator, repair and hints call
 * it.
 *
 * Relies on row.c to refuse damaged bytes; what it cannot read it answers with CORRUPT.
 *
 * Invariants:
 *  1. Choosing is a maximum over a total order (liveness, deletions, cells), or a per-host maximum
 *     (counters), and what a deletion shadows depends on the greatest deletion only. Hence merging
 *     is commutative, associative and idempotent.
 *  2. A result is written in one canonical way (`struct emitter`), so that equal content is equal
 *     bytes.
 *  3. Time is looked at by base_row_purge alone: a merge gives the same whenever it is done. */
#include "base/row.h"

#define VERSIONS_MAX 16 /* merged at once; more are merged in groups, which invariant 1 allows */

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Choosing. */

/* compare(a, b) > 0 when a wins; the caller turns it round. */
static int cell_rank(const struct base_cell *a, const struct base_cell *b)
{
    uint8_t kinds = a->flags | b->flags;
    bool a_dead = a->flags & BASE_CELL_DEAD, b_dead = b->flags & BASE_CELL_DEAD;
    if (BASE_UNLIKELY((kinds & BASE_CELL_COUNTER) && a_dead != b_dead))
        return a_dead ? 1 : -1;
    if (a->ts != b->ts)
        return a->ts > b->ts ? 1 : -1;
    if (kinds & (BASE_CELL_DEAD | BASE_CELL_EXPIRING)) {
        if (a_dead != b_dead)
            return a_dead ? 1 : -1;
        bool a_expiring = a->flags & BASE_CELL_EXPIRING, b_expiring = b->flags & BASE_CELL_EXPIRING;
        if (a_expiring != b_expiring)
            return a_expiring ? 1 : -1;
        if (a->local_s != b->local_s)
            return compare_i64(a->local_s, b->local_s);
        if (a->ttl != b->ttl)
            return a->ttl < b->ttl ? 1 : -1;
    }
    int c = base_slice_compare(a->value, b->value);
    return c ? c : base_slice_compare(a->path_original, b->path_original);
}

int base_cell_compare(const struct base_cell *a, const struct base_cell *b)
{
    return -cell_rank(a, b);
}

struct liveness {
    int64_t ts; /* BASE_TS_NONE: none */
    int64_t expires_s;
    int32_t ttl; /* 0: does not expire */
};

static struct liveness liveness_of(const struct base_row *row)
{
    return (struct liveness){base_row_liveness_ts(row), row->expires_s, row->ttl};
}

/* Cassandra's LivenessInfo.supersedes; the smaller TTL breaks its last tie, as for cells. */
static bool liveness_supersedes(const struct liveness *a, const struct liveness *b)
{
    if (a->ts != b->ts)
        return a->ts > b->ts;
    if ((a->ttl != 0) != (b->ttl != 0))
        return a->ttl != 0;
    if (a->expires_s != b->expires_s)
        return a->expires_s > b->expires_s;
    return a->ttl < b->ttl;
}

static bool deletion_supersedes(struct base_deletion a, struct base_deletion b)
{
    return a.ts > b.ts || (a.ts == b.ts && a.local_s > b.local_s);
}

/* Writing a result. */

/* The head is written when the first cell, or the end, tells its row_ts: the liveness's timestamp,
 * else the first cell's, else the deletion's. */
struct emitter {
    struct base_buf *out;
    struct base_row_builder builder;
    struct liveness liveness;
    struct base_deletion deletion;
    struct base_slice originals;
    bool begun;
};

static int emit_head(struct emitter *e, int64_t row_ts)
{
    bool live = e->liveness.ts != BASE_TS_NONE;
    int rc = base_row_begin(&e->builder, e->out, live ? e->liveness.ts : row_ts);
    if (rc == BASE_OK && live)
        rc = base_row_put_liveness(&e->builder, e->liveness.ttl, e->liveness.expires_s);
    if (rc == BASE_OK)
        rc = base_row_put_deletion(&e->builder, e->deletion);
    if (rc == BASE_OK)
        rc = base_row_put_originals(&e->builder, e->originals);
    e->begun = rc == BASE_OK;
    return rc;
}

static int emit_cell(struct emitter *e, const struct base_cell *cell)
{
    if (BASE_UNLIKELY(!e->begun)) {
        int rc = emit_head(e, cell->ts);
        if (rc != BASE_OK)
            return rc;
    }
    uint8_t special =
        BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COMPLEX_DELETION | BASE_CELL_COUNTER;
    if (!(cell->flags & special) && cell->ts == e->builder.row_ts && cell->path.len == 0)
        return base_row_put_value(&e->builder, cell->column, cell->value);
    return base_row_put_cell(&e->builder, cell);
}

static int emit_end(struct emitter *e)
{
    if (!e->begun) {
        if (e->liveness.ts == BASE_TS_NONE && base_deletion_is_none(e->deletion))
            return BASE_OK;
        int rc = emit_head(e, e->deletion.ts);
        if (rc != BASE_OK)
            return rc;
    }
    base_row_end(&e->builder);
    return BASE_OK;
}

/* Merging versions. */

struct version {
    struct base_row row;
    struct base_cells cells;
    struct base_cell cell; /* the next one, where more > 0 */
    int more;
    bool started; /* there was a cell before this one */
};

struct merging {
    struct version versions[VERSIONS_MAX];
    size_t count;
    struct base_deletion active;        /* covering, or the row's own deletion */
    struct base_deletion column_active; /* … or the current column's complex deletion */
    uint32_t column;
    struct emitter emitter;
    struct base_buf counter; /* a counter merged so far */
};

/* Order of cells in a row: by column, the complex deletion first, then by path. */
static inline int place_compare(const struct base_cell *a, const struct base_cell *b)
{
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    if (BASE_LIKELY(!((a->flags | b->flags) & (BASE_CELL_COMPLEX_DELETION | BASE_CELL_PATH))))
        return 0;
    bool a_first = a->flags & BASE_CELL_COMPLEX_DELETION,
         b_first = b->flags & BASE_CELL_COMPLEX_DELETION;
    if (a_first != b_first)
        return a_first ? -1 : 1;
    return base_slice_compare(a->path, b->path);
}

/* Damaged cells, and cells that do not ascend (they would be merged wrongly), are CORRUPT. Columns
 * ascend by their encoding. */
static int version_advance(struct version *v)
{
    uint32_t last_column = v->cell.column;
    uint8_t last_flags = v->cell.flags;
    struct base_slice last_path = v->cell.path;
    v->more = base_cells_next(&v->cells, &v->cell);
    if (BASE_UNLIKELY(v->more > 0 && v->cell.column == last_column && v->started)) {
        if ((v->cell.flags & BASE_CELL_COMPLEX_DELETION) ||
            (!(last_flags & BASE_CELL_COMPLEX_DELETION) &&
             base_slice_compare(last_path, v->cell.path) >= 0))
            return BASE_E_CORRUPT;
    }
    v->started = true;
    return v->more < 0 ? BASE_E_CORRUPT : BASE_OK;
}

/* The strongest thing in a version: a deletion as it is, a cell or liveness as a deletion of its
 * timestamp that any real one supersedes. It is the last that a deletion takes away. */
static int strongest_in(const struct base_row *row, struct base_deletion *strongest)
{
    *strongest =
        base_deletion_max(row->deletion, (struct base_deletion){base_row_liveness_ts(row), -1});
    struct base_cells it = base_cells_begin(row);
    struct base_cell cell;
    int more;
    while ((more = base_cells_next(&it, &cell)) > 0) {
        int64_t local_s = cell.flags & BASE_CELL_COMPLEX_DELETION ? cell.local_s : -1;
        *strongest = base_deletion_max(*strongest, (struct base_deletion){cell.ts, local_s});
    }
    return more == 0 ? BASE_OK : BASE_E_CORRUPT;
}

/* The originals of the version with the strongest content stay: whatever the order in which
 * deletions come in, that version is there as long as there is anything, so every order chooses the
 * same. */
static int merge_originals(struct merging *m)
{
    struct base_deletion best = BASE_DELETION_NONE;
    for (size_t i = 0; i < m->count; i++) {
        const struct base_row *row = &m->versions[i].row;
        struct base_deletion strongest;
        int rc = strongest_in(row, &strongest);
        if (rc != BASE_OK)
            return rc;
        if (i == 0 || deletion_supersedes(strongest, best) ||
            (base_deletion_equal(strongest, best) &&
             base_slice_compare(row->originals, m->emitter.originals) > 0)) {
            best = strongest;
            m->emitter.originals = row->originals;
        }
    }
    return BASE_OK;
}

static int merge_heads(struct merging *m, const struct base_slice *encoded,
                       struct base_deletion covering)
{
    struct emitter *e = &m->emitter;
    e->liveness = (struct liveness){.ts = BASE_TS_NONE};
    e->deletion = BASE_DELETION_NONE;
    uint8_t flags = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct version *v = &m->versions[i];
        if (!base_row_decode(encoded[i], &v->row))
            return BASE_E_CORRUPT;
        v->cells = base_cells_begin(&v->row);
        v->cell.column = 0;
        v->cell.flags = 0;
        v->cell.path = (struct base_slice){0};
        v->started = false;
        int rc = version_advance(v);
        if (rc != BASE_OK)
            return rc;
        struct liveness liveness = liveness_of(&v->row);
        if (liveness_supersedes(&liveness, &e->liveness))
            e->liveness = liveness;
        e->deletion = base_deletion_max(e->deletion, v->row.deletion);
        flags |= v->row.flags;
    }
    m->active = covering;
    if (deletion_supersedes(e->deletion, covering))
        m->active = e->deletion;
    else
        e->deletion = BASE_DELETION_NONE;
    if (e->liveness.ts <= m->active.ts)
        e->liveness = (struct liveness){.ts = BASE_TS_NONE};
    m->column_active = m->active;
    return flags & BASE_ROW_ORIGINALS ? merge_originals(m) : BASE_OK;
}

/* Two live counter cells: shards merge, the greater timestamp stays. */
static int merge_counter(struct merging *m, struct base_cell *into, const struct base_cell *other)
{
    struct base_buf merged;
    base_buf_init(&merged, m->emitter.out->len_max);
    int rc = base_counter_merge(into->value, other->value, &merged);
    if (rc != BASE_OK) {
        base_buf_fini(&merged);
        return rc;
    }
    base_buf_fini(&m->counter);
    m->counter = merged;
    if (other->ts > into->ts)
        into->ts = other->ts;
    into->value = base_buf_view(&m->counter);
    return BASE_OK;
}

/* The strongest complex deletion of the group shadows the column's cells, and stays if it says more
 * than what covers the row. */
static int merge_complex_deletion(struct merging *m, struct version *const *group, size_t n)
{
    struct base_deletion strongest = BASE_DELETION_NONE;
    for (size_t i = 0; i < n; i++) {
        const struct base_cell *cell = &group[i]->cell;
        strongest = base_deletion_max(strongest, (struct base_deletion){cell->ts, cell->local_s});
    }
    if (!deletion_supersedes(strongest, m->active))
        return BASE_OK;
    m->column_active = strongest;
    struct base_cell cell = {.column = m->column,
                             .flags = BASE_CELL_COMPLEX_DELETION,
                             .ts = strongest.ts,
                             .local_s = strongest.local_s};
    return emit_cell(&m->emitter, &cell);
}

static int merge_group(struct merging *m, struct version *const *group, size_t n)
{
    const struct base_cell *first = &group[0]->cell;
    if (first->column != m->column) {
        m->column = first->column;
        m->column_active = m->active;
    }
    if (BASE_UNLIKELY(first->flags & BASE_CELL_COMPLEX_DELETION))
        return merge_complex_deletion(m, group, n);
    const struct base_cell *winner = NULL;
    struct base_cell counter;
    for (size_t i = 0; i < n; i++) {
        const struct base_cell *cell = &group[i]->cell;
        if (cell->ts <= m->column_active.ts)
            continue;
        if (!winner) {
            winner = cell;
        } else if (BASE_UNLIKELY(winner->flags & cell->flags & BASE_CELL_COUNTER)) {
            if (winner != &counter)
                counter = *winner;
            int rc = merge_counter(m, &counter, cell);
            if (rc != BASE_OK)
                return rc;
            winner = &counter;
        } else if (cell_rank(cell, winner) > 0) {
            winner = cell;
        }
    }
    return winner ? emit_cell(&m->emitter, winner) : BASE_OK;
}

/* All versions' cells in order, equal places together. */
static int merge_cells(struct merging *m)
{
    struct version *live[VERSIONS_MAX], *group[VERSIONS_MAX];
    size_t live_count = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->versions[i].more > 0)
            live[live_count++] = &m->versions[i];
    }
    while (live_count > 0) {
        size_t n = 1;
        group[0] = live[0];
        for (size_t i = 1; i < live_count; i++) {
            int c = place_compare(&live[i]->cell, &group[0]->cell);
            if (c < 0)
                n = 0;
            if (c <= 0)
                group[n++] = live[i];
        }
        int rc = merge_group(m, group, n);
        for (size_t i = 0; i < n && rc == BASE_OK; i++)
            rc = version_advance(group[i]);
        if (rc != BASE_OK)
            return rc;
        size_t left = 0;
        for (size_t i = 0; i < live_count; i++) {
            if (live[i]->more > 0)
                live[left++] = live[i];
        }
        live_count = left;
    }
    return BASE_OK;
}

/* Is `newer` the merge of both? So it is when a row was written whole again, the common case: no
 * deletion, nothing mortal, one timestamp a row, and every column of the older one in the newer
 * one. */
static bool replaces(struct base_slice newer, struct base_slice older,
                     struct base_deletion covering)
{
    struct base_row n, o;
    if (!base_row_decode(newer, &n) || !base_row_decode(older, &o) || base_row_is_void(&n) ||
        ((n.flags | o.flags) & ~BASE_ROW_LIVENESS) || n.row_ts <= o.row_ts ||
        n.row_ts <= covering.ts || (o.flags & ~n.flags))
        return false;
    struct base_cells n_cells = base_cells_begin(&n), o_cells = base_cells_begin(&o);
    struct base_cell n_cell = {0}, o_cell;
    int more, n_more = base_cells_next(&n_cells, &n_cell);
    while ((more = base_cells_next(&o_cells, &o_cell)) > 0) {
        while (n_more > 0 && n_cell.column < o_cell.column && !(n_cell.flags & ~BASE_CELL_EMPTY))
            n_more = base_cells_next(&n_cells, &n_cell);
        if (n_more <= 0 || n_cell.column != o_cell.column ||
            ((n_cell.flags | o_cell.flags) & ~BASE_CELL_EMPTY))
            return false;
    }
    while (n_more > 0) /* the rest is not looked at for columns, but for damage */
        n_more = base_cells_next(&n_cells, &n_cell);
    return more == 0 && n_more == 0;
}

static int merge_some(const struct base_slice *encoded, size_t n, struct base_deletion covering,
                      struct base_buf *out)
{
    struct merging m;
    m.count = n;
    m.column = 0;
    m.emitter.out = out;
    m.emitter.begun = false;
    m.emitter.originals = (struct base_slice){0};
    base_buf_init(&m.counter, out->len_max);
    size_t start = out->len;
    int rc = merge_heads(&m, encoded, covering);
    if (rc == BASE_OK)
        rc = merge_cells(&m);
    if (rc == BASE_OK)
        rc = emit_end(&m.emitter);
    if (rc != BASE_OK)
        out->len = start;
    base_buf_fini(&m.counter);
    return rc;
}

/* Rows with more versions than fit merge group by group: rare enough (17 sources that all have the
 * row) to take memory for it. */
static int merge_many(const struct base_slice *encoded, size_t n, struct base_deletion covering,
                      struct base_buf *out)
{
    struct base_buf so_far, next;
    base_buf_init(&so_far, out->len_max);
    base_buf_init(&next, out->len_max);
    int rc = BASE_OK;
    size_t at = 0;
    while (rc == BASE_OK && n - at >= VERSIONS_MAX) {
        struct base_slice some[VERSIONS_MAX];
        size_t count = 0;
        if (so_far.len)
            some[count++] = base_buf_view(&so_far);
        while (count < VERSIONS_MAX)
            some[count++] = encoded[at++];
        base_buf_reset(&next);
        rc = merge_some(some, count, BASE_DELETION_NONE, &next);
        struct base_buf swap = so_far;
        so_far = next;
        next = swap;
    }
    if (rc == BASE_OK) {
        struct base_slice rest[VERSIONS_MAX];
        size_t count = 0;
        if (so_far.len)
            rest[count++] = base_buf_view(&so_far);
        while (at < n)
            rest[count++] = encoded[at++];
        rc = merge_some(rest, count, covering, out);
    }
    base_buf_fini(&so_far);
    base_buf_fini(&next);
    return rc;
}

int base_row_merge(const struct base_slice *versions, size_t n, struct base_deletion covering,
                   struct base_buf *out)
{
    BASE_ASSERT(n >= 1);
    if (n == 2) {
        if (replaces(versions[0], versions[1], covering))
            return base_buf_put_slice(out, versions[0]);
        if (replaces(versions[1], versions[0], covering))
            return base_buf_put_slice(out, versions[1]);
    }
    return n <= VERSIONS_MAX ? merge_some(versions, n, covering, out)
                             : merge_many(versions, n, covering, out);
}

/* Time. */

struct purging {
    const struct base_purge *purge;
    struct base_row row;
    struct liveness liveness; /* what stays of the row's own */
    struct base_deletion deletion;
    struct base_deletion column_active; /* shadows the current column's cells */
    uint32_t column;
    bool changed, live;
};

static bool may_go(const struct base_purge *purge, int64_t ts, int64_t local_s)
{
    return purge->live_only || (local_s < purge->gc_before_s && ts < purge->purgeable_ts);
}

static void purge_head(struct purging *p)
{
    const struct base_row *row = &p->row;
    p->deletion = row->deletion;
    p->column_active = row->deletion;
    p->column = 0;
    p->liveness = liveness_of(row);
    bool expired = p->liveness.ttl != 0 && p->liveness.expires_s <= p->purge->now_s;
    if ((row->flags & BASE_ROW_LIVENESS) &&
        (p->liveness.ts <= row->deletion.ts ||
         (expired && may_go(p->purge, p->liveness.ts, p->liveness.expires_s)))) {
        p->liveness = (struct liveness){.ts = BASE_TS_NONE};
        p->changed = true;
    }
    if (p->liveness.ts != BASE_TS_NONE && !expired)
        p->live = true;
    if ((row->flags & BASE_ROW_DELETION) &&
        may_go(p->purge, row->deletion.ts, row->deletion.local_s)) {
        p->deletion = BASE_DELETION_NONE;
        p->changed = true;
    }
}

/* Does the cell stay, and as what? */
static bool purge_cell(struct purging *p, struct base_cell *cell)
{
    if (cell->column != p->column) {
        p->column = cell->column;
        p->column_active = p->row.deletion;
    }
    struct base_deletion complex = {cell->ts, cell->local_s};
    bool shadowed = cell->flags & BASE_CELL_COMPLEX_DELETION
                        ? !deletion_supersedes(complex, p->column_active) /* as merge has it */
                        : cell->ts <= p->column_active.ts;
    if (shadowed) {
        p->changed = true;
        return false;
    }
    if (cell->flags & BASE_CELL_COMPLEX_DELETION)
        p->column_active = complex;
    if ((cell->flags & BASE_CELL_EXPIRING) && cell->local_s <= p->purge->now_s) {
        int64_t made_s = cell->local_s - cell->ttl;
        *cell = (struct base_cell){.column = cell->column,
                                   .flags = BASE_CELL_DEAD,
                                   .ts = cell->ts,
                                   .local_s = made_s > 0 ? made_s : 0,
                                   .path = cell->path,
                                   .path_original = cell->path_original};
        p->changed = true;
    }
    if (!(cell->flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION))) {
        p->live = true;
        return true;
    }
    if (!may_go(p->purge, cell->ts, cell->local_s))
        return true;
    p->changed = true;
    return false;
}

/* First pass: would anything change, is the row live? No bytes are written. */
static int purge_look(struct purging *p)
{
    p->changed = p->live = false;
    purge_head(p);
    if (!(p->row.flags & (BASE_ROW_MORTAL | BASE_ROW_DELETION))) {
        p->live = p->live || p->row.cells.len > 0;
        return BASE_OK;
    }
    struct base_cells it = base_cells_begin(&p->row);
    struct base_cell cell;
    int more;
    while ((more = base_cells_next(&it, &cell)) > 0)
        (void)purge_cell(p, &cell);
    return more == 0 ? BASE_OK : BASE_E_CORRUPT;
}

static int purge_write(struct purging *p, struct base_buf *out)
{
    purge_head(p);
    struct emitter e = {.out = out,
                        .liveness = p->liveness,
                        .deletion = p->deletion,
                        .originals = p->row.originals};
    struct base_cells it = base_cells_begin(&p->row);
    struct base_cell cell;
    int more, rc = BASE_OK;
    while (rc == BASE_OK && (more = base_cells_next(&it, &cell)) != 0)
        rc = more < 0 ? BASE_E_CORRUPT : purge_cell(p, &cell) ? emit_cell(&e, &cell) : BASE_OK;
    return rc == BASE_OK ? emit_end(&e) : rc;
}

int base_row_purge(struct base_slice encoded, const struct base_purge *purge, struct base_buf *out,
                   bool *changed, bool *live)
{
    struct purging p = {.purge = purge};
    size_t start = out->len;
    if (!base_row_decode(encoded, &p.row))
        return BASE_E_CORRUPT;
    int rc = purge_look(&p);
    bool is_live = p.live;
    if (rc == BASE_OK && (p.changed || !changed) && !(purge->live_only && !is_live))
        rc = purge_write(&p, out);
    if (rc != BASE_OK) {
        out->len = start;
        is_live = p.changed = false;
    }
    if (changed)
        *changed = p.changed;
    if (live)
        *live = is_live;
    return rc;
}
