/* The lock on a data directory: an open-file-description lock on DIR/LOCK.
 *
 * Why that kind: a process-owned POSIX lock vanishes when any descriptor of the file is closed
 * anywhere in the process, and two openers in one process do not exclude each other; flock(2) does
 * nothing over some network file systems. Invariants:
 *  1. The lock decides, the text in the file (the owner's process id) only explains: a stale text
 *     is harmless.
 *  2. The lock belongs to the open file, which a forked child shares: release unlocks for all
 *     copies; a child only closes its own (forget), so that it does not hold the directory after
 *     its parent's sudden end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/node_private.h"

static int fail(struct base_err *err, const char *operation, const char *path)
{
    int errnum = errno;
    char text[128];
    return base_err_set(err, base_err_from_errno(errnum), "%s %s: %s", operation, path,
                        strerror_r(errnum, text, sizeof text));
}

/* The process id in the file; 0: not readable (yet). */
static long read_owner(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

static int busy(struct base_err *err, const char *dir, int fd)
{
    long owner = read_owner(fd);
    if (owner <= 0)
        return base_err_set(err, BASE_E_BUSY, "directory %s is in use by another process", dir);
    if (owner == (long)getpid())
        return base_err_set(
            err, BASE_E_BUSY,
            "directory %s is in use by process %ld: this one, through another copy of the library",
            dir, owner);
    return base_err_set(err, BASE_E_BUSY, "directory %s is in use by process %ld", dir, owner);
}

static int write_owner(int fd)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len ? 0 : -1;
}

/* Is the locked file still the one that the name leads to? (A directory may be removed and made
 * anew between open and lock: then we hold a lock on nothing.) */
static bool still_named(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

int nodei_dirlock_acquire(const char *dir, int *fd_out, struct base_err *err)
{
    char path[NODEI_PATH_LEN_MAX];
    *fd_out = -1;
    if (snprintf(path, sizeof path, "%s/LOCK", dir) >= (int)sizeof path)
        return base_err_set(err, BASE_E_LIMIT, "directory %s: the path is too long", dir);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return fail(err, "open", path);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int rc = BASE_OK;
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
            rc = errno == EAGAIN || errno == EACCES ? busy(err, dir, fd) : fail(err, "lock", path);
        else if (!still_named(fd, path)) {
            close(fd);
            continue;
        } else if (write_owner(fd) != 0)
            rc = fail(err, "write", path);
        if (rc == BASE_OK)
            *fd_out = fd;
        else
            close(fd);
        return rc;
    }
}

void nodei_dirlock_release(int fd)
{
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (fd < 0)
        return;
    int rc = fcntl(fd, F_OFD_SETLK, &unlock);
    BASE_ASSERT(rc == 0);
    close(fd);
}

void nodei_dirlock_forget(int fd)
{
    if (fd >= 0)
        close(fd);
}
