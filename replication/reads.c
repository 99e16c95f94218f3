/* Reads of clients: page after page until the command's end (replication.h, struct repl_read).
 *
 * A page is got by rounds: one fetch (fetch.c) of a partition's replicas, or range.c's pages of
 * token ranges. A round whose page has no live row goes on behind its end, until there is
 * something, or the end, or half of the page's time is over: then the empty page is handed out, so
 * that a long way through tombstones is progress and not a timeout.
 *
 * The command's filters are the consumer's: replicas answer with all rows, merged before they are
 * judged, so that a replica that missed an overwrite cannot give a row that the others' newer value
 * would have taken out. With filters, limits are the consumer's too, but for the page's size. One
 * of them, that an index serves, goes to the replicas: they answer with the rows for which it holds
 * there. Where all say the same that is all there is, for a cell that wins is some replica's; where
 * they differ all are asked for the rows that any of them named (fetch.c). Which conditions go to
 * the replicas by_index.c says.
 *
 * Invariants:
 *  1. A read is idle, under way (admitted, counted in client_requests), or over; done is called
 *     once for each start and next.
 *  2. A round is made under the snapshot of its moment. STALE: it is tried once more when our epoch
 *     has moved.
 *  3. What the read points to (cmd, table) is the caller's; the position and the page are ours. */
#include "base/key.h"
#include "replication/reads_private.h"

#define ADMIT_BYTES ((size_t)16 << 10)

struct read_state {
    struct repl *repl;
    struct repl_read *read;
    struct read_state *next, **prev;
    struct repli_fetch *fetch; /* one partition */
    struct repli_range *range; /* tokens */
    uint64_t began_ns, deadline_ns;
    bool busy; /* invariant 1 */
    bool has_position;
    struct base_buf position; /* pkey, ckey: what was handed out goes up to here, inclusive */
    size_t pkey_len;
    uint64_t rows_before; /* live rows of the position's partition so far */
    uint64_t rows;        /* live rows handed out */
    uint64_t epoch;       /* of the round */
    size_t choice;        /* the fetches' (reads_private.h) */
    bool tried_again;
    struct repli_timer timer; /* waits for an epoch */
    bool waiting;
    bool stepping, again;
};

static void round_begin(struct read_state *s);

/* The end of a page. */

static bool is_range(const struct read_state *s)
{
    return s->read->cmd->pkey.len == 0;
}

static void count_outcome(struct repl *repl, const struct read_state *s, int rc)
{
    struct repl_stats *stats = &repl->stats;
    uint64_t us = (repli_now(repl) - s->began_ns) / 1000;
    repl_histogram_add(is_range(s) ? &stats->range_latency : &stats->read_latency, us);
    if (rc == BASE_E_UNAVAILABLE)
        stats->read_unavailables++;
    else if (rc == BASE_E_TIMEOUT)
        stats->read_timeouts++;
    else if (rc != BASE_OK)
        stats->read_failures++;
}

static void page_end(struct read_state *s, int rc)
{
    struct repl *repl = s->repl;
    struct repl_read *read = s->read;
    BASE_ASSERT(s->busy);
    s->busy = false;
    repl->client_requests--;
    repli_leave(repl, ADMIT_BYTES);
    repli_timer_disarm(repl, &s->timer);
    s->waiting = false;
    count_outcome(repl, s, rc);
    read->outcome.rc = rc;
    if (rc != BASE_OK) {
        read->page = read->end_pkey = read->end_ckey = (struct base_slice){0};
        read->more = false;
    }
    read->done(read); /* may close it, or ask for the next page */
}

static void page_refuse(struct read_state *s, int rc, const char *text)
{
    base_err_set(&s->read->outcome.err, rc, "%s", text);
    page_end(s, rc);
}

/* Limits. */

static bool is_filtered(const struct read_state *s)
{
    return s->read->cmd->filter_count > 0;
}

/* Will the replicas judge all conditions? */
static bool is_judged(const struct read_state *s)
{
    const struct repl_read *read = s->read;
    const struct ring_placement *placement;
    struct repli_need need;
    struct base_err err;
    int rc = repli_read_plan(s->repl, read->table, read->consistency, &placement, &need, &err);
    return rc == BASE_OK && repli_conditions_all(read->table, read->cmd, need.required);
}

/* Live rows that this page may have. */
static uint64_t rows_wanted(const struct read_state *s)
{
    const struct base_read *cmd = s->read->cmd;
    uint64_t want = s->read->page_rows_max ? s->read->page_rows_max : UINT64_MAX;
    if (is_filtered(s) && is_judged(s))
        return want < cmd->row_limit ? want : cmd->row_limit; /* the replicas judge it */
    if (is_filtered(s))
        return want < REPLI_FILTERED_PAGE_ROWS ? REPLI_FILTERED_PAGE_ROWS : want;
    uint64_t left = cmd->row_limit == UINT64_MAX ? UINT64_MAX
                    : cmd->row_limit > s->rows   ? cmd->row_limit - s->rows
                                                 : 1;
    return want < left ? want : left;
}

static uint64_t partition_limit(const struct read_state *s)
{
    uint64_t limit = s->read->cmd->partition_row_limit;
    return is_filtered(s) ? UINT64_MAX : limit ? limit : 1;
}

/* Has the command all that it may have? */
static bool is_satisfied(const struct read_state *s)
{
    const struct base_read *cmd = s->read->cmd;
    if (is_filtered(s))
        return false;
    return s->rows >= cmd->row_limit ||
           (cmd->pkey.len && s->has_position && s->rows_before >= cmd->partition_row_limit);
}

/* One partition. */

/* Out of memory, or options that are none? */
static int why_no_placement(struct repl *repl, const struct base_keyspace *keyspace,
                            struct base_err *err)
{
    struct ring_placement *placement;
    int rc = ring_placement_new(repl->ring, &keyspace->replication, repl->config.host_id,
                                &placement, err);
    if (rc == BASE_OK)
        ring_placement_release(placement);
    if (rc == BASE_OK || rc == BASE_E_NOMEM)
        return base_err_set(err, BASE_E_NOMEM, "a read: out of memory");
    return base_err_wrap(err, BASE_E_UNAVAILABLE, "keyspace %.*s has no replicas",
                         BASE_SLICE_ARG(keyspace->name));
}

int repli_read_plan(struct repl *repl, const struct base_table *table, int consistency,
                    const struct ring_placement **placement, struct repli_need *need,
                    struct base_err *err)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(repl->schema, table->keyspace);
    *placement = NULL;
    if (!keyspace || !base_schema_table_by_id(repl->schema, table->id))
        return base_err_set(err, BASE_E_STALE, "table %.*s.%.*s is not there any more",
                            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name));
    *placement = repl_placement(repl, keyspace);
    if (!*placement)
        return why_no_placement(repl, keyspace, err);
    return repli_need_of(repl, *placement, consistency, false, need, err);
}

static bool keep_position(struct read_state *s, struct base_slice pkey, struct base_slice ckey,
                          uint64_t partition_rows)
{
    base_buf_reset(&s->position);
    if (base_buf_put_slice(&s->position, pkey) != BASE_OK ||
        base_buf_put_slice(&s->position, ckey) != BASE_OK)
        return false;
    s->pkey_len = pkey.len;
    s->rows_before = partition_rows;
    s->has_position = true;
    return true;
}

static struct base_slice position_pkey(const struct read_state *s)
{
    return s->has_position ? base_slice(s->position.data, s->pkey_len) : (struct base_slice){0};
}

static struct base_slice position_ckey(const struct read_state *s)
{
    return s->has_position
               ? base_slice(s->position.data + s->pkey_len, s->position.len - s->pkey_len)
               : (struct base_slice){0};
}

static int partition_plan(struct read_state *s)
{
    struct repl *repl = s->repl;
    struct repl_read *read = s->read;
    struct repli_fetch *f = s->fetch;
    const struct ring_placement *placement;
    struct repli_need need;
    int rc = repli_read_plan(repl, read->table, read->consistency, &placement, &need,
                             &read->outcome.err);
    if (rc != BASE_OK)
        return rc;
    const struct ring_range *range =
        ring_placement_find(placement, base_token_get(read->cmd->pkey.data));
    rc = repli_check_alive(repl, &need, placement, range, false, &read->outcome);
    if (rc != BASE_OK)
        return rc;
    if ((rc = repli_fetch_candidates(f, &need, placement, &range->read)) != BASE_OK)
        return base_err_set(&read->outcome.err, rc, "a read: out of memory");
    if (f->member_count < need.required)
        rc =
            base_err_set(&read->outcome.err, BASE_E_UNAVAILABLE,
                         "Cannot achieve consistency level %s: %u required, %zu alive",
                         repli_consistency_name(read->consistency), need.required, f->member_count);
    f->required = need.required;
    return rc;
}

static void partition_done(struct repli_fetch *f);

static void partition_round(struct read_state *s)
{
    struct repl_read *read = s->read;
    const struct base_read *cmd = read->cmd;
    struct repli_fetch *f = s->fetch;
    int rc = partition_plan(s);
    if (rc != BASE_OK) {
        page_end(s, rc);
        return;
    }
    uint64_t bytes = s->repl->config.page_size_bytes;
    f->table = read->table;
    f->request = (struct repli_read_request){
        .cmd = *cmd,
        .limits = {rows_wanted(s), partition_limit(s),
                   cmd->size_bytes_max < bytes ? cmd->size_bytes_max : bytes,
                   repl_page_static_alone(cmd)},
        .after_pkey = position_pkey(s),
        .after_ckey = position_ckey(s),
        .rows_before = s->has_position ? s->rows_before : 0,
    };
    f->choice = s->choice;
    f->deadline_ns = s->deadline_ns;
    f->lane = REPL_LANE_POINT;
    f->done = partition_done;
    f->ctx = s;
    repli_fetch_start(f);
}

/* Rounds. */

static void epoch_waited(struct repl *repl, struct repli_timer *timer)
{
    struct read_state *s = BASE_CONTAINER(timer, struct read_state, timer);
    (void)repl;
    page_end(s, BASE_E_STALE);
}

/* A round failed. STALE: somebody is ahead of us, or of what we thought (invariant 2). */
static void round_failed(struct read_state *s, int rc)
{
    struct repl *repl = s->repl;
    if (rc != BASE_E_STALE || s->tried_again) {
        page_end(s, rc);
        return;
    }
    repl->stats.stale_epochs++;
    s->tried_again = true;
    if (repl_epoch(repl) > s->epoch) {
        round_begin(s);
        return;
    }
    s->waiting = true;
    repli_timer_arm(repl, &s->timer, s->deadline_ns);
}

/* Empty, and there is more: go on by ourselves? */
static bool goes_on(const struct read_state *s, uint64_t rows, bool more)
{
    uint64_t now = repli_now(s->repl);
    return more && rows == 0 && now - s->began_ns < (s->deadline_ns - s->began_ns) / 2;
}

static void partition_done(struct repli_fetch *f)
{
    struct read_state *s = f->ctx;
    struct repl_read *read = s->read;
    s->choice = f->choice;
    read->outcome.received = f->received;
    read->outcome.failures = f->failures;
    memcpy(read->outcome.failed, f->failed, sizeof read->outcome.failed);
    read->outcome.data_present = f->data_present;
    if (f->rc != BASE_OK) {
        read->outcome.err = f->err;
        round_failed(s, f->rc);
        return;
    }
    s->rows += f->end.rows;
    if (f->end.more && !keep_position(s, f->end.pkey, f->end.ckey, f->end.partition_rows)) {
        page_refuse(s, BASE_E_NOMEM, "a read: out of memory");
        return;
    }
    /* behind a partition there is nothing */
    read->more = f->end.more && !is_satisfied(s) && f->end.ckey.len > 0;
    if (goes_on(s, f->end.rows, read->more)) {
        round_begin(s);
        return;
    }
    read->page = base_buf_view(&f->page);
    read->end_pkey = read->more ? f->end.pkey : (struct base_slice){0};
    read->end_ckey = read->more ? f->end.ckey : (struct base_slice){0};
    page_end(s, BASE_OK);
}

static void range_done(struct repli_range *range, void *ctx)
{
    struct read_state *s = ctx;
    struct repl_read *read = s->read;
    const struct repli_range_page *page = repli_range_result(range);
    read->outcome = page->outcome;
    read->outcome.consistency = read->consistency;
    if (page->rc != BASE_OK) {
        read->outcome.err = page->err;
        round_failed(s, page->rc);
        return;
    }
    s->rows += page->rows;
    read->more = page->more && !is_satisfied(s);
    if (goes_on(s, page->rows, read->more)) {
        round_begin(s);
        return;
    }
    read->page = repli_range_view(range);
    read->end_pkey = read->more ? page->end_pkey : (struct base_slice){0};
    read->end_ckey = read->more ? page->end_ckey : (struct base_slice){0};
    page_end(s, BASE_OK);
}

/* One round; as a loop where rounds end at once (our own replica). */
static void round_begin(struct read_state *s)
{
    s->again = true;
    if (s->stepping)
        return;
    s->stepping = true;
    struct repl *repl = s->repl;
    while (s->again) {
        s->again = false;
        s->epoch = repl_epoch(repl);
        if (is_range(s))
            repli_range_page(s->range, rows_wanted(s), partition_limit(s), s->deadline_ns);
        else
            partition_round(s);
    }
    s->stepping = false;
    if (!s->read) /* closed in the meantime */
        free(s);
}

/* Requests of clients. */

static void state_free(struct read_state *s)
{
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (s->fetch)
        repli_fetch_put(s->fetch);
    repli_range_free(s->range);
    repli_timer_disarm(s->repl, &s->timer);
    base_buf_fini(&s->position);
    if (s->busy) {
        s->repl->client_requests--;
        repli_leave(s->repl, ADMIT_BYTES);
    }
    s->again = s->busy = false;
    s->read->state = NULL;
    s->read = NULL;
    if (!s->stepping)
        free(s);
}

static struct read_state *state_new(struct repl *repl, struct repl_read *read)
{
    struct read_state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct read_state){
        .repl = repl, .read = read, .timer = {.fired = epoch_waited}, .choice = SIZE_MAX};
    base_buf_init(&s->position, BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX);
    s->prev = &repl->reads->states;
    s->next = *s->prev;
    if (s->next)
        s->next->prev = &s->next;
    *s->prev = s;
    read->state = s;
    if (is_range(s))
        s->range = repli_range_new(repl, read->cmd, read->table, read->consistency, range_done, s);
    else
        s->fetch = repli_fetch_get(repl);
    if (s->range || s->fetch)
        return s;
    state_free(s);
    return NULL;
}

static void refuse(struct repl_read *read, int rc, const char *text)
{
    read->outcome.rc = base_err_set(&read->outcome.err, rc, "%s", text);
    read->page = read->end_pkey = read->end_ckey = (struct base_slice){0};
    read->more = false;
    read->done(read);
}

static void page_begin(struct repl *repl, struct repl_read *read)
{
    struct read_state *s = read->state;
    read->outcome = (struct repl_outcome){.consistency = read->consistency, .repeat_safe = true};
    read->page = read->end_pkey = read->end_ckey = (struct base_slice){0};
    if (repl->draining || repl->closing) {
        refuse(read, BASE_E_CLOSED, "this node is stopping");
        return;
    }
    if (!s) {
        refuse(read, BASE_E_NOMEM, "a read: out of memory");
        return;
    }
    BASE_ASSERT(!s->busy);
    if (!repli_admit(repl, ADMIT_BYTES)) {
        refuse(read, BASE_E_OVERLOADED, "too many requests are under way on this node");
        return;
    }
    uint64_t configured =
        is_range(s) ? repl->config.range_timeout_ns : repl->config.read_timeout_ns;
    repl->client_requests++;
    s->busy = true;
    s->tried_again = false;
    s->began_ns = repli_now(repl);
    s->deadline_ns = s->began_ns + (read->timeout_ns ? read->timeout_ns : configured);
    if (is_range(s))
        repl->stats.range_reads++;
    else
        repl->stats.reads++;
    round_begin(s);
}

void repl_read_start(struct repl *repl, struct repl_read *read)
{
    repli_event_begin(repl);
    BASE_ASSERT(read->done && read->cmd && read->table);
    read->state = NULL;
    read->more = false;
    (void)state_new(repl, read); /* page_begin sees that there is none */
    page_begin(repl, read);
    repli_event_end(repl);
}

void repl_read_next(struct repl *repl, struct repl_read *read)
{
    repli_event_begin(repl);
    BASE_ASSERT(read->more && read->outcome.rc == BASE_OK);
    page_begin(repl, read);
    repli_event_end(repl);
}

void repl_read_close(struct repl *repl, struct repl_read *read)
{
    repli_event_begin(repl);
    if (read->state)
        state_free(read->state);
    read->page = read->end_pkey = read->end_ckey = (struct base_slice){0};
    read->more = false;
    repli_event_end(repl);
}

/* Life. */

int repli_reads_open(struct repl *repl, struct base_err *err)
{
    repl->reads = calloc(1, sizeof *repl->reads);
    return repl->reads ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "reads: out of memory");
}

void repli_reads_on_epoch(struct repl *repl)
{
    struct read_state *s = repl->reads ? repl->reads->states : NULL;
    while (s) {
        if (!s->waiting || repl_epoch(repl) <= s->epoch) {
            s = s->next;
            continue;
        }
        s->waiting = false;
        repli_timer_disarm(repl, &s->timer);
        round_begin(s);
        s = repl->reads->states; /* its done may have closed any of them */
    }
}

void repli_reads_close(struct repl *repl)
{
    struct repli_reads *reads = repl->reads;
    if (!reads)
        return;
    while (reads->states) {
        struct read_state *s = reads->states;
        struct repl_read *read = s->read;
        bool busy = s->busy;
        state_free(s);
        if (busy) {
            read->outcome.rc =
                base_err_set(&read->outcome.err, BASE_E_CLOSED, "this node is stopping");
            read->page = read->end_pkey = read->end_ckey = (struct base_slice){0};
            read->more = false;
            read->done(read);
        }
    }
    repli_fetches_free(repl);
    repli_replica_reads_free(repl);
    repli_local_writes_free(repl);
    free(reads);
    repl->reads = NULL;
}

void repli_reads_handle(struct repl *repl, struct repl_inbound *in)
{
    repli_replica_read_handle(repl, in);
}
