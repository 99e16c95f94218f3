/* The cluster's logic of one node, as a deterministic state machine (DESIGN.md §5).
 *
 * A `struct repl` belongs to one thread: every function here is called from it and none blocks. It
 * opens no socket, starts no thread, reads no clock but its port's. What it needs of the world it
 * asks through the ports below; two worlds fill them: node/cluster.c (sockets, disk, threads) and
 * tests/sim/cluster_world.c (one seed).
 *
 * Ports answer DONE or PENDING. DONE: the result is in the operation when the call returns, and
 * `done` is not called. PENDING: `done` will be called later, from the same thread, never from
 * inside the call.
 *
 * A guest (a coordinator that stores nothing) is a `struct repl` whose configuration names contacts
 * and whose store port is NULL: the same coordinator, with ring, schema and liveness taken from a
 * contact. */
#ifndef REPLICATION_REPLICATION_H
#define REPLICATION_REPLICATION_H

#include "base/clock.h"
#include "base/log.h"
#include "base/message.h"
#include "base/mutation.h"
#include "base/read.h"
#include "base/schema.h"
#include "ring/cluster.h"

struct repl;

enum repl_answer { REPL_DONE, REPL_PENDING };

/* The native protocol's codes, so that no table maps between them. */
enum repl_consistency {
    REPL_CL_ANY = 0,
    REPL_CL_ONE,
    REPL_CL_TWO,
    REPL_CL_THREE,
    REPL_CL_QUORUM,
    REPL_CL_ALL,
    REPL_CL_LOCAL_QUORUM,
    REPL_CL_EACH_QUORUM,
    REPL_CL_SERIAL,
    REPL_CL_LOCAL_SERIAL,
    REPL_CL_LOCAL_ONE,
};

/* Port: messages. */

enum repl_lane {                   /* lanes do not wait for each other */
                 REPL_LANE_GOSSIP, /* gossip and metadata */
                 REPL_LANE_POINT,  /* point reads and writes */
                 REPL_LANE_BULK,   /* ranges, hints, batch replay */
                 REPL_LANE_COUNT,
};
/* A request that came from a peer. The world's storage; it and what message.body points to stay
 * until it is given back by exactly one of reply and drop. */
struct repl_inbound {
    struct base_message message;
    uint64_t deadline_ns;      /* monotonic: arrival + message.timeout_ms */
    struct repl_inbound *next; /* for whoever holds it (a queue in replication/) */
};
struct repl_transport {
    const struct repl_transport_ops *ops;
};
struct repl_transport_ops {
    /* Queue a request to the node at `address` (HOST:PORT); body is copied. `to` may be zero (a
     * seed whose host id is not known yet), else an answer from another host id is dropped. Its
     * reply comes by repl_on_reply; nothing else is promised: the call's deadline is the caller's.
     * OVERLOADED: the peer's queue is full, nothing was sent. */
    int (*send)(struct repl_transport *t, struct base_slice address, struct base_uuid to,
                enum repl_lane lane, const struct base_message *message);
    /* Answer and give back. body is copied. */
    void (*reply)(struct repl_transport *t, struct repl_inbound *in,
                  const struct base_message *message);
    void (*drop)(struct repl_transport *t, struct repl_inbound *in);
};

/* Port: timers. */

struct repl_alarm {
    const struct repl_alarm_ops *ops;
};
struct repl_alarm_ops {
    /* Call repl_tick at or soon after this monotonic time. A later call replaces it. UINT64_MAX:
     * not at all. */
    void (*set)(struct repl_alarm *alarm, uint64_t at_ns);
};

/* Port: store (lsm/ behind it). */

enum repl_store_kind { REPL_STORE_WRITE, REPL_STORE_READ, REPL_STORE_PROBE, REPL_STORE_COUNT };
/* lsm_durability's values */
enum repl_durability { REPL_DURABLE_MEMORY, REPL_DURABLE_LOG, REPL_DURABLE_SYNCED };

struct repl_store_op {
    enum repl_store_kind kind;
    void (*done)(struct repl_store_op *op);
    /* WRITE: encoded mutations, checked, applied as one group (all or none after a crash). The
     * bytes stay until done. The world may put groups of the same durability that come in one turn
     * into one. */
    struct base_slice group;
    size_t mutation_count;
    enum repl_durability durability;
    uint64_t timeout_ns; /* of waiting for memory: past it OVERLOADED */
    /* READ: a stream of cmd on its table, tombstones kept, or with filters in cmd only its live
     * rows, of which those for which a filter does not hold may be left out (by an index), is
     * handed to `consume`, which runs where it may block (another thread in the real world) and
     * must touch nothing but the op's own memory and what is immutable. The stream is closed by the
     * world. consume's result is rc. */
    const struct base_read *cmd;
    int (*consume)(struct repl_store_op *op, struct base_source *source, struct base_err *err);
    /* PROBE: *holds_data says whether any user table holds a row or tombstone, in memory or on
     * disk. */
    bool holds_data;
    /* COUNT: counts[i] is about how many rows a read of cmd by an index that serves its filter i
     * would look at; UINT64_MAX: nothing is gained by that one. */
    uint64_t *counts;
    /* Result: NOTFOUND: no such table here; OVERLOADED, NOSPACE, STOPPED, IO, CORRUPT, NOMEM. */
    int rc;
    struct base_err err;
    void *ctx;                  /* the issuer's */
    struct repl_store_op *next; /* the world's, while pending */
    /* repli_store_submit's: the issuer's `done`, while pending */
    void (*inner)(struct repl_store_op *op);
    struct repl *owner;
};
struct repl_store {
    const struct repl_store_ops *ops;
};
struct repl_store_ops {
    enum repl_answer (*submit)(struct repl_store *store, struct repl_store_op *op);
};
/* Internal tables, opened in every node's store by the world at start; gc_grace 0; in no schema.
 * One regular column, id 1, a blob. What their keys are is said in hints.c and batchlog.c. */
extern const struct base_uuid repl_hints_table_id, repl_batches_table_id;

/* Port: metadata (catalog/ behind it). */

enum repl_meta_kind {
    REPL_META_APPEND,   /* entry `epoch` with what it leads to: durable, carried out in the store,
                           published to readers */
    REPL_META_INSTALL,  /* the state that others' log led to at `epoch`, which is beyond ours, in
                           the place of our log: durable, carried out in the store (tables made,
                           altered, truncated, dropped in between), published to readers */
    REPL_META_PUT,      /* a small value under a key of replication's (Paxos state): durable */
    REPL_META_READ_LOG, /* entries from `epoch` on, up to about bytes_max, into `buf`
                           (repl_entry_put's form). NOTFOUND: that entry has been cut off */
};
struct repl_meta_op {
    enum repl_meta_kind kind;
    void (*done)(struct repl_meta_op *op);
    uint64_t epoch;
    struct base_slice entry;          /* APPEND: the encoded base_change */
    const struct base_change *change; /* APPEND: the same, decoded */
    /* APPEND, INSTALL: borrowed until done; their epoch is `epoch` */
    struct base_schema *schema_after;
    struct ring_state *ring_after;
    /* APPEND: so many entries are kept, this one included; the oldest ones may go, in the same
     * transaction (and those that are more than REPL_LOG_BYTES_MAX in all) */
    uint64_t keep_entries;
    const char *key; /* PUT */
    struct base_slice value;
    size_t bytes_max; /* READ_LOG */
    struct base_buf *buf;
    /* those that fail but READ_LOG stop the node's part in the log: IO, STOPPED; STALE never */
    int rc;
    struct base_err err;
    void *ctx;
    struct repl_meta_op *next;
};
/* Log entries in a row, as READ_LOG and META_FETCH carry them (entry.c): epoch varint, entry
 * bytes. */
#define REPL_ENTRY_SIZE_MAX ((size_t)64 << 20) /* one encoded change */
BASE_MUST int repl_entry_put(struct base_buf *out, uint64_t epoch, struct base_slice entry);
BASE_MUST bool repl_entry_get(struct base_reader *in, uint64_t *epoch, struct base_slice *entry);

/* The log is cut only while the whole state fits into this, for it is what others are given in the
 * place of what is cut off. */
#define REPL_CHECKPOINT_SIZE_MAX ((size_t)64 << 20)
#define REPL_LOG_BYTES_MAX (UINT64_C(64) << 20)

struct repl_meta {
    const struct repl_meta_ops *ops;
};
struct repl_meta_ops {
    enum repl_answer (*submit)(struct repl_meta *meta, struct repl_meta_op *op);
};

/* Opening. */

struct repl_config {
    struct base_uuid host_id;
    uint32_t generation; /* counts starts: a larger one supersedes in gossip */
    /* a guest's dc may be empty: its first contact's */
    struct base_slice cluster_name, address, dc, rack;
    /* HOST:PORT; a node whose own address is among them may form the cluster */
    const struct base_slice *seeds;
    size_t seed_count;
    /* stores nothing; `seeds` are its contacts, address is empty */
    bool guest;
    unsigned num_tokens;
    uint64_t read_timeout_ns, range_timeout_ns, write_timeout_ns, conditional_timeout_ns,
        metadata_timeout_ns;
    double phi_convict_threshold; /* 8 */
    uint64_t gossip_interval_ns;  /* 1 s */
    bool hinted_handoff_enabled;
    uint64_t max_hint_window_ns;    /* 3 h: a node down for longer gets no new hints */
    uint64_t hints_size_max;        /* bytes kept for all peers */
    uint64_t hint_dispatch_bytes_s; /* throttle, 1 MiB/s as Cassandra */
    /* of client and peer requests in flight; past it OVERLOADED */
    uint64_t requests_max_bytes;
    size_t batch_size_max;         /* of a logged batch */
    uint64_t page_size_bytes;      /* of a replica's answer: 1 MiB */
    uint64_t metadata_log_entries; /* the log's last ones, which are kept: 1000; at least 1 */
    double dynamic_snitch_badness; /* 1.0: a near replica is passed over when it is this share
                                      slower (Cassandra's dynamic_snitch_badness_threshold) */
};
void repl_config_init(struct repl_config *config); /* the defaults */

struct repl_ports {
    struct base_clock *clock;
    struct base_random *random;
    struct base_log *log; /* may be NULL */
    struct repl_alarm *alarm;
    struct repl_transport *transport;
    struct repl_store *store; /* NULL: a guest */
    struct repl_meta *meta;   /* NULL: a guest */
    /* Timestamps: microseconds, strictly increasing per node (DESIGN.md §3). */
    int64_t (*timestamp)(void *ctx);
    /* The published snapshots changed, or a peer's liveness or where it serves clients, or our
     * stage did (may be NULL). */
    void (*changed)(void *ctx);
    void *ctx;
};
/* What was durable at the last stop. References are taken. */
struct repl_initial {
    struct base_schema *schema;
    struct ring_state *ring; /* same epoch */
    struct base_slice paxos; /* the value last PUT under REPL_PAXOS_KEY, or empty */
};
#define REPL_PAXOS_KEY "paxos"
/* Slices of the configuration are copied. Nothing is sent before repl_start. NOMEM, CORRUPT
 * (paxos). */
BASE_MUST int repl_open(const struct repl_config *config, const struct repl_ports *ports,
                        const struct repl_initial *initial, struct repl **out,
                        struct base_err *err);
/* Begin: form or join the cluster if the log is empty, gossip, learn what was missed, dispatch
 * hints. */
void repl_start(struct repl *repl);
/* No port operation may be pending; requests of clients under way end with CLOSED, their `done` is
 * called. */
void repl_close(struct repl *repl);

/* Events from the world. */

void repl_tick(struct repl *repl); /* the alarm's time has come */
/* a peer asks; given back by reply or drop */
void repl_on_request(struct repl *repl, struct repl_inbound *in);
void repl_on_reply(struct repl *repl, const struct base_message *reply); /* borrowed */
/* The request of this id was certainly not delivered (could not connect): no need to wait for its
 * deadline. */
void repl_on_undelivered(struct repl *repl, uint64_t id);

/* Where we are. */

enum repl_stage {
    REPL_STARTING, /* looking for the cluster */
    REPL_JOINING,
    REPL_MEMBER,  /* NORMAL: serves */
    REPL_REFUSED, /* joining was refused (repl_stage_text says why); the node should stop */
    REPL_DRAINED,
};
enum repl_stage repl_stage(const struct repl *repl);
const char *repl_stage_text(const struct repl *repl);
struct base_schema *repl_schema(const struct repl *repl); /* borrowed */
struct ring_state *repl_ring(const struct repl *repl);    /* borrowed */
uint64_t repl_epoch(const struct repl *repl);
bool repl_is_alive(const struct repl *repl, struct base_uuid host_id);
/* Of the keyspace of this name as the current snapshot has it. Borrowed until the next event; NULL:
 * there is none, out of memory, or options that do not fit. */
const struct ring_placement *repl_placement(struct repl *repl,
                                            const struct base_keyspace *keyspace);

/* Where a member serves clients of the native protocol: each tells its own by gossip, since only it
 * knows where it listens now. */
#define REPL_RELEASE_LEN_MAX 31
struct repl_native {
    uint8_t address[16];
    uint8_t address_len; /* 4, 16; 0: it serves none, or that is not known */
    uint16_t port;
    char release[REPL_RELEASE_LEN_MAX + 1]; /* "5.0.2": what it tells its clients to be */
};

/* What a member is known to be doing. */
struct repl_peer_info {
    struct base_uuid host_id;
    bool alive;
    double phi;
    uint32_t generation, version; /* gossip */
    uint64_t epoch;               /* the last it told, in gossip or with any message */
    uint64_t load_bytes;
    struct repl_native native;
    double latency_ms;                /* the snitch's estimate; 0: none */
    uint64_t hints_bytes, hint_count; /* kept here for it */
    uint64_t down_since_ns;           /* monotonic; 0: alive */
};
/* One for each member of repl_ring, by index. */
void repl_peer_get(const struct repl *repl, size_t member, struct repl_peer_info *out);
void repl_set_load(struct repl *repl, uint64_t bytes); /* told to others by gossip */
void repl_set_native(struct repl *repl, const struct repl_native *native); /* likewise */

/* Requests of clients. */

enum repl_write_type { /* the native protocol's write types */
                       REPL_WRITE_SIMPLE,
                       REPL_WRITE_BATCH,
                       REPL_WRITE_UNLOGGED_BATCH,
                       REPL_WRITE_COUNTER,
                       REPL_WRITE_BATCH_LOG,
                       REPL_WRITE_CAS,
};
/* Replicas that answered with an error, the first ones. */
#define REPL_FAILED_MAX 8
struct repl_failed {
    struct base_uuid host_id;
    int rc;
};
/* How a request ended, for SQL, HTTP and the native protocol alike (DESIGN.md §6). */
struct repl_outcome {
    int rc; /* BASE_OK; UNAVAILABLE (nothing was sent); TIMEOUT (may have happened); UNKNOWN
               (replicas failed: may have happened in part); CONDITION (false, nothing written);
               OVERLOADED, INVALID, STALE (the schema moved: bind again), BUSY (topology is
               changing: nothing written), CLOSED, NOMEM, CORRUPT (read) */
    int consistency;
    unsigned required, received, alive, failures; /* replicas */
    struct repl_failed failed[REPL_FAILED_MAX];   /* min(failures, REPL_FAILED_MAX) of those */
    enum repl_write_type write_type;
    bool data_present;
    /* after TIMEOUT or UNKNOWN: the same bytes may be sent again (a repeat carries its
     * timestamps) */
    bool repeat_safe;
    struct base_err err; /* for people; names what, where, what to do */
};

/* A write. The caller's storage until done, which may be called before start returns. */
struct repl_write {
    /* encoded, with their timestamps; any number of partitions; stay until done */
    struct base_slice mutations;
    size_t mutation_count;
    int consistency;
    /* several partitions: all of them will be visible (batchlog), else each by itself */
    bool logged;
    struct base_slice
        condition; /* base/condition.h's, or empty: then one mutation, which is written only if they
                      hold. At replication factor 1; more is INVALID */
    uint64_t timeout_ns; /* 0: the configuration's */
    void (*done)(struct repl_write *write);
    struct repl_outcome outcome;
    /* CONDITION: what the conditions found (base/condition.h); until done returns */
    struct base_slice current;
    void *ctx;
    void *state; /* the coordinator's */
};
void repl_write_start(struct repl *repl, struct repl_write *write);

/* A read, page by page. cmd (and what it points to) and table stay until close; table is of a
 * snapshot that the caller holds. done may be called before start or next returns. */
struct repl_read {
    /* now_s set; a partition or a token range; limits as in base/read.h */
    const struct base_read *cmd;
    const struct base_table *table;
    int consistency;
    uint64_t timeout_ns; /* a page; 0: the configuration's */
    /* live rows wanted in the next page; the page may have fewer, or a few more */
    uint64_t page_rows_max;
    void (*done)(struct repl_read *read);
    struct repl_outcome outcome;
    /* The page: bytes of replication/page.h with tombstones kept, in the command's order, valid
     * until next or close. It says all about its bounds: everything after the previous page's end
     * and up to (not beyond) its own. */
    struct base_slice page;
    /* the page's last position, inclusive; both empty: to the end of the command */
    struct base_slice end_pkey, end_ckey;
    bool more; /* another page may have rows */
    void *ctx;
    void *state;
};
void repl_read_start(struct repl *repl, struct repl_read *read);
/* the next page; only after done with `more` */
void repl_read_next(struct repl *repl, struct repl_read *read);
/* at any time; done is not called any more */
void repl_read_close(struct repl *repl, struct repl_read *read);

/* A change of the metadata log. The bytes stay until done. */
struct repl_change {
    const struct base_change *change; /* expected_epoch: the snapshot it was analysed against */
    uint64_t timeout_ns;              /* 0: the configuration's */
    /* done waits until the other live members have applied it too, but no longer than a second */
    bool agreed;
    void (*done)(struct repl_change *change);
    struct repl_outcome outcome; /* OK: applied here; STALE: another change came first and has been
                                    applied: analyse again; UNAVAILABLE: no majority of voters
                                    (nothing was proposed); UNKNOWN: it may still happen */
    uint64_t epoch;              /* where it landed */
    void *ctx;
    void *state;
};
void repl_change_start(struct repl *repl, struct repl_change *change);

/* Operating. */

void repl_hints_pause(struct repl *repl, bool paused);
bool repl_hints_paused(const struct repl *repl);
bool repl_hints_enabled(const struct repl *repl);
/* Forget hints: of one host (zero: all). Asynchronous; the counters tell. */
void repl_hints_truncate(struct repl *repl, struct base_uuid host_id);
/* Refuse new requests from clients (they get CLOSED), tell the others by gossip that we leave;
 * replicas' duties go on until close. */
void repl_drain(struct repl *repl);
/* No request of a client, peer or the node's own is under way. */
bool repl_is_idle(const struct repl *repl);

/* Latencies in microseconds in buckets that grow by a fifth, as Cassandra's EstimatedHistogram
 * (replication/histogram.c). */
#define REPL_HISTOGRAM_BUCKETS 90
struct repl_histogram {
    uint64_t counts[REPL_HISTOGRAM_BUCKETS];
    uint64_t count, sum_us, max_us;
};
/* its upper bound, inclusive, µs; the last one's: UINT64_MAX */
uint64_t repl_histogram_bound(size_t bucket);
void repl_histogram_add(struct repl_histogram *h, uint64_t us);
/* upper bound of its bucket, µs */
uint64_t repl_histogram_percentile(const struct repl_histogram *h, double p);

/* clang-format off */
#define REPL_COUNTERS(X) \
    X(reads) X(range_reads) X(writes) X(batches) X(conditional_writes) \
    X(read_unavailables) X(read_timeouts) X(read_failures) \
    X(write_unavailables) X(write_timeouts) X(write_failures) X(overloaded) \
    X(digest_mismatches) X(read_repairs) X(speculative_retries) X(short_reads) \
    X(hints_created) X(hints_dispatched) X(hints_failed) X(hints_expired) X(hints_refused) \
    X(batches_replayed) X(gossip_rounds) X(gossip_bytes) \
    X(messages_sent) X(messages_received) X(messages_expired) \
    X(stale_epochs) X(metadata_proposals) X(metadata_conflicts) X(metadata_fetches) \
    X(metadata_checkpoints)
/* clang-format on */
struct repl_stats {
#define X(name) uint64_t name;
    REPL_COUNTERS(X)
#undef X
    uint64_t requests_in_flight, requests_in_flight_bytes, hints_bytes;
    struct repl_histogram read_latency, range_latency, write_latency, conditional_latency;
};
const struct repl_stats *repl_get_stats(const struct repl *repl);

#endif
