/* The phi-accrual failure detector (Hayashibara and others, 2004) as Cassandra has it
 * (FailureDetector, CASSANDRA-2597): intervals between a member's heartbeats are taken to be
 * exponentially distributed, so the suspicion that it is gone is
 *
 *     phi = elapsed since the last heartbeat / mean interval / ln 10
 *
 * that is, the mistake of calling it dead at phi has probability 10^-phi. The mean is of the last
 * REPLI_PHI_WINDOW intervals. The first is a guess, twice the gossip interval, and longer ones than
 * it are not taken into the mean: a member that stops for long now and then shall be called dead
 * soon, not be waited for the longer the oftener it does so. Other than in Cassandra the mean is
 * never taken for less than a gossip interval, in which a member beats once: when we were stopped,
 * what gathered meanwhile arrives in a burst, and a mean of that would call the next second of
 * silence a death. */
#ifndef REPLICATION_PHI_H
#define REPLICATION_PHI_H

#include "base/bytes.h"

#define REPLI_PHI_WINDOW 1000

struct repli_phi {
    uint64_t guess_ns; /* two gossip intervals */
    uint64_t last_ns;  /* the last arrival; 0: none yet */
    /* a ring of `count`, the oldest at `next`, in units of guess_ns / UINT16_MAX */
    uint16_t *intervals;
    uint32_t sum; /* of them */
    uint16_t count, next, cap;
};

void repli_phi_init(struct repli_phi *phi, uint64_t guess_ns);
void repli_phi_fini(struct repli_phi *phi);
/* Forget all arrivals. */
void repli_phi_reset(struct repli_phi *phi);
/* A heartbeat arrived. Without memory for one more interval the oldest of those kept gives way. */
void repli_phi_arrived(struct repli_phi *phi, uint64_t now_ns);
/* It lives, as we know in another way: suspicion starts anew, no interval is counted. Only after an
 * arrival. */
void repli_phi_touch(struct repli_phi *phi, uint64_t now_ns);
/* The suspicion now; 0 before the first arrival. */
double repli_phi_value(const struct repli_phi *phi, uint64_t now_ns);
double repli_phi_mean_ns(const struct repli_phi *phi); /* at least half of guess_ns */

#endif
