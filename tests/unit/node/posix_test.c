/* The real file system, clock and random. Without these tests the store would stand on promises of
 * base/fs.h that only the simulator keeps: short reads, error codes, zeros after preallocation. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/ports.h"

static char dir[64];
static struct base_err err;

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/ringlet-posix-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static struct base_file *open_file(const char *name, int flags)
{
    struct base_file *f;
    ck_assert_msg(base_fs_open(node_posix_fs(), path_of(name), flags, &f, &err) == 0, "%s",
                  err.text);
    return f;
}

START_TEST(reads_are_short_only_at_the_end)
{
    struct base_file *f = open_file("a", BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE);
    char buf[16] = {0};
    size_t got;
    ck_assert_int_eq(base_file_write(f, 3, "hello", 5, &err), 0);
    ck_assert_int_eq(base_file_read(f, 0, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, 8);
    ck_assert_mem_eq(buf, "\0\0\0hello", 8);
    ck_assert_int_eq(base_file_read(f, 8, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(base_file_read(f, 1000, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, 0);
    uint64_t size;
    ck_assert_int_eq(base_file_size(f, &size, &err), 0);
    ck_assert_uint_eq(size, 8);
    ck_assert_int_eq(base_file_truncate(f, 4, &err), 0);
    ck_assert_int_eq(base_file_sync(f, &err), 0);
    ck_assert_int_eq(base_file_read(f, 0, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, 4);
    base_file_close(f);
    struct stat st;
    ck_assert_int_eq(stat(path_of("a"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(opening_tells_missing_from_existing)
{
    struct base_file *f;
    ck_assert_int_eq(base_fs_open(node_posix_fs(), path_of("no"), BASE_OPEN_READ, &f, &err),
                     BASE_E_NOTFOUND);
    ck_assert_ptr_null(f);
    ck_assert_ptr_nonnull(strstr(err.text, path_of("no")));
    int exclusive = BASE_OPEN_WRITE | BASE_OPEN_CREATE | BASE_OPEN_EXCLUSIVE;
    base_file_close(open_file("b", exclusive));
    ck_assert_int_eq(base_fs_open(node_posix_fs(), path_of("b"), exclusive, &f, &err),
                     BASE_E_EXISTS);
}
END_TEST

START_TEST(preallocation_takes_space_and_reads_zeros)
{
    struct base_file *f = open_file("c", BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE);
    ck_assert_int_eq(base_file_write(f, 0, "x", 1, &err), 0);
    ck_assert_int_eq(base_file_preallocate(f, 1000000, &err), 0);
    uint64_t size;
    ck_assert_int_eq(base_file_size(f, &size, &err), 0);
    ck_assert_uint_eq(size, 1000000);
    static uint8_t buf[1000000];
    size_t got;
    ck_assert_int_eq(base_file_read(f, 0, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, sizeof buf);
    ck_assert_uint_eq(buf[0], 'x');
    for (size_t i = 1; i < sizeof buf; i++)
        ck_assert_uint_eq(buf[i], 0);
    struct stat st;
    ck_assert_int_eq(stat(path_of("c"), &st), 0);
    ck_assert_int_ge(st.st_blocks * 512, 1000000);
    /* Again, and for less: nothing that was written is lost. */
    ck_assert_int_eq(base_file_preallocate(f, 10, &err), 0);
    ck_assert_int_eq(base_file_size(f, &size, &err), 0);
    ck_assert_uint_eq(size, 1000000);
    base_file_close(f);
}
END_TEST

/* A file-size limit stands in for the full disk: the kernel cuts the write in the middle, then
 * refuses. */
START_TEST(a_full_disk_is_named)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct base_file *f = open_file("d", BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE);
    limit = before;
    limit.rlim_cur = 10000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    static const uint8_t buf[20000];
    struct base_err full = {0};
    int rc = base_file_write(f, 0, buf, sizeof buf, &full);
    int rc2 = base_file_preallocate(f, 1000000, &err);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(rc, BASE_E_NOSPACE);
    ck_assert_ptr_nonnull(strstr(full.text, "write "));
    ck_assert_ptr_nonnull(strstr(full.text, dir));
    ck_assert_int_eq(rc2, BASE_E_NOSPACE);
    uint64_t size;
    ck_assert_int_eq(base_file_size(f, &size, &err), 0);
    ck_assert_uint_le(size, 10000);
    ck_assert_int_eq(base_file_write(f, 0, buf, sizeof buf, &err), 0);
    base_file_close(f);
}
END_TEST

/* /dev/full answers every write with ENOSPC. */
START_TEST(enospc_is_nospace)
{
    struct base_file *f;
    ck_assert_int_eq(base_fs_open(node_posix_fs(), "/dev/full", BASE_OPEN_WRITE, &f, &err), 0);
    ck_assert_int_eq(base_file_write(f, 0, "x", 1, &err), BASE_E_NOSPACE);
    base_file_close(f);
}
END_TEST

START_TEST(direct_is_only_a_hint)
{
    struct base_file *f =
        open_file("e", BASE_OPEN_WRITE | BASE_OPEN_CREATE | BASE_OPEN_EXCLUSIVE | BASE_OPEN_DIRECT);
    uint8_t *block = aligned_alloc(4096, 16384), buf[16384 + 7];
    ck_assert_ptr_nonnull(block);
    for (size_t i = 0; i < 16384; i++)
        block[i] = (uint8_t)(i * 7 + i / 4096);
    ck_assert_int_eq(base_file_write(f, 0, block, 16384, &err), 0);
    ck_assert_int_eq(base_file_write(f, 16384, "trailer", 7, &err), 0);
    ck_assert_int_eq(base_file_sync(f, &err), 0);
    base_file_close(f);
    f = open_file("e", BASE_OPEN_READ);
    size_t got;
    ck_assert_int_eq(base_file_read(f, 0, buf, sizeof buf, &got, &err), 0);
    ck_assert_uint_eq(got, sizeof buf);
    ck_assert_mem_eq(buf, block, 16384);
    ck_assert_mem_eq(buf + 16384, "trailer", 7);
    base_file_close(f);
    free(block);
}
END_TEST

static int gather(void *ctx, const char *name)
{
    strcat(ctx, name);
    return 0;
}

static int stop_at_once(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
    return 77;
}

START_TEST(names)
{
    struct base_fs *fs = node_posix_fs();
    ck_assert_int_eq(base_fs_mkdir(fs, path_of("sub"), &err), 0);
    ck_assert_int_eq(base_fs_mkdir(fs, path_of("sub"), &err), 0);
    base_file_close(open_file("sub/f", BASE_OPEN_WRITE | BASE_OPEN_CREATE));
    ck_assert_int_ne(base_fs_mkdir(fs, path_of("sub/f"), &err), 0);
    ck_assert_int_eq(base_fs_link(fs, path_of("sub/f"), path_of("sub/g"), &err), 0);
    ck_assert_int_eq(base_fs_link(fs, path_of("sub/f"), path_of("sub/g"), &err), BASE_E_EXISTS);
    ck_assert_int_eq(base_fs_rename(fs, path_of("sub/f"), path_of("sub/h"), &err), 0);
    ck_assert_int_eq(base_fs_rename(fs, path_of("sub/f"), path_of("sub/h"), &err), BASE_E_NOTFOUND);
    ck_assert_int_eq(base_fs_rename(fs, path_of("sub/g"), path_of("sub/i"), &err), 0);
    char found[32] = "";
    ck_assert_int_eq(base_fs_list(fs, path_of("sub"), gather, found, &err), 0);
    ck_assert(strcmp(found, "hi") == 0 || strcmp(found, "ih") == 0);
    int calls = 0;
    ck_assert_int_eq(base_fs_list(fs, path_of("sub"), stop_at_once, &calls, &err), 77);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(base_fs_list(fs, path_of("none"), gather, found, &err), BASE_E_NOTFOUND);
    ck_assert_int_eq(base_fs_sync_dir(fs, path_of("sub"), &err), 0);
    ck_assert_int_ne(base_fs_rmdir(fs, path_of("sub"), &err), 0);
    ck_assert_int_eq(base_fs_remove(fs, path_of("sub/h"), &err), 0);
    ck_assert_int_eq(base_fs_remove(fs, path_of("sub/h"), &err), BASE_E_NOTFOUND);
    ck_assert_int_eq(base_fs_remove(fs, path_of("sub/i"), &err), 0);
    ck_assert_int_eq(base_fs_rmdir(fs, path_of("sub"), &err), 0);
    uint64_t free_bytes;
    ck_assert_int_eq(base_fs_free_bytes(fs, dir, &free_bytes, &err), 0);
    ck_assert_uint_gt(free_bytes, 0);
}
END_TEST

START_TEST(descriptors_are_not_inherited_by_programs)
{
    struct base_file *f = open_file("z", BASE_OPEN_WRITE | BASE_OPEN_CREATE | BASE_OPEN_DIRECT);
    char command[128];
    snprintf(command, sizeof command, "! ls -l /proc/self/fd | grep -q %s/z", dir);
    ck_assert_int_eq(system(command), 0);
    base_file_close(f);
}
END_TEST

START_TEST(clock_and_random)
{
    struct base_clock *clock = node_real_clock();
    struct base_mono_ns a = base_clock_mono(clock), b = base_clock_mono(clock);
    ck_assert_uint_ge(b.ns, a.ns);
    ck_assert_int_gt(base_clock_wall_s(clock), 1600000000);
    uint64_t x = base_random_u64(node_real_random()), y = base_random_u64(node_real_random());
    ck_assert(x != y);
    uint8_t large[100000] = {0};
    struct base_random *random = node_real_random();
    random->ops->fill(random, large, sizeof large);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof large; i++)
        zeros += large[i] == 0;
    ck_assert_uint_lt(zeros, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/posix");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, make_dir, remove_dir);
    tcase_add_test(tc, reads_are_short_only_at_the_end);
    tcase_add_test(tc, opening_tells_missing_from_existing);
    tcase_add_test(tc, preallocation_takes_space_and_reads_zeros);
    tcase_add_test(tc, a_full_disk_is_named);
    tcase_add_test(tc, enospc_is_nospace);
    tcase_add_test(tc, direct_is_only_a_hint);
    tcase_add_test(tc, names);
    tcase_add_test(tc, descriptors_are_not_inherited_by_programs);
    tcase_add_test(tc, clock_and_random);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
