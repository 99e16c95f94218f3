/* Gossip in a large cluster, over the simulated network: rounds until all know something new, until
 * all have convicted a machine that is gone, until all see it again; what it costs. Fails when a
 * live node is called dead, or when something takes far longer than the logarithm of the number of
 * nodes.
 *
 *   gossip_scale [--nodes N] [--seed S] [--loss PERMILLE] [--quiet-s SECONDS] */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "replication/wire.h"
#include "tests/sim/cluster_world.h"

static struct cluster_world w;
static unsigned changes;
static size_t chosen; /* the node that has news, and goes and comes */
static uint64_t news;

static void count_change(struct cluster_node *node)
{
    (void)node;
    changes++;
}

static struct repl_peer_info info(size_t i, size_t j)
{
    struct repl_peer_info out;
    int member = ring_member_find(repl_ring(w.nodes[i].repl), w.nodes[j].host_id);
    BASE_ASSERT(member >= 0);
    repl_peer_get(w.nodes[i].repl, (size_t)member, &out);
    return out;
}

static bool knows_news(size_t i)
{
    return info(i, chosen).load_bytes == news;
}

static bool sees_it(size_t i)
{
    return repl_is_alive(w.nodes[i].repl, w.nodes[chosen].host_id);
}

static bool sees_it_gone(size_t i)
{
    return !sees_it(i);
}

static bool sees_all(size_t i)
{
    for (size_t j = 0; j < w.node_count; j++)
        if (!repl_is_alive(w.nodes[i].repl, w.nodes[j].host_id))
            return false;
    return true;
}

/* Run until so many of the running nodes do; looked at once in a tenth of a second. The time, in
 * seconds. */
static double until(bool (*does)(size_t i), double share, double max_s, const char *what)
{
    uint64_t from = w.now_ns;
    size_t wanted = 0, count;
    for (size_t i = 0; i < w.node_count; i++)
        wanted += cluster_node_is_up(&w.nodes[i]);
    wanted = (size_t)ceil((double)wanted * share);
    for (;;) {
        count = 0;
        for (size_t i = 0; i < w.node_count; i++)
            count += cluster_node_is_up(&w.nodes[i]) && does(i);
        double s = (double)(w.now_ns - from) / (double)CLUSTER_S;
        if (count >= wanted)
            return s;
        if (s > max_s)
            cluster_fail(&w, "%s: %zu of %zu nodes after %.1f s", what, count, wanted, s);
        cluster_run(&w, 100 * CLUSTER_MS);
    }
}

struct totals {
    uint64_t bytes, rounds, messages, at_ns;
};
static struct totals totals(void)
{
    struct totals t = {.messages = w.net.messages, .at_ns = w.now_ns};
    for (size_t i = 0; i < w.node_count; i++)
        if (cluster_node_is_up(&w.nodes[i])) {
            t.bytes += repl_get_stats(w.nodes[i].repl)->gossip_bytes;
            t.rounds += repl_get_stats(w.nodes[i].repl)->gossip_rounds;
        }
    return t;
}

static void print_cost(const char *what, struct totals from)
{
    struct totals to = totals();
    double node_s = (double)(to.at_ns - from.at_ns) / (double)CLUSTER_S * (double)w.node_count;
    printf("%s: a node sends %.2f messages and %.0f bytes a second\n", what,
           (double)(to.messages - from.messages) / node_s,
           (double)(to.bytes - from.bytes) / node_s);
}

static void print_phi(void)
{
    double max = 0, sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < w.node_count; i++)
        for (size_t j = 0; j < w.node_count; j++, count++) {
            double phi = info(i, j).phi;
            max = phi > max ? phi : max;
            sum += phi;
        }
    printf("quiet: phi %.2f on average, at most %.2f\n", sum / (double)count, max);
}

static void start(size_t i)
{
    struct base_err err;
    if (!cluster_node_start(&w.nodes[i], &err))
        cluster_fail(&w, "start: %s", err.text);
}

static void run(uint64_t quiet_s)
{
    /* What push-pull gossip needs, and some; a lost ECHO is repeated in the next round. */
    double rounds = (log2((double)w.node_count) + 3) * (1 + w.options.loss_permille / 200.0);
    for (size_t i = 0; i < w.node_count; i++) {
        start(i);
        cluster_run(&w, CLUSTER_S / w.node_count);
    }
    struct totals from = totals();
    printf("start: all see all alive after %.1f s\n", until(sees_all, 1, 4 * rounds, "all alive"));
    print_cost("start", from);
    cluster_run(&w, quiet_s * CLUSTER_S / 2);
    changes = 0;
    from = totals();
    cluster_run(&w, quiet_s * CLUSTER_S / 2);
    print_cost("quiet", from);
    print_phi();
    if (changes)
        cluster_fail(&w, "%u changes of liveness while nothing happened", changes);

    chosen = w.node_count / 2;
    news = 4242;
    cluster_node_sync_clock(&w.nodes[chosen]);
    repl_set_load(w.nodes[chosen].repl, news);
    double half = until(knows_news, 0.5, rounds, "news"),
           all = half + until(knows_news, 1, 2 * rounds, "news");
    printf("news: half know after %.1f rounds, all after %.1f\n", half, all);

    cluster_node_kill(&w.nodes[chosen], true);
    double first = until(sees_it_gone, 1.0 / (double)w.node_count, 60, "conviction");
    half = first + until(sees_it_gone, 0.5, 60, "conviction");
    all = half + until(sees_it_gone, 1, 60, "conviction");
    printf("gone: convicted by the first after %.1f s, by half after %.1f s, by all after %.1f s\n",
           first, half, all);
    if (first < 8)
        cluster_fail(&w, "it was convicted before phi could know");
    cluster_run(&w, 30 * CLUSTER_S);
    start(chosen);
    all = until(sees_it, 1, 2 * rounds, "return");
    printf("back: seen alive by all after %.1f s\n", all);
    changes = 0;
    cluster_run(&w, quiet_s * CLUSTER_S / 4);
    if (changes)
        cluster_fail(&w, "%u changes of liveness after it came back", changes);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"nodes", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"loss", required_argument, NULL, 'l'},
        {"quiet-s", required_argument, NULL, 'q'},
        {0},
    };
    struct cluster_options o;
    uint64_t quiet_s = 60;
    cluster_options_init(&o);
    o.nodes = 40;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n')
            o.nodes = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.seed = strtoull(optarg, NULL, 10);
        else if (c == 'l')
            o.loss_permille = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'q')
            quiet_s = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    if (o.nodes < 5 || o.nodes > RING_MEMBERS_MAX) {
        fprintf(stderr, "gossip_scale: 5 to %d nodes\n", RING_MEMBERS_MAX);
        return 2;
    }
    o.stores = false;
    o.seeds = 3;
    o.config.num_tokens = 1;
    printf("%u nodes, seed %" PRIu64 ", %u of 1000 messages lost\n", o.nodes, o.seed,
           o.loss_permille);
    cluster_world_init(&w, &o, NULL);
    w.on_changed = count_change;
    cluster_world_form(&w);
    clock_t cpu = clock();
    run(quiet_s);
    double cpu_s = (double)(clock() - cpu) / CLOCKS_PER_SEC,
           world_s = (double)w.now_ns / (double)CLUSTER_S;
    printf("%.0f s of %u nodes took %.1f s of CPU: %.0f µs a node and second, the simulation "
           "included\n",
           world_s, o.nodes, cpu_s, cpu_s / world_s / o.nodes * 1e6);
    cluster_world_fini(&w);
    return 0;
}
