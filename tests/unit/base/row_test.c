/* Rows: codec, builder, the tie rules, the laws of merging, purging. Without these two replicas
 * could keep different cells for ever, or a deleted value come back. */
#include <check.h>
#include <stdio.h>

#include "tests/unit/base/row_lib.h"

/* Codec. */

START_TEST(codec_round_trip)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, &out, 1000), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 60, 5000), BASE_OK);
    ck_assert_int_eq(base_row_put_deletion(&b, (struct base_deletion){-7, 77}), BASE_OK);
    ck_assert_int_eq(base_row_put_originals(&b, base_slice_str("orig")), BASE_OK);
    const struct base_cell cells[] = {
        {.column = 0, .ts = 1000, .value = BASE_SLICE_LIT("plain")},
        {.column = 3, .ts = INT64_MAX, .value = {0}},
        {.column = 3 + 200, .flags = BASE_CELL_DEAD, .ts = -5, .local_s = 9},
        {.column = 300,
         .flags = BASE_CELL_EXPIRING,
         .ts = 1000,
         .ttl = 60,
         .local_s = 70,
         .value = BASE_SLICE_LIT("v")},
        {.column = 301, .flags = BASE_CELL_COMPLEX_DELETION, .ts = 999, .local_s = 8},
        {.column = 301,
         .ts = 1000,
         .path = BASE_SLICE_LIT("a"),
         .path_original = BASE_SLICE_LIT("A"),
         .value = BASE_SLICE_LIT("x")},
        {.column = 301, .ts = INT64_MIN + 1, .path = BASE_SLICE_LIT("b")},
        {.column = UINT32_MAX, .flags = BASE_CELL_COUNTER, .ts = 1000},
    };
    for (size_t i = 0; i < BASE_COUNT(cells); i++)
        ck_assert_int_eq(base_row_put_cell(&b, &cells[i]), BASE_OK);
    base_row_end(&b);
    ck_assert(base_row_check(base_buf_view(&out)));

    struct base_row row;
    ck_assert(base_row_decode(base_buf_view(&out), &row));
    ck_assert_int_eq(row.row_ts, 1000);
    ck_assert_int_eq(row.ttl, 60);
    ck_assert_int_eq(row.expires_s, 5000);
    ck_assert_int_eq(row.deletion.ts, -7);
    ck_assert_int_eq(row.deletion.local_s, 77);
    ck_assert(base_slice_equal(row.originals, base_slice_str("orig")));
    ck_assert_int_eq(row.flags, 0x3f);
    struct base_cells it = base_cells_begin(&row);
    struct base_cell cell;
    for (size_t i = 0; i < BASE_COUNT(cells); i++) {
        ck_assert_int_eq(base_cells_next(&it, &cell), 1);
        ck_assert_uint_eq(cell.column, cells[i].column);
        ck_assert_int_eq(cell.ts, cells[i].ts);
        ck_assert_int_eq(cell.ttl, cells[i].ttl);
        ck_assert_int_eq(cell.local_s, cells[i].local_s);
        ck_assert(base_slice_equal(cell.path, cells[i].path));
        ck_assert(base_slice_equal(cell.path_original, cells[i].path_original));
        ck_assert(base_slice_equal(cell.value, cells[i].value));
    }
    ck_assert_int_eq(base_cells_next(&it, &cell), 0);

    for (size_t cut = 0; cut < BASE_ROW_HEAD_LEN; cut++)
        ck_assert(!base_row_decode(base_slice(out.data, cut), &row));
    base_buf_fini(&out);
}
END_TEST

START_TEST(void_rows_are_not_written)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(base_buf_put(&out, "x", 1), BASE_OK);
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, &out, 5), BASE_OK);
    ck_assert_int_eq(base_row_put_originals(&b, base_slice_str("orig")), BASE_OK);
    base_row_end(&b);
    ck_assert_uint_eq(out.len, 1);
    uint8_t empty[BASE_ROW_HEAD_LEN] = {0};
    ck_assert(!base_row_check(base_slice(empty, sizeof empty)));
    base_buf_fini(&out);
}
END_TEST

START_TEST(builder_cuts_back_on_limit)
{
    struct base_buf out;
    base_buf_init(&out, 300);
    ck_assert_int_eq(base_buf_put(&out, "keep", 4), BASE_OK);
    struct base_row_builder b;
    uint8_t big[400] = {0};
    ck_assert_int_eq(base_row_begin(&b, &out, 5), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 1, base_slice(big, 10)), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 2, base_slice(big, sizeof big)), BASE_E_LIMIT);
    ck_assert_uint_eq(out.len, 4);
    base_buf_fini(&out);
}
END_TEST

START_TEST(check_refuses)
{
    static const struct {
        const char *what;
        uint8_t bytes[24];
        size_t len;
    } cases[] = {
        {"unknown row flag", {0x41, 1}, 9},
        {"TTL without liveness", {0x02, 1, 0, 0, 0, 0, 0, 0, 0, 5, 5}, 11},
        {"TTL of zero", {0x03, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5}, 11},
        {"head cut in its TTL", {0x03, 1, 0, 0, 0, 0, 0, 0, 0, 5}, 10},
        {"dead and expiring", {0x10, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x03, 5, 5}, 13},
        {"dead cell without MORTAL", {0x00, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x01, 5}, 12},
        {"MORTAL without need", {0x11, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x00, 1, 'x'}, 13},
        {"own timestamp without OWN_TS", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x0c, 5}, 12},
        {"one column twice", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'x', 0, 0, 1, 'y'}, 17},
        {"empty value not flagged", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 12},
        {"value past the end", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9, 'x'}, 13},
        {"paths descend", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x18, 1, 'b', 0, 0x18, 1, 'a'}, 17},
        {"complex deletion after a cell",
         {0x11, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x18, 1, 'b', 0, 0x40, 3},
         16},
        {"half a shard", {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 3, 1, 2, 3}, 15},
        {"liveness without a timestamp", {0x01, 0, 0, 0, 0, 0, 0, 0, 0x80}, 9},
        {"empty originals", {0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 10},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++)
        ck_assert_msg(!base_row_check(base_slice(cases[i].bytes, cases[i].len)), "accepted: %s",
                      cases[i].what);
    static const uint8_t good[] = {0x01, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x18, 1, 'a', 0, 0x18, 1, 'b'};
    ck_assert(base_row_check(base_slice(good, sizeof good)));
}
END_TEST

/* Tie rules. */

static void wins(const struct base_cell *a, const struct base_cell *b, int line)
{
    ck_assert_msg(base_cell_compare(a, b) < 0, "line %d", line);
    ck_assert_msg(base_cell_compare(b, a) > 0, "line %d, turned round", line);
    ck_assert_msg(base_cell_compare(a, a) == 0 && base_cell_compare(b, b) == 0, "line %d, itself",
                  line);
}
#define CELL(...)                                                                                  \
    {                                                                                              \
        .ts = 10, __VA_ARGS__                                                                      \
    }

START_TEST(cell_ties)
{
    struct base_cell live = CELL(.value = BASE_SLICE_LIT("m"));
    struct base_cell dead = CELL(.flags = BASE_CELL_DEAD, .local_s = 5);
    struct base_cell expiring =
        CELL(.flags = BASE_CELL_EXPIRING, .ttl = 10, .local_s = 50, .value = BASE_SLICE_LIT("m"));
    struct base_cell other = live;
    other.ts = 11, other.value = BASE_SLICE_LIT("a");
    wins(&other, &live, __LINE__); /* the greater timestamp, whatever else */
    wins(&other, &dead, __LINE__);
    wins(&dead, &live, __LINE__);
    wins(&dead, &expiring, __LINE__); /* also when the expiring one ends later */
    wins(&expiring, &live, __LINE__);
    other = expiring, other.value = BASE_SLICE_LIT("a");
    other.local_s = 51;
    wins(&other, &expiring, __LINE__); /* CASSANDRA-14592: the later expiry before the value */
    other.local_s = 50, other.ttl = 9;
    wins(&other, &expiring, __LINE__); /* the smaller TTL before the value */
    other.ttl = 10;
    wins(&expiring, &other, __LINE__); /* then the value */
    other = dead, other.local_s = 6;
    wins(&other, &dead, __LINE__);
    other = live, other.value = BASE_SLICE_LIT("n");
    wins(&other, &live, __LINE__);
    other.value = BASE_SLICE_LIT("m\0");
    wins(&other, &live, __LINE__);
    other.value = BASE_SLICE_LIT("\xff");
    wins(&other, &live, __LINE__); /* unsigned bytes */
    other = live, other.path_original = BASE_SLICE_LIT("p");
    wins(&other, &live, __LINE__);
    struct base_cell counter = CELL(.flags = BASE_CELL_COUNTER);
    counter.ts = 99;
    wins(&dead, &counter, __LINE__); /* CASSANDRA-7346 */
}
END_TEST

/* Rows in a few letters (row_lib.h): merge them and compare with the expected text. */
static void merges_to(const char *a, const char *b, struct base_deletion covering,
                      const char *expected, int line)
{
    struct base_buf rows[3], text;
    for (int i = 0; i < 3; i++)
        base_buf_init(&rows[i], 1 << 20);
    base_buf_init(&text, 1 << 20);
    row_parse(a, &rows[0]);
    row_parse(b, &rows[1]);
    for (int turn = 0; turn < 2; turn++) {
        struct base_slice versions[2] = {base_buf_view(&rows[turn]), base_buf_view(&rows[!turn])};
        base_buf_reset(&rows[2]);
        base_buf_reset(&text);
        ck_assert_int_eq(base_row_merge(versions, 2, covering, &rows[2]), BASE_OK);
        row_print(base_buf_view(&rows[2]), &text);
        ck_assert_msg(strcmp((char *)text.data, expected) == 0,
                      "line %d, turn %d: %s + %s = %s, expected %s", line, turn, a, b,
                      (char *)text.data, expected);
        ck_assert(rows[2].len == 0 || base_row_check(base_buf_view(&rows[2])));
    }
    for (int i = 0; i < 3; i++)
        base_buf_fini(&rows[i]);
    base_buf_fini(&text);
}
#define MERGES(a, b, expected) merges_to(a, b, BASE_DELETION_NONE, expected, __LINE__)
#define MERGES_UNDER(ts, local, a, b, expected)                                                    \
    merges_to(a, b, (struct base_deletion){ts, local}, expected, __LINE__)

START_TEST(row_merge_known_answers)
{
    MERGES("live@5 1=a@5", "1=b@6", "live@5 1=b@6");
    MERGES("live@5", "live@6", "live@6");
    MERGES("live@5", "live@5~10/50", "live@5~10/50");       /* expiring over not expiring */
    MERGES("live@5~10/50", "live@5~10/60", "live@5~10/60"); /* the later expiry */
    MERGES("live@5~10/50", "live@5~9/50", "live@5~9/50");   /* the smaller TTL */
    /* a deletion covers its own timestamp */
    MERGES("live@5 1=a@5", "del@5/9", "del@5/9");
    MERGES("live@6 1=a@4 2=b@7", "del@5/9", "live@6 del@5/9 2=b@7");
    MERGES("del@5/9", "del@5/8", "del@5/9");
    MERGES("del@5/9", "del@6/8", "del@6/8");
    MERGES("1x@5/9", "1=a@5", "1x@5/9");
    MERGES("1![@5/9", "1[k]=a@5 1[l]=b@6", "1![@5/9 1[l]=b@6");
    MERGES("1![@5/9 1[a]=x@6", "1![@7/3 2=c@1", "1![@7/3 2=c@1");
    MERGES("del@9/1 1![@10/9", "1![@8/9 1[l]=b@11", "del@9/1 1![@10/9 1[l]=b@11");
    /* a weaker complex deletion says nothing */
    MERGES("del@9/1", "1![@8/9 1[l]=b@11", "del@9/1 1[l]=b@11");
    MERGES("1[a]=x@1 1[c]=y@1", "1[b]=z@1 1[c]=w@2", "1[a]=x@1 1[b]=z@1 1[c]=w@2");
    MERGES_UNDER(5, 9, "live@5 1=a@5", "1=b@6", "1=b@6");
    MERGES_UNDER(5, 9, "live@5 1=a@5", "1=b@4", "");
    MERGES_UNDER(5, 9, "del@5/9", "1=b@6", "1=b@6");           /* equal to what covers it: gone */
    MERGES_UNDER(5, 9, "del@5/10", "1=b@6", "del@5/10 1=b@6"); /* a later local time: stays */
    MERGES_UNDER(5, 9, "1![@4/9", "1![@5/9 1[l]=b@6", "1[l]=b@6");
    /* originals: of the newest; on a tie the greatest; none is the lowest */
    MERGES("orig=1.0 1=a@5", "orig=1.00 1=b@4", "orig=1.0 1=a@5");
    MERGES("orig=1.0 1=a@5", "orig=1.00 2=b@5", "orig=1.00 1=a@5 2=b@5");
    MERGES("1=a@5", "orig=1.00 2=b@5", "orig=1.00 1=a@5 2=b@5");
    MERGES("1=a@6", "orig=1.00 2=b@5", "1=a@6 2=b@5");
}
END_TEST

START_TEST(counters_merge_by_shard)
{
    struct base_buf a, b, out;
    base_buf_init(&a, 1000);
    base_buf_init(&b, 1000);
    base_buf_init(&out, 1000);
    shard_put(&a, 1, 3, 30), shard_put(&a, 2, 1, 5), shard_put(&a, 4, 7, -1);
    shard_put(&b, 2, 2, 4), shard_put(&b, 3, 1, 100), shard_put(&b, 4, 7, 2);
    for (int turn = 0; turn < 2; turn++) {
        base_buf_reset(&out);
        ck_assert_int_eq(
            base_counter_merge(base_buf_view(turn ? &b : &a), base_buf_view(turn ? &a : &b), &out),
            BASE_OK);
        int64_t total;
        ck_assert(base_counter_total(base_buf_view(&out), &total));
        ck_assert_int_eq(total, 30 + 4 + 100 + 2);
    }
    base_buf_reset(&out);
    ck_assert_int_eq(base_counter_merge(base_slice(a.data, a.len - 1), base_buf_view(&b), &out),
                     BASE_E_CORRUPT);
    ck_assert_uint_eq(out.len, 0);
    base_buf_reset(&a);
    shard_put(&a, 2, 1, 1), shard_put(&a, 1, 1, 1);
    ck_assert_int_eq(base_counter_merge(base_buf_view(&a), base_buf_view(&b), &out),
                     BASE_E_CORRUPT);
    base_buf_fini(&a);
    base_buf_fini(&b);
    base_buf_fini(&out);
}
END_TEST

/* Shards of hosts 0 … 3, each maybe. */
static void counter_random(struct rng *rng, struct base_buf *out)
{
    struct base_buf context;
    struct base_row_builder b;
    base_buf_init(&context, 1000);
    for (uint8_t host = 0; host < 4; host++) {
        if (below(rng, 2))
            shard_put(&context, host, below(rng, 3), below(rng, 3));
    }
    struct base_cell cell = {.column = 3,
                             .ts = below(rng, 3),
                             .flags = BASE_CELL_COUNTER,
                             .value = base_buf_view(&context)};
    if (below(rng, 8) == 0)
        cell = (struct base_cell){
            .column = 3, .ts = below(rng, 3), .flags = BASE_CELL_DEAD, .local_s = below(rng, 3)};
    ck_assert_int_eq(base_row_begin(&b, out, 1), BASE_OK);
    ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    base_row_end(&b);
    base_buf_fini(&context);
}

START_TEST(counter_laws_hold)
{
    struct rng rng = rng_seeded(test_seed() ^ 3);
    struct base_buf rows[3], left[2], right[2];
    struct base_buf *all[] = {&rows[0], &rows[1],  &rows[2], &left[0],
                              &left[1], &right[0], &right[1]};
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 1000);
    for (unsigned round = 0; round < test_rounds(20000); round++) {
        for (size_t i = 0; i < BASE_COUNT(all); i++)
            base_buf_reset(all[i]);
        for (int i = 0; i < 3; i++)
            counter_random(&rng, &rows[i]);
        struct base_slice ab[2] = {base_buf_view(&rows[0]), base_buf_view(&rows[1])};
        struct base_slice cb[2] = {base_buf_view(&rows[2]), base_buf_view(&rows[1])};
        ck_assert_int_eq(base_row_merge(ab, 2, BASE_DELETION_NONE, &left[0]), BASE_OK);
        ck_assert_int_eq(base_row_merge(cb, 2, BASE_DELETION_NONE, &right[0]), BASE_OK);
        struct base_slice ab_c[3] = {base_buf_view(&left[0]), base_buf_view(&rows[2]),
                                     base_buf_view(&left[0])};
        struct base_slice cb_a[2] = {base_buf_view(&right[0]), base_buf_view(&rows[0])};
        ck_assert_int_eq(base_row_merge(ab_c, 3, BASE_DELETION_NONE, &left[1]), BASE_OK);
        ck_assert_int_eq(base_row_merge(cb_a, 2, BASE_DELETION_NONE, &right[1]), BASE_OK);
        ck_assert_msg(base_slice_equal(base_buf_view(&left[1]), base_buf_view(&right[1])),
                      "round %u", round);
        ck_assert(base_row_check(base_buf_view(&left[1])));
    }
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
}
END_TEST

/* Laws. */

/* Merge in a random tree of groups; under the covering deletion only at the root, or everywhere. */
static void merge_tree(struct rng *rng, const struct base_slice *rows, size_t n,
                       struct base_deletion covering, bool early, struct base_buf *out)
{
    struct base_deletion inner = early ? covering : BASE_DELETION_NONE;
    if (n == 1 || below(rng, 4) == 0) {
        ck_assert_int_eq(base_row_merge(rows, n, covering, out), BASE_OK);
        return;
    }
    size_t cut = 1 + below(rng, (uint32_t)n - 1), count = 0;
    struct base_buf halves[2];
    struct base_slice parts[2];
    for (int i = 0; i < 2; i++) {
        base_buf_init(&halves[i], 1 << 20);
        merge_tree(rng, i ? rows + cut : rows, i ? n - cut : cut, inner, early, &halves[i]);
        if (halves[i].len)
            parts[count++] = base_buf_view(&halves[i]);
    }
    if (count)
        ck_assert_int_eq(base_row_merge(parts, count, covering, out), BASE_OK);
    base_buf_fini(&halves[0]);
    base_buf_fini(&halves[1]);
}

static void explain_one(const char *what, struct base_slice row)
{
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    row_print(row, &text);
    printf("%s: %s\n", what, (char *)text.data);
    base_buf_fini(&text);
}

static void merge_explain(const struct base_slice *rows, size_t n, struct base_deletion covering,
                          const struct base_buf *expected, const struct base_buf *got)
{
    for (size_t i = 0; i < n; i++)
        explain_one("version", rows[i]);
    printf("covering: %lld/%lld\n", (long long)covering.ts, (long long)covering.local_s);
    explain_one("at once", base_buf_view(expected));
    explain_one("by parts", base_buf_view(got));
    fflush(stdout);
}

START_TEST(merge_laws_hold)
{
    uint64_t seed = test_seed();
    struct rng rng = rng_seeded(seed);
    struct base_buf rows[24], expected, got;
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        base_buf_init(&rows[i], 1 << 20);
    base_buf_init(&expected, 1 << 20);
    base_buf_init(&got, 1 << 20);
    for (unsigned round = 0; round < test_rounds(20000); round++) {
        size_t n = 1 + below(&rng, round % 50 == 0 ? 24 : 5);
        bool plain = below(&rng, 3) == 0;
        struct base_slice views[25];
        for (size_t i = 0; i < n; i++) {
            base_buf_reset(&rows[i]);
            plain ? row_random_plain(&rng, &rows[i]) : row_random(&rng, &rows[i]);
            ck_assert_msg(base_row_check(base_buf_view(&rows[i])), "seed %llu round %u",
                          (unsigned long long)seed, round);
            views[i] = base_buf_view(&rows[i]);
        }
        struct base_deletion covering = deletion_random(&rng, 60);
        base_buf_reset(&expected);
        ck_assert_int_eq(base_row_merge(views, n, covering, &expected), BASE_OK);
        ck_assert(expected.len == 0 || base_row_check(base_buf_view(&expected)));
        for (size_t i = n; i > 1; i--) { /* shuffle */
            size_t j = below(&rng, (uint32_t)i);
            struct base_slice swap = views[i - 1];
            views[i - 1] = views[j];
            views[j] = swap;
        }
        views[n] = views[below(&rng, (uint32_t)n)]; /* one of them twice */
        base_buf_reset(&got);
        merge_tree(&rng, views, n + 1, covering, below(&rng, 2), &got);
        if (!base_slice_equal(base_buf_view(&expected), base_buf_view(&got)))
            merge_explain(views, n + 1, covering, &expected, &got);
        ck_assert_msg(base_slice_equal(base_buf_view(&expected), base_buf_view(&got)),
                      "commutative and associative: seed %llu round %u", (unsigned long long)seed,
                      round);
        if (expected.len == 0)
            continue;
        struct base_slice twice[2] = {base_buf_view(&expected), base_buf_view(&expected)};
        base_buf_reset(&got);
        ck_assert_int_eq(base_row_merge(twice, 1 + below(&rng, 2), covering, &got), BASE_OK);
        ck_assert_msg(base_slice_equal(base_buf_view(&expected), base_buf_view(&got)),
                      "idempotent: seed %llu round %u", (unsigned long long)seed, round);
    }
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        base_buf_fini(&rows[i]);
    base_buf_fini(&expected);
    base_buf_fini(&got);
}
END_TEST

/* Time. */

static void purges_to(const char *row, struct base_purge purge, const char *expected,
                      bool expected_live, int line)
{
    struct base_buf in, out, text;
    base_buf_init(&in, 1 << 20);
    base_buf_init(&out, 1 << 20);
    base_buf_init(&text, 1 << 20);
    row_parse(row, &in);
    bool changed, live;
    ck_assert_int_eq(base_row_purge(base_buf_view(&in), &purge, &out, &changed, &live), BASE_OK);
    if (!changed)
        ck_assert_uint_eq(out.len, 0);
    row_print(base_buf_view(changed ? &out : &in), &text);
    ck_assert_msg(strcmp((char *)text.data, expected) == 0, "line %d: %s became %s, expected %s",
                  line, row, (char *)text.data, expected);
    ck_assert_msg(changed == (strcmp(row, expected) != 0), "line %d: changed", line);
    ck_assert_msg(live == expected_live, "line %d: live", line);
    base_buf_reset(&out);
    ck_assert_int_eq(base_row_purge(base_buf_view(&in), &purge, &out, NULL, NULL), BASE_OK);
    base_buf_reset(&text);
    row_print(base_buf_view(&out), &text);
    ck_assert_msg(strcmp((char *)text.data, expected) == 0, "line %d: without changed: %s", line,
                  (char *)text.data);
    base_buf_fini(&in);
    base_buf_fini(&out);
    base_buf_fini(&text);
}
#define READ(now)                                                                                  \
    (struct base_purge)                                                                            \
    {                                                                                              \
        .now_s = now, .live_only = true                                                            \
    }
#define KEEP(now)                                                                                  \
    (struct base_purge)                                                                            \
    {                                                                                              \
        .now_s = now, .gc_before_s = INT64_MIN, .purgeable_ts = INT64_MAX                          \
    }
#define COMPACT(now, gc_before, purgeable)                                                         \
    (struct base_purge)                                                                            \
    {                                                                                              \
        .now_s = now, .gc_before_s = gc_before, .purgeable_ts = purgeable                          \
    }
#define PURGES(row, purge, expected, live) purges_to(row, purge, expected, live, __LINE__)

START_TEST(purge_known_answers)
{
    PURGES("live@5 1=a@5", READ(100), "live@5 1=a@5", true);
    PURGES("live@5~10/50", READ(49), "live@5~10/50", true);
    PURGES("live@5~10/50", READ(50), "", false); /* expires at 50: not there at 50 */
    PURGES("live@5~10/50", KEEP(50), "live@5~10/50", false);
    PURGES("1=a@5~10/50", READ(49), "1=a@5~10/50", true);
    PURGES("1=a@5~10/50", READ(50), "", false);
    PURGES("1=a@5~10/50", KEEP(50), "1x@5/40", false); /* made at expiry - ttl */
    PURGES("1=a@5~60/50", KEEP(50), "1x@5/0", false);
    PURGES("1=a@5~10/50 2=b@5", READ(50), "2=b@5", true);
    PURGES("live@5 1x@5/40", READ(50), "live@5", true);
    PURGES("live@7 del@5/3 1=a@8", READ(50), "live@7 1=a@8", true);
    PURGES("del@5/3", READ(50), "", false);
    PURGES("1![@5/3 1[a]=b@6", READ(50), "1[a]=b@6", true);
    PURGES("del@5/3", KEEP(50), "del@5/3", false);
    PURGES("del@5/3", COMPACT(50, 3, 100), "del@5/3", false); /* local_s < gc_before, strictly */
    PURGES("del@5/3", COMPACT(50, 4, 100), "", false);
    PURGES("del@5/3", COMPACT(50, 4, 5), "del@5/3", false); /* ts < purgeable_ts, strictly */
    PURGES("del@5/3", COMPACT(50, 4, 6), "", false);
    PURGES("1x@5/40 2=b@5", COMPACT(50, 41, 100), "2=b@5", true);
    PURGES("1=a@5~10/50 2=b@5", COMPACT(50, 41, 100), "2=b@5", true);
    PURGES("1=a@5~10/50 2=b@5", COMPACT(50, 40, 100), "1x@5/40 2=b@5", true);
    /* liveness: its expiry counts */
    PURGES("live@5~10/50 2=b@5", COMPACT(60, 50, 100), "live@5~10/50 2=b@5", true);
    PURGES("live@5~10/50 2=b@5", COMPACT(60, 51, 100), "2=b@5", true);
    PURGES("1![@5/3 1[a]x@6/40 1[b]=c@7", COMPACT(50, 41, 100), "1[b]=c@7", true);
    PURGES("1![@5/3 1[a]x@6/40 1[b]=c@7", COMPACT(50, 40, 100), "1[a]x@6/40 1[b]=c@7", true);
    PURGES("orig=1.00 1x@5/40 2=b@5", COMPACT(50, 41, 100), "orig=1.00 2=b@5", true);
    /* what a row's own deletions shadow goes, even with the deletion that did it */
    PURGES("del@9/3 1=a@8 2=b@10", COMPACT(50, 4, 100), "2=b@10", true);
    PURGES("1![@5/3 1[a]=x@5 1[b]=c@7", READ(50), "1[b]=c@7", true);
    /* of one timestamp the later made deletion says more, in a row as in a merge */
    PURGES("del@5/3 1![@5/4 1[b]=c@7", KEEP(50), "del@5/3 1![@5/4 1[b]=c@7", true);
    PURGES("del@5/3 1![@5/3 1[b]=c@7", KEEP(50), "del@5/3 1[b]=c@7", true);
}
END_TEST

/* A merged row's history goes on: purged now and read later is what it is when read later. */
START_TEST(purge_laws_hold)
{
    uint64_t seed = test_seed();
    struct rng rng = rng_seeded(seed ^ 77);
    struct base_buf in, merged, kept, later, direct;
    struct base_buf *all[] = {&in, &merged, &kept, &later, &direct};
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 1 << 20);
    for (unsigned round = 0; round < test_rounds(20000); round++) {
        for (size_t i = 0; i < BASE_COUNT(all); i++)
            base_buf_reset(all[i]);
        row_random(&rng, &in);
        struct base_slice one = base_buf_view(&in);
        ck_assert_int_eq(base_row_merge(&one, 1, BASE_DELETION_NONE, &merged), BASE_OK);
        one = base_buf_view(&merged);
        if (one.len == 0)
            continue;
        int64_t now = below(&rng, 60), then = now + below(&rng, 60);
        bool gc = below(&rng, 2);
        struct base_purge compact = {
            .now_s = now, .gc_before_s = gc ? now - 5 : INT64_MIN, .purgeable_ts = below(&rng, 30)};
        struct base_purge read = {.now_s = then, .live_only = true};
        bool changed, live, live_direct;
        ck_assert_int_eq(base_row_purge(one, &compact, &kept, NULL, NULL), BASE_OK);
        ck_assert_int_eq(base_row_purge(one, &read, &direct, NULL, &live_direct), BASE_OK);
        ck_assert(live_direct == (direct.len > 0));
        if (kept.len == 0) {
            ck_assert_msg(direct.len == 0, "live rows purged: seed %llu round %u",
                          (unsigned long long)seed, round);
            continue;
        }
        ck_assert(base_row_check(base_buf_view(&kept)));
        ck_assert_int_eq(base_row_purge(base_buf_view(&kept), &read, &later, NULL, &live), BASE_OK);
        ck_assert_msg(base_slice_equal(base_buf_view(&later), base_buf_view(&direct)),
                      "read after purge: seed %llu round %u", (unsigned long long)seed, round);
        base_buf_reset(&later);
        ck_assert_int_eq(base_row_purge(base_buf_view(&kept), &compact, &later, &changed, &live),
                         BASE_OK);
        ck_assert_msg(!changed, "purge is idempotent: seed %llu round %u", (unsigned long long)seed,
                      round);
    }
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
}
END_TEST

START_TEST(stats_of_a_row)
{
    struct base_buf in;
    base_buf_init(&in, 1 << 20);
    row_parse("live@50~7/90 del@40/3 1=a@60~10/80 2x@70/60 3![@45/2 3[k]=v@55", &in);
    struct base_row_stats stats = BASE_ROW_STATS_INIT;
    ck_assert(base_row_stats(base_buf_view(&in), &stats));
    ck_assert_int_eq(stats.ts_min, 40);
    ck_assert_int_eq(stats.ts_max, 70);
    ck_assert_int_eq(stats.local_s_min, 2);
    ck_assert_int_eq(stats.local_s_max, 90);
    ck_assert_int_eq(stats.ttl_max, 10);
    ck_assert_uint_eq(stats.cell_count, 3);
    ck_assert_uint_eq(stats.tombstone_count, 3);
    base_buf_fini(&in);
}
END_TEST

/* Damage. */

/* Flipped, cut and random bytes: nothing crashes (run under ASan in CI), and what check accepts
 * merges. */
START_TEST(damage_is_survived)
{
    struct rng rng = rng_seeded(test_seed() ^ 99);
    struct base_buf in, out;
    base_buf_init(&in, 1 << 20);
    base_buf_init(&out, 1 << 20);
    for (unsigned round = 0; round < test_rounds(30000); round++) {
        base_buf_reset(&in);
        base_buf_reset(&out);
        row_random(&rng, &in);
        size_t len = below(&rng, 4) ? in.len : below(&rng, (uint32_t)in.len + 1);
        for (uint32_t flips = below(&rng, 4); flips > 0; flips--)
            in.data[below(&rng, (uint32_t)in.len)] = (uint8_t)rng_u64(&rng);
        uint8_t *exact = malloc(len ? len : 1); /* so that ASan sees one byte too far */
        memcpy(exact, in.data, len);
        struct base_slice bytes = base_slice(exact, len), two[2] = {bytes, bytes};
        struct base_row_stats stats = BASE_ROW_STATS_INIT;
        bool ok = base_row_check(bytes), changed, live;
        int rc = base_row_merge(two, 2, BASE_DELETION_NONE, &out);
        ck_assert(rc == BASE_OK || rc == BASE_E_CORRUPT);
        ck_assert(!ok || rc == BASE_OK);
        ck_assert(rc == BASE_OK || out.len == 0);
        rc = base_row_purge(bytes, &(struct base_purge){.now_s = 30}, &out, &changed, &live);
        ck_assert(!ok || rc == BASE_OK);
        bool counted = base_row_stats(bytes, &stats);
        ck_assert(!ok || counted);
        free(exact);
    }
    base_buf_fini(&in);
    base_buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/row");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, codec_round_trip);
    tcase_add_test(tc, void_rows_are_not_written);
    tcase_add_test(tc, builder_cuts_back_on_limit);
    tcase_add_test(tc, check_refuses);
    tcase_add_test(tc, cell_ties);
    tcase_add_test(tc, row_merge_known_answers);
    tcase_add_test(tc, counters_merge_by_shard);
    tcase_add_test(tc, counter_laws_hold);
    tcase_add_test(tc, merge_laws_hold);
    tcase_add_test(tc, purge_known_answers);
    tcase_add_test(tc, purge_laws_hold);
    tcase_add_test(tc, stats_of_a_row);
    tcase_add_test(tc, damage_is_survived);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
