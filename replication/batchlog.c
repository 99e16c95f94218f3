/* The batchlog: several partitions that become visible all or none, although their coordinator may
 * die (DESIGN.md §7). The coordinator's part is in batch.c; here is the keeper's.
 *
 * Coordinator: the batch goes to two other living members, its keepers, durably (BATCH); then its
 * mutations to their replicas; when every replica has acknowledged or has a hint, the keepers are
 * told to forget it (BATCH_DONE). A keeper that still has it after twice the write timeout replays
 * it: writes it as a coordinator does, and forgets it when all is settled.
 *
 * A kept batch is a row of repl_batches_table_id: the partition is its id, the clustering key
 * empty, its one cell creation time, count and mutations. The keeper has all ids in memory (filled
 * by one scan at start), so that nothing is ever searched for.
 *
 * Invariants, with what a crash at each place does:
 *  1. Nothing is sent to a replica before all keepers have the batch. Coordinator dies before: some
 *     keeper may have it: it is replayed, or nobody has it: it never was. Both are all or nothing.
 *  2. A keeper forgets only by BATCH_DONE or after a replay that was settled. Coordinator dies
 *     after the first replica has it: replayed. Keeper dies: the row is in its commit log, its scan
 *     at start finds it.
 *  3. What is replayed twice, or after it was written, changes nothing: the mutations carry their
 *     timestamps.
 *  4. A batch older than its tables' gc_grace, of dropped tables, or from before a truncation is
 *     not replayed there (repli_may_write_late). */
#include <stdlib.h>

#include "base/checksum.h"
#include "base/key.h"
#include "replication/writes_private.h"

#define BUCKETS 1024u
#define KEPT_MAX 65536u /* batches kept here; more are refused */
#define REPLAYS_MAX 4u  /* at the same time */
#define SCAN_AGAIN_NS (UINT64_C(5) * 1000000000u)
#define ID_LEN REPLI_BATCH_ID_LEN
#define PKEY_MAX (8 + 2 * ID_LEN + 2)
#define OP_COST 512u

/* One that is kept here: in the store, or on its way into it. */
struct kept {
    struct kept *next;                /* of the bucket */
    struct kept *later, **later_prev; /* by when it may be replayed; NULL: not in the list */
    uint8_t id[ID_LEN];
    uint64_t due_ns;
    bool stored; /* the row is there */
    bool done;   /* BATCH_DONE has come: to be deleted */
    bool busy;   /* a store operation or a replay is under way */
};
struct repli_batchlog {
    struct kept *buckets[BUCKETS];
    struct kept *first, **last; /* ascending by due_ns */
    size_t count;
    unsigned replays;
    bool scanned;
    struct repli_timer timer, scan_timer;
};

static void arm(struct repl *repl);

/* What is kept. */

static struct kept **find(struct repli_batchlog *part, const uint8_t id[ID_LEN])
{
    struct kept **at = &part->buckets[base_get_le64(id) % BUCKETS];
    while (*at && memcmp((*at)->id, id, ID_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static void list_remove(struct repli_batchlog *part, struct kept *kept)
{
    if (!kept->later_prev)
        return;
    *kept->later_prev = kept->later;
    if (kept->later)
        kept->later->later_prev = kept->later_prev;
    else
        part->last = kept->later_prev;
    kept->later = NULL;
    kept->later_prev = NULL;
}

static void list_append(struct repl *repl, struct kept *kept, uint64_t after_ns)
{
    struct repli_batchlog *part = repl->batchlog;
    list_remove(part, kept);
    kept->due_ns = repli_now(repl) + after_ns;
    kept->later = NULL;
    kept->later_prev = part->last;
    *part->last = kept;
    part->last = &kept->later;
    arm(repl);
}

static struct kept *kept_new(struct repl *repl, const uint8_t id[ID_LEN])
{
    struct repli_batchlog *part = repl->batchlog;
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    memcpy(kept->id, id, ID_LEN);
    struct kept **at = find(part, id);
    BASE_ASSERT(!*at);
    *at = kept;
    part->count++;
    return kept;
}

static void kept_free(struct repl *repl, struct kept *kept)
{
    struct repli_batchlog *part = repl->batchlog;
    struct kept **at = find(part, kept->id);
    BASE_ASSERT(*at == kept && part->count > 0);
    *at = kept->next;
    list_remove(part, kept);
    part->count--;
    free(kept);
}

static uint64_t replay_after(const struct repl *repl)
{
    return 2 * repl->config.write_timeout_ns;
}

/* Store operations: keep a row, take it away, read it. */

static const uint8_t the_row[1] = {BASE_KEY_AT};

struct row_op {
    struct repl_store_op store_op;
    struct repl *repl;
    uint8_t id[ID_LEN];
    uint8_t pkey[PKEY_MAX];
    size_t pkey_len;
    struct base_buf buf; /* the mutation; or the value read */
    struct base_read cmd;
    struct base_range range;
    struct kept *kept;
    /* keeping: who asked */
    struct repl_inbound *in;
    size_t admitted;
    struct repli_batch_keeper *keeper; /* or our own batch */
    /* replay */
    struct repl_write write;
    struct base_buf mutations;
};

static struct row_op *row_op_new(struct repl *repl, const uint8_t id[ID_LEN])
{
    struct row_op *op = calloc(1, sizeof *op);
    struct base_buf pkey;
    if (!op)
        return NULL;
    base_buf_init(&pkey, PKEY_MAX);
    base_buf_init(&op->buf, SIZE_MAX);
    base_buf_init(&op->mutations, SIZE_MAX);
    op->repl = repl;
    memcpy(op->id, id, ID_LEN);
    if (base_pkey_put(base_slice(id, ID_LEN), &pkey) != BASE_OK) {
        base_buf_fini(&pkey);
        free(op);
        return NULL;
    }
    memcpy(op->pkey, pkey.data, pkey.len);
    op->pkey_len = pkey.len;
    base_buf_fini(&pkey);
    return op;
}

static void row_op_free(struct row_op *op)
{
    base_buf_fini(&op->buf);
    base_buf_fini(&op->mutations);
    free(op);
}

static void row_op_write(struct repl *repl, struct row_op *op,
                         void (*done)(struct repl_store_op *op))
{
    memset(&op->store_op, 0, sizeof op->store_op);
    op->store_op.kind = REPL_STORE_WRITE;
    op->store_op.done = done;
    op->store_op.group = base_buf_view(&op->buf);
    op->store_op.mutation_count = 1;
    op->store_op.durability = REPL_DURABLE_LOG;
    op->store_op.timeout_ns = repl->config.write_timeout_ns;
}

/* Forgetting. */

static void forgotten(struct repl *repl, struct row_op *op)
{
    if (op->store_op.rc == BASE_OK) {
        kept_free(repl, op->kept);
    } else { /* the row is still there: later, by a replay */
        op->kept->busy = false;
        list_append(repl, op->kept, replay_after(repl));
    }
    row_op_free(op);
}

static void forget_done(struct repl_store_op *store_op)
{
    struct row_op *op = BASE_CONTAINER(store_op, struct row_op, store_op);
    forgotten(op->repl, op);
}

static void forget(struct repl *repl, struct kept *kept)
{
    struct row_op *op = row_op_new(repl, kept->id);
    BASE_ASSERT(!kept->busy && kept->stored);
    list_remove(repl->batchlog, kept);
    struct base_deletion deletion = {repl->ports.timestamp(repl->ports.ctx), repli_now_s(repl)};
    int rc =
        op ? base_mutation_put(&op->buf, repl_batches_table_id, base_slice(op->pkey, op->pkey_len),
                               deletion, (struct base_slice){0}, NULL, 0, NULL, 0)
           : BASE_E_NOMEM;
    if (rc != BASE_OK) {
        if (op)
            row_op_free(op);
        list_append(repl, kept, replay_after(repl));
        return;
    }
    kept->busy = true;
    op->kept = kept;
    row_op_write(repl, op, forget_done);
    if (repli_store_submit(repl, &op->store_op) == REPL_DONE)
        forgotten(repl, op);
}

/* Keeping. */

static void keep_ended(struct repl *repl, struct row_op *op)
{
    struct kept *kept = op->kept;
    int rc = op->store_op.rc;
    bool maybe = rc == BASE_E_IO || rc == BASE_E_INTERNAL;
    kept->busy = false;
    if (rc == BASE_OK || maybe) {
        kept->stored = true;
        if (kept->done)
            forget(repl, kept);
        else
            list_append(repl, kept, replay_after(repl));
    } else {
        kept_free(repl, kept);
    }
    if (op->in && rc == BASE_OK)
        repli_reply(repl, op->in, (struct base_slice){0});
    else if (op->in)
        repli_reply_failure(repl, op->in, rc, (struct base_slice){0}, op->store_op.err.text);
    if (op->admitted)
        repli_leave(repl, op->admitted);
    if (op->keeper)
        repli_batch_keeper_ended(repl, op->keeper, rc, !maybe);
    row_op_free(op);
}

static void keep_done(struct repl_store_op *store_op)
{
    struct row_op *op = BASE_CONTAINER(store_op, struct row_op, store_op);
    keep_ended(op->repl, op);
}
/* Start keeping; `op` has who asked. Takes it over; not on failure, which is one of nothing
 * kept. */
static int keep(struct repl *repl, struct row_op *op, int64_t created_us, size_t mutation_count,
                struct base_slice mutations)
{
    struct base_buf value;
    base_buf_init(&value, SIZE_MAX);
    int rc = repl->batchlog->count < KEPT_MAX ? BASE_OK : BASE_E_OVERLOADED;
    if (rc == BASE_OK)
        rc = repli_late_value_put(&value, created_us, mutation_count, mutations);
    if (rc == BASE_OK) /* our own time: a deletion that we make later is later */
        rc = repli_internal_row_put(&op->buf, repl_batches_table_id,
                                    base_slice(op->pkey, op->pkey_len), base_slice(the_row, 1),
                                    repl->ports.timestamp(repl->ports.ctx), 0,
                                    base_buf_view(&value));
    base_buf_fini(&value);
    if (rc == BASE_OK) {
        op->kept = kept_new(repl, op->id);
        rc = op->kept ? BASE_OK : BASE_E_NOMEM;
    }
    if (rc != BASE_OK)
        return rc;
    op->kept->busy = true;
    row_op_write(repl, op, keep_done);
    if (repli_store_submit(repl, &op->store_op) == REPL_DONE)
        keep_ended(repl, op);
    return BASE_OK;
}

static void handle_batch(struct repl *repl, struct repl_inbound *in, struct base_reader *reader,
                         const uint8_t id[ID_LEN])
{
    uint64_t created;
    size_t count, cost = in->message.body.len + OP_COST;
    bool head = base_get_u64le(reader, &created);
    struct base_slice mutations = {reader->p, base_reader_left(reader)};
    struct row_op *op = NULL;
    bool admitted = false;
    const char *text = "the batch is damaged";
    int rc = head && repli_mutations_check(mutations, &count) ? BASE_OK : BASE_E_CORRUPT;
    if (rc == BASE_OK) {
        admitted = repli_admit(repl, cost);
        rc = admitted ? BASE_OK : BASE_E_OVERLOADED;
        text = "too many requests are under way here";
    }
    if (rc == BASE_OK) {
        op = row_op_new(repl, id);
        rc = op ? BASE_OK : BASE_E_NOMEM;
        text = "out of memory";
    }
    if (rc == BASE_OK) {
        op->in = in;
        op->admitted = cost;
        rc = keep(repl, op, (int64_t)created, count, mutations);
        text = "the batch cannot be kept";
    }
    if (rc == BASE_OK)
        return;
    if (op)
        row_op_free(op);
    if (admitted)
        repli_leave(repl, cost);
    repli_reply_failure(repl, in, rc, (struct base_slice){0}, text);
}

static void batch_is_done(struct repl *repl, struct kept *kept)
{
    kept->done = true;
    if (!kept->busy)
        forget(repl, kept);
}

void repli_batchlog_handle(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice id;
    struct base_err err;
    struct kept *kept = NULL;
    bool sound = base_get_raw(&reader, ID_LEN, &id);
    if (sound)
        kept = *find(repl->batchlog, id.data);
    if (in->message.verb == REPL_VERB_BATCH_DONE) {
        if (kept && base_reader_left(&reader) == 0)
            batch_is_done(repl, kept);
        repli_drop(repl, in);
        return;
    }
    int rc = repli_write_refused(repl, false, &err);
    if (rc != BASE_OK)
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, err.text);
    else if (!sound)
        repli_reply_failure(repl, in, BASE_E_CORRUPT, (struct base_slice){0},
                            "the message is too short");
    else if (kept && kept->stored) /* it came twice */
        repli_reply(repl, in, (struct base_slice){0});
    else if (kept)
        repli_drop(repl, in);
    else
        handle_batch(repl, in, &reader, id.data);
}

void repli_batchlog_done(struct repl *repl, const uint8_t id[ID_LEN])
{
    struct kept *kept = *find(repl->batchlog, id);
    if (kept)
        batch_is_done(repl, kept);
}

int repli_batchlog_keep(struct repl *repl, struct repli_batch_keeper *keeper)
{
    struct repli_batch *batch = keeper->batch;
    struct row_op *op = row_op_new(repl, batch->id);
    size_t head = ID_LEN + 8;
    if (!op)
        return BASE_E_NOMEM;
    op->keeper = keeper;
    int rc = keep(repl, op, batch->created_us, batch->mutation_count,
                  base_slice(batch->body.data + head, batch->body.len - head));
    if (rc != BASE_OK)
        row_op_free(op);
    return rc;
}

/* Replay. */

/* Runs where it may block, on the operation's own memory. */
static int read_row(struct repl_store_op *store_op, struct base_source *source,
                    struct base_err *err)
{
    struct row_op *op = BASE_CONTAINER(store_op, struct row_op, store_op);
    struct base_partition partition;
    int rc = source->ops->partition(source, &partition, err);
    while (rc == BASE_OK && partition.pkey.len > 0) {
        struct base_item item;
        struct base_slice value;
        rc = source->ops->next(source, &item, err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            break;
        if (item.kind == BASE_ITEM_ROW && op->buf.len == 0 &&
            repli_internal_row_get(item.row, op->cmd.now_s, &value))
            rc = base_buf_put_slice(&op->buf, value);
    }
    return rc;
}

static void replay_ended(struct repl *repl, struct row_op *op, bool settled)
{
    struct repli_batchlog *part = repl->batchlog;
    struct kept *kept = op->kept;
    BASE_ASSERT(part->replays > 0 && kept->busy);
    part->replays--;
    kept->busy = false;
    row_op_free(op);
    if (settled || kept->done)
        forget(repl, kept);
    else
        list_append(repl, kept, replay_after(repl));
    arm(repl);
}

static void replay_written(struct repl_write *write)
{
    struct row_op *op = BASE_CONTAINER(write, struct row_op, write);
    struct repl *repl = op->repl;
    if (repl->closing) {
        repl->batchlog->replays--;
        op->kept->busy = false;
        row_op_free(op);
        return;
    }
    repl->stats.batches_replayed += write->outcome.rc == BASE_OK;
    replay_ended(repl, op, write->outcome.rc == BASE_OK);
}

/* What may still be written. */
static int filter(struct repl *repl, struct row_op *op, size_t *count)
{
    int64_t created_us, now_s = repli_now_s(repl);
    size_t n;
    struct base_slice mutations;
    *count = 0;
    if (!repli_late_value_get(base_buf_view(&op->buf), &created_us, &n, &mutations)) {
        base_logf(repl->ports.log, BASE_LOG_ERROR, "batchlog: a damaged batch is given up");
        return BASE_OK;
    }
    struct base_reader in = base_reader(mutations);
    int rc = BASE_OK;
    for (size_t i = 0; i < n && rc == BASE_OK; i++) {
        const uint8_t *start = in.p;
        struct base_mutation m;
        if (!base_mutation_decode(&in, &m))
            break;
        if (!repli_may_write_late(repl, &m, created_us, now_s))
            continue;
        rc = base_buf_put(&op->mutations, start, (size_t)(in.p - start));
        ++*count;
    }
    return rc;
}

static void row_was_read(struct repl *repl, struct row_op *op)
{
    size_t count = 0;
    int rc = op->store_op.rc;
    if (rc != BASE_OK)
        base_logf(repl->ports.log, BASE_LOG_WARN, "batchlog: a batch cannot be read: %s",
                  op->store_op.err.text);
    else if (op->buf.len > 0)
        rc = filter(repl, op, &count);
    if (rc != BASE_OK || count == 0 || op->kept->done) {
        replay_ended(repl, op, rc == BASE_OK);
        return;
    }
    op->write.mutations = base_buf_view(&op->mutations);
    op->write.mutation_count = count;
    op->write.consistency = REPL_CL_ONE;
    op->write.done = replay_written;
    repli_write_settle(repl, &op->write);
}

static void read_done(struct repl_store_op *store_op)
{
    struct row_op *op = BASE_CONTAINER(store_op, struct row_op, store_op);
    row_was_read(op->repl, op);
}

static void replay(struct repl *repl, struct kept *kept)
{
    struct row_op *op = row_op_new(repl, kept->id);
    struct base_err err;
    if (!op || repli_write_refused(repl, false, &err) != BASE_OK) {
        if (op)
            row_op_free(op);
        list_append(repl, kept, replay_after(repl));
        return;
    }
    list_remove(repl->batchlog, kept);
    repl->batchlog->replays++;
    kept->busy = true;
    op->kept = kept;
    op->range = (struct base_range){{the_row, 1}, {the_row, 1}};
    op->cmd = BASE_READ_INIT;
    op->cmd.table_id = repl_batches_table_id;
    op->cmd.epoch = repl_epoch(repl);
    op->cmd.now_s = repli_now_s(repl);
    op->cmd.pkey = base_slice(op->pkey, op->pkey_len);
    op->cmd.slices = (struct base_slices){&op->range, 1};
    op->store_op.kind = REPL_STORE_READ;
    op->store_op.cmd = &op->cmd;
    op->store_op.consume = read_row;
    op->store_op.done = read_done;
    if (repli_store_submit(repl, &op->store_op) == REPL_DONE)
        row_was_read(repl, op);
}

static void arm(struct repl *repl)
{
    struct repli_batchlog *part = repl->batchlog;
    if (part->first && part->replays < REPLAYS_MAX && !repl->closing)
        repli_timer_arm(repl, &part->timer, part->first->due_ns);
}

/* One a tick: a chain of ports that answer DONE must not become a recursion. */
static void replay_due(struct repl *repl, struct repli_timer *timer)
{
    struct repli_batchlog *part = repl->batchlog;
    (void)timer;
    if (part->first && part->first->due_ns <= repli_now(repl) && part->replays < REPLAYS_MAX)
        replay(repl, part->first);
    arm(repl);
}

/* The scan at start. */

struct scan_op {
    struct repl_store_op store_op;
    struct repl *repl;
    struct base_read cmd;
    struct base_buf ids;
};

/* Runs where it may block, on the operation's own memory. */
static int collect_ids(struct repl_store_op *store_op, struct base_source *source,
                       struct base_err *err)
{
    struct scan_op *scan = BASE_CONTAINER(store_op, struct scan_op, store_op);
    struct base_buf id;
    int rc = BASE_OK;
    base_buf_init(&id, 256);
    while (rc == BASE_OK) {
        struct base_partition partition;
        struct base_item item;
        struct base_slice value;
        rc = source->ops->partition(source, &partition, err);
        if (rc != BASE_OK || partition.pkey.len == 0)
            break;
        rc = source->ops->next(source, &item, err);
        base_buf_reset(&id);
        if (rc == BASE_OK && item.kind == BASE_ITEM_ROW &&
            repli_internal_row_get(item.row, scan->cmd.now_s, &value) &&
            base_pkey_decode(partition.pkey, &id, NULL) == BASE_OK && id.len == ID_LEN)
            rc = base_buf_put(&scan->ids, id.data, ID_LEN);
    }
    base_buf_fini(&id);
    return rc;
}

static void scanned(struct repl *repl, struct scan_op *scan)
{
    struct repli_batchlog *part = repl->batchlog;
    int rc = scan->store_op.rc;
    for (size_t at = 0; rc == BASE_OK && at < scan->ids.len; at += ID_LEN) {
        if (*find(part, scan->ids.data + at)) /* came while we were reading */
            continue;
        struct kept *kept = kept_new(repl, scan->ids.data + at);
        if (kept) {
            kept->stored = true;
            list_append(repl, kept, replay_after(repl));
        } else {
            rc = BASE_E_NOMEM;
        }
    }
    part->scanned = rc == BASE_OK;
    if (rc != BASE_OK && !repl->closing) {
        base_logf(repl->ports.log, BASE_LOG_WARN, "batchlog: cannot be read: %s",
                  rc == BASE_E_NOMEM ? "out of memory" : scan->store_op.err.text);
        repli_timer_arm_after(repl, &part->scan_timer, SCAN_AGAIN_NS);
    }
    base_buf_fini(&scan->ids);
    free(scan);
}

static void scan_done(struct repl_store_op *store_op)
{
    struct scan_op *scan = BASE_CONTAINER(store_op, struct scan_op, store_op);
    scanned(scan->repl, scan);
}

static void scan(struct repl *repl, struct repli_timer *timer)
{
    struct scan_op *op = calloc(1, sizeof *op);
    if (!op) {
        repli_timer_arm_after(repl, timer, SCAN_AGAIN_NS);
        return;
    }
    op->repl = repl;
    base_buf_init(&op->ids, SIZE_MAX);
    op->cmd = BASE_READ_INIT;
    op->cmd.table_id = repl_batches_table_id;
    op->cmd.slices = base_slices_all;
    op->cmd.epoch = repl_epoch(repl);
    op->cmd.now_s = repli_now_s(repl);
    op->store_op.kind = REPL_STORE_READ;
    op->store_op.cmd = &op->cmd;
    op->store_op.consume = collect_ids;
    op->store_op.done = scan_done;
    if (repli_store_submit(repl, &op->store_op) == REPL_DONE)
        scanned(repl, op);
}

/* The part. */

int repli_batchlog_open(struct repl *repl, struct base_err *err)
{
    repl->batchlog = calloc(1, sizeof *repl->batchlog);
    if (!repl->batchlog)
        return base_err_set(err, BASE_E_NOMEM, "cluster: batchlog: out of memory");
    repl->batchlog->last = &repl->batchlog->first;
    repl->batchlog->timer.fired = replay_due;
    repl->batchlog->scan_timer.fired = scan;
    return BASE_OK;
}

void repli_batchlog_start(struct repl *repl)
{
    scan(repl, &repl->batchlog->scan_timer);
}

/* No store operation is pending, and replays' writes have ended with writes.c: nothing is busy. */
void repli_batchlog_close(struct repl *repl)
{
    struct repli_batchlog *part = repl->batchlog;
    if (!part)
        return;
    repli_timer_disarm(repl, &part->timer);
    repli_timer_disarm(repl, &part->scan_timer);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct kept *kept = part->buckets[i], *next; kept; kept = next) {
            next = kept->next;
            BASE_ASSERT(!kept->busy);
            free(kept);
        }
    }
    free(part);
    repl->batchlog = NULL;
}

bool repli_batchlog_any(const struct repl *repl)
{
    return !repli_is_guest(repl) && (!repl->batchlog->scanned || repl->batchlog->count > 0);
}
