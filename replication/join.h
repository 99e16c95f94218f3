/* Becoming a member, between its files: join.c (stages, joining), probe.c (what members do about a
 * joiner), form.c (seeds: finding the cluster, forming it). README.md, "Forming and joining". */
#ifndef REPLICATION_JOIN_H
#define REPLICATION_JOIN_H

#include "replication/metadata.h"

#define REPLI_SEEDS_MAX 64

enum repli_join_phase {
    REPLI_JOIN_LOOKING,   /* in no cluster: asking seeds */
    REPLI_JOIN_FORMING,   /* the first entry is on its way */
    REPLI_JOIN_FETCHING,  /* a cluster is found, its members are not known yet */
    REPLI_JOIN_PROPOSING, /* members known, we are none: JOIN */
    REPLI_JOIN_PROBING,   /* JOINING: does anybody hold data? */
    REPLI_JOIN_FINISHING, /* nobody does */
    REPLI_JOIN_ABORTING,  /* somebody does, or did not say */
    REPLI_JOIN_CHECKING,  /* a member that moved: does somebody else live at the old address under
                             our host id? */
    REPLI_JOIN_MEMBER,
    REPLI_JOIN_REFUSED,
};

/* What a node says of itself, asking or answering META_SEED. */
struct repli_seed_card {
    struct base_uuid cluster_id; /* zero: in no cluster */
    struct base_slice cluster_name, address;
    bool may_form; /* in no cluster, and the first of its own list of seeds */
};
BASE_MUST int repli_seed_card_put(struct base_buf *out, const struct repli_seed_card *card);
BASE_MUST bool repli_seed_card_get(struct base_slice body, struct repli_seed_card *card);

enum repli_seed_state { REPLI_SEED_SILENT, REPLI_SEED_EMPTY, REPLI_SEED_SELF };
struct repli_seed {
    struct repli_call call;
    enum repli_seed_state state;
    uint64_t heard_ns; /* when it last answered */
};
struct repli_form {
    struct repli_seed *seeds;
    size_t count;
    struct repli_timer timer; /* the next questions */
    uint64_t began_ns;
    unsigned rounds;
    /* another first seed with a smaller host id is there: it forms, not we */
    uint64_t yield_until_ns;
    struct base_uuid cluster_id; /* found; zero: not yet */
    struct repli_peer peer;      /* where */
    uint8_t peer_address[RING_ADDRESS_LEN_MAX + 1];
    uint64_t peer_epoch;
    bool following; /* FOLLOW is being made durable */
};
struct repli_probe { /* one member that is asked */
    struct repli_call call;
    struct base_uuid host_id;
    bool answered;
};
struct repli_probe_serve; /* one META_PROBE that is being answered */
struct repli_join {
    enum repli_join_phase phase;
    char text[600];
    struct repli_form form;
    struct repli_timer timer; /* the next step */
    /* our change under way */
    bool proposing, proposing_watched; /* watched: the abort of somebody else's join */
    struct repl_change change;
    struct base_change decoded;
    struct base_buf topology;
    int64_t *tokens;
    /* probing */
    struct repli_probe *probes;
    size_t probe_count;
    bool own_probed;
    struct repl_store_op own_op;
    bool own_pending;
    uint64_t probe_deadline_ns, abort_deadline_ns;
    unsigned joins;               /* begun */
    char reason[400];             /* of an abort */
    struct repli_call check_call; /* CHECKING */
    struct repli_call news_call;  /* while another joins */
    bool checked;
    unsigned checks;
    struct repli_call *seed_calls; /* a lone member's, whether it is a copy; one for each seed */
    bool seeds_asked;
    /* a joiner that others watch */
    struct repli_timer watch;
    struct base_uuid watched; /* zero: none */
    uint64_t watched_since_ns, watched_alive_ns;
    struct repli_probe_serve *serving;
};
/* form.c */
BASE_MUST int repli_form_open(struct repl *repl);
void repli_form_begin(struct repl *repl);
void repli_form_stop(struct repl *repl);
void repli_form_close(struct repl *repl);
void repli_seed_handle(struct repl *repl, struct repl_inbound *in);
struct repli_seed_card repli_seed_card_own(const struct repl *repl);
/* probe.c */
/* META_PROBE's answer */
enum { REPLI_HOLDS_DATA = 1, REPLI_HOLDS_HINTS = 2, REPLI_HOLDS_BATCHES = 4 };
void repli_probe_handle(struct repl *repl, struct repl_inbound *in);
void repli_join_watch(struct repl *repl); /* new snapshots: is somebody joining? */
void repli_probe_close(struct repl *repl);
/* join.c: a change of members as ours to propose; only while none is under way. */
void repli_join_propose(struct repl *repl, const struct ring_change *what);
/* The first entry of all. */
void repli_join_form(struct repl *repl);
void repli_join_enter(struct repl *repl, enum repli_join_phase phase, const char *fmt, ...)
    BASE_PRINTF(3, 4);
/* Take a new look at where we are; soon, from a later event. */
void repli_join_step_after(struct repl *repl, uint64_t after_ns);

#endif
