/* The language's ports on the cluster's event loop: reads and writes go to the coordinator
 * (replication/), changes to the metadata log. The native protocol's requests run here from their
 * first byte to their last without another thread, but for what waits for the disk.
 *
 * Invariants:
 *  1. An operation's `ready` is called from the loop, never from inside the call that began it
 *     (`in_call` tells the two apart).
 *  2. A read's pages are asked for one at a time, each when the one before is used up; the memory
 *     of a closed read is kept for the next (SPARE_MAX of them).
 *  3. What a row borrows (its page) stays until the next call. */
#include "node/cluster_private.h"
#include "node/cql_admin.h"
#include "replication/page.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#define PAGE_ROWS 5000
#define SPARE_MAX 64
#define CHANGE_TRIES_MAX 20 /* changes of others that came first, before ours is given up */

static struct nodei_client *client_of(struct cql_ports *ports)
{
    return BASE_CONTAINER(ports, struct nodei_client, ports);
}

/* A member by where the others reach it. False: it has left, or has no numeric address. */
static bool name_failed(const struct repl *repl, const struct repl_failed *failed,
                        struct cql_failed_replica *out)
{
    const struct ring_state *ring = repl_ring(repl);
    char text[128], host[64];
    uint16_t port;
    *out = (struct cql_failed_replica){
        .reason = failed->rc == BASE_E_STALE ? CQL_FAILED_INCOMPATIBLE_SCHEMA : CQL_FAILED_UNKNOWN};
    for (size_t i = 0; i < ring->member_count; i++) {
        const struct ring_member *m = &ring->members[i];
        if (!base_uuid_equal(m->host_id, failed->host_id))
            continue;
        snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(m->address));
        if (net_address_parse(text, host, &port, NULL) != BASE_OK)
            return false;
        out->address_len = inet_pton(AF_INET, host, out->address) == 1    ? 4
                           : inet_pton(AF_INET6, host, out->address) == 1 ? 16
                                                                          : 0;
    }
    return out->address_len > 0;
}

static struct cql_outcome outcome_of(const struct node *node, const struct repl_outcome *o,
                                     bool is_write)
{
    struct cql_outcome out = {.required = o->required,
                              .received = o->received,
                              .alive = o->alive,
                              .failures = o->failures,
                              .write_type = (int)o->write_type,
                              .data_present = o->data_present,
                              .is_write = is_write,
                              .consistency = o->consistency};
    for (unsigned i = 0; i < o->failures && i < REPL_FAILED_MAX; i++)
        out.failed_count +=
            name_failed(node->cluster->repl, &o->failed[i], &out.failed[out.failed_count]);
    return out;
}

static int outcome_error(const struct repl_outcome *o, struct base_err *err)
{
    if (o->rc == BASE_OK)
        return BASE_OK;
    return base_err_set(err, o->rc, "%s", o->err.text[0] ? o->err.text : base_err_words(o->rc));
}

/* Reads. */

struct nodei_loop_read {
    struct nodei_loop_read *next; /* spare */
    struct nodei_client *client;
    struct cql_read *read;
    struct repl_read repl;
    struct base_read cmd; /* as the coordinator gets it: limits are applied by `rows` */
    struct base_rows rows;
    struct base_source *merge; /* kept for its memory */
    bool known;                /* the coordinator knows the read */
    bool rows_open;
    bool page_due; /* a page was asked for and not looked at yet */
    bool in_call, answered;
};

static void page_done(struct repl_read *repl)
{
    struct nodei_loop_read *r = BASE_CONTAINER(repl, struct nodei_loop_read, repl);
    r->answered = true;
    if (!r->in_call)
        r->read->ready(r->read);
}

/* True: the page is there. */
static bool ask_page(struct nodei_loop_read *r, bool first)
{
    struct repl *repl = r->client->node->cluster->repl;
    uint64_t wanted = r->read->cmd->filter_count ? PAGE_ROWS
                      : first                    ? r->read->cmd->row_limit
                                                 : r->rows.rows_left;
    r->repl.page_rows_max = wanted < PAGE_ROWS ? wanted : PAGE_ROWS;
    r->answered = false;
    r->page_due = true;
    r->in_call = true;
    if (first)
        repl_read_start(repl, &r->repl);
    else
        repl_read_next(repl, &r->repl);
    r->in_call = false;
    return r->answered;
}

static int take_page(struct nodei_loop_read *r, struct base_err *err)
{
    struct base_source *page;
    const struct base_merge_options options = {
        .reversed = r->cmd.reversed,
        .purge = {.now_s = r->cmd.now_s, .gc_before_s = INT64_MIN, .purgeable_ts = INT64_MIN},
    };
    r->page_due = false;
    r->read->outcome = outcome_of(r->client->node, &r->repl.outcome, false);
    int rc = outcome_error(&r->repl.outcome, err);
    if (rc == BASE_OK)
        rc = repl_page_source(r->repl.page, r->cmd.reversed, NULL, &page, err);
    if (rc == BASE_OK)
        rc = r->merge ? base_merge_reopen(r->merge, &page, 1, &options, err)
                      : base_merge_open(&page, 1, &options, &r->merge, err);
    if (rc == BASE_OK)
        base_rows_page(&r->rows, r->merge, r->repl.more);
    return rc;
}

/* The next row of the pages that are there, or ask for one. */
static enum cql_answer pull(struct nodei_loop_read *r)
{
    struct cql_read *read = r->read;
    for (;;) {
        if (r->page_due && (read->rc = take_page(r, &read->err)) != BASE_OK)
            return CQL_DONE;
        read->rc = base_rows_next(&r->rows, &read->row, &read->err);
        if (read->rc != BASE_OK || read->row.pkey.len || r->rows.stopped || !r->rows.more)
            return CQL_DONE;
        if (!ask_page(r, false))
            return CQL_PENDING;
    }
}

static struct nodei_loop_read *take_read(struct nodei_cluster *cluster)
{
    struct nodei_loop_read *r = cluster->spare_reads;
    if (!r)
        return calloc(1, sizeof *r);
    cluster->spare_reads = r->next;
    cluster->spare_read_count--;
    struct base_source *merge = r->merge;
    *r = (struct nodei_loop_read){.merge = merge};
    return r;
}

static void free_read(struct nodei_loop_read *r)
{
    if (r->merge)
        r->merge->ops->close(r->merge);
    free(r);
}

void nodei_cql_loop_close(struct nodei_cluster *cluster)
{
    while (cluster->spare_reads) {
        struct nodei_loop_read *r = cluster->spare_reads;
        cluster->spare_reads = r->next;
        free_read(r);
    }
    cluster->spare_read_count = 0;
}

/* Rows that the node makes up. */
static int open_system(struct nodei_loop_read *r, struct base_err *err)
{
    struct base_source *source;
    struct node *node = r->client->node;
    int rc =
        nodei_system_read(node, node->cluster->repl, r->read->table, r->read->cmd, &source, err);
    if (rc != BASE_OK)
        return rc;
    base_rows_open(&r->rows, r->read->cmd, r->read->table, source);
    r->rows_open = true;
    return BASE_OK;
}

static enum cql_answer read_open(struct nodei_client *client, struct cql_read *read)
{
    struct nodei_loop_read *r = take_read(client->node->cluster);
    if (!r) {
        read->rc = base_err_set(&read->err, BASE_E_NOMEM, "a read: out of memory");
        return CQL_DONE;
    }
    r->client = client;
    r->read = read;
    read->state = r;
    if (nodei_is_system_table(read->table)) {
        read->rc = open_system(r, &read->err);
        return read->rc == BASE_OK ? pull(r) : CQL_DONE;
    }
    r->cmd = *read->cmd;
    r->cmd.row_limit = UINT64_MAX;
    nodei_trace_replicas(client, read->table, read->cmd->pkey, false);
    r->repl = (struct repl_read){
        .cmd = &r->cmd, .table = read->table, .consistency = read->consistency, .done = page_done};
    base_rows_open(&r->rows, read->cmd, read->table, NULL);
    r->rows_open = r->known = true;
    return ask_page(r, true) ? pull(r) : CQL_PENDING;
}

static enum cql_answer loop_read_next(struct cql_ports *ports, struct cql_read *read)
{
    struct nodei_loop_read *r = read->state;
    read->row = (struct base_live_row){0};
    if (r)
        return pull(r);
    read->rc = nodei_roles_check_read(client_of(ports), read->table, &read->err);
    return read->rc == BASE_OK ? read_open(client_of(ports), read) : CQL_DONE;
}

static void loop_read_close(struct cql_ports *ports, struct cql_read *read)
{
    struct nodei_cluster *cluster = client_of(ports)->node->cluster;
    struct nodei_loop_read *r = read->state;
    static const struct base_merge_options none;
    if (!r)
        return;
    read->state = NULL;
    if (r->known)
        repl_read_close(cluster->repl, &r->repl);
    if (r->rows_open) {
        if (r->rows.source == r->merge)
            r->rows.source = NULL; /* it stays */
        base_rows_close(&r->rows);
    }
    if (cluster->spare_read_count == SPARE_MAX ||
        (r->merge && base_merge_reopen(r->merge, NULL, 0, &none, NULL) != BASE_OK)) {
        free_read(r);
        return;
    }
    r->next = cluster->spare_reads;
    cluster->spare_reads = r;
    cluster->spare_read_count++;
}

/* Writes. */

struct loop_write {
    struct repl_write repl;
    struct nodei_client *client;
    struct cql_write *write;
    bool in_call, answered;
};

static void write_take(struct loop_write *w)
{
    struct cql_write *write = w->write;
    write->outcome = outcome_of(w->client->node, &w->repl.outcome, true);
    write->rc = outcome_error(&w->repl.outcome, &write->err);
    write->state = NULL;
    free(w);
}

static void write_done(struct repl_write *repl)
{
    struct loop_write *w = BASE_CONTAINER(repl, struct loop_write, repl);
    w->answered = true;
    if (repl->outcome.rc == BASE_E_CONDITION &&
        base_buf_put_slice(&w->write->current, repl->current) != BASE_OK)
        repl->outcome.rc =
            base_err_set(&repl->outcome.err, BASE_E_NOMEM,
                         "nothing was written; and no memory for what the condition found");
    if (w->in_call)
        return;
    struct cql_write *write = w->write;
    write_take(w);
    write->ready(write);
}

/* Where the partitions of a write live. */
static void trace_write(struct nodei_client *client, const struct cql_write *write)
{
    struct base_reader in = base_reader(write->mutations);
    struct base_mutation m;
    for (size_t i = 0; client->trace && i < write->mutation_count && base_mutation_decode(&in, &m);
         i++) {
        const struct base_table *table =
            base_schema_table_by_id(repl_schema(client->node->cluster->repl), m.table_id);
        if (table)
            nodei_trace_replicas(client, table, m.pkey, true);
    }
}

static enum cql_answer loop_write(struct cql_ports *ports, struct cql_write *write)
{
    write->rc = nodei_roles_check_write(client_of(ports), write->mutations, write->mutation_count,
                                        &write->err);
    if (write->rc != BASE_OK)
        return CQL_DONE;
    trace_write(client_of(ports), write);
    struct loop_write *w = calloc(1, sizeof *w);
    if (!w) {
        write->rc = base_err_set(&write->err, BASE_E_NOMEM, "a write: out of memory");
        return CQL_DONE;
    }
    w->client = client_of(ports);
    w->write = write;
    write->state = w;
    w->repl = (struct repl_write){.mutations = write->mutations,
                                  .mutation_count = write->mutation_count,
                                  .consistency = write->consistency,
                                  .logged = write->logged,
                                  .condition = write->condition,
                                  .done = write_done};
    w->in_call = true;
    repl_write_start(client_of(ports)->node->cluster->repl, &w->repl);
    w->in_call = false;
    if (!w->answered)
        return CQL_PENDING;
    write_take(w);
    return CQL_DONE;
}

/* Changes of the schema. */

struct loop_change {
    struct nodei_change change;
    struct nodei_client *client;
    struct cql_admin *admin;
    struct base_arena arena;
    struct base_schema *schema;
    struct cql_ddl ddl;
    int tries;
    bool in_call, answered;
};

static void change_free(struct loop_change *c)
{
    if (c->schema)
        base_schema_release(c->schema);
    base_arena_fini(&c->arena);
    free(c);
}

/* Judge it against the present snapshot. True: it is under way. */
static bool change_begin(struct loop_change *c)
{
    struct cql_admin *admin = c->admin;
    struct node *node = c->client->node;
    if (c->schema)
        base_schema_release(c->schema);
    base_arena_reset(&c->arena);
    c->schema = node_schema(node);
    struct cql_context context = nodei_cql_context(node, "", c->schema);
    /* as the request began: not what a later USE has made of it */
    context.keyspace = admin->keyspace;
    context.internal = c->client->internal;
    admin->rc = cql_analyze_ddl(&c->arena, admin->statement, &context, &c->ddl, &admin->err);
    if (admin->rc != BASE_OK || c->ddl.nothing)
        return false;
    c->answered = false;
    c->in_call = true;
    nodei_change_start(node, &c->change, &c->ddl.change);
    c->in_call = false;
    return true;
}

/* Its answer is there. True: it has ended. */
static bool change_take(struct loop_change *c)
{
    struct cql_admin *admin = c->admin;
    const struct repl_outcome *outcome = &c->change.repl.outcome;
    if (outcome->rc == BASE_E_STALE && c->tries++ < CHANGE_TRIES_MAX)
        return false;
    admin->outcome = outcome_of(c->client->node, outcome, true);
    admin->rc = outcome_error(outcome, &admin->err);
    if (admin->rc == BASE_OK)
        admin->rc = nodei_admin_changed(admin, &c->ddl.change, &admin->err);
    return true;
}

/* Go on until it waits or has ended (true). */
static bool change_run(struct loop_change *c)
{
    while (change_begin(c)) {
        if (!c->answered)
            return false;
        if (change_take(c))
            return true;
    }
    return true;
}

static void change_done(struct nodei_change *change)
{
    struct loop_change *c = BASE_CONTAINER(change, struct loop_change, change);
    c->answered = true;
    if (c->in_call || (!change_take(c) && !change_run(c)))
        return;
    struct cql_admin *admin = c->admin;
    change_free(c);
    admin->ready(admin);
}

static enum cql_answer change_schema(struct nodei_client *client, struct cql_admin *admin)
{
    struct loop_change *c = calloc(1, sizeof *c);
    if (!c) {
        admin->rc = base_err_set(&admin->err, BASE_E_NOMEM, "a schema change: out of memory");
        return CQL_DONE;
    }
    base_arena_init(&c->arena);
    c->client = client;
    c->admin = admin;
    c->change.done = change_done;
    if (!change_run(c))
        return CQL_PENDING;
    change_free(c);
    return CQL_DONE;
}

static enum cql_answer loop_admin(struct cql_ports *ports, struct cql_admin *admin)
{
    struct nodei_client *client = client_of(ports);
    switch (cql_statement_kind(admin->statement)) {
    case CQL_USE:
        admin->rc = nodei_admin_use(client->node, admin, client->keyspace, &admin->err);
        return CQL_DONE;
    case CQL_DESCRIBE:
        admin->rc = nodei_admin_describe(client->node, admin, &admin->err);
        return CQL_DONE;
    case CQL_CREATE_ROLE:
    case CQL_ALTER_ROLE:
    case CQL_DROP_ROLE:
    case CQL_LIST_ROLES:
        return nodei_roles_admin(client, admin);
    default:
        admin->rc = nodei_roles_check_ddl(client, admin->statement, admin->keyspace, &admin->err);
        return admin->rc == BASE_OK ? change_schema(client, admin) : CQL_DONE;
    }
}

/* The rest. */

static int64_t loop_timestamp(struct cql_ports *ports)
{
    return node_timestamp(client_of(ports)->node);
}

static int64_t loop_now_us(struct cql_ports *ports)
{
    return base_clock_wall(client_of(ports)->node->clock).us;
}

static void loop_random(struct cql_ports *ports, void *out, size_t len)
{
    struct base_random *random = nodei_random(client_of(ports)->node);
    random->ops->fill(random, out, (unsigned)len);
}

static void loop_trace(struct cql_ports *ports, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    nodei_trace_event(client_of(ports), text);
}

static const struct cql_port_ops loop_ops = {.timestamp = loop_timestamp,
                                             .now_us = loop_now_us,
                                             .random = loop_random,
                                             .read_next = loop_read_next,
                                             .read_close = loop_read_close,
                                             .write = loop_write,
                                             .admin = loop_admin,
                                             .trace = loop_trace};

void nodei_client_init_on_loop(struct nodei_client *client, struct node *node)
{
    BASE_ASSERT(node->cluster);
    *client = (struct nodei_client){
        .ports = {&loop_ops, &node->cql_limits}, .node = node, .is_superuser = true};
}
