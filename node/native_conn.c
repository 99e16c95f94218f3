/* A connection of the native protocol: its lifetime; answers gathered over a turn of the loop,
 * bytes out.
 *
 * Invariants:
 *  1. An out-buffer is borrowed from the listener's pool while there is something in it.
 *  2. A turn of the loop writes at most about WRITE_SIZE bytes of a connection's answers.
 *  3. Who does not read his answers is not read from (native_receive.c), and is cut off when what
 *     was unwritten has not been read in its time, however little of it trickles out.
 *  4. Events, which nobody asks for one by one, end a connection that lets EVENTS_MAX bytes of them
 *     lie: its driver connects anew and looks at everything anew; none is left out in silence.
 *  5. A connection's memory stays until its last request has ended (`refs`), closed or not. */
#include "node/native_private.h"

#include <stdio.h>

enum { KEEP_SIZE = 64 << 10, COMPACT_OVER = 1 << 20, WRITE_SIZE = 1 << 20, EVENTS_MAX = 1 << 20 };
#define OUT_LEN_MAX (1u << 30)

/* Lifetime. */

static bool has_place(const struct nodei_native *native, const struct nodei_native_address *address)
{
    const struct nodei_settings *s = &native->node->settings;
    if (s->native_connections_max && native->conn_count >= s->native_connections_max)
        return false;
    return !s->native_connections_per_address_max ||
           address->connections < s->native_connections_per_address_max;
}

static struct nodei_native_conn *new_conn(struct nodei_native *native,
                                          const struct net_stream_peer *peer)
{
    struct nodei_native_address *address =
        native->closed ? NULL : nodei_limits_address(&native->limits, peer->address);
    if (!address)
        return NULL;
    struct nodei_native_conn *conn = has_place(native, address) ? calloc(1, sizeof *conn) : NULL;
    if (conn)
        conn->address = address;
    else
        nodei_limits_leave(&native->limits, address);
    return conn;
}

struct net_stream *nodei_conn_accept(void *ctx, const struct net_stream_peer *peer)
{
    struct nodei_native *native = ctx;
    struct nodei_native_conn *conn = new_conn(native, peer);
    if (!conn) {
        native->stats.connections_refused++;
        return NULL;
    }
    size_t frame_max = native->node->settings.native_frame_size_max;
    conn->native = native;
    conn->refs = 1;
    conn->stream.ready = nodei_conn_ready;
    conn->loopback = peer->loopback;
    conn->port = peer->port;
    conn->opened_ns = net_loop_now(native->loop).ns;
    conn->typical_answer = KEEP_SIZE; /* nothing is known yet */
    nodei_client_init_on_loop(&conn->client, native->node);
    conn->client.is_superuser = !nodei_auth_is_required(native->node);
    snprintf(conn->client.address, sizeof conn->client.address, "%s", peer->address);
    cql_wire_in_init(&conn->in, false, (uint32_t)frame_max);
    conn->in.passes_over = true;
    nodei_conn_limit_messages(conn);
    cql_wire_out_init(&conn->out, false, OUT_LEN_MAX);
    base_buf_init(&conn->unread, frame_max + NODEI_UNREAD_MORE);
    conn->next = native->conns;
    if (conn->next)
        conn->next->prev = conn;
    native->conns = conn;
    native->conn_count++;
    conn->address->connections++;
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
    BASE_ASSERT(conn->use.admitted == 0);
    nodei_limits_leave(&native->limits, conn->address);
    free(conn->driver_name);
    free(conn->driver_version);
    free(conn);
    native->orphans--;
    nodei_native_free_if_done(native);
}

/* What its answers cost: also what was sent of them, while it lies in the buffer. */
static void count_out(struct nodei_native_conn *conn)
{
    const struct cql_wire_out *out = &conn->out;
    nodei_hold(conn, NODEI_POOL_ANSWERS, &conn->out_counted,
               out->bytes.len + out->scratch.len + out->spill.len);
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

static void wipe_in(struct nodei_native_conn *conn)
{
    const struct base_buf *bufs[] = {&conn->unread, &conn->in.assembly, &conn->in.plain};
    for (size_t i = 0; i < BASE_COUNT(bufs); i++)
        if (bufs[i]->data)
            explicit_bzero(bufs[i]->data, bufs[i]->cap);
}

void nodei_conn_close(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    if (conn->dead)
        return;
    nodei_wait_no_more(conn);
    conn->dead = true;
    net_stream_close(&conn->stream);
    undirty(conn);
    if (conn->next)
        conn->next->prev = conn->prev;
    *(conn->prev ? &conn->prev->next : &native->conns) = conn->next;
    conn->prev = conn->next = NULL;
    native->conn_count--;
    conn->address->connections--;
    native->orphans++;
    nodei_hold(conn, NODEI_POOL_ANSWERS, &conn->out_counted, 0);
    nodei_hold(conn, NODEI_POOL_REQUESTS, &conn->in_counted, 0);
    if (conn->reserved)
        nodei_admit(conn, -1);
    conn->reserved = 0;
    if (conn->stage != NODEI_NATIVE_READY) /* credentials may be in it */
        wipe_in(conn);
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
    if (conn->dead)
        return;
    count_out(conn);
    if (conn->is_dirty)
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

void nodei_conn_push(struct nodei_native_conn *conn, struct base_slice event)
{
    if (conn->event_bytes > EVENTS_MAX) {
        conn->native->stats.connections_timed_out++;
        nodei_conn_fail(conn);
        return;
    }
    conn->event_bytes += CQL_WIRE_HEADER_LEN + event.len;
    nodei_conn_answer(conn, CQL_OPCODE_EVENT, -1, event);
}

/* Writing. */

/* Drop what was sent from the front when it is the larger part, and memory with it. Nothing is
 * open: offsets may move. */
static void compact(struct nodei_native_conn *conn)
{
    struct base_buf *buf = &conn->out.bytes, smaller;
    if (conn->sent < COMPACT_OVER || conn->sent < buf->len / 2)
        return;
    struct base_slice rest = base_slice(buf->data + conn->sent, buf->len - conn->sent);
    base_buf_init(&smaller, buf->len_max);
    if (rest.len < buf->cap / 4 && base_buf_put_slice(&smaller, rest) == BASE_OK) {
        base_buf_fini(buf);
        *buf = smaller;
    } else {
        memmove(buf->data, rest.data, rest.len);
        buf->len = rest.len;
    }
    conn->sent = 0;
}

/* What is unwritten now has a time to be read in; then what is unwritten then. */
static void set_due(struct nodei_native_conn *conn, size_t left)
{
    const struct nodei_native *native = conn->native;
    if (left == 0) {
        conn->due_ns = 0;
    } else if (conn->due_ns == 0 || conn->written_total >= conn->due_total) {
        conn->due_total = conn->written_total + left;
        conn->due_ns = net_loop_now(native->loop).ns + nodei_native_time_for(native, left);
    }
}

void nodei_conn_want(struct nodei_native_conn *conn)
{
    bool reads = !conn->closing && !conn->waits && !conn->held_back,
         writes = conn->out.bytes.len > conn->sent;
    if (net_stream_want(&conn->stream, (reads ? NET_READABLE : 0) | (writes ? NET_WRITABLE : 0),
                        NULL) != BASE_OK)
        nodei_conn_close(conn);
}

/* False: it broke. */
static bool write_some(struct nodei_native_conn *conn)
{
    struct base_buf *buf = &conn->out.bytes;
    size_t written = 0;
    while (conn->sent < buf->len && written < WRITE_SIZE) {
        const struct iovec piece = {buf->data + conn->sent, buf->len - conn->sent};
        ssize_t n = net_stream_write(&conn->stream, &piece, 1);
        if (n <= 0)
            return n == 0;
        conn->sent += (size_t)n;
        written += (size_t)n;
        conn->written_total += (size_t)n;
        conn->written_ns = net_loop_now(conn->native->loop).ns;
    }
    return true;
}

void nodei_conn_flush(struct nodei_native_conn *conn)
{
    struct base_buf *buf = &conn->out.bytes;
    if (conn->dead)
        return;
    bool ok = cql_wire_flush(&conn->out) == BASE_OK && write_some(conn);
    size_t left = buf->len - conn->sent;
    if (!ok || (left == 0 && conn->closing && !conn->requests && !conn->login)) {
        nodei_conn_close(conn);
        return;
    }
    if (left == 0) {
        conn->sent = conn->event_bytes = 0;
        give_out_back(conn);
    } else {
        compact(conn);
    }
    set_due(conn, left);
    count_out(conn);
    if (conn->held_back)
        nodei_look_again(conn);
    nodei_conn_want(conn);
}
