/* The native protocol's client (cql_client.h) over a socket.
 *
 * 1. The socket never blocks; who waits does so in poll, in pieces of at most 100 ms, so that
 *    Ctrl-C is noticed.
 * 2. Each call has a stream number of its own. The answer to a call that was given up comes to
 *    nobody's harm.
 * 3. Until the version is agreed on, answers of any version are taken, for a node that knows less
 *    answers in its own. */
#include "cli/cql_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_SIZE = 64 * 1024, BUFFER_SIZE_MAX = 512 << 20, POLL_SLICE_MS = 100 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The socket. */

static int wait_for(struct cli_cql *c, int fd, short events, int64_t until_ms, struct base_err *err)
{
    for (;;) {
        int64_t left = until_ms - now_ms();
        struct pollfd p = {.fd = fd, .events = events};
        if (c->config.interrupted && __atomic_load_n(c->config.interrupted, __ATOMIC_RELAXED))
            return base_err_set(err, BASE_E_INTERRUPTED, "interrupted");
        if (left <= 0)
            return base_err_set(err, BASE_E_TIMEOUT, "no answer from %s:%u in time", c->config.host,
                                c->config.port);
        int n = poll(&p, 1, left < POLL_SLICE_MS ? (int)left : POLL_SLICE_MS);
        if (n > 0)
            return BASE_OK;
        if (n < 0 && errno != EINTR)
            return base_err_set(err, BASE_E_IO, "poll: %s", strerror(errno));
    }
}

static int connect_one(struct cli_cql *c, const struct addrinfo *address, int64_t until_ms,
                       struct base_err *err)
{
    int failed = 0, one = 1;
    socklen_t len = sizeof failed;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return base_err_set(err, BASE_E_IO, "socket: %s", strerror(errno));
    int rc = BASE_OK;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        failed = errno;
        if (failed == EINPROGRESS) {
            rc = wait_for(c, fd, POLLOUT, until_ms, err);
            if (rc == BASE_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0)
                failed = errno;
        }
        if (rc == BASE_OK && failed)
            rc = base_err_set(err, BASE_E_UNAVAILABLE, "connect to %s:%u: %s", c->config.host,
                              c->config.port, strerror(failed));
    }
    if (rc != BASE_OK) {
        close(fd);
        return rc;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    return BASE_OK;
}

static int connect_any(struct cli_cql *c, int64_t until_ms, struct base_err *err)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    snprintf(port, sizeof port, "%u", c->config.port);
    int failed = getaddrinfo(c->config.host, port, &hints, &list);
    if (failed)
        return base_err_set(err, BASE_E_UNAVAILABLE, "%s: %s", c->config.host,
                            gai_strerror(failed));
    int rc = BASE_E_UNAVAILABLE;
    for (const struct addrinfo *a = list; a && rc != BASE_OK && rc != BASE_E_INTERRUPTED;
         a = a->ai_next)
        rc = connect_one(c, a, until_ms, err);
    freeaddrinfo(list);
    return rc;
}

int cli_cql_write(struct cli_cql *c, struct base_err *err)
{
    int rc = cql_wire_flush(&c->out);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "the request is too large");
    while (c->sent_at < c->out.bytes.len) {
        const uint8_t *data = c->out.bytes.data + c->sent_at;
        size_t size = c->out.bytes.len - c->sent_at;
        ssize_t n = c->tls ? net_tls_client_write(c->tls, data, size)
                           : send(c->fd, data, size, MSG_NOSIGNAL);
        if (n >= 0) {
            c->sent_at += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN ||
            errno == EWOULDBLOCK) { /* the rest to the front, so that new messages may follow */
            memmove(c->out.bytes.data, c->out.bytes.data + c->sent_at,
                    c->out.bytes.len - c->sent_at);
            c->out.bytes.len -= c->sent_at;
            c->sent_at = 0;
            return BASE_E_BUSY;
        }
        return base_err_set(err, BASE_E_CLOSED, "send to %s:%u: %s", c->config.host, c->config.port,
                            strerror(errno));
    }
    base_buf_reset(&c->out.bytes);
    c->sent_at = 0;
    return BASE_OK;
}

static int read_once(struct cli_cql *c, struct base_err *err)
{
    size_t left = c->received.len - c->read_at;
    size_t room =
        c->wanted > left && c->wanted - left > RECEIVE_SIZE ? c->wanted - left : RECEIVE_SIZE;
    if (left == 0) {
        c->received.len = c->read_at = 0;
    } else if (c->received.cap - c->received.len < room && c->read_at >= left) {
        memmove(c->received.data, c->received.data + c->read_at, left);
        c->received.len = left;
        c->read_at = 0;
    }
    int rc = base_buf_reserve(&c->received, room);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for an answer of %zu bytes", room);
    uint8_t *place = c->received.data + c->received.len;
    size_t size = c->received.cap - c->received.len;
    ssize_t n;
    do
        n = c->tls ? net_tls_client_read(c->tls, place, size) : recv(c->fd, place, size, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->received.len += (size_t)n;
        return BASE_OK;
    }
    if (n == 0)
        return base_err_set(err, BASE_E_CLOSED, "%s:%u closed the connection", c->config.host,
                            c->config.port);
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return BASE_E_BUSY;
    return base_err_set(err, BASE_E_CLOSED, "receive from %s:%u: %s", c->config.host,
                        c->config.port, strerror(errno));
}

int cli_cql_read(struct cli_cql *c, struct base_err *err)
{
    int rc = read_once(c, err), more = rc;
    while (c->tls && more == BASE_OK) /* what is decrypted makes no socket readable */
        more = read_once(c, err);
    return rc;
}

enum cql_wire_step cli_cql_next(struct cli_cql *c, struct cql_message *message,
                                struct base_err *err)
{
    size_t used = 0;
    struct base_slice rest =
        base_slice(c->received.data + c->read_at, c->received.len - c->read_at);
    if (rest.len == 0 && c->in.assembly.len == c->in.assembly_at) {
        c->wanted = 0;
        return CQL_WIRE_MORE;
    }
    enum cql_wire_step step = cql_wire_next(&c->in, rest, &used, &c->wanted, message, err);
    BASE_ASSERT(used <= rest.len);
    c->read_at += used;
    return step;
}

/* A call. */

static int send_all(struct cli_cql *c, int64_t until_ms, struct base_err *err)
{
    int rc;
    while ((rc = cli_cql_write(c, err)) == BASE_E_BUSY) {
        rc = wait_for(c, c->fd, POLLOUT, until_ms, err);
        if (rc != BASE_OK)
            return rc;
    }
    return rc;
}

/* The answer on the last call's stream; others (of calls given up, events) are passed over. */
static int receive(struct cli_cql *c, int64_t until_ms, struct cql_message *message,
                   struct base_err *err)
{
    for (;;) {
        enum cql_wire_step step = cli_cql_next(c, message, err);
        if (step == CQL_WIRE_BAD)
            return base_err_wrap(err, BASE_E_INVALID, "%s:%u", c->config.host, c->config.port);
        if (step == CQL_WIRE_MESSAGE) {
            if (message->is_response && message->stream == c->stream)
                return BASE_OK;
            continue;
        }
        int rc = cli_cql_read(c, err);
        if (rc == BASE_E_BUSY)
            rc = wait_for(c, c->fd, POLLIN, until_ms, err);
        if (rc != BASE_OK)
            return rc;
    }
}

static int begin(struct cli_cql *c, enum cql_opcode opcode, uint8_t flags)
{
    c->stream = (int16_t)(c->stream >= CLI_CQL_CALL_STREAM_MAX ? 1 : c->stream + 1);
    return cql_wire_begin(&c->out, opcode, c->stream, flags);
}

/* What was put into the message's body; rc: of putting it. */
static int finish(struct cli_cql *c, int rc, int timeout_ms, struct cql_message *message,
                  struct base_err *err)
{
    int64_t until_ms = now_ms() + timeout_ms;
    if (rc == BASE_OK)
        rc = cql_wire_end(&c->out);
    else
        cql_wire_abandon(&c->out);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "the request is too large");
    rc = send_all(c, until_ms, err);
    return rc == BASE_OK ? receive(c, until_ms, message, err) : rc;
}

/* An answer into the caller's arena: the body is copied, for it is borrowed. */
static int take_reply(struct cli_cql *c, struct base_arena *arena, struct cql_message *message,
                      struct cli_cql_reply *reply, struct base_err *err)
{
    int rc = base_arena_copy(arena, message->body, &message->body);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for an answer");
    rc = cql_get_prefix(message, arena, &reply->prefix, err);
    if (rc != BASE_OK)
        return rc;
    switch (message->opcode) {
    case CQL_OPCODE_ERROR:
        reply->is_error = true;
        return cql_get_error(arena, c->version, message->body, &reply->error, err);
    case CQL_OPCODE_RESULT:
        return cql_get_result(arena, c->version, message->body, &reply->result, err);
    default:
        return base_err_set(err, BASE_E_INVALID, "%s:%u answered with message %u", c->config.host,
                            c->config.port, message->opcode);
    }
}

static int call(struct cli_cql *c, struct base_arena *arena, int rc, struct cli_cql_reply *reply,
                struct base_err *err)
{
    struct cql_message message;
    memset(reply, 0, sizeof *reply);
    rc = finish(c, rc, c->config.request_timeout_ms, &message, err);
    return rc == BASE_OK ? take_reply(c, arena, &message, reply, err) : rc;
}

int cli_cql_query(struct cli_cql *c, struct base_arena *arena, const struct cql_query *query,
                  bool tracing, struct cli_cql_reply *reply, struct base_err *err)
{
    int rc = begin(c, CQL_OPCODE_QUERY, tracing ? CQL_FLAG_TRACING : 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    return call(c, arena, cql_put_query(&c->out.bytes, c->version, query), reply, err);
}

int cli_cql_prepare(struct cli_cql *c, struct base_arena *arena, struct base_slice text,
                    struct cli_cql_reply *reply, struct base_err *err)
{
    struct cql_prepare_request request = {.text = text};
    int rc = begin(c, CQL_OPCODE_PREPARE, 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    return call(c, arena, cql_put_prepare(&c->out.bytes, c->version, &request), reply, err);
}

int cli_cql_execute(struct cli_cql *c, struct base_arena *arena, const struct cql_execute *execute,
                    struct cli_cql_reply *reply, struct base_err *err)
{
    int rc = begin(c, CQL_OPCODE_EXECUTE, 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    return call(c, arena, cql_put_execute(&c->out.bytes, c->version, execute), reply, err);
}

int cli_cql_batch(struct cli_cql *c, struct base_arena *arena,
                  const struct cql_batch_request *batch, struct cli_cql_reply *reply,
                  struct base_err *err)
{
    int rc = begin(c, CQL_OPCODE_BATCH, 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    return call(c, arena, cql_put_batch(&c->out.bytes, c->version, batch), reply, err);
}

int cli_cql_simple(struct cli_cql *c, struct base_arena *arena, const char *text,
                   struct cli_cql_reply *reply, struct base_err *err)
{
    struct cql_query query = {
        .text = base_slice_str(text),
        .options = {.consistency = 1, .serial_consistency = CQL_SERIAL_DEFAULT}};
    int rc = cli_cql_query(c, arena, &query, false, reply, err);
    if (rc == BASE_OK && reply->is_error)
        rc = base_err_set(err, BASE_E_INVALID, "%.*s", BASE_SLICE_ARG(reply->error.message));
    return rc;
}

const char *cli_cql_error_words(int32_t code)
{
    switch ((enum cql_error_number)code) {
    case CQL_ERROR_SERVER:
        return "Server error";
    case CQL_ERROR_PROTOCOL:
        return "Protocol error";
    case CQL_ERROR_CREDENTIALS:
        return "Bad credentials";
    case CQL_ERROR_UNAVAILABLE:
        return "Unavailable exception";
    case CQL_ERROR_OVERLOADED:
        return "Coordinator node overloaded";
    case CQL_ERROR_BOOTSTRAPPING:
        return "Coordinator node is bootstrapping";
    case CQL_ERROR_TRUNCATE:
        return "Error during truncate";
    case CQL_ERROR_WRITE_TIMEOUT:
        return "Coordinator node timed out waiting for replica nodes' responses";
    case CQL_ERROR_READ_TIMEOUT:
        return "Coordinator node timed out waiting for replica nodes' responses";
    case CQL_ERROR_READ_FAILURE:
        return "Replica(s) failed to execute read";
    case CQL_ERROR_FUNCTION_FAILURE:
        return "User Defined Function failure";
    case CQL_ERROR_WRITE_FAILURE:
        return "Replica(s) failed to execute write";
    case CQL_ERROR_CDC_WRITE_FAILURE:
        return "CDC write failure";
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        return "CAS write unknown";
    case CQL_ERROR_SYNTAX:
        return "Syntax error in CQL query";
    case CQL_ERROR_UNAUTHORIZED:
        return "Unauthorized";
    case CQL_ERROR_INVALID:
        return "Invalid query";
    case CQL_ERROR_CONFIG:
        return "Query invalid because of configuration issue";
    case CQL_ERROR_ALREADY_EXISTS:
        return "Item already exists";
    case CQL_ERROR_UNPREPARED:
        return "Prepared statement not found";
    }
    return "Unknown error";
}

/* Opening. */

/* Another version, or another try: from the first byte on. */
static void wire_init(struct cli_cql *c, uint8_t version)
{
    cql_wire_in_init(&c->in, true, CQL_WIRE_FRAME_SIZE_MAX_DEFAULT * 16);
    cql_wire_out_init(&c->out, true, BUFFER_SIZE_MAX);
    base_buf_init(&c->received, BUFFER_SIZE_MAX);
    c->out.version = version;
    c->read_at = c->wanted = c->sent_at = 0;
    c->version = version;
    c->compressed = false;
    c->stream = 0;
}

void cli_cql_close(struct cli_cql *c)
{
    if (c->fd < 0)
        return;
    net_tls_client_close(c->tls);
    c->tls = NULL;
    close(c->fd);
    c->fd = -1;
    cql_wire_in_fini(&c->in);
    cql_wire_out_fini(&c->out);
    base_buf_fini(&c->received);
}

static int refused(struct cli_cql *c, struct base_arena *arena, const struct cql_message *message,
                   struct base_err *err)
{
    struct cql_error error;
    int rc = cql_get_error(arena, message->version, message->body, &error, err);
    if (rc != BASE_OK)
        return rc;
    rc = error.code == CQL_ERROR_CREDENTIALS ? BASE_E_UNAUTHORIZED
         : error.code == CQL_ERROR_PROTOCOL  ? BASE_E_VERSION
                                             : BASE_E_INVALID;
    return base_err_set(err, rc, "%s:%u: %.*s", c->config.host, c->config.port,
                        BASE_SLICE_ARG(error.message));
}

static int unexpected(const struct cli_cql *c, const struct cql_message *message,
                      struct base_err *err)
{
    return base_err_set(err, BASE_E_INVALID, "%s:%u answered the greeting with message %u",
                        c->config.host, c->config.port, message->opcode);
}

/* OPTIONS: does it know our version, and which compressions? A version it does not know it answers
 * with an error in its own. */
static int ask_options(struct cli_cql *c, struct base_arena *arena, bool *lz4, struct base_err *err)
{
    struct cql_message message;
    int rc = begin(c, CQL_OPCODE_OPTIONS, 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    rc = finish(c, BASE_OK, c->config.connect_timeout_ms, &message, err);
    if (rc == BASE_E_TIMEOUT || rc == BASE_E_CLOSED || rc == BASE_E_INVALID) {
        char why[256];
        snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, err ? err->text : "");
        return base_err_set(err, rc, "%s (is %u its port for CQL, %s TLS?)", why, c->config.port,
                            c->config.ssl ? "with" : "without");
    }
    if (rc != BASE_OK)
        return rc;
    if (message.opcode == CQL_OPCODE_ERROR)
        return refused(c, arena, &message, err);
    if (message.opcode != CQL_OPCODE_SUPPORTED)
        return unexpected(c, &message, err);
    struct cql_wire_entry *entries;
    size_t count;
    struct base_reader r = base_reader(message.body);
    if (!cql_wire_get_multimap(&r, arena, &entries, &count))
        return base_err_set(err, BASE_E_INVALID, "%s:%u: its SUPPORTED message cannot be read",
                            c->config.host, c->config.port);
    *lz4 = false;
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; base_slice_equal(entries[i].key, BASE_SLICE_LIT("COMPRESSION")) &&
                           v < entries[i].value_count;
             v++)
            *lz4 = *lz4 || base_slice_equal_nocase(entries[i].values[v], BASE_SLICE_LIT("lz4"));
    return BASE_OK;
}

static int log_in(struct cli_cql *c, struct base_arena *arena, struct base_err *err)
{
    struct cql_message message;
    struct base_buf token;
    if (!c->config.user)
        return base_err_set(err, BASE_E_UNAUTHORIZED,
                            "%s:%u wants a user name and a password (-u, -p)", c->config.host,
                            c->config.port);
    base_buf_init(&token, 4096);
    int rc = base_buf_put_u8(&token, 0);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&token, base_slice_str(c->config.user));
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&token, 0);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&token,
                                base_slice_str(c->config.password ? c->config.password : ""));
    if (rc == BASE_OK)
        rc = begin(c, CQL_OPCODE_AUTH_RESPONSE, 0);
    if (rc == BASE_OK) {
        struct base_slice view = base_buf_view(&token);
        rc = finish(c, cql_wire_put_bytes(&c->out.bytes, &view), c->config.connect_timeout_ms,
                    &message, err);
    } else {
        base_err_set(err, rc, "the user name or the password is too long");
    }
    base_buf_fini(&token);
    if (rc != BASE_OK)
        return rc;
    if (message.opcode == CQL_OPCODE_ERROR)
        return refused(c, arena, &message, err);
    return message.opcode == CQL_OPCODE_AUTH_SUCCESS ? BASE_OK : unexpected(c, &message, err);
}

static int start_up(struct cli_cql *c, struct base_arena *arena, bool lz4, struct base_err *err)
{
    struct cql_message message;
    struct cql_wire_pair pairs[4] = {
        {BASE_SLICE_LIT("CQL_VERSION"),
         base_slice_str(c->config.cql_version ? c->config.cql_version : "3.0.0")},
        {BASE_SLICE_LIT("DRIVER_NAME"), BASE_SLICE_LIT("ringlet")},
        {BASE_SLICE_LIT("DRIVER_VERSION"), BASE_SLICE_LIT("0.1.0")},
        {BASE_SLICE_LIT("COMPRESSION"), BASE_SLICE_LIT("lz4")}};
    int rc = begin(c, CQL_OPCODE_STARTUP, 0);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "room for a request");
    c->in.version = c->version;
    if (lz4 && c->version < 5) /* the answer itself may be compressed already */
        c->in.compression = CQL_WIRE_LZ4;
    rc = finish(c, cql_wire_put_string_map(&c->out.bytes, pairs, lz4 ? 4 : 3),
                c->config.connect_timeout_ms, &message, err);
    if (rc != BASE_OK)
        return rc;
    if (message.opcode == CQL_OPCODE_ERROR)
        return refused(c, arena, &message, err);
    if (message.opcode != CQL_OPCODE_READY && message.opcode != CQL_OPCODE_AUTHENTICATE)
        return unexpected(c, &message, err);
    c->in.segments = c->out.segments = c->version >= 5;
    c->in.compression = c->out.compression = lz4 ? CQL_WIRE_LZ4 : CQL_WIRE_PLAIN;
    c->compressed = lz4;
    return message.opcode == CQL_OPCODE_READY ? BASE_OK : log_in(c, arena, err);
}

static int secure(struct cli_cql *c, int64_t until_ms, struct base_err *err)
{
    int rc = net_tls_client_open(c->fd, c->config.host, &c->config.tls, &c->tls, err);
    while (rc == BASE_OK && (rc = net_tls_client_handshake(c->tls, err)) == BASE_E_BUSY)
        rc = wait_for(c, c->fd, net_tls_client_wants_write(c->tls) ? POLLOUT : POLLIN, until_ms,
                      err);
    return rc == BASE_OK ? rc : base_err_wrap(err, rc, "%s:%u", c->config.host, c->config.port);
}

static int try_version(struct cli_cql *c, uint8_t version, struct base_err *err)
{
    struct base_arena arena;
    bool lz4 = false;
    int64_t until_ms = now_ms() + c->config.connect_timeout_ms;
    int rc = connect_any(c, until_ms, err);
    if (rc != BASE_OK)
        return rc;
    wire_init(c, version);
    base_arena_init(&arena);
    if (c->config.ssl)
        rc = secure(c, until_ms, err);
    if (rc == BASE_OK)
        rc = ask_options(c, &arena, &lz4, err);
    if (rc == BASE_OK)
        rc = start_up(c, &arena, lz4 && c->config.lz4, err);
    base_arena_fini(&arena);
    if (rc != BASE_OK)
        cli_cql_close(c);
    return rc;
}

int cli_cql_open(struct cli_cql *c, const struct cli_cql_config *config, struct base_err *err)
{
    memset(c, 0, sizeof *c);
    c->config = *config;
    c->fd = -1;
    int version = config->version ? config->version : CQL_WIRE_VERSION_MAX, rc;
    do
        rc = try_version(c, (uint8_t)version, err);
    while (rc == BASE_E_VERSION && !config->version && --version >= CQL_WIRE_VERSION_MIN);
    return rc;
}
