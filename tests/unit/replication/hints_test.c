/* Hints and the batchlog over the simulated cluster. What breaks without it: a replica that misses
 * a write for good, a hint that comes back from the dead (expired, truncated), a batch that is seen
 * by half. */
#include "tests/unit/replication/write_lib.h"

static void begin(const struct wt_options *o, unsigned started)
{
    wt_init(o);
    for (size_t i = 0; i < started; i++)
        wt_start(i);
    wt_settle();
}

static uint64_t hints_for(size_t at, size_t target)
{
    struct repl_peer_info info;
    int member = ring_member_find(repl_ring(w.nodes[at].repl), w.nodes[target].host_id);
    repl_peer_get(w.nodes[at].repl, (size_t)member, &info);
    return info.hint_count;
}

static void put_many(size_t node, int from, int n, int level)
{
    for (int k = from; k < from + n; k++)
        ck_assert_msg(wt_put(node, k, 1, "x", level) == BASE_OK, "%s", wt_outcome.err.text);
    cluster_run(&w, 100 * CLUSTER_MS);
}

static int count_rows(size_t node, int from, int n)
{
    int there = 0;
    for (int k = from; k < from + n; k++)
        there += wt_get(node, k, 1)[0] != 0;
    return there;
}

/* Which hints are made. */

static void short_window(struct cluster_options *o)
{
    o->config.max_hint_window_ns = 30 * CLUSTER_S;
}

START_TEST(window)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3, .tune = short_window}, 3);
    cluster_node_kill(&w.nodes[2], false);
    wt_settle();
    put_many(0, 0, 3, REPL_CL_QUORUM);
    ck_assert_uint_eq(wt_stats(0)->hints_created, 3);
    cluster_run(&w, 31 * CLUSTER_S);
    put_many(0, 3, 3, REPL_CL_QUORUM);
    ck_assert_uint_eq(wt_stats(0)->hints_created, 3);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 3), 3);
    ck_assert_int_eq(count_rows(2, 3, 3), 0);
    wt_end();
}
END_TEST

static void little_room(struct cluster_options *o)
{
    o->config.hints_size_max = 1000;
}

START_TEST(room)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3, .tune = little_room}, 2);
    put_many(0, 0, 50, REPL_CL_QUORUM);
    ck_assert_uint_gt(wt_stats(0)->hints_created, 3);
    ck_assert_uint_lt(wt_stats(0)->hints_created, 20);
    ck_assert_uint_le(wt_stats(0)->hints_bytes, 1000);
    uint64_t created = wt_stats(0)->hints_created;
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 50), (int)created);
    ck_assert_uint_eq(wt_stats(0)->hints_bytes, 0); /* and there is room again */
    cluster_node_kill(&w.nodes[2], false);
    wt_settle();
    put_many(0, 50, 1, REPL_CL_QUORUM);
    ck_assert_uint_eq(wt_stats(0)->hints_created, created + 1);
    wt_end();
}
END_TEST

static void no_handoff(struct cluster_options *o)
{
    o->config.hinted_handoff_enabled = false;
}

START_TEST(off)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3, .tune = no_handoff}, 2);
    put_many(0, 0, 3, REPL_CL_ANY);
    ck_assert_uint_eq(wt_stats(0)->hints_created, 0);
    ck_assert(!repl_hints_enabled(w.nodes[0].repl));
    wt_end();
}
END_TEST

/* ANY is met by a hint that is kept, and only by that. */
START_TEST(any_by_a_hint)
{
    size_t owner = 0;
    int k = 0;
    begin(&(struct wt_options){.nodes = 2, .rf = 1, .gc_grace_s = _i ? -1 : 0}, 1);
    while (owner != 1)
        ck_assert_uint_eq(wt_owners(0, ++k, &owner), 1);
    ck_assert_int_eq(wt_put(0, k, 1, "x", REPL_CL_ONE), BASE_E_UNAVAILABLE);
    int rc = wt_put(0, k, 1, "x", REPL_CL_ANY);
    if (_i) { /* gc_grace 0: nothing may be kept */
        ck_assert_int_ne(rc, BASE_OK);
        ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 0);
    } else {
        ck_assert_int_eq(rc, BASE_OK);
        ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 1); /* before anything else happened */
        wt_start(1);
        wt_settle();
        cluster_run(&w, 5 * CLUSTER_S);
        ck_assert_str_eq(wt_get(1, k, 1), "x");
    }
    wt_end();
}
END_TEST

/* Which are handed over. */

START_TEST(expiry)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3, .gc_grace_s = 40}, 2);
    put_many(0, 0, 5, REPL_CL_QUORUM);
    ck_assert_uint_eq(hints_for(0, 2), 5);
    cluster_run(&w, 150 * CLUSTER_S);
    ck_assert_uint_eq(hints_for(0, 2), 0); /* found gone, though it never came */
    ck_assert_uint_eq(wt_stats(0)->hints_bytes, 0);
    put_many(0, 5, 5, REPL_CL_QUORUM);
    ck_assert_uint_eq(hints_for(0, 2), 5);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 5), 0);
    ck_assert_int_eq(count_rows(2, 5, 5), 5);
    wt_end();
}
END_TEST

static void change_done(struct repl_change *change)
{
    *(bool *)change->ctx = true;
}

static bool flag_is_set(struct cluster_world *world, void *ctx)
{
    (void)world;
    return *(bool *)ctx;
}

static void change_schema(size_t node, struct base_change *change)
{
    bool done = false;
    struct repl *repl = w.nodes[node].repl;
    change->expected_epoch = repl_epoch(repl);
    struct repl_change c = {.change = change, .done = change_done, .ctx = &done};
    cluster_node_sync_clock(&w.nodes[node]);
    repl_change_start(repl, &c);
    ck_assert(cluster_run_until(&w, flag_is_set, &done, 30 * CLUSTER_S));
    ck_assert_msg(c.outcome.rc == BASE_OK, "%s", c.outcome.err.text);
}

START_TEST(truncated_and_dropped)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3}, 2);
    put_many(0, 0, 5, REPL_CL_QUORUM);
    struct base_change change = {.kind = _i ? BASE_CHANGE_TABLE_DROP : BASE_CHANGE_TABLE_TRUNCATE,
                                 .keyspace = wt_table->keyspace,
                                 .name = wt_table->name,
                                 .table_id = wt_table->id,
                                 .time_us = cluster_node_timestamp(&w.nodes[0])};
    change_schema(0, &change);
    if (!_i)
        put_many(0, 5, 5, REPL_CL_QUORUM);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_uint_eq(wt_stats(0)->hints_expired, 5);
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 0);
    ck_assert_uint_eq(wt_stats(0)->hints_dispatched, _i ? 0 : 5);
    if (!_i) {
        ck_assert_int_eq(count_rows(2, 0, 5), 0);
        ck_assert_int_eq(count_rows(2, 5, 5), 5);
    }
    wt_end();
}
END_TEST

/* What is written with a later timestamp than the truncation's stays, although the hint was kept at
 * an earlier time by its keeper's clock (found by tests/sim/cluster_sim). */
START_TEST(truncated_by_another_clock)
{
    struct wt_write t;
    begin(&(struct wt_options){.nodes = 3, .rf = 3}, 2);
    sim_clock_jump_wall(&w.nodes[1].clock, 10000000);
    wt_write_init(&t, REPL_CL_QUORUM);
    wt_add(&t, 1, 0, 1, "x", 0);
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_OK);
    wt_write_fini(&t);
    struct base_change change = {.kind = BASE_CHANGE_TABLE_TRUNCATE,
                                 .keyspace = wt_table->keyspace,
                                 .name = wt_table->name,
                                 .table_id = wt_table->id,
                                 .time_us = cluster_node_timestamp(&w.nodes[0]) + 5000000};
    change_schema(0, &change);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 1), 1);
    wt_end();
}
END_TEST

/* Hints that were handed over and could not be deleted then are deleted later (found by
 * tests/sim/cluster_sim). */
START_TEST(deletion_fails_for_a_while)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3}, 2);
    put_many(0, 0, 5, REPL_CL_QUORUM);
    sim_fs_fail(w.nodes[0].fs, SIM_FS_WRITE, 0, UINT64_MAX, BASE_E_NOSPACE);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 5), 5);
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 5);
    ck_assert_uint_eq(hints_for(0, 2), 5);
    sim_fs_clear_faults(w.nodes[0].fs);
    cluster_run(&w, 120 * CLUSTER_S);
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 0);
    ck_assert_uint_eq(hints_for(0, 2), 0);
    wt_end();
}
END_TEST

START_TEST(paused_resumed_truncated)
{
    begin(&(struct wt_options){.nodes = 3, .rf = 3}, 2);
    put_many(0, 0, 5, REPL_CL_QUORUM);
    repl_hints_pause(w.nodes[0].repl, true);
    ck_assert(repl_hints_paused(w.nodes[0].repl));
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 5), 0);
    cluster_node_sync_clock(&w.nodes[0]);
    repl_hints_pause(w.nodes[0].repl, false);
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 5), 5);
    cluster_node_kill(&w.nodes[2], false);
    wt_settle();
    put_many(0, 5, 5, REPL_CL_QUORUM);
    ck_assert_uint_eq(hints_for(0, 2), 5);
    cluster_node_sync_clock(&w.nodes[0]);
    repl_hints_truncate(w.nodes[0].repl, _i ? w.nodes[2].host_id : (struct base_uuid){{0}});
    cluster_run(&w, 1 * CLUSTER_S);
    ck_assert_uint_eq(hints_for(0, 2), 0);
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 0);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 5, 5), 0);
    wt_end();
}
END_TEST

static void slow_dispatch(struct cluster_options *o)
{
    o->config.hint_dispatch_bytes_s = 20000;
    o->loss_permille = 20;
}

static char large[2001];

/* The coordinator crashes, the target crashes, messages are lost, while there is much to hand over,
 * and new hints come: in the end all is there, and nothing is kept. */
START_TEST(crashes_on_the_way)
{
    begin(
        &(struct wt_options){.nodes = 3, .rf = 3, .tune = slow_dispatch, .seed = (uint64_t)_i + 1},
        2);
    memset(large, 'l', sizeof large - 1);
    for (int k = 0; k < 120; k++)
        while (wt_put(0, k, 1, large, REPL_CL_ONE) != BASE_OK)
            continue;
    cluster_run(&w, 3 * CLUSTER_S);
    wt_start(2);
    wt_settle();
    cluster_run(&w, (2 + (uint64_t)_i) * CLUSTER_S);
    int some = count_rows(2, 0, 120);
    ck_assert_int_lt(some, 120);
    cluster_node_kill(&w.nodes[0], _i % 2);
    cluster_run(&w, 1 * CLUSTER_S);
    wt_start(0);
    wt_settle();
    cluster_run(&w, 2 * CLUSTER_S);
    cluster_node_kill(&w.nodes[2], _i % 2);
    wt_settle();
    for (int k = 120; k < 140; k++)
        while (wt_put(0, k, 1, large, REPL_CL_ONE) != BASE_OK)
            continue;
    wt_start(2);
    cluster_run(&w, 200 * CLUSTER_S);
    ck_assert_int_eq(count_rows(2, 0, 140), 140);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(wt_count(i, repl_hints_table_id), 0);
        ck_assert_uint_eq(wt_stats(i)->hints_bytes, 0);
    }
    wt_end();
}
END_TEST

/* A guest's. */

START_TEST(guest_has_its_hints_kept)
{
    begin(&(struct wt_options){.nodes = 3, .guests = 1, .rf = 3}, 2);
    wt_start(3);
    wt_settle();
    ck_assert_msg(wt_put(3, 1, 1, "x", REPL_CL_QUORUM) == BASE_OK, "%s", wt_outcome.err.text);
    /* when it was answered */
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id) + wt_count(1, repl_hints_table_id), 1);
    cluster_node_kill(&w.nodes[3], false);
    wt_start(2);
    wt_settle();
    cluster_run(&w, 10 * CLUSTER_S);
    ck_assert_str_eq(wt_get(2, 1, 1), "x");
    wt_end();
}
END_TEST

/* Hints are asked for and never arrive. */
static int send_no_hints(struct repl_transport *transport, struct base_slice address,
                         struct base_uuid to, enum repl_lane lane,
                         const struct base_message *message)
{
    return message->verb == REPL_VERB_HINT
               ? BASE_OK
               : cluster_transport_ops.send(transport, address, to, lane, message);
}

static void always_refused(struct cluster_options *o)
{
    o->refused_percent = 100;
}

/* A replica turns out to be dead while the write is under way, and nobody keeps its hint: the
 * level is met, and the client has its answer when the write's time is over, not after one time
 * more for each keeper. */
START_TEST(guest_waits_no_longer_than_the_write_may_take)
{
    struct repl_transport_ops ops = cluster_transport_ops;
    ops.send = send_no_hints;
    begin(&(struct wt_options){.nodes = 4, .guests = 1, .rf = 3, .tune = always_refused}, 4);
    wt_start(4);
    wt_settle();
    size_t owners[4];
    ck_assert_uint_eq(wt_owners(0, 1, owners), 3);
    cluster_node_kill(&w.nodes[owners[2]], false);
    w.nodes[4].transport.ops = &ops;
    uint64_t from = w.now_ns;
    ck_assert_msg(wt_put(4, 1, 1, "x", REPL_CL_QUORUM) == BASE_OK, "%s", wt_outcome.err.text);
    uint64_t limit = w.options.config.write_timeout_ns;
    ck_assert_uint_ge(w.now_ns - from, limit / 2); /* it did wait for the hint */
    ck_assert_uint_le(w.now_ns - from, limit + 100 * CLUSTER_MS);
    wt_end();
}
END_TEST

/* The batchlog. */

static void add_batch(struct wt_write *t, size_t node, int from, int n)
{
    wt_write_init(t, REPL_CL_QUORUM);
    t->write.logged = true;
    int64_t ts = cluster_node_timestamp(&w.nodes[node]);
    for (int k = from; k < from + n; k++)
        wt_add(t, node, k, 1, "x", ts);
}

/* How many of its partitions each owner that runs has; -1: they do not agree. */
static int batch_seen(int from, int n, size_t without)
{
    int seen = 0;
    size_t any = without == 0 ? 1 : 0;
    for (int k = from; k < from + n; k++) {
        size_t owners[8], count = wt_owners(any, k, owners);
        int there = 0, asked = 0;
        for (size_t i = 0; i < count; i++) {
            if (owners[i] == without)
                continue;
            asked++;
            there += wt_get(owners[i], k, 1)[0] != 0;
        }
        if (there != 0 && there != asked)
            return -1;
        seen += there > 0;
    }
    return seen;
}

START_TEST(batch_is_logged_and_forgotten)
{
    struct wt_write t;
    begin(&(struct wt_options){.nodes = 4, .rf = 2}, 4);
    add_batch(&t, 0, 0, 10);
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_OK);
    ck_assert_int_eq(wt_outcome.write_type, REPL_WRITE_BATCH);
    wt_write_fini(&t);
    ck_assert_uint_eq(w.net.by_verb[REPL_VERB_BATCH], 4); /* two, and their replies */
    cluster_run(&w, 1 * CLUSTER_S);
    ck_assert_uint_eq(w.net.by_verb[REPL_VERB_BATCH_DONE], 2);
    ck_assert_int_eq(batch_seen(0, 10, 99), 10);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(wt_count(i, repl_batches_table_id), 0);
    cluster_run(&w, 20 * CLUSTER_S);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(wt_stats(i)->batches_replayed, 0);
    add_batch(&t, 0, 0, 1); /* one partition needs no log */
    wt_add(&t, 0, 0, 2, "y", 0);
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_OK);
    ck_assert_uint_eq(w.net.by_verb[REPL_VERB_BATCH], 4);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

/* The coordinator dies after each 150 µs of its batch: all of it is seen in the end, or nothing. */
START_TEST(coordinator_dies)
{
    bool whole_seen = false, replayed = false, done_first = false;
    for (uint64_t step = 0; step < 24; step++) {
        struct wt_write t;
        begin(&(struct wt_options){.nodes = 4, .rf = 2, .seed = 100 * (uint64_t)_i + step + 1}, 4);
        if (step == 23) /* its messages reach nobody in time */
            wt_isolate(0, true);
        add_batch(&t, 0, 0, 8);
        wt_begin(&t, 0);
        cluster_run(&w, step * 150000);
        bool acked = t.done && t.write.outcome.rc == BASE_OK;
        cluster_node_kill(&w.nodes[0], _i % 2);
        cluster_run(&w, 30 * CLUSTER_S);
        wt_isolate(0, false);
        int seen = batch_seen(0, 8, 0);
        ck_assert_msg(seen == 0 || seen == 8, "step %d: %d of 8 partitions are there", (int)step,
                      seen);
        ck_assert(!acked || seen == 8);
        uint64_t replays = wt_stats(1)->batches_replayed + wt_stats(2)->batches_replayed +
                           wt_stats(3)->batches_replayed;
        whole_seen |= seen == 8;
        replayed |= replays > 0;
        done_first |= replays == 0;
        for (size_t i = 1; i < 4; i++)
            ck_assert_uint_eq(wt_count(i, repl_batches_table_id), 0);
        wt_start(0); /* and it gets what it missed */
        cluster_run(&w, 30 * CLUSTER_S);
        ck_assert_int_eq(batch_seen(0, 8, 99), seen);
        wt_write_fini(&t);
        wt_end();
    }
    ck_assert(whole_seen && replayed && done_first);
}
END_TEST

/* A keeper that crashes has it still. */
START_TEST(keeper_restarts)
{
    struct wt_write t;
    begin(&(struct wt_options){.nodes = 4, .rf = 2}, 4);
    add_batch(&t, 0, 0, 8);
    wt_begin(&t, 0);
    for (int i = 0;
         i < 1000 && wt_count(1, repl_batches_table_id) + wt_count(2, repl_batches_table_id) +
                             wt_count(3, repl_batches_table_id) <
                         2;
         i++)
        cluster_run(&w, 20000);
    for (size_t i = 0; i < 4; i++)
        cluster_node_kill(&w.nodes[i], true);
    for (size_t i = 1; i < 4; i++)
        wt_start(i);
    cluster_run(&w, 40 * CLUSTER_S);
    ck_assert_int_eq(batch_seen(0, 8, 0), 8);
    for (size_t i = 1; i < 4; i++)
        ck_assert_uint_eq(wt_count(i, repl_batches_table_id), 0);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

/* A keeper that cannot be reached is replaced; one that does not answer is not: it may have it. */
START_TEST(keeper_is_gone)
{
    struct wt_write t;
    begin(&(struct wt_options){.nodes = 3, .rf = 3}, 3);
    if (_i)
        wt_isolate(2, true);
    else
        cluster_node_kill(&w.nodes[2], false); /* its port is closed: nobody knows yet */
    w.options.refused_percent = 100;
    add_batch(&t, 0, 0, 8);
    wt_begin(&t, 0);
    int rc = wt_finish(&t);
    if (_i) {
        ck_assert_int_eq(rc, BASE_E_TIMEOUT);
        ck_assert_int_eq(wt_outcome.write_type, REPL_WRITE_BATCH_LOG);
        ck_assert(strstr(wt_outcome.err.text, "nothing was sent to replicas"));
        ck_assert_int_eq(batch_seen(0, 8, 99), 0);
        cluster_run(&w, 15 * CLUSTER_S); /* the one that has it replays it */
        ck_assert_int_eq(batch_seen(0, 8, 2), 8);
    } else {
        ck_assert_msg(rc == BASE_OK, "%s", wt_outcome.err.text);
        ck_assert_int_eq(batch_seen(0, 8, 2), 8);
        cluster_run(&w, 15 * CLUSTER_S);
        for (size_t i = 0; i < 2; i++)
            ck_assert_uint_eq(wt_count(i, repl_batches_table_id), 0);
    }
    wt_write_fini(&t);
    wt_end();
}
END_TEST

static void small_batches(struct cluster_options *o)
{
    o->config.batch_size_max = 1000;
}

START_TEST(batch_size)
{
    struct wt_write t;
    begin(&(struct wt_options){.nodes = 3, .rf = 3, .tune = small_batches}, 3);
    add_batch(&t, 0, 0, 50);
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_E_INVALID);
    ck_assert(strstr(wt_outcome.err.text, "batch_size_max"));
    ck_assert_uint_eq(w.net.by_verb[REPL_VERB_BATCH], 0);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hints");
    TCase *tcase = tcase_create("hints");
    tcase_add_test(tcase, window);
    tcase_add_test(tcase, room);
    tcase_add_test(tcase, off);
    tcase_add_loop_test(tcase, any_by_a_hint, 0, 2);
    tcase_add_test(tcase, expiry);
    tcase_add_loop_test(tcase, truncated_and_dropped, 0, 2);
    tcase_add_test(tcase, truncated_by_another_clock);
    tcase_add_test(tcase, deletion_fails_for_a_while);
    tcase_add_loop_test(tcase, paused_resumed_truncated, 0, 2);
    tcase_add_loop_test(tcase, crashes_on_the_way, 0, 4);
    tcase_add_test(tcase, guest_has_its_hints_kept);
    tcase_add_test(tcase, guest_waits_no_longer_than_the_write_may_take);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("batchlog");
    tcase_add_test(tcase, batch_is_logged_and_forgotten);
    tcase_add_loop_test(tcase, coordinator_dies, 0, 4);
    tcase_add_test(tcase, keeper_restarts);
    tcase_add_loop_test(tcase, keeper_is_gone, 0, 2);
    tcase_add_test(tcase, batch_size);
    suite_add_tcase(suite, tcase);
    return ck_main(suite);
}
