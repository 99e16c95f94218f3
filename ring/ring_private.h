/* What ring/'s own files share: what may stand in a member, and how a snapshot's ring is made of
 * its members. */
#ifndef RING_RING_PRIVATE_H
#define RING_RING_PRIVATE_H

#include "ring/cluster.h"

/* May a data centre or rack, a cluster, an address be called so? */
bool ringi_name_valid(struct base_slice name);
bool ringi_cluster_name_valid(struct base_slice name);
bool ringi_address_valid(struct base_slice address);
/* 1 to RING_TOKENS_MAX, ascending, none twice, none INT64_MIN. */
bool ringi_tokens_valid(const int64_t *tokens, size_t count);
bool ringi_uuid_is_zero(struct base_uuid id);
/* What is wrong with a member looked at alone, for people; NULL: nothing. */
const char *ringi_member_fault(const struct ring_member *member);

/* A deep copy. NOMEM. */
BASE_MUST int ringi_member_copy(struct base_arena *arena, const struct ring_member *from,
                                struct ring_member *out);
/* Room for the ring of `count` entries (state->ring, ring_members). NOMEM. */
BASE_MUST int ringi_ring_reserve(struct ring_state *state, size_t count, struct ring_owner **ring,
                                 uint16_t **members);
BASE_MUST bool ringi_get_uuid(struct base_reader *in, struct base_uuid *id);
/* A count and as many tokens, or an array of none: what they are is not looked at. CORRUPT,
 * NOMEM. */
BASE_MUST int ringi_get_tokens(struct base_reader *in, struct base_arena *arena,
                               const int64_t **tokens, size_t *count);
BASE_MUST int ringi_put_tokens(struct base_buf *out, const int64_t *tokens, size_t count);

#endif
