/* The catalog's port filled with LMDB.
 *
 * 1. Every value is 8 bytes of XXH3, seeded by the key's own XXH3, then the bytes: a value that
 *    changed, or that stands under another key, is CORRUPT and names its key.
 * 2. A commit syncs (no MDB_NOSYNC, no MDB_NOMETASYNC): what write() returned from is durable.
 * 3. MDB_NOTLS: a reader's slot belongs to its transaction, not to its thread. Our host owns the
 *    threads: they may be many, they may end while we are unloaded, and a slot in thread-local
 *    storage would leave a destructor with them.
 * 4. Transactions run under the read side of `gate`, growing the map under the write side: LMDB
 *    demands that no transaction of this process is open then. No call holds a transaction longer
 *    than itself.
 * 5. The map is read-only (no MDB_WRITEMAP): a stray pointer of the host's cannot write into it.
 *
 * A data file that is shorter than its own count of pages would end the host with SIGBUS; it is
 * lengthened at open, so that LMDB finds an empty page and says MDB_CORRUPTED. What LMDB cannot
 * detect is listed in docs/formats/catalog.md. */
#include "catalog/lmdb_catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"

enum { CHECKSUM_LEN = 8, FORMAT_VERSION = 1 };
/* address space, not disk: the file is as long as its content */
#define MAP_SIZE ((size_t)16 << 20)
#define MAP_SIZE_MAX ((size_t)1 << 40)

struct lmdb_catalog {
    struct cat_catalog base;
    MDB_env *env;
    MDB_dbi dbi;
    pthread_rwlock_t gate;
    size_t map_size, map_size_max; /* under gate */
    char *dir;                     /* for messages */
};

static const struct base_slice key_format = {(const uint8_t *)"format", 6};

static struct lmdb_catalog *of(struct cat_catalog *cat)
{
    return BASE_CONTAINER(cat, struct lmdb_catalog, base);
}

static int code_of(int mdb)
{
    switch (mdb) {
    case MDB_NOTFOUND:
        return BASE_E_NOTFOUND;
    case MDB_KEYEXIST:
        return BASE_E_EXISTS;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return BASE_E_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return BASE_E_VERSION;
    case MDB_MAP_FULL:
        return BASE_E_NOSPACE;
    case MDB_READERS_FULL:
        return BASE_E_OVERLOADED;
    case MDB_BAD_VALSIZE:
        return BASE_E_LIMIT;
    case MDB_PANIC:
        return BASE_E_STOPPED;
    default:
        return mdb > 0 ? base_err_from_errno(mdb) : BASE_E_INTERNAL;
    }
}

/* Keys are text, but for the log's: those end in a number. */
static int fail_key(const struct lmdb_catalog *c, struct base_slice key, int code,
                    const char *cause, struct base_err *err)
{
    if (key.len == 12 && memcmp(key.data, "log/", 4) == 0)
        return base_err_set(err, code, "catalog %s: key log/%llu: %s", c->dir,
                            (unsigned long long)base_get_be64(key.data + 4), cause);
    return base_err_set(err, code, "catalog %s: key %.*s: %s", c->dir, BASE_SLICE_ARG(key), cause);
}

static int fail(const struct lmdb_catalog *c, struct base_slice key, int mdb, struct base_err *err)
{
    return fail_key(c, key, code_of(mdb), mdb_strerror(mdb), err);
}

static int fail_env(const struct lmdb_catalog *c, const char *what, int mdb, struct base_err *err)
{
    return base_err_set(err, code_of(mdb), "catalog %s: %s: %s", c->dir, what, mdb_strerror(mdb));
}

static uint64_t checksum(struct base_slice key, const void *value, size_t len)
{
    return base_checksum_seeded(value, len, base_checksum(key.data, key.len));
}

/* The user's part of a stored value. */
static int open_value(const struct lmdb_catalog *c, struct base_slice key, MDB_val stored,
                      struct base_slice *value, struct base_err *err)
{
    const uint8_t *p = stored.mv_data;
    if (stored.mv_size < CHECKSUM_LEN ||
        base_get_le64(p) != checksum(key, p + CHECKSUM_LEN, stored.mv_size - CHECKSUM_LEN))
        return fail_key(c, key, BASE_E_CORRUPT, "checksum mismatch", err);
    *value = base_slice(p + CHECKSUM_LEN, stored.mv_size - CHECKSUM_LEN);
    return BASE_OK;
}

/* Growing. */

/* Another process (a tool) made the file larger than our map: take its size over. */
static int adopt_size(struct lmdb_catalog *c)
{
    pthread_rwlock_wrlock(&c->gate);
    int mdb = mdb_env_set_mapsize(c->env, 0);
    MDB_envinfo info;
    if (mdb == 0 && (mdb = mdb_env_info(c->env, &info)) == 0)
        c->map_size = info.me_mapsize;
    pthread_rwlock_unlock(&c->gate);
    return mdb;
}

/* Double the map, unless another thread did since we saw `seen`. MDB_MAP_FULL at the maximum. */
static int grow(struct lmdb_catalog *c, size_t seen)
{
    pthread_rwlock_wrlock(&c->gate);
    int mdb = 0;
    if (c->map_size == seen) {
        size_t size = c->map_size * 2;
        mdb = size > c->map_size_max ? MDB_MAP_FULL : mdb_env_set_mapsize(c->env, size);
        if (mdb == 0)
            c->map_size = size;
    }
    pthread_rwlock_unlock(&c->gate);
    return mdb;
}

/* Begin a transaction: on success the gate is held for reading, until end_txn. */
static int begin_txn(struct lmdb_catalog *c, unsigned flags, MDB_txn **txn)
{
    for (;;) {
        pthread_rwlock_rdlock(&c->gate);
        int mdb = mdb_txn_begin(c->env, NULL, flags, txn);
        if (mdb == 0)
            return 0;
        pthread_rwlock_unlock(&c->gate);
        if (mdb != MDB_MAP_RESIZED || (mdb = adopt_size(c)) != 0)
            return mdb;
    }
}

static void end_txn(struct lmdb_catalog *c)
{
    pthread_rwlock_unlock(&c->gate);
}

/* The port. */

static int lmdb_get(struct cat_catalog *cat, struct base_slice key, struct base_buf *out,
                    struct base_err *err)
{
    struct lmdb_catalog *c = of(cat);
    MDB_txn *txn;
    int mdb = begin_txn(c, MDB_RDONLY, &txn);
    if (mdb)
        return fail(c, key, mdb, err);
    MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v;
    struct base_slice value = {0};
    int rc;
    mdb = mdb_get(txn, c->dbi, &k, &v);
    if (mdb)
        rc = fail(c, key, mdb, err);
    else
        rc = open_value(c, key, v, &value, err);
    if (rc == BASE_OK) {
        rc = base_buf_put_slice(out, value);
        if (rc != BASE_OK)
            rc = fail_key(c, key, rc, base_err_words(rc), err);
    }
    mdb_txn_abort(txn);
    end_txn(c);
    return rc;
}

static int put_pair(struct lmdb_catalog *c, MDB_txn *txn, const struct cat_pair *pair)
{
    MDB_val k = {pair->key.len, (void *)(uintptr_t)pair->key.data}, v;
    if (!pair->value.data) {
        int mdb = mdb_del(txn, c->dbi, &k, NULL);
        return mdb == MDB_NOTFOUND ? 0 : mdb;
    }
    v = (MDB_val){CHECKSUM_LEN + pair->value.len, NULL};
    int mdb = mdb_put(txn, c->dbi, &k, &v, MDB_RESERVE | (pair->must_be_new ? MDB_NOOVERWRITE : 0));
    if (mdb)
        return mdb;
    uint8_t *p = v.mv_data;
    base_put_le64(p, checksum(pair->key, pair->value.data, pair->value.len));
    if (pair->value.len)
        memcpy(p + CHECKSUM_LEN, pair->value.data, pair->value.len);
    return 0;
}

/* One try. *at is the key to name in a message, *seen the map's size it ran in. */
static int try_write(struct lmdb_catalog *c, const struct cat_pair *pairs, size_t n,
                     struct base_slice *at, size_t *seen)
{
    MDB_txn *txn;
    int mdb = begin_txn(c, 0, &txn);
    if (mdb)
        return mdb;
    *seen = c->map_size;
    for (size_t i = 0; i < n && mdb == 0; i++) {
        *at = pairs[i].key;
        mdb = put_pair(c, txn, &pairs[i]);
    }
    if (mdb == 0)
        mdb = mdb_txn_commit(txn); /* frees txn also when it fails */
    else
        mdb_txn_abort(txn);
    end_txn(c);
    return mdb;
}

static int lmdb_write(struct cat_catalog *cat, const struct cat_pair *pairs, size_t n,
                      struct base_err *err)
{
    struct lmdb_catalog *c = of(cat);
    struct base_slice at = n ? pairs[0].key : (struct base_slice){0};
    for (size_t i = 0; i < n; i++)
        if (pairs[i].key.len == 0 || pairs[i].key.len > CAT_KEY_LEN_MAX)
            return base_err_set(err, BASE_E_LIMIT, "catalog %s: a key of %zu bytes", c->dir,
                                pairs[i].key.len);
    for (;;) {
        size_t seen = 0;
        int mdb = try_write(c, pairs, n, &at, &seen);
        if (mdb == MDB_MAP_FULL)
            mdb = grow(c, seen);
        else
            return mdb == 0 ? BASE_OK : fail(c, at, mdb, err);
        if (mdb)
            return fail_env(c, "grow", mdb, err);
    }
}

static int lmdb_scan(struct cat_catalog *cat, struct base_slice prefix,
                     int (*each)(void *ctx, struct base_slice key, struct base_slice value),
                     void *ctx, struct base_err *err)
{
    struct lmdb_catalog *c = of(cat);
    MDB_txn *txn;
    MDB_cursor *cursor;
    int mdb = begin_txn(c, MDB_RDONLY, &txn);
    if (mdb)
        return fail(c, prefix, mdb, err);
    int rc = BASE_OK;
    mdb = mdb_cursor_open(txn, c->dbi, &cursor);
    if (mdb == 0) {
        MDB_val k = {prefix.len, (void *)(uintptr_t)prefix.data}, v;
        mdb = mdb_cursor_get(cursor, &k, &v, prefix.len ? MDB_SET_RANGE : MDB_FIRST);
        while (mdb == 0 && rc == BASE_OK && k.mv_size >= prefix.len &&
               (prefix.len == 0 || memcmp(k.mv_data, prefix.data, prefix.len) == 0)) {
            struct base_slice key = base_slice(k.mv_data, k.mv_size), value;
            rc = open_value(c, key, v, &value, err);
            if (rc == BASE_OK)
                rc = each(ctx, key, value);
            if (rc == BASE_OK)
                mdb = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    end_txn(c);
    if (rc == BASE_OK && mdb && mdb != MDB_NOTFOUND)
        rc = fail(c, prefix, mdb, err);
    return rc;
}

static void lmdb_close(struct cat_catalog *cat)
{
    struct lmdb_catalog *c = of(cat);
    if (c->env)
        mdb_env_close(c->env);
    pthread_rwlock_destroy(&c->gate);
    free(c->dir);
    free(c);
}

static const struct cat_ops lmdb_ops = {lmdb_get, lmdb_write, lmdb_scan, lmdb_close};

/* Opening. */

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int errnum = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return errnum;
}

/* Make the directory durable: its own name in its parent, and LMDB's files in it. */
static int sync_names(const struct lmdb_catalog *c, struct base_err *err)
{
    int errnum = sync_dir(c->dir);
    if (errnum == 0) {
        char *parent = malloc(strlen(c->dir) + 4);
        if (!parent)
            return fail_env(c, "open", ENOMEM, err);
        strcpy(parent, c->dir);
        strcat(parent, "/..");
        errnum = sync_dir(parent);
        free(parent);
    }
    return errnum ? fail_env(c, "sync directory", errnum, err) : BASE_OK;
}

/* See the file's top: a short data file must not become a signal. */
static int lengthen(struct lmdb_catalog *c, struct base_err *err)
{
    MDB_envinfo info;
    MDB_stat stat_env;
    struct stat st;
    mdb_filehandle_t fd;
    int mdb = mdb_env_info(c->env, &info);
    if (mdb == 0)
        mdb = mdb_env_stat(c->env, &stat_env);
    if (mdb == 0)
        mdb = mdb_env_get_fd(c->env, &fd);
    if (mdb)
        return fail_env(c, "open", mdb, err);
    off_t want = (off_t)((info.me_last_pgno + 1) * stat_env.ms_psize);
    if (fstat(fd, &st) != 0 || (st.st_size < want && ftruncate(fd, want) != 0))
        return fail_env(c, "lengthen data.mdb", errno, err);
    return BASE_OK;
}

static int open_env(struct lmdb_catalog *c, bool *created, struct base_err *err)
{
    if (mkdir(c->dir, 0700) == 0)
        *created = true;
    else if (errno != EEXIST)
        return fail_env(c, "make directory", errno, err);
    int mdb = mdb_env_create(&c->env);
    if (mdb == 0)
        mdb = mdb_env_set_mapsize(c->env, c->map_size);
    if (mdb == 0)
        mdb = mdb_env_open(c->env, c->dir, MDB_NOTLS, 0600);
    if (mdb)
        return fail_env(c, "open", mdb, err);
    int dead;
    /* slots of a killed process; else they would pin old pages */
    (void)mdb_reader_check(c->env, &dead);
    int rc = lengthen(c, err);
    if (rc != BASE_OK)
        return rc;
    MDB_envinfo info;
    MDB_txn *txn;
    mdb = mdb_env_info(c->env, &info); /* LMDB takes more than asked for when the file is larger */
    c->map_size = info.me_mapsize;
    if (mdb == 0)
        mdb = mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn);
    if (mdb == 0) {
        mdb = mdb_dbi_open(txn, NULL, 0, &c->dbi);
        if (mdb == 0)
            mdb = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return mdb ? fail_env(c, "open", mdb, err) : BASE_OK;
}

static int any_pair(void *ctx, struct base_slice key, struct base_slice value)
{
    (void)ctx, (void)key, (void)value;
    return BASE_E_EXISTS;
}

/* A new catalog gets its format; an old one is checked. */
static int check_format(struct lmdb_catalog *c, struct base_err *err)
{
    struct base_buf value;
    base_buf_init(&value, 64);
    uint8_t number[4];
    int rc = lmdb_get(&c->base, key_format, &value, err);
    if (rc == BASE_E_NOTFOUND) {
        rc = lmdb_scan(&c->base, base_slice(NULL, 0), any_pair, NULL, err);
        if (rc == BASE_E_EXISTS) {
            rc = base_err_set(err, BASE_E_CORRUPT,
                              "catalog %s: no format key: not a catalog of ours, or damaged",
                              c->dir);
        } else if (rc == BASE_OK) {
            base_put_le32(number, FORMAT_VERSION);
            rc = lmdb_write(&c->base,
                            &(struct cat_pair){.key = key_format, .value = base_slice(number, 4)},
                            1, err);
        }
    } else if (rc == BASE_OK) {
        uint32_t version = value.len == 4 ? base_get_le32(value.data) : 0;
        if (version != FORMAT_VERSION)
            rc = base_err_set(err, version > FORMAT_VERSION ? BASE_E_VERSION : BASE_E_CORRUPT,
                              "catalog %s: format %u, this program knows %d", c->dir,
                              (unsigned)version, FORMAT_VERSION);
    }
    base_buf_fini(&value);
    return rc;
}

int cati_open_lmdb(const char *dir, size_t map_size, size_t map_size_max, struct cat_catalog **out,
                   struct base_err *err)
{
    *out = NULL;
    struct lmdb_catalog *c = calloc(1, sizeof *c);
    if (!c || !(c->dir = strdup(dir))) {
        free(c);
        return base_err_set(err, BASE_E_NOMEM, "catalog %s: %s", dir, base_err_words(BASE_E_NOMEM));
    }
    c->base.ops = &lmdb_ops;
    c->map_size = map_size;
    c->map_size_max = map_size_max;
    if (pthread_rwlock_init(&c->gate, NULL) != 0) {
        free(c->dir);
        free(c);
        return base_err_set(err, BASE_E_NOMEM, "catalog %s: lock: %s", dir,
                            base_err_words(BASE_E_NOMEM));
    }
    bool created = false;
    int rc = open_env(c, &created, err);
    if (rc == BASE_OK)
        rc = check_format(c, err);
    if (rc == BASE_OK && created)
        rc = sync_names(c, err);
    if (rc != BASE_OK)
        lmdb_close(&c->base);
    else
        *out = &c->base;
    return rc;
}

int cat_open_lmdb(const char *dir, struct cat_catalog **out, struct base_err *err)
{
    return cati_open_lmdb(dir, MAP_SIZE, MAP_SIZE_MAX, out, err);
}
