/* Hints: what a replica missed, kept on disk until it can have it (hints_private.h has the form;
 * hint_dispatch.c hands them over).
 *
 * Invariants:
 *  1. A hint is kept when the commit log has it; its `done` says nothing else.
 *  2. Of the puts of one host that are under way the oldest key is known: nothing at or above it is
 *     read for dispatch, hence nothing is deleted that was not handed over (repli_hint_watermark).
 *  3. hints->bytes (stats.hints_bytes) is the sum of the hosts' bytes. With pending_bytes it stays
 *     below hints_size_max.
 *  4. While the count at start is under way nothing is handed over; hints made meanwhile are above
 *     its bound and counted as they come. */
#include "replication/hints_private.h"

#include <stdlib.h>

/* copies in memory that the store has not taken yet */
#define PENDING_BYTES_MAX (UINT64_C(32) << 20)
#define EXPIRY_CHECK_NS (UINT64_C(60) * 1000000000u)
#define SCAN_AGAIN_NS (UINT64_C(5) * 1000000000u)
#define DISPATCH_SOON_NS (UINT64_C(1) * 1000000000u)
#define KEEPERS_TRIED_MAX 3u /* members that a guest asks to keep a hint */

struct repli_hint_put {
    struct repl_store_op store_op;
    struct repl *repl;
    struct repli_hint_host *host;
    struct repli_hint_put *next;
    bool ended;
    int64_t created_us, expiry_s;
    size_t size;
    struct base_buf group;
    void (*done)(struct repl *repl, void *ctx, int rc);
    void *ctx;
};

/* Hosts. */

static unsigned bucket_of(struct base_uuid host_id)
{
    return host_id.b[15] ^ host_id.b[3] ^ host_id.b[9];
}

struct repli_hint_host *repli_hint_host_find(const struct repl *repl, struct base_uuid host_id)
{
    struct repli_hint_host *host =
        repl->hints ? repl->hints->buckets[bucket_of(host_id) % REPLI_HINT_BUCKETS] : NULL;
    while (host && !base_uuid_equal(host->host_id, host_id))
        host = host->next;
    return host;
}

static void host_timer_fired(struct repl *repl, struct repli_timer *timer)
{
    repli_hint_dispatch(repl, BASE_CONTAINER(timer, struct repli_hint_host, timer));
}

static struct repli_hint_host *host_get(struct repl *repl, struct base_uuid host_id)
{
    struct repli_hint_host *host = repli_hint_host_find(repl, host_id);
    if (host)
        return host;
    host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    struct base_buf pkey;
    base_buf_init(&pkey, REPLI_HINT_PKEY_MAX);
    if (base_pkey_put(base_slice(host_id.b, 16), &pkey) != BASE_OK) {
        base_buf_fini(&pkey);
        free(host);
        return NULL;
    }
    memcpy(host->pkey, pkey.data, pkey.len);
    host->pkey_len = pkey.len;
    base_buf_fini(&pkey);
    struct repli_hint_host **bucket =
        &repl->hints->buckets[bucket_of(host_id) % REPLI_HINT_BUCKETS];
    host->repl = repl;
    host->host_id = host_id;
    host->puts_end = &host->puts;
    host->expiry_s = INT64_MAX;
    host->timer.fired = host_timer_fired;
    host->next = *bucket;
    *bucket = host;
    repl->hints->host_count++;
    return host;
}

void repli_hint_forget(struct repl *repl, struct repli_hint_host *host, uint64_t count,
                       uint64_t bytes)
{
    bytes = bytes < host->bytes ? bytes : host->bytes;
    host->count -= count < host->count ? count : host->count;
    host->bytes -= bytes;
    BASE_ASSERT(repl->stats.hints_bytes >= bytes);
    repl->stats.hints_bytes -= bytes;
    if (host->count == 0)
        host->expiry_s = INT64_MAX;
}

static void host_add(struct repl *repl, struct repli_hint_host *host, uint64_t count,
                     uint64_t bytes, int64_t expiry_s)
{
    host->count += count;
    host->bytes += bytes;
    repl->stats.hints_bytes += bytes;
    if (expiry_s < host->expiry_s)
        host->expiry_s = expiry_s;
    if (!repli_timer_is_armed(&repl->hints->expiry_timer) && !repl->closing)
        repli_timer_arm_after(repl, &repl->hints->expiry_timer, EXPIRY_CHECK_NS);
}

/* Their form. */

void repli_hint_ckey(uint8_t out[REPLI_HINT_CKEY_LEN], int64_t created_us,
                     enum base_key_byte position)
{
    out[0] = BASE_KEY_NEXT;
    base_put_be64(out + 1, (uint64_t)created_us ^ UINT64_C(1) << 63);
    out[9] = (uint8_t)position;
}

bool repli_hint_ckey_get(struct base_slice ckey, int64_t *created_us)
{
    *created_us = 0;
    if (ckey.len != REPLI_HINT_CKEY_LEN || ckey.data[0] != BASE_KEY_NEXT)
        return false;
    *created_us = (int64_t)(base_get_be64(ckey.data + 1) ^ UINT64_C(1) << 63);
    return true;
}

int64_t repli_hint_watermark(struct repl *repl, const struct repli_hint_host *host, bool *all)
{
    const struct repli_hint_put *oldest = host->puts;
    *all = !oldest;
    return oldest ? oldest->created_us : repl->ports.timestamp(repl->ports.ctx);
}

/* Keeping. */

bool repli_hints_wanted(const struct repl *repl, size_t member)
{
    const struct repli_hints *hints = repl->hints;
    if (!repl->config.hinted_handoff_enabled || repl->closing)
        return false;
    if (repli_is_guest(repl)) /* who keeps it knows the rest */
        return true;
    struct repl_peer_info info = {0};
    repli_gossip_get(repl, repl->ring->members[member].host_id, &info);
    if (!info.alive && info.down_since_ns &&
        repli_now(repl) - info.down_since_ns > repl->config.max_hint_window_ns)
        return false;
    return repl->stats.hints_bytes + hints->pending_bytes < repl->config.hints_size_max;
}

static void put_free(struct repl *repl, struct repli_hint_put *put)
{
    BASE_ASSERT(repl->hints->pending_bytes >= put->size);
    repl->hints->pending_bytes -= put->size;
    base_buf_fini(&put->group);
    free(put);
}

/* Those that ended leave the list from its head on: what stays is in order. */
static void puts_leave(struct repl *repl, struct repli_hint_host *host)
{
    while (host->puts && host->puts->ended) {
        struct repli_hint_put *put = host->puts;
        host->puts = put->next;
        if (!host->puts)
            host->puts_end = &host->puts;
        put_free(repl, put);
    }
}

static void put_ended(struct repl *repl, struct repli_hint_put *put)
{
    struct repli_hint_host *host = put->host;
    int rc = put->store_op.rc;
    void (*done)(struct repl *, void *, int) = put->done;
    void *ctx = put->ctx;
    if (rc == BASE_OK) {
        repl->stats.hints_created++;
        host->arrivals++;
        host_add(repl, host, 1, put->size, put->expiry_s);
    } else {
        repl->stats.hints_failed++;
        base_logf(repl->ports.log, BASE_LOG_WARN, "hints: one is not kept: %s",
                  put->store_op.err.text);
    }
    put->ended = true;
    puts_leave(repl, host);
    if (rc == BASE_OK)
        repli_hint_dispatch_soon(repl, host, DISPATCH_SOON_NS);
    if (done)
        done(repl, ctx, rc);
}

static void put_stored(struct repl_store_op *op)
{
    struct repli_hint_put *put = BASE_CONTAINER(op, struct repli_hint_put, store_op);
    put_ended(put->repl, put);
}

static int put_encode(struct repl *repl, struct repli_hint_put *put, struct base_slice mutations,
                      size_t mutation_count, int32_t ttl)
{
    struct base_buf value;
    uint8_t ckey[REPLI_HINT_CKEY_LEN];
    repli_hint_ckey(ckey, put->created_us, BASE_KEY_AT);
    base_buf_init(&value, SIZE_MAX);
    base_buf_init(&put->group, SIZE_MAX);
    int rc = repli_late_value_put(&value, put->created_us, mutation_count, mutations);
    put->size = (size_t)repli_hint_cost(value.len);
    put->expiry_s = put->created_us / 1000000 + ttl;
    if (rc == BASE_OK)
        rc = repli_internal_row_put(
            &put->group, repl_hints_table_id, base_slice(put->host->pkey, put->host->pkey_len),
            base_slice(ckey, sizeof ckey), put->created_us, ttl, base_buf_view(&value));
    base_buf_fini(&value);
    repl->hints->pending_bytes += put->size;
    return rc;
}

/* Whether there is room, and for how long it may be kept. */
static int check_put(struct repl *repl, struct base_slice mutations, size_t mutation_count,
                     int32_t *ttl)
{
    const struct repli_hints *hints = repl->hints;
    uint64_t size = mutations.len + BASE_VARINT_LEN_MAX + 8 + REPLI_HINT_CKEY_LEN;
    *ttl = repli_min_gc_grace(repl, mutations, mutation_count);
    if (*ttl < 0)
        return BASE_E_NOTFOUND;
    if (*ttl == 0) /* as Cassandra: what was deleted meanwhile would come back */
        return BASE_E_INVALID;
    if (repl->stats.hints_bytes + hints->pending_bytes + size > repl->config.hints_size_max)
        return BASE_E_LIMIT;
    return hints->pending_bytes + size > PENDING_BYTES_MAX && hints->pending_bytes > 0
               ? BASE_E_OVERLOADED
               : BASE_OK;
}

static int put_start(struct repl *repl, struct base_uuid host_id, struct base_slice mutations,
                     size_t mutation_count, void (*done)(struct repl *repl, void *ctx, int rc),
                     void *ctx)
{
    int32_t ttl;
    int rc = check_put(repl, mutations, mutation_count, &ttl);
    if (rc != BASE_OK) {
        repl->stats.hints_refused++;
        return rc;
    }
    struct repli_hint_host *host = host_get(repl, host_id);
    struct repli_hint_put *put = host ? calloc(1, sizeof *put) : NULL;
    if (!put) {
        repl->stats.hints_failed++;
        return BASE_E_NOMEM;
    }
    put->repl = repl;
    put->host = host;
    put->created_us = repl->ports.timestamp(repl->ports.ctx);
    put->done = done;
    put->ctx = ctx;
    rc = put_encode(repl, put, mutations, mutation_count, ttl);
    if (rc != BASE_OK) {
        repl->stats.hints_failed++;
        put_free(repl, put);
        return rc;
    }
    *host->puts_end = put;
    host->puts_end = &put->next;
    put->store_op.kind = REPL_STORE_WRITE;
    put->store_op.done = put_stored;
    put->store_op.group = base_buf_view(&put->group);
    put->store_op.mutation_count = 1;
    put->store_op.durability = REPL_DURABLE_LOG;
    put->store_op.timeout_ns = repl->config.write_timeout_ns;
    if (repli_store_submit(repl, &put->store_op) == REPL_DONE)
        put_ended(repl, put);
    return BASE_OK;
}

/* A guest's: a live member keeps it. */

struct repli_guest_hint {
    struct repli_call call;
    struct repli_guest_hint *next, **prev;
    struct base_uuid host_id, tried[KEEPERS_TRIED_MAX];
    unsigned tried_count;
    struct base_buf body;
    void (*done)(struct repl *repl, void *ctx, int rc);
    void *ctx;
};

static void guest_hint_free(struct repli_guest_hint *hint)
{
    *hint->prev = hint->next;
    if (hint->next)
        hint->next->prev = hint->prev;
    base_buf_fini(&hint->body);
    free(hint);
}

static void guest_hint_end(struct repl *repl, struct repli_guest_hint *hint, int rc)
{
    void (*done)(struct repl *, void *, int) = hint->done;
    void *ctx = hint->ctx;
    repl->stats.hints_created += rc == BASE_OK;
    repl->stats.hints_failed += rc != BASE_OK;
    guest_hint_free(hint);
    if (done)
        done(repl, ctx, rc);
}

/* The best one not asked yet: of our data centre, and else any; -1: none. */
static int find_keeper(const struct repl *repl, const struct repli_guest_hint *hint)
{
    const struct ring_state *ring = repl->ring;
    int found = -1;
    for (size_t i = 0; i < ring->member_count; i++) {
        const struct ring_member *m = &ring->members[i];
        bool tried = base_uuid_equal(m->host_id, hint->host_id);
        for (unsigned j = 0; j < hint->tried_count; j++)
            tried |= base_uuid_equal(m->host_id, hint->tried[j]);
        if (tried || m->state != RING_MEMBER_NORMAL || !repl_is_alive(repl, m->host_id))
            continue;
        if (base_slice_equal(m->dc, repl->config.dc))
            return (int)i;
        if (found < 0)
            found = (int)i;
    }
    return found;
}

static void guest_hint_send(struct repl *repl, struct repli_guest_hint *hint, int rc);

static void guest_hint_answered(struct repl *repl, struct repli_call *call, int rc,
                                const struct base_message *reply)
{
    struct repli_guest_hint *hint = BASE_CONTAINER(call, struct repli_guest_hint, call);
    (void)reply;
    if (rc == BASE_OK)
        guest_hint_end(repl, hint, rc);
    else
        guest_hint_send(repl, hint, rc);
}

/* rc: how the one before ended. */
static void guest_hint_send(struct repl *repl, struct repli_guest_hint *hint, int rc)
{
    int keeper = hint->tried_count < KEEPERS_TRIED_MAX ? find_keeper(repl, hint) : -1;
    if (keeper < 0) {
        guest_hint_end(repl, hint, rc);
        return;
    }
    hint->tried[hint->tried_count++] = repl->ring->members[keeper].host_id;
    hint->call.done = guest_hint_answered;
    /* all of them within one write's time */
    repli_call_start(repl, &hint->call, repli_member_peer(repl, (size_t)keeper), REPL_LANE_POINT,
                     REPL_VERB_HINT, base_buf_view(&hint->body),
                     repl->config.write_timeout_ns / KEEPERS_TRIED_MAX);
}

static int guest_put(struct repl *repl, struct base_uuid host_id, struct base_slice mutations,
                     void (*done)(struct repl *repl, void *ctx, int rc), void *ctx)
{
    struct repli_guest_hint *hint = calloc(1, sizeof *hint);
    if (!hint)
        return BASE_E_NOMEM;
    base_buf_init(&hint->body, SIZE_MAX);
    hint->next = repl->hints->guest_hints;
    if (hint->next)
        hint->next->prev = &hint->next;
    hint->prev = &repl->hints->guest_hints;
    repl->hints->guest_hints = hint;
    hint->host_id = host_id;
    int rc = base_buf_put(&hint->body, host_id.b, 16);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&hint->body, mutations);
    if (rc != BASE_OK) {
        guest_hint_free(hint);
        return rc;
    }
    hint->done = done;
    hint->ctx = ctx;
    guest_hint_send(repl, hint, BASE_E_UNAVAILABLE);
    return BASE_OK;
}

void repli_hint_put(struct repl *repl, struct base_uuid host_id, struct base_slice mutations,
                    size_t mutation_count, void (*done)(struct repl *repl, void *ctx, int rc),
                    void *ctx)
{
    int rc = BASE_E_CLOSED;
    if (!repl->closing)
        rc = repli_is_guest(repl) ? guest_put(repl, host_id, mutations, done, ctx)
                                  : put_start(repl, host_id, mutations, mutation_count, done, ctx);
    if (rc != BASE_OK && done)
        done(repl, ctx, rc);
}

/* HINT: a guest asks. */

struct asked {
    struct repl_inbound *in;
    size_t admitted;
};

static void asked_done(struct repl *repl, void *ctx, int rc)
{
    struct asked *asked = ctx;
    if (rc == BASE_OK)
        repli_reply(repl, asked->in, (struct base_slice){0});
    else
        repli_reply_failure(repl, asked->in, rc, (struct base_slice){0}, "the hint is not kept");
    repli_leave(repl, asked->admitted);
    free(asked);
}

static void keep_for_guest(struct repl *repl, struct repl_inbound *in, struct base_uuid host_id,
                           struct base_slice mutations)
{
    size_t count, cost = in->message.body.len + REPLI_WRITE_OP_COST;
    int member = ring_member_find(repl->ring, host_id);
    struct asked *asked = NULL;
    const char *text = NULL;
    int rc = BASE_OK;
    if (!repli_mutations_check(mutations, &count)) {
        rc = BASE_E_CORRUPT;
        text = "the hint's mutations are damaged";
    } else if (member < 0) {
        rc = BASE_E_NOTFOUND;
        text = "the hint's host is no member";
    } else if (!repli_hints_wanted(repl, (size_t)member)) {
        rc = BASE_E_LIMIT;
        text = "no hint is kept for this host: handoff is off, it is down for too long, or there "
               "is no room";
        repl->stats.hints_refused++;
    } else if (!repli_admit(repl, cost)) {
        rc = BASE_E_OVERLOADED;
        text = "too many requests are under way here";
    } else if (!(asked = malloc(sizeof *asked))) {
        rc = BASE_E_NOMEM;
        text = "out of memory";
        repli_leave(repl, cost);
    }
    if (rc != BASE_OK) {
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, text);
        return;
    }
    *asked = (struct asked){in, cost};
    repli_hint_put(repl, host_id, mutations, count, asked_done, asked);
}

void repli_hints_handle(struct repl *repl, struct repl_inbound *in)
{
    struct base_reader reader = base_reader(in->message.body);
    struct base_slice id;
    struct base_uuid host_id;
    struct base_err err;
    int rc = repli_write_refused(repl, false, &err);
    if (rc != BASE_OK) {
        repli_reply_failure(repl, in, rc, (struct base_slice){0}, err.text);
        return;
    }
    if (!base_get_raw(&reader, 16, &id)) {
        repli_reply_failure(repl, in, BASE_E_CORRUPT, (struct base_slice){0},
                            "the message is too short");
        return;
    }
    memcpy(host_id.b, id.data, 16);
    struct base_slice mutations = {reader.p, base_reader_left(&reader)};
    if (repli_is_self(repl, host_id)) /* it thinks that we are down: here we are */
        repli_replica_write(repl, in, mutations);
    else
        keep_for_guest(repl, in, host_id, mutations);
}

/* Counting what is there: all at start, one host's when some must have expired. */

struct counted {
    struct base_uuid host_id;
    uint64_t count, bytes;
    int64_t expiry_s;
};
struct count_op {
    struct repl_store_op store_op;
    struct repl *repl;
    struct repli_hint_host *host; /* NULL: of all */
    uint64_t count_before, bytes_before;
    struct base_read cmd;
    struct base_range range;
    uint8_t hi[REPLI_HINT_CKEY_LEN];
    struct counted *hosts;
    size_t host_count, host_cap;
};

static int counted_add(struct count_op *c, struct base_slice pkey, struct counted **out)
{
    struct base_buf id;
    base_buf_init(&id, 64);
    int rc = base_pkey_decode(pkey, &id, NULL);
    *out = NULL;
    if (rc == BASE_OK && id.len == 16 && c->host_count == c->host_cap) {
        size_t cap = c->host_cap ? 2 * c->host_cap : 16;
        struct counted *grown = realloc(c->hosts, cap * sizeof *grown);
        if (!grown)
            rc = BASE_E_NOMEM;
        else
            c->hosts = grown, c->host_cap = cap;
    }
    if (rc == BASE_OK && id.len == 16) {
        *out = &c->hosts[c->host_count++];
        **out = (struct counted){.expiry_s = INT64_MAX};
        memcpy((*out)->host_id.b, id.data, 16);
    }
    base_buf_fini(&id);
    return rc == BASE_E_CORRUPT || rc == BASE_E_LIMIT ? BASE_OK : rc; /* no partition of ours */
}

/* Runs where it may block, on the operation's own memory. */
static int count_rows(struct repl_store_op *op, struct base_source *source, struct base_err *err)
{
    struct count_op *c = BASE_CONTAINER(op, struct count_op, store_op);
    for (;;) {
        struct base_partition partition;
        struct counted *counted;
        int rc = source->ops->partition(source, &partition, err);
        if (rc != BASE_OK || partition.pkey.len == 0)
            return rc;
        rc = counted_add(c, partition.pkey, &counted);
        if (rc != BASE_OK)
            return base_err_set(err, rc, "hints: out of memory");
        for (struct base_item item; counted;) {
            struct base_slice value;
            rc = source->ops->next(source, &item, err);
            if (rc != BASE_OK)
                return rc;
            if (item.kind == BASE_ITEM_END)
                break;
            struct base_row_stats stats = BASE_ROW_STATS_INIT;
            if (item.kind != BASE_ITEM_ROW ||
                !repli_internal_row_get(item.row, c->cmd.now_s, &value) ||
                !base_row_stats(item.row, &stats))
                continue;
            counted->count++;
            counted->bytes += repli_hint_cost(value.len);
            if (stats.local_s_min < counted->expiry_s)
                counted->expiry_s = stats.local_s_min;
        }
    }
}

static void count_end(struct repl *repl, struct count_op *c)
{
    struct repli_hint_host *host = c->host;
    int rc = c->store_op.rc;
    if (rc == BASE_OK && host) {
        const struct counted *counted =
            c->host_count ? &c->hosts[0] : &(struct counted){.expiry_s = INT64_MAX};
        repli_hint_forget(repl, host, c->count_before, c->bytes_before);
        host_add(repl, host, counted->count, counted->bytes, counted->expiry_s);
    }
    for (size_t i = 0; rc == BASE_OK && !host && i < c->host_count; i++) {
        struct repli_hint_host *found = host_get(repl, c->hosts[i].host_id);
        if (!found)
            rc = BASE_E_NOMEM;
        else if (c->hosts[i].count)
            host_add(repl, found, c->hosts[i].count, c->hosts[i].bytes, c->hosts[i].expiry_s);
    }
    if (host) {
        host->counting = false;
        repli_hint_dispatch_soon(repl, host, DISPATCH_SOON_NS);
    }
    if (!host && rc == BASE_OK) {
        repl->hints->scanned = true;
        repli_hint_dispatch_all(repl);
    } else if (!host && !repl->closing) {
        base_logf(repl->ports.log, BASE_LOG_WARN, "hints: cannot be counted: %s",
                  c->store_op.err.text);
        repli_timer_arm_after(repl, &repl->hints->scan_timer, SCAN_AGAIN_NS);
    }
    free(c->hosts);
    free(c);
}

static void count_done(struct repl_store_op *op)
{
    struct count_op *c = BASE_CONTAINER(op, struct count_op, store_op);
    count_end(c->repl, c);
}

static void count_start(struct repl *repl, struct repli_hint_host *host)
{
    struct count_op *c = calloc(1, sizeof *c);
    if (!c) {
        if (!host)
            repli_timer_arm_after(repl, &repl->hints->scan_timer, SCAN_AGAIN_NS);
        return;
    }
    c->repl = repl;
    c->host = host;
    repli_hint_ckey(c->hi, repl->ports.timestamp(repl->ports.ctx), BASE_KEY_BEFORE);
    c->range.hi = base_slice(c->hi, sizeof c->hi);
    c->cmd = BASE_READ_INIT;
    c->cmd.table_id = repl_hints_table_id;
    c->cmd.epoch = repl_epoch(repl);
    c->cmd.now_s = repli_now_s(repl);
    c->cmd.slices = (struct base_slices){&c->range, 1};
    if (host) {
        BASE_ASSERT(!host->puts && !host->pass && !host->counting);
        host->counting = true;
        c->cmd.pkey = base_slice(host->pkey, host->pkey_len);
        c->count_before = host->count;
        c->bytes_before = host->bytes;
    }
    c->store_op.kind = REPL_STORE_READ;
    c->store_op.cmd = &c->cmd;
    c->store_op.consume = count_rows;
    c->store_op.done = count_done;
    if (repli_store_submit(repl, &c->store_op) == REPL_DONE)
        count_end(repl, c);
}

static void scan_again(struct repl *repl, struct repli_timer *timer)
{
    (void)timer;
    count_start(repl, NULL);
}

/* Hints for a host that stays away expire in the store; here they must be found gone, so that they
 * leave room. */
static void expiry_check(struct repl *repl, struct repli_timer *timer)
{
    int64_t now_s = repli_now_s(repl);
    bool any = false;
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++) {
        for (struct repli_hint_host *host = repl->hints->buckets[i]; host; host = host->next) {
            any |= host->count > 0;
            if (host->count > 0 && host->expiry_s <= now_s && !host->puts && !host->pass &&
                !host->counting && repl->hints->scanned)
                count_start(repl, host);
        }
    }
    if (any)
        repli_timer_arm_after(repl, timer, EXPIRY_CHECK_NS);
}

/* The part. */

int repli_hints_open(struct repl *repl, struct base_err *err)
{
    repl->hints = calloc(1, sizeof *repl->hints);
    if (!repl->hints)
        return base_err_set(err, BASE_E_NOMEM, "cluster: hints: out of memory");
    repl->hints->expiry_timer.fired = expiry_check;
    repl->hints->scan_timer.fired = scan_again;
    return BASE_OK;
}

void repli_hints_start(struct repl *repl)
{
    count_start(repl, NULL);
}

/* Nobody who waits for a hint is there any more (writes.c is closed), and no store operation is
 * pending. */
void repli_hints_close(struct repl *repl)
{
    struct repli_hints *hints = repl->hints;
    if (!hints)
        return;
    repli_timer_disarm(repl, &hints->expiry_timer);
    repli_timer_disarm(repl, &hints->scan_timer);
    while (hints->guest_hints) {
        repli_call_cancel(repl, &hints->guest_hints->call);
        guest_hint_free(hints->guest_hints);
    }
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++) {
        for (struct repli_hint_host *host = hints->buckets[i], *next; host; host = next) {
            next = host->next;
            repli_timer_disarm(repl, &host->timer);
            repli_hint_pass_close(repl, host);
            BASE_ASSERT(!host->puts);
            free(host);
        }
    }
    free(hints);
    repl->hints = NULL;
}

void repli_hints_get(const struct repl *repl, struct base_uuid host_id, uint64_t *bytes,
                     uint64_t *count)
{
    const struct repli_hint_host *host = repli_hint_host_find(repl, host_id);
    *bytes = host ? host->bytes : 0;
    *count = host ? host->count : 0;
}

bool repli_hints_any(const struct repl *repl)
{
    const struct repli_hints *hints = repl->hints;
    if (repli_is_guest(repl))
        return false;
    if (!hints->scanned || hints->pending_bytes > 0)
        return true;
    for (size_t i = 0; i < REPLI_HINT_BUCKETS; i++)
        for (const struct repli_hint_host *host = hints->buckets[i]; host; host = host->next)
            if (host->count > 0 || host->pass)
                return true;
    return false;
}

bool repl_hints_enabled(const struct repl *repl)
{
    return repl->config.hinted_handoff_enabled;
}
