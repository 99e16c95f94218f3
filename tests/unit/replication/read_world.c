/* See read_world.h. */
#include "tests/unit/replication/read_world.h"

#include <check.h>
#include <stdio.h>

#include "base/key.h"
#include "replication/gossip.h"
#include "tests/lib/make_table.h"
#include "tests/unit/ring/cluster_lib.h"

#define MESSAGE_NS UINT64_C(500000)

enum rw_kind { RW_REQUEST, RW_REPLY, RW_UNDELIVERED, RW_STORE };

struct rw_event {
    struct rw_event *next;
    uint64_t due_ns, seq;
    enum rw_kind kind;
    struct rw_node *from, *to;
    struct base_message message;
    uint8_t *body;
    struct repl_inbound in;
    struct repl_store_op *op;
};

/* Everything in this file is the world's own work, but for what is within INSIDE. */
static void outside(struct rw_world *w, bool is)
{
    if (w->outside)
        w->outside(is);
}
#define INSIDE(w, call)                                                                            \
    do {                                                                                           \
        outside(w, false);                                                                         \
        call;                                                                                      \
        outside(w, true);                                                                          \
    } while (0)

/* The queue. */

static uint64_t now(struct rw_world *w)
{
    return base_clock_mono(&w->clock.base).ns;
}

static void post(struct rw_world *w, struct rw_event *e, uint64_t after_ns)
{
    struct rw_event **at = &w->events;
    e->due_ns = now(w) + after_ns;
    e->seq = w->seq++;
    while (*at && (*at)->due_ns <= e->due_ns)
        at = &(*at)->next;
    e->next = *at;
    *at = e;
}

static struct rw_event *event_of(enum rw_kind kind, struct rw_node *from, struct rw_node *to,
                                 const struct base_message *message)
{
    struct rw_event *e = calloc(1, sizeof *e);
    *e = (struct rw_event){.kind = kind, .from = from, .to = to};
    if (message) {
        e->message = *message;
        e->body = malloc(message->body.len + 1); /* of just this size, for ASan */
        if (message->body.len)
            memcpy(e->body, message->body.data, message->body.len);
        e->body = realloc(e->body, message->body.len ? message->body.len : 1);
        e->message.body = base_slice(e->body, message->body.len);
    }
    return e;
}

static void event_free(struct rw_event *e)
{
    free(e->body);
    free(e);
}

static struct rw_node *node_at(struct rw_world *w, struct base_slice address)
{
    for (size_t i = 0; i < w->count; i++) {
        if (base_slice_equal(w->ring->members[i].address, address))
            return &w->nodes[i];
    }
    ck_abort_msg("nobody listens at %.*s", BASE_SLICE_ARG(address));
}

/* Ports. */

static int port_send(struct repl_transport *t, struct base_slice address, struct base_uuid to,
                     enum repl_lane lane, const struct base_message *message)
{
    struct rw_node *from = BASE_CONTAINER(t, struct rw_node, transport);
    struct rw_world *w = from->world;
    (void)to;
    (void)lane;
    outside(w, true);
    struct rw_node *node = node_at(w, address);
    ck_assert_msg(node != from, "a node sends to itself");
    post(w, event_of(node->refuses ? RW_UNDELIVERED : RW_REQUEST, from, node, message), MESSAGE_NS);
    outside(w, false);
    return BASE_OK;
}

static void port_reply(struct repl_transport *t, struct repl_inbound *in,
                       const struct base_message *message)
{
    struct rw_node *node = BASE_CONTAINER(t, struct rw_node, transport);
    struct rw_event *request = BASE_CONTAINER(in, struct rw_event, in);
    outside(node->world, true);
    struct rw_event *e = event_of(RW_REPLY, node, request->from, message);
    if (node->corrupt && e->message.body.len)
        e->body[below(&node->world->rng, (uint32_t)e->message.body.len)] ^=
            (uint8_t)(1 + below(&node->world->rng, 255));
    post(node->world, e, MESSAGE_NS + node->delay_ns);
    event_free(request);
    outside(node->world, false);
}

static void port_drop(struct repl_transport *t, struct repl_inbound *in)
{
    (void)t;
    event_free(BASE_CONTAINER(in, struct rw_event, in));
}
static const struct repl_transport_ops transport_ops = {port_send, port_reply, port_drop};

static void port_alarm(struct repl_alarm *alarm, uint64_t at_ns)
{
    BASE_CONTAINER(alarm, struct rw_node, alarm)->alarm_at_ns = at_ns;
}
static const struct repl_alarm_ops alarm_ops = {port_alarm};

static struct base_source *live_of(struct base_source **sources, size_t n,
                                   const struct base_read *cmd)
{
    struct base_source *merge;
    struct base_merge_options options = {.reversed = cmd->reversed,
                                         .purge = {.now_s = cmd->now_s, .live_only = true}};
    ck_assert_int_eq(base_merge_open(sources, n, &options, &merge, NULL), BASE_OK);
    return merge;
}

/* Of a stream only the places that the command names, as a store gives them that looks at nothing
 * else. */
struct picked {
    struct base_source source;
    struct base_source *inner;
    struct base_slice places, pkey;
};

static bool is_named(const struct picked *p, struct base_slice pkey, const struct base_slice *ckey)
{
    struct base_reader in = base_reader(p->places);
    struct base_slice a, b;
    while (base_reader_left(&in)) {
        ck_assert(base_get_bytes(&in, &a) && base_get_bytes(&in, &b));
        if (base_slice_equal(a, pkey) && (!ckey || !b.len || base_slice_equal(b, *ckey)))
            return true;
    }
    return false;
}

static int picked_partition(struct base_source *src, struct base_partition *out,
                            struct base_err *err)
{
    struct picked *p = BASE_CONTAINER(src, struct picked, source);
    int rc;
    do
        rc = p->inner->ops->partition(p->inner, out, err);
    while (rc == BASE_OK && out->pkey.len && !is_named(p, out->pkey, NULL));
    p->pkey = out->pkey;
    return rc;
}

static int picked_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct picked *p = BASE_CONTAINER(src, struct picked, source);
    int rc;
    do
        rc = p->inner->ops->next(p->inner, out, err);
    while (rc == BASE_OK && out->kind == BASE_ITEM_ROW && !is_named(p, p->pkey, &out->ckey));
    return rc;
}

static void picked_close(struct base_source *src)
{
    struct picked *p = BASE_CONTAINER(src, struct picked, source);
    p->inner->ops->close(p->inner);
}
static const struct base_source_ops picked_ops = {picked_partition, picked_next, picked_close};

static void carry_out(struct rw_node *node, struct repl_store_op *op)
{
    op->rc = BASE_OK;
    if (op->kind == REPL_STORE_WRITE && node->write_rc) {
        op->rc = base_err_set(&op->err, node->write_rc, "commit log: no space left");
        return;
    }
    if (op->kind == REPL_STORE_WRITE) {
        lib_store_apply(&node->store, op->group);
        node->repairs++;
        return;
    }
    if (op->kind == REPL_STORE_COUNT) {
        for (size_t i = 0; i < op->cmd->filter_count; i++)
            op->counts[i] = node->counts[i] ? node->counts[i] : below(&node->world->rng, 10);
        node->count_ops++;
        if (node->count_rc)
            op->rc = base_err_set(&op->err, node->count_rc, "index 17: checksum mismatch");
        return;
    }
    ck_assert_int_eq(op->kind, REPL_STORE_READ);
    node->store_reads++;
    if (node->store_rc) {
        op->rc = base_err_set(&op->err, node->store_rc, "sstable 17: checksum mismatch");
        return;
    }
    const struct lib_store *store = &node->store;
    struct base_source *source =
        lib_store_read(&store, 1, op->cmd, op->cmd->now_s - node->world->table->options.gc_grace_s);
    if (op->cmd->filter_count) { /* live rows only */
        node->filtered_reads++;
        node->filters_seen = op->cmd->filter_count;
        node->filter_first = op->cmd->filters[0].column;
        source = live_of(&source, 1, op->cmd);
    }
    struct picked picked = {{&picked_ops}, source, op->cmd->places, {0}};
    if (op->cmd->places.len) {
        node->places_reads++;
        source = &picked.source;
    }
    INSIDE(node->world, op->rc = op->consume(op, source, &op->err));
    source->ops->close(source);
}

static enum repl_answer port_submit(struct repl_store *store, struct repl_store_op *op)
{
    struct rw_node *node = BASE_CONTAINER(store, struct rw_node, store_port);
    struct rw_world *w = node->world;
    enum repl_answer answer = below(&w->rng, 100) >= w->pending_percent ? REPL_DONE : REPL_PENDING;
    outside(w, true);
    if (answer == REPL_DONE) {
        carry_out(node, op);
    } else {
        struct rw_event *e = event_of(RW_STORE, node, node, NULL);
        e->op = op;
        post(w, e, 1 + below(&w->rng, 1000000));
    }
    outside(w, false);
    return answer;
}
static const struct repl_store_ops store_ops = {port_submit};

static enum repl_answer port_meta(struct repl_meta *meta, struct repl_meta_op *op)
{
    (void)meta;
    (void)op;
    ck_abort_msg("nothing is agreed upon here");
}
static const struct repl_meta_ops meta_ops = {port_meta};

/* Running. */

static void deliver(struct rw_world *w, struct rw_event *e)
{
    struct rw_node *to = e->to;
    switch (e->kind) {
    case RW_STORE:
        carry_out(to, e->op);
        INSIDE(w, e->op->done(e->op));
        break;
    case RW_UNDELIVERED:
        INSIDE(w, repl_on_undelivered(e->from->repl, e->message.id));
        break;
    case RW_REPLY:
        w->in_flight -= e->message.verb == REPL_VERB_READ;
        INSIDE(w, repl_on_reply(to->repl, &e->message));
        break;
    case RW_REQUEST:
        if (to->silent || (to->repairs_silent && e->message.verb == REPL_VERB_REPAIR))
            break;
        if (e->message.verb == REPL_VERB_REPAIR) { /* writes.c has its own tests */
            /* FAILED: code, no detail, text */
            uint8_t failure[] = {(uint8_t)to->write_rc,
                                 0,
                                 13,
                                 'n',
                                 'o',
                                 ' ',
                                 's',
                                 'p',
                                 'a',
                                 'c',
                                 'e',
                                 ' ',
                                 'l',
                                 'e',
                                 'f',
                                 't'};
            if (!to->write_rc) {
                lib_store_apply(&to->store, e->message.body);
                to->repairs++;
            }
            struct base_message reply = {
                .verb = e->message.verb,
                .flags = (uint8_t)(BASE_MESSAGE_REPLY | (to->write_rc ? BASE_MESSAGE_FAILED : 0)),
                .body = to->write_rc ? base_slice(failure, sizeof failure) : (struct base_slice){0},
                .id = e->message.id,
                .sender = w->ring->members[to->index].host_id,
                .epoch = w->ring->epoch};
            post(w, event_of(RW_REPLY, to, e->from, &reply), MESSAGE_NS + to->delay_ns);
            break;
        }
        if (e->message.verb != REPL_VERB_READ) { /* the log's: nobody answers here */
            ck_assert_uint_lt(e->message.verb, REPL_VERB_WRITE);
            break;
        }
        *(e->message.body.data[0] & 1 ? &to->digests : &to->reads) += 1;
        if (++w->in_flight > w->in_flight_max)
            w->in_flight_max = w->in_flight;
        e->in.message = e->message;
        e->in.deadline_ns = now(w) + e->message.timeout_ms * UINT64_C(1000000);
        INSIDE(w, repl_on_request(to->repl, &e->in));
        return; /* it is the node's now */
    }
    event_free(e);
}

bool rw_step(struct rw_world *w)
{
    uint64_t next = w->events ? w->events->due_ns : UINT64_MAX;
    struct rw_node *ringing = NULL;
    for (size_t i = 0; i < w->count; i++) {
        if (w->nodes[i].alarm_at_ns < next) {
            ringing = &w->nodes[i];
            next = ringing->alarm_at_ns;
        }
    }
    if (next == UINT64_MAX)
        return false;
    if (next > now(w))
        sim_clock_advance(&w->clock, next - now(w));
    if (ringing) {
        ringing->alarm_at_ns = UINT64_MAX;
        INSIDE(w, repl_tick(ringing->repl));
        return true;
    }
    struct rw_event *e = w->events;
    w->events = e->next;
    deliver(w, e);
    return true;
}

void rw_run(struct rw_world *w, const bool *stop)
{
    for (unsigned steps = 0; !(stop && *stop) && rw_step(w); steps++)
        ck_assert_msg(steps < 1000000, "it does not end");
}

/* Life. */

static int64_t timestamp(void *ctx)
{
    (void)ctx;
    return 1;
}

static void make_snapshots(struct rw_world *w, const struct rw_options *o)
{
    static char rf[8];
    snprintf(rf, sizeof rf, "%u", o->rf);
    w->ring = ring_state_new();
    for (size_t i = 0; i < o->nodes; i++)
        add_allocated(&w->ring, i + 1, o->dcs > 1 && i % 2 ? "dc2" : "dc1", "r1",
                      o->tokens ? o->tokens : 4, o->rf);
    struct base_table *table = make_table(&w->arena, "ks", "t",
                                          "p k blob; c c text; s s blob; r a blob; r b blob; "
                                          "r m map<text, text>; r n map<text, text>");
    table->id = lib_table_id;
    static const struct base_index indexes[] = {
        {1, {(const uint8_t *)"ia", 2}, 4, BASE_INDEX_VALUE, {0}},
        {4, {(const uint8_t *)"ib", 2}, 5, BASE_INDEX_VALUE, {0}},
        {2, {(const uint8_t *)"ic", 2}, 2, BASE_INDEX_VALUE, {0}},
        {3, {(const uint8_t *)"is", 2}, 3, BASE_INDEX_VALUE, {0}}};
    if (o->indexed) {
        table->indexes = indexes;
        table->index_count = BASE_COUNT(indexes);
        table->next_index_id = 5;
    }
    if (o->speculative_retry)
        table->options.speculative_retry = base_slice_str(o->speculative_retry);
    if (o->read_repair)
        table->options.read_repair = base_slice_str(o->read_repair);
    struct base_schema *schema = base_schema_new();
    struct base_change change = make_create_keyspace(&w->arena, schema, "ks");
    struct base_keyspace keyspace = *change.keyspace_new;
    struct base_option options[2] = {{BASE_SLICE_LIT("class"), BASE_SLICE_LIT("SimpleStrategy")},
                                     {BASE_SLICE_LIT("replication_factor"), base_slice_str(rf)}};
    keyspace.replication = (struct base_options){options, 2};
    change.keyspace_new = &keyspace;
    schema = make_applied(schema, &change);
    change = make_create_table(schema, table);
    schema = make_applied(schema, &change);
    schema->epoch = w->ring->epoch;
    w->schema = schema;
    w->table = base_schema_table_by_id(schema, lib_table_id);
    ck_assert_ptr_nonnull(w->table);
}

void rw_init(struct rw_world *w, const struct rw_options *o, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->rng = rng_seeded(seed);
    w->count = o->nodes;
    ck_assert_uint_le(o->nodes, RW_NODES_MAX);
    sim_clock_init(&w->clock, 0);
    base_arena_init(&w->arena);
    make_snapshots(w, o);
    for (size_t i = 0; i < w->count; i++) {
        struct rw_node *n = &w->nodes[i];
        const struct ring_member *m = &w->ring->members[i];
        *n = (struct rw_node){.world = w,
                              .index = i,
                              .alarm = {&alarm_ops},
                              .transport = {&transport_ops},
                              .store_port = {&store_ops},
                              .meta_port = {&meta_ops},
                              .alarm_at_ns = UINT64_MAX};
        lib_store_init(&n->store);
        sim_random_init(&n->random, seed + i);
        struct repl_config config;
        repl_config_init(&config);
        config.host_id = m->host_id;
        config.generation = 1;
        config.cluster_name = BASE_SLICE_LIT("Test Cluster");
        config.address = m->address;
        config.dc = m->dc;
        config.rack = m->rack;
        if (o->page_size_bytes)
            config.page_size_bytes = o->page_size_bytes;
        struct repl_ports ports = {.clock = &w->clock.base,
                                   .random = &n->random.base,
                                   .alarm = &n->alarm,
                                   .transport = &n->transport,
                                   .store = &n->store_port,
                                   .meta = &n->meta_port,
                                   .timestamp = timestamp};
        struct repl_initial initial = {.schema = w->schema, .ring = w->ring};
        struct base_err err;
        ck_ok(repl_open(&config, &ports, &initial, &n->repl, &err), err);
    }
    for (size_t i = 0; i < w->count; i++)
        rw_alive(w, i, true);
}

void rw_fini(struct rw_world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        repl_close(w->nodes[i].repl);
        lib_store_fini(&w->nodes[i].store);
        sim_random_fini(&w->nodes[i].random);
    }
    while (w->events) {
        struct rw_event *e = w->events;
        w->events = e->next;
        event_free(e);
    }
    base_schema_release(w->schema);
    ring_state_release(w->ring);
    base_arena_fini(&w->arena);
}

void rw_truncate(struct rw_world *w, size_t node, int64_t time_us)
{
    struct repl *repl = w->nodes[node].repl;
    struct base_change change = {.kind = BASE_CHANGE_TABLE_TRUNCATE,
                                 .expected_epoch = w->schema->epoch,
                                 .keyspace = w->table->keyspace,
                                 .name = w->table->name,
                                 .table_id = w->table->id,
                                 .time_us = time_us};
    struct base_schema *schema;
    struct ring_state *ring;
    struct base_err err;
    ck_ok(base_schema_apply(w->schema, &change, &schema, &err), err);
    ck_ok(ring_state_advance(w->ring, w->ring->epoch + 1, &ring, &err), err);
    repli_event_begin(repl);
    repli_publish(repl, schema, ring);
    repli_event_end(repl);
}

void rw_alive(struct rw_world *w, size_t node, bool alive)
{
    for (size_t i = 0; i < w->count; i++) {
        struct repli_gossip *gossip = w->nodes[i].repl->gossip;
        size_t at = repli_gossip_find(gossip, w->ring->members[node].host_id);
        ck_assert_uint_lt(at, gossip->count);
        gossip->peers[at]->alive = alive;
    }
}

bool rw_is_replica(struct rw_world *w, size_t node, struct base_slice pkey)
{
    const struct ring_placement *placement =
        repl_placement(w->nodes[0].repl, base_schema_keyspace(w->schema, BASE_SLICE_LIT("ks")));
    ck_assert_ptr_nonnull(placement);
    return set_has(ring_placement_find(placement, base_token_get(pkey.data))->read, (uint16_t)node);
}

void rw_put(struct rw_world *w, unsigned nodes, struct base_slice mutation)
{
    for (size_t i = 0; i < w->count; i++) {
        if (nodes & 1u << i)
            lib_store_apply(&w->nodes[i].store, mutation);
    }
}

void rw_put_row(struct rw_world *w, unsigned nodes, uint32_t p, uint32_t k, const char *text)
{
    struct base_buf row, m;
    base_buf_init(&row, 1 << 16);
    base_buf_init(&m, 1 << 16);
    row_parse(text, &row);
    ck_assert_int_eq(
        base_mutation_put_row(&m, lib_table_id, lib_pkey(p), lib_ckey(k), base_buf_view(&row)),
        BASE_OK);
    rw_put(w, nodes, base_buf_view(&m));
    base_buf_fini(&row);
    base_buf_fini(&m);
}

/* Reads. */

static void print_rows(struct rw_world *w, struct base_source *live, const struct base_read *cmd,
                       struct base_buf *text, uint64_t *rows)
{
    struct base_rows it;
    struct base_live_row row;
    struct base_buf words;
    base_buf_init(&words, 1 << 20);
    base_rows_open(&it, cmd, w->table, live);
    for (;;) {
        ck_assert_int_eq(base_rows_next(&it, &row, NULL), BASE_OK);
        if (!row.pkey.len)
            break;
        uint32_t p = 0;
        while (p < LIB_PARTITIONS &&
               !base_slice_equal(lib_pkey(p), row.pkey)) /* of garbage: none */
            p++;
        const char *key = row.ckey.len ? (const char *)row.ckey.data + 1 : "-";
        base_buf_reset(&words);
        row_print(row.static_row, &words);
        ck_assert_int_eq(base_buf_printf(text, "%u/%.*s [%s]", p,
                                         row.ckey.len ? (int)row.ckey.len - 2 : 1, key, words.data),
                         BASE_OK);
        base_buf_reset(&words);
        row_print(row.row, &words);
        ck_assert_int_eq(base_buf_printf(text, " %s\n", words.data), BASE_OK);
        if (rows)
            ++*rows;
    }
    ck_assert_int_eq(base_buf_put_u8(text, 0), BASE_OK);
    base_rows_close(&it);
    base_buf_fini(&words);
}

struct client {
    struct repl_read read;
    bool done;
};

static void read_done(struct repl_read *read)
{
    struct client *c = BASE_CONTAINER(read, struct client, read);
    BASE_ASSERT(!c->done); /* inside: no Check here */
    c->done = true;
}

#define PAGES_MAX 1000

void rw_read(struct rw_world *w, size_t node, const struct base_read *cmd, int consistency,
             uint64_t page_rows_max, struct rw_result *out)
{
    static struct base_buf pages[PAGES_MAX];
    static struct base_source *sources[PAGES_MAX];
    struct client c = {.read = {.cmd = cmd,
                                .table = w->table,
                                .consistency = consistency,
                                .page_rows_max = page_rows_max,
                                .done = read_done}};
    struct repl *repl = w->nodes[node].repl;
    struct repl_page_end end;
    size_t n = 0;
    memset(out, 0, sizeof *out);
    base_buf_init(&out->text, 1 << 20);
    INSIDE(w, repl_read_start(repl, &c.read));
    for (;;) {
        rw_run(w, &c.done);
        ck_assert_msg(c.done, "a read waits for ever");
        out->outcome = c.read.outcome;
        if (c.read.outcome.rc != BASE_OK)
            break;
        ck_assert_uint_lt(n, PAGES_MAX);
        base_buf_init(&pages[n], 16 << 20);
        ck_assert_int_eq(base_buf_put_slice(&pages[n], c.read.page), BASE_OK);
        ck_assert_msg(repl_page_check(base_buf_view(&pages[n]), cmd->reversed, &end),
                      "page %zu is damaged", n);
        ck_assert(end.more == c.read.more || !c.read.more);
        out->empty_pages += end.rows == 0 && c.read.more;
        ck_assert_int_eq(
            repl_page_source(base_buf_view(&pages[n]), cmd->reversed, NULL, &sources[n], NULL),
            BASE_OK);
        n++;
        if (!c.read.more)
            break;
        c.done = false;
        if (w->between_pages)
            w->between_pages();
        INSIDE(w, repl_read_next(repl, &c.read));
    }
    INSIDE(w, repl_read_close(repl, &c.read));
    out->pages = (unsigned)n;
    print_rows(w, live_of(sources, n, cmd), cmd, &out->text, &out->rows);
    for (size_t i = 0; i < n; i++)
        base_buf_fini(&pages[i]);
}

void rw_result_fini(struct rw_result *result)
{
    base_buf_fini(&result->text);
}

void rw_expect_text(struct rw_result *result, const char *text)
{
    ck_assert_msg(result->outcome.rc == BASE_OK, "%s", result->outcome.err.text);
    ck_assert_str_eq((char *)result->text.data, text);
    rw_result_fini(result);
}

void rw_expect_failure(struct rw_result *result, int rc, const char *part)
{
    ck_assert_msg(result->outcome.rc == rc, "%s: %s", base_err_words(result->outcome.rc),
                  result->outcome.err.text);
    ck_assert_msg(strstr(result->outcome.err.text, part), "%s", result->outcome.err.text);
    rw_result_fini(result);
}

void rw_expect(struct rw_world *w, unsigned nodes, const struct base_read *cmd,
               struct base_buf *text)
{
    const struct lib_store *stores[RW_NODES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (nodes & 1u << i)
            stores[n++] = &w->nodes[i].store;
    }
    struct base_source *source =
        lib_store_read(stores, n, cmd, cmd->now_s - w->table->options.gc_grace_s);
    base_buf_reset(text);
    print_rows(w, live_of(&source, 1, cmd), cmd, text, NULL);
}

struct base_read rw_command(const struct rw_world *w, uint32_t p)
{
    struct base_read cmd = BASE_READ_INIT;
    cmd.table_id = lib_table_id;
    cmd.epoch = w->ring->epoch;
    cmd.slices = base_slices_all;
    cmd.now_s = 25;
    if (p < LIB_PARTITIONS)
        cmd.pkey = lib_pkey(p);
    return cmd;
}

unsigned rw_replicas_of(struct rw_world *w, struct base_slice pkey)
{
    unsigned set = 0;
    for (size_t i = 0; i < w->count; i++)
        set |= rw_is_replica(w, i, pkey) ? 1u << i : 0;
    return set;
}
