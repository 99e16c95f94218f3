/* The checksum of everything we store or send: XXH3, 64 bits (xxhash.com). Not against an adversary. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/bytes.h"

uint64_t base_checksum(const void *data, size_t len);
/* The same over data followed by nothing else, but keyed by `seed` (an offset, an id), so that bytes in
 * the wrong place do not pass. */
uint64_t base_checksum_seeded(const void *data, size_t len, uint64_t seed);

#endif
