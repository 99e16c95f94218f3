/* Arena: a list of chunks, the newest first; allocation bumps a pointer in the newest. */
#include "base/arena.h"

enum { CHUNK_MIN = 1024, CHUNK_MAX = 1 << 20 };

struct base_arena_chunk {
    struct base_arena_chunk *next;
    size_t size; /* of the whole chunk, this header included */
    _Alignas(16) uint8_t bytes[];
};

void base_arena_init(struct base_arena *arena)
{
    *arena = (struct base_arena){.chunk_size = CHUNK_MIN};
}

void base_arena_fini(struct base_arena *arena)
{
    for (struct base_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    base_arena_init(arena);
}

void base_arena_reset(struct base_arena *arena)
{
    struct base_arena_chunk *keep = arena->chunks;
    if (!keep)
        return;
    for (struct base_arena_chunk *chunk = keep->next, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    keep->next = NULL;
    if (keep->size > 2 * CHUNK_MAX) { /* one huge request does not stay for ever */
        base_arena_fini(arena);
        return;
    }
    arena->p = keep->bytes;
    arena->end = (uint8_t *)keep + keep->size;
    arena->size_bytes = keep->size;
}

void *base_arena_alloc_slow(struct base_arena *arena, size_t size, size_t align)
{
    BASE_ASSERT(align && align <= 16 && (align & (align - 1)) == 0);
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t want = sizeof(struct base_arena_chunk) + size + align;
    size_t chunk_size = arena->chunk_size ? arena->chunk_size : CHUNK_MIN;
    if (want > chunk_size / 4 && arena->chunks && want > CHUNK_MIN) {
        /* A large request gets its own chunk behind the current one, which stays in use. */
        struct base_arena_chunk *own = malloc(want);
        if (!own)
            return NULL;
        own->size = want;
        own->next = arena->chunks->next;
        arena->chunks->next = own;
        arena->size_bytes += want;
        return (void *)(((uintptr_t)own->bytes + (align - 1)) & ~(uintptr_t)(align - 1));
    }
    while (chunk_size < want)
        chunk_size *= 2;
    struct base_arena_chunk *chunk = malloc(chunk_size);
    if (!chunk)
        return NULL;
    chunk->size = chunk_size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->size_bytes += chunk_size;
    arena->chunk_size = chunk_size < CHUNK_MAX ? chunk_size * 2 : CHUNK_MAX;
    uintptr_t at = ((uintptr_t)chunk->bytes + (align - 1)) & ~(uintptr_t)(align - 1);
    arena->p = (uint8_t *)(at + size);
    arena->end = (uint8_t *)chunk + chunk_size;
    return (void *)at;
}

void *base_arena_zalloc(struct base_arena *arena, size_t size)
{
    void *p = base_arena_alloc(arena, size);
    return p ? memset(p, 0, size) : NULL;
}

int base_arena_copy(struct base_arena *arena, struct base_slice s, struct base_slice *out)
{
    *out = (struct base_slice){0};
    uint8_t *p = base_arena_alloc_aligned(arena, s.len ? s.len : 1, 1);
    if (!p)
        return BASE_E_NOMEM;
    if (s.len)
        memcpy(p, s.data, s.len);
    *out = (struct base_slice){p, s.len};
    return BASE_OK;
}

char *base_arena_strdup(struct base_arena *arena, struct base_slice s)
{
    char *p = base_arena_alloc_aligned(arena, s.len + 1, 1);
    if (p) {
        if (s.len)
            memcpy(p, s.data, s.len);
        p[s.len] = 0;
    }
    return p;
}
