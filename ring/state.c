/* Snapshots of the cluster: references, lookup, and the form in which they are kept and sent
 * (docs/formats/catalog.md).
 *
 * Invariants, all looked at by ring_state_check and by ring_state_decode alike, for the bytes come
 * from a disk or a peer:
 *  1. members ascend by host id, none twice, none zero; no two listen at one address;
 *  2. a member's tokens ascend, and no token is anybody else's; none is INT64_MIN;
 *  3. `ring` holds the tokens of the NORMAL members and no others, ascending; ring_members says
 *     whose they are;
 *  4. at most one member is JOINING, and `freeze` names it;
 *  5. where there are members, at least one is NORMAL and a voter, at most RING_VOTERS_MAX are
 *     voters, all of them NORMAL, and the cluster has its id and name; where there are none, it has
 *     neither. */
#include "base/json.h"
#include "ring/ring_private.h"

enum { VERSION = 1, FLAG_VOTER = 1 };

/* References and lookup. */

struct ring_state *ring_state_new(void)
{
    struct ring_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    base_arena_init(&state->arena);
    state->refs = 1;
    return state;
}

struct ring_state *ring_state_acquire(struct ring_state *state)
{
    int before = __atomic_fetch_add(&state->refs, 1, __ATOMIC_RELAXED);
    BASE_ASSERT(before > 0);
    return state;
}

void ring_state_release(struct ring_state *state)
{
    if (!state)
        return;
    int before = __atomic_fetch_sub(&state->refs, 1, __ATOMIC_ACQ_REL);
    BASE_ASSERT(before > 0);
    if (before == 1) {
        base_arena_fini(&state->arena);
        free(state);
    }
}

int ring_member_find(const struct ring_state *state, struct base_uuid host_id)
{
    size_t low = 0, high = state->member_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = memcmp(state->members[mid].host_id.b, host_id.b, sizeof host_id.b);
        if (c == 0)
            return (int)mid;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

int ring_member_find_address(const struct ring_state *state, struct base_slice address)
{
    for (size_t i = 0; i < state->member_count; i++)
        if (base_slice_equal(state->members[i].address, address))
            return (int)i;
    return -1;
}

size_t ring_voter_count(const struct ring_state *state)
{
    size_t count = 0;
    for (size_t i = 0; i < state->member_count; i++)
        count += state->members[i].voter;
    return count;
}

/* What may stand in a member. */

bool ringi_uuid_is_zero(struct base_uuid id)
{
    return base_uuid_equal(id, (struct base_uuid){{0}});
}

static bool text_valid(struct base_slice text, size_t len_max)
{
    if (text.len == 0 || text.len > len_max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return base_utf8_valid(text);
}

bool ringi_name_valid(struct base_slice name)
{
    return text_valid(name, RING_NAME_LEN_MAX);
}

bool ringi_cluster_name_valid(struct base_slice name)
{
    return text_valid(name, RING_CLUSTER_NAME_LEN_MAX);
}

/* HOST:PORT; whether the host is one is for the resolver to say. */
bool ringi_address_valid(struct base_slice address)
{
    if (address.len > RING_ADDRESS_LEN_MAX)
        return false;
    size_t at = address.len;
    unsigned port = 0, scale = 1;
    for (; at > 0 && address.data[at - 1] >= '0' && address.data[at - 1] <= '9' && scale <= 10000;
         at--, scale *= 10)
        port += (unsigned)(address.data[at - 1] - '0') * scale;
    if (port == 0 || port > 65535 || at < 2 || address.data[at - 1] != ':')
        return false;
    for (size_t i = 0; i < at; i++)
        if (address.data[i] <= ' ' || address.data[i] >= 0x7f)
            return false;
    return true;
}

bool ringi_tokens_valid(const int64_t *tokens, size_t count)
{
    if (count == 0 || count > RING_TOKENS_MAX || tokens[0] == INT64_MIN)
        return false;
    for (size_t i = 1; i < count; i++)
        if (tokens[i - 1] >= tokens[i])
            return false;
    return true;
}

const char *ringi_member_fault(const struct ring_member *m)
{
    if (ringi_uuid_is_zero(m->host_id))
        return "its host id is zero";
    if (m->state != RING_MEMBER_JOINING && m->state != RING_MEMBER_NORMAL)
        return "its state is none";
    if (m->voter && m->state != RING_MEMBER_NORMAL)
        return "it votes before it has joined";
    if (!ringi_address_valid(m->address))
        return "its address is not HOST:PORT";
    if (!ringi_name_valid(m->dc) || !ringi_name_valid(m->rack))
        return "its data centre or rack has no name, or an odd one";
    if (!ringi_tokens_valid(m->tokens, m->token_count))
        return "its tokens are none, too many, or out of order";
    return NULL;
}

static int compare_slices(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

/* What is wrong between members; *fault NULL: nothing. NOMEM. */
static int members_fault(const struct ring_state *state, const char **fault)
{
    size_t count = state->member_count, joining = 0, normal = 0, voters = ring_voter_count(state);
    struct base_slice *addresses = malloc((count + 1) * sizeof *addresses);
    *fault = NULL;
    if (!addresses)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct ring_member *m = &state->members[i];
        addresses[i] = m->address;
        joining += m->state == RING_MEMBER_JOINING;
        normal += m->state == RING_MEMBER_NORMAL;
        if (i && memcmp(m[-1].host_id.b, m->host_id.b, sizeof m->host_id.b) >= 0)
            *fault = "members are not ascending by host id";
    }
    qsort(addresses, count, sizeof *addresses, compare_slices);
    for (size_t i = 1; i < count; i++)
        if (base_slice_equal(addresses[i - 1], addresses[i]))
            *fault = "two members have one address";
    free(addresses);
    if (joining > 1)
        *fault = "more than one member is joining";
    else if (count && (normal == 0 || voters == 0))
        *fault = "no member votes";
    else if (voters > RING_VOTERS_MAX)
        *fault = "too many members vote";
    else if (count && (ringi_uuid_is_zero(state->cluster_id) ||
                       !ringi_cluster_name_valid(state->cluster_name)))
        *fault = "the cluster has no id or no name";
    else if (!count && (!ringi_uuid_is_zero(state->cluster_id) || state->cluster_name.len))
        *fault = "a cluster without members";
    return BASE_OK;
}

/* Making. */

int ringi_member_copy(struct base_arena *arena, const struct ring_member *from,
                      struct ring_member *out)
{
    *out = *from;
    int64_t *tokens = base_arena_alloc(arena, from->token_count * sizeof *tokens);
    if (!tokens || base_arena_copy(arena, from->address, &out->address) != BASE_OK ||
        base_arena_copy(arena, from->dc, &out->dc) != BASE_OK ||
        base_arena_copy(arena, from->rack, &out->rack) != BASE_OK)
        return BASE_E_NOMEM;
    memcpy(tokens, from->tokens, from->token_count * sizeof *tokens);
    out->tokens = tokens;
    return BASE_OK;
}

int ringi_ring_reserve(struct ring_state *state, size_t count, struct ring_owner **ring,
                       uint16_t **members)
{
    *ring = base_arena_alloc(&state->arena, count * sizeof **ring);
    *members = base_arena_alloc(&state->arena, count * sizeof **members);
    if (!*ring || !*members)
        return BASE_E_NOMEM;
    state->ring = *ring;
    state->ring_members = *members;
    state->ring_count = count;
    return BASE_OK;
}

struct owned {
    int64_t token;
    uint16_t member;
};

static int compare_owned(const void *a, const void *b)
{
    const struct owned *x = a, *y = b;
    return (x->token > y->token) - (x->token < y->token);
}

/* The ring of the members. False in *distinct: a token is somebody else's too, JOINING members'
 * included. NOMEM. */
static int ring_make(struct ring_state *state, bool *distinct)
{
    size_t count = 0, normal = 0, at = 0;
    for (size_t i = 0; i < state->member_count; i++) {
        count += state->members[i].token_count;
        normal += state->members[i].state == RING_MEMBER_NORMAL ? state->members[i].token_count : 0;
    }
    struct owned *all = malloc((count + 1) * sizeof *all);
    struct ring_owner *ring;
    uint16_t *members;
    int rc = all ? ringi_ring_reserve(state, normal, &ring, &members) : BASE_E_NOMEM;
    if (rc != BASE_OK)
        goto out;
    count = 0;
    for (size_t i = 0; i < state->member_count; i++)
        for (size_t k = 0; k < state->members[i].token_count; k++)
            all[count++] = (struct owned){state->members[i].tokens[k], (uint16_t)i};
    qsort(all, count, sizeof *all, compare_owned);
    *distinct = true;
    for (size_t i = 0; i < count; i++) {
        const struct ring_member *m = &state->members[all[i].member];
        if (i && all[i].token == all[i - 1].token)
            *distinct = false;
        if (m->state != RING_MEMBER_NORMAL)
            continue;
        ring[at] = (struct ring_owner){all[i].token, m->host_id};
        members[at++] = all[i].member;
    }
    BASE_ASSERT(at == normal);
out:
    free(all);
    return rc;
}

/* Bytes. */

bool ringi_get_uuid(struct base_reader *in, struct base_uuid *id)
{
    struct base_slice s;
    *id = (struct base_uuid){{0}};
    if (!base_get_raw(in, sizeof id->b, &s))
        return false;
    memcpy(id->b, s.data, sizeof id->b);
    return true;
}

int ringi_put_tokens(struct base_buf *out, const int64_t *tokens, size_t count)
{
    int rc = base_buf_put_varint(out, count);
    for (size_t i = 0; i < count && rc == BASE_OK; i++)
        rc = base_buf_put_le64(out, (uint64_t)tokens[i]);
    return rc;
}

int ringi_get_tokens(struct base_reader *in, struct base_arena *arena, const int64_t **tokens,
                     size_t *count)
{
    uint64_t wanted;
    *tokens = NULL;
    *count = 0;
    if (!base_get_varint(in, &wanted) || wanted > RING_TOKENS_MAX ||
        base_reader_left(in) < wanted * sizeof **tokens)
        return BASE_E_CORRUPT;
    int64_t *copy = base_arena_alloc(arena, (size_t)(wanted ? wanted : 1) * sizeof *copy);
    if (!copy)
        return BASE_E_NOMEM;
    for (uint64_t i = 0; i < wanted; i++) {
        uint64_t token;
        if (!base_get_u64le(in, &token))
            return BASE_E_CORRUPT;
        copy[i] = (int64_t)token;
    }
    *tokens = copy;
    *count = (size_t)wanted;
    return BASE_OK;
}

static int put_member(struct base_buf *out, const struct ring_member *m)
{
    int rc = base_buf_put(out, m->host_id.b, sizeof m->host_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, (uint8_t)m->state);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, m->voter ? FLAG_VOTER : 0);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, m->address);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, m->dc);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, m->rack);
    return rc == BASE_OK ? ringi_put_tokens(out, m->tokens, m->token_count) : rc;
}

int ring_state_encode(const struct ring_state *state, struct base_buf *out)
{
    size_t before = out->len;
    int rc = base_buf_put_u8(out, VERSION);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, state->epoch);
    if (rc == BASE_OK)
        rc = base_buf_put(out, state->cluster_id.b, sizeof state->cluster_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, state->cluster_name);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, state->member_count);
    for (size_t i = 0; i < state->member_count && rc == BASE_OK; i++)
        rc = put_member(out, &state->members[i]);
    if (rc != BASE_OK)
        out->len = before;
    return rc;
}

static int get_member(struct base_reader *in, struct base_arena *arena, struct ring_member *out)
{
    uint8_t member_state, flags;
    struct base_slice address, dc, rack;
    size_t token_count;
    if (!ringi_get_uuid(in, &out->host_id) || !base_get_u8(in, &member_state) ||
        !base_get_u8(in, &flags) || (flags & ~FLAG_VOTER) || !base_get_bytes(in, &address) ||
        !base_get_bytes(in, &dc) || !base_get_bytes(in, &rack))
        return BASE_E_CORRUPT;
    out->state = (enum ring_member_state)member_state;
    out->voter = flags & FLAG_VOTER;
    int rc = ringi_get_tokens(in, arena, &out->tokens, &token_count);
    if (rc == BASE_OK)
        rc = base_arena_copy(arena, address, &out->address);
    if (rc == BASE_OK)
        rc = base_arena_copy(arena, dc, &out->dc);
    if (rc == BASE_OK)
        rc = base_arena_copy(arena, rack, &out->rack);
    out->token_count = (uint32_t)token_count;
    return rc;
}

/* The members, each whole and in its place. */
static int get_members(struct base_reader *in, struct ring_state *state, struct base_err *err)
{
    uint64_t count;
    if (!base_get_varint(in, &count))
        return base_err_set(err, BASE_E_CORRUPT, "ring: the bytes end early");
    if (count > RING_MEMBERS_MAX)
        return base_err_set(err, BASE_E_LIMIT, "ring: %llu members, at most %d are possible",
                            (unsigned long long)count, RING_MEMBERS_MAX);
    struct ring_member *members =
        base_arena_zalloc(&state->arena, (size_t)(count + 1) * sizeof *members);
    if (!members)
        return base_err_set(err, BASE_E_NOMEM, "ring: out of memory");
    for (size_t i = 0; i < count; i++) {
        int rc = get_member(in, &state->arena, &members[i]);
        const char *fault = rc == BASE_OK ? ringi_member_fault(&members[i]) : "it cannot be read";
        if (rc == BASE_E_NOMEM)
            return base_err_set(err, rc, "ring: out of memory");
        if (fault)
            return base_err_set(err, BASE_E_CORRUPT, "ring: member %zu: %s", i, fault);
        if (members[i].state == RING_MEMBER_JOINING)
            state->freeze = members[i].host_id;
    }
    state->members = members;
    state->member_count = (size_t)count;
    return BASE_OK;
}

int ring_state_decode(struct base_slice bytes, struct ring_state **out, struct base_err *err)
{
    struct base_reader in = base_reader(bytes);
    struct base_slice name;
    uint8_t version;
    const char *fault = NULL;
    bool distinct;
    *out = NULL;
    struct ring_state *state = ring_state_new();
    if (!state)
        return base_err_set(err, BASE_E_NOMEM, "ring: out of memory");
    int rc = BASE_E_CORRUPT;
    if (!base_get_u8(&in, &version) || version != VERSION) {
        base_err_set(err, rc, "ring: not of version %d", VERSION);
        goto out;
    }
    if (!base_get_varint(&in, &state->epoch) || !ringi_get_uuid(&in, &state->cluster_id) ||
        !base_get_bytes(&in, &name)) {
        base_err_set(err, rc, "ring: the bytes end early");
        goto out;
    }
    rc = get_members(&in, state, err);
    if (rc != BASE_OK)
        goto out;
    rc = name.len ? base_arena_copy(&state->arena, name, &state->cluster_name) : BASE_OK;
    if (rc == BASE_OK)
        rc = members_fault(state, &fault);
    if (rc == BASE_OK)
        rc = ring_make(state, &distinct);
    if (rc != BASE_OK) {
        base_err_set(err, rc, "ring: out of memory");
        goto out;
    }
    fault = fault                   ? fault
            : !distinct             ? "two members have one token"
            : base_reader_left(&in) ? "more bytes than members"
                                    : NULL;
    if (fault)
        rc = base_err_set(err, BASE_E_CORRUPT, "ring: %s", fault);
out:
    if (rc == BASE_OK)
        *out = state;
    else
        ring_state_release(state);
    return rc;
}

/* Check. */

/* Is each token of the ring its member's, and are there as many as the NORMAL members have? */
static bool ring_fits(const struct ring_state *state)
{
    size_t count = 0;
    for (size_t i = 0; i < state->member_count; i++)
        count += state->members[i].state == RING_MEMBER_NORMAL ? state->members[i].token_count : 0;
    if (count != state->ring_count || (count && !ring_check(state->ring, count)))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct ring_member *m = &state->members[state->ring_members[i]];
        size_t low = 0, high = m->token_count;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (m->tokens[mid] < state->ring[i].token)
                low = mid + 1;
            else
                high = mid;
        }
        if (m->state != RING_MEMBER_NORMAL || !base_uuid_equal(m->host_id, state->ring[i].host) ||
            low == m->token_count || m->tokens[low] != state->ring[i].token)
            return false;
    }
    return true;
}

bool ring_state_check(const struct ring_state *state)
{
    const char *fault;
    struct base_uuid joining = {{0}};
    for (size_t i = 0; i < state->member_count; i++) {
        const struct ring_member *m = &state->members[i];
        if (ringi_member_fault(m))
            return false;
        if (m->state != RING_MEMBER_JOINING)
            continue;
        joining = m->host_id;
        for (size_t k = 0; k < m->token_count; k++)
            if (state->ring_count &&
                ring_lookup(state->ring, state->ring_count, m->tokens[k])->token == m->tokens[k])
                return false;
    }
    return __atomic_load_n(&state->refs, __ATOMIC_RELAXED) > 0 &&
           members_fault(state, &fault) == BASE_OK && !fault &&
           base_uuid_equal(state->freeze, joining) && ring_fits(state);
}
