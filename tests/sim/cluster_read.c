/* Reads: a partition, a slice of it, a range of tokens, either direction, with limits, page by
 * page; and what the pages say.
 *
 * A page says all about its bounds. So an atom is covered when the command asks for it and it is
 * not behind the end of what was read: the last page's end, or the last row that a limit let
 * through. */
#include "tests/sim/cluster_load.h"

#include <inttypes.h>
#include <stdio.h>

#include "replication/page.h"

static struct rng *rng_of(struct cl_client *c)
{
    return &c->load->w->rng;
}

/* What is asked. */

static struct base_slice keep(struct cl_client *c, struct base_buf *buf)
{
    struct base_slice s = base_buf_view(buf);
    CL_OK(base_arena_copy(&c->arena, s, &s));
    base_buf_fini(buf);
    return s;
}

static void draw_slice(struct cl_client *c)
{
    const struct cm_table *t = c->of;
    struct base_buf lo, hi;
    c->row_lo = 0;
    c->row_hi = t->row_count - 1;
    c->whole = true;
    c->cmd.slices = base_slices_all;
    if (c->final || !rng_one_in(rng_of(c), 3))
        return;
    c->whole = false;
    c->row_lo = (unsigned)rng_below(rng_of(c), t->row_count);
    c->row_hi = c->row_lo + (unsigned)rng_below(rng_of(c), t->row_count - c->row_lo);
    base_buf_init(&lo, 1024);
    base_buf_init(&hi, 1024);
    bool one = c->row_lo == c->row_hi && rng_chance(rng_of(c), 50);
    cl_put_ckey(t, t->descending ? c->row_hi : c->row_lo, one ? BASE_KEY_AT : BASE_KEY_BEFORE, &lo);
    cl_put_ckey(t, t->descending ? c->row_lo : c->row_hi, one ? BASE_KEY_AT : BASE_KEY_AFTER, &hi);
    c->range = (struct base_range){keep(c, &lo), keep(c, &hi)};
    c->cmd.slices = (struct base_slices){&c->range, 1};
}

static int64_t token_of(const struct cm_table *t, unsigned partition)
{
    struct base_buf pkey;
    base_buf_init(&pkey, 1024);
    cl_put_pkey(t, partition, &pkey);
    int64_t token = base_token_get(pkey.data);
    base_buf_fini(&pkey);
    return token;
}

static void draw_range(struct cl_client *c)
{
    c->one_partition = -1;
    if (c->final || rng_chance(rng_of(c), 40))
        return;
    int64_t a = token_of(c->of, (unsigned)rng_below(rng_of(c), c->of->partition_count)),
            b = (int64_t)rng_u64(rng_of(c));
    c->cmd.token_after = a < b ? a : b;
    c->cmd.token_upto = a < b ? b : a;
    if (c->cmd.token_after == c->cmd.token_upto)
        c->cmd.token_upto = INT64_MAX;
}

/* By index: values that some write wrote. */

/* Rather one of the last: what is old was mostly overwritten. */
static const struct cm_write *draw_write(struct cl_client *c)
{
    const struct cm_write *found = NULL;
    unsigned p = (unsigned)rng_below(rng_of(c), c->of->partition_count);
    for (const struct cm_write *w = c->of->partitions[p].writes; w; w = w->next) {
        if (w->kind != CM_ROW || !(w->value[0] || w->value[1]))
            continue;
        found = w;
        if (rng_one_in(rng_of(c), 4))
            break;
    }
    return found;
}

static void draw_sought(struct cl_client *c)
{
    const struct cm_write *w = draw_write(c);
    struct cl_sought *sought = &c->sought;
    if (!w)
        return;
    unsigned at = w->value[0] && (!w->value[1] || rng_chance(rng_of(c), 50)) ? 0 : 1;
    *sought = (struct cl_sought){.active = true, .which = 1 + at, .value = w->value[at], .row = -1};
    uint32_t columns[] = {CM_COLUMN_A, CM_COLUMN_B};
    c->filters[0] = (struct base_filter){
        .column = columns[at], .op = BASE_FILTER_EQ, .operand = cl_value_bytes(c, w->value[at])};
    c->cmd.filters = c->filters;
    c->cmd.filter_count = 1;
    uint32_t second = (uint32_t)rng_below(rng_of(c), 4);
    if (second == 0 && w->value[1 - at]) {
        sought->other = w->value[1 - at];
        c->filters[c->cmd.filter_count++] =
            (struct base_filter){.column = columns[1 - at],
                                 .op = BASE_FILTER_EQ,
                                 .operand = cl_value_bytes(c, sought->other)};
    } else if (second == 1) {
        uint8_t *row = cluster_must(base_arena_alloc(&c->arena, 4));
        base_put_be32(row, cl_row_value(w->row_lo));
        sought->row = (int)w->row_lo;
        c->filters[c->cmd.filter_count++] = (struct base_filter){
            .column = CM_COLUMN_ROW, .op = BASE_FILTER_EQ, .operand = base_slice(row, 4)};
    }
    c->load->index_reads++;
}

/* Is the row what the read asks for? */
static bool is_sought(const struct cl_client *c, const struct cm_view *view, unsigned row)
{
    const struct cl_sought *s = &c->sought;
    const struct cm_observed *own = &view->atoms[cm_atom(row, s->which)],
                             *other = &view->atoms[cm_atom(row, 3 - s->which)];
    return own->present && own->value == s->value && (s->row < 0 || row == (unsigned)s->row) &&
           (!s->other || (other->present && other->value == s->other));
}

/* Must the read have it, in that row? */
static bool must_have(const struct cl_client *c, unsigned p, unsigned row)
{
    const struct cl_sought *s = &c->sought;
    const struct cm_model *m = &c->load->model;
    return (s->row < 0 || row == (unsigned)s->row) &&
           cm_must_show(m, c->of, p, cm_atom(row, s->which), &c->judged, s->value) &&
           (!s->other ||
            cm_must_show(m, c->of, p, cm_atom(row, 3 - s->which), &c->judged, s->other));
}

static void read_done(struct repl_read *read);

static void forget_answer(struct cl_client *c)
{
    memset(c->views, 0, sizeof c->views);
    memset(c->partition_rows, 0, sizeof c->partition_rows);
    memset(c->partition_cut, 0, sizeof c->partition_cut);
    memset(c->static_counted, 0, sizeof c->static_counted);
    base_buf_reset(&c->last_pkey);
    base_buf_reset(&c->last_ckey);
    c->end_known = false;
    c->rows_seen = c->pages = 0;
}

static void start(struct cl_client *c, bool ranges, int consistency)
{
    struct cl_load *load = c->load;
    struct base_buf pkey;
    const struct repl_config *config = &load->w->options.config;
    c->cmd = BASE_READ_INIT;
    c->cmd.table_id = c->table->id;
    c->cmd.epoch = c->schema->epoch;
    c->cmd.now_s = base_clock_wall_s(&c->node->clock.base);
    draw_slice(c);
    if (ranges) {
        draw_range(c);
    } else {
        base_buf_init(&pkey, 1024);
        c->one_partition = (int)rng_below(rng_of(c), c->of->partition_count);
        cl_put_pkey(c->of, (unsigned)c->one_partition, &pkey);
        c->cmd.pkey = keep(c, &pkey);
    }
    c->cmd.reversed = !c->final && rng_one_in(rng_of(c), 3);
    c->sought = (struct cl_sought){0};
    if (!c->final && load->options.indexes && rng_chance(rng_of(c), load->options.indexes))
        draw_sought(c);
    bool limits = !c->final && !c->sought.active;
    if (limits && rng_one_in(rng_of(c), 4))
        c->cmd.row_limit = 1 + rng_below(rng_of(c), 2 * c->of->row_count);
    if (limits && rng_one_in(rng_of(c), 6))
        c->cmd.partition_row_limit = 1 + rng_below(rng_of(c), c->of->row_count);
    forget_answer(c);
    c->judged = (struct cm_read){
        .begin = ++load->model.tick,
        .strength = cm_strength_of(&c->of->replication, consistency, cl_node_dc(c->node)),
        .now_s = c->cmd.now_s,
        .truncated_us = c->table->truncated_us,
    };
    c->read = (struct repl_read){
        .cmd = &c->cmd,
        .table = c->table,
        .consistency = consistency,
        .done = read_done,
        .page_rows_max = rng_chance(rng_of(c), 50) ? 1 + rng_below(rng_of(c), 6) : 1000,
    };
    cl_request_begins(c, CL_READ, ranges ? config->range_timeout_ns : config->read_timeout_ns);
    repl_read_start(c->node->repl, &c->read);
}

void cl_start_read(struct cl_client *c)
{
    bool ranges = rng_below(rng_of(c), c->load->options.reads + c->load->options.range_reads) >=
                  c->load->options.reads;
    c->final = false;
    start(c, ranges, cl_pick_consistency(c, false));
}

/* What a page says. */

static unsigned partition_of(struct cl_client *c, struct base_slice pkey)
{
    struct base_buf own;
    base_buf_init(&own, 1024);
    for (unsigned p = 0; p < c->of->partition_count; p++) {
        base_buf_reset(&own);
        cl_put_pkey(c->of, p, &own);
        if (base_slice_equal(base_buf_view(&own), pkey)) {
            base_buf_fini(&own);
            return p;
        }
    }
    cluster_fail(c->load->w, "a read shows a partition that nobody wrote");
}

static unsigned row_of(struct cl_client *c, struct base_slice ckey)
{
    struct base_buf own;
    base_buf_init(&own, 1024);
    for (unsigned r = c->row_lo; r <= c->row_hi; r++) {
        base_buf_reset(&own);
        cl_put_ckey(c->of, r, BASE_KEY_AT, &own);
        if (base_slice_equal(base_buf_view(&own), ckey)) {
            base_buf_fini(&own);
            return r;
        }
    }
    cluster_fail(c->load->w, "a read shows a row that it was not asked for, or that nobody wrote");
}

static void see_cell(struct cl_client *c, struct cm_observed *o, const struct base_cell *cell)
{
    if (o->present)
        cluster_fail(c->load->w, "a read shows a cell twice");
    if (cell->value.len < 8 || cell->flags & ~(BASE_CELL_EXPIRING | BASE_CELL_OWN_TS))
        cluster_fail(c->load->w, "a read shows a cell that nobody wrote (flags %x, %zu bytes)",
                     cell->flags, cell->value.len);
    *o = (struct cm_observed){.present = true,
                              .ts = cell->ts,
                              .value = base_get_be64(cell->value.data),
                              .ttl = cell->ttl};
    if (cell->value.len !=
        8 + (size_t)(o->value * 2654435761u % (c->load->options.value_len_max + 1)))
        cluster_fail(c->load->w, "a read shows a value of another length than it was written with");
}

static void see_row(struct cl_client *c, struct cm_view *view, unsigned row, bool is_static,
                    struct base_slice encoded)
{
    struct base_row r;
    struct base_cell cell;
    int more;
    if (!base_row_check(encoded) || !base_row_decode(encoded, &r))
        cluster_fail(c->load->w, "a read shows a damaged row");
    if (r.flags & BASE_ROW_LIVENESS)
        view->atoms[cm_atom(row, 0)] =
            (struct cm_observed){.present = true, .ts = r.row_ts, .ttl = r.ttl};
    struct base_cells it = base_cells_begin(&r);
    while ((more = base_cells_next(&it, &cell)) > 0) {
        bool fits = is_static ? cell.column == CM_COLUMN_STATIC
                              : cell.column == CM_COLUMN_A || cell.column == CM_COLUMN_B;
        if (!fits)
            cluster_fail(c->load->w, "a read shows column %u where it cannot be", cell.column);
        see_cell(
            c,
            &view->atoms[is_static ? CM_STATIC : cm_atom(row, cell.column == CM_COLUMN_A ? 1 : 2)],
            &cell);
    }
    BASE_ASSERT(more == 0);
}

static int compare_place(const struct cl_client *c, struct base_slice a_pkey,
                         struct base_slice a_ckey, struct base_slice b_pkey,
                         struct base_slice b_ckey)
{
    int way = base_slice_compare(a_pkey, b_pkey);
    if (way)
        return way;
    way = base_slice_compare(a_ckey, b_ckey);
    return c->cmd.reversed ? -way : way;
}

static void remember(struct base_buf *buf, struct base_slice s)
{
    base_buf_reset(buf);
    CL_OK(base_buf_put_slice(buf, s));
}

static void limit_reached(struct cl_client *c, struct base_slice pkey, struct base_slice ckey)
{
    c->end_known = true;
    remember(&c->end_pkey, pkey);
    remember(&c->end_ckey, ckey);
}

/* False: the command's limit is reached; nothing behind it is looked at. */
static bool see_live_row(struct cl_client *c, unsigned p, struct base_slice pkey,
                         struct base_slice ckey, struct base_slice row)
{
    if (c->last_pkey.len && compare_place(c, base_buf_view(&c->last_pkey),
                                          base_buf_view(&c->last_ckey), pkey, ckey) >= 0)
        cluster_fail(c->load->w, "a read shows rows out of order, or one twice");
    remember(&c->last_pkey, pkey);
    remember(&c->last_ckey, ckey);
    if (c->partition_rows[p] >= c->cmd.partition_row_limit)
        return true; /* more than was asked for: whoever consumes the page skips it */
    unsigned number = row_of(c, ckey);
    see_row(c, &c->views[p], number, false, row);
    if (c->sought.active && !is_sought(c, &c->views[p], number)) /* the consumer judges, too */
        memset(&c->views[p].atoms[cm_atom(number, 0)], 0, 3 * sizeof(struct cm_observed));
    if (c->sought.active)
        return true;
    /* what is behind it is not covered */
    c->partition_cut[p] = ++c->partition_rows[p] == c->cmd.partition_row_limit;
    if (++c->rows_seen < c->cmd.row_limit)
        return true;
    limit_reached(c, pkey, ckey);
    return false;
}

/* A partition that has a live static row alone counts as a row when the whole of it is asked for
 * (base/read.h). */
static bool see_end_of_partition(struct cl_client *c, unsigned p, struct base_slice pkey)
{
    if (!c->whole || c->sought.active || c->partition_rows[p] || c->static_counted[p] ||
        !c->views[p].atoms[CM_STATIC].present)
        return true;
    c->static_counted[p] = true;
    if (++c->rows_seen < c->cmd.row_limit)
        return true;
    limit_reached(c, pkey, (struct base_slice){0});
    return false;
}

static bool see_partition(struct cl_client *c, struct base_source *source,
                          const struct base_partition *partition)
{
    struct base_err err;
    struct base_item item = {0};
    unsigned p = partition_of(c, partition->pkey);
    struct base_buf pkey;
    base_buf_init(&pkey, 1024);
    CL_OK(base_buf_put_slice(&pkey, partition->pkey));
    if (c->one_partition >= 0 && p != (unsigned)c->one_partition)
        cluster_fail(c->load->w, "a read of one partition shows another");
    if (partition->static_row.len && !c->views[p].atoms[CM_STATIC].present)
        see_row(c, &c->views[p], 0, true, partition->static_row);
    bool on = true;
    while (on) {
        int rc = source->ops->next(source, &item, &err);
        if (rc != BASE_OK)
            cluster_fail(c->load->w, "a page: %s", err.text);
        if (item.kind == BASE_ITEM_END)
            break;
        if (item.kind == BASE_ITEM_ROW)
            on = see_live_row(c, p, base_buf_view(&pkey), item.ckey, item.row);
    }
    bool complete =
        !c->read.end_ckey.len || !base_slice_equal(c->read.end_pkey, base_buf_view(&pkey));
    if (on && complete)
        on = see_end_of_partition(c, p, base_buf_view(&pkey));
    base_buf_fini(&pkey);
    return on;
}

/* Rows of a stream with tombstones. False: a limit is reached. Takes it over. */
static bool see_stream(struct cl_client *c, struct base_source *stream)
{
    struct base_err err = {0};
    struct base_source *live;
    struct base_partition partition;
    struct base_merge_options options = {
        .reversed = c->cmd.reversed, .purge = {.now_s = c->cmd.now_s, .gc_before_s = INT64_MIN}};
    CL_OK(base_merge_open(&stream, 1, &options, &live, &err));
    bool on = true;
    while (on) {
        int rc = live->ops->partition(live, &partition, &err);
        if (rc != BASE_OK)
            cluster_fail(c->load->w, "a page: %s", err.text);
        if (!partition.pkey.len)
            break;
        on = see_partition(c, live, &partition);
    }
    live->ops->close(live);
    return on;
}

/* False: a limit is reached. */
static bool see_page(struct cl_client *c)
{
    struct base_err err = {0};
    struct base_source *page;
    struct repl_page_end end;
    if (!repl_page_check(c->read.page, c->cmd.reversed, &end))
        cluster_fail(c->load->w, "a damaged page");
    CL_OK(repl_page_source(c->read.page, c->cmd.reversed, NULL, &page, &err));
    c->pages++;
    if (!see_stream(c, page))
        return false;
    c->end_known = c->read.end_pkey.len != 0;
    if (c->read.more && !c->end_known)
        cluster_fail(c->load->w, "a page with more behind it that does not say where it ends");
    remember(&c->end_pkey, c->read.end_pkey);
    remember(&c->end_ckey, c->read.end_ckey);
    return true;
}

/* What is covered. */

static bool partition_asked(const struct cl_client *c, unsigned p)
{
    if (c->one_partition >= 0)
        return p == (unsigned)c->one_partition;
    int64_t token = token_of(c->of, p);
    return token > c->cmd.token_after && token <= c->cmd.token_upto;
}

static void cover(struct cl_client *c, unsigned p)
{
    struct base_buf pkey, ckey;
    struct cm_view *view = &c->views[p];
    base_buf_init(&pkey, 1024);
    base_buf_init(&ckey, 1024);
    cl_put_pkey(c->of, p, &pkey);
    int way =
        c->end_known ? base_slice_compare(base_buf_view(&pkey), base_buf_view(&c->end_pkey)) : -1;
    bool cut = way == 0 && c->end_ckey.len; /* the end is inside */
    view->atoms[CM_STATIC].covered = way <= 0 && c->whole;
    bool behind_last = false; /* of a partition's limit: in the order of reading */
    unsigned left = c->partition_cut[p] ? c->partition_rows[p] : UINT32_MAX;
    for (unsigned k = 0; k < c->of->row_count; k++) {
        unsigned row = (c->of->descending != c->cmd.reversed) ? c->of->row_count - 1 - k : k;
        base_buf_reset(&ckey);
        cl_put_ckey(c->of, row, BASE_KEY_AT, &ckey);
        int place = base_slice_compare(base_buf_view(&ckey), base_buf_view(&c->end_ckey));
        bool before_end =
            way < 0 || (way == 0 && (!cut || (c->cmd.reversed ? place >= 0 : place <= 0)));
        bool present = false;
        for (unsigned which = 0; which < 3; which++) {
            view->atoms[cm_atom(row, which)].covered =
                before_end && row >= c->row_lo && row <= c->row_hi && !behind_last;
            present |= view->atoms[cm_atom(row, which)].present;
        }
        left -= present && left != UINT32_MAX;
        behind_last |= left == 0;
    }
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
}

static const char *limit_text(uint64_t limit, char text[24])
{
    snprintf(text, 24, "%" PRIu64, limit);
    return limit == UINT64_MAX ? "none" : text;
}

_Noreturn static void wrong(struct cl_client *c, const char *complaint)
{
    char rows[24], partition_rows[24];
    fprintf(stderr,
            "the read: %s at level %d through %s%s, partition %d, tokens %" PRId64 " to %" PRId64
            ", rows %u to %u, limits %s and %s,"
            " %" PRIu64 " pages, %" PRIu64 " rows, %s, now %" PRId64 "\n",
            c->one_partition >= 0 ? "a partition" : "a range", c->read.consistency,
            c->node->address, c->cmd.reversed ? ", reversed" : "", c->one_partition,
            c->cmd.token_after, c->cmd.token_upto, c->row_lo, c->row_hi,
            limit_text(c->cmd.row_limit, rows),
            limit_text(c->cmd.partition_row_limit, partition_rows), c->pages, c->rows_seen,
            c->end_known ? "up to a place" : "to the end", c->cmd.now_s);
    if (c->sought.active)
        fprintf(stderr,
                "  by index: %c = %" PRIu64 ", row %d, the other = %" PRIu64
                " (0: any), %zu indexes, pages of %" PRIu64 "\n",
                "lab"[c->sought.which], c -> sought.value, c->sought.row, c->sought.other,
                c->table->index_count, c->read.page_rows_max);
    for (unsigned p = 0; p < c->of->partition_count; p++) {
        fprintf(stderr, "  partition %u, token %" PRId64 ":", p, token_of(c->of, p));
        for (unsigned a = 0; a < 1 + 3 * c->of->row_count; a++)
            if (c->views[p].atoms[a].present || c->views[p].atoms[a].covered)
                fprintf(stderr, " %u%c%s", a ? (a - 1) / 3 : 0, a ? "lab"[(a - 1) % 3] : 's',
                        !c->views[p].atoms[a].present  ? "-"
                        : c->views[p].atoms[a].covered ? "+"
                                                       : "!");
        fprintf(stderr, "\n");
    }
    cluster_fail(c->load->w, "client %zu: %s", c->index, complaint);
}

/* By index: of what is covered, rows that are there are told of; rows that are not must not be ones
 * that are sought. */
static void cover_found(struct cl_client *c, unsigned p)
{
    struct cm_view *view = &c->views[p];
    char complaint[128];
    view->atoms[CM_STATIC].covered = false;
    for (unsigned row = 0; row < c->of->row_count; row++) {
        struct cm_observed *own = &view->atoms[cm_atom(row, c->sought.which)];
        c->load->index_finds += own->present;
        if (own->present || !own->covered)
            continue;
        for (unsigned which = 0; which < 3; which++)
            view->atoms[cm_atom(row, which)].covered = false;
        if (must_have(c, p, row)) {
            snprintf(complaint, sizeof complaint,
                     "a read by index misses row %u of partition %u, whose %c is %" PRIu64, row, p,
                     "lab"[c->sought.which], c -> sought.value);
            wrong(c, complaint);
        }
    }
}

static void judge(struct cl_client *c)
{
    struct cl_load *load = c->load;
    char complaint[512];
    cm_see_clocks(&load->model, load->w);
    for (unsigned p = 0; p < c->of->partition_count; p++) {
        if (!partition_asked(c, p))
            continue;
        cover(c, p);
        if (c->sought.active)
            cover_found(c, p);
        if (!cm_check(&load->model, c->of, p, &c->judged, &c->views[p], complaint))
            wrong(c, complaint);
    }
}

/* Its life. */

static void check_outcome(struct cl_client *c)
{
    struct cl_load *load = c->load;
    const struct repl_outcome *o = &c->read.outcome;
    bool moved = load->log.schema->epoch > c->schema->epoch;
    bool allowed =
        o->rc == BASE_E_UNAVAILABLE || o->rc == BASE_E_TIMEOUT || o->rc == BASE_E_UNKNOWN ||
        o->rc == BASE_E_OVERLOADED || o->rc == BASE_E_CLOSED || o->rc == BASE_E_IO ||
        o->rc == BASE_E_STOPPED ||
        (moved && (o->rc == BASE_E_STALE || o->rc == BASE_E_NOTFOUND || o->rc == BASE_E_INVALID));
    if (!allowed || ((load->calm || c->final) && !moved))
        cluster_fail(load->w, "a read at level %d through %s ends with %s%s: %s",
                     c->read.consistency, c->node->address, base_err_words(o->rc),
                     allowed ? " although nothing is wrong" : "", o->err.text);
}

static void next_page(struct cluster_world *w, struct cluster_event *event)
{
    struct cl_client *c = BASE_CONTAINER(event, struct cl_client, event);
    (void)w;
    c->between_pages = false;
    const struct repl_config *config = &w->options.config;
    cl_request_begins(c, CL_READ,
                      c->one_partition >= 0 ? config->read_timeout_ns : config->range_timeout_ns);
    repl_read_next(c->node->repl, &c->read);
}

static void read_done(struct repl_read *read)
{
    struct cl_client *c = BASE_CONTAINER(read, struct cl_client, read);
    struct cluster_world *w = c->load->w;
    BASE_ASSERT(c->request == CL_READ && !c->between_pages);
    if (c->node->state == CLUSTER_NODE_DYING) {
        repl_read_close(c->node->repl, read);
        cl_request_ends(c, &read->outcome);
        return;
    }
    if (read->outcome.rc != BASE_OK)
        check_outcome(c);
    bool more = read->outcome.rc == BASE_OK && see_page(c) && read->more;
    if (more &&
        (c->final || !rng_one_in(rng_of(c), 12))) { /* now and then a client has seen enough */
        c->between_pages = true;
        cluster_cancel(w, &c->watchdog);
        cluster_post(w, &c->event, c->node, cluster_draw_ns(w, 200 * CLUSTER_MS), next_page);
        return;
    }
    if (c->pages)
        judge(c);
    struct repl_outcome outcome = read->outcome;
    repl_read_close(c->node->repl, read);
    cl_request_ends(c, &outcome);
}

void cl_node_ends(struct cl_load *load, struct cluster_node *node)
{
    for (size_t i = 0; i < load->options.clients; i++) {
        struct cl_client *c = &load->clients[i];
        if (c->request != CL_READ || c->node != node || !c->between_pages)
            continue;
        cluster_cancel(load->w, &c->event);
        judge(c);
        repl_read_close(node->repl, &c->read);
        cl_request_ends(c, &(struct repl_outcome){.rc = BASE_E_CLOSED});
    }
}

/* The last check. */

static void read_all(struct cl_load *load, struct cl_client *c, struct cm_table *t,
                     struct cm_final *final)
{
    struct cluster_world *w = load->w;
    c->final = true;
    if (!cl_pick_node(c))
        cluster_fail(w, "after healing no node serves");
    c->schema = base_schema_acquire(repl_schema(c->node->repl));
    c->table = base_schema_table_by_id(c->schema, t->id);
    c->of = t;
    if (c->table) {
        start(c, true, REPL_CL_ALL);
        if (!cluster_run_until(w, cl_is_idle, load, 60 * CLUSTER_S))
            cluster_fail(w, "the last reads do not end");
    }
    *final = (struct cm_final){.table = t};
    memcpy(final->views, c->views, sizeof c->views);
    if (c->schema && !c->table)
        base_schema_release(c->schema);
    if (!c->table)
        c->schema = NULL;
}

/* One replica's store as if it were an answer at ALL. */
static void check_replica(struct cl_client *c, struct cluster_node *node, unsigned partition)
{
    struct cl_load *load = c->load;
    struct base_source *stored;
    struct base_err err = {0};
    struct base_buf pkey;
    char complaint[512];
    forget_answer(c);
    cm_see_clocks(&load->model, load->w);
    base_buf_init(&pkey, 1024);
    cl_put_pkey(c->of, partition, &pkey);
    c->sought = (struct cl_sought){0};
    c->cmd = BASE_READ_INIT;
    c->cmd.table_id = c->of->id;
    c->cmd.pkey = base_buf_view(&pkey);
    c->cmd.slices = base_slices_all;
    c->cmd.now_s = base_clock_wall_s(&node->clock.base);
    c->row_lo = 0;
    c->row_hi = c->of->row_count - 1;
    c->whole = true;
    c->one_partition = (int)partition;
    c->read = (struct repl_read){.more = false};
    c->judged = (struct cm_read){.begin = ++load->model.tick,
                                 .strength = cm_strength_of(&c->of->replication, REPL_CL_ALL, 0),
                                 .now_s = c->cmd.now_s,
                                 .truncated_us = INT64_MIN,
                                 .look = true};
    if (cluster_store_read(node, &c->cmd, &stored, &err) != BASE_OK)
        cluster_fail(load->w, "%s: its own table cannot be read: %s", node->address, err.text);
    see_stream(c, stored);
    cover(c, partition);
    if (!cm_check(&load->model, c->of, partition, &c->judged, &c->views[partition], complaint))
        cluster_fail(load->w, "the replica %s did not get what was written: %s", node->address,
                     complaint);
    base_buf_fini(&pkey);
}

void cl_check_replicas(struct cl_load *load)
{
    struct cluster_world *w = load->w;
    struct cl_client *c = &load->clients[0];
    for (struct cm_table *t = load->model.tables; t; t = t->next) {
        const struct base_keyspace *ks =
            base_schema_keyspace(load->log.schema, base_slice_str(t->keyspace));
        struct ring_placement *placement;
        if (!ks || !base_schema_table_by_id(load->log.schema, t->id))
            continue;
        CL_OK(ring_placement_new(load->log.ring, &ks->replication, w->nodes[0].host_id, &placement,
                                 NULL));
        c->of = t;
        for (unsigned p = 0; p < t->partition_count; p++) {
            const struct ring_range *range = ring_placement_find(placement, token_of(t, p));
            for (size_t i = 0; i < w->options.nodes; i++) {
                bool owner = false;
                for (size_t k = 0; k < range->write.count; k++)
                    owner |=
                        base_uuid_equal(load->log.ring->members[range->write.members[k]].host_id,
                                        w->nodes[i].host_id);
                if (owner)
                    check_replica(c, &w->nodes[i], p);
            }
        }
        ring_placement_release(placement);
    }
}

void cl_check_everything(struct cl_load *load)
{
    struct cm_final finals[2 * CL_KEYSPACES_MAX * CL_NAMES];
    size_t count = 0;
    char complaint[512];
    for (struct cm_table *t = load->model.tables; t; t = t->next) {
        if (!base_schema_table_by_id(load->log.schema, t->id))
            continue;
        BASE_ASSERT(count < BASE_COUNT(finals));
        read_all(load, &load->clients[0], t, &finals[count++]);
    }
    if (!cm_check_whole(&load->model, finals, count, complaint))
        cluster_fail(load->w, "%s", complaint);
}
