/* JSON in and out. Breaks without it: values lose digits, or hostile text crashes a node. */
#include <check.h>
#include <stdio.h>

#include "base/json.h"

static int parse_all(struct base_slice json, char *kinds, size_t size)
{
    static const char letters[] = ".{}[]ks#tfn";
    struct base_json_reader r;
    struct base_json_token token;
    size_t n = 0;
    base_json_begin(&r, json);
    for (;;) {
        int rc = base_json_next(&r, &token, NULL);
        if (rc != BASE_OK)
            return rc;
        if (n + 1 < size)
            kinds[n++] = letters[token.kind];
        kinds[n] = 0;
        if (token.kind == BASE_JSON_END)
            return BASE_OK;
    }
}

START_TEST(tokens)
{
    char kinds[100];
    ck_assert_int_eq(
        parse_all(
            BASE_SLICE_LIT(" {\"a\": [1, -2.5e+3, true,false , null], \"b\":{}, \"\": \"x\"} "),
            kinds, sizeof kinds),
        BASE_OK);
    ck_assert_str_eq(kinds, "{k[##tfn]k{}ks}.");
    ck_assert_int_eq(parse_all(BASE_SLICE_LIT("12345678901234567890.000"), kinds, sizeof kinds),
                     BASE_OK);
    ck_assert_str_eq(kinds, "#.");
}
END_TEST

START_TEST(refusals)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[1,]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{a:1}",
                                      "01",
                                      "-",
                                      "1.",
                                      "1e",
                                      "tru",
                                      "\"",
                                      "\"\\x\"",
                                      "\"\\u12g4\"",
                                      "\"\n\"",
                                      "\"\xff\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xc0\x80\"",
                                      "[1 2]",
                                      "1 2",
                                      "]",
                                      "{\"a\":1,}",
                                      "[1}",
                                      "{\"a\":1]",
                                      "nan",
                                      "+1",
                                      "'a'"};
    char kinds[100];
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        ck_assert_msg(parse_all(base_slice_str(bad[i]), kinds, sizeof kinds) == BASE_E_SYNTAX, "%s",
                      bad[i]);
    char deep[200];
    memset(deep, '[', sizeof deep);
    ck_assert_int_eq(parse_all(base_slice(deep, sizeof deep), kinds, sizeof kinds), BASE_E_LIMIT);
}
END_TEST

START_TEST(strings)
{
    struct base_json_reader r;
    struct base_json_token token;
    struct base_buf out;
    base_buf_init(&out, 1000);
    base_json_begin(&r, BASE_SLICE_LIT("\"a\\n\\u00e9\\ud83d\\ude00\\ud83d\\\"\\/\""));
    ck_assert_int_eq(base_json_next(&r, &token, NULL), BASE_OK);
    ck_assert_int_eq(base_json_unescape(&token, &out), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out),
                               BASE_SLICE_LIT("a\n\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\"/")));
    base_buf_reset(&out);
    ck_assert_int_eq(base_json_put_string(&out, BASE_SLICE_LIT("a\"\\\n\x01\xc3\xa9\xff"
                                                               "b")),
                     BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out),
                               BASE_SLICE_LIT("\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd"
                                              "b\"")));
    base_buf_fini(&out);
}
END_TEST

START_TEST(values_and_members)
{
    struct base_json_reader r;
    struct base_json_token token;
    struct base_slice value;
    struct base_buf out;
    base_buf_init(&out, 1000);
    struct base_slice doc =
        BASE_SLICE_LIT("{\"x\": [1, {\"y\": 2}], \"error\": \"no \\\"way\\\"\"}");
    base_json_begin(&r, doc);
    ck_assert_int_eq(base_json_next(&r, &token, NULL), BASE_OK);
    ck_assert_int_eq(base_json_next(&r, &token, NULL), BASE_OK);
    ck_assert_int_eq(base_json_next(&r, &token, NULL), BASE_OK);
    ck_assert_int_eq(base_json_value(&r, &token, &value, NULL), BASE_OK);
    ck_assert(base_slice_equal(value, BASE_SLICE_LIT("[1, {\"y\": 2}]")));
    ck_assert_int_eq(base_json_get_string(doc, "error", &out), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out), BASE_SLICE_LIT("no \"way\"")));
    ck_assert_int_eq(base_json_get_string(doc, "y", &out), BASE_E_NOTFOUND);
    base_buf_fini(&out);
}
END_TEST

START_TEST(writer)
{
    struct base_buf out;
    struct base_json_writer w;
    base_buf_init(&out, 1000);
    base_json_writer_init(&w, &out);
    base_json_open_object(&w);
    base_json_key(&w, "a");
    base_json_open_array(&w);
    base_json_i64(&w, INT64_MIN);
    base_json_double(&w, 0.1);
    base_json_open_object(&w);
    base_json_close_object(&w);
    base_json_close_array(&w);
    base_json_key(&w, "b");
    base_json_bool(&w, true);
    base_json_key(&w, "c");
    base_json_str(&w, "x");
    base_json_close_object(&w);
    ck_assert_int_eq(base_json_finish(&w), BASE_OK);
    ck_assert(base_slice_equal(
        base_buf_view(&out),
        BASE_SLICE_LIT("{\"a\": [-9223372036854775808, 0.1, {}], \"b\": true, \"c\": \"x\"}")));
    base_buf_fini(&out);
}
END_TEST

START_TEST(walk)
{
    struct base_slice doc =
        BASE_SLICE_LIT(" {\"a\": [1, \"x\", {}, []], \"b\": {\"a\": 2}, \"c\": null}");
    struct base_json_walk w;
    struct base_err err = {0};
    bool more;
    static const char *const values[] = {"1", "\"x\"", "{}", "[]"};
    base_json_walk_begin(&w, base_json_member(doc, "a"));
    for (size_t i = 0; i < BASE_COUNT(values); i++) {
        ck_assert_int_eq(base_json_walk_next(&w, &more, &err), BASE_OK);
        ck_assert(more && base_slice_equal(w.value, base_slice_str(values[i])));
    }
    ck_assert_int_eq(base_json_walk_next(&w, &more, &err), BASE_OK);
    ck_assert(!more);
    base_json_walk_begin(&w, doc);
    for (const char *key = "abc"; *key; key++) {
        ck_assert_int_eq(base_json_walk_next(&w, &more, &err), BASE_OK);
        ck_assert(more && base_slice_equal(w.key.text, base_slice(key, 1)));
    }
    ck_assert_int_eq(w.first.kind, BASE_JSON_NULL);
    ck_assert_int_eq(base_json_walk_next(&w, &more, &err), BASE_OK);
    ck_assert(!more);
    ck_assert(
        base_slice_equal(base_json_member(base_json_member(doc, "b"), "a"), BASE_SLICE_LIT("2")));
    ck_assert_uint_eq(base_json_member(doc, "x").len, 0);
    ck_assert_uint_eq(base_json_member(BASE_SLICE_LIT("[1]"), "x").len, 0);
    ck_assert_uint_eq(base_json_member(BASE_SLICE_LIT(""), "x").len, 0);
    static const char *const wrong[] = {"", "1", "\"a\"", "{\"a\":", "[1", "{"};
    for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
        int rc = BASE_OK;
        base_json_walk_begin(&w, base_slice_str(wrong[i]));
        for (more = true; rc == BASE_OK && more;)
            rc = base_json_walk_next(&w, &more, &err);
        ck_assert_int_ne(rc, BASE_OK);
        ck_assert(!more);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/json");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, tokens);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, strings);
    tcase_add_test(tc, values_and_members);
    tcase_add_test(tc, writer);
    tcase_add_test(tc, walk);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
