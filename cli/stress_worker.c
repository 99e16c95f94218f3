/* One event loop of `ringlet stress`: connections, each with many requests in flight
 * (stress_worker.h).
 *
 * 1. Closed loop: `threads` requests are in flight all the time, over all loops; an answer lets the
 *    next one go.
 * 2. At a rate: operation k is due at start + k / rate, whoever is free sends it. With `fixed`, its
 *    latency counts from when it was due: a node that stalls is charged for all that had to wait
 *    behind (no coordinated omission).
 * 3. A request's stream number is its slot's index, so an answer finds its slot without a search.
 * 4. A request goes to the replica of its partition that has the fewest of ours in flight, on one
 *    of its connections in turn; where no replica can take it, or nobody knows them, to any node:
 *    that passes it on. Each node's connections have slots for all requests of this worker. */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/key.h"
#include "cli/stress_worker.h"

enum { EVENTS = 64, VALUES_MAX = 64 };
#define SECOND_NS CLI_STRESS_SECOND_NS

uint64_t cli_stress_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

uint64_t cli_stress_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void cli_stress_counts_add(struct cli_stress_counts *into, const struct cli_stress_counts *from)
{
    cli_histogram_add(&into->response, &from->response);
    cli_histogram_add(&into->service, &from->service);
    for (size_t i = 0; i < CLI_STRESS_STATEMENTS_MAX; i++)
        into->operations[i] += from->operations[i];
    into->rows += from->rows;
    into->errors += from->errors;
    into->wrong += from->wrong;
    into->missing += from->missing;
    into->routed += from->routed;
    if (!into->first_error[0])
        memcpy(into->first_error, from->first_error, sizeof into->first_error);
}

void cli_stress_worker_take(struct cli_stress_worker *worker, struct cli_stress_counts *into)
{
    pthread_mutex_lock(&worker->lock);
    cli_stress_counts_add(into, &worker->counts);
    memset(&worker->counts, 0, sizeof worker->counts);
    pthread_mutex_unlock(&worker->lock);
}

void cli_stress_count_errors(struct cli_stress_worker *w, uint64_t count, const char *text)
{
    pthread_mutex_lock(&w->lock);
    w->counts.errors += count;
    if (!w->counts.first_error[0])
        snprintf(w->counts.first_error, sizeof w->counts.first_error, "%.*s",
                 (int)sizeof w->counts.first_error - 1, text);
    pthread_mutex_unlock(&w->lock);
}

/* Which operation. */

static double uniform01(uint64_t seed)
{
    return (double)(cli_stress_mix(seed) >> 11) / 9007199254740992.0;
}

static uint64_t choose_partition(const struct cli_stress_options *o, uint64_t number)
{
    uint64_t span = o->last - o->first + 1, seed = cli_stress_mix(number ^ o->seed);
    double sum = 0;
    switch (o->population) {
    case CLI_STRESS_SEQUENCE:
        return o->first + number % span;
    case CLI_STRESS_UNIFORM:
        return o->first + seed % span;
    case CLI_STRESS_GAUSSIAN: /* twelve draws: near enough, mean in the middle, three deviations to
                                 either end */
        for (unsigned i = 0; i < 12; i++)
            sum += uniform01(seed + i);
        sum = (sum - 6) / 6 + 0.5;
        return o->first + (uint64_t)((sum < 0             ? 0
                                      : sum > 0.999999999 ? 0.999999999
                                                          : sum) *
                                     (double)span);
    }
    return o->first;
}

static size_t choose_statement(const struct cli_stress_workload *w, uint64_t number)
{
    if (w->statement_count == 1)
        return 0;
    unsigned at = (unsigned)(cli_stress_mix(number * 2 + 1) % w->weight_sum);
    for (size_t i = 0; i < w->statement_count; i++) {
        if (at < w->statements[i].weight)
            return i;
        at -= w->statements[i].weight;
    }
    return 0;
}

/* Sending. */

/* What is bound to the statement's markers: values over w->scratch. */
static int make_values(struct cli_stress_worker *w, const struct cli_stress_statement *s,
                       const struct cli_stress_slot *slot, struct cql_value values[VALUES_MAX])
{
    size_t ends[VALUES_MAX];
    base_buf_reset(&w->scratch);
    if (s->bind_count > VALUES_MAX)
        return BASE_E_LIMIT;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < s->bind_count; i++) {
        rc = cli_stress_put_bind(w->run->options, &s->binds[i], slot->partition, slot->row,
                                 &w->scratch);
        ends[i] = w->scratch.len;
    }
    for (size_t i = 0; rc == BASE_OK && i < s->bind_count; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        values[i] = (struct cql_value){
            .state = CQL_VALUE_SET, .bytes = base_slice(w->scratch.data + begin, ends[i] - begin)};
    }
    return rc;
}

/* The replicas of the partition that the values name; NULL: not known. */
static const uint16_t *route_of(struct cli_stress_worker *w, const struct cli_stress_statement *s,
                                const struct cql_value *values)
{
    struct base_slice parts[VALUES_MAX];
    struct base_err err = {0};
    if (s->pk_count == 0 || s->pk_count > VALUES_MAX || w->run->cluster->route_len == 0)
        return NULL;
    for (size_t i = 0; i < s->pk_count; i++)
        parts[i] = values[s->pk_binds[i]].bytes;
    base_buf_reset(&w->key);
    if (base_pk_compose(parts, s->pk_count, &w->key, &err) != BASE_OK)
        return NULL; /* the node says what is wrong with it */
    return cli_stress_route(w->run->cluster, base_token(base_buf_view(&w->key)));
}

/* The next connection to a node that can take a request; NULL: none. */
static struct cli_stress_connection *free_at(struct cli_stress_worker *w, uint16_t node)
{
    struct cli_stress_target *target = &w->targets[node];
    unsigned step = (unsigned)w->run->cluster->node_count;
    for (unsigned i = 0; target->open && i < target->count; i++) {
        struct cli_stress_connection *c =
            &w->connections[target->first + target->turn++ % target->count * step];
        if (cli_stress_is_open(c) && c->free >= 0)
            return c;
    }
    return NULL;
}

/* Of the replica with the fewest requests in flight, the first of equals being another each time;
 * NULL: none can take it. */
static struct cli_stress_connection *free_on_route(struct cli_stress_worker *w,
                                                   const uint16_t *route)
{
    struct cli_stress_connection *best = NULL;
    size_t len = 0;
    while (len < w->run->cluster->route_len && route[len] != CLI_STRESS_NO_NODE)
        len++;
    unsigned turn = w->turn++;
    for (size_t i = 0; i < len; i++) {
        uint16_t node = route[(turn + i) % len];
        if (best && w->targets[best->node].in_flight <= w->targets[node].in_flight)
            continue;
        struct cli_stress_connection *c = free_at(w, node);
        best = c ? c : best;
    }
    return best;
}

/* Any: of the next two nodes that can take one, the one with fewer in flight. */
static struct cli_stress_connection *free_anywhere(struct cli_stress_worker *w)
{
    struct cli_stress_connection *best = NULL;
    unsigned nodes = (unsigned)w->run->cluster->node_count, turn = w->turn++;
    for (unsigned i = 0; i < nodes; i++) {
        struct cli_stress_connection *c = free_at(w, (uint16_t)((turn + i) % nodes));
        if (c && best)
            return w->targets[c->node].in_flight < w->targets[best->node].in_flight ? c : best;
        best = c ? c : best;
    }
    return best;
}

static int put_execute(struct cli_stress_worker *w, struct cli_stress_connection *c, int16_t stream,
                       const struct cli_stress_statement *s, const struct cql_value *values)
{
    const struct cli_stress_options *o = w->run->options;
    struct cql_execute execute = {
        .id = s->id,
        .result_metadata_id = s->result_metadata_id,
        .options = {.consistency = (uint16_t)o->consistency,
                    .skip_metadata = s->column_count > 0,
                    .values = values,
                    .value_count = s->bind_count,
                    .serial_consistency = (uint16_t)o->serial_consistency,
                    .has_serial_consistency = o->serial_consistency != CQL_SERIAL_DEFAULT}};
    int rc = cql_wire_begin(&c->cql.out, CQL_OPCODE_EXECUTE, stream, 0);
    if (rc != BASE_OK)
        return rc;
    rc = cql_put_execute(&c->cql.out.bytes, c->cql.version, &execute);
    if (rc == BASE_OK)
        return cql_wire_end(&c->cql.out);
    cql_wire_abandon(&c->cql.out);
    return rc;
}

/* Operation `number`, to a replica if one can take it, else on `anywhere`. */
static int send_one(struct cli_stress_worker *w, struct cli_stress_connection *anywhere,
                    uint64_t number, uint64_t due_ns, uint64_t now_ns)
{
    const struct cli_stress_options *o = w->run->options;
    struct cql_value values[VALUES_MAX];
    uint64_t rows = o->rows;
    struct cli_stress_slot slot = {
        .due_ns = due_ns,
        .sent_ns = now_ns,
        .busy = true,
        .statement = (uint16_t)choose_statement(w->run->workload, number),
        .partition =
            choose_partition(o, o->population == CLI_STRESS_SEQUENCE ? number / rows : number),
        .row = rows == 1                              ? 0
               : o->population == CLI_STRESS_SEQUENCE ? number % rows
                                                      : cli_stress_mix(~number) % rows};
    const struct cli_stress_statement *s = &w->run->workload->statements[slot.statement];
    int rc = make_values(w, s, &slot, values);
    const uint16_t *route = rc == BASE_OK ? route_of(w, s, values) : NULL;
    struct cli_stress_connection *c = route ? free_on_route(w, route) : NULL;
    slot.routed = c != NULL;
    c = c ? c : anywhere;
    BASE_ASSERT(c->free >= 0 && cli_stress_is_open(c));
    int16_t stream = c->free;
    if (rc == BASE_OK)
        rc = put_execute(w, c, stream, s, values);
    if (rc != BASE_OK)
        return base_err_set(&w->err, rc, "%s: the request cannot be made", s->name);
    c->free = c->slots[stream].next_free;
    c->slots[stream] = slot;
    c->in_flight++;
    w->targets[c->node].in_flight++;
    w->in_flight++;
    return BASE_OK;
}

/* The next operation's number; false: the phase has no more. */
static bool take_number(struct cli_stress_run *run, uint64_t now_ns, uint64_t *number)
{
    if (atomic_load_explicit(&run->stop, memory_order_relaxed) ||
        (run->end_ns && now_ns >= run->end_ns))
        return false;
    *number = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
    return !run->phase.count || *number < run->phase.count;
}

/* Closed loop: as many as may be in flight. At a rate: those that are due. *wait_ns: when the next
 * one is, from now. Returns false when there are no more. */
static bool send_what_is_due(struct cli_stress_worker *w, uint64_t *wait_ns)
{
    struct cli_stress_run *run = w->run;
    double rate = run->options->rate / (double)w->of;
    struct cli_stress_connection *c;
    uint64_t number, now_ns = cli_stress_now_ns();
    *wait_ns = SECOND_NS / 10;
    while (w->rc == BASE_OK && w->in_flight < w->in_flight_max && (c = free_anywhere(w)) != NULL) {
        uint64_t due_ns = now_ns;
        if (rate > 0) {
            due_ns =
                run->start_ns +
                (uint64_t)(((double)w->scheduled + (double)w->number / (double)w->of) / rate * 1e9);
            if (due_ns > now_ns) {
                *wait_ns = due_ns - now_ns < *wait_ns ? due_ns - now_ns : *wait_ns;
                return !(run->end_ns && now_ns >= run->end_ns) &&
                       !atomic_load_explicit(&run->stop, memory_order_relaxed);
            }
        }
        if (!take_number(run, now_ns, &number))
            return false;
        w->scheduled++;
        w->rc = send_one(w, c, number, due_ns, now_ns);
    }
    return !atomic_load_explicit(&run->stop, memory_order_relaxed);
}

/* Answers. */

/* Is the row what was written? Columns that are null were not written by us (another column
 * count). */
static bool row_is_right(struct cli_stress_worker *w, const struct cli_stress_statement *s,
                         const struct cli_stress_slot *slot, const struct cql_value *cells)
{
    const struct cli_stress_options *o = w->run->options;
    for (size_t i = 0; i < s->column_count; i++) {
        const struct cli_stress_column *column = &s->columns[i];
        size_t size = column->role == CLI_STRESS_PARTITION_KEY ? o->key_size : o->value_size;
        base_buf_reset(&w->scratch);
        if (cells[i].state != CQL_VALUE_SET)
            continue;
        if (cli_stress_value(column->type,
                             cli_stress_value_seed(column, slot->partition, slot->row), size,
                             &w->scratch) != BASE_OK ||
            !base_slice_equal(base_buf_view(&w->scratch), cells[i].bytes))
            return false;
    }
    return true;
}

struct answer {
    uint64_t rows;
    bool wrong, missing, failed;
};

static int judge(struct cli_stress_worker *w, const struct cli_stress_connection *c,
                 const struct cli_stress_slot *slot, struct cql_message *message,
                 struct answer *answer)
{
    const struct cli_stress_statement *s = &w->run->workload->statements[slot->statement];
    struct cql_prefix prefix;
    base_arena_reset(&w->arena);
    int rc = cql_get_prefix(message, &w->arena, &prefix, &w->err);
    if (rc != BASE_OK)
        return rc;
    if (message->opcode == CQL_OPCODE_ERROR) {
        struct cql_error error;
        char text[256];
        rc = cql_get_error(&w->arena, c->cql.version, message->body, &error, &w->err);
        if (rc != BASE_OK)
            return rc;
        snprintf(text, sizeof text, "%s: %s: %.*s", s->name, cli_cql_error_words(error.code),
                 BASE_SLICE_ARG(error.message));
        cli_stress_count_errors(w, 1, text);
        answer->failed = true;
        return BASE_OK;
    }
    if (!s->is_select)
        return BASE_OK;
    struct cql_result_info result;
    rc = cql_get_result(&w->arena, c->cql.version, message->body, &result, &w->err);
    if (rc != BASE_OK)
        return rc;
    answer->rows = result.row_count;
    if (!w->run->options->check || s->column_count == 0 || result.column_count != s->column_count)
        return BASE_OK;
    struct cql_value *cells = base_arena_alloc(&w->arena, s->column_count * sizeof *cells);
    struct base_reader rows = base_reader(result.rows);
    if (!cells)
        return base_err_set(&w->err, BASE_E_NOMEM, "a row");
    answer->missing = !cql_next_row(&rows, cells, s->column_count);
    answer->wrong = !answer->missing && !row_is_right(w, s, slot, cells);
    return BASE_OK;
}

static int take_answer(struct cli_stress_worker *w, struct cli_stress_connection *c,
                       struct cql_message *message, uint64_t now_ns)
{
    struct answer answer = {0};
    if (message->stream < 0) /* an event */
        return BASE_OK;
    if ((unsigned)message->stream >= c->slot_count || !c->slots[message->stream].busy)
        return base_err_set(&w->err, BASE_E_INVALID,
                            "%s answered on stream %d, where nothing was asked", c->cql.config.host,
                            message->stream);
    struct cli_stress_slot *slot = &c->slots[message->stream];
    int rc = judge(w, c, slot, message, &answer);
    if (rc != BASE_OK)
        return rc;
    if (!answer.failed) {
        bool fixed = w->run->options->fixed;
        pthread_mutex_lock(&w->lock);
        w->counts.operations[slot->statement]++;
        w->counts.rows += answer.rows;
        w->counts.wrong += answer.wrong;
        w->counts.missing += answer.missing;
        w->counts.routed += slot->routed;
        cli_histogram_record(&w->counts.response, now_ns - (fixed ? slot->due_ns : slot->sent_ns));
        if (fixed)
            cli_histogram_record(&w->counts.service, now_ns - slot->sent_ns);
        pthread_mutex_unlock(&w->lock);
    }
    slot->busy = false;
    slot->next_free = c->free;
    c->free = message->stream;
    c->in_flight--;
    w->targets[c->node].in_flight--;
    w->in_flight--;
    atomic_fetch_add_explicit(&w->run->cluster->nodes[c->node].answers, 1, memory_order_relaxed);
    return BASE_OK;
}

/* Sockets. */

static int write_out(struct cli_stress_worker *w, struct cli_stress_connection *c)
{
    int rc = cli_cql_write(&c->cql, &w->err);
    bool wants = rc == BASE_E_BUSY;
    if (rc != BASE_OK && !wants) {
        cli_stress_lose(w, c);
        return BASE_OK;
    }
    if (wants == c->wants_write)
        return BASE_OK;
    c->wants_write = wants;
    return cli_stress_watch(w, c);
}

static int read_in(struct cli_stress_worker *w, struct cli_stress_connection *c)
{
    int rc = cli_cql_read(&c->cql, &w->err);
    if (rc == BASE_E_BUSY)
        return BASE_OK;
    if (rc != BASE_OK) {
        cli_stress_lose(w, c);
        return BASE_OK;
    }
    uint64_t now_ns = cli_stress_now_ns();
    for (;;) {
        struct cql_message message;
        enum cql_wire_step step = cli_cql_next(&c->cql, &message, &w->err);
        if (step == CQL_WIRE_MORE)
            return BASE_OK;
        rc = step == CQL_WIRE_BAD ? BASE_E_INVALID : take_answer(w, c, &message, now_ns);
        if (rc != BASE_OK)
            return rc;
    }
}

/* The loop. */

static int turn(struct cli_stress_worker *w, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / SECOND_NS),
                            .tv_nsec = (long)(wait_ns % SECOND_NS)};
    int n = epoll_pwait2(w->epoll, events, EVENTS, &wait, NULL);
    if (n < 0 && errno != EINTR)
        return base_err_set(&w->err, BASE_E_IO, "epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct cli_stress_connection *c = events[i].data.ptr;
        int rc = cli_stress_is_open(c) && (events[i].events & ~(unsigned)EPOLLOUT) ? read_in(w, c)
                                                                                   : BASE_OK;
        if (rc == BASE_OK && cli_stress_is_open(c) && (events[i].events & EPOLLOUT))
            rc = write_out(w, c);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static void write_all(struct cli_stress_worker *w)
{
    for (unsigned i = 0; w->rc == BASE_OK && i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        if (cli_stress_is_open(c) && !c->wants_write && c->cql.out.bytes.len)
            w->rc = write_out(w, c);
    }
}

static void *work(void *arg)
{
    struct cli_stress_worker *w = arg;
    struct cli_stress_run *run = w->run;
    bool more = true;
    /* What is in flight ends: answered, or lost with a connection that does not answer. */
    while (w->rc == BASE_OK && (more || w->in_flight > 0)) {
        uint64_t wait_ns = SECOND_NS / 10;
        w->rc = cli_stress_tend(w);
        if (w->rc == BASE_OK && more)
            more = send_what_is_due(w, &wait_ns);
        write_all(w);
        if (w->rc == BASE_OK && (more || w->in_flight > 0))
            w->rc = turn(w, wait_ns);
    }
    if (w->rc != BASE_OK)
        atomic_store(&run->stop, true);
    atomic_fetch_sub(&run->running, 1);
    return NULL;
}

/* Life. */

/* The share of `total` that worker or connection `number` of `of` has. */
static unsigned share(unsigned total, unsigned number, unsigned of)
{
    return total / of + (number < total % of ? 1 : 0);
}

/* How many connections a worker has: its share, but one to each node at least. */
static unsigned connections_of(const struct cli_stress_run *run, unsigned number, unsigned of)
{
    unsigned n = share(run->options->connections, number, of);
    unsigned nodes = (unsigned)run->cluster->node_count;
    return n < nodes ? nodes : n;
}

/* The connections, by node, with room for what is in flight. */
static int make_connections(struct cli_stress_worker *w)
{
    unsigned before = 0, nodes = (unsigned)w->run->cluster->node_count;
    for (unsigned i = 0; i < w->number; i++)
        before += connections_of(w->run, i, w->of);
    w->connection_count = connections_of(w->run, w->number, w->of);
    w->connections = calloc(w->connection_count, sizeof *w->connections);
    w->targets = calloc(nodes, sizeof *w->targets);
    if (!w->connections || !w->targets)
        return BASE_E_NOMEM;
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        c->cql.fd = -1;
        c->node = (before + i) % nodes;
        if (w->targets[c->node].count++ == 0)
            w->targets[c->node].first = i;
    }
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct cli_stress_connection *c = &w->connections[i];
        unsigned of = w->targets[c->node].count;
        c->slot_count = (w->in_flight_max + of - 1) / of;
        c->slots = calloc(c->slot_count, sizeof *c->slots);
        if (!c->slots)
            return BASE_E_NOMEM;
    }
    return BASE_OK;
}

int cli_stress_worker_new(struct cli_stress_run *run, unsigned number, unsigned of,
                          struct cli_stress_worker **out, struct base_err *err)
{
    struct cli_stress_worker *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return base_err_set(err, BASE_E_NOMEM, "a worker");
    w->run = run;
    w->number = number;
    w->of = of;
    w->in_flight_max = share(run->options->threads, number, of);
    base_arena_init(&w->arena);
    base_buf_init(&w->scratch, 64 << 20);
    base_buf_init(&w->key, BASE_PK_LEN_MAX);
    pthread_mutex_init(&w->lock, NULL);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = w->epoll < 0 ? BASE_E_NOMEM : make_connections(w);
    if (rc == BASE_OK)
        rc = cli_stress_connect(w, err);
    else
        base_err_set(err, rc, "a worker");
    if (rc != BASE_OK) {
        cli_stress_worker_free(w);
        return rc;
    }
    *out = w;
    return BASE_OK;
}

void cli_stress_worker_free(struct cli_stress_worker *w)
{
    if (!w)
        return;
    BASE_ASSERT(!w->started);
    cli_stress_disconnect(w);
    if (w->epoll >= 0)
        close(w->epoll);
    base_buf_fini(&w->scratch);
    base_buf_fini(&w->key);
    base_arena_fini(&w->arena);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int cli_stress_worker_start(struct cli_stress_worker *w, struct base_err *err)
{
    BASE_ASSERT(!w->started && w->in_flight == 0);
    w->scheduled = 0;
    int failed = pthread_create(&w->thread, NULL, work, w);
    if (failed)
        return base_err_set(err, BASE_E_NOMEM, "pthread_create: %s", strerror(failed));
    w->started = true;
    return BASE_OK;
}

int cli_stress_worker_join(struct cli_stress_worker *w, struct base_err *err)
{
    if (!w->started)
        return BASE_OK;
    pthread_join(w->thread, NULL);
    w->started = false;
    if (w->rc != BASE_OK)
        base_err_set(err, w->rc, "%s", w->err.text);
    return w->rc;
}
