/* A fixed workload, broken at every place where the disk can fail it. Without this a missing
 * sync, a manifest that is switched too early or a log that is cut at the wrong place would show
 * only on a customer's machine.
 *
 *   power_test [power|kill|eio|two|enospc|full|torn|all] [--seed N] [--seeds N] [--stride N]
 *              [--k FIRST] [--trace FILE]
 *
 *   power   cut the power at the k-th changing operation, k = 0, 1, 2 … until it is not reached
 *   kill    end the process there instead: nothing acknowledged may be lost in any sync mode
 *   eio     the k-th operation of any kind fails once, or for good
 *   two     the k-th operation fails once, and a little later the power goes
 *   enospc  the k-th writing operation finds no space, three times over
 *   full    a disk of a real size fills up, then space comes back
 *   torn    the newest log segment is cut at every byte of its last records
 *
 * After each: reopen, compare everything with the model, go on writing, compare, reopen again. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/scale.h"
#include "tests/sim/world.h"

#define WRITING (SIM_FS_CREATE | SIM_FS_WRITE | SIM_FS_PREALLOCATE | SIM_FS_TRUNCATE)

static uint64_t first_seed = 1, seed_count = 2, stride = 5, first_k = 0;
static FILE *trace_out;

/* Small sizes, so that a short workload switches memtables, segments and compactions. */
static void options_make(struct world_options *o, uint64_t seed)
{
    world_options_draw(o, seed);
    o->lsm.sync = seed % 2 ? LSM_SYNC_PERIODIC : LSM_SYNC_BATCH;
    o->lsm.memtable_size_max = 128 << 10;
    o->lsm.commitlog_segment_size = 8 << 10;
    o->lsm.commitlog_total_size = 32 << 10;
    o->lsm.block_size = 512;
    o->lsm.compaction_rate_bytes_s = 0;
    o->gen.value_max = 100;
    o->gen.partitions = 20;
    for (size_t i = 0; i < WORLD_TABLES_MAX; i++) {
        o->desc[i].compaction_enabled = true;
        o->desc[i].min_threshold = 2;
        o->desc[i].min_sstable_size = 50 << 20;
    }
}

/* The workload. */

/* A truncation that failed may have happened or not: found out after the restart. */
static struct world_table *truncating;

static int step_truncate(struct world *w, struct base_err *err)
{
    struct world_table *t = &w->tables[1];
    int rc = lsm_table_truncate(t->handle, err);
    if (rc == BASE_OK)
        model_table_truncate(w->model, t->model);
    else
        truncating = t;
    return rc;
}

static int step_restart(struct world *w, bool flush, struct base_err *err)
{
    int rc = world_close(w, flush ? 0 : UINT64_MAX, err);
    return rc == BASE_OK ? world_open(w, err) : rc;
}

enum { STEPS = 90 };

/* Step i; every run of a seed does the same ones. */
static int workload_step(struct world *w, int i, struct base_err *err)
{
    world_advance(w, 7000000);
    if (i % 3 == 0)
        sim_executor_run(&w->executor, 2);
    if (i % 30 == 17)
        return world_flush_all(w, err);
    if (i % 30 == 26)
        return lsm_compact(w->store, NULL, NULL, err);
    if (i % 30 == 22)
        return world_sync(w, err);
    if (i == 40)
        return step_truncate(w, err);
    if (i == 35 || i == 65)
        return step_restart(w, i == 65, err);
    if (i % 10 == 3)
        return world_write_memory(w, 2, err);
    return world_write(w, 1 + (size_t)i % 5, i % 13 == 5 ? LSM_DURABLE_SYNCED : LSM_DURABLE_LOG,
                       err);
}

static bool table_is_empty(struct world *w, struct world_table *t)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *source;
    struct base_partition partition;
    struct base_item item;
    bool empty = true;
    cmd.table_id = t->desc.id;
    cmd.slices = base_slices_all;
    cmd.now_s = world_now_s(w);
    WORLD_OK(w, lsm_read(t->handle, &cmd, false, NULL, 0, NULL, &source, &w->err));
    for (;;) {
        WORLD_OK(w, source->ops->partition(source, &partition, &w->err));
        if (partition.pkey.len == 0)
            break;
        WORLD_OK(w, source->ops->next(source, &item, &w->err));
        empty = empty && partition.static_row.len == 0 && item.kind == BASE_ITEM_END;
    }
    source->ops->close(source);
    return empty;
}

/* The world is whole again: everything must be right, and stay right. */
static void check_recovered(struct world *w)
{
    w->faulty = false;
    sim_fs_clear_faults(w->fs);
    sim_fs_set_capacity(w->fs, UINT64_MAX);
    if (!w->store)
        world_reopen(w);
    if (truncating && table_is_empty(w, truncating))
        model_table_truncate(w->model, truncating->model);
    truncating = NULL;
    world_check_all(w);
    for (int i = 0; i < 8; i++)
        WORLD_OK(w, world_write(w, 3, LSM_DURABLE_LOG, &w->err));
    world_check_all(w);
    WORLD_OK(w, lsm_flush(w->store, NULL, NULL, &w->err));
    WORLD_OK(w, lsm_compact(w->store, NULL, NULL, &w->err));
    world_check_all(w);
    WORLD_OK(w, world_close(w, 0, &w->err));
    world_reopen(w);
    world_check_all(w);
    WORLD_OK(w, world_close(w, 0, &w->err));
}

/* Power, kill. */

/* Ends the workload when the power goes; true when it went. */
static bool run_until_off(struct world *w)
{
    int rc = world_open(w, &w->err);
    for (int i = 0; i < STEPS && rc == BASE_OK && !sim_fs_is_off(w->fs); i++) {
        w->op = (uint64_t)i;
        rc = workload_step(w, i, &w->err);
    }
    if (!sim_fs_is_off(w->fs) && rc != BASE_OK)
        world_fail(w, "the workload failed with the power on: %s: %s", base_err_words(rc),
                   w->err.text);
    return sim_fs_is_off(w->fs);
}

/* After a death: also a second one, in the middle of the recovery. */
static void die_again(struct world *w, uint64_t k, bool power)
{
    sim_fs_cut_power(w->fs, SIM_FS_CHANGING, k % 7);
    w->faulty = true;
    int rc = world_open(w, &w->err);
    w->faulty = false;
    if (rc == BASE_OK && !sim_fs_is_off(w->fs))
        return;
    if (!sim_fs_is_off(w->fs))
        world_fail(w, "cannot open after a crash: %s: %s", base_err_words(rc), w->err.text);
    world_crash(w, power);
}

static uint64_t sweep_death(uint64_t seed, bool power)
{
    uint64_t k = first_k;
    for (bool hit = true; hit; k += stride) {
        struct world_options o;
        struct world *w = calloc(1, sizeof *w);
        BASE_ASSERT(w);
        options_make(&o, seed);
        world_init(w, &o, trace_out);
        sim_fs_cut_power(w->fs, SIM_FS_CHANGING, k);
        fprintf(stderr, "\r%s seed %" PRIu64 " k %" PRIu64 " ", power ? "power" : "kill", seed, k);
        hit = run_until_off(w);
        if (hit) {
            world_crash(w, power);
            if (k % 3 == 1)
                die_again(w, k, power);
        } else {
            sim_fs_clear_faults(w->fs);
        }
        check_recovered(w);
        world_fini(w);
        free(w);
    }
    return k;
}

/* EIO. */

/* After a write that failed with IO: either nothing had reached the log, and writing goes on as
 * if it had not been tried; or the store has stopped writing, and goes on reading. */
static void check_stopped(struct world *w)
{
    struct lsm_stats stats;
    lsm_get_stats(w->store, &stats);
    if (!stats.stopped && !w->maybe_visible) {
        w->maybe = w->unsure = false;
        return;
    }
    if (!stats.stopped)
        world_fail(w, "a visible write failed, but the store has not stopped");
    int rc = lsm_write(w->store, base_buf_view(&w->group), w->mutation_count, LSM_DURABLE_LOG, 0,
                       &w->err);
    if (rc != BASE_E_STOPPED)
        world_fail(w, "a write after the stop says %s (%s)", base_err_words(rc), w->err.text);
}

/* One workload with faults; stops early when nothing more can be said about a running store. */
static void run_faulty(struct world *w)
{
    w->faulty = true;
    int rc = world_open(w, &w->err);
    for (int i = 0; i < STEPS && w->store; i++) {
        w->op = (uint64_t)i;
        base_err_clear(&w->err);
        rc = workload_step(w, i, &w->err);
        if (rc != BASE_OK && (w->err.code != rc || !w->err.text[0]))
            world_fail(w, "step %d failed with %s and no text", i, base_err_words(rc));
        if (w->maybe && w->store)
            check_stopped(w);
        if (w->maybe || truncating || rc == BASE_E_STOPPED || !w->store)
            break;
    }
    /* Faults or not, what can be read is right. */
    if (w->store && !truncating)
        world_check_all(w);
}

static uint64_t sweep_eio(uint64_t seed, bool twice)
{
    uint64_t k = first_k;
    for (bool hit = true; hit; k += stride) {
        struct world_options o;
        struct world *w = calloc(1, sizeof *w);
        BASE_ASSERT(w);
        options_make(&o, seed);
        world_init(w, &o, trace_out);
        fprintf(stderr, "\r%s seed %" PRIu64 " k %" PRIu64 " ", twice ? "two" : "eio", seed, k);
        sim_fs_fail(w->fs, SIM_FS_ANY, k, !twice && k % 4 == 3 ? UINT64_MAX : 1, BASE_E_IO);
        if (twice)
            sim_fs_cut_power(w->fs, SIM_FS_ANY, k + 1 + k * 7 % 61);
        run_faulty(w);
        hit = sim_fs_clear_faults(w->fs) > 0;
        w->faulty = false;
        if (w->store && !truncating && !sim_fs_is_off(w->fs))
            world_check_all(w);
        world_crash(w, twice || k % 2);
        check_recovered(w);
        world_fini(w);
        free(w);
    }
    return k;
}

/* ENOSPC. */

static uint64_t sweep_enospc(uint64_t seed)
{
    uint64_t k = first_k;
    for (bool hit = true; hit; k += stride) {
        struct world_options o;
        struct world *w = calloc(1, sizeof *w);
        BASE_ASSERT(w);
        options_make(&o, seed);
        world_init(w, &o, trace_out);
        fprintf(stderr, "\renospc seed %" PRIu64 " k %" PRIu64 " ", seed, k);
        sim_fs_fail(w->fs, WRITING, k, 3, BASE_E_NOSPACE);
        run_faulty(w);
        hit = sim_fs_clear_faults(w->fs) > 0;
        w->faulty = false;
        if (w->maybe)
            world_fail(w, "no space made a write's outcome unknown: %s", w->err.text);
        if (w->store && !truncating) {
            /* There is space again: writing goes on without a restart. */
            world_check_all(w);
            WORLD_OK(w, world_write(w, 3, LSM_DURABLE_LOG, &w->err));
            WORLD_OK(w, lsm_flush(w->store, NULL, NULL, &w->err));
            world_check_all(w);
        }
        world_crash(w, k % 2);
        check_recovered(w);
        world_fini(w);
        free(w);
    }
    return k;
}

static uint64_t sweep_full(uint64_t seed)
{
    uint64_t runs = 0;
    for (uint64_t capacity = 16 << 10; capacity <= 160 << 10;
         capacity += (3 << 10) * stride, runs++) {
        struct world_options o;
        struct world *w = calloc(1, sizeof *w);
        BASE_ASSERT(w);
        options_make(&o, seed);
        world_init(w, &o, trace_out);
        fprintf(stderr, "\rfull seed %" PRIu64 " capacity %" PRIu64 " ", seed, capacity);
        world_reopen(w);
        sim_fs_set_capacity(w->fs, capacity);
        w->faulty = true;
        int refused = 0;
        for (w->op = 0; w->op < 400 && refused < 5; w->op++) {
            world_advance(w, 3000000);
            int rc = world_write(w, 5, LSM_DURABLE_LOG, &w->err);
            if (rc != BASE_OK && rc != BASE_E_NOSPACE && rc != BASE_E_OVERLOADED)
                world_fail(w, "on a full disk a write says %s: %s", base_err_words(rc),
                           w->err.text);
            refused += rc != BASE_OK;
            sim_executor_run(&w->executor, 1);
        }
        w->faulty = false;
        world_check_all(w);
        sim_fs_set_capacity(w->fs, UINT64_MAX);
        WORLD_OK(w, world_write(w, 3, LSM_DURABLE_LOG, &w->err));
        if (capacity % 2048) {
            world_crash(w, true);
        }
        check_recovered(w);
        world_fini(w);
        free(w);
    }
    return runs;
}

/* A torn tail. */

struct newest {
    char path[256];
    uint64_t size;
};

static void find_newest(void *ctx, const char *path, uint64_t size)
{
    struct newest *newest = ctx;
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, ".log") == 0 && strcmp(path, newest->path) > 0) {
        snprintf(newest->path, sizeof newest->path, "%s", path);
        newest->size = size;
    }
}

/* Cut the newest segment of a killed store at every byte from its end of data backwards. */
static uint64_t sweep_torn(uint64_t seed)
{
    uint64_t cuts = 0;
    bool more = true;
    for (uint64_t back = 0; more && back < 900; back += stride) {
        struct world_options o;
        struct world *w = calloc(1, sizeof *w);
        BASE_ASSERT(w);
        options_make(&o, seed);
        o.lsm.sync = LSM_SYNC_PERIODIC;
        world_init(w, &o, trace_out);
        fprintf(stderr, "\rtorn seed %" PRIu64 " back %" PRIu64 " ", seed, back);
        world_reopen(w);
        for (int i = 0; i < 12; i++)
            WORLD_OK(w, world_write(w, 1, LSM_DURABLE_LOG, &w->err));
        world_crash(w, false);
        struct newest newest = {{0}, 0};
        sim_fs_walk(w->fs, find_newest, &newest);
        struct base_slice bytes = sim_fs_bytes(w->fs, newest.path);
        uint64_t end = bytes.len;
        while (end > 0 && bytes.data[end - 1] == 0)
            end--;
        more = end > back + 600;
        struct base_file *f;
        WORLD_OK(w, base_fs_open(sim_fs_port(w->fs), newest.path, BASE_OPEN_READ | BASE_OPEN_WRITE,
                                 &f, &w->err));
        WORLD_OK(w, base_file_truncate(f, end - back, &w->err));
        if (back % 2) /* the zeros of a preallocated file behind it */
            WORLD_OK(w, base_file_truncate(f, newest.size, &w->err));
        base_file_close(f);
        w->ended = WORLD_POWER_LOST; /* a prefix may be lost: nothing was synced */
        check_recovered(w);
        world_fini(w);
        free(w);
        cuts++;
    }
    return cuts;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"seeds", required_argument, NULL, 'n'},
        {"stride", required_argument, NULL, 'k'}, {"k", required_argument, NULL, 'f'},
        {"trace", required_argument, NULL, 't'},  {NULL, 0, NULL, 0},
    };
    stride = scale_stride(stride);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            first_seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            seed_count = strtoull(optarg, NULL, 0);
            break;
        case 'k':
            stride = strtoull(optarg, NULL, 0);
            break;
        case 'f':
            first_k = strtoull(optarg, NULL, 0);
            break;
        case 't':
            trace_out = fopen(optarg, "w");
            break;
        default:
            return 2;
        }
    }
    const char *what = optind < argc ? argv[optind] : "all";
    bool all = strcmp(what, "all") == 0;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        if (all || strcmp(what, "power") == 0)
            printf("power seed %" PRIu64 ": %" PRIu64 " places\n", seed, sweep_death(seed, true));
        if (all || strcmp(what, "kill") == 0)
            printf("kill seed %" PRIu64 ": %" PRIu64 " places\n", seed, sweep_death(seed, false));
        if (all || strcmp(what, "eio") == 0)
            printf("eio seed %" PRIu64 ": %" PRIu64 " places\n", seed, sweep_eio(seed, false));
        if (all || strcmp(what, "two") == 0)
            printf("two seed %" PRIu64 ": %" PRIu64 " places\n", seed, sweep_eio(seed, true));
        if (all || strcmp(what, "enospc") == 0)
            printf("enospc seed %" PRIu64 ": %" PRIu64 " places\n", seed, sweep_enospc(seed));
        if (all || strcmp(what, "full") == 0)
            printf("full seed %" PRIu64 ": %" PRIu64 " sizes\n", seed, sweep_full(seed));
        if (all || strcmp(what, "torn") == 0)
            printf("torn seed %" PRIu64 ": %" PRIu64 " cuts\n", seed, sweep_torn(seed));
    }
    return 0;
}
