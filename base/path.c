/* Cell paths (base/path.h): elements as clustering components, fields as numbers. */
#include "base/path.h"

#include "base/key.h"

static const struct base_type *path_type(const struct base_type *type)
{
    BASE_ASSERT(type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP ||
                type->kind == BASE_TYPE_LIST);
    return type->kind == BASE_TYPE_LIST ? base_type_scalar(BASE_TYPE_TIMEUUID) : type->params[0];
}

int base_path_put(const struct base_type *type, struct base_slice element, struct base_buf *out,
                  bool *exact, struct base_err *err)
{
    return base_ckey_put(path_type(type), false, element, out, exact, err);
}

int base_path_put_field(uint16_t field, struct base_buf *out)
{
    uint8_t bytes[2];
    base_put_be16(bytes, field);
    return base_buf_put(out, bytes, sizeof bytes);
}

int base_path_get(const struct base_type *type, const struct base_cell *cell,
                  struct base_buf *scratch, struct base_slice *element, struct base_err *err)
{
    *element = cell->path_original;
    if (element->len)
        return BASE_OK;
    struct base_reader in = base_reader(cell->path);
    size_t start = scratch->len;
    bool empty;
    uint8_t position;
    int rc = base_ckey_get(path_type(type), false, &in, scratch, &empty, &position, err);
    if (rc != BASE_OK)
        return rc;
    if (position != 0 || base_reader_left(&in) != 0) {
        scratch->len = start;
        return base_err_set(err, BASE_E_CORRUPT, "a cell's path of %zu bytes is not one element",
                            cell->path.len);
    }
    *element = base_slice(scratch->data + start, scratch->len - start);
    return BASE_OK;
}

bool base_path_get_field(struct base_slice path, uint16_t *field)
{
    *field = path.len == 2 ? base_get_be16(path.data) : 0;
    return path.len == 2;
}
