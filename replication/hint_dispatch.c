/* Hints on their way: a pass over what is kept for one host, in the order in which it was made.
 *
 * A pass reads a page, sends its hints as HINTED messages (one at a time, throttled over all
 * hosts), and when the page is through deletes what was acknowledged as one range; then the next
 * page. The owner is looked up anew: what the host does not hold any more (or all of it, when it is
 * no member) is written as a coordinator writes, to those who hold it now.
 *
 * Invariants, with what a crash at each place does:
 *  1. Nothing is deleted that was not acknowledged by the host, or settled by a write, or is moot
 *     (dropped, truncated, too old). Crash before the deletion: it is sent again, and a mutation
 *     applied twice is applied once.
 *  2. A pass reads below the watermark only (hints.c): a hint that gets into the log later is above
 *     what the pass deletes.
 *  3. A pass has one thing under way: a read, a message or write (or both), a deletion, or its
 *     timer.
 *  4. A host that fails is tried again later, each time after longer; one that is dead when it
 *     comes back. */
#include "replication/hints_private.h"

#include <stdlib.h>

#define PAGE_BYTES (256u * 1024u)
#define MESSAGE_BYTES (64u * 1024u)
#define RETRY_MIN_NS (UINT64_C(1) * 1000000000u)
#define RETRY_MAX_NS (UINT64_C(60) * 1000000000u)

struct repli_hint_pass {
    struct repl *repl;
    struct repli_hint_host *host;
    struct repl_store_op store_op;
    struct base_read cmd;
    struct base_range range;
    uint8_t lo[REPLI_HINT_CKEY_LEN], hi[REPLI_HINT_CKEY_LEN];
    uint64_t arrivals;     /* of the host, when the pass began */
    bool all;              /* the watermark was above everything */
    struct base_buf page;  /* (ckey bytes, value bytes)* */
    bool more;             /* another page follows */
    struct base_reader at; /* in the page */
    /* the step under way: some hints of the page */
    struct base_buf send, rewrite;
    size_t rewrite_count;
    uint64_t step_hints, step_bytes, step_sent;
    int64_t step_upto_us;
    struct repli_call call;
    struct repl_write write;
    unsigned under_way; /* message, write */
    int step_rc;
    /* */
    uint64_t done_hints, done_bytes; /* they are counted as kept until they are deleted */
    /* creation time of the last hint done, and deleted; INT64_MIN: none */
    int64_t done_upto_us, deleted_upto_us;
    bool failed, read_next;
    struct base_buf deletion;
    struct repli_timer timer; /* the throttle's, and between pages */
};

static void pass_step(struct repl *repl, struct repli_hint_pass *pass);
static void pass_read(struct repl *repl, struct repli_hint_pass *pass);

/* When. */

static bool may_dispatch(const struct repl *repl, const struct repli_hint_host *host)
{
    const struct repli_hints *hints = repl->hints;
    struct base_err err;
    if (repl->closing || !hints->scanned || hints->paused || host->count == 0 || host->counting ||
        repli_write_refused(repl, false, &err) != BASE_OK)
        return false;
    int member = ring_member_find(repl->ring, host->host_id);
    return member < 0 || repl_is_alive(repl, host->host_id);
}

static void pass_free(struct repl *repl, struct repli_hint_pass *pass)
{
    repli_timer_disarm(repl, &pass->timer);
    repli_call_cancel(repl, &pass->call);
    base_buf_fini(&pass->page);
    base_buf_fini(&pass->send);
    base_buf_fini(&pass->rewrite);
    base_buf_fini(&pass->deletion);
    pass->host->pass = NULL;
    repl->hints->passes--;
    free(pass);
}

void repli_hint_pass_close(struct repl *repl, struct repli_hint_host *host)
{
    if (host->pass)
        pass_free(repl, host->pass);
}

void repli_hint_dispatch_soon(struct repl *repl, struct repli_hint_host *host, uint64_t after_ns)
{
    if (!host->pass && !repl->closing && !repli_timer_is_armed(&host->timer) &&
        may_dispatch(repl, host))
        repli_timer_arm_after(repl, &host->timer, after_ns);
}

void repli_hint_dispatch_all(struct repl *repl)
{
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++)
        for (struct repli_hint_host *host = repl->hints->buckets[i]; host; host = host->next)
            if (!repli_timer_is_armed(&host->timer))
                repli_hint_dispatch(repl, host);
}

static void dispatch_waiting(struct repl *repl)
{
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++)
        for (struct repli_hint_host *host = repl->hints->buckets[i]; host; host = host->next)
            if (host->waiting && repl->hints->passes < REPLI_HINT_PASSES_MAX)
                repli_hint_dispatch(repl, host);
}

static void pass_end(struct repl *repl, struct repli_hint_pass *pass)
{
    struct repli_hint_host *host = pass->host;
    bool whole = !pass->failed && !pass->more, nothing_new = host->arrivals == pass->arrivals;
    if (whole && pass->all && nothing_new) /* what we thought is more has expired */
        repli_hint_forget(repl, host, host->count, host->bytes);
    host->fails = pass->failed ? host->fails + 1 : 0;
    bool failed = pass->failed;
    pass_free(repl, pass);
    uint64_t after = RETRY_MIN_NS << (host->fails < 6 ? host->fails : 6);
    if (failed)
        repli_hint_dispatch_soon(repl, host, after < RETRY_MAX_NS ? after : RETRY_MAX_NS);
    else if (host->count > 0)
        repli_hint_dispatch_soon(repl, host, RETRY_MIN_NS);
    dispatch_waiting(repl);
}

/* Deleting. */

static int put_deletion(struct repl *repl, struct repli_hint_host *host, int64_t upto_us,
                        struct base_buf *out)
{
    static const uint8_t first = BASE_KEY_BEFORE;
    uint8_t hi[REPLI_HINT_CKEY_LEN];
    repli_hint_ckey(hi, upto_us, BASE_KEY_AFTER);
    struct base_range_deletion range = {
        .lo = base_slice(&first, 1),
        .hi = base_slice(hi, sizeof hi),
        .deletion = {repl->ports.timestamp(repl->ports.ctx), repli_now_s(repl)},
    };
    base_buf_reset(out);
    return base_mutation_put(out, repl_hints_table_id, base_slice(host->pkey, host->pkey_len),
                             BASE_DELETION_NONE, (struct base_slice){0}, &range, 1, NULL, 0);
}

static void deleted(struct repl *repl, struct repli_hint_pass *pass)
{
    if (pass->store_op.rc == BASE_OK) {
        pass->deleted_upto_us = pass->done_upto_us;
        repli_hint_forget(repl, pass->host, pass->done_hints, pass->done_bytes);
        pass->done_hints = pass->done_bytes = 0;
    } else {
        pass->failed = true; /* they will be sent again */
    }
    if (pass->failed || !pass->more) {
        pass_end(repl, pass);
        return;
    }
    pass->at = base_reader((struct base_slice){0});
    pass->read_next = true;
    repli_timer_arm_after(repl, &pass->timer, 0);
}

static void deletion_done(struct repl_store_op *op)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(op, struct repli_hint_pass, store_op);
    deleted(pass->repl, pass);
}

static void op_begin(struct repli_hint_pass *pass, enum repl_store_kind kind,
                     void (*done)(struct repl_store_op *op))
{
    memset(&pass->store_op, 0, offsetof(struct repl_store_op, err));
    base_err_clear(&pass->store_op.err);
    pass->store_op.next = NULL;
    pass->store_op.kind = kind;
    pass->store_op.done = done;
}

/* The page is through, or the pass must stop here. */
static void pass_delete(struct repl *repl, struct repli_hint_pass *pass)
{
    op_begin(pass, REPL_STORE_WRITE, deletion_done);
    if (pass->done_upto_us == pass->deleted_upto_us) {
        deleted(repl, pass);
        return;
    }
    pass->store_op.rc = put_deletion(repl, pass->host, pass->done_upto_us, &pass->deletion);
    if (pass->store_op.rc == BASE_OK) {
        pass->store_op.group = base_buf_view(&pass->deletion);
        pass->store_op.mutation_count = 1;
        pass->store_op.durability = REPL_DURABLE_LOG;
        pass->store_op.timeout_ns = repl->config.write_timeout_ns;
        if (repli_store_submit(repl, &pass->store_op) == REPL_PENDING)
            return;
    }
    deleted(repl, pass);
}

static void pass_fail(struct repl *repl, struct repli_hint_pass *pass)
{
    pass->failed = true;
    pass_delete(repl, pass);
}

/* A step: some hints at once. */

static bool host_owns(struct repl *repl, const struct repli_hint_host *host, int member,
                      const struct base_mutation *m)
{
    const struct base_table *table = base_schema_table_by_id(repl->schema, m->table_id);
    const struct base_keyspace *keyspace = base_schema_keyspace(repl->schema, table->keyspace);
    const struct ring_placement *placement = member < 0 ? NULL : repl_placement(repl, keyspace);
    if (!placement || base_uuid_equal(host->host_id, repl->config.host_id))
        return false;
    const struct ring_range *range = ring_placement_find(placement, base_token_get(m->pkey.data));
    for (uint16_t i = 0; i < range->write.count; i++)
        if (range->write.members[i] == member)
            return true;
    return false;
}

/* Sort a hint's mutations: to the host, to whoever holds them now, nowhere. */
static int take_hint(struct repl *repl, struct repli_hint_pass *pass, struct base_slice value,
                     int member)
{
    int64_t created_us, now_s = repli_now_s(repl);
    size_t count, written = 0;
    struct base_slice mutations;
    if (!repli_late_value_get(value, &created_us, &count, &mutations)) {
        repl->stats.hints_failed++;
        base_logf(repl->ports.log, BASE_LOG_ERROR, "hints: a damaged one is given up");
        return BASE_OK;
    }
    struct base_reader in = base_reader(mutations);
    int rc = BASE_OK;
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        const uint8_t *start = in.p;
        struct base_mutation m;
        if (!base_mutation_decode(&in, &m))
            break;
        if (!repli_may_write_late(repl, &m, created_us, now_s))
            continue;
        bool to_host = host_owns(repl, pass->host, member, &m);
        rc = base_buf_put(to_host ? &pass->send : &pass->rewrite, start, (size_t)(in.p - start));
        pass->rewrite_count += !to_host;
        written++;
    }
    if (rc == BASE_OK && written == 0)
        repl->stats.hints_expired++;
    else
        pass->step_sent++;
    return rc;
}

/* As many as go into one message. *rc: not OK when memory ran out. False: the page is through. */
static bool collect(struct repl *repl, struct repli_hint_pass *pass, int *rc)
{
    int member = ring_member_find(repl->ring, pass->host->host_id);
    base_buf_reset(&pass->send);
    base_buf_reset(&pass->rewrite);
    pass->rewrite_count = 0;
    pass->step_hints = pass->step_bytes = pass->step_sent = 0;
    *rc = BASE_OK;
    while (*rc == BASE_OK && base_reader_left(&pass->at) > 0 &&
           pass->send.len + pass->rewrite.len < MESSAGE_BYTES) {
        struct base_slice ckey, value;
        bool sound = base_get_bytes(&pass->at, &ckey) && base_get_bytes(&pass->at, &value) &&
                     repli_hint_ckey_get(ckey, &pass->step_upto_us);
        BASE_ASSERT(sound); /* read_hints wrote the page */
        *rc = take_hint(repl, pass, value, member);
        pass->step_hints++;
        pass->step_bytes += repli_hint_cost(value.len);
    }
    return pass->step_hints > 0;
}

static void step_done(struct repl *repl, struct repli_hint_pass *pass)
{
    pass->done_upto_us = pass->step_upto_us;
    pass->done_hints += pass->step_hints;
    pass->done_bytes += pass->step_bytes;
    repl->stats.hints_dispatched += pass->step_sent;
}

static void step_ended(struct repl *repl, struct repli_hint_pass *pass, int rc)
{
    BASE_ASSERT(pass->under_way > 0);
    if (pass->step_rc == BASE_OK)
        pass->step_rc = rc;
    if (--pass->under_way > 0)
        return;
    if (pass->step_rc != BASE_OK) {
        pass_fail(repl, pass);
        return;
    }
    step_done(repl, pass);
    pass_step(repl, pass);
}

static void written(struct repl_write *write)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(write, struct repli_hint_pass, write);
    if (pass->repl->closing)
        return;
    int rc = write->outcome.rc;
    if (rc == BASE_E_STALE) /* a table went just now: the next try leaves it out */
        rc = BASE_E_BUSY;
    step_ended(pass->repl, pass, rc);
}

static void write_anew(struct repl *repl, struct repli_hint_pass *pass, struct base_slice mutations,
                       size_t count)
{
    pass->write.mutations = mutations;
    pass->write.mutation_count = count;
    pass->write.consistency = REPL_CL_ONE;
    pass->write.done = written;
    repli_write_settle(repl, &pass->write);
}

static void answered(struct repl *repl, struct repli_call *call, int rc,
                     const struct base_message *reply)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(call, struct repli_hint_pass, call);
    if (reply && (rc == BASE_E_CORRUPT || rc == BASE_E_INVALID || rc == BASE_E_LIMIT)) {
        /* It will never take them: they must not keep those behind them. */
        base_logf(repl->ports.log, BASE_LOG_ERROR, "hints: %llu were refused for good: %s",
                  (unsigned long long)pass->step_hints, base_err_words(rc));
        repl->stats.hints_failed += pass->step_sent;
        pass->step_sent = 0;
        rc = BASE_OK;
    }
    step_ended(repl, pass, rc);
}

/* Sent hints until one waits. */
static void pass_step(struct repl *repl, struct repli_hint_pass *pass)
{
    int rc;
    for (;;) {
        if (repl->closing)
            return; /* repli_hint_pass_close ends it */
        if (!may_dispatch(repl, pass->host) && pass->host->count > 0) {
            pass_fail(repl, pass); /* paused, or it went: the rest later */
            return;
        }
        if (repli_now(repl) < repl->hints->throttle_until_ns) {
            repli_timer_arm(repl, &pass->timer, repl->hints->throttle_until_ns);
            return;
        }
        if (!collect(repl, pass, &rc)) {
            pass_delete(repl, pass);
            return;
        }
        if (rc != BASE_OK) {
            pass_fail(repl, pass);
            return;
        }
        if (pass->send.len + pass->rewrite.len > 0)
            break;
        step_done(repl, pass); /* nothing of them is to be written any more */
    }
    uint64_t bytes = pass->send.len + pass->rewrite.len, rate = repl->config.hint_dispatch_bytes_s;
    /* Never at once: a chain of ports that answer DONE must not become a recursion. */
    repl->hints->throttle_until_ns =
        repli_now(repl) + (rate > 0 ? bytes * UINT64_C(1000000000) / rate : 0) + 1;
    bool send = pass->send.len > 0, rewrite = pass->rewrite.len > 0;
    pass->step_rc = BASE_OK;
    pass->under_way = (unsigned)send + (unsigned)rewrite;
    if (send) {
        int member = ring_member_find(repl->ring, pass->host->host_id);
        BASE_ASSERT(member >= 0);
        pass->call.done = answered;
        repli_call_start(repl, &pass->call, repli_member_peer(repl, (size_t)member), REPL_LANE_BULK,
                         REPL_VERB_HINTED, base_buf_view(&pass->send),
                         repl->config.write_timeout_ns);
    }
    if (rewrite)
        write_anew(repl, pass, base_buf_view(&pass->rewrite), pass->rewrite_count);
}

static void pass_goes_on(struct repl *repl, struct repli_timer *timer)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(timer, struct repli_hint_pass, timer);
    if (pass->read_next)
        pass_read(repl, pass);
    else
        pass_step(repl, pass);
}

/* Reading. */

/* Runs where it may block, on the operation's own memory. */
static int read_hints(struct repl_store_op *op, struct base_source *source, struct base_err *err)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(op, struct repli_hint_pass, store_op);
    struct base_partition partition;
    int rc = source->ops->partition(source, &partition, err);
    while (rc == BASE_OK && partition.pkey.len > 0) {
        struct base_item item;
        struct base_slice value;
        int64_t created_us;
        rc = source->ops->next(source, &item, err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            break;
        if (item.kind != BASE_ITEM_ROW ||
            !repli_internal_row_get(item.row, pass->cmd.now_s, &value) ||
            !repli_hint_ckey_get(item.ckey, &created_us))
            continue;
        if (pass->page.len >= PAGE_BYTES) {
            pass->more = true;
            break;
        }
        rc = base_buf_put_bytes(&pass->page, item.ckey);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(&pass->page, value);
    }
    return rc;
}

static void page_read(struct repl *repl, struct repli_hint_pass *pass)
{
    if (pass->store_op.rc != BASE_OK) {
        base_logf(repl->ports.log, BASE_LOG_WARN, "hints: cannot be read: %s",
                  pass->store_op.err.text);
        pass->failed = true;
        pass_end(repl, pass);
        return;
    }
    pass->at = base_reader(base_buf_view(&pass->page));
    pass_step(repl, pass);
}

static void page_done(struct repl_store_op *op)
{
    struct repli_hint_pass *pass = BASE_CONTAINER(op, struct repli_hint_pass, store_op);
    page_read(pass->repl, pass);
}

static void pass_read(struct repl *repl, struct repli_hint_pass *pass)
{
    base_buf_reset(&pass->page);
    pass->more = pass->read_next = false;
    if (pass->done_upto_us != INT64_MIN) {
        repli_hint_ckey(pass->lo, pass->done_upto_us, BASE_KEY_AFTER);
        pass->range.lo = base_slice(pass->lo, sizeof pass->lo);
    }
    pass->cmd.now_s = repli_now_s(repl);
    op_begin(pass, REPL_STORE_READ, page_done);
    pass->store_op.cmd = &pass->cmd;
    pass->store_op.consume = read_hints;
    if (repli_store_submit(repl, &pass->store_op) == REPL_DONE)
        page_read(repl, pass);
}

void repli_hint_dispatch(struct repl *repl, struct repli_hint_host *host)
{
    struct repli_hints *hints = repl->hints;
    host->waiting = false;
    if (host->pass || !may_dispatch(repl, host))
        return;
    if (hints->passes >= REPLI_HINT_PASSES_MAX) {
        host->waiting = true;
        return;
    }
    struct repli_hint_pass *pass = calloc(1, sizeof *pass);
    if (!pass) {
        repli_hint_dispatch_soon(repl, host, RETRY_MAX_NS);
        return;
    }
    repli_timer_disarm(repl, &host->timer);
    hints->passes++;
    host->pass = pass;
    pass->repl = repl;
    pass->host = host;
    pass->arrivals = host->arrivals;
    pass->done_upto_us = pass->deleted_upto_us = INT64_MIN;
    pass->timer.fired = pass_goes_on;
    base_buf_init(&pass->page, SIZE_MAX);
    base_buf_init(&pass->send, SIZE_MAX);
    base_buf_init(&pass->rewrite, SIZE_MAX);
    base_buf_init(&pass->deletion, SIZE_MAX);
    repli_hint_ckey(pass->hi, repli_hint_watermark(repl, host, &pass->all), BASE_KEY_BEFORE);
    pass->range.hi = base_slice(pass->hi, sizeof pass->hi);
    pass->cmd = BASE_READ_INIT;
    pass->cmd.table_id = repl_hints_table_id;
    pass->cmd.epoch = repl_epoch(repl);
    pass->cmd.pkey = base_slice(host->pkey, host->pkey_len);
    pass->cmd.slices = (struct base_slices){&pass->range, 1};
    pass_read(repl, pass);
}

/* Events. */

void repli_hints_on_alive(struct repl *repl, struct base_uuid host_id)
{
    struct repli_hint_host *host = repli_hint_host_find(repl, host_id);
    if (!host)
        return;
    host->fails = 0;
    repli_timer_disarm(repl, &host->timer);
    repli_hint_dispatch(repl, host);
}

/* Members may have gone: their hints go to who holds their rows now. A join that froze writes may
 * be over. */
void repli_hints_on_epoch(struct repl *repl)
{
    if (repl->hints && repl->hints->scanned)
        repli_hint_dispatch_all(repl);
}

void repl_hints_pause(struct repl *repl, bool paused)
{
    repli_event_begin(repl);
    repl->hints->paused = paused;
    if (!paused)
        repli_hint_dispatch_all(repl);
    repli_event_end(repl);
}

bool repl_hints_paused(const struct repl *repl)
{
    return repl->hints->paused;
}

/* Forgetting. */

struct truncation {
    struct repl_store_op store_op;
    struct repl *repl;
    struct base_uuid host_id;
    uint64_t count, bytes;
    struct base_buf group;
};

static void truncated(struct repl *repl, struct truncation *t)
{
    struct repli_hint_host *host = repli_hint_host_find(repl, t->host_id);
    if (t->store_op.rc == BASE_OK && host)
        repli_hint_forget(repl, host, t->count, t->bytes);
    else if (t->store_op.rc != BASE_OK)
        base_logf(repl->ports.log, BASE_LOG_WARN, "hints: cannot be truncated: %s",
                  t->store_op.err.text);
    base_buf_fini(&t->group);
    free(t);
}

static void truncation_done(struct repl_store_op *op)
{
    struct truncation *t = BASE_CONTAINER(op, struct truncation, store_op);
    truncated(t->repl, t);
}

static void truncate_host(struct repl *repl, struct repli_hint_host *host)
{
    bool all;
    struct truncation *t = calloc(1, sizeof *t);
    if (!t) {
        base_logf(repl->ports.log, BASE_LOG_WARN, "hints: cannot be truncated: out of memory");
        return;
    }
    base_buf_init(&t->group, SIZE_MAX);
    t->repl = repl;
    t->host_id = host->host_id;
    t->count = host->count;
    t->bytes = host->bytes;
    t->store_op.rc =
        put_deletion(repl, host, repli_hint_watermark(repl, host, &all) - 1, &t->group);
    t->store_op.kind = REPL_STORE_WRITE;
    t->store_op.done = truncation_done;
    t->store_op.group = base_buf_view(&t->group);
    t->store_op.mutation_count = 1;
    t->store_op.durability = REPL_DURABLE_LOG;
    t->store_op.timeout_ns = repl->config.write_timeout_ns;
    if (t->store_op.rc != BASE_OK || repli_store_submit(repl, &t->store_op) == REPL_DONE)
        truncated(repl, t);
}

void repl_hints_truncate(struct repl *repl, struct base_uuid host_id)
{
    static const struct base_uuid all;
    if (repli_is_guest(repl))
        return;
    repli_event_begin(repl);
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++)
        for (struct repli_hint_host *host = repl->hints->buckets[i]; host; host = host->next)
            if (base_uuid_equal(host_id, all) || base_uuid_equal(host_id, host->host_id))
                truncate_host(repl, host);
    repli_event_end(repl);
}
