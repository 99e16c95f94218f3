/* Mutations: encode, decode, check (docs/formats/mutation.md).
 *
 * Decoding walks the lengths once, so that a decoded mutation's ranges and rows can be walked again
 * without a failure that is not damage. What rows hold inside is looked at by
 * base_mutation_check. */
#include "base/mutation.h"

#include "base/key.h"

#define MUTATION_FLAGS_KNOWN                                                                       \
    (BASE_MUTATION_PARTITION_DELETION | BASE_MUTATION_STATIC | BASE_MUTATION_RANGES |              \
     BASE_MUTATION_ROWS)

static bool get_deletion(struct base_reader *in, struct base_deletion *deletion)
{
    uint64_t ts, local_s;
    bool ok = base_get_varint(in, &ts) && base_get_varint(in, &local_s) &&
              local_s <= (uint64_t)BASE_EXPIRES_MAX && base_unzigzag(ts) != BASE_TS_NONE;
    *deletion =
        ok ? (struct base_deletion){base_unzigzag(ts), (int64_t)local_s} : BASE_DELETION_NONE;
    return ok;
}

bool base_mutation_range(struct base_reader *ranges, struct base_range_deletion *out)
{
    struct base_range_deletion range;
    *out = (struct base_range_deletion){.deletion = BASE_DELETION_NONE};
    if (!base_get_bytes(ranges, &range.lo) || !base_get_bytes(ranges, &range.hi) ||
        !get_deletion(ranges, &range.deletion))
        return false;
    *out = range;
    return true;
}

bool base_mutation_row(struct base_reader *rows, struct base_slice *ckey, struct base_slice *row)
{
    if (base_get_bytes(rows, ckey) && base_get_bytes(rows, row))
        return true;
    *ckey = *row = (struct base_slice){0};
    return false;
}

bool base_mutation_decode(struct base_reader *in, struct base_mutation *out)
{
    *out = (struct base_mutation){.deletion = BASE_DELETION_NONE};
    struct base_mutation m = *out;
    struct base_slice id;
    uint8_t flags;
    if (!base_get_raw(in, 16, &id) || !base_get_bytes(in, &m.pkey) || m.pkey.len == 0 ||
        !base_get_u8(in, &flags) || (flags & ~MUTATION_FLAGS_KNOWN))
        return base_reader_fail(in);
    memcpy(m.table_id.b, id.data, 16);
    if ((flags & BASE_MUTATION_PARTITION_DELETION) && !get_deletion(in, &m.deletion))
        return base_reader_fail(in);
    if ((flags & BASE_MUTATION_STATIC) &&
        (!base_get_bytes(in, &m.static_row) || m.static_row.len == 0))
        return base_reader_fail(in);
    if (flags & BASE_MUTATION_RANGES) {
        if (!base_get_varint(in, &m.range_count) || m.range_count == 0)
            return base_reader_fail(in);
        m.ranges.p = in->p;
        struct base_range_deletion range;
        for (uint64_t i = 0; i < m.range_count; i++) {
            if (!base_mutation_range(in, &range))
                return base_reader_fail(in);
        }
        m.ranges.end = in->p;
    }
    if (flags & BASE_MUTATION_ROWS) {
        if (!base_get_varint(in, &m.row_count) || m.row_count == 0)
            return base_reader_fail(in);
        m.rows.p = in->p;
        struct base_slice ckey, row;
        for (uint64_t i = 0; i < m.row_count; i++) {
            if (!base_mutation_row(in, &ckey, &row))
                return base_reader_fail(in);
        }
        m.rows.end = in->p;
    }
    *out = m;
    return true;
}

/* A whole clustering key of the wanted positions (at: a row; else a bound); components are not
 * decoded: that takes the schema. */
static bool ckey_check(struct base_slice ckey, bool at)
{
    if (ckey.len == 0 || ckey.len > BASE_CKEY_LEN_MAX)
        return false;
    uint8_t position = ckey.data[ckey.len - 1];
    return at ? position == BASE_KEY_AT : position == BASE_KEY_BEFORE || position == BASE_KEY_AFTER;
}

/* Static rows have cells only: no liveness, no deletion, no originals (as in Cassandra). */
static bool static_row_check(struct base_slice row)
{
    return base_row_check(row) &&
           !(row.data[0] & (BASE_ROW_LIVENESS | BASE_ROW_DELETION | BASE_ROW_ORIGINALS));
}

bool base_mutation_check(const struct base_mutation *m)
{
    size_t end = m->pkey.len;
    if (end < 8 + 2 || m->pkey.data[end - 2] != 0x00 || m->pkey.data[end - 1] != 0x01)
        return false;
    if (m->static_row.len && !static_row_check(m->static_row))
        return false;
    struct base_reader in = m->ranges;
    for (uint64_t i = 0; i < m->range_count; i++) {
        struct base_range_deletion range;
        if (!base_mutation_range(&in, &range) || !ckey_check(range.lo, false) ||
            !ckey_check(range.hi, false) || base_slice_compare(range.lo, range.hi) >= 0)
            return false;
    }
    in = m->rows;
    struct base_slice last = {0};
    for (uint64_t i = 0; i < m->row_count; i++) {
        struct base_slice ckey, row;
        if (!base_mutation_row(&in, &ckey, &row) || !ckey_check(ckey, true) ||
            !base_row_check(row) || base_slice_compare(last, ckey) >= 0)
            return false;
        last = ckey;
    }
    return true;
}

static uint8_t *put_bytes(uint8_t *p, struct base_slice s)
{
    p = base_put_varint(p, s.len);
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

static uint8_t *put_deletion(uint8_t *p, struct base_deletion deletion)
{
    p = base_put_varint(p, base_zigzag(deletion.ts));
    return base_put_varint(p, (uint64_t)deletion.local_s);
}

int base_mutation_put_row(struct base_buf *out, struct base_uuid table_id, struct base_slice pkey,
                          struct base_slice ckey, struct base_slice row)
{
    BASE_ASSERT(pkey.len > 0);
    BASE_ASSERT(row.len >= BASE_ROW_HEAD_LEN);
    int rc =
        base_buf_reserve(out, 16 + 2 + 3 * BASE_VARINT_LEN_MAX + pkey.len + ckey.len + row.len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    memcpy(p, table_id.b, 16);
    p = put_bytes(p + 16, pkey);
    *p++ = BASE_MUTATION_ROWS;
    *p++ = 1;
    p = put_bytes(p, ckey);
    p = put_bytes(p, row);
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}

/* Room that base_mutation_put needs at most, so that it fails before it has written anything. */
static size_t put_need(struct base_slice pkey, struct base_slice static_row,
                       const struct base_range_deletion *ranges, size_t range_count,
                       const struct base_mutation_row_part *rows, size_t row_count)
{
    size_t need = 16 + 1 + 6 * BASE_VARINT_LEN_MAX + pkey.len + static_row.len;
    for (size_t i = 0; i < range_count; i++)
        need += 4 * BASE_VARINT_LEN_MAX + ranges[i].lo.len + ranges[i].hi.len;
    for (size_t i = 0; i < row_count; i++)
        need += 2 * BASE_VARINT_LEN_MAX + rows[i].ckey.len + rows[i].row.len;
    return need;
}

int base_mutation_put(struct base_buf *out, struct base_uuid table_id, struct base_slice pkey,
                      struct base_deletion deletion, struct base_slice static_row,
                      const struct base_range_deletion *ranges, size_t range_count,
                      const struct base_mutation_row_part *rows, size_t row_count)
{
    BASE_ASSERT(pkey.len > 0);
    int rc =
        base_buf_reserve(out, put_need(pkey, static_row, ranges, range_count, rows, row_count));
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    memcpy(p, table_id.b, 16);
    p = put_bytes(p + 16, pkey);
    *p++ =
        (uint8_t)((base_deletion_is_none(deletion) ? 0 : BASE_MUTATION_PARTITION_DELETION) |
                  (static_row.len ? BASE_MUTATION_STATIC : 0) |
                  (range_count ? BASE_MUTATION_RANGES : 0) | (row_count ? BASE_MUTATION_ROWS : 0));
    if (!base_deletion_is_none(deletion))
        p = put_deletion(p, deletion);
    if (static_row.len)
        p = put_bytes(p, static_row);
    if (range_count)
        p = base_put_varint(p, range_count);
    for (size_t i = 0; i < range_count; i++) {
        p = put_bytes(p, ranges[i].lo);
        p = put_bytes(p, ranges[i].hi);
        p = put_deletion(p, ranges[i].deletion);
    }
    if (row_count)
        p = base_put_varint(p, row_count);
    for (size_t i = 0; i < row_count; i++) {
        BASE_ASSERT(i == 0 || base_slice_compare(rows[i - 1].ckey, rows[i].ckey) < 0);
        p = put_bytes(p, rows[i].ckey);
        p = put_bytes(p, rows[i].row);
    }
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}
