/* Changes of the schema by clients, and the metadata log's own checks.
 *
 * The log is what was first appended by anybody: every other node must append the same bytes at the
 * same epoch, each entry must follow from the one before (applied here by base/ and ring/ to
 * snapshots of our own), every placement of every keyspace must cover all tokens exactly. At the
 * end: what was acknowledged is in it at the place that was told, what was refused is not in it. */
#include "tests/sim/cluster_load.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/make_table.h"

static struct rng *rng_of(struct cl_client *c)
{
    return &c->load->w->rng;
}

/* Placements. */

static unsigned number_of(const struct base_options *options, const char *key)
{
    struct base_slice value = base_options_get(options, key);
    return value.len == 1 ? (unsigned)(value.data[0] - '0') : 0;
}

static void read_replication(const struct cl_load *load, const struct base_keyspace *keyspace,
                             struct cm_replication *out)
{
    const struct cluster_options *o = &load->w->options;
    *out = (struct cm_replication){.dc_count = 1};
    out->per_dc = base_slice_equal(base_options_get(&keyspace->replication, "class"),
                                   BASE_SLICE_LIT("NetworkTopologyStrategy"));
    if (!out->per_dc) {
        out->rf[0] = number_of(&keyspace->replication, "replication_factor");
        out->owners[0] = out->rf[0] < o->nodes ? out->rf[0] : o->nodes;
        return;
    }
    out->dc_count = o->dcs;
    for (unsigned dc = 0; dc < o->dcs; dc++) {
        char name[16];
        unsigned members = o->nodes / o->dcs + (dc < o->nodes % o->dcs);
        snprintf(name, sizeof name, "dc%u", dc + 1);
        out->rf[dc] = number_of(&keyspace->replication, name);
        out->owners[dc] = out->rf[dc] < members ? out->rf[dc] : members;
    }
}

/* How many of the members count for this keyspace's range. */
static void check_set(struct cluster_world *w, const struct ring_state *ring,
                      const struct ring_set *set, unsigned expected)
{
    if (set->count != expected)
        cluster_fail(w, "a range has %u owners, not %u (epoch %" PRIu64 ")", set->count, expected,
                     ring->epoch);
    for (size_t i = 0; i < set->count; i++) {
        if (set->members[i] >= ring->member_count)
            cluster_fail(w, "a range has an owner that is no member");
        for (size_t k = 0; k < i; k++)
            if (set->members[k] == set->members[i])
                cluster_fail(w, "a range has an owner twice");
    }
}

static unsigned expected_owners(const struct ring_state *ring, const struct base_keyspace *keyspace,
                                const struct cluster_options *o)
{
    unsigned all = 0, expected = 0;
    bool per_dc = base_slice_equal(base_options_get(&keyspace->replication, "class"),
                                   BASE_SLICE_LIT("NetworkTopologyStrategy"));
    for (unsigned dc = 0; dc < o->dcs; dc++) {
        char name[16];
        unsigned members = 0, rf;
        snprintf(name, sizeof name, "dc%u", dc + 1);
        for (size_t i = 0; i < ring->member_count; i++)
            members += ring->members[i].state == RING_MEMBER_NORMAL &&
                       base_slice_equal(ring->members[i].dc, base_slice_str(name));
        rf = number_of(&keyspace->replication, name);
        expected += rf < members ? rf : members;
        all += members;
    }
    unsigned rf = number_of(&keyspace->replication, "replication_factor");
    return per_dc ? expected : rf < all ? rf : all;
}

static void check_placement(struct cl_load *load, const struct base_keyspace *keyspace)
{
    struct cluster_world *w = load->w;
    struct ring_placement *placement;
    struct base_err err = {0};
    struct ring_state *ring = load->log.ring;
    if (ring_placement_new(ring, &keyspace->replication, w->nodes[0].host_id, &placement, &err) !=
        BASE_OK)
        cluster_fail(w, "placement: %s", err.text);
    unsigned expected = expected_owners(ring, keyspace, &w->options);
    int64_t upto = INT64_MIN;
    for (size_t i = 0; i < placement->range_count; i++) {
        const struct ring_range *range = &placement->ranges[i];
        if (range->upto <= upto)
            cluster_fail(w, "ranges overlap");
        upto = range->upto;
        check_set(w, ring, &range->read, expected);
        check_set(w, ring, &range->write, expected);
    }
    if (upto != INT64_MAX)
        cluster_fail(w, "ranges do not cover all tokens");
    ring_placement_release(placement);
}

/* The log. */

static struct base_slice copy_bytes(struct base_slice s)
{
    uint8_t *bytes = cluster_must(malloc(s.len ? s.len : 1));
    if (s.len)
        memcpy(bytes, s.data, s.len);
    return base_slice(bytes, s.len);
}

static void table_made(struct cl_load *load, const struct base_change *change)
{
    const struct base_table *table =
        base_schema_table(load->log.schema, change->keyspace, change->name);
    const struct base_keyspace *keyspace = base_schema_keyspace(load->log.schema, change->keyspace);
    BASE_ASSERT(table && keyspace);
    struct cm_table *t = cm_table_add(&load->model, table->id);
    snprintf(t->keyspace, sizeof t->keyspace, "%.*s", BASE_SLICE_ARG(table->keyspace));
    snprintf(t->name, sizeof t->name, "%.*s", BASE_SLICE_ARG(table->name));
    t->partition_count = load->options.partitions;
    t->row_count = load->options.rows;
    t->descending = table->columns[1].descending;
    read_replication(load, keyspace, &t->replication);
}

/* The entry leads from our snapshots to the next ones. */
static void apply(struct cl_load *load, struct base_slice entry)
{
    struct base_arena arena;
    struct base_change change;
    struct base_err err = {0};
    struct base_schema *schema = NULL;
    struct ring_state *ring = NULL;
    base_arena_init(&arena);
    int rc = base_change_decode(&arena, entry, &change, &err);
    if (rc == BASE_OK)
        rc = base_schema_apply(load->log.schema, &change, &schema, &err);
    if (rc == BASE_OK && change.kind == BASE_CHANGE_TOPOLOGY) {
        struct ring_change topology;
        rc = ring_change_decode(&arena, change.topology, &topology, &err);
        if (rc == BASE_OK)
            rc = ring_state_apply(load->log.ring, &topology, schema->epoch, &ring, &err);
    } else if (rc == BASE_OK) {
        rc = ring_state_advance(load->log.ring, schema->epoch, &ring, &err);
    }
    if (rc != BASE_OK)
        cluster_fail(load->w, "entry %zu of the log does not follow from what is before it: %s",
                     load->log.count, err.text);
    base_schema_release(load->log.schema);
    ring_state_release(load->log.ring);
    load->log.schema = schema;
    load->log.ring = ring;
    if (!ring_state_check(ring))
        cluster_fail(load->w, "after entry %zu the ring is none", load->log.count);
    if (change.kind == BASE_CHANGE_TABLE_CREATE)
        table_made(load, &change);
    for (size_t i = 0; i < schema->keyspace_count; i++)
        check_placement(load, &schema->keyspaces[i]);
    base_arena_fini(&arena);
}

void cl_on_append(struct cluster_node *node, uint64_t epoch, struct base_slice entry)
{
    struct cl_load *load = node->world->ctx;
    struct cl_log *log = &load->log;
    if (epoch > log->count + 1)
        cluster_fail(load->w, "%s appends entry %" PRIu64 ", and nobody has %zu", node->address,
                     epoch, log->count + 1);
    if (epoch <= log->count) {
        if (!base_slice_equal(log->entries[epoch - 1].bytes, entry))
            cluster_fail(load->w, "%s has another entry %" PRIu64 " than the others", node->address,
                         epoch);
        return;
    }
    if (log->count == log->cap) {
        log->cap = log->cap ? 2 * log->cap : 16;
        log->entries = cluster_must(realloc(log->entries, log->cap * sizeof *log->entries));
    }
    log->entries[log->count++] = (struct cl_entry){.bytes = copy_bytes(entry)};
    apply(load, entry);
    log->entries[epoch - 1].digest = cluster_state_digest(log->schema, log->ring);
    if (load->on_new_entry)
        load->on_new_entry(load->hooks_ctx, node);
}

/* By whatever way a node came to an epoch: the state is the one that the log from its first entry
 * on leads to. */
void cl_on_state(struct cluster_node *node, uint64_t epoch, uint64_t digest)
{
    struct cl_load *load = node->world->ctx;
    if (epoch == 0 || epoch > load->log.count)
        cluster_fail(load->w, "%s has a state at epoch %" PRIu64 ", and the log has %zu entries",
                     node->address, epoch, load->log.count);
    if (load->log.entries[epoch - 1].digest != digest)
        cluster_fail(load->w, "%s has another state at epoch %" PRIu64 " than the log leads to",
                     node->address, epoch);
}

void cl_log_fini(struct cl_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free((void *)log->entries[i].bytes.data);
    free(log->entries);
    base_schema_release(log->schema);
    ring_state_release(log->ring);
}

void cl_asked_fini(struct cl_load *load)
{
    for (struct cl_asked *a = load->asked, *next; a; a = next) {
        next = a->next;
        free((void *)a->bytes.data);
        free(a);
    }
}

/* Is the entry this change? Whoever proposes it may add to it, so not by the bytes. */
static bool is_change(struct base_slice entry, const struct cl_asked *asked)
{
    struct base_arena arena;
    struct base_change a, b;
    struct base_err err;
    base_arena_init(&arena);
    CL_OK(base_change_decode(&arena, entry, &a, &err));
    CL_OK(base_change_decode(&arena, asked->bytes, &b, &err));
    bool same = a.kind == b.kind && a.expected_epoch == b.expected_epoch &&
                base_slice_equal(a.keyspace, b.keyspace) && base_slice_equal(a.name, b.name) &&
                base_uuid_equal(a.table_id, b.table_id) && a.time_us == b.time_us &&
                (a.kind != BASE_CHANGE_TABLE_ALTER ||
                 base_slice_equal(a.table_new->options.comment, b.table_new->options.comment));
    base_arena_fini(&arena);
    return same;
}

/* Two clients may ask for the same at the same epoch (to drop a table): then one of them may be
 * refused. */
static bool is_asked_again(const struct cl_load *load, const struct cl_asked *asked)
{
    for (const struct cl_asked *a = load->asked; a; a = a->next)
        if (a != asked && is_change(asked->bytes, a))
            return true;
    return false;
}

void cl_check_log(struct cl_load *load)
{
    const struct cl_log *log = &load->log;
    for (const struct cl_asked *a = load->asked; a; a = a->next) {
        size_t times = 0;
        for (size_t e = 0; e < log->count; e++)
            times += is_change(log->entries[e].bytes, a);
        if (times > 1)
            cluster_fail(load->w, "a change is in the log %zu times", times);
        if (a->outcome == CM_REFUSED && times && !is_asked_again(load, a))
            cluster_fail(load->w, "a change that was refused (%s) is in the log",
                         base_err_words(a->rc));
        if (a->outcome != CM_ACKED)
            continue;
        if (a->epoch == 0 || a->epoch > log->count ||
            !is_change(log->entries[a->epoch - 1].bytes, a))
            cluster_fail(load->w,
                         "a change that was acknowledged at epoch %" PRIu64 " is not there",
                         a->epoch);
    }
}

/* Changes. */

static const struct base_keyspace *
make_keyspace(struct base_arena *arena, const struct cl_options *o, unsigned index, unsigned dcs)
{
    struct base_keyspace *ks = cluster_must(base_arena_zalloc(arena, sizeof *ks));
    struct base_option *options =
        cluster_must(base_arena_zalloc(arena, (CM_DCS_MAX + 2) * sizeof *options));
    char text[32];
    size_t n = 0;
    snprintf(text, sizeof text, "ks%u", index);
    ks->name = base_slice_str(cluster_must(base_arena_strdup(arena, base_slice_str(text))));
    ks->durable_writes = true;
    options[n++] = (struct base_option){BASE_SLICE_LIT("class"),
                                        o->per_dc[index] ? BASE_SLICE_LIT("NetworkTopologyStrategy")
                                                         : BASE_SLICE_LIT("SimpleStrategy")};
    for (unsigned dc = 0; o->per_dc[index] && dc < dcs; dc++) {
        snprintf(text, sizeof text, "dc%u", dc + 1);
        options[n].key =
            base_slice_str(cluster_must(base_arena_strdup(arena, base_slice_str(text))));
        snprintf(text, sizeof text, "%u", o->rf[index]);
        options[n++].value =
            base_slice_str(cluster_must(base_arena_strdup(arena, base_slice_str(text))));
    }
    if (!o->per_dc[index]) {
        snprintf(text, sizeof text, "%u", o->rf[index]);
        options[n++] = (struct base_option){
            BASE_SLICE_LIT("replication_factor"),
            base_slice_str(cluster_must(base_arena_strdup(arena, base_slice_str(text))))};
    }
    ks->replication = (struct base_options){options, n};
    return ks;
}

/* The table's indexes: one on a, b or c comes or goes. */
static void toggle_index(struct cl_load *load, struct base_arena *arena, struct base_table *table)
{
    static const uint32_t columns[] = {CM_COLUMN_A, CM_COLUMN_B, CM_COLUMN_ROW};
    static const char *const names[] = {"a", "b", "c"}; /* in order, as a table's indexes are */
    struct rng *rng = &load->w->rng;
    size_t toggled = rng_below(rng, BASE_COUNT(columns)), n = 0;
    struct base_index *indexes =
        cluster_must(base_arena_zalloc(arena, BASE_COUNT(columns) * sizeof *indexes));
    if (!table->next_index_id)
        table->next_index_id = 1;
    for (size_t i = 0; i < BASE_COUNT(columns); i++) {
        const struct base_index *had = NULL;
        for (size_t k = 0; k < table->index_count; k++)
            if (table->indexes[k].column == columns[i])
                had = &table->indexes[k];
        if (i == toggled ? had != NULL : had == NULL)
            continue;
        char name[32];
        snprintf(name, sizeof name, "%.*s_%s", BASE_SLICE_ARG(table->name), names[i]);
        indexes[n++] =
            had ? *had
                : (struct base_index){.id = table->next_index_id++,
                                      .name = base_slice_str(cluster_must(
                                          base_arena_strdup(arena, base_slice_str(name)))),
                                      .column = columns[i],
                                      .target = BASE_INDEX_VALUE};
    }
    table->indexes = indexes;
    table->index_count = n;
    load->index_changes++;
}

static const struct base_table *make(struct cl_load *load, struct base_arena *arena,
                                     const char *keyspace, const char *name)
{
    struct rng *rng = &load->w->rng;
    struct base_table *table =
        make_table(arena, keyspace, name, rng_chance(rng, 50) ? CM_COLUMNS : CM_COLUMNS_DESC);
    rng_fill(rng, table->id.b, sizeof table->id.b);
    table->options.speculative_retry = base_slice_str(load->options.speculative_retry);
    table->options.additional_write_policy = BASE_SLICE_LIT("99p");
    table->options.read_repair = BASE_SLICE_LIT("BLOCKING");
    if (load->options.indexes)
        toggle_index(load, arena, table);
    return table;
}

void cl_schema_before_start(struct cl_load *load)
{
    struct base_arena arena;
    base_arena_init(&arena);
    for (unsigned i = 0; i < load->options.keyspaces; i++) {
        const struct base_keyspace *ks =
            make_keyspace(&arena, &load->options, i, load->w->options.dcs);
        char name[32];
        snprintf(name, sizeof name, "ks%u", i);
        cluster_world_change(load->w, &(struct base_change){.kind = BASE_CHANGE_KEYSPACE_CREATE,
                                                            .keyspace = ks->name,
                                                            .keyspace_new = ks});
        const struct base_table *table = make(load, &arena, name, "t0");
        cluster_world_change(load->w, &(struct base_change){.kind = BASE_CHANGE_TABLE_CREATE,
                                                            .keyspace = table->keyspace,
                                                            .name = table->name,
                                                            .table_new = table,
                                                            .table_id = table->id});
    }
    base_arena_fini(&arena);
}

static void change_done(struct repl_change *change)
{
    struct cl_client *c = BASE_CONTAINER(change, struct cl_client, change);
    struct cl_load *load = c->load;
    const struct repl_outcome *o = &change->outcome;
    bool dying = c->node->state == CLUSTER_NODE_DYING;
    enum cm_outcome outcome = o->rc == BASE_OK                                         ? CM_ACKED
                              : dying || base_err_outcome(o->rc) == BASE_OUTCOME_MAYBE ? CM_UNKNOWN
                                                                                       : CM_REFUSED;
    switch ((enum base_error)o->rc) {
    case BASE_OK:
    case BASE_E_UNAVAILABLE:
    case BASE_E_UNKNOWN:
    case BASE_E_TIMEOUT:
    case BASE_E_STALE:
    case BASE_E_OVERLOADED:
    case BASE_E_CLOSED:
    case BASE_E_BUSY:
    case BASE_E_STOPPED: /* its disk failed */
        break;
    default:
        if (!dying)
            cluster_fail(load->w, "a change through %s ends with %s: %s", c->node->address,
                         base_err_words(o->rc), o->err.text);
    }
    if (load->calm && o->rc != BASE_OK && o->rc != BASE_E_STALE)
        cluster_fail(load->w, "a change through %s ends with %s although nothing is wrong: %s",
                     c->node->address, base_err_words(o->rc), o->err.text);
    struct cl_asked *asked = cluster_must(calloc(1, sizeof *asked));
    *asked = (struct cl_asked){load->asked, copy_bytes(base_buf_view(&c->bytes)), outcome,
                               change->epoch, o->rc};
    load->asked = asked;
    if (outcome == CM_ACKED && !dying && repl_epoch(c->node->repl) < change->epoch)
        cluster_fail(load->w,
                     "a change is acknowledged at epoch %" PRIu64 " and its node is at %" PRIu64,
                     change->epoch, repl_epoch(c->node->repl));
    if (c->op)
        cm_end(&load->model, c->op, outcome, o->rc);
    cl_request_ends(c, o);
}

static bool draw_table_change(struct cl_client *c, const struct base_keyspace *ks,
                              const char *keyspace, const char *name)
{
    struct cl_load *load = c->load;
    const struct base_table *table = base_schema_table(c->schema, ks->name, base_slice_str(name));
    c->body = (struct base_change){
        .keyspace = ks->name,
        .name = base_slice_str(cluster_must(base_arena_strdup(&c->arena, base_slice_str(name))))};
    if (!table) {
        size_t tables = 0;
        for (const struct cm_table *t = load->model.tables; t; t = t->next)
            tables++;
        if (tables >= 2 * CL_KEYSPACES_MAX * CL_NAMES)
            return false;
        c->body.kind = BASE_CHANGE_TABLE_CREATE;
        c->body.table_new = make(load, &c->arena, keyspace, name);
        c->body.table_id = c->body.table_new->id;
        load->creates++;
        return true;
    }
    if (rng_chance(rng_of(c), 50)) { /* only the comment changes, and maybe an index */
        struct base_table *altered = cluster_must(base_arena_zalloc(&c->arena, sizeof *altered));
        char comment[32];
        snprintf(comment, sizeof comment, "change %" PRIu64, ++load->next_value);
        *altered = *table;
        altered->columns_by_id = NULL;
        altered->options.comment =
            base_slice_str(cluster_must(base_arena_strdup(&c->arena, base_slice_str(comment))));
        if (load->options.indexes && rng_chance(rng_of(c), 70))
            toggle_index(load, &c->arena, altered);
        c->body.kind = BASE_CHANGE_TABLE_ALTER;
        c->body.table_new = altered;
        return true;
    }
    c->body.table_id = table->id;
    struct cm_table *t = cm_table_find(&load->model, table->id);
    if (rng_chance(rng_of(c), 25)) {
        c->body.kind = BASE_CHANGE_TABLE_DROP;
        load->drops++;
        return true;
    }
    if (t->truncation_count == BASE_COUNT(t->truncations))
        return false;
    c->body.kind = BASE_CHANGE_TABLE_TRUNCATE;
    c->body.time_us = cluster_node_timestamp(c->node);
    c->op = cm_begin(&load->model, "truncation");
    t->truncations[t->truncation_count] = c->op;
    t->truncation_us[t->truncation_count++] = c->body.time_us;
    load->truncations++;
    return true;
}

void cl_start_change(struct cl_client *c)
{
    struct cl_load *load = c->load;
    unsigned index = (unsigned)rng_below(rng_of(c), load->options.keyspaces);
    char keyspace[16], name[16];
    snprintf(keyspace, sizeof keyspace, "ks%u", index);
    snprintf(name, sizeof name, "t%u", (unsigned)rng_below(rng_of(c), CL_NAMES));
    const struct base_keyspace *ks = base_schema_keyspace(c->schema, base_slice_str(keyspace));
    bool drawn = true;
    if (!ks) {
        ks = make_keyspace(&c->arena, &load->options, index, load->w->options.dcs);
        c->body = (struct base_change){
            .kind = BASE_CHANGE_KEYSPACE_CREATE, .keyspace = ks->name, .keyspace_new = ks};
    } else {
        drawn = draw_table_change(c, ks, keyspace, name);
    }
    if (!drawn) {
        c->request = CL_CHANGE;
        cl_request_ends(c, &(struct repl_outcome){.rc = BASE_OK});
        return;
    }
    c->body.expected_epoch = c->schema->epoch;
    CL_OK(base_change_encode(&c->body, &c->bytes));
    c->change = (struct repl_change){.change = &c->body, .done = change_done};
    cl_request_begins(c, CL_CHANGE, load->w->options.config.metadata_timeout_ns);
    repl_change_start(c->node->repl, &c->change);
}
