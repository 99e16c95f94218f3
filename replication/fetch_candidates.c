/* Whom a fetch may ask, the best first: live replicas, nearest and least loaded (snitch.c). */
#include "replication/reads_private.h"

static bool is_local_dc(const struct repl *repl, uint16_t member)
{
    return base_slice_equal(repl->ring->members[member].dc, repl->config.dc);
}

static bool reserve_members(struct repli_fetch *f, size_t count)
{
    if (count <= f->member_cap)
        return true;
    uint16_t *larger = realloc(f->members, count * sizeof *larger);
    if (!larger)
        return false;
    f->members = larger;
    f->member_cap = count;
    return true;
}

/* EACH_QUORUM: of each data centre the first of its quorum before all others. */
static void quorums_first(struct repli_fetch *f, const struct ring_placement *placement)
{
    const struct ring_member *members = f->repl->ring->members;
    size_t front = 0;
    for (size_t i = 0; i < f->member_count; i++) {
        struct base_slice dc = members[f->members[i]].dc;
        unsigned have = 0;
        for (size_t j = 0; j < front; j++)
            have += base_slice_equal(members[f->members[j]].dc, dc);
        if (have >= ring_placement_rf(placement, dc) / 2 + 1)
            continue;
        uint16_t member = f->members[i];
        memmove(f->members + front + 1, f->members + front, (i - front) * sizeof *f->members);
        f->members[front++] = member;
    }
}

int repli_fetch_candidates(struct repli_fetch *f, const struct repli_need *need,
                           const struct ring_placement *placement, const struct ring_set *set)
{
    struct repl *repl = f->repl;
    f->member_count = 0;
    if (!reserve_members(f, set->count))
        return BASE_E_NOMEM;
    for (size_t i = 0; i < set->count; i++) {
        uint16_t member = set->members[i];
        if (repl_is_alive(repl, repl->ring->members[member].host_id) &&
            (!need->local_only || is_local_dc(repl, member)))
            f->members[f->member_count++] = member;
    }
    repli_snitch_sort(repl, f->members, f->member_count);
    if (need->each_dc)
        quorums_first(f, placement);
    return BASE_OK;
}
