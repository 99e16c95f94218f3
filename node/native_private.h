/* The native protocol's listener, for node/native*.c alone.
 *
 *   native.c           open and close, limits, the sweep of what does not get on
 *   native_conn.c      a connection: bytes in, messages, answers gathered, bytes out
 *   native_startup.c   until it is ready: OPTIONS, STARTUP, AUTH_RESPONSE, REGISTER
 *   native_request.c   QUERY, PREPARE, EXECUTE, BATCH
 *   native_prepared.c  the node's prepared statements
 *   native_events.c    what changed, told to who registered
 *
 * Everything is the loop's thread's. */
#ifndef NODE_NATIVE_PRIVATE_H
#define NODE_NATIVE_PRIVATE_H

#include "cql/wire.h"
#include "net/stream.h"
#include "node/cluster_private.h"
#include "node/cql_private.h"

/* Prepared statements (native_prepared.c). */

struct nodei_prepared {
    uint8_t id[BASE_DIGEST_LEN], metadata_id[BASE_DIGEST_LEN];
    unsigned refs;                        /* the cache's, and of requests under way */
    struct nodei_prepared *chain;         /* of its bucket */
    struct nodei_prepared *newer, *older; /* by last use */
    struct base_arena arena;              /* text, tree, prepared */
    struct base_slice text, keyspace;     /* the session's keyspace when it was made */
    struct base_schema *schema;           /* it was made against */
    uint64_t epoch;
    struct cql_prepared *prepared;
    size_t size_bytes;
    bool columns_moved; /* who prepared it earlier may know other columns of its rows */
};
struct nodei_prepared_cache {
    struct nodei_prepared **buckets;
    size_t bucket_count, count, size_bytes, size_bytes_max;
    struct nodei_prepared *newest, *oldest;
    uint64_t evicted;
};
BASE_MUST int nodei_prepared_cache_init(struct nodei_prepared_cache *cache, size_t size_bytes_max,
                                        struct base_err *err);
void nodei_prepared_cache_fini(struct nodei_prepared_cache *cache);
/* Prepare, or find what was prepared so before. A reference. */
BASE_MUST int nodei_prepared_make(struct nodei_prepared_cache *cache, struct node *node,
                                  struct base_slice text, struct base_slice keyspace,
                                  struct nodei_prepared **out, struct base_err *err);
/* By id, made anew if the schema has moved since. A reference; NULL: unknown (or, by the present
 * schema, no statement any more). */
struct nodei_prepared *nodei_prepared_find(struct nodei_prepared_cache *cache, struct node *node,
                                           struct base_slice id);
void nodei_prepared_release(struct nodei_prepared *prepared);

/* Requests. */

struct nodei_native_conn;
struct nodei_native_request {
    struct nodei_native_request *prev, *next; /* of its connection; next: the pool's */
    struct nodei_native_conn *conn;
    int16_t stream;
    uint8_t opcode;
    unsigned tries;
    size_t counted;                     /* bytes of native->in_flight_bytes */
    struct base_buf body;               /* a copy: the receive buffer is everybody's */
    struct base_arena arena;            /* the execution's */
    struct base_buf rows, paging_state; /* memory for the result */
    struct cql_exec exec;
    bool started;                /* exec is under way */
    struct nodei_client *client; /* the connection's, or a copy in the arena (traced) */
    bool has_tracing_id;
    struct base_uuid tracing_id;
    /* What is asked: */
    struct base_slice text; /* QUERY */
    struct base_slice keyspace;
    struct cql_query_options options;
    struct base_slice id, metadata_id; /* EXECUTE */
    struct cql_batch_request batch;
    /* What it was bound to: */
    struct base_schema *schema;            /* QUERY, BATCH */
    const struct cql_prepared *prepared;   /* QUERY, EXECUTE */
    struct nodei_prepared *entry;          /* EXECUTE */
    struct nodei_prepared **batch_entries; /* BATCH: of each statement, or NULL */
    struct cql_batch_item *batch_items;
};

/* Connections. */

enum nodei_native_stage { NODEI_NATIVE_NEW, NODEI_NATIVE_AUTHENTICATING, NODEI_NATIVE_READY };

struct nodei_native_conn {
    struct net_stream stream;
    struct nodei_native *native;
    struct nodei_native_conn *prev, *next, *dirty_next;
    /* one while it is open, one a request, one a login, one while its events are looked at */
    unsigned refs;
    enum nodei_native_stage stage;
    uint8_t version;    /* 0: no message yet */
    uint8_t registered; /* a bit an event's kind */
    /* closing: nothing more is read; it ends when its answers are written */
    bool is_dirty, dead, closing;
    bool loopback;
    uint16_t port;
    struct nodei_client client;
    struct cql_wire_in in;
    struct cql_wire_out out;
    size_t sent;            /* of out.bytes */
    size_t out_counted;     /* bytes of native->in_flight_bytes */
    struct base_buf unread; /* the beginning of a message */
    uint64_t opened_ns, partial_since_ns, read_ns, written_ns; /* 0: nothing partial */
    struct nodei_native_request *requests;
    uint32_t request_count; /* under way */
    uint64_t requests_total;
    struct nodei_login *login;          /* under way */
    char *driver_name, *driver_version; /* or NULL */
};

void nodei_conn_answer_error(struct nodei_native_conn *conn, int16_t stream,
                             const struct cql_error *error);
void nodei_conn_answer_code(struct nodei_native_conn *conn, int16_t stream,
                            enum cql_error_number code, const char *fmt, ...) BASE_PRINTF(4, 5);
/* A message of a few bytes: `body` as it is. */
void nodei_conn_answer(struct nodei_native_conn *conn, enum cql_opcode opcode, int16_t stream,
                       struct base_slice body);
/* Something was put into conn->out: it goes out at the end of the turn. */
void nodei_conn_dirty(struct nodei_native_conn *conn);
/* No memory for an answer, or the like: the connection is of no more use. */
void nodei_conn_fail(struct nodei_native_conn *conn);
void nodei_conn_close(struct nodei_native_conn *conn);
void nodei_conn_end(struct nodei_native_conn *conn); /* closing */
void nodei_conn_release(struct nodei_native_conn *conn);
struct net_stream *nodei_conn_accept(void *native, const struct net_stream_peer *peer);
/* before anything is put into conn->out */
void nodei_conn_borrow_out(struct nodei_native_conn *conn);
void nodei_conn_flush(struct nodei_native_conn *conn);

/* native_startup.c: true when the message was its. */
bool nodei_startup_handle(struct nodei_native_conn *conn, const struct cql_message *message);
/* native_request.c */
void nodei_request_handle(struct nodei_native_conn *conn, struct cql_message *message);
/* The connection has gone: what can be given up is. */
void nodei_requests_abandon(struct nodei_native_conn *conn);
void nodei_request_pool_free(struct nodei_native *native);

/* The listener. */

struct nodei_member_seen; /* native_events.c */
struct nodei_thing_seen;
struct nodei_native_events {
    uint64_t schema_epoch, ring_epoch;
    struct nodei_thing_seen *things; /* of the schema, as the registered were told; by key */
    size_t thing_count;
    struct base_arena arena;
    struct nodei_member_seen *members; /* by host id */
    size_t member_count;
    struct net_timer timer;
    uint64_t waiting_since_ns; /* a change that others have not applied yet; 0: none */
    bool primed;
};
void nodei_events_init(struct nodei_native *native);
void nodei_events_fini(struct nodei_native *native);
void nodei_events_look(struct nodei_native *native);

struct nodei_native {
    struct node *node;
    struct net_loop *loop;
    struct net_stream_server *server;
    struct nodei_native_conn *conns;
    size_t conn_count;
    size_t orphans; /* connections that are closed and wait for their requests */
    bool closed;
    struct nodei_native_conn *dirty, **dirty_end;
    struct net_hook flush;
    struct net_timer sweep;
    struct base_buf receive; /* everybody's, while one connection is read */
    struct base_buf spare_assembly, spare_plain;
    struct base_buf spare_out[64];
    size_t spare_out_count;
    struct nodei_native_request *spare_requests;
    size_t spare_request_count;
    size_t in_flight_bytes; /* of requests, and of answers that are not written yet */
    struct nodei_prepared_cache prepared;
    struct nodei_native_events events;
    struct nodei_native_stats stats;
};
void nodei_native_free_if_done(struct nodei_native *native);

#endif
