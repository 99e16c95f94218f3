/* The coordinator of writes: plan, send, count, answer; hints for those that are not reached
 * (DESIGN.md §7).
 *
 * Invariants:
 *  1. A request is answered exactly once, and never before its level is met or cannot be met any
 *     more.
 *  2. An op lives until it is answered and nothing of it is under way: op->pending counts what is,
 *     and whoever works on the op.
 *  3. A replica that was not sent to, was not reached, did not answer in time or refused for the
 *     moment has a hint, if the rules want one.
 *  4. Nothing is sent, and nothing hinted, by a request that is refused (INVALID, STALE,
 *     UNAVAILABLE, BUSY, OVERLOADED, CLOSED).
 *  5. Of a logged batch nothing is sent to replicas before its keepers have it; they are told to
 *     forget it only when every replica has acknowledged or has a hint that is kept. */
#include "replication/writes_private.h"

#include <stdio.h>
#include <stdlib.h>

#define FREE_OPS_MAX 256u

static void op_timed_out(struct repl *repl, struct repli_timer *timer);
static void op_release(struct repl *repl, struct repli_write_op *op);

/* Ops. */

static struct repli_write_op *op_new(struct repl *repl, struct repl_write *write, size_t cost)
{
    struct repli_writes *part = repl->writes;
    struct repli_write_op *op = part->free_ops;
    struct base_arena arena;
    if (op) {
        part->free_ops = op->next;
        part->free_op_count--;
        arena = op->arena;
    } else {
        op = malloc(sizeof *op);
        if (!op)
            return NULL;
        base_arena_init(&arena);
    }
    memset(op, 0, offsetof(struct repli_write_op, own_op));
    op->arena = arena;
    op->repl = repl;
    op->write = write;
    op->units_end = &op->units;
    op->timer.fired = op_timed_out;
    op->admitted = cost;
    op->started_ns = repli_now(repl);
    op->deadline_ns =
        op->started_ns + (write->timeout_ns ? write->timeout_ns : repl->config.write_timeout_ns);
    op->consistency = write->consistency;
    op->next = part->ops;
    if (op->next)
        op->next->prev = &op->next;
    op->prev = &part->ops;
    part->ops = op;
    return op;
}

static void op_free(struct repl *repl, struct repli_write_op *op)
{
    struct repli_writes *part = repl->writes;
    BASE_ASSERT(!op->write);
    BASE_ASSERT(op->pending == 0);
    repli_timer_disarm(repl, &op->timer);
    if (op->batch)
        repli_batch_cancel(repl, op->batch);
    repli_leave(repl, op->admitted);
    *op->prev = op->next;
    if (op->next)
        op->next->prev = op->prev;
    base_arena_reset(&op->arena);
    if (part->free_op_count < FREE_OPS_MAX) {
        op->next = part->free_ops;
        part->free_ops = op;
        part->free_op_count++;
    } else {
        base_arena_fini(&op->arena);
        free(op);
    }
}

/* What is left for those who are asked now. When the client has gone, the rest of its batch still
 * goes its way. */
static uint64_t time_left(const struct repl *repl, const struct repli_write_op *op)
{
    uint64_t now = repli_now(repl);
    return op->write && now < op->deadline_ns ? op->deadline_ns - now
                                              : repl->config.write_timeout_ns;
}

/* Answering. */

static void fill_counts(const struct repli_unit *unit, struct repl_outcome *outcome)
{
    outcome->required = outcome->received = outcome->alive = outcome->failures = 0;
    for (uint16_t i = 0; i < unit->scope_count; i++) {
        outcome->required += unit->scopes[i].required;
        outcome->received += unit->scopes[i].received;
    }
    for (uint16_t i = 0; i < unit->slot_count; i++) {
        const struct repli_slot *slot = &unit->slots[i];
        outcome->alive += slot->state != REPLI_SLOT_DEAD;
        if (slot->state != REPLI_SLOT_FAILED)
            continue;
        if (outcome->failures < REPL_FAILED_MAX)
            outcome->failed[outcome->failures] = (struct repl_failed){slot->host_id, slot->rc};
        outcome->failures++;
    }
}

static void explain(const struct repl *repl, const struct repli_write_op *op,
                    struct repl_outcome *outcome, int rc)
{
    static const char unlogged[] =
        "it may still take effect; repeating it is safe, for it keeps its timestamps";
    const char *then =
        op->logged ? "the batchlog has it and will complete it; repeating it is safe" : unlogged;
    const char *cause = op->failure[0]                       ? op->failure
                        : repli_now(repl) >= op->deadline_ns ? "the others did not answer in time"
                                                             : "the others were not reached";
    if (outcome->write_type == REPL_WRITE_BATCH_LOG)
        (void)base_err_set(&outcome->err, rc,
                           "batch: the batchlog was not written at all %zu of its keepers (%s); "
                           "nothing was sent to "
                           "replicas, but it may still take effect; repeating it is safe",
                           op->batch ? op->batch->tried_count : (size_t)0, cause);
    else
        (void)base_err_set(&outcome->err, rc,
                           "write %s: %u of %u replicas acknowledged it for %s, %u failed: %s; %s",
                           rc == BASE_E_TIMEOUT ? "timed out" : "failed", outcome->received,
                           outcome->required, repli_consistency_name(op->consistency),
                           outcome->failures, cause, then);
}

/* `unit`: the one that the counts are of. */
static void answer(struct repl *repl, struct repli_write_op *op, int rc,
                   const struct repli_unit *unit)
{
    struct repl_write *write = op->write;
    struct repl_outcome *outcome = &write->outcome;
    BASE_ASSERT(write);
    op->write = NULL;
    repli_timer_disarm(repl, &op->timer);
    fill_counts(unit, outcome);
    outcome->rc = rc;
    outcome->write_type = op->type;
    outcome->repeat_safe = rc == BASE_E_TIMEOUT || rc == BASE_E_UNKNOWN;
    if (outcome->repeat_safe)
        explain(repl, op, outcome, rc);
    else if (rc != BASE_OK && outcome->err.code == BASE_OK)
        (void)base_err_set(&outcome->err, rc, "write: %s", base_err_words(rc));
    if (!op->settle) {
        repl->stats.write_timeouts += rc == BASE_E_TIMEOUT;
        repl->stats.write_failures += rc == BASE_E_UNKNOWN;
        repl_histogram_add(&repl->stats.write_latency, (repli_now(repl) - op->started_ns) / 1000);
        BASE_ASSERT(repl->client_requests > 0);
        repl->client_requests--;
    }
    write->done(write);
}

/* When failures alone keep the level from being met it has failed; else it is time that ran out. */
static int failure_code(const struct repli_unit *unit)
{
    for (uint16_t i = 0; i < unit->scope_count; i++) {
        unsigned asked = 0, failed = 0;
        for (uint16_t j = 0; j < unit->slot_count; j++) {
            if (unit->slots[j].scope != i || unit->slots[j].state == REPLI_SLOT_DEAD)
                continue;
            asked++;
            failed += unit->slots[j].state == REPLI_SLOT_FAILED;
        }
        if (failed > 0 && asked - failed < unit->scopes[i].required)
            return BASE_E_UNKNOWN;
    }
    return BASE_E_TIMEOUT;
}

static void unit_progress(struct repl *repl, struct repli_unit *unit)
{
    struct repli_write_op *op = unit->op;
    bool met = true, possible = true;
    if (!op->write || unit->met || op->settle)
        return;
    for (uint16_t i = 0; i < unit->scope_count; i++) {
        const struct repli_scope *scope = &unit->scopes[i];
        met &= scope->received >= scope->required;
        possible &= scope->received + scope->open >= scope->required;
    }
    if (!possible) {
        answer(repl, op, failure_code(unit), unit);
    } else if (met) {
        unit->met = true;
        if (--op->unmet == 0 && op->holds == 0)
            answer(repl, op, BASE_OK, op->units);
    }
}

static void op_timed_out(struct repl *repl, struct repli_timer *timer)
{
    struct repli_write_op *op = BASE_CONTAINER(timer, struct repli_write_op, timer);
    BASE_ASSERT(op->write);
    if (op->batch && !op->logged)
        op->type = REPL_WRITE_BATCH_LOG;
    const struct repli_unit *unit = op->units;
    while (unit && unit->met)
        unit = unit->next;
    if (unit)
        answer(repl, op, BASE_E_TIMEOUT, unit);
    else
        answer(repl, op, BASE_OK, op->units); /* only a hint is not kept yet: the level is met */
}

/* Hints. */

static void hint_done(struct repl *repl, void *ctx, int rc)
{
    struct repli_slot *slot = ctx;
    struct repli_unit *unit = slot->unit;
    struct repli_write_op *op = unit->op;
    BASE_ASSERT(slot->hint == REPLI_HINT_PENDING);
    slot->hint = rc == BASE_OK ? REPLI_HINT_KEPT : REPLI_HINT_LOST;
    if (op->consistency == REPL_CL_ANY) {
        unit->scopes[0].open--;
        unit->scopes[0].received += rc == BASE_OK;
    }
    if (slot->held) {
        slot->held = false;
        op->holds--;
        if (op->write && op->unmet == 0 && op->holds == 0)
            answer(repl, op, BASE_OK, op->units);
    }
    unit_progress(repl, unit);
    op_release(repl, op);
}

static int slot_member(const struct repl *repl, const struct repli_slot *slot)
{
    return slot->unit->op->epoch == repl_epoch(repl) ? slot->member
                                                     : ring_member_find(repl->ring, slot->host_id);
}

/* A guest, whose process may end at once, and ANY say nothing of success before the hint is
 * kept. */
static void slot_hint(struct repl *repl, struct repli_slot *slot)
{
    struct repli_unit *unit = slot->unit;
    struct repli_write_op *op = unit->op;
    int member = slot_member(repl, slot);
    if (slot->self || slot->hopeless || (member >= 0 && !repli_hints_wanted(repl, (size_t)member)))
        return;
    bool any = op->consistency == REPL_CL_ANY,
         hold = op->write && repli_is_guest(repl) && !op->settle;
    if (!hold && !op->settle && !op->batch && !(any && op->write)) {
        slot->hint = REPLI_HINT_KEPT; /* as far as anybody waits for it */
        repli_hint_put(repl, slot->host_id, unit->body, unit->mutation_count, NULL, NULL);
        return;
    }
    slot->hint = REPLI_HINT_PENDING;
    slot->held = hold;
    op->holds += hold;
    op->pending++;
    op->untimed = true;
    if (any)
        unit->scopes[0].open++;
    if (op->write && !op->settle) /* the client's deadline holds for its hints too */
        repli_timer_arm(repl, &op->timer, op->deadline_ns);
    repli_hint_put(repl, slot->host_id, unit->body, unit->mutation_count, hint_done, slot);
}

/* Sending. */

static void slot_ended(struct repl *repl, struct repli_slot *slot, enum repli_slot_state state)
{
    struct repli_unit *unit = slot->unit;
    struct repli_write_op *op = unit->op;
    struct repli_scope *scope = slot->scope == REPLI_SCOPE_NONE ? NULL : &unit->scopes[slot->scope];
    BASE_ASSERT(slot->state == REPLI_SLOT_SENT);
    slot->state = (uint8_t)state;
    if (scope) {
        BASE_ASSERT(scope->open > 0);
        scope->open--;
        scope->received += state == REPLI_SLOT_ACKED;
    }
    if (state != REPLI_SLOT_ACKED)
        slot_hint(repl, slot);
    unit_progress(repl, unit);
    op_release(repl, op);
}

static void note_failure(const struct repl *repl, struct repli_slot *slot, int rc,
                         struct base_slice text)
{
    struct repli_write_op *op = slot->unit->op;
    int member = slot_member(repl, slot);
    struct base_slice who =
        member < 0 ? BASE_SLICE_LIT("a replica") : repl->ring->members[member].address;
    /* Of several tables one may be dropped while the others wait for the batch: hints and the
     * batchlog leave that one out. */
    bool dropped = rc == BASE_E_NOTFOUND && slot->unit->mutation_count == 1;
    slot->rc = rc;
    slot->hopeless =
        dropped || rc == BASE_E_CORRUPT || rc == BASE_E_INVALID || rc == BASE_E_VERSION;
    if (!op->failure[0])
        (void)snprintf(op->failure, sizeof op->failure, "%.*s said: %s%s%.*s", BASE_SLICE_ARG(who),
                       base_err_words(rc), text.len ? ": " : "",
                       (int)(text.len < 100 ? text.len : 100), (const char *)text.data);
}

static void call_done(struct repl *repl, struct repli_call *call, int rc,
                      const struct base_message *reply)
{
    struct repli_slot *slot = BASE_CONTAINER(call, struct repli_slot, call);
    if (rc == BASE_OK) {
        slot_ended(repl, slot, REPLI_SLOT_ACKED);
        return;
    }
    if (reply) {
        struct base_slice detail, text;
        (void)repli_failure_get(reply, &detail, &text);
        note_failure(repl, slot, rc, text);
    }
    slot_ended(repl, slot, reply ? REPLI_SLOT_FAILED : REPLI_SLOT_LOST);
}

static void slot_send(struct repl *repl, struct repli_slot *slot)
{
    struct repli_unit *unit = slot->unit;
    int member = slot_member(repl, slot);
    unit->op->pending++;
    slot->state = REPLI_SLOT_SENT;
    if (member < 0) { /* it left while the batchlog was written */
        slot_ended(repl, slot, REPLI_SLOT_LOST);
        return;
    }
    slot->call.done = call_done;
    repli_call_start(repl, &slot->call, repli_member_peer(repl, (size_t)member), REPL_LANE_POINT,
                     REPL_VERB_WRITE, unit->body, time_left(repl, unit->op));
}

static void own_ended(struct repl *repl, struct repl_store_op *store_op)
{
    struct repli_slot *slot = store_op->ctx;
    if (store_op->rc != BASE_OK)
        note_failure(repl, slot, store_op->rc, base_slice_str(store_op->err.text));
    slot_ended(repl, slot, store_op->rc == BASE_OK ? REPLI_SLOT_ACKED : REPLI_SLOT_FAILED);
}

static void own_done(struct repl_store_op *store_op)
{
    own_ended(((struct repli_slot *)store_op->ctx)->unit->op->repl, store_op);
}

static void slot_write(struct repl *repl, struct repli_slot *slot)
{
    struct repli_unit *unit = slot->unit;
    struct repli_write_op *op = unit->op;
    struct repl_store_op *store_op =
        unit == op->units ? &op->own_op : base_arena_alloc(&op->arena, sizeof *store_op);
    op->pending++;
    slot->state = REPLI_SLOT_SENT;
    if (!store_op) {
        note_failure(repl, slot, BASE_E_NOMEM, (struct base_slice){0});
        slot_ended(repl, slot, REPLI_SLOT_FAILED);
        return;
    }
    memset(store_op, 0, offsetof(struct repl_store_op, err));
    base_err_clear(&store_op->err);
    store_op->next = NULL;
    store_op->kind = REPL_STORE_WRITE;
    store_op->done = own_done;
    store_op->group = unit->body;
    store_op->mutation_count = unit->mutation_count;
    store_op->durability = unit->durable ? REPL_DURABLE_LOG : REPL_DURABLE_MEMORY;
    store_op->timeout_ns = time_left(repl, op);
    store_op->ctx = slot;
    if (repli_store_submit(repl, store_op) == REPL_DONE)
        own_ended(repl, store_op);
    else
        op->untimed = true;
}

/* The own replica last: its disk may be slower than the others' way. */
static void unit_send(struct repl *repl, struct repli_unit *unit)
{
    struct repli_slot *own = NULL;
    for (uint16_t i = 0; i < unit->slot_count; i++) {
        struct repli_slot *slot = &unit->slots[i];
        if (slot->state == REPLI_SLOT_DEAD)
            slot_hint(repl, slot);
        else if (slot->self)
            own = slot;
        else
            slot_send(repl, slot);
    }
    if (own)
        slot_write(repl, own);
}

static void send_all(struct repl *repl, struct repli_write_op *op)
{
    BASE_ASSERT(op->pending > 0); /* ours: nothing below frees it */
    for (struct repli_unit *unit = op->units; unit; unit = unit->next)
        unit_send(repl, unit);
    if (op->write && op->untimed && !op->settle && !op->borrowed)
        repli_timer_arm(repl, &op->timer, op->deadline_ns);
}

/* The end of an op. */

/* Has every replica it, or will have it by a hint? Where the rules want no hint another one's
 * acknowledgment is all there is. */
static bool unit_is_settled(const struct repli_unit *unit)
{
    unsigned acked = 0;
    for (uint16_t i = 0; i < unit->slot_count; i++)
        acked += unit->slots[i].state == REPLI_SLOT_ACKED;
    for (uint16_t i = 0; i < unit->slot_count; i++) {
        const struct repli_slot *slot = &unit->slots[i];
        bool unhinted = slot->hint == REPLI_HINT_NONE && !slot->self && acked > 0;
        if (slot->state != REPLI_SLOT_ACKED && slot->hint != REPLI_HINT_KEPT && !slot->hopeless &&
            !unhinted)
            return false;
    }
    return unit->slot_count > 0;
}

static const struct repli_unit *first_unsettled(const struct repli_write_op *op)
{
    const struct repli_unit *unit = op->units;
    while (unit && unit_is_settled(unit))
        unit = unit->next;
    return unit;
}

static void op_release(struct repl *repl, struct repli_write_op *op)
{
    BASE_ASSERT(op->pending > 0);
    if (--op->pending > 0)
        return;
    if (op->write) {
        const struct repli_unit *unit = first_unsettled(op);
        /* a client's write has been answered when its last replica was counted */
        BASE_ASSERT(op->settle);
        answer(repl, op, unit ? BASE_E_TIMEOUT : BASE_OK, unit ? unit : op->units);
    }
    if (op->logged && !first_unsettled(op))
        repli_batch_forget(repl, op->batch);
    op_free(repl, op);
}

/* Logged batches. */

static void log_ended(struct repl *repl, struct repli_write_op *op)
{
    int rc = op->batch->rc;
    BASE_ASSERT(op->pending > 0);
    if (rc == BASE_OK) {
        /* also when the client has been told of a timeout: it is carried out all the same */
        op->logged = true;
        repli_timer_disarm(repl, &op->timer);
        send_all(repl, op);
    } else if (op->write) {
        if (rc == BASE_E_TIMEOUT)
            op->type = REPL_WRITE_BATCH_LOG;
        else
            (void)base_err_set(&op->write->outcome.err, rc,
                               "batch: no node keeps the batchlog (%s); nothing was written",
                               base_err_words(rc));
        repl->stats.write_unavailables += rc == BASE_E_UNAVAILABLE;
        answer(repl, op, rc, op->units);
    }
}

static void log_done(struct repl *repl, struct repli_batch *batch)
{
    struct repli_write_op *op = batch->ctx;
    log_ended(repl, op);
    op_release(repl, op);
}

/* One group at one replica is atomic without a log. */
static bool needs_log(const struct repli_write_op *op)
{
    return op->write->logged && op->partition_count > 1 &&
           !(op->unit_count == 1 && op->units->slot_count == 1);
}

static void start_log(struct repl *repl, struct repli_write_op *op)
{
    struct repl_write *write = op->write;
    op->batch = base_arena_zalloc(&op->arena, sizeof *op->batch);
    if (!op->batch) {
        answer(repl, op, BASE_E_NOMEM, op->units);
        return;
    }
    op->batch->done = log_done;
    op->batch->ctx = op;
    op->pending++;
    if (repli_batch_store(repl, op->batch, write->mutations, write->mutation_count,
                          op->deadline_ns) == REPL_PENDING) {
        repli_timer_arm(repl, &op->timer, op->deadline_ns);
        return;
    }
    log_ended(repl, op);
    op_release(repl, op);
}

/* Starting. */

int repli_write_refused(const struct repl *repl, bool client, struct base_err *err)
{
    static const struct base_uuid nobody;
    if (repl->closing || (client && repl->draining))
        return base_err_set(err, BASE_E_CLOSED, "write: this node is %s; nothing was written",
                            repl->closing ? "closing" : "drained");
    if (!base_uuid_equal(repl->ring->freeze, nobody))
        return base_err_set(err, BASE_E_BUSY,
                            "write: a node is joining the cluster; nothing was written: repeat it "
                            "when it has joined");
    return BASE_OK;
}

static void outcome_begin(struct repl_write *write)
{
    struct repl_outcome *outcome = &write->outcome;
    outcome->rc = BASE_OK;
    outcome->consistency = write->consistency;
    outcome->required = outcome->received = outcome->alive = outcome->failures = 0;
    outcome->write_type = REPL_WRITE_SIMPLE;
    outcome->data_present = outcome->repeat_safe = false;
    base_err_clear(&outcome->err);
    write->state = NULL;
}

void repli_write_refuse(struct repl *repl, struct repl_write *write, int rc)
{
    BASE_ASSERT(rc != BASE_OK);
    if (write->outcome.err.code == BASE_OK)
        (void)base_err_set(&write->outcome.err, rc, "write: %s", base_err_words(rc));
    write->outcome.rc = rc;
    repl->stats.write_unavailables += rc == BASE_E_UNAVAILABLE;
    write->done(write);
}

static int check_batch_size(const struct repl *repl, const struct repli_write_op *op,
                            struct base_err *err)
{
    size_t len = op->write->mutations.len;
    if (!op->write->logged || op->borrowed || len <= repl->config.batch_size_max)
        return BASE_OK;
    return base_err_set(
        err, BASE_E_INVALID,
        "batch: %zu bytes are more than a logged batch may have (batch_size_max: %zu); nothing was "
        "written: make it smaller, or unlogged",
        len, repl->config.batch_size_max);
}

static void start(struct repl *repl, struct repl_write *write, bool settle)
{
    struct base_err *err = &write->outcome.err;
    size_t cost = write->mutations.len + REPLI_WRITE_OP_COST;
    int rc = repli_write_refused(repl, !settle, err);
    struct repli_write_op *op = NULL;
    if (rc == BASE_OK && !repli_admit(repl, cost)) {
        rc = base_err_set(
            err, BASE_E_OVERLOADED,
            "write: too many requests are under way here; nothing was written: repeat it later");
    } else if (rc == BASE_OK) {
        op = op_new(repl, write, cost);
        if (!op)
            repli_leave(repl, cost);
        rc = op ? BASE_OK : BASE_E_NOMEM;
    }
    if (rc == BASE_OK) {
        op->settle = settle;
        rc = repli_write_plan(repl, op, &write->outcome);
    }
    if (rc == BASE_OK)
        rc = check_batch_size(repl, op, err);
    if (rc != BASE_OK) {
        if (op) {
            op->write = NULL;
            op_free(repl, op);
        }
        repli_write_refuse(repl, write, rc);
        return;
    }
    bool log = needs_log(op);
    op->type = op->mutation_count == 1 ? REPL_WRITE_SIMPLE
               : write->logged         ? REPL_WRITE_BATCH
                                       : REPL_WRITE_UNLOGGED_BATCH;
    if (!settle) {
        repl->client_requests++;
        repl->stats.writes++;
        repl->stats.batches += log;
    }
    op->pending = 1;
    if (log)
        start_log(repl, op);
    else
        send_all(repl, op);
    op_release(repl, op);
}

void repl_write_start(struct repl *repl, struct repl_write *write)
{
    BASE_ASSERT(write->done);
    repli_event_begin(repl);
    outcome_begin(write);
    if (write->condition.len)
        repli_conditional_start(repl, write);
    else
        start(repl, write, false);
    repli_event_end(repl);
}

void repli_write_settle(struct repl *repl, struct repl_write *write)
{
    BASE_ASSERT(repl->depth > 0 && write->done && !write->logged && !write->condition.len);
    outcome_begin(write);
    start(repl, write, true);
}

/* The part. */

int repli_writes_open(struct repl *repl, struct base_err *err)
{
    repl->writes = calloc(1, sizeof *repl->writes);
    int rc = repl->writes ? repli_conditional_open(&repl->writes->conditional) : BASE_E_NOMEM;
    return rc == BASE_OK ? rc : base_err_set(err, rc, "cluster: writes: out of memory");
}

static void op_close(struct repl *repl, struct repli_write_op *op)
{
    for (struct repli_unit *unit = op->units; unit; unit = unit->next)
        for (uint16_t i = 0; i < unit->slot_count; i++)
            repli_call_cancel(repl, &unit->slots[i].call);
    if (op->write) {
        (void)base_err_set(&op->write->outcome.err, BASE_E_CLOSED,
                           "write: this node closes; what it has sent may still take effect");
        answer(repl, op, BASE_E_CLOSED, op->units);
    }
    op->pending = 0;
    op_free(repl, op);
}

void repli_writes_close(struct repl *repl)
{
    struct repli_writes *part = repl->writes;
    if (!part)
        return;
    while (part->ops)
        op_close(repl, part->ops);
    repli_conditional_close(repl, part->conditional);
    repli_replica_write_close(repl);
    for (struct repli_write_op *op; (op = part->free_ops) != NULL;) {
        part->free_ops = op->next;
        base_arena_fini(&op->arena);
        free(op);
    }
    free(part);
    repl->writes = NULL;
}
