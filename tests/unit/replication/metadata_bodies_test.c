/* What peers send to the metadata log's verbs, bent and cut: each request is answered or dropped
 * exactly once, nothing is read beyond its end, nothing asserts. What breaks without it: one
 * damaged or hostile message ends the node. And the same for a damaged vote on disk. */
#include "replication/join.h"
#include "replication/metadata.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/sim_random.h"

/* A node alone, over ports that do all at once. */
static struct {
    struct repl *repl;
    struct sim_clock clock;
    struct sim_random random;
    struct repl_alarm alarm;
    struct repl_transport transport;
    struct repl_store store;
    struct repl_meta meta;
    struct repl_inbound in;
    unsigned given_back, failed;
    struct base_buf paxos; /* last PUT */
} t;

static void set_alarm(struct repl_alarm *alarm, uint64_t at_ns)
{
    (void)alarm;
    (void)at_ns;
}
static int send_nowhere(struct repl_transport *transport, struct base_slice address,
                        struct base_uuid to, enum repl_lane lane,
                        const struct base_message *message)
{
    (void)transport, (void)address, (void)to, (void)lane, (void)message;
    return BASE_OK;
}
static void take_reply(struct repl_transport *transport, struct repl_inbound *in,
                       const struct base_message *message)
{
    (void)transport;
    ck_assert_ptr_eq(in, &t.in);
    t.given_back++;
    t.failed += (message->flags & BASE_MESSAGE_FAILED) != 0;
}
static void take_drop(struct repl_transport *transport, struct repl_inbound *in)
{
    (void)transport;
    ck_assert_ptr_eq(in, &t.in);
    t.given_back++;
}
static enum repl_answer store_nothing(struct repl_store *store, struct repl_store_op *op)
{
    (void)store;
    op->rc = op->kind == REPL_STORE_PROBE
                 ? BASE_OK
                 : base_err_set(&op->err, BASE_E_NOTFOUND, "no such table");
    return REPL_DONE;
}
static enum repl_answer meta_keep(struct repl_meta *meta, struct repl_meta_op *op)
{
    (void)meta;
    if (op->kind == REPL_META_PUT) {
        base_buf_reset(&t.paxos);
        ck_assert_int_eq(base_buf_put_slice(&t.paxos, op->value), BASE_OK);
    }
    return REPL_DONE;
}

static int64_t no_timestamp(void *ctx)
{
    (void)ctx;
    return 1;
}

static const struct base_uuid me = {{1}}, peer = {{2}};

static int open_repl(struct base_slice paxos, struct base_err *err)
{
    static const struct repl_alarm_ops alarm_ops = {set_alarm};
    static const struct repl_transport_ops transport_ops = {send_nowhere, take_reply, take_drop};
    static const struct repl_store_ops store_ops = {store_nothing};
    static const struct repl_meta_ops meta_ops = {meta_keep};
    t.alarm.ops = &alarm_ops;
    t.transport.ops = &transport_ops;
    t.store.ops = &store_ops;
    t.meta.ops = &meta_ops;
    struct repl_config config;
    repl_config_init(&config);
    config.host_id = me;
    config.generation = 1;
    config.cluster_name = BASE_SLICE_LIT("c");
    config.address = BASE_SLICE_LIT("10.0.0.1:7000");
    config.dc = BASE_SLICE_LIT("dc1");
    config.rack = BASE_SLICE_LIT("rack1");
    struct repl_initial initial = {base_schema_new(), ring_state_new(), paxos};
    struct repl_ports ports = {.clock = &t.clock.base,
                               .random = &t.random.base,
                               .alarm = &t.alarm,
                               .transport = &t.transport,
                               .store = &t.store,
                               .meta = &t.meta,
                               .timestamp = no_timestamp};
    int rc = repl_open(&config, &ports, &initial, &t.repl, err);
    base_schema_release(initial.schema);
    ring_state_release(initial.ring);
    return rc;
}

static void begin(void)
{
    struct base_err err;
    memset(&t, 0, sizeof t);
    sim_clock_init(&t.clock, 0);
    sim_random_init(&t.random, 1);
    base_buf_init(&t.paxos, 1 << 20);
    ck_ok(open_repl((struct base_slice){0}, &err), err);
    repl_start(t.repl);
    ck_assert_int_eq(repl_stage(t.repl), REPL_STARTING); /* on its way by a timer, at once */
    repl_tick(t.repl);
    ck_assert_int_eq(repl_stage(t.repl), REPL_MEMBER);
}

static void end(void)
{
    repl_close(t.repl);
    base_buf_fini(&t.paxos);
    sim_random_fini(&t.random);
}

/* Sent and answered. What waits for its time is answered as time goes by. */
static void give(enum repl_verb verb, unsigned flags, struct base_slice body)
{
    /* a body of its own, so that a read beyond its end is found */
    uint8_t *bytes = malloc(body.len + 1);
    ck_assert_ptr_nonnull(bytes);
    if (body.len)
        memcpy(bytes, body.data, body.len);
    uint8_t *exact = realloc(bytes, body.len ? body.len : 1);
    t.given_back = 0;
    t.in = (struct repl_inbound){
        .message = {.verb = (uint8_t)verb,
                    .flags = (uint8_t)flags,
                    .id = base_random_u64(&t.random.base) | 1,
                    .sender = peer,
                    .generation = 1,
                    .epoch = repl_epoch(t.repl),
                    .timeout_ms = 1000,
                    .body = base_slice(exact, body.len)},
        .deadline_ns = base_clock_mono(&t.clock.base).ns + UINT64_C(1000000000),
    };
    repl_on_request(t.repl, &t.in);
    for (int i = 0; i < 200 && !t.given_back; i++) {
        sim_clock_advance(&t.clock, 10000000);
        repl_tick(t.repl);
    }
    ck_assert_uint_eq(t.given_back, 1);
    free(exact);
}

/* A good body of each verb. */
static void good_body(enum repl_verb verb, struct base_buf *body)
{
    struct base_uuid cluster_id = repl_ring(t.repl)->cluster_id;
    struct repli_ballot ballot = {9, 1, peer};
    struct base_buf entry;
    int rc = BASE_OK;
    base_buf_init(&entry, 1 << 16);
    base_buf_reset(body);
    struct base_keyspace ks = {.name = BASE_SLICE_LIT("zoo"), .durable_writes = true};
    struct base_change change = {.kind = BASE_CHANGE_KEYSPACE_CREATE,
                                 .expected_epoch = repl_epoch(t.repl),
                                 .keyspace = ks.name,
                                 .keyspace_new = &ks,
                                 .proposal = {{7}}};
    rc |= base_change_encode(&change, &entry);
    switch (verb) {
    case REPL_VERB_META_PREPARE:
    case REPL_VERB_META_ACCEPT:
        rc |= base_buf_put(body, cluster_id.b, 16) |
              base_buf_put_varint(body, repl_epoch(t.repl) + 1) | repli_ballot_put(body, &ballot);
        if (verb == REPL_VERB_META_ACCEPT)
            rc |= base_buf_put_bytes(body, base_buf_view(&entry));
        break;
    case REPL_VERB_META_LEARN:
        rc |= base_buf_put(body, cluster_id.b, 16) |
              repl_entry_put(body, repl_epoch(t.repl) + 2, base_buf_view(&entry));
        break;
    case REPL_VERB_META_FETCH: {
        struct repli_incoming incoming = {.epoch = base_random_u64(&t.random.base) % 3};
        rc |= repli_fetch_request_put(body, cluster_id, 0,
                                      base_random_u64(&t.random.base) & 1 ? &incoming : NULL);
        break;
    }
    case REPL_VERB_META_PROPOSE:
        rc |= base_buf_put_varint(body, 1) | base_buf_put_bytes(body, base_buf_view(&entry));
        break;
    case REPL_VERB_META_SEED: {
        struct repli_seed_card card = {cluster_id, BASE_SLICE_LIT("c"),
                                       BASE_SLICE_LIT("10.0.0.2:7000"), true};
        rc |= repli_seed_card_put(body, &card);
        break;
    }
    default:
        break;
    }
    base_buf_fini(&entry);
    ck_assert_int_eq(rc, BASE_OK);
}

static const enum repl_verb verbs[] = {
    REPL_VERB_META_PREPARE, REPL_VERB_META_ACCEPT, REPL_VERB_META_LEARN, REPL_VERB_META_FETCH,
    REPL_VERB_META_PROPOSE, REPL_VERB_META_PROBE,  REPL_VERB_META_SEED,
};

START_TEST(bent_and_cut)
{
    struct rng rng = rng_seeded(11);
    struct base_buf body;
    base_buf_init(&body, 1 << 16);
    begin();
    for (int i = 0; i < 20000; i++) {
        enum repl_verb verb = verbs[rng_below(&rng, BASE_COUNT(verbs))];
        good_body(verb, &body);
        for (uint64_t n = rng_below(&rng, 4); n && body.len; n--)
            body.data[rng_below(&rng, body.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        if (rng_one_in(&rng, 3))
            body.len = rng_below(&rng, body.len + 1);
        else if (rng_one_in(&rng, 10))
            ck_assert_int_eq(base_buf_put_u8(&body, 0), BASE_OK);
        give(verb, verb == REPL_VERB_META_LEARN || rng_one_in(&rng, 10) ? BASE_MESSAGE_ONE_WAY : 0,
             base_buf_view(&body));
        ck_assert_int_eq(repl_stage(t.repl), REPL_MEMBER);
        ck_assert(ring_state_check(repl_ring(t.repl)));
    }
    ck_assert(!t.repl->metadata->stopped);
    base_buf_fini(&body);
    end();
}
END_TEST

/* Not chosen by anybody, yet told: a peer of another version, or mad. The node goes on at its epoch
 * and says so. */
START_TEST(an_entry_that_cannot_be_applied_stops_the_log)
{
    struct base_buf body;
    base_buf_init(&body, 1 << 16);
    begin();
    uint64_t epoch = repl_epoch(t.repl);
    struct base_uuid cluster_id = repl_ring(t.repl)->cluster_id;
    ck_assert_int_eq(base_buf_put(&body, cluster_id.b, 16), BASE_OK);
    ck_assert_int_eq(repl_entry_put(&body, epoch + 1, BASE_SLICE_LIT("of the next version")),
                     BASE_OK);
    for (int i = 0; i < 5; i++) { /* once may be a damaged copy */
        ck_assert(!t.repl->metadata->stopped);
        give(REPL_VERB_META_LEARN, BASE_MESSAGE_ONE_WAY, base_buf_view(&body));
    }
    ck_assert(t.repl->metadata->stopped);
    ck_assert_uint_eq(repl_epoch(t.repl), epoch);
    good_body(REPL_VERB_META_PREPARE, &body);
    give(REPL_VERB_META_PREPARE, 0, base_buf_view(&body));
    ck_assert_uint_eq(t.failed, 1);
    good_body(REPL_VERB_META_PROPOSE, &body);
    give(REPL_VERB_META_PROPOSE, 0, base_buf_view(&body));
    ck_assert_uint_eq(t.failed, 2);
    base_buf_fini(&body);
    end();
}
END_TEST

/* What was promised and accepted before a restart binds after it. */
START_TEST(a_vote_outlives_a_restart)
{
    struct base_buf body;
    struct base_err err;
    base_buf_init(&body, 1 << 16);
    begin();
    good_body(REPL_VERB_META_ACCEPT, &body);
    give(REPL_VERB_META_ACCEPT, 0, base_buf_view(&body));
    ck_assert_uint_eq(t.failed, 0);
    ck_assert_uint_gt(t.paxos.len, 0);
    /* the record again, in a node at the epoch before: it voted for an entry that it cannot know
     * of */
    struct repl *first = t.repl;
    ck_fails(open_repl(base_buf_view(&t.paxos), &err), BASE_E_CORRUPT, err);
    /* cut and bent records are refused with a text, or taken for what they say */
    for (size_t len = 1; len < t.paxos.len; len++) {
        int rc = open_repl(base_slice(t.paxos.data, len), &err);
        ck_assert_int_eq(rc, BASE_E_CORRUPT);
        ck_assert_ptr_null(t.repl);
    }
    t.repl = first;
    /* in place: a smaller ballot is refused, a greater one is told what is accepted */
    repli_event_begin(t.repl);
    repli_paxos_close(t.repl);
    memset(&t.repl->metadata->acceptor, 0, sizeof t.repl->metadata->acceptor);
    ck_ok(repli_paxos_open(t.repl, base_buf_view(&t.paxos), &err), err);
    repli_event_end(t.repl);
    ck_assert_uint_eq(t.repl->metadata->acceptor.now.accepted.round, 9);
    good_body(REPL_VERB_META_PREPARE, &body);
    body.data[17] = 8; /* the ballot's round, behind the cluster's id and a small epoch */
    give(REPL_VERB_META_PREPARE, 0, base_buf_view(&body));
    ck_assert_uint_eq(t.failed, 1);
    body.data[17] = 10;
    give(REPL_VERB_META_PREPARE, 0, base_buf_view(&body));
    ck_assert_uint_eq(t.failed, 1);
    ck_assert_uint_eq(t.repl->metadata->acceptor.now.promised.round, 10);
    ck_assert_uint_eq(t.repl->metadata->acceptor.now.accepted.round, 9);
    base_buf_fini(&body);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metadata bodies");
    TCase *c = tcase_create("bodies");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, bent_and_cut);
    tcase_add_test(c, an_entry_that_cannot_be_applied_stops_the_log);
    tcase_add_test(c, a_vote_outlives_a_restart);
    suite_add_tcase(s, c);
    return ck_main(s);
}
