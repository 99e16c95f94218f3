/* See read_lib.h. */
#include "tests/unit/replication/read_lib.h"

#include <check.h>

#include "base/key.h"

const struct base_uuid lib_table_id = {{7}};

struct base_slice lib_pkey(uint32_t p)
{
    static uint8_t bytes[LIB_PARTITIONS][32];
    static struct base_slice keys[LIB_PARTITIONS];
    ck_assert_uint_lt(p, LIB_PARTITIONS);
    if (!keys[0].len) {
        for (uint32_t i = 0; i < LIB_PARTITIONS; i++) {
            struct base_buf buf;
            uint8_t pk[2] = {0, (uint8_t)('a' + i)};
            base_buf_init(&buf, 64);
            ck_assert_int_eq(base_pkey_put(base_slice(pk, 1 + i % 2), &buf), BASE_OK);
            pk[0] = pk[1];
            if (i % 2 == 0) {
                base_buf_reset(&buf);
                ck_assert_int_eq(base_pkey_put(base_slice(pk, 1), &buf), BASE_OK);
            }
            memcpy(bytes[i], buf.data, buf.len);
            keys[i] = base_slice(bytes[i], buf.len);
            base_buf_fini(&buf);
        }
        for (uint32_t i = 0; i < LIB_PARTITIONS; i++) {
            for (uint32_t j = i + 1; j < LIB_PARTITIONS; j++) {
                ck_assert(!base_slice_equal(keys[i], keys[j]));
                if (base_slice_compare(keys[j], keys[i]) < 0) {
                    struct base_slice swap = keys[i];
                    keys[i] = keys[j];
                    keys[j] = swap;
                }
            }
        }
    }
    return keys[p];
}

static struct base_slice place(uint32_t k, int position)
{
    static uint8_t bytes[LIB_KEYS][3][3];
    static const uint8_t ends[3] = {BASE_KEY_BEFORE, BASE_KEY_AT, BASE_KEY_AFTER};
    uint8_t *p = bytes[k][position];
    p[0] = BASE_KEY_NEXT;
    p[1] = (uint8_t)('a' + k);
    p[2] = ends[position];
    return base_slice(p, 3);
}

struct base_slice lib_ckey(uint32_t k)
{
    return place(k, 1);
}

struct base_slice lib_bound(uint32_t k, bool after)
{
    return place(k, after ? 2 : 0);
}

static struct base_slice bound_random(struct rng *rng)
{
    static const uint8_t ends[2] = {BASE_KEY_BEFORE, BASE_KEY_AFTER};
    if (below(rng, 8) == 0)
        return base_slice(&ends[below(rng, 2)], 1);
    return lib_bound(below(rng, LIB_KEYS), below(rng, 2));
}

/* Cells only. */
static void static_random(struct rng *rng, struct base_buf *out)
{
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, out, below(rng, 12)), BASE_OK);
    struct base_cell cell = {.column = 3, .ts = below(rng, 12), .value = BASE_SLICE_LIT("s")};
    if (below(rng, 3) == 0) {
        cell.flags = BASE_CELL_DEAD;
        cell.local_s = below(rng, 50);
        cell.value = (struct base_slice){0};
    }
    ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    base_row_end(&b);
}

void lib_mutation_random(struct rng *rng, struct base_buf *out)
{
    struct base_buf rows[LIB_KEYS], static_row;
    struct base_mutation_row_part parts[LIB_KEYS];
    struct base_range_deletion ranges[3];
    size_t row_count = 0, range_count = below(rng, 3) ? 0 : below(rng, 4);
    base_buf_init(&static_row, 1 << 16);
    for (uint32_t k = 0; k < LIB_KEYS; k++) {
        base_buf_init(&rows[k], 1 << 16);
        if (below(rng, 3) == 0) {
            row_random(rng, &rows[k]);
            parts[row_count++] =
                (struct base_mutation_row_part){lib_ckey(k), base_buf_view(&rows[k])};
        }
    }
    for (size_t i = 0; i < range_count; i++) {
        do
            ranges[i] = (struct base_range_deletion){bound_random(rng), bound_random(rng),
                                                     deletion_random(rng, 0)};
        while (base_slice_compare(ranges[i].lo, ranges[i].hi) >= 0);
    }
    if (below(rng, 4) == 0)
        static_random(rng, &static_row);
    struct base_deletion deletion = deletion_random(rng, 85);
    if (!row_count && !range_count && !static_row.len && base_deletion_is_none(deletion))
        deletion = deletion_random(rng, 0);
    ck_assert_int_eq(base_mutation_put(out, lib_table_id, lib_pkey(below(rng, LIB_PARTITIONS)),
                                       deletion, base_buf_view(&static_row), ranges, range_count,
                                       parts, row_count),
                     BASE_OK);
    for (uint32_t k = 0; k < LIB_KEYS; k++)
        base_buf_fini(&rows[k]);
    base_buf_fini(&static_row);
}

void lib_slices_random(struct rng *rng, struct base_range ranges[2], struct base_slices *out)
{
    uint32_t a = below(rng, LIB_KEYS), b = a + below(rng, LIB_KEYS - a);
    *out = base_slices_all;
    if (below(rng, 2))
        return;
    ranges[0] = (struct base_range){place(a, (int)below(rng, 2)), place(b, 1 + (int)below(rng, 2))};
    *out = (struct base_slices){ranges, 1};
    if (b + 1 < LIB_KEYS && below(rng, 2)) {
        uint32_t c = b + 1 + below(rng, LIB_KEYS - b - 1), d = c + below(rng, LIB_KEYS - c);
        ranges[1] =
            (struct base_range){place(c, (int)below(rng, 2)), place(d, 1 + (int)below(rng, 2))};
        out->count = 2;
    }
}

void lib_store_init(struct lib_store *store)
{
    store->overlay = lsm_overlay_new();
    ck_assert_ptr_nonnull(store->overlay);
}

void lib_store_fini(struct lib_store *store)
{
    lsm_overlay_release(store->overlay);
}

void lib_store_apply(struct lib_store *store, struct base_slice mutations)
{
    struct base_reader in = base_reader(mutations);
    while (base_reader_left(&in)) {
        struct base_mutation m;
        const uint8_t *at = in.p;
        ck_assert(base_mutation_decode(&in, &m) && base_mutation_check(&m));
        struct base_err err = {0};
        ck_assert_msg(
            lsm_overlay_apply(store->overlay, base_slice(at, (size_t)(in.p - at)), &err) == BASE_OK,
            "%s", err.text);
    }
}

struct base_source *lib_store_read(const struct lib_store *const *stores, size_t n,
                                   const struct base_read *cmd, int64_t gc_before_s)
{
    struct base_source *sources[16], *merge;
    ck_assert_uint_le(n, 16);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(lsm_overlay_read(stores[i]->overlay, cmd, &sources[i], NULL), BASE_OK);
    struct base_merge_options options = {
        .reversed = cmd->reversed,
        .keep_tombstones = true,
        .purge = {.now_s = cmd->now_s, .gc_before_s = gc_before_s, .purgeable_ts = INT64_MAX},
    };
    ck_assert_int_eq(base_merge_open(sources, n, &options, &merge, NULL), BASE_OK);
    return merge;
}
