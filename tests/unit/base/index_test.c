/* Terms of indexes. Without these an index would miss rows that its filter holds for: equal values
 * with unequal bytes, an element of a collection, a static row's partition, a long value, an empty
 * one. */
#include <stdio.h>

#include "base/collection.h"
#include "base/index.h"
#include "base/key.h"
#include "base/path.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/unit/base/value_random.h"

static struct base_arena arena;
static struct base_err err;
static struct rng rng = {1};

static void setup(void)
{
    base_arena_init(&arena);
}

static void teardown(void)
{
    base_arena_fini(&arena);
}

#define S(text) base_slice_str(text)

/* Terms that came, as sets of (index, bytes). */

struct seen {
    struct base_buf terms[8];
    size_t count[8];
};
static struct seen seen;

static int note(void *ctx, size_t index, struct base_slice term)
{
    struct seen *s = ctx;
    ck_assert_uint_lt(index, BASE_COUNT(s->terms));
    ck_assert_uint_gt(term.len, 0);
    ck_assert_uint_le(term.len, BASE_INDEX_TERM_LEN_MAX);
    ck_assert_int_eq(base_buf_put_bytes(&s->terms[index], term), BASE_OK);
    s->count[index]++;
    return BASE_OK;
}

static void seen_begin(void)
{
    for (size_t i = 0; i < BASE_COUNT(seen.terms); i++) {
        base_buf_fini(&seen.terms[i]);
        base_buf_init(&seen.terms[i], 1 << 24);
        seen.count[i] = 0;
    }
}

static bool has_term(size_t index, struct base_slice term)
{
    struct base_reader in = base_reader(base_buf_view(&seen.terms[index]));
    struct base_slice one;
    while (base_reader_left(&in) && base_get_bytes(&in, &one))
        if (base_slice_equal(one, term))
            return true;
    return false;
}

static struct base_indexer *indexer(struct base_table *table, const struct base_index *indexes,
                                    size_t count)
{
    struct base_indexer *ix;
    table->indexes = indexes;
    table->index_count = count;
    ck_assert_msg(base_indexer_new(table, &ix, &err) == BASE_OK, "%s", err.text);
    ck_assert_uint_eq(base_indexer_count(ix), count);
    return ix;
}

/* All terms of a partition with one row. */
static void walk(const struct base_indexer *ix, struct base_slice pkey,
                 struct base_slice static_row, struct base_slice ckey, struct base_slice row)
{
    struct base_buf scratch;
    base_buf_init(&scratch, 1 << 24);
    struct base_index_emit emit = {note, &seen, &scratch};
    seen_begin();
    if (pkey.len)
        ck_assert_int_eq(base_indexer_key_terms(ix, pkey, &emit), BASE_OK);
    ck_assert_int_eq(base_indexer_static_terms(ix, static_row, &emit), BASE_OK);
    if (row.len)
        ck_assert_int_eq(base_indexer_row_terms(ix, ckey, row, &emit), BASE_OK);
    base_buf_fini(&scratch);
}

/* Does the filter's term lie among them? */
static bool finds(const struct base_indexer *ix, uint32_t column, enum base_filter_op op,
                  struct base_slice operand)
{
    struct base_filter filter = {.column = column, .op = op, .operand = operand};
    struct base_buf term;
    size_t index;
    base_buf_init(&term, 1 << 24);
    ck_assert(base_indexer_lookup(ix, &filter, &index, &term));
    bool found = has_term(index, base_buf_view(&term));
    base_buf_fini(&term);
    return found;
}

static bool finds_entry(const struct base_indexer *ix, uint32_t column, struct base_slice key,
                        struct base_slice value)
{
    struct base_filter filter = {
        .column = column, .op = BASE_FILTER_ENTRY, .operand = value, .element = key};
    struct base_buf term;
    size_t index;
    base_buf_init(&term, 1 << 24);
    ck_assert(base_indexer_lookup(ix, &filter, &index, &term));
    bool found = has_term(index, base_buf_view(&term));
    base_buf_fini(&term);
    return found;
}

static struct base_slice int32(int32_t v)
{
    uint8_t *p = base_arena_alloc(&arena, 4);
    base_put_be32(p, (uint32_t)v);
    return base_slice(p, 4);
}

static struct base_slice row_of(uint32_t column, struct base_slice value, bool dead)
{
    struct base_buf *out = base_arena_zalloc(&arena, sizeof *out);
    struct base_row_builder b;
    base_buf_init(out, 1 << 24);
    struct base_cell cell = {.column = column, .ts = 10, .value = value};
    if (dead)
        cell =
            (struct base_cell){.column = column, .ts = 10, .flags = BASE_CELL_DEAD, .local_s = 1};
    ck_assert_int_eq(base_row_begin(&b, out, 10), BASE_OK);
    ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    base_row_end(&b);
    struct base_slice copy;
    ck_assert_int_eq(base_arena_copy(&arena, base_buf_view(out), &copy), BASE_OK);
    base_buf_fini(out);
    return copy;
}

START_TEST(every_kind_of_column_gives_its_terms)
{
    struct base_table *t =
        make_table(&arena, "lab", "t", "p a int; p b text; d c int; c e text; s st int; r v int");
    struct base_index indexes[] = {
        {7, S("i7"), 6, BASE_INDEX_VALUE, {0}}, {1, S("i1"), 1, BASE_INDEX_VALUE, {0}},
        {2, S("i2"), 2, BASE_INDEX_VALUE, {0}}, {3, S("i3"), 3, BASE_INDEX_VALUE, {0}},
        {4, S("i4"), 4, BASE_INDEX_VALUE, {0}}, {5, S("i5"), 5, BASE_INDEX_VALUE, {0}}};
    struct base_indexer *ix = indexer(t, indexes, 6);
    struct base_buf pk, pkey, ckey;
    base_buf_init(&pk, 1 << 16);
    base_buf_init(&pkey, 1 << 16);
    base_buf_init(&ckey, 1 << 16);
    struct base_slice key[2] = {int32(5), S("five")};
    ck_assert_int_eq(base_pk_compose(key, 2, &pk, &err), BASE_OK);
    ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), &pkey), BASE_OK);
    ck_assert_int_eq(
        base_ckey_put(base_type_scalar(BASE_TYPE_INT), true, int32(-3), &ckey, NULL, &err),
        BASE_OK);
    ck_assert_int_eq(
        base_ckey_put(base_type_scalar(BASE_TYPE_TEXT), false, S(""), &ckey, NULL, &err), BASE_OK);
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
    walk(ix, base_buf_view(&pkey), row_of(5, int32(8), false), base_buf_view(&ckey),
         row_of(6, int32(9), false));
    ck_assert(finds(ix, 1, BASE_FILTER_EQ, int32(5)) && !finds(ix, 1, BASE_FILTER_EQ, int32(6)));
    ck_assert(finds(ix, 2, BASE_FILTER_EQ, S("five")) && !finds(ix, 2, BASE_FILTER_EQ, S("fiv")));
    ck_assert(finds(ix, 3, BASE_FILTER_EQ, int32(-3)) && !finds(ix, 3, BASE_FILTER_EQ, int32(3)));
    ck_assert(finds(ix, 4, BASE_FILTER_EQ, S("")) && !finds(ix, 4, BASE_FILTER_EQ, S("x")));
    ck_assert(finds(ix, 5, BASE_FILTER_EQ, int32(8)) && !finds(ix, 5, BASE_FILTER_EQ, int32(9)));
    ck_assert(finds(ix, 6, BASE_FILTER_EQ, int32(9)) && !finds(ix, 6, BASE_FILTER_EQ, int32(8)));
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(seen.count[i], 1);
        ck_assert_uint_eq(base_indexer_id(ix, i), i < 5 ? i + 1 : 7);
        ck_assert(base_indexer_of_partition(ix, i) == (i < 2 || i == 4));
    }
    /* A dead cell has no term; nor has a row that is nothing but dead, not even by its key. */
    walk(ix, (struct base_slice){0}, row_of(5, int32(8), true), base_buf_view(&ckey),
         row_of(6, int32(9), true));
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(seen.count[i], 0);
    base_buf_fini(&pk);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_indexer_release(ix);
}
END_TEST

/* A column's value as the row that INSERT writes. */
static struct base_slice exploded_row(uint32_t column, const struct base_type *type,
                                      struct base_slice value)
{
    struct base_buf out;
    struct base_row_builder b;
    struct base_explode it;
    base_buf_init(&out, 1 << 24);
    ck_assert_int_eq(base_row_begin(&b, &out, 10), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_msg(base_explode_begin(&it, type, value, &err) == BASE_OK, "%s", err.text);
    for (uint8_t i = 0;; i++) {
        struct base_uuid item = {{0, 0, 0, i, 0, 0, 0x10, 0, 0x80}};
        struct base_cell cell = {.column = column, .ts = 10};
        bool end;
        ck_assert_msg(base_explode_next(&it, type->kind == BASE_TYPE_LIST ? &item : NULL, &cell,
                                        &end, &err) == BASE_OK,
                      "%s", err.text);
        if (end)
            break;
        ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    }
    base_explode_fini(&it);
    base_row_end(&b);
    struct base_slice copy;
    ck_assert_int_eq(base_arena_copy(&arena, base_buf_view(&out), &copy), BASE_OK);
    base_buf_fini(&out);
    return copy;
}

static struct base_slice random_normal(const struct base_type *type)
{
    struct base_buf raw, normal;
    struct base_slice copy;
    base_buf_init(&raw, 1 << 24);
    base_buf_init(&normal, 1 << 24);
    random_value(&rng, type, false, &raw);
    ck_assert_msg(base_value_normalize(type, base_buf_view(&raw), &normal, &err) == BASE_OK, "%s",
                  err.text);
    ck_assert_int_eq(base_arena_copy(&arena, base_buf_view(&normal), &copy), BASE_OK);
    base_buf_fini(&raw);
    base_buf_fini(&normal);
    return copy;
}

static void check_collection(struct base_table *t, const struct base_type *type)
{
    bool map = type->kind == BASE_TYPE_MAP;
    struct base_index indexes[] = {{1, S("values"), 2, BASE_INDEX_VALUES, {0}},
                                   {2, S("keys"), 2, BASE_INDEX_KEYS, {0}},
                                   {3, S("entries"), 2, BASE_INDEX_ENTRIES, {0}}};
    ((struct base_column *)(uintptr_t)&t->columns[1])->type = type;
    struct base_indexer *ix = indexer(t, indexes, map ? 3 : 1);
    struct base_slice value = random_normal(type), element;
    walk(ix, (struct base_slice){0}, (struct base_slice){0}, S("\x20"),
         exploded_row(2, type, value));
    struct base_elements it;
    ck_assert(base_elements_begin(&it, type, value));
    uint32_t count = it.left;
    struct base_slice before = {0};
    for (uint32_t i = 0; i < count; i++) {
        bool is_null, key = map && i % 2 == 0;
        ck_assert(base_elements_next(&it, &element, &is_null) && !is_null);
        ck_assert(finds(ix, 2, key ? BASE_FILTER_CONTAINS_KEY : BASE_FILTER_CONTAINS, element));
        ck_assert(!map || key || finds_entry(ix, 2, before, element));
        before = element;
    }
    ck_assert_uint_eq(seen.count[0], map ? count / 2 : count);
    base_indexer_release(ix);
}

START_TEST(elements_of_collections_are_found)
{
    struct base_table *t = make_table(&arena, "lab", "t", "p k int; r v int");
    for (int i = 0; i < 300; i++) {
        struct base_type *type = base_arena_zalloc(&arena, sizeof *type);
        const struct base_type **params = base_arena_zalloc(&arena, 2 * sizeof *params);
        static const enum base_type_kind kinds[] = {BASE_TYPE_LIST, BASE_TYPE_SET, BASE_TYPE_MAP};
        params[0] = base_type_freeze(&arena, random_type(&rng, &arena, 1, true));
        params[1] = base_type_freeze(&arena, random_type(&rng, &arena, 1, true));
        *type = (struct base_type){
            .kind = kinds[i % 3], .params = params, .param_count = i % 3 == 2 ? 2 : 1};
        check_collection(t, type);
    }
}
END_TEST

/* Equal by base_value_compare: equal terms. Unequal and short: unequal terms, in the values'
 * order. */
START_TEST(terms_are_equal_as_values_are)
{
    struct base_table *t = make_table(&arena, "lab", "t", "p k int; r v int");
    struct base_index index = {1, S("i"), 2, BASE_INDEX_VALUE, {0}};
    int equal = 0;
    for (int i = 0; i < 3000; i++) {
        const struct base_type *type = base_type_freeze(&arena, random_type(&rng, &arena, 2, true));
        ((struct base_column *)(uintptr_t)&t->columns[1])->type = type;
        struct base_indexer *ix = indexer(t, &index, 1);
        struct base_buf a, b;
        base_buf_init(&a, 1 << 24);
        base_buf_init(&b, 1 << 24);
        random_value(&rng, type, true, &a);
        random_value(&rng, type, true, &b);
        int c = base_value_compare(type, base_buf_view(&a), base_buf_view(&b));
        walk(ix, (struct base_slice){0}, (struct base_slice){0}, S("\x20"),
             row_of(2, base_buf_view(&a), false));
        ck_assert_uint_eq(seen.count[0], 1);
        ck_assert(finds(ix, 2, BASE_FILTER_EQ, base_buf_view(&a)));
        bool found = finds(ix, 2, BASE_FILTER_EQ, base_buf_view(&b));
        equal += c == 0;
        ck_assert_msg(c != 0 || found, "equal values, unequal terms");
        ck_assert_msg(c == 0 || !found || a.len > 300 || b.len > 300,
                      "unequal values, equal terms");
        base_buf_fini(&a);
        base_buf_fini(&b);
        base_indexer_release(ix);
    }
    ck_assert_int_gt(equal, 20);
}
END_TEST

START_TEST(long_values_are_cut_alike_on_both_sides)
{
    struct base_table *t = make_table(&arena, "lab", "t", "p k int; r v text; r s set<text>");
    struct base_index indexes[] = {{1, S("i"), 2, BASE_INDEX_VALUE, {0}},
                                   {2, S("j"), 3, BASE_INDEX_VALUES, {0}}};
    struct base_indexer *ix = indexer(t, indexes, 2);
    for (size_t len = 1000; len < 1100; len++) {
        char *text = base_arena_zalloc(&arena, 4 + 4 + len);
        for (size_t i = 0; i < len; i++)
            text[8 + i] = (char)(i % 3 ? 'a' : 0); /* escaped: longer than it is */
        base_put_be32((uint8_t *)text, 1);
        base_put_be32((uint8_t *)text + 4, (uint32_t)len);
        struct base_slice value = base_slice(text + 8, len);
        walk(ix, (struct base_slice){0}, (struct base_slice){0}, S("\x20"),
             row_of(2, value, false));
        ck_assert(finds(ix, 2, BASE_FILTER_EQ, value));
        walk(ix, (struct base_slice){0}, (struct base_slice){0}, S("\x20"),
             exploded_row(3, base_table_column(t, S("s"))->type, base_slice(text, 8 + len)));
        ck_assert(finds(ix, 3, BASE_FILTER_CONTAINS, value));
    }
    base_indexer_release(ix);
}
END_TEST

START_TEST(what_no_index_serves_is_not_looked_up)
{
    struct base_table *t = make_table(&arena, "lab", "t", "p k int; r v int; r m map<int, int>");
    struct base_index indexes[] = {{1, S("i"), 2, BASE_INDEX_VALUE, {0}},
                                   {2, S("j"), 3, BASE_INDEX_KEYS, {0}}};
    struct base_indexer *ix = indexer(t, indexes, 2);
    struct base_buf term;
    size_t index;
    base_buf_init(&term, 4096);
    struct base_filter filters[] = {
        {.column = 2, .op = BASE_FILTER_LT, .operand = int32(1)},
        {.column = 2, .op = BASE_FILTER_NE, .operand = int32(1)},
        {.column = 3, .op = BASE_FILTER_CONTAINS, .operand = int32(1)},
        {.column = 9, .op = BASE_FILTER_EQ, .operand = int32(1)},
        {.column = 2, .op = BASE_FILTER_EQ, .operand = S("not an int")}};
    for (size_t i = 0; i < BASE_COUNT(filters); i++) {
        ck_assert_msg(!base_indexer_lookup(ix, &filters[i], &index, &term), "filter %zu", i);
        ck_assert_uint_eq(term.len, 0);
    }
    /* a stored value that is no int has no term, and hurts nobody */
    walk(ix, (struct base_slice){0}, (struct base_slice){0}, S("\x20"),
         row_of(2, S("not an int"), false));
    ck_assert_uint_eq(seen.count[0], 0);
    base_buf_fini(&term);
    base_indexer_release(ix);
    t->index_count = 0;
    ck_assert_int_eq(base_indexer_new(t, &ix, &err), BASE_OK);
    ck_assert_ptr_null(ix);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tc = tcase_create("index");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_kind_of_column_gives_its_terms);
    tcase_add_test(tc, elements_of_collections_are_found);
    tcase_add_test(tc, terms_are_equal_as_values_are);
    tcase_add_test(tc, long_values_are_cut_alike_on_both_sides);
    tcase_add_test(tc, what_no_index_serves_is_not_looked_up);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
