/* Allocation failures by the linker's --wrap: see the header. Counters are atomic, so that a
 * program with threads may use it too; which of them meets the failure is then theirs. */
#include "tests/lib/alloc_fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic uint64_t fault_count, fault_from = UINT64_MAX, fault_upto = UINT64_MAX;
static _Atomic uint64_t fault_hits;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **out, size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **out, size_t align, size_t size);
char *__wrap_strdup(const char *text);

void alloc_fault_set(uint64_t k, uint64_t times)
{
    uint64_t from = atomic_load(&fault_count) + k;
    atomic_store(&fault_hits, 0);
    atomic_store(&fault_upto, times > UINT64_MAX - from ? UINT64_MAX : from + times);
    atomic_store(&fault_from, from);
}

bool alloc_fault_clear(void)
{
    atomic_store(&fault_from, UINT64_MAX);
    return atomic_load(&fault_hits) > 0;
}

uint64_t alloc_fault_count(void)
{
    return atomic_load(&fault_count);
}

static bool alloc_fails(void)
{
    uint64_t n = atomic_fetch_add(&fault_count, 1);
    if (n < atomic_load(&fault_from) || n >= atomic_load(&fault_upto))
        return false;
    atomic_fetch_add(&fault_hits, 1);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return alloc_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return alloc_fails() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **out, size_t align, size_t size)
{
    return alloc_fails() ? ENOMEM : __real_posix_memalign(out, align, size);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
