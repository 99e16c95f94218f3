/* Values that look like chance and come again: what is written and, when it is read, expected
 * (stress_private.h).
 *
 * 1. A value depends on its column, partition and row alone.
 * 2. Partition keys of different partitions differ: the first eight bytes of a text or blob key are
 *    a bijection of its number. */
#include "cli/stress_private.h"

uint64_t cli_stress_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int put_bytes(uint64_t seed, size_t size, bool text, struct base_buf *out)
{
    int rc = base_buf_reserve(out, size + 16);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    if (text) { /* sixteen letters to a number */
        for (size_t i = 0; i < size; i += 16, seed = cli_stress_mix(seed))
            for (unsigned b = 0; b < 16; b++)
                p[i + b] = (uint8_t)('a' + ((seed >> (4 * b)) & 15));
    } else {
        for (size_t i = 0; i < size; i += 8, seed = cli_stress_mix(seed))
            base_put_le64(p + i, seed);
    }
    out->len += size;
    return BASE_OK;
}

static int put_number(uint64_t seed, size_t size, struct base_buf *out)
{
    uint8_t b[8];
    base_put_be64(b, seed);
    return base_buf_put(out, b + 8 - size, size);
}

/* What stands before an element: 4 bytes of length, nothing, or (a vector's whose elements differ
 * in size) a length of 1 or 2 bytes. */
enum prefix { PREFIX_INT, PREFIX_NONE, PREFIX_VINT };

static enum prefix prefix_of(const struct base_type *type)
{
    struct base_elements it = {0};
    if (type->kind != BASE_TYPE_VECTOR)
        return PREFIX_INT;
    /* asked for the size alone */
    bool empty = base_elements_begin(&it, type, (struct base_slice){0});
    return !empty || it.fixed_size ? PREFIX_NONE : PREFIX_VINT;
}

static int put_element(const struct base_type *type, uint64_t seed, size_t size, enum prefix prefix,
                       struct base_buf *out)
{
    size_t room = prefix == PREFIX_INT ? 4 : prefix == PREFIX_VINT ? 2 : 0, at = out->len;
    int rc = base_buf_put(out, "\0\0\0", room);
    if (rc == BASE_OK)
        rc = cli_stress_value(type, seed, size, out);
    size_t len = out->len - at - room;
    if (rc != BASE_OK || prefix == PREFIX_NONE)
        return rc;
    if (prefix == PREFIX_INT) {
        base_put_be32(out->data + at, (uint32_t)len);
    } else if (len < 128) {
        memmove(out->data + at + 1, out->data + at + 2, len);
        out->data[at] = (uint8_t)len;
        out->len--;
    } else if (len < 1 << 14) {
        base_put_be16(out->data + at, (uint16_t)(0x8000 | len));
    } else {
        return BASE_E_LIMIT;
    }
    return BASE_OK;
}

static int put_elements(const struct base_type *type, uint64_t seed, size_t size,
                        struct base_buf *out)
{
    uint32_t count = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT
                         ? type->param_count
                     : type->kind == BASE_TYPE_VECTOR ? type->dimension
                                                      : 1 + (uint32_t)(seed & 3);
    bool collection =
        type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP;
    int rc =
        collection
            ? put_number(type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP ? 1 : count, 4,
                         out)
            : BASE_OK;
    if (type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP)
        count = 1; /* more would have to be sorted by the element's order to compare with what is
                      read */
    for (uint32_t i = 0; rc == BASE_OK && i < count; i++) {
        bool by_field = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
        seed = cli_stress_mix(seed);
        rc = put_element(type->params[by_field ? i : 0], seed, size, prefix_of(type), out);
        if (rc == BASE_OK && type->kind == BASE_TYPE_MAP)
            rc = put_element(type->params[1], cli_stress_mix(seed), size, PREFIX_INT, out);
    }
    return rc;
}

static int put_parsed(const struct base_type *type, struct base_buf *out, const char *text)
{
    struct base_sql_value value = {.kind = BASE_SQL_TEXT, .bytes = base_slice_str(text)};
    return base_value_from_sql(type, &value, out, NULL);
}

int cli_stress_value(const struct base_type *type, uint64_t seed, size_t size, struct base_buf *out)
{
    char text[96];
    union {
        float f;
        uint32_t f_bits;
        double d;
        uint64_t d_bits;
    } u;
    switch (type->kind) {
    case BASE_TYPE_CUSTOM:
        return BASE_E_INVALID;
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
        return put_bytes(seed, size, true, out);
    case BASE_TYPE_BLOB:
        return put_bytes(seed, size, false, out);
    case BASE_TYPE_BIGINT:
        return put_number(seed, 8, out);
    case BASE_TYPE_COUNTER:
        return put_number(1 + seed % 100, 8, out);
    case BASE_TYPE_TIMESTAMP: /* 2001 to 2033 */
        return put_number(1000000000000u + seed % 1000000000000u, 8, out);
    case BASE_TYPE_BOOLEAN:
        return put_number(seed & 1, 1, out);
    case BASE_TYPE_INT:
        return put_number(seed, 4, out);
    case BASE_TYPE_SMALLINT:
        return put_number(seed, 2, out);
    case BASE_TYPE_TINYINT:
        return put_number(seed, 1, out);
    case BASE_TYPE_DATE: /* around 1970-01-01, which is 2^31 */
        return put_number((1u << 31) + seed % 30000, 4, out);
    case BASE_TYPE_TIME:
        return put_number(seed % 86400000000000u, 8, out);
    case BASE_TYPE_FLOAT:
        u.f = (float)(seed >> 40) / 256;
        return put_number(u.f_bits, 4, out);
    case BASE_TYPE_DOUBLE:
        u.d = (double)(seed >> 11) / 4096;
        return put_number(u.d_bits, 8, out);
    case BASE_TYPE_INET:
        return put_number((10u << 24) + (seed & 0xffffff), 4, out);
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID: { /* version 4, or 1 with a time */
        uint8_t b[16];
        base_put_be64(b, seed);
        base_put_be64(b + 8, cli_stress_mix(seed));
        b[6] = (uint8_t)((b[6] & 15) | (type->kind == BASE_TYPE_UUID ? 0x40 : 0x10));
        b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
        return base_buf_put(out, b, 16);
    }
    case BASE_TYPE_VARINT:
        snprintf(text, sizeof text, "%lld", (long long)seed);
        return put_parsed(type, out, text);
    case BASE_TYPE_DECIMAL:
        snprintf(text, sizeof text, "%llu.%02u1", (unsigned long long)(seed >> 16),
                 (unsigned)(seed & 63));
        return put_parsed(type, out, text);
    case BASE_TYPE_DURATION:
        snprintf(text, sizeof text, "%umo%ud%us", 1 + (unsigned)(seed & 7),
                 1 + (unsigned)(seed >> 8 & 15), 1 + (unsigned)(seed >> 16 & 31));
        return put_parsed(type, out, text);
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
    case BASE_TYPE_VECTOR:
        return put_elements(type, seed, size, out);
    }
    return BASE_E_INVALID;
}

uint64_t cli_stress_value_seed(const struct cli_stress_column *column, uint64_t partition,
                               uint64_t row)
{
    switch (column->role) {
    case CLI_STRESS_PARTITION_KEY:
        return cli_stress_mix(partition ^ column->salt);
    case CLI_STRESS_CLUSTERING:
        return cli_stress_mix(row ^ column->salt);
    case CLI_STRESS_REGULAR:
    case CLI_STRESS_LIMIT:
    case CLI_STRESS_TTL:
    case CLI_STRESS_TIMESTAMP:
        break;
    }
    return cli_stress_mix(partition ^ cli_stress_mix(row ^ column->salt));
}

int cli_stress_put_bind(const struct cli_stress_options *o, const struct cli_stress_column *column,
                        uint64_t partition, uint64_t row, struct base_buf *out)
{
    switch (column->role) {
    case CLI_STRESS_LIMIT:
        return put_number(10, 4, out);
    case CLI_STRESS_TTL:
        return put_number(86400, 4, out);
    case CLI_STRESS_TIMESTAMP:
        return put_number(cli_stress_wall_us(), 8, out);
    case CLI_STRESS_PARTITION_KEY:
    case CLI_STRESS_CLUSTERING:
    case CLI_STRESS_REGULAR:
        break;
    }
    return cli_stress_value(column->type, cli_stress_value_seed(column, partition, row),
                            column->role == CLI_STRESS_PARTITION_KEY ? o->key_size : o->value_size,
                            out);
}
