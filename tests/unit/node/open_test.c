/* Opening, sharing, forking, closing. Without these tests two processes could own a directory, a
 * forked child could write through its parent's files, and time that goes back could repeat
 * timestamps. */
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/node/node_fixture.h"

static int open_with(const char *dir, const char *name, const char *value, struct node **out)
{
    struct node_option option = {name, value};
    struct node_config config = {.dir = dir, .options = &option, .option_count = name ? 1 : 0};
    return node_open(&config, out, &fixture.err);
}

START_TEST(identity_is_drawn_once)
{
    fixture_open();
    struct cat_identity first = fixture.node->identity;
    ck_assert_uint_eq(first.generation, 1);
    ck_assert_uint_eq(first.host_id.b[6] >> 4, 4);
    struct stat st;
    ck_assert_int_eq(stat(fixture.dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    fixture_close();
    fixture_open();
    ck_assert(base_uuid_equal(first.host_id, fixture.node->identity.host_id));
    ck_assert_uint_eq(fixture.node->identity.generation, 2);
    fixture_close();
}
END_TEST

START_TEST(one_directory_is_one_node)
{
    struct node *a, *b;
    char spelling[160], link[128];
    OK(open_with(fixture.dir, NULL, NULL, &a));
    snprintf(spelling, sizeof spelling, "%.60s/../%.60s/", fixture.dir,
             fixture.dir + strlen("/tmp/"));
    OK(open_with(spelling, NULL, NULL, &b));
    ck_assert_ptr_eq(a, b);
    node_release(b);
    snprintf(link, sizeof link, "%s-link", fixture.dir);
    ck_assert_int_eq(symlink(fixture.dir, link), 0);
    OK(open_with(link, "memtable_space", "64MiB", &b)); /* what it has already */
    ck_assert_ptr_eq(a, b);
    unlink(link);
    node_release(b);
    FAILS(BASE_E_CONFIG, open_with(fixture.dir, "memtable_space", "32MiB", &b));
    SAYS("memtable_heap_space = 64MiB, not 32MiB");
    FAILS(BASE_E_CONFIG, open_with(fixture.dir, "memtable_spaces", "32MiB", &b));
    node_release(a);
    OK(open_with(fixture.dir, "memtable_space", "32MiB", &a));
    ck_assert_uint_eq(a->settings.memtable_space, 32u << 20);
    node_release(a);
}
END_TEST

START_TEST(a_strangers_directory_is_refused)
{
    char path[128];
    struct node *node;
    snprintf(path, sizeof path, "%s/letters.txt", fixture.dir);
    fclose(fopen(path, "w"));
    FAILS(BASE_E_CONFIG, open_with(fixture.dir, NULL, NULL, &node));
    ck_assert_ptr_null(node);
    SAYS("letters.txt");
    FAILS(BASE_E_IO, open_with(path, NULL, NULL, &node)); /* a file */
    SAYS("Not a directory");
    FAILS(BASE_E_NOTFOUND, open_with("/nonexistent/x", NULL, NULL, &node));
}
END_TEST

/* A store whose catalog is gone is kept for the backup's return, not emptied as of no table. */
START_TEST(a_lost_catalog_is_no_new_directory)
{
    struct node *node;
    char catalog[160], away[160];
    fixture_open();
    fixture_close();
    snprintf(catalog, sizeof catalog, "%.100s/catalog/data.mdb", fixture.dir);
    snprintf(away, sizeof away, "%.100s/catalog/away", fixture.dir);
    ck_assert_int_eq(rename(catalog, away), 0);
    for (int i = 0; i < 2; i++) {
        FAILS(BASE_E_CORRUPT, open_with(fixture.dir, NULL, NULL, &node));
        SAYS("catalog/data.mdb is missing or empty");
    }
    ck_assert_int_eq(rename(away, catalog), 0);
    fixture_open();
    ck_assert_uint_eq(fixture.node->identity.generation, 2);
    fixture_close();
}
END_TEST

START_TEST(the_directorys_own_configuration_counts)
{
    char path[128];
    struct node *node;
    snprintf(path, sizeof path, "%s/ringlet.yaml", fixture.dir);
    FILE *f = fopen(path, "w");
    fputs("memtable_space: 16MiB\ncluster_name: ours\n", f);
    fclose(f);
    OK(open_with(fixture.dir, "file_cache_size", "2MiB", &node));
    ck_assert_uint_eq(node->settings.memtable_space, 16u << 20);
    ck_assert_uint_eq(node->settings.file_cache_size, 2u << 20);
    ck_assert_str_eq(node->identity.cluster_name, "ours");
    node_release(node);
    unlink(path);
    OK(open_with(fixture.dir, NULL, NULL, &node));
    ck_assert_str_eq(node->identity.cluster_name, "ours");
    node_release(node);
    FAILS(BASE_E_CONFIG, open_with(fixture.dir, "cluster_name", "theirs", &node));
    SAYS("belongs to \"ours\"");
}
END_TEST

static int run_child(int (*body)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    waitpid(child, &status, 0);
    return status;
}

/* In a forked child. Each answers 0 when all was well. */
static int child_uses_parents_node(void)
{
    struct node *node;
    struct node_session *session;
    struct base_read cmd = BASE_READ_INIT;
    char owner[32];
    cmd.table_id = fixture.table->id;
    if (!node_is_forked(fixture.node))
        return 1;
    if (node_session_new(fixture.node, &session, NULL) != BASE_E_CLOSED)
        return 2;
    if (node_read_open(fixture.session, fixture.table, &cmd, NODE_CL_ONE, &fixture.read, NULL) !=
        BASE_E_CLOSED)
        return 3;
    if (open_with(fixture.dir, NULL, NULL, &node) != BASE_E_BUSY)
        return 4;
    snprintf(owner, sizeof owner, "process %ld", (long)getppid());
    if (!strstr(fixture.err.text, owner))
        return 5;
    node_session_free(fixture.session);
    node_release(fixture.node); /* forgotten: no flush, no join, no unlock */
    return 0;
}

START_TEST(a_forked_child_enters_as_another_process)
{
    OK(fixture_write(fixture.session, "s1", 1, 20));
    ck_assert_int_eq(run_child(child_uses_parents_node), 0);
    ck_assert(!node_is_forked(fixture.node));
    OK(fixture_write(fixture.session, "s1", 2, 21));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 20);
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 2), 21);
    FAILS(BASE_E_CONFIG,
          open_with(fixture.dir, "num_tokens", "1", &(struct node *){NULL})); /* still ours */
}
END_TEST

/* A child that lives on must not keep the directory locked after the parent let go of it. */
START_TEST(a_childs_copy_of_the_lock_does_not_hold)
{
    int pipe_fd[2];
    ck_assert_int_eq(pipe(pipe_fd), 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(pipe_fd[1]);
        _exit(read(pipe_fd[0], &c, 1) == 0 ? 0 : 1);
    }
    close(pipe_fd[0]);
    fixture_close();
    fixture_open();
    fixture_find_table();
    ck_assert_int_eq(fixture_count(fixture.session), 0);
    close(pipe_fd[1]);
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
}
END_TEST

static int child_opens_after_parent(void)
{
    struct node *node;
    struct node_config config = {.dir = fixture.dir};
    for (int i = 0; i < 12000; i++) {
        int rc = node_open(&config, &node, &fixture.err);
        if (rc == BASE_OK) {
            node_release(node);
            return 0;
        }
        if (rc != BASE_E_BUSY)
            return 1;
        usleep(10000);
    }
    return 2;
}

/* And it may take the directory over, with a node of its own, though it inherited the registry's
 * memory. */
START_TEST(a_child_can_take_over)
{
    pid_t child = fork();
    if (child == 0)
        _exit(child_opens_after_parent());
    usleep(50000);
    fixture_close();
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    fixture_open();
}
END_TEST

START_TEST(the_lock_names_its_owner)
{
    char command[256];
    snprintf(command, sizeof command, "test \"$(cat %s/LOCK)\" = %ld", fixture.dir, (long)getpid());
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(temporary_directories_go)
{
    char inner[96];
    struct node *node;
    snprintf(inner, sizeof inner, "%s/t", fixture.dir);
    struct node_config config = {.dir = inner, .temporary = true};
    OK(node_open(&config, &node, &fixture.err));
    ck_assert_int_eq(access(inner, F_OK), 0);
    ck_assert(node_timestamp(node) > 0);
    node_release(node);
    ck_assert_int_ne(access(inner, F_OK), 0);
}
END_TEST

/* Timestamps. */

#define STAMPS 20000
static int64_t stamps[4 * STAMPS]; /* a quarter a thread */

static void *draw(void *arg)
{
    int64_t *out = arg;
    for (int i = 0; i < STAMPS; i++)
        out[i] = node_timestamp(fixture.node);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(timestamps_never_repeat)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, draw, &stamps[i * STAMPS]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < 4 * STAMPS; i++)
        ck_assert(i % STAMPS == 0 || stamps[i - 1] < stamps[i]);
    qsort(stamps, 4 * STAMPS, sizeof stamps[0], by_value);
    for (int i = 1; i < 4 * STAMPS; i++)
        ck_assert_int_lt(stamps[i - 1], stamps[i]);
}
END_TEST

/* The floor on disk stands in for a clock that goes back: to the node both look the same. */
START_TEST(timestamps_go_on_after_the_clock_went_back)
{
    struct cat_catalog *catalog;
    char path[96];
    int64_t limit, before = node_timestamp(fixture.node);
    OK(cat_local_get_i64(fixture.node->catalog, "timestamp_floor_us", &limit, &fixture.err));
    ck_assert_int_gt(limit, before); /* what a crash now would leave */
    fixture_close();
    snprintf(path, sizeof path, "%s/catalog", fixture.dir);
    OK(cat_open_lmdb(path, &catalog, &fixture.err));
    OK(cat_local_get_i64(catalog, "timestamp_floor_us", &limit, &fixture.err));
    ck_assert_int_eq(limit, before + 1); /* a clean close is exact */
    int64_t ahead = before + 3600 * 1000000LL;
    OK(cat_local_put_i64(catalog, "timestamp_floor_us", ahead, &fixture.err));
    cat_close(catalog);
    fixture_open();
    ck_assert_int_gt(node_timestamp(fixture.node), ahead);
}
END_TEST

/* Renewal of the floor runs in the background, well before it is needed. */
START_TEST(the_floor_moves_ahead_in_time)
{
    struct nodei_timestamps *t = &fixture.node->timestamps;
    int64_t first = node_timestamp(fixture.node), limit = atomic_load(&t->limit_us);
    ck_assert_int_ge(limit, first + 5000000);
    atomic_store(&t->last_us, limit - 1000000); /* nine seconds later */
    ck_assert_int_lt(node_timestamp(fixture.node), limit);
    UNTIL(atomic_load(&t->limit_us) != limit, "the floor stays");
    ck_assert_int_ge(atomic_load(&t->limit_us), limit + 8000000);
}
END_TEST

static uint64_t pending(int lane)
{
    struct node_lane_stats stats;
    node_executor_get_stats(fixture.node->executor, (enum base_lane)lane, &stats);
    return stats.pending;
}

START_TEST(nothing_wakes_up_when_idle)
{
    struct node_lane_stats before[BASE_LANE_COUNT], after[BASE_LANE_COUNT];
    OK(fixture_write(fixture.session, "s1", 1, 20));
    ck_assert_int_eq(fixture_get(fixture.session, "s1", 1), 20);
    for (int i = 0; i < BASE_LANE_COUNT; i++) /* the commit log's sync has run */
        UNTIL(pending(i) == 0, "lane %d: jobs do not end", i);
    usleep(200000);
    for (int i = 0; i < BASE_LANE_COUNT; i++)
        node_executor_get_stats(fixture.node->executor, (enum base_lane)i, &before[i]);
    usleep(700000);
    for (int i = 0; i < BASE_LANE_COUNT; i++) {
        node_executor_get_stats(fixture.node->executor, (enum base_lane)i, &after[i]);
        ck_assert_uint_eq(before[i].wakeups, after[i].wakeups);
        ck_assert_uint_eq(after[i].pending, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/open");
    TCase *tc = tcase_create("directory");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, fixture_make_dir, fixture_remove_dir);
    tcase_add_test(tc, identity_is_drawn_once);
    tcase_add_test(tc, one_directory_is_one_node);
    tcase_add_test(tc, a_strangers_directory_is_refused);
    tcase_add_test(tc, a_lost_catalog_is_no_new_directory);
    tcase_add_test(tc, the_directorys_own_configuration_counts);
    tcase_add_test(tc, temporary_directories_go);
    suite_add_tcase(suite, tc);
    tc = tcase_create("node");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, fixture_setup, fixture_teardown);
    tcase_add_test(tc, a_forked_child_enters_as_another_process);
    tcase_add_test(tc, a_childs_copy_of_the_lock_does_not_hold);
    tcase_add_test(tc, a_child_can_take_over);
    tcase_add_test(tc, the_lock_names_its_owner);
    tcase_add_test(tc, timestamps_never_repeat);
    tcase_add_test(tc, timestamps_go_on_after_the_clock_went_back);
    tcase_add_test(tc, the_floor_moves_ahead_in_time);
    tcase_add_test(tc, nothing_wakes_up_when_idle);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
