/* The bloom filter over partitions: blocked, so that a probe touches one cache line (Putze,
 * Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). It hashes the token,
 * which is a 64-bit hash of the partition key already; two keys of one token are one to the filter.
 *
 * Section (docs/formats/sstable.md): probes u8, 7 zero bytes, then lines of 64 bytes. */
#ifndef LSM_BLOOM_H
#define LSM_BLOOM_H

#include "base/bytes.h"

enum { LSMI_BLOOM_LINE = 64, LSMI_BLOOM_HEADER = 8, LSMI_BLOOM_PROBES_MAX = 30 };

/* A filter over borrowed bytes of a section. */
struct lsmi_bloom {
    const uint8_t *lines;
    uint32_t line_count, probes;
};
/* False when the bytes cannot be a filter. */
BASE_MUST bool lsmi_bloom_view(struct base_slice section, struct lsmi_bloom *out);
bool lsmi_bloom_test(const struct lsmi_bloom *bloom, int64_t token);
/* Ask for the line that a test of this token will look at. */
void lsmi_bloom_prefetch(const struct lsmi_bloom *bloom, int64_t token);

/* Gathers tokens, and once there are too many to keep goes over to a filter of the size the hint
 * asks for. fp_chance >= 1: no filter (the section is empty). */
struct lsmi_bloom_builder {
    double fp_chance;
    uint64_t hint; /* upper estimate of the count */
    uint64_t count;
    int64_t *tokens; /* the first ones, until `section` is there */
    size_t token_cap;
    uint8_t *section;
    size_t section_len;
};
void lsmi_bloom_builder_init(struct lsmi_bloom_builder *b, double fp_chance, uint64_t count_hint);
void lsmi_bloom_builder_fini(struct lsmi_bloom_builder *b);
BASE_MUST int lsmi_bloom_builder_add(struct lsmi_bloom_builder *b, int64_t token); /* NOMEM */
/* The section's bytes, borrowed from the builder. NOMEM. */
BASE_MUST int lsmi_bloom_builder_finish(struct lsmi_bloom_builder *b, struct base_slice *section);

#endif
