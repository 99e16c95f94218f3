/* SELECT, executed: which reads, one row after another, pages (cql/select_private.h).
 *
 * A SELECT is a sequence of steps, each one read: the partitions of the statement in their order, or a range of tokens; after a page, first
 * the rest of the partition where it ended. Steps are taken in order; of partitions the next ones are opened ahead. Whether ports answer at
 * once or later, the same code goes on: `drive` loops until a port is PENDING, and `ready` enters it again.
 *
 * Invariants:
 * 1. One `drive` at a time: ports never call `ready` from inside a call, and only the current step's `ready` drives.
 * 2. A page ends only when a row is at hand that the next one begins with: has_more is never a guess, and no page that says it is empty.
 * 3. At the end, whatever it is, every read is closed and the row arena is freed, before the caller hears of it. */
#include "base/key.h"
#include "cql/select_private.h"

#define READS_AHEAD 8
#define CONSISTENCY_ANY 0 /* the native protocol's code */

enum slot_state {
    SLOT_CLOSED,
    SLOT_ASKED, /* PENDING */
    SLOT_IDLE,  /* to be asked */
    SLOT_READY, /* it has answered */
};
struct slot {
    struct cql_read read;
    struct base_read cmd;
    enum slot_state state;
    struct run *run;
};

struct place {
    struct base_buf pkey, ckey;
    uint64_t partition_rows_left;
};

struct run {
    struct cql_exec *exec;
    const struct cqli_select *select;
    struct cqli_places places;
    struct cqli_output output;
    uint64_t limit, partition_limit; /* UINT64_MAX: none */
    uint64_t rows_left, partition_rows_left;
    bool paged;
    /* steps */
    size_t step, step_count;
    size_t first_pkey;       /* the first step's partition */
    bool resumes, is_range;  /* resumes: the first step is the rest of a partition; is_range: the last step is tokens */
    struct cqli_paging from; /* where it resumes */
    struct base_slices rest; /* the slices of what is left of that partition */
    struct base_slice start_pkey;
    struct slot *slots;
    size_t slot_count, opened; /* steps that were opened, the current one included */
    uint64_t partition_rows_max, step_rows; /* rows that a partition can have at most; that this step gave */
    int64_t now_s;
    struct place seen, given; /* the last row that was looked at; … that is in the result */
};

static int fail(struct run *run, int rc)
{
    struct cql_exec *exec = run->exec;
    if (exec->err.code != rc)
        base_err_set(&exec->err, rc, "%s", base_err_words(rc));
    return rc;
}

/* --- places -------------------------------------------------------------------------------------------------------------- */

static void place_init(struct place *place, struct base_arena *arena)
{
    base_buf_init_in_arena(&place->pkey, arena, BASE_PKEY_LEN_MAX);
    base_buf_init_in_arena(&place->ckey, arena, BASE_CKEY_LEN_MAX);
}

static int place_set(struct place *place, struct base_slice pkey, struct base_slice ckey)
{
    int rc = BASE_OK;
    if (!base_slice_equal(base_buf_view(&place->pkey), pkey)) {
        base_buf_reset(&place->pkey);
        rc = base_buf_put_slice(&place->pkey, pkey);
    }
    base_buf_reset(&place->ckey);
    return rc == BASE_OK ? base_buf_put_slice(&place->ckey, ckey) : rc;
}

/* --- steps ----------------------------------------------------------------------------------------------------------------- */

static struct slot *slot_of(const struct run *run, size_t step)
{
    return &run->slots[step % run->slot_count];
}

static bool is_range_step(const struct run *run, size_t step)
{
    return run->is_range && step + 1 == run->step_count;
}

/* How many rows a read is asked for: those of the page and one to see that there is more; not more than there can be. */
static uint64_t rows_wanted(const struct run *run)
{
    if (run->select->aggregated)
        return run->partition_rows_max;
    uint64_t wanted = run->rows_left < run->partition_rows_max ? run->rows_left : run->partition_rows_max;
    if (run->paged) {
        uint64_t page = (uint64_t)run->exec->page_size - run->exec->result.row_count + 1;
        wanted = page < wanted ? page : wanted;
    }
    return wanted;
}

static void describe_step(struct run *run, size_t step, struct base_read *cmd)
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

static enum cql_answer drive(struct run *run);
static void ready(struct cql_read *read)
{
    struct slot *slot = read->ctx;
    struct run *run = slot->run;
    BASE_ASSERT(slot->state == SLOT_ASKED);
    slot->state = SLOT_IDLE;
    if (slot == slot_of(run, run->step) && drive(run) == CQL_DONE)
        cqli_exec_finish(run->exec);
}

static void ask(struct run *run, struct slot *slot)
{
    const struct cql_port_ops *ops = run->exec->ports->ops;
    slot->state = SLOT_ASKED;
    if (ops->read_next(run->exec->ports, &slot->read) == CQL_DONE)
        slot->state = SLOT_READY;
}

static void open_step(struct run *run, size_t step)
{
    struct slot *slot = slot_of(run, step);
    BASE_ASSERT(slot->state == SLOT_CLOSED);
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

static void close_slot(struct run *run, struct slot *slot)
{
    if (slot->state == SLOT_CLOSED)
        return;
    slot->state = SLOT_CLOSED;
    run->exec->ports->ops->read_close(run->exec->ports, &slot->read);
}

static void next_step(struct run *run)
{
    close_slot(run, slot_of(run, run->step));
    run->step++;
    run->step_rows = 0;
}

/* The current step and, of partitions, the next ones. */
static void open_ahead(struct run *run)
{
    while (run->opened < run->step_count && run->opened < run->step + run->slot_count) {
        if (run->opened > run->step && is_range_step(run, run->opened))
            return;
        open_step(run, run->opened++);
    }
}

/* Nothing more of the partition at hand is wanted. */
static int skip_partition(struct run *run)
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

/* --- rows --------------------------------------------------------------------------------------------------------------------- */

enum verdict { GO_ON, STOP, STOP_WITH_MORE };

static bool page_is_full(const struct run *run)
{
    return run->paged && run->exec->result.row_count >= (uint32_t)run->exec->page_size;
}

/* A row did not fit: the page ends before it, if it has any. */
static int row_does_not_fit(struct run *run, int rc, enum verdict *verdict)
{
    if (rc != BASE_E_LIMIT)
        return rc;
    if (run->paged && run->exec->result.row_count > 0) {
        *verdict = STOP_WITH_MORE;
        return BASE_OK;
    }
    return base_err_set(&run->exec->err, BASE_E_LIMIT, "The result is larger than %zu bytes%s", run->exec->result.rows.len_max,
                        run->paged ? "" : ": use paging");
}

static void note_given(struct run *run)
{
    if (run->rows_left != UINT64_MAX)
        run->rows_left--;
    if (run->partition_rows_left != UINT64_MAX)
        run->partition_rows_left--;
}

static int take_plain(struct run *run, const struct base_live_row *row, enum verdict *verdict)
{
    if (page_is_full(run)) {
        *verdict = STOP_WITH_MORE;
        return BASE_OK;
    }
    if (run->paged && run->partition_limit != UINT64_MAX && !base_slice_equal(base_buf_view(&run->given.pkey), row->pkey))
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
    return run->paged ? place_set(&run->given, row->pkey, row->ckey) : BASE_OK;
}

static int end_group(struct run *run, enum verdict *verdict)
{
    int rc = cqli_output_group(&run->output);
    if (rc != BASE_OK)
        return row_does_not_fit(run, rc, verdict);
    note_given(run);
    run->given.partition_rows_left = run->partition_rows_left;
    if (run->rows_left == 0)
        *verdict = STOP;
    return run->paged ? place_set(&run->given, base_buf_view(&run->seen.pkey), base_buf_view(&run->seen.ckey)) : BASE_OK;
}

static int take_into_group(struct run *run, const struct base_live_row *row, enum verdict *verdict)
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
        rc = place_set(&run->seen, row->pkey, row->ckey);
    return rc == BASE_OK ? cqli_output_add(o) : rc;
}

/* --- the end --------------------------------------------------------------------------------------------------------------------- */

static int put_paging_state(struct run *run)
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
static int end_rows(struct run *run, enum verdict *verdict)
{
    if (run->select->aggregated && (run->output.in_group || !run->select->grouped)) {
        if (!run->output.in_group)
            cqli_aggregation_reset(run->output.aggregation);
        return end_group(run, verdict);
    }
    return BASE_OK;
}

static void close_all(struct run *run)
{
    for (size_t i = 0; i < run->slot_count; i++)
        close_slot(run, &run->slots[i]);
    cqli_output_fini(&run->output);
}

static void finish(struct run *run, int rc)
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

/* One row, or the end of a step. */
static int take(struct run *run, struct slot *slot, enum verdict *verdict)
{
    struct cql_read *read = &slot->read;
    if (read->rc != BASE_OK) {
        run->exec->err = read->err;
        run->exec->outcome = read->outcome;
        return read->rc;
    }
    slot->state = SLOT_IDLE;
    if (read->row.pkey.len == 0) {
        next_step(run);
        return BASE_OK;
    }
    size_t step = run->step;
    int rc = run->select->aggregated ? take_into_group(run, &read->row, verdict) : take_plain(run, &read->row, verdict);
    if (rc == BASE_OK && *verdict == GO_ON && run->step == step && ++run->step_rows >= run->partition_rows_max)
        next_step(run);
    return rc;
}

static enum cql_answer drive(struct run *run)
{
    enum verdict verdict = GO_ON;
    int rc = BASE_OK;
    while (rc == BASE_OK && verdict == GO_ON && run->step < run->step_count) {
        open_ahead(run);
        struct slot *slot = slot_of(run, run->step);
        if (slot->state == SLOT_IDLE)
            ask(run, slot);
        if (slot->state == SLOT_ASKED)
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

/* --- the beginning ----------------------------------------------------------------------------------------------------------------- */

static int eval_limit(struct run *run, struct cqli_eval *eval, struct cqli_expr *expr, const char *name, uint64_t *out)
{
    struct cql_value value;
    *out = UINT64_MAX;
    if (!expr)
        return BASE_OK;
    int rc = cqli_expr_eval(expr, eval, &value);
    if (rc != BASE_OK || value.state == CQL_VALUE_UNSET)
        return rc;
    if (value.state == CQL_VALUE_NULL)
        return base_err_set(&run->exec->err, BASE_E_INVALID, "Invalid null value of limit");
    if (value.bytes.len != 4)
        return base_err_set(&run->exec->err, BASE_E_INVALID, "Invalid limit value");
    int32_t limit = (int32_t)base_get_be32(value.bytes.data);
    if (limit <= 0)
        return base_err_set(&run->exec->err, BASE_E_INVALID, "%s must be strictly positive", name);
    *out = (uint64_t)limit;
    return BASE_OK;
}

static int copy_with(struct run *run, struct base_slice ckey, uint8_t position, struct base_slice *out)
{
    uint8_t *bytes = base_arena_alloc_aligned(run->exec->arena, ckey.len, 1);
    if (!bytes)
        return BASE_E_NOMEM;
    memcpy(bytes, ckey.data, ckey.len);
    bytes[ckey.len - 1] = position;
    *out = base_slice(bytes, ckey.len);
    return BASE_OK;
}

/* The slices behind the row at `ckey` (before it, when reversed). */
static int cut_slices(struct run *run, struct base_slice ckey)
{
    const struct base_slices *all = &run->places.slices;
    bool reversed = run->select->reversed;
    struct base_slice cut = {0};
    int rc = copy_with(run, ckey, reversed ? BASE_KEY_BEFORE : BASE_KEY_AFTER, &cut);
    struct base_range *ranges = base_arena_alloc(run->exec->arena, (all->count + 1) * sizeof *ranges);
    if (rc != BASE_OK || !ranges)
        return BASE_E_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct base_range range = all->ranges[i];
        bool gone = reversed ? range.lo.len && base_slice_compare(range.lo, cut) >= 0 : range.hi.len && base_slice_compare(range.hi, cut) <= 0;
        if (gone)
            continue;
        if (!reversed && base_slice_compare(range.lo, cut) < 0)
            range.lo = cut;
        if (reversed && (range.hi.len == 0 || base_slice_compare(range.hi, cut) > 0))
            range.hi = cut;
        ranges[n++] = range;
    }
    run->rest = (struct base_slices){ranges, n};
    return BASE_OK;
}

static int bad_state(struct run *run)
{
    return base_err_set(&run->exec->err, BASE_E_INVALID, "Invalid value for the paging state: it is another statement's");
}

/* Is the state's place one where this statement looks? */
static int find_place(struct run *run)
{
    const struct cqli_places *places = &run->places;
    if (!places->pkeys) {
        int64_t token = base_token_get(run->from.pkey.data);
        return token > places->token_after && token <= places->token_upto ? BASE_OK : bad_state(run);
    }
    for (size_t i = 0; i < places->pkey_count; i++) {
        if (base_slice_equal(places->pkeys[i], run->from.pkey)) {
            run->first_pkey = i;
            return BASE_OK;
        }
    }
    return bad_state(run);
}

static int resume(struct run *run)
{
    int rc = cqli_paging_decode(run->exec->paging_state, run->select->table, &run->from, &run->exec->err);
    if (rc == BASE_OK)
        rc = find_place(run);
    if (rc != BASE_OK)
        return rc;
    if (run->from.rows_left < run->limit)
        run->rows_left = run->from.rows_left;
    if (run->from.partition_rows_left > run->partition_limit)
        run->from.partition_rows_left = run->partition_limit;
    bool rest = run->from.ckey.len && run->from.partition_rows_left && !run->select->distinct;
    if (rest && (rc = cut_slices(run, run->from.ckey)) != BASE_OK)
        return rc;
    run->resumes = rest && run->rest.count;
    run->partition_rows_left = run->from.partition_rows_left;
    if (run->is_range) {
        struct base_buf start;
        base_buf_init_in_arena(&start, run->exec->arena, BASE_PKEY_LEN_MAX + 1);
        rc = base_buf_put_slice(&start, run->from.pkey);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(&start, 0);
        run->start_pkey = base_buf_view(&start);
    }
    if (!run->resumes)
        run->first_pkey++;
    if (rc == BASE_OK)
        rc = place_set(&run->given, run->from.pkey, run->from.ckey);
    return rc == BASE_OK ? place_set(&run->seen, run->from.pkey, run->from.ckey) : rc;
}

/* Slices that are rows, or a table without clustering columns: then it is known when a partition has no more. */
static uint64_t most_rows_of_partition(const struct run *run)
{
    const struct base_slices *slices = &run->places.slices;
    if (run->is_range)
        return UINT64_MAX;
    if (run->select->table->clustering_count == 0)
        return 1;
    for (size_t i = 0; i < slices->count; i++) {
        struct base_slice lo = slices->ranges[i].lo;
        if (lo.len == 0 || lo.data[lo.len - 1] != BASE_KEY_AT)
            return UINT64_MAX;
    }
    return slices->count ? slices->count : UINT64_MAX;
}

static int plan(struct run *run)
{
    const struct cqli_places *places = &run->places;
    int rc = BASE_OK;
    run->is_range = !places->pkeys;
    run->rows_left = run->select->sorted ? UINT64_MAX : run->limit;
    run->partition_rows_left = run->partition_limit;
    run->partition_rows_max = most_rows_of_partition(run);
    if (places->nothing)
        return BASE_OK;
    if (run->exec->paging_state.len && !(run->select->aggregated && !run->select->grouped) && (rc = resume(run)) != BASE_OK)
        return rc;
    run->step_count = run->is_range ? 1 + (run->resumes ? 1 : 0) : places->pkey_count - run->first_pkey;
    run->slot_count = run->is_range ? 1 : run->step_count < READS_AHEAD ? run->step_count : READS_AHEAD;
    if (run->slot_count == 0)
        return BASE_OK;
    run->slots = base_arena_alloc(run->exec->arena, run->slot_count * sizeof *run->slots);
    if (!run->slots) {
        run->slot_count = 0;
        return BASE_E_NOMEM;
    }
    for (size_t i = 0; i < run->slot_count; i++)
        run->slots[i].state = SLOT_CLOSED;
    return BASE_OK;
}

static void warn(struct run *run)
{
    const struct cqli_restrictions *r = run->select->restrictions;
    if (run->select->aggregated && r->pk_count == 0 && !r->token)
        cqli_warn(run->exec, "Aggregation query used without partition key");
    else if (run->select->aggregated && r->key_is_in)
        cqli_warn(run->exec, "Aggregation query used on multiple partition keys (IN restriction)");
}

/* Cassandra refuses it only when there is something to read. */
static int check_sorting(struct run *run)
{
    if (run->select->sorted && run->exec->page_size > 0 && !run->places.nothing)
        return base_err_set(&run->exec->err, BASE_E_INVALID,
                            "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you must either remove the "
                            "ORDER BY or the IN and sort client side, or disable paging for this query");
    return BASE_OK;
}

static int begin(struct run *run)
{
    int rc = BASE_OK;
    struct cqli_eval eval = run->output.eval;
    eval.arena = run->exec->arena; /* places outlive the rows */
    eval.row = NULL;
    if (run->exec->consistency == CONSISTENCY_ANY)
        rc = base_err_set(&run->exec->err, BASE_E_INVALID, "ANY ConsistencyLevel is only supported for writes");
    if (rc == BASE_OK)
        rc = cqli_restrictions_eval(run->select->restrictions, run->select->table, &eval, &run->places);
    if (rc == BASE_OK)
        rc = eval_limit(run, &eval, run->select->limit, "LIMIT", &run->limit);
    if (rc == BASE_OK)
        rc = eval_limit(run, &eval, run->select->partition_limit, "PER PARTITION LIMIT", &run->partition_limit);
    if (rc == BASE_OK)
        rc = check_sorting(run);
    if (rc == BASE_OK)
        rc = plan(run);
    return rc;
}

enum cql_answer cqli_select_start(struct cql_exec *exec)
{
    const struct cqli_select *select = exec->prepared->select;
    struct run *run = base_arena_alloc(exec->arena, sizeof *run);
    exec->state = run;
    if (!run) {
        exec->rc = base_err_set(&exec->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        return CQL_DONE;
    }
    *run = (struct run){.exec = exec, .select = select, .limit = UINT64_MAX, .partition_limit = UINT64_MAX};
    int64_t now_us = exec->now_s ? exec->now_s * 1000000 : exec->ports->ops->now_us(exec->ports);
    run->now_s = exec->now_s ? exec->now_s : now_us / 1000000;
    run->paged = exec->page_size > 0 && !(select->aggregated && !select->grouped) && !select->sorted;
    place_init(&run->seen, exec->arena);
    place_init(&run->given, exec->arena);
    exec->result.kind = CQL_RESULT_ROWS;
    exec->result.columns = exec->prepared->columns;
    exec->result.column_count = exec->prepared->column_count;
    exec->result.row_count = 0;
    exec->result.has_more = false;
    int rc = cqli_output_init(&run->output, select, exec, now_us);
    if (rc == BASE_OK)
        rc = begin(run);
    if (rc != BASE_OK) {
        finish(run, rc);
        return CQL_DONE;
    }
    warn(run);
    if (exec->tracing)
        exec->ports->ops->trace(exec->ports, run->is_range ? "Executing a range read on %.*s.%.*s" : "Executing a read of partitions of %.*s.%.*s",
                                BASE_SLICE_ARG(select->table->keyspace), BASE_SLICE_ARG(select->table->name));
    return drive(run);
}

bool cqli_select_cancel(struct cql_exec *exec)
{
    struct run *run = exec->state;
    BASE_ASSERT(run);
    close_all(run);
    return true;
}
