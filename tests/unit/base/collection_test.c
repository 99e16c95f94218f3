/* Collections to cells and back. Breaks without it: an assigned collection comes back with other
 * elements or in another order, or its cells do not merge by element. */
#include <check.h>

#include "base/collection.h"
#include "tests/lib/scale.h"
#include "value_random.h"

static uint64_t iterations = 300;

static const struct base_type *multicell_type(struct rng *r, struct base_arena *arena)
{
    for (;;) {
        const struct base_type *type = random_type(r, arena, 3, false);
        if (type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
            type->kind == BASE_TYPE_MAP || type->kind == BASE_TYPE_UDT) {
            ((struct base_type *)(uintptr_t)type)->frozen = false; /* ours, just made */
            return type;
        }
    }
}

static struct base_uuid item_id(uint32_t i)
{
    struct base_uuid id = {{0}};
    base_put_be32(id.b, i); /* the low time field: the lowest bits of the time */
    id.b[6] = 0x10;
    id.b[8] = 0x80;
    return id;
}

/* Explode `value` into a row's cells, read the row back, implode. */
static void round_trip(const struct base_type *type, struct base_slice value, struct base_buf *out,
                       bool *is_null)
{
    struct base_explode it;
    struct base_err err;
    struct base_buf encoded;
    struct base_row_builder b;
    base_buf_init(&encoded, 1 << 20);
    ck_assert_int_eq(base_row_begin(&b, &encoded, 100), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_int_eq(base_explode_begin(&it, type, value, &err), BASE_OK);
    for (uint32_t i = 0;; i++) {
        struct base_cell cell = {.column = 7, .ts = 100};
        struct base_uuid id = item_id(i);
        bool end;
        int rc =
            base_explode_next(&it, type->kind == BASE_TYPE_LIST ? &id : NULL, &cell, &end, &err);
        ck_assert_msg(rc == BASE_OK, "%s", err.text);
        if (end)
            break;
        ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    }
    base_row_end(&b);
    base_explode_fini(&it);

    struct base_row row;
    struct base_implode im;
    struct base_cell cell;
    int more;
    ck_assert(base_row_check(base_buf_view(&encoded))); /* the cells are in their order */
    ck_assert(base_row_decode(base_buf_view(&encoded), &row));
    struct base_cells cells = base_cells_begin(&row);
    ck_assert_int_eq(base_implode_begin(&im, type, out, &err), BASE_OK);
    while ((more = base_cells_next(&cells, &cell)) == 1)
        ck_assert_int_eq(base_implode_add(&im, &cell, &err), BASE_OK);
    ck_assert_int_eq(more, 0);
    ck_assert_int_eq(base_implode_end(&im, is_null, &err), BASE_OK);
    base_buf_fini(&encoded);
}

static bool has_elements(const struct base_type *type, struct base_slice value)
{
    struct base_elements it;
    ck_assert(base_elements_begin(&it, type, value));
    while (it.left) {
        struct base_slice element;
        bool is_null;
        ck_assert(base_elements_next(&it, &element, &is_null));
        if (!is_null)
            return true;
    }
    return false;
}

static bool has_fields(const struct base_type *type)
{
    bool found = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    for (uint32_t i = 0; i < type->param_count; i++)
        found = found || has_fields(type->params[i]);
    return found;
}

START_TEST(random_collections)
{
    struct rng r = {20};
    struct base_arena arena;
    struct base_buf value, sorted, out;
    base_arena_init(&arena);
    base_buf_init(&value, 1 << 20);
    base_buf_init(&sorted, 1 << 20);
    base_buf_init(&out, 1 << 20);
    for (uint64_t i = 0; i < iterations * 5; i++) {
        const struct base_type *type = multicell_type(&r, &arena);
        struct base_err err;
        bool is_null;
        value.len = sorted.len = out.len = 0;
        random_value(&r, type, false, &value);
        ck_assert_int_eq(base_value_normalize(type, base_buf_view(&value), &sorted, &err), BASE_OK);
        round_trip(type, base_buf_view(&sorted), &out, &is_null);
        ck_assert_int_eq(is_null, !has_elements(type, base_buf_view(&sorted)));
        if (is_null)
            ck_assert_uint_eq(out.len, 0);
        else if (has_fields(type)) /* fields missing at the end may come back as nulls */
            ck_assert_int_eq(base_value_compare(type, base_buf_view(&out), base_buf_view(&sorted)),
                             0);
        else
            ck_assert(base_slice_equal(base_buf_view(&out), base_buf_view(&sorted)));
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
    base_buf_fini(&value);
    base_buf_fini(&sorted);
    base_buf_fini(&out);
}
END_TEST

START_TEST(unsorted_is_refused_and_normalized)
{
    const struct base_type *params[] = {base_type_scalar(BASE_TYPE_TINYINT)};
    const struct base_type set = {.kind = BASE_TYPE_SET, .param_count = 1, .params = params};
    struct base_slice value =
        base_slice("\0\0\0\x03\0\0\0\x01\x02\0\0\0\x01\xff\0\0\0\x01\x02", 19);
    struct base_explode it;
    struct base_cell cell;
    struct base_err err;
    struct base_buf out;
    bool end;
    ck_assert_int_eq(base_explode_begin(&it, &set, value, &err), BASE_OK);
    ck_assert_int_eq(base_explode_next(&it, NULL, &cell, &end, &err), BASE_OK);
    ck_assert_int_eq(base_explode_next(&it, NULL, &cell, &end, &err), BASE_E_INVALID);
    base_explode_fini(&it);
    base_buf_init(&out, 100);
    ck_assert_int_eq(base_value_normalize(&set, value, &out, &err), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out),
                               base_slice("\0\0\0\x02\0\0\0\x01\xff\0\0\0\x01\x02", 14)));
    base_buf_fini(&out);
}
END_TEST

START_TEST(dead_cells_are_no_elements)
{
    const struct base_type *params[] = {base_type_scalar(BASE_TYPE_INT)};
    const struct base_type list = {.kind = BASE_TYPE_LIST, .param_count = 1, .params = params};
    struct base_implode im;
    struct base_buf out;
    struct base_err err;
    bool is_null;
    base_buf_init(&out, 100);
    ck_assert_int_eq(base_buf_put_u8(&out, 'x'), BASE_OK);
    ck_assert_int_eq(base_implode_begin(&im, &list, &out, &err), BASE_OK);
    ck_assert_int_eq(
        base_implode_add(&im, &(struct base_cell){.flags = BASE_CELL_COMPLEX_DELETION}, &err),
        BASE_OK);
    ck_assert_int_eq(
        base_implode_add(
            &im, &(struct base_cell){.flags = BASE_CELL_DEAD, .path = BASE_SLICE_LIT("p")}, &err),
        BASE_OK);
    ck_assert_int_eq(base_implode_end(&im, &is_null, &err), BASE_OK);
    ck_assert(is_null);
    ck_assert_uint_eq(out.len, 1);
    base_buf_fini(&out);
}
END_TEST

int main(int argc, char **argv)
{
    iterations = scale_rounds(iterations);
    if (argc > 1)
        iterations = strtoull(argv[1], NULL, 10);
    Suite *suite = suite_create("base/collection");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, random_collections);
    tcase_add_test(tc, unsorted_is_refused_and_normalized);
    tcase_add_test(tc, dead_cells_are_no_elements);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
