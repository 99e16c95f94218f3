/* Somebody joins, seen by a member: whether this node holds rows (META_PROBE), and taking out who
 * does not finish.
 *
 * Invariants:
 *  1. META_PROBE is answered only when no write of ours is on its way to the store, and only to
 *     whose join stands: what was let in before the join is counted, and after it nothing is let
 *     in.
 *  2. A joiner that is dead, or joins for too long, is taken out by any member. It may try
 *     again. */
#include "replication/join.h"

#define PROBE_SETTLE_NS UINT64_C(5000000) /* writes are on their way: look again */
#define WATCH_NS UINT64_C(4000000000)
#define WATCH_DEAD_NS UINT64_C(30000000000)
#define WATCH_OLD_NS UINT64_C(300000000000)

static const struct base_uuid nobody;

static uint64_t spread(struct repl *repl, uint64_t ns)
{
    return ns / 2 + base_random_u64(repl->ports.random) % ns;
}

/* A joiner, seen by a member. */

static void watch_fired(struct repl *repl, struct repli_timer *timer)
{
    struct repli_join *j = repl->join;
    uint64_t now = repli_now(repl);
    repli_timer_arm_after(repl, timer, spread(repl, WATCH_NS));
    if (repl_is_alive(repl, j->watched))
        j->watched_alive_ns = now;
    if (j->proposing ||
        (now - j->watched_alive_ns < WATCH_DEAD_NS && now - j->watched_since_ns < WATCH_OLD_NS))
        return;
    char text[37];
    base_uuid_print(j->watched, text);
    base_logf(repl->ports.log, BASE_LOG_WARN,
              "cluster: host %s does not finish its join: it is taken out", text);
    repli_join_propose(
        repl, &(struct ring_change){.kind = RING_CHANGE_JOIN_ABORT, .host_id = j->watched});
}

void repli_join_watch(struct repl *repl)
{
    struct repli_join *j = repl->join;
    int self = repli_self(repl);
    bool member = self >= 0 && repl->ring->members[self].state == RING_MEMBER_NORMAL;
    struct base_uuid joiner = member ? repl->ring->freeze : nobody;
    if (base_uuid_equal(joiner, j->watched))
        return;
    j->watched = joiner;
    j->watched_since_ns = j->watched_alive_ns = repli_now(repl);
    j->watch.fired = watch_fired;
    if (base_uuid_equal(joiner, nobody))
        repli_timer_disarm(repl, &j->watch);
    else
        repli_timer_arm_after(repl, &j->watch, spread(repl, WATCH_NS));
}

/* META_PROBE. */

struct repli_probe_serve {
    struct repl *repl;
    struct repl_inbound *in;
    struct repl_store_op op;
    struct repli_timer timer;
    /* until then hints and batches may come to an end, or turn out to be none (they are counted at
     * a start) */
    uint64_t patience_ns;
    bool submitted;
    struct repli_probe_serve *next;
};

static void probe_serve_free(struct repli_probe_serve *serve)
{
    struct repli_probe_serve **at = &serve->repl->join->serving;
    while (*at != serve)
        at = &(*at)->next;
    *at = serve->next;
    repli_timer_disarm(serve->repl, &serve->timer);
    free(serve);
}

static void probe_served(struct repli_probe_serve *serve)
{
    struct repl *repl = serve->repl;
    uint8_t flags = (uint8_t)((serve->op.holds_data ? REPLI_HOLDS_DATA : 0) |
                              (repli_hints_any(repl) ? REPLI_HOLDS_HINTS : 0) |
                              (repli_batchlog_any(repl) ? REPLI_HOLDS_BATCHES : 0));
    if (serve->op.rc == BASE_OK)
        repli_reply(repl, serve->in, base_slice(&flags, 1));
    else
        repli_reply_failure(repl, serve->in, serve->op.rc, (struct base_slice){0},
                            serve->op.err.text);
    probe_serve_free(serve);
}

static void probe_op_done(struct repl_store_op *op)
{
    probe_served(op->ctx);
}

/* Once nothing that was let in before the join is on its way to the store any more (1). */
static void probe_store(struct repl *repl, struct repli_timer *timer)
{
    struct repli_probe_serve *serve = BASE_CONTAINER(timer, struct repli_probe_serve, timer);
    if (repli_is_expired(repl, serve->in)) {
        repli_drop(repl, serve->in);
        probe_serve_free(serve);
    } else if (!base_uuid_equal(repl->ring->freeze, serve->in->message.sender)) {
        repli_reply_failure(repl, serve->in, BASE_E_STALE, (struct base_slice){0},
                            "no join of yours stands here");
        probe_serve_free(serve);
    } else if (repl->store_writes > 0 || (repli_now(repl) < serve->patience_ns &&
                                          (repli_hints_any(repl) || repli_batchlog_any(repl)))) {
        repli_timer_arm_after(repl, timer, PROBE_SETTLE_NS);
    } else {
        serve->op =
            (struct repl_store_op){.kind = REPL_STORE_PROBE, .done = probe_op_done, .ctx = serve};
        serve->submitted = true;
        if (repli_store_submit(repl, &serve->op) == REPL_DONE)
            probe_served(serve);
    }
}

void repli_probe_handle(struct repl *repl, struct repl_inbound *in)
{
    struct repli_probe_serve *serve = repli_is_expired(repl, in) ? NULL : calloc(1, sizeof *serve);
    if (!serve) {
        repli_drop(repl, in); /* it is asked again */
        return;
    }
    serve->repl = repl;
    serve->in = in;
    serve->timer.fired = probe_store;
    serve->patience_ns = repli_now(repl) + (in->deadline_ns - repli_now(repl)) / 2;
    serve->next = repl->join->serving;
    repl->join->serving = serve;
    probe_store(repl, &serve->timer);
}

void repli_probe_close(struct repl *repl)
{
    struct repli_join *j = repl->join;
    repli_timer_disarm(repl, &j->watch);
    while (j->serving) {
        BASE_ASSERT(!j->serving->submitted);
        repli_drop(repl, j->serving->in);
        probe_serve_free(j->serving);
    }
}
