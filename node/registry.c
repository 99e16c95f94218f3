/* The registry of the nodes that are open in this process: the only global state there is. It is
 * here because LMDB forbids opening an environment twice in a process, and because connections of
 * one host that name the same directory must share one node.
 *
 * Relies on: a node is known by its directory's device and inode, so that no spelling of a path
 * opens it twice. Invariants:
 *  1. The mutex is held for a moment only, never over I/O: opening and closing run outside of it,
 *     with the entry in state OPENING or CLOSING; whoever wants the same directory waits on the
 *     condition.
 *  2. A forked child never gets a node of its parent: the fork handler takes the mutex before the
 *     fork, and in the child marks every node forked, closes the child's copies of the locks (else
 *     the child would hold the directory after its parent's end), and empties the list. What the
 *     nodes own (memory, descriptors) is left alone: their threads are not here, their mutexes may
 *     be in any state. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/node_private.h"

/* a COMMIT is one logged batch there: kept whole on two more nodes */
#define CLUSTER_TRANSACTION_MAX (16u << 20)

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct node *nodes;
    bool has_fork_handler;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Fork. */

static void before_fork(void)
{
    pthread_mutex_lock(&registry.mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&registry.mutex);
}

static void after_fork_in_child(void)
{
    for (struct node *node = registry.nodes; node; node = node->next) {
        atomic_store(&node->forked, true);
        nodei_dirlock_forget(node->lock_fd);
    }
    registry.nodes = NULL;
    /* Nobody waits here: the waiters' threads stayed behind. */
    pthread_cond_init(&registry.changed, NULL);
    pthread_mutex_unlock(&registry.mutex);
}

/* Opening. */

/* What tells nodes apart: the directory's device and inode, or a guest's contacts. */
static int identify(const struct node_config *config, struct stat *st, struct base_err *err)
{
    const char *dir = config->dir;
    if (config->contacts) {
        memset(st, 0, sizeof *st);
        return BASE_OK;
    }
    if (!dir || !dir[0])
        return base_err_set(err, BASE_E_CONFIG, "open a node: no data directory was named");
    int rc = base_fs_mkdir(node_posix_fs(), dir, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "data directory");
    if (stat(dir, st) != 0) {
        char text[128];
        int errnum = errno;
        return base_err_set(err, base_err_from_errno(errnum), "data directory %s: %s", dir,
                            strerror_r(errnum, text, sizeof text));
    }
    return BASE_OK;
}

/* Defaults, the directory's ringlet.yaml, the daemon's file, the options: the later the
 * stronger. */
static int resolve_settings(const struct node_config *config, const struct nodei_daemon *daemon,
                            struct nodei_settings *settings, struct base_err *err)
{
    char path[NODEI_PATH_LEN_MAX];
    nodei_settings_init(settings);
    if (config->contacts) {
        if (config->secret_file &&
            snprintf(settings->cluster_secret_file, sizeof settings->cluster_secret_file, "%s",
                     config->secret_file) >= (int)sizeof settings->cluster_secret_file)
            return base_err_set(err, BASE_E_LIMIT, "secret_file: the path is too long");
        settings->transaction_size_max = CLUSTER_TRANSACTION_MAX;
        settings->internode_encryption = strncmp(config->contacts, "https://", 8) == 0;
        int rc = BASE_OK;
        for (size_t i = 0; i < config->option_count && rc == BASE_OK; i++)
            rc = nodei_settings_set(settings, config->options[i].name, config->options[i].value,
                                    err);
        return rc;
    }
    if (snprintf(path, sizeof path, "%s/ringlet.yaml", config->dir) >= (int)sizeof path)
        return base_err_set(err, BASE_E_LIMIT, "data directory %s: the path is too long",
                            config->dir);
    int rc = nodei_settings_load(settings, path, err);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        rc = BASE_OK;
    }
    if (rc == BASE_OK && daemon && daemon->config_file)
        rc = nodei_settings_load(settings, daemon->config_file, err);
    for (size_t i = 0; i < config->option_count && rc == BASE_OK; i++)
        rc = nodei_settings_set(settings, config->options[i].name, config->options[i].value, err);
    if (rc == BASE_OK && daemon && daemon->listen)
        rc = nodei_settings_set(settings, "listen", daemon->listen, err);
    settings->listens = settings->listens || daemon;
    if (settings->listens && settings->transaction_size_max > CLUSTER_TRANSACTION_MAX)
        settings->transaction_size_max = CLUSTER_TRANSACTION_MAX;
    nodei_settings_finish(settings);
    return rc;
}

/* Options given again must be what the open node has; options not given demand nothing. */
static int check_options(const struct node *node, const struct node_config *config,
                         struct base_err *err)
{
    struct nodei_settings wanted = node->settings;
    int rc = BASE_OK;
    if (node->guest && strcmp(node->settings.cluster_secret_file,
                              config->secret_file ? config->secret_file : "") != 0)
        return base_err_set(err, BASE_E_CONFIG,
                            "%s is connected already in this process with another secret_file",
                            node->dir);
    for (size_t i = 0; i < config->option_count && rc == BASE_OK; i++)
        rc = nodei_settings_set(&wanted, config->options[i].name, config->options[i].value, err);
    if (rc == BASE_OK)
        rc = nodei_settings_agree(&node->settings, &wanted, err);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "open %s", node->dir);
}

static struct node *new_node(const struct node_config *config, const struct stat *st)
{
    struct node *node = calloc(1, sizeof *node);
    char *dir = !node              ? NULL
                : config->contacts ? strdup(config->contacts)
                                   : realpath(config->dir, NULL);
    if (!dir) {
        free(node);
        return NULL;
    }
    node->refs = 1;
    node->state = NODEI_OPENING;
    node->dir_dev = st->st_dev;
    node->dir_ino = st->st_ino;
    node->dir = dir;
    node->lock_fd = -1;
    node->guest = config->contacts != NULL;
    node->temporary = config->temporary;
    node->log = config->log;
    return node;
}

static void unlist(struct node *node)
{
    struct node **at = &registry.nodes;
    while (*at && *at != node)
        at = &(*at)->next;
    BASE_ASSERT(*at == node);
    *at = node->next;
    node->next = NULL;
}

static void free_node(struct node *node)
{
    free(node->dir);
    free(node);
}

/* Under the mutex: the open node of this directory, or NULL after the last one that was closing is
 * gone. */
static struct node *find_settled(const struct node_config *config, const struct stat *st)
{
    for (;;) {
        struct node *node = registry.nodes;
        while (node && !(config->contacts ? node->guest && strcmp(node->dir, config->contacts) == 0
                                          : !node->guest && node->dir_dev == st->st_dev &&
                                                node->dir_ino == st->st_ino))
            node = node->next;
        if (!node || node->state == NODEI_OPEN)
            return node;
        pthread_cond_wait(&registry.changed, &registry.mutex);
    }
}

static int start(struct node *node, const struct node_config *config,
                 const struct nodei_daemon *daemon, struct base_err *err)
{
    int rc = resolve_settings(config, daemon, &node->settings, err);
    if (rc == BASE_OK)
        rc = nodei_start(node, daemon, err);
    if (rc != BASE_OK)
        base_err_wrap(err, rc, "open %s", node->dir);
    pthread_mutex_lock(&registry.mutex);
    if (rc == BASE_OK)
        node->state = NODEI_OPEN;
    else
        unlist(node);
    pthread_cond_broadcast(&registry.changed);
    pthread_mutex_unlock(&registry.mutex);
    if (rc != BASE_OK)
        free_node(node);
    return rc;
}

int nodei_open_configured(const struct node_config *config, const struct nodei_daemon *daemon,
                          struct node **out, struct base_err *err)
{
    struct stat st;
    *out = NULL;
    int rc = identify(config, &st, err);
    if (rc != BASE_OK)
        return rc;
    pthread_mutex_lock(&registry.mutex);
    if (!registry.has_fork_handler)
        registry.has_fork_handler =
            pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    struct node *node = registry.has_fork_handler ? find_settled(config, &st) : NULL;
    bool is_new = !node;
    if (!registry.has_fork_handler) {
        rc = base_err_set(err, BASE_E_NOMEM, "open %s: out of memory", config->dir);
    } else if (is_new) {
        node = new_node(config, &st);
        if (node) {
            node->next = registry.nodes;
            registry.nodes = node;
        } else {
            rc = base_err_set(err, BASE_E_NOMEM, "open %s: out of memory", config->dir);
        }
    } else {
        rc = check_options(node, config, err);
        if (rc == BASE_OK)
            node->refs++;
    }
    pthread_mutex_unlock(&registry.mutex);
    if (rc == BASE_OK && is_new)
        rc = start(node, config, daemon, err);
    if (rc == BASE_OK)
        *out = node;
    return rc;
}

int node_open(const struct node_config *config, struct node **out, struct base_err *err)
{
    return nodei_open_configured(config, NULL, out, err);
}

struct node *node_acquire(struct node *node)
{
    if (node_is_forked(node))
        return node;
    pthread_mutex_lock(&registry.mutex);
    BASE_ASSERT(node->refs > 0 && node->state == NODEI_OPEN);
    node->refs++;
    pthread_mutex_unlock(&registry.mutex);
    return node;
}

void node_release(struct node *node)
{
    if (!node || node_is_forked(node)) /* a parent's node is forgotten, not closed */
        return;
    pthread_mutex_lock(&registry.mutex);
    BASE_ASSERT(node->refs > 0 && node->state == NODEI_OPEN);
    bool last = --node->refs == 0;
    if (last)
        node->state = NODEI_CLOSING;
    pthread_mutex_unlock(&registry.mutex);
    if (!last)
        return;
    nodei_stop(node);
    pthread_mutex_lock(&registry.mutex);
    unlist(node);
    pthread_cond_broadcast(&registry.changed);
    pthread_mutex_unlock(&registry.mutex);
    free_node(node);
}

bool node_is_forked(const struct node *node)
{
    return atomic_load_explicit(&node->forked, memory_order_relaxed);
}
