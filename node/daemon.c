/* ringlet node: the daemon. The node does its work on its own threads (cluster.c); this one waits
 * for a signal, or for the cluster to refuse the node, and then ends it: a drain. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/net.h"
#include "node/node_private.h"
#include "replication/replication.h"

struct daemon {
    struct node *node;
    struct net_loop *loop;
    struct net_watch signals;
};

static void on_signal(struct net_watch *watch, int events)
{
    struct daemon *d = BASE_CONTAINER(watch, struct daemon, signals);
    struct signalfd_siginfo info;
    (void)events;
    if (read(watch->fd, &info, sizeof info) == sizeof info)
        net_loop_stop(d->loop);
}

static int catch_signals(struct daemon *d, struct base_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    d->signals.ready = on_signal;
    d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (d->signals.fd < 0)
        return base_err_set(err, BASE_E_IO, "signals: %s", strerror(errno));
    return net_loop_watch(d->loop, &d->signals, NET_READABLE, err);
}

/* On the cluster's thread. */
static void on_stage(void *ctx, int stage)
{
    struct daemon *d = ctx;
    if (stage == REPL_REFUSED)
        net_loop_stop(d->loop);
}

/* Clients are descriptors: as many as the system lets us have. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* without it there are fewer */
}

int node_daemon_run(const struct node_daemon_config *config, struct base_err *err)
{
    struct daemon d = {.signals.fd = -1};
    struct nodei_daemon hooks = {config->config_file, config->listen, on_stage, &d};
    char refused[512] = "";
    raise_limits();
    int rc = net_loop_new(&d.loop, err);
    if (rc == BASE_OK)
        rc = catch_signals(&d, err);
    if (rc == BASE_OK)
        rc = nodei_open_configured(&config->node, &hooks, &d.node, err);
    if (rc == BASE_OK) {
        base_logf(config->node.log, BASE_LOG_INFO, "serving http://%s, data in %s",
                  nodei_cluster_address(d.node), node_dir(d.node));
        rc = net_loop_run(d.loop, err);
        nodei_cluster_refusal(d.node, refused, sizeof refused);
        base_logf(config->node.log, BASE_LOG_INFO, "draining");
    }
    if (d.node)
        node_release(d.node);
    if (d.signals.fd >= 0) {
        net_loop_unwatch(d.loop, &d.signals);
        close(d.signals.fd);
    }
    net_loop_free(d.loop);
    if (rc == BASE_OK && refused[0])
        return base_err_set(err, BASE_E_CONFIG, "%s", refused);
    return rc;
}
