/* Who holds what: a keyspace's replication over a snapshot of the ring.
 *
 * A range ends at each token of the ring; its replicas are found by walking the ring from that
 * token on, as Cassandra does: SimpleStrategy takes the first members it meets;
 * NetworkTopologyStrategy takes, in each data centre, the first member of each rack, and repeats a
 * rack only as often as it must (its NetworkTopologyStrategy.DatacenterEndpoints). LocalStrategy
 * and EverywhereStrategy have one range: all tokens.
 *
 * Invariants:
 *  1. ranges are adjacent and cover all tokens: the last ends at INT64_MAX; there is always one;
 *  2. a set names a member once; without a member, sets are empty;
 *  3. only members that own tokens are replicas (LocalStrategy: the node itself, whatever its
 *     state);
 *  4. the read set and the write set of a range are the same array while no member is a pending
 *     owner: a JOINING member owns nothing until its join is finished, and writes are frozen until
 *     then.
 *
 * How to add a strategy: a name in `strategies`, a function that fills `walk`'s factors or makes
 * the ranges. */
#include "ring/ring_private.h"

enum { FACTOR_MAX = RING_MEMBERS_MAX };

/* Names of data centres and racks as small numbers, and what a walk knows of each data centre. */
struct walk_dc {
    struct base_slice name;
    unsigned rf;      /* wanted */
    unsigned members; /* that own tokens */
    unsigned racks;
    unsigned left;    /* of this walk: replicas to find */
    int repeats_left; /* of this walk: how often a rack may come again */
};
struct walk {
    const struct ring_state *state;
    struct walk_dc *dcs;
    size_t dc_count;
    uint16_t *member_dc, *member_rack; /* by member; racks are numbered over all data centres */
    uint32_t *member_seen, *rack_seen; /* the last walk that took one */
    uint32_t number;                   /* of this walk */
    /* else all members are as of one data centre and each its own rack */
    bool by_dc;
};

/* Options. */

static bool parse_factor(struct base_slice text, unsigned *factor)
{
    *factor = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *factor = *factor * 10 + (unsigned)(text.data[i] - '0');
        if (*factor > FACTOR_MAX)
            return false;
    }
    return true;
}

static int bad_factor(struct base_err *err, struct base_slice of, struct base_slice text)
{
    return base_err_set(err, BASE_E_INVALID,
                        "replication: %.*s: %.*s is no replication factor (0 to %d)",
                        BASE_SLICE_ARG(of), BASE_SLICE_ARG(text), FACTOR_MAX);
}

/* Numbering members' data centres and racks. */

struct rack {
    struct base_slice dc, name;
    size_t member;
};

static int compare_racks(const void *a, const void *b)
{
    const struct rack *x = a, *y = b;
    int c = base_slice_compare(x->dc, y->dc);
    c = c ? c : base_slice_compare(x->name, y->name);
    return c ? c : (x->member > y->member) - (x->member < y->member);
}

static void walk_fini(struct walk *w)
{
    free(w->dcs);
    free(w->member_dc);
    free(w->member_rack);
    free(w->member_seen);
    free(w->rack_seen);
}

static int walk_init(struct walk *w, const struct ring_state *state, bool by_dc)
{
    size_t count = state->member_count, owners = 0, racks = 0;
    *w = (struct walk){.state = state, .by_dc = by_dc};
    struct rack *all = calloc(count + 1, sizeof *all);
    w->dcs = calloc(count + 1, sizeof *w->dcs);
    w->member_dc = calloc(count + 1, sizeof *w->member_dc);
    w->member_rack = calloc(count + 1, sizeof *w->member_rack);
    w->member_seen = calloc(count + 1, sizeof *w->member_seen);
    w->rack_seen = calloc(count + 1, sizeof *w->rack_seen);
    if (!all || !w->dcs || !w->member_dc || !w->member_rack || !w->member_seen || !w->rack_seen) {
        free(all);
        walk_fini(w);
        return BASE_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++)
        if (state->members[i].state == RING_MEMBER_NORMAL)
            all[owners++] = by_dc ? (struct rack){state->members[i].dc, state->members[i].rack, i}
                                  : (struct rack){.member = i};
    qsort(all, owners, sizeof *all, compare_racks);
    for (size_t i = 0; i < owners; i++) {
        bool new_dc = i == 0 || !base_slice_equal(all[i].dc, all[i - 1].dc);
        bool new_rack = !by_dc || new_dc || !base_slice_equal(all[i].name, all[i - 1].name);
        if (new_dc)
            w->dcs[w->dc_count++].name = all[i].dc;
        w->dcs[w->dc_count - 1].members++;
        w->dcs[w->dc_count - 1].racks += new_rack;
        racks += new_rack;
        w->member_dc[all[i].member] = (uint16_t)(w->dc_count - 1);
        w->member_rack[all[i].member] = (uint16_t)(racks - 1);
    }
    free(all);
    return BASE_OK;
}

/* One range's replicas. */

/* Members in the order in which the walk from entry `at` takes them; `out` has room for all that
 * are wanted. */
static uint16_t walk_from(struct walk *w, size_t at, uint16_t *out)
{
    const struct ring_state *state = w->state;
    unsigned left = 0;
    uint16_t count = 0;
    w->number++;
    for (size_t d = 0; d < w->dc_count; d++) {
        struct walk_dc *dc = &w->dcs[d];
        dc->left = dc->rf < dc->members ? dc->rf : dc->members;
        dc->repeats_left = (int)dc->rf - (int)dc->racks;
        left += dc->left;
    }
    for (size_t step = 0; step < state->ring_count && left; step++) {
        uint16_t member = state->ring_members[at];
        struct walk_dc *dc = &w->dcs[w->member_dc[member]];
        at = at + 1 < state->ring_count ? at + 1 : 0;
        if (dc->left == 0 || w->member_seen[member] == w->number)
            continue;
        uint32_t *rack_seen = &w->rack_seen[w->member_rack[member]];
        if (*rack_seen == w->number) {
            if (dc->repeats_left <= 0)
                continue;
            dc->repeats_left--;
        }
        *rack_seen = w->member_seen[member] = w->number;
        dc->left--;
        left--;
        out[count++] = member;
    }
    BASE_ASSERT(left == 0);
    return count;
}

static int ranges_by_walk(struct ring_placement *p, struct walk *w)
{
    const struct ring_state *state = p->state;
    size_t count = state->ring_count, replicas = 0;
    /* the last range is the first's other part */
    bool wraps = count == 0 || state->ring[count - 1].token != INT64_MAX;
    for (size_t d = 0; d < w->dc_count; d++)
        replicas += w->dcs[d].rf < w->dcs[d].members ? w->dcs[d].rf : w->dcs[d].members;
    struct ring_range *ranges = base_arena_alloc(&p->arena, (count + 1) * sizeof *ranges);
    uint16_t *members = base_arena_alloc(&p->arena, (count * replicas + 1) * sizeof *members);
    if (!ranges || !members)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct ring_set set = {members, walk_from(w, i, members)};
        members += set.count;
        ranges[i] = (struct ring_range){.upto = state->ring[i].token, .read = set, .write = set};
    }
    if (wraps) {
        struct ring_set set = count ? ranges[0].read : (struct ring_set){members, 0};
        ranges[count] = (struct ring_range){.upto = INT64_MAX, .read = set, .write = set};
    }
    p->ranges = ranges;
    p->range_count = count + wraps;
    return BASE_OK;
}

/* Strategies. */

static int simple(struct ring_placement *p, const struct base_options *options,
                  struct base_uuid local, struct base_err *err)
{
    struct walk w;
    unsigned rf;
    (void)local;
    struct base_slice text = base_options_get(options, "replication_factor");
    if (!text.data || !parse_factor(text, &rf) || rf == 0)
        return bad_factor(err, BASE_SLICE_LIT("replication_factor"), text);
    int rc = walk_init(&w, p->state, false);
    if (rc != BASE_OK)
        return rc;
    for (size_t d = 0; d < w.dc_count; d++)
        w.dcs[d].rf = rf;
    p->rf_total = rf;
    rc = ranges_by_walk(p, &w);
    walk_fini(&w);
    return rc;
}

static int dc_add(struct ring_placement *p, struct base_slice name, unsigned rf)
{
    if (rf == 0)
        return BASE_OK;
    struct ring_dc_rf *dc = &p->dcs[p->dc_count++];
    dc->rf = rf;
    p->rf_total += rf;
    return base_arena_copy(&p->arena, name, &dc->dc);
}

static int compare_dcs(const void *a, const void *b)
{
    return base_slice_compare(((const struct ring_dc_rf *)a)->dc,
                              ((const struct ring_dc_rf *)b)->dc);
}

/* The factors: each data centre's that is named; replication_factor is that of all others there
 * are. */
static int topology_factors(struct ring_placement *p, struct walk *w,
                            const struct base_options *options, struct base_err *err)
{
    int rc = BASE_OK;
    unsigned rf, rf_others = 0;
    p->dcs = base_arena_alloc(&p->arena, (options->count + w->dc_count) * sizeof *p->dcs);
    if (!p->dcs)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < options->count && rc == BASE_OK; i++) {
        const struct base_option *o = &options->items[i];
        if (base_slice_equal(o->key, BASE_SLICE_LIT("class")))
            continue;
        if (!parse_factor(o->value, &rf))
            return bad_factor(err, o->key, o->value);
        if (!base_slice_equal(o->key, BASE_SLICE_LIT("replication_factor")))
            rc = dc_add(p, o->key, rf);
    }
    struct base_slice others = base_options_get(options, "replication_factor");
    bool for_others = others.data && parse_factor(others, &rf_others);
    for (size_t d = 0; d < w->dc_count && rc == BASE_OK; d++) {
        size_t i = 0;
        while (i < options->count && !base_slice_equal(options->items[i].key, w->dcs[d].name))
            i++;
        if (i < options->count) {
            bool parsed = parse_factor(options->items[i].value, &w->dcs[d].rf);
            BASE_ASSERT(parsed); /* for it was, above */
        } else if (for_others) {
            w->dcs[d].rf = rf_others;
            rc = dc_add(p, w->dcs[d].name, rf_others);
        }
    }
    qsort(p->dcs, p->dc_count, sizeof *p->dcs, compare_dcs);
    return rc;
}

static int topology(struct ring_placement *p, const struct base_options *options,
                    struct base_uuid local, struct base_err *err)
{
    struct walk w;
    (void)local;
    int rc = walk_init(&w, p->state, true);
    if (rc != BASE_OK)
        return rc;
    p->per_dc = true;
    rc = topology_factors(p, &w, options, err);
    if (rc == BASE_OK)
        rc = ranges_by_walk(p, &w);
    walk_fini(&w);
    return rc;
}

static int one_range(struct ring_placement *p, const uint16_t *members, uint16_t count)
{
    struct ring_range *range = base_arena_alloc(&p->arena, sizeof *range);
    if (!range)
        return BASE_E_NOMEM;
    *range =
        (struct ring_range){.upto = INT64_MAX, .read = {members, count}, .write = {members, count}};
    p->ranges = range;
    p->range_count = 1;
    return BASE_OK;
}

static int local_only(struct ring_placement *p, const struct base_options *options,
                      struct base_uuid local, struct base_err *err)
{
    (void)options;
    (void)err;
    int member = ring_member_find(p->state, local);
    uint16_t *members = base_arena_alloc(&p->arena, sizeof *members);
    if (!members)
        return BASE_E_NOMEM;
    *members = (uint16_t)(member < 0 ? 0 : member);
    p->rf_total = 1;
    return one_range(p, members, member >= 0);
}

static int everywhere(struct ring_placement *p, const struct base_options *options,
                      struct base_uuid local, struct base_err *err)
{
    (void)options;
    (void)local;
    (void)err;
    uint16_t count = 0,
             *members = base_arena_alloc(&p->arena, (p->state->member_count + 1) * sizeof *members);
    if (!members)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < p->state->member_count; i++)
        if (p->state->members[i].state == RING_MEMBER_NORMAL)
            members[count++] = (uint16_t)i;
    p->rf_total = count;
    return one_range(p, members, count);
}

static const struct {
    const char *name;
    int (*make)(struct ring_placement *p, const struct base_options *options,
                struct base_uuid local, struct base_err *err);
} strategies[] = {
    {"SimpleStrategy", simple},
    {"NetworkTopologyStrategy", topology},
    {"LocalStrategy", local_only},
    {"EverywhereStrategy", everywhere},
};

/* Placements. */

int ring_placement_new(struct ring_state *state, const struct base_options *replication,
                       struct base_uuid local, struct ring_placement **out, struct base_err *err)
{
    struct base_slice class = base_options_get(replication, "class");
    size_t k = 0;
    *out = NULL;
    while (k < BASE_COUNT(strategies) &&
           !base_slice_equal(class, base_slice_str(strategies[k].name)))
        k++;
    if (k == BASE_COUNT(strategies))
        return base_err_set(err, BASE_E_INVALID, "replication: there is no strategy \"%.*s\"",
                            BASE_SLICE_ARG(class));
    struct ring_placement *p = calloc(1, sizeof *p);
    if (!p)
        return base_err_set(err, BASE_E_NOMEM, "replication: out of memory");
    base_arena_init(&p->arena);
    p->refs = 1;
    p->state = ring_state_acquire(state);
    int rc = strategies[k].make(p, replication, local, err);
    if (rc == BASE_E_NOMEM)
        base_err_set(err, rc, "replication: out of memory");
    if (rc == BASE_OK)
        *out = p;
    else
        ring_placement_release(p);
    return rc;
}

struct ring_placement *ring_placement_acquire(struct ring_placement *placement)
{
    int before = __atomic_fetch_add(&placement->refs, 1, __ATOMIC_RELAXED);
    BASE_ASSERT(before > 0);
    return placement;
}

void ring_placement_release(struct ring_placement *placement)
{
    if (!placement)
        return;
    int before = __atomic_fetch_sub(&placement->refs, 1, __ATOMIC_ACQ_REL);
    BASE_ASSERT(before > 0);
    if (before == 1) {
        ring_state_release(placement->state);
        base_arena_fini(&placement->arena);
        free(placement);
    }
}

const struct ring_range *ring_placement_find(const struct ring_placement *placement, int64_t token)
{
    size_t low = 0, high = placement->range_count - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (placement->ranges[mid].upto < token)
            low = mid + 1;
        else
            high = mid;
    }
    return &placement->ranges[low];
}

unsigned ring_placement_rf(const struct ring_placement *placement, struct base_slice dc)
{
    if (!placement->per_dc)
        return placement->rf_total;
    for (size_t i = 0; i < placement->dc_count; i++)
        if (base_slice_equal(placement->dcs[i].dc, dc))
            return placement->dcs[i].rf;
    return 0;
}

double ring_placement_owns(const struct ring_placement *placement, struct base_uuid host_id)
{
    int member = ring_member_find(placement->state, host_id);
    unsigned __int128 owned = 0;
    int64_t before = INT64_MIN;
    for (size_t i = 0; i < placement->range_count && member >= 0; i++) {
        const struct ring_range *range = &placement->ranges[i];
        for (uint16_t k = 0; k < range->read.count; k++)
            if (range->read.members[k] == member)
                owned += (uint64_t)range->upto - (uint64_t)before;
        before = range->upto;
    }
    return (double)owned / (double)UINT64_MAX;
}

unsigned ring_distance(const struct ring_member *from, const struct ring_member *to)
{
    if (base_uuid_equal(from->host_id, to->host_id))
        return 0;
    if (!base_slice_equal(from->dc, to->dc))
        return 3;
    return base_slice_equal(from->rack, to->rack) ? 1 : 2;
}
