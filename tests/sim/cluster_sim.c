/* Whole clusters from a seed: a safety phase with faults, then everything is mended and must come
 * together again.
 *
 *   cluster_sim [--seed N] [--runs N] [--nodes N] [--steps N] [--canary NAME] [--trace FILE]
 *   [--needle VALUE] [--twice] [--quiet]
 *
 * Without arguments: the seeds that once failed, a few seeds twice (the same trace both times),
 * then two thousand. A failure prints the seed; --seed N repeats it.
 *
 * What would break without it: everything that docs/architecture.md says of a cluster under
 * faults. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/lib/scale.h"
#include "tests/sim/cluster_end.h"

/* of a safety phase, unless --steps says otherwise: all seeds are of a size */
#define STEPS_MAX 15000

struct settings {
    uint64_t seed, runs, steps, needle;
    unsigned nodes;
    enum cluster_canary canary;
    FILE *trace;
    bool twice, quiet;
};

/* Seeds that once failed, and what was wrong. (A seed draws another run when the drawing changes:
 * each has a unit test where one fits.) */
static const uint64_t regressions[] = {
    4,   /* a range read went on among the rows of its last partition (page.c) */
    254, /* hints stayed for ever when their deletion had failed (hint_dispatch.c) */
    325,
    283,   /* a batch over two tables, one of them dropped: what went along to the same replicas was
              lost (writes.c) */
    1054,  /* a range read that began again after a change of the schema left out what it had
              (range.c) */
    1626,  /* hints and batches were given up for a truncation by when they were kept, not by their
              timestamps (late.c) */
    3810,  /* a partition's deletion was not in a page that went on in the partition (page_write.c)
            */
    1548,  /* if-absent, delivered twice: the second time it said that the row was there
              (replication/conditional.c) */
    22104, /* who had started anew was taken for dead for a moment when others told of the start
              that had answered already (gossip.c) */
};

struct run {
    struct cluster_options world;
    struct cl_options load;
    struct cf_options faults;
    uint64_t safety_ns;
    /* the cluster and its schema are there from the start; else nodes find each other, and clients
     * make the tables */
    bool formed;
};

static void draw_world(struct cluster_options *o, struct rng *rng, const struct settings *s,
                       uint64_t seed)
{
    static const uint64_t delays_us[] = {200, 1000, 5000, 30000};
    cluster_options_init(o);
    o->seed = seed;
    o->canary = s->canary;
    o->needle = s->needle;
    o->nodes = s->nodes ? s->nodes : rng_one_in(rng, 3) ? 3 : 1 + (unsigned)rng_below(rng, 7);
    o->guests = rng_one_in(rng, 3) ? 1 : 0;
    o->dcs = o->nodes >= 3 && rng_one_in(rng, 4) ? 2 : 1;
    o->racks = 1 + (unsigned)rng_below(rng, 3);
    o->seeds = o->nodes < 3 ? 1 : 1 + (unsigned)rng_below(rng, 2);
    o->done_percent = (unsigned)rng_below(rng, 101);
    o->delay_max_ns = delays_us[rng_below(rng, BASE_COUNT(delays_us))] * 1000;
    if (rng_chance(rng, 60)) {
        o->loss_permille = (unsigned)rng_below(rng, 50);
        o->repeat_permille = (unsigned)rng_below(rng, 50);
        o->late_permille = (unsigned)rng_below(rng, 30);
    }
    o->disk_max_ns = (1 + rng_below(rng, 10)) * CLUSTER_MS;
    o->skew_max_us = rng_chance(rng, 50) ? 0 : rng_chance(rng, 70) ? 200000 : 20000000;
    o->drift_ppm = rng_chance(rng, 50) ? 0 : 500;
    o->lsm.sync = rng_one_in(rng, 4) ? LSM_SYNC_PERIODIC : LSM_SYNC_BATCH;
    o->lsm.memtable_size_max = (uint64_t)(32 + rng_below(rng, 200)) << 10;
    struct repl_config *c = &o->config;
    c->num_tokens = 1u << rng_below(rng, 4);
    c->gossip_interval_ns = (200 + rng_below(rng, 800)) * CLUSTER_MS;
    c->read_timeout_ns = (300 + rng_below(rng, 2000)) * CLUSTER_MS;
    c->range_timeout_ns = 2 * c->read_timeout_ns;
    c->write_timeout_ns = (300 + rng_below(rng, 2000)) * CLUSTER_MS;
    c->conditional_timeout_ns = c->write_timeout_ns;
    c->metadata_timeout_ns = (1000 + rng_below(rng, 4000)) * CLUSTER_MS;
    if (rng_one_in(rng, 4))
        c->page_size_bytes = 200 + rng_below(rng, 2000);
}

static bool is_calm(const struct run *r)
{
    return !cf_any(&r->faults) && !r->world.loss_permille && !r->world.repeat_permille &&
           !r->world.late_permille;
}

/* A run that torments the metadata log: many changes at once, processes that end all the time. */
static void draw_changes(struct run *r, struct rng *rng)
{
    r->world.nodes = 3 + (unsigned)rng_below(rng, 3);
    r->world.guests = 0;
    r->world.loss_permille = (unsigned)rng_below(rng, 150);
    r->world.late_permille = (unsigned)rng_below(rng, 60);
    r->world.late_max_ns = 2 * CLUSTER_S;
    for (size_t i = 0; i < BASE_COUNT(r->load.rf); i++)
        if (r->load.rf[i] > r->world.nodes / r->world.dcs)
            r->load.rf[i] = r->world.nodes / r->world.dcs;
    r->load.changes = 95;
    r->load.clients = 3 + (unsigned)rng_below(rng, 4);
    r->load.think_max_ns = (1 + rng_below(rng, 100)) * CLUSTER_MS;
    r->faults.every_max_ns = (50 + rng_below(rng, 1000)) * CLUSTER_MS;
    r->faults.lasts_max_ns = (50 + rng_below(rng, 1000)) * CLUSTER_MS;
    r->faults.down_max = 1 + (unsigned)rng_below(rng, r->world.nodes);
    r->faults.allowed[CF_kill] = true;
    r->faults.at_entry_percent = (unsigned)rng_below(rng, 60);
}

/* The metadata log is cut: in most runs so short that who was away needs a checkpoint. Drawn apart,
 * so that a seed's run is else what it was before. */
static void draw_log(struct run *r, uint64_t seed)
{
    struct rng apart = rng_seeded(seed ^ 0x6d657461646174);
    if (rng_chance(&apart, 60))
        r->world.config.metadata_log_entries = 1 + rng_below(&apart, 12);
}

static bool is_regression(uint64_t seed)
{
    for (size_t i = 0; i < BASE_COUNT(regressions); i++)
        if (regressions[i] == seed)
            return true;
    return false;
}

/* One run in three has indexes. Drawn apart from the rest, so that what failed once is the run that
 * it was. */
static void draw_indexes(struct run *r, const struct settings *s, uint64_t seed)
{
    struct rng rng = rng_seeded(seed ^ 0x696e646578);
    bool wanted =
        s->canary ? s->canary == CLUSTER_CANARY_INDEX : !is_regression(seed) && rng_one_in(&rng, 3);
    if (!wanted)
        return;
    r->load.indexes = 20 + (unsigned)rng_below(&rng, 60);
    if (r->load.changes < 3)
        r->load.changes = 3;
}

static void draw_run(struct run *r, const struct settings *s, uint64_t seed)
{
    struct rng rng = rng_seeded(seed ^ 0x72696e676c6574);
    draw_world(&r->world, &rng, s, seed);
    cl_options_draw(&r->load, &rng, &r->world);
    cf_options_draw(&r->faults, &rng, &r->world);
    if (!s->nodes && rng_one_in(&rng, 8))
        draw_changes(r, &rng);
    r->formed = !rng_one_in(&rng, 5);
    if (!r->formed)
        r->load.changes = r->load.changes > 12 ? r->load.changes : 12;
    draw_indexes(r, s, seed);
    r->safety_ns = (3 + rng_below(&rng, rng_one_in(&rng, 4) ? 40 : 12)) * CLUSTER_S;
    draw_log(r, seed);
}

static void print_run(const struct run *r)
{
    const struct cluster_options *o = &r->world;
    printf("seed %" PRIu64 ": nodes %u guests %u dcs %u racks %u tokens %u done %u%% delay %" PRIu64
           " us loss %u repeat %u late %u"
           " disk %" PRIu64 " us skew %" PRIu64 " us drift %u sync %s memtables %" PRIu64
           " timeouts %" PRIu64 "/%" PRIu64 "/%" PRIu64 " ms pages %" PRIu64 " gossip %" PRIu64
           " ms log %" PRIu64 " safety %" PRIu64 " s%s%s\n",
           o->seed, o->nodes, o->guests, o->dcs, o->racks, o->config.num_tokens, o->done_percent,
           o->delay_max_ns / 1000, o->loss_permille, o->repeat_permille, o->late_permille,
           o->disk_max_ns / 1000, o->skew_max_us, o->drift_ppm,
           o->lsm.sync == LSM_SYNC_BATCH ? "batch" : "periodic", o->lsm.memtable_size_max,
           o->config.read_timeout_ns / CLUSTER_MS, o->config.write_timeout_ns / CLUSTER_MS,
           o->config.metadata_timeout_ns / CLUSTER_MS, o->config.page_size_bytes,
           o->config.gossip_interval_ns / CLUSTER_MS, o->config.metadata_log_entries,
           r->safety_ns / CLUSTER_S, r->formed ? "" : " not formed", is_calm(r) ? " calm" : "");
    cl_options_print(&r->load, stdout);
    cf_options_print(&r->faults, stdout);
}

static void print_end(const struct cluster_world *w, const struct cl_load *load)
{
    printf("  %" PRIu64 " events %" PRIu64 " messages; %" PRIu64 " acknowledged %" PRIu64
           " unknown %" PRIu64 " refused; %" PRIu64 " reads judged, %" PRIu64
           " values seen; %" PRIu64 " changes of indexes %" PRIu64 " reads by them %" PRIu64
           " rows found; epoch %zu, %" PRIu64 " checkpoints installed; trace %016" PRIx64 "\n",
           w->events, w->net.messages, load->model.acked, load->model.unknown, load->model.refused,
           load->model.reads_checked, load->model.seen_values, load->index_changes,
           load->index_reads, load->index_finds, load->log.count, w->installs, w->trace.hash);
}

static void on_fail(struct cluster_world *w)
{
    fprintf(stderr, "repeat it: tests/sim/cluster_sim --seed %" PRIu64 "%s%s\n", w->options.seed,
            w->options.canary ? " --canary " : "",
            w->options.canary ? cluster_canary_names[w->options.canary] : "");
}

static void start_all(struct cluster_world *w)
{
    struct base_err err;
    for (size_t i = 0; i < w->node_count; i++) {
        cluster_run(w, cluster_draw_ns(w, 500 * CLUSTER_MS));
        if (!cluster_node_start(&w->nodes[i], &err))
            cluster_fail(w, "%s does not start: %s", w->nodes[i].address, err.text);
    }
}

static void safety_phase(struct cluster_world *w, const struct run *r, const struct settings *s)
{
    uint64_t until = w->now_ns + r->safety_ns, steps = s->steps ? s->steps : STEPS_MAX;
    for (uint64_t i = 0; i < steps && (s->steps || w->now_ns < until); i++)
        cluster_step(w);
}

static uint64_t run_seed(const struct settings *s, uint64_t seed)
{
    struct run r;
    struct cluster_world *w = cluster_must(calloc(1, sizeof *w));
    struct cl_load load;
    struct cf_faults faults;
    draw_run(&r, s, seed);
    if (!s->quiet)
        print_run(&r);
    fflush(stdout);
    cluster_world_init(w, &r.world, s->trace);
    w->on_fail = on_fail;
    cl_init(&load, w, &r.load);
    load.calm = is_calm(&r);
    load.model.syncs_fail = r.faults.allowed[CF_disk_error];
    if (r.formed) {
        cluster_world_form(w);
        cl_schema_before_start(&load);
    }
    w->quiet_net = true;
    start_all(w);
    ce_await_service(w, &load);
    w->quiet_net = false;
    cl_begin(&load);
    cf_begin(&faults, w, &load, &r.faults);
    safety_phase(w, &r, s);
    cl_stop(&load);
    cf_heal(&faults);
    /* a guest that is cut off finds nobody to keep its hints */
    ce_converge(w, &load, cf_loses_duties(&r.faults) || r.world.guests);
    if (!s->quiet)
        print_end(w, &load);
    uint64_t hash = w->trace.hash;
    cf_fini(&faults);
    cl_fini(&load);
    cluster_world_fini(w);
    free(w);
    return hash;
}

static void run_twice(const struct settings *s, uint64_t seed)
{
    uint64_t first = run_seed(s, seed), second = run_seed(s, seed);
    if (first == second)
        return;
    fprintf(stderr,
            "seed %" PRIu64 " does not run the same twice: %016" PRIx64 " and %016" PRIx64 "\n",
            seed, first, second);
    exit(1);
}

static void run_default(struct settings *s)
{
    s->quiet = false;
    for (size_t i = 0; i < BASE_COUNT(regressions); i++)
        run_seed(s, regressions[i]);
    for (uint64_t seed = 1; seed <= 5; seed++)
        run_twice(s, seed);
    for (uint64_t seed = 6, end = 6 + scale_rounds(2000); seed < end; seed++)
        run_seed(s, seed);
}

static enum cluster_canary canary_named(const char *name)
{
    for (size_t i = 0; i < CLUSTER_CANARY_COUNT; i++)
        if (strcmp(cluster_canary_names[i], name) == 0)
            return (enum cluster_canary)i;
    fprintf(stderr, "no such canary: %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"runs", required_argument, NULL, 'r'},
        {"nodes", required_argument, NULL, 'n'},  {"steps", required_argument, NULL, 'k'},
        {"canary", required_argument, NULL, 'c'}, {"trace", required_argument, NULL, 't'},
        {"needle", required_argument, NULL, 'e'}, {"twice", no_argument, NULL, '2'},
        {"quiet", no_argument, NULL, 'q'},        {NULL, 0, NULL, 0},
    };
    struct settings s = {0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            s.seed = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            s.runs = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            s.nodes = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'k':
            s.steps = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            s.canary = canary_named(optarg);
            break;
        case 't':
            s.trace = fopen(optarg, "w");
            break;
        case 'e':
            s.needle = strtoull(optarg, NULL, 0);
            break;
        case '2':
            s.twice = true;
            break;
        case 'q':
            s.quiet = true;
            break;
        default:
            return 2;
        }
    }
    if (argc == 1) {
        run_default(&s);
        return 0;
    }
    uint64_t first = s.seed ? s.seed : 1, runs = s.runs ? s.runs : 1;
    for (uint64_t seed = first; seed < first + runs; seed++)
        s.twice ? run_twice(&s, seed) : (void)run_seed(&s, seed);
    return 0;
}
