/* Any text through CQL's lexer, grammar, analysis, application and description. Finds what no list
 * of cases does: reads past the text, unbounded work, a description that does not parse, a schema
 * that does not survive its own bytes. */
#include "cql/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A keyspace with a type and a table to alter, made once per input: cheap enough, and no state
 * stays. */
static const char *const prelude[] = {
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TYPE k.u (a int, b list<text>)",
    "CREATE TABLE k.t (p int, c text, s int static, v map<text, frozen<u>>, PRIMARY KEY (p, c)) "
    "WITH CLUSTERING ORDER BY (c DESC)",
};

static bool run(struct base_arena *arena, struct base_schema **schema, struct base_slice text)
{
    struct cql_statement *statement;
    struct cql_ddl ddl;
    struct base_err err;
    struct base_schema *after;
    struct cql_context context = {.schema = *schema,
                                  .keyspace = BASE_SLICE_LIT("k"),
                                  .new_id = {{(uint8_t)(*schema)->epoch, 7}},
                                  .now_us = 1};
    if (cql_parse(arena, text, &statement, &err) != BASE_OK ||
        cql_statement_kind(statement) == CQL_USE)
        return false;
    if (cql_analyze_ddl(arena, statement, &context, &ddl, &err) != BASE_OK || ddl.nothing)
        return false;
    if (base_schema_apply(*schema, &ddl.change, &after, &err) != BASE_OK)
        return false;
    base_schema_release(*schema);
    *schema = after;
    return true;
}

/* create_statement of a row; *cell goes to the next row. */
static struct base_slice next_text(const uint8_t **cell)
{
    struct base_slice text = {0};
    for (int i = 0; i < 4; i++) {
        text = base_slice(*cell + 4, base_get_be32(*cell));
        *cell = text.data + text.len;
    }
    return text;
}

static void describe(struct base_arena *arena, const struct base_schema *schema,
                     struct cql_result *result)
{
    static const struct cql_describe_facts facts = {.cluster_name = "c", .snitch = "s"};
    struct cql_context context = {.schema = schema};
    struct cql_statement *statement;
    BASE_ASSERT(cql_parse(arena, BASE_SLICE_LIT("DESCRIBE SCHEMA WITH INTERNALS"), &statement,
                          NULL) == BASE_OK);
    cql_result_init(result, 1 << 26);
    BASE_ASSERT(cql_describe_run(arena, statement, &context, &facts, result, NULL) == BASE_OK);
}

/* What DESCRIBE prints, executed on an empty node, makes the same schema. */
static void check_described(const struct base_schema *schema)
{
    struct base_arena arena;
    struct cql_result first, second;
    struct base_schema *again = base_schema_new();
    base_arena_init(&arena);
    describe(&arena, schema, &first);
    const uint8_t *cell = first.rows.data;
    for (uint32_t i = 0; i < first.row_count; i++) {
        struct base_slice rest = next_text(&cell);
        for (size_t len; (len = cql_split(rest)) > 0;
             rest = base_slice(rest.data + len, rest.len - len))
            BASE_ASSERT(len > CQL_TEXT_LEN_MAX || run(&arena, &again, base_slice(rest.data, len)));
    }
    describe(&arena, again, &second);
    BASE_ASSERT(base_slice_equal(base_buf_view(&first.rows), base_buf_view(&second.rows)));
    cql_result_fini(&first);
    cql_result_fini(&second);
    base_schema_release(again);
    base_arena_fini(&arena);
}

/* The schema through its bytes and each table through its description. */
static void check(const struct base_schema *schema)
{
    struct base_buf bytes, again;
    struct base_schema *decoded;
    base_buf_init(&bytes, 1 << 24);
    base_buf_init(&again, 1 << 24);
    BASE_ASSERT(base_schema_encode(schema, &bytes) == BASE_OK);
    BASE_ASSERT(base_schema_decode(base_buf_view(&bytes), &decoded, NULL) == BASE_OK);
    BASE_ASSERT(base_schema_encode(decoded, &again) == BASE_OK);
    BASE_ASSERT(base_slice_equal(base_buf_view(&bytes), base_buf_view(&again)));
    base_schema_release(decoded);
    for (size_t i = 0; i < schema->table_count; i++) {
        struct base_arena arena;
        struct cql_statement *statement;
        base_arena_init(&arena);
        base_buf_reset(&bytes);
        BASE_ASSERT(cql_describe_table(schema->tables_by_id[i], &bytes) == BASE_OK);
        BASE_ASSERT(bytes.len > CQL_TEXT_LEN_MAX ||
                    cql_parse(&arena, base_buf_view(&bytes), &statement, NULL) == BASE_OK);
        base_arena_fini(&arena);
    }
    base_buf_fini(&bytes);
    base_buf_fini(&again);
    check_described(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_arena arena;
    struct base_schema *schema = base_schema_new();
    base_arena_init(&arena);
    for (size_t i = 0; i < BASE_COUNT(prelude); i++)
        (void)run(&arena, &schema, base_slice_str(prelude[i]));
    struct base_slice rest = base_slice(data, size);
    for (size_t len; (len = cql_split(rest)) > 0;
         rest = base_slice(rest.data + len, rest.len - len)) {
        BASE_ASSERT(len <= rest.len);
        if (run(&arena, &schema, base_slice(rest.data, len)))
            check(schema);
    }
    struct cql_context context = {
        .schema = schema, .keyspace = BASE_SLICE_LIT("k"), .new_id = {{9}}, .now_us = 1};
    struct cql_ddl ddl;
    struct base_err err;
    if (cql_analyze_table(&arena, BASE_SLICE_LIT("k"), BASE_SLICE_LIT("x"), base_slice(data, size),
                          BASE_SLICE_LIT(""), &context, &ddl, &err) == BASE_OK)
        BASE_ASSERT(ddl.nothing || ddl.change.kind == BASE_CHANGE_TABLE_CREATE);
    base_arena_fini(&arena);
    base_schema_release(schema);
    return 0;
}
