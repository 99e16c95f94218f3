/* A client's change is told to the client when the members that live have applied it too
 * (Cassandra's drivers wait for the same), or WAIT_NS have passed: so what is asked of another node
 * next finds the table.
 *
 * Each is asked by an ECHO: it carries our epoch, and a node answers it only once it has reached
 * that (core.c).
 *
 * Invariant: every agreement has a call pending, or ends in the event that sees the last one; calls
 * have timeouts. */
#include "replication/metadata.h"

#define WAIT_NS UINT64_C(1000000000)

struct ask {
    struct repli_call call;
    struct repli_agreement *agreement;
};
struct repli_agreement {
    struct repl *repl;
    struct repl_change *change; /* its outcome is filled */
    size_t pending;
    struct repli_agreement *next;
    size_t count;
    struct ask asks[];
};

static void agreement_end(struct repli_agreement *agreement)
{
    struct repl *repl = agreement->repl;
    struct repl_change *change = agreement->change;
    struct repli_agreement **at = &repl->metadata->agreements;
    while (*at != agreement)
        at = &(*at)->next;
    *at = agreement->next;
    for (size_t i = 0; i < agreement->count; i++)
        repli_call_cancel(repl, &agreement->asks[i].call);
    free(agreement);
    repl->client_requests--;
    change->done(change);
}

static void answered(struct repl *repl, struct repli_call *call, int rc,
                     const struct base_message *reply)
{
    struct repli_agreement *agreement = BASE_CONTAINER(call, struct ask, call)->agreement;
    (void)repl, (void)rc, (void)reply; /* who does not answer is not waited for any longer */
    BASE_ASSERT(agreement->pending > 0);
    if (--agreement->pending == 0)
        agreement_end(agreement);
}

static bool is_asked(const struct repl *repl, size_t member)
{
    struct base_uuid host_id = repl->ring->members[member].host_id;
    return !repli_is_self(repl, host_id) && repl_is_alive(repl, host_id);
}

bool repli_agreement_begin(struct repl *repl, struct repl_change *change)
{
    static const struct base_slice none;
    size_t count = 0;
    for (size_t i = 0; i < repl->ring->member_count; i++)
        count += is_asked(repl, i);
    struct repli_agreement *agreement =
        count ? calloc(1, sizeof *agreement + count * sizeof agreement->asks[0]) : NULL;
    if (!agreement)
        return false;
    agreement->repl = repl;
    agreement->change = change;
    agreement->pending = agreement->count = count;
    agreement->next = repl->metadata->agreements;
    repl->metadata->agreements = agreement;
    repl->client_requests++;
    for (size_t i = 0, n = 0; i < repl->ring->member_count; i++) {
        if (!is_asked(repl, i))
            continue;
        struct ask *ask = &agreement->asks[n++];
        ask->agreement = agreement;
        ask->call.done = answered;
        repli_call_start(repl, &ask->call, repli_member_peer(repl, i), REPL_LANE_GOSSIP,
                         REPL_VERB_ECHO, none, WAIT_NS);
    }
    return true;
}

void repli_agreements_close(struct repl *repl)
{
    while (repl->metadata->agreements)
        agreement_end(repl->metadata->agreements);
}
