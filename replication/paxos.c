/* The acceptor of the metadata log: what this node promised and accepted for the entry after its
 * epoch.
 *
 * Invariants:
 *  1. An answer leaves only after what it says is durable: the record is PUT first, `now` follows
 *     it, then the answer goes.
 *  2. One PUT at a time, in the order of the requests: what is durable is the last record that was
 *     written.
 *  3. A record speaks of the entry after the epoch it was written at. When that entry is applied
 *     the record is void: the log itself says then what was chosen, and requests for it are
 *     answered STALE.
 *  4. While an entry is being made durable no vote is given for its place (a sole voter decides by
 *     making it durable: propose.c).
 *  5. After a PUT that failed nobody knows which record is durable: this node votes no more until
 *     it is opened again. */
#include "replication/metadata.h"

#define RECORD_VERSION 1
#define WAITING_MAX 256 /* requests; more are refused as OVERLOADED */

static struct repli_acceptor *acceptor_of(const struct repl *repl)
{
    return &repl->metadata->acceptor;
}

/* Ballots. */

int repli_ballot_compare(const struct repli_ballot *a, const struct repli_ballot *b)
{
    if (a->round != b->round)
        return a->round < b->round ? -1 : 1;
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return memcmp(a->host_id.b, b->host_id.b, sizeof a->host_id.b);
}

int repli_ballot_put(struct base_buf *out, const struct repli_ballot *ballot)
{
    int rc = base_buf_put_varint(out, ballot->round);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, ballot->generation);
    return rc == BASE_OK ? base_buf_put(out, ballot->host_id.b, sizeof ballot->host_id.b) : rc;
}

bool repli_ballot_get(struct base_reader *in, struct repli_ballot *ballot)
{
    uint64_t generation;
    struct base_slice host_id;
    *ballot = (struct repli_ballot){0};
    if (!base_get_varint(in, &ballot->round) || !base_get_varint(in, &generation) ||
        !base_get_raw(in, sizeof ballot->host_id.b, &host_id) || generation > UINT32_MAX)
        return false;
    ballot->generation = (uint32_t)generation;
    memcpy(ballot->host_id.b, host_id.data, sizeof ballot->host_id.b);
    return true;
}

/* The record. */

static int record_encode(const struct repli_paxos_record *record, struct base_buf *out)
{
    base_buf_reset(out);
    int rc = base_buf_put_u8(out, RECORD_VERSION);
    if (rc == BASE_OK)
        rc = base_buf_put(out, record->cluster_id.b, sizeof record->cluster_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, record->epoch);
    if (rc == BASE_OK)
        rc = repli_ballot_put(out, &record->promised);
    if (rc == BASE_OK)
        rc = repli_ballot_put(out, &record->accepted);
    return rc == BASE_OK ? base_buf_put_bytes(out, base_buf_view(&record->value)) : rc;
}

static int record_decode(struct base_slice bytes, struct repli_paxos_record *record)
{
    struct base_reader in = base_reader(bytes);
    struct base_slice cluster_id, value;
    uint8_t version;
    if (!base_get_u8(&in, &version) || version != RECORD_VERSION ||
        !base_get_raw(&in, sizeof record->cluster_id.b, &cluster_id) ||
        !base_get_varint(&in, &record->epoch) || !repli_ballot_get(&in, &record->promised) ||
        !repli_ballot_get(&in, &record->accepted) || !base_get_bytes(&in, &value) ||
        base_reader_left(&in) || repli_ballot_compare(&record->accepted, &record->promised) > 0 ||
        (record->accepted.round == 0) != (value.len == 0))
        return BASE_E_CORRUPT;
    memcpy(record->cluster_id.b, cluster_id.data, sizeof record->cluster_id.b);
    return base_buf_put_slice(&record->value, value);
}

static void record_forget(struct repli_paxos_record *record)
{
    record->epoch = 0;
    record->promised = record->accepted = (struct repli_ballot){0};
    base_buf_reset(&record->value);
}

/* `now` as it counts for the entry after our epoch. */
static void record_settle(struct repl *repl)
{
    struct repli_paxos_record *now = &acceptor_of(repl)->now;
    BASE_ASSERT(!acceptor_of(repl)->putting);
    if (now->epoch != repl_epoch(repl) + 1)
        record_forget(now);
}

/* Requests. */

struct repli_paxos_request *repli_paxos_request_new(enum repli_paxos_kind kind)
{
    struct repli_paxos_request *request = calloc(1, sizeof *request);
    if (request) {
        request->kind = kind;
        base_buf_init(&request->value, REPLI_PROPOSAL_SIZE_MAX);
    }
    return request;
}

static void request_free(struct repli_paxos_request *request)
{
    base_buf_fini(&request->value);
    free(request);
}

static void answer(struct repl *repl, struct repli_paxos_request *request,
                   const struct repli_paxos_answer *with)
{
    request->answered(repl, request, with);
    request_free(request);
}

static void refuse(struct repl *repl, struct repli_paxos_request *request, int rc, const char *text)
{
    struct repli_paxos_answer with = {
        .rc = rc, .text = text, .promised = acceptor_of(repl)->now.promised};
    answer(repl, request, &with);
}

/* Taken from the queue's head. */
static struct repli_paxos_request *take(struct repli_acceptor *a)
{
    struct repli_paxos_request *request = a->first;
    BASE_ASSERT(request && a->waiting > 0);
    a->first = request->next;
    if (!a->first)
        a->last = &a->first;
    a->waiting--;
    request->next = NULL;
    return request;
}

static void answer_ok(struct repl *repl)
{
    struct repli_acceptor *a = acceptor_of(repl);
    struct repli_paxos_request *request = take(a);
    struct repli_paxos_answer with = {.promised = a->now.promised};
    if (request->kind == REPLI_PAXOS_PREPARE) {
        with.accepted = a->now.accepted;
        with.value = base_buf_view(&a->now.value);
    }
    answer(repl, request, &with);
}

static bool is_voter(const struct repl *repl)
{
    int self = repli_self(repl);
    return self >= 0 && repl->ring->members[self].voter;
}

/* May the request at the head be granted? OK: it may. */
static int judge(struct repl *repl, const struct repli_paxos_request *request, const char **text)
{
    const struct repli_acceptor *a = acceptor_of(repl);
    *text = "this node's metadata log has stopped";
    if (a->failed || repl->metadata->stopped)
        return BASE_E_STOPPED;
    if (request->kind == REPLI_PAXOS_FOLLOW)
        return BASE_OK;
    *text = request->epoch <= repl_epoch(repl) ? "the entry is decided"
                                               : "this node has not applied the entry before";
    if (request->epoch != repl_epoch(repl) + 1)
        return BASE_E_STALE;
    *text = "this node is no voter";
    if (!is_voter(repl))
        return BASE_E_INVALID;
    *text = "promised to a greater ballot";
    if (repli_ballot_compare(&request->ballot, &a->now.promised) < 0)
        return BASE_E_BUSY;
    return BASE_OK;
}

/* Is what the request asks for durable already (it came twice)? */
static bool is_granted(const struct repli_acceptor *a, const struct repli_paxos_request *request)
{
    switch (request->kind) {
    case REPLI_PAXOS_PREPARE:
        return repli_ballot_compare(&request->ballot, &a->now.promised) == 0;
    case REPLI_PAXOS_ACCEPT:
        return repli_ballot_compare(&request->ballot, &a->now.accepted) == 0;
    case REPLI_PAXOS_FOLLOW:
        return base_uuid_equal(request->cluster_id, a->now.cluster_id);
    }
    return false;
}

/* Nobody may have an entry chosen that nobody can apply. */
static int check_value(struct repl *repl, const struct repli_paxos_request *request,
                       const char **text)
{
    struct repli_applied applied;
    struct base_err err;
    int rc =
        repli_entry_apply(repl->schema, repl->ring, base_buf_view(&request->value), &applied, &err);
    if (rc == BASE_OK)
        repli_applied_fini(&applied);
    else if (rc != BASE_E_NOMEM)
        base_logf(repl->ports.log, BASE_LOG_WARN,
                  "metadata: refused to accept an entry that cannot be applied: %s", err.text);
    *text = "the entry cannot be applied";
    return rc == BASE_OK || rc == BASE_E_NOMEM ? rc : BASE_E_INVALID;
}

/* Writing. */

static int record_next(struct repl *repl, const struct repli_paxos_request *request)
{
    struct repli_acceptor *a = acceptor_of(repl);
    struct repli_paxos_record *to = &a->written;
    BASE_ASSERT(a->now.epoch == 0 || a->now.epoch == repl_epoch(repl) + 1);
    to->cluster_id = request->kind == REPLI_PAXOS_FOLLOW ? request->cluster_id : a->now.cluster_id;
    to->epoch = request->kind == REPLI_PAXOS_FOLLOW ? a->now.epoch : request->epoch;
    to->promised = request->kind == REPLI_PAXOS_FOLLOW ? a->now.promised : request->ballot;
    bool accepts = request->kind == REPLI_PAXOS_ACCEPT;
    to->accepted = accepts ? request->ballot : a->now.accepted;
    base_buf_reset(&to->value);
    int rc =
        base_buf_put_slice(&to->value, base_buf_view(accepts ? &request->value : &a->now.value));
    return rc == BASE_OK ? record_encode(to, &a->bytes) : rc;
}

static void put_ended(struct repl *repl)
{
    struct repli_acceptor *a = acceptor_of(repl);
    a->putting = false;
    repl->meta_ops--;
    if (a->put.rc != BASE_OK) {
        a->failed = true;
        base_logf(repl->ports.log, BASE_LOG_ERROR,
                  "metadata: the vote could not be made durable, this node votes no more: %s",
                  a->put.err.text[0] ? a->put.err.text : base_err_words(a->put.rc));
        refuse(repl, take(a), BASE_E_STOPPED, "the vote could not be made durable");
        return;
    }
    struct repli_paxos_record old = a->now;
    a->now = a->written;
    a->written = old;
    record_settle(repl);
    if (a->first->kind != REPLI_PAXOS_FOLLOW && a->first->epoch <= repl_epoch(repl))
        refuse(repl, take(a), BASE_E_STALE, "the entry is decided");
    else
        answer_ok(repl);
}

static void put_done(struct repl_meta_op *op)
{
    struct repl *repl = op->ctx;
    repli_event_begin(repl);
    put_ended(repl);
    repli_paxos_go_on(repl);
    repli_event_end(repl);
}

/* Decide about the head. False: it waits for its PUT. */
static bool step_one(struct repl *repl)
{
    struct repli_acceptor *a = acceptor_of(repl);
    struct repli_paxos_request *request = a->first;
    const char *text;
    if (request->in && repli_is_expired(repl, request->in)) {
        refuse(repl, take(a), BASE_E_TIMEOUT, "too late");
        return true;
    }
    record_settle(repl); /* an answer before may have moved our epoch */
    int rc = judge(repl, request, &text);
    if (rc == BASE_OK && is_granted(a, request)) {
        answer_ok(repl);
        return true;
    }
    if (rc == BASE_OK && request->kind == REPLI_PAXOS_ACCEPT)
        rc = check_value(repl, request, &text);
    if (rc == BASE_OK)
        rc = record_next(repl, request);
    if (rc != BASE_OK) {
        refuse(repl, take(a), rc, rc == BASE_E_NOMEM ? "out of memory" : text);
        return true;
    }
    a->put = (struct repl_meta_op){.kind = REPL_META_PUT,
                                   .done = put_done,
                                   .key = REPL_PAXOS_KEY,
                                   .value = base_buf_view(&a->bytes),
                                   .ctx = repl};
    a->putting = true;
    repl->meta_ops++;
    if (repl->ports.meta->ops->submit(repl->ports.meta, &a->put) == REPL_PENDING)
        return false;
    put_ended(repl);
    return true;
}

void repli_paxos_go_on(struct repl *repl)
{
    struct repli_acceptor *a = acceptor_of(repl);
    if (a->stepping)
        return;
    a->stepping = true;
    while (a->first && !a->putting && !repl->metadata->learner.current && step_one(repl))
        ;
    a->stepping = false;
}

void repli_paxos_submit(struct repl *repl, struct repli_paxos_request *request)
{
    struct repli_acceptor *a = acceptor_of(repl);
    BASE_ASSERT(request->answered && !request->next);
    BASE_ASSERT(request->kind != REPLI_PAXOS_ACCEPT || request->value.len > 0);
    if (a->waiting >= WAITING_MAX) {
        refuse(repl, request, BASE_E_OVERLOADED, "too many proposals wait here");
        return;
    }
    *a->last = request;
    a->last = &request->next;
    a->waiting++;
    repli_paxos_go_on(repl);
}

bool repli_paxos_is_fresh(const struct repl *repl)
{
    const struct repli_acceptor *a = acceptor_of(repl);
    return !a->putting && !a->first && !a->failed &&
           (a->now.epoch != repl_epoch(repl) + 1 || a->now.accepted.round == 0);
}

struct base_uuid repli_paxos_followed(const struct repl *repl)
{
    return acceptor_of(repl)->now.cluster_id;
}

/* Peers' requests. */

static void reply_granted(struct repl *repl, struct repl_inbound *in,
                          const struct repli_paxos_request *request,
                          const struct repli_paxos_answer *with)
{
    struct base_buf body;
    base_buf_init(&body, REPLI_PAXOS_RECORD_SIZE_MAX);
    int rc = BASE_OK;
    if (request->kind == REPLI_PAXOS_PREPARE)
        rc = repli_ballot_put(&body, &with->accepted);
    if (rc == BASE_OK && request->kind == REPLI_PAXOS_PREPARE)
        rc = base_buf_put_bytes(&body, with->value);
    if (rc == BASE_OK)
        repli_reply(repl, in, base_buf_view(&body));
    else
        repli_drop(repl, in);
    base_buf_fini(&body);
}

static void answer_peer(struct repl *repl, struct repli_paxos_request *request,
                        const struct repli_paxos_answer *with)
{
    struct repl_inbound *in = request->in;
    if (with->rc == BASE_OK) {
        reply_granted(repl, in, request, with);
        return;
    }
    struct base_buf detail;
    base_buf_init(&detail, 64);
    if (with->rc == BASE_E_BUSY && repli_ballot_put(&detail, &with->promised) != BASE_OK)
        base_buf_reset(&detail);
    repli_reply_failure(repl, in, with->rc, base_buf_view(&detail), with->text);
    base_buf_fini(&detail);
}

void repli_paxos_handle(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice cluster_id, value = {0};
    bool accepts = in->message.verb == REPL_VERB_META_ACCEPT;
    struct repli_paxos_request *request =
        repli_paxos_request_new(accepts ? REPLI_PAXOS_ACCEPT : REPLI_PAXOS_PREPARE);
    if (!request) {
        repli_drop(repl, in);
        return;
    }
    request->in = in;
    request->answered = answer_peer;
    int rc = base_get_raw(&reader, 16, &cluster_id) && base_get_varint(&reader, &request->epoch) &&
                     repli_ballot_get(&reader, &request->ballot) &&
                     (!accepts || base_get_bytes(&reader, &value)) && !base_reader_left(&reader) &&
                     request->ballot.round > 0 && (value.len > 0) == accepts
                 ? BASE_OK
                 : BASE_E_CORRUPT;
    struct base_uuid id;
    if (rc == BASE_OK)
        memcpy(id.b, cluster_id.data, sizeof id.b);
    if (rc == BASE_OK && !repli_cluster_is_ours(repl, id))
        rc = BASE_E_INVALID;
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&request->value, value);
    if (rc == BASE_OK)
        repli_paxos_submit(repl, request);
    else
        refuse(repl, request, rc,
               rc == BASE_E_INVALID ? "this node is of another cluster" : base_err_words(rc));
}

/* Life. */

int repli_paxos_open(struct repl *repl, struct base_slice record, struct base_err *err)
{
    struct repli_acceptor *a = acceptor_of(repl);
    a->last = &a->first;
    base_buf_init(&a->now.value, REPLI_PROPOSAL_SIZE_MAX);
    base_buf_init(&a->written.value, REPLI_PROPOSAL_SIZE_MAX);
    base_buf_init(&a->bytes, REPLI_PAXOS_RECORD_SIZE_MAX);
    if (!record.len)
        return BASE_OK;
    int rc = record_decode(record, &a->now);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "metadata: the record of this node's votes: %s",
                            base_err_words(rc));
    if (a->now.epoch > repl_epoch(repl) + 1)
        return base_err_set(err, BASE_E_CORRUPT,
                            "metadata: this node voted for entry %llu, but its log ends at %llu",
                            (unsigned long long)a->now.epoch, (unsigned long long)repl_epoch(repl));
    record_settle(repl);
    return BASE_OK;
}

void repli_paxos_close(struct repl *repl)
{
    struct repli_acceptor *a = acceptor_of(repl);
    BASE_ASSERT(!a->putting);
    while (a->first)
        refuse(repl, take(a), BASE_E_CLOSED, "this node is closing");
    base_buf_fini(&a->now.value);
    base_buf_fini(&a->written.value);
    base_buf_fini(&a->bytes);
}
