/* Without this: a block that passes its checksum but was written by a broken or hostile program
 * reads or writes beyond its memory in the host's process. Run it under the address sanitizer
 * (--enable-asan) for its full worth. */
#include "lsm/sst_private.h"

#include "tests/unit/lsm/sst_lib.h"

static struct lsmi_block *parse(struct base_slice bytes)
{
    struct lsmi_block *b = lsmi_block_new((uint32_t)bytes.len);
    memcpy(b->bytes, bytes.data, bytes.len);
    if (lsmi_block_parse(b))
        return b;
    lsmi_block_unpin(b);
    return NULL;
}

/* Everything a reader may ask of a parsed data block. */
static void use_data(const struct lsmi_block *b, uint8_t *ckey)
{
    struct base_buf pkey;
    base_buf_init(&pkey, BASE_PKEY_LEN_MAX + 64);
    for (uint32_t i = 0; i < b->keys.count; i++) {
        struct lsmi_block_partition p;
        bool equal;
        lsmi_block_get_partition(b, i, &p);
        ck_assert(p.row_begin <= p.row_end && p.row_end <= b->rows.count);
        ck_assert_int_eq(lsmi_block_pkey(b, i, &pkey), BASE_OK);
        ck_assert_uint_le(lsmi_block_find_partition(b, base_buf_view(&pkey), &equal),
                          b->keys.count);
        memcpy(ckey, p.ckey_prefix.data, p.ckey_prefix.len);
        uint64_t sum = 0;
        for (uint32_t row = p.row_begin; row < p.row_end; row++) {
            struct base_item item;
            lsmi_block_item(b, row, ckey, p.ckey_prefix.len, &item);
            ck_assert(item.ckey.len > 0 && item.ckey.len <= BASE_CKEY_LEN_MAX);
            ck_assert_int_eq(item.kind == BASE_ITEM_MARKER, lsmi_block_is_marker(b, row));
            for (size_t j = 0; j < item.row.len; j++)
                sum += item.row.data[j];
            uint32_t found = lsmi_block_find_row(b, &p, item.ckey, row & 1);
            ck_assert(found >= p.row_begin && found <= p.row_end);
        }
        for (size_t j = 0; j < p.static_row.len; j++)
            sum += p.static_row.data[j];
        ck_assert_uint_lt(sum, UINT64_MAX);
    }
    base_buf_fini(&pkey);
}

static void use_index(const struct lsmi_block *b)
{
    struct base_buf key;
    base_buf_init(&key, 1 << 30);
    for (uint32_t i = 0; i < b->keys.count; i++) {
        uint64_t offset;
        uint32_t len;
        lsmi_index_child(b, i, &offset, &len);
        ck_assert_uint_gt(len, 0);
        ck_assert_int_eq(lsmi_block_pkey(b, i, &key), BASE_OK);
        ck_assert_uint_lt(lsmi_index_find(b, base_buf_view(&key)), b->keys.count);
        (void)lsmi_index_compare(b, b->keys.count - 1 - i, base_buf_view(&key));
    }
    base_buf_fini(&key);
}

static void damage(struct rng *rng, uint8_t *bytes, size_t len)
{
    for (uint64_t n = 1 + rng_below(rng, 4); n > 0; n--) {
        size_t at = rng_chance(rng, 50) ? rng_below(rng, len < 64 ? len : 64) : rng_below(rng, len);
        switch (rng_below(rng, 4)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << rng_below(rng, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)rng_u64(rng);
            break;
        case 2:
            bytes[at] = 0xff;
            break;
        default:
            bytes[at] = (uint8_t)(bytes[at] + (rng_chance(rng, 50) ? 1 : -1));
        }
    }
}

static void build(struct rng *rng, struct base_buf *out, bool huge)
{
    struct model m;
    struct model_shape shape = {.partitions = 1 + rng_below(rng, 8),
                                .items_max = 20,
                                .value_max = huge ? 90000 : 40,
                                .components = 2,
                                .marker_percent = 30,
                                .static_percent = 40,
                                .deletion_percent = 40};
    struct lsmi_block_builder b;
    model_make(&m, rng, &shape);
    lsmi_builder_init(&b);
    for (size_t i = 0; i < m.count; i++) {
        const struct model_partition *p = &m.partitions[i];
        struct lsmi_block_partition head = {.pkey = p->pkey,
                                            .deletion = p->deletion,
                                            .open = BASE_DELETION_NONE,
                                            .static_row = p->static_row};
        if (i == 0 && p->item_count && rng_chance(rng, 50)) {
            head.continued = true;
            head.static_row = (struct base_slice){0};
            head.static_elsewhere = rng_chance(rng, 50);
            head.open = (struct base_deletion){5, 5};
        }
        ck_assert_int_eq(lsmi_builder_add_partition(&b, &head), BASE_OK);
        for (size_t j = 0; j < p->item_count; j++)
            ck_assert_int_eq(lsmi_builder_add(&b, &p->items[j]), BASE_OK);
    }
    base_buf_reset(out);
    if (m.count)
        ck_assert_int_eq(lsmi_builder_finish(&b, rng_chance(rng, 50), out), BASE_OK);
    lsmi_builder_fini(&b);
    model_free(&m);
}

START_TEST(damaged_data_blocks_are_refused_or_harmless)
{
    struct rng rng = rng_seeded(11);
    struct base_buf whole, bad;
    uint8_t *ckey = malloc(LSMI_CKEY_ROOM);
    uint64_t refused = 0, passed = 0;
    base_buf_init(&whole, 1 << 30);
    base_buf_init(&bad, 1 << 30);
    for (int round = 0; round < 150; round++) {
        build(&rng, &whole, round % 10 == 0);
        if (whole.len == 0)
            continue;
        struct lsmi_block *b = parse(base_buf_view(&whole));
        ck_assert_ptr_nonnull(b);
        use_data(b, ckey);
        lsmi_block_unpin(b);
        for (int i = 0; i < 60; i++) {
            base_buf_reset(&bad);
            ck_assert_int_eq(base_buf_put_slice(&bad, base_buf_view(&whole)), BASE_OK);
            damage(&rng, bad.data, bad.len);
            if (rng_one_in(&rng, 5))
                bad.len = rng_below(&rng, bad.len + 1);
            b = parse(base_buf_view(&bad));
            if (b && b->level == 0)
                use_data(b, ckey);
            passed += b != NULL;
            refused += b == NULL;
            lsmi_block_unpin(b);
        }
    }
    ck_assert_uint_gt(refused, 1000);
    ck_assert_uint_gt(passed, 100); /* a changed value byte is none of the structure's business */
    base_buf_fini(&whole);
    base_buf_fini(&bad);
    free(ckey);
}
END_TEST

START_TEST(damaged_index_blocks_are_refused_or_harmless)
{
    struct rng rng = rng_seeded(12);
    struct base_buf whole, bad;
    base_buf_init(&whole, 1 << 30);
    base_buf_init(&bad, 1 << 30);
    for (int round = 0; round < 150; round++) {
        struct lsmi_index_builder ib;
        struct model m;
        struct model_shape shape = {
            .partitions = 1 + rng_below(&rng, 40), .items_max = 2, .value_max = 4, .components = 1};
        lsmi_index_builder_init(&ib);
        model_make(&m, &rng, &shape);
        uint64_t offset = rng_below(&rng, 1 << 30);
        for (size_t i = 0; i < m.count; i++) {
            uint32_t len = 1 + (uint32_t)rng_below(&rng, 5000);
            ck_assert_int_eq(lsmi_index_builder_add(&ib, m.partitions[i].pkey, offset, len),
                             BASE_OK);
            offset += len;
        }
        base_buf_reset(&whole);
        ck_assert_int_eq(lsmi_index_builder_finish(&ib, 1, &whole), BASE_OK);
        struct lsmi_block *b = parse(base_buf_view(&whole));
        ck_assert_ptr_nonnull(b);
        for (size_t i = 0; i < m.count; i++)
            ck_assert_uint_eq(lsmi_index_find(b, m.partitions[i].pkey), i);
        use_index(b);
        lsmi_block_unpin(b);
        for (int i = 0; i < 60; i++) {
            base_buf_reset(&bad);
            ck_assert_int_eq(base_buf_put_slice(&bad, base_buf_view(&whole)), BASE_OK);
            damage(&rng, bad.data, bad.len);
            b = parse(base_buf_view(&bad));
            if (b && b->level)
                use_index(b);
            lsmi_block_unpin(b);
        }
        lsmi_index_builder_fini(&ib);
        model_free(&m);
    }
    base_buf_fini(&whole);
    base_buf_fini(&bad);
}
END_TEST

START_TEST(a_long_prefix_without_rows_is_refused)
{
    /* Found by reading: the prefix is copied to a buffer that fits a clustering key, rows or no
     * rows. */
    struct base_buf out;
    struct lsmi_block_builder b;
    struct model m;
    struct rng rng = rng_seeded(1);
    struct model_shape shape = {
        .partitions = 1, .items_max = 0, .value_max = 70000, .deletion_percent = 100};
    model_make(&m, &rng, &shape);
    base_buf_init(&out, 1 << 20);
    lsmi_builder_init(&b);
    struct lsmi_block_partition head = {.pkey = m.partitions[0].pkey,
                                        .deletion = m.partitions[0].deletion,
                                        .open = BASE_DELETION_NONE};
    ck_assert_int_eq(lsmi_builder_add_partition(&b, &head), BASE_OK);
    ck_assert_int_eq(lsmi_builder_finish(&b, false, &out), BASE_OK);
    /* By hand, with u32 offsets: the same record with a prefix of 70,000 bytes. */
    size_t key_len = head.pkey.len, prefix_len = 70000, record = 3 + 1 + 3 + prefix_len,
           at = 12 + 4 + 8 + 4;
    uint8_t *block = calloc(1, at + key_len + record + 16), *p = block;
    block[0] = LSMI_BLOCK_DATA;
    block[1] = LSMI_BLOCK_WIDE;
    base_put_le16(block + 2, (uint16_t)key_len);
    base_put_le32(block + 4, 1);
    memcpy(block + at, head.pkey.data, key_len);
    p = block + at + key_len;
    p = base_put_varint(p, 0); /* no suffix, no flags */
    p = base_put_varint(p, 0); /* no rows before */
    p = base_put_varint(p, prefix_len);
    p += prefix_len;
    size_t size = (size_t)(p - block);
    base_put_le32(block + 16, (uint32_t)(at + key_len));
    base_put_le32(block + 20, (uint32_t)size);
    base_put_le32(block + 24, (uint32_t)size);
    ck_assert_ptr_null(parse(base_slice(block, size)));
    p = block + at + key_len + 2; /* and with one that fits it is fine */
    p = base_put_varint(p, 60000) + 60000;
    size = (size_t)(p - block);
    base_put_le32(block + 20, (uint32_t)size);
    base_put_le32(block + 24, (uint32_t)size);
    struct lsmi_block *good = parse(base_slice(block, size));
    ck_assert_ptr_nonnull(good);
    lsmi_block_unpin(good);
    free(block);
    lsmi_builder_fini(&b);
    base_buf_fini(&out);
    model_free(&m);
}
END_TEST

START_TEST(footers_and_metadata_take_any_bytes)
{
    struct rng rng = rng_seeded(13);
    struct lsmi_metadata m = {.info = {.partition_count = 1, .table_name = "ks.t"},
                              .pkey_min = BASE_SLICE_LIT("0123456789ab"),
                              .pkey_max = BASE_SLICE_LIT("1123456789ab")},
                         back;
    struct base_buf whole, bad;
    base_buf_init(&whole, 1 << 20);
    base_buf_init(&bad, 1 << 20);
    ck_assert_int_eq(lsmi_metadata_encode(&m, &whole), BASE_OK);
    ck_assert(lsmi_metadata_decode(base_buf_view(&whole), &back));
    ck_assert_ptr_null(lsmi_metadata_difference(&m.info, &back.info));
    /* a tag of a later program */
    ck_assert_int_eq(base_buf_put(&whole, "\x7f\x03new", 5), BASE_OK);
    ck_assert(lsmi_metadata_decode(base_buf_view(&whole), &back));
    for (int i = 0; i < 20000; i++) {
        base_buf_reset(&bad);
        ck_assert_int_eq(base_buf_put_slice(&bad, base_buf_view(&whole)), BASE_OK);
        damage(&rng, bad.data, bad.len);
        if (rng_one_in(&rng, 3))
            bad.len = rng_below(&rng, bad.len + 1);
        (void)!lsmi_metadata_decode(base_buf_view(&bad), &back);
        uint8_t footer[LSMI_FOOTER_LEN];
        struct lsmi_footer f = {.levels = 1,
                                .root_offset = rng_u64(&rng),
                                .root_len = rng_u64(&rng),
                                .filter_offset = rng_u64(&rng)},
                           g;
        lsmi_footer_encode(&f, 1000, footer); /* sound bytes, an impossible directory */
        ck_assert_int_eq(
            lsmi_footer_decode(base_slice(footer, sizeof footer), 1000 + sizeof footer, &g, NULL),
            BASE_E_CORRUPT);
    }
    base_buf_fini(&whole);
    base_buf_fini(&bad);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sst_block");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, damaged_data_blocks_are_refused_or_harmless);
    tcase_add_test(tc, damaged_index_blocks_are_refused_or_harmless);
    tcase_add_test(tc, a_long_prefix_without_rows_is_refused);
    tcase_add_test(tc, footers_and_metadata_take_any_bytes);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
