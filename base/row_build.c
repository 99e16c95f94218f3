/* The row builder: writes what row.c reads.
 *
 * Invariants:
 *  1. The row's flags are written by base_row_end, from what was put: they never promise less than
 *     the cells hold (readers skip work on MORTAL and OWN_TS being clear).
 *  2. Each put reserves its whole need before it writes, so that a failure leaves no half cell. */
#include "base/row.h"

static int fail(struct base_row_builder *b, int rc)
{
    b->out->len = b->start;
    return rc;
}

static int64_t cap_seconds(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds > BASE_EXPIRES_MAX ? BASE_EXPIRES_MAX : seconds;
}

/* No timestamp is a delta away that does not fit: see row.c, invariant 2. */
static uint8_t *put_ts(uint8_t *p, int64_t row_ts, int64_t ts)
{
    return base_put_varint(p, base_zigzag((int64_t)((uint64_t)row_ts - (uint64_t)ts)));
}

static uint8_t *put_bytes(uint8_t *p, struct base_slice s)
{
    p = base_put_varint(p, s.len);
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

int base_row_begin(struct base_row_builder *b, struct base_buf *out, int64_t row_ts)
{
    if (row_ts == BASE_TS_NONE)
        row_ts = 0; /* stands for no timestamp of anything: any other does as well */
    *b = (struct base_row_builder){.out = out, .start = out->len, .row_ts = row_ts};
    int rc = base_buf_reserve(out, BASE_ROW_HEAD_LEN);
    if (rc != BASE_OK)
        return rc;
    out->data[out->len] = 0;
    base_put_le64(out->data + out->len + 1, (uint64_t)row_ts);
    out->len += BASE_ROW_HEAD_LEN;
    b->cells_at = out->len;
    return BASE_OK;
}

int base_row_put_liveness(struct base_row_builder *b, int32_t ttl, int64_t expires_s)
{
    BASE_ASSERT(b->flags == 0 && b->out->len == b->start + BASE_ROW_HEAD_LEN);
    BASE_ASSERT(ttl >= 0 && ttl <= BASE_TTL_MAX);
    b->flags |= BASE_ROW_LIVENESS;
    if (ttl == 0)
        return BASE_OK;
    int rc = base_buf_reserve(b->out, 2 * BASE_VARINT_LEN_MAX);
    if (rc != BASE_OK)
        return fail(b, rc);
    uint8_t *p = b->out->data + b->out->len;
    p = base_put_varint(p, (uint64_t)ttl);
    p = base_put_varint(p, (uint64_t)cap_seconds(expires_s));
    b->cells_at = b->out->len = (size_t)(p - b->out->data);
    b->flags |= BASE_ROW_LIVENESS_TTL;
    return BASE_OK;
}

int base_row_put_deletion(struct base_row_builder *b, struct base_deletion deletion)
{
    BASE_ASSERT(!(b->flags & (BASE_ROW_DELETION | BASE_ROW_ORIGINALS)));
    BASE_ASSERT(b->out->len == b->cells_at);
    if (base_deletion_is_none(deletion))
        return BASE_OK;
    int rc = base_buf_reserve(b->out, 2 * BASE_VARINT_LEN_MAX);
    if (rc != BASE_OK)
        return fail(b, rc);
    uint8_t *p = b->out->data + b->out->len;
    p = put_ts(p, b->row_ts, deletion.ts);
    p = base_put_varint(p, (uint64_t)cap_seconds(deletion.local_s));
    b->cells_at = b->out->len = (size_t)(p - b->out->data);
    b->flags |= BASE_ROW_DELETION;
    return BASE_OK;
}

int base_row_put_originals(struct base_row_builder *b, struct base_slice originals)
{
    BASE_ASSERT(!(b->flags & BASE_ROW_ORIGINALS));
    BASE_ASSERT(b->out->len == b->cells_at);
    if (originals.len == 0)
        return BASE_OK;
    int rc = base_buf_put_bytes(b->out, originals);
    if (rc != BASE_OK)
        return fail(b, rc);
    b->cells_at = b->out->len;
    b->flags |= BASE_ROW_ORIGINALS;
    return BASE_OK;
}

int base_row_put_cell(struct base_row_builder *b, const struct base_cell *cell)
{
    BASE_ASSERT(cell->column >= b->column);
    BASE_ASSERT(cell->ts != BASE_TS_NONE);
    BASE_ASSERT(!(cell->flags & BASE_CELL_EXPIRING) ||
                (cell->ttl > 0 && cell->ttl <= BASE_TTL_MAX));
    bool valued = !(cell->flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION));
    uint8_t flags = cell->flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING |
                                   BASE_CELL_COMPLEX_DELETION | BASE_CELL_COUNTER);
    if (cell->ts != b->row_ts)
        flags |= BASE_CELL_OWN_TS;
    if (cell->path.len)
        flags |= BASE_CELL_PATH;
    if (cell->path_original.len)
        flags |= BASE_CELL_PATH_ORIGINAL;
    if (valued && cell->value.len == 0 && !(flags & BASE_CELL_COUNTER))
        flags |= BASE_CELL_EMPTY;
    size_t need =
        7 * BASE_VARINT_LEN_MAX + 1 + cell->path.len + cell->path_original.len + cell->value.len;
    int rc = base_buf_reserve(b->out, need);
    if (rc != BASE_OK)
        return fail(b, rc);
    uint8_t *p = b->out->data + b->out->len;
    p = base_put_varint(p, cell->column - b->column);
    *p++ = flags;
    if (flags & BASE_CELL_OWN_TS)
        p = put_ts(p, b->row_ts, cell->ts);
    if (flags & BASE_CELL_EXPIRING)
        p = base_put_varint(p, (uint64_t)cell->ttl);
    if (flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COMPLEX_DELETION))
        p = base_put_varint(p, (uint64_t)cap_seconds(cell->local_s));
    if (flags & BASE_CELL_PATH)
        p = put_bytes(p, cell->path);
    if (flags & BASE_CELL_PATH_ORIGINAL)
        p = put_bytes(p, cell->path_original);
    if (valued && !(flags & BASE_CELL_EMPTY))
        p = put_bytes(p, cell->value);
    b->out->len = (size_t)(p - b->out->data);
    b->column = cell->column;
    if (flags & (BASE_CELL_DEAD | BASE_CELL_EXPIRING | BASE_CELL_COMPLEX_DELETION))
        b->flags |= BASE_ROW_MORTAL;
    if (flags & BASE_CELL_OWN_TS)
        b->flags |= BASE_ROW_OWN_TS;
    return BASE_OK;
}

int base_row_put_value(struct base_row_builder *b, uint32_t column, struct base_slice value)
{
    BASE_ASSERT(column >= b->column);
    int rc = base_buf_reserve(b->out, 2 * BASE_VARINT_LEN_MAX + 1 + value.len);
    if (BASE_UNLIKELY(rc != BASE_OK))
        return fail(b, rc);
    uint8_t *p = b->out->data + b->out->len;
    p = base_put_varint(p, column - b->column);
    if (value.len == 0) {
        *p++ = BASE_CELL_EMPTY;
    } else {
        *p++ = 0;
        p = put_bytes(p, value);
    }
    b->out->len = (size_t)(p - b->out->data);
    b->column = column;
    return BASE_OK;
}

void base_row_end(struct base_row_builder *b)
{
    BASE_ASSERT(b->cells_at >= b->start + BASE_ROW_HEAD_LEN);
    BASE_ASSERT(b->out->len >= b->cells_at);
    if (!(b->flags & (BASE_ROW_LIVENESS | BASE_ROW_DELETION)) && b->out->len == b->cells_at)
        b->out->len = b->start;
    else
        b->out->data[b->start] = b->flags;
}
