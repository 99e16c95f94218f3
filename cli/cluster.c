/* ringlet cluster: a development cluster on loopback addresses.
 *
 * Every subcommand says what should be so, and does what is missing for it: repeating one is
 * harmless, and so is repeating one that was cut off. Those that change something take the
 * directory's lock; status does not. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cluster_private.h"
#include "net/net.h"

enum { STOP_TIMEOUT_MS = 30000, KILL_TIMEOUT_MS = 60000, NODES_DEFAULT = 3, RF_DEFAULT = 3 };

struct job {
    const struct cli_options *options;
    const struct cli_command *command;
    const char *dir, *dcs;
    unsigned count, rf; /* 0: not given */
    bool json;
    char **names; /* NODE … */
    int name_count;
    struct cli_cluster *cluster;
    struct base_err *err;
};

static bool is_chosen(const struct job *job, const struct cli_cluster_node *node)
{
    for (int i = 0; i < job->name_count; i++)
        if (strcmp(job->names[i], node->name) == 0 || strcmp(job->names[i], node->name + 4) == 0 ||
            strcmp(job->names[i], node->address) == 0)
            return true;
    return job->name_count == 0;
}

/* Every NODE names one. */
static int check_names(const struct job *job)
{
    for (int i = 0; i < job->name_count; i++) {
        struct job one = *job;
        bool known = false;
        one.names = &job->names[i];
        one.name_count = 1;
        for (size_t n = 0; n < job->cluster->node_count; n++)
            known = known || is_chosen(&one, &job->cluster->nodes[n]);
        if (!known)
            return base_err_set(job->err, BASE_E_NOTFOUND,
                                "there is no node \"%s\" in %s: node1 to node%zu", job->names[i],
                                job->cluster->dir, job->cluster->node_count);
    }
    return BASE_OK;
}

static void say(const struct job *job, const char *fmt, ...) BASE_PRINTF(2, 3);
static void say(const struct job *job, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!job->json)
        vprintf(fmt, ap);
    va_end(ap);
    fflush(stdout);
}

/* The plan of a new cluster. */

static void add_node(struct cli_cluster *cluster, unsigned number, struct base_slice dc,
                     unsigned rack)
{
    struct cli_cluster_node *node = &cluster->nodes[cluster->node_count++];
    *node = (struct cli_cluster_node){.child = 0};
    snprintf(node->name, sizeof node->name, "node%u", number);
    snprintf(node->address, sizeof node->address, "127.0.0.%u", number);
    snprintf(node->dc, sizeof node->dc, "%.*s", BASE_SLICE_ARG(dc));
    snprintf(node->rack, sizeof node->rack, "rack%u", rack);
}

static bool is_name(const char *text, size_t len)
{
    return len > 0 && len <= CLI_CLUSTER_DC_LEN_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") >= len;
}

/* NAME:COUNT,NAME:COUNT: the nodes of a data centre stand in a rack each, so that every rack has as
 * many of them. */
static int plan_dcs(struct cli_cluster *cluster, const char *dcs, struct base_err *err)
{
    unsigned number = 1;
    for (const char *at = dcs;;) {
        const char *colon = strchr(at, ':');
        char *end = NULL;
        unsigned long count = colon ? strtoul(colon + 1, &end, 10) : 0;
        if (!colon || !is_name(at, (size_t)(colon - at)) || end == colon + 1 ||
            (*end && *end != ',') || count == 0)
            return base_err_set(err, BASE_E_INVALID,
                                "--dc takes NAME:COUNT,NAME:COUNT…, as dc1:2,dc2:1, not \"%s\"",
                                dcs);
        if (count + cluster->node_count >= CLI_CLUSTER_NODES_MAX)
            return base_err_set(err, BASE_E_LIMIT, "--dc %s: at most %d nodes", dcs,
                                CLI_CLUSTER_NODES_MAX - 1);
        for (unsigned rack = 1; rack <= count; rack++)
            add_node(cluster, number++, base_slice(at, (size_t)(colon - at)), rack);
        if (!*end)
            return BASE_OK;
        at = end + 1;
    }
}

static int plan(const struct job *job)
{
    struct cli_cluster *cluster = job->cluster;
    const char *base = strrchr(cluster->dir, '/');
    if (job->dcs) {
        int rc = plan_dcs(cluster, job->dcs, job->err);
        if (rc != BASE_OK)
            return rc;
        if (job->count && job->count != cluster->node_count)
            return base_err_set(job->err, BASE_E_INVALID,
                                "-n %u and --dc %s do not agree: that is %zu nodes", job->count,
                                job->dcs, cluster->node_count);
    }
    for (unsigned i = 1; !job->dcs && i <= (job->count ? job->count : NODES_DEFAULT); i++)
        add_node(cluster, i, BASE_SLICE_LIT("datacenter1"), 1);
    snprintf(cluster->name, sizeof cluster->name, "%.100s",
             base && base[1] ? base + 1 : "ringlet-cluster");
    cluster->port = job->options->port;
    cluster->rf = job->rf ? job->rf : RF_DEFAULT;
    if (cluster->rf > cluster->node_count)
        cluster->rf = (unsigned)cluster->node_count;
    return BASE_OK;
}

/* Starting. */

static int start_nodes(const struct job *job)
{
    struct cli_cluster *cluster = job->cluster;
    int64_t begin_us = node_wall_us();
    size_t started = 0, chosen = 0;
    pid_t pid;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++)
        if (is_chosen(job, &cluster->nodes[i]) &&
            cli_cluster_state(cluster, &cluster->nodes[i], &pid) == CLI_NODE_STOPPED)
            rc = cli_cluster_check_port(cluster, &cluster->nodes[i], job->err);
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++)
        if (is_chosen(job, &cluster->nodes[i]))
            rc = cli_cluster_make_node(cluster, &cluster->nodes[i], job->err);
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++) {
        struct cli_cluster_node *node = &cluster->nodes[i];
        if (!is_chosen(job, node))
            continue;
        chosen++;
        switch (cli_cluster_state(cluster, node, &pid)) {
        case CLI_NODE_RUNNING:
            break;
        case CLI_NODE_PAUSED:
            say(job, "%s is paused: ringlet cluster resume %s\n", node->name, node->name);
            break;
        case CLI_NODE_FOREIGN:
            rc = base_err_set(job->err, BASE_E_BUSY,
                              "the data of %s are open in process %ld, which is no ringlet node",
                              node->name, (long)pid);
            break;
        case CLI_NODE_STOPPED:
            rc = cli_cluster_spawn(cluster, node, job->err);
            started++;
            break;
        }
    }
    if (rc == BASE_OK)
        rc = cli_cluster_wait_ready(cluster, job->err);
    if (rc == BASE_OK && started == 0)
        say(job, "%s already\n", chosen == 1 ? "it runs" : "all run");
    else if (rc == BASE_OK)
        say(job, "%zu node%s started in %.2f s, data in %s\n", started, started == 1 ? "" : "s",
            (double)(node_wall_us() - begin_us) / 1e6, cluster->dir);
    return rc;
}

static int run_start(const struct job *job)
{
    return start_nodes(job);
}

/* What to type next; --rf goes into the statement. */
static void say_hint(const struct job *job)
{
    const struct cli_cluster *cluster = job->cluster;
    char extension[4096];
    say(job,
        "go on in sqlite3:\n  .load %s\n  SELECT ringlet_connect('http://%s:%u');\n"
        "  SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {",
        cli_extension(extension), cluster->nodes[0].address, cluster->port);
    bool many = false;
    for (size_t i = 1; i < cluster->node_count; i++)
        many = many || strcmp(cluster->nodes[i].dc, cluster->nodes[0].dc) != 0;
    if (!many)
        say(job, "''class'': ''SimpleStrategy'', ''replication_factor'': %u", cluster->rf);
    else
        say(job, "''class'': ''NetworkTopologyStrategy''");
    for (size_t i = 0; many && i < cluster->node_count; i++) {
        bool first = true;
        unsigned count = 0;
        for (size_t k = 0; k < cluster->node_count; k++) {
            bool same = strcmp(cluster->nodes[i].dc, cluster->nodes[k].dc) == 0;
            first = first && !(same && k < i);
            count += same;
        }
        if (first)
            say(job, ", ''%s'': %u", cluster->nodes[i].dc,
                count < cluster->rf ? count : cluster->rf);
    }
    say(job, "}');\nend it: ringlet cluster stop --dir %s\n", cluster->dir);
}

/* What is there and what is asked for: the same number of nodes in the same data centres? */
static int check_same(const struct job *job, const struct cli_cluster *wanted)
{
    const struct cli_cluster *cluster = job->cluster;
    bool same = wanted->node_count == cluster->node_count;
    for (size_t i = 0; same && job->dcs && i < cluster->node_count; i++)
        same = strcmp(wanted->nodes[i].dc, cluster->nodes[i].dc) == 0;
    if (job->options->port != cluster->port && job->options->port != 7000)
        return base_err_set(job->err, BASE_E_EXISTS, "the cluster in %s has port %u, not %u",
                            cluster->dir, cluster->port, job->options->port);
    if (!same && (job->count || job->dcs))
        return base_err_set(
            job->err, BASE_E_EXISTS,
            "%s has a cluster of %zu nodes already: ringlet cluster start, add or destroy",
            cluster->dir, cluster->node_count);
    return BASE_OK;
}

/* Does it agree with itself, and, when it is new, are its ports free? Under the lock. */
static int check_plan(const struct job *planned)
{
    struct cli_cluster *cluster = planned->cluster;
    int rc = plan(planned);
    for (size_t i = 0; rc == BASE_OK && !cli_cluster_exists(cluster) && i < cluster->node_count;
         i++)
        rc = cli_cluster_check_port(cluster, &cluster->nodes[i], planned->err);
    return rc;
}

static int run_create(const struct job *job)
{
    struct cli_cluster *cluster = job->cluster;
    struct cli_cluster *wanted = calloc(1, sizeof *wanted);
    if (!wanted)
        return base_err_set(job->err, BASE_E_NOMEM, "out of memory");
    struct job planned = *job;
    cli_cluster_init(wanted, job->dir);
    planned.cluster = wanted;
    int rc = cli_cluster_make_dir(wanted, job->err);
    snprintf(cluster->dir, sizeof cluster->dir, "%s", wanted->dir);
    if (rc == BASE_OK)
        rc = cli_cluster_lock(cluster, job->err);
    if (rc == BASE_OK) {
        rc = check_plan(&planned);
        if (rc != BASE_OK && !cli_cluster_exists(cluster)) { /* leave nothing behind */
            char left[256];
            struct base_err ignored = {0};
            if (cli_cluster_remove(cluster, left, &ignored) != BASE_OK)
                fprintf(stderr, "ringlet: %s\n", ignored.text);
        }
    }
    if (rc == BASE_OK) {
        rc = cli_cluster_load(cluster, job->err);
        if (rc == BASE_OK) {
            rc = check_same(job, wanted);
        } else if (rc == BASE_E_NOTFOUND) {
            base_err_clear(job->err);
            wanted->lock_fd = cluster->lock_fd;
            *cluster = *wanted;
            rc = cli_cluster_save(cluster, job->err);
        }
    }
    if (rc == BASE_OK)
        rc = start_nodes(job);
    if (rc == BASE_OK)
        say_hint(job);
    free(wanted);
    return rc;
}

/* Ending. */

/* `first` (0: none), then SIGKILL where it does not help in time. */
static int end_nodes(const struct job *job, int first)
{
    struct cli_cluster *cluster = job->cluster;
    bool ends[CLI_CLUSTER_NODES_MAX] = {false};
    pid_t pid;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cluster->nodes[i];
        if (!is_chosen(job, node) || cli_cluster_state(cluster, node, &pid) == CLI_NODE_STOPPED)
            continue;
        ends[i] = true;
        rc = cli_cluster_signal(cluster, node, first, job->err);
        if (rc == BASE_OK && first != SIGKILL) /* a paused one hears it when it goes on */
            rc = cli_cluster_signal(cluster, node, SIGCONT, job->err);
    }
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cluster->nodes[i];
        if (!ends[i])
            continue;
        bool ended = cli_cluster_wait_state(cluster, node, CLI_NODE_STOPPED,
                                            first == SIGKILL ? KILL_TIMEOUT_MS : STOP_TIMEOUT_MS);
        bool forced = !ended && first != SIGKILL;
        if (forced) {
            rc = cli_cluster_signal(cluster, node, SIGKILL, job->err);
            ended = rc == BASE_OK &&
                    cli_cluster_wait_state(cluster, node, CLI_NODE_STOPPED, KILL_TIMEOUT_MS);
        }
        if (ended && (forced || first == SIGKILL)) /* it could not do so itself */
            net_token_withdraw(node->address, cluster->port);
        if (rc == BASE_OK && !ended)
            rc = base_err_set(job->err, BASE_E_TIMEOUT, "%s does not end", node->name);
        else if (rc == BASE_OK)
            say(job, "%s %s\n", node->name,
                forced             ? "did not end in 30 s and was killed"
                : first == SIGKILL ? "killed"
                                   : "stopped");
    }
    return rc;
}

static int run_stop(const struct job *job)
{
    return end_nodes(job, SIGTERM);
}

static int run_kill(const struct job *job)
{
    return end_nodes(job, SIGKILL);
}

static int run_destroy(const struct job *job)
{
    char left[256];
    struct job all = *job;
    all.name_count = 0;
    int rc = end_nodes(&all, SIGKILL); /* nothing is worth a flush */
    if (rc == BASE_OK)
        rc = cli_cluster_remove(job->cluster, left, job->err);
    if (rc == BASE_OK && left[0])
        say(job, "removed the cluster; %s stays, for it holds %s\n", job->cluster->dir, left);
    else if (rc == BASE_OK)
        say(job, "removed %s\n", job->cluster->dir);
    job->cluster->node_count = rc == BASE_OK ? 0 : job->cluster->node_count;
    return rc;
}

/* Pausing. */

static int set_paused(const struct job *job, bool paused)
{
    struct cli_cluster *cluster = job->cluster;
    pid_t pid;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cluster->nodes[i];
        enum cli_node_state wanted = paused ? CLI_NODE_PAUSED : CLI_NODE_RUNNING;
        if (!is_chosen(job, node))
            continue;
        if (cli_cluster_state(cluster, node, &pid) == CLI_NODE_STOPPED)
            return base_err_set(job->err, BASE_E_INVALID,
                                "%s does not run: ringlet cluster start %s", node->name,
                                node->name);
        rc = cli_cluster_signal(cluster, node, paused ? SIGSTOP : SIGCONT, job->err);
        if (rc == BASE_OK && !cli_cluster_wait_state(cluster, node, wanted, KILL_TIMEOUT_MS))
            rc = base_err_set(job->err, BASE_E_TIMEOUT, "%s did not %s", node->name,
                              paused ? "pause" : "go on");
        if (rc == BASE_OK)
            say(job, "%s %s\n", node->name, paused ? "paused" : "resumed");
    }
    return rc;
}

static int run_pause(const struct job *job)
{
    return set_paused(job, true);
}

static int run_resume(const struct job *job)
{
    return set_paused(job, false);
}

/* Members come and go. */

static int run_add(const struct job *job)
{
    struct cli_cluster *cluster = job->cluster;
    unsigned number = 0, rack = 1;
    const char *dc = job->dcs ? job->dcs : cluster->nodes[0].dc;
    if (job->name_count)
        return base_err_set(job->err, BASE_E_INVALID,
                            "the name of a new node is not chosen: ringlet cluster add");
    if (!is_name(dc, strlen(dc)))
        return base_err_set(job->err, BASE_E_INVALID,
                            "add --dc takes the name of one data centre, not \"%s\"", dc);
    for (size_t i = 0; i < cluster->node_count; i++) {
        unsigned n = (unsigned)strtoul(cluster->nodes[i].name + 4, NULL, 10);
        number = n > number ? n : number;
        rack += strcmp(cluster->nodes[i].dc, dc) == 0;
    }
    bool racks = false; /* does this cluster use them? */
    for (size_t i = 0; i < cluster->node_count; i++)
        racks = racks || strcmp(cluster->nodes[i].rack, "rack1") != 0;
    if (cluster->node_count + 1 >= CLI_CLUSTER_NODES_MAX || number >= CLI_CLUSTER_NODES_MAX)
        return base_err_set(job->err, BASE_E_LIMIT, "at most %d nodes", CLI_CLUSTER_NODES_MAX - 1);
    add_node(cluster, number + 1, base_slice_str(dc), racks ? rack : 1);
    size_t index = cluster->node_count - 1;
    char *name[] = {cluster->nodes[index].name};
    struct job one = *job;
    one.names = name;
    one.name_count = 1;
    int rc = cli_cluster_save(cluster, job->err);
    if (rc == BASE_OK)
        rc = start_nodes(&one);
    if (rc == BASE_OK || cluster->nodes[index].child != 0)
        return rc; /* or it runs and is slow: left as it is, start waits for it again */
    struct base_err ignored = {0};
    if (cli_cluster_remove_node(cluster, index, &ignored) != BASE_OK)
        fprintf(stderr, "ringlet: %s\n", ignored.text);
    if (rc == BASE_E_STOPPED) /* its log went with it */
        return base_err_set(job->err, rc,
                            "node%u was not added: it ended; its last words are above", number + 1);
    return base_err_wrap(job->err, rc, "not added");
}

static int run_remove(const struct job *job)
{
    struct cli_cluster *cluster = job->cluster;
    struct cli_cluster_view view;
    pid_t pid;
    cli_cluster_view(cluster, &view);
    for (size_t i = cluster->node_count; i-- > 0;) {
        struct cli_cluster_node *node = &cluster->nodes[i];
        if (!is_chosen(job, node))
            continue;
        if (cli_cluster_state(cluster, node, &pid) != CLI_NODE_STOPPED)
            return base_err_set(job->err, BASE_E_BUSY, "%s is running", node->name);
        if (cli_cluster_has_data(cluster, node) && (!view.by[0] || view.seen[i][0]))
            return base_err_set(
                job->err, BASE_E_INVALID,
                "%s %s, and members cannot leave in this version (their rows would have to "
                "move): ringlet cluster destroy ends and removes the whole cluster",
                node->name,
                view.by[0] ? "is a member of the cluster"
                           : "may be a member (no node runs that could tell)");
        say(job, "removed %s\n", node->name);
        int rc = cli_cluster_remove_node(cluster, i, job->err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* Status. */

static void show_json(const struct cli_cluster *cluster, const struct cli_cluster_view *view)
{
    struct base_json_writer json;
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    base_json_writer_init(&json, &text);
    base_json_open_object(&json);
    base_json_key(&json, "name");
    base_json_str(&json, cluster->name);
    base_json_key(&json, "directory");
    base_json_str(&json, cluster->dir);
    base_json_key(&json, "nodes");
    base_json_open_array(&json);
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cluster->nodes[i];
        char address[48];
        pid_t pid;
        enum cli_node_state state = cli_cluster_state(cluster, node, &pid);
        snprintf(address, sizeof address, "%s:%u", node->address, cluster->port);
        const char *pairs[][2] = {
            {"name", node->name},    {"address", address}, {"state", cli_node_state_name(state)},
            {"code", view->seen[i]}, {"dc", node->dc},     {"rack", node->rack}};
        base_json_open_object(&json);
        for (size_t k = 0; k < BASE_COUNT(pairs); k++) {
            base_json_key(&json, pairs[k][0]);
            base_json_str(&json, pairs[k][1]);
        }
        base_json_key(&json, "process_id");
        base_json_i64(&json, pid);
        base_json_close_object(&json);
    }
    base_json_close_array(&json);
    base_json_close_object(&json);
    if (base_json_finish(&json) == BASE_OK)
        printf("%.*s\n", BASE_SLICE_ARG(base_buf_view(&text)));
    base_buf_fini(&text);
}

static int run_status(const struct job *job)
{
    const struct cli_cluster *cluster = job->cluster;
    struct cli_cluster_view view;
    cli_cluster_view(cluster, &view);
    if (job->json) {
        show_json(cluster, &view);
        return BASE_OK;
    }
    printf("Cluster: %s, port %u, in %s\n", cluster->name, cluster->port, cluster->dir);
    printf("%-8s %-12s %8s  %-8s %-6s %-14s %s\n", "Node", "Address", "Process", "State", "Status",
           "Data center", "Rack");
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cluster->nodes[i];
        char process[24] = "-";
        pid_t pid;
        enum cli_node_state state = cli_cluster_state(cluster, node, &pid);
        if (pid > 0)
            snprintf(process, sizeof process, "%ld", (long)pid);
        printf("%-8s %-12s %8s  %-8s %-6s %-14s %s\n", node->name, node->address, process,
               cli_node_state_name(state), view.seen[i][0] ? view.seen[i] : "-", node->dc,
               node->rack);
    }
    if (view.by[0] && cluster->port == 7000)
        printf("Status as %s sees it; more: ringlet status\n", view.by);
    else if (view.by[0])
        printf("Status as %s sees it; more: ringlet --port %u status\n", view.by, cluster->port);
    return BASE_OK;
}

/* The command. */

enum names { NO_NODE, ANY_NODES, SOME_NODES };
static const struct {
    const char *name;
    enum names names;
    bool makes;   /* no cluster need be there */
    bool changes; /* takes the lock, shows the result with --json */
    int (*run)(const struct job *job);
} subcommands[] = {
    {"create", NO_NODE, true, true, run_create},
    {"start", ANY_NODES, false, true, run_start},
    {"stop", ANY_NODES, false, true, run_stop},
    {"status", NO_NODE, false, false, run_status},
    {"add", NO_NODE, false, true, run_add},
    {"remove", SOME_NODES, false, true, run_remove},
    {"kill", SOME_NODES, false, true, run_kill},
    {"pause", SOME_NODES, false, true, run_pause},
    {"resume", SOME_NODES, false, true, run_resume},
    {"destroy", NO_NODE, false, true, run_destroy},
};

static int parse_count(const struct job *job, const char *option, const char *text, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (!*text || *text == '-' || *end || n == 0 || n >= CLI_CLUSTER_NODES_MAX)
        return cli_usage(job->command, "%s takes a number from 1 to %d, not \"%s\"", option,
                         CLI_CLUSTER_NODES_MAX - 1, text);
    *out = (unsigned)n;
    return CLI_OK;
}

/* argv[0] is the subcommand. */
static int parse(struct job *job, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},   {"dc", required_argument, NULL, 'c'},
        {"rf", required_argument, NULL, 'r'},    {"json", no_argument, NULL, 'j'},
        {"nodes", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0},
    };
    int option, rc = CLI_OK;
    optind = 0; /* begin anew: main has used it */
    opterr = 0;
    while (rc == CLI_OK && (option = getopt_long(argc, argv, "n:", long_options, NULL)) != -1) {
        switch (option) {
        case 'd':
            job->dir = optarg;
            break;
        case 'c':
            job->dcs = optarg;
            break;
        case 'j':
            job->json = true;
            break;
        case 'n':
            rc = parse_count(job, "-n", optarg, &job->count);
            break;
        case 'r':
            rc = parse_count(job, "--rf", optarg, &job->rf);
            break;
        default:
            return cli_usage(job->command, "unknown or incomplete option %s", argv[optind - 1]);
        }
    }
    job->names = argv + optind;
    job->name_count = argc - optind;
    return rc;
}

static int perform(struct job *job, size_t which)
{
    int rc = BASE_OK;
    if (!subcommands[which].makes) {
        rc = cli_cluster_load(job->cluster, job->err);
        if (rc == BASE_OK && subcommands[which].changes) {
            rc = cli_cluster_lock(job->cluster, job->err);
            if (rc == BASE_OK) /* what the command before us made of it */
                rc = cli_cluster_load(job->cluster, job->err);
        }
        if (rc == BASE_OK)
            rc = check_names(job);
    }
    if (rc == BASE_OK)
        rc = subcommands[which].run(job);
    if (rc == BASE_OK && job->json && subcommands[which].changes) {
        struct cli_cluster_view view;
        cli_cluster_view(job->cluster, &view);
        show_json(job->cluster, &view);
    }
    return rc;
}

int cli_cluster(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv)
{
    struct base_err err = {0};
    struct job job = {.options = options,
                      .command = command,
                      .dir = "ringlet-cluster",
                      .json = options->json,
                      .err = &err};
    size_t which = 0;
    if (argc == 0)
        return cli_usage(command, "say what to do");
    while (which < BASE_COUNT(subcommands) && strcmp(subcommands[which].name, argv[0]) != 0)
        which++;
    if (which == BASE_COUNT(subcommands))
        return cli_usage(command, "there is no \"cluster %s\"", argv[0]);
    int rc = parse(&job, argc, argv);
    if (rc != CLI_OK)
        return rc;
    if (subcommands[which].names == NO_NODE && job.name_count)
        return cli_usage(command, "cluster %s takes no NODE", argv[0]);
    if (subcommands[which].names == SOME_NODES && !job.name_count)
        return cli_usage(command, "cluster %s needs a NODE, as node2", argv[0]);
    job.cluster = malloc(sizeof *job.cluster);
    if (!job.cluster) {
        base_err_set(&err, BASE_E_NOMEM, "out of memory");
        return cli_fail(&err);
    }
    cli_cluster_init(job.cluster, job.dir);
    rc = perform(&job, which);
    cli_cluster_unlock(job.cluster);
    free(job.cluster);
    return rc == BASE_OK ? CLI_OK : cli_fail(&err);
}
