/* Shared by the schema's files only: how a snapshot is built from a draft. */
#ifndef BASE_SCHEMA_PRIVATE_H
#define BASE_SCHEMA_PRIVATE_H

#include "base/schema.h"

/* What a new snapshot shall hold. Shallow: it may point into an older snapshot, into a change, into
 * decoded bytes. Nothing in it is trusted. */
struct basei_draft {
    uint64_t epoch;
    const struct base_keyspace *keyspaces;
    size_t keyspace_count;
};

/* Check the draft and make a snapshot of it that owns all it points to (one reference). User types
 * are resolved by name within their keyspace; dropped columns' types lose theirs (they become
 * tuples, so that the type may go). INVALID, LIMIT, NOMEM. */
BASE_MUST int basei_schema_build(const struct basei_draft *draft, struct base_schema **out,
                                 struct base_err *err);

/* The index of the first of `count` keyspaces/tables/types whose name is not less than `name`, and
 * whether it is that name. */
size_t basei_keyspace_index(const struct base_keyspace *items, size_t count, struct base_slice name, bool *found);
size_t basei_table_index(const struct base_table *const *items, size_t count, struct base_slice name, bool *found);
size_t basei_type_index(const struct base_user_type *items, size_t count, struct base_slice name, bool *found);

#endif
