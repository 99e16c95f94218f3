/* The random port over a seeded generator. */
#include "tests/lib/sim_random.h"

static void sim_random_fill(struct base_random *base, void *buf, unsigned len)
{
    struct sim_random *random = BASE_CONTAINER(base, struct sim_random, base);
    pthread_mutex_lock(&random->lock);
    rng_fill(&random->rng, buf, len);
    trace_add(random->trace, "random", "", len, 0, base_slice(buf, len));
    pthread_mutex_unlock(&random->lock);
}

static const struct base_random_ops sim_random_ops = {sim_random_fill};

void sim_random_init(struct sim_random *random, uint64_t seed)
{
    random->base.ops = &sim_random_ops;
    random->rng = rng_seeded(seed);
    random->trace = NULL;
    pthread_mutex_init(&random->lock, NULL);
}

void sim_random_fini(struct sim_random *random)
{
    pthread_mutex_destroy(&random->lock);
}
