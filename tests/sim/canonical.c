/* One form of a live row for both sides, so that they are compared as bytes; and the store's own
 * encoding of a write. The model does not come here to evaluate, only to say what it found. */
#include <inttypes.h>

#include "tests/sim/model.h"

static void put_number(struct base_buf *out, int64_t v)
{
    int rc = base_buf_put_le64(out, (uint64_t)v);
    BASE_ASSERT(rc == BASE_OK);
}

static void put_bytes(struct base_buf *out, struct base_slice s)
{
    put_number(out, (int64_t)s.len);
    int rc = base_buf_put_slice(out, s);
    BASE_ASSERT(rc == BASE_OK);
}

void canonical_put_live(struct base_buf *out, int64_t ts, int32_t ttl, int64_t expires_s)
{
    put_number(out, ts);
    put_number(out, ttl);
    put_number(out, expires_s);
}

void canonical_put_cell(struct base_buf *out, const struct w_cell *c)
{
    put_number(out, c->column);
    canonical_put_live(out, c->ts, c->kind == CELL_EXPIRING ? c->ttl : 0,
                       c->kind == CELL_EXPIRING ? c->local_s : 0);
    put_bytes(out, c->path);
    put_bytes(out, c->value);
}

/* Views. */

void view_init(struct view *view)
{
    *view = (struct view){0};
    base_buf_init(&view->bytes, SIZE_MAX);
}

void view_fini(struct view *view)
{
    base_buf_fini(&view->bytes);
    free(view->entries);
}

void view_reset(struct view *view)
{
    base_buf_reset(&view->bytes);
    view->count = 0;
}

bool canonical_row(struct base_slice encoded, int64_t now_s,
                   const struct base_dropped_column *dropped, size_t dropped_count,
                   struct base_buf *out, bool *empty)
{
    struct base_row row;
    *empty = false;
    if (!base_row_decode(encoded, &row))
        return false;
    bool live = row.flags & BASE_ROW_LIVENESS, ttl = row.flags & BASE_ROW_LIVENESS_TTL;
    if (!base_deletion_is_none(row.deletion) || (ttl && row.expires_s <= now_s))
        return false;
    canonical_put_live(out, live ? row.row_ts : BASE_TS_NONE, ttl ? row.ttl : 0,
                       ttl ? row.expires_s : 0);
    struct base_cells it = base_cells_begin(&row);
    struct base_cell cell;
    int more;
    while ((more = base_cells_next(&it, &cell)) == 1) {
        bool expiring = cell.flags & BASE_CELL_EXPIRING;
        if (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION) ||
            (expiring && cell.local_s <= now_s))
            return false;
        bool is_dropped = false;
        for (size_t i = 0; i < dropped_count; i++)
            is_dropped |= dropped[i].id == cell.column && cell.ts <= dropped[i].dropped_us;
        if (!is_dropped)
            canonical_put_cell(
                out, &(struct w_cell){cell.column, expiring ? CELL_EXPIRING : CELL_LIVE, cell.ts,
                                      cell.ttl, cell.local_s, cell.path, cell.value});
    }
    *empty = dropped_count && !live && out->len == 3 * 8;
    return more == 0;
}

static int64_t get_number(struct base_reader *in)
{
    uint64_t v = 0;
    return base_get_u64le(in, &v) ? (int64_t)v : 0;
}

static void print_bytes(FILE *out, struct base_reader *in)
{
    struct base_slice s;
    size_t len = (size_t)get_number(in);
    if (!base_get_raw(in, len, &s))
        return;
    for (size_t i = 0; i < s.len && i < 24; i++)
        fprintf(out, "%02x", s.data[i]);
    if (s.len > 24)
        fprintf(out, "… (%zu bytes)", s.len);
}

void canonical_print(FILE *out, struct base_slice canonical)
{
    struct base_reader in = base_reader(canonical);
    int64_t ts = get_number(&in), ttl = get_number(&in), expires = get_number(&in);
    if (ts == BASE_TS_NONE)
        fprintf(out, "    no liveness\n");
    else
        fprintf(out, "    live ts %" PRId64 " ttl %" PRId64 " expires %" PRId64 "\n", ts, ttl,
                expires);
    while (base_reader_left(&in)) {
        int64_t column = get_number(&in);
        ts = get_number(&in), ttl = get_number(&in), expires = get_number(&in);
        fprintf(out,
                "    column %" PRId64 " ts %" PRId64 " ttl %" PRId64 " expires %" PRId64 " path ",
                column, ts, ttl, expires);
        print_bytes(out, &in);
        fprintf(out, " value ");
        print_bytes(out, &in);
        fprintf(out, "\n");
    }
}

/* The store's encoding. */

static void row_encode(const struct w_row *row, struct base_buf *out)
{
    struct base_row_builder b;
    int64_t row_ts = row->live_ts != BASE_TS_NONE ? row->live_ts
                     : row->cell_count            ? row->cells[0].ts
                                                  : row->deletion.ts;
    int rc = base_row_begin(&b, out, row_ts);
    if (!rc && row->live_ts != BASE_TS_NONE)
        rc = base_row_put_liveness(&b, row->live_ttl, row->live_expires_s);
    if (!rc && !base_deletion_is_none(row->deletion))
        rc = base_row_put_deletion(&b, row->deletion);
    for (size_t i = 0; !rc && i < row->cell_count; i++) {
        static const uint8_t flags[] = {0, BASE_CELL_EXPIRING, BASE_CELL_DEAD,
                                        BASE_CELL_COMPLEX_DELETION};
        const struct w_cell *c = &row->cells[i];
        rc = base_row_put_cell(&b, &(struct base_cell){.column = c->column,
                                                       .flags = flags[c->kind],
                                                       .ts = c->ts,
                                                       .ttl = c->ttl,
                                                       .local_s = c->local_s,
                                                       .path = c->path,
                                                       .value = c->value});
    }
    BASE_ASSERT(rc == BASE_OK);
    base_row_end(&b);
}

void w_mutation_encode(const struct w_mutation *m, struct base_buf *out)
{
    struct base_buf rows;
    base_buf_init(&rows, SIZE_MAX);
    size_t n = m->row_count, *ends = calloc(n + 1, sizeof *ends);
    struct base_mutation_row_part *parts = calloc(n + 1, sizeof *parts);
    BASE_ASSERT(ends && parts);
    if (m->static_row)
        row_encode(m->static_row, &rows);
    ends[0] = rows.len;
    for (size_t i = 0; i < n; i++) {
        row_encode(&m->rows[i], &rows);
        ends[i + 1] = rows.len;
    }
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct base_mutation_row_part){
            m->rows[i].ckey, base_slice(rows.data + ends[i], ends[i + 1] - ends[i])};
    int rc = base_mutation_put(out, m->table_id, m->pkey, m->deletion,
                               base_slice(rows.data, ends[0]), m->ranges, m->range_count, parts, n);
    BASE_ASSERT(rc == BASE_OK);
    free(parts);
    free(ends);
    base_buf_fini(&rows);
}
