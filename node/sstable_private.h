/* Between sstable_tool.c (which files, which command) and sstable_dump.c (an SSTable's rows as
 * JSON). */
#ifndef NODE_SSTABLE_PRIVATE_H
#define NODE_SSTABLE_PRIVATE_H

#include "node/node_private.h"

struct nodei_printer {
    int (*print)(void *ctx, struct base_slice text);
    void *ctx;
};

/* One JSON object a line: partitions with a deletion, static rows, rows, range tombstone bounds.
 * With `table` NULL keys, paths and values are hexadecimal. */
BASE_MUST int nodei_sstable_dump(struct lsm_sstable *sst, const struct base_table *table,
                                 const struct nodei_printer *printer, struct base_err *err);

#endif
