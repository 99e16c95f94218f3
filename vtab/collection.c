/* Non-frozen collections and UDTs: a cell an element in the store, one serialized value to the outside.
 *
 * Assignment replaces the whole: what was there is deleted a microsecond before (as Cassandra does), then the
 * elements are written. An empty collection is none at all. */
#include "vtab/vtab_private.h"

#include <sys/random.h>

#include "base/path.h"

#define UUID_EPOCH_TICKS INT64_C(0x01B21DD213814000) /* 100 ns from 1582-10-15 to 1970 */

static int put_be32(struct base_buf *out, uint32_t n)
{
    uint8_t bytes[4];
    base_put_be32(bytes, n);
    return base_buf_put(out, bytes, sizeof bytes);
}

static int put_element(struct base_buf *out, struct base_slice element)
{
    int rc = put_be32(out, (uint32_t)element.len);
    return rc == BASE_OK ? base_buf_put_slice(out, element) : rc;
}

/* --- reading: cells to a value ------------------------------------------------------------------------------ */

/* Fields in their order, null where there is no cell; trailing nulls too, as the type has them. */
static int assemble_udt(const struct base_type *type, const struct base_cell *cells, size_t n, struct base_buf *out,
                        struct base_err *err)
{
    int rc = BASE_OK;
    size_t at = 0;
    for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++) {
        uint16_t field = UINT16_MAX;
        if (at < n && !base_path_get_field(cells[at].path, &field))
            return base_err_set(err, BASE_E_CORRUPT, "damaged field path");
        if (at < n && field == i)
            rc = put_element(out, cells[at++].value);
        else
            rc = put_be32(out, UINT32_MAX);
    }
    return rc;
}

int vtabi_collection_assemble(const struct base_type *type, const struct base_cell *cells, size_t n,
                              struct base_buf *scratch, struct base_buf *out, struct base_err *err)
{
    if (type->kind == BASE_TYPE_UDT)
        return assemble_udt(type, cells, n, out, err);
    int rc = put_be32(out, (uint32_t)n);
    for (size_t i = 0; rc == BASE_OK && i < n; i++) {
        struct base_slice key;
        if (type->kind != BASE_TYPE_LIST) {
            base_buf_reset(scratch);
            rc = base_path_get(type, &cells[i], scratch, &key, err);
            if (rc == BASE_OK)
                rc = put_element(out, key);
        }
        if (rc == BASE_OK && type->kind != BASE_TYPE_SET)
            rc = put_element(out, cells[i].value);
    }
    return rc;
}

/* --- writing: a value to cells --------------------------------------------------------------------------------- */

/* Where a list's element stands: a time-based UUID that grows with its position. */
static struct base_uuid list_position(int64_t ts, uint32_t i, const uint8_t node[8])
{
    struct base_uuid id;
    uint64_t ticks = (uint64_t)ts * 10 + (uint64_t)UUID_EPOCH_TICKS + i;
    base_put_be32(id.b, (uint32_t)ticks);
    base_put_be16(id.b + 4, (uint16_t)(ticks >> 32));
    base_put_be16(id.b + 6, (uint16_t)((ticks >> 48 & 0x0FFF) | 0x1000));
    memcpy(id.b + 8, node, 8);
    id.b[8] = (uint8_t)((id.b[8] & 0x3F) | 0x80);
    return id;
}

static int put_cell(struct base_row_builder *row, const struct base_type *type, const struct base_cell *like,
                    struct base_slice key, struct base_slice value, struct base_buf *path, struct base_err *err)
{
    struct base_cell cell = *like;
    bool exact = true;
    base_buf_reset(path);
    int rc = base_path_put(type, key, path, &exact, err);
    if (rc != BASE_OK)
        return rc;
    cell.path = base_buf_view(path);
    if (!exact)
        cell.path_original = key;
    cell.value = value;
    return base_row_put_cell(row, &cell);
}

static int put_udt(struct base_row_builder *row, const struct base_type *type, struct base_slice value,
                   const struct base_cell *like, struct base_buf *path, struct base_err *err)
{
    struct base_elements it;
    int rc = base_elements_begin(&it, type, value) ? BASE_OK : base_err_set(err, BASE_E_CORRUPT, "damaged value");
    for (uint16_t field = 0; rc == BASE_OK && it.left; field++) {
        struct base_cell cell = *like;
        bool is_null;
        if (!base_elements_next(&it, &cell.value, &is_null))
            return base_err_set(err, BASE_E_CORRUPT, "damaged value");
        if (is_null)
            continue;
        base_buf_reset(path);
        rc = base_path_put_field(field, path);
        cell.path = base_buf_view(path);
        if (rc == BASE_OK)
            rc = base_row_put_cell(row, &cell);
    }
    return rc;
}

static int put_elements(struct base_row_builder *row, const struct base_type *type, struct base_slice value,
                        const struct base_cell *like, struct base_buf *path, struct base_err *err)
{
    struct base_elements it;
    uint8_t node[8];
    bool key_null = false, value_null = false;
    if (!base_elements_begin(&it, type, value))
        return base_err_set(err, BASE_E_CORRUPT, "damaged value");
    if (type->kind == BASE_TYPE_LIST && getrandom(node, sizeof node, 0) != (ssize_t)sizeof node)
        return base_err_set(err, BASE_E_INTERNAL, "no random bytes from the system");
    for (uint32_t i = 0; it.left; i++) {
        struct base_slice key = {0}, element = {0};
        struct base_uuid position;
        bool whole = base_elements_next(&it, &key, &key_null);
        if (whole && type->kind == BASE_TYPE_MAP)
            whole = base_elements_next(&it, &element, &value_null);
        if (!whole || key_null || value_null)
            return base_err_set(err, BASE_E_INVALID, "null is not allowed inside a collection");
        if (type->kind == BASE_TYPE_LIST) {
            element = key;
            position = list_position(like->ts, i, node);
            key = base_slice(position.b, sizeof position.b);
        }
        int rc = put_cell(row, type, like, key, element, path, err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int vtabi_collection_put(struct base_row_builder *row, const struct base_type *type, struct base_slice value,
                         const struct base_cell *like, struct base_buf *path, struct base_err *err)
{
    struct base_cell deletion = {.column = like->column, .ts = like->ts - 1, .flags = BASE_CELL_COMPLEX_DELETION,
                                 .local_s = like->flags & BASE_CELL_EXPIRING ? like->local_s - like->ttl
                                                                             : like->local_s};
    struct base_cell cell = *like;
    cell.local_s = like->flags & BASE_CELL_EXPIRING ? like->local_s : 0;
    int rc = base_row_put_cell(row, &deletion);
    if (rc != BASE_OK)
        return rc;
    return type->kind == BASE_TYPE_UDT ? put_udt(row, type, value, &cell, path, err)
                                       : put_elements(row, type, value, &cell, path, err);
}
