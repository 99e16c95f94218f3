/* The file-system port over POSIX.
 *
 * Invariants:
 *  1. Every descriptor is close-on-exec: a host that runs programs does not leak our files to them.
 *  2. Calls cut short by a signal or by the kernel's size limit go on where they were; the caller
 *     sees all or an error.
 *  3. preallocate writes zeros past the old end (after asking the file system for the space, so
 *     that a full disk is known before anything is written): only written blocks make a later
 *     fdatasync cheap, for unwritten extents have to be converted in the journal first (baselines:
 *     200 against 350 µs), and only through the page cache do small appends later need no read.
 *  4. BASE_OPEN_DIRECT is a hint. A write whose offset, length and memory are aligned goes around
 *     the page cache through a second descriptor; any other write, or a file system that refuses,
 *     takes the ordinary way. Linux keeps both coherent within one file for bytes that do not
 *     overlap in flight, and one writer at a time is what the port's users have. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "node/ports.h"

#define DIRECT_ALIGN 4096u
#define ZERO_CHUNK (256u * 1024)

struct posix_file {
    struct base_file file;
    int fd;
    int direct_fd; /* -1: none */
    char path[];
};

static struct posix_file *posix_file(struct base_file *f)
{
    return BASE_CONTAINER(f, struct posix_file, file);
}

/* "<operation> <path>: <cause>". A file-size limit (EFBIG) is a full disk to whoever writes. */
static int fail(struct base_err *err, const char *operation, const char *path)
{
    int errnum = errno;
    char text[128];
    int code = errnum == EFBIG ? BASE_E_NOSPACE : base_err_from_errno(errnum);
    return base_err_set(err, code, "%s %s: %s", operation, path,
                        strerror_r(errnum, text, sizeof text));
}

/* Files. */

static int posix_read(struct base_file *f, uint64_t offset, void *buf, size_t len, size_t *got,
                      struct base_err *err)
{
    struct posix_file *file = posix_file(f);
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(file->fd, (uint8_t *)buf + *got, len - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *got = 0;
            return fail(err, "read", file->path);
        }
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return BASE_OK;
}

/* Write all; the errno of the first failure stays. */
static int write_all(int fd, uint64_t offset, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) {
            errno = ENOSPC;
            return -1;
        }
        buf += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static bool is_direct_write(uint64_t offset, const void *buf, size_t len)
{
    return len && ((offset | (uintptr_t)buf | len) & (DIRECT_ALIGN - 1)) == 0;
}

static int posix_write(struct base_file *f, uint64_t offset, const void *buf, size_t len,
                       struct base_err *err)
{
    struct posix_file *file = posix_file(f);
    if (file->direct_fd >= 0 && is_direct_write(offset, buf, len)) {
        if (write_all(file->direct_fd, offset, buf, len) == 0)
            return BASE_OK;
        if (errno != EINVAL)
            return fail(err, "write", file->path);
        /* The device wants a larger alignment: the ordinary way then. */
    }
    if (write_all(file->fd, offset, buf, len) != 0)
        return fail(err, "write", file->path);
    return BASE_OK;
}

static int posix_sync(struct base_file *f, struct base_err *err)
{
    struct posix_file *file = posix_file(f);
    int rc;
    do {
        rc = fdatasync(file->fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? BASE_OK : fail(err, "sync", file->path);
}

static int posix_size(struct base_file *f, uint64_t *size, struct base_err *err)
{
    struct stat st;
    if (fstat(posix_file(f)->fd, &st) != 0) {
        *size = 0;
        return fail(err, "stat", posix_file(f)->path);
    }
    *size = (uint64_t)st.st_size;
    return BASE_OK;
}

static int posix_truncate(struct base_file *f, uint64_t size, struct base_err *err)
{
    struct posix_file *file = posix_file(f);
    int rc;
    do {
        rc = ftruncate(file->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? BASE_OK : fail(err, "truncate", file->path);
}

static int posix_preallocate(struct base_file *f, uint64_t size, struct base_err *err)
{
    static const uint8_t zeros[ZERO_CHUNK];
    struct posix_file *file = posix_file(f);
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return fail(err, "stat", file->path);
    uint64_t old_size = (uint64_t)st.st_size;
    int rc, ignored;
    do {
        rc = size ? fallocate(file->fd, 0, 0, (off_t)size) : 0;
    } while (rc != 0 && errno == EINTR);
    /* A file system without fallocate: writing the zeros takes the space as well. */
    if (rc != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        goto fail;
    for (uint64_t at = old_size; at < size;) {
        size_t n = size - at < ZERO_CHUNK ? (size_t)(size - at) : ZERO_CHUNK;
        if (write_all(file->fd, at, zeros, n) != 0)
            goto fail;
        at += n;
    }
    if (size > old_size)
        (void)sync_file_range(file->fd, (off_t)old_size, (off_t)(size - old_size),
                              SYNC_FILE_RANGE_WRITE); /* a hint: start now */
    return BASE_OK;
fail:
    rc = fail(err, "preallocate", file->path);
    /* Give back what was taken; should even that fail, the bytes read as zeros all the same. */
    ignored = ftruncate(file->fd, (off_t)old_size);
    (void)ignored;
    return rc;
}

static void posix_close(struct base_file *f)
{
    struct posix_file *file = posix_file(f);
    if (file->direct_fd >= 0)
        close(file->direct_fd);
    close(file->fd);
    free(file);
}

static const struct base_file_ops posix_file_ops = {
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .size = posix_size,
    .truncate = posix_truncate,
    .preallocate = posix_preallocate,
    .close = posix_close,
};

/* Names. */

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    do {
        fd = open(path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static int posix_open(struct base_fs *fs, const char *path, int flags, struct base_file **out,
                      struct base_err *err)
{
    (void)fs;
    BASE_ASSERT(flags & (BASE_OPEN_READ | BASE_OPEN_WRITE));
    BASE_ASSERT(!(flags & BASE_OPEN_EXCLUSIVE) || (flags & BASE_OPEN_CREATE));
    *out = NULL;
    int how = O_CLOEXEC | (flags & BASE_OPEN_WRITE ? O_RDWR : O_RDONLY);
    how |= flags & BASE_OPEN_CREATE ? O_CREAT : 0;
    how |= flags & BASE_OPEN_EXCLUSIVE ? O_EXCL : 0;
    size_t len = strlen(path) + 1;
    struct posix_file *file = malloc(sizeof *file + len);
    if (!file)
        return base_err_set(err, BASE_E_NOMEM, "open %s: out of memory", path);
    file->fd = open_retry(path, how, 0600);
    if (file->fd < 0) {
        free(file);
        return fail(err, "open", path);
    }
    file->direct_fd = -1;
    if ((flags & BASE_OPEN_DIRECT) && (flags & BASE_OPEN_WRITE))
        file->direct_fd =
            open_retry(path, O_CLOEXEC | O_WRONLY | O_DIRECT, 0); /* refused (tmpfs): without */
    file->file.ops = &posix_file_ops;
    memcpy(file->path, path, len);
    *out = &file->file;
    return BASE_OK;
}

static int posix_remove(struct base_fs *fs, const char *path, struct base_err *err)
{
    (void)fs;
    return unlink(path) == 0 ? BASE_OK : fail(err, "remove", path);
}

static int posix_rename(struct base_fs *fs, const char *from, const char *to, struct base_err *err)
{
    (void)fs;
    return rename(from, to) == 0 ? BASE_OK : fail(err, "rename", from);
}

static int posix_link(struct base_fs *fs, const char *from, const char *to, struct base_err *err)
{
    (void)fs;
    return link(from, to) == 0 ? BASE_OK : fail(err, "link", to);
}

static int posix_mkdir(struct base_fs *fs, const char *path, struct base_err *err)
{
    (void)fs;
    if (mkdir(path, 0700) == 0)
        return BASE_OK;
    struct stat st;
    if (errno == EEXIST) {
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return BASE_OK;
        errno = ENOTDIR;
    }
    return fail(err, "make directory", path);
}

static int posix_rmdir(struct base_fs *fs, const char *path, struct base_err *err)
{
    (void)fs;
    return rmdir(path) == 0 ? BASE_OK : fail(err, "remove directory", path);
}

static int posix_list(struct base_fs *fs, const char *path, int (*each)(void *, const char *),
                      void *ctx, struct base_err *err)
{
    (void)fs;
    DIR *dir = opendir(path);
    if (!dir)
        return fail(err, "list", path);
    int rc = BASE_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                rc = fail(err, "list", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        rc = each(ctx, entry->d_name);
        if (rc)
            break;
    }
    closedir(dir);
    return rc;
}

static int posix_sync_dir(struct base_fs *fs, const char *path, struct base_err *err)
{
    (void)fs;
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, "open directory", path);
    int rc;
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    rc = rc == 0 ? BASE_OK : fail(err, "sync directory", path);
    close(fd);
    return rc;
}

static int posix_free_bytes(struct base_fs *fs, const char *path, uint64_t *free_bytes,
                            struct base_err *err)
{
    (void)fs;
    struct statvfs st;
    *free_bytes = 0;
    if (statvfs(path, &st) != 0)
        return fail(err, "stat file system of", path);
    *free_bytes = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    return BASE_OK;
}

static const struct base_fs_ops posix_fs_ops = {
    .open = posix_open,
    .remove = posix_remove,
    .rename = posix_rename,
    .link = posix_link,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .list = posix_list,
    .sync_dir = posix_sync_dir,
    .free_bytes = posix_free_bytes,
};

struct base_fs *node_posix_fs(void)
{
    static struct base_fs fs = {.ops = &posix_fs_ops}; /* never written */
    return &fs;
}
