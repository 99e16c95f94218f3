/* Conditional writes at replication factor 1: the one replica reads, judges and then writes, one
 * after another for each partition.
 *
 * Invariants:
 *  1. Of the conditions of one queue (a partition's hash) one is under way: nothing that came by a
 *     condition comes between its read and its write. (A plain write may: as in Cassandra,
 *     conditions hold against conditions.)
 *  2. The head of a queue is the one under way, and has a store operation pending whenever nobody
 *     is running the queue.
 *  3. A condition is carried out within its deadline or not at all: past it, before its read, it is
 *     dropped.
 *  4. A message that comes twice is answered as the first time: what the mutation itself wrote does
 *     not make the condition false, and one that was told that its condition does not hold is not
 *     carried out later, when it might (the last REFUSED_MAX are known).
 *  5. What the store may still read (the mutation, the command) lives in the condition or in what
 *     it answers. */
#include "replication/writes_private.h"

#include <stdlib.h>

#include "base/checksum.h"
#include "base/key.h"

#define QUEUES 256u
#define CONDITIONS_MAX 4096u /* waiting or under way */
#define OP_COST 2048u
#define REFUSED_MAX 1024u

enum stage { STAGE_WAITING, STAGE_READING, STAGE_WRITING };

struct condition {
    struct repl_store_op store_op;
    struct repl *repl;
    struct condition *next;
    struct queue *queue;
    enum stage stage;
    struct repl_inbound *in; /* who asked: a peer, or … */
    struct client *client;   /* … a client here */
    struct base_slice conditions, mutation;
    uint64_t deadline_ns;
    /* nothing: the mutation is empty, the conditions are all there is */
    bool durable, nothing;
    struct base_schema *schema; /* holds the table */
    struct base_read cmd;
    struct repli_judgement judgement;
    struct base_arena arena; /* cmd's slices */
    size_t admitted;
};
struct queue {
    struct condition *head, **end;
    bool running;
};
/* A client's request, at its coordinator. */
struct client {
    struct repl *repl;
    struct repl_write *write; /* NULL: answered */
    struct client *next, **prev;
    struct repli_call call;
    struct repli_timer timer;
    uint64_t started_ns;
    bool local; /* a condition refers to us */
    size_t admitted;
    size_t conditions_len;
    /* the local condition's conditions and mutation: they may outlive the caller's */
    uint8_t bytes[];
};
struct refused { /* a message whose condition did not hold */
    struct base_uuid sender;
    uint32_t generation;
    uint64_t id;
};
struct repli_conditional {
    struct refused refused[REFUSED_MAX]; /* by id, the latest */
    struct queue queues[QUEUES];
    size_t count;
    struct client *clients;
};

/* How it ended: `current` when the conditions do not hold. */
struct verdict {
    int rc;
    bool applied, maybe_written;
    struct base_slice current, text;
};
static void client_ended(struct repl *repl, struct client *client, const struct verdict *verdict);

/* The replica. */

/* Runs where it may block, on the operation's own memory. */
static int judge(struct repl_store_op *op, struct base_source *source, struct base_err *err)
{
    struct condition *c = BASE_CONTAINER(op, struct condition, store_op);
    return repli_conditional_judge(&c->judgement, source, err);
}

static struct refused *refused_slot(struct repl *repl, const struct base_message *message)
{
    return &repl->writes->conditional
                ->refused[(base_get_le64(message->sender.b) ^ message->id) % REFUSED_MAX];
}

static bool was_refused(struct repl *repl, const struct base_message *message)
{
    const struct refused *r = refused_slot(repl, message);
    return r->id == message->id && r->generation == message->generation &&
           base_uuid_equal(r->sender, message->sender);
}

static void free_condition(struct condition *c)
{
    if (!c)
        return;
    if (c->schema)
        base_schema_release(c->schema);
    base_buf_fini(&c->judgement.current);
    base_arena_fini(&c->judgement.arena);
    base_arena_fini(&c->arena);
    free(c);
}

/* applied u8, and what was found when it is 0 */
static void reply(struct repl *repl, struct condition *c, bool applied)
{
    struct base_buf body;
    base_buf_init(&body, SIZE_MAX / 2);
    int rc = base_buf_put_u8(&body, applied);
    if (rc == BASE_OK && !applied)
        rc = base_buf_put_slice(&body, base_buf_view(&c->judgement.current));
    if (rc == BASE_OK) {
        repli_reply(repl, c->in, base_buf_view(&body));
    } else {
        uint8_t detail = applied;
        repli_reply_failure(repl, c->in, BASE_E_NOMEM, base_slice(&detail, 1), "out of memory");
    }
    base_buf_fini(&body);
}

static void condition_end(struct repl *repl, struct condition *c, int rc, bool applied,
                          bool maybe_written)
{
    const struct verdict verdict = {.rc = rc,
                                    .applied = applied,
                                    .maybe_written = maybe_written,
                                    .current = base_buf_view(&c->judgement.current),
                                    .text = base_slice_str(c->store_op.err.text)};
    BASE_ASSERT(c->queue->head == c);
    c->queue->head = c->next;
    if (!c->next)
        c->queue->end = &c->queue->head;
    repl->writes->conditional->count--;
    if (c->client) {
        client_ended(repl, c->client, &verdict);
    } else if (rc == BASE_OK) {
        if (!applied)
            *refused_slot(repl, &c->in->message) = (struct refused){
                c->in->message.sender, c->in->message.generation, c->in->message.id};
        reply(repl, c, applied);
    } else if (rc == BASE_E_TIMEOUT) {
        repl->stats.messages_expired++;
        repli_drop(repl, c->in);
    } else {
        uint8_t detail = maybe_written;
        repli_reply_failure(repl, c->in, rc, base_slice(&detail, 1), c->store_op.err.text);
    }
    if (c->admitted)
        repli_leave(repl, c->admitted);
    free_condition(c);
}

static void ran(struct repl_store_op *op);

static void prepare(struct condition *c, enum repl_store_kind kind)
{
    memset(&c->store_op, 0, offsetof(struct repl_store_op, err));
    base_err_clear(&c->store_op.err);
    c->store_op.next = NULL;
    c->store_op.kind = kind;
    c->store_op.done = ran;
}

static enum repl_answer submit_read(struct repl *repl, struct condition *c)
{
    prepare(c, REPL_STORE_READ);
    c->stage = STAGE_READING;
    c->cmd.now_s = c->judgement.now_s = repli_now_s(repl);
    c->cmd.epoch = repl_epoch(repl);
    c->store_op.cmd = &c->cmd;
    c->store_op.consume = judge;
    return repli_store_submit(repl, &c->store_op);
}

static enum repl_answer submit_write(struct repl *repl, struct condition *c)
{
    uint64_t now = repli_now(repl);
    prepare(c, REPL_STORE_WRITE);
    c->stage = STAGE_WRITING;
    c->store_op.group = c->mutation;
    c->store_op.mutation_count = 1;
    c->store_op.durability = c->durable ? REPL_DURABLE_LOG : REPL_DURABLE_MEMORY;
    c->store_op.timeout_ns = now < c->deadline_ns ? c->deadline_ns - now : 0;
    return repli_store_submit(repl, &c->store_op);
}

/* One step of a queue's head; its end takes it out of the queue. */
static enum repl_answer step(struct repl *repl, struct condition *c)
{
    int rc = c->store_op.rc;
    switch (c->stage) {
    case STAGE_WAITING:
        if (repli_now(repl) < c->deadline_ns && !(c->in && was_refused(repl, &c->in->message)))
            return submit_read(repl, c);
        condition_end(repl, c, BASE_E_TIMEOUT, false, false);
        return REPL_DONE;
    case STAGE_READING:
        if (rc == BASE_OK && c->nothing) {
            condition_end(repl, c, rc, c->judgement.hold, false);
            return REPL_DONE;
        }
        if (rc == BASE_OK && (c->judgement.hold || c->judgement.ours))
            return submit_write(repl, c);
        condition_end(repl, c, rc, false, false);
        return REPL_DONE;
    case STAGE_WRITING:
        break;
    }
    /* Of the store's failures only these may leave something behind (lsm/lsm.h). */
    condition_end(repl, c, rc, rc == BASE_OK, rc == BASE_E_IO || rc == BASE_E_INTERNAL);
    return REPL_DONE;
}

static void run(struct repl *repl, struct queue *queue)
{
    BASE_ASSERT(!queue->running);
    /* an answer may bring a new condition: it joins the end, and is not run from there */
    queue->running = true;
    while (queue->head && step(repl, queue->head) == REPL_DONE)
        continue;
    queue->running = false;
}

static void ran(struct repl_store_op *op)
{
    struct condition *c = BASE_CONTAINER(op, struct condition, store_op);
    run(c->repl, c->queue);
}

/* The condition's table, partition and rows. False: it cannot be carried out here. */
static bool read_condition(struct repl *repl, struct condition *c, int *rc, struct base_err *err)
{
    struct base_reader reader = base_reader(c->mutation);
    struct base_mutation m;
    if (!base_mutation_decode(&reader, &m) || base_reader_left(&reader) > 0 ||
        !base_mutation_check(&m)) {
        *rc = base_err_set(err, BASE_E_CORRUPT,
                           "the condition's mutation is damaged, or more than one");
        return false;
    }
    const struct base_table *table = base_schema_table_by_id(repl->schema, m.table_id);
    if (!table) {
        *rc = base_err_set(err, BASE_E_NOTFOUND, "the table was dropped");
        return false;
    }
    const struct base_keyspace *keyspace = base_schema_keyspace(repl->schema, table->keyspace);
    if (c->in && c->in->message.epoch < repl_epoch(repl) &&
        !repli_owns(repl, keyspace, base_token_get(m.pkey.data))) {
        *rc = base_err_set(err, BASE_E_STALE, "this node does not hold the partition any more");
        return false;
    }
    *rc = base_conditions_check(c->conditions, table, err);
    c->cmd = BASE_READ_INIT;
    if (*rc == BASE_OK)
        *rc = base_conditions_slices(&c->arena, c->conditions, c->mutation, &c->cmd.slices, err);
    if (*rc != BASE_OK)
        return false;
    c->durable = keyspace->durable_writes;
    c->nothing = base_mutation_is_empty(&m);
    c->schema = base_schema_acquire(repl->schema);
    c->cmd.table_id = m.table_id;
    c->cmd.pkey = m.pkey;
    c->judgement.conditions = c->conditions;
    c->judgement.mutation = c->mutation;
    c->judgement.table = table;
    c->queue = &repl->writes->conditional->queues[base_checksum(m.pkey.data, m.pkey.len) % QUEUES];
    return true;
}

/* Takes `c` over. */
static void enqueue(struct repl *repl, struct condition *c)
{
    struct queue *queue = c->queue;
    bool idle = !queue->head && !queue->running;
    *queue->end = c;
    queue->end = &c->next;
    repl->writes->conditional->count++;
    if (idle)
        run(repl, queue);
}

static struct condition *new_condition(struct repl *repl, struct base_slice conditions,
                                       struct base_slice mutation, uint64_t deadline_ns)
{
    struct condition *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->repl = repl;
    c->conditions = conditions;
    c->mutation = mutation;
    c->deadline_ns = deadline_ns;
    base_arena_init(&c->arena);
    base_arena_init(&c->judgement.arena);
    base_buf_init(&c->judgement.current, SIZE_MAX / 2);
    return c;
}

/* The conditions, as bytes, and the mutation that follows them to the end. */
static struct condition *read_message(struct repl *repl, struct repl_inbound *in, int *rc,
                                      struct base_err *err)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice conditions;
    if (!base_get_bytes(&reader, &conditions)) {
        *rc = base_err_set(err, BASE_E_CORRUPT, "the conditions are cut");
        return NULL;
    }
    struct condition *c = new_condition(
        repl, conditions, base_slice(reader.p, base_reader_left(&reader)), in->deadline_ns);
    if (!c)
        *rc = base_err_set(err, BASE_E_NOMEM, "out of memory");
    return c;
}

void repli_conditional_handle(struct repl *repl, struct repl_inbound *in)
{
    static const uint8_t nothing_written;
    struct base_err err;
    size_t cost = in->message.body.len + OP_COST;
    struct condition *c = NULL;
    bool admitted = false;
    int rc = repli_write_refused(repl, false, &err);
    if (rc == BASE_OK) {
        admitted = repl->writes->conditional->count < CONDITIONS_MAX && repli_admit(repl, cost);
        if (!admitted)
            rc = base_err_set(&err, BASE_E_OVERLOADED, "too many conditions wait here");
    }
    if (rc == BASE_OK)
        c = read_message(repl, in, &rc, &err);
    if (c) {
        c->in = in;
        c->admitted = cost;
        if (read_condition(repl, c, &rc, &err)) {
            enqueue(repl, c);
            return;
        }
    }
    free_condition(c);
    if (admitted)
        repli_leave(repl, cost);
    repli_reply_failure(repl, in, rc, base_slice(&nothing_written, 1), err.text);
}

/* The coordinator. */

static void client_free(struct repl *repl, struct client *client)
{
    BASE_ASSERT(!client->write && !client->local);
    repli_timer_disarm(repl, &client->timer);
    repli_call_cancel(repl, &client->call);
    *client->prev = client->next;
    if (client->next)
        client->next->prev = client->prev;
    repli_leave(repl, client->admitted);
    free(client);
}

static void client_answer(struct repl *repl, struct client *client, int rc)
{
    struct repl_write *write = client->write;
    BASE_ASSERT(write);
    client->write = NULL;
    repli_timer_disarm(repl, &client->timer);
    write->outcome.rc = rc;
    write->outcome.write_type = REPL_WRITE_CAS;
    write->outcome.required = 1;
    write->outcome.received = rc == BASE_OK || rc == BASE_E_CONDITION;
    repl->stats.write_timeouts += rc == BASE_E_TIMEOUT;
    repl->stats.write_failures += rc == BASE_E_UNKNOWN;
    repl->stats.write_unavailables += rc == BASE_E_UNAVAILABLE;
    repl_histogram_add(&repl->stats.conditional_latency,
                       (repli_now(repl) - client->started_ns) / 1000);
    BASE_ASSERT(repl->client_requests > 0);
    repl->client_requests--;
    write->done(write);
}

/* What a failure at the replica means to the client: nothing was written unless it says
 * otherwise. */
static int client_code(int rc, bool maybe_written)
{
    if (maybe_written)
        return BASE_E_UNKNOWN;
    switch (rc) {
    case BASE_E_TIMEOUT:
    case BASE_E_OVERLOADED:
    case BASE_E_UNAVAILABLE:
    case BASE_E_STALE:
    case BASE_E_BUSY:
    case BASE_E_INVALID:
    case BASE_E_NOMEM:
        return rc;
    case BASE_E_NOTFOUND:
        return BASE_E_STALE;
    default:
        return BASE_E_UNKNOWN;
    }
}

static void client_ended(struct repl *repl, struct client *client, const struct verdict *verdict)
{
    client->local = false;
    if (client->write) {
        struct repl_outcome *outcome = &client->write->outcome;
        int rc = verdict->rc;
        int code = rc == BASE_OK ? verdict->applied ? BASE_OK : BASE_E_CONDITION
                                 : client_code(rc, verdict->maybe_written);
        outcome->failures = code == BASE_E_UNKNOWN;
        outcome->failed[0] = (struct repl_failed){.rc = rc};
        outcome->alive = 1;
        outcome->repeat_safe = code == BASE_E_UNKNOWN && !verdict->maybe_written;
        if (code == BASE_E_CONDITION) {
            client->write->current = verdict->current;
            (void)base_err_set(&outcome->err, code,
                               "the condition does not hold; nothing was written");
        } else if (code == BASE_E_TIMEOUT) {
            (void)base_err_set(&outcome->err, code,
                               "conditional write timed out: the replica did not answer in time; "
                               "the row may have been "
                               "written or may still be, and repeating the statement would find "
                               "it: read it to know");
        } else if (code != BASE_OK) {
            (void)base_err_set(
                &outcome->err, code, "conditional write: the replica said: %s%s%.*s; %s",
                base_err_words(rc), verdict->text.len ? ": " : "", BASE_SLICE_ARG(verdict->text),
                verdict->maybe_written ? "the row may have been written: read it to know"
                                       : "nothing was written");
        }
        client_answer(repl, client, code);
    }
    client_free(repl, client);
}

/* A replica's answer. False: damaged. */
static bool read_answer(struct base_slice body, struct verdict *verdict)
{
    if (body.len < 1 || body.data[0] > 1 || (body.data[0] == 1 && body.len > 1))
        return false;
    verdict->applied = body.data[0] != 0;
    verdict->current = base_slice(body.data + 1, body.len - 1);
    return verdict->applied || base_conditions_current_check(verdict->current);
}

static void client_call_done(struct repl *repl, struct repli_call *call, int rc,
                             const struct base_message *answer)
{
    struct client *client = BASE_CONTAINER(call, struct client, call);
    struct verdict verdict = {.rc = rc};
    struct base_slice detail = {0};
    if (answer && rc != BASE_OK) {
        (void)repli_failure_get(answer, &detail, &verdict.text);
        verdict.maybe_written = detail.len != 1 || detail.data[0] != 0;
    } else if (rc == BASE_OK && !read_answer(answer->body, &verdict)) {
        verdict = (struct verdict){.rc = BASE_E_CORRUPT, .maybe_written = true};
    } else if (rc == BASE_E_UNAVAILABLE) {
        verdict.text = BASE_SLICE_LIT("it was not reached");
    }
    client_ended(repl, client, &verdict);
}

static void client_timed_out(struct repl *repl, struct repli_timer *timer)
{
    struct client *client = BASE_CONTAINER(timer, struct client, timer);
    BASE_ASSERT(client->write && client->local);
    (void)base_err_set(&client->write->outcome.err, BASE_E_TIMEOUT,
                       "conditional write timed out; the row may have been written or may "
                       "still be, and repeating the statement would find it: read it to know");
    client->write->outcome.alive = 1;
    /* the condition goes on, and frees us at its end */
    client_answer(repl, client, BASE_E_TIMEOUT);
}

/* The one replica: its index, or -1 with the outcome. */
static int find_replica(struct repl *repl, struct repl_write *write, int *rc)
{
    struct base_reader reader = base_reader(write->mutations);
    struct base_mutation m;
    struct base_err *err = &write->outcome.err;
    struct repli_need need;
    if (write->mutation_count != 1 || !base_mutation_decode(&reader, &m) ||
        base_reader_left(&reader) > 0 || !base_mutation_check(&m)) {
        *rc = base_err_set(err, BASE_E_INVALID, "a condition is about one partition: one mutation");
        return -1;
    }
    const struct base_table *table = base_schema_table_by_id(repl->schema, m.table_id);
    if (!table) {
        *rc = base_err_set(
            err, BASE_E_STALE,
            "the table of this write is not in the schema any more; prepare the statement again");
        return -1;
    }
    const struct ring_placement *placement =
        repl_placement(repl, base_schema_keyspace(repl->schema, table->keyspace));
    if (!placement) {
        *rc = base_err_set(err, BASE_E_NOMEM, "write: out of memory");
        return -1;
    }
    if (placement->rf_total > 1) {
        *rc = base_err_set(err, BASE_E_INVALID,
                           "conditions above replication factor 1 need Paxos for rows, which this "
                           "version does not have: "
                           "keyspace %.*s has %u",
                           BASE_SLICE_ARG(table->keyspace), placement->rf_total);
        return -1;
    }
    *rc = base_conditions_check(write->condition, table, err);
    if (*rc != BASE_OK)
        return -1;
    const struct ring_range *range = ring_placement_find(placement, base_token_get(m.pkey.data));
    /* no hint decides a condition */
    int level = write->consistency == REPL_CL_ANY ? REPL_CL_ONE : write->consistency;
    *rc = repli_need_of(repl, placement, level, true, &need, err);
    if (*rc == BASE_OK)
        *rc = repli_check_alive(repl, &need, placement, range, true, &write->outcome);
    if (*rc == BASE_OK &&
        (range->write.count != 1 ||
         !repl_is_alive(repl, repl->ring->members[range->write.members[0]].host_id))) {
        write->outcome.required = 1;
        *rc = base_err_set(err, BASE_E_UNAVAILABLE,
                           "the partition's only replica is not alive; nothing was written");
    }
    return *rc == BASE_OK ? range->write.members[0] : -1;
}

static struct client *new_client(struct repl *repl, struct repl_write *write)
{
    struct repli_conditional *part = repl->writes->conditional;
    struct client *client = malloc(sizeof *client + write->condition.len + write->mutations.len);
    if (!client)
        return NULL;
    memset(client, 0, sizeof *client);
    client->conditions_len = write->condition.len;
    memcpy(client->bytes, write->condition.data, write->condition.len);
    memcpy(client->bytes + write->condition.len, write->mutations.data, write->mutations.len);
    client->repl = repl;
    client->write = write;
    client->started_ns = repli_now(repl);
    client->timer.fired = client_timed_out;
    client->next = part->clients;
    if (client->next)
        client->next->prev = &client->next;
    client->prev = &part->clients;
    part->clients = client;
    return client;
}

static void start_local(struct repl *repl, struct client *client, uint64_t timeout_ns)
{
    struct base_err err;
    struct verdict verdict = {.rc = BASE_E_NOMEM, .text = BASE_SLICE_LIT("out of memory")};
    struct condition *c = new_condition(
        repl, base_slice(client->bytes, client->conditions_len),
        base_slice(client->bytes + client->conditions_len, client->write->mutations.len),
        repli_now(repl) + timeout_ns);
    client->local = true;
    if (c) {
        c->client = client;
        if (read_condition(repl, c, &verdict.rc, &err)) {
            repli_timer_arm_after(repl, &client->timer, timeout_ns);
            enqueue(repl, c);
            return;
        }
        verdict.text = base_slice_str(err.text);
    }
    free_condition(c);
    client_ended(repl, client, &verdict);
}

/* Conditions, then the mutation. */
static int start_remote(struct repl *repl, struct client *client, int replica, uint64_t timeout_ns)
{
    struct base_buf body;
    base_buf_init(&body, SIZE_MAX / 2);
    int rc = base_buf_put_bytes(&body, client->write->condition);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&body, client->write->mutations);
    if (rc == BASE_OK) {
        client->call.done = client_call_done;
        repli_call_start(repl, &client->call, repli_member_peer(repl, (size_t)replica),
                         REPL_LANE_POINT, REPL_VERB_WRITE_IF, base_buf_view(&body), timeout_ns);
    }
    base_buf_fini(&body);
    return rc;
}

void repli_conditional_start(struct repl *repl, struct repl_write *write)
{
    struct base_err *err = &write->outcome.err;
    size_t cost = write->condition.len + write->mutations.len + OP_COST;
    uint64_t timeout_ns =
        write->timeout_ns ? write->timeout_ns : repl->config.conditional_timeout_ns;
    struct client *client = NULL;
    bool admitted = false;
    int replica = -1, rc = repli_write_refused(repl, true, err);
    write->outcome.write_type = REPL_WRITE_CAS;
    if (rc == BASE_OK)
        replica = find_replica(repl, write, &rc);
    if (rc == BASE_OK) {
        admitted = repl->writes->conditional->count < CONDITIONS_MAX && repli_admit(repl, cost);
        if (!admitted)
            rc = base_err_set(err, BASE_E_OVERLOADED,
                              "write: too many requests are under way here; nothing was written: "
                              "repeat it later");
    }
    if (rc == BASE_OK) {
        client = new_client(repl, write);
        rc = client ? BASE_OK : BASE_E_NOMEM;
    }
    if (rc != BASE_OK) {
        if (admitted)
            repli_leave(repl, cost);
        repli_write_refuse(repl, write, rc);
        return;
    }
    client->admitted = cost;
    repl->client_requests++;
    repl->stats.conditional_writes++;
    if (repli_is_self(repl, repl->ring->members[replica].host_id)) {
        start_local(repl, client, timeout_ns);
    } else if (start_remote(repl, client, replica, timeout_ns) != BASE_OK) {
        const struct verdict verdict = {.rc = BASE_E_NOMEM,
                                        .text = BASE_SLICE_LIT("out of memory")};
        client_ended(repl, client, &verdict);
    }
}

/* The part. */

int repli_conditional_open(struct repli_conditional **out)
{
    *out = calloc(1, sizeof **out);
    for (size_t i = 0; *out && i < QUEUES; i++)
        (*out)->queues[i].end = &(*out)->queues[i].head;
    return *out ? BASE_OK : BASE_E_NOMEM;
}

/* No store operation is pending, so no queue has a head. */
void repli_conditional_close(struct repl *repl, struct repli_conditional *part)
{
    if (!part)
        return;
    BASE_ASSERT(part->count == 0);
    while (part->clients) {
        struct client *client = part->clients;
        if (client->write) {
            (void)base_err_set(
                &client->write->outcome.err, BASE_E_CLOSED,
                "conditional write: this node closes; the row may have been written");
            client_answer(repl, client, BASE_E_CLOSED);
        }
        client_free(repl, client);
    }
    free(part);
}
