/* Snapshots and topology changes. Without these two nodes could make different clusters of one log,
 * a member could join twice or take another's token or address, and a peer's damaged bytes could
 * become a ring. */
#include "base/arena.h"
#include "tests/unit/ring/cluster_lib.h"

static struct ring_state *state;
static struct base_err err;

static void setup(void)
{
    state = ring_state_new();
    ck_assert_ptr_nonnull(state);
    ck_assert(ring_state_check(state));
}
static void teardown(void)
{
    ring_state_release(state);
}

static const int64_t first[] = {-100, 0, 100}, second[] = {-50, 50}, third[] = {1, 2, 3};

static void refused(const struct ring_change *change, int code)
{
    struct ring_state *next = state;
    ck_fails(ring_state_apply(state, change, state->epoch + 1, &next, &err), code, err);
    ck_assert_ptr_null(next);
}

START_TEST(a_cluster_forms_and_grows)
{
    char text[24];
    add(&state, 5, "dc1", "r1", first, 3);
    ck_assert_uint_eq(state->member_count, 1);
    ck_assert_uint_eq(state->ring_count, 3);
    ck_assert_uint_eq(ring_voter_count(state), 1);
    struct ring_change change = joins(state, 3, "dc1", "r2", second, 2, text);
    apply(&state, &change);
    ck_assert(base_uuid_equal(state->freeze, host(3)));
    ck_assert_uint_eq(state->ring_count, 3); /* it owns nothing yet */
    ck_assert_int_eq(ring_member_find(state, host(3)), 0);
    ck_assert_int_eq(ring_member_find(state, host(5)), 1);
    ck_assert_int_eq(ring_member_find(state, host(4)), -1);
    ck_assert_uint_eq(state->ring_members[0], 1); /* the index moved */
    change.kind = RING_CHANGE_JOIN_FINISH;
    apply(&state, &change);
    ck_assert(base_uuid_equal(state->freeze, (struct base_uuid){{0}}));
    static const int64_t want[] = {-100, -50, 0, 50, 100};
    static const uint16_t whose[] = {1, 0, 1, 0, 1};
    ck_assert_uint_eq(state->ring_count, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(state->ring[i].token, want[i]);
        ck_assert_uint_eq(state->ring_members[i], whose[i]);
    }
    ck_assert_uint_eq(ring_voter_count(state), 2);
    ck_assert_int_eq(ring_member_find_address(state, BASE_SLICE_LIT("h5:7000")), 1);
    ck_assert_int_eq(ring_member_find_address(state, BASE_SLICE_LIT("h5:7001")), -1);
}
END_TEST

START_TEST(a_join_is_given_up)
{
    char text[24];
    add(&state, 1, "dc1", "r1", first, 3);
    add(&state, 9, "dc1", "r1", third + 0, 3);
    struct ring_change change = joins(state, 5, "dc1", "r2", second, 2, text);
    apply(&state, &change);
    change.kind = RING_CHANGE_JOIN_ABORT;
    apply(&state, &change);
    ck_assert_uint_eq(state->member_count, 2);
    ck_assert_uint_eq(state->ring_count, 6);
    ck_assert_int_eq(ring_member_find(state, host(5)), -1);
    add(&state, 6, "dc1", "r2", second, 2); /* its tokens are free again */
}
END_TEST

START_TEST(at_most_five_vote)
{
    for (size_t n = 1; n <= 8; n++) {
        add_allocated(&state, n, "dc1", "r1", 4, 3);
        ck_assert_uint_eq(ring_voter_count(state), n < RING_VOTERS_MAX ? n : RING_VOTERS_MAX);
    }
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(state->members[i].voter, i < RING_VOTERS_MAX);
}
END_TEST

START_TEST(a_member_moves_house)
{
    char text[24];
    add(&state, 1, "dc1", "r1", first, 3);
    add(&state, 2, "dc1", "r1", second, 2);
    struct ring_change change = {.kind = RING_CHANGE_ADDRESS,
                                 .host_id = host(2),
                                 .address = BASE_SLICE_LIT("[::1]:7001"),
                                 .dc = BASE_SLICE_LIT("dc1"),
                                 .rack = BASE_SLICE_LIT("r1")};
    apply(&state, &change);
    ck_assert_int_eq(ring_member_find_address(state, change.address), 1);
    ck_assert_uint_eq(state->ring_count, 5);
    change.rack = BASE_SLICE_LIT("r2"); /* rows would have to move */
    refused(&change, BASE_E_INVALID);
    change.rack = BASE_SLICE_LIT("r1");
    change.address = BASE_SLICE_LIT("h1:7000");
    refused(&change, BASE_E_EXISTS);
    change.host_id = host(3);
    refused(&change, BASE_E_NOTFOUND);
    struct ring_change join = joins(state, 3, "dc1", "r1", third + 1, 2, text);
    apply(&state, &join);
    change.address = BASE_SLICE_LIT("h3:7001");
    change.dc = BASE_SLICE_LIT("dc2"); /* it owns nothing yet */
    apply(&state, &change);
    ck_assert(base_slice_equal(state->members[2].dc, change.dc));
    ck_assert(base_uuid_equal(state->freeze, host(3)));
}
END_TEST

START_TEST(what_is_refused)
{
    char text[24], other[24];
    struct ring_change join = joins(state, 1, "dc1", "r1", first, 3, text);
    join.kind = RING_CHANGE_JOIN;
    refused(&join, BASE_E_INVALID); /* no cluster */
    add(&state, 1, "dc1", "r1", first, 3);
    struct ring_change form = joins(state, 2, "dc1", "r1", second, 2, text);
    form.kind = RING_CHANGE_FORM;
    refused(&form, BASE_E_EXISTS);
    join = joins(state, 2, "dc1", "r1", second, 2, text);
    join.host_id = host(1);
    refused(&join, BASE_E_EXISTS);
    join.host_id = host(2);
    join.address = BASE_SLICE_LIT("h1:7000");
    refused(&join, BASE_E_EXISTS);
    join.address = BASE_SLICE_LIT("h2:7000");
    join.tokens = (const int64_t[]){-7, 100};
    refused(&join, BASE_E_EXISTS);
    struct ring_change end = {.kind = RING_CHANGE_JOIN_FINISH, .host_id = host(2)};
    refused(&end, BASE_E_NOTFOUND);
    end.host_id = host(1);
    refused(&end, BASE_E_INVALID);
    end.kind = RING_CHANGE_JOIN_ABORT;
    refused(&end, BASE_E_INVALID);
    join.tokens = second;
    apply(&state, &join);
    struct ring_change busy = joins(state, 3, "dc1", "r1", third, 3, other);
    refused(&busy, BASE_E_BUSY);
    /* who asks again learns that it is known, not that it is busy */
    busy = joins(state, 2, "dc1", "r1", third, 3, other);
    refused(&busy, BASE_E_EXISTS);
}
END_TEST

/* Each field wrong by itself: refused by apply as INVALID, and by decode as CORRUPT. */
START_TEST(odd_changes)
{
    static uint8_t longer[RING_CLUSTER_NAME_LEN_MAX + 1];
    static int64_t many[RING_TOKENS_MAX + 1];
    memset(longer, 'x', sizeof longer);
    for (size_t i = 0; i < BASE_COUNT(many); i++)
        many[i] = (int64_t)i;
    char text[24];
    struct ring_change good = joins(state, 1, "dc1", "r1", first, 3, text), bad[24];
    size_t count = 0;
#define BAD(field, ...) (bad[count] = good, bad[count].field = __VA_ARGS__, count++)
    BAD(host_id, host(0));
    BAD(cluster_id, host(0));
    BAD(cluster_name, base_slice(longer, sizeof longer));
    BAD(cluster_name, base_slice("", 0));
    BAD(address, base_slice("h", 1));
    BAD(address, base_slice_str(":7000"));
    BAD(address, base_slice_str("h:0"));
    BAD(address, base_slice_str("h:65536"));
    BAD(address, base_slice_str("h:123456"));
    BAD(address, base_slice_str("h h:7000"));
    BAD(address, base_slice_str("7000"));
    BAD(address, base_slice("", 0));
    BAD(dc, base_slice("", 0));
    BAD(dc, base_slice_str("a\nb"));
    BAD(dc, base_slice_str("\xff"));
    BAD(rack, base_slice(longer, RING_NAME_LEN_MAX + 1));
    BAD(token_count, 0);
    BAD(tokens, (const int64_t[]){1, 1, 2});
    BAD(tokens, (const int64_t[]){3, 2, 4});
    BAD(tokens, (const int64_t[]){INT64_MIN, 2, 4});
    bad[count] = good;
    bad[count].tokens = many;
    bad[count++].token_count = BASE_COUNT(many);
#undef BAD
    for (size_t i = 0; i < count; i++) {
        struct base_buf buf;
        struct base_arena arena;
        struct ring_change out;
        refused(&bad[i], BASE_E_INVALID);
        base_buf_init(&buf, 1 << 20);
        base_arena_init(&arena);
        ck_assert_int_eq(ring_change_encode(&bad[i], &buf), BASE_OK);
        ck_fails(ring_change_decode(&arena, base_buf_view(&buf), &out, &err), BASE_E_CORRUPT, err);
        base_arena_fini(&arena);
        base_buf_fini(&buf);
    }
    good.kind = (enum ring_change_kind)6;
    refused(&good, BASE_E_INVALID);
    good.kind = RING_CHANGE_FORM;
    good.address = base_slice_str("[fe80::1]:65535");
    apply(&state, &good);
}
END_TEST

static bool changes_equal(const struct ring_change *a, const struct ring_change *b)
{
    return a->kind == b->kind && base_uuid_equal(a->host_id, b->host_id) &&
           base_uuid_equal(a->cluster_id, b->cluster_id) &&
           base_slice_equal(a->cluster_name, b->cluster_name) &&
           base_slice_equal(a->address, b->address) && base_slice_equal(a->dc, b->dc) &&
           base_slice_equal(a->rack, b->rack) && a->token_count == b->token_count &&
           (a->token_count == 0 ||
            memcmp(a->tokens, b->tokens, a->token_count * sizeof *a->tokens) == 0);
}

START_TEST(changes_as_bytes)
{
    char text[24];
    struct ring_change form = joins(state, 1, "dc1", "r1", first, 3, text), join = form, address,
                       finish, abort_;
    join.kind = RING_CHANGE_JOIN;
    join.cluster_id = host(0);
    join.cluster_name = (struct base_slice){0};
    address = join;
    address.kind = RING_CHANGE_ADDRESS;
    address.token_count = 0;
    finish = (struct ring_change){.kind = RING_CHANGE_JOIN_FINISH, .host_id = host(9)};
    abort_ = finish;
    abort_.kind = RING_CHANGE_JOIN_ABORT;
    const struct ring_change *all[] = {&form, &join, &address, &finish, &abort_};
    for (size_t i = 0; i < BASE_COUNT(all); i++) {
        struct base_buf buf;
        struct base_arena arena;
        struct ring_change out;
        base_buf_init(&buf, 1 << 16);
        base_arena_init(&arena);
        ck_assert_int_eq(ring_change_encode(all[i], &buf), BASE_OK);
        ck_ok(ring_change_decode(&arena, base_buf_view(&buf), &out, &err), err);
        ck_assert(changes_equal(all[i], &out));
        for (size_t len = 0; len < buf.len; len++) {
            ck_fails(ring_change_decode(&arena, base_slice(buf.data, len), &out, &err),
                     BASE_E_CORRUPT, err);
            ck_assert(changes_equal(&out, &(struct ring_change){0}));
        }
        ck_assert_int_eq(base_buf_put_u8(&buf, 0), BASE_OK);
        ck_fails(ring_change_decode(&arena, base_buf_view(&buf), &out, &err), BASE_E_CORRUPT, err);
        base_arena_fini(&arena);
        base_buf_fini(&buf);
    }
}
END_TEST

static void assert_same(const struct ring_state *a, const struct ring_state *b)
{
    ck_assert_uint_eq(a->epoch, b->epoch);
    ck_assert(base_uuid_equal(a->cluster_id, b->cluster_id) &&
              base_uuid_equal(a->freeze, b->freeze));
    ck_assert(base_slice_equal(a->cluster_name, b->cluster_name));
    ck_assert_uint_eq(a->member_count, b->member_count);
    ck_assert_uint_eq(a->ring_count, b->ring_count);
    for (size_t i = 0; i < a->member_count; i++) {
        const struct ring_member *m = &a->members[i], *n = &b->members[i];
        ck_assert(base_uuid_equal(m->host_id, n->host_id) && m->state == n->state &&
                  m->voter == n->voter);
        ck_assert(base_slice_equal(m->address, n->address) && base_slice_equal(m->dc, n->dc) &&
                  base_slice_equal(m->rack, n->rack));
        ck_assert(m->token_count == n->token_count &&
                  memcmp(m->tokens, n->tokens, m->token_count * sizeof *m->tokens) == 0);
    }
    for (size_t i = 0; i < a->ring_count; i++)
        ck_assert(a->ring[i].token == b->ring[i].token &&
                  base_uuid_equal(a->ring[i].host, b->ring[i].host) &&
                  a->ring_members[i] == b->ring_members[i]);
}

/* Round trip at every size, also while one joins; each truncation is refused; so is one byte
 * more. */
START_TEST(snapshots_as_bytes)
{
    char text[24];
    struct ring_state *out;
    struct base_buf buf;
    base_buf_init(&buf, 1 << 20);
    for (size_t n = 0; n < 9; n++) {
        if (n == 8) {
            struct ring_change change = joins(state, 100, "dc1", "r1", third, 3, text);
            apply(&state, &change);
        } else if (n > 0) {
            add_allocated(&state, 1 + (n * 5) % 9, n % 2 ? "dc1" : "dc2", n % 3 ? "r1" : "r2", n,
                          3);
        }
        base_buf_reset(&buf);
        ck_assert_int_eq(ring_state_encode(state, &buf), BASE_OK);
        ck_ok(ring_state_decode(base_buf_view(&buf), &out, &err), err);
        ck_assert(ring_state_check(out));
        assert_same(state, out);
        ring_state_release(out);
        for (size_t len = 0; len < buf.len; len++) {
            ck_fails(ring_state_decode(base_slice(buf.data, len), &out, &err), BASE_E_CORRUPT, err);
            ck_assert_ptr_null(out);
        }
        ck_assert_int_eq(base_buf_put_u8(&buf, 0), BASE_OK);
        ck_fails(ring_state_decode(base_buf_view(&buf), &out, &err), BASE_E_CORRUPT, err);
    }
    base_buf_fini(&buf);
}
END_TEST

/* Snapshots that a peer should not have made: each is encoded from a struct that breaks one
 * invariant. */
START_TEST(odd_snapshots)
{
    add(&state, 1, "dc1", "r1", first, 3);
    add(&state, 2, "dc1", "r1", second, 2);
    add(&state, 3, "dc1", "r1", third, 3);
    for (int what = 0; what < 13; what++) {
        struct ring_member members[3];
        struct ring_state odd = *state, *out;
        int code = BASE_E_CORRUPT;
        memcpy(members, state->members, sizeof members);
        odd.members = members;
        switch (what) {
        case 0:
            members[1].host_id = host(1);
            break;
        case 1:
            members[0].host_id = host(8);
            break;
        case 2:
            members[0].host_id = host(0);
            break;
        case 3:
            members[2].address = members[0].address;
            break;
        case 4:
            members[2].tokens = second, members[2].token_count = 2;
            break;
        case 5:
            members[0].state = members[1].state = RING_MEMBER_JOINING,
            members[0].voter = members[1].voter = false;
            break;
        case 6:
            members[0].state = RING_MEMBER_JOINING;
            break; /* and a voter */
        case 7:
            members[0].voter = members[1].voter = members[2].voter = false;
            break;
        case 8:
            members[1].token_count = 0;
            break;
        case 9:
            odd.cluster_id = host(0);
            break;
        case 10:
            odd.cluster_name.len = 0;
            break;
        case 11:
            odd.member_count = 0;
            break; /* a name without members */
        case 12:
            members[1].state = (enum ring_member_state)3;
            break;
        }
        struct base_buf buf;
        base_buf_init(&buf, 1 << 16);
        ck_assert_int_eq(ring_state_encode(&odd, &buf), BASE_OK);
        ck_fails(ring_state_decode(base_buf_view(&buf), &out, &err), code, err);
        ck_assert_ptr_null(out);
        base_buf_fini(&buf);
    }
}
END_TEST

/* Six voters; a flag that is none. */
START_TEST(odd_flags)
{
    struct ring_member members[6];
    struct ring_state odd, *out;
    struct base_buf buf;
    for (size_t n = 1; n <= 6; n++)
        add_allocated(&state, n, "dc1", "r1", 2, 3);
    memcpy(members, state->members, sizeof members);
    members[5].voter = true;
    odd = *state;
    odd.members = members;
    ck_assert(!ring_state_check(&odd));
    base_buf_init(&buf, 1 << 16);
    ck_assert_int_eq(ring_state_encode(&odd, &buf), BASE_OK);
    ck_fails(ring_state_decode(base_buf_view(&buf), &out, &err), BASE_E_CORRUPT, err);
    base_buf_reset(&buf);
    ck_assert_int_eq(ring_state_encode(state, &buf), BASE_OK);
    uint8_t *flags = memmem(buf.data, buf.len, host(6).b, 16);
    ck_assert_ptr_nonnull(flags);
    flags += 17;
    ck_assert_uint_eq(*flags, 0);
    *flags = 2;
    ck_fails(ring_state_decode(base_buf_view(&buf), &out, &err), BASE_E_CORRUPT, err);
    *flags = 0;
    ck_ok(ring_state_decode(base_buf_view(&buf), &out, &err), err);
    ring_state_release(out);
    base_buf_fini(&buf);
}
END_TEST

START_TEST(too_many_members)
{
    struct base_buf buf;
    struct ring_state *out;
    base_buf_init(&buf, 1 << 16);
    ck_assert_int_eq(base_buf_put_u8(&buf, 1) | base_buf_put_varint(&buf, 1) |
                         base_buf_put(&buf, host(1).b, 16) |
                         base_buf_put_bytes(&buf, BASE_SLICE_LIT("c")) |
                         base_buf_put_varint(&buf, RING_MEMBERS_MAX + 1),
                     BASE_OK);
    ck_fails(ring_state_decode(base_buf_view(&buf), &out, &err), BASE_E_LIMIT, err);
    base_buf_fini(&buf);
}
END_TEST

START_TEST(encoding_that_does_not_fit_leaves_nothing)
{
    struct base_buf buf;
    add(&state, 1, "dc1", "r1", first, 3);
    base_buf_init(&buf, 50);
    ck_assert_int_eq(base_buf_put_u8(&buf, 9), BASE_OK);
    ck_assert_int_eq(ring_state_encode(state, &buf), BASE_E_LIMIT);
    ck_assert_uint_eq(buf.len, 1);
    base_buf_fini(&buf);
}
END_TEST

START_TEST(an_epoch_passes)
{
    struct ring_state *next;
    ck_ok(ring_state_advance(state, 3, &next, &err), err); /* before there is a cluster */
    ck_assert(ring_state_check(next) && next->epoch == 3 && next->member_count == 0);
    ring_state_release(next);
    add(&state, 1, "dc1", "r1", first, 3);
    add(&state, 2, "dc2", "r1", second, 2);
    ck_ok(ring_state_advance(state, 77, &next, &err), err);
    ck_assert(ring_state_check(next));
    ck_assert_uint_eq(next->epoch, 77);
    next->epoch = state->epoch;
    assert_same(state, next);
    ring_state_release(next);
}
END_TEST

/* ring_state_check itself sees what is wrong. */
START_TEST(check_sees)
{
    char text[24];
    add(&state, 1, "dc1", "r1", first, 3);
    add(&state, 2, "dc1", "r1", second, 2);
    struct ring_change change = joins(state, 3, "dc1", "r1", third, 3, text);
    apply(&state, &change);
    struct ring_state odd = *state;
    odd.freeze = host(0);
    ck_assert(!ring_state_check(&odd));
    odd = *state;
    odd.ring_count--;
    ck_assert(!ring_state_check(&odd));
    uint16_t whose[5] = {0};
    odd = *state;
    odd.ring_members = whose;
    ck_assert(!ring_state_check(&odd));
    odd = *state;
    odd.refs = 0;
    ck_assert(!ring_state_check(&odd));
    struct ring_member members[3];
    memcpy(members, state->members, sizeof members);
    members[2].tokens = first; /* one that joins with an owner's tokens */
    odd = *state;
    odd.members = members;
    ck_assert(!ring_state_check(&odd));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring state");
    TCase *tc = tcase_create("state");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_cluster_forms_and_grows);
    tcase_add_test(tc, a_join_is_given_up);
    tcase_add_test(tc, at_most_five_vote);
    tcase_add_test(tc, a_member_moves_house);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, odd_changes);
    tcase_add_test(tc, changes_as_bytes);
    tcase_add_test(tc, snapshots_as_bytes);
    tcase_add_test(tc, odd_snapshots);
    tcase_add_test(tc, odd_flags);
    tcase_add_test(tc, too_many_members);
    tcase_add_test(tc, encoding_that_does_not_fit_leaves_nothing);
    tcase_add_test(tc, an_epoch_passes);
    tcase_add_test(tc, check_sees);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
