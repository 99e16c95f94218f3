/* TLS of a caller over a socket of his own: what the program's native-protocol client uses (the
 * internode client has curl's). */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include <sys/types.h>

#include "net/net.h"

struct net_tls_client;

/* Over a connected, non-blocking socket, which stays the caller's and outlives it. The other side's
 * certificate must be vouched for by config->ca (NULL: the system's authorities) and be made for
 * `host`; ours is shown when config has one. CONFIG: a file; NOMEM. */
BASE_MUST int net_tls_client_open(int fd, const char *host, const struct net_tls_config *config,
                                  struct net_tls_client **out, struct base_err *err);
/* Once, before bytes flow. OK; BUSY: call again when the socket is ready as
 * net_tls_client_wants_write says; UNAUTHORIZED: it is not trusted; IO. Never blocks. */
BASE_MUST int net_tls_client_handshake(struct net_tls_client *client, struct base_err *err);
bool net_tls_client_wants_write(const struct net_tls_client *client);
/* As recv and send: bytes; 0: the other side has ended; -1 with errno EAGAIN or another. After
 * EAGAIN of a write the same bytes come first in the next. A read that gave bytes may have more of
 * them: read until EAGAIN before waiting. */
ssize_t net_tls_client_read(struct net_tls_client *client, void *out, size_t size);
ssize_t net_tls_client_write(struct net_tls_client *client, const void *data, size_t size);
void net_tls_client_close(struct net_tls_client *client); /* NULL is fine */

#endif
