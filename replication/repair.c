/* Pages that differ: what they say together, and what each replica lacks of it (read repair).
 *
 * Relies on pages of one command at one `now`: expired cells are tombstones in all of them, and
 * what is past its grace is in none.
 *
 * Invariants:
 *  1. The merged page goes as far as every page is known: up to the smallest end. What is behind
 *     that is read again by the next page: so no row is missed because one replica's limit was used
 *     up by rows that another one has deleted (short reads).
 *  2. What a replica had, merged with its difference, is the merged content of those bounds.
 *  3. A difference has what the replica lacks, not what it has: a row's cells that it has are left
 *     out. A row whose clustering values are written otherwise (1.0, 1.00) is sent whole. */
#include "replication/reads_private.h"

#define DIFFERENCE_MAX ((size_t)1 << 30)

/* Rows. */

static int cell_place(const struct base_cell *a, const struct base_cell *b)
{
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    bool a_first = a->flags & BASE_CELL_COMPLEX_DELETION,
         b_first = b->flags & BASE_CELL_COMPLEX_DELETION;
    if (a_first != b_first)
        return a_first ? -1 : 1;
    return base_slice_compare(a->path, b->path);
}

static bool cell_same(const struct base_cell *a, const struct base_cell *b)
{
    unsigned how = BASE_CELL_OWN_TS; /* a matter of writing it down */
    return (a->flags & ~how) == (b->flags & ~how) && a->ts == b->ts && a->ttl == b->ttl &&
           a->local_s == b->local_s && base_slice_equal(a->value, b->value) &&
           base_slice_equal(a->path_original, b->path_original);
}

static int put_lacking_cells(struct base_row_builder *b, const struct base_row *merged,
                             const struct base_row *theirs, bool *any)
{
    struct base_cells in = base_cells_begin(merged), has = base_cells_begin(theirs);
    struct base_cell cell, other;
    int more, more_other = base_cells_next(&has, &other);
    while ((more = base_cells_next(&in, &cell)) > 0) {
        while (more_other > 0 && cell_place(&other, &cell) < 0)
            more_other = base_cells_next(&has, &other);
        if (more_other > 0 && cell_place(&other, &cell) == 0 && cell_same(&other, &cell))
            continue;
        int rc = base_row_put_cell(b, &cell);
        if (rc != BASE_OK)
            return rc;
        *any = true;
    }
    return more < 0 || more_other < 0 ? BASE_E_CORRUPT : BASE_OK;
}

static bool liveness_same(const struct base_row *a, const struct base_row *b)
{
    return base_row_liveness_ts(a) == base_row_liveness_ts(b) && a->ttl == b->ttl &&
           a->expires_s == b->expires_s;
}

/* Append what `theirs` (may be empty) lacks of `merged`: nothing, or a row. */
static int put_lacking_row(struct base_slice merged, struct base_slice theirs, struct base_buf *out)
{
    struct base_row row, has;
    size_t start = out->len;
    if (!merged.len || base_slice_equal(merged, theirs))
        return BASE_OK;
    if (!theirs.len)
        return base_buf_put_slice(out, merged);
    if (!base_row_decode(merged, &row) || !base_row_decode(theirs, &has))
        return BASE_E_CORRUPT;
    if (!base_slice_equal(row.originals, has.originals))
        return base_buf_put_slice(out, merged);
    struct base_row_builder b;
    bool any = false;
    int rc = base_row_begin(&b, out, row.row_ts);
    if (rc == BASE_OK && (row.flags & BASE_ROW_LIVENESS) && !liveness_same(&row, &has)) {
        any = true;
        rc = base_row_put_liveness(&b, row.ttl, row.expires_s);
    }
    if (rc == BASE_OK && !base_deletion_is_none(row.deletion) &&
        !base_deletion_equal(row.deletion, has.deletion)) {
        any = true;
        rc = base_row_put_deletion(&b, row.deletion);
    }
    if (rc == BASE_OK)
        rc = base_row_put_originals(&b, row.originals);
    if (rc == BASE_OK)
        rc = put_lacking_cells(&b, &row, &has, &any);
    if (rc == BASE_OK && any)
        base_row_end(&b);
    else
        out->len = start;
    return rc;
}

/* A partition. */

struct side {
    struct base_source *source;
    struct base_partition partition;
    struct base_item item;
    struct base_deletion open;
};

struct part {
    struct base_slice ckey;
    size_t at, len; /* its row, in `rows`, which may move */
};

struct difference {
    struct base_uuid table_id;
    bool reversed;
    struct side merged, theirs;
    bool there;                          /* theirs has the partition */
    struct base_arena arena;             /* keys */
    struct base_buf ranges, parts, rows; /* base_range_deletion's; struct part's; encoded rows */
    /* the range deletion that it lacks at this place, since … */
    struct base_deletion lack;
    struct base_slice since;
    struct base_err *err;
};

static bool supersedes(struct base_deletion a, struct base_deletion b)
{
    return a.ts > b.ts || (a.ts == b.ts && a.local_s > b.local_s);
}

static int advance(struct difference *d, struct side *side)
{
    return side->source->ops->next(side->source, &side->item, d->err);
}

/* A marker of either side has been passed at `at`: what does theirs lack from here on? */
static int note_lack(struct difference *d, struct base_slice at)
{
    struct base_deletion has = d->there
                                   ? base_deletion_max(d->theirs.partition.deletion, d->theirs.open)
                                   : BASE_DELETION_NONE;
    struct base_deletion lack =
        supersedes(d->merged.open, has) ? d->merged.open : BASE_DELETION_NONE;
    if (base_deletion_equal(lack, d->lack))
        return BASE_OK;
    struct base_slice here;
    int rc = base_arena_copy(&d->arena, at, &here);
    if (rc == BASE_OK && !base_deletion_is_none(d->lack)) {
        struct base_range_deletion range = {d->reversed ? here : d->since,
                                            d->reversed ? d->since : here, d->lack};
        rc = base_buf_put(&d->ranges, &range, sizeof range);
    }
    d->lack = lack;
    d->since = here;
    return rc;
}

static int note_row(struct difference *d, struct base_slice ckey, struct base_slice merged,
                    struct base_slice theirs)
{
    size_t at = d->rows.len;
    int rc = put_lacking_row(merged, theirs, &d->rows);
    if (rc != BASE_OK || d->rows.len == at)
        return rc;
    struct part part = {.at = at, .len = d->rows.len - at};
    rc = base_arena_copy(&d->arena, ckey, &part.ckey);
    return rc == BASE_OK ? base_buf_put(&d->parts, &part, sizeof part) : rc;
}

static void cross(struct difference *d, struct side *side)
{
    side->open = d->reversed ? side->item.before : side->item.after;
}

/* Both sides' items, in step. */
static int walk_items(struct difference *d)
{
    struct side *m = &d->merged, *t = &d->theirs;
    int rc = advance(d, m);
    if (rc == BASE_OK && d->there)
        rc = advance(d, t);
    while (rc == BASE_OK &&
           (m->item.kind != BASE_ITEM_END || (d->there && t->item.kind != BASE_ITEM_END))) {
        bool has_m = m->item.kind != BASE_ITEM_END,
             has_t = d->there && t->item.kind != BASE_ITEM_END;
        int c = !has_t ? -1 : !has_m ? 1 : base_slice_compare(m->item.ckey, t->item.ckey);
        if (has_m && has_t && d->reversed)
            c = -c;
        struct base_slice at = c <= 0 ? m->item.ckey : t->item.ckey;
        bool marker = c <= 0 ? m->item.kind == BASE_ITEM_MARKER : t->item.kind == BASE_ITEM_MARKER;
        if (marker) {
            if (c <= 0)
                cross(d, m);
            if (c >= 0)
                cross(d, t);
            rc = note_lack(d, at);
        } else if (c <= 0) {
            rc = note_row(d, at, m->item.row, c == 0 ? t->item.row : (struct base_slice){0});
        }
        if (rc == BASE_OK && c <= 0)
            rc = advance(d, m);
        if (rc == BASE_OK && c >= 0)
            rc = advance(d, t);
    }
    return rc;
}

static int put_partition(struct difference *d, struct base_deletion deletion,
                         struct base_slice static_row, struct base_buf *out, size_t *count)
{
    const struct part *parts = (const void *)d->parts.data;
    const struct base_range_deletion *ranges = (const void *)d->ranges.data;
    size_t n = d->parts.len / sizeof *parts, range_count = d->ranges.len / sizeof *ranges;
    if (base_deletion_is_none(deletion) && !static_row.len && !n && !range_count)
        return BASE_OK;
    struct base_mutation_row_part *rows = base_arena_alloc(&d->arena, (n + 1) * sizeof *rows);
    if (!rows)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < n; i++) { /* ascending, whatever the direction */
        const struct part *part = &parts[d->reversed ? n - 1 - i : i];
        rows[i] = (struct base_mutation_row_part){part->ckey,
                                                  base_slice(d->rows.data + part->at, part->len)};
    }
    ++*count;
    return base_mutation_put(out, d->table_id, d->merged.partition.pkey, deletion, static_row,
                             ranges, range_count, rows, n);
}

/* The partition that merged stands at. */
static int differ(struct difference *d, struct base_buf *out, size_t *count)
{
    const struct base_partition none = {.deletion = BASE_DELETION_NONE};
    const struct base_partition *m = &d->merged.partition,
                                *t = d->there ? &d->theirs.partition : &none;
    struct base_buf static_row;
    base_buf_init(&static_row, DIFFERENCE_MAX);
    base_arena_reset(&d->arena);
    base_buf_reset(&d->ranges);
    base_buf_reset(&d->parts);
    base_buf_reset(&d->rows);
    d->lack = d->merged.open = d->theirs.open = BASE_DELETION_NONE;
    int rc = put_lacking_row(m->static_row, t->static_row, &static_row);
    if (rc == BASE_OK)
        rc = walk_items(d);
    if (rc == BASE_OK)
        rc = put_partition(d,
                           supersedes(m->deletion, t->deletion) ? m->deletion : BASE_DELETION_NONE,
                           base_buf_view(&static_row), out, count);
    base_buf_fini(&static_row);
    return rc;
}

int repli_repair_difference(struct base_uuid table_id, bool reversed, struct base_source *merged,
                            struct base_source *theirs, struct base_buf *out, size_t *count,
                            struct base_err *err)
{
    struct difference d = {.table_id = table_id,
                           .reversed = reversed,
                           .merged = {.source = merged},
                           .theirs = {.source = theirs},
                           .err = err};
    base_arena_init(&d.arena);
    base_buf_init(&d.ranges, DIFFERENCE_MAX);
    base_buf_init(&d.parts, DIFFERENCE_MAX);
    base_buf_init(&d.rows, DIFFERENCE_MAX);
    *count = 0;
    struct side *m = &d.merged, *t = &d.theirs;
    int rc = t->source->ops->partition(t->source, &t->partition, err);
    while (rc == BASE_OK &&
           (rc = m->source->ops->partition(m->source, &m->partition, err)) == BASE_OK &&
           m->partition.pkey.len) {
        while (rc == BASE_OK && t->partition.pkey.len &&
               base_slice_compare(t->partition.pkey, m->partition.pkey) < 0)
            rc = t->source->ops->partition(t->source, &t->partition, err);
        d.there = t->partition.pkey.len && base_slice_equal(t->partition.pkey, m->partition.pkey);
        if (rc == BASE_OK)
            rc = differ(&d, out, count);
    }
    m->source->ops->close(m->source);
    t->source->ops->close(t->source);
    base_arena_fini(&d.arena);
    base_buf_fini(&d.ranges);
    base_buf_fini(&d.parts);
    base_buf_fini(&d.rows);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "read repair: %s", base_err_words(rc));
}

int repli_repair_all(struct repli_fetch *f, struct repli_contact *c, struct base_err *err)
{
    static const struct base_merge_options keep = {.keep_tombstones = true};
    struct base_source *merged, *nothing;
    base_buf_reset(&c->repair);
    int rc = base_merge_open(NULL, 0, &keep, &nothing, err);
    if (rc != BASE_OK)
        return rc;
    rc =
        repl_page_source(base_buf_view(&f->merged), f->request.cmd.reversed, &f->end, &merged, err);
    if (rc != BASE_OK) {
        nothing->ops->close(nothing);
        return rc;
    }
    return repli_repair_difference(f->table->id, f->request.cmd.reversed, merged, nothing,
                                   &c->repair, &c->repair_count, err);
}

/* The pages of a fetch. */

static bool has_page(const struct repli_contact *c)
{
    return c->state == REPLI_CONTACT_ANSWERED && c->has_page;
}

/* Invariant 1. */
struct repl_page_end repli_smallest_end(const struct repli_fetch *f, size_t *n)
{
    struct repl_page_end least = {0};
    *n = 0;
    for (const struct repli_contact *c = f->contacts; c; c = c->next) {
        if (!has_page(c))
            continue;
        if (++*n == 1 || repl_page_end_compare(&c->end, &least, f->request.cmd.reversed) < 0)
            least = c->end;
    }
    if (f->by_places && f->places_more) { /* behind it nobody was asked for anything */
        struct repl_page_end end = {.more = true,
                                    .pkey = base_slice(f->places_end.data, f->places_end_pkey_len),
                                    .ckey = base_slice(f->places_end.data + f->places_end_pkey_len,
                                                       f->places_end.len - f->places_end_pkey_len)};
        if (repl_page_end_compare(&end, &least, f->request.cmd.reversed) < 0)
            least = end;
    }
    return least;
}

/* All pages as one stream up to `end`. */
static int merge_pages(const struct repli_fetch *f, size_t n, const struct repl_page_end *end,
                       struct base_source **out, struct base_err *err)
{
    const struct base_read *cmd = &f->request.cmd;
    struct base_source **sources = calloc(n, sizeof *sources);
    size_t opened = 0;
    int rc = sources ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "read repair: out of memory");
    for (struct repli_contact *c = f->contacts; rc == BASE_OK && c; c = c->next) {
        if (!has_page(c))
            continue;
        rc = repl_page_source(base_buf_view(&c->page), cmd->reversed, end, &sources[opened], err);
        opened += rc == BASE_OK;
    }
    struct base_merge_options options = {
        .reversed = cmd->reversed,
        .keep_tombstones = true,
        .purge = {.now_s = cmd->now_s,
                  .gc_before_s = cmd->now_s - f->table->options.gc_grace_s,
                  .purgeable_ts = INT64_MAX},
    };
    if (rc == BASE_OK) {
        rc = base_merge_open(sources, n, &options, out, err);
    } else {
        for (size_t i = 0; i < opened; i++)
            sources[i]->ops->close(sources[i]);
    }
    free(sources);
    return rc;
}

static int write_merged(struct repli_fetch *f, struct base_source *source,
                        const struct repl_page_end *end, struct base_err *err)
{
    const struct base_read *cmd = &f->request.cmd;
    struct repl_page_limits limits = REPL_PAGE_LIMITS_NONE;
    struct repl_page_writer w;
    limits.static_alone = f->request.limits.static_alone;
    /* all of the partition is known now: this skips what nobody wants */
    limits.partition_rows_max = f->partition_rows_max;
    base_buf_reset(&f->merged);
    repl_page_begin(&w, cmd->reversed, cmd->now_s, cmd->now_s - f->table->options.gc_grace_s,
                    &limits, &f->merged);
    int rc = repl_page_add(&w, source, f->request.after_pkey, f->request.rows_before, err);
    if (rc == BASE_OK)
        rc = repl_page_finish(&w, end, err);
    else
        repl_page_abandon(&w);
    if (rc == BASE_OK && !repl_page_check(base_buf_view(&f->merged), cmd->reversed, &f->end))
        rc = base_err_set(err, BASE_E_CORRUPT, "read repair: the replicas' pages do not make one");
    return rc;
}

static int differ_from_page(struct repli_fetch *f, struct repli_contact *c, struct base_err *err)
{
    bool reversed = f->request.cmd.reversed;
    struct base_source *merged, *theirs;
    int rc = repl_page_source(base_buf_view(&f->merged), reversed, NULL, &merged, err);
    if (rc != BASE_OK)
        return rc;
    rc = repl_page_source(base_buf_view(&c->page), reversed, &f->end, &theirs, err);
    if (rc != BASE_OK) {
        merged->ops->close(merged);
        return rc;
    }
    base_buf_reset(&c->repair);
    return repli_repair_difference(f->table->id, reversed, merged, theirs, &c->repair,
                                   &c->repair_count, err);
}

int repli_repair_merge(struct repli_fetch *f, bool repair, struct base_err *err)
{
    size_t n;
    struct repl_page_end end = repli_smallest_end(f, &n);
    struct base_source *merged;
    BASE_ASSERT(n >= f->required);
    int rc = merge_pages(f, n, &end, &merged, err);
    if (rc != BASE_OK)
        return rc;
    rc = write_merged(f, merged, &end, err);
    merged->ops->close(merged);
    if (rc == BASE_OK && f->end.more && f->end.rows < f->request.limits.rows_max)
        f->repl->stats.short_reads++;
    for (struct repli_contact *c = f->contacts; rc == BASE_OK && c; c = c->next) {
        c->repair_count = 0;
        if (repair && has_page(c))
            rc = differ_from_page(f, c, err);
    }
    return rc;
}

/* Our own replica. */

struct repli_local_write {
    struct repl *repl;
    struct repl_store_op op;
    struct base_buf group;
    struct repli_contact *contact; /* NULL: nobody waits any more */
    void (*done)(struct repl *repl, struct repli_contact *contact, int rc, const char *text);
    struct repli_local_write *next;
};

static void local_write_put(struct repli_local_write *w)
{
    base_buf_fini(&w->group);
    w->contact = NULL;
    w->next = w->repl->reads->local_writes;
    w->repl->reads->local_writes = w;
}

void repli_local_write_forget(struct repli_local_write *w)
{
    w->contact = NULL;
}

void repli_local_writes_free(struct repl *repl)
{
    while (repl->reads->local_writes) {
        struct repli_local_write *w = repl->reads->local_writes;
        repl->reads->local_writes = w->next;
        free(w);
    }
}

static void local_written(struct repl_store_op *op)
{
    struct repli_local_write *w = op->ctx;
    struct repl *repl = w->repl;
    struct repli_contact *contact = w->contact;
    struct base_err err = op->err;
    int rc = op->rc;
    void (*done)(struct repl *, struct repli_contact *, int, const char *) = w->done;
    local_write_put(w);
    if (contact)
        done(repl, contact, rc, err.text);
}

enum repl_answer repli_local_write_start(
    struct repl *repl, const struct base_table *table, struct base_buf *group, size_t count,
    void (*done)(struct repl *repl, struct repli_contact *contact, int rc, const char *text),
    struct repli_contact *contact, struct repli_local_write **out, int *rc, struct base_err *err)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(repl->schema, table->keyspace);
    struct repli_local_write *w = repl->reads->local_writes;
    *out = NULL;
    if (w)
        repl->reads->local_writes = w->next;
    else
        w = calloc(1, sizeof *w);
    if (!w) {
        *rc = base_err_set(err, BASE_E_NOMEM, "read repair: out of memory");
        return REPL_DONE;
    }
    *w =
        (struct repli_local_write){.repl = repl, .group = *group, .contact = contact, .done = done};
    base_buf_init(group, group->len_max);
    w->op = (struct repl_store_op){
        .kind = REPL_STORE_WRITE,
        .done = local_written,
        .group = base_buf_view(&w->group),
        .mutation_count = count,
        .durability =
            keyspace && !keyspace->durable_writes ? REPL_DURABLE_MEMORY : REPL_DURABLE_LOG,
        .timeout_ns = repl->config.write_timeout_ns,
        .ctx = w,
    };
    if (repli_store_submit(repl, &w->op) == REPL_PENDING) {
        *out = w;
        return REPL_PENDING;
    }
    *rc = w->op.rc;
    *err = w->op.err;
    local_write_put(w);
    return REPL_DONE;
}

bool repli_pages_equal(struct repli_fetch *f, struct repli_contact *page)
{
    for (struct repli_contact *c = f->contacts; c; c = c->next) {
        if (c == page || c->state != REPLI_CONTACT_ANSWERED)
            continue;
        if (!page->has_digest) {
            repl_page_digest(base_buf_view(&page->page), page->digest);
            page->has_digest = true;
        }
        if (c->has_page && !c->has_digest) {
            repl_page_digest(base_buf_view(&c->page), c->digest);
            c->has_digest = true;
        }
        if (memcmp(page->digest, c->digest, sizeof page->digest) != 0)
            return false;
    }
    return true;
}
