/* Rows of the tables that the node makes up, as text: one line a row, "column=value" of what is
 * there, in the table's order. */
#ifndef TESTS_UNIT_NODE_SYSTEM_ROWS_H
#define TESTS_UNIT_NODE_SYSTEM_ROWS_H

#include "node/system_private.h"
#include "tests/unit/node/node_fixture.h"

/* The rows of keyspace.table, of the partition whose only key column is the text `key`, or all
 * (NULL). `repl`: NULL, or on the loop. The text is valid until the next call. */
const char *system_rows(struct node *node, struct repl *repl, const char *keyspace,
                        const char *table, const char *key, bool reversed);
/* The same, on the loop of a member. */
const char *system_rows_on_loop(struct node *node, const char *keyspace, const char *table,
                                const char *key);
size_t system_count(const char *rows);
/* The line that has all of these (up to NULL), or the test fails. */
const char *system_row_with(const char *rows, ...);

#endif
