/* The schema: snapshots, changes, their bytes. Without these a node could lose a table's identity,
 * give a column's id to another column and so show old cells under a new name, keep a table on an
 * old version of its type, crash on a damaged catalog, or take two conflicting changes. */
#include <stdio.h>

#include "base/schema.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"

static struct base_arena arena;
static struct base_err err;

static void setup(void)
{
    base_arena_init(&arena);
}

static void teardown(void)
{
    base_arena_fini(&arena);
}

#define S(text) base_slice_str(text)

static const char columns[] = "p sensor text; p day date; d ts timestamp; s unit text; r celsius "
                              "double; r tags map<text, text>";

static struct base_schema *lab(void)
{
    return make_schema_of(&arena, make_table(&arena, "lab", "readings", columns));
}

static struct base_schema *with_type(struct base_schema *schema, enum base_change_kind kind,
                                     const char *name, const struct base_type *type)
{
    struct base_change c = {.kind = kind,
                            .expected_epoch = schema->epoch,
                            .keyspace = S("lab"),
                            .name = S(name),
                            .type_new = type};
    return make_applied(schema, &c);
}

/* The same snapshot through its bytes: must say the same in the same bytes. */
static struct base_schema *through_bytes(struct base_schema *schema)
{
    struct base_buf a, b;
    struct base_schema *again;
    base_buf_init(&a, 1 << 20);
    base_buf_init(&b, 1 << 20);
    ck_assert_int_eq(base_schema_encode(schema, &a), BASE_OK);
    ck_assert_msg(base_schema_decode(base_buf_view(&a), &again, &err) == BASE_OK, "%s", err.text);
    ck_assert_int_eq(base_schema_encode(again, &b), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&a), base_buf_view(&b)));
    base_buf_fini(&a);
    base_buf_fini(&b);
    base_schema_release(schema);
    return again;
}

/* The same change through its bytes. */
static struct base_change change_through_bytes(const struct base_change *change)
{
    struct base_buf a, b;
    struct base_change again;
    base_buf_init(&a, 1 << 20);
    base_buf_init(&b, 1 << 20);
    ck_assert_int_eq(base_change_encode(change, &a), BASE_OK);
    ck_assert_msg(base_change_decode(&arena, base_buf_view(&a), &again, &err) == BASE_OK, "%s",
                  err.text);
    ck_assert_int_eq(base_change_encode(&again, &b), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&a), base_buf_view(&b)));
    base_buf_fini(&a);
    base_buf_fini(&b);
    return again;
}

START_TEST(lookup_finds_everything)
{
    struct base_schema *schema = through_bytes(lab());
    const struct base_table *t = base_schema_table(schema, S("lab"), S("readings"));
    ck_assert_ptr_nonnull(t);
    ck_assert_ptr_eq(base_schema_table_by_id(schema, t->id), t);
    ck_assert_ptr_null(base_schema_table(schema, S("lab"), S("reading")));
    ck_assert_ptr_null(base_schema_table(schema, S("la"), S("readings")));
    ck_assert_ptr_null(base_schema_keyspace(schema, S("LAB")));
    ck_assert_uint_eq(t->partition_key_count, 2);
    ck_assert_uint_eq(t->clustering_count, 1);
    ck_assert_uint_eq(t->static_count, 1);
    static const char *const names[] = {"sensor", "day", "ts", "unit", "celsius", "tags"};
    for (size_t i = 0; i < BASE_COUNT(names); i++) {
        const struct base_column *c = base_table_column(t, S(names[i]));
        ck_assert_ptr_nonnull(c);
        ck_assert(base_slice_equal(c->name, S(names[i])));
        ck_assert_ptr_eq(base_table_column_by_id(t, c->id), c);
    }
    ck_assert(t->columns[2].descending);
    ck_assert_ptr_null(base_table_column(t, S("nope")));
    ck_assert_ptr_null(base_table_column_by_id(t, 99));
    base_schema_release(schema);
}
END_TEST

START_TEST(a_change_makes_a_new_snapshot_and_leaves_the_old)
{
    struct base_schema *before = lab(), *after;
    struct base_change c = {.kind = BASE_CHANGE_TABLE_DROP,
                            .expected_epoch = before->epoch,
                            .keyspace = S("lab"),
                            .name = S("readings"),
                            .table_id = base_schema_table(before, S("lab"), S("readings"))->id};
    c = change_through_bytes(&c);
    ck_assert_int_eq(base_schema_apply(before, &c, &after, &err), BASE_OK);
    ck_assert_uint_eq(after->epoch, before->epoch + 1);
    ck_assert_ptr_null(base_schema_table(after, S("lab"), S("readings")));
    ck_assert_ptr_nonnull(base_schema_table(before, S("lab"), S("readings")));
    base_schema_release(before);
    /* the same change against the new epoch's snapshot: made against another one */
    ck_assert_int_eq(base_schema_apply(after, &c, &before, &err), BASE_E_STALE);
    ck_assert_ptr_null(before);
    c.expected_epoch = after->epoch;
    ck_assert_int_eq(base_schema_apply(after, &c, &before, &err), BASE_E_NOTFOUND);
    base_schema_release(after);
}
END_TEST

START_TEST(equal_changes_of_two_proposers_differ)
{
    struct base_schema *schema = lab(), *after;
    struct base_change a = make_create_keyspace(&arena, schema, "zoo"), b = a, again;
    struct base_buf bytes[2];
    a.proposal = (struct base_uuid){{1}};
    b.proposal = (struct base_uuid){{2}};
    for (int i = 0; i < 2; i++) {
        base_buf_init(&bytes[i], 1 << 20);
        ck_assert_int_eq(base_change_encode(i ? &b : &a, &bytes[i]), BASE_OK);
    }
    ck_assert(!base_slice_equal(base_buf_view(&bytes[0]), base_buf_view(&bytes[1])));
    a = change_through_bytes(&a);
    ck_assert_uint_eq(a.proposal.b[0], 1);
    ck_assert_int_eq(base_schema_apply(schema, &a, &after, &err), BASE_OK);
    base_schema_release(after);
    /* a proposal of nobody has the form of version 1, and no other */
    memset(bytes[0].data + 1, 0, 16);
    ck_assert_int_eq(base_change_decode(&arena, base_buf_view(&bytes[0]), &again, &err),
                     BASE_E_CORRUPT);
    base_buf_fini(&bytes[0]);
    base_buf_fini(&bytes[1]);
    base_schema_release(schema);
}
END_TEST

START_TEST(things_are_created_once)
{
    struct base_schema *schema = lab(), *after;
    struct base_change c = make_create_keyspace(&arena, schema, "lab");
    c = change_through_bytes(&c);
    ck_assert_int_eq(base_schema_apply(schema, &c, &after, &err), BASE_E_EXISTS);
    c = make_create_table(schema, make_table(&arena, "lab", "readings", "p k int"));
    c = change_through_bytes(&c);
    ck_assert_int_eq(base_schema_apply(schema, &c, &after, &err), BASE_E_EXISTS);
    c = make_create_table(schema, make_table(&arena, "elsewhere", "t", "p k int"));
    ck_assert_int_eq(base_schema_apply(schema, &c, &after, &err), BASE_E_NOTFOUND);
    base_schema_release(schema);
}
END_TEST

START_TEST(keyspaces_are_altered_and_dropped_with_all_in_them)
{
    struct base_schema *schema = lab();
    struct base_change c = make_create_keyspace(&arena, schema, "zoo");
    schema = make_applied(schema, &c);
    c = make_create_keyspace(&arena, schema, "aaa");
    schema = make_applied(schema, &c);
    ck_assert_uint_eq(schema->keyspace_count, 3);
    struct base_keyspace altered = *base_schema_keyspace(schema, S("lab"));
    altered.durable_writes = false;
    c = (struct base_change){.kind = BASE_CHANGE_KEYSPACE_ALTER,
                             .expected_epoch = schema->epoch,
                             .keyspace = S("lab"),
                             .keyspace_new = &altered};
    schema = make_applied(schema, &c);
    ck_assert(!base_schema_keyspace(schema, S("lab"))->durable_writes);
    ck_assert_ptr_nonnull(base_schema_table(schema, S("lab"), S("readings")));
    c = (struct base_change){
        .kind = BASE_CHANGE_KEYSPACE_DROP, .expected_epoch = schema->epoch, .keyspace = S("lab")};
    c = change_through_bytes(&c);
    schema = through_bytes(make_applied(schema, &c));
    ck_assert_uint_eq(schema->keyspace_count, 2);
    ck_assert_uint_eq(schema->table_count, 0);
    ck_assert_ptr_nonnull(base_schema_keyspace(schema, S("aaa")));
    ck_assert_ptr_nonnull(base_schema_keyspace(schema, S("zoo")));
    base_schema_release(schema);
}
END_TEST

/* Altered tables. */

/* The table with one regular column more or less; everything else shared. */
static struct base_table *altered_table(const struct base_table *t, const char *add,
                                        const char *drop)
{
    struct base_table *to = base_arena_alloc(&arena, sizeof *to);
    struct base_column *list = base_arena_zalloc(&arena, (t->column_count + 1) * sizeof *list);
    struct base_dropped_column *dropped =
        base_arena_zalloc(&arena, (t->dropped_count + 1) * sizeof *dropped);
    *to = *t;
    to->columns_by_id = NULL;
    to->column_count = 0;
    bool added = !add;
    for (size_t i = 0; i < t->column_count; i++) {
        const struct base_column *c = &t->columns[i];
        if (!added && c->kind == BASE_COLUMN_REGULAR && base_slice_compare(c->name, S(add)) > 0) {
            list[to->column_count++] = (struct base_column){
                to->next_column_id++,           BASE_COLUMN_REGULAR, 0, false, S(add),
                base_type_scalar(BASE_TYPE_INT)};
            added = true;
        }
        if (drop && base_slice_equal(c->name, S(drop)))
            dropped[to->dropped_count++] = (struct base_dropped_column){
                c->id, c->name, c->type, c->kind == BASE_COLUMN_STATIC, 77};
        else
            list[to->column_count++] = *c;
    }
    ck_assert(added);
    to->columns = list;
    to->dropped = dropped;
    return to;
}

static int alter(struct base_schema **schema, const struct base_table *table)
{
    struct base_change c = {.kind = BASE_CHANGE_TABLE_ALTER,
                            .expected_epoch = (*schema)->epoch,
                            .keyspace = S("lab"),
                            .name = S("readings"),
                            .table_new = table};
    struct base_schema *after;
    c = change_through_bytes(&c);
    int rc = base_schema_apply(*schema, &c, &after, &err);
    if (rc == BASE_OK) {
        base_schema_release(*schema);
        *schema = through_bytes(after);
    }
    return rc;
}

START_TEST(columns_come_and_go_and_ids_stay)
{
    struct base_schema *schema = lab();
    const struct base_table *t = base_schema_table(schema, S("lab"), S("readings"));
    uint32_t celsius = base_table_column(t, S("celsius"))->id;
    ck_assert_int_eq(alter(&schema, altered_table(t, "note", "celsius")), BASE_OK);
    t = base_schema_table(schema, S("lab"), S("readings"));
    ck_assert_ptr_null(base_table_column(t, S("celsius")));
    ck_assert_uint_eq(t->dropped_count, 1);
    ck_assert_uint_eq(t->dropped[0].id, celsius);
    ck_assert_int_eq(t->dropped[0].dropped_us, 77);
    ck_assert_uint_gt(base_table_column(t, S("note"))->id, celsius);
    base_schema_release(schema);
}
END_TEST

START_TEST(an_alter_that_would_break_stored_rows_is_refused)
{
    struct base_schema *schema = lab();
    const struct base_table *t = base_schema_table(schema, S("lab"), S("readings"));
    struct base_table *bad = altered_table(t, NULL, "celsius");
    bad->dropped_count = 0; /* gone without a record */
    ck_assert_int_eq(alter(&schema, bad), BASE_E_INVALID);
    bad = altered_table(t, "note", "celsius");
    for (size_t i = 0; i < bad->column_count; i++) /* the dropped column's id again */
        if (base_slice_equal(bad->columns[i].name, S("note")))
            ((struct base_column *)bad->columns)[i].id = bad->dropped[0].id;
    ck_assert_int_eq(alter(&schema, bad), BASE_E_INVALID);
    bad = altered_table(t, NULL, NULL);
    /* another type */
    ((struct base_column *)bad->columns)[4].type = base_type_scalar(BASE_TYPE_TEXT);
    ck_assert_int_eq(alter(&schema, bad), BASE_E_INVALID);
    bad = altered_table(t, NULL, NULL);
    ((struct base_column *)bad->columns)[2].descending = false; /* another order */
    ck_assert_int_eq(alter(&schema, bad), BASE_E_INVALID);
    bad = altered_table(t, NULL, NULL);
    bad->id.b[0] ^= 1; /* another table of this name */
    ck_assert_int_eq(alter(&schema, bad), BASE_E_STALE);
    bad = altered_table(t, NULL, NULL);
    bad->next_column_id--;
    ck_assert_int_eq(alter(&schema, bad), BASE_E_INVALID);
    base_schema_release(schema);
}
END_TEST

START_TEST(tables_that_make_no_sense_are_refused)
{
    struct base_schema *schema = base_schema_new(), *after;
    struct base_change c = make_create_keyspace(&arena, schema, "lab");
    schema = make_applied(schema, &c);
    static const struct {
        const char *name, *columns;
        int rc;
    } bad[] = {
        {"t", "r v int", BASE_E_INVALID},                    /* no partition key */
        {"t", "p k int; s v int", BASE_E_INVALID},           /* static without clustering */
        {"t", "p k list<int>", BASE_E_INVALID},              /* a key stored cell by cell */
        {"t", "p k duration", BASE_E_INVALID},               /* a key without an order */
        {"t", "p k int; r a int; r a text", BASE_E_INVALID}, /* a name twice */
        {"t", "p k int; r k text", BASE_E_INVALID},          /* … across kinds */
        {"a-b", "p k int", BASE_E_INVALID},
        {"", "p k int", BASE_E_INVALID},
        {"a123456789012345678901234567890123456789012345678", "p k int", BASE_E_INVALID}, /* 49 */
    };
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        c = make_create_table(schema, make_table(&arena, "lab", bad[i].name, bad[i].columns));
        ck_assert_msg(base_schema_apply(schema, &c, &after, &err) == bad[i].rc, "case %zu: %s", i,
                      err.text);
    }
    struct base_table *twin = make_table(&arena, "lab", "twin", "p k int; c k2 int");
    c = make_create_table(schema, twin);
    schema = make_applied(schema, &c);
    struct base_table *other = make_table(&arena, "lab", "other", "p k int");
    other->id = twin->id; /* two tables, one id */
    c = make_create_table(schema, other);
    ck_assert_int_eq(base_schema_apply(schema, &c, &after, &err), BASE_E_INVALID);
    base_schema_release(schema);
}
END_TEST

START_TEST(truncation_is_remembered_and_only_grows)
{
    struct base_schema *schema = lab();
    const struct base_table *t = base_schema_table(schema, S("lab"), S("readings"));
    ck_assert_int_eq(t->truncated_us, INT64_MIN);
    static const int64_t times[] = {500, 300}, want[] = {500, 500};
    for (size_t i = 0; i < 2; i++) {
        struct base_change c = {.kind = BASE_CHANGE_TABLE_TRUNCATE,
                                .expected_epoch = schema->epoch,
                                .keyspace = S("lab"),
                                .name = S("readings"),
                                .table_id = t->id,
                                .time_us = times[i]};
        c = change_through_bytes(&c);
        schema = through_bytes(make_applied(schema, &c));
        t = base_schema_table(schema, S("lab"), S("readings"));
        ck_assert_int_eq(t->truncated_us, want[i]);
    }
    struct base_table *altered = altered_table(t, "note", NULL);
    altered->truncated_us = INT64_MIN; /* made before it knew */
    ck_assert_int_eq(alter(&schema, altered), BASE_OK);
    ck_assert_int_eq(base_schema_table(schema, S("lab"), S("readings"))->truncated_us, 500);
    base_schema_release(schema);
}
END_TEST

/* User types. */

static struct base_table *table_with_address(const struct base_type *type)
{
    struct base_table *t =
        make_table(&arena, "lab", "people", "p id int; r address int; r old list<int>");
    ((struct base_column *)t->columns)[1].type = type;
    return t;
}

START_TEST(a_changed_type_reaches_tables_and_types)
{
    struct base_schema *schema = lab();
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "address",
                       make_user_type(&arena, "lab", "address", "street text"));
    struct base_type *person =
        (struct base_type *)make_user_type(&arena, "lab", "person", "name text; home int");
    ((const struct base_type **)person->params)[1] = make_type_ref(&arena, "lab", "address", true);
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "person", person);
    struct base_change c = make_create_table(
        schema, table_with_address(make_type_ref(&arena, "lab", "person", false)));
    c = change_through_bytes(&c);
    schema = through_bytes(make_applied(schema, &c));
    schema = with_type(schema, BASE_CHANGE_TYPE_ALTER, "address",
                       make_user_type(&arena, "lab", "address", "road text; zip int"));
    schema = through_bytes(schema);
    const struct base_type *in_table =
        base_table_column(base_schema_table(schema, S("lab"), S("people")), S("address"))->type;
    ck_assert_int_eq(in_table->kind, BASE_TYPE_UDT);
    ck_assert(!in_table->frozen);
    ck_assert_ptr_eq(in_table, base_schema_type(schema, S("lab"), S("person"))->type);
    const struct base_type *home = in_table->params[1];
    ck_assert(home->frozen);
    ck_assert_uint_eq(home->param_count, 2);
    ck_assert(base_slice_equal(home->field_names[0], S("road")));
    ck_assert(base_slice_equal(home->field_names[1], S("zip")));
    ck_assert_ptr_eq(home->params[1], base_type_scalar(BASE_TYPE_INT));
    base_schema_release(schema);
}
END_TEST

START_TEST(a_type_in_use_stays)
{
    struct base_schema *schema = lab(), *after;
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "address",
                       make_user_type(&arena, "lab", "address", "street text"));
    struct base_change drop = {
        .kind = BASE_CHANGE_TYPE_DROP, .keyspace = S("lab"), .name = S("address")};
    struct base_table *people = table_with_address(make_type_ref(&arena, "lab", "address", true));
    struct base_change c = make_create_table(schema, people);
    schema = make_applied(schema, &c);
    drop.expected_epoch = schema->epoch;
    ck_assert_int_eq(base_schema_apply(schema, &drop, &after, &err), BASE_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "people"));
    /* a dropped column does not hold the type: it has become a tuple */
    const struct base_table *t = base_schema_table(schema, S("lab"), S("people"));
    c = (struct base_change){.kind = BASE_CHANGE_TABLE_ALTER,
                             .expected_epoch = schema->epoch,
                             .keyspace = S("lab"),
                             .name = S("people"),
                             .table_new = altered_table(t, NULL, "address")};
    schema = make_applied(schema, &c);
    drop.expected_epoch = schema->epoch;
    schema = through_bytes(make_applied(schema, &drop));
    t = base_schema_table(schema, S("lab"), S("people"));
    ck_assert_int_eq(t->dropped[0].type->kind, BASE_TYPE_TUPLE);
    ck_assert_uint_eq(t->dropped[0].type->param_count, 1);
    ck_assert_ptr_null(base_schema_type(schema, S("lab"), S("address")));
    base_schema_release(schema);
}
END_TEST

START_TEST(types_that_contain_themselves_or_grow_without_end_are_refused)
{
    struct base_schema *schema = lab(), *after;
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "a0",
                       make_user_type(&arena, "lab", "a0", "x int"));
    char name[8], inner[8];
    int rc = BASE_OK, level;
    for (level = 1; level < 40 && rc == BASE_OK; level++) { /* each ten times the one before */
        snprintf(name, sizeof name, "a%d", level);
        snprintf(inner, sizeof inner, "a%d", level - 1);
        struct base_type *type = (struct base_type *)make_user_type(
            &arena, "lab", name,
            "a int; b int; c int; d int; e int; f int; g int; h int; i int; j int");
        for (size_t i = 0; i < 10; i++)
            ((const struct base_type **)type->params)[i] =
                make_type_ref(&arena, "lab", base_arena_strdup(&arena, S(inner)), true);
        struct base_change c = {.kind = BASE_CHANGE_TYPE_CREATE,
                                .expected_epoch = schema->epoch,
                                .keyspace = S("lab"),
                                .name = type->name = S(base_arena_strdup(&arena, S(name))),
                                .type_new = type};
        rc = base_schema_apply(schema, &c, &after, &err);
        if (rc == BASE_OK) {
            base_schema_release(schema);
            schema = after;
        }
    }
    ck_assert_int_eq(rc, BASE_E_LIMIT);
    ck_assert_int_lt(level, 10);
    struct base_type *self =
        (struct base_type *)make_user_type(&arena, "lab", "a0", "x int; y int");
    ((const struct base_type **)self->params)[1] = make_type_ref(&arena, "lab", "a1", true);
    struct base_change c = {.kind = BASE_CHANGE_TYPE_ALTER,
                            .expected_epoch = schema->epoch,
                            .keyspace = S("lab"),
                            .name = S("a0"),
                            .type_new = self};
    ck_assert_int_eq(base_schema_apply(schema, &c, &after, &err), BASE_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "contain itself"));
    base_schema_release(schema);
}
END_TEST

START_TEST(a_type_keeps_its_fields_types)
{
    struct base_schema *schema = lab(), *after;
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "address",
                       make_user_type(&arena, "lab", "address", "street text; zip int"));
    static const char *const bad[] = {"street text", "street int; zip int", "zip int; street text",
                                      "a text; a int"};
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        struct base_change c = {.kind = BASE_CHANGE_TYPE_ALTER,
                                .expected_epoch = schema->epoch,
                                .keyspace = S("lab"),
                                .name = S("address"),
                                .type_new = make_user_type(&arena, "lab", "address", bad[i])};
        ck_assert_msg(base_schema_apply(schema, &c, &after, &err) == BASE_E_INVALID, "case %zu", i);
    }
    base_schema_release(schema);
}
END_TEST

/* Damaged bytes. */

START_TEST(damaged_bytes_never_crash_or_pass_silently)
{
    struct base_schema *schema = lab(), *again;
    schema = with_type(schema, BASE_CHANGE_TYPE_CREATE, "address",
                       make_user_type(&arena, "lab", "address", "street text; zip int"));
    struct base_buf bytes, copy;
    base_buf_init(&bytes, 1 << 20);
    base_buf_init(&copy, 1 << 20);
    ck_assert_int_eq(base_schema_encode(schema, &bytes), BASE_OK);
    for (size_t cut = 0; cut < bytes.len; cut++)
        ck_assert_int_ne(base_schema_decode(base_slice(bytes.data, cut), &again, &err), BASE_OK);
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned bit = 0; bit < 8;
             bit++) { /* may decode to another valid schema: checksums are the catalog's */
            base_buf_reset(&copy);
            ck_assert_int_eq(base_buf_put(&copy, bytes.data, bytes.len), BASE_OK);
            copy.data[i] ^= (uint8_t)(1u << bit);
            if (base_schema_decode(base_buf_view(&copy), &again, &err) == BASE_OK)
                base_schema_release(again);
            struct base_change c;
            if (base_change_decode(&arena, base_buf_view(&copy), &c, &err) == BASE_OK)
                ck_assert_int_ne(c.kind, 0);
        }
        base_arena_reset(&arena);
    }
    base_buf_fini(&bytes);
    base_buf_fini(&copy);
    base_schema_release(schema);
}
END_TEST

START_TEST(a_newer_version_says_so)
{
    struct base_schema *again;
    struct base_change c;
    ck_assert_int_eq(base_schema_decode(BASE_SLICE_LIT("\x09 and more"), &again, &err),
                     BASE_E_VERSION);
    ck_assert_int_eq(base_change_decode(&arena, BASE_SLICE_LIT("\x09 and more"), &c, &err),
                     BASE_E_VERSION);
}
END_TEST

START_TEST(names)
{
    ck_assert(base_name_valid(S("abc_9Z")));
    ck_assert(base_name_valid(S("a12345678901234567890123456789012345678901234567")));
    ck_assert(!base_name_valid(S("a123456789012345678901234567890123456789012345678")));
    ck_assert(!base_name_valid(S("")));
    ck_assert(!base_name_valid(S("a.b")));
    ck_assert(!base_name_valid(S("caf\xc3\xa9")));
}
END_TEST

/* Indexes. */

/* readings with these indexes instead of its own. */
static int with_indexes(struct base_schema **schema, const struct base_index *indexes, size_t count,
                        uint32_t next_id)
{
    const struct base_table *old = base_schema_table(*schema, S("lab"), S("readings"));
    struct base_table table = *old;
    struct base_schema *after;
    table.indexes = indexes;
    table.index_count = count;
    table.next_index_id = next_id;
    struct base_change c = {.kind = BASE_CHANGE_TABLE_ALTER,
                            .expected_epoch = (*schema)->epoch,
                            .keyspace = S("lab"),
                            .name = S("readings"),
                            .table_new = &table,
                            .table_id = table.id};
    c = change_through_bytes(&c);
    base_err_clear(&err);
    int rc = base_schema_apply(*schema, &c, &after, &err);
    if (rc != BASE_OK)
        return rc;
    base_schema_release(*schema);
    *schema = through_bytes(after);
    return rc;
}

static uint32_t column_id(const struct base_schema *schema, const char *name)
{
    return base_table_column(base_schema_table(schema, S("lab"), S("readings")), S(name))->id;
}

START_TEST(indexes_are_kept_and_their_ids_are_never_given_twice)
{
    struct base_schema *schema = lab();
    ck_assert_uint_eq(base_schema_table(schema, S("lab"), S("readings"))->next_index_id, 1);
    uint32_t celsius = column_id(schema, "celsius"), tags = column_id(schema, "tags"),
             unit = column_id(schema, "unit");
    struct base_index indexes[] = {{1, S("a"), celsius, BASE_INDEX_VALUE, {0}},
                                   {3, S("b"), tags, BASE_INDEX_ENTRIES, S("sai")},
                                   {2, S("c"), unit, BASE_INDEX_VALUE, {0}}};
    ck_assert_msg(with_indexes(&schema, indexes, 3, 4) == BASE_OK, "%s", err.text);
    const struct base_table *t = base_schema_table(schema, S("lab"), S("readings"));
    ck_assert_uint_eq(t->index_count, 3);
    ck_assert_uint_eq(t->next_index_id, 4);
    ck_assert(base_slice_equal(t->indexes[1].name, S("b")) &&
              base_slice_equal(t->indexes[1].index_class, S("sai")));
    ck_assert_int_eq(t->indexes[1].target, BASE_INDEX_ENTRIES);
    const struct base_table *found;
    ck_assert_ptr_eq(base_keyspace_index(base_schema_keyspace(schema, S("lab")), S("c"), &found),
                     &t->indexes[2]);
    ck_assert_ptr_eq(found, t);
    ck_assert_ptr_null(base_keyspace_index(base_schema_keyspace(schema, S("lab")), S("d"), NULL));

    /* the counter goes back */
    ck_assert_int_eq(with_indexes(&schema, indexes, 2, 3), BASE_E_INVALID);
    struct base_index moved[] = {{1, S("a"), tags, BASE_INDEX_VALUES, {0}}};
    ck_assert_int_eq(with_indexes(&schema, moved, 1, 4), BASE_E_INVALID); /* another column */
    ck_assert_msg(with_indexes(&schema, indexes, 1, 4) == BASE_OK, "%s", err.text);
    /* 2 and 3 had been given */
    ck_assert_int_eq(with_indexes(&schema, indexes, 3, 4), BASE_E_INVALID);
    ck_assert_msg(with_indexes(&schema, indexes, 0, 4) == BASE_OK, "%s", err.text);
    ck_assert_uint_eq(base_schema_table(schema, S("lab"), S("readings"))->next_index_id, 4);
    base_schema_release(schema);
}
END_TEST

START_TEST(indexes_that_make_no_sense_are_refused)
{
    struct base_schema *schema = lab();
    uint32_t celsius = column_id(schema, "celsius"), tags = column_id(schema, "tags");
    struct base_index ok = {1, S("a"), celsius, BASE_INDEX_VALUE, {0}};
    struct base_index bad[][2] = {
        {{1, S("a"), 99, BASE_INDEX_VALUE, {0}}, {0}},
        {{1, S("a"), celsius, BASE_INDEX_KEYS, {0}}, {0}},
        {{1, S("a"), tags, BASE_INDEX_VALUE, {0}}, {0}},
        {{1, S("a"), tags, BASE_INDEX_FULL, {0}}, {0}},
        {{0, S("a"), celsius, BASE_INDEX_VALUE, {0}}, {0}},
        {{9, S("a"), celsius, BASE_INDEX_VALUE, {0}}, {0}},
        {{1, S("a-b"), celsius, BASE_INDEX_VALUE, {0}}, {0}},
        {{1, S(""), celsius, BASE_INDEX_VALUE, {0}}, {0}},
        {ok, {2, S("a"), tags, BASE_INDEX_VALUES, {0}}},
        {ok, {1, S("b"), tags, BASE_INDEX_VALUES, {0}}},
        {{1, S("b"), celsius, BASE_INDEX_VALUE, {0}}, {2, S("a"), tags, BASE_INDEX_VALUES, {0}}},
    };
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        int rc = with_indexes(&schema, bad[i], bad[i][1].id ? 2 : 1, 3);
        ck_assert_msg(rc == BASE_E_INVALID, "case %zu gave %d %s", i, rc, err.text);
    }
    /* a name that another table has */
    ck_assert_msg(with_indexes(&schema, &ok, 1, 2) == BASE_OK, "%s", err.text);
    struct base_table *other = make_table(&arena, "lab", "other", "p k int; r v int");
    struct base_index same = {1, S("a"), 2, BASE_INDEX_VALUE, {0}};
    struct base_schema *after;
    other->indexes = &same;
    other->index_count = 1;
    other->next_index_id = 2;
    struct base_change c = make_create_table(schema, other);
    ck_fails(base_schema_apply(schema, &c, &after, &err), BASE_E_INVALID, err);
    ck_assert_ptr_nonnull(strstr(err.text, "Index 'a' already exists"));
    same.name = S("b");
    schema = make_applied(schema, &c);
    base_schema_release(schema);
}
END_TEST

/* Programs of before indexes read what has none: the first byte is the version. */
START_TEST(without_indexes_the_bytes_are_those_of_earlier_programs)
{
    struct base_schema *schema = lab();
    struct base_buf bytes;
    base_buf_init(&bytes, 1 << 20);
    ck_assert_int_eq(base_schema_encode(schema, &bytes), BASE_OK);
    ck_assert_uint_eq(bytes.data[0], 1);
    struct base_index index = {1, S("a"), column_id(schema, "celsius"), BASE_INDEX_VALUE, {0}};
    ck_assert_msg(with_indexes(&schema, &index, 1, 2) == BASE_OK, "%s", err.text);
    base_buf_reset(&bytes);
    ck_assert_int_eq(base_schema_encode(schema, &bytes), BASE_OK);
    ck_assert_uint_eq(bytes.data[0], 2);
    base_buf_fini(&bytes);
    base_schema_release(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *tc = tcase_create("schema");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, lookup_finds_everything);
    tcase_add_test(tc, a_change_makes_a_new_snapshot_and_leaves_the_old);
    tcase_add_test(tc, equal_changes_of_two_proposers_differ);
    tcase_add_test(tc, things_are_created_once);
    tcase_add_test(tc, keyspaces_are_altered_and_dropped_with_all_in_them);
    tcase_add_test(tc, columns_come_and_go_and_ids_stay);
    tcase_add_test(tc, an_alter_that_would_break_stored_rows_is_refused);
    tcase_add_test(tc, tables_that_make_no_sense_are_refused);
    tcase_add_test(tc, truncation_is_remembered_and_only_grows);
    tcase_add_test(tc, a_changed_type_reaches_tables_and_types);
    tcase_add_test(tc, a_type_in_use_stays);
    tcase_add_test(tc, types_that_contain_themselves_or_grow_without_end_are_refused);
    tcase_add_test(tc, a_type_keeps_its_fields_types);
    tcase_add_test(tc, damaged_bytes_never_crash_or_pass_silently);
    tcase_add_test(tc, a_newer_version_says_so);
    tcase_add_test(tc, names);
    tcase_add_test(tc, indexes_are_kept_and_their_ids_are_never_given_twice);
    tcase_add_test(tc, indexes_that_make_no_sense_are_refused);
    tcase_add_test(tc, without_indexes_the_bytes_are_those_of_earlier_programs);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
