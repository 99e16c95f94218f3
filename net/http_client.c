/* The HTTP client: libcurl's multi interface attached to a loop. Every descriptor libcurl wants
 * watched is a net_watch, its timeout one timer.
 *
 * No proxy, no redirect, no signal (CURLOPT_NOSIGNAL: we are a guest in somebody's process), http
 * and https only. */
#include "net/net_private.h"

#include <stdio.h>

enum { CONNECTIONS_KEPT_MAX = 1024 }; /* idle ones */

struct net_http_client {
    struct net_loop *loop;
    CURLM *multi;
    struct net_timer timer;
    struct net_http_exchange *exchanges; /* under way */
};

struct net_http_exchange {
    struct neti_transfer transfer;
    struct net_http_client *client;
    struct net_http_call *call;
    struct curl_slist *headers;
    char message[CURL_ERROR_SIZE];
    bool too_large;
    struct net_http_exchange *next, **prev;
};

struct watched {
    struct net_watch watch;
    struct net_http_client *client;
};

static void reap(struct net_http_client *client);

static void on_socket_ready(struct net_watch *watch, int events)
{
    struct watched *w = BASE_CONTAINER(watch, struct watched, watch);
    struct net_http_client *client = w->client;
    int running, mask = (events & NET_READABLE ? CURL_CSELECT_IN : 0) |
                        (events & NET_WRITABLE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(client->multi, watch->fd, mask, &running); /* may free w */
    reap(client);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)easy;
    struct net_http_client *client = ctx;
    struct watched *w = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            net_loop_unwatch(client->loop, &w->watch);
            curl_multi_assign(client->multi, fd, NULL);
            free(w);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return 0; /* an error here ends libcurl's whole multi handle: rather, this transfer
                         waits for its timeout */
        w->client = client;
        w->watch.fd = fd;
        w->watch.ready = on_socket_ready;
        curl_multi_assign(client->multi, fd, w);
    }
    int events =
        (what & CURL_POLL_IN ? NET_READABLE : 0) | (what & CURL_POLL_OUT ? NET_WRITABLE : 0);
    int rc = net_loop_watch(client->loop, &w->watch, events, NULL);
    (void)rc; /* as above */
    return 0;
}

static void on_timer(struct net_timer *timer)
{
    struct net_http_client *client = BASE_CONTAINER(timer, struct net_http_client, timer);
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(client);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct net_http_client *client = ctx;
    if (timeout_ms < 0)
        net_loop_disarm(client->loop, &client->timer);
    else
        net_loop_arm(client->loop, &client->timer, (uint64_t)timeout_ms * 1000000u);
    return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    (void)one;
    struct net_http_exchange *x = ctx;
    if (x->call->answer.len + len > x->call->body_size_max ||
        base_buf_put(&x->call->answer, data, len) != BASE_OK) {
        x->too_large = true;
        return 0;
    }
    return len;
}

int neti_transfer_tls(CURL *easy, const struct net_tls_config *tls)
{
    CURLcode code = CURLE_OK;
    if (tls->ca) { /* and nobody else: libcurl would also trust, and read for each connection, the
                      system's directory */
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (code == CURLE_OK && tls->certificate)
        code = curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate);
    if (code == CURLE_OK && tls->certificate)
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key ? tls->key : tls->certificate);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return code == CURLE_OK ? BASE_OK : BASE_E_NOMEM;
}

/* Transfers: what exchanges and the peers' POSTs are. */

static void reap(struct net_http_client *client)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(client->multi, &left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        struct neti_transfer *transfer = NULL;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        neti_transfer_cancel(client, transfer);
        transfer->done(transfer, code);
    }
}

int neti_transfer_start(struct net_http_client *client, struct neti_transfer *transfer)
{
    BASE_ASSERT(!transfer->active);
    BASE_ASSERT(transfer->done);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    CURLMcode code = curl_multi_add_handle(client->multi, transfer->easy);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? BASE_E_NOMEM : BASE_E_INVALID;
    transfer->active = true;
    return BASE_OK;
}

void neti_transfer_cancel(struct net_http_client *client, struct neti_transfer *transfer)
{
    if (!transfer->active)
        return;
    transfer->active = false;
    curl_multi_remove_handle(client->multi, transfer->easy);
}

void neti_client_kick(struct net_http_client *client)
{
    on_timer(&client->timer);
}

void neti_transfer_options(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

/* One exchange. */

static void exchange_free(struct net_http_exchange *x)
{
    *x->prev = x->next;
    if (x->next)
        x->next->prev = x->prev;
    neti_transfer_cancel(x->client, &x->transfer);
    curl_easy_cleanup(x->transfer.easy);
    curl_slist_free_all(x->headers);
    x->call->exchange = NULL;
    free(x);
}

static int outcome(struct net_http_exchange *x, CURLcode code)
{
    struct net_http_call *call = x->call;
    const char *why = x->message[0] ? x->message : curl_easy_strerror(code);
    if (x->too_large)
        return base_err_set(&call->error, BASE_E_LIMIT, "%s: the answer is larger than %zu bytes",
                            call->url, call->body_size_max);
    switch (code) {
    case CURLE_OK:
        return BASE_OK;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return base_err_set(&call->error, BASE_E_UNAVAILABLE, "%s: %s", call->url, why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return base_err_set(&call->error, BASE_E_UNAUTHORIZED, "%s: %s", call->url, why);
    case CURLE_OPERATION_TIMEDOUT:
        return base_err_set(&call->error, BASE_E_TIMEOUT, "%s: %s", call->url, why);
    case CURLE_OUT_OF_MEMORY:
        return base_err_set(&call->error, BASE_E_NOMEM, "%s: %s", call->url, why);
    default:
        return base_err_set(&call->error, BASE_E_IO, "%s: %s", call->url, why);
    }
}

static void on_exchange_done(struct neti_transfer *transfer, CURLcode code)
{
    struct net_http_exchange *x = BASE_CONTAINER(transfer, struct net_http_exchange, transfer);
    struct net_http_call *call = x->call;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    call->rc = outcome(x, code);
    call->status = (unsigned)status;
    exchange_free(x);
    call->done(call);
}

static int set_options(struct net_http_exchange *x)
{
    const struct net_http_call *call = x->call;
    CURL *easy = x->transfer.easy;
    char line[NET_SECRET_LEN_MAX + 64];
    if (call->token) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", call->token);
        x->headers = curl_slist_append(x->headers, line);
    }
    if (call->content_type) {
        snprintf(line, sizeof line, "Content-Type: %s", call->content_type);
        x->headers = curl_slist_append(x->headers, line);
    }
    x->headers = curl_slist_append(x->headers, "Expect:");
    bool ok = x->headers && curl_easy_setopt(easy, CURLOPT_URL, call->url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK;
    ok = ok && neti_transfer_tls(easy, &call->tls) == BASE_OK;
    neti_transfer_options(easy);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->message);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    if (strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         call->body.len ? (const char *)call->body.data : "");
    } else {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;
    }
    return ok ? BASE_OK : BASE_E_NOMEM;
}

int net_http_client_start(struct net_http_client *client, struct net_http_call *call,
                          struct base_err *err)
{
    BASE_ASSERT(call->done);
    BASE_ASSERT(!call->exchange);
    struct net_http_exchange *x = calloc(1, sizeof *x);
    if (!x || !(x->transfer.easy = curl_easy_init())) {
        free(x);
        return base_err_set(err, BASE_E_NOMEM, "%s: out of memory", call->url);
    }
    x->transfer.done = on_exchange_done;
    x->client = client;
    x->call = call;
    call->rc = 0;
    call->status = 0;
    call->exchange = x;
    base_buf_reset(&call->answer);
    x->next = client->exchanges;
    x->prev = &client->exchanges;
    if (x->next)
        x->next->prev = &x->next;
    client->exchanges = x;
    if (set_options(x) != BASE_OK || neti_transfer_start(client, &x->transfer) != BASE_OK) {
        exchange_free(x);
        return base_err_set(err, BASE_E_INVALID, "%s: libcurl refused the request", call->url);
    }
    return BASE_OK;
}

/* Client. */

int net_http_client_new(struct net_loop *loop, struct net_http_client **out, struct base_err *err)
{
    *out = NULL;
    struct net_http_client *client = calloc(1, sizeof *client);
    if (client)
        client->multi = curl_multi_init();
    if (!client || !client->multi) {
        free(client);
        return base_err_set(err, BASE_E_NOMEM, "HTTP client: out of memory");
    }
    client->loop = loop;
    client->timer.fired = on_timer;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT_MAX);
    *out = client;
    return BASE_OK;
}

void net_http_client_free(struct net_http_client *client)
{
    if (!client)
        return;
    while (client->exchanges)
        exchange_free(client->exchanges);
    curl_multi_cleanup(client->multi);
    net_loop_disarm(client->loop, &client->timer);
    free(client);
}

struct fetch {
    struct net_http_call call;
    struct net_loop *loop;
};

static void on_fetched(struct net_http_call *call)
{
    net_loop_stop(BASE_CONTAINER(call, struct fetch, call)->loop);
}

int net_http_fetch(struct net_http_call *call, struct base_err *err)
{
    struct net_http_client *client = NULL;
    struct fetch fetch = {.call = *call};
    int rc = net_loop_new(&fetch.loop, err);
    if (rc != BASE_OK)
        return rc;
    rc = net_http_client_new(fetch.loop, &client, err);
    if (rc != BASE_OK)
        goto out;
    fetch.call.done = on_fetched;
    rc = net_http_client_start(client, &fetch.call, err);
    if (rc == BASE_OK)
        rc = net_loop_run(fetch.loop, err);
    if (rc == BASE_OK && fetch.call.rc != BASE_OK)
        rc = base_err_set(err, fetch.call.rc, "%s", fetch.call.error.text);
    call->rc = rc;
    call->status = fetch.call.status;
    call->answer = fetch.call.answer;
out:
    net_http_client_free(client);
    net_loop_free(fetch.loop);
    return rc;
}
