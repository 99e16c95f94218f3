/* Any text through CQL's lexer and grammar, and what it says through analysis. Finds what no list
 * of cases does: reads past the text, unbounded work or depth, a tree that is not what its promises
 * say, a term that means something else when it stands alone. */
#include "cql/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t next_bind;

/* Promises of cql/ast.h. Markers come in the order of the text. */
static void check_term(const struct cql_term *term, struct base_slice text)
{
    uint32_t count = 0;
    BASE_ASSERT(term->depth <= CQL_TERM_DEPTH_MAX);
    if (term->source.len)
        BASE_ASSERT(term->source.data >= text.data &&
                    term->source.data + term->source.len <= text.data + text.len);
    if (term->kind == CQL_TERM_BIND)
        BASE_ASSERT(term->number == next_bind++);
    for (const struct cql_term *item = term->items; item; item = item->next, count++) {
        BASE_ASSERT(item->depth < term->depth);
        BASE_ASSERT((term->kind == CQL_TERM_UDT) == !!item->field.data);
        check_term(item, text);
    }
    BASE_ASSERT(count == term->item_count);
    BASE_ASSERT(term->kind != CQL_TERM_MAP || count % 2 == 0);
    BASE_ASSERT(term->kind != CQL_TERM_BINARY || (count == 2 && term->op));
    BASE_ASSERT(term->kind != CQL_TERM_SLICE || count == 3);
    BASE_ASSERT(term->kind != CQL_TERM_ELEMENT || count == 2);
}

static void check_terms(const struct cql_term *term, struct base_slice text)
{
    for (; term; term = term->next)
        check_term(term, text);
}

static void check_one(const struct cql_term *term, struct base_slice text)
{
    if (term)
        check_term(term, text);
}

static void check_relations(const struct cql_relation *relation, struct base_slice text)
{
    for (; relation; relation = relation->next) {
        BASE_ASSERT(relation->columns);
        BASE_ASSERT((relation->left == CQL_LEFT_ELEMENT) == !!relation->element);
        BASE_ASSERT((relation->op == CQL_OP_IS_NOT_NULL) == !relation->value);
        check_one(relation->element, text);
        check_one(relation->value, text);
    }
}

static bool same_term(const struct cql_term *a, const struct cql_term *b)
{
    if (a->kind != b->kind || !base_slice_equal(a->text, b->text) ||
        !base_slice_equal(a->name.name, b->name.name) ||
        !base_slice_equal(a->name.keyspace, b->name.keyspace) ||
        !base_slice_equal(a->field, b->field) || a->op != b->op || a->item_count != b->item_count ||
        a->depth != b->depth)
        return false;
    for (a = a->items, b = b->items; a; a = a->next, b = b->next)
        if (!same_term(a, b))
            return false;
    return true;
}

/* A selector that stands elsewhere means the same. (Behind SELECT, "json (m)" is JSON.) */
static void check_elsewhere(struct base_arena *arena, const struct cql_term *term)
{
    struct base_buf text;
    struct cql_statement *alone;
    struct base_err err;
    base_buf_init(&text, 2 * CQL_TEXT_LEN_MAX);
    BASE_ASSERT(base_buf_put_slice(&text, BASE_SLICE_LIT("SELECT a, ")) == BASE_OK &&
                base_buf_put_slice(&text, term->source) == BASE_OK &&
                base_buf_put_slice(&text, BASE_SLICE_LIT(" FROM t")) == BASE_OK);
    BASE_ASSERT(text.len > CQL_TEXT_LEN_MAX ||
                cql_parse(arena, base_buf_view(&text), &alone, &err) == BASE_OK);
    BASE_ASSERT(text.len > CQL_TEXT_LEN_MAX ||
                same_term(term, alone->select.selectors->next->term));
    base_buf_fini(&text);
}

static void check_select(struct base_arena *arena, const struct cql_statement *s,
                         struct base_slice text)
{
    BASE_ASSERT(s->select.star == !s->select.selectors);
    for (const struct cql_selector *selector = s->select.selectors; selector;
         selector = selector->next) {
        check_term(selector->term, text);
        check_elsewhere(arena, selector->term);
    }
    check_relations(s->where, text);
    check_terms(s->select.group_by, text);
    check_one(s->select.ann_of, text);
    check_one(s->select.per_partition_limit, text);
    check_one(s->select.limit, text);
}

static void check_assignments(const struct cql_assignment *a, struct base_slice text)
{
    for (; a; a = a->next) {
        check_one(a->element, text);
        check_term(a->value, text);
    }
}

static void check_statement(struct base_arena *arena, const struct cql_statement *s,
                            struct base_slice text)
{
    const struct cql_modify *m = &s->modify;
    switch (s->kind) {
    case CQL_SELECT:
        check_select(arena, s, text);
        break;
    case CQL_INSERT:
        BASE_ASSERT(!m->json == (m->columns && m->values));
        check_terms(m->values, text);
        check_one(m->json, text);
        break;
    case CQL_UPDATE:
        BASE_ASSERT(m->assignments && s->where);
        if (!m->timestamp && !m->ttl) { /* they come first, in the order they were written in */
            check_assignments(m->assignments, text);
            check_relations(s->where, text);
            check_relations(m->conditions, text);
        }
        break;
    case CQL_DELETE:
        BASE_ASSERT(s->where);
        for (const struct cql_deletion *d = m->deletions; d; d = d->next)
            check_one(d->element, text);
        check_one(m->timestamp, text);
        check_relations(s->where, text);
        check_relations(m->conditions, text);
        break;
    case CQL_REFUSED:
        BASE_ASSERT(s->refused && s->refused_why);
        break;
    default:
        break;
    }
}

static const char *const prelude[] = {
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TYPE k.u (a int, b frozen<list<text>>)",
    "CREATE TABLE k.t (a int, b text, c timestamp, s int static, d double, l list<int>, m "
    "map<text, int>, st set<uuid>, u u, f frozen<u>, "
    "tu tuple<int, text>, v vector<float, 2>, bl blob, n varint, PRIMARY KEY (a, b, c)) WITH "
    "CLUSTERING ORDER BY (b DESC, c ASC)",
    "CREATE INDEX ON k.t (d)",
};

static struct base_schema *make_schema(struct base_arena *arena)
{
    struct base_schema *schema = base_schema_new(), *after;
    for (size_t i = 0; i < BASE_COUNT(prelude); i++) {
        struct cql_statement *statement;
        struct cql_ddl ddl;
        struct cql_context context = {.schema = schema, .new_id = {{(uint8_t)i, 7}}, .now_us = 1};
        BASE_ASSERT(cql_parse(arena, base_slice_str(prelude[i]), &statement, NULL) == BASE_OK);
        BASE_ASSERT(cql_analyze_ddl(arena, statement, &context, &ddl, NULL) == BASE_OK);
        BASE_ASSERT(base_schema_apply(schema, &ddl.change, &after, NULL) == BASE_OK);
        base_schema_release(schema);
        schema = after;
    }
    return schema;
}

/* Whatever was understood is prepared: refused or not, it ends. */
static void prepare(struct base_arena *arena, const struct cql_statement *statement)
{
    static struct base_arena kept;
    static struct base_schema *schema; /* made once: nothing changes it */
    struct cql_prepared *prepared;
    struct base_err err;
    if (!schema) {
        base_arena_init(&kept);
        schema = make_schema(&kept);
    }
    struct cql_context context = {.schema = schema, .keyspace = BASE_SLICE_LIT("k"), .now_us = 1};
    if (cql_prepare(arena, statement, &context, &prepared, &err) != BASE_OK)
        return;
    const struct cql_column_spec *specs;
    size_t count = cql_prepared_binds(prepared, &specs);
    BASE_ASSERT(count == statement->bind_count);
    for (size_t i = 0; i < count; i++)
        BASE_ASSERT(specs[i].type);
    count = cql_prepared_columns(prepared, &specs);
    for (size_t i = 0; i < count; i++)
        BASE_ASSERT(specs[i].type && specs[i].name.data);
}

static void check_described(struct base_arena *arena, const struct cql_statement *statement)
{
    static const struct cql_describe_facts facts = {.cluster_name = "c", .snitch = "s"};
    struct base_schema *schema = make_schema(arena);
    struct cql_context context = {.schema = schema, .keyspace = BASE_SLICE_LIT("k")};
    struct cql_result result;
    struct base_err err;
    cql_result_init(&result, 1 << 24);
    (void)!cql_describe_run(arena, statement, &context, &facts, &result, &err);
    cql_result_fini(&result);
    base_schema_release(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_arena arena;
    base_arena_init(&arena);
    struct base_slice rest = base_slice(data, size);
    for (size_t len; (len = cql_split(rest)) > 0;
         rest = base_slice(rest.data + len, rest.len - len)) {
        struct base_slice text = base_slice(rest.data, len);
        struct cql_statement *statement;
        struct base_err err;
        BASE_ASSERT(len <= rest.len);
        if (cql_parse(&arena, text, &statement, &err) != BASE_OK) {
            BASE_ASSERT(err.text[0]);
            continue;
        }
        next_bind = 0;
        if (statement->kind != CQL_BATCH)
            check_statement(&arena, statement, text);
        else if (statement->modify.timestamp || statement->modify.ttl)
            next_bind = statement->bind_count; /* their order is not kept */
        for (const struct cql_statement *item = statement->modify.statements; item && !next_bind;
             item = item->next)
            BASE_ASSERT(item->kind == CQL_INSERT || item->kind == CQL_UPDATE ||
                        item->kind == CQL_DELETE);
        prepare(&arena, statement);
        if (statement->kind == CQL_DESCRIBE)
            check_described(&arena, statement);
    }
    base_arena_fini(&arena);
    return 0;
}
