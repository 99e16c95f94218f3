/* Topology changes: what the metadata log says about members, and what becomes of a snapshot
 * (docs/formats/catalog.md).
 *
 * Invariants:
 *  1. a change that was decoded is whole by itself; whether it fits the state is apply's to say;
 *  2. apply reads nothing but state and change: every node that applies the same log has the same
 *     snapshot;
 *  3. a refusal leaves nothing: the state is as it was, and there is no other;
 *  4. the ring of the new snapshot is merged, not sorted: a change costs a copy of the snapshot. */
#include "ring/ring_private.h"

enum { VERSION = 1 };

/* What is wrong with a change looked at alone, for people; NULL: nothing. */
static const char *change_fault(const struct ring_change *c)
{
    if (ringi_uuid_is_zero(c->host_id))
        return "the host id is zero";
    if (c->kind == RING_CHANGE_JOIN_FINISH || c->kind == RING_CHANGE_JOIN_ABORT)
        return NULL;
    if (!ringi_address_valid(c->address))
        return "the address is not HOST:PORT";
    if (!ringi_name_valid(c->dc) || !ringi_name_valid(c->rack))
        return "the data centre or rack has no name, or an odd one";
    if (c->kind == RING_CHANGE_ADDRESS)
        return NULL;
    if (!ringi_tokens_valid(c->tokens, c->token_count))
        return "the tokens are none, too many, or out of order";
    if (c->kind == RING_CHANGE_FORM &&
        (ringi_uuid_is_zero(c->cluster_id) || !ringi_cluster_name_valid(c->cluster_name)))
        return "the cluster has no id or no name";
    return NULL;
}

/* Bytes. */

static bool has_place(enum ring_change_kind kind)
{
    return kind == RING_CHANGE_FORM || kind == RING_CHANGE_JOIN || kind == RING_CHANGE_ADDRESS;
}

static bool has_tokens(enum ring_change_kind kind)
{
    return kind == RING_CHANGE_FORM || kind == RING_CHANGE_JOIN;
}

static int put_change(const struct ring_change *c, struct base_buf *out)
{
    int rc = base_buf_put_u8(out, VERSION);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, (uint8_t)c->kind);
    if (rc == BASE_OK)
        rc = base_buf_put(out, c->host_id.b, sizeof c->host_id.b);
    if (rc == BASE_OK && c->kind == RING_CHANGE_FORM) {
        rc = base_buf_put(out, c->cluster_id.b, sizeof c->cluster_id.b);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, c->cluster_name);
    }
    if (rc == BASE_OK && has_place(c->kind)) {
        rc = base_buf_put_bytes(out, c->address);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, c->dc);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, c->rack);
    }
    return rc == BASE_OK && has_tokens(c->kind) ? ringi_put_tokens(out, c->tokens, c->token_count)
                                                : rc;
}

int ring_change_encode(const struct ring_change *change, struct base_buf *out)
{
    size_t before = out->len;
    BASE_ASSERT(change->kind >= RING_CHANGE_FORM && change->kind <= RING_CHANGE_ADDRESS);
    int rc = put_change(change, out);
    if (rc != BASE_OK)
        out->len = before;
    return rc;
}

static int get_change(struct base_reader *in, struct base_arena *arena, struct ring_change *c)
{
    uint8_t version, kind;
    struct base_slice s;
    if (!base_get_u8(in, &version) || version != VERSION || !base_get_u8(in, &kind) ||
        kind < RING_CHANGE_FORM || kind > RING_CHANGE_ADDRESS || !ringi_get_uuid(in, &c->host_id))
        return BASE_E_CORRUPT;
    int rc = BASE_OK;
    c->kind = (enum ring_change_kind)kind;
    if (c->kind == RING_CHANGE_FORM) {
        if (!ringi_get_uuid(in, &c->cluster_id) || !base_get_bytes(in, &s))
            return BASE_E_CORRUPT;
        rc = base_arena_copy(arena, s, &c->cluster_name);
    }
    if (has_place(c->kind)) {
        struct base_slice *const fields[] = {&c->address, &c->dc, &c->rack};
        for (size_t i = 0; i < BASE_COUNT(fields) && rc == BASE_OK; i++)
            rc = base_get_bytes(in, &s) ? base_arena_copy(arena, s, fields[i]) : BASE_E_CORRUPT;
    }
    if (rc == BASE_OK && has_tokens(c->kind))
        rc = ringi_get_tokens(in, arena, &c->tokens, &c->token_count);
    return rc == BASE_OK && base_reader_left(in) ? BASE_E_CORRUPT : rc;
}

int ring_change_decode(struct base_arena *arena, struct base_slice bytes, struct ring_change *out,
                       struct base_err *err)
{
    struct base_reader in = base_reader(bytes);
    *out = (struct ring_change){0};
    int rc = get_change(&in, arena, out);
    if (rc == BASE_E_NOMEM)
        base_err_set(err, rc, "topology change: out of memory");
    else if (rc != BASE_OK)
        base_err_set(err, rc, "topology change: the bytes are none of version %d", VERSION);
    else if (change_fault(out))
        rc = base_err_set(err, BASE_E_CORRUPT, "topology change: %s", change_fault(out));
    if (rc != BASE_OK)
        *out = (struct ring_change){0};
    return rc;
}

/* Refusals. */

static bool token_taken(const struct ring_state *state, int64_t token)
{
    return state->ring_count && ring_lookup(state->ring, state->ring_count, token)->token == token;
}

static int may_form(const struct ring_state *state, const struct ring_change *c,
                    struct base_err *err)
{
    (void)c;
    return state->member_count == 0
               ? BASE_OK
               : base_err_set(err, BASE_E_EXISTS, "the cluster \"%.*s\" is there already",
                              BASE_SLICE_ARG(state->cluster_name));
}

static int may_join(const struct ring_state *state, const struct ring_change *c,
                    struct base_err *err)
{
    char text[37];
    if (state->member_count == 0)
        return base_err_set(err, BASE_E_INVALID, "there is no cluster to join");
    base_uuid_print(c->host_id, text);
    if (ring_member_find(state, c->host_id) >= 0)
        return base_err_set(err, BASE_E_EXISTS, "host %s is a member already", text);
    int other = ring_member_find_address(state, c->address);
    if (other >= 0) {
        base_uuid_print(state->members[other].host_id, text);
        return base_err_set(err, BASE_E_EXISTS, "address %.*s is that of member %s",
                            BASE_SLICE_ARG(c->address), text);
    }
    if (!ringi_uuid_is_zero(state->freeze)) {
        base_uuid_print(state->freeze, text);
        return base_err_set(err, BASE_E_BUSY, "host %s is joining; one member joins at a time",
                            text);
    }
    if (state->member_count >= RING_MEMBERS_MAX)
        return base_err_set(err, BASE_E_LIMIT, "the cluster has %d members: more are not possible",
                            RING_MEMBERS_MAX);
    for (size_t i = 0; i < c->token_count; i++)
        if (token_taken(state, c->tokens[i]))
            return base_err_set(err, BASE_E_EXISTS, "token %lld is another member's",
                                (long long)c->tokens[i]);
    return BASE_OK;
}

/* JOIN_FINISH, JOIN_ABORT */
static int may_end_join(const struct ring_state *state, const struct ring_change *c,
                        struct base_err *err)
{
    char text[37];
    int member = ring_member_find(state, c->host_id);
    base_uuid_print(c->host_id, text);
    if (member < 0)
        return base_err_set(err, BASE_E_NOTFOUND, "host %s is no member", text);
    if (state->members[member].state != RING_MEMBER_JOINING)
        return base_err_set(err, BASE_E_INVALID, "host %s is not joining: it has joined", text);
    return BASE_OK;
}

static int may_move(const struct ring_state *state, const struct ring_change *c,
                    struct base_err *err)
{
    char text[37];
    int member = ring_member_find(state, c->host_id),
        other = ring_member_find_address(state, c->address);
    base_uuid_print(c->host_id, text);
    if (member < 0)
        return base_err_set(err, BASE_E_NOTFOUND, "host %s is no member", text);
    if (other >= 0 && other != member) {
        base_uuid_print(state->members[other].host_id, text);
        return base_err_set(err, BASE_E_EXISTS, "address %.*s is that of member %s",
                            BASE_SLICE_ARG(c->address), text);
    }
    const struct ring_member *m = &state->members[member];
    if (m->state == RING_MEMBER_NORMAL &&
        (!base_slice_equal(m->dc, c->dc) || !base_slice_equal(m->rack, c->rack)))
        return base_err_set(err, BASE_E_INVALID,
                            "host %s owns rows as a member of data centre %.*s, rack %.*s, and "
                            "cannot call itself one of %.*s, "
                            "rack %.*s: take the old names, or join as a new node",
                            text, BASE_SLICE_ARG(m->dc), BASE_SLICE_ARG(m->rack),
                            BASE_SLICE_ARG(c->dc), BASE_SLICE_ARG(c->rack));
    return BASE_OK;
}

static int may_apply(const struct ring_state *state, const struct ring_change *c,
                     struct base_err *err)
{
    const char *fault = c->kind >= RING_CHANGE_FORM && c->kind <= RING_CHANGE_ADDRESS
                            ? change_fault(c)
                            : "its kind is none";
    if (fault)
        return base_err_set(err, BASE_E_INVALID, "topology change: %s", fault);
    switch (c->kind) {
    case RING_CHANGE_FORM:
        return may_form(state, c, err);
    case RING_CHANGE_JOIN:
        return may_join(state, c, err);
    case RING_CHANGE_JOIN_FINISH:
    case RING_CHANGE_JOIN_ABORT:
        return may_end_join(state, c, err);
    case RING_CHANGE_ADDRESS:
        return may_move(state, c, err);
    }
    return base_err_set(err, BASE_E_INVALID, "topology change: its kind is none");
}

/* The new snapshot. */

/* A member that is put in (`in` set), taken out (`out`), or both: replaced. */
struct edit {
    const struct ring_member *in;
    bool out;
    size_t at;             /* its index, before and after */
    const int64_t *tokens; /* what the ring gains */
    size_t token_count;
};

static int copy_members(const struct ring_state *state, const struct edit *edit,
                        struct ring_state *next)
{
    size_t count = state->member_count + (edit->in != NULL) - edit->out, from = 0;
    struct ring_member *members = base_arena_alloc(&next->arena, (count + 1) * sizeof *members);
    int rc = members ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; i < count + 1 && rc == BASE_OK; i++) {
        if (i == edit->at && edit->out)
            from++;
        if (i == count)
            break;
        if (i == edit->at && edit->in)
            rc = ringi_member_copy(&next->arena, edit->in, &members[i]);
        else
            rc = ringi_member_copy(&next->arena, &state->members[from++], &members[i]);
    }
    next->members = members;
    next->member_count = count;
    return rc;
}

/* The old ring with members' indexes as they are now, and the new tokens. No member that is taken
 * out owns any. */
static int merge_ring(const struct ring_state *state, const struct edit *edit,
                      struct ring_state *next)
{
    struct ring_owner *ring;
    uint16_t *members;
    int rc = ringi_ring_reserve(next, state->ring_count + edit->token_count, &ring, &members);
    if (rc != BASE_OK)
        return rc;
    int shift = (edit->in != NULL) - (int)edit->out;
    for (size_t i = 0, k = 0, at = 0; at < next->ring_count; at++) {
        if (k < edit->token_count &&
            (i == state->ring_count || edit->tokens[k] < state->ring[i].token)) {
            ring[at] = (struct ring_owner){edit->tokens[k++], edit->in->host_id};
            members[at] = (uint16_t)edit->at;
            continue;
        }
        ring[at] = state->ring[i];
        members[at] =
            (uint16_t)(state->ring_members[i] + (state->ring_members[i] >= edit->at ? shift : 0));
        i++;
    }
    return BASE_OK;
}

static int make(const struct ring_state *state, const struct edit *edit,
                const struct ring_change *form, uint64_t epoch, struct ring_state **out,
                struct base_err *err)
{
    struct ring_state *next = ring_state_new();
    int rc = next ? copy_members(state, edit, next) : BASE_E_NOMEM;
    if (rc == BASE_OK)
        rc = merge_ring(state, edit, next);
    if (rc == BASE_OK && (form || state->member_count))
        rc = base_arena_copy(&next->arena, form ? form->cluster_name : state->cluster_name,
                             &next->cluster_name);
    if (rc != BASE_OK) {
        ring_state_release(next);
        return base_err_set(err, rc, "topology change: out of memory");
    }
    next->epoch = epoch;
    next->cluster_id = form ? form->cluster_id : state->cluster_id;
    for (size_t i = 0; i < next->member_count; i++)
        if (next->members[i].state == RING_MEMBER_JOINING)
            next->freeze = next->members[i].host_id;
    *out = next;
    return BASE_OK;
}

/* Where a host id stands, or would. */
static size_t position(const struct ring_state *state, struct base_uuid host_id)
{
    size_t at = 0;
    while (at < state->member_count &&
           memcmp(state->members[at].host_id.b, host_id.b, sizeof host_id.b) < 0)
        at++;
    return at;
}

int ring_state_apply(const struct ring_state *state, const struct ring_change *c, uint64_t epoch,
                     struct ring_state **out, struct base_err *err)
{
    *out = NULL;
    int rc = may_apply(state, c, err);
    if (rc != BASE_OK)
        return rc;
    struct edit edit = {.at = position(state, c->host_id)};
    edit.out = c->kind != RING_CHANGE_FORM && c->kind != RING_CHANGE_JOIN;
    struct ring_member member = {0};
    if (edit.out)
        member = state->members[edit.at];
    switch (c->kind) {
    case RING_CHANGE_FORM:
    case RING_CHANGE_JOIN:
        member = (struct ring_member){
            .host_id = c->host_id,
            .state = c->kind == RING_CHANGE_FORM ? RING_MEMBER_NORMAL : RING_MEMBER_JOINING,
            .voter = c->kind == RING_CHANGE_FORM,
            .address = c->address,
            .dc = c->dc,
            .rack = c->rack,
            .tokens = c->tokens,
            .token_count = (uint32_t)c->token_count,
        };
        break;
    case RING_CHANGE_JOIN_FINISH:
        member.state = RING_MEMBER_NORMAL;
        member.voter = ring_voter_count(state) < RING_VOTERS_MAX;
        break;
    case RING_CHANGE_ADDRESS:
        member.address = c->address;
        member.dc = c->dc;
        member.rack = c->rack;
        break;
    case RING_CHANGE_JOIN_ABORT:
        break;
    }
    edit.in = c->kind == RING_CHANGE_JOIN_ABORT ? NULL : &member;
    if (c->kind == RING_CHANGE_FORM || c->kind == RING_CHANGE_JOIN_FINISH) {
        edit.tokens = member.tokens;
        edit.token_count = member.token_count;
    }
    return make(state, &edit, c->kind == RING_CHANGE_FORM ? c : NULL, epoch, out, err);
}

int ring_state_advance(const struct ring_state *state, uint64_t epoch, struct ring_state **out,
                       struct base_err *err)
{
    struct edit none = {.at = state->member_count};
    *out = NULL;
    return make(state, &none, NULL, epoch, out, err);
}
