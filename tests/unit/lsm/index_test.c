/* Indexes in the store. Without these a query by an index could miss rows that a scan has: a row
 * whose cells lie in different files, one that was updated, came back, lost its TTL, or has the
 * longest of keys; or a dropped index's file could serve a later index.
 *
 * The oracle is the same command without an index (index_lib.h). */
#include "tests/unit/lsm/index_lib.h"

/* Places. */

static int compare_keys(const void *a, const void *b)
{
    return base_slice_compare(base_buf_view(a), base_buf_view(b));
}

/* Some places, in a list as base/read.h has it; and the rows that it names, as `collect` writes
 * them, by a read for each. */
static void random_places(struct ix_world *w, const struct base_read *cmd, struct base_buf *list,
                          struct base_buf *rows)
{
    struct base_buf keys[36], ckey;
    base_buf_init(&ckey, 1 << 16);
    for (int32_t i = 0; i < 36; i++) {
        base_buf_init(&keys[i], 1 << 16);
        ix_pkey_of(w, i / 3, i % 3, &keys[i]);
    }
    qsort(keys, 36, sizeof keys[0], compare_keys);
    for (int i = 0; i < 36; i++) {
        bool whole = ix_below(w, 3) == 0;
        struct base_range ranges[20];
        struct base_buf ckeys[20];
        size_t n = 0;
        if (ix_below(w, 2))
            goto next;
        for (int32_t c = 0; c < 20; c++) {
            if (whole ? c > 0 : ix_below(w, 2) == 0)
                continue;
            base_buf_init(&ckeys[n], 1 << 16);
            if (!whole)
                ix_ckey_of(w, c, BASE_KEY_AT, &ckeys[n]);
            ranges[n] = (struct base_range){base_buf_view(&ckeys[n]), base_buf_view(&ckeys[n])};
            ck_assert(base_buf_put_bytes(list, base_buf_view(&keys[i])) == BASE_OK &&
                      base_buf_put_bytes(list, base_buf_view(&ckeys[n])) == BASE_OK);
            n++;
        }
        int64_t token = base_token_get(keys[i].data);
        if (n && token > cmd->token_after && token <= cmd->token_upto) {
            struct base_read one = *cmd;
            uint64_t raw = 0;
            one.pkey = base_buf_view(&keys[i]);
            if (!whole)
                one.slices = (struct base_slices){ranges, n};
            ck_ok(ix_collect(w, &one, &one, &raw, rows), w->s.err);
        }
        for (size_t k = 0; k < n; k++)
            base_buf_fini(&ckeys[k]);
    next:
        base_buf_fini(&keys[i]);
    }
    base_buf_fini(&ckey);
}

static void check_places(struct ix_world *w)
{
    struct base_buf list, by_places, one_by_one;
    struct base_read cmd = BASE_READ_INIT, judged;
    uint64_t raw = 0;
    base_buf_init(&list, 1 << 20);
    base_buf_init(&by_places, 1 << 24);
    base_buf_init(&one_by_one, 1 << 24);
    cmd.slices = base_slices_all;
    cmd.now_s = ix_now_s(w);
    cmd.reversed = ix_below(w, 2);
    if (ix_below(w, 2))
        cmd.token_after = (int64_t)rng_u64(&w->rng) / 2;
    /* a static row alone is not what is compared: some slices never show it */
    struct base_filter filter = {.column = C, .op = BASE_FILTER_GE, .operand = ix_int_slice(w, 0)};
    cmd.filters = &filter;
    cmd.filter_count = 1;
    cmd.no_index = true;
    judged = cmd;
    random_places(w, &judged, &list, &one_by_one);
    cmd.places = base_buf_view(&list);
    if (list.len)
        ck_ok(ix_collect(w, &judged, &cmd, &raw, &by_places), w->s.err);
    ck_assert_msg(base_slice_equal(base_buf_view(&by_places), base_buf_view(&one_by_one)),
                  "%zu bytes by places, %zu one by one", by_places.len, one_by_one.len);
    base_buf_fini(&list);
    base_buf_fini(&by_places);
    base_buf_fini(&one_by_one);
}

START_TEST(test_places_are_read_as_one_by_one)
{
    struct ix_world w;
    ix_world_init(&w, 500 + (uint64_t)_i);
    ix_store_open(&w);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 40; k++)
            ix_write_random(&w);
        if (i % 9 == 8)
            ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
        sim_clock_advance(&w.s.clock, UINT64_C(1000000000));
        check_places(&w);
    }
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

/* Random histories. */

static void step(struct ix_world *w)
{
    uint32_t kind = ix_below(w, 200);
    if (kind < 120)
        ix_write_random(w);
    else if (kind < 160)
        ix_query_random(w);
    else if (kind < 172)
        sim_executor_run(&w->s.executor, 1 + ix_below(w, 5));
    else if (kind < 180)
        sim_clock_advance(&w->s.clock, UINT64_C(1000000000) * (1 + ix_below(w, 20)));
    else if (kind < 186)
        ck_ok(lsm_flush(w->s.store, w->place, NULL, &w->s.err), w->s.err);
    else if (kind < 188)
        ck_ok(lsm_compact(w->s.store, w->place, NULL, &w->s.err), w->s.err);
    else if (kind < 190)
        ck_ok(lsm_quiesce(w->s.store, &w->s.err), w->s.err);
    else if (kind < 194) {
        ix_alter(w, ix_below(w, 4) ? w->index_mask | 1u << ix_below(w, IX_INDEXES)
                                   : w->index_mask & ~(1u << ix_below(w, IX_INDEXES)));
    } else if (kind < 197) {
        ix_store_close(w);
        ix_store_open(w);
    } else if (kind < 199) {
        ix_store_die(w, false);
        ix_store_open(w);
    }
}

START_TEST(test_index_reads_what_a_scan_reads)
{
    struct ix_world w;
    ix_world_init(&w, 1000 + (uint64_t)_i);
    w.index_mask = _i % 2 ? (1u << IX_INDEXES) - 1 : 0;
    ix_store_open(&w);
    for (int i = 0; i < 3000; i++)
        step(&w);
    ck_assert_uint_gt(w.queries, 300);
    ix_alter(&w, (1u << IX_INDEXES) - 1);
    ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    ck_ok(lsm_quiesce(w.s.store, &w.s.err), w.s.err);
    w.raw_indexed = w.raw_scanned = 0;
    for (int i = 0; i < 200; i++)
        ix_query_random(&w);
    ck_assert_uint_gt(w.raw_scanned, 1000);
    /* it must have been the index that answered, mostly */
    ck_assert_msg(w.raw_indexed < w.raw_scanned / 2, "%llu rows looked at by index, %llu by scan",
                  (unsigned long long)w.raw_indexed, (unsigned long long)w.raw_scanned);
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

/* Places. */

/* A partition of many rows, read forwards by pieces and backwards, where there may be too many to
 * keep. */
START_TEST(test_a_wide_partition)
{
    struct ix_world w;
    ix_world_init(&w, 9);
    w.index_mask = 1 << 3;
    ix_store_open(&w);
    struct base_buf pkey, ckey, row;
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    base_buf_init(&row, 1 << 16);
    ix_pkey_of(&w, 1, 1, &pkey);
    for (int32_t c = 0; c < 20000; c++) {
        struct base_row_builder b;
        base_buf_reset(&ckey);
        base_buf_reset(&row);
        ix_ckey_of(&w, c, BASE_KEY_AT, &ckey);
        ck_assert_int_eq(base_row_begin(&b, &row, 10), BASE_OK);
        ck_assert_int_eq(base_row_put_value(&b, A,
                                            ix_int_slice(&w, c % 1000 == 7 ? 1
                                                             : c % 2       ? 2
                                                                           : 3)),
                         BASE_OK);
        base_row_end(&b);
        ix_apply(&w, base_buf_view(&pkey), BASE_DELETION_NONE, (struct base_slice){0}, NULL,
                 base_buf_view(&ckey), base_buf_view(&row));
        if (c == 11000)
            ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    }
    for (int32_t v = 1; v < 4; v++)
        for (int reversed = 0; reversed < 2; reversed++)
            for (int point = 0; point < 2; point++) {
                struct base_filter filter = {
                    .column = A, .op = BASE_FILTER_EQ, .operand = ix_int_slice(&w, v)};
                struct base_read cmd = BASE_READ_INIT;
                cmd.slices = base_slices_all;
                cmd.filters = &filter;
                cmd.filter_count = 1;
                cmd.reversed = reversed;
                if (point)
                    cmd.pkey = base_buf_view(&pkey);
                ix_check_query(&w, &cmd);
            }
    ck_assert_uint_lt(w.raw_indexed, w.raw_scanned);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    ix_store_close(&w);
    ix_world_fini(&w);
}
END_TEST

/* Keys that are too long for a place in an index: the partition, or all of a token, is read
 * instead. */
START_TEST(test_the_longest_keys)
{
    static const size_t lens[] = {10, 30000, 32000, 65000};
    struct base_arena a;
    struct ix_world w;
    base_arena_init(&a);
    ix_world_init(&w, 11);
    w.table = make_table(&a, "lab", "t", "p k blob; c c blob; r v int; r a int");
    struct base_index index = {4, BASE_SLICE_LIT("a"), 4, BASE_INDEX_VALUE, {0}};
    struct base_indexer *indexer;
    struct lsm_table_desc desc = ix_desc_of(&w, &indexer);
    base_indexer_release(indexer);
    w.table->indexes = &index;
    w.table->index_count = 1;
    ck_ok(base_indexer_new(w.table, &indexer, &w.s.err), w.s.err);
    desc.indexer = indexer;
    ck_ok(lsm_open(&w.s.options, &w.s.store, &w.s.err), w.s.err);
    ck_ok(lsm_table_open(w.s.store, &desc, &w.place, &w.s.err), w.s.err);
    ck_ok(lsm_replay(w.s.store, &w.s.err), w.s.err);
    base_indexer_release(indexer);
    struct base_buf pkey, ckey, row;
    base_buf_init(&pkey, 1 << 20);
    base_buf_init(&ckey, 1 << 20);
    base_buf_init(&row, 1 << 16);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BASE_COUNT(lens); i++)
            for (size_t k = 0; k < BASE_COUNT(lens); k++) {
                struct base_row_builder b;
                uint8_t *bytes = base_arena_zalloc(&a, 65536);
                memset(bytes, (int)i + 1, 65536);
                if (i == 3)
                    memset(bytes, 0, 65000); /* escaped: twice as long */
                base_buf_reset(&pkey);
                base_buf_reset(&ckey);
                base_buf_reset(&row);
                ck_assert_int_eq(base_pkey_put(base_slice(bytes, lens[i]), &pkey), BASE_OK);
                memset(bytes, (int)k + 10, 65536);
                ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_BLOB), false,
                                    base_slice(bytes, lens[k]), &ckey, NULL, &w.s.err),
                      w.s.err);
                ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
                ck_assert_int_eq(base_row_begin(&b, &row, 10), BASE_OK);
                ck_assert_int_eq(base_row_put_value(&b, 4, ix_int_slice(&w, (int32_t)(k % 2))),
                                 BASE_OK);
                base_row_end(&b);
                ix_apply(&w, base_buf_view(&pkey), BASE_DELETION_NONE, (struct base_slice){0}, NULL,
                         base_buf_view(&ckey), base_buf_view(&row));
            }
        for (int32_t v = 0; v < 3; v++)
            for (int reversed = 0; reversed < 2; reversed++) {
                struct base_filter filter = {
                    .column = 4, .op = BASE_FILTER_EQ, .operand = ix_int_slice(&w, v)};
                struct base_read cmd = BASE_READ_INIT;
                cmd.slices = base_slices_all;
                cmd.filters = &filter;
                cmd.filter_count = 1;
                cmd.reversed = reversed;
                ix_check_query(&w, &cmd);
                cmd.pkey = base_buf_view(&pkey);
                ix_check_query(&w, &cmd);
            }
        ck_ok(lsm_flush(w.s.store, w.place, NULL, &w.s.err), w.s.err);
    }
    ck_assert_uint_lt(w.raw_indexed, w.raw_scanned);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    ix_store_close(&w);
    ix_world_fini(&w);
    base_arena_fini(&a);
}
END_TEST
int main(void)
{
    Suite *suite = suite_create("lsm index");
    TCase *tc = tcase_create("index");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_index_reads_what_a_scan_reads, 0, 12);
    tcase_add_loop_test(tc, test_places_are_read_as_one_by_one, 0, 4);
    tcase_add_test(tc, test_a_wide_partition);
    tcase_add_test(tc, test_the_longest_keys);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
