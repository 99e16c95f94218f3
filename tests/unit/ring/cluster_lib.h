/* Small clusters for the tests of ring/: made by the changes of a log, as in life. */
#ifndef TESTS_UNIT_RING_CLUSTER_LIB_H
#define TESTS_UNIT_RING_CLUSTER_LIB_H

#include <stdio.h>

#include "ring/cluster.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

static inline struct base_uuid host(size_t n)
{
    struct base_uuid id = {{0}};
    base_put_be64(id.b, n);
    return id;
}

/* Replaces *state by what the change makes of it, at the next epoch. */
static inline void apply(struct ring_state **state, const struct ring_change *change)
{
    struct ring_state *next;
    struct base_err err;
    ck_ok(ring_state_apply(*state, change, (*state)->epoch + 1, &next, &err), err);
    ck_assert(ring_state_check(next));
    ck_assert_uint_eq(next->epoch, (*state)->epoch + 1);
    ring_state_release(*state);
    *state = next;
}

/* A change that adds host n at "hN:7000" (the address lives in the text). */
static inline struct ring_change joins(struct ring_state *state, size_t n, const char *dc,
                                       const char *rack, const int64_t *tokens, size_t count,
                                       char text[24])
{
    snprintf(text, 24, "h%u:7000", (unsigned)n);
    return (struct ring_change){
        .kind = state->member_count ? RING_CHANGE_JOIN : RING_CHANGE_FORM,
        .host_id = host(n),
        .cluster_id = {{7}},
        .cluster_name = BASE_SLICE_LIT("Test Cluster"),
        .address = base_slice_str(text),
        .dc = base_slice_str(dc),
        .rack = base_slice_str(rack),
        .tokens = tokens,
        .token_count = count,
    };
}

/* Host n is a NORMAL member with these tokens. */
static inline void add(struct ring_state **state, size_t n, const char *dc, const char *rack,
                       const int64_t *tokens, size_t count)
{
    char text[24];
    struct ring_change change = joins(*state, n, dc, rack, tokens, count, text);
    apply(state, &change);
    if (change.kind == RING_CHANGE_JOIN) {
        change.kind = RING_CHANGE_JOIN_FINISH;
        apply(state, &change);
    }
}

/* … with tokens that ring_allocate gives it. */
static inline void add_allocated(struct ring_state **state, size_t n, const char *dc,
                                 const char *rack, size_t count, unsigned rf)
{
    int64_t tokens[RING_TOKENS_MAX];
    struct base_err err;
    ck_ok(ring_allocate(*state, base_slice_str(dc), base_slice_str(rack), count, rf, tokens, &err),
          err);
    add(state, n, dc, rack, tokens, count);
}

/* A placement of options "key value key value …". */
static inline int place(struct ring_state *state, const char *const *words, struct base_uuid local,
                        struct ring_placement **out, struct base_err *err)
{
    struct base_option items[16];
    size_t count = 0;
    for (; words[2 * count]; count++)
        items[count] = (struct base_option){base_slice_str(words[2 * count]),
                                            base_slice_str(words[2 * count + 1])};
    return ring_placement_new(state, &(struct base_options){items, count}, local, out, err);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline bool set_has(struct ring_set set, uint16_t member)
{
    for (uint16_t i = 0; i < set.count; i++)
        if (set.members[i] == member)
            return true;
    return false;
}

#endif
