/* The block cache: decompressed, checked blocks by (file, offset), in shards, each with a mutex and
 * an open hash table whose slots are also the clock. A slot holds the key's whole hash and the
 * block's address, so that a search touches one line of the table and then asks for all lines of
 * the block at once: a block that was not read for a while is in memory, not in the processor's
 * caches, and waiting for one line after the other is what a hit costs. No allocation, no list to
 * reorder.
 *
 * Invariants, per shard under its lock:
 *  1. A block in the table holds one reference of the cache's; size_bytes is the sum of their
 *     costs.
 *  2. Only a block that nobody else has pinned is evicted, so size_bytes may pass the limit by what
 *     is pinned at once; whatever is evicted is freed at once.
 *  3. Linear probing without tombstones: between a block's slot and the one its hash names no slot
 *     is empty.
 *  4. A slot's `used` counts down from USED_MAX as the hand passes.
 * The limit is divided among the shards after what lsmi_cache_charge took off it. */
#include "lsm/sst_private.h"

enum { SHARDS_MAX = 16, SLOTS_MIN = 64, USED_MAX = 3, GHOSTS = 4096, SHARD_SIZE_MIN = 512 * 1024 };

struct slot {
    uint64_t hash;
    uintptr_t tagged; /* the block's address, `used` in its two lowest bits; 0: empty */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct slot *slots;
    size_t slot_count; /* a power of two; at most 5 of 8 are taken */
    size_t entries, size_bytes;
    size_t hand;      /* the slot that the clock looks at next */
    uint32_t *ghosts; /* what was turned away lately: parts of hashes, by other parts */
    uint64_t hits, misses;
};

struct lsmi_cache {
    struct shard shards[SHARDS_MAX];
    uint32_t shard_count; /* a power of two */
    size_t size_bytes_max;
    _Atomic int64_t charged;
    _Atomic uint64_t next_file;
};

static uint64_t hash_of(uint64_t file, uint64_t offset)
{
    uint64_t h = (file * 0x9e3779b97f4a7c15u ^ offset) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static struct shard *shard_of(struct lsmi_cache *cache, uint64_t hash)
{
    return &cache->shards[hash & (cache->shard_count - 1)];
}

static struct lsmi_block *slot_block(const struct slot *slot)
{
    /* malloc's addresses end in zeros */
    return (struct lsmi_block *)(slot->tagged & ~(uintptr_t)USED_MAX);
}

static size_t home_of(const struct shard *s, uint64_t hash)
{
    return (hash >> 8) & (s->slot_count - 1);
}

struct lsmi_cache *lsmi_cache_new(size_t size_bytes_max)
{
    struct lsmi_cache *cache = aligned_alloc(64, sizeof *cache);
    if (!cache)
        return NULL;
    memset(cache, 0, sizeof *cache);
    cache->size_bytes_max = size_bytes_max;
    cache->shard_count = 1;
    while (cache->shard_count < SHARDS_MAX &&
           size_bytes_max / (cache->shard_count * 2) >= SHARD_SIZE_MIN)
        cache->shard_count *= 2;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        s->slot_count = SLOTS_MIN;
        s->slots = calloc(s->slot_count, sizeof *s->slots);
        s->ghosts = calloc(GHOSTS, sizeof *s->ghosts);
        if (!s->slots || !s->ghosts || pthread_mutex_init(&s->lock, NULL)) {
            free(s->slots);
            free(s->ghosts);
            cache->shard_count = i;
            lsmi_cache_free(cache);
            return NULL;
        }
    }
    return cache;
}

uint64_t lsmi_cache_file(struct lsmi_cache *cache)
{
    return atomic_fetch_add_explicit(&cache->next_file, 1, memory_order_relaxed);
}

/* Take the block of slot `at` out, and drop the cache's reference. Later ones move up to close the
 * gap. */
static void take_out(struct shard *s, size_t at)
{
    struct lsmi_block *b = slot_block(&s->slots[at]);
    size_t mask = s->slot_count - 1, gap = at;
    for (size_t i = (at + 1) & mask; s->slots[i].tagged; i = (i + 1) & mask) {
        size_t home = home_of(s, s->slots[i].hash);
        if (((i - home) & mask) >= ((i - gap) & mask)) { /* its home is not after the gap */
            s->slots[gap] = s->slots[i];
            gap = i;
        }
    }
    s->slots[gap] = (struct slot){0};
    s->entries--;
    s->size_bytes -= lsmi_block_cost(b);
    b->cached = false;
    lsmi_block_unpin(b);
}

/* Free blocks nobody holds until `wanted` more bytes fit, at most a few turns of the clock. */
static void make_room(struct shard *s, size_t limit, size_t wanted)
{
    size_t moves = s->slot_count * (USED_MAX + 1), mask = s->slot_count - 1;
    while (s->entries && s->size_bytes + wanted > limit && moves-- > 0) {
        struct slot *slot = &s->slots[s->hand];
        if (slot->tagged & USED_MAX) {
            slot->tagged--;
        } else if (slot->tagged &&
                   atomic_load_explicit(&slot_block(slot)->refs, memory_order_acquire) == 1) {
            take_out(s, s->hand); /* and look at the slot again: another one may have moved there */
            continue;
        }
        s->hand = (s->hand + 1) & mask;
    }
}

/* A full shard takes a data block only when it comes the second time within a while: a read that
 * wanders over more than the cache can hold would only push out what others need, and pay for it at
 * every block. */
static bool turn_away(struct shard *s, uint64_t hash)
{
    uint32_t *ghost = &s->ghosts[hash >> 16 & (GHOSTS - 1)], mine = (uint32_t)(hash >> 32);
    bool known = *ghost == mine;
    *ghost = known ? 0 : mine;
    return !known;
}

static void put(struct shard *s, struct slot slot)
{
    size_t at = home_of(s, slot.hash);
    while (s->slots[at].tagged)
        at = (at + 1) & (s->slot_count - 1);
    s->slots[at] = slot;
}

/* Room for one more, if there is memory. */
static bool reserve_slot(struct shard *s)
{
    if ((s->entries + 1) * 8 <= s->slot_count * 5)
        return true;
    size_t old_count = s->slot_count;
    struct slot *old = s->slots, *slots = calloc(old_count * 2, sizeof *slots);
    if (!slots)
        return false;
    s->slots = slots;
    s->slot_count = old_count * 2;
    s->hand = 0;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].tagged)
            put(s, old[i]);
    free(old);
    return true;
}

/* What a search in a block will look at is known: ask for all of that at once. */
static void prefetch(const struct lsmi_block *b)
{
    const uint8_t *at = (const uint8_t *)b;
    for (size_t i = 0; i < 10; i++) /* the view, then heads and offsets */
        __builtin_prefetch(at + i * 64);
}

/* The slot of (file, offset), or NULL. */
static inline struct slot *lookup(struct shard *s, uint64_t hash, uint64_t file, uint64_t offset)
{
    size_t mask = s->slot_count - 1;
    for (size_t at = home_of(s, hash); s->slots[at].tagged; at = (at + 1) & mask) {
        struct slot *slot = &s->slots[at];
        if (slot->hash != hash)
            continue;
        struct lsmi_block *b = slot_block(slot);
        prefetch(b);
        if (BASE_LIKELY(b->offset == offset && b->file == file))
            return slot;
    }
    return NULL;
}

struct lsmi_block *lsmi_cache_find(struct lsmi_cache *cache, uint64_t file, uint64_t offset)
{
    uint64_t hash = hash_of(file, offset);
    struct shard *s = shard_of(cache, hash);
    struct lsmi_block *b = NULL;
    pthread_mutex_lock(&s->lock);
    struct slot *slot = lookup(s, hash, file, offset);
    if (slot) {
        b = slot_block(slot);
        lsmi_block_pin(b);
        if ((slot->tagged & USED_MAX) < USED_MAX)
            slot->tagged++;
        s->hits++;
    } else {
        s->misses++;
    }
    pthread_mutex_unlock(&s->lock);
    return b;
}

static size_t shard_limit(const struct lsmi_cache *cache)
{
    int64_t charged = atomic_load_explicit(&cache->charged, memory_order_relaxed);
    size_t taken = charged > 0 ? (size_t)charged : 0, floor = cache->size_bytes_max / 8;
    size_t left = taken < cache->size_bytes_max - floor ? cache->size_bytes_max - taken : floor;
    return left / cache->shard_count;
}

void lsmi_cache_offer(struct lsmi_cache *cache, struct lsmi_block *b, bool scan)
{
    uint64_t hash = hash_of(b->file, b->offset);
    struct shard *s = shard_of(cache, hash);
    size_t cost = lsmi_block_cost(b), limit = shard_limit(cache);
    pthread_mutex_lock(&s->lock);
    if (s->size_bytes > limit)
        make_room(s, limit, 0); /* the limit has shrunk */
    bool full = s->size_bytes + cost > limit;
    if (full && !scan && !(b->level == 0 && turn_away(s, hash)))
        make_room(s, limit, cost);
    /* Somebody else may have read the same block meanwhile: the first one stays. */
    if (s->size_bytes + cost <= limit && !b->cached && !lookup(s, hash, b->file, b->offset) &&
        reserve_slot(s)) {
        BASE_ASSERT(((uintptr_t)b & USED_MAX) == 0);
        /* index blocks serve many */
        put(s, (struct slot){hash, (uintptr_t)b | (b->level > 0 ? USED_MAX : 1)});
        b->cached = true;
        lsmi_block_pin(b);
        s->entries++;
        s->size_bytes += cost;
    }
    pthread_mutex_unlock(&s->lock);
}

void lsmi_cache_charge(struct lsmi_cache *cache, int64_t bytes)
{
    atomic_fetch_add_explicit(&cache->charged, bytes, memory_order_relaxed);
}

void lsmi_cache_forget(struct lsmi_cache *cache, uint64_t file)
{
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        pthread_mutex_lock(&s->lock);
        for (size_t at = 0; at < s->slot_count;
             at++) /* what moves up to fill a gap is looked at too */
            while (s->slots[at].tagged && slot_block(&s->slots[at])->file == file)
                take_out(s, at);
        pthread_mutex_unlock(&s->lock);
    }
}

void lsmi_cache_get_stats(struct lsmi_cache *cache, struct lsmi_cache_stats *stats)
{
    int64_t charged = atomic_load_explicit(&cache->charged, memory_order_relaxed);
    *stats = (struct lsmi_cache_stats){.size_bytes = charged > 0 ? (uint64_t)charged : 0};
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        pthread_mutex_lock(&s->lock);
        stats->size_bytes += s->size_bytes;
        stats->entries += s->entries;
        stats->hits += s->hits;
        stats->misses += s->misses;
        pthread_mutex_unlock(&s->lock);
    }
}

void lsmi_cache_free(struct lsmi_cache *cache)
{
    if (!cache)
        return;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        for (size_t at = 0; at < s->slot_count; at++) {
            struct lsmi_block *b = slot_block(&s->slots[at]);
            if (!b)
                continue;
            BASE_ASSERT(atomic_load(&b->refs) == 1); /* all pins must be gone */
            s->slots[at] = (struct slot){0};
            s->entries--;
            s->size_bytes -= lsmi_block_cost(b);
            lsmi_block_unpin(b);
        }
        BASE_ASSERT(s->size_bytes == 0 && s->entries == 0);
        free(s->slots);
        free(s->ghosts);
        pthread_mutex_destroy(&s->lock);
    }
    free(cache);
}
