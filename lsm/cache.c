/* The block cache: decompressed, checked blocks by (file, offset), in shards, each with a mutex, a hash table
 * of chains through the blocks themselves and a clock hand. A hit takes the lock, walks a short chain and adds
 * a pin: no allocation, no list to reorder.
 *
 * Invariants, per shard under its lock:
 *  1. A block in the table holds one reference of the cache's; size_bytes is the sum of their costs.
 *  2. Only a block that nobody else has pinned is evicted, so size_bytes may pass the limit by what is pinned at
 *     once; whatever is evicted is freed at once.
 *  3. The clock list holds exactly the table's blocks; `used` counts down from 3 as the hand passes.
 * The limit is divided among the shards after what lsmi_cache_charge took off it. */
#include "lsm/sst_private.h"

enum { SHARDS_MAX = 16, BUCKETS_MIN = 64, USED_MAX = 3, GHOSTS = 4096, SHARD_SIZE_MIN = 512 * 1024 };

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct lsmi_block **buckets;
    size_t bucket_count; /* a power of two */
    size_t entries, size_bytes;
    struct lsmi_block *hand; /* of the circular clock list; NULL when empty */
    uint32_t *ghosts;        /* what was turned away lately: parts of hashes, by other parts */
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

static struct lsmi_block **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[(hash >> 8) & (s->bucket_count - 1)];
}

struct lsmi_cache *lsmi_cache_new(size_t size_bytes_max)
{
    struct lsmi_cache *cache = aligned_alloc(64, sizeof *cache);
    if (!cache)
        return NULL;
    memset(cache, 0, sizeof *cache);
    cache->size_bytes_max = size_bytes_max;
    cache->shard_count = 1;
    while (cache->shard_count < SHARDS_MAX && size_bytes_max / (cache->shard_count * 2) >= SHARD_SIZE_MIN)
        cache->shard_count *= 2;
    for (uint32_t i = 0; i < cache->shard_count; i++) {
        struct shard *s = &cache->shards[i];
        s->bucket_count = BUCKETS_MIN;
        s->buckets = calloc(s->bucket_count, sizeof *s->buckets);
        s->ghosts = calloc(GHOSTS, sizeof *s->ghosts);
        if (!s->buckets || !s->ghosts || pthread_mutex_init(&s->lock, NULL)) {
            free(s->buckets);
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

/* Take a block out of table and clock, and drop the cache's reference. */
static void take_out(struct shard *s, struct lsmi_block *b)
{
    struct lsmi_block **at = bucket_of(s, hash_of(b->file, b->offset));
    while (*at != b)
        at = &(*at)->hash_next;
    *at = b->hash_next;
    if (b->clock_next == b) {
        s->hand = NULL;
    } else {
        b->clock_prev->clock_next = b->clock_next;
        b->clock_next->clock_prev = b->clock_prev;
        if (s->hand == b)
            s->hand = b->clock_next;
    }
    s->entries--;
    s->size_bytes -= lsmi_block_cost(b);
    b->cached = false;
    lsmi_block_unpin(b);
}

/* Free blocks nobody holds until `wanted` more bytes fit, at most a few turns of the clock. */
static void make_room(struct shard *s, size_t limit, size_t wanted)
{
    size_t moves = s->entries * (USED_MAX + 1);
    while (s->hand && s->size_bytes + wanted > limit && moves-- > 0) {
        struct lsmi_block *b = s->hand;
        s->hand = b->clock_next;
        if (atomic_load_explicit(&b->refs, memory_order_acquire) > 1)
            continue;
        if (b->used > 0)
            b->used--;
        else
            take_out(s, b);
    }
}

/* A full shard takes a data block only when it comes the second time within a while: a read that wanders over more
 * than the cache can hold would only push out what others need, and pay for it at every block. */
static bool turn_away(struct shard *s, uint64_t hash)
{
    uint32_t *ghost = &s->ghosts[hash >> 16 & (GHOSTS - 1)], mine = (uint32_t)(hash >> 32);
    bool known = *ghost == mine;
    *ghost = known ? 0 : mine;
    return !known;
}

/* Twice the buckets; when there is no memory the chains just grow longer. */
static void grow_buckets(struct shard *s)
{
    size_t old_count = s->bucket_count;
    struct lsmi_block **old = s->buckets, **buckets = calloc(old_count * 2, sizeof *buckets);
    if (!buckets)
        return;
    s->buckets = buckets;
    s->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct lsmi_block *b = old[i], *next; b; b = next) {
            next = b->hash_next;
            struct lsmi_block **at = bucket_of(s, hash_of(b->file, b->offset));
            b->hash_next = *at;
            *at = b;
        }
    }
    free(old);
}

static struct lsmi_block *lookup(struct shard *s, uint64_t hash, uint64_t file, uint64_t offset)
{
    struct lsmi_block *b = *bucket_of(s, hash);
    while (b && (b->offset != offset || b->file != file))
        b = b->hash_next;
    return b;
}

/* A block that was not read for a while is in memory, not in the processor's caches. What a search in it will look
 * at is known: ask for all of that at once, instead of waiting for one line after the other. */
static void prefetch(const struct lsmi_block *b)
{
    const uint8_t *at = (const uint8_t *)b + 64;
    if (b->level == 0) { /* the view, the heads and offsets */
        for (size_t i = 0; i < 8; i++)
            __builtin_prefetch(at + i * 64);
        return;
    }
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    for (size_t i = 1; i < 8; i++) /* where the first three steps of a search in the heads go */
        __builtin_prefetch(b->bytes + (size_t)b->size * i / 22);
}

struct lsmi_block *lsmi_cache_find(struct lsmi_cache *cache, uint64_t file, uint64_t offset)
{
    uint64_t hash = hash_of(file, offset);
    struct shard *s = shard_of(cache, hash);
    pthread_mutex_lock(&s->lock);
    struct lsmi_block *b = lookup(s, hash, file, offset);
    if (b) {
        prefetch(b);
        lsmi_block_pin(b);
        if (b->used < USED_MAX)
            b->used++;
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
    if (s->size_bytes + cost <= limit && !b->cached && !lookup(s, hash, b->file, b->offset)) {
        if (s->entries >= s->bucket_count)
            grow_buckets(s);
        struct lsmi_block **at = bucket_of(s, hash);
        b->hash_next = *at;
        *at = b;
        if (s->hand) { /* just behind the hand: the last to be looked at */
            b->clock_next = s->hand;
            b->clock_prev = s->hand->clock_prev;
            b->clock_prev->clock_next = b->clock_next->clock_prev = b;
        } else {
            s->hand = b->clock_next = b->clock_prev = b;
        }
        b->used = b->level > 0 ? USED_MAX : 0; /* index blocks serve many reads */
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
        size_t left = s->entries;
        for (struct lsmi_block *b = s->hand, *next; left-- > 0; b = next) {
            next = b->clock_next;
            if (b->file == file)
                take_out(s, b);
        }
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
        while (s->hand) {
            BASE_ASSERT(atomic_load(&s->hand->refs) == 1); /* all pins must be gone */
            take_out(s, s->hand);
        }
        BASE_ASSERT(s->size_bytes == 0 && s->entries == 0);
        free(s->buckets);
        free(s->ghosts);
        pthread_mutex_destroy(&s->lock);
    }
    free(cache);
}
