/* Options: cassandra.yaml's names where they do the same thing, one table for parsing, printing and
 * comparing. Values carry units ("64MiB", "10ms", "64MiB/s"), as in Cassandra since 4.1.
 *
 * To add one: a field in struct nodei_settings, a row in the table, a line in docs/reference. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "net/net.h"
#include "node/node_private.h"
#include "ring/ring.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define MS 1000000ull
#define SECOND (1000 * MS)

enum kind { TEXT, NUMBER, SIZE, RATE, DURATION, WORD };

struct option {
    const char *name;
    const char *alias; /* a plainer name, taken as well */
    enum kind kind;
    size_t offset;
    size_t size;              /* TEXT: of the field */
    uint64_t min, max;        /* inclusive */
    const char *value;        /* the default */
    const char *const *words; /* WORD: the value's number is the place */
};

static const char *const sync_words[] = {
    [LSM_SYNC_PERIODIC] = "periodic", [LSM_SYNC_BATCH] = "batch", NULL};

/* Odd: passwords. As people write them, and as cassandra.yaml may. */
static const char *const authenticator_words[] = {"AllowAllAuthenticator", "PasswordAuthenticator",
                                                  "org.apache.cassandra.auth.AllowAllAuthenticator",
                                                  "org.apache.cassandra.auth.PasswordAuthenticator",
                                                  NULL};
static const char *const bool_words[] = {"false", "true", NULL};
static const char *const snitch_words[] = {"GossipingPropertyFileSnitch", "SimpleSnitch", NULL};
static const char *const seed_provider_words[] = {"org.apache.cassandra.locator.SimpleSeedProvider",
                                                  "SimpleSeedProvider", NULL};
static const char *const compression_words[] = {"none", "dc", "all", NULL};
static const char *const encryption_words[] = {"none", "all", NULL};

#define TEXT_FIELD(name)                                                                           \
    offsetof(struct nodei_settings, name), sizeof(((struct nodei_settings *)0)->name)
#define FIELD(name) offsetof(struct nodei_settings, name), 0

static const struct option options[] = {
    {"authenticator", "authenticator.class_name", WORD, FIELD(authenticator), 0, 3,
     "AllowAllAuthenticator", authenticator_words},
    {"batch_size_fail_threshold", NULL, SIZE, FIELD(batch_size_fail), 1, 1 * GIB, "50KiB", NULL},
    {"batch_size_warn_threshold", NULL, SIZE, FIELD(batch_size_warn), 1, 1 * GIB, "5KiB", NULL},
    {"broadcast_address", NULL, TEXT, TEXT_FIELD(broadcast_address), 0, 0, "", NULL},
    {"broadcast_rpc_address", NULL, TEXT, TEXT_FIELD(broadcast_rpc_address), 0, 0, "", NULL},
    {"cas_contention_timeout", NULL, DURATION, FIELD(cas_contention_timeout_ns), 10 * MS,
     3600 * SECOND, "1800ms", NULL},
    {"client_encryption_options.ca", NULL, TEXT, TEXT_FIELD(client_ca), 0, 0, "", NULL},
    {"client_encryption_options.certificate", NULL, TEXT, TEXT_FIELD(client_certificate), 0, 0, "",
     NULL},
    {"client_encryption_options.enabled", NULL, WORD, FIELD(client_encryption), 0, 1, "false",
     bool_words},
    {"client_encryption_options.key", NULL, TEXT, TEXT_FIELD(client_key), 0, 0, "", NULL},
    {"client_encryption_options.optional", NULL, WORD, FIELD(client_encryption_optional), 0, 1,
     "false", bool_words},
    {"client_encryption_options.require_client_auth", NULL, WORD, FIELD(client_auth), 0, 1, "false",
     bool_words},
    {"cluster_secret_file", NULL, TEXT, TEXT_FIELD(cluster_secret_file), 0, 0, "", NULL},
    {"cluster_name", NULL, TEXT, TEXT_FIELD(cluster_name), 0, 0, "Test Cluster", NULL},
    {"commitlog_segment_size", NULL, SIZE, FIELD(commitlog_segment_size), 1 * MIB, 1 * GIB, "32MiB",
     NULL},
    {"commitlog_sync", NULL, WORD, FIELD(commitlog_sync), 0, 1, "periodic", sync_words},
    {"commitlog_sync_period", NULL, DURATION, FIELD(commitlog_sync_period_ns), 1 * MS,
     3600 * SECOND, "10ms", NULL},
    {"commitlog_total_space", NULL, SIZE, FIELD(commitlog_total_space), 8 * MIB, 1 * TIB, "256MiB",
     NULL},
    {"compaction_throughput", NULL, RATE, FIELD(compaction_throughput), 0, 1 * TIB, "64MiB/s",
     NULL},
    {"dc", NULL, TEXT, TEXT_FIELD(dc), 0, 0, "datacenter1", NULL},
    {"endpoint_snitch", NULL, WORD, FIELD(snitch), 0, 1, "GossipingPropertyFileSnitch",
     snitch_words},
    {"file_cache_size", NULL, SIZE, FIELD(file_cache_size), 1 * MIB, 16 * TIB, "512MiB", NULL},
    {"hinted_handoff_enabled", NULL, WORD, FIELD(hinted_handoff_enabled), 0, 1, "true", bool_words},
    {"hinted_handoff_throttle", NULL, SIZE, FIELD(hint_throttle), 1 * KIB, 1 * TIB, "1MiB", NULL},
    {"internode_application_send_queue_capacity", NULL, SIZE, FIELD(internode_queue_size), 1 * MIB,
     1 * GIB, "16MiB", NULL},
    {"internode_compression", NULL, WORD, FIELD(internode_compression), 0, 2, "dc",
     compression_words},
    {"listen_address", NULL, TEXT, TEXT_FIELD(listen_address), 0, 0, "127.0.0.1", NULL},
    {"max_hint_window", NULL, DURATION, FIELD(max_hint_window_ns), 0, 30 * 86400 * SECOND, "3h",
     NULL},
    {"max_hints_size", NULL, SIZE, FIELD(hints_size_max), 1 * MIB, 16 * TIB, "1GiB", NULL},
    {"memtable_heap_space", "memtable_space", SIZE, FIELD(memtable_space), 1 * MIB, 1 * TIB,
     "64MiB", NULL},
    {"metadata_log_entries", NULL, NUMBER, FIELD(metadata_log_entries), 16, 1000000, "1000", NULL},
    {"metadata_request_timeout", NULL, DURATION, FIELD(metadata_timeout_ns), 100 * MS,
     3600 * SECOND, "10s", NULL},
    {"native_transport_idle_timeout", NULL, DURATION, FIELD(native_idle_timeout_ns), 0,
     365 * 86400 * SECOND, "0ms", NULL},
    {"native_transport_max_concurrent_connections", NULL, NUMBER, FIELD(native_connections_max), 0,
     1000000, "0", NULL},
    {"native_transport_max_concurrent_connections_per_ip", NULL, NUMBER,
     FIELD(native_connections_per_address_max), 0, 1000000, "0", NULL},
    {"native_transport_max_frame_size", NULL, SIZE, FIELD(native_frame_size_max), 64 * KIB,
     256 * MIB, "16MiB", NULL},
    {"native_transport_max_request_data_in_flight", NULL, SIZE,
     FIELD(native_transport_max_request_data), 1 * MIB, 1 * TIB, "64MiB", NULL},
    {"native_transport_max_request_data_in_flight_per_ip", NULL, SIZE,
     FIELD(native_request_data_per_address_max), 0, 1 * TIB, "0MiB", NULL},
    {"native_transport_max_response_data_in_flight", NULL, SIZE, FIELD(native_response_data_max),
     1 * MIB, 1 * TIB, "256MiB", NULL},
    {"native_transport_max_response_data_in_flight_per_ip", NULL, SIZE,
     FIELD(native_response_data_per_address_max), 0, 1 * TIB, "0MiB", NULL},
    {"native_transport_port", NULL, NUMBER, FIELD(native_transport_port), 0, 65535, "9042", NULL},
    {"num_tokens", NULL, NUMBER, FIELD(num_tokens), 1, RING_TOKENS_MAX, "16", NULL},
    {"phi_convict_threshold", NULL, NUMBER, FIELD(phi_convict_threshold), 5, 16, "8", NULL},
    {"prepared_statements_cache_size", NULL, SIZE, FIELD(prepared_statements_size), 64 * KIB,
     1 * TIB, "10MiB", NULL},
    {"rack", NULL, TEXT, TEXT_FIELD(rack), 0, 0, "rack1", NULL},
    {"range_request_timeout", NULL, DURATION, FIELD(range_request_timeout_ns), 10 * MS,
     3600 * SECOND, "10s", NULL},
    {"read_request_timeout", NULL, DURATION, FIELD(read_request_timeout_ns), 10 * MS, 3600 * SECOND,
     "5s", NULL},
    {"roles_validity", "credentials_validity", DURATION, FIELD(roles_validity_ns), 0, 3600 * SECOND,
     "2s", NULL},
    {"rpc_address", NULL, TEXT, TEXT_FIELD(rpc_address), 0, 0, "", NULL},
    {"seed_provider.class_name", NULL, TEXT, TEXT_FIELD(seed_provider), 0, 0, "SimpleSeedProvider",
     seed_provider_words},
    {"seeds", "seed_provider.parameters.seeds", TEXT, TEXT_FIELD(seeds), 0, 0, "", NULL},
    {"server_encryption_options.ca", NULL, TEXT, TEXT_FIELD(internode_ca), 0, 0, "", NULL},
    {"server_encryption_options.certificate", NULL, TEXT, TEXT_FIELD(internode_certificate), 0, 0,
     "", NULL},
    {"server_encryption_options.internode_encryption", NULL, WORD, FIELD(internode_encryption), 0,
     1, "none", encryption_words},
    {"server_encryption_options.key", NULL, TEXT, TEXT_FIELD(internode_key), 0, 0, "", NULL},
    {"server_encryption_options.require_client_auth", NULL, WORD, FIELD(internode_client_auth), 0,
     1, "false", bool_words},
    {"start_native_transport", NULL, WORD, FIELD(start_native_transport), 0, 1, "true", bool_words},
    {"storage_port", NULL, NUMBER, FIELD(storage_port), 1, 65535, "7000", NULL},
    {"transaction_size_max", NULL, SIZE, FIELD(transaction_size_max), 64 * KIB, 1 * GIB, "64MiB",
     NULL},
    {"unlogged_batch_across_partitions_warn_threshold", NULL, NUMBER,
     FIELD(unlogged_batch_partitions_warn), 0, UINT32_MAX, "10", NULL},
    {"write_request_timeout", NULL, DURATION, FIELD(write_request_timeout_ns), 10 * MS,
     3600 * SECOND, "10s", NULL},
};

/* Fields. */

static uint64_t number_of(const struct nodei_settings *settings, const struct option *o)
{
    uint64_t n;
    memcpy(&n, (const char *)settings + o->offset, sizeof n);
    return n;
}

static void number_put(struct nodei_settings *settings, const struct option *o, uint64_t n)
{
    memcpy((char *)settings + o->offset, &n, sizeof n);
}

/* Units. */

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit size_units[] = {{"TiB", TIB}, {"GiB", GIB}, {"MiB", MIB},
                                         {"KiB", KIB}, {"B", 1},     {NULL, 0}};
static const struct unit duration_units[] = {
    {"d", 86400 * SECOND},
    {"h", 3600 * SECOND},
    {"m", 60 * SECOND},
    {"s", SECOND},
    {"ms", MS},
    {"us", 1000},
    {"ns", 1},
    {NULL, 0},
};

/* A whole number and a unit; `suffix` ("/s") must follow. */
static bool parse_units(const char *text, const struct unit *units, const char *suffix,
                        uint64_t *out)
{
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return false;
    if (at == text)
        return false;
    if (n == 0 && *at == 0) {
        *out = 0; /* nothing is nothing in every unit; the range says whether it may be */
        return true;
    }
    while (*at == ' ')
        at++;
    for (; units->name; units++) {
        size_t len = strlen(units->name);
        if (strncasecmp(at, units->name, len) == 0 && strcmp(at + len, suffix) == 0)
            return !__builtin_mul_overflow(n, units->factor, out);
    }
    return false;
}

/* The shortest exact spelling. */
static void print_units(uint64_t n, const struct unit *units, const char *suffix, char *text,
                        size_t size)
{
    const struct unit *best = units;
    while (best[1].name && (n == 0 ? strcmp(best->name, "MiB") != 0 && strcmp(best->name, "ms") != 0
                                   : n % best->factor != 0))
        best++;
    snprintf(text, size, "%" PRIu64 "%s%s", n / best->factor, best->name, suffix);
}

static void print_number(const struct option *o, uint64_t n, char *text, size_t size)
{
    switch (o->kind) {
    case SIZE:
        print_units(n, size_units, "", text, size);
        break;
    case RATE:
        print_units(n, size_units, "/s", text, size);
        break;
    case DURATION:
        print_units(n, duration_units, "", text, size);
        break;
    case WORD:
        snprintf(text, size, "%s", o->words[n]);
        break;
    case NUMBER:
    case TEXT:
        snprintf(text, size, "%" PRIu64, n);
        break;
    }
}

static void print_value(const struct nodei_settings *settings, const struct option *o, char *text,
                        size_t size)
{
    if (o->kind == TEXT)
        snprintf(text, size, "%s", (const char *)settings + o->offset);
    else
        print_number(o, number_of(settings, o), text, size);
}

/* Setting. */

static int set_text(struct nodei_settings *settings, const struct option *o, const char *value,
                    struct base_err *err)
{
    size_t len = strlen(value);
    if (len == 0 && o->value[0]) /* what has a default has no empty value */
        return base_err_set(err, BASE_E_CONFIG, "%s is empty", o->name);
    if (o->words && strcmp(value, o->words[0]) != 0 && strcmp(value, o->words[1]) != 0)
        return base_err_set(err, BASE_E_CONFIG, "%s: \"%s\" is none of: %s, %s", o->name, value,
                            o->words[0], o->words[1]);
    if (len >= o->size)
        return base_err_set(err, BASE_E_CONFIG, "%s is longer than %zu bytes", o->name,
                            o->size - 1);
    memcpy((char *)settings + o->offset, value, len + 1);
    return BASE_OK;
}

static int set_word(struct nodei_settings *settings, const struct option *o, const char *value,
                    struct base_err *err)
{
    char all[256] = "";
    for (uint64_t i = 0; o->words[i]; i++) {
        if (strcasecmp(value, o->words[i]) == 0) {
            number_put(settings, o, i);
            return BASE_OK;
        }
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", o->words[i]);
    }
    return base_err_set(err, BASE_E_CONFIG, "%s: \"%s\" is none of: %s", o->name, value, all);
}

static int set_number(struct nodei_settings *settings, const struct option *o, const char *value,
                      struct base_err *err)
{
    static const struct unit none[] = {{"", 1}, {NULL, 0}};
    static const char *const shapes[] = {
        [NUMBER] = "a whole number",
        [SIZE] = "a whole number with B, KiB, MiB, GiB or TiB, like 64MiB",
        [RATE] = "a whole number with KiB/s, MiB/s or GiB/s, like 64MiB/s (0: no limit)",
        [DURATION] = "a whole number with us, ms, s, m, h or d, like 10ms",
    };
    const struct unit *units = o->kind == NUMBER     ? none
                               : o->kind == DURATION ? duration_units
                                                     : size_units;
    uint64_t n;
    if (!parse_units(value, units, o->kind == RATE ? "/s" : "", &n))
        return base_err_set(err, BASE_E_CONFIG, "%s: \"%s\" is not %s", o->name, value,
                            shapes[o->kind]);
    if (n < o->min || n > o->max) {
        char min[32], max[32];
        print_number(o, o->min, min, sizeof min);
        print_number(o, o->max, max, sizeof max);
        return base_err_set(err, BASE_E_CONFIG, "%s: \"%s\" is out of range: from %s to %s",
                            o->name, value, min, max);
    }
    number_put(settings, o, n);
    return BASE_OK;
}

/* Levenshtein's distance; names longer than the table's longest are far from everything. */
static size_t distance(const char *a, const char *b)
{
    enum { LEN_MAX = 40 };
    size_t row[LEN_MAX + 1], la = strlen(a), lb = strlen(b);
    if (la > LEN_MAX || lb > LEN_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < gap ? change : gap;
        }
    }
    return row[lb];
}

static int unknown(const char *name, struct base_err *err)
{
    const char *nearest = NULL;
    size_t best = strlen(name) / 2 + 1;
    for (size_t i = 0; i < BASE_COUNT(options); i++) {
        const char *names[2] = {options[i].name, options[i].alias};
        for (int k = 0; k < 2 && names[k]; k++) {
            size_t d = distance(name, names[k]);
            if (d < best) {
                best = d;
                nearest = names[k];
            }
        }
    }
    if (nearest)
        return base_err_set(err, BASE_E_CONFIG, "there is no option \"%s\"; the nearest is %s",
                            name, nearest);
    return base_err_set(err, BASE_E_CONFIG, "there is no option \"%s\"", name);
}

/* HOST:PORT for listen_address and storage_port at once; who listens is a member of a cluster. Port
 * 0: any free one. */
static int set_listen(struct nodei_settings *settings, const char *value, struct base_err *err)
{
    uint16_t port = (uint16_t)settings->storage_port;
    char host[64];
    int rc = net_address_parse(value, host, &port, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, BASE_E_CONFIG, "listen");
    memcpy(settings->listen_address, host, sizeof settings->listen_address);
    settings->storage_port = port;
    settings->listens = true;
    return BASE_OK;
}

/* HOST:PORT for rpc_address and native_transport_port at once. Port 0: any free one. */
static int set_cql(struct nodei_settings *settings, const char *value, struct base_err *err)
{
    uint16_t port = (uint16_t)settings->native_transport_port;
    char host[64];
    int rc = net_address_parse(value, host, &port, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, BASE_E_CONFIG, "cql");
    memcpy(settings->rpc_address, host, sizeof settings->rpc_address);
    settings->native_transport_port = port;
    settings->serves_cql = true;
    return BASE_OK;
}

int nodei_settings_set(struct nodei_settings *settings, const char *name, const char *value,
                       struct base_err *err)
{
    BASE_ASSERT(name && value);
    if (strcmp(name, "cql") == 0)
        return set_cql(settings, value, err);
    if (strcmp(name, "listen") == 0)
        return set_listen(settings, value, err);
    for (size_t i = 0; i < BASE_COUNT(options); i++) {
        const struct option *o = &options[i];
        if (strcmp(name, o->name) != 0 && !(o->alias && strcmp(name, o->alias) == 0))
            continue;
        int rc = o->kind == TEXT   ? set_text(settings, o, value, err)
                 : o->kind == WORD ? set_word(settings, o, value, err)
                                   : set_number(settings, o, value, err);
        if (rc == BASE_OK && strcmp(o->name, "seeds") == 0)
            settings->listens = value[0] != 0;
        return rc;
    }
    return unknown(name, err);
}

void nodei_settings_init(struct nodei_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < BASE_COUNT(options); i++) {
        int rc = nodei_settings_set(settings, options[i].name, options[i].value, NULL);
        BASE_ASSERT(rc == BASE_OK); /* the table's own defaults */
    }
    /* Cassandra's file_cache_size is the smaller of 512 MiB and a part of its heap; a guest has no
     * heap of its own, so the part is an eighth of the machine's memory. It is taken only as data
     * are read. */
    long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
    uint64_t eighth =
        pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size / 8 : 64 * MIB;
    if (settings->file_cache_size > eighth)
        settings->file_cache_size = eighth > 8 * MIB ? eighth / MIB * MIB : 8 * MIB;
}

void nodei_settings_finish(struct nodei_settings *settings)
{
    const char *listen = settings->listen_address;
    if (!settings->rpc_address[0])
        snprintf(settings->rpc_address, sizeof settings->rpc_address, "%s",
                 net_address_is_loopback(listen) ? listen : "127.0.0.1");
}

int nodei_settings_agree(const struct nodei_settings *open, const struct nodei_settings *wanted,
                         struct base_err *err)
{
    for (size_t i = 0; i < BASE_COUNT(options); i++) {
        char a[128], b[128];
        print_value(open, &options[i], a, sizeof a);
        print_value(wanted, &options[i], b, sizeof b);
        if (strcmp(a, b) != 0)
            return base_err_set(err, BASE_E_CONFIG,
                                "it is open already in this process with %s = %s, not %s",
                                options[i].name, a, b);
    }
    return BASE_OK;
}

int nodei_settings_each(const struct nodei_settings *settings,
                        int (*each)(void *, const char *, const char *), void *ctx)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < BASE_COUNT(options) && rc == BASE_OK; i++) {
        char value[128];
        print_value(settings, &options[i], value, sizeof value);
        rc = each(ctx, options[i].name, value);
    }
    return rc;
}
