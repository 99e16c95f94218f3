/* The native protocol's listener, spoken to by a raw client. Without these a driver would be
 * refused or misread, one client could stall or starve the others, or a hostile one bring the node
 * down. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/native_private.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"
#include "tests/unit/node/native_client.h"

static struct client c, d;

static struct cql_value int_value(int32_t v)
{
    static uint8_t bytes[64][4];
    static unsigned at;
    at = (at + 1) % 64;
    base_put_be32(bytes[at], (uint32_t)v);
    return (struct cql_value){CQL_VALUE_SET, base_slice(bytes[at], 4)};
}

/* The beginning. */

START_TEST(each_version_and_compression)
{
    static const struct {
        uint8_t version;
        const char *compression;
    } modes[] = {{3, NULL},  {3, "lz4"},    {3, "snappy"}, {4, NULL},
                 {4, "lz4"}, {4, "snappy"}, {5, NULL},     {5, "lz4"}};
    /* one after the other on one connection: what a buffer keeps of one is none of the next */
    static const int lens[] = {15000, 300000, 520000, 530000, 900000, 15000};
    static char text[1 << 20];
    client_tables(&c);
    for (size_t i = 0; i < BASE_COUNT(modes); i++) {
        struct cql_wire_entry *entries;
        size_t count;
        client_connect(&c, 0, modes[i].version);
        client_call(&c, CQL_OPCODE_OPTIONS, S(""));
        ck_assert_int_eq(c.message.opcode, CQL_OPCODE_SUPPORTED);
        struct base_reader r = base_reader(c.message.body);
        ck_assert(cql_wire_get_multimap(&r, &c.arena, &entries, &count));
        ck_assert_uint_eq(count, 3);
        ck_assert(base_slice_equal(entries[0].key, S("CQL_VERSION")) &&
                  base_slice_equal(entries[1].key, S("COMPRESSION")));
        client_startup(&c, modes[i].compression);
        ck_assert_int_eq(c.message.opcode, CQL_OPCODE_READY);
        for (size_t n = 0; n < BASE_COUNT(lens); n++) {
            snprintf(text, sizeof text, "INSERT INTO lab.t (k, c, v) VALUES (1, 1, '%0*d')",
                     lens[n], 7);
            client_query(&c, text);
            client_query(&c, "SELECT v FROM lab.t WHERE k = 1");
            ck_assert_uint_eq(client_rows(&c), 1);
            ck_assert_uint_eq(c.result.rows.len, (size_t)lens[n] + 4);
        }
        client_call(&c, CQL_OPCODE_OPTIONS, S("")); /* a heartbeat */
        ck_assert_int_eq(c.message.opcode, CQL_OPCODE_SUPPORTED);
        client_close(&c);
    }
}
END_TEST

START_TEST(other_versions)
{
    static const struct {
        uint8_t version, flags;
        const char *says;
    } others[] = {
        {66, 0,
         "Invalid or unsupported protocol version (66); supported versions are (3/v3, 4/v4, 5/v5)"},
        {65, 0, "unsupported protocol version"},
        {2, 0, "unsupported protocol version (2)"},
        {1, 0, "unsupported protocol version"},
        {6, 0, "USE_BETA flag is unset"},
        {6, CQL_FLAG_USE_BETA, "unsupported protocol version (6)"},
    };
    daemons_one();
    for (size_t i = 0; i < BASE_COUNT(others); i++) {
        const uint8_t options[] = {
            others[i].version, others[i].flags, 0, 77, CQL_OPCODE_OPTIONS, 0, 0, 0, 0};
        client_connect(&c, 0, 4);
        client_send_raw(&c, options, sizeof options);
        client_receive(&c);
        client_expect_error(&c, CQL_ERROR_PROTOCOL, others[i].says);
        ck_assert_int_eq(c.message.stream, 77);
        ck_assert(c.message.version >= 3 && c.message.version <= 5);
        client_expect_end(&c);
        client_close(&c);
    }
}
END_TEST

START_TEST(out_of_order)
{
    struct base_buf body;
    const struct cql_wire_pair no_version[] = {{S("X"), S("y")}},
                               old[] = {{S("CQL_VERSION"), S("2.0.0")}};
    base_buf_init(&body, 1024);
    daemons_one();
    client_connect(&c, 0, 4);
    client_fails(&c, "SELECT * FROM system.local", CQL_ERROR_PROTOCOL,
                 "expecting STARTUP or OPTIONS");
    client_expect_end(&c);
    client_close(&c);

    client_connect(&c, 0, 4);
    ck_assert_int_eq(cql_wire_put_string_map(&body, no_version, 1), BASE_OK);
    client_call(&c, CQL_OPCODE_STARTUP, base_buf_view(&body));
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "Missing value CQL_VERSION");
    base_buf_reset(&body);
    ck_assert_int_eq(cql_wire_put_string_map(&body, old, 1), BASE_OK);
    client_call(&c, CQL_OPCODE_STARTUP, base_buf_view(&body));
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "CQL version 2.0.0 is not supported");
    client_call(&c, CQL_OPCODE_STARTUP, base_slice("\0\5\0", 3));
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "cut off");
    client_startup(&c, "zip");
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "compression algorithm: zip");
    client_startup(&c, NULL);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_READY);
    client_startup(&c, NULL);
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "initialized already");
    client_call(&c, CQL_OPCODE_AUTH_RESPONSE, base_slice("\xff\xff\xff\xff", 4));
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "nobody asked");
    client_call(&c, (enum cql_opcode)0x55, S(""));
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "Unknown opcode");
    client_query(&c, "SELECT key FROM system.local"); /* none of it hurt */
    client_close(&c);

    client_connect(&c, 0, 5);
    client_startup(&c, "snappy");
    client_expect_error(&c, CQL_ERROR_PROTOCOL, "snappy");
    client_close(&c);
    base_buf_fini(&body);
}
END_TEST

/* Statements. */

START_TEST(queries)
{
    client_tables(&c);
    client_open(&c, 0, 5);
    client_query(&c, "USE lab");
    ck_assert_int_eq(c.result.kind, CQL_RESULT_SET_KEYSPACE);
    ck_assert(base_slice_equal(c.result.keyspace, S("lab")));
    client_query(&c, "CREATE TABLE u (id int PRIMARY KEY, v int)");
    ck_assert_int_eq(c.result.kind, CQL_RESULT_SCHEMA_CHANGE);
    ck_assert(base_slice_equal(c.result.change, S("CREATED")) &&
              base_slice_equal(c.result.target, S("TABLE")) &&
              base_slice_equal(c.result.keyspace, S("lab")) &&
              base_slice_equal(c.result.name, S("u")));
    client_query(&c, "INSERT INTO u (id, v) VALUES (1, 2)");
    ck_assert_int_eq(c.result.kind, CQL_RESULT_VOID);

    struct cql_value values[] = {int_value(7), int_value(5)};
    struct base_slice names[] = {S("second"), S("first")};
    struct cql_query q = {.text = S("INSERT INTO u (id, v) VALUES (?, ?)"),
                          .options = {.consistency = NODE_CL_ONE,
                                      .serial_consistency = CQL_SERIAL_DEFAULT,
                                      .values = values,
                                      .value_count = 2}};
    client_query_full(&c, &q);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    q.text = S("INSERT INTO u (id, v) VALUES (:first, :second)");
    q.options.names = names;
    client_query_full(&c, &q);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    client_query(&c, "SELECT v FROM u WHERE id = 7");
    ck_assert_int_eq(client_int(&c, 0), 5);
    client_query(&c, "SELECT v FROM u WHERE id = 5");
    ck_assert_int_eq(client_int(&c, 0), 7);
    names[0] = S("other");
    client_query_full(&c, &q);
    client_expect_error(&c, CQL_ERROR_INVALID, "second");
    q.options.value_count = 1;
    q.options.names = NULL;
    client_query_full(&c, &q);
    client_expect_error(&c, CQL_ERROR_INVALID, "Invalid amount of bind variables");

    /* A keyspace for one request. */
    client_query(&c, "USE system");
    q = (struct cql_query){.text = S("SELECT v FROM u WHERE id = 1"),
                           .options = {.consistency = NODE_CL_ONE,
                                       .serial_consistency = CQL_SERIAL_DEFAULT,
                                       .keyspace = S("lab")}};
    client_query_full(&c, &q);
    ck_assert_int_eq(client_int(&c, 0), 2);
    client_fails(&c, "SELECT v FROM u", CQL_ERROR_INVALID, "u");

    client_fails(&c, "SELEC 1", CQL_ERROR_SYNTAX, "line 1:0");
    client_fails(&c, "CREATE TABLE lab.u (id int PRIMARY KEY)", CQL_ERROR_ALREADY_EXISTS, "u");
    ck_assert(base_slice_equal(c.error.keyspace, S("lab")) &&
              base_slice_equal(c.error.name, S("u")));
    client_fails(&c,
                 "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                 "'replication_factor': 1}",
                 CQL_ERROR_ALREADY_EXISTS, "lab");
    ck_assert(base_slice_equal(c.error.keyspace, S("lab")) && c.error.name.len == 0);
    client_query(&c, "CREATE TYPE lab.p (x int)");
    client_fails(&c, "CREATE TYPE lab.p (x int)", CQL_ERROR_INVALID, "p");
    client_close(&c);
}
END_TEST

START_TEST(pages)
{
    char text[128];
    struct base_buf state;
    size_t rows = 0, page_count = 0;
    base_buf_init(&state, 1024);
    client_tables(&c);
    client_open(&c, 0, 4);
    for (int i = 0; i < 25; i++) {
        snprintf(text, sizeof text, "INSERT INTO lab.t (k, c) VALUES (1, %d)", i);
        client_query(&c, text);
    }
    do {
        const struct cql_query q = {.text = S("SELECT c FROM lab.t WHERE k = 1"),
                                    .options = {.consistency = NODE_CL_ONE,
                                                .serial_consistency = CQL_SERIAL_DEFAULT,
                                                .has_page_size = true,
                                                .page_size = 10,
                                                .paging_state = state.len
                                                                    ? base_buf_view(&state)
                                                                    : (struct base_slice){0}}};
        client_query_full(&c, &q);
        ck_assert_int_eq(client_int(&c, 0), (int32_t)rows);
        rows += client_rows(&c);
        page_count++;
        base_buf_reset(&state);
        ck_assert_int_eq(base_buf_put_slice(&state, c.result.paging_state), BASE_OK);
    } while (c.result.has_more);
    ck_assert_uint_eq(rows, 25);
    ck_assert_uint_eq(page_count, 3);
    const struct cql_query q = {.text = S("SELECT c FROM lab.t WHERE k = 1"),
                                .options = {.consistency = NODE_CL_ONE,
                                            .serial_consistency = CQL_SERIAL_DEFAULT,
                                            .has_page_size = true,
                                            .page_size = 10,
                                            .paging_state = S("nonsense")}};
    client_query_full(&c, &q);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_ERROR);
    base_buf_fini(&state);
    client_close(&c);
}
END_TEST

static void execute_ints(struct client *client, const uint8_t id[16], const uint8_t metadata_id[16],
                         size_t count, const int32_t *ints, bool skip_metadata)
{
    struct cql_value values[4];
    for (size_t i = 0; i < count; i++)
        values[i] = int_value(ints[i]);
    const struct cql_execute e = {.id = base_slice(id, 16),
                                  .result_metadata_id = base_slice(metadata_id, 16),
                                  .options = {.consistency = NODE_CL_ONE,
                                              .serial_consistency = CQL_SERIAL_DEFAULT,
                                              .values = values,
                                              .value_count = count,
                                              .skip_metadata = skip_metadata}};
    client_execute(client, &e);
}

START_TEST(prepared)
{
    uint8_t insert[16], select[16], metadata[16], other[16] = {1};
    client_tables(&c);
    for (uint8_t version = 3; version <= 5; version++) {
        client_open(&c, 0, version);
        client_open(&d, 0, version);
        client_prepare(&c, "INSERT INTO lab.t (c, k) VALUES (?, ?)");
        ck_assert_uint_eq(c.result.prepared.id.len, 16);
        memcpy(insert, c.result.prepared.id.data, 16);
        ck_assert_uint_eq(c.result.prepared.bind_count, 2);
        ck_assert_uint_eq(c.result.prepared.pk_count, version >= 4);
        ck_assert(version < 4 || c.result.prepared.pk_indexes[0] == 1);
        /* the statement names its keyspace: its id does not depend on the session's */
        client_query(&d, "USE system");
        client_prepare(&d, "INSERT INTO lab.t (c, k) VALUES (?, ?)");
        ck_assert_mem_eq(insert, d.result.prepared.id.data, 16);
        client_prepare(&c, "SELECT k, c, v FROM lab.t WHERE k = ?");
        memcpy(select, c.result.prepared.id.data, 16);
        ck_assert_uint_eq(c.result.prepared.column_count, 3);
        if (version >= 5)
            memcpy(metadata, c.result.prepared.result_metadata_id.data, 16);
        /* on another connection */
        execute_ints(&d, insert, metadata, 2, (int32_t[]){version, 5}, false);
        ck_assert_int_eq(d.result.kind, CQL_RESULT_VOID);
        execute_ints(&c, select, metadata, 1, (int32_t[]){5}, true);
        ck_assert_uint_eq(client_rows(&c), version - 2u);
        ck_assert(c.result.no_metadata && c.result.column_count == 3 &&
                  !c.result.new_metadata_id.data);
        execute_ints(&c, select, metadata, 1, (int32_t[]){5}, false);
        ck_assert(!c.result.no_metadata);
        execute_ints(&c, other, metadata, 0, NULL, false);
        client_expect_error(&c, CQL_ERROR_UNPREPARED, "not found");
        ck_assert_mem_eq(c.error.id.data, other, 16);
        client_close(&c);
        client_close(&d);
    }
}
END_TEST

START_TEST(prepared_while_the_schema_changes)
{
    uint8_t select[16], metadata[16];
    client_tables(&c);
    client_open(&c, 0, 5);
    client_query(&c, "INSERT INTO lab.t (k, c) VALUES (1, 1)");
    client_prepare(&c, "SELECT * FROM lab.t WHERE k = ?");
    memcpy(select, c.result.prepared.id.data, 16);
    memcpy(metadata, c.result.prepared.result_metadata_id.data, 16);
    /* the epoch moves, the table does not */
    client_query(&c, "CREATE TABLE lab.elsewhere (k int PRIMARY KEY)");
    execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
    ck_assert(client_rows(&c) == 1 && c.result.no_metadata);
    client_query(&c, "ALTER TABLE lab.t ADD w int");
    execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
    ck_assert(client_rows(&c) == 1 && !c.result.no_metadata && c.result.column_count == 4);
    ck_assert_uint_eq(c.result.new_metadata_id.len, 16);
    ck_assert_mem_ne(c.result.new_metadata_id.data, metadata, 16);
    memcpy(metadata, c.result.new_metadata_id.data, 16);
    execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
    ck_assert(c.result.no_metadata && c.result.column_count == 4);
    client_query(&c, "DROP TABLE lab.t");
    execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
    client_expect_error(&c, CQL_ERROR_UNPREPARED, "not found");
    client_close(&c);
}
END_TEST

/* Statements that hold what was made of them, and bytes of all. */
struct kept {
    size_t statements, prepared, bytes;
};

static void look_at_prepared(void *ctx, struct repl *repl)
{
    const struct nodei_prepared_cache *cache = &daemons[0].node->cluster->native->prepared;
    struct kept *kept = ctx;
    (void)repl;
    *kept = (struct kept){.statements = cache->count, .bytes = cache->size_bytes};
    for (const struct nodei_prepared *p = cache->newest; p; p = p->older) {
        kept->prepared += p->prepared || p->schema || p->arena.size_bytes;
        kept->bytes -= p->size_bytes;
    }
}

/* Statements that nobody executes any more hold no schema but the latest; they stay valid. */
START_TEST(prepared_lets_schemas_go)
{
    enum { COUNT = 5 };
    struct kept kept;
    uint8_t ids[COUNT][16], metadata[16];
    char text[100];
    client_tables(&c);
    client_open(&c, 0, 5);
    client_query(&c, "INSERT INTO lab.t (k, c) VALUES (1, 1)");
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "SELECT c FROM lab.t WHERE k = ? LIMIT %d", i + 1);
        client_prepare(&c, text);
        memcpy(ids[i], c.result.prepared.id.data, 16);
        memcpy(metadata, c.result.prepared.result_metadata_id.data, 16);
        snprintf(text, sizeof text, "CREATE TABLE lab.t%d (k int PRIMARY KEY)", i);
        client_query(&c, text);
    }
    UNTIL((nodei_on_loop(daemons[0].node, look_at_prepared, &kept, &fixture.err) == BASE_OK &&
           kept.prepared == 0),
          "%zu of %zu still hold their schema", kept.prepared, kept.statements);
    ck_assert_uint_eq(kept.statements, COUNT);
    ck_assert_uint_eq(kept.bytes, 0);
    for (int i = 0; i < COUNT; i++) {
        execute_ints(&c, ids[i], metadata, 1, (int32_t[]){1}, true);
        ck_assert_uint_eq(client_rows(&c), 1);
    }
    OK(nodei_on_loop(daemons[0].node, look_at_prepared, &kept, &fixture.err));
    ck_assert(kept.statements == COUNT && kept.prepared == COUNT && kept.bytes == 0);
    client_close(&c);
}
END_TEST

/* v3 and v4 cannot say that the columns are not those that were prepared: they come with the rows
 * from then on, whoever asks. */
START_TEST(columns_that_moved)
{
    uint8_t select[16], metadata[16] = {0};
    client_tables(&c);
    for (uint8_t version = 3; version <= 4; version++) {
        client_open(&c, 0, version);
        client_open(&d, 0, version);
        client_query(&c, version == 3 ? "CREATE TABLE lab.moved3 (k int PRIMARY KEY, z int)"
                                      : "CREATE TABLE lab.moved4 (k int PRIMARY KEY, z int)");
        const char *text = version == 3 ? "SELECT * FROM lab.moved3 WHERE k = ?"
                                        : "SELECT * FROM lab.moved4 WHERE k = ?";
        client_prepare(&c, text);
        memcpy(select, c.result.prepared.id.data, 16);
        execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
        ck_assert(c.result.no_metadata && c.result.column_count == 2);
        client_query(&d, version == 3 ? "ALTER TABLE lab.moved3 ADD a int"
                                      : "ALTER TABLE lab.moved4 ADD a int");
        if (version == 4)
            client_prepare(&d, text); /* that another knows does not mean that this one does */
        for (int i = 0; i < 2; i++) {
            execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
            ck_assert(!c.result.no_metadata && c.result.column_count == 3);
            ck_assert(base_slice_equal(c.result.columns[1].name, S("a")));
            client_query(&d, i ? "DROP TABLE lab.elsewhere"
                               : "CREATE TABLE lab.elsewhere (k int PRIMARY KEY)");
        }
        /* … nor does it when the schema has moved elsewhere */
        execute_ints(&c, select, metadata, 1, (int32_t[]){1}, true);
        ck_assert(!c.result.no_metadata && c.result.column_count == 3);
        client_close(&c);
        client_close(&d);
    }
}
END_TEST

/* What is no statement on data is about the keyspace of the request (v5) or of the PREPARE, too,
 * and not of the session as it is now. */
START_TEST(a_request_has_its_keyspace)
{
    uint8_t create[16], metadata[16] = {0};
    client_tables(&c);
    client_open(&c, 0, 5);
    client_query(&c, "CREATE KEYSPACE other WITH replication = {'class': 'SimpleStrategy', "
                     "'replication_factor': 1}");
    client_query(&c, "USE other");
    const struct cql_query q = {.text = S("CREATE TABLE here (k int PRIMARY KEY)"),
                                .options = {.consistency = NODE_CL_ONE,
                                            .serial_consistency = CQL_SERIAL_DEFAULT,
                                            .keyspace = S("lab")}};
    client_query_full(&c, &q);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    ck_assert(base_slice_equal(c.result.keyspace, S("lab")));
    client_query(&c, "SELECT * FROM lab.here");
    client_query(&c, "USE lab");
    client_prepare(&c, "CREATE TABLE there (k int PRIMARY KEY)");
    memcpy(create, c.result.prepared.id.data, 16);
    memcpy(metadata, c.result.prepared.result_metadata_id.data, 16);
    client_query(&c, "USE other");
    execute_ints(&c, create, metadata, 0, NULL, false);
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    client_query(&c, "SELECT * FROM lab.there");
    /* the session's, where nothing else is said */
    client_query(&c, "CREATE TABLE plain (k int PRIMARY KEY)");
    client_query(&c, "SELECT * FROM other.plain");
    client_close(&c);
}
END_TEST

START_TEST(prepared_no_more_than_fit)
{
    char text[128];
    uint8_t first[16], last[16], none[16] = {0};
    daemons_setup();
    daemon_open(0, "prepared_statements_cache_size", "64KiB", NULL);
    daemons_settle(1);
    client_open(&c, 0, 4);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "SELECT key FROM system.local WHERE key = 'local' LIMIT %d",
                 i + 1);
        client_prepare(&c, text);
        memcpy(i == 0 ? first : last, c.result.prepared.id.data, 16);
    }
    execute_ints(&c, first, none, 0, NULL, false);
    client_expect_error(&c, CQL_ERROR_UNPREPARED, "not found");
    execute_ints(&c, last, none, 0, NULL, false);
    ck_assert_uint_eq(client_rows(&c), 1);
    client_close(&c);
}
END_TEST

START_TEST(batches)
{
    uint8_t insert[16];
    struct base_buf body;
    base_buf_init(&body, 1 << 16);
    client_tables(&c);
    client_open(&c, 0, 4);
    client_prepare(&c, "INSERT INTO lab.t (k, c) VALUES (?, ?)");
    memcpy(insert, c.result.prepared.id.data, 16);
    const struct cql_value two[] = {int_value(9), int_value(1)},
                           more[] = {int_value(9), int_value(2)};
    struct cql_batch_statement statements[] = {
        {.id = base_slice(insert, 16), .values = two, .value_count = 2},
        {.text = S("INSERT INTO lab.t (k, c) VALUES (?, ?)"), .values = more, .value_count = 2},
        {.text = S("INSERT INTO lab.t (k, c) VALUES (9, 3)")},
    };
    const struct cql_batch_request batch = {
        .kind = CQL_BATCH_UNLOGGED,
        .statements = statements,
        .statement_count = 3,
        .options = {.consistency = NODE_CL_ONE, .serial_consistency = CQL_SERIAL_DEFAULT}};
    ck_assert_int_eq(cql_put_batch(&body, 4, &batch), BASE_OK);
    client_call(&c, CQL_OPCODE_BATCH, base_buf_view(&body));
    ck_assert_int_eq(c.message.opcode, CQL_OPCODE_RESULT);
    client_query(&c, "SELECT c FROM lab.t WHERE k = 9");
    ck_assert_uint_eq(client_rows(&c), 3);
    statements[0].id = S("0123456789abcdef");
    base_buf_reset(&body);
    ck_assert_int_eq(cql_put_batch(&body, 4, &batch), BASE_OK);
    client_call(&c, CQL_OPCODE_BATCH, base_buf_view(&body));
    client_expect_error(&c, CQL_ERROR_UNPREPARED, "30313233");
    ck_assert(base_slice_equal(c.error.id, S("0123456789abcdef")));
    base_buf_fini(&body);
    client_close(&c);
}
END_TEST

/* Any number at once, each answered on its own stream. */
START_TEST(many_in_flight)
{
    enum { COUNT = 5000 };
    static uint8_t answered[COUNT];
    uint8_t insert[16];
    struct base_buf body;
    memset(answered, 0, sizeof answered);
    base_buf_init(&body, 1 << 16);
    client_tables(&c);
    for (uint8_t version = 4; version <= 5; version++) {
        client_open(&c, 0, version);
        client_prepare(&c, "INSERT INTO lab.t (k, c) VALUES (?, ?)");
        memcpy(insert, c.result.prepared.id.data, 16);
        for (int i = 0; i < COUNT; i++) {
            const struct cql_value values[] = {int_value(i % 7), int_value(i)};
            const struct cql_execute e = {
                .id = base_slice(insert, 16),
                .result_metadata_id = base_slice(insert, 16),
                .options = {.consistency = NODE_CL_ONE, .values = values, .value_count = 2}};
            base_buf_reset(&body);
            ck_assert_int_eq(cql_put_execute(&body, version, &e), BASE_OK);
            ck_assert_int_eq(cql_wire_begin(&c.out, CQL_OPCODE_EXECUTE, (int16_t)i, 0), BASE_OK);
            ck_assert_int_eq(base_buf_put_slice(&c.out.bytes, base_buf_view(&body)), BASE_OK);
            ck_assert_int_eq(cql_wire_end(&c.out), BASE_OK);
        }
        client_flush(&c);
        for (int i = 0; i < COUNT; i++) {
            client_receive(&c);
            ck_assert_msg(c.message.opcode == CQL_OPCODE_RESULT, "%.*s",
                          BASE_SLICE_ARG(c.error.message));
            ck_assert(c.message.stream >= 0 && c.message.stream < COUNT);
            ck_assert_uint_eq(answered[c.message.stream]++, version - 4u);
        }
        client_close(&c);
    }
    base_buf_fini(&body);
}
END_TEST

/* Limits. */

static void count_conns(void *ctx, struct repl *repl)
{
    (void)repl;
    *(size_t *)ctx = daemons[0].node->cluster->native->conn_count;
}

static size_t conn_count(void)
{
    size_t count;
    OK(nodei_on_loop(daemons[0].node, count_conns, &count, &fixture.err));
    return count;
}

START_TEST(connections_are_limited)
{
    struct client many[4], more;
    daemons_setup();
    daemon_open(0, "native_transport_max_concurrent_connections_per_ip", "4", NULL);
    daemons_settle(1);
    for (int i = 0; i < 4; i++)
        client_open(&many[i], 0, 4);
    client_connect(&more, 0, 4);
    client_expect_end(&more);
    client_close(&more);
    client_close(&many[0]);
    UNTIL(conn_count() == 3, "%zu connections", conn_count());
    client_open(&many[0], 0, 4);
    client_query(&many[3], "SELECT key FROM system.local");
    for (int i = 0; i < 4; i++)
        client_close(&many[i]);
}
END_TEST

/* A message that is too big is refused; the connection and what else is on it go on. */
START_TEST(messages_are_limited)
{
    static char text[300000];
    memset(text, ' ', sizeof text - 1);
    daemons_setup();
    daemon_open(0, "native_transport_max_frame_size", "128KiB", NULL);
    daemons_settle(1);
    for (int lz4 = 0; lz4 < 2; lz4++) {
        client_open_with(&c, 0, 4, lz4 ? "lz4" : NULL);
        client_fails(&c, text, CQL_ERROR_INVALID, "Request is too big");
        client_query(&c, "SELECT key FROM system.local");
        client_close(&c);
    }
    for (int lz4 = 0; lz4 < 2; lz4++) {
        client_open_with(&c, 0, 5, lz4 ? "lz4" : NULL);
        client_fails(&c, text, CQL_ERROR_INVALID, "Request is too big");
        client_query(&c, "SELECT key FROM system.local");
        client_close(&c);
    }
    client_connect(&c, 0, 4); /* a stranger's is not waited for */
    client_fails(&c, text, CQL_ERROR_PROTOCOL, "Request is too big");
    client_expect_end(&c);
    client_close(&c);
}
END_TEST

/* More bytes in flight than the node takes: refused at once, and then it goes on. */
START_TEST(overload_is_answered)
{
    static char text[1200000];
    memset(text, ' ', sizeof text - 1);
    daemons_setup();
    daemon_open(0, "native_transport_max_request_data_in_flight", "1MiB", NULL);
    daemons_settle(1);
    client_open(&c, 0, 4);
    client_fails(&c, text, CQL_ERROR_OVERLOADED, "overloaded");
    client_query(&c, "SELECT key FROM system.local");
    client_close(&c);
}
END_TEST

/* Who does not read his answers is not read from, and nobody else notices; when he reads them, all
 * are there. */
START_TEST(a_slow_reader)
{
    enum { COUNT = 400 };
    static char text[20100];
    size_t received = 0;
    client_tables(&c);
    client_open(&c, 0, 4);
    client_open(&d, 0, 4);
    snprintf(text, sizeof text, "INSERT INTO lab.t (k, c, v) VALUES (1, 1, '%0*d')", 20000, 7);
    client_query(&d, text);
    int small = 64 << 10;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const struct cql_query q = {.text = S("SELECT v FROM lab.t WHERE k = 1"),
                                .options = {.consistency = NODE_CL_ONE}};
    struct base_buf body;
    base_buf_init(&body, 1024);
    ck_assert_int_eq(cql_put_query(&body, 4, &q), BASE_OK);
    for (int i = 0; i < COUNT; i++)
        client_send(&c, CQL_OPCODE_QUERY, (int16_t)i, 0, base_buf_view(&body));
    for (int i = 0; i < 20; i++) {
        client_query(&d, "SELECT key FROM system.local");
        usleep(10000);
    }
    /* above what lets reading begin anew; the kernel may have taken some since it stopped */
    UNTIL(native_bytes_held(0) > 128 << 10, "%zu bytes have piled up", native_bytes_held(0));
    client_query(&d, "SELECT key FROM system.local");
    while (received < COUNT) {
        client_receive(&c);
        ck_assert_uint_eq(client_rows(&c), 1);
        received++;
        base_arena_reset(&c.arena);
    }
    client_query(&c, "SELECT key FROM system.local");
    UNTIL(native_bytes_held(0) == 0, "%zu bytes are kept", native_bytes_held(0));
    base_buf_fini(&body);
    client_close(&c);
    client_close(&d);
}
END_TEST

static uint64_t now_ns(void)
{
    return base_clock_mono(node_real_clock()).ns;
}

/* Who says nothing for longer than he may, or never begins, is let go. */
START_TEST(silence_ends)
{
    daemons_setup();
    daemon_open(0, "native_transport_idle_timeout", "3s", NULL);
    daemons_settle(1);
    uint64_t since = now_ns();
    client_open(&c, 0, 4);
    client_connect(&d, 0, 4);
    client_send_raw(&d, "\4\0\0", 3);
    for (int i = 0; i < 6; i++) { /* not while it is used */
        usleep(1000000);
        uint64_t now = now_ns();
        client_send(&c, CQL_OPCODE_OPTIONS, 1, 0, S(""));
        if (!client_receive_or_end(&c)) { /* only where this machine let us be silent for as long */
            ck_assert_uint_ge(now_ns() - since, UINT64_C(3000000000));
            client_close(&c);
            now = now_ns();
            client_open(&c, 0, 4);
            i = -1;
        }
        since = now;
    }
    client_expect_end(&c);
    client_expect_end(&d);
    client_close(&c);
    client_close(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, NULL, daemons_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, each_version_and_compression);
    tcase_add_test(tc, other_versions);
    tcase_add_test(tc, out_of_order);
    tcase_add_test(tc, queries);
    tcase_add_test(tc, pages);
    tcase_add_test(tc, prepared);
    tcase_add_test(tc, prepared_while_the_schema_changes);
    tcase_add_test(tc, prepared_lets_schemas_go);
    tcase_add_test(tc, columns_that_moved);
    tcase_add_test(tc, a_request_has_its_keyspace);
    tcase_add_test(tc, prepared_no_more_than_fit);
    tcase_add_test(tc, batches);
    tcase_add_test(tc, many_in_flight);
    tcase_add_test(tc, connections_are_limited);
    tcase_add_test(tc, messages_are_limited);
    tcase_add_test(tc, overload_is_answered);
    tcase_add_test(tc, a_slow_reader);
    tcase_add_test(tc, silence_ends);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
