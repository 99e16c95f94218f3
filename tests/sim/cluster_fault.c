/* Faults, one after another; several are there at a time. Each ends by itself, or at the latest by
 * cf_heal. */
#include "tests/sim/cluster_fault.h"

#include <inttypes.h>

static const char *const names[CF_KINDS] = {
#define X(name) #name,
    CF_FAULTS(X)
#undef X
};

void cf_options_draw(struct cf_options *o, struct rng *rng, const struct cluster_options *world)
{
    *o = (struct cf_options){
        .every_max_ns = (500 + rng_below(rng, 8000)) * CLUSTER_MS,
        .lasts_max_ns = (500 + rng_below(rng, 15000)) * CLUSTER_MS,
        .down_max = rng_one_in(rng, 4) ? world->nodes
                    : world->nodes > 2 ? (world->nodes - 1) / 2
                                       : 1,
        .jump_max_us = rng_chance(rng, 50) ? 100000 : 30000000,
    };
    if (rng_one_in(rng, 8))
        return; /* nothing goes wrong */
    unsigned percent = 10 + (unsigned)rng_below(rng, 60);
    for (size_t i = 0; i < CF_KINDS; i++)
        o->allowed[i] = rng_chance(rng, percent);
    if (world->lsm.sync != LSM_SYNC_BATCH)
        o->allowed[CF_power] = false; /* the mode does not promise what is acknowledged */
    o->at_batch_percent = o->allowed[CF_kill] ? (unsigned)rng_below(rng, 60) : 0;
    o->allowed[CF_restart_stopped] = o->allowed[CF_disk_error] || o->allowed[CF_catalog_error];
}

void cf_options_print(const struct cf_options *o, FILE *out)
{
    fprintf(out, "  faults: every %" PRIu64 " ms for %" PRIu64 " ms, down at most %u:",
            o->every_max_ns / CLUSTER_MS, o->lasts_max_ns / CLUSTER_MS, o->down_max);
    for (size_t i = 0; i < CF_KINDS; i++)
        if (o->allowed[i])
            fprintf(out, " %s", names[i]);
    fprintf(out, "%s\n", cf_any(o) ? "" : " none");
}

bool cf_any(const struct cf_options *o)
{
    for (size_t i = 0; i < CF_KINDS; i++)
        if (o->allowed[i])
            return true;
    return false;
}

bool cf_loses_duties(const struct cf_options *o)
{
    return o->allowed[CF_kill] || o->allowed[CF_power] || o->allowed[CF_disk_error] ||
           o->allowed[CF_full_disk] || o->allowed[CF_catalog_error];
}

/* Nodes. */

static uint64_t draw_duration(struct cf_faults *f)
{
    return 10 * CLUSTER_MS + cluster_draw_ns(f->w, f->options.lasts_max_ns);
}

static void disk_heals(struct cluster_node *node)
{
    if (!node->fs)
        return;
    sim_fs_clear_faults(node->fs);
    sim_fs_set_capacity(node->fs, UINT64_MAX);
    mem_catalog_fail_at(node->disk_catalog, -1, MEM_CATALOG_REFUSE, BASE_E_IO);
    node->slow_disk = 1;
}

static void comes_back(struct cluster_world *w, struct cluster_event *event)
{
    struct cf_node *n = BASE_CONTAINER(event, struct cf_node, event);
    struct cluster_node *node = &w->nodes[n - n->faults->nodes];
    struct base_err err;
    if (node->paused)
        cluster_node_resume(node);
    if (cluster_node_is_up(node) || cluster_node_start(node, &err))
        return;
    disk_heals(node); /* the next start finds a disk that works */
    cluster_post(w, event, NULL, draw_duration(n->faults), comes_back);
}

static void disk_event(struct cluster_world *w, struct cluster_event *event)
{
    struct cf_node *n = BASE_CONTAINER(event, struct cf_node, disk);
    disk_heals(&w->nodes[n - n->faults->nodes]);
}

static void end_process(struct cf_faults *f, struct cluster_node *node, bool power)
{
    cl_node_ends(f->load, node);
    cluster_node_kill(node, power);
}

static size_t down_count(const struct cluster_world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->node_count; i++)
        n += !cluster_node_is_up(&w->nodes[i]) || w->nodes[i].paused;
    return n;
}

/* A member (or guest) that is up and goes on; NULL: the one that was picked does not. */
static struct cluster_node *pick(struct cf_faults *f, bool guests)
{
    struct cluster_world *w = f->w;
    struct cluster_node *node =
        &w->nodes[rng_below(&w->rng, guests ? w->node_count : w->options.nodes)];
    return cluster_node_is_up(node) && !node->paused &&
                   !cluster_is_posted(&f->nodes[node->index].event)
               ? node
               : NULL;
}

static bool take_down(struct cf_faults *f, enum cf_kind kind)
{
    struct cluster_node *node = pick(f, true);
    if (!node || down_count(f->w) >= f->options.down_max)
        return false;
    if (kind == CF_pause)
        cluster_node_pause(node);
    else
        end_process(f, node, kind == CF_power);
    cluster_post(f->w, &f->nodes[node->index].event, NULL, draw_duration(f), comes_back);
    return true;
}

/* It writes no more, whether anybody has noticed it yet or not. */
static bool is_stopped(const struct cluster_node *node)
{
    struct lsm_stats stats = {0};
    if (node->store)
        lsm_get_stats(node->store, &stats);
    return stats.stopped || node->stopped.code;
}

static bool restart_stopped(struct cf_faults *f)
{
    for (size_t i = 0; i < f->w->options.nodes; i++) {
        struct cluster_node *node = &f->w->nodes[i];
        if (!cluster_node_is_up(node) || node->paused || !is_stopped(node))
            continue;
        end_process(f, node, false);
        disk_heals(node);
        cluster_post(f->w, &f->nodes[i].event, NULL, draw_duration(f), comes_back);
        return true;
    }
    return false;
}

static bool harm_disk(struct cf_faults *f, enum cf_kind kind)
{
    static const unsigned ops[] = {SIM_FS_WRITE,  SIM_FS_SYNC,     SIM_FS_READ,
                                   SIM_FS_CREATE, SIM_FS_SYNC_DIR, SIM_FS_ANY};
    struct rng *rng = &f->w->rng;
    struct cluster_node *node = pick(f, false);
    if (!node || !node->fs || cluster_is_posted(&f->nodes[node->index].disk))
        return false;
    switch (kind) {
    case CF_disk_error:
        if (rng_chance(rng, 30))
            sim_fs_fail(node->fs, SIM_FS_WRITE | SIM_FS_CREATE, rng_below(rng, 20),
                        1 + rng_below(rng, 3), BASE_E_NOSPACE);
        else
            sim_fs_fail(node->fs, ops[rng_below(rng, BASE_COUNT(ops))], rng_below(rng, 20),
                        1 + rng_below(rng, 3), BASE_E_IO);
        break;
    case CF_full_disk:
        sim_fs_set_capacity(node->fs, sim_fs_used_bytes(node->fs) + rng_below(rng, 40000));
        break;
    case CF_slow_disk:
        node->slow_disk = 2 + rng_below(rng, 500);
        break;
    default:
        mem_catalog_fail_at(node->disk_catalog, (long)rng_below(rng, 3),
                            rng_chance(rng, 50) ? MEM_CATALOG_REFUSE : MEM_CATALOG_LOSE, BASE_E_IO);
    }
    cluster_post(f->w, &f->nodes[node->index].disk, NULL, draw_duration(f), disk_event);
    return true;
}

static bool jump_clock(struct cf_faults *f)
{
    struct cluster_node *node = pick(f, true);
    if (!node)
        return false;
    cm_see_clocks(&f->load->model, f->w);
    sim_clock_jump_wall(&node->clock, rng_between(&f->w->rng, -(int64_t)f->options.jump_max_us,
                                                  (int64_t)f->options.jump_max_us));
    return true;
}

/* Links. */

static void links_heal(struct cluster_world *w, struct cluster_event *event)
{
    (void)event;
    cluster_heal_links(w);
}

/* side[i]: on which side node i is. */
static void cut(struct cluster_world *w, const bool *side, bool both_ways)
{
    for (size_t from = 0; from < w->node_count; from++)
        for (size_t to = 0; to < w->node_count; to++)
            if (side[from] != side[to] && (both_ways || side[from]))
                cluster_link(w, from, to)->blocked = true;
}

static bool harm_links(struct cf_faults *f, enum cf_kind kind)
{
    struct cluster_world *w = f->w;
    if (w->node_count < 2)
        return false;
    bool *side = cluster_must(calloc(w->node_count, sizeof *side));
    size_t one = rng_below(&w->rng, w->node_count);
    for (size_t i = 0; i < w->node_count; i++)
        side[i] = kind == CF_isolate ? i == one : rng_chance(&w->rng, 50);
    if (kind == CF_slow_link) {
        struct cluster_link *link = cluster_link(w, one, rng_below(&w->rng, w->node_count));
        link->slow = 2 + (uint32_t)rng_below(&w->rng, 1000);
    } else {
        cut(w, side, kind != CF_one_way);
    }
    free(side);
    if (!cluster_is_posted(&f->links))
        cluster_post(w, &f->links, NULL, draw_duration(f), links_heal);
    return true;
}

/* The moment when an entry of the log is chosen, and few know it. */

static void strike_one(struct cf_faults *f, size_t index, uint64_t for_ns)
{
    struct cluster_node *node = &f->w->nodes[index];
    if (!cluster_node_is_up(node) || node->paused || cluster_is_posted(&f->nodes[index].event))
        return;
    end_process(f, node, false);
    cluster_post(f->w, &f->nodes[index].event, NULL, for_ns, comes_back);
}

static void strike(struct cluster_world *w, struct cluster_event *event)
{
    struct cf_faults *f = BASE_CONTAINER(event, struct cf_faults, strike);
    strike_one(f, f->struck, 100 * CLUSTER_MS + draw_duration(f));
    if (f->strike_two)
        strike_one(f, rng_below(&w->rng, w->options.nodes),
                   1 + rng_below(&w->rng, 20 * CLUSTER_MS));
}

static void on_new_entry(void *ctx, struct cluster_node *node)
{
    struct cf_faults *f = ctx;
    if (cluster_is_posted(&f->strike) || !rng_chance(&f->w->rng, f->options.at_entry_percent))
        return;
    f->struck = node->index;
    f->strike_two = true;
    cluster_post(f->w, &f->strike, NULL, cluster_draw_ns(f->w, f->w->options.delay_max_ns), strike);
}

static void on_batch(void *ctx, struct cluster_node *node)
{
    struct cf_faults *f = ctx;
    if (cluster_is_posted(&f->strike) || !rng_chance(&f->w->rng, f->options.at_batch_percent))
        return;
    f->struck = node->index;
    f->strike_two = false;
    uint64_t trip =
        f->w->options.delay_min_ns + f->w->options.delay_max_ns + f->w->options.disk_max_ns;
    cluster_post(f->w, &f->strike, NULL, cluster_draw_ns(f->w, 3 * trip), strike);
}

/* The dice. */

static bool do_fault(struct cf_faults *f, enum cf_kind kind)
{
    switch (kind) {
    case CF_kill:
    case CF_power:
    case CF_pause:
        return take_down(f, kind);
    case CF_partition:
    case CF_isolate:
    case CF_one_way:
    case CF_slow_link:
        return harm_links(f, kind);
    case CF_clock_jump:
        return jump_clock(f);
    case CF_disk_error:
    case CF_full_disk:
    case CF_slow_disk:
    case CF_catalog_error:
        return harm_disk(f, kind);
    case CF_restart_stopped:
        return restart_stopped(f);
    case CF_KINDS:
        break;
    }
    return false;
}

static void next_fault(struct cluster_world *w, struct cluster_event *event)
{
    struct cf_faults *f = BASE_CONTAINER(event, struct cf_faults, event);
    enum cf_kind kind = (enum cf_kind)rng_below(&w->rng, CF_KINDS);
    for (size_t i = 0; i < CF_KINDS && !f->options.allowed[kind]; i++)
        kind = (enum cf_kind)((kind + 1) % CF_KINDS);
    bool done = do_fault(f, kind);
    f->counts[kind] += done;
    trace_add(&w->trace, "fault", names[kind], w->now_ns, done, (struct base_slice){0});
    cluster_post(w, event, NULL, cluster_draw_ns(w, f->options.every_max_ns), next_fault);
}

void cf_begin(struct cf_faults *f, struct cluster_world *w, struct cl_load *load,
              const struct cf_options *options)
{
    *f = (struct cf_faults){.w = w, .load = load, .options = *options};
    f->nodes = cluster_must(calloc(w->node_count, sizeof *f->nodes));
    for (size_t i = 0; i < w->node_count; i++)
        f->nodes[i].faults = f;
    if (cf_any(options))
        cluster_post(w, &f->event, NULL, cluster_draw_ns(w, options->every_max_ns), next_fault);
    load->hooks_ctx = f;
    load->on_new_entry = options->at_entry_percent ? on_new_entry : NULL;
    load->on_batch = options->at_batch_percent ? on_batch : NULL;
}

static void cancel_all(struct cf_faults *f)
{
    cluster_cancel(f->w, &f->event);
    cluster_cancel(f->w, &f->links);
    cluster_cancel(f->w, &f->strike);
    f->load->on_new_entry = f->load->on_batch = NULL;
    for (size_t i = 0; i < f->w->node_count; i++) {
        cluster_cancel(f->w, &f->nodes[i].event);
        cluster_cancel(f->w, &f->nodes[i].disk);
    }
}

void cf_heal(struct cf_faults *f)
{
    struct cluster_world *w = f->w;
    struct base_err err;
    cancel_all(f);
    cluster_heal_links(w);
    w->quiet_net = true;
    for (size_t i = 0; i < w->node_count; i++) {
        struct cluster_node *node = &w->nodes[i];
        disk_heals(node);
        if (node->paused)
            cluster_node_resume(node);
        if (cluster_node_is_up(node) && is_stopped(node))
            end_process(f, node, false);
        if (!cluster_node_is_up(node) && !cluster_node_start(node, &err))
            cluster_fail(w, "%s does not start although its disk is whole: %s", node->address,
                         err.text);
    }
}

void cf_fini(struct cf_faults *f)
{
    cancel_all(f);
    free(f->nodes);
}
