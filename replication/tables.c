/* The ids of the internal tables: the same on every node, in no schema. */
#include "replication/replication.h"

const struct base_uuid repl_hints_table_id = {
    {0x72, 0x69, 0x6e, 0x67, 0x6c, 0x65, 0x40, 0x01, 0x80, 0, 0, 0, 0, 0, 0, 1}};
const struct base_uuid repl_batches_table_id = {
    {0x72, 0x69, 0x6e, 0x67, 0x6c, 0x65, 0x40, 0x01, 0x80, 0, 0, 0, 0, 0, 0, 2}};
