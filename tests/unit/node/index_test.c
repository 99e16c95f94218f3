/* Indexes in a node. Without these CREATE INDEX would be words: the store would not know of it, or
 * not after a restart, nor of a dropped one's end, and nobody could see how far a build is. */
#include "base/json.h"
#include "tests/unit/node/node_fixture.h"

static struct base_buf json, text;

static void setup(void)
{
    fixture_setup();
    base_buf_init(&json, 1 << 20);
    base_buf_init(&text, 1 << 20);
}

static void teardown(void)
{
    base_buf_fini(&json);
    base_buf_fini(&text);
    fixture_teardown();
}

static const char *admin(const char *command, const char *arg)
{
    base_buf_reset(&json);
    base_buf_reset(&text);
    OK(node_admin(fixture.node, command, &arg, arg ? 1 : 0, &json, &fixture.err));
    OK(node_admin_render(command, base_buf_view(&json), &text, &fixture.err));
    OK(base_buf_put_u8(&text, 0));
    return (const char *)text.data;
}

#define HAS(where, part)                                                                           \
    do {                                                                                           \
        const char *where_ = (where);                                                              \
        ck_assert_msg(strstr(where_, part), "no %s in %s", part, where_);                          \
    } while (0)

static struct lsm_table *place(void)
{
    struct lsm_table *found = lsm_table_find(fixture.node->store, fixture.table->id);
    ck_assert_ptr_nonnull(found);
    return found;
}

/* Rows with celsius = v: how many, and how many rows the store gave for it. */
static int count_where(int v, uint64_t *raw)
{
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)v);
    struct base_filter filter = {
        .column = base_table_column(fixture.table, BASE_SLICE_LIT("celsius"))->id,
        .operand = {bytes, 4}};
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    struct node_read *read = NULL;
    struct base_source *source;
    struct base_partition p;
    struct base_item item;
    int n = 0;
    cmd.table_id = fixture.table->id;
    cmd.slices = base_slices_all;
    cmd.filters = &filter;
    cmd.filter_count = 1;
    OK(node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_LOCAL_QUORUM, &read,
                      &fixture.err));
    for (;; n++) {
        OK(node_read_next(read, &row, &fixture.err));
        if (!row.pkey.len)
            break;
    }
    node_read_free(read);
    cmd.now_s = node_now_s(fixture.node);
    *raw = 0;
    OK(lsm_read(place(), &cmd, false, NULL, 0, NULL, &source, &fixture.err));
    for (;;) {
        OK(source->ops->partition(source, &p, &fixture.err));
        if (!p.pkey.len)
            break;
        for (;; ++*raw) {
            OK(source->ops->next(source, &item, &fixture.err));
            if (item.kind == BASE_ITEM_END)
                break;
        }
    }
    source->ops->close(source);
    return n;
}

static void expect(int v, int want, bool by_index)
{
    uint64_t raw;
    ck_assert_int_eq(count_where(v, &raw), want);
    ck_assert_msg(by_index == (raw <= (uint64_t)want), "%llu rows looked at for %d",
                  (unsigned long long)raw, want);
}

static void wait_until_built(void)
{
    OK(lsm_flush(fixture.node->store, NULL, NULL, &fixture.err));
    OK(lsm_quiesce(fixture.node->store, &fixture.err));
}

START_TEST(an_index_is_built_used_kept_and_dropped)
{
    for (int i = 0; i < 300; i++)
        OK(fixture_write(fixture.session, i % 2 ? "s1" : "s2", i, i % 10));
    OK(lsm_flush(fixture.node->store, NULL, NULL, &fixture.err));
    expect(3, 30, false);
    fixture_cql("CREATE INDEX by_celsius ON lab.readings (celsius)");
    fixture_find_table();
    ck_assert_uint_eq(fixture.table->index_count, 1);
    wait_until_built();
    expect(3, 30, true);
    OK(fixture_write(fixture.session, "s1", 3, 4)); /* it was 3 */
    OK(fixture_write(fixture.session, "s3", 1, 3));
    uint64_t raw;
    ck_assert_int_eq(count_where(3, &raw), 30);
    ck_assert_int_eq(count_where(4, &raw), 31);
    HAS(admin("tablestats", "lab.readings"), "Secondary index by_celsius: built, ");
    HAS((const char *)text.data, "Secondary indexes built: 1");
    HAS(admin("compactionstats", NULL), "concurrent compactors");
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(count_where(3, &raw), 30);
    ck_assert_uint_lt(raw, 40);
    FAILS(BASE_E_INVALID, fixture_try_cql("ALTER TABLE lab.readings DROP celsius"));
    SAYS("by_celsius");
    fixture_cql("DROP INDEX lab.by_celsius");
    fixture_find_table();
    expect(4, 31, false);
    ck_assert_ptr_null(strstr(admin("tablestats", "lab.readings"), "Secondary"));
}
END_TEST

static int gather_text(void *ctx, struct base_slice bytes)
{
    return base_buf_put_slice(ctx, bytes);
}

static int verify(void)
{
    base_buf_reset(&text);
    int rc = node_sstable_command("verify", fixture.dir, false, gather_text, &text, &fixture.err);
    OK(base_buf_put_u8(&text, 0));
    return rc;
}

/* ringlet sstable verify looks at the files of indexes as well. */
START_TEST(a_damaged_index_file_is_told)
{
    fixture_cql("CREATE INDEX by_celsius ON lab.readings (celsius)");
    fixture_find_table();
    for (int i = 0; i < 300; i++)
        OK(fixture_write(fixture.session, "s1", i, i));
    wait_until_built();
    OK(verify());
    HAS((const char *)text.data, "0000000001.sst: ok, 1 partitions, 300 rows");
    HAS((const char *)text.data, "0000000001.1.idx: ok, 300 partitions, 300 rows");
    char path[128];
    snprintf(path, sizeof path, "%s/store/sst/0000000001.1.idx", fixture.dir);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    fseek(file, 100, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 100, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
    FAILS(BASE_E_CORRUPT, verify());
    HAS((const char *)text.data, "0000000001.1.idx: DAMAGED: ");
    SAYS("1 of 2");
}
END_TEST

/* A transaction's own writes are merged with whole rows, not with what an index left of them. */
START_TEST(own_writes_are_seen_with_the_whole_row)
{
    uint64_t raw;
    fixture_cql("CREATE INDEX by_celsius ON lab.readings (celsius)");
    fixture_find_table();
    for (int i = 0; i < 20; i++)
        OK(fixture_write(fixture.session, "s1", i, i % 2));
    OK(node_txn_begin(fixture.session, &fixture.err));
    OK(fixture_write(fixture.session, "s1", 5, 0)); /* it was 1 */
    OK(fixture_write(fixture.session, "s1", 50, 1));
    ck_assert_int_eq(count_where(1, &raw), 10);
    ck_assert_int_eq(count_where(0, &raw), 11);
    node_txn_end(fixture.session);
    ck_assert_int_eq(count_where(1, &raw), 10);
    ck_assert_int_eq(count_where(0, &raw), 10);
}
END_TEST

/* A user type that gets a field: a value that has it, as null, equals one of before and is found by
 * it. */
START_TEST(a_type_that_grows_reaches_the_index)
{
    fixture_cql("CREATE TYPE lab.pair (a int, b int)");
    fixture_cql("CREATE TABLE lab.t (k int PRIMARY KEY, v frozen<pair>)");
    fixture_cql("CREATE INDEX ON lab.t (v)");
    fixture_cql("ALTER TYPE lab.pair ADD c int");
    struct base_schema *schema = node_schema(fixture.node);
    const struct base_table *table =
        base_schema_table(schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("t"));
    const uint8_t value[] = {0, 0, 0, 4, 0, 0, 0,    1,    0,    0,
                             0, 4, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t ckey[] = {BASE_KEY_AT}, key[] = {0, 0, 0, 9};
    struct base_buf pkey, row, m;
    struct base_row_builder b;
    base_buf_init(&pkey, 1000);
    base_buf_init(&row, 1000);
    base_buf_init(&m, 1000);
    uint32_t column = base_table_column(table, BASE_SLICE_LIT("v"))->id;
    OK(base_pkey_put(base_slice(key, 4), &pkey));
    OK(base_row_begin(&b, &row, node_timestamp(fixture.node)));
    OK(base_row_put_value(&b, column, base_slice(value, sizeof value)));
    base_row_end(&b);
    OK(base_mutation_put_row(&m, table->id, base_buf_view(&pkey), base_slice(ckey, 1),
                             base_buf_view(&row)));
    OK(node_write(fixture.session, table, base_buf_view(&m), 1, NODE_CL_LOCAL_QUORUM,
                  &fixture.err));
    struct base_filter filter = {.column = column, .operand = {value, 16}};
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row live;
    struct node_read *read = NULL;
    cmd.table_id = table->id;
    cmd.slices = base_slices_all;
    cmd.filters = &filter;
    cmd.filter_count = 1;
    OK(node_read_open(fixture.session, table, &cmd, NODE_CL_LOCAL_QUORUM, &read, &fixture.err));
    OK(node_read_next(read, &live, &fixture.err));
    ck_assert_uint_gt(live.pkey.len, 0);
    node_read_free(read);
    base_buf_fini(&pkey);
    base_buf_fini(&row);
    base_buf_fini(&m);
    base_schema_release(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/index");
    TCase *tc = tcase_create("index");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_index_is_built_used_kept_and_dropped);
    tcase_add_test(tc, a_damaged_index_file_is_told);
    tcase_add_test(tc, own_writes_are_seen_with_the_whole_row);
    tcase_add_test(tc, a_type_that_grows_reaches_the_index);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
