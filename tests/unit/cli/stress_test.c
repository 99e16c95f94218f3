/* ringlet stress without a node. Without these a percentile could be told too low, or what a read
 * is compared with could be another value than what was written, of a type's invalid form. */
#include "cli/histogram.h"
#include "cli/stress_private.h"
#include "tests/lib/ck.h"

uint64_t cli_stress_wall_us(void)
{
    return 1700000000000000u;
}

START_TEST(percentiles_are_never_told_too_low_and_at_most_a_128th_too_high)
{
    static struct cli_histogram h, other;
    static uint64_t values[10000];
    cli_histogram_reset(&h);
    cli_histogram_reset(&other);
    ck_assert_uint_eq(cli_histogram_percentile(&h, 99), 0);
    for (size_t i = 0; i < BASE_COUNT(values); i++) {
        values[i] = (uint64_t)(i + 1) << (i % 24);
        cli_histogram_record(i % 2 ? &h : &other, values[i]);
    }
    cli_histogram_add(&h, &other);
    ck_assert_uint_eq(h.count, BASE_COUNT(values));
    for (size_t i = 1; i < BASE_COUNT(values); i++) /* insertion is fast enough here */
        for (size_t k = i; k > 0 && values[k - 1] > values[k]; k--) {
            uint64_t swap = values[k];
            values[k] = values[k - 1];
            values[k - 1] = swap;
        }
    ck_assert_uint_eq(h.max, values[BASE_COUNT(values) - 1]);
    ck_assert_uint_eq(h.min, values[0]);
    static const double percents[] = {0, 1, 50, 95, 99, 99.9, 99.99, 100};
    for (size_t i = 0; i < BASE_COUNT(percents); i++) {
        size_t rank = (size_t)((double)BASE_COUNT(values) * percents[i] / 100.0 + 0.9999);
        uint64_t exact = values[rank ? rank - 1 : 0],
                 told = cli_histogram_percentile(&h, percents[i]);
        ck_assert_msg(told >= exact, "%g: %llu is below %llu", percents[i],
                      (unsigned long long)told, (unsigned long long)exact);
        ck_assert_msg(told <= exact + exact / 128 + 1, "%g: %llu is far above %llu", percents[i],
                      (unsigned long long)told, (unsigned long long)exact);
    }
    cli_histogram_record(&h, UINT64_MAX);
    ck_assert_uint_eq(cli_histogram_percentile(&h, 100), UINT64_MAX);
}
END_TEST

START_TEST(a_distribution_is_written_as_the_plotter_takes_it)
{
    static struct cli_histogram h;
    char text[4096] = "";
    cli_histogram_reset(&h);
    for (uint64_t i = 1; i <= 4; i++)
        cli_histogram_record(&h, i * 1000000);
    FILE *file = fmemopen(text, sizeof text, "w");
    ck_assert(cli_histogram_write(&h, file));
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "Percentile TotalCount 1/(1-Percentile)"));
    ck_assert_ptr_nonnull(strstr(text, "0.250000000000          1           1.33\n"));
    ck_assert_ptr_nonnull(strstr(text, "    4.000000 1.000000000000          4\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "#[Mean    =     2.500000, Max =     4.000000, Total count = 4]"));
}
END_TEST

START_TEST(values_of_every_type_are_valid_and_come_again)
{
    static const char *const types[] = {
        "ascii",
        "bigint",
        "blob",
        "boolean",
        "counter",
        "decimal",
        "double",
        "float",
        "int",
        "timestamp",
        "uuid",
        "text",
        "varint",
        "timeuuid",
        "inet",
        "date",
        "time",
        "smallint",
        "tinyint",
        "duration",
        "list<int>",
        "map<text, frozen<list<varint>>>",
        "set<text>",
        "tuple<int, text, blob>",
        "vector<float, 3>",
        "vector<text, 2>",
        "vector<frozen<list<bigint>>, 70>",
        "frozen<map<int, inet>>",
    };
    struct base_arena arena;
    struct base_buf one, two;
    struct base_err err = {0};
    base_arena_init(&arena);
    base_buf_init(&one, 1 << 20);
    base_buf_init(&two, 1 << 20);
    for (size_t i = 0; i < BASE_COUNT(types); i++) {
        const struct base_type *type;
        ck_ok(base_type_parse(&arena, base_slice_str(types[i]), NULL, &type, &err), err);
        for (uint64_t seed = 0; seed < 1000; seed++) {
            base_buf_reset(&one);
            base_buf_reset(&two);
            ck_ok(cli_stress_value(type, cli_stress_mix(seed), 34, &one), err);
            ck_ok(cli_stress_value(type, cli_stress_mix(seed), 34, &two), err);
            ck_ok(base_value_validate(type, base_buf_view(&one), &err), err);
            ck_assert_msg(base_slice_equal(base_buf_view(&one), base_buf_view(&two)), "%s",
                          types[i]);
        }
    }
    base_buf_fini(&one);
    base_buf_fini(&two);
    base_arena_fini(&arena);
}
END_TEST

START_TEST(keys_of_partitions_differ)
{
    struct cli_stress_options o = {.key_size = 10, .value_size = 34};
    struct cli_stress_column key = {
        .type = base_type_scalar(BASE_TYPE_BLOB), .role = CLI_STRESS_PARTITION_KEY, .salt = 77};
    struct cli_stress_column c0 = {.type = key.type, .role = CLI_STRESS_REGULAR, .salt = 78};
    struct base_buf out;
    uint64_t seen[2000];
    base_buf_init(&out, 1 << 20);
    for (uint64_t i = 0; i < BASE_COUNT(seen); i++) {
        base_buf_reset(&out);
        ck_assert_int_eq(cli_stress_put_bind(&o, &key, i, 0, &out), BASE_OK);
        ck_assert_uint_eq(out.len, 10);
        seen[i] = base_get_le64(out.data);
        for (uint64_t k = 0; k < i; k++)
            ck_assert(seen[k] != seen[i]);
    }
    base_buf_reset(&out);
    ck_assert_int_eq(cli_stress_put_bind(&o, &c0, 1, 0, &out), BASE_OK);
    ck_assert_uint_eq(out.len, 34);
    base_buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stress");
    TCase *tc = tcase_create("stress");
    tcase_add_test(tc, percentiles_are_never_told_too_low_and_at_most_a_128th_too_high);
    tcase_add_test(tc, a_distribution_is_written_as_the_plotter_takes_it);
    tcase_add_test(tc, values_of_every_type_are_valid_and_come_again);
    tcase_add_test(tc, keys_of_partitions_differ);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
