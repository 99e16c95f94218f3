/* Verbs and bodies: what nodes say to each other. docs/formats/messages.md is the document of the
 * bodies.
 *
 * Bodies are bytes from outside: decoded with base_reader, checked deeply (base_mutation_check …),
 * never asserted. Every verb but the one-way ones is answered by one reply of the same verb and id:
 * its body, or FAILED with code, detail and text. */
#ifndef REPLICATION_WIRE_H
#define REPLICATION_WIRE_H

#include "base/message.h"

enum repl_verb {
    /* gossip.c */
    REPL_VERB_GOSSIP = 1, /* syn → ack: digests → what is newer there, and what is wanted */
    REPL_VERB_GOSSIP_ACK2 = 2, /* one-way: what was wanted */
    REPL_VERB_LIVENESS =
        3, /* a guest asks: empty → every member's liveness as the contact sees it */
    /* metadata.c, join.c */
    REPL_VERB_META_PREPARE = 10, /* Paxos phase 1 for the entry after the sender's epoch */
    REPL_VERB_META_ACCEPT = 11,  /* phase 2 */
    REPL_VERB_META_LEARN = 12,   /* one-way: an entry was chosen */
    REPL_VERB_META_FETCH = 13,   /* epoch → entries after it */
    REPL_VERB_META_PROPOSE = 14, /* a guest's change, proposed by who gets it */
    REPL_VERB_META_PROBE =
        15, /* after applying the sender's epoch: do you hold user data, hints or batches? */
    REPL_VERB_META_SEED = 16, /* who looks for the cluster asks a seed: cluster name, host id,
                                 address, stage → the same of the seed */
    /* writes.c */
    REPL_VERB_WRITE = 20, /* consistency-free: mutations, as one group → empty */
    /* 21: WRITE_IF_ABSENT of nodes before there were conditions */
    REPL_VERB_REPAIR = 22,   /* as WRITE, from read repair (counted apart) */
    REPL_VERB_WRITE_IF = 24, /* conditions, one mutation → applied u8, what was found */
    REPL_VERB_HINTED = 23,   /* as WRITE, from a hint (lane BULK; not hinted again) */
    /* reads.c */
    REPL_VERB_READ =
        30, /* read command, position, limits, digest or data → page (page.h) or digest */
    /* hints.c, batchlog.c */
    REPL_VERB_HINT = 40,       /* a guest's: keep this mutation for that host → empty */
    REPL_VERB_BATCH = 41,      /* id, mutations → empty, when it is kept */
    REPL_VERB_BATCH_DONE = 42, /* one-way: id: forget it */
    REPL_VERB_ECHO = 50, /* empty → empty: is this peer really back (before marking it alive) */
};

#endif
