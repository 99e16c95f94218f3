/* The merge of streams against a naive model, markers against brute force, damage. Without these a
 * range deletion could leak past its end, or a read of several SSTables give rows that no history
 * made. */
#include <check.h>
#include <stdio.h>

#include "base/key.h"
#include "base/stream.h"
#include "tests/unit/base/row_lib.h"

#define KEYS 6 /* clustering values a .. f */
#define RANGES_MAX 4
#define SOURCES_MAX 5
#define PARTITIONS 3
#define ITEMS_MAX 64

/* Positions. */

/* Every position of a one-component clustering: 0 the very first, then before, at, after each key,
 * then the last. */
#define POSITIONS (KEYS * 3 + 2)
static uint8_t position_bytes[POSITIONS][4];

static struct base_slice position(uint32_t i)
{
    uint8_t *p = position_bytes[i];
    if (i == 0 || i == POSITIONS - 1) {
        p[0] = i ? BASE_KEY_AFTER : BASE_KEY_BEFORE;
        return base_slice(p, 1);
    }
    static const uint8_t ends[3] = {BASE_KEY_BEFORE, BASE_KEY_AT, BASE_KEY_AFTER};
    p[0] = BASE_KEY_NEXT;
    p[1] = (uint8_t)('a' + (i - 1) / 3);
    p[2] = ends[(i - 1) % 3];
    return base_slice(p, 3);
}
static struct base_slice key(uint32_t k)
{
    return position(k * 3 + 2);
}
static uint32_t bound_random(struct rng *rng) /* never AT */
{
    uint32_t i;
    do
        i = below(rng, POSITIONS);
    while (i != 0 && i != POSITIONS - 1 && (i - 1) % 3 == 1);
    return i;
}

/* A model of data, and a source over it. */

struct model_partition {
    bool there;
    struct base_deletion deletion;
    struct base_buf static_row, rows[KEYS]; /* empty: none */
    struct base_range_deletion ranges[RANGES_MAX];
    size_t range_count;
};
struct model {
    struct model_partition partitions[PARTITIONS];
};
static const char *const pkeys[PARTITIONS] = {"aaaaaaaa", "aaaaaaaab", "b"};

static void model_random(struct rng *rng, struct model *model)
{
    for (int p = 0; p < PARTITIONS; p++) {
        struct model_partition *part = &model->partitions[p];
        part->there = below(rng, 3) > 0;
        part->deletion = deletion_random(rng, 70);
        base_buf_reset(&part->static_row);
        part->range_count = below(rng, 2) ? below(rng, RANGES_MAX + 1) : 0;
        if (below(rng, 3) == 0) {
            row_random(rng, &part->static_row);
        }
        for (int k = 0; k < KEYS; k++) {
            base_buf_reset(&part->rows[k]);
            if (below(rng, 2))
                row_random(rng, &part->rows[k]);
        }
        for (size_t r = 0; r < part->range_count; r++)
            part->ranges[r] = (struct base_range_deletion){
                position(bound_random(rng)), position(bound_random(rng)), deletion_random(rng, 0)};
    }
}

struct items {
    struct base_item items[ITEMS_MAX];
    size_t count;
};

static struct base_slice slice_max(struct base_slice a, struct base_slice b)
{
    return base_slice_compare(a, b) > 0 ? a : b;
}
static struct base_slice slice_min(struct base_slice a, struct base_slice b)
{
    return base_slice_compare(a, b) < 0 ? a : b;
}

/* Rows (those that are not empty) and the normalized markers of ranges, clipped to the slices, in
 * key order. */
static void items_make(struct items *out, const struct base_slice *rows,
                       const struct base_range_deletion *ranges, size_t range_count,
                       const struct base_slices *slices)
{
    struct base_arena arena;
    base_arena_init(&arena);
    out->count = 0;
    for (size_t s = 0; s < slices->count; s++) {
        struct base_slice lo = slices->ranges[s].lo, hi = slices->ranges[s].hi;
        if (!lo.len)
            lo = position(0);
        if (!hi.len)
            hi = position(POSITIONS - 1);
        struct base_slice clip_lo = lo, clip_hi = hi; /* a marker stands beside an AT bound */
        for (uint32_t k = 0; k < KEYS; k++) {
            if (base_slice_equal(lo, key(k)))
                clip_lo = position(k * 3 + 1);
            if (base_slice_equal(hi, key(k)))
                clip_hi = position(k * 3 + 3);
        }
        struct base_range_deletion clipped[RANGES_MAX * SOURCES_MAX];
        for (size_t r = 0; r < range_count; r++)
            clipped[r] =
                (struct base_range_deletion){slice_max(ranges[r].lo, clip_lo),
                                             slice_min(ranges[r].hi, clip_hi), ranges[r].deletion};
        struct base_marker *markers;
        size_t marker_count, m = 0;
        ck_assert_int_eq(
            base_markers_normalize(&arena, clipped, range_count, &markers, &marker_count), BASE_OK);
        for (uint32_t k = 0; k <= KEYS; k++) {
            for (;
                 m < marker_count && (k == KEYS || base_slice_compare(markers[m].ckey, key(k)) < 0);
                 m++)
                out->items[out->count++] = (struct base_item){.kind = BASE_ITEM_MARKER,
                                                              .ckey = markers[m].ckey,
                                                              .before = markers[m].before,
                                                              .after = markers[m].after};
            if (k < KEYS && rows[k].len && base_slice_compare(lo, key(k)) <= 0 &&
                base_slice_compare(key(k), hi) <= 0)
                out->items[out->count++] =
                    (struct base_item){.kind = BASE_ITEM_ROW, .ckey = key(k), .row = rows[k]};
        }
    }
    for (size_t i = 0; i < out->count; i++) { /* the keys must outlive the arena */
        bool found = false;
        for (uint32_t p = 0; p < POSITIONS && !found; p++) {
            found = base_slice_equal(position(p), out->items[i].ckey);
            if (found)
                out->items[i].ckey = position(p);
        }
        ck_assert(found);
    }
    base_arena_fini(&arena);
}

static void items_reverse(struct items *items)
{
    for (size_t i = 0; i < items->count / 2; i++) {
        struct base_item swap = items->items[i];
        items->items[i] = items->items[items->count - 1 - i];
        items->items[items->count - 1 - i] = swap;
    }
}

/* A source over a model. What it hands out is a copy that is freed as early as the contract allows,
 * so that ASan sees whoever holds on to it. */
struct model_source {
    struct base_source source;
    const struct model *model;
    const struct base_slices *slices;
    bool reversed, closed;
    int partition;
    struct items items;
    size_t at;
    void *item_memory[2], *partition_memory[2];
    int fail_after; /* next() fails when it comes to 0; -1 never */
};

static struct base_slice hand_out(void **memory, struct base_slice s)
{
    free(*memory);
    *memory = NULL;
    if (!s.len)
        return (struct base_slice){0};
    *memory = malloc(s.len);
    memcpy(*memory, s.data, s.len);
    return base_slice(*memory, s.len);
}

static int model_source_partition(struct base_source *src, struct base_partition *out,
                                  struct base_err *err)
{
    struct model_source *s = BASE_CONTAINER(src, struct model_source, source);
    (void)err;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    do
        s->partition++;
    while (s->partition < PARTITIONS && !s->model->partitions[s->partition].there);
    if (s->partition >= PARTITIONS)
        return BASE_OK;
    const struct model_partition *part = &s->model->partitions[s->partition];
    struct base_slice rows[KEYS];
    for (int k = 0; k < KEYS; k++)
        rows[k] = base_buf_view(&part->rows[k]);
    items_make(&s->items, rows, part->ranges, part->range_count, s->slices);
    if (s->reversed)
        items_reverse(&s->items);
    s->at = 0;
    out->pkey = hand_out(&s->partition_memory[0], base_slice_str(pkeys[s->partition]));
    out->deletion = part->deletion;
    out->static_row = hand_out(&s->partition_memory[1], base_buf_view(&part->static_row));
    return BASE_OK;
}

static int model_source_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct model_source *s = BASE_CONTAINER(src, struct model_source, source);
    *out = (struct base_item){.kind = BASE_ITEM_END};
    if (s->fail_after >= 0 && s->fail_after-- == 0)
        return base_err_set(err, BASE_E_IO, "made to fail");
    ck_assert_msg(s->at <= s->items.count, "asked on after the end");
    if (s->at < s->items.count) {
        *out = s->items.items[s->at];
        out->ckey = hand_out(&s->item_memory[0], out->ckey);
        out->row = hand_out(&s->item_memory[1], out->row);
    }
    s->at++;
    return BASE_OK;
}

static void model_source_close(struct base_source *src)
{
    struct model_source *s = BASE_CONTAINER(src, struct model_source, source);
    ck_assert(!s->closed);
    s->closed = true;
    for (int i = 0; i < 2; i++) {
        free(s->item_memory[i]);
        free(s->partition_memory[i]);
    }
}
static const struct base_source_ops model_source_ops = {model_source_partition, model_source_next,
                                                        model_source_close};

static void model_source_init(struct model_source *s, const struct model *model,
                              const struct base_slices *slices, bool reversed)
{
    *s = (struct model_source){.source = {&model_source_ops},
                               .model = model,
                               .slices = slices,
                               .reversed = reversed,
                               .partition = -1,
                               .fail_after = -1};
}

/* What the merge should give. */

struct world {
    struct model models[SOURCES_MAX];
    size_t count;
    struct base_range ranges[2];
    struct base_slices slices;
    struct base_merge_options options;
    int64_t purgeable[PARTITIONS];
    int purgeable_calls[PARTITIONS];
};

static int64_t world_purgeable(void *ctx, struct base_slice pkey)
{
    struct world *w = ctx;
    for (int p = 0; p < PARTITIONS; p++) {
        if (base_slice_equal(pkey, base_slice_str(pkeys[p]))) {
            w->purgeable_calls[p]++;
            return w->purgeable[p];
        }
    }
    ck_abort_msg("asked for a partition that is not there");
}

struct expected {
    bool there;
    struct base_deletion deletion;
    struct base_buf static_row, rows[KEYS];
    struct items items;
};

static bool supersedes(struct base_deletion a, struct base_deletion b)
{
    return a.ts > b.ts || (a.ts == b.ts && a.local_s > b.local_s);
}

static struct base_deletion purged(const struct base_purge *purge, bool keep,
                                   struct base_deletion d)
{
    return !keep || (d.local_s < purge->gc_before_s && d.ts < purge->purgeable_ts)
               ? BASE_DELETION_NONE
               : d;
}

static void expect_row(const struct base_slice *versions, size_t n, struct base_deletion covering,
                       const struct base_purge *purge, struct base_buf *out)
{
    struct base_buf merged;
    base_buf_init(&merged, 1 << 20);
    base_buf_reset(out);
    if (n)
        ck_assert_int_eq(base_row_merge(versions, n, covering, &merged), BASE_OK);
    if (merged.len)
        ck_assert_int_eq(base_row_purge(base_buf_view(&merged), purge, out, NULL, NULL), BASE_OK);
    base_buf_fini(&merged);
}

static void expect_partition(const struct world *w, int p, struct expected *e)
{
    bool keep = w->options.keep_tombstones;
    struct base_purge purge = w->options.purge;
    purge.live_only = !keep;
    if (w->options.purgeable_ts)
        purge.purgeable_ts = w->purgeable[p];
    struct base_slice versions[SOURCES_MAX], rows[KEYS];
    struct base_range_deletion ranges[RANGES_MAX * SOURCES_MAX];
    struct base_deletion deletion = BASE_DELETION_NONE;
    size_t n = 0, range_count = 0;
    e->there = false;
    for (size_t s = 0; s < w->count; s++) {
        const struct model_partition *part = &w->models[s].partitions[p];
        if (!part->there)
            continue;
        e->there = true;
        deletion = base_deletion_max(deletion, part->deletion);
        if (part->static_row.len)
            versions[n++] = base_buf_view(&part->static_row);
        for (size_t r = 0; r < part->range_count; r++)
            ranges[range_count++] = part->ranges[r];
    }
    e->deletion = purged(&purge, keep, deletion);
    expect_row(versions, n, deletion, &purge, &e->static_row);
    for (uint32_t k = 0; k < KEYS; k++) {
        struct base_deletion covering = deletion;
        for (size_t r = 0; r < range_count; r++) {
            if (base_slice_compare(ranges[r].lo, key(k)) < 0 &&
                base_slice_compare(key(k), ranges[r].hi) < 0)
                covering = base_deletion_max(covering, ranges[r].deletion);
        }
        n = 0;
        for (size_t s = 0; s < w->count; s++) {
            const struct model_partition *part = &w->models[s].partitions[p];
            if (part->there && part->rows[k].len)
                versions[n++] = base_buf_view(&part->rows[k]);
        }
        expect_row(versions, n, covering, &purge, &e->rows[k]);
        rows[k] = base_buf_view(&e->rows[k]);
    }
    items_make(&e->items, rows, ranges, range_count, &w->slices);
    size_t left = 0;
    for (size_t i = 0; i < e->items.count; i++) {
        struct base_item item = e->items.items[i];
        if (item.kind == BASE_ITEM_MARKER) {
            item.before = supersedes(item.before, deletion) ? purged(&purge, keep, item.before)
                                                            : BASE_DELETION_NONE;
            item.after = supersedes(item.after, deletion) ? purged(&purge, keep, item.after)
                                                          : BASE_DELETION_NONE;
            if (base_deletion_equal(item.before, item.after))
                continue;
        }
        e->items.items[left++] = item;
    }
    e->items.count = left;
    if (w->options.reversed)
        items_reverse(&e->items);
    if (keep && base_deletion_is_none(e->deletion) && e->static_row.len == 0 && left == 0)
        e->there = false;
}

static void world_random(struct rng *rng, struct world *w)
{
    w->count = 1 + below(rng, SOURCES_MAX);
    for (size_t s = 0; s < w->count; s++)
        model_random(rng, &w->models[s]);
    w->slices = (struct base_slices){w->ranges, below(rng, 3)};
    uint32_t cuts[4] = {below(rng, POSITIONS), below(rng, POSITIONS), below(rng, POSITIONS),
                        below(rng, POSITIONS)};
    for (int i = 0; i < 4; i++) {
        for (int j = i + 1; j < 4; j++) {
            if (cuts[j] < cuts[i]) {
                uint32_t swap = cuts[i];
                cuts[i] = cuts[j];
                cuts[j] = swap;
            }
        }
    }
    w->ranges[0] = (struct base_range){position(cuts[0]), position(cuts[1])};
    w->ranges[1] = (struct base_range){position(cuts[2]), position(cuts[3])};
    if (cuts[1] + 1 >= cuts[2] ||
        below(rng, 3) == 0) /* beside each other, or at random: the whole partition */
        w->slices = base_slices_all;
    bool keep = below(rng, 2);
    int64_t now = below(rng, 60);
    w->options = (struct base_merge_options){
        .reversed = below(rng, 2),
        .keep_tombstones = keep,
        .purge = {.now_s = now,
                  .gc_before_s = keep && below(rng, 2) ? now - 5 : INT64_MIN,
                  .purgeable_ts = below(rng, 14)},
        .purgeable_ts = below(rng, 2) ? world_purgeable : NULL,
        .ctx = w,
    };
    for (int p = 0; p < PARTITIONS; p++) {
        w->purgeable[p] = below(rng, 14);
        w->purgeable_calls[p] = 0;
    }
}

/* The same content: a row that is passed through may have another row_ts than one that was
 * merged. */
static bool same_row(struct base_slice a, struct base_slice b)
{
    struct base_buf text[2];
    base_buf_init(&text[0], 1 << 20);
    base_buf_init(&text[1], 1 << 20);
    row_print(a, &text[0]);
    row_print(b, &text[1]);
    bool same = base_slice_equal(base_buf_view(&text[0]), base_buf_view(&text[1]));
    if (!same)
        printf("%s, expected %s\n", (char *)text[0].data, (char *)text[1].data);
    base_buf_fini(&text[0]);
    base_buf_fini(&text[1]);
    return same;
}

static void check_item(const struct base_item *got, const struct base_item *expected,
                       unsigned round)
{
    ck_assert_msg(got->kind == expected->kind, "round %u: kind", round);
    ck_assert_msg(base_slice_equal(got->ckey, expected->ckey), "round %u: ckey", round);
    ck_assert_msg(same_row(got->row, expected->row), "round %u: row", round);
    if (got->kind == BASE_ITEM_MARKER)
        ck_assert_msg(base_deletion_equal(got->before, expected->before) &&
                          base_deletion_equal(got->after, expected->after),
                      "round %u: marker", round);
}

/* Read the merge, now and then leaving a partition early, and compare with the model. */
static void check_merge(struct rng *rng, struct world *w, struct expected *e,
                        struct base_source *merge, unsigned round)
{
    struct base_partition got;
    for (int p = 0; p < PARTITIONS; p++) {
        expect_partition(w, p, e);
        if (!e->there)
            continue;
        ck_assert_int_eq(merge->ops->partition(merge, &got, NULL), BASE_OK);
        ck_assert_msg(base_slice_equal(got.pkey, base_slice_str(pkeys[p])), "round %u: pkey",
                      round);
        ck_assert_msg(base_deletion_equal(got.deletion, e->deletion),
                      "round %u: partition deletion", round);
        size_t upto = below(rng, 6) ? e->items.count : below(rng, (uint32_t)e->items.count + 1);
        for (size_t i = 0; i < upto; i++) {
            struct base_item item;
            ck_assert_int_eq(merge->ops->next(merge, &item, NULL), BASE_OK);
            check_item(&item, &e->items.items[i], round);
        }
        for (int again = 0; again < 2 && upto == e->items.count; again++) {
            struct base_item item;
            ck_assert_int_eq(merge->ops->next(merge, &item, NULL), BASE_OK);
            ck_assert_msg(item.kind == BASE_ITEM_END, "round %u: more than expected", round);
        }
        ck_assert_msg(same_row(got.static_row, base_buf_view(&e->static_row)),
                      "round %u: static row", round);
    }
    for (int again = 0; again < 2; again++) {
        ck_assert_int_eq(merge->ops->partition(merge, &got, NULL), BASE_OK);
        ck_assert_msg(got.pkey.len == 0, "round %u: a partition too many", round);
    }
    for (int p = 0; p < PARTITIONS; p++)
        ck_assert_int_le(w->purgeable_calls[p], 1);
}

static void world_init(struct world *w, struct expected *e)
{
    memset(w, 0, sizeof *w);
    memset(e, 0, sizeof *e);
    for (int s = 0; s < SOURCES_MAX; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            base_buf_init(&w->models[s].partitions[p].static_row, 1 << 20);
            for (int k = 0; k < KEYS; k++)
                base_buf_init(&w->models[s].partitions[p].rows[k], 1 << 20);
        }
    }
    base_buf_init(&e->static_row, 1 << 20);
    for (int k = 0; k < KEYS; k++)
        base_buf_init(&e->rows[k], 1 << 20);
}

static void world_fini(struct world *w, struct expected *e)
{
    for (int s = 0; s < SOURCES_MAX; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            base_buf_fini(&w->models[s].partitions[p].static_row);
            for (int k = 0; k < KEYS; k++)
                base_buf_fini(&w->models[s].partitions[p].rows[k]);
        }
    }
    base_buf_fini(&e->static_row);
    for (int k = 0; k < KEYS; k++)
        base_buf_fini(&e->rows[k]);
}

static struct world world;
static struct expected expected;

START_TEST(merge_equals_the_model)
{
    struct rng rng = rng_seeded(test_seed() ^ 5);
    struct model_source sources[SOURCES_MAX];
    struct base_source *list[SOURCES_MAX], *merge = NULL;
    world_init(&world, &expected);
    for (unsigned round = 0; round < test_rounds(4000); round++) {
        world_random(&rng, &world);
        for (size_t s = 0; s < world.count; s++) {
            model_source_init(&sources[s], &world.models[s], &world.slices, world.options.reversed);
            list[s] = &sources[s].source;
        }
        if (!merge)
            ck_assert_int_eq(base_merge_open(list, world.count, &world.options, &merge, NULL),
                             BASE_OK);
        else
            ck_assert_int_eq(base_merge_reopen(merge, list, world.count, &world.options, NULL),
                             BASE_OK);
        check_merge(&rng, &world, &expected, merge, round);
        if (below(&rng, 10) == 0) {
            merge->ops->close(merge);
            merge = NULL;
            for (size_t s = 0; s < world.count; s++)
                ck_assert(sources[s].closed);
        } else { /* the sources go out of scope of this round: let the merge close them now */
            ck_assert_int_eq(base_merge_reopen(merge, NULL, 0, &world.options, NULL), BASE_OK);
        }
    }
    if (merge)
        merge->ops->close(merge);
    world_fini(&world, &expected);
}
END_TEST

START_TEST(an_error_ends_the_stream)
{
    struct rng rng = rng_seeded(test_seed() ^ 6);
    world_init(&world, &expected);
    unsigned failed = 0;
    for (unsigned round = 0; round < test_rounds(500); round++) {
        world_random(&rng, &world);
        struct model_source sources[SOURCES_MAX];
        struct base_source *list[SOURCES_MAX], *merge;
        for (size_t s = 0; s < world.count; s++) {
            model_source_init(&sources[s], &world.models[s], &world.slices, world.options.reversed);
            list[s] = &sources[s].source;
        }
        sources[0].fail_after = (int)below(&rng, 10);
        ck_assert_int_eq(base_merge_open(list, world.count, &world.options, &merge, NULL), BASE_OK);
        struct base_partition part;
        struct base_item item;
        int rc;
        while ((rc = merge->ops->partition(merge, &part, NULL)) == BASE_OK && part.pkey.len) {
            while ((rc = merge->ops->next(merge, &item, NULL)) == BASE_OK &&
                   item.kind != BASE_ITEM_END)
                continue;
            if (rc != BASE_OK)
                break;
        }
        if (rc != BASE_OK) {
            failed++;
            ck_assert_int_eq(rc, BASE_E_IO);
            ck_assert_int_eq(merge->ops->next(merge, &item, NULL), BASE_E_IO);
            ck_assert_int_eq(merge->ops->partition(merge, &part, NULL), BASE_E_IO);
            ck_assert_uint_eq(part.pkey.len, 0);
        }
        merge->ops->close(merge);
    }
    ck_assert_uint_gt(failed, 0);
    world_fini(&world, &expected);
}
END_TEST

/* Damage. */

/* One partition with these items, merged alone and with an empty second source: CORRUPT both
 * times. */
static void is_damage(const struct base_item *items, size_t n, bool reversed, int line)
{
    static struct model empty;
    empty.partitions[0].there = true;
    empty.partitions[0].deletion = BASE_DELETION_NONE;
    for (size_t count = 1; count <= 2; count++) {
        struct model_source sources[2];
        struct base_source *list[2] = {&sources[0].source, &sources[1].source}, *merge;
        for (int s = 0; s < 2; s++)
            model_source_init(&sources[s], &empty, &base_slices_all, reversed);
        struct base_merge_options options = {.reversed = reversed, .purge = {.now_s = 1}};
        ck_assert_int_eq(base_merge_open(list, count, &options, &merge, NULL), BASE_OK);
        struct base_partition part;
        struct base_item item;
        struct base_err err = {0};
        ck_assert_int_eq(merge->ops->partition(merge, &part, &err), BASE_OK);
        memcpy(sources[0].items.items, items, n * sizeof *items);
        sources[0].items.count = n;
        int rc;
        do
            rc = merge->ops->next(merge, &item, &err);
        while (rc == BASE_OK && item.kind != BASE_ITEM_END);
        ck_assert_msg(rc == BASE_E_CORRUPT, "line %d, %zu sources: %d", line, count, rc);
        ck_assert_msg(strstr(err.text, "merge of"), "%s", err.text);
        merge->ops->close(merge);
    }
}

START_TEST(inconsistent_streams_are_corrupt)
{
    struct base_deletion d = {5, 5}, other = {6, 5};
#define MARK(at, b, a)                                                                             \
    {                                                                                              \
        .kind = BASE_ITEM_MARKER, .ckey = position(at), .before = b, .after = a                    \
    }
    const struct base_item not_closed[] = {MARK(1, BASE_DELETION_NONE, d)};
    is_damage(not_closed, 1, false, __LINE__);
    const struct base_item not_opened[] = {MARK(3, d, BASE_DELETION_NONE)};
    is_damage(not_opened, 1, false, __LINE__);
    /* backwards its end comes first: something is open after all */
    is_damage(not_closed, 1, true, __LINE__);
    const struct base_item mismatch[] = {MARK(1, BASE_DELETION_NONE, d),
                                         MARK(3, other, BASE_DELETION_NONE)};
    is_damage(mismatch, 2, false, __LINE__);
    uint8_t bytes[] = {BASE_ROW_MORTAL, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x03, 9}; /* dead and expiring */
    const struct base_item bad_row[] = {
        {.kind = BASE_ITEM_ROW, .ckey = key(1), .row = {bytes, sizeof bytes}}};
    is_damage(bad_row, 1, false, __LINE__);
    const struct base_item short_row[] = {
        {.kind = BASE_ITEM_ROW, .ckey = key(1), .row = {bytes, 4}}};
    is_damage(short_row, 1, false, __LINE__);
}
END_TEST

START_TEST(no_sources_no_partitions)
{
    struct base_source *merge;
    struct base_partition part;
    struct base_merge_options options = {0};
    ck_assert_int_eq(base_merge_open(NULL, 0, &options, &merge, NULL), BASE_OK);
    ck_assert_int_eq(merge->ops->partition(merge, &part, NULL), BASE_OK);
    ck_assert_uint_eq(part.pkey.len, 0);
    merge->ops->close(merge);
}
END_TEST

/* Markers. */

START_TEST(markers_equal_brute_force)
{
    struct rng rng = rng_seeded(test_seed() ^ 7);
    struct base_arena arena;
    base_arena_init(&arena);
    for (unsigned round = 0; round < test_rounds(20000); round++) {
        struct base_range_deletion ranges[12];
        struct base_deletion gaps[POSITIONS]; /* gaps[i]: between position i and i + 1 */
        uint32_t lo[12], hi[12];
        size_t n = below(&rng, 13);
        for (size_t i = 0; i < n; i++) {
            lo[i] = bound_random(&rng), hi[i] = bound_random(&rng);
            ranges[i] = (struct base_range_deletion){position(lo[i]), position(hi[i]),
                                                     deletion_random(&rng, 5)};
        }
        for (uint32_t g = 0; g < POSITIONS; g++) {
            gaps[g] = BASE_DELETION_NONE;
            for (size_t i = 0; i < n; i++) {
                if (lo[i] <= g && g < hi[i])
                    gaps[g] = base_deletion_max(gaps[g], ranges[i].deletion);
            }
        }
        base_arena_reset(&arena);
        struct base_marker *markers;
        size_t count, m = 0;
        ck_assert_int_eq(base_markers_normalize(&arena, ranges, n, &markers, &count), BASE_OK);
        struct base_deletion open = BASE_DELETION_NONE;
        for (uint32_t g = 0; g < POSITIONS; g++) {
            if (base_deletion_equal(open, gaps[g]))
                continue;
            ck_assert_msg(m < count && base_slice_equal(markers[m].ckey, position(g)),
                          "round %u: marker %zu", round, m);
            ck_assert_msg(base_deletion_equal(markers[m].before, open) &&
                              base_deletion_equal(markers[m].after, gaps[g]),
                          "round %u: marker %zu's deletions", round, m);
            open = gaps[g];
            m++;
        }
        ck_assert_uint_eq(m, count);
    }
    base_arena_fini(&arena);
}
END_TEST

int main(void)
{
    for (uint32_t i = 0; i < POSITIONS; i++)
        (void)position(i);
    Suite *suite = suite_create("base/stream");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, merge_equals_the_model);
    tcase_add_test(tc, an_error_ends_the_stream);
    tcase_add_test(tc, inconsistent_streams_are_corrupt);
    tcase_add_test(tc, no_sources_no_partitions);
    tcase_add_test(tc, markers_equal_brute_force);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
