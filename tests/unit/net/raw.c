/* The other side, by hand (raw.h). */
#include "tests/unit/net/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 1 << 20 };

/* Client. */

int raw_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void raw_send(int fd, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            peers_run_for(1);
        else if (n < 0)
            return; /* the other side has hung up: the test reads why */
        else
            sent += (size_t)n;
    }
}

size_t raw_read(int fd, uint8_t *out, size_t wanted, size_t size, unsigned ms)
{
    size_t len = 0;
    for (unsigned waited = 0; waited < ms && len < wanted; waited++) {
        ssize_t n = -1;
        while (len < size && (n = recv(fd, out + len, size - len, 0)) != 0) {
            if (n < 0 && errno == EAGAIN)
                break;
            if (n < 0)
                return len;
            len += (size_t)n;
        }
        if (len == size || n == 0)
            return len;
        peers_run_for(1);
    }
    return len;
}

void raw_head(char *out, size_t size, uint16_t port, const char *path, size_t body_len)
{
    snprintf(out, size,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: %zu\r\nConnection: "
             "close\r\n\r\n",
             path, port, body_len);
}

unsigned raw_post(uint16_t port, const char *path, struct base_slice body, struct base_buf *answer)
{
    static uint8_t in[65536];
    char head[300];
    int fd = raw_connect(port);
    raw_head(head, sizeof head, port, path, body.len);
    raw_send(fd, head, strlen(head));
    raw_send(fd, body.data, body.len);
    size_t len = raw_read(fd, in, sizeof in, sizeof in - 1, PEER_PATIENCE_MS);
    close(fd);
    in[len] = 0;
    const char *end = strstr((char *)in, "\r\n\r\n");
    if (!end || strncmp((char *)in, "HTTP/1.1 ", 9) != 0)
        return 0;
    if (answer) {
        base_buf_reset(answer);
        ck_assert_int_eq(base_buf_put(answer, end + 4, len - (size_t)(end + 4 - (char *)in)),
                         BASE_OK);
    }
    return (unsigned)atoi((char *)in + 9);
}

void raw_hello(struct peer_node *node, struct net_internode_config *client,
               struct neti_session **session)
{
    struct neti_hello hello = {0};
    struct base_err err = {0};
    struct base_buf answer;
    base_buf_init(&answer, 100000);
    hello.credential.kind = NETI_KIND_SECRET;
    hello.credential.len = client->secret.len;
    memcpy(hello.credential.bytes, client->secret.data, client->secret.len);
    ck_ok(neti_hello_begin(&hello, client, &err), err);
    ck_assert_uint_eq(raw_post(node->port, "/internode/v1/hello",
                               base_slice(hello.request, hello.request_len), &answer),
                      200);
    ck_ok(neti_hello_end(&hello, client, base_buf_view(&answer), session, &err), err);
    base_buf_fini(&answer);
}

void raw_body(struct base_buf *body, const struct net_internode_config *client,
              struct neti_session *session, int lane, uint64_t sequence, uint64_t id, size_t count,
              uint32_t timeout_ms)
{
    static const uint8_t room[NETI_BODY_HEADER];
    struct base_message message = {
        .verb = 20, .sender = client->host_id, .generation = 1, .timeout_ms = timeout_ms};
    base_buf_reset(body);
    ck_assert_int_eq(base_buf_put(body, room, sizeof room), BASE_OK);
    for (size_t i = 0; i < count; i++) {
        message.id = id + i;
        ck_assert_int_eq(net_frame_put(&message, body), BASE_OK);
    }
    ck_assert_int_eq(neti_body_seal(body, session, lane, sequence, false), BASE_OK);
}

/* Server. */

struct raw_conn {
    struct net_watch watch;
    struct raw_server *server;
    struct raw_conn *next;
    uint8_t *in;
    size_t len;
};

void raw_conn_close(struct raw_conn *conn)
{
    if (conn->watch.fd < 0)
        return;
    net_loop_unwatch(peers_loop, &conn->watch);
    close(conn->watch.fd);
    conn->watch.fd = -1;
}

void raw_conn_send(struct raw_conn *conn, const void *bytes, size_t len)
{
    if (conn->watch.fd >= 0 && send(conn->watch.fd, bytes, len, MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN)
        raw_conn_close(conn);
}

void raw_conn_answer(struct raw_conn *conn, unsigned status, struct base_slice body)
{
    char head[200];
    snprintf(head, sizeof head, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n", status, body.len);
    raw_conn_send(conn, head, strlen(head));
    raw_conn_send(conn, body.data, body.len);
}

static void take_request(struct raw_conn *conn, bool hello, struct base_slice body)
{
    struct raw_server *server = conn->server;
    hello ? server->hellos++ : server->posts++;
    if (hello && server->honest_hello) {
        struct base_buf answer;
        struct base_err err = {0};
        base_buf_init(&answer, 1000);
        ck_ok(neti_hello_answer(&server->sessions, &server->config, false, body, 1, &answer, &err),
              err);
        raw_conn_answer(conn, 200, base_buf_view(&answer));
        base_buf_fini(&answer);
    } else {
        server->answer(server, conn, hello, body);
    }
    peers_told();
}

static void on_readable(struct net_watch *watch, int events)
{
    struct raw_conn *conn = BASE_CONTAINER(watch, struct raw_conn, watch);
    (void)events;
    ssize_t n = recv(watch->fd, conn->in + conn->len, REQUEST_MAX - conn->len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        raw_conn_close(conn);
        return;
    }
    conn->len += n > 0 ? (size_t)n : 0;
    conn->in[conn->len] = 0;
    char *end = strstr((char *)conn->in, "\r\n\r\n"),
         *length = strcasestr((char *)conn->in, "Content-Length: ");
    if (!end || !length)
        return;
    size_t head = (size_t)(end + 4 - (char *)conn->in), body = strtoul(length + 16, NULL, 10);
    if (conn->len - head < body)
        return;
    conn->len = 0;
    take_request(conn, strstr((char *)conn->in, "/internode/v1/hello") != NULL,
                 base_slice(conn->in + head, body));
}

static void on_accept(struct net_watch *watch, int events)
{
    struct raw_server *server = BASE_CONTAINER(watch, struct raw_server, watch);
    struct raw_conn *conn = calloc(1, sizeof *conn);
    (void)events;
    conn->server = server;
    conn->in = malloc(REQUEST_MAX + 1);
    conn->watch.ready = on_readable;
    conn->watch.fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(conn->watch.fd, 0);
    int on = 1; /* a head and its body are two sends: they must not wait for each other */
    setsockopt(conn->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->next = server->conns;
    server->conns = conn;
    ck_assert_int_eq(net_loop_watch(peers_loop, &conn->watch, NET_READABLE, NULL), BASE_OK);
}

void raw_server_open(struct raw_server *server, const struct net_internode_config *config)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(server, 0, sizeof *server);
    server->config = *config;
    neti_sessions_init(&server->sessions);
    server->honest_hello = true;
    server->watch.ready = on_accept;
    server->watch.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(server->watch.fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(server->watch.fd, 50), 0);
    ck_assert_int_eq(getsockname(server->watch.fd, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    ck_assert_int_eq(net_loop_watch(peers_loop, &server->watch, NET_READABLE, NULL), BASE_OK);
}

void raw_server_close(struct raw_server *server)
{
    net_loop_unwatch(peers_loop, &server->watch);
    close(server->watch.fd);
    for (struct raw_conn *conn = server->conns, *next; conn; conn = next) {
        next = conn->next;
        raw_conn_close(conn);
        free(conn->in);
        free(conn);
    }
    neti_sessions_fini(&server->sessions);
}
