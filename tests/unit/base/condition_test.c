/* The encoding of conditions, which comes from peers: what is damaged or does not fit the table is
 * refused, and what is not refused can be judged. (What conditions mean is
 * tests/unit/cql/condition_test.c's.) Breaks without it: a peer's bytes that bring a node down. */
#include "base/condition.h"
#include "base/key.h"
#include "base/mutation.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/lib/rng.h"

#define S(text) base_slice_str(text)
#define OK(expr) ck_assert_int_eq((expr), BASE_OK)

static struct base_arena arena;
static struct base_err err;
static const struct base_table *table;
static struct base_schema *schema;
enum { PK = 1, CK, ST, V, TAGS, SCORES, ITEMS, FROZEN };

static void begin(void)
{
    base_arena_init(&arena);
    schema = make_schema_of(
        &arena,
        make_table(
            &arena, "ks", "t",
            "p k int; c c int; s st text; r v int; r tags set<text>; r scores map<text, int>; "
            "r items list<int>; r frozen frozen<map<text, int>>"));
    table = base_schema_table(schema, S("ks"), S("t"));
    ck_assert_ptr_nonnull(table);
}

static void end(void)
{
    base_schema_release(schema);
    base_arena_fini(&arena);
}

static struct base_slice int_value(int32_t v)
{
    uint8_t *bytes = base_arena_alloc(&arena, 4);
    base_put_be32(bytes, (uint32_t)v);
    return base_slice(bytes, 4);
}

static struct base_slice ckey_of(int32_t v)
{
    struct base_buf buf;
    bool exact = true;
    base_buf_init_in_arena(&buf, &arena, 1000);
    ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_INT), false, int_value(v), &buf, &exact, &err),
          err);
    OK(base_ckey_end(BASE_KEY_AT, &buf));
    return base_buf_view(&buf);
}

static struct base_slice path_of(uint32_t column, struct base_slice key)
{
    struct base_buf buf;
    base_buf_init_in_arena(&buf, &arena, 1000);
    ck_ok(base_path_put(base_table_column_by_id(table, column)->type, key, &buf, NULL, &err), err);
    return base_buf_view(&buf);
}

static void put(struct base_buf *out, int32_t row, uint32_t column, enum base_condition_op op,
                enum base_condition_element element, struct base_slice path, uint32_t index,
                const struct base_condition_operand *operands, size_t n)
{
    OK(base_condition_put_column(out, column == ST ? (struct base_slice){0} : ckey_of(row), column,
                                 op, element, path, index, operands, n));
}

/* One of every kind. */
static struct base_slice all_kinds(void)
{
    struct base_buf out;
    const struct base_condition_operand seven = {.value = int_value(7)}, none = {.is_null = true},
                                        text = {.value = S("x")};
    const struct base_condition_operand two[] = {seven, none};
    const struct base_slice no = {0};
    base_buf_init_in_arena(&out, &arena, 1 << 16);
    OK(base_buf_put_varint(&out, 11));
    OK(base_condition_put_row(&out, BASE_CONDITION_EXISTS, ckey_of(2)));
    OK(base_condition_put_row(&out, BASE_CONDITION_NOT_EXISTS, no));
    put(&out, 1, V, BASE_CONDITION_EQ, BASE_CONDITION_WHOLE, no, 0, &seven, 1);
    put(&out, 1, V, BASE_CONDITION_IN, BASE_CONDITION_WHOLE, no, 0, two, 2);
    put(&out, 1, V, BASE_CONDITION_IN, BASE_CONDITION_WHOLE, no, 0, NULL, 0);
    put(&out, 1, ST, BASE_CONDITION_NE, BASE_CONDITION_WHOLE, no, 0, &none, 1);
    put(&out, 3, SCORES, BASE_CONDITION_LT, BASE_CONDITION_PATH, path_of(SCORES, S("a")), 0, &seven,
        1);
    put(&out, 3, SCORES, BASE_CONDITION_CONTAINS_KEY, BASE_CONDITION_WHOLE, no, 0, &text, 1);
    put(&out, 3, ITEMS, BASE_CONDITION_GE, BASE_CONDITION_INDEX, no, 258, &seven, 1);
    put(&out, 3, TAGS, BASE_CONDITION_CONTAINS, BASE_CONDITION_WHOLE, no, 0, &text, 1);
    put(&out, 3, FROZEN, BASE_CONDITION_EQ, BASE_CONDITION_PATH, path_of(FROZEN, S("a")), 0, &none,
        1);
    return base_buf_view(&out);
}

START_TEST(round_trip)
{
    begin();
    struct base_slice conditions = all_kinds();
    struct base_reader in = base_reader(conditions);
    struct base_condition c;
    uint64_t count;
    ck_ok(base_conditions_check(conditions, table, &err), err);
    ck_assert(base_get_varint(&in, &count));
    ck_assert_uint_eq(count, 11);
    ck_assert(base_condition_decode(&in, &c));
    ck_assert_int_eq(c.kind, BASE_CONDITION_EXISTS);
    ck_assert(base_slice_equal(c.ckey, ckey_of(2)));
    ck_assert(base_condition_decode(&in, &c));
    ck_assert(c.kind == BASE_CONDITION_NOT_EXISTS && c.ckey.len == 0);
    for (int i = 0; i < 2; i++)
        ck_assert(base_condition_decode(&in, &c));
    ck_assert(c.kind == BASE_CONDITION_COLUMN && c.column == V && c.op == BASE_CONDITION_IN &&
              c.operand_count == 2);
    for (int i = 0; i < 5; i++)
        ck_assert(base_condition_decode(&in, &c));
    ck_assert(c.column == ITEMS && c.op == BASE_CONDITION_GE && c.element == BASE_CONDITION_INDEX &&
              c.index == 258);
    for (int i = 0; i < 2; i++)
        ck_assert(base_condition_decode(&in, &c));
    ck_assert(c.column == FROZEN && base_slice_equal(c.path, path_of(FROZEN, S("a"))));
    ck_assert_uint_eq(base_reader_left(&in), 0);
    end();
}
END_TEST

/* Rows to judge over: the static one, 1 and 3. */
static size_t make_rows(struct base_condition_row *rows)
{
    struct base_row_builder b;
    for (size_t i = 0; i < 3; i++) {
        struct base_buf bytes;
        base_buf_init_in_arena(&bytes, &arena, 1 << 16);
        OK(base_row_begin(&b, &bytes, 5));
        if (i == 0) {
            OK(base_row_put_value(&b, ST, S("static")));
        } else {
            OK(base_row_put_liveness(&b, 0, 0));
            OK(base_row_put_value(&b, V, int_value(7)));
            const struct base_cell tag = {.column = TAGS, .ts = 5, .path = path_of(TAGS, S("x"))};
            const struct base_cell score = {
                .column = SCORES, .ts = 5, .path = path_of(SCORES, S("a")), .value = int_value(6)};
            OK(base_row_put_cell(&b, &tag));
            OK(base_row_put_cell(&b, &score));
            OK(base_row_put_value(&b, FROZEN, base_slice("\0\0\0\1\0\0\0\1a\0\0\0\4\0\0\0\1", 17)));
        }
        base_row_end(&b);
        rows[i] = (struct base_condition_row){
            i ? ckey_of((int32_t)(2 * i - 1)) : (struct base_slice){0}, base_buf_view(&bytes)};
    }
    return 3;
}

/* Every prefix, and every byte changed: refused, or judged without harm. */
START_TEST(damage)
{
    begin();
    struct base_condition_row rows[3];
    struct base_slice good = all_kinds();
    struct base_buf current;
    struct rng rng = rng_seeded(11);
    size_t n = make_rows(rows), passed = 0;
    bool hold;
    base_buf_init(&current, 1 << 20);
    for (size_t cut = 0; cut < good.len; cut++)
        ck_fails(base_conditions_check(base_slice(good.data, cut), table, &err), BASE_E_INVALID,
                 err);
    for (size_t i = 0; i < 20 * good.len; i++) {
        uint8_t *bytes = malloc(good.len); /* so that a sanitizer sees what is read past it */
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, good.data, good.len);
        bytes[i % good.len] ^= (uint8_t)(1 + rng_below(&rng, 255));
        struct base_slice bad = {bytes, good.len};
        struct base_slices slices;
        base_err_clear(&err);
        if (base_conditions_check(bad, table, &err) == BASE_OK) {
            passed++;
            base_buf_reset(&current);
            ck_ok(base_conditions_slices(&arena, bad, (struct base_slice){0}, &slices, &err), err);
            ck_ok(base_conditions_judge(bad, table, rows, n, &hold, &current, &err), err);
            ck_assert(hold ? current.len == 0
                           : base_conditions_current_check(base_buf_view(&current)));
        }
        free(bytes);
    }
    ck_assert_uint_gt(passed, 0);
    base_buf_fini(&current);
    end();
}
END_TEST

START_TEST(what_does_not_fit)
{
    begin();
    const struct base_condition_operand seven = {.value = int_value(7)}, none = {.is_null = true},
                                        text = {.value = S("x")};
    static const struct {
        uint32_t column;
        enum base_condition_op op;
        enum base_condition_element element;
        int operand; /* 0: an int, 1: null, 2: text */
    } bad[] = {
        {CK, BASE_CONDITION_EQ, BASE_CONDITION_WHOLE, 0},
        {99, BASE_CONDITION_EQ, BASE_CONDITION_WHOLE, 0},
        {V, BASE_CONDITION_LT, BASE_CONDITION_WHOLE, 1},
        {V, BASE_CONDITION_EQ, BASE_CONDITION_WHOLE, 2},
        {V, BASE_CONDITION_EQ, BASE_CONDITION_INDEX, 0},
        {SCORES, BASE_CONDITION_EQ, BASE_CONDITION_INDEX, 0},
        {TAGS, BASE_CONDITION_EQ, BASE_CONDITION_INDEX, 2},
        {V, BASE_CONDITION_CONTAINS, BASE_CONDITION_WHOLE, 0},
        {TAGS, BASE_CONDITION_CONTAINS_KEY, BASE_CONDITION_WHOLE, 2},
        {SCORES, BASE_CONDITION_CONTAINS, BASE_CONDITION_WHOLE, 2},
        {ITEMS, BASE_CONDITION_CONTAINS, BASE_CONDITION_WHOLE, 1},
    };
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        struct base_buf out;
        base_buf_init(&out, 4096);
        OK(base_buf_put_varint(&out, 1));
        put(&out, 1, bad[i].column, bad[i].op, bad[i].element, (struct base_slice){0}, 0,
            bad[i].operand == 0   ? &seven
            : bad[i].operand == 1 ? &none
                                  : &text,
            1);
        ck_fails(base_conditions_check(base_buf_view(&out), table, &err), BASE_E_INVALID, err);
        base_buf_fini(&out);
    }
    end();
}
END_TEST

/* The rows of conditions and of the mutation, each once, in order; `current` has those that
 * conditions look at. */
START_TEST(rows_looked_at)
{
    begin();
    struct base_buf conditions, mutation, pkey, current;
    struct base_buf *const all[] = {&conditions, &mutation, &pkey, &current};
    struct base_condition_row rows[3];
    struct base_slices slices;
    size_t n = make_rows(rows);
    bool hold;
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 1 << 16);
    OK(base_buf_put_varint(&conditions, 3));
    OK(base_condition_put_row(&conditions, BASE_CONDITION_EXISTS, ckey_of(3)));
    OK(base_condition_put_row(&conditions, BASE_CONDITION_NOT_EXISTS, ckey_of(2)));
    OK(base_condition_put_row(&conditions, BASE_CONDITION_NOT_EXISTS, ckey_of(3)));
    OK(base_pkey_put(int_value(1), &pkey));
    const struct base_mutation_row_part parts[] = {{rows[1].ckey, rows[1].row},
                                                   {rows[2].ckey, rows[2].row}};
    OK(base_mutation_put(&mutation, table->id, base_buf_view(&pkey), BASE_DELETION_NONE,
                         (struct base_slice){0}, NULL, 0, parts, 2));
    ck_ok(base_conditions_slices(&arena, base_buf_view(&conditions), base_buf_view(&mutation),
                                 &slices, &err),
          err);
    ck_assert_uint_eq(slices.count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert(base_slice_equal(slices.ranges[i].lo, ckey_of((int32_t)i + 1)));
    ck_ok(base_conditions_judge(base_buf_view(&conditions), table, rows, n, &hold, &current, &err),
          err);
    ck_assert(!hold);
    struct base_reader in = base_reader(base_buf_view(&current));
    struct base_slice ckey, row;
    uint64_t count;
    ck_assert(base_get_varint(&in, &count) && count == 2); /* the static row, and 3 */
    ck_assert(base_get_bytes(&in, &ckey) && ckey.len == 0 && base_get_bytes(&in, &row) &&
              base_slice_equal(row, rows[0].row));
    ck_assert(base_get_bytes(&in, &ckey) && base_slice_equal(ckey, ckey_of(3)) &&
              base_get_bytes(&in, &row));
    for (size_t cut = 0; cut < current.len; cut++)
        ck_assert(!base_conditions_current_check(base_slice(current.data, cut)));
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/condition");
    TCase *tc = tcase_create("condition");
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, damage);
    tcase_add_test(tc, what_does_not_fit);
    tcase_add_test(tc, rows_looked_at);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
