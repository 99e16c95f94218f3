/* The answers of node_admin laid out for people, in nodetool's layout, from the JSON alone (the
 * program gets it over HTTP). Members it does not know are printed by their key: an older program
 * shows a newer node's answer. */
#include <stdio.h>

#include "base/json.h"
#include "node/node_private.h"

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
};

/* The walk stops at the first error and keeps it. */
struct layout {
    struct base_buf *out;
    struct base_err *err;
    int rc;
};

static void put(struct layout *l, const char *fmt, ...) BASE_PRINTF(2, 3);
static void put(struct layout *l, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (l->rc == BASE_OK)
        l->rc = base_buf_put(l->out, line, strlen(line));
}

/* Walk an object's members: false at the end or after an error. */
struct members {
    struct base_json_reader reader;
    struct base_json_token key;
    struct base_slice value; /* the member's whole value */
    bool in_object;
};

static bool next_member(struct layout *l, struct members *m)
{
    struct base_json_token token;
    if (l->rc != BASE_OK)
        return false;
    if (!m->in_object) {
        l->rc = base_json_next(&m->reader, &token, l->err);
        m->in_object = true;
        if (l->rc == BASE_OK && token.kind != BASE_JSON_OBJECT)
            l->rc = base_err_set(l->err, BASE_E_INVALID, "the answer is no JSON object");
        if (l->rc != BASE_OK)
            return false;
    }
    l->rc = base_json_next(&m->reader, &m->key, l->err);
    if (l->rc != BASE_OK || m->key.kind != BASE_JSON_KEY)
        return false;
    l->rc = base_json_next(&m->reader, &token, l->err);
    if (l->rc == BASE_OK)
        l->rc = base_json_value(&m->reader, &token, &m->value, l->err);
    return l->rc == BASE_OK;
}

static struct members members_of(struct base_slice object)
{
    struct members m = {0};
    base_json_begin(&m.reader, object);
    return m;
}

static bool is_key(const struct members *m, const char *name)
{
    return base_slice_equal(m->key.text, base_slice_str(name));
}

/* A scalar for the eye: strings without quotes. */
static void put_scalar(struct layout *l, struct base_slice value)
{
    struct base_json_reader reader;
    struct base_json_token token;
    base_json_begin(&reader, value);
    if (l->rc == BASE_OK)
        l->rc = base_json_next(&reader, &token, l->err);
    if (l->rc != BASE_OK)
        return;
    l->rc = token.kind == BASE_JSON_STRING ? base_json_unescape(&token, l->out)
                                           : base_buf_put_slice(l->out, value);
}

static struct base_slice find(struct layout *l, struct base_slice object, const char *key)
{
    struct members m = members_of(object);
    while (next_member(l, &m))
        if (is_key(&m, key))
            return m.value;
    return (struct base_slice){0};
}

static double number(struct layout *l, struct base_slice object, const char *key)
{
    struct base_slice value = find(l, object, key);
    char text[40] = "";
    if (value.len && value.len < sizeof text)
        memcpy(text, value.data, value.len);
    return strtod(text, NULL);
}

/* --- tablestats ------------------------------------------------------------------------------- */

static void put_stat(struct layout *l, const char *indent, const struct members *m)
{
    const char *text = NULL;
    for (size_t i = 0; i < BASE_COUNT(stats_labels); i++)
        if (is_key(m, stats_labels[i].key))
            text = stats_labels[i].text;
    if (text)
        put(l, "%s%s: ", indent, text);
    else
        put(l, "%s%.*s: ", indent, BASE_SLICE_ARG(m->key.text));
    put_scalar(l, m->value);
    put(l, "\n");
}

static void put_name(struct layout *l, const char *before, const struct members *m)
{
    put(l, "%s", before);
    if (l->rc == BASE_OK)
        l->rc = base_json_unescape(&m->key, l->out);
    put(l, "\n");
}

static void put_tables(struct layout *l, struct base_slice tables)
{
    struct members table = members_of(tables);
    while (next_member(l, &table)) {
        put_name(l, "\t\tTable: ", &table);
        struct members stat = members_of(table.value);
        while (next_member(l, &stat))
            put_stat(l, "\t\t", &stat);
        put(l, "\n");
    }
}

static void render_tablestats(struct layout *l, struct base_slice json)
{
    struct members keyspace = members_of(json);
    while (next_member(l, &keyspace)) {
        if (is_key(&keyspace, "total_number_of_tables")) {
            put(l, "Total number of tables: %.*s\n", BASE_SLICE_ARG(keyspace.value));
            continue;
        }
        put(l, "----------------\n");
        put_name(l, "Keyspace: ", &keyspace);
        struct members stat = members_of(keyspace.value);
        while (next_member(l, &stat)) {
            if (is_key(&stat, "tables"))
                put_tables(l, stat.value);
            else
                put_stat(l, "\t", &stat);
        }
    }
    put(l, "----------------\n");
}

/* --- info ------------------------------------------------------------------------------------- */

static void put_line(struct layout *l, const char *label, struct base_slice value)
{
    put(l, "%-23s: ", label);
    put_scalar(l, value);
    put(l, "\n");
}

static const char *size_text(double bytes, char *text, size_t size)
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

static void render_info(struct layout *l, struct base_slice json)
{
    char a[32], b[32];
    struct base_slice cache = find(l, json, "block_cache"), log = find(l, json, "commitlog");
    if (!cache.len || !log.len) {
        if (l->rc == BASE_OK)
            l->rc =
                base_err_set(l->err, BASE_E_INVALID, "the answer lacks block_cache or commitlog");
        return;
    }
    put_line(l, "ID", find(l, json, "id"));
    put_line(l, "Cluster", find(l, json, "cluster_name"));
    put_line(l, "Data directory", find(l, json, "data_directory"));
    put_line(l, "Process", find(l, json, "process_id"));
    put(l, "%-23s: %s\n", "Load", size_text(number(l, json, "load_bytes"), a, sizeof a));
    put_line(l, "Generation No", find(l, json, "generation"));
    put_line(l, "Uptime (seconds)", find(l, json, "uptime_seconds"));
    put(l, "%-23s: %s\n", "Memory (resident)",
        size_text(number(l, json, "resident_bytes"), a, sizeof a));
    put(l, "%-23s: %s\n", "Memtables", size_text(number(l, json, "memtable_bytes"), a, sizeof a));
    put_line(l, "Data Center", find(l, json, "data_center"));
    put_line(l, "Rack", find(l, json, "rack"));
    put_line(l, "Schema epoch", find(l, json, "schema_epoch"));
    put(l, "%-23s: %.0f (%.0f SSTables)\n", "Tables", number(l, json, "tables"),
        number(l, json, "sstables"));
    put(l, "%-23s: entries %.0f, size %s, capacity %s, %.0f hits, %.0f requests, %.3f hit rate\n",
        "Block Cache", number(l, cache, "entries"),
        size_text(number(l, cache, "size_bytes"), a, sizeof a),
        size_text(number(l, cache, "capacity_bytes"), b, sizeof b), number(l, cache, "hits"),
        number(l, cache, "requests"), number(l, cache, "hit_rate"));
    put(l, "%-23s: %s in %.0f segments, %.0f records, %.0f syncs\n", "Commit Log",
        size_text(number(l, log, "size_bytes"), a, sizeof a), number(l, log, "segments"),
        number(l, log, "records"), number(l, log, "syncs"));
    if (base_slice_equal(find(l, json, "writes_stopped"), BASE_SLICE_LIT("true")))
        put(l, "%-23s: STOPPED after a failed write; see the log, mend the disk, start again\n",
            "Writes");
}

/* --- flush, compact, version ------------------------------------------------------------------ */

static void render_maintenance(struct layout *l, const char *done, struct base_slice json)
{
    double tables = number(l, json, "tables");
    put(l, "%s %.0f table%s: %.0f SSTables before, %.0f now\n", done, tables,
        tables == 1 ? "" : "s", number(l, json, "sstables_before"),
        number(l, json, "sstables_after"));
}

static void render_version(struct layout *l, struct base_slice json)
{
    put(l, "ReleaseVersion: ");
    put_scalar(l, find(l, json, "release_version"));
    put(l, "\n");
}

int node_admin_render(const char *command, struct base_slice json, struct base_buf *text,
                      struct base_err *err)
{
    struct layout l = {.out = text, .err = err};
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
    else if (strcmp(command, "version") == 0)
        render_version(&l, json);
    else
        l.rc = base_buf_put_slice(text, json);
    if (l.rc == BASE_OK)
        return BASE_OK;
    text->len = start;
    if (err && !err->text[0])
        base_err_set(err, l.rc, "%s", base_err_words(l.rc));
    return base_err_wrap(err, l.rc, "lay out the answer of %s", command);
}
