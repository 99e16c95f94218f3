/* Chance from a seed. Fills the random port of base/clock.h; usable from several threads (then the
 * order of draws is theirs, and with it what each one gets). */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <pthread.h>

#include "base/clock.h"
#include "tests/lib/rng.h"
#include "tests/lib/trace.h"

struct sim_random {
    struct base_random base;
    pthread_mutex_t lock;
    struct rng rng;
    struct trace *trace; /* may be NULL */
};

void sim_random_init(struct sim_random *random, uint64_t seed);
void sim_random_fini(struct sim_random *random);

#endif
