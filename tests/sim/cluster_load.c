/* Clients, and what they write. A request's outcome is told to the model as base/err.h classes it:
 * what was refused must never be seen, what may have happened may be seen at any time. */
#include "tests/sim/cluster_load.h"

#include <inttypes.h>
#include <stdio.h>

#define WATCH_SLACK_NS (1500 * CLUSTER_MS)

void cl_must_(int rc, const char *what)
{
    if (rc == BASE_OK)
        return;
    fprintf(stderr, "cluster load: %s: %s\n", what, base_err_words(rc));
    abort();
}

/* Options. */

void cl_options_draw(struct cl_options *o, struct rng *rng, const struct cluster_options *world)
{
    static const char *const retries[] = {"99p", "NONE", "ALWAYS", "5ms"};
    *o = (struct cl_options){
        .clients = 1 + (unsigned)rng_below(rng, 6),
        .think_max_ns = (1 + rng_below(rng, 400)) * CLUSTER_MS,
        .partitions = 1 + (unsigned)rng_below(rng, CM_PARTITIONS_MAX),
        .rows = 1 + (unsigned)rng_below(rng, CM_ROWS_MAX),
        .keyspaces = 1 + (unsigned)rng_below(rng, CL_KEYSPACES_MAX),
        .reads = 15 + (unsigned)rng_below(rng, 25),
        .range_reads = (unsigned)rng_below(rng, 15),
        .logged = rng_chance(rng, 60) ? (unsigned)rng_below(rng, 20) : 0,
        .unlogged = (unsigned)rng_below(rng, 8),
        .if_absent = (unsigned)rng_below(rng, 6),
        .changes = rng_chance(rng, 30) ? 1 + (unsigned)rng_below(rng, 4) : 0,
        .ttl_percent = rng_chance(rng, 40) ? (unsigned)rng_below(rng, 30) : 0,
        .delete_percent = (unsigned)rng_below(rng, 40),
        .any_percent = rng_chance(rng, 30) ? (unsigned)rng_below(rng, 30) : 0,
        .weak_percent = (unsigned)rng_below(rng, 50),
        .value_len_max = rng_one_in(rng, 4) ? 2000 : 40,
        .speculative_retry = retries[rng_below(rng, BASE_COUNT(retries))],
    };
    if (!o->ttl_percent && rng_one_in(rng, 4))
        o->coarse_us = 1 + rng_below(rng, 200000);
    for (unsigned i = 0; i < o->keyspaces; i++) {
        o->rf[i] = 1 + (unsigned)rng_below(rng, world->nodes < 5 ? world->nodes : 5);
        if (rng_one_in(rng, 2) && world->nodes >= 3)
            o->rf[i] = 3;
        o->per_dc[i] = world->dcs > 1 ? true : rng_chance(rng, 50);
        /* with fewer, ALL is never reached */
        unsigned members = o->per_dc[i] ? world->nodes / world->dcs : world->nodes;
        if (o->rf[i] > members)
            o->rf[i] = members;
    }
}

void cl_options_print(const struct cl_options *o, FILE *out)
{
    fprintf(out,
            "  load: clients %u think %" PRIu64
            " ms partitions %u rows %u keyspaces %u rf %u%s/%u%s reads %u ranges %u logged %u"
            " unlogged %u if_absent %u changes %u indexes %u ttl %u deletes %u any %u weak %u "
            "coarse %" PRIu64 " values %u retry %s\n",
            o->clients, o->think_max_ns / CLUSTER_MS, o->partitions, o->rows, o->keyspaces,
            o->rf[0], o->per_dc[0] ? " per dc" : "", o->rf[1], o->per_dc[1] ? " per dc" : "",
            o->reads, o->range_reads, o->logged, o->unlogged, o->if_absent, o->changes, o->indexes,
            o->ttl_percent, o->delete_percent, o->any_percent, o->weak_percent, o->coarse_us,
            o->value_len_max, o->speculative_retry);
}

/* Keys. */

void cl_put_pkey(const struct cm_table *t, unsigned partition, struct base_buf *out)
{
    uint8_t key[8];
    base_put_be64(key, 1000003u * (uint64_t)(partition + 1) + t->id.b[0]);
    CL_OK(base_pkey_put(base_slice(key, 8), out));
}

void cl_put_ckey(const struct cm_table *t, unsigned row, enum base_key_byte position,
                 struct base_buf *out)
{
    static const struct base_type type = {.kind = BASE_TYPE_INT};
    uint8_t value[4];
    bool exact = true;
    base_put_be32(value, cl_row_value(row));
    CL_OK(base_ckey_put(&type, t->descending, base_slice(value, 4), out, &exact, NULL));
    CL_OK(base_ckey_end(position, out));
}

/* Choices. */

static struct rng *rng_of(struct cl_client *c)
{
    return &c->load->w->rng;
}

static bool serves(const struct cluster_node *node)
{
    if (!cluster_node_is_up(node) || node->paused)
        return false;
    return node->guest ? repl_epoch(node->repl) > 0 : repl_stage(node->repl) == REPL_MEMBER;
}

bool cl_pick_node(struct cl_client *c)
{
    struct cluster_world *w = c->load->w;
    size_t start = rng_below(&w->rng, w->node_count);
    for (size_t i = 0; i < w->node_count; i++) {
        struct cluster_node *node = &w->nodes[(start + i) % w->node_count];
        if (!serves(node) || (node->guest && c->final))
            continue; /* a guest's view of who lives is old when it was idle */
        c->node = node;
        cluster_node_sync_clock(node);
        return true;
    }
    return false;
}

bool cl_pick_table(struct cl_client *c)
{
    const struct base_schema *schema = repl_schema(c->node->repl);
    if (!schema->table_count)
        return false;
    c->table = schema->tables_by_id[rng_below(rng_of(c), schema->table_count)];
    c->of = cm_table_find(&c->load->model, c->table->id);
    BASE_ASSERT(c->of);
    return true;
}

unsigned cl_node_dc(const struct cluster_node *node)
{
    return (unsigned)(node->index % node->world->options.dcs);
}

int cl_pick_consistency(struct cl_client *c, bool is_write)
{
    struct cl_load *load = c->load;
    const struct cm_replication *r = &c->of->replication;
    unsigned local = r->per_dc ? cl_node_dc(c->node) : 0,
             dice = (unsigned)rng_below(rng_of(c), 100);
    bool has_local = r->rf[local] > 0;
    if (is_write && rng_chance(rng_of(c), load->options.any_percent))
        return REPL_CL_ANY;
    if (rng_chance(rng_of(c), load->options.weak_percent)) {
        if (dice < 20 && has_local)
            return REPL_CL_LOCAL_ONE;
        if (dice < 35 && r->owners[0] >= 2)
            return REPL_CL_TWO;
        return dice < 40 && r->owners[0] >= 3 ? REPL_CL_THREE : REPL_CL_ONE;
    }
    if (dice < 20 && has_local)
        return REPL_CL_LOCAL_QUORUM;
    if (dice < 30 && is_write && r->per_dc)
        return REPL_CL_EACH_QUORUM;
    return dice < 40 ? REPL_CL_ALL : REPL_CL_QUORUM;
}

/* A client's life. */

static void client_next(struct cluster_world *w, struct cluster_event *event);

static void barks(struct cluster_world *w, struct cluster_event *event)
{
    struct cl_client *c = BASE_CONTAINER(event, struct cl_client, watchdog);
    static const char *const names[] = {"", "write", "read", "change"};
    if (c->node->resumed_ns >
        c->began_ns) { /* it was paused in the meantime: what it does next has its whole time */
        cl_request_begins(c, c->request, c->timeout_ns);
        return;
    }
    /* Where the bytes are the caller's, and only the node's own disk is asked, the answer comes
     * when the disk is through. */
    c->watched++;
    if (c->watched > 1 && (!c->node->ops || c->watched > 20))
        cluster_fail(w, "client %zu: its %s through %s never ends (operation %" PRIu64 ")",
                     c->index, names[c->request], c->node->address, c->op ? c->op->number : 0);
    cluster_post(w, event, c->node, WATCH_SLACK_NS, barks);
}

void cl_request_begins(struct cl_client *c, enum cl_request request, uint64_t timeout_ns)
{
    struct cluster_world *w = c->load->w;
    c->request = request;
    c->watched = 0;
    c->began_ns = w->now_ns;
    c->timeout_ns = timeout_ns;
    cluster_cancel(w, &c->watchdog);
    cluster_post(w, &c->watchdog, c->node, timeout_ns + timeout_ns / 20, barks);
}

void cl_request_ends(struct cl_client *c, const struct repl_outcome *outcome)
{
    struct cl_load *load = c->load;
    struct cluster_world *w = load->w;
    BASE_ASSERT(c->request != CL_NONE);
    trace_add(&w->trace, "client", c->node->address, c->index, (uint64_t)outcome->rc,
              base_slice_str(outcome->err.text));
    load->outcomes[outcome->rc < 31 ? outcome->rc : 31]++;
    c->request = CL_NONE;
    c->between_pages = false;
    cluster_cancel(w, &c->watchdog);
    cluster_post(w, &c->event, NULL, cluster_draw_ns(w, load->options.think_max_ns), client_next);
}

static void forget_request(struct cl_client *c)
{
    if (c->schema)
        base_schema_release(c->schema);
    c->schema = NULL;
    base_arena_reset(&c->arena);
    base_buf_reset(&c->bytes);
    base_buf_reset(&c->condition);
    c->op = NULL;
}

/* Writes. */

static int64_t draw_timestamp(struct cl_client *c)
{
    int64_t ts = cluster_node_timestamp(c->node);
    if (c->load->options.coarse_us)
        ts -= ts % (int64_t)c->load->options.coarse_us;
    return ts;
}

struct base_slice cl_value_bytes(struct cl_client *c, uint64_t value)
{
    size_t len = 8 + (size_t)(value * 2654435761u % (c->load->options.value_len_max + 1));
    uint8_t *bytes = cluster_must(base_arena_zalloc(&c->arena, len));
    base_put_be64(bytes, value);
    return base_slice(bytes, len);
}

static void put_cell(struct cl_client *c, struct base_row_builder *b, uint32_t column,
                     const struct cm_write *w, uint64_t value)
{
    struct base_cell cell = {.column = column, .ts = w->ts};
    if (w->kind == CM_DELETE_CELL) {
        cell.flags = BASE_CELL_DEAD;
        cell.local_s = base_clock_wall_s(&c->node->clock.base);
    } else {
        cell.value = cl_value_bytes(c, value);
        cell.flags = w->ttl ? BASE_CELL_EXPIRING : 0;
        cell.ttl = w->ttl;
        cell.local_s = w->ttl ? w->expires_s : 0;
    }
    CL_OK(base_row_put_cell(b, &cell));
}

static void put_row(struct cl_client *c, const struct cm_write *w, bool whole_row,
                    struct base_buf *out)
{
    struct base_row_builder b;
    CL_OK(base_row_begin(&b, out, w->ts));
    if (w->liveness)
        CL_OK(base_row_put_liveness(&b, w->ttl, w->expires_s));
    if (whole_row)
        CL_OK(base_row_put_deletion(
            &b, (struct base_deletion){w->ts, base_clock_wall_s(&c->node->clock.base)}));
    if (w->kind == CM_STATIC_ROW)
        put_cell(c, &b, CM_COLUMN_STATIC, w, w->value[0]);
    for (unsigned i = 0; i < 2 && (w->kind == CM_ROW || w->kind == CM_DELETE_CELL); i++)
        if (w->value[i])
            put_cell(c, &b, i ? CM_COLUMN_B : CM_COLUMN_A, w, w->value[i]);
    base_row_end(&b);
}

static void draw_values(struct cl_client *c, struct cm_write *w)
{
    unsigned which = 1 + (unsigned)rng_below(rng_of(c), 3);
    for (unsigned i = 0; i < 2; i++)
        if (which & (1u << i))
            w->value[i] = ++c->load->next_value;
}

/* One partition's changes into c->bytes and the model: one row or more, or a deletion. */
static void put_mutation(struct cl_client *c, struct cm_table *t, unsigned partition, int64_t ts,
                         bool data_only)
{
    struct rng *rng = rng_of(c);
    const struct cl_options *o = &c->load->options;
    struct base_buf pkey, lo, hi, rows[CM_ROWS_MAX], ckeys[CM_ROWS_MAX], fixed;
    struct base_buf *const all[] = {&pkey, &lo, &hi, &fixed};
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 65536);
    cl_put_pkey(t, partition, &pkey);
    int64_t now_s = base_clock_wall_s(&c->node->clock.base);
    struct base_deletion deletion = BASE_DELETION_NONE;
    struct base_range_deletion range;
    size_t range_count = 0, row_count = 0;
    struct base_mutation_row_part parts[CM_ROWS_MAX];
    bool deletes = !data_only && rng_chance(rng, o->delete_percent);
    unsigned lowest = (unsigned)rng_below(rng, t->row_count), dice = (unsigned)rng_below(rng, 10);
    if (deletes && dice < 2) {
        cm_add(t, partition, c->op, CM_DELETE_PARTITION, ts);
        deletion = (struct base_deletion){ts, now_s};
    } else if (deletes && dice < 4) {
        struct cm_write *w = cm_add(t, partition, c->op, CM_DELETE_ROWS, ts);
        w->row_lo = lowest;
        w->row_hi = lowest + (unsigned)rng_below(rng, t->row_count - lowest);
        unsigned first = t->descending ? w->row_hi : w->row_lo,
                 last = t->descending ? w->row_lo : w->row_hi;
        cl_put_ckey(t, first, BASE_KEY_BEFORE, &lo);
        cl_put_ckey(t, last, BASE_KEY_AFTER, &hi);
        range = (struct base_range_deletion){base_buf_view(&lo), base_buf_view(&hi), {ts, now_s}};
        range_count = 1;
    } else if (!deletes && dice == 0) {
        struct cm_write *w = cm_add(t, partition, c->op, CM_STATIC_ROW, ts);
        w->value[0] = ++c->load->next_value;
        put_row(c, w, false, &fixed);
    } else {
        unsigned n = dice < 3 ? 1 + (unsigned)rng_below(rng, t->row_count) : 1;
        int32_t ttl =
            !deletes && rng_chance(rng, o->ttl_percent) ? 1 + (int32_t)rng_below(rng, 30) : 0;
        for (unsigned k = 0; k < n && lowest + k < t->row_count; k++, row_count++) {
            unsigned row = t->descending ? t->row_count - 1 - (lowest + k) : lowest + k;
            enum cm_kind kind = !deletes ? CM_ROW : dice < 7 ? CM_DELETE_ROWS : CM_DELETE_CELL;
            struct cm_write *w = cm_add(t, partition, c->op, kind, ts);
            w->row_lo = w->row_hi = row;
            w->ttl = ttl;
            w->expires_s = ttl ? now_s + ttl : 0;
            w->liveness = kind == CM_ROW && rng_chance(rng, 70);
            if (kind != CM_DELETE_ROWS)
                draw_values(c, w);
            base_buf_init(&rows[row_count], 65536);
            base_buf_init(&ckeys[row_count], 1024);
            put_row(c, w, kind == CM_DELETE_ROWS, &rows[row_count]);
            cl_put_ckey(t, row, BASE_KEY_AT, &ckeys[row_count]);
            parts[row_count] = (struct base_mutation_row_part){base_buf_view(&ckeys[row_count]),
                                                               base_buf_view(&rows[row_count])};
        }
    }
    CL_OK(base_mutation_put(&c->bytes, t->id, base_buf_view(&pkey), deletion, base_buf_view(&fixed),
                            &range, range_count, parts, row_count));
    c->write.mutation_count++;
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
    for (size_t i = 0; i < row_count; i++) {
        base_buf_fini(&rows[i]);
        base_buf_fini(&ckeys[i]);
    }
}

/* What a condition on `a` found: never the value that it asked for, and only what somebody
 * wrote. */
static void check_found(struct cl_client *c)
{
    struct base_reader in = base_reader(c->write.current);
    struct base_slice ckey, encoded;
    struct base_row row;
    struct base_cell cell;
    uint64_t count = 0, found = 0;
    if (!base_conditions_current_check(c->write.current) || !base_get_varint(&in, &count))
        cluster_fail(c->load->w, "condition: what was found is damaged (operation %" PRIu64 ")",
                     c->op->number);
    while (count-- > 0 && base_get_bytes(&in, &ckey) && base_get_bytes(&in, &encoded)) {
        if (ckey.len == 0 || !base_row_decode(encoded, &row))
            continue;
        struct base_cells it = base_cells_begin(&row);
        while (base_cells_next(&it, &cell) > 0)
            if (cell.column == CM_COLUMN_A)
                found = base_get_be64(cell.value.data);
    }
    if (found == c->expected)
        cluster_fail(c->load->w,
                     "condition: a = %" PRIu64 " was found, and asked for (operation %" PRIu64 ")",
                     found, c->op->number);
    for (unsigned p = 0; p < c->of->partition_count; p++)
        for (const struct cm_write *w = c->of->partitions[p].writes; w; w = w->next)
            if (w->kind == CM_ROW && w->value[0] == found && w->op != c->op)
                return;
    if (found)
        cluster_fail(c->load->w,
                     "condition: a = %" PRIu64 " was found, which nobody wrote (operation %" PRIu64
                     ")",
                     found, c->op->number);
}

/* A condition that is false: somebody's row was there, or may have been. */
static void check_condition(struct cl_client *c)
{
    if (c->expected) {
        check_found(c);
        return;
    }
    for (unsigned p = 0; p < c->of->partition_count; p++)
        for (const struct cm_write *w = c->of->partitions[p].writes; w; w = w->next)
            if (w->op != c->op && w->kind == CM_ROW && w->op->outcome != CM_REFUSED)
                return;
    cluster_fail(c->load->w, "if absent: refused (operation %" PRIu64 "), and nobody wrote any row",
                 c->op->number);
}

static enum cm_outcome outcome_of(struct cl_client *c, const struct repl_outcome *o,
                                  const char *what)
{
    struct cl_load *load = c->load;
    struct cluster_node *node = c->node;
    if (node->state == CLUSTER_NODE_DYING)
        return o->rc == BASE_OK
                   ? CM_ACKED
                   : CM_UNKNOWN; /* nobody hears it any more; what was done stays done */
    bool table_gone = !base_schema_table_by_id(load->log.schema, c->table->id) ||
                      load->log.schema->epoch > c->schema->epoch;
    switch ((enum base_error)o->rc) {
    case BASE_OK:
        return CM_ACKED;
    case BASE_E_TIMEOUT:
    case BASE_E_UNKNOWN:
        break;
    case BASE_E_UNAVAILABLE:
    case BASE_E_OVERLOADED:
    case BASE_E_CONDITION:
    case BASE_E_CLOSED:
        break;
    case BASE_E_STALE:
    case BASE_E_NOTFOUND:
    case BASE_E_BUSY:
    case BASE_E_INVALID:
        if (table_gone)
            break;
        /* fall through */
    default:
        cluster_fail(load->w, "%s at level %d through %s ends with %s: %s", what, o->consistency,
                     node->address, base_err_words(o->rc), o->err.text);
    }
    if (load->calm && o->rc != BASE_E_CONDITION && !table_gone)
        cluster_fail(load->w,
                     "%s at level %d through %s ends with %s although nothing is wrong: %s", what,
                     o->consistency, node->address, base_err_words(o->rc), o->err.text);
    return base_err_outcome(o->rc) == BASE_OUTCOME_MAYBE ? CM_UNKNOWN : CM_REFUSED;
}

static void write_done(struct repl_write *write)
{
    struct cl_client *c = BASE_CONTAINER(write, struct cl_client, write);
    enum cm_outcome outcome = outcome_of(c, &write->outcome, c->op->what);
    if (write->outcome.rc == BASE_E_CONDITION)
        check_condition(c);
    cm_end(&c->load->model, c->op, outcome, write->outcome.rc);
    cl_request_ends(c, &write->outcome);
}

/* Other partitions of the table, and of the keyspace's other tables: a batch's. */
static void put_batch(struct cl_client *c, int64_t ts)
{
    unsigned n = 2 + (unsigned)rng_below(rng_of(c), 3),
             first = (unsigned)rng_below(rng_of(c), c->of->partition_count);
    for (unsigned i = 0; i < n && i < c->of->partition_count; i++)
        put_mutation(c, c->of, (first + i) % c->of->partition_count, ts, rng_chance(rng_of(c), 80));
    for (struct cm_table *t = c->load->model.tables; t; t = t->next)
        if (t != c->of && strcmp(t->keyspace, c->of->keyspace) == 0 &&
            base_schema_table_by_id(c->schema, t->id) && rng_chance(rng_of(c), 50))
            put_mutation(c, t, (unsigned)rng_below(rng_of(c), t->partition_count), ts, true);
}

/* A value that somebody wrote, or tried to, to `a` of the same row: the latest; 0: none. */
static uint64_t value_of_row(struct cl_client *c, unsigned partition, const struct cm_write *mine)
{
    uint64_t latest = 0;
    for (const struct cm_write *w = c->of->partitions[partition].writes; w; w = w->next)
        if (w != mine && w->kind == CM_ROW && w->row_lo == mine->row_lo && w->value[0] > latest)
            latest = w->value[0];
    return latest;
}

static void put_if_absent(struct cl_client *c, int64_t ts)
{
    struct base_buf pkey, ckey, row;
    struct base_buf *const all[] = {&pkey, &ckey, &row};
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 65536);
    unsigned partition = (unsigned)rng_below(rng_of(c), c->of->partition_count);
    struct cm_write *w = cm_add(c->of, partition, c->op, CM_ROW, ts);
    w->row_lo = w->row_hi = (unsigned)rng_below(rng_of(c), c->of->row_count);
    w->liveness = true;
    draw_values(c, w);
    cl_put_pkey(c->of, partition, &pkey);
    cl_put_ckey(c->of, w->row_lo, BASE_KEY_AT, &ckey);
    put_row(c, w, false, &row);
    CL_OK(base_mutation_put_row(&c->bytes, c->of->id, base_buf_view(&pkey), base_buf_view(&ckey),
                                base_buf_view(&row)));
    c->expected = w->value[0] && w->value[0] % 2 ? value_of_row(c, partition, w) : 0;
    CL_OK(base_buf_put_varint(&c->condition, 1));
    if (c->expected) {
        const struct base_condition_operand operand = {.value = cl_value_bytes(c, c->expected)};
        CL_OK(base_condition_put_column(&c->condition, base_buf_view(&ckey), CM_COLUMN_A,
                                        BASE_CONDITION_EQ, BASE_CONDITION_WHOLE,
                                        (struct base_slice){0}, 0, &operand, 1));
    } else {
        CL_OK(
            base_condition_put_row(&c->condition, BASE_CONDITION_NOT_EXISTS, base_buf_view(&ckey)));
    }
    c->write.mutation_count = 1;
    c->write.condition = base_buf_view(&c->condition);
    c->op->if_absent = true;
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
}

static void start_write(struct cl_client *c, const char *what)
{
    struct cl_load *load = c->load;
    bool logged = what[0] == 'l', unlogged = what[0] == 'u', if_absent = what[0] == 'i';
    c->op = cm_begin(&load->model, what);
    c->write = (struct repl_write){.logged = logged, .done = write_done};
    c->write.consistency = cl_pick_consistency(c, true);
    if (if_absent && c->write.consistency == REPL_CL_ANY)
        c->write.consistency = REPL_CL_ONE;
    int64_t ts = draw_timestamp(c);
    if (if_absent)
        put_if_absent(c, ts);
    else if (logged || unlogged)
        put_batch(c, ts);
    else
        put_mutation(c, c->of, (unsigned)rng_below(rng_of(c), c->of->partition_count), ts, false);
    c->op->logged = logged && c->write.mutation_count > 1;
    c->write.logged = c->op->logged;
    c->op->strength =
        cm_strength_of(&c->of->replication, c->write.consistency, cl_node_dc(c->node));
    c->write.mutations = base_buf_view(&c->bytes);
    const struct repl_config *config = &load->w->options.config;
    /* A batch writes its log first; ANY, and a guest, wait for hints to be kept when replicas have
     * not answered; a guest asks up to three members for that. */
    unsigned times = 1u + logged + (c->node->guest ? 3 : c->write.consistency == REPL_CL_ANY);
    cl_request_begins(
        c, CL_WRITE, if_absent ? config->conditional_timeout_ns : config->write_timeout_ns * times);
    if (c->op->logged && load->on_batch)
        load->on_batch(load->hooks_ctx, c->node);
    repl_write_start(c->node->repl, &c->write);
}

static unsigned rf_sum(const struct cm_replication *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CM_DCS_MAX; i++)
        n += r->rf[i];
    return n;
}

static void client_next(struct cluster_world *w, struct cluster_event *event)
{
    struct cl_client *c = BASE_CONTAINER(event, struct cl_client, event);
    struct cl_load *load = c->load;
    const struct cl_options *o = &load->options;
    forget_request(c);
    if (load->stopping)
        return;
    if (!cl_pick_node(c)) {
        cluster_post(w, event, NULL, 100 * CLUSTER_MS, client_next);
        return;
    }
    c->schema = base_schema_acquire(repl_schema(c->node->repl));
    unsigned dice = (unsigned)rng_below(&w->rng, 100), upto = o->changes;
    if (dice < upto && !c->node->guest) {
        cl_start_change(c);
        return;
    }
    if (!cl_pick_table(c)) {
        cluster_post(w, event, NULL, 100 * CLUSTER_MS, client_next);
        return;
    }
    if (dice < (upto += o->reads + o->range_reads)) {
        cl_start_read(c);
        return;
    }
    bool can_condition = rf_sum(&c->of->replication) == 1;
    start_write(c, dice < (upto += o->logged)                       ? "logged batch"
                   : dice < (upto += o->unlogged)                   ? "unlogged batch"
                   : dice < (upto += o->if_absent) && can_condition ? "if absent"
                                                                    : "write");
}

/* The whole. */

void cl_init(struct cl_load *load, struct cluster_world *w, const struct cl_options *options)
{
    *load = (struct cl_load){.w = w, .options = *options};
    cm_init(&load->model);
    load->log.schema = cluster_must(base_schema_new());
    load->log.ring = cluster_must(ring_state_new());
    load->clients = cluster_must(calloc(options->clients, sizeof *load->clients));
    for (size_t i = 0; i < options->clients; i++) {
        struct cl_client *c = &load->clients[i];
        c->load = load;
        c->index = i;
        base_arena_init(&c->arena);
        base_buf_init(&c->bytes, 1u << 24);
        base_buf_init(&c->condition, 1u << 16);
        struct base_buf *const all[] = {&c->last_pkey, &c->last_ckey, &c->end_pkey, &c->end_ckey};
        for (size_t k = 0; k < BASE_COUNT(all); k++)
            base_buf_init(all[k], 1u << 17);
    }
    w->ctx = load;
    w->on_append = cl_on_append;
    w->on_state = cl_on_state;
}

void cl_begin(struct cl_load *load)
{
    for (size_t i = 0; i < load->options.clients; i++)
        cluster_post(load->w, &load->clients[i].event, NULL,
                     cluster_draw_ns(load->w, load->options.think_max_ns), client_next);
}

void cl_stop(struct cl_load *load)
{
    load->stopping = true;
}

bool cl_is_idle(struct cluster_world *w, void *ctx)
{
    const struct cl_load *load = ctx;
    (void)w;
    for (size_t i = 0; i < load->options.clients; i++)
        if (load->clients[i].request != CL_NONE || cluster_is_posted(&load->clients[i].event))
            return false;
    return true;
}

void cl_fini(struct cl_load *load)
{
    for (size_t i = 0; i < load->options.clients; i++) {
        struct cl_client *c = &load->clients[i];
        cluster_cancel(load->w, &c->event);
        cluster_cancel(load->w, &c->watchdog);
        forget_request(c);
        base_arena_fini(&c->arena);
        base_buf_fini(&c->bytes);
        base_buf_fini(&c->condition);
        struct base_buf *const all[] = {&c->last_pkey, &c->last_ckey, &c->end_pkey, &c->end_ckey};
        for (size_t k = 0; k < BASE_COUNT(all); k++)
            base_buf_fini(all[k]);
    }
    free(load->clients);
    cl_log_fini(&load->log);
    cl_asked_fini(load);
    cm_fini(&load->model);
}
