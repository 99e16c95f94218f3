/* Forming and joining a cluster. What breaks without it: two clusters where one was meant; a join that is half done; rows that nobody
 * owns any more because somebody joined over them; a copied directory that speaks for another node; a guest that never gets ready. */
#include <stdio.h>

#include "tests/unit/replication/log_lib.h"

static struct cluster_options options(unsigned nodes, unsigned seeds)
{
    struct cluster_options o;
    cluster_options_init(&o);
    o.nodes = nodes;
    o.seeds = seeds;
    o.config.num_tokens = 4;
    return o;
}

static void expect_one_cluster(size_t nodes)
{
    log_run_until_even(5 * CLUSTER_S);
    struct ring_state *first = repl_ring(lw.w.nodes[0].repl);
    ck_assert_uint_eq(first->member_count, nodes);
    for (size_t i = 0; i < nodes; i++) {
        struct ring_state *ring = repl_ring(lw.w.nodes[i].repl);
        ck_assert(base_uuid_equal(ring->cluster_id, first->cluster_id));
        ck_assert_uint_eq(first->members[i].state, RING_MEMBER_NORMAL);
        ck_assert(ring_state_check(ring));
    }
}

START_TEST(a_node_alone_serves_at_once)
{
    struct cluster_options o = options(1, 1);
    o.done_percent = 100;
    log_world_begin(&o, false);
    log_start(0);
    log_run_until_all_serve(CLUSTER_MS);
    expect_one_cluster(1);
    ck_assert_uint_eq(log_epoch(0), 1);
    struct log_change *c = log_create(0, "zoo");
    ck_assert(c->done); /* nobody to ask, nothing to wait for */
    ck_assert_int_eq(c->change.outcome.rc, BASE_OK);
    log_world_end();
}
END_TEST

START_TEST(three_from_nothing)
{
    for (unsigned seeds = 1; seeds <= 3; seeds++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct cluster_options o = options(3, seeds);
            o.seed = seed;
            log_world_begin(&o, false);
            log_start_all();
            log_run_until_all_serve(2 * CLUSTER_S);
            log_run_until_even(2 * CLUSTER_S);
            expect_one_cluster(3);
            ck_assert_uint_eq(ring_voter_count(repl_ring(lw.w.nodes[0].repl)), 3);
            log_world_end();
        }
}
END_TEST

/* The first seed comes last, or not at once: nobody else forms. */
START_TEST(only_the_first_seed_forms)
{
    struct cluster_options o = options(4, 3);
    log_world_begin(&o, false);
    for (size_t i = 1; i < 4; i++)
        log_start(i);
    cluster_run(&lw.w, 30 * CLUSTER_S);
    for (size_t i = 1; i < 4; i++) {
        ck_assert_int_eq(repl_stage(lw.w.nodes[i].repl), REPL_STARTING);
        ck_assert_ptr_nonnull(strstr(repl_stage_text(lw.w.nodes[i].repl), lw.w.nodes[0].address));
    }
    log_start(0);
    log_run_until_all_serve(5 * CLUSTER_S);
    expect_one_cluster(4);
    log_world_end();
}
END_TEST

/* The others do not answer: it forms after a while; they join it when they can. */
START_TEST(the_first_seed_alone)
{
    struct cluster_options o = options(3, 3);
    log_world_begin(&o, false);
    log_start(0);
    cluster_run(&lw.w, 3 * CLUSTER_S);
    ck_assert_int_eq(repl_stage(lw.w.nodes[0].repl), REPL_STARTING);
    log_run_until_all_serve(5 * CLUSTER_S);
    log_start(1);
    log_start(2);
    log_run_until_all_serve(5 * CLUSTER_S);
    expect_one_cluster(3);
    log_world_end();
}
END_TEST

static void create_table(size_t node)
{
    struct log_change *c = log_create(node, "lab");
    log_run_until_done(c);
    ck_assert_int_eq(c->change.outcome.rc, BASE_OK);
    struct base_table *table = make_table(&lw.arena, "lab", "readings", "p k int; r v text");
    struct base_change what = make_create_table(repl_schema(lw.w.nodes[node].repl), table);
    c = log_change(node, &what);
    log_run_until_done(c);
    ck_assert_int_eq(c->change.outcome.rc, BASE_OK);
}

START_TEST(a_schema_is_no_hindrance)
{
    struct cluster_options o = options(3, 1);
    log_world_begin(&o, false);
    log_start(0);
    log_run_until_all_serve(CLUSTER_S);
    create_table(0);
    log_start(1);
    log_start(2);
    log_run_until_all_serve(5 * CLUSTER_S);
    expect_one_cluster(3);
    ck_assert_uint_eq(repl_schema(lw.w.nodes[2].repl)->table_count, 1);
    log_world_end();
}
END_TEST

START_TEST(a_guest_coordinates)
{
    struct cluster_options o = options(3, 2);
    o.guests = 1;
    log_world_begin(&o, true);
    log_start(3); /* the guest: nobody is there yet */
    cluster_run(&lw.w, 5 * CLUSTER_S);
    ck_assert_int_eq(repl_stage(lw.w.nodes[3].repl), REPL_STARTING);
    ck_assert_ptr_nonnull(strstr(repl_stage_text(lw.w.nodes[3].repl), lw.w.nodes[1].address));
    struct log_change *c = log_create(3, "zoo");
    ck_assert(c->done && c->change.outcome.rc == BASE_E_UNAVAILABLE);
    for (size_t i = 0; i < 3; i++)
        log_start(i);
    log_run_until_all_serve(5 * CLUSTER_S);
    log_run_until_even(5 * CLUSTER_S);
    c = log_create(3, "zoo");
    log_run_until_done(c);
    ck_assert_msg(c->change.outcome.rc == BASE_OK, "%s", c->change.outcome.err.text);
    ck_assert(log_has_keyspace(3, "zoo"));
    cluster_run(&lw.w, CLUSTER_S);
    c = log_create(0, "ark");
    log_run_until_done(c);
    struct log_change *d = log_create(3, "ark"); /* it does not know yet */
    log_run_until_done(d);
    ck_assert_int_eq(d->change.outcome.rc, BASE_E_STALE);
    ck_assert(log_has_keyspace(3, "ark"));
    /* its contact dies */
    cluster_node_kill(&lw.w.nodes[0], false);
    d = log_create(3, "sea");
    log_run_until_done(d);
    if (d->change.outcome.rc == BASE_E_UNKNOWN) {
        d = log_create(3, "sky");
        log_run_until_done(d);
    }
    ck_assert_msg(d->change.outcome.rc == BASE_OK || d->change.outcome.rc == BASE_E_STALE, "%s", d->change.outcome.err.text);
    log_world_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("forming and joining");
    TCase *t = tcase_create("join");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_node_alone_serves_at_once);
    tcase_add_test(t, three_from_nothing);
    tcase_add_test(t, only_the_first_seed_forms);
    tcase_add_test(t, the_first_seed_alone);
    tcase_add_test(t, a_schema_is_no_hindrance);
    tcase_add_test(t, a_guest_coordinates);
    suite_add_tcase(s, t);
    return ck_main(s);
}
