/* The disk under tests/lib/sim_fs.c: what is in the page cache, what is on the platter, and what
 * a power loss may leave. Private to sim_fs.c.
 *
 * A file has its bytes as programs see them (now) and as the disk holds them (kept), and knows
 * the sectors in which they may differ. A directory has its names now, its names kept, and the
 * changes between them in order. A power loss keeps any subset of the dirty sectors, any size
 * between the two, and any subset of a directory's changes. No faults and no locks here. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include "base/bytes.h"
#include "tests/lib/rng.h"

#define SIM_SECTOR 512u

struct disk_bytes {
    uint8_t *data;
    size_t size, cap; /* data[size … cap) is zero */
};

struct disk_node;

struct disk_name {
    char *name;
    struct disk_node *node;
};
struct disk_names {
    struct disk_name *items;
    size_t count, cap;
};
/* One change of a directory: `unset` (may be NULL) goes, `set` (may be NULL) becomes node. A
 * rename is both. */
struct disk_change {
    char *unset, *set;
    struct disk_node *node;
};

struct disk_node {
    int refs;   /* names now and kept, changes, handles */
    int in_use; /* names now and handles: while positive it takes space */
    bool is_dir;
    /* a file */
    struct disk_bytes now, kept;
    uint8_t *dirty; /* a byte per sector */
    size_t dirty_cap, dirty_from, dirty_upto;
    /* a directory */
    struct disk_names names, names_kept;
    struct disk_change *changes;
    size_t change_count, change_cap;
};

struct disk_node *disk_node_new(bool is_dir);
void disk_node_acquire(struct disk_node *node);
void disk_node_release(struct disk_node *node);

void disk_write(struct disk_node *file, uint64_t offset, const void *buf, size_t len);
void disk_resize(struct disk_node *file, uint64_t size);
void disk_sync(struct disk_node *file);
/* What a kernel does when it feels like it: some dirty sectors reach the disk. */
void disk_writeback(struct disk_node *file, struct rng *rng);
/* A sync that failed: each dirty sector is written, still dirty, or forgotten (clean but not
 * written). */
void disk_sync_failed(struct disk_node *file, struct rng *rng);

struct disk_node *disk_find(const struct disk_node *dir, const char *name, size_t len);
/* Change names now; the node's in_use follows. */
void disk_change(struct disk_node *dir, const char *unset, const char *set, struct disk_node *node);
void disk_sync_dir(struct disk_node *dir);

/* Power loss, over the whole tree from a directory: what survives is all there is now. */
void disk_lose_power(struct disk_node *dir, struct rng *rng);
/* A deep copy of the tree as it is now, all of it kept. */
struct disk_node *disk_clone(const struct disk_node *dir);

#endif
