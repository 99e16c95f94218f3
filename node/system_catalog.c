/* system_schema and system_virtual_schema: the schema as Cassandra's drivers read it.
 *
 * system_schema has the keyspaces of the metadata log and those of the node's own that are not
 * virtual (system, system_schema), so that drivers see the same as with Cassandra;
 * system_virtual_schema has the virtual ones. */
#include <stdio.h>

#include "node/system_private.h"

/* The keyspaces that the read may want: of both schemas, virtual ones or the others. */
static void each_keyspace(struct nodei_fill *fill, bool virtual,
                          void (*each)(struct nodei_fill *fill,
                                       const struct base_keyspace *keyspace))
{
    const struct base_schema *const schemas[] = {fill->schema, fill->system};
    for (size_t s = 0; s < BASE_COUNT(schemas); s++)
        for (size_t i = 0; fill->rc == BASE_OK && i < schemas[s]->keyspace_count; i++) {
            const struct base_keyspace *keyspace = &schemas[s]->keyspaces[i];
            if (nodei_is_virtual_keyspace(keyspace->name) == virtual &&
                nodei_fill_wants(fill, keyspace->name))
                each(fill, keyspace);
        }
}

static void put_type(struct nodei_fill *fill, const char *column, const struct base_type *type)
{
    base_buf_reset(&fill->row); /* free until the row's end */
    int rc = base_type_print(type, &fill->row);
    if (rc != BASE_OK && fill->rc == BASE_OK)
        fill->rc = base_err_set(fill->err, rc, "system_schema: a type: %s", base_err_words(rc));
    nodei_fill_put(fill, column, base_buf_view(&fill->row));
}

/* Keyspaces. */

/* Options with the class under its full Java name: what drivers and tools compare with. A class
 * that is not one of ours stays. */
static void put_options(struct nodei_fill *fill, const char *column, const char *package,
                        const struct base_options *options)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct base_option *o = &options->items[i];
        char full[256];
        nodei_fill_element(fill, o->key);
        if (base_slice_equal(o->key, BASE_SLICE_LIT("class")) &&
            !memchr(o->value.data, '.', o->value.len)) {
            snprintf(full, sizeof full, "%s.%.*s", package, BASE_SLICE_ARG(o->value));
            nodei_fill_element(fill, base_slice_str(full));
        } else {
            nodei_fill_element(fill, o->value);
        }
    }
    nodei_fill_collection(fill, column);
}

static void put_keyspace(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    nodei_fill_put(fill, "keyspace_name", keyspace->name);
    nodei_fill_bool(fill, "durable_writes", keyspace->durable_writes);
    put_options(fill, "replication", "org.apache.cassandra.locator", &keyspace->replication);
    nodei_fill_end(fill);
}

void nodei_fill_keyspaces(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_keyspace);
}

static void put_virtual_keyspace(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    nodei_fill_put(fill, "keyspace_name", keyspace->name);
    nodei_fill_end(fill);
}

void nodei_fill_virtual_keyspaces(struct nodei_fill *fill)
{
    each_keyspace(fill, true, put_virtual_keyspace);
}

/* Tables. */

static bool has_counter(const struct base_table *table)
{
    for (size_t i = table->partition_key_count + table->clustering_count; i < table->column_count;
         i++)
        if (table->columns[i].type->kind == BASE_TYPE_COUNTER)
            return true;
    return false;
}

static void put_table_options(struct nodei_fill *fill, const struct base_table_options *o)
{
    nodei_fill_put(fill, "additional_write_policy", o->additional_write_policy);
    nodei_fill_bool(fill, "allow_auto_snapshot", o->allow_auto_snapshot);
    nodei_fill_double(fill, "bloom_filter_fp_chance", o->bloom_filter_fp_chance);
    nodei_fill_options(fill, "caching", &o->caching);
    nodei_fill_bool(fill, "cdc", o->cdc);
    nodei_fill_put(fill, "comment", o->comment);
    put_options(fill, "compaction", "org.apache.cassandra.db.compaction", &o->compaction);
    put_options(fill, "compression", "org.apache.cassandra.io.compress", &o->compression);
    nodei_fill_double(fill, "crc_check_chance", o->crc_check_chance);
    nodei_fill_double(fill, "dclocal_read_repair_chance", 0);
    nodei_fill_int(fill, "default_time_to_live", o->default_time_to_live_s);
    nodei_fill_options(fill, "extensions", &o->extensions);
    nodei_fill_int(fill, "gc_grace_seconds", o->gc_grace_s);
    nodei_fill_bool(fill, "incremental_backups", o->incremental_backups);
    nodei_fill_int(fill, "max_index_interval", o->max_index_interval);
    if (o->memtable.len && !base_slice_equal(o->memtable, BASE_SLICE_LIT("default")))
        nodei_fill_put(fill, "memtable", o->memtable);
    nodei_fill_int(fill, "memtable_flush_period_in_ms", o->memtable_flush_period_ms);
    nodei_fill_int(fill, "min_index_interval", o->min_index_interval);
    nodei_fill_put(fill, "read_repair", o->read_repair);
    nodei_fill_double(fill, "read_repair_chance", 0);
    nodei_fill_put(fill, "speculative_retry", o->speculative_retry);
}

static void put_tables(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct base_table *table = keyspace->tables[i];
        nodei_fill_put(fill, "keyspace_name", keyspace->name);
        nodei_fill_put(fill, "table_name", table->name);
        nodei_fill_uuid(fill, "id", table->id);
        /* Without "compound" drivers take it for COMPACT STORAGE and hide its columns. */
        nodei_fill_element(fill, BASE_SLICE_LIT("compound"));
        if (has_counter(table))
            nodei_fill_element(fill, BASE_SLICE_LIT("counter"));
        nodei_fill_collection(fill, "flags");
        put_table_options(fill, &table->options);
        nodei_fill_end(fill);
    }
}

void nodei_fill_tables(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_tables);
}

static void put_virtual_tables(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->table_count; i++) {
        nodei_fill_put(fill, "keyspace_name", keyspace->name);
        nodei_fill_put(fill, "table_name", keyspace->tables[i]->name);
        nodei_fill_put(fill, "comment", keyspace->tables[i]->options.comment);
        nodei_fill_end(fill);
    }
}

void nodei_fill_virtual_tables(struct nodei_fill *fill)
{
    each_keyspace(fill, true, put_virtual_tables);
}

/* Columns. */

static void put_columns(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    static const char *const kinds[] = {
        [BASE_COLUMN_PARTITION_KEY] = "partition_key",
        [BASE_COLUMN_CLUSTERING] = "clustering",
        [BASE_COLUMN_STATIC] = "static",
        [BASE_COLUMN_REGULAR] = "regular",
    };
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct base_table *table = keyspace->tables[i];
        for (size_t k = 0; k < table->column_count; k++) {
            const struct base_column *column = &table->columns[k];
            bool is_key =
                column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_CLUSTERING;
            nodei_fill_put(fill, "keyspace_name", keyspace->name);
            nodei_fill_put(fill, "table_name", table->name);
            nodei_fill_put(fill, "column_name", column->name);
            nodei_fill_text(fill, "clustering_order",
                            column->kind != BASE_COLUMN_CLUSTERING ? "none"
                            : column->descending                   ? "desc"
                                                                   : "asc");
            nodei_fill_put(fill, "column_name_bytes", column->name);
            nodei_fill_text(fill, "kind", kinds[column->kind]);
            nodei_fill_int(fill, "position", is_key ? (int32_t)column->position : -1);
            put_type(fill, "type", column->type);
            nodei_fill_end(fill);
        }
    }
}

void nodei_fill_columns(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_columns);
}

void nodei_fill_virtual_columns(struct nodei_fill *fill)
{
    each_keyspace(fill, true, put_columns);
}

static void put_dropped(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct base_table *table = keyspace->tables[i];
        for (size_t k = 0; k < table->dropped_count;
             k++) { /* of one name dropped twice the later one is the row's */
            const struct base_dropped_column *dropped = &table->dropped[k];
            bool later = false;
            for (size_t m = 0; m < table->dropped_count && !later; m++)
                later = base_slice_equal(table->dropped[m].name, dropped->name) &&
                        table->dropped[m].id > dropped->id;
            if (later)
                continue;
            nodei_fill_put(fill, "keyspace_name", keyspace->name);
            nodei_fill_put(fill, "table_name", table->name);
            nodei_fill_put(fill, "column_name", dropped->name);
            nodei_fill_bigint(fill, "dropped_time", dropped->dropped_us / 1000);
            nodei_fill_text(fill, "kind", dropped->is_static ? "static" : "regular");
            put_type(fill, "type", dropped->type);
            nodei_fill_end(fill);
        }
    }
}

void nodei_fill_dropped_columns(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_dropped);
}

/* Types, indexes. */

static void put_types(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->type_count; i++) {
        const struct base_type *type = keyspace->types[i].type;
        nodei_fill_put(fill, "keyspace_name", keyspace->name);
        nodei_fill_put(fill, "type_name", keyspace->types[i].name);
        for (uint32_t k = 0; k < type->param_count; k++)
            nodei_fill_element(fill, type->field_names[k]);
        nodei_fill_collection(fill, "field_names");
        for (uint32_t k = 0; k < type->param_count; k++) {
            base_buf_reset(&fill->row);
            int rc = base_type_print(type->params[k], &fill->row);
            if (rc != BASE_OK && fill->rc == BASE_OK)
                fill->rc =
                    base_err_set(fill->err, rc, "system_schema: a type: %s", base_err_words(rc));
            nodei_fill_element(fill, base_buf_view(&fill->row));
        }
        nodei_fill_collection(fill, "field_types");
        nodei_fill_end(fill);
    }
}

void nodei_fill_types(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_types);
}

/* "v", "values(v)", …: as CREATE INDEX has it between its parentheses. */
static void put_target(struct nodei_fill *fill, const struct base_table *table,
                       const struct base_index *index)
{
    static const char *const words[] = {
        [BASE_INDEX_VALUE] = NULL,  [BASE_INDEX_VALUES] = "values",
        [BASE_INDEX_KEYS] = "keys", [BASE_INDEX_ENTRIES] = "entries",
        [BASE_INDEX_FULL] = "full",
    };
    const struct base_column *column = base_table_column_by_id(table, index->column);
    const char *word = words[index->target];
    base_buf_reset(&fill->row);
    int rc = word ? base_buf_printf(&fill->row, "%s(", word) : BASE_OK;
    if (rc == BASE_OK && column)
        rc = cql_put_identifier(column->name, &fill->row);
    if (rc == BASE_OK && word)
        rc = base_buf_put_u8(&fill->row, ')');
    if (rc != BASE_OK && fill->rc == BASE_OK)
        fill->rc = base_err_set(fill->err, rc, "system_schema: an index: %s", base_err_words(rc));
    nodei_fill_element(fill, BASE_SLICE_LIT("target"));
    nodei_fill_element(fill, base_buf_view(&fill->row));
}

static void put_indexes(struct nodei_fill *fill, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->table_count; i++) {
        const struct base_table *table = keyspace->tables[i];
        for (size_t k = 0; k < table->index_count; k++) {
            const struct base_index *index = &table->indexes[k];
            nodei_fill_put(fill, "keyspace_name", keyspace->name);
            nodei_fill_put(fill, "table_name", table->name);
            nodei_fill_put(fill, "index_name", index->name);
            nodei_fill_text(fill, "kind", index->index_class.len ? "CUSTOM" : "COMPOSITES");
            if (index->index_class.len) {
                nodei_fill_element(fill, BASE_SLICE_LIT("class_name"));
                nodei_fill_element(fill, index->index_class);
            }
            put_target(fill, table, index);
            nodei_fill_collection(fill, "options");
            nodei_fill_end(fill);
        }
    }
}

void nodei_fill_indexes(struct nodei_fill *fill)
{
    each_keyspace(fill, false, put_indexes);
}
