/* nodetool's commands: ask the node over HTTP, show the answer as a table or as the JSON it is. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli_private.h"
#include "net/net.h"

/* A compaction may take an hour; an answer that changes nothing comes at once, or its node is
 * paused. */
enum { ANSWER_SIZE_MAX = 64 << 20, CHANGE_TIMEOUT_MS = 3600 * 1000, ASK_TIMEOUT_MS = 10 * 1000 };

/* A call on a loop, with a line of progress on a terminal while it lasts. */
struct call {
    struct net_http_call http;
    struct net_loop *loop;
    struct net_timer tick;
    const char *name;
    unsigned seconds;
    bool shown;
};

static void on_done(struct net_http_call *http)
{
    net_loop_stop(BASE_CONTAINER(http, struct call, http)->loop);
}

static void on_tick(struct net_timer *timer)
{
    struct call *call = BASE_CONTAINER(timer, struct call, tick);
    call->seconds++;
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%s: %u s", call->name, call->seconds);
        call->shown = true;
    }
    net_loop_arm(call->loop, &call->tick, 1000000000u);
}

/* One of ?args=a,b: commas and backslashes inside behind a backslash; what has a meaning in a URL
 * as %XX. */
static int put_argument(struct base_buf *url, const char *text)
{
    int rc = BASE_OK;
    for (; rc == BASE_OK && *text; text++) {
        if (*text == ',' || *text == '\\')
            rc = base_buf_printf(url, "%%5C");
        if (rc == BASE_OK &&
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~", *text))
            rc = base_buf_put_u8(url, (uint8_t)*text);
        else if (rc == BASE_OK)
            rc = base_buf_printf(url, "%%%02X", (unsigned char)*text);
    }
    return rc;
}

static int make_url(const struct cli_options *options, const char *name, int argc, char **argv,
                    struct base_buf *url)
{
    bool v6 = strchr(options->host, ':') != NULL;
    int rc = base_buf_printf(url, "http%s://%s%s%s:%u/api/v1/%s", options->ssl ? "s" : "",
                             v6 ? "[" : "", options->host, v6 ? "]" : "", options->port, name);
    for (int i = 0; rc == BASE_OK && i < argc; i++) {
        rc = base_buf_printf(url, "%s", i ? "," : "?args=");
        if (rc == BASE_OK)
            rc = put_argument(url, argv[i]);
    }
    return rc == BASE_OK ? base_buf_put_u8(url, 0) : rc;
}

static int check_arguments(const struct cli_command *command, int argc)
{
    if (!command->arguments[0] && argc > 0)
        return cli_usage(command, "%s takes no arguments", command->name);
    return CLI_OK;
}

static int fetch(struct call *call, struct base_err *err)
{
    struct net_http_client *client = NULL;
    int rc = net_loop_new(&call->loop, err);
    if (rc != BASE_OK)
        return rc;
    rc = net_http_client_new(call->loop, &client, err);
    if (rc == BASE_OK)
        rc = net_http_client_start(client, &call->http, err);
    if (rc == BASE_OK) {
        call->tick.fired = on_tick;
        net_loop_arm(call->loop, &call->tick, 1000000000u);
        rc = net_loop_run(call->loop, err);
        net_loop_disarm(call->loop, &call->tick);
    }
    if (call->shown)
        fputs("\r\033[K", stderr);
    if (rc == BASE_OK && call->http.rc != BASE_OK)
        rc = base_err_set(err, call->http.rc, "%s%s", call->http.error.text,
                          call->http.rc == BASE_E_UNAVAILABLE
                              ? " (is the node running? start one: ringlet node)"
                          : call->http.rc == BASE_E_IO || call->http.rc == BASE_E_CLOSED
                              ? " (is that the node's port for HTTP? 7000, unless it was told "
                                "otherwise)"
                              : "");
    net_http_client_free(client);
    net_loop_free(call->loop);
    return rc;
}

/* The text of {"error": "…"}, or the status alone. */
static void error_of_answer(const struct call *call, struct base_err *err)
{
    struct base_buf text;
    base_buf_init(&text, sizeof err->text);
    if (base_json_get_string(base_buf_view(&call->http.answer), "error", &text) == BASE_OK)
        base_err_set(err, BASE_E_INVALID, "%.*s", BASE_SLICE_ARG(base_buf_view(&text)));
    else
        base_err_set(err, BASE_E_INVALID, "%s: HTTP status %u", call->http.url, call->http.status);
    base_buf_fini(&text);
}

static int show(const struct cli_options *options, const char *name, struct base_slice json,
                struct base_err *err)
{
    struct base_buf text;
    base_buf_init(&text, ANSWER_SIZE_MAX);
    int rc = BASE_OK;
    if (options->json)
        rc = base_buf_printf(&text, "%.*s\n", BASE_SLICE_ARG(json));
    else
        rc = node_admin_render(name, json, &text, err);
    if (rc == BASE_OK && text.len && fwrite(text.data, 1, text.len, stdout) != text.len)
        rc = base_err_set(err, BASE_E_IO, "write to standard output");
    base_buf_fini(&text);
    return rc;
}

/* A cluster's secret; a data directory's token has the form of one. */
static int read_secret(const char *path, char text[NET_SECRET_LEN_MAX + 1], struct base_err *err)
{
    size_t len;
    int rc = net_secret_read(path, (uint8_t *)text, &len, err);
    text[rc == BASE_OK ? len : 0] = 0;
    return rc;
}

int cli_nodetool(const struct cli_options *options, const struct cli_command *command, int argc,
                 char **argv)
{
    char token[NET_SECRET_LEN_MAX + 1] = "";
    struct base_err err = {0};
    struct base_buf url;
    bool post = node_admin_changes_state(command->name);
    int rc = check_arguments(command, argc);
    if (rc != CLI_OK)
        return rc;
    base_buf_init(&url, 65536);
    struct call call = {.name = command->name};
    base_buf_init(&call.http.answer, ANSWER_SIZE_MAX);
    rc = make_url(options, command->name, argc, argv, &url);
    if (rc != BASE_OK)
        base_err_set(&err, rc, "the arguments are too long");
    if (rc == BASE_OK && post)
        rc = options->secret_file ? read_secret(options->secret_file, token, &err)
                                  : net_token_find(options->host, options->port, token, &err);
    if (rc == BASE_OK) {
        call.http.method = post ? "POST" : "GET";
        call.http.url = (const char *)url.data;
        call.http.token = post ? token : NULL;
        call.http.tls = (struct net_tls_config){
            .certificate = options->cert, .key = options->key, .ca = options->cacert};
        call.http.timeout_ms = post ? CHANGE_TIMEOUT_MS : ASK_TIMEOUT_MS;
        call.http.body_size_max = ANSWER_SIZE_MAX;
        call.http.done = on_done;
        rc = fetch(&call, &err);
    }
    if (rc == BASE_OK && call.http.status != 200) {
        error_of_answer(&call, &err);
        rc = err.code;
    }
    if (rc == BASE_OK)
        rc = show(options, command->name, base_buf_view(&call.http.answer), &err);
    base_buf_fini(&call.http.answer);
    base_buf_fini(&url);
    return rc == BASE_OK ? CLI_OK : cli_fail(&err);
}
