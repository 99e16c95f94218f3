/* Clustering restrictions → slices: sorted, disjoint ranges of encoded clustering keys
 * (base/key.h).
 *
 * EQ and IN make prefixes, one for each combination; the restriction after them may be a slice,
 * which ends the prefixes. A bound of several columns is one range when they all have one
 * direction; when they are mixed, it is a union of ranges, one for each column: (a, b) > (1, 2) is
 * a > 1, or a = 1 and b > 2. Both bounds: the ranges that both have in common.
 *
 * Invariants:
 * 1. Ranges of different prefixes never overlap; those of one prefix neither.
 * 2. The result is ascending, each range once, whatever the order and repetition of IN's values. */
#include "base/key.h"
#include "cql/restrictions_private.h"

#define RANGES_MAX 65535

struct slicing {
    const struct cqli_restrictions *r;
    struct cqli_eval *eval;
    struct base_range *ranges;
    size_t count, cap;
};

static const struct base_column *clustering_column(const struct slicing *s, uint32_t i)
{
    return &s->r->table->columns[i];
}

/* prefix, then values of columns first …, then (not 0) a position. */
static int make_key(struct slicing *s, struct base_slice prefix, uint32_t first, uint32_t count,
                    const struct base_slice *values, uint8_t position, struct base_slice *out)
{
    struct base_buf key;
    base_buf_init_in_arena(&key, s->eval->arena, BASE_CKEY_LEN_MAX + 1);
    size_t len = prefix.len + 1;
    for (uint32_t i = 0; i < count; i++)
        len += values[i].len + 8;
    int rc = base_buf_reserve(&key, len < BASE_CKEY_LEN_MAX ? len : BASE_CKEY_LEN_MAX);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&key, prefix);
    for (uint32_t i = 0; rc == BASE_OK && i < count; i++) {
        const struct base_column *column = clustering_column(s, first + i);
        bool exact = true;
        rc = base_ckey_put(column->type, column->descending, values[i], &key, &exact, s->eval->err);
    }
    if (rc == BASE_OK && position)
        rc = base_ckey_end(position, &key);
    if (rc == BASE_E_LIMIT)
        return base_err_set(s->eval->err, BASE_E_INVALID,
                            "The sum of all clustering columns is too long: more than %u bytes",
                            (unsigned)BASE_CKEY_LEN_MAX);
    if (rc == BASE_E_NOMEM)
        return cqli_places_no_memory(s->eval);
    *out = base_buf_view(&key);
    return rc;
}

static int too_many(const struct slicing *s)
{
    return base_err_set(
        s->eval->err, BASE_E_INVALID,
        "The IN restrictions on the clustering columns have too many combinations: more than %u",
        (unsigned)RANGES_MAX);
}

static int add_range(struct slicing *s, struct base_slice lo, struct base_slice hi)
{
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1;
        struct base_range *more = base_arena_alloc(s->eval->arena, cap * sizeof *more);
        if (!more)
            return cqli_places_no_memory(s->eval);
        if (s->count)
            memcpy(more, s->ranges, s->count * sizeof *more);
        s->ranges = more;
        s->cap = cap;
    }
    if (s->count == RANGES_MAX)
        return too_many(s);
    s->ranges[s->count++] = (struct base_range){lo, hi};
    return BASE_OK;
}

/* Bounds. */

struct bound {
    uint32_t first, count;
    const struct base_slice *values;
    bool start, inclusive; /* start: what is greater than the values */
};

/* The rows with this prefix whose column (the last of `count` from first) is on the bound's
 * side. */
static int bound_range(struct slicing *s, struct base_slice prefix, const struct bound *b,
                       uint32_t count, bool inclusive, struct base_range *out)
{
    bool low = b->start != clustering_column(s, b->first + count - 1)->descending;
    bool before = low == inclusive;
    int rc = make_key(s, prefix, b->first, count, b->values,
                      before ? BASE_KEY_BEFORE : BASE_KEY_AFTER, low ? &out->lo : &out->hi);
    struct base_slice *other = low ? &out->hi : &out->lo;
    *other = (struct base_slice){0}; /* to the partition's end, or … */
    if (rc == BASE_OK && (prefix.len || count > 1))
        rc = make_key(s, prefix, b->first, count - 1, b->values,
                      low ? BASE_KEY_AFTER : BASE_KEY_BEFORE, other);
    return rc;
}

static bool one_direction(const struct slicing *s, const struct bound *b)
{
    for (uint32_t i = 1; i < b->count; i++) {
        if (clustering_column(s, b->first + i)->descending !=
            clustering_column(s, b->first)->descending)
            return false;
    }
    return true;
}

/* out: b->count ranges at most */
static int bound_ranges(struct slicing *s, struct base_slice prefix, const struct bound *b,
                        struct base_range *out, uint32_t *count)
{
    int rc = BASE_OK;
    *count = 0;
    if (b->count == 0) {
        *count = 1;
        out[0] = (struct base_range){{0}, {0}};
        if (prefix.len)
            rc = make_key(s, prefix, 0, 0, NULL, BASE_KEY_BEFORE, &out[0].lo);
        if (rc == BASE_OK && prefix.len)
            rc = make_key(s, prefix, 0, 0, NULL, BASE_KEY_AFTER, &out[0].hi);
        return rc;
    }
    if (one_direction(s, b)) {
        *count = 1;
        rc = bound_range(s, prefix, b, b->count, b->inclusive, &out[0]);
        struct base_slice *other =
            b->start != clustering_column(s, b->first)->descending ? &out[0].hi : &out[0].lo;
        *other = (struct base_slice){0};
        if (rc == BASE_OK && prefix.len)
            rc = make_key(s, prefix, 0, 0, NULL,
                          other == &out[0].hi ? BASE_KEY_AFTER : BASE_KEY_BEFORE, other);
        return rc;
    }
    for (uint32_t i = 1; rc == BASE_OK && i <= b->count; i++)
        rc = bound_range(s, prefix, b, i, i == b->count && b->inclusive, &out[(*count)++]);
    return rc;
}

static int slice_of_prefix(struct slicing *s, struct base_slice prefix, const struct bound *lo,
                           const struct bound *hi)
{
    uint32_t lo_count, hi_count;
    struct base_range *a =
                          base_arena_alloc(s->eval->arena, (lo->count + hi->count + 2) * sizeof *a),
                      *b = a + lo->count + 1;
    if (!a)
        return cqli_places_no_memory(s->eval);
    int rc = bound_ranges(s, prefix, lo, a, &lo_count);
    if (rc == BASE_OK)
        rc = bound_ranges(s, prefix, hi, b, &hi_count);
    if (rc != BASE_OK)
        return rc;
    for (uint32_t i = 0; i < lo_count; i++) {
        for (uint32_t j = 0; j < hi_count; j++) {
            struct base_slice from = base_slice_compare(a[i].lo, b[j].lo) >= 0 ? a[i].lo : b[j].lo;
            bool a_ends =
                b[j].hi.len == 0 || (a[i].hi.len && base_slice_compare(a[i].hi, b[j].hi) <= 0);
            struct base_slice to = a_ends ? a[i].hi : b[j].hi;
            if (from.len && to.len && base_slice_compare(from, to) >= 0)
                continue; /* both are between rows, so equal ones hold none */
            if ((rc = add_range(s, from, to)) != BASE_OK)
                return rc;
        }
    }
    return BASE_OK;
}

static int bound_values(struct slicing *s, const struct cqli_restriction *c,
                        const struct cqli_operand *operand, bool start, bool inclusive,
                        struct bound *out)
{
    struct base_slice *values =
        base_arena_alloc(s->eval->arena, (operand->count + 1) * sizeof *values);
    *out = (struct bound){.first = c->first,
                          .count = operand->count,
                          .values = values,
                          .start = start,
                          .inclusive = inclusive};
    if (!values)
        return cqli_places_no_memory(s->eval);
    return operand->count ? cqli_operand_values(s->r, c->first, operand, s->eval, values) : BASE_OK;
}

/* Prefixes. */

struct prefixes {
    struct base_slice *items; /* without a position */
    size_t count;
};

static int extend(struct slicing *s, struct prefixes *prefixes, const struct cqli_restriction *c)
{
    struct cqli_alternatives alternatives;
    int rc = cqli_alternatives(s->r, c, s->eval, &alternatives);
    if (rc != BASE_OK)
        return rc;
    if (alternatives.count && prefixes->count > RANGES_MAX / alternatives.count)
        return too_many(s);
    size_t n = 0;
    struct base_slice *items = base_arena_alloc(
        s->eval->arena, (prefixes->count * alternatives.count + 1) * sizeof *items);
    if (!items)
        return cqli_places_no_memory(s->eval);
    for (size_t i = 0; i < prefixes->count; i++) {
        for (size_t j = 0; j < alternatives.count; j++) {
            rc = make_key(s, prefixes->items[i], c->first, c->count,
                          alternatives.values + j * alternatives.width, 0, &items[n++]);
            if (rc != BASE_OK)
                return rc;
        }
    }
    *prefixes = (struct prefixes){items, n};
    return BASE_OK;
}

/* All rows of each prefix; a whole key is one row. */
static int ranges_of_prefixes(struct slicing *s, const struct prefixes *prefixes, bool whole)
{
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < prefixes->count; i++) {
        struct base_slice lo, hi;
        rc =
            make_key(s, prefixes->items[i], 0, 0, NULL, whole ? BASE_KEY_AT : BASE_KEY_BEFORE, &lo);
        hi = lo;
        if (rc == BASE_OK && !whole)
            rc = make_key(s, prefixes->items[i], 0, 0, NULL, BASE_KEY_AFTER, &hi);
        if (rc == BASE_OK)
            rc = add_range(s, lo, hi);
    }
    return rc;
}

static int compare_ranges(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_range *)a)->lo,
                              ((const struct base_range *)b)->lo);
}

static void finish(struct slicing *s, struct cqli_places *out)
{
    size_t n = 0;
    if (s->count > 1)
        qsort(s->ranges, s->count, sizeof *s->ranges, compare_ranges);
    for (size_t i = 0; i < s->count; i++) {
        if (n == 0 || compare_ranges(&s->ranges[n - 1], &s->ranges[i]) != 0)
            s->ranges[n++] = s->ranges[i];
    }
    out->slices = (struct base_slices){s->ranges, n};
    out->nothing = out->nothing || n == 0;
}

int cqli_restrictions_slices(const struct cqli_restrictions *r, struct cqli_eval *eval,
                             struct cqli_places *out)
{
    struct slicing s = {.r = r, .eval = eval};
    struct base_slice empty = {0};
    struct prefixes prefixes = {&empty, 1};
    uint32_t position = 0, i = 0;
    const struct cqli_restriction *c, *slice = NULL;
    int rc = BASE_OK;
    while (!slice && (c = cqli_clustering_next(r, &i))) {
        if (cqli_clustering_filtered(r, c, position))
            continue;
        if (c->kind == CQLI_RESTRICTION_SLICE)
            slice = c;
        else if ((rc = extend(&s, &prefixes, c)) != BASE_OK)
            return rc;
        else
            position = i - (uint32_t)r->table->partition_key_count;
    }
    bool none = position == 0 && !slice;
    /* Without clustering columns a partition named is one row, and asked for as one
     * (lsm_read_may_wait). */
    if (none && (r->table->clustering_count || (r->use == CQLI_FOR_SELECT && !out->pkeys))) {
        out->slices = base_slices_all;
        out->static_only = r->use != CQLI_FOR_SELECT;
        return BASE_OK;
    }
    if (!slice) {
        rc = ranges_of_prefixes(&s, &prefixes, position == r->table->clustering_count);
    } else {
        struct bound lo, hi;
        rc = bound_values(&s, slice, &slice->lo, true, slice->lo_inclusive, &lo);
        if (rc == BASE_OK)
            rc = bound_values(&s, slice, &slice->hi, false, slice->hi_inclusive, &hi);
        for (size_t n = 0; rc == BASE_OK && n < prefixes.count; n++)
            rc = slice_of_prefix(&s, prefixes.items[n], &lo, &hi);
    }
    if (rc == BASE_OK)
        finish(&s, out);
    return rc;
}
