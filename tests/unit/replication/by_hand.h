/* A `struct repl` without a cluster around it, for the parts that look at ring, liveness and time
 * only. */
#ifndef TESTS_UNIT_REPLICATION_BY_HAND_H
#define TESTS_UNIT_REPLICATION_BY_HAND_H

#include "replication/gossip.h"
#include "tests/unit/ring/cluster_lib.h"

/* Of host `self` (a member, or not: then in dc, rack) over this state. */
static inline void by_hand_init(struct repl *repl, struct ring_state *state, size_t self,
                                const char *dc, const char *rack)
{
    struct base_err err;
    memset(repl, 0, sizeof *repl);
    repl_config_init(&repl->config);
    repl->config.host_id = host(self);
    repl->config.generation = 1;
    repl->config.dc = base_slice_str(dc);
    repl->config.rack = base_slice_str(rack);
    repl->ring = ring_state_acquire(state);
    repl->now_ns = 1000;
    ck_ok(repli_snitch_open(repl, &err), err);
    ck_ok(repli_gossip_open(repl, &err), err);
}

static inline void by_hand_fini(struct repl *repl)
{
    repli_gossip_close(repl);
    repli_snitch_close(repl);
    ring_state_release(repl->ring);
}

static inline void by_hand_alive(struct repl *repl, size_t n, bool alive)
{
    size_t at = repli_gossip_find(repl->gossip, host(n));
    ck_assert_uint_lt(at, repl->gossip->count);
    repl->gossip->peers[at]->alive = alive;
}

#endif
