/* The replica's part of writes: check, apply as one group, answer. WRITE, REPAIR, HINTED;
 * conditions are in conditional.c.
 *
 * Invariants:
 *  1. An inbound request is given back exactly once: by the answer, when its store operation has
 *     ended.
 *  2. Nothing is acknowledged before the store has it as its keyspace's durability says.
 *  3. While a join freezes writes nothing is taken: a probe that found no data stays true.
 *  4. A late message (a hint, a repair) about a table that is gone is done: there is nothing left
 *     to write. */
#include "replication/writes_private.h"

#include <stdlib.h>

#include "base/key.h"

#define FREE_OPS_MAX 256u
#define OP_COST 1536u

struct repli_replica_op {
    struct repl_store_op store_op;
    struct repl *repl;
    struct repl_inbound *in;
    struct base_buf kept; /* the mutations of tables that are still there, when some are not */
    size_t admitted;
    struct repli_replica_op *next;
};

static struct repli_replica_op *op_new(struct repl *repl)
{
    struct repli_writes *part = repl->writes;
    struct repli_replica_op *op = part->free_replica_ops;
    if (op) {
        part->free_replica_ops = op->next;
        part->free_replica_op_count--;
    } else {
        op = malloc(sizeof *op);
        if (!op)
            return NULL;
    }
    memset(&op->store_op, 0, offsetof(struct repl_store_op, err));
    base_err_clear(&op->store_op.err);
    op->store_op.next = NULL;
    base_buf_init(&op->kept, SIZE_MAX);
    op->repl = repl;
    op->next = NULL;
    return op;
}

static void op_free(struct repl *repl, struct repli_replica_op *op)
{
    struct repli_writes *part = repl->writes;
    base_buf_fini(&op->kept);
    if (part->free_replica_op_count < FREE_OPS_MAX) {
        op->next = part->free_replica_ops;
        part->free_replica_ops = op;
        part->free_replica_op_count++;
    } else {
        free(op);
    }
}

void repli_replica_write_close(struct repl *repl)
{
    struct repli_writes *part = repl->writes;
    for (struct repli_replica_op *op; (op = part->free_replica_ops) != NULL;) {
        part->free_replica_ops = op->next;
        free(op);
    }
    part->free_replica_op_count = 0;
}

static void ended(struct repl *repl, struct repli_replica_op *op)
{
    struct repl_inbound *in = op->in;
    int rc = op->store_op.rc;
    bool is_late = in->message.verb != REPL_VERB_WRITE;
    if (rc == BASE_OK ||
        (rc == BASE_E_NOTFOUND && is_late)) /* NOTFOUND: dropped while it was under way */
        repli_reply(repl, in, (struct base_slice){0});
    else
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, op->store_op.err.text);
    repli_leave(repl, op->admitted);
    op_free(repl, op);
}

static void stored(struct repl_store_op *store_op)
{
    struct repli_replica_op *op = BASE_CONTAINER(store_op, struct repli_replica_op, store_op);
    ended(op->repl, op);
}

bool repli_owns(struct repl *repl, const struct base_keyspace *keyspace, int64_t token)
{
    const struct ring_placement *placement = repl_placement(repl, keyspace);
    if (!placement)
        return true; /* out of memory is no reason to call the sender's view old */
    const struct ring_range *range = ring_placement_find(placement, token);
    for (uint16_t i = 0; i < range->write.count; i++)
        if (repli_is_self(repl, placement->state->members[range->write.members[i]].host_id))
            return true;
    return false;
}

struct looked {
    size_t count; /* mutations to apply */
    bool skipped; /* some are not to be applied */
    bool durable;
    int rc;
    const char *text;
};

static bool refuse(struct looked *out, int rc, const char *text)
{
    out->rc = rc;
    out->text = text;
    return false;
}

/* Look at all of it. False: it is to be refused, out says how. */
static bool look(struct repl *repl, const struct repl_inbound *in, struct base_slice body,
                 struct looked *out)
{
    struct base_reader reader = base_reader(body);
    bool older = in->message.epoch < repl_epoch(repl), late = in->message.verb != REPL_VERB_WRITE;
    const struct base_table *table = NULL;
    const struct base_keyspace *keyspace = NULL;
    *out = (struct looked){0};
    if (body.len == 0)
        return refuse(out, BASE_E_CORRUPT, "the message has no mutations");
    while (base_reader_left(&reader) > 0) {
        struct base_mutation m;
        if (!base_mutation_decode(&reader, &m) || !base_mutation_check(&m))
            return refuse(out, BASE_E_CORRUPT, "the message's mutations are damaged");
        if (!table || !base_uuid_equal(table->id, m.table_id)) {
            table = base_schema_table_by_id(repl->schema, m.table_id);
            keyspace = table ? base_schema_keyspace(repl->schema, table->keyspace) : NULL;
        }
        if (!table && !late)
            return refuse(out, BASE_E_NOTFOUND, "the table was dropped");
        if (!table) {
            out->skipped = true;
            continue;
        }
        if (older && !repli_owns(repl, keyspace, base_token_get(m.pkey.data)))
            return refuse(out, BASE_E_STALE, "this node does not hold the partition any more");
        out->durable |= keyspace->durable_writes;
        out->count++;
    }
    return true;
}

static int keep_known(struct repl *repl, struct base_slice body, struct base_buf *out)
{
    struct base_reader reader = base_reader(body);
    int rc = BASE_OK;
    while (rc == BASE_OK && base_reader_left(&reader) > 0) {
        const uint8_t *start = reader.p;
        struct base_mutation m;
        if (!base_mutation_decode(&reader, &m))
            return BASE_E_CORRUPT;
        if (base_schema_table_by_id(repl->schema, m.table_id))
            rc = base_buf_put(out, start, (size_t)(reader.p - start));
    }
    return rc;
}

static void submit(struct repl *repl, struct repl_inbound *in, struct base_slice body,
                   const struct looked *looked)
{
    size_t cost = body.len + OP_COST;
    if (!repli_admit(repl, cost)) {
        repli_reply_failure(repl, in, BASE_E_OVERLOADED, (struct base_slice){0},
                            "too many requests are under way here");
        return;
    }
    struct repli_replica_op *op = op_new(repl);
    int rc = op ? BASE_OK : BASE_E_NOMEM;
    if (rc == BASE_OK && looked->skipped) {
        rc = keep_known(repl, body, &op->kept);
        body = base_buf_view(&op->kept);
    }
    if (rc != BASE_OK) {
        if (op)
            op_free(repl, op);
        repli_leave(repl, cost);
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, base_err_words(rc));
        return;
    }
    op->in = in;
    op->admitted = cost;
    op->store_op.kind = REPL_STORE_WRITE;
    op->store_op.done = stored;
    op->store_op.group = body;
    op->store_op.mutation_count = looked->count;
    op->store_op.durability = looked->durable ? REPL_DURABLE_LOG : REPL_DURABLE_MEMORY;
    op->store_op.timeout_ns = in->deadline_ns - repli_now(repl);
    if (repli_store_submit(repl, &op->store_op) == REPL_DONE)
        ended(repl, op);
}

void repli_replica_write(struct repl *repl, struct repl_inbound *in, struct base_slice body)
{
    struct base_err err;
    struct looked looked;
    int rc = repli_write_refused(repl, false, &err);
    if (rc != BASE_OK)
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, err.text);
    else if (!look(repl, in, body, &looked))
        repli_reply_failure(repl, in, looked.rc, (struct base_slice){0}, looked.text);
    else if (looked.count == 0)
        repli_reply(repl, in, (struct base_slice){0});
    else
        submit(repl, in, body, &looked);
}

void repli_writes_handle(struct repl *repl, struct repl_inbound *in)
{
    if (repli_is_expired(repl, in)) { /* it waited for the epoch too long */
        repl->stats.messages_expired++;
        repli_drop(repl, in);
    } else if (in->message.verb == REPL_VERB_WRITE_IF) {
        repli_conditional_handle(repl, in);
    } else {
        repli_replica_write(repl, in, in->message.body);
    }
}
