/* Messages between nodes: copied as bytes, carried with delay, lost, repeated, late, in any order.
 *
 * A request lives until its receiver has given it back; a message to a dead process is lost or its
 * sender hears that it was not delivered; a reply to a process that has ended reaches nobody (its
 * connection is gone). What a blocked link carries is lost, or comes after all, much later (a
 * retransmission), as the dice say. */
#include <stdio.h>

#include "tests/sim/cluster_world.h"

#include "replication/wire.h"

struct cluster_message {
    struct cluster_event event;
    struct repl_inbound in;               /* the message; its body is below */
    size_t from, to;                      /* nodes */
    uint32_t from_generation;             /* the process that sent it */
    uint32_t to_generation;               /* of a reply: whom it is for */
    struct base_uuid expected;            /* of a request: who should answer; zero: anybody */
    bool unsent;                          /* its process ended before it was on the wire */
    struct cluster_message *next, **prev; /* of the receiver's inbounds */
    uint8_t body[];
};

static struct cluster_node *transport_node(struct repl_transport *t)
{
    return BASE_CONTAINER(t, struct cluster_node, transport);
}

struct cluster_link *cluster_link(struct cluster_world *w, size_t from, size_t to)
{
    if (!w->links)
        w->links = cluster_must(calloc(w->node_count * w->node_count, sizeof *w->links));
    return &w->links[from * w->node_count + to];
}

void cluster_heal_links(struct cluster_world *w)
{
    free(w->links);
    w->links = NULL;
}

/* Arriving. */

static void undelivered_fired(struct cluster_world *w, struct cluster_event *event)
{
    struct cluster_message *m = BASE_CONTAINER(event, struct cluster_message, event);
    struct cluster_node *node = &w->nodes[m->from];
    uint64_t id = m->in.message.id;
    bool same = cluster_node_is_up(node) && node->generation == m->from_generation;
    free(m);
    if (!same)
        return;
    trace_add(&w->trace, "undelivered", node->address, w->now_ns, id, (struct base_slice){0});
    repl_on_undelivered(node->repl, id);
}

static void nobody_there(struct cluster_world *w, struct cluster_message *m)
{
    struct cluster_node *from = &w->nodes[m->from], *to = &w->nodes[m->to];
    bool one_way = m->in.message.flags & (BASE_MESSAGE_ONE_WAY | BASE_MESSAGE_REPLY);
    if (one_way || !cluster_node_is_up(from) || to->power_off ||
        !rng_chance(&w->rng, w->options.refused_percent)) {
        free(m);
        return;
    }
    w->net.refused++;
    cluster_post(w, &m->event, from, cluster_draw_ns(w, w->options.delay_max_ns),
                 undelivered_fired);
}

static void pretend_to_repair(struct cluster_node *node, struct repl_inbound *in)
{
    struct base_message reply = in->message;
    reply.flags = BASE_MESSAGE_REPLY;
    reply.sender = node->host_id;
    reply.generation = node->generation;
    reply.epoch = repl_epoch(node->repl);
    reply.timeout_ms = 0;
    reply.body = (struct base_slice){0};
    cluster_transport_ops.reply(&node->transport, in, &reply);
}

static void request_arrives(struct cluster_node *node, struct cluster_message *m)
{
    m->in.deadline_ns =
        base_clock_mono(&node->clock.base).ns + m->in.message.timeout_ms * CLUSTER_MS;
    m->in.next = NULL;
    m->next = node->inbounds;
    m->prev = &node->inbounds;
    if (m->next)
        m->next->prev = &m->next;
    node->inbounds = m;
    node->inbound_count++;
    if (node->world->options.canary == CLUSTER_CANARY_NO_REPAIR &&
        m->in.message.verb == REPL_VERB_REPAIR)
        pretend_to_repair(node, &m->in);
    else
        repl_on_request(node->repl, &m->in);
}

static void inbound_remove(struct cluster_node *node, struct repl_inbound *in)
{
    struct cluster_message *m = BASE_CONTAINER(in, struct cluster_message, in);
    BASE_ASSERT(m->prev && m->to == node->index);
    *m->prev = m->next;
    if (m->next)
        m->next->prev = m->prev;
    node->inbound_count--;
    free(m);
}

static bool is_awaited(const struct base_message *message)
{
    return !(message->flags & BASE_MESSAGE_REPLY) && message->verb >= REPL_VERB_META_PREPARE &&
           message->verb != REPL_VERB_ECHO;
}

static void message_fired(struct cluster_world *w, struct cluster_event *event)
{
    struct cluster_message *m = BASE_CONTAINER(event, struct cluster_message, event);
    struct cluster_node *node = &w->nodes[m->to];
    struct base_message *message = &m->in.message;
    bool reply = message->flags & BASE_MESSAGE_REPLY;
    w->net.on_the_way -= is_awaited(message);
    if (m->unsent) {
        free(m);
        return;
    }
    if (!cluster_node_is_up(node)) {
        nobody_there(w, m);
        return;
    }
    trace_add(&w->trace, reply ? "reply" : "request", node->address, message->verb, message->id,
              message->body);
    if (!reply) {
        request_arrives(node, m);
        return;
    }
    static const struct base_uuid nobody;
    if (node->generation == m->to_generation &&
        (base_uuid_equal(m->expected, nobody) || base_uuid_equal(m->expected, message->sender)))
        repl_on_reply(node->repl, message);
    free(m);
}

void cluster_messages_cut(struct cluster_node *node)
{
    struct cluster_world *w = node->world;
    unsigned percent = (unsigned)rng_below(&w->rng, 100);
    for (size_t i = 1; i <= w->heap_count; i++) {
        if (w->heap[i]->fire != message_fired)
            continue;
        struct cluster_message *m = BASE_CONTAINER(w->heap[i], struct cluster_message, event);
        if (m->from == node->index && m->from_generation == node->generation &&
            rng_chance(&w->rng, percent))
            m->unsent = true;
    }
}

/* On the way. */

static struct cluster_message *copy(const struct base_message *message, struct base_slice body)
{
    struct cluster_message *m = cluster_must(calloc(1, sizeof *m + body.len));
    m->in.message = *message;
    if (body.len)
        memcpy(m->body, body.data, body.len);
    m->in.message.body = base_slice(m->body, body.len);
    return m;
}

static uint64_t draw_delay(struct cluster_world *w, size_t from, size_t to)
{
    const struct cluster_options *o = &w->options;
    uint64_t delay = o->delay_min_ns + cluster_draw_ns(w, o->delay_max_ns);
    if (w->links && cluster_link(w, from, to)->slow)
        delay *= cluster_link(w, from, to)->slow;
    if (!w->quiet_net && rng_below(&w->rng, 1000) < o->late_permille) {
        w->net.late++;
        delay += rng_below(&w->rng, o->late_max_ns + 1);
    }
    return delay;
}

static void on_the_way(struct cluster_world *w, struct cluster_message *m, uint64_t delay)
{
    w->net.on_the_way += is_awaited(&m->in.message);
    cluster_post(w, &m->event, &w->nodes[m->to], delay, message_fired);
}

/* Takes the message over. */
static void carry(struct cluster_world *w, struct cluster_message *m)
{
    const struct cluster_options *o = &w->options;
    const struct base_message *message = &m->in.message;
    bool blocked = w->links && m->from != m->to && cluster_link(w, m->from, m->to)->blocked;
    bool lost = !w->quiet_net && m->from != m->to && rng_below(&w->rng, 1000) < o->loss_permille;
    w->net.messages++;
    w->net.bytes += message->body.len;
    w->net.by_verb[message->verb]++;
    w->net.bytes_by_verb[message->verb] += message->body.len;
    cluster_tell(&w->nodes[m->from],
                 lost      ? "lost to"
                 : blocked ? "blocked to"
                           : "sends to",
                 m->to, message->verb, message->body);
    trace_add(&w->trace,
              lost      ? "lost"
              : blocked ? "blocked"
                        : "send",
              w->nodes[m->from].address, m->to, message->id, message->body);
    if (!w->quiet_net && !lost && rng_below(&w->rng, 1000) < o->repeat_permille) {
        struct cluster_message *again = copy(message, message->body);
        again->from = m->from;
        again->to = m->to;
        again->from_generation = m->from_generation;
        again->to_generation = m->to_generation;
        again->expected = m->expected;
        w->net.repeated++;
        if (blocked)
            free(again);
        else
            on_the_way(w, again, draw_delay(w, m->from, m->to));
    }
    if (lost || (blocked && !rng_one_in(&w->rng, 8))) {
        w->net.lost++;
        free(m);
        return;
    }
    uint64_t delay = draw_delay(w, m->from, m->to);
    if (blocked)
        delay += rng_below(&w->rng, o->late_max_ns + 1);
    on_the_way(w, m, delay);
}

/* "10.0.A.B:7000" → A * 250 + B - 1: the form that machine_init gives; a test may have moved nodes
 * since. */
static bool find_address(struct cluster_world *w, struct base_slice address, size_t *index)
{
    char text[40];
    unsigned a, b;
    if (address.len >= sizeof text)
        return false;
    memcpy(text, address.data, address.len);
    text[address.len] = 0;
    if (sscanf(text, "10.0.%u.%u:7000", &a, &b) == 2 && b >= 1 && b <= 250) {
        *index = (size_t)a * 250 + b - 1;
        if (*index < w->options.nodes && strcmp(w->nodes[*index].address, text) == 0)
            return true;
    }
    for (*index = 0; *index < w->options.nodes; ++*index)
        if (strcmp(w->nodes[*index].address, text) == 0)
            return true;
    return false;
}

static void check_sender(struct cluster_node *node, const struct base_message *message)
{
    if (!base_uuid_equal(message->sender, node->host_id) || message->generation != node->generation)
        cluster_fail(node->world, "%s: sends a message in another's name", node->address);
}

static int transport_send(struct repl_transport *t, struct base_slice address, struct base_uuid to,
                          enum repl_lane lane, const struct base_message *message)
{
    struct cluster_node *node = transport_node(t);
    struct cluster_world *w = node->world;
    size_t index;
    BASE_ASSERT(lane < REPL_LANE_COUNT && !(message->flags & BASE_MESSAGE_REPLY));
    if (node->state != CLUSTER_NODE_UP)
        return BASE_OK;
    check_sender(node, message);
    if (!find_address(w, address, &index))
        return BASE_OK; /* nobody is there */
    struct cluster_message *m = copy(message, message->body);
    m->from = node->index;
    m->to = index;
    m->from_generation = node->generation;
    m->expected = to;
    carry(w, m);
    return BASE_OK;
}

static void transport_reply(struct repl_transport *t, struct repl_inbound *in,
                            const struct base_message *message)
{
    struct cluster_node *node = transport_node(t);
    const struct cluster_message *request = BASE_CONTAINER(in, struct cluster_message, in);
    if (node->state == CLUSTER_NODE_UP) {
        check_sender(node, message);
        if (!(message->flags & BASE_MESSAGE_REPLY) || message->id != in->message.id ||
            in->message.flags & BASE_MESSAGE_ONE_WAY)
            cluster_fail(node->world, "%s: a reply that is none", node->address);
        struct cluster_message *m = copy(message, message->body);
        m->from = node->index;
        m->to = request->from;
        m->from_generation = node->generation;
        m->to_generation = request->from_generation;
        m->expected = request->expected;
        carry(node->world, m);
    }
    inbound_remove(node, in);
}

static void transport_drop(struct repl_transport *t, struct repl_inbound *in)
{
    inbound_remove(transport_node(t), in);
}

const struct repl_transport_ops cluster_transport_ops = {transport_send, transport_reply,
                                                         transport_drop};

void cluster_inbounds_free(struct cluster_node *node)
{
    while (node->inbounds)
        inbound_remove(node, &node->inbounds->in);
}
