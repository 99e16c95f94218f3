/* ringlet node: the daemon. One event loop with the HTTP listener; commands that wait for the disk run
 * on one worker thread and answer through the loop.
 *
 * Invariants:
 * 1. Requests that change state carry the token of the data directory's private file.
 * 2. The loop never waits: what may block is handed to the worker, at most COMMANDS_MAX of them.
 * 3. SIGTERM and SIGINT come through a descriptor; the drain runs on the main thread after the loop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/json.h"
#include "net/net.h"
#include "node/client.h"
#include "node/node_private.h"

enum { COMMANDS_MAX = 16, ARGS_MAX = 16, BODY_SIZE_MAX = 1 << 20, ANSWER_SIZE_MAX = 64 << 20 };

struct daemon;

/* A nodetool command on its way through the worker. */
struct command {
    struct net_task answer;
    struct daemon *daemon;
    struct net_http_request *request;
    char name[64];
    char args_text[4096];
    const char *args[ARGS_MAX];
    size_t arg_count;
    int rc;
    struct base_buf json;
    struct base_err err;
    struct command *next;
};

struct daemon {
    struct node *node;
    struct net_loop *loop;
    struct net_http_server *server;
    struct net_watch signals;
    char token[NET_TOKEN_LEN + 1];
    char host[64];
    uint16_t port;
    pthread_t worker;
    bool worker_started;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct command *queue, **queue_end;
    size_t queued;
    bool stopping;
};

/* --- worker ------------------------------------------------------------------------------------------- */

static void answer_command(struct net_task *task)
{
    struct command *command = BASE_CONTAINER(task, struct command, answer);
    if (command->rc == BASE_OK)
        net_http_respond(command->request, 200, "application/json", base_buf_view(&command->json));
    else
        net_http_respond_error(command->request, &command->err);
    base_buf_fini(&command->json);
    free(command);
}

static void *work(void *ctx)
{
    struct daemon *d = ctx;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->queue && !d->stopping)
            pthread_cond_wait(&d->changed, &d->lock);
        struct command *command = d->queue;
        if (!command)
            break;
        d->queue = command->next;
        if (!d->queue)
            d->queue_end = &d->queue;
        d->queued--;
        pthread_mutex_unlock(&d->lock);
        command->rc = node_admin(d->node, command->name, command->args, command->arg_count, &command->json, &command->err);
        net_loop_post(d->loop, &command->answer);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static int queue_command(struct daemon *d, struct command *command, struct base_err *err)
{
    int rc = BASE_OK;
    pthread_mutex_lock(&d->lock);
    if (d->queued >= COMMANDS_MAX) {
        rc = base_err_set(err, BASE_E_OVERLOADED, "%d commands are waiting already; try again later", COMMANDS_MAX);
    } else if (!d->worker_started && (errno = pthread_create(&d->worker, NULL, work, d)) != 0) {
        rc = base_err_set(err, BASE_E_NOMEM, "start the command thread: %s", strerror(errno));
    } else {
        d->worker_started = true;
        *d->queue_end = command;
        d->queue_end = &command->next;
        d->queued++;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* --- routes --------------------------------------------------------------------------------------------- */

static int split_args(struct command *command, struct base_slice text, struct base_err *err)
{
    if (text.len >= sizeof command->args_text)
        return base_err_set(err, BASE_E_LIMIT, "the arguments are longer than %zu bytes", sizeof command->args_text - 1);
    if (text.len)
        memcpy(command->args_text, text.data, text.len);
    for (char *at = command->args_text; text.len && at;) {
        if (command->arg_count == ARGS_MAX)
            return base_err_set(err, BASE_E_LIMIT, "more than %d arguments", ARGS_MAX);
        command->args[command->arg_count++] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = 0;
    }
    return BASE_OK;
}

static void run_command(struct daemon *d, struct net_http_request *request, struct base_slice name)
{
    struct base_err err = {0};
    struct command *command = calloc(1, sizeof *command);
    int rc = BASE_OK;
    if (!command)
        rc = base_err_set(&err, BASE_E_NOMEM, "out of memory");
    else if (name.len >= sizeof command->name)
        rc = base_err_set(&err, BASE_E_NOTFOUND, "there is no such command");
    if (rc == BASE_OK) {
        memcpy(command->name, name.data, name.len);
        bool post = base_slice_equal(net_http_method(request), BASE_SLICE_LIT("POST"));
        if (nodei_admin_changes_state(command->name) && !post)
            rc = base_err_set(&err, BASE_E_INVALID, "%s changes the node: use POST", command->name);
        else if (post && !net_token_in_request(request, d->token))
            rc = base_err_set(&err, BASE_E_UNAUTHORIZED, "this needs the token of the data directory's private file (Authorization: Bearer …)");
    }
    if (rc == BASE_OK) {
        command->daemon = d;
        command->request = request;
        command->answer.run = answer_command;
        base_buf_init(&command->json, ANSWER_SIZE_MAX);
        rc = split_args(command, net_http_param(request, "args"), &err);
    }
    if (rc == BASE_OK)
        rc = queue_command(d, command, &err);
    if (rc != BASE_OK) {
        free(command);
        net_http_respond_error(request, &err);
    }
}

static int put_metric(void *ctx, const char *name, const char *labels, double value)
{
    struct base_buf *text = ctx;
    return labels && labels[0] ? base_buf_printf(text, "%s{%s} %.17g\n", name, labels, value)
                               : base_buf_printf(text, "%s %.17g\n", name, value);
}

static void answer_metrics(struct daemon *d, struct net_http_request *request)
{
    struct base_buf text;
    base_buf_init(&text, ANSWER_SIZE_MAX);
    if (node_metrics(d->node, put_metric, &text) == BASE_OK) {
        net_http_respond(request, 200, "text/plain; version=0.0.4", base_buf_view(&text));
    } else {
        struct base_err err;
        base_err_set(&err, BASE_E_NOMEM, "metrics: out of memory");
        net_http_respond_error(request, &err);
    }
    base_buf_fini(&text);
}

static void answer_health(struct daemon *d, struct net_http_request *request)
{
    struct base_err err = {0};
    if (nodei_health(d->node, &err) == BASE_OK)
        net_http_respond(request, 200, "text/plain", BASE_SLICE_LIT("ok\n"));
    else
        net_http_respond_error(request, &err);
}

static void handle(void *ctx, struct net_http_request *request)
{
    static const char api[] = "/api/v1/";
    struct daemon *d = ctx;
    struct base_slice path = net_http_path(request), method = net_http_method(request);
    bool get = base_slice_equal(method, BASE_SLICE_LIT("GET"));
    struct base_err err;
    if (!get && !base_slice_equal(method, BASE_SLICE_LIT("POST"))) {
        base_err_set(&err, BASE_E_INVALID, "the method %.*s is not used here: GET or POST", BASE_SLICE_ARG(method));
        net_http_respond_error(request, &err);
    } else if (get && (base_slice_equal(path, BASE_SLICE_LIT("/healthz")) || base_slice_equal(path, BASE_SLICE_LIT("/readyz")))) {
        answer_health(d, request);
    } else if (get && base_slice_equal(path, BASE_SLICE_LIT("/metrics"))) {
        answer_metrics(d, request);
    } else if (path.len > sizeof api - 1 && memcmp(path.data, api, sizeof api - 1) == 0) {
        run_command(d, request, base_slice(path.data + sizeof api - 1, path.len - (sizeof api - 1)));
    } else {
        base_err_set(&err, BASE_E_NOTFOUND, "there is nothing at %.*s: try /healthz, /metrics, /api/v1/info", BASE_SLICE_ARG(path));
        net_http_respond_error(request, &err);
    }
}

/* --- life cycle ------------------------------------------------------------------------------------------- */

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

static int start_listening(struct daemon *d, const struct node_daemon_config *config, struct base_err *err)
{
    char configured[80];
    nodei_listen_address(d->node, configured, sizeof configured);
    d->port = 7000;
    int rc = net_address_parse(config->listen ? config->listen : configured, d->host, &d->port, err);
    if (rc != BASE_OK)
        return rc;
    if (!net_address_is_loopback(d->host))
        return base_err_set(err, BASE_E_CONFIG, "listen on %s: only loopback addresses (127.0.0.1, ::1) are served; beyond loopback a node needs a cluster secret or TLS, which come with the cluster", d->host);
    struct net_http_server_config server = {
        .host = strcmp(d->host, "localhost") == 0 ? "127.0.0.1" : d->host,
        .port = d->port,
        .body_size_max = BODY_SIZE_MAX,
        .connections_max = 256,
        .idle_timeout_s = 60,
        .handle = handle,
        .ctx = d,
    };
    rc = net_http_server_open(d->loop, &server, &d->server, err);
    if (rc != BASE_OK)
        return rc;
    d->port = net_http_server_port(d->server);
    return BASE_OK;
}

static void stop_worker(struct daemon *d)
{
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (d->worker_started)
        pthread_join(d->worker, NULL);
}

/* Answers that the worker posted after the loop ended. */
static void answer_the_rest(struct daemon *d)
{
    net_loop_stop(d->loop);
    if (net_loop_run(d->loop, NULL) != BASE_OK)
        return;
}

int node_daemon_run(const struct node_daemon_config *config, struct base_err *err)
{
    struct daemon d = {.signals.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct node_config node = config->node;
    d.queue_end = &d.queue;
    int rc = net_loop_new(&d.loop, err);
    if (rc == BASE_OK)
        rc = catch_signals(&d, err);
    if (rc == BASE_OK)
        rc = nodei_open_configured(&node, config->config_file, &d.node, err);
    if (rc == BASE_OK)
        rc = start_listening(&d, config, err);
    if (rc == BASE_OK)
        rc = net_token_open(node_dir(d.node), nodei_random(d.node), d.token, err);
    if (rc == BASE_OK)
        rc = net_token_announce(d.host, d.port, node_dir(d.node), err);
    if (rc == BASE_OK) {
        base_logf(config->node.log, BASE_LOG_INFO, "serving http://%s:%u, data in %s", d.host, d.port, node_dir(d.node));
        rc = net_loop_run(d.loop, err);
        base_logf(config->node.log, BASE_LOG_INFO, "draining");
        net_token_withdraw(d.host, d.port);
    }
    stop_worker(&d);
    if (d.loop)
        answer_the_rest(&d);
    net_http_server_close(d.server);
    if (d.signals.fd >= 0) {
        net_loop_unwatch(d.loop, &d.signals);
        close(d.signals.fd);
    }
    net_loop_free(d.loop);
    node_release(d.node);
    return rc;
}
