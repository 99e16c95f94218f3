/* How much a randomized test does by default: with RINGLET_TEST_SCALE=sanitized (runtests sets it
 * where a sanitizer makes everything five to fifteen times slower) an eighth. What is asked for by
 * an argument is done as asked. */
#ifndef TESTS_SCALE_H
#define TESTS_SCALE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_SCALE_SANITIZED = 8 };

static inline uint64_t scale_divisor(void)
{
    const char *scale = getenv("RINGLET_TEST_SCALE");
    return scale && strcmp(scale, "sanitized") == 0 ? TEST_SCALE_SANITIZED : 1;
}
/* Rounds to do, of n; at least one. */
static inline uint64_t scale_rounds(uint64_t n)
{
    return n / scale_divisor() ? n / scale_divisor() : 1;
}
/* Of how many places one is tried, of a sweep that tries one of n. */
static inline uint64_t scale_stride(uint64_t n)
{
    return n * scale_divisor();
}

#endif
