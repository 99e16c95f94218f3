/* The world's clockwork: the queue of events; machines and their processes; clocks; pauses.
 *
 * Invariants:
 *  1. Time is the world's; a node's clocks follow it (with skew and drift) before anything of the
 *     node runs.
 *  2. An event that is posted is in the heap or on its paused node's list, never both, and once.
 *  3. What a process had under way ends with it: its port operations are answered with STOPPED
 *     while it is DYING (a state in which it can neither send nor store), then its repl is closed.
 *     Messages on the wire live on (some of its last ones never got there).
 *  4. All chance comes from the world's generator: same seed, same run. */
#include "tests/sim/cluster_world.h"

#include <inttypes.h>
#include <stdio.h>

const char *const cluster_canary_names[CLUSTER_CANARY_COUNT] = {
    "none",          "early_ack", "no_promise", "no_repair",
    "hints_dropped", "tombstone", "batchlog",   "index",
};

void *cluster_must(void *p)
{
    if (!p) {
        fprintf(stderr, "cluster world: out of memory\n");
        abort();
    }
    return p;
}

void cluster_fail(struct cluster_world *w, const char *what, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "FAILED at %" PRIu64 ".%06" PRIu64 " s of seed %" PRIu64 ": ",
            w->now_ns / CLUSTER_S, w->now_ns % CLUSTER_S / 1000, w->options.seed);
    va_start(args, what);
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "\n");
    if (w->on_fail)
        w->on_fail(w);
    if (w->trace.out)
        fflush(w->trace.out);
    _Exit(1);
}

void cluster_tell(struct cluster_node *node, const char *what, size_t peer, unsigned verb,
                  struct base_slice bytes)
{
    const struct cluster_world *w = node->world;
    uint8_t needle[8];
    base_put_be64(needle, w->options.needle);
    if (w->options.needle && memmem(bytes.data, bytes.len, needle, sizeof needle))
        fprintf(stderr, "%" PRIu64 ".%06" PRIu64 " %s: %s %zu verb %u, %zu bytes\n",
                w->now_ns / CLUSTER_S, w->now_ns % CLUSTER_S / 1000, node->address, what, peer + 1,
                verb, bytes.len);
}

/* The queue: a binary heap by (at_ns, seq). */

static bool before(const struct cluster_event *a, const struct cluster_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->seq < b->seq);
}

static void heap_put(struct cluster_world *w, size_t place, struct cluster_event *event)
{
    w->heap[place] = event;
    event->place = place;
}

static void heap_up(struct cluster_world *w, size_t place)
{
    struct cluster_event *event = w->heap[place];
    for (; place > 1 && before(event, w->heap[place / 2]); place /= 2)
        heap_put(w, place, w->heap[place / 2]);
    heap_put(w, place, event);
}

static void heap_down(struct cluster_world *w, size_t place)
{
    struct cluster_event *event = w->heap[place];
    for (size_t child; (child = place * 2) <= w->heap_count; place = child) {
        if (child < w->heap_count && before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!before(w->heap[child], event))
            break;
        heap_put(w, place, w->heap[child]);
    }
    heap_put(w, place, event);
}

static void heap_remove(struct cluster_world *w, struct cluster_event *event)
{
    size_t place = event->place;
    BASE_ASSERT(place && w->heap[place] == event);
    struct cluster_event *last = w->heap[w->heap_count--];
    event->place = 0;
    if (last != event) {
        heap_put(w, place, last);
        heap_up(w, place);
        heap_down(w, last->place);
    }
}

void cluster_post(struct cluster_world *w, struct cluster_event *event, struct cluster_node *node,
                  uint64_t after_ns,
                  void (*fire)(struct cluster_world *w, struct cluster_event *event))
{
    BASE_ASSERT(!cluster_is_posted(event));
    if (w->heap_count + 1 >= w->heap_cap) {
        w->heap_cap = w->heap_cap ? w->heap_cap * 2 : 256;
        w->heap = cluster_must(realloc(w->heap, w->heap_cap * sizeof *w->heap));
    }
    event->at_ns = w->now_ns + after_ns;
    event->seq = w->next_seq++;
    event->node = node;
    event->fire = fire;
    w->heap[++w->heap_count] = event;
    heap_up(w, w->heap_count);
}

static void unhold(struct cluster_node *node, struct cluster_event *event)
{
    struct cluster_event **at = &node->held;
    while (*at != event)
        at = &(*at)->next;
    *at = event->next;
    if (!*at)
        node->held_end = at;
    event->held = false;
}

void cluster_cancel(struct cluster_world *w, struct cluster_event *event)
{
    if (event->held)
        unhold(event->node, event);
    else if (event->place)
        heap_remove(w, event);
}

bool cluster_step(struct cluster_world *w)
{
    if (!w->heap_count)
        return false;
    struct cluster_event *event = w->heap[1];
    heap_remove(w, event);
    BASE_ASSERT(event->at_ns >= w->now_ns);
    w->now_ns = event->at_ns;
    struct cluster_node *node = event->node;
    if (node && node->paused) {
        event->held = true;
        event->next = NULL;
        *node->held_end = event;
        node->held_end = &event->next;
        return true;
    }
    w->events++;
    if (node)
        cluster_node_sync_clock(node);
    event->fire(w, event);
    return true;
}

void cluster_run(struct cluster_world *w, uint64_t for_ns)
{
    uint64_t until = w->now_ns + for_ns;
    while (w->heap_count && w->heap[1]->at_ns <= until)
        cluster_step(w);
    w->now_ns = until;
}

bool cluster_run_until(struct cluster_world *w, bool (*is_so)(struct cluster_world *w, void *ctx),
                       void *ctx, uint64_t max_ns)
{
    uint64_t until = w->now_ns + max_ns;
    while (!is_so(w, ctx)) {
        if (!w->heap_count || w->heap[1]->at_ns > until) {
            w->now_ns = until;
            return is_so(w, ctx);
        }
        cluster_step(w);
    }
    return true;
}

uint64_t cluster_draw_ns(struct cluster_world *w, uint64_t max_ns)
{
    uint64_t cut = rng_below(&w->rng, 8); /* each halving as likely as the next */
    return max_ns ? rng_below(&w->rng, (max_ns >> cut) + 1) : 0;
}

/* Clocks, alarm. */

void cluster_node_sync_clock(struct cluster_node *node)
{
    struct cluster_world *w = node->world;
    uint64_t delta = w->now_ns - node->clock_at_ns;
    if (!delta)
        return;
    node->clock_at_ns = w->now_ns;
    /* Odd nodes' clocks are fast, even ones slow, up to the option. */
    uint64_t drift = delta / 1000000 * w->options.drift_ppm * (node->index % 4) / 3;
    sim_clock_advance(&node->clock, node->index % 2 ? delta + drift : delta - drift);
}

static uint64_t mono_of(struct cluster_node *node)
{
    return base_clock_mono(&node->clock.base).ns;
}

int64_t cluster_node_timestamp(struct cluster_node *node)
{
    int64_t wall = base_clock_wall(&node->clock.base).us;
    node->timestamp_us = wall > node->timestamp_us ? wall : node->timestamp_us + 1;
    return node->timestamp_us;
}

static void alarm_fired(struct cluster_world *w, struct cluster_event *event)
{
    struct cluster_node *node = BASE_CONTAINER(event, struct cluster_node, alarm_event);
    BASE_ASSERT(node->state == CLUSTER_NODE_UP);
    uint64_t mono = mono_of(node);
    if (mono < node->alarm_at_ns) { /* its clock is slow */
        cluster_post(w, event, node, node->alarm_at_ns - mono, alarm_fired);
        return;
    }
    trace_add(&w->trace, "tick", node->address, w->now_ns, mono, (struct base_slice){0});
    repl_tick(node->repl);
}

static void alarm_set(struct repl_alarm *alarm, uint64_t at_ns)
{
    struct cluster_node *node = BASE_CONTAINER(alarm, struct cluster_node, alarm);
    struct cluster_world *w = node->world;
    cluster_cancel(w, &node->alarm_event);
    node->alarm_at_ns = at_ns;
    if (at_ns == UINT64_MAX || node->state != CLUSTER_NODE_UP)
        return;
    uint64_t mono = mono_of(node),
             late = rng_one_in(&w->rng, 16) ? cluster_draw_ns(w, 20 * CLUSTER_MS) : 0;
    cluster_post(w, &node->alarm_event, node, (at_ns > mono ? at_ns - mono : 0) + late,
                 alarm_fired);
}

static const struct repl_alarm_ops alarm_ops = {alarm_set};

/* Background work. */

static void work_fired(struct cluster_world *w, struct cluster_event *event)
{
    struct cluster_node *node = BASE_CONTAINER(event, struct cluster_node, work_event);
    sim_executor_run(&node->executor, 1 + rng_below(&w->rng, 4));
    cluster_work_post(node);
}

void cluster_work_post(struct cluster_node *node)
{
    struct cluster_world *w = node->world;
    if (!node->executor.job_count || cluster_is_posted(&node->work_event) || !node->store)
        return;
    uint64_t due = UINT64_MAX, mono = mono_of(node);
    for (const struct base_job *job = node->executor.jobs; job; job = job->next)
        due = job->due_ns < due ? job->due_ns : due;
    cluster_post(w, &node->work_event, node,
                 (due > mono ? due - mono : 0) + cluster_draw_ns(w, 4 * CLUSTER_MS), work_fired);
}

/* The process. */

static int64_t port_timestamp(void *ctx)
{
    return cluster_node_timestamp(ctx);
}

static void port_changed(void *ctx)
{
    struct cluster_node *node = ctx;
    if (node->world->on_changed && node->state == CLUSTER_NODE_UP && node->repl)
        node->world->on_changed(node);
}

static int read_ring(struct cluster_node *node, uint64_t epoch, struct ring_state **out,
                     struct base_err *err)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 64u << 20);
    *out = NULL;
    int rc = cat_ring_load(node->catalog, &bytes, err);
    if (rc == BASE_OK)
        rc = ring_state_decode(base_buf_view(&bytes), out, err);
    else if (rc == BASE_E_NOTFOUND && epoch == 0)
        rc = (*out = ring_state_new()) ? BASE_OK : BASE_E_NOMEM;
    base_buf_fini(&bytes);
    return rc;
}

static int read_paxos(struct cluster_node *node, struct base_buf *paxos, struct base_err *err)
{
    base_buf_init(paxos, 1u << 20);
    int rc = cat_local_get(node->catalog, REPL_PAXOS_KEY, paxos, err);
    return rc == BASE_E_NOTFOUND ? BASE_OK : rc;
}

static int open_repl(struct cluster_node *node, const struct repl_initial *initial,
                     struct base_err *err)
{
    struct cluster_world *w = node->world;
    struct repl_config config = w->options.config;
    config.host_id = node->host_id;
    config.generation = node->generation;
    config.cluster_name = base_slice_str(node->cluster_name ? node->cluster_name : "simulated");
    config.address = node->guest ? (struct base_slice){0} : node->addresses;
    config.dc = base_slice_str(node->dc);
    config.rack = base_slice_str(node->rack);
    config.seeds = node->own_seeds ? node->own_seeds : w->seeds;
    config.seed_count = node->own_seeds ? node->own_seed_count : w->options.seeds;
    config.guest = node->guest;
    struct repl_ports ports = {
        .clock = &node->clock.base,
        .random = &node->random.base,
        .alarm = &node->alarm,
        .transport = &node->transport,
        .store = node->guest ? NULL : &node->store_port,
        .meta = node->guest ? NULL : &node->meta_port,
        .timestamp = port_timestamp,
        .changed = port_changed,
        .ctx = node,
    };
    return repl_open(&config, &ports, initial, &node->repl, err);
}

/* What a start has made so far, undone: also the end of every process. */
static void process_end(struct cluster_node *node, bool crash)
{
    struct cluster_world *w = node->world;
    node->state = CLUSTER_NODE_DYING;
    cluster_ops_end(node, crash);
    if (node->repl)
        repl_close(node->repl);
    node->repl = NULL;
    cluster_cancel(w, &node->alarm_event);
    cluster_cancel(w, &node->work_event);
    cluster_inbounds_free(node);
    if (!node->guest)
        cluster_store_close(node, crash);
    if (node->catalog)
        cat_close(node->catalog);
    node->catalog = NULL;
    sim_random_fini(&node->random);
    node->state = CLUSTER_NODE_DOWN;
}

static int open_process(struct cluster_node *node, struct base_err *err)
{
    struct repl_initial initial = {0};
    struct base_buf paxos = {0};
    int rc = BASE_OK;
    if (node->guest) {
        initial.schema = cluster_must(base_schema_new());
        initial.ring = cluster_must(ring_state_new());
    } else {
        node->catalog = mem_catalog_open(node->disk_catalog);
        rc = cat_schema_load(node->catalog, &initial.schema, err);
        if (rc == BASE_OK)
            rc = read_ring(node, initial.schema->epoch, &initial.ring, err);
        if (rc == BASE_OK)
            rc = read_paxos(node, &paxos, err);
        if (rc == BASE_OK)
            rc = cluster_store_open(node, initial.schema, err);
    }
    if (node->world->options.canary != CLUSTER_CANARY_NO_PROMISE)
        initial.paxos = base_buf_view(&paxos);
    if (rc == BASE_OK)
        rc = open_repl(node, &initial, err);
    base_buf_fini(&paxos);
    if (initial.schema)
        base_schema_release(initial.schema);
    if (initial.ring)
        ring_state_release(initial.ring);
    return rc;
}

bool cluster_node_start(struct cluster_node *node, struct base_err *err)
{
    struct cluster_world *w = node->world;
    BASE_ASSERT(node->state == CLUSTER_NODE_DOWN && !node->paused);
    cluster_node_sync_clock(node);
    base_err_clear(&node->stopped);
    base_err_clear(err);
    node->power_off = false;
    node->generation++;
    node->alarm_at_ns = UINT64_MAX;
    sim_executor_init(&node->executor, &node->clock, rng_u64(&w->rng));
    sim_random_init(&node->random, rng_u64(&w->rng));
    node->state = CLUSTER_NODE_UP;
    int rc = open_process(node, err);
    trace_add(&w->trace, "start", node->address, w->now_ns, (uint64_t)rc, (struct base_slice){0});
    if (rc != BASE_OK) {
        process_end(node, true);
        return false;
    }
    repl_start(node->repl);
    cluster_work_post(node);
    return true;
}

void cluster_node_kill(struct cluster_node *node, bool power)
{
    struct cluster_world *w = node->world;
    BASE_ASSERT(node->state == CLUSTER_NODE_UP);
    trace_add(&w->trace, power ? "power" : "kill", node->address, w->now_ns, 0,
              (struct base_slice){0});
    if (node->paused)
        cluster_node_resume(
            node); /* held events are posted again; what is the process's own is cancelled below */
    cluster_node_sync_clock(node);
    cluster_messages_cut(node);
    if (node->fs && power)
        cluster_ops_tear(node);
    if (node->fs)
        sim_fs_power_off(node->fs); /* nothing of the process reaches the disk any more */
    process_end(node, true);
    node->power_off = power;
    if (node->fs && power)
        sim_fs_crash(node->fs);
    else if (node->fs)
        sim_fs_kill(node->fs);
}

void cluster_node_stop(struct cluster_node *node)
{
    struct cluster_world *w = node->world;
    BASE_ASSERT(node->state == CLUSTER_NODE_UP && !node->paused);
    cluster_node_sync_clock(node);
    trace_add(&w->trace, "stop", node->address, w->now_ns, 0, (struct base_slice){0});
    process_end(node, false);
}

void cluster_node_pause(struct cluster_node *node)
{
    trace_add(&node->world->trace, "pause", node->address, node->world->now_ns, 0,
              (struct base_slice){0});
    node->paused = true;
}

void cluster_node_resume(struct cluster_node *node)
{
    BASE_ASSERT(node->paused);
    struct cluster_world *w = node->world;
    struct cluster_event *event = node->held;
    trace_add(&w->trace, "resume", node->address, w->now_ns, 0, (struct base_slice){0});
    node->paused = false;
    node->resumed_ns = w->now_ns;
    node->held = NULL;
    node->held_end = &node->held;
    for (struct cluster_event *next; event; event = next) {
        next = event->next;
        event->held = false;
        cluster_post(w, event, node, 0, event->fire);
    }
}

bool cluster_all_members_serve(struct cluster_world *w, void *unused)
{
    (void)unused;
    for (size_t i = 0; i < w->node_count; i++)
        if (!w->nodes[i].guest &&
            (!cluster_node_is_up(&w->nodes[i]) || repl_stage(w->nodes[i].repl) != REPL_MEMBER))
            return false;
    return true;
}

/* The whole. */

void cluster_options_init(struct cluster_options *o)
{
    *o = (struct cluster_options){
        .seed = 1,
        .nodes = 3,
        .dcs = 1,
        .racks = 1,
        .seeds = 1,
        .stores = true,
        .done_percent = 50,
        .delay_min_ns = 50000,
        .delay_max_ns = 2 * CLUSTER_MS,
        .late_max_ns = 20 * CLUSTER_S,
        .refused_percent = 80,
        .disk_max_ns = 2 * CLUSTER_MS,
    };
    lsm_options_init(&o->lsm);
    o->lsm.sync = LSM_SYNC_BATCH;
    o->lsm.commitlog_segment_size = 32 << 10;
    o->lsm.commitlog_total_size = 256 << 10;
    o->lsm.memtable_size_max = 256 << 10;
    o->lsm.cache_size_max = 256 << 10;
    repl_config_init(&o->config);
    o->config.num_tokens = 4;
}

static void machine_init(struct cluster_world *w, size_t index)
{
    struct cluster_node *node = &w->nodes[index];
    const struct cluster_options *o = &w->options;
    node->world = w;
    node->index = index;
    node->guest = index >= o->nodes;
    snprintf(node->address, sizeof node->address, "10.0.%zu.%zu:7000", index / 250,
             index % 250 + 1);
    node->addresses = base_slice_str(node->address);
    snprintf(node->dc, sizeof node->dc, "dc%zu", 1 + index % o->dcs);
    snprintf(node->rack, sizeof node->rack, "rack%zu", 1 + index / o->dcs % o->racks);
    rng_fill(&w->rng, node->host_id.b, sizeof node->host_id.b);
    sim_clock_init(&node->clock, 0);
    int64_t skew = (int64_t)cluster_draw_ns(w, o->skew_max_us);
    sim_clock_jump_wall(&node->clock, rng_chance(&w->rng, 50) ? skew : -skew);
    /* monotonic clocks have nothing in common */
    sim_clock_advance(&node->clock, rng_below(&w->rng, 1000 * CLUSTER_S));
    sim_clock_jump_wall(&node->clock, -(int64_t)((mono_of(node) - 1000000000u) / 1000));
    node->held_end = &node->held;
    node->slow_disk = 1;
    node->alarm.ops = &alarm_ops;
    node->transport.ops = &cluster_transport_ops;
    node->store_port.ops = &cluster_store_ops;
    node->meta_port.ops = &cluster_meta_ops;
    if (node->guest)
        return;
    node->disk_catalog = mem_catalog_new();
    if (o->stores)
        node->fs = sim_fs_new(rng_u64(&w->rng));
}

void cluster_world_init(struct cluster_world *w, const struct cluster_options *options,
                        FILE *trace_out)
{
    BASE_ASSERT(options->nodes && options->dcs && options->racks && options->seeds);
    BASE_ASSERT(options->seeds <= options->nodes && options->seeds <= BASE_COUNT(w->seeds));
    *w = (struct cluster_world){
        .options = *options, .rng = rng_seeded(options->seed), .trace = trace_begin(trace_out)};
    w->node_count = options->nodes + options->guests;
    w->nodes = cluster_must(calloc(w->node_count, sizeof *w->nodes));
    for (size_t i = 0; i < w->node_count; i++)
        machine_init(w, i);
    for (size_t i = 0; i < options->seeds; i++)
        w->seeds[i] = w->nodes[i].addresses;
}

static void forget_messages(struct cluster_world *w)
{
    while (w->heap_count) {
        struct cluster_event *event = w->heap[1];
        heap_remove(w, event);
        if (event->fire != alarm_fired && event->fire != work_fired)
            event->fire(w, event); /* its owner sees that all are down, and frees it */
    }
}

void cluster_world_fini(struct cluster_world *w)
{
    for (size_t i = 0; i < w->node_count; i++)
        if (cluster_node_is_up(&w->nodes[i]))
            cluster_node_kill(&w->nodes[i], false);
    forget_messages(w);
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].fs)
            sim_fs_free(w->nodes[i].fs);
        if (w->nodes[i].disk_catalog)
            mem_catalog_free(w->nodes[i].disk_catalog);
    }
    free(w->nodes);
    free(w->links);
    free(w->heap);
    *w = (struct cluster_world){0};
}

/* A cluster that is there already. */

static void append_everywhere(struct cluster_world *w, struct base_slice entry,
                              const struct base_schema *schema, const struct ring_state *ring)
{
    struct base_buf bytes;
    struct base_err err = {0};
    const struct cat_log_keep keep = cluster_log_keep(w);
    base_buf_init(&bytes, 64u << 20);
    int rc = ring_state_encode(ring, &bytes);
    for (size_t i = 0; rc == BASE_OK && i < w->options.nodes; i++) {
        struct cluster_node *node = &w->nodes[i];
        BASE_ASSERT(node->state == CLUSTER_NODE_DOWN);
        struct cat_catalog *cat = mem_catalog_open(node->disk_catalog);
        rc = cat_log_append(cat, schema->epoch, entry, schema, base_buf_view(&bytes), &keep, &err);
        cat_close(cat);
        if (rc == BASE_OK && w->on_append)
            w->on_append(node, schema->epoch, entry);
        if (rc == BASE_OK && w->on_state)
            w->on_state(node, schema->epoch, cluster_state_digest(schema, ring));
    }
    base_buf_fini(&bytes);
    if (rc != BASE_OK)
        cluster_fail(w, "an entry before the start: %s", err.text);
}

void cluster_world_change(struct cluster_world *w, const struct base_change *change)
{
    struct base_err err = {0};
    struct base_schema *schema = NULL, *schema_after = NULL;
    struct ring_state *ring = NULL, *ring_after = NULL;
    struct base_buf entry;
    base_buf_init(&entry, 1u << 20);
    struct cluster_node *node = &w->nodes[0];
    node->catalog = mem_catalog_open(node->disk_catalog);
    int rc = cat_schema_load(node->catalog, &schema, &err);
    if (rc == BASE_OK)
        rc = read_ring(node, schema->epoch, &ring, &err);
    struct base_change own = *change;
    own.expected_epoch = schema ? schema->epoch : 0;
    if (rc == BASE_OK)
        rc = base_change_encode(&own, &entry);
    if (rc == BASE_OK)
        rc = base_schema_apply(schema, &own, &schema_after, &err);
    struct base_arena arena;
    base_arena_init(&arena);
    struct ring_change topology;
    if (rc == BASE_OK && own.kind == BASE_CHANGE_TOPOLOGY) {
        rc = ring_change_decode(&arena, own.topology, &topology, &err);
        if (rc == BASE_OK)
            rc = ring_state_apply(ring, &topology, schema_after->epoch, &ring_after, &err);
    } else if (rc == BASE_OK) {
        rc = ring_state_advance(ring, schema_after->epoch, &ring_after, &err);
    }
    base_arena_fini(&arena);
    cat_close(node->catalog);
    node->catalog = NULL;
    if (rc != BASE_OK)
        cluster_fail(w, "a change before the start: %s %s", base_err_words(rc), err.text);
    append_everywhere(w, base_buf_view(&entry), schema_after, ring_after);
    base_buf_fini(&entry);
    base_schema_release(schema);
    base_schema_release(schema_after);
    ring_state_release(ring);
    ring_state_release(ring_after);
}

static void topology_change(struct cluster_world *w, const struct ring_change *change)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 1u << 20);
    int rc = ring_change_encode(change, &bytes);
    BASE_ASSERT(rc == BASE_OK);
    cluster_world_change(
        w, &(struct base_change){.kind = BASE_CHANGE_TOPOLOGY, .topology = base_buf_view(&bytes)});
    base_buf_fini(&bytes);
}

static void draw_tokens(struct cluster_world *w, struct cluster_node *node, size_t count,
                        int64_t *tokens)
{
    struct ring_state *ring;
    struct base_err err = {0};
    node->catalog = mem_catalog_open(node->disk_catalog);
    int rc = read_ring(node, UINT64_MAX, &ring, &err);
    cat_close(node->catalog);
    node->catalog = NULL;
    if (rc == BASE_OK) {
        rc = ring_allocate(ring, base_slice_str(node->dc), base_slice_str(node->rack), count, 3,
                           tokens, &err);
        ring_state_release(ring);
    }
    if (rc != BASE_OK)
        cluster_fail(w, "tokens before the start: %s", err.text);
}

void cluster_world_form(struct cluster_world *w)
{
    size_t count = w->options.config.num_tokens;
    int64_t *tokens = cluster_must(calloc(count, sizeof *tokens));
    for (size_t i = 0; i < w->options.nodes; i++) {
        struct cluster_node *node = &w->nodes[i];
        struct ring_change change = {
            .kind = i ? RING_CHANGE_JOIN : RING_CHANGE_FORM,
            .host_id = node->host_id,
            .cluster_name = base_slice_str("simulated"),
            .address = node->addresses,
            .dc = base_slice_str(node->dc),
            .rack = base_slice_str(node->rack),
            .tokens = tokens,
            .token_count = count,
        };
        rng_fill(&w->rng, change.cluster_id.b, sizeof change.cluster_id.b);
        if (i)
            draw_tokens(w, node, count, tokens);
        else
            ring_allocate_first(count, tokens);
        topology_change(w, &change);
        if (i)
            topology_change(w, &(struct ring_change){.kind = RING_CHANGE_JOIN_FINISH,
                                                     .host_id = node->host_id});
    }
    free(tokens);
}
