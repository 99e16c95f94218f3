/* The ring: which host owns which token. Pure functions over base/, nothing kept (DESIGN.md §1,
 * §4).
 *
 * A ring is an array of (token, host), ascending by token, no token twice. A host owns the ranges
 * that end at its tokens: (the token before, its token], and the first range wraps: it begins
 * behind the last token. Tokens are Cassandra's Murmur3 tokens (base/key.h), INT64_MIN to
 * INT64_MAX.
 *
 * Members, replication strategies, placements and the allocation of further tokens are in
 * ring/cluster.h. */
#ifndef RING_RING_H
#define RING_RING_H

#include "base/bytes.h"

#define RING_TOKENS_DEFAULT 16 /* num_tokens, as Cassandra since 4.0 */
#define RING_TOKENS_MAX 1536   /* a host; Cassandra's limit for num_tokens */

struct ring_owner {
    int64_t token;
    struct base_uuid host;
};

/* The tokens of the first host of a cluster: `count` (1 to RING_TOKENS_MAX) of them, ascending, at
 * equal distances, the last one INT64_MAX. Never INT64_MIN, which no key has. */
void ring_allocate_first(size_t count, int64_t *tokens);
/* Is it a ring: ascending, no token twice? An empty one is not. */
bool ring_check(const struct ring_owner *ring, size_t count);
/* Who owns the token: the first entry whose token is not less, or else the first of all. `count` >
 * 0. */
const struct ring_owner *ring_lookup(const struct ring_owner *ring, size_t count, int64_t token);
/* The part of all tokens that the host owns, 0 to 1. */
double ring_share(const struct ring_owner *ring, size_t count, struct base_uuid host);

#endif
