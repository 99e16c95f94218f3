/* Token ranges: walked in token order, some at once (reads_private.h).
 *
 * The command's tokens are cut where replicas change; neighbours are one subrange as long as live
 * replicas that have all of it can satisfy the level. Subranges stand in a queue in token order.
 * The first `factor` of them are asked at once; what comes back is handed out in order. `factor`
 * begins at 1 and follows what came back: how many subranges the rows still wanted will take
 * (Cassandra: RangeCommandIterator), 32 at most, and no more than fit into PAGES_MAX pages by the
 * size of those that came.
 *
 * Invariants:
 *  1. The queue and what is behind `next_after` are exactly what has not been handed out.
 *  2. A subrange that ended early ends the page: its partition may go on, and one page has each
 *     partition once.
 *  3. What came back for later subranges stays for the next page; one that failed while nobody
 *     waited is asked again.
 *  4. A subrange is planned under the snapshot at hand each time it is asked; if its replicas are
 *     no longer the same for all of it, it is split. */
#include "base/key.h"
#include "replication/reads_private.h"

#define SUBRANGES_MAX 32
#define PAGES_MAX 8
#define OUT_MAX ((size_t)1 << 30)

enum slot_state { SLOT_IDLE, SLOT_ASKED, SLOT_READY };

struct slot {
    struct repli_range *range;
    struct slot *next;
    int64_t after, upto;
    enum slot_state state;
    struct repli_fetch *fetch;
    struct base_buf position; /* pkey, ckey: go on behind it; empty: from the beginning */
    size_t pkey_len;
    uint64_t rows_before;
    uint64_t rows, bytes; /* that it gave so far */
};

struct repli_range {
    struct repl *repl;
    const struct base_read *cmd;
    const struct base_table *table;
    int consistency;
    void (*done)(struct repli_range *range, void *ctx);
    void *ctx;
    struct slot *head;
    unsigned count, asked;
    int64_t next_after; /* not cut yet: behind this */
    bool cut_all;
    unsigned factor;
    size_t choice; /* the fetches' (reads_private.h) */
    uint64_t subranges_done, rows_seen, bytes_seen;
    /* the page at hand */
    bool active, stepping, again, freed;
    uint64_t rows_wanted, partition_row_limit, began_ns, deadline_ns;
    struct base_buf out, end; /* end: its last position */
    size_t end_pkey_len;
    struct repli_range_page result;
};

static void range_step(struct repli_range *range);

/* Life. */

struct repli_range *repli_range_new(struct repl *repl, const struct base_read *cmd,
                                    const struct base_table *table, int consistency,
                                    void (*done)(struct repli_range *range, void *ctx), void *ctx)
{
    BASE_ASSERT(cmd->pkey.len == 0);
    struct repli_range *range = calloc(1, sizeof *range);
    if (!range)
        return NULL;
    *range = (struct repli_range){
        .repl = repl,
        .cmd = cmd,
        .table = table,
        .consistency = consistency,
        .done = done,
        .ctx = ctx,
        .next_after = cmd->token_after,
        .cut_all = cmd->token_after >= cmd->token_upto,
        .factor = 1,
        .choice = SIZE_MAX,
    };
    base_buf_init(&range->out, OUT_MAX);
    base_buf_init(&range->end, BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX);
    return range;
}

static void slot_free(struct slot *slot)
{
    if (slot->fetch)
        repli_fetch_put(slot->fetch);
    base_buf_fini(&slot->position);
    free(slot);
}

void repli_range_free(struct repli_range *range)
{
    if (!range)
        return;
    range->active = range->again = false;
    range->freed = true;
    if (range->stepping)
        return; /* range_step, which walks the queue, frees it */
    while (range->head) {
        struct slot *slot = range->head;
        range->head = slot->next;
        slot_free(slot);
    }
    base_buf_fini(&range->out);
    base_buf_fini(&range->end);
    free(range);
}

struct base_slice repli_range_view(const struct repli_range *range)
{
    return base_buf_view(&range->out);
}

const struct repli_range_page *repli_range_result(const struct repli_range *range)
{
    return &range->result;
}

/* Planning. */

/* Of the fetch's members those that are in the set too: how many; `keep`: the others are gone. */
static size_t intersect(struct repli_fetch *f, const struct ring_set *set, bool keep)
{
    size_t n = 0;
    for (size_t i = 0; i < f->member_count; i++) {
        bool in = false;
        for (size_t j = 0; j < set->count && !in; j++)
            in = set->members[j] == f->members[i];
        if (!in)
            continue;
        if (keep)
            f->members[n] = f->members[i];
        n++;
    }
    if (keep)
        f->member_count = n;
    return n;
}

/* The slot's candidates; slot->upto moves down to where they have all of it. */
static int plan(struct slot *slot)
{
    struct repli_range *range = slot->range;
    struct repl *repl = range->repl;
    struct repl_outcome *outcome = &range->result.outcome;
    const struct ring_placement *placement;
    struct repli_need need;
    int rc =
        repli_read_plan(repl, range->table, range->consistency, &placement, &need, &outcome->err);
    if (rc != BASE_OK)
        return rc;
    const struct ring_range *at = ring_placement_find(placement, slot->after + 1),
                            *end = placement->ranges + placement->range_count;
    if ((rc = repli_check_alive(repl, &need, placement, at, false, outcome)) != BASE_OK)
        return rc;
    if ((rc = repli_fetch_candidates(slot->fetch, &need, placement, &at->read)) != BASE_OK)
        return base_err_set(&outcome->err, rc, "a read: out of memory");
    if (slot->fetch->member_count < need.required)
        return base_err_set(&outcome->err, BASE_E_UNAVAILABLE,
                            "Cannot achieve consistency level %s: %u required, %zu alive",
                            repli_consistency_name(range->consistency), need.required,
                            slot->fetch->member_count);
    slot->fetch->required = need.required;
    while (at->upto < slot->upto) {
        const struct ring_range *next = at + 1;
        BASE_ASSERT(next < end);
        if (need.each_dc || intersect(slot->fetch, &next->read, false) < need.required) {
            slot->upto = at->upto;
            break;
        }
        (void)intersect(slot->fetch, &next->read, true);
        at = next;
    }
    return BASE_OK;
}

/* Asking. */

static void page_end(struct repli_range *range, int rc, bool more)
{
    BASE_ASSERT(range->active);
    range->active = false;
    range->result.rc = rc;
    range->result.more = more;
    range->done(range, range->ctx); /* may free it, or ask for the next page */
}

/* The page ends here, at range->end when there is more. */
static void page_finish(struct repli_range *range, bool more, uint64_t partition_rows)
{
    struct repl_page_end all = {.more = more, .rows = range->result.rows};
    if (more) {
        all.pkey = range->result.end_pkey = base_slice(range->end.data, range->end_pkey_len);
        all.ckey = range->result.end_ckey =
            base_slice(range->end.data + range->end_pkey_len, range->end.len - range->end_pkey_len);
        all.partition_rows = partition_rows;
    }
    int rc = repl_page_put_end(&range->out, &all);
    if (rc != BASE_OK)
        base_err_set(&range->result.err, rc, "a read: %s", base_err_words(rc));
    page_end(range, rc, more);
}

/* STALE makes the caller ask for the page once more. What has been taken off the queue for this one
 * would be missing then: it is handed out instead, and the rest asked again for the next page. */
static void page_fail(struct repli_range *range, int rc)
{
    if (rc == BASE_E_STALE && range->end.len)
        page_finish(range, true, 0);
    else
        page_end(range, rc, false);
}

static void slot_done(struct repli_fetch *f)
{
    struct slot *slot = f->ctx;
    struct repli_range *range = slot->range;
    BASE_ASSERT(slot->state == SLOT_ASKED && range->asked > 0);
    range->choice = f->choice;
    range->asked--;
    slot->state = f->rc == BASE_OK ? SLOT_READY : SLOT_IDLE;
    if (range->active) {
        struct repl_outcome *outcome = &range->result.outcome;
        outcome->received = f->received;
        outcome->failures = f->failures;
        memcpy(outcome->failed, f->failed, sizeof outcome->failed);
        outcome->required = f->required;
        outcome->data_present = f->data_present;
        if (f->rc != BASE_OK) {
            range->result.err = f->err;
            page_fail(range, f->rc);
            return;
        }
    }
    range_step(range);
}

/* What a split left over: a slot of its own behind this one. False: out of memory. */
static bool put_remainder(struct slot *slot, int64_t upto)
{
    struct repli_range *range = slot->range;
    if (!slot->next && range->next_after == upto) { /* the queue's last: simply not cut yet */
        range->next_after = slot->upto;
        range->cut_all = false;
        return true;
    }
    struct slot *rest = calloc(1, sizeof *rest);
    if (!rest)
        return false;
    *rest = (struct slot){.range = range, .next = slot->next, .after = slot->upto, .upto = upto};
    base_buf_init(&rest->position, BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX);
    rest->fetch = repli_fetch_get(range->repl);
    if (!rest->fetch) {
        free(rest);
        return false;
    }
    slot->next = rest;
    range->count++;
    return true;
}

static int slot_ask(struct slot *slot)
{
    struct repli_range *range = slot->range;
    struct repli_fetch *f = slot->fetch;
    uint64_t bytes = range->repl->config.page_size_bytes;
    int64_t upto = slot->upto;
    int rc = plan(slot);
    if (rc != BASE_OK) {
        range->result.err = range->result.outcome.err;
        return rc;
    }
    if (slot->upto < upto && !put_remainder(slot, upto))
        return base_err_set(&range->result.err, BASE_E_NOMEM, "a read: out of memory");
    f->table = range->table;
    f->request = (struct repli_read_request){
        .cmd = *range->cmd,
        .limits = {range->rows_wanted, range->partition_row_limit,
                   range->cmd->size_bytes_max < bytes ? range->cmd->size_bytes_max : bytes,
                   repl_page_static_alone(range->cmd)},
    };
    f->request.cmd.token_after = slot->after;
    f->request.cmd.token_upto = slot->upto;
    f->choice = range->choice;
    if (slot->position.len) {
        f->request.after_pkey = base_slice(slot->position.data, slot->pkey_len);
        f->request.after_ckey =
            base_slice(slot->position.data + slot->pkey_len, slot->position.len - slot->pkey_len);
        f->request.rows_before = slot->rows_before;
    }
    f->deadline_ns = range->deadline_ns;
    f->lane = REPL_LANE_BULK;
    f->done = slot_done;
    f->ctx = slot;
    slot->state = SLOT_ASKED;
    range->asked++;
    repli_fetch_start(f);
    return BASE_OK;
}

/* The next subrange at the queue's end: as far as it can go. */
static int cut_next(struct repli_range *range)
{
    struct slot *slot = calloc(1, sizeof *slot), **tail = &range->head;
    if (slot)
        slot->fetch = repli_fetch_get(range->repl);
    if (!slot || !slot->fetch) {
        free(slot);
        return base_err_set(&range->result.err, BASE_E_NOMEM, "a read: out of memory");
    }
    slot->range = range;
    slot->after = range->next_after;
    slot->upto = range->cmd->token_upto;
    base_buf_init(&slot->position, BASE_PKEY_LEN_MAX + BASE_CKEY_LEN_MAX);
    while (*tail)
        tail = &(*tail)->next;
    *tail = slot;
    range->count++;
    range->next_after = slot->upto;
    range->cut_all = true;
    return slot_ask(slot); /* a remainder is not cut yet again */
}

/* Handing out. */

static int keep_end(struct repli_range *range, struct base_slice pkey, struct base_slice ckey)
{
    base_buf_reset(&range->end);
    range->end_pkey_len = pkey.len;
    int rc = base_buf_put_slice(&range->end, pkey);
    return rc == BASE_OK ? base_buf_put_slice(&range->end, ckey) : rc;
}

/* A page that ends between subranges names the last partition in it; with none, the least key of
 * the subrange's last token. */
static int keep_end_of(struct repli_range *range, const struct slot *slot,
                       const struct repl_page_end *end)
{
    uint8_t key[10] = {[9] = 0x01};
    if (end->more)
        return keep_end(range, end->pkey, end->ckey);
    if (end->last_pkey.len)
        return keep_end(range, end->last_pkey, (struct base_slice){0});
    if (range->end.len && range->out.len)
        return BASE_OK;
    base_token_put(key, slot->upto);
    return keep_end(range, base_slice(key, sizeof key), (struct base_slice){0});
}

static int take_body(struct repli_range *range, struct repli_fetch *f)
{
    if (range->out.len)
        return base_buf_put(&range->out, f->page.data, f->end.body_len);
    struct base_buf swap = range->out; /* no copy */
    range->out = f->page;
    f->page = swap;
    range->out.len = f->end.body_len;
    return BASE_OK;
}

static int slot_go_on(struct slot *slot, const struct repl_page_end *end)
{
    base_buf_reset(&slot->position);
    slot->pkey_len = end->pkey.len;
    slot->rows_before = end->partition_rows;
    slot->state = SLOT_IDLE;
    int64_t token = base_token_get(end->pkey.data);
    if (token - 1 > slot->after) /* tokens are greater than the least number */
        slot->after = token - 1; /* a split later on leaves the position in the first part */
    int rc = base_buf_put_slice(&slot->position, end->pkey);
    return rc == BASE_OK ? base_buf_put_slice(&slot->position, end->ckey) : rc;
}

/* How many subranges will it take, by those that came? */
static void adapt(struct repli_range *range, const struct slot *slot)
{
    range->subranges_done++;
    range->rows_seen += slot->rows;
    range->bytes_seen += slot->bytes;
    uint64_t left =
        range->rows_wanted > range->result.rows ? range->rows_wanted - range->result.rows : 1;
    double each = (double)range->rows_seen / (double)range->subranges_done,
           need = each > 0 ? (double)left / each : SUBRANGES_MAX;
    range->factor = need >= SUBRANGES_MAX ? SUBRANGES_MAX : need < 1 ? 1 : (unsigned)need + 1;
    if (range->factor > SUBRANGES_MAX)
        range->factor = SUBRANGES_MAX;
}

/* The head's page goes out. */
static void hand_out(struct repli_range *range)
{
    struct slot *slot = range->head;
    struct repli_fetch *f = slot->fetch;
    struct repl_page_end end = f->end;
    int rc = keep_end_of(range, slot, &end);
    bool ended_early = end.more;
    slot->rows += end.rows;
    slot->bytes += end.body_len;
    if (rc == BASE_OK && ended_early)
        rc = slot_go_on(slot, &end);
    if (rc == BASE_OK)
        rc = take_body(range, f);
    if (rc != BASE_OK) {
        base_err_set(&range->result.err, rc, "a read: %s", base_err_words(rc));
        page_end(range, rc, false);
        return;
    }
    range->result.rows += end.rows;
    if (!ended_early) {
        range->head = slot->next;
        range->count--;
        adapt(range, slot);
        slot_free(slot);
    }
    uint64_t now = repli_now(range->repl);
    bool late = now - range->began_ns >= (range->deadline_ns - range->began_ns) / 2;
    bool more = range->head || !range->cut_all;
    if (more && !ended_early && range->result.rows < range->rows_wanted &&
        range->out.len < range->repl->config.page_size_bytes && !late)
        return;
    page_finish(range, more, ended_early ? range->head->rows_before : 0);
}

/* May one more be asked, by the bytes that those at hand have or may bring? */
static bool has_room(const struct repli_range *range)
{
    uint64_t page = range->repl->config.page_size_bytes, each = page, bytes = 0;
    if (range->asked == 0)
        return true;
    if (range->subranges_done)
        each = range->bytes_seen / range->subranges_done + 4096;
    for (const struct slot *slot = range->head; slot; slot = slot->next)
        bytes += slot->state == SLOT_READY   ? slot->fetch->page.len
                 : slot->state == SLOT_ASKED ? each
                                             : 0;
    return bytes + each <= PAGES_MAX * page;
}

/* Ask the queue's first `factor`, and cut more if it is shorter. */
static int ask_more(struct repli_range *range)
{
    unsigned n = 0;
    int rc = BASE_OK;
    for (struct slot *slot = range->head;
         rc == BASE_OK && slot && n < range->factor && range->active; slot = slot->next, n++) {
        if (slot->state == SLOT_IDLE && has_room(range))
            rc = slot_ask(slot);
    }
    while (rc == BASE_OK && range->active && range->count < range->factor && !range->cut_all &&
           has_room(range))
        rc = cut_next(range);
    return rc;
}

static void range_step(struct repli_range *range)
{
    range->again = true;
    if (range->stepping)
        return;
    range->stepping = true;
    while (range->again && range->active) {
        range->again = false;
        while (range->active && range->head && range->head->state == SLOT_READY)
            hand_out(range);
        if (range->again || !range->active)
            continue;
        if (!range->head &&
            range->cut_all) { /* nothing left, or nothing ever: an empty last page */
            struct repl_page_end end = {.rows = range->result.rows};
            int rc = repl_page_put_end(&range->out, &end);
            page_end(range, rc, false);
            continue;
        }
        int rc = ask_more(range);
        if (rc != BASE_OK && range->active)
            page_fail(range, rc);
    }
    range->stepping = false;
    if (range->freed)
        repli_range_free(range);
}

void repli_range_page(struct repli_range *range, uint64_t rows_wanted, uint64_t partition_row_limit,
                      uint64_t deadline_ns)
{
    BASE_ASSERT(!range->active && rows_wanted > 0);
    range->active = true;
    range->rows_wanted = rows_wanted;
    range->partition_row_limit = partition_row_limit;
    range->began_ns = repli_now(range->repl);
    range->deadline_ns = deadline_ns;
    range->result = (struct repli_range_page){0};
    base_buf_reset(&range->out);
    base_buf_reset(&range->end);
    range_step(range);
}
