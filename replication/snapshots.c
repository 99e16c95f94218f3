/* The snapshots that everything is judged by: schema and members of one epoch, the placements made
 * of them, and what is known of each member. */
#include "replication/gossip.h"

struct base_schema *repl_schema(const struct repl *repl)
{
    return repl->schema;
}

struct ring_state *repl_ring(const struct repl *repl)
{
    return repl->ring;
}

uint64_t repl_epoch(const struct repl *repl)
{
    return repl->ring->epoch;
}

bool repli_is_self(const struct repl *repl, struct base_uuid host_id)
{
    return base_uuid_equal(repl->config.host_id, host_id);
}

int repli_self(const struct repl *repl)
{
    return repli_is_guest(repl) ? -1 : ring_member_find(repl->ring, repl->config.host_id);
}

void repli_placements_forget(struct repl *repl)
{
    for (size_t i = 0; i < repl->placement_count; i++)
        ring_placement_release(repl->placements[i].placement);
    repl->placement_count = 0;
}

const struct ring_placement *repl_placement(struct repl *repl, const struct base_keyspace *keyspace)
{
    const struct base_keyspace *own = base_schema_keyspace(repl->schema, keyspace->name);
    if (!own)
        return NULL;
    for (size_t i = 0; i < repl->placement_count; i++)
        if (repl->placements[i].replication.items == own->replication.items ||
            base_options_equal(&repl->placements[i].replication, &own->replication))
            return repl->placements[i].placement;
    struct ring_placement *placement;
    if (ring_placement_new(repl->ring, &own->replication, repl->config.host_id, &placement, NULL) !=
        BASE_OK)
        return NULL;
    if (repl->placement_count ==
        REPLI_PLACEMENTS_MAX) /* a cache: another one is made again when it is asked for */
        ring_placement_release(repl->placements[--repl->placement_count].placement);
    repl->placements[repl->placement_count++] =
        (struct repli_placement_entry){own->replication, placement};
    return placement;
}

void repli_publish(struct repl *repl, struct base_schema *schema, struct ring_state *ring)
{
    BASE_ASSERT(schema->epoch == ring->epoch && ring->epoch >= repl->ring->epoch);
    struct base_schema *old_schema = repl->schema;
    struct ring_state *old_ring = repl->ring;
    repli_placements_forget(repl);
    repl->schema = schema;
    repl->ring = ring;
    base_schema_release(old_schema);
    ring_state_release(old_ring);
    if (!repli_is_guest(repl))
        repli_gossip_on_epoch(repl);
    repli_snitch_on_epoch(repl);
    repli_reads_on_epoch(repl);
    repli_hints_on_epoch(repl);
    if (!repli_is_guest(repl))
        repli_join_on_epoch(repl);
    repli_behind_on_epoch(repl);
    if (repl->ports.changed)
        repl->ports.changed(repl->ports.ctx);
}

void repli_liveness_changed(struct repl *repl, size_t member, bool alive)
{
    BASE_ASSERT(member < repl->ring->member_count);
    if (alive)
        repli_hints_on_alive(repl, repl->ring->members[member].host_id);
    if (repl->ports.changed)
        repl->ports.changed(repl->ports.ctx);
}

bool repl_is_alive(const struct repl *repl, struct base_uuid host_id)
{
    return repli_is_guest(repl) ? repli_guest_is_alive(repl, host_id)
                                : repli_gossip_is_alive(repl, host_id);
}

void repl_peer_get(const struct repl *repl, size_t member, struct repl_peer_info *out)
{
    BASE_ASSERT(member < repl->ring->member_count);
    struct base_uuid host_id = repl->ring->members[member].host_id;
    *out = (struct repl_peer_info){.host_id = host_id};
    if (!repli_is_guest(repl))
        repli_gossip_get(repl, host_id, out);
    out->alive = repl_is_alive(repl, host_id);
    out->latency_ms = repli_snitch_latency_ms(repl, host_id);
    repli_hints_get(repl, host_id, &out->hints_bytes, &out->hint_count);
}

void repl_set_load(struct repl *repl, uint64_t bytes)
{
    repli_event_begin(repl);
    repli_gossip_set_load(repl, bytes);
    repli_event_end(repl);
}

void repl_set_native(struct repl *repl, const struct repl_native *native)
{
    repli_event_begin(repl);
    repli_gossip_set_native(repl, native);
    repli_event_end(repl);
}

const struct repl_stats *repl_get_stats(const struct repl *repl)
{
    return &repl->stats;
}
