/* Metrics by Prometheus' conventions: counters end in _total, sizes are bytes. One call of `each` a
 * sample.
 *
 * Values are read without stopping anybody; samples of one call may be from slightly different
 * moments. */
#include <stdio.h>

#include "config.h"
#include "node/metrics.h"

#define LABELS_MAX 512

void nodei_metric(struct nodei_metrics *m, const char *name, const char *labels, double value)
{
    if (m->rc == 0)
        m->rc = m->each(m->ctx, name, labels, value);
}

static void put(struct nodei_metrics *sink, const char *name, const char *labels, uint64_t value)
{
    nodei_metric(sink, name, labels, (double)value);
}

/* A label's value: names are quoted, with \, " and newlines escaped. */
size_t nodei_metric_label(char *out, size_t size, const char *label, struct base_slice value)
{
    size_t at = (size_t)snprintf(out, size, "%s=\"", label);
    for (size_t i = 0; i < value.len && at + 4 < size; i++) {
        char c = (char)value.data[i];
        if (c == '\\' || c == '"' || c == '\n')
            out[at++] = '\\';
        out[at++] = c == '\n' ? 'n' : c;
    }
    out[at++] = '"';
    out[at] = 0;
    return at;
}

struct table_sample {
    char labels[LABELS_MAX];
    struct lsm_table_stats stats;
};

static void take_table(struct table_sample *sample, const struct base_table *table,
                       struct lsm_table *place)
{
    size_t at =
        nodei_metric_label(sample->labels, sizeof sample->labels / 2, "keyspace", table->keyspace);
    sample->labels[at++] = ',';
    nodei_metric_label(sample->labels + at, sizeof sample->labels - at, "table", table->name);
    lsm_table_get_stats(place, &sample->stats);
}

/* All tables' samples of one metric stand together, as the format wants it. */
static void put_samples(struct nodei_metrics *sink, const struct table_sample *samples,
                        size_t count)
{
    static const struct {
        const char *name;
        size_t offset;
    } metrics[] = {
        {"ringlet_table_sstables", offsetof(struct lsm_table_stats, sstable_count)},
        {"ringlet_table_disk_bytes", offsetof(struct lsm_table_stats, disk_bytes)},
        {"ringlet_table_memtable_bytes", offsetof(struct lsm_table_stats, memtable_bytes)},
        {"ringlet_table_memtable_switches_total",
         offsetof(struct lsm_table_stats, memtable_switches)},
        {"ringlet_table_reads_total", offsetof(struct lsm_table_stats, reads)},
        {"ringlet_table_writes_total", offsetof(struct lsm_table_stats, writes)},
        {"ringlet_table_bloom_filter_checks_total", offsetof(struct lsm_table_stats, bloom_checks)},
        {"ringlet_table_bloom_filter_false_positives_total",
         offsetof(struct lsm_table_stats, bloom_false_positives)},
        {"ringlet_table_compactions_pending",
         offsetof(struct lsm_table_stats, compactions_pending)},
        {"ringlet_table_compacted_bytes_total", offsetof(struct lsm_table_stats, compacted_bytes)},
    };
    for (size_t m = 0; m < BASE_COUNT(metrics); m++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&samples[i].stats + metrics[m].offset, sizeof value);
            put(sink, metrics[m].name, samples[i].labels, value);
        }
    }
}

static void put_tables(struct nodei_metrics *sink, struct node *node, struct node_session *session)
{
    size_t count = 0, taken = 0;
    nodei_enter(session);
    struct base_schema *schema = node_schema(node);
    for (size_t k = 0; k < schema->keyspace_count; k++)
        count += schema->keyspaces[k].table_count;
    struct table_sample *samples = calloc(count + 1, sizeof *samples);
    for (size_t k = 0; samples && k < schema->keyspace_count; k++)
        for (size_t t = 0; t < schema->keyspaces[k].table_count; t++) {
            const struct base_table *table = schema->keyspaces[k].tables[t];
            struct lsm_table *place = lsm_table_find(node->store, table->id);
            if (place)
                take_table(&samples[taken++], table, place);
        }
    base_schema_release(schema);
    nodei_leave(session);
    if (samples)
        put_samples(sink, samples, taken);
    else if (sink->rc == 0)
        sink->rc = BASE_E_NOMEM;
    free(samples);
}

static void put_store(struct nodei_metrics *sink, struct node *node)
{
    struct lsm_stats s;
    lsm_get_stats(node->store, &s);
    put(sink, "ringlet_commitlog_bytes", "", s.commitlog_bytes);
    put(sink, "ringlet_commitlog_segments", "", s.commitlog_segments);
    put(sink, "ringlet_commitlog_syncs_total", "", s.commitlog_syncs);
    put(sink, "ringlet_commitlog_records_total", "", s.commitlog_records);
    put(sink, "ringlet_memtable_bytes", "", s.memtable_bytes);
    put(sink, "ringlet_block_cache_bytes", "", s.cache_bytes);
    put(sink, "ringlet_block_cache_capacity_bytes", "", node->settings.file_cache_size);
    put(sink, "ringlet_block_cache_entries", "", s.cache_entries);
    put(sink, "ringlet_block_cache_hits_total", "", s.cache_hits);
    put(sink, "ringlet_block_cache_misses_total", "", s.cache_misses);
    put(sink, "ringlet_flushed_bytes_total", "", s.flushed_bytes);
    put(sink, "ringlet_flushes_total", "", s.flushes);
    put(sink, "ringlet_compaction_read_bytes_total", "", s.compacted_bytes_read);
    put(sink, "ringlet_compaction_written_bytes_total", "", s.compacted_bytes_written);
    put(sink, "ringlet_compactions_total", "", s.compactions);
    put(sink, "ringlet_tables", "", s.table_count);
    put(sink, "ringlet_sstables", "", s.sstable_count);
    put(sink, "ringlet_disk_bytes", "", s.disk_bytes);
    put(sink, "ringlet_store_stopped", "", s.stopped);
    put(sink, "ringlet_store_disk_full", "", s.disk_full);
    put(sink, "ringlet_store_writes_refused_disk_full_total", "", s.writes_refused_full);
}

static void put_lanes(struct nodei_metrics *sink, struct node *node)
{
    static const char *const labels[BASE_LANE_COUNT] = {"pool=\"sync\"", "pool=\"flush\"",
                                                        "pool=\"compact\"", "pool=\"auth\""};
    struct node_lane_stats s[BASE_LANE_COUNT];
    for (int i = 0; i < BASE_LANE_COUNT; i++)
        node_executor_get_stats(node->executor, (enum base_lane)i, &s[i]);
    for (int i = 0; i < BASE_LANE_COUNT; i++)
        put(sink, "ringlet_thread_pool_pending", labels[i], s[i].pending);
    for (int i = 0; i < BASE_LANE_COUNT; i++)
        put(sink, "ringlet_thread_pool_completed_total", labels[i], s[i].completed);
    for (int i = 0; i < BASE_LANE_COUNT; i++)
        put(sink, "ringlet_thread_pool_wakeups_total", labels[i], s[i].wakeups);
}

int node_metrics(struct node *node, int (*each)(void *, const char *, const char *, double),
                 void *ctx)
{
    struct nodei_metrics sink = {each, ctx, 0};
    struct node_session *session;
    int rc = nodei_check_usable(node, NULL); /* a session without a reference, as in node_admin */
    if (rc == BASE_OK)
        rc = nodei_session_internal(node, &session, NULL);
    if (rc != BASE_OK)
        return rc;
    put(&sink, "ringlet_build_info", "version=\"" PACKAGE_VERSION "\"", 1);
    put(&sink, "ringlet_uptime_seconds", "",
        (base_clock_mono(node->clock).ns - node->started.ns) / 1000000000u);
    put(&sink, "ringlet_schema_epoch", "", node_schema_epoch(node));
    put(&sink, "ringlet_transactions_total", "",
        atomic_load_explicit(&node->transactions, memory_order_relaxed));
    if (!node->guest) {
        put_store(&sink, node);
        put_lanes(&sink, node);
        put_tables(&sink, node, session);
    }
    nodei_session_internal_free(session);
    if (sink.rc == 0)
        rc = nodei_metrics_cluster(&sink, node);
    return sink.rc ? sink.rc : rc;
}
