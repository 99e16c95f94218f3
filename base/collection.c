/* Multi-cell collections to cells and back.
 *
 * Invariant: a value's elements in their order have ascending paths, for the order encoding orders
 * as base_value_compare does; explode checks it, so that a row's cells stay sorted. */
#include "base/collection.h"

#include "base/base_private.h"

static int failed(const struct base_type *type, int rc, struct base_err *err)
{
    char name[200];
    if (rc == BASE_E_CORRUPT)
        return base_err_set(err, rc, "damaged cell of a %s",
                            basei_type_text(type, name, sizeof name));
    return base_err_set(err, rc, "%s value: %s", basei_kind_name(type->kind), base_err_words(rc));
}

#define UUID_EPOCH_TICKS INT64_C(0x01B21DD213814000) /* 100 ns from 1582-10-15 to 1970 */

struct base_uuid base_list_place(int64_t ticks, const uint8_t node[8])
{
    struct base_uuid id;
    uint64_t since = (uint64_t)ticks + (uint64_t)UUID_EPOCH_TICKS;
    base_put_be32(id.b, (uint32_t)since);
    base_put_be16(id.b + 4, (uint16_t)(since >> 32));
    base_put_be16(id.b + 6, (uint16_t)((since >> 48 & 0x0FFF) | 0x1000));
    memcpy(id.b + 8, node, 8);
    id.b[8] = (uint8_t)((id.b[8] & 0x3F) | 0x80);
    return id;
}

/* Value to cells. */

int base_explode_begin(struct base_explode *it, const struct base_type *type,
                       struct base_slice value, struct base_err *err)
{
    BASE_ASSERT(base_type_is_multicell(type));
    *it = (struct base_explode){.type = type};
    base_buf_init(&it->path, 1 << 20);
    base_buf_init(&it->path_before, 1 << 20);
    return base_elements_begin(&it->elements, type, value) ? BASE_OK
                                                           : failed(type, BASE_E_CORRUPT, err);
}

void base_explode_fini(struct base_explode *it)
{
    base_buf_fini(&it->path);
    base_buf_fini(&it->path_before);
}

/* The path of an element (a set's, a map's key, a list item's timeuuid), checked to come after the
 * one before. */
static int next_path(struct base_explode *it, struct base_slice key, struct base_cell *cell,
                     struct base_err *err)
{
    struct base_buf swap = it->path;
    bool exact = true;
    it->path = it->path_before;
    it->path_before = swap;
    it->path.len = 0;
    int rc = base_path_put(it->type, key, &it->path, &exact, err);
    if (rc != BASE_OK)
        return rc;
    cell->path = base_buf_view(&it->path);
    if (it->index && base_slice_compare(base_buf_view(&it->path_before), cell->path) >= 0)
        return base_err_set(err, BASE_E_INVALID, "the elements of a %s are not sorted, each once",
                            basei_kind_name(it->type->kind));
    if (!exact)
        cell->path_original = key;
    return BASE_OK;
}

static int next_cell(struct base_explode *it, struct base_slice element,
                     const struct base_uuid *list_item, struct base_cell *cell,
                     struct base_err *err)
{
    bool is_null;
    int rc;
    switch (it->type->kind) {
    case BASE_TYPE_SET:
        return next_path(it, element, cell, err);
    case BASE_TYPE_MAP:
        rc = next_path(it, element, cell, err);
        if (rc != BASE_OK)
            return rc;
        return base_elements_next(&it->elements, &cell->value, &is_null) && !is_null
                   ? BASE_OK
                   : failed(it->type, BASE_E_CORRUPT, err);
    case BASE_TYPE_LIST:
        BASE_ASSERT(list_item);
        cell->value = element;
        return next_path(it, base_slice(list_item->b, 16), cell, err);
    default: /* UDT */
        it->path.len = 0;
        rc = base_path_put_field((uint16_t)it->index, &it->path);
        if (rc != BASE_OK)
            return failed(it->type, rc, err);
        cell->path = base_buf_view(&it->path);
        cell->value = element;
        return BASE_OK;
    }
}

int base_explode_next(struct base_explode *it, const struct base_uuid *list_item,
                      struct base_cell *cell, bool *end, struct base_err *err)
{
    struct base_slice element;
    bool is_null;
    *end = false;
    cell->path = cell->path_original = cell->value = (struct base_slice){0};
    for (;; it->index++) {
        if (it->elements.left == 0) {
            *end = true;
            return BASE_OK;
        }
        if (!base_elements_next(&it->elements, &element, &is_null) ||
            (is_null && it->type->kind != BASE_TYPE_UDT))
            return failed(it->type, BASE_E_CORRUPT, err);
        if (!is_null)
            break;
    }
    int rc = next_cell(it, element, list_item, cell, err);
    it->index++;
    return rc;
}

/* Cells to value. */

int base_implode_begin(struct base_implode *im, const struct base_type *type, struct base_buf *out,
                       struct base_err *err)
{
    BASE_ASSERT(base_type_is_multicell(type));
    *im = (struct base_implode){.type = type, .out = out, .start = out->len};
    int rc = type->kind == BASE_TYPE_UDT ? BASE_OK : base_buf_put(out, "\0\0\0\0", 4);
    return rc == BASE_OK ? rc : failed(type, rc, err);
}

static int put_sized(struct base_buf *out, struct base_slice value)
{
    int rc = base_buf_reserve(out, 4 + value.len);
    if (rc == BASE_OK) {
        base_put_be32(out->data + out->len, (uint32_t)value.len);
        out->len += 4;
        rc = base_buf_put_slice(out, value);
    }
    return rc;
}

/* A path's element goes straight to where the value wants it, or is copied there from the cell. */
static int add_key(struct base_implode *im, const struct base_cell *cell, struct base_err *err)
{
    size_t at = im->out->len;
    struct base_slice key;
    int rc = base_buf_put(im->out, "\0\0\0\0", 4);
    if (rc != BASE_OK)
        return failed(im->type, rc, err);
    rc = base_path_get(im->type, cell, im->out, &key, err);
    if (rc == BASE_OK && im->out->len == at + 4 && key.len) { /* borrowed: nothing was appended */
        rc = base_buf_put_slice(im->out, key);
        if (rc != BASE_OK)
            failed(im->type, rc, err);
    }
    if (rc == BASE_OK)
        base_put_be32(im->out->data + at, (uint32_t)(im->out->len - at - 4));
    return rc;
}

/* Null for the fields up to `field`. */
static int add_nulls(struct base_implode *im, uint32_t field)
{
    int rc = BASE_OK;
    for (; rc == BASE_OK && im->count < field; im->count++)
        rc = base_buf_put(im->out, "\xff\xff\xff\xff", 4);
    return rc;
}

int base_implode_add(struct base_implode *im, const struct base_cell *cell, struct base_err *err)
{
    int rc = BASE_OK;
    if (cell->flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION))
        return BASE_OK;
    switch (im->type->kind) {
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
        rc = add_key(im, cell, err);
        if (rc != BASE_OK)
            return rc;
        if (im->type->kind == BASE_TYPE_MAP)
            rc = put_sized(im->out, cell->value);
        break;
    case BASE_TYPE_LIST:
        rc = cell->path.len ? put_sized(im->out, cell->value) : BASE_E_CORRUPT;
        break;
    default: { /* UDT */
        uint16_t field;
        if (!base_path_get_field(cell->path, &field))
            return failed(im->type, BASE_E_CORRUPT, err);
        if (field >= im->type->param_count)
            return BASE_OK; /* a field that a newer schema has: not for us */
        rc = field < im->count ? BASE_E_CORRUPT : add_nulls(im, field);
        if (rc == BASE_OK)
            rc = put_sized(im->out, cell->value);
        break;
    }
    }
    if (rc != BASE_OK)
        return failed(im->type, rc, err);
    im->count++;
    im->any = true;
    return BASE_OK;
}

int base_implode_end(struct base_implode *im, bool *is_null, struct base_err *err)
{
    *is_null = !im->any;
    if (!im->any) {
        im->out->len = im->start;
        return BASE_OK;
    }
    if (im->type->kind != BASE_TYPE_UDT) {
        base_put_be32(im->out->data + im->start, im->count);
        return BASE_OK;
    }
    int rc = add_nulls(im, im->type->param_count);
    return rc == BASE_OK ? rc : failed(im->type, rc, err);
}

/* A column of a row. */

int base_row_column(struct base_slice encoded, uint32_t column, const struct base_type *type,
                    struct base_buf *scratch, struct base_slice *value, bool *is_null,
                    struct base_err *err)
{
    struct base_row row;
    struct base_implode implode;
    struct base_cell cell;
    bool many = base_type_is_multicell(type);
    int n = 0, rc = BASE_OK;
    *value = (struct base_slice){0};
    *is_null = true;
    if (encoded.len == 0)
        return BASE_OK;
    if (!base_row_decode(encoded, &row))
        return base_err_set(err, BASE_E_CORRUPT, "damaged row");
    struct base_cells it = base_cells_begin(&row);
    if (many)
        rc = base_implode_begin(&implode, type, scratch, err);
    while (rc == BASE_OK && (n = base_cells_next(&it, &cell)) > 0 && cell.column <= column) {
        if (cell.column < column || (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)))
            continue;
        if (many) {
            rc = base_implode_add(&implode, &cell, err);
        } else {
            *value = cell.value;
            *is_null = false;
        }
    }
    if (rc == BASE_OK && n < 0)
        rc = base_err_set(err, BASE_E_CORRUPT, "damaged cells");
    if (rc != BASE_OK || !many)
        return rc;
    rc = base_implode_end(&implode, is_null, err);
    if (rc == BASE_OK && !*is_null)
        *value = base_slice(scratch->data + implode.start, scratch->len - implode.start);
    return rc;
}
