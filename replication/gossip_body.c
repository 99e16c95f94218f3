/* Gossip as bytes: docs/formats/messages.md.
 *
 * Members that both sides list alike are named by their place in the list (a thousand digests are 5
 * KB, not 21); a hash of the list tells whether they do. It differs only while a change of members
 * is on its way.
 *
 * Invariants:
 *  1. What is written by index is written in ascending order: a reference is the gap from the one
 *     before.
 *  2. Who has a state's detail_version is not sent epoch, load and the rest again. */
#include "replication/gossip.h"

#include "base/checksum.h"

size_t repli_gossip_find(const struct repli_gossip *gossip, struct base_uuid host_id)
{
    size_t lo = 0, hi = gossip->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = memcmp(gossip->peers[mid]->host_id.b, host_id.b, sizeof host_id.b);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return gossip->count;
}

const struct repli_gossip_state *repli_gossip_state_at(const struct repli_gossip *gossip, size_t at)
{
    BASE_ASSERT(at < gossip->count);
    return gossip->peers[at]->self ? &gossip->own : &gossip->peers[at]->state;
}

int repli_gossip_put_head(struct repli_gossip *gossip, struct base_buf *body,
                          enum repli_gossip_form form, struct repli_gossip_cursor *cursor)
{
    *cursor = (struct repli_gossip_cursor){.form = form};
    int rc = base_buf_put_u8(body, (uint8_t)form);
    return rc ? rc : base_buf_put_le64(body, gossip->list_hash);
}

bool repli_gossip_get_head(const struct repli_gossip *gossip, struct base_reader *in,
                           struct repli_gossip_cursor *cursor, bool *fits)
{
    uint8_t form;
    uint64_t hash;
    *fits = false;
    *cursor = (struct repli_gossip_cursor){0};
    if (!base_get_u8(in, &form) || !base_get_u64le(in, &hash) || form > REPLI_GOSSIP_MISMATCH)
        return false;
    cursor->form = (enum repli_gossip_form)form;
    cursor->same_list = hash == gossip->list_hash;
    *fits = form == REPLI_GOSSIP_BY_ID || (form == REPLI_GOSSIP_BY_INDEX && cursor->same_list);
    return true;
}

static int put_reference(struct repli_gossip *gossip, struct base_buf *body,
                         struct repli_gossip_cursor *cursor, size_t at)
{
    BASE_ASSERT(at >= cursor->next && at < gossip->count);
    size_t gap = at - cursor->next;
    cursor->next = at + 1;
    return cursor->form == REPLI_GOSSIP_BY_ID ? base_buf_put(body, gossip->peers[at]->host_id.b,
                                                             sizeof gossip->peers[at]->host_id.b)
                                              : base_buf_put_varint(body, gap);
}

static bool get_reference(const struct repli_gossip *gossip, struct base_reader *in,
                          struct repli_gossip_cursor *cursor, size_t *at)
{
    *at = gossip->count;
    if (cursor->form == REPLI_GOSSIP_BY_ID) {
        struct base_slice bytes;
        struct base_uuid host_id;
        if (!base_get_raw(in, sizeof host_id.b, &bytes))
            return false;
        memcpy(host_id.b, bytes.data, sizeof host_id.b);
        *at = repli_gossip_find(gossip, host_id);
        return true;
    }
    uint64_t gap;
    if (!base_get_varint(in, &gap) || gap >= gossip->count - cursor->next)
        return false;
    *at = cursor->next + (size_t)gap;
    cursor->next = *at + 1;
    return true;
}

static int put_version(struct base_buf *body, const struct repli_gossip_state *state)
{
    int rc = base_buf_put_varint(body, state->generation);
    return rc ? rc : base_buf_put_varint(body, state->version);
}

static bool get_version(struct base_reader *in, struct repli_gossip_state *state)
{
    uint64_t generation, version;
    if (!base_get_varint(in, &generation) || !base_get_varint(in, &version) ||
        generation > UINT32_MAX || version > UINT32_MAX)
        return false;
    state->generation = (uint32_t)generation;
    state->version = (uint32_t)version;
    return true;
}

static int put_native(struct base_buf *body, const struct repl_native *native)
{
    int rc = base_buf_put_bytes(body, base_slice(native->address, native->address_len));
    if (rc == BASE_OK)
        rc = base_buf_put_varint(body, native->port);
    return rc == BASE_OK ? base_buf_put_bytes(body, base_slice_str(native->release)) : rc;
}

static bool get_native(struct base_reader *in, struct repl_native *native)
{
    struct base_slice address, release;
    uint64_t port;
    if (!base_get_bytes(in, &address) || !base_get_varint(in, &port) ||
        !base_get_bytes(in, &release) || (address.len != 4 && address.len != 16) ||
        port > UINT16_MAX || release.len > REPL_RELEASE_LEN_MAX)
        return false;
    for (size_t i = 0; i < release.len; i++)
        if (release.data[i] <= ' ' || release.data[i] > '~') /* it is shown to clients as text */
            return false;
    *native = (struct repl_native){.address_len = (uint8_t)address.len, .port = (uint16_t)port};
    memcpy(native->address, address.data, address.len);
    memcpy(native->release, release.data, release.len);
    return true;
}

int repli_gossip_put_state(struct repli_gossip *gossip, struct base_buf *body,
                           struct repli_gossip_cursor *cursor, size_t at,
                           const struct repli_gossip_state *known)
{
    const struct repli_gossip_state *state = repli_gossip_state_at(gossip, at);
    BASE_ASSERT(state->generation > 0 && state->detail_version <= state->version);
    bool native = state->native.address_len > 0;
    bool detail = known->generation != state->generation || known->version < state->detail_version;
    unsigned flags = (detail ? REPLI_GOSSIP_DETAIL : 0u) |
                     (detail && native ? REPLI_GOSSIP_NATIVE : 0u) |
                     (state->shutdown ? REPLI_GOSSIP_SHUTDOWN : 0u);
    int rc = put_reference(gossip, body, cursor, at);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(body, (uint8_t)flags);
    if (rc == BASE_OK)
        rc = put_version(body, state);
    if (rc == BASE_OK && detail)
        rc = base_buf_put_varint(body, state->version - state->detail_version);
    if (rc == BASE_OK && detail)
        rc = base_buf_put_varint(body, state->epoch);
    if (rc == BASE_OK && detail)
        rc = base_buf_put_varint(body, state->load_bytes);
    return rc == BASE_OK && detail && native ? put_native(body, &state->native) : rc;
}

int repli_gossip_put_wanted(struct repli_gossip *gossip, struct base_buf *body,
                            struct repli_gossip_cursor *cursor, size_t at)
{
    int rc = put_reference(gossip, body, cursor, at);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(body, REPLI_GOSSIP_WANTED);
    return rc ? rc : put_version(body, repli_gossip_state_at(gossip, at));
}

bool repli_gossip_get_entry(struct repli_gossip *gossip, struct base_reader *in,
                            struct repli_gossip_cursor *cursor, struct repli_gossip_entry *out)
{
    uint8_t flags;
    size_t at;
    *out = (struct repli_gossip_entry){0};
    if (!get_reference(gossip, in, cursor, &at) || !base_get_u8(in, &flags) ||
        !get_version(in, &out->state) ||
        (flags & ~(REPLI_GOSSIP_DETAIL | REPLI_GOSSIP_SHUTDOWN | REPLI_GOSSIP_WANTED |
                   REPLI_GOSSIP_NATIVE)) ||
        ((flags & REPLI_GOSSIP_NATIVE) && !(flags & REPLI_GOSSIP_DETAIL)))
        return false;
    out->peer = at < gossip->count ? gossip->peers[at] : NULL;
    out->wanted = flags & REPLI_GOSSIP_WANTED;
    out->has_detail = flags & REPLI_GOSSIP_DETAIL;
    out->state.shutdown = flags & REPLI_GOSSIP_SHUTDOWN;
    if (out->wanted)
        return flags == REPLI_GOSSIP_WANTED;
    if (out->state.generation == 0)
        return false;
    if (!out->has_detail)
        return true;
    uint64_t age;
    if (!base_get_varint(in, &age) || age > out->state.version ||
        !base_get_varint(in, &out->state.epoch) || !base_get_varint(in, &out->state.load_bytes))
        return false;
    out->state.detail_version = out->state.version - (uint32_t)age;
    return !(flags & REPLI_GOSSIP_NATIVE) || get_native(in, &out->state.native);
}

int repli_gossip_put_digests(struct repli_gossip *gossip, struct base_buf *body,
                             const struct repli_gossip_cursor *cursor)
{
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < gossip->count; i++) {
        if (cursor->form == REPLI_GOSSIP_BY_ID)
            rc =
                base_buf_put(body, gossip->peers[i]->host_id.b, sizeof gossip->peers[i]->host_id.b);
        if (rc == BASE_OK)
            rc = put_version(body, repli_gossip_state_at(gossip, i));
    }
    return rc;
}

bool repli_gossip_get_digest(const struct repli_gossip *gossip, struct base_reader *in,
                             struct repli_gossip_cursor *cursor, size_t *at,
                             struct repli_gossip_state *out)
{
    *out = (struct repli_gossip_state){0};
    if (cursor->form == REPLI_GOSSIP_BY_ID)
        return get_reference(gossip, in, cursor, at) && get_version(in, out);
    *at = cursor->next;
    return cursor->next++ < gossip->count && get_version(in, out);
}

int repli_gossip_put_liveness(const struct repl *repl, struct base_buf *body)
{
    const struct repli_gossip *gossip = repl->gossip;
    int rc = base_buf_put_varint(body, gossip->count);
    for (size_t i = 0; rc == BASE_OK && i < gossip->count; i++) {
        const struct repli_gossip_peer *peer = gossip->peers[i];
        rc = base_buf_put(body, peer->host_id.b, sizeof peer->host_id.b);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(body, peer->self || peer->alive);
        if (rc == BASE_OK)
            rc = base_buf_put_varint(
                body, (uint64_t)(repli_snitch_latency_ms(repl, peer->host_id) * 1000));
    }
    return rc;
}

bool repli_liveness_begin(struct base_slice body, struct base_reader *in, size_t *count)
{
    uint64_t n;
    *in = base_reader(body);
    *count = 0;
    if (!base_get_varint(in, &n) || n > RING_MEMBERS_MAX)
        return false;
    *count = (size_t)n;
    return true;
}

bool repli_liveness_next(struct base_reader *in, struct repli_liveness *out)
{
    struct base_slice host_id;
    uint8_t alive;
    *out = (struct repli_liveness){0};
    if (!base_get_raw(in, sizeof out->host_id.b, &host_id) || !base_get_u8(in, &alive) ||
        alive > 1 || !base_get_varint(in, &out->latency_us))
        return false;
    memcpy(out->host_id.b, host_id.data, sizeof out->host_id.b);
    out->alive = alive;
    return true;
}
