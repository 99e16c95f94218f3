/* A connection of the native protocol: bytes in, messages to whom they belong, answers gathered
 * over a turn of the loop, bytes out.
 *
 * Invariants:
 *  1. A connection that waits has no buffers: what is read goes through the listener's one receive
 *     buffer, and only the beginning of an unfinished message is kept; an out-buffer is borrowed
 *     from the listener's pool while there is something in it.
 *  2. One read and at most one write a turn of the loop, however many messages they hold.
 *  3. Who does not read his answers is not read from: past OUT_HIGH unwritten bytes reading stops
 *     until less than OUT_LOW are left.
 *  4. A connection's memory stays until its last request has ended (`refs`), closed or not. */
#include "node/native_private.h"

#include <stdio.h>

enum {
    RECEIVE_SIZE = 64 << 10,
    OUT_HIGH = 1 << 20,
    OUT_LOW = 256 << 10,
    KEEP_SIZE = 64 << 10,
    COMPACT_OVER = 1 << 20
};
#define OUT_LEN_MAX (1u << 30)

/* Lifetime. */

static void on_ready(struct net_stream *stream, int events);

static size_t connections_of(const struct nodei_native *native, const char *address)
{
    size_t count = 0;
    for (const struct nodei_native_conn *c = native->conns; c; c = c->next)
        count += strcmp(c->client.address, address) == 0;
    return count;
}

static bool has_place(const struct nodei_native *native, const struct net_stream_peer *peer)
{
    const struct nodei_settings *s = &native->node->settings;
    if (s->native_connections_max && native->conn_count >= s->native_connections_max)
        return false;
    return !s->native_connections_per_address_max ||
           connections_of(native, peer->address) < s->native_connections_per_address_max;
}

struct net_stream *nodei_conn_accept(void *ctx, const struct net_stream_peer *peer)
{
    struct nodei_native *native = ctx;
    struct nodei_native_conn *conn =
        native->closed || !has_place(native, peer) ? NULL : calloc(1, sizeof *conn);
    if (!conn) {
        native->stats.connections_refused++;
        return NULL;
    }
    uint32_t frame_max = (uint32_t)native->node->settings.native_frame_size_max;
    conn->native = native;
    conn->refs = 1;
    conn->stream.ready = on_ready;
    conn->loopback = peer->loopback;
    conn->port = peer->port;
    conn->opened_ns = net_loop_now(native->loop).ns;
    nodei_client_init_on_loop(&conn->client, native->node);
    conn->client.is_superuser = !nodei_auth_is_required(native->node);
    snprintf(conn->client.address, sizeof conn->client.address, "%s", peer->address);
    cql_wire_in_init(&conn->in, false, frame_max);
    conn->in.passes_over = true;
    cql_wire_out_init(&conn->out, false, OUT_LEN_MAX);
    base_buf_init(&conn->unread,
                  (size_t)frame_max + 2 * RECEIVE_SIZE + CQL_WIRE_SEGMENT_PAYLOAD_MAX);
    conn->next = native->conns;
    if (conn->next)
        conn->next->prev = conn;
    native->conns = conn;
    native->conn_count++;
    native->stats.connections_total++;
    if (!native->sweep.armed)
        net_loop_arm(native->loop, &native->sweep, 1);
    return &conn->stream;
}

void nodei_conn_release(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    BASE_ASSERT(conn->refs > 0);
    if (--conn->refs > 0)
        return;
    BASE_ASSERT(conn->dead && !conn->requests && !conn->login);
    free(conn->driver_name);
    free(conn->driver_version);
    free(conn);
    native->orphans--;
    nodei_native_free_if_done(native);
}

static void count_out(struct nodei_native_conn *conn, size_t bytes)
{
    conn->native->in_flight_bytes += bytes - conn->out_counted;
    conn->out_counted = bytes;
}

static void undirty(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    struct nodei_native_conn **at = &native->dirty;
    if (!conn->is_dirty)
        return;
    while (*at != conn)
        at = &(*at)->dirty_next;
    *at = conn->dirty_next;
    if (!conn->dirty_next)
        native->dirty_end = at;
    conn->dirty_next = NULL;
    conn->is_dirty = false;
}

void nodei_conn_close(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    if (conn->dead)
        return;
    conn->dead = true;
    net_stream_close(&conn->stream);
    undirty(conn);
    if (conn->next)
        conn->next->prev = conn->prev;
    *(conn->prev ? &conn->prev->next : &native->conns) = conn->next;
    conn->prev = conn->next = NULL;
    native->conn_count--;
    native->orphans++;
    count_out(conn, 0);
    cql_wire_in_fini(&conn->in);
    cql_wire_out_fini(&conn->out);
    base_buf_fini(&conn->unread);
    nodei_requests_abandon(conn);
    nodei_conn_release(conn);
}

/* Answers. */

void nodei_conn_dirty(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    if (conn->is_dirty || conn->dead)
        return;
    conn->is_dirty = true;
    *native->dirty_end = conn;
    native->dirty_end = &conn->dirty_next;
    net_loop_at_end(native->loop, &native->flush);
}

void nodei_conn_fail(struct nodei_native_conn *conn)
{
    conn->closing = true;
    nodei_conn_dirty(conn);
}

void nodei_conn_end(struct nodei_native_conn *conn)
{
    conn->closing = true;
    nodei_conn_dirty(conn);
}

/* Memory for what will be put. */
void nodei_conn_borrow_out(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    if (conn->out.bytes.data || native->spare_out_count == 0)
        return;
    conn->out.bytes = native->spare_out[--native->spare_out_count];
    conn->out.bytes.len_max = OUT_LEN_MAX;
}

static void give_out_back(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    struct base_buf *buf = &conn->out.bytes;
    base_buf_reset(buf);
    if (buf->data && buf->cap <= KEEP_SIZE &&
        native->spare_out_count < BASE_COUNT(native->spare_out)) {
        native->spare_out[native->spare_out_count++] = *buf;
        base_buf_init(buf, OUT_LEN_MAX);
    }
    if (!conn->requests || buf->cap > KEEP_SIZE)
        cql_wire_out_release(&conn->out);
}

void nodei_conn_answer(struct nodei_native_conn *conn, enum cql_opcode opcode, int16_t stream,
                       struct base_slice body)
{
    if (conn->dead)
        return;
    nodei_conn_borrow_out(conn);
    int rc = cql_wire_begin(&conn->out, opcode, stream, 0);
    if (rc == BASE_OK && (rc = base_buf_put_slice(&conn->out.bytes, body)) != BASE_OK)
        cql_wire_abandon(&conn->out);
    if (rc == BASE_OK)
        rc = cql_wire_end(&conn->out);
    if (rc != BASE_OK)
        nodei_conn_fail(conn);
    nodei_conn_dirty(conn);
}

void nodei_conn_answer_error(struct nodei_native_conn *conn, int16_t stream,
                             const struct cql_error *error)
{
    if (conn->dead)
        return;
    nodei_conn_borrow_out(conn);
    conn->native->stats.errors++;
    int rc = cql_wire_begin(&conn->out, CQL_OPCODE_ERROR, stream, 0);
    if (rc == BASE_OK &&
        (rc = cql_put_error(&conn->out.bytes, conn->out.version, error)) != BASE_OK)
        cql_wire_abandon(&conn->out);
    if (rc == BASE_OK)
        rc = cql_wire_end(&conn->out);
    if (rc != BASE_OK)
        nodei_conn_fail(conn);
    nodei_conn_dirty(conn);
}

void nodei_conn_answer_code(struct nodei_native_conn *conn, int16_t stream,
                            enum cql_error_number code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const struct cql_error error = {.code = (int32_t)code, .message = base_slice_str(text)};
    nodei_conn_answer_error(conn, stream, &error);
}

/* Writing. */

/* Drop what was sent from the front when it is the larger part. Nothing is open: offsets may
 * move. */
static void compact(struct nodei_native_conn *conn)
{
    struct base_buf *buf = &conn->out.bytes;
    if (conn->sent < COMPACT_OVER || conn->sent < buf->len / 2)
        return;
    memmove(buf->data, buf->data + conn->sent, buf->len - conn->sent);
    buf->len -= conn->sent;
    conn->sent = 0;
}

void nodei_conn_flush(struct nodei_native_conn *conn)
{
    struct base_buf *buf = &conn->out.bytes;
    if (conn->dead)
        return;
    bool ok = cql_wire_flush(&conn->out) == BASE_OK;
    while (ok && conn->sent < buf->len) {
        const struct iovec piece = {buf->data + conn->sent, buf->len - conn->sent};
        ssize_t n = net_stream_write(&conn->stream, &piece, 1);
        ok = n >= 0;
        if (n <= 0)
            break;
        conn->sent += (size_t)n;
        conn->written_ns = net_loop_now(conn->native->loop).ns;
    }
    size_t left = buf->len - conn->sent;
    if (!ok || (left == 0 && conn->closing && !conn->requests && !conn->login)) {
        nodei_conn_close(conn);
        return;
    }
    if (left == 0) {
        conn->sent = 0;
        give_out_back(conn);
    } else {
        compact(conn);
    }
    count_out(conn, left);
    bool was_reading = conn->stream.wanted & NET_READABLE;
    bool reads = !conn->closing && left < (was_reading ? OUT_HIGH : OUT_LOW);
    if (net_stream_want(&conn->stream, (reads ? NET_READABLE : 0) | (left ? NET_WRITABLE : 0),
                        NULL) != BASE_OK)
        nodei_conn_close(conn);
}

/* Reading. */

/* The first message: its version is the connection's. False: it is none of ours. */
static bool take_version(struct nodei_native_conn *conn, const struct cql_message *m)
{
    bool known = m->version >= CQL_WIRE_VERSION_MIN && m->version <= CQL_WIRE_VERSION_MAX;
    conn->out.version = known                               ? m->version
                        : m->version < CQL_WIRE_VERSION_MIN ? CQL_WIRE_VERSION_MIN
                                                            : CQL_WIRE_VERSION_MAX;
    if (known) {
        conn->version = conn->in.version = m->version;
        return true;
    }
    if (m->version == CQL_WIRE_VERSION_MAX + 1 && !(m->flags & CQL_FLAG_USE_BETA))
        nodei_conn_answer_code(
            conn, m->stream, CQL_ERROR_PROTOCOL,
            "Beta version of the protocol used (%u/v%u-beta), but USE_BETA flag is unset",
            m->version, m->version);
    else
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL,
                               "Invalid or unsupported protocol version (%u); supported versions "
                               "are (3/v3, 4/v4, 5/v5)",
                               m->version);
    nodei_conn_end(conn);
    return false;
}

static void take_message(struct nodei_native_conn *conn, struct cql_message *m)
{
    if (!conn->version && !take_version(conn, m))
        return;
    conn->requests_total++;
    if (!nodei_startup_handle(conn, m))
        nodei_request_handle(conn, m);
}

/* The stream cannot be read on. */
static void take_bad(struct nodei_native_conn *conn, const struct cql_message *m,
                     const struct base_err *err)
{
    bool is_ours = m->version >= CQL_WIRE_VERSION_MIN && m->version <= CQL_WIRE_VERSION_MAX;
    if (!conn->version && m->version && !is_ours) {
        (void)take_version(conn, m);
        return;
    }
    if (!conn->version)
        conn->out.version = is_ours ? m->version : CQL_WIRE_VERSION_MAX;
    nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL, "%s", err->text);
    nodei_conn_end(conn);
}

/* A message that is too big is refused and passed over, but for those who have not even begun. */
static void take_too_big(struct nodei_native_conn *conn, const struct cql_message *m,
                         const struct base_err *err)
{
    if (conn->stage != NODEI_NATIVE_READY)
        take_bad(conn, m, err);
    else
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_INVALID, "%s", err->text);
}

/* All whole messages of `bytes`; how many bytes they were. */
static size_t take_messages(struct nodei_native_conn *conn, struct base_slice bytes)
{
    size_t at = 0;
    while (!conn->dead && !conn->closing) {
        struct cql_message m;
        struct base_err err;
        size_t used, wanted;
        struct base_slice rest = base_slice(bytes.data + at, bytes.len - at);
        enum cql_wire_step step = cql_wire_next(&conn->in, rest, &used, &wanted, &m, &err);
        at += used;
        if (step == CQL_WIRE_MORE)
            break;
        conn->partial_since_ns = 0;
        if (step == CQL_WIRE_MESSAGE)
            take_message(conn, &m);
        else if (step == CQL_WIRE_TOO_BIG)
            take_too_big(conn, &m, &err);
        else
            take_bad(conn, &m, &err);
    }
    return at;
}

/* Buffers of the decoder are lent for the time of a read. */
static void lend(struct nodei_native_conn *conn, bool there)
{
    struct nodei_native *native = conn->native;
    struct base_buf *own[2] = {&conn->in.assembly, &conn->in.plain},
                    *lent[2] = {&native->spare_assembly, &native->spare_plain};
    for (int i = 0; i < 2; i++) {
        struct base_buf *from = there ? lent[i] : own[i], *to = there ? own[i] : lent[i];
        bool used =
            !there && i == 0 && (conn->in.partial || conn->in.assembly_at < conn->in.assembly.len);
        if (used || !from->data || to->data || from->cap > KEEP_SIZE * 4)
            continue;
        size_t from_max = from->len_max, to_max = to->len_max;
        *to = *from;
        to->len = 0;
        to->len_max = to_max;
        base_buf_init(from, from_max);
    }
    if (!there && !conn->in.partial && conn->in.assembly_at >= conn->in.assembly.len)
        conn->in.assembly_at = 0;
    if (!there)
        cql_wire_in_release(&conn->in);
}

static void receive(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    ssize_t n = net_stream_read(&conn->stream, native->receive.data, native->receive.cap);
    if (n <= 0) {
        if (n < 0)
            nodei_conn_close(conn);
        return;
    }
    uint64_t now = net_loop_now(native->loop).ns;
    conn->read_ns = now;
    struct base_slice bytes = base_slice(native->receive.data, (size_t)n);
    bool kept = conn->unread.len > 0;
    if (kept && base_buf_put_slice(&conn->unread, bytes) != BASE_OK) {
        nodei_conn_close(conn);
        return;
    }
    if (kept)
        bytes = base_buf_view(&conn->unread);
    lend(conn, true);
    size_t used = take_messages(conn, bytes);
    if (conn->dead)
        return;
    lend(conn, false);
    struct base_slice left = base_slice(bytes.data + used, bytes.len - used);
    if (left.len == 0 || conn->closing) {
        base_buf_fini(&conn->unread);
    } else if (kept) {
        memmove(conn->unread.data, left.data, left.len);
        conn->unread.len = left.len;
    } else if (base_buf_put_slice(&conn->unread, left) != BASE_OK) {
        nodei_conn_close(conn);
        return;
    }
    bool partial = conn->unread.len > 0 || conn->in.partial || conn->in.discard;
    if (!partial)
        conn->partial_since_ns = 0;
    else if (!conn->partial_since_ns)
        conn->partial_since_ns = now;
}

static void on_ready(struct net_stream *stream, int events)
{
    struct nodei_native_conn *conn = BASE_CONTAINER(stream, struct nodei_native_conn, stream);
    conn->refs++;
    if (events & NET_WRITABLE)
        nodei_conn_flush(conn);
    if (!conn->dead && !conn->closing && (events & NET_READABLE))
        receive(conn);
    nodei_conn_release(conn);
}
