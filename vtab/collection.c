/* Non-frozen collections and UDTs: a cell an element in the store, one serialized value to the
 * outside (base/collection.h does both ways).
 *
 * Assignment replaces the whole: what was there is deleted a microsecond before (as Cassandra
 * does), then the elements are written. An empty collection is none at all. */
#include "vtab/vtab_private.h"

#include "base/collection.h"

#define UUID_EPOCH_TICKS INT64_C(0x01B21DD213814000) /* 100 ns from 1582-10-15 to 1970 */

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
            position = list_position(like->ts, i, node);
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
