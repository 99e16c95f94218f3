/* Mutations that are written late (hints, kept batches): what is stored of them, and whether they
 * may still be written. */
#include "replication/writes_private.h"

bool repli_mutations_check(struct base_slice bytes, size_t *count)
{
    struct base_reader in = base_reader(bytes);
    struct base_mutation m;
    *count = 0;
    while (base_reader_left(&in) > 0) {
        if (!base_mutation_decode(&in, &m) || !base_mutation_check(&m))
            return false;
        ++*count;
    }
    return *count > 0;
}

/* The greatest timestamp in it. */
static int64_t newest_us(const struct base_mutation *m)
{
    struct base_row_stats stats = BASE_ROW_STATS_INIT;
    struct base_reader ranges = m->ranges, rows = m->rows;
    int64_t newest = m->deletion.ts;
    bool read = !m->static_row.len || base_row_stats(m->static_row, &stats);
    for (uint64_t i = 0; i < m->range_count && read; i++) {
        struct base_range_deletion range;
        read = base_mutation_range(&ranges, &range);
        newest = read && range.deletion.ts > newest ? range.deletion.ts : newest;
    }
    for (uint64_t i = 0; i < m->row_count && read; i++) {
        struct base_slice ckey, row;
        read = base_mutation_row(&rows, &ckey, &row) && base_row_stats(row, &stats);
    }
    if (!read)
        return INT64_MAX; /* damaged: whoever gets it says so */
    return stats.ts_max > newest ? stats.ts_max : newest;
}

bool repli_may_write_late(const struct repl *repl, const struct base_mutation *m,
                          int64_t created_us, int64_t now_s)
{
    const struct base_table *table = base_schema_table_by_id(repl->schema, m->table_id);
    if (!table || created_us / 1000000 + table->options.gc_grace_s <= now_s)
        return false;
    /* A truncation goes by the timestamps of what was written. When it was kept says nothing:
     * clocks differ. */
    return table->truncated_us == INT64_MIN || newest_us(m) > table->truncated_us;
}

int32_t repli_min_gc_grace(const struct repl *repl, struct base_slice mutations,
                           size_t mutation_count)
{
    struct base_reader in = base_reader(mutations);
    struct base_mutation m;
    int32_t least = INT32_MAX;
    for (size_t i = 0; i < mutation_count; i++) {
        if (!base_mutation_decode(&in, &m))
            return -1;
        const struct base_table *table = base_schema_table_by_id(repl->schema, m.table_id);
        if (table && table->options.gc_grace_s < least)
            least = table->options.gc_grace_s;
    }
    return least < INT32_MAX ? least : -1;
}

int repli_internal_row_put(struct base_buf *out, struct base_uuid table_id, struct base_slice pkey,
                           struct base_slice ckey, int64_t ts_us, int32_t ttl,
                           struct base_slice value)
{
    struct base_buf row;
    struct base_row_builder builder;
    struct base_cell cell = {.column = 1, .ts = ts_us, .value = value};
    if (ttl > 0) {
        cell.flags = BASE_CELL_EXPIRING;
        cell.ttl = ttl < BASE_TTL_MAX ? ttl : BASE_TTL_MAX;
        cell.local_s = ts_us / 1000000 + cell.ttl;
        if (cell.local_s > BASE_EXPIRES_MAX)
            cell.local_s = BASE_EXPIRES_MAX;
    }
    base_buf_init(&row, SIZE_MAX);
    int rc = base_row_begin(&builder, &row, ts_us);
    if (rc == BASE_OK)
        rc = base_row_put_cell(&builder, &cell);
    if (rc == BASE_OK) {
        base_row_end(&builder);
        rc = base_mutation_put_row(out, table_id, pkey, ckey, base_buf_view(&row));
    }
    base_buf_fini(&row);
    return rc;
}

bool repli_internal_row_get(struct base_slice row, int64_t now_s, struct base_slice *value)
{
    struct base_row head;
    struct base_cell cell;
    *value = (struct base_slice){0};
    if (!base_row_decode(row, &head))
        return false;
    struct base_cells it = base_cells_begin(&head);
    if (base_cells_next(&it, &cell) != 1 || cell.column != 1 || (cell.flags & BASE_CELL_DEAD) ||
        ((cell.flags & BASE_CELL_EXPIRING) && cell.local_s <= now_s))
        return false;
    *value = cell.value;
    return true;
}

bool repli_late_value_get(struct base_slice value, int64_t *created_us, size_t *mutation_count,
                          struct base_slice *mutations)
{
    struct base_reader in = base_reader(value);
    uint64_t created, count;
    *created_us = 0;
    *mutation_count = 0;
    *mutations = (struct base_slice){0};
    if (!base_get_u64le(&in, &created) || !base_get_varint(&in, &count) || !base_reader_left(&in))
        return false;
    size_t sound;
    struct base_slice rest = {in.p, base_reader_left(&in)};
    if (!repli_mutations_check(rest, &sound) || sound != count)
        return false;
    *created_us = (int64_t)created;
    *mutation_count = sound;
    *mutations = rest;
    return true;
}

int repli_late_value_put(struct base_buf *out, int64_t created_us, size_t mutation_count,
                         struct base_slice mutations)
{
    int rc = base_buf_put_le64(out, (uint64_t)created_us);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, mutation_count);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out, mutations);
    return rc;
}
