/* What the files of the write path share: writes.c (the coordinator), write_plan.c (who gets what),
 * conditional.c (conditions), replica_write.c (the replica's part), hints.c and hint_dispatch.c,
 * batchlog.c.
 *
 * A client's write is one `repli_write_op`. Its mutations are sorted into units: those of one write
 * set, in one message's size. A unit has a slot for each of its replicas. All of it is in the op's
 * arena; the op is freed when it has been answered and nothing of it is under way any more (late
 * acknowledgments, hints). */
#ifndef REPLICATION_WRITES_PRIVATE_H
#define REPLICATION_WRITES_PRIVATE_H

#include "base/condition.h"
#include "replication/replication_private.h"

/* of a unit that is no logged batch; one mutation may be more */
#define REPLI_WRITE_MESSAGE_MAX (256u * 1024u)
#define REPLI_WRITE_OP_COST 1536u /* what an op takes besides its bytes, for admission */

/* The coordinator's request. */

enum repli_slot_state {
    REPLI_SLOT_IDLE, /* alive when it was planned; nothing sent */
    REPLI_SLOT_DEAD, /* not to be sent to */
    REPLI_SLOT_SENT,
    REPLI_SLOT_ACKED,
    REPLI_SLOT_FAILED, /* it said no */
    REPLI_SLOT_LOST,   /* it did not answer in time, or was not reached */
};
enum repli_slot_hint { REPLI_HINT_NONE, REPLI_HINT_PENDING, REPLI_HINT_KEPT, REPLI_HINT_LOST };

#define REPLI_SCOPE_NONE UINT16_MAX

struct repli_slot {
    struct repli_call call;
    struct repli_unit *unit;
    struct base_uuid host_id;
    uint16_t member; /* in the ring of the op's epoch */
    uint16_t scope;  /* whose acknowledgments it counts to, or NONE */
    uint8_t state, hint;
    int rc; /* FAILED: why */
    bool self;
    bool held;     /* the answer waits for its hint */
    bool hopeless; /* FAILED in a way that no repetition mends */
};
/* Those whose acknowledgments are counted together: all replicas, those of our data centre, or of
 * each one by itself. */
struct repli_scope {
    unsigned required, received, open; /* open: may still acknowledge */
};
struct repli_segment { /* a run of the request's bytes */
    struct base_slice bytes;
    struct repli_segment *next;
};
struct repli_unit {
    struct repli_write_op *op;
    struct repli_unit *next, *bucket_next;
    /* while it is planned */
    struct ring_placement *placement;
    const struct ring_range *range;
    struct repli_segment *segments, *last_segment;
    size_t size;
    /* */
    struct base_slice body;
    size_t mutation_count;
    struct repli_slot *slots;
    struct repli_scope *scopes;
    uint16_t slot_count, scope_count;
    bool durable, met;
    struct repl_store_op *store_op; /* of the own replica */
};

/* A logged batch at its keepers, as its coordinator sees it (batch.c). */
#define REPLI_BATCH_KEEPERS 2
#define REPLI_BATCH_ID_LEN 16
struct repli_batch_keeper {
    struct repli_call call;
    struct repli_batch *batch;
    struct base_uuid host_id;
    bool self, kept;
};
#define REPLI_BATCH_TRIES_MAX 6
struct repli_batch {
    uint8_t id[REPLI_BATCH_ID_LEN];
    int64_t created_us;
    struct base_buf body; /* of the BATCH message */
    size_t mutation_count;
    struct repli_batch_keeper keepers[REPLI_BATCH_KEEPERS];
    struct base_uuid tried[REPLI_BATCH_TRIES_MAX]; /* asked, whatever came of it */
    size_t tried_count, under_way;
    uint64_t deadline_ns;
    bool starting, pending;
    bool unsure;     /* one of them may have it, or not */
    bool overloaded; /* one of them refused for that */
    /* the result: OK, TIMEOUT (some may have it), UNAVAILABLE, OVERLOADED, NOMEM */
    int rc;
    void (*done)(struct repl *repl, struct repli_batch *batch);
    void *ctx;
};

struct repli_write_op {
    struct repl *repl;
    struct repl_write *write; /* NULL: answered */
    struct repli_write_op *next, **prev;
    struct base_arena arena;
    struct repli_timer timer;
    uint64_t started_ns, deadline_ns, epoch;
    size_t admitted;
    struct repli_unit *units, **units_end;
    size_t unit_count, unmet, partition_count;
    size_t pending; /* calls, store operations, hints, the log; and whoever is working on it */
    size_t holds;   /* hints that the answer waits for */
    size_t mutation_count;
    int consistency;
    enum repl_write_type type;
    bool settle;   /* answered when every replica has acknowledged or has a hint, not at a level */
    bool borrowed; /* the units' bodies are the caller's bytes */
    bool untimed;  /* something under way has no timer of its own */
    bool logged;   /* the keepers have it */
    char failure[160]; /* what the first replica that failed said */
    struct repli_batch *batch;
    struct repl_store_op own_op; /* the first unit's: no allocation for the common write */
};

/* Sort op->write's mutations into units with slots, check everything, find the living. OK; INVALID,
 * STALE, UNAVAILABLE, NOMEM with `outcome` filled; nothing has been sent. (write_plan.c) */
BASE_MUST int repli_write_plan(struct repl *repl, struct repli_write_op *op,
                               struct repl_outcome *outcome);

/* The node's own write (hints whose owner moved, replay of batches): as repl_write_start, but it is
 * OK only when every replica has acknowledged or has a hint that is kept. Those that are not hinted
 * by the rules (window, handoff off) do not count, if another one has it. */
void repli_write_settle(struct repl *repl, struct repl_write *write);
/* CLOSED, BUSY (a join freezes writes): nothing may be written now. `client`: the request is one's
 * (a drained node takes none). */
BASE_MUST int repli_write_refused(const struct repl *repl, bool client, struct base_err *err);
/* Answer a request that was not begun. */
void repli_write_refuse(struct repl *repl, struct repl_write *write, int rc);
/* May the mutation's table, made at `created_us`, still be written late? False: dropped, truncated
 * since, or older than its gc_grace (its tombstones may be gone). */
bool repli_may_write_late(const struct repl *repl, const struct base_mutation *m,
                          int64_t created_us, int64_t now_s);
/* The smallest gc_grace_seconds of the mutations' tables that are there; -1: damaged, or none
 * is. */
int32_t repli_min_gc_grace(const struct repl *repl, struct base_slice mutations,
                           size_t mutation_count);
/* Look through encoded mutations from outside: all of them sound. Counts them. */
bool repli_mutations_check(struct base_slice bytes, size_t *count);
/* What hints and kept batches hold: creation time, count, mutations. get: false: damaged (all is
 * checked). */
BASE_MUST int repli_late_value_put(struct base_buf *out, int64_t created_us, size_t mutation_count,
                                   struct base_slice mutations);
bool repli_late_value_get(struct base_slice value, int64_t *created_us, size_t *mutation_count,
                          struct base_slice *mutations);
/* A mutation of one row with one cell (id 1): the form of rows in the internal tables. ttl 0:
 * none. */
BASE_MUST int repli_internal_row_put(struct base_buf *out, struct base_uuid table_id,
                                     struct base_slice pkey, struct base_slice ckey, int64_t ts_us,
                                     int32_t ttl, struct base_slice value);
/* That cell of a row read back. False: there is none that lives at now_s, or it is damaged. */
bool repli_internal_row_get(struct base_slice row, int64_t now_s, struct base_slice *value);

/* The replica's part (replica_write.c, conditional.c). */

/* Apply the mutations in `body` (of in->message) and answer. */
void repli_replica_write(struct repl *repl, struct repl_inbound *in, struct base_slice body);
/* Are we in the write set of this token, as far as we know? */
bool repli_owns(struct repl *repl, const struct base_keyspace *keyspace, int64_t token);
void repli_conditional_handle(struct repl *repl, struct repl_inbound *in);
void repli_conditional_start(struct repl *repl, struct repl_write *write); /* a client's */

/* What a condition is judged from, and what came of it. The caller inits and frees arena and
 * current. (conditional_judge.c) */
struct repli_judgement {
    struct base_slice conditions, mutation; /* checked */
    const struct base_table *table;
    int64_t now_s;
    bool hold;
    bool ours; /* they do not hold, for the mutation itself is there */
    struct base_buf current;
    struct base_arena arena;
};
/* Runs where it may block. `source`: the rows of base_conditions_slices, with their tombstones. */
BASE_MUST int repli_conditional_judge(struct repli_judgement *j, struct base_source *source,
                                      struct base_err *err);

struct repli_conditional; /* conditional.c */
struct repli_replica_op;
struct repli_writes {
    struct repli_write_op *ops, *free_ops;
    size_t free_op_count;
    struct repli_replica_op *free_replica_ops;
    size_t free_replica_op_count;
    struct repli_conditional *conditional;
};
BASE_MUST int repli_conditional_open(struct repli_conditional **out);
void repli_conditional_close(struct repl *repl, struct repli_conditional *part);
void repli_replica_write_close(struct repl *repl);

/* The batchlog as a coordinator uses it (batch.c). */

/* Put the mutations with two living members. PENDING: batch->done is called from a later event;
 * DONE: batch->rc is the result. */
enum repl_answer repli_batch_store(struct repl *repl, struct repli_batch *batch,
                                   struct base_slice mutations, size_t mutation_count,
                                   uint64_t deadline_ns);
/* tell its keepers that it is done */
void repli_batch_forget(struct repl *repl, struct repli_batch *batch);
/* and free what it owns (not the struct) */
void repli_batch_cancel(struct repl *repl, struct repli_batch *batch);
/* Between batch.c and batchlog.c: keep the keeper's batch here (its end comes by keeper_ended,
 * maybe before this returns; not on failure); it is done, forget it. certainly_not: the keeper does
 * not have it, so somebody else may be asked. */
BASE_MUST int repli_batchlog_keep(struct repl *repl, struct repli_batch_keeper *keeper);
void repli_batchlog_done(struct repl *repl, const uint8_t id[REPLI_BATCH_ID_LEN]);
void repli_batch_keeper_ended(struct repl *repl, struct repli_batch_keeper *keeper, int rc,
                              bool certainly_not);

#endif
