/* The other side, by hand: a client of raw bytes, and a server that answers what a test wants. Both
 * on the tests' loop (peers.h). */
#ifndef TESTS_NET_RAW_H
#define TESTS_NET_RAW_H

#include "net/internode_private.h"
#include "tests/unit/net/peers.h"

/* Client. */

int raw_connect(uint16_t port);
void raw_send(int fd, const void *bytes, size_t len);
/* POST body to path on a new connection; runs the loop until the answer is whole or the other side
 * hangs up. The status, 0: none came. answer (may be NULL): the body's bytes. */
unsigned raw_post(uint16_t port, const char *path, struct base_slice body, struct base_buf *answer);
/* The head of such a POST. */
void raw_head(char *out, size_t size, uint16_t port, const char *path, size_t body_len);
/* What fd has to read; runs the loop for at most `ms` until the other side closes or `wanted` bytes
 * are there. */
size_t raw_read(int fd, uint8_t *out, size_t wanted, size_t size, unsigned ms);

/* A client's session with a node, made by a hello. */
void raw_hello(struct peer_node *node, struct net_internode_config *client,
               struct neti_session **session);
/* A POST's body with `count` frames of ids from `id`, each with `timeout_ms`. */
void raw_body(struct base_buf *body, const struct net_internode_config *client,
              struct neti_session *session, int lane, uint64_t sequence, uint64_t id, size_t count,
              uint32_t timeout_ms);

/* Server. */

struct raw_conn;
struct raw_server {
    struct net_watch watch;
    uint16_t port;
    char address[80];
    struct raw_conn *conns;
    struct net_internode_config config; /* its credentials and host id */
    struct neti_sessions sessions;
    bool honest_hello; /* answers hellos as it should */
    uint64_t hellos, posts;
    /* A request is whole: write to `conn`. */
    void (*answer)(struct raw_server *server, struct raw_conn *conn, bool hello,
                   struct base_slice body);
};
void raw_server_open(struct raw_server *server, const struct net_internode_config *config);
void raw_server_close(struct raw_server *server);
void raw_conn_send(struct raw_conn *conn, const void *bytes, size_t len);
/* with its Content-Length */
void raw_conn_answer(struct raw_conn *conn, unsigned status, struct base_slice body);
void raw_conn_close(struct raw_conn *conn);

#endif
