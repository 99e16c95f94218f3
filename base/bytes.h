/* Bytes: slices borrow, buffers own and carry a maximum, readers check every read.
 *
 * Numbers on disk and on the wire are little-endian unless a format says otherwise (keys are
 * big-endian, so that memcmp orders them). */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Borrowed bytes: whoever hands one out says how long it lives. data may be NULL when len is 0. */
struct base_slice {
    const uint8_t *data;
    size_t len;
};

#define BASE_SLICE_LIT(text) ((struct base_slice){(const uint8_t *)(text), sizeof(text) - 1})
static inline struct base_slice base_slice(const void *data, size_t len)
{
    return (struct base_slice){(const uint8_t *)data, len};
}
static inline struct base_slice base_slice_str(const char *text)
{
    return (struct base_slice){(const uint8_t *)text, strlen(text)};
}
static inline bool base_slice_equal(struct base_slice a, struct base_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* memcmp order, the shorter first when one is a prefix of the other. */
static inline int base_slice_compare(struct base_slice a, struct base_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}
bool base_slice_equal_nocase(struct base_slice a, struct base_slice b); /* ASCII */
/* For printf("%.*s", BASE_SLICE_ARG(s)). */
#define BASE_SLICE_ARG(s) (int)(s).len, (const char *)(s).data

/* A growing buffer. Grows by doubling up to len_max; past it, BASE_E_LIMIT. The caller's
 * storage. */
struct base_arena;
struct base_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t len_max;
    struct base_arena *arena; /* its bytes are the arena's; NULL: the heap's */
};

void base_buf_init(struct base_buf *buf, size_t len_max);
/* Its bytes live as long as the arena (what it grew out of stays there as waste); fini frees
 * nothing; take is not for it. */
void base_buf_init_in_arena(struct base_buf *buf, struct base_arena *arena, size_t len_max);
void base_buf_fini(struct base_buf *buf); /* frees; leaves an empty buffer with the same maximum */
/* Room for `extra` more bytes after len; does not change len. NOMEM, LIMIT. */
int base_buf_grow(struct base_buf *buf, size_t extra);
static inline int base_buf_reserve(struct base_buf *buf, size_t extra)
{
    return BASE_LIKELY(buf->cap - buf->len >= extra) ? BASE_OK : base_buf_grow(buf, extra);
}
static inline void base_buf_reset(struct base_buf *buf)
{
    buf->len = 0;
}
static inline struct base_slice base_buf_view(const struct base_buf *buf)
{
    return (struct base_slice){buf->data, buf->len};
}
BASE_MUST static inline int base_buf_put(struct base_buf *buf, const void *data, size_t len)
{
    int rc = base_buf_reserve(buf, len);
    if (rc == BASE_OK && len) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
    return rc;
}
BASE_MUST static inline int base_buf_put_slice(struct base_buf *buf, struct base_slice s)
{
    return base_buf_put(buf, s.data, s.len);
}
BASE_MUST static inline int base_buf_put_u8(struct base_buf *buf, uint8_t v)
{
    int rc = base_buf_reserve(buf, 1);
    if (rc == BASE_OK)
        buf->data[buf->len++] = v;
    return rc;
}
BASE_MUST int base_buf_printf(struct base_buf *buf, const char *fmt, ...) BASE_PRINTF(2, 3);
/* Move the bytes out: the caller frees *data with free(); the buffer is empty afterwards. */
void base_buf_take(struct base_buf *buf, uint8_t **data, size_t *len);

/* Fixed-width numbers, unaligned. */
static inline void base_put_le16(uint8_t *p, uint16_t v)
{
    memcpy(p, &(uint16_t){v}, 2);
}
static inline void base_put_le32(uint8_t *p, uint32_t v)
{
    memcpy(p, &(uint32_t){v}, 4);
}
static inline void base_put_le64(uint8_t *p, uint64_t v)
{
    memcpy(p, &(uint64_t){v}, 8);
}
static inline uint16_t base_get_le16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static inline uint32_t base_get_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t base_get_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline void base_put_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}
static inline void base_put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
static inline void base_put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}
static inline uint16_t base_get_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t base_get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t base_get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "big-endian hosts need byte swaps in base/bytes.h");

/* Unsigned LEB128; at most 10 bytes. Zigzag for signed numbers. */
#define BASE_VARINT_LEN_MAX 10
static inline uint8_t *base_put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}
static inline uint64_t base_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t base_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
BASE_MUST static inline int base_buf_put_varint(struct base_buf *buf, uint64_t v)
{
    int rc = base_buf_reserve(buf, BASE_VARINT_LEN_MAX);
    if (rc == BASE_OK)
        buf->len = (size_t)(base_put_varint(buf->data + buf->len, v) - buf->data);
    return rc;
}
/* varint length, then the bytes */
BASE_MUST int base_buf_put_bytes(struct base_buf *buf, struct base_slice s);
BASE_MUST static inline int base_buf_put_le32(struct base_buf *buf, uint32_t v)
{
    return base_buf_put(buf, &v, 4);
}
BASE_MUST static inline int base_buf_put_le64(struct base_buf *buf, uint64_t v)
{
    return base_buf_put(buf, &v, 8);
}

/* A read cursor over bytes that are not trusted. Every get returns false past the end (or on an
 * overlong varint), leaves the output zero, and makes all later gets fail too. */
struct base_reader {
    const uint8_t *p;
    const uint8_t *end;
};

static inline struct base_reader base_reader(struct base_slice s)
{
    return (struct base_reader){s.data, s.data + s.len};
}
static inline size_t base_reader_left(const struct base_reader *r)
{
    return (size_t)(r->end - r->p);
}
static inline bool base_reader_fail(struct base_reader *r)
{
    r->p = r->end = (const uint8_t *)"";
    return false;
}
bool base_get_varint_slow(struct base_reader *r, uint64_t *v);
BASE_MUST static inline bool base_get_varint(struct base_reader *r, uint64_t *v)
{
    if (BASE_LIKELY(r->p < r->end && *r->p < 0x80)) {
        *v = *r->p++;
        return true;
    }
    return base_get_varint_slow(r, v);
}
BASE_MUST static inline bool base_get_u8(struct base_reader *r, uint8_t *v)
{
    if (BASE_UNLIKELY(r->p >= r->end)) {
        *v = 0;
        return base_reader_fail(r);
    }
    *v = *r->p++;
    return true;
}
BASE_MUST static inline bool base_get_raw(struct base_reader *r, size_t len, struct base_slice *s)
{
    if (BASE_UNLIKELY(base_reader_left(r) < len)) {
        *s = (struct base_slice){0};
        return base_reader_fail(r);
    }
    *s = (struct base_slice){r->p, len};
    r->p += len;
    return true;
}
BASE_MUST static inline bool base_get_u32le(struct base_reader *r, uint32_t *v)
{
    struct base_slice s;
    *v = 0;
    if (!base_get_raw(r, 4, &s))
        return false;
    *v = base_get_le32(s.data);
    return true;
}
BASE_MUST static inline bool base_get_u64le(struct base_reader *r, uint64_t *v)
{
    struct base_slice s;
    *v = 0;
    if (!base_get_raw(r, 8, &s))
        return false;
    *v = base_get_le64(s.data);
    return true;
}
/* varint length, then the bytes (borrowed from the reader's slice) */
BASE_MUST static inline bool base_get_bytes(struct base_reader *r, struct base_slice *s)
{
    uint64_t len;
    *s = (struct base_slice){0};
    return base_get_varint(r, &len) && base_get_raw(r, len, s);
}

/* A 16-byte identity: table ids, host ids (RFC 4122 byte order). */
struct base_uuid {
    uint8_t b[16];
};
static inline bool base_uuid_equal(struct base_uuid a, struct base_uuid b)
{
    return memcmp(a.b, b.b, 16) == 0;
}
/* text: at least 37 bytes; gets the 36 characters of 8-4-4-4-12 and a NUL */
void base_uuid_print(struct base_uuid id, char *text);
bool base_uuid_parse(struct base_slice text, struct base_uuid *id);

#endif
