/* The JSON pull parser. A state of what may come next instead of recursion: `expect`, and one bit a
 * level that says object or array.
 *
 * Invariant: between tokens, p stands at blanks or at the first byte of a token. */
#include "base/json.h"

#include <stdio.h>

enum expect { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COMMA_OR_END, DONE };

void base_json_begin(struct base_json_reader *r, struct base_slice json)
{
    *r = (struct base_json_reader){json.data, json.data, json.data + json.len, 0, 0, VALUE};
}

static int bad(const struct base_json_reader *r, const char *expected, struct base_err *err)
{
    size_t at = (size_t)(r->p - r->start);
    if (r->p >= r->end)
        return base_err_set(err, BASE_E_SYNTAX, "JSON ends at byte %zu where %s was expected", at,
                            expected);
    return base_err_set(err, BASE_E_SYNTAX, "JSON byte %zu: %s was expected", at, expected);
}

static bool in_object(const struct base_json_reader *r)
{
    return r->depth > 0 && (r->in_object >> (r->depth - 1) & 1);
}

static void after_value(struct base_json_reader *r)
{
    r->expect = r->depth ? COMMA_OR_END : DONE;
}

static int open_level(struct base_json_reader *r, bool object, struct base_err *err)
{
    if (r->depth == BASE_JSON_DEPTH_MAX)
        return base_err_set(err, BASE_E_LIMIT, "JSON is nested more than %d deep",
                            BASE_JSON_DEPTH_MAX);
    uint64_t bit = (uint64_t)1 << r->depth++;
    r->in_object = object ? r->in_object | bit : r->in_object & ~bit;
    r->expect = object ? KEY_OR_END : VALUE_OR_END;
    return BASE_OK;
}

static bool hex4(const uint8_t *p, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = p[i], v;
        if (c >= '0' && c <= '9')
            v = c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = (c | 32) - 'a' + 10;
        else
            return false;
        *out = *out << 4 | v;
    }
    return true;
}

static int scan_string(struct base_json_reader *r, struct base_json_token *token,
                       struct base_err *err)
{
    const uint8_t *from = ++r->p;
    token->escaped = false;
    for (;; r->p++) {
        if (r->p >= r->end)
            return bad(r, "the end of a string", err);
        if (*r->p == '"')
            break;
        if (*r->p < 0x20)
            return bad(r, "an escape for a control character", err);
        if (*r->p != '\\')
            continue;
        unsigned code;
        token->escaped = true;
        if (++r->p >= r->end || !strchr("\"\\/bfnrtu", *r->p) || !*r->p)
            return bad(r, "one of \"\\/bfnrtu after a backslash", err);
        if (*r->p == 'u') {
            if (r->end - r->p < 5 || !hex4(r->p + 1, &code))
                return bad(r, "four hexadecimal digits", err);
            r->p += 4;
        }
    }
    token->text = base_slice(from, (size_t)(r->p - from));
    if (!base_utf8_valid(token->text)) {
        r->p = from;
        return bad(r, "valid UTF-8", err);
    }
    r->p++;
    return BASE_OK;
}

static size_t digits(struct base_json_reader *r)
{
    const uint8_t *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - from);
}

static int scan_number(struct base_json_reader *r, struct base_json_token *token,
                       struct base_err *err)
{
    const uint8_t *from = r->p;
    if (*r->p == '-')
        r->p++;
    if (r->p < r->end && *r->p == '0')
        r->p++;
    else if (!digits(r))
        return bad(r, "a digit", err);
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!digits(r))
            return bad(r, "a digit", err);
    }
    if (r->p < r->end && (*r->p | 32) == 'e') {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (!digits(r))
            return bad(r, "a digit", err);
    }
    token->kind = BASE_JSON_NUMBER;
    token->text = base_slice(from, (size_t)(r->p - from));
    return BASE_OK;
}

static int scan_word(struct base_json_reader *r, const char *word, enum base_json_kind kind,
                     struct base_json_token *token, struct base_err *err)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return bad(r, "a value", err);
    token->kind = kind;
    token->text = base_slice(r->p, len);
    r->p += len;
    return BASE_OK;
}

static int scan_value(struct base_json_reader *r, struct base_json_token *token,
                      struct base_err *err)
{
    int rc;
    switch (r->p < r->end ? *r->p : 0) {
    case '{':
    case '[':
        token->kind = *r->p == '{' ? BASE_JSON_OBJECT : BASE_JSON_ARRAY;
        token->text = base_slice(r->p++, 1);
        return open_level(r, token->kind == BASE_JSON_OBJECT, err);
    case '"':
        token->kind = BASE_JSON_STRING;
        rc = scan_string(r, token, err);
        break;
    case 't':
        rc = scan_word(r, "true", BASE_JSON_TRUE, token, err);
        break;
    case 'f':
        rc = scan_word(r, "false", BASE_JSON_FALSE, token, err);
        break;
    case 'n':
        rc = scan_word(r, "null", BASE_JSON_NULL, token, err);
        break;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        rc = scan_number(r, token, err);
        break;
    default:
        return bad(r, "a value", err);
    }
    if (rc == BASE_OK)
        after_value(r);
    return rc;
}

static int scan_key(struct base_json_reader *r, struct base_json_token *token, struct base_err *err)
{
    if (r->p >= r->end || *r->p != '"')
        return bad(r, "a member's name in quotes", err);
    token->kind = BASE_JSON_KEY;
    int rc = scan_string(r, token, err);
    if (rc != BASE_OK)
        return rc;
    while (r->p < r->end && strchr(" \t\r\n", *r->p) && *r->p)
        r->p++;
    if (r->p >= r->end || *r->p != ':')
        return bad(r, "':'", err);
    r->p++;
    r->expect = VALUE;
    return BASE_OK;
}

int base_json_next(struct base_json_reader *r, struct base_json_token *token, struct base_err *err)
{
    *token = (struct base_json_token){.kind = BASE_JSON_END};
    for (;;) {
        while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
            r->p++;
        int c = r->p < r->end ? *r->p : -1;
        bool closes = c == (in_object(r) ? '}' : ']');
        switch ((enum expect)r->expect) {
        case DONE:
            return c < 0 ? BASE_OK : bad(r, "the end", err);
        case COMMA_OR_END:
            if (c == ',') {
                r->p++;
                r->expect = in_object(r) ? KEY : VALUE;
                continue;
            }
            if (!closes)
                return bad(r, in_object(r) ? "',' or '}'" : "',' or ']'", err);
            break;
        case KEY_OR_END:
        case VALUE_OR_END:
            if (!closes)
                return r->expect == KEY_OR_END ? scan_key(r, token, err)
                                               : scan_value(r, token, err);
            break;
        case KEY:
            return scan_key(r, token, err);
        case VALUE:
            return scan_value(r, token, err);
        }
        token->kind = c == '}' ? BASE_JSON_OBJECT_END : BASE_JSON_ARRAY_END;
        token->text = base_slice(r->p++, 1);
        r->depth--;
        after_value(r);
        return BASE_OK;
    }
}

int base_json_skip(struct base_json_reader *r, const struct base_json_token *token,
                   struct base_err *err)
{
    struct base_slice ignored;
    return base_json_value(r, token, &ignored, err);
}

int base_json_value(struct base_json_reader *r, const struct base_json_token *token,
                    struct base_slice *value, struct base_err *err)
{
    const uint8_t *from = token->text.data;
    *value = (struct base_slice){0};
    if (token->kind == BASE_JSON_STRING)
        from--; /* the quote */
    if (token->kind == BASE_JSON_OBJECT || token->kind == BASE_JSON_ARRAY) {
        int until = r->depth - 1;
        while (r->depth > until) {
            struct base_json_token inner;
            int rc = base_json_next(r, &inner, err);
            if (rc != BASE_OK)
                return rc;
        }
    }
    *value = base_slice(from, (size_t)(r->p - from));
    return BASE_OK;
}

static int put_utf8(struct base_buf *out, unsigned c)
{
    uint8_t b[4];
    size_t n;
    if (c < 0x80) {
        b[0] = (uint8_t)c, n = 1;
    } else if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6), b[1] = (uint8_t)(0x80 | (c & 63)), n = 2;
    } else if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12), b[1] = (uint8_t)(0x80 | (c >> 6 & 63)),
        b[2] = (uint8_t)(0x80 | (c & 63)), n = 3;
    } else {
        b[0] = (uint8_t)(0xf0 | c >> 18), b[1] = (uint8_t)(0x80 | (c >> 12 & 63));
        b[2] = (uint8_t)(0x80 | (c >> 6 & 63)), b[3] = (uint8_t)(0x80 | (c & 63)), n = 4;
    }
    return base_buf_put(out, b, n);
}

/* The \u escape at p (which points behind the u), a surrogate pair taken together; a lone surrogate
 * is U+FFFD. */
static const uint8_t *unescape_unicode(const uint8_t *p, const uint8_t *end, unsigned *code)
{
    unsigned low;
    if (!hex4(p, code)) /* the reader has checked; but this is called with anything */
        *code = 0xfffd;
    p += 4;
    if (*code >= 0xd800 && *code < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
        hex4(p + 2, &low) && low >= 0xdc00 && low < 0xe000) {
        *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
        return p + 6;
    }
    if (*code >= 0xd800 && *code < 0xe000)
        *code = 0xfffd;
    return p;
}

int base_json_unescape(const struct base_json_token *token, struct base_buf *out)
{
    if (!token->escaped)
        return base_buf_put_slice(out, token->text);
    const uint8_t *p = token->text.data, *end = p + token->text.len;
    while (p < end) {
        int rc;
        if (*p != '\\' || end - p < 2) {
            rc = base_buf_put_u8(out, *p++);
        } else if (p[1] == 'u' && end - p >= 6) {
            unsigned code;
            p = unescape_unicode(p + 2, end, &code);
            rc = put_utf8(out, code);
        } else {
            static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
            const char *at = strchr(from, p[1]);
            rc = base_buf_put_u8(out, at && p[1] ? (uint8_t)to[at - from] : p[1]);
            p += 2;
        }
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int base_json_get_string(struct base_slice json, const char *key, struct base_buf *out)
{
    struct base_json_reader r;
    struct base_json_token token;
    base_json_begin(&r, json);
    int rc = base_json_next(&r, &token, NULL);
    if (rc != BASE_OK || token.kind != BASE_JSON_OBJECT)
        return rc != BASE_OK ? rc : BASE_E_NOTFOUND;
    for (;;) {
        rc = base_json_next(&r, &token, NULL);
        if (rc != BASE_OK || token.kind != BASE_JSON_KEY)
            return rc != BASE_OK ? rc : BASE_E_NOTFOUND;
        bool wanted = base_slice_equal(token.text, base_slice_str(key));
        rc = base_json_next(&r, &token, NULL);
        if (rc != BASE_OK)
            return rc;
        if (wanted && token.kind == BASE_JSON_STRING)
            return base_json_unescape(&token, out);
        rc = base_json_skip(&r, &token, NULL);
        if (rc != BASE_OK)
            return rc;
    }
}

void base_json_walk_begin(struct base_json_walk *walk, struct base_slice json)
{
    *walk = (struct base_json_walk){.inside = false};
    base_json_begin(&walk->reader, json);
}

int base_json_walk_next(struct base_json_walk *walk, bool *more, struct base_err *err)
{
    struct base_json_token token;
    *more = false;
    int rc = base_json_next(&walk->reader, &token, err);
    if (rc == BASE_OK && !walk->inside) {
        if (token.kind != BASE_JSON_OBJECT && token.kind != BASE_JSON_ARRAY)
            return base_err_set(err, BASE_E_INVALID,
                                "the JSON value is neither an object nor an array");
        walk->inside = true;
        rc = base_json_next(&walk->reader, &token, err);
    }
    if (rc != BASE_OK || token.kind == BASE_JSON_OBJECT_END || token.kind == BASE_JSON_ARRAY_END)
        return rc;
    if (token.kind == BASE_JSON_KEY) {
        walk->key = token;
        rc = base_json_next(&walk->reader, &token, err);
    }
    walk->first = token;
    if (rc == BASE_OK)
        rc = base_json_value(&walk->reader, &token, &walk->value, err);
    *more = rc == BASE_OK;
    return rc;
}

struct base_slice base_json_member(struct base_slice json, const char *key)
{
    struct base_json_walk walk;
    bool more = true;
    base_json_walk_begin(&walk, json);
    while (base_json_walk_next(&walk, &more, NULL) == BASE_OK && more)
        if (walk.key.text.data && base_slice_equal(walk.key.text, base_slice_str(key)))
            return walk.value;
    return (struct base_slice){0};
}
