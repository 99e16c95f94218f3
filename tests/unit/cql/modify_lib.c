#include "tests/unit/cql/modify_lib.h"

#include <stdio.h>

#include "base/key.h"
#include "tests/lib/ck.h"

#define OK(expr) ck_assert_int_eq((expr), BASE_OK)

static struct base_slice copy(struct base_slice s)
{
    uint8_t *p = malloc(s.len + 1);
    ck_assert_ptr_nonnull(p);
    if (s.len)
        memcpy(p, s.data, s.len);
    return base_slice(p, s.len);
}

static void drop(struct base_slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* The store. */

static struct world_row *find(struct world *w, struct base_uuid table, struct base_slice pkey,
                              struct base_slice ckey)
{
    for (size_t i = 0; i < w->row_count; i++) {
        struct world_row *r = &w->rows[i];
        if (base_uuid_equal(r->table, table) && base_slice_equal(r->pkey, pkey) &&
            base_slice_equal(r->ckey, ckey))
            return r;
    }
    return NULL;
}

static void merge(struct world *w, struct base_uuid table, struct base_slice pkey,
                  struct base_slice ckey, struct base_slice row)
{
    struct world_row *old = find(w, table, pkey, ckey);
    if (!old) {
        ck_assert_uint_lt(w->row_count, WORLD_ROWS_MAX);
        w->rows[w->row_count++] = (struct world_row){table, copy(pkey), copy(ckey), copy(row)};
        return;
    }
    const struct base_slice versions[] = {row, old->row};
    base_buf_reset(&w->scratch);
    OK(base_row_merge(versions, old->row.len ? 2 : 1, BASE_DELETION_NONE, &w->scratch));
    drop(old->row);
    old->row = copy(base_buf_view(&w->scratch));
}

/* A deletion of the rows at and between two places of a partition (static: of its static row
 * too). */
static void cover(struct world *w, const struct base_mutation *m, struct base_slice lo,
                  struct base_slice hi, struct base_deletion deletion, bool statics)
{
    for (size_t i = 0; i < w->row_count; i++) {
        struct world_row *r = &w->rows[i];
        if (!base_uuid_equal(r->table, m->table_id) || !base_slice_equal(r->pkey, m->pkey) ||
            (r->ckey.len == 0 && !statics) || r->row.len == 0 ||
            (lo.len && r->ckey.len && base_slice_compare(r->ckey, lo) < 0) ||
            (hi.len && base_slice_compare(r->ckey, hi) > 0))
            continue;
        base_buf_reset(&w->scratch);
        OK(base_row_merge(&r->row, 1, deletion, &w->scratch));
        drop(r->row);
        r->row = copy(base_buf_view(&w->scratch));
    }
}

static void apply(struct world *w, struct base_slice mutations, size_t count)
{
    struct base_reader in = base_reader(mutations);
    struct base_mutation m;
    struct base_slice ckey, row, none = {0};
    for (; count > 0; count--) {
        ck_assert(base_mutation_decode(&in, &m));
        ck_assert(base_mutation_check(&m));
        if (!base_deletion_is_none(m.deletion))
            cover(w, &m, none, none, m.deletion, true);
        for (struct base_range_deletion range; m.range_count-- > 0;) {
            ck_assert(base_mutation_range(&m.ranges, &range));
            cover(w, &m, range.lo, range.hi, range.deletion, false);
        }
        if (m.static_row.len)
            merge(w, m.table_id, m.pkey, none, m.static_row);
        while (m.row_count-- > 0) {
            ck_assert(base_mutation_row(&m.rows, &ckey, &row));
            merge(w, m.table_id, m.pkey, ckey, row);
        }
    }
    ck_assert_uint_eq(base_reader_left(&in), 0);
}

/* The row as it is at now, or empty; in w->scratch. */
static struct base_slice live(struct world *w, const struct world_row *r)
{
    const struct base_purge purge = {.now_s = WORLD_NOW_US / 1000000,
                                     .gc_before_s = INT64_MIN,
                                     .purgeable_ts = INT64_MIN,
                                     .live_only = true};
    base_buf_reset(&w->scratch);
    if (!r || r->row.len == 0)
        return (struct base_slice){0};
    if (base_row_purge(r->row, &purge, &w->scratch, NULL, NULL) != BASE_OK)
        abort(); /* no assertion of Check, which allocates: memory may be failing */
    return base_buf_view(&w->scratch);
}

/* Ports. */

static struct world *world_of(struct cql_ports *ports)
{
    return BASE_CONTAINER(ports, struct world, ports);
}

static int64_t port_timestamp(struct cql_ports *ports)
{
    return ++world_of(ports)->timestamp;
}

static int64_t port_now_us(struct cql_ports *ports)
{
    (void)ports;
    return WORLD_NOW_US;
}

static void port_random(struct cql_ports *ports, void *out, size_t len)
{
    memset(out, ++world_of(ports)->random, len);
}

static void do_read(struct world *w, struct cql_read *read)
{
    const struct base_read *cmd = read->cmd;
    read->rc = BASE_OK;
    read->row = (struct base_live_row){0};
    if (cmd->slices.count == 0) {
        struct world_row *r = find(w, cmd->table_id, cmd->pkey, (struct base_slice){0});
        struct base_slice row = w->read_at++ ? (struct base_slice){0} : live(w, r);
        if (row.len)
            read->row = (struct base_live_row){.pkey = cmd->pkey, .static_row = row};
        return;
    }
    while (w->read_at < cmd->slices.count) {
        struct base_slice ckey = cmd->slices.ranges[w->read_at++].lo;
        struct base_slice row = live(w, find(w, cmd->table_id, cmd->pkey, ckey));
        if (row.len) {
            read->row = (struct base_live_row){.pkey = cmd->pkey, .ckey = ckey, .row = row};
            return;
        }
    }
}

static enum cql_answer port_read_next(struct cql_ports *ports, struct cql_read *read)
{
    struct world *w = world_of(ports);
    if (!read->state) {
        read->state = w;
        w->read_at = 0;
        w->read_count++;
        if (w->pending) {
            w->reading = read;
            return CQL_PENDING;
        }
    }
    do_read(w, read);
    return CQL_DONE;
}

static void port_read_close(struct cql_ports *ports, struct cql_read *read)
{
    struct world *w = world_of(ports);
    if (w->reading == read)
        w->reading = NULL;
    read->state = NULL;
}

static int by_ckey(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_condition_row *)a)->ckey,
                              ((const struct base_condition_row *)b)->ckey);
}

static bool judge(struct world *w, struct cql_write *write)
{
    struct base_condition_row rows[WORLD_ROWS_MAX];
    struct base_reader in = base_reader(write->mutations);
    struct base_mutation m;
    size_t n = 0;
    bool hold;
    ck_assert_uint_eq(write->mutation_count, 1);
    ck_assert(base_mutation_decode(&in, &m));
    for (size_t i = 0; i < w->row_count; i++) {
        struct world_row *r = &w->rows[i];
        if (!base_uuid_equal(r->table, m.table_id) || !base_slice_equal(r->pkey, m.pkey))
            continue;
        struct base_slice row = copy(live(w, r));
        if (row.len)
            rows[n++] = (struct base_condition_row){r->ckey, row};
        else
            drop(row);
    }
    qsort(rows, n, sizeof rows[0], by_ckey);
    ck_ok(base_conditions_check(write->condition, write->table, &write->err), write->err);
    ck_ok(base_conditions_judge(write->condition, write->table, rows, n, &hold, &write->current,
                                &write->err),
          write->err);
    ck_assert(hold || base_conditions_current_check(base_buf_view(&write->current)));
    while (n > 0)
        drop(rows[--n].row);
    return hold;
}

static void do_write(struct world *w, struct cql_write *write)
{
    write->rc = w->fail_write;
    w->fail_write = BASE_OK;
    if (write->rc == BASE_OK && write->condition.len && !judge(w, write))
        write->rc = BASE_E_CONDITION;
    if (write->rc == BASE_OK)
        apply(w, write->mutations, write->mutation_count);
    else if (write->rc != BASE_E_CONDITION)
        (void)base_err_set(&write->err, write->rc, "the write was asked to fail");
}

static enum cql_answer port_write(struct cql_ports *ports, struct cql_write *write)
{
    struct world *w = world_of(ports);
    if (w->injecting) {
        write->rc = write->condition.len ? base_buf_put_u8(&write->current, 0) : BASE_OK;
        if (write->condition.len && write->rc == BASE_OK)
            write->rc = BASE_E_CONDITION;
        return CQL_DONE;
    }
    base_buf_reset(&w->written);
    base_buf_reset(&w->condition);
    OK(base_buf_put_slice(&w->written, write->mutations));
    OK(base_buf_put_slice(&w->condition, write->condition));
    w->write_count++;
    w->mutation_count = write->mutation_count;
    w->consistency = write->consistency;
    w->logged = write->logged;
    ck_assert_ptr_nonnull(write->table);
    if (w->pending) {
        w->writing = write;
        return CQL_PENDING;
    }
    do_write(w, write);
    return CQL_DONE;
}

bool world_step(struct world *w)
{
    if (w->reading) {
        struct cql_read *read = w->reading;
        w->reading = NULL;
        read->ready(read); /* it asks again */
        return true;
    }
    if (w->writing) {
        struct cql_write *write = w->writing;
        w->writing = NULL;
        do_write(w, write);
        write->ready(write);
        return true;
    }
    return false;
}

void world_init(struct world *w, const struct base_schema *schema)
{
    static const struct cql_port_ops ops = {.timestamp = port_timestamp,
                                            .now_us = port_now_us,
                                            .random = port_random,
                                            .read_next = port_read_next,
                                            .read_close = port_read_close,
                                            .write = port_write};
    *w = (struct world){.ports.ops = &ops, .schema = schema, .timestamp = WORLD_NOW_US};
    base_buf_init(&w->scratch, SIZE_MAX / 2);
    OK(base_buf_reserve(&w->scratch, 1 << 16));
    base_buf_init(&w->written, SIZE_MAX / 2);
    base_buf_init(&w->condition, SIZE_MAX / 2);
}

void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->row_count; i++) {
        drop(w->rows[i].pkey);
        drop(w->rows[i].ckey);
        drop(w->rows[i].row);
    }
    base_buf_fini(&w->scratch);
    base_buf_fini(&w->written);
    base_buf_fini(&w->condition);
}

/* Mutations as text. */

static void put_value(const struct base_type *type, struct base_slice value, struct base_buf *out)
{
    struct base_err err;
    if (type->kind == BASE_TYPE_TEXT)
        OK(base_buf_printf(out, "'%.*s'", BASE_SLICE_ARG(value)));
    else if (value.len == 0)
        OK(base_buf_printf(out, "empty"));
    else
        ck_ok(base_value_to_text(type, value, out, &err), err);
}

static void put_ts(int64_t ts, struct base_buf *out)
{
    if (ts != WORLD_TS)
        OK(base_buf_printf(out, "@%lld", (long long)ts));
}

static void put_deletion(struct base_deletion d, struct base_buf *out)
{
    OK(base_buf_printf(out, "del"));
    put_ts(d.ts, out);
    ck_assert_int_eq(d.local_s, WORLD_NOW_US / 1000000);
}

static void put_element(const struct base_column *column, const struct base_cell *cell,
                        struct base_buf *out)
{
    const struct base_type *type = column->type;
    struct base_buf scratch;
    struct base_slice element;
    struct base_err err;
    uint16_t field;
    base_buf_init(&scratch, 1 << 20);
    OK(base_buf_put_u8(out, type->kind == BASE_TYPE_UDT ? '.' : '['));
    if (type->kind == BASE_TYPE_UDT) {
        ck_assert(base_path_get_field(cell->path, &field));
        OK(base_buf_put_slice(out, type->field_names[field]));
    } else {
        ck_ok(base_path_get(type, cell, &scratch, &element, &err), err);
        if (type->kind != BASE_TYPE_LIST)
            put_value(type->params[0], element, out);
        OK(base_buf_put_u8(out, ']'));
    }
    base_buf_fini(&scratch);
}

static void put_cell(const struct base_table *table, const struct base_cell *cell,
                     struct base_buf *out)
{
    const struct base_column *column = base_table_column_by_id(table, cell->column);
    ck_assert_ptr_nonnull(column);
    bool many = base_type_is_multicell(column->type);
    ck_assert(many == (cell->path.len > 0) || (cell->flags & BASE_CELL_COMPLEX_DELETION));
    OK(base_buf_printf(out, " %.*s", BASE_SLICE_ARG(column->name)));
    if (cell->path.len)
        put_element(column, cell, out);
    if (cell->flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)) {
        OK(base_buf_put_u8(out, '='));
        put_deletion((struct base_deletion){cell->ts, cell->local_s}, out);
        if (cell->flags & BASE_CELL_COMPLEX_DELETION)
            OK(base_buf_printf(out, "*"));
        return;
    }
    const struct base_type *type = column->type;
    if (many && type->kind == BASE_TYPE_UDT)
        type = type->params[base_get_be16(cell->path.data)];
    else if (many && type->kind != BASE_TYPE_SET)
        type = type->params[type->kind == BASE_TYPE_MAP];
    if (!many || column->type->kind != BASE_TYPE_SET) {
        OK(base_buf_put_u8(out, '='));
        put_value(type, cell->value, out);
    }
    put_ts(cell->ts, out);
    if (cell->flags & BASE_CELL_EXPIRING) {
        OK(base_buf_printf(out, "ttl%d", cell->ttl));
        ck_assert_int_eq(cell->local_s, WORLD_NOW_US / 1000000 + cell->ttl);
    }
}

static void put_row(const struct base_table *table, struct base_slice encoded, struct base_buf *out)
{
    struct base_row row;
    struct base_cell cell;
    int n;
    ck_assert(base_row_decode(encoded, &row));
    if (row.flags & BASE_ROW_LIVENESS) {
        OK(base_buf_printf(out, " live"));
        put_ts(row.row_ts, out);
        if (row.flags & BASE_ROW_LIVENESS_TTL)
            OK(base_buf_printf(out, "ttl%d", row.ttl));
    }
    if (!base_deletion_is_none(row.deletion)) {
        OK(base_buf_printf(out, " "));
        put_deletion(row.deletion, out);
    }
    if (row.originals.len)
        OK(base_buf_printf(out, " originals%zu", row.originals.len));
    struct base_cells it = base_cells_begin(&row);
    while ((n = base_cells_next(&it, &cell)) > 0)
        put_cell(table, &cell, out);
    ck_assert_int_eq(n, 0);
}

static void put_ckey(const struct base_table *table, struct base_slice ckey, struct base_buf *out)
{
    struct base_reader in = base_reader(ckey);
    struct base_buf value;
    struct base_err err;
    base_buf_init(&value, 1 << 20);
    for (size_t i = 0;; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        bool empty;
        uint8_t position;
        base_buf_reset(&value);
        ck_assert_uint_le(i, table->clustering_count);
        /* past the last column comes the position alone: any type will do */
        const struct base_type *type =
            i < table->clustering_count ? column->type : base_type_scalar(BASE_TYPE_INT);
        ck_ok(base_ckey_get(type, i < table->clustering_count && column->descending, &in, &value,
                            &empty, &position, &err),
              err);
        if (position) {
            OK(base_buf_printf(out, "%s",
                               position == BASE_KEY_BEFORE  ? "<"
                               : position == BASE_KEY_AFTER ? ">"
                                                            : ""));
            break;
        }
        if (i)
            OK(base_buf_put_u8(out, ','));
        put_value(type, base_buf_view(&value), out);
    }
    base_buf_fini(&value);
}

static void put_pkey(const struct base_table *table, struct base_slice pkey, struct base_buf *out)
{
    struct base_slice values[8];
    struct base_buf pk;
    struct base_err err;
    base_buf_init(&pk, BASE_PKEY_LEN_MAX);
    ck_ok(base_pkey_decode(pkey, &pk, &err), err);
    ck_ok(base_pk_split(base_buf_view(&pk), values, table->partition_key_count, &err), err);
    for (size_t i = 0; i < table->partition_key_count; i++) {
        if (i)
            OK(base_buf_put_u8(out, ','));
        put_value(table->columns[i].type, values[i], out);
    }
    base_buf_fini(&pk);
}

static void put_mutation(const struct base_table *table, struct base_mutation *m,
                         struct base_buf *out)
{
    struct base_slice ckey, row;
    OK(base_buf_printf(out, "%.*s[", BASE_SLICE_ARG(table->name)));
    put_pkey(table, m->pkey, out);
    OK(base_buf_put_u8(out, ']'));
    if (!base_deletion_is_none(m->deletion)) {
        OK(base_buf_put_u8(out, ' '));
        put_deletion(m->deletion, out);
    }
    if (m->static_row.len) {
        OK(base_buf_printf(out, " static{"));
        put_row(table, m->static_row, out);
        OK(base_buf_printf(out, " }"));
    }
    for (struct base_range_deletion range; m->range_count-- > 0;) {
        ck_assert(base_mutation_range(&m->ranges, &range));
        OK(base_buf_printf(out, " range("));
        put_ckey(table, range.lo, out);
        OK(base_buf_printf(out, " .. "));
        put_ckey(table, range.hi, out);
        OK(base_buf_printf(out, ") "));
        put_deletion(range.deletion, out);
    }
    while (m->row_count-- > 0) {
        ck_assert(base_mutation_row(&m->rows, &ckey, &row));
        OK(base_buf_printf(out, " ("));
        put_ckey(table, ckey, out);
        OK(base_buf_printf(out, "){"));
        put_row(table, row, out);
        OK(base_buf_printf(out, " }"));
    }
}

void world_print(const struct base_schema *schema, struct base_slice mutations,
                 struct base_buf *out)
{
    struct base_reader in = base_reader(mutations);
    while (base_reader_left(&in)) {
        struct base_mutation m;
        ck_assert(base_mutation_decode(&in, &m));
        ck_assert(base_mutation_check(&m));
        const struct base_table *table = base_schema_table_by_id(schema, m.table_id);
        ck_assert_ptr_nonnull(table);
        if (out->len)
            OK(base_buf_put_u8(out, '\n'));
        put_mutation(table, &m, out);
    }
    OK(base_buf_put_u8(out, 0));
    out->len--;
}
