/* Multi-cell collections (base_type_is_multicell): one cell an element, so that concurrent changes
 * merge. Whole values to cells and back; what a cell's path is says base/path.h.
 *
 * A set's cells have no value; of a UDT, null fields have no cell; a collection without cells is
 * null. Thread-safe; no I/O. */
#ifndef BASE_COLLECTION_H
#define BASE_COLLECTION_H

#include "base/path.h"

/* A value to cells. fini frees its buffers, also after a failed begin. */
struct base_explode {
    const struct base_type *type;
    struct base_elements elements;
    uint32_t index; /* of the next element */
    struct base_buf path, path_before;
};
/* `value`: serialized, valid, its sets and maps sorted (base_value_normalize; what
 * base_value_from_sql and _from_json make is). It must outlive the walk. CORRUPT. */
BASE_MUST int base_explode_begin(struct base_explode *it, const struct base_type *type,
                                 struct base_slice value, struct base_err *err);
/* The next element as path, path_original and value of *cell (all else is left alone). *cell
 * borrows from `it` and the value until the next call. list_item: for a list the item's timeuuid
 * (RFC 4122 bytes), ascending from call to call; NULL otherwise. *end: there was none. INVALID when
 * not sorted, CORRUPT, NOMEM, LIMIT. */
BASE_MUST int base_explode_next(struct base_explode *it, const struct base_uuid *list_item,
                                struct base_cell *cell, bool *end, struct base_err *err);
void base_explode_fini(struct base_explode *it);

/* Where a list's element stands: a time-based UUID that orders by `ticks` (100 ns since 1970; may
 * be negative), and whose last 8 bytes are `node`'s, which tells places of one tick apart. */
struct base_uuid base_list_place(int64_t ticks, const uint8_t node[8]);

/* Cells to a value: feed the live cells of one column in their order. Dead cells and complex
 * deletions are skipped. */
struct base_implode {
    const struct base_type *type;
    struct base_buf *out;
    size_t start;   /* of the value in out */
    uint32_t count; /* elements; fields of a UDT */
    bool any;
};
BASE_MUST int base_implode_begin(struct base_implode *im, const struct base_type *type,
                                 struct base_buf *out, struct base_err *err);
BASE_MUST int base_implode_add(struct base_implode *im, const struct base_cell *cell,
                               struct base_err *err);
/* The value is out->data from im->start on; *is_null: there was no cell, and `out` is as it was. */
BASE_MUST int base_implode_end(struct base_implode *im, bool *is_null, struct base_err *err);

/* A column's value in an encoded row without tombstones: borrowed from it, or, of a multi-cell
 * column, put together in `scratch` (appended). A row of no bytes has none. CORRUPT. */
BASE_MUST int base_row_column(struct base_slice encoded, uint32_t column,
                              const struct base_type *type, struct base_buf *scratch,
                              struct base_slice *value, bool *is_null, struct base_err *err);

#endif
