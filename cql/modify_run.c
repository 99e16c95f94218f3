/* The execution of INSERT, UPDATE, DELETE and BATCH: each statement is evaluated, what it must read
 * first is read, its changes are gathered; then one write carries all of them.
 *
 * Invariants:
 *  1. Statements read what was there before the execution: none sees another's changes (Cassandra's
 *     rule for batches).
 *  2. Nothing is written unless everything could be evaluated and gathered.
 *  3. One read or the write is under way at a time; after PENDING the end comes by
 *     cqli_exec_finish, once.
 *  4. Conditions take their timestamp from this node, never from the client: what was decided last
 *     must win. */
#include "cql/modify_private.h"

static const struct cql_limits *limits_of(const struct cql_ports *ports)
{
    return ports->limits ? ports->limits : &cql_limits_default;
}

enum { LEVEL_ANY = 0, LEVEL_SERIAL = 8, LEVEL_LOCAL_SERIAL = 9 }; /* the native protocol's codes */

/* Places in lists. */

#define TICKS_PER_US 10
/* What is put before all counts backwards from here: 2010-01-01, as Cassandra. */
#define BEFORE_ALL_TICKS (INT64_C(1262304000000000) * TICKS_PER_US)

struct base_uuid cqli_list_place(struct cqli_run *run, bool before_all)
{
    struct cql_ports *ports = run->exec->ports;
    if (run->place_left == 0) {
        if (run->place_us == 0)
            ports->ops->random(ports, run->place_node, sizeof run->place_node);
        run->place_us = ports->ops->timestamp(ports);
        run->place_left = TICKS_PER_US;
    }
    int64_t ticks = run->place_us * TICKS_PER_US + (TICKS_PER_US - (int64_t)run->place_left--);
    return base_list_place(before_all ? 2 * BEFORE_ALL_TICKS - ticks : ticks, run->place_node);
}

/* Reading first. */

static void read_ready(struct cql_read *read);

static int out_of_memory(struct cqli_run *run)
{
    return cqli_no_room(&run->exec->err, BASE_E_NOMEM);
}

/* Columns that operations [from, to) read: into run->columns; how many. */
static size_t columns_read(struct cqli_run *run, size_t from, size_t to)
{
    const struct cqli_modify *m = run->update.m;
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        if (cqli_operation_reads(m->operations[i].kind) &&
            (n == 0 || run->columns[n - 1] != m->operations[i].column->id))
            run->columns[n++] = m->operations[i].column->id;
    return n;
}

static int prepare_read(struct cqli_run *run)
{
    struct cql_exec *exec = run->exec;
    size_t most = 0;
    if (exec->consistency == LEVEL_ANY)
        return base_err_set(
            &exec->err, BASE_E_INVALID,
            "Write operation require a read but consistency ANY is not supported on reads");
    for (size_t i = 0; i < run->item_count; i++)
        most = run->items[i].m->operation_count > most ? run->items[i].m->operation_count : most;
    run->read = base_arena_alloc(exec->arena, sizeof *run->read);
    run->columns = base_arena_alloc(exec->arena, (most + 1) * sizeof *run->columns);
    return run->read && run->columns ? BASE_OK : out_of_memory(run);
}

/* Set out for the next partition's static row or rows. False: there is none left. */
static bool next_read(struct cqli_run *run)
{
    struct cqli_update *u = &run->update;
    const struct cqli_modify *m = u->m;
    for (; run->reading < 2 * u->places.pkey_count; run->reading++) {
        bool rows = run->reading & 1;
        size_t n = rows ? columns_read(run, m->static_count, m->operation_count)
                        : columns_read(run, 0, m->static_count);
        if (n == 0)
            continue;
        run->cmd = BASE_READ_INIT;
        run->cmd.table_id = m->table->id;
        run->cmd.epoch = m->epoch;
        run->cmd.pkey = u->places.pkeys[run->reading / 2];
        run->cmd.slices = rows ? u->places.slices : (struct base_slices){NULL, 0};
        run->cmd.columns = run->columns;
        run->cmd.column_count = n;
        run->cmd.now_s = run->now_s;
        *run->read = (struct cql_read){.cmd = &run->cmd,
                                       .table = m->table,
                                       .consistency = run->exec->consistency,
                                       .ready = read_ready,
                                       .ctx = run};
        return true;
    }
    return false;
}

static int keep_row(struct cqli_run *run)
{
    const struct base_live_row *row = &run->read->row;
    bool rows = run->reading & 1;
    if (rows && !row->ckey.len)
        return BASE_OK;
    struct cqli_found *found = base_arena_alloc(run->exec->arena, sizeof *found);
    if (!found)
        return out_of_memory(run);
    *found = (struct cqli_found){.partition = run->reading / 2};
    int rc = rows ? base_arena_copy(run->exec->arena, row->ckey, &found->ckey) : BASE_OK;
    if (rc == BASE_OK)
        rc = base_arena_copy(run->exec->arena, rows ? row->row : row->static_row, &found->row);
    if (rc != BASE_OK)
        return out_of_memory(run);
    if (run->update.found_last)
        run->update.found_last->next = found;
    else
        run->update.found = found;
    run->update.found_last = found;
    return BASE_OK;
}

/* Go on reading; DONE with *rc when all is read. */
static enum cql_answer go_on_reading(struct cqli_run *run, int *rc)
{
    struct cql_ports *ports = run->exec->ports;
    for (;;) {
        if (ports->ops->read_next(ports, run->read) == CQL_PENDING)
            return CQL_PENDING;
        *rc = run->read->rc;
        bool more = *rc == BASE_OK && run->read->row.pkey.len;
        if (more)
            *rc = keep_row(run);
        if (more && *rc == BASE_OK)
            continue;
        if (*rc != BASE_OK && run->read->rc != BASE_OK) {
            run->exec->err = run->read->err;
            run->exec->outcome = run->read->outcome;
        }
        ports->ops->read_close(ports, run->read);
        run->reading++;
        if (*rc != BASE_OK || !next_read(run))
            return CQL_DONE;
    }
}

/* Statement by statement. */

static int gather_item(struct cqli_run *run)
{
    struct cqli_update *u = &run->update;
    size_t conditions = 0;
    if (run->conditional && u->places.pkey_count > 1)
        return base_err_set(&run->exec->err, BASE_E_INVALID,
                            "Batch with conditions cannot span multiple partitions (you cannot use "
                            "IN on the partition key)");
    int rc = BASE_OK;
    if (u->m->if_kind != CQLI_IF_NONE) {
        struct base_slice ckey = cqli_update_judged(u);
        rc = cqli_update_conditions(u, ckey, &run->conditions, &conditions);
        if (run->judged)
            run->judged[run->judged_count++] = (struct cqli_judged){ckey, run->next, u->m->if_kind};
    }
    run->condition_count += conditions;
    if (rc == BASE_OK)
        rc = cqli_update_build(u, &run->mutations);
    if (rc != BASE_E_INVALID || !run->conditional || !u->m->reads)
        return rc;
    /* A list has no such element: that is an error if the conditions hold, and of no account if
     * they do not. */
    if (run->unbuilt)
        return BASE_OK;
    run->unbuilt = base_arena_alloc(run->exec->arena, sizeof *run->unbuilt);
    if (!run->unbuilt)
        return out_of_memory(run);
    *run->unbuilt = run->exec->err;
    return BASE_OK;
}

static enum cql_answer run_items(struct cqli_run *run, int *rc)
{
    *rc = BASE_OK;
    for (;;) {
        if (run->stage == CQLI_RUN_READING) {
            if (go_on_reading(run, rc) == CQL_PENDING)
                return CQL_PENDING;
            run->stage = CQLI_RUN_ITEMS;
        } else {
            if (run->next == run->item_count)
                return CQL_DONE;
            *rc = cqli_update_begin(run, &run->items[run->next], run->ts, &run->update);
            if (*rc == BASE_OK && run->update.m->reads && !run->update.places.nothing) {
                *rc = run->read ? BASE_OK : prepare_read(run);
                run->reading = 0;
                if (*rc == BASE_OK && next_read(run)) {
                    run->stage = CQLI_RUN_READING;
                    continue;
                }
            }
        }
        if (*rc == BASE_OK)
            *rc = gather_item(run);
        if (*rc != BASE_OK)
            return CQL_DONE;
        run->next++;
    }
}

/* Writing. */

/* Do the mutations touch several partitions? The tables of one keyspace share theirs. */
static bool is_of_several(const struct cqli_mutations *all)
{
    const struct cqli_partition *first = all->first;
    for (const struct cqli_partition *p = first; p; p = p->next)
        if (!base_slice_equal(p->pkey, first->pkey) ||
            !base_slice_equal(p->table->keyspace, first->table->keyspace))
            return true;
    return false;
}

static void take_write(struct cqli_run *run)
{
    struct cql_exec *exec = run->exec;
    const struct cql_write *write = &run->write;
    exec->rc = write->rc;
    exec->outcome = write->outcome;
    if (run->unbuilt && write->rc == BASE_OK) {
        exec->err = *run->unbuilt;
        exec->rc = exec->err.code;
    } else if (run->conditional && (write->rc == BASE_OK || write->rc == BASE_E_CONDITION))
        exec->rc = cqli_result_applied(run, write->rc == BASE_OK, base_buf_view(&write->current));
    else if (write->rc != BASE_OK)
        exec->err = write->err;
}

static void write_ready(struct cql_write *write)
{
    struct cqli_run *run = write->ctx;
    take_write(run);
    cqli_exec_finish(run->exec);
}

static int put_conditions(struct cqli_run *run, struct base_slice *out)
{
    struct base_buf all;
    if (!run->conditional)
        return BASE_OK;
    if (run->mutations.count != 1)
        return base_err_set(&run->exec->err, BASE_E_INVALID,
                            run->mutations.count
                                ? "Batch with conditions cannot span multiple partitions"
                                : "A conditional statement must name a partition");
    int rc = cqli_batch_check_judged(run);
    if (rc != BASE_OK)
        return rc;
    base_buf_init_in_arena(&all, run->exec->arena, CQLI_WRITE_LEN_MAX);
    rc = base_buf_put_varint(&all, run->condition_count);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&all, base_buf_view(&run->conditions));
    *out = base_buf_view(&all);
    return rc == BASE_OK ? rc : cqli_no_room(&run->exec->err, rc);
}

/* All statements are gathered. */
static enum cql_answer write_all(struct cqli_run *run)
{
    struct cql_exec *exec = run->exec;
    struct cql_write *write = &run->write;
    struct base_slice conditions = {0};
    exec->rc = put_conditions(run, &conditions);
    if (run->unbuilt)
        cqli_mutations_clear(&run->mutations);
    if (exec->rc == BASE_OK)
        exec->rc = cqli_mutations_put(&run->mutations, &run->bytes, &run->mutation_count);
    if (exec->rc == BASE_OK && run->is_batch && !run->conditional)
        exec->rc = cqli_batch_check_size(run, limits_of(exec->ports));
    if (exec->rc != BASE_OK || run->mutation_count == 0)
        return CQL_DONE;
    write->mutations = base_buf_view(&run->bytes);
    write->mutation_count = run->mutation_count;
    write->condition = conditions;
    write->table = run->mutations.first->table;
    write->consistency = exec->consistency;
    write->logged = run->is_batch && run->kind == CQL_BATCH_LOGGED && !run->conditional &&
                    is_of_several(&run->mutations);
    write->ready = write_ready;
    write->rc = BASE_OK;
    base_err_clear(&write->err);
    write->outcome = (struct cql_outcome){0};
    base_buf_init_in_arena(&write->current, exec->arena, CQLI_WRITE_LEN_MAX);
    write->ctx = run;
    write->state = NULL;
    run->stage = CQLI_RUN_WRITING;
    if (exec->tracing)
        exec->ports->ops->trace(exec->ports, "Sending %zu mutation%s of %zu bytes to replicas",
                                run->mutation_count, run->mutation_count == 1 ? "" : "s",
                                run->bytes.len);
    if (exec->ports->ops->write(exec->ports, write) == CQL_PENDING)
        return CQL_PENDING;
    take_write(run);
    return CQL_DONE;
}

static enum cql_answer go_on(struct cqli_run *run)
{
    int rc;
    if (run_items(run, &rc) == CQL_PENDING)
        return CQL_PENDING;
    run->exec->rc = rc;
    return rc == BASE_OK ? write_all(run) : CQL_DONE;
}

static void read_ready(struct cql_read *read)
{
    struct cqli_run *run = read->ctx;
    if (go_on(run) == CQL_DONE)
        cqli_exec_finish(run->exec);
}

/* Beginning and end. */

static int check_levels(const struct cqli_run *run)
{
    struct cql_exec *exec = run->exec;
    int serial = exec->serial_consistency;
    if (exec->consistency == LEVEL_SERIAL || exec->consistency == LEVEL_LOCAL_SERIAL)
        return base_err_set(
            &exec->err, BASE_E_INVALID,
            run->conditional
                ? "%s is not supported as conditional update commit consistency. Use ANY if you "
                  "mean \"make sure it is "
                  "accepted but I don't care how many replicas commit it for non-SERIAL reads\""
                : "You must use conditional updates for serializable writes",
            exec->consistency == LEVEL_SERIAL ? "SERIAL" : "LOCAL_SERIAL");
    if (run->conditional && serial != LEVEL_SERIAL && serial != LEVEL_LOCAL_SERIAL && serial != 0)
        return base_err_set(
            &exec->err, BASE_E_INVALID,
            "Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL");
    return BASE_OK;
}

/* The timestamp of what has none of its own. */
static int begin_timestamp(struct cqli_run *run, const struct cqli_expr *timestamp)
{
    struct cql_exec *exec = run->exec;
    struct cqli_eval eval = {.arena = exec->arena,
                             .values = exec->values,
                             .value_count = exec->value_count,
                             .ports = exec->ports,
                             .now_us = run->now_us,
                             .err = &exec->err};
    struct cql_value value;
    if (timestamp) {
        int rc = cqli_expr_eval(timestamp, &eval, &value);
        if (rc == BASE_OK && value.state == CQL_VALUE_NULL)
            rc = base_err_set(&exec->err, BASE_E_INVALID, "Invalid null value of timestamp");
        if (rc != BASE_OK)
            return rc;
        if (value.state == CQL_VALUE_SET && value.bytes.len == 8) {
            run->ts = (int64_t)base_get_be64(value.bytes.data);
            return BASE_OK;
        }
    }
    run->ts = exec->has_timestamp && !run->conditional ? exec->timestamp_us
                                                       : exec->ports->ops->timestamp(exec->ports);
    return BASE_OK;
}

enum cql_answer cqli_run_start(struct cql_exec *exec, const struct cqli_item *items, size_t count,
                               bool is_batch, enum cql_batch_kind kind,
                               const struct cqli_expr *timestamp)
{
    struct cqli_run *run = base_arena_alloc(exec->arena, sizeof *run);
    exec->state = run;
    if (!run) {
        exec->rc = cqli_no_room(&exec->err, BASE_E_NOMEM);
        return CQL_DONE;
    }
    memset(run, 0, offsetof(struct cqli_run, write));
    run->exec = exec;
    run->items = items;
    run->item_count = count;
    run->is_batch = is_batch;
    run->kind = kind;
    run->now_us = exec->ports->ops->now_us(exec->ports);
    run->now_s = exec->now_s ? exec->now_s : run->now_us / 1000000;
    for (size_t i = 0; i < count; i++)
        run->conditional = run->conditional || items[i].m->if_kind != CQLI_IF_NONE;
    run->mutations = (struct cqli_mutations){
        .arena = exec->arena, .err = &exec->err, .keep_empty = run->conditional};
    base_buf_init_in_arena(&run->bytes, exec->arena, CQLI_WRITE_LEN_MAX);
    base_buf_init_in_arena(&run->conditions, exec->arena, CQLI_WRITE_LEN_MAX);
    exec->result.kind = CQL_RESULT_VOID;
    exec->rc = check_levels(run);
    if (exec->rc == BASE_OK && is_batch)
        exec->rc = cqli_batch_check(kind, timestamp != NULL, items, count, &exec->err);
    if (exec->rc == BASE_OK && is_batch && run->conditional &&
        !(run->judged = base_arena_alloc(exec->arena, count * sizeof *run->judged)))
        exec->rc = out_of_memory(run);
    if (exec->rc == BASE_OK)
        exec->rc = begin_timestamp(run, timestamp);
    return exec->rc == BASE_OK ? go_on(run) : CQL_DONE;
}

enum cql_answer cqli_modify_start(struct cql_exec *exec)
{
    const struct cqli_modify *m = exec->prepared->modify;
    size_t count = m->kind == CQL_BATCH ? m->child_count : 1;
    struct cqli_item *items = base_arena_alloc(exec->arena, (count + 1) * sizeof *items);
    if (!items) {
        exec->rc = cqli_no_room(&exec->err, BASE_E_NOMEM);
        return CQL_DONE;
    }
    for (size_t i = 0; i < count; i++)
        items[i] = (struct cqli_item){m->kind == CQL_BATCH ? m->children[i].modify : m,
                                      exec->values, exec->value_count};
    return cqli_run_start(exec, items, count, m->kind == CQL_BATCH, m->batch,
                          m->kind == CQL_BATCH ? m->timestamp : NULL);
}

bool cqli_modify_cancel(struct cql_exec *exec)
{
    struct cqli_run *run = exec->state;
    if (!run || run->stage == CQLI_RUN_ITEMS)
        return true;
    if (run->stage == CQLI_RUN_WRITING)
        return false;
    exec->ports->ops->read_close(exec->ports, run->read);
    return true;
}
