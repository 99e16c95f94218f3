/* Fuzz target: bytes as an SSTable, checksums off. What verification accepts must read without an
 * error, forwards and backwards, whole and by partition, and its rows must be well-formed; what it
 * refuses may give errors, no more. */
#include "base/row.h"
#include "lsm/sstable.h"
#include "tests/fuzz/fuzz_lib.h"

static const struct base_range everything = {{NULL, 0}, {NULL, 0}};

/* Read all that cmd asks for. `sound`: verification found nothing wrong. */
static void walk(struct lsm_sstable *sst, const struct base_read *cmd, bool sound)
{
    struct lsmi_sst_source src = {0};
    struct base_partition partition;
    struct base_item item;
    struct base_err err = {0};
    int rc = lsmi_sst_source_init(&src, sst, cmd, NULL);
    require(!sound || rc == BASE_OK);
    if (rc != BASE_OK)
        return;
    struct base_source *source = &src.source;
    while (rc == BASE_OK && (rc = source->ops->partition(source, &partition, &err)) == BASE_OK &&
           partition.pkey.len) {
        require(!sound || !partition.static_row.len || base_row_check(partition.static_row));
        while ((rc = source->ops->next(source, &item, &err)) == BASE_OK &&
               item.kind != BASE_ITEM_END)
            require(!sound || item.kind != BASE_ITEM_ROW || base_row_check(item.row));
    }
    require(!sound || rc == BASE_OK);
    source->ops->close(source);
    lsmi_sst_source_fini(&src);
}

static void read_in_every_way(struct lsm_sstable *sst, bool sound)
{
    struct base_read cmd = BASE_READ_INIT;
    cmd.slices = (struct base_slices){&everything, 1};
    for (int way = 0; way < 6; way++) {
        cmd.reversed = way % 2;
        cmd.pkey = way < 2   ? (struct base_slice){0}
                   : way < 4 ? lsmi_sst_pkey_min(sst)
                             : lsmi_sst_pkey_max(sst);
        if (way < 2 || (cmd.pkey.len && lsmi_sst_may_contain(sst, cmd.pkey)))
            walk(sst, &cmd, sound);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_fs *disk = sim_fs_new(1);
    struct lsmi_cache *cache = lsmi_cache_new(1 << 20);
    struct lsm_sstable *sst;
    require(cache);
    put_file(sim_fs_port(disk), "t.sst", data, size);
    if (lsmi_sst_open(sim_fs_port(disk), "t.sst", cache, &sst, NULL) == BASE_OK) {
        read_in_every_way(sst, lsm_sstable_verify(sst, NULL, NULL) == BASE_OK);
        lsmi_sst_release(sst);
    }
    lsmi_cache_free(cache);
    sim_fs_free(disk);
    return 0;
}
