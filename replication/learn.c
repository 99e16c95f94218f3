/* Learned entries: applied one at a time, in order; what is missing is fetched from who has it.
 *
 * Invariants:
 *  1. Entry e is made durable, with what it leads to, before its snapshots are published; e+1 is
 *     begun after that.
 *  2. The queue is ascending, has no epoch twice and none that is applied or being applied; it is
 *     bounded in count and bytes. What finds no room is forgotten and fetched later: `target`
 *     remembers that it exists.
 *  3. Only chosen entries come in (LEARN, FETCH from a member's log, our own proposer), so
 *     whichever copy comes first is the one.
 *  4. An entry that does not apply is forgotten and fetched anew, some times; then the log stops
 *     here.
 *  5. A checkpoint is installed in the place of all entries up to its epoch when it is whole and
 *     still ahead of us; no entry is made durable meanwhile (`current` is one or the other).
 *  6. While target is beyond what we have, a call or the timer is pending, or entries are being
 *     applied; attempts end, and who tells of an epoch begins them anew. */
#include "replication/metadata.h"

#include <stdio.h>

#define QUEUE_COUNT_MAX 1024
#define QUEUE_BYTES_MAX ((size_t)64 << 20)
#define PAGE_BYTES REPLI_PIECE_BYTES
#define SERVING_MAX 32
#define ATTEMPTS_MAX 12
#define FETCH_TIMEOUT_NS UINT64_C(2000000000)
#define WAIT_MIN_NS UINT64_C(50000000)
#define WAIT_MAX_NS UINT64_C(2000000000)
#define REFUSALS_MAX 5u /* of one entry; then the log stops here */
#define NOMEM_WAIT_NS UINT64_C(1000000000)
#define RECOVER_ATTEMPTS 3u            /* that brought nothing; then the voters are asked … */
#define RECOVER_NS UINT64_C(300000000) /* … not more often than this */

static struct repli_learner *learner_of(const struct repl *repl)
{
    return &repl->metadata->learner;
}

static void fetch(struct repl *repl);
static void pump(struct repl *repl);

/* The queue. */

static void learned_free(struct repli_learned *learned)
{
    base_buf_fini(&learned->entry);
    free(learned);
}

static struct repli_learned *queue_take(struct repli_learner *l)
{
    struct repli_learned *first = l->queue;
    l->queue = first->next;
    l->queue_count--;
    l->queue_bytes -= first->entry.len;
    first->next = NULL;
    return first;
}

static void queue_put(struct repl *repl, uint64_t epoch, struct base_slice entry)
{
    struct repli_learner *l = learner_of(repl);
    struct repli_learned **at = &l->queue;
    while (*at && (*at)->epoch < epoch)
        at = &(*at)->next;
    if (*at && (*at)->epoch == epoch)
        return;
    bool is_next = epoch == repl_epoch(repl) + 1; /* always has room, or nothing would ever move */
    if (!is_next &&
        (l->queue_count >= QUEUE_COUNT_MAX || l->queue_bytes + entry.len > QUEUE_BYTES_MAX))
        return;
    struct repli_learned *learned = calloc(1, sizeof *learned);
    if (!learned)
        return;
    base_buf_init(&learned->entry, entry.len);
    if (base_buf_put_slice(&learned->entry, entry) != BASE_OK) {
        learned_free(learned);
        return;
    }
    learned->epoch = epoch;
    learned->next = *at;
    *at = learned;
    l->queue_count++;
    l->queue_bytes += entry.len;
}

/* The last epoch that we have or hold without a gap before it. */
static uint64_t held_upto(const struct repl *repl)
{
    const struct repli_learner *l = learner_of(repl);
    uint64_t epoch = l->current ? l->current->epoch : repl_epoch(repl);
    for (const struct repli_learned *q = l->queue; q && q->epoch == epoch + 1; q = q->next)
        epoch++;
    return epoch;
}

void repli_metadata_learn(struct repl *repl, uint64_t epoch, struct base_slice entry)
{
    struct repli_learner *l = learner_of(repl);
    if (repl->metadata->stopped || repl->closing || epoch <= repl_epoch(repl) ||
        (l->current && epoch <= l->current->epoch))
        return;
    queue_put(repl, epoch, entry);
    if (epoch > l->target)
        l->target = epoch;
    pump(repl);
}

/* Applying. */

static void retry_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    pump(repl);
}

/* The current entry's end. */
static void append_ended(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    struct repli_learned *current = l->current;
    bool installs = l->append.kind == REPL_META_INSTALL;
    BASE_ASSERT(current && (installs ? current->epoch > repl_epoch(repl)
                                     : current->epoch == repl_epoch(repl) + 1));
    l->current = NULL;
    repl->meta_ops--;
    if (l->append.rc != BASE_OK) {
        char text[sizeof repl->metadata->stopped_text];
        snprintf(text, sizeof text, "%s %llu could not be made durable: %.150s",
                 installs ? "the state at epoch" : "entry", (unsigned long long)current->epoch,
                 l->append.err.text[0] ? l->append.err.text : base_err_words(l->append.rc));
        repli_applied_fini(&l->applied);
        repli_metadata_stop(repl, text);
    } else {
        struct base_schema *schema = l->applied.schema;
        struct ring_state *ring = l->applied.ring;
        l->applied.schema = NULL;
        l->applied.ring = NULL;
        repli_applied_fini(&l->applied);
        if (installs)
            repli_metadata_installed(repl, schema, ring);
        else
            repli_metadata_applied(repl, base_buf_view(&current->entry), schema, ring);
        repli_paxos_go_on(repl);
    }
    learned_free(current);
}

static void append_done(struct repl_meta_op *op)
{
    struct repl *repl = op->ctx;
    repli_event_begin(repl);
    append_ended(repl);
    pump(repl);
    repli_event_end(repl);
}

/* The next entry does not apply. Its bytes may be at fault: forget them and fetch them from
 * somebody. Again and again: give up. */
static void refused(struct repl *repl, const char *why)
{
    struct repli_learner *l = learner_of(repl);
    struct repli_learned *bad = queue_take(l);
    l->refusals = l->refused == bad->epoch ? l->refusals + 1 : 1;
    l->refused = bad->epoch;
    base_logf(repl->ports.log, BASE_LOG_WARN, "metadata: entry %llu cannot be applied: %s",
              (unsigned long long)bad->epoch, why);
    if (l->refusals >= REFUSALS_MAX) {
        char text[sizeof repl->metadata->stopped_text];
        snprintf(text, sizeof text, "entry %llu cannot be applied: %.150s",
                 (unsigned long long)bad->epoch, why);
        repli_metadata_stop(repl, text);
    }
    l->attempts++;
    l->source_is_new = false;
    learned_free(bad);
}

/* The queue's first entry is the next one: begin it. False: later, or never. */
static bool apply_first(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    struct base_err err;
    int rc = repli_entry_apply(repl->schema, repl->ring, base_buf_view(&l->queue->entry),
                               &l->applied, &err);
    if (rc == BASE_E_NOMEM) {
        repli_timer_arm_after(repl, &l->retry, NOMEM_WAIT_NS);
        return false;
    }
    if (rc != BASE_OK) {
        refused(repl, err.text);
        return false;
    }
    l->current = queue_take(l);
    repl->meta_ops++;
    l->append = (struct repl_meta_op){
        .kind = REPL_META_APPEND,
        .done = append_done,
        .epoch = l->current->epoch,
        .entry = base_buf_view(&l->current->entry),
        .change = &l->applied.change,
        .schema_after = l->applied.schema,
        .ring_after = l->applied.ring,
        .keep_entries = repl->config.metadata_log_entries,
        .ctx = repl,
    };
    return true;
}

static void forget_checkpoint(struct repli_learner *l)
{
    repli_incoming_reset(&l->incoming);
    l->cut_off = false;
    if (l->schema)
        base_schema_release(l->schema);
    if (l->ring)
        ring_state_release(l->ring);
    l->schema = NULL;
    l->ring = NULL;
}

/* A checkpoint is there: begin to install it. False: it is of no use any more, or later. */
static bool begin_install(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    uint64_t epoch = l->ring->epoch;
    if (epoch <= repl_epoch(repl)) {
        forget_checkpoint(l);
        return false;
    }
    l->current = calloc(1, sizeof *l->current);
    if (!l->current) {
        repli_timer_arm_after(repl, &l->retry, NOMEM_WAIT_NS);
        return false;
    }
    base_logf(
        repl->ports.log, BASE_LOG_INFO,
        "metadata: entries after %llu are kept nowhere: the state at epoch %llu is taken over",
        (unsigned long long)repl_epoch(repl), (unsigned long long)epoch);
    base_buf_init(&l->current->entry, 0);
    l->current->epoch = epoch;
    base_arena_init(&l->applied.arena);
    l->applied.schema = l->schema;
    l->applied.ring = l->ring;
    l->schema = NULL;
    l->ring = NULL;
    forget_checkpoint(l);
    repl->meta_ops++;
    l->append = (struct repl_meta_op){
        .kind = REPL_META_INSTALL,
        .done = append_done,
        .epoch = epoch,
        .schema_after = l->applied.schema,
        .ring_after = l->applied.ring,
        .ctx = repl,
    };
    return true;
}

static bool begin_next(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    if (l->ring && begin_install(repl))
        return true;
    return l->queue && l->queue->epoch == repl_epoch(repl) + 1 && apply_first(repl);
}

/* Apply what is next, as far as it goes without waiting; fetch what is missing then. */
static void pump(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    if (l->pumping || repl->closing)
        return;
    l->pumping = true;
    while (!l->current && !repl->metadata->stopped) {
        while (l->queue && l->queue->epoch <= repl_epoch(repl))
            learned_free(queue_take(l));
        if (!begin_next(repl))
            break;
        if (repl->ports.meta->ops->submit(repl->ports.meta, &l->append) == REPL_PENDING)
            break;
        append_ended(repl);
    }
    l->pumping = false;
    fetch(repl);
}

/* Fetching. */

static void set_source(struct repli_learner *l, struct repli_peer peer)
{
    if (peer.address.len > sizeof l->source_address)
        return;
    memmove(l->source_address, peer.address.data, peer.address.len);
    l->source = (struct repli_peer){peer.host_id, base_slice(l->source_address, peer.address.len)};
    l->source_is_new = true;
}

/* Somebody else to ask: a member, the first tries a live one. */
static bool choose_source(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    size_t n = repl->ring->member_count;
    if (l->source_is_new && l->source.address.len)
        return true;
    size_t from = n ? (size_t)(base_random_u64(repl->ports.random) % n) : 0;
    for (int pass = l->attempts % 2; pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            struct repli_peer peer = repli_member_peer(repl, (from + i) % n);
            if (repli_is_self(repl, peer.host_id) ||
                (pass == 0 && !repli_gossip_is_alive(repl, peer.host_id)))
                continue;
            set_source(l, peer);
            return true;
        }
    return l->source.address.len > 0;
}

int repli_fetch_request_put(struct base_buf *out, struct base_uuid cluster_id, uint64_t after,
                            const struct repli_incoming *incoming)
{
    int rc = base_buf_put(out, cluster_id.b, sizeof cluster_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, after);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, PAGE_BYTES);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, incoming ? REPLI_FETCH_PIECE : 0);
    if (rc == BASE_OK && incoming)
        rc = base_buf_put_varint(out, incoming->epoch);
    return rc == BASE_OK && incoming ? base_buf_put_varint(out, incoming->bytes.len) : rc;
}

/* Entries of a META_FETCH's answer into the queue; how many. -1: damaged. */
static int take_entries(struct repl *repl, struct base_reader *in)
{
    int count = 0;
    while (base_reader_left(in)) {
        uint64_t epoch;
        struct base_slice entry;
        if (!repl_entry_get(in, &epoch, &entry) || !entry.len)
            return -1;
        struct repli_learner *l = learner_of(repl);
        if (epoch <= repl_epoch(repl) || (l->current && epoch <= l->current->epoch))
            continue;
        queue_put(repl, epoch, entry);
        count++;
    }
    return count;
}

/* The cluster whose log is fetched; zero: any (never so, once we are in one or follow one). */
static struct base_uuid own_cluster(const struct repl *repl)
{
    return repl->ring->member_count ? repl->ring->cluster_id : repli_paxos_followed(repl);
}

/* A piece of a checkpoint: 1, on the way; 0, whole and of no use; -1, damaged. */
static int take_piece(struct repl *repl, struct base_reader *in)
{
    struct repli_learner *l = learner_of(repl);
    struct base_err err = {0};
    enum repli_piece piece = l->cut_off ? repli_incoming_take(&l->incoming, in) : REPLI_PIECE_BAD;
    if (piece == REPLI_PIECE_MORE)
        return 1;
    int rc = BASE_E_CORRUPT;
    bool useful = piece == REPLI_PIECE_WHOLE && l->incoming.epoch > repl_epoch(repl);
    if (useful) {
        rc = repli_incoming_decode(&l->incoming, own_cluster(repl), &l->schema, &l->ring, &err);
        if (rc != BASE_OK)
            base_logf(repl->ports.log, BASE_LOG_WARN, "metadata: the state at epoch %llu: %s",
                      (unsigned long long)l->incoming.epoch, err.text);
    }
    if (rc == BASE_OK) {
        repli_incoming_reset(&l->incoming);
        l->cut_off = false;
        return 1;
    }
    if (useful || piece == REPLI_PIECE_BAD) { /* somebody else's may be good */
        repli_incoming_reset(&l->incoming);
        return -1;
    }
    forget_checkpoint(l);
    return 0;
}

/* A META_FETCH's answer: did it bring something (> 0), nothing (0), or damage (-1)? */
static int take_answer(struct repl *repl, const struct base_message *reply)
{
    struct base_reader in = base_reader(reply->body);
    uint8_t form;
    if (!base_get_u8(&in, &form))
        return -1;
    switch (form) {
    case REPLI_FETCH_ENTRIES:
        return take_entries(repl, &in);
    case REPLI_FETCH_PIECE:
        return take_piece(repl, &in);
    case REPLI_FETCH_CUT:
        learner_of(repl)->cut_off = true;
        return 1;
    default:
        return -1;
    }
}

/* Nobody whom we can ask has what somebody told of. */
static void recover(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    if (held_upto(repl) > repl_epoch(repl) || l->target <= repl_epoch(repl) ||
        repli_now(repl) - l->recovered_ns < RECOVER_NS)
        return;
    l->recovered_ns = repli_now(repl);
    repli_metadata_recover(repl);
}

static void fetched(struct repl *repl, struct repli_call *call, int rc,
                    const struct base_message *reply)
{
    (void)call;
    struct repli_learner *l = learner_of(repl);
    int count = rc == BASE_OK ? take_answer(repl, reply) : -1;
    if (count > 0) {
        l->attempts = 0;
        l->source_is_new = true; /* it knows: go on there */
    } else {
        l->attempts++;
        l->source_is_new = false;
        if (l->attempts >= RECOVER_ATTEMPTS)
            recover(repl);
    }
    if (count == 0 && reply->epoch <= held_upto(repl) && l->target > held_upto(repl) &&
        l->attempts >= 3)
        l->target =
            held_upto(repl); /* whoever told of more is not to be found: they will tell again */
    pump(repl);
}

static void wait_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    struct repli_learner *l = learner_of(repl);
    if (l->call.pending || l->target <= held_upto(repl))
        return;
    if (!choose_source(repl)) {
        recover(repl);
        l->target = held_upto(repl);
        return;
    }
    struct base_buf body;
    base_buf_init(&body, 128);
    if (repli_fetch_request_put(&body, own_cluster(repl), held_upto(repl),
                                l->cut_off ? &l->incoming : NULL) == BASE_OK) {
        l->source_is_new = false;
        l->call.done = fetched;
        repl->stats.metadata_fetches++;
        repli_call_start(repl, &l->call, l->source, REPL_LANE_GOSSIP, REPL_VERB_META_FETCH,
                         base_buf_view(&body), FETCH_TIMEOUT_NS);
    } else {
        repli_timer_arm_after(repl, &l->wait, NOMEM_WAIT_NS);
    }
    base_buf_fini(&body);
}

/* See that what is missing comes. */
static void fetch(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    if (l->call.pending || repli_timer_is_armed(&l->wait) || repl->metadata->stopped ||
        repl->closing || !repl->started)
        return;
    if (l->ring || l->target <= held_upto(repl) || l->queue_bytes > QUEUE_BYTES_MAX / 2 ||
        l->queue_count > QUEUE_COUNT_MAX / 2)
        return;
    if (l->attempts >= ATTEMPTS_MAX) {
        forget_checkpoint(l);
        l->attempts = 0;
        l->target = held_upto(repl);
        return;
    }
    uint64_t wait = l->attempts == 0 ? 0 : WAIT_MIN_NS << (l->attempts - 1);
    repli_timer_arm_after(repl, &l->wait, wait > WAIT_MAX_NS ? WAIT_MAX_NS : wait);
}

void repli_metadata_behind(struct repl *repl, struct base_uuid who, uint64_t epoch)
{
    struct repli_learner *l = learner_of(repl);
    int member = ring_member_find(repl->ring, who);
    if (repl->ring->member_count == 0)
        return; /* in no cluster: only repli_learner_follow's word counts */
    if (epoch > l->target) {
        l->target = epoch;
        repl->stats.stale_epochs++;
        if (member >= 0 && !repli_is_self(repl, who))
            set_source(l, repli_member_peer(repl, (size_t)member));
    }
    fetch(repl);
}

void repli_learner_follow(struct repl *repl, struct repli_peer source, uint64_t epoch)
{
    struct repli_learner *l = learner_of(repl);
    if (epoch <= held_upto(repl))
        return;
    if (epoch > l->target)
        l->target = epoch;
    set_source(l, source);
    fetch(repl);
}

/* Serving META_FETCH. */

struct repli_serve {
    struct repl *repl;
    struct repl_inbound *in;
    struct repl_meta_op op;
    struct base_buf body;
    struct repli_serve *next;
};

static void serve_free(struct repli_serve *serve)
{
    struct repli_learner *l = learner_of(serve->repl);
    struct repli_serve **at = &l->serving;
    while (*at != serve)
        at = &(*at)->next;
    *at = serve->next;
    l->serving_count--;
    serve->repl->meta_ops--;
    base_buf_fini(&serve->body);
    free(serve);
}

static void serve_ended(struct repli_serve *serve)
{
    struct repl *repl = serve->repl;
    static const uint8_t cut = REPLI_FETCH_CUT;
    if (serve->op.rc == BASE_OK)
        repli_reply(repl, serve->in, base_buf_view(&serve->body));
    else if (serve->op.rc == BASE_E_NOTFOUND)
        repli_reply(repl, serve->in, base_slice(&cut, 1));
    else
        repli_reply_failure(repl, serve->in, serve->op.rc, (struct base_slice){0},
                            serve->op.err.text);
    serve_free(serve);
}

static void serve_done(struct repl_meta_op *op)
{
    struct repli_serve *serve = op->ctx;
    struct repl *repl = serve->repl;
    repli_event_begin(repl);
    serve_ended(serve);
    repli_event_end(repl);
}

static void serve_piece(struct repl *repl, struct repl_inbound *in, uint64_t after,
                        uint64_t bytes_max, uint64_t epoch, uint64_t offset)
{
    struct base_buf body;
    base_buf_init(&body, REPLI_PIECE_BYTES + 128);
    int rc = base_buf_put_u8(&body, REPLI_FETCH_PIECE);
    if (rc == BASE_OK)
        rc = repli_checkpoint_put(repl, &learner_of(repl)->checkpoint, after, epoch, offset,
                                  bytes_max, &body);
    if (rc == BASE_OK)
        repli_reply(repl, in, base_buf_view(&body));
    else
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, base_err_words(rc));
    base_buf_fini(&body);
}

static void serve_entries(struct repl *repl, struct repl_inbound *in, uint64_t after,
                          uint64_t bytes_max)
{
    struct repli_learner *l = learner_of(repl);
    static const struct base_slice none;
    struct repli_serve *serve = l->serving_count < SERVING_MAX ? calloc(1, sizeof *serve) : NULL;
    if (!serve) {
        repli_reply_failure(repl, in, BASE_E_OVERLOADED, none,
                            "too many read the metadata log here");
        return;
    }
    serve->repl = repl;
    serve->in = in;
    serve->next = l->serving;
    l->serving = serve;
    l->serving_count++;
    repl->meta_ops++;
    base_buf_init(&serve->body, PAGE_BYTES + 2 * REPLI_PROPOSAL_SIZE_MAX - ((size_t)1 << 20));
    serve->op = (struct repl_meta_op){
        .kind = REPL_META_READ_LOG,
        .done = serve_done,
        .epoch = after + 1,
        .bytes_max = bytes_max < PAGE_BYTES ? (size_t)bytes_max : PAGE_BYTES,
        .buf = &serve->body,
        .ctx = serve,
    };
    serve->op.rc = base_buf_put_u8(&serve->body, REPLI_FETCH_ENTRIES);
    if (serve->op.rc == BASE_OK && after < repl_epoch(repl) &&
        repl->ports.meta->ops->submit(repl->ports.meta, &serve->op) == REPL_PENDING)
        return;
    serve_ended(serve);
}

void repli_fetch_handle(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice raw;
    struct base_uuid cluster_id;
    static const struct base_uuid unknown;
    uint64_t after, bytes_max, epoch = 0, offset = 0;
    uint8_t flags;
    if (!base_get_raw(&reader, sizeof cluster_id.b, &raw) || !base_get_varint(&reader, &after) ||
        !base_get_varint(&reader, &bytes_max) || !base_get_u8(&reader, &flags) ||
        ((flags & REPLI_FETCH_PIECE) &&
         (!base_get_varint(&reader, &epoch) || !base_get_varint(&reader, &offset))) ||
        base_reader_left(&reader)) {
        repli_reply_failure(repl, in, BASE_E_CORRUPT, (struct base_slice){0},
                            base_err_words(BASE_E_CORRUPT));
        return;
    }
    memcpy(cluster_id.b, raw.data, sizeof cluster_id.b);
    if (!base_uuid_equal(cluster_id, unknown) && !repli_cluster_is_ours(repl, cluster_id))
        repli_reply_failure(repl, in, BASE_E_INVALID, (struct base_slice){0},
                            "this node is of another cluster");
    else if ((flags & REPLI_FETCH_PIECE) && repl->ring->member_count == 0)
        repli_reply_failure(repl, in, BASE_E_UNAVAILABLE, (struct base_slice){0},
                            "this node is in no cluster yet");
    else if (flags & REPLI_FETCH_PIECE)
        serve_piece(repl, in, after, bytes_max, epoch, offset);
    else
        serve_entries(repl, in, after, bytes_max);
}

/* Life. */

void repli_learner_open(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    l->retry.fired = retry_fired;
    l->wait.fired = wait_fired;
    repli_incoming_init(&l->incoming);
    repli_checkpoint_open(&l->checkpoint);
}

void repli_learner_close(struct repl *repl)
{
    struct repli_learner *l = learner_of(repl);
    BASE_ASSERT(!l->current);
    BASE_ASSERT(!l->serving);
    while (l->queue)
        learned_free(queue_take(l));
    forget_checkpoint(l);
    base_buf_fini(&l->incoming.bytes);
    repli_checkpoint_close(repl, &l->checkpoint);
    repli_call_cancel(repl, &l->call);
    repli_timer_disarm(repl, &l->wait);
    repli_timer_disarm(repl, &l->retry);
}
