/* Reading blocks: validation once, then unchecked search and access. Writing them:
 * sst_block_build.c.
 *
 * Invariants:
 *  1. lsmi_block_parse reads every byte a later access can touch: whoever holds a parsed block
 *     trusts it.
 *  2. heads[i] is the first four bytes of key i after the prefix, zero-padded; where heads are
 *     equal the record's length and rest decide (compare_suffix). */
#include "lsm/sst_block.h"

#include "lsm/sst_block_layout.h"

static uint32_t get_offset(const struct lsmi_block *b, const uint8_t *offsets, uint32_t i)
{
    return b->wide ? base_get_le32(offsets + (size_t)i * 4)
                   : base_get_le16(offsets + (size_t)i * 2);
}

struct lsmi_block *lsmi_block_new(uint32_t size)
{
    struct lsmi_block *b = malloc(sizeof *b + size);
    if (b) {
        *b = (struct lsmi_block){.size = size, .capacity = size};
        atomic_init(&b->refs, 1);
    }
    return b;
}

struct lsmi_block *lsmi_block_renew(struct lsmi_block *spare, uint32_t size)
{
    if (!spare || spare->capacity < size) {
        lsmi_block_unpin(spare);
        return lsmi_block_new(size);
    }
    BASE_ASSERT(lsmi_block_is_sole(spare) && !spare->cached);
    uint32_t capacity = spare->capacity;
    *spare = (struct lsmi_block){.size = size, .capacity = capacity};
    atomic_store_explicit(&spare->refs, 1, memory_order_relaxed);
    return spare;
}

void lsmi_block_unpin(struct lsmi_block *b)
{
    if (!b)
        return;
    uint32_t refs = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    BASE_ASSERT(refs > 0);
    if (refs == 1)
        free(b);
}

/* Records. */

/* A record begins with a varint (suffix length, one bit) and the suffix's bytes after its first
 * four. Trusted. */
struct record {
    uint32_t suffix_len;
    bool bit;
    const uint8_t *rest; /* suffix_len - 4 bytes, if more than 4 */
    const uint8_t *body, *end;
};

static inline uint32_t rest_len(uint32_t suffix_len)
{
    return suffix_len > LSMI_HEAD_LEN ? suffix_len - LSMI_HEAD_LEN : 0;
}

static inline struct record get_record(const struct lsmi_block *b, const struct lsmi_keys *keys,
                                       uint32_t i)
{
    const uint8_t *p = b->bytes + get_offset(b, keys->offsets, i);
    struct record r = {.end = b->bytes + get_offset(b, keys->offsets, i + 1)};
    uint64_t v = *p;
    if (BASE_LIKELY(v < 0x80)) {
        p++;
    } else {
        struct base_reader in = {p, r.end};
        bool ok = base_get_varint(&in, &v);
        BASE_ASSERT(ok);
        p = in.p;
    }
    r.bit = v & 1;
    r.suffix_len = (uint32_t)(v >> 1);
    r.rest = p;
    r.body = p + rest_len(r.suffix_len);
    return r;
}

static inline uint32_t load_head(const struct lsmi_keys *keys, uint32_t i)
{
    return base_get_be32(keys->heads + (size_t)i * LSMI_HEAD_LEN);
}

/* Key i's suffix against a target whose head is the same. */
static int compare_suffix(const struct lsmi_block *b, const struct lsmi_keys *keys, uint32_t i,
                          struct base_slice target)
{
    struct record r = get_record(b, keys, i);
    if (r.suffix_len < LSMI_HEAD_LEN || target.len < LSMI_HEAD_LEN)
        return (r.suffix_len > target.len) - (r.suffix_len < target.len);
    return base_slice_compare(base_slice(r.rest, r.suffix_len - LSMI_HEAD_LEN),
                              base_slice(target.data + LSMI_HEAD_LEN, target.len - LSMI_HEAD_LEN));
}

static bool padded(const struct lsmi_block *b, const struct lsmi_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        uint32_t len = get_record(b, keys, i).suffix_len;
        if (len < LSMI_HEAD_LEN && (load_head(keys, i) & (UINT32_MAX >> 8 * len)) != 0)
            return false;
    }
    return true;
}

bool lsmi_block_heads_padded(const struct lsmi_block *b)
{
    return padded(b, &b->keys) && padded(b, &b->rows);
}

/* The first head in [lo, hi) that is >= head. */
static uint32_t heads_lower_bound(const struct lsmi_keys *keys, uint32_t lo, uint32_t hi,
                                  uint32_t head)
{
    const uint8_t *at = keys->heads + (size_t)lo * LSMI_HEAD_LEN;
    uint32_t n = hi - lo;
    if (n == 0)
        return lo;
    while (n > 1) { /* without branches: the data decide nothing but an addition */
        uint32_t half = n / 2;
        at += base_get_be32(at + (size_t)(half - 1) * LSMI_HEAD_LEN) < head
                  ? (size_t)half * LSMI_HEAD_LEN
                  : 0;
        n -= half;
    }
    return (uint32_t)((size_t)(at - keys->heads) / LSMI_HEAD_LEN) + (base_get_be32(at) < head);
}

/* The first of the keys [lo, hi) that is >= target (target: after the prefix); past: > target. */
static uint32_t keys_lower_bound(const struct lsmi_block *b, const struct lsmi_keys *keys,
                                 uint32_t lo, uint32_t hi, struct base_slice target, bool past,
                                 bool *equal)
{
    uint32_t head = lsmi_head(target);
    uint32_t at = heads_lower_bound(keys, lo, hi, head);
    *equal = false;
    if (at == hi || load_head(keys, at) != head)
        return at;
    uint32_t upto = at + 1;
    if (upto < hi && load_head(keys, upto) == head)
        upto = head == UINT32_MAX ? hi : heads_lower_bound(keys, upto, hi, head + 1);
    while (at < upto) {
        uint32_t middle = at + (upto - at) / 2;
        int c = compare_suffix(b, keys, middle, target);
        if (c == 0) {
            *equal = true;
            return middle + past;
        }
        if (c < 0)
            at = middle + 1;
        else
            upto = middle;
    }
    return at;
}

/* Take a prefix off a target: 0 and *suffix when it has it; <0: the target is before all keys with
 * the prefix; >0: after. */
static inline int cut_prefix(struct base_slice prefix, struct base_slice target,
                             struct base_slice *suffix)
{
    size_t n = prefix.len < target.len ? prefix.len : target.len;
    int c = n ? memcmp(target.data, prefix.data, n) : 0;
    if (c)
        return c;
    if (target.len < prefix.len)
        return -1;
    *suffix = base_slice(target.data + prefix.len, target.len - prefix.len);
    return 0;
}

/* Data blocks. */

bool lsmi_block_continues(const struct lsmi_block *b)
{
    return b->flags & LSMI_BLOCK_CONTINUES;
}

uint32_t lsmi_block_find_partition(const struct lsmi_block *b, struct base_slice pkey, bool *equal)
{
    struct base_slice suffix;
    int c = cut_prefix(b->prefix, pkey, &suffix);
    *equal = false;
    if (c)
        return c < 0 ? 0 : b->keys.count;
    return keys_lower_bound(b, &b->keys, 0, b->keys.count, suffix, false, equal);
}

int lsmi_block_pkey(const struct lsmi_block *b, uint32_t i, struct base_buf *buf)
{
    BASE_ASSERT(i < b->keys.count);
    struct record r = get_record(b, &b->keys, i);
    base_buf_reset(buf);
    int rc = base_buf_reserve(buf, b->prefix.len + LSMI_HEAD_LEN + r.suffix_len);
    if (rc)
        return rc;
    memcpy(buf->data, b->prefix.data, b->prefix.len);
    memcpy(buf->data + b->prefix.len, b->keys.heads + (size_t)i * LSMI_HEAD_LEN, LSMI_HEAD_LEN);
    memcpy(buf->data + b->prefix.len + LSMI_HEAD_LEN, r.rest, rest_len(r.suffix_len));
    buf->len = b->prefix.len + r.suffix_len;
    return BASE_OK;
}

static bool get_deletion(struct base_reader *in, struct base_deletion *d)
{
    uint64_t ts, local_s;
    *d = BASE_DELETION_NONE;
    if (!base_get_varint(in, &ts) || !base_get_varint(in, &local_s))
        return false;
    *d = (struct base_deletion){base_unzigzag(ts), base_unzigzag(local_s)};
    return !base_deletion_is_none(*d);
}

/* A partition record's body; row_end is left to the caller. Checks everything, so that it serves
 * both validation and access. */
static bool get_partition_body(const struct record *r, struct lsmi_block_partition *p)
{
    struct base_reader in = {r->body, r->end};
    uint64_t row_begin, first_len;
    uint8_t flags = 0;
    *p = (struct lsmi_block_partition){.deletion = BASE_DELETION_NONE, .open = BASE_DELETION_NONE};
    if (!base_get_varint(&in, &row_begin) || row_begin > UINT32_MAX ||
        !base_get_bytes(&in, &p->ckey_prefix) || p->ckey_prefix.len > BASE_CKEY_LEN_MAX)
        return false;
    p->row_begin = (uint32_t)row_begin;
    if (r->bit && (!base_get_u8(&in, &flags) || flags == 0 || (flags & ~LSMI_PARTITION_FLAGS)))
        return false;
    p->continued = flags & LSMI_PARTITION_CONTINUED;
    p->has_markers = flags & LSMI_PARTITION_MARKERS;
    p->static_elsewhere = flags & LSMI_PARTITION_STATIC_ELSEWHERE;
    if ((flags & LSMI_PARTITION_DELETION) && !get_deletion(&in, &p->deletion))
        return false;
    if ((flags & LSMI_PARTITION_OPEN) && !get_deletion(&in, &p->open))
        return false;
    if ((flags & LSMI_PARTITION_STATIC) &&
        (!base_get_bytes(&in, &p->static_row) || p->static_row.len == 0))
        return false;
    if (p->static_elsewhere) {
        if (!base_get_varint(&in, &p->first_offset) || !base_get_varint(&in, &first_len) ||
            first_len > UINT32_MAX)
            return false;
        p->first_len = (uint32_t)first_len;
    }
    bool needs_continued = flags & (LSMI_PARTITION_STATIC_ELSEWHERE | LSMI_PARTITION_OPEN);
    return base_reader_left(&in) == 0 && !(p->continued && p->static_row.len) &&
           (p->continued || !needs_continued);
}

/* Where partition i's rows begin: the first field of its body. */
static uint32_t row_begin_of(const struct lsmi_block *b, uint32_t i)
{
    struct record r = get_record(b, &b->keys, i);
    struct base_reader in = {r.body, r.end};
    uint64_t v;
    bool ok = base_get_varint(&in, &v);
    BASE_ASSERT(ok);
    return (uint32_t)v;
}

void lsmi_block_get_partition(const struct lsmi_block *b, uint32_t i,
                              struct lsmi_block_partition *out)
{
    BASE_ASSERT(i < b->keys.count);
    struct record r = get_record(b, &b->keys, i);
    bool ok = get_partition_body(&r, out);
    BASE_ASSERT(ok);
    out->row_end = i + 1 < b->keys.count ? row_begin_of(b, i + 1) : b->rows.count;
}

uint32_t lsmi_block_find_row(const struct lsmi_block *b, const struct lsmi_block_partition *p,
                             struct base_slice ckey, bool past)
{
    struct base_slice suffix;
    bool equal;
    int c = cut_prefix(p->ckey_prefix, ckey, &suffix);
    if (c)
        return c < 0 ? p->row_begin : p->row_end;
    return keys_lower_bound(b, &b->rows, p->row_begin, p->row_end, suffix, past, &equal);
}

bool lsmi_block_is_marker(const struct lsmi_block *b, uint32_t row)
{
    return b->bytes[get_offset(b, b->rows.offsets, row)] & 1; /* the varint's lowest bit */
}

static bool get_marker_body(const struct record *r, struct base_deletion *before,
                            struct base_deletion *after)
{
    struct base_reader in = {r->body, r->end};
    uint8_t flags;
    *before = *after = BASE_DELETION_NONE;
    if (!base_get_u8(&in, &flags) || flags == 0 ||
        (flags & ~(LSMI_MARKER_BEFORE | LSMI_MARKER_AFTER)))
        return false;
    if ((flags & LSMI_MARKER_BEFORE) && !get_deletion(&in, before))
        return false;
    if ((flags & LSMI_MARKER_AFTER) && !get_deletion(&in, after))
        return false;
    return base_reader_left(&in) == 0;
}

void lsmi_block_marker(const struct lsmi_block *b, uint32_t row, struct base_deletion *before,
                       struct base_deletion *after)
{
    struct record r = get_record(b, &b->rows, row);
    BASE_ASSERT(r.bit);
    bool ok = get_marker_body(&r, before, after);
    BASE_ASSERT(ok);
}

void lsmi_block_item(const struct lsmi_block *b, uint32_t row, uint8_t *ckey, size_t prefix_len,
                     struct base_item *out)
{
    struct record r = get_record(b, &b->rows, row);
    uint8_t *at = ckey + prefix_len;
    memcpy(at, b->rows.heads + (size_t)row * LSMI_HEAD_LEN, LSMI_HEAD_LEN);
    if (r.suffix_len > LSMI_HEAD_LEN)
        memcpy(at + LSMI_HEAD_LEN, r.rest, r.suffix_len - LSMI_HEAD_LEN);
    out->ckey = base_slice(ckey, prefix_len + r.suffix_len);
    if (BASE_LIKELY(!r.bit)) {
        out->kind = BASE_ITEM_ROW;
        out->row = base_slice(r.body, (size_t)(r.end - r.body));
        out->before = out->after = BASE_DELETION_NONE;
    } else {
        out->kind = BASE_ITEM_MARKER;
        out->row = (struct base_slice){0};
        bool ok = get_marker_body(&r, &out->before, &out->after);
        BASE_ASSERT(ok);
    }
}

/* Index blocks. */

uint32_t lsmi_index_find(const struct lsmi_block *b, struct base_slice key)
{
    BASE_ASSERT(b->keys.count > 0);
    struct base_slice suffix;
    bool equal;
    int c = cut_prefix(b->prefix, key, &suffix);
    if (c)
        return c < 0 ? 0 : b->keys.count - 1;
    uint32_t i = keys_lower_bound(b, &b->keys, 0, b->keys.count, suffix, true, &equal);
    return i ? i - 1 : 0;
}

int lsmi_index_compare(const struct lsmi_block *b, uint32_t i, struct base_slice key)
{
    struct base_slice suffix;
    int c = cut_prefix(b->prefix, key, &suffix);
    if (c)
        return -c;
    uint32_t mine = load_head(&b->keys, i), theirs = lsmi_head(suffix);
    return mine != theirs ? (mine > theirs) - (mine < theirs)
                          : compare_suffix(b, &b->keys, i, suffix);
}

void lsmi_index_child(const struct lsmi_block *b, uint32_t i, uint64_t *offset, uint32_t *frame_len)
{
    BASE_ASSERT(i < b->keys.count);
    uint32_t begin = i ? base_get_le32(b->child_ends + (size_t)(i - 1) * 4) : 0;
    *offset = b->child_base + begin;
    *frame_len = base_get_le32(b->child_ends + (size_t)i * 4) - begin;
}

/* Validation. */

/* One array of records in [begin, end): offsets ascend, suffixes lie inside, the body starts. */
static bool check_records(const struct lsmi_block *b, const struct lsmi_keys *keys, uint32_t begin,
                          uint32_t end)
{
    if (get_offset(b, keys->offsets, 0) != begin ||
        get_offset(b, keys->offsets, keys->count) != end)
        return false;
    for (uint32_t i = 0; i < keys->count; i++) {
        uint32_t from = get_offset(b, keys->offsets, i), upto = get_offset(b, keys->offsets, i + 1);
        if (from < begin || from >= upto || upto > end)
            return false;
        struct base_reader in = {b->bytes + from, b->bytes + upto};
        uint64_t v;
        struct base_slice rest;
        if (!base_get_varint(&in, &v) || (v >> 1) > BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX ||
            !base_get_raw(&in, rest_len((uint32_t)(v >> 1)), &rest))
            return false;
    }
    return true;
}

static bool check_rows(const struct lsmi_block *b, const struct lsmi_block_partition *p)
{
    for (uint32_t i = p->row_begin; i < p->row_end; i++) {
        struct record r = get_record(b, &b->rows, i);
        struct base_deletion before, after;
        size_t len = p->ckey_prefix.len + r.suffix_len;
        if (len == 0 || len > BASE_CKEY_LEN_MAX)
            return false;
        if (r.bit ? !p->has_markers || !get_marker_body(&r, &before, &after) : r.body == r.end)
            return false;
    }
    return true;
}

static bool check_data(const struct lsmi_block *b)
{
    if (b->keys.count == 0)
        return false;
    uint32_t row = 0;
    for (uint32_t i = 0; i < b->keys.count; i++) {
        struct record r = get_record(b, &b->keys, i);
        struct lsmi_block_partition p;
        size_t len = b->prefix.len + r.suffix_len;
        if (len < LSMI_PKEY_LEN_MIN || len > BASE_PKEY_LEN_MAX || !get_partition_body(&r, &p))
            return false;
        if (p.row_begin != row || (p.continued && i > 0))
            return false;
        p.row_end = b->rows.count;
        if (i + 1 < b->keys.count) { /* the next one's body may be damaged: read it checked */
            struct record next = get_record(b, &b->keys, i + 1);
            struct base_reader in = {next.body, next.end};
            uint64_t v;
            if (!base_get_varint(&in, &v) || v < row || v > b->rows.count)
                return false;
            p.row_end = (uint32_t)v;
        }
        if (!check_rows(b, &p))
            return false;
        row = p.row_end;
    }
    return true;
}

static bool parse_data(struct lsmi_block *b)
{
    uint64_t partitions = base_get_le32(b->bytes + 4), rows = base_get_le32(b->bytes + 8);
    uint64_t width = b->wide ? 4 : 2, at = LSMI_DATA_HEADER_LEN;
    uint64_t heads = at, row_heads = heads + partitions * LSMI_HEAD_LEN,
             offsets = row_heads + rows * LSMI_HEAD_LEN;
    uint64_t row_offsets = offsets + (partitions + 1) * width,
             prefix = row_offsets + (rows + 1) * width;
    at = prefix + b->prefix.len;
    if (at > b->size)
        return false;
    b->keys = (struct lsmi_keys){b->bytes + heads, b->bytes + offsets, (uint32_t)partitions};
    b->rows = (struct lsmi_keys){b->bytes + row_heads, b->bytes + row_offsets, (uint32_t)rows};
    b->prefix.data = b->bytes + prefix;
    uint32_t rows_at = get_offset(b, b->rows.offsets, 0);
    return rows_at <= b->size && check_records(b, &b->keys, (uint32_t)at, rows_at) &&
           check_records(b, &b->rows, rows_at, b->size) && check_data(b);
}

static bool parse_index(struct lsmi_block *b)
{
    if (b->size < LSMI_INDEX_HEADER_LEN)
        return false;
    uint64_t count = base_get_le32(b->bytes + 4), width = b->wide ? 4 : 2;
    b->level = base_get_le32(b->bytes + 8);
    b->child_base = base_get_le64(b->bytes + 12);
    uint64_t heads = LSMI_INDEX_HEADER_LEN, ends = heads + count * LSMI_HEAD_LEN,
             offsets = ends + count * 4;
    uint64_t prefix = offsets + (count + 1) * width, at = prefix + b->prefix.len;
    if (at > b->size || b->level == 0 || b->level > LSMI_LEVELS_MAX)
        return false;
    b->keys = (struct lsmi_keys){b->bytes + heads, b->bytes + offsets, (uint32_t)count};
    b->child_ends = b->bytes + ends;
    b->prefix.data = b->bytes + prefix;
    if (!check_records(b, &b->keys, (uint32_t)at, b->size))
        return false;
    for (uint32_t i = 0, end = 0; i < count; i++) {
        uint32_t next = base_get_le32(b->child_ends + (size_t)i * 4);
        struct record r = get_record(b, &b->keys, i);
        if (next <= end || r.bit || r.body != r.end)
            return false;
        end = next;
    }
    return true;
}

bool lsmi_block_parse(struct lsmi_block *b)
{
    if (b->size < LSMI_DATA_HEADER_LEN)
        return false;
    uint8_t kind = b->bytes[0];
    b->flags = b->bytes[1];
    b->wide = b->flags & LSMI_BLOCK_WIDE;
    b->prefix.len = base_get_le16(b->bytes + 2);
    if (kind == LSMI_BLOCK_DATA)
        return !(b->flags & ~(LSMI_BLOCK_WIDE | LSMI_BLOCK_CONTINUES)) && parse_data(b);
    return kind == LSMI_BLOCK_INDEX && !(b->flags & ~LSMI_BLOCK_WIDE) && parse_index(b);
}
