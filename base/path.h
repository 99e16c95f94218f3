/* Cell paths: which element of a non-frozen collection, or field of a non-frozen UDT, a cell is
 * (base/row.h). They order as Cassandra orders the elements, and are never empty:
 *
 *   set   the element          as one ascending clustering component (base_ckey_put)
 *   map   the key              the same
 *   list  a timeuuid           the same; it orders the elements, the cell's value is the element
 *   UDT   the field's number   2 bytes, big-endian
 *
 * A set's cells have the empty value. Where the path does not decode to the element's own bytes
 * (decimal 1.00) the cell carries them as path_original. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/row.h"
#include "base/type.h"

/* Append the path of an element (set), key (map) or timeuuid (list) of `type`. *exact false (else
 * it is left alone; may be NULL): put `element` into the cell's path_original. INVALID, LIMIT,
 * NOMEM. */
BASE_MUST int base_path_put(const struct base_type *type, struct base_slice element,
                            struct base_buf *out, bool *exact, struct base_err *err);
BASE_MUST int base_path_put_field(uint16_t field, struct base_buf *out);
/* The element, key or timeuuid that a cell's path stands for: borrowed from the cell, or decoded
 * into `scratch` (appended). CORRUPT. */
BASE_MUST int base_path_get(const struct base_type *type, const struct base_cell *cell,
                            struct base_buf *scratch, struct base_slice *element,
                            struct base_err *err);
/* The field's number; false when the path is damaged. */
BASE_MUST bool base_path_get_field(struct base_slice path, uint16_t *field);

#endif
