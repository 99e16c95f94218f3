/* Syntax trees as text, for tests: (select t k.t list ((col a)) where ((= a 1))). */
#ifndef TESTS_UNIT_CQL_SEXPR_H
#define TESTS_UNIT_CQL_SEXPR_H

#include "cql/ast.h"
#include "tests/unit/cql/script.h"

struct sexpr {
    struct base_buf out;
};

static inline void sx_put(struct sexpr *s, const char *text)
{
    ck_assert_int_eq(base_buf_put_slice(&s->out, base_slice_str(text)), BASE_OK);
}

static inline void sx_slice(struct sexpr *s, struct base_slice text)
{
    ck_assert_int_eq(base_buf_put_slice(&s->out, text), BASE_OK);
}

/* Items apart by a blank, but not behind '('. */
static inline void sx_gap(struct sexpr *s)
{
    if (s->out.len && s->out.data[s->out.len - 1] != '(')
        sx_put(s, " ");
}

static inline void sx_word(struct sexpr *s, struct base_slice text)
{
    sx_gap(s);
    sx_slice(s, text);
}

static inline void sx_open(struct sexpr *s, const char *head)
{
    sx_gap(s);
    sx_put(s, "(");
    sx_put(s, head);
}

static inline void sx_name(struct sexpr *s, const struct cql_name *name)
{
    sx_gap(s);
    if (name->keyspace.data) {
        sx_slice(s, name->keyspace);
        sx_put(s, ".");
    }
    sx_slice(s, name->name);
}

static inline void sx_term(struct sexpr *s, const struct cql_term *t);

static inline void sx_items(struct sexpr *s, const struct cql_term *t)
{
    uint32_t count = 0;
    for (const struct cql_term *item = t->items; item; item = item->next, count++) {
        ck_assert_uint_lt(item->depth, t->depth);
        if (item->field.data) {
            sx_word(s, item->field);
            sx_put(s, ":");
        }
        sx_term(s, item);
    }
    ck_assert_uint_eq(count, t->item_count);
    sx_put(s, ")");
}

static inline void sx_term(struct sexpr *s, const struct cql_term *t)
{
    static const char *const heads[] = {
        [CQL_TERM_MAP] = "map",     [CQL_TERM_SET] = "set",     [CQL_TERM_LIST] = "list",
        [CQL_TERM_TUPLE] = "tuple", [CQL_TERM_UDT] = "udt",     [CQL_TERM_NEGATE] = "neg",
        [CQL_TERM_ELEMENT] = "at",  [CQL_TERM_SLICE] = "slice",
    };
    char text[64];
    switch (t->kind) {
    case CQL_TERM_STRING:
        sx_gap(s);
        sx_put(s, "'");
        sx_slice(s, t->text);
        sx_put(s, "'");
        break;
    case CQL_TERM_INTEGER:
    case CQL_TERM_FLOAT:
    case CQL_TERM_BOOLEAN:
    case CQL_TERM_DURATION:
    case CQL_TERM_UUID:
    case CQL_TERM_BLOB:
    case CQL_TERM_WORD:
        sx_word(s, t->text);
        break;
    case CQL_TERM_NULL:
        sx_word(s, t->text.len ? t->text : base_slice_str("_"));
        break;
    case CQL_TERM_STAR:
        sx_word(s, base_slice_str("*"));
        break;
    case CQL_TERM_BIND:
        snprintf(text, sizeof text, "?%u", t->number);
        sx_word(s, base_slice_str(text));
        sx_slice(s, t->text);
        break;
    case CQL_TERM_COLUMN:
        sx_open(s, "col");
        sx_word(s, t->text);
        sx_put(s, ")");
        break;
    case CQL_TERM_CALL:
        sx_open(s, "call");
        sx_name(s, &t->name);
        sx_items(s, t);
        break;
    case CQL_TERM_CAST:
    case CQL_TERM_HINT:
    case CQL_TERM_FIELD:
        sx_open(s, t->kind == CQL_TERM_CAST ? "cast" : t->kind == CQL_TERM_HINT ? "hint" : "field");
        sx_word(s, t->text);
        sx_items(s, t);
        break;
    case CQL_TERM_BINARY:
        snprintf(text, sizeof text, "%c", t->op);
        sx_open(s, text);
        sx_items(s, t);
        break;
    case CQL_TERM_MAP:
    case CQL_TERM_SET:
    case CQL_TERM_LIST:
    case CQL_TERM_TUPLE:
    case CQL_TERM_UDT:
    case CQL_TERM_NEGATE:
    case CQL_TERM_ELEMENT:
    case CQL_TERM_SLICE:
        sx_open(s, heads[t->kind]);
        sx_items(s, t);
        break;
    }
}

static inline void sx_terms(struct sexpr *s, const char *head, const struct cql_term *list)
{
    if (!list)
        return;
    sx_open(s, head);
    for (; list; list = list->next)
        sx_term(s, list);
    sx_put(s, ")");
}

static inline void sx_one(struct sexpr *s, const char *head, const struct cql_term *term)
{
    if (!term)
        return;
    sx_open(s, head);
    sx_term(s, term);
    sx_put(s, ")");
}

static inline void sx_names(struct sexpr *s, const char *head, const struct cql_name_item *list)
{
    if (!list)
        return;
    sx_open(s, head);
    for (; list; list = list->next) {
        sx_word(s, list->name);
        if (list->descending)
            sx_put(s, "-");
        if (list->other.data) {
            sx_put(s, "->");
            sx_slice(s, list->other);
        }
    }
    sx_put(s, ")");
}

static inline void sx_relations(struct sexpr *s, const char *head, const struct cql_relation *list)
{
    static const char *const ops[] = {
        "=", "!=", "<", "<=", ">", ">=", "in", "contains", "contains-key", "like", "not-null"};
    if (!list)
        return;
    sx_open(s, head);
    for (; list; list = list->next) {
        sx_open(s, ops[list->op]);
        if (list->left == CQL_LEFT_TUPLE || list->left == CQL_LEFT_TOKEN) {
            sx_names(s, list->left == CQL_LEFT_TOKEN ? "token" : "tuple", list->columns);
        } else {
            ck_assert_ptr_null(list->columns->next);
            sx_word(s, list->columns->name);
            if (list->left == CQL_LEFT_ELEMENT)
                sx_one(s, "at", list->element);
            if (list->left == CQL_LEFT_FIELD) {
                sx_put(s, ".");
                sx_slice(s, list->field);
            }
        }
        if (list->value)
            sx_term(s, list->value);
        sx_put(s, ")");
    }
    sx_put(s, ")");
}

static inline void sx_flag(struct sexpr *s, bool flag, const char *word)
{
    if (flag)
        sx_word(s, base_slice_str(word));
}

static inline void sx_properties(struct sexpr *s, const struct cql_property *list)
{
    if (!list)
        return;
    sx_open(s, "with");
    for (; list; list = list->next) {
        sx_word(s, list->name);
        sx_put(s, "=");
        sx_term(s, list->value);
    }
    sx_put(s, ")");
}

static inline void sx_select(struct sexpr *s, const struct cql_statement *st)
{
    const struct cql_select *select = &st->select;
    ck_assert(select->star == !select->selectors);
    sx_flag(s, select->json, "json");
    sx_flag(s, select->distinct, "distinct");
    sx_flag(s, select->star, "*");
    for (const struct cql_selector *item = select->selectors; item; item = item->next) {
        sx_term(s, item->term);
        if (item->alias.data) {
            sx_word(s, base_slice_str("as"));
            sx_word(s, item->alias);
        }
    }
    sx_relations(s, "where", st->where);
    sx_terms(s, "group", select->group_by);
    sx_names(s, "order", select->order_by);
    sx_one(s, "ann", select->ann_of);
    sx_one(s, "per-partition", select->per_partition_limit);
    sx_one(s, "limit", select->limit);
    sx_flag(s, select->allow_filtering, "filtering");
}

static inline void sx_statement(struct sexpr *s, const struct cql_statement *st);

static inline void sx_modify(struct sexpr *s, const struct cql_statement *st)
{
    const struct cql_modify *m = &st->modify;
    sx_names(s, "columns", m->columns);
    sx_terms(s, "values", m->values);
    sx_one(s, "json", m->json);
    sx_flag(s, m->json_default_unset, "unset");
    for (const struct cql_assignment *a = m->assignments; a; a = a->next) {
        sx_open(s, "set");
        sx_word(s, a->column);
        sx_one(s, "at", a->element);
        if (a->field.data) {
            sx_put(s, ".");
            sx_slice(s, a->field);
        }
        sx_term(s, a->value);
        sx_put(s, ")");
    }
    for (const struct cql_deletion *d = m->deletions; d; d = d->next) {
        sx_open(s, "del");
        sx_word(s, d->column);
        sx_one(s, "at", d->element);
        if (d->field.data) {
            sx_put(s, ".");
            sx_slice(s, d->field);
        }
        sx_put(s, ")");
    }
    sx_one(s, "timestamp", m->timestamp);
    sx_one(s, "ttl", m->ttl);
    sx_relations(s, "where", st->where);
    sx_flag(s, m->if_not_exists, "if-not-exists");
    sx_flag(s, m->if_exists, "if-exists");
    sx_relations(s, "if", m->conditions);
    for (const struct cql_statement *item = m->statements; item; item = item->next)
        sx_statement(s, item);
}

/* Indexes, roles, DESCRIBE, what is refused. */
static inline void sx_admin(struct sexpr *s, const struct cql_statement *st)
{
    static const char *const targets[] = {"plain", "values", "keys", "entries", "full"};
    static const char *const described[] = {"cluster",  "schema",     "full-schema", "keyspaces",
                                            "keyspace", "tables",     "table",       "types",
                                            "type",     "index",      "view",        "functions",
                                            "function", "aggregates", "aggregate",   "any"};
    sx_flag(s, st->conditional, "conditional");
    if (st->target.name.data)
        sx_name(s, &st->target);
    switch (st->kind) {
    case CQL_CREATE_INDEX:
        sx_flag(s, st->index.custom, "custom");
        sx_word(s, base_slice_str(targets[st->index.target]));
        sx_word(s, st->index.column);
        if (st->index.name.data) {
            sx_word(s, base_slice_str("named"));
            sx_word(s, st->index.name);
        }
        if (st->index.using_class.data) {
            sx_word(s, base_slice_str("using"));
            sx_word(s, st->index.using_class);
        }
        break;
    case CQL_CREATE_ROLE:
    case CQL_ALTER_ROLE:
    case CQL_DROP_ROLE:
    case CQL_LIST_ROLES:
        sx_flag(s, st->role.user, "user");
        sx_flag(s, st->role.list_recursive, "recursive");
        if (st->role.of.data) {
            sx_word(s, base_slice_str("of"));
            sx_word(s, st->role.of);
        }
        break;
    case CQL_DESCRIBE:
        sx_word(s, base_slice_str(described[st->describe.what]));
        sx_flag(s, st->describe.only, "only");
        sx_flag(s, st->describe.with_internals, "internals");
        break;
    default:
        ck_assert_int_eq(st->kind, CQL_DROP_INDEX);
        break;
    }
    sx_properties(s, st->properties);
}

static inline void sx_statement(struct sexpr *s, const struct cql_statement *st)
{
    static const char *const heads[] = {
        [CQL_SELECT] = "select",         [CQL_INSERT] = "insert",
        [CQL_UPDATE] = "update",         [CQL_DELETE] = "delete",
        [CQL_BATCH] = "batch",           [CQL_CREATE_INDEX] = "create-index",
        [CQL_DROP_INDEX] = "drop-index", [CQL_CREATE_ROLE] = "create-role",
        [CQL_ALTER_ROLE] = "alter-role", [CQL_DROP_ROLE] = "drop-role",
        [CQL_LIST_ROLES] = "list-roles", [CQL_DESCRIBE] = "describe",
        [CQL_REFUSED] = "refused",
    };
    static const char *const batches[] = {"logged", "unlogged", "counter"};
    ck_assert(st->kind < BASE_COUNT(heads) && heads[st->kind]);
    sx_open(s, heads[st->kind]);
    if (st->kind == CQL_REFUSED) {
        sx_word(s, base_slice_str(st->refused));
        ck_assert(st->refused_why && *st->refused_why);
        sx_put(s, ")");
        return;
    }
    if (st->kind < CQL_SELECT || st->kind > CQL_BATCH) {
        sx_admin(s, st);
        sx_put(s, ")");
        return;
    }
    if (st->kind == CQL_BATCH)
        sx_word(s, base_slice_str(batches[st->modify.batch]));
    else
        sx_name(s, &st->target);
    if (st->kind == CQL_SELECT)
        sx_select(s, st);
    else
        sx_modify(s, st);
    sx_put(s, ")");
}

/* Valid until the next call. */
static inline const char *sexpr(const struct cql_statement *statement)
{
    static char text[8192];
    struct sexpr s;
    base_buf_init(&s.out, sizeof text - 1);
    sx_statement(&s, statement);
    memcpy(text, s.out.data, s.out.len);
    text[s.out.len] = 0;
    base_buf_fini(&s.out);
    return text;
}

struct tree {
    const char *text, *tree;
};

static inline void trees(const struct tree *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cql_statement *statement;
        int rc = cql_parse(&arena, S(cases[i].text), &statement, &err);
        ck_assert_msg(rc == BASE_OK, "%s\n%s", cases[i].text, err.text);
        const char *got = sexpr(statement);
        ck_assert_msg(!strcmp(got, cases[i].tree), "%s\n got %s\nnot %s", cases[i].text, got,
                      cases[i].tree);
    }
}
#define TREES(...)                                                                                 \
    trees((const struct tree[]){__VA_ARGS__}, BASE_COUNT(((const struct tree[]){__VA_ARGS__})))

static inline void fails(const char *text, int code, const char *part)
{
    struct cql_statement *statement;
    int rc = cql_parse(&arena, S(text), &statement, &err);
    ck_assert_msg(rc == code, "%s\ngave %s: %s", text, base_err_words(rc), err.text);
    ck_assert_msg(strstr(err.text, part), "%s\ngave: %s\nwithout: %s", text, err.text, part);
    ck_assert_ptr_null(statement);
}

#endif
