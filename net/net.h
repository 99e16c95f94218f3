/* Sockets: one event loop, HTTP server and client on it, and the private-file token.
 *
 * Threads: a loop and everything attached to it belong to the thread that runs it; only
 * net_loop_post and net_loop_stop may be called from others. Nothing here waits for a disk. libuv
 * and OpenSSL are not linked on purpose (DESIGN.md §10): hosts export them. */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/bytes.h"
#include "base/clock.h"

/* Event loop. */

struct net_loop;

/* Readiness of a descriptor. The caller's storage; stays put while watched. */
enum net_event { NET_READABLE = 1, NET_WRITABLE = 2 };
struct net_watch {
    int fd;
    /* of enum net_event; errors and hang-ups count as both */
    void (*ready)(struct net_watch *watch, int events);
};
/* A one-shot timer. The caller's storage; zero it first. Arming and disarming cost O(log n). */
struct net_timer {
    void (*fired)(struct net_timer *timer);
    uint64_t due_ns;
    struct net_timer *child, *next, **link; /* the loop's heap */
    bool armed;
};
/* Work at the end of this turn of the loop, once, after everything that is ready now was called:
 * where what gathered is sent. The caller's storage; zero it first. */
struct net_hook {
    void (*run)(struct net_hook *hook);
    struct net_hook *next;
    bool armed;
};
/* Work handed to the loop from another thread. The caller's storage until `run` is called. */
struct net_task {
    void (*run)(struct net_task *task);
    struct net_task *next;
};

BASE_MUST int net_loop_new(struct net_loop **out, struct base_err *err);
void net_loop_free(struct net_loop *loop); /* nothing may be watched any more */
BASE_MUST int net_loop_run(struct net_loop *loop, struct base_err *err); /* until net_loop_stop */
/* any thread; also from a signal handler */
void net_loop_stop(struct net_loop *loop);
void net_loop_post(struct net_loop *loop, struct net_task *task); /* any thread */
struct base_mono_ns net_loop_now(const struct net_loop *loop);    /* as of this turn */
/* or change */
BASE_MUST int net_loop_watch(struct net_loop *loop, struct net_watch *watch, int events,
                             struct base_err *err);
void net_loop_unwatch(struct net_loop *loop, struct net_watch *watch);
/* or arm anew */
void net_loop_arm(struct net_loop *loop, struct net_timer *timer, uint64_t after_ns);
void net_loop_disarm(struct net_loop *loop, struct net_timer *timer);
/* already armed: once is enough */
void net_loop_at_end(struct net_loop *loop, struct net_hook *hook);
void net_loop_not_at_end(struct net_loop *loop, struct net_hook *hook);

/* TLS. */

/* PEM files, read again when they change (looked at for each new connection): no restart for a new
 * certificate. */
struct net_tls_config {
    const char *certificate; /* the chain, ours first. A listener without one speaks plain HTTP */
    const char *key;         /* NULL: it is in the certificate's file */
    /* who vouches for the other side; NULL: of a listener nobody, of a caller the system's */
    const char *ca;
    /* a listener's; mutual: a peer without a certificate of this ca is refused */
    bool require_client_auth;
};

/* HTTP server (libmicrohttpd, driven by the loop). */

struct net_http_server;
struct net_http_request;

struct net_http_server_config {
    const char *host; /* numeric address */
    uint16_t port;    /* 0: any free one */
    /* another name by which it is reached (a broadcast address), or NULL: the Host header may say
     * it */
    const char *also_host;
    size_t body_size_max; /* larger bodies are answered 413 */
    /* of all requests on their way in, together; past it they are answered 503. 0: no limit */
    size_t bodies_bytes_max;
    unsigned connections_max;
    unsigned idle_timeout_s;
    struct net_tls_config tls;
    /* Called when a request is whole and its Host and Origin are in order. Answer with
     * net_http_respond, now or later (from the loop's thread). The slices of the request live until
     * then. */
    void (*handle)(void *ctx, struct net_http_request *request);
    /* May be NULL. Asked once, when a body turns out larger than NET_HTTP_PROBE_SIZE: how large may
     * this one be? (body_size_max holds all the same.) So that large bodies are taken only from
     * those who have shown something. */
    size_t (*body_limit)(void *ctx, const struct net_http_request *request,
                         struct base_slice so_far);
    void *ctx;
};
#define NET_HTTP_PROBE_SIZE 65536
/* Listens at once. BUSY when the address is taken, CONFIG when it is none of this machine's or the
 * certificates are not in order. */
BASE_MUST int net_http_server_open(struct net_loop *loop,
                                   const struct net_http_server_config *config,
                                   struct net_http_server **out, struct base_err *err);
/* Requests that were handed out must have been answered. */
void net_http_server_close(struct net_http_server *server);
uint16_t net_http_server_port(const struct net_http_server *server);

struct base_slice net_http_method(const struct net_http_request *request);
struct base_slice net_http_path(const struct net_http_request *request); /* without the query */
/* A query parameter or header; data NULL when absent. */
struct base_slice net_http_param(const struct net_http_request *request, const char *name);
struct base_slice net_http_header(const struct net_http_request *request, const char *name);
struct base_slice net_http_body(const struct net_http_request *request);
/* Copies the body. */
void net_http_respond(struct net_http_request *request, unsigned status, const char *content_type,
                      struct base_slice body);
/* A response whose body grows: begin, then put and end as it comes. `gone` is called when the
 * connection broke before the end: the request must not be used afterwards, and nothing more is
 * put. NOMEM: answered 503 instead, `gone` is not called. */
BASE_MUST int net_http_stream_begin(struct net_http_request *request, unsigned status,
                                    const char *content_type, void (*gone)(void *ctx), void *ctx);
/* copies; NOMEM */
BASE_MUST int net_http_stream_put(struct net_http_request *request, struct base_slice bytes);
void net_http_stream_end(struct net_http_request *request);
/* Take the body's bytes out of a request (the caller fini's them). */
void net_http_take_body(struct net_http_request *request, struct base_buf *out);
/* Did the peer show a certificate that the server's ca vouches for? */
bool net_http_peer_certified(const struct net_http_request *request);
/* When its first bytes came. */
struct base_mono_ns net_http_arrived(const struct net_http_request *request);
/* {"error": …} with the HTTP status that fits the error's code. */
void net_http_respond_error(struct net_http_request *request, const struct base_err *err);

/* HTTP client (libcurl's multi interface on a loop). */

struct net_http_call {
    const char *method; /* "GET", "POST" */
    const char *url;
    const char *token; /* sent as "Authorization: Bearer …", or NULL */
    const char *content_type;
    struct net_tls_config tls; /* for https */
    struct base_slice body;    /* must live until done */
    uint32_t timeout_ms;
    size_t body_size_max;                     /* of the answer; more is an error */
    void (*done)(struct net_http_call *call); /* the call's fields below are set */
    /* Results: */
    /* 0, UNAVAILABLE (could not connect: nothing was sent), UNAUTHORIZED (TLS), TIMEOUT, IO,
     * LIMIT */
    int rc;
    unsigned status;
    struct base_buf answer; /* the caller inits and frees */
    struct base_err error;
    struct net_http_exchange *exchange; /* while under way */
};
struct net_http_client;
BASE_MUST int net_http_client_new(struct net_loop *loop, struct net_http_client **out,
                                  struct base_err *err);
/* cancels what is under way, without done() */
void net_http_client_free(struct net_http_client *client);
BASE_MUST int net_http_client_start(struct net_http_client *client, struct net_http_call *call,
                                    struct base_err *err);
/* One call on a loop of its own: for the command line. Returns call->rc. */
BASE_MUST int net_http_fetch(struct net_http_call *call, struct base_err *err);

/* The private-file token. */

#define NET_TOKEN_BYTES 32
#define NET_TOKEN_LEN 43 /* 32 random bytes in base64url */

/* The token of a data directory: read DIR/token, or make it (0600) from `random`. A file that
 * others can read is refused. */
BASE_MUST int net_token_open(const char *dir, struct base_random *random,
                             char token[NET_TOKEN_LEN + 1], struct base_err *err);
/* Read a token file. NOTFOUND, UNAUTHORIZED (somebody else can read it), CORRUPT. */
BASE_MUST int net_token_read(const char *path, char token[NET_TOKEN_LEN + 1], struct base_err *err);
/* Write a new private file (0600) with 32 random bytes in a token's form: a cluster secret. */
BASE_MUST int net_token_write(const char *path, const uint8_t bytes[NET_TOKEN_BYTES],
                              struct base_err *err);
/* Does the request carry the token ("Authorization: Bearer …")? Takes the same time whatever is
 * sent. */
bool net_token_in_request(const struct net_http_request *request, const char *token);
/* The cluster secret of a file that nobody else can read: NET_SECRET_LEN_MIN to NET_SECRET_LEN_MAX
 * bytes of text, without the newline at its end. NOTFOUND, UNAUTHORIZED (somebody else can read
 * it), CONFIG. */
#define NET_SECRET_LEN_MIN 32
#define NET_SECRET_LEN_MAX 256
BASE_MUST int net_secret_read(const char *path, uint8_t out[NET_SECRET_LEN_MAX], size_t *len,
                              struct base_err *err);
/* Tell the same user's programs where the token of the node at host:port is
 * (${XDG_STATE_HOME:-~/.local/state}/ringlet/nodes/HOST:PORT, 0600); and find it; and take it
 * back. */
BASE_MUST int net_token_announce(const char *host, uint16_t port, const char *dir,
                                 struct base_err *err);
BASE_MUST int net_token_find(const char *host, uint16_t port, char token[NET_TOKEN_LEN + 1],
                             struct base_err *err);
void net_token_withdraw(const char *host, uint16_t port);

/* Addresses. */

/* "127.0.0.1:7000", "[::1]:7000", "127.0.0.1" (port stays) → host without brackets, port. */
BASE_MUST int net_address_parse(const char *text, char host[64], uint16_t *port,
                                struct base_err *err);
bool net_address_is_loopback(const char *host);
bool net_address_is_wildcard(const char *host); /* 0.0.0.0, :: */
bool net_address_is_numeric(const char *host);
/* The same numeric address, however it is written. */
bool net_address_equal(const char *a, const char *b);

#endif
