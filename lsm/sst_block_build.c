/* Building blocks. Entries are gathered with their whole keys; the prefixes and the arrays are
 * known only at the end, so that finish lays the block out in one pass.
 *
 * Invariants:
 *  1. Keys come in order (the writer checks), so that a partition's common prefix is that of its
 *     first and last ckey, and the block's that of its first and last pkey.
 *  2. A block holds less than 2 GiB: offsets and lengths fit u32. */
#include "lsm/sst_block.h"

#include "lsm/sst_block_layout.h"

#define BLOCK_LEN_MAX 0x7fffff00u
#define DELETION_LEN_MAX (2 * BASE_VARINT_LEN_MAX)
#define ENTRY_OVERHEAD 8 /* head or its part, offset, lengths: for the estimate */
#define PARTITION_OVERHEAD 14

void lsmi_builder_init(struct lsmi_block_builder *b)
{
    *b = (struct lsmi_block_builder){0};
    base_buf_init(&b->bytes, BLOCK_LEN_MAX);
}

void lsmi_builder_fini(struct lsmi_block_builder *b)
{
    base_buf_fini(&b->bytes);
    free(b->rows);
    free(b->partitions);
    lsmi_builder_init(b);
}

void lsmi_builder_reset(struct lsmi_block_builder *b)
{
    base_buf_reset(&b->bytes);
    b->row_count = b->partition_count = 0;
    b->payload_bytes = b->key_bytes = 0;
}

size_t lsmi_builder_size(const struct lsmi_block_builder *b)
{
    return LSMI_DATA_HEADER_LEN + b->payload_bytes + b->key_bytes + b->row_count * ENTRY_OVERHEAD;
}

/* Room for one more element of an array that doubles. */
static int grow(void **array, size_t *cap, size_t count, size_t element)
{
    if (count < *cap)
        return BASE_OK;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = realloc(*array, more * element);
    if (!p)
        return BASE_E_NOMEM;
    *array = p;
    *cap = more;
    return BASE_OK;
}

static size_t common_prefix(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;
    while (i + 8 <= n) {
        uint64_t difference = base_get_le64(a + i) ^ base_get_le64(b + i);
        if (difference)
            return i + (size_t)__builtin_ctzll(difference) / 8;
        i += 8;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

int lsmi_builder_add_partition(struct lsmi_block_builder *b, const struct lsmi_block_partition *p)
{
    int rc =
        grow((void **)&b->partitions, &b->partition_cap, b->partition_count, sizeof *b->partitions);
    if (rc)
        return rc;
    if ((rc = base_buf_reserve(&b->bytes, p->pkey.len + p->static_row.len)))
        return rc;
    struct lsmi_builder_partition *mine = &b->partitions[b->partition_count];
    *mine = (struct lsmi_builder_partition){.head = *p, .row_begin = (uint32_t)b->row_count};
    mine->key_at = (uint32_t)b->bytes.len;
    mine->key_len = (uint32_t)p->pkey.len;
    mine->static_at = mine->key_at + mine->key_len;
    mine->static_len = (uint32_t)p->static_row.len;
    rc = base_buf_put_slice(&b->bytes, p->pkey);
    if (!rc)
        rc = base_buf_put_slice(&b->bytes, p->static_row);
    BASE_ASSERT(rc == BASE_OK); /* reserved above */
    b->payload_bytes += p->pkey.len + p->static_row.len + PARTITION_OVERHEAD;
    b->partition_count++;
    return BASE_OK;
}

static uint8_t *put_deletion(uint8_t *at, struct base_deletion d)
{
    return base_put_varint(base_put_varint(at, base_zigzag(d.ts)), base_zigzag(d.local_s));
}

/* Take note of a key among the partition's rows: what the common prefix saves. */
static void count_key(struct lsmi_block_builder *b, struct base_slice ckey)
{
    struct lsmi_builder_partition *p = &b->partitions[b->partition_count - 1];
    size_t before = b->row_count - p->row_begin;
    size_t prefix = ckey.len;
    if (before) {
        const struct lsmi_builder_row *first = &b->rows[p->row_begin];
        size_t n = p->prefix_len < ckey.len ? p->prefix_len : ckey.len;
        prefix = common_prefix(b->bytes.data + first->key_at, ckey.data, n);
        b->key_bytes += (p->prefix_len - prefix) * before; /* they lose what they shared */
        b->key_bytes -= p->prefix_len - prefix;            /* the prefix itself gets shorter */
    } else {
        b->key_bytes += prefix;
    }
    b->key_bytes += ckey.len - prefix;
    p->prefix_len = (uint32_t)prefix;
}

int lsmi_builder_add(struct lsmi_block_builder *b, const struct base_item *item)
{
    BASE_ASSERT(b->partition_count > 0);
    BASE_ASSERT(item->kind == BASE_ITEM_ROW || item->kind == BASE_ITEM_MARKER);
    int rc = grow((void **)&b->rows, &b->row_cap, b->row_count, sizeof *b->rows);
    if (rc)
        return rc;
    bool marker = item->kind == BASE_ITEM_MARKER;
    uint8_t body[1 + 2 * DELETION_LEN_MAX], *end = body;
    struct base_slice payload = item->row;
    if (marker) {
        bool before = !base_deletion_is_none(item->before),
             after = !base_deletion_is_none(item->after);
        BASE_ASSERT(before || after);
        *end++ = (uint8_t)((before ? LSMI_MARKER_BEFORE : 0) | (after ? LSMI_MARKER_AFTER : 0));
        end = before ? put_deletion(end, item->before) : end;
        end = after ? put_deletion(end, item->after) : end;
        payload = base_slice(body, (size_t)(end - body));
        b->partitions[b->partition_count - 1].head.has_markers = true;
    }
    if ((rc = base_buf_reserve(&b->bytes, item->ckey.len + payload.len)))
        return rc;
    count_key(b, item->ckey);
    struct lsmi_builder_row *row = &b->rows[b->row_count++];
    *row = (struct lsmi_builder_row){(uint32_t)b->bytes.len, (uint32_t)item->ckey.len, 0,
                                     (uint32_t)payload.len, marker};
    row->payload_at = row->key_at + row->key_len;
    memcpy(b->bytes.data + row->key_at, item->ckey.data, item->ckey.len);
    memcpy(b->bytes.data + row->payload_at, payload.data, payload.len);
    b->bytes.len += item->ckey.len + payload.len;
    b->payload_bytes += payload.len;
    return BASE_OK;
}

/* Layout. */

/* Where the parts of a block being laid out are. */
struct layout {
    uint8_t *block; /* room for all of it is reserved */
    uint8_t *at;    /* next record */
    bool wide;
};

static void put_offset(struct layout *l, uint8_t *offsets, size_t i)
{
    size_t offset = (size_t)(l->at - l->block);
    if (l->wide)
        base_put_le32(offsets + i * 4, (uint32_t)offset);
    else
        base_put_le16(offsets + i * 2, (uint16_t)offset);
}

/* The record's beginning and its head. */
static void put_key(struct layout *l, uint8_t *heads, size_t i, struct base_slice suffix, bool bit)
{
    base_put_be32(heads + i * LSMI_HEAD_LEN, lsmi_head(suffix));
    l->at = base_put_varint(l->at, (uint64_t)suffix.len << 1 | bit);
    if (suffix.len > LSMI_HEAD_LEN) {
        memcpy(l->at, suffix.data + LSMI_HEAD_LEN, suffix.len - LSMI_HEAD_LEN);
        l->at += suffix.len - LSMI_HEAD_LEN;
    }
}

static void put_bytes(struct layout *l, const uint8_t *data, size_t len)
{
    l->at = base_put_varint(l->at, len);
    memcpy(l->at, data, len);
    l->at += len;
}

static uint8_t partition_flags(const struct lsmi_builder_partition *p)
{
    const struct lsmi_block_partition *h = &p->head;
    return (uint8_t)((base_deletion_is_none(h->deletion) ? 0 : LSMI_PARTITION_DELETION) |
                     (base_deletion_is_none(h->open) ? 0 : LSMI_PARTITION_OPEN) |
                     (p->static_len ? LSMI_PARTITION_STATIC : 0) |
                     (h->static_elsewhere ? LSMI_PARTITION_STATIC_ELSEWHERE : 0) |
                     (h->continued ? LSMI_PARTITION_CONTINUED : 0) |
                     (h->has_markers ? LSMI_PARTITION_MARKERS : 0));
}

static void put_partition(const struct lsmi_block_builder *b, struct layout *l, uint8_t *heads,
                          size_t i, size_t prefix)
{
    const struct lsmi_builder_partition *p = &b->partitions[i];
    uint8_t flags = partition_flags(p);
    put_key(l, heads, i, base_slice(b->bytes.data + p->key_at + prefix, p->key_len - prefix),
            flags != 0);
    l->at = base_put_varint(l->at, p->row_begin);
    size_t rows_at = p->row_begin < b->row_count ? b->rows[p->row_begin].key_at : 0;
    put_bytes(l, b->bytes.data + rows_at, p->prefix_len);
    if (!flags)
        return;
    *l->at++ = flags;
    if (flags & LSMI_PARTITION_DELETION)
        l->at = put_deletion(l->at, p->head.deletion);
    if (flags & LSMI_PARTITION_OPEN)
        l->at = put_deletion(l->at, p->head.open);
    if (flags & LSMI_PARTITION_STATIC)
        put_bytes(l, b->bytes.data + p->static_at, p->static_len);
    if (flags & LSMI_PARTITION_STATIC_ELSEWHERE)
        l->at = base_put_varint(base_put_varint(l->at, p->head.first_offset), p->head.first_len);
}

/* An upper bound of the block's length, and whether u32 offsets may be needed. */
static size_t length_bound(const struct lsmi_block_builder *b, bool *wide)
{
    size_t fixed =
        LSMI_DATA_HEADER_LEN + (b->partition_count + b->row_count) * (LSMI_HEAD_LEN + 5) +
        b->partition_count * (3 * DELETION_LEN_MAX + 5 * BASE_VARINT_LEN_MAX) + b->bytes.len;
    for (size_t i = 0; i < b->partition_count;
         i++) /* ckey prefixes stand in the partition's record too */
        fixed += b->partitions[i].prefix_len;
    size_t offsets = b->partition_count + b->row_count + 2;
    *wide = fixed + offsets * 2 > UINT16_MAX;
    return fixed + offsets * (*wide ? 4 : 2);
}

int lsmi_builder_finish(struct lsmi_block_builder *b, bool continues, struct base_buf *out)
{
    BASE_ASSERT(b->partition_count > 0);
    struct layout l;
    size_t bound = length_bound(b, &l.wide);
    if (bound > BLOCK_LEN_MAX)
        return BASE_E_LIMIT;
    int rc = base_buf_reserve(out, bound);
    if (rc)
        return rc;
    size_t np = b->partition_count, nr = b->row_count, width = l.wide ? 4 : 2;
    const struct lsmi_builder_partition *first = &b->partitions[0], *last = &b->partitions[np - 1];
    size_t shorter = first->key_len < last->key_len ? first->key_len : last->key_len;
    size_t prefix = common_prefix(b->bytes.data + first->key_at, b->bytes.data + last->key_at,
                                  shorter < UINT16_MAX ? shorter : UINT16_MAX);
    l.block = out->data + out->len;
    l.block[0] = LSMI_BLOCK_DATA;
    l.block[1] = (uint8_t)((l.wide ? LSMI_BLOCK_WIDE : 0) | (continues ? LSMI_BLOCK_CONTINUES : 0));
    base_put_le16(l.block + 2, (uint16_t)prefix);
    base_put_le32(l.block + 4, (uint32_t)np);
    base_put_le32(l.block + 8, (uint32_t)nr);
    uint8_t *heads = l.block + LSMI_DATA_HEADER_LEN, *row_heads = heads + np * LSMI_HEAD_LEN;
    uint8_t *offsets = row_heads + nr * LSMI_HEAD_LEN, *row_offsets = offsets + (np + 1) * width;
    l.at = row_offsets + (nr + 1) * width;
    memcpy(l.at, b->bytes.data + first->key_at, prefix);
    l.at += prefix;
    for (size_t i = 0; i < np; i++) {
        put_offset(&l, offsets, i);
        put_partition(b, &l, heads, i, prefix);
    }
    put_offset(&l, offsets, np);
    for (size_t i = 0; i < np; i++) {
        size_t end = i + 1 < np ? b->partitions[i + 1].row_begin : nr,
               cut = b->partitions[i].prefix_len;
        for (size_t row = b->partitions[i].row_begin; row < end; row++) {
            const struct lsmi_builder_row *r = &b->rows[row];
            put_offset(&l, row_offsets, row);
            put_key(&l, row_heads, row,
                    base_slice(b->bytes.data + r->key_at + cut, r->key_len - cut), r->marker);
            memcpy(l.at, b->bytes.data + r->payload_at, r->payload_len);
            l.at += r->payload_len;
        }
    }
    put_offset(&l, row_offsets, nr);
    size_t len = (size_t)(l.at - l.block);
    BASE_ASSERT(len <= bound);
    out->len += len;
    lsmi_builder_reset(b);
    return BASE_OK;
}

/* Index. */

void lsmi_index_builder_init(struct lsmi_index_builder *b)
{
    *b = (struct lsmi_index_builder){0};
    base_buf_init(&b->keys, BLOCK_LEN_MAX);
}

void lsmi_index_builder_fini(struct lsmi_index_builder *b)
{
    base_buf_fini(&b->keys);
    free(b->entries);
    lsmi_index_builder_init(b);
}

static size_t index_prefix(const struct lsmi_index_builder *b)
{
    if (b->count == 0)
        return 0;
    const struct lsmi_index_entry *first = &b->entries[0], *last = &b->entries[b->count - 1];
    size_t shorter = first->key_len < last->key_len ? first->key_len : last->key_len;
    return common_prefix(b->keys.data + first->key_at, b->keys.data + last->key_at,
                         shorter < UINT16_MAX ? shorter : UINT16_MAX);
}

size_t lsmi_index_builder_size(const struct lsmi_index_builder *b)
{
    size_t cut = index_prefix(b) + LSMI_HEAD_LEN; /* off every key, roughly */
    size_t rests = b->keys.len > b->count * cut ? b->keys.len - b->count * cut : 0;
    return LSMI_INDEX_HEADER_LEN + b->count * (LSMI_HEAD_LEN + 4 + 2 + 1) + rests;
}

bool lsmi_index_builder_fits(const struct lsmi_index_builder *b, uint32_t child_len)
{
    return b->count == 0 || b->child_end - b->child_base + child_len <= UINT32_MAX;
}

int lsmi_index_builder_add(struct lsmi_index_builder *b, struct base_slice separator,
                           uint64_t child_offset, uint32_t child_len)
{
    BASE_ASSERT(lsmi_index_builder_fits(b, child_len));
    BASE_ASSERT(b->count == 0 || child_offset == b->child_end);
    int rc = grow((void **)&b->entries, &b->cap, b->count, sizeof *b->entries);
    uint32_t at = (uint32_t)b->keys.len;
    if (!rc)
        rc = base_buf_put_slice(&b->keys, separator);
    if (rc)
        return rc;
    if (b->count == 0)
        b->child_base = child_offset;
    b->child_end = child_offset + child_len;
    b->entries[b->count++] = (struct lsmi_index_entry){at, (uint32_t)separator.len,
                                                       (uint32_t)(b->child_end - b->child_base)};
    return BASE_OK;
}

int lsmi_index_builder_finish(struct lsmi_index_builder *b, uint32_t level, struct base_buf *out)
{
    BASE_ASSERT(level >= 1 && level <= LSMI_LEVELS_MAX);
    size_t n = b->count, prefix = index_prefix(b);
    size_t fixed = LSMI_INDEX_HEADER_LEN + n * (LSMI_HEAD_LEN + 4 + 5) + b->keys.len + prefix;
    struct layout l = {.wide = fixed + (n + 1) * 2 > UINT16_MAX};
    size_t width = l.wide ? 4 : 2, bound = fixed + (n + 1) * width;
    int rc = base_buf_reserve(out, bound);
    if (rc)
        return rc;
    l.block = out->data + out->len;
    l.block[0] = LSMI_BLOCK_INDEX;
    l.block[1] = l.wide ? LSMI_BLOCK_WIDE : 0;
    base_put_le16(l.block + 2, (uint16_t)prefix);
    base_put_le32(l.block + 4, (uint32_t)n);
    base_put_le32(l.block + 8, level);
    base_put_le64(l.block + 12, b->child_base);
    uint8_t *heads = l.block + LSMI_INDEX_HEADER_LEN, *ends = heads + n * LSMI_HEAD_LEN,
            *offsets = ends + n * 4;
    l.at = offsets + (n + 1) * width;
    if (prefix)
        memcpy(l.at, b->keys.data + b->entries[0].key_at, prefix);
    l.at += prefix;
    for (size_t i = 0; i < n; i++) {
        const struct lsmi_index_entry *e = &b->entries[i];
        put_offset(&l, offsets, i);
        base_put_le32(ends + i * 4, e->child_end);
        put_key(&l, heads, i, base_slice(b->keys.data + e->key_at + prefix, e->key_len - prefix),
                false);
    }
    put_offset(&l, offsets, n);
    BASE_ASSERT((size_t)(l.at - l.block) <= bound);
    out->len += (size_t)(l.at - l.block);
    base_buf_reset(&b->keys);
    b->count = 0;
    return BASE_OK;
}
