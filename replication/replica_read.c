/* The replica's part of a read: a peer's command, or our own coordinator's, to a page or its
 * digest.
 *
 * Relies on the store port: `consume` may run on another thread; it touches the op's own struct
 * only.
 *
 * Invariants:
 *  1. A command is carried out only if our snapshot has its table, as often truncated as the
 *     coordinator's, and says that we are read for all of its tokens.
 *  2. The rest of the position's partition is read first, then the range behind it, into one page.
 *  3. By index: the page has the live rows for which the conditions hold here, and nothing else; so
 *     it depends on what we have, not on what our index has, or on whether we have one.
 *  4. A struct is in the store's hands, or waits to be put, or is in the free list; one whose
 *     answer nobody wants goes to the free list when the store gives it back. */
#include "base/key.h"
#include "replication/reads_private.h"

#define KEEP_BYTES_MAX ((size_t)64 << 10) /* of a buffer in the free list */
#define ADMIT_BYTES ((size_t)16 << 10)
/* rows looked at by index without finding one, before the page ends: other reads wait behind this
 * one */
#define IN_VAIN_MAX 10000

static struct repli_replica_read *take(struct repl *repl)
{
    struct repli_replica_read *r = repl->reads->replica_reads;
    if (r) {
        repl->reads->replica_reads = r->next;
        r->next = NULL;
        return r;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->repl = repl;
    base_arena_init(&r->arena);
    base_buf_init(&r->page, REPLI_FRAME_SIZE_MAX);
    return r;
}

void repli_replica_read_put(struct repl *repl, struct repli_replica_read *r)
{
    if (r->writing)
        repl_page_abandon(&r->writer);
    r->writing = false;
    r->in = NULL;
    r->done = NULL;
    if (r->schema)
        base_schema_release(r->schema);
    r->schema = NULL;
    base_arena_reset(&r->arena);
    base_buf_reset(&r->page);
    if (r->page.cap > KEEP_BYTES_MAX)
        base_buf_fini(&r->page);
    r->next = repl->reads->replica_reads;
    repl->reads->replica_reads = r;
}

void repli_replica_read_forget(struct repli_replica_read *r)
{
    BASE_ASSERT(!r->in && r->done);
    r->done = NULL;
}

void repli_replica_reads_free(struct repl *repl)
{
    while (repl->reads->replica_reads) {
        struct repli_replica_read *r = repl->reads->replica_reads;
        repl->reads->replica_reads = r->next;
        base_arena_fini(&r->arena);
        base_buf_fini(&r->page);
        free(r);
    }
}

/* Is it ours. */

static bool set_has(const struct ring_set *set, int member)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->members[i] == member)
            return true;
    }
    return false;
}

/* Are we read for everything that the command covers? */
static bool is_owner(const struct repl *repl, const struct ring_placement *placement,
                     const struct base_read *cmd)
{
    int self = repli_self(repl);
    if (self < 0)
        return false;
    if (cmd->pkey.len)
        return set_has(&ring_placement_find(placement, base_token_get(cmd->pkey.data))->read, self);
    const struct ring_range *range = ring_placement_find(placement, cmd->token_after + 1),
                            *end = placement->ranges + placement->range_count;
    for (; range < end; range++) {
        if (!set_has(&range->read, self))
            return false;
        if (range->upto >= cmd->token_upto)
            break;
    }
    return true;
}

/* The conditions are judged on the pool: the table must stay. A column that we do not know: one of
 * us is behind. */
static int admit_index(struct repl *repl, struct repli_replica_read *r,
                       const struct base_table *table)
{
    for (size_t i = 0; i < r->request.index_count; i++) {
        int rc = base_filter_check(&r->request.index[i], table, &r->err);
        if (rc != BASE_OK)
            return rc == BASE_E_NOTFOUND ? base_err_wrap(&r->err, BASE_E_STALE, "a read by index")
                                         : rc;
    }
    r->request.cmd.filters = r->request.index;
    r->request.cmd.filter_count = r->request.index_count;
    r->schema = base_schema_acquire(repl->schema);
    return BASE_OK;
}

/* Invariant 1, and what the page needs to know of the table. */
static int admit_command(struct repl *repl, struct repli_replica_read *r)
{
    const struct base_read *cmd = &r->request.cmd;
    const struct base_table *table = base_schema_table_by_id(repl->schema, cmd->table_id);
    if (!table)
        return base_err_set(&r->err, BASE_E_STALE, "there is no such table any more");
    const struct base_keyspace *keyspace = base_schema_keyspace(repl->schema, table->keyspace);
    const struct ring_placement *placement = keyspace ? repl_placement(repl, keyspace) : NULL;
    if (!placement)
        return base_err_set(&r->err, BASE_E_NOMEM, "the placement of keyspace %.*s: out of memory",
                            BASE_SLICE_ARG(table->keyspace));
    if (r->request.truncated_us != table->truncated_us)
        return base_err_set(&r->err, BASE_E_STALE, "table %.*s.%.*s was truncated",
                            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name));
    if (!is_owner(repl, placement, cmd))
        return base_err_set(&r->err, BASE_E_STALE,
                            "this node is not read for that part of table %.*s.%.*s",
                            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name));
    r->gc_before_s = cmd->now_s - table->options.gc_grace_s;
    r->floor_ts = table->truncated_us;
    return r->request.by_index ? admit_index(repl, r, table) : BASE_OK;
}

/* Reading. */

/* The page is full, or at its end; or, by index, so much was looked at in vain that it ends here
 * (`stopped`). */
static int end_page(struct repli_replica_read *r, const struct base_filtered *stopped,
                    struct base_err *err)
{
    struct repl_page_end end = {.more = true};
    if (stopped) {
        end.pkey = base_buf_view(&stopped->pkey);
        end.ckey = base_buf_view(&stopped->ckey);
    }
    r->writing = false;
    int rc = repl_page_finish(&r->writer, stopped ? &end : NULL, err);
    if (rc == BASE_OK && r->request.digest)
        repl_page_digest(base_buf_view(&r->page), r->digest);
    return rc;
}

static bool goes_on(const struct repli_replica_read *r, const struct repl_store_op *op)
{
    return op->cmd == &r->partition && r->has_range && !r->writer.ended;
}

/* By index: the store has left out what it could, and here goes the rest. */
static int consume_by_index(struct repl_store_op *op, struct base_source *source,
                            struct base_err *err)
{
    struct repli_replica_read *r = op->ctx;
    struct base_filtered filtered;
    int rc = base_filtered_init(&filtered, op->cmd,
                                base_schema_table_by_id(r->schema, op->cmd->table_id), source,
                                IN_VAIN_MAX, err);
    if (rc == BASE_OK)
        rc = repl_page_add(&r->writer, &filtered.source, r->request.after_pkey,
                           r->request.rows_before, err);
    bool stopped = filtered.stopped && !r->writer.ended;
    if (rc == BASE_OK && (stopped || !goes_on(r, op)))
        rc = end_page(r, stopped ? &filtered : NULL, err);
    base_filtered_fini(&filtered);
    return rc;
}

/* Runs where it may block. */
static int consume(struct repl_store_op *op, struct base_source *source, struct base_err *err)
{
    struct repli_replica_read *r = op->ctx;
    if (r->request.by_index)
        return consume_by_index(op, source, err);
    int rc = repl_page_add(&r->writer, source, r->request.after_pkey, r->request.rows_before, err);
    return rc != BASE_OK || goes_on(r, op) ? rc : end_page(r, NULL, err);
}

static void store_done(struct repl_store_op *op);

/* What indexes find, instead of a page. As go_on. */
static bool go_on_counting(struct repli_replica_read *r)
{
    size_t count = r->request.index_count;
    if (r->rc != BASE_OK)
        return true;
    if (!r->op.cmd) {
        r->op = (struct repl_store_op){
            .kind = REPL_STORE_COUNT,
            .done = store_done,
            .cmd = &r->request.cmd,
            .counts = r->counts,
            .ctx = r,
        };
        if (repli_store_submit(r->repl, &r->op) == REPL_PENDING)
            return false;
        if ((r->rc = r->op.rc) != BASE_OK) {
            r->err = r->op.err;
            return true;
        }
    }
    for (size_t i = 0; i < count && r->rc == BASE_OK; i++)
        r->rc = base_buf_put_varint(&r->page, r->counts[i]);
    if (r->rc != BASE_OK)
        base_err_set(&r->err, r->rc, "a read: %s", base_err_words(r->rc));
    return true;
}

/* Submit what is next; false: PENDING. True: it is over, rc says how. */
static bool go_on(struct repli_replica_read *r)
{
    if (r->counts)
        return go_on_counting(r);
    for (;;) {
        const struct base_read *last = r->op.cmd;
        if (r->rc != BASE_OK || !r->writing || (last == &r->range) || (last && !r->has_range))
            return true;
        r->op = (struct repl_store_op){
            .kind = REPL_STORE_READ,
            .done = store_done,
            .cmd = !last && r->has_partition ? &r->partition : &r->range,
            .consume = consume,
            .ctx = r,
        };
        if (repli_store_submit(r->repl, &r->op) == REPL_PENDING)
            return false;
        if ((r->rc = r->op.rc) != BASE_OK)
            r->err = r->op.err;
    }
}

static void answer_peer(struct repl *repl, struct repli_replica_read *r)
{
    struct repl_inbound *in = r->in;
    if (repli_is_expired(repl, in)) {
        repl->stats.messages_expired++;
        repli_drop(repl, in);
    } else if (r->rc != BASE_OK) {
        repli_reply_failure(repl, in, r->rc, (struct base_slice){0}, r->err.text);
    } else {
        repli_reply(repl, in,
                    r->request.digest ? base_slice(r->digest, sizeof r->digest)
                                      : base_buf_view(&r->page));
    }
    repli_leave(repl, ADMIT_BYTES);
    repli_replica_read_put(repl, r);
}

static void store_done(struct repl_store_op *op)
{
    struct repli_replica_read *r = op->ctx;
    struct repl *repl = r->repl;
    if ((r->rc = op->rc) != BASE_OK)
        r->err = op->err;
    bool wanted = r->in || r->done;
    if (!wanted) {
        repli_replica_read_put(repl, r);
    } else if (go_on(r)) {
        if (r->in)
            answer_peer(repl, r);
        else
            r->done(repl, r);
    }
}

/* What is to be read, from the body. */
static int begin(struct repl *repl, struct repli_replica_read *r, struct base_slice body)
{
    struct base_slice own;
    base_err_clear(&r->err);
    r->op = (struct repl_store_op){0};
    r->counts = NULL;
    int rc = base_arena_copy(&r->arena, body, &own);
    if (rc == BASE_OK)
        rc = repli_read_decode(own, &r->arena, &r->request, &r->err);
    else
        base_err_set(&r->err, rc, "a read: %s", base_err_words(rc));
    if (rc != BASE_OK || (rc = admit_command(repl, r)) != BASE_OK)
        return rc;
    const struct repli_read_request *request = &r->request;
    if (request->count) {
        r->counts = base_arena_zalloc(&r->arena, request->index_count * sizeof *r->counts);
        return r->counts ? BASE_OK
                         : base_err_set(&r->err, BASE_E_NOMEM, "a read: %s",
                                        base_err_words(BASE_E_NOMEM));
    }
    r->has_partition = false;
    r->has_range = true;
    r->range = request->cmd;
    if (request->after_pkey.len)
        rc = repl_page_continue(&request->cmd, request->after_pkey, request->after_ckey, &r->arena,
                                &r->partition, &r->has_partition, &r->range, &r->has_range);
    if (rc != BASE_OK)
        return base_err_set(&r->err, rc, "a read: %s", base_err_words(rc));
    struct repl_page_limits limits = request->limits;
    if (limits.bytes_max > REPLI_READ_BYTES_MAX)
        limits.bytes_max = REPLI_READ_BYTES_MAX;
    repl_page_begin(&r->writer, request->cmd.reversed, request->cmd.now_s, r->gc_before_s, &limits,
                    &r->page);
    r->writer.floor_ts = r->floor_ts;
    r->writing = true;
    if (r->has_partition || r->has_range)
        return BASE_OK;
    r->writing = false; /* nothing is left: an empty page */
    rc = repl_page_finish(&r->writer, NULL, &r->err);
    if (rc == BASE_OK && request->digest)
        repl_page_digest(base_buf_view(&r->page), r->digest);
    return rc;
}

enum repl_answer repli_replica_read_start(struct repl *repl, struct base_slice body,
                                          void (*done)(struct repl *repl,
                                                       struct repli_replica_read *r),
                                          void *ctx, struct repli_replica_read **out)
{
    struct repli_replica_read *r = *out = take(repl);
    if (!r)
        return REPL_DONE;
    r->done = done;
    r->ctx = ctx;
    r->rc = begin(repl, r, body);
    return go_on(r) ? REPL_DONE : REPL_PENDING;
}

void repli_replica_read_handle(struct repl *repl, struct repl_inbound *in)
{
    static const struct base_slice none;
    if (!repli_admit(repl, ADMIT_BYTES)) {
        repli_reply_failure(repl, in, BASE_E_OVERLOADED, none, "too many requests are under way");
        return;
    }
    struct repli_replica_read *r = take(repl);
    if (!r) {
        repli_leave(repl, ADMIT_BYTES);
        repli_reply_failure(repl, in, BASE_E_NOMEM, none, "a read: out of memory");
        return;
    }
    r->in = in;
    r->rc = begin(repl, r, in->message.body);
    if (go_on(r))
        answer_peer(repl, r);
}
