/* Messages between two nodes' processes on loopback: what one request and its reply cost, by how
 * many are kept in flight, beside a raw socket that carries the same bytes to and fro.
 *
 *   netbench [--messages N] [--size BYTES] [--rounds N]
 *
 * "apart" answers each message in a turn of the loop of its own, as if each came from the disk
 * alone: the worst case; "internode" answers what came together in one turn. CPU is user and system
 * time of both processes together. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/internode.h"

static const char secret[] = "the secret of a benchmark's cluster";
static uint64_t messages = 200000;
static unsigned size = 200, rounds = 3;

static void die(const char *what)
{
    fprintf(stderr, "netbench: %s\n", what);
    exit(1);
}

static void must(int rc, const struct base_err *err)
{
    if (rc != BASE_OK)
        die(err->text[0] ? err->text : base_err_words(rc));
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double cpu_s(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void fill_random(struct base_random *random, void *buf, unsigned len)
{
    (void)random;
    if (getrandom(buf, len, 0) != (ssize_t)len)
        die("getrandom");
}
static const struct base_random_ops random_ops = {fill_random};
static struct base_random chance = {&random_ops};

/* A node. */

struct node {
    struct net_loop *loop;
    struct net_internode *internode;
    struct net_internode_config config;
    struct net_http_server *server;
    char peer[64];
    uint64_t sent, received;
    uint8_t *body;
    bool apart;
    struct net_inbound *held[1024]; /* a ring */
    size_t held_first, held_count;
    struct net_task task;
};

static int credential(void *ctx, const char *host, uint16_t port,
                      uint8_t out[NET_CREDENTIAL_LEN_MAX], size_t *len, bool *is_secret,
                      struct base_err *err)
{
    (void)ctx, (void)host, (void)port, (void)err;
    *len = sizeof secret - 1;
    memcpy(out, secret, *len);
    *is_secret = true;
    return BASE_OK;
}

static void answer(struct node *node, struct net_inbound *in)
{
    struct base_message reply = {.verb = in->message.verb,
                                 .flags = BASE_MESSAGE_REPLY,
                                 .id = in->message.id,
                                 .sender = node->config.host_id,
                                 .generation = 1};
    net_internode_reply(node->internode, in, &reply);
}

static void answer_one(struct net_task *task)
{
    struct node *node = BASE_CONTAINER(task, struct node, task);
    struct net_inbound *in = node->held[node->held_first++ % BASE_COUNT(node->held)];
    if (--node->held_count > 0)
        net_loop_post(node->loop, task);
    answer(node, in);
}

static void on_request(void *ctx, struct net_inbound *in)
{
    struct node *node = ctx;
    if (!node->apart) {
        answer(node, in);
        return;
    }
    if (node->held_count == BASE_COUNT(node->held))
        die("more are in flight than were sent");
    node->held[(node->held_first + node->held_count) % BASE_COUNT(node->held)] = in;
    if (node->held_count++ == 0)
        net_loop_post(node->loop, &node->task);
}

static void send_one(struct node *node)
{
    struct base_message message = {.verb = 20,
                                   .id = ++node->sent,
                                   .sender = node->config.host_id,
                                   .generation = 1,
                                   .timeout_ms = 5000,
                                   .body = base_slice(node->body, size)};
    struct base_err err = {0};
    must(net_internode_send(node->internode, base_slice_str(node->peer), (struct base_uuid){{0}}, 1,
                            false, &message),
         &err);
}

static void on_reply(void *ctx, const struct base_message *reply)
{
    struct node *node = ctx;
    (void)reply;
    if (node->sent < messages)
        send_one(node);
    if (++node->received == messages)
        net_loop_stop(node->loop);
}

static void on_undelivered(void *ctx, uint64_t id)
{
    (void)ctx, (void)id;
    die("a message was not delivered");
}

static void handle(void *ctx, struct net_http_request *request)
{
    struct node *node = ctx;
    if (!net_internode_handle(node->internode, request))
        die("a request that is none of ours");
}

static void node_open(struct node *node, uint8_t id)
{
    struct base_err err = {0};
    struct net_internode_config *config = &node->config;
    memset(node, 0, sizeof *node);
    node->body = calloc(1, size + 1);
    must(net_loop_new(&node->loop, &err), &err);
    net_internode_config_init(config);
    config->loop = node->loop;
    config->random = &chance;
    config->host_id.b[15] = id;
    config->generation = 1;
    config->cluster_name = "bench";
    config->secret = base_slice_str(secret);
    config->credential = credential;
    config->on_request = on_request;
    config->on_reply = on_reply;
    config->on_undelivered = on_undelivered;
    config->ctx = node;
    must(net_internode_open(config, &node->internode, &err), &err);
    struct net_http_server_config http = {.host = "127.0.0.1",
                                          .body_size_max = 33u << 20,
                                          .connections_max = 64,
                                          .idle_timeout_s = 60,
                                          .handle = handle,
                                          .ctx = node};
    must(net_http_server_open(node->loop, &http, &node->server, &err), &err);
}

static void serve(int out, bool apart)
{
    struct node node;
    struct base_err err = {0};
    node_open(&node, 2);
    node.apart = apart;
    node.task.run = answer_one;
    uint16_t port = net_http_server_port(node.server);
    if (write(out, &port, sizeof port) != sizeof port)
        die("pipe");
    must(net_loop_run(node.loop, &err), &err);
}

static void serve_internode(int out)
{
    serve(out, false);
}

static void serve_apart(int out)
{
    serve(out, true);
}

static void drive_internode(uint16_t port, unsigned in_flight)
{
    struct node node;
    struct base_err err = {0};
    node_open(&node, 1);
    snprintf(node.peer, sizeof node.peer, "127.0.0.1:%u", port);
    for (unsigned i = 0; i < in_flight; i++)
        send_one(&node);
    must(net_loop_run(node.loop, &err), &err);
    struct net_internode_stats stats;
    net_internode_get_stats(node.internode, &stats);
    printf("  %8.1f", (double)messages / (double)stats.posts_sent);
    net_internode_close(node.internode);
    net_http_server_close(node.server);
    net_loop_free(node.loop);
    free(node.body);
}

/* The raw socket. */

static void read_all(int fd, void *buf, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)buf + got, len - got);
        if (n <= 0)
            exit(0);
        got += (size_t)n;
    }
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void serve_raw(int out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    char *buf = calloc(1, size + 64);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 4) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    uint16_t port = ntohs(address.sin_port);
    if (write(out, &port, sizeof port) != sizeof port)
        die("pipe");
    int fd = accept(listener, NULL, NULL);
    no_delay(fd);
    for (;;) {
        read_all(fd, buf, size + 64);
        if (write(fd, buf, 64) != 64)
            exit(0);
    }
}

static void drive_raw(uint16_t port, unsigned in_flight)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char *buf = calloc(1, size + 64);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    no_delay(fd);
    uint64_t sent = 0;
    for (; sent < in_flight; sent++)
        if (write(fd, buf, size + 64) != (ssize_t)(size + 64))
            die("write");
    for (uint64_t received = 0; received < messages; received++) {
        read_all(fd, buf, 64);
        if (sent < messages && write(fd, buf, size + 64) == (ssize_t)(size + 64))
            sent++;
    }
    printf("  %8s", "-");
    close(fd);
    free(buf);
}

/* Rounds. */

static void measure(const char *name, void (*server)(int out),
                    void (*drive)(uint16_t port, unsigned in_flight), unsigned in_flight)
{
    int pipes[2];
    uint16_t port;
    printf("%-10s %9u", name, in_flight);
    fflush(stdout);
    if (pipe(pipes) != 0)
        die("pipe");
    pid_t child = fork();
    if (child == 0) {
        server(pipes[1]);
        _exit(0);
    }
    if (read(pipes[0], &port, sizeof port) != sizeof port)
        die("the server did not start");
    double cpu = cpu_s(RUSAGE_SELF), others = cpu_s(RUSAGE_CHILDREN);
    uint64_t began = now_ns();
    drive(port, in_flight);
    double took = (double)(now_ns() - began) / 1e9;
    cpu = cpu_s(RUSAGE_SELF) - cpu;
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    others = cpu_s(RUSAGE_CHILDREN) - others;
    printf("  %10.0f  %8.2f  %8.2f  %8.2f\n", (double)messages / took, cpu * 1e6 / (double)messages,
           others * 1e6 / (double)messages, (cpu + others) * 1e6 / (double)messages);
    close(pipes[0]);
    close(pipes[1]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"messages", required_argument, NULL, 'm'},
                                            {"size", required_argument, NULL, 's'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {0}};
    uint64_t wanted;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'm')
            messages = strtoull(optarg, NULL, 10);
        else if (c == 's')
            size = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    wanted = messages;
    printf("%-10s %9s  %8s  %10s  %8s  %8s  %8s\n", "carrier", "in flight", "per POST",
           "messages/s", "CPU us c", "CPU us s", "both");
    for (unsigned round = 0; round < rounds; round++) {
        static const unsigned in_flight[] = {1, 8, 64, 256};
        for (size_t i = 0; i < BASE_COUNT(in_flight); i++) {
            messages = in_flight[i] == 1 ? wanted / 10 : wanted;
            measure("internode", serve_internode, drive_internode, in_flight[i]);
            measure("apart", serve_apart, drive_internode, in_flight[i]);
            measure("raw socket", serve_raw, drive_raw, in_flight[i]);
        }
    }
    return 0;
}
