/* The processes of a development cluster.
 *
 * Invariants:
 * 1. A process is signalled only if it holds the lock of the node's data directory, its id is the
 *    one in that lock file, and its program is called ringlet: process ids are used again, and
 *    another program may have the directory open.
 * 2. A node outlives the command that started it: a session of its own, no terminal, no descriptor
 *    of ours. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cluster_private.h"

enum { LOG_LINES = 12, LOG_TAIL = 4096 };

void cli_sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

const char *cli_node_state_name(enum cli_node_state state)
{
    switch (state) {
    case CLI_NODE_STOPPED:
        return "stopped";
    case CLI_NODE_RUNNING:
        return "running";
    case CLI_NODE_PAUSED:
        return "paused";
    case CLI_NODE_FOREIGN:
        return "in-use";
    }
    return "?";
}

/* Who is it. */

/* Who holds the lock on the data directory; 0: nobody. */
static pid_t owner_of(const struct cli_cluster *cluster, const struct cli_cluster_node *node)
{
    char path[CLI_CLUSTER_PATH_MAX], text[24] = "";
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t pid = 0;
    cli_cluster_path(cluster, node, "data/LOCK", path);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
        pread(fd, text, sizeof text - 1, 0) > 0)
        pid = (pid_t)strtol(text, NULL, 10);
    close(fd);
    return pid > 0 ? pid : 0;
}

static bool is_ringlet(pid_t pid)
{
    char path[64], exe[CLI_CLUSTER_PATH_MAX];
    snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    const char *name = strrchr(exe, '/');
    name = name ? name + 1 : exe; /* one that was built anew since is called "ringlet (deleted)" */
    return strncmp(name, "ringlet", 7) == 0 && (name[7] == 0 || name[7] == ' ');
}

/* The letter of /proc/PID/stat. */
static char run_state(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : '?';
}

enum cli_node_state cli_cluster_state(const struct cli_cluster *cluster,
                                      const struct cli_cluster_node *node, pid_t *pid)
{
    *pid = owner_of(cluster, node);
    if (*pid == 0)
        return CLI_NODE_STOPPED;
    if (!is_ringlet(*pid))
        return CLI_NODE_FOREIGN;
    return run_state(*pid) == 'T' ? CLI_NODE_PAUSED : CLI_NODE_RUNNING;
}

/* Starting. */

static int write_pid(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                     pid_t pid)
{
    char path[CLI_CLUSTER_PATH_MAX];
    cli_cluster_path(cluster, node, "pid", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    int written = dprintf(fd, "%ld\n", (long)pid);
    return close(fd) == 0 && written > 0 ? 0 : -1;
}

/* In the child: becomes the node, or says why not in its log. */
_Noreturn static void become_node(const char *config, const char *data, int log_fd)
{
    char exe[CLI_CLUSTER_PATH_MAX];
    struct sigaction ignore = {.sa_handler = SIG_DFL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGINT, &ignore, NULL);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    /* By its name, so that ps and top show it; a program that was replaced on disk meanwhile is
     * still there as /proc/self/exe. */
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    char *const args[] = {
        "ringlet", "node", "--config", (char *)(uintptr_t)config, "--data", (char *)(uintptr_t)data,
        NULL};
    if (access(exe, X_OK) == 0)
        execv(exe, args);
    execv("/proc/self/exe", args);
    dprintf(STDERR_FILENO, "ERROR start %s: %s\n", exe, strerror(errno));
    _exit(127);
}

int cli_cluster_spawn(const struct cli_cluster *cluster, struct cli_cluster_node *node,
                      struct base_err *err)
{
    char config[CLI_CLUSTER_PATH_MAX], data[CLI_CLUSTER_PATH_MAX], log[CLI_CLUSTER_PATH_MAX];
    struct stat st;
    cli_cluster_path(cluster, node, "ringlet.yaml", config);
    cli_cluster_path(cluster, node, "data", data);
    cli_cluster_path(cluster, node, "log", log);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_fd < 0)
        return base_err_set(err, base_err_from_errno(errno), "open %s: %s", log, strerror(errno));
    node->log_start = fstat(log_fd, &st) == 0 ? st.st_size : 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become_node(config, data, log_fd);
    int rc = BASE_OK;
    if (pid < 0)
        rc = base_err_set(err, BASE_E_NOMEM, "start %s: %s", node->name, strerror(errno));
    else if (write_pid(cluster, node, pid) != 0)
        rc = base_err_set(err, base_err_from_errno(errno), "write the process id of %s: %s",
                          node->name, strerror(errno));
    node->child = pid > 0 ? pid : 0;
    close(log_fd);
    return rc;
}

bool cli_cluster_child_ended(struct cli_cluster_node *node, char *how, size_t size)
{
    int status;
    if (node->child == 0 || waitpid(node->child, &status, WNOHANG) != node->child)
        return false;
    node->child = 0;
    if (WIFSIGNALED(status))
        snprintf(how, size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, size, "ended with status %d", WEXITSTATUS(status));
    return true;
}

void cli_cluster_show_log(const struct cli_cluster *cluster, const struct cli_cluster_node *node)
{
    char path[CLI_CLUSTER_PATH_MAX], text[LOG_TAIL + 1];
    struct stat st;
    cli_cluster_path(cluster, node, "log", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    off_t from = fstat(fd, &st) == 0 && st.st_size - node->log_start > LOG_TAIL
                     ? st.st_size - LOG_TAIL
                     : node->log_start;
    ssize_t n = pread(fd, text, LOG_TAIL, from);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *lines[LOG_LINES] = {NULL}, *rest = text, *line;
    size_t count = 0;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            lines[count++ % LOG_LINES] = line;
    for (size_t i = count > LOG_LINES ? count - LOG_LINES : 0; i < count; i++)
        fprintf(stderr, "%s: %s\n", node->name, lines[i % LOG_LINES]);
}

/* Signals. */

int cli_cluster_signal(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                       int signal, struct base_err *err)
{
    pid_t pid;
    switch (cli_cluster_state(cluster, node, &pid)) {
    case CLI_NODE_STOPPED:
        return BASE_OK;
    case CLI_NODE_FOREIGN:
        return base_err_set(
            err, BASE_E_BUSY,
            "the data of %s are open in process %ld, which is no ringlet node: end it yourself",
            node->name, (long)pid);
    case CLI_NODE_RUNNING:
    case CLI_NODE_PAUSED:
        break;
    }
    if (kill(pid, signal) != 0 && errno != ESRCH)
        return base_err_set(err, base_err_from_errno(errno), "signal %s (process %ld): %s",
                            node->name, (long)pid, strerror(errno));
    return BASE_OK;
}

bool cli_cluster_wait_state(const struct cli_cluster *cluster, const struct cli_cluster_node *node,
                            enum cli_node_state wanted, unsigned timeout_ms)
{
    pid_t pid;
    for (unsigned waited = 0; cli_cluster_state(cluster, node, &pid) != wanted; waited += 5) {
        if (waited >= timeout_ms)
            return false;
        cli_sleep_ms(5);
    }
    return true;
}
