/* Multi-cell collections (base_type_is_multicell): one cell an element, so that concurrent changes
 * merge. A cell's path says which element it is, in bytes that memcmp orders as Cassandra orders the
 * elements:
 *
 *   set, map   01 and base_order_encode of the element or key, or 00 for the empty value; where
 *              decoding does not give its very bytes back (decimal 1.00), the cell carries them as
 *              path_original
 *   list       the item's timeuuid, order-encoded: 16 bytes, in the order of time
 *   UDT        the field's index, 2 bytes big-endian
 *
 * A set's cells have no value; of a UDT, null fields have no cell; a collection without cells is null.
 * Thread-safe; no I/O. */
#ifndef BASE_COLLECTION_H
#define BASE_COLLECTION_H

#include "base/row.h"
#include "base/type.h"

/* A value to cells. Zero it, set nothing by hand; fini frees its buffer. */
struct base_explode {
    const struct base_type *type;
    struct base_elements elements;
    uint32_t index; /* of the next element */
    struct base_buf path, path_before;
};
/* `value`: serialized, valid, its sets and maps sorted (base_value_normalize; what
 * base_value_from_sql and _from_json make is). It must outlive the walk. CORRUPT. */
BASE_MUST int base_explode_begin(struct base_explode *it, const struct base_type *type, struct base_slice value,
                                 struct base_err *err);
/* The next element as path, path_original and value of *cell (all else is left alone). *cell borrows from
 * `it` and the value until the next call. list_item: for a list the item's timeuuid (RFC 4122
 * bytes), ascending from call to call; NULL otherwise. *end: there was none. INVALID when not
 * sorted, CORRUPT, NOMEM, LIMIT. */
BASE_MUST int base_explode_next(struct base_explode *it, const struct base_uuid *list_item, struct base_cell *cell,
                                bool *end, struct base_err *err);
void base_explode_fini(struct base_explode *it);

/* Cells to a value: feed the live cells of one column in their order. Dead cells and complex deletions
 * are skipped. */
struct base_implode {
    const struct base_type *type;
    struct base_buf *out;
    size_t start;   /* of the value in out */
    uint32_t count; /* elements; fields of a UDT */
    bool any;
};
BASE_MUST int base_implode_begin(struct base_implode *im, const struct base_type *type, struct base_buf *out,
                                 struct base_err *err);
BASE_MUST int base_implode_add(struct base_implode *im, const struct base_cell *cell, struct base_err *err);
/* The value is out->data from im->start on; *is_null: there was no cell, and `out` is as it was. */
BASE_MUST int base_implode_end(struct base_implode *im, bool *is_null, struct base_err *err);

/* One path (appended): of a set's element or a map's key (serialized) … */
BASE_MUST int base_path_of_key(const struct base_type *type, struct base_slice key, struct base_buf *out, bool *exact,
                               struct base_err *err);
/* … of a list's item, of a UDT's field. */
void base_path_of_item(const struct base_uuid *timeuuid, uint8_t path[16]);
void base_path_of_field(uint32_t field, uint8_t path[2]);
/* The way back: the element's or key's serialized bytes (appended), the item's timeuuid, the field. */
BASE_MUST int base_path_to_key(const struct base_type *type, const struct base_cell *cell, struct base_buf *out,
                               struct base_err *err);
BASE_MUST int base_path_to_item(const struct base_cell *cell, struct base_uuid *timeuuid, struct base_err *err);
BASE_MUST int base_path_to_field(const struct base_type *type, const struct base_cell *cell, uint32_t *field,
                                 struct base_err *err);

#endif
