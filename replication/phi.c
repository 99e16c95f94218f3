/* Suspicion from the intervals between heartbeats: phi.h.
 *
 * Invariants:
 *  1. sum is the sum of the `count` intervals kept; after an arrival count > 0 and sum > 0.
 *  2. The ring grows by doubling up to REPLI_PHI_WINDOW, and only where it is full and begins
 *     at 0. */
#include "replication/phi.h"

#define PHI_FACTOR 0.4342944819032518 /* 1 / ln 10 */
#define CAP_MIN 16

void repli_phi_init(struct repli_phi *phi, uint64_t guess_ns)
{
    BASE_ASSERT(guess_ns >= UINT16_MAX);
    *phi = (struct repli_phi){.guess_ns = guess_ns};
}

void repli_phi_fini(struct repli_phi *phi)
{
    free(phi->intervals);
    *phi = (struct repli_phi){.guess_ns = phi->guess_ns};
}

void repli_phi_reset(struct repli_phi *phi)
{
    phi->last_ns = 0;
    phi->sum = 0;
    phi->count = phi->next = 0;
}

/* Room for more, if there is memory. */
static void grow(struct repli_phi *phi)
{
    size_t cap = phi->cap ? (size_t)phi->cap * 2 : CAP_MIN;
    if (cap > REPLI_PHI_WINDOW)
        cap = REPLI_PHI_WINDOW;
    uint16_t *intervals = realloc(phi->intervals, cap * sizeof *intervals);
    if (!intervals)
        return;
    phi->intervals = intervals;
    phi->cap = (uint16_t)cap;
    phi->next = phi->count;
}

static void add(struct repli_phi *phi, uint64_t interval_ns)
{
    double unit_ns = (double)phi->guess_ns / UINT16_MAX;
    uint16_t interval = (uint16_t)((double)interval_ns / unit_ns + 0.5);
    if (interval == 0)
        interval = 1;
    if (phi->count == phi->cap && phi->cap < REPLI_PHI_WINDOW && phi->next == 0)
        grow(phi);
    if (phi->cap == 0)
        return;
    if (phi->count == phi->cap)
        phi->sum -= phi->intervals[phi->next];
    else
        phi->count++;
    phi->intervals[phi->next] = interval;
    phi->sum += interval;
    phi->next = (uint16_t)((phi->next + 1) % phi->cap);
    BASE_ASSERT(phi->sum > 0 && phi->count <= phi->cap);
}

void repli_phi_arrived(struct repli_phi *phi, uint64_t now_ns)
{
    BASE_ASSERT(now_ns > 0 && now_ns >= phi->last_ns);
    uint64_t interval_ns = phi->last_ns ? now_ns - phi->last_ns : phi->guess_ns;
    if (interval_ns <= phi->guess_ns)
        add(phi, interval_ns);
    phi->last_ns = now_ns;
}

void repli_phi_touch(struct repli_phi *phi, uint64_t now_ns)
{
    BASE_ASSERT(phi->last_ns > 0 && now_ns >= phi->last_ns);
    phi->last_ns = now_ns;
}

double repli_phi_mean_ns(const struct repli_phi *phi)
{
    double least_ns = (double)phi->guess_ns / 2;
    if (phi->count == 0)
        return (double)phi->guess_ns;
    double mean_ns = (double)phi->sum / phi->count * ((double)phi->guess_ns / UINT16_MAX);
    return mean_ns > least_ns ? mean_ns : least_ns;
}

double repli_phi_value(const struct repli_phi *phi, uint64_t now_ns)
{
    if (phi->last_ns == 0)
        return 0;
    BASE_ASSERT(now_ns >= phi->last_ns);
    return (double)(now_ns - phi->last_ns) / repli_phi_mean_ns(phi) * PHI_FACTOR;
}
