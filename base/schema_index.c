/* Indexes in the schema: what may be indexed how, and what must hold for a table's indexes
 * (base/schema.h).
 *
 * 1. An index's id is unique in its table for ever, like a column's: files of a dropped index are
 *    never taken for those of a later one. Its column and target never change.
 * 2. Names are unique in the keyspace. */
#include "base/schema_private.h"

bool base_index_name_valid(struct base_slice name)
{
    bool valid = name.len > 0 && name.len <= BASE_INDEX_NAME_LEN_MAX;
    for (size_t i = 0; valid && i < name.len; i++) {
        uint8_t c = name.data[i];
        valid =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    return valid;
}

bool base_type_has_duration(const struct base_type *type)
{
    if (type->kind == BASE_TYPE_DURATION)
        return true;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (base_type_has_duration(type->params[i]))
            return true;
    return false;
}

static bool is_collection(const struct base_type *type)
{
    return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
           type->kind == BASE_TYPE_MAP;
}

bool base_index_fits(const struct base_table *table, const struct base_column *column,
                     enum base_index_target target)
{
    const struct base_type *type = column->type;
    if (type->kind == BASE_TYPE_COUNTER || base_type_has_duration(type))
        return false;
    if (column->kind == BASE_COLUMN_PARTITION_KEY && table->partition_key_count == 1)
        return false; /* it is found without */
    switch (target) {
    case BASE_INDEX_VALUE:
        return !is_collection(type) && !base_type_is_multicell(type);
    case BASE_INDEX_VALUES:
        return is_collection(type) && base_type_is_multicell(type);
    case BASE_INDEX_KEYS:
    case BASE_INDEX_ENTRIES:
        return type->kind == BASE_TYPE_MAP && base_type_is_multicell(type);
    case BASE_INDEX_FULL:
        return is_collection(type) && !base_type_is_multicell(type);
    }
    return false;
}

const struct base_index *base_keyspace_index(const struct base_keyspace *keyspace,
                                             struct base_slice name,
                                             const struct base_table **table)
{
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct base_table *t = keyspace->tables[i];
        for (size_t k = 0; k < t->index_count; k++) {
            if (!base_slice_equal(t->indexes[k].name, name))
                continue;
            if (table)
                *table = t;
            return &t->indexes[k];
        }
    }
    if (table)
        *table = NULL;
    return NULL;
}

/* Checks. */

static const char *index_fault(const struct base_table *table, size_t at)
{
    const struct base_index *index = &table->indexes[at];
    const struct base_column *column = base_table_column_by_id(table, index->column);
    if (!base_index_name_valid(index->name) ||
        (at && base_slice_compare(table->indexes[at - 1].name, index->name) >= 0))
        return "misnamed, there twice or out of order";
    if (index->id == 0 || index->id >= table->next_index_id)
        return "an id out of range";
    for (size_t i = 0; i < at; i++)
        if (table->indexes[i].id == index->id)
            return "an id that is used twice";
    if (!column)
        return "a column that the table does not have";
    return base_index_fits(table, column, index->target) ? NULL
                                                         : "a column that cannot be indexed so";
}

int basei_indexes_check(const struct base_table *table, struct base_err *err)
{
    if (table->index_count > BASE_COLUMNS_MAX)
        return base_err_set(err, BASE_E_LIMIT, "%zu indexes: a table has at most %d",
                            table->index_count, BASE_COLUMNS_MAX);
    for (size_t i = 0; i < table->index_count; i++) {
        const char *fault = index_fault(table, i);
        if (fault)
            return base_err_set(err, BASE_E_INVALID, "index %.*s: %s",
                                BASE_SLICE_ARG(table->indexes[i].name), fault);
    }
    return BASE_OK;
}

static int compare_names(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

int basei_index_names_check(const struct base_keyspace *keyspace, struct base_arena *scratch,
                            struct base_err *err)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; i < keyspace->table_count; i++)
        count += keyspace->tables[i]->index_count;
    if (count < 2)
        return BASE_OK;
    struct base_slice *names = base_arena_alloc(scratch, count * sizeof *names);
    if (!names)
        return base_err_set(err, BASE_E_NOMEM, "schema: %s", base_err_words(BASE_E_NOMEM));
    for (size_t i = 0; i < keyspace->table_count; i++)
        for (size_t k = 0; k < keyspace->tables[i]->index_count; k++)
            names[n++] = keyspace->tables[i]->indexes[k].name;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++)
        if (base_slice_equal(names[i - 1], names[i]))
            return base_err_set(err, BASE_E_INVALID, "Index '%.*s' already exists",
                                BASE_SLICE_ARG(names[i]));
    return BASE_OK;
}

const char *basei_indexes_altered(const struct base_table *from, const struct base_table *to)
{
    if (to->next_index_id < from->next_index_id)
        return "index ids may not be used again";
    for (size_t i = 0; i < to->index_count; i++) {
        const struct base_index *after = &to->indexes[i], *before = NULL;
        for (size_t k = 0; k < from->index_count; k++)
            if (from->indexes[k].id == after->id)
                before = &from->indexes[k];
        if (!before && after->id < from->next_index_id)
            return "a new index needs a new id";
        if (before && (before->column != after->column || before->target != after->target))
            return "an index's column may not change";
    }
    return NULL;
}
