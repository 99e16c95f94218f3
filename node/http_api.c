/* The routes of a node's HTTP listener that people and tools use: health, metrics, nodetool's
 * commands. Commands wait for the disk or the cluster: they run on one worker thread and answer
 * through the loop.
 *
 * Invariants:
 * 1. Requests that change state carry the token of the data directory's private file, or the
 *    cluster secret.
 * 2. The loop never waits: what may block is handed to the worker, at most COMMANDS_MAX of them.
 * 3. At the end what waits is refused, and what runs is answered before the listener goes. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "node/cluster_private.h"
#include "node/http_cql.h"

enum { COMMANDS_MAX = 16, ARGS_MAX = 16, ANSWER_SIZE_MAX = 64 << 20 };

/* A nodetool command on its way through the worker. */
struct command {
    struct net_task answer;
    struct nodei_api *api;
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

struct nodei_api {
    struct node *node;
    struct net_loop *loop;
    char token[NET_TOKEN_LEN + 1];
    pthread_t worker;
    bool worker_started;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct command *queue, **queue_end;
    size_t queued;
    bool stopping;
    size_t unanswered; /* queued, running, or on the way back to the loop */
};

/* Worker. */

static void answer_command(struct net_task *task)
{
    struct command *command = BASE_CONTAINER(task, struct command, answer);
    struct nodei_api *api = command->api;
    pthread_mutex_lock(&api->lock);
    api->unanswered--;
    pthread_mutex_unlock(&api->lock);
    if (command->rc == BASE_OK)
        net_http_respond(command->request, 200, "application/json", base_buf_view(&command->json));
    else
        net_http_respond_error(command->request, &command->err);
    base_buf_fini(&command->json);
    free(command);
}

static void *work(void *ctx)
{
    struct nodei_api *api = ctx;
    pthread_mutex_lock(&api->lock);
    for (;;) {
        while (!api->queue && !api->stopping)
            pthread_cond_wait(&api->changed, &api->lock);
        struct command *command = api->queue;
        if (!command)
            break;
        api->queue = command->next;
        if (!api->queue)
            api->queue_end = &api->queue;
        api->queued--;
        pthread_mutex_unlock(&api->lock);
        if (strcmp(command->name, "cql") == 0)
            command->rc = nodei_http_cql(api->node, net_http_body(command->request), &command->json,
                                         &command->err);
        else
            command->rc = node_admin(api->node, command->name, command->args, command->arg_count,
                                     &command->json, &command->err);
        net_loop_post(api->loop, &command->answer);
        pthread_mutex_lock(&api->lock);
    }
    pthread_mutex_unlock(&api->lock);
    return NULL;
}

static int start_worker(struct nodei_api *api)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = pthread_create(&api->worker, NULL, work, api);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errnum;
}

static int queue_command(struct nodei_api *api, struct command *command, struct base_err *err)
{
    int rc = BASE_OK;
    pthread_mutex_lock(&api->lock);
    if (api->stopping) {
        rc = base_err_set(err, BASE_E_CLOSED, "the node is stopping");
    } else if (api->queued >= COMMANDS_MAX) {
        rc = base_err_set(err, BASE_E_OVERLOADED,
                          "%d commands are waiting already; try again later", COMMANDS_MAX);
    } else if (!api->worker_started && (errno = start_worker(api)) != 0) {
        rc = base_err_set(err, BASE_E_NOMEM, "start the command thread: %s", strerror(errno));
    } else {
        api->worker_started = true;
        *api->queue_end = command;
        api->queue_end = &command->next;
        api->queued++;
        api->unanswered++;
        pthread_cond_signal(&api->changed);
    }
    pthread_mutex_unlock(&api->lock);
    return rc;
}

/* Routes. */

/* args=a,b: a comma and a backslash inside an argument stand behind a backslash. */
static int split_args(struct command *command, struct base_slice text, struct base_err *err)
{
    if (text.len >= sizeof command->args_text)
        return base_err_set(err, BASE_E_LIMIT, "the arguments are longer than %zu bytes",
                            sizeof command->args_text - 1);
    if (text.len)
        memcpy(command->args_text, text.data, text.len);
    char *out = command->args_text;
    for (const char *at = command->args_text; text.len && at;) {
        if (command->arg_count == ARGS_MAX)
            return base_err_set(err, BASE_E_LIMIT, "more than %d arguments", ARGS_MAX);
        command->args[command->arg_count++] = out;
        for (; *at && *at != ','; at++) {
            if (*at == '\\' && at[1])
                at++;
            *out++ = *at;
        }
        at = *at ? at + 1 : NULL;
        *out++ = 0;
    }
    return BASE_OK;
}

static void run_command(struct nodei_api *api, struct net_http_request *request,
                        struct base_slice name)
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
        if ((node_admin_changes_state(command->name) || strcmp(command->name, "cql") == 0) && !post)
            rc = base_err_set(&err, BASE_E_INVALID, "%s changes the node: use POST", command->name);
        else if (post && !net_token_in_request(request, api->token) &&
                 !nodei_cluster_secret_in_request(api->node, request))
            rc = base_err_set(&err, BASE_E_UNAUTHORIZED,
                              "this needs the token of the data directory's private file "
                              "(Authorization: Bearer …)");
    }
    if (rc == BASE_OK) {
        command->api = api;
        command->request = request;
        command->answer.run = answer_command;
        base_buf_init(&command->json, ANSWER_SIZE_MAX);
        rc = split_args(command, net_http_param(request, "args"), &err);
    }
    if (rc == BASE_OK)
        rc = queue_command(api, command, &err);
    if (rc != BASE_OK) {
        free(command);
        net_http_respond_error(request, &err);
    }
}

/* Prometheus' text: a family's samples stand together, its type before them. */
struct exposition {
    struct base_buf text;
    char family[128];
};

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len > n && memcmp(name + len - n, end, n) == 0;
}

static int put_metric(void *ctx, const char *name, const char *labels, double value)
{
    static const char *const parts[] = {"_seconds_bucket", "_seconds_sum", "_seconds_count"};
    struct exposition *e = ctx;
    size_t len = strlen(name), family = len;
    int rc = BASE_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (ends_with(name, len, parts[i]))
            family = len - strlen(parts[i]) + strlen("_seconds");
    if (strlen(e->family) != family || memcmp(e->family, name, family) != 0) {
        snprintf(e->family, sizeof e->family, "%.*s", (int)family, name);
        rc = base_buf_printf(&e->text, "# TYPE %s %s\n", e->family,
                             family != len                    ? "histogram"
                             : ends_with(name, len, "_total") ? "counter"
                                                              : "gauge");
    }
    if (rc != BASE_OK)
        return rc;
    return labels && labels[0] ? base_buf_printf(&e->text, "%s{%s} %.17g\n", name, labels, value)
                               : base_buf_printf(&e->text, "%s %.17g\n", name, value);
}

static void answer_metrics(struct nodei_api *api, struct net_http_request *request)
{
    struct exposition e = {.family = ""};
    base_buf_init(&e.text, ANSWER_SIZE_MAX);
    if (node_metrics(api->node, put_metric, &e) == BASE_OK) {
        net_http_respond(request, 200, "text/plain; version=0.0.4", base_buf_view(&e.text));
    } else {
        struct base_err err;
        base_err_set(&err, BASE_E_NOMEM, "metrics: out of memory");
        net_http_respond_error(request, &err);
    }
    base_buf_fini(&e.text);
}

/* /healthz: the store takes writes; /readyz: and this node is a member of its cluster. */
static void answer_health(struct nodei_api *api, struct net_http_request *request, bool ready)
{
    struct base_err err = {0};
    int rc = nodei_health(api->node, &err);
    if (rc == BASE_OK && ready)
        rc = nodei_cluster_ready(api->node, &err);
    if (rc == BASE_OK)
        net_http_respond(request, 200, "text/plain", BASE_SLICE_LIT("ok\n"));
    else
        net_http_respond_error(request, &err);
}

void nodei_api_handle(struct nodei_api *api, struct net_http_request *request)
{
    static const char prefix[] = "/api/v1/";
    struct base_slice path = net_http_path(request), method = net_http_method(request);
    bool get = base_slice_equal(method, BASE_SLICE_LIT("GET"));
    struct base_err err;
    if (!get && !base_slice_equal(method, BASE_SLICE_LIT("POST"))) {
        base_err_set(&err, BASE_E_INVALID, "the method %.*s is not used here: GET or POST",
                     BASE_SLICE_ARG(method));
        net_http_respond_error(request, &err);
    } else if (get && base_slice_equal(path, BASE_SLICE_LIT("/healthz"))) {
        answer_health(api, request, false);
    } else if (get && base_slice_equal(path, BASE_SLICE_LIT("/readyz"))) {
        answer_health(api, request, true);
    } else if (get && base_slice_equal(path, BASE_SLICE_LIT("/metrics"))) {
        answer_metrics(api, request);
    } else if (path.len > sizeof prefix - 1 && memcmp(path.data, prefix, sizeof prefix - 1) == 0) {
        run_command(api, request,
                    base_slice(path.data + sizeof prefix - 1, path.len - (sizeof prefix - 1)));
    } else {
        base_err_set(&err, BASE_E_NOTFOUND,
                     "there is nothing at %.*s: try /healthz, /metrics, /api/v1/info",
                     BASE_SLICE_ARG(path));
        net_http_respond_error(request, &err);
    }
}

/* Life. */

int nodei_api_open(struct node *node, struct net_loop *loop, const char *token,
                   struct nodei_api **out, struct base_err *err)
{
    struct nodei_api *api = calloc(1, sizeof *api);
    *out = api;
    if (!api)
        return base_err_set(err, BASE_E_NOMEM, "HTTP routes: out of memory");
    api->node = node;
    api->loop = loop;
    memcpy(api->token, token, sizeof api->token);
    api->queue_end = &api->queue;
    pthread_mutex_init(&api->lock, NULL);
    pthread_cond_init(&api->changed, NULL);
    return BASE_OK;
}

/* On the loop's thread. A command that runs may itself wait for the loop: so the worker is asked to
 * end, and `idle` looked at again and again, before close joins it. */
bool nodei_api_stop(struct nodei_api *api)
{
    pthread_mutex_lock(&api->lock);
    api->stopping = true;
    struct command *queue = api->queue;
    api->queue = NULL;
    api->queue_end = &api->queue;
    api->queued = 0;
    pthread_cond_signal(&api->changed);
    pthread_mutex_unlock(&api->lock);
    for (struct command *next; queue; queue = next) {
        next = queue->next;
        queue->rc = base_err_set(&queue->err, BASE_E_CLOSED, "the node is stopping");
        answer_command(&queue->answer);
    }
    pthread_mutex_lock(&api->lock);
    bool idle = api->unanswered == 0;
    pthread_mutex_unlock(&api->lock);
    return idle;
}

void nodei_api_close(struct nodei_api *api)
{
    bool idle = nodei_api_stop(api);
    BASE_ASSERT(idle);
    if (api->worker_started)
        pthread_join(api->worker, NULL);
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->changed);
    free(api);
}
