/* For tests of reads: a table, random mutations of few keys and small timestamps, a store in memory
 * (lsm/'s overlay). */
#ifndef TESTS_UNIT_REPLICATION_READ_LIB_H
#define TESTS_UNIT_REPLICATION_READ_LIB_H

#include "base/mutation.h"
#include "base/read.h"
#include "lsm/lsm.h"
#include "tests/unit/base/row_lib.h"

#define LIB_PARTITIONS 5
#define LIB_KEYS 6

/* Key p of the table, ascending with p; row k of a partition; bounds. Static storage. */
struct base_slice lib_pkey(uint32_t p);
struct base_slice lib_ckey(uint32_t k);
struct base_slice lib_bound(uint32_t k, bool after);
extern const struct base_uuid lib_table_id;

/* Append a random mutation: some of deletion, static row, ranges, rows. */
void lib_mutation_random(struct rng *rng, struct base_buf *out);
/* One or two slices, or all. `ranges` has room for two. */
void lib_slices_random(struct rng *rng, struct base_range ranges[2], struct base_slices *out);

/* What a replica has: mutations, applied one after another. */
struct lib_store {
    struct lsm_overlay *overlay;
};
void lib_store_init(struct lib_store *store);
void lib_store_fini(struct lib_store *store);
void lib_store_apply(struct lib_store *store, struct base_slice mutations);
/* As lsm_read with tombstones kept, over several stores at once. */
struct base_source *lib_store_read(const struct lib_store *const *stores, size_t n,
                                   const struct base_read *cmd, int64_t gc_before_s);

#endif
