/* The coordinator and the replicas of writes, over the simulated cluster. What breaks without it: a
 * level that is reported and was not met, one outcome told as another, a replica that misses a
 * write for good. */
#include "tests/unit/replication/write_lib.h"

static void begin(unsigned nodes, unsigned rf, unsigned started)
{
    wt_init(&(struct wt_options){.nodes = nodes, .rf = rf});
    for (size_t i = 0; i < started; i++)
        wt_start(i);
    wt_settle();
}

/* Every level with every number of dead replicas, of three. */
START_TEST(every_level)
{
    static const struct {
        int level;
        unsigned required;
    } levels[] = {
        {REPL_CL_ANY, 0},         {REPL_CL_ONE, 1},    {REPL_CL_LOCAL_ONE, 1},
        {REPL_CL_TWO, 2},         {REPL_CL_QUORUM, 2}, {REPL_CL_LOCAL_QUORUM, 2},
        {REPL_CL_EACH_QUORUM, 2}, {REPL_CL_THREE, 3},  {REPL_CL_ALL, 3},
    };
    unsigned alive = (unsigned)_i + 1;
    begin(3, 3, alive);
    for (size_t i = 0; i < BASE_COUNT(levels); i++) {
        uint64_t hints = wt_stats(0)->hints_created;
        int k = (int)i, rc = wt_put(0, k, 1, "x", levels[i].level);
        cluster_run(&w, 200 * CLUSTER_MS);
        if (levels[i].required <= alive) {
            ck_assert_msg(rc == BASE_OK, "level %d, %u alive: %s", levels[i].level, alive,
                          wt_outcome.err.text);
            for (size_t j = 0; j < alive; j++)
                ck_assert_str_eq(wt_get(j, k, 1), "x");
            ck_assert_uint_eq(wt_stats(0)->hints_created - hints, 3 - alive);
        } else {
            ck_assert_int_eq(rc, BASE_E_UNAVAILABLE);
            ck_assert_uint_eq(wt_outcome.required, levels[i].required);
            ck_assert_uint_eq(wt_outcome.alive, alive);
            for (size_t j = 0; j < alive; j++)
                ck_assert_str_eq(wt_get(j, k, 1), "");
            ck_assert_uint_eq(wt_stats(0)->hints_created, hints);
        }
    }
    wt_end();
}
END_TEST

static bool has_all(struct cluster_world *world, void *ctx)
{
    (void)world;
    for (int k = 0; k < 20; k++)
        if (strcmp(wt_get(2, k, 1), "x") != 0)
            return false;
    return wt_count(0, repl_hints_table_id) == 0 && *(size_t *)ctx == 2;
}

START_TEST(hints_are_handed_over)
{
    begin(3, 3, 2);
    for (int k = 0; k < 20; k++)
        ck_assert_int_eq(wt_put(0, k, 1, "x", REPL_CL_QUORUM), BASE_OK);
    cluster_run(&w, 100 * CLUSTER_MS);
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 20);
    ck_assert_uint_eq(wt_count(1, repl_hints_table_id), 0);
    wt_start(2);
    size_t who = 2;
    ck_assert(cluster_run_until(&w, has_all, &who, 30 * CLUSTER_S));
    cluster_run(&w, 5 * CLUSTER_S);
    ck_assert_uint_eq(wt_stats(0)->hints_dispatched, 20);
    ck_assert_uint_eq(wt_stats(0)->hints_bytes, 0);
    wt_end();
}
END_TEST

/* Outcomes. */

START_TEST(timeout_says_what_it_knows_and_the_hint_follows)
{
    begin(3, 3, 3);
    wt_isolate(1, true);
    wt_isolate(2, true); /* they are still thought alive */
    uint64_t from = w.now_ns;
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_QUORUM), BASE_E_TIMEOUT);
    ck_assert_uint_ge(w.now_ns - from, 1990 * CLUSTER_MS);
    ck_assert_uint_le(w.now_ns - from, 2100 * CLUSTER_MS);
    ck_assert_uint_eq(wt_outcome.required, 2);
    ck_assert_uint_eq(wt_outcome.received, 1);
    ck_assert_uint_eq(wt_outcome.alive, 3);
    ck_assert_uint_eq(wt_outcome.failures, 0);
    ck_assert(wt_outcome.repeat_safe && wt_outcome.write_type == REPL_WRITE_SIMPLE);
    ck_assert(strstr(wt_outcome.err.text, "may still take effect"));
    ck_assert_uint_eq(wt_stats(0)->write_timeouts, 1);
    cluster_run(&w, 200 * CLUSTER_MS);
    ck_assert_str_eq(wt_get(0, 1, 1), "x");
    ck_assert_uint_eq(wt_stats(0)->hints_created, 2);
    cluster_heal_links(&w);
    wt_settle();
    cluster_run(&w, 20 * CLUSTER_S);
    ck_assert_str_eq(wt_get(1, 1, 1), "x");
    ck_assert_str_eq(wt_get(2, 1, 1), "x");
    ck_assert_uint_eq(wt_count(0, repl_hints_table_id), 0);
    wt_end();
}
END_TEST

/* A replica that is not reached does not hold up a level that is met without it, and has its
 * hint. */
START_TEST(late_replica_is_hinted_after_the_answer)
{
    begin(3, 3, 3);
    wt_isolate(2, true);
    uint64_t from = w.now_ns;
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_QUORUM), BASE_OK);
    ck_assert_uint_le(w.now_ns - from, 100 * CLUSTER_MS);
    ck_assert_uint_eq(wt_stats(0)->hints_created, 0);
    ck_assert_uint_eq(wt_stats(0)->requests_in_flight, 1); /* its bytes wait for the third */
    cluster_run(&w, 2500 * CLUSTER_MS);
    ck_assert_uint_eq(wt_stats(0)->hints_created, 1);
    ck_assert(repl_is_idle(w.nodes[0].repl));
    wt_end();
}
END_TEST

/* Its commit log fails: it stops writing, and says so. */
static void break_disk(size_t node)
{
    sim_fs_fail(w.nodes[node].fs, SIM_FS_WRITE, 0, 1000, BASE_E_IO);
}

START_TEST(failing_replicas_are_no_timeout)
{
    begin(3, 3, 3);
    break_disk(1);
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_QUORUM), BASE_OK);
    break_disk(2);
    uint64_t from = w.now_ns;
    ck_assert_int_eq(wt_put(0, 2, 1, "x", REPL_CL_QUORUM), BASE_E_UNKNOWN);
    ck_assert_uint_le(w.now_ns - from, 1000 * CLUSTER_MS);
    ck_assert_uint_eq(wt_outcome.received + wt_outcome.failures, 3);
    ck_assert_uint_eq(wt_outcome.failures, 2);
    for (size_t i = 0; i < 2; i++) { /* who, and why */
        struct base_uuid host_id = wt_outcome.failed[i].host_id;
        ck_assert(base_uuid_equal(host_id, w.nodes[1].host_id) !=
                  base_uuid_equal(host_id, w.nodes[2].host_id));
        ck_assert_int_ne(wt_outcome.failed[i].rc, BASE_OK);
    }
    ck_assert(!base_uuid_equal(wt_outcome.failed[0].host_id, wt_outcome.failed[1].host_id));
    ck_assert(wt_outcome.repeat_safe);
    ck_assert_uint_eq(wt_stats(0)->write_failures, 1);
    wt_end();
}
END_TEST

START_TEST(damaged_and_unknown_are_refused)
{
    begin(1, 1, 1);
    struct wt_write t;
    wt_write_init(&t, REPL_CL_ONE);
    wt_add(&t, 0, 1, 1, "x", 0);
    t.mutations.data[0] ^= 1; /* another table */
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_E_STALE);
    wt_write_fini(&t);
    wt_write_init(&t, REPL_CL_ONE);
    wt_add(&t, 0, 1, 1, "x", 0);
    t.write.mutation_count = 2;
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_E_INVALID);
    wt_write_fini(&t);
    for (size_t cut = 0;; cut++) { /* every prefix */
        wt_write_init(&t, REPL_CL_ONE);
        wt_add(&t, 0, 1, 1, "x", 0);
        bool whole = cut == t.mutations.len;
        t.mutations.len = cut;
        wt_begin(&t, 0);
        ck_assert_int_eq(wt_finish(&t), whole ? BASE_OK : BASE_E_INVALID);
        wt_write_fini(&t);
        if (whole)
            break;
    }
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_SERIAL), BASE_E_INVALID);
    ck_assert_uint_eq(wt_stats(0)->requests_in_flight, 0);
    wt_end();
}
END_TEST

static void little_room(struct cluster_options *o)
{
    o->config.requests_max_bytes = 20000;
}

START_TEST(overload_is_refused_and_passes)
{
    struct wt_write t[64];
    unsigned refused = 0;
    wt_init(&(struct wt_options){.nodes = 3, .rf = 3, .tune = little_room});
    wt_start_all();
    for (size_t i = 0; i < BASE_COUNT(t); i++) {
        wt_write_init(&t[i], REPL_CL_ALL);
        wt_add(&t[i], 0, (int)i, 1, "x", 0);
        wt_begin(&t[i], 0);
    }
    for (size_t i = 0; i < BASE_COUNT(t); i++) {
        int rc = wt_finish(&t[i]);
        ck_assert(rc == BASE_OK || rc == BASE_E_OVERLOADED);
        refused += rc == BASE_E_OVERLOADED;
        wt_write_fini(&t[i]);
    }
    ck_assert_uint_gt(refused, 10);
    ck_assert_uint_lt(refused, 60);
    ck_assert_uint_ge(wt_stats(0)->overloaded, refused);
    cluster_run(&w, 3 * CLUSTER_S);
    ck_assert_int_eq(wt_put(0, 1, 1, "y", REPL_CL_ALL), BASE_OK);
    wt_end();
}
END_TEST

/* A load of thousands of rows: few messages, each partition at its level. */
START_TEST(bulk_goes_in_few_messages)
{
    wt_init(&(struct wt_options){.nodes = 4, .rf = 2});
    wt_start_all();
    struct wt_write t;
    wt_write_init(&t, REPL_CL_ALL);
    for (int k = 0; k < 3000; k++)
        wt_add(&t, 0, k, k % 7, "some value of a row", 0);
    uint64_t before = w.net.by_verb[REPL_VERB_WRITE];
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_OK);
    ck_assert_int_eq(wt_outcome.write_type, REPL_WRITE_UNLOGGED_BATCH);
    wt_write_fini(&t);
    ck_assert_uint_le(w.net.by_verb[REPL_VERB_WRITE] - before, 2 * 2 * 16);
    for (int k = 0; k < 3000; k += 37) {
        size_t owners[8], n = wt_owners(0, k, owners);
        ck_assert_uint_eq(n, 2);
        for (size_t i = 0; i < n; i++)
            ck_assert_str_eq(wt_get(owners[i], k, k % 7), "some value of a row");
    }
    wt_end();
}
END_TEST

START_TEST(large_unlogged_is_cut)
{
    static char value[20001];
    begin(2, 2, 2);
    memset(value, 'v', sizeof value - 1);
    struct wt_write t;
    wt_write_init(&t, REPL_CL_ALL);
    for (int k = 0; k < 40; k++)
        wt_add(&t, 0, k, 1, value, 0);
    uint64_t before = w.net.by_verb[REPL_VERB_WRITE];
    wt_begin(&t, 0);
    ck_assert_int_eq(wt_finish(&t), BASE_OK);
    wt_write_fini(&t);
    uint64_t messages = (w.net.by_verb[REPL_VERB_WRITE] - before) / 2; /* requests and replies */
    ck_assert_uint_ge(messages, 4);
    ck_assert_uint_le(messages, 6);
    wt_end();
}
END_TEST

START_TEST(each_quorum_counts_by_data_centre)
{
    wt_init(&(struct wt_options){.nodes = 6, .rf = 3, .dcs = 2});
    for (size_t i = 0; i < 6; i++) /* 0, 2, 4 in dc1; 1, 3, 5 in dc2: of it one lives */
        if (i != 3 && i != 5)
            wt_start(i);
    wt_settle();
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_QUORUM), BASE_OK);
    ck_assert_int_eq(wt_put(0, 2, 1, "x", REPL_CL_LOCAL_QUORUM), BASE_OK);
    ck_assert_int_eq(wt_put(0, 3, 1, "x", REPL_CL_EACH_QUORUM), BASE_E_UNAVAILABLE);
    ck_assert_int_eq(wt_put(1, 3, 1, "x", REPL_CL_LOCAL_QUORUM), BASE_E_UNAVAILABLE);
    ck_assert_int_eq(wt_put(1, 4, 1, "x", REPL_CL_LOCAL_ONE), BASE_OK);
    wt_start(3);
    wt_settle();
    ck_assert_int_eq(wt_put(0, 3, 1, "x", REPL_CL_EACH_QUORUM), BASE_OK);
    ck_assert_uint_eq(wt_outcome.required, 4);
    ck_assert_uint_eq(wt_outcome.received, 4);
    wt_end();
}
END_TEST

START_TEST(closing_ends_requests)
{
    begin(3, 3, 3);
    wt_isolate(1, true);
    wt_isolate(2, true);
    struct wt_write t, late;
    wt_write_init(&t, REPL_CL_QUORUM);
    wt_add(&t, 0, 1, 1, "x", 0);
    wt_begin(&t, 0);
    cluster_run(&w, 100 * CLUSTER_MS);
    repl_drain(w.nodes[0].repl);
    wt_write_init(&late, REPL_CL_ONE);
    wt_add(&late, 0, 2, 1, "x", 0);
    wt_begin(&late, 0);
    ck_assert_int_eq(wt_finish(&late), BASE_E_CLOSED);
    ck_assert_uint_eq(t.done, 0);
    cluster_node_stop(&w.nodes[0]);
    ck_assert_uint_eq(t.done, 1);
    ck_assert_int_eq(t.write.outcome.rc, BASE_E_CLOSED);
    wt_write_fini(&late);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

/* Conditions. */

static void begin_condition(struct wt_write *t, size_t node, int k, const char *v)
{
    wt_write_init(t, REPL_CL_ONE);
    wt_add(t, node, k, 1, v, 0);
    struct base_reader in = base_reader(base_buf_view(&t->mutations));
    struct base_mutation m;
    struct base_slice ckey, row;
    ck_assert(base_mutation_decode(&in, &m) && base_mutation_row(&m.rows, &ckey, &row));
    ck_assert_int_eq(base_buf_put_varint(&t->condition, 1), BASE_OK);
    ck_assert_int_eq(base_condition_put_row(&t->condition, BASE_CONDITION_NOT_EXISTS, ckey),
                     BASE_OK);
    t->write.condition = base_buf_view(&t->condition);
    wt_begin(t, node);
}

/* Many at once from all nodes: of one row one is applied, and its value is there. */
START_TEST(conditions_race)
{
    wt_init(&(struct wt_options){.nodes = 3, .rf = 1, .seed = (uint64_t)_i + 1});
    wt_start_all();
    enum { ROWS = 5, TRIES = 40 };
    struct wt_write t[ROWS * TRIES];
    char values[ROWS * TRIES][8];
    for (int i = 0; i < ROWS * TRIES; i++) {
        snprintf(values[i], sizeof values[i], "v%d", i);
        begin_condition(&t[i], (size_t)i % 3, i % ROWS, values[i]);
    }
    int winners[ROWS] = {0}, won[ROWS] = {0};
    for (int i = 0; i < ROWS * TRIES; i++) {
        int rc = wt_finish(&t[i]);
        ck_assert_msg(rc == BASE_OK || rc == BASE_E_CONDITION, "%s", wt_outcome.err.text);
        ck_assert_int_eq(wt_outcome.write_type, REPL_WRITE_CAS);
        if (rc == BASE_OK) {
            winners[i % ROWS]++;
            won[i % ROWS] = i;
        }
        wt_write_fini(&t[i]);
    }
    for (int k = 0; k < ROWS; k++) {
        size_t owner;
        ck_assert_int_eq(winners[k], 1);
        ck_assert_uint_eq(wt_owners(0, k, &owner), 1);
        ck_assert_str_eq(wt_get(owner, k, 1), values[won[k]]);
    }
    wt_end();
}
END_TEST

/* Every message comes twice, the second perhaps first: whoever was applied is told so (found by
 * tests/sim/cluster_sim). */
START_TEST(condition_that_comes_twice)
{
    wt_init(&(struct wt_options){.nodes = 3, .rf = 1, .seed = (uint64_t)_i + 1});
    w.options.repeat_permille = 1000;
    wt_start_all();
    w.quiet_net = false;
    for (int k = 0; k < 20; k++) {
        struct wt_write first, again;
        size_t owner;
        ck_assert_uint_eq(wt_owners(0, k, &owner), 1);
        begin_condition(&first, (owner + 1) % 3, k, "first");
        ck_assert_int_eq(wt_finish(&first), BASE_OK);
        begin_condition(&again, (owner + 2) % 3, k, "again");
        ck_assert_int_eq(wt_finish(&again), BASE_E_CONDITION);
        ck_assert_str_eq(wt_get(owner, k, 1), "first");
        wt_write_fini(&first);
        wt_write_fini(&again);
    }
    wt_end();
}
END_TEST

/* UPDATE … IF v = 'expected', of a row: the answer says what is there instead, wherever the
 * coordinator is, and a repetition of the message by the network changes nothing. */
static void begin_update(struct wt_write *t, size_t node, int k, const char *expected,
                         const char *v)
{
    struct base_mutation m;
    struct base_slice ckey, row;
    const struct base_condition_operand operand = {.value = base_slice_str(expected)};
    wt_write_init(t, REPL_CL_ONE);
    wt_add(t, node, k, 1, v, 0);
    struct base_reader in = base_reader(base_buf_view(&t->mutations));
    ck_assert(base_mutation_decode(&in, &m) && base_mutation_row(&m.rows, &ckey, &row));
    ck_assert_int_eq(base_buf_put_varint(&t->condition, 1), BASE_OK);
    ck_assert_int_eq(base_condition_put_column(&t->condition, ckey,
                                               base_table_column(wt_table, base_slice_str("v"))->id,
                                               BASE_CONDITION_EQ, BASE_CONDITION_WHOLE,
                                               (struct base_slice){0}, 0, &operand, 1),
                     BASE_OK);
    t->write.condition = base_buf_view(&t->condition);
    wt_begin(t, node);
}

START_TEST(condition_on_a_column)
{
    wt_init(&(struct wt_options){.nodes = 3, .rf = 1, .seed = (uint64_t)_i + 1});
    w.options.repeat_permille = _i % 2 ? 1000 : 0;
    wt_start_all();
    w.quiet_net = _i % 2 == 0;
    for (int k = 0; k < 12; k++) {
        size_t owner;
        struct wt_write t;
        ck_assert_uint_eq(wt_owners(0, k, &owner), 1);
        begin_update(&t, (owner + (size_t)k) % 3, k, "old", "new");
        ck_assert_int_eq(wt_finish(&t), BASE_E_CONDITION); /* there is no row */
        ck_assert_uint_eq(t.current.len, 1);
        ck_assert_uint_eq(t.current.data[0], 0);
        wt_write_fini(&t);
        ck_assert_int_eq(wt_put((owner + 1) % 3, k, 1, "old", REPL_CL_ONE), BASE_OK);
        begin_update(&t, (owner + (size_t)k) % 3, k, "old", "new");
        ck_assert_int_eq(wt_finish(&t), BASE_OK);
        wt_write_fini(&t);
        ck_assert_str_eq(wt_get(owner, k, 1), "new");
        begin_update(&t, (owner + (size_t)k + 1) % 3, k, "old", "newer");
        ck_assert_int_eq(wt_finish(&t), BASE_E_CONDITION);
        ck_assert(base_conditions_current_check(base_buf_view(&t.current)));
        ck_assert_ptr_nonnull(memmem(t.current.data, t.current.len, "new", 3));
        wt_write_fini(&t);
        ck_assert_str_eq(wt_get(owner, k, 1), "new");
    }
    wt_end();
}
END_TEST

/* Conditions that do not fit the table, or are damaged, are refused before anything is sent. */
START_TEST(conditions_are_checked)
{
    static const char *const bad[] = {
        "", "\x01", "\x01\x07", "\x01\x02\x01\x10", "\x02\x02", "\x01\x03\x00\x63\x00\x00\x01\x00"};
    static const size_t lens[] = {1, 1, 2, 4, 2, 8};
    struct wt_write t;
    begin(3, 1, 3);
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        wt_write_init(&t, REPL_CL_ONE);
        wt_add(&t, 0, 1, 1, "x", 0);
        t.write.condition = base_slice(bad[i], lens[i]);
        wt_begin(&t, 0);
        ck_assert_int_eq(wt_finish(&t), BASE_E_INVALID);
        wt_write_fini(&t);
    }
    size_t owner;
    ck_assert_uint_eq(wt_owners(0, 1, &owner), 1);
    ck_assert_str_eq(wt_get(owner, 1, 1), "");
    wt_end();
}
END_TEST

START_TEST(conditions_need_factor_one)
{
    struct wt_write t;
    begin(3, 3, 3);
    begin_condition(&t, 0, 1, "x");
    ck_assert_int_eq(wt_finish(&t), BASE_E_INVALID);
    ck_assert(strstr(wt_outcome.err.text, "need Paxos for rows, which this version does not have"));
    wt_write_fini(&t);
    wt_end();
}
END_TEST

START_TEST(condition_without_its_replica)
{
    struct wt_write t;
    size_t owner;
    begin(3, 1, 3);
    ck_assert_uint_eq(wt_owners(0, 7, &owner), 1);
    size_t other = owner == 0 ? 1 : 0;
    wt_isolate(owner, true);
    begin_condition(&t, other, 7, "x");
    ck_assert_int_eq(wt_finish(&t), BASE_E_TIMEOUT);
    ck_assert(!wt_outcome.repeat_safe && wt_outcome.required == 1 && wt_outcome.received == 0);
    wt_write_fini(&t);
    wt_isolate(owner, false);
    cluster_node_kill(&w.nodes[owner], false);
    wt_settle();
    begin_condition(&t, other, 7, "x");
    ck_assert_int_eq(wt_finish(&t), BASE_E_UNAVAILABLE);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

/* Bytes from outside. */

static unsigned failures, oks;
static void answered(struct repl *repl, struct repli_call *call, int rc,
                     const struct base_message *reply)
{
    (void)repl;
    (void)call;
    ck_assert(reply || rc == BASE_E_TIMEOUT);
    failures += rc != BASE_OK;
    oks += rc == BASE_OK;
}

/* Each verb with every prefix of a good body, and with each of its bytes changed. */
START_TEST(garbage_bodies)
{
    static const enum repl_verb verbs[] = {REPL_VERB_WRITE,     REPL_VERB_REPAIR, REPL_VERB_HINTED,
                                           REPL_VERB_WRITE_IF,  REPL_VERB_HINT,   REPL_VERB_BATCH,
                                           REPL_VERB_BATCH_DONE};
    enum repl_verb verb = verbs[_i];
    begin(2, 1, 2);
    struct wt_write t;
    struct base_buf body;
    wt_write_init(&t, REPL_CL_ONE);
    wt_add(&t, 0, 1, 1, "value", 0);
    base_buf_init(&body, 4096);
    if (verb == REPL_VERB_HINT)
        ck_assert_int_eq(base_buf_put(&body, w.nodes[0].host_id.b, 16), BASE_OK);
    if (verb == REPL_VERB_WRITE_IF)
        ck_assert_int_eq(base_buf_put(&body, "\x03\x01\x02\x00", 4),
                         BASE_OK); /* no static row is there */
    if (verb == REPL_VERB_BATCH || verb == REPL_VERB_BATCH_DONE)
        ck_assert_int_eq(
            base_buf_put(&body, "0123456789abcdefTIMEtime", verb == REPL_VERB_BATCH ? 24 : 16),
            BASE_OK);
    if (verb != REPL_VERB_BATCH_DONE)
        ck_assert_int_eq(base_buf_put_slice(&body, base_buf_view(&t.mutations)), BASE_OK);
    struct repl *repl = w.nodes[0].repl;
    struct repli_peer to = {w.nodes[1].host_id, w.nodes[1].addresses};
    struct repli_call calls[2000];
    size_t n = 0;
    memset(calls, 0, sizeof calls);
    cluster_node_sync_clock(&w.nodes[0]);
    repli_event_begin(repl);
    for (size_t i = 0; i < body.len; i++) {
        for (int k = 0; k < 3; k++) {
            struct base_buf copy;
            base_buf_init(&copy, 4096);
            ck_assert_int_eq(base_buf_put(&copy, body.data, k == 0 ? i : body.len), BASE_OK);
            if (k > 0)
                copy.data[i] ^= k == 1 ? 0x80 : 0xff;
            if (verb == REPL_VERB_BATCH &&
                copy.len >= 16) /* one that is kept is acknowledged by its id */
                base_put_le64(copy.data, n);
            ck_assert_uint_lt(n, BASE_COUNT(calls));
            calls[n].done = answered;
            repli_call_start(repl, &calls[n++], to, REPL_LANE_POINT, verb, base_buf_view(&copy),
                             2 * CLUSTER_S);
            base_buf_fini(&copy);
        }
    }
    repli_event_end(repl);
    failures = oks = 0;
    cluster_run(&w, 4 * CLUSTER_S);
    ck_assert_uint_eq(failures + oks, n);
    ck_assert_uint_ge(failures, body.len); /* no prefix is good */
    ck_assert_int_eq(wt_put(0, 2, 1, "x", REPL_CL_ONE), BASE_OK);
    cluster_run(&w, 10 * CLUSTER_S);
    base_buf_fini(&body);
    wt_write_fini(&t);
    wt_end();
}
END_TEST

/* While a node joins nothing is written, by coordinators or replicas: a probe that found no data
 * stays true. */
static int frozen_rc;
static void frozen_answer(struct repl *repl, struct repli_call *call, int rc,
                          const struct base_message *reply)
{
    (void)repl;
    (void)call;
    (void)reply;
    frozen_rc = rc;
}

START_TEST(a_join_freezes_writes)
{
    static const int64_t tokens[] = {4711};
    static const enum repl_verb verbs[] = {REPL_VERB_WRITE,    REPL_VERB_REPAIR, REPL_VERB_HINTED,
                                           REPL_VERB_WRITE_IF, REPL_VERB_HINT,   REPL_VERB_BATCH};
    struct ring_change join = {.kind = RING_CHANGE_JOIN,
                               .host_id = {{9}},
                               .address = BASE_SLICE_LIT("10.9.9.9:7000"),
                               .dc = BASE_SLICE_LIT("dc1"),
                               .rack = BASE_SLICE_LIT("rack1"),
                               .tokens = tokens,
                               .token_count = 1};
    struct base_buf bytes;
    struct wt_write t;
    wt_init(&(struct wt_options){.nodes = 2, .rf = 2});
    base_buf_init(&bytes, 4096);
    ck_assert_int_eq(ring_change_encode(&join, &bytes), BASE_OK);
    struct base_change change = {.kind = BASE_CHANGE_TOPOLOGY, .topology = base_buf_view(&bytes)};
    cluster_world_change(&w, &change);
    wt_start_all();
    ck_assert_int_eq(wt_put(0, 1, 1, "x", REPL_CL_ONE), BASE_E_BUSY);
    begin_condition(&t, 0, 1, "x");
    ck_assert_int_eq(wt_finish(&t), BASE_E_BUSY);
    wt_write_fini(&t);
    struct repl *repl = w.nodes[0].repl;
    for (size_t i = 0; i < BASE_COUNT(verbs); i++) {
        struct repli_call call = {.done = frozen_answer};
        cluster_node_sync_clock(&w.nodes[0]);
        repli_event_begin(repl);
        repli_call_start(repl, &call, (struct repli_peer){w.nodes[1].host_id, w.nodes[1].addresses},
                         REPL_LANE_POINT, verbs[i], BASE_SLICE_LIT("anything"), 2 * CLUSTER_S);
        repli_event_end(repl);
        frozen_rc = -1;
        cluster_run(&w, 100 * CLUSTER_MS);
        ck_assert_int_eq(frozen_rc, BASE_E_BUSY);
    }
    ck_assert_str_eq(wt_get(0, 1, 1), "");
    ck_assert_str_eq(wt_get(1, 1, 1), "");
    base_buf_fini(&bytes);
    wt_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writes");
    TCase *tcase = tcase_create("coordinator");
    tcase_add_loop_test(tcase, every_level, 0, 3);
    tcase_add_test(tcase, hints_are_handed_over);
    tcase_add_test(tcase, timeout_says_what_it_knows_and_the_hint_follows);
    tcase_add_test(tcase, late_replica_is_hinted_after_the_answer);
    tcase_add_test(tcase, failing_replicas_are_no_timeout);
    tcase_add_test(tcase, damaged_and_unknown_are_refused);
    tcase_add_test(tcase, overload_is_refused_and_passes);
    tcase_add_test(tcase, bulk_goes_in_few_messages);
    tcase_add_test(tcase, large_unlogged_is_cut);
    tcase_add_test(tcase, each_quorum_counts_by_data_centre);
    tcase_add_test(tcase, closing_ends_requests);
    tcase_add_test(tcase, a_join_freezes_writes);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("conditions");
    tcase_add_loop_test(tcase, conditions_race, 0, 5);
    tcase_add_loop_test(tcase, condition_that_comes_twice, 0, 5);
    tcase_add_loop_test(tcase, condition_on_a_column, 0, 6);
    tcase_add_test(tcase, conditions_are_checked);
    tcase_add_test(tcase, conditions_need_factor_one);
    tcase_add_test(tcase, condition_without_its_replica);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("garbage");
    tcase_add_loop_test(tcase, garbage_bodies, 0, 7);
    suite_add_tcase(suite, tcase);
    return ck_main(suite);
}
