/* The event loop, HTTP both ways, and the token. Breaks without it: a node that stalls on one peer,
 * that answers web pages of other origins, or that lets anybody change its state. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

static struct net_loop *loop;
static struct net_http_server *server;
static struct net_http_request *held; /* /later: answered by a task */
static struct net_task later;
static pthread_t thread;
enum { PATIENCE_MS = 60000 }; /* ends a test that hangs */
static char token[NET_TOKEN_LEN + 1];
static char dir[] = "/tmp/ringlet-net-XXXXXX";

static void fill(struct base_random *random, void *buf, unsigned len)
{
    (void)random;
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(i * 37 + 11);
}
static const struct base_random_ops random_ops = {fill};
static struct base_random random_port = {&random_ops};

static void answer_later(struct net_task *task)
{
    (void)task;
    net_http_respond(held, 200, "text/plain", BASE_SLICE_LIT("late"));
}

static void handle(void *ctx, struct net_http_request *request)
{
    struct base_slice path = net_http_path(request);
    (void)ctx;
    if (base_slice_equal(path, BASE_SLICE_LIT("/echo"))) {
        net_http_respond(request, 200, "text/plain", net_http_body(request));
    } else if (base_slice_equal(path, BASE_SLICE_LIT("/later"))) {
        held = request;
        later.run = answer_later;
        net_loop_post(loop, &later);
    } else if (base_slice_equal(path, BASE_SLICE_LIT("/secret"))) {
        bool ok = net_token_in_request(request, token);
        net_http_respond(request, ok ? 200 : 403, "text/plain", BASE_SLICE_LIT("x"));
    } else {
        struct base_err err;
        base_err_set(&err, BASE_E_NOTFOUND, "nothing \"here\"");
        net_http_respond_error(request, &err);
    }
}

static void *serve(void *ctx)
{
    (void)ctx;
    ck_assert_int_eq(net_loop_run(loop, NULL), BASE_OK);
    return NULL;
}

static void start(void)
{
    struct net_http_server_config config = {.host = "127.0.0.1",
                                            .body_size_max = 1000,
                                            .connections_max = 20,
                                            .idle_timeout_s = PATIENCE_MS / 1000,
                                            .handle = handle};
    struct base_err err = {0};
    ck_assert_ptr_nonnull(mkdtemp(dir));
    setenv("XDG_STATE_HOME", dir, 1);
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    ck_assert_msg(net_http_server_open(loop, &config, &server, &err) == BASE_OK, "%s", err.text);
    ck_assert_msg(net_token_open(dir, &random_port, token, &err) == BASE_OK, "%s", err.text);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
    net_loop_stop(loop);
    pthread_join(thread, NULL);
    net_http_server_close(server);
    net_loop_free(loop);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
}

static int fetch(const char *method, const char *path, struct base_slice body,
                 const char *with_token, unsigned *status, char *text, size_t size)
{
    char url[200];
    struct base_err err = {0};
    struct net_http_call call = {.method = method,
                                 .url = url,
                                 .token = with_token,
                                 .body = body,
                                 .timeout_ms = PATIENCE_MS,
                                 .body_size_max = 5000};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", net_http_server_port(server), path);
    base_buf_init(&call.answer, 10000);
    int rc = net_http_fetch(&call, &err);
    *status = call.status;
    snprintf(text, size, "%.*s", BASE_SLICE_ARG(base_buf_view(&call.answer)));
    base_buf_fini(&call.answer);
    return rc;
}

START_TEST(round_trips)
{
    char text[200];
    unsigned status;
    ck_assert_int_eq(
        fetch("POST", "/echo", BASE_SLICE_LIT("hello"), NULL, &status, text, sizeof text), BASE_OK);
    ck_assert_uint_eq(status, 200);
    ck_assert_str_eq(text, "hello");
    ck_assert_int_eq(
        fetch("GET", "/later", (struct base_slice){0}, NULL, &status, text, sizeof text), BASE_OK);
    ck_assert_str_eq(text, "late");
    ck_assert_int_eq(
        fetch("GET", "/none", (struct base_slice){0}, NULL, &status, text, sizeof text), BASE_OK);
    ck_assert_uint_eq(status, 404);
    ck_assert_ptr_nonnull(strstr(text, "nothing \\\"here\\\""));
}
END_TEST

START_TEST(large_bodies_are_refused)
{
    static uint8_t big[2000];
    char text[200];
    unsigned status;
    ck_assert_int_eq(
        fetch("POST", "/echo", base_slice(big, sizeof big), NULL, &status, text, sizeof text),
        BASE_OK);
    ck_assert_uint_eq(status, 413);
    ck_assert_int_eq(
        fetch("POST", "/echo", base_slice(big, 1000), NULL, &status, text, sizeof text), BASE_OK);
    ck_assert_uint_eq(status, 200);
}
END_TEST

START_TEST(token_is_needed)
{
    char text[10], other[NET_TOKEN_LEN + 1];
    unsigned status;
    ck_assert_int_eq(
        fetch("POST", "/secret", (struct base_slice){0}, NULL, &status, text, sizeof text),
        BASE_OK);
    ck_assert_uint_eq(status, 403);
    memcpy(other, token, sizeof other);
    other[3] = other[3] == 'a' ? 'b' : 'a';
    ck_assert_int_eq(
        fetch("POST", "/secret", (struct base_slice){0}, other, &status, text, sizeof text),
        BASE_OK);
    ck_assert_uint_eq(status, 403);
    ck_assert_int_eq(
        fetch("POST", "/secret", (struct base_slice){0}, token, &status, text, sizeof text),
        BASE_OK);
    ck_assert_uint_eq(status, 200);
}
END_TEST

/* Send raw bytes; returns the status line's code, or 0: the server hung up, or said nothing within
 * wait_s seconds (0: it is waited for). */
static int raw(const char *bytes, int wait_s)
{
    char answer[500] = "";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(net_http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {wait_s, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0), code = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq((int)send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), (int)strlen(bytes));
    if (recv(fd, answer, sizeof answer - 1, 0) > 12)
        code = atoi(answer + 9);
    close(fd);
    return code;
}

START_TEST(host_and_origin)
{
    char request[300];
    unsigned port = net_http_server_port(server);
    static const struct {
        const char *host, *more;
        int status;
    } cases[] = {
        {"127.0.0.1:%u", "", 200},
        {"localhost:%u", "", 200},
        {"evil.example:%u", "", 403},
        {"127.0.0.1:1%u", "", 403},
        {"127.0.0.1:%u", "Origin: http://evil.example\r\n", 403},
        {"127.0.0.1:%u", "Origin: null\r\n", 403},
        {"127.0.0.1:%u", "Origin: https://127.0.0.1\r\n", 403},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        char host[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(host, sizeof host, cases[i].host, port);
#pragma GCC diagnostic pop
        snprintf(request, sizeof request,
                 "GET /echo HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", host,
                 cases[i].more);
        ck_assert_msg(raw(request, 0) == cases[i].status, "case %zu", i);
    }
}
END_TEST

START_TEST(garbage_harms_nobody)
{
    static const char *const garbage[] = {
        "\r\n\r\n\r\n",
        "GET",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\xfc"};
    char text[20];
    unsigned status;
    for (size_t i = 0; i < BASE_COUNT(garbage); i++)
        ck_assert_int_ne(raw(garbage[i], 1), 200);
    ck_assert_int_eq(
        fetch("POST", "/echo", BASE_SLICE_LIT("fine"), NULL, &status, text, sizeof text), BASE_OK);
    ck_assert_str_eq(text, "fine");
}
END_TEST

START_TEST(nobody_listens)
{
    struct base_err err = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char url[64];
    struct net_http_call call = {
        .method = "GET", .url = url, .timeout_ms = PATIENCE_MS, .body_size_max = 100};
    /* bound, so that no one else gets the port, but not listening */
    int taken = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(taken, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(taken, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    base_buf_init(&call.answer, 100);
    ck_assert_int_eq(net_http_fetch(&call, &err), BASE_E_UNAVAILABLE);
    base_buf_fini(&call.answer);
    close(taken);
    struct net_http_server *second;
    struct net_http_server_config config = {.host = "127.0.0.1",
                                            .port = net_http_server_port(server),
                                            .body_size_max = 10,
                                            .connections_max = 2,
                                            .handle = handle};
    ck_assert_int_eq(net_http_server_open(loop, &config, &second, &err), BASE_E_BUSY);
    ck_assert_ptr_null(second);
}
END_TEST

START_TEST(token_files)
{
    char again[NET_TOKEN_LEN + 1], path[200];
    struct base_err err = {0};
    struct stat st;
    ck_assert_uint_eq(strlen(token), NET_TOKEN_LEN);
    ck_assert_int_eq(net_token_open(dir, &random_port, again, &err), BASE_OK);
    ck_assert_str_eq(token, again);
    snprintf(path, sizeof path, "%s/token", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_msg(net_token_announce("127.0.0.1", 7000, dir, &err) == BASE_OK, "%s", err.text);
    ck_assert_int_eq(net_token_find("127.0.0.1", 7000, again, &err), BASE_OK);
    ck_assert_str_eq(token, again);
    ck_assert_int_eq(net_token_find("127.0.0.1", 7001, again, &err), BASE_E_NOTFOUND);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(net_token_find("127.0.0.1", 7000, again, &err), BASE_E_UNAUTHORIZED);
    uint8_t bytes[NET_TOKEN_BYTES] = {0xff, 0xff, 0xfe};
    snprintf(path, sizeof path, "%s/secret", dir);
    ck_assert_int_eq(net_token_write(path, bytes, &err), BASE_OK);
    ck_assert_int_eq(net_token_read(path, again, &err), BASE_OK);
    ck_assert_str_eq(again, "___-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    net_token_withdraw("127.0.0.1", 7000);
    ck_assert_int_eq(net_token_find("127.0.0.1", 7000, again, &err), BASE_E_NOTFOUND);
}
END_TEST

static atomic_int probed;

static size_t probe(void *ctx, const struct net_http_request *request, struct base_slice so_far)
{
    (void)ctx, (void)request, (void)so_far;
    probed++;
    return 100000;
}

/* Requests that are sent slowly hold no more memory than bodies_bytes_max. */
START_TEST(bodies_on_their_way)
{
    struct net_http_server_config config = {.host = "127.0.0.1",
                                            .body_size_max = 100000,
                                            .bodies_bytes_max = 150000,
                                            .connections_max = 20,
                                            .also_host = "Node1.example",
                                            .idle_timeout_s = PATIENCE_MS / 1000,
                                            .body_limit = probe,
                                            .handle = handle};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct base_err err = {0};
    static char body[90000];
    char request[300], text[200];
    unsigned status;
    int fds[2];
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    ck_assert_msg(net_http_server_open(loop, &config, &server, &err) == BASE_OK, "%s", err.text);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    address.sin_port = htons(net_http_server_port(server));
    for (int i = 0; i < 2; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&address, sizeof address), 0);
        snprintf(request, sizeof request,
                 "POST /echo HTTP/1.1\r\nHost: node1.example:%u\r\nContent-Length: "
                 "95000\r\nConnection: close\r\n\r\n",
                 net_http_server_port(server));
        ck_assert_int_eq((int)send(fds[i], request, strlen(request), MSG_NOSIGNAL),
                         (int)strlen(request));
        ck_assert_int_eq((int)send(fds[i], body, sizeof body, MSG_NOSIGNAL), (int)sizeof body);
        while (probed == 0) /* the first has its place */
            usleep(1000);
    }
    for (int i = 1; i >= 0; i--) { /* and the second none */
        char answer[20] = "";
        ck_assert_int_eq((int)send(fds[i], body, 5000, MSG_NOSIGNAL), 5000);
        ck_assert_int_gt((int)recv(fds[i], answer, sizeof answer - 1, 0), 12);
        ck_assert_int_eq(atoi(answer + 9), i == 0 ? 200 : 503);
        close(fds[i]);
    }
    for (int i = 0; i < 10; i++) { /* and it was given back */
        ck_assert_int_eq(
            fetch("POST", "/echo", base_slice(body, 4000), NULL, &status, text, sizeof text),
            BASE_OK);
        ck_assert_uint_eq(status, 200);
    }
    net_loop_stop(loop);
    pthread_join(thread, NULL);
    net_http_server_close(server);
    net_loop_free(loop);
}
END_TEST

static int read_secret(const char *text, mode_t mode, uint8_t out[NET_SECRET_LEN_MAX], size_t *len)
{
    char path[200];
    struct base_err err = {0};
    snprintf(path, sizeof path, "%s/secret", dir);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
    int rc = net_secret_read(path, out, len, &err);
    ck_assert(rc == BASE_OK || (*len == 0 && err.text[0]));
    return rc;
}

START_TEST(secret_files)
{
    uint8_t out[NET_SECRET_LEN_MAX];
    size_t len;
    char text[400];
    ck_assert_int_eq(read_secret("0123456789abcdef0123456789ABCDEF\n", 0600, out, &len), BASE_OK);
    ck_assert_uint_eq(len, 32);
    ck_assert_mem_eq(out, "0123456789abcdef0123456789ABCDEF", 32);
    ck_assert_int_eq(read_secret("0123456789abcdef0123456789ABCDEF\n", 0640, out, &len),
                     BASE_E_UNAUTHORIZED);
    ck_assert_int_eq(read_secret("0123456789abcdef0123456789ABCDE\n", 0600, out, &len),
                     BASE_E_CONFIG);
    ck_assert_int_eq(read_secret("0123456789abcdef\t0123456789ABCDEF\n", 0600, out, &len),
                     BASE_E_CONFIG);
    memset(text, 'x', sizeof text);
    text[NET_SECRET_LEN_MAX] = 0;
    ck_assert_int_eq(read_secret(text, 0600, out, &len), BASE_OK);
    ck_assert_uint_eq(len, NET_SECRET_LEN_MAX);
    text[NET_SECRET_LEN_MAX] = 'x';
    text[sizeof text - 1] = 0;
    ck_assert_int_eq(read_secret(text, 0600, out, &len), BASE_E_CONFIG);
    ck_assert_int_eq(net_secret_read("/nowhere/secret", out, &len, NULL), BASE_E_NOTFOUND);
}
END_TEST

/* A listener for all addresses: any number is its name, no other host's name is. */
START_TEST(host_of_a_wildcard)
{
    struct net_http_server_config config = {.host = "0.0.0.0",
                                            .body_size_max = 1000,
                                            .connections_max = 20,
                                            .idle_timeout_s = PATIENCE_MS / 1000,
                                            .handle = handle};
    struct base_err err = {0};
    char request[300];
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    ck_assert_msg(net_http_server_open(loop, &config, &server, &err) == BASE_OK, "%s", err.text);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"127.0.0.1", 200},    {"10.1.2.3", 200},        {"localhost", 200}, {"[fe80::1]", 200},
        {"evil.example", 403}, {"1.2.3.4.example", 403}, {"", 403},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        snprintf(request, sizeof request,
                 "GET /echo HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n", cases[i].host,
                 net_http_server_port(server));
        ck_assert_msg(raw(request, 0) == cases[i].status, "%s", cases[i].host);
    }
    net_loop_stop(loop);
    pthread_join(thread, NULL);
    net_http_server_close(server);
    net_loop_free(loop);
}
END_TEST

START_TEST(addresses)
{
    char host[64];
    uint16_t port = 7000;
    ck_assert_int_eq(net_address_parse("127.0.0.2:9", host, &port, NULL), BASE_OK);
    ck_assert_str_eq(host, "127.0.0.2");
    ck_assert_uint_eq(port, 9);
    ck_assert_int_eq(net_address_parse("[::1]:80", host, &port, NULL), BASE_OK);
    ck_assert_str_eq(host, "::1");
    ck_assert(net_address_is_loopback(host));
    port = 5;
    ck_assert_int_eq(net_address_parse("::1", host, &port, NULL), BASE_OK);
    ck_assert_uint_eq(port, 5);
    static const char *const bad[] = {"",     ":7000", "a:",     "a:x", "a:70000",
                                      "a:-1", "[::1",  "[::1]x", "[]:1"};
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        ck_assert_msg(net_address_parse(bad[i], host, &port, NULL) == BASE_E_INVALID, "%s", bad[i]);
    ck_assert(!net_address_is_loopback("10.0.0.1"));
    ck_assert(!net_address_is_loopback("0.0.0.0"));
    ck_assert(net_address_is_wildcard("0.0.0.0") && net_address_is_wildcard("::") &&
              net_address_is_wildcard("::ffff:0.0.0.0"));
    ck_assert(!net_address_is_wildcard("0.0.0.1") && !net_address_is_wildcard("::1") &&
              !net_address_is_wildcard("localhost"));
    ck_assert(net_address_equal("10.0.0.1", "::ffff:10.0.0.1") &&
              net_address_equal("fe80::1", "fe80:0::1"));
    ck_assert(!net_address_equal("10.0.0.1", "10.0.0.2") &&
              !net_address_equal("localhost", "localhost"));
}
END_TEST

/* Loop. */

static int order[3], fired;
static struct net_timer timers[3];
static void on_timer(struct net_timer *timer)
{
    order[fired++] = (int)(timer - timers);
    if (fired == 2)
        net_loop_stop(loop);
}

START_TEST(timers_in_order)
{
    struct base_err err = {0};
    fired = 0;
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    for (int i = 0; i < 3; i++)
        timers[i] = (struct net_timer){.fired = on_timer};
    net_loop_arm(loop, &timers[0], 3000000);
    net_loop_arm(loop, &timers[1], 1000000);
    net_loop_arm(loop, &timers[2], 2000000);
    net_loop_disarm(loop, &timers[2]);
    ck_assert_int_eq(net_loop_run(loop, &err), BASE_OK);
    ck_assert_int_eq(order[0], 1);
    ck_assert_int_eq(order[1], 0);
    net_loop_free(loop);
}
END_TEST

enum { MANY_TIMERS = 2000 };
static struct net_timer many[MANY_TIMERS];
static uint64_t last_due;
static unsigned many_fired;
static void on_one_of_many(struct net_timer *timer)
{
    ck_assert_uint_ge(timer->due_ns, last_due);
    last_due = timer->due_ns;
    many_fired++;
}
static void on_all_due(struct net_timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

START_TEST(many_timers)
{
    struct base_err err = {0};
    struct net_timer end = {.fired = on_all_due};
    unsigned disarmed = 0;
    uint64_t x = 12345;
    last_due = many_fired = 0;
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    for (int i = 0; i < MANY_TIMERS; i++)
        many[i] = (struct net_timer){.fired = on_one_of_many};
    for (int i = 0; i < 3 * MANY_TIMERS; i++) { /* each anew, some twice */
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        net_loop_arm(loop, &many[(x >> 40) % MANY_TIMERS], (x >> 33) % 30000000);
    }
    for (int i = 0; i < MANY_TIMERS; i++) {
        if (i % 3 == 0)
            net_loop_disarm(loop, &many[i]);
        disarmed += !many[i].armed;
    }
    net_loop_arm(loop, &end, 40000000);
    ck_assert_int_eq(net_loop_run(loop, &err), BASE_OK);
    ck_assert_uint_eq(many_fired, MANY_TIMERS - disarmed);
    net_loop_free(loop);
}
END_TEST

/* Hooks: at the end of a turn, once, those armed by hooks too; a hook that always comes again lets
 * others run. */

static struct net_hook hooks[3];
static int hook_runs[3];
static void on_hook(struct net_hook *hook)
{
    int which = (int)(hook - hooks);
    hook_runs[which]++;
    if (which == 0)
        net_loop_at_end(loop, &hooks[1]);
    if (which == 2)
        net_loop_at_end(loop, &hooks[2]);
}
static void on_hook_timer(struct net_timer *timer)
{
    if (timer == &timers[0]) {
        net_loop_at_end(loop, &hooks[0]);
        net_loop_at_end(loop, &hooks[0]);
        net_loop_at_end(loop, &hooks[2]);
        ck_assert_int_eq(hook_runs[0], 0);
    } else {
        net_loop_stop(loop);
    }
}

START_TEST(hooks_at_the_end)
{
    struct base_err err = {0};
    ck_assert_int_eq(net_loop_new(&loop, &err), BASE_OK);
    for (int i = 0; i < 3; i++) {
        hooks[i] = (struct net_hook){.run = on_hook};
        timers[i] = (struct net_timer){.fired = on_hook_timer};
        hook_runs[i] = 0;
    }
    net_loop_arm(loop, &timers[0], 1);
    net_loop_arm(loop, &timers[1], 5000000);
    ck_assert_int_eq(net_loop_run(loop, &err), BASE_OK);
    ck_assert_int_eq(hook_runs[0], 1);
    ck_assert_int_eq(hook_runs[1], 1);
    ck_assert_int_gt(hook_runs[2], 10); /* and the timer came all the same */
    net_loop_not_at_end(loop, &hooks[2]);
    net_loop_free(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *http = tcase_create("http"), *plain = tcase_create("plain");
    tcase_add_checked_fixture(http, start, stop);
    tcase_add_test(http, round_trips);
    tcase_add_test(http, large_bodies_are_refused);
    tcase_add_test(http, token_is_needed);
    tcase_add_test(http, host_and_origin);
    tcase_add_test(http, garbage_harms_nobody);
    tcase_add_test(http, nobody_listens);
    tcase_add_test(http, token_files);
    tcase_add_test(http, secret_files);
    tcase_set_timeout(http, 30);
    tcase_add_test(plain, addresses);
    tcase_add_test(plain, timers_in_order);
    tcase_add_test(plain, many_timers);
    tcase_add_test(plain, hooks_at_the_end);
    tcase_add_test(plain, host_of_a_wildcard);
    tcase_add_test(plain, bodies_on_their_way);
    suite_add_tcase(suite, http);
    suite_add_tcase(suite, plain);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
