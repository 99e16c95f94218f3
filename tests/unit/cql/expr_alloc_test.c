/* Every allocation of preparing and evaluating fails once. Without this a number that had no room
 * could become Infinity, or a literal take another type, when memory is short: silently, for the
 * same text is right a moment later. */
#include "tests/lib/alloc_fault.h"
#include "tests/unit/cql/expr_lib.h"

static void begin(void)
{
    expr_setup("CREATE TABLE t (a int, b text, c int, i int, vi varint, de decimal, te text, ts "
               "timestamp, m map<text, int>, l list<int>, u address, "
               "ve vector<float, 2>, PRIMARY KEY ((a, b), c))");
    row_set("a", "1");
    row_set("b", "'x'");
    row_set("i", "7");
    row_set("vi", "123456789012345678901234567890");
    row_set("de", "10.50");
    row_set("te", "'text'");
    row_set("ts", "'2024-01-31T10:20:30.456Z'");
    row_set("m", "{'x': 1, 'y': 2}");
    row_set("l", "[3, 1, 2]");
    row_set("ve", "[1, 2]");
}

/* Prepared and evaluated in an arena of its own; the result's text, or NULL with *rc. Check itself
 * asks for memory: nothing of it here. */
static char *attempt(struct cqli_prepare p, const struct cql_statement *statement,
                     const struct base_type *type, int *rc)
{
    struct base_arena own;
    struct cqli_eval eval = evaluation();
    struct cqli_expr *expr;
    struct cql_value value;
    struct base_slice name;
    struct base_buf text;
    char *copy = NULL;
    last_us = chance = 0;
    memset(specs, 0, sizeof specs);
    base_arena_init(&own);
    base_buf_init(&text, 1 << 20);
    p.arena = eval.arena = &own;
    const struct cql_term *term =
        type ? statement->modify.values : statement->select.selectors->term;
    *rc = type ? cqli_expr_prepare(&p, term, S("v"), type, &expr)
               : cqli_expr_prepare_selector(&p, term, &expr);
    if (*rc == BASE_OK)
        *rc = cqli_expr_name(&p, term, &name);
    if (*rc == BASE_OK)
        *rc = cqli_expr_eval(expr, &eval, &value);
    if (*rc == BASE_OK)
        *rc = base_type_print(cqli_expr_type(expr), &text);
    if (*rc == BASE_OK)
        *rc = value.state == CQL_VALUE_SET
                  ? base_value_to_text(cqli_expr_type(expr), value.bytes, &text, &err)
                  : base_buf_put(&text, "null", 4);
    if (*rc == BASE_OK) {
        *rc = base_buf_put_u8(&text, 0);
        copy = *rc == BASE_OK ? strdup((char *)text.data) : NULL;
        *rc = copy ? BASE_OK : BASE_E_NOMEM;
    }
    base_buf_fini(&text);
    base_arena_fini(&own);
    return copy;
}

static void sweep(const struct cql_statement *statement, const struct base_type *type,
                  const char *term)
{
    int rc;
    const struct cqli_prepare p = preparation(statement);
    char *wanted = attempt(p, statement, type, &rc);
    ck_assert_msg(rc == BASE_OK, "%s: %s", term, err.text);
    bool more = true;
    uint64_t k = 0;
    for (; more; k++) {
        alloc_fault_set(k, 1);
        char *got = attempt(p, statement, type, &rc);
        more = alloc_fault_clear();
        ck_assert_msg(rc == BASE_OK || (more && rc == BASE_E_NOMEM), "%s, allocation %llu: %d %s",
                      term, (unsigned long long)k, rc, err.text);
        ck_assert_msg(rc != BASE_OK || strcmp(got, wanted) == 0,
                      "%s, allocation %llu: gave %s instead of %s", term, (unsigned long long)k,
                      got, wanted);
        free(got);
    }
    ck_assert_uint_gt(k, 2); /* some did fail */
    free(wanted);
}

START_TEST(selectors)
{
    static const char *const terms[] = {
        "[i, 5]",
        "-(1.5)",
        "vi * vi + de / 3",
        "i + 1 - (2)",
        "CAST(vi AS double)",
        "CAST(de AS text)",
        "CAST(de AS bigint)",
        "exp(de)",
        "log10(vi)",
        "m['x'..'y']",
        "m['y']",
        "map_keys(m)",
        "collection_avg(l)",
        "mask_default(u)",
        "mask_inner(te, 1, 1)",
        "to_json(m)",
        "token(a, b)",
        "floor(ts, 1mo)",
        "now()",
        "te + '!'",
        "similarity_cosine(ve, [1, 0])",
        "blob_as_varint(varint_as_blob(vi))",
        "ts + 1mo",
        "(map<text, int>){'a': i}",
    };
    for (size_t i = 0; i < BASE_COUNT(terms); i++)
        sweep(parsed("SELECT %.*s FROM t", S(terms[i])), NULL, terms[i]);
}
END_TEST

START_TEST(values)
{
    static const struct {
        const char *type, *term;
    } rows[] = {
        {"map<int, frozen<list<text>>>", "{1: ['a', 'b'], -1: []}"},
        {"address", "{zip: 1, tags: {'b', 'a'}}"},
        {"decimal", "1 / 3 + 2.5"},
        {"varint", "123456789012345678901234567890"},
        {"set<int>", "from_json('[3, 1, 2]')"},
        {"set<int>", "?"},
        {"bigint", "abs(-5)"},
    };
    bound[0] =
        (struct cql_value){.bytes = base_slice("\0\0\0\2\0\0\0\4\0\0\0\3\0\0\0\4\0\0\0\1", 20)};
    bound_count = 1;
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        sweep(parsed("INSERT INTO t (v) VALUES (%.*s)", S(rows[i].term)), type_of(rows[i].type),
              rows[i].term);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expr_alloc");
    TCase *tc = tcase_create("allocations");
    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, selectors);
    tcase_add_test(tc, values);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
