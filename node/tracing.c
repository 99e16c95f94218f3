/* Traces of requests: what happened at this coordinator, kept in memory while the request runs and
 * written to system_traces when it has ended, events first: who finds a session with its duration
 * finds all its events. Nobody waits for it; rows live for a day, as Cassandra's
 * trace_type_query_ttl. Other nodes' part of a request is not in it.
 *
 * Drivers read with one replica: so events go to all of a partition's that are there (QUORUM of two
 * is both), and to whoever can take them when they are not.
 *
 * Invariants:
 *  1. A trace belongs to its client until nodei_trace_end, then to itself: the client may be gone.
 *  2. At most WRITING_MAX are being written; more are dropped and said. At most EVENTS_MAX events
 *     are kept of one. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/key.h"
#include "node/cluster_private.h"
#include "node/cql_internal.h"
#include "node/system_private.h"

#define EVENTS_MAX 100
#define REPLICAS_SHOWN_MAX 8
#define QUERY_LEN_MAX 65536 /* of the text that is kept */
#define WRITING_MAX 256
#define TTL " USING TTL 86400"
#define EVENT_VALUES 7
#define SESSION_VALUES 9

struct event {
    char *text;
    uint64_t elapsed_us;
    struct base_uuid id;
    struct event *next;
};
struct nodei_trace {
    struct node *node;
    struct base_arena arena;
    struct base_uuid id;
    uint64_t began_ns;
    int64_t began_us; /* wall */
    int32_t duration_us;
    char *query;
    const char *request;                 /* static */
    int consistency, serial_consistency; /* -1: not said */
    int32_t page_size;                   /* 0: not said */
    uint8_t client[16], own[16];
    size_t client_len, own_len; /* 0: none that is known */
    int32_t own_port;
    struct event *events, **events_end;
    size_t event_count;
    bool events_at_any; /* a quorum was not to be had */
    struct nodei_query write;
};

/* A version 1 uuid of this host for a time that no other has: the node's timestamps grow. */
static struct base_uuid timeuuid(struct node *node)
{
    /* 100 ns since 1582 */
    uint64_t ticks = (uint64_t)node_timestamp(node) * 10 + UINT64_C(0x01B21DD213814000);
    struct base_uuid id = node->identity.host_id;
    base_put_be32(id.b, (uint32_t)ticks);
    base_put_be16(id.b + 4, (uint16_t)(ticks >> 32));
    base_put_be16(id.b + 6, (uint16_t)(0x1000 | (ticks >> 48 & 0x0fff)));
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    id.b[10] |= 0x01; /* not a network card's address */
    return id;
}

static uint64_t elapsed_us(const struct nodei_trace *trace)
{
    return (base_clock_mono(trace->node->clock).ns - trace->began_ns) / 1000;
}

static size_t put_address(const char *host, uint8_t out[16])
{
    return inet_pton(AF_INET, host, out) == 1 ? 4 : inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

static void trace_free(struct nodei_trace *trace)
{
    base_arena_fini(&trace->arena);
    free(trace);
}

int nodei_trace_begin(struct nodei_client *client, struct base_slice query, struct base_uuid *id,
                      struct base_err *err)
{
    struct node *node = client->node;
    struct nodei_trace *trace = calloc(1, sizeof *trace);
    char host[64];
    uint16_t port;
    BASE_ASSERT(!client->trace);
    *id = (struct base_uuid){0};
    if (!trace)
        return base_err_set(err, BASE_E_NOMEM, "a trace: %s", base_err_words(BASE_E_NOMEM));
    base_arena_init(&trace->arena);
    trace->node = node;
    trace->request = "Execute CQL3 query";
    trace->consistency = trace->serial_consistency = -1;
    trace->id = timeuuid(node);
    trace->began_ns = base_clock_mono(node->clock).ns;
    trace->began_us = base_clock_wall(node->clock).us;
    trace->events_end = &trace->events;
    trace->client_len = put_address(client->address, trace->client);
    if (nodei_split_address(base_slice_str(nodei_cluster_address(node)), host, &port)) {
        trace->own_len = put_address(host, trace->own);
        trace->own_port = port;
    }
    trace->query = base_arena_strdup(
        &trace->arena,
        base_slice(query.data, query.len < QUERY_LEN_MAX ? query.len : QUERY_LEN_MAX));
    if (!trace->query) {
        trace_free(trace);
        return base_err_set(err, BASE_E_NOMEM, "a trace: %s", base_err_words(BASE_E_NOMEM));
    }
    client->trace = trace;
    *id = trace->id;
    char text[256];
    /* clients show the end by themselves */
    snprintf(text, sizeof text, "Parsing %s", trace->query);
    nodei_trace_event(client, text);
    return BASE_OK;
}

void nodei_trace_describe(struct nodei_client *client, const char *request, int consistency,
                          int serial_consistency, int32_t page_size)
{
    struct nodei_trace *trace = client->trace;
    if (!trace)
        return;
    trace->request = request;
    trace->consistency = consistency;
    trace->serial_consistency = serial_consistency;
    trace->page_size = page_size;
}

void nodei_trace_event(struct nodei_client *client, const char *text)
{
    struct nodei_trace *trace = client->trace;
    if (!trace || trace->event_count > EVENTS_MAX)
        return;
    struct event *event = base_arena_zalloc(&trace->arena, sizeof *event);
    if (event)
        event->text = base_arena_strdup(
            &trace->arena,
            base_slice_str(trace->event_count < EVENTS_MAX ? text : "More events are not kept"));
    if (!event || !event->text)
        return; /* out of memory: a trace less whole */
    event->elapsed_us = elapsed_us(trace);
    event->id = timeuuid(trace->node);
    *trace->events_end = event;
    trace->events_end = &event->next;
    trace->event_count++;
}

void nodei_trace_replicas(struct nodei_client *client, const struct base_table *table,
                          struct base_slice pkey, bool write)
{
    char text[512];
    int len;
    struct repl *repl = client->trace ? client->node->cluster->repl : NULL;
    const struct base_keyspace *keyspace =
        repl ? base_schema_keyspace(repl_schema(repl), table->keyspace) : NULL;
    const struct ring_placement *placement =
        keyspace && pkey.len > 8 ? repl_placement(repl, keyspace) : NULL;
    if (!placement)
        return;
    int64_t token = base_token_get(pkey.data);
    const struct ring_range *range = ring_placement_find(placement, token);
    const struct ring_set *set = write ? &range->write : &range->read;
    len = snprintf(text, sizeof text, "Token %lld of %.*s.%.*s: replicas", (long long)token,
                   BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name));
    for (unsigned i = 0; i < set->count && i < REPLICAS_SHOWN_MAX && len < (int)sizeof text - 1;
         i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s/%.*s", i ? ", " : " ",
                        BASE_SLICE_ARG(placement->state->members[set->members[i]].address));
    nodei_trace_event(client, text);
}

/* Writing it. */

static struct cql_value be32(struct nodei_trace *trace, int32_t value)
{
    uint8_t *bytes = base_arena_alloc(&trace->arena, 4);
    if (!bytes)
        return (struct cql_value){.state = CQL_VALUE_UNSET};
    base_put_be32(bytes, (uint32_t)value);
    return nodei_value(bytes, 4);
}

static int32_t clamp(uint64_t us)
{
    return us > INT32_MAX ? INT32_MAX : (int32_t)us;
}

static struct cql_value address(const uint8_t *bytes, size_t len)
{
    return len ? nodei_value(bytes, len) : (struct cql_value){.state = CQL_VALUE_UNSET};
}

static void written(struct nodei_trace *trace)
{
    struct nodei_cluster *cluster = trace->node->cluster;
    if (trace->write.rc != BASE_OK)
        base_logf(trace->node->log, BASE_LOG_WARN, "a trace was not written: %s",
                  trace->write.err.text);
    nodei_query_end(&trace->write);
    BASE_ASSERT(cluster->traces_writing > 0);
    cluster->traces_writing--;
    trace_free(trace);
}

static void session_done(struct nodei_query *query)
{
    written(BASE_CONTAINER(query, struct nodei_trace, write));
}

struct parameter {
    const char *name, *value;
};

/* A map<text, text>; names ascend. What has no value is left out. */
static struct cql_value text_map(struct nodei_trace *trace, const struct parameter *items,
                                 size_t count)
{
    size_t size = 4, at = 4;
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++)
        size += items[i].value ? 8 + strlen(items[i].name) + strlen(items[i].value) : 0;
    uint8_t *bytes = base_arena_alloc(&trace->arena, size);
    if (!bytes)
        return (struct cql_value){.state = CQL_VALUE_UNSET};
    for (size_t i = 0; i < count; i++) {
        const char *const parts[] = {items[i].name, items[i].value};
        for (size_t k = 0; items[i].value && k < 2; k++) {
            size_t len = strlen(parts[k]);
            base_put_be32(bytes + at, (uint32_t)len);
            memcpy(bytes + at + 4, parts[k], len);
            at += 4 + len;
        }
        n += items[i].value != NULL;
    }
    BASE_ASSERT(at == size);
    base_put_be32(bytes, n);
    return nodei_value(bytes, size);
}

static struct cql_value parameters(struct nodei_trace *trace)
{
    char page[16];
    snprintf(page, sizeof page, "%d", (int)trace->page_size);
    const struct parameter items[] = {
        {"consistency_level",
         trace->consistency < 0 ? NULL : node_consistency_name(trace->consistency)},
        {"page_size", trace->page_size > 0 ? page : NULL},
        {"query", trace->query},
        {"serial_consistency_level",
         trace->serial_consistency < 0 ? NULL : node_consistency_name(trace->serial_consistency)},
    };
    return text_map(trace, items, BASE_COUNT(items));
}

static void write_session(struct nodei_trace *trace)
{
    uint8_t started[8];
    base_put_be64(started, (uint64_t)(trace->began_us / 1000));
    const struct cql_value values[SESSION_VALUES] = {nodei_value(trace->id.b, sizeof trace->id.b),
                                                     address(trace->client, trace->client_len),
                                                     nodei_value_text("QUERY"),
                                                     address(trace->own, trace->own_len),
                                                     be32(trace, trace->own_port),
                                                     be32(trace, trace->duration_us),
                                                     parameters(trace),
                                                     nodei_value_text(trace->request),
                                                     nodei_value(started, sizeof started)};
    trace->write.done = session_done;
    if (nodei_query_start(&trace->write, trace->node,
                          "INSERT INTO system_traces.sessions (session_id, client, command, "
                          "coordinator, coordinator_port, duration, "
                          "parameters, request, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" TTL,
                          values, SESSION_VALUES, NODE_CL_ANY) == CQL_DONE)
        written(trace);
}

static void write_events(struct nodei_trace *trace, int consistency);

static void events_taken(struct nodei_trace *trace)
{
    int rc = trace->write.rc;
    if (rc != BASE_OK && (trace->events_at_any || rc == BASE_E_NOTFOUND || rc == BASE_E_CLOSED)) {
        written(trace);
        return;
    }
    nodei_query_end(&trace->write);
    if (rc == BASE_OK) {
        write_session(trace);
    } else {
        trace->events_at_any = true;
        write_events(trace, NODE_CL_ANY);
    }
}

static void events_done(struct nodei_query *query)
{
    events_taken(BASE_CONTAINER(query, struct nodei_trace, write));
}

/* All events are rows of one partition: one batch, one mutation. */
static void write_events(struct nodei_trace *trace, int consistency)
{
    static const char insert[] = "INSERT INTO system_traces.events (session_id, event_id, "
                                 "activity, source, source_port, source_elapsed, "
                                 "thread) VALUES (?, ?, ?, ?, ?, ?, ?)" TTL "; ";
    struct base_buf text;
    struct cql_value *values =
        base_arena_alloc(&trace->arena, (trace->event_count + 1) * EVENT_VALUES * sizeof *values);
    size_t n = 0;
    base_buf_init(&text, (EVENTS_MAX + 2) * sizeof insert + 64);
    int rc = values ? base_buf_put(&text, "BEGIN UNLOGGED BATCH ", 21) : BASE_E_NOMEM;
    for (const struct event *e = trace->events; rc == BASE_OK && e; e = e->next) {
        rc = base_buf_put(&text, insert, sizeof insert - 1);
        const struct cql_value row[EVENT_VALUES] = {nodei_value(trace->id.b, sizeof trace->id.b),
                                                    nodei_value(e->id.b, sizeof e->id.b),
                                                    nodei_value_text(e->text),
                                                    address(trace->own, trace->own_len),
                                                    be32(trace, trace->own_port),
                                                    be32(trace, clamp(e->elapsed_us)),
                                                    nodei_value_text("ringlet-loop")};
        memcpy(values + n, row, sizeof row);
        n += EVENT_VALUES;
    }
    if (rc == BASE_OK)
        rc = base_buf_put(&text, "APPLY BATCH", sizeof "APPLY BATCH"); /* its NUL too */
    trace->write.done = events_done;
    if (rc == BASE_OK && trace->event_count > 0) {
        if (nodei_query_start(&trace->write, trace->node, (const char *)text.data, values, n,
                              consistency) == CQL_DONE)
            events_taken(trace);
    } else { /* none, or no memory for them */
        write_session(trace);
    }
    base_buf_fini(&text);
}

void nodei_trace_end(struct nodei_client *client)
{
    struct nodei_trace *trace = client->trace;
    struct nodei_cluster *cluster = client->node->cluster;
    if (!trace)
        return;
    client->trace = NULL;
    trace->duration_us = clamp(elapsed_us(trace));
    if (cluster->traces_writing >= WRITING_MAX) {
        base_logf(trace->node->log, BASE_LOG_WARN, "a trace was dropped: %d are being written",
                  WRITING_MAX);
        trace_free(trace);
        return;
    }
    cluster->traces_writing++;
    write_events(trace, NODE_CL_QUORUM);
}
