/* The k-th allocation fails, for k = 0, 1, 2 … until none is hit, over opening, writing,
 * flushing, compacting, reading and closing a store. Without it the first machine that runs out
 * of memory finds the leaks, the half-applied groups and the null pointers. After each failure
 * the call says NOMEM, a second try succeeds, and what was acknowledged is there.
 *
 *   alloc_test [--stride N]
 *
 * Files are real ones (the simulated disk allocates too), in memory where the machine has
 * /dev/shm. */
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "lsm/lsm.h"
#include "node/ports.h"
#include "tests/lib/alloc_fault.h"
#include "tests/lib/scale.h"
#include "tests/lib/sim_executor.h"
#include "tests/sim/gen.h"

#define GROUPS 60

struct scene {
    char dir[64];
    struct sim_clock clock;
    struct sim_executor executor;
    struct lsm_store *store;
    struct lsm_table *table;
    struct base_buf groups[GROUPS];
    bool acked[GROUPS];
    struct gen gen; /* used before the faults are armed only */
    struct base_slice pkey;
    uint64_t k;
    uint64_t failures; /* calls that failed */
};

_Noreturn static void fail(const struct scene *s, const char *what, int rc,
                           const struct base_err *err)
{
    alloc_fault_clear();
    fprintf(stderr, "\nFAILED at allocation %" PRIu64 " (%s): %s: %s: %s\n", s->k, s->dir, what,
            base_err_words(rc), err ? err->text : "");
    exit(1);
}

/* Try; when that fails for want of memory, again: the fault is used up, and background work that
 * failed tries again after a while. Other failures end the test. */
#define AGAIN(s, expr)                                                                             \
    do {                                                                                           \
        struct base_err err = {0};                                                                 \
        int rc_ = (expr);                                                                          \
        for (int tries_ = 0; rc_ == BASE_E_NOMEM && tries_ < 20; tries_++) {                       \
            (s)->failures++;                                                                       \
            sim_executor_run_for(&(s)->executor, 10, UINT64_C(1000000000));                        \
            rc_ = (expr);                                                                          \
        }                                                                                          \
        if (rc_ != BASE_OK)                                                                        \
            fail((s), #expr, rc_, &err);                                                           \
    } while (0)

static const struct base_uuid table_id = {{0xa1, 0x0c}};

static int open_all(struct scene *s, struct base_err *err)
{
    struct lsm_options o;
    struct lsm_table_desc d = lsm_table_desc(table_id, "alloc.t");
    d.min_threshold = 2;
    lsm_options_init(&o);
    o.dir = s->dir;
    o.fs = node_posix_fs();
    o.clock = &s->clock.base;
    o.random = node_real_random();
    o.executor = &s->executor.base;
    o.memtable_size_max = 256 << 10;
    o.commitlog_segment_size = 8 << 10;
    o.commitlog_total_size = 64 << 10;
    o.block_size = 512;
    int rc = lsm_open(&o, &s->store, err);
    if (rc != BASE_OK)
        return rc;
    rc = lsm_table_open(s->store, &d, &s->table, err);
    if (rc == BASE_OK)
        rc = lsm_replay(s->store, err);
    if (rc != BASE_OK) {
        int ignored = lsm_close(s->store, UINT64_MAX, NULL);
        (void)ignored;
        s->store = NULL;
    }
    return rc;
}

/* Rows that are there, by their group's number; the whole partition, in either direction. */
static int read_all(struct scene *s, struct base_slice pkey, bool reversed, bool keep, bool *seen,
                    struct base_err *err)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *source;
    struct base_partition head;
    struct base_item item = {0};
    memset(seen, 0, GROUPS * sizeof *seen);
    cmd.table_id = table_id;
    cmd.pkey = pkey;
    cmd.slices = base_slices_all;
    cmd.reversed = reversed;
    int rc = lsm_read(s->table, &cmd, keep, NULL, 0, NULL, &source, err);
    if (rc != BASE_OK)
        return rc;
    rc = source->ops->partition(source, &head, err);
    while (rc == BASE_OK && head.pkey.len) {
        rc = source->ops->next(source, &item, err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            break;
        uint32_t at = base_get_be32(item.ckey.data + 1);
        if (at < GROUPS)
            seen[at] = true;
    }
    source->ops->close(source);
    return rc;
}

static void check(struct scene *s, bool reversed, bool keep)
{
    bool seen[GROUPS];
    AGAIN(s, read_all(s, s->pkey, reversed, keep, seen, &err));
    for (size_t i = 0; i < GROUPS; i++)
        if (seen[i] != s->acked[i])
            fail(s, seen[i] ? "a refused group is there" : "an acknowledged group is not there", 0,
                 NULL);
}

static void play(struct scene *s)
{
    AGAIN(s, open_all(s, &err));
    for (size_t i = 0; i < GROUPS; i++) {
        struct base_err why = {0};
        int rc = lsm_write(s->store, base_buf_view(&s->groups[i]), 1, LSM_DURABLE_LOG,
                           UINT64_C(10) * 1000000000, &why);
        if (rc == BASE_E_NOMEM)
            s->failures++;
        else if (rc != BASE_OK)
            fail(s, "write", rc, &why);
        s->acked[i] = rc == BASE_OK;
        if (i % 4 == 0)
            sim_executor_run(&s->executor, 2);
        if (i % 20 == 15)
            AGAIN(s, lsm_flush(s->store, NULL, NULL, &err));
        if (i == 40)
            AGAIN(s, lsm_compact(s->store, NULL, NULL, &err));
        if (i % 10 == 9)
            check(s, i % 20 == 9, i % 30 == 9);
    }
    int rc = lsm_close(s->store, UINT64_MAX, NULL); /* frees in any case */
    s->failures += rc != BASE_OK;
    AGAIN(s, open_all(s, &err));
    check(s, false, false);
    AGAIN(s, lsm_quiesce(s->store, &err));
    check(s, true, true);
    rc = lsm_close(s->store, 0, NULL);
    s->failures += rc != BASE_OK;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void scene_begin(struct scene *s, uint64_t k)
{
    *s = (struct scene){.k = k, .gen.rng = rng_seeded(1)};
    snprintf(s->dir, sizeof s->dir, "%s/ringlet-alloc-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(s->dir))
        fail(s, "mkdtemp", 0, NULL);
    sim_clock_init(&s->clock, 0);
    sim_executor_init(&s->executor, &s->clock, k);
    base_arena_init(&s->gen.arena);
    s->pkey = gen_pkey(&s->gen, 3);
    for (uint32_t i = 0; i < GROUPS; i++) {
        struct w_mutation m;
        base_buf_init(&s->groups[i], SIZE_MAX);
        gen_simple(&s->gen, table_id, s->pkey, i, i, 1000 + i, &m);
        w_mutation_encode(&m, &s->groups[i]);
    }
}

static void scene_end(struct scene *s)
{
    for (size_t i = 0; i < GROUPS; i++)
        base_buf_fini(&s->groups[i]);
    base_arena_fini(&s->gen.arena);
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"stride", required_argument, NULL, 'k'},
                                            {"from", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    uint64_t stride = scale_stride(1), k = 0, failures = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'k')
            stride = strtoull(optarg, NULL, 0);
        else if (c == 'f')
            k = strtoull(optarg, NULL, 0);
        else
            return 2;
    }
    struct scene *s = calloc(1, sizeof *s);
    BASE_ASSERT(s && stride);
    for (bool hit = true; hit; k += stride) {
        scene_begin(s, k);
        alloc_fault_set(k, 1);
        play(s);
        hit = alloc_fault_clear();
        failures += s->failures;
        scene_end(s);
    }
    printf("alloc_test: %" PRIu64 " allocations, %" PRIu64 " calls failed and were tried again\n",
           k, failures);
    free(s);
    return 0;
}
