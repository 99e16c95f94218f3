/* The clockwork of replication/: events, timers, calls to peers, dispatch of requests, admission,
 * snapshots.
 *
 * Invariants:
 *  1. One event sees one time: the clock is read when an event begins.
 *  2. A call that is pending is in the table by its id and has a timer; its `done` runs once.
 *  3. A request of an epoch that we have not reached waits in `behind` until we have, or its
 *     deadline passes.
 *  4. schema->epoch == ring->epoch, always. */
#include "replication/replication_private.h"

#include <stdlib.h>

#define DEFAULT_MS(n) ((uint64_t)(n)*1000000u)
#define BEHIND_MAX 4096 /* requests that wait for an epoch; more are refused as STALE */

/* Events. */

void repli_event_begin(struct repl *repl)
{
    if (repl->depth++ == 0)
        repl->now_ns = base_clock_mono(repl->ports.clock).ns;
}

static void set_alarm(struct repl *repl)
{
    uint64_t at = repl->timers ? repl->timers->due_ns : UINT64_MAX;
    if (at == repl->alarm_ns)
        return;
    repl->alarm_ns = at;
    repl->ports.alarm->ops->set(repl->ports.alarm, at);
}

void repli_event_end(struct repl *repl)
{
    BASE_ASSERT(repl->depth > 0);
    if (--repl->depth == 0)
        set_alarm(repl);
}

uint64_t repli_now(const struct repl *repl)
{
    return repl->now_ns;
}

int64_t repli_now_s(const struct repl *repl)
{
    return base_clock_wall_s(repl->ports.clock);
}

/* Timers: a pairing heap by due_ns. */

static struct repli_timer *meld(struct repli_timer *a, struct repli_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->due_ns < a->due_ns) {
        struct repli_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = &b->next;
    b->prev = &a->child;
    a->child = b;
    a->next = NULL;
    return a;
}

/* A list of siblings as one heap: pairs from the left, then all from the right. */
static struct repli_timer *meld_all(struct repli_timer *list)
{
    struct repli_timer *pairs = NULL;
    while (list) {
        struct repli_timer *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs; /* a stack, linked by next alone */
        pairs = a;
    }
    struct repli_timer *root = NULL;
    while (pairs) {
        struct repli_timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = meld(root, a);
    }
    return root;
}

static void set_root(struct repl *repl, struct repli_timer *root)
{
    repl->timers = root;
    if (root) {
        root->prev = &repl->timers;
        root->next = NULL;
    }
}

void repli_timer_disarm(struct repl *repl, struct repli_timer *timer)
{
    if (!timer->prev)
        return;
    struct repli_timer *below = meld_all(timer->child);
    timer->child = NULL;
    if (timer == repl->timers) {
        set_root(repl, below);
    } else {
        *timer->prev = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        set_root(repl, meld(repl->timers, below));
    }
    timer->prev = NULL;
    timer->next = NULL;
}

void repli_timer_arm(struct repl *repl, struct repli_timer *timer, uint64_t due_ns)
{
    BASE_ASSERT(timer->fired);
    repli_timer_disarm(repl, timer);
    timer->due_ns = due_ns;
    timer->child = timer->next = NULL;
    set_root(repl, meld(repl->timers, timer));
    BASE_ASSERT(timer->prev);
}

void repli_timer_arm_after(struct repl *repl, struct repli_timer *timer, uint64_t after_ns)
{
    uint64_t due = repl->now_ns + after_ns;
    repli_timer_arm(repl, timer, due < after_ns ? UINT64_MAX - 1 : due);
}

void repl_tick(struct repl *repl)
{
    repli_event_begin(repl);
    repl->alarm_ns = 0; /* it has rung: set it anew */
    while (repl->timers && repl->timers->due_ns <= repl->now_ns) {
        struct repli_timer *timer = repl->timers;
        repli_timer_disarm(repl, timer);
        timer->fired(repl, timer);
    }
    repli_event_end(repl);
}

/* Calls. */

static struct repli_call **call_find(struct repl *repl, uint64_t id)
{
    struct repli_call **at = &repl->calls[id % REPLI_CALL_BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void call_forget(struct repl *repl, struct repli_call *call)
{
    struct repli_call **at = call_find(repl, call->id);
    BASE_ASSERT(*at == call && call->pending);
    *at = call->next;
    call->pending = false;
    repl->call_count--;
    repli_timer_disarm(repl, &call->timer);
}

static void call_end(struct repl *repl, struct repli_call *call, int rc,
                     const struct base_message *reply)
{
    call_forget(repl, call);
    call->done(repl, call, rc, reply); /* may free the call */
}

static void call_timed_out(struct repl *repl, struct repli_timer *timer)
{
    struct repli_call *call = BASE_CONTAINER(timer, struct repli_call, timer);
    call_end(repl, call, call->early_rc ? call->early_rc : BASE_E_TIMEOUT, NULL);
}

static struct base_message new_message(struct repl *repl, enum repl_verb verb, uint64_t id,
                                       struct base_slice body)
{
    return (struct base_message){
        .verb = (uint8_t)verb,
        .id = id,
        .sender = repl->config.host_id,
        .generation = repl->config.generation,
        .epoch = repl_epoch(repl),
        .body = body,
    };
}

static uint32_t timeout_ms(uint64_t ns)
{
    uint64_t ms = (ns + 999999) / 1000000;
    return ms == 0 ? 1 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

void repli_call_start(struct repl *repl, struct repli_call *call, struct repli_peer to,
                      enum repl_lane lane, enum repl_verb verb, struct base_slice body,
                      uint64_t timeout_ns)
{
    BASE_ASSERT(call->done && !call->pending);
    BASE_ASSERT(repl->depth > 0);
    call->to = to.host_id;
    call->id = repl->next_id++;
    call->sent_ns = repl->now_ns;
    call->early_rc = 0;
    call->pending = true;
    struct repli_call **at = call_find(repl, call->id);
    BASE_ASSERT(!*at);
    call->next = NULL;
    *at = call;
    repl->call_count++;
    struct base_message message = new_message(repl, verb, call->id, body);
    message.timeout_ms = timeout_ms(timeout_ns);
    int rc = repl->ports.transport->ops->send(repl->ports.transport, to.address, to.host_id, lane,
                                              &message);
    repl->stats.messages_sent++;
    call->timer.fired = call_timed_out;
    call->early_rc = rc;
    repli_timer_arm_after(repl, &call->timer, rc ? 0 : timeout_ns);
}

void repli_call_cancel(struct repl *repl, struct repli_call *call)
{
    if (call->pending)
        call_forget(repl, call);
}

void repli_tell(struct repl *repl, struct repli_peer to, enum repl_lane lane, enum repl_verb verb,
                struct base_slice body)
{
    struct base_message message = new_message(repl, verb, repl->next_id++, body);
    message.flags = BASE_MESSAGE_ONE_WAY;
    message.timeout_ms = timeout_ms(repl->config.write_timeout_ns);
    repl->stats.messages_sent++;
    if (repl->ports.transport->ops->send(repl->ports.transport, to.address, to.host_id, lane,
                                         &message) != BASE_OK)
        return; /* nobody waits for it, and nothing depends on it */
}

struct repli_peer repli_member_peer(const struct repl *repl, size_t member)
{
    BASE_ASSERT(member < repl->ring->member_count);
    const struct ring_member *m = &repl->ring->members[member];
    return (struct repli_peer){m->host_id, m->address};
}

/* Replies. */

void repli_drop(struct repl *repl, struct repl_inbound *in)
{
    repl->ports.transport->ops->drop(repl->ports.transport, in);
}

static void reply(struct repl *repl, struct repl_inbound *in, unsigned flags,
                  struct base_slice body)
{
    if (in->message.flags & BASE_MESSAGE_ONE_WAY) {
        repli_drop(repl, in);
        return;
    }
    struct base_message message =
        new_message(repl, (enum repl_verb)in->message.verb, in->message.id, body);
    message.flags = (uint8_t)(BASE_MESSAGE_REPLY | flags);
    message.trace_id = in->message.trace_id;
    repl->ports.transport->ops->reply(repl->ports.transport, in, &message);
}

void repli_reply(struct repl *repl, struct repl_inbound *in, struct base_slice body)
{
    reply(repl, in, 0, body);
}

void repli_reply_failure(struct repl *repl, struct repl_inbound *in, int code,
                         struct base_slice detail, const char *text)
{
    struct base_buf body;
    base_buf_init(&body, 65536);
    BASE_ASSERT(code > 0 && code < 256);
    int rc = base_buf_put_u8(&body, (uint8_t)code);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&body, detail);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&body, base_slice_str(text ? text : ""));
    if (rc == BASE_OK)
        reply(repl, in, BASE_MESSAGE_FAILED, base_buf_view(&body));
    else
        repli_drop(repl, in);
    base_buf_fini(&body);
}

int repli_failure_get(const struct base_message *message, struct base_slice *detail,
                      struct base_slice *text)
{
    struct base_reader in = base_reader(message->body);
    uint8_t code;
    *detail = *text = (struct base_slice){0};
    if (!base_get_u8(&in, &code) || !base_get_bytes(&in, detail) || !base_get_bytes(&in, text) ||
        code == 0 || base_reader_left(&in)) {
        *detail = *text = (struct base_slice){0};
        return BASE_E_CORRUPT;
    }
    return code;
}

static void heard_of_epoch(struct repl *repl, struct base_uuid who, uint64_t epoch)
{
    repli_gossip_heard_epoch(repl, who, epoch);
    if (epoch <= repl_epoch(repl))
        return;
    if (repli_is_guest(repl))
        repli_guest_behind(repl, epoch);
    else
        repli_metadata_behind(repl, who, epoch);
}

void repl_on_reply(struct repl *repl, const struct base_message *message)
{
    repli_event_begin(repl);
    struct repli_call *call = *call_find(repl, message->id);
    repl->stats.messages_received++;
    static const struct base_uuid nobody;
    if (call && (base_uuid_equal(call->to, message->sender) || base_uuid_equal(call->to, nobody))) {
        heard_of_epoch(repl, message->sender, message->epoch);
        int rc = BASE_OK;
        if (message->flags & BASE_MESSAGE_FAILED) {
            struct base_slice detail, text;
            rc = repli_failure_get(message, &detail, &text);
        }
        call_end(repl, call, rc, message);
    }
    repli_event_end(repl);
}

void repl_on_undelivered(struct repl *repl, uint64_t id)
{
    repli_event_begin(repl);
    struct repli_call *call = *call_find(repl, id);
    if (call) {
        struct base_uuid to = call->to;
        call_end(repl, call, BASE_E_UNAVAILABLE, NULL);
        if (!repli_is_guest(repl))
            repli_gossip_on_undelivered(repl, to);
    }
    repli_event_end(repl);
}

/* Requests of peers. */

static void dispatch(struct repl *repl, struct repl_inbound *in)
{
    switch ((enum repl_verb)in->message.verb) {
    case REPL_VERB_GOSSIP:
    case REPL_VERB_GOSSIP_ACK2:
    case REPL_VERB_LIVENESS:
    case REPL_VERB_ECHO:
        repli_gossip_handle(repl, in);
        return;
    case REPL_VERB_META_PREPARE:
    case REPL_VERB_META_ACCEPT:
    case REPL_VERB_META_LEARN:
    case REPL_VERB_META_FETCH:
    case REPL_VERB_META_PROPOSE:
        repli_metadata_handle(repl, in);
        return;
    case REPL_VERB_META_PROBE:
    case REPL_VERB_META_SEED:
        repli_join_handle(repl, in);
        return;
    case REPL_VERB_WRITE:
    case REPL_VERB_WRITE_IF:
    case REPL_VERB_REPAIR:
    case REPL_VERB_HINTED:
        repli_writes_handle(repl, in);
        return;
    case REPL_VERB_READ:
        repli_reads_handle(repl, in);
        return;
    case REPL_VERB_HINT:
        repli_hints_handle(repl, in);
        return;
    case REPL_VERB_BATCH:
    case REPL_VERB_BATCH_DONE:
        repli_batchlog_handle(repl, in);
        return;
    }
    repli_reply_failure(repl, in, BASE_E_VERSION, (struct base_slice){0},
                        "this node does not know the message");
}

/* What names tables or owners by the sender's epoch, or asks for a vote on the entry after it,
 * waits until we know it too. */
static bool waits_for_epoch(uint8_t verb)
{
    return verb >= REPL_VERB_WRITE || verb == REPL_VERB_META_PROBE ||
           verb == REPL_VERB_META_PREPARE || verb == REPL_VERB_META_ACCEPT;
}

static void arm_behind(struct repl *repl)
{
    uint64_t first = UINT64_MAX;
    for (const struct repl_inbound *in = repl->behind; in; in = in->next)
        first = in->deadline_ns < first ? in->deadline_ns : first;
    if (first == UINT64_MAX)
        repli_timer_disarm(repl, &repl->behind_timer);
    else
        repli_timer_arm(repl, &repl->behind_timer, first);
}

/* Those that wait: too late → gone; reached → on their way; else they wait on. */
void repli_behind_on_epoch(struct repl *repl)
{
    struct repl_inbound *list = repl->behind;
    repl->behind = NULL;
    repl->behind_end = &repl->behind;
    for (struct repl_inbound *next; list; list = next) {
        next = list->next;
        list->next = NULL;
        if (repli_is_expired(repl, list)) {
            repl->stats.messages_expired++;
            repli_drop(repl, list);
        } else if (list->message.epoch <= repl_epoch(repl)) {
            dispatch(repl, list);
        } else {
            *repl->behind_end = list;
            repl->behind_end = &list->next;
        }
    }
    arm_behind(repl);
}

static void behind_timed_out(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    repli_behind_on_epoch(repl);
}

static size_t behind_count(const struct repl *repl)
{
    size_t n = 0;
    for (const struct repl_inbound *in = repl->behind; in; in = in->next)
        n++;
    return n;
}

void repl_on_request(struct repl *repl, struct repl_inbound *in)
{
    static const struct base_slice none;
    repli_event_begin(repl);
    repl->stats.messages_received++;
    in->next = NULL;
    bool later = in->message.epoch > repl_epoch(repl) && waits_for_epoch(in->message.verb);
    if (repl->closing || repli_is_guest(repl)) {
        repli_drop(repl, in);
    } else if (repli_is_expired(repl, in)) {
        repl->stats.messages_expired++;
        repli_drop(repl, in);
    } else if (later && behind_count(repl) >= BEHIND_MAX) {
        repli_reply_failure(repl, in, BASE_E_OVERLOADED, none,
                            "too many requests wait for the metadata log");
    } else if (later) {
        struct base_uuid sender = in->message.sender;
        uint64_t epoch = in->message.epoch;
        *repl->behind_end = in;
        repl->behind_end = &in->next;
        arm_behind(repl);
        heard_of_epoch(repl, sender, epoch);
    } else {
        heard_of_epoch(repl, in->message.sender, in->message.epoch);
        dispatch(repl, in);
    }
    repli_event_end(repl);
}

/* Admission. */

bool repli_admit(struct repl *repl, size_t bytes)
{
    if (repli_is_guest(repl))
        repli_guest_touch(repl);
    if (repl->stats.requests_in_flight_bytes + bytes > repl->config.requests_max_bytes &&
        repl->stats.requests_in_flight > 0) {
        repl->stats.overloaded++;
        return false;
    }
    repl->stats.requests_in_flight++;
    repl->stats.requests_in_flight_bytes += bytes;
    return true;
}

void repli_leave(struct repl *repl, size_t bytes)
{
    BASE_ASSERT(repl->stats.requests_in_flight > 0 &&
                repl->stats.requests_in_flight_bytes >= bytes);
    repl->stats.requests_in_flight--;
    repl->stats.requests_in_flight_bytes -= bytes;
}

static void store_op_over(struct repl *repl, struct repl_store_op *op)
{
    BASE_ASSERT(repl->store_ops > 0 && (op->kind != REPL_STORE_WRITE || repl->store_writes > 0));
    repl->store_ops--;
    repl->store_writes -= op->kind == REPL_STORE_WRITE;
    op->done = op->inner;
}

static void store_op_done(struct repl_store_op *op)
{
    struct repl *repl = op->owner;
    repli_event_begin(repl);
    store_op_over(repl, op);
    op->done(op);
    repli_event_end(repl);
}

enum repl_answer repli_store_submit(struct repl *repl, struct repl_store_op *op)
{
    BASE_ASSERT(repl->ports.store && op->done != store_op_done);
    repl->store_ops++;
    repl->store_writes += op->kind == REPL_STORE_WRITE;
    op->owner = repl;
    op->inner = op->done;
    op->done = store_op_done;
    enum repl_answer answer = repl->ports.store->ops->submit(repl->ports.store, op);
    if (answer == REPL_DONE)
        store_op_over(repl, op);
    return answer;
}

/* Life. */

void repl_config_init(struct repl_config *config)
{
    *config = (struct repl_config){
        .num_tokens = RING_TOKENS_DEFAULT,
        .read_timeout_ns = DEFAULT_MS(5000),
        .range_timeout_ns = DEFAULT_MS(10000),
        .write_timeout_ns = DEFAULT_MS(2000),
        .conditional_timeout_ns = DEFAULT_MS(1800),
        .metadata_timeout_ns = DEFAULT_MS(10000),
        .phi_convict_threshold = 8,
        .gossip_interval_ns = DEFAULT_MS(1000),
        .hinted_handoff_enabled = true,
        .max_hint_window_ns = DEFAULT_MS(3 * 3600 * 1000),
        .hints_size_max = UINT64_C(1) << 30,
        .hint_dispatch_bytes_s = 1024 * 1024,
        .requests_max_bytes = UINT64_C(64) << 20,
        .batch_size_max = (size_t)16 << 20,
        .page_size_bytes = UINT64_C(1) << 20,
        .metadata_log_entries = 1000,
        .dynamic_snitch_badness = 1.0,
    };
}

static int copy_config(struct repl *repl, const struct repl_config *config)
{
    struct base_slice *seeds =
        base_arena_alloc(&repl->arena, (config->seed_count + 1) * sizeof *seeds);
    repl->config = *config;
    struct base_slice *fields[] = {&repl->config.cluster_name, &repl->config.address,
                                   &repl->config.dc, &repl->config.rack};
    int rc = seeds ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(fields); i++)
        rc = base_arena_copy(&repl->arena, *fields[i], fields[i]);
    for (size_t i = 0; rc == BASE_OK && i < config->seed_count; i++)
        rc = base_arena_copy(&repl->arena, config->seeds[i], &seeds[i]);
    repl->config.seeds = seeds;
    repl->own_address = repl->config.address;
    return rc;
}

static int open_parts(struct repl *repl, const struct repl_initial *initial, struct base_err *err)
{
    int rc = repli_snitch_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_gossip_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_metadata_open(repl, initial, err);
    if (rc == BASE_OK)
        rc = repli_join_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_hints_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_batchlog_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_writes_open(repl, err);
    if (rc == BASE_OK)
        rc = repli_reads_open(repl, err);
    if (rc == BASE_OK && repli_is_guest(repl))
        rc = repli_guest_open(repl, err);
    return rc;
}

int repl_open(const struct repl_config *config, const struct repl_ports *ports,
              const struct repl_initial *initial, struct repl **out, struct base_err *err)
{
    *out = NULL;
    BASE_ASSERT(ports->clock && ports->random && ports->alarm && ports->transport);
    BASE_ASSERT(config->guest == (ports->store == NULL) && config->guest == (ports->meta == NULL));
    BASE_ASSERT(initial->schema->epoch == initial->ring->epoch);
    struct repl *repl = calloc(1, sizeof *repl);
    if (!repl)
        return base_err_set(err, BASE_E_NOMEM, "cluster: out of memory");
    base_arena_init(&repl->arena);
    repl->ports = *ports;
    repl->schema = base_schema_acquire(initial->schema);
    repl->ring = ring_state_acquire(initial->ring);
    repl->behind_end = &repl->behind;
    repl->behind_timer.fired = behind_timed_out;
    repl->next_id = 1;
    repl->alarm_ns = UINT64_MAX;
    repli_event_begin(repl);
    int rc = copy_config(repl, config);
    if (rc != BASE_OK)
        rc = base_err_set(err, rc, "cluster: %s", base_err_words(rc));
    if (rc == BASE_OK)
        rc = open_parts(repl, initial, err);
    repli_event_end(repl);
    if (rc == BASE_OK)
        *out = repl;
    else
        repl_close(repl);
    return rc;
}

void repl_start(struct repl *repl)
{
    repli_event_begin(repl);
    BASE_ASSERT(!repl->started);
    repl->started = true;
    if (repli_is_guest(repl)) {
        repli_guest_start(repl);
    } else {
        repli_metadata_start(repl);
        repli_join_start(repl);
        repli_gossip_start(repl);
        repli_hints_start(repl);
        repli_batchlog_start(repl);
    }
    repli_event_end(repl);
}

void repl_close(struct repl *repl)
{
    if (!repl)
        return;
    repli_event_begin(repl);
    repl->closing = true;
    /* Those that have client requests first: they end them, and use the others until then. Each
     * part copes with not having been opened. */
    repli_reads_close(repl);
    repli_writes_close(repl);
    repli_batchlog_close(repl);
    repli_hints_close(repl);
    repli_join_close(repl);
    repli_metadata_close(repl);
    repli_guest_close(repl);
    repli_gossip_close(repl);
    repli_snitch_close(repl);
    while (repl->behind) {
        struct repl_inbound *in = repl->behind;
        repl->behind = in->next;
        repli_drop(repl, in);
    }
    repli_timer_disarm(repl, &repl->behind_timer);
    BASE_ASSERT(repl->call_count == 0 && repl->store_ops == 0 && repl->meta_ops == 0);
    BASE_ASSERT(!repl->timers);
    repli_event_end(repl);
    repli_placements_forget(repl);
    base_schema_release(repl->schema);
    ring_state_release(repl->ring);
    base_arena_fini(&repl->arena);
    free(repl);
}

void repl_drain(struct repl *repl)
{
    repli_event_begin(repl);
    repl->draining = true;
    if (!repli_is_guest(repl))
        repli_gossip_leave(repl);
    if (repl->ports.changed) /* the stage */
        repl->ports.changed(repl->ports.ctx);
    repli_event_end(repl);
}

bool repl_is_idle(const struct repl *repl)
{
    return repl->client_requests == 0 && repl->stats.requests_in_flight == 0 &&
           repl->store_ops == 0 && repl->meta_ops == 0 && !repl->behind;
}
