/* Peers over HTTP (DESIGN.md §9): framed messages, any number to a POST of /internode/v1/messages;
 * the response streams the framed replies as they complete. docs/formats/internode.md is the
 * document.
 *
 * Gathering: what is sent in one turn of the loop goes out in one POST per peer and lane at the
 * turn's end; while POSTs to a peer's lane are under way (up to posts_max of them), what follows
 * waits for one to end or for gather_bytes, so that batching grows with load and an idle link adds
 * no delay. Connections are kept and reused.
 *
 * Sessions: before the first POST to a peer a hello with nonces from both sides, keyed by a shared
 * credential, derives a session key; every body, of requests and of responses, carries a sequence
 * number and a MAC under it: a replayed, reordered or changed body is refused. No clock is trusted.
 * A peer that restarted answers "no session": hello again, once. With mutual TLS the same, inside
 * it.
 *
 * Threads: one loop. Nothing here waits for a disk (certificates and token files are read at the
 * hello: small local files). */
#ifndef NET_INTERNODE_H
#define NET_INTERNODE_H

#include "base/message.h"
#include "net/net.h"

#define NET_CREDENTIAL_LEN_MAX 256
#define NET_INTERNODE_LANES 3

struct net_internode;

/* A request of a peer until it is answered or dropped. message.body stays until then. */
struct net_inbound {
    struct base_message message;
    int lane;
    void *user[4]; /* the receiver's */
};

struct net_internode_config {
    struct net_loop *loop;
    struct base_random *random;
    struct base_log *log; /* may be NULL */
    struct base_uuid host_id;
    uint32_t generation;
    /* another cluster's hello is refused, by name; "": whichever it is (a guest) */
    const char *cluster_name;
    /* What a peer's hello may be keyed by: the cluster secret, and this node's own token (of its
     * data directory's private file: who can read that is the same user). Either may be empty. */
    struct base_slice secret, token;
    /* What to key our hello to HOST:PORT by: the secret if there is one, else the token found for
     * that address (net_token_find). UNAUTHORIZED or NOTFOUND with a text that says what to set. */
    int (*credential)(void *ctx, const char *host, uint16_t port,
                      uint8_t out[NET_CREDENTIAL_LEN_MAX], size_t *len, bool *is_secret,
                      struct base_err *err);
    /* for connections that we make: https if it has a certificate or a ca … */
    struct net_tls_config tls;
    bool https;            /* … or this: then without a ca the system's is asked */
    size_t frame_size_max; /* one message: 16 MiB + a little */
    size_t body_size_max;  /* one POST, one response: 32 MiB */
    /* waiting for one lane of a peer: 16 MiB; past it send is OVERLOADED */
    size_t queue_bytes_max;
    /* handed out and not answered, all peers: 64 MiB; past it POSTs are answered 503 */
    size_t inbound_bytes_max;
    size_t gather_bytes;         /* 64 KiB */
    unsigned posts_max;          /* in flight for a lane of a peer: 8 */
    uint64_t connect_timeout_ns; /* 2 s */
    void (*on_request)(void *ctx, struct net_inbound *in);
    void (*on_reply)(void *ctx, const struct base_message *reply); /* borrowed */
    /* The request of this id was certainly not delivered (no connection, refused hello, 503 before
     * it was read). */
    void (*on_undelivered)(void *ctx, uint64_t id);
    /* A peer cannot be spoken to: why (may be NULL). */
    void (*on_hello_failed)(void *ctx, const char *address, const struct base_err *err);
    void *ctx;
};
void net_internode_config_init(struct net_internode_config *config);
BASE_MUST int net_internode_open(const struct net_internode_config *config,
                                 struct net_internode **out, struct base_err *err);
/* Drops what waits; responses under way end. What was handed out must have been answered or
 * dropped. Before the server's close. */
void net_internode_close(struct net_internode *internode);

/* Queue a request (copied) to HOST:PORT. `to` not zero: a peer whose hello says another host id is
 * not sent to (undelivered, logged). `compress`: lz4 for bodies (between data centres). A
 * timeout_ms of 0: 10 s. OVERLOADED; NOMEM; LIMIT: larger than frame_size_max; INVALID: no
 * address. */
BASE_MUST int net_internode_send(struct net_internode *internode, struct base_slice address,
                                 struct base_uuid to, int lane, bool compress,
                                 const struct base_message *message);
/* gives `in` back */
void net_internode_reply(struct net_internode *internode, struct net_inbound *in,
                         const struct base_message *reply);
void net_internode_drop(struct net_internode *internode, struct net_inbound *in);
/* Answer an HTTP request whose path begins with /internode/v1/ (from the server's handler). False:
 * it does not. */
bool net_internode_handle(struct net_internode *internode, struct net_http_request *request);
/* For net_http_server_config.body_limit: a large body is taken for messages of a session that there
 * is, and for other paths. */
size_t net_internode_body_limit(const struct net_internode *internode,
                                const struct net_http_request *request, struct base_slice so_far);
/* Read new credentials (the secret file changed); sessions made with the old ones go on. */
void net_internode_set_secret(struct net_internode *internode, struct base_slice secret);

struct net_internode_stats {
    uint64_t posts_sent, frames_sent, frames_received, bytes_sent, bytes_received, hellos, refused,
        undelivered, overloaded, expired;
    uint64_t queued_bytes, inbound_bytes;
};
void net_internode_get_stats(const struct net_internode *internode,
                             struct net_internode_stats *stats);
/* One row a peer: for netstats. nonzero from `each` stops. */
struct net_internode_peer_stats {
    const char *address;
    bool connected;
    uint64_t lane_queued[NET_INTERNODE_LANES], lane_completed[NET_INTERNODE_LANES],
        lane_dropped[NET_INTERNODE_LANES];
};
int net_internode_each_peer(const struct net_internode *internode,
                            int (*each)(void *ctx, const struct net_internode_peer_stats *peer),
                            void *ctx);

/* Frames (frame.c): pure functions. */

#define NET_FRAME_VERSION 1
/* Append one message as a frame: version, flags, verb, id, sender, generation, epoch, milliseconds
 * left, trace id, length, checksum, body. */
BASE_MUST int net_frame_put(const struct base_message *message, struct base_buf *out);
/* The frame at the reader, borrowed. OK and advanced; BUSY: incomplete, wait for more bytes;
 * VERSION, LIMIT (larger than max), CORRUPT. */
BASE_MUST int net_frame_get(struct base_reader *in, size_t frame_size_max, struct base_message *out,
                            struct base_err *err);

#endif
