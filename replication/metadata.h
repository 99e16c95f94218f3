/* The metadata log, between its files (README.md, "The metadata log"):
 *
 * metadata.c    opening, clients' changes and their outcomes, dispatch of what peers ask
 * propose.c     the proposer: one Paxos instance for the entry after our epoch
 * paxos.c       the acceptor and its durable state
 * learn.c       learned entries, applied in order; fetching what is missing, and serving it
 * checkpoint.c  the state itself, for who lacks entries that are cut off
 * apply.c       what an entry leads to (pure)
 * agreement.c   a client hears of its change when the others have it too
 *
 * Words: entry `e` leads to epoch `e`; the instance of `e` is decided by the voters of the ring at
 * epoch e-1. */
#ifndef REPLICATION_METADATA_H
#define REPLICATION_METADATA_H

#include "replication/replication_private.h"

/* A frame takes 16 MiB, and a promise carries one entry. */
#define REPLI_PROPOSAL_SIZE_MAX ((size_t)8 << 20)
#define REPLI_PAXOS_RECORD_SIZE_MAX (REPLI_PROPOSAL_SIZE_MAX + 256)

/* Unique for all time: the round by its proposer's start, the generation by the host, the host id
 * by the cluster. So no two proposals ever share one, also across a crash of the proposer between
 * them. round 0: none. */
struct repli_ballot {
    uint64_t round;
    uint32_t generation;
    struct base_uuid host_id;
};
int repli_ballot_compare(const struct repli_ballot *a, const struct repli_ballot *b);
BASE_MUST int repli_ballot_put(struct base_buf *out, const struct repli_ballot *ballot);
BASE_MUST bool repli_ballot_get(struct base_reader *in, struct repli_ballot *ballot);

/* The acceptor (paxos.c). */

enum repli_paxos_kind { REPLI_PAXOS_PREPARE, REPLI_PAXOS_ACCEPT, REPLI_PAXOS_FOLLOW };
struct repli_paxos_answer {
    /* OK; BUSY: promised to a greater ballot; STALE: not the entry after our epoch; INVALID;
     * STOPPED, OVERLOADED, NOMEM, CLOSED */
    int rc;
    const char *text;
    struct repli_ballot promised; /* BUSY */
    /* OK of PREPARE; round 0: nothing accepted */
    struct repli_ballot accepted;
    struct base_slice value;
};
/* Heap storage, given to repli_paxos_submit, freed after it was answered (once; maybe before submit
 * returns). */
struct repli_paxos_request {
    enum repli_paxos_kind kind;
    uint64_t epoch;
    struct repli_ballot ballot;
    struct base_buf value; /* ACCEPT; the request's own */
    /* FOLLOW: the cluster whose log we are about to fetch, remembered before its first entry is */
    struct base_uuid cluster_id;
    struct repl_inbound *in; /* a peer's; NULL: ours */
    uint64_t tag;            /* ours: the proposer's round */
    void (*answered)(struct repl *repl, struct repli_paxos_request *request,
                     const struct repli_paxos_answer *answer);
    struct repli_paxos_request *next;
};
struct repli_paxos_record {
    struct base_uuid cluster_id; /* of FOLLOW, and of later records; zero: none */
    uint64_t epoch;              /* the entry it is about; 0: none */
    struct repli_ballot promised, accepted;
    struct base_buf value; /* accepted */
};
struct repli_acceptor {
    /* durable, and about the entry after our epoch (or its epoch is 0) */
    struct repli_paxos_record now;
    struct repli_paxos_record written; /* what the PUT under way writes */
    struct base_buf bytes;             /* … encoded */
    struct repl_meta_op put;
    bool putting, stepping;
    /* those that wait; the first is the one that `put` is for */
    struct repli_paxos_request *first, **last;
    size_t waiting;
    /* a PUT failed: what is durable is not known; it votes no more */
    bool failed;
};
BASE_MUST int repli_paxos_open(struct repl *repl, struct base_slice record, struct base_err *err);
void repli_paxos_close(struct repl *repl);
void repli_paxos_handle(struct repl *repl, struct repl_inbound *in); /* META_PREPARE, META_ACCEPT */
/* NULL: out of memory */
struct repli_paxos_request *repli_paxos_request_new(enum repli_paxos_kind kind);
void repli_paxos_submit(struct repl *repl, struct repli_paxos_request *request);
/* Our epoch moved, or an entry is not being applied any more: what waited goes on. */
void repli_paxos_go_on(struct repl *repl);
/* Nothing promised, accepted or under way for the entry after our epoch. */
bool repli_paxos_is_fresh(const struct repl *repl);
/* The cluster that FOLLOW named, or zero. */
struct base_uuid repli_paxos_followed(const struct repl *repl);

/* Entries (apply.c). */

struct repli_applied {
    struct base_arena arena; /* of change */
    struct base_change change;
    struct base_schema *schema;
    struct ring_state *ring;
};
/* What `entry` leads to from these snapshots. Pure: the same everywhere. STALE when made against
 * another epoch; CORRUPT, VERSION, and what base_schema_apply and ring_state_apply answer; NOMEM.
 * On failure nothing is to be freed. */
BASE_MUST int repli_entry_apply(const struct base_schema *schema, const struct ring_state *ring,
                                struct base_slice entry, struct repli_applied *out,
                                struct base_err *err);
void repli_applied_fini(struct repli_applied *applied); /* releases what is still there */

/* Checkpoints (checkpoint.c): schema and ring at one epoch as bytes, in pieces. */

#define REPLI_PIECE_BYTES ((size_t)1 << 20)
/* What is handed out: made when somebody asks, forgotten when nobody has for a while. */
struct repli_checkpoint {
    uint64_t epoch, digest;
    struct base_buf bytes; /* empty: none */
    struct repli_timer forget;
};
void repli_checkpoint_open(struct repli_checkpoint *checkpoint);
void repli_checkpoint_close(struct repl *repl, struct repli_checkpoint *checkpoint);
/* One piece of it as the body of an answer, from `offset` on when `epoch` is the one that is handed
 * out, else from the start. after: what the asker has. LIMIT: it is too large; NOMEM. */
BASE_MUST int repli_checkpoint_put(struct repl *repl, struct repli_checkpoint *checkpoint,
                                   uint64_t after, uint64_t epoch, uint64_t offset,
                                   uint64_t bytes_max, struct base_buf *body);

/* What is fetched. */
struct repli_incoming {
    uint64_t epoch, digest, total;
    struct base_buf bytes; /* so far: no more than were sent to us */
};
enum repli_piece { REPLI_PIECE_BAD, REPLI_PIECE_MORE, REPLI_PIECE_WHOLE };
void repli_incoming_init(struct repli_incoming *incoming);
void repli_incoming_reset(struct repli_incoming *incoming); /* frees what it holds */
/* One answer's body, behind its first byte. BAD: damaged; all is forgotten. */
enum repli_piece repli_incoming_take(struct repli_incoming *incoming, struct base_reader *in);
/* Of a whole one: new references. The cluster must be this one (zero: any). CORRUPT, VERSION,
 * NOMEM; INVALID: another cluster's. */
BASE_MUST int repli_incoming_decode(const struct repli_incoming *incoming,
                                    struct base_uuid cluster_id, struct base_schema **schema,
                                    struct ring_state **ring, struct base_err *err);

/* Learning (learn.c). */

struct repli_learned {
    uint64_t epoch;
    struct base_buf entry;
    struct repli_learned *next;
};
struct repli_serve; /* one META_FETCH that is being read */
struct repli_learner {
    struct repli_learned *queue; /* ascending by epoch, all > ours */
    size_t queue_count, queue_bytes;
    /* being made durable; without bytes: a checkpoint is installed */
    struct repli_learned *current;
    struct repli_applied applied;
    struct repl_meta_op append;
    bool pumping;
    struct repli_timer retry; /* out of memory: again */
    uint64_t refused;         /* the entry that did not apply last, … */
    unsigned refusals;        /* … so many times in a row */
    /* fetching */
    uint64_t target; /* somebody is there */
    struct repli_call call;
    struct repli_timer wait;
    unsigned attempts;
    struct repli_peer source; /* asked last, or told of `target`; address in source_address */
    uint8_t source_address[RING_ADDRESS_LEN_MAX + 1];
    bool source_is_new;    /* not asked yet */
    uint64_t recovered_ns; /* when the last recovery began */
    /* The entries that we lack are cut off where we asked: a checkpoint is fetched. */
    bool cut_off;
    struct repli_incoming incoming;
    struct base_schema *schema; /* the checkpoint that is to be installed, or NULL */
    struct ring_state *ring;
    /* serving */
    struct repli_checkpoint checkpoint;
    struct repli_serve *serving;
    size_t serving_count;
};
void repli_learner_open(struct repl *repl);
void repli_learner_close(struct repl *repl);
/* Fetch from this peer, who has applied `epoch` (a node that knows no member yet). */
void repli_learner_follow(struct repl *repl, struct repli_peer source, uint64_t epoch);
/* The first byte of a META_FETCH's answer; bit 0 of a request's flags asks for a piece. CUT: the
 * entry after `after` is kept no more. */
enum { REPLI_FETCH_ENTRIES = 0, REPLI_FETCH_PIECE = 1, REPLI_FETCH_CUT = 2 };
void repli_fetch_handle(struct repl *repl, struct repl_inbound *in);
/* incoming: of which the next piece is asked for; NULL: entries. */
BASE_MUST int repli_fetch_request_put(struct base_buf *out, struct base_uuid cluster_id,
                                      uint64_t after, const struct repli_incoming *incoming);

/* Proposing (propose.c). */

struct repli_proposal { /* one client's change; its repl_change's `state` */
    struct repl *repl;
    struct repl_change *change;
    struct base_buf entry;    /* empty: a recovery (propose.c, 5) */
    uint64_t epoch;           /* where it wants to land */
    struct repli_timer timer; /* its deadline */
    uint64_t deadline_ns, began_ns;
    bool accept_sent; /* from here on it may happen without us */
    struct repli_proposal *next;
};
enum repli_round {
    REPLI_ROUND_NONE,
    REPLI_ROUND_PREPARE,
    REPLI_ROUND_ACCEPT,
    REPLI_ROUND_WAIT,
    REPLI_ROUND_CHOSEN
};
enum repli_voter_state { REPLI_VOTER_ASKED, REPLI_VOTER_YES, REPLI_VOTER_NO, REPLI_VOTER_SILENT };
struct repli_voter {
    struct repli_call call;
    struct base_uuid host_id;
    enum repli_voter_state state;
};
struct repli_proposer {
    struct repli_proposal *first; /* its turn; the others wait behind it, for the same entry */
    size_t count;
    enum repli_round round;
    uint64_t tag; /* counts rounds: an answer of an older one is nobody's */
    struct repli_voter voters[RING_VOTERS_MAX];
    size_t voter_count;
    struct repli_ballot ballot, best; /* best: of what was found accepted */
    struct base_buf value;            /* what is proposed: ours, or what was found */
    uint64_t greatest_round;          /* seen anywhere */
    /* decided by making it durable here: told to the others after that */
    bool alone;
    /* rounds for this entry; of these, ended without an answer of a majority, in a row */
    unsigned attempts, lonely;
    size_t answered;          /* voters that answered in the last round that ended */
    char silent[512];         /* the others, for people */
    struct repli_timer timer; /* until the next round */
};
void repli_proposer_open(struct repl *repl);
void repli_proposer_close(struct repl *repl);
/* The first proposal's turn, if none has it. */
void repli_proposer_go_on(struct repl *repl);
/* The entry was applied, or the first proposal left: the round ends. */
void repli_proposer_reset(struct repl *repl);
/* How a proposal whose time is over ended: UNKNOWN or UNAVAILABLE, with numbers and text. */
void repli_proposer_verdict(struct repl *repl, const struct repli_proposal *proposal,
                            struct repl_outcome *outcome);
/* Tell all members of an entry. */
void repli_proposer_announce(struct repl *repl, uint64_t epoch, struct base_slice entry);

/* The whole (metadata.c). */

#define REPLI_PROPOSED_MAX 256
struct repli_proposed { /* a META_PROPOSE that came */
    struct base_uuid sender;
    uint32_t generation;
    uint64_t id; /* 0: none */
};
/* Tell the change's client (its outcome is filled) when the other live members have applied our
 * epoch, or a second has passed. False: there is nobody to wait for, and nothing was begun.
 * (agreement.c) */
struct repli_agreement;
bool repli_agreement_begin(struct repl *repl, struct repl_change *change);
void repli_agreements_close(struct repl *repl); /* they end now */

struct repli_propose_serve; /* a guest's change that we propose */
struct repli_metadata {
    struct repli_acceptor acceptor;
    struct repli_learner learner;
    struct repli_proposer proposer;
    struct repl_change recovery; /* nobody's */
    struct repli_timer slow;     /* compares with what gossip tells */
    struct repli_propose_serve *serving;
    struct repli_proposed proposed[REPLI_PROPOSED_MAX]; /* the last ones */
    size_t proposed_next;
    struct repli_agreement *agreements;
    bool stopped; /* an entry could not be applied or made durable */
    char stopped_text[256];
};
/* The bytes of a change as an entry, with an id of its own, appended to `entry`. STALE, LIMIT,
 * NOMEM; what applying it to our snapshots answers, when it does not apply. */
BASE_MUST int repli_change_encode(struct repl *repl, const struct base_change *change,
                                  struct base_buf *entry, struct base_err *err);
/* A change of our own (a member's, or one's that wants to be): no question of stage or draining. */
void repli_change_submit(struct repl *repl, struct repl_change *change);
/* Somebody has applied the entry after our epoch and nobody hands it out: see whether the voters
 * have accepted it. No effect while a proposal is under way, which does the same. */
void repli_metadata_recover(struct repl *repl);
void repli_change_cancel(struct repl *repl, struct repl_change *change); /* done is not called */
/* The first proposal's time is over, or nobody can be reached: its client gets
 * repli_proposer_verdict's answer. */
void repli_proposal_give_up(struct repl *repl, struct repli_proposal *proposal);
/* An entry is durable here, with what it leads to (references are taken over): publish it; the
 * changes that wanted its place have their answer. */
void repli_metadata_applied(struct repl *repl, struct base_slice entry, struct base_schema *schema,
                            struct ring_state *ring);
/* A checkpoint is durable here (references are taken over): publish it. The changes that waited
 * are told STALE; one that may have been taken by then, UNKNOWN. */
void repli_metadata_installed(struct repl *repl, struct base_schema *schema,
                              struct ring_state *ring);
/* No entry will be applied any more. */
void repli_metadata_stop(struct repl *repl, const char *text);
/* Is this the body of our cluster (or are we in none and it says so)? */
bool repli_cluster_is_ours(const struct repl *repl, struct base_uuid cluster_id);

#endif
