/* Token allocation: how even the load is as a cluster grows from one member, beside tokens drawn at
 * random, and what an allocation and a placement cost.
 *
 * Usage: ringbench [--nodes N] [--tokens T] [--rf R] [--racks K] [--all] A row is max/mean of the
 * members' shares under the replication factor R, and of what they own alone (factor 1); random
 * tokens: the mean of ten clusters. `--all` prints every size, not some. Wall-clock milliseconds,
 * the last call of that size. */
#include <stdio.h>
#include <time.h>

#include "ring/cluster.h"
#include "tests/lib/rng.h"

static struct {
    size_t nodes, tokens;
    unsigned rf, racks;
    bool all;
} options = {100, RING_TOKENS_DEFAULT, 3, 1, false};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(int rc, const struct base_err *err)
{
    if (rc == BASE_OK)
        return;
    fprintf(stderr, "ringbench: %s\n", err->text);
    exit(1);
}

/* Member n + 1 of the cluster: FORM or JOIN and JOIN_FINISH. */
static struct ring_state *grow(struct ring_state *state, size_t n, const int64_t *tokens)
{
    char address[32], rack[32];
    struct base_err err;
    struct ring_change change = {.kind = n ? RING_CHANGE_JOIN : RING_CHANGE_FORM,
                                 .cluster_id = {{1}},
                                 .cluster_name = BASE_SLICE_LIT("bench"),
                                 .dc = BASE_SLICE_LIT("dc1"),
                                 .tokens = tokens,
                                 .token_count = options.tokens};
    snprintf(address, sizeof address, "10.0.%zu.%zu:7000", n / 250, n % 250);
    snprintf(rack, sizeof rack, "r%zu", n % options.racks);
    change.address = base_slice_str(address);
    change.rack = base_slice_str(rack);
    base_put_be64(change.host_id.b, (n + 1) * 0x9e3779b97f4a7c15u);
    for (int step = 0; step < (n ? 2 : 1); step++) {
        struct ring_state *next;
        must(ring_state_apply(state, &change, state->epoch + 1, &next, &err), &err);
        ring_state_release(state);
        state = next;
        change.kind = RING_CHANGE_JOIN_FINISH;
    }
    return state;
}

static double max_to_mean(struct ring_state *state, unsigned rf, double *ms)
{
    char factor[16];
    struct base_err err;
    struct ring_placement *p;
    snprintf(factor, sizeof factor, "%u", rf);
    struct base_option items[] = {
        {BASE_SLICE_LIT("class"), BASE_SLICE_LIT("NetworkTopologyStrategy")},
        {BASE_SLICE_LIT("dc1"), base_slice_str(factor)}};
    double begin = now_ms(), max = 0, sum = 0;
    must(ring_placement_new(state, &(struct base_options){items, 2}, (struct base_uuid){{0}}, &p,
                            &err),
         &err);
    *ms = now_ms() - begin;
    double *owns = calloc(state->member_count, sizeof *owns);
    if (!owns)
        exit(1);
    int64_t before = INT64_MIN;
    for (size_t i = 0; i < p->range_count; before = p->ranges[i++].upto)
        for (size_t k = 0; k < p->ranges[i].read.count; k++)
            owns[p->ranges[i].read.members[k]] +=
                (double)((uint64_t)p->ranges[i].upto - (uint64_t)before);
    for (size_t i = 0; i < state->member_count; i++) {
        sum += owns[i];
        max = owns[i] > max ? owns[i] : max;
    }
    free(owns);
    ring_placement_release(p);
    return max / (sum / (double)state->member_count);
}

static bool wanted(size_t n)
{
    static const size_t rows[] = {1,  2,  3,  4,  5,  6,   8,   10,  12,  16,  20,  25,
                                  32, 40, 50, 64, 80, 100, 150, 200, 300, 500, 700, 1000};
    for (size_t i = 0; i < BASE_COUNT(rows); i++)
        if (rows[i] == n)
            return true;
    return options.all || n == options.nodes;
}

static int compare_tokens(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

enum { RANDOM_CLUSTERS = 10 };

/* Sums over clusters of random tokens, by size. */
static void random_clusters(double *sums, double *sums_alone)
{
    int64_t tokens[RING_TOKENS_MAX];
    double ms;
    for (uint64_t seed = 1; seed <= RANDOM_CLUSTERS; seed++) {
        struct rng rng = rng_seeded(seed);
        struct ring_state *state = ring_state_new();
        for (size_t n = 0; n < options.nodes && state; n++) {
            for (size_t i = 0; i < options.tokens; i++)
                tokens[i] = (int64_t)rng_u64(&rng);
            qsort(tokens, options.tokens, sizeof *tokens, compare_tokens);
            state = grow(state, n, tokens);
            if (wanted(n + 1)) {
                sums[n] += max_to_mean(state, options.rf, &ms);
                sums_alone[n] += max_to_mean(state, 1, &ms);
            }
        }
        ring_state_release(state);
    }
}

static void table(void)
{
    int64_t tokens[RING_TOKENS_MAX];
    struct base_err err;
    double *sums = calloc(options.nodes * 2, sizeof *sums), *alone = sums + options.nodes,
           placement_ms, ms;
    struct ring_state *state = ring_state_new();
    if (!sums || !state)
        exit(1);
    random_clusters(sums, alone);
    printf("| nodes | allocated, RF %u | random | allocated, RF 1 | random | allocation ms | "
           "placement ms |\n",
           options.rf);
    printf("|---|---|---|---|---|---|---|\n");
    for (size_t n = 0; n < options.nodes; n++) {
        char rack[32];
        double begin = now_ms();
        snprintf(rack, sizeof rack, "r%zu", n % options.racks);
        must(ring_allocate(state, BASE_SLICE_LIT("dc1"), base_slice_str(rack), options.tokens,
                           options.rf, tokens, &err),
             &err);
        ms = now_ms() - begin;
        state = grow(state, n, tokens);
        if (!wanted(n + 1))
            continue;
        double under_rf = max_to_mean(state, options.rf, &placement_ms);
        printf("| %zu | %.3f | %.3f | %.3f | %.3f | %.2f | %.2f |\n", n + 1, under_rf,
               sums[n] / RANDOM_CLUSTERS, max_to_mean(state, 1, &(double){0}),
               alone[n] / RANDOM_CLUSTERS, ms, placement_ms);
    }
    ring_state_release(state);
    free(sums);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool last = i + 1 == argc;
        if (strcmp(argv[i], "--all") == 0)
            options.all = true;
        else if (!last && strcmp(argv[i], "--nodes") == 0)
            options.nodes = strtoul(argv[++i], NULL, 10);
        else if (!last && strcmp(argv[i], "--tokens") == 0)
            options.tokens = strtoul(argv[++i], NULL, 10);
        else if (!last && strcmp(argv[i], "--rf") == 0)
            options.rf = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (!last && strcmp(argv[i], "--racks") == 0)
            options.racks = (unsigned)strtoul(argv[++i], NULL, 10);
        else
            options.nodes = 0;
    }
    if (options.nodes < 1 || options.nodes > RING_MEMBERS_MAX || options.tokens < 1 ||
        options.tokens > RING_TOKENS_MAX || options.rf < 1 || options.racks < 1) {
        fprintf(stderr, "usage: ringbench [--nodes N] [--tokens T] [--rf R] [--racks K] [--all]\n");
        return 2;
    }
    table();
    return 0;
}
