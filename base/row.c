/* The row codec: reading, checking, statistics. Building is row_build.c, merging reconcile.c.
 *
 * Invariants:
 *  1. Nothing is read past the encoded bytes, whatever they are.
 *  2. A timestamp is row_ts minus a zigzag delta in arithmetic modulo 2^64, so that every pair of
 *     timestamps has a delta. BASE_TS_NONE is no timestamp of a thing that is there.
 *  3. What base_row_check accepts decodes to the end and merges without CORRUPT. */
#include "base/row.h"

#define ROW_FLAGS_KNOWN                                                                            \
    (BASE_ROW_LIVENESS | BASE_ROW_LIVENESS_TTL | BASE_ROW_DELETION | BASE_ROW_ORIGINALS |          \
     BASE_ROW_MORTAL | BASE_ROW_OWN_TS)

static bool get_ts(struct base_reader *in, int64_t row_ts, int64_t *ts)
{
    uint64_t delta;
    if (!base_get_varint(in, &delta))
        return false;
    *ts = (int64_t)((uint64_t)row_ts - (uint64_t)base_unzigzag(delta));
    return true;
}

static bool get_seconds(struct base_reader *in, int64_t *seconds)
{
    uint64_t v;
    bool ok = base_get_varint(in, &v) && v <= (uint64_t)BASE_EXPIRES_MAX;
    *seconds = ok ? (int64_t)v : 0;
    return ok;
}

static bool get_ttl(struct base_reader *in, int32_t *ttl)
{
    uint64_t v;
    bool ok = base_get_varint(in, &v) && v >= 1 && v <= BASE_TTL_MAX;
    *ttl = ok ? (int32_t)v : 0;
    return ok;
}

bool base_row_decode_slow(struct base_slice encoded, struct base_row *row)
{
    *row = (struct base_row){.deletion = BASE_DELETION_NONE};
    if (encoded.len < BASE_ROW_HEAD_LEN)
        return false;
    struct base_row r = *row;
    struct base_reader in = base_reader(encoded);
    in.p += BASE_ROW_HEAD_LEN;
    r.flags = encoded.data[0];
    r.row_ts = (int64_t)base_get_le64(encoded.data + 1);
    if ((r.flags & ~ROW_FLAGS_KNOWN) || r.row_ts == BASE_TS_NONE)
        return false;
    if (r.flags & BASE_ROW_LIVENESS_TTL) {
        if (!(r.flags & BASE_ROW_LIVENESS) || !get_ttl(&in, &r.ttl) ||
            !get_seconds(&in, &r.expires_s))
            return false;
    }
    if (r.flags & BASE_ROW_DELETION) {
        if (!get_ts(&in, r.row_ts, &r.deletion.ts) || !get_seconds(&in, &r.deletion.local_s) ||
            r.deletion.ts == BASE_TS_NONE)
            return false;
    }
    if (r.flags & BASE_ROW_ORIGINALS) {
        if (!base_get_bytes(&in, &r.originals) || r.originals.len == 0)
            return false;
    }
    r.cells = base_slice(in.p, base_reader_left(&in));
    *row = r;
    return true;
}

/* Which flags may stand together: a cell is dead, or expiring, or a counter, or plain; a complex
 * deletion has its times and nothing else. */
static bool cell_flags_possible(uint8_t flags)
{
    if (flags & BASE_CELL_COMPLEX_DELETION)
        return !(flags & ~(BASE_CELL_COMPLEX_DELETION | BASE_CELL_OWN_TS));
    if ((flags & BASE_CELL_PATH_ORIGINAL) && !(flags & BASE_CELL_PATH))
        return false;
    uint8_t kind = flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COUNTER);
    if (kind & (kind - 1))
        return false;
    return !(flags & BASE_CELL_EMPTY) || !(flags & (BASE_CELL_DEAD | BASE_CELL_COUNTER));
}

int base_cells_next_slow(struct base_cells *it, struct base_cell *cell)
{
    struct base_reader *in = &it->reader;
    *cell = (struct base_cell){0};
    if (base_reader_left(in) == 0)
        return 0;
    struct base_cell c = {.ts = it->row_ts};
    uint64_t delta;
    if (!base_get_varint(in, &delta) || delta > UINT32_MAX - it->column ||
        !base_get_u8(in, &c.flags) || !cell_flags_possible(c.flags))
        goto damaged;
    it->column += (uint32_t)delta;
    c.column = it->column;
    if ((c.flags & BASE_CELL_OWN_TS) && (!get_ts(in, it->row_ts, &c.ts) || c.ts == BASE_TS_NONE))
        goto damaged;
    if ((c.flags & BASE_CELL_EXPIRING) && !get_ttl(in, &c.ttl))
        goto damaged;
    if ((c.flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COMPLEX_DELETION)) &&
        !get_seconds(in, &c.local_s))
        goto damaged;
    if ((c.flags & BASE_CELL_PATH) && (!base_get_bytes(in, &c.path) || c.path.len == 0))
        goto damaged;
    if ((c.flags & BASE_CELL_PATH_ORIGINAL) &&
        (!base_get_bytes(in, &c.path_original) || c.path_original.len == 0))
        goto damaged;
    if (!(c.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION | BASE_CELL_EMPTY)) &&
        !base_get_bytes(in, &c.value))
        goto damaged;
    *cell = c;
    return 1;
damaged:
    base_reader_fail(in);
    return -1;
}

/* Strictly after `last` in the row's order? */
static bool cell_follows(const struct base_cell *last, const struct base_cell *cell)
{
    if (cell->column != last->column)
        return cell->column > last->column;
    if (cell->flags & BASE_CELL_COMPLEX_DELETION)
        return false;
    if (last->flags & BASE_CELL_COMPLEX_DELETION)
        return true;
    return base_slice_compare(last->path, cell->path) < 0;
}

bool base_row_check(struct base_slice encoded)
{
    struct base_row row;
    if (!base_row_decode(encoded, &row) || base_row_is_void(&row))
        return false;
    struct base_cells it = base_cells_begin(&row);
    struct base_cell cell, last = {0};
    uint8_t flags = 0;
    int more;
    for (bool first = true; (more = base_cells_next(&it, &cell)) > 0; first = false) {
        if (!first && !cell_follows(&last, &cell))
            return false;
        bool valued =
            !(cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION | BASE_CELL_EMPTY));
        if (valued && cell.value.len == 0 && !(cell.flags & BASE_CELL_COUNTER))
            return false; /* the empty value has its flag: one encoding for one content */
        int64_t total;
        if ((cell.flags & BASE_CELL_COUNTER) && !base_counter_total(cell.value, &total))
            return false;
        if (cell.flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COMPLEX_DELETION))
            flags |= BASE_ROW_MORTAL;
        if (cell.flags & BASE_CELL_OWN_TS)
            flags |= BASE_ROW_OWN_TS;
        last = cell;
    }
    return more == 0 && flags == (row.flags & (BASE_ROW_MORTAL | BASE_ROW_OWN_TS));
}

static void stats_ts(struct base_row_stats *stats, int64_t ts)
{
    if (ts < stats->ts_min)
        stats->ts_min = ts;
    if (ts > stats->ts_max)
        stats->ts_max = ts;
}

static void stats_local(struct base_row_stats *stats, int64_t local_s)
{
    if (local_s < stats->local_s_min)
        stats->local_s_min = local_s;
    if (local_s > stats->local_s_max)
        stats->local_s_max = local_s;
}

static void stats_ttl(struct base_row_stats *stats, int32_t ttl, int64_t expires_s)
{
    if (ttl > stats->ttl_max)
        stats->ttl_max = ttl;
    stats_local(stats, expires_s);
}

bool base_row_stats(struct base_slice encoded, struct base_row_stats *stats)
{
    struct base_row row;
    if (!base_row_decode(encoded, &row))
        return false;
    if (row.flags & BASE_ROW_LIVENESS)
        stats_ts(stats, row.row_ts);
    if (row.flags & BASE_ROW_LIVENESS_TTL)
        stats_ttl(stats, row.ttl, row.expires_s);
    if (row.flags & BASE_ROW_DELETION) {
        stats_ts(stats, row.deletion.ts);
        stats_local(stats, row.deletion.local_s);
        stats->tombstone_count++;
    }
    struct base_cells it = base_cells_begin(&row);
    struct base_cell cell;
    int more;
    while ((more = base_cells_next(&it, &cell)) > 0) {
        stats_ts(stats, cell.ts);
        if (cell.flags & BASE_CELL_EXPIRING)
            stats_ttl(stats, cell.ttl, cell.local_s);
        if (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)) {
            stats_local(stats, cell.local_s);
            stats->tombstone_count++;
        }
        if (!(cell.flags & BASE_CELL_COMPLEX_DELETION))
            stats->cell_count++;
    }
    return more == 0;
}
