/* Forming and joining a cluster. What breaks without it: two clusters where one was meant; a join
 * that is half done; rows that nobody owns any more because somebody joined over them; a copied
 * directory that speaks for another node; a guest that never gets ready. */
#include <stdio.h>

#include "base/key.h"
#include "base/row.h"
#include "replication/wire.h"
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
    log_run_until_even(30 * CLUSTER_S);
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
            log_run_until_all_serve(CLUSTER_S / 2); /* not by way of gossip's intervals */
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
    log_run_until_even(5 * CLUSTER_S);
    static const struct base_option options[] = {
        {BASE_SLICE_LIT("class"), BASE_SLICE_LIT("SimpleStrategy")},
        {BASE_SLICE_LIT("replication_factor"), BASE_SLICE_LIT("2")}};
    struct base_keyspace ks = {
        .name = BASE_SLICE_LIT("lab"), .replication = {options, 2}, .durable_writes = true};
    struct base_change make_ks = {.kind = BASE_CHANGE_KEYSPACE_CREATE,
                                  .expected_epoch = log_epoch(node),
                                  .keyspace = ks.name,
                                  .keyspace_new = &ks};
    struct log_change *c = log_change(node, &make_ks);
    log_run_until_done(c);
    ck_assert_int_eq(c->change.outcome.rc, BASE_OK);
    struct base_table *table = make_table(&lw.arena, "lab", "readings", "p k int; r v text");
    struct base_change what = make_create_table(repl_schema(lw.w.nodes[node].repl), table);
    c = log_change(node, &what);
    log_run_until_done(c);
    ck_assert_int_eq(c->change.outcome.rc, BASE_OK);
}

static void write_done(struct repl_write *write)
{
    *(bool *)write->ctx = true;
}

static bool is_true(struct cluster_world *w, void *ctx)
{
    (void)w;
    return *(const bool *)ctx;
}

/* A row of lab.readings; the outcome's code. */
static int put_row(size_t node, int consistency)
{
    struct base_buf mutations, pkey, ckey, row;
    struct base_row_builder b;
    bool done = false;
    const struct base_table *table = repl_schema(lw.w.nodes[node].repl)->tables_by_id[0];
    uint8_t four[4] = {0, 0, 0, 7};
    base_buf_init(&mutations, 1 << 20);
    base_buf_init(&pkey, 1 << 20);
    base_buf_init(&ckey, 1 << 20);
    base_buf_init(&row, 1 << 20);
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
    ck_assert_int_eq(base_pkey_put(base_slice(four, 4), &pkey), BASE_OK);
    ck_assert_int_eq(base_row_begin(&b, &row, cluster_node_timestamp(&lw.w.nodes[node])), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 2, base_slice_str("x")), BASE_OK);
    base_row_end(&b);
    ck_assert_int_eq(base_mutation_put_row(&mutations, table->id, base_buf_view(&pkey),
                                           base_buf_view(&ckey), base_buf_view(&row)),
                     BASE_OK);
    struct repl_write write = {.mutations = base_buf_view(&mutations),
                               .mutation_count = 1,
                               .consistency = consistency,
                               .done = write_done,
                               .ctx = &done};
    cluster_node_sync_clock(&lw.w.nodes[node]);
    repl_write_start(lw.w.nodes[node].repl, &write);
    ck_assert(cluster_run_until(&lw.w, is_true, &done, 30 * CLUSTER_S));
    base_buf_fini(&mutations);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    return write.outcome.rc;
}

static bool is_refused(struct cluster_world *w, void *ctx)
{
    (void)w;
    return repl_stage(((struct cluster_node *)ctx)->repl) == REPL_REFUSED;
}

static void expect_refused(size_t node, const char *text)
{
    struct cluster_node *n = &lw.w.nodes[node];
    ck_assert_msg(cluster_run_until(&lw.w, is_refused, n, 60 * CLUSTER_S), "not refused: %s",
                  repl_stage_text(n->repl));
    ck_assert_msg(strstr(repl_stage_text(n->repl), text), "%s", repl_stage_text(n->repl));
}

START_TEST(who_joins_over_data_is_refused)
{
    struct cluster_options o = options(3, 1);
    log_world_begin(&o, false);
    log_start(0);
    log_start(1);
    log_run_until_all_serve(5 * CLUSTER_S);
    create_table(0);
    log_run_until_even(5 * CLUSTER_S);
    ck_assert_int_eq(put_row(0, REPL_CL_ONE), BASE_OK);
    log_start(2);
    expect_refused(2, "the cluster's tables hold data");
    expect_refused(2, "joining by streaming is not in this version");
    struct ring_state *ring = repl_ring(lw.w.nodes[0].repl);
    static const struct base_uuid nobody;
    log_run_until_even(5 * CLUSTER_S);
    ck_assert_uint_eq(ring->member_count, 2); /* never half done */
    ck_assert(base_uuid_equal(ring->freeze, nobody));
    ck_assert_int_eq(put_row(1, REPL_CL_ALL), BASE_OK);
    log_world_end();
}
END_TEST

/* While somebody joins nothing is written, so what the members said stays true. */
START_TEST(a_join_freezes_writes_and_its_death_thaws_them)
{
    struct cluster_options o = options(3, 1);
    log_world_begin(&o, false);
    log_start(0);
    log_start(1);
    log_run_until_all_serve(5 * CLUSTER_S);
    create_table(0);
    log_run_until_even(5 * CLUSTER_S);
    /* it does not say whether it holds data; a voter: so nothing is decided either */
    cluster_node_pause(&lw.w.nodes[1]);
    log_start(2);
    cluster_run(&lw.w, CLUSTER_S);
    cluster_node_resume(&lw.w.nodes[1]);
    static const struct base_uuid nobody;
    for (int i = 0; i < 100000 && base_uuid_equal(repl_ring(lw.w.nodes[0].repl)->freeze, nobody);
         i++)
        cluster_step(&lw.w);
    ck_assert(base_uuid_equal(repl_ring(lw.w.nodes[0].repl)->freeze, lw.w.nodes[2].host_id));
    cluster_node_kill(&lw.w.nodes[2], false);
    ck_assert_int_eq(put_row(0, REPL_CL_ONE), BASE_E_BUSY);
    cluster_run(&lw.w, 60 * CLUSTER_S); /* it seems dead: it is taken out */
    ck_assert(base_uuid_equal(repl_ring(lw.w.nodes[0].repl)->freeze, nobody));
    ck_assert_uint_eq(repl_ring(lw.w.nodes[0].repl)->member_count, 2);
    log_start(2); /* and joins after all: nothing was written meanwhile */
    log_run_until_all_serve(10 * CLUSTER_S);
    expect_one_cluster(3);
    ck_assert_int_eq(put_row(0, REPL_CL_ALL), BASE_OK);
    log_world_end();
}
END_TEST

/* Whoever dies in the middle of its join and is back soon goes on. */
START_TEST(a_joiner_that_dies_at_any_moment)
{
    for (unsigned at = 0; at < 60; at++) {
        struct cluster_options o = options(3, 1);
        o.stores = at % 2;
        log_world_begin(&o, false);
        log_start(0);
        log_start(1);
        log_run_until_all_serve(5 * CLUSTER_S);
        log_start(2);
        cluster_run(&lw.w, at * CLUSTER_MS);
        cluster_node_kill(&lw.w.nodes[2], at % 3 == 0);
        cluster_run(&lw.w, (at % 4) * 20 * CLUSTER_S);
        log_start(2);
        log_run_until_all_serve(60 * CLUSTER_S);
        expect_one_cluster(3);
        log_world_end();
    }
}
END_TEST

START_TEST(a_member_that_is_down_may_hold_data)
{
    struct cluster_options o = options(5, 1);
    log_world_begin(&o, false);
    for (size_t i = 0; i < 4; i++)
        log_start(i);
    log_run_until_all_serve(5 * CLUSTER_S);
    cluster_node_kill(&lw.w.nodes[3], false);
    log_start(4);
    expect_refused(4, lw.w.nodes[3].address);
    cluster_run(&lw.w, CLUSTER_S);
    ck_assert_uint_eq(repl_ring(lw.w.nodes[0].repl)->member_count, 4);
    log_world_end();
}
END_TEST

START_TEST(names_and_directories_that_do_not_fit)
{
    struct cluster_options o = options(4, 1);
    log_world_begin(&o, false);
    log_start(0);
    log_start(1);
    log_run_until_all_serve(5 * CLUSTER_S);
    lw.w.nodes[2].cluster_name = "elsewhere";
    log_start(2);
    expect_refused(2, "is of cluster \"simulated\", this node is configured for \"elsewhere\"");
    lw.w.nodes[3].host_id = lw.w.nodes[0].host_id;
    log_start(3);
    expect_refused(3, "this data directory is a copy");
    cluster_node_kill(&lw.w.nodes[1], false);
    lw.w.nodes[1].cluster_name = "elsewhere";
    log_start(1);
    expect_refused(1, "this directory belongs to cluster \"simulated\"");
    log_world_end();
}
END_TEST

static int put_copied(void *ctx, struct base_slice key, struct base_slice value)
{
    struct base_err err;
    struct cat_pair pair = {.key = key, .value = value};
    struct cat_catalog *to = ctx;
    return to->ops->write(to, &pair, 1, &err);
}

static void copy_catalog(struct mem_catalog *from, struct mem_catalog *to)
{
    struct base_err err;
    struct cat_catalog *a = mem_catalog_open(from), *b = mem_catalog_open(to);
    ck_ok(a->ops->scan(a, (struct base_slice){0}, put_copied, b, &err), err);
    cat_close(a);
    cat_close(b);
}

static void move(size_t node, const char *address)
{
    snprintf(lw.w.nodes[node].address, sizeof lw.w.nodes[node].address, "%s", address);
    lw.w.nodes[node].addresses = base_slice_str(lw.w.nodes[node].address);
}

START_TEST(a_member_moves)
{
    struct cluster_options o = options(3, 1);
    o.stores = false;
    log_world_begin(&o, true);
    log_start_all();
    log_run_until_all_serve(5 * CLUSTER_S);
    cluster_node_kill(&lw.w.nodes[1], false);
    move(1, "10.0.0.77:7000");
    log_start(1);
    log_run_until_all_serve(10 * CLUSTER_S);
    cluster_run(&lw.w, 10 * CLUSTER_S);
    log_run_until_even(10 * CLUSTER_S);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_ge(ring_member_find_address(repl_ring(lw.w.nodes[i].repl),
                                                  base_slice_str("10.0.0.77:7000")),
                         0);
    log_world_end();
}
END_TEST

/* Node 2 plays the original: node 1's identity, at node 1's address. Node 1 is the copy. */
START_TEST(a_copy_that_moved_is_refused)
{
    struct cluster_options o = options(3, 1);
    char old[32];
    o.stores = false;
    log_world_begin(&o, true);
    snprintf(old, sizeof old, "%s", lw.w.nodes[1].address);
    move(1, "10.0.0.77:7000");
    move(2, old);
    lw.w.nodes[2].host_id = lw.w.nodes[1].host_id;
    log_start(0);
    log_start(2);
    log_run_until_all_serve(5 * CLUSTER_S);
    log_start(1);
    expect_refused(1, "this data directory is a copy");
    log_world_end();
}
END_TEST

/* A cluster of one: nobody else knows of it. Node 1 runs on a copy of node 0's directory. */
static void copy_of_a_lone_node(bool original_moves)
{
    struct cluster_options o = options(2, 1);
    struct base_slice seeds[1];
    o.stores = false;
    log_world_begin(&o, false);
    log_start(0);
    log_run_until_all_serve(20 * CLUSTER_S);
    cluster_node_kill(&lw.w.nodes[0], false);
    copy_catalog(lw.w.nodes[0].disk_catalog, lw.w.nodes[1].disk_catalog);
    lw.w.nodes[1].host_id = lw.w.nodes[0].host_id;
    if (original_moves) /* later than it was copied: the copy does not know where it is */
        move(0, "10.0.0.99:7000");
    log_start(0);
    log_run_until_all_serve(10 * CLUSTER_S);
    cluster_run(&lw.w, 5 * CLUSTER_S);
    seeds[0] = lw.w.nodes[0].addresses;
    lw.w.nodes[1].own_seeds = seeds;
    lw.w.nodes[1].own_seed_count = original_moves;
    log_start(1);
    expect_refused(1, "this data directory is a copy");
    cluster_run(&lw.w, 5 * CLUSTER_S);
    ck_assert_int_eq(repl_stage(lw.w.nodes[0].repl), REPL_MEMBER);
    log_world_end();
}

START_TEST(a_copy_of_a_lone_node_is_refused)
{
    copy_of_a_lone_node(false);
}
END_TEST

START_TEST(a_copy_of_a_lone_node_that_moved_is_refused)
{
    copy_of_a_lone_node(true);
}
END_TEST

/* Lists in another order: two are the first of theirs. */
START_TEST(two_first_seeds_form_one_cluster)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct cluster_options o = options(2, 2);
        o.seed = seed;
        o.loss_permille = seed % 2 ? 0 : 200;
        log_world_begin(&o, false);
        struct base_slice other[2] = {lw.w.seeds[1], lw.w.seeds[0]};
        lw.w.nodes[1].own_seeds = other;
        lw.w.nodes[1].own_seed_count = 2;
        log_start(0);
        cluster_run(&lw.w, (seed % 10) * 30 * CLUSTER_MS);
        log_start(1);
        log_run_until_all_serve(30 * CLUSTER_S);
        expect_one_cluster(2);
        log_world_end();
    }
}
END_TEST

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
    ck_assert_msg(d->change.outcome.rc == BASE_OK || d->change.outcome.rc == BASE_E_STALE, "%s",
                  d->change.outcome.err.text);
    log_world_end();
}
END_TEST

/* Nobody uses the guest: it must not go on taking a node for dead that was so when it looked. */
START_TEST(an_idle_guest_hears_who_is_back)
{
    struct cluster_options o = options(3, 2);
    o.guests = 1;
    o.stores = false;
    log_world_begin(&o, true);
    for (size_t i = 0; i < 3; i++)
        log_start(i);
    log_run_until_all_serve(5 * CLUSTER_S);
    cluster_run(&lw.w, 5 * CLUSTER_S);
    cluster_node_kill(&lw.w.nodes[2], false);
    cluster_run(&lw.w, 60 * CLUSTER_S);
    log_start(3);
    log_run_until_all_serve(5 * CLUSTER_S);
    ck_assert(repl_is_alive(lw.w.nodes[3].repl, lw.w.nodes[1].host_id));
    ck_assert(!repl_is_alive(lw.w.nodes[3].repl, lw.w.nodes[2].host_id));
    log_start(2);
    cluster_run(&lw.w, 15 * CLUSTER_S);
    ck_assert(repl_is_alive(lw.w.nodes[3].repl, lw.w.nodes[2].host_id));
    uint64_t asked = lw.w.net.by_verb[REPL_VERB_LIVENESS];
    cluster_run(&lw.w, 60 * CLUSTER_S); /* all live and nobody asks anything: silence */
    ck_assert_uint_eq(lw.w.net.by_verb[REPL_VERB_LIVENESS], asked);
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
    tcase_add_test(t, who_joins_over_data_is_refused);
    tcase_add_test(t, a_join_freezes_writes_and_its_death_thaws_them);
    tcase_add_test(t, a_joiner_that_dies_at_any_moment);
    tcase_add_test(t, a_member_that_is_down_may_hold_data);
    tcase_add_test(t, names_and_directories_that_do_not_fit);
    tcase_add_test(t, a_member_moves);
    tcase_add_test(t, a_copy_that_moved_is_refused);
    tcase_add_test(t, a_copy_of_a_lone_node_is_refused);
    tcase_add_test(t, a_copy_of_a_lone_node_that_moved_is_refused);
    tcase_add_test(t, two_first_seeds_form_one_cluster);
    tcase_add_test(t, a_guest_coordinates);
    tcase_add_test(t, an_idle_guest_hears_who_is_back);
    suite_add_tcase(s, t);
    return ck_main(s);
}
