/* One page of one set of replicas, at a level: the coordinator of a read (reads_private.h).
 *
 *   CHOOSE  only if indexes serve several conditions, and replicas are to be compared: one is
 *           asked by which it would read least (by_index.c). No answer, soon, is an answer too.
 *   FIRST   one replica is asked for the page, required - 1 others for its digest. All the same:
 *           that page is the answer.
 *   PLACES  they differ, and are pages by index: those that answered by digest are asked for the
 *           page. What these have, together, is what all are asked for then, by key and without
 *           the condition (by_index.c).
 *   FULL    they differ: those that answered by digest are asked for the page. Merged up to the
 *           smallest end.
 *   REPAIR  what each lacks is on its way to it; when all of it has arrived the merged page is
 *           the answer.
 *
 * The page of FIRST stays good in FULL: it is what that replica had while this read was under way.
 * Not so when a per-partition limit made it skip rows, or an index left out rows that do not meet
 * its condition there, but take out what another replica's do, or go with it: then all are asked
 * again, without that limit and that condition.
 *
 * Invariants:
 *  1. A member is asked at most once for each kind of answer; `next_member` only grows.
 *  2. `contacts` are pending, answered or failed; a fetch that is over has no pending call and no
 *     armed timer.
 *  3. The answer needs `required` answers, one of them a page; in FULL all of them are pages.
 *  4. fetch_step runs as a loop, not as a recursion: what answers at once (our own replica) is seen
 *     in the next turn. */
#include "base/key.h"
#include "replication/reads_private.h"

#define KEEP_BYTES_MAX ((size_t)64 << 10)
#define MERGED_MAX ((size_t)1 << 30)
#define CHOOSE_SHARE 8 /* of the time that is left, for CHOOSE */

static void fetch_step(struct repli_fetch *f);
static void time_is_over(struct repli_fetch *f);
static void timed_out(struct repl *repl, struct repli_timer *timer);
static void speculate(struct repl *repl, struct repli_timer *timer);

/* Free lists. */

static void buf_idle(struct base_buf *buf)
{
    base_buf_reset(buf);
    if (buf->cap > KEEP_BYTES_MAX)
        base_buf_fini(buf);
}

static struct repli_contact *contact_take(struct repl *repl)
{
    struct repli_contact *c = repl->reads->contacts;
    if (c) {
        repl->reads->contacts = c->next;
        return c;
    }
    c = calloc(1, sizeof *c);
    if (c) {
        base_buf_init(&c->page, MERGED_MAX);
        base_buf_init(&c->repair, MERGED_MAX);
    }
    return c;
}

/* Give up what it waits for. A slow replica is remembered as slow, although its answer is not
 * waited for. */
static void contact_cancel(struct repl *repl, struct repli_contact *c)
{
    if (c->call.pending) {
        repli_snitch_observe_at_least(repl, c->peer.host_id, repli_now(repl) - c->sent_ns);
        repli_call_cancel(repl, &c->call);
    }
    if (c->local)
        repli_replica_read_forget(c->local);
    c->local = NULL;
    if (c->local_write)
        repli_local_write_forget(c->local_write);
    c->local_write = NULL;
}

static void contacts_put(struct repli_fetch *f)
{
    struct repl *repl = f->repl;
    while (f->contacts) {
        struct repli_contact *c = f->contacts;
        f->contacts = c->next;
        contact_cancel(repl, c);
        buf_idle(&c->page);
        buf_idle(&c->repair);
        c->next = repl->reads->contacts;
        repl->reads->contacts = c;
    }
}

struct repli_fetch *repli_fetch_get(struct repl *repl)
{
    struct repli_fetch *f = repl->reads->fetches;
    if (f) {
        repl->reads->fetches = f->next;
        f->next = NULL;
        return f;
    }
    f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->repl = repl;
    f->timer.fired = timed_out;
    f->speculation.fired = speculate;
    base_buf_init(&f->page, MERGED_MAX);
    base_buf_init(&f->merged, MERGED_MAX);
    base_buf_init(&f->body, REPLI_FRAME_SIZE_MAX);
    base_buf_init(&f->places, REPLI_FRAME_SIZE_MAX / 2);
    base_buf_init(&f->places_end, REPLI_FRAME_SIZE_MAX);
    return f;
}

/* Invariant 2. */
static void settle(struct repli_fetch *f)
{
    contacts_put(f);
    repli_timer_disarm(f->repl, &f->timer);
    repli_timer_disarm(f->repl, &f->speculation);
    if (f->ring)
        ring_state_release(f->ring);
    f->ring = NULL;
    base_buf_reset(&f->body);
    f->phase = REPLI_FETCH_OVER;
}

void repli_fetch_put(struct repli_fetch *f)
{
    settle(f);
    f->phase = REPLI_FETCH_IDLE;
    f->again = false;
    f->done = NULL;
    buf_idle(&f->page);
    buf_idle(&f->merged);
    buf_idle(&f->places);
    if (f->stepping)
        return; /* fetch_step puts it into the list when it comes back */
    f->next = f->repl->reads->fetches;
    f->repl->reads->fetches = f;
}

void repli_fetches_free(struct repl *repl)
{
    struct repli_reads *reads = repl->reads;
    while (reads->fetches) {
        struct repli_fetch *f = reads->fetches;
        reads->fetches = f->next;
        base_buf_fini(&f->page);
        base_buf_fini(&f->merged);
        base_buf_fini(&f->body);
        base_buf_fini(&f->places);
        base_buf_fini(&f->places_end);
        free(f->members);
        free(f->filters);
        free(f);
    }
    while (reads->contacts) {
        struct repli_contact *c = reads->contacts;
        reads->contacts = c->next;
        base_buf_fini(&c->page);
        base_buf_fini(&c->repair);
        free(c);
    }
}

static void speculate(struct repl *repl, struct repli_timer *timer)
{
    struct repli_fetch *f = BASE_CONTAINER(timer, struct repli_fetch, speculation);
    (void)repl;
    f->speculating = true; /* CHOOSE: it is not waited for any longer */
    fetch_step(f);
}

/* Asking. */

/* Which of several causes says most: what can be tried again first, then a replica's own error,
 * then silence. */
enum failure_rank { RANK_UNAVAILABLE = 1, RANK_OVERLOADED, RANK_TIMEOUT, RANK_ERROR, RANK_STALE };

static enum failure_rank rank_of(int rc)
{
    return rc == BASE_E_STALE         ? RANK_STALE
           : rc == BASE_E_UNAVAILABLE ? RANK_UNAVAILABLE
           : rc == BASE_E_OVERLOADED  ? RANK_OVERLOADED
           : rc == BASE_E_TIMEOUT     ? RANK_TIMEOUT
                                      : RANK_ERROR;
}

static void contact_failed(struct repli_contact *c, int rc, const char *text)
{
    struct repli_fetch *f = c->fetch;
    c->state = REPLI_CONTACT_FAILED;
    c->rc = rc;
    if (rc != BASE_E_TIMEOUT && f->failures < REPL_FAILED_MAX)
        f->failed[f->failures] = (struct repl_failed){c->peer.host_id, rc};
    f->failures += rc != BASE_E_TIMEOUT;
    int rank = (int)rank_of(rc);
    if (rank <= f->failure_rank)
        return;
    f->failure_rank = rank;
    f->failure_rc = rc;
    base_err_set(&f->err, rc, "node %.*s: %s", BASE_SLICE_ARG(c->peer.address),
                 text && *text ? text : base_err_words(rc));
}

/* A peer's words, cut to what fits. */
static const char *words_of(const struct base_message *reply, int rc, char *out, size_t size)
{
    struct base_slice detail = {0}, text = {0};
    out[0] = 0;
    if (!reply || repli_failure_get(reply, &detail, &text) != rc)
        return out;
    size_t len = text.len < size ? text.len : size - 1;
    if (len)
        memcpy(out, text.data, len);
    out[len] = 0;
    return out;
}

/* Does the page stay within what was asked, and go on from where it was to? */
static bool page_fits(const struct repli_fetch *f, const struct repl_page_end *end)
{
    const struct repli_read_request *r = &f->request;
    struct repl_page_end after = {.more = true, .pkey = r->after_pkey, .ckey = r->after_ckey};
    const struct base_slice keys[] = {end->last_pkey,
                                      end->more ? end->pkey : (struct base_slice){0}};
    for (size_t i = 0; i < BASE_COUNT(keys); i++) {
        if (!keys[i].len)
            continue;
        if (r->cmd.pkey.len ? !base_slice_equal(keys[i], r->cmd.pkey)
                            : base_token_get(keys[i].data) > r->cmd.token_upto)
            return false;
    }
    return !r->after_pkey.len || repl_page_end_compare(&after, end, r->cmd.reversed) < 0;
}

static void contact_answered(struct repli_contact *c, struct base_slice body)
{
    struct repli_fetch *f = c->fetch;
    if (f->phase == REPLI_FETCH_CHOOSE) {
        repli_choice_take(f, &body);
    } else if (c->asked_digest) {
        if (body.len != sizeof c->digest) {
            contact_failed(c, BASE_E_CORRUPT, "its digest cannot be read");
            return;
        }
        memcpy(c->digest, body.data, sizeof c->digest);
        c->has_digest = true;
    } else {
        if (!repl_page_check(body, f->request.cmd.reversed, &c->end) || !page_fits(f, &c->end)) {
            contact_failed(c, BASE_E_CORRUPT, "its page cannot be read");
            return;
        }
        c->has_page = true;
        c->has_digest = false;
        f->data_present = true;
    }
    c->state = REPLI_CONTACT_ANSWERED;
}

static void call_done(struct repl *repl, struct repli_call *call, int rc,
                      const struct base_message *reply)
{
    struct repli_contact *c = BASE_CONTAINER(call, struct repli_contact, call);
    struct repli_fetch *f = c->fetch;
    if (rc != BASE_E_UNAVAILABLE && rc != BASE_E_OVERLOADED)
        repli_snitch_observe(repl, c->peer.host_id, repli_now(repl) - c->sent_ns);
    if (rc == BASE_OK) {
        base_buf_reset(&c->page);
        if (!c->asked_digest && base_buf_put_slice(&c->page, reply->body) != BASE_OK)
            contact_failed(c, BASE_E_NOMEM, "no memory for its page");
        else
            contact_answered(c, c->asked_digest ? reply->body : base_buf_view(&c->page));
    } else {
        char words[512];
        contact_failed(c, rc, words_of(reply, rc, words, sizeof words));
    }
    fetch_step(f);
}

static void local_take(struct repli_contact *c, struct repli_replica_read *r)
{
    struct repli_fetch *f = c->fetch;
    if (r->rc != BASE_OK) {
        contact_failed(c, r->rc, r->err.text);
    } else if (c->asked_digest) {
        contact_answered(c, base_slice(r->digest, sizeof r->digest));
    } else {
        struct base_buf swap = c->page; /* no copy */
        c->page = r->page;
        r->page = swap;
        contact_answered(c, base_buf_view(&c->page));
    }
    repli_replica_read_put(f->repl, r);
}

static void local_done(struct repl *repl, struct repli_replica_read *r)
{
    struct repli_contact *c = r->ctx;
    struct repli_fetch *f = c->fetch;
    (void)repl;
    c->local = NULL;
    local_take(c, r);
    fetch_step(f);
}

static void ask(struct repli_contact *c, bool digest)
{
    struct repli_fetch *f = c->fetch;
    struct repl *repl = f->repl;
    struct base_slice body = base_buf_view(&f->body);
    uint64_t now = repli_now(repl);
    f->body.data[0] = (uint8_t)(digest ? f->body.data[0] | REPLI_READ_DIGEST
                                       : f->body.data[0] & ~REPLI_READ_DIGEST);
    c->asked_digest = digest;
    c->state = REPLI_CONTACT_PENDING;
    c->sent_ns = now;
    c->has_page = c->has_digest = false;
    if (!c->self) {
        c->call.done = call_done;
        repli_call_start(repl, &c->call, c->peer, f->lane, REPL_VERB_READ, body,
                         f->deadline_ns > now ? f->deadline_ns - now : 0);
        return;
    }
    struct repli_replica_read *r;
    if (repli_replica_read_start(repl, body, local_done, c, &r) == REPL_PENDING) {
        c->local = r;
    } else if (r) {
        local_take(c, r);
        f->again = true;
    } else {
        contact_failed(c, BASE_E_NOMEM, NULL);
        f->again = true;
    }
}

/* A contact for a member that has none; NULL: out of memory. */
static struct repli_contact *contact_new(struct repli_fetch *f, size_t at)
{
    struct repl *repl = f->repl;
    struct repli_contact *c = contact_take(repl);
    if (!c) {
        f->failure_rank = RANK_ERROR;
        f->failure_rc = base_err_set(&f->err, BASE_E_NOMEM, "a read: out of memory");
        return NULL;
    }
    const struct ring_member *m = &f->ring->members[f->members[at]];
    c->fetch = f;
    c->peer = (struct repli_peer){m->host_id, m->address};
    c->self = repli_is_self(repl, m->host_id);
    c->repair_count = 0;
    c->repair_failed = c->has_page = c->has_digest = false;
    c->rc = BASE_OK;
    c->next = f->contacts;
    f->contacts = c;
    return c;
}

/* Of the next one; NULL: there is none, or no memory. */
static struct repli_contact *next_contact(struct repli_fetch *f)
{
    return f->next_member < f->member_count ? contact_new(f, f->next_member++) : NULL;
}

static bool ask_member(struct repli_fetch *f, size_t at, bool digest)
{
    struct repli_contact *c = contact_new(f, at);
    if (c)
        ask(c, digest);
    return c != NULL;
}

/* One more replica; false: there is none left (or no memory for it). */
static bool ask_next(struct repli_fetch *f, bool digest)
{
    return f->next_member < f->member_count && ask_member(f, f->next_member++, digest);
}

/* The answer. */

struct tally {
    unsigned answered, pending, pages, page_pending;
};

static struct tally count(const struct repli_fetch *f)
{
    struct tally t = {0};
    for (const struct repli_contact *c = f->contacts; c; c = c->next) {
        t.answered += c->state == REPLI_CONTACT_ANSWERED;
        t.pending += c->state == REPLI_CONTACT_PENDING;
        t.pages += c->state == REPLI_CONTACT_ANSWERED && c->has_page;
        t.page_pending += c->state == REPLI_CONTACT_PENDING && !c->asked_digest;
    }
    return t;
}

static void finish(struct repli_fetch *f, int rc)
{
    struct tally t = count(f);
    f->received = t.answered;
    f->rc = rc;
    settle(f);
    f->done(f); /* may put it, or start it again */
}

static void fail(struct repli_fetch *f)
{
    if (f->failure_rank == 0)
        base_err_set(&f->err, f->failure_rc = BASE_E_UNAVAILABLE, "no replica could be asked");
    finish(f, f->failure_rc);
}

static void time_is_over(struct repli_fetch *f)
{
    struct tally t = count(f);
    base_err_set(&f->err, BASE_E_TIMEOUT, "%s - received only %u responses of %u.",
                 f->phase == REPLI_FETCH_REPAIR ? "Operation timed out (read repair)"
                                                : "Operation timed out",
                 t.answered, f->required);
    finish(f, BASE_E_TIMEOUT);
}

static void timed_out(struct repl *repl, struct repli_timer *timer)
{
    (void)repl;
    time_is_over(BASE_CONTAINER(timer, struct repli_fetch, timer));
}

/* The bytes of `from` become the answer, without a copy. */
static void answer_with(struct repli_fetch *f, struct base_buf *from, struct repl_page_end end)
{
    struct base_buf swap = f->page;
    f->page = *from;
    *from = swap;
    f->end = end;
    finish(f, BASE_OK);
}

/* The request has changed: all that have answered are asked anew (all), or those that answered by
 * digest. Those that have not are not waited for, as if they had not been asked; or (anew) asked
 * anew as well. */
static void ask_pages(struct repli_fetch *f, bool all, bool anew)
{
    base_buf_reset(&f->body);
    if (repli_read_encode(&f->request, &f->body) != BASE_OK) {
        base_err_set(&f->err, BASE_E_NOMEM, "a read: out of memory");
        finish(f, BASE_E_NOMEM);
        return;
    }
    for (struct repli_contact *c = f->contacts; c; c = c->next) {
        if (c->state == REPLI_CONTACT_PENDING) {
            contact_cancel(f->repl, c);
            c->state = REPLI_CONTACT_FAILED;
            c->rc = BASE_E_TIMEOUT;
            if (anew)
                ask(c, false);
        } else if (c->state == REPLI_CONTACT_ANSWERED && (all || !c->has_page)) {
            ask(c, false);
        }
    }
    f->again = true;
}

/* Everything, whatever an index says. */
static void begin_plain(struct repli_fetch *f)
{
    f->phase = REPLI_FETCH_FULL;
    f->request.by_index = f->by_places = false;
    f->request.cmd.places = (struct base_slice){0};
    f->request.limits.partition_rows_max = UINT64_MAX;
    if (f->request.limits.rows_max < REPLI_FILTERED_PAGE_ROWS)
        f->request.limits.rows_max = REPLI_FILTERED_PAGE_ROWS;
    ask_pages(f, true, true);
}

/* They differ: the same replicas, all by pages. */
static void begin_full(struct repli_fetch *f)
{
    bool skipped = f->request.limits.partition_rows_max != UINT64_MAX;
    f->phase = f->request.by_index ? REPLI_FETCH_PLACES : REPLI_FETCH_FULL;
    f->repl->stats.digest_mismatches++;
    repli_timer_disarm(f->repl, &f->speculation);
    f->speculating = false;
    f->request.limits.partition_rows_max = UINT64_MAX;
    ask_pages(f, skipped, false);
}

/* They differ in where they end: up to the smallest end none has anything. */
static void answer_nothing(struct repli_fetch *f)
{
    int rc = repli_repair_merge(f, false, &f->err);
    if (rc != BASE_OK) {
        finish(f, rc);
        return;
    }
    struct repl_page_end end = f->end;
    answer_with(f, &f->merged, end);
}

/* All pages by index are there: read what they have, together, of all, in full. */
static void begin_places(struct repli_fetch *f)
{
    int rc = repli_places_gather(f);
    if (rc != BASE_OK) { /* too much */
        begin_plain(f);
    } else if (f->places.len == 0) {
        answer_nothing(f);
    } else {
        f->phase = REPLI_FETCH_FULL;
        f->request.by_index = false;
        f->by_places = true;
        f->request.cmd.places = base_buf_view(&f->places);
        f->request.limits.rows_max = UINT64_MAX;
        ask_pages(f, true, false);
    }
}

/* Repair. */

static void repair_answered(struct repli_contact *c, int rc, const char *text)
{
    c->repair_count = 0;
    c->repair_failed = rc != BASE_OK;
    if (rc != BASE_OK)
        contact_failed(c, rc, text);
}

static void repair_done(struct repl *repl, struct repli_call *call, int rc,
                        const struct base_message *reply)
{
    struct repli_contact *c = BASE_CONTAINER(call, struct repli_contact, call);
    struct repli_fetch *f = c->fetch;
    char words[512];
    (void)repl;
    repair_answered(c, rc, words_of(reply, rc, words, sizeof words));
    fetch_step(f);
}

static void repair_written(struct repl *repl, struct repli_contact *c, int rc, const char *text)
{
    struct repli_fetch *f = c->fetch;
    (void)repl;
    c->local_write = NULL;
    repair_answered(c, rc, text);
    fetch_step(f);
}

static void send_repair(struct repli_fetch *f, struct repli_contact *c)
{
    struct repl *repl = f->repl;
    uint64_t now = repli_now(repl);
    repl->stats.read_repairs++;
    if (!c->self) {
        c->call.done = repair_done;
        repli_call_start(repl, &c->call, c->peer, f->lane, REPL_VERB_REPAIR,
                         base_buf_view(&c->repair),
                         f->deadline_ns > now ? f->deadline_ns - now : 0);
        return;
    }
    struct base_err err = {0};
    int written;
    if (repli_local_write_start(repl, f->table, &c->repair, c->repair_count, repair_written, c,
                                &c->local_write, &written, &err) == REPL_DONE)
        repair_answered(c, written, err.text);
}

static void begin_repair(struct repli_fetch *f)
{
    bool blocking = !base_slice_equal_nocase(f->table->options.read_repair, BASE_SLICE_LIT("NONE"));
    int rc = repli_repair_merge(f, blocking, &f->err);
    if (rc != BASE_OK) {
        finish(f, rc);
        return;
    }
    f->phase = REPLI_FETCH_REPAIR;
    f->failure_rank = 0;
    f->again = true;
    for (struct repli_contact *c = f->contacts; c; c = c->next)
        if (c->state == REPLI_CONTACT_ANSWERED && c->repair_count)
            send_repair(f, c);
}

/* A replica cannot take its repair (its disk is full): what was read must be on as many all the
 * same, so one who was not asked takes all of it. False: there is nobody, or no memory. */
static bool repair_elsewhere(struct repli_fetch *f)
{
    for (struct repli_contact *c = f->contacts; c; c = c->next) {
        if (!c->repair_failed)
            continue;
        struct repli_contact *other = next_contact(f);
        if (!other)
            return false;
        c->repair_failed = false;
        other->state = REPLI_CONTACT_ANSWERED;
        if (repli_repair_all(f, other, &f->err) != BASE_OK)
            return false;
        if (other->repair_count)
            send_repair(f, other);
    }
    f->failure_rank = 0;
    f->again = true;
    return true;
}

/* The step. */

static void step_repair(struct repli_fetch *f)
{
    for (struct repli_contact *c = f->contacts; c; c = c->next) {
        if (c->state == REPLI_CONTACT_ANSWERED && c->repair_count)
            return; /* on its way */
    }
    if (f->failure_rank > 0 && f->failure_rc != BASE_E_STALE && repair_elsewhere(f))
        return;
    if (f->failure_rank >
        0) { /* it may have been written: repeating is safe, but the level was not reached */
        f->failure_rc = f->failure_rc == BASE_E_STALE ? BASE_E_STALE : BASE_E_TIMEOUT;
        f->err.code = f->failure_rc;
        (void)base_err_wrap(&f->err, f->failure_rc, "read repair");
        finish(f, f->failure_rc);
        return;
    }
    struct repl_page_end end = f->end;
    answer_with(f, &f->merged, end);
}

/* More replicas while those under way cannot be enough. */
static void ask_more(struct repli_fetch *f, struct tally *t)
{
    bool full = f->phase != REPLI_FETCH_FIRST;
    if (repli_now(f->repl) >= f->deadline_ns) {
        time_is_over(f);
        return;
    }
    if (f->by_places && t->answered + t->pending <
                            f->required) { /* one who was not asked what it has may have more */
        begin_plain(f);
        return;
    }
    while (t->answered + t->pending < f->required || (!full && t->pages + t->page_pending == 0)) {
        bool page = full || t->pages + t->page_pending == 0;
        if (!ask_next(f, !page)) {
            if (t->pending == 0 || t->answered + t->pending < f->required)
                fail(f);
            return;
        }
        t->pending++;
        t->page_pending += page;
    }
    if (f->speculating) {
        f->speculating = false;
        if (ask_next(f, !full && t->pages > 0))
            f->repl->stats.speculative_retries++;
    }
}

static void step_asking(struct repli_fetch *f)
{
    struct tally t = count(f);
    bool full = f->phase != REPLI_FETCH_FIRST;
    if ((full ? t.pages : t.answered) < f->required || t.pages == 0) {
        ask_more(f, &t);
        return;
    }
    if (full) {
        if (f->phase == REPLI_FETCH_PLACES)
            begin_places(f);
        else
            begin_repair(f);
        return;
    }
    struct repli_contact *page = f->contacts;
    while (page->state != REPLI_CONTACT_ANSWERED || !page->has_page)
        page = page->next;
    if (repli_pages_equal(f, page))
        answer_with(f, &page->page, page->end);
    else
        begin_full(f);
}

/* The page itself. */
static void begin_first(struct repli_fetch *f)
{
    uint64_t now = repli_now(f->repl), left = f->deadline_ns > now ? f->deadline_ns - now : 0;
    f->phase = REPLI_FETCH_FIRST;
    f->again = true;
    f->failure_rank = 0;
    f->failures = 0;
    base_err_clear(&f->err);
    base_buf_reset(&f->body);
    if (repli_conditions_set(f) != BASE_OK || repli_read_encode(&f->request, &f->body) != BASE_OK) {
        base_err_set(&f->err, BASE_E_NOMEM, "a read: out of memory");
        finish(f, BASE_E_NOMEM);
        return;
    }
    uint64_t after = UINT64_MAX;
    if (f->member_count > f->required)
        after = repli_speculate_after(f->repl, f->table->options.speculative_retry, left);
    f->speculating = after == 0;
    if (after > 0 && after < left)
        repli_timer_arm_after(f->repl, &f->speculation, after);
}

/* By which condition? Ourselves, if we have the rows: that costs no message. */
static void begin_choose(struct repli_fetch *f, uint64_t left_ns)
{
    size_t at = f->member_count - 1;
    while (at && !repli_is_self(f->repl, f->ring->members[f->members[at]].host_id))
        at--;
    f->phase = REPLI_FETCH_CHOOSE;
    f->again = true;
    if (repli_choice_ask(f) != BASE_OK || !ask_member(f, at, false))
        repli_choice_take(f, NULL);
    else
        repli_timer_arm_after(f->repl, &f->speculation, left_ns / CHOOSE_SHARE);
}

static void step_choose(struct repli_fetch *f)
{
    if (f->contacts && f->contacts->state == REPLI_CONTACT_PENDING && !f->speculating)
        return;
    if (f->choice == SIZE_MAX)
        repli_choice_take(f, NULL);
    repli_timer_disarm(f->repl, &f->speculation);
    contacts_put(f);
    begin_first(f);
}

static void fetch_step(struct repli_fetch *f)
{
    f->again = true;
    if (f->stepping)
        return; /* invariant 4 */
    f->stepping = true;
    while (f->again && f->phase != REPLI_FETCH_OVER && f->phase != REPLI_FETCH_IDLE) {
        f->again = false;
        if (f->phase == REPLI_FETCH_CHOOSE)
            step_choose(f);
        else if (f->phase == REPLI_FETCH_REPAIR)
            step_repair(f);
        else
            step_asking(f);
    }
    f->stepping = false;
    if (!f->done) { /* put in the meantime */
        f->next = f->repl->reads->fetches;
        f->repl->reads->fetches = f;
    }
}

void repli_fetch_start(struct repli_fetch *f)
{
    struct repl *repl = f->repl;
    BASE_ASSERT(f->done && f->required > 0 && !f->contacts);
    uint64_t now = repli_now(repl), left = f->deadline_ns > now ? f->deadline_ns - now : 0;
    f->rc = BASE_OK;
    f->received = 0;
    f->data_present = f->by_places = false;
    f->next_member = 0;
    f->partition_rows_max = f->request.limits.partition_rows_max;
    f->ring = ring_state_acquire(repl->ring);
    const struct base_table *table = base_schema_table_by_id(repl->schema, f->table->id);
    f->request.truncated_us = table ? table->truncated_us : f->table->truncated_us;
    f->speculating = false;
    repli_timer_arm(repl, &f->timer, f->deadline_ns);
    if (repli_choice_is_open(f))
        begin_choose(f, left);
    else
        begin_first(f);
    fetch_step(f);
}
