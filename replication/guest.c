/* A guest: a coordinator that stores nothing. Ring and schema come from a contact's snapshot
 * (META_FETCH), then by the entries that follow; liveness by LIVENESS; a change of the schema is
 * put to a contact (META_PROPOSE).
 *
 * Invariants:
 *  1. Ready (stage MEMBER) once a snapshot of a cluster and one liveness report are there; it stays
 *     so.
 *  2. Nothing is asked while nobody uses the guest and all members live: liveness is asked for when
 *     a request begins and the last report is older than LIVENESS_NS, entries when a reply told of
 *     an epoch beyond ours. Until it is ready it keeps asking, and while somebody is said to be
 *     dead too: else the first request after a quiet hour would be refused for the sake of a node
 *     that is long back.
 *  3. Contacts are the configured ones, then all members; one that fails is passed over for the
 *     next.
 *  4. A change is put to another contact only if the one before certainly proposed nothing. */
#include "replication/metadata.h"

#include <stdio.h>

#define CALL_TIMEOUT_NS UINT64_C(1000000000)
#define LIVENESS_NS UINT64_C(1000000000)
#define POLL_NS UINT64_C(2000000000)
#define WAIT_MIN_NS UINT64_C(20000000)
#define WAIT_MAX_NS UINT64_C(2000000000)
#define ATTEMPTS_MAX 16u /* of one wish, once it is ready */
#define ENTRIES_MAX 64u  /* behind by more: the snapshot again */

struct guest_change {
    struct repl *repl;
    struct repl_change *change;
    struct repli_call call;
    struct repli_timer timer; /* the outcome is known; its epoch is waited for */
    struct base_buf entry;
    uint64_t deadline_ns;
    unsigned tries;
    struct guest_change *next;
};
struct repli_guest {
    size_t contact;              /* which of the contacts: seeds, then members */
    struct base_uuid contact_id; /* who answered there last; zero: nobody yet */
    uint32_t contact_generation; /* which start of it that was; 0: not known */
    struct repli_call fetch_call, liveness_call;
    struct repli_timer timer; /* after a failure */
    struct repli_timer poll;  /* somebody is dead */
    unsigned attempts;
    uint64_t wanted; /* an epoch that somebody told of */
    bool snapshot_wanted, liveness_wanted, ready, has_liveness;
    struct repli_incoming incoming; /* the snapshot, as far as it has come */
    uint64_t liveness_ns;
    bool alive[RING_MEMBERS_MAX]; /* by index of the ring */
    struct guest_change *changes;
    uint8_t dc[RING_NAME_LEN_MAX], rack[RING_NAME_LEN_MAX]; /* taken from the first contact */
    char text[600];
};

static void go_on(struct repl *repl);

/* Contacts. */

static size_t contact_count(const struct repl *repl)
{
    return repl->config.seed_count + repl->ring->member_count;
}

static struct repli_peer contact_peer(const struct repl *repl, size_t at)
{
    if (at >= repl->config.seed_count)
        return repli_member_peer(repl, at - repl->config.seed_count);
    struct repli_peer peer = {.address = repl->config.seeds[at]};
    int member = ring_member_find_address(repl->ring, peer.address);
    return member >= 0 ? repli_member_peer(repl, (size_t)member) : peer;
}

/* The next one; members that are said to be dead are left out. */
static void next_contact(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    size_t n = contact_count(repl), seeds = repl->config.seed_count;
    g->contact_id = (struct base_uuid){0};
    g->contact_generation = 0;
    for (size_t i = 0; i < n; i++) {
        g->contact = (g->contact + 1) % n;
        if (g->contact < seeds || !g->has_liveness || g->alive[g->contact - seeds])
            return;
    }
}

bool repli_guest_contact(const struct repl *repl, struct repli_peer *out)
{
    const struct repli_guest *g = repl->guest;
    *out = (struct repli_peer){0};
    if (!g || !g->ready || g->contact >= contact_count(repl))
        return false;
    *out = contact_peer(repl, g->contact);
    return true;
}

static void describe(struct repl *repl, const char *what)
{
    struct repli_guest *g = repl->guest;
    int n = snprintf(g->text, sizeof g->text, "%s (contacts:", what);
    size_t len = n > 0 ? (size_t)n : 0;
    for (size_t i = 0; i < repl->config.seed_count && len < sizeof g->text; i++) {
        n = snprintf(g->text + len, sizeof g->text - len, " %.*s",
                     BASE_SLICE_ARG(repl->config.seeds[i]));
        len += n > 0 ? (size_t)n : 0;
    }
    if (len < sizeof g->text)
        snprintf(g->text + len, sizeof g->text - len, ")");
}

/* Changes that wait. */

static void change_end(struct guest_change *gc)
{
    struct repl *repl = gc->repl;
    struct repl_change *change = gc->change;
    struct guest_change **at = &repl->guest->changes;
    while (*at != gc)
        at = &(*at)->next;
    *at = gc->next;
    repli_call_cancel(repl, &gc->call);
    repli_timer_disarm(repl, &gc->timer);
    base_buf_fini(&gc->entry);
    free(gc);
    repl->client_requests--;
    change->state = NULL;
    change->done(change);
}

/* Those whose outcome is known and whose epoch is reached. */
static void end_reached(struct repl *repl)
{
    for (struct guest_change *gc = repl->guest->changes; gc;) {
        if (repli_timer_is_armed(&gc->timer) && gc->change->epoch <= repl_epoch(repl)) {
            change_end(gc);
            gc = repl->guest->changes; /* done may have begun or ended others */
        } else {
            gc = gc->next;
        }
    }
}

/* What a contact tells. */

/* A guest that was told no data centre is in its first contact's: what is local to that is local to
 * it. */
static void take_place(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    for (size_t i = 0; i < repl->config.seed_count && repl->config.dc.len == 0; i++) {
        int member = ring_member_find_address(repl->ring, repl->config.seeds[i]);
        if (member < 0)
            continue;
        const struct ring_member *m = &repl->ring->members[member];
        BASE_ASSERT(m->dc.len <= sizeof g->dc && m->rack.len <= sizeof g->rack);
        memcpy(g->dc, m->dc.data, m->dc.len);
        memcpy(g->rack, m->rack.data, m->rack.len);
        repl->config.dc = base_slice(g->dc, m->dc.len);
        repl->config.rack = base_slice(g->rack, m->rack.len);
        repli_snitch_on_epoch(repl); /* who is near */
    }
}

static void became_ready(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    if (g->ready || !g->has_liveness || repl->ring->member_count == 0)
        return;
    take_place(repl);
    g->ready = true;
    describe(repl, "coordinates");
    base_logf(repl->ports.log, BASE_LOG_INFO, "cluster: a guest of \"%.*s\" %s",
              BASE_SLICE_ARG(repl->ring->cluster_name), g->text);
    if (repl->ports.changed)
        repl->ports.changed(repl->ports.ctx);
}

/* New snapshots (references are taken over). Indexes of members may have moved. */
static void publish(struct repl *repl, struct base_schema *schema, struct ring_state *ring)
{
    struct repli_guest *g = repl->guest;
    const struct ring_state *old = repl->ring;
    bool alive[RING_MEMBERS_MAX] = {false};
    size_t seeds = repl->config.seed_count;
    for (size_t i = 0; i < ring->member_count; i++) {
        int before = ring_member_find(old, ring->members[i].host_id);
        alive[i] = before >= 0 && g->alive[before];
    }
    memcpy(g->alive, alive, sizeof alive);
    if (g->contact >= seeds + ring->member_count)
        g->contact = 0;
    if (ring->member_count != old->member_count)
        g->liveness_wanted = true;
    repli_publish(repl, schema, ring);
}

/* A piece of a snapshot. *more: its next one is wanted. */
static bool take_piece(struct repl *repl, struct base_reader *in, bool *more)
{
    struct repli_guest *g = repl->guest;
    struct base_schema *schema;
    struct ring_state *ring;
    enum repli_piece piece = repli_incoming_take(&g->incoming, in);
    *more = piece == REPLI_PIECE_MORE;
    if (piece != REPLI_PIECE_WHOLE)
        return *more;
    bool good = g->incoming.epoch >= repl_epoch(repl) &&
                repli_incoming_decode(&g->incoming, repl->ring->cluster_id, &schema, &ring, NULL) ==
                    BASE_OK;
    repli_incoming_reset(&g->incoming);
    if (good && ring->epoch > repl_epoch(repl)) {
        publish(repl, schema, ring);
    } else if (good) {
        base_schema_release(schema);
        ring_state_release(ring);
    }
    return good;
}

static bool take_entries(struct repl *repl, struct base_reader *in)
{
    while (base_reader_left(in)) {
        uint64_t epoch;
        struct base_slice entry;
        struct repli_applied applied;
        if (!repl_entry_get(in, &epoch, &entry))
            return false;
        if (epoch <= repl_epoch(repl))
            continue;
        if (epoch != repl_epoch(repl) + 1 ||
            repli_entry_apply(repl->schema, repl->ring, entry, &applied, NULL) != BASE_OK)
            return false;
        struct base_schema *schema = applied.schema;
        struct ring_state *ring = applied.ring;
        applied.schema = NULL;
        applied.ring = NULL;
        repli_applied_fini(&applied);
        publish(repl, schema, ring);
    }
    return true;
}

/* One answer more or one failure more. */
static void count_answer(struct repl *repl, bool good, const struct base_message *reply)
{
    struct repli_guest *g = repl->guest;
    if (good) {
        g->attempts = 0;
        g->contact_id = reply->sender;
        g->contact_generation = reply->generation;
    } else {
        g->attempts++;
        next_contact(repl);
        if (!g->ready)
            describe(repl, "no contact has answered");
    }
}

static void fetched(struct repl *repl, struct repli_call *call, int rc,
                    const struct base_message *reply)
{
    (void)call;
    struct repli_guest *g = repl->guest;
    uint64_t before = repl_epoch(repl);
    bool good = false, more = false;
    if (rc == BASE_OK) {
        struct base_reader in = base_reader(reply->body);
        uint8_t form = UINT8_MAX;
        if (base_get_u8(&in, &form) && form == REPLI_FETCH_PIECE)
            good = take_piece(repl, &in, &more);
        else if (form == REPLI_FETCH_ENTRIES)
            good = take_entries(repl, &in);
        else if (form == REPLI_FETCH_CUT) /* the entries are kept no more */
            good = more = true;
    }
    /* entries that do not fit: all anew */
    g->snapshot_wanted = more || (rc == BASE_OK && !good && before > 0);
    if (good && reply->epoch > g->wanted)
        g->wanted = reply->epoch;
    good &= more || repl_epoch(repl) > before || repl_epoch(repl) >= g->wanted;
    count_answer(repl, good, reply);
    became_ready(repl);
    end_reached(repl);
    go_on(repl);
}

static bool all_live(const struct repl *repl)
{
    for (size_t i = 0; i < repl->ring->member_count; i++)
        if (!repl->guest->alive[i])
            return false;
    return true;
}

static void poll_fired(struct repl *repl, struct repli_timer *timer)
{
    repl->guest->liveness_wanted = true;
    repli_timer_arm_after(repl, timer, POLL_NS); /* also when attempts come to an end meanwhile */
    go_on(repl);
}

static void liveness_told(struct repl *repl, struct repli_call *call, int rc,
                          const struct base_message *reply)
{
    (void)call;
    struct repli_guest *g = repl->guest;
    struct base_reader in;
    struct repli_liveness told;
    size_t count = 0;
    bool good = rc == BASE_OK && repli_liveness_begin(reply->body, &in, &count);
    for (size_t i = 0; good && i < count; i++) {
        good = repli_liveness_next(&in, &told);
        int member = good ? ring_member_find(repl->ring, told.host_id) : -1;
        if (member < 0 || g->alive[member] == told.alive)
            continue;
        g->alive[member] = told.alive;
        repli_liveness_changed(repl, (size_t)member, told.alive);
    }
    if (good) {
        g->has_liveness = true;
        g->liveness_wanted = false;
        g->liveness_ns = repli_now(repl);
        if (all_live(repl))
            repli_timer_disarm(repl, &g->poll);
        else
            repli_timer_arm_after(repl, &g->poll, POLL_NS);
    }
    count_answer(repl, good, reply);
    became_ready(repl);
    go_on(repl);
}

/* Asking. */

static void fetch(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    struct base_buf body;
    bool all = g->snapshot_wanted || repl->ring->member_count == 0 ||
               g->wanted - repl_epoch(repl) > ENTRIES_MAX;
    struct repli_peer to = contact_peer(repl, g->contact);
    base_buf_init(&body, 128);
    if (repli_fetch_request_put(&body, repl->ring->cluster_id, repl_epoch(repl),
                                all ? &g->incoming : NULL) == BASE_OK) {
        g->fetch_call.done = fetched;
        repl->stats.metadata_fetches++;
        repli_call_start(repl, &g->fetch_call, to, REPL_LANE_GOSSIP, REPL_VERB_META_FETCH,
                         base_buf_view(&body), CALL_TIMEOUT_NS);
    }
    base_buf_fini(&body);
}

/* Something is wanted: ask for it, one thing at a time, after failures with a pause. */
static void ask(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    if (g->fetch_call.pending || g->liveness_call.pending || contact_count(repl) == 0)
        return;
    if (repl->ring->member_count == 0 || g->wanted > repl_epoch(repl)) {
        fetch(repl);
    } else if (g->liveness_wanted || !g->has_liveness) {
        g->liveness_call.done = liveness_told;
        repli_call_start(repl, &g->liveness_call, contact_peer(repl, g->contact), REPL_LANE_GOSSIP,
                         REPL_VERB_LIVENESS, (struct base_slice){0}, CALL_TIMEOUT_NS);
    }
}

static void timer_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    ask(repl);
}

static void go_on(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    if (repl->closing || repli_timer_is_armed(&g->timer))
        return;
    if (g->attempts >= ATTEMPTS_MAX && g->ready) { /* the next request begins anew */
        g->attempts = 0;
        g->wanted = repl_epoch(repl);
        g->liveness_wanted = false;
        return;
    }
    if (g->attempts == 0) {
        ask(repl);
        return;
    }
    unsigned shift = g->attempts - 1 < 7 ? g->attempts - 1 : 7;
    uint64_t wait = WAIT_MIN_NS << shift;
    repli_timer_arm_after(repl, &g->timer, wait < WAIT_MAX_NS ? wait : WAIT_MAX_NS);
}

void repli_guest_touch(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    if (!g->ready || repli_now(repl) - g->liveness_ns < LIVENESS_NS)
        return;
    g->liveness_wanted = true;
    go_on(repl);
}

void repli_guest_behind(struct repl *repl, uint64_t epoch)
{
    struct repli_guest *g = repl->guest;
    if (epoch > g->wanted)
        g->wanted = epoch;
    if (g->ready)
        go_on(repl);
}

bool repli_guest_is_alive(const struct repl *repl, struct base_uuid host_id)
{
    int member = ring_member_find(repl->ring, host_id);
    return member >= 0 && repl->guest->alive[member];
}

enum repl_stage repli_guest_stage(const struct repl *repl)
{
    return repl->guest->ready ? REPL_MEMBER : REPL_STARTING;
}

const char *repli_guest_stage_text(const struct repl *repl)
{
    return repl->guest->text;
}

/* Changes. */

static void change_send(struct guest_change *gc);

static void set_outcome(struct repl_change *change, int rc, struct base_slice text)
{
    change->outcome = (struct repl_outcome){.rc = rc};
    if (rc != BASE_OK)
        base_err_set(&change->outcome.err, rc, "%.*s", BASE_SLICE_ARG(text));
}

static void deadline_passed(struct repl *repl, struct repli_timer *timer)
{
    (void)repl;
    /* it is known how it ended; the snapshot will follow */
    change_end(BASE_CONTAINER(timer, struct guest_change, timer));
}

/* The outcome is known: first see what it led to. */
static void change_known(struct guest_change *gc, uint64_t epoch)
{
    struct repl *repl = gc->repl;
    gc->change->epoch = epoch;
    if (epoch <= repl_epoch(repl)) {
        change_end(gc);
        return;
    }
    gc->timer.fired = deadline_passed;
    repli_timer_arm(repl, &gc->timer, gc->deadline_ns);
    repli_guest_behind(repl, epoch);
}

static void change_answered(struct repl *repl, struct repli_call *call, int rc,
                            const struct base_message *reply)
{
    struct guest_change *gc = BASE_CONTAINER(call, struct guest_change, call);
    struct base_slice detail, text = {0};
    uint64_t epoch = 0;
    if (reply && rc != BASE_OK)
        rc = repli_failure_get(reply, &detail, &text);
    bool nothing_done =
        rc == BASE_E_CLOSED || (!reply && (rc == BASE_E_UNAVAILABLE || rc == BASE_E_OVERLOADED));
    if (nothing_done && gc->tries < 2 * contact_count(repl) && repli_now(repl) < gc->deadline_ns) {
        if (reply && reply->generation != repl->guest->contact_generation)
            repl->guest->contact_generation =
                reply->generation; /* the same contact, as it is now */
        else
            next_contact(repl);
        change_send(gc);
        return;
    }
    if (rc == BASE_OK) {
        struct base_reader in = base_reader(reply->body);
        if (!base_get_varint(&in, &epoch))
            epoch = gc->change->change->expected_epoch + 1;
        set_outcome(gc->change, BASE_OK, text);
        change_known(gc, epoch);
    } else if (rc == BASE_E_STALE) {
        set_outcome(gc->change, rc, text);
        change_known(gc, reply->epoch);
    } else {
        if (!reply && rc == BASE_E_TIMEOUT)
            rc = BASE_E_UNKNOWN;
        if (!text.len)
            text = rc == BASE_E_UNKNOWN
                       ? BASE_SLICE_LIT(
                             "the contact did not answer in time: the change may still happen")
                       : BASE_SLICE_LIT("no contact could be reached: nothing was changed");
        set_outcome(gc->change, rc, text);
        change_end(gc);
    }
}

static void change_send(struct guest_change *gc)
{
    struct repl *repl = gc->repl;
    uint64_t now = repli_now(repl);
    struct base_buf body;
    gc->tries++;
    gc->call.done = change_answered;
    base_buf_init(&body, REPLI_PROPOSAL_SIZE_MAX + 64);
    int rc = base_buf_put_varint(&body, repl->guest->contact_generation);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&body, base_buf_view(&gc->entry));
    if (rc == BASE_OK) {
        repli_call_start(repl, &gc->call, contact_peer(repl, repl->guest->contact),
                         REPL_LANE_GOSSIP, REPL_VERB_META_PROPOSE, base_buf_view(&body),
                         gc->deadline_ns > now ? gc->deadline_ns - now : 1);
    } else {
        set_outcome(gc->change, rc, base_slice_str(base_err_words(rc)));
        change_end(gc);
    }
    base_buf_fini(&body);
}

void repli_guest_change_start(struct repl *repl, struct repl_change *change)
{
    struct repli_guest *g = repl->guest;
    struct base_err err;
    struct guest_change *gc = calloc(1, sizeof *gc);
    int rc = gc ? BASE_OK : base_err_set(&err, BASE_E_NOMEM, "out of memory");
    if (rc == BASE_OK && !g->ready)
        rc = base_err_set(&err, BASE_E_UNAVAILABLE, "%s", g->text);
    if (rc == BASE_OK) {
        base_buf_init(&gc->entry, REPLI_PROPOSAL_SIZE_MAX);
        rc = repli_change_encode(repl, change->change, &gc->entry, &err);
    }
    if (rc != BASE_OK) {
        if (gc)
            base_buf_fini(&gc->entry);
        free(gc);
        set_outcome(change, rc, base_slice_str(err.text));
        change->done(change);
        return;
    }
    gc->repl = repl;
    gc->change = change;
    gc->deadline_ns = repli_now(repl) +
                      (change->timeout_ns ? change->timeout_ns : repl->config.metadata_timeout_ns);
    gc->next = g->changes;
    g->changes = gc;
    change->state = gc;
    change->epoch = 0;
    repl->client_requests++;
    change_send(gc);
}

/* Life. */

int repli_guest_open(struct repl *repl, struct base_err *err)
{
    struct repli_guest *g = repl->guest = calloc(1, sizeof *g);
    if (!g)
        return base_err_set(err, BASE_E_NOMEM, "cluster: out of memory");
    g->timer.fired = timer_fired;
    g->poll.fired = poll_fired;
    repli_incoming_init(&g->incoming);
    describe(repl, "asking for the cluster");
    return BASE_OK;
}

void repli_guest_start(struct repl *repl)
{
    ask(repl);
}

void repli_guest_close(struct repl *repl)
{
    struct repli_guest *g = repl->guest;
    if (!g)
        return;
    while (g->changes) {
        struct guest_change *gc = g->changes;
        if (!repli_timer_is_armed(&gc->timer)) {
            static const char asked[] = "this node is shutting down: the change may still happen";
            set_outcome(gc->change, BASE_E_UNKNOWN, base_slice_str(asked));
        }
        change_end(gc);
    }
    repli_call_cancel(repl, &g->fetch_call);
    repli_call_cancel(repl, &g->liveness_call);
    repli_timer_disarm(repl, &g->timer);
    repli_timer_disarm(repl, &g->poll);
    base_buf_fini(&g->incoming.bytes);
    free(g);
    repl->guest = NULL;
}
