/* ringlet: the program. Global options, then a command; one file a command. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_private.h"

#define TABLES_HELP "TABLE is KEYSPACE or KEYSPACE.TABLE; none means all."

const struct cli_command cli_commands[] = {
    {"cluster",
     "create|start|stop|status|add|remove|kill|pause|resume|destroy [NODE …] [-n N] [--dir DIR] "
     "[--dc DC:N,…] [--rf N]",
     "a development cluster on 127.0.0.1, .2, .3 …",
     "  create         make a cluster of -n nodes (default 3) and start it\n"
     "  start [NODE]   start those that are down, and wait until all are up\n"
     "  stop [NODE]    drain and end them\n"
     "  status         each node's process, and what the cluster says of it\n"
     "  add [--dc DC]  one more node (refused while tables hold rows)\n"
     "  remove NODE    a node that never became a member: members cannot leave yet\n"
     "  kill NODE      SIGKILL\n"
     "  pause NODE, resume NODE\n"
     "                 SIGSTOP, SIGCONT\n"
     "  destroy        end it and remove DIR, if create made it\n"
     "NODE is node2, 2 or 127.0.0.2; several may be named.\n"
     "  --dir DIR          default ./ringlet-cluster\n"
     "  --dc dc1:2,dc2:1   nodes by data centre, each in a rack of its own\n"
     "  --rf N             replication factor of the statement that create shows at its end "
     "(default 3)\n"
     "The nodes' port is that of ringlet --port (default 7000). All of it may be repeated without "
     "harm.\n",
     cli_cluster},
    {"compact", "[TABLE …]", "merge all SSTables of a table into one (nodetool compact)",
     TABLES_HELP "\nBlocks until it is done; progress goes to stderr.\n", cli_nodetool},
    {"compactionstats", "", "compactions and index builds under way, and their progress", "",
     cli_nodetool},
    {"describecluster", "",
     "the cluster: name, snitch, versions of the schema, data centres, keyspaces", "",
     cli_nodetool},
    {"drain", "", "refuse clients from now on, end what is under way, flush (nodetool drain)",
     "The process stays until it is ended (SIGTERM drains, too).\n", cli_nodetool},
    {"flush", "[TABLE …]", "write memtables to SSTables now (nodetool flush)", TABLES_HELP "\n",
     cli_nodetool},
    {"getendpoints", "KEYSPACE TABLE KEY", "the replicas of a partition (nodetool getendpoints)",
     "KEY as in CQL, without quotes; of several columns a:b (a colon inside: \\:), or an argument "
     "each.\n",
     cli_nodetool},
    {"gossipinfo", "", "what gossip has told this node of each member", "", cli_nodetool},
    {"help", "[COMMAND]", "explain the program, or one command", "", cli_help},
    {"info", "", "the node: identity, uptime, load, memory, caches (nodetool info)", "",
     cli_nodetool},
    {"listpendinghints", "", "hints that this node keeps for others", "", cli_nodetool},
    {"netstats", "", "messages to and from other nodes, read repairs", "", cli_nodetool},
    {"node",
     "[--config FILE] [--data DIR] [--listen HOST:PORT] [--cql HOST:PORT] [--seeds HOST:PORT,…] "
     "[--dc NAME] [--rack NAME] [--option=value …]",
     "run a node in the foreground",
     "Serves HTTP on 127.0.0.1:7000: /healthz, /readyz, /metrics, /api/v1/….\n"
     "Options are cassandra.yaml's, by its names: --commitlog_sync=batch, "
     "--memtable_heap_space=32MiB.\n"
     "SIGTERM and Ctrl-C drain: memtables are flushed, then the node ends.\n"
     "  --config FILE       YAML with the same option names\n"
     "  --data DIR          data directory (default: ./ringlet-data)\n"
     "  --listen HOST:PORT  default 127.0.0.1:7000; beyond loopback it needs cluster_secret_file "
     "or mutual TLS\n"
     "  --cql HOST:PORT     where CQL clients are served, default port 9042; beyond loopback it "
     "needs authenticator=PasswordAuthenticator\n"
     "  --seeds LIST        members to join by; without, or with its own address first, it may "
     "form the cluster\n"
     "  --dc NAME, --rack NAME\n"
     "                      where it stands (default datacenter1, rack1)\n",
     cli_node},
    {"pausehandoff", "", "deliver no hints for now", "", cli_nodetool},
    {"proxyhistograms", "", "latencies of the requests that this node coordinates", "",
     cli_nodetool},
    {"resumehandoff", "", "deliver hints again", "", cli_nodetool},
    {"ring", "[KEYSPACE]", "every token and its owner",
     "Owns counts replicas of KEYSPACE; without it, of all keyspaces if they are replicated "
     "alike.\n",
     cli_nodetool},
    {"shell", "[HOST [PORT]] [-e CQL] [-f FILE] [-u USER] [-p PASSWORD] [-k KEYSPACE] …",
     "a CQL shell with cqlsh's habits",
     "Speaks the native protocol (3 to 5; default 127.0.0.1 9042, or $CQLSH_HOST $CQLSH_PORT), to "
     "Apache Cassandra as well. HELP inside lists\n"
     "its commands: DESCRIBE, CONSISTENCY, TRACING, PAGING, EXPAND, SOURCE, CAPTURE, COPY … TO and "
     "FROM CSV, …\n"
     "  -e, --execute CQL        run statements and end; -f, --file FILE: those of a file. Exit "
     "code 2 when one failed\n"
     "  -u, --username USER      without -p the password is asked for: no other user sees it\n"
     "  -p, --password PASSWORD\n"
     "  -k, --keyspace KEYSPACE  use it from the start\n"
     "  --ssl, --cacert FILE     TLS, trusting the system's authorities or those in FILE (PEM); "
     "--cert FILE --key FILE: our own certificate\n"
     "  --request-timeout S      seconds to wait for an answer (10); --connect-timeout S (5)\n"
     "  --protocol-version N     3, 4 or 5 (default: the newest that the node speaks); "
     "--cqlversion 3.x.y: of the language; --encoding utf-8\n"
     "  -C, --color, --no-color  colours (default: on a terminal); -t, --tty: as on a terminal\n"
     "  --disable-history        keep no file of statements (~/.local/state/ringlet/shell_history, "
     "0600; never those with passwords)\n"
     "Ctrl-C stops a statement, Tab completes, Ctrl-R searches the history.\n",
     cli_shell},
    {"sstable", "dump|metadata|verify PATH",
     "read SSTables offline: PATH is a data directory or an .sst file",
     "  dump      every partition, row and tombstone as JSON, one object a line\n"
     "  metadata  what the file says of itself: bounds, counts, timestamps, host, repair state\n"
     "  verify    read every byte, check every checksum, order and statistic\n"
     "A directory that a running node owns can be read too: SSTables never change.\n",
     cli_sstable},
    {"status", "[KEYSPACE]",
     "the members: up or down, load, tokens, what they own (nodetool status)",
     "Owns counts replicas of KEYSPACE; without it, of all keyspaces if they are replicated "
     "alike.\n",
     cli_nodetool},
    {"statushandoff", "", "are hints delivered?", "", cli_nodetool},
    {"stress",
     "write|read|mixed|user [n=N] [duration=TIME] [cl=LEVEL] [-rate threads=N fixed=N/s …] [-node "
     "ADDRESS,…] …",
     "put load on a node or a cluster, and measure (cassandra-stress)",
     "Speaks the native protocol (3 to 5), so it drives Apache Cassandra and ScyllaDB as well. "
     "Words are cassandra-stress's:\n"
     "  write, read, mixed   keyspace1.standard1: a blob key of 10 bytes, five blobs of 34; what "
     "is read is compared with what was written\n"
     "  user                 a table and statements of yours: table=KEYSPACE.TABLE [schema=FILE] "
     "[rows=N] ['query:NAME=CQL' …] 'ops(insert=1,NAME=2)'\n"
     "                       insert and read (the partition) are there by themselves; markers are "
     "filled by the columns they are for\n"
     "  n=N, duration=TIME   how much (default n=1m); N may be 10k, 5m; TIME 30s, 5m\n"
     "  cl=LEVEL, serial-cl=LEVEL, truncate=never|once, check=true|false, no-warmup, warmup=N, "
     "'ratio(write=1,read=3)' of mixed\n"
     "  -rate threads=50     so many requests in flight, over connections=8 connections, in "
     "loops=1 threads\n"
     "        fixed=1000/s   so many a second; latencies count from when each was due. "
     "throttle=1000/s: from when it was sent\n"
     "  -node ADDRESS,…      default 127.0.0.1 (or --host); -port native=9042. The others of their "
     "data centre are found by these\n"
     "        whitelist      no others. datacenter=NAME: its nodes. A request goes to a replica, "
     "by "
     "its partition's token (from protocol 4)\n"
     "  -mode user=NAME password-file=FILE protocolVersion=4 compression=lz4; TLS: ringlet --ssl "
     "(or --cacert FILE) stress …\n"
     "  -schema replication-factor=3, or \"replication='class': 'NetworkTopologyStrategy', 'dc1': "
     "3\"; keyspace=NAME\n"
     "  -col n=5 size=34 key-size=10\n"
     "  -pop seq=1..1m, or 'dist=uniform(1..1m)', 'dist=gaussian(1..1m)'; seed=N (default: write "
     "in sequence, read gaussian, over n)\n"
     "  -log hdrfile=FILE interval=1s quiet     the latencies' distribution, as HdrHistogram's "
     "plotter takes it\n"
     "  -errors ignore       exit code 0 with errors, and no end without any node\n"
     "  -pid PROCESS,…       of the servers on this machine: their processor time per operation\n"
     "A connection that is lost, or has not answered for 12 s, is made again; what was on its way "
     "counts as errors. Without any node the run\n"
     "ends after 30 s. Exit code 1 when an operation failed, or a row was missing or wrong.\n",
     cli_stress},
    {"tablestats", "[TABLE …]", "sizes and counts by table (nodetool tablestats)", TABLES_HELP "\n",
     cli_nodetool},
    {"tpstats", "", "work by pool: active, pending, completed; messages dropped", "", cli_nodetool},
    {"truncatehints", "[ADDRESS …]", "forget hints: for these nodes, or all",
     "ADDRESS is 127.0.0.2, 127.0.0.2:7000 or a host id.\n", cli_nodetool},
    {"version", "", "the program's version", "", cli_version},
};
const size_t cli_command_count = BASE_COUNT(cli_commands);

int cli_fail(const struct base_err *err)
{
    fprintf(stderr, "ringlet: %s\n", err->text[0] ? err->text : base_err_words(err->code));
    return CLI_FAILED;
}

int cli_usage(const struct cli_command *command, const char *fmt, ...)
{
    va_list ap;
    fputs("ringlet: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (command)
        fprintf(stderr, " (usage: ringlet %s %s)\n", command->name, command->arguments);
    else
        fputs(" (try: ringlet help)\n", stderr);
    return CLI_USAGE;
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

static int parse_port(const char *text, unsigned short *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (!*text || *end || value == 0 || value > 65535 || *text == '-')
        return cli_usage(NULL, "--port takes a number from 1 to 65535, not \"%s\"", text);
    *port = (unsigned short)value;
    return CLI_OK;
}

/* A descriptor that the caller closed would be the next socket's or file's, and what is printed
 * would go there: it is opened so that it fails instead. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(CLI_FAILED);
}

/* What was printed must have gone somewhere: a full disk is a failure. */
static int finish(int code)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    if (!failed && !ferror(stdout))
        return code;
    fprintf(stderr, "ringlet: standard output: %s\n",
            failed && errno ? strerror(errno) : "not all could be written");
    return code == CLI_OK ? CLI_FAILED : code;
}

/* The command that the rest of the line names, with its own words. */
static int run_command(struct cli_options *options, int argc, char **argv)
{
    if (argc == 0) {
        cli_help(options, NULL, 0, NULL);
        return CLI_USAGE;
    }
    const struct cli_command *command = find_command(argv[0]);
    if (!command)
        return cli_usage(NULL, "there is no command \"%s\"", argv[0]);
    argc--;
    argv++;
    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        char *name[] = {(char *)(uintptr_t)command->name};
        return cli_help(options, command, 1, name);
    }
    if (argc > 0 &&
        strcmp(argv[0], "--json") == 0) { /* also behind the command, as people type it */
        options->json = true;
        argc--;
        argv++;
    }
    return command->run(options, command, argc, argv);
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"secret-file", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'H'},
        {"version", no_argument, NULL, 'V'},
        {"ssl", no_argument, NULL, 'S'},
        {"cacert", required_argument, NULL, 'A'},
        {"cert", required_argument, NULL, 'C'},
        {"key", required_argument, NULL, 'K'},
        {NULL, 0, NULL, 0},
    };
    struct cli_options options = {
        .host = "127.0.0.1", .port = 7000, .secret_file = getenv("RINGLET_SECRET_FILE")};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+h:p:", long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            options.host = optarg;
            break;
        case 'p':
            if (parse_port(optarg, &options.port) != CLI_OK)
                return CLI_USAGE;
            break;
        case 'j':
            options.json = true;
            break;
        case 's':
            options.secret_file = optarg;
            break;
        case 'S':
            options.ssl = true;
            break;
        case 'A':
            options.cacert = optarg;
            break;
        case 'C':
            options.cert = optarg;
            break;
        case 'K':
            options.key = optarg;
            break;
        case 'H':
            return cli_help(&options, NULL, 0, NULL);
        case 'V':
            return cli_version(&options, NULL, 0, NULL);
        default:
            return cli_usage(NULL, "unknown or incomplete option %s", argv[optind - 1]);
        }
    }
    options.ssl = options.ssl || options.cacert || options.cert;
    if (options.key && !options.cert)
        return cli_usage(NULL, "--key is of no use without --cert");
    return run_command(&options, argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    return finish(run(argc, argv));
}
