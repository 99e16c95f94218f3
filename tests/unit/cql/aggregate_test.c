/* Aggregates over rows that the test sets: without these a sum could overflow unseen, an average be
 * rounded otherwise than Cassandra's, or nulls be counted. */
#include "tests/unit/cql/function_lib.h"

static struct cqli_aggregation *aggregation;
static const struct cqli_expr *aggregated[16];
static size_t aggregated_count;

static void aggregate(const char *const *terms, size_t count)
{
    const char *name;
    struct cqli_expr *expr;
    aggregated_count = count;
    for (size_t i = 0; i < count; i++) {
        int rc = prepare_selector(terms[i], &expr, &name);
        ck_assert_msg(rc == BASE_OK, "%s: %s", terms[i], err.text);
        aggregated[i] = expr;
    }
    ck_assert_int_eq(cqli_aggregation_new(&arena, aggregated, count, &aggregation), BASE_OK);
}

static void add_row(const char *column, const char *term)
{
    struct cqli_eval eval = evaluation();
    struct base_arena rows;
    base_arena_init(&rows); /* gone after the row */
    row_set(column, term);
    eval.arena = &rows;
    ck_ok(cqli_aggregation_add(aggregation, &eval), err);
    base_arena_fini(&rows);
}

static void results_are(const char *wanted)
{
    struct cqli_eval eval = evaluation();
    char got[2000] = "";
    for (size_t i = 0; i < aggregated_count; i++) {
        struct cql_value value;
        ck_ok(cqli_aggregation_result(aggregation, i, &eval, &value), err);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "; " : "",
                 printed(cqli_expr_type(aggregated[i]), &value));
    }
    ck_assert_str_eq(got, wanted);
}

START_TEST(aggregates)
{
    static const char *const ints[] = {"count(*)", "count(i)", "min(i)", "max(i)",
                                       "sum(i)",   "avg(i)",   "i",      "max(i) - min(i) + 1",
                                       "count(1)", "(text)'k'"};
    aggregate(ints, BASE_COUNT(ints));
    results_are("0; 0; null; null; 0; 0; null; null; 0; k");
    add_row("i", "7");
    results_are("1; 1; 7; 7; 7; 7; 7; 1; 1; k");
    add_row("i", "NULL");
    add_row("i", "-2");
    add_row("i", "5");
    results_are("4; 3; -2; 7; 10; 3; 7; 10; 4; k");
    cqli_aggregation_reset(aggregation);
    results_are("0; 0; null; null; 0; 0; null; null; 0; k");
    add_row("i", "2147483647");
    add_row("i", "2147483647");
    /* a sum wraps around, an average does not */
    results_are("2; 2; 2147483647; 2147483647; -2; 2147483647; 2147483647; 1; 2; k");

    static const char *const decimals[] = {"sum(de)", "avg(de)", "min(de)", "max(de)"};
    aggregate(decimals, BASE_COUNT(decimals));
    results_are("0; 0; null; null");
    add_row("de", "1.25");
    add_row("de", "1.5");
    add_row("de", "0.1");
    results_are("2.85; 0.95; 0.1; 1.5");
    static const char *const varints[] = {"sum(vi)", "avg(vi)"};
    aggregate(varints, BASE_COUNT(varints));
    results_are("0; 0");
    add_row("vi", "100000000000000000000");
    add_row("vi", "-1");
    results_are("99999999999999999999; 49999999999999999999");
    static const char *const doubles[] = {"sum(d)", "avg(d)", "sum(f)", "avg(f)"};
    aggregate(doubles, BASE_COUNT(doubles));
    results_are("0.0; 0.0; 0.0; 0.0");
    row_set("f", "0.1");
    for (int i = 0; i < 10; i++)
        add_row("d", "0.1");
    results_are("1.0; 0.1; 1.0; 0.1");
    add_row("d", "Infinity");
    row_set("f", "NULL");
    add_row("d", "1");
    results_are("Infinity; Infinity; 1.1; 0.1");
    static const char *const tiny[] = {"sum(ti)", "avg(ti)", "max(te)",
                                       "min(ts)", "max(l)",  "count(te)"};
    aggregate(tiny, BASE_COUNT(tiny));
    add_row("ti", "100");
    row_set("te", "'zz'");
    add_row("ti", "100");
    results_are("-56; 100; zz; 2024-01-31T10:20:30.456Z; [3, 1, 2, 2]; 2");
}
END_TEST

START_TEST(aggregates_that_are_refused)
{
    static const struct row bad[] = {
        {"sum(te)", "Invalid call to function sum, none of its type signatures match"},
        {"avg(ts)", "Invalid call to function avg"},
        {"max(*)", "only count takes *"},
        {"max(max(i))", "aggregate functions cannot be used as arguments of aggregate functions"},
        {"sum(abs(min(i)))",
         "aggregate functions cannot be used as arguments of aggregate functions"},
        {"count(?)", "Cannot infer type of argument ?"},
        {"max()",
         "Invalid number of arguments in call to function system.max: 1 required but 0 provided"},
    };
    struct cqli_expr *expr;
    const char *name;
    REFUSE_ALL(bad);
    no_value("bigint", "count(*)", "Aggregation function are not supported in the where clause");
    ck_assert_int_eq(prepare_selector("abs(max(i))", &expr, &name), BASE_OK);
    ck_assert(cqli_expr_has_aggregate(expr));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aggregate");
    TCase *tc = tcase_create("aggregates");
    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, aggregates);
    tcase_add_test(tc, aggregates_that_are_refused);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
