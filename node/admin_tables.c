/* nodetool's commands on tables: flush, compact, tablestats, compactionstats.
 *
 * Keys of `tablestats` are nodetool's (its -F json), and what we do not measure is left out rather
 * than invented. */
#include "node/admin_private.h"

/* Tables named by arguments. */

typedef int (*table_fn)(struct nodei_admin *call, const struct base_table *table,
                        struct lsm_table *place, void *ctx);

static int each_of_keyspace(struct nodei_admin *call, const struct base_keyspace *keyspace,
                            table_fn fn, void *ctx)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < keyspace->table_count && rc == BASE_OK; i++) {
        struct lsm_table *place = lsm_table_find(call->node->store, keyspace->tables[i]->id);
        if (place)
            rc = fn(call, keyspace->tables[i], place, ctx);
    }
    return rc;
}

static int one_table(struct nodei_admin *call, struct base_slice keyspace, struct base_slice name,
                     table_fn fn, void *ctx)
{
    const struct base_table *table = base_schema_table(call->schema, keyspace, name);
    struct lsm_table *place = table ? lsm_table_find(call->node->store, table->id) : NULL;
    if (!place)
        return base_err_set(call->err, BASE_E_NOTFOUND, "there is no table %.*s.%.*s",
                            BASE_SLICE_ARG(keyspace), BASE_SLICE_ARG(name));
    return fn(call, table, place, ctx);
}

/* flush, compact: [keyspace [table …]]; a table may also be named as keyspace.table. */
static int each_table(struct nodei_admin *call, table_fn fn, void *ctx)
{
    int rc = BASE_OK;
    if (call->arg_count == 0) {
        for (size_t k = 0; k < call->schema->keyspace_count && rc == BASE_OK; k++)
            rc = each_of_keyspace(call, &call->schema->keyspaces[k], fn, ctx);
        return rc;
    }
    const char *dot = strchr(call->args[0], '.');
    if (dot && call->arg_count == 1)
        return one_table(call, base_slice(call->args[0], (size_t)(dot - call->args[0])),
                         base_slice_str(dot + 1), fn, ctx);
    const struct base_keyspace *keyspace =
        nodei_admin_keyspace(call, base_slice_str(call->args[0]));
    if (!keyspace)
        return BASE_E_NOTFOUND;
    if (call->arg_count == 1)
        return each_of_keyspace(call, keyspace, fn, ctx);
    for (size_t i = 1; i < call->arg_count && rc == BASE_OK; i++)
        rc = one_table(call, keyspace->name, base_slice_str(call->args[i]), fn, ctx);
    return rc;
}

/* Flush, compact. */

struct totals {
    uint64_t tables, sstables;
};

static int flush_table(struct nodei_admin *call, const struct base_table *table,
                       struct lsm_table *place, void *ctx)
{
    (void)table;
    ((struct totals *)ctx)->tables++;
    return lsm_flush(call->node->store, place, NULL, call->err);
}

static int compact_table(struct nodei_admin *call, const struct base_table *table,
                         struct lsm_table *place, void *ctx)
{
    (void)table;
    ((struct totals *)ctx)->tables++;
    return lsm_compact(call->node->store, place, NULL, call->err);
}

static int count_sstables(struct nodei_admin *call, const struct base_table *table,
                          struct lsm_table *place, void *ctx)
{
    (void)call;
    (void)table;
    struct lsm_table_stats stats;
    lsm_table_get_stats(place, &stats);
    ((struct totals *)ctx)->sstables += stats.sstable_count;
    return BASE_OK;
}

static int maintain(struct nodei_admin *call, table_fn fn)
{
    struct totals before = {0}, done = {0}, after = {0};
    int rc = each_table(call, count_sstables, &before);
    if (rc == BASE_OK)
        rc = each_table(call, fn, &done);
    if (rc == BASE_OK)
        rc = each_table(call, count_sstables, &after);
    if (rc != BASE_OK)
        return rc;
    base_json_open_object(&call->json);
    base_json_key(&call->json, "tables");
    base_json_u64(&call->json, done.tables);
    base_json_key(&call->json, "sstables_before");
    base_json_u64(&call->json, before.sstables);
    base_json_key(&call->json, "sstables_after");
    base_json_u64(&call->json, after.sstables);
    base_json_close_object(&call->json);
    return BASE_OK;
}

int nodei_admin_flush(struct nodei_admin *call)
{
    return maintain(call, flush_table);
}

int nodei_admin_compact(struct nodei_admin *call)
{
    return maintain(call, compact_table);
}

/* Tablestats. */

/* Its secondary indexes, if it has any. */
static void put_indexes(struct nodei_admin *call, const struct base_table *table,
                        struct lsm_table *place)
{
    struct lsm_index_stats few[16];
    size_t count = lsm_table_get_index_stats(place, few, BASE_COUNT(few));
    /* more than that a table should not have */
    count = count < BASE_COUNT(few) ? count : BASE_COUNT(few);
    if (count == 0)
        return;
    uint64_t space = 0, built = 0;
    base_json_key(&call->json, "secondary_indexes");
    base_json_open_object(&call->json);
    for (size_t i = 0; i < count; i++) {
        const struct lsm_index_stats *s = &few[i];
        struct base_slice name = BASE_SLICE_LIT("?");
        for (size_t k = 0; k < table->index_count; k++)
            if (table->indexes[k].id == s->id)
                name = table->indexes[k].name;
        base_json_key_slice(&call->json, name);
        base_json_open_object(&call->json);
        nodei_admin_bool(call, "built", s->is_built);
        nodei_admin_u64(call, "space_used", s->disk_bytes);
        nodei_admin_u64(call, "entries", s->entry_count);
        nodei_admin_u64(call, "sstables_built", s->sstables_built);
        base_json_close_object(&call->json);
        space += s->disk_bytes;
        built += s->is_built;
    }
    base_json_close_object(&call->json);
    nodei_admin_u64(call, "secondary_indexes_built", built);
    nodei_admin_u64(call, "space_used_by_secondary_indexes", space);
}

static int put_table(struct nodei_admin *call, const struct base_table *table,
                     struct lsm_table *place, void *ctx)
{
    (void)ctx;
    struct lsm_table_stats s;
    lsm_table_get_stats(place, &s);
    base_json_key_slice(&call->json, table->name);
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "sstable_count", s.sstable_count);
    nodei_admin_u64(call, "space_used_live", s.disk_bytes);
    nodei_admin_u64(call, "space_used_total", s.disk_bytes);
    nodei_admin_ratio(call, "sstable_compression_ratio", s.disk_bytes, s.data_bytes_uncompressed);
    nodei_admin_u64(call, "number_of_partitions_estimate", s.partition_estimate);
    nodei_admin_u64(call, "number_of_rows_estimate", s.row_count_estimate);
    nodei_admin_u64(call, "tombstone_count", s.tombstone_count);
    nodei_admin_u64(call, "memtable_row_count", s.memtable_rows);
    nodei_admin_u64(call, "memtable_data_size", s.memtable_bytes);
    nodei_admin_u64(call, "memtable_switch_count", s.memtable_switches);
    nodei_admin_u64(call, "local_read_count", s.reads);
    nodei_admin_u64(call, "local_write_count", s.writes);
    nodei_admin_ratio(call, "local_read_write_ratio", s.reads, s.writes);
    nodei_admin_u64(call, "pending_compactions", s.compactions_pending);
    nodei_admin_u64(call, "compacted_bytes", s.compacted_bytes);
    nodei_admin_u64(call, "bloom_filter_checks", s.bloom_checks);
    nodei_admin_u64(call, "bloom_filter_false_positives", s.bloom_false_positives);
    nodei_admin_ratio(call, "bloom_filter_false_ratio", s.bloom_false_positives, s.bloom_checks);
    nodei_admin_u64(call, "compacted_partition_maximum_bytes", s.partition_size_max);
    nodei_admin_u64(call, "compacted_partition_mean_bytes", s.partition_size_mean);
    put_indexes(call, table, place);
    base_json_close_object(&call->json);
    return BASE_OK;
}

static int add_counts(struct nodei_admin *call, const struct base_table *table,
                      struct lsm_table *place, void *ctx)
{
    (void)call;
    (void)table;
    struct lsm_table_stats s;
    struct lsm_table_stats *sum = ctx;
    lsm_table_get_stats(place, &s);
    sum->reads += s.reads;
    sum->writes += s.writes;
    sum->disk_bytes += s.disk_bytes;
    return BASE_OK;
}

/* One keyspace; all of its tables, or the one called `only`. */
static int put_keyspace(struct nodei_admin *call, const struct base_keyspace *keyspace,
                        struct base_slice only)
{
    struct lsm_table_stats sum = {0};
    int rc = each_of_keyspace(call, keyspace, add_counts, &sum);
    base_json_key_slice(&call->json, keyspace->name);
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "read_count", sum.reads);
    nodei_admin_u64(call, "write_count", sum.writes);
    nodei_admin_u64(call, "space_used_total", sum.disk_bytes);
    base_json_key(&call->json, "tables");
    base_json_open_object(&call->json);
    if (rc == BASE_OK)
        rc = only.len ? one_table(call, keyspace->name, only, put_table, NULL)
                      : each_of_keyspace(call, keyspace, put_table, NULL);
    base_json_close_object(&call->json);
    base_json_close_object(&call->json);
    return rc;
}

/* tablestats [keyspace | keyspace.table] … */
int nodei_admin_tablestats(struct nodei_admin *call)
{
    int rc = BASE_OK;
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "total_number_of_tables", call->schema->table_count);
    for (size_t k = 0; call->arg_count == 0 && k < call->schema->keyspace_count && rc == BASE_OK;
         k++)
        rc = put_keyspace(call, &call->schema->keyspaces[k], (struct base_slice){0});
    for (size_t i = 0; i < call->arg_count && rc == BASE_OK; i++) {
        const char *arg = call->args[i], *dot = strchr(arg, '.');
        struct base_slice name = base_slice(arg, dot ? (size_t)(dot - arg) : strlen(arg));
        const struct base_keyspace *keyspace = nodei_admin_keyspace(call, name);
        if (!keyspace)
            return BASE_E_NOTFOUND;
        rc = put_keyspace(call, keyspace, dot ? base_slice_str(dot + 1) : (struct base_slice){0});
    }
    base_json_close_object(&call->json);
    return rc;
}

/* Compactionstats. */

static int put_tasks(struct nodei_admin *call, const struct base_table *table,
                     struct lsm_table *place, void *ctx)
{
    static const char *const kinds[] = {
        [LSM_TASK_COMPACTION] = "Compaction", [LSM_TASK_INDEX_BUILD] = "Secondary index build"};
    struct lsm_task tasks[LSM_TASKS_MAX];
    size_t count = lsm_table_get_tasks(place, tasks);
    *(uint64_t *)ctx += count;
    for (size_t i = 0; i < count; i++) {
        base_json_open_object(&call->json);
        nodei_admin_str(call, "kind", kinds[tasks[i].kind]);
        base_json_key(&call->json, "keyspace");
        base_json_string(&call->json, table->keyspace);
        base_json_key(&call->json, "table");
        base_json_string(&call->json, table->name);
        nodei_admin_u64(call, "completed", tasks[i].completed);
        nodei_admin_u64(call, "total", tasks[i].total);
        nodei_admin_str(call, "unit", "bytes");
        nodei_admin_u64(call, "sstables", tasks[i].sstables);
        base_json_close_object(&call->json);
    }
    return BASE_OK;
}

/* Compactions and index builds under way, with their progress. */
int nodei_admin_compactionstats(struct nodei_admin *call)
{
    uint64_t count = 0;
    struct lsm_stats s;
    base_json_open_object(&call->json);
    base_json_key(&call->json, "tasks");
    base_json_open_array(&call->json);
    int rc = each_table(call, put_tasks, &count);
    base_json_close_array(&call->json);
    lsm_get_stats(call->node->store, &s);
    nodei_admin_u64(call, "concurrent_tasks", count);
    nodei_admin_u64(call, "compactions_completed", s.compactions);
    nodei_admin_u64(call, "data_compacted", s.compacted_bytes_read);
    base_json_close_object(&call->json);
    return rc;
}

int nodei_admin_flush_all(struct nodei_admin *call)
{
    struct totals done = {0};
    struct nodei_admin all = *call;
    all.arg_count = 0;
    return each_table(&all, flush_table, &done);
}
