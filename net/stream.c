/* Plain and TLS connections on the loop.
 *
 * Invariants:
 *  1. A stream's descriptor is watched for what its owner wants and, during a TLS handshake, for
 *     what GnuTLS wants; the owner is called for the former only.
 *  2. Bytes that GnuTLS has decrypted and the owner has not read make no descriptor readable:
 *     whenever the owner wants to read and there are such bytes, he is called at the end of the
 *     loop's turn.
 *  3. When the process has no descriptors left, accepting pauses: the loop does not spin on
 *     connections that it cannot take. */
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_private.h"

enum { BACKLOG = 1024, ACCEPTS_PER_TURN = 64, TLS_FIRST_BYTE = 0x16 };
#define ACCEPT_PAUSE_NS UINT64_C(100000000)

struct net_stream_server {
    struct net_loop *loop;
    struct net_watch watch;
    struct net_timer resume;
    struct net_stream_server_config config;
    struct neti_tls *tls; /* NULL: plain */
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    uint16_t port;
};

struct net_stream_tls {
    struct net_stream *stream;
    gnutls_session_t session;
    struct neti_tls_link *link;
    struct net_hook hook; /* invariant 2 */
    bool sending;         /* GnuTLS has a record that did not go: it goes first */
    bool broken;
};

/* Listening. */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int make_address(const char *host, uint16_t port, union address *out, socklen_t *len,
                        struct base_err *err)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *len = sizeof out->v4;
        return BASE_OK;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *len = sizeof out->v6;
        return BASE_OK;
    }
    return base_err_set(err, BASE_E_CONFIG, "listen on %s: not a numeric address", host);
}

static int listen_on(const struct net_stream_server_config *config, int *out, uint16_t *port,
                     struct base_err *err)
{
    union address address;
    socklen_t len;
    int on = 1, rc = make_address(config->host, config->port, &address, &len, err);
    *out = -1;
    if (rc != BASE_OK)
        return rc;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return base_err_set(err, BASE_E_IO, "listen on %s:%u: %s", config->host, config->port,
                            strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address.any, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &address.any, &len) != 0) {
        bool taken = errno == EADDRINUSE, hint = taken && config->port_hint;
        rc = base_err_set(err,
                          taken                    ? BASE_E_BUSY
                          : errno == EADDRNOTAVAIL ? BASE_E_CONFIG
                                                   : BASE_E_IO,
                          "listen on %s:%u: %s%s%s%s", config->host, config->port, strerror(errno),
                          hint ? " (" : "", hint ? config->port_hint : "", hint ? ")" : "");
        close(fd);
        return rc;
    }
    *out = fd;
    *port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return BASE_OK;
}

int net_stream_probe(const struct net_stream_server_config *config, struct base_err *err)
{
    uint16_t port;
    int fd, rc = listen_on(config, &fd, &port, err);
    if (rc == BASE_OK)
        close(fd);
    return rc;
}

/* GnuTLS asks what to show. */
static int on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **chain, unsigned *chain_len, gnutls_ocsp_data_st **ocsp,
                          unsigned *ocsp_len, gnutls_privkey_t *key, unsigned *flags)
{
    const struct net_stream_tls *tls = gnutls_session_get_ptr(session);
    (void)info;
    neti_tls_certificate(tls->link, chain, chain_len, key);
    *ocsp = NULL;
    *ocsp_len = 0;
    *flags = 0;
    return 0;
}

static int open_tls(struct net_stream_server *server, struct base_err *err)
{
    int rc = neti_tls_open(&server->config.tls, &server->tls, err);
    if (rc != BASE_OK)
        return rc;
    if (gnutls_certificate_allocate_credentials(&server->credentials) != 0 ||
        gnutls_priority_init(&server->priorities, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
                             NULL) != 0)
        return base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    gnutls_certificate_set_retrieve_function3(server->credentials, on_certificate);
    return BASE_OK;
}

static void on_acceptable(struct net_watch *watch, int events);

static void on_resume(struct net_timer *timer)
{
    struct net_stream_server *server = BASE_CONTAINER(timer, struct net_stream_server, resume);
    if (net_loop_watch(server->loop, &server->watch, NET_READABLE, NULL) != BASE_OK)
        net_loop_arm(server->loop, timer, ACCEPT_PAUSE_NS);
}

int net_stream_server_open(struct net_loop *loop, const struct net_stream_server_config *config,
                           struct net_stream_server **out, struct base_err *err)
{
    *out = NULL;
    struct net_stream_server *server = calloc(1, sizeof *server);
    if (!server)
        return base_err_set(err, BASE_E_NOMEM, "listener: out of memory");
    server->loop = loop;
    server->config = *config;
    server->watch.ready = on_acceptable;
    server->watch.fd = -1;
    server->resume.fired = on_resume;
    int rc = config->tls.certificate ? open_tls(server, err) : BASE_OK;
    if (rc == BASE_OK)
        rc = listen_on(config, &server->watch.fd, &server->port, err);
    if (rc == BASE_OK)
        rc = net_loop_watch(loop, &server->watch, NET_READABLE, err);
    if (rc != BASE_OK) {
        net_stream_server_close(server);
        return rc;
    }
    *out = server;
    return BASE_OK;
}

void net_stream_server_stop(struct net_stream_server *server)
{
    net_loop_disarm(server->loop, &server->resume);
    if (server->watch.fd < 0)
        return;
    net_loop_unwatch(server->loop, &server->watch);
    close(server->watch.fd);
    server->watch.fd = -1;
}

void net_stream_server_close(struct net_stream_server *server)
{
    if (!server)
        return;
    net_stream_server_stop(server);
    neti_tls_close(server->tls);
    if (server->credentials)
        gnutls_certificate_free_credentials(server->credentials);
    if (server->priorities)
        gnutls_priority_deinit(server->priorities);
    free(server);
}

uint16_t net_stream_server_port(const struct net_stream_server *server)
{
    return server->watch.fd >= 0 ? server->port : 0;
}

/* TLS. */

static void on_pending(struct net_hook *hook)
{
    struct net_stream *stream = BASE_CONTAINER(hook, struct net_stream_tls, hook)->stream;
    if (stream->wanted & NET_READABLE)
        stream->ready(stream, NET_READABLE);
}

static bool begin_tls(struct net_stream *stream)
{
    struct net_stream_server *server = stream->server;
    struct net_stream_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return false;
    tls->stream = stream;
    tls->hook.run = on_pending;
    if (gnutls_init(&tls->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0) {
        free(tls);
        return false;
    }
    stream->tls = tls;
    stream->handshaking = true;
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_int(tls->session, stream->watch.fd);
    tls->link = neti_tls_accept(server->tls, tls->session);
    return tls->link && gnutls_priority_set(tls->session, server->priorities) == 0 &&
           gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, server->credentials) == 0;
}

static void free_tls(struct net_stream *stream)
{
    struct net_stream_tls *tls = stream->tls;
    if (!tls)
        return;
    net_loop_not_at_end(stream->server->loop, &tls->hook);
    if (!stream->handshaking && !tls->broken)
        gnutls_bye(tls->session, GNUTLS_SHUT_WR); /* as far as it goes without waiting */
    gnutls_deinit(tls->session);
    neti_tls_link_free(tls->link);
    free(tls);
    stream->tls = NULL;
}

static int update_watch(struct net_stream *stream, int events, struct base_err *err)
{
    int rc = BASE_OK;
    if (events == stream->watched)
        return BASE_OK;
    if (events)
        rc = net_loop_watch(stream->server->loop, &stream->watch, events, err);
    else
        net_loop_unwatch(stream->server->loop, &stream->watch);
    if (rc == BASE_OK)
        stream->watched = (uint8_t)events;
    return rc;
}

static bool is_transient(int code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

/* True: it is done. A failure ends the stream at its owner's next read. */
static bool handshake(struct net_stream *stream)
{
    struct net_stream_tls *tls = stream->tls;
    int code = gnutls_handshake(tls->session);
    if (code < 0 && !gnutls_error_is_fatal(code)) {
        bool writes = is_transient(code) && gnutls_record_get_direction(tls->session) == 1;
        if (update_watch(stream, writes ? NET_WRITABLE : NET_READABLE, NULL) == BASE_OK)
            return false;
        tls->broken = true;
    }
    bool demanded = stream->server->config.tls.require_client_auth;
    tls->broken =
        tls->broken || code < 0 || (demanded && !neti_tls_certified(tls->link, tls->session));
    stream->handshaking = false;
    return true;
}

/* Connections. */

/* The first byte decides. False: it is not there yet, or never will be (the owner then reads the
 * end). */
static bool decide(struct net_stream *stream)
{
    uint8_t first = 0;
    ssize_t n = recv(stream->watch.fd, &first, 1, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    stream->undecided = false;
    if (n == 1 && first == TLS_FIRST_BYTE && !begin_tls(stream) && stream->tls)
        stream->tls->broken = true;
    return true;
}

static void on_ready(struct net_watch *watch, int events)
{
    struct net_stream *stream = BASE_CONTAINER(watch, struct net_stream, watch);
    if (stream->undecided && !decide(stream))
        return;
    if (stream->handshaking) {
        if (!handshake(stream))
            return;
        if (update_watch(stream, stream->wanted, NULL) != BASE_OK)
            stream->tls->broken = true;
        events = NET_READABLE | NET_WRITABLE;
    }
    events &= stream->wanted | (stream->tls && stream->tls->broken ? NET_READABLE : 0);
    if (events)
        stream->ready(stream, events);
}

static void take(struct net_stream_server *server, int fd, const union address *from)
{
    struct net_stream_peer peer = {.port = 0};
    int on = 1;
    if (from->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from->v4.sin_addr, peer.address, sizeof peer.address);
        peer.port = ntohs(from->v4.sin_port);
    } else {
        inet_ntop(AF_INET6, &from->v6.sin6_addr, peer.address, sizeof peer.address);
        peer.port = ntohs(from->v6.sin6_port);
    }
    peer.loopback = net_address_is_loopback(peer.address);
    struct net_stream *stream = server->config.accepted(server->config.ctx, &peer);
    if (!stream) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    stream->server = server;
    stream->watch.fd = fd;
    stream->watch.ready = on_ready;
    stream->wanted = NET_READABLE;
    stream->undecided = server->tls && server->config.tls_optional;
    bool ok = !server->tls || stream->undecided || begin_tls(stream);
    if (!ok || update_watch(stream, NET_READABLE, NULL) != BASE_OK) {
        if (stream->tls)
            stream->tls->broken = true;
        else
            shutdown(fd, SHUT_RDWR);
        stream->handshaking = false;
        stream->ready(stream, NET_READABLE); /* reads the end */
    }
}

static void on_acceptable(struct net_watch *watch, int events)
{
    struct net_stream_server *server = BASE_CONTAINER(watch, struct net_stream_server, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && watch->fd >= 0; i++) {
        union address from;
        socklen_t len = sizeof from;
        int fd = accept4(watch->fd, &from.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(server, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            net_loop_unwatch(server->loop, watch);
            net_loop_arm(server->loop, &server->resume, ACCEPT_PAUSE_NS);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

ssize_t net_stream_read(struct net_stream *stream, void *out, size_t size)
{
    struct net_stream_tls *tls = stream->tls;
    ssize_t n;
    BASE_ASSERT(size > 0);
    if (!tls) {
        do
            n = recv(stream->watch.fd, out, size, 0);
        while (n < 0 && errno == EINTR);
        return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : NET_STREAM_END;
    }
    if (tls->broken)
        return NET_STREAM_END;
    do
        n = gnutls_record_recv(tls->session, out, size);
    while (n == GNUTLS_E_INTERRUPTED);
    if (n == GNUTLS_E_AGAIN || (n < 0 && !gnutls_error_is_fatal((int)n)))
        return 0;
    tls->broken = n < 0;
    if (n > 0 && gnutls_record_check_pending(tls->session) > 0 && (stream->wanted & NET_READABLE))
        net_loop_at_end(stream->server->loop, &tls->hook);
    return n > 0 ? n : NET_STREAM_END;
}

static ssize_t write_tls(struct net_stream_tls *tls, const struct iovec *pieces, int count)
{
    size_t total = 0;
    for (int i = 0; i < count;) {
        size_t at = 0;
        while (at < pieces[i].iov_len) {
            ssize_t n = tls->sending ? gnutls_record_send(tls->session, NULL, 0)
                                     : gnutls_record_send(tls->session,
                                                          (const char *)pieces[i].iov_base + at,
                                                          pieces[i].iov_len - at);
            tls->sending = n < 0 && is_transient((int)n);
            if (tls->sending)
                return (ssize_t)total;
            if (n < 0) {
                tls->broken = true;
                return NET_STREAM_END;
            }
            at += (size_t)n;
            total += (size_t)n;
        }
        BASE_ASSERT(at == pieces[i].iov_len);
        i++;
    }
    return (ssize_t)total;
}

ssize_t net_stream_write(struct net_stream *stream, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)count};
    ssize_t n;
    if (stream->handshaking)
        return 0;
    if (stream->tls)
        return stream->tls->broken ? NET_STREAM_END : write_tls(stream->tls, pieces, count);
    do
        n = sendmsg(stream->watch.fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? 0 : NET_STREAM_END;
}

int net_stream_want(struct net_stream *stream, int events, struct base_err *err)
{
    stream->wanted = (uint8_t)events;
    if (stream->handshaking)
        return BASE_OK;
    if (stream->tls && (events & NET_READABLE) &&
        gnutls_record_check_pending(stream->tls->session) > 0)
        net_loop_at_end(stream->server->loop, &stream->tls->hook);
    return update_watch(stream, events, err);
}

bool net_stream_is_tls(const struct net_stream *stream)
{
    return stream->tls != NULL;
}

void net_stream_close(struct net_stream *stream)
{
    free_tls(stream);
    if (stream->watched)
        net_loop_unwatch(stream->server->loop, &stream->watch);
    stream->watched = 0;
    if (stream->watch.fd >= 0)
        close(stream->watch.fd);
    stream->watch.fd = -1;
}
