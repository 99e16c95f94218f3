/* Bound values: bytes from a client, checked against the marker's type and brought into the form
 * that the rest relies on.
 *
 * base says whether they are valid; what is said when they are not are Cassandra's words, found by
 * looking again. */
#include "cql/expr_private.h"

static bool needs_order(const struct base_type *type)
{
    if (type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP ||
        type->kind == BASE_TYPE_DURATION)
        return true;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (needs_order(type->params[i]))
            return true;
    return false;
}

static int size_fault(const char *expected, size_t len, struct base_err *err)
{
    return base_err_set(err, BASE_E_INVALID, "%s (%zu)", expected, len);
}

static int inet_fault(struct base_slice bytes, struct base_err *err)
{
    char hex[2 * 64 + 1] = "";
    for (size_t i = 0; i < bytes.len && i < 64; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes.data[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes.data[i] & 15];
        hex[2 * i + 2] = 0;
    }
    return base_err_set(err, BASE_E_INVALID, "Expected 4 or 16 byte inetaddress; got %s", hex);
}

static int ascii_fault(struct base_slice bytes, struct base_err *err)
{
    size_t i = 0;
    while (i < bytes.len && bytes.data[i] < 0x80)
        i++;
    return base_err_set(err, BASE_E_INVALID, "Invalid byte for ascii: %d",
                        i < bytes.len ? (int8_t)bytes.data[i] : 0);
}

static int scalar_fault(const struct base_type *type, struct base_slice bytes, struct base_err *err)
{
    const size_t len = bytes.len;
    switch (type->kind) {
    case BASE_TYPE_INT:
        return size_fault("Expected 4 or 0 byte int", len, err);
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        return size_fault("Expected 8 or 0 byte long", len, err);
    case BASE_TYPE_SMALLINT:
        return size_fault("Expected 2 bytes for a smallint", len, err);
    case BASE_TYPE_TINYINT:
        return size_fault("Expected 1 byte for a tinyint", len, err);
    case BASE_TYPE_BOOLEAN:
        return size_fault("Expected 1 or 0 byte value", len, err);
    case BASE_TYPE_DOUBLE:
        return size_fault("Expected 8 or 0 byte value for a double", len, err);
    case BASE_TYPE_FLOAT:
        return size_fault("Expected 4 or 0 byte value for a float", len, err);
    case BASE_TYPE_TIMESTAMP:
        return size_fault("Expected 8 or 0 byte long for date", len, err);
    case BASE_TYPE_DATE:
        return size_fault("Expected 4 byte long for date", len, err);
    case BASE_TYPE_UUID:
        return size_fault("UUID should be 16 or 0 bytes", len, err);
    case BASE_TYPE_INET:
        return inet_fault(bytes, err);
    case BASE_TYPE_ASCII:
        return ascii_fault(bytes, err);
    case BASE_TYPE_TEXT:
        return base_err_set(err, BASE_E_INVALID, "String didn't validate.");
    case BASE_TYPE_TIMEUUID:
        return len == 16 ? base_err_set(err, BASE_E_INVALID, "Invalid version for TimeUUID type.")
                         : size_fault("TimeUUID should be 16 or 0 bytes", len, err);
    case BASE_TYPE_TIME:
        return len == 8 ? base_value_validate(type, bytes, err)
                        : size_fault("Expected 8 byte long for time", len, err);
    case BASE_TYPE_DECIMAL:
        return len < 5 ? size_fault("Expected 0 or at least 4 bytes", len, err)
                       : base_value_validate(type, bytes, err);
    case BASE_TYPE_DURATION:
        return len < 3 ? size_fault("Expected at least 3 bytes for a duration", len, err)
                       : base_value_validate(type, bytes, err);
    default:
        return base_value_validate(type, bytes, err);
    }
}

static const char *noun(const struct base_type *type, char text[CQLI_TYPE_TEXT])
{
    switch (type->kind) {
    case BASE_TYPE_LIST:
        return "list";
    case BASE_TYPE_SET:
        return "set";
    case BASE_TYPE_MAP:
        return "map";
    case BASE_TYPE_TUPLE:
        return "tuple";
    case BASE_TYPE_UDT:
        return "UDT";
    default:
        return cqli_type_text_of(type, text);
    }
}

/* Why the bytes are no value of the type; they are not. */
static int fault(const struct base_type *type, struct base_slice bytes, struct base_err *err)
{
    char text[CQLI_TYPE_TEXT];
    struct base_elements it;
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    if (type->kind < BASE_TYPE_LIST)
        return scalar_fault(type, bytes, err);
    if (!base_elements_begin(&it, type, bytes))
        return base_err_set(err, BASE_E_INVALID, "Not enough bytes to read a %s", noun(type, text));
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null))
            return fields ? base_err_set(err, BASE_E_INVALID, "Not enough bytes to read %uth %s", i,
                                         type->kind == BASE_TYPE_UDT ? "field" : "component")
                          : base_err_set(err, BASE_E_INVALID, "Not enough bytes to read a %s",
                                         noun(type, text));
        if (is_null && !fields)
            return base_err_set(err, BASE_E_INVALID, "null is not supported inside collections");
        const struct base_type *inner = type->params[fields                        ? i
                                                     : type->kind == BASE_TYPE_MAP ? i & 1
                                                                                   : 0];
        if (!is_null && base_value_validate(inner, element, NULL) != BASE_OK)
            return fault(inner, element, err);
    }
    if (base_reader_left(&it.reader))
        return fields
                   ? base_err_set(err, BASE_E_INVALID,
                                  "Invalid remaining data after end of %s value", noun(type, text))
                   : base_err_set(err, BASE_E_INVALID, "Unexpected extraneous bytes after %s value",
                                  noun(type, text));
    return base_value_validate(type, bytes, err);
}

int cqli_value_take(struct base_arena *arena, const struct base_type *type, struct base_slice bytes,
                    struct base_slice *out, struct base_err *err)
{
    *out = (struct base_slice){0};
    if (base_value_validate(type, bytes, NULL) != BASE_OK) {
        int rc = fault(type, bytes, err);
        return rc == BASE_OK ? base_err_set(err, BASE_E_INVALID, "Invalid value") : rc;
    }
    if (!needs_order(type)) {
        *out = bytes;
        return BASE_OK;
    }
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = base_value_normalize(type, bytes, &buf, err);
    if (rc == BASE_OK && base_arena_copy(arena, base_buf_view(&buf), out) != BASE_OK)
        rc = base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    base_buf_fini(&buf);
    return rc;
}
