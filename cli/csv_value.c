/* A CSV field as a value (csv.h): COPY's forms of numbers, booleans, times; collections as CQL
 * writes them, with or without quotes.
 *
 * 1. Nesting is bounded by the type's, which is bounded.
 * 2. What is left over behind a value is an error: no value is taken in part. */
#include <ctype.h>
#include <strings.h>
#include <time.h>

#include "cli/csv.h"

static struct base_slice trim(struct base_slice s)
{
    while (s.len && isspace(s.data[0]))
        s = base_slice(s.data + 1, s.len - 1);
    while (s.len && isspace(s.data[s.len - 1]))
        s.len--;
    return s;
}

static int by_literal(const struct base_type *type, struct base_slice text, struct base_buf *out,
                      struct base_err *err)
{
    struct base_sql_value value = {.kind = BASE_SQL_TEXT, .bytes = text};
    return base_value_from_sql(type, &value, out, err);
}

static int number(const struct cli_csv_forms *f, const struct base_type *type,
                  struct base_slice text, struct base_buf *out, struct base_err *err)
{
    char changed[1024];
    size_t n = 0;
    if ((!f->thousands_separator && f->decimal_separator == '.') || text.len >= sizeof changed)
        return by_literal(type, text, out, err);
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (f->thousands_separator && c == f->thousands_separator)
            continue;
        changed[n++] = f->decimal_separator && c == f->decimal_separator ? '.' : c;
    }
    return by_literal(type, base_slice(changed, n), out, err);
}

static int boolean(const struct cli_csv_forms *f, struct base_slice text, struct base_buf *out,
                   struct base_err *err)
{
    if (base_slice_equal_nocase(text, base_slice_str(f->yes)))
        return base_buf_put_u8(out, 1);
    if (base_slice_equal_nocase(text, base_slice_str(f->no)))
        return base_buf_put_u8(out, 0);
    return base_err_set(err, BASE_E_INVALID, "\"%.*s\" is neither %s nor %s", BASE_SLICE_ARG(text),
                        f->yes, f->no);
}

static int put_ms(int64_t ms, struct base_buf *out)
{
    uint8_t b[8];
    base_put_be64(b, (uint64_t)ms);
    return base_buf_put(out, b, 8);
}

static int timestamp(const struct cli_csv_forms *f, const struct base_type *type,
                     struct base_slice text, struct base_buf *out, struct base_err *err)
{
    char copy[128];
    struct tm tm = {.tm_mday = 1, .tm_year = 70};
    if (text.len >= sizeof copy)
        return base_err_set(err, BASE_E_INVALID, "\"%.40s…\" is no timestamp",
                            (const char *)text.data);
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    if (f->date_time_format) {
        const char *end = strptime(copy, f->date_time_format, &tm);
        long offset_s = tm.tm_gmtoff;
        if (end && !*end)
            return put_ms((int64_t)(timegm(&tm) - offset_s) * 1000, out);
    }
    size_t digits = strspn(copy + (copy[0] == '-'), "0123456789");
    if (digits > 4 &&
        !copy[(copy[0] == '-') + digits]) /* milliseconds, as COPY TO writes what is no date */
        return put_ms(strtoll(copy, NULL, 10), out);
    return by_literal(type, text, out, err);
}

static int blob(struct base_slice text, struct base_buf *out, struct base_err *err)
{
    if (text.len < 2 || text.data[0] != '0' || (text.data[1] | 32) != 'x' || text.len % 2)
        return base_err_set(err, BASE_E_INVALID,
                            "\"%.*s\" is no blob: 0x and pairs of hexadecimal digits",
                            (int)(text.len < 60 ? text.len : 60), (const char *)text.data);
    for (size_t i = 2; i < text.len; i += 2) {
        char pair[3] = {(char)text.data[i], (char)text.data[i + 1], 0};
        if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
            return base_err_set(err, BASE_E_INVALID, "\"%s\" is no hexadecimal digit", pair);
        int rc = base_buf_put_u8(out, (uint8_t)strtoul(pair, NULL, 16));
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* Collections. */

/* The text up to `separator` or the end, outside of quotes and brackets; `rest` moves behind the
 * separator. False: nothing was left. */
static bool next_item(struct base_slice *rest, uint8_t separator, struct base_slice *item)
{
    int depth = 0;
    bool quoted = false;
    if (rest->len == 0)
        return false;
    for (size_t i = 0; i < rest->len; i++) {
        uint8_t c = rest->data[i];
        if (c == '\'')
            quoted = !quoted;
        if (quoted)
            continue;
        depth += (c == '[' || c == '{' || c == '(') - (c == ']' || c == '}' || c == ')');
        if (c != separator || depth > 0)
            continue;
        *item = trim(base_slice(rest->data, i));
        *rest = base_slice(rest->data + i + 1, rest->len - i - 1);
        return true;
    }
    *item = trim(*rest);
    rest->len = 0;
    return true;
}

static bool is_null(const struct cli_csv_forms *f, struct base_slice item)
{
    return base_slice_equal_nocase(item, BASE_SLICE_LIT("null")) ||
           base_slice_equal(item, BASE_SLICE_LIT("None")) ||
           base_slice_equal(item, base_slice_str(f->null));
}

/* An item with its length before it; in quotes or not. */
static int put_item(const struct cli_csv_forms *f, const struct base_type *type,
                    struct base_slice item, bool with_length, struct base_buf *out,
                    struct base_err *err)
{
    struct base_buf plain;
    size_t at = out->len;
    base_buf_init(&plain, CLI_CSV_RECORD_SIZE_MAX);
    int rc = with_length ? base_buf_put(out, "\0\0\0", 4) : BASE_OK;
    if (item.len >= 2 && item.data[0] == '\'' && item.data[item.len - 1] == '\'') {
        for (size_t i = 1; rc == BASE_OK && i + 1 < item.len; i++) {
            rc = base_buf_put_u8(&plain, item.data[i]);
            i += item.data[i] == '\'';
        }
        item = base_buf_view(&plain);
    }
    if (rc == BASE_OK)
        rc = cli_csv_value(f, type, item, out, err);
    if (rc == BASE_OK && with_length)
        base_put_be32(out->data + at, (uint32_t)(out->len - at - 4));
    base_buf_fini(&plain);
    return rc;
}

static int fields(const struct cli_csv_forms *f, const struct base_type *type,
                  struct base_slice inside, struct base_buf *out, struct base_err *err)
{
    struct base_slice item, name, rest = inside, texts[256];
    bool is_udt = type->kind == BASE_TYPE_UDT;
    uint32_t count = 0;
    int rc = BASE_OK;
    if (type->param_count > BASE_COUNT(texts))
        return base_err_set(err, BASE_E_LIMIT, "more than %zu fields", BASE_COUNT(texts));
    for (uint32_t i = 0; i < type->param_count; i++)
        texts[i] = (struct base_slice){0};
    while (next_item(&rest, ',', &item)) {
        uint32_t at = count;
        if (is_udt) {
            if (!next_item(&item, ':', &name))
                continue;
            if (name.len >= 2 && (name.data[0] == '\'' || name.data[0] == '"'))
                name = base_slice(name.data + 1, name.len - 2);
            for (at = 0; at < type->param_count && !base_slice_equal(type->field_names[at], name);
                 at++)
                ;
            item = trim(item);
        }
        if (at >= type->param_count)
            return base_err_set(err, BASE_E_INVALID,
                                is_udt ? "there is no field \"%.*s\""
                                       : "too many elements at \"%.*s\"",
                                BASE_SLICE_ARG(is_udt ? name : item));
        texts[at] = item;
        count++;
    }
    for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++) {
        if (texts[i].len == 0 || is_null(f, texts[i]))
            rc = base_buf_put(out, "\xff\xff\xff\xff", 4);
        else
            rc = put_item(f, type->params[i], texts[i], true, out, err);
    }
    return rc;
}

/* Vectors whose elements differ in size have no form in cqlsh's COPY either; their elements go by
 * JSON. */
static int vector(const struct base_type *type, struct base_slice text, struct base_buf *out,
                  struct base_err *err)
{
    struct base_sql_value value = {.kind = BASE_SQL_JSON, .bytes = text};
    return base_value_from_sql(type, &value, out, err);
}

static int elements(const struct cli_csv_forms *f, const struct base_type *type,
                    struct base_slice inside, struct base_buf *out, struct base_err *err)
{
    struct base_buf raw;
    struct base_slice item, key, rest = inside;
    uint32_t count = 0;
    base_buf_init(&raw, CLI_CSV_RECORD_SIZE_MAX);
    int rc = base_buf_put(&raw, "\0\0\0", 4);
    while (rc == BASE_OK && next_item(&rest, ',', &item)) {
        if (type->kind == BASE_TYPE_MAP) {
            if (!next_item(&item, ':', &key) || item.len == 0) {
                rc = base_err_set(err, BASE_E_INVALID, "an entry of a map is key: value");
                break;
            }
            rc = put_item(f, type->params[0], key, true, &raw, err);
            item = trim(item);
        }
        if (rc == BASE_OK)
            rc = put_item(f, type->params[type->kind == BASE_TYPE_MAP], item, true, &raw, err);
        count++;
    }
    if (rc == BASE_OK) {
        base_put_be32(raw.data, count);
        /* sets and maps in order, each element once */
        rc = base_value_normalize(type, base_buf_view(&raw), out, err);
    }
    base_buf_fini(&raw);
    return rc;
}

static int collection(const struct cli_csv_forms *f, const struct base_type *type,
                      struct base_slice text, struct base_buf *out, struct base_err *err)
{
    static const char pairs[] = "[]{}()";
    const char *open = text.len >= 2 ? memchr(pairs, text.data[0], 6) : NULL;
    if (!open || (open - pairs) % 2 || text.data[text.len - 1] != open[1])
        return base_err_set(err, BASE_E_INVALID,
                            "\"%.*s\" should start and end with matching brackets",
                            BASE_SLICE_ARG(text));
    if (type->kind == BASE_TYPE_VECTOR)
        return vector(type, text, out, err);
    struct base_slice inside = trim(base_slice(text.data + 1, text.len - 2));
    return type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT
               ? fields(f, type, inside, out, err)
               : elements(f, type, inside, out, err);
}

int cli_csv_value(const struct cli_csv_forms *f, const struct base_type *type,
                  struct base_slice field, struct base_buf *out, struct base_err *err)
{
    struct base_slice text =
        type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII ? field : trim(field);
    switch (type->kind) {
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT: {
        int rc = base_value_validate(type, text, err);
        return rc == BASE_OK ? base_buf_put_slice(out, text) : rc;
    }
    case BASE_TYPE_BLOB:
    case BASE_TYPE_CUSTOM:
        return blob(text, out, err);
    case BASE_TYPE_BOOLEAN:
        return boolean(f, text, out, err);
    case BASE_TYPE_TIMESTAMP:
        return timestamp(f, type, text, out, err);
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_VARINT:
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
        return number(f, type, text, out, err);
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
    case BASE_TYPE_INET:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_DURATION:
        return by_literal(type, text, out, err);
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
    case BASE_TYPE_VECTOR:
        return collection(f, type, text, out, err);
    }
    return BASE_E_INVALID;
}
