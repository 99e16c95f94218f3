/* POST /api/v1/cql: what a script sends and gets. Without these a body that is not as it must be
 * could be run half, or a page be lost. */
#include "node/http_cql.h"
#include "tests/lib/ck.h"
#include "tests/unit/node/node_fixture.h"

static struct base_buf json;

static void setup(void)
{
    fixture_setup();
    base_buf_init(&json, 1 << 20);
}

static void teardown(void)
{
    base_buf_fini(&json);
    fixture_teardown();
}

static int post(const char *body)
{
    base_buf_reset(&json);
    return nodei_http_cql(fixture.node, base_slice_str(body), &json, &fixture.err);
}

static const char *answer(const char *body)
{
    OK(post(body));
    ck_assert_int_eq(base_buf_put_u8(&json, 0), BASE_OK);
    return (const char *)json.data;
}

START_TEST(statements_and_values)
{
    ck_assert_str_eq(answer("{\"query\": \"CREATE TABLE lab.t (a int, b text, m map<text, int>, "
                            "PRIMARY KEY (a, b))\"}"),
                     "{\"result\": \"created table lab.t\"}");
    ck_assert_str_eq(
        answer("{\"query\": \"INSERT INTO t (a, b, m) VALUES (?, ?, ?)\", \"keyspace\": \"lab\", "
               "\"values\": [1, \"x\", {\"k\": 5}], \"consistency\": \"quorum\"}"),
        "{\"result\": \"done\"}");
    ck_assert_str_eq(
        answer(
            "{\"query\": \"INSERT INTO lab.t (a, b, m) VALUES (1, 'y', ?)\", \"values\": [null]}"),
        "{\"result\": \"done\"}");
    ck_assert_str_eq(answer("{\"query\": \"SELECT a, m FROM lab.t WHERE a = ?\", \"values\": [1]}"),
                     "{\"columns\": [{\"name\": \"a\", \"type\": \"int\"}, {\"name\": \"m\", "
                     "\"type\": \"map<text, int>\"}], "
                     "\"rows\": [{\"a\": 1, \"m\": {\"k\": 5}}, {\"a\": 1, \"m\": null}]}");
}
END_TEST

START_TEST(a_page_at_a_time)
{
    for (int i = 0; i < 5; i++)
        OK(fixture_write(fixture.session, "s1", i, 20 + i));
    char state[1024] = "", body[2048];
    int rows = 0, pages = 0;
    do {
        snprintf(body, sizeof body,
                 "{\"query\": \"SELECT ts FROM lab.readings WHERE sensor = 's1'\", \"page_size\": "
                 "2%s%s%s}",
                 state[0] ? ", \"paging_state\": \"" : "", state, state[0] ? "\"" : "");
        const char *text = answer(body), *at = text;
        for (; (at = strstr(at, "\"ts\": ")); at++) {
            ck_assert_int_eq(atoi(at + 6), rows);
            rows++;
        }
        const char *next = strstr(text, "\"paging_state\": \"");
        state[0] = 0;
        if (next)
            snprintf(state, sizeof state, "%.*s", (int)strcspn(next + 17, "\""), next + 17);
        pages++;
    } while (state[0]);
    ck_assert_int_eq(rows, 5);
    ck_assert_int_eq(pages, 3);
    FAILS(BASE_E_INVALID, post("{\"query\": \"SELECT ts FROM lab.readings\", \"page_size\": 2, "
                               "\"paging_state\": \"00ff\"}"));
}
END_TEST

START_TEST(bodies_that_are_not_right)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"query\": 1}",
        "{\"quer\": \"x\"}",
        "{\"query\": \"SELECT * FROM lab.readings\", \"page_size\": 0}",
        "{\"query\": \"SELECT * FROM lab.readings\", \"page_size\": \"7\"}",
        "{\"query\": \"SELECT * FROM lab.readings\", \"consistency\": \"SOME\"}",
        "{\"query\": \"SELECT * FROM lab.readings WHERE sensor = ?\"}",
        "{\"query\": \"SELECT * FROM lab.readings WHERE sensor = ?\", \"values\": [1, 2]}",
        "{\"query\": \"SELECT * FROM lab.readings WHERE sensor = ?\", \"values\": {}}",
        "{\"query\": \"SELECT * FROM lab.readings WHERE sensor = ?\", \"values\": 7}",
        "{\"query\": \"SELECT * FROM lab.readings\", \"paging_state\": \"x\"}",
        "{\"query\": \"SELECT * FROM lab.readings\", \"keyspace\": \"\"}",
    };
    for (size_t i = 0; i < BASE_COUNT(bodies); i++) {
        fixture.err = (struct base_err){0};
        int rc = post(bodies[i]);
        ck_assert_msg(rc == BASE_E_INVALID || rc == BASE_E_SYNTAX, "%s: %d %s", bodies[i], rc,
                      fixture.err.text);
        ck_assert_msg(fixture.err.text[0], "%s: no text", bodies[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/http_cql");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, statements_and_values);
    tcase_add_test(tc, a_page_at_a_time);
    tcase_add_test(tc, bodies_that_are_not_right);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
