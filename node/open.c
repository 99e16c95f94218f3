/* Starting and stopping a node: lock, catalog, identity, store, schema, replay; and back.
 *
 * The directory (docs/formats/data_directory.md):
 *   LOCK          the owner's lock                 ringlet.yaml   options, if the user wrote any
 *   catalog/      LMDB                             token          the daemon's private file
 *   store/        commit log, SSTables
 *
 * Invariants:
 *  1. Catalog and store are not touched before the lock is held, and the lock is the last thing to
 *     go.
 *  2. A directory that holds something that is not ours is refused: we tighten modes and, for
 *     temporary nodes, remove.
 *  3. Every start has a generation of its own, on disk before anything is served.
 *  4. Order of closing: store (it needs the executor to flush), executor, timestamps, catalog,
 *     lock. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/node_private.h"
#include "ring/cluster.h"

/* Replaying up to this much at the next start is cheaper than flushing it now. */
#define CLOSE_FLUSH_OVER_BYTES (4u << 20)

/* The directory. */

static const char *const our_names[] = {"LOCK", "catalog", "store", "token", "ringlet.yaml"};

struct contents {
    bool has_foreign, is_ours;
    char foreign[64];
};

static int look_at_name(void *ctx, const char *name)
{
    struct contents *c = ctx;
    bool known = strncmp(name, "token.", 6) == 0; /* one that was being written */
    for (size_t i = 0; i < BASE_COUNT(our_names); i++)
        known = known || strcmp(name, our_names[i]) == 0;
    c->is_ours = c->is_ours || strcmp(name, "LOCK") == 0;
    if (!known && !c->has_foreign) {
        c->has_foreign = true;
        snprintf(c->foreign, sizeof c->foreign, "%s", name);
    }
    return 0;
}

/* A new directory must be empty (but for its configuration); it becomes private. */
static int claim_directory(struct node *node, struct base_err *err)
{
    struct contents c = {0};
    int rc = base_fs_list(node->fs, node->dir, look_at_name, &c, err);
    if (rc != BASE_OK || c.is_ours)
        return rc;
    if (c.has_foreign)
        return base_err_set(
            err, BASE_E_CONFIG,
            "directory %s is no data directory but holds \"%s\": name a new or an empty one",
            node->dir, c.foreign);
    if (chmod(node->dir, 0700) != 0) {
        char text[128];
        int errnum = errno;
        return base_err_set(err, base_err_from_errno(errnum), "make %s private: %s", node->dir,
                            strerror_r(errnum, text, sizeof text));
    }
    return BASE_OK;
}

/* Remove everything under an open directory; symbolic links are removed, not followed. */
static void remove_contents(int dir_fd)
{
    DIR *dir = fdopendir(dir_fd); /* owns dir_fd from here */
    if (!dir) {
        close(dir_fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            remove_contents(fd);
        unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

static void remove_directory(struct node *node)
{
    int fd = open(node->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        remove_contents(fd);
    if (rmdir(node->dir) != 0)
        base_logf(node->log, BASE_LOG_WARN, "the temporary directory %s could not be removed",
                  node->dir);
}

/* Identity. */

struct base_uuid nodei_uuid_v4(struct base_random *random)
{
    struct base_uuid id;
    random->ops->fill(random, id.b, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

static int check_identity(const struct node *node, struct base_err *err)
{
    const struct cat_identity *id = &node->identity;
    struct nodei_settings defaults;
    nodei_settings_init(&defaults);
    if (id->format_version != NODEI_FORMAT_VERSION)
        return base_err_set(err, BASE_E_VERSION,
                            "the directory has format %u; this version reads format %u",
                            (unsigned)id->format_version, (unsigned)NODEI_FORMAT_VERSION);
    /* As Cassandra: a node does not wander between clusters. The default name demands nothing. */
    if (strcmp(node->settings.cluster_name, defaults.cluster_name) != 0 &&
        strcmp(node->settings.cluster_name, id->cluster_name) != 0)
        return base_err_set(err, BASE_E_CONFIG,
                            "cluster_name is \"%s\", but the node belongs to \"%s\"",
                            node->settings.cluster_name, id->cluster_name);
    return BASE_OK;
}

/* No identity, but a store: the catalog was lost. To go on would drop every table's data as of no
 * table. (At the first start the identity is written before the store is made.) */
static int check_catalog_is_new(const struct node *node, struct base_err *err)
{
    char path[NODEI_PATH_LEN_MAX];
    struct stat st;
    if (snprintf(path, sizeof path, "%s/store/CURRENT", node->dir) >= (int)sizeof path)
        return base_err_set(err, BASE_E_LIMIT, "the path is too long");
    if (stat(path, &st) != 0)
        return BASE_OK;
    return base_err_set(err, BASE_E_CORRUPT,
                        "catalog/data.mdb is missing or empty, though store/ holds data: restore "
                        "catalog/ from a backup, or remove store/ to begin without the data");
}

/* Draw the identity at the first start; count every start. */
static int take_identity(struct node *node, struct base_err *err)
{
    struct cat_identity *id = &node->identity;
    int rc = cat_identity_get(node->catalog, id, err);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        rc = check_catalog_is_new(node, err);
        if (rc != BASE_OK)
            return rc;
        *id = (struct cat_identity){.host_id = nodei_uuid_v4(node->random),
                                    .format_version = NODEI_FORMAT_VERSION};
        snprintf(id->cluster_name, sizeof id->cluster_name, "%s", node->settings.cluster_name);
    } else if (rc == BASE_OK) {
        rc = check_identity(node, err);
    }
    if (rc != BASE_OK)
        return rc;
    memcpy(node->settings.cluster_name, id->cluster_name, sizeof id->cluster_name);
    id->generation++;
    rc = cat_identity_put(node->catalog, id, err);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "count this start");
}

/* Store. */

static int open_store(struct node *node, struct base_err *err)
{
    char path[NODEI_PATH_LEN_MAX];
    const struct nodei_settings *s = &node->settings;
    struct lsm_options options;
    snprintf(path, sizeof path, "%s/store", node->dir);
    lsm_options_init(&options);
    options.dir = path;
    options.fs = node->fs;
    options.clock = node->clock;
    options.random = node->random;
    options.executor = node->executor;
    options.log = node->log;
    options.host_id = node->identity.host_id;
    options.sync = (enum lsm_sync)s->commitlog_sync;
    options.sync_period_ns = s->commitlog_sync_period_ns;
    options.commitlog_segment_size = s->commitlog_segment_size;
    if (node->temporary) /* nothing is logged: do not take a segment's space for it */
        options.commitlog_segment_size = 1u << 20;
    options.commitlog_total_size = s->commitlog_total_space;
    options.memtable_size_max = s->memtable_space;
    options.cache_size_max = s->file_cache_size;
    options.compaction_rate_bytes_s = s->compaction_throughput;
    return lsm_open(&options, &node->store, err);
}

static int open_catalog(struct node *node, struct base_err *err)
{
    char path[NODEI_PATH_LEN_MAX];
    if (snprintf(path, sizeof path, "%s/catalog", node->dir) >= (int)sizeof path)
        return base_err_set(err, BASE_E_LIMIT, "the path is too long");
    return cat_open_lmdb(path, &node->catalog, err);
}

static void init_parts(struct node *node)
{
    node->fs = node_posix_fs();
    node->clock = node_real_clock();
    node->random = node_real_random();
    node->started = base_clock_mono(node->clock);
    node->cql_limits = cql_limits_default;
    node->cql_limits.batch_size_warn = node->settings.batch_size_warn;
    node->cql_limits.batch_size_fail = node->settings.batch_size_fail;
    node->cql_limits.unlogged_batch_partitions_warn =
        (unsigned)node->settings.unlogged_batch_partitions_warn;
    pthread_mutex_init(&node->ddl_mutex, NULL);
    pthread_mutex_init(&node->schema_mutex, NULL);
    pthread_mutex_init(&node->sessions_mutex, NULL);
    for (size_t i = 0; i < NODEI_CONDITION_LOCKS; i++)
        pthread_mutex_init(&node->condition_mutexes[i], NULL);
}

/* A directory that belongs to a cluster of several is not opened alone: what was written would be
 * here only. */
static int check_alone(struct node *node, struct base_err *err)
{
    struct base_buf bytes;
    struct ring_state *ring;
    base_buf_init(&bytes, 64u << 20);
    int rc = cat_ring_load(node->catalog, &bytes, err);
    if (rc == BASE_OK)
        rc = ring_state_decode(base_buf_view(&bytes), &ring, err);
    base_buf_fini(&bytes);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        return BASE_OK;
    }
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "members");
    size_t members = ring->member_count;
    ring_state_release(ring);
    if (members <= 1)
        return BASE_OK;
    return base_err_set(
        err, BASE_E_CONFIG,
        "this is the directory of a member of cluster \"%s\" (%zu members): open it as one, "
        "ringlet_open(DIR, 'listen=HOST:PORT', 'seeds=…') or ringlet node",
        node->identity.cluster_name, members);
}

static int start_guest(struct node *node, struct base_err *err)
{
    struct base_schema *schema = base_schema_new();
    if (!schema)
        return base_err_set(err, BASE_E_NOMEM, "schema: out of memory");
    nodei_schema_publish(node, schema);
    node->identity.host_id = nodei_uuid_v4(node->random);
    int rc = nodei_timestamps_open(node, err);
    if (rc == BASE_OK)
        rc = nodei_cluster_open(node, node->dir, NULL, err);
    return rc;
}

int nodei_start(struct node *node, const struct nodei_daemon *daemon, struct base_err *err)
{
    init_parts(node);
    if (node->guest) {
        int rc = start_guest(node, err);
        if (rc != BASE_OK)
            nodei_stop(node);
        return rc;
    }
    int rc = claim_directory(node, err);
    if (rc == BASE_OK)
        rc = nodei_dirlock_acquire(node->dir, &node->lock_fd, err);
    if (rc == BASE_OK)
        rc = open_catalog(node, err);
    if (rc == BASE_OK)
        rc = take_identity(node, err);
    if (rc == BASE_OK)
        rc = node_executor_open(&node->executor, err);
    if (rc == BASE_OK)
        rc = nodei_timestamps_open(node, err);
    if (rc == BASE_OK)
        rc = open_store(node, err);
    if (rc == BASE_OK)
        rc = nodei_schema_open(node, err);
    if (rc == BASE_OK)
        rc = lsm_replay(node->store, err);
    if (rc == BASE_OK)
        rc = nodei_schema_heal(node, err);
    if (rc == BASE_OK)
        rc = node->settings.listens ? nodei_cluster_open(node, node->settings.seeds, daemon, err)
                                    : check_alone(node, err);
    if (rc != BASE_OK)
        nodei_stop(node);
    return rc;
}

/* Writes of keyspaces without durable_writes are in no log: a clean stop keeps them. */
static void flush_unlogged(struct node *node)
{
    struct base_err err = {0};
    const struct base_schema *schema = node->schema;
    for (size_t k = 0; schema && k < schema->keyspace_count; k++) {
        const struct base_keyspace *keyspace = &schema->keyspaces[k];
        for (size_t t = 0; !keyspace->durable_writes && t < keyspace->table_count; t++) {
            struct lsm_table *table = lsm_table_find(node->store, keyspace->tables[t]->id);
            if (table && lsm_flush(node->store, table, NULL, &err) != BASE_OK)
                base_logf(node->log, BASE_LOG_ERROR, "close %s: %s", node->dir, err.text);
        }
    }
}

static void close_store(struct node *node)
{
    struct base_err err = {0};
    if (!node->store)
        return;
    if (!node->temporary)
        flush_unlogged(node);
    if (lsm_close(node->store, node->temporary ? UINT64_MAX : CLOSE_FLUSH_OVER_BYTES, &err) !=
        BASE_OK)
        base_logf(node->log, BASE_LOG_ERROR, "close %s: %s", node->dir, err.text);
    node->store = NULL;
}

void nodei_stop(struct node *node)
{
    nodei_cluster_close(node);
    BASE_ASSERT(!node->sessions);
    bool owned = node->lock_fd >= 0;
    close_store(node);
    nodei_schema_close(node);
    if (node->executor)
        node_executor_close(node->executor);
    node->executor = NULL;
    if (node->timestamps.renewal.step)
        nodei_timestamps_close(node);
    if (node->catalog)
        cat_close(node->catalog);
    node->catalog = NULL;
    if (owned && node->temporary)
        remove_directory(node);
    nodei_dirlock_release(node->lock_fd);
    node->lock_fd = -1;
    pthread_mutex_destroy(&node->ddl_mutex);
    pthread_mutex_destroy(&node->schema_mutex);
    pthread_mutex_destroy(&node->sessions_mutex);
    for (size_t i = 0; i < NODEI_CONDITION_LOCKS; i++)
        pthread_mutex_destroy(&node->condition_mutexes[i]);
}

/* Small questions. */

const char *node_dir(const struct node *node)
{
    return node->dir;
}

int nodei_check_usable(const struct node *node, struct base_err *err)
{
    if (BASE_UNLIKELY(node_is_forked(node)))
        return base_err_set(err, BASE_E_CLOSED,
                            "%s was opened before this process was forked: open the database again",
                            node->dir);
    return BASE_OK;
}

int nodei_health(struct node *node, struct base_err *err)
{
    struct lsm_stats stats;
    if (node->guest)
        return BASE_OK;
    lsm_get_stats(node->store, &stats);
    if (stats.stopped)
        return base_err_set(err, BASE_E_STOPPED,
                            "the store stopped writing after a failed write; see the log");
    if (stats.refuses_writes)
        return base_err_set(err, BASE_E_NOSPACE,
                            "the disk is full: writes are refused until there is space, reads go "
                            "on");
    return BASE_OK;
}

struct base_random *nodei_random(struct node *node)
{
    return node->random;
}

void nodei_listen_address(const struct node *node, char *address, size_t size)
{
    const char *host = node->settings.listen_address;
    bool v6 = strchr(host, ':') && host[0] != '[';
    snprintf(address, size, v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)node->settings.storage_port);
}
