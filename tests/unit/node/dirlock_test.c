/* The directory's lock. Without it two processes would write one commit log. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/node_private.h"

static char dir[64], lock_path[80];
static struct base_err err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/ringlet-lock-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(lock_path, sizeof lock_path, "%s/LOCK", dir);
}

static void teardown(void)
{
    unlink(lock_path);
    rmdir(dir);
}

START_TEST(a_second_owner_is_told_who_has_it)
{
    int fd, second;
    char text[64];
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), 0);
    /* Another descriptor in the same process is another owner: unlike with process-owned locks. */
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &second, &err), BASE_E_BUSY);
    ck_assert_int_eq(second, -1);
    pid_t child = fork();
    if (child == 0) {
        struct base_err e = {0};
        int rc = nodei_dirlock_acquire(dir, &second, &e);
        snprintf(text, sizeof text, "process %ld", (long)getppid());
        _exit(rc == BASE_E_BUSY && strstr(e.text, text) && strstr(e.text, dir) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    /* Closing another descriptor of the file must not drop the lock (a process-owned one would go
     * here). */
    int other = open(lock_path, O_RDONLY);
    close(other);
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &second, &err), BASE_E_BUSY);
    nodei_dirlock_release(fd);
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), 0);
    nodei_dirlock_release(fd);
}
END_TEST

START_TEST(a_stale_text_is_harmless)
{
    FILE *f = fopen(lock_path, "w");
    fputs("1\nand something else that is longer than any process id", f);
    fclose(f);
    int fd;
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), 0);
    char text[32] = "", own[32];
    ck_assert_int_gt(pread(fd, text, sizeof text - 1, 0), 0);
    snprintf(own, sizeof own, "%ld\n", (long)getpid());
    ck_assert_str_eq(text, own);
    nodei_dirlock_release(fd);
}
END_TEST

START_TEST(the_lock_ends_with_the_process)
{
    int pipe_fd[2], fd;
    ck_assert_int_eq(pipe(pipe_fd), 0);
    pid_t child = fork();
    if (child == 0) {
        int rc = nodei_dirlock_acquire(dir, &fd, NULL);
        if (write(pipe_fd[1], rc == 0 ? "y" : "n", 1) == 1)
            pause();
        _exit(1);
    }
    char answer;
    ck_assert_int_eq(read(pipe_fd[0], &answer, 1), 1);
    ck_assert_int_eq(answer, 'y');
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), BASE_E_BUSY);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), 0);
    nodei_dirlock_release(fd);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}
END_TEST

START_TEST(copies_of_the_descriptor)
{
    int fd, second;
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &fd, &err), 0);
    int copy = dup(fd); /* as a forked child has */
    nodei_dirlock_forget(dup(fd));
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &second, &err), BASE_E_BUSY);
    nodei_dirlock_release(fd); /* although the copy is open */
    ck_assert_int_eq(nodei_dirlock_acquire(dir, &second, &err), 0);
    nodei_dirlock_release(second);
    close(copy);
}
END_TEST

START_TEST(links_are_not_followed)
{
    ck_assert_int_eq(symlink("/tmp/ringlet-lock-elsewhere", lock_path), 0);
    int fd;
    ck_assert_int_ne(nodei_dirlock_acquire(dir, &fd, &err), 0);
    ck_assert_int_ne(access("/tmp/ringlet-lock-elsewhere", F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/dirlock");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_second_owner_is_told_who_has_it);
    tcase_add_test(tc, a_stale_text_is_harmless);
    tcase_add_test(tc, the_lock_ends_with_the_process);
    tcase_add_test(tc, copies_of_the_descriptor);
    tcase_add_test(tc, links_are_not_followed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
