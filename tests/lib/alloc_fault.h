/* Fail the k-th allocation. A program that uses this links with $(WRAP_ALLOC), so that every
 * malloc, calloc, realloc, aligned_alloc, posix_memalign, strdup of the objects under test comes
 * here (not those of shared libraries). */
#ifndef TESTS_ALLOC_FAULT_H
#define TESTS_ALLOC_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* The k-th allocation from now (0: the next) fails, and `times` in all from there. */
void alloc_fault_set(uint64_t k, uint64_t times);
/* No more failures; returns whether one was injected since alloc_fault_set. */
bool alloc_fault_clear(void);
/* Allocations since the process began. */
uint64_t alloc_fault_count(void);

#endif
