/* nodetool's commands on this node: each answers with one JSON document, which admin_render*.c lays
 * out. Here: the table of commands, what they share, info and version; the others are in
 * admin_tables.c, admin_cluster.c, admin_stats.c.
 *
 * A command that touches tables goes through a session of its own, so that a table cannot be
 * dropped under it: DROP waits for a running flush or compaction, of any table. Those that ask or
 * wait for the cluster are outside: nothing waits for them. To add a command: a row in the table, a
 * function, a case in admin_render*.c if its answer needs a layout, a row in cli/main.c, a line in
 * docs/ringlet.1. */
#include <stdio.h>
#include <unistd.h>

#include "config.h"
#include "node/admin_private.h"

/* What they share. */

void nodei_admin_u64(struct nodei_admin *call, const char *key, uint64_t value)
{
    base_json_key(&call->json, key);
    base_json_u64(&call->json, value);
}

void nodei_admin_str(struct nodei_admin *call, const char *key, const char *value)
{
    base_json_key(&call->json, key);
    base_json_str(&call->json, value);
}

void nodei_admin_slice(struct nodei_admin *call, const char *key, struct base_slice value)
{
    base_json_key(&call->json, key);
    base_json_string(&call->json, value);
}

void nodei_admin_bool(struct nodei_admin *call, const char *key, bool value)
{
    base_json_key(&call->json, key);
    base_json_bool(&call->json, value);
}

void nodei_admin_double(struct nodei_admin *call, const char *key, double value)
{
    base_json_key(&call->json, key);
    base_json_double(&call->json, value);
}

void nodei_admin_ratio(struct nodei_admin *call, const char *key, uint64_t part, uint64_t whole)
{
    nodei_admin_double(call, key, whole ? (double)part / (double)whole : 0.0);
}

const struct base_keyspace *nodei_admin_keyspace(struct nodei_admin *call, struct base_slice name)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(call->schema, name);
    if (!keyspace)
        base_err_set(call->err, BASE_E_NOTFOUND, "there is no keyspace %.*s", BASE_SLICE_ARG(name));
    return keyspace;
}

/* Info, version. */

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
    nodei_admin_str(ctx, name, value);
    return BASE_OK;
}

static void put_store(struct nodei_admin *call, const struct lsm_stats *s)
{
    base_json_key(&call->json, "block_cache");
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "entries", s->cache_entries);
    nodei_admin_u64(call, "size_bytes", s->cache_bytes);
    nodei_admin_u64(call, "capacity_bytes", call->node->settings.file_cache_size);
    nodei_admin_u64(call, "hits", s->cache_hits);
    nodei_admin_u64(call, "requests", s->cache_hits + s->cache_misses);
    nodei_admin_ratio(call, "hit_rate", s->cache_hits, s->cache_hits + s->cache_misses);
    base_json_close_object(&call->json);
    base_json_key(&call->json, "commitlog");
    base_json_open_object(&call->json);
    nodei_admin_u64(call, "size_bytes", s->commitlog_bytes);
    nodei_admin_u64(call, "segments", s->commitlog_segments);
    nodei_admin_u64(call, "records", s->commitlog_records);
    nodei_admin_u64(call, "syncs", s->commitlog_syncs);
    base_json_close_object(&call->json);
}

static int run_info(struct nodei_admin *call)
{
    struct node *node = call->node;
    struct lsm_stats s;
    char id[37];
    lsm_get_stats(node->store, &s);
    base_uuid_print(node->identity.host_id, id);
    base_json_open_object(&call->json);
    nodei_admin_str(call, "id", id);
    nodei_admin_str(call, "cluster_name", node->identity.cluster_name);
    nodei_admin_str(call, "release_version", PACKAGE_VERSION);
    nodei_admin_str(call, "data_directory", node->dir);
    nodei_admin_u64(call, "process_id", (uint64_t)getpid());
    nodei_admin_u64(call, "load_bytes", s.disk_bytes);
    nodei_admin_u64(call, "generation", node->identity.generation);
    nodei_admin_u64(call, "uptime_seconds",
                    (base_clock_mono(node->clock).ns - node->started.ns) / 1000000000u);
    nodei_admin_u64(call, "resident_bytes", resident_bytes());
    nodei_admin_u64(call, "memtable_bytes", s.memtable_bytes);
    nodei_admin_bool(call, "gossip_active", nodei_is_clustered(node));
    nodei_admin_str(call, "data_center", node->settings.dc);
    nodei_admin_str(call, "rack", node->settings.rack);
    nodei_admin_u64(call, "schema_epoch", call->schema->epoch);
    nodei_admin_u64(call, "tables", call->schema->table_count);
    nodei_admin_u64(call, "sstables", s.sstable_count);
    nodei_admin_u64(call, "flushes", s.flushes);
    nodei_admin_u64(call, "compactions", s.compactions);
    base_json_key(&call->json, "writes_stopped");
    base_json_bool(&call->json, s.stopped);
    base_json_key(&call->json, "disk_full");
    base_json_bool(&call->json, s.disk_full);
    put_store(call, &s);
    base_json_key(&call->json, "options");
    base_json_open_object(&call->json);
    int rc = nodei_settings_each(&node->settings, put_option, call);
    base_json_close_object(&call->json);
    base_json_close_object(&call->json);
    return rc;
}

static int run_version(struct nodei_admin *call)
{
    base_json_open_object(&call->json);
    nodei_admin_str(call, "release_version", PACKAGE_VERSION);
    nodei_admin_u64(call, "format_version", NODEI_FORMAT_VERSION);
    base_json_close_object(&call->json);
    return BASE_OK;
}

/* The table of commands. */

#define CHANGES 1u /* HTTP: only by POST, with the token */
#define TABLES 2u  /* inside a session: needs tables and the store */
#define LOCAL 4u   /* about this node's own files: not for a guest, which has none */
static const struct command {
    const char *name;
    unsigned flags;
    size_t arg_count_min, arg_count_max;
    const char *arguments; /* NULL: none */
    int (*run)(struct nodei_admin *call);
} commands[] = {
    {"compact", CHANGES | TABLES | LOCAL, 0, SIZE_MAX, "[KEYSPACE [TABLE …]]", nodei_admin_compact},
    {"compactionstats", TABLES | LOCAL, 0, 0, NULL, nodei_admin_compactionstats},
    {"describecluster", 0, 0, 0, NULL, nodei_admin_describecluster},
    {"drain", CHANGES | LOCAL, 0, 0, NULL, nodei_admin_drain},
    {"flush", CHANGES | TABLES | LOCAL, 0, SIZE_MAX, "[KEYSPACE [TABLE …]]", nodei_admin_flush},
    {"getendpoints", 0, 3, SIZE_MAX, "KEYSPACE TABLE KEY", nodei_admin_getendpoints},
    {"gossipinfo", 0, 0, 0, NULL, nodei_admin_gossipinfo},
    {"info", LOCAL, 0, 0, NULL, run_info},
    {"listpendinghints", LOCAL, 0, 0, NULL, nodei_admin_listpendinghints},
    {"netstats", 0, 0, 0, NULL, nodei_admin_netstats},
    {"pausehandoff", CHANGES | LOCAL, 0, 0, NULL, nodei_admin_pausehandoff},
    {"proxyhistograms", 0, 0, 0, NULL, nodei_admin_proxyhistograms},
    {"resumehandoff", CHANGES | LOCAL, 0, 0, NULL, nodei_admin_resumehandoff},
    {"ring", 0, 0, 1, "[KEYSPACE]", nodei_admin_ring},
    {"status", 0, 0, 1, "[KEYSPACE]", nodei_admin_status},
    {"statushandoff", LOCAL, 0, 0, NULL, nodei_admin_statushandoff},
    {"tablestats", TABLES | LOCAL, 0, SIZE_MAX, "[KEYSPACE | KEYSPACE.TABLE …]",
     nodei_admin_tablestats},
    {"tpstats", 0, 0, 0, NULL, nodei_admin_tpstats},
    {"truncatehints", CHANGES | LOCAL, 0, SIZE_MAX, "[ADDRESS …]", nodei_admin_truncatehints},
    {"version", 0, 0, 0, NULL, run_version},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < BASE_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

bool node_admin_changes_state(const char *command)
{
    const struct command *known = find(command);
    return known && (known->flags & CHANGES);
}

static int unknown(const char *command, struct base_err *err)
{
    char all[512] = "";
    for (size_t i = 0; i < BASE_COUNT(commands); i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", commands[i].name);
    }
    return base_err_set(err, BASE_E_NOTFOUND, "there is no command \"%s\": %s", command, all);
}

static int run(struct nodei_admin *call, const struct command *command, struct base_buf *json)
{
    size_t start = json->len;
    base_json_writer_init(&call->json, json);
    if (command->flags & TABLES)
        nodei_enter(call->session);
    call->schema = node_schema(call->node);
    int rc = command->run(call);
    if (command->flags & TABLES)
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
    const struct command *known = find(command);
    if (!known)
        return unknown(command, err);
    if (arg_count > 0 && !known->arguments)
        return base_err_set(err, BASE_E_INVALID, "%s takes no arguments", command);
    if (arg_count < known->arg_count_min || arg_count > known->arg_count_max)
        return base_err_set(err, BASE_E_INVALID, "usage: %s %s", command, known->arguments);
    if (node->guest && (known->flags & LOCAL))
        return base_err_set(
            err, BASE_E_INVALID,
            "%s: this connection stores nothing; ask a node: ringlet --host HOST %s", command,
            command);
    struct nodei_admin call = {.node = node, .args = args, .arg_count = arg_count, .err = err};
    /* Without a reference: the HTTP interface runs commands also while the node starts or closes,
     * and ends before it. */
    int rc = nodei_check_usable(node, err);
    if (rc == BASE_OK)
        rc = nodei_session_internal(node, &call.session, err);
    if (rc != BASE_OK)
        return rc;
    rc = run(&call, known, json);
    nodei_session_internal_free(call.session);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "%s", command);
}
