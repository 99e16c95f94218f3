/* A seeded generator for tests: xoshiro256** (Blackman and Vigna, 2018), started by splitmix64. The
 * same seed gives the same numbers on every machine; that is all a replayed run rests on. */
#ifndef TESTS_RNG_H
#define TESTS_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

struct rng {
    uint64_t s[4];
};

static inline uint64_t rng_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline struct rng rng_seeded(uint64_t seed)
{
    struct rng r;
    for (int i = 0; i < 4; i++)
        r.s[i] = rng_splitmix(&seed);
    return r;
}
static inline uint64_t rng_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}
static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s, result = rng_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rng_rotl(s[3], 45);
    return result;
}
/* 0 … n-1; n > 0. The bias is below 2^-32 for every n a test uses. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    BASE_ASSERT(n > 0);
    return n <= UINT32_MAX ? ((rng_u64(r) >> 32) * n) >> 32 : rng_u64(r) % n;
}
/* lo … hi, both included */
static inline int64_t rng_between(struct rng *r, int64_t lo, int64_t hi)
{
    BASE_ASSERT(lo <= hi);
    return lo + (int64_t)rng_below(r, (uint64_t)(hi - lo) + 1);
}
/* true in `percent` of 100 draws */
static inline bool rng_chance(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}
static inline bool rng_one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}
/* Small numbers often, large ones now and then: a random number of random bits, at most `max`. */
static inline uint64_t rng_skewed(struct rng *r, uint64_t max)
{
    uint64_t bits = rng_below(r, 64), v = rng_u64(r) & ((UINT64_C(1) << bits) - 1);
    return max == UINT64_MAX ? v : v % (max + 1);
}
static inline void rng_fill(struct rng *r, void *buf, size_t len)
{
    uint8_t *p = buf;
    while (len) {
        uint64_t v = rng_u64(r);
        size_t n = len < 8 ? len : 8;
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}
/* An independent stream, so that one consumer's draws do not shift another's. */
static inline struct rng rng_fork(struct rng *r)
{
    return rng_seeded(rng_u64(r));
}

#endif
