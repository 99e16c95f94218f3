/* Byte streams: a TCP listener on the loop whose connections are plain or TLS; the owner speaks
 * whatever he speaks over them (the native protocol). All of it on the loop's thread. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <sys/uio.h>

#include "net/net.h"

struct net_stream_server;
struct net_stream_tls; /* a TLS connection's */

/* A connection. The owner's storage, from `accepted` to net_stream_close; a plain one costs no
 * memory beyond it. */
struct net_stream {
    struct net_watch watch;
    struct net_stream_server *server;
    struct net_stream_tls *tls; /* NULL: plain, or not known yet */
    /* Something can be read (also: the end, or a failure), or written again. Only what
     * net_stream_want asked for; at first NET_READABLE. May close the stream. */
    void (*ready)(struct net_stream *stream, int events);
    uint8_t wanted;  /* of enum net_event: the owner's */
    uint8_t watched; /* of enum net_event: the loop's */
    bool undecided;  /* plain or TLS: the first byte will tell */
    bool handshaking;
};

struct net_stream_peer {
    char address[64]; /* numeric */
    uint16_t port;
    bool loopback;
};

struct net_stream_server_config {
    const char *host; /* numeric address */
    uint16_t port;    /* 0: any free one */
    /* what to do when the port is taken, for the error's text: "choose one with --cql HOST:PORT" */
    const char *port_hint;
    struct net_tls_config tls; /* with a certificate: TLS */
    bool tls_optional;         /* plain connections too, on the same port */
    /* A connection comes. Storage for it, zeroed, with `ready` set; NULL: it is closed at once. */
    struct net_stream *(*accepted)(void *ctx, const struct net_stream_peer *peer);
    void *ctx;
};
/* Listens at once. BUSY when the address is taken, CONFIG when it is none of this machine's or the
 * certificates are not in order. */
BASE_MUST int net_stream_server_open(struct net_loop *loop,
                                     const struct net_stream_server_config *config,
                                     struct net_stream_server **out, struct base_err *err);
/* Take no more connections; those that are there go on. */
void net_stream_server_stop(struct net_stream_server *server);
/* Connections must have been closed. */
void net_stream_server_close(struct net_stream_server *server);
uint16_t net_stream_server_port(const struct net_stream_server *server); /* 0: stopped */
/* Could one listen there just now? BUSY, CONFIG. */
BASE_MUST int net_stream_probe(const struct net_stream_server_config *config, struct base_err *err);

#define NET_STREAM_END (-1)
/* Read what is there: the number of bytes; 0: nothing yet; NET_STREAM_END: the other side has
 * ended, or the connection broke. */
ssize_t net_stream_read(struct net_stream *stream, void *out, size_t size);
/* Write what goes: the number of bytes; 0: nothing goes (ask for NET_WRITABLE); NET_STREAM_END: the
 * connection broke. What did not go must be at the front of the next write. */
ssize_t net_stream_write(struct net_stream *stream, const struct iovec *pieces, int count);
/* Which events are wanted from now on (of enum net_event; 0: none). NOMEM. */
BASE_MUST int net_stream_want(struct net_stream *stream, int events, struct base_err *err);
bool net_stream_is_tls(const struct net_stream *stream);
/* At any time, also from inside ready; ready is not called any more. The storage is the owner's
 * again. */
void net_stream_close(struct net_stream *stream);

#endif
