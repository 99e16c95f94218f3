/* See system_rows.h. */
#include "tests/unit/node/system_rows.h"

#include <stdarg.h>

#include "base/collection.h"
#include "base/key.h"

static struct base_buf text;

static void put_value(const struct base_column *column, struct base_slice value)
{
    OK(base_buf_printf(&text, "%s%.*s=", text.len && text.data[text.len - 1] != '\n' ? " " : "",
                       BASE_SLICE_ARG(column->name)));
    OK(base_value_validate(column->type, value, &fixture.err));
    OK(base_value_to_text(column->type, value, &text, &fixture.err));
}

static void put_keys(const struct base_table *t, const struct base_live_row *row)
{
    struct base_buf pk, value;
    struct base_slice parts[8];
    struct base_reader in = base_reader(row->ckey);
    base_buf_init(&pk, BASE_PK_LEN_MAX);
    base_buf_init(&value, 1 << 20);
    OK(base_pkey_decode(row->pkey, &pk, &fixture.err));
    OK(base_pk_split(base_buf_view(&pk), parts, t->partition_key_count, &fixture.err));
    for (size_t i = 0; i < t->partition_key_count; i++)
        put_value(&t->columns[i], parts[i]);
    for (size_t i = 0; i < t->clustering_count; i++) {
        const struct base_column *column = &t->columns[t->partition_key_count + i];
        bool empty;
        uint8_t position;
        base_buf_reset(&value);
        OK(base_ckey_get(column->type, column->descending, &in, &value, &empty, &position,
                         &fixture.err));
        put_value(column, base_buf_view(&value));
    }
    base_buf_fini(&pk);
    base_buf_fini(&value);
}

static void put_column(const struct base_column *column, const struct base_row *row)
{
    struct base_cells cells = base_cells_begin(row);
    struct base_cell cell;
    struct base_buf whole;
    struct base_implode implode;
    bool multi = base_type_is_multicell(column->type), is_null = true;
    base_buf_init(&whole, 1 << 20);
    if (multi)
        OK(base_implode_begin(&implode, column->type, &whole, &fixture.err));
    while (base_cells_next(&cells, &cell) > 0) {
        if (cell.column != column->id)
            continue;
        if (multi)
            OK(base_implode_add(&implode, &cell, &fixture.err));
        else
            put_value(column, cell.value);
    }
    if (multi)
        OK(base_implode_end(&implode, &is_null, &fixture.err));
    if (!is_null)
        put_value(column, base_buf_view(&whole));
    base_buf_fini(&whole);
}

static void put_row(const struct base_table *t, const struct base_live_row *live)
{
    struct base_row row;
    ck_assert(base_row_check(live->row));
    ck_assert(base_row_decode(live->row, &row));
    put_keys(t, live);
    for (size_t i = t->partition_key_count + t->clustering_count; i < t->column_count; i++)
        put_column(&t->columns[i], &row);
    OK(base_buf_put_u8(&text, '\n'));
}

const char *system_rows(struct node *node, struct repl *repl, const char *keyspace,
                        const char *name, const char *key, bool reversed)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_rows rows = {0};
    struct base_live_row row;
    struct base_source *source;
    struct base_buf pkey;
    const struct base_table *table =
        base_schema_table(nodei_system_schema(), base_slice_str(keyspace), base_slice_str(name));
    ck_assert_msg(table, "there is no table %s.%s", keyspace, name);
    base_buf_init(&text, 64 << 20);
    base_buf_init(&pkey, BASE_PKEY_LEN_MAX);
    if (key)
        OK(base_pkey_put(base_slice_str(key), &pkey));
    cmd.table_id = table->id;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = base_slices_all;
    cmd.reversed = reversed;
    cmd.now_s = node_now_s(node);
    OK(nodei_system_read(node, repl, table, &cmd, &source, &fixture.err));
    base_rows_open(&rows, &cmd, table, source);
    for (;;) {
        OK(base_rows_next(&rows, &row, &fixture.err));
        if (!row.pkey.len)
            break;
        put_row(table, &row);
    }
    base_rows_close(&rows);
    base_buf_fini(&pkey);
    static char *copy;
    free(copy);
    copy = strndup(text.data ? (const char *)text.data : "", text.len);
    base_buf_fini(&text);
    return copy;
}

struct call {
    struct node *node;
    const char *keyspace, *table, *key, *rows;
};

static void visit(void *ctx, struct repl *repl)
{
    struct call *call = ctx;
    call->rows = system_rows(call->node, repl, call->keyspace, call->table, call->key, false);
}

const char *system_rows_on_loop(struct node *node, const char *keyspace, const char *table,
                                const char *key)
{
    struct call call = {.node = node, .keyspace = keyspace, .table = table, .key = key};
    OK(nodei_on_loop(node, visit, &call, &fixture.err));
    return call.rows;
}

size_t system_count(const char *rows)
{
    size_t n = 0;
    for (; *rows; rows++)
        n += *rows == '\n';
    return n;
}

const char *system_row_with(const char *rows, ...)
{
    static char line[65536];
    for (const char *at = rows; *at; at += strcspn(at, "\n") + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        bool all = true;
        va_list args;
        va_start(args, rows);
        for (const char *part; (part = va_arg(args, const char *));)
            all = all && strstr(line, part);
        va_end(args);
        if (all)
            return line;
    }
    ck_abort_msg("no such row in:\n%.3000s", rows);
    return NULL;
}
