/* Non-frozen collections and UDTs: a cell an element in the store, one serialized value to the
 * outside (base/collection.h does both ways).
 *
 * Assignment replaces the whole: what was there is deleted a microsecond before (as Cassandra
 * does), then the elements are written. An empty collection is none at all. */
#include "vtab/vtab_private.h"

#include "base/collection.h"

static int put_elements(struct base_row_builder *row, struct base_explode *it,
                        const struct base_cell *like, struct base_err *err)
{
    bool is_list = it->type->kind == BASE_TYPE_LIST, end = false;
    uint8_t node[8];
    if (is_list)
        node_random(node, sizeof node);
    for (uint32_t i = 0;; i++) {
        struct base_cell cell = *like;
        struct base_uuid position;
        if (is_list)
            position = base_list_place(like->ts * 10 + i, node);
        int rc = base_explode_next(it, is_list ? &position : NULL, &cell, &end, err);
        if (rc != BASE_OK || end)
            return rc;
        rc = base_row_put_cell(row, &cell);
        if (rc != BASE_OK)
            return rc;
    }
}

int vtabi_collection_put(struct base_row_builder *row, const struct base_type *type,
                         struct base_slice value, const struct base_cell *like,
                         struct base_err *err)
{
    bool expires = (like->flags & BASE_CELL_EXPIRING) != 0;
    struct base_cell deletion = {.column = like->column,
                                 .ts = like->ts - 1,
                                 .flags = BASE_CELL_COMPLEX_DELETION,
                                 .local_s = expires ? like->local_s - like->ttl : like->local_s};
    struct base_cell cell = *like;
    struct base_explode it = {0};
    if (!expires)
        cell.local_s = 0;
    int rc = base_row_put_cell(row, &deletion);
    if (rc == BASE_OK)
        rc = base_explode_begin(&it, type, value, err);
    if (rc == BASE_OK)
        rc = put_elements(row, &it, &cell, err);
    base_explode_fini(&it);
    return rc;
}
