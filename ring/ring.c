/* Token arithmetic. Distances on the ring are unsigned 64-bit differences: they wrap as the ring
 * does. */
#include "ring/ring.h"

void ring_allocate_first(size_t count, int64_t *tokens)
{
    BASE_ASSERT(count >= 1 && count <= RING_TOKENS_MAX);
    for (size_t i = 0; i < count;
         i++) { /* the (i + 1)-th of `count` equal parts of 2^64, and its last token */
        unsigned __int128 end = ((unsigned __int128)(i + 1) << 64) / count;
        tokens[i] = (int64_t)((uint64_t)(end - 1) ^ (UINT64_C(1) << 63));
    }
    BASE_ASSERT(tokens[count - 1] == INT64_MAX);
}

bool ring_check(const struct ring_owner *ring, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (ring[i - 1].token >= ring[i].token)
            return false;
    return count > 0;
}

const struct ring_owner *ring_lookup(const struct ring_owner *ring, size_t count, int64_t token)
{
    BASE_ASSERT(count > 0);
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ring[mid].token < token)
            low = mid + 1;
        else
            high = mid;
    }
    return &ring[low < count ? low : 0];
}

double ring_share(const struct ring_owner *ring, size_t count, struct base_uuid host)
{
    double owned = 0;
    if (count == 1) /* the distance to itself is the whole ring, and 0 */
        return base_uuid_equal(ring[0].host, host) ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        int64_t before = ring[i ? i - 1 : count - 1].token;
        if (base_uuid_equal(ring[i].host, host))
            owned += (double)((uint64_t)ring[i].token - (uint64_t)before);
    }
    return owned / 18446744073709551616.0;
}
