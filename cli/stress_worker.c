/* One event loop of `ringlet stress`: connections, each with many requests in flight
 * (stress_private.h).
 *
 * 1. Closed loop: `threads` requests are in flight all the time, over all loops; an answer lets the
 *    next one go, on its connection.
 * 2. At a rate: operation k is due at start + k / rate, whoever is free sends it. With `fixed`, its
 *    latency counts from when it was due: a node that stalls is charged for all that had to wait
 *    behind (no coordinated omission).
 * 3. A request's stream number is its slot's index, so an answer finds its slot without a search.
 * 4. A lost connection fails what was in flight on it, and is opened again only if errors are to be
 *    ignored. */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "cli/stress_private.h"

enum { DRAIN_NS_MAX = 12, EVENTS = 64 };
#define SECOND_NS 1000000000u

struct slot { /* a request in flight */
    uint64_t due_ns, sent_ns, partition, row;
    uint16_t statement;
    int16_t next_free; /* -1: none */
    bool busy;
};
struct connection {
    struct cli_cql cql;
    struct slot *slots;
    int16_t free;
    unsigned slot_count, in_flight;
    const char *node;
    bool is_open, wants_write;
    uint64_t reopen_ns;
};
struct cli_stress_worker {
    struct cli_stress_run *run;
    unsigned number, of;
    struct connection *connections;
    unsigned connection_count, turn, in_flight;
    uint64_t scheduled; /* operations of this worker's share, at a rate */
    int epoll;
    struct base_arena arena;
    struct base_buf scratch;
    pthread_t thread;
    bool started;
    int rc;
    struct base_err err;
    pthread_mutex_t lock; /* of counts */
    struct cli_stress_counts counts;
};

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

static void count_error(struct cli_stress_worker *w, uint64_t count, const char *text)
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

static void slots_reset(struct connection *c)
{
    c->in_flight = 0;
    c->free = -1;
    for (unsigned i = c->slot_count; i-- > 0;) {
        c->slots[i] = (struct slot){.next_free = c->free};
        c->free = (int16_t)i;
    }
}

static int put_execute(struct cli_stress_worker *w, struct connection *c,
                       const struct cli_stress_statement *s, const struct slot *slot)
{
    const struct cli_stress_options *o = w->run->options;
    struct cql_value values[64], *v = values;
    size_t ends[64];
    base_buf_reset(&w->scratch);
    if (s->bind_count > BASE_COUNT(values))
        return BASE_E_LIMIT;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < s->bind_count; i++) {
        rc = cli_stress_put_bind(o, &s->binds[i], slot->partition, slot->row, &w->scratch);
        ends[i] = w->scratch.len;
    }
    for (size_t i = 0; rc == BASE_OK && i < s->bind_count; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        v[i] = (struct cql_value){.state = CQL_VALUE_SET,
                                  .bytes = base_slice(w->scratch.data + begin, ends[i] - begin)};
    }
    struct cql_execute execute = {
        .id = s->id,
        .result_metadata_id = s->result_metadata_id,
        .options = {.consistency = (uint16_t)o->consistency,
                    .skip_metadata = s->column_count > 0,
                    .values = v,
                    .value_count = s->bind_count,
                    .serial_consistency = (uint16_t)o->serial_consistency,
                    .has_serial_consistency = o->serial_consistency != CQL_SERIAL_DEFAULT}};
    return rc == BASE_OK ? cql_put_execute(&c->cql.out.bytes, c->cql.version, &execute) : rc;
}

static int send_one(struct cli_stress_worker *w, struct connection *c, uint64_t number,
                    uint64_t due_ns, uint64_t now_ns)
{
    BASE_ASSERT(c->free >= 0 && c->is_open);
    const struct cli_stress_options *o = w->run->options;
    int16_t index = c->free;
    struct slot *slot = &c->slots[index];
    uint64_t rows = o->rows;
    *slot = (struct slot){
        .due_ns = due_ns,
        .sent_ns = now_ns,
        .next_free = slot->next_free,
        .busy = true,
        .statement = (uint16_t)choose_statement(w->run->workload, number),
        .partition =
            choose_partition(o, o->population == CLI_STRESS_SEQUENCE ? number / rows : number),
        .row = rows == 1                              ? 0
               : o->population == CLI_STRESS_SEQUENCE ? number % rows
                                                      : cli_stress_mix(~number) % rows};
    int rc = cql_wire_begin(&c->cql.out, CQL_OPCODE_EXECUTE, index, 0);
    if (rc != BASE_OK)
        return base_err_set(&w->err, rc, "room for a request");
    rc = put_execute(w, c, &w->run->workload->statements[slot->statement], slot);
    if (rc == BASE_OK)
        rc = cql_wire_end(&c->cql.out);
    else
        cql_wire_abandon(&c->cql.out);
    if (rc != BASE_OK) {
        slot->busy = false;
        return base_err_set(&w->err, rc, "%s: the request cannot be made",
                            w->run->workload->statements[slot->statement].name);
    }
    c->free = slot->next_free;
    c->in_flight++;
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

static struct connection *free_connection(struct cli_stress_worker *w)
{
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct connection *c = &w->connections[w->turn++ % w->connection_count];
        if (c->is_open && c->free >= 0)
            return c;
    }
    return NULL;
}

/* Closed loop: as many as slots are free. At a rate: those that are due. *wait_ns: when the next
 * one is, from now. Returns false when there are no more. */
static bool send_what_is_due(struct cli_stress_worker *w, uint64_t *wait_ns)
{
    struct cli_stress_run *run = w->run;
    double rate = run->options->rate / (double)w->of;
    struct connection *c;
    uint64_t number, now_ns = cli_stress_now_ns();
    *wait_ns = SECOND_NS / 10;
    while (w->rc == BASE_OK && (c = free_connection(w)) != NULL) {
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
                         const struct slot *slot, const struct cql_value *cells)
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

static int judge(struct cli_stress_worker *w, const struct connection *c, const struct slot *slot,
                 struct cql_message *message, struct answer *answer)
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
        count_error(w, 1, text);
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

static int take_answer(struct cli_stress_worker *w, struct connection *c,
                       struct cql_message *message, uint64_t now_ns)
{
    struct answer answer = {0};
    if (message->stream < 0) /* an event */
        return BASE_OK;
    if ((unsigned)message->stream >= c->slot_count || !c->slots[message->stream].busy)
        return base_err_set(&w->err, BASE_E_INVALID,
                            "%s answered on stream %d, where nothing was asked", c->node,
                            message->stream);
    struct slot *slot = &c->slots[message->stream];
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
        cli_histogram_record(&w->counts.response, now_ns - (fixed ? slot->due_ns : slot->sent_ns));
        if (fixed)
            cli_histogram_record(&w->counts.service, now_ns - slot->sent_ns);
        pthread_mutex_unlock(&w->lock);
    }
    slot->busy = false;
    slot->next_free = c->free;
    c->free = message->stream;
    c->in_flight--;
    w->in_flight--;
    return BASE_OK;
}

/* Connections. */

static int watch(struct cli_stress_worker *w, struct connection *c, bool add)
{
    struct epoll_event e = {.events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(w->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->cql.fd, &e) == 0)
        return BASE_OK;
    return base_err_set(&w->err, BASE_E_IO, "epoll_ctl: %s", strerror(errno));
}

static int open_connection(struct cli_stress_worker *w, struct connection *c, struct base_err *err)
{
    const struct cli_stress_options *o = w->run->options;
    struct cli_cql_config config = {.host = c->node,
                                    .port = o->port,
                                    .version = o->version,
                                    .lz4 = o->lz4,
                                    .user = o->user,
                                    .password = o->password,
                                    .ssl = o->ssl,
                                    .tls = o->tls,
                                    .connect_timeout_ms = 5000,
                                    .request_timeout_ms = 30000};
    int rc = cli_cql_open(&c->cql, &config, err);
    if (rc == BASE_OK)
        rc = cli_stress_workload_prepare(w->run->workload, &c->cql, err);
    if (rc == BASE_OK) {
        slots_reset(c);
        c->wants_write = false;
        rc = watch(w, c, true);
        c->is_open = rc == BASE_OK;
    }
    if (rc != BASE_OK)
        cli_cql_close(&c->cql);
    return rc;
}

/* Fatal unless errors are ignored. */
static int lost(struct cli_stress_worker *w, struct connection *c, int rc)
{
    if (!w->run->options->ignore_errors)
        return rc;
    count_error(w, c->in_flight ? c->in_flight : 1, w->err.text);
    w->in_flight -= c->in_flight;
    c->in_flight = 0;
    c->is_open = false;
    c->reopen_ns = cli_stress_now_ns() + SECOND_NS / 2;
    cli_cql_close(&c->cql);
    base_err_clear(&w->err);
    return BASE_OK;
}

static void reopen(struct cli_stress_worker *w)
{
    uint64_t now_ns = cli_stress_now_ns();
    for (unsigned i = 0; i < w->connection_count; i++) {
        struct connection *c = &w->connections[i];
        struct base_err err = {0};
        if (c->is_open || now_ns < c->reopen_ns)
            continue;
        if (open_connection(w, c, &err) != BASE_OK)
            c->reopen_ns = cli_stress_now_ns() + SECOND_NS;
    }
}

static int write_out(struct cli_stress_worker *w, struct connection *c)
{
    int rc = cli_cql_write(&c->cql, &w->err);
    bool wants = rc == BASE_E_BUSY;
    if (rc != BASE_OK && !wants)
        return lost(w, c, rc);
    if (wants == c->wants_write)
        return BASE_OK;
    c->wants_write = wants;
    return watch(w, c, false);
}

static int read_in(struct cli_stress_worker *w, struct connection *c)
{
    int rc = cli_cql_read(&c->cql, &w->err);
    if (rc == BASE_E_BUSY)
        return BASE_OK;
    if (rc != BASE_OK)
        return lost(w, c, rc);
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
        struct connection *c = events[i].data.ptr;
        int rc = c->is_open && (events[i].events & ~(unsigned)EPOLLOUT) ? read_in(w, c) : BASE_OK;
        if (rc == BASE_OK && c->is_open && (events[i].events & EPOLLOUT))
            rc = write_out(w, c);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static void *work(void *arg)
{
    struct cli_stress_worker *w = arg;
    struct cli_stress_run *run = w->run;
    uint64_t wait_ns, drain_until_ns = 0;
    bool more = true;
    while (w->rc == BASE_OK && (more || w->in_flight > 0)) {
        wait_ns = SECOND_NS / 10;
        if (run->options->ignore_errors)
            reopen(w);
        if (more)
            more = send_what_is_due(w, &wait_ns);
        for (unsigned i = 0; w->rc == BASE_OK && i < w->connection_count; i++)
            if (w->connections[i].is_open && !w->connections[i].wants_write &&
                w->connections[i].cql.out.bytes.len)
                w->rc = write_out(w, &w->connections[i]);
        if (w->rc == BASE_OK && (more || w->in_flight > 0))
            w->rc = turn(w, wait_ns);
        uint64_t now_ns = cli_stress_now_ns();
        if (!more && drain_until_ns == 0)
            drain_until_ns = now_ns + (uint64_t)DRAIN_NS_MAX * SECOND_NS;
        if (!more && now_ns > drain_until_ns && w->in_flight) {
            w->rc =
                base_err_set(&w->err, BASE_E_TIMEOUT, "%u requests were not answered within %d s",
                             w->in_flight, DRAIN_NS_MAX);
        }
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

int cli_stress_worker_new(struct cli_stress_run *run, unsigned number, unsigned of,
                          struct cli_stress_worker **out, struct base_err *err)
{
    const struct cli_stress_options *o = run->options;
    struct cli_stress_worker *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return base_err_set(err, BASE_E_NOMEM, "a worker");
    w->run = run;
    w->number = number;
    w->of = of;
    base_arena_init(&w->arena);
    base_buf_init(&w->scratch, 64 << 20);
    pthread_mutex_init(&w->lock, NULL);
    int rc = BASE_OK;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned threads = share(o->threads, number, of), first = 0;
    w->connection_count = share(o->connections, number, of);
    for (unsigned i = 0; i < number; i++)
        first += share(o->connections, i, of);
    w->connections = calloc(w->connection_count, sizeof *w->connections);
    if (w->epoll < 0 || !w->connections)
        rc = base_err_set(err, BASE_E_NOMEM, "a worker");
    for (unsigned i = 0; rc == BASE_OK && i < w->connection_count; i++) {
        struct connection *c = &w->connections[i];
        c->cql.fd = -1;
        c->node = o->nodes[(first + i) % o->node_count];
        c->slot_count = share(threads, i, w->connection_count);
        c->slots = calloc(c->slot_count, sizeof *c->slots);
        rc = c->slots ? open_connection(w, c, err) : base_err_set(err, BASE_E_NOMEM, "requests");
    }
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
    for (unsigned i = 0; w->connections && i < w->connection_count; i++) {
        if (w->connections[i].is_open)
            cli_cql_close(&w->connections[i].cql);
        free(w->connections[i].slots);
    }
    if (w->epoll >= 0)
        close(w->epoll);
    free(w->connections);
    base_buf_fini(&w->scratch);
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
