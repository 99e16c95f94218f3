/* Events: what changed in the schema, in who is a member and in who is up, told to the connections
 * that registered for it.
 *
 * Invariants:
 *  1. Events are made by comparing what was told with what is: none is lost however many changes
 *     came at once, and what was undone in between is not told.
 *  2. A change of the schema is told when every live member has it, or after AGREE_MAX_NS: a client
 *     that asks any of them then sees it.
 *  3. A member is up when it is alive and has said where it serves clients; the address told is
 *     that one.
 *  4. While nobody has registered nothing is remembered and nothing compared. */
#include "node/native_private.h"

#define AGREE_MAX_NS UINT64_C(1000000000)
#define AGREE_POLL_NS UINT64_C(50000000)

/* A keyspace, a type, a table. */
struct nodei_thing_seen {
    /* 'K', 'T' (type), 't' (table): drops go from behind, so that what is in a keyspace goes before
     * it */
    char target;
    struct base_slice keyspace, name; /* in events.arena */
    uint64_t hash;                    /* of all that a client can see of it */
};
struct nodei_member_seen {
    struct base_uuid host_id;
    bool up, known, present; /* known: it was told of as NEW_NODE, or was there before */
    struct repl_native native;
};

void nodei_events_init(struct nodei_native *native)
{
    base_arena_init(&native->events.arena);
}

static void forget(struct nodei_native *native)
{
    struct nodei_native_events *e = &native->events;
    net_loop_disarm(native->loop, &e->timer);
    base_arena_fini(&e->arena);
    free(e->members);
    e->members = NULL;
    e->member_count = 0;
    e->things = NULL;
    e->thing_count = 0;
    e->primed = false;
    e->waiting_since_ns = 0;
}

void nodei_events_fini(struct nodei_native *native)
{
    forget(native);
}

static bool anybody(const struct nodei_native *native)
{
    for (const struct nodei_native_conn *c = native->conns; c; c = c->next)
        if (c->registered)
            return true;
    return false;
}

static void push(struct nodei_native *native, const struct cql_event *event)
{
    struct base_buf body;
    base_buf_init(&body, 1 << 20);
    int rc = cql_put_event(&body, event);
    for (struct nodei_native_conn *c = native->conns; c && rc == BASE_OK; c = c->next)
        if (c->registered & (1u << event->kind))
            nodei_conn_push(c, base_buf_view(&body));
    base_buf_fini(&body);
}

/* The schema. */

static int hash_table(const struct base_table *table, struct base_buf *text, uint64_t *hash)
{
    base_buf_reset(text);
    int rc = cql_describe_table(table, text);
    if (rc == BASE_OK)
        rc = base_buf_put(text, table->id.b, sizeof table->id.b);
    for (size_t i = 0; i < table->index_count && rc == BASE_OK; i++) {
        const struct base_index *index = &table->indexes[i];
        rc = base_buf_put_bytes(text, index->name);
        if (rc == BASE_OK)
            rc = base_buf_printf(text, "%u %u %d", index->id, index->column, (int)index->target);
    }
    *hash = base_checksum(text->data, text->len);
    return rc;
}

struct gather {
    struct base_arena arena;
    struct nodei_thing_seen *things;
    size_t count;
    struct base_buf text;
};

static int add(struct gather *g, char target, struct base_slice keyspace, struct base_slice name,
               uint64_t hash)
{
    struct nodei_thing_seen *t = &g->things[g->count];
    *t = (struct nodei_thing_seen){.target = target, .hash = hash};
    int rc = base_arena_copy(&g->arena, keyspace, &t->keyspace);
    if (rc == BASE_OK)
        rc = base_arena_copy(&g->arena, name, &t->name);
    g->count += rc == BASE_OK;
    return rc;
}

static int add_keyspace(struct gather *g, const struct base_keyspace *ks)
{
    uint64_t hash;
    base_buf_reset(&g->text);
    int rc = cql_describe_keyspace(ks, &g->text);
    if (rc == BASE_OK)
        rc =
            add(g, 'K', ks->name, (struct base_slice){0}, base_checksum(g->text.data, g->text.len));
    for (size_t i = 0; i < ks->type_count && rc == BASE_OK; i++) {
        base_buf_reset(&g->text);
        rc = cql_describe_type(&ks->types[i], &g->text);
        if (rc == BASE_OK)
            rc = add(g, 'T', ks->name, ks->types[i].name, base_checksum(g->text.data, g->text.len));
    }
    for (size_t i = 0; i < ks->table_count && rc == BASE_OK; i++) {
        rc = hash_table(ks->tables[i], &g->text, &hash);
        if (rc == BASE_OK)
            rc = add(g, 't', ks->name, ks->tables[i]->name, hash);
    }
    return rc;
}

static int compare_things(const void *a_, const void *b_)
{
    const struct nodei_thing_seen *a = a_, *b = b_;
    int c = (a->target > b->target) - (a->target < b->target);
    if (c == 0)
        c = base_slice_compare(a->keyspace, b->keyspace);
    return c ? c : base_slice_compare(a->name, b->name);
}

/* Everything that is there, sorted. The caller fini's g->arena. */
static int gather(struct gather *g, const struct base_schema *schema)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->keyspace_count; i++)
        count += 1 + schema->keyspaces[i].type_count + schema->keyspaces[i].table_count;
    *g = (struct gather){0};
    base_arena_init(&g->arena);
    base_buf_init(&g->text, 64u << 20);
    g->things = base_arena_alloc(&g->arena, (count + 1) * sizeof *g->things);
    int rc = g->things ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; i < schema->keyspace_count && rc == BASE_OK; i++)
        rc = add_keyspace(g, &schema->keyspaces[i]);
    base_buf_fini(&g->text);
    if (rc != BASE_OK)
        base_arena_fini(&g->arena);
    else if (g->count)
        qsort(g->things, g->count, sizeof *g->things, compare_things);
    return rc;
}

static void push_thing(struct nodei_native *native, const char *change,
                       const struct nodei_thing_seen *t)
{
    const char *target = t->target == 'K' ? "KEYSPACE" : t->target == 'T' ? "TYPE" : "TABLE";
    const struct cql_event event = {.kind = CQL_EVENT_SCHEMA_CHANGE,
                                    .change = base_slice_str(change),
                                    .target = base_slice_str(target),
                                    .keyspace = t->keyspace,
                                    .name = t->name};
    push(native, &event);
}

static const struct nodei_thing_seen *find_thing(const struct nodei_thing_seen *things,
                                                 size_t count, const struct nodei_thing_seen *key)
{
    return count ? bsearch(key, things, count, sizeof *things, compare_things) : NULL;
}

/* What went, from behind; then what came or changed. */
static void compare_schema(struct nodei_native *native, const struct gather *now)
{
    struct nodei_native_events *e = &native->events;
    for (size_t i = e->thing_count; i-- > 0;)
        if (!find_thing(now->things, now->count, &e->things[i]))
            push_thing(native, "DROPPED", &e->things[i]);
    for (size_t i = 0; i < now->count; i++) {
        const struct nodei_thing_seen *old = find_thing(e->things, e->thing_count, &now->things[i]);
        if (!old)
            push_thing(native, "CREATED", &now->things[i]);
        else if (old->hash != now->things[i].hash)
            push_thing(native, "UPDATED", &now->things[i]);
    }
}

static bool all_have(struct repl *repl, uint64_t epoch)
{
    const struct ring_state *ring = repl_ring(repl);
    for (size_t i = 0; i < ring->member_count; i++) {
        struct repl_peer_info info;
        repl_peer_get(repl, i, &info);
        if (info.alive && info.epoch < epoch)
            return false;
    }
    return true;
}

static void look_at_schema(struct nodei_native *native)
{
    struct nodei_native_events *e = &native->events;
    struct nodei_cluster *cluster = native->node->cluster;
    const struct base_schema *schema = repl_schema(cluster->repl);
    struct gather now;
    if (e->primed && schema->epoch == e->schema_epoch)
        return;
    uint64_t time = base_clock_mono(native->node->clock).ns;
    if (e->primed && !all_have(cluster->repl, schema->epoch)) {
        if (!e->waiting_since_ns)
            e->waiting_since_ns = time;
        if (time - e->waiting_since_ns < AGREE_MAX_NS) {
            net_loop_arm(native->loop, &e->timer, AGREE_POLL_NS);
            return;
        }
    }
    e->waiting_since_ns = 0;
    if (gather(&now, schema) != BASE_OK) {
        base_logf(native->node->log, BASE_LOG_WARN,
                  "clients could not be told of a schema change: out of memory");
        return;
    }
    if (e->primed)
        compare_schema(native, &now);
    base_arena_fini(&e->arena);
    e->arena = now.arena;
    e->things = now.things;
    e->thing_count = now.count;
    e->schema_epoch = schema->epoch;
}

/* Members. */

static void push_node(struct nodei_native *native, enum cql_event_kind kind, const char *change,
                      const struct repl_native *at)
{
    const struct cql_event event = {.kind = kind,
                                    .change = base_slice_str(change),
                                    .port = at->port,
                                    .address = base_slice(at->address, at->address_len)};
    if (at->address_len)
        push(native, &event);
}

/* The member's place in what was told; made if there is none. NULL: no memory. */
static struct nodei_member_seen *member_seen(struct nodei_native_events *e,
                                             struct base_uuid host_id)
{
    for (size_t i = 0; i < e->member_count; i++)
        if (base_uuid_equal(e->members[i].host_id, host_id))
            return &e->members[i];
    struct nodei_member_seen *wider = realloc(e->members, (e->member_count + 1) * sizeof *wider);
    if (!wider)
        return NULL;
    e->members = wider;
    wider[e->member_count] = (struct nodei_member_seen){.host_id = host_id};
    return &wider[e->member_count++];
}

static void look_at_member(struct nodei_native *native, const struct ring_member *member,
                           const struct repl_peer_info *info)
{
    struct nodei_native_events *e = &native->events;
    struct nodei_member_seen *m = member_seen(e, member->host_id);
    bool up = info->alive && info->native.address_len && member->state == RING_MEMBER_NORMAL;
    if (!m)
        return;
    m->present = true;
    if (m->up && !up)
        push_node(native, CQL_EVENT_STATUS_CHANGE, "DOWN", &m->native);
    if (info->native.address_len)
        m->native = info->native;
    if (!e->primed)
        m->known = member->state == RING_MEMBER_NORMAL;
    else if (up && !m->known)
        push_node(native, CQL_EVENT_TOPOLOGY_CHANGE, "NEW_NODE", &m->native);
    m->known = m->known || up;
    if (e->primed && up && !m->up)
        push_node(native, CQL_EVENT_STATUS_CHANGE, "UP", &m->native);
    m->up = up;
}

static void look_at_members(struct nodei_native *native)
{
    struct nodei_native_events *e = &native->events;
    struct repl *repl = native->node->cluster->repl;
    const struct ring_state *ring = repl_ring(repl);
    for (size_t i = 0; i < e->member_count; i++)
        e->members[i].present = false;
    for (size_t i = 0; i < ring->member_count; i++) {
        struct repl_peer_info info;
        if (base_uuid_equal(ring->members[i].host_id, native->node->identity.host_id))
            continue;
        repl_peer_get(repl, i, &info);
        look_at_member(native, &ring->members[i], &info);
    }
    for (size_t i = e->member_count; i-- > 0;) {
        if (e->members[i].present)
            continue;
        push_node(native, CQL_EVENT_TOPOLOGY_CHANGE, "REMOVED_NODE", &e->members[i].native);
        e->members[i] = e->members[--e->member_count];
    }
}

static void on_timer(struct net_timer *timer)
{
    nodei_events_look(BASE_CONTAINER(timer, struct nodei_native, events.timer));
}

void nodei_events_look(struct nodei_native *native)
{
    if (!native->node->cluster->repl)
        return;
    native->events.timer.fired = on_timer;
    if (!anybody(native)) {
        if (native->events.primed)
            forget(native);
        return;
    }
    look_at_schema(native);
    look_at_members(native);
    native->events.primed = true;
}
