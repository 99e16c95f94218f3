/* Schema snapshots: references and lookup.
 *
 * A snapshot never changes after basei_schema_build returned it, so lookups take no lock. Its
 * arrays are sorted (keyspaces, tables, types, static and regular columns by name; columns_by_id
 * and tables_by_id by id): every lookup is a binary search. */
#include "base/schema_private.h"

struct base_schema *base_schema_new(void)
{
    struct base_schema *schema = calloc(1, sizeof *schema);
    if (!schema)
        return NULL;
    base_arena_init(&schema->arena);
    schema->refs = 1;
    return schema;
}

struct base_schema *base_schema_acquire(struct base_schema *schema)
{
    int before = __atomic_fetch_add(&schema->refs, 1, __ATOMIC_RELAXED);
    BASE_ASSERT(before > 0);
    return schema;
}

void base_schema_release(struct base_schema *schema)
{
    if (!schema)
        return;
    int before = __atomic_fetch_sub(&schema->refs, 1, __ATOMIC_ACQ_REL);
    BASE_ASSERT(before > 0);
    if (before == 1) {
        base_arena_fini(&schema->arena);
        free(schema);
    }
}

bool base_name_valid(struct base_slice name)
{
    if (name.len == 0 || name.len > BASE_NAME_LEN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

struct base_slice base_options_get(const struct base_options *options, const char *key)
{
    struct base_slice want = base_slice_str(key);
    for (size_t i = 0; i < options->count; i++)
        if (base_slice_equal(options->items[i].key, want))
            return options->items[i].value;
    return (struct base_slice){0};
}

bool base_options_equal(const struct base_options *a, const struct base_options *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!base_slice_equal(a->items[i].key, b->items[i].key) ||
            !base_slice_equal(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

/* Binary search over `count` things whose i-th name is the expression `name_at` of `mid`. */
#define LOWER_BOUND(count, name_at, name, found)                                                   \
    size_t low = 0, high = (count);                                                                \
    *(found) = false;                                                                              \
    while (low < high) {                                                                           \
        size_t mid = low + (high - low) / 2;                                                       \
        int c = base_slice_compare(name_at, name);                                                 \
        if (c == 0) {                                                                              \
            *(found) = true;                                                                       \
            return mid;                                                                            \
        }                                                                                          \
        if (c < 0)                                                                                 \
            low = mid + 1;                                                                         \
        else                                                                                       \
            high = mid;                                                                            \
    }                                                                                              \
    return low

size_t basei_keyspace_index(const struct base_keyspace *items, size_t count, struct base_slice name,
                            bool *found)
{
    LOWER_BOUND(count, items[mid].name, name, found);
}

size_t basei_table_index(const struct base_table *const *items, size_t count,
                         struct base_slice name, bool *found)
{
    LOWER_BOUND(count, items[mid]->name, name, found);
}

size_t basei_type_index(const struct base_user_type *items, size_t count, struct base_slice name,
                        bool *found)
{
    LOWER_BOUND(count, items[mid].name, name, found);
}

static size_t column_index(const struct base_column *items, size_t count, struct base_slice name,
                           bool *found)
{
    LOWER_BOUND(count, items[mid].name, name, found);
}

const struct base_keyspace *base_schema_keyspace(const struct base_schema *schema,
                                                 struct base_slice name)
{
    bool found;
    size_t i = basei_keyspace_index(schema->keyspaces, schema->keyspace_count, name, &found);
    return found ? &schema->keyspaces[i] : NULL;
}

const struct base_table *base_schema_table(const struct base_schema *schema,
                                           struct base_slice keyspace, struct base_slice name)
{
    const struct base_keyspace *ks = base_schema_keyspace(schema, keyspace);
    if (!ks)
        return NULL;
    bool found;
    size_t i = basei_table_index(ks->tables, ks->table_count, name, &found);
    return found ? ks->tables[i] : NULL;
}

const struct base_table *base_schema_table_by_id(const struct base_schema *schema,
                                                 struct base_uuid id)
{
    size_t low = 0, high = schema->table_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = memcmp(schema->tables_by_id[mid]->id.b, id.b, sizeof id.b);
        if (c == 0)
            return schema->tables_by_id[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct base_user_type *base_schema_type(const struct base_schema *schema,
                                              struct base_slice keyspace, struct base_slice name)
{
    const struct base_keyspace *ks = base_schema_keyspace(schema, keyspace);
    if (!ks)
        return NULL;
    bool found;
    size_t i = basei_type_index(ks->types, ks->type_count, name, &found);
    return found ? &ks->types[i] : NULL;
}

const struct base_column *base_table_column(const struct base_table *table, struct base_slice name)
{
    size_t key_count = table->partition_key_count + table->clustering_count;
    BASE_ASSERT(key_count + table->static_count <= table->column_count);
    for (size_t i = 0; i < key_count; i++) /* by position, and few */
        if (base_slice_equal(table->columns[i].name, name))
            return &table->columns[i];
    bool found;
    const struct base_column *at = table->columns + key_count;
    size_t i = column_index(at, table->static_count, name, &found);
    if (found)
        return at + i;
    at += table->static_count;
    i = column_index(at, table->column_count - key_count - table->static_count, name, &found);
    return found ? at + i : NULL;
}

const struct base_column *base_table_column_by_id(const struct base_table *table, uint32_t id)
{
    if (!table->columns_by_id) {
        for (size_t i = 0; i < table->column_count; i++)
            if (table->columns[i].id == id)
                return &table->columns[i];
        return NULL;
    }
    size_t low = 0, high = table->column_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct base_column *column = &table->columns[table->columns_by_id[mid]];
        if (column->id == id)
            return column;
        if (column->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
