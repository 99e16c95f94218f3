/* What a development cluster's nodes say of themselves, over HTTP.
 *
 * A node may hang (paused, or starting on a slow disk): every question has a deadline. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cluster_private.h"
#include "net/net.h"

enum { ANSWER_SIZE_MAX = 16 << 20, ASK_TIMEOUT_MS = 2000, READY_TIMEOUT_S = 120 };

/* GET; the answer's body in `answer` (the caller's, initialised). */
static int ask(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
               const char *path, struct base_buf *answer, unsigned *status, struct base_err *err)
{
    char url[256];
    snprintf(url, sizeof url, "http://%s:%u%s", node->address, cluster->port, path);
    struct net_http_call call = {.method = "GET",
                                 .url = url,
                                 .timeout_ms = ASK_TIMEOUT_MS,
                                 .body_size_max = ANSWER_SIZE_MAX,
                                 .answer = *answer};
    int rc = net_http_fetch(&call, err);
    *answer = call.answer;
    *status = call.status;
    return rc;
}

/* Ports. */

unsigned short cli_cluster_cql_port(const struct cli_cluster *cluster)
{
    enum { FROM = 7000, TO = 9042 };
    int port = TO + (cluster->port - FROM);
    return (unsigned short)(port <= UINT16_MAX ? port : cluster->port - (TO - FROM));
}

static bool can_bind(unsigned short port, const struct cli_cluster_node *node, int *errnum)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* the node will say what is wrong */
    inet_pton(AF_INET, node->address, &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool ok = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    *errnum = errno;
    close(fd);
    return ok;
}

static int check_cql_port(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                          struct base_err *err)
{
    unsigned short port = cli_cluster_cql_port(cluster);
    int errnum = 0;
    if (can_bind(port, node, &errnum))
        return BASE_OK;
    return base_err_set(err, errnum == EADDRINUSE ? BASE_E_BUSY : base_err_from_errno(errnum),
                        "%s cannot serve CQL on %s:%u: %s (ss -ltnp 'sport = :%u' names who does: "
                        "end it, or give this cluster other "
                        "ports: ringlet --port 7100 cluster create)",
                        node->name, node->address, port, strerror(errnum), port);
}

int cli_cluster_check_port(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                           struct base_err *err)
{
    struct base_buf answer, dir;
    unsigned status;
    int errnum = 0;
    if (can_bind(cluster->port, node, &errnum))
        return check_cql_port(cluster, node, err);
    if (errnum != EADDRINUSE)
        return base_err_set(err, base_err_from_errno(errnum), "%s cannot listen on %s:%u: %s",
                            node->name, node->address, cluster->port, strerror(errnum));
    base_buf_init(&answer, ANSWER_SIZE_MAX);
    base_buf_init(&dir, CLI_CLUSTER_PATH_MAX);
    int rc = ask(cluster, node, "/api/v1/info", &answer, &status, NULL);
    struct base_slice pid = base_json_member(base_buf_view(&answer), "process_id");
    if (rc == BASE_OK && pid.len &&
        base_json_get_string(base_buf_view(&answer), "data_directory", &dir) == BASE_OK)
        rc = base_err_set(err, BASE_E_BUSY,
                          "%s:%u is taken by the ringlet node of %.*s (process %.*s): stop it, or "
                          "give this cluster "
                          "another port (ringlet --port 7100 cluster create)",
                          node->address, cluster->port, BASE_SLICE_ARG(base_buf_view(&dir)),
                          BASE_SLICE_ARG(pid));
    else
        rc = base_err_set(err, BASE_E_BUSY,
                          "%s:%u is taken by another program (ss -ltnp 'sport = :%u' names it): "
                          "end it, or give this "
                          "cluster another port (ringlet --port 7100 cluster create)",
                          node->address, cluster->port, cluster->port);
    base_buf_fini(&dir);
    base_buf_fini(&answer);
    return rc;
}

/* Status. */

/* Fill `seen` from an answer of /api/v1/status. */
static bool take_status(const struct cli_cluster *cluster, struct base_slice json, char (*seen)[3])
{
    struct base_json_walk walk;
    bool more = false;
    struct base_slice nodes = base_json_member(json, "nodes");
    for (size_t i = 0; i < cluster->node_count; i++)
        seen[i][0] = 0;
    base_json_walk_begin(&walk, nodes);
    int rc = nodes.len ? base_json_walk_next(&walk, &more, NULL) : BASE_E_INVALID;
    for (; rc == BASE_OK && more; rc = base_json_walk_next(&walk, &more, NULL)) {
        struct base_slice address = base_json_member(walk.value, "address"),
                          code = base_json_member(walk.value, "code");
        for (size_t i = 0; i < cluster->node_count; i++) {
            char own[48];
            snprintf(own, sizeof own, "\"%s:%u\"", cluster->nodes[i].address, cluster->port);
            if (base_slice_equal(address, base_slice_str(own)) && code.len == 4)
                snprintf(seen[i], 3, "%.2s", (const char *)code.data + 1);
        }
    }
    return rc == BASE_OK;
}

static bool ask_status(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                       char (*seen)[3])
{
    struct base_buf answer;
    unsigned status = 0;
    base_buf_init(&answer, ANSWER_SIZE_MAX);
    bool ok = ask(cluster, node, "/api/v1/status", &answer, &status, NULL) == BASE_OK &&
              status == 200 && take_status(cluster, base_buf_view(&answer), seen);
    base_buf_fini(&answer);
    return ok;
}

void cli_cluster_view(const struct cli_cluster *cluster, struct cli_cluster_view *view)
{
    pid_t pid;
    *view = (struct cli_cluster_view){.by = ""};
    for (size_t i = 0; i < cluster->node_count && !view->by[0]; i++)
        if (cli_cluster_state(cluster, &cluster->nodes[i], &pid) == CLI_NODE_RUNNING &&
            ask_status(cluster, &cluster->nodes[i], view->seen))
            snprintf(view->by, sizeof view->by, "%s", cluster->nodes[i].name);
}

/* Ready. */

/* Ready, and sees all that run UN. `why`: what is missing. */
static bool is_ready(const struct cli_cluster *cluster, size_t at, const bool *runs, char *why,
                     size_t size)
{
    const struct cli_cluster_node *node = &cluster->nodes[at];
    char seen[CLI_CLUSTER_NODES_MAX][3];
    struct base_buf answer;
    struct base_err err = {0};
    unsigned status = 0;
    base_buf_init(&answer, ANSWER_SIZE_MAX);
    int rc = ask(cluster, node, "/readyz", &answer, &status, &err);
    bool ready = rc == BASE_OK && status == 200;
    if (rc != BASE_OK)
        snprintf(why, size, "%s does not answer (%.300s)", node->name, err.text);
    else if (!ready)
        snprintf(why, size, "%s is not ready: %.*s", node->name,
                 answer.len < 300 ? (int)answer.len : 300, (const char *)answer.data);
    base_buf_fini(&answer);
    if (ready && !ask_status(cluster, node, seen)) {
        snprintf(why, size, "%s does not tell its status", node->name);
        return false;
    }
    for (size_t i = 0; ready && i < cluster->node_count; i++) {
        ready = !runs[i] || strcmp(seen[i], "UN") == 0;
        if (!ready)
            snprintf(why, size, "%s sees %s as %s", node->name, cluster->nodes[i].name,
                     seen[i][0] ? seen[i] : "no member");
    }
    return ready;
}

/* A line of progress on a terminal. */
static void show_progress(size_t ready, size_t all, unsigned seconds)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%zu of %zu nodes ready (%u s)", ready, all, seconds);
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int check_children(struct cli_cluster *cluster, struct base_err *err)
{
    char how[128];
    for (size_t i = 0; i < cluster->node_count; i++) {
        if (!cli_cluster_child_ended(&cluster->nodes[i], how, sizeof how))
            continue;
        /* One that a create was starting when it was cut off had the directory first: then the node
         * runs. */
        pid_t pid;
        if (cli_cluster_state(cluster, &cluster->nodes[i], &pid) == CLI_NODE_RUNNING)
            continue;
        end_progress();
        cli_cluster_show_log(cluster, &cluster->nodes[i]);
        return base_err_set(err, BASE_E_STOPPED, "%s %s (its log: %s/%s/log)",
                            cluster->nodes[i].name, how, cluster->dir, cluster->nodes[i].name);
    }
    return BASE_OK;
}

int cli_cluster_wait_ready(struct cli_cluster *cluster, struct base_err *err)
{
    bool runs[CLI_CLUSTER_NODES_MAX], ready[CLI_CLUSTER_NODES_MAX] = {false};
    char why[512] = "";
    int64_t begin_us = node_wall_us(), spent_us = 0;
    for (unsigned turn = 0;; turn++) {
        size_t wanted = 0, count = 0;
        int rc = check_children(cluster, err);
        if (rc != BASE_OK)
            return rc;
        for (size_t i = 0; i < cluster->node_count; i++) {
            pid_t pid;
            runs[i] = cluster->nodes[i].child != 0 ||
                      cli_cluster_state(cluster, &cluster->nodes[i], &pid) == CLI_NODE_RUNNING;
            wanted += runs[i];
        }
        for (size_t i = 0; i < cluster->node_count; i++) {
            if (runs[i] && !ready[i])
                ready[i] = is_ready(cluster, i, runs, why, sizeof why);
            count += runs[i] && ready[i];
        }
        spent_us = node_wall_us() - begin_us;
        if (count == wanted)
            break;
        if (spent_us > READY_TIMEOUT_S * INT64_C(1000000)) {
            end_progress();
            return base_err_set(err, BASE_E_TIMEOUT, "after %d s %zu of %zu nodes are ready: %s",
                                READY_TIMEOUT_S, count, wanted, why);
        }
        show_progress(count, wanted, (unsigned)(spent_us / 1000000));
        cli_sleep_ms(turn < 100 ? 20 : 100);
    }
    end_progress();
    return BASE_OK;
}
