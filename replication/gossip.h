/* What gossip.c (who lives, rounds, exchanges) and gossip_body.c (the bytes) share.
 * docs/formats/messages.md has the bodies. */
#ifndef REPLICATION_GOSSIP_H
#define REPLICATION_GOSSIP_H

#include "replication/phi.h"
#include "replication/replication_private.h"

/* What a member tells of itself. A later start (generation) supersedes; within one, a greater
 * version. */
struct repli_gossip_state {
    uint32_t generation; /* 0: never heard */
    uint32_t version;    /* goes up with each round: the heartbeat */
    /* at which something below changed last: who has that version has them */
    uint32_t detail_version;
    bool shutdown; /* it said that it goes */
    uint64_t epoch, load_bytes;
    struct repl_native native;
};
struct repli_gossip_peer {
    struct base_uuid host_id;
    struct repli_gossip_state state;
    uint64_t heard_epoch; /* its messages said so, whatever gossip says yet */
    struct repli_phi phi;
    /* a syn or an ECHO to it: one at a time, the reply of either shows that it is there */
    struct repli_call call;
    bool call_is_echo;
    bool self, seed;
    bool alive;
    uint32_t alive_generation; /* whose answer made it alive */
    /* a message could not be delivered; an ECHO in the next round decides */
    bool suspect;
    bool by_id;      /* its list of members is not ours */
    bool tell;       /* our own state is to go to it at once, not by rounds */
    bool queued;     /* waits for its ECHO */
    uint8_t tries;   /* of ECHOs without an answer */
    uint64_t syn_ns; /* when the last one was sent */
    uint64_t suspect_ns, down_since_ns;
    struct repli_gossip_peer *queue_next;
};
struct repli_gossip {
    /* of the ring's members, ascending by host id, ourselves among them */
    struct repli_gossip_peer **peers;
    size_t count;
    /* of their ids: where it is the same, members go by their index */
    uint64_t list_hash;
    struct repli_gossip_state own;
    uint64_t beat_ns; /* when own.version went up */
    struct repli_timer round;
    uint64_t round_ns;       /* when the last one was; 0: none yet */
    uint64_t spare_until_ns; /* we were stopped: nobody is convicted until then */
    /* rounds left in which members never heard of are spoken to */
    unsigned greetings;
    size_t echo_count; /* under way */
    struct repli_gossip_peer *queue, **queue_end;
    const struct repli_gossip_peer *answering; /* whose ack is being read: it needs no ECHO */
    struct base_buf body;
    uint64_t heard_by_all; /* an epoch that all others are known to have reached */
    /* the ring's members changed and there was no memory to follow */
    bool stale;
};

/* Bodies (gossip_body.c). */

enum repli_gossip_form {
    REPLI_GOSSIP_BY_INDEX = 0, /* members are known by their place in the list whose hash is told */
    REPLI_GOSSIP_BY_ID = 1,    /* by host id */
    REPLI_GOSSIP_MISMATCH = 2, /* an ack of nothing: say it by id */
};
enum repli_gossip_flag {
    REPLI_GOSSIP_DETAIL = 0x01, /* epoch and load follow */
    REPLI_GOSSIP_SHUTDOWN = 0x02,
    REPLI_GOSSIP_NATIVE = 0x08, /* with DETAIL: where it serves clients follows */
    REPLI_GOSSIP_WANTED = 0x04, /* not a state: what the sender has; it wants what is newer */
};
struct repli_gossip_entry {
    struct repli_gossip_peer *peer; /* NULL: nobody we know */
    struct repli_gossip_state state;
    bool wanted, has_detail;
};
/* Reading and writing go along the list of members. */
struct repli_gossip_cursor {
    enum repli_gossip_form form;
    bool same_list; /* of what is read: its sender lists the members that we do */
    size_t next;    /* index that a gap counts from */
};
BASE_MUST int repli_gossip_put_head(struct repli_gossip *gossip, struct base_buf *body,
                                    enum repli_gossip_form form,
                                    struct repli_gossip_cursor *cursor);
/* False: damaged, or a form that we do not know. *fits: by id, or by the index of the list that is
 * ours too. */
BASE_MUST bool repli_gossip_get_head(const struct repli_gossip *gossip, struct base_reader *in,
                                     struct repli_gossip_cursor *cursor, bool *fits);
/* The state of peers[at] (ascending from call to call), for somebody who has `known` of it. */
BASE_MUST int repli_gossip_put_state(struct repli_gossip *gossip, struct base_buf *body,
                                     struct repli_gossip_cursor *cursor, size_t at,
                                     const struct repli_gossip_state *known);
BASE_MUST int repli_gossip_put_wanted(struct repli_gossip *gossip, struct base_buf *body,
                                      struct repli_gossip_cursor *cursor, size_t at);
BASE_MUST bool repli_gossip_get_entry(struct repli_gossip *gossip, struct base_reader *in,
                                      struct repli_gossip_cursor *cursor,
                                      struct repli_gossip_entry *out);
/* Generation and version of every member. */
BASE_MUST int repli_gossip_put_digests(struct repli_gossip *gossip, struct base_buf *body,
                                       const struct repli_gossip_cursor *cursor);
/* One of them; *at is its index, or gossip->count for nobody we know. */
BASE_MUST bool repli_gossip_get_digest(const struct repli_gossip *gossip, struct base_reader *in,
                                       struct repli_gossip_cursor *cursor, size_t *at,
                                       struct repli_gossip_state *out);
/* The peer's place in the list, or gossip->count. */
size_t repli_gossip_find(const struct repli_gossip *gossip, struct base_uuid host_id);
const struct repli_gossip_state *repli_gossip_state_at(const struct repli_gossip *gossip,
                                                       size_t at);
static inline bool repli_gossip_newer(const struct repli_gossip_state *a,
                                      const struct repli_gossip_state *b)
{
    return a->generation != b->generation ? a->generation > b->generation : a->version > b->version;
}

/* Our own state changed: its version goes up (gossip.c). */
void repli_gossip_own_changed(struct repl *repl);

/* Whom a round speaks to (gossip_pick.c): how many others there are of a kind, and a random one of
 * `count`, or NULL. DEAD: did not say that it goes. */
#define REPLI_SMALL_CLUSTER_MAX 16 /* members: everybody speaks to everybody */
enum repli_gossip_kind { REPLI_GOSSIP_LIVE, REPLI_GOSSIP_DEAD, REPLI_GOSSIP_SEED };
size_t repli_gossip_count(const struct repli_gossip *gossip, enum repli_gossip_kind kind);
struct repli_gossip_peer *repli_gossip_random(struct repl *repl, enum repli_gossip_kind kind,
                                              size_t count);
/* A live one whose answer to the last syn is not awaited any more. In a small cluster the one that
 * was not spoken to for longest, so that each is in turn and one that refuses connections is found
 * soon; in a large one at random. */
struct repli_gossip_peer *repli_gossip_live_one(struct repl *repl);
/* The answer to what was sent to it may still come (gossip.c). */
bool repli_gossip_is_awaited(const struct repl *repl, const struct repli_gossip_peer *peer);

/* Our own state goes to all others at once, while the cluster is small (gossip.c). */
void repli_gossip_announce(struct repl *repl);

/* LIVENESS. */

BASE_MUST int repli_gossip_put_liveness(const struct repl *repl, struct base_buf *body);

#endif
