/* JSON text to serialized values and back. JSON for sets and maps may come in any order: what is
 * stored is sorted by the element's order, each once (collection.c does that).
 *
 * The recursion goes by the type, so its depth is the type's; the reader bounds the text's. */
#include "base/base_private.h"

#include "base/arith.h"

#include <math.h>

/* Reading. */

struct from_json {
    struct base_json_reader reader;
    struct base_buf text; /* one unescaped string at a time */
    struct base_err *err;
};

static int read_value(struct from_json *f, const struct base_type *type,
                      const struct base_json_token *token, struct base_buf *out);

static int refuse(struct from_json *f, const struct base_type *type, struct base_slice text)
{
    return basei_refuse(type, &(struct base_sql_value){.kind = BASE_SQL_JSON, .bytes = text},
                        f->err);
}

static int failed(struct from_json *f, const struct base_type *type, int rc)
{
    return base_err_set(f->err, rc, "%s value: %s", basei_kind_name(type->kind),
                        base_err_words(rc));
}

static bool is_string_type(const struct base_type *type)
{
    return type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII;
}

/* A scalar from a string's text (as a value or as a map's key). "" is CQL's empty value. */
static int read_scalar_text(struct from_json *f, const struct base_type *type,
                            struct base_slice text, struct base_buf *out)
{
    if (text.len == 0 && basei_type_has_empty(type))
        return BASE_OK;
    int rc = basei_scalar_from_text(type, text, out);
    if (rc == BASE_E_INVALID)
        return refuse(f, type, text);
    return rc == BASE_OK ? rc : failed(f, type, rc);
}

static int read_scalar(struct from_json *f, const struct base_type *type,
                       const struct base_json_token *token, struct base_buf *out)
{
    int rc;
    switch (token->kind) {
    case BASE_JSON_STRING:
        f->text.len = 0;
        rc = base_json_unescape(token, &f->text);
        return rc == BASE_OK ? read_scalar_text(f, type, base_buf_view(&f->text), out)
                             : failed(f, type, rc);
    case BASE_JSON_NUMBER:
        return is_string_type(type) ? refuse(f, type, token->text)
                                    : read_scalar_text(f, type, token->text, out);
    case BASE_JSON_TRUE:
    case BASE_JSON_FALSE:
        if (type->kind == BASE_TYPE_BOOLEAN) {
            rc = base_buf_put_u8(out, token->kind == BASE_JSON_TRUE);
            return rc == BASE_OK ? rc : failed(f, type, rc);
        }
        return refuse(f, type, token->text);
    default:
        return refuse(f, type, token->text);
    }
}

/* A value with its length in front (as vectors have it, when in one). */
static int read_element(struct from_json *f, const struct base_type *parent,
                        const struct base_type *type, const struct base_json_token *token,
                        struct base_buf *out)
{
    if (token->kind == BASE_JSON_NULL)
        return base_err_set(f->err, BASE_E_INVALID, "null is not possible inside a %s",
                            basei_kind_name(parent->kind));
    size_t at = out->len;
    int rc = basei_element_begin(parent, out);
    if (rc != BASE_OK)
        return failed(f, parent, rc);
    rc = read_value(f, type, token, out);
    if (rc != BASE_OK)
        return rc;
    rc = basei_element_end(parent, type, out, at);
    return rc == BASE_E_INVALID
               ? base_err_set(f->err, rc, "an empty value is not possible inside a %s",
                              basei_kind_name(parent->kind))
           : rc == BASE_OK ? rc
                           : failed(f, parent, rc);
}

/* The elements of an array, up to `most`; how many in *count. */
static int read_array(struct from_json *f, const struct base_type *type, uint32_t most,
                      struct base_buf *out, uint32_t *count)
{
    struct base_json_token token;
    const bool is_tuple = type->kind == BASE_TYPE_TUPLE;
    int rc;
    for (*count = 0;; ++*count) {
        rc = base_json_next(&f->reader, &token, f->err);
        if (rc != BASE_OK || token.kind == BASE_JSON_ARRAY_END)
            return rc;
        if (*count == most)
            return base_err_set(f->err, BASE_E_INVALID, "too many elements: the %s takes %u",
                                basei_kind_name(type->kind), most);
        if (is_tuple && token.kind == BASE_JSON_NULL) {
            rc = base_buf_put(out, "\xff\xff\xff\xff", 4);
            if (rc != BASE_OK)
                return failed(f, type, rc);
            continue;
        }
        rc = read_element(f, type, type->params[is_tuple ? *count : 0], &token, out);
        if (rc != BASE_OK)
            return base_err_wrap(f->err, rc, "element %u", *count + 1);
    }
}

/* A map's key from a member's name: the text form of a scalar, the JSON of anything else. */
static int read_key(struct from_json *f, const struct base_type *map,
                    const struct base_json_token *token, struct base_buf *out)
{
    const struct base_type *type = map->params[0];
    size_t at = out->len;
    int rc = basei_element_begin(map, out);
    f->text.len = 0;
    if (rc == BASE_OK)
        rc = base_json_unescape(token, &f->text);
    if (rc != BASE_OK)
        return failed(f, map, rc);
    rc = basei_is_scalar(type) ? read_scalar_text(f, type, base_buf_view(&f->text), out)
                               : base_value_from_json(type, base_buf_view(&f->text), out, f->err);
    if (rc != BASE_OK)
        return rc;
    rc = basei_element_end(map, type, out, at);
    return rc == BASE_OK ? rc : failed(f, map, rc);
}

static int read_member_value(struct from_json *f, const struct base_type *type,
                             struct base_buf *out)
{
    struct base_json_token token;
    int rc = base_json_next(&f->reader, &token, f->err);
    return rc == BASE_OK ? read_element(f, type, type->params[1], &token, out) : rc;
}

/* [key, value], its opening bracket read. */
static int read_pair(struct from_json *f, const struct base_type *type, struct base_buf *out)
{
    struct base_json_token token;
    int rc = base_json_next(&f->reader, &token, f->err);
    if (rc == BASE_OK && token.kind == BASE_JSON_ARRAY_END)
        return base_err_set(f->err, BASE_E_INVALID,
                            "an entry of a map is [key, value], not an empty array");
    if (rc == BASE_OK)
        rc = read_element(f, type, type->params[0], &token, out);
    if (rc == BASE_OK)
        rc = base_json_next(&f->reader, &token, f->err);
    if (rc == BASE_OK && token.kind == BASE_JSON_ARRAY_END)
        return base_err_set(f->err, BASE_E_INVALID,
                            "an entry of a map is [key, value], not a key alone");
    if (rc == BASE_OK)
        rc = read_element(f, type, type->params[1], &token, out);
    if (rc == BASE_OK)
        rc = base_json_next(&f->reader, &token, f->err);
    if (rc == BASE_OK && token.kind != BASE_JSON_ARRAY_END)
        return base_err_set(f->err, BASE_E_INVALID, "an entry of a map is [key, value], no more");
    return rc;
}

static int read_map(struct from_json *f, const struct base_type *type, bool object,
                    struct base_buf *out, uint32_t *count)
{
    struct base_json_token token;
    for (*count = 0;; ++*count) {
        int rc = base_json_next(&f->reader, &token, f->err);
        if (rc != BASE_OK || token.kind == BASE_JSON_OBJECT_END ||
            token.kind == BASE_JSON_ARRAY_END)
            return rc;
        if (object) {
            rc = read_key(f, type, &token, out);
            if (rc == BASE_OK)
                rc = read_member_value(f, type, out);
        } else if (token.kind == BASE_JSON_ARRAY) {
            rc = read_pair(f, type, out);
        } else {
            rc = base_err_set(f->err, BASE_E_INVALID, "an entry of a map is [key, value]");
        }
        if (rc != BASE_OK)
            return base_err_wrap(f->err, rc, "entry %u", *count + 1);
    }
}

/* Lists, sets, maps: the count in front; sets and maps sorted afterwards. */
static int read_collection(struct from_json *f, const struct base_type *type,
                           const struct base_json_token *token, struct base_buf *out)
{
    const bool object = token->kind == BASE_JSON_OBJECT;
    size_t start = out->len;
    uint32_t count;
    if (token->kind != BASE_JSON_ARRAY && !(object && type->kind == BASE_TYPE_MAP))
        return refuse(f, type, token->text);
    int rc = base_buf_put(out, "\0\0\0\0", 4);
    if (rc != BASE_OK)
        return failed(f, type, rc);
    rc = type->kind == BASE_TYPE_MAP ? read_map(f, type, object, out, &count)
                                     : read_array(f, type, UINT32_MAX, out, &count);
    if (rc != BASE_OK)
        return rc;
    base_put_be32(out->data + start, count);
    if (type->kind == BASE_TYPE_LIST)
        return BASE_OK;
    rc = basei_collection_sort(type, out, start);
    return rc == BASE_OK ? rc : failed(f, type, rc);
}

/* The field that a member names: exactly; with Cassandra's quotes inside; or in another case. */
static uint32_t find_field(const struct base_type *type, struct base_slice name)
{
    struct base_slice inner = {0};
    if (name.len >= 2 && name.data[0] == '"' && name.data[name.len - 1] == '"')
        inner = base_slice(name.data + 1, name.len - 2);
    for (uint32_t i = 0; i < type->param_count; i++)
        if (base_slice_equal(type->field_names[i], name) ||
            (inner.data && base_slice_equal(type->field_names[i], inner)))
            return i;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (base_slice_equal_nocase(type->field_names[i], name))
            return i;
    return UINT32_MAX;
}

struct field {
    size_t at, len; /* in the fields' buffer, the length in front included; len 0: null */
};

static int read_fields(struct from_json *f, const struct base_type *type, struct base_buf *values,
                       struct field *fields)
{
    struct base_json_token token;
    char name[100];
    for (;;) {
        int rc = base_json_next(&f->reader, &token, f->err);
        if (rc != BASE_OK || token.kind == BASE_JSON_OBJECT_END)
            return rc;
        f->text.len = 0;
        rc = base_json_unescape(&token, &f->text);
        if (rc != BASE_OK)
            return failed(f, type, rc);
        basei_bytes_text(base_buf_view(&f->text), name, sizeof name);
        uint32_t i = find_field(type, base_buf_view(&f->text));
        if (i == UINT32_MAX)
            return base_err_set(f->err, BASE_E_INVALID, "user type %.*s has no field '%s'",
                                BASE_SLICE_ARG(type->name), name);
        fields[i] = (struct field){values->len, 0};
        rc = base_json_next(&f->reader, &token, f->err);
        if (rc == BASE_OK && token.kind == BASE_JSON_NULL)
            continue;
        if (rc == BASE_OK)
            rc = read_element(f, type, type->params[i], &token, values);
        if (rc != BASE_OK)
            return base_err_wrap(f->err, rc, "field %s", name);
        fields[i].len = values->len - fields[i].at;
    }
}

static int read_udt(struct from_json *f, const struct base_type *type,
                    const struct base_json_token *token, struct base_buf *out)
{
    struct base_buf values;
    if (token->kind != BASE_JSON_OBJECT)
        return refuse(f, type, token->text);
    struct field *fields = calloc(type->param_count + 1u, sizeof *fields);
    if (!fields)
        return failed(f, type, BASE_E_NOMEM);
    base_buf_init(&values, out->len_max);
    int rc = read_fields(f, type, &values, fields);
    for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++) {
        rc = fields[i].len ? base_buf_put(out, values.data + fields[i].at, fields[i].len)
                           : base_buf_put(out, "\xff\xff\xff\xff", 4);
        if (rc != BASE_OK)
            failed(f, type, rc);
    }
    base_buf_fini(&values);
    free(fields);
    return rc;
}

static int read_value(struct from_json *f, const struct base_type *type,
                      const struct base_json_token *token, struct base_buf *out)
{
    uint32_t count = 0,
             wanted = type->kind == BASE_TYPE_TUPLE ? type->param_count : type->dimension;
    int rc;
    switch (type->kind) {
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
        return read_collection(f, type, token, out);
    case BASE_TYPE_UDT:
        return read_udt(f, type, token, out);
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_VECTOR:
        if (token->kind != BASE_JSON_ARRAY)
            return refuse(f, type, token->text);
        rc = read_array(f, type, wanted, out, &count);
        if (rc == BASE_OK && count != wanted)
            rc = base_err_set(f->err, BASE_E_INVALID, "too few elements: the %s takes %u, not %u",
                              basei_kind_name(type->kind), wanted, count);
        return rc;
    default:
        return read_scalar(f, type, token, out);
    }
}

int base_value_from_json(const struct base_type *type, struct base_slice json, struct base_buf *out,
                         struct base_err *err)
{
    struct from_json f = {.err = err};
    struct base_json_token token;
    size_t start = out->len;
    base_buf_init(&f.text, json.len + 1);
    base_json_begin(&f.reader, json);
    int rc = base_json_next(&f.reader, &token, err);
    if (rc == BASE_OK)
        rc = read_value(&f, type, &token, out);
    if (rc == BASE_OK)
        rc = base_json_next(&f.reader, &token, err);
    base_buf_fini(&f.text);
    if (rc == BASE_OK)
        return BASE_OK;
    out->len = start;
    if (rc == BASE_E_SYNTAX || !basei_is_scalar(type)) {
        char name[200];
        return base_err_wrap(err, rc == BASE_E_SYNTAX ? BASE_E_INVALID : rc, "%s",
                             basei_type_text(type, name, sizeof name));
    }
    return rc;
}

/* Writing. */

static int put(struct base_buf *out, const char *text)
{
    return base_buf_put(out, text, strlen(text));
}

static int damaged(const struct base_type *type, struct base_err *err)
{
    char name[200];
    return base_err_set(err, BASE_E_CORRUPT, "damaged value: its bytes are not a %s",
                        basei_type_text(type, name, sizeof name));
}

static bool prints_as_number(enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_VARINT:
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_BOOLEAN: /* or a word */
        return true;
    default:
        return false;
    }
}

/* A double or float as Cassandra's JSON has it: as Java prints it, null where JSON has no number
 * for it. */
static int put_java_number(const struct base_type *type, struct base_slice value,
                           struct base_buf *out)
{
    const bool is_double = type->kind == BASE_TYPE_DOUBLE;
    if (value.len != (is_double ? 8 : 4))
        return BASE_E_CORRUPT;
    const double v = is_double ? basei_double_get(value) : (double)basei_float_get(value);
    if (!isfinite(v))
        return put(out, "null");
    return is_double ? base_double_java_text(v, out) : base_float_java_text((float)v, out);
}

/* As Java prints an IPv6 address: all eight groups, and one that stands for IPv4 as that. */
static int put_java_inet(struct base_slice value, struct base_buf *out)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    const uint8_t *p = value.data;
    if (memcmp(p, mapped, sizeof mapped) == 0)
        return base_buf_printf(out, "%u.%u.%u.%u", p[12], p[13], p[14], p[15]);
    int rc = BASE_OK;
    for (int i = 0; rc == BASE_OK && i < 8; i++)
        rc = base_buf_printf(out, "%s%x", i ? ":" : "", base_get_be16(p + (size_t)2 * (size_t)i));
    return rc;
}

/* A scalar in the form that Cassandra's JSON has and no other does. */
static int put_java(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    return type->kind == BASE_TYPE_INET ? put_java_inet(value, out)
                                        : put_java_number(type, value, out);
}

static bool has_java_form(const struct base_type *type, struct base_slice value)
{
    return type->kind == BASE_TYPE_INET
               ? value.len == 16
               : value.len && (type->kind == BASE_TYPE_DOUBLE || type->kind == BASE_TYPE_FLOAT);
}

static int put_scalar(const struct base_type *type, struct base_slice value,
                      enum basei_json_style style, bool quoted, struct base_buf *out)
{
    const bool java = style == BASEI_JSON_CASSANDRA && has_java_form(type, value);
    size_t at = out->len;
    if (is_string_type(type)) {
        int rc = base_value_validate(type, value, NULL);
        return rc == BASE_OK ? base_json_put_string(out, value) : BASE_E_CORRUPT;
    }
    quoted = quoted || !prints_as_number(type->kind) || value.len == 0;
    int rc = quoted ? base_buf_put_u8(out, '"') : BASE_OK;
    if (rc == BASE_OK)
        rc = java ? put_java(type, value, out) : basei_scalar_to_text(type, value, out);
    if (rc != BASE_OK)
        return rc;
    if (type->kind == BASE_TYPE_TIMESTAMP && style == BASEI_JSON_CASSANDRA) {
        uint8_t *t = memchr(out->data + at, 'T', out->len - at);
        if (t)
            *t = ' ';
    }
    uint8_t last = out->len > at ? out->data[out->len - 1] : 0;
    if (!quoted && (last == 'N' || last == 'y')) { /* NaN, Infinity: JSON has no number for them */
        struct base_slice text = base_slice(out->data + at, out->len - at);
        char copy[16] = "";
        BASE_ASSERT(text.len < sizeof copy);
        memcpy(copy, text.data, text.len);
        out->len = at;
        return base_buf_printf(out, "\"%s\"", copy);
    }
    return quoted ? base_buf_put_u8(out, '"') : BASE_OK;
}

/* A map's key: a JSON string, of the key's JSON where that is not a string. */
static int put_key(const struct base_type *type, struct base_slice value,
                   enum basei_json_style style, struct base_buf *out, struct base_err *err)
{
    if (basei_is_scalar(type))
        return put_scalar(type, value, style, true, out);
    struct base_buf json;
    base_buf_init(&json, out->len_max);
    int rc = basei_value_put_json(type, value, style, &json, err);
    if (rc == BASE_OK)
        rc = base_json_put_string(out, base_buf_view(&json));
    base_buf_fini(&json);
    return rc;
}

static int put_field_name(struct base_slice name, enum basei_json_style style, struct base_buf *out)
{
    bool upper = false;
    for (size_t i = 0; i < name.len; i++)
        upper = upper || (name.data[i] >= 'A' && name.data[i] <= 'Z');
    if (style == BASEI_JSON_SQL || !upper)
        return base_json_put_string(out, name);
    struct base_buf quoted;
    base_buf_init(&quoted, name.len + 3);
    int rc = base_buf_printf(&quoted, "\"%.*s\"", BASE_SLICE_ARG(name));
    if (rc == BASE_OK)
        rc = base_json_put_string(out, base_buf_view(&quoted));
    base_buf_fini(&quoted);
    return rc;
}

/* Element i of a value with elements, what comes before it included. */
static int put_element(const struct base_type *type, uint32_t i, struct base_slice element,
                       bool is_null, enum basei_json_style style, struct base_buf *out,
                       struct base_err *err)
{
    const bool is_map = type->kind == BASE_TYPE_MAP, is_key = is_map && i % 2 == 0;
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    const struct base_type *inner = type->params[is_map ? i & 1 : fields ? i : 0];
    int rc = i == 0 ? BASE_OK : put(out, is_map && !is_key ? ": " : ", ");
    if (rc == BASE_OK && type->kind == BASE_TYPE_UDT) {
        rc = put_field_name(type->field_names[i], style, out);
        if (rc == BASE_OK)
            rc = put(out, ": ");
    }
    if (rc != BASE_OK)
        return rc;
    if (is_null)
        return fields ? put(out, "null") : BASE_E_CORRUPT;
    return is_key ? put_key(inner, element, style, out, err)
                  : basei_value_put_json(inner, element, style, out, err);
}

static int put_elements(const struct base_type *type, struct base_slice value,
                        enum basei_json_style style, struct base_buf *out, struct base_err *err)
{
    const bool object = type->kind == BASE_TYPE_MAP || type->kind == BASE_TYPE_UDT;
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    struct base_elements it;
    uint32_t i = 0;
    if (!base_elements_begin(&it, type, value))
        return BASE_E_CORRUPT;
    int rc = put(out, object ? "{" : "[");
    for (; rc == BASE_OK && it.left; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null))
            return BASE_E_CORRUPT;
        rc = put_element(type, i, element, is_null, style, out, err);
    }
    for (; rc == BASE_OK && fields && i < type->param_count; i++)
        rc = put_element(type, i, (struct base_slice){0}, true, style, out, err);
    if (rc == BASE_OK && base_reader_left(&it.reader))
        return BASE_E_CORRUPT;
    return rc == BASE_OK ? put(out, object ? "}" : "]") : rc;
}

int basei_value_put_json(const struct base_type *type, struct base_slice value,
                         enum basei_json_style style, struct base_buf *out, struct base_err *err)
{
    size_t start = out->len;
    int rc = basei_is_scalar(type) ? put_scalar(type, value, style, false, out)
                                   : put_elements(type, value, style, out, err);
    if (rc == BASE_OK)
        return rc;
    out->len = start;
    return rc == BASE_E_CORRUPT ? damaged(type, err)
                                : base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind),
                                               base_err_words(rc));
}

int base_value_to_json(const struct base_type *type, struct base_slice value, struct base_buf *out,
                       struct base_err *err)
{
    return basei_value_put_json(type, value, BASEI_JSON_CASSANDRA, out, err);
}
