/* The JSON writer, and what is UTF-8. */
#include <math.h>
#include <stdio.h>

#include "base/base_private.h"

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_len(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool base_utf8_valid(struct base_slice text)
{
    const uint8_t *p = text.len ? text.data : (const uint8_t *)"", *end = p + text.len;
    while (p < end) {
        while (end - p >= 8 && !(base_get_le64(p) & 0x8080808080808080u))
            p += 8;
        if (p == end)
            break;
        size_t n = utf8_len(p, end);
        if (!n)
            return false;
        p += n;
    }
    return true;
}

static int put_escaped(struct base_buf *out, uint8_t c)
{
    static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        char two[2] = {'\\', to[at - from]};
        return base_buf_put(out, two, 2);
    }
    return base_buf_printf(out, "\\u%04x", c);
}

int base_json_put_string(struct base_buf *out, struct base_slice text)
{
    const uint8_t *p = text.len ? text.data : (const uint8_t *)"", *end = p + text.len;
    int rc = base_buf_put_u8(out, '"');
    while (rc == BASE_OK && p < end) {
        const uint8_t *plain = p;
        size_t n = 1;
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' && (n = utf8_len(p, end)) > 0)
            p += n;
        rc = base_buf_put(out, plain, (size_t)(p - plain));
        if (rc == BASE_OK && p < end)
            rc = n == 0 ? base_buf_put(out, "\xef\xbf\xbd", 3) : put_escaped(out, *p);
        if (p < end)
            p++;
    }
    return rc == BASE_OK ? base_buf_put_u8(out, '"') : rc;
}

/* Writer. */

void base_json_writer_init(struct base_json_writer *w, struct base_buf *out)
{
    *w = (struct base_json_writer){.out = out};
}

static void put(struct base_json_writer *w, const char *bytes, size_t len)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put(w->out, bytes, len);
}

/* Before every value and key: the comma that is due. */
static void separate(struct base_json_writer *w)
{
    uint64_t bit = (uint64_t)1 << w->depth;
    if (!w->after_key && w->depth && (w->has_member & bit))
        put(w, ", ", 2);
    w->has_member |= bit;
    w->after_key = false;
}

static void open_level(struct base_json_writer *w, const char *bracket)
{
    separate(w);
    put(w, bracket, 1);
    BASE_ASSERT(w->depth < BASE_JSON_DEPTH_MAX - 1);
    w->depth++;
    w->has_member &= ~((uint64_t)1 << w->depth);
}

static void close_level(struct base_json_writer *w, const char *bracket)
{
    BASE_ASSERT(w->depth > 0);
    BASE_ASSERT(!w->after_key);
    w->depth--;
    put(w, bracket, 1);
}

void base_json_open_object(struct base_json_writer *w)
{
    open_level(w, "{");
}
void base_json_close_object(struct base_json_writer *w)
{
    close_level(w, "}");
}
void base_json_open_array(struct base_json_writer *w)
{
    open_level(w, "[");
}
void base_json_close_array(struct base_json_writer *w)
{
    close_level(w, "]");
}

void base_json_key_slice(struct base_json_writer *w, struct base_slice key)
{
    separate(w);
    if (w->rc == BASE_OK)
        w->rc = base_json_put_string(w->out, key);
    put(w, ": ", 2);
    w->after_key = true;
}

void base_json_key(struct base_json_writer *w, const char *key)
{
    base_json_key_slice(w, base_slice_str(key));
}

void base_json_string(struct base_json_writer *w, struct base_slice text)
{
    separate(w);
    if (w->rc == BASE_OK)
        w->rc = base_json_put_string(w->out, text);
}

void base_json_str(struct base_json_writer *w, const char *text)
{
    base_json_string(w, base_slice_str(text));
}

void base_json_raw(struct base_json_writer *w, struct base_slice json)
{
    separate(w);
    put(w, (const char *)json.data, json.len);
}

static void put_text(struct base_json_writer *w, const char *text)
{
    base_json_raw(w, base_slice_str(text));
}

void base_json_i64(struct base_json_writer *w, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    put_text(w, text);
}

void base_json_u64(struct base_json_writer *w, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    put_text(w, text);
}

void base_json_double(struct base_json_writer *w, double value)
{
    char text[32];
    if (!isfinite(value)) {
        base_json_null(w);
        return;
    }
    basei_double_print(value, text); /* whatever locale the host has set */
    put_text(w, text);
}

void base_json_bool(struct base_json_writer *w, bool value)
{
    put_text(w, value ? "true" : "false");
}

void base_json_null(struct base_json_writer *w)
{
    put_text(w, "null");
}

int base_json_finish(struct base_json_writer *w)
{
    BASE_ASSERT(w->rc != BASE_OK || w->depth == 0);
    return w->rc;
}
