/* Without this: a row is missing from the memtable at a node's edge, a reader sees half a mutation
 * or rows of the future, a savepoint's rollback leaves something behind.
 *
 * MEMTABLE_SEED and MEMTABLE_ROUNDS (environment) run more random histories than make check
 * does. */
#include <stdio.h>

#include "base/key.h"
#include "lsm/lsm.h"
#include "lsm/memtable.h"
#include "tests/lib/scale.h"
#include "tests/unit/lsm/sst_lib.h"

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* The B+tree. */

struct item {
    struct lsmi_btree_item head;
    uint8_t key[16];
};

static int item_compare(const void *a, const void *b)
{
    return base_slice_compare(lsmi_btree_key(*(struct lsmi_btree_item *const *)a),
                              lsmi_btree_key(*(struct lsmi_btree_item *const *)b));
}

/* order 0: random, 1: ascending, 2: descending; shared: how many leading bytes all keys share. */
static void btree_round(struct rng *rng, size_t n, int order, size_t shared)
{
    struct base_arena arena;
    base_arena_init(&arena);
    struct lsmi_btree tree = {0};
    struct lsmi_btree_item **all = malloc((n + 1) * sizeof(struct lsmi_btree_item *));
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct item *item = base_arena_alloc(&arena, sizeof *item);
        item->head =
            (struct lsmi_btree_item){.key_len = (uint32_t)(order ? 16 : 10 + rng_below(rng, 7)),
                                     .key_at = offsetof(struct item, key)};
        rng_fill(rng, item->key, sizeof item->key);
        memset(item->key, 7, shared);
        if (order)
            base_put_be64(item->key + 8, order == 1 ? i : n - i), memset(item->key, 7, 8);
        struct lsmi_btree_spot spot;
        struct base_slice key = lsmi_btree_key(&item->head);
        struct lsmi_btree_item *found = lsmi_btree_locate(&tree, key, &spot);
        ck_assert_ptr_eq(found, lsmi_btree_find(&tree, key));
        if (found)
            continue;
        ck_assert(lsmi_btree_insert(&tree, &arena, &spot, &item->head));
        ck_assert_ptr_eq(lsmi_btree_find(&tree, key), &item->head);
        all[count++] = &item->head;
    }
    lsmi_btree_check(&tree);
    ck_assert_uint_eq(tree.count, count);
    qsort(all, count, sizeof *all, item_compare);
    struct lsmi_btree_cursor at;
    lsmi_btree_seek(&tree, (struct base_slice){0}, &at);
    for (size_t i = 0; i < count; i++, lsmi_btree_next(&at))
        ck_assert_ptr_eq(lsmi_btree_at(&at), all[i]);
    ck_assert_ptr_null(lsmi_btree_at(&at));
    lsmi_btree_seek_end(&tree, &at);
    for (size_t i = count; i-- > 0;) {
        ck_assert(lsmi_btree_prev(&at));
        ck_assert_ptr_eq(lsmi_btree_at(&at), all[i]);
    }
    ck_assert(!lsmi_btree_prev(&at));
    for (size_t i = 0; i < 200 && count;
         i++) { /* keys that are there, and neighbours that are not */
        size_t k = rng_below(rng, count);
        uint8_t key[17];
        struct base_slice there = lsmi_btree_key(all[k]);
        memcpy(key, there.data, there.len);
        key[there.len] = 0;
        ck_assert(lsmi_btree_seek(&tree, there, &at));
        ck_assert_ptr_eq(lsmi_btree_at(&at), all[k]);
        struct lsmi_btree_item *next = k + 1 < count ? all[k + 1] : NULL;
        if (!next || !base_slice_equal(lsmi_btree_key(next), base_slice(key, there.len + 1))) {
            ck_assert(!lsmi_btree_seek(&tree, base_slice(key, there.len + 1), &at));
            ck_assert_ptr_eq(lsmi_btree_at(&at), next);
        }
    }
    free(all);
    base_arena_fini(&arena);
}

START_TEST(test_btree)
{
    struct rng rng = rng_seeded(setting("MEMTABLE_SEED", 1));
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 8, 9, 63, 64, 65, 129, 1000, 20000};
    for (size_t i = 0; i < BASE_COUNT(sizes); i++)
        for (int order = 0; order < 3; order++)
            for (size_t shared = 0; shared <= 8; shared += 4)
                btree_round(&rng, sizes[i], order, shared);
}
END_TEST

/* Against the model. */

static void apply_bytes(struct lsmi_memtable *mt, const struct base_buf *bytes)
{
    struct base_err err;
    struct base_reader in = base_reader(base_buf_view(bytes));
    while (base_reader_left(&in)) {
        struct base_mutation m;
        ck_assert(base_mutation_decode(&in, &m));
        ck_ok(lsmi_memtable_apply(mt, &m, &err), err);
    }
}

/* The model's partition in mutations: heads, range deletions, rows in a random order of small
 * batches. */
static void apply_partition(struct rng *rng, struct lsmi_memtable *mt,
                            const struct model_partition *p)
{
    struct base_buf bytes;
    base_buf_init(&bytes, SIZE_MAX / 2);
    const struct base_uuid id = {{1}};
    size_t n = p->item_count;
    struct base_range_deletion *ranges = malloc((n + 1) * sizeof *ranges);
    size_t range_count = 0, *order = malloc((n + 1) * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        if (p->items[i].kind != BASE_ITEM_MARKER || base_deletion_is_none(p->items[i].after))
            continue;
        size_t end = i + 1;
        while (p->items[end].kind != BASE_ITEM_MARKER)
            end++;
        ranges[range_count++] =
            (struct base_range_deletion){p->items[i].ckey, p->items[end].ckey, p->items[i].after};
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = rng_below(rng, i), swap = order[k];
        order[k] = order[i - 1];
        order[i - 1] = swap;
    }
    ck_assert_int_eq(
        base_mutation_put(&bytes, id, p->pkey, p->deletion, p->static_row, NULL, 0, NULL, 0),
        BASE_OK);
    for (size_t i = 0; i < range_count; i++)
        ck_assert_int_eq(base_mutation_put(&bytes, id, p->pkey, BASE_DELETION_NONE,
                                           (struct base_slice){0}, &ranges[i], 1, NULL, 0),
                         BASE_OK);
    for (size_t i = 0; i < n; i++) {
        const struct base_item *item = &p->items[order[i]];
        if (item->kind == BASE_ITEM_ROW)
            ck_assert_int_eq(base_mutation_put_row(&bytes, id, p->pkey, item->ckey, item->row),
                             BASE_OK);
    }
    apply_bytes(mt, &bytes);
    free(ranges);
    free(order);
    base_buf_fini(&bytes);
}

/* Take out the partitions that have nothing for the command: a source may skip them. */
static void drop_bare(struct base_buf *text)
{
    static const uint8_t key[] = "0123456789";
    struct model_partition bare = {.pkey = {key, 10}, .deletion = BASE_DELETION_NONE};
    struct model one = {.partitions = &bare, .count = 1};
    struct base_read cmd = BASE_READ_INIT;
    struct base_buf line;
    base_buf_init(&line, 1024);
    model_read(&one, &cmd, &line);
    size_t suffix = 2 + 2 * bare.pkey.len, suffix_len = line.len - suffix, out = 0;
    for (size_t at = 0; at < text->len;) {
        size_t end = at;
        while (text->data[end++] != '\n')
            ;
        bool head = text->data[at] == 'P' && (end == text->len || text->data[end] == 'P');
        if (!head || end - at < suffix_len ||
            memcmp(text->data + end - suffix_len, line.data + suffix, suffix_len) != 0) {
            memmove(text->data + out, text->data + at, end - at);
            out += end - at;
        }
        at = end;
    }
    text->len = out;
    base_buf_fini(&line);
}

static void compare(struct lsmi_memtable *mt, struct lsmi_mt_source *src, const struct model *m,
                    const struct base_read *cmd)
{
    struct base_err err;
    struct base_buf expected, got;
    base_buf_init(&expected, SIZE_MAX / 2);
    base_buf_init(&got, SIZE_MAX / 2);
    model_read(m, cmd, &expected);
    drop_bare(&expected); /* what is bare of content may be skipped or not */
    if (lsmi_mt_source_init(src, mt, cmd, BASE_DELETION_NONE)) {
        ck_ok(source_dump(&src->source, &got, &err), err);
        src->source.ops->close(&src->source);
    }
    drop_bare(&got);
    if (!base_slice_equal(base_buf_view(&expected), base_buf_view(&got))) {
        size_t at = 0;
        while (at < expected.len && at < got.len && expected.data[at] == got.data[at])
            at++;
        at = at > 500 ? at - 500 : 0;
        ck_abort_msg("%s: at %zu of %zu, %zu: expected\n%.*s\ngot\n%.*s",
                     cmd->reversed ? "reversed" : "forward", at, expected.len, got.len,
                     (int)(expected.len - at < 900 ? expected.len - at : 900),
                     (char *)expected.data + at, (int)(got.len - at < 900 ? got.len - at : 900),
                     (char *)got.data + at);
    }
    base_buf_fini(&expected);
    base_buf_fini(&got);
}

static void model_round(struct rng *rng, unsigned shards)
{
    struct model m;
    struct model_shape shape = {
        .partitions = 1 + rng_below(rng, 30),
        .items_max = rng_chance(rng, 30) ? 400 : 12,
        .value_max = 40,
        .marker_percent = rng_chance(rng, 50) ? 30 : 0,
        .static_percent = 30,
        .deletion_percent = 20,
        .components = (uint8_t)rng_below(rng, 3),
    };
    model_make(&m, rng, &shape);
    struct lsmi_memtable *mt = lsmi_memtable_new(shards, NULL);
    for (size_t i = 0; i < m.count; i++)
        apply_partition(rng, mt, &m.partitions[i]);
    lsmi_memtable_check(mt);
    struct lsmi_mt_source src = {0};
    struct base_arena arena;
    base_arena_init(&arena);
    for (int i = 0; i < 60; i++) {
        struct base_read cmd = BASE_READ_INIT;
        const struct model_partition *p = m.count ? &m.partitions[rng_below(rng, m.count)] : NULL;
        cmd.reversed = rng_chance(rng, 50);
        cmd.slices = rng_chance(rng, 25) ? slices_whole : random_slices(rng, &arena, p);
        if (p && rng_chance(rng, 60)) {
            cmd.pkey = p->pkey;
        } else if (p) {
            if (rng_chance(rng, 70))
                cmd.token_after = base_token_get(m.partitions[rng_below(rng, m.count)].pkey.data) -
                                  (int64_t)rng_below(rng, 2);
            if (rng_chance(rng, 70))
                cmd.token_upto = base_token_get(m.partitions[rng_below(rng, m.count)].pkey.data) -
                                 (int64_t)rng_below(rng, 2);
            if (rng_chance(rng, 30))
                cmd.start_pkey = p->pkey;
        }
        compare(mt, &src, &m, &cmd);
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
    lsmi_mt_source_fini(&src);
    lsmi_memtable_release(mt);
    model_free(&m);
}

START_TEST(test_model)
{
    struct rng rng = rng_seeded(setting("MEMTABLE_SEED", 2));
    for (uint64_t i = 0; i < setting("MEMTABLE_ROUNDS", scale_rounds(150)); i++)
        model_round(&rng, i % 2 ? 1 : LSMI_SHARDS_MAX);
}
END_TEST

/* Snapshots and rollback. */

static struct base_buf pkey_of(uint64_t k)
{
    struct base_buf pkey;
    base_buf_init(&pkey, 100);
    ck_assert_int_eq(base_pkey_put(base_slice(&k, 8), &pkey), BASE_OK);
    return pkey;
}

/* A row with column 1 = value, at ts; ckey is a number. */
static void put_row(struct base_buf *out, uint64_t key, uint64_t ckey, int64_t ts, uint64_t value)
{
    struct base_buf pkey = pkey_of(key), row;
    uint8_t c[10] = {BASE_KEY_NEXT};
    base_put_be64(c + 1, ckey);
    c[9] = BASE_KEY_AT;
    base_buf_init(&row, 1000);
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, &row, ts), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 1, base_slice(&value, 8)), BASE_OK);
    base_row_end(&b);
    ck_assert_int_eq(base_mutation_put_row(out, (struct base_uuid){{1}}, base_buf_view(&pkey),
                                           base_slice(c, 10), base_buf_view(&row)),
                     BASE_OK);
    base_buf_fini(&pkey);
    base_buf_fini(&row);
}

static struct base_buf dump_all(struct lsm_overlay *overlay, bool reversed)
{
    struct base_err err;
    struct base_buf text;
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *src;
    cmd.slices = slices_whole;
    cmd.reversed = reversed;
    base_buf_init(&text, SIZE_MAX / 2);
    ck_ok(lsm_overlay_read(overlay, &cmd, &src, &err), err);
    ck_ok(source_dump(src, &text, &err), err);
    src->ops->close(src);
    return text;
}

START_TEST(test_rollback)
{
    struct rng rng = rng_seeded(setting("MEMTABLE_SEED", 3));
    struct base_err err;
    struct lsm_overlay *overlay = lsm_overlay_new();
    enum { DEPTH = 8 };
    uint64_t marks[DEPTH];
    struct base_buf texts[DEPTH];
    size_t depth = 0;
    int64_t ts = 1;
    for (int step = 0; step < 3000; step++) {
        if (depth < DEPTH && rng_chance(&rng, 20)) {
            marks[depth] = lsm_overlay_mark(overlay);
            texts[depth++] = dump_all(overlay, step % 2);
        } else if (depth && rng_chance(&rng, 15)) {
            size_t to = rng_below(&rng, depth);
            lsm_overlay_rollback(overlay, marks[to]);
            lsmi_memtable_check((struct lsmi_memtable *)(void *)overlay);
            for (int reversed = 0; reversed < 2; reversed++) {
                struct base_buf now = dump_all(overlay, reversed);
                if (now.len == texts[to].len && memcmp(now.data, texts[to].data, now.len) == 0)
                    reversed = 2; /* the one of the two that was noted */
                else
                    ck_assert_int_eq(reversed, 0);
                base_buf_fini(&now);
            }
            while (depth > to)
                base_buf_fini(&texts[--depth]);
        } else {
            struct base_buf m;
            base_buf_init(&m, 10000);
            uint64_t key = rng_below(&rng, 20);
            if (rng_chance(&rng, 80)) {
                put_row(&m, key, rng_below(&rng, 30), ts++, rng_u64(&rng));
            } else {
                static const uint8_t from[] = {BASE_KEY_BEFORE}, upto[] = {BASE_KEY_AFTER};
                struct base_range_deletion range = {{from, 1}, {upto, 1}, {ts++, 1}};
                struct base_buf pkey = pkey_of(key);
                struct base_deletion deletion =
                    rng_chance(&rng, 50) ? range.deletion : BASE_DELETION_NONE;
                ck_assert_int_eq(base_mutation_put(&m, (struct base_uuid){{1}},
                                                   base_buf_view(&pkey), deletion,
                                                   (struct base_slice){0}, &range, 1, NULL, 0),
                                 BASE_OK);
                base_buf_fini(&pkey);
            }
            ck_ok(lsm_overlay_apply(overlay, base_buf_view(&m), &err), err);
            base_buf_fini(&m);
        }
    }
    while (depth)
        base_buf_fini(&texts[--depth]);
    ck_assert_uint_gt(lsm_overlay_size_bytes(overlay), 0);
    lsm_overlay_release(overlay);
}
END_TEST

/* A stream sees what was there when it was opened, page after page, whatever is written
 * meanwhile. */
START_TEST(test_snapshot)
{
    struct base_err err;
    for (int reversed = 0; reversed < 2; reversed++) {
        struct lsmi_memtable *mt = lsmi_memtable_new(LSMI_SHARDS_MAX, NULL);
        struct base_buf m;
        base_buf_init(&m, SIZE_MAX / 2);
        for (uint64_t k = 0; k < 20; k++)
            for (uint64_t c = 0; c < 300; c += 2)
                put_row(&m, k, c, 1, 1);
        apply_bytes(mt, &m);
        struct base_read cmd = BASE_READ_INIT;
        cmd.slices = slices_whole;
        cmd.reversed = reversed;
        struct lsmi_mt_source src = {0};
        ck_assert(lsmi_mt_source_init(&src, mt, &cmd, BASE_DELETION_NONE));
        size_t partitions = 0, rows = 0;
        for (;; partitions++) {
            struct base_partition p;
            ck_ok(src.source.ops->partition(&src.source, &p, &err), err);
            if (!p.pkey.len)
                break;
            for (;; rows++) {
                struct base_item item;
                ck_ok(src.source.ops->next(&src.source, &item, &err), err);
                if (item.kind == BASE_ITEM_END)
                    break;
                struct base_row row;
                ck_assert(base_row_decode(item.row, &row));
                ck_assert_int_eq(row.row_ts, 1);
                ck_assert_uint_eq(base_get_be64(item.ckey.data + 1) % 2, 0);
                base_buf_reset(&m);
                /* old rows again, new rows, new partitions */
                put_row(&m, rows % 40, rows * 7 % 300, 2, 2);
                apply_bytes(mt, &m);
            }
        }
        ck_assert_uint_eq(partitions, 20);
        ck_assert_uint_eq(rows, 20 * 150);
        lsmi_mt_source_fini(&src);
        lsmi_memtable_check(mt);
        lsmi_memtable_release(mt);
        base_buf_fini(&m);
    }
}
END_TEST

/* Threads: a mutation is seen whole or not at all. */

enum { PAIRS = 50, WRITES = 4000 };

static void put_pair(struct base_buf *out, uint64_t key, int64_t ts)
{
    uint8_t c[2][10] = {{BASE_KEY_NEXT}, {BASE_KEY_NEXT}};
    struct base_mutation_row_part rows[2];
    struct base_buf pkey = pkey_of(key), row;
    base_buf_init(&row, 1000);
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, &row, ts), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    base_row_end(&b);
    for (int i = 0; i < 2;
         i++) { /* far apart: other rows stand between them, a page ends between them */
        base_put_be64(c[i] + 1, i ? 1000000 : 0);
        c[i][9] = BASE_KEY_AT;
        rows[i] = (struct base_mutation_row_part){{c[i], 10}, base_buf_view(&row)};
    }
    ck_assert_int_eq(base_mutation_put(out, (struct base_uuid){{1}}, base_buf_view(&pkey),
                                       BASE_DELETION_NONE, (struct base_slice){0}, NULL, 0, rows,
                                       2),
                     BASE_OK);
    base_buf_fini(&pkey);
    base_buf_fini(&row);
}

static void *writer_main(void *arg)
{
    struct lsmi_memtable *mt = arg;
    struct base_buf m;
    base_buf_init(&m, 10000);
    for (int64_t i = 1; i <= WRITES; i++) {
        base_buf_reset(&m);
        put_pair(&m, (uint64_t)i % PAIRS, i);
        put_row(&m, (uint64_t)i % PAIRS, 1 + (uint64_t)i, i, 5);
        apply_bytes(mt, &m);
    }
    base_buf_fini(&m);
    return NULL;
}

START_TEST(test_threads)
{
    struct base_err err;
    struct lsmi_memtable *mt = lsmi_memtable_new(LSMI_SHARDS_MAX, NULL);
    pthread_t writers[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, writer_main, mt), 0);
    struct lsmi_mt_source src = {0};
    for (int round = 0; round < 1000; round++) {
        struct base_read cmd = BASE_READ_INIT;
        struct base_buf pkey = pkey_of((uint64_t)round % PAIRS);
        cmd.slices = slices_whole;
        cmd.reversed = round % 3 == 0;
        if (round % 10)
            cmd.pkey = base_buf_view(&pkey);
        struct base_partition p = {.pkey = {0}};
        bool any = lsmi_mt_source_init(&src, mt, &cmd, BASE_DELETION_NONE);
        while (any) {
            ck_ok(src.source.ops->partition(&src.source, &p, &err), err);
            if (!p.pkey.len)
                break;
            int64_t first = 0, last = 0;
            struct base_item item;
            for (;;) {
                ck_ok(src.source.ops->next(&src.source, &item, &err), err);
                if (item.kind == BASE_ITEM_END)
                    break;
                struct base_row row;
                ck_assert(base_row_decode(item.row, &row));
                uint64_t c = base_get_be64(item.ckey.data + 1);
                if (c == 0)
                    first = row.row_ts;
                else if (c == 1000000)
                    last = row.row_ts;
            }
            ck_assert_int_eq(first, last);
        }
        base_buf_fini(&pkey);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    lsmi_mt_source_fini(&src);
    lsmi_memtable_check(mt);
    lsmi_memtable_release(mt);
}
END_TEST

START_TEST(test_empty_is_small)
{
    struct lsmi_memtable *mt = lsmi_memtable_new(LSMI_SHARDS_MAX, NULL);
    ck_assert_uint_eq(lsmi_memtable_size(mt), 0);
    ck_assert_uint_lt(sizeof(struct lsmi_memtable) + LSMI_SHARDS_MAX * sizeof(struct lsmi_mt_shard),
                      8192);
    lsmi_memtable_release(mt);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memtable");
    TCase *tc = tcase_create("memtable");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_btree);
    tcase_add_test(tc, test_model);
    tcase_add_test(tc, test_rollback);
    tcase_add_test(tc, test_snapshot);
    tcase_add_test(tc, test_threads);
    tcase_add_test(tc, test_empty_is_small);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
