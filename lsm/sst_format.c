/* The SSTable's frames, footer, metadata and statistics as bytes, both directions:
 * docs/formats/sstable.md.
 *
 * Invariants:
 *  1. Every byte of a file is under one 64-bit checksum seeded by where it lies: of a frame, or of
 *     the footer.
 *  2. The footer's last 16 bytes and the place of its checksum never change between versions, so
 *     that a file from the future is told from a damaged one.
 *  3. One table (metadata_fields) says what the metadata section holds; writing, reading and
 *     comparing walk it. */
#include "lsm/sst_private.h"

#include <stddef.h>
#include <stdio.h>

/* Frames. */

int lsmi_frame_seal(struct base_buf *buf, size_t start, int compressor, uint32_t size,
                    uint64_t salt, uint64_t offset)
{
    int rc = base_buf_reserve(buf, LSMI_FRAME_TRAILER);
    if (rc)
        return rc;
    uint8_t *at = buf->data + buf->len;
    at[0] = (uint8_t)compressor;
    base_put_le32(at + 1, size);
    base_put_le64(at + 5,
                  base_checksum_seeded(buf->data + start, buf->len + 5 - start, salt + offset));
    buf->len += LSMI_FRAME_TRAILER;
    return BASE_OK;
}

const char *lsmi_frame_open(struct base_slice bytes, uint64_t salt, uint64_t offset,
                            struct lsmi_frame *out)
{
    *out = (struct lsmi_frame){0};
    if (bytes.len <= LSMI_FRAME_TRAILER)
        return "too short";
    const uint8_t *trailer = bytes.data + bytes.len - LSMI_FRAME_TRAILER;
    if (base_checksum_seeded(bytes.data, bytes.len - 8, salt + offset) !=
        base_get_le64(trailer + 5))
        return "checksum mismatch";
    *out = (struct lsmi_frame){
        {bytes.data, bytes.len - LSMI_FRAME_TRAILER}, trailer[0], base_get_le32(trailer + 1)};
    if (out->compressor == BASE_COMPRESS_NONE && out->size != out->payload.len)
        return "lengths disagree";
    return NULL;
}

const char *lsmi_frame_unpack(const struct lsmi_frame *frame, uint8_t *out)
{
    if (frame->compressor == BASE_COMPRESS_NONE) {
        memcpy(out, frame->payload.data, frame->payload.len);
        return NULL;
    }
    int rc =
        base_decompress((enum base_compressor)frame->compressor, frame->payload, out, frame->size);
    return rc == BASE_OK ? NULL : "does not decompress";
}

/* Footer. */

static const uint8_t magic[8] = {'R', 'i', 'n', 'g', 'S', 'S', 'T', '\n'};
enum { FOOTER_CHECKSUM_FROM_END = LSMI_FOOTER_TAIL + 8 };

static uint64_t footer_checksum(const uint8_t *footer, size_t len, uint64_t offset)
{
    uint8_t copy[LSMI_FOOTER_LEN_MAX];
    BASE_ASSERT(len >= FOOTER_CHECKSUM_FROM_END && len <= sizeof copy);
    memcpy(copy, footer, len);
    memset(copy + len - FOOTER_CHECKSUM_FROM_END, 0, 8);
    return base_checksum_seeded(copy, len, offset);
}

void lsmi_footer_encode(const struct lsmi_footer *footer, uint64_t offset,
                        uint8_t out[LSMI_FOOTER_LEN])
{
    const uint64_t words[] = {
        footer->salt,          footer->index_offset, footer->root_offset,     footer->root_len,
        footer->filter_offset, footer->filter_len,   footer->metadata_offset, footer->metadata_len};
    memset(out, 0, LSMI_FOOTER_LEN);
    for (size_t i = 0; i < BASE_COUNT(words); i++)
        base_put_le64(out + i * 8, words[i]);
    base_put_le32(out + 64, footer->levels);
    base_put_le32(out + 80, LSMI_SST_VERSION);
    base_put_le32(out + 84, LSMI_FOOTER_LEN);
    memcpy(out + 88, magic, sizeof magic);
    base_put_le64(out + 72, footer_checksum(out, LSMI_FOOTER_LEN, offset));
}

/* The sections follow each other without a gap, so that every byte belongs to one. */
static bool footer_tiles(const struct lsmi_footer *f, uint64_t footer_offset)
{
    return f->levels >= 1 && f->levels <= LSMI_LEVELS_MAX && f->index_offset <= f->root_offset &&
           f->root_len <= footer_offset && f->filter_len <= footer_offset &&
           f->metadata_len <= footer_offset && f->root_offset <= footer_offset &&
           f->root_offset + f->root_len == f->filter_offset &&
           f->filter_offset + f->filter_len == f->metadata_offset &&
           f->metadata_offset + f->metadata_len == footer_offset;
}

int lsmi_footer_decode(struct base_slice tail, uint64_t file_size, struct lsmi_footer *out,
                       struct base_err *err)
{
    *out = (struct lsmi_footer){0};
    const uint8_t *end = tail.data + tail.len;
    if (tail.len < LSMI_FOOTER_LEN || memcmp(end - sizeof magic, magic, sizeof magic) != 0)
        return base_err_set(
            err, BASE_E_CORRUPT, "footer at offset %llu: not an SSTable, or cut short",
            (unsigned long long)(file_size < LSMI_FOOTER_LEN ? 0 : file_size - LSMI_FOOTER_LEN));
    uint32_t version = base_get_le32(end - 16), len = base_get_le32(end - 12);
    if (len < FOOTER_CHECKSUM_FROM_END || len > LSMI_FOOTER_LEN_MAX || len > tail.len)
        return base_err_set(err, BASE_E_CORRUPT, "footer at offset %llu: impossible length %u",
                            (unsigned long long)(file_size - LSMI_FOOTER_TAIL), len);
    const uint8_t *p = end - len;
    uint64_t offset = file_size - len;
    if (footer_checksum(p, len, offset) != base_get_le64(end - FOOTER_CHECKSUM_FROM_END))
        return base_err_set(err, BASE_E_CORRUPT, "footer at offset %llu: checksum mismatch",
                            (unsigned long long)offset);
    if (version != LSMI_SST_VERSION)
        return base_err_set(err, BASE_E_VERSION,
                            "format version %u, this program reads %d: use a newer one", version,
                            LSMI_SST_VERSION);
    struct lsmi_footer f = {
        .salt = base_get_le64(p),
        .index_offset = base_get_le64(p + 8),
        .root_offset = base_get_le64(p + 16),
        .root_len = base_get_le64(p + 24),
        .filter_offset = base_get_le64(p + 32),
        .filter_len = base_get_le64(p + 40),
        .metadata_offset = base_get_le64(p + 48),
        .metadata_len = base_get_le64(p + 56),
        .levels = base_get_le32(p + 64),
    };
    if (len != LSMI_FOOTER_LEN || base_get_le32(p + 68) != 0 || !footer_tiles(&f, offset))
        return base_err_set(err, BASE_E_CORRUPT,
                            "footer at offset %llu: impossible section directory",
                            (unsigned long long)offset);
    *out = f;
    return BASE_OK;
}

/* Metadata. */

enum field_type { FIELD_U64, FIELD_I64, FIELD_I32, FIELD_U32, FIELD_UUID, FIELD_TEXT };
struct field {
    uint8_t tag; /* in the file: never reused */
    uint8_t type;
    bool counted; /* follows from the data: verification counts it again */
    uint16_t at;
    const char *name;
};
#define FIELD(tag, type, counted, member)                                                          \
    {                                                                                              \
        tag, FIELD_##type, counted, offsetof(struct lsm_sstable_info, member), #member             \
    }
static const struct field metadata_fields[] = {
    FIELD(1, UUID, false, table_id),
    FIELD(2, UUID, false, host_id),
    FIELD(3, TEXT, false, table_name),
    FIELD(4, U64, false, id),
    FIELD(5, U64, true, data_bytes_uncompressed),
    FIELD(6, U64, true, partition_count),
    FIELD(7, U64, true, row_count),
    FIELD(8, U64, true, cell_count),
    FIELD(9, U64, true, tombstone_count),
    FIELD(10, U64, true, marker_count),
    FIELD(11, U64, true, block_count),
    FIELD(12, I64, true, token_min),
    FIELD(13, I64, true, token_max),
    FIELD(14, I64, true, ts_min),
    FIELD(15, I64, true, ts_max),
    FIELD(16, I64, true, local_s_min),
    FIELD(17, I64, true, local_s_max),
    FIELD(18, I32, true, ttl_max),
    FIELD(19, U64, false, commitlog_from),
    FIELD(20, U64, false, commitlog_upto),
    FIELD(21, I64, false, repaired_at_ms),
    FIELD(22, UUID, false, pending_repair),
    FIELD(23, U64, true, partition_size_max),
    FIELD(24, I32, false, compressor),
    FIELD(25, U32, false, level),
};
enum { TAG_PKEY_MIN = 100, TAG_PKEY_MAX = 101, TAG_SEEN = 102 };

/* A field's value as bytes; numbers as varints, so at most 10 of them. */
static struct base_slice field_value(const struct field *f, const struct lsm_sstable_info *info,
                                     uint8_t scratch[16])
{
    const uint8_t *p = (const uint8_t *)info + f->at;
    uint64_t v = 0;
    switch ((enum field_type)f->type) {
    case FIELD_UUID:
        return base_slice(p, 16);
    case FIELD_TEXT:
        return base_slice(p, strnlen((const char *)p, sizeof info->table_name));
    case FIELD_U64:
        v = *(const uint64_t *)(const void *)p;
        break;
    case FIELD_I64:
        v = base_zigzag(*(const int64_t *)(const void *)p);
        break;
    case FIELD_I32:
        v = base_zigzag(*(const int32_t *)(const void *)p);
        break;
    case FIELD_U32:
        v = *(const uint32_t *)(const void *)p;
        break;
    }
    return base_slice(scratch, (size_t)(base_put_varint(scratch, v) - scratch));
}

static bool set_field(const struct field *f, struct lsm_sstable_info *info, struct base_slice value)
{
    uint8_t *p = (uint8_t *)info + f->at;
    if (f->type == FIELD_UUID) {
        if (value.len == 16)
            memcpy(p, value.data, 16);
        return value.len == 16;
    }
    if (f->type == FIELD_TEXT) {
        if (value.len >= sizeof info->table_name || memchr(value.data, 0, value.len))
            return false;
        memcpy(p, value.data, value.len);
        return true;
    }
    struct base_reader in = base_reader(value);
    uint64_t v;
    if (!base_get_varint(&in, &v) || base_reader_left(&in))
        return false;
    if (f->type == FIELD_U64)
        *(uint64_t *)(void *)p = v;
    else if (f->type == FIELD_I64)
        *(int64_t *)(void *)p = base_unzigzag(v);
    else if (f->type == FIELD_U32 && v <= UINT32_MAX)
        *(uint32_t *)(void *)p = (uint32_t)v;
    else if (f->type == FIELD_I32 && base_unzigzag(v) >= INT32_MIN && base_unzigzag(v) <= INT32_MAX)
        *(int32_t *)(void *)p = (int32_t)base_unzigzag(v);
    else
        return false;
    return true;
}

static int put_tagged(struct base_buf *out, uint64_t tag, struct base_slice value)
{
    int rc = base_buf_put_varint(out, tag);
    return rc ? rc : base_buf_put_bytes(out, value);
}

int lsmi_metadata_encode(const struct lsmi_metadata *m, struct base_buf *out)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < BASE_COUNT(metadata_fields) && !rc; i++) {
        uint8_t scratch[16];
        rc = put_tagged(out, metadata_fields[i].tag,
                        field_value(&metadata_fields[i], &m->info, scratch));
    }
    if (!rc)
        rc = put_tagged(out, TAG_PKEY_MIN, m->pkey_min);
    return rc ? rc : put_tagged(out, TAG_PKEY_MAX, m->pkey_max);
}

static const struct field *field_by_tag(uint64_t tag)
{
    for (size_t i = 0; i < BASE_COUNT(metadata_fields); i++)
        if (metadata_fields[i].tag == tag)
            return &metadata_fields[i];
    return NULL;
}

bool lsmi_metadata_decode(struct base_slice bytes, struct lsmi_metadata *out)
{
    struct base_reader in = base_reader(bytes);
    bool seen[TAG_SEEN] = {false};
    *out = (struct lsmi_metadata){0};
    while (base_reader_left(&in)) {
        uint64_t tag;
        struct base_slice value;
        if (!base_get_varint(&in, &tag) || !base_get_bytes(&in, &value) ||
            (tag < TAG_SEEN && seen[tag]))
            return false;
        if (tag < TAG_SEEN)
            seen[tag] = true;
        const struct field *f = field_by_tag(tag);
        if (f && !set_field(f, &out->info, value))
            return false;
        if (tag == TAG_PKEY_MIN)
            out->pkey_min = value;
        if (tag == TAG_PKEY_MAX)
            out->pkey_max = value;
    }
    for (size_t i = 0; i < BASE_COUNT(metadata_fields); i++)
        if (!seen[metadata_fields[i].tag])
            return false;
    bool empty = out->info.partition_count == 0;
    return empty == (out->pkey_min.len == 0) && empty == (out->pkey_max.len == 0) &&
           base_slice_compare(out->pkey_min, out->pkey_max) <= 0;
}

const char *lsmi_metadata_difference(const struct lsm_sstable_info *a,
                                     const struct lsm_sstable_info *b)
{
    for (size_t i = 0; i < BASE_COUNT(metadata_fields); i++) {
        const struct field *f = &metadata_fields[i];
        uint8_t one[16], two[16];
        if (f->counted && !base_slice_equal(field_value(f, a, one), field_value(f, b, two)))
            return f->name;
    }
    return NULL;
}

/* Statistics. */

static const struct base_row_stats no_rows = {
    .ts_min = INT64_MAX, .ts_max = INT64_MIN, .local_s_min = INT64_MAX, .local_s_max = INT64_MIN};

void lsmi_count_begin(struct lsmi_count *c, struct lsm_sstable_info *info)
{
    *c = (struct lsmi_count){.info = info, .rows = no_rows};
    info->token_min = info->ts_min = info->local_s_min = INT64_MAX;
    info->token_max = info->ts_max = info->local_s_max = INT64_MIN;
}

static void fold(struct lsmi_count *c)
{
    struct lsm_sstable_info *info = c->info;
    info->ts_min = c->rows.ts_min < info->ts_min ? c->rows.ts_min : info->ts_min;
    info->ts_max = c->rows.ts_max > info->ts_max ? c->rows.ts_max : info->ts_max;
    info->local_s_min =
        c->rows.local_s_min < info->local_s_min ? c->rows.local_s_min : info->local_s_min;
    info->local_s_max =
        c->rows.local_s_max > info->local_s_max ? c->rows.local_s_max : info->local_s_max;
    info->ttl_max = c->rows.ttl_max > info->ttl_max ? c->rows.ttl_max : info->ttl_max;
    info->cell_count += c->rows.cell_count;
    info->tombstone_count += c->rows.tombstone_count;
    c->rows = no_rows;
}

static void count_deletion(struct lsmi_count *c, struct base_deletion d)
{
    if (base_deletion_is_none(d))
        return;
    c->rows.ts_min = d.ts < c->rows.ts_min ? d.ts : c->rows.ts_min;
    c->rows.ts_max = d.ts > c->rows.ts_max ? d.ts : c->rows.ts_max;
    c->rows.local_s_min = d.local_s < c->rows.local_s_min ? d.local_s : c->rows.local_s_min;
    c->rows.local_s_max = d.local_s > c->rows.local_s_max ? d.local_s : c->rows.local_s_max;
}

bool lsmi_count_partition(struct lsmi_count *c, const struct base_partition *p)
{
    int64_t token = base_token_get(p->pkey.data);
    c->info->token_min = token < c->info->token_min ? token : c->info->token_min;
    c->info->token_max = token > c->info->token_max ? token : c->info->token_max;
    c->info->partition_count++;
    c->partition_bytes = p->pkey.len + p->static_row.len;
    count_deletion(c, p->deletion);
    c->info->tombstone_count += !base_deletion_is_none(p->deletion);
    return p->static_row.len == 0 || base_row_stats(p->static_row, &c->rows);
}

bool lsmi_count_item(struct lsmi_count *c, const struct base_item *item)
{
    c->partition_bytes += item->ckey.len + item->row.len;
    if (item->kind == BASE_ITEM_MARKER) {
        count_deletion(c, item->before);
        count_deletion(c, item->after);
        c->info->marker_count++;
        c->info->tombstone_count++;
        return true;
    }
    c->info->row_count++;
    if (BASE_UNLIKELY(c->rows.cell_count > UINT32_MAX / 2))
        fold(c);
    return base_row_stats(item->row, &c->rows);
}

void lsmi_count_partition_end(struct lsmi_count *c)
{
    if (c->partition_bytes > c->info->partition_size_max)
        c->info->partition_size_max = c->partition_bytes;
    fold(c);
}

void lsmi_count_end(struct lsmi_count *c)
{
    fold(c);
}
