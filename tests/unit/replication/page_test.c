/* Pages: bytes that depend on content alone, ends, continuing, damage. Without these two replicas
 * with the same rows would differ by digest for ever, a paged read would lose or repeat a row, or a
 * peer's bytes bring a coordinator down. */
#include <check.h>

#include "base/key.h"
#include "replication/page.h"
#include "tests/unit/replication/read_lib.h"

#define STORES_MAX 4
#define MUTATIONS_MAX 14

struct world {
    struct lib_store whole, parts[STORES_MAX];
    size_t part_count;
    struct base_range ranges[2];
    struct base_read cmd;
    int64_t gc_before_s;
};

static void world_init(struct rng *rng, struct world *w)
{
    struct base_buf buf;
    base_buf_init(&buf, 1 << 20);
    lib_store_init(&w->whole);
    w->part_count = 1 + below(rng, STORES_MAX);
    for (size_t i = 0; i < w->part_count; i++)
        lib_store_init(&w->parts[i]);
    for (size_t n = below(rng, MUTATIONS_MAX + 1); n > 0; n--) {
        base_buf_reset(&buf);
        lib_mutation_random(rng, &buf);
        lib_store_apply(&w->whole, base_buf_view(&buf));
        lib_store_apply(&w->parts[below(rng, (uint32_t)w->part_count)], base_buf_view(&buf));
        if (below(rng, 3) == 0) /* twice makes no difference */
            lib_store_apply(&w->parts[below(rng, (uint32_t)w->part_count)], base_buf_view(&buf));
    }
    base_buf_fini(&buf);
    w->cmd = BASE_READ_INIT;
    w->cmd.table_id = lib_table_id;
    lib_slices_random(rng, w->ranges, &w->cmd.slices);
    w->cmd.reversed = below(rng, 2);
    w->cmd.now_s = below(rng, 60);
    if (below(rng, 3) == 0)
        w->cmd.pkey = lib_pkey(below(rng, LIB_PARTITIONS));
    w->gc_before_s = below(rng, 2) ? w->cmd.now_s - 5 : INT64_MIN;
}

static void world_fini(struct world *w)
{
    lib_store_fini(&w->whole);
    for (size_t i = 0; i < w->part_count; i++)
        lib_store_fini(&w->parts[i]);
}

static void write_parts(struct world *w, const struct repl_page_limits *limits,
                        struct base_buf *out)
{
    const struct lib_store *stores[STORES_MAX];
    for (size_t i = 0; i < w->part_count; i++)
        stores[i] = &w->parts[i];
    struct base_source *source = lib_store_read(stores, w->part_count, &w->cmd, INT64_MIN);
    ck_assert_int_eq(
        repl_page_write(source, w->cmd.reversed, w->cmd.now_s, w->gc_before_s, limits, out, NULL),
        BASE_OK);
    source->ops->close(source);
}

static void write_whole(struct world *w, const struct base_read *cmd,
                        const struct repl_page_limits *limits, struct base_buf *out)
{
    const struct lib_store *store = &w->whole;
    struct base_source *source = lib_store_read(&store, 1, cmd, w->gc_before_s);
    ck_assert_int_eq(
        repl_page_write(source, cmd->reversed, cmd->now_s, w->gc_before_s, limits, out, NULL),
        BASE_OK);
    source->ops->close(source);
}

static struct repl_page_limits limits_random(struct rng *rng)
{
    struct repl_page_limits limits = REPL_PAGE_LIMITS_NONE;
    if (below(rng, 2))
        limits.rows_max = 1 + below(rng, 8);
    if (below(rng, 3) == 0)
        limits.partition_rows_max = 1 + below(rng, 3);
    if (below(rng, 3) == 0)
        limits.bytes_max = 1 + below(rng, 200);
    return limits;
}

START_TEST(equal_content_is_equal_bytes)
{
    struct rng rng = rng_seeded(test_seed() ^ 11);
    struct base_buf a, b;
    base_buf_init(&a, 1 << 20);
    base_buf_init(&b, 1 << 20);
    unsigned more = 0;
    for (unsigned round = 0; round < test_rounds(3000); round++) {
        struct world w;
        world_init(&rng, &w);
        struct repl_page_limits limits = limits_random(&rng);
        base_buf_reset(&a);
        base_buf_reset(&b);
        write_whole(&w, &w.cmd, &limits, &a);
        write_parts(&w, &limits, &b);
        ck_assert_msg(base_slice_equal(base_buf_view(&a), base_buf_view(&b)), "round %u", round);
        struct repl_page_end end;
        ck_assert_msg(repl_page_check(base_buf_view(&a), w.cmd.reversed, &end), "round %u", round);
        ck_assert(end.rows <= limits.rows_max);
        more += end.more;
        uint8_t digest[2][REPL_PAGE_DIGEST_LEN];
        repl_page_digest(base_buf_view(&a), digest[0]);
        repl_page_digest(base_buf_view(&b), digest[1]);
        ck_assert_mem_eq(digest[0], digest[1], sizeof digest[0]);
        world_fini(&w);
    }
    ck_assert_uint_gt(more, 0);
    base_buf_fini(&a);
    base_buf_fini(&b);
}
END_TEST

/* Sources of pages, merged and written again without limits. */
static void rewrite(struct base_source **sources, size_t n, const struct base_read *cmd,
                    struct base_buf *out)
{
    struct base_source *merge;
    struct base_merge_options options = {
        .reversed = cmd->reversed,
        .keep_tombstones = true,
        .purge = {.now_s = cmd->now_s, .gc_before_s = INT64_MIN, .purgeable_ts = INT64_MAX},
    };
    ck_assert_int_eq(base_merge_open(sources, n, &options, &merge, NULL), BASE_OK);
    ck_assert_int_eq(repl_page_write(merge, cmd->reversed, cmd->now_s, INT64_MIN,
                                     &REPL_PAGE_LIMITS_NONE, out, NULL),
                     BASE_OK);
    merge->ops->close(merge);
}

static struct base_slice body(struct base_slice page, bool reversed)
{
    struct repl_page_end end;
    ck_assert(repl_page_check(page, reversed, &end));
    return base_slice(page.data, end.body_len);
}

#define PAGES_MAX 512

/* Read by pages of these limits to the end; their content is that of one page. */
static void check_paging(struct world *w, const struct repl_page_limits *limits, unsigned round)
{
    struct base_buf whole, glued, pages[PAGES_MAX];
    struct base_source *sources[PAGES_MAX];
    struct repl_page_end end = {0};
    struct base_arena arena;
    size_t n = 0;
    uint64_t rows = 0;
    base_arena_init(&arena);
    base_buf_init(&whole, 1 << 20);
    base_buf_init(&glued, 1 << 20);
    write_whole(w, &w->cmd, &REPL_PAGE_LIMITS_NONE, &whole);
    do {
        ck_assert_uint_lt(n, PAGES_MAX);
        base_buf_init(&pages[n], 1 << 20);
        struct base_read partition, range;
        bool has_partition = false, has_range = n == 0;
        if (n == 0)
            range = w->cmd;
        else
            ck_assert_int_eq(repl_page_continue(&w->cmd, end.pkey, end.ckey, &arena, &partition,
                                                &has_partition, &range, &has_range),
                             BASE_OK);
        ck_assert(!w->cmd.pkey.len || n == 0 || !has_range);
        if (n && has_range) /* behind every row of the partition, also where keys are compared whole
                               (an SSTable's index) */
            ck_assert_int_gt(range.start_pkey.data[end.pkey.len - 1],
                             end.pkey.data[end.pkey.len - 1]);
        struct repl_page_end last = end;
        struct repl_page_writer writer;
        repl_page_begin(&writer, w->cmd.reversed, w->cmd.now_s, w->gc_before_s, limits, &pages[n]);
        const struct lib_store *store = &w->whole;
        for (int i = 0; i < 2; i++) {
            if (i ? !has_range : !has_partition)
                continue;
            struct base_source *source =
                lib_store_read(&store, 1, i ? &range : &partition, w->gc_before_s);
            ck_assert_int_eq(repl_page_add(&writer, source, last.pkey, last.partition_rows, NULL),
                             BASE_OK);
            source->ops->close(source);
        }
        ck_assert_int_eq(repl_page_finish(&writer, NULL, NULL), BASE_OK);
        ck_assert(repl_page_check(base_buf_view(&pages[n]), w->cmd.reversed, &end));
        ck_assert_msg(n == 0 || repl_page_end_compare(&last, &end, w->cmd.reversed) < 0,
                      "round %u: no progress", round);
        rows += end.rows;
        ck_assert_int_eq(
            repl_page_source(base_buf_view(&pages[n]), w->cmd.reversed, NULL, &sources[n], NULL),
            BASE_OK);
        n++;
    } while (end.more);
    rewrite(sources, n, &w->cmd, &glued);
    struct base_slice a = body(base_buf_view(&whole), w->cmd.reversed),
                      b = body(base_buf_view(&glued), w->cmd.reversed);
    ck_assert_msg(base_slice_equal(a, b), "round %u: %zu pages are not the whole", round, n);
    struct repl_page_end all;
    ck_assert(repl_page_check(base_buf_view(&whole), w->cmd.reversed, &all));
    if (repl_page_static_alone(&w->cmd))
        ck_assert_uint_eq(rows, all.rows);
    for (size_t i = 0; i < n; i++)
        base_buf_fini(&pages[i]);
    base_buf_fini(&whole);
    base_buf_fini(&glued);
    base_arena_fini(&arena);
}

START_TEST(pages_together_are_the_whole)
{
    struct rng rng = rng_seeded(test_seed() ^ 12);
    for (unsigned round = 0; round < test_rounds(1500); round++) {
        struct world w;
        world_init(&rng, &w);
        struct repl_page_limits limits = limits_random(&rng);
        limits.partition_rows_max = UINT64_MAX;
        check_paging(&w, &limits, round);
        limits = REPL_PAGE_LIMITS_NONE; /* at every row, and at every item */
        limits.rows_max = 1;
        check_paging(&w, &limits, round);
        limits = REPL_PAGE_LIMITS_NONE;
        limits.bytes_max = 1;
        check_paging(&w, &limits, round);
        world_fini(&w);
    }
}
END_TEST

/* A page up to any end of a shorter one is that shorter one. */
START_TEST(a_source_stops_where_it_is_told)
{
    struct rng rng = rng_seeded(test_seed() ^ 13);
    struct base_buf whole, piece, again;
    base_buf_init(&whole, 1 << 20);
    base_buf_init(&piece, 1 << 20);
    base_buf_init(&again, 1 << 20);
    for (unsigned round = 0; round < test_rounds(1500); round++) {
        struct world w;
        world_init(&rng, &w);
        struct repl_page_limits limits = limits_random(&rng);
        limits.partition_rows_max = UINT64_MAX;
        base_buf_reset(&whole);
        base_buf_reset(&piece);
        base_buf_reset(&again);
        write_whole(&w, &w.cmd, &REPL_PAGE_LIMITS_NONE, &whole);
        write_whole(&w, &w.cmd, &limits, &piece);
        struct repl_page_end end;
        struct base_source *source;
        ck_assert(repl_page_check(base_buf_view(&piece), w.cmd.reversed, &end));
        ck_assert_int_eq(
            repl_page_source(base_buf_view(&whole), w.cmd.reversed, &end, &source, NULL), BASE_OK);
        rewrite(&source, 1, &w.cmd, &again);
        ck_assert_msg(base_slice_equal(body(base_buf_view(&piece), w.cmd.reversed),
                                       body(base_buf_view(&again), w.cmd.reversed)),
                      "round %u", round);
        world_fini(&w);
    }
    base_buf_fini(&whole);
    base_buf_fini(&piece);
    base_buf_fini(&again);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct rng rng = rng_seeded(test_seed() ^ 14);
    struct base_buf page;
    base_buf_init(&page, 1 << 20);
    for (unsigned round = 0; round < test_rounds(200); round++) {
        struct world w;
        struct repl_page_end end;
        world_init(&rng, &w);
        struct repl_page_limits limits = limits_random(&rng);
        base_buf_reset(&page);
        write_whole(&w, &w.cmd, &limits, &page);
        for (size_t len = 0; len < page.len; len++)
            ck_assert_msg(!repl_page_check(base_slice(page.data, len), w.cmd.reversed, &end),
                          "round %u: %zu of %zu bytes", round, len, page.len);
        ck_assert_int_eq(base_buf_put_u8(&page, 0), BASE_OK);
        ck_assert(!repl_page_check(base_buf_view(&page), w.cmd.reversed, &end));
        world_fini(&w);
    }
    base_buf_fini(&page);
}
END_TEST

START_TEST(a_partition_limit_skips_the_rest)
{
    struct lib_store store;
    struct base_buf m, row, page;
    const struct lib_store *stores = &store;
    base_buf_init(&m, 1 << 16);
    base_buf_init(&row, 1 << 16);
    base_buf_init(&page, 1 << 20);
    lib_store_init(&store);
    row_parse("live@3 4=a@3", &row);
    for (uint32_t p = 0; p < 3; p++) {
        for (uint32_t k = 0; k < LIB_KEYS; k++)
            ck_assert_int_eq(base_mutation_put_row(&m, lib_table_id, lib_pkey(p), lib_ckey(k),
                                                   base_buf_view(&row)),
                             BASE_OK);
    }
    lib_store_apply(&store, base_buf_view(&m));
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = base_slices_all;
    struct repl_page_limits limits = {
        .rows_max = 4, .partition_rows_max = 2, .bytes_max = UINT64_MAX};
    struct base_source *source = lib_store_read(&stores, 1, &cmd, INT64_MIN);
    ck_assert_int_eq(repl_page_write(source, false, 0, INT64_MIN, &limits, &page, NULL), BASE_OK);
    source->ops->close(source);
    struct repl_page_end end;
    ck_assert(repl_page_check(base_buf_view(&page), false, &end));
    ck_assert(end.more);
    ck_assert_uint_eq(end.rows, 4);
    ck_assert(base_slice_equal(end.pkey, lib_pkey(1)) && end.ckey.len == 0);
    lib_store_fini(&store);
    base_buf_fini(&m);
    base_buf_fini(&row);
    base_buf_fini(&page);
}
END_TEST

/* What a store puts under partitions that may have data from before a TRUNCATE is no content. */
START_TEST(a_truncation_leaves_no_trace)
{
    struct lib_store store;
    struct base_buf m, page;
    const struct lib_store *stores = &store;
    struct base_read cmd = BASE_READ_INIT;
    struct repl_page_writer w;
    struct repl_page_end end;
    base_buf_init(&m, 1 << 16);
    base_buf_init(&page, 1 << 20);
    lib_store_init(&store);
    for (int64_t ts = 5; ts <= 7; ts++)
        ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey((uint32_t)ts - 5),
                                           (struct base_deletion){ts, 20}, (struct base_slice){0},
                                           NULL, 0, NULL, 0),
                         BASE_OK);
    struct base_range_deletion range = {lib_bound(1, false), lib_bound(2, true), {6, 20}};
    ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey(3), BASE_DELETION_NONE,
                                       (struct base_slice){0}, &range, 1, NULL, 0),
                     BASE_OK);
    lib_store_apply(&store, base_buf_view(&m));
    cmd.slices = base_slices_all;
    struct base_source *source = lib_store_read(&stores, 1, &cmd, INT64_MIN);
    repl_page_begin(&w, false, 25, INT64_MIN, &REPL_PAGE_LIMITS_NONE, &page);
    w.floor_ts = 6;
    ck_assert_int_eq(repl_page_add(&w, source, (struct base_slice){0}, 0, NULL), BASE_OK);
    ck_assert_int_eq(repl_page_finish(&w, NULL, NULL), BASE_OK);
    source->ops->close(source);
    ck_assert(repl_page_check(base_buf_view(&page), false, &end));
    ck_assert_int_eq(repl_page_source(base_buf_view(&page), false, NULL, &source, NULL), BASE_OK);
    struct base_partition part;
    ck_assert_int_eq(source->ops->partition(source, &part, NULL), BASE_OK);
    ck_assert(base_slice_equal(part.pkey, lib_pkey(2)) && part.deletion.ts == 7);
    ck_assert_int_eq(source->ops->partition(source, &part, NULL), BASE_OK);
    ck_assert_uint_eq(part.pkey.len, 0);
    source->ops->close(source);
    lib_store_fini(&store);
    base_buf_fini(&m);
    base_buf_fini(&page);
}
END_TEST

/* The rest of a partition after some of its rows: its deletion is in that page too, rows or none,
 * for another replica may have rows there that the deletion covers (found by
 * tests/sim/cluster_sim). */
START_TEST(a_deletion_is_in_each_page)
{
    struct lib_store store;
    struct base_buf m, page;
    const struct lib_store *stores = &store;
    struct repl_page_writer w;
    struct base_partition part;
    struct base_read cmd = BASE_READ_INIT;
    base_buf_init(&m, 1 << 20);
    base_buf_init(&page, 1 << 20);
    lib_store_init(&store);
    ck_assert_int_eq(base_mutation_put(&m, lib_table_id, lib_pkey(2), (struct base_deletion){7, 20},
                                       (struct base_slice){0}, NULL, 0, NULL, 0),
                     BASE_OK);
    lib_store_apply(&store, base_buf_view(&m));
    cmd.table_id = lib_table_id;
    cmd.pkey = lib_pkey(2);
    cmd.slices = base_slices_all;
    struct base_source *source = lib_store_read(&stores, 1, &cmd, INT64_MIN);
    repl_page_begin(&w, false, 25, INT64_MIN, &REPL_PAGE_LIMITS_NONE, &page);
    ck_assert_int_eq(repl_page_add(&w, source, cmd.pkey, 3, NULL), BASE_OK);
    ck_assert_int_eq(repl_page_finish(&w, NULL, NULL), BASE_OK);
    source->ops->close(source);
    ck_assert_int_eq(repl_page_source(base_buf_view(&page), false, NULL, &source, NULL), BASE_OK);
    ck_assert_int_eq(source->ops->partition(source, &part, NULL), BASE_OK);
    ck_assert(base_slice_equal(part.pkey, lib_pkey(2)) && part.deletion.ts == 7);
    source->ops->close(source);
    lib_store_fini(&store);
    base_buf_fini(&m);
    base_buf_fini(&page);
}
END_TEST

/* A row that fits no message is an error that says so; before it the page ends. */
START_TEST(a_row_may_be_too_large)
{
    struct lib_store store;
    struct base_buf m, row, page;
    const struct lib_store *stores = &store;
    static uint8_t value[2000000];
    base_buf_init(&m, 8 << 20);
    base_buf_init(&row, 8 << 20);
    base_buf_init(&page, 1 << 20);
    lib_store_init(&store);
    row_parse("live@3 4=a@3", &row);
    ck_assert_int_eq(
        base_mutation_put_row(&m, lib_table_id, lib_pkey(0), lib_ckey(0), base_buf_view(&row)),
        BASE_OK);
    struct base_row_builder b;
    base_buf_reset(&row);
    ck_assert_int_eq(base_row_begin(&b, &row, 3), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 4, base_slice(value, sizeof value)), BASE_OK);
    base_row_end(&b);
    ck_assert_int_eq(
        base_mutation_put_row(&m, lib_table_id, lib_pkey(0), lib_ckey(1), base_buf_view(&row)),
        BASE_OK);
    lib_store_apply(&store, base_buf_view(&m));
    struct base_read cmd = BASE_READ_INIT;
    cmd.pkey = lib_pkey(0);
    cmd.slices = base_slices_all;
    struct base_source *source = lib_store_read(&stores, 1, &cmd, INT64_MIN);
    ck_assert_int_eq(
        repl_page_write(source, false, 0, INT64_MIN, &REPL_PAGE_LIMITS_NONE, &page, NULL), BASE_OK);
    source->ops->close(source);
    struct repl_page_end end;
    ck_assert(repl_page_check(base_buf_view(&page), false, &end));
    ck_assert(end.more && base_slice_equal(end.ckey, lib_ckey(0)));
    struct base_read partition, range;
    struct base_arena arena;
    bool has_partition, has_range;
    base_arena_init(&arena);
    ck_assert_int_eq(repl_page_continue(&cmd, end.pkey, end.ckey, &arena, &partition,
                                        &has_partition, &range, &has_range),
                     BASE_OK);
    ck_assert(has_partition && !has_range);
    source = lib_store_read(&stores, 1, &partition, INT64_MIN);
    struct base_err err = {0};
    size_t before = page.len;
    ck_assert_int_eq(
        repl_page_write(source, false, 0, INT64_MIN, &REPL_PAGE_LIMITS_NONE, &page, &err),
        BASE_E_LIMIT);
    ck_assert_uint_eq(page.len, before);
    ck_assert_msg(strstr(err.text, "2000") && strstr(err.text, "does not fit"), "%s", err.text);
    source->ops->close(source);
    base_arena_fini(&arena);
    lib_store_fini(&store);
    base_buf_fini(&m);
    base_buf_fini(&row);
    base_buf_fini(&page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication/page");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, equal_content_is_equal_bytes);
    tcase_add_test(tc, pages_together_are_the_whole);
    tcase_add_test(tc, a_source_stops_where_it_is_told);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, a_partition_limit_skips_the_rest);
    tcase_add_test(tc, a_truncation_leaves_no_trace);
    tcase_add_test(tc, a_deletion_is_in_each_page);
    tcase_add_test(tc, a_row_may_be_too_large);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
