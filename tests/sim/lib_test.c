/* The simulated disk, clock and executor themselves: if these lied, every crash test above them
 * would pass for nothing (a disk that never loses anything finds no missing sync). */
#include "tests/lib/ck.h"
#include "tests/lib/sim_executor.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"

static struct base_err err;

static struct base_file *open_rw(struct base_fs *fs, const char *path)
{
    struct base_file *f;
    ck_ok(base_fs_open(fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE, &f, &err),
          err);
    return f;
}

static bool exists(struct sim_fs *fs, const char *path)
{
    return sim_fs_bytes(fs, path).data != NULL;
}

START_TEST(files_read_what_was_written)
{
    struct sim_fs *sim = sim_fs_new(1);
    struct base_fs *fs = sim_fs_port(sim);
    char buf[16];
    size_t got;
    uint64_t size;
    ck_ok(base_fs_mkdir(fs, "/d", &err), err);
    ck_ok(base_fs_mkdir(fs, "/d", &err), err);
    struct base_file *f = open_rw(fs, "/d/a"), *g;
    ck_ok(base_file_write(f, 5, "hello", 5, &err), err);
    ck_ok(base_file_read(f, 3, buf, sizeof buf, &got, &err), err);
    ck_assert_uint_eq(got, 7);
    ck_assert_mem_eq(buf, "\0\0hello", 7);
    ck_ok(base_file_truncate(f, 6, &err), err);
    ck_ok(base_file_preallocate(f, 100, &err), err);
    ck_ok(base_file_preallocate(f, 10, &err), err);
    ck_ok(base_file_size(f, &size, &err), err);
    ck_assert_uint_eq(size, 100);
    ck_ok(base_file_read(f, 5, buf, 3, &got, &err), err);
    ck_assert_mem_eq(buf, "h\0\0", 3);
    ck_fails(
        base_fs_open(fs, "d/a", BASE_OPEN_WRITE | BASE_OPEN_CREATE | BASE_OPEN_EXCLUSIVE, &g, &err),
        BASE_E_EXISTS, err);
    ck_fails(base_fs_open(fs, "d/none", BASE_OPEN_READ, &g, &err), BASE_E_NOTFOUND, err);
    ck_ok(base_fs_rename(fs, "d/a", "d/b", &err), err);
    ck_ok(base_fs_link(fs, "d/b", "d/c", &err), err);
    ck_ok(base_fs_remove(fs, "d/b", &err), err);
    ck_assert(exists(sim, "d/c") && !exists(sim, "d/a") && !exists(sim, "d/b"));
    ck_fails(base_fs_rmdir(fs, "d", &err), BASE_E_IO, err);
    ck_ok(base_fs_remove(fs, "d/c", &err), err);
    ck_ok(base_fs_rmdir(fs, "d", &err), err);
    ck_assert_uint_eq(sim_fs_used_bytes(sim), 512); /* the handle still holds it */
    base_file_close(f);
    ck_assert_uint_eq(sim_fs_used_bytes(sim), 0);
    sim_fs_free(sim);
}
END_TEST

/* What a crash leaves of one file, over many seeds: synced bytes always; unsynced ones now and
 * then, in whole sectors; a name only surely after sync_dir. */
START_TEST(crashes_keep_exactly_what_is_promised)
{
    int named = 0, whole = 0, none = 0, torn = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim_fs *sim = sim_fs_new(seed);
        struct base_fs *fs = sim_fs_port(sim);
        uint8_t page[4 * 512];
        memset(page, 'o', sizeof page);
        ck_ok(base_fs_mkdir(fs, "d", &err), err);
        ck_ok(base_fs_sync_dir(fs, "", &err), err);
        struct base_file *f = open_rw(fs, "d/kept"), *g = open_rw(fs, "d/loose");
        ck_ok(base_file_write(f, 0, page, sizeof page, &err), err);
        ck_ok(base_file_sync(f, &err), err);
        memset(page, 'n', sizeof page);
        ck_ok(base_file_write(f, 512, page, 2 * 512, &err), err);
        sim_fs_power_off(sim);
        ck_fails(base_file_sync(f, &err), BASE_E_IO, err);
        base_file_close(g);
        base_file_close(f);
        sim_fs_crash(sim);
        named += exists(sim, "d/kept");
        if (exists(sim, "d/kept")) {
            struct base_slice b = sim_fs_bytes(sim, "d/kept");
            ck_assert_uint_eq(b.len, sizeof page);
            ck_assert(b.data[0] == 'o' && b.data[511] == 'o' && b.data[1536] == 'o');
            for (size_t i = 512; i < 1536; i += 512)
                ck_assert(b.data[i] == b.data[i + 511]);
            whole += b.data[512] == 'n' && b.data[1024] == 'n';
            none += b.data[512] == 'o' && b.data[1024] == 'o';
            torn += b.data[512] != b.data[1024];
        }
        sim_fs_free(sim);
    }
    ck_assert_int_gt(named, 50);
    ck_assert_int_lt(named, 350);
    ck_assert_int_gt(whole, 10);
    ck_assert_int_gt(none, 10);
    ck_assert_int_gt(torn, 5);
}
END_TEST

START_TEST(rename_is_atomic_and_durable_only_after_sync_dir)
{
    int olds = 0, news = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_fs *sim = sim_fs_new(seed);
        struct base_fs *fs = sim_fs_port(sim);
        bool synced = seed % 2;
        struct base_file *f = open_rw(fs, "CURRENT");
        ck_ok(base_file_write(f, 0, "old", 3, &err), err);
        ck_ok(base_file_sync(f, &err), err);
        base_file_close(f);
        ck_ok(base_fs_sync_dir(fs, ".", &err), err);
        f = open_rw(fs, "CURRENT.tmp");
        ck_ok(base_file_write(f, 0, "new", 3, &err), err);
        ck_ok(base_file_sync(f, &err), err);
        base_file_close(f);
        ck_ok(base_fs_rename(fs, "CURRENT.tmp", "CURRENT", &err), err);
        if (synced)
            ck_ok(base_fs_sync_dir(fs, ".", &err), err);
        sim_fs_crash(sim);
        struct base_slice b = sim_fs_bytes(sim, "CURRENT");
        ck_assert_uint_eq(b.len, 3);
        bool is_new = memcmp(b.data, "new", 3) == 0;
        ck_assert(is_new || (!synced && memcmp(b.data, "old", 3) == 0));
        news += is_new;
        olds += !is_new;
        sim_fs_free(sim);
    }
    ck_assert_int_gt(olds, 20);
    ck_assert_int_gt(news, 120);
}
END_TEST

START_TEST(a_failed_sync_forgets)
{
    /* fsync failed, a second one succeeds: the bytes may be gone all the same. */
    int lost = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_fs *sim = sim_fs_new(seed);
        struct base_fs *fs = sim_fs_port(sim);
        struct base_file *f = open_rw(fs, "log");
        ck_ok(base_fs_sync_dir(fs, ".", &err), err);
        ck_ok(base_file_write(f, 0, "x", 1, &err), err);
        sim_fs_fail(sim, SIM_FS_SYNC, 0, 1, BASE_E_IO);
        ck_fails(base_file_sync(f, &err), BASE_E_IO, err);
        ck_ok(base_file_sync(f, &err), err);
        ck_assert_uint_eq(sim_fs_clear_faults(sim), 1);
        base_file_close(f);
        sim_fs_crash(sim);
        lost += sim_fs_bytes(sim, "log").data[0] != 'x';
        sim_fs_free(sim);
    }
    ck_assert_int_gt(lost, 10);
    ck_assert_int_lt(lost, 60);
}
END_TEST

START_TEST(faults_hit_the_kth)
{
    struct sim_fs *sim = sim_fs_new(7);
    struct base_fs *fs = sim_fs_port(sim);
    struct base_file *f = open_rw(fs, "a"), *g;
    sim_fs_fail(sim, SIM_FS_WRITE, 2, 1, BASE_E_IO);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            ck_fails(base_file_write(f, 0, "x", 1, &err), BASE_E_IO, err);
        else
            ck_ok(base_file_write(f, 0, "x", 1, &err), err);
    }
    ck_assert_uint_eq(sim_fs_clear_faults(sim), 1);
    ck_assert_uint_eq(sim_fs_count(sim, SIM_FS_WRITE), 4);
    sim_fs_cut_power(sim, SIM_FS_CHANGING, 1);
    ck_ok(base_file_write(f, 0, "y", 1, &err), err);
    ck_fails(base_file_sync(f, &err), BASE_E_IO, err);
    ck_fails(base_fs_open(fs, "a", BASE_OPEN_READ, &g, &err), BASE_E_IO, err);
    ck_assert(sim_fs_is_off(sim));
    sim_fs_crash(sim);
    ck_fails(base_file_write(f, 0, "z", 1, &err), BASE_E_IO, err); /* a dead handle */
    ck_assert_uint_eq(sim_fs_open_files(sim), 1);
    base_file_close(f);
    sim_fs_free(sim);
}
END_TEST

START_TEST(a_kill_loses_nothing)
{
    struct sim_fs *sim = sim_fs_new(3);
    struct base_file *f = open_rw(sim_fs_port(sim), "a");
    ck_ok(base_file_write(f, 0, "abc", 3, &err), err);
    sim_fs_kill(sim);
    ck_fails(base_file_sync(f, &err), BASE_E_IO, err);
    base_file_close(f);
    ck_assert_mem_eq(sim_fs_bytes(sim, "a").data, "abc", 3);
    sim_fs_free(sim);
}
END_TEST

START_TEST(space_runs_out_and_comes_back)
{
    struct sim_fs *sim = sim_fs_new(5);
    struct base_fs *fs = sim_fs_port(sim);
    uint8_t page[1024] = {1};
    uint64_t free_bytes;
    sim_fs_set_capacity(sim, 4096);
    struct base_file *f = open_rw(fs, "a"), *g = open_rw(fs, "b");
    ck_ok(base_file_preallocate(f, 3072, &err), err);
    ck_ok(base_fs_free_bytes(fs, "", &free_bytes, &err), err);
    ck_assert_uint_eq(free_bytes, 1024);
    ck_ok(base_file_write(f, 0, page, 1024, &err), err); /* preallocated: takes nothing */
    ck_ok(base_file_write(g, 0, page, 1024, &err), err);
    ck_fails(base_file_write(g, 1024, page, 1024, &err), BASE_E_NOSPACE, err);
    ck_fails(base_file_preallocate(f, 8192, &err), BASE_E_NOSPACE, err);
    base_file_close(f);
    ck_ok(base_fs_remove(fs, "a", &err), err);
    ck_ok(base_file_write(g, 1024, page, 1024, &err), err);
    base_file_close(g);
    sim_fs_free(sim);
}
END_TEST

START_TEST(flips_and_clones)
{
    struct sim_fs *sim = sim_fs_new(5);
    struct base_file *f = open_rw(sim_fs_port(sim), "a");
    ck_ok(base_file_write(f, 0, "abc", 3, &err), err);
    base_file_close(f);
    struct sim_fs *copy = sim_fs_clone(sim, 1);
    ck_assert(sim_fs_flip(copy, "a", 1, 0));
    ck_assert(!sim_fs_flip(copy, "a", 3, 0));
    ck_assert_mem_eq(sim_fs_bytes(copy, "a").data, "acc", 3);
    ck_assert_mem_eq(sim_fs_bytes(sim, "a").data, "abc", 3);
    sim_fs_crash(copy); /* a clone is synced */
    ck_assert_uint_eq(sim_fs_bytes(copy, "a").len, 3);
    sim_fs_free(copy);
    sim_fs_free(sim);
}
END_TEST

/* Executor. */

struct counted_job {
    struct base_job job;
    int steps, limit, cancelled;
    uint64_t wait_ns;
};

static enum base_step counted_step(struct base_job *job)
{
    struct counted_job *c = BASE_CONTAINER(job, struct counted_job, job);
    job->delay_ns = c->wait_ns;
    return ++c->steps == c->limit ? BASE_STEP_DONE : c->wait_ns ? BASE_STEP_WAIT : BASE_STEP_AGAIN;
}

static void counted_cancel(struct base_job *job)
{
    BASE_CONTAINER(job, struct counted_job, job)->cancelled++;
}

static uint64_t run_jobs(uint64_t seed)
{
    struct sim_clock clock;
    struct sim_executor ex;
    struct trace trace = trace_begin(NULL);
    sim_clock_init(&clock, 0);
    sim_executor_init(&ex, &clock, seed);
    ex.trace = &trace;
    struct counted_job jobs[3] = {
        {.job = {counted_step, counted_cancel, "a", 0, BASE_LANE_SYNC, NULL, 0}, .limit = 5},
        {.job = {counted_step, counted_cancel, "b", 1000, BASE_LANE_FLUSH, NULL, 0},
         .limit = 3,
         .wait_ns = 500},
        {.job = {counted_step, counted_cancel, "c", 0, BASE_LANE_COMPACT, NULL, 0}, .limit = 1000},
    };
    for (int i = 0; i < 3; i++)
        base_executor_post(&ex.base, &jobs[i].job);
    ck_assert_uint_eq(sim_executor_run(&ex, 100), 100); /* c alone has that many */
    ck_assert_int_eq(jobs[1].steps, 0);                 /* time has not moved */
    ck_assert_int_eq(jobs[0].steps, 5);
    sim_clock_advance(&clock, 2000);
    for (int i = 0; i < 200; i++)
        base_executor_wait(&ex.base, 1);
    sim_clock_advance(&clock, 100000);
    sim_executor_run(&ex, 100);
    sim_executor_stop(&ex);
    ck_assert(base_executor_stopping(&ex.base));
    ck_assert_int_eq(jobs[0].cancelled, 0);
    ck_assert_int_eq(jobs[2].cancelled, 1);
    ck_assert_uint_eq(ex.job_count, 0);
    return trace.hash;
}

START_TEST(executor_order_is_the_seeds)
{
    ck_assert(run_jobs(1) == run_jobs(1));
    ck_assert(run_jobs(1) != run_jobs(2));
}
END_TEST

START_TEST(waiting_moves_time_when_idle)
{
    struct sim_clock clock;
    struct sim_executor ex;
    sim_clock_init(&clock, 0);
    sim_executor_init(&ex, &clock, 1);
    struct counted_job job = {.job = {counted_step, NULL, "late", 5000, BASE_LANE_SYNC, NULL, 0},
                              .limit = 1};
    base_executor_post(&ex.base, &job.job);
    int64_t wall = base_clock_wall(&clock.base).us;
    base_executor_wait(&ex.base, 1000);
    ck_assert_int_eq(job.steps, 0);
    base_executor_wait(&ex.base, 10000);
    ck_assert_int_eq(job.steps, 1);
    ck_assert_int_eq(base_clock_wall(&clock.base).us, wall + 5);
    ck_assert_uint_eq(base_clock_mono(&clock.base).ns, 1000005000u);
}
END_TEST

START_TEST(random_is_the_seeds)
{
    struct sim_random a, b;
    sim_random_init(&a, 9);
    sim_random_init(&b, 9);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(base_random_u64(&a.base), base_random_u64(&b.base));
    sim_random_fini(&a);
    sim_random_fini(&b);
    struct rng r = rng_seeded(1);
    bool seen[7] = {0};
    for (int i = 0; i < 1000; i++)
        seen[rng_below(&r, 7)] = true;
    for (int i = 0; i < 7; i++)
        ck_assert(seen[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim_lib");
    TCase *disk = tcase_create("disk"), *rest = tcase_create("executor");
    tcase_add_test(disk, files_read_what_was_written);
    tcase_add_test(disk, crashes_keep_exactly_what_is_promised);
    tcase_add_test(disk, rename_is_atomic_and_durable_only_after_sync_dir);
    tcase_add_test(disk, a_failed_sync_forgets);
    tcase_add_test(disk, faults_hit_the_kth);
    tcase_add_test(disk, a_kill_loses_nothing);
    tcase_add_test(disk, space_runs_out_and_comes_back);
    tcase_add_test(disk, flips_and_clones);
    tcase_add_test(rest, executor_order_is_the_seeds);
    tcase_add_test(rest, waiting_moves_time_when_idle);
    tcase_add_test(rest, random_is_the_seeds);
    suite_add_tcase(suite, disk);
    suite_add_tcase(suite, rest);
    return ck_main(suite);
}
