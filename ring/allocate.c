/* Tokens for a member that joins, chosen for balance (the idea is that of Cassandra's
 * ReplicationAwareTokenAllocator).
 *
 * The tokens are chosen one by one. For each range of the ring there is a best place in it for one
 * more token: we know who would be a replica of less (whoever the new member drives out of the
 * lists of the ranges that it enters), and what we want small is a quadratic function of the place.
 * The range whose best place makes it least gets the token. What we want small is the sum of three
 * kinds of squares:
 *   - of what each member holds too much or too little under the replication factor: this is what
 *     is asked for;
 *   - of what it owns too much or too little alone: the load of a keyspace with factor 1, and all
 *     there is to balance while there are no more members than replicas;
 *   - of the ranges' widths: a wide range whose first replica is overloaded could not be mended
 *     later by one more token.
 * A member's part is in proportion to its number of tokens, as in Cassandra. Replicas are spread
 * over racks as placement.c does. docs/performance.md, Token allocation, has what came out, and
 * what came out without one of the three.
 *
 * Invariants:
 *  1. numbers are integers (a load's unit is 2^-40 of the ring): every machine computes the same
 *     tokens;
 *  2. after each token, lists are those of the ring with it, and so are loads, to a unit for each
 *     range;
 *  3. judging is bounded: in a large ring not all ranges are looked at, but some all over it.
 *     (Setting up and placing are not: where one rack of many members has few, walks to it are
 *     long.) */
#include "ring/ring_private.h"

enum {
    RF_MAX = 7,           /* a larger factor is allocated for as this one */
    BACK_MAX = 64,        /* ranges that one token may enter and still be judged exactly */
    WORK_MAX = 6000000,   /* steps of walks, to judge all tokens */
    LOOKED_AT_MAX = 2048, /* ranges judged for a token */
    EDGE = 4, /* a token is at least 1/EDGE of its range away from both the range's ends */
    UNIT_SHIFT = 24,
};
#define WHOLE (INT64_C(1) << (64 - UNIT_SHIFT)) /* the ring */

struct list { /* a range's replicas */
    uint16_t members[RF_MAX];
    uint16_t count;
};
struct alloc {
    size_t entry_count;
    int64_t *tokens; /* of the data centre's ring, ascending */
    uint16_t *owners;
    struct list *lists;     /* of the range that ends at the token */
    size_t member_count;    /* the data centre's, the new one included: it is the last */
    uint16_t *racks;        /* by member */
    uint32_t *weights;      /* by member: its number of tokens */
    uint64_t weight;        /* all members' */
    int64_t *loads, *owned; /* by member: under the factor, and alone */
    int64_t *delta;         /* by member: of the candidate that is judged; zero between */
    uint64_t *member_seen, *rack_seen;
    uint64_t number; /* of the walk */
    unsigned rf, rack_count;
    unsigned replica_count; /* of a range, in the end */
    unsigned found_max;     /* what a walk without the new member finds */
    bool placed;            /* the new member has a token */
    /* tokens of the new member, with the one that is judged: as far along its part is wanted */
    uint32_t chosen;
    uint64_t work;
};
struct candidate {
    size_t entry;    /* the token splits the range that ends there */
    uint64_t offset; /* behind the range's begin */
    __int128 cost;   /* the change of the sum of squares */
};

/* Walks. */

static void take(struct alloc *a, uint16_t member, int *repeats, struct list *list)
{
    uint64_t *rack_seen = &a->rack_seen[a->racks[member]];
    if (a->member_seen[member] == a->number || (*rack_seen == a->number && *repeats <= 0))
        return;
    *repeats -= *rack_seen == a->number;
    *rack_seen = a->member_seen[member] = a->number;
    list->members[list->count++] = member;
}

/* The replicas of the range that ends at entry `at`; the new member stands as an entry before entry
 * `joint` (SIZE_MAX: not). */
static void walk(struct alloc *a, size_t at, size_t joint, struct list *list)
{
    bool with_new = a->placed || joint != SIZE_MAX;
    unsigned wanted = with_new ? a->replica_count : a->found_max;
    int repeats = (int)a->rf - (int)a->rack_count;
    uint16_t joiner = (uint16_t)(a->member_count - 1);
    list->count = 0;
    a->number++;
    for (size_t step = 0; step < a->entry_count && list->count < wanted; step++) {
        if (at == joint)
            take(a, joiner, &repeats, list);
        if (list->count < wanted)
            take(a, a->owners[at], &repeats, list);
        at = at + 1 < a->entry_count ? at + 1 : 0;
        a->work++;
    }
}

static bool same(const struct list *a, const struct list *b)
{
    return a->count == b->count &&
           memcmp(a->members, b->members, a->count * sizeof *a->members) == 0;
}

static bool has(const struct list *list, uint16_t member)
{
    for (uint16_t i = 0; i < list->count; i++)
        if (list->members[i] == member)
            return true;
    return false;
}

static uint64_t width(const struct alloc *a, size_t entry)
{
    uint64_t distance =
        (uint64_t)a->tokens[entry] - (uint64_t)a->tokens[entry ? entry - 1 : a->entry_count - 1];
    return distance ? distance : UINT64_MAX; /* the only one: the whole ring */
}

static int64_t units(uint64_t distance)
{
    return (int64_t)(distance >> UNIT_SHIFT);
}

/* Judging. */

/* A member's part of what all hold together, `replicas` times the ring; the new one's grows with
 * its tokens. */
static int64_t part_of(const struct alloc *a, uint16_t member, unsigned replicas)
{
    uint32_t weight = member == a->member_count - 1 ? a->chosen : a->weights[member];
    return (int64_t)((uint64_t)WHOLE * replicas / a->weight * weight);
}

/* What a member has too much. */
static int64_t excess(const struct alloc *a, uint16_t member)
{
    return a->loads[member] + a->delta[member] - part_of(a, member, a->replica_count);
}

static int64_t excess_owned(const struct alloc *a, uint16_t member)
{
    return a->owned[member] - part_of(a, member, 1);
}

struct judged { /* members whose load a candidate changes */
    uint16_t touched[BACK_MAX * 2 * RF_MAX];
    size_t touched_count;
    __int128 cost;
};

static void change(struct alloc *a, struct judged *j, uint16_t member, int64_t by)
{
    __int128 before = excess(a, member);
    j->cost += 2 * before * by + (__int128)by * by;
    a->delta[member] += by;
    j->touched[j->touched_count++] = member;
}

/* The ranges before the split one that the new token enters: their change does not depend on its
 * place. */
static void judge_back(struct alloc *a, size_t entry, struct judged *j)
{
    size_t at = entry;
    struct list list;
    for (size_t back = 1; back < a->entry_count && back < BACK_MAX; back++) {
        at = at ? at - 1 : a->entry_count - 1;
        walk(a, at, entry, &list);
        if (same(&list, &a->lists[at])) /* then so are all before it */
            return;
        int64_t w = units(width(a, at));
        for (uint16_t i = 0; i < list.count; i++)
            if (!has(&a->lists[at], list.members[i]))
                change(a, j, list.members[i], w);
        for (uint16_t i = 0; i < a->lists[at].count; i++)
            if (!has(&list, a->lists[at].members[i]))
                change(a, j, a->lists[at].members[i], -w);
    }
}

static struct candidate judge(struct alloc *a, size_t entry)
{
    struct judged j;
    j.touched_count = 0;
    j.cost = 0;
    struct list list;
    uint16_t joiner = (uint16_t)(a->member_count - 1), owner = a->owners[entry];
    judge_back(a, entry, &j);
    walk(a, entry, entry, &list);
    /* cost(x) = square * x² + 2 * slope * x */
    __int128 square = 0, slope = 0;
    for (uint16_t i = 0; i < list.count; i++)
        if (!has(&a->lists[entry], list.members[i])) {
            square++;
            slope += excess(a, list.members[i]);
        }
    for (uint16_t i = 0; i < a->lists[entry].count; i++)
        if (!has(&list, a->lists[entry].members[i])) {
            square++;
            slope -= excess(a, a->lists[entry].members[i]);
        }
    if (owner != joiner) {
        square += 2;
        slope += excess_owned(a, joiner) - excess_owned(a, owner);
    }
    int64_t whole = units(width(a, entry));
    square += 2; /* of the range's two parts, x² + (whole - x)² */
    slope -= whole;
    int64_t x = (int64_t)(-slope / square);
    x = x < whole / EDGE ? whole / EDGE : x > whole - whole / EDGE ? whole - whole / EDGE : x;
    j.cost += square * x * x + 2 * slope * x;
    for (size_t i = 0; i < j.touched_count; i++)
        a->delta[j.touched[i]] = 0;
    return (struct candidate){entry, (uint64_t)x << UNIT_SHIFT, j.cost};
}

/* Placing. */

static void list_replace(struct alloc *a, size_t entry, const struct list *list)
{
    int64_t w = units(width(a, entry));
    for (uint16_t i = 0; i < a->lists[entry].count; i++)
        a->loads[a->lists[entry].members[i]] -= w;
    for (uint16_t i = 0; i < list->count; i++)
        a->loads[list->members[i]] += w;
    a->lists[entry] = *list;
}

/* The token before entry `at`: lists and loads of it and of the ranges that it enters. */
static void place(struct alloc *a, size_t at, int64_t token)
{
    uint16_t joiner = (uint16_t)(a->member_count - 1);
    struct list list = a->lists[at < a->entry_count ? at : 0];
    size_t behind = a->entry_count - at;
    memmove(a->tokens + at + 1, a->tokens + at, behind * sizeof *a->tokens);
    memmove(a->owners + at + 1, a->owners + at, behind * sizeof *a->owners);
    memmove(a->lists + at + 1, a->lists + at, behind * sizeof *a->lists);
    a->tokens[at] = token;
    a->owners[at] = joiner;
    a->lists[at] = list; /* the range was its part, with the same replicas */
    a->entry_count++;
    a->placed = true;
    int64_t w = units(width(a, at));
    a->owned[a->owners[at + 1 < a->entry_count ? at + 1 : 0]] -= w;
    a->owned[joiner] += w;
    for (size_t step = 0; step < a->entry_count; step++) {
        walk(a, at, SIZE_MAX, &list);
        if (step > 0 && same(&list, &a->lists[at]))
            return;
        list_replace(a, at, &list);
        at = at ? at - 1 : a->entry_count - 1;
    }
}

/* Has no member the token? */
static bool is_free(const struct ring_state *state, int64_t token)
{
    for (size_t i = 0; i < state->member_count; i++)
        if (state->members[i].state == RING_MEMBER_JOINING)
            for (size_t k = 0; k < state->members[i].token_count; k++)
                if (state->members[i].tokens[k] == token)
                    return false;
    return token != INT64_MIN &&
           (state->ring_count == 0 ||
            ring_lookup(state->ring, state->ring_count, token)->token != token);
}

/* The first entry whose token is not less. */
static size_t entry_of(const struct alloc *a, int64_t token)
{
    size_t low = 0, high = a->entry_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->tokens[mid] < token)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* A step by which all of `count` are visited, wherever we stop well spread: about the golden
 * section, and coprime. */
static size_t spread_step(size_t count)
{
    for (size_t step = count * 618 / 1000 + 1;; step++) {
        size_t x = step, y = count;
        while (y) {
            size_t rest = x % y;
            x = y;
            y = rest;
        }
        if (x == 1)
            return step;
    }
}

static void choose(struct alloc *a, const struct ring_state *state, size_t index, uint64_t work_max)
{
    struct candidate best = {0};
    size_t entries = a->entry_count, step = spread_step(entries), looked_at = 0,
           k = index % entries;
    uint64_t begin = a->work, width_min = UINT64_MAX / entries / 2;
    for (size_t i = 0; i < entries; i++, k = (k + step) % entries) {
        if (width(a, k) < width_min) /* else slivers would be split again and again: there a token
                                        does least harm */
            continue;
        struct candidate c = judge(a, k);
        if (looked_at++ == 0 || c.cost < best.cost)
            best = c;
        if (looked_at == LOOKED_AT_MAX || a->work - begin > work_max)
            break;
    }
    BASE_ASSERT(looked_at > 0); /* one range is as wide as the mean */
    uint64_t from = (uint64_t)a->tokens[best.entry ? best.entry - 1 : entries - 1],
             at = from + best.offset;
    size_t before = entry_of(a, (int64_t)at);
    while ((before < entries && a->tokens[before] == (int64_t)at) || !is_free(state, (int64_t)at))
        before = entry_of(a, (int64_t)++at);
    place(a, before, (int64_t)at);
}

/* Setting up. */

static void alloc_fini(struct alloc *a)
{
    free(a->tokens);
    free(a->owners);
    free(a->lists);
    free(a->racks);
    free(a->weights);
    free(a->loads);
    free(a->owned);
    free(a->delta);
    free(a->member_seen);
    free(a->rack_seen);
}

static int alloc_init(struct alloc *a, size_t entries, size_t members)
{
    *a = (struct alloc){.member_count = members};
    a->tokens = calloc(entries, sizeof *a->tokens);
    a->owners = calloc(entries, sizeof *a->owners);
    a->lists = calloc(entries, sizeof *a->lists);
    a->racks = calloc(members, sizeof *a->racks);
    a->weights = calloc(members, sizeof *a->weights);
    a->loads = calloc(members, sizeof *a->loads);
    a->owned = calloc(members, sizeof *a->owned);
    a->delta = calloc(members, sizeof *a->delta);
    a->member_seen = calloc(members, sizeof *a->member_seen);
    a->rack_seen = calloc(members, sizeof *a->rack_seen);
    if (a->tokens && a->owners && a->lists && a->racks && a->weights && a->loads && a->owned &&
        a->delta && a->member_seen && a->rack_seen)
        return BASE_OK;
    alloc_fini(a);
    return BASE_E_NOMEM;
}

struct owned {
    int64_t token;
    uint16_t member;
};
struct racked {
    struct base_slice rack;
    uint16_t member;
};

static int compare_owned(const void *a, const void *b)
{
    const struct owned *x = a, *y = b;
    return (x->token > y->token) - (x->token < y->token);
}

static int compare_racked(const void *a, const void *b)
{
    return base_slice_compare(((const struct racked *)a)->rack, ((const struct racked *)b)->rack);
}

/* Racks by number, and how many a walk finds. NOMEM. */
static int fill_racks(struct alloc *a, const struct ring_state *state, struct base_slice dc,
                      struct base_slice rack)
{
    struct racked *all = malloc(a->member_count * sizeof *all);
    uint16_t member = 0;
    unsigned sharing = 0;
    if (!all)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < state->member_count; i++) {
        if (!base_slice_equal(state->members[i].dc, dc))
            continue;
        sharing += base_slice_equal(state->members[i].rack, rack);
        all[member] = (struct racked){state->members[i].rack, member};
        member++;
    }
    all[member] = (struct racked){rack, member};
    BASE_ASSERT((size_t)member + 1 == a->member_count);
    qsort(all, a->member_count, sizeof *all, compare_racked);
    for (size_t i = 0; i < a->member_count; i++) {
        a->rack_count += i == 0 || compare_racked(&all[i - 1], &all[i]) != 0;
        a->racks[all[i].member] = (uint16_t)(a->rack_count - 1);
    }
    free(all);
    unsigned members = (unsigned)a->member_count, others_racks = a->rack_count - (sharing == 0);
    unsigned repeats = a->rf > a->rack_count ? a->rf - a->rack_count : 0;
    a->replica_count = a->rf < members ? a->rf : members;
    a->found_max = a->rf < members - 1 ? a->rf : members - 1;
    if (a->found_max > others_racks + repeats)
        a->found_max = others_racks + repeats;
    return BASE_OK;
}

/* The ring of the data centre's members, one that is JOINING included, with its lists and loads.
 * NOMEM. */
static int fill_ring(struct alloc *a, const struct ring_state *state, struct base_slice dc)
{
    size_t entries = 0;
    uint16_t member = 0;
    for (size_t i = 0; i < state->member_count; i++)
        entries += base_slice_equal(state->members[i].dc, dc) ? state->members[i].token_count : 0;
    struct owned *all = malloc(entries * sizeof *all);
    if (!all)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < state->member_count; i++) {
        const struct ring_member *m = &state->members[i];
        if (!base_slice_equal(m->dc, dc))
            continue;
        for (size_t k = 0; k < m->token_count; k++)
            all[a->entry_count++] = (struct owned){m->tokens[k], member};
        a->weights[member++] = m->token_count;
    }
    BASE_ASSERT(a->entry_count == entries && (size_t)member + 1 == a->member_count);
    qsort(all, entries, sizeof *all, compare_owned);
    for (size_t i = 0; i < entries; i++) {
        a->tokens[i] = all[i].token;
        a->owners[i] = all[i].member;
    }
    free(all);
    for (size_t i = 0; i < entries; i++) {
        struct list list;
        walk(a, i, SIZE_MAX, &list);
        list_replace(a, i, &list);
        a->owned[a->owners[i]] += units(width(a, i));
    }
    return BASE_OK;
}

/* The first member of a data centre: tokens as evenly spread as can be, moved down until all are
 * free. */
static void allocate_first(const struct ring_state *state, size_t count, int64_t *tokens)
{
    ring_allocate_first(count, tokens);
    for (size_t i = 0; i < count;) {
        if (is_free(state, tokens[i])) {
            i++;
            continue;
        }
        for (size_t k = 0; k < count; k++)
            tokens[k]--;
        i = 0;
    }
}

static int allocate_next(const struct ring_state *state, struct base_slice dc,
                         struct base_slice rack, size_t members, size_t entries, size_t count,
                         unsigned rf, int64_t *tokens)
{
    struct alloc a;
    int rc = alloc_init(&a, entries + count, members + 1);
    if (rc != BASE_OK)
        return rc;
    a.rf = rf < RF_MAX ? rf : RF_MAX;
    rc = fill_racks(&a, state, dc, rack);
    if (rc == BASE_OK)
        rc = fill_ring(&a, state, dc);
    if (rc != BASE_OK)
        goto out;
    a.weight = entries + count;
    for (size_t i = 0; i < count; i++) {
        a.chosen = (uint32_t)(i + 1);
        choose(&a, state, i, WORK_MAX / count);
    }
    for (size_t i = 0, k = 0; i < a.entry_count; i++)
        if (a.owners[i] == members)
            tokens[k++] = a.tokens[i];
out:
    alloc_fini(&a);
    return rc;
}

int ring_allocate(const struct ring_state *state, struct base_slice dc, struct base_slice rack,
                  size_t count, unsigned rf, int64_t *tokens, struct base_err *err)
{
    size_t members = 0, entries = 0;
    if (count == 0 || count > RING_TOKENS_MAX || rf == 0 || !ringi_name_valid(dc) ||
        !ringi_name_valid(rack))
        return base_err_set(
            err, BASE_E_INVALID,
            "tokens: %zu tokens under replication factor %u in data centre \"%.*s\" "
            "cannot be allocated",
            count, rf, BASE_SLICE_ARG(dc));
    if (state->member_count >= RING_MEMBERS_MAX)
        return base_err_set(err, BASE_E_LIMIT,
                            "tokens: the cluster has %d members: more are not possible",
                            RING_MEMBERS_MAX);
    for (size_t i = 0; i < state->member_count; i++)
        if (base_slice_equal(state->members[i].dc, dc)) {
            members++;
            entries += state->members[i].token_count;
        }
    int rc = BASE_OK;
    if (members == 0)
        allocate_first(state, count, tokens);
    else
        rc = allocate_next(state, dc, rack, members, entries, count, rf, tokens);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "tokens: out of memory");
}
