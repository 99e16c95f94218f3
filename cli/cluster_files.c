/* What a development cluster leaves on disk.
 *
 * Invariants:
 * 1. cluster.json is written first and removed last: whatever a command that was cut off left
 *    behind, DIR is known as ours, and the same command again finishes its work.
 * 2. Removal takes what create made, name by name, and follows no symbolic link; DIR itself goes
 *    only if nothing else is in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cluster_private.h"
#include "net/net.h"

enum { FILE_SIZE_MAX = 1 << 20, SEEDS_MAX = 3 };

void cli_cluster_init(struct cli_cluster *cluster, const char *dir)
{
    *cluster = (struct cli_cluster){.lock_fd = -1};
    snprintf(cluster->dir, sizeof cluster->dir, "%s", dir);
}

static int fail(struct base_err *err, const char *what, const char *path)
{
    int saved = errno;
    return base_err_set(err, base_err_from_errno(saved), "%s %s: %s", what, path, strerror(saved));
}

static void path_of(const struct cli_cluster *cluster, const char *name,
                    char path[CLI_CLUSTER_PATH_MAX])
{
    if (snprintf(path, CLI_CLUSTER_PATH_MAX, "%s/%s", cluster->dir, name) >= CLI_CLUSTER_PATH_MAX)
        path[0] = 0; /* no file has that name */
}

void cli_cluster_path(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                      const char *name, char path[CLI_CLUSTER_PATH_MAX])
{
    char below[64];
    snprintf(below, sizeof below, "%s%s%s", node->name, name[0] ? "/" : "", name);
    path_of(cluster, below, path);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Whole, or not at all. */
static int write_file(const char *path, const void *data, size_t len, mode_t mode,
                      struct base_err *err)
{
    char temporary[CLI_CLUSTER_PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return base_err_set(err, BASE_E_LIMIT, "%s: the path is too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return fail(err, "write", path);
    bool ok = write(fd, data, len) == (ssize_t)len;
    ok = close(fd) == 0 && ok;
    if (ok && rename(temporary, path) == 0)
        return BASE_OK;
    int rc = fail(err, "write", path);
    unlink(temporary);
    return rc;
}

/* cluster.json. */

static void put_str(struct base_json_writer *json, const char *key, const char *value)
{
    base_json_key(json, key);
    base_json_str(json, value);
}

static void put_u64(struct base_json_writer *json, const char *key, uint64_t value)
{
    base_json_key(json, key);
    base_json_u64(json, value);
}

int cli_cluster_save(const struct cli_cluster *cluster, struct base_err *err)
{
    char path[CLI_CLUSTER_PATH_MAX];
    struct base_json_writer json;
    struct base_buf text;
    base_buf_init(&text, FILE_SIZE_MAX);
    base_json_writer_init(&json, &text);
    base_json_open_object(&json);
    put_u64(&json, "ringlet_cluster", 1);
    put_str(&json, "name", cluster->name);
    put_u64(&json, "port", cluster->port);
    put_u64(&json, "rf", cluster->rf);
    base_json_key(&json, "nodes");
    base_json_open_array(&json);
    for (size_t i = 0; i < cluster->node_count; i++) {
        base_json_open_object(&json);
        put_str(&json, "name", cluster->nodes[i].name);
        put_str(&json, "address", cluster->nodes[i].address);
        put_str(&json, "dc", cluster->nodes[i].dc);
        put_str(&json, "rack", cluster->nodes[i].rack);
        base_json_close_object(&json);
    }
    base_json_close_array(&json);
    base_json_close_object(&json);
    int rc = base_json_finish(&json);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, '\n');
    path_of(cluster, "cluster.json", path);
    if (rc != BASE_OK)
        base_err_set(err, rc, "write %s: %s", path, base_err_words(rc));
    else
        rc = write_file(path, text.data, text.len, 0600, err);
    base_buf_fini(&text);
    return rc;
}

static uint64_t get_u64(struct base_slice json, const char *key)
{
    struct base_slice value = base_json_member(json, key);
    char text[24] = "";
    if (value.len && value.len < sizeof text)
        memcpy(text, value.data, value.len);
    return strtoull(text, NULL, 10);
}

static bool get_str(struct base_slice json, const char *key, char *out, size_t size)
{
    struct base_buf text;
    base_buf_init(&text, size - 1);
    bool ok = base_json_get_string(json, key, &text) == BASE_OK && text.len > 0 &&
              !memchr(text.data, 0, text.len);
    snprintf(out, size, "%.*s", ok ? (int)text.len : 0, (const char *)text.data);
    base_buf_fini(&text);
    return ok;
}

/* Names become paths and addresses: only those that create gives. */
static bool node_is_valid(const struct cli_cluster_node *node)
{
    char name[sizeof node->name], address[sizeof node->address];
    unsigned long n = strncmp(node->name, "node", 4) == 0 ? strtoul(node->name + 4, NULL, 10) : 0;
    if (n == 0 || n > CLI_CLUSTER_NODES_MAX)
        return false;
    snprintf(name, sizeof name, "node%lu", n);
    snprintf(address, sizeof address, "127.0.0.%lu", n);
    return strcmp(name, node->name) == 0 && strcmp(address, node->address) == 0;
}

static int parse(struct cli_cluster *cluster, struct base_slice json, const char *path,
                 struct base_err *err)
{
    struct base_json_walk walk;
    bool more = false;
    uint64_t port = get_u64(json, "port");
    if (get_u64(json, "ringlet_cluster") != 1 || port == 0 || port > 65535 ||
        !get_str(json, "name", cluster->name, sizeof cluster->name))
        return base_err_set(err, BASE_E_INVALID, "%s is not what ringlet cluster create writes",
                            path);
    cluster->port = (unsigned short)port;
    cluster->rf = (unsigned)get_u64(json, "rf");
    cluster->node_count = 0;
    base_json_walk_begin(&walk, base_json_member(json, "nodes"));
    int rc = base_json_walk_next(&walk, &more, err);
    for (; rc == BASE_OK && more; rc = base_json_walk_next(&walk, &more, err)) {
        struct cli_cluster_node *node = &cluster->nodes[cluster->node_count];
        *node = (struct cli_cluster_node){.child = 0};
        if (cluster->node_count == CLI_CLUSTER_NODES_MAX - 1 ||
            !get_str(walk.value, "name", node->name, sizeof node->name) ||
            !get_str(walk.value, "address", node->address, sizeof node->address) ||
            !get_str(walk.value, "dc", node->dc, sizeof node->dc) ||
            !get_str(walk.value, "rack", node->rack, sizeof node->rack) || !node_is_valid(node))
            return base_err_set(err, BASE_E_INVALID,
                                "%s: node %zu is not one that ringlet cluster makes", path,
                                cluster->node_count + 1);
        cluster->node_count++;
    }
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "%s", path);
}

static int read_file(const char *path, struct base_buf *text, struct base_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail(err, "read", path);
    int rc = BASE_OK;
    for (;;) {
        rc = base_buf_reserve(text, 4096);
        ssize_t n = rc == BASE_OK ? read(fd, text->data + text->len, 4096) : 0;
        if (n < 0)
            rc = fail(err, "read", path);
        if (n <= 0)
            break;
        text->len += (size_t)n;
    }
    close(fd);
    return rc;
}

int cli_cluster_load(struct cli_cluster *cluster, struct base_err *err)
{
    char path[CLI_CLUSTER_PATH_MAX], real[CLI_CLUSTER_PATH_MAX];
    struct base_buf text;
    if (realpath(cluster->dir, real))
        snprintf(cluster->dir, sizeof cluster->dir, "%s", real);
    path_of(cluster, "cluster.json", path);
    base_buf_init(&text, FILE_SIZE_MAX);
    int rc = read_file(path, &text, err);
    if (rc == BASE_E_NOTFOUND)
        rc = base_err_set(
            err, rc,
            "there is no cluster in %s: make one with ringlet cluster create, or name its --dir",
            cluster->dir);
    else if (rc == BASE_OK)
        rc = parse(cluster, base_buf_view(&text), path, err);
    base_buf_fini(&text);
    return rc;
}

/* Directories. */

bool cli_cluster_exists(const struct cli_cluster *cluster)
{
    char path[CLI_CLUSTER_PATH_MAX];
    path_of(cluster, "cluster.json", path);
    return exists(path);
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = dir != NULL;
    const struct dirent *entry;
    while (empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lock") == 0;
    if (dir)
        closedir(dir);
    return empty;
}

int cli_cluster_make_dir(struct cli_cluster *cluster, struct base_err *err)
{
    char real[CLI_CLUSTER_PATH_MAX];
    if (mkdir(cluster->dir, 0700) != 0 && errno != EEXIST)
        return fail(err, "make", cluster->dir);
    if (!realpath(cluster->dir, real))
        return fail(err, "look at", cluster->dir);
    if (strlen(real) > CLI_CLUSTER_PATH_MAX - 256)
        return base_err_set(err, BASE_E_LIMIT, "the path of %s is too long", cluster->dir);
    snprintf(cluster->dir, sizeof cluster->dir, "%s", real);
    if (cli_cluster_exists(cluster))
        return BASE_OK;
    if (!is_empty(cluster->dir))
        return base_err_set(err, BASE_E_EXISTS,
                            "%s is there and no cluster: name a new or an empty --dir",
                            cluster->dir);
    return chmod(cluster->dir, 0700) == 0 ? BASE_OK : fail(err, "make private", cluster->dir);
}

int cli_cluster_lock(struct cli_cluster *cluster, struct base_err *err)
{
    char path[CLI_CLUSTER_PATH_MAX];
    struct stat mine, named;
    path_of(cluster, "lock", path);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return fail(err, "open", path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            fprintf(stderr, "waiting for another ringlet cluster command on %s\n", cluster->dir);
            if (flock(fd, LOCK_EX) != 0) {
                int rc = fail(err, "lock", path);
                close(fd);
                return rc;
            }
        }
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
            mine.st_dev == named.st_dev) {
            cluster->lock_fd = fd;
            return BASE_OK;
        }
        close(fd); /* the cluster was destroyed while we waited */
    }
}

void cli_cluster_unlock(struct cli_cluster *cluster)
{
    if (cluster->lock_fd >= 0)
        close(cluster->lock_fd);
    cluster->lock_fd = -1;
}

/* Seeds: the first node, whose own address among them lets it form the cluster; for a node that is
 * added later, others, so that any of them may be down. */
static int put_seeds(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                     struct base_buf *text)
{
    bool others = cluster->nodes[0].address[0] && node != &cluster->nodes[0] &&
                  cli_cluster_has_data(cluster, &cluster->nodes[0]);
    int rc = base_buf_printf(text, "seeds: \"");
    size_t count = 0;
    for (size_t i = 0;
         rc == BASE_OK && i < cluster->node_count && count < (others ? SEEDS_MAX : 1u); i++) {
        if (others && node == &cluster->nodes[i])
            continue;
        rc = base_buf_printf(text, "%s%s:%u", count ? "," : "", cluster->nodes[i].address,
                             cluster->port);
        count++;
    }
    return rc == BASE_OK ? base_buf_printf(text, "\"\n") : rc;
}

static int make_configuration(const struct cli_cluster *cluster,
                              const struct cli_cluster_node *node, struct base_err *err)
{
    char path[CLI_CLUSTER_PATH_MAX];
    struct base_buf text;
    base_buf_init(&text, FILE_SIZE_MAX);
    cli_cluster_path(cluster, node, "ringlet.yaml", path);
    int rc = base_buf_printf(
        &text,
        "# %s, made by ringlet cluster. Options: docs/operations.md\ncluster_name: ", node->name);
    if (rc == BASE_OK) /* a JSON string is a YAML string */
        rc = base_json_put_string(&text, base_slice_str(cluster->name));
    if (rc == BASE_OK)
        rc = base_buf_printf(&text,
                             "\nlisten_address: %s\nstorage_port: %u\nrpc_address: "
                             "%s\nnative_transport_port: %u\ndc: %s\nrack: %s\n"
                             "num_tokens: 16\n",
                             node->address, cluster->port, node->address,
                             cli_cluster_cql_port(cluster), node->dc, node->rack);
    if (rc == BASE_OK)
        rc = put_seeds(cluster, node, &text);
    if (rc == BASE_OK)
        rc = base_buf_printf(&text, "cluster_secret_file: ");
    char secret[CLI_CLUSTER_PATH_MAX];
    path_of(cluster, "secret", secret);
    if (rc == BASE_OK)
        rc = base_json_put_string(&text, base_slice_str(secret));
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, '\n');
    if (rc != BASE_OK)
        base_err_set(err, rc, "write %s: %s", path, base_err_words(rc));
    else
        rc = write_file(path, text.data, text.len, 0600, err);
    base_buf_fini(&text);
    return rc;
}

int cli_cluster_make_node(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                          struct base_err *err)
{
    char path[CLI_CLUSTER_PATH_MAX];
    path_of(cluster, "secret", path);
    int rc = BASE_OK;
    if (!exists(path)) {
        uint8_t bytes[NET_TOKEN_BYTES];
        node_random(bytes, sizeof bytes);
        rc = net_token_write(path, bytes, err);
    }
    cli_cluster_path(cluster, node, "", path);
    if (rc == BASE_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
        rc = fail(err, "make", path);
    cli_cluster_path(cluster, node, "ringlet.yaml", path);
    if (rc == BASE_OK && !exists(path))
        rc = make_configuration(cluster, node, err);
    return rc;
}

bool cli_cluster_has_data(const struct cli_cluster *cluster, const struct cli_cluster_node *node)
{
    char path[CLI_CLUSTER_PATH_MAX];
    cli_cluster_path(cluster, node, "data/LOCK", path); /* a node's first act */
    return exists(path);
}

/* Removing. */

/* NAME under the directory and all below it; a symbolic link is removed, not followed. */
static void remove_tree(int at, const char *name)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    unlinkat(at, name, AT_REMOVEDIR);
}

int cli_cluster_remove_node(struct cli_cluster *cluster, size_t index, struct base_err *err)
{
    BASE_ASSERT(index < cluster->node_count && cluster->lock_fd >= 0);
    char path[CLI_CLUSTER_PATH_MAX];
    cli_cluster_path(cluster, &cluster->nodes[index], "", path);
    remove_tree(AT_FDCWD, path);
    if (exists(path))
        return fail(err, "remove", path);
    memmove(&cluster->nodes[index], &cluster->nodes[index + 1],
            (cluster->node_count - index - 1) * sizeof cluster->nodes[0]);
    cluster->node_count--;
    return cli_cluster_save(cluster, err);
}

int cli_cluster_remove(struct cli_cluster *cluster, char left[256], struct base_err *err)
{
    static const char *const files[] = {"secret", "cluster.json.new", "cluster.json", "lock"};
    char path[CLI_CLUSTER_PATH_MAX];
    BASE_ASSERT(cluster->lock_fd >= 0);
    left[0] = 0;
    for (size_t i = 0; i < cluster->node_count; i++) {
        cli_cluster_path(cluster, &cluster->nodes[i], "", path);
        remove_tree(AT_FDCWD, path);
        if (exists(path))
            return fail(err, "remove", path);
    }
    for (size_t i = 0; i < BASE_COUNT(files); i++) {
        path_of(cluster, files[i], path);
        if (unlink(path) != 0 && errno != ENOENT)
            return fail(err, "remove", path);
    }
    if (rmdir(cluster->dir) == 0)
        return BASE_OK;
    int saved = errno;
    DIR *dir = opendir(cluster->dir);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) && !left[0])
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            snprintf(left, 256, "%s", entry->d_name);
    if (dir)
        closedir(dir);
    errno = saved;
    return left[0] ? BASE_OK : fail(err, "remove", cluster->dir);
}
