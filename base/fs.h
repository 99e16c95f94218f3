/* The port to the disk (DESIGN.md §8). Real filling: node/posix_fs.c. Simulated:
 * tests/lib/sim_fs.c, which can cut power at every write and sync, tear, and fail.
 *
 * What a caller may rely on, and no more: written bytes are visible to reads at once and survive
 * the process; they survive power loss after `sync` of the file, and a created, renamed or removed
 * name does after `sync_dir` of its directory. Unsynced bytes may survive in any part, in any
 * order, by 512-byte sectors. After a failed sync nothing is known about the unsynced bytes of that
 * file.
 *
 * Paths are absolute or relative to the process. Functions return 0 or BASE_E_IO, NOSPACE,
 * NOTFOUND, EXISTS, UNAUTHORIZED, NOMEM, with a text that names operation, path and cause. All are
 * thread-safe and may block. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/bytes.h"

struct base_file {
    const struct base_file_ops *ops;
};

enum base_open_flag {
    BASE_OPEN_READ = 1,
    BASE_OPEN_WRITE = 2,
    BASE_OPEN_CREATE = 4,    /* make it if it is not there (mode 0600) */
    BASE_OPEN_EXCLUSIVE = 8, /* with CREATE: EXISTS if it is there */
    BASE_OPEN_DIRECT = 16,   /* a hint: large aligned writes that will not be read soon */
};

struct base_file_ops {
    /* Read up to len bytes at offset; *got < len only at the end of the file. */
    int (*read)(struct base_file *f, uint64_t offset, void *buf, size_t len, size_t *got,
                struct base_err *err);
    /* Write all bytes at offset; on error some may have been written. */
    int (*write)(struct base_file *f, uint64_t offset, const void *buf, size_t len,
                 struct base_err *err);
    int (*sync)(struct base_file *f, struct base_err *err); /* data and size */
    int (*size)(struct base_file *f, uint64_t *size, struct base_err *err);
    int (*truncate)(struct base_file *f, uint64_t size, struct base_err *err);
    /* Make [0, size) take space on the disk now, reading as zeros where nothing was written. */
    int (*preallocate)(struct base_file *f, uint64_t size, struct base_err *err);
    void (*close)(struct base_file *f); /* never fails: sync says what is durable */
};

struct base_fs {
    const struct base_fs_ops *ops;
};
struct base_fs_ops {
    int (*open)(struct base_fs *fs, const char *path, int flags, struct base_file **out,
                struct base_err *err);
    int (*remove)(struct base_fs *fs, const char *path, struct base_err *err);
    /* replaces */
    int (*rename)(struct base_fs *fs, const char *from, const char *to, struct base_err *err);
    /* hard link */
    int (*link)(struct base_fs *fs, const char *from, const char *to, struct base_err *err);
    /* 0700; there already: 0 */
    int (*mkdir)(struct base_fs *fs, const char *path, struct base_err *err);
    int (*rmdir)(struct base_fs *fs, const char *path, struct base_err *err);
    /* Calls `each` for every name in the directory (not . and ..), in no order; stops when it
     * returns nonzero. */
    int (*list)(struct base_fs *fs, const char *path, int (*each)(void *ctx, const char *name),
                void *ctx, struct base_err *err);
    int (*sync_dir)(struct base_fs *fs, const char *path, struct base_err *err);
    int (*free_bytes)(struct base_fs *fs, const char *path, uint64_t *free_bytes,
                      struct base_err *err);
};

/* The calls, for readability: base_fs_open(fs, …) and so on. */
static inline int base_fs_open(struct base_fs *fs, const char *path, int flags,
                               struct base_file **out, struct base_err *err)
{
    *out = NULL;
    return fs->ops->open(fs, path, flags, out, err);
}
static inline int base_fs_remove(struct base_fs *fs, const char *path, struct base_err *err)
{
    return fs->ops->remove(fs, path, err);
}
static inline int base_fs_rename(struct base_fs *fs, const char *from, const char *to,
                                 struct base_err *err)
{
    return fs->ops->rename(fs, from, to, err);
}
static inline int base_fs_link(struct base_fs *fs, const char *from, const char *to,
                               struct base_err *err)
{
    return fs->ops->link(fs, from, to, err);
}
static inline int base_fs_mkdir(struct base_fs *fs, const char *path, struct base_err *err)
{
    return fs->ops->mkdir(fs, path, err);
}
static inline int base_fs_rmdir(struct base_fs *fs, const char *path, struct base_err *err)
{
    return fs->ops->rmdir(fs, path, err);
}
static inline int base_fs_list(struct base_fs *fs, const char *path,
                               int (*each)(void *, const char *), void *ctx, struct base_err *err)
{
    return fs->ops->list(fs, path, each, ctx, err);
}
static inline int base_fs_sync_dir(struct base_fs *fs, const char *path, struct base_err *err)
{
    return fs->ops->sync_dir(fs, path, err);
}
static inline int base_fs_free_bytes(struct base_fs *fs, const char *path, uint64_t *n,
                                     struct base_err *err)
{
    *n = 0;
    return fs->ops->free_bytes(fs, path, n, err);
}
static inline int base_file_read(struct base_file *f, uint64_t offset, void *buf, size_t len,
                                 size_t *got, struct base_err *err)
{
    *got = 0;
    return f->ops->read(f, offset, buf, len, got, err);
}
static inline int base_file_write(struct base_file *f, uint64_t offset, const void *buf, size_t len,
                                  struct base_err *err)
{
    return f->ops->write(f, offset, buf, len, err);
}
static inline int base_file_sync(struct base_file *f, struct base_err *err)
{
    return f->ops->sync(f, err);
}
static inline int base_file_size(struct base_file *f, uint64_t *size, struct base_err *err)
{
    *size = 0;
    return f->ops->size(f, size, err);
}
static inline int base_file_truncate(struct base_file *f, uint64_t size, struct base_err *err)
{
    return f->ops->truncate(f, size, err);
}
static inline int base_file_preallocate(struct base_file *f, uint64_t size, struct base_err *err)
{
    return f->ops->preallocate(f, size, err);
}
static inline void base_file_close(struct base_file *f)
{
    if (f)
        f->ops->close(f);
}

#endif
