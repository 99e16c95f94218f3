/* Conditional writes: in a cluster the replica judges and writes; a node that is alone does both
 * here, on the caller's thread.
 *
 * Invariants:
 *  1. Alone, the partition's lock is held from the read to the write: of two conditions on one
 *     partition the second sees what the first wrote. It is a leaf: nothing that waits for another
 *     lock of its kind happens under it.
 *  2. Within an open transaction the session's own writes are seen, and the write gathers with
 *     them: the condition holds for what was committed when it was judged. */
#include "base/checksum.h"
#include "base/condition.h"
#include "node/node_private.h"

bool node_conditions_at_replica(const struct node_session *session)
{
    return session->node->cluster != NULL;
}

/* The sum of the factors that a keyspace's replication options name. */
static uint64_t replication_factor(const struct base_options *replication)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < replication->count; i++) {
        struct base_slice value = replication->items[i].value;
        uint64_t n = 0;
        size_t digits = 0;
        while (digits < value.len && digits < 6 && value.data[digits] >= '0' &&
               value.data[digits] <= '9')
            n = n * 10 + (uint64_t)(value.data[digits++] - '0');
        sum += n; /* class and the like begin with no digit */
    }
    return sum;
}

int node_check_conditions(struct node_session *session, const struct base_table *table,
                          struct base_err *err)
{
    if (!session->node->cluster)
        return BASE_OK;
    struct base_schema *schema = node_schema(session->node);
    const struct base_keyspace *keyspace = base_schema_keyspace(schema, table->keyspace);
    uint64_t factor = keyspace ? replication_factor(&keyspace->replication) : 1;
    base_schema_release(schema);
    if (factor <= 1)
        return BASE_OK;
    return base_err_set(err, BASE_E_INVALID,
                        "%.*s.%.*s has replication factor %llu: INSERT OR IGNORE, OR FAIL and OR "
                        "ROLLBACK need Paxos for rows there, "
                        "which this version does not have; a plain INSERT is an upsert",
                        BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name),
                        (unsigned long long)factor);
}

/* Alone. */

struct rows {
    struct base_arena arena;
    struct base_condition_row *items;
    size_t count, cap;
};

static int add(struct rows *rows, struct base_slice ckey, struct base_slice row)
{
    if (rows->count == rows->cap) {
        size_t cap = rows->cap ? rows->cap * 2 : 8;
        struct base_condition_row *items = base_arena_alloc(&rows->arena, cap * sizeof *items);
        if (!items)
            return BASE_E_NOMEM;
        if (rows->count)
            memcpy(items, rows->items, rows->count * sizeof *items);
        rows->items = items;
        rows->cap = cap;
    }
    struct base_condition_row *to = &rows->items[rows->count];
    int rc = base_arena_copy(&rows->arena, ckey, &to->ckey);
    if (rc == BASE_OK)
        rc = base_arena_copy(&rows->arena, row, &to->row);
    rows->count += rc == BASE_OK;
    return rc;
}

static int read_rows(struct node_session *session, const struct base_table *table,
                     const struct base_read *cmd, int consistency, struct rows *rows,
                     struct base_err *err)
{
    struct node_read *read = NULL;
    struct base_live_row row = {0};
    bool statics = cmd->slices.count == 0;
    int rc = node_read_open(session, table, cmd, consistency, &read, err);
    while (rc == BASE_OK && (rc = node_read_next(read, &row, err)) == BASE_OK && row.pkey.len) {
        if (rows->count == 0 && row.static_row.len)
            rc = add(rows, (struct base_slice){0}, row.static_row);
        if (rc == BASE_OK && !statics && row.ckey.len)
            rc = add(rows, row.ckey, row.row);
        if (rc != BASE_OK)
            (void)base_err_set(err, rc, "a condition: out of memory");
    }
    node_read_free(read);
    return rc;
}

static bool looks_at_statics(struct base_slice conditions)
{
    struct base_reader in = base_reader(conditions);
    struct base_condition c;
    uint64_t count;
    bool statics = false, decoded = base_get_varint(&in, &count);
    while (decoded && count-- > 0 && (decoded = base_condition_decode(&in, &c)))
        statics = statics || c.ckey.len == 0;
    return statics;
}

/* Read what the conditions look at, and judge them. */
static int judge(struct node_session *session, const struct base_table *table,
                 struct base_slice pkey, const struct node_conditional *what, bool *hold,
                 struct base_err *err)
{
    struct rows rows = {0};
    struct base_read cmd = BASE_READ_INIT;
    struct base_slices slices;
    struct base_buf current;
    int level = what->consistency == NODE_CL_ANY ? NODE_CL_ONE : what->consistency;
    base_arena_init(&rows.arena);
    base_buf_init(&current, SIZE_MAX / 2);
    cmd.table_id = table->id;
    cmd.epoch = node_schema_epoch(session->node);
    cmd.pkey = pkey;
    int rc =
        base_conditions_slices(&rows.arena, what->conditions, (struct base_slice){0}, &slices, err);
    if (rc == BASE_OK && looks_at_statics(what->conditions))
        rc = read_rows(session, table, &cmd, level, &rows, err);
    cmd.slices = slices;
    if (rc == BASE_OK && slices.count)
        rc = read_rows(session, table, &cmd, level, &rows, err);
    if (rc == BASE_OK)
        rc = base_conditions_judge(what->conditions, table, rows.items, rows.count, hold,
                                   what->current ? what->current : &current, err);
    base_buf_fini(&current);
    base_arena_fini(&rows.arena);
    return rc;
}

static int write_alone(struct node_session *session, const struct base_table *table,
                       const struct node_conditional *what, struct base_err *err)
{
    struct base_reader in = base_reader(what->mutation);
    struct base_mutation m;
    bool hold = false;
    if (!base_mutation_decode(&in, &m) || base_reader_left(&in))
        return base_err_set(err, BASE_E_INVALID,
                            "a condition is about one partition: one mutation");
    int rc = base_conditions_check(what->conditions, table, err);
    if (rc != BASE_OK)
        return rc;
    pthread_mutex_t *lock =
        &session->node
             ->condition_mutexes[base_checksum(m.pkey.data, m.pkey.len) % NODEI_CONDITION_LOCKS];
    pthread_mutex_lock(lock);
    rc = judge(session, table, m.pkey, what, &hold, err);
    if (rc == BASE_OK && !hold)
        rc =
            base_err_set(err, BASE_E_CONDITION, "the condition does not hold; nothing was written");
    if (rc == BASE_OK && !base_mutation_is_empty(&m))
        rc = node_write(session, table, what->mutation, 1, what->consistency, err);
    pthread_mutex_unlock(lock);
    return rc;
}

/* Both. */

int node_write_if(struct node_session *session, const struct base_table *table,
                  const struct node_conditional *what, struct base_err *err)
{
    const struct nodei_cluster_write write = {.mutations = what->mutation,
                                              .mutation_count = 1,
                                              .consistency = what->consistency,
                                              .condition = what->conditions,
                                              .current = what->current};
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK && !session->node->cluster)
        return write_alone(session, table, what, err);
    if (rc == BASE_OK)
        rc = nodei_cluster_write(session, &write, err);
    if (rc == BASE_OK || rc == BASE_E_CONDITION)
        return rc;
    return base_err_wrap(err, rc, "write to %.*s.%.*s", BASE_SLICE_ARG(table->keyspace),
                         BASE_SLICE_ARG(table->name));
}
