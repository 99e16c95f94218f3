/* What DDL means. Without these a table could get another key than it was given, an option be taken
 * and ignored, a dropped column come back with its old cells, a type change under its tables' feet,
 * or DESCRIBE write what makes another table. */
#include "tests/unit/cql/script.h"

/* Keyspaces. */

START_TEST(keyspaces)
{
    must("CREATE KEYSPACE Lab WITH replication = {'class': 'SimpleStrategy', 'replication_factor': "
         "'3'} AND durable_writes = false");
    const struct base_keyspace *ks = base_schema_keyspace(schema, S("lab"));
    ck_assert_ptr_nonnull(ks);
    ck_assert(!ks->durable_writes);
    ck_assert(base_slice_equal(base_options_get(&ks->replication, "class"), S("SimpleStrategy")));
    ck_assert(base_slice_equal(base_options_get(&ks->replication, "replication_factor"), S("3")));
    refuses("CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
            "'replication_factor': 1}",
            BASE_E_EXISTS, "Cannot add existing keyspace \"lab\"");
    must("CREATE KEYSPACE IF NOT EXISTS lab WITH replication = {'class': 'SimpleStrategy', "
         "'replication_factor': 1}");
    ck_assert(ddl.nothing);
    must("ALTER KEYSPACE lab WITH replication = {'class': "
         "'org.apache.cassandra.locator.NetworkTopologyStrategy', 'dc1': 2, "
         "'dc2': '0'}");
    ks = base_schema_keyspace(schema, S("lab"));
    ck_assert(!ks->durable_writes); /* what ALTER does not name stays */
    ck_assert(base_slice_equal(base_options_get(&ks->replication, "class"),
                               S("NetworkTopologyStrategy")));
    must("DROP KEYSPACE lab");
    refuses("DROP KEYSPACE lab", BASE_E_NOTFOUND, "Keyspace 'lab' doesn't exist");
    must("DROP KEYSPACE IF EXISTS lab");
    must("ALTER KEYSPACE IF EXISTS lab WITH durable_writes = true");
}
END_TEST

START_TEST(keyspaces_that_are_refused)
{
    static const struct {
        const char *with;
        int code;
        const char *part;
    } bad[] = {
        {"durable_writes = true", BASE_E_INVALID, "Missing mandatory option 'replication'"},
        {"replication = {}", BASE_E_CONFIG, "Missing mandatory replication strategy class"},
        {"replication = 'SimpleStrategy'", BASE_E_SYNTAX, "It should be a map"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 'x'}", BASE_E_CONFIG,
         "must be numeric; found x"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 0}", BASE_E_CONFIG,
         "must be positive"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': -1}", BASE_E_CONFIG,
         "must be non-negative, found -1"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': '3/1'}", BASE_E_CONFIG,
         "Transient"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 99999999999999999999}",
         BASE_E_CONFIG, "numeric"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 1, 'dc1': 1}",
         BASE_E_CONFIG, "{dc1}"},
        {"replication = {'class': 'NetworkTopologyStrategy', 'dc1': 'many'}", BASE_E_CONFIG, "dc1"},
        {"replication = {'class': 'LocalStrategy'}", BASE_E_INVALID, "reserved for internal use"},
        {"replication = {'class': 'MyStrategy'}", BASE_E_CONFIG,
         "Unable to find replication strategy class 'MyStrategy'"},
        {"replication = {'class': 'SimpleStrategy', 'class': 'x'}", BASE_E_SYNTAX, "given twice"},
        {"replication = {'class': {'a': 1}}", BASE_E_SYNTAX, "may not hold a map"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 1} AND durable_writes = "
         "maybe",
         BASE_E_SYNTAX, "Invalid boolean value maybe"},
        {"replication = {'class': 'SimpleStrategy', 'replication_factor': 1} AND colour = 1",
         BASE_E_SYNTAX, "Unknown property 'colour'"},
    };
    char text[512];
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        snprintf(text, sizeof text, "CREATE KEYSPACE k WITH %s", bad[i].with);
        refuses(text, bad[i].code, bad[i].part);
    }
    refuses("CREATE KEYSPACE \"a-b\" WITH replication = {'class': 'SimpleStrategy', "
            "'replication_factor': 1}",
            BASE_E_INVALID, "non-alphanumeric-underscore characters (got \"a-b\")");
    refuses("CREATE KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', "
            "'replication_factor': 1}",
            BASE_E_UNAUTHORIZED, "system_auth keyspace is not user-modifiable");
    refuses("DROP KEYSPACE system", BASE_E_UNAUTHORIZED, "not user-modifiable");
    refuses("CREATE TABLE system.t (a int PRIMARY KEY)", BASE_E_UNAUTHORIZED,
            "not user-modifiable");
    must("CREATE KEYSPACE systemx WITH replication = {'class': 'SimpleStrategy', "
         "'replication_factor': 1}");
}
END_TEST

/* CREATE TABLE. */

/* "p a text, c b int DESC, s …": the columns in the table's own order. */
static void check_columns(const char *name, const char *want)
{
    static const char *const kinds[] = {"p", "c", "s", "r"};
    const struct base_table *t = table(name);
    struct base_buf got;
    base_buf_init(&got, 4096);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct base_column *c = &t->columns[i];
        ck_assert_int_eq(base_buf_printf(&got, "%s%s %.*s ", i ? ", " : "", kinds[c->kind],
                                         BASE_SLICE_ARG(c->name)),
                         BASE_OK);
        ck_assert_int_eq(base_type_print(c->type, &got), BASE_OK);
        if (c->descending)
            ck_assert_int_eq(base_buf_printf(&got, " DESC"), BASE_OK);
    }
    ck_assert_msg(base_slice_equal(base_buf_view(&got), S(want)), "%.*s",
                  BASE_SLICE_ARG(base_buf_view(&got)));
    base_buf_fini(&got);
}

START_TEST(tables_get_their_columns_in_order)
{
    lab();
    must("CREATE TABLE t (z int, y text static, x uuid, b map<text, text>, a frozen<set<int>>, k2 "
         "date, k1 varchar, "
         "PRIMARY KEY ((k1, k2), x, z)) WITH CLUSTERING ORDER BY (x DESC, z ASC)");
    check_columns("t", "p k1 text, p k2 date, c x uuid DESC, c z int, s y text, r a "
                       "frozen<set<int>>, r b map<text, text>");
    ck_assert_uint_eq(base_table_column(table("t"), S("z"))->id, 1); /* ids as declared */
    ck_assert_uint_eq(table("t")->next_column_id, 8);
    must("CREATE TABLE u (a int PRIMARY KEY, b double)");
    check_columns("u", "p a int, r b double");
    must("CREATE TABLE lab.v (a int, b int, PRIMARY KEY (a, b))");
    check_columns("v", "p a int, c b int");
    refuses("CREATE TABLE u (a int PRIMARY KEY)", BASE_E_EXISTS,
            "Cannot add already existing table \"u\" to keyspace \"lab\"");
    must("CREATE TABLE IF NOT EXISTS u (other text PRIMARY KEY)");
    ck_assert(ddl.nothing);
    must("DROP TABLE u");
    must("DROP TABLE IF EXISTS u");
    must("DROP TABLE IF EXISTS nowhere.u");
    refuses("DROP TABLE u", BASE_E_NOTFOUND, "Table 'lab.u' doesn't exist");
    now_us = 5;
    must("TRUNCATE v");
    ck_assert_int_eq(table("v")->truncated_us, 5);
    refuses("TRUNCATE u", BASE_E_NOTFOUND, "table u does not exist");
    refuses("TRUNCATE nope.u", BASE_E_NOTFOUND, "keyspace nope does not exist");
    refuses("DROP TABLE nope.u", BASE_E_NOTFOUND, "Table 'nope.u' doesn't exist");
}
END_TEST

START_TEST(every_type_is_a_column)
{
    lab();
    must("CREATE TABLE t (k int PRIMARY KEY, a ascii, b bigint, c blob, d boolean, e date, f "
         "decimal, g double, h duration, "
         "i float, j inet, l smallint, m text, n time, o timestamp, p timeuuid, q tinyint, r uuid, "
         "s varchar, u varint, "
         "v list<int>, w SET<text>, x map<text, frozen<list<int>>>, y tuple<int, text>, z "
         "vector<float, 3>)");
    ck_assert_uint_eq(table("t")->column_count, 25);
}
END_TEST

START_TEST(tables_that_are_refused)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } bad[] = {
        {"(a int)", BASE_E_INVALID,
         "No PRIMARY KEY specified for table 't' (exactly one required)"},
        {"(a int PRIMARY KEY, b int PRIMARY KEY)", BASE_E_INVALID,
         "Multiple PRIMARY KEY specified"},
        {"(a int PRIMARY KEY, b int, PRIMARY KEY (b))", BASE_E_INVALID,
         "Multiple PRIMARY KEY specified"},
        {"(a int, PRIMARY KEY (b))", BASE_E_INVALID,
         "Unknown column 'b' referenced in PRIMARY KEY for table 't'"},
        {"(a int, PRIMARY KEY (a, a))", BASE_E_INVALID, "Duplicate column 'a' in PRIMARY KEY"},
        {"(a int, A text, PRIMARY KEY (a))", BASE_E_INVALID, "Duplicate column 'a' declaration"},
        {"(a int static, b int, PRIMARY KEY (a, b))", BASE_E_INVALID,
         "Static column 'a' cannot be part of the PRIMARY KEY"},
        {"(a int PRIMARY KEY, b int static)", BASE_E_INVALID, "Static columns are only useful"},
        {"(a list<int> PRIMARY KEY)", BASE_E_INVALID, "PRIMARY KEY column 'a'"},
        {"(a duration PRIMARY KEY)", BASE_E_INVALID, "PRIMARY KEY column 'a'"},
        {"(a int PRIMARY KEY, b counter)", BASE_E_INVALID,
         "column b: counter tables are not supported yet"},
        {"(a int PRIMARY KEY, b integer)", BASE_E_INVALID,
         "column b: unknown type integer: did you mean int or bigint?"},
        {"(a int PRIMARY KEY, b REAL)", BASE_E_INVALID, "did you mean double or float?"},
        {"(a int PRIMARY KEY, b list<string>)", BASE_E_INVALID, "did you mean text?"},
        {"(a int PRIMARY KEY, b thing)", BASE_E_INVALID, "Unknown type lab.thing"},
        {"(a int PRIMARY KEY, b other.thing)", BASE_E_INVALID,
         "cannot refer to a user type in keyspace other"},
        {"(a int PRIMARY KEY, b list<list<int>>)", BASE_E_INVALID, "column b: "},
        {"(a int, b int, c int, PRIMARY KEY (a, b, c)) WITH CLUSTERING ORDER BY (b DESC)",
         BASE_E_INVALID, "Missing CLUSTERING ORDER for column c"},
        {"(a int, b int, c int, PRIMARY KEY (a, b, c)) WITH CLUSTERING ORDER BY (c DESC, b ASC)",
         BASE_E_INVALID, "must exactly match"},
        {"(a int, b int, PRIMARY KEY (a, b)) WITH CLUSTERING ORDER BY (b DESC, b DESC)",
         BASE_E_INVALID, "must exactly match"},
        {"(a int PRIMARY KEY) WITH CLUSTERING ORDER BY (a DESC)", BASE_E_INVALID,
         "[a] are not clustering columns"},
        {"(a int PRIMARY KEY) WITH CLUSTERING ORDER BY (q DESC)", BASE_E_INVALID,
         "[q] are not clustering columns"},
        {"(a int PRIMARY KEY) WITH COMPACT STORAGE", BASE_E_INVALID, "COMPACT STORAGE"},
    };
    char text[512];
    lab();
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        snprintf(text, sizeof text, "CREATE TABLE t %s", bad[i].text);
        refuses(text, bad[i].code, bad[i].part);
    }
    refuses("CREATE TABLE nowhere.t (a int PRIMARY KEY)", BASE_E_NOTFOUND,
            "Keyspace 'nowhere' doesn't exist");
    refuses("CREATE TABLE \"t t\" (a int PRIMARY KEY)", BASE_E_INVALID,
            "Table name must not be empty");
    keyspace = "";
    refuses("CREATE TABLE t (a int PRIMARY KEY)", BASE_E_INVALID, "No keyspace has been specified");
    keyspace = "lab";
}
END_TEST

/* Options. */

START_TEST(options_have_cassandras_defaults)
{
    lab();
    must("CREATE TABLE t (a int PRIMARY KEY)");
    const struct base_table_options *o = &table("t")->options;
    ck_assert_int_eq(o->gc_grace_s, 864000);
    ck_assert_double_eq(o->bloom_filter_fp_chance, 0.01);
    ck_assert_int_eq(o->default_time_to_live_s, 0);
    ck_assert(base_slice_equal(base_options_get(&o->compression, "class"), S("LZ4Compressor")));
    ck_assert(base_slice_equal(base_options_get(&o->compaction, "class"),
                               S("SizeTieredCompactionStrategy")));
    struct cql_storage storage;
    cql_table_storage(o, &storage);
    ck_assert_int_eq(storage.compressor, 1);
    ck_assert(storage.compaction_enabled);
    ck_assert_uint_eq(storage.min_threshold, 4);
    ck_assert_uint_eq(storage.max_threshold, 32);
    ck_assert_double_eq(storage.bucket_low, 0.5);
    ck_assert_uint_eq(storage.min_sstable_size, 52428800);
}
END_TEST

START_TEST(options_are_set_and_altered)
{
    lab();
    must(
        "CREATE TABLE t (a int PRIMARY KEY) WITH comment = 'it''s' AND gc_grace_seconds = '60' AND "
        "bloom_filter_fp_chance = 0.1 AND default_time_to_live = 3600 AND "
        "compaction = {'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', "
        "'min_threshold': 6, "
        "'enabled': 'false', 'bucket_high': 1.75} AND "
        "compression = {'class': 'ZstdCompressor', 'compression_level': 5, 'chunk_length_in_kb': "
        "4} AND "
        "caching = {'keys': 'NONE', 'rows_per_partition': '10'} AND speculative_retry = "
        "'MIN(99p,50ms)' AND "
        "additional_write_policy = NEVER AND read_repair = none AND memtable = 'default' AND cdc = "
        "false AND "
        "id = 123e4567-e89b-12d3-a456-426614174000");
    const struct base_table_options *o = &table("t")->options;
    ck_assert_uint_eq(table("t")->id.b[0], 0x12);
    ck_assert(base_slice_equal(o->comment, S("it's")));
    ck_assert_int_eq(o->gc_grace_s, 60);
    ck_assert_double_eq(o->bloom_filter_fp_chance, 0.1);
    ck_assert_int_eq(o->default_time_to_live_s, 3600);
    ck_assert(base_slice_equal(o->read_repair, S("NONE")));
    struct cql_storage storage;
    cql_table_storage(o, &storage);
    ck_assert_int_eq(storage.compressor, 2);
    ck_assert_int_eq(storage.compression_level, 5);
    ck_assert(!storage.compaction_enabled);
    ck_assert_uint_eq(storage.min_threshold, 6);
    ck_assert_double_eq(storage.bucket_high, 1.75);
    must("ALTER TABLE t WITH compression = {'enabled': false} AND comment = ''");
    o = &table("t")->options;
    cql_table_storage(o, &storage);
    ck_assert_int_eq(storage.compressor, 0);
    ck_assert_int_eq(o->gc_grace_s, 60); /* what ALTER does not name stays */
    must("ALTER TABLE t WITH compression = {'class': 'NoopCompressor'}");
    cql_table_storage(&table("t")->options, &storage);
    ck_assert_int_eq(storage.compressor, 0);
}
END_TEST

/* What Cassandra takes, and how it is shown afterwards. */
START_TEST(options_are_kept_as_cassandra_shows_them)
{
    static const struct {
        const char *option, *shown;
    } cases[] = {
        {"speculative_retry = '99PERCENTILE'", "speculative_retry = '99p'"},
        {"speculative_retry = '99.50percentile'", "speculative_retry = '99.5p'"},
        {"speculative_retry = none", "speculative_retry = 'NEVER'"},
        {"additional_write_policy = 'min(99.9P, 50.0MS)'",
         "additional_write_policy = 'MIN(99.9p,50ms)'"},
        {"speculative_retry = 'ALWAYS'", "speculative_retry = 'ALWAYS'"},
        {"speculative_retry = 'MAX(50ms,99p)'", "speculative_retry = 'MAX(99p,50ms)'"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'provide_overlapping_tombstones': "
         "'ROW'}",
         "compaction = {'class': "
         "'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', 'max_threshold': "
         "'32', "
         "'min_threshold': '4', 'provide_overlapping_tombstones': 'ROW'}"},
        {"compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 160, "
         "'fanout_size': '10', 'max_threshold': 16}",
         "compaction = {'class': 'org.apache.cassandra.db.compaction.LeveledCompactionStrategy', "
         "'fanout_size': '10', "
         "'max_threshold': '16', 'min_threshold': '4', 'sstable_size_in_mb': '160'}"},
        {"compaction = {'class': "
         "'org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy', "
         "'compaction_window_unit': 'days', "
         "'compaction_window_size': 1, 'timestamp_resolution': 'MILLISECONDS', "
         "'unsafe_aggressive_sstable_expiration': false}",
         "compaction = {'class': "
         "'org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy', "
         "'compaction_window_size': '1', "
         "'compaction_window_unit': 'days', 'max_threshold': '32', 'min_threshold': '4', "
         "'timestamp_resolution': 'MILLISECONDS', "
         "'unsafe_aggressive_sstable_expiration': 'false'}"},
        {"compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4, N, L10, "
         "-2', 'target_sstable_size': '1 GiB', "
         "'base_shard_count': 4, 'sstable_growth': 0.5, 'overlap_inclusion_method': 'TRANSITIVE'}",
         "compaction = {'base_shard_count': '4', 'class': "
         "'org.apache.cassandra.db.compaction.UnifiedCompactionStrategy', "
         "'overlap_inclusion_method': 'TRANSITIVE', 'scaling_parameters': 'T4, N, L10, -2', "
         "'sstable_growth': '0.5', "
         "'target_sstable_size': '1 GiB'}"},
        {"compression = {'sstable_compression': 'SnappyCompressor', 'chunk_length_kb': 64}",
         "compression = {'chunk_length_in_kb': '64', 'class': "
         "'org.apache.cassandra.io.compress.SnappyCompressor'}"},
        {"compression = {'sstable_compression': ''}", "compression = {'enabled': 'false'}"},
        {"compression = {}", "compression = {'enabled': 'false'}"},
    };
    lab();
    must("CREATE TABLE t (k int PRIMARY KEY)");
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        char text[512], want[512];
        struct base_buf out;
        base_buf_init(&out, 1 << 16);
        snprintf(text, sizeof text, "ALTER TABLE t WITH %s", cases[i].option);
        must(text);
        snprintf(want, sizeof want, "\n    AND %s%s", cases[i].shown,
                 strstr(cases[i].shown, "speculative") ? ";" : "\n");
        if (strstr(cases[i].shown, "additional")) /* the first one */
            snprintf(want, sizeof want, " WITH %s\n", cases[i].shown);
        ck_assert_int_eq(cql_describe_table(table("t"), &out), BASE_OK);
        ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
        ck_assert_msg(strstr((char *)out.data, want) != NULL, "%s\ngave %s", want,
                      (char *)out.data);
        base_buf_fini(&out);
    }
    /* default_keyspace_rf is 1 */
    must("CREATE KEYSPACE one WITH replication = {'class': 'SimpleStrategy'}");
    ck_assert(
        base_slice_equal(base_options_get(&base_schema_keyspace(schema, S("one"))->replication,
                                          "replication_factor"),
                         S("1")));
    must("CREATE KEYSPACE each WITH replication = {'class': 'NetworkTopologyStrategy'}");
    ck_assert(
        base_slice_equal(base_options_get(&base_schema_keyspace(schema, S("each"))->replication,
                                          "replication_factor"),
                         S("1")));
}
END_TEST

START_TEST(options_that_are_refused)
{
    static const struct {
        const char *option;
        int code;
        const char *part;
    } bad[] = {
        {"gc_grace_seconds = -1", BASE_E_CONFIG,
         "gc_grace_seconds must be greater than or equal to 0 (got -1)"},
        {"gc_grace_seconds = 'x'", BASE_E_SYNTAX, "Invalid integer value x for 'gc_grace_seconds'"},
        {"gc_grace_seconds = {'a': 1}", BASE_E_SYNTAX, "It should be a string"},
        {"default_time_to_live = 630720001", BASE_E_CONFIG,
         "must be less than or equal to 630720000"},
        {"bloom_filter_fp_chance = 0", BASE_E_CONFIG, "bloom_filter_fp_chance must be larger than"},
        {"bloom_filter_fp_chance = 1.1", BASE_E_CONFIG, "bloom_filter_fp_chance"},
        {"bloom_filter_fp_chance = 'nan'", BASE_E_SYNTAX, "Invalid double value"},
        {"crc_check_chance = 2", BASE_E_CONFIG, "crc_check_chance"},
        {"min_index_interval = 0", BASE_E_CONFIG,
         "min_index_interval must be greater than or equal to 1"},
        {"max_index_interval = 5", BASE_E_CONFIG,
         "max_index_interval must be greater than or equal to min_index_interval"},
        {"cdc = true", BASE_E_CONFIG, "change data capture is not supported yet"},
        {"cdc = 'perhaps'", BASE_E_SYNTAX, "Invalid boolean value"},
        {"speculative_retry = 'sometimes'", BASE_E_CONFIG,
         "Invalid value sometimes for option 'speculative_retry'"},
        {"speculative_retry = 'MIN(99p)'", BASE_E_CONFIG, "Invalid value MIN(99p)"},
        {"speculative_retry = '101p'", BASE_E_CONFIG, "Invalid value 101p"},
        {"read_repair = 'maybe'", BASE_E_CONFIG, "read_repair must be BLOCKING or NONE"},
        {"memtable = 'trie'", BASE_E_CONFIG, "Memtable configuration \"trie\" not found"},
        {"caching = {'keys': 'SOME'}", BASE_E_CONFIG, "'keys'"},
        {"caching = {'rows_per_partition': 'few'}", BASE_E_CONFIG, "'rows_per_partition'"},
        {"caching = {'columns': 'ALL'}", BASE_E_CONFIG, "[columns] are not understood"},
        {"compaction = {}", BASE_E_CONFIG, "Missing sub-option 'class'"},
        {"compaction = {'class': 'LeveledCompactionStrategy', 'window': 1}", BASE_E_CONFIG,
         "Properties specified [window] are not understood by LeveledCompactionStrategy"},
        {"compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 0}",
         BASE_E_CONFIG, "out of range"},
        {"compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': "
         "'WEEKS'}",
         BASE_E_CONFIG,
         "WEEKS is not valid for compaction_window_unit: give one of MINUTES HOURS DAYS"},
        {"compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4, X'}",
         BASE_E_CONFIG, "Scaling parameter X must be"},
        {"compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T1'}",
         BASE_E_CONFIG, "Scaling parameter T1"},
        {"compaction = {'class': 'UnifiedCompactionStrategy', 'target_sstable_size': '1 parsec'}",
         BASE_E_CONFIG, "not a valid size"},
        {"compaction = {'class': 'UnifiedCompactionStrategy', 'bucket_low': 0.5}", BASE_E_CONFIG,
         "not understood"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'provide_overlapping_tombstones': "
         "'MOST'}",
         BASE_E_CONFIG, "not valid"},
        {"compression = {'class': 'LZ4Compressor', 'sstable_compression': 'LZ4Compressor'}",
         BASE_E_CONFIG, "must not be used"},
        {"compaction = {'class': 'Nonsense'}", BASE_E_CONFIG,
         "Unable to find compaction strategy class 'Nonsense'"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'sstable_size_in_mb': 5}",
         BASE_E_CONFIG, "[sstable_size_in_mb] are not understood"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 1}",
         BASE_E_CONFIG, "Min compaction threshold cannot be less than 2 (got 1)"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 40}",
         BASE_E_CONFIG,
         "Min compaction threshold (got 40) cannot be greater than max compaction threshold (got "
         "32)"},
        {"compaction = {'class': 'SizeTieredCompactionStrategy', 'bucket_low': 'low'}",
         BASE_E_CONFIG, "not a number"},
        {"compression = {'chunk_length_in_kb': 16}", BASE_E_CONFIG, "Missing sub-option 'class'"},
        {"compression = {'class': 'ShrinkCompressor'}", BASE_E_CONFIG,
         "Could not create Compression for type ShrinkCompressor"},
        {"compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': 3}", BASE_E_CONFIG,
         "power of 2"},
        {"compression = {'class': 'LZ4Compressor', 'lz4_compressor_type': 'high'}", BASE_E_CONFIG,
         "only fast is supported"},
        {"compression = {'class': 'LZ4Compressor', 'speed': 'high'}", BASE_E_CONFIG,
         "[speed] are not understood"},
        {"compression = {'class': 'ZstdCompressor', 'compression_level': 23}", BASE_E_CONFIG,
         "out of range"},
        {"compression = {'enabled': false, 'class': 'LZ4Compressor'}", BASE_E_CONFIG,
         "no other options must be specified"},
        {"dclocal_read_repair_chance = 0.1", BASE_E_SYNTAX,
         "Unknown property 'dclocal_read_repair_chance'"},
        {"id = 123e4567-e89b-12d3-a456-426614174000", BASE_E_CONFIG, "Cannot alter table id"},
    };
    char text[512];
    lab();
    must("CREATE TABLE t (a int PRIMARY KEY)");
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        snprintf(text, sizeof text, "ALTER TABLE t WITH %s", bad[i].option);
        refuses(text, bad[i].code, bad[i].part);
    }
}
END_TEST

/* ALTER TABLE. */

START_TEST(columns_are_added_dropped_and_renamed)
{
    lab();
    must("CREATE TABLE t (k int, c int, v text, PRIMARY KEY (k, c))");
    must("ALTER TABLE t ADD x int, s text static");
    check_columns("t", "p k int, c c int, s s text, r v text, r x int");
    uint32_t x = base_table_column(table("t"), S("x"))->id;
    refuses("ALTER TABLE t ADD x int", BASE_E_INVALID, "Column with name 'x' already exists");
    must("ALTER TABLE t ADD IF NOT EXISTS x text, y int");
    check_columns("t", "p k int, c c int, s s text, r v text, r x int, r y int");
    now_us = 123;
    must("ALTER TABLE t DROP (x, s)");
    check_columns("t", "p k int, c c int, r v text, r y int");
    ck_assert_uint_eq(table("t")->dropped_count, 2);
    ck_assert_int_eq(table("t")->dropped[0].dropped_us, 123);
    ck_assert(table("t")->dropped[1].is_static);
    must("ALTER TABLE t DROP y USING TIMESTAMP 99");
    ck_assert_int_eq(table("t")->dropped[2].dropped_us, 99);
    must("ALTER TABLE t ADD x int");
    /* a new column under an old name */
    ck_assert_uint_gt(base_table_column(table("t"), S("x"))->id, x);
    ck_assert_uint_eq(table("t")->dropped_count, 3);
    must("ALTER TABLE t RENAME k TO key AND c TO \"C\"");
    check_columns("t", "p key int, c C int, r v text, r x int");
    must("ALTER TABLE IF EXISTS nope ADD x int");
    ck_assert(ddl.nothing);
    must("ALTER TABLE t DROP IF EXISTS nope");
    must("ALTER TABLE t RENAME IF EXISTS nope TO nope2");
}
END_TEST

START_TEST(alterations_that_are_refused)
{
    lab();
    must("CREATE TABLE t (k int, c int, v text, w list<int>, PRIMARY KEY (k, c))");
    must("CREATE TABLE flat (k int PRIMARY KEY, v text)");
    must("ALTER TABLE t DROP (v, w)");
    refuses("ALTER TABLE t DROP k", BASE_E_INVALID, "Cannot drop PRIMARY KEY column k");
    refuses("ALTER TABLE t DROP nope", BASE_E_INVALID,
            "Column nope was not found in table 'lab.t'");
    refuses("ALTER TABLE t DROP v", BASE_E_INVALID, "Column v was not found");
    refuses("ALTER TABLE t ADD v int", BASE_E_INVALID,
            "Cannot re-add previously dropped column 'v'");
    refuses("ALTER TABLE t ADD v text static", BASE_E_INVALID, "kind REGULAR");
    refuses("ALTER TABLE t ADD w list<text>", BASE_E_INVALID,
            "incompatible with previous type list<int>");
    must("ALTER TABLE t ADD v text");
    refuses("ALTER TABLE flat ADD s int static", BASE_E_INVALID, "Static columns are only useful");
    refuses("ALTER TABLE flat ADD c counter", BASE_E_INVALID,
            "counter tables are not supported yet");
    refuses("ALTER TABLE flat RENAME v TO w", BASE_E_INVALID,
            "Cannot rename non PRIMARY KEY column v");
    refuses("ALTER TABLE flat RENAME k TO v", BASE_E_INVALID,
            "another column with that name already exists");
    refuses("ALTER TABLE flat ALTER v TYPE blob", BASE_E_INVALID,
            "Altering column types is no longer supported");
    refuses("ALTER TABLE nope ADD v int", BASE_E_NOTFOUND, "Table 'lab.nope' doesn't exist");
    refuses("ALTER TABLE t DROP v USING TIMESTAMP 99999999999999999999", BASE_E_INVALID,
            "out of range");
}
END_TEST

START_TEST(a_table_has_no_more_columns_than_allowed)
{
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    lab();
    ck_assert_int_eq(base_buf_printf(&text, "CREATE TABLE wide (k int PRIMARY KEY"), BASE_OK);
    for (int i = 1; i < BASE_COLUMNS_MAX; i++)
        ck_assert_int_eq(base_buf_printf(&text, ", c%d int", i), BASE_OK);
    ck_assert_int_eq(base_buf_put(&text, ")", 2), BASE_OK);
    must((const char *)text.data);
    ck_assert_uint_eq(table("wide")->column_count, BASE_COLUMNS_MAX);
    refuses("ALTER TABLE wide ADD one_more int", BASE_E_LIMIT, "at most 2000 columns");
    text.len = 0;
    ck_assert_int_eq(base_buf_printf(&text, "CREATE TABLE wider (k int PRIMARY KEY"), BASE_OK);
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(base_buf_printf(&text, ",c int"), BASE_OK);
    ck_assert_int_eq(base_buf_put(&text, ")", 2), BASE_OK);
    refuses((const char *)text.data, BASE_E_LIMIT, "at most 2000 columns");
    base_buf_fini(&text);
}
END_TEST

/* Types. */

START_TEST(types)
{
    lab();
    must("CREATE TYPE address (street text, numbers list<int>)");
    must("CREATE TYPE person (name text, home frozen<address>)");
    must("CREATE TABLE t (k int PRIMARY KEY, who frozen<person>, friends list<frozen<lab.person>>, "
         "last person)");
    check_columns("t",
                  "p k int, r friends list<frozen<person>>, r last person, r who frozen<person>");
    must("ALTER TYPE address ADD zip int");
    must("ALTER TYPE address RENAME street TO road AND zip TO postcode");
    const struct base_type *who = base_table_column(table("t"), S("who"))->type;
    ck_assert_uint_eq(who->params[1]->param_count, 3);
    ck_assert(base_slice_equal(who->params[1]->field_names[0], S("road")));
    ck_assert(base_slice_equal(who->params[1]->field_names[2], S("postcode")));
    must("ALTER TYPE address ADD IF NOT EXISTS road text");
    must("ALTER TYPE address RENAME IF EXISTS nope TO other");
    must("ALTER TYPE IF EXISTS nope ADD x int");
    refuses("DROP TYPE person", BASE_E_INVALID, "still used by table lab.t");
    refuses("DROP TYPE address", BASE_E_INVALID, "still used by user type person");
    must("ALTER TABLE t DROP (who, friends, last)");
    must("DROP TYPE person");
    must("DROP TYPE address");
    must("DROP TYPE IF EXISTS address");
    refuses("DROP TYPE address", BASE_E_NOTFOUND, "Type 'lab.address' doesn't exist");
    must("CREATE TYPE IF NOT EXISTS address (a int)");
    must("CREATE TYPE IF NOT EXISTS address (b int)");
    ck_assert(ddl.nothing);
}
END_TEST

START_TEST(types_that_are_refused)
{
    lab();
    must("CREATE TYPE a (x int)");
    must("CREATE TYPE lists (x list<int>)");
    must("CREATE TABLE keyed (k frozen<a> PRIMARY KEY)");
    refuses("CREATE TYPE a (x int)", BASE_E_INVALID, "A user type with name 'a' already exists");
    refuses("CREATE TYPE int (x int)", BASE_E_INVALID, "Invalid (reserved) user type name int");
    refuses("CREATE TYPE b (x int, X text)", BASE_E_INVALID,
            "Duplicate field name 'x' in type 'b'");
    refuses("CREATE TYPE b (x counter)", BASE_E_INVALID, "cannot contain counters");
    refuses("CREATE TYPE b (x a)", BASE_E_INVALID, "cannot contain non-frozen UDTs");
    refuses("CREATE TYPE b (x nope)", BASE_E_INVALID, "field x: Unknown type lab.nope");
    refuses("ALTER TYPE a ADD x int", BASE_E_INVALID, "partition key of table keyed");
    refuses("ALTER TYPE lists ADD x int", BASE_E_INVALID, "a field with name x already exists");
    refuses("ALTER TYPE lists ADD me frozen<lists>", BASE_E_INVALID, "contain itself");
    refuses("ALTER TYPE lists RENAME y TO z", BASE_E_INVALID,
            "Unknown field y in user type lab.lists");
    refuses("ALTER TYPE lists RENAME x TO x", BASE_E_INVALID, "Duplicate field name x");
    refuses("ALTER TYPE lists ALTER x TYPE text", BASE_E_INVALID,
            "Altering field types is no longer supported");
    refuses("ALTER TYPE lists DROP x", BASE_E_INVALID, "cannot be dropped");
    refuses("ALTER TYPE nope ADD x int", BASE_E_NOTFOUND, "Type lab.nope doesn't exist");
    refuses("CREATE TABLE t (k int PRIMARY KEY, l lists)", BASE_E_INVALID,
            "nested non-frozen collections");
    must("CREATE TABLE t (k int PRIMARY KEY, l frozen<lists>)");
}
END_TEST

/* Definitions from CREATE VIRTUAL TABLE. */

static int define(const char *definitions, const char *with)
{
    struct cql_context at = context();
    base_err_clear(&err);
    return finish(cql_analyze_table(&arena, S("lab"), S("readings"), S(definitions), S(with), &at,
                                    &ddl, &err));
}

START_TEST(definitions_of_a_virtual_table)
{
    lab();
    ck_ok(define("sensor TEXT, day DATE, ts TIMESTAMP,celsius DOUBLE,tags MAP<TEXT,TEXT>,PRIMARY "
                 "KEY ((sensor, day), ts)",
                 "CLUSTERING ORDER BY (ts DESC) AND comment = 'x'"),
          err);
    check_columns(
        "readings",
        "p sensor text, p day date, c ts timestamp DESC, r celsius double, r tags map<text, text>");
    ck_assert(base_slice_equal(table("readings")->options.comment, S("x")));
    ck_fails(define("a int PRIMARY KEY", ""), BASE_E_EXISTS, err);
    must("DROP TABLE readings");
    ck_ok(define("a int PRIMARY KEY", ""), err);
    must("DROP TABLE readings");
    ck_fails(define("a INTEGER PRIMARY KEY", ""), BASE_E_INVALID, err);
    ck_assert_str_eq(err.text, "column a: unknown type integer: did you mean int or bigint?");
    ck_fails(define("a int PRIMARY KEY NOT NULL", ""), BASE_E_SYNTAX, err);
    ck_assert_ptr_nonnull(
        strstr(err.text, "column definitions: line 1:18 no viable alternative at input 'NOT'"));
    ck_fails(define("a int PRIMARY KEY) WITH comment = 'x'", ""), BASE_E_SYNTAX, err);
    ck_fails(define("a int PRIMARY KEY", "comment"), BASE_E_SYNTAX, err);
    ck_assert_ptr_nonnull(strstr(err.text, "with: line 1:7"));
    ck_fails(define("", ""), BASE_E_SYNTAX, err);
    ck_fails(define("a int PRIMARY KEY", "comment = 'x'; DROP TABLE t"), BASE_E_SYNTAX, err);
}
END_TEST

START_TEST(types_by_their_classes)
{
    lab();
    must("CREATE TYPE u (a int)");
    must("CREATE TABLE t (a 'org.apache.cassandra.db.marshal.UTF8Type', b 'Int32Type', "
         "c 'org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.Int32Type)', "
         "d 'org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType "
         ", 3)', "
         "e 'FrozenType(MapType(UUIDType,UserType(lab,75,61:Int32Type)))', PRIMARY KEY (a, b))");
    check_columns(
        "t",
        "p a text, c b int, r c list<int>, r d vector<float, 3>, r e frozen<map<uuid, frozen<u>>>");
    refuses("CREATE TABLE x (a int PRIMARY KEY, b "
            "'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>b)')",
            BASE_E_INVALID, "custom types are not supported");
    must("CREATE TYPE custom (a int)");
    refuses("CREATE TABLE x (a int PRIMARY KEY, b 'ListType(com.acme.Foo)')", BASE_E_INVALID,
            "there is no class 'ListType(com.acme.Foo)'");
    refuses("CREATE TABLE x (a int PRIMARY KEY, b 'UserType(lab,76,61:Int32Type)')", BASE_E_INVALID,
            "Unknown type lab.v");
    refuses("CREATE TABLE x (a int PRIMARY KEY, b '((')", BASE_E_INVALID, "not well-formed");
    refuses("CREATE TABLE x (a int PRIMARY KEY, b '')", BASE_E_INVALID, "custom types");
}
END_TEST

/* DESCRIBE. */

static char *described(int (*describe)(const void *, struct base_buf *), const void *thing)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 16);
    ck_assert_int_eq(describe(thing, &out), BASE_OK);
    char *text = base_arena_strdup(&arena, base_buf_view(&out));
    base_buf_fini(&out);
    return text;
}

static int describe_table(const void *thing, struct base_buf *out)
{
    return cql_describe_table(thing, out);
}
static int describe_type(const void *thing, struct base_buf *out)
{
    return cql_describe_type(thing, out);
}
static int describe_keyspace(const void *thing, struct base_buf *out)
{
    return cql_describe_keyspace(thing, out);
}

START_TEST(what_describe_writes_makes_the_same_again)
{
    must("CREATE KEYSPACE \"Lab\" WITH replication = {'class': 'NetworkTopologyStrategy', 'it''s': "
         "2} AND durable_writes = false");
    keyspace = "Lab";
    must("CREATE TYPE \"Odd \"\"type\" (\"select\" text, plain list<int>)");
    must("CREATE TABLE \"T\" (\"Key\" int, \"from\" frozen<\"Odd \"\"type\">, true_ text static, v "
         "double, m map<text, frozen<set<int>>>, "
         "\"true\" vector<float, 3>, PRIMARY KEY ((\"Key\", v), \"from\")) WITH CLUSTERING ORDER "
         "BY (\"from\" DESC) AND comment = 'it''s; $$' "
         "AND bloom_filter_fp_chance = 0.001 AND compaction = {'class': "
         "'SizeTieredCompactionStrategy', 'min_threshold': 3} "
         "AND compression = {'enabled': 'false'}");
    must("CREATE TABLE one (k int PRIMARY KEY, v text)");
    must("CREATE TABLE two (k int, v text, PRIMARY KEY (k, v))");
    struct base_schema *first = base_schema_acquire(schema);
    const struct base_keyspace *ks = base_schema_keyspace(schema, S("Lab"));
    char *text[5] = {described(describe_keyspace, ks), described(describe_type, &ks->types[0])};
    for (size_t i = 0; i < 3; i++)
        text[2 + i] = described(describe_table, ks->tables[i]);
    must("DROP KEYSPACE \"Lab\"");
    for (size_t i = 0; i < 5; i++)
        must(text[i]);
    const struct base_keyspace *again = base_schema_keyspace(schema, S("Lab"));
    ck_assert(base_options_equal(&again->replication, &ks->replication));
    ck_assert_str_eq(described(describe_keyspace, again), text[0]);
    ck_assert_str_eq(described(describe_type, &again->types[0]), text[1]);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(described(describe_table, again->tables[i]), text[2 + i]);
    base_schema_release(first);
    keyspace = "lab";
}
END_TEST

START_TEST(describe_reads_well)
{
    lab();
    must("CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)) WITH CLUSTERING ORDER BY (b DESC)");
    const char *text = described(describe_table, table("t"));
    const char *want = "CREATE TABLE lab.t (\n    a int,\n    b text,\n    PRIMARY KEY (a, b)\n) "
                       "WITH CLUSTERING ORDER BY (b DESC)\n"
                       "    AND additional_write_policy = '99p'\n";
    ck_assert_msg(strncmp(text, want, strlen(want)) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "\n    AND bloom_filter_fp_chance = 0.01\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n    AND speculative_retry = '99p';"));
}
END_TEST

START_TEST(identifiers_are_quoted_when_they_must_be)
{
    static const struct {
        const char *name, *want;
    } cases[] = {{"abc", "abc"},         {"a_1", "a_1"},
                 {"Abc", "\"Abc\""},     {"1a", "\"1a\""},
                 {"_a", "\"_a\""},       {"a b", "\"a b\""},
                 {"a\"b", "\"a\"\"b\""}, {"select", "\"select\""},
                 {"key", "key"},         {"timestamp", "timestamp"},
                 {"true", "\"true\""},   {"", "\"\""}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        struct base_buf out;
        base_buf_init(&out, 4096);
        ck_assert_int_eq(cql_put_identifier(S(cases[i].name), &out), BASE_OK);
        ck_assert_msg(base_slice_equal(base_buf_view(&out), S(cases[i].want)), "%s", cases[i].name);
        base_buf_fini(&out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ddl");
    TCase *tc = tcase_create("ddl");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keyspaces);
    tcase_add_test(tc, keyspaces_that_are_refused);
    tcase_add_test(tc, tables_get_their_columns_in_order);
    tcase_add_test(tc, every_type_is_a_column);
    tcase_add_test(tc, tables_that_are_refused);
    tcase_add_test(tc, options_have_cassandras_defaults);
    tcase_add_test(tc, options_are_set_and_altered);
    tcase_add_test(tc, options_are_kept_as_cassandra_shows_them);
    tcase_add_test(tc, options_that_are_refused);
    tcase_add_test(tc, columns_are_added_dropped_and_renamed);
    tcase_add_test(tc, alterations_that_are_refused);
    tcase_add_test(tc, a_table_has_no_more_columns_than_allowed);
    tcase_add_test(tc, types);
    tcase_add_test(tc, types_that_are_refused);
    tcase_add_test(tc, types_by_their_classes);
    tcase_add_test(tc, definitions_of_a_virtual_table);
    tcase_add_test(tc, what_describe_writes_makes_the_same_again);
    tcase_add_test(tc, describe_reads_well);
    tcase_add_test(tc, identifiers_are_quoted_when_they_must_be);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
