/* A connection to a node by the native protocol: what `ringlet shell` and `ringlet stress` share.
 * It speaks to Ringlet, Apache Cassandra (3.x to 5) and ScyllaDB: the newest version that both
 * sides know.
 *
 * Two ways to use one: a call at a time, which waits (cli_cql_query …, the shell), or many in
 * flight without waiting (cli_cql_read, cli_cql_next, cli_cql_write over the socket's readiness,
 * stress). One thread at a time. */
#ifndef CLI_CQL_CLIENT_H
#define CLI_CQL_CLIENT_H

#include <signal.h>

#include "cql/wire.h"
#include "net/tls_client.h"

struct cli_cql_config {
    const char *host;
    uint16_t port;
    int version;                 /* 3..5; 0: the newest that both sides know */
    const char *cql_version;     /* the language's; NULL: any of 3 */
    bool lz4;                    /* compress, if the node can */
    const char *user, *password; /* NULL: none; borrowed while the connection is open */
    int connect_timeout_ms, request_timeout_ms;
    bool ssl;
    /* with ssl: our certificate and key (NULL: none), who vouches for the node (NULL: the system's
     * authorities) */
    struct net_tls_config tls;
    volatile sig_atomic_t *interrupted; /* not NULL and not zero: a wait ends, INTERRUPTED */
};

/* of calls; streams above are free for the other way, on the same connection */
#define CLI_CQL_CALL_STREAM_MAX 16383

struct cli_cql {
    struct cli_cql_config config;
    int fd;                     /* -1: closed */
    struct net_tls_client *tls; /* NULL: plain */
    uint8_t version;
    bool compressed;
    struct cql_wire_in in;
    struct cql_wire_out out;
    struct base_buf received;
    size_t read_at; /* of received: what was used up */
    size_t wanted;  /* how many bytes must be there until it makes sense to look again */
    size_t sent_at; /* of out.bytes, while a part is sent */
    int16_t stream; /* of the last call */
};

/* Connect, agree on a version, log in. UNAVAILABLE: nobody answers there; TIMEOUT; UNAUTHORIZED:
 * the node wants (another) name and password; VERSION; IO; INVALID: it speaks something else. On
 * failure nothing is to be closed. */
BASE_MUST int cli_cql_open(struct cli_cql *c, const struct cli_cql_config *config,
                           struct base_err *err);
void cli_cql_close(struct cli_cql *c);

/* A call at a time. */

struct cli_cql_reply {
    struct cql_prefix prefix;
    bool is_error;
    struct cql_error error;        /* is_error */
    struct cql_result_info result; /* else */
};
/* OK: the node answered, if only with an error (reply->is_error). Everything in *reply lives in the
 * arena. TIMEOUT, INTERRUPTED: no answer came in time, the connection may be used on; CLOSED, IO,
 * INVALID: it is of no use any more. */
BASE_MUST int cli_cql_query(struct cli_cql *c, struct base_arena *arena,
                            const struct cql_query *query, bool tracing,
                            struct cli_cql_reply *reply, struct base_err *err);
BASE_MUST int cli_cql_prepare(struct cli_cql *c, struct base_arena *arena, struct base_slice text,
                              struct cli_cql_reply *reply, struct base_err *err);
BASE_MUST int cli_cql_execute(struct cli_cql *c, struct base_arena *arena,
                              const struct cql_execute *execute, struct cli_cql_reply *reply,
                              struct base_err *err);
BASE_MUST int cli_cql_batch(struct cli_cql *c, struct base_arena *arena,
                            const struct cql_batch_request *batch, struct cli_cql_reply *reply,
                            struct base_err *err);
/* A statement as it is, at ONE, all rows at once; the node's error becomes *err (INVALID, its
 * message). */
BASE_MUST int cli_cql_simple(struct cli_cql *c, struct base_arena *arena, const char *text,
                             struct cli_cql_reply *reply, struct base_err *err);
/* "name: message" of an error, as the Python driver shows it. */
const char *cli_cql_error_words(int32_t code);

/* Many in flight. */

/* Requests are put into c->out (cql_wire_begin …). Send them: OK: all of it went; BUSY: wait until
 * the socket can be written; CLOSED, IO. */
BASE_MUST int cli_cql_write(struct cli_cql *c, struct base_err *err);
/* Take what the socket has. OK: something came; BUSY: nothing was there; CLOSED, IO, NOMEM. */
BASE_MUST int cli_cql_read(struct cli_cql *c, struct base_err *err);
/* The next message of what came; its body stays until the next call. */
enum cql_wire_step cli_cql_next(struct cli_cql *c, struct cql_message *message,
                                struct base_err *err);

#endif
