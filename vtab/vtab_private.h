/* What the files of vtab/ share. Nobody outside includes this.
 *
 * host     one SQLite connection that loaded the extension: its defaults, and its links
 * link     one data directory as this connection uses it: the node, a session, the transaction
 * table    one virtual table, connected
 * binding  how a table's declared columns map to one schema snapshot; cursors hold the one they
 *          began with, so that a schema change never pulls memory from under them
 * cursor   one scan
 *
 * All of it belongs to one connection and is serialized by that connection's mutex. */
#ifndef VTAB_PRIVATE_H
#define VTAB_PRIVATE_H

#include <sqlite3ext.h>

#include "cql/cql.h"
#include "node/client.h"
#include "vtab/plan.h"

SQLITE_EXTENSION_INIT3

struct vtabi_link {
    struct vtabi_link *next;
    struct vtabi_host *host;
    char *dir;         /* as node_open wants it; contacts: as node_config.contacts */
    bool contacts;     /* of a cluster: this process coordinates, nothing is stored here */
    bool temporary;    /* ":memory:": the directory goes with the connection */
    struct node *node; /* NULL: not open now */
    struct node_session *session;
    struct node_read *probe; /* reads of single rows by xUpdate; kept for its memory */
    struct base_read probe_cmd;
    struct base_range probe_range;
    bool probing;                 /* it is open */
    unsigned cursor_count;        /* cursors that hold a read of this session */
    struct node_read *spare_read; /* a closed cursor's, for the next one */
    /* The transaction that all tables of the link share (txn.c). */
    unsigned joined_count, synced_count, sync_round;
    int *levels; /* announced savepoints, ascending */
    size_t level_count, level_cap;
};

/* What ringlet_connect may be told, in this order: secret_file=, cacert=, cert=, key=. */
enum {
    VTABI_CONNECT_SECRET,
    VTABI_CONNECT_CA,
    VTABI_CONNECT_CERTIFICATE,
    VTABI_CONNECT_KEY,
    VTABI_CONNECT_OPTIONS
};

struct vtabi_host {
    sqlite3 *db;
    unsigned refs; /* module, functions, tables */
    struct vtabi_link *links;
    char *default_dir; /* what ringlet_open or ringlet_connect set, or NULL */
    bool default_contacts;
    char **connected; /* what ringlet_connect was called with in this session, parsed */
    size_t connected_count;
    /* of the latest ringlet_connect; NULL: not given */
    char *connect_options[VTABI_CONNECT_OPTIONS];
    int consistency;
    bool unlogged;
    uint64_t uuid_ticks; /* the last timeuuid's time */
    int64_t probed_us;   /* when an interrupt was last looked for */
};

struct vtabi_binding {
    unsigned refs;
    struct base_schema *schema;
    const struct base_table *table;
    const struct base_column **columns; /* by declared index; NULL: dropped since */
    int *partition;                     /* declared index of each partition key column */
    int *clustering;                    /* … and of each clustering column */
    int *by_id;                         /* column id → declared index, or -1 */
    uint32_t id_count;
    int *cells; /* declared indices of static and regular columns, ascending by column id */
    int cell_count;
    bool has_static;
};

struct vtabi_row;
struct cursor; /* cursor.c */

/* Buffers of one write, kept for their memory. */
struct vtabi_writer {
    struct base_buf value, pk, pkey, ckey, originals, row, static_row, mutation, condition;
};

struct vtabi_table {
    sqlite3_vtab base; /* first */
    struct vtabi_host *host;
    struct vtabi_link *link; /* resolved at first use */
    struct vtabi_binding *binding;
    char *schema, *name;     /* SQLite's */
    struct base_arena arena; /* what the definition says */
    struct base_slice keyspace, cql_name;
    struct base_slice node_dir; /* node='…', or empty */
    bool renames;               /* the definition names the CQL table: it may be renamed */
    bool attached;              /* attach form: columns are kept in a shadow table */
    struct base_slice *columns; /* declared user columns, by name */
    int column_count;
    int column_first; /* declared index of the first user column */
    int column_allow, column_consistency, column_ttl, column_writetime, column_key;
    struct base_slice allow_name; /* "allow_filtering", or with "ringlet_"s before it */
    /* Transaction. */
    bool joined, wrote;
    unsigned sync_round;
    /* The latest scan's consistency level and start, for the writes that follow it. */
    int scan_consistency;
    int64_t scan_s;
    struct vtabi_writer writer;
    struct cursor *spare_cursor; /* a closed one: statements that run again allocate nothing */
};

/* host.c: connections, links. */

struct vtabi_host *vtabi_host_new(sqlite3 *db);
void vtabi_host_acquire(struct vtabi_host *host);
void vtabi_host_release(void *host);
/* The link of a directory (NULL: the connection's default, for the schema `schema`); made if it is
 * not there. Not opened. */
BASE_MUST int vtabi_host_link(struct vtabi_host *host, const char *schema,
                              struct base_slice node_dir, struct vtabi_link **out,
                              struct base_err *err);
/* Open the link's node; `create` allows a directory that does not exist yet. Refuses after fork. */
BASE_MUST int vtabi_link_open(struct vtabi_link *link, const struct node_option *options,
                              size_t option_count, bool create, struct base_err *err);
/* ringlet_connect: remember that this session may connect there, make it the default. `contacts` is
 * parsed. */
BASE_MUST int vtabi_host_connect(struct vtabi_host *host, const char *contacts,
                                 const char *const options[VTABI_CONNECT_OPTIONS],
                                 struct base_err *err);
/* Close every link's node. BUSY while a cursor or a transaction uses one. */
BASE_MUST int vtabi_host_close(struct vtabi_host *host, struct base_err *err);
/* The connection's default link, opened, its directory made if need be. */
BASE_MUST int vtabi_host_default(struct vtabi_host *host, struct vtabi_link **out,
                                 struct base_err *err);

/* define.c: arguments and declarations. */

struct vtabi_definition {
    struct base_slice keyspace, table; /* the CQL names */
    struct base_slice node_dir, with, columns;
    bool attach; /* lab.readings */
    bool names_table;
};
/* The arguments of CREATE VIRTUAL TABLE; slices live in the arena. */
BASE_MUST int vtabi_define_parse(struct base_arena *arena, int argc, const char *const *argv,
                                 struct vtabi_definition *out, struct base_err *err);
/* Columns of the definitions' text alone, for when the node cannot be asked: names and SQL
 * types. */
struct vtabi_declared {
    struct base_slice name;
    const char *sql_type;
    const char *collation; /* NULL: BINARY */
};
BASE_MUST int vtabi_define_columns(struct base_arena *arena, struct base_slice definitions,
                                   struct vtabi_declared **out, int *count, struct base_err *err);
const char *vtabi_sql_type(const struct base_type *type);
/* Tell SQLite the columns; sets the table's column numbers. */
BASE_MUST int vtabi_declare(struct vtabi_table *table, const struct vtabi_declared *columns,
                            int count, struct base_err *err);

/* table.c. */

extern const sqlite3_module vtabi_module;
/* Link and binding are there and current. CLOSED, NOTFOUND, STALE, and what opening says. */
BASE_MUST int vtabi_table_bind(struct vtabi_table *table, struct base_err *err);
struct vtabi_binding *vtabi_binding_acquire(struct vtabi_binding *binding);
void vtabi_binding_release(struct vtabi_binding *binding);
/* "readings.celsius" for messages. */
struct base_slice vtabi_column_name(const struct vtabi_table *table, int column);

/* filter.c: terms that no key took, tested here. */

struct vtabi_filter {
    int column;             /* declared index */
    char op;                /* '=', '!', '~' (IN), '<', '>', and 'l', 'g' for <= and >= */
    bool always, never;     /* for values that are not NULL */
    struct base_buf values; /* operands, one after the other */
    struct base_slice *operands;
    size_t operand_count;
};
/* Filters from idxStr and the arguments; *filters gets count of them, to be freed by
 * vtabi_filters_free. */
BASE_MUST int vtabi_filters_parse(const struct vtabi_table *table,
                                  const struct vtabi_binding *binding, const char *idx_str,
                                  sqlite3_value **argv, size_t count, struct vtabi_filter **filters,
                                  struct base_err *err);
void vtabi_filters_free(struct vtabi_filter *filters, size_t count);
BASE_MUST int vtabi_filters_match(const struct vtabi_table *table,
                                  const struct vtabi_filter *filters, size_t count,
                                  struct vtabi_row *row, bool *match, struct base_err *err);
/* Put "readings.celsius: " before the text. */
int vtabi_wrap_column(const struct vtabi_table *table, const struct base_column *column, int rc,
                      struct base_err *err);
/* Serialized operand of an equality; *none: no value of the type is equal to it. */
BASE_MUST int vtabi_operand_equal(const struct vtabi_table *table, const struct base_column *column,
                                  sqlite3_value *in, struct base_buf *out, bool *none,
                                  struct base_err *err);

/* request.c: a plan and its arguments as keys and slices. */

struct vtabi_span {
    size_t at, len, pkey_len; /* in `keys`; a key of a single row: its first pkey_len bytes are the
                                 partition's */
};
struct vtabi_request {
    const struct vtabi_table *table; /* for messages */
    struct base_buf values, keys, bounds;
    struct vtabi_span *parts; /* partitions (KEY: rows), ascending */
    size_t part_count, part_cap;
    struct base_range *ranges; /* PARTITION: the same for all */
    size_t range_count, range_cap;
    bool whole; /* PARTITION: no slices */
};
void vtabi_request_init(struct vtabi_request *request);
void vtabi_request_fini(struct vtabi_request *request);
/* part_count 0 or (not whole and range_count 0): no rows. *used: arguments consumed. */
BASE_MUST int vtabi_request_build(struct vtabi_request *request, const struct vtabi_table *table,
                                  const struct vtabi_binding *binding,
                                  const struct vtabi_plan *plan, sqlite3_value **argv, int *used,
                                  struct base_err *err);

/* cursor.c. */

int vtabi_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out);
int vtabi_cursor_close(sqlite3_vtab_cursor *cursor);
int vtabi_cursor_filter(sqlite3_vtab_cursor *cursor, int idx_num, const char *idx_str, int argc,
                        sqlite3_value **argv);
int vtabi_cursor_next(sqlite3_vtab_cursor *cursor);
int vtabi_cursor_eof(sqlite3_vtab_cursor *cursor);
int vtabi_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column);
void vtabi_cursor_free(struct cursor *cursor); /* a spare one; NULL is fine */
int vtabi_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid);

/* row.c: one live row, decoded column by column. */

struct vtabi_slot {
    uint64_t number;         /* of the row this was found in */
    struct base_slice value; /* a plain cell's value */
    const uint8_t *at;       /* a multi-cell column: its first cell, … */
    uint32_t column_before;  /* … and the column of the cell before it */
};
struct vtabi_row {
    const struct vtabi_binding *binding;
    struct base_live_row live;
    uint64_t number; /* counts rows: what was decoded for another row is stale */
    /* partition key values, decoded once a partition */
    struct base_buf pkey, pk;
    struct base_slice *pk_values;
    bool pk_known;
    /* clustering values, decoded up to the one asked for */
    struct base_buf ck;
    size_t *ck_ends;
    size_t ck_known;
    struct base_reader ck_reader;
    bool ck_original;
    uint64_t ck_number; /* of the row that this is about */
    /* cells, indexed up to the one asked for: [0] regular, [1] static */
    struct vtabi_cells {
        struct base_cells it;
        uint32_t upto;   /* columns with an id up to this are indexed */
        uint64_t number; /* of the row that this is about */
    } cells[2];
    struct vtabi_slot *slots; /* by column id */
    struct base_buf scratch, value;
};
BASE_MUST int vtabi_row_init(struct vtabi_row *row, const struct vtabi_binding *binding);
void vtabi_row_fini(struct vtabi_row *row);
/* Another live row is about to be read into row->live: what was decoded is stale. */
static inline void vtabi_row_next(struct vtabi_row *row)
{
    row->number++;
}
/* A column's serialized value; *present false: NULL (as for column NULL: dropped). Valid until the
 * next call. */
BASE_MUST int vtabi_row_value(struct vtabi_row *row, const struct base_column *column,
                              struct base_slice *value, bool *present, struct base_err *err);
/* The same as a SQL value. */
BASE_MUST int vtabi_row_sql(struct vtabi_row *row, const struct base_column *column,
                            struct base_sql_value *out, struct base_err *err);
/* The commonest columns straight to SQLite's result; false: ask vtabi_row_sql (nothing was set). */
bool vtabi_row_quick(struct vtabi_row *row, const struct base_column *column,
                     sqlite3_context *context);
/* The row's hidden columns: seconds left to live (-1: it does not expire) and the latest write. */
BASE_MUST bool vtabi_row_times(struct vtabi_row *row, int64_t now_s, int64_t *ttl_s,
                               int64_t *writetime_us);

/* collection.c. */

/* Assign a serialized value: deletion of what was, then the elements. `like` has column, ts, and
 * EXPIRING with ttl and expiry (else local_s is now). */
BASE_MUST int vtabi_collection_put(struct base_row_builder *row, const struct base_type *type,
                                   struct base_slice value, const struct base_cell *like,
                                   struct base_err *err);

/* update.c. */

int vtabi_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);
void vtabi_writer_init(struct vtabi_writer *writer);
void vtabi_writer_fini(struct vtabi_writer *writer);

/* txn.c. */

BASE_MUST int vtabi_txn_join(struct vtabi_table *table, struct base_err *err);
void vtabi_txn_leave(struct vtabi_table *table);
int vtabi_txn_begin(sqlite3_vtab *vtab);
int vtabi_txn_sync(sqlite3_vtab *vtab);
int vtabi_txn_commit(sqlite3_vtab *vtab);
int vtabi_txn_rollback(sqlite3_vtab *vtab);
int vtabi_txn_savepoint(sqlite3_vtab *vtab, int level);
int vtabi_txn_release(sqlite3_vtab *vtab, int level);
int vtabi_txn_rollback_to(sqlite3_vtab *vtab, int level);

/* value.c: between SQLite's values and codes and ours. */

void vtabi_value_get(sqlite3_value *in, struct base_sql_value *out);
void vtabi_value_result(sqlite3_context *context, const struct base_sql_value *value);
int vtabi_sqlite_code(int code);
/* Set the virtual table's message and return SQLite's code. */
int vtabi_fail(sqlite3_vtab *vtab, int code, const struct base_err *err);
void vtabi_fail_function(sqlite3_context *context, int code, const struct base_err *err);
/* A slice as NUL-terminated text of SQLite's allocator; NULL when out of memory. */
char *vtabi_strdup(struct base_slice text);
/* Append an SQL identifier in double quotes. */
BASE_MUST int vtabi_put_quoted(struct base_slice name, struct base_buf *out);

/* collation.c. */

int vtabi_collations_register(sqlite3 *db);
/* The collation that compares the SQL form of the type's values. */
const char *vtabi_collation(const struct base_type *type);

/* functions.c, import.c, tables.c. */

int vtabi_functions_register(struct vtabi_host *host);
void vtabi_import(sqlite3_context *context, int argc, sqlite3_value **argv);
int vtabi_tables_register(struct vtabi_host *host);

/* query.c: CQL with values. */

/* ringlet_cql; its user data is the host */
void vtabi_cql_function(sqlite3_context *context, int argc, sqlite3_value **argv);
/* ringlet_query */
int vtabi_query_register(struct vtabi_host *host);

#define VTABI_BUF_MAX ((size_t)1 << 30) /* SQLite's own limit on a value is below this */

#endif
