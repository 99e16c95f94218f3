/* Inside cli/cluster*.c: a development cluster on 127.0.0.1, .2, .3 …, of one user, in one
 * directory.
 *
 *   DIR/cluster.json   what create made: the marker without which nothing here is touched or
 *                      removed
 *   DIR/lock           held (flock) by the command that changes something
 *   DIR/secret         the cluster secret (0600)
 *   DIR/nodeN/ringlet.yaml, data/, log, pid
 *
 * Whether a node runs is said by the lock on its data directory and by nothing else: the pid file
 * is for people and scripts. */
#ifndef CLI_CLUSTER_PRIVATE_H
#define CLI_CLUSTER_PRIVATE_H

#include <sys/types.h>

#include "cli/cli_private.h"

enum { CLI_CLUSTER_NODES_MAX = 250, CLI_CLUSTER_DC_LEN_MAX = 63, CLI_CLUSTER_PATH_MAX = 4096 };

struct cli_cluster_node {
    char name[16];    /* "node1" */
    char address[20]; /* "127.0.0.1" */
    char dc[CLI_CLUSTER_DC_LEN_MAX + 1], rack[CLI_CLUSTER_DC_LEN_MAX + 1];
    pid_t child;     /* started by this command, not waited for; 0: none */
    off_t log_start; /* of this start in its log */
};
struct cli_cluster {
    char dir[CLI_CLUSTER_PATH_MAX]; /* absolute once it exists */
    char name[128];
    unsigned short port; /* of all nodes */
    unsigned rf;         /* for the hint of what to do next */
    struct cli_cluster_node nodes[CLI_CLUSTER_NODES_MAX];
    size_t node_count;
    int lock_fd; /* -1: not held */
};

/* Files (cluster_files.c). */

void cli_cluster_init(struct cli_cluster *cluster, const char *dir);
/* NOTFOUND: no cluster is there. INVALID, CORRUPT. */
BASE_MUST int cli_cluster_load(struct cli_cluster *cluster, struct base_err *err);
bool cli_cluster_exists(const struct cli_cluster *cluster);
/* Make DIR (0700) when it is not there; refused (EXISTS) when it is there with something in it and
 * no cluster. */
BASE_MUST int cli_cluster_make_dir(struct cli_cluster *cluster, struct base_err *err);
/* One command that changes something at a time: waits for the other. NOTFOUND when DIR was
 * destroyed meanwhile. */
BASE_MUST int cli_cluster_lock(struct cli_cluster *cluster, struct base_err *err);
void cli_cluster_unlock(struct cli_cluster *cluster);
BASE_MUST int cli_cluster_save(const struct cli_cluster *cluster, struct base_err *err);
/* The secret, and the node's directory and configuration, as far as they are missing. */
BASE_MUST int cli_cluster_make_node(const struct cli_cluster *cluster,
                                    const struct cli_cluster_node *node, struct base_err *err);
BASE_MUST int cli_cluster_remove_node(struct cli_cluster *cluster, size_t index,
                                      struct base_err *err);
/* Everything that create made. *left: a name that is not ours and keeps DIR, or "". */
BASE_MUST int cli_cluster_remove(struct cli_cluster *cluster, char left[256], struct base_err *err);
/* DIR/nodeN/NAME; cut when too long, which make_dir has ruled out. */
void cli_cluster_path(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                      const char *name, char path[CLI_CLUSTER_PATH_MAX]);
bool cli_cluster_has_data(const struct cli_cluster *cluster, const struct cli_cluster_node *node);

/* Processes (cluster_process.c). */

enum cli_node_state {
    CLI_NODE_STOPPED,
    CLI_NODE_RUNNING,
    CLI_NODE_PAUSED,  /* SIGSTOP */
    CLI_NODE_FOREIGN, /* its directory is open in a process that is no `ringlet`: not ours to signal
                       */
};
const char *cli_node_state_name(enum cli_node_state state);
/* *pid: of whoever holds the data directory; 0 when stopped. */
enum cli_node_state cli_cluster_state(const struct cli_cluster *cluster,
                                      const struct cli_cluster_node *node, pid_t *pid);
BASE_MUST int cli_cluster_spawn(const struct cli_cluster *cluster, struct cli_cluster_node *node,
                                struct base_err *err);
/* Did the child end? Its status in words then. */
bool cli_cluster_child_ended(struct cli_cluster_node *node, char *how, size_t size);
/* No effect on a node that is stopped. BUSY for a foreign process. */
BASE_MUST int cli_cluster_signal(const struct cli_cluster *cluster,
                                 const struct cli_cluster_node *node, int signal,
                                 struct base_err *err);
/* Wait for the state; false: not within the time. */
bool cli_cluster_wait_state(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                            enum cli_node_state wanted, unsigned timeout_ms);
/* The end of what the node said since its start, on stderr, each line with its name. */
void cli_cluster_show_log(const struct cli_cluster *cluster, const struct cli_cluster_node *node);
void cli_sleep_ms(int ms);

/* Questions over HTTP (cluster_ask.c). */

/* Where the nodes serve CQL clients: 9042, and as far from it as their other port is from 7000. */
unsigned short cli_cluster_cql_port(const struct cli_cluster *cluster);
/* Are the node's ports free? BUSY names who listens there, and what to do. */
BASE_MUST int cli_cluster_check_port(const struct cli_cluster *cluster,
                                     const struct cli_cluster_node *node, struct base_err *err);
/* Status and State of every node ("UN", "DN", "UJ"; "" not a member) as the first of the running
 * ones sees it. */
struct cli_cluster_view {
    char seen[CLI_CLUSTER_NODES_MAX][3];
    char by[20]; /* whose view; "": no node answered */
};
void cli_cluster_view(const struct cli_cluster *cluster, struct cli_cluster_view *view);
/* Until all nodes that run are ready and see each other UN. A node that ends meanwhile: its log is
 * shown, and this fails. */
BASE_MUST int cli_cluster_wait_ready(struct cli_cluster *cluster, struct base_err *err);

#endif
