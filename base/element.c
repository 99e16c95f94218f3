/* Building serialized collections: an element's length in front of it, and sets and maps put into
 * their order. */
#include "base/base_private.h"

int basei_element_begin(const struct base_type *parent, struct base_buf *out)
{
    return parent->kind == BASE_TYPE_VECTOR ? BASE_OK : base_buf_put(out, "\0\0\0\0", 4);
}

int basei_element_end(const struct base_type *parent, const struct base_type *type,
                      struct base_buf *out, size_t at)
{
    if (parent->kind != BASE_TYPE_VECTOR) {
        BASE_ASSERT(out->len >= at + 4);
        base_put_be32(out->data + at, (uint32_t)(out->len - at - 4));
        return BASE_OK;
    }
    size_t fixed = basei_vector_element_size(type), size = out->len - at;
    if (fixed)
        return size == fixed ? BASE_OK : BASE_E_INVALID; /* the empty value has no place there */
    uint8_t bytes[9];
    struct base_buf len = {.data = bytes, .cap = sizeof bytes, .len_max = sizeof bytes};
    int rc = basei_uvint_put(&len, size);
    BASE_ASSERT(rc == BASE_OK);
    rc = base_buf_reserve(out, len.len);
    if (rc != BASE_OK)
        return rc;
    memmove(out->data + at + len.len, out->data + at, size);
    memcpy(out->data + at, bytes, len.len);
    out->len += len.len;
    return BASE_OK;
}

int base_element_put(const struct base_type *parent, const struct base_type *type,
                     struct base_slice element, bool is_null, struct base_buf *out)
{
    size_t at = out->len;
    if (is_null)
        return parent->kind == BASE_TYPE_TUPLE || parent->kind == BASE_TYPE_UDT
                   ? base_buf_put(out, "\xff\xff\xff\xff", 4)
                   : BASE_E_INVALID;
    int rc = basei_element_begin(parent, out);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out, element);
    if (rc == BASE_OK)
        rc = basei_element_end(parent, type, out, at);
    if (rc != BASE_OK)
        out->len = at;
    return rc;
}

/* Sorting. */

struct entry {
    struct base_slice key;
    struct base_slice whole; /* lengths, key and, of a map, value */
    uint32_t index;
};

static int compare_entries(const void *a, const void *b, void *ctx)
{
    const struct entry *x = a, *y = b;
    int c = base_value_compare(ctx, x->key, y->key);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Take the serialized set or map apart. *sorted: it is as it should be. */
static int take_apart(const struct base_type *type, struct base_slice value, struct entry *entries,
                      uint32_t count, bool *sorted)
{
    struct base_elements it;
    struct base_slice ignored;
    bool is_null;
    *sorted = true;
    if (!base_elements_begin(&it, type, value))
        return BASE_E_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *from = it.reader.p;
        if (!base_elements_next(&it, &entries[i].key, &is_null) || is_null)
            return BASE_E_CORRUPT;
        if (type->kind == BASE_TYPE_MAP &&
            (!base_elements_next(&it, &ignored, &is_null) || is_null))
            return BASE_E_CORRUPT;
        entries[i].whole = base_slice(from, (size_t)(it.reader.p - from));
        entries[i].index = i;
        if (i && base_value_compare(type->params[0], entries[i - 1].key, entries[i].key) >= 0)
            *sorted = false;
    }
    return it.left || base_reader_left(&it.reader) ? BASE_E_CORRUPT : BASE_OK;
}

int basei_collection_sort(const struct base_type *type, struct base_buf *out, size_t start)
{
    BASE_ASSERT(type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP);
    if (out->len - start < 4)
        return BASE_E_CORRUPT;
    uint32_t count = base_get_be32(out->data + start), kept = 0;
    if (count < 2)
        return BASE_OK;
    if (count > (out->len - start) / 4)
        return BASE_E_CORRUPT;
    uint8_t *copy = NULL;
    bool sorted;
    struct entry *entries = malloc(count * sizeof *entries);
    if (!entries)
        return BASE_E_NOMEM;
    int rc =
        take_apart(type, base_slice(out->data + start, out->len - start), entries, count, &sorted);
    if (rc != BASE_OK || sorted)
        goto out;
    qsort_r(entries, count, sizeof *entries, compare_entries, (void *)(uintptr_t)type->params[0]);
    if (!(copy = malloc(out->len - start))) {
        rc = BASE_E_NOMEM;
        goto out;
    }
    uint8_t *p = copy + 4;
    for (uint32_t i = 0; i < count; i++) {
        /* Of equal elements a set keeps the first, a map the last. */
        const struct entry *before = i ? &entries[i - 1] : NULL,
                           *after = i + 1 < count ? &entries[i + 1] : NULL;
        const struct entry *other = type->kind == BASE_TYPE_SET ? before : after;
        if (other && base_value_compare(type->params[0], other->key, entries[i].key) == 0)
            continue;
        memcpy(p, entries[i].whole.data, entries[i].whole.len);
        p += entries[i].whole.len;
        kept++;
    }
    base_put_be32(copy, kept);
    memcpy(out->data + start, copy, (size_t)(p - copy));
    out->len = start + (size_t)(p - copy);
out:
    free(copy);
    free(entries);
    return rc;
}

/* Normalizing. */

static int normalize(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    struct base_elements it;
    const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    const bool counted = !fields && type->kind != BASE_TYPE_VECTOR;
    size_t start = out->len;
    struct basei_duration duration;
    if (type->kind == BASE_TYPE_DURATION) /* its numbers may be longer than they need to be */
        return basei_duration_decode(value, &duration) ? basei_duration_encode(&duration, out)
                                                       : BASE_E_CORRUPT;
    if (basei_is_scalar(type))
        return base_buf_put_slice(out, value);
    if (!base_elements_begin(&it, type, value))
        return BASE_E_CORRUPT;
    int rc = counted ? base_buf_put(out, value.data, 4) : BASE_OK;
    for (uint32_t i = 0; rc == BASE_OK && it.left; i++) {
        struct base_slice element;
        bool is_null;
        const struct base_type *inner = type->params[fields                        ? i
                                                     : type->kind == BASE_TYPE_MAP ? i & 1
                                                                                   : 0];
        size_t at = out->len;
        if (!base_elements_next(&it, &element, &is_null) || (is_null && !fields))
            return BASE_E_CORRUPT;
        if (is_null) {
            rc = base_buf_put(out, "\xff\xff\xff\xff", 4);
            continue;
        }
        rc = basei_element_begin(type, out);
        if (rc == BASE_OK)
            rc = normalize(inner, element, out);
        if (rc == BASE_OK)
            rc = basei_element_end(type, inner, out, at);
    }
    if (rc == BASE_OK && (type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP))
        rc = basei_collection_sort(type, out, start);
    return rc;
}

int base_value_normalize(const struct base_type *type, struct base_slice value,
                         struct base_buf *out, struct base_err *err)
{
    size_t start = out->len;
    int rc = base_value_validate(type, value, err);
    if (rc != BASE_OK)
        return rc;
    rc = normalize(type, value, out);
    if (rc == BASE_OK)
        return rc;
    out->len = start;
    return base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind), base_err_words(rc));
}
