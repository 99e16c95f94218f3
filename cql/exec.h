/* Statements on data and on everything else, prepared against a schema snapshot and executed
 * against ports.
 *
 * cql_prepare: syntax tree → struct cql_prepared, immutable, in the arena it was made in; the
 * snapshot must outlive it. Any number of executions may use one at the same time.
 * cql_exec_*: a state machine. It opens no file, reads no clock, waits for nobody: what it needs it
 * asks through struct cql_ports. A port answers DONE (the result is there) or PENDING (the
 * operation's `ready` will be called later, from the same thread, never from inside the call). Two
 * worlds fill the ports: node/cql_loop.c on the event loop, where nothing may wait (the native
 * protocol), and node/cql_session.c on a caller's thread, where everything is DONE (ringlet_cql,
 * ringlet_query, HTTP). */
#ifndef CQL_EXEC_H
#define CQL_EXEC_H

#include "base/read.h"
#include "cql/ast.h"

/* Values. */

enum cql_value_state { CQL_VALUE_SET, CQL_VALUE_NULL, CQL_VALUE_UNSET };
struct cql_value {
    enum cql_value_state state;
    struct base_slice bytes; /* serialized as the native protocol says */
};

/* Preparing. */

struct cql_prepared;

struct cql_column_spec {
    struct base_slice keyspace, table, name;
    const struct base_type *type;
};

/* INVALID, NOTFOUND, UNAUTHORIZED …: Cassandra's rules and messages; see cql_error_code in
 * cql/wire.h for their codes. Everything prepared lives in `arena`; `statement` (its arena) and
 * context->schema and ->system must outlive it. */
BASE_MUST int cql_prepare(struct base_arena *arena, const struct cql_statement *statement,
                          const struct cql_context *context, struct cql_prepared **out,
                          struct base_err *err);
enum cql_statement_kind cql_prepared_kind(const struct cql_prepared *p);
const struct cql_statement *cql_prepared_statement(const struct cql_prepared *p);
/* Bind markers, by number. */
size_t cql_prepared_binds(const struct cql_prepared *p, const struct cql_column_spec **specs);
/* For token-aware drivers: which markers are the partition key, in its order; 0 when not all of it
 * is bound by one marker each. */
size_t cql_prepared_pk_binds(const struct cql_prepared *p, const uint16_t **indexes);
/* The columns of its rows; 0: it has no rows, or they are known only after execution (conditional
 * writes, DESCRIBE, LIST). */
size_t cql_prepared_columns(const struct cql_prepared *p, const struct cql_column_spec **specs);
/* The table it is about; NULL: none. */
const struct base_table *cql_prepared_table(const struct cql_prepared *p);

/* Ports. */

enum cql_answer { CQL_DONE, CQL_PENDING };

/* A replica that answered with an error. */
struct cql_failed_replica {
    uint8_t address[16];
    uint8_t address_len; /* 4, 16 */
    uint16_t reason;     /* the native protocol's code */
};
#define CQL_FAILED_MAX 8
enum { CQL_FAILED_UNKNOWN = 0, CQL_FAILED_INCOMPATIBLE_SCHEMA = 3 };
/* How a request to replicas ended: what the protocol's errors carry. */
struct cql_outcome {
    unsigned required, received, alive, failures;
    struct cql_failed_replica failed[CQL_FAILED_MAX]; /* of the failures: the first, as far as
                                                         their addresses are known */
    unsigned failed_count;
    /* the native protocol's order: SIMPLE, BATCH, UNLOGGED_BATCH, COUNTER, BATCH_LOG, CAS */
    int write_type;
    bool data_present;
    bool is_write;
    int consistency;
};

/* A read, a row at a time. The issuer's storage; cmd and table stay until close. cmd->now_s is set.
 * After PENDING, `ready` says that the row can be asked for again (and that may be PENDING
 * again). */
struct cql_read {
    /* row_limit says how many are wanted at most: the port asks replicas for no more at once */
    const struct base_read *cmd;
    /* of the schema, or of the system schema: then the node makes the rows itself */
    const struct base_table *table;
    int consistency;
    /* after PENDING: ask again, the row is there then (or it is PENDING once more) */
    void (*ready)(struct cql_read *read);
    /* After DONE: */
    int rc;
    struct base_err err;
    struct cql_outcome outcome;
    /* OK: the next live row, borrowed until the next call; pkey empty: the end */
    struct base_live_row row;
    void *ctx;   /* the issuer's */
    void *state; /* the port's; NULL before the first call */
};

/* A write: mutations with their timestamps. `condition`: base/condition.h's encoding, or empty:
 * then one partition, judged and written at the replica as one step; rc CONDITION when it does not
 * hold, and `current` has the rows that were looked at (base/condition.h). */
struct cql_write {
    struct base_slice mutations;
    size_t mutation_count;
    struct base_slice condition;
    const struct base_table *table; /* of the first mutation */
    int consistency;
    bool logged; /* a batch over several partitions: all or nothing in the end */
    void (*ready)(struct cql_write *write);
    /* After DONE: */
    int rc;
    struct base_err err;
    struct cql_outcome outcome;
    struct base_buf current; /* the issuer inits and frees */
    void *ctx, *state;
};

/* Whatever changes the schema, roles or the session: the node does it (schema changes, TRUNCATE,
 * USE, roles). */
struct cql_admin {
    const struct cql_statement *statement;
    struct base_arena *arena;   /* the execution's: what the result points to may live there */
    struct base_slice keyspace; /* the execution's: where a name says none */
    void (*ready)(struct cql_admin *admin);
    /* After DONE: */
    int rc;
    struct base_err err;
    struct cql_outcome outcome;
    /* set before the call: filled by the port (VOID, SET_KEYSPACE, SCHEMA_CHANGE, ROWS) */
    struct cql_result *result;
    void *ctx, *state;
};

struct cql_limits;
struct cql_ports {
    const struct cql_port_ops *ops;
    const struct cql_limits *limits; /* NULL: cql_limits_default */
};
struct cql_port_ops {
    int64_t (*timestamp)(struct cql_ports *ports); /* µs, strictly increasing per node */
    int64_t (*now_us)(struct cql_ports *ports);    /* the wall clock: now(), TTLs */
    void (*random)(struct cql_ports *ports, void *out, size_t len);
    /* Opens at the first call. */
    enum cql_answer (*read_next)(struct cql_ports *ports, struct cql_read *read);
    /* At any time, also while PENDING (ready is not called any more). No effect on one that was
     * never opened. */
    void (*read_close)(struct cql_ports *ports, struct cql_read *read);
    enum cql_answer (*write)(struct cql_ports *ports, struct cql_write *write);
    enum cql_answer (*admin)(struct cql_ports *ports, struct cql_admin *admin);
    /* What happens, for tracing; text is copied. Only called when cql_exec.tracing. */
    void (*trace)(struct cql_ports *ports, const char *fmt, ...) BASE_PRINTF(2, 3);
};

/* Results. */

enum cql_result_kind { /* the native protocol's codes */
                       CQL_RESULT_VOID = 1,
                       CQL_RESULT_ROWS = 2,
                       CQL_RESULT_SET_KEYSPACE = 3,
                       CQL_RESULT_PREPARED = 4,
                       CQL_RESULT_SCHEMA_CHANGE = 5,
};
struct cql_result {
    enum cql_result_kind kind;
    /* ROWS. Each row: a [bytes] a column (int32 length big-endian, -1 null; then the bytes), as the
     * protocol has it. */
    const struct cql_column_spec *columns; /* of the prepared, or in the execution's arena */
    size_t column_count;
    uint32_t row_count;
    struct base_buf rows; /* the caller inits and frees */
    bool has_more;
    struct base_buf paging_state; /* the same; set when has_more */
    /* SET_KEYSPACE: keyspace. SCHEMA_CHANGE: "CREATED", "UPDATED", "DROPPED"; "KEYSPACE", "TABLE",
     * "TYPE"; keyspace; name */
    const char *change, *target;
    struct base_slice keyspace, name; /* in the execution's arena */
};
void cql_result_init(struct cql_result *result, size_t size_bytes_max);
void cql_result_fini(struct cql_result *result);

/* Executing. */

#define CQL_PAGE_SIZE_NONE 0
#define CQL_WARNINGS_MAX 8

struct cql_exec {
    /* Set by the caller; all of it stays until the end: */
    struct base_arena *arena; /* for this execution alone */
    const struct cql_prepared *prepared;
    struct cql_ports *ports;
    const struct cql_value *values; /* by marker number; checked against the markers' types here */
    size_t value_count;
    int consistency, serial_consistency;
    bool has_timestamp;
    int64_t timestamp_us;
    int32_t page_size; /* rows; CQL_PAGE_SIZE_NONE: all in one */
    struct base_slice paging_state;
    int64_t now_s; /* 0: the clock's */
    bool tracing;
    struct base_slice keyspace;          /* of the session (functions, admin) */
    void (*done)(struct cql_exec *exec); /* after PENDING */
    /* Asked when a SELECT's result has grown; NULL: always. False: no more memory for it: a page
     * ends with the row that it has, a result in one fails (OVERLOADED). */
    bool (*may_grow)(struct cql_exec *exec);
    void *ctx;
    /* Filled: */
    struct cql_result result; /* the caller has init'ed it */
    int rc;
    struct base_err err;
    struct cql_outcome outcome;
    const char *warnings[CQL_WARNINGS_MAX]; /* in the arena */
    size_t warning_count;
    void *state; /* the executor's */
};
/* DONE: rc and result are there. PENDING: `done` will be called, once. */
enum cql_answer cql_exec_start(struct cql_exec *exec);
/* Give up while PENDING: reads are closed, `done` is not called. A write that is under way still
 * needs the exec's memory until its `ready`: false is returned then, and `done` will be called
 * after all. */
bool cql_exec_cancel(struct cql_exec *exec);

/* A BATCH of the native protocol: statements with their own values, executed as one. Children:
 * INSERT, UPDATE, DELETE only. */
struct cql_batch_item {
    const struct cql_prepared *prepared;
    const struct cql_value *values;
    size_t value_count;
};
/* exec->prepared NULL. Limits as batch_size_warn_threshold and batch_size_fail_threshold of
 * cql_limits. */
enum cql_answer cql_exec_start_batch(struct cql_exec *exec, enum cql_batch_kind kind,
                                     const struct cql_batch_item *items, size_t count);

/* DESCRIBE (describe_statement.c), for the admin port: rows as Cassandra 5's server gives them
 * (keyspace_name, type, name, create_statement; CLUSTER: cluster, partitioner, snitch). Column
 * specs and slices live in the arena. */
struct cql_describe_facts {
    const char *cluster_name, *snitch;
    struct base_slice keyspace; /* the session's */
};
BASE_MUST int cql_describe_run(struct base_arena *arena, const struct cql_statement *statement,
                               const struct cql_context *context,
                               const struct cql_describe_facts *facts, struct cql_result *out,
                               struct base_err *err);

/* Thresholds that the node's options set (cql_ports.limits); bytes. Cassandra's defaults. */
struct cql_limits {
    size_t batch_size_warn, batch_size_fail; /* 5 KiB, 50 KiB */
    unsigned unlogged_batch_partitions_warn; /* 10 */
    /* combinations of IN: 100 partitions are fine, past it refused: 65535 */
    unsigned in_select_max;
};
extern const struct cql_limits cql_limits_default;

#endif
