/* Option maps of keyspaces and tables, and literals as plain values.
 *
 * A map is small (at most 32 options): it is read from the literal, its options are taken out one
 * by one as they are understood, and what is left over is an error. Values keep their text. */
#include "cql/cql_private.h"

int cqli_no_memory(struct cqli_analysis *a)
{
    return base_err_set(a->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

bool cqli_slice_to_i64(struct base_slice text, int64_t *out)
{
    bool negative = text.len && text.data[0] == '-';
    uint64_t value = 0;
    if (text.len == (size_t)negative)
        return false;
    for (size_t i = negative; i < text.len; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (digit > 9 || value > (uint64_t)INT64_MAX / 10 ||
            value * 10 + digit > (uint64_t)INT64_MAX)
            return false;
        value = value * 10 + digit;
    }
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* Not strtod: that one follows our host's locale. Exact for up to 15 digits and exponents up to 22,
 * which is more than a probability or a ratio needs. */
bool cqli_slice_to_double(struct base_slice text, double *out)
{
    size_t i = text.len && (text.data[0] == '-' || text.data[0] == '+'), digits = 0;
    double mantissa = 0, scale = 1;
    int64_t exponent = 0, fraction = 0;
    for (bool point = false; i < text.len && (text.data[i] | 0x20) != 'e'; i++) {
        unsigned digit = text.data[i] - (unsigned)'0';
        if (text.data[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (digit > 9 || ++digits > 64)
            return false;
        mantissa = mantissa * 10 + digit;
        fraction += point;
    }
    if (digits == 0)
        return false;
    if (i < text.len) {
        struct base_slice rest = base_slice(text.data + i + 1, text.len - i - 1);
        if (rest.len && rest.data[0] == '+')
            rest = base_slice(rest.data + 1, rest.len - 1);
        if (!cqli_slice_to_i64(rest, &exponent) || exponent < -300 || exponent > 300)
            return false;
    }
    exponent -= fraction;
    for (int64_t k = exponent < 0 ? -exponent : exponent; k > 0; k--)
        scale *= 10;
    mantissa = exponent < 0 ? mantissa / scale : mantissa * scale;
    *out = text.data[0] == '-' ? -mantissa : mantissa;
    return true;
}

bool cqli_slice_to_bool(struct base_slice text, bool *out)
{
    static const char *const words[2][3] = {{"false", "no", "0"}, {"true", "yes", "1"}};
    for (size_t i = 0; i < 6; i++)
        if (base_slice_equal_nocase(text, base_slice_str(words[i / 3][i % 3]))) {
            *out = i / 3;
            return true;
        }
    return false;
}

int cqli_map_from_term(struct cqli_analysis *a, const char *what, const struct cql_term *term,
                       struct cqli_map *map)
{
    *map = (struct cqli_map){.what = what};
    if (term->kind != CQL_TERM_MAP)
        return base_err_set(a->err, BASE_E_SYNTAX,
                            "Invalid value for property '%s'. It should be a map.", what);
    for (const struct cql_term *key = term->items; key; key = key->next->next) {
        const struct cql_term *value = key->next;
        BASE_ASSERT(value);
        if (key->kind == CQL_TERM_MAP || value->kind == CQL_TERM_MAP)
            return base_err_set(a->err, BASE_E_SYNTAX,
                                "Invalid map value for property %s: it may not hold a map", what);
        if (map->count == BASE_COUNT(map->items))
            return base_err_set(a->err, BASE_E_LIMIT, "property %s: more than %zu options", what,
                                map->count);
        for (size_t i = 0; i < map->count; i++)
            if (base_slice_equal(map->items[i].key, key->text))
                return base_err_set(a->err, BASE_E_SYNTAX,
                                    "property %s: option '%.*s' is given twice", what,
                                    BASE_SLICE_ARG(key->text));
        map->items[map->count++] = (struct base_option){key->text, value->text};
    }
    return BASE_OK;
}

struct base_slice cqli_map_take(struct cqli_map *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (base_slice_equal(map->items[i].key, base_slice_str(key))) {
            struct base_slice value = map->items[i].value;
            map->items[i] = map->items[--map->count];
            return value.data ? value : BASE_SLICE_LIT("");
        }
    return (struct base_slice){0};
}

int cqli_map_put(struct cqli_analysis *a, struct cqli_map *map, const char *key,
                 struct base_slice value)
{
    if (map->count == BASE_COUNT(map->items))
        return base_err_set(a->err, BASE_E_LIMIT, "property %s: more than %zu options", map->what,
                            map->count);
    map->items[map->count++] = (struct base_option){base_slice_str(key), value};
    return BASE_OK;
}

static int compare_options(const void *a, const void *b)
{
    const struct base_option *x = a, *y = b;
    return base_slice_compare(x->key, y->key);
}

int cqli_map_to_options(struct cqli_analysis *a, struct cqli_map *map, struct base_options *out)
{
    struct base_option *items = base_arena_alloc(a->arena, (map->count + 1) * sizeof *items);
    if (!items)
        return cqli_no_memory(a);
    memcpy(items, map->items, map->count * sizeof *items);
    qsort(items, map->count, sizeof *items, compare_options);
    *out = (struct base_options){items, map->count};
    return BASE_OK;
}

int cqli_map_check_number(struct cqli_analysis *a, struct cqli_map *map, const char *key,
                          double min, double max, bool integer)
{
    struct base_slice value = cqli_map_take(map, key);
    double v;
    int64_t whole;
    if (!value.data)
        return BASE_OK;
    if (integer ? !cqli_slice_to_i64(value, &whole) : !cqli_slice_to_double(value, &v))
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Unable to parse value %.*s of %s option %s: not a number",
                            BASE_SLICE_ARG(value), map->what, key);
    if (integer)
        v = (double)whole;
    if (!(v >= min && v <= max))
        return base_err_set(a->err, BASE_E_CONFIG, "%s option %s is out of range (got %.*s)",
                            map->what, key, BASE_SLICE_ARG(value));
    return BASE_OK;
}

int cqli_map_check_bool(struct cqli_analysis *a, struct cqli_map *map, const char *key, bool *out)
{
    struct base_slice value = cqli_map_take(map, key);
    bool v;
    if (!value.data)
        return BASE_OK;
    if (!cqli_slice_to_bool(value, &v))
        return base_err_set(a->err, BASE_E_CONFIG,
                            "%s option %s must be either 'true' or 'false' (got %.*s)", map->what,
                            key, BASE_SLICE_ARG(value));
    if (out)
        *out = v;
    return BASE_OK;
}

int cqli_map_check_rest(struct cqli_analysis *a, const struct cqli_map *map, const char *of)
{
    return map->count == 0 ? BASE_OK
                           : base_err_set(a->err, BASE_E_CONFIG,
                                          "Properties specified [%.*s] are not understood by %s",
                                          BASE_SLICE_ARG(map->items[0].key), of);
}

struct base_slice cqli_short_class(struct base_slice name)
{
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '.')
            return base_slice(name.data + i, name.len - i);
    return name;
}
