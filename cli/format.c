/* Values as cqlsh shows them (format.h).
 *
 * 1. Every byte sequence is shown somehow: what is no value of its type as a blob, what is no UTF-8
 *    as escapes.
 * 2. Widths are counted where text is put, so colours never disturb a column. */
#include "cli/format.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

const struct cli_format cli_format_shell = {.float_digits = 5,
                                            .double_digits = 5,
                                            .yes = "True",
                                            .no = "False",
                                            .null = "null",
                                            .decimal_separator = '.',
                                            .thousands = ""};
const struct cli_format cli_format_copy = {.float_digits = 5,
                                           .double_digits = 12,
                                           .milliseconds = true,
                                           .yes = "True",
                                           .no = "False",
                                           .null = "",
                                           .decimal_separator = '.',
                                           .thousands = "",
                                           .raw_text = true};

/* Text. */

/* The code point at p, and its length in *len; 0xFFFD with length 1 for bytes that are no UTF-8. */
static uint32_t decode(const uint8_t *p, size_t left, size_t *len)
{
    uint32_t c = p[0];
    *len = c < 0x80                ? 1
           : c >= 0xC2 && c < 0xE0 ? 2
           : (c & 0xF0) == 0xE0    ? 3
           : c >= 0xF0 && c < 0xF5 ? 4
                                   : 0;
    if (*len == 1)
        return c;
    if (*len == 0 || *len > left) {
        *len = 1;
        return 0xFFFD;
    }
    c &= 0x7Fu >> *len;
    for (size_t i = 1; i < *len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            *len = 1;
            return 0xFFFD;
        }
        c = c << 6 | (p[i] & 0x3F);
    }
    return c;
}

struct range {
    uint32_t first, last;
};
/* East Asian wide and full-width, and the pictures; by first. */
static const struct range wide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
    {0x25FD, 0x25FE},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26AA, 0x26AB},
    {0x26BD, 0x26BE},   {0x26C4, 0x26C5},   {0x2705, 0x2705},   {0x270A, 0x270B},
    {0x2728, 0x2728},   {0x2753, 0x2755},   {0x2795, 0x2797},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0xA4CF},   {0xA960, 0xA97F},
    {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6},   {0x16FE0, 0x18AFF}, {0x1B000, 0x1B2FF}, {0x1F004, 0x1F004},
    {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F335},
    {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA}, {0x1F3E0, 0x1F3F0},
    {0x1F400, 0x1F43E}, {0x1F440, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F550, 0x1F567},
    {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F6D0, 0x1F6DF}, {0x1F6EB, 0x1F6EC},
    {0x1F6F4, 0x1F6FC}, {0x1F7E0, 0x1F7EB}, {0x1F90C, 0x1F9FF}, {0x1FA70, 0x1FAFF},
    {0x20000, 0x3FFFD},
};
/* Combining marks and what is not seen. */
static const struct range narrow[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},   {0x064B, 0x065F},
    {0x0900, 0x0902}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D},   {0x0E31, 0x0E31},
    {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},   {0x200B, 0x200F},
    {0x202A, 0x202E}, {0x2060, 0x2064}, {0x20D0, 0x20FF}, {0x302A, 0x302D},   {0x3099, 0x309A},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
};

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count && ranges[i].first <= c; i++)
        if (c <= ranges[i].last)
            return true;
    return false;
}

size_t cli_format_width(struct base_slice text)
{
    size_t width = 0, len;
    for (size_t i = 0; i < text.len; i += len) {
        uint32_t c = decode(text.data + i, text.len - i, &len);
        width += c < 0x300 || !is_in(narrow, BASE_COUNT(narrow), c);
        width += c >= 0x1100 && !is_in(narrow, BASE_COUNT(narrow), c) &&
                 is_in(wide, BASE_COUNT(wide), c);
    }
    return width;
}

int cli_format_put(struct cli_text *out, const char *colour, struct base_slice text)
{
    bool coloured = out->colours && colour && text.len;
    int rc = coloured ? base_buf_put_slice(out->out, base_slice_str(colour)) : BASE_OK;
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out->out, text);
    if (rc == BASE_OK && coloured)
        rc = base_buf_put(out->out, CLI_PLAIN, sizeof CLI_PLAIN - 1);
    out->width += cli_format_width(text);
    return rc;
}

static int put_str(struct cli_text *out, const char *colour, const char *text)
{
    return cli_format_put(out, colour, base_slice_str(text));
}

/* Control characters and bytes that are no UTF-8 as escapes, backslashes doubled; `quote`: in
 * quotes, those inside doubled. */
static int put_escaped(struct cli_text *out, const char *colour, struct base_slice text, bool quote)
{
    struct base_buf plain;
    size_t len;
    base_buf_init(&plain, SIZE_MAX / 4);
    int rc = quote ? base_buf_put_u8(&plain, '\'') : BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < text.len; i += len) {
        uint32_t c = decode(text.data + i, text.len - i, &len);
        if (c == '\\')
            rc = base_buf_put(&plain, "\\\\", 2);
        else if (c == '\'' && quote)
            rc = base_buf_put(&plain, "''", 2);
        else if (c == '\n' || c == '\r' || c == '\t')
            rc = base_buf_put(&plain, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", 2);
        else if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || (c == 0xFFFD && len == 1))
            rc = base_buf_printf(&plain, "\\x%02x", c == 0xFFFD ? text.data[i] : (unsigned)c);
        else
            rc = base_buf_put(&plain, text.data + i, len);
    }
    if (rc == BASE_OK && quote)
        rc = base_buf_put_u8(&plain, '\'');
    if (rc == BASE_OK)
        rc = cli_format_put(out, colour, base_buf_view(&plain));
    base_buf_fini(&plain);
    return rc;
}

/* As a CQL literal: nothing but quotes changes. */
static int put_quoted(struct cli_text *out, struct base_slice text)
{
    int rc = put_str(out, NULL, "'");
    for (size_t i = 0, from = 0; rc == BASE_OK && i <= text.len; i++) {
        if (i < text.len && text.data[i] != '\'')
            continue;
        rc = cli_format_put(out, NULL, base_slice(text.data + from, i - from));
        if (rc == BASE_OK)
            rc = put_str(out, NULL, i < text.len ? "''" : "'");
        from = i + 1;
    }
    return rc;
}

int cli_format_name(struct base_slice name, const char *colour, struct cli_text *out)
{
    return put_escaped(out, colour, name, false);
}

/* Numbers and times. */

void cli_format_float(double value, unsigned digits, char text[64])
{
    int precision = (int)digits;
    if (isnan(value)) {
        strcpy(text, "NaN");
        return;
    }
    if (isinf(value)) {
        strcpy(text, value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (fabs(value) > 2.220446049250313e-16) {
        int exponent = (int)log10(fabs(value)); /* towards zero, as Python's int() */
        if (exponent >= -4 && exponent < precision)
            precision += exponent + 1;
    }
    snprintf(text, 64, "%.*g", precision, value);
}

/* Digits before the point in groups of three, and the point as it is to be. */
static int put_number(const struct cli_format *f, const char *text, struct cli_text *out)
{
    char changed[512];
    size_t n = 0, len = strlen(text), sign = text[0] == '-',
           whole = sign + strspn(text + sign, "0123456789");
    if ((!*f->thousands && f->decimal_separator == '.') || len > 160)
        return put_str(out, CLI_GREEN, text);
    for (size_t i = 0; i < len; i++) {
        if (*f->thousands && i > sign && i < whole && (whole - i) % 3 == 0)
            n += (size_t)snprintf(changed + n, 4, "%.3s", f->thousands);
        changed[n++] = text[i] == '.' ? f->decimal_separator : text[i];
    }
    return cli_format_put(out, CLI_GREEN, base_slice(changed, n));
}

/* Days since 1970-01-01 to year, month, day (proleptic Gregorian). */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

/* By strftime's format, with %f and %z, which it does not have for UTC. */
static int put_formatted(const char *format, const struct tm *tm, unsigned ms, const char *q,
                         struct cli_text *out)
{
    char plain[256], text[512];
    size_t n = 0;
    for (const char *p = format; *p && n + 16 < sizeof plain; p++) {
        if (p[0] == '%' && p[1] == 'f') {
            n += (size_t)snprintf(plain + n, sizeof plain - n, "%03u000", ms);
            p++;
        } else if (p[0] == '%' && p[1] == 'z') {
            n += (size_t)snprintf(plain + n, sizeof plain - n, "+0000");
            p++;
        } else {
            plain[n++] = *p;
            if (*p == '%' && p[1])
                plain[n++] = *++p;
        }
    }
    plain[n] = 0;
    size_t len = (size_t)snprintf(text, 2, "%s", q);
    len += strftime(text + len, sizeof text - 2, plain, tm);
    len += (size_t)snprintf(text + len, 2, "%s", q);
    return cli_format_put(out, CLI_GREEN, base_slice(text, len));
}

static int put_timestamp(const struct cli_format *f, int64_t ms, bool quote, struct cli_text *out)
{
    char text[80];
    const char *q = quote ? "'" : "";
    int64_t year = 0, left = 0, days = 0;
    unsigned month = 1, day = 1;
    bool shown = ms > -63000000000000 && ms < 254000000000000;
    if (shown) {
        days = ms / 86400000 - (ms % 86400000 < 0);
        left = ms - days * 86400000;
        civil(days, &year, &month, &day);
    }
    unsigned h = (unsigned)(left / 3600000), m = (unsigned)(left / 60000 % 60),
             s = (unsigned)(left / 1000 % 60);
    unsigned fraction = (unsigned)(left % 1000);
    if (!shown || year < 1 || year > 9999) { /* no date for cqlsh: the milliseconds */
        snprintf(text, sizeof text, "%s%lld%s", q, (long long)ms, q);
    } else if (f->date_time_format) {
        struct tm tm = {.tm_year = (int)year - 1900,
                        .tm_mon = (int)month - 1,
                        .tm_mday = (int)day,
                        .tm_hour = (int)h,
                        .tm_min = (int)m,
                        .tm_sec = (int)s,
                        .tm_wday = (int)(((days + 4) % 7 + 7) % 7)};
        return put_formatted(f->date_time_format, &tm, fraction, q, out);
    } else {
        snprintf(text, sizeof text, "%s%04d-%02u-%02u %02u:%02u:%02u.%03u%s+0000%s", q, (int)year,
                 month, day, h, m, s, fraction, f->milliseconds ? "" : "000", q);
    }
    return put_str(out, CLI_GREEN, text);
}

static int put_time(int64_t ns, struct cli_text *out)
{
    char text[40];
    uint64_t t = (uint64_t)ns, s = t / 1000000000;
    snprintf(text, sizeof text, "%02u:%02u:%02u.%09u", (unsigned)(s / 3600),
             (unsigned)(s / 60 % 60), (unsigned)(s % 60), (unsigned)(t % 1000000000));
    return put_str(out, CLI_GREEN, text);
}

static int put_blob(struct base_slice value, struct cli_text *out)
{
    static const char digits[] = "0123456789abcdef";
    struct base_buf text;
    base_buf_init(&text, SIZE_MAX / 4);
    int rc = base_buf_reserve(&text, 2 * value.len + 2);
    if (rc == BASE_OK) {
        uint8_t *p = text.data;
        *p++ = '0';
        *p++ = 'x';
        for (size_t i = 0; i < value.len; i++) {
            *p++ = (uint8_t)digits[value.data[i] >> 4];
            *p++ = (uint8_t)digits[value.data[i] & 15];
        }
        text.len = 2 * value.len + 2;
        rc = cli_format_put(out, CLI_DARK_MAGENTA, base_buf_view(&text));
    }
    base_buf_fini(&text);
    return rc;
}

/* As CQL writes it. */
static int put_literal(const struct cli_format *f, const struct base_type *type,
                       struct base_slice value, bool quote, struct cli_text *out)
{
    struct base_buf text;
    base_buf_init(&text, SIZE_MAX / 4);
    int rc = quote ? base_buf_put_u8(&text, '\'') : BASE_OK;
    if (rc == BASE_OK)
        rc = base_value_to_text(type, value, &text, NULL);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, quote ? '\'' : 0);
    if (rc == BASE_OK && quote)
        rc = cli_format_put(out, CLI_GREEN, base_buf_view(&text));
    else if (rc == BASE_OK)
        rc = put_number(f, (const char *)text.data, out);
    base_buf_fini(&text);
    return rc;
}

/* Values. */

static int put_value(const struct cli_format *f, const struct base_type *type,
                     struct base_slice value, bool inside, struct cli_text *out);

static int put_item(const struct cli_format *f, const struct base_type *type,
                    struct base_slice value, bool is_null, struct cli_text *out)
{
    return is_null ? put_str(out, CLI_RED, f->null) : put_value(f, type, value, true, out);
}

/* Elements, pairs, fields: the opening bracket, what is between, the closing one. */
static int put_collection(const struct cli_format *f, const struct base_type *type,
                          struct base_slice value, struct cli_text *out)
{
    enum base_type_kind kind = type->kind;
    bool is_map = kind == BASE_TYPE_MAP,
         has_fields = kind == BASE_TYPE_TUPLE || kind == BASE_TYPE_UDT;
    const char *brackets = kind == BASE_TYPE_LIST || kind == BASE_TYPE_VECTOR ? "[]"
                           : kind == BASE_TYPE_TUPLE                          ? "()"
                                                                              : "{}";
    struct base_elements it;
    struct base_slice element = {0};
    if (!base_elements_begin(&it, type, value))
        return put_blob(value, out);
    uint32_t count = has_fields ? type->param_count : is_map ? it.left / 2 : it.left;
    int rc = cli_format_put(out, CLI_BLUE, base_slice(brackets, 1));
    for (uint32_t i = 0; rc == BASE_OK && i < count; i++) {
        bool is_null = true; /* a field that the value does not have */
        if (i)
            rc = put_str(out, CLI_BLUE, ", ");
        if (rc == BASE_OK && kind == BASE_TYPE_UDT)
            rc = put_escaped(out, CLI_YELLOW, type->field_names[i], false);
        if (rc == BASE_OK && kind == BASE_TYPE_UDT)
            rc = put_str(out, CLI_BLUE, ": ");
        if (it.left && !base_elements_next(&it, &element, &is_null))
            is_null = true;
        if (rc == BASE_OK)
            rc = put_item(f, type->params[has_fields ? i : 0], element, is_null, out);
        if (rc != BASE_OK || !is_map)
            continue;
        if (!base_elements_next(&it, &element, &is_null))
            is_null = true;
        rc = put_str(out, CLI_BLUE, ": ");
        if (rc == BASE_OK)
            rc = put_item(f, type->params[1], element, is_null, out);
    }
    return rc == BASE_OK ? cli_format_put(out, CLI_BLUE, base_slice(brackets + 1, 1)) : rc;
}

/* A value that was found valid. */
static int put_value(const struct cli_format *f, const struct base_type *type,
                     struct base_slice value, bool inside, struct cli_text *out)
{
    char text[64];
    union {
        float f;
        uint32_t bits;
    } narrow_bits;
    union {
        double d;
        uint64_t bits;
    } wide_bits;
    switch (type->kind) {
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
        if (f->raw_text)
            return inside ? put_quoted(out, value) : cli_format_put(out, CLI_YELLOW, value);
        return put_escaped(out, CLI_YELLOW, value, inside);
    case BASE_TYPE_BLOB:
    case BASE_TYPE_CUSTOM:
        return put_blob(value, out);
    default:
        break;
    }
    if (value.len == 0 && type->kind != BASE_TYPE_TUPLE &&
        type->kind != BASE_TYPE_UDT) /* the empty value */
        return BASE_OK;
    switch (type->kind) {
    case BASE_TYPE_BOOLEAN:
        return put_str(out, CLI_GREEN, value.data[0] ? f->yes : f->no);
    case BASE_TYPE_FLOAT:
        narrow_bits.bits = base_get_be32(value.data);
        cli_format_float((double)narrow_bits.f, f->float_digits, text);
        return put_number(f, text, out);
    case BASE_TYPE_DOUBLE:
        wide_bits.bits = base_get_be64(value.data);
        cli_format_float(wide_bits.d, f->double_digits, text);
        return put_number(f, text, out);
    case BASE_TYPE_TIMESTAMP:
        return put_timestamp(f, (int64_t)base_get_be64(value.data), inside, out);
    case BASE_TYPE_TIME:
        return put_time((int64_t)base_get_be64(value.data), out);
    case BASE_TYPE_LIST:
    case BASE_TYPE_MAP:
    case BASE_TYPE_SET:
    case BASE_TYPE_UDT:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_VECTOR:
        return put_collection(f, type, value, out);
    case BASE_TYPE_INET:
        return put_literal(f, type, value, inside, out);
    default:
        return put_literal(f, type, value, false, out);
    }
}

int cli_format_value(const struct cli_format *format, const struct base_type *type,
                     const struct cql_value *value, struct cli_text *out)
{
    if (value->state != CQL_VALUE_SET)
        return put_str(out, CLI_RED, format->null);
    if (type->kind != BASE_TYPE_CUSTOM && base_value_validate(type, value->bytes, NULL) != BASE_OK)
        return put_blob(value->bytes, out);
    return put_value(format, type, value->bytes, false, out);
}
