/* The native protocol's notations, and types as [option].
 *
 * Invariants:
 *  1. A count is compared with the bytes that are left before memory is taken for so many items.
 *  2. Types nest BASE_TYPE_DEPTH_MAX deep at most: what recurses is bounded. */
#include "cql/cql_private.h"
#include "cql/wire.h"

/* Putting. */

int cql_wire_put_string(struct base_buf *buf, struct base_slice s)
{
    if (s.len > UINT16_MAX)
        return BASE_E_LIMIT;
    int rc = cql_wire_put_short(buf, (uint16_t)s.len);
    return rc == BASE_OK ? base_buf_put_slice(buf, s) : rc;
}

int cql_wire_put_long_string(struct base_buf *buf, struct base_slice s)
{
    if (s.len > INT32_MAX)
        return BASE_E_LIMIT;
    int rc = cql_wire_put_int(buf, (int32_t)s.len);
    return rc == BASE_OK ? base_buf_put_slice(buf, s) : rc;
}

int cql_wire_put_bytes(struct base_buf *buf, const struct base_slice *s)
{
    return s ? cql_wire_put_long_string(buf, *s) : cql_wire_put_int(buf, -1);
}

int cql_wire_put_short_bytes(struct base_buf *buf, struct base_slice s)
{
    return cql_wire_put_string(buf, s);
}

int cql_wire_put_value(struct base_buf *buf, const struct cql_value *value)
{
    switch (value->state) {
    case CQL_VALUE_SET:
        return cql_wire_put_long_string(buf, value->bytes);
    case CQL_VALUE_NULL:
        return cql_wire_put_int(buf, -1);
    case CQL_VALUE_UNSET:
        return cql_wire_put_int(buf, -2);
    }
    return BASE_E_INTERNAL;
}

int cql_wire_put_string_list(struct base_buf *buf, const struct base_slice *items, size_t count)
{
    int rc = count > UINT16_MAX ? BASE_E_LIMIT : cql_wire_put_short(buf, (uint16_t)count);
    for (size_t i = 0; i < count && rc == BASE_OK; i++)
        rc = cql_wire_put_string(buf, items[i]);
    return rc;
}

int cql_wire_put_inetaddr(struct base_buf *buf, struct base_slice address)
{
    BASE_ASSERT(address.len == 4 || address.len == 16);
    int rc = cql_wire_put_byte(buf, (uint8_t)address.len);
    return rc == BASE_OK ? base_buf_put_slice(buf, address) : rc;
}

int cql_wire_put_inet(struct base_buf *buf, struct base_slice address, int32_t port)
{
    int rc = cql_wire_put_inetaddr(buf, address);
    return rc == BASE_OK ? cql_wire_put_int(buf, port) : rc;
}

int cql_wire_put_string_map(struct base_buf *buf, const struct cql_wire_pair *pairs, size_t count)
{
    int rc = count > UINT16_MAX ? BASE_E_LIMIT : cql_wire_put_short(buf, (uint16_t)count);
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        rc = cql_wire_put_string(buf, pairs[i].key);
        if (rc == BASE_OK)
            rc = cql_wire_put_string(buf, pairs[i].value);
    }
    return rc;
}

int cql_wire_put_multimap(struct base_buf *buf, const struct cql_wire_entry *entries, size_t count)
{
    int rc = count > UINT16_MAX ? BASE_E_LIMIT : cql_wire_put_short(buf, (uint16_t)count);
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        rc = cql_wire_put_string(buf, entries[i].key);
        if (rc == BASE_OK)
            rc = cql_wire_put_string_list(buf, entries[i].values, entries[i].value_count);
    }
    return rc;
}

/* Getting. */

bool cql_wire_get_short(struct base_reader *r, uint16_t *out)
{
    struct base_slice s;
    *out = 0;
    if (!base_get_raw(r, 2, &s))
        return false;
    *out = base_get_be16(s.data);
    return true;
}

bool cql_wire_get_int(struct base_reader *r, int32_t *out)
{
    struct base_slice s;
    *out = 0;
    if (!base_get_raw(r, 4, &s))
        return false;
    *out = (int32_t)base_get_be32(s.data);
    return true;
}

bool cql_wire_get_long(struct base_reader *r, int64_t *out)
{
    struct base_slice s;
    *out = 0;
    if (!base_get_raw(r, 8, &s))
        return false;
    *out = (int64_t)base_get_be64(s.data);
    return true;
}

bool cql_wire_get_string(struct base_reader *r, struct base_slice *out)
{
    uint16_t len;
    *out = (struct base_slice){0};
    return cql_wire_get_short(r, &len) && base_get_raw(r, len, out);
}

bool cql_wire_get_short_bytes(struct base_reader *r, struct base_slice *out)
{
    return cql_wire_get_string(r, out);
}

bool cql_wire_get_long_string(struct base_reader *r, struct base_slice *out)
{
    int32_t len;
    *out = (struct base_slice){0};
    if (!cql_wire_get_int(r, &len))
        return false;
    return len < 0 ? base_reader_fail(r) : base_get_raw(r, (size_t)len, out);
}

bool cql_wire_get_bytes(struct base_reader *r, struct base_slice *out, bool *is_null)
{
    int32_t len;
    *out = (struct base_slice){0};
    *is_null = false;
    if (!cql_wire_get_int(r, &len))
        return false;
    *is_null = len < 0;
    return len < 0 || base_get_raw(r, (size_t)len, out);
}

bool cql_wire_get_value(struct base_reader *r, uint8_t version, struct cql_value *out)
{
    int32_t len;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (!cql_wire_get_int(r, &len))
        return false;
    if (len >= 0) {
        out->state = CQL_VALUE_SET;
        return base_get_raw(r, (size_t)len, &out->bytes);
    }
    if (len == -1 || version < 4)
        return true;
    out->state = CQL_VALUE_UNSET;
    return len == -2 || base_reader_fail(r);
}

/* Room for `count` items that take at least item_len_min bytes each of what is left. */
static void *get_room(struct base_reader *r, struct base_arena *arena, size_t count,
                      size_t item_len_min, size_t item_size)
{
    void *out = NULL;
    if (count <= base_reader_left(r) / item_len_min)
        out = base_arena_alloc(arena, count ? count * item_size : 1);
    if (!out)
        (void)base_reader_fail(r);
    return out;
}

bool cql_wire_get_string_list(struct base_reader *r, struct base_arena *arena,
                              struct base_slice **items, size_t *count)
{
    uint16_t n;
    *items = NULL;
    *count = 0;
    if (!cql_wire_get_short(r, &n))
        return false;
    struct base_slice *list = get_room(r, arena, n, 2, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!cql_wire_get_string(r, &list[i]))
            return false;
    *items = list;
    *count = n;
    return true;
}

bool cql_wire_get_inet(struct base_reader *r, struct base_slice *address, int32_t *port)
{
    uint8_t len;
    *address = (struct base_slice){0};
    *port = 0;
    if (!base_get_u8(r, &len))
        return false;
    if (len != 4 && len != 16)
        return base_reader_fail(r);
    return base_get_raw(r, len, address) && cql_wire_get_int(r, port);
}

bool cql_wire_get_string_map(struct base_reader *r, struct base_arena *arena,
                             struct cql_wire_pair **pairs, size_t *count)
{
    uint16_t n;
    *pairs = NULL;
    *count = 0;
    if (!cql_wire_get_short(r, &n))
        return false;
    struct cql_wire_pair *map = get_room(r, arena, n, 4, sizeof *map);
    if (!map)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!cql_wire_get_string(r, &map[i].key) || !cql_wire_get_string(r, &map[i].value))
            return false;
    *pairs = map;
    *count = n;
    return true;
}

bool cql_wire_get_multimap(struct base_reader *r, struct base_arena *arena,
                           struct cql_wire_entry **entries, size_t *count)
{
    uint16_t n;
    *entries = NULL;
    *count = 0;
    if (!cql_wire_get_short(r, &n))
        return false;
    struct cql_wire_entry *map = get_room(r, arena, n, 4, sizeof *map);
    if (!map)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct base_slice *values;
        if (!cql_wire_get_string(r, &map[i].key) ||
            !cql_wire_get_string_list(r, arena, &values, &map[i].value_count))
            return false;
        map[i].values = values;
    }
    *entries = map;
    *count = n;
    return true;
}

struct base_slice cql_wire_map_get(const struct cql_wire_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (base_slice_equal(pairs[i].key, base_slice_str(key)))
            return pairs[i].value.data ? pairs[i].value : base_slice("", 0);
    return (struct base_slice){0};
}

/* What stands before a body. */

uint8_t cql_prefix_flags(const struct cql_prefix *prefix)
{
    return (uint8_t)((prefix->has_tracing_id ? CQL_FLAG_TRACING : 0) |
                     (prefix->warning_count ? CQL_FLAG_WARNING : 0) |
                     (prefix->payload_count ? CQL_FLAG_CUSTOM_PAYLOAD : 0));
}

int cql_put_prefix(struct base_buf *buf, const struct cql_prefix *prefix)
{
    int rc = prefix->has_tracing_id
                 ? base_buf_put(buf, prefix->tracing_id.b, sizeof prefix->tracing_id.b)
                 : BASE_OK;
    if (rc == BASE_OK && prefix->warning_count)
        rc = cql_wire_put_string_list(buf, prefix->warnings, prefix->warning_count);
    if (rc != BASE_OK || !prefix->payload_count)
        return rc;
    rc = prefix->payload_count > UINT16_MAX
             ? BASE_E_LIMIT
             : cql_wire_put_short(buf, (uint16_t)prefix->payload_count);
    for (size_t i = 0; i < prefix->payload_count && rc == BASE_OK; i++) {
        const struct cql_wire_pair *pair = &prefix->payload[i];
        rc = cql_wire_put_string(buf, pair->key);
        if (rc == BASE_OK)
            rc = cql_wire_put_bytes(buf, pair->value.data ? &pair->value : NULL);
    }
    return rc;
}

static bool get_payload(struct base_reader *r, struct base_arena *arena, struct cql_prefix *out)
{
    uint16_t n;
    bool is_null;
    if (!cql_wire_get_short(r, &n))
        return false;
    out->payload = get_room(r, arena, n, 6, sizeof *out->payload);
    if (!out->payload)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct cql_wire_pair *pair = &out->payload[i];
        if (!cql_wire_get_string(r, &pair->key) || !cql_wire_get_bytes(r, &pair->value, &is_null))
            return false;
        if (!is_null && !pair->value.data)
            pair->value = base_slice("", 0);
    }
    out->payload_count = n;
    return true;
}

int cql_get_prefix(struct cql_message *message, struct base_arena *arena, struct cql_prefix *out,
                   struct base_err *err)
{
    struct base_reader r = base_reader(message->body);
    bool ok = true;
    *out = (struct cql_prefix){0};
    if (message->is_response && (message->flags & CQL_FLAG_TRACING)) {
        struct base_slice id;
        ok = base_get_raw(&r, sizeof out->tracing_id.b, &id);
        out->has_tracing_id = ok;
        if (ok)
            memcpy(out->tracing_id.b, id.data, id.len);
    }
    if (ok && message->is_response && (message->flags & CQL_FLAG_WARNING)) {
        struct base_slice *warnings;
        ok = cql_wire_get_string_list(&r, arena, &warnings, &out->warning_count);
        out->warnings = warnings;
    }
    if (ok && (message->flags & CQL_FLAG_CUSTOM_PAYLOAD) && message->version >= 4)
        ok = get_payload(&r, arena, out);
    if (!ok) {
        *out = (struct cql_prefix){0};
        return base_err_set(err, BASE_E_INVALID,
                            "Tracing id, warnings or custom payload are cut off");
    }
    message->body = base_slice(r.p, base_reader_left(&r));
    return BASE_OK;
}

/* Types. */

/* The first version that has a native code for it; before, and for those that have none, it goes as
 * a class. */
static uint8_t version_of(enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
        return 4;
    case BASE_TYPE_DURATION:
        return 5;
    case BASE_TYPE_VECTOR:
    case BASE_TYPE_CUSTOM:
        return UINT8_MAX;
    case BASE_TYPE_ASCII:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_BLOB:
    case BASE_TYPE_BOOLEAN:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_INT:
    case BASE_TYPE_TIMESTAMP:
    case BASE_TYPE_UUID:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_VARINT:
    case BASE_TYPE_TIMEUUID:
    case BASE_TYPE_INET:
    case BASE_TYPE_LIST:
    case BASE_TYPE_MAP:
    case BASE_TYPE_SET:
    case BASE_TYPE_UDT:
    case BASE_TYPE_TUPLE:
        break;
    }
    return CQL_WIRE_VERSION_MIN;
}

static int put_class_option(struct base_buf *buf, const struct base_type *type)
{
    size_t at = buf->len;
    /* the code of a custom type, and room for the string's length */
    int rc = cql_wire_put_int(buf, 0);
    if (rc == BASE_OK)
        rc = cql_wire_put_class(buf, type);
    if (rc == BASE_OK && buf->len - at - 4 > UINT16_MAX)
        rc = BASE_E_LIMIT;
    if (rc == BASE_OK)
        base_put_be16(buf->data + at + 2, (uint16_t)(buf->len - at - 4));
    return rc;
}

int cql_wire_put_type(struct base_buf *buf, uint8_t version, const struct base_type *type)
{
    if (version < version_of(type->kind))
        return put_class_option(buf, type);
    int rc = cql_wire_put_short(buf, (uint16_t)type->kind);
    bool is_udt = type->kind == BASE_TYPE_UDT;
    if (rc == BASE_OK && is_udt)
        rc = cql_wire_put_string(buf, type->keyspace);
    if (rc == BASE_OK && is_udt)
        rc = cql_wire_put_string(buf, type->name);
    if (rc == BASE_OK && (is_udt || type->kind == BASE_TYPE_TUPLE))
        rc = type->param_count > UINT16_MAX ? BASE_E_LIMIT
                                            : cql_wire_put_short(buf, (uint16_t)type->param_count);
    for (uint32_t i = 0; i < type->param_count && rc == BASE_OK; i++) {
        if (is_udt)
            rc = cql_wire_put_string(buf, type->field_names[i]);
        if (rc == BASE_OK)
            rc = cql_wire_put_type(buf, version, type->params[i]);
    }
    return rc;
}

static int bad_type(struct base_err *err)
{
    return base_err_set(err, BASE_E_INVALID, "A type's description is cut off or damaged");
}

static int get_type(struct base_reader *r, struct base_arena *arena, unsigned depth,
                    const struct base_type **out, struct base_err *err);

/* What has parameters: how many, and a UDT's names. */
static int get_shape(struct base_reader *r, struct base_arena *arena, struct base_type *type,
                     struct base_slice **names, struct base_err *err)
{
    uint16_t n = type->kind == BASE_TYPE_MAP ? 2 : 1;
    bool counted = type->kind == BASE_TYPE_UDT || type->kind == BASE_TYPE_TUPLE;
    *names = NULL;
    if (type->kind == BASE_TYPE_UDT &&
        (!cql_wire_get_string(r, &type->keyspace) || !cql_wire_get_string(r, &type->name)))
        return bad_type(err);
    if ((counted && !cql_wire_get_short(r, &n)) || n > base_reader_left(r) / 2)
        return bad_type(err);
    type->param_count = n;
    if (type->kind != BASE_TYPE_UDT)
        return BASE_OK;
    *names = base_arena_zalloc(arena, (n + 1u) * sizeof **names);
    type->field_names = *names;
    return *names ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "types: out of memory");
}

static int get_compound(struct base_reader *r, struct base_arena *arena, unsigned depth,
                        enum base_type_kind kind, const struct base_type **out,
                        struct base_err *err)
{
    struct base_type *type = base_arena_zalloc(arena, sizeof *type);
    struct base_slice *names;
    if (!type)
        return base_err_set(err, BASE_E_NOMEM, "types: out of memory");
    type->kind = kind;
    type->frozen = depth > 0 || kind == BASE_TYPE_TUPLE;
    int rc = get_shape(r, arena, type, &names, err);
    if (rc != BASE_OK)
        return rc;
    const struct base_type **params =
        base_arena_zalloc(arena, (type->param_count + 1) * sizeof *params);
    if (!params)
        return base_err_set(err, BASE_E_NOMEM, "types: out of memory");
    for (uint32_t i = 0; i < type->param_count && rc == BASE_OK; i++) {
        if (names && !cql_wire_get_string(r, &names[i]))
            return bad_type(err);
        rc = get_type(r, arena, depth + 1, &params[i], err);
    }
    type->params = params;
    *out = rc == BASE_OK ? type : NULL;
    return rc;
}

static int get_type(struct base_reader *r, struct base_arena *arena, unsigned depth,
                    const struct base_type **out, struct base_err *err)
{
    uint16_t code;
    struct base_slice text;
    if (depth > BASE_TYPE_DEPTH_MAX)
        return base_err_set(err, BASE_E_INVALID, "A type is nested more than %d deep",
                            BASE_TYPE_DEPTH_MAX);
    if (!cql_wire_get_short(r, &code))
        return bad_type(err);
    switch (code) {
    case BASE_TYPE_CUSTOM:
        return cql_wire_get_string(r, &text) ? cqli_wire_parse_class(arena, text, depth, out, err)
                                             : bad_type(err);
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
        return get_compound(r, arena, depth, (enum base_type_kind)code, out, err);
    default:
        *out = code < BASE_TYPE_LIST ? base_type_scalar((enum base_type_kind)code) : NULL;
        return *out ? BASE_OK : base_err_set(err, BASE_E_INVALID, "Unknown type 0x%04x", code);
    }
}

int cql_wire_get_type(struct base_reader *r, struct base_arena *arena, const struct base_type **out,
                      struct base_err *err)
{
    *out = NULL;
    return get_type(r, arena, 0, out, err);
}
