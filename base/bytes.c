/* Growing buffers, varints, uuids. */
#include "base/arena.h"

#include <stdio.h>

bool base_slice_equal_nocase(struct base_slice a, struct base_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        uint8_t x = a.data[i], y = b.data[i];
        x = x >= 'A' && x <= 'Z' ? (uint8_t)(x + 32) : x;
        y = y >= 'A' && y <= 'Z' ? (uint8_t)(y + 32) : y;
        if (x != y)
            return false;
    }
    return true;
}

void base_buf_init(struct base_buf *buf, size_t len_max)
{
    *buf = (struct base_buf){.len_max = len_max};
}

void base_buf_init_in_arena(struct base_buf *buf, struct base_arena *arena, size_t len_max)
{
    *buf = (struct base_buf){.len_max = len_max, .arena = arena};
}

void base_buf_fini(struct base_buf *buf)
{
    if (!buf->arena)
        free(buf->data);
    *buf = (struct base_buf){.len_max = buf->len_max, .arena = buf->arena};
}

/* The newest allocation of the arena grows where it is. */
static uint8_t *grow_in_arena(struct base_buf *buf, size_t cap)
{
    struct base_arena *arena = buf->arena;
    if (buf->data && buf->data + buf->cap == arena->p &&
        (size_t)(arena->end - arena->p) >= cap - buf->cap) {
        arena->p += cap - buf->cap;
        return buf->data;
    }
    uint8_t *data = base_arena_alloc_aligned(arena, cap, 1);
    if (data && buf->len)
        memcpy(data, buf->data, buf->len);
    return data;
}

int base_buf_grow(struct base_buf *buf, size_t extra)
{
    BASE_ASSERT(buf->len <= buf->cap);
    BASE_ASSERT(buf->cap <= buf->len_max || buf->cap == 0);
    if (buf->cap - buf->len >= extra)
        return BASE_OK;
    if (buf->len > buf->len_max || extra > buf->len_max - buf->len)
        return BASE_E_LIMIT;
    size_t need = buf->len + extra, cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap = cap > buf->len_max / 2 ? buf->len_max : cap * 2;
    if (cap > buf->len_max)
        cap = buf->len_max;
    uint8_t *data = buf->arena ? grow_in_arena(buf, cap) : realloc(buf->data, cap);
    if (!data)
        return BASE_E_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return BASE_OK;
}

int base_buf_put_bytes(struct base_buf *buf, struct base_slice s)
{
    int rc = base_buf_reserve(buf, BASE_VARINT_LEN_MAX + s.len);
    if (rc != BASE_OK)
        return rc;
    buf->len = (size_t)(base_put_varint(buf->data + buf->len, s.len) - buf->data);
    return base_buf_put(buf, s.data, s.len);
}

int base_buf_printf(struct base_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int need = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (need < 0)
        return BASE_E_INTERNAL;
    int rc = base_buf_reserve(buf, (size_t)need + 1);
    if (rc != BASE_OK)
        return rc;
    va_start(ap, fmt);
    vsnprintf((char *)buf->data + buf->len, (size_t)need + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)need;
    return BASE_OK;
}

void base_buf_take(struct base_buf *buf, uint8_t **data, size_t *len)
{
    *data = buf->data;
    *len = buf->len;
    base_buf_init(buf, buf->len_max);
}

bool base_get_varint_slow(struct base_reader *r, uint64_t *v)
{
    uint64_t value = 0;
    *v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->p >= r->end)
            return base_reader_fail(r);
        uint8_t byte = *r->p++;
        if (shift == 63 && byte > 1)
            return base_reader_fail(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *v = value;
            return true;
        }
    }
    return base_reader_fail(r);
}

void base_uuid_print(struct base_uuid id, char *text)
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = hex[id.b[i] >> 4];
        *text++ = hex[id.b[i] & 15];
    }
    *text = 0;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool base_uuid_parse(struct base_slice text, struct base_uuid *id)
{
    *id = (struct base_uuid){{0}};
    if (text.len != 36)
        return false;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (text.data[at++] != '-')
                return false;
        }
        int hi = hex_digit(text.data[at]), lo = hex_digit(text.data[at + 1]);
        if (hi < 0 || lo < 0) {
            *id = (struct base_uuid){{0}};
            return false;
        }
        id->b[i] = (uint8_t)(hi << 4 | lo);
        at += 2;
    }
    return true;
}
