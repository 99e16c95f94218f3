/* The catalog: the metadata log and its current state, the node's identity and local state, in LMDB
 * (DESIGN.md §4). docs/formats/catalog.md. Behind a port, because LMDB does its own I/O past the
 * fault file system: the simulator fills the port in memory (tests/lib/mem_catalog.c).
 *
 * Values carry checksums: a damaged one is CORRUPT and names its key. A write is durable when the
 * call returns. The file grows on MDB_MAP_FULL. All calls are thread-safe and may block on the disk
 * (never from an event loop). One catalog per directory and process: the caller's registry sees to
 * it. */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/schema.h"

struct cat_catalog;

struct cat_pair {
    struct base_slice key, value;
    bool must_be_new; /* in a write: refuse the whole of it with EXISTS if the key is there */
};
#define CAT_KEY_LEN_MAX 500 /* longer ones are LIMIT (LMDB's own limit is 511) */

/* The port. */
struct cat_ops {
    /* Read a value into `out` (appended). NOTFOUND. */
    int (*get)(struct cat_catalog *cat, struct base_slice key, struct base_buf *out,
               struct base_err *err);
    /* Apply all puts and deletes (value.data NULL: delete) as one durable transaction. */
    int (*write)(struct cat_catalog *cat, const struct cat_pair *pairs, size_t n,
                 struct base_err *err);
    /* Call `each` for every pair whose key begins with prefix, ascending; nonzero stops and is
     * returned. All are of one moment. `each` must not call the catalog; key and value are borrowed
     * until it returns. */
    int (*scan)(struct cat_catalog *cat, struct base_slice prefix,
                int (*each)(void *ctx, struct base_slice key, struct base_slice value), void *ctx,
                struct base_err *err);
    void (*close)(struct cat_catalog *cat);
};
struct cat_catalog {
    const struct cat_ops *ops;
};

/* LMDB in dir (made if it is not there, 0700). CORRUPT, IO, VERSION. Not across fork: a child must
 * not use its parent's catalog. */
BASE_MUST int cat_open_lmdb(const char *dir, struct cat_catalog **out, struct base_err *err);
void cat_close(struct cat_catalog *cat);

/* On the port: what ringlet keeps. */

/* Identity, made once by the caller (host id drawn at first start). */
struct cat_identity {
    struct base_uuid host_id;
    char cluster_name[128];
    uint32_t generation;     /* counts starts; bumped by cat_identity_bump */
    uint32_t format_version; /* of the data directory */
};
/* NOTFOUND: new directory */
BASE_MUST int cat_identity_get(struct cat_catalog *cat, struct cat_identity *out,
                               struct base_err *err);
BASE_MUST int cat_identity_put(struct cat_catalog *cat, const struct cat_identity *identity,
                               struct base_err *err);

/* Count a start: generation + 1, durable, and the identity as it is then. NOTFOUND in a new
 * directory. */
BASE_MUST int cat_identity_bump(struct cat_catalog *cat, struct cat_identity *out,
                                struct base_err *err);

/* How much of the log is kept: it is cut in the transaction that appends, oldest entries first.
 * Never cut: the last entry; and any at all while schema and ring together are larger than
 * state_bytes_max, for who lacks what is cut off needs both whole. */
struct cat_log_keep {
    uint64_t entries; /* 0: all, whatever their bytes */
    uint64_t bytes, state_bytes_max;
};

/* The metadata log: entry `epoch` (1, 2, …) is the encoded change that led to it. The current
 * schema is kept beside the log and written in the same transaction, and so is `ring`, the encoded
 * members and tokens it led to (empty: a node that is in no cluster; nothing is stored). STALE when
 * epoch is not last + 1. */
BASE_MUST int cat_log_append(struct cat_catalog *cat, uint64_t epoch, struct base_slice change,
                             const struct base_schema *after, struct base_slice ring,
                             const struct cat_log_keep *keep, struct base_err *err);
/* Take over the state that a log of others led to, which is ahead of ours (else STALE): schema,
 * ring and epoch are theirs then, and no entry is kept; the next append follows them. In the same
 * transaction `value` is put under the local name `name`. */
BASE_MUST int cat_log_install(struct cat_catalog *cat, const struct base_schema *schema,
                              struct base_slice ring, const char *name, struct base_slice value,
                              struct base_err *err);
/* The oldest entry that is kept; the last one's epoch + 1: none is. */
BASE_MUST int cat_log_first(struct cat_catalog *cat, uint64_t *first, struct base_err *err);
/* NOTFOUND: not yet there, or cut off. */
BASE_MUST int cat_log_get(struct cat_catalog *cat, uint64_t epoch, struct base_buf *out,
                          struct base_err *err);
/* The current schema (a new reference; an empty one at epoch 0 in a new directory). */
BASE_MUST int cat_schema_load(struct cat_catalog *cat, struct base_schema **out,
                              struct base_err *err);

/* The ring that the last cat_log_append with one stored, appended to `out`. NOTFOUND: none yet. */
BASE_MUST int cat_ring_load(struct cat_catalog *cat, struct base_buf *out, struct base_err *err);

/* A small local value of bytes, as the state of the metadata log's agreement. NOTFOUND. */
BASE_MUST int cat_local_get(struct cat_catalog *cat, const char *name, struct base_buf *out,
                            struct base_err *err);
BASE_MUST int cat_local_put(struct cat_catalog *cat, const char *name, struct base_slice value,
                            struct base_err *err);
/* Small local numbers: "timestamp_floor_us" and the like. NOTFOUND. */
BASE_MUST int cat_local_get_i64(struct cat_catalog *cat, const char *name, int64_t *out,
                                struct base_err *err);
BASE_MUST int cat_local_put_i64(struct cat_catalog *cat, const char *name, int64_t value,
                                struct base_err *err);

#endif
