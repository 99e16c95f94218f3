/* Whom a round of gossip speaks to. */
#include "replication/gossip.h"

static bool is_of(const struct repli_gossip_peer *peer, enum repli_gossip_kind kind)
{
    return !peer->self && (kind == REPLI_GOSSIP_SEED   ? peer->seed
                           : kind == REPLI_GOSSIP_LIVE ? peer->alive
                                                       : !peer->alive && !peer->state.shutdown);
}

size_t repli_gossip_count(const struct repli_gossip *gossip, enum repli_gossip_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < gossip->count; i++)
        n += is_of(gossip->peers[i], kind);
    return n;
}

struct repli_gossip_peer *repli_gossip_random(struct repl *repl, enum repli_gossip_kind kind,
                                              size_t count)
{
    struct repli_gossip *gossip = repl->gossip;
    uint64_t n = count ? base_random_u64(repl->ports.random) % count : 0;
    for (size_t i = 0; count && i < gossip->count; i++)
        if (is_of(gossip->peers[i], kind) && n-- == 0)
            return gossip->peers[i];
    return NULL;
}

struct repli_gossip_peer *repli_gossip_live_one(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    bool small = gossip->count <= REPLI_SMALL_CLUSTER_MAX;
    uint64_t oldest_ns = UINT64_MAX, n = 0;
    for (size_t i = 0; i < gossip->count; i++) {
        const struct repli_gossip_peer *peer = gossip->peers[i];
        if (!is_of(peer, REPLI_GOSSIP_LIVE) || repli_gossip_is_awaited(repl, peer))
            continue;
        if (small && peer->syn_ns < oldest_ns) {
            oldest_ns = peer->syn_ns;
            n = 0;
        }
        n += !small || peer->syn_ns == oldest_ns;
    }
    uint64_t chosen = n ? base_random_u64(repl->ports.random) % n : 0;
    for (size_t i = 0; n && i < gossip->count; i++) {
        struct repli_gossip_peer *peer = gossip->peers[i];
        if (is_of(peer, REPLI_GOSSIP_LIVE) && !repli_gossip_is_awaited(repl, peer) &&
            (!small || peer->syn_ns == oldest_ns) && chosen-- == 0)
            return peer;
    }
    return NULL;
}
