/* Where a SELECT looks when it is executed: its values make places (restrictions), its limits
 * numbers, and the paging state says from where on.
 *
 * The place in a paging state is the client's word: it must be where the statement looks, and
 * limits are never more than the statement's. */
#include "base/key.h"
#include "cql/select_private.h"

#define READS_AHEAD 8
#define CONSISTENCY_ANY 0 /* the native protocol's code */

void cqli_place_init(struct cqli_select_place *place, struct base_arena *arena)
{
    base_buf_init_in_arena(&place->pkey, arena, BASE_PKEY_LEN_MAX);
    base_buf_init_in_arena(&place->ckey, arena, BASE_CKEY_LEN_MAX);
}

int cqli_place_set(struct cqli_select_place *place, struct base_slice pkey, struct base_slice ckey)
{
    int rc = BASE_OK;
    if (!base_slice_equal(base_buf_view(&place->pkey), pkey)) {
        base_buf_reset(&place->pkey);
        rc = base_buf_put_slice(&place->pkey, pkey);
    }
    base_buf_reset(&place->ckey);
    return rc == BASE_OK ? base_buf_put_slice(&place->ckey, ckey) : rc;
}

static int eval_limit(struct cqli_select_run *run, struct cqli_eval *eval, struct cqli_expr *expr,
                      const char *name, uint64_t *out)
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

static int copy_with(struct cqli_select_run *run, struct base_slice ckey, uint8_t position,
                     struct base_slice *out)
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
static int cut_slices(struct cqli_select_run *run, struct base_slice ckey)
{
    const struct base_slices *all = &run->places.slices;
    bool reversed = run->select->reversed;
    struct base_slice cut = {0};
    int rc = copy_with(run, ckey, reversed ? BASE_KEY_BEFORE : BASE_KEY_AFTER, &cut);
    struct base_range *ranges =
        base_arena_alloc(run->exec->arena, (all->count + 1) * sizeof *ranges);
    if (rc != BASE_OK || !ranges)
        return BASE_E_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct base_range range = all->ranges[i];
        bool gone = reversed ? range.lo.len && base_slice_compare(range.lo, cut) >= 0
                             : range.hi.len && base_slice_compare(range.hi, cut) <= 0;
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

static int bad_state(struct cqli_select_run *run)
{
    return base_err_set(&run->exec->err, BASE_E_INVALID,
                        "Invalid value for the paging state: it is another statement's");
}

/* Is the state's place one where this statement looks? */
static int find_place(struct cqli_select_run *run)
{
    const struct cqli_places *places = &run->places;
    if (!places->pkeys) {
        int64_t token = base_token_get(run->from.pkey.data);
        return token > places->token_after && token <= places->token_upto ? BASE_OK
                                                                          : bad_state(run);
    }
    for (size_t i = 0; i < places->pkey_count; i++) {
        if (base_slice_equal(places->pkeys[i], run->from.pkey)) {
            run->first_pkey = i;
            return BASE_OK;
        }
    }
    return bad_state(run);
}

static int resume(struct cqli_select_run *run)
{
    int rc = cqli_paging_decode(run->exec->paging_state, run->select->table, &run->from,
                                &run->exec->err);
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
        rc = cqli_place_set(&run->given, run->from.pkey, run->from.ckey);
    return rc == BASE_OK ? cqli_place_set(&run->seen, run->from.pkey, run->from.ckey) : rc;
}

/* Slices that are rows, or a table without clustering columns: then it is known when a partition
 * has no more. */
static uint64_t most_rows_of_partition(const struct cqli_select_run *run)
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

static int plan(struct cqli_select_run *run)
{
    const struct cqli_places *places = &run->places;
    int rc = BASE_OK;
    run->is_range = !places->pkeys;
    run->rows_left = run->select->sorted ? UINT64_MAX : run->limit;
    run->partition_rows_left = run->partition_limit;
    run->partition_rows_max = most_rows_of_partition(run);
    if (places->nothing)
        return BASE_OK;
    if (run->exec->paging_state.len && !(run->select->aggregated && !run->select->grouped) &&
        (rc = resume(run)) != BASE_OK)
        return rc;
    run->step_count =
        run->is_range ? 1 + (run->resumes ? 1 : 0) : places->pkey_count - run->first_pkey;
    run->slot_count = run->is_range                   ? 1
                      : run->step_count < READS_AHEAD ? run->step_count
                                                      : READS_AHEAD;
    if (run->slot_count == 0)
        return BASE_OK;
    run->slots = base_arena_alloc(run->exec->arena, run->slot_count * sizeof *run->slots);
    if (!run->slots) {
        run->slot_count = 0;
        return BASE_E_NOMEM;
    }
    for (size_t i = 0; i < run->slot_count; i++)
        run->slots[i].state = CQLI_SLOT_CLOSED;
    return BASE_OK;
}

static void warn(struct cqli_select_run *run)
{
    const struct cqli_restrictions *r = run->select->restrictions;
    if (run->select->aggregated && r->pk_count == 0 && !r->token)
        cqli_warn(run->exec, "Aggregation query used without partition key");
    else if (run->select->aggregated && r->key_is_in)
        cqli_warn(run->exec, "Aggregation query used on multiple partition keys (IN restriction)");
}

/* Cassandra refuses it only when there is something to read. */
static int check_sorting(struct cqli_select_run *run)
{
    if (run->select->sorted && run->exec->page_size > 0 && !run->places.nothing)
        return base_err_set(
            &run->exec->err, BASE_E_INVALID,
            "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you "
            "must either remove the "
            "ORDER BY or the IN and sort client side, or disable paging for this query");
    return BASE_OK;
}

int cqli_select_plan(struct cqli_select_run *run)
{
    int rc = BASE_OK;
    struct cqli_eval eval = run->output.eval;
    eval.arena = run->exec->arena; /* places outlive the rows */
    eval.row = NULL;
    if (run->exec->consistency == CONSISTENCY_ANY)
        rc = base_err_set(&run->exec->err, BASE_E_INVALID,
                          "ANY ConsistencyLevel is only supported for writes");
    if (rc == BASE_OK)
        rc = cqli_restrictions_eval(run->select->restrictions, run->select->table, &eval,
                                    &run->places);
    if (rc == BASE_OK)
        rc = eval_limit(run, &eval, run->select->limit, "LIMIT", &run->limit);
    if (rc == BASE_OK)
        rc = eval_limit(run, &eval, run->select->partition_limit, "PER PARTITION LIMIT",
                        &run->partition_limit);
    if (rc == BASE_OK)
        rc = check_sorting(run);
    if (rc == BASE_OK)
        rc = plan(run);
    if (rc == BASE_OK)
        warn(run);
    return rc;
}
