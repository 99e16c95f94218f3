/* Fuzz target: bytes as a row, as two rows to merge, as a mutation. What check accepts must merge,
 * purge and be counted without CORRUPT, and the result must pass check again; what it refuses must
 * only not crash. */
#include "base/mutation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_rows(struct base_slice a, struct base_slice b)
{
    struct base_slice rows[2] = {a, b};
    struct base_buf out, purged;
    struct base_row_stats stats = BASE_ROW_STATS_INIT;
    bool ok = base_row_check(a) && base_row_check(b);
    base_buf_init(&out, 1 << 24);
    base_buf_init(&purged, 1 << 24);
    int rc = base_row_merge(rows, 2, BASE_DELETION_NONE, &out);
    require(!ok || rc == BASE_OK);
    require(!base_row_check(a) || base_row_stats(a, &stats));
    if (rc == BASE_OK && out.len) {
        struct base_purge purge = {.now_s = 1000, .gc_before_s = 500, .purgeable_ts = INT64_MAX};
        bool changed, live;
        require(!ok || base_row_check(base_buf_view(&out)));
        rc = base_row_purge(base_buf_view(&out), &purge, &purged, &changed, &live);
        require(rc == BASE_OK);
        require(!ok || purged.len == 0 || base_row_check(base_buf_view(&purged)));
    }
    base_buf_fini(&out);
    base_buf_fini(&purged);
}

static void fuzz_mutation(struct base_slice bytes)
{
    struct base_reader in = base_reader(bytes);
    struct base_mutation m;
    while (base_mutation_decode(&in, &m)) {
        bool ok = base_mutation_check(&m);
        struct base_slice ckey, row;
        struct base_range_deletion range;
        for (uint64_t i = 0; i < m.range_count; i++)
            require(base_mutation_range(&m.ranges, &range));
        for (uint64_t i = 0; i < m.row_count; i++) {
            require(base_mutation_row(&m.rows, &ckey, &row));
            if (ok)
                fuzz_rows(row, row);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] == 0xff) {
        fuzz_mutation(base_slice(data + 1, size - 1));
    } else { /* the first byte: the first row's length */
        size_t first = data[0] < size - 1 ? data[0] : size - 1;
        fuzz_rows(base_slice(data + 1, first), base_slice(data + 1 + first, size - 1 - first));
    }
    return 0;
}
