/* Out of memory at every allocation of ring/. Without this a topology change or a peer's snapshot
 * could leak, crash the host, or be half applied. Under the address sanitizer leaks show too. */
#include "base/arena.h"
#include "tests/lib/alloc_fault.h"
#include "tests/unit/ring/cluster_lib.h"

static struct ring_state *state;
static struct base_buf snapshot, change_bytes;
static int64_t tokens[RING_TOKENS_DEFAULT];

static bool broken; /* Check's own assertions allocate, too: they would meet the failure */
static void must(bool holds)
{
    broken |= !holds;
}

static int decode(struct base_err *err)
{
    struct ring_state *out;
    int rc = ring_state_decode(base_buf_view(&snapshot), &out, err);
    must((out != NULL) == (rc == BASE_OK));
    ring_state_release(out);
    return rc;
}

static int encode(struct base_err *err)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    int rc = ring_state_encode(state, &out);
    must(rc == BASE_OK || out.len == 0);
    base_buf_fini(&out);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "encode");
}

static int change_decode(struct base_err *err)
{
    struct base_arena arena;
    struct ring_change out;
    base_arena_init(&arena);
    int rc = ring_change_decode(&arena, base_buf_view(&change_bytes), &out, err);
    must(rc == BASE_OK || out.kind == 0);
    base_arena_fini(&arena);
    return rc;
}

static int apply_join(struct base_err *err)
{
    char text[24];
    struct ring_change change = joins(state, 50, "dc1", "r1", tokens, BASE_COUNT(tokens), text);
    struct ring_state *next;
    int rc = ring_state_apply(state, &change, 99, &next, err);
    must((next != NULL) == (rc == BASE_OK));
    ring_state_release(next);
    return rc;
}

static int advance(struct base_err *err)
{
    struct ring_state *next;
    int rc = ring_state_advance(state, 99, &next, err);
    must((next != NULL) == (rc == BASE_OK));
    ring_state_release(next);
    return rc;
}

static int allocate(struct base_err *err)
{
    int64_t out[RING_TOKENS_DEFAULT];
    return ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r2"), BASE_COUNT(out), 3,
                         out, err);
}

static int placement(const char *const *words, struct base_err *err)
{
    struct ring_placement *p;
    int refs = state->refs, rc = place(state, words, host(1), &p, err);
    must((p != NULL) == (rc == BASE_OK));
    ring_placement_release(p);
    must(state->refs == refs);
    return rc;
}
static int simple(struct base_err *err)
{
    return placement(WORDS("class", "SimpleStrategy", "replication_factor", "3"), err);
}
static int topology(struct base_err *err)
{
    return placement(
        WORDS("class", "NetworkTopologyStrategy", "dc1", "3", "replication_factor", "2"), err);
}
static int local(struct base_err *err)
{
    return placement(WORDS("class", "LocalStrategy"), err);
}
static int everywhere(struct base_err *err)
{
    return placement(WORDS("class", "EverywhereStrategy"), err);
}

START_TEST(every_allocation_fails_once)
{
    int (*const calls[])(struct base_err *) = {decode,  encode,    change_decode, apply_join,
                                               advance, allocate,  simple,        topology,
                                               local,   everywhere};
    struct base_err err;
    char text[24];
    state = ring_state_new();
    for (size_t n = 1; n <= 6; n++)
        add_allocated(&state, n, n % 3 ? "dc1" : "dc2", n % 2 ? "r1" : "r2", RING_TOKENS_DEFAULT,
                      3);
    ck_ok(ring_allocate(state, BASE_SLICE_LIT("dc1"), BASE_SLICE_LIT("r1"), BASE_COUNT(tokens), 3,
                        tokens, &err),
          err);
    struct ring_change change = joins(state, 50, "dc1", "r1", tokens, BASE_COUNT(tokens), text);
    base_buf_init(&snapshot, 1 << 20);
    base_buf_init(&change_bytes, 1 << 20);
    ck_assert_int_eq(ring_state_encode(state, &snapshot), BASE_OK);
    ck_assert_int_eq(ring_change_encode(&change, &change_bytes), BASE_OK);
    for (size_t i = 0; i < BASE_COUNT(calls); i++) {
        unsigned failed = 0;
        for (uint64_t k = 0;; k++) {
            base_err_clear(&err);
            alloc_fault_set(k, 1);
            int rc = calls[i](&err);
            if (!alloc_fault_clear()) {
                ck_assert(rc == BASE_OK && !broken);
                break;
            }
            if (rc != BASE_OK) { /* qsort does without the memory it would have liked */
                ck_assert_msg(rc == BASE_E_NOMEM && err.code == rc && err.text[0],
                              "call %zu, allocation %llu", i, (unsigned long long)k);
                failed++;
            }
            ck_assert(!broken && ring_state_check(state));
        }
        ck_assert_msg(failed > 0, "call %zu allocates nothing?", i);
    }
    base_buf_fini(&snapshot);
    base_buf_fini(&change_bytes);
    ring_state_release(state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring memory");
    TCase *tc = tcase_create("memory");
    tcase_add_test(tc, every_allocation_fails_once);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
