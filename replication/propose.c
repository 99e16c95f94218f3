/* The proposer: one Paxos instance for the entry after our epoch, by the voters of the ring at our
 * epoch.
 *
 * Invariants:
 *  1. A round has a ballot of its own, greater than any this node has seen; two rounds never share
 *     one (repli_ballot).
 *  2. What goes into phase 2 is the value of the greatest ballot that a majority's promises told
 *     of, if they told of any; else ours. So whoever comes after a proposer that died completes its
 *     value first, and its own client is told STALE.
 *  3. A value is chosen when a majority of voters has accepted it at one ballot: it is told to all
 *     members, learned here, and the proposals for its place are answered when it is applied here
 *     (repli_metadata_applied), by comparing bytes: each entry has an id of its own in it
 *     (base_change.proposal), so equal bytes are the same proposal, whoever completed it.
 *  4. A node that is the only voter, and whose acceptor has accepted nothing for the entry, decides
 *     by making the entry durable: its acceptor gives no vote meanwhile (paxos.c, 4), and nobody is
 *     told before it is done. The same for the first entry of all.
 *  5. A recovery is a proposal of nothing: its first phase finds what was accepted and completes
 *     it, or finds nothing and ends. It is for a node that hears of an entry and can fetch it from
 *     nobody (its proposer alone knows it, and we do not know the proposer's address).
 *  6. A round ends by a majority, by its impossibility, or by its calls' timeouts; then it waits a
 *     random time, longer each time. */
#include "replication/metadata.h"

#include <stdio.h>

#define WAIT_MIN_NS UINT64_C(4000000)
#define WAIT_SHIFT_MAX 7u
#define LONELY_MAX 3u                      /* rounds, … */
#define LONELY_MIN_NS UINT64_C(2000000000) /* … and time, until a minority gives up early */

static struct repli_proposer *proposer_of(const struct repl *repl)
{
    return &repl->metadata->proposer;
}

static size_t majority_of(size_t voters)
{
    return voters / 2 + 1;
}

static size_t count(const struct repli_proposer *p, enum repli_voter_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < p->voter_count; i++)
        n += p->voters[i].state == state;
    return n;
}

static void cancel_calls(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    for (size_t i = 0; i < RING_VOTERS_MAX; i++)
        repli_call_cancel(repl, &p->voters[i].call);
}

void repli_proposer_reset(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    cancel_calls(repl);
    repli_timer_disarm(repl, &p->timer);
    p->round = REPLI_ROUND_NONE;
    p->tag++;
    p->attempts = p->lonely = 0;
    p->answered = p->voter_count = 0;
    p->alone = false;
    p->silent[0] = 0;
    base_buf_reset(&p->value);
}

/* The end of a round. */

/* Who answered, and the names of who did not. */
static void note_answers(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    size_t len = 0;
    p->answered = count(p, REPLI_VOTER_YES) + count(p, REPLI_VOTER_NO);
    p->silent[0] = 0;
    for (size_t i = 0; i < p->voter_count; i++) {
        int member = ring_member_find(repl->ring, p->voters[i].host_id);
        if (member < 0 || p->voters[i].state == REPLI_VOTER_YES ||
            p->voters[i].state == REPLI_VOTER_NO)
            continue;
        int n = snprintf(p->silent + len, sizeof p->silent - len, "%s%.*s", len ? ", " : "",
                         BASE_SLICE_ARG(repl->ring->members[member].address));
        if (n > 0 && len + (size_t)n < sizeof p->silent)
            len += (size_t)n;
    }
}

static size_t voters_alive(const struct repl *repl)
{
    size_t n = 0;
    for (size_t i = 0; i < repl->ring->member_count; i++)
        n += repl->ring->members[i].voter && repl_is_alive(repl, repl->ring->members[i].host_id);
    return n;
}

static void round_again(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    size_t majority = majority_of(p->voter_count);
    note_answers(repl);
    cancel_calls(repl);
    p->round = REPLI_ROUND_WAIT;
    p->tag++;
    p->lonely = p->answered < majority ? p->lonely + 1 : 0;
    repl->stats.metadata_conflicts += p->answered >= majority;
    if (p->lonely >= LONELY_MAX && !p->first->accept_sent &&
        repli_now(repl) - p->first->began_ns >= LONELY_MIN_NS && voters_alive(repl) < majority) {
        repli_proposal_give_up(repl, p->first);
        return;
    }
    uint64_t span = WAIT_MIN_NS << (p->attempts < WAIT_SHIFT_MAX ? p->attempts : WAIT_SHIFT_MAX);
    repli_timer_arm_after(repl, &p->timer,
                          WAIT_MIN_NS / 2 + base_random_u64(repl->ports.random) % span);
}

void repli_proposer_verdict(struct repl *repl, const struct repli_proposal *proposal,
                            struct repl_outcome *outcome)
{
    struct repli_proposer *p = proposer_of(repl);
    size_t voters = ring_voter_count(repl->ring), majority = majority_of(voters);
    bool is_first = proposal == p->first;
    if (is_first && p->attempts == 1 && p->voter_count)
        note_answers(repl);
    outcome->required = (unsigned)majority;
    outcome->received = outcome->alive = is_first ? (unsigned)p->answered : 0;
    if (proposal->accept_sent)
        outcome->rc = base_err_set(&outcome->err, BASE_E_UNKNOWN,
                                   "the change was put to the voters of the metadata log, and no "
                                   "majority (%zu of %zu) has confirmed it "
                                   "in time: it may still happen",
                                   majority, voters);
    else if (!is_first || p->answered >= majority)
        outcome->rc = base_err_set(&outcome->err, BASE_E_UNAVAILABLE,
                                   "other changes of the metadata log came first until the time "
                                   "was over: nothing was changed, try again");
    else
        outcome->rc =
            base_err_set(&outcome->err, BASE_E_UNAVAILABLE,
                         "a change of schema or members needs %zu of the metadata log's %zu "
                         "voters, %zu answered (silent: %s): "
                         "a minority cannot change anything",
                         majority, voters, p->answered, p->silent[0] ? p->silent : "none");
}

/* Phases. */

static void judge(struct repl *repl);

void repli_proposer_announce(struct repl *repl, uint64_t epoch, struct base_slice entry)
{
    struct base_buf body;
    base_buf_init(&body, REPLI_PROPOSAL_SIZE_MAX + 64);
    int rc = base_buf_put(&body, repl->ring->cluster_id.b, sizeof repl->ring->cluster_id.b);
    if (rc == BASE_OK)
        rc = repl_entry_put(&body, epoch, entry);
    for (size_t i = 0; i < repl->ring->member_count && rc == BASE_OK; i++)
        if (!repli_is_self(repl, repl->ring->members[i].host_id))
            repli_tell(repl, repli_member_peer(repl, i), REPL_LANE_GOSSIP, REPL_VERB_META_LEARN,
                       base_buf_view(&body));
    base_buf_fini(&body); /* who was not told hears of the epoch and fetches */
}

/* NO and YES are the voter's own words; whatever else came is silence. */
static enum repli_voter_state state_of_failure(struct repli_proposer *p, int rc,
                                               struct base_slice detail)
{
    struct repli_ballot promised;
    struct base_reader in = base_reader(detail);
    if (rc == BASE_E_BUSY && repli_ballot_get(&in, &promised) && promised.round > p->greatest_round)
        p->greatest_round = promised.round;
    return rc == BASE_E_BUSY || rc == BASE_E_STALE ? REPLI_VOTER_NO : REPLI_VOTER_SILENT;
}

/* A promise told what it has accepted. */
static bool take_promise(struct repli_proposer *p, const struct repli_ballot *accepted,
                         struct base_slice value)
{
    if (accepted->round > p->greatest_round)
        p->greatest_round = accepted->round;
    if (accepted->round == 0 || repli_ballot_compare(accepted, &p->best) <= 0)
        return true;
    p->best = *accepted;
    base_buf_reset(&p->value);
    return base_buf_put_slice(&p->value, value) == BASE_OK;
}

static void voter_answered(struct repl *repl, struct repli_call *call, int rc,
                           const struct base_message *reply)
{
    struct repli_proposer *p = proposer_of(repl);
    struct repli_voter *voter = BASE_CONTAINER(call, struct repli_voter, call);
    struct base_slice detail = {0}, text, value = {0};
    struct repli_ballot accepted;
    if (rc != BASE_OK && reply)
        rc = repli_failure_get(reply, &detail, &text);
    if (rc != BASE_OK) {
        voter->state = state_of_failure(p, rc, detail);
    } else if (p->round == REPLI_ROUND_PREPARE) {
        struct base_reader in = base_reader(reply->body);
        bool good = repli_ballot_get(&in, &accepted) && base_get_bytes(&in, &value) &&
                    !base_reader_left(&in) && (accepted.round == 0) == (value.len == 0) &&
                    take_promise(p, &accepted, value);
        voter->state = good ? REPLI_VOTER_YES : REPLI_VOTER_SILENT;
    } else {
        voter->state = REPLI_VOTER_YES;
    }
    judge(repl);
}

/* Our own acceptor. */
static void self_answered(struct repl *repl, struct repli_paxos_request *request,
                          const struct repli_paxos_answer *answer)
{
    struct repli_proposer *p = proposer_of(repl);
    if (request->tag != p->tag)
        return;
    struct repli_voter *voter = NULL;
    for (size_t i = 0; i < p->voter_count; i++)
        if (repli_is_self(repl, p->voters[i].host_id))
            voter = &p->voters[i];
    BASE_ASSERT(voter && voter->state == REPLI_VOTER_ASKED);
    if (answer->rc != BASE_OK) {
        if (answer->rc == BASE_E_BUSY && answer->promised.round > p->greatest_round)
            p->greatest_round = answer->promised.round;
        voter->state = answer->rc == BASE_E_BUSY || answer->rc == BASE_E_STALE ? REPLI_VOTER_NO
                                                                               : REPLI_VOTER_SILENT;
    } else if (p->round == REPLI_ROUND_PREPARE) {
        voter->state = take_promise(p, &answer->accepted, answer->value) ? REPLI_VOTER_YES
                                                                         : REPLI_VOTER_SILENT;
    } else {
        voter->state = REPLI_VOTER_YES;
    }
    judge(repl);
}

/* May answer, and with it end the round, before it returns. */
static void ask_self(struct repl *repl, struct repli_voter *voter)
{
    struct repli_proposer *p = proposer_of(repl);
    bool accepts = p->round == REPLI_ROUND_ACCEPT;
    struct repli_paxos_request *request =
        repli_paxos_request_new(accepts ? REPLI_PAXOS_ACCEPT : REPLI_PAXOS_PREPARE);
    if (request && accepts &&
        base_buf_put_slice(&request->value, base_buf_view(&p->value)) != BASE_OK) {
        base_buf_fini(&request->value);
        free(request);
        request = NULL;
    }
    if (!request) {
        voter->state = REPLI_VOTER_SILENT;
        judge(repl);
        return;
    }
    request->epoch = repl_epoch(repl) + 1;
    request->ballot = p->ballot;
    request->tag = p->tag;
    request->answered = self_answered;
    repli_paxos_submit(repl, request);
}

static int put_question(struct repl *repl, struct base_buf *body)
{
    struct repli_proposer *p = proposer_of(repl);
    int rc = base_buf_put(body, repl->ring->cluster_id.b, sizeof repl->ring->cluster_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(body, repl_epoch(repl) + 1);
    if (rc == BASE_OK)
        rc = repli_ballot_put(body, &p->ballot);
    if (rc == BASE_OK && p->round == REPLI_ROUND_ACCEPT)
        rc = base_buf_put_bytes(body, base_buf_view(&p->value));
    return rc;
}

/* Put the round's phase to all voters; ourselves last, for that answer may come at once. */
static void ask(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    struct repli_voter *self = NULL;
    struct base_buf body;
    cancel_calls(repl);
    p->tag++;
    base_buf_init(&body, REPLI_PAXOS_RECORD_SIZE_MAX);
    if (put_question(repl, &body) != BASE_OK) {
        base_buf_fini(&body);
        round_again(repl);
        return;
    }
    uint64_t now = repli_now(repl), timeout = repl->config.metadata_timeout_ns / 8,
             left = p->first->deadline_ns;
    left = left > now ? left - now : 1;
    for (size_t i = 0; i < p->voter_count; i++) {
        struct repli_voter *voter = &p->voters[i];
        int member = ring_member_find(repl->ring, voter->host_id);
        BASE_ASSERT(member >= 0);
        voter->state = REPLI_VOTER_ASKED;
        if (repli_is_self(repl, voter->host_id)) {
            self = voter;
            continue;
        }
        voter->call.done = voter_answered;
        repli_call_start(
            repl, &voter->call, repli_member_peer(repl, (size_t)member), REPL_LANE_GOSSIP,
            p->round == REPLI_ROUND_ACCEPT ? REPL_VERB_META_ACCEPT : REPL_VERB_META_PREPARE,
            base_buf_view(&body), timeout < left ? timeout : left);
    }
    base_buf_fini(&body);
    if (self)
        ask_self(repl, self);
}

/* The phase has its majority. */
static void phase_won(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    struct base_slice value = base_buf_view(&p->value);
    if (p->round == REPLI_ROUND_PREPARE &&
        !value.len) { /* a recovery that found nothing to complete */
        repli_proposal_give_up(repl, p->first);
        return;
    }
    if (p->round == REPLI_ROUND_PREPARE) {
        p->round = REPLI_ROUND_ACCEPT;
        for (struct repli_proposal *q = p->first; q; q = q->next)
            q->accept_sent |= base_slice_equal(base_buf_view(&q->entry), value);
        ask(repl);
        return;
    }
    p->round = REPLI_ROUND_CHOSEN;
    p->tag++;
    cancel_calls(repl);
    uint64_t epoch = repl_epoch(repl) + 1;
    repli_proposer_announce(repl, epoch, value);
    repli_metadata_learn(repl, epoch, value);
}

static void judge(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    BASE_ASSERT(p->first && (p->round == REPLI_ROUND_PREPARE || p->round == REPLI_ROUND_ACCEPT));
    size_t majority = majority_of(p->voter_count), yes = count(p, REPLI_VOTER_YES);
    if (yes >= majority)
        phase_won(repl);
    else if (yes + count(p, REPLI_VOTER_ASKED) < majority)
        round_again(repl);
}

/* Rounds. */

/* Does nobody else have a say? (4.) */
static bool decides_alone(const struct repl *repl)
{
    int self = repli_self(repl);
    if (repl->ring->member_count == 0)
        return true;
    return self >= 0 && repl->ring->members[self].voter && ring_voter_count(repl->ring) == 1 &&
           repli_paxos_is_fresh(repl);
}

static void begin_round(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    uint64_t promised = repl->metadata->acceptor.now.promised.round;
    BASE_ASSERT(p->first && p->first->epoch == repl_epoch(repl) + 1);
    p->attempts++;
    repl->stats.metadata_proposals++;
    if (p->first->entry.len && decides_alone(repl)) {
        p->round = REPLI_ROUND_CHOSEN;
        p->alone = true;
        p->first->accept_sent = true;
        repli_metadata_learn(repl, p->first->epoch, base_buf_view(&p->first->entry));
        return;
    }
    p->greatest_round = (promised > p->greatest_round ? promised : p->greatest_round) + 1;
    p->ballot =
        (struct repli_ballot){p->greatest_round, repl->config.generation, repl->config.host_id};
    p->best = (struct repli_ballot){0};
    p->voter_count = 0;
    for (size_t i = 0; i < repl->ring->member_count && p->voter_count < RING_VOTERS_MAX; i++)
        if (repl->ring->members[i].voter)
            p->voters[p->voter_count++].host_id = repl->ring->members[i].host_id;
    p->round = REPLI_ROUND_PREPARE;
    base_buf_reset(&p->value);
    if (base_buf_put_slice(&p->value, base_buf_view(&p->first->entry)) != BASE_OK)
        round_again(repl);
    else
        ask(repl);
}

static void timer_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    struct repli_proposer *p = proposer_of(repl);
    BASE_ASSERT(p->first && p->round == REPLI_ROUND_WAIT);
    begin_round(repl);
}

void repli_proposer_go_on(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    if (p->first && p->round == REPLI_ROUND_NONE && !repl->closing)
        begin_round(repl);
}

void repli_proposer_open(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    base_buf_init(&p->value, REPLI_PROPOSAL_SIZE_MAX);
    p->timer.fired = timer_fired;
}

void repli_proposer_close(struct repl *repl)
{
    struct repli_proposer *p = proposer_of(repl);
    BASE_ASSERT(!p->first);
    repli_proposer_reset(repl);
    base_buf_fini(&p->value);
}
