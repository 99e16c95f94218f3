/* Nodes of a test: a server and an internode each, all on one loop; and a log of what they were
 * told. */
#ifndef TESTS_NET_PEERS_H
#define TESTS_NET_PEERS_H

#include "base/log.h"
#include "net/internode.h"
#include "tests/lib/ck.h"

/* A limit for what must come: it ends a test that hangs, on a machine however slow. */
enum { PEER_PATIENCE_MS = 60000 };
enum { PEER_HELD_MAX = 4096 };
enum peer_mode { PEER_ECHO, PEER_HOLD, PEER_DROP };

struct peer_node {
    struct net_http_server *server;
    struct net_internode *internode;
    struct net_internode_config config;
    struct net_http_server_config http;
    char address[80];
    uint16_t port;
    enum peer_mode mode;
    struct net_inbound *held[PEER_HELD_MAX];
    size_t held_count;
    uint64_t requests, one_ways, replies, undelivered;
    uint64_t reply_bytes, last_reply, last_undelivered;
    uint32_t last_timeout_ms; /* of a request */
    uint64_t bad;             /* replies whose body is not what was sent */
    char secret[64];
    char logged[2000]; /* the last lines */
    struct base_log log;
};

extern struct net_loop *peers_loop;

void peers_start(void);
void peers_stop(void);
/* A configuration to change, then the node. */
void peer_prepare(struct peer_node *node, uint8_t id, const char *secret);
void peer_open(struct peer_node *node);
void peer_close(struct peer_node *node);
/* Run the loop until *counter is at least `wanted`; false after `ms` milliseconds. */
bool peers_run_until(const uint64_t *counter, uint64_t wanted, unsigned ms);
void peers_run_for(unsigned ms); /* at least */
void peers_told(void);           /* a counter changed */
/* A request of `len` bytes that say its id. */
int peer_send(struct peer_node *from, const char *address, int lane, uint8_t flags, uint64_t id,
              size_t len, uint32_t timeout_ms);
void peer_answer_held(struct peer_node *node);
void peer_drop_held(struct peer_node *node);
uint8_t peer_byte(uint64_t id, size_t i);

#endif
