/* clusterbench: what a replicated write costs. Three nodes on loopback in processes of their own,
 * this one a member; replication factor 3, QUORUM writes of 100-byte rows under random 16-byte
 * keys.
 *
 *   clusterbench [--writes 200000] [--in-flight 64] [--singles 5000] [--rounds 3]
 *                [--only cluster,raw,single,http,embedded,member,guest] [--dir /tmp/clusterbench]
 *
 * Interleaved, each round:
 *   cluster   --in-flight writes kept under way by one asynchronous caller of node/client.h
 *   raw       the same three replicas (the same store, each in its process), driven by one
 *             raw-socket ping-pong a write and replica: no cluster, no checks, no HTTP
 *   single    one statement at a time from one caller; beside it two HTTP round trips on loopback
 *             (libcurl, libmicrohttpd)
 *   read      a row by its key at ONE: from an embedded store that is alone, through a member (its
 *             own replica), through a guest (a replica over HTTP)
 * Printed: writes (reads) a second; CPU (user + system) of all three processes a write; p50,
 * p99. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/key.h"
#include "lsm/lsm.h"
#include "net/net.h"
#include "node/client.h"
#include "node/ports.h"

enum { NODES = 3, VALUE_LEN = 100, KEY_LEN = 16, IN_FLIGHT_MAX = 1024 };

static const char *root = "/tmp/clusterbench";
static size_t write_count = 200000, single_count = 5000, in_flight = 64, rounds = 3;
static const char *only = "";
static uint16_t port = 17900;
static pid_t node_pids[NODES], raw_pids[NODES];

_Noreturn static void fail(const char *what, const struct base_err *err)
{
    fprintf(stderr, "clusterbench: %s: %s\n", what,
            err && err->text[0] ? err->text : strerror(errno));
    for (int i = 0; i < NODES; i++) {
        if (node_pids[i] > 0)
            kill(node_pids[i], SIGKILL);
        if (raw_pids[i] > 0)
            kill(raw_pids[i], SIGKILL);
    }
    exit(1);
}

static uint64_t now_ns(void)
{
    return base_clock_mono(node_real_clock()).ns;
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* CPU of processes. */

/* User and system time of all its threads, to the nanosecond. */
static double cpu_us_of(pid_t pid)
{
    clockid_t clock;
    struct timespec spent = {0};
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &spent);
    return (double)spent.tv_sec * 1e6 + (double)spent.tv_nsec / 1e3;
}

static double cpu_us(const pid_t *pids)
{
    double sum = cpu_us_of(getpid());
    for (int i = 1; i < NODES; i++)
        sum += cpu_us_of(pids[i]);
    return sum;
}

/* Latencies. */

static uint64_t *latencies; /* ns */
static size_t latency_count;

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, size_t n, uint64_t elapsed_ns, double cpu)
{
    qsort(latencies, latency_count, sizeof *latencies, compare_u64);
    double p50 = (double)latencies[latency_count / 2] / 1e3,
           p99 = (double)latencies[latency_count * 99 / 100] / 1e3;
    printf("%-13s %9.0f /s  %6.2f us CPU each  p50 %7.1f us  p99 %8.1f us (%.1f x p50)\n", name,
           (double)n * 1e9 / (double)elapsed_ns, cpu / (double)n, p50, p99, p99 / p50);
    fflush(stdout);
    latency_count = 0;
}

/* Mutations. */

static int make_mutation(struct base_buf *out, struct base_uuid table_id, uint64_t n, int64_t ts)
{
    static const uint8_t at[] = {BASE_KEY_AT};
    uint64_t key[KEY_LEN / 8] = {mix(n), mix(~n)};
    uint8_t value[VALUE_LEN];
    struct base_buf row, pkey;
    struct base_row_builder b;
    memset(value, (int)n, sizeof value);
    base_buf_init(&row, 4096);
    base_buf_init(&pkey, 4096);
    base_buf_reset(out);
    int rc = base_row_begin(&b, &row, ts);
    if (rc == BASE_OK)
        rc = base_row_put_liveness(&b, 0, 0);
    if (rc == BASE_OK)
        rc = base_row_put_value(&b, 2, base_slice(value, sizeof value));
    base_row_end(&b);
    if (rc == BASE_OK)
        rc = base_pkey_put(base_slice(key, sizeof key), &pkey);
    if (rc == BASE_OK)
        rc = base_mutation_put_row(out, table_id, base_buf_view(&pkey), base_slice(at, 1),
                                   base_buf_view(&row));
    base_buf_fini(&row);
    base_buf_fini(&pkey);
    return rc;
}

/* The cluster. */

static void node_options(int i, struct node_option options[4], char listen[64], char seeds[64],
                         char dir[512])
{
    snprintf(listen, 64, "127.0.0.%d:%u", i + 1, port);
    snprintf(seeds, 64, "127.0.0.1:%u", port);
    snprintf(dir, 512, "%s/node%d", root, i + 1);
    options[0] = (struct node_option){"listen", listen};
    options[1] = (struct node_option){"seeds", seeds};
    options[2] = (struct node_option){"cluster_name", "bench"};
    options[3] = (struct node_option){"compaction_throughput", "0"};
}

static pid_t start_node(int i)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct node_option options[4];
    char listen[64], seeds[64], dir[512];
    struct base_err err = {0};
    node_options(i, options, listen, seeds, dir);
    struct node_daemon_config config = {
        .node = {.dir = dir, .options = options, .option_count = 4}};
    if (node_daemon_run(&config, &err) != BASE_OK)
        fprintf(stderr, "node %d: %s\n", i + 1, err.text);
    _exit(0);
}

static struct node *open_member(struct node_session **session)
{
    struct node_option options[4];
    char listen[64], seeds[64], dir[512];
    struct base_err err = {0};
    struct node *node;
    node_options(0, options, listen, seeds, dir);
    struct node_config config = {.dir = dir, .options = options, .option_count = 4};
    if (node_open(&config, &node, &err) != BASE_OK ||
        node_session_new(node, session, &err) != BASE_OK ||
        node_wait_ready(*session, &err) != BASE_OK)
        fail("open", &err);
    return node;
}

static void run_cql(struct node_session *session, const char *text)
{
    struct base_err err = {0};
    struct base_buf result;
    base_buf_init(&result, 65536);
    if (node_cql(session, base_slice_str(text), &result, &err) != BASE_OK &&
        err.code != BASE_E_EXISTS)
        fail(text, &err);
    base_buf_fini(&result);
}

/* The other nodes have joined when they can all acknowledge. */
static void wait_for_all(struct node_session *session, const struct base_table *table)
{
    struct base_buf mutation;
    struct base_err err = {0};
    base_buf_init(&mutation, 65536);
    for (int tries = 0; tries < 300; tries++) {
        if (make_mutation(&mutation, table->id, 0, node_wall_us()) != BASE_OK)
            break;
        if (node_write(session, table, base_buf_view(&mutation), 1, NODE_CL_ALL, &err) == BASE_OK) {
            base_buf_fini(&mutation);
            return;
        }
        usleep(100000);
    }
    fail("wait for three nodes", &err);
}

struct slot {
    struct node_async_write write; /* first */
    struct base_buf mutation;
    uint64_t started_ns;
};
static struct {
    struct node *node;
    struct base_uuid table_id;
    size_t started, finished, target;
    uint64_t first;
    sem_t done;
} load;

static void on_written(struct node_async_write *write);

static void start_one(struct slot *slot)
{
    struct base_err err = {0};
    uint64_t n = load.first + load.started++;
    if (make_mutation(&slot->mutation, load.table_id, n, node_timestamp(load.node)) != BASE_OK)
        fail("mutation", NULL);
    slot->write = (struct node_async_write){.mutations = base_buf_view(&slot->mutation),
                                            .mutation_count = 1,
                                            .consistency = NODE_CL_QUORUM,
                                            .done = on_written};
    slot->started_ns = now_ns();
    if (node_write_start(load.node, &slot->write, &err) != BASE_OK)
        fail("write", &err);
}

static void on_written(struct node_async_write *write)
{
    struct slot *slot = (struct slot *)write;
    if (write->rc != BASE_OK)
        fail("write", &write->err);
    latencies[latency_count++] = now_ns() - slot->started_ns;
    load.finished++;
    if (load.started < load.target)
        start_one(slot);
    else if (load.finished == load.target)
        sem_post(&load.done);
}

static void run_cluster(uint64_t first)
{
    static struct slot slots[IN_FLIGHT_MAX];
    load.started = load.finished = 0;
    load.target = write_count;
    load.first = first;
    sem_init(&load.done, 0, 0);
    double cpu = cpu_us(node_pids);
    uint64_t start = now_ns();
    /* The first ones from here: done runs on the node's own thread, one at a time; so they are
     * prepared before any is started. */
    size_t n = in_flight < write_count ? in_flight : write_count;
    load.started = n;
    for (size_t i = 0; i < n; i++) {
        struct base_err err = {0};
        struct slot *slot = &slots[i];
        if (!slot->mutation.data)
            base_buf_init(&slot->mutation, 65536);
        if (make_mutation(&slot->mutation, load.table_id, first + i, node_timestamp(load.node)) !=
            BASE_OK)
            fail("mutation", NULL);
        slot->write = (struct node_async_write){.mutations = base_buf_view(&slot->mutation),
                                                .mutation_count = 1,
                                                .consistency = NODE_CL_QUORUM,
                                                .done = on_written};
        slot->started_ns = now_ns();
        if (node_write_start(load.node, &slot->write, &err) != BASE_OK)
            fail("write", &err);
    }
    while (sem_wait(&load.done) != 0 && errno == EINTR)
        continue;
    uint64_t elapsed = now_ns() - start;
    report("cluster", write_count, elapsed, cpu_us(node_pids) - cpu);
}

/* Raw replicas. */

struct raw_store {
    struct base_executor *executor;
    struct lsm_store *store;
    struct base_uuid table_id;
};

static void raw_open(struct raw_store *raw, int i)
{
    char dir[512];
    struct base_err err = {0};
    struct lsm_options options;
    struct lsm_table *table;
    snprintf(dir, sizeof dir, "%s/raw%d", root, i + 1);
    lsm_options_init(&options);
    options.dir = dir;
    options.fs = node_posix_fs();
    options.clock = node_real_clock();
    options.random = node_real_random();
    options.compaction_rate_bytes_s = 0;
    memset(raw->table_id.b, 9, 16);
    struct lsm_table_desc desc = lsm_table_desc(raw->table_id, "raw.kv");
    if (node_executor_open(&raw->executor, &err) != BASE_OK)
        fail("executor", &err);
    options.executor = raw->executor;
    if (lsm_open(&options, &raw->store, &err) != BASE_OK ||
        lsm_table_open(raw->store, &desc, &table, &err) != BASE_OK ||
        lsm_replay(raw->store, &err) != BASE_OK)
        fail("raw store", &err);
}

static void raw_close(struct raw_store *raw)
{
    struct base_err err = {0};
    if (lsm_close(raw->store, UINT64_MAX, &err) != BASE_OK)
        fail("raw store", &err);
    node_executor_close(raw->executor);
}

static struct sockaddr_in raw_address(int i)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port + 1))};
    address.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)i);
    return address;
}

static bool read_all(int fd, void *out, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)out + got, len - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* One connection: length, mutation → one byte, until the peer goes. */
static void raw_serve(int i)
{
    struct raw_store raw;
    struct sockaddr_in address = raw_address(i);
    uint8_t buf[65536];
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    raw_open(&raw, i);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0)
        fail("raw listener", NULL);
    int fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (uint32_t len;
         read_all(fd, &len, sizeof len) && len <= sizeof buf && read_all(fd, buf, len);) {
        struct base_err err = {0};
        if (lsm_write(raw.store, base_slice(buf, len), 1, LSM_DURABLE_LOG, 10000000000u, &err) !=
            BASE_OK)
            fail("raw write", &err);
        if (write(fd, "k", 1) != 1)
            break;
    }
    raw_close(&raw);
    _exit(0);
}

/* One write at a time to both peers and the own store; done when one peer has answered (with the
 * own one, a quorum), but both answers are taken before the next. */
static void run_raw(uint64_t first)
{
    struct raw_store raw;
    struct base_buf mutation;
    int fds[NODES], on = 1;
    base_buf_init(&mutation, 65536);
    for (int i = 1; i < NODES; i++) {
        raw_pids[i] = fork();
        if (raw_pids[i] == 0)
            raw_serve(i);
        struct sockaddr_in address = raw_address(i);
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        for (int tries = 0; connect(fds[i], (struct sockaddr *)&address, sizeof address) != 0;
             tries++) {
            if (tries == 200)
                fail("raw connect", NULL);
            usleep(20000);
        }
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    raw_open(&raw, 0);
    size_t n = write_count / 4;
    double cpu = cpu_us(raw_pids);
    uint64_t start = now_ns();
    for (size_t k = 0; k < n; k++) {
        struct base_err err = {0};
        char answer;
        if (make_mutation(&mutation, raw.table_id, first + k, node_wall_us()) != BASE_OK)
            fail("mutation", NULL);
        uint64_t at = now_ns();
        uint32_t len = (uint32_t)mutation.len;
        uint8_t frame[65540];
        memcpy(frame, &len, 4);
        memcpy(frame + 4, mutation.data, mutation.len);
        for (int i = 1; i < NODES; i++)
            if (write(fds[i], frame, 4 + mutation.len) != (ssize_t)(4 + mutation.len))
                fail("raw send", NULL);
        if (lsm_write(raw.store, base_buf_view(&mutation), 1, LSM_DURABLE_LOG, 10000000000u,
                      &err) != BASE_OK)
            fail("raw write", &err);
        for (int i = 1; i < NODES; i++)
            if (!read_all(fds[i], &answer, 1))
                fail("raw answer", NULL);
        latencies[latency_count++] = now_ns() - at;
    }
    uint64_t elapsed = now_ns() - start;
    double spent = cpu_us(raw_pids) - cpu;
    report("raw", n, elapsed, spent);
    for (int i = 1; i < NODES; i++)
        close(fds[i]); /* all of them first: the later child holds a copy of the earlier one's */
    for (int i = 1; i < NODES; i++) {
        waitpid(raw_pids[i], NULL, 0);
        raw_pids[i] = 0;
    }
    raw_close(&raw);
    base_buf_fini(&mutation);
}

/* One at a time. */

static void run_single(struct node_session *session, const struct base_table *table, uint64_t first)
{
    struct base_buf mutation;
    size_t n = single_count;
    base_buf_init(&mutation, 65536);
    double cpu = cpu_us(node_pids);
    uint64_t start = now_ns();
    for (size_t k = 0; k < n; k++) {
        struct base_err err = {0};
        if (make_mutation(&mutation, table->id, first + k, node_timestamp(load.node)) != BASE_OK)
            fail("mutation", NULL);
        uint64_t at = now_ns();
        if (node_write(session, table, base_buf_view(&mutation), 1, NODE_CL_QUORUM, &err) !=
            BASE_OK)
            fail("write", &err);
        latencies[latency_count++] = now_ns() - at;
    }
    report("single", n, now_ns() - start, cpu_us(node_pids) - cpu);
    base_buf_fini(&mutation);
}

/* Two HTTP round trips. */

static struct {
    struct net_loop *loop;
    struct net_http_client *client;
    struct net_http_call call;
    size_t left;
    uint64_t at;
} http;

static void http_done(struct net_http_call *call)
{
    if (call->rc != BASE_OK)
        fail("HTTP", &call->error);
    if (http.left % 2 == 0) { /* every second one: two round trips are over */
        latencies[latency_count++] = now_ns() - http.at;
        http.at = now_ns();
    }
    if (--http.left == 0)
        net_loop_stop(http.loop);
    else if (net_http_client_start(http.client, call, &call->error) != BASE_OK)
        fail("HTTP", &call->error);
}

static void run_http(void)
{
    struct base_err err = {0};
    char url[128];
    size_t n = single_count * 2;
    snprintf(url, sizeof url, "http://127.0.0.2:%u/healthz", port);
    if (net_loop_new(&http.loop, &err) != BASE_OK ||
        net_http_client_new(http.loop, &http.client, &err) != BASE_OK)
        fail("HTTP", &err);
    http.call = (struct net_http_call){
        .method = "GET", .url = url, .timeout_ms = 5000, .body_size_max = 4096, .done = http_done};
    base_buf_init(&http.call.answer, 4096);
    http.left = n + 1;
    double cpu = cpu_us(node_pids);
    uint64_t start = now_ns();
    http.at = start;
    if (net_http_client_start(http.client, &http.call, &err) != BASE_OK ||
        net_loop_run(http.loop, &err) != BASE_OK)
        fail("HTTP", &err);
    report("2 x HTTP", n / 2, now_ns() - start, cpu_us(node_pids) - cpu);
    net_http_client_free(http.client);
    net_loop_free(http.loop);
    base_buf_fini(&http.call.answer);
}

/* Reads. */

static void run_reads(const char *name, struct node_session *session,
                      const struct base_table *table, uint64_t first)
{
    static const uint8_t at[] = {BASE_KEY_AT};
    struct base_range range = {base_slice(at, 1), base_slice(at, 1)};
    struct node_read *read = NULL;
    struct base_buf pkey;
    size_t n = single_count;
    base_buf_init(&pkey, 4096);
    double cpu = cpu_us(node_pids);
    uint64_t start = now_ns();
    for (size_t k = 0; k < n; k++) {
        struct base_err err = {0};
        struct base_live_row row;
        struct base_read cmd = BASE_READ_INIT;
        uint64_t key[KEY_LEN / 8] = {mix(first + k), mix(~(first + k))};
        base_buf_reset(&pkey);
        if (base_pkey_put(base_slice(key, sizeof key), &pkey) != BASE_OK)
            fail("key", NULL);
        cmd.table_id = table->id;
        cmd.pkey = base_buf_view(&pkey);
        cmd.slices = (struct base_slices){&range, 1};
        cmd.row_limit = 1;
        uint64_t began = now_ns();
        if (node_read_open(session, table, &cmd, NODE_CL_ONE, &read, &err) != BASE_OK ||
            node_read_next(read, &row, &err) != BASE_OK)
            fail("read", &err);
        if (!row.pkey.len)
            fail("read: a row is missing", NULL);
        node_read_close(read);
        latencies[latency_count++] = now_ns() - began;
    }
    report(name, n, now_ns() - start, cpu_us(node_pids) - cpu);
    node_read_free(read);
    base_buf_fini(&pkey);
}

/* A store alone, with the same rows. */
static void run_embedded(uint64_t first)
{
    char dir[512];
    struct base_err err = {0};
    struct node *node;
    struct node_session *session;
    struct base_buf mutation;
    snprintf(dir, sizeof dir, "%s/alone", root);
    struct node_config config = {.dir = dir};
    if (node_open(&config, &node, &err) != BASE_OK ||
        node_session_new(node, &session, &err) != BASE_OK)
        fail("embedded", &err);
    run_cql(session, "CREATE KEYSPACE IF NOT EXISTS bench WITH replication = {'class': "
                     "'SimpleStrategy', 'replication_factor': 1}");
    run_cql(session, "CREATE TABLE IF NOT EXISTS bench.kv (k blob PRIMARY KEY, v blob)");
    struct base_schema *schema = node_schema(node);
    const struct base_table *table =
        base_schema_table(schema, BASE_SLICE_LIT("bench"), BASE_SLICE_LIT("kv"));
    base_buf_init(&mutation, 65536);
    for (size_t k = 0; k < write_count; k++)
        if (make_mutation(&mutation, table->id, first + k, node_timestamp(node)) != BASE_OK ||
            node_write(session, table, base_buf_view(&mutation), 1, NODE_CL_ONE, &err) != BASE_OK)
            fail("embedded write", &err);
    run_reads("read embedded", session, table, first);
    base_buf_fini(&mutation);
    base_schema_release(schema);
    node_session_free(session);
    node_release(node);
}

static void run_guest(uint64_t first)
{
    char contacts[64];
    struct base_err err = {0};
    struct node *node;
    struct node_session *session;
    snprintf(contacts, sizeof contacts, "127.0.0.2:%u", port);
    struct node_config config = {.contacts = contacts};
    if (node_open(&config, &node, &err) != BASE_OK ||
        node_session_new(node, &session, &err) != BASE_OK ||
        node_wait_ready(session, &err) != BASE_OK)
        fail("guest", &err);
    struct base_schema *schema = node_schema(node);
    const struct base_table *table =
        base_schema_table(schema, BASE_SLICE_LIT("bench"), BASE_SLICE_LIT("kv"));
    run_reads("read guest", session, table, first);
    base_schema_release(schema);
    node_session_free(session);
    node_release(node);
}

/* Main. */

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"writes", 1, NULL, 'w'}, {"in-flight", 1, NULL, 'f'},
                                            {"dir", 1, NULL, 'd'},    {"rounds", 1, NULL, 'r'},
                                            {"port", 1, NULL, 'p'},   {"singles", 1, NULL, 's'},
                                            {"only", 1, NULL, 'o'},   {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'w':
            write_count = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            in_flight = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            root = optarg;
            break;
        case 'r':
            rounds = strtoull(optarg, NULL, 10);
            break;
        case 's':
            single_count = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            only = optarg;
            break;
        case 'p':
            port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
    if (in_flight == 0 || in_flight > IN_FLIGHT_MAX || write_count < 40 || single_count == 0 ||
        single_count > write_count) {
        fprintf(
            stderr,
            "clusterbench: --in-flight from 1 to %d, --writes from 40, --singles up to --writes\n",
            IN_FLIGHT_MAX);
        exit(2);
    }
}

static bool wanted(const char *what)
{
    return !only[0] || strstr(only, what) != NULL;
}

int main(int argc, char **argv)
{
    char command[1200];
    struct node_session *session;
    parse(argc, argv);
    snprintf(command, sizeof command, "rm -rf %s && mkdir -p %s", root, root);
    if (system(command) != 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    latencies = malloc((write_count + 1) * sizeof *latencies);
    for (int i = 1; i < NODES; i++)
        node_pids[i] = start_node(i);
    load.node = open_member(&session);
    run_cql(session, "CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', "
                     "'replication_factor': 3}");
    run_cql(session, "CREATE TABLE bench.kv (k blob PRIMARY KEY, v blob)");
    struct base_schema *schema = node_schema(load.node);
    const struct base_table *table =
        base_schema_table(schema, BASE_SLICE_LIT("bench"), BASE_SLICE_LIT("kv"));
    load.table_id = table->id;
    wait_for_all(session, table);
    for (size_t r = 0; r < rounds; r++) {
        uint64_t first = r * 10 * write_count;
        if (wanted("cluster") || wanted("member") || wanted("guest"))
            run_cluster(first); /* which is what the reads read */
        if (wanted("raw"))
            run_raw(first + 2 * write_count);
        if (wanted("single"))
            run_single(session, table, first + 4 * write_count);
        if (wanted("http"))
            run_http();
        if (wanted("embedded"))
            run_embedded(first);
        if (wanted("member"))
            run_reads("read member", session, table, first);
        if (wanted("guest"))
            run_guest(first);
    }
    base_schema_release(schema);
    node_session_free(session);
    node_release(load.node);
    for (int i = 1; i < NODES; i++) {
        kill(node_pids[i], SIGTERM);
        waitpid(node_pids[i], NULL, 0);
    }
    return 0;
}
