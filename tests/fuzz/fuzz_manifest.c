/* Fuzz target: bytes as a manifest, checksums off. A manifest that opens must take an edit, and say
 * so after it was opened again. */
#include "lsm/manifest.h"
#include "tests/fuzz/fuzz_lib.h"
#include "tests/lib/sim_random.h"

static void edit_and_reopen(struct lsmi_manifest *m, struct base_fs *fs, struct base_random *random)
{
    struct lsmi_manifest_sstable sstable = {.id = m->next_id, .file_size = 7, .table_id = {{1}}};
    size_t count = m->sstable_count;
    struct base_buf edit;
    base_buf_init(&edit, 4096);
    require(lsmi_edit_add(&edit, &sstable) == BASE_OK);
    require(lsmi_manifest_commit(m, base_buf_view(&edit), NULL) == BASE_OK);
    base_buf_fini(&edit);
    require(m->sstable_count == count + 1);
    lsmi_manifest_close(m);
    require(lsmi_manifest_open(fs, random, "dir", m, NULL) == BASE_OK);
    require(m->sstable_count == count + 1 && lsmi_manifest_find(m, sstable.id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char current[] = "MANIFEST-0000000001 0101010101010101\n";
    struct sim_fs *disk = sim_fs_new(1);
    struct base_fs *fs = sim_fs_port(disk);
    struct lsmi_manifest m;
    struct sim_random random;
    sim_random_init(&random, 1);
    require(base_fs_mkdir(fs, "dir", NULL) == BASE_OK);
    put_file(fs, "dir/CURRENT", current, sizeof current - 1);
    put_file(fs, "dir/MANIFEST-0000000001", data, size);
    if (lsmi_manifest_open(fs, &random.base, "dir", &m, NULL) == BASE_OK) {
        if (m.next_id < UINT64_MAX)
            edit_and_reopen(&m, fs, &random.base);
        lsmi_manifest_close(&m);
    }
    sim_random_fini(&random);
    sim_fs_free(disk);
    return 0;
}
