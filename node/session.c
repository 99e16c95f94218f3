/* Sessions: one connection's defaults, its open transaction, and its way to a table's place in the
 * store.
 *
 * The hot path takes no lock shared with others: a session remembers the lsm_table of the tables
 * that it used last, good as long as the schema's epoch stands. What keeps a remembered table alive
 * is not the memory of it but `inside`:
 *
 *   session                               DROP TABLE (schema.c)
 *   inside := 1 + epoch    (seq_cst)      publish the schema without the table, epoch + 1
 *                                         (seq_cst)
 *   read the epoch again; what is         wait until every session's `inside` is 0 or says that
 *   remembered for it may be used         it came in at the new epoch
 *   inside := 0                           take the table from the store
 *
 * Either the session sees the new epoch and finds the table gone, or DROP sees the session inside
 * and waits. */
#include <time.h>

#include "node/node_private.h"

int nodei_session_internal(struct node *node, struct node_session **out, struct base_err *err)
{
    *out = NULL;
    struct node_session *session = calloc(1, sizeof *session);
    if (!session)
        return base_err_set(err, BASE_E_NOMEM, "open a session: out of memory");
    session->node = node;
    base_buf_init(&session->txn.buf, node->settings.transaction_size_max);
    pthread_mutex_lock(&node->sessions_mutex);
    session->next = node->sessions;
    if (session->next)
        session->next->prev = session;
    node->sessions = session;
    pthread_mutex_unlock(&node->sessions_mutex);
    *out = session;
    return BASE_OK;
}

int node_session_new(struct node *node, struct node_session **out, struct base_err *err)
{
    *out = NULL;
    int rc = nodei_check_usable(node, err);
    if (rc == BASE_OK)
        rc = nodei_session_internal(node, out, err);
    if (rc == BASE_OK)
        node_acquire(node);
    return rc;
}

void nodei_session_internal_free(struct node_session *session)
{
    if (!session)
        return;
    struct node *node = session->node;
    BASE_ASSERT(session->open_reads == 0);
    BASE_ASSERT(atomic_load(&session->inside) == 0);
    nodei_txn_fini(session);
    pthread_mutex_lock(&node->sessions_mutex);
    if (session->prev)
        session->prev->next = session->next;
    else
        node->sessions = session->next;
    if (session->next)
        session->next->prev = session->prev;
    pthread_mutex_unlock(&node->sessions_mutex);
    nodei_write_call_free(session->write_call);
    free(session);
}

void node_session_free(struct node_session *session)
{
    if (!session || node_is_forked(session->node))
        return;
    struct node *node = session->node;
    nodei_session_internal_free(session);
    node_release(node);
}

struct node *node_session_node(struct node_session *session)
{
    return session->node;
}

void node_session_on_interrupt(struct node_session *session, bool (*interrupted)(void *ctx),
                               void *ctx)
{
    session->interrupted = interrupted;
    session->interrupt_ctx = ctx;
}

/* Tables. */

void nodei_enter(struct node_session *session)
{
    BASE_ASSERT(atomic_load_explicit(&session->inside, memory_order_relaxed) == 0);
    atomic_store(&session->inside,
                 1 + atomic_load_explicit(&session->node->schema_epoch, memory_order_relaxed));
}

void nodei_leave(struct node_session *session)
{
    atomic_store_explicit(&session->inside, 0, memory_order_release);
}

static int find_slow(struct node_session *session, const struct base_table *table, uint64_t epoch,
                     struct nodei_table_ref *out, struct base_err *err)
{
    struct node *node = session->node;
    struct base_schema *schema = node_schema(node);
    const struct base_table *current = base_schema_table_by_id(schema, table->id);
    const struct base_keyspace *keyspace =
        current ? base_schema_keyspace(schema, current->keyspace) : NULL;
    struct lsm_table *place = current ? lsm_table_find(node->store, table->id) : NULL;
    if (place && keyspace)
        *out = (struct nodei_table_ref){table->id, epoch, place,
                                        keyspace->durable_writes && !node->temporary};
    base_schema_release(schema);
    if (!place || !keyspace)
        return base_err_set(err, BASE_E_NOTFOUND, "table %.*s.%.*s was dropped",
                            BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name));
    return BASE_OK;
}

int nodei_table_find(struct node_session *session, const struct base_table *table,
                     struct nodei_table_ref *out, struct base_err *err)
{
    BASE_ASSERT(atomic_load_explicit(&session->inside, memory_order_relaxed) != 0);
    uint64_t epoch = atomic_load(&session->node->schema_epoch);
    struct nodei_table_ref *ref = &session->refs[table->id.b[0] % NODEI_TABLE_REFS];
    if (BASE_LIKELY(ref->epoch == epoch && base_uuid_equal(ref->id, table->id))) {
        *out = *ref;
        return BASE_OK;
    }
    int rc = find_slow(session, table, epoch, out, err);
    if (rc == BASE_OK)
        *ref = *out;
    return rc;
}

static bool is_behind(struct node *node, uint64_t epoch)
{
    bool behind = false;
    pthread_mutex_lock(&node->sessions_mutex);
    for (struct node_session *s = node->sessions; s && !behind; s = s->next) {
        uint64_t inside = atomic_load(&s->inside);
        behind = inside != 0 && inside < 1 + epoch;
    }
    pthread_mutex_unlock(&node->sessions_mutex);
    return behind;
}

void nodei_wait_for_sessions(struct node *node, uint64_t epoch)
{
    static const struct timespec pause = {.tv_nsec = 200000};
    while (is_behind(node, epoch))
        nanosleep(&pause, NULL);
}

/* Consistency levels. */

static const char *const level_names[] = {
    "ANY",          "ONE",         "TWO",    "THREE",        "QUORUM",    "ALL",
    "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE",
};

int node_consistency_parse(struct base_slice name)
{
    for (size_t i = 0; i < BASE_COUNT(level_names); i++)
        if (base_slice_equal_nocase(name, base_slice_str(level_names[i])))
            return (int)i;
    return -1;
}

const char *node_consistency_name(int code)
{
    return code >= 0 && code < (int)BASE_COUNT(level_names) ? level_names[code] : NULL;
}

int nodei_check_consistency(int consistency, bool is_write, struct base_err *err)
{
    switch ((enum node_consistency)consistency) {
    case NODE_CL_ONE:
    case NODE_CL_TWO:
    case NODE_CL_THREE:
    case NODE_CL_QUORUM:
    case NODE_CL_ALL:
    case NODE_CL_LOCAL_QUORUM:
    case NODE_CL_EACH_QUORUM:
    case NODE_CL_LOCAL_ONE:
        return BASE_OK;
    case NODE_CL_ANY:
        if (is_write)
            return BASE_OK;
        return base_err_set(err, BASE_E_INVALID,
                            "ANY ConsistencyLevel is only supported for writes");
    case NODE_CL_SERIAL:
    case NODE_CL_LOCAL_SERIAL:
        if (!is_write)
            return BASE_OK;
        return base_err_set(
            err, BASE_E_INVALID,
            "consistency level %s is only for conditional writes; it cannot be used for this one",
            level_names[consistency]);
    }
    return base_err_set(err, BASE_E_INVALID, "there is no consistency level with code %d",
                        consistency);
}
