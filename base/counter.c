/* Counter contexts: shards of hosts, each with its clock and count (docs/formats/row.md).
 *
 * Merging is a maximum per host, hence commutative, associative and idempotent. */
#include "base/row.h"

struct shard {
    struct base_slice host; /* 16 bytes */
    int64_t clock, count;
    struct base_slice encoded; /* all of it */
};

/* 1 with a shard, 0 at the end, -1 when damaged or not after *shard (hosts ascend). */
static int shard_next(struct base_reader *in, struct shard *shard)
{
    if (base_reader_left(in) == 0)
        return 0;
    struct base_slice last = shard->host;
    const uint8_t *begin = in->p;
    uint64_t clock, count;
    if (!base_get_raw(in, 16, &shard->host) || !base_get_varint(in, &clock) ||
        !base_get_varint(in, &count))
        return -1;
    if (last.len && memcmp(last.data, shard->host.data, 16) >= 0)
        return -1;
    shard->clock = base_unzigzag(clock);
    shard->count = base_unzigzag(count);
    shard->encoded = base_slice(begin, (size_t)(in->p - begin));
    return 1;
}

int base_counter_merge(struct base_slice a, struct base_slice b, struct base_buf *out)
{
    size_t start = out->len;
    struct base_reader in_a = base_reader(a), in_b = base_reader(b);
    struct shard sa = {0}, sb = {0};
    int more_a = shard_next(&in_a, &sa), more_b = shard_next(&in_b, &sb), rc = BASE_OK;
    while (rc == BASE_OK && more_a >= 0 && more_b >= 0 && more_a + more_b > 0) {
        int c = !more_a ? 1 : !more_b ? -1 : memcmp(sa.host.data, sb.host.data, 16);
        bool take_a = c < 0;
        if (c == 0)
            take_a = sa.clock != sb.clock ? sa.clock > sb.clock : sa.count >= sb.count;
        rc = base_buf_put_slice(out, take_a ? sa.encoded : sb.encoded);
        if (c <= 0)
            more_a = shard_next(&in_a, &sa);
        if (c >= 0)
            more_b = shard_next(&in_b, &sb);
    }
    if (rc == BASE_OK && (more_a < 0 || more_b < 0))
        rc = BASE_E_CORRUPT;
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

bool base_counter_total(struct base_slice context, int64_t *total)
{
    struct base_reader in = base_reader(context);
    struct shard shard = {0};
    uint64_t sum = 0;
    int more;
    while ((more = shard_next(&in, &shard)) > 0)
        sum += (uint64_t)shard.count;
    *total = more == 0 ? (int64_t)sum : 0;
    return more == 0;
}
