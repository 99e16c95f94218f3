/* A raw client of the native protocol for tests. */
#include "tests/unit/node/native_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/cluster_private.h"
#include "node/cql_private.h"
#include "node/native_private.h"

enum { WAIT_MS = 120000, FRAME_MAX = 64 << 20 };

struct asked_port {
    struct node *node;
    uint16_t port;
};

static void ask_port(void *ctx, struct repl *repl)
{
    struct asked_port *asked = ctx;
    (void)repl;
    if (asked->node->cluster->native)
        asked->port = nodei_native_port(asked->node->cluster->native);
}

static void count_held(void *ctx, struct repl *repl)
{
    size_t *count = ctx;
    const struct nodei_native *native = daemons[*count].node->cluster->native;
    (void)repl;
    *count = native ? native->limits.use.held[NODEI_POOL_REQUESTS] +
                          native->limits.use.held[NODEI_POOL_ANSWERS]
                    : 0;
}

size_t native_bytes_held(int daemon)
{
    size_t count = (size_t)daemon;
    OK(nodei_on_loop(daemons[daemon].node, count_held, &count, &fixture.err));
    return count;
}

uint16_t native_port(int daemon)
{
    struct asked_port asked = {daemons[daemon].node, 0};
    OK(nodei_on_loop(asked.node, ask_port, &asked, &fixture.err));
    ck_assert_uint_gt(asked.port, 0);
    return asked.port;
}

void client_connect(struct client *c, int daemon, uint8_t version)
{
    client_connect_from(c, daemon, version, NULL);
}

void client_connect_from(struct client *c, int daemon, uint8_t version, const char *from)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(native_port(daemon))};
    memset(c, 0, sizeof *c);
    ck_assert_int_eq(inet_pton(AF_INET, daemons[daemon].rpc_address, &address.sin_addr), 1);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(c->fd, 0);
    if (from) {
        ck_assert_int_eq(inet_pton(AF_INET, from, &own.sin_addr), 1);
        ck_assert_int_eq(bind(c->fd, (struct sockaddr *)&own, sizeof own), 0);
    }
    ck_assert_msg(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0, "%s",
                  strerror(errno));
    cql_wire_in_init(&c->in, true, FRAME_MAX);
    cql_wire_out_init(&c->out, true, FRAME_MAX * 2);
    c->out.version = version;
    base_buf_init(&c->unread, FRAME_MAX * 2);
    base_arena_init(&c->arena);
}

void client_close(struct client *c)
{
    close(c->fd);
    cql_wire_in_fini(&c->in);
    cql_wire_out_fini(&c->out);
    base_buf_fini(&c->unread);
    base_arena_fini(&c->arena);
}

void client_send_raw(struct client *c, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
        if (n < 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

void client_flush(struct client *c)
{
    ck_assert_int_eq(cql_wire_flush(&c->out), BASE_OK);
    client_send_raw(c, c->out.bytes.data, c->out.bytes.len);
    base_buf_reset(&c->out.bytes);
}

void client_send(struct client *c, enum cql_opcode opcode, int16_t stream, uint8_t flags,
                 struct base_slice body)
{
    ck_assert_int_eq(cql_wire_begin(&c->out, opcode, stream, flags), BASE_OK);
    ck_assert_int_eq(base_buf_put_slice(&c->out.bytes, body), BASE_OK);
    ck_assert_int_eq(cql_wire_end(&c->out), BASE_OK);
    client_flush(c);
}

static void decode(struct client *c)
{
    struct base_err *err = &fixture.err;
    OK(cql_get_prefix(&c->message, &c->arena, &c->prefix, err));
    if (c->message.opcode == CQL_OPCODE_ERROR)
        OK(cql_get_error(&c->arena, c->message.version, c->message.body, &c->error, err));
    else if (c->message.opcode == CQL_OPCODE_RESULT)
        OK(cql_get_result(&c->arena, c->message.version, c->message.body, &c->result, err));
    else if (c->message.opcode == CQL_OPCODE_EVENT)
        OK(cql_get_event(c->message.body, &c->event, err));
}

/* 1: a message; 0: the end; -1: nothing for so long. What it decodes lives in the arena: the body
 * is copied there. */
static int receive(struct client *c, int wait_ms)
{
    static uint8_t chunk[1 << 16];
    for (;;) {
        struct base_slice body;
        size_t used, wanted;
        enum cql_wire_step step = cql_wire_next(&c->in, base_buf_view(&c->unread), &used, &wanted,
                                                &c->message, &fixture.err);
        ck_assert_msg(step != CQL_WIRE_BAD, "%s", fixture.err.text);
        if (step == CQL_WIRE_MESSAGE) {
            ck_assert_int_eq(base_arena_copy(&c->arena, c->message.body, &body), BASE_OK);
            c->message.body = body;
        }
        if (used)
            memmove(c->unread.data, c->unread.data + used, c->unread.len - used);
        c->unread.len -= used;
        if (step == CQL_WIRE_MESSAGE) {
            decode(c);
            return 1;
        }
        struct pollfd ready = {.fd = c->fd, .events = POLLIN};
        if (poll(&ready, 1, wait_ms) == 0)
            return -1;
        ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
        if (n <= 0)
            return 0;
        ck_assert_int_eq(base_buf_put(&c->unread, chunk, (size_t)n), BASE_OK);
    }
}

void client_receive(struct client *c)
{
    int got = receive(c, WAIT_MS);
    ck_assert_msg(got == 1, got == 0 ? "the server has closed" : "nothing came");
}

bool client_receive_or_end(struct client *c)
{
    int got = receive(c, WAIT_MS);
    ck_assert_msg(got >= 0, "neither a message nor the end came");
    return got == 1;
}

void client_expect_end(struct client *c)
{
    while (client_receive_or_end(c)) {
    }
}

bool client_is_quiet(struct client *c, int ms)
{
    return receive(c, ms) == -1;
}

void client_call(struct client *c, enum cql_opcode opcode, struct base_slice body)
{
    struct base_buf copy; /* of what may be in the arena */
    base_buf_init(&copy, FRAME_MAX);
    ck_assert_int_eq(base_buf_put_slice(&copy, body), BASE_OK);
    base_arena_reset(&c->arena);
    c->stream = (int16_t)((c->stream + 1) & 0x7fff);
    client_send(c, opcode, c->stream, 0, base_buf_view(&copy));
    base_buf_fini(&copy);
    do
        client_receive(c);
    while (c->message.opcode == CQL_OPCODE_EVENT);
    ck_assert_int_eq(c->message.stream, c->stream);
}

void client_startup(struct client *c, const char *compression)
{
    const struct cql_wire_pair pairs[] = {{S("CQL_VERSION"), S("3.0.0")},
                                          {S("DRIVER_NAME"), S("test")},
                                          {S("COMPRESSION"), S(compression ? compression : "")}};
    struct base_buf body;
    base_buf_init(&body, 1024);
    ck_assert_int_eq(cql_wire_put_string_map(&body, pairs, compression ? 3 : 2), BASE_OK);
    client_call(c, CQL_OPCODE_STARTUP, base_buf_view(&body));
    base_buf_fini(&body);
    if (c->message.opcode == CQL_OPCODE_ERROR)
        return;
    enum cql_wire_compression wire = !compression                      ? CQL_WIRE_PLAIN
                                     : strcmp(compression, "lz4") == 0 ? CQL_WIRE_LZ4
                                                                       : CQL_WIRE_SNAPPY;
    c->in.version = c->out.version;
    c->in.compression = c->out.compression = wire;
    c->in.segments = c->out.segments = c->out.version >= 5;
}

void client_open_with(struct client *c, int daemon, uint8_t version, const char *compression)
{
    client_connect(c, daemon, version);
    client_startup(c, compression);
    ck_assert_msg(c->message.opcode == CQL_OPCODE_READY, "opcode %u: %.*s", c->message.opcode,
                  BASE_SLICE_ARG(c->error.message));
}

void client_open(struct client *c, int daemon, uint8_t version)
{
    client_open_with(c, daemon, version, NULL);
}

/* Statements. */

void client_query_full(struct client *c, const struct cql_query *query)
{
    struct base_buf body;
    base_buf_init(&body, FRAME_MAX);
    ck_assert_int_eq(cql_put_query(&body, c->out.version, query), BASE_OK);
    client_call(c, CQL_OPCODE_QUERY, base_buf_view(&body));
    base_buf_fini(&body);
}

static void query(struct client *c, const char *text)
{
    const struct cql_query q = {
        .text = S(text),
        .options = {.consistency = NODE_CL_ONE, .serial_consistency = CQL_SERIAL_DEFAULT}};
    client_query_full(c, &q);
}

void client_query(struct client *c, const char *text)
{
    query(c, text);
    ck_assert_msg(c->message.opcode == CQL_OPCODE_RESULT, "%s: 0x%x %.*s", text, c->error.code,
                  BASE_SLICE_ARG(c->error.message));
}

void client_expect_error(struct client *c, int code, const char *part)
{
    char text[1024];
    ck_assert_msg(c->message.opcode == CQL_OPCODE_ERROR, "opcode %u, not an error",
                  c->message.opcode);
    snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(c->error.message));
    ck_assert_msg(c->error.code == code, "0x%x (%s), not 0x%x", c->error.code, text, code);
    ck_assert_msg(strstr(text, part), "\"%s\" does not say \"%s\"", text, part);
}

void client_fails(struct client *c, const char *text, int code, const char *part)
{
    query(c, text);
    client_expect_error(c, code, part);
}

void client_prepare(struct client *c, const char *text)
{
    const struct cql_prepare_request request = {.text = S(text)};
    struct base_buf body;
    base_buf_init(&body, FRAME_MAX);
    ck_assert_int_eq(cql_put_prepare(&body, c->out.version, &request), BASE_OK);
    client_call(c, CQL_OPCODE_PREPARE, base_buf_view(&body));
    base_buf_fini(&body);
    ck_assert_msg(c->message.opcode == CQL_OPCODE_RESULT, "%s: 0x%x %.*s", text, c->error.code,
                  BASE_SLICE_ARG(c->error.message));
    ck_assert_int_eq(c->result.kind, CQL_RESULT_PREPARED);
}

void client_execute(struct client *c, const struct cql_execute *execute)
{
    struct base_buf body;
    base_buf_init(&body, FRAME_MAX);
    ck_assert_int_eq(cql_put_execute(&body, c->out.version, execute), BASE_OK);
    client_call(c, CQL_OPCODE_EXECUTE, base_buf_view(&body));
    base_buf_fini(&body);
}

size_t client_rows(const struct client *c)
{
    ck_assert_int_eq(c->message.opcode, CQL_OPCODE_RESULT);
    ck_assert_int_eq(c->result.kind, CQL_RESULT_ROWS);
    return c->result.row_count;
}

int32_t client_int(const struct client *c, size_t column)
{
    struct base_reader rows = base_reader(c->result.rows);
    struct cql_value cells[16];
    ck_assert_uint_gt(client_rows(c), 0);
    ck_assert(column < c->result.column_count && c->result.column_count <= BASE_COUNT(cells));
    ck_assert(cql_next_row(&rows, cells, c->result.column_count));
    ck_assert_uint_eq(cells[column].bytes.len, 4);
    return (int32_t)base_get_be32(cells[column].bytes.data);
}

void client_tables(struct client *c)
{
    daemons_one();
    client_open(c, 0, 4);
    client_query(c, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                    "'replication_factor': 1}");
    client_query(c, "CREATE TABLE lab.t (k int, c int, v text, PRIMARY KEY (k, c))");
    client_close(c);
}
