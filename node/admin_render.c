/* The answers of node_admin laid out for people, in nodetool's layout, from the JSON alone (the
 * program gets it over HTTP). Members it does not know are printed by their key: an older program
 * shows a newer node's answer. */
#include <stdio.h>

#include "node/admin_render.h"

struct label {
    const char *key, *text;
};
static const struct label stats_labels[] = {
    {"read_count", "Read Count"},
    {"write_count", "Write Count"},
    {"sstable_count", "SSTable count"},
    {"space_used_live", "Space used (live)"},
    {"space_used_total", "Space used (total)"},
    {"sstable_compression_ratio", "SSTable Compression Ratio"},
    {"number_of_partitions_estimate", "Number of partitions (estimate)"},
    {"number_of_rows_estimate", "Number of rows (estimate)"},
    {"tombstone_count", "Tombstone count"},
    {"memtable_row_count", "Memtable row count"},
    {"memtable_data_size", "Memtable data size"},
    {"memtable_switch_count", "Memtable switch count"},
    {"local_read_count", "Local read count"},
    {"local_write_count", "Local write count"},
    {"local_read_write_ratio", "Local read/write ratio"},
    {"pending_compactions", "Pending compactions"},
    {"compacted_bytes", "Compacted bytes"},
    {"bloom_filter_checks", "Bloom filter checks"},
    {"bloom_filter_false_positives", "Bloom filter false positives"},
    {"bloom_filter_false_ratio", "Bloom filter false ratio"},
    {"compacted_partition_maximum_bytes", "Compacted partition maximum bytes"},
    {"compacted_partition_mean_bytes", "Compacted partition mean bytes"},
    {"secondary_indexes_built", "Secondary indexes built"},
    {"space_used_by_secondary_indexes", "Space used by secondary indexes"},
};

void nodei_put(struct nodei_layout *l, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (l->rc == BASE_OK)
        l->rc = base_buf_put(l->out, line, strlen(line));
}

bool nodei_next(struct nodei_layout *l, struct base_json_walk *walk)
{
    bool more = false;
    if (l->rc == BASE_OK)
        l->rc = base_json_walk_next(walk, &more, l->err);
    return more;
}

bool nodei_is_key(const struct base_json_walk *walk, const char *name)
{
    return base_slice_equal(walk->key.text, base_slice_str(name));
}

void nodei_put_scalar(struct nodei_layout *l, struct base_slice value)
{
    struct base_json_reader reader;
    struct base_json_token token;
    if (value.len == 0) /* an older node does not tell it */
        value = BASE_SLICE_LIT("null");
    base_json_begin(&reader, value);
    if (l->rc == BASE_OK)
        l->rc = base_json_next(&reader, &token, l->err);
    if (l->rc != BASE_OK)
        return;
    l->rc = token.kind == BASE_JSON_STRING ? base_json_unescape(&token, l->out)
            : token.kind == BASE_JSON_NULL ? base_buf_put_u8(l->out, '?')
                                           : base_buf_put_slice(l->out, value);
}

/* Characters, not bytes: names may be in any script. */
static size_t width_of(const uint8_t *text, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += (text[i] & 0xc0) != 0x80;
    return width;
}

void nodei_put_column(struct nodei_layout *l, size_t width, struct base_slice value)
{
    size_t start = l->out->len;
    nodei_put_scalar(l, value);
    for (size_t used = l->rc == BASE_OK ? width_of(l->out->data + start, l->out->len - start)
                                        : width;
         used < width; used++)
        nodei_put(l, " ");
}

void nodei_address_text(struct base_slice json_string, char *text, size_t size)
{
    size_t len = json_string.len >= 2 ? json_string.len - 2 : 0;
    snprintf(text, size, "%.*s", (int)len, len ? (const char *)json_string.data + 1 : "");
    char *port = strrchr(text, ':');
    if (port && strcmp(port, ":7000") == 0)
        *port = 0;
}

double nodei_number(struct base_slice object, const char *key)
{
    struct base_slice value = base_json_member(object, key);
    char text[40] = "";
    if (value.len && value.len < sizeof text)
        memcpy(text, value.data, value.len);
    return strtod(text, NULL);
}

bool nodei_is_true(struct base_slice object, const char *key)
{
    return base_slice_equal(base_json_member(object, key), BASE_SLICE_LIT("true"));
}

/* Tablestats. */

static void put_stat(struct nodei_layout *l, const char *indent, const struct base_json_walk *m)
{
    const char *text = NULL;
    for (size_t i = 0; i < BASE_COUNT(stats_labels); i++)
        if (nodei_is_key(m, stats_labels[i].key))
            text = stats_labels[i].text;
    if (text)
        nodei_put(l, "%s%s: ", indent, text);
    else
        nodei_put(l, "%s%.*s: ", indent, BASE_SLICE_ARG(m->key.text));
    nodei_put_scalar(l, m->value);
    nodei_put(l, "\n");
}

static void put_name(struct nodei_layout *l, const char *before, const struct base_json_walk *m)
{
    nodei_put(l, "%s", before);
    if (l->rc == BASE_OK)
        l->rc = base_json_unescape(&m->key, l->out);
    nodei_put(l, "\n");
}

static void put_indexes(struct nodei_layout *l, struct base_slice indexes)
{
    struct base_json_walk index;
    base_json_walk_begin(&index, indexes);
    while (nodei_next(l, &index)) {
        nodei_put(l, "\t\tSecondary index ");
        if (l->rc == BASE_OK)
            l->rc = base_json_unescape(&index.key, l->out);
        nodei_put(l, ": %s, %.0f bytes, %.0f entries\n",
                  nodei_is_true(index.value, "built") ? "built" : "being built",
                  nodei_number(index.value, "space_used"), nodei_number(index.value, "entries"));
    }
}

static void put_tables(struct nodei_layout *l, struct base_slice tables)
{
    struct base_json_walk table;
    base_json_walk_begin(&table, tables);
    while (nodei_next(l, &table)) {
        put_name(l, "\t\tTable: ", &table);
        struct base_json_walk stat;
        base_json_walk_begin(&stat, table.value);
        while (nodei_next(l, &stat)) {
            if (nodei_is_key(&stat, "secondary_indexes"))
                put_indexes(l, stat.value);
            else
                put_stat(l, "\t\t", &stat);
        }
        nodei_put(l, "\n");
    }
}

static void render_tablestats(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk keyspace;
    base_json_walk_begin(&keyspace, json);
    while (nodei_next(l, &keyspace)) {
        if (nodei_is_key(&keyspace, "total_number_of_tables")) {
            nodei_put(l, "Total number of tables: %.*s\n", BASE_SLICE_ARG(keyspace.value));
            continue;
        }
        nodei_put(l, "----------------\n");
        put_name(l, "Keyspace: ", &keyspace);
        struct base_json_walk stat;
        base_json_walk_begin(&stat, keyspace.value);
        while (nodei_next(l, &stat)) {
            if (nodei_is_key(&stat, "tables"))
                put_tables(l, stat.value);
            else
                put_stat(l, "\t", &stat);
        }
    }
    nodei_put(l, "----------------\n");
}

/* Info. */

static void put_line(struct nodei_layout *l, const char *label, struct base_slice value)
{
    nodei_put(l, "%-23s: ", label);
    nodei_put_scalar(l, value);
    nodei_put(l, "\n");
}

const char *nodei_size_text(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < BASE_COUNT(units)) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, unit ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

static void render_info(struct nodei_layout *l, struct base_slice json)
{
    char a[32], b[32];
    struct base_slice cache = base_json_member(json, "block_cache"),
                      log = base_json_member(json, "commitlog");
    if (!cache.len || !log.len) {
        if (l->rc == BASE_OK)
            l->rc =
                base_err_set(l->err, BASE_E_INVALID, "the answer lacks block_cache or commitlog");
        return;
    }
    put_line(l, "ID", base_json_member(json, "id"));
    nodei_put(l, "%-23s: %s\n", "Gossip active",
              nodei_is_true(json, "gossip_active") ? "true" : "false");
    put_line(l, "Cluster", base_json_member(json, "cluster_name"));
    put_line(l, "Data directory", base_json_member(json, "data_directory"));
    put_line(l, "Process", base_json_member(json, "process_id"));
    nodei_put(l, "%-23s: %s\n", "Load",
              nodei_size_text(nodei_number(json, "load_bytes"), a, sizeof a));
    put_line(l, "Generation No", base_json_member(json, "generation"));
    put_line(l, "Uptime (seconds)", base_json_member(json, "uptime_seconds"));
    nodei_put(l, "%-23s: %s\n", "Memory (resident)",
              nodei_size_text(nodei_number(json, "resident_bytes"), a, sizeof a));
    nodei_put(l, "%-23s: %s\n", "Memtables",
              nodei_size_text(nodei_number(json, "memtable_bytes"), a, sizeof a));
    put_line(l, "Data Center", base_json_member(json, "data_center"));
    put_line(l, "Rack", base_json_member(json, "rack"));
    put_line(l, "Schema epoch", base_json_member(json, "schema_epoch"));
    nodei_put(l, "%-23s: %.0f (%.0f SSTables)\n", "Tables", nodei_number(json, "tables"),
              nodei_number(json, "sstables"));
    nodei_put(
        l, "%-23s: entries %.0f, size %s, capacity %s, %.0f hits, %.0f requests, %.3f hit rate\n",
        "Block Cache", nodei_number(cache, "entries"),
        nodei_size_text(nodei_number(cache, "size_bytes"), a, sizeof a),
        nodei_size_text(nodei_number(cache, "capacity_bytes"), b, sizeof b),
        nodei_number(cache, "hits"), nodei_number(cache, "requests"),
        nodei_number(cache, "hit_rate"));
    nodei_put(l, "%-23s: %s in %.0f segments, %.0f records, %.0f syncs\n", "Commit Log",
              nodei_size_text(nodei_number(log, "size_bytes"), a, sizeof a),
              nodei_number(log, "segments"), nodei_number(log, "records"),
              nodei_number(log, "syncs"));
    if (nodei_is_true(json, "disk_full"))
        nodei_put(l, "%-23s: FULL; what needs space is tried again until there is some\n", "Disk");
    if (nodei_is_true(json, "writes_stopped"))
        nodei_put(l,
                  "%-23s: STOPPED after a failed write; see the log, mend the disk, start again\n",
                  "Writes");
}

/* Flush, compact, version. */

static void render_maintenance(struct nodei_layout *l, const char *done, struct base_slice json)
{
    double tables = nodei_number(json, "tables");
    nodei_put(l, "%s %.0f table%s: %.0f SSTables before, %.0f now\n", done, tables,
              tables == 1 ? "" : "s", nodei_number(json, "sstables_before"),
              nodei_number(json, "sstables_after"));
}

/* nodetool's columns. */
static void render_compactionstats(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk task;
    nodei_put(l, "concurrent compactors %10.0f\n", nodei_number(json, "concurrent_tasks"));
    nodei_put(l, "compactions completed %10.0f\n", nodei_number(json, "compactions_completed"));
    nodei_put(l, "data compacted %17.0f bytes\n", nodei_number(json, "data_compacted"));
    base_json_walk_begin(&task, base_json_member(json, "tasks"));
    for (bool first = true; nodei_next(l, &task); first = false) {
        double completed = nodei_number(task.value, "completed"),
               total = nodei_number(task.value, "total");
        if (first)
            nodei_put(l, "%-22s %-20s %-20s %14s %14s %-6s %s\n", "compaction type", "keyspace",
                      "table", "completed", "total", "unit", "progress");
        nodei_put_column(l, 22, base_json_member(task.value, "kind"));
        nodei_put(l, " ");
        nodei_put_column(l, 20, base_json_member(task.value, "keyspace"));
        nodei_put(l, " ");
        nodei_put_column(l, 20, base_json_member(task.value, "table"));
        nodei_put(l, " %14.0f %14.0f %-6s %.2f%%\n", completed, total, "bytes",
                  total > 0 ? 100 * completed / total : 0);
    }
}

static void render_version(struct nodei_layout *l, struct base_slice json)
{
    nodei_put(l, "ReleaseVersion: ");
    nodei_put_scalar(l, base_json_member(json, "release_version"));
    nodei_put(l, "\n");
}

int node_admin_render(const char *command, struct base_slice json, struct base_buf *text,
                      struct base_err *err)
{
    struct nodei_layout l = {.out = text, .err = err};
    size_t start = text->len;
    base_err_clear(err);
    if (strcmp(command, "tablestats") == 0)
        render_tablestats(&l, json);
    else if (strcmp(command, "info") == 0)
        render_info(&l, json);
    else if (strcmp(command, "flush") == 0)
        render_maintenance(&l, "flushed", json);
    else if (strcmp(command, "compact") == 0)
        render_maintenance(&l, "compacted", json);
    else if (strcmp(command, "compactionstats") == 0)
        render_compactionstats(&l, json);
    else if (strcmp(command, "version") == 0)
        render_version(&l, json);
    else if (!nodei_render_cluster(&l, command, json) && l.rc == BASE_OK)
        l.rc = base_buf_put_slice(text, json);
    if (l.rc == BASE_OK)
        return BASE_OK;
    text->len = start;
    if (err && !err->text[0])
        base_err_set(err, l.rc, "%s", base_err_words(l.rc));
    return base_err_wrap(err, l.rc, "lay out the answer of %s", command);
}
