/* How values, names and tables look. Without these a column could be a letter off, a control
 * character reach the terminal, or what COPY TO wrote not come back. */
#include "cli/csv.h"
#include "cli/format.h"
#include "tests/lib/ck.h"

static struct base_arena arena;
static struct base_buf bytes, shown;

static void setup(void)
{
    base_arena_init(&arena);
    base_buf_init(&bytes, 1 << 20);
    base_buf_init(&shown, 1 << 20);
}

static void teardown(void)
{
    base_arena_fini(&arena);
    base_buf_fini(&bytes);
    base_buf_fini(&shown);
}

static const struct base_type *type_of(const char *text)
{
    static const struct base_slice names[] = {{(const uint8_t *)"street", 6},
                                              {(const uint8_t *)"num", 3}};
    static const struct base_type *params[2];
    static struct base_type address = {.kind = BASE_TYPE_UDT,
                                       .frozen = true,
                                       .param_count = 2,
                                       .params = params,
                                       .field_names = names};
    const struct base_type *type;
    struct base_err err = {0};
    params[0] = base_type_scalar(BASE_TYPE_TEXT);
    params[1] = base_type_scalar(BASE_TYPE_INT);
    address.name = BASE_SLICE_LIT("addr");
    address.keyspace = BASE_SLICE_LIT("ks");
    if (strcmp(text, "addr") == 0)
        return &address;
    ck_ok(base_type_parse(&arena, base_slice_str(text), NULL, &type, &err), err);
    return type;
}

static const char *show(const struct cli_format *format, const struct base_type *type,
                        struct base_slice value, size_t *width)
{
    struct cql_value v = {.state = CQL_VALUE_SET, .bytes = value};
    struct cli_text text = {.out = &shown};
    base_buf_reset(&shown);
    ck_assert_int_eq(cli_format_value(format, type, &v, &text), BASE_OK);
    ck_assert_int_eq(base_buf_put_u8(&shown, 0), BASE_OK);
    if (width)
        *width = text.width;
    return (const char *)shown.data;
}

/* A field of CSV → value → as the shell shows it, and as COPY TO writes it; that is the same field
 * again. */
START_TEST(values_look_as_in_cqlsh_and_come_back_from_csv)
{
    static const struct {
        const char *type, *field, *in_shell, *in_csv; /* NULL: as the field */
    } cases[] = {
        {"int", "-42", NULL, NULL},
        {"bigint", "12345678901", NULL, NULL},
        {"varint", "123456789012345678901234567890", NULL, NULL},
        {"decimal", "12.3400", NULL, NULL},
        {"decimal", "1E+20", NULL, NULL},
        {"boolean", "True", NULL, NULL},
        {"boolean", "fALSE", "False", "False"},
        {"double", "3.14159265359", "3.14159", NULL},
        {"double", "100000", "1e+05", NULL},
        {"double", "1e-10", NULL, NULL},
        {"double", "NaN", NULL, NULL},
        {"float", "1.1", NULL, NULL},
        {"float", "123456.79", "1.2346e+05", "1.2346e+05"},
        {"float", "-Infinity", NULL, NULL},
        {"blob", "0xdeadBEEF", "0xdeadbeef", "0xdeadbeef"},
        {"blob", "0x", NULL, NULL},
        {"text", "it's \"q\"", NULL, NULL},
        {"text", "tab\tand\nline \\ \x01", "tab\\tand\\nline \\\\ \\x01", NULL},
        {"text", "caf\xC3\xA9 \xC2\x85", "caf\xC3\xA9 \\x85", NULL},
        {"ascii", "x", NULL, NULL},
        {"date", "2024-02-29", NULL, NULL},
        {"time", "12:34:56.789012345", NULL, NULL},
        {"time", "00:00:00", "00:00:00.000000000", "00:00:00.000000000"},
        {"timestamp", "2024-02-29 12:34:56.789+0000", "2024-02-29 12:34:56.789000+0000", NULL},
        {"timestamp", "1969-12-31 23:59:59.001+0000", "1969-12-31 23:59:59.001000+0000", NULL},
        {"timestamp", "253402300800000", NULL, NULL}, /* the year 10000 */
        {"uuid", "123e4567-e89b-12d3-a456-426614174000", NULL, NULL},
        {"inet", "10.0.0.1", NULL, NULL},
        {"inet", "::1", NULL, NULL},
        {"duration", "1y2mo3d4h5m6s7ms8us9ns", NULL, NULL},
        {"duration", "-1mo", NULL, NULL},
        {"list<int>", "[1, 2, 3]", NULL, NULL},
        {"list<double>", "[1, 2.5, 1e+20]", NULL, NULL},
        {"list<timestamp>", "['2024-02-29 12:34:56.000+0000']",
         "['2024-02-29 12:34:56.000000+0000']", NULL},
        {"set<text>", "{'x', 'y''z'}", NULL, NULL},
        {"set<text>", "{z, 'a, b', a}", "{'a', 'a, b', 'z'}", "{'a', 'a, b', 'z'}"},
        {"set<inet>", "{'10.0.0.1'}", NULL, NULL},
        {"map<text, int>", "{'a': 1, 'b': 2}", NULL, NULL},
        {"map<text, frozen<list<text>>>", "{'k': ['a', 'b\\']}", "{'k': ['a', 'b\\\\']}", NULL},
        {"map<timestamp, text>", "{'2024-02-29 12:34:56.000+0000': 'x: {y'}",
         "{'2024-02-29 12:34:56.000000+0000': 'x: {y'}", NULL},
        {"tuple<int, text>", "(1, 'two')", NULL, NULL},
        {"tuple<int, text>", "(1, null)", NULL, "(1, )"},
        {"addr", "{street: 'Main', num: 5}", NULL, NULL},
        {"addr", "{num: 5}", "{street: null, num: 5}", "{street: , num: 5}"},
        {"vector<float, 3>", "[1.5, 2.25, -3]", NULL, NULL},
        {"set<int>", "{}", NULL, NULL},
    };
    const struct cli_csv_forms forms = {
        .decimal_separator = '.', .yes = "True", .no = "False", .null = ""};
    struct base_err err = {0};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        const struct base_type *type = type_of(cases[i].type);
        const char *in_shell = cases[i].in_shell ? cases[i].in_shell : cases[i].field;
        const char *in_csv = cases[i].in_csv ? cases[i].in_csv : cases[i].field;
        struct base_buf again;
        base_buf_reset(&bytes);
        ck_ok(cli_csv_value(&forms, type, base_slice_str(cases[i].field), &bytes, &err), err);
        ck_ok(base_value_validate(type, base_buf_view(&bytes), &err), err);
        ck_assert_str_eq(show(&cli_format_shell, type, base_buf_view(&bytes), NULL), in_shell);
        const char *csv = show(&cli_format_copy, type, base_buf_view(&bytes), NULL);
        ck_assert_str_eq(csv, in_csv);
        base_buf_init(&again, 1 << 20);
        ck_ok(cli_csv_value(&forms, type, base_slice_str(csv), &again, &err), err);
        if (strcmp(in_csv, "1.2346e+05") != 0)
            ck_assert_msg(base_slice_equal(base_buf_view(&again), base_buf_view(&bytes)), "%s",
                          csv);
        base_buf_fini(&again);
    }
}
END_TEST

START_TEST(fields_that_are_no_value_are_refused)
{
    static const struct {
        const char *type, *field;
    } cases[] = {
        {"int", "x"},
        {"int", "1 2"},
        {"int", ""},
        {"int", "3000000000"},
        {"boolean", "maybe"},
        {"blob", "xyz"},
        {"blob", "0x123"},
        {"blob", "0xzz"},
        {"timestamp", "yesterday"},
        {"uuid", "123"},
        {"inet", "1.2.3"},
        {"list<int>", "1, 2"},
        {"list<int>", "[1, 2"},
        {"list<int>", "[1, x]"},
        {"map<int, int>", "{1}"},
        {"map<int, int>", "{1: }"},
        {"tuple<int, int>", "(1, 2, 3)"},
        {"addr", "{nosuch: 1}"},
        {"vector<float, 3>", "[1, 2]"},
        {"text", "\xff"},
        {"ascii", "\xC3\xA9"},
        {"set<int>", "[1}"},
    };
    const struct cli_csv_forms forms = {
        .decimal_separator = '.', .yes = "True", .no = "False", .null = ""};
    struct base_err err = {0};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        base_buf_reset(&bytes);
        base_err_clear(&err);
        int rc = cli_csv_value(&forms, type_of(cases[i].type), base_slice_str(cases[i].field),
                               &bytes, &err);
        ck_assert_msg(rc != BASE_OK, "%s took \"%s\"", cases[i].type, cases[i].field);
        ck_assert_msg(err.text[0], "%s: \"%s\": no text", cases[i].type, cases[i].field);
    }
}
END_TEST

START_TEST(separators_and_styles_are_read_and_written)
{
    const struct cli_csv_forms forms = {.decimal_separator = ',',
                                        .thousands_separator = '.',
                                        .yes = "ja",
                                        .no = "nein",
                                        .null = "",
                                        .date_time_format = "%d.%m.%Y %H:%M"};
    struct cli_format format = cli_format_copy;
    struct base_err err = {0};
    format.decimal_separator = ',';
    format.thousands = ".";
    format.yes = "ja";
    format.no = "nein";
    format.date_time_format = "%d.%m.%Y %H:%M";
    static const struct {
        const char *type, *field;
    } cases[] = {{"double", "1.234.567,5"},
                 {"decimal", "-12.345,670"},
                 {"int", "1.000"},
                 {"int", "-999"},
                 {"boolean", "ja"},
                 {"boolean", "nein"},
                 {"timestamp", "29.02.2024 12:34"}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        const struct base_type *type = type_of(cases[i].type);
        base_buf_reset(&bytes);
        ck_ok(cli_csv_value(&forms, type, base_slice_str(cases[i].field), &bytes, &err), err);
        ck_assert_str_eq(show(&format, type, base_buf_view(&bytes), NULL), cases[i].field);
    }
}
END_TEST

START_TEST(widths_are_columns_of_the_screen)
{
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"", 0},
                 {"abc", 3},
                 {"h\xC3\xA9llo", 5},
                 {"\xE6\x97\xA5\xE6\x9C\xAC", 4},
                 {"e\xCC\x81", 1},
                 {"\xF0\x9F\x98\x80", 2},
                 {"\xff\xfe", 2}};
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        ck_assert_uint_eq(cli_format_width(base_slice_str(cases[i].text)), cases[i].width);
    size_t width;
    ck_assert_str_eq(
        show(&cli_format_shell, type_of("text"), BASE_SLICE_LIT("\xE6\x97\xA5\n"), &width),
        "\xE6\x97\xA5\\n");
    ck_assert_uint_eq(width, 4);
}
END_TEST

START_TEST(colours_take_no_room_and_bad_bytes_are_shown_as_a_blob)
{
    struct cql_value v = {.state = CQL_VALUE_SET, .bytes = BASE_SLICE_LIT("\0\0\0\x05")};
    struct cli_text text = {.out = &shown, .colours = true};
    ck_assert_int_eq(cli_format_value(&cli_format_shell, type_of("int"), &v, &text), BASE_OK);
    ck_assert_uint_eq(text.width, 1);
    ck_assert(base_slice_equal(base_buf_view(&shown), BASE_SLICE_LIT(CLI_GREEN "5" CLI_PLAIN)));
    ck_assert_str_eq(show(&cli_format_shell, type_of("int"), BASE_SLICE_LIT("\x01\x02"), NULL),
                     "0x0102");
    ck_assert_str_eq(
        show(&cli_format_shell, type_of("list<int>"), BASE_SLICE_LIT("\0\0\0\x09"), NULL),
        "0x00000009");
    /* the empty value */
    ck_assert_str_eq(show(&cli_format_shell, type_of("int"), BASE_SLICE_LIT(""), NULL), "");
    v.state = CQL_VALUE_NULL;
    text = (struct cli_text){.out = &shown};
    base_buf_reset(&shown);
    ck_assert_int_eq(cli_format_value(&cli_format_shell, type_of("int"), &v, &text), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&shown), BASE_SLICE_LIT("null")));
}
END_TEST

/* Records of CSV. */

static void read_all(const struct cli_csv_dialect *d, const char *text, const char *want)
{
    struct cli_csv_record record;
    struct base_err err = {0};
    bool more = true;
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text) + (*text == 0), "r");
    base_buf_reset(&shown);
    cli_csv_record_init(&record);
    while (*text) {
        ck_ok(cli_csv_read(d, file, &record, &more, &err), err);
        if (!more)
            break;
        for (size_t i = 0; i < record.count; i++)
            ck_assert_int_eq(base_buf_printf(&shown, "%s<%.*s>", i ? " " : "",
                                             BASE_SLICE_ARG(cli_csv_field(&record, i))),
                             BASE_OK);
        ck_assert_int_eq(base_buf_put_u8(&shown, '|'), BASE_OK);
    }
    ck_assert_int_eq(base_buf_put_u8(&shown, 0), BASE_OK);
    ck_assert_str_eq((const char *)shown.data, want);
    cli_csv_record_fini(&record);
    fclose(file);
}

START_TEST(records_are_read_as_they_are_written_anywhere)
{
    static const struct cli_csv_dialect escapes = {',', '"', '\\'}, doubles = {'\t', '\'', '\''};
    read_all(&escapes, "a,b\nc,d", "<a> <b>|<c> <d>|");
    read_all(&escapes, "a,\r\n,b\r\n", "<a> <>|<> <b>|");
    read_all(&escapes, "\n\na\n\n", "<a>|");
    read_all(&escapes, "\"a,b\",\"c\nd\"\n", "<a,b> <c\nd>|");
    read_all(&escapes, "\"a\\\"b\",\"c\"\"d\",e\\,f\n", "<a\"b> <c\"d> <e,f>|");
    read_all(&escapes, "it's \\\"q\\\"\n", "<it's \"q\">|");
    read_all(&escapes, "\"\"\n", "<>|");
    read_all(&escapes, "\\.\n", "<.>|");
    read_all(&doubles, "a\t'b''c\t'\td\\e\n", "<a> <b'c\t> <d\\e>|");
}
END_TEST

START_TEST(what_is_written_is_read)
{
    static const struct cli_csv_dialect dialects[] = {
        {',', '"', '\\'}, {';', '"', '"'}, {'\t', '\'', '\\'}};
    static const char *const texts[] = {
        "plain",    "",   "a,b;c\td", "quote\" and ' here", "back\\slash", "line\nline\r\nline",
        " blanks ", "\\", "\""};
    for (size_t d = 0; d < BASE_COUNT(dialects); d++) {
        struct cli_csv_record record;
        struct base_err err = {0};
        struct base_buf line;
        bool more;
        base_buf_init(&line, 1 << 20);
        for (size_t i = 0; i < BASE_COUNT(texts); i++)
            ck_assert_int_eq(cli_csv_put(&dialects[d], base_slice_str(texts[i]), i == 0, &line),
                             BASE_OK);
        ck_assert_int_eq(base_buf_put_u8(&line, '\n'), BASE_OK);
        FILE *file = fmemopen(line.data, line.len, "r");
        cli_csv_record_init(&record);
        ck_ok(cli_csv_read(&dialects[d], file, &record, &more, &err), err);
        ck_assert(more);
        ck_assert_uint_eq(record.count, BASE_COUNT(texts));
        for (size_t i = 0; i < BASE_COUNT(texts); i++)
            ck_assert_msg(base_slice_equal(cli_csv_field(&record, i), base_slice_str(texts[i])),
                          "dialect %zu: \"%s\" is \"%.*s\"", d, texts[i],
                          BASE_SLICE_ARG(cli_csv_field(&record, i)));
        ck_ok(cli_csv_read(&dialects[d], file, &record, &more, &err), err);
        ck_assert(!more);
        cli_csv_record_fini(&record);
        base_buf_fini(&line);
        fclose(file);
    }
}
END_TEST

START_TEST(a_quote_that_does_not_end_is_named_by_its_line)
{
    static const struct cli_csv_dialect d = {',', '"', '\\'};
    char text[] = "a\nb,\"c\nd\ne";
    struct cli_csv_record record;
    struct base_err err = {0};
    bool more;
    FILE *file = fmemopen(text, strlen(text), "r");
    cli_csv_record_init(&record);
    ck_ok(cli_csv_read(&d, file, &record, &more, &err), err);
    ck_fails(cli_csv_read(&d, file, &record, &more, &err), BASE_E_SYNTAX, err);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    cli_csv_record_fini(&record);
    fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tc = tcase_create("format");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, values_look_as_in_cqlsh_and_come_back_from_csv);
    tcase_add_test(tc, fields_that_are_no_value_are_refused);
    tcase_add_test(tc, separators_and_styles_are_read_and_written);
    tcase_add_test(tc, widths_are_columns_of_the_screen);
    tcase_add_test(tc, colours_take_no_room_and_bad_bytes_are_shown_as_a_blob);
    tcase_add_test(tc, records_are_read_as_they_are_written_anywhere);
    tcase_add_test(tc, what_is_written_is_read);
    tcase_add_test(tc, a_quote_that_does_not_end_is_named_by_its_line);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
