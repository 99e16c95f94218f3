/* Transactions: writes gather, encoded and in order, in one buffer; COMMIT is one group to the
 * store.
 *
 * Reads inside see them through an overlay, a memtable of the transaction's own, made when
 * something is first read and caught up to the buffer's end before each read: a bulk load that
 * never reads pays nothing.
 *
 * Invariants:
 *  1. A savepoint is a place in the buffer (and in the overlay, once that got there). Rolling back
 *     cuts both; it cannot fail.
 *  2. overlay_upto <= buf.len, and stands on a mutation's boundary.
 *  3. marks ascend by level and by len.
 *  4. A failed apply leaves everything as it was: COMMIT can be tried again. */
#include "node/node_private.h"

#define UNLOGGED_CHUNK (1u << 20) /* unlogged: sent on when this much has gathered */
#define WAIT_SLICE_NS 50000000u   /* back-pressure: how often an interrupt is looked for */

/* To the store. */

/* One group; waits under back-pressure in slices, so that an interrupt ends it and DROP TABLE gets
 * its turn. */
static int send_local(struct node_session *session, struct base_slice group, size_t count,
                      bool durable, struct base_err *err)
{
    struct node *node = session->node;
    uint64_t left = node->settings.write_request_timeout_ns;
    enum lsm_durability durability = durable ? LSM_DURABLE_LOG : LSM_DURABLE_MEMORY;
    for (;;) {
        uint64_t slice = left < WAIT_SLICE_NS ? left : WAIT_SLICE_NS;
        nodei_enter(session);
        int rc = lsm_write(node->store, group, count, durability, slice, err);
        nodei_leave(session);
        if (BASE_LIKELY(rc == BASE_OK))
            return BASE_OK;
        left -= slice;
        if (rc != BASE_E_OVERLOADED || left == 0)
            return rc;
        if (nodei_interrupted(session))
            return base_err_set(err, BASE_E_INTERRUPTED,
                                "interrupted while waiting for memory; nothing was written");
    }
}

/* What is to be written, and how. */
struct group {
    struct base_slice mutations;
    size_t count;
    int consistency;
    bool durable, logged;
};

static int send(struct node_session *session, const struct group *group, struct base_err *err)
{
    if (!session->node->cluster)
        return send_local(session, group->mutations, group->count, group->durable, err);
    const struct nodei_cluster_write write = {
        .mutations = group->mutations,
        .mutation_count = group->count,
        .consistency = group->consistency,
        .logged = group->logged && group->count > 1,
    };
    return nodei_cluster_write(session, &write, err);
}

/* Of the levels of a transaction's writes the most demanding one counts. */
static int more_demanding(int a, int b)
{
    static const uint8_t rank[] = {
        [NODE_CL_ANY] = 0,    [NODE_CL_LOCAL_ONE] = 1,    [NODE_CL_ONE] = 2,
        [NODE_CL_TWO] = 3,    [NODE_CL_THREE] = 4,        [NODE_CL_LOCAL_QUORUM] = 5,
        [NODE_CL_QUORUM] = 6, [NODE_CL_EACH_QUORUM] = 7,  [NODE_CL_ALL] = 8,
        [NODE_CL_SERIAL] = 9, [NODE_CL_LOCAL_SERIAL] = 9,
    };
    return rank[a] >= rank[b] ? a : b;
}

/* The buffer. */

static void drop_overlay(struct nodei_txn *txn)
{
    if (txn->overlay)
        lsm_overlay_release(txn->overlay);
    txn->overlay = NULL;
    txn->overlay_upto = 0;
}

/* Empty the buffer; savepoints stay, at its start. */
static void empty(struct nodei_txn *txn)
{
    drop_overlay(txn);
    txn->count = 0;
    txn->durable = false;
    txn->consistency = NODE_CL_ANY;
    if (txn->buf.cap > NODEI_KEEP_BYTES)
        base_buf_fini(&txn->buf);
    base_buf_reset(&txn->buf);
    for (size_t i = 0; i < txn->mark_count; i++)
        txn->marks[i] = (struct nodei_mark){.level = txn->marks[i].level};
}

static int apply(struct node_session *session, struct base_err *err)
{
    struct nodei_txn *txn = &session->txn;
    if (txn->count == 0)
        return BASE_OK;
    const struct group group = {base_buf_view(&txn->buf), txn->count, txn->consistency,
                                txn->durable, !session->unlogged};
    int rc = send(session, &group, err);
    if (rc == BASE_OK)
        empty(txn);
    return rc;
}

static int too_large(struct node_session *session, struct base_err *err)
{
    return base_err_set(err, BASE_E_LIMIT,
                        "the transaction is larger than transaction_size_max (%llu KiB): commit "
                        "more often, or SELECT "
                        "ringlet_batch('unlogged'), which streams writes without atomicity",
                        (unsigned long long)(session->node->settings.transaction_size_max >> 10));
}

static int append(struct node_session *session, const struct group *group, struct base_err *err)
{
    struct nodei_txn *txn = &session->txn;
    int rc = base_buf_put_slice(&txn->buf, group->mutations);
    if (rc == BASE_E_LIMIT)
        return too_large(session, err);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "gather the transaction: %s", base_err_words(rc));
    txn->consistency =
        txn->count ? more_demanding(txn->consistency, group->consistency) : group->consistency;
    txn->count += group->count;
    txn->durable = txn->durable || group->durable;
    return BASE_OK;
}

int node_write(struct node_session *session, const struct base_table *table,
               struct base_slice mutations, size_t mutation_count, int consistency,
               struct base_err *err)
{
    struct nodei_table_ref ref = {.durable = true};
    struct nodei_txn *txn = &session->txn;
    BASE_ASSERT(mutation_count > 0 && mutations.len > 0);
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK)
        rc = nodei_check_consistency(consistency, true, err);
    if (rc != BASE_OK)
        return rc;
    if (!session->node->cluster) { /* in a cluster the replicas look */
        nodei_enter(session);
        rc = nodei_table_find(session, table, &ref, err);
        nodei_leave(session);
    }
    if (rc != BASE_OK)
        return rc;
    bool whole = !txn->open;
    if (!whole && session->unlogged) {
        size_t chunk = txn->buf.len_max < UNLOGGED_CHUNK ? txn->buf.len_max : UNLOGGED_CHUNK;
        if (txn->buf.len + mutations.len > chunk)
            rc = apply(session, err);
        whole = mutations.len > chunk;
    }
    const struct group group = {mutations, mutation_count, consistency, ref.durable,
                                !session->unlogged};
    if (rc == BASE_OK)
        rc = whole ? send(session, &group, err) : append(session, &group, err);
    if (rc == BASE_OK)
        return BASE_OK;
    return base_err_wrap(err, rc, "write to %.*s.%.*s", BASE_SLICE_ARG(table->keyspace),
                         BASE_SLICE_ARG(table->name));
}

/* Begin, savepoints, end. */

int node_txn_begin(struct node_session *session, struct base_err *err)
{
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK)
        session->txn.open = true;
    return rc;
}

bool node_txn_is_open(const struct node_session *session)
{
    return session->txn.open;
}

int node_txn_savepoint(struct node_session *session, int level, struct base_err *err)
{
    struct nodei_txn *txn = &session->txn;
    BASE_ASSERT(txn->open);
    node_txn_savepoint_release(session, level); /* announced again: it begins here */
    if (txn->mark_count == txn->mark_cap) {
        size_t cap = txn->mark_cap ? txn->mark_cap * 2 : 8;
        struct nodei_mark *marks = realloc(txn->marks, cap * sizeof *marks);
        if (!marks)
            return base_err_set(err, BASE_E_NOMEM, "savepoint: out of memory");
        txn->marks = marks;
        txn->mark_cap = cap;
    }
    struct nodei_mark mark = {.level = level, .len = txn->buf.len, .count = txn->count};
    if (txn->overlay && txn->overlay_upto == mark.len)
        mark.overlay_mark = lsm_overlay_mark(txn->overlay);
    txn->marks[txn->mark_count++] = mark;
    return BASE_OK;
}

void node_txn_savepoint_release(struct node_session *session, int level)
{
    struct nodei_txn *txn = &session->txn;
    while (txn->mark_count && txn->marks[txn->mark_count - 1].level >= level)
        txn->mark_count--;
}

void node_txn_rollback_to(struct node_session *session, int level)
{
    struct nodei_txn *txn = &session->txn;
    node_txn_savepoint_release(session, level + 1);
    if (txn->mark_count == 0) {
        empty(txn);
        return;
    }
    const struct nodei_mark *mark = &txn->marks[txn->mark_count - 1];
    BASE_ASSERT(mark->len <= txn->buf.len);
    if (txn->overlay && txn->overlay_upto > mark->len) {
        lsm_overlay_rollback(txn->overlay, mark->overlay_mark);
        txn->overlay_upto = mark->len;
    }
    txn->buf.len = mark->len;
    txn->count = mark->count;
}

int node_txn_apply(struct node_session *session, struct base_err *err)
{
    int rc = nodei_check_usable(session->node, err);
    bool worth = session->txn.count > 0;
    if (rc == BASE_OK)
        rc = apply(session, err);
    if (rc == BASE_OK && worth)
        atomic_fetch_add_explicit(&session->node->transactions, 1, memory_order_relaxed);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "commit");
}

void node_txn_end(struct node_session *session)
{
    struct nodei_txn *txn = &session->txn;
    txn->mark_count = 0;
    empty(txn);
    txn->open = false;
}

void nodei_txn_fini(struct node_session *session)
{
    node_txn_end(session);
    free(session->txn.marks);
    base_buf_fini(&session->txn.buf);
}

int node_session_set_batch(struct node_session *session, bool unlogged, struct base_err *err)
{
    if (session->unlogged != unlogged && session->txn.count > 0)
        return base_err_set(
            err, BASE_E_INVALID,
            "the batch mode cannot change inside a transaction that has written: commit first");
    session->unlogged = unlogged;
    return BASE_OK;
}

bool node_session_batch_unlogged(const struct node_session *session)
{
    return session->unlogged;
}

/* Reading one's own writes. */

/* Give the savepoints at this place of the buffer their place in the overlay. */
static void mark_overlay(struct nodei_txn *txn, size_t *next_mark)
{
    while (*next_mark < txn->mark_count && txn->marks[*next_mark].len == txn->overlay_upto)
        txn->marks[(*next_mark)++].overlay_mark = lsm_overlay_mark(txn->overlay);
}

static int catch_up(struct nodei_txn *txn, struct base_err *err)
{
    size_t next_mark = 0;
    while (next_mark < txn->mark_count && txn->marks[next_mark].len < txn->overlay_upto)
        next_mark++;
    while (txn->overlay_upto < txn->buf.len) {
        mark_overlay(txn, &next_mark);
        struct base_reader reader = {txn->buf.data + txn->overlay_upto,
                                     txn->buf.data + txn->buf.len};
        const uint8_t *from = reader.p;
        struct base_mutation mutation;
        bool decoded = base_mutation_decode(&reader, &mutation);
        BASE_ASSERT(decoded); /* our own encoding */
        size_t len = (size_t)(reader.p - from);
        int rc = lsm_overlay_apply(txn->overlay, base_slice(from, len), err);
        if (rc != BASE_OK)
            return rc;
        txn->overlay_upto += len;
    }
    mark_overlay(txn, &next_mark);
    return BASE_OK;
}

int nodei_txn_source(struct node_session *session, const struct base_read *cmd,
                     struct base_source **out, struct base_err *err)
{
    struct nodei_txn *txn = &session->txn;
    *out = NULL;
    if (txn->count == 0)
        return BASE_OK;
    if (session->unlogged)
        return apply(session, err);
    if (!txn->overlay) {
        txn->overlay = lsm_overlay_new();
        if (!txn->overlay)
            return base_err_set(err, BASE_E_NOMEM, "read the transaction's writes: out of memory");
    }
    int rc = catch_up(txn, err);
    if (rc == BASE_OK)
        rc = lsm_overlay_read(txn->overlay, cmd, out, err);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "read the transaction's writes");
}
