/* Small things about bytes and text that the codecs share: hexadecimal, escaping, quoting for
 * messages. */
#include "base/base_private.h"

#include <stdio.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct base_slice basei_trim(struct base_slice text)
{
    while (text.len && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

int basei_hex_digit(uint8_t c)
{
    if (basei_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int basei_put_hex(struct base_buf *out, struct base_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    int rc = bytes.len > SIZE_MAX / 4 ? BASE_E_LIMIT : base_buf_reserve(out, 2 + 2 * bytes.len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    *p++ = '0';
    *p++ = 'x';
    for (size_t i = 0; i < bytes.len; i++) {
        *p++ = (uint8_t)digits[bytes.data[i] >> 4];
        *p++ = (uint8_t)digits[bytes.data[i] & 15];
    }
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}

int basei_hex_parse(struct base_slice text, struct base_buf *out)
{
    if (text.len < 2 || text.len % 2 || text.data[0] != '0' || (text.data[1] | 0x20) != 'x')
        return BASE_E_INVALID;
    int rc = base_buf_reserve(out, text.len / 2);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    for (size_t i = 2; i < text.len; i += 2) {
        int hi = basei_hex_digit(text.data[i]), lo = basei_hex_digit(text.data[i + 1]);
        if (hi < 0 || lo < 0)
            return BASE_E_INVALID;
        *p++ = (uint8_t)(hi << 4 | lo);
    }
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}

uint8_t *basei_escape(uint8_t *p, struct base_slice value)
{
    const uint8_t *from = value.data, *end = from + value.len;
    while (from < end) {
        const uint8_t *zero = memchr(from, 0, (size_t)(end - from));
        size_t n = (size_t)((zero ? zero : end) - from);
        memcpy(p, from, n);
        p += n;
        from += n;
        if (zero) {
            *p++ = 0x00;
            *p++ = 0xFF;
            from++;
        }
    }
    *p++ = 0x00;
    *p++ = 0x01;
    return p;
}

int basei_unescape(struct base_reader *in, bool inverted, struct base_buf *out)
{
    const uint8_t mask = inverted ? 0xFF : 0;
    size_t start = out->len;
    int rc = BASE_E_CORRUPT;
    for (;;) {
        const uint8_t *zero = in->p < in->end ? memchr(in->p, mask, base_reader_left(in)) : NULL;
        if (!zero || zero + 1 >= in->end)
            break;
        size_t n = (size_t)(zero - in->p);
        uint8_t next = zero[1] ^ mask;
        if (next != 0x01 && next != 0xFF)
            break;
        rc = base_buf_reserve(out, n + 1);
        if (rc != BASE_OK)
            break;
        uint8_t *to = out->data + out->len;
        for (size_t i = 0; inverted && i < n; i++)
            to[i] = (uint8_t)~in->p[i];
        if (!inverted && n)
            memcpy(to, in->p, n);
        out->len += n;
        in->p = zero + 2;
        if (next == 0x01)
            return BASE_OK;
        out->data[out->len++] = 0x00;
        rc = BASE_E_CORRUPT;
    }
    out->len = start;
    base_reader_fail(in);
    return rc;
}

const char *basei_bytes_text(struct base_slice bytes, char *text, size_t size)
{
    enum { SHOWN_MAX = 60 };
    BASE_ASSERT(size > 8);
    size_t n = bytes.len < SHOWN_MAX ? bytes.len : SHOWN_MAX;
    bool whole = n == bytes.len;
    while (!whole && n && (bytes.data[n] & 0xC0) == 0x80)
        n--; /* not inside a character */
    if (n > size - 4) {
        n = size - 4;
        whole = false;
    }
    const bool utf8 = base_utf8_valid(base_slice(bytes.data, n));
    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes.data[i];
        text[i] = c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8) ? '?' : (char)c;
    }
    snprintf(text + n, size - n, "%s", whole ? "" : "…");
    return text;
}
