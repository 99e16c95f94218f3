/* Mutations: their bytes and what is refused. Without these a torn log record or a hostile peer
 * could put a mutation into the store that no reader can merge. */
#include "base/key.h"
#include "base/mutation.h"
#include "tests/lib/ck.h"
#include "tests/unit/base/row_lib.h"

static const struct base_uuid table_id = {{1, 2, 3}};
#define PKEY BASE_SLICE_LIT("tokentokpk\0\1")
#define CKEY(text) BASE_SLICE_LIT(text "\x20")

static void put_example(struct base_buf *out)
{
    struct base_buf rows[2], static_row;
    base_buf_init(&rows[0], 1000);
    base_buf_init(&rows[1], 1000);
    base_buf_init(&static_row, 1000);
    row_parse("live@5 1=a@5 2x@6/9", &rows[0]);
    row_parse("del@7/8", &rows[1]);
    row_parse("9=s@4", &static_row);
    const struct base_range_deletion ranges[] = {
        {BASE_SLICE_LIT("\x10"), BASE_SLICE_LIT("\x30g\x40"), {3, 2}},
        {BASE_SLICE_LIT("\x30"
                        "c\x10"),
         BASE_SLICE_LIT("\x40"),
         {-9, 4}},
    };
    const struct base_mutation_row_part parts[] = {{CKEY("\x30"
                                                         "a"),
                                                    base_buf_view(&rows[0])},
                                                   {CKEY("\x30"
                                                         "b"),
                                                    base_buf_view(&rows[1])}};
    ck_assert_int_eq(base_mutation_put(out, table_id, PKEY, (struct base_deletion){-2, 1},
                                       base_buf_view(&static_row), ranges, 2, parts, 2),
                     BASE_OK);
    base_buf_fini(&rows[0]);
    base_buf_fini(&rows[1]);
    base_buf_fini(&static_row);
}

START_TEST(round_trip)
{
    struct base_buf out, text;
    base_buf_init(&out, 10000);
    base_buf_init(&text, 10000);
    put_example(&out);
    size_t first = out.len;
    put_example(&out); /* mutations follow each other */
    struct base_reader in = base_reader(base_buf_view(&out));
    for (int i = 0; i < 2; i++) {
        struct base_mutation m;
        ck_assert(base_mutation_decode(&in, &m));
        ck_assert_uint_eq(base_reader_left(&in), i ? 0 : first);
        ck_assert(base_mutation_check(&m));
        ck_assert(base_uuid_equal(m.table_id, table_id));
        ck_assert(base_slice_equal(m.pkey, PKEY));
        ck_assert(base_deletion_equal(m.deletion, (struct base_deletion){-2, 1}));
        ck_assert_uint_eq(m.range_count, 2);
        ck_assert_uint_eq(m.row_count, 2);
        struct base_range_deletion range;
        ck_assert(base_mutation_range(&m.ranges, &range) && base_mutation_range(&m.ranges, &range));
        ck_assert(base_slice_equal(range.hi, BASE_SLICE_LIT("\x40")));
        ck_assert(base_deletion_equal(range.deletion, (struct base_deletion){-9, 4}));
        ck_assert(!base_mutation_range(&m.ranges, &range));
        struct base_slice ckey, row;
        ck_assert(base_mutation_row(&m.rows, &ckey, &row));
        ck_assert(base_slice_equal(ckey, CKEY("\x30"
                                              "a")));
        base_buf_reset(&text);
        row_print(row, &text);
        ck_assert_str_eq((char *)text.data, "live@5 1=a@5 2x@6/9");
        ck_assert(base_mutation_row(&m.rows, &ckey, &row));
        ck_assert(!base_mutation_row(&m.rows, &ckey, &row));
    }
    base_buf_fini(&out);
    base_buf_fini(&text);
}
END_TEST

START_TEST(one_row_is_the_same_bytes)
{
    struct base_buf a, b, row;
    base_buf_init(&a, 1000);
    base_buf_init(&b, 1000);
    base_buf_init(&row, 1000);
    row_parse("live@5 1=a@5", &row);
    struct base_mutation_row_part part = {CKEY("\x30"
                                               "a"),
                                          base_buf_view(&row)};
    ck_assert_int_eq(base_mutation_put_row(&a, table_id, PKEY, part.ckey, part.row), BASE_OK);
    ck_assert_int_eq(base_mutation_put(&b, table_id, PKEY, BASE_DELETION_NONE,
                                       (struct base_slice){0}, NULL, 0, &part, 1),
                     BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&a), base_buf_view(&b)));
    base_buf_fini(&a);
    base_buf_fini(&b);
    base_buf_fini(&row);
}
END_TEST

static bool accepted(struct base_slice pkey, const char *static_row,
                     const struct base_range_deletion *range,
                     const struct base_mutation_row_part *rows, size_t row_count)
{
    struct base_buf out, static_buf;
    base_buf_init(&out, 10000);
    base_buf_init(&static_buf, 10000);
    if (static_row)
        row_parse(static_row, &static_buf);
    ck_assert_int_eq(base_mutation_put(&out, table_id, pkey, BASE_DELETION_NONE,
                                       base_buf_view(&static_buf), range, range ? 1 : 0, rows,
                                       row_count),
                     BASE_OK);
    struct base_reader in = base_reader(base_buf_view(&out));
    struct base_mutation m;
    bool ok = base_mutation_decode(&in, &m) && base_mutation_check(&m);
    base_buf_fini(&out);
    base_buf_fini(&static_buf);
    return ok;
}

START_TEST(check_refuses)
{
    struct base_buf row;
    base_buf_init(&row, 1000);
    row_parse("live@5 1=a@5", &row);
    struct base_slice good = base_buf_view(&row), cut = base_slice(row.data, row.len - 1);
    struct base_mutation_row_part part = {CKEY("\x30"
                                               "a"),
                                          good};
    ck_assert(accepted(PKEY, "1=a@5", NULL, &part, 1));
    ck_assert(!accepted(BASE_SLICE_LIT("tokentokpk"), NULL, NULL, &part, 1)); /* no terminator */
    /* a static row has cells only */
    ck_assert(!accepted(PKEY, "live@5 1=a@5", NULL, &part, 1));
    ck_assert(!accepted(PKEY, "del@5/1", NULL, &part, 1));
    part.row = cut;
    ck_assert(!accepted(PKEY, NULL, NULL, &part, 1));
    /* a bound is no row */
    part = (struct base_mutation_row_part){BASE_SLICE_LIT("\x30"
                                                          "a\x10"),
                                           good};
    ck_assert(!accepted(PKEY, NULL, NULL, &part, 1));
    struct base_range_deletion range = {BASE_SLICE_LIT("\x30"
                                                       "a\x10"),
                                        BASE_SLICE_LIT("\x30"
                                                       "a\x40"),
                                        {3, 2}};
    ck_assert(accepted(PKEY, NULL, &range, NULL, 0));
    range.lo = range.hi;
    ck_assert(!accepted(PKEY, NULL, &range, NULL, 0));
    range.lo = CKEY("\x30"
                    "a"); /* a row is no bound */
    ck_assert(!accepted(PKEY, NULL, &range, NULL, 0));
    base_buf_fini(&row);
}
END_TEST

/* Every cut is refused; flipped bytes are refused or decode within their bytes (ASan looks). */
START_TEST(damage_is_survived)
{
    struct rng rng = rng_seeded(test_seed());
    struct base_buf out;
    base_buf_init(&out, 10000);
    put_example(&out);
    struct base_mutation m;
    for (size_t cut = 0; cut < out.len; cut++) {
        struct base_reader in = base_reader(base_slice(out.data, cut));
        ck_assert(!base_mutation_decode(&in, &m));
        ck_assert_uint_eq(base_reader_left(&in), 0);
    }
    for (unsigned round = 0; round < test_rounds(30000); round++) {
        uint8_t *bytes = malloc(out.len);
        memcpy(bytes, out.data, out.len);
        for (uint32_t flips = 1 + below(&rng, 3); flips > 0; flips--)
            bytes[below(&rng, (uint32_t)out.len)] = (uint8_t)rng_u64(&rng);
        struct base_reader in = base_reader(base_slice(bytes, out.len));
        if (base_mutation_decode(&in, &m))
            (void)!base_mutation_check(&m);
        free(bytes);
    }
    base_buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/mutation");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, one_row_is_the_same_bytes);
    tcase_add_test(tc, check_refuses);
    tcase_add_test(tc, damage_is_survived);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
