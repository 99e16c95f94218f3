/* Gossip and failure detection over the simulated cluster. What breaks without it: a dead node that
 * is waited for, a live one that is called dead (a pause of ours, a slow link), one that came back
 * and nobody knows, storms of messages. */
#include "replication/replication_private.h"
#include "replication/wire.h"
#include "tests/lib/ck.h"
#include "tests/sim/cluster_world.h"

static struct cluster_world w;
static unsigned changes; /* of liveness or snapshots, over all nodes */

static void count_change(struct cluster_node *node)
{
    (void)node;
    changes++;
}

static void begin_of(unsigned nodes, unsigned seeds, bool formed, bool start)
{
    struct cluster_options o;
    struct base_err err;
    cluster_options_init(&o);
    const char *seed = getenv("GOSSIP_TEST_SEED"); /* by hand: the bounds must hold for any */
    o.seed = seed ? strtoull(seed, NULL, 10) : 1;
    o.nodes = nodes;
    o.seeds = seeds;
    o.stores = false;
    o.late_max_ns = 2000 * CLUSTER_S; /* what a blocked link lets through comes after the test */
    o.config.num_tokens = 1;
    cluster_world_init(&w, &o, NULL);
    w.on_changed = count_change;
    if (formed)
        cluster_world_form(&w);
    for (size_t i = 0; start && i < nodes; i++)
        ck_assert_msg(cluster_node_start(&w.nodes[i], &err), "%s", err.text);
}

static void begin(unsigned nodes, unsigned seeds, bool start)
{
    begin_of(nodes, seeds, true, start);
}

static void start(size_t i)
{
    struct base_err err;
    ck_assert_msg(cluster_node_start(&w.nodes[i], &err), "%s", err.text);
}

static bool sees(size_t i, size_t j)
{
    return repl_is_alive(w.nodes[i].repl, w.nodes[j].host_id);
}

/* Of all running nodes: do they see j so? */
struct view {
    size_t of;
    bool alive;
};
static bool all_see(struct cluster_world *world, void *ctx)
{
    const struct view *view = ctx;
    for (size_t i = 0; i < world->node_count; i++)
        if (i != view->of && cluster_node_is_up(&world->nodes[i]) && !world->nodes[i].paused &&
            sees(i, view->of) != view->alive)
            return false;
    return true;
}

static bool all_see_all(struct cluster_world *world, void *ctx)
{
    (void)ctx;
    for (size_t j = 0; j < world->node_count; j++)
        if (cluster_node_is_up(&world->nodes[j]) && !all_see(world, &(struct view){j, true}))
            return false;
    return true;
}

/* How long it took, in ms. */
static uint64_t until_all_see(size_t of, bool alive, uint64_t max_s)
{
    uint64_t from = w.now_ns;
    struct view view = {of, alive};
    ck_assert_msg(cluster_run_until(&w, all_see, &view, max_s * CLUSTER_S),
                  "not all see %zu %s within %u s", of, alive ? "alive" : "dead", (unsigned)max_s);
    return (w.now_ns - from) / CLUSTER_MS;
}

static void until_all_see_all(uint64_t max_ms)
{
    ck_assert_msg(cluster_run_until(&w, all_see_all, NULL, max_ms * CLUSTER_MS),
                  "not all are up within %u ms", (unsigned)max_ms);
}

static struct repl_peer_info info(size_t i, size_t j)
{
    struct repl_peer_info out;
    const struct ring_state *ring = repl_ring(w.nodes[i].repl);
    int member = ring_member_find(ring, w.nodes[j].host_id);
    ck_assert_int_ge(member, 0);
    repl_peer_get(w.nodes[i].repl, (size_t)member, &out);
    return out;
}

static void isolate(size_t i, bool blocked)
{
    for (size_t j = 0; j < w.node_count; j++)
        if (i != j)
            cluster_link(&w, i, j)->blocked = cluster_link(&w, j, i)->blocked = blocked;
}

START_TEST(three_see_each_other_at_once)
{
    begin(3, 1, true);
    ck_assert(!sees(0, 1) && sees(0, 0));
    until_all_see_all(100);
    struct repl_peer_info peer = info(0, 1);
    ck_assert(peer.alive && peer.generation == 1 && peer.epoch == repl_epoch(w.nodes[1].repl) &&
              peer.down_since_ns == 0);
    cluster_world_fini(&w);
}
END_TEST

/* All UN: every node serves, has all members and sees them alive. */
static bool all_un(struct cluster_world *world, void *ctx)
{
    for (size_t i = 0; i < world->node_count; i++)
        if (repl_stage(world->nodes[i].repl) != REPL_MEMBER ||
            repl_ring(world->nodes[i].repl)->member_count < world->node_count)
            return false;
    return all_see_all(world, ctx);
}

/* Three nodes from nothing until three UN: at most two seconds, of which gossip may not be the
 * greater part. */
START_TEST(three_from_nothing)
{
    begin_of(3, 1, false, true);
    uint64_t from = w.now_ns;
    ck_assert(cluster_run_until(&w, cluster_all_members_serve, NULL, 2 * CLUSTER_S));
    uint64_t serve_ms = (w.now_ns - from) / CLUSTER_MS;
    ck_assert(cluster_run_until(&w, all_un, NULL, 2 * CLUSTER_S));
    uint64_t ms = (w.now_ns - from) / CLUSTER_MS;
    ck_assert_msg(ms <= 2000 && ms - serve_ms <= 600, "they serve after %u ms, are UN after %u ms",
                  (unsigned)serve_ms, (unsigned)ms);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(load_is_told)
{
    begin(3, 1, true);
    until_all_see_all(100);
    repl_set_load(w.nodes[1].repl, 12345);
    cluster_run(&w, 5 * CLUSTER_S);
    ck_assert_uint_eq(info(0, 1).load_bytes, 12345);
    ck_assert_uint_eq(info(2, 1).load_bytes, 12345);
    ck_assert_uint_eq(info(1, 1).load_bytes, 12345);
    ck_assert_uint_ge(info(0, 1).version, 5);
    cluster_world_fini(&w);
}
END_TEST

/* Where a member serves clients, and that it serves none any more: at once, not by rounds of a
 * second each. */
START_TEST(native_is_told)
{
    struct repl_native native = {
        .address = {192, 0, 2, 1}, .address_len = 4, .port = 9042, .release = "5.0.2"};
    begin(3, 1, true);
    until_all_see_all(100);
    ck_assert_uint_eq(info(0, 1).native.address_len, 0);
    repl_set_native(w.nodes[1].repl, &native);
    cluster_run(&w, CLUSTER_S / 10);
    for (size_t i = 0; i < 3; i++) {
        const struct repl_native told = info(i, 1).native;
        ck_assert_mem_eq(told.address, native.address, sizeof native.address);
        ck_assert_uint_eq(told.address_len, native.address_len);
        ck_assert_uint_eq(told.port, native.port);
        ck_assert_str_eq(told.release, native.release);
        ck_assert_uint_eq(info(i, 2).native.address_len, 0);
    }
    native = (struct repl_native){0};
    repl_set_native(w.nodes[1].repl, &native);
    cluster_run(&w, CLUSTER_S / 10);
    ck_assert_uint_eq(info(0, 1).native.address_len, 0);
    cluster_world_fini(&w);
}
END_TEST

/* An epoch that a member's messages tell is known at once; gossip's own rounds tell it within
 * seconds. */
START_TEST(epochs_are_heard)
{
    begin(3, 1, true);
    until_all_see_all(100);
    cluster_run(&w, 5 * CLUSTER_S);
    uint64_t epoch = repl_epoch(w.nodes[0].repl);
    ck_assert_uint_eq(info(0, 1).epoch, epoch);
    repli_gossip_heard_epoch(w.nodes[0].repl, w.nodes[1].host_id, epoch + 1);
    ck_assert_uint_eq(info(0, 1).epoch, epoch + 1);
    ck_assert_uint_eq(info(0, 2).epoch, epoch);
    repli_gossip_heard_epoch(w.nodes[0].repl, w.nodes[2].host_id, epoch + 1);
    repli_gossip_heard_epoch(w.nodes[0].repl, w.nodes[2].host_id, epoch); /* an old message */
    ck_assert_uint_eq(info(0, 2).epoch, epoch + 1);
    repli_gossip_heard_epoch(w.nodes[0].repl, (struct base_uuid){{9}}, epoch + 5); /* nobody */
    repli_gossip_heard_epoch(w.nodes[0].repl, w.nodes[2].host_id, epoch + 3);
    ck_assert_uint_eq(info(0, 2).epoch, epoch + 3);
    cluster_world_fini(&w);
}
END_TEST

/* A process that is gone refuses connections: no need to wait for phi. A machine that is gone says
 * nothing. */
START_TEST(killed_is_seen_soon)
{
    begin(3, 1, true);
    w.options.refused_percent = 100;
    cluster_run(&w, 60 * CLUSTER_S);
    cluster_node_kill(&w.nodes[2], false);
    ck_assert_uint_le(until_all_see(2, false, 10), 4500);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(power_loss_is_seen_by_phi)
{
    begin(3, 1, true);
    cluster_run(&w, 120 * CLUSTER_S);
    cluster_node_kill(&w.nodes[2], true);
    uint64_t ms = until_all_see(2, false, 60);
    ck_assert_msg(ms > 10000 && ms < 40000, "%u ms", (unsigned)ms);
    ck_assert(info(0, 2).phi > 8 && info(0, 2).down_since_ns > 0);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(restart_is_seen)
{
    begin(3, 1, true);
    cluster_run(&w, 30 * CLUSTER_S);
    cluster_node_kill(&w.nodes[1], true);
    until_all_see(1, false, 60);
    start(1);
    until_all_see_all(500);
    ck_assert_uint_eq(info(0, 1).generation, 2);
    /* so fast that nobody saw it gone: the others hear of the new generation */
    cluster_node_kill(&w.nodes[1], false);
    start(1);
    unsigned before = changes;
    until_all_see_all(500);
    cluster_run(&w, 2 * CLUSTER_S);
    ck_assert_uint_eq(info(0, 1).generation, 3);
    ck_assert_uint_eq(info(2, 1).generation, 3);
    ck_assert(sees(0, 1) && sees(2, 1));
    ck_assert_uint_ge(changes - before, 4); /* went and came at both */
    cluster_world_fini(&w);
}
END_TEST

/* The count of starts was lost: it goes on from what others know, else its heartbeats would be old
 * news for ever. */
START_TEST(lower_generation_is_overcome)
{
    begin(3, 1, true);
    cluster_run(&w, CLUSTER_S);
    cluster_node_kill(&w.nodes[1], true);
    w.nodes[1].generation = 41;
    start(1);
    cluster_run(&w, 30 * CLUSTER_S);
    ck_assert_uint_eq(info(0, 1).generation, 42);
    cluster_node_kill(&w.nodes[1], true);
    until_all_see(1, false, 60);
    w.nodes[1].generation = 3;
    start(1);
    until_all_see_all(3000);
    cluster_run(&w, 60 * CLUSTER_S);
    ck_assert(sees(0, 1) && sees(2, 1));
    cluster_world_fini(&w);
}
END_TEST

START_TEST(paused_is_seen_and_comes_back)
{
    begin(3, 1, true);
    cluster_run(&w, 60 * CLUSTER_S);
    cluster_node_pause(&w.nodes[1]);
    cluster_run(&w, 8 * CLUSTER_S);
    ck_assert(sees(0, 1) && sees(2, 1)); /* not yet */
    until_all_see(1, false, 40);
    cluster_run(&w, 60 * CLUSTER_S);
    ck_assert(!sees(0, 1));
    unsigned before = changes;
    cluster_node_resume(&w.nodes[1]);
    cluster_run(&w, 500 * CLUSTER_MS);
    ck_assert(sees(1, 0) && sees(1, 2)); /* it was stopped itself: it convicts nobody */
    until_all_see_all(3000);
    ck_assert_uint_eq(changes - before, 2);
    cluster_run(&w, 60 * CLUSTER_S);
    ck_assert_uint_eq(changes - before, 2);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(partition_heals)
{
    begin(5, 2, true);
    cluster_run(&w, 60 * CLUSTER_S);
    isolate(3, true);
    until_all_see(3, false, 60);
    cluster_run(&w, 50 * CLUSTER_S);
    for (size_t j = 0; j < 5; j++)
        ck_assert_int_eq(sees(3, j), j == 3);
    isolate(3, false);
    until_all_see_all(20000);
    cluster_world_fini(&w);
}
END_TEST

/* It is heard of through a third, and cannot be reached: not alive, however fresh its heartbeat. */
START_TEST(hearsay_is_not_enough)
{
    begin(3, 1, false);
    cluster_link(&w, 0, 2)->blocked = cluster_link(&w, 2, 0)->blocked = true;
    for (size_t i = 0; i < 3; i++)
        start(i);
    cluster_run(&w, 60 * CLUSTER_S);
    ck_assert(sees(0, 1) && sees(1, 0) && sees(1, 2) && sees(2, 1));
    ck_assert(!sees(0, 2) && !sees(2, 0));
    ck_assert_uint_gt(info(0, 2).version, 40);
    cluster_heal_links(&w);
    until_all_see_all(10000);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(slow_is_not_dead)
{
    begin(3, 1, true);
    cluster_run(&w, 10 * CLUSTER_S);
    for (size_t j = 0; j < 2; j++)
        cluster_link(&w, 2, j)->slow = cluster_link(&w, j, 2)->slow =
            400; /* up to 0.8 s each way */
    unsigned before = changes;
    cluster_run(&w, 300 * CLUSTER_S);
    ck_assert(sees(0, 2) && sees(1, 2) && sees(2, 0) && sees(2, 1));
    ck_assert_uint_eq(changes, before);
    cluster_world_fini(&w);
}
END_TEST

/* Nor is one that was never anything else: up to 2.4 s each way. */
START_TEST(slow_from_the_start)
{
    begin(3, 1, false);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            cluster_link(&w, i, j)->slow = i == j ? 1 : 800;
    w.options.delay_min_ns = CLUSTER_MS;
    for (size_t i = 0; i < 3; i++)
        start(i);
    until_all_see_all(60000);
    cluster_world_fini(&w);
}
END_TEST

/* A third of all messages lost: nobody flaps. */
START_TEST(loss_is_not_death)
{
    begin(5, 2, true);
    until_all_see_all(5000);
    w.options.loss_permille = 300;
    unsigned before = changes;
    cluster_run(&w, 600 * CLUSTER_S);
    ck_assert_uint_eq(changes, before);
    cluster_world_fini(&w);
}
END_TEST

/* A link that goes and comes: each time it costs a few messages, never a storm. */
START_TEST(flapping_is_cheap)
{
    begin(5, 2, true);
    cluster_run(&w, 60 * CLUSTER_S);
    uint64_t before = w.net.messages;
    cluster_run(&w, 300 * CLUSTER_S);
    uint64_t calm = w.net.messages - before;
    before = w.net.messages;
    for (int i = 0; i < 6; i++) {
        isolate(4, true);
        cluster_run(&w, 25 * CLUSTER_S);
        isolate(4, false);
        cluster_run(&w, 25 * CLUSTER_S);
    }
    uint64_t flapping = w.net.messages - before;
    ck_assert_msg(flapping < calm * 3 / 2, "%u messages, calm %u", (unsigned)flapping,
                  (unsigned)calm);
    cluster_world_fini(&w);
}
END_TEST

START_TEST(draining_is_told_at_once)
{
    begin(3, 1, true);
    cluster_run(&w, 10 * CLUSTER_S);
    cluster_node_sync_clock(&w.nodes[2]);
    repl_drain(w.nodes[2].repl);
    ck_assert_uint_le(until_all_see(2, false, 1), 100);
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert(!sees(0, 2) && !sees(1, 2)); /* it still answers, and is not taken for alive */
    cluster_node_stop(&w.nodes[2]);
    cluster_run(&w, 10 * CLUSTER_S);
    start(2);
    until_all_see_all(500);
    cluster_world_fini(&w);
}
END_TEST

/* Idle: three nodes exchange about one syn a second each, in small bodies, and wake up for little
 * else. */
START_TEST(idle_is_quiet)
{
    begin(3, 1, true);
    cluster_run(&w, 60 * CLUSTER_S);
    uint64_t messages = w.net.messages, rounds = 0, bytes = 0;
    for (size_t i = 0; i < 3; i++) {
        rounds -= repl_get_stats(w.nodes[i].repl)->gossip_rounds;
        bytes -= repl_get_stats(w.nodes[i].repl)->gossip_bytes;
    }
    cluster_run(&w, 100 * CLUSTER_S);
    messages = w.net.messages - messages;
    for (size_t i = 0; i < 3; i++) {
        rounds += repl_get_stats(w.nodes[i].repl)->gossip_rounds;
        bytes += repl_get_stats(w.nodes[i].repl)->gossip_bytes;
    }
    ck_assert_msg(rounds >= 290 && rounds <= 310, "%u rounds", (unsigned)rounds);
    ck_assert_msg(messages <= 300 * 4, "%u messages in 100 s", (unsigned)messages);
    ck_assert_msg(bytes <= 300 * 150, "%u bytes in 100 s", (unsigned)bytes);
    cluster_world_fini(&w);
}
END_TEST

/* Anything that may happen to nodes and links, at random; then all is mended, and all see each
 * other. On the way: who is gone for long is seen so by all that run, whatever else happens. */
static void one_fault(struct rng *rng, uint64_t *gone_ns)
{
    size_t i = rng_below(rng, w.node_count), j = rng_below(rng, w.node_count);
    struct cluster_node *node = &w.nodes[i];
    bool up = cluster_node_is_up(node);
    switch (rng_below(rng, 8)) {
    case 0:
        if (up && !node->paused) {
            cluster_node_kill(node, rng_chance(rng, 50));
            gone_ns[i] = w.now_ns;
        }
        break;
    case 1:
    case 2:
        if (!up)
            start(i);
        break;
    case 3:
        if (up && !node->paused) {
            cluster_node_pause(node);
            gone_ns[i] = w.now_ns;
        }
        break;
    case 4:
        if (up && node->paused)
            cluster_node_resume(node);
        break;
    case 5:
        cluster_link(&w, i, j)->blocked = !cluster_link(&w, i, j)->blocked;
        break;
    case 6:
        cluster_link(&w, i, j)->slow = (uint32_t)rng_below(rng, 300);
        break;
    default:
        w.options.loss_permille = (unsigned)rng_below(rng, 200);
    }
}

static void check_gone(const uint64_t *gone_ns)
{
    for (size_t j = 0; j < w.node_count; j++) {
        bool gone = !cluster_node_is_up(&w.nodes[j]) || w.nodes[j].paused;
        if (!gone || w.now_ns - gone_ns[j] < 150 * CLUSTER_S)
            continue;
        for (size_t i = 0; i < w.node_count; i++)
            ck_assert_msg(i == j || !cluster_node_is_up(&w.nodes[i]) || w.nodes[i].paused ||
                              !sees(i, j),
                          "%zu sees %zu alive, which is gone for long", i, j);
    }
}

START_TEST(torment)
{
    struct rng rng = rng_seeded(77 + (uint64_t)_i);
    uint64_t gone_ns[9] = {0};
    begin(3 + (unsigned)_i % 7, 1 + (unsigned)_i % 3, true);
    rng.s[0] ^= w.options.seed;
    uint64_t running_ns[9] = {0}; /* a node that was paused or started just now has its own grace */
    for (int step = 0; step < 150; step++) {
        one_fault(&rng, gone_ns);
        cluster_run(&w, rng_below(&rng, 10 * CLUSTER_S));
        for (size_t i = 0; i < w.node_count; i++)
            if (!cluster_node_is_up(&w.nodes[i]) || w.nodes[i].paused)
                running_ns[i] = w.now_ns;
        bool settled = true;
        for (size_t i = 0; i < w.node_count; i++)
            settled &= !cluster_node_is_up(&w.nodes[i]) || w.nodes[i].paused ||
                       w.now_ns - running_ns[i] > 60 * CLUSTER_S;
        if (settled)
            check_gone(gone_ns);
    }
    cluster_heal_links(&w);
    w.options.loss_permille = 0;
    for (size_t i = 0; i < w.node_count; i++) {
        if (w.nodes[i].paused)
            cluster_node_resume(&w.nodes[i]);
        if (!cluster_node_is_up(&w.nodes[i]))
            start(i);
    }
    until_all_see_all(60000);
    cluster_run(&w, 20 * CLUSTER_S); /* some hear only now that one had been away */
    unsigned before = changes;
    cluster_run(&w, 100 * CLUSTER_S);
    ck_assert_uint_eq(changes, before);
    cluster_world_fini(&w);
}
END_TEST

/* A node alone has nobody to talk to, and sleeps. */
START_TEST(alone_is_silent)
{
    begin(1, 1, true);
    cluster_run(&w, 10 * CLUSTER_S);
    uint64_t events = w.events;
    cluster_run(&w, 100 * CLUSTER_S);
    ck_assert_uint_le(w.events - events, 20);
    ck_assert_uint_eq(repl_get_stats(w.nodes[0].repl)->gossip_rounds, 0);
    cluster_world_fini(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gossip");
    TCase *tc = tcase_create("gossip");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, three_see_each_other_at_once);
    tcase_add_test(tc, three_from_nothing);
    tcase_add_test(tc, load_is_told);
    tcase_add_test(tc, native_is_told);
    tcase_add_test(tc, epochs_are_heard);
    tcase_add_test(tc, killed_is_seen_soon);
    tcase_add_test(tc, power_loss_is_seen_by_phi);
    tcase_add_test(tc, restart_is_seen);
    tcase_add_test(tc, lower_generation_is_overcome);
    tcase_add_test(tc, paused_is_seen_and_comes_back);
    tcase_add_test(tc, partition_heals);
    tcase_add_test(tc, hearsay_is_not_enough);
    tcase_add_test(tc, slow_is_not_dead);
    tcase_add_test(tc, slow_from_the_start);
    tcase_add_test(tc, loss_is_not_death);
    tcase_add_test(tc, flapping_is_cheap);
    tcase_add_test(tc, draining_is_told_at_once);
    tcase_add_test(tc, idle_is_quiet);
    tcase_add_test(tc, alone_is_silent);
    tcase_add_loop_test(tc, torment, 0, 28);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
