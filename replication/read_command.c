/* A READ's body (docs/formats/messages.md): the command, where to go on, how much.
 *
 * It comes from a peer: nothing in it is believed. Keys end as keys end, slices ascend, limits are
 * limits; what the keys say inside takes the schema, and nobody here needs it: a key that no row
 * has finds none. */
#include "base/key.h"
#include "replication/reads_private.h"

enum {
    READ_RANGE = 0x02, /* tokens, else one partition */
    READ_REVERSED = 0x04,
    READ_POSITION = 0x08,
    READ_STATIC_ALONE = 0x10,
    READ_BY_INDEX = 0x20,
    READ_PLACES = 0x40,
    READ_COUNT = 0x80,
};
#define NOW_MAX ((int64_t)1 << 40) /* seconds: so that a grace can be taken off it */

/* Limits as one more, so that none is 0 and short. */
static uint64_t limit_out(uint64_t limit)
{
    return limit == UINT64_MAX ? 0 : limit + 1;
}

static uint64_t limit_in(uint64_t v)
{
    return v - 1;
}

static int put_what(const struct repli_read_request *r, struct base_buf *out)
{
    int rc;
    if (r->cmd.pkey.len)
        return base_buf_put_bytes(out, r->cmd.pkey);
    if ((rc = base_buf_put_le64(out, (uint64_t)r->cmd.token_after)) != BASE_OK ||
        (rc = base_buf_put_le64(out, (uint64_t)r->cmd.token_upto)) != BASE_OK)
        return rc;
    return base_buf_put_bytes(out, r->cmd.start_pkey);
}

static int put_slices(const struct base_slices *slices, struct base_buf *out)
{
    int rc = base_buf_put_varint(out, slices->count);
    for (size_t i = 0; rc == BASE_OK && i < slices->count; i++) {
        rc = base_buf_put_bytes(out, slices->ranges[i].lo);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, slices->ranges[i].hi);
    }
    return rc;
}

static int put_filter(const struct base_filter *filter, struct base_buf *out)
{
    int rc = base_buf_put_varint(out, filter->column);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, (uint8_t)filter->op);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, filter->operand);
    return rc == BASE_OK && filter->op == BASE_FILTER_ENTRY
               ? base_buf_put_bytes(out, filter->element)
               : rc;
}

static int put_filters(const struct repli_read_request *r, struct base_buf *out)
{
    int rc = base_buf_put_varint(out, r->index_count);
    for (size_t i = 0; rc == BASE_OK && i < r->index_count; i++)
        rc = put_filter(&r->index[i], out);
    return rc;
}

int repli_read_encode(const struct repli_read_request *r, struct base_buf *out)
{
    uint8_t flags =
        (uint8_t)((r->digest ? REPLI_READ_DIGEST : 0) | (r->cmd.pkey.len ? 0 : READ_RANGE) |
                  (r->cmd.reversed ? READ_REVERSED : 0) | (r->after_pkey.len ? READ_POSITION : 0) |
                  (r->limits.static_alone ? READ_STATIC_ALONE : 0) |
                  (r->by_index ? READ_BY_INDEX : 0) | (r->cmd.places.len ? READ_PLACES : 0) |
                  (r->count ? READ_COUNT : 0));
    const uint64_t numbers[] = {
        base_zigzag(r->truncated_us),   base_zigzag(r->cmd.now_s),
        limit_out(r->limits.rows_max),  limit_out(r->limits.partition_rows_max),
        limit_out(r->limits.bytes_max),
    };
    int rc = base_buf_put_u8(out, flags);
    if (rc == BASE_OK)
        rc = base_buf_put(out, r->cmd.table_id.b, sizeof r->cmd.table_id.b);
    if (rc == BASE_OK)
        rc = put_what(r, out);
    if (rc == BASE_OK)
        rc = put_slices(&r->cmd.slices, out);
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(numbers); i++)
        rc = base_buf_put_varint(out, numbers[i]);
    if (rc == BASE_OK && r->by_index)
        rc = put_filters(r, out);
    if (rc == BASE_OK && r->cmd.places.len)
        rc = base_buf_put_bytes(out, r->cmd.places);
    if (rc != BASE_OK || !r->after_pkey.len)
        return rc;
    rc = base_buf_put_bytes(out, r->after_pkey);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, r->after_ckey);
    return rc == BASE_OK ? base_buf_put_varint(out, r->rows_before) : rc;
}

/* From outside. */

static bool pkey_ok(struct base_slice pkey)
{
    return pkey.len >= 10 && pkey.len <= BASE_PKEY_LEN_MAX && base_pkey_len(pkey) == pkey.len;
}

static bool place_ok(struct base_slice ckey)
{
    if (ckey.len == 0 || ckey.len > BASE_CKEY_LEN_MAX)
        return false;
    uint8_t end = ckey.data[ckey.len - 1];
    return end == BASE_KEY_BEFORE || end == BASE_KEY_AT || end == BASE_KEY_AFTER;
}

static bool get_what(struct base_reader *in, bool range, struct base_read *cmd)
{
    uint64_t after, upto;
    if (!range)
        return base_get_bytes(in, &cmd->pkey) && pkey_ok(cmd->pkey);
    if (!base_get_u64le(in, &after) || !base_get_u64le(in, &upto) ||
        !base_get_bytes(in, &cmd->start_pkey))
        return false;
    cmd->token_after = (int64_t)after;
    cmd->token_upto = (int64_t)upto;
    return cmd->token_after < cmd->token_upto && cmd->start_pkey.len <= BASE_PKEY_LEN_MAX + 1;
}

/* Ascending, not overlapping; an empty bound only at the ends. */
static bool slice_ok(const struct base_range *ranges, size_t i, size_t count)
{
    struct base_slice lo = ranges[i].lo, hi = ranges[i].hi;
    if ((lo.len ? !place_ok(lo) : i > 0) || (hi.len ? !place_ok(hi) : i + 1 < count))
        return false;
    if (lo.len && hi.len && base_slice_compare(lo, hi) > 0)
        return false;
    if (i == 0)
        return true;
    int c = base_slice_compare(ranges[i - 1].hi, lo);
    return c < 0 || (c == 0 && lo.data[lo.len - 1] != BASE_KEY_AT);
}

static int get_slices(struct base_reader *in, struct base_arena *arena, struct base_slices *out)
{
    uint64_t count;
    if (!base_get_varint(in, &count) || count > base_reader_left(in) / 2)
        return BASE_E_CORRUPT;
    struct base_range *ranges = base_arena_alloc(arena, (size_t)(count + 1) * sizeof *ranges);
    if (!ranges)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!base_get_bytes(in, &ranges[i].lo) || !base_get_bytes(in, &ranges[i].hi))
            return BASE_E_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        if (!slice_ok(ranges, i, (size_t)count))
            return BASE_E_CORRUPT;
    }
    *out = (struct base_slices){ranges, (size_t)count};
    return BASE_OK;
}

static bool get_limits(struct base_reader *in, struct repli_read_request *out)
{
    uint64_t truncated, now, rows, partition_rows, bytes;
    if (!base_get_varint(in, &truncated) || !base_get_varint(in, &now) ||
        !base_get_varint(in, &rows) || !base_get_varint(in, &partition_rows) ||
        !base_get_varint(in, &bytes))
        return false;
    out->truncated_us = base_unzigzag(truncated);
    out->cmd.now_s = base_unzigzag(now);
    out->limits.rows_max = limit_in(rows);
    out->limits.partition_rows_max = limit_in(partition_rows);
    out->limits.bytes_max = limit_in(bytes);
    return out->cmd.now_s < NOW_MAX && out->cmd.now_s > -NOW_MAX && out->limits.rows_max > 0 &&
           out->limits.partition_rows_max > 0 && out->limits.bytes_max > 0;
}

static bool get_filter(struct base_reader *in, struct base_filter *filter)
{
    uint64_t column;
    uint8_t op;
    if (!base_get_varint(in, &column) || !base_get_u8(in, &op) ||
        !base_get_bytes(in, &filter->operand) || column > UINT32_MAX)
        return false;
    filter->column = (uint32_t)column;
    filter->op = (enum base_filter_op)op;
    return op <= BASE_FILTER_IN &&
           (op != BASE_FILTER_ENTRY || base_get_bytes(in, &filter->element));
}

/* What they say of the table's columns is judged with the schema (base_filter_check). */
static int get_filters(struct base_reader *in, struct base_arena *arena,
                       struct repli_read_request *out)
{
    uint64_t count;
    if (!base_get_varint(in, &count) || count == 0 || count > base_reader_left(in) / 3)
        return BASE_E_CORRUPT;
    struct base_filter *filters = base_arena_zalloc(arena, (size_t)count * sizeof *filters);
    if (!filters)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (!get_filter(in, &filters[i]))
            return BASE_E_CORRUPT;
    out->index = filters;
    out->index_count = (size_t)count;
    return BASE_OK;
}

/* Keys, ascending. */
static bool get_places(struct base_reader *in, struct base_slice *out)
{
    struct base_slice pkey, ckey, pkey_before = {0}, ckey_before = {0};
    if (!base_get_bytes(in, out) || !out->len)
        return false;
    struct base_reader list = base_reader(*out);
    while (base_reader_left(&list)) {
        if (!base_get_bytes(&list, &pkey) || !base_get_bytes(&list, &ckey) || !pkey_ok(pkey) ||
            (ckey.len && !place_ok(ckey)))
            return false;
        int c = base_slice_compare(pkey_before, pkey);
        if (c > 0 || (c == 0 && base_slice_compare(ckey_before, ckey) >= 0))
            return false;
        pkey_before = pkey;
        ckey_before = ckey;
    }
    return true;
}

static bool get_position(struct base_reader *in, struct repli_read_request *out)
{
    if (!base_get_bytes(in, &out->after_pkey) || !base_get_bytes(in, &out->after_ckey) ||
        !base_get_varint(in, &out->rows_before) || !pkey_ok(out->after_pkey) ||
        (out->after_ckey.len && !place_ok(out->after_ckey)))
        return false;
    if (out->cmd.pkey.len)
        return base_slice_equal(out->cmd.pkey, out->after_pkey);
    int64_t token = base_token_get(out->after_pkey.data);
    return token > out->cmd.token_after && token <= out->cmd.token_upto;
}

int repli_read_decode(struct base_slice body, struct base_arena *arena,
                      struct repli_read_request *out, struct base_err *err)
{
    struct base_reader in = base_reader(body);
    struct base_slice id;
    uint8_t flags;
    *out = (struct repli_read_request){.cmd = BASE_READ_INIT};
    bool ok = base_get_u8(&in, &flags) && base_get_raw(&in, 16, &id) &&
              (!(flags & READ_COUNT) || ((flags & READ_BY_INDEX) && !(flags & REPLI_READ_DIGEST)));
    if (ok)
        memcpy(out->cmd.table_id.b, id.data, 16);
    ok = ok && get_what(&in, flags & READ_RANGE, &out->cmd);
    int rc = ok ? get_slices(&in, arena, &out->cmd.slices) : BASE_E_CORRUPT;
    if (rc == BASE_OK && !get_limits(&in, out))
        rc = BASE_E_CORRUPT;
    out->by_index = flags & READ_BY_INDEX;
    out->count = flags & READ_COUNT;
    if (rc == BASE_OK && out->by_index)
        rc = get_filters(&in, arena, out);
    if (rc == BASE_OK && (flags & READ_PLACES) && !get_places(&in, &out->cmd.places))
        rc = BASE_E_CORRUPT;
    if (rc == BASE_OK && (flags & READ_POSITION) && !get_position(&in, out))
        rc = BASE_E_CORRUPT;
    if (rc == BASE_OK && base_reader_left(&in))
        rc = BASE_E_CORRUPT;
    out->cmd.reversed = flags & READ_REVERSED;
    out->digest = flags & REPLI_READ_DIGEST;
    out->limits.static_alone = flags & READ_STATIC_ALONE;
    if (rc == BASE_OK)
        return rc;
    *out = (struct repli_read_request){0};
    return base_err_set(err, rc, "a read command: %s", base_err_words(rc));
}
