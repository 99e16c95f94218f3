/* A table in memory behind fake ports, which answer DONE or PENDING as a seed says: what the tests
 * of SELECT and WHERE talk to. */
#ifndef TESTS_UNIT_CQL_DATA_LIB_H
#define TESTS_UNIT_CQL_DATA_LIB_H

#include "base/collection.h"
#include "base/key.h"
#include "cql/exec.h"
#include "tests/lib/rng.h"
#include "tests/unit/cql/script.h"

/* The data. */

struct stored {
    struct base_uuid table;            /* its id: a change of the schema makes all tables anew */
    struct base_slice pkey, ckey, row; /* ckey one byte, STATIC: the static row */
};
static struct stored stored[20000];
static size_t stored_count;
static int64_t write_us = 1000000;

static inline void data_reset(void)
{
    stored_count = 0;
}

static int stored_compare(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;
    int c = memcmp(x->table.b, y->table.b, sizeof x->table.b);
    if (c == 0)
        c = base_slice_compare(x->pkey, y->pkey);
    return c ? c : base_slice_compare(x->ckey, y->ckey);
}

/* "k=1;c=2;v=hello": a column's text, borrowed; data NULL: not given. */
static inline struct base_slice said(const char *text, struct base_slice name)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ";");
        if (len > name.len && memcmp(p, name.data, name.len) == 0 && p[name.len] == '=')
            return base_slice(p + name.len + 1, len - name.len - 1);
        p += len + (p[len] == ';');
    }
    return (struct base_slice){0};
}

static inline struct base_slice as_value(const struct base_type *type, struct base_slice text)
{
    struct base_buf buf;
    base_buf_init_in_arena(&buf, &arena, 1 << 20);
    struct base_sql_value v = {.kind = BASE_SQL_TEXT, .bytes = text};
    if (type->kind == BASE_TYPE_TEXT)
        return text;
    int rc = base_value_from_sql(type, &v, &buf, &err);
    ck_assert_msg(rc == BASE_OK, "%.*s: %s", BASE_SLICE_ARG(text), err.text);
    return base_buf_view(&buf);
}

static inline void put_cells(struct base_row_builder *b, const struct base_column *column,
                             struct base_slice value, int32_t ttl)
{
    struct base_cell cell = {.column = column->id, .ts = write_us, .value = value};
    if (ttl) {
        cell.flags |= BASE_CELL_EXPIRING;
        cell.ttl = ttl;
        cell.local_s = 1000 + ttl;
    }
    if (!base_type_is_multicell(column->type)) {
        ck_assert_int_eq(base_row_put_cell(b, &cell), BASE_OK);
        return;
    }
    struct base_explode it;
    bool end;
    ck_assert_int_eq(base_explode_begin(&it, column->type, value, &err), BASE_OK);
    for (uint32_t i = 0;; i++) {
        uint8_t node[8] = {0};
        struct base_uuid place = base_list_place(1000 + i, node);
        int rc = base_explode_next(&it, column->type->kind == BASE_TYPE_LIST ? &place : NULL, &cell,
                                   &end, &err);
        ck_assert_msg(rc == BASE_OK, "%s", err.text);
        if (end)
            break;
        ck_assert_int_eq(base_row_put_cell(b, &cell), BASE_OK);
    }
    base_explode_fini(&it);
}

/* The columns of a kind that are said, as a row; empty when none is. */
static inline struct base_slice as_row(const struct base_table *t, const char *text, bool statics,
                                       int32_t ttl, bool liveness)
{
    struct base_buf buf;
    struct base_row_builder b;
    base_buf_init_in_arena(&buf, &arena, 1 << 20);
    ck_assert_int_eq(base_row_begin(&b, &buf, write_us), BASE_OK);
    if (!statics && liveness)
        ck_assert_int_eq(base_row_put_liveness(&b, ttl, 1000 + ttl), BASE_OK);
    for (uint32_t id = 1; id < t->next_column_id; id++) {
        const struct base_column *column = base_table_column_by_id(t, id);
        if (!column || column->kind != (statics ? BASE_COLUMN_STATIC : BASE_COLUMN_REGULAR))
            continue;
        struct base_slice value = said(text, column->name);
        if (value.data)
            put_cells(&b, column, as_value(column->type, value), ttl);
    }
    base_row_end(&b);
    return base_buf_view(&buf);
}

static inline void store(const struct base_table *t, struct base_slice pkey, struct base_slice ckey,
                         struct base_slice row)
{
    ck_assert_uint_lt(stored_count, BASE_COUNT(stored));
    stored[stored_count++] = (struct stored){t->id, pkey, ckey, row};
    qsort(stored, stored_count, sizeof *stored, stored_compare);
}

static inline struct base_slice pkey_said(const struct base_table *t, const char *text)
{
    struct base_slice values[16];
    struct base_buf pk, pkey;
    base_buf_init_in_arena(&pk, &arena, 1 << 16);
    base_buf_init_in_arena(&pkey, &arena, 1 << 18);
    for (size_t i = 0; i < t->partition_key_count; i++)
        values[i] = as_value(t->columns[i].type, said(text, t->columns[i].name));
    ck_assert_int_eq(base_pk_compose(values, t->partition_key_count, &pk, &err), BASE_OK);
    ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), &pkey), BASE_OK);
    return base_buf_view(&pkey);
}

/* INSERT: "k=1;c=2;v=hello;tags=[\"a\"]". A row when all clustering columns are given; a static row
 * when a static column is. */
static inline void insert_ttl(const char *name, const char *text, int32_t ttl, bool liveness)
{
    const struct base_table *t = table(name);
    struct base_slice pkey = pkey_said(t, text);
    struct base_buf ckey;
    bool whole = true, exact = true;
    base_buf_init_in_arena(&ckey, &arena, 1 << 16);
    for (size_t i = 0; i < t->clustering_count; i++) {
        const struct base_column *column = &t->columns[t->partition_key_count + i];
        struct base_slice value = said(text, column->name);
        whole = whole && value.data;
        if (whole)
            ck_assert_int_eq(base_ckey_put(column->type, column->descending,
                                           as_value(column->type, value), &ckey, &exact, &err),
                             BASE_OK);
    }
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
    if (whole)
        store(t, pkey, base_buf_view(&ckey), as_row(t, text, false, ttl, liveness));
    struct base_slice statics = as_row(t, text, true, ttl, false);
    static const uint8_t static_key = BASE_KEY_STATIC;
    if (statics.len)
        store(t, pkey, base_slice(&static_key, 1), statics);
}
static inline void insert(const char *name, const char *text)
{
    insert_ttl(name, text, 0, true);
}

/* A stream of it. */

struct data_source {
    struct base_source source;
    const struct base_read *cmd;
    const struct base_table *table;
    size_t at;           /* the next partition's first */
    size_t first, count; /* the current partition's rows */
    size_t given;
};

static bool in_range(const struct base_read *cmd, struct base_slice pkey)
{
    if (cmd->pkey.len)
        return base_slice_equal(cmd->pkey, pkey);
    int64_t token = base_token_get(pkey.data);
    return token > cmd->token_after && token <= cmd->token_upto &&
           base_slice_compare(pkey, cmd->start_pkey) >= 0;
}

static bool in_slices(const struct base_slices *slices, struct base_slice ckey)
{
    for (size_t i = 0; i < slices->count; i++) {
        const struct base_range *r = &slices->ranges[i];
        if (base_slice_compare(ckey, r->lo) >= 0 &&
            (r->hi.len == 0 || base_slice_compare(ckey, r->hi) <= 0))
            return true;
    }
    return false;
}

static int data_partition(struct base_source *src, struct base_partition *out, struct base_err *e)
{
    struct data_source *s = BASE_CONTAINER(src, struct data_source, source);
    (void)e;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    while (s->at < stored_count && (!base_uuid_equal(stored[s->at].table, s->table->id) ||
                                    !in_range(s->cmd, stored[s->at].pkey)))
        s->at++;
    if (s->at == stored_count)
        return BASE_OK;
    s->first = s->at;
    s->given = 0;
    out->pkey = stored[s->first].pkey;
    while (s->at < stored_count && base_uuid_equal(stored[s->at].table, s->table->id) &&
           base_slice_equal(stored[s->at].pkey, out->pkey))
        s->at++;
    s->count = s->at - s->first;
    if (stored[s->first].ckey.data[0] == BASE_KEY_STATIC) {
        out->static_row = stored[s->first].row;
        s->first++;
        s->count--;
    }
    return BASE_OK;
}

static int data_next(struct base_source *src, struct base_item *out, struct base_err *e)
{
    struct data_source *s = BASE_CONTAINER(src, struct data_source, source);
    (void)e;
    *out = (struct base_item){.kind = BASE_ITEM_END};
    while (s->given < s->count) {
        size_t i = s->cmd->reversed ? s->first + s->count - 1 - s->given : s->first + s->given;
        s->given++;
        if (!in_slices(&s->cmd->slices, stored[i].ckey))
            continue;
        *out =
            (struct base_item){.kind = BASE_ITEM_ROW, .ckey = stored[i].ckey, .row = stored[i].row};
        break;
    }
    return BASE_OK;
}

static void data_close(struct base_source *src)
{
    free(BASE_CONTAINER(src, struct data_source, source));
}
static const struct base_source_ops data_ops = {data_partition, data_next, data_close};

/* Ports. */

struct data_read {
    struct base_rows rows;
    struct cql_read *read;
    bool pending, answered; /* answered: `ready` was called, and the next call is answered */
};
static struct {
    struct cql_ports ports;
    struct rng rng;
    unsigned pending_percent;
    struct data_read *pending[64];
    size_t pending_count;
    size_t open, opened, asked, rows_read; /* reads that are open; were opened; calls; rows given */
    int fail_after;                        /* rows until a read fails; -1: never */
} world;
static int64_t data_now_us = 1000000000; /* second 1000 */

static int64_t data_clock(struct cql_ports *p)
{
    (void)p;
    return data_now_us;
}
static void data_random(struct cql_ports *p, void *out, size_t len)
{
    (void)p;
    memset(out, 7, len);
}

static void data_fetch(struct data_read *r)
{
    base_err_clear(&r->read->err);
    if (world.fail_after >= 0 && world.fail_after-- == 0) {
        r->read->rc =
            base_err_set(&r->read->err, BASE_E_UNAVAILABLE, "Cannot achieve consistency level ONE");
        r->read->outcome = (struct cql_outcome){.required = 1, .alive = 0};
        return;
    }
    r->read->rc = base_rows_next(&r->rows, &r->read->row, &r->read->err);
    world.rows_read += r->read->row.pkey.len > 0;
}

static enum cql_answer data_read_next(struct cql_ports *ports, struct cql_read *read)
{
    (void)ports;
    struct data_read *r = read->state;
    world.asked++;
    if (!r) {
        struct data_source *s = calloc(1, sizeof *s);
        struct base_source *source = &s->source, *merged;
        struct base_merge_options options = {
            .reversed = read->cmd->reversed,
            .purge = {.now_s = read->cmd->now_s, .live_only = true}};
        *s = (struct data_source){.source.ops = &data_ops, .cmd = read->cmd, .table = read->table};
        ck_assert_int_eq(base_merge_open(&source, 1, &options, &merged, &err), BASE_OK);
        r = calloc(1, sizeof *r);
        r->read = read;
        base_rows_open(&r->rows, read->cmd, read->table, merged);
        read->state = r;
        world.open++;
        world.opened++;
    }
    ck_assert_msg(!r->pending, "asked while PENDING");
    bool again = r->answered && rng_u64(&world.rng) % 4;
    r->answered = false;
    if (!again && rng_u64(&world.rng) % 100 < world.pending_percent) {
        r->pending = true;
        ck_assert_uint_lt(world.pending_count, BASE_COUNT(world.pending));
        world.pending[world.pending_count++] = r;
        return CQL_PENDING;
    }
    data_fetch(r);
    return CQL_DONE;
}

static void data_read_close(struct cql_ports *ports, struct cql_read *read)
{
    (void)ports;
    struct data_read *r = read->state;
    if (!r)
        return;
    for (size_t i = 0; i < world.pending_count; i++) {
        if (world.pending[i] == r)
            world.pending[i--] = world.pending[--world.pending_count];
    }
    base_rows_close(&r->rows);
    free(r);
    read->state = NULL;
    world.open--;
}

/* Answer one pending read, chosen by the seed; false: there is none. */
static inline bool data_pump(void)
{
    if (world.pending_count == 0)
        return false;
    size_t i = rng_u64(&world.rng) % world.pending_count;
    struct data_read *r = world.pending[i];
    world.pending[i] = world.pending[--world.pending_count];
    r->pending = false;
    r->answered = true;
    r->read->ready(r->read);
    return true;
}

static void data_trace(struct cql_ports *ports, const char *fmt, ...)
{
    (void)ports, (void)fmt;
}
static const struct cql_port_ops data_port_ops = {.timestamp = data_clock,
                                                  .now_us = data_clock,
                                                  .random = data_random,
                                                  .read_next = data_read_next,
                                                  .read_close = data_read_close,
                                                  .trace = data_trace};

static inline void world_reset(uint64_t seed, unsigned pending_percent)
{
    memset(&world, 0, sizeof world);
    world.ports.ops = &data_port_ops;
    world.rng = rng_seeded(seed);
    world.pending_percent = pending_percent;
    world.fail_after = -1;
}

/* Statements. */

static struct cql_prepared *prepared;
static struct base_arena prepare_arena;

static inline int prepare(const char *text)
{
    struct cql_statement *statement;
    struct cql_context at = context();
    base_err_clear(&err);
    int rc = cql_parse(&prepare_arena, S(text), &statement, &err);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
    return cql_prepare(&prepare_arena, statement, &at, &prepared, &err);
}

/* Text values for markers, in the markers' types: "1;2"; "NULL", "UNSET". */
static struct cql_value bound[16];
static inline size_t bind(const char *text)
{
    const struct cql_column_spec *specs;
    size_t n = cql_prepared_binds(prepared, &specs), i = 0;
    for (const char *p = text; text && i < n; i++) {
        struct base_slice one = {(const uint8_t *)p, strcspn(p, ";")};
        bound[i] = (struct cql_value){.state = CQL_VALUE_NULL};
        if (base_slice_equal(one, S("UNSET")))
            bound[i].state = CQL_VALUE_UNSET;
        else if (!base_slice_equal(one, S("NULL")))
            bound[i] = (struct cql_value){CQL_VALUE_SET, as_value(specs[i].type, one)};
        p += one.len + (p[one.len] == ';');
    }
    return i;
}

static struct cql_exec exec;
static struct base_arena exec_arena;
static bool exec_ended;
static char first_warning[256]; /* of the last execution */
static void exec_done(struct cql_exec *e)
{
    (void)e;
    ck_assert(!exec_ended);
    exec_ended = true;
}

/* Rows as "1,2,x / 1,3,y", appended. */
static inline void print_rows(const struct cql_result *result, struct base_buf *out)
{
    struct base_reader in = base_reader(base_buf_view(&result->rows));
    for (uint32_t row = 0; row < result->row_count; row++) {
        if (out->len)
            ck_assert_int_eq(base_buf_printf(out, " / "), BASE_OK);
        for (size_t i = 0; i < result->column_count; i++) {
            struct base_slice len, value;
            ck_assert(base_get_raw(&in, 4, &len));
            int32_t n = (int32_t)base_get_be32(len.data);
            ck_assert_int_eq(base_buf_printf(out, i ? "," : ""), BASE_OK);
            if (n < 0) {
                ck_assert_int_eq(base_buf_printf(out, "null"), BASE_OK);
                continue;
            }
            ck_assert(base_get_raw(&in, (size_t)n, &value));
            int rc = base_value_to_text(result->columns[i].type, value, out, &err);
            ck_assert_msg(rc == BASE_OK, "%s", err.text);
        }
    }
    ck_assert_uint_eq(base_reader_left(&in), 0);
}

/* One page into `out`; the state for the next (or empty) into `state`. */
static inline int one_page(size_t values, int32_t page_size, struct base_buf *state,
                           struct base_buf *out, size_t rows_max)
{
    base_arena_init(&exec_arena);
    exec = (struct cql_exec){.arena = &exec_arena,
                             .prepared = prepared,
                             .ports = &world.ports,
                             .values = bound,
                             .value_count = values,
                             .consistency = 1,
                             .page_size = page_size,
                             .paging_state = base_buf_view(state),
                             .done = exec_done};
    cql_result_init(&exec.result, rows_max);
    exec_ended = false;
    if (cql_exec_start(&exec) == CQL_PENDING) {
        while (!exec_ended)
            ck_assert_msg(data_pump(), "nothing is pending, and no end");
    }
    ck_assert_uint_eq(world.open, 0);
    ck_assert_uint_eq(world.pending_count, 0);
    if (exec.rc == BASE_OK) {
        print_rows(&exec.result, out);
        ck_assert_msg(!exec.result.has_more || exec.result.row_count,
                      "an empty page with more to come");
        ck_assert(!page_size || exec.result.row_count <= (uint32_t)page_size);
    }
    err = exec.err;
    snprintf(first_warning, sizeof first_warning, "%s", exec.warning_count ? exec.warnings[0] : "");
    struct base_buf next;
    base_buf_init(&next, 1 << 20);
    if (exec.rc == BASE_OK && exec.result.has_more)
        ck_assert_int_eq(base_buf_put_slice(&next, base_buf_view(&exec.result.paging_state)),
                         BASE_OK);
    base_buf_fini(state);
    *state = next;
    cql_result_fini(&exec.result);
    int rc = exec.rc;
    base_arena_fini(&exec_arena);
    return rc;
}

static size_t pages;
/* All pages. The text lives until the next call. */
static inline const char *all_rows(const char *values, int32_t page_size, size_t rows_max)
{
    static struct base_buf out;
    struct base_buf state;
    size_t n = bind(values);
    base_buf_fini(&out);
    base_buf_init(&out, 1 << 24);
    base_buf_init(&state, 1 << 20);
    pages = 0;
    do {
        int rc = one_page(n, page_size, &state, &out, rows_max);
        if (rc != BASE_OK) {
            base_buf_fini(&state);
            return err.text;
        }
        ck_assert_uint_lt(pages++, 100000);
    } while (state.len);
    base_buf_fini(&state);
    ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
    return (const char *)out.data;
}

#endif
