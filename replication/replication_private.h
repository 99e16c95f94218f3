/* What the files of replication/ share. README.md says which file owns what.
 *
 * core.c        the clockwork: timers, calls to peers, dispatch, admission, snapshots
 * metadata.c    the log: agreement, learning, fetching (join.c: forming and joining)
 * gossip.c      who is alive (phi.c), what they last told
 * snitch.c      who is near and fast
 * writes.c      coordinator of writes, and the replica's part; batchlog.c; hints.c
 * reads.c       coordinator of reads (reads_private.h: fetch.c, range.c, repair.c), and the
 *               replica's part (replica_read.c); page.c
 * guest.c       ring, schema and liveness from a contact
 *
 * Everything runs on one thread, in events. Rules for all files:
 *  1. No callback of a caller, a port or a call is run from inside the function that starts it, but
 *     `done` of client requests.
 *  2. After an event that may free an object (its done was called) the object is not touched.
 *  3. Bytes from a peer are checked before they are used; nothing of them is kept beyond the event
 *     without a copy.
 *  4. What waits has a deadline: a timer or a call. */
#ifndef REPLICATION_PRIVATE_H
#define REPLICATION_PRIVATE_H

#include "replication/page.h"
#include "replication/replication.h"
#include "replication/wire.h"

/* A page's bytes (page.c, page_write.c; docs/formats/messages.md). */

enum repli_page_tag { /* the low four bits; then what follows the key */
                      REPLI_PAGE_PARTITION = 1,
                      REPLI_PAGE_ROW = 2,
                      REPLI_PAGE_MARKER = 3,
                      REPLI_PAGE_END = 4,
                      REPLI_PAGE_MORE = 5,
                      REPLI_PAGE_DELETION = 0x10,
                      REPLI_PAGE_STATIC = 0x20, /* PARTITION */
                      REPLI_PAGE_BEFORE = 0x10,
                      REPLI_PAGE_AFTER = 0x20, /* MARKER */
};

/* Time (core.c). */

/* One shot. The caller's storage, zeroed before its first use. No allocation (a pairing heap). */
struct repli_timer {
    void (*fired)(struct repl *repl, struct repli_timer *timer);
    uint64_t due_ns;                          /* monotonic */
    struct repli_timer *child, *next, **prev; /* the heap's; prev NULL: not armed */
};
/* monotonic, as of this event: one event sees one time */
uint64_t repli_now(const struct repl *repl);
int64_t repli_now_s(const struct repl *repl); /* wall clock, seconds */
/* or arm anew */
void repli_timer_arm(struct repl *repl, struct repli_timer *timer, uint64_t due_ns);
void repli_timer_arm_after(struct repl *repl, struct repli_timer *timer, uint64_t after_ns);
void repli_timer_disarm(struct repl *repl, struct repli_timer *timer);
static inline bool repli_timer_is_armed(const struct repli_timer *timer)
{
    return timer->prev != NULL;
}

/* Calls to peers (core.c). */

/* One request to one peer and its reply. The caller's storage, zeroed before its first use; `done`
 * is called exactly once, from a later event, unless it is cancelled.
 * rc: OK: `reply` has the body. TIMEOUT: no reply in time, it may have been carried out.
 * UNAVAILABLE: certainly not delivered; OVERLOADED: not sent. Else the peer's own refusal: reply is
 * there, its body decoded by repli_failure_get. */
struct repli_call {
    void (*done)(struct repl *repl, struct repli_call *call, int rc,
                 const struct base_message *reply);
    struct base_uuid to; /* zero: a seed */
    uint64_t id, sent_ns;
    struct repli_timer timer;
    struct repli_call *next; /* by id */
    int early_rc;
    bool pending;
};
struct repli_peer {
    struct base_uuid host_id; /* zero: whoever listens there */
    struct base_slice address;
};
/* of repl_ring, by index */
struct repli_peer repli_member_peer(const struct repl *repl, size_t member);
void repli_call_start(struct repl *repl, struct repli_call *call, struct repli_peer to,
                      enum repl_lane lane, enum repl_verb verb, struct base_slice body,
                      uint64_t timeout_ns);
/* done is not called; no effect when not pending */
void repli_call_cancel(struct repl *repl, struct repli_call *call);
/* A request that nobody answers. */
void repli_tell(struct repl *repl, struct repli_peer to, enum repl_lane lane, enum repl_verb verb,
                struct base_slice body);

void repli_reply(struct repl *repl, struct repl_inbound *in, struct base_slice body);
/* FAILED: code, `detail` (bytes that the verb defines; may be empty), text. */
void repli_reply_failure(struct repl *repl, struct repl_inbound *in, int code,
                         struct base_slice detail, const char *text);
void repli_drop(struct repl *repl, struct repl_inbound *in);
/* Of a FAILED reply. CORRUPT as the code when it cannot be read. Borrowed from the reply. */
int repli_failure_get(const struct base_message *reply, struct base_slice *detail,
                      struct base_slice *text);
static inline bool repli_is_expired(const struct repl *repl, const struct repl_inbound *in)
{
    return repli_now(repl) >= in->deadline_ns;
}

/* Admission (core.c). */

/* Room for one request of so many bytes. False: over requests_max_bytes, or draining (client
 * requests): refuse with OVERLOADED, and it is counted. */
bool repli_admit(struct repl *repl, size_t bytes);
void repli_leave(struct repl *repl, size_t bytes);

/* The whole. */

#define REPLI_CALL_BUCKETS 1024u
#define REPLI_PLACEMENTS_MAX 64

struct repli_placement_entry {
    struct base_options replication; /* of the schema snapshot at hand */
    struct ring_placement *placement;
};

struct repl {
    struct repl_config config; /* slices in `arena` */
    struct base_arena arena;
    struct repl_ports ports;
    struct base_slice own_address;
    uint64_t now_ns; /* of the event */
    unsigned depth;  /* of events: 0 outside */
    /* snapshots; the same epoch */
    struct base_schema *schema;
    struct ring_state *ring;
    struct repli_placement_entry placements[REPLI_PLACEMENTS_MAX];
    size_t placement_count;
    /* clockwork */
    struct repli_timer *timers; /* the heap's root */
    uint64_t alarm_ns;
    struct repli_call *calls[REPLI_CALL_BUCKETS];
    size_t call_count;
    uint64_t next_id;
    struct repl_inbound *behind, **behind_end; /* requests of an epoch that we have not reached */
    struct repli_timer behind_timer;
    size_t client_requests;         /* under way: writes, reads, changes */
    size_t store_ops, store_writes; /* pending at the store: all, and writes */
    /* votes and entries on their way to the disk, and peers' requests that wait for the log */
    size_t meta_ops;
    bool draining, closing, started;
    struct repl_stats stats;
    /* the parts; each file's own */
    struct repli_metadata *metadata;
    struct repli_join *join;
    struct repli_gossip *gossip;
    struct repli_snitch *snitch;
    struct repli_writes *writes;
    struct repli_reads *reads;
    struct repli_hints *hints;
    struct repli_batchlog *batchlog;
    struct repli_guest *guest;
};

static inline bool repli_is_guest(const struct repl *repl)
{
    return repl->config.guest;
}
bool repli_is_self(const struct repl *repl, struct base_uuid host_id);
/* Our own index in the ring, or -1. */
int repli_self(const struct repl *repl);

/* New snapshots (both references are taken over): placements are forgotten, requests that waited
 * for the epoch go on, every part hears of it by its repli_X_on_epoch. Called by metadata.c
 * (guest.c) alone. */
void repli_publish(struct repl *repl, struct base_schema *schema, struct ring_state *ring);
void repli_placements_forget(struct repl *repl);
/* Requests that waited for this epoch, or whose time is over, go on (core.c). */
void repli_behind_on_epoch(struct repl *repl);
/* A peer came back or went: called by gossip.c (guest.c). */
void repli_liveness_changed(struct repl *repl, size_t member, bool alive);

/* Port calls with the counting that close needs. The op's done is wrapped: a part's `done` runs
 * inside an event. */
enum repl_answer repli_store_submit(struct repl *repl, struct repl_store_op *op);
/* Begin and end an event that comes by a port's done callback: `static void on_done(op) {
 * repli_event_begin(repl); …; repli_event_end(repl); }` */
void repli_event_begin(struct repl *repl);
void repli_event_end(struct repl *repl);

/* The parts' entry points. */

/* open: allocate only. start: after all are open. on_epoch: new snapshots. close: cancel calls and
 * timers, end client requests. */
BASE_MUST int repli_metadata_open(struct repl *repl, const struct repl_initial *initial,
                                  struct base_err *err);
void repli_metadata_start(struct repl *repl);
void repli_metadata_close(struct repl *repl);
/* META_*, but PROBE and SEED */
void repli_metadata_handle(struct repl *repl, struct repl_inbound *in);
/* Somebody has applied an epoch that we have not: fetch from them (or from whom we like). Cheap to
 * call again. */
void repli_metadata_behind(struct repl *repl, struct base_uuid who, uint64_t epoch);
/* An entry was chosen: apply it in order (fetching what is missing). Copies. */
void repli_metadata_learn(struct repl *repl, uint64_t epoch, struct base_slice entry);

/* A guest's change: put to a member (guest.c). */
void repli_guest_change_start(struct repl *repl, struct repl_change *change);
BASE_MUST int repli_join_open(struct repl *repl, struct base_err *err);
void repli_join_start(struct repl *repl);
void repli_join_close(struct repl *repl);
void repli_join_handle(struct repl *repl, struct repl_inbound *in); /* META_PROBE, META_SEED */
void repli_join_on_epoch(struct repl *repl);
/* This node must not go on (its host id lives elsewhere …): stage REFUSED, for good. */
void repli_join_refuse(struct repl *repl, const char *fmt, ...) BASE_PRINTF(2, 3);

BASE_MUST int repli_gossip_open(struct repl *repl, struct base_err *err);
void repli_gossip_start(struct repl *repl);
void repli_gossip_close(struct repl *repl);
/* GOSSIP, GOSSIP_ACK2, LIVENESS, ECHO */
void repli_gossip_handle(struct repl *repl, struct repl_inbound *in);
void repli_gossip_on_epoch(struct repl *repl);
bool repli_gossip_is_alive(const struct repl *repl, struct base_uuid host_id); /* self: true */
/* fills its part */
void repli_gossip_get(const struct repl *repl, struct base_uuid host_id,
                      struct repl_peer_info *out);
void repli_gossip_set_load(struct repl *repl, uint64_t bytes);
void repli_gossip_set_native(struct repl *repl, const struct repl_native *native);
/* A message of this host said that it is at `epoch`. */
void repli_gossip_heard_epoch(struct repl *repl, struct base_uuid host_id, uint64_t epoch);
void repli_gossip_leave(struct repl *repl); /* tell some peers that we shut down */
/* A message to it could certainly not be delivered. Not for guests. */
void repli_gossip_on_undelivered(struct repl *repl, struct base_uuid host_id);
/* The body of a LIVENESS reply, for the guest that asked: `count` members follow. False:
 * damaged. */
struct repli_liveness {
    struct base_uuid host_id;
    bool alive;
    uint64_t latency_us; /* the contact's estimate; 0: none */
};
BASE_MUST bool repli_liveness_begin(struct base_slice body, struct base_reader *in, size_t *count);
BASE_MUST bool repli_liveness_next(struct base_reader *in, struct repli_liveness *out);

BASE_MUST int repli_snitch_open(struct repl *repl, struct base_err *err);
void repli_snitch_close(struct repl *repl);
void repli_snitch_on_epoch(struct repl *repl);
/* A reply (or a timeout: its whole wait) of a read. */
void repli_snitch_observe(struct repl *repl, struct base_uuid host_id, uint64_t latency_ns);
/* A read that was given up, another having answered: it would have taken longer. */
void repli_snitch_observe_at_least(struct repl *repl, struct base_uuid host_id,
                                   uint64_t elapsed_ns);
double repli_snitch_latency_ms(const struct repl *repl, struct base_uuid host_id);
/* The latency that a fraction of recent replies of anybody stayed under: when to speculate. 0:
 * unknown. */
uint64_t repli_snitch_percentile_ns(const struct repl *repl, double fraction);
/* Sort member indexes: self first, same rack, same data centre, others; inside a class the faster
 * and less loaded first. */
void repli_snitch_sort(struct repl *repl, uint16_t *members, size_t count);

BASE_MUST int repli_writes_open(struct repl *repl, struct base_err *err);
void repli_writes_close(struct repl *repl);
/* WRITE, WRITE_IF, REPAIR, HINTED */
void repli_writes_handle(struct repl *repl, struct repl_inbound *in);

BASE_MUST int repli_reads_open(struct repl *repl, struct base_err *err);
void repli_reads_close(struct repl *repl);
void repli_reads_handle(struct repl *repl, struct repl_inbound *in); /* READ */
void repli_reads_on_epoch(struct repl *repl);

BASE_MUST int repli_hints_open(struct repl *repl, struct base_err *err);
void repli_hints_start(struct repl *repl);
void repli_hints_close(struct repl *repl);
void repli_hints_on_epoch(struct repl *repl);
void repli_hints_on_alive(struct repl *repl, struct base_uuid host_id);
void repli_hints_handle(struct repl *repl, struct repl_inbound *in); /* HINT */
/* May a hint be made for this member now (enabled, within the window, room left)? */
bool repli_hints_wanted(const struct repl *repl, size_t member);
/* Keep mutations for a host. Copies. `done` (may be NULL) when it is in the commit log (rc OK) or
 * not; it may be called before this returns. A guest's goes to a live member. */
void repli_hint_put(struct repl *repl, struct base_uuid host_id, struct base_slice mutations,
                    size_t mutation_count, void (*done)(struct repl *repl, void *ctx, int rc),
                    void *ctx);
void repli_hints_get(const struct repl *repl, struct base_uuid host_id, uint64_t *bytes,
                     uint64_t *count);
bool repli_hints_any(const struct repl *repl); /* any kept for anybody: a join must wait */

BASE_MUST int repli_batchlog_open(struct repl *repl, struct base_err *err);
void repli_batchlog_start(struct repl *repl);
void repli_batchlog_close(struct repl *repl);
void repli_batchlog_handle(struct repl *repl, struct repl_inbound *in); /* BATCH, BATCH_DONE */
bool repli_batchlog_any(const struct repl *repl);

BASE_MUST int repli_guest_open(struct repl *repl, struct base_err *err);
void repli_guest_start(struct repl *repl);
void repli_guest_close(struct repl *repl);
void repli_guest_behind(struct repl *repl, uint64_t epoch);
/* A client's request begins: liveness that is old is asked for anew. */
void repli_guest_touch(struct repl *repl);
/* STARTING until ring, schema and liveness are there. */
enum repl_stage repli_guest_stage(const struct repl *repl);
const char *repli_guest_stage_text(const struct repl *repl);
bool repli_guest_is_alive(const struct repl *repl, struct base_uuid host_id);
/* A member that answers, for what a guest asks others to do (hints, changes); false: none known.
 * Borrowed until the next event. */
bool repli_guest_contact(const struct repl *repl, struct repli_peer *out);

/* Consistency (consistency.c). */

/* How many acknowledgments a level needs of a range; by data centre for EACH_QUORUM. */
struct repli_need {
    int consistency;
    unsigned required; /* in all, without pending owners */
    bool local_only;   /* only replicas of our data centre count */
    bool each_dc;      /* EACH_QUORUM: a quorum of every data centre */
};
/* INVALID: a level that does not fit (reads at ANY, SERIAL …; the text says which do). */
BASE_MUST int repli_need_of(const struct repl *repl, const struct ring_placement *placement,
                            int consistency, bool is_write, struct repli_need *out,
                            struct base_err *err);
/* How many acknowledgments a write or read of this range waits for: need->required, and one for
 * each pending owner of a write (not at ANY), as in Cassandra. */
unsigned repli_need_required(const struct repl *repl, const struct repli_need *need,
                             const struct ring_placement *placement, const struct ring_range *range,
                             bool is_write);
/* UNAVAILABLE when too few of the range's replicas live; the text is Cassandra's: "Cannot achieve
 * consistency level QUORUM: 2 required, 1 alive". outcome->consistency, ->required
 * (repli_need_required; of EACH_QUORUM that fails: of the data centre that lacks) and ->alive are
 * filled always. */
BASE_MUST int repli_check_alive(const struct repl *repl, const struct repli_need *need,
                                const struct ring_placement *placement,
                                const struct ring_range *range, bool is_write,
                                struct repl_outcome *outcome);
const char *repli_consistency_name(int consistency);

#endif
