/* An arena: memory that lives and dies together. Not thread-safe; the caller's storage.
 * Chunks double from 1 KiB to 1 MiB; larger requests get a chunk of their own. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct base_arena_chunk;

struct base_arena {
    uint8_t *p;   /* next free byte */
    uint8_t *end; /* of the current chunk */
    struct base_arena_chunk *chunks;
    size_t chunk_size;
    size_t size_bytes; /* of all chunks: what the arena costs */
};

void base_arena_init(struct base_arena *arena);
void base_arena_fini(struct base_arena *arena); /* frees all; the arena may be used again */
/* Forget all allocations but keep one chunk, so that a request loop does not malloc. */
void base_arena_reset(struct base_arena *arena);
void *base_arena_alloc_slow(struct base_arena *arena, size_t size, size_t align);
/* Uninitialized bytes, aligned (a power of two up to 16); NULL when out of memory. */
static inline void *base_arena_alloc_aligned(struct base_arena *arena, size_t size, size_t align)
{
    uintptr_t at = ((uintptr_t)arena->p + (align - 1)) & ~(uintptr_t)(align - 1);
    if (BASE_LIKELY(arena->p && at + size <= (uintptr_t)arena->end)) {
        arena->p = (uint8_t *)(at + size);
        return (void *)at;
    }
    return base_arena_alloc_slow(arena, size, align);
}
static inline void *base_arena_alloc(struct base_arena *arena, size_t size)
{
    return base_arena_alloc_aligned(arena, size, 8);
}
void *base_arena_zalloc(struct base_arena *arena, size_t size);
/* A copy of the bytes; `out` is empty on failure. NOMEM. */
BASE_MUST int base_arena_copy(struct base_arena *arena, struct base_slice s,
                              struct base_slice *out);
/* A NUL-terminated copy, or NULL. */
char *base_arena_strdup(struct base_arena *arena, struct base_slice s);

#endif
