/* ringlet stress: load over the native protocol, on Ringlet, Apache Cassandra or ScyllaDB, and what
 * came of it (stress_private.h). */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/stress_private.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

struct result {
    struct cli_stress_counts total;
    double seconds;
    double server_cpu_s; /* of -pid, in the phase that counts */
    uint64_t version;    /* of the protocol */
};

/* The server's processor time. */

static double cpu_seconds(const struct cli_stress_options *o)
{
    double sum = 0;
    for (size_t i = 0; i < o->pid_count; i++) {
        char path[64], line[1024];
        unsigned long user = 0, system = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", o->pids[i]);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        const char *rest = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                           &system) == 2)
            sum += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        fclose(file);
    }
    return sum;
}

/* Live. */

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static uint64_t operations(const struct cli_stress_counts *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CLI_STRESS_STATEMENTS_MAX; i++)
        sum += c->operations[i];
    return sum;
}

static void show_line(const struct cli_stress_options *o, const struct cli_stress_counts *total,
                      const struct cli_stress_counts *now, double seconds, double span)
{
    if (o->quiet)
        return;
    fprintf(stderr, "%10.1f %12llu %9.0f %8.2f %8.2f %8.2f %8.2f %8.2f %9.2f %8llu\n", seconds,
            (unsigned long long)operations(total), span > 0 ? (double)operations(now) / span : 0,
            cli_histogram_mean(&now->response) / 1e6,
            ms(cli_histogram_percentile(&now->response, 50)),
            ms(cli_histogram_percentile(&now->response, 95)),
            ms(cli_histogram_percentile(&now->response, 99)),
            ms(cli_histogram_percentile(&now->response, 99.9)), ms(now->response.max),
            (unsigned long long)(total->errors + total->wrong + total->missing));
}

static void show_head(const struct cli_stress_options *o, const char *what)
{
    if (!o->quiet)
        fprintf(stderr,
                "%s\n   time, s   operations      op/s     mean      med      .95      .99     "
                ".999    max, ms   errors\n",
                what);
}

/* A phase. */

static int run_phase(struct cli_stress_run *run, struct cli_stress_worker **workers,
                     struct result *result, struct base_err *err)
{
    const struct cli_stress_options *o = run->options;
    struct cli_stress_counts *now = calloc(1, sizeof *now);
    int rc = now ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "counts");
    double cpu_s = cpu_seconds(o);
    run->start_ns = cli_stress_now_ns();
    run->end_ns =
        run->phase.duration_s > 0 ? run->start_ns + (uint64_t)(run->phase.duration_s * 1e9) : 0;
    for (size_t i = 0; i < run->cluster->node_count; i++)
        atomic_store(&run->cluster->nodes[i].answers, 0);
    atomic_store(&run->next, 0);
    atomic_store(&run->stop, false);
    atomic_store(&run->running, o->loops);
    uint64_t shown_ns = run->start_ns, ended_ns = run->start_ns;
    unsigned started = 0;
    while (rc == BASE_OK && started < o->loops) {
        rc = cli_stress_worker_start(workers[started], err);
        started += rc == BASE_OK;
    }
    if (started < o->loops)
        atomic_store(&run->stop, true);
    while (rc == BASE_OK && atomic_load(&run->running) > 0) {
        usleep(10000);
        ended_ns = cli_stress_now_ns();
        if (interrupted)
            atomic_store(&run->stop, true);
        if ((double)(ended_ns - shown_ns) < o->interval_s * 1e9)
            continue;
        memset(now, 0, sizeof *now);
        for (unsigned i = 0; i < o->loops; i++)
            cli_stress_worker_take(workers[i], now);
        cli_stress_counts_add(&result->total, now);
        show_line(o, &result->total, now, (double)(ended_ns - run->start_ns) / 1e9,
                  (double)(ended_ns - shown_ns) / 1e9);
        shown_ns = ended_ns;
    }
    for (unsigned i = 0; i < started; i++) {
        struct base_err why = {0};
        int failed = cli_stress_worker_join(workers[i], &why);
        if (failed != BASE_OK && rc == BASE_OK)
            rc = base_err_set(err, failed, "%s", why.text);
        cli_stress_worker_take(workers[i], &result->total);
    }
    result->seconds = (double)(cli_stress_now_ns() - run->start_ns) / 1e9;
    result->server_cpu_s = cpu_seconds(o) - cpu_s;
    free(now);
    return rc;
}

/* The end. */

static void show_operations(const struct cli_stress_workload *w, const struct result *r)
{
    uint64_t sum = operations(&r->total);
    printf("Op rate                   : %10.0f op/s ", (double)sum / r->seconds);
    for (size_t i = 0; i < w->statement_count; i++)
        printf(" [%s: %.0f op/s]", w->statements[i].name,
               (double)r->total.operations[i] / r->seconds);
    printf("\nRow rate                  : %10.0f row/s\n", (double)r->total.rows / r->seconds);
}

static void show_nodes(const struct cli_stress_cluster *cluster, const struct result *r)
{
    uint64_t sum = operations(&r->total);
    if (cluster->node_count < 2)
        return;
    printf("Sent to a replica         : %10.1f %%\n",
           sum ? 100 * (double)r->total.routed / (double)sum : 0);
    for (size_t i = 0; i < cluster->node_count; i++)
        printf("  %s:%u answered %llu\n", cluster->nodes[i].host, cluster->nodes[i].port,
               (unsigned long long)atomic_load(&cluster->nodes[i].answers));
}

static void show_latencies(const char *name, const struct cli_histogram *h)
{
    printf("%s mean              : %10.2f ms\n", name, cli_histogram_mean(h) / 1e6);
    printf("%s median            : %10.2f ms\n", name, ms(cli_histogram_percentile(h, 50)));
    printf("%s 95th percentile   : %10.2f ms\n", name, ms(cli_histogram_percentile(h, 95)));
    printf("%s 99th percentile   : %10.2f ms\n", name, ms(cli_histogram_percentile(h, 99)));
    printf("%s 99.9th percentile : %10.2f ms\n", name, ms(cli_histogram_percentile(h, 99.9)));
    printf("%s max               : %10.2f ms\n", name, ms(h->max));
}

static void show(const struct cli_stress_workload *w, const struct cli_stress_cluster *cluster,
                 const struct result *r)
{
    const struct cli_stress_options *o = w->options;
    uint64_t sum = operations(&r->total);
    printf("Results:\n");
    show_operations(w, r);
    show_latencies("Latency", &r->total.response);
    if (o->fixed) /* without what waited for its turn: as a client that sends late would see it */
        show_latencies("Service", &r->total.service);
    printf("Total operations          : %10llu\n", (unsigned long long)sum);
    printf("Total errors              : %10llu\n", (unsigned long long)r->total.errors);
    if (o->check) {
        printf("Rows missing              : %10llu\n", (unsigned long long)r->total.missing);
        printf("Rows wrong                : %10llu\n", (unsigned long long)r->total.wrong);
    }
    printf("Total operation time      : %10.2f s\n", r->seconds);
    show_nodes(cluster, r);
    if (o->pid_count) {
        printf("Server CPU                : %10.2f s\n", r->server_cpu_s);
        printf("Server CPU per operation  : %10.1f us\n",
               sum ? r->server_cpu_s * 1e6 / (double)sum : 0);
        printf("Operations per CPU second : %10.0f\n",
               r->server_cpu_s > 0 ? (double)sum / r->server_cpu_s : 0);
    }
}

static void put_double(struct base_json_writer *w, const char *key, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.6f", value);
    base_json_key(w, key);
    base_json_raw(w, base_slice_str(text));
}

static void put_latencies(struct base_json_writer *w, const char *key,
                          const struct cli_histogram *h)
{
    base_json_key(w, key);
    base_json_open_object(w);
    put_double(w, "mean", cli_histogram_mean(h) / 1e6);
    put_double(w, "min", ms(h->min));
    put_double(w, "p50", ms(cli_histogram_percentile(h, 50)));
    put_double(w, "p95", ms(cli_histogram_percentile(h, 95)));
    put_double(w, "p99", ms(cli_histogram_percentile(h, 99)));
    put_double(w, "p999", ms(cli_histogram_percentile(h, 99.9)));
    put_double(w, "max", ms(h->max));
    base_json_close_object(w);
}

static void put_nodes(struct base_json_writer *w, const struct cli_stress_cluster *cluster)
{
    base_json_key(w, "nodes");
    base_json_open_array(w);
    for (size_t i = 0; i < cluster->node_count; i++) {
        char address[300];
        snprintf(address, sizeof address, "%s:%u", cluster->nodes[i].host, cluster->nodes[i].port);
        base_json_open_object(w);
        base_json_key(w, "address");
        base_json_str(w, address);
        base_json_key(w, "answers");
        base_json_u64(w, atomic_load(&cluster->nodes[i].answers));
        base_json_close_object(w);
    }
    base_json_close_array(w);
}

static int show_json(const struct cli_stress_workload *work,
                     const struct cli_stress_cluster *cluster, const struct result *r,
                     struct base_err *err)
{
    struct base_buf out;
    struct base_json_writer w;
    uint64_t sum = operations(&r->total);
    base_buf_init(&out, 1 << 20);
    base_json_writer_init(&w, &out);
    base_json_open_object(&w);
    base_json_key(&w, "command");
    base_json_str(&w, work->options->command);
    base_json_key(&w, "protocol_version");
    base_json_u64(&w, r->version);
    base_json_key(&w, "operations");
    base_json_u64(&w, sum);
    base_json_key(&w, "operations_by_name");
    base_json_open_object(&w);
    for (size_t i = 0; i < work->statement_count; i++) {
        base_json_key(&w, work->statements[i].name);
        base_json_u64(&w, r->total.operations[i]);
    }
    base_json_close_object(&w);
    put_double(&w, "seconds", r->seconds);
    put_double(&w, "operations_per_second", (double)sum / r->seconds);
    put_latencies(&w, "latency_ms", &r->total.response);
    if (work->options->fixed)
        put_latencies(&w, "service_ms", &r->total.service);
    base_json_key(&w, "rows");
    base_json_u64(&w, r->total.rows);
    base_json_key(&w, "errors");
    base_json_u64(&w, r->total.errors);
    base_json_key(&w, "missing");
    base_json_u64(&w, r->total.missing);
    base_json_key(&w, "wrong");
    base_json_u64(&w, r->total.wrong);
    base_json_key(&w, "routed");
    base_json_u64(&w, r->total.routed);
    put_nodes(&w, cluster);
    if (work->options->pid_count) {
        put_double(&w, "server_cpu_seconds", r->server_cpu_s);
        put_double(&w, "server_cpu_us_per_operation",
                   sum ? r->server_cpu_s * 1e6 / (double)sum : 0);
        put_double(&w, "operations_per_cpu_second",
                   r->server_cpu_s > 0 ? (double)sum / r->server_cpu_s : 0);
    }
    base_json_close_object(&w);
    int rc = base_json_finish(&w);
    if (rc == BASE_OK)
        printf("%.*s\n", BASE_SLICE_ARG(base_buf_view(&out)));
    base_buf_fini(&out);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "the result");
}

static int write_histogram(const struct cli_stress_options *o, const struct result *r,
                           struct base_err *err)
{
    FILE *file = fopen(o->histogram_file, "we");
    if (!file)
        return base_err_set(err, BASE_E_IO, "open %s: %s", o->histogram_file, strerror(errno));
    bool good = cli_histogram_write(&r->total.response, file);
    if (fclose(file) != 0 || !good)
        return base_err_set(err, BASE_E_IO, "write %s", o->histogram_file);
    return BASE_OK;
}

/* The command. */

static int run(struct cli_stress_run *r, struct cli_stress_worker **workers, struct result *result,
               struct base_err *err)
{
    const struct cli_stress_options *o = r->options;
    int rc = BASE_OK;
    if (o->warmup) {
        show_head(o, "Warming up");
        r->phase = (struct cli_stress_phase){.count = o->warmup};
        rc = run_phase(r, workers, result, err);
        memset(&result->total, 0, sizeof result->total);
    }
    if (rc == BASE_OK && !interrupted) {
        show_head(o, "Running");
        r->phase = (struct cli_stress_phase){.count = o->count, .duration_s = o->duration_s};
        rc = run_phase(r, workers, result, err);
    }
    return rc;
}

static int run_on_cluster(struct cli_stress_run *r, struct result *result, struct base_err *err)
{
    const struct cli_stress_options *o = r->options;
    struct cli_stress_worker *workers[CLI_STRESS_LOOPS_MAX] = {NULL};
    int rc = BASE_OK;
    for (unsigned i = 0; rc == BASE_OK && i < o->loops; i++)
        rc = cli_stress_worker_new(r, i, o->loops, &workers[i], err);
    if (rc == BASE_OK)
        rc = run(r, workers, result, err);
    for (unsigned i = 0; i < o->loops; i++)
        cli_stress_worker_free(workers[i]);
    if (rc == BASE_OK && o->json)
        rc = show_json(r->workload, r->cluster, result, err);
    else if (rc == BASE_OK)
        show(r->workload, r->cluster, result);
    if (rc == BASE_OK && o->histogram_file)
        rc = write_histogram(o, result, err);
    return rc;
}

static int stress(const struct cli_stress_options *o, struct cli_stress_workload *workload,
                  struct result *result, struct base_err *err)
{
    struct cli_stress_cluster cluster;
    struct cli_stress_run r = {.options = o, .workload = workload, .cluster = &cluster};
    struct cli_cql contact;
    int rc = cli_stress_contact(o, &contact, err);
    if (rc != BASE_OK)
        return rc;
    result->version = contact.version;
    rc = cli_stress_workload_init(workload, o, &contact, err);
    if (rc == BASE_OK) {
        rc = cli_stress_cluster_init(&cluster, o, &contact, err);
        if (rc != BASE_OK)
            cli_stress_workload_fini(workload);
    }
    cli_cql_close(&contact);
    if (rc != BASE_OK)
        return rc;
    rc = run_on_cluster(&r, result, err);
    cli_stress_cluster_fini(&cluster);
    cli_stress_workload_fini(workload);
    return rc;
}

int cli_stress(const struct cli_options *options, const struct cli_command *command, int argc,
               char **argv)
{
    struct cli_stress_options o;
    struct cli_stress_workload workload;
    struct base_err err = {0};
    int rc = cli_stress_parse(&o, options, command, argc, argv);
    if (rc != CLI_OK) {
        base_arena_fini(&o.arena);
        return rc;
    }
    struct result *result = calloc(1, sizeof *result);
    BASE_ASSERT(result);
    /* the second Ctrl-C ends the process */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    rc = stress(&o, &workload, result, &err);
    if (rc != BASE_OK)
        rc = cli_fail(&err);
    else if (result->total.errors || result->total.wrong || result->total.missing) {
        if (result->total.first_error[0])
            fprintf(stderr, "ringlet: %llu errors, the first: %s\n",
                    (unsigned long long)result->total.errors, result->total.first_error);
        if (result->total.wrong || result->total.missing)
            fprintf(stderr, "ringlet: %llu rows are missing, %llu are wrong\n",
                    (unsigned long long)result->total.missing,
                    (unsigned long long)result->total.wrong);
        rc = o.ignore_errors && !result->total.wrong ? CLI_OK : CLI_FAILED;
    }
    free(result);
    base_arena_fini(&o.arena);
    return rc;
}
