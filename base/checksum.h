/* The checksum of everything we store or send: XXH3, 64 bits (xxhash.com). Not against an
 * adversary. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/bytes.h"

uint64_t base_checksum(const void *data, size_t len);
/* The same over data followed by nothing else, but keyed by `seed` (an offset, an id), so that
 * bytes in the wrong place do not pass. */
uint64_t base_checksum_seeded(const void *data, size_t len, uint64_t seed);

/* XXH3, 128 bits, big-endian (its canonical form): equal digests of two replicas' answers are taken
 * for equal answers. */
#define BASE_DIGEST_LEN 16
void base_digest(const void *data, size_t len, uint8_t out[BASE_DIGEST_LEN]);

/* The CRC-32 of Ethernet and zip, continued from `crc` (0 to begin). For protocols of others that
 * ask for it. */
uint32_t base_crc32(uint32_t crc, const void *data, size_t len);

#endif
