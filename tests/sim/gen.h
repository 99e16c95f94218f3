/* Random writes and reads for the store's tests: all shapes of rows, cells and tombstones, few
 * hot keys and many cold ones. Keys are made here byte by byte (base/key.h's format), so that
 * the store is tested without its own encoder. */
#ifndef TESTS_SIM_GEN_H
#define TESTS_SIM_GEN_H

#include "tests/lib/rng.h"
#include "tests/sim/model.h"

struct gen_options {
    uint32_t partitions;       /* of a table */
    uint32_t a_count, b_count; /* rows of a partition: (a, b), two clustering columns */
    uint32_t value_max;
    uint32_t rows_max;    /* of a mutation */
    unsigned hot_percent; /* to the first three partitions */
    unsigned ttl_percent, tie_percent, tombstone_percent;
};
void gen_options_draw(struct gen_options *o, struct rng *rng);
void gen_options_print(const struct gen_options *o, FILE *out);

/* Timestamps of one table. They are never older than what its gc_grace may have purged, and two
 * expiring writes never share one (which of two expiries wins would depend on when each was
 * compacted, as in Cassandra). */
struct gen_times {
    int64_t window_us; /* 0: strictly increasing */
    int64_t last_ts;
    uint64_t expiring_count;
    int64_t recent[16];
};
void gen_times_init(struct gen_times *times, int32_t gc_grace_s);

struct gen {
    struct rng rng;
    struct gen_options options;
    struct base_arena arena; /* of the mutations and commands made; reset by the caller */
    int64_t now_us;
};

struct base_slice gen_pkey(struct gen *g, uint32_t number);
struct base_slice gen_random_pkey(struct gen *g);
void gen_mutation(struct gen *g, struct base_uuid table, struct gen_times *times,
                  struct w_mutation *out);
/* A random read of a table: a partition or tokens, whole or slices, either direction. */
void gen_read(struct gen *g, struct base_uuid table, struct base_read *cmd);
/* One row's write with fixed contents: value `v` in column 10 at ts. */
void gen_simple(struct gen *g, struct base_uuid table, struct base_slice pkey, uint32_t row,
                uint64_t v, int64_t ts, struct w_mutation *out);

#endif
