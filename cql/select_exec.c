/* SELECT, executed: which reads, one row after another, pages (cql/select_private.h).
 *
 * A SELECT is a sequence of steps, each one read: the partitions of the statement in their order,
 * or a range of tokens; after a page, first the rest of the partition where it ended. Steps are
 * taken in order; of partitions the next ones are opened ahead. Whether ports answer at once or
 * later, the same code goes on: `drive` loops until a port is PENDING, and `ready` enters it again.
 *
 * Invariants:
 * 1. One `drive` at a time: ports never call `ready` from inside a call, and only the current
 *    step's `ready` drives.
 * 2. A page ends only when a row is at hand that the next one begins with: has_more is never a
 *    guess, and no page that says it is empty.
 * 3. At the end, whatever it is, every read is closed and the row arena is freed, before the caller
 *    hears of it. */
#include "base/key.h"
#include "cql/select_private.h"

static int fail(struct cqli_select_run *run, int rc)
{
    struct cql_exec *exec = run->exec;
    if (exec->err.code != rc)
        base_err_set(&exec->err, rc, "%s", base_err_words(rc));
    return rc;
}

/* Steps. */

static struct cqli_select_slot *slot_of(const struct cqli_select_run *run, size_t step)
{
    return &run->slots[step % run->slot_count];
}

static bool is_range_step(const struct cqli_select_run *run, size_t step)
{
    return run->is_range && step + 1 == run->step_count;
}

/* How many rows a read is asked for: those of the page and one to see that there is more; not more
 * than there can be. */
static uint64_t rows_wanted(const struct cqli_select_run *run)
{
    if (run->select->aggregated)
        return run->partition_rows_max;
    uint64_t wanted =
        run->rows_left < run->partition_rows_max ? run->rows_left : run->partition_rows_max;
    if (run->paged) {
        uint64_t page = (uint64_t)run->exec->page_size - run->exec->result.row_count + 1;
        wanted = page < wanted ? page : wanted;
    }
    return wanted;
}

static void describe_step(struct cqli_select_run *run, size_t step, struct base_read *cmd)
{
    const struct cqli_select *select = run->select;
    bool resumed = run->resumes && step == 0;
    *cmd = (struct base_read){.table_id = select->table->id,
                              .slices = resumed ? run->rest : run->places.slices,
                              .token_after = INT64_MIN,
                              .token_upto = INT64_MAX,
                              .reversed = select->reversed,
                              .columns = select->fetch.ids,
                              .column_count = select->fetch.id_count,
                              .filters = run->places.filters,
                              .filter_count = run->places.filter_count,
                              .row_limit = rows_wanted(run),
                              .partition_row_limit = UINT64_MAX,
                              .size_bytes_max = UINT64_MAX,
                              .now_s = run->now_s};
    if (select->distinct)
        cmd->partition_row_limit = 1;
    else if (!select->aggregated)
        cmd->partition_row_limit = resumed ? run->from.partition_rows_left : run->partition_limit;
    if (resumed) {
        cmd->pkey = run->from.pkey;
    } else if (is_range_step(run, step)) {
        cmd->token_after = run->places.token_after;
        cmd->token_upto = run->places.token_upto;
        cmd->start_pkey = run->start_pkey;
    } else {
        cmd->pkey = run->places.pkeys[run->first_pkey + step];
    }
}

static enum cql_answer drive(struct cqli_select_run *run);
static void ready(struct cql_read *read)
{
    struct cqli_select_slot *slot = read->ctx;
    struct cqli_select_run *run = slot->run;
    BASE_ASSERT(slot->state == CQLI_SLOT_ASKED);
    slot->state = CQLI_SLOT_IDLE;
    if (slot == slot_of(run, run->step) && drive(run) == CQL_DONE)
        cqli_exec_finish(run->exec);
}

static void ask(struct cqli_select_run *run, struct cqli_select_slot *slot)
{
    const struct cql_port_ops *ops = run->exec->ports->ops;
    slot->state = CQLI_SLOT_ASKED;
    if (ops->read_next(run->exec->ports, &slot->read) == CQL_DONE)
        slot->state = CQLI_SLOT_READY;
}

static void open_step(struct cqli_select_run *run, size_t step)
{
    struct cqli_select_slot *slot = slot_of(run, step);
    BASE_ASSERT(slot->state == CQLI_SLOT_CLOSED);
    describe_step(run, step, &slot->cmd);
    slot->run = run;
    slot->read.cmd = &slot->cmd;
    slot->read.table = run->select->table;
    slot->read.consistency = run->exec->consistency;
    slot->read.ready = ready;
    slot->read.rc = BASE_OK;
    slot->read.ctx = slot;
    slot->read.state = NULL;
    slot->read.outcome = (struct cql_outcome){0};
    base_err_clear(&slot->read.err);
    ask(run, slot);
}

static void close_slot(struct cqli_select_run *run, struct cqli_select_slot *slot)
{
    if (slot->state == CQLI_SLOT_CLOSED)
        return;
    slot->state = CQLI_SLOT_CLOSED;
    run->exec->ports->ops->read_close(run->exec->ports, &slot->read);
}

static void next_step(struct cqli_select_run *run)
{
    close_slot(run, slot_of(run, run->step));
    run->step++;
    run->step_rows = 0;
}

/* The current step and, of partitions, the next ones. */
static void open_ahead(struct cqli_select_run *run)
{
    while (run->opened < run->step_count && run->opened < run->step + run->slot_count) {
        if (run->opened > run->step && is_range_step(run, run->opened))
            return;
        open_step(run, run->opened++);
    }
}

/* Nothing more of the partition at hand is wanted. */
static int skip_partition(struct cqli_select_run *run)
{
    if (!is_range_step(run, run->step)) {
        next_step(run);
        return BASE_OK;
    }
    struct base_buf start;
    base_buf_init_in_arena(&start, run->exec->arena, BASE_PKEY_LEN_MAX + 1);
    int rc = base_buf_put_slice(&start, base_buf_view(&run->seen.pkey));
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&start, 0);
    if (rc != BASE_OK)
        return rc;
    run->start_pkey = base_buf_view(&start);
    close_slot(run, slot_of(run, run->step));
    open_step(run, run->step);
    return BASE_OK;
}

/* Rows. */

enum verdict { GO_ON, STOP, STOP_WITH_MORE };

static bool page_is_full(const struct cqli_select_run *run)
{
    return run->paged && (run->exec->result.row_count >= (uint32_t)run->exec->page_size ||
                          (run->must_end && run->exec->result.row_count > 0));
}

/* A row did not fit: the page ends before it, if it has any. */
static int row_does_not_fit(struct cqli_select_run *run, int rc, enum verdict *verdict)
{
    if (rc != BASE_E_LIMIT)
        return rc;
    if (run->paged && run->exec->result.row_count > 0) {
        *verdict = STOP_WITH_MORE;
        return BASE_OK;
    }
    return base_err_set(&run->exec->err, BASE_E_LIMIT, "The result is larger than %zu bytes%s",
                        run->exec->result.rows.len_max, run->paged ? "" : ": use paging");
}

static void note_given(struct cqli_select_run *run)
{
    if (run->rows_left != UINT64_MAX)
        run->rows_left--;
    if (run->partition_rows_left != UINT64_MAX)
        run->partition_rows_left--;
}

static int take_plain(struct cqli_select_run *run, const struct base_live_row *row,
                      enum verdict *verdict)
{
    if (page_is_full(run)) {
        *verdict = STOP_WITH_MORE;
        return BASE_OK;
    }
    if (run->paged && run->partition_limit != UINT64_MAX &&
        !base_slice_equal(base_buf_view(&run->given.pkey), row->pkey))
        run->partition_rows_left = run->partition_limit;
    int rc = cqli_row_load(&run->output.row, row, &run->exec->err);
    if (rc == BASE_OK && (rc = cqli_output_row(&run->output)) != BASE_OK)
        return row_does_not_fit(run, rc, verdict);
    if (rc != BASE_OK)
        return rc;
    note_given(run);
    run->given.partition_rows_left = run->partition_rows_left;
    if (run->rows_left == 0)
        *verdict = STOP;
    return run->paged ? cqli_place_set(&run->given, row->pkey, row->ckey) : BASE_OK;
}

static int end_group(struct cqli_select_run *run, enum verdict *verdict)
{
    int rc = cqli_output_group(&run->output);
    if (rc != BASE_OK)
        return row_does_not_fit(run, rc, verdict);
    note_given(run);
    run->given.partition_rows_left = run->partition_rows_left;
    if (run->rows_left == 0)
        *verdict = STOP;
    return run->paged ? cqli_place_set(&run->given, base_buf_view(&run->seen.pkey),
                                       base_buf_view(&run->seen.ckey))
                      : BASE_OK;
}

static int take_into_group(struct cqli_select_run *run, const struct base_live_row *row,
                           enum verdict *verdict)
{
    struct cqli_output *o = &run->output;
    bool same, same_partition = base_slice_equal(base_buf_view(&run->seen.pkey), row->pkey);
    int rc = cqli_row_load(&o->row, row, &run->exec->err);
    if (rc == BASE_OK)
        rc = cqli_output_same_group(o, &same);
    if (rc == BASE_OK && o->in_group && !same)
        rc = end_group(run, verdict);
    if (rc != BASE_OK || *verdict != GO_ON)
        return rc;
    if (!o->in_group) {
        if (same_partition && run->partition_rows_left == 0)
            return skip_partition(run);
        if (page_is_full(run)) {
            *verdict = STOP_WITH_MORE;
            return BASE_OK;
        }
        if (!same_partition)
            run->partition_rows_left = run->partition_limit;
    }
    if (rc == BASE_OK && o->select->grouped)
        rc = cqli_place_set(&run->seen, row->pkey, row->ckey);
    return rc == BASE_OK ? cqli_output_add(o) : rc;
}

/* The end. */

static int put_paging_state(struct cqli_select_run *run)
{
    struct cql_result *result = &run->exec->result;
    struct cqli_paging paging = {.pkey = base_buf_view(&run->given.pkey),
                                 .ckey = base_buf_view(&run->given.ckey),
                                 .rows_left = run->rows_left,
                                 .partition_rows_left = run->given.partition_rows_left};
    BASE_ASSERT(result->row_count > 0);
    result->has_more = true;
    base_buf_reset(&result->paging_state);
    return cqli_paging_encode(&paging, &result->paging_state);
}

/* All rows were seen: the group in progress, and an aggregate's one row. */
static int end_rows(struct cqli_select_run *run, enum verdict *verdict)
{
    if (run->select->aggregated && (run->output.in_group || !run->select->grouped)) {
        if (!run->output.in_group)
            cqli_aggregation_reset(run->output.aggregation);
        return end_group(run, verdict);
    }
    return BASE_OK;
}

static void close_all(struct cqli_select_run *run)
{
    for (size_t i = 0; i < run->slot_count; i++)
        close_slot(run, &run->slots[i]);
    cqli_output_fini(&run->output);
}

static void finish(struct cqli_select_run *run, int rc)
{
    struct cql_exec *exec = run->exec;
    if (rc == BASE_OK && run->select->sorted)
        rc = cqli_output_sort(&run->output, run->limit);
    close_all(run);
    exec->rc = rc;
    if (rc != BASE_OK) {
        fail(run, rc);
        exec->result.row_count = 0;
        exec->result.has_more = false;
        base_buf_reset(&exec->result.rows);
    }
}

/* The page ends before the next row. */
static int may_not_grow(struct cqli_select_run *run)
{
    run->must_end = true;
    if (run->paged)
        return BASE_OK;
    return base_err_set(&run->exec->err, BASE_E_OVERLOADED,
                        "The result has become larger (%zu bytes) than there is room for: use "
                        "paging, or ask again when other results have been read",
                        run->exec->result.rows.len);
}

/* One row, or the end of a step. */
static int take(struct cqli_select_run *run, struct cqli_select_slot *slot, enum verdict *verdict)
{
    struct cql_read *read = &slot->read;
    if (read->rc != BASE_OK) {
        run->exec->err = read->err;
        run->exec->outcome = read->outcome;
        return read->rc;
    }
    slot->state = CQLI_SLOT_IDLE;
    if (read->row.pkey.len == 0) {
        next_step(run);
        return BASE_OK;
    }
    size_t step = run->step;
    int rc = run->select->aggregated ? take_into_group(run, &read->row, verdict)
                                     : take_plain(run, &read->row, verdict);
    if (rc == BASE_OK && run->exec->may_grow && !run->exec->may_grow(run->exec))
        rc = may_not_grow(run);
    if (rc == BASE_OK && *verdict == GO_ON && run->step == step &&
        ++run->step_rows >= run->partition_rows_max)
        next_step(run);
    return rc;
}

static enum cql_answer drive(struct cqli_select_run *run)
{
    enum verdict verdict = GO_ON;
    int rc = BASE_OK;
    while (rc == BASE_OK && verdict == GO_ON && run->step < run->step_count) {
        open_ahead(run);
        struct cqli_select_slot *slot = slot_of(run, run->step);
        if (slot->state == CQLI_SLOT_IDLE)
            ask(run, slot);
        if (slot->state == CQLI_SLOT_ASKED)
            return CQL_PENDING;
        rc = take(run, slot, &verdict);
    }
    if (rc == BASE_OK && verdict == GO_ON)
        rc = end_rows(run, &verdict);
    if (rc == BASE_OK && verdict == STOP_WITH_MORE)
        rc = put_paging_state(run);
    finish(run, rc);
    return CQL_DONE;
}

/* The beginning. */

enum cql_answer cqli_select_start(struct cql_exec *exec)
{
    const struct cqli_select *select = exec->prepared->select;
    struct cqli_select_run *run = base_arena_alloc(exec->arena, sizeof *run);
    exec->state = run;
    if (!run) {
        exec->rc = base_err_set(&exec->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        return CQL_DONE;
    }
    *run = (struct cqli_select_run){
        .exec = exec, .select = select, .limit = UINT64_MAX, .partition_limit = UINT64_MAX};
    int64_t now_us = exec->now_s ? exec->now_s * 1000000 : exec->ports->ops->now_us(exec->ports);
    run->now_s = exec->now_s ? exec->now_s : now_us / 1000000;
    run->paged =
        exec->page_size > 0 && !(select->aggregated && !select->grouped) && !select->sorted;
    cqli_place_init(&run->seen, exec->arena);
    cqli_place_init(&run->given, exec->arena);
    exec->result.kind = CQL_RESULT_ROWS;
    exec->result.columns = exec->prepared->columns;
    exec->result.column_count = exec->prepared->column_count;
    exec->result.row_count = 0;
    exec->result.has_more = false;
    int rc = cqli_output_init(&run->output, select, exec, now_us);
    if (rc == BASE_OK)
        rc = cqli_select_plan(run);
    if (rc != BASE_OK) {
        finish(run, rc);
        return CQL_DONE;
    }
    if (exec->tracing)
        exec->ports->ops->trace(exec->ports, "Executing a read of %s of %.*s.%.*s",
                                run->is_range ? "a range of tokens" : "partitions",
                                BASE_SLICE_ARG(select->table->keyspace),
                                BASE_SLICE_ARG(select->table->name));
    return drive(run);
}

bool cqli_select_cancel(struct cql_exec *exec)
{
    struct cqli_select_run *run = exec->state;
    BASE_ASSERT(run);
    close_all(run);
    return true;
}
