/* What gossip knows, for those who ask; and what this node tells of itself. */
#include "replication/gossip.h"

bool repli_gossip_is_alive(const struct repl *repl, struct base_uuid host_id)
{
    size_t at = repli_gossip_find(repl->gossip, host_id);
    if (repli_is_self(repl, host_id))
        return true;
    return at < repl->gossip->count && repl->gossip->peers[at]->alive;
}

static uint64_t known_epoch(const struct repli_gossip_peer *peer)
{
    return peer->heard_epoch > peer->state.epoch ? peer->heard_epoch : peer->state.epoch;
}

/* Drivers wait until all members tell one schema version: sooner than by gossip's rounds, since a
 * change is told with messages. */
void repli_gossip_heard_epoch(struct repl *repl, struct base_uuid host_id, uint64_t epoch)
{
    struct repli_gossip *gossip = repl->gossip;
    if (!gossip || epoch <= gossip->heard_by_all)
        return;
    size_t at = repli_gossip_find(gossip, host_id);
    if (at == gossip->count || known_epoch(gossip->peers[at]) >= epoch)
        return;
    gossip->peers[at]->heard_epoch = epoch;
    gossip->heard_by_all = epoch;
    for (size_t i = 0; i < gossip->count; i++)
        if (!gossip->peers[i]->self && known_epoch(gossip->peers[i]) < gossip->heard_by_all)
            gossip->heard_by_all = known_epoch(gossip->peers[i]);
}

void repli_gossip_get(const struct repl *repl, struct base_uuid host_id, struct repl_peer_info *out)
{
    const struct repli_gossip *gossip = repl->gossip;
    size_t at = repli_gossip_find(gossip, host_id);
    if (at == gossip->count)
        return;
    const struct repli_gossip_peer *peer = gossip->peers[at];
    const struct repli_gossip_state *state = repli_gossip_state_at(gossip, at);
    out->alive = peer->self || peer->alive;
    out->phi = peer->self ? 0 : repli_phi_value(&peer->phi, repli_now(repl));
    out->generation = state->generation;
    out->version = state->version;
    out->epoch = peer->self ? state->epoch : known_epoch(peer);
    out->load_bytes = state->load_bytes;
    out->native = state->native;
    out->down_since_ns = out->alive ? 0 : peer->down_since_ns;
}

void repli_gossip_set_load(struct repl *repl, uint64_t bytes)
{
    if (!repl->gossip || repl->gossip->own.load_bytes == bytes)
        return;
    repl->gossip->own.load_bytes = bytes;
    repli_gossip_own_changed(repl);
}

void repli_gossip_set_native(struct repl *repl, const struct repl_native *native)
{
    BASE_ASSERT(native->address_len == 0 || native->address_len == 4 || native->address_len == 16);
    BASE_ASSERT(memchr(native->release, 0, sizeof native->release));
    if (!repl->gossip)
        return;
    repl->gossip->own.native = *native;
    repli_gossip_own_changed(repl);
    repli_gossip_announce(repl); /* who asks a member for the others wants to be told of all */
}
