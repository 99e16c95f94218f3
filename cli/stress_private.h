/* ringlet stress, inside: options, what is sent, who sends it. */
#ifndef CLI_STRESS_PRIVATE_H
#define CLI_STRESS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli/cli_private.h"
#include "cli/cql_client.h"
#include "cli/histogram.h"
#include "cli/replicas.h"

enum {
    CLI_STRESS_STATEMENTS_MAX = 16,
    CLI_STRESS_NODES_MAX = 64,
    CLI_STRESS_PIDS_MAX = 64,
    CLI_STRESS_LOOPS_MAX = 64,
    CLI_STRESS_IN_FLIGHT_MAX = 32000
};

enum cli_stress_population { CLI_STRESS_SEQUENCE, CLI_STRESS_UNIFORM, CLI_STRESS_GAUSSIAN };

/* Options (stress_options.c). */

struct cli_stress_query { /* of `user`: what it is called, and its text */
    const char *name, *text;
};
struct cli_stress_weight {
    const char *name;
    unsigned weight;
};

struct cli_stress_options {
    /* of words that were taken apart: the caller's to free, also after CLI_USAGE */
    struct base_arena arena;
    const char *command; /* write, read, mixed, user */
    uint64_t count;      /* operations; 0: as long as duration says */
    double duration_s;
    int consistency, serial_consistency;
    bool no_warmup;
    uint64_t warmup; /* operations before those that count */
    bool truncate;   /* the table, before the run */
    bool check;      /* compare what is read with what was written */
    /* -rate */
    unsigned threads, connections, loops;
    double rate; /* operations a second; 0: as fast as answers come */
    bool fixed;  /* latencies from when an operation was due (else from when it was sent) */
    /* -node, -port, -mode */
    const char *nodes[CLI_STRESS_NODES_MAX];
    size_t node_count;
    bool nodes_given;
    bool whitelist;         /* these alone, of all that the cluster has */
    const char *datacenter; /* NULL: the first node's */
    uint16_t port;
    int version;
    bool lz4;
    const char *user, *password;
    bool ssl;
    struct net_tls_config tls;
    /* -schema, -col */
    const char *keyspace, *table;
    /* what stands between the braces of CREATE KEYSPACE; NULL: SimpleStrategy,
     * replication_factor */
    const char *replication;
    unsigned replication_factor;
    unsigned columns, value_size, key_size;
    const char *schema_file; /* user: statements to run first */
    struct cli_stress_query queries[CLI_STRESS_STATEMENTS_MAX];
    size_t query_count;
    struct cli_stress_weight weights[CLI_STRESS_STATEMENTS_MAX];
    size_t weight_count;
    uint64_t rows; /* of a partition (user) */
    /* -pop */
    enum cli_stress_population population;
    uint64_t first, last; /* partitions; last 0: as many as operations */
    uint64_t seed;
    /* -log, -errors, -pid */
    const char *histogram_file;
    double interval_s;
    bool quiet, ignore_errors, json;
    int pids[CLI_STRESS_PIDS_MAX];
    size_t pid_count;
};
/* CLI_OK, or CLI_USAGE with the reason on stderr. Strings point into argv or into o->arena. */
int cli_stress_parse(struct cli_stress_options *o, const struct cli_options *global,
                     const struct cli_command *command, int argc, char **argv);

/* What is sent (stress_statement.c, stress_value.c). */

enum cli_stress_role {
    CLI_STRESS_PARTITION_KEY,
    CLI_STRESS_CLUSTERING,
    CLI_STRESS_REGULAR,
    CLI_STRESS_LIMIT,
    CLI_STRESS_TTL,
    CLI_STRESS_TIMESTAMP
};

struct cli_stress_column {
    const struct base_type *type;
    enum cli_stress_role role;
    uint64_t salt; /* from its name: two columns of a row differ */
};
struct cli_stress_statement {
    const char *name, *text;
    unsigned weight;
    bool is_select;
    struct base_slice id, result_metadata_id;
    struct cli_stress_column *binds;
    size_t bind_count;
    /* which of them are the partition key, in its order; 0: not told, or of another keyspace */
    const uint16_t *pk_binds;
    size_t pk_count;
    struct cli_stress_column *columns; /* of its rows: what `check` compares; NULL: not known */
    size_t column_count;
};
struct cli_stress_workload {
    const struct cli_stress_options *options;
    struct base_arena arena; /* statements and their types */
    struct cli_stress_statement statements[CLI_STRESS_STATEMENTS_MAX];
    size_t statement_count;
    unsigned weight_sum;
};
/* Make keyspace and table where they are ours to make, prepare the statements. */
BASE_MUST int cli_stress_workload_init(struct cli_stress_workload *w,
                                       const struct cli_stress_options *o, struct cli_cql *cql,
                                       struct base_err *err);
void cli_stress_workload_fini(struct cli_stress_workload *w);
/* Prepare all of them on another connection; the ids must be the same. */
BASE_MUST int cli_stress_workload_prepare(const struct cli_stress_workload *w, struct cli_cql *cql,
                                          struct base_err *err);

uint64_t cli_stress_mix(uint64_t x); /* a bijection that looks like chance (splitmix64) */
/* The serialized value of a column in row `row` of partition `partition`, appended. The same
 * arguments give the same value. size: of texts and blobs. */
BASE_MUST int cli_stress_value(const struct base_type *type, uint64_t seed, size_t size,
                               struct base_buf *out);
uint64_t cli_stress_value_seed(const struct cli_stress_column *column, uint64_t partition,
                               uint64_t row);
/* What is bound to a marker. */
BASE_MUST int cli_stress_put_bind(const struct cli_stress_options *o,
                                  const struct cli_stress_column *column, uint64_t partition,
                                  uint64_t row, struct base_buf *out);

/* Where it is sent (stress_cluster.c). */

struct cli_stress_node {
    const char *host;
    uint16_t port;
    atomic_uint open;      /* connections, of all workers */
    atomic_bool is_lost;   /* and that was said */
    atomic_ullong answers; /* of the phase, errors included */
};
struct cli_stress_cluster {
    struct base_arena arena;
    struct cli_stress_node *nodes; /* that are used */
    size_t node_count;
    struct cli_ring ring;
    uint16_t *routes; /* of each of the ring's tokens, route_len of them: replicas, as indexes of
                       * nodes; CLI_STRESS_NO_NODE: no more */
    size_t route_len; /* 0: nobody knows who has what */
};
#define CLI_STRESS_NO_NODE UINT16_MAX

/* A connection to a node; user, TLS, compression as the options say. */
BASE_MUST int cli_stress_open(const struct cli_stress_options *o, const char *host, uint16_t port,
                              volatile sig_atomic_t *interrupted, struct cli_cql *cql,
                              struct base_err *err);
/* … to the first of -node that answers; the others are named on stderr. */
BASE_MUST int cli_stress_contact(const struct cli_stress_options *o, struct cli_cql *cql,
                                 struct base_err *err);
/* The nodes that take requests (of the contact's data centre, or -node whitelist), and what each
 * has of the keyspace. A ring that cannot be read is no error: then the nodes of -node take turns.
 */
BASE_MUST int cli_stress_cluster_init(struct cli_stress_cluster *cluster,
                                      const struct cli_stress_options *o, struct cli_cql *contact,
                                      struct base_err *err);
void cli_stress_cluster_fini(struct cli_stress_cluster *cluster);
/* The replicas of a token, route_len of them; NULL: not known. */
const uint16_t *cli_stress_route(const struct cli_stress_cluster *cluster, int64_t token);

/* Who sends it (stress.c, stress_worker.c, stress_connection.c). */

/* What a worker counted since it was last asked. */
struct cli_stress_counts {
    struct cli_histogram response; /* from when it was due, or sent */
    struct cli_histogram service;  /* from when it was sent (fixed only) */
    uint64_t operations[CLI_STRESS_STATEMENTS_MAX];
    uint64_t rows, errors, wrong, missing;
    uint64_t routed; /* of operations: to a replica, by the token */
    char first_error[256];
};
void cli_stress_counts_add(struct cli_stress_counts *into, const struct cli_stress_counts *from);

struct cli_stress_phase { /* of the run: the warm-up, then what counts */
    uint64_t count;       /* operations; 0: until stopped */
    double duration_s;
    bool counts;
};
struct cli_stress_run {
    const struct cli_stress_options *options;
    struct cli_stress_workload *workload;
    struct cli_stress_cluster *cluster;
    struct cli_stress_phase phase;
    uint64_t start_ns, end_ns; /* end_ns 0: no end by time */
    atomic_uint_fast64_t next; /* the number of the next operation */
    atomic_bool stop;
    atomic_uint running; /* workers */
};

struct cli_stress_worker;
BASE_MUST int cli_stress_worker_new(struct cli_stress_run *run, unsigned number, unsigned of,
                                    struct cli_stress_worker **out, struct base_err *err);
void cli_stress_worker_free(struct cli_stress_worker *worker);
/* Start the phase in run on a thread of its own; join gives how it ended. */
BASE_MUST int cli_stress_worker_start(struct cli_stress_worker *worker, struct base_err *err);
int cli_stress_worker_join(struct cli_stress_worker *worker, struct base_err *err);
/* Move what it counted into `into`. Any thread. */
void cli_stress_worker_take(struct cli_stress_worker *worker, struct cli_stress_counts *into);
uint64_t cli_stress_now_ns(void); /* monotonic */
uint64_t cli_stress_wall_us(void);

#endif
