/* The one door for vtab and cli (DESIGN.md §1): open a node, ask it, close it.
 *
 * struct node: one open node of this process, shared by all who open the same directory (a
 * process-wide registry counts; LMDB forbids opening an environment twice). Thread-safe.
 * struct node_session: one connection's client: its defaults and its open transaction. Not
 * thread-safe: one thread at a time.
 *
 * An embedded node that is alone runs requests to their end on the caller's thread. A member of a
 * cluster and a guest hand them to the cluster's thread and wait: what may wait for peers takes a
 * node_session, which carries the interrupt. */
#ifndef NODE_CLIENT_H
#define NODE_CLIENT_H

#include "base/log.h"
#include "base/mutation.h"
#include "base/read.h"
#include "base/schema.h"
#include "cql/exec.h"

struct node;
struct node_session;
struct node_read;

/* Opening. */

struct node_option {
    const char *name;  /* cassandra.yaml's spelling */
    const char *value; /* with units: "64MiB", "10ms" */
};
struct node_config {
    const char *dir; /* data directory, made 0700 if it is not there */
    /* over the defaults and over dir/ringlet.yaml if there is one */
    const struct node_option *options;
    size_t option_count;
    struct base_log *log; /* may be NULL; must outlive the node */
    bool temporary;       /* remove the directory at the last release (":memory:") */
    /* A guest: coordinates here and stores nothing; dir is not looked at. What node_contacts_parse
     * made: "127.0.0.1:7000,…", behind one "https://" if so; then options may name
     * server_encryption_options.ca, .certificate and .key. */
    const char *contacts;
    /* a guest's: the cluster's secret or a node's token; NULL: what this user's nodes left
     * (net_token_find) */
    const char *secret_file;
};
/* Open, or take another reference to the open node of this directory (options must not differ then:
 * CONFIG). BUSY names the process that owns the directory. In a forked child a node of the parent
 * is never handed out. Threads that it starts block all signals. */
BASE_MUST int node_open(const struct node_config *config, struct node **out, struct base_err *err);
struct node *node_acquire(struct node *node);
/* The last release closes: flushes if that is worth it, ends threads, unlocks. */
void node_release(struct node *node);
const char *node_dir(const struct node *node);
/* True in a child that was forked after the node was opened: it must not be used (only
 * forgotten). */
bool node_is_forked(const struct node *node);

/* "http://HOST:PORT[,HOST:PORT…]" → "HOST:PORT,…" (https: "https://HOST:PORT,…") for
 * node_config.contacts, appended. INVALID. */
BASE_MUST int node_contacts_parse(struct base_slice text, struct base_buf *out,
                                  struct base_err *err);
/* May a table's definition connect there by itself? Loopback, hosts in the user's allow-list, hosts
 * among `connected` (parsed texts). UNAUTHORIZED, and the text says what to do. */
BASE_MUST int node_contacts_allowed(const char *contacts, const char *const *connected,
                                    size_t count, struct base_err *err);

BASE_MUST int node_session_new(struct node *node, struct node_session **out, struct base_err *err);
void node_session_free(struct node_session *session); /* rolls an open transaction back */
struct node *node_session_node(struct node_session *session);
/* Asked now and then during long calls; true ends them with INTERRUPTED. */
void node_session_on_interrupt(struct node_session *session, bool (*interrupted)(void *ctx),
                               void *ctx);

enum node_consistency { /* the native protocol's codes */
                        NODE_CL_ANY = 0,
                        NODE_CL_ONE,
                        NODE_CL_TWO,
                        NODE_CL_THREE,
                        NODE_CL_QUORUM,
                        NODE_CL_ALL,
                        NODE_CL_LOCAL_QUORUM,
                        NODE_CL_EACH_QUORUM,
                        NODE_CL_SERIAL,
                        NODE_CL_LOCAL_SERIAL,
                        NODE_CL_LOCAL_ONE,
};
/* Name (any case) → code, -1: none; and back. */
int node_consistency_parse(struct base_slice name);
const char *node_consistency_name(int code);

/* In a cluster: wait until the node serves (a guest: until it knows the cluster). UNAVAILABLE and
 * why, INTERRUPTED. Else OK at once. */
BASE_MUST int node_wait_ready(struct node_session *session, struct base_err *err);

/* Schema. */

struct base_schema *node_schema(struct node *node);  /* a new reference to the current snapshot */
uint64_t node_schema_epoch(const struct node *node); /* cheap: has anything changed? */
/* Run one CQL statement without values, whatever it is. `result` gets one line of text ("created
 * table lab.readings"), or the rows as a JSON array of objects. */
BASE_MUST int node_cql(struct node_session *session, struct base_slice text,
                       struct base_buf *result, struct base_err *err);
/* Create a table from column definitions (cql_analyze_table); if it exists and agrees: fine
 * (*attached true); if it exists and differs: EXISTS, and the text says in what. */
BASE_MUST int node_create_table(struct node_session *session, struct base_slice keyspace,
                                struct base_slice name, struct base_slice definitions,
                                struct base_slice with, bool *attached, struct base_err *err);

/* Statements of CQL. */

/* A prepared statement of this session, for the snapshot of its moment: prepare it again when
 * node_schema_epoch has moved. Writes take part in the session's transaction, reads see it; USE is
 * the session's. */
struct node_query;
BASE_MUST int node_query_prepare(struct node_session *session, struct base_slice text,
                                 struct node_query **out, struct base_err *err);
const struct cql_prepared *node_query_prepared(const struct node_query *query);
/* Execute, and wait. page_size: rows, CQL_PAGE_SIZE_NONE: all; paging_state: empty, or the last
 * result's. *result is borrowed until the next call. Errors as of reads and writes. */
struct node_query_options {
    int consistency, serial_consistency;
    int32_t page_size;
    struct base_slice paging_state;
};
BASE_MUST int node_query_run(struct node_query *query, const struct cql_value *values,
                             size_t value_count, const struct node_query_options *options,
                             const struct cql_result **result, struct base_err *err);
void node_query_free(struct node_query *query);
/* The result of the latest run for people: its rows as a JSON array, or one line ("created table
 * lab.readings"). Appended. */
BASE_MUST int node_query_text(struct node_query *query, const struct cql_result *result,
                              struct base_buf *out, struct base_err *err);
/* The next row of a result as a JSON object, appended; `at` (0 at first) walks result->rows.
 * CORRUPT. */
BASE_MUST int node_query_row_json(const struct cql_result *result, size_t *at, struct base_buf *out,
                                  struct base_err *err);

/* Reading. */

/* Run a read of `table` (of the caller's schema snapshot, which must stay referenced until close).
 * Sees the session's open transaction. cmd and all it points to must stay until close. *read may
 * hold a closed read of this session: its memory is used again. cmd->now_s 0: the node's clock. */
BASE_MUST int node_read_open(struct node_session *session, const struct base_table *table,
                             const struct base_read *cmd, int consistency, struct node_read **read,
                             struct base_err *err);
/* Next live row; row->pkey is empty at the end. Borrowed until the next call. */
BASE_MUST int node_read_next(struct node_read *read, struct base_live_row *row,
                             struct base_err *err);
/* How many reads of one session are worth having open at once: in a cluster they are under way
 * together; else 1. */
unsigned node_reads_ahead(const struct node_session *session);
/* releases what it pins, keeps the memory for reuse */
void node_read_close(struct node_read *read);
void node_read_free(struct node_read *read);

/* Writing. */

/* A write timestamp: microseconds, strictly increasing per node, across restarts (DESIGN.md §3). */
int64_t node_timestamp(struct node *node);
int64_t node_now_s(struct node *node);
/* Time and chance for those who have no node open: microseconds since 1970, bytes of the kernel's
 * generator. */
int64_t node_wall_us(void);
void node_random(void *out, size_t len);

/* Transactions. Outside of begin…commit node_write applies at once. Within, writes gather (encoded,
 * in order), reads see them, commit applies them as one atomic group with their timestamps. LIMIT
 * past transaction_size_max (the text names ringlet_batch). Levels are SQLite's savepoint
 * numbers. */
/* no effect when open */
BASE_MUST int node_txn_begin(struct node_session *session, struct base_err *err);
bool node_txn_is_open(const struct node_session *session);
/* Append encoded mutations (base/mutation.h) to the transaction or apply them. `table` is for
 * messages and durability. */
BASE_MUST int node_write(struct node_session *session, const struct base_table *table,
                         struct base_slice mutations, size_t mutation_count, int consistency,
                         struct base_err *err);
/* Conditions. check: INVALID, and why, where this version cannot keep them: above replication
 * factor 1. In a cluster the replica judges and writes at once, outside of the session's
 * transaction. */
BASE_MUST int node_check_conditions(struct node_session *session, const struct base_table *table,
                                    struct base_err *err);
bool node_conditions_at_replica(const struct node_session *session);
/* A mutation of one partition, written only if the conditions hold (base/condition.h): CONDITION
 * when they do not, and nothing was written. In a cluster as said; alone: one after another for
 * each partition, and within an open transaction what the session sees counts and the write
 * gathers. */
struct node_conditional {
    struct base_slice mutation, conditions;
    int consistency;
    struct base_buf *current; /* CONDITION: what was found, appended; may be NULL */
};
BASE_MUST int node_write_if(struct node_session *session, const struct base_table *table,
                            const struct node_conditional *what, struct base_err *err);
/* In a cluster, without a session or a wait: any number may be under way. The caller's storage,
 * bytes included, until done, which runs on the cluster's thread and must not block; it may start
 * the next one. */
struct node_async_write {
    struct base_slice mutations;
    size_t mutation_count;
    int consistency;
    void (*done)(struct node_async_write *write);
    int rc; /* as node_write's */
    struct base_err err;
    uint64_t space[192]; /* the node's */
};
BASE_MUST int node_write_start(struct node *node, struct node_async_write *write,
                               struct base_err *err);
BASE_MUST int node_txn_savepoint(struct node_session *session, int level, struct base_err *err);
void node_txn_savepoint_release(struct node_session *session, int level);
/* Undo to the state at savepoint `level` (never announced: to the latest announced below it, or
 * all). The savepoint stays. */
void node_txn_rollback_to(struct node_session *session, int level);
/* Make it durable as the sync mode says, and visible. On failure it stays open and unapplied.
 * Idempotent: again without new writes does nothing. */
BASE_MUST int node_txn_apply(struct node_session *session, struct base_err *err);
void node_txn_end(struct node_session *session); /* after apply: forget; before: roll back */
/* 'logged' (atomic, the default) or 'unlogged': writes are streamed out as they come. */
BASE_MUST int node_session_set_batch(struct node_session *session, bool unlogged,
                                     struct base_err *err);
bool node_session_batch_unlogged(const struct node_session *session);

/* Administration. */

/* nodetool's commands by name (status, ring, info, flush, …): the answer as one JSON document,
 * appended. The same for `ringlet COMMAND` over HTTP and SELECT ringlet_nodetool(…). NOTFOUND lists
 * the commands. */
BASE_MUST int node_admin(struct node *node, const char *command, const char *const *args,
                         size_t arg_count, struct base_buf *json, struct base_err *err);
/* Does the command change the node (HTTP: only by POST, with the token)? */
bool node_admin_changes_state(const char *command);
/* Append the addresses of a token's replicas under a keyspace of `schema`, as a JSON array, the
 * nearest on the ring first. */
BASE_MUST int node_endpoints(struct node *node, const struct base_schema *schema,
                             struct base_slice keyspace, int64_t token, struct base_buf *json,
                             struct base_err *err);
/* The same answer laid out for people, from the JSON. */
BASE_MUST int node_admin_render(const char *command, struct base_slice json, struct base_buf *text,
                                struct base_err *err);
/* Metrics: calls `each` with Prometheus names. */
int node_metrics(struct node *node,
                 int (*each)(void *ctx, const char *name, const char *labels, double value),
                 void *ctx);

/* The daemon (cli/node.c). */

struct node_daemon_config {
    struct node_config node;
    const char *config_file; /* YAML or NULL */
    const char *listen;      /* "127.0.0.1:7000" or NULL: the configuration's */
};
/* Run in the foreground until SIGTERM or SIGINT, then drain. */
BASE_MUST int node_daemon_run(const struct node_daemon_config *config, struct base_err *err);

/* Offline: ringlet sstable. */

/* dump: one JSON object a row and marker to `out`; metadata; verify. DIR is a data directory or an
 * .sst file. NULL keep_going: never interrupted. */
BASE_MUST int node_sstable_command(const char *command, const char *path, bool json,
                                   int (*print)(void *ctx, struct base_slice text), void *ctx,
                                   struct base_err *err);

#endif
