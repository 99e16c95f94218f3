/* Buffers, varints, readers, arenas: without these every format above could read past its bytes. */
#include <check.h>

#include "base/arena.h"
#include "base/bytes.h"

START_TEST(varint_round_trip)
{
    static const uint64_t values[] = {0,     1,          127,       128,       16383,
                                      16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < BASE_COUNT(values); i++) {
        uint8_t bytes[BASE_VARINT_LEN_MAX];
        size_t len = (size_t)(base_put_varint(bytes, values[i]) - bytes);
        uint64_t got;
        struct base_reader r = base_reader(base_slice(bytes, len));
        ck_assert(base_get_varint(&r, &got));
        ck_assert_uint_eq(got, values[i]);
        ck_assert_uint_eq(base_reader_left(&r), 0);
        for (size_t cut = 0; cut < len; cut++) {
            r = base_reader(base_slice(bytes, cut));
            ck_assert(!base_get_varint(&r, &got));
        }
    }
}
END_TEST

START_TEST(varint_refuses_overlong)
{
    uint8_t bytes[11];
    memset(bytes, 0xff, sizeof bytes);
    uint64_t got;
    struct base_reader r = base_reader(base_slice(bytes, sizeof bytes));
    ck_assert(!base_get_varint(&r, &got));
    ck_assert(!base_get_varint(&r, &got));
}
END_TEST

START_TEST(zigzag_round_trip)
{
    static const int64_t values[] = {0, -1, 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < BASE_COUNT(values); i++)
        ck_assert_int_eq(base_unzigzag(base_zigzag(values[i])), values[i]);
}
END_TEST

START_TEST(buffer_has_a_maximum)
{
    struct base_buf buf;
    base_buf_init(&buf, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(base_buf_put_u8(&buf, (uint8_t)i), BASE_OK);
    ck_assert_int_eq(base_buf_put_u8(&buf, 1), BASE_E_LIMIT);
    ck_assert_uint_eq(buf.len, 100);
    base_buf_fini(&buf);
}
END_TEST

/* A buffer in an arena keeps its bytes while it grows, in place where it can, and leaves nothing to
 * free. */
START_TEST(buffer_in_an_arena)
{
    struct base_arena arena;
    struct base_buf buf, other;
    base_arena_init(&arena);
    base_buf_init_in_arena(&buf, &arena, 5000);
    base_buf_init_in_arena(&other, &arena, 5000);
    ck_assert_int_eq(base_buf_put_u8(&buf, 0), BASE_OK);
    const uint8_t *first = buf.data;
    for (unsigned i = 1; i < 200; i++)
        ck_assert_int_eq(base_buf_put_u8(&buf, (uint8_t)i), BASE_OK);
    ck_assert_ptr_eq(buf.data, first);
    for (unsigned i = 200; i < 5000; i++) {
        ck_assert_int_eq(base_buf_put_u8(&buf, (uint8_t)i), BASE_OK);
        if (i % 100 == 0) /* in its way */
            ck_assert_int_eq(base_buf_put_u8(&other, (uint8_t)~i), BASE_OK);
    }
    ck_assert_int_eq(base_buf_put_u8(&buf, 0), BASE_E_LIMIT);
    for (unsigned i = 0; i < 5000; i++)
        ck_assert_uint_eq(buf.data[i], (uint8_t)i);
    for (unsigned i = 0; i < other.len; i++)
        ck_assert_uint_eq(other.data[i], (uint8_t) ~(200 + 100 * i));
    base_buf_fini(&buf);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_int_eq(base_buf_put_u8(&buf, 7), BASE_OK);
    base_arena_fini(&arena);
}
END_TEST

START_TEST(uuid_text)
{
    struct base_uuid id;
    char text[37];
    ck_assert(base_uuid_parse(base_slice_str("123e4567-E89B-12d3-a456-426614174000"), &id));
    base_uuid_print(id, text);
    ck_assert_str_eq(text, "123e4567-e89b-12d3-a456-426614174000");
    ck_assert(!base_uuid_parse(base_slice_str("123e4567-e89b-12d3-a456-42661417400"), &id));
    ck_assert(!base_uuid_parse(base_slice_str("123e4567xe89b-12d3-a456-426614174000"), &id));
}
END_TEST

START_TEST(arena_alignment_and_reset)
{
    struct base_arena arena;
    base_arena_init(&arena);
    for (size_t size = 1; size < 100000; size = size * 3 + 1) {
        uint8_t *p = base_arena_alloc(&arena, size);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 8, 0);
        memset(p, 0xab, size);
    }
    base_arena_reset(&arena);
    ck_assert_ptr_nonnull(base_arena_alloc(&arena, 10));
    base_arena_fini(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/bytes");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, varint_round_trip);
    tcase_add_test(tc, varint_refuses_overlong);
    tcase_add_test(tc, zigzag_round_trip);
    tcase_add_test(tc, buffer_has_a_maximum);
    tcase_add_test(tc, buffer_in_an_arena);
    tcase_add_test(tc, uuid_text);
    tcase_add_test(tc, arena_alignment_and_reset);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
