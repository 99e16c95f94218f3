/* Durations: months, days and nanoseconds, of one sign; three signed vints of Cassandra's (the
 * number of leading ones of the first byte is the number of bytes that follow; zigzag). */
#include "base/base_private.h"

#include "base/arith.h"

/* Bytes. */

int basei_uvint_put(struct base_buf *out, uint64_t v)
{
    int bits = 64 - __builtin_clzll(v | 1), extra = (bits - 1) / 7;
    if (extra > 8)
        extra = 8;
    uint8_t bytes[9];
    for (int i = extra; i > 0; i--, v >>= 8)
        bytes[i] = (uint8_t)v;
    unsigned ones = 0xFF00u >> extra & 0xFFu;
    bytes[0] = (uint8_t)(extra == 8 ? ones : ones | v);
    return base_buf_put(out, bytes, (size_t)extra + 1);
}

bool basei_uvint_get(struct base_reader *r, uint64_t *value)
{
    uint8_t first;
    struct base_slice rest;
    *value = 0;
    if (!base_get_u8(r, &first))
        return false;
    int extra = first == 0xFF ? 8 : __builtin_clz((uint32_t)(uint8_t)~first << 24);
    if (!base_get_raw(r, (size_t)extra, &rest))
        return false;
    uint64_t v = extra >= 7 ? 0 : first & (0xFFu >> (extra + 1));
    for (size_t i = 0; i < rest.len; i++)
        v = v << 8 | rest.data[i];
    *value = v;
    return true;
}

static int put_vint(struct base_buf *out, int64_t value)
{
    return basei_uvint_put(out, base_zigzag(value));
}

static bool get_vint(struct base_reader *r, int64_t *value)
{
    uint64_t v;
    bool ok = basei_uvint_get(r, &v);
    *value = base_unzigzag(v);
    return ok;
}

bool basei_duration_decode(struct base_slice value, struct basei_duration *out)
{
    struct base_reader r = base_reader(value);
    int64_t months, days, ns;
    *out = (struct basei_duration){0};
    if (!get_vint(&r, &months) || !get_vint(&r, &days) || !get_vint(&r, &ns) ||
        base_reader_left(&r))
        return false;
    if (months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX)
        return false;
    if ((months < 0 || days < 0 || ns < 0) && (months > 0 || days > 0 || ns > 0))
        return false;
    *out = (struct basei_duration){(int32_t)months, (int32_t)days, ns};
    return true;
}

int basei_duration_encode(const struct basei_duration *duration, struct base_buf *out)
{
    size_t start = out->len;
    int rc = put_vint(out, duration->months);
    if (rc == BASE_OK)
        rc = put_vint(out, duration->days);
    if (rc == BASE_OK)
        rc = put_vint(out, duration->ns);
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

bool base_duration_decode(struct base_slice value, struct base_duration *out)
{
    struct basei_duration duration;
    bool ok = basei_duration_decode(value, &duration);
    *out = (struct base_duration){duration.months, duration.days, duration.ns};
    return ok;
}

int base_duration_encode(const struct base_duration *duration, struct base_buf *out)
{
    return basei_duration_encode(
        &(struct basei_duration){duration->months, duration->days, duration->ns}, out);
}

/* Text. */

/* Totals while reading: magnitudes. */
struct sum {
    uint64_t months, days, ns;
};

static bool add(uint64_t *total, uint64_t count, uint64_t each)
{
    return !__builtin_mul_overflow(count, each, &count) &&
           !__builtin_add_overflow(*total, count, total);
}

enum { IN_MONTHS, IN_DAYS, IN_NS };
struct unit {
    const char *name;
    int what;
    uint64_t each;
};
/* In the order they must have. */
static const struct unit units[] = {
    {"y", IN_MONTHS, 12},
    {"mo", IN_MONTHS, 1},
    {"w", IN_DAYS, 7},
    {"d", IN_DAYS, 1},
    {"h", IN_NS, 3600000000000},
    {"m", IN_NS, 60000000000},
    {"s", IN_NS, 1000000000},
    {"ms", IN_NS, 1000000},
    {"us", IN_NS, 1000},
    {"\xC2\xB5s", IN_NS, 1000},
    {"ns", IN_NS, 1},
};

static bool add_unit(struct sum *sum, const struct unit *unit, uint64_t count)
{
    uint64_t *total = unit->what == IN_MONTHS ? &sum->months
                      : unit->what == IN_DAYS ? &sum->days
                                              : &sum->ns;
    return add(total, count, unit->each);
}

static bool take_count(struct base_slice *text, uint64_t *count)
{
    size_t n = 0;
    *count = 0;
    for (; n < text->len && basei_is_digit(text->data[n]); n++)
        if (__builtin_mul_overflow(*count, 10u, count) ||
            __builtin_add_overflow(*count, (uint64_t)(text->data[n] - '0'), count))
            return false;
    text->data += n;
    text->len -= n;
    return n > 0;
}

/* 1y2mo3w4d5h6m7s8ms9us10ns */
static bool parse_units(struct base_slice text, struct sum *sum)
{
    size_t next = 0;
    while (text.len) {
        uint64_t count;
        size_t n = 0;
        if (!take_count(&text, &count))
            return false;
        while (n < text.len && !basei_is_digit(text.data[n]))
            n++;
        struct base_slice name = base_slice(text.data, n);
        while (next < BASE_COUNT(units) &&
               !base_slice_equal_nocase(name, base_slice_str(units[next].name)))
            next++;
        if (next == BASE_COUNT(units) || !add_unit(sum, &units[next], count))
            return false;
        do
            next++;
        while (next < BASE_COUNT(units) && units[next].each == units[next - 1].each); /* us, µs */
        text.data += n;
        text.len -= n;
    }
    return true;
}

/* ISO 8601 after the P: nYnMnDTnHnMnS, or nW. */
static bool parse_iso(struct base_slice text, struct sum *sum)
{
    static const char letters[] = "YMWDTHMS"; /* their order */
    static const struct unit iso[] = {{"", IN_MONTHS, 12},
                                      {"", IN_MONTHS, 1},
                                      {"", IN_DAYS, 7},
                                      {"", IN_DAYS, 1},
                                      {0},
                                      {"", IN_NS, 3600000000000},
                                      {"", IN_NS, 60000000000},
                                      {"", IN_NS, 1000000000}};
    size_t next = 0;
    const size_t t = 4;
    if (text.len == 0)
        return false;
    while (text.len) {
        uint64_t count = 0;
        if ((text.data[0] | 0x20) == 't') {
            if (next > t || text.len == 1)
                return false;
            next = t + 1;
            text.data++;
            text.len--;
        }
        if (!take_count(&text, &count) || text.len == 0)
            return false;
        size_t end = next > t ? BASE_COUNT(iso) : t;
        while (next < end && (uint8_t)letters[next] != (text.data[0] & 0xDF))
            next++;
        if (next == end || !add_unit(sum, &iso[next++], count))
            return false;
        text.data++;
        text.len--;
    }
    return true;
}

/* ISO 8601's other form, after the P: yyyy-mm-ddThh:mm:ss */
static bool parse_iso_alternative(struct base_slice text, struct sum *sum)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    uint64_t v[6] = {0};
    size_t field = 0;
    if (text.len != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (shape[i] != 'd') {
            if ((text.data[i] & (shape[i] == 'T' ? 0xDF : 0xFF)) != (uint8_t)shape[i])
                return false;
            field++;
        } else if (!basei_is_digit(text.data[i])) {
            return false;
        } else {
            v[field] = v[field] * 10 + (uint64_t)(text.data[i] - '0');
        }
    }
    sum->months = v[0] * 12 + v[1];
    sum->days = v[2];
    sum->ns = (v[3] * 3600 + v[4] * 60 + v[5]) * 1000000000;
    return true;
}

bool basei_duration_parse(struct base_slice text, struct basei_duration *out)
{
    struct sum sum = {0};
    bool ok;
    *out = (struct basei_duration){0};
    text = basei_trim(text);
    bool negative = text.len && text.data[0] == '-';
    if (negative) {
        text.data++;
        text.len--;
    }
    if (text.len == 0)
        return false;
    if ((text.data[0] | 0x20) == 'p') {
        struct base_slice rest = base_slice(text.data + 1, text.len - 1);
        ok = memchr(rest.data, '-', rest.len) ? parse_iso_alternative(rest, &sum)
                                              : parse_iso(rest, &sum);
    } else {
        ok = parse_units(text, &sum);
    }
    /* The least of each is valid bytes and prints, so it reads back; Cassandra refuses it as
     * text. */
    if (!ok || sum.months > (uint64_t)INT32_MAX + negative ||
        sum.days > (uint64_t)INT32_MAX + negative || sum.ns > (uint64_t)INT64_MAX + negative)
        return false;
    if (negative)
        sum = (struct sum){0 - sum.months, 0 - sum.days, 0 - sum.ns};
    *out = (struct basei_duration){(int32_t)sum.months, (int32_t)sum.days, (int64_t)sum.ns};
    return true;
}

int basei_duration_print(const struct basei_duration *duration, struct base_buf *out)
{
    bool negative = duration->months < 0 || duration->days < 0 || duration->ns < 0;
    uint64_t left[3] = {
        (uint64_t)(duration->months < 0 ? -(int64_t)duration->months : duration->months),
        (uint64_t)(duration->days < 0 ? -(int64_t)duration->days : duration->days),
        duration->ns < 0 ? 0 - (uint64_t)duration->ns : (uint64_t)duration->ns};
    size_t start = out->len;
    int rc = negative ? base_buf_put_u8(out, '-') : BASE_OK;
    if (rc == BASE_OK && !left[0] && !left[1] && !left[2])
        rc = base_buf_printf(out, "0s");
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(units); i++) {
        uint64_t *from = &left[units[i].what], count = *from / units[i].each;
        if (units[i].what == IN_DAYS && units[i].each != 1)
            continue; /* weeks are printed as days */
        *from %= units[i].each;
        if (count)
            rc = base_buf_printf(out, "%llu%s", (unsigned long long)count, units[i].name);
    }
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}
