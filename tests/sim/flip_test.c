/* One flipped bit at a time, in every region of every file of a small store: what is read
 * afterwards is right, or an error says which file is damaged. Without this a checksum that
 * covers too little would return rows that nobody wrote.
 *
 *   flip_test [--seed N] [--stride N]     stride 1: every byte of every file */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/scale.h"
#include "tests/sim/world.h"

#define FILES_MAX 64
#define EDGE 96 /* every byte this near to a file's begin and end is flipped */

struct files {
    char path[FILES_MAX][128];
    uint64_t size[FILES_MAX];
    size_t count;
};

static void add_file(void *ctx, const char *path, uint64_t size)
{
    struct files *files = ctx;
    BASE_ASSERT(files->count < FILES_MAX);
    snprintf(files->path[files->count], sizeof files->path[0], "%s", path);
    files->size[files->count++] = size;
}

static void options_make(struct world_options *o, uint64_t seed)
{
    world_options_draw(o, seed);
    o->table_count = 2;
    o->lsm.memtable_size_max = 4 << 20;
    o->lsm.commitlog_segment_size = 16 << 10;
    o->lsm.commitlog_total_size = 1 << 20;
    o->lsm.block_size = 512;
    o->lsm.cache_size_max = 256 << 10;
    o->gen.partitions = 20;
    o->gen.value_max = 60;
    for (size_t i = 0; i < WORLD_TABLES_MAX; i++) {
        o->desc[i].compaction_enabled = false;
        o->desc[i].bloom_fp_chance = 0.01;
        o->desc[i].gc_grace_s = 864000;
    }
}

/* SSTables of three generations, a compacted one, and a log with groups that are nowhere else. */
static void build(struct world *w)
{
    world_reopen(w);
    for (int i = 0; i < 240; i++) {
        world_advance(w, 50000000);
        WORLD_OK(w, world_write(w, 3, LSM_DURABLE_LOG, &w->err));
        if (i == 60 || i == 120 || i == 180)
            WORLD_OK(w, lsm_flush(w->store, NULL, NULL, &w->err));
        if (i == 121)
            WORLD_OK(w, lsm_compact(w->store, NULL, NULL, &w->err));
    }
    world_check_all(w);
    WORLD_OK(w, world_close(w, UINT64_MAX, &w->err));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Damage is named: the file, and a place in it. */
static void check_named(struct world *w, const char *path, int rc, const char *during)
{
    if (rc != BASE_E_CORRUPT && rc != BASE_E_VERSION)
        world_fail(w, "%s with a flipped bit in %s says %s: %s", during, path, base_err_words(rc),
                   w->err.text);
    if (!strstr(w->err.text, base_name(path)))
        world_fail(w, "%s with a flipped bit in %s does not name the file: %s", during, path,
                   w->err.text);
}

/* Read all of a table; an error must name the file. */
static bool read_table(struct world *w, struct world_table *t, const char *path, bool tombstones)
{
    struct base_read cmd = BASE_READ_INIT;
    struct reader r;
    cmd.table_id = t->desc.id;
    cmd.slices = base_slices_all;
    cmd.now_s = world_now_s(w);
    reader_open(w, &r, t, &cmd, NULL, tombstones ? READER_TOMBSTONES : 0, "read a damaged store");
    while (!r.failed && reader_step(w, &r, 1000))
        continue;
    bool failed = r.failed;
    if (failed)
        check_named(w, path, w->err.code, "a read");
    reader_close(w, &r, false);
    return !failed;
}

static void verify_sstable(struct world *w, const char *path)
{
    struct lsm_sstable *sst;
    base_err_clear(&w->err);
    int rc = lsm_sstable_open_file(sim_fs_port(w->fs), path, &sst, &w->err);
    if (rc == BASE_OK) {
        rc = lsm_sstable_verify(sst, NULL, &w->err);
        lsm_sstable_close(sst);
    }
    if (rc == BASE_OK)
        world_fail(w, "verify finds nothing wrong with a flipped bit in %s", path);
    check_named(w, path, rc, "verify");
}

struct flip_counts {
    uint64_t flips, refused, read_errors, harmless;
};

/* One flip, in a copy of the store; the model is only read. */
static void flip_one(struct world *w, const char *path, uint64_t offset, unsigned bit,
                     struct flip_counts *counts)
{
    struct sim_fs *whole = w->fs;
    w->fs = sim_fs_clone(whole, offset);
    w->op = offset;
    bool there = sim_fs_flip(w->fs, path, offset, bit);
    BASE_ASSERT(there);
    if (strstr(path, ".sst"))
        verify_sstable(w, path);
    base_err_clear(&w->err);
    int rc = world_open(w, &w->err);
    counts->flips++;
    if (rc != BASE_OK) {
        check_named(w, path, rc, "open");
        counts->refused++;
    } else {
        bool ok = true;
        for (size_t i = 0; i <= w->options.table_count; i++)
            ok &= read_table(w, &w->tables[i], path, (offset + i) % 2);
        counts->read_errors += !ok;
        counts->harmless += ok;
        if (offset % 4 == 0) { /* a compaction of damaged files loses nothing and spreads nothing */
            rc = lsm_compact(w->store, NULL, NULL, &w->err);
            if (rc != BASE_OK)
                check_named(w, path, rc, "a compaction");
            for (size_t i = 0; i <= w->options.table_count; i++)
                read_table(w, &w->tables[i], path, offset % 3);
        }
        (void)!world_close(w, UINT64_MAX, NULL);
    }
    if (sim_fs_open_files(w->fs))
        world_fail(w, "files are still open after a flip in %s", path);
    sim_fs_free(w->fs);
    w->fs = whole;
    w->ended = WORLD_CLOSED;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"stride", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    uint64_t seed = 1, stride = scale_stride(61);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'k':
            stride = strtoull(optarg, NULL, 0);
            break;
        default:
            return 2;
        }
    }
    struct world_options o;
    struct world *w = calloc(1, sizeof *w);
    struct files *files = calloc(1, sizeof *files);
    BASE_ASSERT(w && files);
    options_make(&o, seed);
    world_options_print(&o, stdout);
    world_init(w, &o, NULL);
    build(w);
    w->traced = false;
    w->faulty = true;
    sim_fs_walk(w->fs, add_file, files);
    for (size_t i = 0; i < files->count; i++) {
        struct flip_counts counts = {0};
        for (uint64_t at = 0; at < files->size[i]; at++)
            if (at < EDGE || at + EDGE >= files->size[i] || at % stride == 0)
                flip_one(w, files->path[i], at, (unsigned)((at + at / 8) % 8), &counts);
        printf("  %-32s %8" PRIu64 " bytes: %" PRIu64 " flips: %" PRIu64
               " refused at open, %" PRIu64 " named by a read, %" PRIu64 " harmless\n",
               files->path[i], files->size[i], counts.flips, counts.refused, counts.read_errors,
               counts.harmless);
        fflush(stdout);
    }
    world_fini(w);
    free(files);
    free(w);
    return 0;
}
