/* A world for statements that write: ports over a store of rows in memory, which answer at once or
 * later as asked, and mutations as text.
 *
 * The store is no replica: it keeps merged rows, applies partition, range and row deletions to what
 * is there, judges conditions with base_conditions_judge. What was written last can be looked at as
 * bytes and as text. */
#ifndef TESTS_UNIT_CQL_MODIFY_LIB_H
#define TESTS_UNIT_CQL_MODIFY_LIB_H

#include "base/condition.h"
#include "base/mutation.h"
#include "cql/exec.h"

#define WORLD_TS 1000 /* the client's timestamp: not printed */
#define WORLD_NOW_US INT64_C(1800000000000000)
#define WORLD_ROWS_MAX 512

struct world_row {
    struct base_uuid table;
    struct base_slice pkey, ckey, row; /* malloc'ed */
};
struct world {
    struct cql_ports ports;
    const struct base_schema *schema;
    bool pending; /* answer later */
    /* memory may fail now: nothing is kept of what is written, and no condition holds */
    bool injecting;
    struct world_row rows[WORLD_ROWS_MAX];
    size_t row_count;
    int64_t timestamp; /* the last one given out */
    uint8_t random;
    /* what is under way */
    struct cql_read *reading;
    struct cql_write *writing;
    size_t read_at;
    struct base_buf scratch;
    /* the last write, copied */
    struct base_buf written, condition;
    size_t write_count, mutation_count, read_count;
    int consistency;
    bool logged;
    int fail_write; /* rc of the next write */
};

void world_init(struct world *world, const struct base_schema *schema);
void world_fini(struct world *world);
/* Let what is pending go on; false: nothing was. */
bool world_step(struct world *world);
/* Encoded mutations as text, one a line; appended, NUL-terminated. */
void world_print(const struct base_schema *schema, struct base_slice mutations,
                 struct base_buf *out);

#endif
