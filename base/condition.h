/* Conditions of a write (IF …): judged at the replica on one partition, in one step with the write
 * (DESIGN.md §6: condition false is an outcome of its own). One encoding for messages and, later,
 * for Paxos.
 *
 * conditions := count varint (1 …), count × condition; all must hold
 * condition  := kind u8; ckey: varint length, bytes (empty: the partition's static row)
 *               EXISTS, NOT_EXISTS: nothing more. A row is there when it is live (base_row_purge)
 *               COLUMN: column id varint, op u8 (enum base_condition_op),
 *                       element: u8 0 or 1, [varint length, bytes: the cell's path (base/path.h)],
 *                       operand count varint, operands: u8 1 (a value) or 0 (null), [varint length,
 *                       bytes]
 *               One operand, but for IN. A list's element is named by its index: element 2, [le32]
 * current    := count varint, count × (ckey: varint length, bytes; row: varint length, bytes:
 *               encoded, live only): of the rows that the conditions looked at those that are
 *               there, ascending, each once; before them the partition's static row (empty ckey) if
 *               it is there */
#ifndef BASE_CONDITION_H
#define BASE_CONDITION_H

#include "base/collection.h"
#include "base/read.h"

enum base_condition_kind {
    BASE_CONDITION_EXISTS = 1,
    BASE_CONDITION_NOT_EXISTS = 2,
    BASE_CONDITION_COLUMN = 3
};
enum base_condition_op {
    BASE_CONDITION_EQ,
    BASE_CONDITION_NE,
    BASE_CONDITION_LT,
    BASE_CONDITION_LE,
    BASE_CONDITION_GT,
    BASE_CONDITION_GE,
    BASE_CONDITION_IN,
    BASE_CONDITION_CONTAINS,
    BASE_CONDITION_CONTAINS_KEY,
};
enum base_condition_element { BASE_CONDITION_WHOLE, BASE_CONDITION_PATH, BASE_CONDITION_INDEX };

struct base_condition {
    enum base_condition_kind kind;
    struct base_slice ckey;
    uint32_t column;
    enum base_condition_op op;
    enum base_condition_element element;
    struct base_slice path;
    uint32_t index;
    uint64_t operand_count;
    struct base_reader operands;
};
/* Begin a list and append to it; count is written by the caller first (base_buf_put_varint). */
BASE_MUST int base_condition_put_row(struct base_buf *out, enum base_condition_kind kind,
                                     struct base_slice ckey);
struct base_condition_operand {
    bool is_null;
    struct base_slice value;
};
BASE_MUST int base_condition_put_column(struct base_buf *out, struct base_slice ckey,
                                        uint32_t column, enum base_condition_op op,
                                        enum base_condition_element element, struct base_slice path,
                                        uint32_t index,
                                        const struct base_condition_operand *operands,
                                        size_t operand_count);
/* Decode the next; false when damaged. */
BASE_MUST bool base_condition_decode(struct base_reader *in, struct base_condition *out);
/* Deep check of bytes from a peer against the table: columns exist, operands are valid values, null
 * only where it compares. INVALID. */
BASE_MUST int base_conditions_check(struct base_slice conditions, const struct base_table *table,
                                    struct base_err *err);
/* Is the result of a judgement whole? For bytes from a peer. */
BASE_MUST bool base_conditions_current_check(struct base_slice current);
/* The read that finds what the conditions look at, and the rows of `mutation` (of the same
 * partition, may be empty): of one partition, these rows. In the arena; the ckeys borrow. CORRUPT,
 * NOMEM. */
BASE_MUST int base_conditions_slices(struct base_arena *arena, struct base_slice conditions,
                                     struct base_slice mutation, struct base_slices *out,
                                     struct base_err *err);
/* A row as it is, live, without tombstones; ckey empty: the partition's static row. */
struct base_condition_row {
    struct base_slice ckey, row;
};
/* Judge conditions that base_conditions_check has passed over the rows that are there (ascending;
 * there may be others): *hold, and `current` (appended) when they do not hold. CORRUPT, NOMEM,
 * LIMIT. */
BASE_MUST int base_conditions_judge(struct base_slice conditions, const struct base_table *table,
                                    const struct base_condition_row *rows, size_t row_count,
                                    bool *hold, struct base_buf *current, struct base_err *err);

#endif
