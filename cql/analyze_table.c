/* CREATE, ALTER, DROP TABLE and TRUNCATE.
 *
 * Column ids come from the table's own counter and are never given twice: a column that is dropped
 * and added again is another column, so that cells of its first life stay gone. */
#include <stdio.h>

#include "cql/expr_private.h"

#define LIT(text) BASE_SLICE_LIT(text)

/* A table under construction. Room for every column that a statement can leave behind. */
struct draft {
    struct base_table table;
    size_t column_room, dropped_room;
    struct base_column *columns;
    struct base_dropped_column *dropped;
};

static struct base_column *find_column(const struct draft *draft, struct base_slice name)
{
    for (size_t i = 0; i < draft->table.column_count; i++)
        if (base_slice_equal(draft->columns[i].name, name))
            return &draft->columns[i];
    return NULL;
}

/* Keys by position, then static and regular columns by name: the order of base/schema.h. */
static int compare_columns(const void *a, const void *b)
{
    const struct base_column *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind == BASE_COLUMN_PARTITION_KEY || x->kind == BASE_COLUMN_CLUSTERING)
        return x->position < y->position ? -1 : x->position > y->position;
    return base_slice_compare(x->name, y->name);
}

static void finish_columns(struct draft *draft)
{
    struct base_table *t = &draft->table;
    qsort(draft->columns, t->column_count, sizeof *draft->columns, compare_columns);
    t->partition_key_count = t->clustering_count = t->static_count = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        t->partition_key_count += draft->columns[i].kind == BASE_COLUMN_PARTITION_KEY;
        t->clustering_count += draft->columns[i].kind == BASE_COLUMN_CLUSTERING;
        t->static_count += draft->columns[i].kind == BASE_COLUMN_STATIC;
    }
    t->columns = draft->columns;
    t->dropped = draft->dropped;
    t->columns_by_id = NULL;
}

static size_t count_columns(const struct cql_column_def *def)
{
    size_t n = 0;
    for (; def; def = def->next)
        n++;
    return n;
}

static size_t count_names(const struct cql_name_item *item)
{
    size_t n = 0;
    for (; item; item = item->next)
        n++;
    return n;
}

static int too_many_columns(struct cqli_analysis *a)
{
    return base_err_set(a->err, BASE_E_LIMIT, "a table has at most %d columns", BASE_COLUMNS_MAX);
}

/* Room for the old table's columns and the statement's. */
static int make_draft(struct cqli_analysis *a, const struct base_table *old, struct draft **out)
{
    struct draft *draft = base_arena_zalloc(a->arena, sizeof *draft);
    if (!draft)
        return cqli_no_memory(a);
    size_t added = count_columns(a->statement->columns), dropped = count_names(a->statement->names);
    if (added > BASE_COLUMNS_MAX || dropped > BASE_COLUMNS_MAX)
        return too_many_columns(a);
    if (old)
        draft->table = *old;
    draft->column_room = draft->table.column_count + added;
    draft->dropped_room = draft->table.dropped_count + dropped;
    draft->columns = base_arena_zalloc(a->arena, (draft->column_room + 1) * sizeof *draft->columns);
    draft->dropped =
        base_arena_zalloc(a->arena, (draft->dropped_room + 1) * sizeof *draft->dropped);
    if (!draft->columns || !draft->dropped)
        return cqli_no_memory(a);
    for (size_t i = 0; i < draft->table.column_count; i++)
        draft->columns[i] = old->columns[i];
    for (size_t i = 0; i < draft->table.dropped_count; i++)
        draft->dropped[i] = old->dropped[i];
    *out = draft;
    return BASE_OK;
}

/* May the type be a column's that is no key? */
static int check_value_type(struct cqli_analysis *a, const struct base_type *type)
{
    if (type->kind == BASE_TYPE_COUNTER)
        return base_err_set(a->err, BASE_E_INVALID, "counter tables are not supported yet");
    for (uint32_t i = 0; type->kind == BASE_TYPE_UDT && !type->frozen && i < type->param_count; i++)
        if (base_type_is_multicell(type->params[i]))
            return base_err_set(a->err, BASE_E_INVALID,
                                "Non-frozen UDTs with nested non-frozen collections are not "
                                "supported: use frozen<%.*s>",
                                BASE_SLICE_ARG(type->name));
    return BASE_OK;
}

static int resolve_column(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                          const struct cql_column_def *def, const struct base_type **type)
{
    int rc = cqli_resolve_type(a, keyspace, def->type, type);
    if (rc == BASE_OK)
        rc = check_value_type(a, *type);
    return rc == BASE_OK ? rc : base_err_wrap(a->err, rc, "column %.*s", BASE_SLICE_ARG(def->name));
}

static void put_column(struct draft *draft, const struct cql_column_def *def,
                       const struct base_type *type)
{
    BASE_ASSERT(draft->table.column_count < draft->column_room);
    draft->columns[draft->table.column_count++] =
        (struct base_column){.id = draft->table.next_column_id++,
                             .kind = def->is_static ? BASE_COLUMN_STATIC : BASE_COLUMN_REGULAR,
                             .name = def->name,
                             .type = type};
}

/* CREATE TABLE. */

static int put_key(struct cqli_analysis *a, struct draft *draft, struct base_slice name,
                   enum base_column_kind kind, uint32_t position)
{
    struct base_slice table = draft->table.name;
    struct base_column *column = find_column(draft, name);
    if (!column)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Unknown column '%.*s' referenced in PRIMARY KEY for table '%.*s'",
                            BASE_SLICE_ARG(name), BASE_SLICE_ARG(table));
    if (column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_CLUSTERING)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Duplicate column '%.*s' in PRIMARY KEY clause for table '%.*s'",
                            BASE_SLICE_ARG(name), BASE_SLICE_ARG(table));
    if (column->kind == BASE_COLUMN_STATIC)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Static column '%.*s' cannot be part of the PRIMARY KEY",
                            BASE_SLICE_ARG(name));
    int rc = base_type_check_key(column->type, a->err);
    if (rc != BASE_OK)
        return base_err_wrap(a->err, rc, "PRIMARY KEY column '%.*s'", BASE_SLICE_ARG(name));
    column->kind = kind;
    column->position = position;
    return BASE_OK;
}

static int put_keys(struct cqli_analysis *a, struct draft *draft, const struct cql_name_item *item,
                    enum base_column_kind kind)
{
    uint32_t position = 0;
    for (; item; item = item->next) {
        int rc = put_key(a, draft, item->name, kind, position++);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int put_primary_key(struct cqli_analysis *a, struct draft *draft)
{
    const struct cql_statement *s = a->statement;
    unsigned count = s->primary_key_count;
    for (const struct cql_column_def *def = s->columns; def; def = def->next)
        count += def->is_primary_key;
    if (count != 1)
        return base_err_set(a->err, BASE_E_INVALID,
                            "%s PRIMARY KEY specified for table '%.*s' (exactly one required)",
                            count ? "Multiple" : "No", BASE_SLICE_ARG(draft->table.name));
    if (count_names(s->partition_key) + count_names(s->clustering) > BASE_COLUMNS_MAX)
        return too_many_columns(a);
    for (const struct cql_column_def *def = s->columns; def; def = def->next)
        if (def->is_primary_key)
            return put_key(a, draft, def->name, BASE_COLUMN_PARTITION_KEY, 0);
    int rc = put_keys(a, draft, s->partition_key, BASE_COLUMN_PARTITION_KEY);
    return rc == BASE_OK ? put_keys(a, draft, s->clustering, BASE_COLUMN_CLUSTERING) : rc;
}

static int put_clustering_order(struct cqli_analysis *a, struct draft *draft)
{
    const struct cql_name_item *order = a->statement->clustering_order,
                               *key = a->statement->clustering;
    if (!order)
        return BASE_OK;
    for (; order && key && base_slice_equal(order->name, key->name);
         order = order->next, key = key->next)
        find_column(draft, key->name)->descending = order->descending;
    if (!order && !key)
        return BASE_OK;
    for (const struct cql_name_item *item = a->statement->clustering_order; item;
         item = item->next) {
        const struct base_column *column = find_column(draft, item->name);
        if (!column || column->kind != BASE_COLUMN_CLUSTERING)
            return base_err_set(a->err, BASE_E_INVALID,
                                "Only clustering key columns can be defined in CLUSTERING ORDER "
                                "directive: [%.*s] are not clustering columns",
                                BASE_SLICE_ARG(item->name));
    }
    if (key && !order)
        return base_err_set(a->err, BASE_E_INVALID, "Missing CLUSTERING ORDER for column %.*s",
                            BASE_SLICE_ARG(key->name));
    return base_err_set(
        a->err, BASE_E_INVALID,
        "Clustering key columns must exactly match columns in CLUSTERING ORDER BY directive");
}

static int check_static(struct cqli_analysis *a, const struct base_table *table)
{
    return table->static_count && !table->clustering_count
               ? base_err_set(a->err, BASE_E_INVALID,
                              "Static columns are only useful (and thus allowed) if the table has "
                              "at least one "
                              "clustering column")
               : BASE_OK;
}

static int create_columns(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                          struct draft *draft)
{
    for (const struct cql_column_def *def = a->statement->columns; def; def = def->next) {
        const struct base_type *type;
        if (find_column(draft, def->name))
            return base_err_set(a->err, BASE_E_INVALID,
                                "Duplicate column '%.*s' declaration for table '%.*s'",
                                BASE_SLICE_ARG(def->name), BASE_SLICE_ARG(draft->table.name));
        int rc = resolve_column(a, keyspace, def, &type);
        if (rc != BASE_OK)
            return rc;
        put_column(draft, def, type);
    }
    int rc = put_primary_key(a, draft);
    if (rc == BASE_OK)
        rc = put_clustering_order(a, draft);
    if (rc != BASE_OK)
        return rc;
    finish_columns(draft);
    return check_static(a, &draft->table);
}

static int create_table(struct cqli_analysis *a, const struct base_keyspace *keyspace)
{
    struct base_slice name = a->statement->target.name;
    struct draft *draft;
    if (!base_name_valid(name))
        return base_err_set(
            a->err, BASE_E_INVALID,
            "Table name must not be empty, more than %d characters long, or contain "
            "non-alphanumeric-underscore characters (got \"%.*s\")",
            BASE_NAME_LEN_MAX, BASE_SLICE_ARG(name));
    if (a->statement->compact_storage)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Compact tables are not allowed: leave WITH COMPACT STORAGE out");
    int rc = make_draft(a, NULL, &draft);
    if (rc != BASE_OK)
        return rc;
    draft->table.id = a->context->new_id;
    draft->table.keyspace = keyspace->name;
    draft->table.name = name;
    draft->table.next_column_id = draft->table.next_index_id = 1;
    draft->table.truncated_us = INT64_MIN;
    cql_table_options_default(&draft->table.options);
    rc = create_columns(a, keyspace, draft);
    if (rc == BASE_OK)
        rc = cqli_table_options(a, a->statement->properties, &draft->table.options,
                                &draft->table.id);
    a->out->change.kind = BASE_CHANGE_TABLE_CREATE;
    a->out->change.table_new = &draft->table;
    a->out->change.table_id = draft->table.id;
    return rc;
}

/* ALTER TABLE. */

static int not_found(struct cqli_analysis *a, const struct draft *draft, struct base_slice name)
{
    return base_err_set(a->err, BASE_E_INVALID, "Column %.*s was not found in table '%.*s.%.*s'",
                        BASE_SLICE_ARG(name), BASE_SLICE_ARG(draft->table.keyspace),
                        BASE_SLICE_ARG(draft->table.name));
}

/* Could cells of the old type be read as the new one? Cassandra's rule for a name's second life.
 * Ours has a new id and never meets them, but a log replayed elsewhere might be Cassandra's. */
static bool type_compatible(const struct base_type *now, const struct base_type *then)
{
    if (base_type_equal(now, then))
        return true;
    if (now->kind == BASE_TYPE_TEXT && then->kind == BASE_TYPE_ASCII)
        return true;
    if (now->kind == BASE_TYPE_BLOB && !base_type_is_multicell(then) &&
        then->kind != BASE_TYPE_COUNTER)
        return true;
    return false;
}

static int check_dropped(struct cqli_analysis *a, const struct draft *draft,
                         const struct cql_column_def *def, const struct base_type *type)
{
    const struct base_dropped_column *last = NULL;
    for (size_t i = 0; i < draft->table.dropped_count; i++)
        if (base_slice_equal(draft->dropped[i].name, def->name) &&
            (!last || draft->dropped[i].id > last->id))
            last = &draft->dropped[i];
    if (!last)
        return BASE_OK;
    /* Dropped user types became tuples; a non-frozen one cannot be compared any more. */
    bool same = type->kind == BASE_TYPE_UDT ? last->type->kind == BASE_TYPE_TUPLE
                                            : type_compatible(type, last->type);
    if (same && last->is_static == def->is_static)
        return BASE_OK;
    char is[CQLI_TYPE_TEXT], was[CQLI_TYPE_TEXT];
    return base_err_set(
        a->err, BASE_E_INVALID,
        "Cannot re-add previously dropped column '%.*s' of %s %s, incompatible with previous %s %s",
        BASE_SLICE_ARG(def->name), same ? "kind" : "type",
        same ? def->is_static ? "STATIC" : "REGULAR" : cqli_type_text_of(type, is),
        same ? "kind" : "type",
        same ? last->is_static ? "STATIC" : "REGULAR" : cqli_type_text_of(last->type, was));
}

static int alter_add(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                     struct draft *draft)
{
    for (const struct cql_column_def *def = a->statement->columns; def; def = def->next) {
        const struct base_type *type;
        if (find_column(draft, def->name)) {
            if (a->statement->alter_conditional)
                continue;
            return base_err_set(a->err, BASE_E_INVALID, "Column with name '%.*s' already exists",
                                BASE_SLICE_ARG(def->name));
        }
        int rc = resolve_column(a, keyspace, def, &type);
        if (rc == BASE_OK)
            rc = check_dropped(a, draft, def, type);
        if (rc != BASE_OK)
            return rc;
        if (draft->table.next_column_id == UINT32_MAX ||
            draft->table.column_count >= BASE_COLUMNS_MAX)
            return too_many_columns(a);
        put_column(draft, def, type);
    }
    return BASE_OK;
}

/* An index on the column stands in the way of dropping or renaming it. */
static int check_not_indexed(struct cqli_analysis *a, const struct draft *draft,
                             const struct base_column *column, const char *doing)
{
    char names[512];
    size_t n = 0;
    for (size_t i = 0; i < draft->table.index_count && n < sizeof names; i++)
        if (draft->table.indexes[i].column == column->id)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%.*s", n ? ", " : "",
                                  BASE_SLICE_ARG(draft->table.indexes[i].name));
    return n == 0 ? BASE_OK
                  : base_err_set(
                        a->err, BASE_E_INVALID,
                        "Cannot %s column %.*s because it has dependent secondary indexes (%s)",
                        doing, BASE_SLICE_ARG(column->name), names);
}

static int alter_drop(struct cqli_analysis *a, struct draft *draft)
{
    int64_t time_us = a->context->now_us;
    if (a->statement->timestamp.len && !cqli_slice_to_i64(a->statement->timestamp, &time_us))
        return base_err_set(a->err, BASE_E_INVALID, "TIMESTAMP %.*s is out of range",
                            BASE_SLICE_ARG(a->statement->timestamp));
    for (const struct cql_name_item *item = a->statement->names; item; item = item->next) {
        struct base_column *column = find_column(draft, item->name);
        if (!column) {
            if (a->statement->alter_conditional)
                continue;
            return not_found(a, draft, item->name);
        }
        if (column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_CLUSTERING)
            return base_err_set(a->err, BASE_E_INVALID, "Cannot drop PRIMARY KEY column %.*s",
                                BASE_SLICE_ARG(item->name));
        int rc = check_not_indexed(a, draft, column, "drop");
        if (rc != BASE_OK)
            return rc;
        BASE_ASSERT(draft->table.dropped_count < draft->dropped_room);
        draft->dropped[draft->table.dropped_count++] = (struct base_dropped_column){
            column->id, column->name, column->type, column->kind == BASE_COLUMN_STATIC, time_us};
        *column = draft->columns[--draft->table.column_count];
    }
    return BASE_OK;
}

static int alter_rename(struct cqli_analysis *a, struct draft *draft)
{
    for (const struct cql_name_item *item = a->statement->names; item; item = item->next) {
        struct base_column *column = find_column(draft, item->name);
        if (!column) {
            if (a->statement->alter_conditional)
                continue;
            return cqli_undefined_column(a->err, &draft->table, item->name);
        }
        if (column->kind != BASE_COLUMN_PARTITION_KEY && column->kind != BASE_COLUMN_CLUSTERING)
            return base_err_set(a->err, BASE_E_INVALID, "Cannot rename non PRIMARY KEY column %.*s",
                                BASE_SLICE_ARG(item->name));
        if (find_column(draft, item->other))
            return base_err_set(a->err, BASE_E_INVALID,
                                "Cannot rename column %.*s to %.*s in table '%.*s.%.*s'; another "
                                "column with that name "
                                "already exists",
                                BASE_SLICE_ARG(item->name), BASE_SLICE_ARG(item->other),
                                BASE_SLICE_ARG(draft->table.keyspace),
                                BASE_SLICE_ARG(draft->table.name));
        int rc = check_not_indexed(a, draft, column, "rename");
        if (rc != BASE_OK)
            return rc;
        column->name = item->other;
    }
    return BASE_OK;
}

static int alter_table(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                       const struct base_table *old)
{
    struct draft *draft;
    int rc = make_draft(a, old, &draft);
    if (rc != BASE_OK)
        return rc;
    switch (a->statement->alter) {
    case CQL_ALTER_ADD:
        rc = alter_add(a, keyspace, draft);
        break;
    case CQL_ALTER_DROP:
        rc = alter_drop(a, draft);
        break;
    case CQL_ALTER_RENAME:
        rc = alter_rename(a, draft);
        break;
    case CQL_ALTER_WITH:
        rc = cqli_table_options(a, a->statement->properties, &draft->table.options, NULL);
        break;
    case CQL_ALTER_COLUMN_TYPE:
        rc = base_err_set(a->err, BASE_E_INVALID, "Altering column types is no longer supported");
        break;
    case CQL_ALTER_NONE:
        rc = base_err_set(a->err, BASE_E_SYNTAX, "ALTER TABLE takes ADD, DROP, RENAME and WITH");
        break;
    }
    if (rc != BASE_OK)
        return rc;
    finish_columns(draft);
    a->out->change.kind = BASE_CHANGE_TABLE_ALTER;
    a->out->change.table_new = &draft->table;
    a->out->change.table_id = old->id;
    return check_static(a, &draft->table);
}

/* The door. */

static int no_table(struct cqli_analysis *a, struct base_slice keyspace)
{
    return base_err_set(a->err, BASE_E_NOTFOUND, "Table '%.*s.%.*s' doesn't exist",
                        BASE_SLICE_ARG(keyspace), BASE_SLICE_ARG(a->statement->target.name));
}

int cqli_analyze_table(struct cqli_analysis *a)
{
    const struct base_keyspace *keyspace;
    int rc = cqli_target_keyspace(a, &keyspace);
    bool create = a->statement->kind == CQL_CREATE_TABLE;
    if (rc == BASE_E_NOTFOUND && a->statement->conditional && !create) {
        a->out->nothing = true;
        return BASE_OK;
    }
    bool truncate = a->statement->kind == CQL_TRUNCATE;
    if (rc == BASE_E_NOTFOUND && truncate)
        return base_err_set(a->err, rc, "keyspace %.*s does not exist",
                            BASE_SLICE_ARG(a->out->change.keyspace));
    if (rc == BASE_E_NOTFOUND && a->statement->kind == CQL_DROP_TABLE)
        return no_table(a, a->out->change.keyspace);
    if (rc != BASE_OK)
        return rc;
    struct base_change *change = &a->out->change;
    change->name = a->statement->target.name;
    const struct base_table *old =
        base_schema_table(a->context->schema, keyspace->name, change->name);
    a->out->nothing = a->statement->conditional && create == !!old;
    if (a->out->nothing)
        return BASE_OK;
    if (create && old)
        return base_err_set(a->err, BASE_E_EXISTS,
                            "Cannot add already existing table \"%.*s\" to keyspace \"%.*s\"",
                            BASE_SLICE_ARG(old->name), BASE_SLICE_ARG(old->keyspace));
    if (!create && !old)
        return truncate ? base_err_set(a->err, BASE_E_NOTFOUND, "table %.*s does not exist",
                                       BASE_SLICE_ARG(change->name))
                        : no_table(a, keyspace->name);
    if (create)
        return create_table(a, keyspace);
    if (a->statement->kind == CQL_ALTER_TABLE)
        return alter_table(a, keyspace, old);
    change->kind =
        a->statement->kind == CQL_DROP_TABLE ? BASE_CHANGE_TABLE_DROP : BASE_CHANGE_TABLE_TRUNCATE;
    change->table_id = old->id;
    change->time_us = a->context->now_us;
    return BASE_OK;
}
