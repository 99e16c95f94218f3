/* The native protocol's listener, for node/native*.c alone.
 *
 *   native.c           open and close, limits, the sweep of what does not get on
 *   native_conn.c      a connection: its lifetime, answers gathered, bytes out
 *   native_receive.c   bytes in, messages to whom they belong
 *   native_limits.c    what clients hold, counted; who waits for room
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
    struct nodei_prepared_cache *cache;   /* that it is in; NULL: none any more */
    struct base_slice text, keyspace;     /* its own; the session's keyspace when it was made */
    uint64_t epoch;
    /* Let go, once the schema has moved and no request uses it: */
    struct base_arena arena;    /* tree, prepared */
    struct base_schema *schema; /* it was made against */
    struct cql_prepared *prepared;
    size_t size_bytes;
    bool outdated;      /* the schema has moved */
    bool columns_moved; /* who prepared it earlier may know other columns of its rows */
};
struct nodei_prepared_cache {
    struct nodei_prepared **buckets;
    size_t bucket_count, count, size_bytes, size_bytes_max;
    struct nodei_prepared *newest, *oldest;
    uint64_t evicted;
    uint64_t epoch; /* of the schema, as it was last told */
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
/* What was made against older schemas is let go. */
void nodei_prepared_schema_moved(struct nodei_prepared_cache *cache, uint64_t epoch);

/* Requests. */

struct nodei_native;
struct nodei_native_conn;
#define NODEI_REQUEST_COST 4096 /* counted beside a request's bytes */
struct nodei_native_request {
    struct nodei_native_request *prev, *next; /* of its connection; next: the pool's */
    struct nodei_native_conn *conn;
    int16_t stream;
    uint8_t opcode;
    unsigned tries;
    size_t counted, answer_counted;     /* held of the pools */
    size_t arena_at_start;              /* its bytes before the execution */
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
    size_t bound;                          /* so many of its statements */
    uint64_t batch_epoch;                  /* when that began */
    bool binds_later;                      /* in native->binding */
    struct nodei_native_request *later_next;
    struct cql_batch_item *batch_items;
};

/* What clients hold (native_limits.c). */

enum nodei_pool { NODEI_POOL_REQUESTS, NODEI_POOL_ANSWERS, NODEI_POOLS };
struct nodei_native_use {
    size_t held[NODEI_POOLS]; /* bytes */
    size_t admitted;          /* requests, and messages that room is kept for */
};
/* Where clients come from. */
struct nodei_native_address {
    struct nodei_native_address *chain, *next_waiting;
    struct nodei_native_conn *waiting, **waiting_end; /* for room, longest first */
    char text[80];
    size_t refs, connections;
    struct nodei_native_use use;
    bool queued; /* somebody of it waits */
};
struct nodei_native_limits {
    struct nodei_native_address **addresses; /* by their text */
    size_t address_count;
    size_t max[NODEI_POOLS], share[NODEI_POOLS]; /* of the node, of an address */
    struct nodei_native_use use;
    struct nodei_native_address *waiting, **waiting_end;
    size_t waiting_addresses, waiting_conns;
};
BASE_MUST int nodei_limits_init(struct nodei_native_limits *limits,
                                const struct nodei_settings *settings, struct base_err *err);
void nodei_limits_fini(struct nodei_native_limits *limits);
/* A reference to be given back with leave; NULL: no memory. */
struct nodei_native_address *nodei_limits_address(struct nodei_native_limits *limits,
                                                  const char *text);
void nodei_limits_leave(struct nodei_native_limits *limits, struct nodei_native_address *address);
/* *counted bytes of the connection's become `bytes`. */
void nodei_hold(struct nodei_native_conn *conn, enum nodei_pool pool, size_t *counted,
                size_t bytes);
/* A request, or room for a message, is there (1) or gone (-1). */
void nodei_admit(struct nodei_native_conn *conn, int by);
/* YES: a message of so many bytes may come (0: it is paid for, and only answers must have room).
 * NOT_HIS: the connection itself holds too much. */
enum nodei_room { NODEI_ROOM_YES, NODEI_ROOM_NOT_HIS, NODEI_ROOM_NONE };
enum nodei_room nodei_room_for(const struct nodei_native_conn *conn, size_t bytes);
/* Are its address's requests, and all, within their limits? */
bool nodei_may_keep(const struct nodei_native_conn *conn);
/* May its answers become so much more? */
bool nodei_may_answer(const struct nodei_native_conn *conn, size_t bytes);
/* Put it at the end of those who wait for room; take it out. */
void nodei_wait(struct nodei_native_conn *conn);
void nodei_wait_no_more(struct nodei_native_conn *conn);
void nodei_resume(struct nodei_native *native);      /* those for whom there is room go on */
void nodei_resume_soon(struct nodei_native *native); /* … in the next turn of the loop */
/* There may be room now for one that its own bytes held back. */
void nodei_look_again(struct nodei_native_conn *conn);

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
    size_t sent;        /* of out.bytes */
    size_t out_counted; /* held of the answers' pool */
    size_t event_bytes; /* of what is unwritten: events */
    /* what came and was not taken: the beginning of a message, or whole ones that wait */
    struct base_buf unread;
    size_t in_counted; /* held of the requests' pool: unread, and what is kept free for the rest */
    size_t reserved;   /* room for the message that is coming; 0: none is kept */
    size_t need;       /* room that it waits for */
    struct nodei_native_address *address;
    struct nodei_native_use use;
    struct nodei_native_conn *waiting_next; /* of its address */
    bool waits;                             /* for others to give back, or for its turn */
    bool held_back;                         /* until its own answers are read, its requests end */
    bool throws_on_overload;                /* as STARTUP asked: an error, no waiting */
    uint64_t opened_ns, partial_since_ns, read_ns, written_ns; /* 0: nothing partial */
    /* Bytes written ever; and how many must be, by when: who reads too slowly is cut off. 0:
     * nothing is due. */
    uint64_t written_total, due_total, due_ns;
    struct nodei_native_request *requests;
    uint32_t request_count;  /* under way */
    uint32_t typical_answer; /* bytes; the latest count most */
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
/* An event's body. */
void nodei_conn_push(struct nodei_native_conn *conn, struct base_slice event);
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
/* Tell the loop what it waits for. */
void nodei_conn_want(struct nodei_native_conn *conn);

/* native_receive.c */
/* unread is at most a message of the longest, and so much */
#define NODEI_UNREAD_MORE ((size_t)(256 << 10) + CQL_WIRE_SEGMENT_PAYLOAD_MAX)
void nodei_conn_ready(struct net_stream *stream, int events);
/* Is there room for what it waits for, and may it be read? */
enum nodei_room nodei_conn_room(const struct nodei_native_conn *conn);
/* Take what waits, and read again. */
void nodei_conn_go_on(struct nodei_native_conn *conn);
void nodei_conn_refuse_overloaded(struct nodei_native_conn *conn, int16_t stream);
/* The longest message that is taken from it now. */
void nodei_conn_limit_messages(struct nodei_native_conn *conn);

/* native_startup.c: true when the message was its. */
bool nodei_startup_handle(struct nodei_native_conn *conn, const struct cql_message *message);
/* native_request.c */
void nodei_request_handle(struct nodei_native_conn *conn, struct cql_message *message);
/* The connection has gone: what can be given up is. */
void nodei_requests_abandon(struct nodei_native_conn *conn);
void nodei_requests_bind(struct net_timer *bind_again); /* a slice of each in native->binding */
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
    struct net_timer again; /* there is room for who waits, or it is his turn again */
    struct net_timer bind_again;
    struct nodei_native_request *binding, **binding_end; /* batches that are bound in slices */
    struct net_timer sweep;
    uint64_t patience_ns;    /* how long a message may take beside its length; see native.c */
    struct base_buf receive; /* everybody's, while one connection is read */
    struct base_buf spare_assembly, spare_plain;
    struct base_buf spare_out[64];
    size_t spare_out_count;
    struct nodei_native_request *spare_requests;
    size_t spare_request_count;
    struct nodei_native_limits limits;
    struct nodei_prepared_cache prepared;
    struct nodei_native_events events;
    struct nodei_native_stats stats;
};
void nodei_native_free_if_done(struct nodei_native *native);
/* How long so many bytes may take, from a client or to him. */
uint64_t nodei_native_time_for(const struct nodei_native *native, size_t bytes);

#endif
