/* What comes from a client: bytes in, messages to whom they belong.
 *
 * Invariants:
 *  1. A connection that waits for its client has no buffers: what is read goes through the
 *     listener's one receive buffer, and only what was not taken of it is kept.
 *  2. A turn of the loop reads at most RECEIVE_SIZE bytes of a connection and takes messages for
 *     about TURN_WORK; then it is others' turn.
 *  3. A message is taken only when there is room for it, and room for a longer one is kept before
 *     its bytes are gathered (native_limits.c). Else it waits where it is, and nothing is read.
 *  4. A stranger's messages are short: STRANGER_MESSAGE_MAX until he has logged in. What came while
 *     he did is wiped where it was received, taken apart or kept. */
#include "node/native_private.h"

enum {
    RECEIVE_SIZE = 64 << 10,
    OUT_HIGH = 1 << 20, /* unwritten: nothing more is read, until less than … */
    OUT_LOW = 256 << 10,
    KEEP_SIZE = 256 << 10,
    STRANGER_MESSAGE_MAX = 128 << 10,
    /* answers that are expected of requests under way, unless those are few */
    EXPECTED_MAX = 2 << 20,
    FEW_REQUESTS = 8,
    REQUESTS_PER_CONN_MAX = 16384,
    TURN_WORK = 512 /* of `work_of`: a few milliseconds */
};

void nodei_conn_limit_messages(struct nodei_native_conn *conn)
{
    const struct nodei_native *native = conn->native;
    size_t most = native->node->settings.native_frame_size_max,
           room = native->limits.share[NODEI_POOL_REQUESTS] - NODEI_REQUEST_COST;
    if (most > room)
        most = room;
    if (conn->stage != NODEI_NATIVE_READY && most > STRANGER_MESSAGE_MAX)
        most = STRANGER_MESSAGE_MAX;
    conn->in.frame_size_max = (uint32_t)most;
}

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

/* What a message costs of its turn: parsing is dear. */
static size_t work_of(const struct cql_message *m)
{
    bool has_text = m->opcode == CQL_OPCODE_QUERY || m->opcode == CQL_OPCODE_PREPARE ||
                    m->opcode == CQL_OPCODE_BATCH;
    return (has_text ? 8 : 1) + m->body.len / 1024;
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

void nodei_conn_refuse_overloaded(struct nodei_native_conn *conn, int16_t stream)
{
    const struct nodei_native *native = conn->native;
    const size_t *all = native->limits.use.held, *own = conn->address->use.held;
    conn->native->stats.overloaded++;
    nodei_conn_answer_code(
        conn, stream, CQL_ERROR_OVERLOADED,
        "Server is in overloaded state: %zu bytes of requests and %zu of answers are under way, "
        "%zu and %zu of this address",
        all[NODEI_POOL_REQUESTS], all[NODEI_POOL_ANSWERS], own[NODEI_POOL_REQUESTS],
        own[NODEI_POOL_ANSWERS]);
}

/* A message that is too big is refused and passed over, but for those who have not even begun. */
static void take_too_big(struct nodei_native_conn *conn, const struct cql_message *m,
                         const struct base_err *err)
{
    struct nodei_native *native = conn->native;
    if (conn->stage != NODEI_NATIVE_READY) {
        take_bad(conn, m, err);
    } else if (conn->in.frame_size_max == native->node->settings.native_frame_size_max) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_INVALID, "%s", err->text);
    } else {
        native->stats.overloaded++;
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_OVERLOADED,
                               "Server is in overloaded state: a message of this size is never "
                               "taken (%s); see native_transport_max_request_data_in_flight",
                               err->text);
    }
}

/* Room. */

static size_t unwritten(const struct nodei_native_conn *conn)
{
    return conn->out.bytes.len - conn->sent;
}

/* What the next message of `rest` may need: of one whose length is not known yet, what is there. */
static size_t need_of(const struct nodei_native_conn *conn, struct base_slice rest)
{
    size_t incoming = cql_wire_incoming(&conn->in, rest);
    return (incoming > rest.len ? incoming : rest.len) + NODEI_REQUEST_COST;
}

static enum nodei_room room_for(const struct nodei_native_conn *conn, size_t need)
{
    bool waited = conn->waits || conn->held_back;
    bool expects_much = conn->request_count >= FEW_REQUESTS &&
                        conn->request_count * (size_t)conn->typical_answer >= EXPECTED_MAX;
    if (unwritten(conn) >= (waited ? OUT_LOW : OUT_HIGH) || expects_much ||
        conn->request_count >= REQUESTS_PER_CONN_MAX)
        return NODEI_ROOM_NOT_HIS;
    return nodei_room_for(conn, need > conn->reserved ? need - conn->reserved : 0);
}

enum nodei_room nodei_conn_room(const struct nodei_native_conn *conn)
{
    return room_for(conn, conn->need);
}

/* Nothing more is taken until there is room for `need`. */
static void wait_for(struct nodei_native_conn *conn, enum nodei_room room, size_t need)
{
    BASE_ASSERT(room != NODEI_ROOM_YES && !conn->waits);
    conn->need = need;
    conn->native->stats.paused++;
    if (room == NODEI_ROOM_NOT_HIS)
        conn->held_back = true;
    else
        nodei_wait(conn);
}

/* Whole messages may be in what came: in `unread`, or taken apart already. */
static bool has_more(const struct nodei_native_conn *conn)
{
    return conn->unread.len > 0 ||
           (!conn->in.partial && conn->in.assembly_at < conn->in.assembly.len);
}

static void end_turn(struct nodei_native_conn *conn)
{
    conn->need = 0;
    nodei_wait(conn);
    nodei_resume_soon(conn->native);
}

static void release_room(struct nodei_native_conn *conn)
{
    if (conn->reserved == 0)
        return;
    conn->reserved = 0;
    nodei_admit(conn, -1);
}

/* A message has begun whose end is not here: keep room for all of it. */
static void keep_room(struct nodei_native_conn *conn, size_t need)
{
    if (conn->reserved >= need)
        return;
    enum nodei_room room = room_for(conn, need);
    if (room != NODEI_ROOM_YES) {
        wait_for(conn, room, need);
        return;
    }
    if (conn->reserved == 0)
        nodei_admit(conn, 1);
    conn->reserved = need;
}

/* What it holds of bytes that came, and is promised. */
static void count_in(struct nodei_native_conn *conn)
{
    size_t held = conn->unread.len + conn->in.assembly.len;
    nodei_hold(conn, NODEI_POOL_REQUESTS, &conn->in_counted,
               held > conn->reserved ? held : conn->reserved);
}

/* All whole messages of `bytes` that there is room for; how many bytes they were. */
static size_t take_messages(struct nodei_native_conn *conn, struct base_slice bytes)
{
    size_t at = 0, work = 0;
    while (!conn->dead && !conn->closing) {
        struct cql_message m;
        struct base_err err;
        size_t used, wanted;
        struct base_slice rest = base_slice(bytes.data + at, bytes.len - at);
        bool pending = rest.len > 0 || conn->in.assembly_at < conn->in.assembly.len;
        size_t need = need_of(conn, rest);
        enum nodei_room room = pending ? room_for(conn, need) : NODEI_ROOM_YES;
        if (room == NODEI_ROOM_NOT_HIS || (room == NODEI_ROOM_NONE && !conn->throws_on_overload)) {
            wait_for(conn, room, need);
            break;
        }
        if (pending && work >= TURN_WORK) {
            end_turn(conn);
            break;
        }
        bool refuses = room == NODEI_ROOM_NONE; /* whatever is longer than a heartbeat */
        if (refuses)
            conn->in.frame_size_max = 1;
        enum cql_wire_step step = cql_wire_next(&conn->in, rest, &used, &wanted, &m, &err);
        nodei_conn_limit_messages(conn);
        at += used;
        if (step == CQL_WIRE_MORE) {
            rest = base_slice(bytes.data + at, bytes.len - at);
            if (cql_wire_incoming(&conn->in, rest) > rest.len)
                keep_room(conn, need_of(conn, rest));
            break;
        }
        conn->partial_since_ns = 0;
        work += work_of(&m);
        if (step == CQL_WIRE_MESSAGE)
            take_message(conn, &m);
        else if (step == CQL_WIRE_TOO_BIG && refuses)
            nodei_conn_refuse_overloaded(conn, m.stream);
        else if (step == CQL_WIRE_TOO_BIG)
            take_too_big(conn, &m, &err);
        else
            take_bad(conn, &m, &err);
        if (!conn->dead)
            release_room(conn);
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
        if (used || !from->data || to->data || from->cap > KEEP_SIZE)
            continue;
        size_t from_max = from->len_max, to_max = to->len_max;
        *to = *from;
        to->len = 0;
        to->len_max = to_max;
        base_buf_init(from, from_max);
    }
    if (there)
        return;
    if (!conn->in.assembly.data) /* it went back */
        conn->in.assembly_at = 0;
    cql_wire_in_release(&conn->in);
}

/* Credentials may be in what was taken of `bytes`, and in what was taken apart of it. */
static void wipe(struct nodei_native_conn *conn, struct base_slice bytes, size_t used)
{
    const struct cql_wire_in *in = &conn->in;
    if (used)
        explicit_bzero((void *)(uintptr_t)bytes.data, used);
    if (conn->dead) /* the rest went with it */
        return;
    if (in->plain.data)
        explicit_bzero(in->plain.data, in->plain.cap);
    if (in->assembly.data && !in->partial)
        explicit_bzero(in->assembly.data,
                       in->assembly_at < in->assembly.len ? in->assembly_at : in->assembly.cap);
}

/* A stranger's message is gathered where it does not move: growing would leave copies. */
static bool gather_in_place(struct nodei_native_conn *conn)
{
    return !conn->in.segments || conn->in.assembly.len > 0 ||
           base_buf_reserve(&conn->in.assembly, 2 * STRANGER_MESSAGE_MAX) == BASE_OK;
}

/* Keep what was not taken of `bytes`, which are unread's (kept) or the receive buffer's. False: no
 * memory. */
static bool keep_rest(struct nodei_native_conn *conn, struct base_slice bytes, size_t used,
                      bool kept)
{
    struct base_buf *unread = &conn->unread;
    struct base_slice rest = base_slice(bytes.data + used, bytes.len - used);
    if (rest.len == 0 || conn->closing) {
        base_buf_fini(unread);
        return true;
    }
    size_t expected = conn->in.segments ? 0 : cql_wire_incoming(&conn->in, rest);
    if (conn->stage != NODEI_NATIVE_READY)
        expected = STRANGER_MESSAGE_MAX + RECEIVE_SIZE;
    else if (expected > conn->reserved)
        expected = 0; /* no room is kept for it */
    if (!kept) {
        base_buf_reset(unread);
        if (expected > rest.len && base_buf_reserve(unread, expected) != BASE_OK)
            return false;
        return base_buf_put_slice(unread, rest) == BASE_OK;
    }
    memmove(unread->data, rest.data, rest.len);
    unread->len = rest.len;
    if (conn->stage != NODEI_NATIVE_READY)
        explicit_bzero(unread->data + rest.len, used);
    return expected <= rest.len || base_buf_reserve(unread, expected - rest.len) == BASE_OK;
}

/* Take what there is room for of what has come: of unread (kept), or of the receive buffer. */
static void take(struct nodei_native_conn *conn, struct base_slice bytes, bool kept)
{
    bool secret = conn->stage != NODEI_NATIVE_READY;
    lend(conn, true);
    bool ok = !secret || gather_in_place(conn);
    size_t used = ok ? take_messages(conn, bytes) : 0;
    if (secret && !(conn->dead && kept))
        wipe(conn, bytes, used);
    if (conn->dead)
        return;
    lend(conn, false);
    ok = ok && keep_rest(conn, bytes, used, kept);
    if (secret && !kept && bytes.len)
        explicit_bzero(conn->native->receive.data, bytes.len);
    if (!ok) {
        nodei_conn_close(conn);
        return;
    }
    bool waits = conn->waits || conn->held_back,
         partial = conn->unread.len > 0 || conn->in.partial || conn->in.discard;
    if (!partial || waits)
        conn->partial_since_ns = 0;
    else if (!conn->partial_since_ns)
        conn->partial_since_ns = net_loop_now(conn->native->loop).ns;
    if (!partial)
        release_room(conn);
    count_in(conn);
    nodei_conn_want(conn);
}

static void receive(struct nodei_native_conn *conn)
{
    struct nodei_native *native = conn->native;
    enum nodei_room room = room_for(conn, conn->reserved ? 0 : RECEIVE_SIZE + NODEI_REQUEST_COST);
    if (room == NODEI_ROOM_NOT_HIS || (room == NODEI_ROOM_NONE && !conn->throws_on_overload)) {
        wait_for(conn, room, RECEIVE_SIZE + NODEI_REQUEST_COST);
        nodei_conn_want(conn);
        return;
    }
    ssize_t n = net_stream_read(&conn->stream, native->receive.data, native->receive.cap);
    if (n <= 0) {
        if (n < 0)
            nodei_conn_close(conn);
        return;
    }
    conn->read_ns = net_loop_now(native->loop).ns;
    struct base_slice bytes = base_slice(native->receive.data, (size_t)n);
    bool kept = conn->unread.len > 0;
    if (kept) {
        int rc = base_buf_put_slice(&conn->unread, bytes);
        if (conn->stage != NODEI_NATIVE_READY)
            explicit_bzero(native->receive.data, (size_t)n);
        if (rc != BASE_OK) {
            nodei_conn_close(conn);
            return;
        }
        bytes = base_buf_view(&conn->unread);
    }
    take(conn, bytes, kept);
}

void nodei_conn_go_on(struct nodei_native_conn *conn)
{
    BASE_ASSERT(!conn->dead && !conn->waits && !conn->held_back);
    conn->refs++;
    conn->need = 0;
    if (conn->closing || !has_more(conn))
        nodei_conn_want(conn);
    else
        take(conn, base_buf_view(&conn->unread), true);
    nodei_conn_release(conn);
}

void nodei_conn_ready(struct net_stream *stream, int events)
{
    struct nodei_native_conn *conn = BASE_CONTAINER(stream, struct nodei_native_conn, stream);
    conn->refs++;
    if (events & NET_WRITABLE)
        nodei_conn_flush(conn);
    if (!conn->dead && !conn->closing && !conn->waits && !conn->held_back &&
        (events & NET_READABLE))
        receive(conn);
    nodei_conn_release(conn);
}
