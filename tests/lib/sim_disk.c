/* The disk model: see the header.
 *
 * Invariants: bytes past `size` are zero in both copies; outside [dirty_from, dirty_upto) no
 * sector is dirty; `names` is `names_kept` with all changes applied. Out of memory ends the test
 * program. */
#include "tests/lib/sim_disk.h"

#include <stdio.h>

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "sim_disk: out of memory\n");
        abort();
    }
    return p;
}

static char *copy_name(const char *name, size_t len)
{
    char *copy = must(malloc(len + 1));
    memcpy(copy, name, len);
    copy[len] = 0;
    return copy;
}

/* Bytes. */

static void bytes_resize(struct disk_bytes *b, size_t size)
{
    if (size > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 4096;
        while (cap < size)
            cap *= 2;
        b->data = must(realloc(b->data, cap));
        memset(b->data + b->cap, 0, cap - b->cap);
        b->cap = cap;
    }
    if (size < b->size)
        memset(b->data + size, 0, b->size - size);
    b->size = size;
}

/* Sector s of `from` becomes that of `to`, as far as `to` is long. */
static void bytes_copy_sector(struct disk_bytes *to, const struct disk_bytes *from, size_t s)
{
    size_t at = s * SIM_SECTOR, end = at + SIM_SECTOR;
    end = end < to->size ? end : to->size;
    for (; at < end; at++)
        to->data[at] = at < from->size ? from->data[at] : 0;
}

/* Nodes. */

struct disk_node *disk_node_new(bool is_dir)
{
    struct disk_node *node = must(calloc(1, sizeof *node));
    node->refs = 1;
    node->is_dir = is_dir;
    node->dirty_from = SIZE_MAX;
    return node;
}

void disk_node_acquire(struct disk_node *node)
{
    node->refs++;
}

static void names_clear(struct disk_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i].name);
        disk_node_release(names->items[i].node);
    }
    free(names->items);
    *names = (struct disk_names){0};
}

static void changes_clear(struct disk_node *dir)
{
    for (size_t i = 0; i < dir->change_count; i++) {
        free(dir->changes[i].unset);
        free(dir->changes[i].set);
        if (dir->changes[i].node)
            disk_node_release(dir->changes[i].node);
    }
    free(dir->changes);
    dir->changes = NULL;
    dir->change_count = dir->change_cap = 0;
}

void disk_node_release(struct disk_node *node)
{
    BASE_ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    names_clear(&node->names);
    names_clear(&node->names_kept);
    changes_clear(node);
    free(node->now.data);
    free(node->kept.data);
    free(node->dirty);
    free(node);
}

/* Files. */

static void mark_dirty(struct disk_node *file, uint64_t offset, uint64_t end)
{
    if (offset >= end)
        return;
    size_t from = (size_t)(offset / SIM_SECTOR),
           upto = (size_t)((end + SIM_SECTOR - 1) / SIM_SECTOR);
    if (upto > file->dirty_cap) {
        size_t cap = file->dirty_cap ? file->dirty_cap : 64;
        while (cap < upto)
            cap *= 2;
        file->dirty = must(realloc(file->dirty, cap));
        memset(file->dirty + file->dirty_cap, 0, cap - file->dirty_cap);
        file->dirty_cap = cap;
    }
    memset(file->dirty + from, 1, upto - from);
    file->dirty_from = from < file->dirty_from ? from : file->dirty_from;
    file->dirty_upto = upto > file->dirty_upto ? upto : file->dirty_upto;
}

static void clean(struct disk_node *file)
{
    if (file->dirty_from < file->dirty_upto)
        memset(file->dirty + file->dirty_from, 0, file->dirty_upto - file->dirty_from);
    file->dirty_from = SIZE_MAX;
    file->dirty_upto = 0;
}

void disk_write(struct disk_node *file, uint64_t offset, const void *buf, size_t len)
{
    if (len == 0)
        return;
    if (offset + len > file->now.size)
        disk_resize(file, offset + len);
    memcpy(file->now.data + offset, buf, len);
    mark_dirty(file, offset, offset + len);
}

void disk_resize(struct disk_node *file, uint64_t size)
{
    size_t old = file->now.size;
    bytes_resize(&file->now, (size_t)size);
    /* What was cut off must not come back when the file grows again before a sync. */
    if (size < old)
        mark_dirty(file, size, old);
}

/* Sector s as programs see it reaches the disk. */
static void keep_sector(struct disk_node *file, size_t s)
{
    size_t end = (s + 1) * SIM_SECTOR;
    end = end < file->now.size ? end : file->now.size;
    if (end > file->kept.size && end > s * SIM_SECTOR)
        bytes_resize(&file->kept, end);
    bytes_copy_sector(&file->kept, &file->now, s);
}

void disk_sync(struct disk_node *file)
{
    for (size_t s = file->dirty_from; s < file->dirty_upto; s++)
        if (file->dirty[s])
            keep_sector(file, s);
    bytes_resize(&file->kept, file->now.size);
    clean(file);
}

void disk_writeback(struct disk_node *file, struct rng *rng)
{
    for (size_t s = file->dirty_from; s < file->dirty_upto; s++)
        if (file->dirty[s] && rng_chance(rng, 50)) {
            keep_sector(file, s);
            file->dirty[s] = 0;
        }
}

void disk_sync_failed(struct disk_node *file, struct rng *rng)
{
    for (size_t s = file->dirty_from; s < file->dirty_upto; s++) {
        uint64_t fate = rng_below(rng, 3);
        if (!file->dirty[s] || fate == 0)
            continue;
        if (fate == 1)
            keep_sector(file, s);
        file->dirty[s] = 0;
    }
}

/* A size that an unsynced change of size may leave. */
static size_t size_after_loss(const struct disk_node *file, struct rng *rng)
{
    size_t a = file->kept.size, b = file->now.size;
    switch (rng_below(rng, 3)) {
    case 0:
        return a;
    case 1:
        return b;
    default:
        return (size_t)rng_between(rng, (int64_t)(a < b ? a : b), (int64_t)(a < b ? b : a));
    }
}

static void file_lose_power(struct disk_node *file, struct rng *rng)
{
    /* All, none, few or many of the unsynced sectors: each of these finds other mistakes. */
    static const unsigned chances[] = {0, 10, 50, 90, 100};
    unsigned chance = chances[rng_below(rng, BASE_COUNT(chances))];
    bytes_resize(&file->kept, size_after_loss(file, rng));
    for (size_t s = file->dirty_from; s < file->dirty_upto; s++)
        if (file->dirty[s] && rng_chance(rng, chance))
            bytes_copy_sector(&file->kept, &file->now, s);
    bytes_resize(&file->now, 0);
    bytes_resize(&file->now, file->kept.size);
    if (file->kept.size)
        memcpy(file->now.data, file->kept.data, file->kept.size);
    clean(file);
}

/* Directories. */

static size_t names_find(const struct disk_names *names, const char *name, size_t len)
{
    for (size_t i = 0; i < names->count; i++)
        if (strlen(names->items[i].name) == len && memcmp(names->items[i].name, name, len) == 0)
            return i;
    return SIZE_MAX;
}

static void names_unset(struct disk_names *names, const char *name)
{
    size_t i = names_find(names, name, strlen(name));
    if (i == SIZE_MAX)
        return;
    free(names->items[i].name);
    disk_node_release(names->items[i].node);
    names->items[i] = names->items[--names->count];
}

static void names_set(struct disk_names *names, const char *name, struct disk_node *node)
{
    disk_node_acquire(node);
    names_unset(names, name);
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 8;
        names->items = must(realloc(names->items, names->cap * sizeof *names->items));
    }
    names->items[names->count++] = (struct disk_name){copy_name(name, strlen(name)), node};
}

static void names_copy(struct disk_names *to, const struct disk_names *from)
{
    names_clear(to);
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->items[i].name, from->items[i].node);
}

struct disk_node *disk_find(const struct disk_node *dir, const char *name, size_t len)
{
    size_t i = names_find(&dir->names, name, len);
    return i == SIZE_MAX ? NULL : dir->names.items[i].node;
}

void disk_change(struct disk_node *dir, const char *unset, const char *set, struct disk_node *node)
{
    BASE_ASSERT(dir->is_dir && (unset || set) && !set == !node);
    if (dir->change_count == dir->change_cap) {
        dir->change_cap = dir->change_cap ? dir->change_cap * 2 : 8;
        dir->changes = must(realloc(dir->changes, dir->change_cap * sizeof *dir->changes));
    }
    dir->changes[dir->change_count++] = (struct disk_change){
        unset ? copy_name(unset, strlen(unset)) : NULL,
        set ? copy_name(set, strlen(set)) : NULL,
        node,
    };
    if (node) {
        disk_node_acquire(node);
        node->in_use++;
    }
    for (int i = 0; i < 2; i++) {
        const char *gone = i ? set : unset;
        struct disk_node *old = gone ? disk_find(dir, gone, strlen(gone)) : NULL;
        if (old)
            old->in_use--;
        if (old && !i)
            names_unset(&dir->names, unset);
    }
    if (set)
        names_set(&dir->names, set, node);
}

void disk_sync_dir(struct disk_node *dir)
{
    names_copy(&dir->names_kept, &dir->names);
    changes_clear(dir);
}

void disk_lose_power(struct disk_node *dir, struct rng *rng)
{
    /* A journal keeps a prefix of the changes; the port promises no order, so any subset too. */
    bool prefix = rng_chance(rng, 50);
    size_t upto = (size_t)rng_below(rng, dir->change_count + 1);
    for (size_t i = 0; i < dir->change_count; i++) {
        const struct disk_change *c = &dir->changes[i];
        if (prefix ? i >= upto : rng_chance(rng, 50))
            continue;
        if (c->unset)
            names_unset(&dir->names_kept, c->unset);
        if (c->set)
            names_set(&dir->names_kept, c->set, c->node);
    }
    for (size_t i = 0; i < dir->names.count; i++)
        dir->names.items[i].node->in_use--;
    names_copy(&dir->names, &dir->names_kept);
    changes_clear(dir);
    for (size_t i = 0; i < dir->names.count; i++) {
        struct disk_node *node = dir->names.items[i].node;
        node->in_use++;
        if (node->is_dir)
            disk_lose_power(node, rng);
        else
            file_lose_power(node, rng);
    }
}

struct disk_node *disk_clone(const struct disk_node *dir)
{
    struct disk_node *copy = disk_node_new(true);
    for (size_t i = 0; i < dir->names.count; i++) {
        const struct disk_node *old = dir->names.items[i].node;
        struct disk_node *node = old->is_dir ? disk_clone(old) : disk_node_new(false);
        if (!old->is_dir) {
            disk_write(node, 0, old->now.data, old->now.size);
            disk_sync(node);
        }
        node->in_use = 1;
        names_set(&copy->names, dir->names.items[i].name, node);
        disk_node_release(node);
    }
    names_copy(&copy->names_kept, &copy->names);
    return copy;
}
