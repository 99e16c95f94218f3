/* Consistency levels: how many replicas must answer, and whether enough of them live (Cassandra:
 * ConsistencyLevel, ReplicaPlans.assureSufficientLiveReplicas).
 *
 * Invariants:
 *  1. What is required follows the replication factor, not how many members there are: a cluster
 *     that is too small for it is unavailable.
 *  2. A write waits for one acknowledgment more for each pending owner, so that when it has become
 *     an owner a quorum of the owners has the row (Cassandra: blockForWrite). A level of our data
 *     centre only counts pending owners there. */
#include "replication/replication_private.h"

const char *repli_consistency_name(int consistency)
{
    static const char *const names[] = {
        "ANY",          "ONE",         "TWO",    "THREE",        "QUORUM",    "ALL",
        "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE",
    };
    return consistency >= 0 && consistency < (int)BASE_COUNT(names) ? names[consistency]
                                                                    : "UNKNOWN";
}

static unsigned quorum_of(unsigned rf)
{
    return rf / 2 + 1;
}

static unsigned each_quorum_of(const struct ring_placement *placement)
{
    unsigned n = 0;
    for (size_t i = 0; i < placement->dc_count; i++)
        n += quorum_of(placement->dcs[i].rf);
    return n;
}

int repli_need_of(const struct repl *repl, const struct ring_placement *placement, int consistency,
                  bool is_write, struct repli_need *out, struct base_err *err)
{
    *out = (struct repli_need){.consistency = consistency, .required = 1};
    if (consistency < REPL_CL_ANY || consistency > REPL_CL_LOCAL_ONE) {
        *out = (struct repli_need){0};
        return base_err_set(err, BASE_E_INVALID, "%d is no consistency level", consistency);
    }
    switch ((enum repl_consistency)consistency) {
    case REPL_CL_ANY:
        if (is_write)
            return BASE_OK;
        *out = (struct repli_need){0};
        return base_err_set(err, BASE_E_INVALID,
                            "ANY ConsistencyLevel is only supported for writes");
    case REPL_CL_ONE:
        return BASE_OK;
    case REPL_CL_TWO:
        out->required = 2;
        return BASE_OK;
    case REPL_CL_THREE:
        out->required = 3;
        return BASE_OK;
    case REPL_CL_QUORUM:
        out->required = quorum_of(placement->rf_total);
        return BASE_OK;
    case REPL_CL_ALL:
        out->required = placement->rf_total;
        return BASE_OK;
    case REPL_CL_LOCAL_ONE:
        out->local_only = true;
        return BASE_OK;
    case REPL_CL_LOCAL_QUORUM:
        out->local_only = true;
        out->required = quorum_of(ring_placement_rf(placement, repl->config.dc));
        return BASE_OK;
    case REPL_CL_EACH_QUORUM: /* without data centres in the strategy it is QUORUM */
        out->each_dc = placement->per_dc;
        out->required =
            placement->per_dc ? each_quorum_of(placement) : quorum_of(placement->rf_total);
        return BASE_OK;
    case REPL_CL_SERIAL:
    case REPL_CL_LOCAL_SERIAL:
        break;
    }
    *out = (struct repli_need){0};
    if (is_write)
        return base_err_set(
            err, BASE_E_INVALID,
            "You must use conditional updates for serializable writes: %s is not a level of a "
            "plain write",
            repli_consistency_name(consistency));
    return base_err_set(err, BASE_E_INVALID,
                        "reads at %s need Paxos for rows, which this version does not have: use %s",
                        repli_consistency_name(consistency),
                        consistency == REPL_CL_SERIAL ? "QUORUM" : "LOCAL_QUORUM");
}

static bool in_dc(const struct ring_placement *placement, uint16_t member, struct base_slice dc)
{
    BASE_ASSERT(member < placement->state->member_count);
    return base_slice_equal(placement->state->members[member].dc, dc);
}

static bool set_has(const struct ring_set *set, uint16_t member)
{
    for (uint16_t i = 0; i < set->count; i++)
        if (set->members[i] == member)
            return true;
    return false;
}

/* Of our data centre only, if the level is of it. */
static unsigned count_pending(const struct repl *repl, const struct repli_need *need,
                              const struct ring_placement *placement,
                              const struct ring_range *range)
{
    unsigned n = 0;
    if (range->read.count == range->write.count &&
        (range->read.count == 0 || memcmp(range->read.members, range->write.members,
                                          range->read.count * sizeof *range->read.members) == 0))
        return 0; /* nearly always */
    for (uint16_t i = 0; i < range->write.count; i++) {
        uint16_t member = range->write.members[i];
        if (!set_has(&range->read, member) &&
            (!need->local_only || in_dc(placement, member, repl->config.dc)))
            n++;
    }
    return n;
}

/* Live ones of the set; with `dc`, of that data centre. */
static unsigned count_alive(const struct repl *repl, const struct ring_placement *placement,
                            const struct ring_set *set, const struct base_slice *dc)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < set->count; i++)
        if ((!dc || in_dc(placement, set->members[i], *dc)) &&
            repl_is_alive(repl, placement->state->members[set->members[i]].host_id))
            n++;
    return n;
}

unsigned repli_need_required(const struct repl *repl, const struct repli_need *need,
                             const struct ring_placement *placement, const struct ring_range *range,
                             bool is_write)
{
    bool waits_for_pending = is_write && need->consistency != REPL_CL_ANY;
    return need->required + (waits_for_pending ? count_pending(repl, need, placement, range) : 0);
}

int repli_check_alive(const struct repl *repl, const struct repli_need *need,
                      const struct ring_placement *placement, const struct ring_range *range,
                      bool is_write, struct repl_outcome *outcome)
{
    const struct ring_set *set = is_write ? &range->write : &range->read;
    const char *name = repli_consistency_name(need->consistency);
    BASE_ASSERT(need->required > 0);
    outcome->consistency = need->consistency;
    outcome->required = repli_need_required(repl, need, placement, range, is_write);
    outcome->alive = count_alive(repl, placement, set, need->local_only ? &repl->config.dc : NULL);
    if (need->consistency == REPL_CL_ANY)
        return BASE_OK; /* a hint will do */
    for (size_t i = 0; need->each_dc && i < placement->dc_count; i++) {
        struct base_slice dc = placement->dcs[i].dc;
        unsigned required = quorum_of(placement->dcs[i].rf),
                 alive = count_alive(repl, placement, set, &dc);
        if (alive >= required)
            continue;
        outcome->required = required;
        outcome->alive = alive;
        return base_err_set(&outcome->err, BASE_E_UNAVAILABLE,
                            "Cannot achieve consistency level %s in DC %.*s: %u required, %u alive",
                            name, BASE_SLICE_ARG(dc), required, alive);
    }
    if (need->each_dc || outcome->alive >= outcome->required)
        return BASE_OK;
    return base_err_set(&outcome->err, BASE_E_UNAVAILABLE,
                        "Cannot achieve consistency level %s: %u required, %u alive", name,
                        outcome->required, outcome->alive);
}
