/* The HTTP server: libmicrohttpd without a thread of its own. Its epoll descriptor is one
 * descriptor of our loop, its timeout one timer.
 *
 * Invariants:
 * 1. Every request that was handed to the handler is answered once; until then its connection is
 *    suspended.
 * 2. A request whose Host is not ours, or whose Origin is another, is answered 403 before the
 *    handler sees it: a web page in a browser on this machine must not reach a node (DESIGN.md §9).
 * 3. With require_client_auth the same holds for a peer without a certificate that our ca vouches
 *    for. A refused request's body is not kept.
 * 4. A body over the maximum is dropped as it arrives and answered 413. */
#include "net/net_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"

enum { STREAM_BLOCK_SIZE = 16384 };

struct net_http_server {
    struct net_loop *loop;
    struct MHD_Daemon *daemon;
    struct net_watch watch;
    struct net_timer timer;
    struct net_hook hook; /* connections were resumed: run before the loop sleeps */
    struct net_http_server_config config;
    char host[64];
    uint16_t port;
    struct neti_tls *tls; /* NULL: plain */
    char also_host[256];
    size_t bodies_bytes; /* allocated for bodies of requests that are not handed out yet */
};

struct net_http_request {
    struct net_http_server *server;
    struct MHD_Connection *connection;
    const char *method;
    const char *path;
    struct base_buf body;
    bool body_too_large, overloaded, limit_asked;
    size_t counted;      /* in the server's bodies_bytes */
    const char *refused; /* why it will not be handed out; its body is not kept */
    bool handed_out;
    bool suspended;
    unsigned status; /* 0: not answered yet */
    struct MHD_Response *response;
    uint64_t arrived_ns;
    /* A response that grows: */
    struct base_buf stream;
    size_t stream_sent;
    bool streaming, stream_ended;
    void (*gone)(void *ctx);
    void *gone_ctx;
};

static void run_daemon(struct net_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        net_loop_arm(server->loop, &server->timer, (uint64_t)wait_ms * 1000000u + 1);
    else
        net_loop_disarm(server->loop, &server->timer);
}

static void on_ready(struct net_watch *watch, int events)
{
    (void)events;
    run_daemon(BASE_CONTAINER(watch, struct net_http_server, watch));
}

static void on_timer(struct net_timer *timer)
{
    run_daemon(BASE_CONTAINER(timer, struct net_http_server, timer));
}

static void on_hook(struct net_hook *hook)
{
    run_daemon(BASE_CONTAINER(hook, struct net_http_server, hook));
}

/* Host and Origin. */

/* For a wildcard address any numeric one will do: a page cannot make a browser send a number for
 * another machine's name. */
static bool host_is_ours(const struct net_http_server *server, const char *value)
{
    char host[64];
    uint16_t port = server->port;
    if (!value || net_address_parse(value, host, &port, NULL) != BASE_OK || port != server->port)
        return false;
    if (server->also_host[0] &&
        (net_address_equal(host, server->also_host) || strcasecmp(host, server->also_host) == 0))
        return true;
    if (net_address_is_wildcard(server->host))
        return net_address_is_numeric(host) || net_address_is_loopback(host);
    return net_address_equal(host, server->host) ||
           (net_address_is_loopback(server->host) && net_address_is_loopback(host));
}

static bool origin_is_ours(const struct net_http_server *server, const char *value)
{
    const char *scheme = server->tls ? "https://" : "http://";
    if (!value)
        return true; /* not a browser, or a plain navigation */
    return strncmp(value, scheme, strlen(scheme)) == 0 &&
           host_is_ours(server, value + strlen(scheme));
}

static const char *refuse_reason(const struct net_http_request *request)
{
    const char *host =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    const char *origin =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
    if (!host_is_ours(request->server, host))
        return "the Host header does not name this node";
    if (!origin_is_ours(request->server, origin))
        return "requests from web pages of another origin are refused";
    if (request->server->config.tls.require_client_auth && !net_http_peer_certified(request))
        return "no certificate that this node's ca vouches for was shown";
    return NULL;
}

/* TLS. */

static gnutls_session_t tls_session(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? (gnutls_session_t)info->tls_session : NULL;
}

static struct neti_tls_link *tls_link(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct net_http_server *server = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED && tls_session(connection)) {
        *socket_context = neti_tls_accept(server->tls, tls_session(connection));
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        neti_tls_link_free(*socket_context);
        *socket_context = NULL;
    }
}

/* GnuTLS asks for what to show; libmicrohttpd keeps its connection in the session. */
static int on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **chain, unsigned *chain_len, gnutls_ocsp_data_st **ocsp,
                          unsigned *ocsp_len, gnutls_privkey_t *key, unsigned *flags)
{
    struct MHD_Connection *connection = gnutls_session_get_ptr(session);
    struct neti_tls_link *link = connection ? tls_link(connection) : NULL;
    (void)info;
    if (!link)
        return -1;
    neti_tls_certificate(link, chain, chain_len, key);
    *ocsp = NULL;
    *ocsp_len = 0;
    *flags = 0;
    return 0;
}

bool net_http_peer_certified(const struct net_http_request *request)
{
    struct neti_tls_link *link = request->server->tls ? tls_link(request->connection) : NULL;
    return link && neti_tls_certified(link, tls_session(request->connection));
}

/* Libmicrohttpd's callbacks. */

static enum MHD_Result answer(struct net_http_request *request)
{
    enum MHD_Result rc =
        MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return rc;
}

static enum MHD_Result begin_request(struct net_http_server *server,
                                     struct MHD_Connection *connection, const char *method,
                                     const char *path, void **state)
{
    struct net_http_request *request = calloc(1, sizeof *request);
    if (!request)
        return MHD_NO;
    request->server = server;
    request->connection = connection;
    request->method = method;
    request->path = path;
    request->arrived_ns = net_loop_now(server->loop).ns;
    base_buf_init(&request->body, server->config.body_size_max);
    request->refused = refuse_reason(request);
    *state = request;
    return MHD_YES;
}

static void count_body(struct net_http_request *request, size_t bytes)
{
    struct net_http_server *server = request->server;
    BASE_ASSERT(server->bodies_bytes >= request->counted);
    server->bodies_bytes += bytes - request->counted;
    request->counted = bytes;
}

static void drop_body(struct net_http_request *request)
{
    base_buf_fini(&request->body);
    count_body(request, 0);
}

static void take_body(struct net_http_request *request, const char *data, size_t len)
{
    const struct net_http_server_config *config = &request->server->config;
    if (request->body_too_large || request->overloaded || request->refused)
        return;
    int rc = base_buf_put(&request->body, data, len);
    request->body_too_large = rc == BASE_E_LIMIT;
    request->overloaded = rc == BASE_E_NOMEM;
    if (rc == BASE_OK && config->body_limit && !request->limit_asked &&
        request->body.len > NET_HTTP_PROBE_SIZE) {
        size_t limit = config->body_limit(config->ctx, request, base_buf_view(&request->body));
        request->limit_asked = true;
        request->body_too_large = request->body.len > limit;
        request->body.len_max = limit < config->body_size_max ? limit : config->body_size_max;
    }
    count_body(request, request->body.cap);
    if (config->bodies_bytes_max && request->server->bodies_bytes > config->bodies_bytes_max)
        request->overloaded = true;
    if (request->body_too_large || request->overloaded)
        drop_body(request);
}

static void hand_out(struct net_http_request *request)
{
    struct base_err err;
    request->handed_out = true;
    count_body(request, 0); /* from here on it is the handler's to limit */
    if (request->overloaded) {
        base_err_set(&err, BASE_E_OVERLOADED, "too many requests are on their way in");
        net_http_respond_error(request, &err);
    } else if (request->refused) {
        base_err_set(&err, BASE_E_UNAUTHORIZED, "%s", request->refused);
        net_http_respond_error(request, &err);
    } else if (request->body_too_large) {
        base_err_set(&err, BASE_E_LIMIT, "the request's body is larger than %zu bytes",
                     request->body.len_max);
        net_http_respond_error(request, &err);
    } else {
        request->server->config.handle(request->server->config.ctx, request);
    }
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **state)
{
    (void)version;
    struct net_http_request *request = *state;
    if (!request)
        return begin_request(ctx, connection, method, url, state);
    if (*len) {
        take_body(request, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (!request->handed_out)
        hand_out(request);
    if (request->status)
        return answer(request);
    if (!request->suspended) {
        request->suspended = true;
        MHD_suspend_connection(connection);
    }
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)ctx, (void)connection, (void)how;
    struct net_http_request *request = *state;
    if (!request)
        return;
    if (request->response)
        MHD_destroy_response(request->response);
    if (request->streaming && !request->stream_ended)
        request->gone(request->gone_ctx);
    drop_body(request);
    base_buf_fini(&request->stream);
    free(request);
    *state = NULL;
}

/* Open, close. */

static int listen_on(const char *host, uint16_t port, int *out, uint16_t *out_port,
                     struct base_err *err)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t len;
    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        len = sizeof address.v4;
    } else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        len = sizeof address.v6;
    } else {
        return base_err_set(err, BASE_E_CONFIG, "listen on %s: not a numeric address", host);
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0)
        return base_err_set(err, BASE_E_IO, "listen on %s:%u: %s", host, port, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, &address.any, &len) != 0) {
        int code = errno == EADDRINUSE      ? BASE_E_BUSY
                   : errno == EADDRNOTAVAIL ? BASE_E_CONFIG
                                            : BASE_E_IO;
        int rc = base_err_set(
            err, code, "listen on %s:%u: %s%s", host, port, strerror(errno),
            errno == EADDRINUSE ? " (another node? choose a port with --listen HOST:PORT)" : "");
        close(fd);
        return rc;
    }
    *out = fd;
    *out_port =
        ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return BASE_OK;
}

int net_http_server_open(struct net_loop *loop, const struct net_http_server_config *config,
                         struct net_http_server **out, struct base_err *err)
{
    int fd = -1, rc;
    *out = NULL;
    struct net_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return base_err_set(err, BASE_E_NOMEM, "HTTP server: out of memory");
    server->loop = loop;
    server->config = *config;
    snprintf(server->host, sizeof server->host, "%s", config->host);
    snprintf(server->also_host, sizeof server->also_host, "%s",
             config->also_host ? config->also_host : "");
    server->watch.ready = on_ready;
    server->timer.fired = on_timer;
    server->hook.run = on_hook;
    if (config->tls.certificate) {
        rc = neti_tls_open(&config->tls, &server->tls, err);
        if (rc != BASE_OK)
            goto out;
    }
    rc = listen_on(server->host, config->port, &fd, &server->port, err);
    if (rc != BASE_OK)
        goto out;
    const struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)on_certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem no_options[] = {{MHD_OPTION_END, 0, NULL}};
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (server->tls ? MHD_USE_TLS : 0), 0, NULL, NULL,
        on_access, server, MHD_OPTION_ARRAY, server->tls ? tls_options : no_options,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, config->connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, config->idle_timeout_s, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_END);
    if (!server->daemon) {
        rc = base_err_set(err, BASE_E_IO, "HTTP server on %s:%u: libmicrohttpd refused to start",
                          config->host, config->port);
        close(fd);
        goto out;
    }
    server->watch.fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    rc = net_loop_watch(loop, &server->watch, NET_READABLE, err);
out:
    if (rc != BASE_OK) {
        if (server->daemon)
            MHD_stop_daemon(server->daemon);
        neti_tls_close(server->tls);
        free(server);
        return rc;
    }
    *out = server;
    return BASE_OK;
}

void net_http_server_close(struct net_http_server *server)
{
    if (!server)
        return;
    net_loop_unwatch(server->loop, &server->watch);
    net_loop_disarm(server->loop, &server->timer);
    MHD_stop_daemon(server->daemon);
    net_loop_not_at_end(server->loop, &server->hook);
    neti_tls_close(server->tls);
    free(server);
}

uint16_t net_http_server_port(const struct net_http_server *server)
{
    return server->port;
}

/* A request. */

struct base_slice net_http_method(const struct net_http_request *request)
{
    return base_slice_str(request->method);
}

struct base_slice net_http_path(const struct net_http_request *request)
{
    return base_slice_str(request->path);
}

static struct base_slice lookup(const struct net_http_request *request, enum MHD_ValueKind kind,
                                const char *name)
{
    const char *value = MHD_lookup_connection_value(request->connection, kind, name);
    return value ? base_slice_str(value) : (struct base_slice){0};
}

struct base_slice net_http_param(const struct net_http_request *request, const char *name)
{
    return lookup(request, MHD_GET_ARGUMENT_KIND, name);
}

struct base_slice net_http_header(const struct net_http_request *request, const char *name)
{
    return lookup(request, MHD_HEADER_KIND, name);
}

struct base_slice net_http_body(const struct net_http_request *request)
{
    return base_buf_view(&request->body);
}

void net_http_take_body(struct net_http_request *request, struct base_buf *out)
{
    *out = request->body;
    base_buf_init(&request->body, request->body.len_max);
}

struct base_mono_ns net_http_arrived(const struct net_http_request *request)
{
    return (struct base_mono_ns){request->arrived_ns};
}

static void resume(struct net_http_request *request)
{
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection);
    /* Its own wake-up pipe is not always in its epoll set: run it before the loop sleeps. */
    net_loop_at_end(request->server->loop, &request->server->hook);
}

static void set_response(struct net_http_request *request, unsigned status,
                         const char *content_type, struct MHD_Response *response)
{
    BASE_ASSERT(request->status == 0);
    request->response = response;
    request->status = status;
    if (request->response) {
        MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
        MHD_add_response_header(request->response, "X-Content-Type-Options", "nosniff");
        MHD_add_response_header(request->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    resume(request);
}

void net_http_respond(struct net_http_request *request, unsigned status, const char *content_type,
                      struct base_slice body)
{
    set_response(request, status, content_type,
                 MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.data,
                                                 MHD_RESPMEM_MUST_COPY));
}

/* A response that grows. */

static ssize_t on_stream_read(void *ctx, uint64_t position, char *out, size_t size)
{
    struct net_http_request *request = ctx;
    size_t left = request->stream.len - request->stream_sent;
    (void)position;
    if (left == 0 && request->stream_ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (left == 0) {
        request->suspended = true;
        MHD_suspend_connection(request->connection);
        return 0;
    }
    size_t n = left < size ? left : size;
    memcpy(out, request->stream.data + request->stream_sent, n);
    request->stream_sent += n;
    if (request->stream_sent == request->stream.len) {
        base_buf_reset(&request->stream);
        request->stream_sent = 0;
    }
    return (ssize_t)n;
}

int net_http_stream_begin(struct net_http_request *request, unsigned status,
                          const char *content_type, void (*gone)(void *ctx), void *ctx)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_SIZE, on_stream_read, request, NULL);
    if (!response) {
        net_http_respond(request, 503, "text/plain", BASE_SLICE_LIT("out of memory\n"));
        return BASE_E_NOMEM;
    }
    base_buf_init(&request->stream, SIZE_MAX / 4);
    request->streaming = true;
    request->gone = gone;
    request->gone_ctx = ctx;
    set_response(request, status, content_type, response);
    return BASE_OK;
}

int net_http_stream_put(struct net_http_request *request, struct base_slice bytes)
{
    BASE_ASSERT(request->streaming && !request->stream_ended);
    int rc = base_buf_put_slice(&request->stream, bytes);
    resume(request);
    return rc;
}

void net_http_stream_end(struct net_http_request *request)
{
    BASE_ASSERT(request->streaming && !request->stream_ended);
    request->stream_ended = true;
    resume(request);
}

static unsigned http_status(int code)
{
    switch ((enum base_error)code) {
    case BASE_OK:
        return 200;
    case BASE_E_INVALID:
    case BASE_E_SYNTAX:
    case BASE_E_CONFIG:
    case BASE_E_VERSION:
    case BASE_E_FUNCTION:
        return 400;
    case BASE_E_UNAUTHORIZED:
        return 403;
    case BASE_E_NOTFOUND:
        return 404;
    case BASE_E_EXISTS:
    case BASE_E_CONDITION:
    case BASE_E_STALE:
    case BASE_E_BUSY:
        return 409;
    case BASE_E_LIMIT:
        return 413;
    case BASE_E_OVERLOADED:
    case BASE_E_UNAVAILABLE:
    case BASE_E_CLOSED:
    case BASE_E_STOPPED:
    case BASE_E_INTERRUPTED:
        return 503;
    case BASE_E_TIMEOUT:
    case BASE_E_UNKNOWN:
        return 504;
    case BASE_E_NOSPACE:
        return 507;
    case BASE_E_NOMEM:
    case BASE_E_IO:
    case BASE_E_CORRUPT:
    case BASE_E_INTERNAL:
        return 500;
    }
    return 500;
}

void net_http_respond_error(struct net_http_request *request, const struct base_err *err)
{
    struct base_buf body;
    base_buf_init(&body, 16384);
    int rc = base_buf_printf(&body, "{\"error\": ");
    if (rc == BASE_OK)
        rc = base_json_put_string(&body, base_slice_str(err->text));
    if (rc == BASE_OK)
        rc = base_buf_printf(&body, "}\n");
    struct base_slice text =
        rc == BASE_OK ? base_buf_view(&body) : BASE_SLICE_LIT("{\"error\": \"out of memory\"}\n");
    net_http_respond(request, http_status(err->code), "application/json", text);
    base_buf_fini(&body);
}
