/* The consumer of a read: filters, limits, partitions with only a static row; and cell paths.
 * Without these SELECT would give rows that its conditions exclude, or lose partitions that have no
 * rows. */
#include <stdio.h>

#include "base/key.h"
#include "base/path.h"
#include "base/read.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"

#define S(text) base_slice_str(text)

static struct base_arena arena;
static struct base_err err;
static const struct base_table *table;
static bool without_liveness;                            /* rows with cells as UPDATE makes them */
enum { PK = 1, CK, ST, V, TAGS, SCORES, ITEMS, FROZEN }; /* column ids, in the order below */

static struct base_slice put(struct base_buf *buf)
{
    struct base_slice copy;
    ck_ok(base_arena_copy(&arena, base_buf_view(buf), &copy), err);
    base_buf_fini(buf);
    return copy;
}

static struct base_slice int_value(int32_t v)
{
    uint8_t *bytes = base_arena_alloc(&arena, 4);
    base_put_be32(bytes, (uint32_t)v);
    return base_slice(bytes, 4);
}

/* Frozen collections of ints: count, then length and bytes each. */
static struct base_slice ints_value(const int32_t *values, uint32_t n)
{
    uint8_t *bytes = base_arena_alloc(&arena, 4 + 8 * n), *p = bytes;
    base_put_be32(p, n);
    for (uint32_t i = 0; i < n; i++) {
        base_put_be32(p + 4 + 8 * i, 4);
        base_put_be32(p + 8 + 8 * i, (uint32_t)values[i]);
    }
    return base_slice(bytes, 4 + 8 * n);
}

static struct base_slice pkey_of(int32_t pk)
{
    struct base_buf buf;
    base_buf_init(&buf, 1000);
    ck_assert_int_eq(base_pkey_put(int_value(pk), &buf), BASE_OK);
    return put(&buf);
}

static struct base_slice ckey_of(int32_t ck)
{
    struct base_buf buf;
    base_buf_init(&buf, 1000);
    bool exact = true;
    ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_INT), true, int_value(ck), &buf, &exact, &err),
          err);
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &buf), BASE_OK);
    return put(&buf);
}

static struct base_slice path_of(uint32_t column, struct base_slice element)
{
    struct base_buf buf;
    base_buf_init(&buf, 1000);
    ck_ok(base_path_put(base_table_column_by_id(table, column)->type, element, &buf, NULL, &err),
          err);
    return put(&buf);
}

static void put_element(struct base_row_builder *b, uint32_t column, struct base_slice element,
                        struct base_slice value)
{
    struct base_cell cell = {
        .column = column, .ts = 1, .path = path_of(column, element), .value = value};
    ck_assert_int_eq(base_row_put_cell(b, &cell), BASE_OK);
}

/* v; tags {"", "t<v>"}; scores {"k<v>": v}; items [v, 7]; frozen {v, 100} */
static struct base_slice row_of(int32_t v)
{
    struct base_buf buf;
    struct base_row_builder b;
    char name[16];
    base_buf_init(&buf, 1000);
    ck_assert_int_eq(base_row_begin(&b, &buf, 1), BASE_OK);
    if (!without_liveness || v < 0)
        ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    if (v >= 0) {
        static const uint8_t id[2][16] = {{0, 0, 0, 1, 0, 0, 0x10, 0, 0x80},
                                          {0, 0, 0, 2, 0, 0, 0x10, 0, 0x80}};
        ck_assert_int_eq(base_row_put_value(&b, V, int_value(v)), BASE_OK);
        put_element(&b, TAGS, S(""), S(""));
        snprintf(name, sizeof name, "t%d", v);
        put_element(&b, TAGS, S(name), S(""));
        name[0] = 'k';
        put_element(&b, SCORES, S(name), int_value(v));
        put_element(&b, ITEMS, base_slice(id[0], 16), int_value(v));
        put_element(&b, ITEMS, base_slice(id[1], 16), int_value(7));
        ck_assert_int_eq(base_row_put_value(&b, FROZEN, ints_value((int32_t[]){v, 100}, 2)),
                         BASE_OK);
    }
    base_row_end(&b);
    ck_assert(base_row_check(base_buf_view(&buf)));
    return put(&buf);
}

static struct base_slice static_of(const char *text)
{
    struct base_buf buf;
    struct base_row_builder b;
    base_buf_init(&buf, 1000);
    ck_assert_int_eq(base_row_begin(&b, &buf, 1), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, ST, S(text)), BASE_OK);
    base_row_end(&b);
    return put(&buf);
}

/* Partitions 1: static "one", rows ck 3 (v 30), 2 (v 20), 1 (v null). 2: static "two", no rows.
 * 3: rows ck 9 (v 90), 8 (v 20). In this order (their tokens' order does not matter here). */
struct data_source {
    struct base_source source;
    int partition, row;
    bool closed;
    /* A page: of the events (each partition's head, each row) those from `from` up to `to`. */
    int event, from, to;
};
#define EVENTS 8
static const struct {
    int32_t pk;
    const char *text;
    struct {
        int32_t ck, v;
    } rows[3];
    int row_count;
} data[] = {
    {1, "one", {{3, 30}, {2, 20}, {1, -1}}, 3},
    {2, "two", {{0, 0}}, 0},
    {3, NULL, {{9, 90}, {8, 20}}, 2},
};

static int data_partition(struct base_source *src, struct base_partition *out, struct base_err *e)
{
    struct data_source *s = BASE_CONTAINER(src, struct data_source, source);
    (void)e;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    /* what is skipped */
    s->event += s->partition < 0 || s->partition >= (int)BASE_COUNT(data)
                    ? 0
                    : data[s->partition].row_count - s->row;
    for (;;) {
        s->row = 0;
        if (++s->partition >= (int)BASE_COUNT(data) || s->event >= s->to) {
            s->partition = BASE_COUNT(data);
            return BASE_OK;
        }
        int head = s->event++, rows = data[s->partition].row_count;
        if (head >= s->from)
            break;
        if (s->from < head + 1 + rows) { /* the page before had some of it */
            s->row = s->from - head - 1;
            s->event = s->from;
            break;
        }
        s->event += rows;
    }
    if (s->partition < (int)BASE_COUNT(data)) {
        out->pkey = pkey_of(data[s->partition].pk);
        if (data[s->partition].text)
            out->static_row = static_of(data[s->partition].text);
    }
    return BASE_OK;
}

static int data_next(struct base_source *src, struct base_item *out, struct base_err *e)
{
    struct data_source *s = BASE_CONTAINER(src, struct data_source, source);
    (void)e;
    *out = (struct base_item){.kind = BASE_ITEM_END};
    if (s->row < data[s->partition].row_count && s->event < s->to) {
        s->event++;
        out->kind = BASE_ITEM_ROW;
        out->ckey = ckey_of(data[s->partition].rows[s->row].ck);
        out->row = row_of(data[s->partition].rows[s->row].v);
        s->row++;
    }
    return BASE_OK;
}

static void data_close(struct base_source *src)
{
    BASE_CONTAINER(src, struct data_source, source)->closed = true;
}
static const struct base_source_ops data_ops = {data_partition, data_next, data_close};

/* The next page's beginning, by the set of cuts: bit i is a cut before event i + 1. */
static int page_end(unsigned cuts, int from)
{
    int to = from + 1;
    while (to < EVENTS && !(cuts >> (to - 1) & 1))
        to++;
    return to;
}

/* The rows that come, as "pk:ck " or "pk:static ", in pages cut as told. */
static const char *read_pages(const struct base_read *cmd, bool *stopped, unsigned cuts)
{
    int to = page_end(cuts, 0);
    struct data_source source = {.source = {&data_ops}, .partition = -1, .to = to};
    struct base_rows rows;
    struct base_live_row row;
    struct base_buf out, pk, ck;
    base_buf_init(&out, 10000);
    base_buf_init(&pk, 1000);
    base_buf_init(&ck, 1000);
    base_rows_open(&rows, cmd, table, &source.source);
    base_rows_page(&rows, &source.source, to < EVENTS);
    for (;;) {
        ck_ok(base_rows_next(&rows, &row, &err), err);
        if (!row.pkey.len && rows.stopped)
            break;
        if (!row.pkey.len) {
            if (to == EVENTS)
                break;
            int from = to;
            to = page_end(cuts, from);
            source = (struct data_source){
                .source = {&data_ops}, .partition = -1, .from = from, .to = to};
            base_rows_page(&rows, &source.source, to < EVENTS);
            continue;
        }
        base_buf_reset(&pk);
        base_buf_reset(&ck);
        ck_ok(base_pkey_decode(row.pkey, &pk, &err), err);
        ck_assert_int_eq(base_buf_printf(&out, "%u:", base_get_be32(pk.data)), BASE_OK);
        if (row.ckey.len) {
            struct base_reader in = base_reader(row.ckey);
            bool empty;
            uint8_t position;
            ck_ok(base_ckey_get(base_type_scalar(BASE_TYPE_INT), true, &in, &ck, &empty, &position,
                                &err),
                  err);
            ck_assert_int_eq(base_buf_printf(&out, "%u ", base_get_be32(ck.data)), BASE_OK);
        } else {
            ck_assert_uint_gt(row.static_row.len, 0);
            ck_assert_int_eq(base_buf_printf(&out, "static "), BASE_OK);
        }
    }
    if (stopped)
        *stopped = rows.stopped;
    base_rows_close(&rows);
    ck_assert(source.closed);
    ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
    base_buf_fini(&pk);
    base_buf_fini(&ck);
    return (const char *)put(&out).data;
}

/* The rows of base_filtered, in the same words; partitions without rows are left out. */
static const char *filtered_rows(const struct base_read *cmd, uint64_t budget, bool *stopped)
{
    struct data_source source = {.source = {&data_ops}, .partition = -1, .to = EVENTS};
    struct base_filtered f;
    struct base_partition p;
    struct base_item item;
    struct base_buf out, words;
    base_buf_init(&out, 10000);
    base_buf_init(&words, 1000);
    ck_ok(base_filtered_init(&f, cmd, table, &source.source, budget, &err), err);
    for (;;) {
        ck_ok(f.source.ops->partition(&f.source, &p, &err), err);
        if (!p.pkey.len)
            break;
        for (;;) {
            ck_ok(f.source.ops->next(&f.source, &item, &err), err);
            if (item.kind == BASE_ITEM_END)
                break;
            struct base_reader in = base_reader(item.ckey);
            bool empty;
            uint8_t position;
            base_buf_reset(&words);
            ck_ok(base_pkey_decode(p.pkey, &words, &err), err);
            ck_ok(base_ckey_get(base_type_scalar(BASE_TYPE_INT), true, &in, &words, &empty,
                                &position, &err),
                  err);
            ck_assert_int_eq(base_buf_printf(&out, "%u:%u ", base_get_be32(words.data),
                                             base_get_be32(words.data + 4)),
                             BASE_OK);
        }
    }
    *stopped = f.stopped;
    ck_assert(!f.stopped || f.pkey.len > 0);
    base_filtered_fini(&f);
    ck_assert(!source.closed);
    ck_assert_int_eq(base_buf_put_u8(&out, 0), BASE_OK);
    base_buf_fini(&words);
    return (const char *)put(&out).data;
}

/* As a stream the same rows come; with little patience a beginning of them. */
static void check_filtered(const struct base_read *cmd, const char *whole)
{
    bool stopped, less = false;
    if (!strstr(whole, "static"))
        ck_assert_str_eq(filtered_rows(cmd, 1000, &stopped), whole);
    for (uint64_t budget = 1; budget < 4; budget++) {
        const char *some = filtered_rows(cmd, budget, &stopped),
                   *all = filtered_rows(cmd, 1000, &less);
        ck_assert(!less && strncmp(all, some, strlen(some)) == 0 &&
                  (stopped || strcmp(all, some) == 0));
    }
}

/* However it is cut into pages, the same comes. */
static const char *read_rows(const struct base_read *cmd, bool *stopped)
{
    const char *whole = read_pages(cmd, stopped, 0);
    for (unsigned cuts = 1; cuts < 1u << (EVENTS - 1); cuts++)
        ck_assert_msg(strcmp(read_pages(cmd, NULL, cuts), whole) == 0, "cuts %x: %s", cuts,
                      read_pages(cmd, NULL, cuts));
    if (cmd->filter_count && cmd->row_limit == UINT64_MAX && cmd->partition_row_limit == UINT64_MAX)
        check_filtered(cmd, whole);
    return whole;
}

static void setup(void)
{
    base_arena_init(&arena);
    table = make_table(
        &arena, "ks", "t",
        "p pk int; d ck int; s st text; r v int; r tags set<text>; r scores map<text, int>; "
        "r items list<int>; r frozen frozen<set<int>>");
}
static void teardown(void)
{
    base_arena_fini(&arena);
}

START_TEST(limits)
{
    struct base_read cmd = BASE_READ_INIT;
    bool stopped;
    cmd.slices = base_slices_all;
    ck_assert_str_eq(read_rows(&cmd, &stopped), "1:3 1:2 1:1 2:static 3:9 3:8 ");
    ck_assert(!stopped);
    cmd.row_limit = 4;
    ck_assert_str_eq(read_rows(&cmd, &stopped), "1:3 1:2 1:1 2:static ");
    ck_assert(stopped);
    cmd.row_limit = 0;
    ck_assert_str_eq(read_rows(&cmd, &stopped), "");
    cmd.row_limit = UINT64_MAX;
    cmd.partition_row_limit = 1;
    ck_assert_str_eq(read_rows(&cmd, &stopped), "1:3 2:static 3:9 ");
    ck_assert(!stopped);
    cmd.size_bytes_max = 1; /* a page has at least one row */
    ck_assert_str_eq(read_rows(&cmd, &stopped), "1:3 ");
    ck_assert(stopped);
}
END_TEST

/* IN's operand. */
static struct base_slice in_values(const int32_t *values, size_t count)
{
    struct base_buf buf;
    base_buf_init(&buf, 1000);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(base_buf_put_bytes(&buf, int_value(values[i])), BASE_OK);
    return put(&buf);
}

START_TEST(static_rows_alone)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_range range = {ckey_of(2), ckey_of(2)};
    /* the source gives all its rows: slices are its matter */
    cmd.slices = (struct base_slices){&range, 1};
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:3 1:2 1:1 3:9 3:8 ");
    cmd.slices = base_slices_all;
    struct base_filter filter = {.column = V, .op = BASE_FILTER_EQ, .operand = int_value(20)};
    cmd.filters = &filter;
    cmd.filter_count = 1;
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:2 3:8 ");
    filter = (struct base_filter){.column = ST, .op = BASE_FILTER_EQ, .operand = S("two")};
    ck_assert_str_eq(read_rows(&cmd, NULL), "2:static ");
}
END_TEST

START_TEST(rows_of_dropped_columns_are_gone)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_dropped_column dropped[] = {{.id = ST},     {.id = V},     {.id = TAGS},
                                            {.id = SCORES}, {.id = ITEMS}, {.id = FROZEN}};
    struct base_table after = *table;
    cmd.slices = base_slices_all;
    after.dropped = dropped;
    after.dropped_count = 1;
    table = &after;
    /* no static row alone any more */
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:3 1:2 1:1 3:9 3:8 ");
    after.dropped_count = 6;
    /* INSERTed: they live without cells */
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:3 1:2 1:1 3:9 3:8 ");
    without_liveness = true;
    after.dropped_count = 5;
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:3 1:2 1:1 3:9 3:8 "); /* FROZEN is still there */
    after.dropped_count = 6;
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:1 ");
    without_liveness = false;
}
END_TEST

START_TEST(filters_hold)
{
    struct base_filter filters[2] = {0};
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    cmd.filters = filters;
    cmd.filter_count = 1;
    const struct {
        uint32_t column;
        enum base_filter_op op;
        struct base_slice operand;
        const char *expected;
    } cases[] = {
        {V, BASE_FILTER_EQ, int_value(30), "1:3 "},
        {V, BASE_FILTER_NE, int_value(20), "1:3 3:9 "}, /* null is not unequal */
        {V, BASE_FILTER_LT, int_value(30), "1:2 3:8 "},
        {V, BASE_FILTER_LE, int_value(30), "1:3 1:2 3:8 "},
        {V, BASE_FILTER_GT, int_value(30), "3:9 "},
        {V, BASE_FILTER_GE, int_value(-5), "1:3 1:2 3:9 3:8 "},
        {CK, BASE_FILTER_GE, int_value(3), "1:3 3:9 3:8 "},
        {PK, BASE_FILTER_EQ, int_value(3), "3:9 3:8 "},
        {PK, BASE_FILTER_LE, int_value(2), "1:3 1:2 1:1 2:static "},
        {ST, BASE_FILTER_GT, S("on"), "1:3 1:2 1:1 2:static "},
        {TAGS, BASE_FILTER_CONTAINS, S("t20"), "1:2 3:8 "},
        {TAGS, BASE_FILTER_CONTAINS, S(""), "1:3 1:2 3:9 3:8 "}, /* the empty element has a path */
        {SCORES, BASE_FILTER_CONTAINS, int_value(90), "3:9 "},
        {SCORES, BASE_FILTER_CONTAINS_KEY, S("k30"), "1:3 "},
        {ITEMS, BASE_FILTER_CONTAINS, int_value(7), "1:3 1:2 3:9 3:8 "},
        {FROZEN, BASE_FILTER_CONTAINS, int_value(30), "1:3 "},
        {FROZEN, BASE_FILTER_EQ, ints_value((int32_t[]){20, 100}, 2), "1:2 3:8 "},
        {V, BASE_FILTER_IN, in_values((int32_t[]){90, 20, 90}, 3), "1:2 3:9 3:8 "},
        {V, BASE_FILTER_IN, in_values(NULL, 0), ""},
        {CK, BASE_FILTER_IN, in_values((int32_t[]){8, 3}, 2), "1:3 3:8 "},
        {PK, BASE_FILTER_IN, in_values((int32_t[]){2, 3}, 2), "2:static 3:9 3:8 "},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        filters[0] = (struct base_filter){
            .column = cases[i].column, .op = cases[i].op, .operand = cases[i].operand};
        const char *got = read_rows(&cmd, NULL);
        ck_assert_msg(strcmp(got, cases[i].expected) == 0, "case %zu: %s, expected %s", i, got,
                      cases[i].expected);
    }
    cmd.filter_count = 2;
    filters[0] = (struct base_filter){.column = V, .op = BASE_FILTER_EQ, .operand = int_value(20)};
    filters[1] = (struct base_filter){.column = PK, .op = BASE_FILTER_EQ, .operand = int_value(1)};
    ck_assert_str_eq(read_rows(&cmd, NULL), "1:2 ");
    cmd.filter_count = 1;
    filters[0] = (struct base_filter){
        .column = SCORES, .op = BASE_FILTER_ENTRY, .operand = int_value(90), .element = S("k90")};
    ck_assert_str_eq(read_rows(&cmd, NULL), "3:9 ");
    filters[0].element = S("k30"); /* a key that is there, with another value */
    ck_assert_str_eq(read_rows(&cmd, NULL), "");
    filters[0].element = S("nix");
    ck_assert_str_eq(read_rows(&cmd, NULL), "");
}
END_TEST

START_TEST(impossible_filters_are_refused)
{
    const struct base_filter filters[] = {
        {.column = 99, .op = BASE_FILTER_EQ, .operand = int_value(1)},
        {.column = V, .op = BASE_FILTER_CONTAINS, .operand = int_value(1)},
        {.column = TAGS, .op = BASE_FILTER_EQ, .operand = S("")},
        {.column = TAGS, .op = BASE_FILTER_CONTAINS_KEY, .operand = S("t20")},
        {.column = TAGS, .op = BASE_FILTER_ENTRY, .operand = S("t20"), .element = S("t20")},
        {.column = TAGS, .op = BASE_FILTER_IN, .operand = S("")},
    };
    for (size_t i = 0; i < BASE_COUNT(filters); i++) {
        struct base_read cmd = BASE_READ_INIT;
        struct data_source source = {.source = {&data_ops}, .partition = -1};
        struct base_rows rows;
        struct base_live_row row;
        cmd.slices = base_slices_all;
        cmd.filters = &filters[i];
        cmd.filter_count = 1;
        base_rows_open(&rows, &cmd, table, &source.source);
        for (int again = 0; again < 2; again++)
            ck_fails(base_rows_next(&rows, &row, &err), BASE_E_INVALID, err);
        base_rows_close(&rows);
        ck_assert(source.closed);
    }
}
END_TEST

START_TEST(paths_come_back)
{
    const struct base_type *type;
    ck_ok(base_type_parse(&arena, S("set<decimal>"), NULL, &type, &err), err);
    static const uint8_t one[] = {0, 0, 0, 1, 10}, one_long[] = {0, 0, 0, 2, 100}; /* 1.0, 1.00 */
    struct base_buf a, b, scratch;
    base_buf_init(&a, 1000);
    base_buf_init(&b, 1000);
    base_buf_init(&scratch, 1000);
    bool exact = true;
    ck_ok(base_path_put(type, base_slice(one, 5), &a, &exact, &err), err);
    exact = true;
    ck_ok(base_path_put(type, base_slice(one_long, 5), &b, &exact, &err), err);
    ck_assert(base_slice_equal(base_buf_view(&a), base_buf_view(&b)));
    ck_assert(!exact);
    struct base_cell cell = {.path = base_buf_view(&b), .path_original = base_slice(one_long, 5)};
    struct base_slice element;
    ck_ok(base_path_get(type, &cell, &scratch, &element, &err), err);
    ck_assert(base_slice_equal(element, base_slice(one_long, 5)));
    cell.path_original = (struct base_slice){0};
    ck_ok(base_path_get(type, &cell, &scratch, &element, &err), err);
    ck_assert_int_eq(base_value_compare(type->params[0], element, base_slice(one, 5)), 0);
    cell.path = base_slice(a.data, a.len - 1);
    ck_fails(base_path_get(type, &cell, &scratch, &element, &err), BASE_E_CORRUPT, err);
    uint16_t field;
    base_buf_reset(&a);
    ck_assert_int_eq(base_path_put_field(258, &a), BASE_OK);
    ck_assert(base_path_get_field(base_buf_view(&a), &field) && field == 258);
    ck_assert(!base_path_get_field(base_slice(a.data, 1), &field));
    base_buf_fini(&a);
    base_buf_fini(&b);
    base_buf_fini(&scratch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/read");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, static_rows_alone);
    tcase_add_test(tc, rows_of_dropped_columns_are_gone);
    tcase_add_test(tc, filters_hold);
    tcase_add_test(tc, impossible_filters_are_refused);
    tcase_add_test(tc, paths_come_back);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
