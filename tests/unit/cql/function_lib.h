/* A table with a column of each type and a row of it, and tables of terms with what they give: for
 * the tests of functions. */
#ifndef TESTS_UNIT_CQL_FUNCTION_LIB_H
#define TESTS_UNIT_CQL_FUNCTION_LIB_H

#include "base/key.h"
#include "tests/unit/cql/expr_lib.h"

static void begin(void)
{
    expr_setup("CREATE TABLE t (a int, b text, c int, ti tinyint, si smallint, i int, bi bigint, "
               "vi varint, f float, d double, de decimal, "
               "te text, ac ascii, bl blob, bo boolean, da date, tm time, ts timestamp, tu "
               "timeuuid, id uuid, inet inet, du duration, "
               "m map<text, int>, s set<int>, l list<int>, lt list<text>, ld list<double>, fl "
               "frozen<list<int>>, fm frozen<map<text, int>>, u address, "
               "vec vector<float, 3>, tup tuple<int, text>, PRIMARY KEY ((a, b), c))");
    row_set("a", "1");
    row_set("b", "'x'");
    row_set("ti", "100");
    row_set("si", "1000");
    row_set("i", "7");
    row_set("bi", "5000000000");
    row_set("vi", "123456789012345678901234567890");
    row_set("f", "1.5");
    row_set("d", "2.25");
    row_set("de", "10.50");
    row_set("te", "'héllo'");
    row_set("ac", "'abc'");
    row_set("bo", "true");
    row_set("da", "'2024-02-29'");
    row_set("tm", "'13:14:15.123456789'");
    row_set("ts", "'2024-01-31T10:20:30.456Z'");
    row_set("tu", "50554d6e-29bb-11e5-b345-feff819cdc9f");
    row_set("id", "123e4567-e89b-42d3-a456-426614174000");
    row_set("inet", "'::1'");
    row_set("du", "1mo2d3h");
    row_set("m", "{'x': 1, 'y': 2}");
    row_set("s", "{3, 1, 2}");
    row_set("l", "[3, 1, 2, 2]");
    row_set("lt", "['b', 'a']");
    row_set("ld", "[0.5, 1.5]");
    row_set("vec", "[1, 2, 3]");
    row_set("tup", "(1, 'x')");
}

struct row {
    const char *term, *wanted;
};
static inline void select_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        selects(rows[i].term, rows[i].wanted);
}
static inline void refuse_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        no_selector(rows[i].term, rows[i].wanted);
}
#define SELECT_ALL(rows) select_all(rows, BASE_COUNT(rows))
#define REFUSE_ALL(rows) refuse_all(rows, BASE_COUNT(rows))

#endif
