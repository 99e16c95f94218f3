/* Real processes on a real disk, killed with SIGKILL at random moments: whatever a writer was
 * told is there afterwards, and a group is there whole or not at all. Without this the simulated
 * disk's word would have to be taken for the real one's.
 *
 *   kill_test [--rounds N] [--seed N] [--dir DIR]
 *
 * The child writes from two threads; thread t's group s writes row s of table A (partition t, s
 * mod 16), row s mod 1000 of table B (partition t) and the number s itself (table B, partition
 * 100 + t). It says (t, s) on a pipe after lsm_write has returned. The parent kills it, opens
 * the store and compares. */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lsm/lsm.h"
#include "node/ports.h"
#include "tests/lib/scale.h"
#include "tests/sim/gen.h"

#define THREADS 2
#define B_ROWS 1000

struct ack {
    uint64_t thread, seq;
};

struct place {
    struct lsm_store *store;
    struct lsm_table *tables[2];
    struct base_executor *executor;
};

static char dir[512];
static uint64_t seed = 1;

_Noreturn static void fail(const char *what, const struct base_err *err)
{
    fprintf(stderr, "FAILED (seed %" PRIu64 ", %s is kept): %s%s%s\n", seed, dir, what,
            err ? ": " : "", err ? err->text : "");
    exit(1);
}

static struct base_uuid table_id(unsigned n)
{
    return (struct base_uuid){{0x4b, (uint8_t)n}};
}

static void place_open(struct place *p, enum lsm_sync sync)
{
    struct base_err err = {0};
    struct lsm_options o;
    lsm_options_init(&o);
    o.dir = dir;
    o.fs = node_posix_fs();
    o.clock = node_real_clock();
    o.random = node_real_random();
    o.sync = sync;
    o.memtable_size_max = 2 << 20;
    o.commitlog_segment_size = 256 << 10;
    o.commitlog_total_size = 2 << 20;
    if (node_executor_open(&p->executor, &err))
        fail("executor", &err);
    o.executor = p->executor;
    if (lsm_open(&o, &p->store, &err))
        fail("open", &err);
    for (unsigned i = 0; i < 2; i++) {
        struct lsm_table_desc d = lsm_table_desc(table_id(i), i ? "kill.b" : "kill.a");
        d.min_threshold = 3;
        if (lsm_table_open(p->store, &d, &p->tables[i], &err))
            fail("table", &err);
    }
    if (lsm_replay(p->store, &err))
        fail("replay", &err);
}

static void place_close(struct place *p)
{
    struct base_err err = {0};
    if (lsm_close(p->store, UINT64_MAX, &err))
        fail("close", &err);
    node_executor_close(p->executor);
}

/* The child. */

struct writer {
    struct place *place;
    uint64_t thread, seq;
    int out;
};

static void *write_for_ever(void *arg)
{
    struct writer *w = arg;
    struct base_err err = {0};
    struct gen g = {.rng = rng_seeded(w->thread)};
    struct base_buf group;
    base_arena_init(&g.arena);
    base_buf_init(&group, SIZE_MAX);
    for (;;) {
        uint64_t s = ++w->seq;
        struct w_mutation m[3];
        base_arena_reset(&g.arena);
        base_buf_reset(&group);
        gen_simple(&g, table_id(0), gen_pkey(&g, (uint32_t)(w->thread * 16 + s % 16)), (uint32_t)s,
                   s, (int64_t)s, &m[0]);
        gen_simple(&g, table_id(1), gen_pkey(&g, (uint32_t)w->thread), (uint32_t)(s % B_ROWS), s,
                   (int64_t)s, &m[1]);
        gen_simple(&g, table_id(1), gen_pkey(&g, (uint32_t)(100 + w->thread)), 0, s, (int64_t)s,
                   &m[2]);
        for (int i = 0; i < 3; i++)
            w_mutation_encode(&m[i], &group);
        if (lsm_write(w->place->store, base_buf_view(&group), 3, LSM_DURABLE_LOG,
                      UINT64_C(600) * 1000000000, &err))
            fail("write", &err);
        struct ack ack = {w->thread, s};
        if (write(w->out, &ack, sizeof ack) != (ssize_t)sizeof ack)
            _exit(3); /* the parent is gone */
    }
    return NULL;
}

_Noreturn static void child(const uint64_t *seqs, int out, uint64_t round)
{
    struct place place;
    struct writer writers[THREADS];
    struct base_err err = {0};
    place_open(&place, round % 2 ? LSM_SYNC_BATCH : LSM_SYNC_PERIODIC);
    for (uint64_t t = 0; t < THREADS; t++) {
        pthread_t thread;
        writers[t] = (struct writer){&place, t, seqs[t], out};
        if (pthread_create(&thread, NULL, write_for_ever, &writers[t]))
            _exit(3);
    }
    for (;;) { /* and all the while files come and go */
        usleep(5000);
        if (lsm_flush(place.store, NULL, NULL, &err))
            fail("flush", &err);
        usleep(5000);
        if (lsm_compact(place.store, NULL, NULL, &err))
            fail("compact", &err);
    }
}

/* The parent. */

/* The values of a table's rows in one partition: seen[row] = value; returns how many rows. */
static uint64_t read_partition(struct place *p, unsigned table, uint32_t partition,
                               uint64_t *values, size_t max)
{
    struct base_err err = {0};
    struct gen g = {.rng = rng_seeded(1)};
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *source;
    struct base_partition head;
    struct base_item item;
    uint64_t n = 0;
    base_arena_init(&g.arena);
    cmd.table_id = table_id(table);
    cmd.pkey = gen_pkey(&g, partition);
    cmd.slices = base_slices_all;
    if (lsm_read(p->tables[table], &cmd, false, NULL, 0, NULL, &source, &err) ||
        source->ops->partition(source, &head, &err))
        fail("read", &err);
    while (head.pkey.len) {
        struct base_row row;
        struct base_cell cell;
        if (source->ops->next(source, &item, &err))
            fail("read", &err);
        if (item.kind == BASE_ITEM_END)
            break;
        uint32_t at = base_get_be32(item.ckey.data + 1);
        bool ok = base_row_decode(item.row, &row);
        struct base_cells it = base_cells_begin(&row);
        if (!ok || base_cells_next(&it, &cell) != 1 || cell.value.len != 8 || at >= max)
            fail("a row is not what was written", NULL);
        values[at] = base_get_le64(cell.value.data);
        n++;
    }
    source->ops->close(source);
    base_arena_fini(&g.arena);
    return n;
}

/* Everything of thread t up to n, and nothing else; n is what the store says. */
static uint64_t check_thread(struct place *p, uint64_t t, uint64_t acked)
{
    uint64_t last[1] = {0}, b[B_ROWS] = {0};
    read_partition(p, 1, (uint32_t)(100 + t), last, 1);
    uint64_t n = last[0];
    if (n != acked && n != acked + 1) {
        char text[128];
        snprintf(text, sizeof text,
                 "thread %" PRIu64 " was told %" PRIu64 ", the store has %" PRIu64, t, acked, n);
        fail(text, NULL);
    }
    uint64_t *a = calloc(n + 2, sizeof *a), rows = 0;
    BASE_ASSERT(a);
    for (uint32_t i = 0; i < 16; i++)
        rows += read_partition(p, 0, (uint32_t)(t * 16 + i), a, n + 2);
    for (uint64_t s = 1; s <= n; s++)
        if (a[s] != s)
            fail("a group is there only in part: table A lacks a row", NULL);
    if (rows != n)
        fail("a group is there only in part: table A has a row too many", NULL);
    free(a);
    read_partition(p, 1, (uint32_t)t, b, B_ROWS);
    for (uint64_t s = n > B_ROWS ? n - B_ROWS + 1 : 1; s <= n; s++)
        if (b[s % B_ROWS] != s)
            fail("a group is there only in part: table B has an older row", NULL);
    return n;
}

/* Let a child write for a while, kill it, drain the pipe. */
static void run_child(struct rng *rng, uint64_t *seqs, uint64_t round)
{
    int pipes[2];
    if (pipe(pipes))
        fail(strerror(errno), NULL);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child(seqs, pipes[1], round);
    }
    close(pipes[1]);
    struct ack ack;
    /* Now and then before it has said a word: in the middle of its own replay. */
    uint64_t wanted = rng_one_in(rng, 5) ? 0 : 1 + rng_skewed(rng, 4000), got = 0;
    ssize_t n;
    while (got < wanted && (n = read(pipes[0], &ack, sizeof ack)) == (ssize_t)sizeof ack) {
        seqs[ack.thread] = ack.seq;
        got++;
    }
    usleep((useconds_t)rng_below(rng, 3000));
    kill(pid, SIGKILL);
    while ((n = read(pipes[0], &ack, sizeof ack)) == (ssize_t)sizeof ack)
        seqs[ack.thread] = ack.seq;
    close(pipes[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail("the writer ended by itself", NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    uint64_t rounds = scale_rounds(24), seqs[THREADS] = {0}, total = 0;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/ringlet-kill-XXXXXX", tmp ? tmp : "/tmp");
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'r':
            rounds = strtoull(optarg, NULL, 0);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'd':
            snprintf(dir, sizeof dir, "%s/ringlet-kill-XXXXXX", optarg);
            break;
        default:
            return 2;
        }
    }
    if (!mkdtemp(dir))
        fail(strerror(errno), NULL);
    struct rng rng = rng_seeded(seed);
    for (uint64_t round = 0; round < rounds; round++) {
        struct place place;
        run_child(&rng, seqs, round);
        place_open(&place, LSM_SYNC_PERIODIC);
        for (uint64_t t = 0; t < THREADS; t++)
            seqs[t] = check_thread(&place, t, seqs[t]);
        place_close(&place);
        total = seqs[0] + seqs[1];
    }
    printf("kill_test: %" PRIu64 " rounds, %" PRIu64
           " groups, all that was acknowledged is there\n",
           rounds, total);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
