/* Becoming a member: stages and joining. What the others do about it: probe.c.
 *
 * A step looks at the ring as it is, and at the phase, and does the next thing; it runs from its
 * timer, never from inside a publication.
 *
 * Invariants:
 *  1. JOIN_FINISH is proposed only while our JOIN stands, after every other member has said, since
 *     it applied that JOIN, that it holds no user data, hints or batches. From the JOIN on, members
 *     refuse writes (ring.freeze), so what they said stays true.
 *  2. Who finds data, or no answer, takes its JOIN back and is REFUSED: nothing was moved, nobody
 *     owns anything else than before.
 *  3. A member whose address changed first asks at the old one: if somebody answers there under our
 *     host id, we are the copy. */
#include "replication/join.h"

#include <stdio.h>

#define PROBE_WAIT_NS UINT64_C(10000000000)   /* for all answers */
#define PROBE_TIMEOUT_NS UINT64_C(2000000000) /* of one question */
#define PROBE_STEP_NS UINT64_C(100000000)
#define ABORT_WAIT_NS UINT64_C(30000000000)
#define RETRY_NS UINT64_C(500000000)
#define BUSY_NS UINT64_C(40000000)
#define CHECK_TIMEOUT_NS UINT64_C(1000000000)
#define CHECKS_MAX 3u
#define JOINS_MAX 4u
#define JOIN_RF 3u /* tokens are balanced for it */

static const struct base_uuid nobody;

static void step(struct repl *repl);

/* Stages. */

static void set_phase(struct repl *repl, enum repli_join_phase phase, enum base_log_level level,
                      const char *fmt, va_list args)
{
    struct repli_join *j = repl->join;
    bool moved = j->phase != phase;
    j->phase = phase;
    vsnprintf(j->text, sizeof j->text, fmt, args);
    if (!moved)
        return;
    base_logf(repl->ports.log, level, "cluster: %s", j->text);
    if (repl->ports.changed)
        repl->ports.changed(repl->ports.ctx);
}

void repli_join_enter(struct repl *repl, enum repli_join_phase phase, const char *fmt, ...)
{
    va_list args;
    BASE_ASSERT(repl->join->phase != REPLI_JOIN_REFUSED && phase != REPLI_JOIN_REFUSED);
    va_start(args, fmt);
    set_phase(repl, phase, BASE_LOG_INFO, fmt, args);
    va_end(args);
}

/* Calls and timers of whatever was going on; not the watch over others, nor what peers asked. */
static void stop_all(struct repl *repl)
{
    struct repli_join *j = repl->join;
    repli_form_stop(repl);
    repli_timer_disarm(repl, &j->timer);
    repli_call_cancel(repl, &j->check_call);
    repli_call_cancel(repl, &j->news_call);
    for (size_t i = 0; j->seed_calls && i < j->form.count; i++)
        repli_call_cancel(repl, &j->seed_calls[i]);
    for (size_t i = 0; i < j->probe_count; i++)
        repli_call_cancel(repl, &j->probes[i].call);
    if (j->proposing) {
        repli_change_cancel(repl, &j->change);
        j->proposing = false;
    }
}

void repli_join_refuse(struct repl *repl, const char *fmt, ...)
{
    va_list args;
    if (repl->join->phase == REPLI_JOIN_REFUSED)
        return;
    stop_all(repl);
    va_start(args, fmt);
    set_phase(repl, REPLI_JOIN_REFUSED, BASE_LOG_ERROR, fmt, args);
    va_end(args);
}

enum repl_stage repl_stage(const struct repl *repl)
{
    if (repl->draining)
        return REPL_DRAINED;
    if (repli_is_guest(repl))
        return repli_guest_stage(repl);
    switch (repl->join->phase) {
    case REPLI_JOIN_LOOKING:
    case REPLI_JOIN_FORMING:
    case REPLI_JOIN_FETCHING:
    case REPLI_JOIN_PROPOSING:
    case REPLI_JOIN_CHECKING:
        return REPL_STARTING;
    case REPLI_JOIN_PROBING:
    case REPLI_JOIN_FINISHING:
    case REPLI_JOIN_ABORTING:
        return REPL_JOINING;
    case REPLI_JOIN_MEMBER:
        return REPL_MEMBER;
    case REPLI_JOIN_REFUSED:
        return REPL_REFUSED;
    }
    return REPL_STARTING;
}

const char *repl_stage_text(const struct repl *repl)
{
    if (repl->draining)
        return "drained";
    return repli_is_guest(repl) ? repli_guest_stage_text(repl) : repl->join->text;
}

static void timer_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    step(repl);
}

void repli_join_step_after(struct repl *repl, uint64_t after_ns)
{
    struct repli_timer *timer = &repl->join->timer;
    uint64_t due = repli_now(repl) + after_ns;
    if (repl->closing || !repl->started || (repli_timer_is_armed(timer) && timer->due_ns <= due))
        return;
    timer->fired = timer_fired;
    repli_timer_arm(repl, timer, due);
}

static uint64_t spread(struct repl *repl, uint64_t ns)
{
    return ns / 2 + base_random_u64(repl->ports.random) % ns;
}

/* Proposing. */

/* Who is no member is told of no entry. The answer's frame has the epoch of who answers, and what
 * is behind that is fetched. */
static void news_came(struct repl *repl, struct repli_call *call, int rc,
                      const struct base_message *reply)
{
    (void)repl, (void)call, (void)rc, (void)reply;
}

static void ask_for_news(struct repl *repl)
{
    struct repli_join *j = repl->join;
    struct repli_seed_card own = repli_seed_card_own(repl);
    size_t n = repl->ring->member_count;
    struct base_buf body;
    if (j->news_call.pending || n == 0)
        return;
    base_buf_init(&body, 1024);
    j->news_call.done = news_came;
    if (repli_seed_card_put(&body, &own) == BASE_OK)
        repli_call_start(repl, &j->news_call,
                         repli_member_peer(repl, (size_t)(base_random_u64(repl->ports.random) % n)),
                         REPL_LANE_GOSSIP, REPL_VERB_META_SEED, base_buf_view(&body),
                         CHECK_TIMEOUT_NS);
    base_buf_fini(&body);
}

static void proposed(struct repl_change *change)
{
    struct repl *repl = change->ctx;
    struct repli_join *j = repl->join;
    bool watched = j->proposing_watched;
    const struct repl_outcome *outcome = &change->outcome;
    j->proposing = false;
    switch (outcome->rc) {
    case BASE_OK:
    case BASE_E_CLOSED:
        repli_join_step_after(repl, 0);
        return;
    case BASE_E_STALE: /* somebody's change came first; with others in the same place, not all at
                          once */
        repli_join_step_after(repl, spread(repl, RETRY_NS / 20));
        return;
    case BASE_E_BUSY: /* somebody else is joining */
        ask_for_news(repl);
        repli_join_step_after(repl, spread(repl, BUSY_NS));
        return;
    case BASE_E_UNAVAILABLE:
    case BASE_E_UNKNOWN:
    case BASE_E_TIMEOUT:
    case BASE_E_OVERLOADED:
    case BASE_E_NOMEM:
        if (!watched && j->phase != REPLI_JOIN_MEMBER)
            repli_join_enter(repl, j->phase, "joining cluster \"%.*s\": %.400s",
                             BASE_SLICE_ARG(repl->config.cluster_name), outcome->err.text);
        repli_join_step_after(repl, spread(repl, RETRY_NS));
        return;
    default:
        if (watched)
            repli_join_step_after(repl, spread(repl, RETRY_NS));
        else
            repli_join_refuse(repl, "%s", outcome->err.text);
    }
}

void repli_join_propose(struct repl *repl, const struct ring_change *what)
{
    struct repli_join *j = repl->join;
    BASE_ASSERT(!j->proposing);
    base_buf_reset(&j->topology);
    if (ring_change_encode(what, &j->topology) != BASE_OK) {
        repli_join_step_after(repl, spread(repl, RETRY_NS));
        return;
    }
    j->proposing = true;
    j->proposing_watched = !repli_is_self(repl, what->host_id);
    j->decoded = (struct base_change){.kind = BASE_CHANGE_TOPOLOGY,
                                      .expected_epoch = repl_epoch(repl),
                                      .topology = base_buf_view(&j->topology)};
    j->change = (struct repl_change){.change = &j->decoded, .done = proposed, .ctx = repl};
    repli_change_submit(repl, &j->change);
}

/* With our place, and tokens where the kind has them. */
static void propose_own(struct repl *repl, enum ring_change_kind kind)
{
    struct repli_join *j = repl->join;
    struct ring_change change = {.kind = kind, .host_id = repl->config.host_id};
    struct base_err err;
    if (kind == RING_CHANGE_FORM || kind == RING_CHANGE_JOIN || kind == RING_CHANGE_ADDRESS) {
        change.address = repl->own_address;
        change.dc = repl->config.dc;
        change.rack = repl->config.rack;
    }
    if (kind == RING_CHANGE_FORM) {
        repl->ports.random->ops->fill(repl->ports.random, change.cluster_id.b,
                                      sizeof change.cluster_id.b);
        change.cluster_id.b[0] |= 1; /* never zero */
        change.cluster_name = repl->config.cluster_name;
    }
    if (kind == RING_CHANGE_FORM || kind == RING_CHANGE_JOIN) {
        int rc = ring_allocate(repl->ring, repl->config.dc, repl->config.rack,
                               repl->config.num_tokens, JOIN_RF, j->tokens, &err);
        if (rc != BASE_OK) {
            repli_join_refuse(repl, "tokens: %s", err.text);
            return;
        }
        change.tokens = j->tokens;
        change.token_count = repl->config.num_tokens;
    }
    repli_join_propose(repl, &change);
}

void repli_join_form(struct repl *repl)
{
    repli_form_stop(repl);
    repli_join_enter(repl, REPLI_JOIN_FORMING, "forming cluster \"%.*s\"",
                     BASE_SLICE_ARG(repl->config.cluster_name));
    propose_own(repl, RING_CHANGE_FORM);
}

/* Asking who holds data. */

static void begin_aborting(struct repl *repl, const char *reason)
{
    struct repli_join *j = repl->join;
    snprintf(j->reason, sizeof j->reason, "%s", reason);
    for (size_t i = 0; i < j->probe_count; i++)
        repli_call_cancel(repl, &j->probes[i].call);
    j->abort_deadline_ns = repli_now(repl) + ABORT_WAIT_NS;
    repli_join_enter(repl, REPLI_JOIN_ABORTING, "taking the join back: %s", j->reason);
    repli_join_step_after(repl, 0);
}

static void holds(struct repl *repl, unsigned flags, struct base_slice who)
{
    char reason[400];
    const char *what = flags & REPLI_HOLDS_DATA ? "the cluster's tables hold data"
                       : flags & REPLI_HOLDS_HINTS
                           ? "hints for the cluster's tables are kept"
                           : "batches of the cluster's tables wait to be replayed";
    snprintf(reason, sizeof reason,
             "%s (%.*s says so): joining by streaming is not in this version", what,
             BASE_SLICE_ARG(who));
    begin_aborting(repl, reason);
}

static void probe_answered(struct repl *repl, struct repli_call *call, int rc,
                           const struct base_message *reply)
{
    struct repli_probe *probe = BASE_CONTAINER(call, struct repli_probe, call);
    if (repl->join->phase != REPLI_JOIN_PROBING)
        return;
    if (rc == BASE_OK && reply->body.len == 1 && reply->body.data[0] == 0) {
        probe->answered = true;
    } else if (rc == BASE_OK && reply->body.len == 1) {
        int member = ring_member_find(repl->ring, probe->host_id);
        holds(repl, reply->body.data[0],
              member >= 0 ? repl->ring->members[member].address : (struct base_slice){0});
        return;
    }
    repli_join_step_after(repl, probe->answered ? 0 : PROBE_STEP_NS);
}

static void own_probe_ended(struct repl *repl)
{
    struct repli_join *j = repl->join;
    j->own_pending = false;
    j->own_probed = j->own_op.rc == BASE_OK && !j->own_op.holds_data;
    if (j->phase == REPLI_JOIN_PROBING && j->own_op.rc == BASE_OK && j->own_op.holds_data)
        holds(repl, REPLI_HOLDS_DATA, repl->own_address);
    else
        repli_join_step_after(repl, j->own_probed ? 0 : PROBE_STEP_NS);
}

static void own_probe_done(struct repl_store_op *op)
{
    struct repl *repl = op->ctx;
    own_probe_ended(repl);
}

static void ask_all(struct repl *repl)
{
    struct repli_join *j = repl->join;
    for (size_t i = 0; i < j->probe_count; i++) {
        struct repli_probe *probe = &j->probes[i];
        int member = ring_member_find(repl->ring, probe->host_id);
        if (probe->answered || probe->call.pending || member < 0)
            continue;
        probe->call.done = probe_answered;
        repli_call_start(repl, &probe->call, repli_member_peer(repl, (size_t)member),
                         REPL_LANE_GOSSIP, REPL_VERB_META_PROBE, (struct base_slice){0},
                         PROBE_TIMEOUT_NS);
    }
    if (j->own_probed || j->own_pending)
        return;
    j->own_op =
        (struct repl_store_op){.kind = REPL_STORE_PROBE, .done = own_probe_done, .ctx = repl};
    j->own_pending = true;
    if (repli_store_submit(repl, &j->own_op) == REPL_DONE)
        own_probe_ended(repl);
}

static void begin_probing(struct repl *repl)
{
    struct repli_join *j = repl->join;
    for (size_t i = 0; i < j->probe_count; i++)
        repli_call_cancel(repl, &j->probes[i].call);
    free(j->probes);
    j->probe_count = 0;
    j->own_probed = false;
    j->probes = calloc(repl->ring->member_count + 1, sizeof *j->probes);
    if (!j->probes) {
        repli_join_step_after(repl, RETRY_NS);
        return;
    }
    for (size_t i = 0; i < repl->ring->member_count; i++)
        if (!repli_is_self(repl, repl->ring->members[i].host_id))
            j->probes[j->probe_count++].host_id = repl->ring->members[i].host_id;
    j->probe_deadline_ns = repli_now(repl) + PROBE_WAIT_NS;
    repli_join_enter(repl, REPLI_JOIN_PROBING, "joining: asking %zu members whether they hold data",
                     j->probe_count);
    ask_all(repl);
    repli_join_step_after(repl, PROBE_STEP_NS);
}

static void go_on_probing(struct repl *repl)
{
    struct repli_join *j = repl->join;
    const struct repli_probe *missing = NULL;
    size_t count = !j->own_probed;
    for (size_t i = 0; i < j->probe_count; i++)
        if (!j->probes[i].answered) {
            missing = &j->probes[i];
            count++;
        }
    if (count == 0) {
        repli_join_enter(repl, REPLI_JOIN_FINISHING, "joining: nobody holds data");
        step(repl);
        return;
    }
    if (repli_now(repl) >= j->probe_deadline_ns) {
        char reason[400];
        int member = missing ? ring_member_find(repl->ring, missing->host_id) : repli_self(repl);
        snprintf(reason, sizeof reason,
                 "%zu of %zu members did not say whether they hold data (%.*s is one): start this "
                 "node again when all are up",
                 count, j->probe_count + 1,
                 BASE_SLICE_ARG(
                     (member >= 0 ? repl->ring->members[member].address : (struct base_slice){0})));
        begin_aborting(repl, reason);
        return;
    }
    ask_all(repl);
    repli_join_step_after(repl, PROBE_STEP_NS);
}

/* Steps. */

static void as_joiner(struct repl *repl)
{
    struct repli_join *j = repl->join;
    if (j->phase == REPLI_JOIN_FINISHING)
        propose_own(repl, RING_CHANGE_JOIN_FINISH);
    else if (j->phase == REPLI_JOIN_ABORTING && repli_now(repl) < j->abort_deadline_ns)
        propose_own(repl, RING_CHANGE_JOIN_ABORT);
    else if (j->phase == REPLI_JOIN_ABORTING)
        repli_join_refuse(repl, "%s", j->reason); /* the others will take us out */
    else if (j->phase == REPLI_JOIN_PROBING)
        go_on_probing(repl);
    else
        begin_probing(repl);
}

static void as_stranger(struct repl *repl)
{
    struct repli_join *j = repl->join;
    if (j->phase == REPLI_JOIN_MEMBER) {
        repli_join_refuse(repl, "this node was taken out of the cluster");
    } else if (j->phase == REPLI_JOIN_ABORTING) {
        repli_join_refuse(repl, "%s", j->reason);
    } else if (j->joins >= JOINS_MAX && j->phase != REPLI_JOIN_PROPOSING) {
        repli_join_refuse(repl,
                          "the members took this node's join back %u times: it seems dead to them",
                          j->joins);
    } else {
        if (j->phase != REPLI_JOIN_PROPOSING) {
            j->joins++;
            repli_join_enter(repl, REPLI_JOIN_PROPOSING, "joining cluster \"%.*s\"",
                             BASE_SLICE_ARG(repl->ring->cluster_name));
        }
        propose_own(repl, RING_CHANGE_JOIN);
    }
}

/* Did somebody answer in our name? Then we are refused. */
static bool refused_as_copy(struct repl *repl, int rc, const struct base_message *reply)
{
    struct repli_seed_card card;
    if (rc != BASE_OK || !repli_is_self(repl, reply->sender) ||
        !repli_seed_card_get(reply->body, &card) ||
        base_slice_equal(card.address, repl->own_address))
        return false;
    repli_join_refuse(
        repl, "this node's host id is in use at %.*s: this data directory is a copy of that node's",
        BASE_SLICE_ARG(card.address));
    return true;
}

static void check_answered(struct repl *repl, struct repli_call *call, int rc,
                           const struct base_message *reply)
{
    (void)call;
    struct repli_join *j = repl->join;
    if (refused_as_copy(repl, rc, reply))
        return;
    /* somebody else there, nobody there, or no answer after some tries */
    j->checked = rc == BASE_OK || rc == BASE_E_UNAVAILABLE || ++j->checks >= CHECKS_MAX;
    repli_join_step_after(repl, 0);
}

static void check_old_address(struct repl *repl, struct base_slice address)
{
    struct repli_join *j = repl->join;
    struct repli_seed_card own = repli_seed_card_own(repl);
    struct base_buf body;
    if (j->phase != REPLI_JOIN_CHECKING)
        repli_join_enter(repl, REPLI_JOIN_CHECKING, "this node was at %.*s: asking there",
                         BASE_SLICE_ARG(address));
    if (j->check_call.pending)
        return;
    base_buf_init(&body, 1024);
    j->check_call.done = check_answered;
    if (repli_seed_card_put(&body, &own) == BASE_OK)
        repli_call_start(repl, &j->check_call, (struct repli_peer){.address = address},
                         REPL_LANE_GOSSIP, REPL_VERB_META_SEED, base_buf_view(&body),
                         CHECK_TIMEOUT_NS);
    else
        repli_join_step_after(repl, RETRY_NS);
    base_buf_fini(&body);
}

static void seed_answered(struct repl *repl, struct repli_call *call, int rc,
                          const struct base_message *reply)
{
    (void)call;
    if (!refused_as_copy(repl, rc, reply))
        repli_join_step_after(repl, 0);
}

static bool seeds_are_asked(const struct repl *repl)
{
    const struct repli_join *j = repl->join;
    for (size_t i = 0; i < j->form.count; i++)
        if (j->seed_calls[i].pending)
            return true;
    return false;
}

/* A cluster of one has no other member that knows where it is: it asks its seeds, once, while it
 * serves, and before it writes a new address down. Started by hand on a copy of the first node's
 * directory, it is told so there. */
static void ask_seeds_as_lone(struct repl *repl)
{
    struct repli_join *j = repl->join;
    struct repli_seed_card own = repli_seed_card_own(repl);
    struct base_buf body;
    if (j->seeds_asked || repl->ring->member_count > 1)
        return;
    j->seeds_asked = true;
    base_buf_init(&body, 1024);
    for (size_t i = 0; i < j->form.count; i++) {
        base_buf_reset(&body);
        if (j->form.seeds[i].state == REPLI_SEED_SELF ||
            repli_seed_card_put(&body, &own) != BASE_OK)
            continue;
        j->seed_calls[i].done = seed_answered;
        repli_call_start(repl, &j->seed_calls[i],
                         (struct repli_peer){.address = repl->config.seeds[i]}, REPL_LANE_GOSSIP,
                         REPL_VERB_META_SEED, base_buf_view(&body), CHECK_TIMEOUT_NS);
    }
    base_buf_fini(&body);
}

static void as_member(struct repl *repl, const struct ring_member *self)
{
    struct repli_join *j = repl->join;
    bool moved = !base_slice_equal(self->address, repl->own_address);
    if (!moved) { /* who finds itself elsewhere later asks anew */
        j->checked = false;
        j->checks = 0;
    }
    bool renamed = !base_slice_equal(self->dc, repl->config.dc) ||
                   !base_slice_equal(self->rack, repl->config.rack);
    if (moved && !j->checked) {
        check_old_address(repl, self->address);
        return;
    }
    if (j->phase != REPLI_JOIN_MEMBER)
        repli_join_enter(repl, REPLI_JOIN_MEMBER, "member of cluster \"%.*s\"",
                         BASE_SLICE_ARG(repl->ring->cluster_name));
    ask_seeds_as_lone(repl);
    if ((moved || renamed) && !seeds_are_asked(repl))
        propose_own(repl, RING_CHANGE_ADDRESS);
}

/* The log up to where the seed was when it was found. */
static void catch_up(struct repl *repl)
{
    const struct repli_form *form = &repl->join->form;
    repli_learner_follow(repl, form->peer, form->peer_epoch);
    repli_join_step_after(repl, RETRY_NS);
}

static void step(struct repl *repl)
{
    struct repli_join *j = repl->join;
    struct ring_state *ring = repl->ring;
    int self = repli_self(repl);
    struct base_uuid followed = repli_paxos_followed(repl);
    if (j->phase == REPLI_JOIN_REFUSED || j->proposing || repl->closing || ring->member_count == 0)
        return;
    repli_form_stop(repl);
    if (!base_slice_equal(ring->cluster_name, repl->config.cluster_name))
        repli_join_refuse(
            repl,
            "this directory belongs to cluster \"%.*s\", this node is configured for \"%.*s\"",
            BASE_SLICE_ARG(ring->cluster_name), BASE_SLICE_ARG(repl->config.cluster_name));
    else if (!base_uuid_equal(followed, nobody) && !base_uuid_equal(followed, ring->cluster_id))
        repli_join_refuse(repl, "the metadata log that was fetched is another cluster's");
    else if (self >= 0 && ring->members[self].state == RING_MEMBER_NORMAL)
        as_member(repl, &ring->members[self]);
    else if (self >= 0)
        as_joiner(repl);
    else if (repl_epoch(repl) >= j->form.peer_epoch)
        as_stranger(repl);
    else
        catch_up(repl);
}

void repli_join_handle(struct repl *repl, struct repl_inbound *in)
{
    if (in->message.verb == REPL_VERB_META_SEED)
        repli_seed_handle(repl, in);
    else
        repli_probe_handle(repl, in);
}

/* Life. */

void repli_join_on_epoch(struct repl *repl)
{
    repli_join_watch(repl);
    if (repl->join->phase != REPLI_JOIN_REFUSED)
        repli_join_step_after(repl, 0);
}

int repli_join_open(struct repl *repl, struct base_err *err)
{
    if (repli_is_guest(repl))
        return BASE_OK;
    struct repli_join *j = repl->join = calloc(1, sizeof *j);
    if (!j)
        return base_err_set(err, BASE_E_NOMEM, "cluster: out of memory");
    base_buf_init(&j->topology, (size_t)1 << 20);
    j->tokens = calloc(repl->config.num_tokens + 1, sizeof *j->tokens);
    int rc = j->tokens ? repli_form_open(repl) : BASE_E_NOMEM;
    if (rc == BASE_OK) {
        j->seed_calls = calloc(j->form.count + 1, sizeof *j->seed_calls);
        rc = j->seed_calls ? BASE_OK : BASE_E_NOMEM;
    }
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "cluster: out of memory");
}

void repli_join_start(struct repl *repl)
{
    repli_join_watch(repl);
    if (repl->ring->member_count > 0)
        step(repl);
    else
        repli_form_begin(repl);
}

void repli_join_close(struct repl *repl)
{
    struct repli_join *j = repl->join;
    if (!j)
        return;
    BASE_ASSERT(!j->own_pending);
    stop_all(repl);
    repli_probe_close(repl);
    repli_form_close(repl);
    base_buf_fini(&j->topology);
    free(j->tokens);
    free(j->seed_calls);
    free(j->probes);
    free(j);
    repl->join = NULL;
}
