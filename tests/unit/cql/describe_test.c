/* DESCRIBE in the server. Without these cqlsh's DESCRIBE would show another text than Cassandra's,
 * or one that makes another schema than the one described. The expected rows are those of
 * Cassandra's own DescribeStatementTest. */
#include <stdio.h>

#include "cql/exec.h"
#include "tests/lib/rng.h"
#include "tests/unit/cql/script.h"

enum { ROWS_MAX = 4096, CELLS_MAX = 4 };
static struct {
    const char *cells[ROWS_MAX][CELLS_MAX];
    size_t count, columns;
} got;
static struct base_schema *system_schema; /* or NULL */
static const char *session = "";

static int describe_rc(const char *text)
{
    static const struct cql_describe_facts facts = {
        .cluster_name = "Test Cluster", .snitch = "org.apache.cassandra.locator.SimpleSnitch"};
    struct cql_context at = context();
    struct cql_statement *statement;
    struct cql_result result;
    at.system = system_schema;
    at.keyspace = S(session);
    got.count = 0;
    ck_ok(cql_parse(&arena, S(text), &statement, &err), err);
    cql_result_init(&result, 1 << 26);
    int rc = cql_describe_run(&arena, statement, &at, &facts, &result, &err);
    const uint8_t *c = result.rows.data;
    if (rc == BASE_OK) {
        ck_assert_int_eq(result.kind, CQL_RESULT_ROWS);
        got.columns = result.column_count;
        got.count = result.row_count;
        ck_assert_uint_le(got.count, ROWS_MAX);
        for (size_t i = 0; i < got.count * got.columns; i++) {
            uint32_t len = base_get_be32(c);
            got.cells[i / got.columns][i % got.columns] =
                base_arena_strdup(&arena, base_slice(c + 4, len));
            c += 4 + len;
        }
    }
    ck_assert(rc != BASE_OK || c == result.rows.data + result.rows.len);
    ck_assert(rc == BASE_OK || (result.rows.len == 0 && result.row_count == 0));
    cql_result_fini(&result);
    return rc;
}

static void describe(const char *text)
{
    int rc = describe_rc(text);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
}

static void describe_fails(const char *text, const char *message)
{
    ck_assert_msg(describe_rc(text) == BASE_E_INVALID, "%s", text);
    ck_assert_str_eq(err.text, message);
}

/* Row `i`, and its text if `create` is given. */
static void row(size_t i, const char *keyspace_name, const char *type, const char *name,
                const char *create)
{
    ck_assert_uint_lt(i, got.count);
    ck_assert_str_eq(got.cells[i][0], keyspace_name);
    ck_assert_str_eq(got.cells[i][1], type);
    ck_assert_str_eq(got.cells[i][2], name);
    ck_assert_uint_eq(got.columns, create ? 4 : 3);
    if (create && *create)
        ck_assert_str_eq(got.cells[i][3], create);
}

#define OPTIONS                                                                                    \
    "additional_write_policy = '99p'\n    AND allow_auto_snapshot = true\n    AND "                \
    "bloom_filter_fp_chance = 0.01\n"                                                              \
    "    AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}\n    AND cdc = false\n    "   \
    "AND comment = ''\n"                                                                           \
    "    AND compaction = {'class': "                                                              \
    "'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', 'max_threshold': '32', "   \
    "'min_threshold': '4'}\n"                                                                      \
    "    AND compression = {'chunk_length_in_kb': '16', 'class': "                                 \
    "'org.apache.cassandra.io.compress.LZ4Compressor'}\n    AND memtable = 'default'\n"            \
    "    AND crc_check_chance = 1.0\n    AND default_time_to_live = 0\n    AND extensions = {}\n " \
    "   AND gc_grace_seconds = 864000\n"                                                           \
    "    AND incremental_backups = true\n    AND max_index_interval = 2048\n    AND "              \
    "memtable_flush_period_in_ms = 0\n"                                                            \
    "    AND min_index_interval = 128\n    AND read_repair = 'BLOCKING'\n    AND "                 \
    "speculative_retry = '99p';"

static void test_keyspace(void)
{
    must("CREATE KEYSPACE test WITH REPLICATION = {'class' : 'SimpleStrategy', "
         "'replication_factor' : 1};");
    keyspace = "test";
    must("CREATE TABLE test.users ( userid text PRIMARY KEY, firstname text, lastname text, age "
         "int);");
    must("CREATE INDEX myindex ON test.users (age);");
    must("CREATE TABLE test.\"Test\" (id int, col int, val text, PRIMARY KEY(id, col));");
    must("CREATE INDEX ON test.\"Test\" (col);");
    must("CREATE INDEX ON test.\"Test\" (val)");
    must("CREATE TABLE test.has_all_types (a int PRIMARY KEY)");
}

static const char users[] = "CREATE TABLE test.users (\n    userid text PRIMARY KEY,\n    age "
                            "int,\n    firstname text,\n    lastname text\n) WITH " OPTIONS;
static const char quoted[] = "CREATE TABLE test.\"Test\" (\n    id int,\n    col int,\n    val "
                             "text,\n    PRIMARY KEY (id, col)\n) WITH "
                             "CLUSTERING ORDER BY (col ASC)\n    AND " OPTIONS;

static void test_keyspace_rows(size_t at)
{
    row(at, "test", "keyspace", "test",
        "CREATE KEYSPACE test WITH replication = {'class': 'SimpleStrategy', 'replication_factor': "
        "'1'}  AND durable_writes = true;");
    row(at + 1, "test", "table", "has_all_types", "");
    row(at + 2, "test", "table", "\"Test\"", quoted);
    row(at + 3, "test", "index", "\"Test_col_idx\"",
        "CREATE INDEX \"Test_col_idx\" ON test.\"Test\" (col);");
    row(at + 4, "test", "index", "\"Test_val_idx\"",
        "CREATE INDEX \"Test_val_idx\" ON test.\"Test\" (val);");
    row(at + 5, "test", "table", "users", users);
    row(at + 6, "test", "index", "myindex", "CREATE INDEX myindex ON test.users (age);");
}

START_TEST(elements)
{
    test_keyspace();
    describe("DESCRIBE KEYSPACE test");
    ck_assert_uint_eq(got.count, 7);
    test_keyspace_rows(0);
    describe("DESC test");
    ck_assert_uint_eq(got.count, 7);
    test_keyspace_rows(0);
    describe("DESCRIBE ONLY KEYSPACE test");
    ck_assert_uint_eq(got.count, 1);
    describe("DESCRIBE SCHEMA");
    test_keyspace_rows(0);
    static const char *const tables[] = {"DESCRIBE TABLE test.\"Test\"",
                                         "DESC COLUMNFAMILY test.\"Test\"", "DESC test.\"Test\""};
    for (size_t i = 0; i < BASE_COUNT(tables); i++) {
        describe(tables[i]);
        ck_assert_uint_eq(got.count, 3);
        row(0, "test", "table", "\"Test\"", quoted);
        row(2, "test", "index", "\"Test_val_idx\"",
            "CREATE INDEX \"Test_val_idx\" ON test.\"Test\" (val);");
    }
    describe("DESC INDEX test.myindex");
    row(0, "test", "index", "myindex", "CREATE INDEX myindex ON test.users (age);");
    describe("DESC test.myindex");
    row(0, "test", "index", "myindex", "CREATE INDEX myindex ON test.users (age);");
    session = "test";
    describe("DESC users");
    ck_assert_uint_eq(got.count, 2);
    row(0, "test", "table", "users", users);
    describe("DESCRIBE KEYSPACE");
    ck_assert_uint_eq(got.count, 7);
    describe("DESC myindex");
    ck_assert_uint_eq(got.count, 1);
    describe("DESCRIBE TABLES");
    ck_assert_uint_eq(got.count, 3);
    row(0, "test", "table", "has_all_types", NULL);
    row(1, "test", "table", "\"Test\"", NULL);
    row(2, "test", "table", "users", NULL);
    describe("DESCRIBE FUNCTIONS");
    ck_assert_uint_eq(got.count, 0);
    ck_assert_uint_eq(got.columns, 3);
}
END_TEST

START_TEST(messages)
{
    test_keyspace();
    describe_fails("DESCRIBE TABLE foop", "No keyspace specified and no current keyspace");
    describe_fails("DESCRIBE KEYSPACE", "No keyspace specified and no current keyspace");
    describe_fails("DESCRIBE TYPE foop", "No keyspace specified and no current keyspace");
    describe_fails("DESCRIBE test2", "'test2' not found in keyspaces");
    describe_fails("DESCRIBE KEYSPACE test2", "'test2' not found in keyspaces");
    describe_fails("DESCRIBE TABLE test2.x", "'test2' not found in keyspaces");
    describe_fails("DESCRIBE test.users2", "'users2' not found in keyspace 'test'");
    describe_fails("DESCRIBE TABLE test.users2", "Table 'users2' not found in keyspace 'test'");
    describe_fails("DESCRIBE INDEX test.i", "Table for existing index 'i' not found in 'test'");
    describe_fails("DESCRIBE TYPE test.t", "User defined type 't' not found in 'test'");
    describe_fails("DESCRIBE MATERIALIZED VIEW test.v",
                   "Materialized view 'v' not found in 'test'");
    describe_fails("DESCRIBE FUNCTION test.f", "User defined function 'f' not found in 'test'");
    describe_fails("DESCRIBE AGGREGATE test.f", "User defined aggregate 'f' not found in 'test'");
    session = "test";
    describe_fails("DESCRIBE users2", "'users2' not found in keyspace 'test'");
    session = "gone";
    describe_fails("DESCRIBE TABLES", "'gone' not found in keyspaces");
}
END_TEST

START_TEST(the_cluster)
{
    describe("DESCRIBE CLUSTER");
    ck_assert_uint_eq(got.count, 1);
    ck_assert_uint_eq(got.columns, 3);
    ck_assert_str_eq(got.cells[0][0], "Test Cluster");
    ck_assert_str_eq(got.cells[0][1], "Murmur3Partitioner");
    ck_assert_str_eq(got.cells[0][2], "SimpleSnitch");
}
END_TEST

/* A type comes after those it is made of, whatever their names. */
START_TEST(types_come_in_an_order_that_can_be_executed)
{
    lab();
    must("CREATE TYPE a (x int)");
    must("CREATE TYPE b (x text, y text)");
    must("CREATE TYPE \"C\" (a text, b frozen<list<frozen<b>>>)");
    must("ALTER TYPE a ADD b frozen<\"C\">");
    session = "lab";
    describe("DESCRIBE TYPES");
    ck_assert_uint_eq(got.count, 3);
    row(0, "lab", "type", "a", NULL);
    row(1, "lab", "type", "b", NULL);
    row(2, "lab", "type", "\"C\"", NULL);
    describe("DESCRIBE TYPE a");
    row(0, "lab", "type", "a", "CREATE TYPE lab.a (\n    x int,\n    b frozen<\"C\">\n);");
    describe("DESCRIBE KEYSPACE lab");
    ck_assert_uint_eq(got.count, 4);
    row(1, "lab", "type", "b", "CREATE TYPE lab.b (\n    x text,\n    y text\n);");
    row(2, "lab", "type", "\"C\"", "");
    row(3, "lab", "type", "a", "");
}
END_TEST

START_TEST(internals)
{
    char want[4096], id[64];
    lab();
    must("CREATE TABLE t (pk1 text, pk2 int, c int, s decimal static, v1 text, v2 int, v3 int, "
         "PRIMARY KEY ((pk1, pk2), c)) WITH ID = "
         "5a1c395e-b41f-11e5-9f22-ba0be0483c18");
    snprintf(id, sizeof id, "5a1c395e-b41f-11e5-9f22-ba0be0483c18");
    const char *create = "CREATE TABLE lab.t (\n    pk1 text,\n    pk2 int,\n    c int,\n    s "
                         "decimal static,\n    v1 text,\n    v2 int,\n"
                         "    v3 int,\n    PRIMARY KEY ((pk1, pk2), c)\n) WITH ID = "
                         "5a1c395e-b41f-11e5-9f22-ba0be0483c18\n"
                         "    AND CLUSTERING ORDER BY (c ASC)\n    AND " OPTIONS;
    describe("DESCRIBE TABLE lab.t WITH INTERNALS");
    row(0, "lab", "table", "t", create);
    must("ALTER TABLE lab.t DROP v3 USING TIMESTAMP 1589286942065000;");
    describe("DESCRIBE TABLE lab.t WITH INTERNALS");
    snprintf(want, sizeof want, "%s\nALTER TABLE lab.t DROP v3 USING TIMESTAMP 1589286942065000;",
             create);
    row(0, "lab", "table", "t", want);
    must("ALTER TABLE lab.t ADD v3 int;");
    describe("DESCRIBE TABLE lab.t WITH INTERNALS");
    snprintf(want, sizeof want,
             "%s\nALTER TABLE lab.t DROP v3 USING TIMESTAMP 1589286942065000;\nALTER TABLE lab.t "
             "ADD v3 int;",
             create);
    row(0, "lab", "table", "t", want);
    must("CREATE TABLE one (k int PRIMARY KEY, \"V\" int)");
    must("ALTER TABLE one DROP \"V\" USING TIMESTAMP 5");
    describe("DESCRIBE lab.one WITH INTERNALS");
    ck_assert_ptr_nonnull(
        strstr(got.cells[0][3], "    k int PRIMARY KEY,\n    \"V\" int\n) WITH ID = "));
    ck_assert_ptr_nonnull(
        strstr(got.cells[0][3], "\nALTER TABLE lab.one DROP \"V\" USING TIMESTAMP 5;"));
    describe("DESCRIBE lab.one");
    ck_assert_ptr_nonnull(strstr(got.cells[0][3], "    k int PRIMARY KEY\n) WITH additional"));
}
END_TEST

/* As Cassandra's testDescribeTableAndMaterializedViewWithClustringOrder: columns of several cells
 * last. */
START_TEST(columns_of_several_cells_come_last)
{
    lab();
    must("CREATE TABLE t (pk1 int, pk2 int, ck1 int, ck2 int, reg1 int, reg2 list<int>, reg3 int, "
         "sm map<int, int> static, st int static, "
         "PRIMARY KEY ((pk1, pk2), ck1, ck2)) WITH CLUSTERING ORDER BY (ck1 ASC, ck2 DESC)");
    describe("DESCRIBE lab.t");
    row(0, "lab", "table", "t",
        "CREATE TABLE lab.t (\n    pk1 int,\n    pk2 int,\n    ck1 int,\n    ck2 int,\n    st int "
        "static,\n    sm map<int, int> static,\n"
        "    reg1 int,\n    reg3 int,\n    reg2 list<int>,\n    PRIMARY KEY ((pk1, pk2), ck1, "
        "ck2)\n) WITH CLUSTERING ORDER BY (ck1 ASC, "
        "ck2 DESC)\n    AND " OPTIONS);
}
END_TEST

/* Applied without asking who may make such a thing, as the node makes its system schema. */
static void make_system(void)
{
    static const char *const texts[] = {
        "CREATE TABLE k.columns (keyspace_name text, table_name text, kind text, PRIMARY KEY "
        "(keyspace_name, table_name)) WITH comment = "
        "'virtual column definitions'",
        "CREATE TABLE k.local (key text PRIMARY KEY, rack text)"};
    static const char *const keyspaces[] = {"system_virtual_schema", "system"};
    system_schema = base_schema_new();
    for (size_t i = 0; i < BASE_COUNT(keyspaces); i++) {
        struct base_option class = {S("class"), S("LocalStrategy")};
        struct base_keyspace ks = {
            .name = S(keyspaces[i]), .replication = {&class, 1}, .durable_writes = true};
        struct base_change change = {.kind = BASE_CHANGE_KEYSPACE_CREATE,
                                     .expected_epoch = system_schema->epoch,
                                     .keyspace = ks.name,
                                     .keyspace_new = &ks};
        struct base_schema *after;
        ck_ok(base_schema_apply(system_schema, &change, &after, &err), err);
        base_schema_release(system_schema);
        system_schema = after;
        must("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
             "'replication_factor': 1}");
        must(texts[i]);
        struct base_table table = *schema->keyspaces[0].tables[0];
        table.keyspace = ks.name;
        change = (struct base_change){.kind = BASE_CHANGE_TABLE_CREATE,
                                      .expected_epoch = system_schema->epoch,
                                      .keyspace = ks.name,
                                      .name = table.name,
                                      .table_new = &table};
        ck_ok(base_schema_apply(system_schema, &change, &after, &err), err);
        base_schema_release(system_schema);
        system_schema = after;
        must("DROP KEYSPACE k");
    }
}

START_TEST(the_system_is_described_too)
{
    make_system();
    lab();
    describe("DESCRIBE KEYSPACES");
    ck_assert_uint_eq(got.count, 3);
    row(0, "lab", "keyspace", "lab", NULL);
    row(1, "system", "keyspace", "system", NULL);
    row(2, "system_virtual_schema", "keyspace", "system_virtual_schema", NULL);
    describe("DESCRIBE SCHEMA");
    ck_assert_uint_eq(got.count, 1);
    describe("DESCRIBE FULL SCHEMA");
    ck_assert_uint_eq(got.count, 5);
    row(1, "system", "keyspace", "system",
        "CREATE KEYSPACE system WITH replication = {'class': 'LocalStrategy'}  AND durable_writes "
        "= true;");
    row(3, "system_virtual_schema", "keyspace", "system_virtual_schema",
        "/*\nWarning: Keyspace system_virtual_schema is a virtual keyspace and cannot be recreated "
        "with CQL.\nStructure, for reference:\n"
        "VIRTUAL KEYSPACE system_virtual_schema;\n*/");
    describe("DESCRIBE TABLE system_virtual_schema.columns");
    row(0, "system_virtual_schema", "table", "columns",
        "/*\nWarning: Table system_virtual_schema.columns is a virtual table and cannot be "
        "recreated with CQL.\nStructure, for reference:\n"
        "VIRTUAL TABLE system_virtual_schema.columns (\n    keyspace_name text,\n    table_name "
        "text,\n    kind text,\n"
        "    PRIMARY KEY (keyspace_name, table_name)\n) WITH CLUSTERING ORDER BY (table_name ASC)\n"
        "    AND comment = 'virtual column definitions';\n*/");
    describe("DESCRIBE system.local");
    ck_assert_ptr_nonnull(
        strstr(got.cells[0][3], "CREATE TABLE system.local (\n    key text PRIMARY KEY,"));
    base_schema_release(system_schema);
    system_schema = NULL;
}
END_TEST

/* What it prints makes the same schema. */

static uint32_t pick(struct rng *rng, uint32_t below)
{
    return (uint32_t)rng_below(rng, below);
}

static const char *const odd_names[] = {"a",    "Ab",   "select",   "with space", "q\"uote", "k1",
                                        "type", "zz_9", "\xc3\xa4", "from",       "ttl",     "B"};

static void put_type(struct rng *rng, char *out, size_t size, unsigned depth, unsigned udts)
{
    static const char *const scalars[] = {"int",       "text",    "uuid", "blob",    "bigint",
                                          "timestamp", "decimal", "inet", "boolean", "date"};
    char a[400], b[400];
    uint32_t kind = depth ? pick(rng, 8) : 0;
    if (kind >= 3) {
        put_type(rng, a, sizeof a, depth - 1, udts);
        put_type(rng, b, sizeof b, depth - 1, udts);
    }
    switch (kind) {
    case 3:
        snprintf(out, size, "frozen<list<%s>>", a);
        break;
    case 4:
        snprintf(out, size, "frozen<map<%s, %s>>", "text", b);
        break;
    case 5:
        snprintf(out, size, "tuple<%s, %s>", a, b);
        break;
    case 6:
        snprintf(out, size, "vector<%s, 3>", a);
        break;
    case 7:
        if (udts) {
            snprintf(out, size, "frozen<\"t%u\">", pick(rng, udts));
            break;
        }
        /* fall through */
    default:
        snprintf(out, size, "%s", scalars[pick(rng, BASE_COUNT(scalars))]);
    }
}

static void quote(const char *name, char *out)
{
    *out++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *out++ = '"';
        *out++ = *name;
    }
    *out++ = '"';
    *out = 0;
}

/* A table of random columns, keys, options and indexes, some columns dropped and come back. */
static void random_table(struct rng *rng, unsigned number, unsigned udts)
{
    static const char *const options[] = {
        "comment = 'it''s; -- $$'",
        "gc_grace_seconds = 5",
        "default_time_to_live = 77",
        "bloom_filter_fp_chance = 0.25",
        "caching = {'keys': 'NONE', 'rows_per_partition': '10'}",
        "compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 3, 'bucket_high': "
        "'1.75'}",
        "compression = {'class': 'ZstdCompressor', 'compression_level': '5'}",
        "compression = {'enabled': 'false'}",
        "crc_check_chance = 0.5",
        "max_index_interval = 4096",
        "memtable_flush_period_in_ms = 100",
        "min_index_interval = 64",
        "read_repair = 'NONE'",
        "speculative_retry = 'ALWAYS'",
        "additional_write_policy = '50ms'",
        "allow_auto_snapshot = false",
        "incremental_backups = false",
        "compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 10}",
        "compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', "
        "'compaction_window_size': 2}",
        "compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'L4, N, T8', "
        "'target_sstable_size': '1GiB'}",
        "compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}",
    };
    char text[16384], type[1024], name[64];
    size_t n = 0, keys = 1 + pick(rng, 2), clusterings = pick(rng, 3), others = pick(rng, 5);
    n += (size_t)snprintf(text + n, sizeof text - n, "CREATE TABLE t%u (", number);
    for (size_t i = 0; i < keys + clusterings + others; i++) {
        quote(odd_names[i], name);
        put_type(rng, type, sizeof type, i < keys + clusterings ? 1 : 3, udts);
        bool is_static = i >= keys + clusterings && clusterings && pick(rng, 3) == 0;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %s%s, ", name, type,
                              is_static ? " static" : "");
    }
    n += (size_t)snprintf(text + n, sizeof text - n,
                          "m map<text, int>, s set<int>, drop1 int, PRIMARY KEY ((");
    for (size_t i = 0; i < keys + clusterings; i++) {
        quote(odd_names[i], name);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s",
                              i && i != keys ? ", "
                              : i == keys    ? ", "
                                             : "",
                              name, i + 1 == keys ? ")" : "");
    }
    n += (size_t)snprintf(text + n, sizeof text - n, ")) WITH gc_grace_seconds = 7");
    if (clusterings) {
        n += (size_t)snprintf(text + n, sizeof text - n, " AND CLUSTERING ORDER BY (");
        for (size_t i = keys; i < keys + clusterings; i++) {
            quote(odd_names[i], name);
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", i > keys ? ", " : "", name,
                                  pick(rng, 2) ? "DESC" : "ASC");
        }
        n += (size_t)snprintf(text + n, sizeof text - n, ")");
    }
    must(text);
    for (size_t i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "ALTER TABLE t%u WITH %s", number,
                 options[pick(rng, BASE_COUNT(options))]);
        must(text);
    }
    snprintf(text, sizeof text, "CREATE INDEX ON t%u (%s)", number, pick(rng, 2) ? "keys(m)" : "s");
    must(text);
    static const char *const drops[] = {"DROP drop1 USING TIMESTAMP 10", "ADD drop1 int",
                                        "DROP drop1 USING TIMESTAMP 20", "ADD drop1 int"};
    for (size_t i = 0, count = pick(rng, 5); i < count; i++) {
        snprintf(text, sizeof text, "ALTER TABLE t%u %s", number, drops[i]);
        must(text);
    }
}

/* Every row's statements, in order. */
static void execute_rows(void)
{
    static const char *texts[ROWS_MAX];
    size_t count = got.count;
    for (size_t i = 0; i < count; i++)
        texts[i] = got.cells[i][3];
    for (size_t i = 0; i < count; i++) {
        struct base_slice rest = S(texts[i]);
        for (size_t len; (len = cql_split(rest)) > 0;
             rest = base_slice(rest.data + len, rest.len - len))
            must(base_arena_strdup(&arena, base_slice(rest.data, len)));
    }
}

START_TEST(what_it_prints_makes_the_same_schema)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rng rng = rng_seeded(seed);
        char text[4096], type[1024];
        lab();
        unsigned udts = pick(&rng, 4);
        for (unsigned i = 0; i < udts; i++) {
            put_type(&rng, type, sizeof type, 2, i);
            snprintf(text, sizeof text, "CREATE TYPE \"t%u\" (\"select\" %s, b frozen<list<int>>)",
                     i, type);
            must(text);
        }
        if (udts > 1) /* against the order of the names */
            must("ALTER TYPE \"t0\" ADD later int");
        for (unsigned i = 0, tables = 1 + pick(&rng, 3); i < tables; i++)
            random_table(&rng, i, udts);
        for (int with = 0; with < 2; with++) {
            static const char *before[ROWS_MAX];
            const char *what = with ? "DESCRIBE SCHEMA WITH INTERNALS" : "DESCRIBE SCHEMA";
            describe(what);
            size_t count = got.count;
            for (size_t i = 0; i < count; i++)
                before[i] = got.cells[i][3];
            struct base_schema *old = base_schema_acquire(schema);
            must("DROP KEYSPACE lab");
            execute_rows();
            describe(what);
            ck_assert_uint_eq(got.count, count);
            for (size_t i = 0; i < count; i++)
                ck_assert_str_eq(got.cells[i][3], before[i]);
            if (!with) { /* back to what still has its dropped columns */
                base_schema_release(schema);
                schema = old;
            } else {
                base_schema_release(old);
            }
        }
        must("DROP KEYSPACE lab");
        base_arena_reset(&arena);
    }
}
END_TEST

static void start(void)
{
    setup();
    keyspace = "lab";
    session = "";
}

int main(void)
{
    Suite *suite = suite_create("describe");
    TCase *tc = tcase_create("describe");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, start, teardown);
    tcase_add_test(tc, elements);
    tcase_add_test(tc, messages);
    tcase_add_test(tc, the_cluster);
    tcase_add_test(tc, types_come_in_an_order_that_can_be_executed);
    tcase_add_test(tc, internals);
    tcase_add_test(tc, columns_of_several_cells_come_last);
    tcase_add_test(tc, the_system_is_described_too);
    tcase_add_test(tc, what_it_prints_makes_the_same_schema);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
