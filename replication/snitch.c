/* Who is near and who is fast (Cassandra: a topology snitch under DynamicEndpointSnitch).
 *
 * The order of replicas is the topology's: ourselves, our rack, our data centre, the rest; in one
 * class as the caller gave them (ring order, so that equal replicas share the load by token and
 * each one's cache holds its own part). Latencies change it only when it is bad: when at some place
 * of that order stands one that is slower, by more than the badness threshold, than the one that
 * would stand there by speed, then the order is by speed.
 *
 * The score of a member is a moving average of its latencies, so that one timeout is enough to be
 * passed over. Below FLOOR_NS all are equally fast. A member that was not asked for RETRY_NS counts
 * once as its class usually is: so a slow one that is passed over gets another chance with a single
 * request, not with a burst of them. One that is not known counts the same way; hence another data
 * centre is not tried because it might be fast, but is when all that are near are slow.
 *
 * Invariants:
 *  1. entries[i] is of repl->ring->members[i].
 *  2. Sorting allocates nothing. */
#include "replication/replication_private.h"

#define FLOOR_NS UINT64_C(1000000)
#define ELSEWHERE_NS UINT64_C(50000000) /* another data centre, until we know */
#define RETRY_NS UINT64_C(30000000000)
#define WEIGHT 4        /* a new latency counts a quarter */
#define BY_SPEED_MAX 64 /* more replicas than that are sorted by class alone */
#define RECENT_COUNT_MAX 4096
#define RECENT_NS UINT64_C(60000000000)
#define RECENT_COUNT_MIN 20 /* of fewer replies there is no percentile */
#define CLASSES 4

struct entry {
    struct base_uuid host_id;
    uint64_t average_ns;  /* 0: none yet */
    uint64_t retry_at_ns; /* from then on it gets one chance */
    uint8_t class;        /* ring_distance */
};

struct repli_snitch {
    struct entry *entries;
    uint16_t *scratch; /* as many */
    size_t count;
    struct repl_histogram recent; /* of members that are not ourselves; halved now and then */
    uint64_t halve_at_ns;
};

static uint8_t class_of(const struct repl *repl, const struct ring_member *member)
{
    if (repli_is_self(repl, member->host_id))
        return 0;
    if (!base_slice_equal(member->dc, repl->config.dc))
        return 3;
    return base_slice_equal(member->rack, repl->config.rack) ? 1 : 2;
}

/* Take the averages along to the ring's members of now. False: out of memory, all is as before. */
static bool rebuild(struct repl *repl, struct repli_snitch *snitch)
{
    const struct ring_state *ring = repl->ring;
    struct entry *entries = calloc(ring->member_count + 1, sizeof *entries);
    uint16_t *scratch = calloc(ring->member_count + 1, sizeof *scratch);
    if (!entries || !scratch) {
        free(entries);
        free(scratch);
        return false;
    }
    for (size_t i = 0, old = 0; i < ring->member_count; i++) {
        struct base_uuid host_id = ring->members[i].host_id;
        while (old < snitch->count &&
               memcmp(snitch->entries[old].host_id.b, host_id.b, sizeof host_id.b) < 0)
            old++;
        if (old < snitch->count && base_uuid_equal(snitch->entries[old].host_id, host_id))
            entries[i] = snitch->entries[old];
        entries[i].host_id = host_id;
        entries[i].class = class_of(repl, &ring->members[i]);
    }
    free(snitch->entries);
    free(snitch->scratch);
    snitch->entries = entries;
    snitch->scratch = scratch;
    snitch->count = ring->member_count;
    return true;
}

int repli_snitch_open(struct repl *repl, struct base_err *err)
{
    struct repli_snitch *snitch = calloc(1, sizeof *snitch);
    repl->snitch = snitch;
    if (!snitch || !rebuild(repl, snitch))
        return base_err_set(err, BASE_E_NOMEM, "snitch: out of memory");
    return BASE_OK;
}

void repli_snitch_close(struct repl *repl)
{
    if (!repl->snitch)
        return;
    free(repl->snitch->entries);
    free(repl->snitch->scratch);
    free(repl->snitch);
    repl->snitch = NULL;
}

static bool fits_ring(const struct repl *repl)
{
    const struct repli_snitch *snitch = repl->snitch;
    if (snitch->count != repl->ring->member_count)
        return false;
    for (size_t i = 0; i < snitch->count; i++)
        if (!base_uuid_equal(snitch->entries[i].host_id, repl->ring->members[i].host_id) ||
            snitch->entries[i].class != class_of(repl, &repl->ring->members[i]))
            return false;
    return true;
}

void repli_snitch_on_epoch(struct repl *repl)
{
    if (!fits_ring(repl) && !rebuild(repl, repl->snitch))
        base_logf(repl->ports.log, BASE_LOG_WARN,
                  "snitch: out of memory; replicas are not sorted until the next change");
}

/* Without memory at the last change of members the entries are of older ones: then there is
 * none. */
static struct entry *entry_at(const struct repl *repl, size_t member)
{
    const struct repli_snitch *snitch = repl->snitch;
    if (member >= snitch->count ||
        !base_uuid_equal(snitch->entries[member].host_id, repl->ring->members[member].host_id))
        return NULL;
    return &snitch->entries[member];
}

static struct entry *entry_of(const struct repl *repl, struct base_uuid host_id)
{
    int member = ring_member_find(repl->ring, host_id);
    return member < 0 ? NULL : entry_at(repl, (size_t)member);
}

/* Latencies. */

static void remember_recent(struct repl *repl, struct repli_snitch *snitch, uint64_t latency_ns)
{
    struct repl_histogram *h = &snitch->recent;
    if (h->count >= RECENT_COUNT_MAX || repli_now(repl) >= snitch->halve_at_ns) {
        h->count = 0;
        for (size_t i = 0; i < REPL_HISTOGRAM_BUCKETS; i++)
            h->count += h->counts[i] /= 2;
        h->max_us = h->count ? h->max_us : 0;
        snitch->halve_at_ns = repli_now(repl) + RECENT_NS;
    }
    repl_histogram_add(h, latency_ns / 1000);
}

static void observe(struct repl *repl, struct entry *entry, uint64_t latency_ns)
{
    int64_t difference = (int64_t)latency_ns - (int64_t)entry->average_ns;
    entry->average_ns = entry->average_ns
                            ? (uint64_t)((int64_t)entry->average_ns + difference / WEIGHT)
                            : latency_ns;
    entry->average_ns += entry->average_ns == 0; /* 0 says that there is none */
    entry->retry_at_ns = repli_now(repl) + RETRY_NS;
}

void repli_snitch_observe(struct repl *repl, struct base_uuid host_id, uint64_t latency_ns)
{
    struct entry *entry = entry_of(repl, host_id);
    if (!entry)
        return;
    observe(repl, entry, latency_ns);
    if (entry->class != 0)
        remember_recent(repl, repl->snitch, latency_ns);
}

/* As a recent latency it counts although it is too small: it belongs to the slowest, and without it
 * every percentile would sink when the slowest are given up at it. */
void repli_snitch_observe_at_least(struct repl *repl, struct base_uuid host_id, uint64_t elapsed_ns)
{
    struct entry *entry = entry_of(repl, host_id);
    if (!entry)
        return;
    if (elapsed_ns > entry->average_ns)
        observe(repl, entry, elapsed_ns);
    if (entry->class != 0)
        remember_recent(repl, repl->snitch, elapsed_ns);
}

double repli_snitch_latency_ms(const struct repl *repl, struct base_uuid host_id)
{
    const struct entry *entry = entry_of(repl, host_id);
    return entry ? (double)entry->average_ns / 1e6 : 0;
}

uint64_t repli_snitch_percentile_ns(const struct repl *repl, double fraction)
{
    const struct repl_histogram *recent = &repl->snitch->recent;
    return recent->count < RECENT_COUNT_MIN ? 0
                                            : repl_histogram_percentile(recent, fraction) * 1000;
}

/* Order. */

static uint64_t score_ns(const struct repl *repl, struct entry *entry)
{
    uint64_t usual_ns = entry->class == 3 ? ELSEWHERE_NS : FLOOR_NS;
    if (entry->average_ns == 0)
        return usual_ns;
    if (repli_now(repl) >= entry->retry_at_ns) {
        entry->retry_at_ns = repli_now(repl) + RETRY_NS;
        return entry->average_ns < usual_ns ? entry->average_ns : usual_ns;
    }
    return entry->average_ns > FLOOR_NS ? entry->average_ns : FLOOR_NS;
}

static void sort_by_class(const struct repl *repl, uint16_t *members, size_t count)
{
    const struct repli_snitch *snitch = repl->snitch;
    size_t n = 0;
    for (uint8_t class = 0; class < CLASSES; class ++)
        for (size_t i = 0; i < count; i++)
            if (snitch->entries[members[i]].class == class)
                snitch->scratch[n++] = members[i];
    BASE_ASSERT(n == count);
    memcpy(members, snitch->scratch, count * sizeof *members);
}

/* By score, the order kept among equals; `members` (may be NULL) goes along. */
static void sort_by_score(uint64_t *scores, uint16_t *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t score = scores[i];
        uint16_t member = members ? members[i] : 0;
        size_t at = i;
        for (; at > 0 && scores[at - 1] > score; at--) {
            scores[at] = scores[at - 1];
            if (members)
                members[at] = members[at - 1];
        }
        scores[at] = score;
        if (members)
            members[at] = member;
    }
}

void repli_snitch_sort(struct repl *repl, uint16_t *members, size_t count)
{
    uint64_t scores[BY_SPEED_MAX], sorted[BY_SPEED_MAX];
    if (count < 2)
        return;
    BASE_ASSERT(count <= repl->ring->member_count);
    for (size_t i = 0; i < count; i++)
        if (!entry_at(repl, members[i]))
            return;
    sort_by_class(repl, members, count);
    if (count > BY_SPEED_MAX)
        return;
    for (size_t i = 0; i < count; i++)
        sorted[i] = scores[i] = score_ns(repl, &repl->snitch->entries[members[i]]);
    sort_by_score(sorted, NULL, count);
    double threshold = 1 + repl->config.dynamic_snitch_badness;
    bool bad = false;
    for (size_t i = 0; i < count && !bad; i++)
        bad = (double)scores[i] > (double)sorted[i] * threshold;
    if (bad)
        sort_by_score(scores, members, count);
}
