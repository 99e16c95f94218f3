/* The metadata log's door: clients' changes and how they end, what peers ask, life.
 *
 * Invariants:
 *  1. A change is proposed only if it applies to our snapshots, and for the entry after our epoch:
 *     else its client is told at once.
 *  2. All proposals that wait are for one entry, the one after our epoch: when it is applied each
 *     has its answer, OK or STALE.
 *  3. Every proposal has its deadline's timer, and ends exactly once. */
#include "replication/metadata.h"

#include <stdio.h>

#define PROPOSALS_MAX 256
#define SERVING_MAX 64
#define SLOW_NS UINT64_C(10000000000)

static struct repli_proposer *proposer_of(const struct repl *repl)
{
    return &repl->metadata->proposer;
}

bool repli_cluster_is_ours(const struct repl *repl, struct base_uuid cluster_id)
{
    return repl->ring->member_count > 0 && base_uuid_equal(repl->ring->cluster_id, cluster_id);
}

/* Proposals. */

static void proposal_free(struct repli_proposal *proposal)
{
    base_buf_fini(&proposal->entry);
    free(proposal);
}

/* Its client's answer; change->outcome is filled. */
static void proposal_finish(struct repl *repl, struct repli_proposal *proposal)
{
    struct repl_change *change = proposal->change;
    repli_timer_disarm(repl, &proposal->timer);
    repl->client_requests--;
    proposal_free(proposal);
    change->state = NULL;
    if (change->outcome.rc != BASE_OK || !change->agreed || repl->closing ||
        !repli_agreement_begin(repl, change))
        change->done(change);
}

static void outcome_set(struct repl_change *change, int rc, const char *text)
{
    change->outcome = (struct repl_outcome){.rc = rc};
    if (rc != BASE_OK)
        base_err_set(&change->outcome.err, rc, "%s", text);
}

/* Out of the list; if it had its turn, that is over. */
static void proposal_unlink(struct repl *repl, struct repli_proposal *proposal)
{
    struct repli_proposer *p = proposer_of(repl);
    if (proposal == p->first)
        repli_proposer_reset(repl);
    struct repli_proposal **at = &p->first;
    while (*at != proposal)
        at = &(*at)->next;
    *at = proposal->next;
    proposal->next = NULL;
    p->count--;
}

void repli_proposal_give_up(struct repl *repl, struct repli_proposal *proposal)
{
    proposal->change->outcome = (struct repl_outcome){0};
    repli_proposer_verdict(repl, proposal, &proposal->change->outcome);
    proposal_unlink(repl, proposal);
    proposal_finish(repl, proposal);
    repli_proposer_go_on(repl);
}

static void deadline_passed(struct repl *repl, struct repli_timer *timer)
{
    repli_proposal_give_up(repl, BASE_CONTAINER(timer, struct repli_proposal, timer));
}

/* All of them, in their order; new ones may come meanwhile. */
static struct repli_proposal *take_all(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    struct repli_proposal *list = p->first;
    p->first = NULL;
    p->count = 0;
    repli_proposer_reset(repl);
    return list;
}

void repli_metadata_applied(struct repl *repl, struct base_slice entry, struct base_schema *schema,
                            struct ring_state *ring)
{
    uint64_t epoch = ring->epoch;
    bool alone = proposer_of(repl)->alone;
    /* first: publishing may begin new ones, for the next entry */
    struct repli_proposal *list = take_all(repl);
    repli_publish(repl, schema, ring);
    if (alone)
        repli_proposer_announce(repl, epoch, entry);
    for (struct repli_proposal *next; list; list = next) {
        next = list->next;
        BASE_ASSERT(list->epoch == epoch);
        list->change->epoch = epoch;
        bool ours = base_slice_equal(base_buf_view(&list->entry), entry);
        outcome_set(list->change, ours ? BASE_OK : BASE_E_STALE,
                    "another change of schema or members came first");
        proposal_finish(repl, list);
    }
    repli_proposer_go_on(repl);
}

void repli_metadata_installed(struct repl *repl, struct base_schema *schema,
                              struct ring_state *ring)
{
    uint64_t epoch = ring->epoch;
    struct repli_proposal *list = take_all(repl);
    repl->stats.metadata_checkpoints++;
    repli_publish(repl, schema, ring);
    for (struct repli_proposal *next; list; list = next) {
        next = list->next;
        list->change->epoch = epoch;
        if (list->accept_sent)
            outcome_set(list->change, BASE_E_UNKNOWN,
                        "the change was put to the voters of the metadata log, and this node then "
                        "fell too far behind to see what was chosen: it may have happened");
        else
            outcome_set(list->change, BASE_E_STALE,
                        "other changes of schema or members came first");
        proposal_finish(repl, list);
    }
    repli_proposer_go_on(repl);
}

void repli_metadata_stop(struct repl *repl, const char *text)
{
    struct repli_metadata *m = repl->metadata;
    m->stopped = true;
    snprintf(m->stopped_text, sizeof m->stopped_text, "%s", text);
    base_logf(repl->ports.log, BASE_LOG_ERROR,
              "metadata: %s: this node takes no further part in the metadata log", text);
    struct repli_proposal *list = take_all(repl);
    for (struct repli_proposal *next; list; list = next) {
        next = list->next;
        outcome_set(list->change, list->accept_sent ? BASE_E_UNKNOWN : BASE_E_STOPPED,
                    m->stopped_text);
        proposal_finish(repl, list);
    }
    repli_paxos_go_on(repl);
}

/* Changes. */

int repli_change_encode(struct repl *repl, const struct base_change *change, struct base_buf *entry,
                        struct base_err *err)
{
    static const struct base_uuid nobody;
    struct repli_applied applied;
    struct base_change proposed = *change;
    if (change->expected_epoch != repl_epoch(repl))
        return base_err_set(
            err, BASE_E_STALE, "the schema changed meanwhile: made against epoch %llu, now %llu",
            (unsigned long long)change->expected_epoch, (unsigned long long)repl_epoch(repl));
    if (base_uuid_equal(proposed.proposal, nobody)) {
        repl->ports.random->ops->fill(repl->ports.random, proposed.proposal.b,
                                      sizeof proposed.proposal.b);
        proposed.proposal.b[0] |= 1; /* never nobody */
    }
    int rc = base_change_encode(&proposed, entry);
    if (rc == BASE_E_LIMIT)
        return base_err_set(err, rc, "a change of more than %zu MiB",
                            REPLI_PROPOSAL_SIZE_MAX >> 20);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "change of the schema: %s", base_err_words(rc));
    rc = repli_entry_apply(repl->schema, repl->ring, base_buf_view(entry), &applied, err);
    if (rc == BASE_OK)
        repli_applied_fini(&applied);
    return rc;
}

static int prepare(struct repl *repl, const struct base_change *change, struct base_buf *entry,
                   struct base_err *err)
{
    if (repl->metadata->stopped)
        return base_err_set(err, BASE_E_STOPPED, "the metadata log has stopped here: %s",
                            repl->metadata->stopped_text);
    if (proposer_of(repl)->count >= PROPOSALS_MAX)
        return base_err_set(err, BASE_E_OVERLOADED, "%d changes of schema or members wait already",
                            PROPOSALS_MAX);
    return repli_change_encode(repl, change, entry, err);
}

static void proposal_begin(struct repl *repl, struct repli_proposal *proposal,
                           struct repl_change *change)
{
    struct repli_proposer *p = proposer_of(repl);
    change->state = proposal;
    proposal->repl = repl;
    proposal->change = change;
    proposal->epoch = repl_epoch(repl) + 1;
    proposal->began_ns = repli_now(repl);
    proposal->deadline_ns =
        repli_now(repl) +
        (change->timeout_ns ? change->timeout_ns : repl->config.metadata_timeout_ns);
    proposal->timer.fired = deadline_passed;
    repli_timer_arm(repl, &proposal->timer, proposal->deadline_ns);
    struct repli_proposal **at = &p->first;
    while (*at)
        at = &(*at)->next;
    *at = proposal;
    p->count++;
    repl->client_requests++;
    repli_proposer_go_on(repl);
}

void repli_change_submit(struct repl *repl, struct repl_change *change)
{
    struct repli_proposal *proposal = calloc(1, sizeof *proposal);
    struct base_err err;
    int rc = proposal ? BASE_OK : base_err_set(&err, BASE_E_NOMEM, "out of memory");
    change->epoch = 0;
    change->state = NULL;
    if (rc == BASE_OK) {
        base_buf_init(&proposal->entry, REPLI_PROPOSAL_SIZE_MAX);
        rc = prepare(repl, change->change, &proposal->entry, &err);
    }
    if (rc != BASE_OK) {
        if (proposal)
            proposal_free(proposal);
        outcome_set(change, rc, err.text);
        change->done(change);
        return;
    }
    proposal_begin(repl, proposal, change);
}

static void recovered(struct repl_change *change)
{
    (void)change;
}

void repli_metadata_recover(struct repl *repl)
{
    struct repl_change *change = &repl->metadata->recovery;
    if (proposer_of(repl)->first || repl->metadata->stopped || repl->closing ||
        ring_voter_count(repl->ring) == 0)
        return;
    struct repli_proposal *proposal = calloc(1, sizeof *proposal);
    if (!proposal)
        return; /* whoever wants it asks again */
    *change = (struct repl_change){.done = recovered};
    proposal_begin(repl, proposal, change);
}

void repli_change_cancel(struct repl *repl, struct repl_change *change)
{
    struct repli_proposal *proposal = change->state;
    if (!proposal)
        return;
    proposal_unlink(repl, proposal);
    repli_timer_disarm(repl, &proposal->timer);
    repl->client_requests--;
    proposal_free(proposal);
    change->state = NULL;
    repli_proposer_go_on(repl);
}

void repl_change_start(struct repl *repl, struct repl_change *change)
{
    repli_event_begin(repl);
    if (repl->closing || repl->draining) {
        outcome_set(change, BASE_E_CLOSED, "this node is shutting down");
        change->done(change);
    } else if (repli_is_guest(repl)) {
        repli_guest_change_start(repl, change);
    } else if (repl_stage(repl) != REPL_MEMBER) {
        char text[600];
        snprintf(text, sizeof text, "this node is no member of a cluster (yet): %s",
                 repl_stage_text(repl));
        outcome_set(change, BASE_E_UNAVAILABLE, text);
        change->done(change);
    } else {
        repli_change_submit(repl, change);
    }
    repli_event_end(repl);
}

/* META_PROPOSE: a guest's change. */

struct repli_propose_serve {
    struct repl *repl;
    struct repl_inbound *in;
    struct base_arena arena;
    struct base_change decoded;
    struct repl_change change;
    struct repli_propose_serve *next;
};

static void propose_serve_free(struct repli_propose_serve *serve)
{
    struct repli_propose_serve **at = &serve->repl->metadata->serving;
    while (*at != serve)
        at = &(*at)->next;
    *at = serve->next;
    base_arena_fini(&serve->arena);
    free(serve);
}

static void propose_served(struct repl_change *change)
{
    struct repli_propose_serve *serve = change->ctx;
    uint8_t epoch[BASE_VARINT_LEN_MAX];
    size_t len = (size_t)(base_put_varint(epoch, change->epoch) - epoch);
    if (change->outcome.rc == BASE_OK)
        repli_reply(serve->repl, serve->in, base_slice(epoch, len));
    else
        repli_reply_failure(serve->repl, serve->in, change->outcome.rc, (struct base_slice){0},
                            change->outcome.err.text);
    propose_serve_free(serve);
}

/* A request may come twice, the second time after the first was answered: then it must not be
 * proposed again, for the guest may have been told that nothing was. After a restart nothing is
 * remembered: the guest says which start of ours it means. */
static bool came_before(struct repl *repl, const struct base_message *message)
{
    struct repli_metadata *m = repl->metadata;
    for (size_t i = 0; i < REPLI_PROPOSED_MAX; i++)
        if (m->proposed[i].id == message->id && m->proposed[i].generation == message->generation &&
            base_uuid_equal(m->proposed[i].sender, message->sender))
            return true;
    m->proposed[m->proposed_next++ % REPLI_PROPOSED_MAX] =
        (struct repli_proposed){message->sender, message->generation, message->id};
    return false;
}

static bool get_proposal(const struct base_message *message, uint64_t *generation,
                         struct base_slice *entry)
{
    struct base_reader reader = base_reader(message->body);
    return base_get_varint(&reader, generation) && base_get_bytes(&reader, entry) &&
           !base_reader_left(&reader);
}

static void handle_propose(struct repl *repl, struct repl_inbound *in)
{
    static const struct base_slice none;
    struct base_slice entry;
    struct base_err err;
    uint64_t generation;
    if (!get_proposal(&in->message, &generation, &entry)) {
        repli_reply_failure(repl, in, BASE_E_CORRUPT, none, base_err_words(BASE_E_CORRUPT));
        return;
    }
    if (generation != repl->config.generation) {
        repli_reply_failure(repl, in, BASE_E_CLOSED, none, "this node was started anew: ask again");
        return;
    }
    if (came_before(repl, &in->message)) {
        repli_drop(repl, in);
        return;
    }
    size_t serving = 0;
    for (const struct repli_propose_serve *s = repl->metadata->serving; s; s = s->next)
        serving++;
    struct repli_propose_serve *serve = serving < SERVING_MAX ? calloc(1, sizeof *serve) : NULL;
    if (!serve) {
        repli_reply_failure(repl, in, BASE_E_OVERLOADED, none, "too many changes wait here");
        return;
    }
    serve->repl = repl;
    serve->in = in;
    serve->next = repl->metadata->serving;
    repl->metadata->serving = serve;
    base_arena_init(&serve->arena);
    int rc = base_change_decode(&serve->arena, entry, &serve->decoded, &err);
    if (rc == BASE_OK && repl->draining)
        rc = base_err_set(&err, BASE_E_CLOSED, "the node asked is shutting down");
    if (rc == BASE_OK && repl_stage(repl) != REPL_MEMBER)
        rc = base_err_set(&err, BASE_E_UNAVAILABLE, "the node asked is no member: %s",
                          repl_stage_text(repl));
    if (rc == BASE_OK && serve->decoded.kind == BASE_CHANGE_TOPOLOGY)
        rc = base_err_set(&err, BASE_E_INVALID, "members are changed by members");
    if (rc != BASE_OK) {
        repli_reply_failure(repl, in, rc, none, err.text);
        propose_serve_free(serve);
        return;
    }
    uint64_t now = repli_now(repl);
    serve->change = (struct repl_change){
        .change = &serve->decoded,
        .timeout_ns = in->deadline_ns > now ? in->deadline_ns - now : 1,
        .agreed = true,
        .done = propose_served,
        .ctx = serve,
    };
    repli_change_submit(repl, &serve->change);
}

/* What peers ask. */

static void handle_learn(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice cluster_id, entry;
    struct base_uuid id;
    uint64_t epoch;
    if (base_get_raw(&reader, sizeof id.b, &cluster_id) &&
        repl_entry_get(&reader, &epoch, &entry) && entry.len && !base_reader_left(&reader)) {
        memcpy(id.b, cluster_id.data, sizeof id.b);
        if (repli_cluster_is_ours(repl, id))
            repli_metadata_learn(repl, epoch, entry);
    }
    repli_drop(repl, in);
}

void repli_metadata_handle(struct repl *repl, struct repl_inbound *in)
{
    switch ((enum repl_verb)in->message.verb) {
    case REPL_VERB_META_PREPARE:
    case REPL_VERB_META_ACCEPT:
        repli_paxos_handle(repl, in);
        return;
    case REPL_VERB_META_LEARN:
        handle_learn(repl, in);
        return;
    case REPL_VERB_META_FETCH:
        repli_fetch_handle(repl, in);
        return;
    case REPL_VERB_META_PROPOSE:
        handle_propose(repl, in);
        return;
    default:
        repli_drop(repl, in);
        return;
    }
}

/* Life. */

/* Messages tell of epochs as they come; this finds what a lost one would have told. */
static void slow_fired(struct repl *repl, struct repli_timer *timer)
{
    repli_timer_arm_after(repl, timer, SLOW_NS);
    struct base_uuid who = {0};
    uint64_t greatest = repl_epoch(repl);
    for (size_t i = 0; i < repl->ring->member_count; i++) {
        struct repl_peer_info info = {.host_id = repl->ring->members[i].host_id};
        repli_gossip_get(repl, info.host_id, &info);
        if (info.epoch > greatest) {
            greatest = info.epoch;
            who = info.host_id;
        }
    }
    if (greatest > repl_epoch(repl))
        repli_metadata_behind(repl, who, greatest);
}

int repli_metadata_open(struct repl *repl, const struct repl_initial *initial, struct base_err *err)
{
    if (repli_is_guest(repl))
        return BASE_OK;
    repl->metadata = calloc(1, sizeof *repl->metadata);
    if (!repl->metadata)
        return base_err_set(err, BASE_E_NOMEM, "metadata: out of memory");
    repl->metadata->slow.fired = slow_fired;
    repli_proposer_open(repl);
    repli_learner_open(repl);
    return repli_paxos_open(repl, initial->paxos, err);
}

void repli_metadata_start(struct repl *repl)
{
    repli_timer_arm_after(repl, &repl->metadata->slow, SLOW_NS);
}

void repli_metadata_close(struct repl *repl)
{
    struct repli_metadata *m = repl->metadata;
    if (!m)
        return;
    struct repli_proposal *list = take_all(repl);
    for (struct repli_proposal *next; list; list = next) {
        next = list->next;
        outcome_set(list->change, list->accept_sent ? BASE_E_UNKNOWN : BASE_E_CLOSED,
                    "this node is shutting down");
        proposal_finish(repl, list);
    }
    repli_agreements_close(repl);
    repli_timer_disarm(repl, &m->slow);
    repli_paxos_close(repl);
    repli_proposer_close(repl);
    repli_learner_close(repl);
    free(m);
    repl->metadata = NULL;
}
