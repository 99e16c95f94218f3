/* Who gets what: a request's mutations, checked and sorted into units by the replicas that they go
 * to.
 *
 * Invariants:
 *  1. Every mutation is in exactly one unit, in the request's order among those of the unit. All
 *     mutations of a partition have one write set, hence the levels counted by units are the levels
 *     of each partition.
 *  2. Nothing is sent before all mutations are known to be sound and all units to have enough
 *     living replicas.
 *  3. A unit of a logged batch is never cut: each replica applies its part as one group. */
#include "replication/writes_private.h"

#include <stdio.h>

#include "base/key.h"

#define BUCKETS 64u

struct planner {
    struct repl *repl;
    struct repli_write_op *op;
    struct repl_outcome *outcome;
    struct repli_unit **buckets; /* open units by replicas; NULL for one mutation */
    struct repli_unit *unit;     /* of the mutation before */
    bool logged;
    /* the table before: most requests write one */
    struct base_uuid table_id;
    const struct base_table *table;
    const struct ring_placement *placement;
    bool durable;
    /* the partition before */
    struct base_slice first_pkey;
    struct base_uuid first_table_id;
};

static int refuse(struct planner *p, int rc, const char *text)
{
    return base_err_set(&p->outcome->err, rc, "%s", text);
}

static int find_table(struct planner *p, const struct base_uuid *id)
{
    if (p->table && base_uuid_equal(p->table_id, *id))
        return BASE_OK;
    p->table_id = *id;
    p->table = base_schema_table_by_id(p->repl->schema, *id);
    if (!p->table)
        return refuse(p, BASE_E_STALE,
                      "a table of this write is not in the schema any more: it was dropped, or "
                      "dropped and made anew; "
                      "prepare the statement again");
    const struct base_keyspace *keyspace =
        base_schema_keyspace(p->repl->schema, p->table->keyspace);
    BASE_ASSERT(keyspace);
    p->placement = repl_placement(p->repl, keyspace);
    p->durable = keyspace->durable_writes;
    if (p->placement)
        return BASE_OK;
    return base_err_set(&p->outcome->err, BASE_E_NOMEM,
                        "write: no placement for keyspace %.*s: out of memory, or its replication "
                        "options are odd",
                        BASE_SLICE_ARG(keyspace->name));
}

/* Units. */

static bool set_has(const struct ring_set *set, uint16_t member)
{
    for (uint16_t i = 0; i < set->count; i++)
        if (set->members[i] == member)
            return true;
    return false;
}

static bool same_set(const struct ring_set *a, const struct ring_set *b)
{
    if (a->count != b->count)
        return false;
    for (uint16_t i = 0; i < a->count; i++)
        if (!set_has(b, a->members[i]))
            return false;
    return true;
}

/* Of the write set, in whatever order it names them. */
static unsigned bucket_of(const struct ring_range *range)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < range->write.count; i++)
        sum += (range->write.members[i] + 1u) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(sum >> 40) % BUCKETS;
}

static bool unit_takes(const struct planner *p, const struct repli_unit *unit, size_t size)
{
    return p->logged || unit->size + size <= REPLI_WRITE_MESSAGE_MAX;
}

static struct repli_unit *new_unit(struct planner *p, const struct ring_range *range)
{
    struct repli_unit *unit = base_arena_zalloc(&p->op->arena, sizeof *unit);
    if (!unit)
        return NULL;
    unit->op = p->op;
    /* Held while we plan: a request over more keyspaces than placements are kept would lose the
     * first ones'. */
    unit->placement = ring_placement_acquire((struct ring_placement *)p->placement);
    unit->range = range;
    *p->op->units_end = unit;
    p->op->units_end = &unit->next;
    p->op->unit_count++;
    if (p->buckets) {
        struct repli_unit **bucket = &p->buckets[bucket_of(range)];
        unit->bucket_next = *bucket; /* the newest first: older ones of the same set are full */
        *bucket = unit;
    }
    return unit;
}

static struct repli_unit *find_unit(struct planner *p, const struct ring_range *range, size_t size)
{
    struct repli_unit *unit = p->unit;
    if (unit && unit->range == range && unit_takes(p, unit, size))
        return unit;
    if (p->buckets) {
        for (unit = p->buckets[bucket_of(range)]; unit; unit = unit->bucket_next)
            if (unit->placement == p->placement && same_set(&unit->range->write, &range->write) &&
                same_set(&unit->range->read, &range->read))
                break;
        if (unit && unit_takes(p, unit, size))
            return unit;
    }
    return new_unit(p, range);
}

static int unit_append(struct planner *p, struct repli_unit *unit, struct base_slice bytes)
{
    struct repli_segment *last = unit->last_segment;
    if (last && last->bytes.data + last->bytes.len == bytes.data) {
        last->bytes.len += bytes.len;
    } else {
        struct repli_segment *segment = base_arena_alloc(&p->op->arena, sizeof *segment);
        if (!segment)
            return BASE_E_NOMEM;
        *segment = (struct repli_segment){bytes, NULL};
        if (last)
            last->next = segment;
        else
            unit->segments = segment;
        unit->last_segment = segment;
    }
    unit->size += bytes.len;
    unit->mutation_count++;
    unit->durable |= p->durable;
    p->unit = unit;
    return BASE_OK;
}

/* One partition is two of them when they are of two tables, as seen by a reader. Counted are at
 * most two: more is not asked. */
static void count_partition(struct planner *p, const struct base_mutation *m)
{
    if (p->op->partition_count == 0) {
        p->first_pkey = m->pkey;
        p->first_table_id = m->table_id;
        p->op->partition_count = 1;
    } else if (p->op->partition_count == 1 && (!base_slice_equal(m->pkey, p->first_pkey) ||
                                               !base_uuid_equal(m->table_id, p->first_table_id))) {
        p->op->partition_count = 2;
    }
}

static int sort_mutations(struct planner *p, struct base_slice mutations, size_t mutation_count)
{
    struct base_reader in = base_reader(mutations);
    size_t n = 0;
    for (; base_reader_left(&in) > 0; n++) {
        const uint8_t *start = in.p;
        struct base_mutation m;
        if (!base_mutation_decode(&in, &m) || !base_mutation_check(&m))
            return refuse(p, BASE_E_INVALID, "write: the mutations are damaged");
        int rc = find_table(p, &m.table_id);
        if (rc != BASE_OK)
            return rc;
        const struct ring_range *range =
            ring_placement_find(p->placement, base_token_get(m.pkey.data));
        struct base_slice bytes = {start, (size_t)(in.p - start)};
        struct repli_unit *unit = find_unit(p, range, bytes.len);
        if (!unit || unit_append(p, unit, bytes) != BASE_OK)
            return refuse(p, BASE_E_NOMEM, "write: out of memory");
        count_partition(p, &m);
    }
    if (n == 0 || n != mutation_count)
        return refuse(p, BASE_E_INVALID, "write: the mutations are not as many as was said");
    p->op->mutation_count = n;
    return BASE_OK;
}

/* Replicas. */

static unsigned count_in_dc(const struct ring_placement *placement, const struct ring_set *set,
                            struct base_slice dc)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < set->count; i++)
        n += base_slice_equal(placement->state->members[set->members[i]].dc, dc);
    return n;
}

/* A quorum of each data centre, and its pending owners (Cassandra: blockForWrite). */
static void fill_dc_scopes(struct repli_unit *unit)
{
    const struct ring_placement *placement = unit->placement;
    for (size_t i = 0; i < placement->dc_count; i++) {
        struct base_slice dc = placement->dcs[i].dc;
        unsigned owners = count_in_dc(placement, &unit->range->read, dc),
                 all = count_in_dc(placement, &unit->range->write, dc);
        unit->scopes[i] = (struct repli_scope){.required = placement->dcs[i].rf / 2 + 1 +
                                                           (all > owners ? all - owners : 0)};
    }
}

static int add_scopes(struct planner *p, struct repli_unit *unit, const struct repli_need *need)
{
    bool each = need->each_dc && unit->placement->dc_count > 0;
    unit->scope_count = (uint16_t)(each ? unit->placement->dc_count : 1);
    unit->scopes = base_arena_zalloc(&p->op->arena, unit->scope_count * sizeof *unit->scopes);
    if (!unit->scopes)
        return refuse(p, BASE_E_NOMEM, "write: out of memory");
    if (each)
        fill_dc_scopes(unit);
    else
        unit->scopes[0].required =
            repli_need_required(p->repl, need, unit->placement, unit->range, true);
    return BASE_OK;
}

static uint16_t scope_of(const struct planner *p, const struct repli_unit *unit,
                         const struct repli_need *need, const struct ring_member *member)
{
    if (need->local_only)
        return base_slice_equal(member->dc, p->repl->config.dc) ? 0 : REPLI_SCOPE_NONE;
    if (!need->each_dc || unit->placement->dc_count == 0)
        return 0;
    for (uint16_t i = 0; i < unit->scope_count; i++)
        if (base_slice_equal(member->dc, unit->placement->dcs[i].dc))
            return i;
    return REPLI_SCOPE_NONE;
}

static int add_slots(struct planner *p, struct repli_unit *unit, const struct repli_need *need)
{
    const struct ring_set *set = &unit->range->write;
    unit->slot_count = set->count;
    unit->slots = base_arena_zalloc(&p->op->arena, set->count * sizeof *unit->slots);
    if (!unit->slots && set->count)
        return refuse(p, BASE_E_NOMEM, "write: out of memory");
    for (uint16_t i = 0; i < set->count; i++) {
        const struct ring_member *member = &p->repl->ring->members[set->members[i]];
        struct repli_slot *slot = &unit->slots[i];
        slot->unit = unit;
        slot->host_id = member->host_id;
        slot->member = set->members[i];
        slot->scope = scope_of(p, unit, need, member);
        slot->self = repli_is_self(p->repl, member->host_id);
        slot->state = slot->self || repl_is_alive(p->repl, member->host_id) ? REPLI_SLOT_IDLE
                                                                            : REPLI_SLOT_DEAD;
        if (slot->scope != REPLI_SCOPE_NONE && slot->state == REPLI_SLOT_IDLE)
            unit->scopes[slot->scope].open++;
    }
    return BASE_OK;
}

/* ANY is met by a hint too: then somebody must be able to keep one. */
static int check_any(struct planner *p, const struct repli_unit *unit)
{
    for (uint16_t i = 0; i < unit->slot_count; i++)
        if (unit->slots[i].state == REPLI_SLOT_IDLE ||
            repli_hints_wanted(p->repl, unit->slots[i].member))
            return BASE_OK;
    p->outcome->required = 1;
    p->outcome->alive = 0;
    return refuse(p, BASE_E_UNAVAILABLE,
                  "Cannot achieve consistency level ANY: no replica is alive, and no hint can be "
                  "kept for one "
                  "(hinted handoff is off, all are down for longer than max_hint_window, or hints "
                  "fill their room)");
}

static int add_replicas(struct planner *p, struct repli_unit *unit)
{
    struct repli_need need;
    int rc =
        repli_need_of(p->repl, unit->placement, p->op->consistency, true, &need, &p->outcome->err);
    if (rc == BASE_OK && !p->op->settle)
        rc = repli_check_alive(p->repl, &need, unit->placement, unit->range, true, p->outcome);
    if (rc == BASE_OK)
        rc = add_scopes(p, unit, &need);
    if (rc == BASE_OK)
        rc = add_slots(p, unit, &need);
    if (rc == BASE_OK && p->op->consistency == REPL_CL_ANY && !p->op->settle)
        rc = check_any(p, unit);
    return rc;
}

/* The bytes that messages and hints are made of. They outlive the caller's, but where its answer
 * waits for the only replica. */
static int gather(struct planner *p, struct repli_unit *unit)
{
    if (p->op->borrowed) {
        unit->body = unit->segments->bytes;
        BASE_ASSERT(!unit->segments->next);
        return BASE_OK;
    }
    uint8_t *at = base_arena_alloc(&p->op->arena, unit->size);
    if (!at)
        return refuse(p, BASE_E_NOMEM, "write: out of memory");
    unit->body = (struct base_slice){at, unit->size};
    for (const struct repli_segment *s = unit->segments; s; s = s->next) {
        memcpy(at, s->bytes.data, s->bytes.len);
        at += s->bytes.len;
    }
    BASE_ASSERT(at == unit->body.data + unit->body.len);
    return BASE_OK;
}

int repli_write_plan(struct repl *repl, struct repli_write_op *op, struct repl_outcome *outcome)
{
    BASE_ASSERT(op->unit_count == 0 && op->write);
    struct planner p = {.repl = repl, .op = op, .outcome = outcome, .logged = op->write->logged};
    op->epoch = repl_epoch(repl);
    if (op->write->mutation_count > 1) {
        p.buckets = base_arena_zalloc(&op->arena, BUCKETS * sizeof *p.buckets);
        if (!p.buckets)
            return refuse(&p, BASE_E_NOMEM, "write: out of memory");
    }
    int rc = sort_mutations(&p, op->write->mutations, op->write->mutation_count);
    for (struct repli_unit *unit = op->units; rc == BASE_OK && unit; unit = unit->next)
        rc = add_replicas(&p, unit);
    for (struct repli_unit *unit = op->units; unit; unit = unit->next) {
        ring_placement_release(unit->placement);
        unit->placement = NULL;
        unit->range = NULL;
    }
    if (rc != BASE_OK)
        return rc;
    struct repli_unit *first = op->units;
    op->borrowed = op->unit_count == 1 && first->slot_count == 1 && first->slots[0].self;
    op->unmet = op->unit_count;
    for (struct repli_unit *unit = first; rc == BASE_OK && unit; unit = unit->next)
        rc = gather(&p, unit);
    return rc;
}
