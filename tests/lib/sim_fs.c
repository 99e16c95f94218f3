/* The file-system port over the disk model, with faults.
 *
 * Every operation goes: lock; off? → fail; count; a fault due? → fail, perhaps half done; do it;
 * trace it. Invariants: a handle whose life is not the file system's is dead (a crash or kill
 * came between); used_bytes is the sum of the sectors of the files in use. */
#include "tests/lib/sim_fs.h"

#include <stdio.h>

#include "tests/lib/sim_disk.h"

#define SIM_FAULTS_MAX 8
#define SIM_NAME_MAX 255

struct sim_fault {
    unsigned ops;
    uint64_t from, times, seen, hits;
    int code; /* 0: power cut */
};

struct sim_fs {
    struct base_fs base;
    pthread_mutex_t lock;
    struct rng rng;
    struct trace *trace;
    struct disk_node *root;
    struct sim_fault faults[SIM_FAULTS_MAX];
    size_t fault_count;
    uint64_t counts[16];
    uint64_t capacity, used;
    uint64_t life; /* handles of an earlier one are dead */
    size_t open_files;
    bool off;
};

struct sim_file {
    struct base_file base;
    struct sim_fs *fs;
    struct disk_node *node;
    uint64_t life;
    int flags;
    char path[SIM_NAME_MAX + 1]; /* for messages; cut */
};

static struct sim_fs *sim_fs_of(struct base_fs *base)
{
    return BASE_CONTAINER(base, struct sim_fs, base);
}

static struct sim_file *sim_file_of(struct base_file *base)
{
    return BASE_CONTAINER(base, struct sim_file, base);
}

static const char *op_name(unsigned op)
{
    static const char *const names[] = {
        "open",   "create", "read", "write", "sync",  "size", "truncate", "preallocate",
        "remove", "rename", "link", "mkdir", "rmdir", "list", "sync_dir", "free_bytes"};
    return names[__builtin_ctz(op)];
}

static uint64_t sectors_bytes(uint64_t size)
{
    return (size + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR;
}

/* One operation. */

/* Locks; returns 0 to go on, or the code the operation fails with. *cut: the power goes at this
 * one. */
static int op_begin(struct sim_fs *fs, unsigned op, const char *path, bool *cut,
                    struct base_err *err)
{
    *cut = false;
    pthread_mutex_lock(&fs->lock);
    if (fs->off)
        return base_err_set(err, BASE_E_IO, "%s %s: the power is off", op_name(op), path);
    fs->counts[__builtin_ctz(op)]++;
    int code = BASE_OK;
    for (size_t i = 0; i < fs->fault_count; i++) {
        struct sim_fault *f = &fs->faults[i];
        if (!(f->ops & op))
            continue;
        uint64_t n = f->seen++;
        if (n < f->from || n - f->from >= f->times)
            continue;
        f->hits++;
        if (f->code == BASE_OK)
            *cut = true;
        code = f->code == BASE_OK ? BASE_E_IO : f->code;
    }
    return code ? base_err_set(err, code, "%s %s: %s (injected)", op_name(op), path,
                               base_err_words(code))
                : BASE_OK;
}

static int op_end(struct sim_fs *fs, unsigned op, const char *path, bool cut, uint64_t a,
                  uint64_t b, struct base_slice data, int rc)
{
    if (cut)
        fs->off = true;
    if (fs->trace)
        trace_add(fs->trace, op_name(op), path, a, b * 64 + (uint64_t)rc, data);
    pthread_mutex_unlock(&fs->lock);
    return rc;
}

#define NO_BYTES ((struct base_slice){0})

/* Paths. */

/* The directory that holds the last component, and that component; NULL when there is none. */
static struct disk_node *walk(struct sim_fs *fs, const char *path, char *last)
{
    struct disk_node *dir = fs->root;
    last[0] = 0;
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len && !(len == 1 && path[0] == '.')) {
            if (last[0]) {
                dir = disk_find(dir, last, strlen(last));
                if (!dir || !dir->is_dir)
                    return NULL;
            }
            BASE_ASSERT(len <= SIM_NAME_MAX);
            memcpy(last, path, len);
            last[len] = 0;
        }
        path += len;
        path += *path == '/';
    }
    return dir;
}

static struct disk_node *lookup(struct sim_fs *fs, const char *path)
{
    char last[SIM_NAME_MAX + 1];
    struct disk_node *dir = walk(fs, path, last);
    return dir && last[0] ? disk_find(dir, last, strlen(last)) : dir;
}

static int not_found(struct base_err *err, unsigned op, const char *path)
{
    return base_err_set(err, BASE_E_NOTFOUND, "%s %s: no such file or directory", op_name(op),
                        path);
}

/* A node left names or handles: its space may be free now. */
static void maybe_unused(struct sim_fs *fs, struct disk_node *node)
{
    if (node->in_use == 0 && !node->is_dir)
        fs->used -= sectors_bytes(node->now.size);
}

static void resize(struct sim_fs *fs, struct disk_node *node, uint64_t size)
{
    fs->used -= sectors_bytes(node->now.size);
    fs->used += sectors_bytes(size);
    disk_resize(node, size);
}

/* How large the file may become. */
static uint64_t size_limit(const struct sim_fs *fs, const struct disk_node *node)
{
    if (fs->capacity == UINT64_MAX)
        return UINT64_MAX;
    uint64_t free_bytes = fs->capacity > fs->used ? fs->capacity - fs->used : 0;
    return sectors_bytes(node->now.size) + free_bytes / SIM_SECTOR * SIM_SECTOR;
}

/* Files. */

static int file_begin(struct sim_file *f, unsigned op, int flag, bool *cut, struct base_err *err)
{
    int rc = op_begin(f->fs, op, f->path, cut, err);
    if (rc == BASE_OK && f->life != f->fs->life)
        rc = base_err_set(err, BASE_E_IO, "%s %s: the file is of an earlier life", op_name(op),
                          f->path);
    BASE_ASSERT(!flag || f->flags & flag);
    return rc;
}

static int sim_file_read(struct base_file *base, uint64_t offset, void *buf, size_t len,
                         size_t *got, struct base_err *err)
{
    struct sim_file *f = sim_file_of(base);
    bool cut;
    *got = 0;
    int rc = file_begin(f, SIM_FS_READ, BASE_OPEN_READ, &cut, err);
    if (rc == BASE_OK && offset < f->node->now.size) {
        size_t left = f->node->now.size - (size_t)offset;
        *got = len < left ? len : left;
        if (*got)
            memcpy(buf, f->node->now.data + offset, *got);
    }
    return op_end(f->fs, SIM_FS_READ, f->path, cut, offset, len, base_slice(buf, *got), rc);
}

/* The part of a failing write that was done: nothing, or some first part of it. */
static size_t part_of(struct sim_fs *fs, size_t len)
{
    return rng_chance(&fs->rng, 50) ? 0 : (size_t)rng_below(&fs->rng, len + 1);
}

static int sim_file_write(struct base_file *base, uint64_t offset, const void *buf, size_t len,
                          struct base_err *err)
{
    struct sim_file *f = sim_file_of(base);
    struct sim_fs *fs = f->fs;
    bool cut;
    int rc = file_begin(f, SIM_FS_WRITE, BASE_OPEN_WRITE, &cut, err);
    size_t done = len;
    if (rc != BASE_OK)
        done = fs->off || f->life != fs->life ? 0 : cut ? len : part_of(fs, len);
    uint64_t limit = size_limit(fs, f->node);
    if (offset + done > limit) {
        done = offset < limit ? part_of(fs, (size_t)(limit - offset)) : 0;
        if (rc == BASE_OK)
            rc = base_err_set(err, BASE_E_NOSPACE, "write %s: no space left on the disk", f->path);
    }
    if (done) {
        if (offset + done > f->node->now.size)
            resize(fs, f->node, offset + done);
        disk_write(f->node, offset, buf, done);
        if (rng_one_in(&fs->rng, 16))
            disk_writeback(f->node, &fs->rng);
    }
    return op_end(fs, SIM_FS_WRITE, f->path, cut, offset, len, base_slice(buf, done), rc);
}

static int sim_file_sync(struct base_file *base, struct base_err *err)
{
    struct sim_file *f = sim_file_of(base);
    bool cut;
    int rc = file_begin(f, SIM_FS_SYNC, 0, &cut, err);
    if (rc == BASE_OK)
        disk_sync(f->node);
    else if (!f->fs->off && f->life == f->fs->life)
        disk_sync_failed(f->node, &f->fs->rng);
    return op_end(f->fs, SIM_FS_SYNC, f->path, cut, 0, 0, NO_BYTES, rc);
}

static int sim_file_size(struct base_file *base, uint64_t *size, struct base_err *err)
{
    struct sim_file *f = sim_file_of(base);
    bool cut;
    int rc = file_begin(f, SIM_FS_SIZE, 0, &cut, err);
    *size = rc == BASE_OK ? f->node->now.size : 0;
    return op_end(f->fs, SIM_FS_SIZE, f->path, cut, *size, 0, NO_BYTES, rc);
}

static int sim_file_resize(struct base_file *base, unsigned op, uint64_t size, struct base_err *err)
{
    struct sim_file *f = sim_file_of(base);
    bool cut;
    int rc = file_begin(f, op, BASE_OPEN_WRITE, &cut, err);
    bool grow_only = op == SIM_FS_PREALLOCATE;
    if (rc == BASE_OK && size > f->node->now.size && size > size_limit(f->fs, f->node))
        rc = base_err_set(err, BASE_E_NOSPACE, "%s %s: no space left on the disk", op_name(op),
                          f->path);
    if ((rc == BASE_OK || cut) && !(grow_only && size <= f->node->now.size) &&
        f->life == f->fs->life)
        resize(f->fs, f->node, size);
    return op_end(f->fs, op, f->path, cut, size, 0, NO_BYTES, rc);
}

static int sim_file_truncate(struct base_file *base, uint64_t size, struct base_err *err)
{
    return sim_file_resize(base, SIM_FS_TRUNCATE, size, err);
}

static int sim_file_preallocate(struct base_file *base, uint64_t size, struct base_err *err)
{
    return sim_file_resize(base, SIM_FS_PREALLOCATE, size, err);
}

static void sim_file_close(struct base_file *base)
{
    struct sim_file *f = sim_file_of(base);
    struct sim_fs *fs = f->fs;
    pthread_mutex_lock(&fs->lock);
    if (f->life == fs->life) {
        f->node->in_use--;
        maybe_unused(fs, f->node);
    }
    disk_node_release(f->node);
    fs->open_files--;
    pthread_mutex_unlock(&fs->lock);
    free(f);
}

static const struct base_file_ops sim_file_ops = {
    sim_file_read,     sim_file_write,       sim_file_sync,  sim_file_size,
    sim_file_truncate, sim_file_preallocate, sim_file_close,
};

/* Names. */

static int sim_open(struct base_fs *base, const char *path, int flags, struct base_file **out,
                    struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    char last[SIM_NAME_MAX + 1];
    BASE_ASSERT(flags & (BASE_OPEN_READ | BASE_OPEN_WRITE));
    *out = NULL;
    pthread_mutex_lock(&fs->lock); /* to know whether this is an open or a creation */
    unsigned op = flags & BASE_OPEN_CREATE && !lookup(fs, path) ? SIM_FS_CREATE : SIM_FS_OPEN;
    pthread_mutex_unlock(&fs->lock);
    bool cut;
    int rc = op_begin(fs, op, path, &cut, err);
    struct disk_node *dir = walk(fs, path, last);
    struct disk_node *node = dir ? disk_find(dir, last, strlen(last)) : NULL;
    if (rc == BASE_OK && node && node->is_dir)
        rc = base_err_set(err, BASE_E_IO, "open %s: is a directory", path);
    else if (rc == BASE_OK && node && flags & BASE_OPEN_CREATE && flags & BASE_OPEN_EXCLUSIVE)
        rc = base_err_set(err, BASE_E_EXISTS, "open %s: already exists", path);
    else if (rc == BASE_OK && !node && (!dir || !(flags & BASE_OPEN_CREATE)))
        rc = not_found(err, op, path);
    if ((rc == BASE_OK || cut) && !node && dir && op == SIM_FS_CREATE) {
        node = disk_node_new(false);
        disk_change(dir, NULL, last, node);
        disk_node_release(node);
    }
    struct sim_file *f = rc == BASE_OK ? calloc(1, sizeof *f) : NULL;
    if (rc == BASE_OK && !f)
        rc = base_err_set(err, BASE_E_NOMEM, "open %s: out of memory", path);
    if (f) {
        *f = (struct sim_file){{&sim_file_ops}, fs, node, fs->life, flags, {0}};
        snprintf(f->path, sizeof f->path, "%s", path);
        disk_node_acquire(node);
        node->in_use++;
        fs->open_files++;
        *out = &f->base;
    }
    return op_end(fs, op, path, cut, (uint64_t)flags, 0, NO_BYTES, rc);
}

static int sim_remove_op(struct sim_fs *fs, unsigned op, const char *path, struct base_err *err)
{
    char last[SIM_NAME_MAX + 1];
    bool cut;
    int rc = op_begin(fs, op, path, &cut, err);
    struct disk_node *dir = walk(fs, path, last);
    struct disk_node *node = dir ? disk_find(dir, last, strlen(last)) : NULL;
    if (rc == BASE_OK && !node)
        rc = not_found(err, op, path);
    else if (rc == BASE_OK && node->is_dir != (op == SIM_FS_RMDIR))
        rc = base_err_set(err, BASE_E_IO, "%s %s: %s a directory", op_name(op), path,
                          node->is_dir ? "is" : "not");
    else if (rc == BASE_OK && node->is_dir && node->names.count)
        rc = base_err_set(err, BASE_E_IO, "rmdir %s: directory not empty", path);
    if (rc == BASE_OK || (cut && node && !node->is_dir)) {
        disk_node_acquire(node);
        disk_change(dir, last, NULL, NULL);
        maybe_unused(fs, node);
        disk_node_release(node);
    }
    return op_end(fs, op, path, cut, 0, 0, NO_BYTES, rc);
}

static int sim_remove(struct base_fs *base, const char *path, struct base_err *err)
{
    return sim_remove_op(sim_fs_of(base), SIM_FS_REMOVE, path, err);
}

static int sim_rmdir(struct base_fs *base, const char *path, struct base_err *err)
{
    return sim_remove_op(sim_fs_of(base), SIM_FS_RMDIR, path, err);
}

static int sim_rename(struct base_fs *base, const char *from, const char *to, struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    char name_from[SIM_NAME_MAX + 1], name_to[SIM_NAME_MAX + 1];
    bool cut;
    int rc = op_begin(fs, SIM_FS_RENAME, from, &cut, err);
    struct disk_node *dir_from = walk(fs, from, name_from), *dir_to = walk(fs, to, name_to);
    struct disk_node *node = dir_from ? disk_find(dir_from, name_from, strlen(name_from)) : NULL;
    struct disk_node *old = dir_to ? disk_find(dir_to, name_to, strlen(name_to)) : NULL;
    if (rc == BASE_OK && (!node || !dir_to || !name_to[0]))
        rc = not_found(err, SIM_FS_RENAME, node ? to : from);
    else if (rc == BASE_OK && old && old->is_dir)
        rc = base_err_set(err, BASE_E_IO, "rename %s to %s: is a directory", from, to);
    if ((rc == BASE_OK || (cut && node && dir_to)) && node != old) {
        if (old)
            disk_node_acquire(old);
        if (dir_from == dir_to) {
            disk_change(dir_to, name_from, name_to, node);
        } else {
            disk_change(dir_to, NULL, name_to, node);
            disk_change(dir_from, name_from, NULL, NULL);
        }
        if (old) {
            maybe_unused(fs, old);
            disk_node_release(old);
        }
    }
    return op_end(fs, SIM_FS_RENAME, from, cut, 0, 0, base_slice_str(to), rc);
}

static int sim_link(struct base_fs *base, const char *from, const char *to, struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    char name_to[SIM_NAME_MAX + 1];
    bool cut;
    int rc = op_begin(fs, SIM_FS_LINK, from, &cut, err);
    struct disk_node *node = lookup(fs, from), *dir = walk(fs, to, name_to);
    if (rc == BASE_OK && (!node || !dir))
        rc = not_found(err, SIM_FS_LINK, node ? to : from);
    else if (rc == BASE_OK && (node->is_dir || disk_find(dir, name_to, strlen(name_to))))
        rc = base_err_set(err, BASE_E_EXISTS, "link %s to %s: already exists", from, to);
    if (rc == BASE_OK)
        disk_change(dir, NULL, name_to, node);
    return op_end(fs, SIM_FS_LINK, from, cut, 0, 0, base_slice_str(to), rc);
}

static int sim_mkdir(struct base_fs *base, const char *path, struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    char last[SIM_NAME_MAX + 1];
    bool cut;
    int rc = op_begin(fs, SIM_FS_MKDIR, path, &cut, err);
    struct disk_node *dir = walk(fs, path, last);
    struct disk_node *node = dir && last[0] ? disk_find(dir, last, strlen(last)) : dir;
    if (rc == BASE_OK && !dir)
        rc = not_found(err, SIM_FS_MKDIR, path);
    else if (rc == BASE_OK && node && !node->is_dir)
        rc = base_err_set(err, BASE_E_EXISTS, "mkdir %s: is a file", path);
    if ((rc == BASE_OK || cut) && dir && !node) {
        node = disk_node_new(true);
        disk_change(dir, NULL, last, node);
        disk_node_release(node);
    }
    return op_end(fs, SIM_FS_MKDIR, path, cut, 0, 0, NO_BYTES, rc);
}

/* Copies the names first, in an order of the seed: `each` may call us. */
static int sim_list(struct base_fs *base, const char *path, int (*each)(void *, const char *),
                    void *ctx, struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    bool cut;
    char **names = NULL;
    size_t count = 0;
    int rc = op_begin(fs, SIM_FS_LIST, path, &cut, err);
    struct disk_node *dir = lookup(fs, path);
    if (rc == BASE_OK && (!dir || !dir->is_dir))
        rc = not_found(err, SIM_FS_LIST, path);
    if (rc == BASE_OK && dir->names.count) {
        names = calloc(dir->names.count, sizeof *names);
        if (!names)
            rc = base_err_set(err, BASE_E_NOMEM, "list %s: out of memory", path);
        for (; names && count < dir->names.count; count++) {
            size_t at = (size_t)rng_below(&fs->rng, count + 1);
            names[count] = names[at];
            names[at] = strdup(dir->names.items[count].name);
        }
    }
    rc = op_end(fs, SIM_FS_LIST, path, cut, count, 0, NO_BYTES, rc);
    bool stop = false;
    for (size_t i = 0; i < count; i++) {
        if (!names[i] && rc == BASE_OK)
            rc = base_err_set(err, BASE_E_NOMEM, "list %s: out of memory", path);
        stop = stop || rc != BASE_OK || each(ctx, names[i]) != 0;
        free(names[i]);
    }
    free(names);
    return rc;
}

static int sim_sync_dir(struct base_fs *base, const char *path, struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    bool cut;
    int rc = op_begin(fs, SIM_FS_SYNC_DIR, path, &cut, err);
    struct disk_node *dir = lookup(fs, path);
    if (rc == BASE_OK && (!dir || !dir->is_dir))
        rc = not_found(err, SIM_FS_SYNC_DIR, path);
    if (rc == BASE_OK)
        disk_sync_dir(dir);
    return op_end(fs, SIM_FS_SYNC_DIR, path, cut, 0, 0, NO_BYTES, rc);
}

static int sim_free_bytes(struct base_fs *base, const char *path, uint64_t *free_bytes,
                          struct base_err *err)
{
    struct sim_fs *fs = sim_fs_of(base);
    bool cut;
    int rc = op_begin(fs, SIM_FS_FREE, path, &cut, err);
    *free_bytes = rc != BASE_OK                ? 0
                  : fs->capacity == UINT64_MAX ? UINT64_C(1) << 50
                  : fs->capacity > fs->used    ? fs->capacity - fs->used
                                               : 0;
    return op_end(fs, SIM_FS_FREE, path, cut, *free_bytes, 0, NO_BYTES, rc);
}

static const struct base_fs_ops sim_fs_ops = {
    sim_open,  sim_remove, sim_rename,   sim_link,       sim_mkdir,
    sim_rmdir, sim_list,   sim_sync_dir, sim_free_bytes,
};

/* The test's side. */

struct sim_fs *sim_fs_new(uint64_t seed)
{
    struct sim_fs *fs = calloc(1, sizeof *fs);
    BASE_ASSERT(fs);
    fs->base.ops = &sim_fs_ops;
    pthread_mutex_init(&fs->lock, NULL);
    fs->rng = rng_seeded(seed);
    fs->root = disk_node_new(true);
    fs->capacity = UINT64_MAX;
    return fs;
}

void sim_fs_free(struct sim_fs *fs)
{
    BASE_ASSERT(fs->open_files == 0);
    disk_node_release(fs->root);
    pthread_mutex_destroy(&fs->lock);
    free(fs);
}

struct base_fs *sim_fs_port(struct sim_fs *fs)
{
    return &fs->base;
}

void sim_fs_set_trace(struct sim_fs *fs, struct trace *trace)
{
    fs->trace = trace;
}

static void forget_use(struct disk_node *dir)
{
    for (size_t i = 0; i < dir->names.count; i++) {
        dir->names.items[i].node->in_use = 0;
        if (dir->names.items[i].node->is_dir)
            forget_use(dir->names.items[i].node);
    }
}

/* Names keep files in use; returns the space they take, a file with two names once. */
static uint64_t count_use(struct disk_node *dir)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < dir->names.count; i++) {
        struct disk_node *node = dir->names.items[i].node;
        bool first = node->in_use++ == 0;
        sum += node->is_dir ? count_use(node) : first ? sectors_bytes(node->now.size) : 0;
    }
    return sum;
}

/* After a crash or a copy: there are no handles. */
static void recount(struct sim_fs *fs)
{
    forget_use(fs->root);
    fs->used = count_use(fs->root);
}

struct sim_fs *sim_fs_clone(struct sim_fs *fs, uint64_t seed)
{
    struct sim_fs *copy = sim_fs_new(seed);
    pthread_mutex_lock(&fs->lock);
    disk_node_release(copy->root);
    copy->root = disk_clone(fs->root);
    recount(copy);
    pthread_mutex_unlock(&fs->lock);
    return copy;
}

void sim_fs_fail(struct sim_fs *fs, unsigned ops, uint64_t k, uint64_t times, int code)
{
    pthread_mutex_lock(&fs->lock);
    BASE_ASSERT(fs->fault_count < SIM_FAULTS_MAX && ops != 0);
    fs->faults[fs->fault_count++] =
        (struct sim_fault){.ops = ops, .from = k, .times = times, .code = code};
    pthread_mutex_unlock(&fs->lock);
}

void sim_fs_cut_power(struct sim_fs *fs, unsigned ops, uint64_t k)
{
    sim_fs_fail(fs, ops, k, 1, BASE_OK);
}

uint64_t sim_fs_clear_faults(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    uint64_t hits = 0;
    for (size_t i = 0; i < fs->fault_count; i++)
        hits += fs->faults[i].hits;
    fs->fault_count = 0;
    pthread_mutex_unlock(&fs->lock);
    return hits;
}

void sim_fs_set_capacity(struct sim_fs *fs, uint64_t bytes)
{
    pthread_mutex_lock(&fs->lock);
    fs->capacity = bytes;
    pthread_mutex_unlock(&fs->lock);
}

uint64_t sim_fs_used_bytes(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    uint64_t used = fs->used;
    pthread_mutex_unlock(&fs->lock);
    return used;
}

void sim_fs_power_off(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    fs->off = true;
    pthread_mutex_unlock(&fs->lock);
}

bool sim_fs_is_off(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    bool off = fs->off;
    pthread_mutex_unlock(&fs->lock);
    return off;
}

static void new_life(struct sim_fs *fs)
{
    recount(fs);
    fs->life++;
    fs->off = false;
    fs->fault_count = 0;
}

void sim_fs_kill(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    new_life(fs);
    pthread_mutex_unlock(&fs->lock);
}

void sim_fs_crash(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    disk_lose_power(fs->root, &fs->rng);
    new_life(fs);
    pthread_mutex_unlock(&fs->lock);
}

bool sim_fs_flip(struct sim_fs *fs, const char *path, uint64_t offset, unsigned bit)
{
    pthread_mutex_lock(&fs->lock);
    struct disk_node *node = lookup(fs, path);
    bool there = node && !node->is_dir && offset < node->now.size;
    if (there) {
        node->now.data[offset] ^= (uint8_t)(1u << bit);
        if (offset < node->kept.size)
            node->kept.data[offset] ^= (uint8_t)(1u << bit);
    }
    pthread_mutex_unlock(&fs->lock);
    return there;
}

uint64_t sim_fs_count(struct sim_fs *fs, unsigned ops)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&fs->lock);
    for (unsigned i = 0; i < 16; i++)
        if (ops & (1u << i))
            sum += fs->counts[i];
    pthread_mutex_unlock(&fs->lock);
    return sum;
}

size_t sim_fs_open_files(struct sim_fs *fs)
{
    pthread_mutex_lock(&fs->lock);
    size_t n = fs->open_files;
    pthread_mutex_unlock(&fs->lock);
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct disk_name *)a)->name, ((const struct disk_name *)b)->name);
}

static void walk_tree(struct disk_node *dir, const char *prefix,
                      void (*each)(void *ctx, const char *path, uint64_t size), void *ctx)
{
    if (dir->names.count)
        qsort(dir->names.items, dir->names.count, sizeof *dir->names.items, by_name);
    for (size_t i = 0; i < dir->names.count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", dir->names.items[i].name);
        if (dir->names.items[i].node->is_dir)
            walk_tree(dir->names.items[i].node, path, each, ctx);
        else
            each(ctx, path, dir->names.items[i].node->now.size);
    }
}

void sim_fs_walk(struct sim_fs *fs, void (*each)(void *ctx, const char *path, uint64_t size),
                 void *ctx)
{
    walk_tree(fs->root, "", each, ctx);
}

struct base_slice sim_fs_bytes(struct sim_fs *fs, const char *path)
{
    pthread_mutex_lock(&fs->lock);
    struct disk_node *node = lookup(fs, path);
    struct base_slice bytes = {0};
    if (node && !node->is_dir)
        bytes = base_slice(node->now.data ? node->now.data : (const uint8_t *)"", node->now.size);
    pthread_mutex_unlock(&fs->lock);
    return bytes;
}
