/* CREATE INDEX and DROP INDEX as analysis sees them. Without these an index could stand on what
 * cannot be indexed, two could have one name, a column could go from under its index, or DESCRIBE
 * write another index. */
#include "cql/ast.h"
#include "tests/unit/cql/script.h"

static struct cql_statement statement;

static int execute(void)
{
    struct cql_context at = context();
    base_err_clear(&err);
    return finish(cql_analyze_ddl(&arena, &statement, &at, &ddl, &err));
}

static int create(const char *name, const char *on, const char *column,
                  enum cql_index_target target)
{
    statement = (struct cql_statement){.kind = CQL_CREATE_INDEX, .target = {{0}, S(on)}};
    statement.index =
        (struct cql_index_def){.name = S(name), .column = S(column), .target = target};
    return execute();
}

static int drop(const char *name, bool conditional)
{
    statement = (struct cql_statement){
        .kind = CQL_DROP_INDEX, .target = {{0}, S(name)}, .conditional = conditional};
    return execute();
}

#define FAILS(call, code_, part)                                                                   \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        ck_assert_msg(rc_ == (code_), "gave %d %s", rc_, err.text);                                \
        ck_assert_msg(strstr(err.text, part), "gave: %s", err.text);                               \
    } while (0)

static void tables(void)
{
    lab();
    must("CREATE TYPE pair (a int, b text)");
    must("CREATE TABLE t (k int, k2 int, c text, s int static, v int, l list<int>, st set<text>, m "
         "map<text, int>, "
         "f frozen<map<text, int>>, u pair, fu frozen<pair>, d duration, ld list<duration>, td "
         "tuple<int, duration>, \"V x\" int, "
         "vec vector<float, 3>, PRIMARY KEY ((k, k2), c))");
    must("CREATE TABLE one (k int PRIMARY KEY, v int)");
}

static const struct base_index *find(const char *name)
{
    return base_keyspace_index(base_schema_keyspace(schema, S("lab")), S(name), NULL);
}

START_TEST(every_kind_of_column)
{
    static const struct {
        const char *column;
        enum cql_index_target target;
        enum base_index_target want;
        const char *name, *text;
    } cases[] = {
        {"k", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_k_idx", "(k)"},
        {"c", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_c_idx", "(c)"},
        {"s", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_s_idx", "(s)"},
        {"v", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_v_idx", "(v)"},
        {"l", CQL_INDEX_PLAIN, BASE_INDEX_VALUES, "t_l_idx", "(values(l))"},
        {"st", CQL_INDEX_VALUES, BASE_INDEX_VALUES, "t_st_idx", "(values(st))"},
        {"m", CQL_INDEX_PLAIN, BASE_INDEX_VALUES, "t_m_idx", "(values(m))"},
        {"m", CQL_INDEX_KEYS, BASE_INDEX_KEYS, "t_m_idx_1", "(keys(m))"},
        {"m", CQL_INDEX_ENTRIES, BASE_INDEX_ENTRIES, "t_m_idx_2", "(entries(m))"},
        {"f", CQL_INDEX_FULL, BASE_INDEX_FULL, "t_f_idx", "(full(f))"},
        {"fu", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_fu_idx", "(fu)"},
        {"V x", CQL_INDEX_PLAIN, BASE_INDEX_VALUE, "t_Vx_idx", "(\"V x\")"},
    };
    tables();
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        ck_assert_msg(create("", "t", cases[i].column, cases[i].target) == BASE_OK, "%s: %s",
                      cases[i].column, err.text);
        const struct base_index *index = find(cases[i].name);
        ck_assert_msg(index != NULL, "%s", cases[i].name);
        ck_assert_uint_eq(index->id, i + 1);
        ck_assert_int_eq(index->target, cases[i].want);
        struct base_buf out;
        base_buf_init(&out, 4096);
        ck_assert_int_eq(cql_describe_index(table("t"), index, &out), BASE_OK);
        ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
        const char *name = cases[i].name;
        char want[256];
        bool quoted = strchr(name, 'V');
        snprintf(want, sizeof want, "CREATE INDEX %s%s%s ON lab.t %s;", quoted ? "\"" : "", name,
                 quoted ? "\"" : "", cases[i].text);
        ck_assert_str_eq((char *)out.data, want);
        base_buf_fini(&out);
    }
    ck_assert_int_eq(create("", "one", "v", CQL_INDEX_PLAIN), BASE_OK);
    ck_assert_ptr_nonnull(find("one_v_idx"));
}
END_TEST

START_TEST(what_cannot_be_indexed)
{
    tables();
    FAILS(create("", "one", "k", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "Cannot create secondary index on the only partition key column k");
    FAILS(create("", "t", "nope", CQL_INDEX_PLAIN), BASE_E_INVALID, "Column 'nope' doesn't exist");
    FAILS(create("", "nope", "v", CQL_INDEX_PLAIN), BASE_E_NOTFOUND, "Table 'nope' doesn't exist");
    FAILS(create("", "t", "d", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "not supported on duration columns");
    FAILS(create("", "t", "ld", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "collections containing durations");
    FAILS(create("", "t", "td", CQL_INDEX_PLAIN), BASE_E_INVALID, "tuples containing durations");
    FAILS(create("", "t", "u", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "Cannot create index on non-frozen UDT column u");
    FAILS(create("", "t", "f", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "Cannot create values() index on frozen column f. Frozen");
    FAILS(create("", "t", "f", CQL_INDEX_KEYS), BASE_E_INVALID,
          "Cannot create keys() index on frozen column f. Frozen");
    FAILS(create("", "t", "m", CQL_INDEX_FULL), BASE_E_INVALID,
          "full() indexes can only be created on frozen collections");
    FAILS(create("", "t", "v", CQL_INDEX_FULL), BASE_E_INVALID,
          "full() indexes can only be created on frozen collections");
    FAILS(create("", "t", "v", CQL_INDEX_KEYS), BASE_E_INVALID,
          "Cannot create keys() index on v. Non-collection columns only support simple indexes");
    FAILS(create("", "t", "l", CQL_INDEX_ENTRIES), BASE_E_INVALID,
          "Cannot create index on entries of column l with non-map type");
    FAILS(create("", "t", "st", CQL_INDEX_KEYS), BASE_E_INVALID,
          "Cannot create index on keys of column st with non-map type");
    FAILS(create("", "t", "vec", CQL_INDEX_PLAIN), BASE_E_INVALID, "ANN OF");
    FAILS(create("a-b", "t", "v", CQL_INDEX_PLAIN), BASE_E_CONFIG, "Illegal index name a-b");
    ck_assert_uint_eq(table("t")->index_count, 0);
}
END_TEST

START_TEST(names_and_duplicates)
{
    tables();
    ck_assert_int_eq(create("i", "t", "v", CQL_INDEX_PLAIN), BASE_OK);
    FAILS(create("i", "one", "v", CQL_INDEX_PLAIN), BASE_E_INVALID, "Index 'i' already exists");
    FAILS(create("j", "t", "v", CQL_INDEX_PLAIN), BASE_E_INVALID,
          "Index j is a duplicate of existing index i");
    statement.conditional = true;
    ck_assert_int_eq(execute(), BASE_OK);
    ck_assert(ddl.nothing);
    FAILS(drop("j", false), BASE_E_INVALID, "Index 'lab.j' doesn't exist");
    ck_assert_int_eq(drop("j", true), BASE_OK);
    ck_assert(ddl.nothing);
    ck_assert_int_eq(create("h", "t", "c", CQL_INDEX_PLAIN), BASE_OK);
    ck_assert_int_eq(create("z", "t", "s", CQL_INDEX_PLAIN), BASE_OK);
    ck_assert_int_eq(drop("i", false), BASE_OK);
    ck_assert_uint_eq(table("t")->index_count, 2);
    ck_assert_int_eq(create("j", "t", "v", CQL_INDEX_PLAIN), BASE_OK);
    ck_assert_uint_eq(find("j")->id, 4); /* never 1 again */
    statement = (struct cql_statement){
        .kind = CQL_DROP_INDEX, .target = {S("nokeyspace"), S("x")}, .conditional = true};
    ck_assert_int_eq(execute(), BASE_OK);
}
END_TEST

START_TEST(classes_and_options)
{
    static const struct {
        const char *class, *kept, *text;
        bool custom;
        int rc;
    } cases[] = {
        {"sai", "sai", "", false, BASE_OK},
        {"StorageAttachedIndex", "StorageAttachedIndex", "", true, BASE_OK},
        {"org.apache.cassandra.index.sai.StorageAttachedIndex",
         "org.apache.cassandra.index.sai.StorageAttachedIndex", "", true, BASE_OK},
        {"legacy_local_table", "", "", false, BASE_OK},
        {"", "", "CUSTOM index requires specifying the index class", true, BASE_E_INVALID},
        {"org.apache.cassandra.index.sasi.SASIIndex", "", "SASI indexes are disabled", true,
         BASE_E_INVALID},
        {"my.Index", "", "Unable to find custom indexer class 'my.Index'", true, BASE_E_CONFIG},
    };
    tables();
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        statement = (struct cql_statement){.kind = CQL_CREATE_INDEX, .target = {{0}, S("t")}};
        statement.index = (struct cql_index_def){.name = S("i"),
                                                 .column = S("v"),
                                                 .custom = cases[i].custom,
                                                 .using_class = S(cases[i].class)};
        int rc = execute();
        ck_assert_msg(rc == cases[i].rc, "%s: %s", cases[i].class, err.text);
        if (rc != BASE_OK) {
            ck_assert_msg(strstr(err.text, cases[i].text), "%s", err.text);
            continue;
        }
        ck_assert(base_slice_equal(find("i")->index_class, S(cases[i].kept)));
        ck_assert_int_eq(drop("i", false), BASE_OK);
    }
    struct cql_term value = {.kind = CQL_TERM_STRING, .text = S("false")};
    struct cql_term key = {.kind = CQL_TERM_STRING, .text = S("case_sensitive"), .next = &value};
    struct cql_term map = {.kind = CQL_TERM_MAP, .items = &key, .item_count = 2};
    struct cql_property options = {.name = S("options"), .value = &map};
    statement = (struct cql_statement){
        .kind = CQL_CREATE_INDEX, .target = {{0}, S("t")}, .properties = &options};
    statement.index = (struct cql_index_def){
        .column = S("v"), .custom = true, .using_class = S("StorageAttachedIndex")};
    FAILS(execute(), BASE_E_INVALID, "case_sensitive = 'false' is not supported");
    value.text = S("true");
    ck_assert_msg(execute() == BASE_OK, "%s", err.text);
    key.text = S("colour");
    statement.index.column = S("c");
    FAILS(execute(), BASE_E_INVALID, "Unknown index option 'colour'");
    statement.index = (struct cql_index_def){.column = S("c")};
    FAILS(execute(), BASE_E_INVALID, "Cannot specify options for a non-CUSTOM index");
}
END_TEST

START_TEST(a_column_under_an_index_stays)
{
    tables();
    ck_assert_int_eq(create("i", "t", "v", CQL_INDEX_PLAIN), BASE_OK);
    ck_assert_int_eq(create("j", "t", "c", CQL_INDEX_PLAIN), BASE_OK);
    refuses("ALTER TABLE t DROP v", BASE_E_INVALID,
            "Cannot drop column v because it has dependent secondary indexes (i)");
    refuses("ALTER TABLE t RENAME c TO cc", BASE_E_INVALID,
            "Cannot rename column c because it has dependent secondary indexes (j)");
    must("ALTER TABLE t ADD w int");
    ck_assert_uint_eq(table("t")->index_count, 2); /* other changes leave them */
    ck_assert_int_eq(drop("i", false), BASE_OK);
    must("ALTER TABLE t DROP v");
    must("DROP TABLE t");
    ck_assert_ptr_null(find("j"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tc = tcase_create("index");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_kind_of_column);
    tcase_add_test(tc, what_cannot_be_indexed);
    tcase_add_test(tc, names_and_duplicates);
    tcase_add_test(tc, classes_and_options);
    tcase_add_test(tc, a_column_under_an_index_stays);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
