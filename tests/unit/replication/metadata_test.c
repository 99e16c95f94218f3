/* The metadata log: agreement, learning, restarts. What breaks without it: two nodes with different
 * schemas at one epoch; a change that was acknowledged and is gone; a vote that a restart forgot; a
 * minority that changes something; a node that never catches up. */
#include <stdio.h>

#include "replication/metadata.h"
#include "tests/unit/replication/log_lib.h"

static void begin_keeping(unsigned nodes, uint64_t entries)
{
    struct cluster_options o;
    cluster_options_init(&o);
    o.config.metadata_log_entries = entries;
    o.nodes = nodes;
    o.seeds = 1;
    o.stores = false;
    o.config.num_tokens = 4;
    log_world_begin(&o, true);
    log_start_all();
    log_run_until_all_serve(CLUSTER_S);
    cluster_run(&lw.w, 3 * CLUSTER_S); /* everybody has heard of everybody */
}

static void begin(unsigned nodes)
{
    begin_keeping(nodes, 1000);
}

static void expect(const struct log_change *c, int rc)
{
    ck_assert_msg(c->change.outcome.rc == rc, "%s: %s: %s", c->name,
                  base_err_words(c->change.outcome.rc), c->change.outcome.err.text);
}

START_TEST(a_change_reaches_all)
{
    begin(5);
    struct log_change *c = log_create(3, "zoo");
    log_run_until_done(c);
    expect(c, BASE_OK);
    ck_assert_uint_eq(c->change.epoch, log_epoch(3));
    ck_assert(log_has_keyspace(3, "zoo"));
    log_run_until_even(2 * CLUSTER_S);
    for (size_t i = 0; i < 5; i++)
        ck_assert(log_has_keyspace(i, "zoo"));
    c = log_create(1, "zoo");
    log_run_until_done(c);
    expect(c, BASE_E_EXISTS);
    log_world_end();
}
END_TEST

/* Equal bytes but for the proposal's id: CREATE KEYSPACE has no other. */
START_TEST(two_that_create_the_same_get_one_and_one_error)
{
    for (uint64_t gap = 0; gap < 40; gap++) {
        begin(3);
        struct log_change *a = log_create(0, "zoo");
        cluster_run(&lw.w, gap * CLUSTER_MS / 8);
        struct log_change *b = log_create(2, "zoo"), *d = log_create(2, "zoo");
        for (int i = 0; i < 3; i++)
            log_run_until_done(i == 0 ? a : i == 1 ? b : d);
        unsigned won = 0;
        const struct log_change *all[] = {a, b, d};
        for (int i = 0; i < 3; i++) {
            int rc = all[i]->change.outcome.rc;
            ck_assert_msg(rc == BASE_OK || rc == BASE_E_STALE || rc == BASE_E_EXISTS, "%s",
                          base_err_words(rc));
            won += rc == BASE_OK;
            /* STALE too: it has been applied, analyse again */
            ck_assert(log_has_keyspace(all[i]->node, "zoo"));
        }
        ck_assert_uint_eq(won, 1);
        log_world_end();
    }
}
END_TEST

START_TEST(a_minority_changes_nothing_and_says_so)
{
    begin(3);
    uint64_t epoch = log_epoch(0);
    cluster_node_kill(&lw.w.nodes[1], false);
    cluster_node_kill(&lw.w.nodes[2], true);
    struct log_change *c = log_create(0, "zoo");
    log_run_until_done(c);
    expect(c, BASE_E_UNAVAILABLE);
    ck_assert_uint_eq(c->change.outcome.required, 2);
    ck_assert_uint_eq(c->change.outcome.alive, 1);
    ck_assert_ptr_nonnull(
        strstr(c->change.outcome.err.text, "2 of the metadata log's 3 voters, 1 answered"));
    ck_assert_ptr_nonnull(strstr(c->change.outcome.err.text, lw.w.nodes[1].address));
    log_start(1);
    cluster_run(&lw.w, 5 * CLUSTER_S);
    ck_assert_uint_eq(log_epoch(0), epoch); /* it was refused: nor does it happen later */
    c = log_create(1, "ark");
    log_run_until_done(c);
    expect(c, BASE_OK);
    ck_assert(!log_has_keyspace(1, "zoo"));
    log_world_end();
}
END_TEST

START_TEST(who_was_cut_off_catches_up)
{
    begin(5);
    cluster_node_kill(&lw.w.nodes[4], false);
    log_isolate(3, true);
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "ks%d", i);
        struct log_change *c = log_create((size_t)i % 3, name);
        log_run_until_done(c);
        while (c->change.outcome.rc == BASE_E_STALE) {
            c = log_create((size_t)i % 3, name);
            log_run_until_done(c);
        }
        expect(c, BASE_OK);
        log_run_until_done(c);
    }
    ck_assert(!log_has_keyspace(3, "ks29"));
    log_isolate(3, false);
    log_start(4);
    log_run_until_even(20 * CLUSTER_S);
    ck_assert(log_has_keyspace(3, "ks29") && log_has_keyspace(4, "ks29"));
    log_world_end();
}
END_TEST

/* Create keyspaces one by one at the first two nodes. */
static void create_many(int n)
{
    for (int i = 0; i < n; i++) {
        char name[24];
        struct log_change *c;
        snprintf(name, sizeof name, "ks%d", i);
        do
            log_run_until_done(c = log_create((size_t)i % 2, name));
        while (c->change.outcome.rc == BASE_E_STALE);
        expect(c, BASE_OK);
    }
}

static uint64_t kept_from(size_t node)
{
    struct base_err err;
    uint64_t first;
    ck_ok(cat_log_first(lw.w.nodes[node].catalog, &first, &err), err);
    return first;
}

/* So large that the state takes several pieces. */
static void create_large_tables(int n)
{
    char *comment = malloc(400001);
    memset(comment, 'c', 400000);
    comment[400000] = 0;
    for (int i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "large%d", i);
        struct base_table *table =
            make_table(&lw.arena, "ks0", base_arena_strdup(&lw.arena, base_slice_str(name)),
                       "p k int; r v text");
        table->options.comment = base_slice_str(comment);
        struct log_change *c;
        do {
            struct base_change change = make_create_table(repl_schema(lw.w.nodes[0].repl), table);
            log_run_until_done(c = log_change(0, &change));
        } while (c->change.outcome.rc == BASE_E_STALE);
        expect(c, BASE_OK);
    }
    free(comment);
}

/* The entries that it lacks are cut off everywhere: it takes the state over. */
START_TEST(who_is_behind_the_cut_takes_a_checkpoint)
{
    begin_keeping(5, 5);
    cluster_node_kill(&lw.w.nodes[3], false);
    log_isolate(2, true);
    create_many(12);
    create_large_tables(6);
    ck_assert_uint_eq(kept_from(0), log_epoch(0) - 4);
    ck_assert_uint_eq(lw.w.installs, 0);
    log_isolate(2, false);
    log_start(3);
    log_run_until_even(20 * CLUSTER_S);
    ck_assert_uint_eq(lw.w.installs, 2);
    ck_assert(log_has_keyspace(2, "ks11") && log_has_keyspace(3, "ks11"));
    /* it goes on from there as any other */
    struct log_change *c = log_create(3, "zoo");
    log_run_until_done(c);
    expect(c, BASE_OK);
    log_run_until_even(5 * CLUSTER_S);
    ck_assert_uint_eq(lw.w.installs, 2);
    ck_assert_uint_eq(kept_from(3), log_epoch(3));
    /* and over a restart */
    cluster_node_kill(&lw.w.nodes[3], true);
    log_start(3);
    ck_assert(log_has_keyspace(3, "zoo") && log_has_keyspace(3, "ks11"));
    log_world_end();
}
END_TEST

/* Whoever hands it out dies in the middle, or the one that fetches does, at every moment; and
 * changes go on meanwhile. */
START_TEST(a_checkpoint_that_is_cut_short)
{
    unsigned installed = 0;
    for (uint64_t at = 0; at < 40; at++) {
        begin_keeping(4, 3);
        cluster_node_kill(&lw.w.nodes[3], false);
        create_many(8);
        create_large_tables(6);
        log_start(3);
        cluster_run(&lw.w, at * CLUSTER_MS / 2);
        size_t victim = at % 4 == 3 ? 3 : at % 2;
        cluster_node_kill(&lw.w.nodes[victim], at & 4);
        cluster_run(&lw.w, 100 * CLUSTER_MS);
        log_start(victim);
        log_run_until_all_serve(20 * CLUSTER_S);
        log_run_until_even(60 * CLUSTER_S);
        ck_assert(log_has_keyspace(3, "ks7"));
        installed += lw.w.installs > 0;
        log_world_end();
    }
    ck_assert_uint_eq(installed, 40);
}
END_TEST

/* What waits for its place in the log when that is passed over: it was put to nobody, so it never
 * happens; the client is told to look anew. */
START_TEST(a_change_whose_place_is_passed_over)
{
    begin_keeping(3, 2);
    log_isolate(2, true);
    struct log_change *c = log_create(2, "zoo");
    cluster_run(&lw.w, 100 * CLUSTER_MS);
    create_many(6);
    ck_assert(!c->done);
    log_isolate(2, false);
    log_run_until_done(c);
    expect(c, BASE_E_STALE);
    ck_assert_uint_eq(lw.w.installs, 1);
    cluster_run(&lw.w, 5 * CLUSTER_S);
    ck_assert(!log_has_keyspace(0, "zoo"));
    log_world_end();
}
END_TEST

static void reply_damaged(struct repl_transport *transport, struct repl_inbound *in,
                          const struct base_message *message)
{
    struct base_message bent = *message;
    uint8_t *body = malloc(message->body.len + 1);
    if (message->body.len)
        memcpy(body, message->body.data, message->body.len);
    if (message->verb == REPL_VERB_META_FETCH && message->body.len > 100 && body[0] == 1)
        body[message->body.len - 1] ^= 1;
    bent.body.data = body;
    cluster_transport_ops.reply(transport, in, &bent);
    free(body);
}

/* Damage ends in pauses that grow, not in questions without end; and in the state, when somebody
 * has a sound one. */
START_TEST(damaged_checkpoints)
{
    struct repl_transport_ops ops = cluster_transport_ops;
    ops.reply = reply_damaged;
    begin_keeping(4, 3);
    cluster_node_kill(&lw.w.nodes[3], false);
    create_many(8);
    for (size_t i = 0; i < 3; i++)
        lw.w.nodes[i].transport.ops = &ops;
    log_start(3);
    cluster_run(&lw.w, 60 * CLUSTER_S);
    ck_assert_uint_eq(lw.w.installs, 0);
    uint64_t asked = repl_get_stats(lw.w.nodes[3].repl)->metadata_fetches;
    ck_assert_uint_ge(asked, 12);
    ck_assert_uint_le(asked, 200);
    lw.w.nodes[1].transport.ops = &cluster_transport_ops;
    log_run_until_even(60 * CLUSTER_S);
    ck_assert(log_has_keyspace(3, "ks7"));
    log_world_end();
}
END_TEST

START_TEST(pieces_are_checked)
{
    struct rng rng = rng_seeded(5);
    struct repli_checkpoint served;
    struct repli_incoming incoming;
    struct base_schema *schema;
    struct ring_state *ring;
    struct base_err err;
    struct base_buf body;
    static const struct base_uuid any;
    struct base_uuid other = {{9}};
    begin(3);
    struct repl *repl = lw.w.nodes[0].repl;
    base_buf_init(&body, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        enum repli_piece piece = REPLI_PIECE_MORE;
        bool bent = false;
        repli_checkpoint_open(&served);
        repli_incoming_init(&incoming);
        repli_event_begin(repl);
        served.forget.fired = repl->metadata->learner.checkpoint.forget.fired;
        while (piece == REPLI_PIECE_MORE && !bent) {
            base_buf_reset(&body);
            ck_assert_int_eq(repli_checkpoint_put(repl, &served, 0, incoming.epoch,
                                                  incoming.bytes.len, 1 + rng_below(&rng, 200),
                                                  &body),
                             BASE_OK);
            bent = rng_one_in(&rng, 4);
            if (bent && rng_one_in(&rng, 2))
                body.len = rng_below(&rng, body.len);
            else if (bent)
                body.data[rng_below(&rng, body.len)] ^= (uint8_t)(1 + rng_below(&rng, 255));
            struct base_reader in = base_reader(base_buf_view(&body));
            piece = repli_incoming_take(&incoming, &in);
            ck_assert_uint_le(incoming.bytes.len, served.bytes.len);
        }
        if (bent)
            ck_assert_int_ne(piece, REPLI_PIECE_WHOLE);
        if (piece == REPLI_PIECE_WHOLE) {
            ck_ok(repli_incoming_decode(&incoming, any, &schema, &ring, &err), err);
            ck_assert_uint_eq(schema->epoch, log_epoch(0));
            base_schema_release(schema);
            ring_state_release(ring);
            ck_fails(repli_incoming_decode(&incoming, other, &schema, &ring, &err), BASE_E_INVALID,
                     err);
            incoming.epoch++;
            ck_fails(repli_incoming_decode(&incoming, any, &schema, &ring, &err), BASE_E_CORRUPT,
                     err);
        }
        repli_checkpoint_close(repl, &served);
        repli_event_end(repl);
        base_buf_fini(&incoming.bytes);
    }
    base_buf_fini(&body);
    log_world_end();
}
END_TEST

START_TEST(all_restart_at_once)
{
    begin(3);
    log_run_until_done(log_create(1, "zoo"));
    for (size_t i = 0; i < 3; i++)
        cluster_node_kill(&lw.w.nodes[i], i & 1);
    log_start_all();
    log_run_until_all_serve(2 * CLUSTER_S);
    log_run_until_even(10 * CLUSTER_S);
    for (size_t i = 0; i < 3; i++)
        ck_assert(log_has_keyspace(i, "zoo"));
    struct log_change *c = log_create(2, "ark");
    log_run_until_done(c);
    expect(c, BASE_OK);
    log_world_end();
}
END_TEST

/* The proposer dies at every moment of its proposal: another completes what was accepted, or
 * nothing happened. */
START_TEST(a_proposer_that_dies)
{
    unsigned happened = 0, not = 0;
    for (uint64_t at = 0; at < 60; at++) {
        begin(3);
        uint64_t epoch = log_epoch(0);
        struct log_change *c = log_create(0, "zoo");
        cluster_run(&lw.w, at * CLUSTER_MS / 8);
        bool acknowledged = c->done && c->change.outcome.rc == BASE_OK;
        c->done = false; /* it ends with its process, or has ended */
        cluster_node_kill(&lw.w.nodes[0], at & 1);
        struct log_change *d = log_create(1, "ark");
        log_run_until_done(d);
        if (d->change.outcome.rc == BASE_E_STALE) {
            ck_assert_uint_eq(log_epoch(1), epoch + 1);
            ck_assert(log_has_keyspace(1, "zoo")); /* completed for the dead */
            happened++;
            d = log_create(1, "ark");
            log_run_until_done(d);
        }
        expect(d, BASE_OK);
        bool there = log_has_keyspace(1, "zoo");
        not += !there;
        ck_assert(there || !acknowledged);
        log_start(0);
        log_run_until_even(20 * CLUSTER_S);
        ck_assert(log_has_keyspace(0, "zoo") == there && log_has_keyspace(2, "zoo") == there);
        log_world_end();
    }
    ck_assert_uint_gt(happened, 0);
    ck_assert_uint_gt(not, 0);
}
END_TEST

START_TEST(a_stale_change_is_told_at_once)
{
    begin(3);
    struct base_change old =
        make_create_keyspace(&lw.arena, repl_schema(lw.w.nodes[0].repl), "zoo");
    log_run_until_done(log_create(0, "ark"));
    struct log_change *c = log_change(0, &old);
    ck_assert(c->done);
    expect(c, BASE_E_STALE);
    log_world_end();
}
END_TEST

/* One node's catalog fails: a vote, or an entry. The others go on; it says why it does not, and is
 * whole after a restart. */
static enum repl_meta_kind failing;
static enum repl_answer fail_some(struct repl_meta *meta, struct repl_meta_op *op)
{
    if (op->kind != failing)
        return cluster_meta_ops.submit(meta, op);
    op->rc = base_err_set(&op->err, BASE_E_IO, "the disk says no");
    return REPL_DONE;
}

START_TEST(a_catalog_that_fails)
{
    static const struct repl_meta_ops ops = {fail_some};
    static const enum repl_meta_kind kinds[] = {REPL_META_PUT, REPL_META_APPEND};
    for (size_t k = 0; k < BASE_COUNT(kinds); k++) {
        begin(3);
        failing = kinds[k];
        struct repl_meta_ops const *good = lw.w.nodes[1].meta_port.ops;
        lw.w.nodes[1].meta_port.ops = &ops;
        struct log_change *c = log_create(0, "zoo");
        log_run_until_done(c);
        expect(c, BASE_OK);
        cluster_run(&lw.w, CLUSTER_S);
        ck_assert(log_has_keyspace(2, "zoo"));
        ck_assert(log_has_keyspace(1, "zoo") == (failing != REPL_META_APPEND));
        c = log_create(1, "ark");
        log_run_until_done(c);
        if (failing == REPL_META_APPEND) {
            expect(c, BASE_E_STOPPED);
            ck_assert_ptr_nonnull(strstr(c->change.outcome.err.text, "the disk says no"));
        } else {
            expect(c, BASE_OK); /* it votes no more, but may propose */
        }
        cluster_node_kill(&lw.w.nodes[1], false);
        lw.w.nodes[1].meta_port.ops = good;
        log_start(1);
        log_run_until_even(20 * CLUSTER_S);
        ck_assert(log_has_keyspace(1, "zoo"));
        log_world_end();
    }
}
END_TEST

/* … and taking a checkpoint over. */
START_TEST(a_checkpoint_that_cannot_be_made_durable)
{
    static const struct repl_meta_ops ops = {fail_some};
    begin_keeping(4, 2);
    cluster_node_kill(&lw.w.nodes[3], false);
    create_many(6);
    failing = REPL_META_INSTALL;
    const struct repl_meta_ops *good = lw.w.nodes[3].meta_port.ops;
    lw.w.nodes[3].meta_port.ops = &ops;
    log_start(3);
    cluster_run(&lw.w, 10 * CLUSTER_S);
    ck_assert(!log_has_keyspace(3, "ks5"));
    struct log_change *c = log_create(3, "zoo");
    log_run_until_done(c);
    expect(c, BASE_E_STOPPED);
    ck_assert_ptr_nonnull(strstr(c->change.outcome.err.text, "the disk says no"));
    cluster_node_kill(&lw.w.nodes[3], false);
    lw.w.nodes[3].meta_port.ops = good;
    log_start(3);
    log_run_until_even(20 * CLUSTER_S);
    ck_assert(log_has_keyspace(3, "ks5"));
    log_world_end();
}
END_TEST

/* A vote is durable before it is told: the power goes right after. With 2 of 3 voters that is every
 * vote of a change. */
START_TEST(power_goes_at_every_moment)
{
    for (uint64_t at = 0; at < 80; at++) {
        begin(3);
        struct log_change *c = log_create(0, "zoo");
        cluster_run(&lw.w, at * CLUSTER_MS / 8);
        bool acknowledged = c->done && c->change.outcome.rc == BASE_OK;
        c->done = false;
        for (size_t i = 0; i < 3; i++)
            cluster_node_kill(&lw.w.nodes[i], true);
        for (size_t i = 1; i < 3; i++)
            log_start(i); /* not the proposer */
        log_run_until_all_serve(5 * CLUSTER_S);
        struct log_change *d = log_create(1 + at % 2, "ark");
        log_run_until_done(d);
        ck_assert(d->change.outcome.rc == BASE_OK || d->change.outcome.rc == BASE_E_STALE);
        ck_assert(!acknowledged || log_has_keyspace(1 + at % 2, "zoo"));
        log_start(0);
        log_run_until_even(20 * CLUSTER_S);
        log_world_end();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metadata log");
    TCase *t = tcase_create("agreement");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_change_reaches_all);
    tcase_add_test(t, two_that_create_the_same_get_one_and_one_error);
    tcase_add_test(t, a_minority_changes_nothing_and_says_so);
    tcase_add_test(t, who_was_cut_off_catches_up);
    tcase_add_test(t, who_is_behind_the_cut_takes_a_checkpoint);
    tcase_add_test(t, a_checkpoint_that_is_cut_short);
    tcase_add_test(t, a_change_whose_place_is_passed_over);
    tcase_add_test(t, damaged_checkpoints);
    tcase_add_test(t, pieces_are_checked);
    tcase_add_test(t, all_restart_at_once);
    tcase_add_test(t, a_proposer_that_dies);
    tcase_add_test(t, a_stale_change_is_told_at_once);
    tcase_add_test(t, a_catalog_that_fails);
    tcase_add_test(t, a_checkpoint_that_cannot_be_made_durable);
    tcase_add_test(t, power_goes_at_every_moment);
    suite_add_tcase(s, t);
    return ck_main(s);
}
