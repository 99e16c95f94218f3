/* A mutation: all changes of one partition of one table, visible whole or not at all. One encoding
 * for the commit log, batches, hints and messages (docs/formats/mutation.md).
 *
 * mutation := table id (16 bytes)
 *             pkey: varint length, bytes             (base/key.h; the token is inside)
 *             flags u8
 *             [partition deletion: zigzag ts varint, local_s varint]   PARTITION_DELETION
 *             [static row: varint length, row]                         STATIC
 *             [count varint, count × (lo, hi: varint length, bytes; zigzag ts, local_s)]
 *                                                                      RANGES
 *             [count varint, count × (ckey: varint length, bytes; row: varint length, bytes),
 *             ascending by ckey, each once]                            ROWS */
#ifndef BASE_MUTATION_H
#define BASE_MUTATION_H

#include "base/stream.h"

enum base_mutation_flag {
    BASE_MUTATION_PARTITION_DELETION = 0x01,
    BASE_MUTATION_STATIC = 0x02,
    BASE_MUTATION_RANGES = 0x04,
    BASE_MUTATION_ROWS = 0x08,
};

/* The head, decoded; rows and ranges are walked. Slices borrow from the encoded mutation. */
struct base_mutation {
    struct base_uuid table_id;
    struct base_slice pkey;
    struct base_deletion deletion;
    struct base_slice static_row;
    uint64_t range_count;
    uint64_t row_count;
    struct base_reader ranges; /* walk with base_mutation_range, range_count times */
    struct base_reader rows;   /* walk with base_mutation_row, row_count times */
};
/* Decode one mutation at the reader and advance past it. False when damaged (structure only:
 * base_mutation_check looks into rows too). */
BASE_MUST bool base_mutation_decode(struct base_reader *in, struct base_mutation *m);
BASE_MUST bool base_mutation_range(struct base_reader *ranges, struct base_range_deletion *out);
BASE_MUST bool base_mutation_row(struct base_reader *rows, struct base_slice *ckey,
                                 struct base_slice *row);
/* Deep check, for bytes from a peer or a damaged log. */
BASE_MUST bool base_mutation_check(const struct base_mutation *m);

/* Does it change anything? (One without changes names its partition: conditions are about it.) */
static inline bool base_mutation_is_empty(const struct base_mutation *m)
{
    return base_deletion_is_none(m->deletion) && m->static_row.len == 0 && m->range_count == 0 &&
           m->row_count == 0;
}

/* Append a mutation with one row (the hot path). */
BASE_MUST int base_mutation_put_row(struct base_buf *out, struct base_uuid table_id,
                                    struct base_slice pkey, struct base_slice ckey,
                                    struct base_slice row);
/* Append a mutation from parts. ranges and rows may be empty; rows ascending by ckey. */
struct base_mutation_row_part {
    struct base_slice ckey, row;
};
BASE_MUST int base_mutation_put(struct base_buf *out, struct base_uuid table_id,
                                struct base_slice pkey, struct base_deletion deletion,
                                struct base_slice static_row,
                                const struct base_range_deletion *ranges, size_t range_count,
                                const struct base_mutation_row_part *rows, size_t row_count);

#endif
