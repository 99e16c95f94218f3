/* Who is alive: liveness gossip, and the verdicts over it (Cassandra: Gossiper, FailureDetector).
 *
 * Once in gossip_interval a node's version goes up, and it exchanges what it knows with one live
 * member, now and then with a dead one and a seed: syn (its own state, and generation and version
 * of all it knows) → ack (what is newer there, and what is wanted) → ack2 (what was wanted). Schema
 * and membership come by the metadata log, not from here: only epochs do.
 *
 * Invariants:
 *  1. peers are the ring's members in their order, unless `stale`; exactly one of them may be
 *     ourselves.
 *  2. A peer becomes alive only by an answer of its own to a question of ours (an ECHO or a syn),
 *     never by hearsay, nor by a request of its own, which does not show that we reach it. So who
 *     is heard of, but not reached, stays dead.
 *  3. A peer becomes dead by phi; by saying that it shuts down; by a new generation (it was away),
 *     but not by the one whose answer made it alive, which others may tell us of only later; or
 *     when a message to it, and an ECHO a round later, could certainly not be delivered (a killed
 *     process refuses connections: that is seen in 2 seconds, phi needs 18).
 *  4. alive → generation > 0 and at least one heartbeat in phi.
 *  5. At most one call to a peer is under way, and at most ECHOES_MAX ECHOs; the others wait in the
 *     queue. */
#include "replication/gossip.h"

#include "base/checksum.h"

#define ECHOES_MAX 64
#define BODY_LEN_MAX ((size_t)1 << 20)
#define CALL_INTERVALS 5 /* a call's timeout, in gossip intervals */
/* a longer time between rounds means that we were stopped (Cassandra: max_local_pause, 5 s) */
#define PAUSE_INTERVALS 5
#define TRIES_MAX 3         /* doublings of the patience with an ECHO: to 4 intervals */
#define AWAITED_INTERVALS 3 /* so long nothing else is sent to the same peer */
/* quick rounds after the start and after members came to a small cluster … */
#define GREETINGS 10
#define GREETING_PARTS 4 /* … so many in an interval */
#define LEAVE_TELLS_MAX 64

static void syn_start(struct repl *repl, struct repli_gossip_peer *peer);
static void call_done(struct repl *repl, struct repli_call *call, int rc,
                      const struct base_message *reply);

static bool is_member(const struct repli_gossip *gossip, const struct repli_gossip_peer *peer)
{
    return repli_gossip_find(gossip, peer->host_id) < gossip->count;
}

static struct repli_peer peer_address(const struct repl *repl, const struct repli_gossip_peer *peer)
{
    int member = ring_member_find(repl->ring, peer->host_id);
    static const struct repli_peer nobody;
    return member < 0 ? nobody : repli_member_peer(repl, (size_t)member);
}

/* Verdicts. */

static void verdict(struct repl *repl, struct repli_gossip_peer *peer, bool alive, const char *why)
{
    BASE_ASSERT(peer->alive != alive && !peer->self);
    BASE_ASSERT(!alive || (peer->state.generation > 0 && !peer->state.shutdown));
    peer->alive = alive;
    peer->suspect = false;
    peer->down_since_ns = alive ? 0 : repli_now(repl);
    char id[37];
    base_uuid_print(peer->host_id, id);
    struct base_slice address = peer_address(repl, peer).address;
    base_logf(repl->ports.log, BASE_LOG_INFO, "gossip: node %s (%.*s) is now %s: %s", id,
              BASE_SLICE_ARG(address), alive ? "UP" : "DOWN", why);
    int member = ring_member_find(repl->ring, peer->host_id);
    if (member >= 0)
        repli_liveness_changed(repl, (size_t)member, alive);
}

/* The peer answered a question of ours. */
static void answered(struct repl *repl, struct repli_gossip_peer *peer, uint32_t generation)
{
    peer->suspect = false;
    peer->tries = 0;
    if (peer->alive || peer->state.generation == 0 || peer->state.shutdown)
        return;
    repli_phi_touch(&peer->phi, repli_now(repl));
    peer->alive_generation = generation;
    verdict(repl, peer, true, "it answers");
}

static void undelivered(struct repl *repl, struct repli_gossip_peer *peer)
{
    if (!peer->alive)
        return;
    if (!peer->suspect) {
        peer->suspect = true;
        peer->suspect_ns = repli_now(repl);
    } else if (repli_now(repl) - peer->suspect_ns >= repl->config.gossip_interval_ns / 2) {
        verdict(repl, peer, false, "it cannot be connected to");
    }
}

void repli_gossip_on_undelivered(struct repl *repl, struct base_uuid host_id)
{
    struct repli_gossip *gossip = repl->gossip;
    size_t at = repli_gossip_find(gossip, host_id);
    if (at < gossip->count)
        undelivered(repl, gossip->peers[at]);
}

/* ECHO. */

static void call_start(struct repl *repl, struct repli_gossip_peer *peer, enum repl_verb verb,
                       struct base_slice body)
{
    BASE_ASSERT(!peer->call.pending);
    struct repli_peer to = peer_address(repl, peer);
    if (to.address.len == 0)
        return;
    peer->call.done = call_done;
    peer->call_is_echo = verb == REPL_VERB_ECHO;
    repl->gossip->echo_count += peer->call_is_echo;
    repl->stats.gossip_bytes += body.len;
    repli_call_start(repl, &peer->call, to, REPL_LANE_GOSSIP, verb, body,
                     repl->config.gossip_interval_ns * CALL_INTERVALS);
}

static void call_forget(struct repl *repl, struct repli_gossip_peer *peer)
{
    if (peer->call.pending && peer->call_is_echo)
        repl->gossip->echo_count--;
    repli_call_cancel(repl, &peer->call);
}

/* Its answer may still come. */
bool repli_gossip_is_awaited(const struct repl *repl, const struct repli_gossip_peer *peer)
{
    return peer->call.pending && repli_now(repl) - peer->call.sent_ns <
                                     repl->config.gossip_interval_ns * AWAITED_INTERVALS;
}

static void echo_start(struct repl *repl, struct repli_gossip_peer *peer)
{
    call_start(repl, peer, REPL_VERB_ECHO, (struct base_slice){0});
}

/* A peer that we think dead shows a heartbeat: ask it. A call that is under way will tell as well,
 * but not one that it may never have got: from before it started anew, or for long; how long
 * doubles, so that a slow one's answer is waited for. */
static void echo_wanted(struct repl *repl, struct repli_gossip_peer *peer, bool restarted)
{
    struct repli_gossip *gossip = repl->gossip;
    if (peer->alive || peer->state.shutdown || peer->queued || peer == gossip->answering)
        return;
    uint64_t patience_ns = (repl->config.gossip_interval_ns / 2) << peer->tries;
    bool old = repli_now(repl) - peer->call.sent_ns >= patience_ns;
    if (!old && !restarted && peer->call.sent_ns >= peer->down_since_ns)
        return;
    call_forget(repl, peer);
    peer->tries = restarted ? 0 : peer->tries < TRIES_MAX ? (uint8_t)(peer->tries + 1) : TRIES_MAX;
    if (gossip->echo_count < ECHOES_MAX) {
        echo_start(repl, peer);
        return;
    }
    peer->queued = true;
    peer->queue_next = NULL;
    *gossip->queue_end = peer;
    gossip->queue_end = &peer->queue_next;
}

static void echo_next(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    while (gossip->queue && gossip->echo_count < ECHOES_MAX) {
        struct repli_gossip_peer *peer = gossip->queue;
        gossip->queue = peer->queue_next;
        if (!gossip->queue)
            gossip->queue_end = &gossip->queue;
        peer->queued = false;
        if (!peer->alive && !peer->state.shutdown && !peer->call.pending)
            echo_start(repl, peer);
    }
}

static void queue_leave(struct repli_gossip *gossip, struct repli_gossip_peer *peer)
{
    struct repli_gossip_peer **at = &gossip->queue;
    while (peer->queued && *at != peer)
        at = &(*at)->queue_next;
    if (!peer->queued)
        return;
    *at = peer->queue_next;
    if (!*at)
        gossip->queue_end = at;
    peer->queued = false;
}

/* What others tell. */

/* Our own version goes up. */
void repli_gossip_own_changed(struct repl *repl)
{
    struct repli_gossip_state *own = &repl->gossip->own;
    own->version++;
    own->detail_version = own->version;
    own->epoch = repl_epoch(repl);
}

/* Somebody knows of us what we have not said: our directory is an older copy, or the count of
 * starts was lost. We go on from there, else nobody would believe us. */
static void told_of_ourselves(struct repl *repl, const struct repli_gossip_state *state)
{
    struct repli_gossip_state *own = &repl->gossip->own;
    if (!repli_gossip_newer(state, own) || state->generation == UINT32_MAX)
        return;
    base_logf(
        repl->ports.log, BASE_LOG_WARN,
        "gossip: others know generation %u, version %u of this node, which is at %u, %u; going on "
        "from theirs (is a copy of this node's directory in use elsewhere?)",
        state->generation, state->version, own->generation, own->version);
    bool room = state->version < UINT32_MAX / 2; /* a version never wraps */
    own->generation = state->generation + !room;
    own->version = room ? state->version : 0;
    repli_gossip_own_changed(repl);
}

static bool serves_elsewhere(const struct repl_native *a, const struct repl_native *b)
{
    return a->port != b->port || a->address_len != b->address_len ||
           memcmp(a->address, b->address, sizeof a->address) != 0;
}

static void learn(struct repl *repl, struct repli_gossip_peer *peer,
                  const struct repli_gossip_entry *entry)
{
    struct repli_gossip_state *have = &peer->state;
    if (peer->self)
        told_of_ourselves(repl, &entry->state);
    if (peer->self || !repli_gossip_newer(&entry->state, have))
        return;
    bool restarted = have->generation != entry->state.generation;
    if (restarted && !entry->has_detail)
        return; /* its sender took us for somebody who has it */
    have->generation = entry->state.generation;
    have->version = entry->state.version;
    have->shutdown = entry->state.shutdown;
    bool moved = entry->has_detail && serves_elsewhere(&have->native, &entry->state.native);
    if (entry->has_detail) {
        have->detail_version = entry->state.detail_version;
        have->epoch = entry->state.epoch;
        have->load_bytes = entry->state.load_bytes;
        have->native = entry->state.native;
    }
    if (restarted)
        repli_phi_reset(&peer->phi);
    repli_phi_arrived(&peer->phi, repli_now(repl));
    if (peer->alive && have->shutdown)
        verdict(repl, peer, false, "it shut down");
    else if (peer->alive && restarted && have->generation != peer->alive_generation)
        verdict(repl, peer, false, "it started anew");
    echo_wanted(repl, peer, restarted);
    if (moved && repl->ports.changed) /* clients are told */
        repl->ports.changed(repl->ports.ctx);
}

/* The greatest epoch that a live member told: whoever missed what was said of it asks there. */
static void catch_up(struct repl *repl)
{
    const struct repli_gossip *gossip = repl->gossip;
    const struct repli_gossip_peer *first = NULL;
    for (size_t i = 0; i < gossip->count; i++)
        if (gossip->peers[i]->alive &&
            gossip->peers[i]->state.epoch > (first ? first->state.epoch : repl_epoch(repl)))
            first = gossip->peers[i];
    if (first)
        repli_metadata_behind(repl, first->host_id, first->state.epoch);
}

/* Entries to the body's end: states are learnt, what is wanted goes into `answer` (may be NULL).
 * False: damaged. */
static bool take_entries(struct repl *repl, struct base_reader *in,
                         struct repli_gossip_cursor *cursor, struct base_buf *answer,
                         struct repli_gossip_cursor *answer_cursor)
{
    struct repli_gossip *gossip = repl->gossip;
    while (base_reader_left(in)) {
        struct repli_gossip_entry entry;
        if (!repli_gossip_get_entry(gossip, in, cursor, &entry))
            return false;
        if (!entry.peer)
            continue;
        size_t at = repli_gossip_find(gossip, entry.peer->host_id);
        if (!entry.wanted) {
            learn(repl, entry.peer, &entry);
        } else if (answer && at >= answer_cursor->next &&
                   repli_gossip_newer(repli_gossip_state_at(gossip, at), &entry.state)) {
            if (repli_gossip_put_state(gossip, answer, answer_cursor, at, &entry.state) != BASE_OK)
                return true; /* out of memory: the next round says it */
        }
    }
    return true;
}

/* An exchange. */

static void syn_start(struct repl *repl, struct repli_gossip_peer *peer)
{
    struct repli_gossip *gossip = repl->gossip;
    struct repli_gossip_cursor cursor;
    static const struct repli_gossip_state nothing;
    size_t self = repli_gossip_find(gossip, repl->config.host_id);
    if (repli_gossip_is_awaited(repl, peer))
        return;
    call_forget(repl, peer);
    peer->syn_ns = repli_now(repl);
    base_buf_reset(&gossip->body);
    int rc = repli_gossip_put_head(
        gossip, &gossip->body, peer->by_id ? REPLI_GOSSIP_BY_ID : REPLI_GOSSIP_BY_INDEX, &cursor);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&gossip->body, self < gossip->count);
    if (rc == BASE_OK && self < gossip->count)
        rc = repli_gossip_put_state(gossip, &gossip->body, &cursor, self, &nothing);
    if (rc == BASE_OK)
        rc = repli_gossip_put_digests(gossip, &gossip->body, &cursor);
    if (rc == BASE_OK)
        call_start(repl, peer, REPL_VERB_GOSSIP, base_buf_view(&gossip->body));
}

static void on_ack(struct repl *repl, struct repli_gossip_peer *peer,
                   const struct base_message *reply)
{
    struct repli_gossip *gossip = repl->gossip;
    struct base_reader in = base_reader(reply->body);
    struct repli_gossip_cursor cursor, answer_cursor;
    bool fits;
    if (!repli_gossip_get_head(gossip, &in, &cursor, &fits))
        return;
    if (cursor.form == REPLI_GOSSIP_MISMATCH && !peer->by_id) {
        peer->by_id = true;
        answered(repl, peer, reply->generation);
        syn_start(repl, peer);
        return;
    }
    if (cursor.form == REPLI_GOSSIP_BY_INDEX)
        peer->by_id = false;
    base_buf_reset(&gossip->body);
    if (repli_gossip_put_head(gossip, &gossip->body, cursor.form, &answer_cursor) != BASE_OK)
        return;
    size_t head_len = gossip->body.len;
    gossip->answering = peer;
    bool readable = !fits || take_entries(repl, &in, &cursor, &gossip->body, &answer_cursor);
    gossip->answering = NULL;
    answered(repl, peer, reply->generation);
    if (!readable)
        base_logf(repl->ports.log, BASE_LOG_WARN, "gossip: an answer cannot be read to its end");
    if (gossip->body.len == head_len)
        return;
    repl->stats.gossip_bytes += gossip->body.len;
    repli_tell(repl, peer_address(repl, peer), REPL_LANE_GOSSIP, REPL_VERB_GOSSIP_ACK2,
               base_buf_view(&gossip->body));
}

/* A call that is under way carries what we were before: then when it has ended. */
static void tell(struct repl *repl, struct repli_gossip_peer *peer)
{
    if (!peer->alive || repli_gossip_is_awaited(repl, peer))
        return;
    peer->tell = false;
    syn_start(repl, peer);
}

void repli_gossip_announce(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    if (gossip->count > REPLI_SMALL_CLUSTER_MAX)
        return;
    for (size_t i = 0; i < gossip->count; i++) {
        gossip->peers[i]->tell = !gossip->peers[i]->self;
        if (gossip->peers[i]->tell)
            tell(repl, gossip->peers[i]);
    }
}

static void call_done(struct repl *repl, struct repli_call *call, int rc,
                      const struct base_message *reply)
{
    struct repli_gossip_peer *peer = BASE_CONTAINER(call, struct repli_gossip_peer, call);
    BASE_ASSERT(is_member(repl->gossip, peer));
    if (peer->call_is_echo)
        repl->gossip->echo_count--;
    if (rc == BASE_OK && peer->call_is_echo)
        answered(repl, peer, reply->generation);
    else if (rc == BASE_OK)
        on_ack(repl, peer, reply);
    if (peer->tell)
        tell(repl, peer);
    echo_next(repl);
}

/* What is newer here than in a digest goes into the ack, and what is newer there is asked for. */
static int compare_digests(struct repl *repl, struct base_reader *in,
                           struct repli_gossip_cursor *cursor, struct base_buf *ack,
                           struct repli_gossip_cursor *ack_cursor, bool *damaged)
{
    struct repli_gossip *gossip = repl->gossip;
    int rc = BASE_OK;
    *damaged = false;
    while (rc == BASE_OK && base_reader_left(in)) {
        struct repli_gossip_state theirs;
        size_t at;
        *damaged = !repli_gossip_get_digest(gossip, in, cursor, &at, &theirs);
        if (*damaged)
            return BASE_OK;
        if (at == gossip->count || at < ack_cursor->next)
            continue;
        const struct repli_gossip_state *ours = repli_gossip_state_at(gossip, at);
        if (gossip->peers[at]->self)
            told_of_ourselves(repl, &theirs);
        if (repli_gossip_newer(ours, &theirs))
            rc = repli_gossip_put_state(gossip, ack, ack_cursor, at, &theirs);
        else if (repli_gossip_newer(&theirs, ours))
            rc = repli_gossip_put_wanted(gossip, ack, ack_cursor, at);
    }
    return rc;
}

static void handle_syn(struct repl *repl, struct repl_inbound *in)
{
    struct repli_gossip *gossip = repl->gossip;
    struct base_reader reader = base_reader(in->message.body);
    struct repli_gossip_cursor cursor, ack_cursor;
    struct repli_gossip_entry entry;
    bool fits, damaged = true;
    uint8_t has_self;
    int rc = BASE_OK;
    base_buf_reset(&gossip->body);
    if (!repli_gossip_get_head(gossip, &reader, &cursor, &fits))
        goto out;
    damaged = false;
    if (!fits) {
        rc = repli_gossip_put_head(gossip, &gossip->body, REPLI_GOSSIP_MISMATCH, &ack_cursor);
        goto out;
    }
    struct repli_gossip_cursor digests = cursor;
    damaged = !base_get_u8(&reader, &has_self) || has_self > 1 ||
              (has_self && !repli_gossip_get_entry(gossip, &reader, &cursor, &entry));
    if (!damaged && has_self && entry.peer && !entry.wanted)
        learn(repl, entry.peer, &entry);
    if (!damaged)
        rc = repli_gossip_put_head(gossip, &gossip->body,
                                   cursor.same_list ? REPLI_GOSSIP_BY_INDEX : REPLI_GOSSIP_BY_ID,
                                   &ack_cursor);
    if (!damaged && rc == BASE_OK)
        rc = compare_digests(repl, &reader, &digests, &gossip->body, &ack_cursor, &damaged);
out:
    if (damaged)
        repli_reply_failure(repl, in, BASE_E_CORRUPT, (struct base_slice){0},
                            "gossip: the digests cannot be read");
    else if (rc != BASE_OK)
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, base_err_words(rc));
    else {
        repl->stats.gossip_bytes += gossip->body.len;
        repli_reply(repl, in, base_buf_view(&gossip->body));
    }
}

static void handle_ack2(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct repli_gossip_cursor cursor;
    bool fits;
    if (repli_gossip_get_head(repl->gossip, &reader, &cursor, &fits) && fits &&
        !take_entries(repl, &reader, &cursor, NULL, NULL))
        base_logf(repl->ports.log, BASE_LOG_WARN, "gossip: a message cannot be read to its end");
    repli_drop(repl, in);
}

static void handle_liveness(struct repl *repl, struct repl_inbound *in)
{
    struct base_buf *body = &repl->gossip->body;
    base_buf_reset(body);
    int rc = repli_gossip_put_liveness(repl, body);
    if (rc == BASE_OK)
        repli_reply(repl, in, base_buf_view(body));
    else
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, base_err_words(rc));
}

void repli_gossip_handle(struct repl *repl, struct repl_inbound *in)
{
    switch ((enum repl_verb)in->message.verb) {
    case REPL_VERB_GOSSIP:
        handle_syn(repl, in);
        return;
    case REPL_VERB_GOSSIP_ACK2:
        handle_ack2(repl, in);
        return;
    case REPL_VERB_LIVENESS:
        handle_liveness(repl, in);
        return;
    default:
        BASE_ASSERT(in->message.verb == REPL_VERB_ECHO);
        repli_reply(repl, in, (struct base_slice){0});
    }
}

/* A round. */

static bool with_chance(struct repl *repl, size_t of, size_t in)
{
    return of > 0 && (of >= in || base_random_u64(repl->ports.random) % in < of);
}

static void exchange(struct repl *repl)
{
    const struct repli_gossip *gossip = repl->gossip;
    size_t live = repli_gossip_count(gossip, REPLI_GOSSIP_LIVE),
           dead = repli_gossip_count(gossip, REPLI_GOSSIP_DEAD),
           seeds = repli_gossip_count(gossip, REPLI_GOSSIP_SEED);
    struct repli_gossip_peer *peer = repli_gossip_live_one(repl);
    if (peer)
        syn_start(repl, peer);
    bool seeded = peer && peer->seed;
    if (with_chance(repl, dead, live + 1))
        syn_start(repl, repli_gossip_random(repl, REPLI_GOSSIP_DEAD, dead));
    if ((!seeded || live < seeds) &&
        (live == 0 ? seeds > 0 : with_chance(repl, seeds, live + dead)))
        syn_start(repl, repli_gossip_random(repl, REPLI_GOSSIP_SEED, seeds));
}

static void convict(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    uint64_t now = repli_now(repl), interval = repl->config.gossip_interval_ns;
    if (gossip->round_ns && now - gossip->round_ns > interval * PAUSE_INTERVALS) {
        base_logf(repl->ports.log, BASE_LOG_WARN,
                  "gossip: this node was stopped for %.1f s; nobody is marked down for that",
                  (double)(now - gossip->round_ns) / 1e9);
        gossip->spare_until_ns = now + interval * PAUSE_INTERVALS;
    }
    for (size_t i = 0; i < gossip->count; i++) {
        struct repli_gossip_peer *peer = gossip->peers[i];
        bool silent = repli_phi_value(&peer->phi, now) > repl->config.phi_convict_threshold;
        if (peer->alive && silent && now >= gossip->spare_until_ns)
            verdict(repl, peer, false, "no heartbeat (phi)");
        else if (peer->alive && peer->suspect && !peer->call.pending)
            echo_start(repl, peer);
        else if (!peer->alive && !silent && peer->state.generation)
            echo_wanted(repl, peer, false); /* the last one was lost */
    }
}

/* Members that we never heard of, or that may not have heard of us, while the cluster is small and
 * something is new: all of them, at once. True: there are some. */
static bool greet(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    bool any = false;
    if (gossip->greetings == 0 || gossip->count > REPLI_SMALL_CLUSTER_MAX)
        return false;
    gossip->greetings--;
    for (size_t i = 0; i < gossip->count; i++) {
        struct repli_gossip_peer *peer = gossip->peers[i];
        if (peer->self || (peer->state.generation && peer->syn_ns))
            continue;
        any = true;
        syn_start(repl, peer);
    }
    return any && gossip->greetings > 0;
}

static bool rebuild(struct repl *repl);

static void round_fired(struct repl *repl, struct repli_timer *timer)
{
    struct repli_gossip *gossip = repl->gossip;
    uint64_t now = repli_now(repl), interval = repl->config.gossip_interval_ns;
    /* quick rounds are none */
    bool beat = gossip->beat_ns == 0 || now - gossip->beat_ns >= interval - interval / 8;
    if (gossip->stale)
        (void)rebuild(repl);
    if (beat) {
        gossip->own.version++;
        gossip->beat_ns = now;
        repl->stats.gossip_rounds++;
    }
    convict(repl);
    bool quick = greet(repl);
    if (beat) {
        exchange(repl);
        catch_up(repl);
    }
    gossip->round_ns = now;
    repli_timer_arm_after(repl, timer, quick ? interval / GREETING_PARTS : interval);
}

/* Members. */

static bool is_seed(const struct repl *repl, const struct ring_member *member)
{
    for (size_t i = 0; i < repl->config.seed_count; i++)
        if (base_slice_equal(repl->config.seeds[i], member->address))
            return true;
    return false;
}

static bool fits_ring(const struct repl *repl)
{
    const struct repli_gossip *gossip = repl->gossip;
    if (gossip->count != repl->ring->member_count)
        return false;
    for (size_t i = 0; i < gossip->count; i++)
        if (!base_uuid_equal(gossip->peers[i]->host_id, repl->ring->members[i].host_id))
            return false;
    return true;
}

static void peer_free(struct repl *repl, struct repli_gossip_peer *peer)
{
    call_forget(repl, peer);
    queue_leave(repl->gossip, peer);
    repli_phi_fini(&peer->phi);
    free(peer);
}

static uint64_t hash_of(const struct repli_gossip *gossip)
{
    uint64_t hash = gossip->count;
    for (size_t i = 0; i < gossip->count; i++)
        hash = base_checksum_seeded(gossip->peers[i]->host_id.b, sizeof gossip->peers[i]->host_id.b,
                                    hash);
    return hash;
}

static struct repli_gossip_peer *peer_new(const struct repl *repl, struct base_uuid host_id)
{
    struct repli_gossip_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->host_id = host_id;
    peer->self = repli_is_self(repl, host_id);
    peer->down_since_ns = repli_now(repl);
    repli_phi_init(&peer->phi, repl->config.gossip_interval_ns * 2);
    return peer;
}

/* The peers that are still members go over, new ones are made, the others freed. False: out of
 * memory, all is as before. */
static bool rebuild(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    const struct ring_state *ring = repl->ring;
    struct repli_gossip_peer **before = gossip->peers;
    struct repli_gossip_peer **peers =
        calloc(ring->member_count + 1, sizeof(struct repli_gossip_peer *));
    size_t count = gossip->count, made = 0;
    bool ok = peers != NULL;
    for (; ok && made < ring->member_count; made += ok) {
        size_t at = repli_gossip_find(gossip, ring->members[made].host_id);
        peers[made] = at < count ? before[at] : peer_new(repl, ring->members[made].host_id);
        ok = peers[made] != NULL;
    }
    gossip->stale = !ok;
    if (!ok) {
        for (size_t i = 0; i < made; i++)
            if (repli_gossip_find(gossip, peers[i]->host_id) == count)
                peer_free(repl, peers[i]);
        free(peers);
        return false;
    }
    gossip->peers = peers;
    gossip->count = made;
    gossip->heard_by_all = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_member(gossip, before[i]))
            peer_free(repl, before[i]);
    free(before);
    for (size_t i = 0; i < made; i++) {
        peers[i]->seed = is_seed(repl, &ring->members[i]);
        peers[i]->by_id = false;
    }
    gossip->list_hash = hash_of(gossip);
    return true;
}

static size_t others(const struct repli_gossip *gossip)
{
    size_t n = 0;
    for (size_t i = 0; i < gossip->count; i++)
        n += !gossip->peers[i]->self;
    return n;
}

/* Rounds go on while there is somebody to talk to: a node alone sleeps. */
static void rounds_on(struct repl *repl, bool at_once)
{
    struct repli_gossip *gossip = repl->gossip;
    if (!repl->started || repl->closing || gossip->own.shutdown)
        return;
    if (others(gossip) == 0 && !gossip->stale)
        repli_timer_disarm(repl, &gossip->round);
    else if (at_once || !repli_timer_is_armed(&gossip->round))
        repli_timer_arm_after(repl, &gossip->round, 0);
}

void repli_gossip_on_epoch(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    repli_gossip_own_changed(repl);
    if (!gossip->stale && fits_ring(repl))
        return;
    if (!rebuild(repl))
        base_logf(repl->ports.log, BASE_LOG_ERROR,
                  "gossip: out of memory: new members are not known until the next round");
    gossip->greetings = GREETINGS;
    rounds_on(repl, gossip->count <= REPLI_SMALL_CLUSTER_MAX);
}

/* Life. */

int repli_gossip_open(struct repl *repl, struct base_err *err)
{
    if (repli_is_guest(repl))
        return BASE_OK;
    struct repli_gossip *gossip = calloc(1, sizeof *gossip);
    if (!gossip)
        return base_err_set(err, BASE_E_NOMEM, "gossip: out of memory");
    repl->gossip = gossip;
    gossip->queue_end = &gossip->queue;
    gossip->round.fired = round_fired;
    gossip->greetings = GREETINGS;
    gossip->own.generation = repl->config.generation ? repl->config.generation : 1;
    base_buf_init(&gossip->body, BODY_LEN_MAX);
    repli_gossip_own_changed(repl);
    return rebuild(repl) ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "gossip: out of memory");
}

void repli_gossip_start(struct repl *repl)
{
    rounds_on(repl, true);
}

void repli_gossip_close(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    if (!gossip)
        return;
    repli_timer_disarm(repl, &gossip->round);
    for (size_t i = 0; i < gossip->count; i++)
        peer_free(repl, gossip->peers[i]);
    BASE_ASSERT(gossip->echo_count == 0 && !gossip->queue);
    free(gossip->peers);
    base_buf_fini(&gossip->body);
    free(gossip);
    repl->gossip = NULL;
}

void repli_gossip_leave(struct repl *repl)
{
    struct repli_gossip *gossip = repl->gossip;
    struct repli_gossip_cursor cursor;
    static const struct repli_gossip_state nothing;
    size_t self = repli_gossip_find(gossip, repl->config.host_id);
    if (gossip->own.shutdown || self == gossip->count)
        return;
    gossip->own.shutdown = true;
    repli_gossip_own_changed(repl);
    repli_timer_disarm(repl, &gossip->round);
    base_buf_reset(&gossip->body);
    if (repli_gossip_put_head(gossip, &gossip->body, REPLI_GOSSIP_BY_ID, &cursor) != BASE_OK ||
        repli_gossip_put_state(gossip, &gossip->body, &cursor, self, &nothing) != BASE_OK)
        return; /* out of memory: they find out */
    size_t told = 0, first = (size_t)(base_random_u64(repl->ports.random) % gossip->count);
    for (size_t i = 0; i < gossip->count && told < LEAVE_TELLS_MAX; i++) {
        const struct repli_gossip_peer *peer = gossip->peers[(first + i) % gossip->count];
        if (!peer->alive)
            continue;
        repli_tell(repl, peer_address(repl, peer), REPL_LANE_GOSSIP, REPL_VERB_GOSSIP_ACK2,
                   base_buf_view(&gossip->body));
        repl->stats.gossip_bytes += gossip->body.len;
        told++;
    }
}
