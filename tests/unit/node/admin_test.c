/* Administration, metrics, and the tools for SSTables. Without these tests an operator would read
 * numbers that no program can parse, and a dump could leave rows out. */
#include <unistd.h>

#include "base/json.h"
#include "tests/unit/node/node_fixture.h"

static struct base_buf json, text;

static void setup(void)
{
    fixture_setup();
    base_buf_init(&json, 1 << 24);
    base_buf_init(&text, 1 << 24);
}

static void teardown(void)
{
    base_buf_fini(&json);
    base_buf_fini(&text);
    fixture_teardown();
}

static int admin(const char *command, const char *a, const char *b)
{
    const char *args[] = {a, b};
    base_buf_reset(&json);
    base_buf_reset(&text);
    int rc = node_admin(fixture.node, command, args, b ? 2 : a ? 1 : 0, &json, &fixture.err);
    if (rc == BASE_OK) {
        struct base_json_reader reader;
        struct base_json_token token;
        struct base_slice value;
        base_json_begin(&reader, base_buf_view(&json));
        OK(base_json_next(&reader, &token, &fixture.err));
        OK(base_json_value(&reader, &token, &value, &fixture.err));
        ck_assert_uint_eq(value.len, json.len);
        OK(node_admin_render(command, base_buf_view(&json), &text, &fixture.err));
        OK(base_buf_put_u8(&text, 0));
        text.len--;
    } else {
        ck_assert_uint_eq(json.len, 0);
    }
    OK(base_buf_put_u8(&json, 0));
    json.len--;
    return rc;
}

#define JSON_HAS(part)                                                                             \
    ck_assert_msg(strstr((char *)json.data, part), "no %s in %s", part, (char *)json.data)
#define TEXT_HAS(part)                                                                             \
    ck_assert_msg(strstr((char *)text.data, part), "no %s in %s", part, (char *)text.data)

START_TEST(flush_compact_and_tablestats)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++)
            OK(fixture_write(fixture.session, "s1", i, i));
        OK(admin("flush", "lab", "readings"));
        JSON_HAS("\"tables\": 1");
    }
    TEXT_HAS("flushed 1 table: 1 SSTables before, 2 now");
    OK(admin("tablestats", "lab.readings", NULL));
    JSON_HAS("\"sstable_count\": 2");
    TEXT_HAS("Keyspace: lab");
    TEXT_HAS("\t\tTable: readings");
    TEXT_HAS("\t\tSSTable count: 2");
    TEXT_HAS("\t\tLocal write count: 20");
    OK(admin("compact", "lab", NULL));
    TEXT_HAS("compacted 1 table: 2 SSTables before, 1 now");
    OK(admin("tablestats", NULL, NULL));
    JSON_HAS("\"total_number_of_tables\": 1");
    TEXT_HAS("SSTable count: 1");
    ck_assert_int_eq(fixture_count(fixture.session), 10);
}
END_TEST

START_TEST(info_and_version)
{
    char id[37];
    OK(admin("info", NULL, NULL));
    base_uuid_print(fixture.node->identity.host_id, id);
    JSON_HAS(id);
    JSON_HAS("\"memtable_heap_space\": \"64MiB\"");
    TEXT_HAS(id);
    TEXT_HAS("Block Cache");
    OK(admin("version", NULL, NULL));
    TEXT_HAS("ReleaseVersion: ");
}
END_TEST

START_TEST(mistakes_are_explained)
{
    FAILS(BASE_E_NOTFOUND, admin("flash", NULL, NULL));
    SAYS("flush");
    FAILS(BASE_E_NOTFOUND, admin("flush", "lob", NULL));
    SAYS("there is no keyspace lob");
    FAILS(BASE_E_NOTFOUND, admin("compact", "lab", "reading"));
    SAYS("there is no table lab.reading");
    FAILS(BASE_E_NOTFOUND, admin("tablestats", "lab.x", NULL));
    FAILS(BASE_E_INVALID, admin("info", "x", NULL));
    ck_assert_int_ne(node_admin_render("info", BASE_SLICE_LIT("{\"id\":"), &text, &fixture.err), 0);
    ck_assert_int_ne(node_admin_render("tablestats", BASE_SLICE_LIT("[1]"), &text, &fixture.err),
                     0);
    ck_assert_int_ne(node_admin_render("info", BASE_SLICE_LIT("{}"), &text, &fixture.err), 0);
}
END_TEST

static int count_metric(void *ctx, const char *name, const char *labels, double value)
{
    int *seen = ctx;
    ck_assert_int_eq(strncmp(name, "ringlet_", 8), 0);
    if (strcmp(name, "ringlet_table_writes_total") == 0) {
        ck_assert_str_eq(labels, "keyspace=\"lab\",table=\"readings\"");
        ck_assert(value == 1);
        *seen += 1000;
    }
    return ++*seen % 1000 > 500;
}

START_TEST(metrics)
{
    int seen = 0;
    OK(fixture_write(fixture.session, "s1", 1, 1));
    OK(node_metrics(fixture.node, count_metric, &seen));
    ck_assert_int_gt(seen, 1020);
}
END_TEST

/* Sstable tools. */

static int print(void *ctx, struct base_slice line)
{
    (void)ctx;
    return base_buf_put_slice(&text, line);
}

static int tool(const char *command, const char *path, bool as_json)
{
    base_buf_reset(&text);
    int rc = node_sstable_command(command, path, as_json, print, NULL, &fixture.err);
    OK(base_buf_put_u8(&text, 0));
    text.len--;
    return rc;
}

static int count_lines(const char *with)
{
    int n = 0;
    for (char *at = (char *)text.data; (at = strstr(at, with)); at++)
        n++;
    return n;
}

START_TEST(sstables_offline)
{
    for (int i = 0; i < 10; i++)
        OK(fixture_write(fixture.session, "s1", i, i + 40));
    OK(fixture_write(fixture.session, "s2", 7, -1));
    OK(admin("flush", NULL, NULL));
    /* While the node runs its catalog is left alone: bytes. */
    OK(tool("dump", fixture.dir, true));
    ck_assert_int_eq(count_lines("\"type\": \"row\""), 11);
    TEXT_HAS("0x");
    fixture_close();
    OK(tool("dump", fixture.dir, true));
    ck_assert_int_eq(count_lines("\"type\": \"row\""), 11);
    TEXT_HAS("\"key\": [\"s1\"]");
    TEXT_HAS("\"clustering\": [9]");
    TEXT_HAS("\"name\": \"celsius\", \"value\": 49");
    TEXT_HAS("\"deletion_info\": {\"marked_deleted\": \"2");
    OK(tool("metadata", fixture.dir, false));
    TEXT_HAS("Table: lab.readings");
    TEXT_HAS("Rows: 11");
    OK(tool("metadata", fixture.dir, true));
    TEXT_HAS("\"rows\": 11");
    OK(tool("verify", fixture.dir, false));
    TEXT_HAS(": ok, 2 partitions, 11 rows");
    FAILS(BASE_E_NOTFOUND, tool("verify", "/nonexistent", false));
    FAILS(BASE_E_NOTFOUND, tool("verify", "/tmp", false));
    SAYS("/tmp holds no SSTables");
    FAILS(BASE_E_NOTFOUND, tool("mend", fixture.dir, false));
    fixture_open();
}
END_TEST

START_TEST(a_dump_shows_every_tombstone)
{
    for (int i = 0; i < 10; i++)
        OK(fixture_write(fixture.session, "s1", i, i + 40));
    fixture_delete_range(fixture.session, "s1", 3, 5);
    fixture_delete_partition(fixture.session, "s2");
    ck_assert_int_eq(fixture_count(fixture.session), 7);
    OK(admin("flush", NULL, NULL));
    fixture_close();
    OK(tool("dump", fixture.dir, false));
    ck_assert_int_eq(count_lines("\"type\": \"range_tombstone_bound\""), 2);
    TEXT_HAS("\"clustering\": [3], \"position\": \"before\", \"deletion_after\": "
             "{\"marked_deleted\": \"2");
    TEXT_HAS("\"clustering\": [5], \"position\": \"after\", \"deletion_before\": "
             "{\"marked_deleted\": \"2");
    ck_assert_int_eq(count_lines("\"type\": \"partition\""), 1);
    TEXT_HAS("\"key\": [\"s2\"]");
    ck_assert_int_eq(count_lines("\"type\": \"row\""), 7);
    fixture_open();
}
END_TEST

START_TEST(damage_is_told_and_fails)
{
    for (int i = 0; i < 10; i++)
        OK(fixture_write(fixture.session, "s1", i, i + 40));
    OK(admin("flush", NULL, NULL));
    fixture_close();
    char command[512];
    snprintf(command, sizeof command,
             "for f in %s/store/sst/*.sst; do printf '\\377\\377\\377\\377' | dd of=$f bs=1 "
             "seek=100 conv=notrunc status=none; done",
             fixture.dir);
    ck_assert_int_eq(system(command), 0);
    FAILS(BASE_E_CORRUPT, tool("verify", fixture.dir, true));
    SAYS("1 of 1 SSTables are damaged");
    TEXT_HAS("\"ok\": false");
    snprintf(command, sizeof command, "rm %s/store/sst/*", fixture.dir);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof command, "rm -r %s/store", fixture.dir);
    ck_assert_int_eq(system(command), 0);
    fixture_open();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/admin");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, flush_compact_and_tablestats);
    tcase_add_test(tc, info_and_version);
    tcase_add_test(tc, mistakes_are_explained);
    tcase_add_test(tc, metrics);
    tcase_add_test(tc, sstables_offline);
    tcase_add_test(tc, a_dump_shows_every_tombstone);
    tcase_add_test(tc, damage_is_told_and_fails);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
