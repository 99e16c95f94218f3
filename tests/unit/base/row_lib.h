/* Rows for tests: in a few letters, and at random.
 *
 *   live@TS          liveness            live@TS~TTL/EXPIRES   that expires
 *   del@TS/LOCAL     row deletion        orig=BYTES            originals
 *   C=V@TS           cell of column C    C=V@TS~TTL/EXPIRES    that expires     Cx@TS/LOCAL  dead
 *   C[P]=V@TS        with a path         C![@TS/LOCAL          complex deletion */
#ifndef TESTS_UNIT_BASE_ROW_LIB_H
#define TESTS_UNIT_BASE_ROW_LIB_H

#include "base/row.h"
#include "tests/lib/rng.h"

static inline uint32_t below(struct rng *rng, uint32_t n) /* 0 … n-1; n > 0 */
{
    return (uint32_t)rng_below(rng, n);
}

/* RINGLET_TEST_SEED, else one from the process id and printed; the same all the run. */
uint64_t test_seed(void);
/* RINGLET_TEST_ROUNDS, else the default. */
unsigned test_rounds(unsigned otherwise);

/* Times are small numbers, so that ties and shadowing are frequent. */
void row_random(struct rng *rng, struct base_buf *out);
/* as an INSERT writes it: one timestamp, values only */
void row_random_plain(struct rng *rng, struct base_buf *out);
struct base_deletion deletion_random(struct rng *rng, uint32_t none_percent);

/* appended; items in the order above, cells ascending */
void row_parse(const char *text, struct base_buf *out);
/* the same text again, NUL-terminated */
void row_print(struct base_slice row, struct base_buf *out);
void shard_put(struct base_buf *out, uint8_t host, int64_t clock, int64_t count);

#endif
