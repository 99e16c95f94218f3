/* Serialized values as CQL literals. At top level a string is its text alone; inside a collection
 * it is quoted as CQL needs it. */
#include "base/base_private.h"

static int put(struct base_buf *out, const char *text)
{
    return base_buf_put(out, text, strlen(text));
}

static bool is_quoted(enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
    case BASE_TYPE_INET:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_TIMESTAMP:
        return true;
    default:
        return false;
    }
}

static int put_scalar(const struct base_type *type, struct base_slice value, bool top,
                      struct base_buf *out)
{
    if (type->kind == BASE_TYPE_BLOB && value.len == 0)
        return put(out, "0x");
    if (top || (value.len && !is_quoted(type->kind)))
        return basei_scalar_to_text(type, value, out);
    if (type->kind != BASE_TYPE_TEXT && type->kind != BASE_TYPE_ASCII) {
        int rc = put(out, "'");
        if (rc == BASE_OK)
            rc = basei_scalar_to_text(type, value, out);
        return rc == BASE_OK ? put(out, "'") : rc;
    }
    if (base_value_validate(type, value, NULL) != BASE_OK)
        return BASE_E_CORRUPT;
    int rc = put(out, "'");
    while (rc == BASE_OK && value.len) {
        const uint8_t *quote = memchr(value.data, '\'', value.len);
        size_t n = quote ? (size_t)(quote - value.data) + 1 : value.len;
        rc = base_buf_put(out, value.data, n);
        if (rc == BASE_OK && quote)
            rc = put(out, "'");
        value.data += n;
        value.len -= n;
    }
    return rc == BASE_OK ? put(out, "'") : rc;
}

static int put_value(const struct base_type *type, struct base_slice value, bool top,
                     struct base_buf *out);

static int put_element(const struct base_type *type, uint32_t i, struct base_slice element,
                       bool is_null, struct base_buf *out)
{
    const bool is_map = type->kind == BASE_TYPE_MAP;
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    int rc = i == 0 ? BASE_OK : put(out, is_map && i % 2 ? ": " : ", ");
    if (rc == BASE_OK && type->kind == BASE_TYPE_UDT) {
        rc = basei_put_identifier(out, type->field_names[i]);
        if (rc == BASE_OK)
            rc = put(out, ": ");
    }
    if (rc != BASE_OK)
        return rc;
    if (is_null)
        return fields ? put(out, "null") : BASE_E_CORRUPT;
    return put_value(type->params[is_map ? i & 1 : fields ? i : 0], element, false, out);
}

static int put_elements(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    const char *brackets = type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_VECTOR ? "[]"
                           : type->kind == BASE_TYPE_TUPLE                                ? "()"
                                                                                          : "{}";
    struct base_elements it;
    uint32_t i = 0;
    if (!base_elements_begin(&it, type, value))
        return BASE_E_CORRUPT;
    int rc = base_buf_put(out, brackets, 1);
    for (; rc == BASE_OK && it.left; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null))
            return BASE_E_CORRUPT;
        rc = put_element(type, i, element, is_null, out);
    }
    for (; rc == BASE_OK && fields && i < type->param_count; i++)
        rc = put_element(type, i, (struct base_slice){0}, true, out);
    if (rc == BASE_OK && base_reader_left(&it.reader))
        return BASE_E_CORRUPT;
    return rc == BASE_OK ? base_buf_put(out, brackets + 1, 1) : rc;
}

static int put_value(const struct base_type *type, struct base_slice value, bool top,
                     struct base_buf *out)
{
    return basei_is_scalar(type) ? put_scalar(type, value, top, out)
                                 : put_elements(type, value, out);
}

int base_value_to_text(const struct base_type *type, struct base_slice value, struct base_buf *out,
                       struct base_err *err)
{
    char name[200];
    size_t start = out->len;
    int rc = put_value(type, value, true, out);
    if (rc == BASE_OK)
        return rc;
    out->len = start;
    if (rc == BASE_E_CORRUPT)
        return base_err_set(err, rc, "damaged value: its bytes are not a %s",
                            basei_type_text(type, name, sizeof name));
    return base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind), base_err_words(rc));
}
