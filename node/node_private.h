/* What the files of node/ share. See README.md for who owns what. */
#ifndef NODE_NODE_PRIVATE_H
#define NODE_NODE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "catalog/catalog.h"
#include "cql/exec.h"
#include "lsm/lsm.h"
#include "node/client.h"
#include "node/ports.h"

struct net_http_request;
struct net_internode;
struct repl;
struct repl_meta_op;

#define NODEI_PATH_LEN_MAX 4096
#define NODEI_FORMAT_VERSION 1 /* of the data directory as a whole */

/* Settings (options.c). */

/* One field an option; numbers are all 64 bits wide, so that one table describes them. */
struct nodei_settings {
    char cluster_name[128];
    char listen_address[64];
    char broadcast_address[64]; /* empty: listen_address */
    char seeds[1024];           /* HOST:PORT, …; empty: none */
    char dc[64], rack[64];
    char cluster_secret_file[1024]; /* empty: none */
    char seed_provider[64];
    char internode_certificate[1024], internode_key[1024], internode_ca[1024];
    /* `listen` or `seeds` was set, or it is a daemon: the node is a member of a cluster */
    uint64_t listens;
    uint64_t storage_port, num_tokens;
    uint64_t snitch, internode_compression, internode_encryption, internode_client_auth; /* words */
    uint64_t hinted_handoff_enabled, max_hint_window_ns, hints_size_max, hint_throttle;
    uint64_t phi_convict_threshold, internode_queue_size;
    uint64_t read_request_timeout_ns, range_request_timeout_ns, cas_contention_timeout_ns,
        metadata_timeout_ns;
    uint64_t metadata_log_entries; /* that are kept */
    uint64_t native_transport_max_request_data;
    /* Clients of the native protocol (a daemon's): where it listens, what others are told
     * (broadcast_rpc_address; empty: rpc_address) */
    char rpc_address[64], broadcast_rpc_address[64];
    uint64_t start_native_transport, native_transport_port;
    uint64_t serves_cql;                                                 /* `cql` was set */
    uint64_t native_connections_max, native_connections_per_address_max; /* 0: no limit */
    /* of an address; 0: half of all */
    uint64_t native_request_data_per_address_max, native_response_data_per_address_max;
    uint64_t native_response_data_max;
    uint64_t native_frame_size_max, native_idle_timeout_ns, prepared_statements_size;
    char client_certificate[1024], client_key[1024], client_ca[1024];
    uint64_t client_encryption, client_encryption_optional, client_auth;
    uint64_t authenticator;     /* odd: PasswordAuthenticator */
    uint64_t roles_validity_ns; /* credentials and roles are read anew after this */
    uint64_t memtable_space, file_cache_size;
    uint64_t commitlog_sync; /* enum lsm_sync */
    uint64_t commitlog_sync_period_ns, commitlog_segment_size, commitlog_total_space;
    uint64_t compaction_throughput; /* bytes a second; 0: no limit */
    uint64_t transaction_size_max;
    /* of the language's batches */
    uint64_t batch_size_warn, batch_size_fail, unlogged_batch_partitions_warn;
    uint64_t write_request_timeout_ns;
};
void nodei_settings_init(struct nodei_settings *settings); /* the defaults */
/* CONFIG: an unknown name (the text names the nearest), a value that does not fit (the text says
 * what does). */
BASE_MUST int nodei_settings_set(struct nodei_settings *settings, const char *name,
                                 const char *value, struct base_err *err);
/* What follows from other options where it was not set: rpc_address. After the last one was set. */
void nodei_settings_finish(struct nodei_settings *settings);
/* Every option of a YAML file. NOTFOUND when there is no file. */
BASE_MUST int nodei_settings_load(struct nodei_settings *settings, const char *path,
                                  struct base_err *err);
/* CONFIG and a text that names the first option in which `wanted` differs from what is `open`. */
BASE_MUST int nodei_settings_agree(const struct nodei_settings *open,
                                   const struct nodei_settings *wanted, struct base_err *err);
/* Calls `each` for every option with its value as text. */
int nodei_settings_each(const struct nodei_settings *settings,
                        int (*each)(void *ctx, const char *name, const char *value), void *ctx);

/* The directory's lock (dirlock.c). */

/* Lock DIR/LOCK with an open-file-description lock; *fd holds it until closed. BUSY names the
 * owner's process. */
BASE_MUST int nodei_dirlock_acquire(const char *dir, int *fd, struct base_err *err);
void nodei_dirlock_release(int fd); /* the owner's */
void nodei_dirlock_forget(int fd);  /* a forked child's copy: the owner keeps the lock */

/* Timestamps (timestamp.c). */

struct nodei_timestamps {
    _Atomic int64_t last_us;  /* the latest given out */
    _Atomic int64_t limit_us; /* on disk: none at or past it was given out by this run */
    atomic_bool renewal_posted;
    pthread_mutex_t mutex; /* one renewal at a time */
    struct base_job renewal;
};
/* Reads the floor. The clock, catalog and executor of the node are there. */
BASE_MUST int nodei_timestamps_open(struct node *node, struct base_err *err);
/* Writes the exact floor, so that the next start need not skip ahead. */
void nodei_timestamps_close(struct node *node);

/* The node. */

enum nodei_state { NODEI_OPENING, NODEI_OPEN, NODEI_CLOSING };

#define NODEI_CONDITION_LOCKS 64
struct node {
    /* Under the registry's mutex: */
    struct node *next;
    int refs;
    enum nodei_state state;
    dev_t dir_dev; /* the directory itself, whatever its name */
    ino_t dir_ino;
    /* Set in a child by the fork handler: */
    atomic_bool forked;

    char *dir; /* canonical */
    bool temporary;
    int lock_fd;
    struct nodei_settings settings;
    struct cql_limits cql_limits; /* of them */
    struct base_log *log;
    struct base_fs *fs;
    struct base_clock *clock;
    struct base_random *random;
    struct base_executor *executor;
    struct cat_catalog *catalog;
    struct lsm_store *store;
    struct cat_identity identity;
    struct base_mono_ns started;
    struct nodei_timestamps timestamps;

    pthread_mutex_t ddl_mutex;    /* one schema change at a time; held over I/O */
    pthread_mutex_t schema_mutex; /* the pointer below; held for a moment */
    struct base_schema *schema;
    _Atomic uint64_t schema_epoch; /* of `schema` */

    /* alone: of conditional writes, by partition; held over the read and write */
    pthread_mutex_t condition_mutexes[NODEI_CONDITION_LOCKS];
    pthread_mutex_t sessions_mutex;
    struct node_session *sessions;
    _Atomic uint64_t transactions; /* committed, with something in them */

    /* a coordinator: `dir` is its contacts' text; no lock, catalog, executor, store */
    bool guest;
    struct nodei_cluster *cluster; /* NULL: embedded, alone */
};

/* node_open with a configuration file between the directory's own and the options, as a member of a
 * cluster whatever they say, and told of its stages (enum repl_stage; on the loop's thread): the
 * daemon's. */
struct nodei_daemon {
    const char *config_file; /* may be NULL */
    const char *listen;      /* may be NULL: the configuration's */
    void (*on_stage)(void *ctx, int stage);
    void *ctx;
};
BASE_MUST int nodei_open_configured(const struct node_config *config,
                                    const struct nodei_daemon *daemon, struct node **out,
                                    struct base_err *err);
/* Registry → open.c: everything between a fresh struct with dir, settings and ports unset, and a
 * node that works. */
BASE_MUST int nodei_start(struct node *node, const struct nodei_daemon *daemon,
                          struct base_err *err);
/* Undo nodei_start, also a half of it. */
void nodei_stop(struct node *node);
BASE_MUST int nodei_check_usable(const struct node *node,
                                 struct base_err *err); /* CLOSED in a forked child */
/* STOPPED when the store writes no more, NOSPACE when it lately refused a write for a full disk,
 * else 0: GET /healthz. */
BASE_MUST int nodei_health(struct node *node, struct base_err *err);
struct base_random *nodei_random(struct node *node);
void nodei_listen_address(const struct node *node, char *address,
                          size_t size); /* "127.0.0.1:7000" */
struct base_uuid nodei_uuid_v4(struct base_random *random);

/* Sessions (session.c). */

/* What a session remembers of a table, good for one epoch. */
struct nodei_table_ref {
    struct base_uuid id;
    uint64_t epoch; /* 0: nothing remembered */
    struct lsm_table *table;
    bool durable; /* the keyspace's durable_writes */
};
#define NODEI_TABLE_REFS 8

struct nodei_mark { /* a savepoint */
    int level;
    size_t len, count;     /* of the transaction's buffer */
    uint64_t overlay_mark; /* valid once the overlay has reached len */
};

struct nodei_txn {
    bool open;
    bool durable;        /* some table's keyspace has durable writes */
    struct base_buf buf; /* mutations, encoded, in order */
    size_t count;
    int consistency; /* in a cluster: the most demanding of its writes' */
    struct nodei_mark *marks;
    size_t mark_count, mark_cap;
    struct lsm_overlay *overlay; /* NULL until something is read inside */
    size_t overlay_upto;         /* bytes of buf that it holds */
};

struct node_session {
    struct node *node;
    struct node_session *prev, *next; /* node->sessions */
    /* 0: outside of the store; else 1 + the epoch the session saw when it went in. */
    _Atomic uint64_t inside;
    struct nodei_table_ref refs[NODEI_TABLE_REFS];
    char keyspace[BASE_NAME_LEN_MAX + 1]; /* USE */
    bool (*interrupted)(void *ctx);
    void *interrupt_ctx;
    bool unlogged;
    size_t open_reads;
    struct nodei_txn txn;
    struct nodei_write_call *write_call; /* in a cluster: kept for its memory */
};
/* One that holds no reference to the node: the cluster's workers'. */
BASE_MUST int nodei_session_internal(struct node *node, struct node_session **out,
                                     struct base_err *err);
void nodei_session_internal_free(struct node_session *session);

/* Between enter and leave no table that was in the schema at enter loses its lsm_table: DROP waits
 * for us. Keep it short; no user code inside. */
void nodei_enter(struct node_session *session);
void nodei_leave(struct node_session *session);
/* The table's place in the store. Inside only. NOTFOUND when it was dropped. */
BASE_MUST int nodei_table_find(struct node_session *session, const struct base_table *table,
                               struct nodei_table_ref *out, struct base_err *err);
/* After publishing `epoch`: wait until no session is inside that came in before it. */
void nodei_wait_for_sessions(struct node *node, uint64_t epoch);
static inline bool nodei_interrupted(const struct node_session *session)
{
    return session->interrupted && session->interrupted(session->interrupt_ctx);
}
BASE_MUST int nodei_check_consistency(int consistency, bool is_write, struct base_err *err);

/* Transactions (txn.c). */

/* The transaction's writes as a source for cmd; *out NULL when there are none. Unlogged ones are
 * sent first. */
BASE_MUST int nodei_txn_source(struct node_session *session, const struct base_read *cmd,
                               struct base_source **out, struct base_err *err);
void nodei_txn_fini(struct node_session *session);

/* Schema (schema.c). */

/* Read the schema from the catalog and open its tables in the store (before replay). */
BASE_MUST int nodei_schema_open(struct node *node, struct base_err *err);
/* After replay: finish what a crash cut off between the catalog and the store. */
BASE_MUST int nodei_schema_heal(struct node *node, struct base_err *err);
void nodei_schema_close(struct node *node);
/* What the store needs to know; name_text is caller's storage of 2 * BASE_NAME_LEN_MAX + 2. */
void nodei_table_desc(const struct base_table *table, char *name_text, struct lsm_table_desc *out);

/* Publish a snapshot (the reference is taken over). */
void nodei_schema_publish(struct node *node, struct base_schema *schema);
/* Carry out a log entry that the cluster chose (REPL_META_APPEND), or take over the state of others
 * in the place of our log (REPL_META_INSTALL): durable, in the store, published. */
BASE_MUST int nodei_schema_append(struct node *node, const struct repl_meta_op *op,
                                  struct base_err *err);

/* The cluster (cluster.c, cluster_session.c); node->cluster is NULL in an embedded node that is
 * alone. */

/* `seeds`: HOST:PORT, …: the configuration's, or a guest's contacts. */
BASE_MUST int nodei_cluster_open(struct node *node, const char *seeds,
                                 const struct nodei_daemon *daemon, struct base_err *err);
void nodei_cluster_close(struct node *node);
bool nodei_is_clustered(const struct node *node);
/* Run fn on the loop's thread, and wait (called from that thread: at once). CLOSED: there is no
 * cluster. */
BASE_MUST int nodei_on_loop(struct node *node, void (*fn)(void *ctx, struct repl *repl), void *ctx,
                            struct base_err *err);
/* on the loop's thread only; NULL: no cluster */
struct net_internode *nodei_internode(struct node *node);
const char *nodei_cluster_address(const struct node *node);
/* The threads that do a replica's work, for tpstats: stage 0 to NODEI_STAGES - 1, by Cassandra's
 * names. */
#define NODEI_STAGES 3
struct nodei_stage_stats {
    const char *name;
    uint64_t active, pending, completed;
};
void nodei_cluster_stage(struct node *node, int stage, struct nodei_stage_stats *out);
/* Does the node serve? STOPPED and why not. */
BASE_MUST int nodei_cluster_ready(struct node *node, struct base_err *err);
/* why the cluster refused it, or empty */
void nodei_cluster_refusal(struct node *node, char *text, size_t size);
bool nodei_cluster_secret_in_request(const struct node *node,
                                     const struct net_http_request *request);
/* Wait until it serves, as long as a change of metadata may take. UNAVAILABLE, INTERRUPTED. */
BASE_MUST int nodei_cluster_wait(struct node *node, const struct node_session *session,
                                 struct base_err *err);
/* Requests, waited for. */
struct nodei_cluster_write {
    struct base_slice mutations;
    size_t mutation_count;
    int consistency;
    bool logged;
    struct base_slice condition; /* base/condition.h, or empty */
    struct base_buf *current;    /* CONDITION: what was found, appended; may be NULL */
};
/* buffers larger than this are not kept for the next request */
#define NODEI_KEEP_BYTES (1u << 20)
BASE_MUST int nodei_cluster_write(struct node_session *session,
                                  const struct nodei_cluster_write *what, struct base_err *err);
void nodei_write_call_free(struct nodei_write_call *call);
BASE_MUST int nodei_cluster_change(struct node *node, const struct base_change *change,
                                   struct base_err *err);
/* The pages of a read as one source (tombstones kept). The first page is asked for, not waited for.
 * *paged is kept for reuse; closing the source ends the read. */
struct nodei_paged;
BASE_MUST int nodei_paged_open(struct node_session *session, const struct base_table *table,
                               const struct base_read *cmd, int consistency,
                               struct nodei_paged **paged, struct base_source **out,
                               struct base_err *err);
void nodei_paged_free(struct nodei_paged *paged);

#endif
