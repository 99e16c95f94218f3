/* See value_random.h. */
#include "value_random.h"

static void put(struct base_buf *out, const void *data, size_t len)
{
    BASE_ASSERT(base_buf_put(out, data, len) == BASE_OK);
}

static void random_fixed(struct rng *r, size_t size, struct base_buf *out)
{
    static const uint64_t edges[] = {0,          1,          2,          0x7F,
                                     0x80,       0xFF,       0x7FFF,     0x8000,
                                     0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, INT64_MAX,
                                     1ULL << 63, UINT64_MAX, 0x100,      0xFF00FF00FF00FF00ULL};
    uint8_t bytes[16];
    for (int i = 0; i < 16; i += 8)
        base_put_be64(bytes + i,
                      rng_below(r, 2) ? edges[rng_below(r, BASE_COUNT(edges))] : rng_next(r));
    put(out, bytes + 16 - size, size);
}

static void random_floating(struct rng *r, bool is_float, struct base_buf *out)
{
    static const double edges[] = {0.0,   -0.0,   1.0,  -1.0,   0.1,       -0.1,
                                   1e300, -1e300, 1e38, 5e-324, 16777217.0};
    uint8_t bytes[8];
    double v = edges[rng_below(r, BASE_COUNT(edges))];
    uint64_t bits = rng_next(r);
    switch (rng_below(r, 4)) {
    case 0: /* NaNs and infinities of every kind */
        bits = (rng_below(r, 2) << 63) | 0x7FF0000000000000ULL |
               (rng_below(r, 2) ? rng_next(r) >> 12 : 0);
        break;
    case 1:
        memcpy(&bits, &v, 8);
        break;
    default:
        break;
    }
    if (is_float) {
        float f = (float)v;
        uint32_t small = (uint32_t)bits;
        switch (rng_below(r, 3)) {
        case 0:
            small = 0x7F800000U | (uint32_t)(rng_below(r, 2) << 31) |
                    (rng_below(r, 2) ? (uint32_t)bits >> 9 : 0);
            break;
        case 1:
            memcpy(&small, &f, 4);
            break;
        default:
            break;
        }
        base_put_be32(bytes, small);
        put(out, bytes, 4);
    } else {
        base_put_be64(bytes, bits);
        put(out, bytes, 8);
    }
}

/* min..max bytes that often are 00, 01 and FF; ASCII letters and NUL when text. */
static void random_bytes(struct rng *r, size_t min, size_t max, bool text, struct base_buf *out)
{
    size_t len = min + rng_below(r, max - min + 1);
    for (size_t i = 0; i < len; i++) {
        static const uint8_t odd[] = {0x00, 0x01, 0xFF, 0xFE};
        uint8_t c = rng_below(r, 2) ? odd[rng_below(r, 4)] : (uint8_t)rng_next(r);
        if (text)
            c = rng_below(r, 4) ? (uint8_t)('a' + rng_below(r, 3)) : (uint8_t)rng_below(r, 3);
        put(out, &c, 1);
    }
}

static void random_decimal(struct rng *r, struct base_buf *out)
{
    static const int32_t scales[] = {0, 1, 2, 3, -1, -2, INT32_MAX, INT32_MIN, 100, -100};
    static const int64_t unscaled[] = {0,  1,   10,  100, 1000, -1,   -10, -100,
                                       99, 999, -99, 12,  120,  1200, -12, -120};
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)scales[rng_below(r, rng_below(r, 4) ? 6 : BASE_COUNT(scales))]);
    put(out, bytes, 4);
    if (rng_below(r, 3))
        BASE_ASSERT(basei_varint_put_i64(out, unscaled[rng_below(r, BASE_COUNT(unscaled))]) ==
                    BASE_OK);
    else
        random_bytes(r, 1, rng_below(r, 8) ? 12 : 200, false, out);
}

static void random_time(struct rng *r, struct base_buf *out)
{
    static const int64_t edges[] = {0, 1, BASEI_DAY_NS - 1};
    uint8_t bytes[8];
    base_put_be64(bytes,
                  rng_below(r, 2) ? rng_below(r, BASEI_DAY_NS) : (uint64_t)edges[rng_below(r, 3)]);
    put(out, bytes, 8);
}

static void random_uuid(struct rng *r, bool timeuuid, struct base_buf *out)
{
    static const uint8_t versions[] = {1, 4, 7, 0, 15, 1, 1};
    size_t at = out->len;
    random_fixed(r, 16, out);
    uint8_t version = timeuuid ? 1 : versions[rng_below(r, sizeof versions)];
    out->data[at + 6] = (uint8_t)((out->data[at + 6] & 0x0F) | version << 4);
}

static void random_duration(struct rng *r, struct base_buf *out)
{
    int sign = rng_below(r, 2) ? 1 : -1;
    struct basei_duration d = {sign * (int32_t)(rng_next(r) >> (33 + rng_below(r, 31))),
                               sign * (int32_t)(rng_next(r) >> (33 + rng_below(r, 31))),
                               sign * (int64_t)(rng_next(r) >> (1 + rng_below(r, 63)))};
    BASE_ASSERT(basei_duration_encode(&d, out) == BASE_OK);
}

static void random_scalar(struct rng *r, const struct base_type *type, struct base_buf *out)
{
    switch (type->kind) {
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
        random_bytes(r, 1, 6, true, out);
        return;
    case BASE_TYPE_BLOB:
        random_bytes(r, 1, 6, false, out);
        return;
    case BASE_TYPE_VARINT:
        random_bytes(r, 1, rng_below(r, 8) ? 9 : 300, false, out);
        return;
    case BASE_TYPE_DECIMAL:
        random_decimal(r, out);
        return;
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
        random_floating(r, type->kind == BASE_TYPE_FLOAT, out);
        return;
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
        random_uuid(r, type->kind == BASE_TYPE_TIMEUUID, out);
        return;
    case BASE_TYPE_INET:
        random_fixed(r, rng_below(r, 2) ? 4 : 16, out);
        return;
    case BASE_TYPE_TIME:
        random_time(r, out);
        return;
    case BASE_TYPE_DURATION:
        random_duration(r, out);
        return;
    default:
        random_fixed(r, basei_type_fixed_size(type), out);
        return;
    }
}

/* A length and the value; in a vector as its layout has it. */
static void random_element(struct rng *r, const struct base_type *parent,
                           const struct base_type *type, struct base_buf *out)
{
    size_t at = out->len,
           fixed = parent->kind == BASE_TYPE_VECTOR ? basei_vector_element_size(type) : 0;
    if (fixed) {
        random_value(r, type, false, out);
        return;
    }
    struct base_buf own;
    base_buf_init(&own, 1 << 20);
    random_value(r, type, true, &own);
    if (parent->kind == BASE_TYPE_VECTOR) {
        BASE_ASSERT(basei_uvint_put(out, own.len) == BASE_OK);
    } else {
        put(out, "\0\0\0\0", 4);
        base_put_be32(out->data + at, (uint32_t)own.len);
    }
    put(out, own.data, own.len);
    base_buf_fini(&own);
}

static void random_collection(struct rng *r, const struct base_type *type, struct base_buf *out)
{
    uint32_t count = (uint32_t)rng_below(r, 4);
    uint8_t bytes[4];
    base_put_be32(bytes, count);
    put(out, bytes, 4);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < type->param_count; j++)
            random_element(r, type, type->params[j], out);
}

void random_value(struct rng *r, const struct base_type *type, bool empty, struct base_buf *out)
{
    switch (type->kind) {
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
        random_collection(r, type, out);
        return;
    case BASE_TYPE_VECTOR:
        for (uint32_t i = 0; i < type->dimension; i++)
            random_element(r, type, type->params[0], out);
        return;
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT: {
        uint32_t count =
            rng_below(r, 4) ? type->param_count : (uint32_t)rng_below(r, type->param_count + 1);
        for (uint32_t i = 0; i < count; i++) {
            if (rng_below(r, 3) == 0)
                put(out, "\xff\xff\xff\xff", 4);
            else
                random_element(r, type, type->params[i], out);
        }
        return;
    }
    default:
        if (!empty || !basei_type_has_empty(type) || rng_below(r, 8))
            random_scalar(r, type, out);
    }
}

static const struct base_type *random_scalar_type(struct rng *r, bool key)
{
    for (;;) {
        const struct base_type *type =
            base_type_scalar((enum base_type_kind)rng_below(r, BASE_TYPE_DURATION + 1));
        if (type && type->kind != BASE_TYPE_COUNTER && (!key || type->kind != BASE_TYPE_DURATION))
            return type;
    }
}

const struct base_type *random_type(struct rng *r, struct base_arena *arena, int depth, bool key)
{
    static const enum base_type_kind kinds[] = {BASE_TYPE_LIST,  BASE_TYPE_SET, BASE_TYPE_MAP,
                                                BASE_TYPE_TUPLE, BASE_TYPE_UDT, BASE_TYPE_VECTOR};
    if (depth <= 1 || rng_below(r, 3) == 0)
        return random_scalar_type(r, key);
    struct base_type *type = base_arena_zalloc(arena, sizeof *type);
    const struct base_type **params = base_arena_alloc(arena, 4 * sizeof *params);
    struct base_slice *names = base_arena_alloc(arena, 4 * sizeof *names);
    BASE_ASSERT(type && params && names);
    static const char *const field_names[] = {"a", "B c", "with\"quote", "z9"};
    type->kind = kinds[rng_below(r, BASE_COUNT(kinds))];
    type->frozen = true;
    type->params = params;
    bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    type->param_count = fields                        ? 1 + (uint32_t)rng_below(r, 3)
                        : type->kind == BASE_TYPE_MAP ? 2
                                                      : 1;
    for (uint32_t i = 0; i < type->param_count; i++) {
        bool hashed = (type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP) && i == 0;
        params[i] = random_type(r, arena, depth - 1, key || hashed);
        names[i] = base_slice_str(field_names[i]);
    }
    if (type->kind == BASE_TYPE_UDT) {
        type->keyspace = BASE_SLICE_LIT("ks");
        type->name = BASE_SLICE_LIT("udt");
        type->field_names = names;
    }
    if (type->kind == BASE_TYPE_VECTOR)
        type->dimension = 1 + (uint32_t)rng_below(r, 3);
    return type;
}
