/* A store on a simulated disk, with its clock, chance and executor: what tests of the store set
 * up. */
#ifndef TESTS_UNIT_LSM_STORE_LIB_H
#define TESTS_UNIT_LSM_STORE_LIB_H

#include "lsm/lsm.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/sim_executor.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

struct store_world {
    struct sim_fs *fs;
    struct sim_clock clock;
    struct sim_executor executor;
    struct sim_random random;
    struct lsm_options options; /* small: logs and memtables are soon full */
    struct lsm_store *store;    /* the test opens it */
    struct base_err err;
};
void store_world_init(struct store_world *s, uint64_t seed);
void store_world_fini(struct store_world *s);
/* Close the store; no file is open then. */
void store_world_close(struct store_world *s, uint64_t flush_over_bytes);
/* The process dies, or the power goes; the store's memory is given back. */
void store_world_die(struct store_world *s, bool power);

/* A table as CREATE TABLE makes it. */
struct lsm_table_desc store_table(struct base_uuid id);

#endif
