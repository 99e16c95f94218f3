/* The command line of `ringlet stress`: cassandra-stress's words (n=, cl=, -rate, -pop, -node …).
 *
 * A word with a dash begins a group; NAME=VALUE belongs to the group before it, or stands for
 * itself. One table says which there are. */
#include <ctype.h>

#include "cli/stress_private.h"

struct place {
    struct cli_stress_options *o;
    const struct cli_command *command;
};

static int bad(struct place *p, const char *name, const char *value, const char *wants)
{
    return cli_usage(p->command, "%s takes %s, not \"%s\"", name, wants, value);
}

/* 12, 10k, 5m, 1.5M, 2b */
static bool number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || !(*out >= 0))
        return false;
    switch (tolower((unsigned char)*end)) {
    case 'k':
        *out *= 1e3;
        break;
    case 'm':
        *out *= 1e6;
        break;
    case 'b':
        *out *= 1e9;
        break;
    default:
        return *end == 0;
    }
    return end[1] == 0;
}

static bool integer(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    double value;
    if (!number(text, &value) || value < (double)min || value > (double)max)
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool count_u(const char *text, uint64_t min, uint64_t max, unsigned *out)
{
    uint64_t value;
    if (!integer(text, min, max, &value))
        return false;
    *out = (unsigned)value;
    return true;
}

/* 30s, 5m, 1h, 90 */
static bool duration(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text || !(*out > 0))
        return false;
    if (strcmp(end, "m") == 0)
        *out *= 60;
    else if (strcmp(end, "h") == 0)
        *out *= 3600;
    else if (*end && strcmp(end, "s") != 0)
        return false;
    return true;
}

/* FROM..TO */
static bool range(const char *text, struct cli_stress_options *o)
{
    const char *dots = strstr(text, "..");
    char first[32];
    if (!dots || (size_t)(dots - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = 0;
    return integer(first, 1, 1u << 31, &o->first) &&
           integer(dots + 2, o->first, 1ull << 52, &o->last);
}

/* A copy that lives as long as the options: words that are taken apart. */
static char *keep(struct cli_stress_options *o, const char *text, size_t len)
{
    char *copy = base_arena_strdup(&o->arena, base_slice(text, len));
    BASE_ASSERT(copy);
    return copy;
}

/* One setting each. */

static int set_n(struct place *p, const char *v)
{
    return integer(v, 1, 1ull << 52, &p->o->count) ? CLI_OK
                                                   : bad(p, "n=", v, "a number of operations");
}
static int set_duration(struct place *p, const char *v)
{
    return duration(v, &p->o->duration_s) ? CLI_OK
                                          : bad(p, "duration=", v, "a time such as 30s or 5m");
}
static int set_cl(struct place *p, const char *v)
{
    p->o->consistency = node_consistency_parse(base_slice_str(v));
    return p->o->consistency >= 0 ? CLI_OK : bad(p, "cl=", v, "a consistency level");
}
static int set_serial_cl(struct place *p, const char *v)
{
    p->o->serial_consistency = node_consistency_parse(base_slice_str(v));
    return p->o->serial_consistency == NODE_CL_SERIAL ||
                   p->o->serial_consistency == NODE_CL_LOCAL_SERIAL
               ? CLI_OK
               : bad(p, "serial-cl=", v, "serial or local_serial");
}
static int set_no_warmup(struct place *p, const char *v)
{
    (void)v;
    p->o->no_warmup = true;
    return CLI_OK;
}
static int set_warmup(struct place *p, const char *v)
{
    return integer(v, 1, 1ull << 52, &p->o->warmup)
               ? CLI_OK
               : bad(p, "warmup=", v, "a number of operations");
}
static int set_truncate(struct place *p, const char *v)
{
    p->o->truncate = strcmp(v, "never") != 0;
    return strcmp(v, "never") == 0 || strcmp(v, "once") == 0 || strcmp(v, "always") == 0
               ? CLI_OK
               : bad(p, "truncate=", v, "never, once or always");
}
static int set_check(struct place *p, const char *v)
{
    p->o->check = strcmp(v, "true") == 0;
    return p->o->check || strcmp(v, "false") == 0 ? CLI_OK : bad(p, "check=", v, "true or false");
}
static int set_table(struct place *p, const char *v)
{
    const char *dot = strchr(v, '.');
    if (!dot || dot == v || !dot[1] || strpbrk(v, "'\""))
        return bad(p, "table=", v, "KEYSPACE.TABLE");
    p->o->keyspace = keep(p->o, v, (size_t)(dot - v));
    p->o->table = dot + 1;
    return CLI_OK;
}
static int set_schema_file(struct place *p, const char *v)
{
    p->o->schema_file = v;
    return CLI_OK;
}
static int set_rows(struct place *p, const char *v)
{
    return integer(v, 1, 1u << 31, &p->o->rows)
               ? CLI_OK
               : bad(p, "rows=", v, "a number of rows a partition");
}
static int set_threads(struct place *p, const char *v)
{
    return count_u(v, 1, CLI_STRESS_IN_FLIGHT_MAX, &p->o->threads)
               ? CLI_OK
               : bad(p, "threads=", v, "how many requests are in flight");
}
static int set_connections(struct place *p, const char *v)
{
    return count_u(v, 1, 20000, &p->o->connections)
               ? CLI_OK
               : bad(p, "connections=", v, "a number of connections");
}
static int set_loops(struct place *p, const char *v)
{
    return count_u(v, 1, CLI_STRESS_LOOPS_MAX, &p->o->loops)
               ? CLI_OK
               : bad(p, "loops=", v, "a number of event loops");
}
static bool rate(const char *v, double *out)
{
    size_t len = strlen(v);
    char text[32];
    if (len >= sizeof text)
        return false;
    memcpy(text, v, len + 1);
    if (len > 2 && strcmp(text + len - 2, "/s") == 0)
        text[len - 2] = 0;
    return number(text, out) && *out > 0;
}
static int set_fixed(struct place *p, const char *v)
{
    p->o->fixed = true;
    return rate(v, &p->o->rate) ? CLI_OK : bad(p, "fixed=", v, "operations a second, as 1000/s");
}
static int set_throttle(struct place *p, const char *v)
{
    return rate(v, &p->o->rate) ? CLI_OK : bad(p, "throttle=", v, "operations a second, as 1000/s");
}
static int set_native(struct place *p, const char *v)
{
    uint64_t value;
    if (!integer(v, 1, 65535, &value))
        return bad(p, "native=", v, "a port");
    p->o->port = (uint16_t)value;
    return CLI_OK;
}
static int set_version(struct place *p, const char *v)
{
    unsigned value;
    if (!count_u(v, CQL_WIRE_VERSION_MIN, CQL_WIRE_VERSION_MAX, &value))
        return bad(p, "protocolVersion=", v, "3, 4 or 5");
    p->o->version = (int)value;
    return CLI_OK;
}
static int set_user(struct place *p, const char *v)
{
    p->o->user = v;
    return CLI_OK;
}
static int set_password(struct place *p, const char *v)
{
    p->o->password = v;
    return CLI_OK;
}
static int set_password_file(struct place *p, const char *v)
{
    char line[512];
    FILE *file = fopen(v, "re");
    if (!file || !fgets(line, sizeof line, file)) {
        if (file)
            fclose(file);
        return bad(p, "password-file=", v, "a file whose first line is the password");
    }
    fclose(file);
    p->o->password = keep(p->o, line, strcspn(line, "\r\n"));
    return CLI_OK;
}
static int set_compression(struct place *p, const char *v)
{
    p->o->lz4 = strcmp(v, "lz4") == 0;
    return p->o->lz4 || strcmp(v, "none") == 0 ? CLI_OK : bad(p, "compression=", v, "lz4 or none");
}
static int set_factor(struct place *p, const char *v)
{
    return count_u(v, 1, 100, &p->o->replication_factor)
               ? CLI_OK
               : bad(p, "replication-factor=", v, "a number of replicas");
}
static int set_replication(struct place *p, const char *v)
{
    p->o->replication = v;
    return CLI_OK;
}
static int set_keyspace(struct place *p, const char *v)
{
    p->o->keyspace = v;
    return *v && !strpbrk(v, "'\"") ? CLI_OK : bad(p, "keyspace=", v, "a keyspace");
}
static int set_columns(struct place *p, const char *v)
{
    return count_u(v, 1, 60, &p->o->columns) ? CLI_OK : bad(p, "n=", v, "a number of columns");
}
static int set_size(struct place *p, const char *v)
{
    return count_u(v, 1, 16 << 20, &p->o->value_size) ? CLI_OK
                                                      : bad(p, "size=", v, "a number of bytes");
}
static int set_key_size(struct place *p, const char *v)
{
    return count_u(v, 8, 65535, &p->o->key_size)
               ? CLI_OK
               : bad(p, "key-size=", v, "a number of bytes, at least 8");
}
static int set_seq(struct place *p, const char *v)
{
    p->o->population = CLI_STRESS_SEQUENCE;
    return range(v, p->o) ? CLI_OK : bad(p, "seq=", v, "FROM..TO");
}
static int set_dist(struct place *p, const char *v)
{
    size_t name = strcspn(v, "("), len = strlen(v);
    char inner[64];
    if (len < name + 2 || v[len - 1] != ')' || len - name - 2 >= sizeof inner)
        return bad(p, "dist=", v, "uniform(FROM..TO), gaussian(FROM..TO) or seq(FROM..TO)");
    memcpy(inner, v + name + 1, len - name - 2);
    inner[len - name - 2] = 0;
    if (strncasecmp(v, "uniform", name) == 0)
        p->o->population = CLI_STRESS_UNIFORM;
    else if (strncasecmp(v, "gaussian", name) == 0)
        p->o->population = CLI_STRESS_GAUSSIAN;
    else if (strncasecmp(v, "seq", name) == 0)
        p->o->population = CLI_STRESS_SEQUENCE;
    else
        name = 0;
    return name && range(inner, p->o)
               ? CLI_OK
               : bad(p, "dist=", v, "uniform(FROM..TO), gaussian(FROM..TO) or seq(FROM..TO)");
}
static int set_seed(struct place *p, const char *v)
{
    return integer(v, 0, 1ull << 52, &p->o->seed) ? CLI_OK : bad(p, "seed=", v, "a number");
}
static int set_hdrfile(struct place *p, const char *v)
{
    p->o->histogram_file = v;
    return CLI_OK;
}
static int set_interval(struct place *p, const char *v)
{
    return duration(v, &p->o->interval_s) ? CLI_OK : bad(p, "interval=", v, "seconds");
}
static int set_quiet(struct place *p, const char *v)
{
    (void)v;
    p->o->quiet = true;
    return CLI_OK;
}
static int set_ignore(struct place *p, const char *v)
{
    (void)v;
    p->o->ignore_errors = true;
    return CLI_OK;
}

static int set_datacenter(struct place *p, const char *v)
{
    p->o->datacenter = v;
    return *v ? CLI_OK : bad(p, "datacenter=", v, "a data centre's name");
}
static int set_whitelist(struct place *p, const char *v)
{
    (void)v;
    p->o->whitelist = true;
    return CLI_OK;
}

/* NAME of -node and -pid without "=": a list. */
static int set_nodes(struct place *p, const char *v)
{
    p->o->node_count = 0;
    p->o->nodes_given = true;
    for (const char *at = v; *at;) {
        size_t len = strcspn(at, ",");
        if (len && p->o->node_count < CLI_STRESS_NODES_MAX)
            p->o->nodes[p->o->node_count++] = keep(p->o, at, len);
        at += len + (at[len] == ',');
    }
    return p->o->node_count ? CLI_OK : bad(p, "-node", v, "ADDRESS,…");
}
static int set_pids(struct place *p, const char *v)
{
    for (const char *at = v; *at;) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (pid <= 0 || pid > 1 << 30 || end == at || (*end && *end != ',') ||
            p->o->pid_count == CLI_STRESS_PIDS_MAX)
            return bad(p, "-pid", v, "PROCESS,…");
        p->o->pids[p->o->pid_count++] = (int)pid;
        at = end + (*end == ',');
    }
    return CLI_OK;
}

/* "insert=1,simple=2" between the parentheses of ratio(…) and ops(…). */
static int set_weights(struct place *p, const char *v)
{
    size_t len = strlen(v);
    if (len == 0 || v[len - 1] != ')')
        return bad(p, "ratio(…)", v, "NAME=WEIGHT,…");
    for (const char *at = v; at < v + len - 1;) {
        size_t item = strcspn(at, ",)");
        const char *equals = memchr(at, '=', item);
        char text[16];
        struct cli_stress_weight *w = &p->o->weights[p->o->weight_count];
        if (!equals || equals == at || p->o->weight_count == CLI_STRESS_STATEMENTS_MAX ||
            (size_t)(at + item - equals) > sizeof text)
            return bad(p, "ratio(…)", v, "NAME=WEIGHT,…");
        memcpy(text, equals + 1, (size_t)(at + item - equals - 1));
        text[at + item - equals - 1] = 0;
        w->name = keep(p->o, at, (size_t)(equals - at));
        if (!count_u(text, 0, 1000000, &w->weight))
            return bad(p, "ratio(…)", v, "NAME=WEIGHT,…");
        p->o->weight_count++;
        at += item + 1;
    }
    return CLI_OK;
}

/* query:NAME=CQL */
static int set_query(struct place *p, const char *name, size_t name_len, const char *text)
{
    if (p->o->query_count == CLI_STRESS_STATEMENTS_MAX - 2 || name_len == 0)
        return cli_usage(p->command, "query:NAME=CQL, at most %d of them",
                         CLI_STRESS_STATEMENTS_MAX - 2);
    p->o->queries[p->o->query_count++] =
        (struct cli_stress_query){.name = keep(p->o, name, name_len), .text = text};
    return CLI_OK;
}

static const struct setting {
    const char *group, *name;
    bool is_word; /* no =VALUE */
    int (*set)(struct place *p, const char *value);
} settings[] = {
    {"", "n", false, set_n},
    {"", "duration", false, set_duration},
    {"", "cl", false, set_cl},
    {"", "serial-cl", false, set_serial_cl},
    {"", "no-warmup", true, set_no_warmup},
    {"", "warmup", false, set_warmup},
    {"", "truncate", false, set_truncate},
    {"", "check", false, set_check},
    {"", "table", false, set_table},
    {"", "schema", false, set_schema_file},
    {"", "rows", false, set_rows},
    {"-rate", "threads", false, set_threads},
    {"-rate", "connections", false, set_connections},
    {"-rate", "loops", false, set_loops},
    {"-rate", "fixed", false, set_fixed},
    {"-rate", "throttle", false, set_throttle},
    {"-node", "datacenter", false, set_datacenter},
    {"-node", "whitelist", true, set_whitelist},
    {"-port", "native", false, set_native},
    {"-mode", "protocolVersion", false, set_version},
    {"-mode", "user", false, set_user},
    {"-mode", "password", false, set_password},
    {"-mode", "password-file", false, set_password_file},
    {"-mode", "compression", false, set_compression},
    {"-schema", "replication-factor", false, set_factor},
    {"-schema", "replication", false, set_replication},
    {"-schema", "keyspace", false, set_keyspace},
    {"-col", "n", false, set_columns},
    {"-col", "size", false, set_size},
    {"-col", "key-size", false, set_key_size},
    {"-pop", "seq", false, set_seq},
    {"-pop", "dist", false, set_dist},
    {"-pop", "seed", false, set_seed},
    {"-log", "hdrfile", false, set_hdrfile},
    {"-log", "interval", false, set_interval},
    {"-log", "quiet", true, set_quiet},
    {"-errors", "ignore", true, set_ignore},
};

static const struct setting *find_setting(const char *group, const char *word, size_t len,
                                          bool is_word)
{
    for (size_t i = 0; i < BASE_COUNT(settings); i++) {
        const struct setting *s = &settings[i];
        if (strcmp(s->group, group) == 0 && strlen(s->name) == len &&
            strncasecmp(s->name, word, len) == 0 && s->is_word == is_word)
            return s;
    }
    return NULL;
}

static int take_word(struct place *p, const char **group, const char *word)
{
    const char *equals = strchr(word, '='), *paren = strchr(word, '(');
    if (strcmp(*group, "-pid") == 0) { /* of one word */
        *group = "";
        return set_pids(p, word);
    }
    if (strcmp(*group, "-node") == 0 && !equals && !p->o->nodes_given &&
        !find_setting(*group, word, strlen(word), true))
        return set_nodes(p, word);
    if (paren && (strncmp(word, "ratio(", 6) == 0 || strncmp(word, "ops(", 4) == 0))
        return set_weights(p, paren + 1);
    if (equals && strncmp(word, "query:", 6) == 0)
        return set_query(p, word + 6, (size_t)(equals - word - 6), equals + 1);
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct setting *s = find_setting(*group, word, len, !equals);
    if (!s) /* n=, cl= … may stand behind a group, too */
        s = find_setting("", word, len, !equals);
    if (!s)
        return cli_usage(p->command, "%s%snothing is called \"%s\" there", *group,
                         **group ? ": " : "", word);
    return s->set(p, equals ? equals + 1 : "");
}

static bool is_group(const char *word)
{
    if (strcmp(word, "-pid") == 0)
        return true;
    for (size_t i = 0; i < BASE_COUNT(settings); i++)
        if (*settings[i].group && strcmp(settings[i].group, word) == 0)
            return true;
    return false;
}

/* What follows from the rest, and what does not go together. */
static int settle(struct cli_stress_options *o, const struct cli_command *command)
{
    bool is_user = strcmp(o->command, "user") == 0;
    if (is_user && !o->table)
        return cli_usage(command, "user needs table=KEYSPACE.TABLE");
    if (!is_user && (o->query_count || o->schema_file || o->rows != 1))
        return cli_usage(command, "query:, schema= and rows= are for: ringlet stress user");
    if (!o->table)
        o->table = "standard1";
    if (!o->count && !(o->duration_s > 0))
        o->count = 1000000;
    if (!o->last)
        o->last = o->count ? (o->count > o->rows ? o->count / o->rows : 1) : 1000000;
    if (o->connections > o->threads)
        o->connections = o->threads;
    if (o->loops > o->connections)
        o->loops = o->connections;
    if (o->threads / o->connections > 32767)
        return cli_usage(command, "a connection has at most 32767 requests in flight");
    if (o->no_warmup)
        o->warmup = 0;
    else if (!o->warmup && o->count)
        o->warmup = o->count / 4 < 50000 ? o->count / 4 : 50000;
    else if (!o->warmup)
        o->warmup = 50000;
    return CLI_OK;
}

int cli_stress_parse(struct cli_stress_options *o, const struct cli_options *global,
                     const struct cli_command *command, int argc, char **argv)
{
    static const char *const commands[] = {"write", "read", "mixed", "user"};
    *o = (struct cli_stress_options){
        .consistency = NODE_CL_LOCAL_ONE,
        .serial_consistency = NODE_CL_SERIAL,
        .threads = 50,
        .connections = 8,
        .loops = 1,
        .nodes = {global->host},
        .node_count = 1,
        .port = 9042,
        .keyspace = "keyspace1",
        .replication_factor = 1,
        .columns = 5,
        .value_size = 34,
        .key_size = 10,
        .rows = 1,
        .first = 1,
        .interval_s = 1,
        .json = global->json,
        .ssl = global->ssl,
        .tls = {.certificate = global->cert, .key = global->key, .ca = global->cacert}};
    base_arena_init(&o->arena);
    for (size_t i = 0; argc > 0 && i < BASE_COUNT(commands); i++)
        if (strcmp(argv[0], commands[i]) == 0)
            o->command = commands[i];
    if (!o->command)
        return cli_usage(command, "say what to do: write, read, mixed or user");
    o->check = strcmp(o->command, "user") != 0;
    o->population = strcmp(o->command, "write") == 0 || strcmp(o->command, "user") == 0
                        ? CLI_STRESS_SEQUENCE
                        : CLI_STRESS_GAUSSIAN;
    struct place place = {o, command};
    const char *group = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (argv[i][0] == '-') {
            if (!is_group(argv[i]))
                return cli_usage(command, "unknown option %s", argv[i]);
            group = argv[i];
            o->nodes_given = false; /* one list behind each -node */
        } else {
            int rc = take_word(&place, &group, argv[i]);
            if (rc != CLI_OK)
                return rc;
        }
    }
    return settle(o, command);
}
