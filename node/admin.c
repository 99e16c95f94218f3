/* nodetool's commands on this node: each answers with one JSON document. admin_render.c lays it
 * out.
 *
 * Keys of `tablestats` are nodetool's (its -F json), and what we do not measure is left out rather
 * than invented. A command goes through a session of its own, so that a table cannot be dropped
 * under it: DROP waits for a running flush or compaction, of any table. To add a command: a row in
 * the table, a function, a case in admin_render.c if its answer needs a layout. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "config.h"
#include "node/node_private.h"

struct call {
    struct node *node;
    struct node_session *session;
    struct base_schema *schema;
    const char *const *args;
    size_t arg_count;
    struct base_json_writer json;
    struct base_err *err;
};

/* --- tables named by arguments ---------------------------------------------------------------- */

typedef int (*table_fn)(struct call *call, const struct base_table *table, struct lsm_table *place,
                        void *ctx);

static int each_of_keyspace(struct call *call, const struct base_keyspace *keyspace, table_fn fn,
                            void *ctx)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < keyspace->table_count && rc == BASE_OK; i++) {
        struct lsm_table *place = lsm_table_find(call->node->store, keyspace->tables[i]->id);
        if (place)
            rc = fn(call, keyspace->tables[i], place, ctx);
    }
    return rc;
}

static int one_table(struct call *call, struct base_slice keyspace, struct base_slice name,
                     table_fn fn, void *ctx)
{
    const struct base_table *table = base_schema_table(call->schema, keyspace, name);
    struct lsm_table *place = table ? lsm_table_find(call->node->store, table->id) : NULL;
    if (!place)
        return base_err_set(call->err, BASE_E_NOTFOUND, "there is no table %.*s.%.*s",
                            BASE_SLICE_ARG(keyspace), BASE_SLICE_ARG(name));
    return fn(call, table, place, ctx);
}

static const struct base_keyspace *find_keyspace(struct call *call, struct base_slice name)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(call->schema, name);
    if (!keyspace)
        base_err_set(call->err, BASE_E_NOTFOUND, "there is no keyspace %.*s", BASE_SLICE_ARG(name));
    return keyspace;
}

/* flush, compact: [keyspace [table …]]; a table may also be named as keyspace.table. */
static int each_table(struct call *call, table_fn fn, void *ctx)
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
    const struct base_keyspace *keyspace = find_keyspace(call, base_slice_str(call->args[0]));
    if (!keyspace)
        return BASE_E_NOTFOUND;
    if (call->arg_count == 1)
        return each_of_keyspace(call, keyspace, fn, ctx);
    for (size_t i = 1; i < call->arg_count && rc == BASE_OK; i++)
        rc = one_table(call, keyspace->name, base_slice_str(call->args[i]), fn, ctx);
    return rc;
}

/* --- flush, compact --------------------------------------------------------------------------- */

struct totals {
    uint64_t tables, sstables;
};

static int flush_table(struct call *call, const struct base_table *table, struct lsm_table *place,
                       void *ctx)
{
    (void)table;
    ((struct totals *)ctx)->tables++;
    return lsm_flush(call->node->store, place, NULL, call->err);
}

static int compact_table(struct call *call, const struct base_table *table, struct lsm_table *place,
                         void *ctx)
{
    (void)table;
    ((struct totals *)ctx)->tables++;
    return lsm_compact(call->node->store, place, NULL, call->err);
}

static int count_sstables(struct call *call, const struct base_table *table,
                          struct lsm_table *place, void *ctx)
{
    (void)call;
    (void)table;
    struct lsm_table_stats stats;
    lsm_table_get_stats(place, &stats);
    ((struct totals *)ctx)->sstables += stats.sstable_count;
    return BASE_OK;
}

static int maintain(struct call *call, table_fn fn)
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

static int run_flush(struct call *call)
{
    return maintain(call, flush_table);
}

static int run_compact(struct call *call)
{
    return maintain(call, compact_table);
}

/* --- tablestats ------------------------------------------------------------------------------- */

static void put_u64(struct call *call, const char *key, uint64_t value)
{
    base_json_key(&call->json, key);
    base_json_u64(&call->json, value);
}

static void put_ratio(struct call *call, const char *key, uint64_t part, uint64_t whole)
{
    base_json_key(&call->json, key);
    base_json_double(&call->json, whole ? (double)part / (double)whole : 0.0);
}

static void put_str(struct call *call, const char *key, const char *value)
{
    base_json_key(&call->json, key);
    base_json_str(&call->json, value);
}

static int put_table(struct call *call, const struct base_table *table, struct lsm_table *place,
                     void *ctx)
{
    (void)ctx;
    struct lsm_table_stats s;
    lsm_table_get_stats(place, &s);
    base_json_key_slice(&call->json, table->name);
    base_json_open_object(&call->json);
    put_u64(call, "sstable_count", s.sstable_count);
    put_u64(call, "space_used_live", s.disk_bytes);
    put_u64(call, "space_used_total", s.disk_bytes);
    put_ratio(call, "sstable_compression_ratio", s.disk_bytes, s.data_bytes_uncompressed);
    put_u64(call, "number_of_partitions_estimate", s.partition_estimate);
    put_u64(call, "number_of_rows_estimate", s.row_count_estimate);
    put_u64(call, "tombstone_count", s.tombstone_count);
    put_u64(call, "memtable_row_count", s.memtable_rows);
    put_u64(call, "memtable_data_size", s.memtable_bytes);
    put_u64(call, "memtable_switch_count", s.memtable_switches);
    put_u64(call, "local_read_count", s.reads);
    put_u64(call, "local_write_count", s.writes);
    put_ratio(call, "local_read_write_ratio", s.reads, s.writes);
    put_u64(call, "pending_compactions", s.compactions_pending);
    put_u64(call, "compacted_bytes", s.compacted_bytes);
    put_u64(call, "bloom_filter_checks", s.bloom_checks);
    put_u64(call, "bloom_filter_false_positives", s.bloom_false_positives);
    put_ratio(call, "bloom_filter_false_ratio", s.bloom_false_positives, s.bloom_checks);
    put_u64(call, "compacted_partition_maximum_bytes", s.partition_size_max);
    put_u64(call, "compacted_partition_mean_bytes", s.partition_size_mean);
    base_json_close_object(&call->json);
    return BASE_OK;
}

static int add_counts(struct call *call, const struct base_table *table, struct lsm_table *place,
                      void *ctx)
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
static int put_keyspace(struct call *call, const struct base_keyspace *keyspace,
                        struct base_slice only)
{
    struct lsm_table_stats sum = {0};
    int rc = each_of_keyspace(call, keyspace, add_counts, &sum);
    base_json_key_slice(&call->json, keyspace->name);
    base_json_open_object(&call->json);
    put_u64(call, "read_count", sum.reads);
    put_u64(call, "write_count", sum.writes);
    put_u64(call, "space_used_total", sum.disk_bytes);
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
static int run_tablestats(struct call *call)
{
    struct lsm_stats stats;
    int rc = BASE_OK;
    lsm_get_stats(call->node->store, &stats);
    base_json_open_object(&call->json);
    put_u64(call, "total_number_of_tables", call->schema->table_count);
    for (size_t k = 0; call->arg_count == 0 && k < call->schema->keyspace_count && rc == BASE_OK;
         k++)
        rc = put_keyspace(call, &call->schema->keyspaces[k], (struct base_slice){0});
    for (size_t i = 0; i < call->arg_count && rc == BASE_OK; i++) {
        const char *arg = call->args[i], *dot = strchr(arg, '.');
        struct base_slice name = base_slice(arg, dot ? (size_t)(dot - arg) : strlen(arg));
        const struct base_keyspace *keyspace = find_keyspace(call, name);
        if (!keyspace)
            return BASE_E_NOTFOUND;
        rc = put_keyspace(call, keyspace, dot ? base_slice_str(dot + 1) : (struct base_slice){0});
    }
    base_json_close_object(&call->json);
    return rc;
}

/* --- info, version ---------------------------------------------------------------------------- */

/* Resident memory of the whole process, the host's included. */
static uint64_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int put_option(void *ctx, const char *name, const char *value)
{
    put_str(ctx, name, value);
    return BASE_OK;
}

static void put_store(struct call *call, const struct lsm_stats *s)
{
    base_json_key(&call->json, "block_cache");
    base_json_open_object(&call->json);
    put_u64(call, "entries", s->cache_entries);
    put_u64(call, "size_bytes", s->cache_bytes);
    put_u64(call, "capacity_bytes", call->node->settings.file_cache_size);
    put_u64(call, "hits", s->cache_hits);
    put_u64(call, "requests", s->cache_hits + s->cache_misses);
    put_ratio(call, "hit_rate", s->cache_hits, s->cache_hits + s->cache_misses);
    base_json_close_object(&call->json);
    base_json_key(&call->json, "commitlog");
    base_json_open_object(&call->json);
    put_u64(call, "size_bytes", s->commitlog_bytes);
    put_u64(call, "segments", s->commitlog_segments);
    put_u64(call, "records", s->commitlog_records);
    put_u64(call, "syncs", s->commitlog_syncs);
    base_json_close_object(&call->json);
}

static int run_info(struct call *call)
{
    struct node *node = call->node;
    struct lsm_stats s;
    char id[37];
    lsm_get_stats(node->store, &s);
    base_uuid_print(node->identity.host_id, id);
    base_json_open_object(&call->json);
    put_str(call, "id", id);
    put_str(call, "cluster_name", node->identity.cluster_name);
    put_str(call, "release_version", PACKAGE_VERSION);
    put_str(call, "data_directory", node->dir);
    put_u64(call, "process_id", (uint64_t)getpid());
    put_u64(call, "load_bytes", s.disk_bytes);
    put_u64(call, "generation", node->identity.generation);
    put_u64(call, "uptime_seconds",
            (base_clock_mono(node->clock).ns - node->started.ns) / 1000000000u);
    put_u64(call, "resident_bytes", resident_bytes());
    put_u64(call, "memtable_bytes", s.memtable_bytes);
    put_str(call, "data_center", node->settings.dc);
    put_str(call, "rack", node->settings.rack);
    put_u64(call, "schema_epoch", call->schema->epoch);
    put_u64(call, "tables", s.table_count);
    put_u64(call, "sstables", s.sstable_count);
    put_u64(call, "flushes", s.flushes);
    put_u64(call, "compactions", s.compactions);
    base_json_key(&call->json, "writes_stopped");
    base_json_bool(&call->json, s.stopped);
    put_store(call, &s);
    base_json_key(&call->json, "options");
    base_json_open_object(&call->json);
    int rc = nodei_settings_each(&node->settings, put_option, call);
    base_json_close_object(&call->json);
    base_json_close_object(&call->json);
    return rc;
}

static int run_version(struct call *call)
{
    base_json_open_object(&call->json);
    put_str(call, "release_version", PACKAGE_VERSION);
    put_u64(call, "format_version", NODEI_FORMAT_VERSION);
    base_json_close_object(&call->json);
    return BASE_OK;
}

/* --- the table of commands -------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool changes_state;
    size_t arg_count_max;
    int (*run)(struct call *call);
} commands[] = {
    {"compact", true, SIZE_MAX, run_compact},
    {"flush", true, SIZE_MAX, run_flush},
    {"info", false, 0, run_info},
    {"tablestats", false, SIZE_MAX, run_tablestats},
    {"version", false, 0, run_version},
};

bool nodei_admin_changes_state(const char *command)
{
    for (size_t i = 0; i < BASE_COUNT(commands); i++)
        if (strcmp(command, commands[i].name) == 0)
            return commands[i].changes_state;
    return false;
}

static int unknown(const char *command, struct base_err *err)
{
    char all[256] = "";
    for (size_t i = 0; i < BASE_COUNT(commands); i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", commands[i].name);
    }
    return base_err_set(err, BASE_E_NOTFOUND, "there is no command \"%s\": %s", command, all);
}

static int run(struct call *call, int (*command)(struct call *), struct base_buf *json)
{
    size_t start = json->len;
    base_json_writer_init(&call->json, json);
    nodei_enter(call->session);
    call->schema = node_schema(call->node);
    int rc = command(call);
    nodei_leave(call->session);
    base_schema_release(call->schema);
    if (rc == BASE_OK) {
        rc = base_json_finish(&call->json);
        if (rc != BASE_OK)
            base_err_set(call->err, rc, "the answer: %s", base_err_words(rc));
    }
    if (rc != BASE_OK)
        json->len = start;
    return rc;
}

int node_admin(struct node *node, const char *command, const char *const *args, size_t arg_count,
               struct base_buf *json, struct base_err *err)
{
    size_t i = 0;
    while (i < BASE_COUNT(commands) && strcmp(command, commands[i].name) != 0)
        i++;
    if (i == BASE_COUNT(commands))
        return unknown(command, err);
    if (arg_count > commands[i].arg_count_max)
        return base_err_set(err, BASE_E_INVALID, "%s takes no arguments", command);
    struct call call = {.node = node, .args = args, .arg_count = arg_count, .err = err};
    int rc = node_session_new(node, &call.session, err);
    if (rc != BASE_OK)
        return rc;
    rc = run(&call, commands[i].run, json);
    node_session_free(call.session);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "%s", command);
}
