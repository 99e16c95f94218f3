/* Where statements end. Without these a semicolon in a text could cut a statement in two, a batch
 * be sent in pieces, or the shell wait for ever for a line's end that was there. */
#include "cli/statement.h"
#include "tests/lib/ck.h"

/* Statements apart by |; what is left open behind ~. */
static void splits(const char *text, const char *want)
{
    struct base_slice rest = base_slice_str(text), statement;
    struct base_buf got;
    enum cli_statement_step step;
    base_buf_init(&got, 65536);
    while ((step = cli_statement_next(&rest, &statement)) == CLI_STATEMENT_READY)
        ck_assert_int_eq(base_buf_printf(&got, "%.*s|", BASE_SLICE_ARG(statement)), BASE_OK);
    if (step == CLI_STATEMENT_OPEN)
        ck_assert_int_eq(base_buf_printf(&got, "~%.*s", BASE_SLICE_ARG(rest)), BASE_OK);
    ck_assert_int_eq(base_buf_put_u8(&got, 0), BASE_OK);
    ck_assert_msg(strcmp((const char *)got.data, want) == 0,
                  "\"%s\" splits into \"%s\", not \"%s\"", text, (const char *)got.data, want);
    base_buf_fini(&got);
}

START_TEST(statements_end_at_semicolons_outside_of_quotes_and_comments)
{
    splits("", "");
    splits("  \n -- nothing\n /* more \n nothing */ // at all", "");
    splits("SELECT 1;", "SELECT 1|");
    splits(";;SELECT 1;;SELECT 2 ; ", "SELECT 1|SELECT 2|");
    splits("SELECT 1", "~SELECT 1");
    splits("INSERT INTO t VALUES (';', \"a;b\", $$x;y$$);SELECT",
           "INSERT INTO t VALUES (';', \"a;b\", $$x;y$$)|~SELECT");
    splits("SELECT 'it''s;' ; x", "SELECT 'it''s;'|~ x");
    splits("SELECT 1 -- ;\n ; ", "SELECT 1|");
    splits("SELECT /* ; */ 1; ", "SELECT /* ; */ 1|");
    splits("SELECT 'open;", "~SELECT 'open;");
    splits("SELECT /* open;", "~SELECT /* open;");
    splits("SELECT a - 1, b -1, 123e4567-e89b-12d3-a456-426614174000;",
           "SELECT a - 1, b -1, 123e4567-e89b-12d3-a456-426614174000|");
}
END_TEST

START_TEST(a_batch_is_one_statement)
{
    splits("BEGIN BATCH INSERT INTO a (k) VALUES (1); UPDATE b SET c = 1 WHERE k = 2; APPLY BATCH; "
           "SELECT 1;",
           "BEGIN BATCH INSERT INTO a (k) VALUES (1); UPDATE b SET c = 1 WHERE k = 2; APPLY "
           "BATCH|SELECT 1|");
    splits("begin unlogged batch insert into a (k) values (1);",
           "~begin unlogged batch insert into a (k) values (1);");
    splits("BEGIN BATCH INSERT INTO a (k, t) VALUES (1, 'apply batch;'); apply\n batch;",
           "BEGIN BATCH INSERT INTO a (k, t) VALUES (1, 'apply batch;'); apply\n batch|");
}
END_TEST

START_TEST(the_shells_commands_end_at_a_newline_too)
{
    splits("CONSISTENCY QUORUM\nSELECT 1;", "CONSISTENCY QUORUM|SELECT 1|");
    splits("HELP\n", "HELP|");
    splits("HELP", "~HELP");
    splits("DESC TABLES;TRACING ON\n", "DESC TABLES|TRACING ON|");
    splits("COPY t FROM 'a'\n", "~COPY t FROM 'a'\n");
    splits("SOURCE 'a;b'\n", "SOURCE 'a;b'|");
    splits("SOURCE 'a\nb'\n", "SOURCE 'a\nb'|");
    splits("?\n", "?|");
}
END_TEST

START_TEST(tokens_lose_their_quotes)
{
    static const struct {
        const char *text, *plain, *identifier;
    } cases[] = {{"Name", "Name", "name"},
                 {"\"Na\"\"me\"", "Na\"me", "Na\"me"},
                 {"'it''s'", "it's", "it's"},
                 {"$$a'b$$", "a'b", "a'b"},
                 {"''", "", ""},
                 {"12", "12", "12"}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        struct base_slice rest = base_slice_str(cases[i].text);
        struct cli_token token = cli_token_next(&rest);
        struct base_buf out;
        base_buf_init(&out, 65536);
        ck_assert_uint_eq(rest.len, 0);
        ck_assert_int_eq(cli_token_unquote(&token, &out), BASE_OK);
        ck_assert_str_eq((const char *)out.data, cases[i].plain);
        base_buf_reset(&out);
        ck_assert_int_eq(cli_token_identifier(&token, &out), BASE_OK);
        ck_assert_str_eq((const char *)out.data, cases[i].identifier);
        ck_assert_uint_eq(out.len, strlen(cases[i].identifier));
        base_buf_fini(&out);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statement");
    TCase *tc = tcase_create("statement");
    tcase_add_test(tc, statements_end_at_semicolons_outside_of_quotes_and_comments);
    tcase_add_test(tc, a_batch_is_one_statement);
    tcase_add_test(tc, the_shells_commands_end_at_a_newline_too);
    tcase_add_test(tc, tokens_lose_their_quotes);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
