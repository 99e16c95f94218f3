/* Writers, readers and maintenance at once, on real background threads: the only one of the
 * store's tests in which the scheduler is not ours. A mutation must be seen whole, a read must
 * see what was acknowledged before it began, a stream must not change while it is open. Meant
 * for the thread sanitizer above all (configure --enable-tsan).
 *
 *   threads_test [--ms N] */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "lsm/lsm.h"
#include "node/ports.h"
#include "tests/lib/sim_fs.h"
#include "tests/sim/gen.h"

#define WRITERS 2
#define READERS 2
#define ROWS 4 /* of one mutation: all have its number as their value */

static struct lsm_store *store;
static struct lsm_table *table;
static _Atomic uint64_t acked[WRITERS];
static atomic_bool stop;
static _Atomic uint64_t reads, held;

_Noreturn static void fail(const char *what, const struct base_err *err)
{
    fprintf(stderr, "FAILED: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
    exit(1);
}

static struct base_uuid table_id(uint64_t n)
{
    struct base_uuid id = {{0x7d}};
    base_put_be64(id.b + 8, n);
    return id;
}

static struct lsm_table_desc desc_of(uint64_t n)
{
    struct lsm_table_desc desc = lsm_table_desc(table_id(n), "threads.t");
    desc.min_threshold = 2;
    return desc;
}

/* ROWS rows of writer t's partition, all with value s, as one mutation. */
static void make_group(struct gen *g, uint64_t t, uint64_t s, struct base_buf *group)
{
    struct w_row rows[ROWS];
    struct w_mutation m[ROWS];
    base_arena_reset(&g->arena);
    base_buf_reset(group);
    for (uint32_t i = 0; i < ROWS; i++) {
        gen_simple(g, table_id(1), gen_pkey(g, (uint32_t)t), i, s, (int64_t)s, &m[i]);
        rows[i] = m[i].rows[0];
    }
    m[0].rows = rows;
    m[0].row_count = ROWS;
    w_mutation_encode(&m[0], group);
}

static void *write_on(void *arg)
{
    uint64_t t = (uint64_t)(uintptr_t)arg;
    struct gen g = {.rng = rng_seeded(t)};
    struct base_buf group;
    struct base_err err = {0};
    base_arena_init(&g.arena);
    base_buf_init(&group, SIZE_MAX);
    for (uint64_t s = 1; !atomic_load(&stop); s++) {
        make_group(&g, t, s, &group);
        enum lsm_durability d = s % 100 == 0 ? LSM_DURABLE_SYNCED : LSM_DURABLE_LOG;
        if (lsm_write(store, base_buf_view(&group), 1, d, UINT64_C(600) * 1000000000, &err))
            fail("write", &err);
        atomic_store(&acked[t], s);
    }
    base_buf_fini(&group);
    base_arena_fini(&g.arena);
    return NULL;
}

/* The rows of an open stream: all of one number, which is returned; 0 when there are none. */
static uint64_t read_one(struct base_source *source)
{
    struct base_partition head;
    struct base_item item;
    struct base_err err = {0};
    uint64_t s = 0, n = 0;
    if (source->ops->partition(source, &head, &err))
        fail("read", &err);
    while (head.pkey.len) {
        struct base_row row;
        struct base_cell cell;
        if (source->ops->next(source, &item, &err))
            fail("read", &err);
        if (item.kind == BASE_ITEM_END)
            break;
        bool ok = base_row_decode(item.row, &row);
        struct base_cells it = base_cells_begin(&row);
        if (!ok || base_cells_next(&it, &cell) != 1 || cell.value.len != 8)
            fail("a row is not what was written", NULL);
        uint64_t v = base_get_le64(cell.value.data);
        if (n++ > 0 && v != s)
            fail("a mutation was seen in part", NULL);
        s = v;
    }
    if (n != 0 && n != ROWS)
        fail("a mutation lacks rows", NULL);
    return s;
}

static void *read_on(void *arg)
{
    struct rng rng = rng_seeded((uint64_t)(uintptr_t)arg + 100);
    struct gen g = {.rng = rng};
    struct base_source *reuse = NULL;
    struct base_err err = {0};
    base_arena_init(&g.arena);
    while (!atomic_load(&stop)) {
        struct base_read cmd = BASE_READ_INIT;
        uint64_t t = rng_below(&rng, WRITERS), before = atomic_load(&acked[t]);
        struct base_source *source;
        base_arena_reset(&g.arena);
        cmd.table_id = table_id(1);
        cmd.pkey = gen_pkey(&g, (uint32_t)t);
        cmd.slices = base_slices_all;
        cmd.reversed = rng_chance(&rng, 50);
        if (lsm_read(table, &cmd, false, NULL, 0, reuse, &source, &err))
            fail("read", &err);
        reuse = NULL;
        /* one more may be applied and not yet acknowledged */
        uint64_t after = atomic_load(&acked[t]) + 1;
        if (rng_one_in(&rng, 20)) { /* a stream does not change while it is open */
            usleep((useconds_t)rng_below(&rng, 3000));
            atomic_fetch_add(&held, 1);
        }
        uint64_t s = read_one(source);
        if (s < before || s > after)
            fail("a read saw a state of another time", NULL);
        atomic_fetch_add(&reads, 1);
        if (rng_chance(&rng, 50)) {
            lsm_read_park(source);
            reuse = source;
        } else {
            source->ops->close(source);
        }
    }
    if (reuse)
        reuse->ops->close(reuse);
    base_arena_fini(&g.arena);
    return NULL;
}

/* Flushes, compactions, figures, and another table's whole life. */
static void maintain(struct rng *rng, struct gen *g, uint64_t round)
{
    struct base_err err = {0};
    struct lsm_stats stats;
    struct lsm_table_stats table_stats;
    struct lsm_table *other;
    struct lsm_table_desc desc = desc_of(1000 + round);
    struct base_buf group;
    struct w_mutation m;
    base_buf_init(&group, SIZE_MAX);
    base_arena_reset(&g->arena);
    if (lsm_table_open(store, &desc, &other, &err))
        fail("table", &err);
    gen_simple(g, desc.id, gen_pkey(g, 1), 1, 1, 1, &m);
    w_mutation_encode(&m, &group);
    if (lsm_write(store, base_buf_view(&group), 1, LSM_DURABLE_LOG, UINT64_C(600) * 1000000000,
                  &err))
        fail("write", &err);
    base_buf_fini(&group);
    uint64_t what = rng_below(rng, 4);
    if (what == 0 && lsm_compact(store, NULL, NULL, &err))
        fail("compact", &err);
    if (what == 1 && lsm_table_truncate(other, &err))
        fail("truncate", &err);
    if (what == 2 && lsm_sync(store, &err))
        fail("sync", &err);
    if (lsm_flush(store, rng_chance(rng, 50) ? table : NULL, NULL, &err))
        fail("flush", &err);
    lsm_get_stats(store, &stats);
    lsm_table_get_stats(table, &table_stats);
    if (lsm_table_drop(store, other, &err))
        fail("drop", &err);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"ms", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    uint64_t ms = 1500, rounds = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 'm')
            return 2;
        ms = strtoull(optarg, NULL, 0);
    }
    struct base_err err = {0};
    struct sim_fs *fs = sim_fs_new(1);
    struct base_executor *executor;
    struct lsm_options o;
    struct lsm_table_desc desc = desc_of(1);
    lsm_options_init(&o);
    o.dir = "store";
    o.fs = sim_fs_port(fs);
    o.clock = node_real_clock();
    o.random = node_real_random();
    o.memtable_size_max = 1 << 20;
    o.commitlog_segment_size = 64 << 10;
    o.commitlog_total_size = 1 << 20;
    if (node_executor_open(&executor, &err))
        fail("executor", &err);
    o.executor = executor;
    if (lsm_open(&o, &store, &err) || lsm_table_open(store, &desc, &table, &err) ||
        lsm_replay(store, &err))
        fail("open", &err);
    pthread_t threads[WRITERS + READERS];
    for (uint64_t i = 0; i < WRITERS + READERS; i++)
        if (pthread_create(&threads[i], NULL, i < WRITERS ? write_on : read_on,
                           (void *)(uintptr_t)i))
            fail("pthread_create", NULL);
    struct rng rng = rng_seeded(7);
    struct gen g = {.rng = rng};
    base_arena_init(&g.arena);
    uint64_t end_ns = base_clock_mono(node_real_clock()).ns + ms * 1000000;
    while (base_clock_mono(node_real_clock()).ns < end_ns) {
        maintain(&rng, &g, rounds++);
        usleep(2000);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    printf("threads_test: %" PRIu64 " and %" PRIu64 " mutations, %" PRIu64 " reads (%" PRIu64
           " held open), %" PRIu64 " rounds of maintenance\n",
           atomic_load(&acked[0]), atomic_load(&acked[1]), atomic_load(&reads), atomic_load(&held),
           rounds);
    if (lsm_close(store, 0, &err))
        fail("close", &err);
    node_executor_close(executor);
    base_arena_fini(&g.arena);
    sim_fs_free(fs);
    return 0;
}
