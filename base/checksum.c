/* XXH3 behind our own name: the third-party header stays in this file. */
#include "base/checksum.h"

#include <xxhash.h>

uint64_t base_checksum(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

uint64_t base_checksum_seeded(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

void base_digest(const void *data, size_t len, uint8_t out[BASE_DIGEST_LEN])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
    memcpy(out, canonical.digest, BASE_DIGEST_LEN);
}
