/* Without this: a compressor's id that changes meaning makes every file written before unreadable,
 * and a damaged block that decompresses past its buffer is a hole in the host. */
#include "base/compress.h"

#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

START_TEST(round_trips_and_refuses_damage)
{
    struct rng rng = rng_seeded(7);
    for (size_t size = 0; size < 20000; size = size * 3 + 1) {
        uint8_t *in = malloc(size + 1), *back = malloc(size + 1);
        for (size_t i = 0; i < size; i++)
            in[i] = rng_chance(&rng, 30) ? (uint8_t)rng_u64(&rng) : 'x';
        struct base_buf packed;
        base_buf_init(&packed, 1 << 20);
        ck_assert_int_eq(base_compress((enum base_compressor)_i, 0, base_slice(in, size), &packed),
                         BASE_OK);
        struct base_slice view = base_buf_view(&packed);
        ck_assert_int_eq(base_decompress((enum base_compressor)_i, view, back, size), BASE_OK);
        ck_assert_mem_eq(in, back, size);
        ck_assert_int_eq(base_decompress((enum base_compressor)_i, view, back, size + 1),
                         BASE_E_CORRUPT);
        if (size)
            ck_assert_int_eq(base_decompress((enum base_compressor)_i, view, back, size - 1),
                             BASE_E_CORRUPT);
        for (int i = 0; i < 200 && packed.len;
             i++) { /* any damage: an error or bytes, never a crash */
            packed.data[rng_below(&rng, packed.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            (void)!base_decompress((enum base_compressor)_i,
                                   base_slice(packed.data, rng_below(&rng, packed.len + 1)), back,
                                   size);
        }
        base_buf_fini(&packed);
        free(in);
        free(back);
    }
}
END_TEST

START_TEST(names_and_ids_are_fixed)
{
    ck_assert_int_eq(base_compressor_by_name(BASE_SLICE_LIT("LZ4Compressor")), 1);
    ck_assert_int_eq(
        base_compressor_by_name(BASE_SLICE_LIT("org.apache.cassandra.io.compress.ZstdCompressor")),
        2);
    ck_assert_int_eq(base_compressor_by_name(BASE_SLICE_LIT("SnappyCompressor")), 3);
    ck_assert_int_eq(base_compressor_by_name(BASE_SLICE_LIT("DeflateCompressor")), 4);
    ck_assert_int_eq(base_compressor_by_name(BASE_SLICE_LIT("NoopCompressor")), 0);
    ck_assert_int_eq(base_compressor_by_name(BASE_SLICE_LIT("lz4")), -1);
    for (int i = 0; i <= 4; i++)
        ck_assert_int_eq(
            base_compressor_by_name(base_slice_str(base_compressor_name((enum base_compressor)i))),
            i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compress");
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, round_trips_and_refuses_damage, 0, 5);
    tcase_add_test(tc, names_and_ids_are_fixed);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
