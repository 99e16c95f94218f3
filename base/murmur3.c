/* Cassandra's Murmur3 token (o.a.c.utils.MurmurHash.hash3_x64_128, seed 0, first half).
 *
 * It is MurmurHash3 x64 128 but for one thing that can never be mended: the bytes of the tail (the
 * last len % 16) are widened with their sign. Drivers route by this very number. */
#include "base/key.h"

static inline uint64_t rotl(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline uint64_t fmix(uint64_t k)
{
    k ^= k >> 33;
    k *= 0xff51afd7ed558ccdULL;
    k ^= k >> 33;
    k *= 0xc4ceb9fe1a85ec53ULL;
    return k ^ k >> 33;
}

static const uint64_t C1 = 0x87c37b91114253d5ULL, C2 = 0x4cf5ad432745937fULL;

static inline uint64_t mix1(uint64_t k)
{
    return rotl(k * C1, 31) * C2;
}

static inline uint64_t mix2(uint64_t k)
{
    return rotl(k * C2, 33) * C1;
}

/* Up to 8 tail bytes, the first one lowest, each sign-extended before it is shifted and xor-ed
 * in. */
static inline uint64_t signed_bytes(const uint8_t *p, size_t n)
{
    uint64_t k = 0;
    for (size_t i = 0; i < n; i++)
        k ^= (uint64_t)(int64_t)(int8_t)p[i] << (8 * i);
    return k;
}

int64_t base_token(struct base_slice pk)
{
    uint64_t h1 = 0, h2 = 0;
    const uint8_t *p = pk.data;
    size_t left = pk.len;
    for (; left >= 16; p += 16, left -= 16) {
        h1 ^= mix1(base_get_le64(p));
        h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= mix2(base_get_le64(p + 8));
        h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    if (left > 8)
        h2 ^= mix2(signed_bytes(p + 8, left - 8));
    if (left)
        h1 ^= mix1(signed_bytes(p, left < 8 ? left : 8));
    h1 ^= pk.len;
    h2 ^= pk.len;
    h1 += h2;
    h2 += h1;
    h1 = fmix(h1);
    h2 = fmix(h2);
    int64_t token = (int64_t)(h1 + h2);
    return token == INT64_MIN ? INT64_MAX : token; /* the minimum is the ring's own bound */
}
