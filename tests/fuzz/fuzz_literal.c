/* Fuzz target: text as a literal of a type, bytes as a bound value of a type, text as a selector
 * over a row. Nothing may crash; what is taken is a valid value, and printed as a literal it is
 * read back as the very same bytes.
 *
 * Input: L type \n term | B type \n bytes | S term */
#include "cql/expr.h"
#include "tests/unit/cql/literal_lib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The row: its columns' values as JSON. */

static const struct {
    const char *column, *json;
} row_values[] = {
    {"i", "7"},
    {"bi", "\"5000000000\""},
    {"vi", "123456789012345678901234567890"},
    {"f", "1.5"},
    {"d", "-2.25"},
    {"de", "10.50"},
    {"te", "\"h\xC3\xA9llo\""},
    {"bl", "\"0x0001\""},
    {"da", "\"2024-02-29\""},
    {"tm", "\"13:14:15\""},
    {"ts", "\"2024-01-31 10:20:30.456Z\""},
    {"tu", "\"50554d6e-29bb-11e5-b345-feff819cdc9f\""},
    {"du", "\"1mo2d\""},
    {"m", "{\"x\": 1, \"y\": 2}"},
    {"s", "[1, 2, 3]"},
    {"l", "[3, 1]"},
    {"u", "{\"a\": 1}"},
    {"ve", "[1, 2]"},
};
static const char table_text[] =
    "CREATE TABLE k.t (p int, c text, i int, bi bigint, vi varint, f float, d double, de decimal, "
    "te text, bl blob, da date, tm time, ts timestamp, "
    "tu timeuuid, du duration, m map<text, int>, s set<int>, l list<int>, u u, ve vector<float, "
    "2>, PRIMARY KEY (p, c))";

struct cqli_row {
    struct base_arena arena;
    struct cql_value values[32], times[32], ttls[32];
};
static struct cqli_row row;
static struct base_schema *schema;

int __wrap_cqli_row_value(struct cqli_row *r, const struct base_column *column,
                          struct cql_value *out, struct base_err *err);
int __wrap_cqli_row_writetime(struct cqli_row *r, const struct base_column *column, bool max,
                              struct cql_value *out, struct base_err *err);
int __wrap_cqli_row_ttl(struct cqli_row *r, const struct base_column *column, struct cql_value *out,
                        struct base_err *err);

int __wrap_cqli_row_value(struct cqli_row *r, const struct base_column *column,
                          struct cql_value *out, struct base_err *err)
{
    (void)err;
    *out = r->values[column->id];
    return BASE_OK;
}
int __wrap_cqli_row_writetime(struct cqli_row *r, const struct base_column *column, bool max,
                              struct cql_value *out, struct base_err *err)
{
    (void)err;
    *out = (struct cql_value){.bytes = BASE_SLICE_LIT("\0\0\0\0\0\0\0\1")};
    if (!max && base_type_is_multicell(column->type))
        *out = r->times[column->id];
    return BASE_OK;
}
int __wrap_cqli_row_ttl(struct cqli_row *r, const struct base_column *column, struct cql_value *out,
                        struct base_err *err)
{
    (void)r, (void)column, (void)err;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    return BASE_OK;
}

static void change(const char *text)
{
    struct base_arena arena;
    struct cql_statement *statement;
    struct cql_ddl ddl;
    struct base_schema *after;
    struct cql_context context = {
        .schema = schema, .keyspace = BASE_SLICE_LIT("k"), .new_id = {{1, 2, 3}}, .now_us = 1};
    base_arena_init(&arena);
    require(cql_parse(&arena, base_slice_str(text), &statement, NULL) == BASE_OK);
    require(cql_analyze_ddl(&arena, statement, &context, &ddl, NULL) == BASE_OK);
    require(base_schema_apply(schema, &ddl.change, &after, NULL) == BASE_OK);
    base_schema_release(schema);
    schema = after;
    base_arena_fini(&arena);
}

static const struct base_table *table(void)
{
    return base_schema_table(schema, BASE_SLICE_LIT("k"), BASE_SLICE_LIT("t"));
}

/* Once a process. */
static void begin(void)
{
    schema = base_schema_new();
    require(schema != NULL);
    change("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': "
           "1}");
    change("CREATE TYPE k.u (a int, b text)");
    change(table_text);
    base_arena_init(&row.arena);
    for (size_t i = 0; i < BASE_COUNT(row.values); i++)
        row.values[i].state = row.times[i].state = CQL_VALUE_NULL;
    for (size_t i = 0; i < BASE_COUNT(row_values); i++) {
        const struct base_column *column =
            base_table_column(table(), base_slice_str(row_values[i].column));
        struct base_buf value;
        base_buf_init(&value, 1 << 16);
        require(base_value_from_json(column->type, base_slice_str(row_values[i].json), &value,
                                     NULL) == BASE_OK);
        row.values[column->id].state = CQL_VALUE_SET;
        require(base_arena_copy(&row.arena, base_buf_view(&value), &row.values[column->id].bytes) ==
                BASE_OK);
        base_buf_fini(&value);
        /* a list of as many times as there could be cells */
        row.times[column->id] = (struct cql_value){
            .bytes = BASE_SLICE_LIT("\0\0\0\2\0\0\0\x8\0\0\0\0\0\0\0\1\0\0\0\x8\0\0\0\0\0\0\0\2")};
    }
}

/* Terms. */

static int64_t timestamp(struct cql_ports *ports)
{
    (void)ports;
    return 1700000000000000;
}
static void no_chance(struct cql_ports *ports, void *out, size_t len)
{
    (void)ports;
    memset(out, 0x5A, len);
}
static const struct cql_port_ops ops = {
    .timestamp = timestamp, .now_us = timestamp, .random = no_chance};

/* The term, evaluated; of `type` when there is one, else as a selector. False: refused. */
static bool value_of(struct base_arena *arena, const char *form, struct base_slice text,
                     const struct base_type *type, const struct cql_value *bound,
                     const struct base_type **result, struct cql_value *out)
{
    struct base_err err;
    struct base_buf whole;
    struct base_slice copy;
    struct cql_statement *statement;
    struct cqli_expr *expr;
    struct cql_column_spec binds[64] = {{{0}, {0}, {0}, NULL}};
    struct cql_value values[64];
    struct cql_context context = {.schema = schema, .keyspace = BASE_SLICE_LIT("k")};
    struct cql_ports ports = {.ops = &ops};
    base_buf_init(&whole, 1 << 20);
    bool ok = base_buf_printf(&whole, form, BASE_SLICE_ARG(text)) == BASE_OK &&
              base_arena_copy(arena, base_buf_view(&whole), &copy) == BASE_OK;
    base_buf_fini(&whole);
    if (!ok || cql_parse(arena, copy, &statement, &err) != BASE_OK || statement->bind_count > 64)
        return false;
    struct cqli_prepare p = {.arena = arena,
                             .statement = statement,
                             .context = &context,
                             .table = table(),
                             .binds = binds,
                             .bind_count = statement->bind_count,
                             .err = &err};
    const struct cql_term *term =
        statement->kind == CQL_INSERT ? statement->modify.values
        : statement->kind == CQL_SELECT
            ? statement->select.selectors ? statement->select.selectors->term : NULL
            : NULL;
    if (!term)
        return false;
    int rc = type ? cqli_expr_prepare(&p, term, BASE_SLICE_LIT("v"), type, &expr)
                  : cqli_expr_prepare_selector(&p, term, &expr);
    require((rc == BASE_OK) == (expr != NULL));
    if (rc != BASE_OK || cqli_expr_name(&p, term, &copy) != BASE_OK ||
        cqli_expr_has_aggregate(expr))
        return false;
    for (size_t i = 0; i < 64; i++)
        values[i] = bound ? *bound : (struct cql_value){.state = CQL_VALUE_NULL};
    struct cqli_eval eval = {.arena = arena,
                             .values = values,
                             .value_count = 64,
                             .row = &row,
                             .ports = &ports,
                             .now_us = 1700000000000000,
                             .err = &err};
    *result = cqli_expr_type(expr);
    rc = cqli_expr_eval(expr, &eval, out);
    if (rc == BASE_OK && out->state == CQL_VALUE_SET)
        require(base_value_validate(*result, out->bytes, &err) == BASE_OK);
    return rc == BASE_OK;
}

/* Printed in a tuple, so that strings have their quotes; read back. */
static void back_again(struct base_arena *arena, const struct base_type *type,
                       struct base_slice value)
{
    const struct base_type tuple = {
        .kind = BASE_TYPE_TUPLE, .frozen = true, .param_count = 1, .params = &type};
    struct base_buf bytes, text;
    struct base_slice before = value;
    base_buf_init(&bytes, 1 << 20);
    base_buf_init(&text, 1 << 20);
    for (int round = 0; round < 2; round++) {
        const struct base_type *result;
        struct cql_value back = {0};
        bytes.len = text.len = 0;
        if (base_element_put(&tuple, type, before, false, &bytes) != BASE_OK ||
            literal_is_impossible(&tuple, base_buf_view(&bytes)) ||
            base_value_to_text(&tuple, base_buf_view(&bytes), &text, NULL) != BASE_OK ||
            text.len > CQL_TEXT_LEN_MAX / 2)
            break;
        if (!value_of(arena, "INSERT INTO t (v) VALUES (%.*s)", base_buf_view(&text), &tuple, NULL,
                      &result, &back))
            break; /* deeper than text may nest */
        require(back.state == CQL_VALUE_SET);
        require(base_value_compare(&tuple, base_buf_view(&bytes), back.bytes) == 0);
        if (round == 1) /* in its one form by now */
            require(base_slice_equal(base_buf_view(&bytes), back.bytes));
        before = base_slice(back.bytes.data + 4, back.bytes.len - 4);
    }
    base_buf_fini(&bytes);
    base_buf_fini(&text);
}

static const struct base_type *find_type(void *ctx, struct base_slice keyspace,
                                         struct base_slice name)
{
    (void)ctx, (void)keyspace;
    const struct base_user_type *type = base_schema_type(schema, BASE_SLICE_LIT("k"), name);
    return type ? type->type : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_arena arena;
    const struct base_type_resolver resolver = {find_type, NULL};
    const struct base_type *type = NULL, *result;
    struct cql_value value = {0};
    if (!schema)
        begin();
    if (size < 2)
        return 0;
    const uint8_t *line = memchr(data + 1, '\n', size - 1);
    struct base_slice rest = base_slice(data + 1, size - 1);
    base_arena_init(&arena);
    if (data[0] == 'S') {
        value_of(&arena, "SELECT %.*s FROM t", rest, NULL, NULL, &result, &value);
    } else if (line) {
        const struct base_slice name = base_slice(data + 1, (size_t)(line - data) - 1);
        rest = base_slice(line + 1, (size_t)(data + size - line) - 1);
        if (base_type_parse(&arena, name, &resolver, &type, NULL) == BASE_OK) {
            const struct cql_value bound = {.bytes = rest};
            bool ok = data[0] == 'B' ? value_of(&arena, "INSERT INTO t (v) VALUES (%.*s)",
                                                BASE_SLICE_LIT("?"), type, &bound, &result, &value)
                                     : value_of(&arena, "INSERT INTO t (v) VALUES (%.*s)", rest,
                                                type, NULL, &result, &value);
            if (ok && value.state == CQL_VALUE_SET &&
                base_value_validate(type, value.bytes, NULL) == BASE_OK)
                back_again(&arena, type, value.bytes);
        }
    }
    base_arena_fini(&arena);
    return 0;
}
