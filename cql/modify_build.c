/* One statement of an execution: its values, its places (partitions and rows), its changes.
 *
 * Invariants:
 *  1. Everything is evaluated, and every value checked, before the first change is gathered.
 *  2. Values are evaluated once, for all rows that the statement is about.
 *  3. The common statement, one row of plain cells, takes one pass: two keys and a row in the
 *     arena, nothing else. */
#include "cql/modify_private.h"

static int fail(struct cqli_update *u, const char *text)
{
    return base_err_set(u->eval.err, BASE_E_INVALID, "%s", text);
}

/* USING. */

static int eval_timestamp(struct cqli_update *u, int64_t otherwise)
{
    struct cql_value value;
    u->ts = otherwise;
    if (u->m->timestamp && !u->run->conditional) {
        int rc = cqli_expr_eval(u->m->timestamp, &u->eval, &value);
        if (rc != BASE_OK)
            return rc;
        if (value.state == CQL_VALUE_NULL)
            return fail(u, "Invalid null value of timestamp");
        if (value.state == CQL_VALUE_SET && value.bytes.len != 8)
            return fail(u, "Invalid timestamp value: it has no 8 bytes");
        if (value.state == CQL_VALUE_SET)
            u->ts = (int64_t)base_get_be64(value.bytes.data);
    }
    /* The least one says that there is none, and what is assigned to is deleted a microsecond
     * earlier. */
    if (u->ts < INT64_MIN + 2)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "Out of bound timestamp, must be in [%lld, %lld]",
                            (long long)INT64_MIN + 2, (long long)INT64_MAX);
    if (u->ts > u->eval.now_us + BASE_TS_AHEAD_MAX_US)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "The timestamp %lld is more than a day ahead of the clock "
                            "(microseconds since 1970): it would hide all later writes",
                            (long long)u->ts);
    return BASE_OK;
}

static int eval_ttl(struct cqli_update *u)
{
    struct cql_value value;
    if (u->m->kind == CQL_DELETE)
        return BASE_OK;
    u->ttl = u->m->table->options.default_time_to_live_s;
    if (u->m->ttl) {
        int rc = cqli_expr_eval(u->m->ttl, &u->eval, &value);
        if (rc != BASE_OK)
            return rc;
        if (value.state == CQL_VALUE_SET && value.bytes.len != 4)
            return fail(u, "Invalid TTL value: it has no 4 bytes");
        if (value.state != CQL_VALUE_UNSET) /* null, as 0: none, whatever the table says */
            u->ttl = value.state == CQL_VALUE_SET ? (int32_t)base_get_be32(value.bytes.data) : 0;
        if (u->ttl < 0)
            return base_err_set(u->eval.err, BASE_E_INVALID,
                                "A TTL must be greater or equal to 0, but was %d", u->ttl);
        if (u->ttl > BASE_TTL_MAX)
            return base_err_set(u->eval.err, BASE_E_INVALID,
                                "ttl is too large. requested (%d) maximum (%d)", u->ttl,
                                BASE_TTL_MAX);
    }
    int64_t at = u->now_s + u->ttl;
    u->expires_s = at < BASE_EXPIRES_MAX ? at : BASE_EXPIRES_MAX;
    return BASE_OK;
}

/* INSERT's keys. */

static int check_key(struct cqli_update *u, size_t i, const struct cql_value *value)
{
    if (BASE_LIKELY(value->state == CQL_VALUE_SET))
        return BASE_OK;
    return base_err_set(u->eval.err, BASE_E_INVALID,
                        value->state == CQL_VALUE_NULL
                            ? "Invalid null value in condition for column %.*s"
                            : "Invalid unset value for column %.*s",
                        BASE_SLICE_ARG(u->m->table->columns[i].name));
}

static int eval_keys(struct cqli_update *u, struct cql_value *keys, size_t count)
{
    int rc = u->m->json ? cqli_json_eval(u, keys) : BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        if (!u->m->json)
            rc = cqli_expr_eval(u->m->keys[i], &u->eval, &keys[i]);
        if (rc == BASE_OK)
            rc = check_key(u, i, &keys[i]);
    }
    return rc;
}

static int build_pkey(struct cqli_update *u, const struct cql_value *keys, struct base_slice *out)
{
    size_t n = u->m->table->partition_key_count, len = 0;
    struct base_slice one,
        *values = n == 1 ? &one : base_arena_alloc(u->eval.arena, n * sizeof *values);
    struct base_buf pk, pkey;
    if (!values)
        return cqli_no_room(u->eval.err, BASE_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        values[i] = keys[i].bytes;
        len += values[i].len + (n > 1 ? 3 : 0);
    }
    if (len > BASE_PK_LEN_MAX)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "Key length of %zu is longer than maximum of %d", len, BASE_PK_LEN_MAX);
    struct base_slice whole = values[0];
    base_buf_init_in_arena(&pk, u->eval.arena, BASE_PK_LEN_MAX);
    if (n > 1 || len == 0) {
        int rc = base_pk_compose(values, n, &pk, u->eval.err);
        if (rc != BASE_OK)
            return rc;
        whole = base_buf_view(&pk);
    }
    base_buf_init_in_arena(&pkey, u->eval.arena, BASE_PKEY_LEN_MAX);
    int rc = base_pkey_put(whole, &pkey);
    *out = base_buf_view(&pkey);
    return rc == BASE_OK ? rc : cqli_no_room(u->eval.err, rc);
}

/* The values' own bytes, where the key does not keep them (decimal 1.00). */
static int build_originals(struct cqli_update *u, const struct base_slice *values, size_t count)
{
    struct base_buf out;
    base_buf_init_in_arena(&out, u->eval.arena, CQLI_WRITE_LEN_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = base_buf_put_bytes(&out, values[i]);
        if (rc != BASE_OK)
            return cqli_no_room(u->eval.err, rc);
    }
    u->originals = base_buf_view(&out);
    return BASE_OK;
}

static int build_ckey(struct cqli_update *u, const struct base_slice *values,
                      struct base_slice *out)
{
    const struct base_table *table = u->m->table;
    const struct base_column *columns = table->columns + table->partition_key_count;
    struct base_buf ckey;
    bool exact = true;
    size_t len = 0;
    for (size_t i = 0; i < table->clustering_count; i++)
        len += values[i].len;
    if (len > BASE_CKEY_LEN_MAX)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "The sum of all clustering columns is too long (%zu > %d)", len,
                            BASE_CKEY_LEN_MAX);
    base_buf_init_in_arena(&ckey, u->eval.arena, SIZE_MAX / 4);
    for (size_t i = 0; i < table->clustering_count; i++) {
        int rc = base_ckey_put(columns[i].type, columns[i].descending, values[i], &ckey, &exact,
                               u->eval.err);
        if (rc != BASE_OK)
            return base_err_wrap(u->eval.err, rc, "column %.*s", BASE_SLICE_ARG(columns[i].name));
    }
    int rc = base_ckey_end(BASE_KEY_AT, &ckey);
    if (rc != BASE_OK)
        return cqli_no_room(u->eval.err, rc);
    if (ckey.len > BASE_CKEY_LEN_MAX)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "The sum of all clustering columns is too long (%zu > %d)", ckey.len,
                            BASE_CKEY_LEN_MAX);
    *out = base_buf_view(&ckey);
    return exact ? BASE_OK : build_originals(u, values, table->clustering_count);
}

static int insert_place(struct cqli_update *u)
{
    const struct base_table *table = u->m->table;
    size_t partition = table->partition_key_count,
           count = partition + (u->m->has_row ? table->clustering_count : 0);
    struct cql_value *keys =
        base_arena_alloc(u->eval.arena, (partition + table->clustering_count) * sizeof *keys);
    struct base_slice *values =
        base_arena_alloc(u->eval.arena, (table->clustering_count + 1) * sizeof *values);
    struct base_slice *pkey = base_arena_alloc(u->eval.arena, sizeof *pkey);
    struct base_range *range = base_arena_alloc(u->eval.arena, sizeof *range);
    if (!keys || !values || !pkey || !range)
        return cqli_no_room(u->eval.err, BASE_E_NOMEM);
    int rc = eval_keys(u, keys, count);
    if (rc == BASE_OK)
        rc = build_pkey(u, keys, pkey);
    for (size_t i = partition; rc == BASE_OK && i < count; i++)
        values[i - partition] = keys[i].bytes;
    if (rc == BASE_OK && u->m->has_row)
        rc = build_ckey(u, values, &range->lo);
    if (rc != BASE_OK)
        return rc;
    range->hi = range->lo;
    u->places = (struct cqli_places){.pkeys = pkey,
                                     .pkey_count = 1,
                                     .slices = {range, u->m->has_row},
                                     .static_only = !u->m->has_row};
    return BASE_OK;
}

/* Places of UPDATE and DELETE. */

static bool is_row(const struct base_range *range)
{
    return range->lo.len && range->lo.data[range->lo.len - 1] == BASE_KEY_AT;
}

/* A table without clustering columns has one row a partition. */
static const uint8_t only_row[] = {BASE_KEY_AT};
static const struct base_range only_row_range = {{only_row, 1}, {only_row, 1}};

/* The row that UPDATE may make keeps its clustering values as they were given. (Of several rows, by
 * IN, the key's form is kept.) */
static int keep_originals(struct cqli_update *u)
{
    struct base_slice *values = base_arena_alloc(u->eval.arena,
                                                 u->m->table->clustering_count * sizeof *values),
                      ckey;
    bool one;
    if (!values)
        return cqli_no_room(u->eval.err, BASE_E_NOMEM);
    int rc = cqli_restrictions_row(u->m->where, &u->eval, values, &one);
    return rc == BASE_OK && one ? build_ckey(u, values, &ckey) : rc;
}

static int find_places(struct cqli_update *u)
{
    const struct cqli_modify *m = u->m;
    int rc = cqli_restrictions_eval(m->where, m->table, &u->eval, &u->places);
    if (rc != BASE_OK || u->places.nothing)
        return rc;
    if (m->table->clustering_count == 0)
        u->places.slices = (struct base_slices){&only_row_range, 1};
    else if (!m->has_row)
        u->places.slices = (struct base_slices){NULL, 0};
    bool conditional = m->if_kind != CQLI_IF_NONE;
    if (conditional && u->places.pkey_count > 1)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "IN on the partition key is not supported with conditional %s",
                            m->kind == CQL_UPDATE ? "updates" : "deletions");
    if (conditional && u->places.slices.count > 1)
        return base_err_set(u->eval.err, BASE_E_INVALID,
                            "IN on the clustering key columns is not supported with conditional %s",
                            m->kind == CQL_UPDATE ? "updates" : "deletions");
    for (size_t i = 0; m->has_row && i < u->places.slices.count; i++) {
        if (is_row(&u->places.slices.ranges[i]))
            continue;
        if (m->kind == CQL_UPDATE)
            return fail(u, "Slice restrictions are not supported on the clustering columns in "
                           "UPDATE statements");
        if (conditional)
            return fail(u, "DELETE statements must restrict all PRIMARY KEY columns with equality "
                           "relations in order to delete non static columns");
        if (m->operation_count)
            return fail(u, "Range deletions are not supported for specific columns");
    }
    if (m->inexact && m->has_row && u->places.slices.count == 1)
        return keep_originals(u);
    return BASE_OK;
}

/* Values. */

static int eval_operands(struct cqli_update *u)
{
    const struct cqli_modify *m = u->m;
    for (size_t i = 0; i < m->operation_count; i++) {
        const struct cqli_operation *op = &m->operations[i];
        struct cqli_operands *to = &u->operands[i];
        int rc = BASE_OK;
        if (op->element)
            rc = cqli_expr_eval(op->element, &u->eval, &to->element);
        if (rc == BASE_OK && op->value)
            rc = cqli_expr_eval(op->value, &u->eval, &to->value);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int cqli_update_begin(struct cqli_run *run, const struct cqli_item *item, int64_t ts,
                      struct cqli_update *u)
{
    struct cql_exec *exec = run->exec;
    *u = (struct cqli_update){
        .m = item->m,
        .eval = {.arena = exec->arena,
                 .values = item->values,
                 .value_count = item->value_count,
                 .ports = exec->ports,
                 .now_us = run->now_us,
                 .err = &exec->err},
        .now_s = run->now_s,
        .run = run,
    };
    /* Zeroes: a deletion has no operand, and its size counts as nothing. */
    u->operands =
        base_arena_zalloc(exec->arena, (item->m->operation_count + 1) * sizeof *u->operands);
    if (!u->operands)
        return cqli_no_room(&exec->err, BASE_E_NOMEM);
    int rc = eval_timestamp(u, ts);
    if (rc == BASE_OK)
        rc = eval_ttl(u);
    if (rc == BASE_OK)
        rc = item->m->kind == CQL_INSERT ? insert_place(u) : find_places(u);
    return rc == BASE_OK ? eval_operands(u) : rc;
}

/* Rows. */

static struct base_slice take_existing(struct cqli_update *u, size_t partition,
                                       struct base_slice ckey)
{
    const struct cqli_found *found;
    for (; (found = u->found); u->found = found->next) {
        int c = found->partition == partition  ? base_slice_compare(found->ckey, ckey)
                : found->partition < partition ? -1
                                               : 1;
        if (c >= 0)
            return c == 0 ? found->row : (struct base_slice){0};
    }
    return (struct base_slice){0};
}

/* Bytes that a row of these operations takes, if nothing of it is a collection. */
static size_t row_size(const struct cqli_update *u, size_t from, size_t to)
{
    size_t size = 64 + u->originals.len;
    for (size_t i = from; i < to; i++)
        size +=
            32 + (u->operands[i].value.state == CQL_VALUE_SET ? u->operands[i].value.bytes.len : 0);
    return size;
}

/* Operations [from, to) as a row; static when ckey is empty. */
static int build_row(struct cqli_update *u, size_t partition, struct base_slice ckey, size_t from,
                     size_t to, struct base_slice *out)
{
    const struct cqli_modify *m = u->m;
    struct base_row_builder row;
    struct base_buf bytes;
    base_buf_init_in_arena(&bytes, u->eval.arena, CQLI_WRITE_LEN_MAX);
    struct base_slice existing =
        m->reads ? take_existing(u, partition, ckey) : (struct base_slice){0};
    int rc = base_buf_reserve(&bytes, row_size(u, from, to));
    if (rc == BASE_OK)
        rc = base_row_begin(&row, &bytes, u->ts);
    if (rc == BASE_OK && ckey.len && m->kind == CQL_INSERT)
        rc = base_row_put_liveness(&row, u->ttl, u->expires_s);
    if (rc == BASE_OK && ckey.len)
        rc = base_row_put_originals(&row, u->originals);
    if (rc != BASE_OK)
        return cqli_no_room(u->eval.err, rc);
    for (size_t n; from < to; from += n) {
        for (n = 1; from + n < to && m->operations[from + n].column == m->operations[from].column;)
            n++;
        rc = cqli_cells_put(u, &row, from, n, existing);
        if (rc != BASE_OK)
            return rc;
    }
    base_row_end(&row);
    *out = base_buf_view(&bytes);
    return BASE_OK;
}

static int row_deletion(struct cqli_update *u, struct base_slice *out)
{
    struct base_row_builder row;
    struct base_buf bytes;
    base_buf_init_in_arena(&bytes, u->eval.arena, 256);
    int rc = base_row_begin(&row, &bytes, u->ts);
    if (rc == BASE_OK)
        rc = base_row_put_deletion(&row, (struct base_deletion){u->ts, u->now_s});
    if (rc != BASE_OK)
        return cqli_no_room(u->eval.err, rc);
    base_row_end(&row);
    *out = base_buf_view(&bytes);
    return BASE_OK;
}

/* DELETE without columns. */
static int build_deletion(struct cqli_update *u, struct cqli_mutations *all,
                          struct cqli_partition *to)
{
    static const uint8_t first[] = {BASE_KEY_BEFORE}, last[] = {BASE_KEY_AFTER};
    struct base_deletion deletion = {u->ts, u->now_s};
    if (!u->m->has_row || u->m->table->clustering_count == 0) {
        to->deletion = base_deletion_max(to->deletion, deletion);
        return BASE_OK;
    }
    for (size_t i = 0; i < u->places.slices.count; i++) {
        const struct base_range *range = &u->places.slices.ranges[i];
        struct base_slice row;
        int rc;
        if (is_row(range)) {
            rc = row_deletion(u, &row);
            if (rc == BASE_OK)
                rc = cqli_mutations_row(all, to, range->lo, row);
        } else {
            rc = cqli_mutations_range(all, to, range->lo.len ? range->lo : base_slice(first, 1),
                                      range->hi.len ? range->hi : base_slice(last, 1), deletion);
        }
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int build_partition(struct cqli_update *u, struct cqli_mutations *all, size_t partition)
{
    const struct cqli_modify *m = u->m;
    struct cqli_partition *to;
    struct base_slice row;
    int rc = cqli_mutations_partition(all, m->table, u->places.pkeys[partition], &to);
    if (rc == BASE_OK && m->kind == CQL_DELETE && m->operation_count == 0)
        return build_deletion(u, all, to);
    if (rc == BASE_OK && m->static_count) {
        rc = build_row(u, partition, (struct base_slice){0}, 0, m->static_count, &row);
        if (rc == BASE_OK)
            rc = cqli_mutations_static(all, to, row);
    }
    for (size_t i = 0; rc == BASE_OK && m->has_row && i < u->places.slices.count; i++) {
        struct base_slice ckey = u->places.slices.ranges[i].lo;
        rc = build_row(u, partition, ckey, m->static_count, m->operation_count, &row);
        if (rc == BASE_OK)
            rc = cqli_mutations_row(all, to, ckey, row);
    }
    return rc;
}

int cqli_update_build(struct cqli_update *u, struct cqli_mutations *all)
{
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && !u->places.nothing && i < u->places.pkey_count; i++)
        rc = build_partition(u, all, i);
    return rc;
}
