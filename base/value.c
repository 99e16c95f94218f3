/* Serialized values: their elements, whether they are valid, and Cassandra's order of them.
 *
 * Values come from drivers, peers and disk: nothing here trusts a length. The depth of recursion is
 * the type's (BASE_TYPE_DEPTH_MAX). */
#include "base/base_private.h"

/* Elements. */

bool base_elements_begin(struct base_elements *it, const struct base_type *type,
                         struct base_slice value)
{
    struct base_slice count;
    *it = (struct base_elements){.reader = base_reader(value), .kind = type->kind};
    switch (type->kind) {
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
        if (!base_get_raw(&it->reader, 4, &count))
            return false;
        it->left = base_get_be32(count.data);
        if (it->left > value.len / 4) { /* each element has at least its length */
            it->left = 0;
            return false;
        }
        if (type->kind == BASE_TYPE_MAP)
            it->left *= 2;
        return it->left <= value.len / 4;
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
        it->left = value.len ? type->param_count : 0;
        return true;
    case BASE_TYPE_VECTOR:
        it->left = type->dimension;
        it->fixed_size = (uint32_t)basei_vector_element_size(type->params[0]);
        return it->fixed_size == 0 || value.len == (size_t)it->fixed_size * type->dimension;
    default:
        BASE_ASSERT(false); /* not a type with elements */
        return false;
    }
}

static bool next_of_vector(struct base_elements *it, struct base_slice *element)
{
    uint64_t len = it->fixed_size;
    if (it->fixed_size == 0 && !basei_uvint_get(&it->reader, &len))
        return false;
    it->left--;
    return base_get_raw(&it->reader, len, element);
}

bool base_elements_next(struct base_elements *it, struct base_slice *element, bool *is_null)
{
    struct base_slice len;
    *element = (struct base_slice){0};
    *is_null = false;
    if (it->left == 0)
        return false;
    if (it->kind == BASE_TYPE_VECTOR)
        return next_of_vector(it, element);
    it->left--;
    if (!base_get_raw(&it->reader, 4, &len))
        return false;
    int32_t size = (int32_t)base_get_be32(len.data);
    if (size < -1)
        return false;
    *is_null = size == -1;
    if (size > 0 && !base_get_raw(&it->reader, (size_t)size, element))
        return false;
    if ((it->kind == BASE_TYPE_TUPLE || it->kind == BASE_TYPE_UDT) &&
        base_reader_left(&it->reader) == 0)
        it->left = 0; /* fewer fields than the type has: the rest are null */
    return true;
}

/* Validity. */

static int refuse(const struct base_type *type, struct base_err *err, const char *fault,
                  size_t number)
{
    char text[200];
    return base_err_set(err, BASE_E_INVALID, "not a valid %s: %s%.0zu",
                        basei_type_text(type, text, sizeof text), fault, number);
}

static int validate_scalar(const struct base_type *type, struct base_slice value,
                           struct base_err *err)
{
    struct basei_duration duration;
    size_t size = basei_type_fixed_size(type);
    if (value.len == 0 && basei_type_has_empty(type))
        return BASE_OK;
    if (size && value.len != size)
        return base_err_set(err, BASE_E_INVALID, "not a valid %s: %zu bytes where %zu must be",
                            basei_kind_name(type->kind), value.len, size);
    switch (type->kind) {
    case BASE_TYPE_ASCII:
        return basei_ascii_valid(value) ? BASE_OK : refuse(type, err, "a byte above 127", 0);
    case BASE_TYPE_TEXT:
        return basei_text_valid(value) ? BASE_OK : refuse(type, err, "its bytes are not UTF-8", 0);
    case BASE_TYPE_TIMEUUID:
        return value.data[6] >> 4 == 1 ? BASE_OK : refuse(type, err, "not a version 1 uuid", 0);
    case BASE_TYPE_INET:
        return value.len == 4 || value.len == 16 ? BASE_OK
                                                 : refuse(type, err, "neither 4 nor 16 bytes", 0);
    case BASE_TYPE_TIME:
        return base_get_be64(value.data) < (uint64_t)BASEI_DAY_NS
                   ? BASE_OK
                   : refuse(type, err, "not within a day", 0);
    case BASE_TYPE_VARINT:
        return value.len <= BASEI_VARINT_LEN_MAX
                   ? BASE_OK
                   : refuse(type, err, "longer than the possible bytes ", BASEI_VARINT_LEN_MAX);
    case BASE_TYPE_DECIMAL:
        if (value.len < 5)
            return refuse(type, err, "fewer than 5 bytes", 0);
        return value.len - 4 <= BASEI_VARINT_LEN_MAX
                   ? BASE_OK
                   : refuse(type, err, "longer than the possible bytes ", BASEI_VARINT_LEN_MAX);
    case BASE_TYPE_DURATION:
        return basei_duration_decode(value, &duration)
                   ? BASE_OK
                   : refuse(type, err, "not months, days and nanoseconds of one sign", 0);
    default:
        return BASE_OK;
    }
}

static const struct base_type *element_type(const struct base_type *type, uint32_t i)
{
    switch (type->kind) {
    case BASE_TYPE_MAP:
        return type->params[i & 1];
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
        return type->params[i];
    default:
        return type->params[0];
    }
}

int base_value_validate(const struct base_type *type, struct base_slice value, struct base_err *err)
{
    if (basei_is_scalar(type))
        return validate_scalar(type, value, err);
    struct base_elements it;
    const bool nulls = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    if (!base_elements_begin(&it, type, value))
        return refuse(type, err, "its length does not fit its elements", 0);
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null))
            return refuse(type, err, "it is cut within element ", i + 1);
        if (is_null && !nulls)
            return refuse(type, err, "null is not possible inside a collection: element ", i + 1);
        int rc = is_null ? BASE_OK : base_value_validate(element_type(type, i), element, err);
        if (rc != BASE_OK) {
            char text[200];
            return base_err_wrap(err, rc, "%s, element %u",
                                 basei_type_text(type, text, sizeof text), i + 1);
        }
    }
    if (base_reader_left(&it.reader))
        return refuse(type, err, "bytes after its last element: ", base_reader_left(&it.reader));
    return BASE_OK;
}

/* Order. */

static int compare_signed(struct base_slice a, struct base_slice b)
{
    int x = (int8_t)a.data[0], y = (int8_t)b.data[0];
    return x != y ? (x > y) - (x < y) : memcmp(a.data + 1, b.data + 1, a.len - 1);
}

/* Time first: the three time fields from high to low. */
static uint64_t uuid_time(const uint8_t *uuid)
{
    uint64_t v = base_get_be64(uuid);
    return v << 48 | (v << 16 & 0xFFFF00000000ULL) | v >> 32;
}

static int compare_uuid(const uint8_t *a, const uint8_t *b)
{
    int version_a = a[6] >> 4, version_b = b[6] >> 4;
    if (version_a != version_b)
        return version_a - version_b;
    if (version_a == 1) {
        uint64_t x = uuid_time(a), y = uuid_time(b);
        return x != y ? (x > y) - (x < y) : memcmp(a + 8, b + 8, 8);
    }
    return memcmp(a, b, 16);
}

static int compare_timeuuid(const uint8_t *a, const uint8_t *b)
{
    uint64_t x = uuid_time(a), y = uuid_time(b);
    if (x != y)
        return x > y ? 1 : -1;
    for (int i = 8; i < 16; i++) /* signed bytes, as Cassandra always had it */
        if (a[i] != b[i])
            return (int8_t)a[i] < (int8_t)b[i] ? -1 : 1;
    return 0;
}

/* Float.compare and Double.compare: -0.0 before 0.0, all NaNs equal and last. */
static int compare_double(double x, double y)
{
    if (x < y)
        return -1;
    if (x > y)
        return 1;
    int a = x != x, b = y != y;
    if (a || b)
        return a - b;
    return __builtin_signbit(y) != 0 ? (__builtin_signbit(x) ? 0 : 1)
                                     : -(__builtin_signbit(x) != 0);
}

static double get_double(const struct base_type *type, const uint8_t *p)
{
    if (type->kind == BASE_TYPE_FLOAT) {
        uint32_t bits = base_get_be32(p);
        float v;
        memcpy(&v, &bits, 4);
        return (double)v;
    }
    uint64_t bits = base_get_be64(p);
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

static int compare_scalar(const struct base_type *type, struct base_slice a, struct base_slice b)
{
    switch (type->kind) {
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_INT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_TIMESTAMP:
        return compare_signed(a, b);
    case BASE_TYPE_BOOLEAN:
        return (a.data[0] != 0) - (b.data[0] != 0);
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
        return compare_double(get_double(type, a.data), get_double(type, b.data));
    case BASE_TYPE_UUID:
        return compare_uuid(a.data, b.data);
    case BASE_TYPE_TIMEUUID:
        return compare_timeuuid(a.data, b.data);
    case BASE_TYPE_VARINT:
        return basei_varint_compare(a, b);
    case BASE_TYPE_DECIMAL:
        return basei_decimal_compare(a, b);
    default: /* text, ascii, blob, inet, date, time, duration: unsigned bytes */
        return base_slice_compare(a, b);
    }
}

static int compare_collections(const struct base_type *type, struct base_slice a,
                               struct base_slice b)
{
    struct base_elements x, y;
    if (!base_elements_begin(&x, type, a) || !base_elements_begin(&y, type, b))
        return base_slice_compare(a, b);
    uint32_t x_count = x.left, y_count = y.left, n = x_count < y_count ? x_count : y_count;
    for (uint32_t i = 0; i < n; i++) {
        struct base_slice xe, ye;
        bool x_null, y_null;
        if (!base_elements_next(&x, &xe, &x_null) || !base_elements_next(&y, &ye, &y_null))
            return base_slice_compare(a, b);
        int c = base_value_compare(element_type(type, i), xe, ye);
        if (c)
            return c;
    }
    return (x_count > y_count) - (x_count < y_count);
}

/* Field by field; null before all values; fields that are missing at the end are null. */
static int compare_tuples(const struct base_type *type, struct base_slice a, struct base_slice b)
{
    struct base_elements x, y;
    bool ok = base_elements_begin(&x, type, a) && base_elements_begin(&y, type, b);
    for (uint32_t i = 0; ok && i < type->param_count; i++) {
        struct base_slice xe = {0}, ye = {0};
        bool x_null = true, y_null = true;
        ok = (!x.left || base_elements_next(&x, &xe, &x_null)) &&
             (!y.left || base_elements_next(&y, &ye, &y_null));
        int c = x_null || y_null ? y_null - x_null : base_value_compare(type->params[i], xe, ye);
        if (ok && c)
            return c;
    }
    return ok ? 0 : base_slice_compare(a, b);
}

int base_value_compare(const struct base_type *type, struct base_slice a, struct base_slice b)
{
    if (type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT)
        return compare_tuples(type, a, b);
    if (a.len == 0 || b.len == 0) /* the empty value is first */
        return (a.len != 0) - (b.len != 0);
    return basei_is_scalar(type) ? compare_scalar(type, a, b) : compare_collections(type, a, b);
}
