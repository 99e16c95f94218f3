/* Fuzz target: bytes as a snapshot of the ring and a topology change: le16 length of the first,
 * first, second. What is decoded must be sound, encode to bytes that say the same, take the change
 * or refuse it, and give placements and tokens; what is refused must only not crash. */
#include "ring/cluster.h"
#include "tests/fuzz/fuzz_lib.h"

enum { BYTES_MAX = 1 << 20, WORK_MAX = 512 };

static void same_again(const struct ring_state *state)
{
    struct base_buf once, twice;
    struct ring_state *again;
    base_buf_init(&once, BYTES_MAX);
    base_buf_init(&twice, BYTES_MAX);
    require(ring_state_encode(state, &once) == BASE_OK);
    require(ring_state_decode(base_buf_view(&once), &again, NULL) == BASE_OK);
    require(ring_state_encode(again, &twice) == BASE_OK);
    require(base_slice_equal(base_buf_view(&once), base_buf_view(&twice)));
    ring_state_release(again);
    base_buf_fini(&once);
    base_buf_fini(&twice);
}

static void place(struct ring_state *state)
{
    struct base_option options[] = {
        {BASE_SLICE_LIT("class"), BASE_SLICE_LIT("NetworkTopologyStrategy")},
        {BASE_SLICE_LIT("replication_factor"), BASE_SLICE_LIT("2")}};
    struct ring_placement *p;
    require(ring_placement_new(state, &(struct base_options){options, 2}, (struct base_uuid){{1}},
                               &p, NULL) == BASE_OK);
    for (size_t i = 0; i < p->range_count; i++) {
        require(i == 0 || p->ranges[i - 1].upto < p->ranges[i].upto);
        require(ring_placement_find(p, p->ranges[i].upto) == &p->ranges[i]);
        require((p->ranges[i].read.count > 0) == (state->member_count > 0));
        for (uint16_t k = 0; k < p->ranges[i].read.count; k++)
            require(p->ranges[i].read.members[k] < state->member_count);
    }
    require(p->ranges[p->range_count - 1].upto == INT64_MAX);
    ring_placement_release(p);
}

/* One more member, in the place of the first. */
static void grow(const struct ring_state *state)
{
    int64_t tokens[3];
    const struct ring_member *first = state->members;
    struct ring_change join = {.kind = RING_CHANGE_JOIN,
                               .host_id = {{0xfe, 1}},
                               .address = BASE_SLICE_LIT("fuzz:1"),
                               .dc = first->dc,
                               .rack = first->rack,
                               .tokens = tokens,
                               .token_count = 3};
    struct ring_state *next;
    require(ring_allocate(state, join.dc, join.rack, 3, 3, tokens, NULL) == BASE_OK);
    int rc = ring_state_apply(state, &join, state->epoch, &next, NULL);
    require(rc == BASE_OK || rc == BASE_E_BUSY || rc == BASE_E_EXISTS);
    require(rc != BASE_OK || ring_state_check(next));
    ring_state_release(next);
}

static void apply(const struct ring_state *state, struct base_slice bytes)
{
    struct base_arena arena;
    struct ring_change change, again;
    struct ring_state *next;
    struct base_buf buf;
    base_arena_init(&arena);
    base_buf_init(&buf, BYTES_MAX);
    if (ring_change_decode(&arena, bytes, &change, NULL) == BASE_OK) {
        require(ring_change_encode(&change, &buf) == BASE_OK);
        require(ring_change_decode(&arena, base_buf_view(&buf), &again, NULL) == BASE_OK);
        require(again.kind == change.kind && again.token_count == change.token_count);
        if (ring_state_apply(state, &change, state->epoch, &next, NULL) == BASE_OK) {
            require(ring_state_check(next));
            same_again(next);
            ring_state_release(next);
        }
    }
    base_buf_fini(&buf);
    base_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_reader in = base_reader(base_slice(data, size));
    struct base_slice head, snapshot, change;
    struct ring_state *state;
    if (!base_get_raw(&in, 2, &head) || !base_get_raw(&in, base_get_le16(head.data), &snapshot) ||
        !base_get_raw(&in, base_reader_left(&in), &change))
        return 0;
    if (ring_state_decode(snapshot, &state, NULL) != BASE_OK && !(state = ring_state_new()))
        return 0;
    require(ring_state_check(state));
    same_again(state);
    apply(state, change);
    if (state->ring_count <= WORK_MAX) {
        place(state);
        if (state->member_count)
            grow(state);
    }
    ring_state_release(state);
    return 0;
}
