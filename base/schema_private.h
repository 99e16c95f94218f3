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
size_t basei_keyspace_index(const struct base_keyspace *items, size_t count, struct base_slice name,
                            bool *found);
size_t basei_table_index(const struct base_table *const *items, size_t count,
                         struct base_slice name, bool *found);
size_t basei_type_index(const struct base_user_type *items, size_t count, struct base_slice name,
                        bool *found);

/* What must hold for the indexes of a table that is otherwise built, and for those of a keyspace's
 * tables together (names are unique). INVALID, NOMEM. */
BASE_MUST int basei_indexes_check(const struct base_table *table, struct base_err *err);
BASE_MUST int basei_index_names_check(const struct base_keyspace *keyspace,
                                      struct base_arena *scratch, struct base_err *err);
/* May `to`'s indexes follow `from`'s? What is wrong, or NULL. */
const char *basei_indexes_altered(const struct base_table *from, const struct base_table *to);

#endif
