/* CREATE INDEX and DROP INDEX: changes of their table. Cassandra's rules and messages
 * (CreateIndexStatement, IndexTarget, IndexAttributes).
 *
 * Whatever class is named, there is one index here (DESIGN.md §6: a table component): the
 * storage-attached and the legacy class are taken as what they promise beyond speed, equality and
 * containment. What only one of them could do (analysis of text, nearest neighbours) is refused by
 * name. The class as written is kept, so that DESCRIBE prints what was said. */
#include <stdio.h>

#include "cql/cql_private.h"

#define LIT(text) BASE_SLICE_LIT(text)

/* What is indexed. */

static const char *target_name(enum base_index_target target)
{
    switch (target) {
    case BASE_INDEX_VALUE:
    case BASE_INDEX_VALUES:
        return "values";
    case BASE_INDEX_KEYS:
        return "keys";
    case BASE_INDEX_ENTRIES:
        return "entries";
    case BASE_INDEX_FULL:
        return "full";
    }
    return "";
}

static bool is_collection(const struct base_type *type)
{
    return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
           type->kind == BASE_TYPE_MAP;
}

/* A column without a modifier: its value, or of a collection that is not frozen its values. */
static enum base_index_target target_of(enum cql_index_target target, const struct base_type *type)
{
    switch (target) {
    case CQL_INDEX_PLAIN:
        return is_collection(type) && !type->frozen ? BASE_INDEX_VALUES : BASE_INDEX_VALUE;
    case CQL_INDEX_VALUES:
        return BASE_INDEX_VALUES;
    case CQL_INDEX_KEYS:
        return BASE_INDEX_KEYS;
    case CQL_INDEX_ENTRIES:
        return BASE_INDEX_ENTRIES;
    case CQL_INDEX_FULL:
        return BASE_INDEX_FULL;
    }
    return BASE_INDEX_VALUE;
}

static int check_type(struct cqli_analysis *a, const struct base_type *type)
{
    if (type->kind == BASE_TYPE_COUNTER)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Secondary indexes on counter tables aren't supported");
    if (type->kind == BASE_TYPE_VECTOR)
        return base_err_set(
            a->err, BASE_E_INVALID,
            "Secondary indexes on vector columns serve ORDER BY … ANN OF, which is not supported");
    if (!base_type_has_duration(type))
        return BASE_OK;
    const char *what = is_collection(type)             ? "collections containing durations"
                       : type->kind == BASE_TYPE_TUPLE ? "tuples containing durations"
                       : type->kind == BASE_TYPE_UDT   ? "UDTs containing durations"
                                                       : "duration columns";
    return base_err_set(a->err, BASE_E_INVALID, "Secondary indexes are not supported on %s", what);
}

static int check_target(struct cqli_analysis *a, const struct base_table *table,
                        const struct base_column *column, enum base_index_target target)
{
    const struct base_type *type = column->type;
    struct base_slice name = column->name;
    bool collection = is_collection(type), map = type->kind == BASE_TYPE_MAP && !type->frozen;
    int rc = check_type(a, type);
    if (rc != BASE_OK)
        return rc;
    if (column->kind == BASE_COLUMN_PARTITION_KEY && table->partition_key_count == 1)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Cannot create secondary index on the only partition key column %.*s",
                            BASE_SLICE_ARG(name));
    if (collection && type->frozen && target != BASE_INDEX_FULL)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Cannot create %s() index on frozen column %.*s. Frozen collections "
                            "are immutable and must be "
                            "fully indexed by using the 'full(%.*s)' modifier",
                            target_name(target), BASE_SLICE_ARG(name), BASE_SLICE_ARG(name));
    if (!(collection && type->frozen) && target == BASE_INDEX_FULL)
        return base_err_set(a->err, BASE_E_INVALID,
                            "full() indexes can only be created on frozen collections");
    if (!collection && target != BASE_INDEX_VALUE)
        return base_err_set(
            a->err, BASE_E_INVALID,
            "Cannot create %s() index on %.*s. Non-collection columns only support simple indexes",
            target_name(target), BASE_SLICE_ARG(name));
    if (!map && (target == BASE_INDEX_KEYS || target == BASE_INDEX_ENTRIES))
        return base_err_set(a->err, BASE_E_INVALID,
                            "Cannot create index on %s of column %.*s with non-map type",
                            target_name(target), BASE_SLICE_ARG(name));
    if (base_type_is_multicell(type) && !collection)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Cannot create index on non-frozen UDT column %.*s",
                            BASE_SLICE_ARG(name));
    BASE_ASSERT(base_index_fits(table, column, target));
    return BASE_OK;
}

/* Its class and options. */

static bool is_storage_attached(struct base_slice class)
{
    struct base_slice name = cqli_short_class(class);
    return base_slice_equal_nocase(name, LIT("sai")) ||
           base_slice_equal_nocase(name, LIT("StorageAttachedIndex"));
}

/* *out: the class to keep; empty for the legacy kind. */
static int check_class(struct cqli_analysis *a, struct base_slice *out)
{
    const struct cql_index_def *def = &a->statement->index;
    *out = def->using_class;
    if (def->using_class.len == 0)
        return def->custom ? base_err_set(a->err, BASE_E_INVALID,
                                          "CUSTOM index requires specifying the index class")
                           : BASE_OK;
    if (is_storage_attached(def->using_class))
        return BASE_OK;
    if (base_slice_equal_nocase(def->using_class, LIT("legacy_local_table"))) {
        *out = (struct base_slice){0};
        return BASE_OK;
    }
    if (base_slice_equal_nocase(cqli_short_class(def->using_class), LIT("SASIIndex")))
        return base_err_set(a->err, BASE_E_INVALID,
                            "SASI indexes are disabled. Use a storage-attached index: USING "
                            "'StorageAttachedIndex'");
    return base_err_set(a->err, BASE_E_CONFIG, "Unable to find custom indexer class '%.*s'",
                        BASE_SLICE_ARG(def->using_class));
}

/* Options of a storage-attached index: the defaults may be said. */
static int check_options(struct cqli_analysis *a, const struct cql_term *value, bool custom)
{
    static const struct {
        const char *name, *only;
    } known[] = {{"case_sensitive", "true"}, {"normalize", "false"}, {"ascii", "false"}};
    struct cqli_map map;
    int rc = cqli_map_from_term(a, "options", value, &map);
    if (rc != BASE_OK || map.count == 0)
        return rc;
    if (!custom)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Cannot specify options for a non-CUSTOM index");
    for (size_t i = 0; i < BASE_COUNT(known); i++) {
        struct base_slice said = cqli_map_take(&map, known[i].name);
        if (said.data && !base_slice_equal_nocase(said, base_slice_str(known[i].only)))
            return base_err_set(a->err, BASE_E_INVALID,
                                "index option %s = '%.*s' is not supported: only '%s'",
                                known[i].name, BASE_SLICE_ARG(said), known[i].only);
    }
    if (map.count)
        return base_err_set(a->err, BASE_E_INVALID, "Unknown index option '%.*s'",
                            BASE_SLICE_ARG(map.items[0].key));
    return BASE_OK;
}

static int check_properties(struct cqli_analysis *a, struct base_slice class)
{
    for (const struct cql_property *p = a->statement->properties; p; p = p->next) {
        if (!base_slice_equal(p->name, LIT("options")))
            return base_err_set(a->err, BASE_E_SYNTAX, "Unknown property '%.*s'",
                                BASE_SLICE_ARG(p->name));
        int rc = check_options(a, p->value, class.len > 0);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* Its name. */

/* table_column_idx without what a name may not have; _1, _2 … behind it until nobody has it. */
static int default_name(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                        const struct base_table *table, const struct base_column *column,
                        struct base_slice *out)
{
    struct base_slice parts[] = {table->name, LIT("_"), column->name, LIT("_idx")};
    size_t room = BASE_INDEX_NAME_LEN_MAX, n = 0;
    char *text = base_arena_alloc(a->arena, room + 1);
    if (!text)
        return cqli_no_memory(a);
    for (size_t i = 0; i < BASE_COUNT(parts); i++) {
        size_t most = i < 3 ? room - 16 : room - 8; /* room for what comes behind */
        for (size_t k = 0; k < parts[i].len && n < most; k++)
            if (base_index_name_valid(base_slice(parts[i].data + k, 1)))
                text[n++] = (char)parts[i].data[k];
    }
    size_t len = n;
    for (unsigned i = 1; base_keyspace_index(keyspace, base_slice(text, len), NULL); i++)
        len = n + (size_t)snprintf(text + n, room + 1 - n, "_%u", i);
    *out = base_slice(text, len);
    return BASE_OK;
}

/* The statements. */

/* The table with room for one index more. */
static struct base_table *copy_table(struct cqli_analysis *a, const struct base_table *old,
                                     struct base_index **indexes)
{
    struct base_table *table = base_arena_alloc(a->arena, sizeof *table);
    *indexes = base_arena_alloc(a->arena, (old->index_count + 1) * sizeof **indexes);
    if (!table || !*indexes)
        return NULL;
    *table = *old;
    if (old->index_count)
        memcpy(*indexes, old->indexes, old->index_count * sizeof **indexes);
    table->indexes = *indexes;
    table->columns_by_id = NULL;
    return table;
}

static void set_change(struct cqli_analysis *a, const struct base_table *table)
{
    struct base_change *change = &a->out->change;
    change->kind = BASE_CHANGE_TABLE_ALTER;
    change->keyspace = table->keyspace;
    change->name = table->name;
    change->table_new = table;
    change->table_id = table->id;
}

static const struct base_index *find_duplicate(const struct base_table *table,
                                               const struct base_index *index)
{
    for (size_t i = 0; i < table->index_count; i++) {
        const struct base_index *other = &table->indexes[i];
        if (other->column == index->column && other->target == index->target &&
            (other->index_class.len > 0) == (index->index_class.len > 0))
            return other;
    }
    return NULL;
}

static int add_index(struct cqli_analysis *a, const struct base_table *old, struct base_index index)
{
    const struct base_index *same = find_duplicate(old, &index);
    if (same) {
        a->out->nothing = a->statement->conditional;
        return a->out->nothing
                   ? BASE_OK
                   : base_err_set(a->err, BASE_E_INVALID,
                                  "Index %.*s is a duplicate of existing index %.*s",
                                  BASE_SLICE_ARG(index.name), BASE_SLICE_ARG(same->name));
    }
    if (old->next_index_id == UINT32_MAX || old->index_count >= BASE_COLUMNS_MAX)
        return base_err_set(a->err, BASE_E_LIMIT, "a table has at most %d indexes",
                            BASE_COLUMNS_MAX);
    struct base_index *indexes;
    struct base_table *table = copy_table(a, old, &indexes);
    if (!table)
        return cqli_no_memory(a);
    index.id = old->next_index_id ? old->next_index_id : 1;
    table->next_index_id = index.id + 1;
    size_t at = table->index_count++;
    for (; at > 0 && base_slice_compare(indexes[at - 1].name, index.name) > 0; at--)
        indexes[at] = indexes[at - 1];
    indexes[at] = index;
    set_change(a, table);
    return BASE_OK;
}

static int create_index(struct cqli_analysis *a, const struct base_keyspace *keyspace)
{
    const struct cql_statement *s = a->statement;
    const struct cql_index_def *def = &s->index;
    struct base_index index = {.name = def->name};
    int rc = check_class(a, &index.index_class);
    if (rc == BASE_OK)
        rc = check_properties(a, index.index_class);
    if (rc != BASE_OK)
        return rc;
    const struct base_table *table =
        base_schema_table(a->context->schema, keyspace->name, s->target.name);
    if (!table)
        return base_err_set(a->err, BASE_E_NOTFOUND, "Table '%.*s' doesn't exist",
                            BASE_SLICE_ARG(s->target.name));
    if (def->name.len && !base_index_name_valid(def->name))
        return base_err_set(a->err, BASE_E_CONFIG, "Illegal index name %.*s",
                            BASE_SLICE_ARG(def->name));
    if (def->name.len && base_keyspace_index(keyspace, def->name, NULL)) {
        a->out->nothing = s->conditional;
        return a->out->nothing ? BASE_OK
                               : base_err_set(a->err, BASE_E_INVALID, "Index '%.*s' already exists",
                                              BASE_SLICE_ARG(def->name));
    }
    const struct base_column *column = base_table_column(table, def->column);
    if (!column)
        return base_err_set(a->err, BASE_E_INVALID, "Column '%.*s' doesn't exist",
                            BASE_SLICE_ARG(def->column));
    index.column = column->id;
    index.target = target_of(def->target, column->type);
    rc = check_target(a, table, column, index.target);
    if (rc == BASE_OK && !def->name.len)
        rc = default_name(a, keyspace, table, column, &index.name);
    return rc == BASE_OK ? add_index(a, table, index) : rc;
}

static int drop_index(struct cqli_analysis *a, const struct base_keyspace *keyspace)
{
    struct base_slice name = a->statement->target.name;
    const struct base_table *old = NULL;
    const struct base_index *index = keyspace ? base_keyspace_index(keyspace, name, &old) : NULL;
    if (!index) {
        a->out->nothing = a->statement->conditional;
        return a->out->nothing
                   ? BASE_OK
                   : base_err_set(a->err, BASE_E_INVALID, "Index '%.*s.%.*s' doesn't exist",
                                  BASE_SLICE_ARG(a->out->change.keyspace), BASE_SLICE_ARG(name));
    }
    struct base_index *indexes;
    struct base_table *table = copy_table(a, old, &indexes);
    if (!table)
        return cqli_no_memory(a);
    size_t at = (size_t)(index - old->indexes);
    memmove(indexes + at, indexes + at + 1, (table->index_count - at - 1) * sizeof *indexes);
    table->index_count--;
    set_change(a, table);
    return BASE_OK;
}

int cqli_analyze_index(struct cqli_analysis *a)
{
    const struct base_keyspace *keyspace;
    bool drop = a->statement->kind == CQL_DROP_INDEX;
    int rc = cqli_target_keyspace(a, &keyspace);
    if (rc == BASE_E_NOTFOUND && drop)
        return drop_index(a, NULL);
    if (rc != BASE_OK)
        return rc;
    return drop ? drop_index(a, keyspace) : create_index(a, keyspace);
}
