/* Random writes and reads: see the header. Everything made lives in the generator's arena. */
#include "tests/sim/gen.h"

#include <stdio.h>

#include "base/key.h"

/* Columns by id. Static ones come first, as their ids do not matter to the order of rows. */
static const uint32_t static_columns[] = {1, 2}, static_collections[] = {3};
static const uint32_t plain_columns[] = {10, 11, 12, 13}, collections[] = {20, 21};

void gen_options_draw(struct gen_options *o, struct rng *rng)
{
    static const uint32_t partitions[] = {1, 3, 20, 200, 2000}, as[] = {1, 3, 8, 40},
                          bs[] = {1, 4, 30};
    static const uint32_t values[] = {0, 8, 40, 300, 3000};
    *o = (struct gen_options){
        .partitions = partitions[rng_below(rng, BASE_COUNT(partitions))],
        .a_count = as[rng_below(rng, BASE_COUNT(as))],
        .b_count = bs[rng_below(rng, BASE_COUNT(bs))],
        .value_max = values[rng_below(rng, BASE_COUNT(values))],
        .rows_max = (uint32_t)rng_between(rng, 1, 6),
        .hot_percent = (unsigned)rng_below(rng, 60),
        .ttl_percent = (unsigned)rng_below(rng, 40),
        .tie_percent = (unsigned)rng_below(rng, 30),
        .tombstone_percent = (unsigned)rng_between(rng, 2, 60),
    };
}

void gen_options_print(const struct gen_options *o, FILE *out)
{
    fprintf(out,
            "  partitions %u rows %ux%u value_max %u rows_max %u hot %u%% ttl %u%% ties %u%% "
            "tombstones %u%%\n",
            o->partitions, o->a_count, o->b_count, o->value_max, o->rows_max, o->hot_percent,
            o->ttl_percent, o->tie_percent, o->tombstone_percent);
}

static void *take(struct gen *g, size_t size)
{
    void *p = base_arena_zalloc(&g->arena, size ? size : 1);
    BASE_ASSERT(p);
    return p;
}

/* Keys. */

struct base_slice gen_pkey(struct gen *g, uint32_t number)
{
    uint64_t token = number / 4 * 4; /* three partitions of four share a token … */
    if (number % 4 == 3)
        token = number; /* … the fourth has its own */
    token = rng_splitmix(&token);
    uint8_t *p = take(g, 8 + 2 * 8 + 2), *q = p;
    base_put_be64(q, token);
    q += 8;
    uint8_t pk[6] = {'k',
                     (uint8_t)(number % 3),
                     0,
                     (uint8_t)(number >> 16),
                     (uint8_t)(number >> 8),
                     (uint8_t)number};
    for (size_t i = 0; i < sizeof pk; i++) {
        *q++ = pk[i];
        if (pk[i] == 0)
            *q++ = 0xff;
    }
    *q++ = 0;
    *q++ = 1;
    return base_slice(p, (size_t)(q - p));
}

static uint32_t random_partition(struct gen *g)
{
    uint32_t n = g->options.partitions;
    if (n > 3 && rng_chance(&g->rng, g->options.hot_percent))
        n = 3;
    return (uint32_t)rng_below(&g->rng, n);
}

struct base_slice gen_random_pkey(struct gen *g)
{
    return gen_pkey(g, random_partition(g));
}

/* (a, b) or a prefix of it, and a position. parts: 0, 1 or 2. */
static struct base_slice ckey(struct gen *g, unsigned parts, uint32_t a, uint32_t b,
                              uint8_t position)
{
    uint8_t *p = take(g, 2 * 5 + 1), *q = p;
    uint32_t values[2] = {a, b};
    for (unsigned i = 0; i < parts; i++) {
        *q++ = BASE_KEY_NEXT;
        base_put_be32(q, values[i]);
        q += 4;
    }
    *q++ = position;
    return base_slice(p, (size_t)(q - p));
}

static struct base_slice random_row_key(struct gen *g)
{
    return ckey(g, 2, (uint32_t)rng_below(&g->rng, g->options.a_count),
                (uint32_t)rng_below(&g->rng, g->options.b_count), BASE_KEY_AT);
}

/* A bound: before or after a random prefix; with `at` also a row's own key. */
static struct base_slice random_bound(struct gen *g, bool at)
{
    unsigned parts = (unsigned)rng_below(&g->rng, 8);
    parts = parts == 0 ? 0 : parts < 5 ? 2 : 1;
    uint8_t position = rng_chance(&g->rng, 50) ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    if (at && parts == 2 && rng_chance(&g->rng, 30))
        position = BASE_KEY_AT;
    return ckey(g, parts, (uint32_t)rng_below(&g->rng, g->options.a_count + 1u),
                (uint32_t)rng_below(&g->rng, g->options.b_count + 1u), position);
}

/* Times. */

void gen_times_init(struct gen_times *times, int32_t gc_grace_s)
{
    int64_t window_s = gc_grace_s >= 8 ? gc_grace_s - 5 : 0;
    *times = (struct gen_times){.window_us = (window_s < 20 ? window_s : 20) * 1000000,
                                .last_ts = INT64_MIN};
}

static int64_t next_ts(struct gen *g, struct gen_times *t, bool expiring)
{
    int64_t ts;
    if (t->window_us == 0) {
        ts = t->last_ts >= g->now_us ? t->last_ts + 1 : g->now_us;
    } else {
        ts = g->now_us -
             (rng_chance(&g->rng, 60) ? 0 : (int64_t)rng_below(&g->rng, (uint64_t)t->window_us));
        if (expiring) {
            ts = (ts & ~INT64_C(0xfffff)) | (int64_t)(t->expiring_count++ & 0xfffff);
        } else if (rng_chance(&g->rng, g->options.tie_percent)) {
            int64_t old = t->recent[rng_below(&g->rng, BASE_COUNT(t->recent))];
            ts = old >= g->now_us - t->window_us ? old : ts;
        }
        t->recent[rng_below(&g->rng, BASE_COUNT(t->recent))] = ts;
    }
    t->last_ts = ts > t->last_ts ? ts : t->last_ts;
    return ts;
}

static struct base_deletion next_deletion(struct gen *g, struct gen_times *t)
{
    return (struct base_deletion){next_ts(g, t, false), g->now_us / 1000000};
}

/* Writes. */

static struct base_slice random_value(struct gen *g)
{
    size_t len = (size_t)rng_skewed(&g->rng, g->options.value_max);
    uint8_t *p = take(g, len);
    rng_fill(&g->rng, p, len);
    if (rng_chance(&g->rng, 50)) /* compressible, and equal now and then */
        memset(p, (int)rng_below(&g->rng, 4), len);
    return base_slice(p, len);
}

struct row_times {
    int64_t ts;
    int32_t ttl;
    int64_t expires_s;
};

static struct row_times draw_times(struct gen *g, struct gen_times *t)
{
    bool expiring = rng_chance(&g->rng, g->options.ttl_percent);
    struct row_times r = {next_ts(g, t, expiring), 0, 0};
    if (expiring) {
        r.ttl = (int32_t)rng_between(&g->rng, 1, 60);
        r.expires_s = g->now_us / 1000000 + r.ttl;
    }
    return r;
}

static void add_cell(struct gen *g, struct gen_times *t, const struct row_times *r, uint32_t column,
                     struct base_slice path, struct w_cell *out)
{
    struct row_times own = rng_one_in(&g->rng, 8) ? draw_times(g, t) : *r;
    bool dead = !own.ttl && rng_chance(&g->rng, g->options.tombstone_percent / 2);
    *out = (struct w_cell){
        .column = column,
        .kind = dead      ? CELL_DEAD
                : own.ttl ? CELL_EXPIRING
                          : CELL_LIVE,
        .ts = own.ts,
        .ttl = own.ttl,
        .local_s = dead ? g->now_us / 1000000 : own.expires_s,
        .path = path,
        .value = dead ? (struct base_slice){0} : random_value(g),
    };
}

/* Cells of a collection: perhaps a complex deletion (one older: an overwrite), then elements by
 * path. */
static size_t add_collection(struct gen *g, struct gen_times *t, const struct row_times *r,
                             uint32_t column, struct w_cell *out)
{
    size_t n = 0;
    if (rng_chance(&g->rng, 10 + g->options.tombstone_percent / 2))
        out[n++] = (struct w_cell){.column = column,
                                   .kind = CELL_COMPLEX,
                                   .ts = t->window_us && !r->ttl ? r->ts - 1 : next_ts(g, t, false),
                                   .local_s = g->now_us / 1000000};
    for (uint8_t path = 0; path < 5; path++) {
        if (!rng_chance(&g->rng, 30))
            continue;
        uint8_t *p = take(g, 2);
        p[0] = path;
        p[1] = (uint8_t)(path * 7);
        add_cell(g, t, r, column, base_slice(p, 1u + path % 2), &out[n++]);
    }
    return n;
}

static void fill_cells(struct gen *g, struct gen_times *t, const struct row_times *r,
                       const uint32_t *plain, size_t plain_count, const uint32_t *complex,
                       size_t complex_count, struct w_row *row)
{
    struct w_cell *cells = take(g, (plain_count + complex_count * 6) * sizeof *cells);
    size_t n = 0;
    for (size_t i = 0; i < plain_count; i++)
        if (rng_chance(&g->rng, 55))
            add_cell(g, t, r, plain[i], (struct base_slice){0}, &cells[n++]);
    for (size_t i = 0; i < complex_count; i++)
        if (rng_chance(&g->rng, 20))
            n += add_collection(g, t, r, complex[i], cells + n);
    row->cells = cells;
    row->cell_count = n;
}

static void fill_row(struct gen *g, struct gen_times *t, struct base_slice key, struct w_row *row)
{
    *row = (struct w_row){.ckey = key, .live_ts = BASE_TS_NONE, .deletion = BASE_DELETION_NONE};
    if (rng_chance(&g->rng, g->options.tombstone_percent / 3)) {
        row->deletion = next_deletion(g, t);
        if (rng_chance(&g->rng, 70))
            return;
    }
    struct row_times r = draw_times(g, t);
    if (rng_chance(&g->rng, 60)) {
        row->live_ts = r.ts;
        row->live_ttl = r.ttl;
        row->live_expires_s = r.expires_s;
    }
    fill_cells(g, t, &r, plain_columns, BASE_COUNT(plain_columns), collections,
               BASE_COUNT(collections), row);
    if (row->live_ts == BASE_TS_NONE && row->cell_count == 0 &&
        base_deletion_is_none(row->deletion))
        row->live_ts = r.ts, row->live_ttl = r.ttl, row->live_expires_s = r.expires_s;
}

static int by_ckey(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

static void fill_rows(struct gen *g, struct gen_times *t, struct w_mutation *m)
{
    size_t want = 1 + (size_t)rng_skewed(&g->rng, g->options.rows_max - 1), n = 0;
    struct base_slice *keys = take(g, want * sizeof *keys);
    struct w_row *rows = take(g, want * sizeof *rows);
    for (size_t i = 0; i < want; i++)
        keys[i] = random_row_key(g);
    qsort(keys, want, sizeof *keys, by_ckey);
    for (size_t i = 0; i < want; i++)
        if (i == 0 || !base_slice_equal(keys[i - 1], keys[i]))
            fill_row(g, t, keys[i], &rows[n++]);
    m->rows = rows;
    m->row_count = n;
}

static void fill_ranges(struct gen *g, struct gen_times *t, struct w_mutation *m)
{
    size_t want = 1 + (size_t)rng_below(&g->rng, 3), n = 0;
    struct base_range_deletion *ranges = take(g, want * sizeof *ranges);
    for (size_t i = 0; i < want; i++) {
        struct base_slice lo = random_bound(g, false), hi = random_bound(g, false);
        int c = base_slice_compare(lo, hi);
        if (c != 0)
            ranges[n++] =
                (struct base_range_deletion){c < 0 ? lo : hi, c < 0 ? hi : lo, next_deletion(g, t)};
    }
    m->ranges = ranges;
    m->range_count = n;
}

static void fill_static(struct gen *g, struct gen_times *t, struct w_mutation *m)
{
    struct w_row *row = take(g, sizeof *row);
    *row = (struct w_row){.live_ts = BASE_TS_NONE, .deletion = BASE_DELETION_NONE};
    struct row_times r = draw_times(g, t);
    fill_cells(g, t, &r, static_columns, BASE_COUNT(static_columns), static_collections,
               BASE_COUNT(static_collections), row);
    m->static_row = row->cell_count ? row : NULL;
}

void gen_mutation(struct gen *g, struct base_uuid table, struct gen_times *times,
                  struct w_mutation *out)
{
    *out = (struct w_mutation){
        .table_id = table, .pkey = gen_random_pkey(g), .deletion = BASE_DELETION_NONE};
    unsigned t = g->options.tombstone_percent;
    if (rng_chance(&g->rng, t / 4))
        fill_ranges(g, times, out);
    if (rng_one_in(&g->rng, 400 / (t + 1) + 20))
        out->deletion = next_deletion(g, times);
    if (rng_chance(&g->rng, 8))
        fill_static(g, times, out);
    bool has_any = out->range_count || out->static_row || !base_deletion_is_none(out->deletion);
    if (!has_any || rng_chance(&g->rng, 30))
        fill_rows(g, times, out);
}

void gen_simple(struct gen *g, struct base_uuid table, struct base_slice pkey, uint32_t row,
                uint64_t v, int64_t ts, struct w_mutation *out)
{
    struct w_row *r = take(g, sizeof *r);
    struct w_cell *cell = take(g, sizeof *cell);
    uint8_t *value = take(g, 8);
    base_put_le64(value, v);
    *cell =
        (struct w_cell){.column = 10, .kind = CELL_LIVE, .ts = ts, .value = base_slice(value, 8)};
    *r = (struct w_row){ckey(g, 2, row, 0, BASE_KEY_AT), ts, 0, 0, BASE_DELETION_NONE, cell, 1};
    *out = (struct w_mutation){
        .table_id = table, .pkey = pkey, .deletion = BASE_DELETION_NONE, .rows = r, .row_count = 1};
}

/* Reads. */

static int by_bound(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

/* Up to four slices, sorted, not overlapping; also single rows. */
static struct base_slices random_slices(struct gen *g)
{
    size_t want = 1 + (size_t)rng_below(&g->rng, 4), n = 0;
    struct base_slice *bounds = take(g, 2 * want * sizeof *bounds);
    struct base_range *ranges = take(g, want * sizeof *ranges);
    if (rng_chance(&g->rng, 40)) {
        for (size_t i = 0; i < want; i++)
            bounds[i] = random_row_key(g);
        qsort(bounds, want, sizeof *bounds, by_bound);
        for (size_t i = 0; i < want; i++)
            if (i == 0 || !base_slice_equal(bounds[i - 1], bounds[i]))
                ranges[n++] = (struct base_range){bounds[i], bounds[i]};
        return (struct base_slices){ranges, n};
    }
    for (size_t i = 0; i < 2 * want; i++)
        bounds[i] = random_bound(g, true);
    qsort(bounds, 2 * want, sizeof *bounds, by_bound);
    for (size_t i = 0; i < want; i++) {
        struct base_range r = {bounds[2 * i], bounds[2 * i + 1]};
        bool empty = base_slice_equal(r.lo, r.hi) && r.lo.data[r.lo.len - 1] != BASE_KEY_AT;
        if (empty || (n && base_slice_compare(ranges[n - 1].hi, r.lo) >= 0))
            continue;
        ranges[n++] = r;
    }
    if (n && rng_chance(&g->rng, 20))
        ranges[0].lo = (struct base_slice){0};
    if (n && rng_chance(&g->rng, 20))
        ranges[n - 1].hi = (struct base_slice){0};
    return (struct base_slices){ranges, n};
}

/* A key begins with its token, big-endian, the sign flipped. */
static int64_t token_of(struct base_slice pkey)
{
    return (int64_t)(base_get_be64(pkey.data) ^ (UINT64_C(1) << 63));
}

void gen_read(struct gen *g, struct base_uuid table, struct base_read *cmd)
{
    *cmd = BASE_READ_INIT;
    cmd->table_id = table;
    cmd->now_s =
        g->now_us / 1000000 + (rng_chance(&g->rng, 10) ? (int64_t)rng_below(&g->rng, 30) : 0);
    cmd->reversed = rng_chance(&g->rng, 30);
    cmd->slices = base_slices_all;
    unsigned shape = (unsigned)rng_below(&g->rng, 20);
    if (shape < 10)
        cmd->slices = random_slices(g);
    else if (shape == 10)
        cmd->slices = (struct base_slices){NULL, 0};
    /* Whole-table reads cost their size: seldom in large tables. */
    uint32_t n = g->options.partitions;
    if (!rng_one_in(&g->rng, n < 30 ? 4 : n)) {
        cmd->pkey = rng_one_in(&g->rng, 16) ? gen_pkey(g, n + 5) : gen_random_pkey(g);
        return;
    }
    if (rng_chance(&g->rng, 60)) {
        int64_t a = token_of(gen_random_pkey(g)) - (int64_t)rng_below(&g->rng, 2);
        int64_t b = token_of(gen_random_pkey(g));
        cmd->token_after = a < b ? a : b;
        cmd->token_upto = a < b ? b : a;
    }
    if (rng_chance(&g->rng, 30))
        cmd->start_pkey = gen_random_pkey(g);
}
