/* Tables for tests, from one line of text. */
#ifndef TESTS_LIB_MAKE_TABLE_H
#define TESTS_LIB_MAKE_TABLE_H

#include "base/schema.h"

/* "p sensor text; p day date; d ts timestamp; s unit text; r tags map<text, text>": kind, name and
 * type of each column. p: partition key, c: clustering ascending, d: clustering descending, s:
 * static, r: regular. Ids count from 1 in the order given. The id of the table is made of its name.
 * Aborts on a mistake, so never NULL. All in the arena; not yet in a snapshot. */
struct base_table *make_table(struct base_arena *arena, const char *keyspace, const char *name,
                              const char *columns);
/* A reference to a user type, and a user type's definition from "street text; zip int". */
const struct base_type *make_type_ref(struct base_arena *arena, const char *keyspace,
                                      const char *name, bool frozen);
const struct base_type *make_user_type(struct base_arena *arena, const char *keyspace,
                                       const char *name, const char *fields);
/* The changes that create things in `schema`; and the schema after one (releases the old one,
 * aborts on failure). */
struct base_change make_create_keyspace(struct base_arena *arena, const struct base_schema *schema,
                                        const char *name);
struct base_change make_create_table(const struct base_schema *schema,
                                     const struct base_table *table);
struct base_schema *make_applied(struct base_schema *schema, const struct base_change *change);
/* The schema with keyspace `keyspace` and this one table in it. */
struct base_schema *make_schema_of(struct base_arena *arena, const struct base_table *table);

#endif
