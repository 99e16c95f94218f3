/* The manifest inside lsm/: which SSTables make up the store, and what of the commit log is in
 * them. Format: docs/formats/manifest.md. Not thread-safe: the store commits one edit at a time. */
#ifndef LSM_MANIFEST_H
#define LSM_MANIFEST_H

#include "base/clock.h"
#include "base/fs.h"

struct lsmi_manifest_sstable {
    uint64_t id, file_size;
    struct base_uuid table_id;
};
struct lsmi_manifest_table {
    struct base_uuid id;
    uint64_t flushed_upto; /* records before this position are in its SSTables (or truncated) */
};
struct lsmi_manifest {
    struct base_fs *fs;
    struct base_random *random;
    char *dir;
    /* What it says: */
    struct lsmi_manifest_sstable *sstables; /* ascending by id */
    size_t sstable_count, sstable_cap;
    struct lsmi_manifest_table *tables;
    size_t table_count, table_cap;
    uint64_t next_id; /* greater than every SSTable's id ever committed */
    uint64_t log_low; /* the commit log is needed from here on */
    /* The file: */
    struct base_file *file;
    uint64_t number, seed, offset, synced;
    uint64_t live_size; /* after the last rewrite */
    bool unconfirmed;   /* when loaded: nothing says that the last edit was synced */
    /* rewrites that failed late: each has a file of its own, for CURRENT may name it */
    uint64_t attempts;
    /* a write failed: the file's end is unknown; the next commit makes a new one */
    bool rewrite;
};

/* Read it; make an empty one when there is no CURRENT. CORRUPT names file and offset; VERSION. */
BASE_MUST int lsmi_manifest_open(struct base_fs *fs, struct base_random *random, const char *dir,
                                 struct lsmi_manifest *m, struct base_err *err);
void lsmi_manifest_close(struct lsmi_manifest *m);

/* An edit: any number of changes that become durable together. The buffer is the caller's. */
BASE_MUST int lsmi_edit_add(struct base_buf *edit, const struct lsmi_manifest_sstable *sstable);
BASE_MUST int lsmi_edit_remove(struct base_buf *edit, uint64_t id);
BASE_MUST int lsmi_edit_flushed(struct base_buf *edit, struct base_uuid table, uint64_t upto);
BASE_MUST int lsmi_edit_drop(struct base_buf *edit, struct base_uuid table); /* its SSTables too */
BASE_MUST int lsmi_edit_log_low(struct base_buf *edit, uint64_t low);
/* Durable on return; then `m` says so too. On failure `m` is as it was, but the disk may have the
 * edit: the caller keeps the files that it names and commits it again, or something that
 * contradicts it. */
BASE_MUST int lsmi_manifest_commit(struct lsmi_manifest *m, struct base_slice edit,
                                   struct base_err *err);

const struct lsmi_manifest_sstable *lsmi_manifest_find(const struct lsmi_manifest *m, uint64_t id);
uint64_t lsmi_manifest_flushed_upto(const struct lsmi_manifest *m, struct base_uuid table);

#endif
