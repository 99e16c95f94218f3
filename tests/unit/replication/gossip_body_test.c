/* Gossip's messages, one by one between nodes made by hand: what is in them, what is left out, what
 * damaged ones do (nothing), members that both sides list differently, guests' questions, and no
 * memory when members come. What breaks without it: heartbeats credited to the wrong member, a node
 * felled by a body, details that never arrive. */
#include "replication/wire.h"
#include "tests/lib/alloc_fault.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/sim_random.h"
#include "tests/unit/replication/by_hand.h"

#define S UINT64_C(1000000000)
#define NODES 3
#define SENT_MAX 64

struct node {
    struct repl *repl;
    struct repl_transport transport;
    struct repl_alarm alarm;
    struct repl_store store;
    struct repl_meta meta;
};
struct sent {
    struct node *from;
    struct base_message message;
    struct base_uuid to;
    struct base_buf body;
};
static struct node nodes[NODES];
static struct ring_state *state;
static struct sim_clock now;
static struct sim_random chance;
static struct sent sent[SENT_MAX];
static size_t sent_count;

static void keep(struct node *from, struct base_uuid to, const struct base_message *message)
{
    ck_assert_uint_lt(sent_count, SENT_MAX);
    struct sent *s = &sent[sent_count++];
    *s = (struct sent){.from = from, .message = *message, .to = to};
    base_buf_init(&s->body, 1 << 20);
    ck_assert_int_eq(base_buf_put_slice(&s->body, message->body), BASE_OK);
    s->message.body = base_buf_view(&s->body);
}

static int fake_send(struct repl_transport *t, struct base_slice address, struct base_uuid to,
                     enum repl_lane lane, const struct base_message *message)
{
    ck_assert(address.len && lane == REPL_LANE_GOSSIP);
    keep(BASE_CONTAINER(t, struct node, transport), to, message);
    return BASE_OK;
}

static void fake_reply(struct repl_transport *t, struct repl_inbound *in,
                       const struct base_message *message)
{
    keep(BASE_CONTAINER(t, struct node, transport), in->message.sender, message);
}

static void fake_drop(struct repl_transport *t, struct repl_inbound *in)
{
    (void)t;
    (void)in;
}

static void fake_alarm(struct repl_alarm *alarm, uint64_t at_ns)
{
    (void)alarm;
    (void)at_ns;
}

/* Nothing is stored. */
static enum repl_answer fake_submit(struct repl_store *store, struct repl_store_op *op)
{
    (void)store;
    op->rc = op->kind == REPL_STORE_READ ? BASE_E_NOTFOUND : BASE_OK;
    return REPL_DONE;
}

static enum repl_answer fake_meta(struct repl_meta *meta, struct repl_meta_op *op)
{
    (void)meta;
    op->rc = BASE_E_STOPPED;
    return REPL_DONE;
}

static int64_t fake_timestamp(void *ctx)
{
    static int64_t us;
    (void)ctx;
    return ++us;
}

static const struct repl_store_ops store_ops = {fake_submit};
static const struct repl_meta_ops meta_ops = {fake_meta};
static const struct repl_transport_ops transport_ops = {fake_send, fake_reply, fake_drop};
static const struct repl_alarm_ops alarm_ops = {fake_alarm};

/* Opened and not started: nothing but what the test does happens. */
static void node_init(struct node *node, struct base_schema *schema, struct ring_state *ring,
                      size_t self)
{
    struct repl_config config;
    struct base_err err;
    *node = (struct node){.transport.ops = &transport_ops,
                          .alarm.ops = &alarm_ops,
                          .store.ops = &store_ops,
                          .meta.ops = &meta_ops};
    repl_config_init(&config);
    config.host_id = host(self);
    config.generation = 1;
    config.address = BASE_SLICE_LIT("h:1");
    config.dc = BASE_SLICE_LIT("dc1");
    config.rack = BASE_SLICE_LIT("r1");
    struct repl_ports ports = {.clock = &now.base,
                               .random = &chance.base,
                               .alarm = &node->alarm,
                               .transport = &node->transport,
                               .store = &node->store,
                               .meta = &node->meta,
                               .timestamp = fake_timestamp};
    struct repl_initial initial = {.schema = schema, .ring = ring};
    ck_ok(repl_open(&config, &ports, &initial, &node->repl, &err), err);
    node->repl->started = true;
}

static const struct repl_native native = {
    .address = {192, 0, 2, 7}, .address_len = 4, .port = 9142, .release = "5.0.2"};

static void begin(size_t members)
{
    sim_clock_init(&now, 0);
    sim_random_init(&chance, 1);
    state = ring_state_new();
    for (size_t i = 0; i < members; i++) {
        int64_t token = (int64_t)i * 1000;
        add(&state, i + 1, "dc1", "r1", &token, 1);
    }
    struct base_schema *schema = base_schema_new();
    ck_assert_ptr_nonnull(schema);
    schema->epoch = state->epoch;
    for (size_t i = 0; i < NODES; i++)
        node_init(&nodes[i], schema, state, i + 1);
    repl_set_native(nodes[0].repl, &native); /* what is damaged and cut below has it too */
    base_schema_release(schema);
}

static void forget_sent(void)
{
    for (size_t i = 0; i < sent_count; i++)
        base_buf_fini(&sent[i].body);
    sent_count = 0;
}

static void end(void)
{
    for (size_t i = 0; i < NODES; i++)
        repl_close(nodes[i].repl);
    forget_sent();
    ring_state_release(state);
    sim_random_fini(&chance);
}

static void round_of(size_t n)
{
    sim_clock_advance(&now, S);
    repli_event_begin(nodes[n].repl);
    repli_timer_arm_after(nodes[n].repl, &nodes[n].repl->gossip->round, 0);
    repli_event_end(nodes[n].repl);
    repl_tick(nodes[n].repl);
}

static struct node *node_of(struct base_uuid host_id)
{
    for (size_t i = 0; i < NODES; i++)
        if (base_uuid_equal(nodes[i].repl->config.host_id, host_id))
            return &nodes[i];
    return NULL;
}

/* Deliver what was sent so far and what is sent then. `mangle` (may be NULL) may change a body. */
static void deliver(void (*mangle)(struct sent *s))
{
    struct repl_inbound in;
    for (size_t i = 0; i < sent_count; i++) {
        struct sent *s = &sent[i];
        struct node *to = node_of(s->to);
        if (!to)
            continue;
        if (mangle)
            mangle(s);
        if (s->message.flags & BASE_MESSAGE_REPLY) {
            repl_on_reply(to->repl, &s->message);
        } else {
            in = (struct repl_inbound){.message = s->message, .deadline_ns = UINT64_MAX};
            repl_on_request(to->repl, &in);
        }
    }
    forget_sent();
}

static const struct repli_gossip_peer *view(size_t n, size_t of)
{
    return nodes[n].repl->gossip->peers[repli_gossip_find(nodes[n].repl->gossip, host(of + 1))];
}

static size_t count_sent(uint8_t verb, bool reply)
{
    size_t n = 0;
    for (size_t i = 0; i < sent_count; i++)
        n +=
            sent[i].message.verb == verb && !!(sent[i].message.flags & BASE_MESSAGE_REPLY) == reply;
    return n;
}

START_TEST(one_exchange)
{
    begin(3);
    repl_set_load(nodes[0].repl, 777);
    round_of(0); /* greets both */
    ck_assert_uint_eq(count_sent(REPL_VERB_GOSSIP, false), 2);
    deliver(NULL);
    for (size_t n = 1; n < 3; n++) {
        ck_assert(view(0, n)->alive && view(n, 0)->alive); /* by the syn's answer; by an ECHO */
        ck_assert_uint_eq(view(n, 0)->state.load_bytes, 777);
        ck_assert_mem_eq(&view(n, 0)->state.native, &native, sizeof native);
        ck_assert_uint_eq(view(n, 0)->state.version, nodes[0].repl->gossip->own.version);
    }
    ck_assert(!view(1, 2)->alive); /* heard of at most, never spoken to */
    end();
}
END_TEST

/* A heartbeat alone is a few bytes; what it stands for is told once. */
START_TEST(details_are_told_once)
{
    begin(3);
    repl_set_load(nodes[0].repl, UINT64_C(1) << 60);
    for (int i = 0; i < 3; i++) {
        round_of(0);
        round_of(1);
        round_of(2);
        deliver(NULL);
    }
    struct repli_gossip *gossip = nodes[0].repl->gossip;
    gossip->own.version++;
    struct base_buf body;
    base_buf_init(&body, 1000);
    struct repli_gossip_cursor cursor = {0};
    size_t self = repli_gossip_find(gossip, host(1));
    ck_assert_int_eq(repli_gossip_put_state(gossip, &body, &cursor, self, &view(1, 0)->state),
                     BASE_OK);
    ck_assert_uint_eq(body.len, 4);
    base_buf_reset(&body);
    cursor = (struct repli_gossip_cursor){0};
    ck_assert_int_eq(
        repli_gossip_put_state(gossip, &body, &cursor, self, &(struct repli_gossip_state){0}),
        BASE_OK);
    ck_assert_uint_gt(body.len, 12);
    ck_assert_uint_eq(view(1, 0)->state.load_bytes, UINT64_C(1) << 60);
    ck_assert_uint_eq(view(2, 0)->state.epoch, state->epoch);
    base_buf_fini(&body);
    end();
}
END_TEST

/* What a member says of where it serves clients is shown to clients: it is checked. */
START_TEST(native_is_checked)
{
    begin(3);
    static const struct {
        const char *bytes; /* after the load */
        size_t len;
        bool good;
    } cases[] = {
        {"\x04"
         "\x7f\0\0\1"
         "\xd2\x46"
         "\x05"
         "5.0.2",
         13, true},
        {"\x10"
         "0123456789abcdef"
         "\x01"
         "\0",
         19, true},
        {"\x05"
         "\x7f\0\0\1\1"
         "\xd2\x46"
         "\x05"
         "5.0.2",
         14, false}, /* no address */
        {"\x04"
         "\x7f\0\0\1"
         "\x80\x80\x04"
         "\x05"
         "5.0.2",
         14, false}, /* no port */
        {"\x04"
         "\x7f\0\0\1"
         "\xd2\x46"
         "\x05"
         "5.\n.2",
         13, false}, /* no text */
        {"\x04"
         "\x7f\0\0\1"
         "\xd2\x46"
         "\x06"
         "5.0.2",
         13, false}, /* cut off */
        {"\x04"
         "\x7f\0\0\1"
         "\xd2\x46"
         "\x20"
         "12345678901234567890123456789012",
         40, false}, /* too long */
    };
    struct repli_gossip *gossip = nodes[1].repl->gossip;
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        for (int detail = 0; detail < 2; detail++) {
            struct base_buf body;
            base_buf_init(&body, 1000);
            struct repli_gossip_cursor cursor = {0};
            struct repli_gossip_entry entry;
            uint8_t flags = (uint8_t)(REPLI_GOSSIP_NATIVE | (detail ? REPLI_GOSSIP_DETAIL : 0));
            /* member 0; generation, version; age, epoch, load */
            const uint8_t head[] = {0, flags, 1, 9, 0, 7, 8};
            ck_assert_int_eq(base_buf_put(&body, head, detail ? 7 : 4), BASE_OK);
            ck_assert_int_eq(base_buf_put(&body, cases[i].bytes, cases[i].len), BASE_OK);
            struct base_reader in = base_reader(base_buf_view(&body));
            ck_assert_int_eq(repli_gossip_get_entry(gossip, &in, &cursor, &entry),
                             cases[i].good && detail);
            if (cases[i].good && detail)
                ck_assert_uint_eq(base_reader_left(&in), 0);
            base_buf_fini(&body);
        }
    }
    end();
}
END_TEST

/* Node 3 is behind: it does not know member 4. By index nothing may be taken from its messages, nor
 * it from others'. */
START_TEST(lists_that_differ)
{
    begin(3);
    struct ring_state *longer = ring_state_acquire(state);
    int64_t token = 99000;
    add(&longer, 4, "dc1", "r1", &token, 1);
    for (size_t n = 0; n < 2; n++) {
        ring_state_release(nodes[n].repl->ring);
        nodes[n].repl->ring = ring_state_acquire(longer);
        nodes[n].repl->ring->epoch = state->epoch; /* so that nobody goes to fetch */
        repli_event_begin(nodes[n].repl);
        repli_gossip_on_epoch(nodes[n].repl);
        repli_event_end(nodes[n].repl);
        ck_assert_uint_eq(nodes[n].repl->gossip->count, 4);
    }
    for (int i = 0; i < 3; i++) {
        round_of(2);
        deliver(NULL);
        round_of(0);
        deliver(NULL);
    }
    ck_assert(view(0, 2)->by_id || view(2, 0)->by_id);
    ck_assert(view(0, 2)->alive && view(2, 0)->alive && view(2, 1)->alive);
    ck_assert_uint_eq(view(0, 2)->state.version, nodes[2].repl->gossip->own.version);
    ck_assert_uint_eq(view(0, 3)->state.generation, 0); /* nobody is there */
    /* it has caught up: by index again */
    ring_state_release(nodes[2].repl->ring);
    nodes[2].repl->ring = ring_state_acquire(longer);
    repli_event_begin(nodes[2].repl);
    repli_gossip_on_epoch(nodes[2].repl);
    repli_event_end(nodes[2].repl);
    for (int i = 0; i < 8; i++) {
        round_of(2);
        deliver(NULL);
        round_of(0);
        deliver(NULL);
        round_of(1);
        deliver(NULL);
    }
    for (size_t n = 0; n < 3; n++)
        for (size_t of = 0; of < 3; of++)
            ck_assert(n == of || (view(n, of)->alive && !view(n, of)->by_id));
    ring_state_release(longer);
    end();
}
END_TEST

static struct rng damage;

static void mangle(struct sent *s)
{
    if (!rng_chance(&damage, 70) || s->body.len == 0)
        return;
    switch (rng_below(&damage, 4)) {
    case 0:
        s->message.body.len = rng_below(&damage, s->body.len);
        break;
    case 1:
        s->body.data[rng_below(&damage, s->body.len)] = (uint8_t)rng_u64(&damage);
        break;
    case 2:
        s->body.data[rng_below(&damage, s->body.len)] ^= (uint8_t)(1u << rng_below(&damage, 8));
        break;
    default: {
        uint8_t more[12];
        rng_fill(&damage, more, sizeof more);
        ck_assert_int_eq(base_buf_put(&s->body, more, 1 + rng_below(&damage, sizeof more)),
                         BASE_OK);
        s->message.body = base_buf_view(&s->body);
    }
    }
}

/* Whatever comes, they stand; and when it ends, they find each other again (the damage may have
 * left great generations behind). */
START_TEST(damaged_bodies)
{
    damage = rng_seeded(3);
    begin(3);
    for (int i = 0; i < 3000; i++) {
        round_of(rng_below(&damage, NODES));
        deliver(mangle);
    }
    for (int i = 0; i < 60; i++) {
        round_of((size_t)i % NODES);
        deliver(NULL);
    }
    for (size_t n = 0; n < NODES; n++)
        for (size_t of = 0; of < NODES; of++)
            ck_assert_msg(n == of || view(n, of)->alive, "%zu does not see %zu", n, of);
    end();
}
END_TEST

START_TEST(a_guest_asks)
{
    begin(3);
    round_of(0);
    deliver(NULL);
    by_hand_alive(nodes[0].repl, 3, false);
    repli_snitch_observe(nodes[0].repl, host(2), 2500000);
    struct repl_inbound in = {
        .message = {.verb = REPL_VERB_LIVENESS, .id = 1, .sender = host(77), .epoch = state->epoch},
        .deadline_ns = UINT64_MAX};
    repl_on_request(nodes[0].repl, &in);
    ck_assert_uint_eq(sent_count, 1);
    struct base_reader reader;
    size_t count;
    ck_assert(repli_liveness_begin(sent[0].message.body, &reader, &count));
    ck_assert_uint_eq(count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct repli_liveness one;
        ck_assert(repli_liveness_next(&reader, &one));
        ck_assert(base_uuid_equal(one.host_id, host(i + 1)));
        ck_assert_int_eq(one.alive, i < 2);
        ck_assert_uint_eq(one.latency_us, i == 1 ? 2500 : 0);
    }
    ck_assert_uint_eq(base_reader_left(&reader), 0);
    struct repli_liveness none;
    ck_assert(!repli_liveness_next(&reader, &none));
    end();
}
END_TEST

/* No memory when members come: all is as before, and the next round makes it good. */
START_TEST(no_memory_for_new_members)
{
    for (uint64_t k = 0;; k++) {
        begin(3);
        round_of(0);
        deliver(NULL);
        struct ring_state *longer = ring_state_acquire(state);
        for (size_t i = 4; i < 10; i++) {
            int64_t token = (int64_t)i * 99000;
            add(&longer, i, "dc1", "r1", &token, 1);
        }
        struct repl *repl = nodes[0].repl;
        ring_state_release(repl->ring);
        repl->ring = longer;
        repl->ring->epoch = state->epoch;
        repli_event_begin(repl);
        alloc_fault_set(k, 1);
        repli_gossip_on_epoch(repl);
        bool hit = alloc_fault_clear();
        repli_event_end(repl);
        ck_assert_uint_eq(repl->gossip->stale, hit);
        ck_assert_uint_eq(repl->gossip->count, hit ? 3 : 9);
        ck_assert(view(0, 1)->alive);
        round_of(0);
        ck_assert(!repl->gossip->stale && repl->gossip->count == 9 && view(0, 1)->alive);
        end();
        if (!hit)
            break;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gossip_body");
    TCase *tc = tcase_create("gossip_body");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, one_exchange);
    tcase_add_test(tc, details_are_told_once);
    tcase_add_test(tc, native_is_checked);
    tcase_add_test(tc, lists_that_differ);
    tcase_add_test(tc, damaged_bodies);
    tcase_add_test(tc, a_guest_asks);
    tcase_add_test(tc, no_memory_for_new_members);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
