/* The tables that the node makes up, of an embedded node: what drivers read of them when they
 * connect (../shared/driver_checklist.md) and what people look at. Without this test a missing
 * column or flag would only be seen as a driver that does not connect. */
#include "tests/lib/ck.h"
#include "tests/unit/node/system_rows.h"

static const char *rows_of(const char *keyspace, const char *table, const char *key)
{
    return system_rows(fixture.node, NULL, keyspace, table, key, false);
}

/* Every table can be read, and what it gives is valid for its columns; in both directions the same
 * rows. */
START_TEST(all_can_be_read)
{
    const struct base_schema *schema = nodei_system_schema();
    ck_assert_uint_eq(schema->table_count, nodei_system_table_count);
    ck_assert_ptr_eq(schema, nodei_system_schema());
    for (size_t i = 0; i < nodei_system_table_count; i++) {
        const struct nodei_system_table *def = &nodei_system_tables[i];
        size_t count = system_count(rows_of(def->keyspace, def->name, NULL));
        ck_assert_uint_eq(
            system_count(system_rows(fixture.node, NULL, def->keyspace, def->name, NULL, true)),
            count);
        const struct base_table *table =
            base_schema_table(schema, base_slice_str(def->keyspace), base_slice_str(def->name));
        ck_assert(nodei_is_system_table(table));
    }
    ck_assert(!nodei_is_system_table(fixture.table));
}
END_TEST

START_TEST(ids_are_fixed)
{
    const struct base_table *local =
        base_schema_table(nodei_system_schema(), BASE_SLICE_LIT("system"), BASE_SLICE_LIT("local"));
    char id[37];
    base_uuid_print(local->id, id);
    ck_assert_int_eq(id[14], '3');
    ck_assert_str_eq(id, "57b3819d-129b-3be8-a7ed-d507b30392ce");
}
END_TEST

START_TEST(local)
{
    static const char *const columns[] = {"cluster_name=Test Cluster",
                                          "partitioner=org.apache.cassandra.dht.Murmur3Partitioner",
                                          "release_version=5.0.2",
                                          "data_center=datacenter1",
                                          "rack=rack1",
                                          "rpc_address=127.0.0.1",
                                          "broadcast_address=127.0.0.1",
                                          "listen_address=127.0.0.1",
                                          "rpc_port=9042",
                                          "bootstrapped=COMPLETED",
                                          "cql_version=3.4.7",
                                          "native_protocol_version=5",
                                          "host_id=",
                                          "schema_version=",
                                          "key=local"};
    const char *rows = rows_of("system", "local", "local");
    ck_assert_uint_eq(system_count(rows), 1);
    for (size_t i = 0; i < BASE_COUNT(columns); i++)
        ck_assert_msg(strstr(rows, columns[i]), "no %s in %s", columns[i], rows);
    char version[64];
    base_uuid_print(nodei_schema_version("Test Cluster", fixture.schema->epoch), version);
    system_row_with(rows, version, NULL);
    ck_assert_uint_eq(system_count(rows_of("system", "local", "other")), 0);
    ck_assert_uint_eq(system_count(rows_of("system", "peers", NULL)), 0);
    ck_assert_uint_eq(system_count(rows_of("system", "peers_v2", NULL)), 0);
}
END_TEST

START_TEST(schema_versions_differ)
{
    struct base_uuid a = nodei_schema_version("unit", 1), b = nodei_schema_version("unit", 2);
    ck_assert(!base_uuid_equal(a, b));
    ck_assert(base_uuid_equal(a, nodei_schema_version("unit", 1)));
    ck_assert(!base_uuid_equal(a, nodei_schema_version("unix", 1)));
    ck_assert_int_eq(a.b[6] >> 4, 3);
    ck_assert_int_eq(a.b[8] >> 6, 2);
}
END_TEST

START_TEST(truncations)
{
    ck_assert(!strstr(rows_of("system", "local", NULL), "truncated_at"));
    fixture_cql("TRUNCATE lab.readings");
    char id[37];
    base_uuid_print(fixture.table->id, id);
    system_row_with(rows_of("system", "local", NULL), "truncated_at=", id, NULL);
}
END_TEST

START_TEST(keyspaces)
{
    fixture_cql("CREATE KEYSPACE wide WITH replication = {'class': 'NetworkTopologyStrategy', "
                "'datacenter1': 1} AND durable_writes = false");
    const char *rows = rows_of("system_schema", "keyspaces", NULL);
    ck_assert_uint_eq(system_count(rows), 4); /* ours, and system, system_schema */
    system_row_with(
        rows, "keyspace_name=lab", "durable_writes=true",
        "'class': 'org.apache.cassandra.locator.SimpleStrategy', 'replication_factor': '1'", NULL);
    rows = rows_of("system_schema", "keyspaces", "wide");
    ck_assert_uint_eq(system_count(rows), 1);
    system_row_with(
        rows, "durable_writes=false",
        "'class': 'org.apache.cassandra.locator.NetworkTopologyStrategy', 'datacenter1': '1'",
        NULL);
    system_row_with(rows_of("system_schema", "keyspaces", NULL), "=system_schema",
                    "'class': 'org.apache.cassandra.locator.LocalStrategy'", NULL);
    rows = rows_of("system_virtual_schema", "keyspaces", NULL);
    ck_assert_uint_eq(system_count(rows), 2);
    system_row_with(rows, "keyspace_name=system_views", NULL);
}
END_TEST

START_TEST(tables)
{
    fixture_cql("ALTER TABLE lab.readings WITH comment = 'it''s warm' AND gc_grace_seconds = 77 "
                "AND default_time_to_live = 5");
    const char *rows = rows_of("system_schema", "tables", "lab");
    ck_assert_uint_eq(system_count(rows), 1);
    system_row_with(rows, "table_name=readings", "flags={'compound'}", "comment=it's warm",
                    "gc_grace_seconds=77", "default_time_to_live=5",
                    "'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy'",
                    "'class': 'org.apache.cassandra.io.compress.LZ4Compressor'",
                    "speculative_retry=99p", "additional_write_policy=99p",
                    "bloom_filter_fp_chance=0.01", "crc_check_chance=1", "read_repair=BLOCKING",
                    "extensions={}", "caching={'keys': 'ALL', 'rows_per_partition': 'NONE'}",
                    "cdc=false", "id=", "max_index_interval=2048", "memtable_flush_period_in_ms=0",
                    "min_index_interval=128", NULL);
    rows = rows_of("system_schema", "tables", "system");
    ck_assert_uint_gt(system_count(rows), 20);
    system_row_with(rows, "table_name=peers_v2", "flags={'compound'}", NULL);
    system_row_with(rows_of("system_virtual_schema", "tables", "system_views"),
                    "table_name=settings", "comment=current settings", NULL);
    ck_assert_uint_eq(system_count(rows_of("system_virtual_schema", "tables", "system")), 0);
}
END_TEST

START_TEST(columns)
{
    fixture_cql("CREATE TYPE lab.point (x int, \"Y\" text)");
    fixture_cql(
        "CREATE TABLE lab.many (a int, b text, c int, d timeuuid, s text STATIC, m map<text, "
        "frozen<list<int>>>, p frozen<point>, "
        "v vector<float, 3>, PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)");
    const char *rows = rows_of("system_schema", "columns", "lab");
    ck_assert_uint_eq(system_count(rows), 3 + 8);
    static const char *const expected[][5] = {
        {"column_name=a ", "kind=partition_key", "position=0", "clustering_order=none", "type=int"},
        {"column_name=b ", "kind=partition_key", "position=1", "clustering_order=none",
         "type=text"},
        {"column_name=c ", "kind=clustering", "position=0", "clustering_order=desc", "type=int"},
        {"column_name=d ", "kind=clustering", "position=1", "clustering_order=asc",
         "type=timeuuid"},
        {"column_name=s ", "kind=static", "position=-1", "clustering_order=none", "type=text"},
        {"column_name=m ", "kind=regular", "position=-1", "clustering_order=none",
         "type=map<text, frozen<list<int>>>"},
        {"column_name=p ", "kind=regular", "position=-1", "clustering_order=none",
         "type=frozen<point>"},
        {"column_name=v ", "kind=regular", "position=-1", "clustering_order=none",
         "type=vector<float, 3>"},
    };
    for (size_t i = 0; i < BASE_COUNT(expected); i++)
        system_row_with(rows, "table_name=many", expected[i][0], expected[i][1], expected[i][2],
                        expected[i][3], expected[i][4], NULL);
    system_row_with(rows_of("system_schema", "types", NULL), "type_name=point",
                    "field_names=['x', 'Y']", "field_types=['int', 'text']", NULL);
    system_row_with(rows_of("system_schema", "columns", "system"), "table_name=local",
                    "column_name=tokens", "type=set<text>", NULL);
    system_row_with(rows_of("system_virtual_schema", "columns", "system_views"),
                    "table_name=clients", "column_name=address", "kind=partition_key", "type=inet",
                    NULL);
}
END_TEST

START_TEST(dropped_columns)
{
    fixture_cql("ALTER TABLE lab.readings DROP celsius");
    fixture_cql("ALTER TABLE lab.readings ADD celsius int");
    fixture_cql("ALTER TABLE lab.readings DROP celsius");
    const char *rows = rows_of("system_schema", "dropped_columns", "lab");
    ck_assert_uint_eq(system_count(rows), 1);
    system_row_with(rows, "column_name=celsius", "kind=regular", "type=int", "dropped_time=20",
                    NULL);
}
END_TEST

START_TEST(views)
{
    system_row_with(rows_of("system_views", "settings", "rpc_address"), "value=127.0.0.1", NULL);
    ck_assert_uint_eq(system_count(rows_of("system_views", "settings", "rpc_address")), 1);
    system_row_with(rows_of("system_views", "caches", NULL), "name=chunks",
                    "capacity_bytes=", NULL);
    system_row_with(rows_of("system_views", "thread_pools", NULL), "name=CompactionExecutor",
                    "active_tasks=", NULL);
    OK(fixture_write(fixture.session, "a", 1, 20));
    system_row_with(rows_of("system_views", "local_write_latency", NULL), "keyspace_name=lab",
                    "count=1", NULL);
    struct base_buf json;
    base_buf_init(&json, 65536);
    OK(node_admin(fixture.node, "flush", NULL, 0, &json, &fixture.err));
    base_buf_fini(&json);
    system_row_with(rows_of("system_views", "disk_usage", NULL), "keyspace_name=lab", "mebibytes=1",
                    NULL);
    system_row_with(rows_of("system", "size_estimates", "lab"), "table_name=readings",
                    "range_start=-9223372036854775808", "partitions_count=1", NULL);
    ck_assert_uint_eq(system_count(rows_of("system", "table_estimates", "lab")), 2);
}
END_TEST

/* What the read asks for holds: a token range, a slice. */
START_TEST(ranges_and_slices)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_rows rows = {0};
    struct base_live_row row;
    struct base_source *source;
    const struct base_table *table = base_schema_table(
        nodei_system_schema(), BASE_SLICE_LIT("system_schema"), BASE_SLICE_LIT("tables"));
    struct base_buf lo, hi;
    bool exact;
    base_buf_init(&lo, 100);
    base_buf_init(&hi, 100);
    OK(base_ckey_put(base_type_scalar(BASE_TYPE_TEXT), false, BASE_SLICE_LIT("readings"), &lo,
                     &exact, &fixture.err));
    OK(base_ckey_end(BASE_KEY_BEFORE, &lo));
    OK(base_ckey_put(base_type_scalar(BASE_TYPE_TEXT), false, BASE_SLICE_LIT("readings"), &hi,
                     &exact, &fixture.err));
    OK(base_ckey_end(BASE_KEY_AFTER, &hi));
    const struct base_range range = {base_buf_view(&lo), base_buf_view(&hi)};
    cmd.table_id = table->id;
    cmd.slices = (struct base_slices){&range, 1};
    cmd.token_after = base_token(BASE_SLICE_LIT("lab")) - 1;
    cmd.token_upto = cmd.token_after + 1;
    for (int pass = 0; pass < 2; pass++) {
        OK(nodei_system_read(fixture.node, NULL, table, &cmd, &source, &fixture.err));
        base_rows_open(&rows, &cmd, table, source);
        OK(base_rows_next(&rows, &row, &fixture.err));
        ck_assert_int_eq(row.pkey.len > 0, pass == 0);
        base_rows_close(&rows);
        cmd.token_upto--;
        cmd.token_after--;
    }
    base_buf_fini(&lo);
    base_buf_fini(&hi);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("node/system");
    TCase *tc = tcase_create("system");
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, all_can_be_read);
    tcase_add_test(tc, ids_are_fixed);
    tcase_add_test(tc, local);
    tcase_add_test(tc, schema_versions_differ);
    tcase_add_test(tc, truncations);
    tcase_add_test(tc, keyspaces);
    tcase_add_test(tc, tables);
    tcase_add_test(tc, columns);
    tcase_add_test(tc, dropped_columns);
    tcase_add_test(tc, views);
    tcase_add_test(tc, ranges_and_slices);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return ck_main(suite());
}
