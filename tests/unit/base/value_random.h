/* Random valid values of any type, edge values often, for property tests of types and keys. */
#ifndef TESTS_VALUE_RANDOM_H
#define TESTS_VALUE_RANDOM_H

#include "base/base_private.h"

struct rng {
    uint64_t s;
};
static inline uint64_t rng_next(struct rng *r) /* splitmix64 */
{
    uint64_t z = (r->s += 0x9E3779B97F4A7C15ULL);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return z ^ z >> 31;
}
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}
/* Append a random value; may be CQL's empty value only where `empty` allows it. */
void random_value(struct rng *r, const struct base_type *type, bool empty, struct base_buf *out);
/* A scalar or nested type that may be a key (or any type), of at most this depth. */
const struct base_type *random_type(struct rng *r, struct base_arena *arena, int depth, bool key);

#endif
