/* Definitions and plans: what needs no SQLite at its side.
 *
 * Without it, a comma inside MAP<TEXT,TEXT>, a quote or a comment could cut a column off the
 * definition; and xFilter could read another plan than xBestIndex wrote. */
#include "tests/lib/ck.h"
#include "vtab/vtab_private.h"

static struct base_arena arena;
static struct base_err err;

static void set_up(void)
{
    base_arena_init(&arena);
}
static void tear_down(void)
{
    base_arena_fini(&arena);
}

#define ck_slice(slice, text)                                                                      \
    ck_assert_msg(base_slice_equal(slice, base_slice_str(text)), "%.*s, expected %s",              \
                  BASE_SLICE_ARG(slice), text)

static int parse(struct vtabi_definition *d, int argc, const char *const *args)
{
    const char *argv[20] = {"ringlet", "main", "Readings"};
    BASE_ASSERT(argc <= 17);
    for (int i = 0; i < argc; i++)
        argv[3 + i] = args[i];
    base_err_clear(&err);
    return vtabi_define_parse(&arena, 3 + argc, argv, d, &err);
}
#define PARSE(d, ...)                                                                              \
    parse(d, (int)BASE_COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

START_TEST(test_definition)
{
    struct vtabi_definition d;
    /* as SQLite splits it: inside <> too */
    ck_assert_int_eq(PARSE(&d, "keyspace='lab'", "sensor TEXT", "tags MAP<TEXT", "TEXT>",
                           "note text /* a, b */", "PRIMARY KEY ((sensor, day), ts)",
                           "with='CLUSTERING ORDER BY (ts DESC) AND comment = ''x,y'''",
                           "node='/data/dir'"),
                     BASE_OK);
    ck_slice(d.keyspace, "lab");
    ck_slice(d.table, "readings");
    ck_slice(d.with, "CLUSTERING ORDER BY (ts DESC) AND comment = 'x,y'");
    ck_slice(d.node_dir, "/data/dir");
    ck_slice(d.columns,
             "sensor TEXT, tags MAP<TEXT,TEXT>, note text, PRIMARY KEY ((sensor, day), ts)");
    ck_assert(!d.attach && !d.names_table);
}
END_TEST

START_TEST(test_attach)
{
    struct vtabi_definition d;
    ck_assert_int_eq(PARSE(&d, "Lab.Readings", "node='x'"), BASE_OK);
    ck_slice(d.keyspace, "lab");
    ck_slice(d.table, "readings");
    ck_assert(d.attach && d.names_table);
    ck_assert_int_eq(PARSE(&d, "\"Lab\" . \"My \"\"Table\"\"\""), BASE_OK);
    ck_slice(d.keyspace, "Lab");
    ck_slice(d.table, "My \"Table\"");
    ck_assert_int_eq(PARSE(&d, "readings", "keyspace=\"Lab\""), BASE_OK);
    ck_slice(d.keyspace, "Lab");
    ck_assert_int_eq(PARSE(&d, "keyspace='lab'"), BASE_OK);
    ck_assert(d.attach);
    ck_slice(d.table, "readings");
}
END_TEST

START_TEST(test_refused)
{
    struct vtabi_definition d;
    ck_fails(PARSE(&d, "colour='red'"), BASE_E_INVALID, err);
    ck_fails(PARSE(&d, "keyspace=lab"), BASE_E_INVALID, err);
    ck_fails(PARSE(&d, "lab.r", "node=''"), BASE_E_INVALID, err);
    ck_fails(PARSE(&d, "lab.r", "a TEXT"), BASE_E_SYNTAX, err);
    ck_fails(PARSE(&d, "a TEXT PRIMARY KEY"), BASE_E_INVALID, err); /* main has no keyspace */
    ck_assert_int_ne(PARSE(&d, "a TEXT", "''", "'"), BASE_OK);
}
END_TEST

START_TEST(test_columns_from_text)
{
    struct vtabi_declared *columns;
    int count;
    struct base_slice text = base_slice_str("Id INT PRIMARY KEY, \"My Col\" frozen<list<int>>, s "
                                            "double STATIC, place my_type, primary_colour blob, "
                                            "d decimal, PRIMARY KEY (id)");
    ck_ok(vtabi_define_columns(&arena, text, &columns, &count, &err), err);
    static const char *const expected[][2] = {
        {"id", "INTEGER"}, {"My Col", "TEXT"},         {"s", "REAL"},
        {"place", "TEXT"}, {"primary_colour", "BLOB"}, {"d", "TEXT"}};
    ck_assert_int_eq(count, (int)BASE_COUNT(expected));
    for (int i = 0; i < count; i++) {
        ck_slice(columns[i].name, expected[i][0]);
        ck_assert_str_eq(columns[i].sql_type, expected[i][1]);
    }
}
END_TEST

START_TEST(test_plan_encoding)
{
    for (unsigned bits = 0; bits < 1u << 9; bits++) {
        for (unsigned prefix = 0; prefix <= VTABI_PLAN_PREFIX_MAX; prefix += 89) {
            struct vtabi_plan plan =
                                  {
                                      .kind = (enum vtabi_plan_kind)(bits & 3),
                                      .reversed = bits >> 2 & 1,
                                      .in = bits >> 3 & 1,
                                      .allow = bits >> 4 & 1,
                                      .consistency = bits >> 5 & 1,
                                      .limit = bits >> 6 & 1,
                                      .offset = bits >> 7 & 1,
                                      .echo = bits >> 8 & 1,
                                      .lower = (enum vtabi_bound)(prefix % 3),
                                      .upper = (enum vtabi_bound)(bits % 3),
                                      .prefix_count = prefix,
                                      .filter_count = (bits + prefix) & VTABI_PLAN_FILTERS_MAX,
                                  },
                              back;
            vtabi_plan_decode(vtabi_plan_encode(&plan), &back);
            ck_assert(
                back.kind == plan.kind && back.reversed == plan.reversed && back.in == plan.in &&
                back.allow == plan.allow && back.consistency == plan.consistency &&
                back.limit == plan.limit && back.offset == plan.offset && back.echo == plan.echo &&
                back.lower == plan.lower && back.upper == plan.upper &&
                back.prefix_count == plan.prefix_count && back.filter_count == plan.filter_count);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vtab");
    TCase *tcase = tcase_create("define");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_definition);
    tcase_add_test(tcase, test_attach);
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_columns_from_text);
    tcase_add_test(tcase, test_plan_encoding);
    suite_add_tcase(suite, tcase);
    return ck_main(suite);
}
