/* Fuzz target: the paging state, which clients send (cql/paging.c). The first byte says which
 * statement it comes with. What is understood says the same when it is put into bytes again; the
 * statement runs with it, and asks for reads that are in order and within the statement. */
#include "base/key.h"
#include "cql/select_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const char *const tables[] = {
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE k.t (p int, c text, d decimal, v int, s int static, PRIMARY KEY (p, c, d)) WITH "
    "CLUSTERING ORDER BY (c DESC, d ASC)",
    "CREATE TABLE k.o (a text, b int, v int, PRIMARY KEY ((a, b)))",
};
static const char *const statements[] = {
    "SELECT * FROM k.t",
    "SELECT * FROM k.t WHERE p IN (1, 2, 3) AND c > 'b'",
    "SELECT * FROM k.t WHERE p = 1 AND (c, d) IN (('a', 1), ('b', 2), ('c', 3)) PER PARTITION "
    "LIMIT 2",
    "SELECT * FROM k.t WHERE p = 1 ORDER BY c ASC LIMIT 5",
    "SELECT DISTINCT p, s FROM k.t WHERE token(p) > 0",
    "SELECT p, c FROM k.t GROUP BY p, c PER PARTITION LIMIT 3",
    "SELECT * FROM k.o",
};

static struct base_arena arena;
static struct base_schema *schema;
static struct cql_prepared *prepared[BASE_COUNT(statements)];

static void start(void)
{
    struct cql_statement *statement;
    base_arena_init(&arena);
    schema = base_schema_new();
    for (size_t i = 0; i < BASE_COUNT(tables); i++) {
        struct base_schema *after;
        struct cql_ddl ddl;
        struct cql_context context = {.schema = schema, .new_id = {{(uint8_t)(i + 1)}}};
        require(cql_parse(&arena, base_slice_str(tables[i]), &statement, NULL) == BASE_OK);
        require(cql_analyze_ddl(&arena, statement, &context, &ddl, NULL) == BASE_OK);
        require(base_schema_apply(schema, &ddl.change, &after, NULL) == BASE_OK);
        base_schema_release(schema);
        schema = after;
    }
    for (size_t i = 0; i < BASE_COUNT(statements); i++) {
        struct cql_context context = {.schema = schema};
        require(cql_parse(&arena, base_slice_str(statements[i]), &statement, NULL) == BASE_OK);
        require(cql_prepare(&arena, statement, &context, &prepared[i], NULL) == BASE_OK);
    }
}

/* Ports: nothing is stored, but what is asked for is looked at. */

static int64_t clock_us(struct cql_ports *ports)
{
    (void)ports;
    return 1000000;
}

static enum cql_answer read_next(struct cql_ports *ports, struct cql_read *read)
{
    const struct base_read *cmd = read->cmd;
    (void)ports;
    require(cmd->row_limit > 0 && cmd->partition_row_limit > 0);
    require(cmd->pkey.len ? base_pkey_len(cmd->pkey) == cmd->pkey.len
                          : cmd->token_after < cmd->token_upto);
    require(cmd->slices.count > 0);
    for (size_t i = 0; i < cmd->slices.count; i++) {
        const struct base_range *r = &cmd->slices.ranges[i];
        require(r->hi.len == 0 || base_slice_compare(r->lo, r->hi) <= 0);
        require(i == 0 || base_slice_compare(r[-1].hi, r->lo) < 0);
    }
    read->rc = BASE_OK;
    read->row = (struct base_live_row){0};
    return CQL_DONE;
}

static void read_close(struct cql_ports *ports, struct cql_read *read)
{
    (void)ports, (void)read;
}
static const struct cql_port_ops ops = {
    .timestamp = clock_us, .now_us = clock_us, .read_next = read_next, .read_close = read_close};

static void run(const struct cql_prepared *p, struct base_slice state)
{
    struct cql_ports ports = {.ops = &ops};
    struct base_arena memory;
    base_arena_init(&memory);
    struct cql_exec exec = {.arena = &memory,
                            .prepared = p,
                            .ports = &ports,
                            .consistency = 1,
                            .page_size = 2,
                            .paging_state = state};
    cql_result_init(&exec.result, 1 << 20);
    require(cql_exec_start(&exec) == CQL_DONE);
    require(exec.rc == BASE_OK || exec.rc == BASE_E_INVALID);
    require(!exec.result.has_more && exec.result.row_count == 0);
    cql_result_fini(&exec.result);
    base_arena_fini(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cqli_paging paging, again;
    if (!schema)
        start();
    if (size < 1)
        return 0;
    const struct cql_prepared *p = prepared[data[0] % BASE_COUNT(statements)];
    struct base_slice state = base_slice(data + 1, size - 1);
    run(p, state);
    if (cqli_paging_decode(state, cql_prepared_table(p), &paging, NULL) != BASE_OK)
        return 0;
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    require(cqli_paging_encode(&paging, &out) == BASE_OK);
    require(cqli_paging_decode(base_buf_view(&out), cql_prepared_table(p), &again, NULL) ==
            BASE_OK);
    require(base_slice_equal(paging.pkey, again.pkey) && base_slice_equal(paging.ckey, again.ckey));
    require(paging.rows_left == again.rows_left &&
            paging.partition_rows_left == again.partition_rows_left);
    base_buf_fini(&out);
    return 0;
}
