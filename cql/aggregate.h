/* Accumulating values of one type: count, min, max, sum, avg, over the rows of a group
 * (aggregate.c) and the elements of a collection (function_collection.c). */
#ifndef CQL_AGGREGATE_H
#define CQL_AGGREGATE_H

#include "cql/function.h"

enum cqli_aggregate { CQLI_COUNT, CQLI_MIN, CQLI_MAX, CQLI_SUM, CQLI_AVG };

/* Caller's storage; what it keeps lives in the arena, in room that is used again. */
struct cqli_accumulator {
    struct base_arena *arena;
    enum cqli_aggregate op;
    const struct base_type *type;
    uint64_t count;
    __int128 whole;        /* SUM, AVG of fixed-size integers */
    long double sum, lost; /* … of floats: Neumaier's compensated sum */
    bool has_value;
    struct base_slice value; /* MIN, MAX; SUM, AVG of varint and decimal */
    uint8_t *room;
    size_t room_size;
};
void cqli_accumulator_init(struct cqli_accumulator *a, struct base_arena *arena,
                           enum cqli_aggregate op, const struct base_type *type);
void cqli_accumulator_reset(struct cqli_accumulator *a);
/* A value that is not null. */
BASE_MUST int cqli_accumulator_add(struct cqli_accumulator *a, struct base_slice value,
                                   struct base_err *err);
/* MIN and MAX of nothing are null, the others 0. In the evaluation's arena. */
BASE_MUST int cqli_accumulator_result(const struct cqli_accumulator *a, struct cqli_eval *eval,
                                      struct cql_value *out);

#endif
