/* The cluster as its metadata log says it is: members, their tokens, and where a keyspace's rows
 * live.
 *
 * A `ring_state` is an immutable snapshot, shared by reference; a topology change makes a new one
 * (ring_state_apply, a pure function of state and change). Members are known by host id; an index
 * into `members` is good for one snapshot only.
 *
 * Placements are two sets for each range of tokens: who is read, and who is written. They differ
 * while a member joins or leaves (a pending owner is written and not read); both are ordered, the
 * nearest owner on the ring first. (Cassandra's CEP-21: DataPlacement.) */
#ifndef RING_CLUSTER_H
#define RING_CLUSTER_H

#include "base/schema.h"
#include "ring/ring.h"

#define RING_MEMBERS_MAX 4096
#define RING_VOTERS_MAX 5    /* acceptors of the metadata log */
#define RING_NAME_LEN_MAX 63 /* data centre, rack: UTF-8 without control characters, not empty */
#define RING_CLUSTER_NAME_LEN_MAX 127
#define RING_ADDRESS_LEN_MAX 79 /* "[v6]:port" */

enum ring_member_state {
    RING_MEMBER_JOINING =
        1, /* announced; owns nothing yet. While there is one no data are written (see `freeze`) */
    RING_MEMBER_NORMAL = 2,
};

struct ring_member {
    struct base_uuid host_id;
    enum ring_member_state state;
    bool voter;                /* an acceptor of the metadata log's next entry */
    struct base_slice address; /* HOST:PORT of its HTTP listener */
    struct base_slice dc, rack;
    const int64_t *tokens; /* ascending */
    uint32_t token_count;
};

struct ring_state {
    struct base_arena arena;
    uint64_t epoch;              /* of the log entry that led here; 0: no cluster yet */
    struct base_uuid cluster_id; /* drawn when the cluster was formed */
    struct base_slice cluster_name;
    const struct ring_member *members; /* ascending by host id */
    size_t member_count;
    const struct ring_owner *ring; /* tokens of NORMAL members, ascending */
    const uint16_t *ring_members;  /* for each entry of `ring`, its member's index */
    size_t ring_count;
    struct base_uuid freeze; /* the host whose join forbids writes just now, or zero */
    int refs;                /* atomic */
};

/* epoch 0, no members; one reference; NULL: out of memory */
struct ring_state *ring_state_new(void);
struct ring_state *ring_state_acquire(struct ring_state *state);
void ring_state_release(struct ring_state *state);
/* The member's index, or -1. */
int ring_member_find(const struct ring_state *state, struct base_uuid host_id);
int ring_member_find_address(const struct ring_state *state, struct base_slice address);
size_t ring_voter_count(const struct ring_state *state);
/* Whole snapshot as bytes, and back. CORRUPT, LIMIT, NOMEM. docs/formats/catalog.md */
BASE_MUST int ring_state_encode(const struct ring_state *state, struct base_buf *out);
BASE_MUST int ring_state_decode(struct base_slice bytes, struct ring_state **out,
                                struct base_err *err);
/* Every invariant of the struct (for tests and the simulator). */
bool ring_state_check(const struct ring_state *state);

/* Changes: the payload of a log entry of kind BASE_CHANGE_TOPOLOGY. */

enum ring_change_kind {
    RING_CHANGE_FORM =
        1, /* the first entry of all: cluster id and name, and the first member, NORMAL, voter */
    RING_CHANGE_JOIN =
        2, /* the member is there as JOINING; writes freeze. Only one at a time: else BUSY */
    RING_CHANGE_JOIN_FINISH =
        3, /* NORMAL, owner of its tokens; a voter while there are fewer than RING_VOTERS_MAX */
    RING_CHANGE_JOIN_ABORT = 4, /* forgotten again */
    RING_CHANGE_ADDRESS =
        5, /* a member listens elsewhere, or calls its data centre or rack otherwise (refused
              while it owns tokens and dc or rack differ: rows would have to move) */
};
struct ring_change {
    enum ring_change_kind kind;
    struct base_uuid host_id;            /* all kinds */
    struct base_uuid cluster_id;         /* FORM */
    struct base_slice cluster_name;      /* FORM */
    struct base_slice address, dc, rack; /* FORM, JOIN, ADDRESS */
    const int64_t *tokens;               /* FORM, JOIN: ascending, not taken */
    size_t token_count;
};
BASE_MUST int ring_change_encode(const struct ring_change *change, struct base_buf *out);
/* Slices and tokens live in the arena. CORRUPT. */
BASE_MUST int ring_change_decode(struct base_arena *arena, struct base_slice bytes,
                                 struct ring_change *out, struct base_err *err);
/* The state after the change, with epoch `epoch`. EXISTS, NOTFOUND, BUSY, INVALID, LIMIT, NOMEM;
 * the text is for people. */
BASE_MUST int ring_state_apply(const struct ring_state *state, const struct ring_change *change,
                               uint64_t epoch, struct ring_state **out, struct base_err *err);
/* The same members at a later epoch (a schema change). */
BASE_MUST int ring_state_advance(const struct ring_state *state, uint64_t epoch,
                                 struct ring_state **out, struct base_err *err);

/* Tokens. */

/* Tokens for one more member of data centre `dc`, rack `rack`: `count` of them, ascending, none
 * taken, chosen so that the greatest load of any member under replication `rf` (Cassandra:
 * allocate_tokens_for_local_replication_factor = 3) is least, in proportion to its number of
 * tokens, and so is what a member owns alone (factor 1). A member that is JOINING counts as if it
 * had joined. A pure function of the state: two nodes that ask of the same state get the same. With
 * no member in that data centre: ring_allocate_first's, shifted off what is taken. Costs some 5 ms
 * with 1,000 members of 16 tokens. INVALID: no tokens, too many, factor 0, a name that is none;
 * LIMIT: the cluster is full; NOMEM. */
BASE_MUST int ring_allocate(const struct ring_state *state, struct base_slice dc,
                            struct base_slice rack, size_t count, unsigned rf, int64_t *tokens,
                            struct base_err *err);

/* Placements. */

struct ring_set { /* member indexes; owners in ring order, then pending ones */
    const uint16_t *members;
    uint16_t count;
};
struct ring_range {
    /* the range is (the upto before, this]; the first begins behind INT64_MIN, the last ends at
     * INT64_MAX */
    int64_t upto;
    struct ring_set read, write;
};
/* All ranges of one replication over one state. Keeps a reference to the state. Immutable;
 * thread-safe. */
struct ring_placement {
    struct ring_state *state;
    struct base_arena arena;
    const struct ring_range *ranges; /* ascending, adjacent, they cover all tokens */
    size_t range_count;
    unsigned rf_total;  /* what the options ask for, over all data centres */
    struct ring_dc_rf { /* NetworkTopologyStrategy: by data centre; SimpleStrategy: none */
        struct base_slice dc;
        unsigned rf;
    } * dcs;
    size_t dc_count;
    bool per_dc; /* NetworkTopologyStrategy */
    int refs;
};
/* `replication` as base_keyspace has it: class SimpleStrategy, NetworkTopologyStrategy,
 * LocalStrategy (the member `local` alone) or EverywhereStrategy, checked by cql/. Racks: a data
 * centre's replicas are spread over its racks before one gets a second (Cassandra's
 * NetworkTopologyStrategy). A data centre with fewer members than its factor has as many replicas
 * as members. INVALID: a class or factor that is none. */
BASE_MUST int ring_placement_new(struct ring_state *state, const struct base_options *replication,
                                 struct base_uuid local, struct ring_placement **out,
                                 struct base_err *err);
struct ring_placement *ring_placement_acquire(struct ring_placement *placement);
void ring_placement_release(struct ring_placement *placement);
/* The range of a token. O(log n). */
const struct ring_range *ring_placement_find(const struct ring_placement *placement, int64_t token);
/* The replication factor of a data centre (SimpleStrategy: the whole factor). */
unsigned ring_placement_rf(const struct ring_placement *placement, struct base_slice dc);
/* The share of all tokens of which the member is a replica (nodetool's "Owns (effective)"): 0 to 1.
 * All members' together: the number of replicas. */
double ring_placement_owns(const struct ring_placement *placement, struct base_uuid host_id);

/* Snitch. */

/* How far: 0 the same member, 1 the same rack, 2 the same data centre, 3 elsewhere. */
unsigned ring_distance(const struct ring_member *from, const struct ring_member *to);

#endif
