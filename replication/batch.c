/* The coordinator's part of a logged batch: two living members keep it durably before anything is
 * sent to replicas, and are told when it is done (batchlog.c has the keeper's part, and the
 * argument about crashes).
 *
 * Invariants:
 *  1. A member is asked once. One that certainly does not have the batch is replaced by another;
 *     one that may have it is not, and the batch has a TIMEOUT: nothing was sent to replicas, and
 *     who has it will replay it.
 *  2. `done` is called once, from a later event, if store answered PENDING. */
#include "replication/writes_private.h"

static bool was_tried(const struct repli_batch *batch, struct base_uuid host_id)
{
    for (size_t i = 0; i < batch->tried_count; i++)
        if (base_uuid_equal(batch->tried[i], host_id))
            return true;
    return false;
}

/* How good a keeper: in another rack than ours, and than the others'. Higher is better. */
static unsigned keeper_score(const struct repl *repl, const struct repli_batch *batch,
                             const struct ring_member *m)
{
    unsigned score = base_slice_equal(m->rack, repl->config.rack) ? 0 : 2;
    bool same = false;
    for (size_t i = 0; i < batch->tried_count; i++) {
        int other = ring_member_find(repl->ring, batch->tried[i]);
        same |= other >= 0 && base_slice_equal(repl->ring->members[other].rack, m->rack);
    }
    return score + !same;
}

/* A living member that was not asked yet: of our data centre before others, in other racks before
 * ours, at random among equals; -1: none (Cassandra: ReplicaPlans.filterBatchlogEndpoints). */
static int find_keeper(struct repl *repl, const struct repli_batch *batch)
{
    const struct ring_state *ring = repl->ring;
    unsigned best = 0, equals = 0;
    int found = -1;
    for (size_t i = 0; i < ring->member_count; i++) {
        const struct ring_member *m = &ring->members[i];
        if (m->state != RING_MEMBER_NORMAL || repli_is_self(repl, m->host_id) ||
            was_tried(batch, m->host_id) || !repl_is_alive(repl, m->host_id))
            continue;
        unsigned score =
            1 + keeper_score(repl, batch, m) + (base_slice_equal(m->dc, repl->config.dc) ? 4 : 0);
        if (score < best)
            continue;
        equals = score > best ? 1 : equals + 1;
        best = score;
        if (base_random_u64(repl->ports.random) % equals == 0)
            found = (int)i;
    }
    return found;
}

static bool never_arrived(int rc, bool answered)
{
    if (!answered)
        return rc != BASE_E_TIMEOUT;
    return rc != BASE_E_IO && rc != BASE_E_INTERNAL && rc != BASE_E_TIMEOUT && rc != BASE_E_UNKNOWN;
}

static void keeper_answered(struct repl *repl, struct repli_call *call, int rc,
                            const struct base_message *reply)
{
    struct repli_batch_keeper *keeper = BASE_CONTAINER(call, struct repli_batch_keeper, call);
    repli_batch_keeper_ended(repl, keeper, rc, never_arrived(rc, reply != NULL));
}

/* Ask somebody. False: nobody is left. Ourselves at last, if we store anything. */
static bool keeper_start(struct repl *repl, struct repli_batch_keeper *keeper)
{
    struct repli_batch *batch = keeper->batch;
    uint64_t now = repli_now(repl);
    bool self =
        !repli_is_guest(repl) && repli_self(repl) >= 0 && !was_tried(batch, repl->config.host_id);
    int member = batch->tried_count < REPLI_BATCH_TRIES_MAX - 1 ? find_keeper(repl, batch) : -1;
    if (member < 0 && !self)
        return false;
    keeper->self = member < 0;
    keeper->host_id = keeper->self ? repl->config.host_id : repl->ring->members[member].host_id;
    batch->tried[batch->tried_count++] = keeper->host_id;
    batch->under_way++;
    if (!keeper->self) {
        keeper->call.done = keeper_answered;
        repli_call_start(repl, &keeper->call, repli_member_peer(repl, (size_t)member),
                         REPL_LANE_POINT, REPL_VERB_BATCH, base_buf_view(&batch->body),
                         now < batch->deadline_ns ? batch->deadline_ns - now : 1);
        return true;
    }
    int rc = repli_batchlog_keep(repl, keeper);
    if (rc != BASE_OK)
        repli_batch_keeper_ended(repl, keeper, rc, true);
    return true;
}

static void batch_progress(struct repl *repl, struct repli_batch *batch)
{
    if (batch->starting || batch->under_way > 0)
        return;
    bool kept = false;
    for (size_t i = 0; i < REPLI_BATCH_KEEPERS; i++)
        kept |= batch->keepers[i].kept;
    /* One alone is enough only when there was nobody else to ask, as in Cassandra. */
    batch->rc = batch->unsure       ? BASE_E_TIMEOUT
                : kept              ? BASE_OK
                : batch->overloaded ? BASE_E_OVERLOADED
                                    : BASE_E_UNAVAILABLE;
    if (batch->pending)
        batch->done(repl, batch);
}

void repli_batch_keeper_ended(struct repl *repl, struct repli_batch_keeper *keeper, int rc,
                              bool certainly_not)
{
    struct repli_batch *batch = keeper->batch;
    BASE_ASSERT(batch->under_way > 0);
    batch->under_way--;
    if (rc == BASE_OK) {
        keeper->kept = true;
    } else if (!certainly_not) {
        batch->unsure = true;
    } else {
        batch->overloaded |= rc == BASE_E_OVERLOADED;
        if (keeper_start(repl, keeper))
            return;
    }
    batch_progress(repl, batch);
}

enum repl_answer repli_batch_store(struct repl *repl, struct repli_batch *batch,
                                   struct base_slice mutations, size_t mutation_count,
                                   uint64_t deadline_ns)
{
    base_buf_init(&batch->body, SIZE_MAX);
    repl->ports.random->ops->fill(repl->ports.random, batch->id, REPLI_BATCH_ID_LEN);
    batch->created_us = repl->ports.timestamp(repl->ports.ctx);
    batch->mutation_count = mutation_count;
    batch->deadline_ns = deadline_ns;
    int rc = base_buf_put(&batch->body, batch->id, REPLI_BATCH_ID_LEN);
    if (rc == BASE_OK)
        rc = base_buf_put_le64(&batch->body, (uint64_t)batch->created_us);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&batch->body, mutations);
    if (rc != BASE_OK) {
        batch->rc = rc;
        return REPL_DONE;
    }
    batch->starting = true;
    for (size_t i = 0; i < REPLI_BATCH_KEEPERS; i++) {
        batch->keepers[i].batch = batch;
        (void)keeper_start(repl, &batch->keepers[i]);
    }
    batch->starting = false;
    batch_progress(repl, batch);
    batch->pending = batch->under_way > 0;
    return batch->pending ? REPL_PENDING : REPL_DONE;
}

void repli_batch_forget(struct repl *repl, struct repli_batch *batch)
{
    for (size_t i = 0; i < REPLI_BATCH_KEEPERS; i++) {
        const struct repli_batch_keeper *keeper = &batch->keepers[i];
        int member =
            keeper->kept && !keeper->self ? ring_member_find(repl->ring, keeper->host_id) : -1;
        if (keeper->kept && keeper->self)
            repli_batchlog_done(repl, batch->id);
        else if (member >= 0)
            repli_tell(repl, repli_member_peer(repl, (size_t)member), REPL_LANE_POINT,
                       REPL_VERB_BATCH_DONE, base_slice(batch->id, REPLI_BATCH_ID_LEN));
    }
}

void repli_batch_cancel(struct repl *repl, struct repli_batch *batch)
{
    for (size_t i = 0; i < REPLI_BATCH_KEEPERS; i++)
        repli_call_cancel(repl, &batch->keepers[i].call);
    base_buf_fini(&batch->body);
}
