/* A file system in memory that fails on order. Fills base/fs.h; tests/sim/README.md states the
 * fault model. Paths may be absolute or relative; both start at one root.
 *
 * All draws (which sectors survive, the order of a listing) come from one seed. Usable from
 * several threads; which operation is the k-th is then theirs. */
#ifndef TESTS_SIM_FS_H
#define TESTS_SIM_FS_H

#include <pthread.h>

#include "base/fs.h"
#include "tests/lib/rng.h"
#include "tests/lib/trace.h"

enum sim_fs_op {
    SIM_FS_OPEN = 1 << 0, /* of a file that is there */
    SIM_FS_CREATE = 1 << 1,
    SIM_FS_READ = 1 << 2,
    SIM_FS_WRITE = 1 << 3,
    SIM_FS_SYNC = 1 << 4,
    SIM_FS_SIZE = 1 << 5,
    SIM_FS_TRUNCATE = 1 << 6,
    SIM_FS_PREALLOCATE = 1 << 7,
    SIM_FS_REMOVE = 1 << 8,
    SIM_FS_RENAME = 1 << 9,
    SIM_FS_LINK = 1 << 10,
    SIM_FS_MKDIR = 1 << 11,
    SIM_FS_RMDIR = 1 << 12,
    SIM_FS_LIST = 1 << 13,
    SIM_FS_SYNC_DIR = 1 << 14,
    SIM_FS_FREE = 1 << 15,
};
/* What leaves or may leave something on the disk: the places to cut power. */
#define SIM_FS_CHANGING                                                                            \
    (SIM_FS_CREATE | SIM_FS_WRITE | SIM_FS_SYNC | SIM_FS_TRUNCATE | SIM_FS_PREALLOCATE |           \
     SIM_FS_REMOVE | SIM_FS_RENAME | SIM_FS_LINK | SIM_FS_MKDIR | SIM_FS_RMDIR | SIM_FS_SYNC_DIR)
#define SIM_FS_ANY 0xffffu

struct sim_fs;

struct sim_fs *sim_fs_new(uint64_t seed);
/* All files must be closed. */
void sim_fs_free(struct sim_fs *fs);
struct base_fs *sim_fs_port(struct sim_fs *fs);
void sim_fs_set_trace(struct sim_fs *fs, struct trace *trace);
/* A copy of what is there now, all of it synced, with no faults set. */
struct sim_fs *sim_fs_clone(struct sim_fs *fs, uint64_t seed);

/* Faults. */

/* The operations of these kinds are counted from now (0 is the next one); those from the k-th
 * on, `times` of them, fail with `code` (BASE_E_IO, BASE_E_NOSPACE). A write that fails may have
 * written a part; a sync that fails leaves nothing known about the file's unsynced bytes. Up to
 * 8 faults at a time. */
void sim_fs_fail(struct sim_fs *fs, unsigned ops, uint64_t k, uint64_t times, int code);
/* At the k-th of these operations the power goes: it fails, half done, and so does everything
 * after it. */
void sim_fs_cut_power(struct sim_fs *fs, unsigned ops, uint64_t k);
/* Forget the faults. Returns how many operations they hit since they were set. */
uint64_t sim_fs_clear_faults(struct sim_fs *fs);
/* Space on the disk; UINT64_MAX: no limit. Files take whole sectors. */
void sim_fs_set_capacity(struct sim_fs *fs, uint64_t bytes);
uint64_t sim_fs_used_bytes(struct sim_fs *fs);

/* The process dies here: open files are dead (their operations fail), nothing is lost from the
 * page cache. */
void sim_fs_kill(struct sim_fs *fs);
/* The power fails here (if it has not yet). */
void sim_fs_power_off(struct sim_fs *fs);
bool sim_fs_is_off(struct sim_fs *fs);
/* Back after a power loss: the disk is rebuilt as it may look. Faults are forgotten. Files that
 * were open are dead; they must still be closed. */
void sim_fs_crash(struct sim_fs *fs);

/* Flip one bit of a file; false when the file has no such byte. */
BASE_MUST bool sim_fs_flip(struct sim_fs *fs, const char *path, uint64_t offset, unsigned bit);

/* Looking on. */

/* Operations of these kinds so far, failed ones included. */
uint64_t sim_fs_count(struct sim_fs *fs, unsigned ops);
size_t sim_fs_open_files(struct sim_fs *fs);
/* Every file, sorted by path ("a/b.c"). */
void sim_fs_walk(struct sim_fs *fs, void (*each)(void *ctx, const char *path, uint64_t size),
                 void *ctx);
/* A file's bytes: valid until it changes. data NULL: there is none. */
struct base_slice sim_fs_bytes(struct sim_fs *fs, const char *path);

#endif
