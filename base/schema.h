/* The schema: keyspaces, types, tables. An immutable snapshot, shared by reference; a change makes
 * a new snapshot (base_schema_apply, a pure function), agreed on by the metadata log (DESIGN.md
 * §4).
 *
 * Names are the exact, unquoted names (case-sensitive; CQL folds unquoted ones before they come
 * here). Everything a snapshot points to lives in its arena. */
#ifndef BASE_SCHEMA_H
#define BASE_SCHEMA_H

#include "base/type.h"

#define BASE_NAME_LEN_MAX 48 /* keyspace and table names (Cassandra's SchemaConstants) */
#define BASE_COLUMN_NAME_LEN_MAX 65535
#define BASE_COLUMNS_MAX 2000 /* a table; SQLite's own limit for virtual tables is the same */

enum base_column_kind {
    BASE_COLUMN_PARTITION_KEY,
    BASE_COLUMN_CLUSTERING,
    BASE_COLUMN_STATIC,
    BASE_COLUMN_REGULAR
};

struct base_column {
    uint32_t id; /* unique in the table for ever: a dropped column's id is not used again */
    enum base_column_kind kind;
    uint32_t position; /* in the partition key or the clustering; else 0 */
    bool descending;   /* clustering */
    struct base_slice name;
    const struct base_type *type;
};
struct base_dropped_column {
    uint32_t id;
    struct base_slice name;
    const struct base_type *type;
    bool is_static;
    int64_t dropped_us; /* cells with ts <= this are gone */
};

/* A string-to-string map, sorted by key (options like replication, compaction, compression). */
struct base_option {
    struct base_slice key, value;
};
struct base_options {
    const struct base_option *items;
    size_t count;
};
/* data NULL: absent */
struct base_slice base_options_get(const struct base_options *options, const char *key);
bool base_options_equal(const struct base_options *a, const struct base_options *b);

/* Table options that Cassandra 5 has, with its defaults (cassandra5_reference.md). */
struct base_table_options {
    struct base_slice comment;
    int32_t default_time_to_live_s; /* 0 */
    int32_t gc_grace_s;             /* 864000 */
    double bloom_filter_fp_chance;  /* 0.01 */
    double crc_check_chance;        /* 1.0 */
    int32_t memtable_flush_period_ms;
    int32_t min_index_interval, max_index_interval;
    bool cdc;
    bool allow_auto_snapshot, incremental_backups; /* true */
    struct base_slice speculative_retry, additional_write_policy, read_repair, memtable;
    struct base_options caching, compaction, compression, extensions;
};

/* A local secondary index (DESIGN.md §6: a table component). */
enum base_index_target {
    BASE_INDEX_VALUE,
    BASE_INDEX_VALUES,
    BASE_INDEX_KEYS,
    BASE_INDEX_ENTRIES,
    BASE_INDEX_FULL
};
struct base_index {
    uint32_t id;            /* unique in the table for ever, among indexes; from 1 */
    struct base_slice name; /* unique in the keyspace */
    uint32_t column;        /* its id */
    /* VALUE: a plain column. VALUES, KEYS, ENTRIES: of a collection. FULL: a frozen one */
    enum base_index_target target;
    struct base_slice index_class; /* CUSTOM … USING; or empty */
};

struct base_table {
    struct base_uuid id;
    struct base_slice keyspace, name;
    /* partition key, clustering, then static and regular by name */
    const struct base_column *columns;
    size_t column_count;
    size_t partition_key_count, clustering_count, static_count; /* regular: the rest */
    const struct base_dropped_column *dropped;
    size_t dropped_count;
    uint32_t next_column_id;          /* ids start at 1 */
    const struct base_index *indexes; /* by name */
    size_t index_count;
    uint32_t next_index_id;
    int64_t truncated_us; /* the time of its last TRUNCATE; INT64_MIN: never truncated */
    struct base_table_options options;
    /* In a snapshot's tables: column indexes by ascending id. NULL in a table that is not in one
     * yet. */
    const uint16_t *columns_by_id;
};
struct base_user_type {
    struct base_slice keyspace, name;
    const struct base_type *type; /* not frozen */
};
struct base_keyspace {
    struct base_slice name;
    struct base_options replication; /* class (short name) and its options */
    bool durable_writes;
    const struct base_table *const *tables; /* by name */
    size_t table_count;
    const struct base_user_type *types; /* by name */
    size_t type_count;
};

struct base_schema {
    struct base_arena arena;
    uint64_t epoch;
    const struct base_keyspace *keyspaces; /* by name */
    size_t keyspace_count;
    const struct base_table *const *tables_by_id; /* all tables, by ascending id */
    size_t table_count;
    int refs; /* atomic */
};

/* References: thread-safe. A snapshot is freed with its last reference. */
/* epoch 0, empty, one reference; NULL when out of memory */
struct base_schema *base_schema_new(void);
struct base_schema *base_schema_acquire(struct base_schema *schema);
void base_schema_release(struct base_schema *schema);

const struct base_keyspace *base_schema_keyspace(const struct base_schema *schema,
                                                 struct base_slice name);
const struct base_table *base_schema_table(const struct base_schema *schema,
                                           struct base_slice keyspace, struct base_slice name);
const struct base_table *base_schema_table_by_id(const struct base_schema *schema,
                                                 struct base_uuid id);
const struct base_user_type *base_schema_type(const struct base_schema *schema,
                                              struct base_slice keyspace, struct base_slice name);
const struct base_column *base_table_column(const struct base_table *table, struct base_slice name);
const struct base_column *base_table_column_by_id(const struct base_table *table, uint32_t id);
/* May a keyspace or table be called so? [a-zA-Z0-9_]{1,48}, as in Cassandra. */
bool base_name_valid(struct base_slice name);

/* The index of that name, and (may be NULL) its table; NULL: there is none. */
const struct base_index *base_keyspace_index(const struct base_keyspace *keyspace,
                                             struct base_slice name,
                                             const struct base_table **table);
#define BASE_INDEX_NAME_LEN_MAX 222
/* May an index be called so? [a-zA-Z0-9_]{1,222} */
bool base_index_name_valid(struct base_slice name);
/* May a column be indexed so? Its type and its place in the key allow it (Cassandra's
 * CreateIndexStatement). */
bool base_index_fits(const struct base_table *table, const struct base_column *column,
                     enum base_index_target target);
/* Is a duration anywhere in the type? Such values have no order. */
bool base_type_has_duration(const struct base_type *type);

/* Changes. */

/* One transformation of the metadata log. Objects are given whole, as they are after the change. */
enum base_change_kind {
    BASE_CHANGE_KEYSPACE_CREATE = 1,
    BASE_CHANGE_KEYSPACE_ALTER = 2,
    BASE_CHANGE_KEYSPACE_DROP = 3,
    BASE_CHANGE_TYPE_CREATE = 4,
    BASE_CHANGE_TYPE_ALTER = 5,
    BASE_CHANGE_TYPE_DROP = 6,
    BASE_CHANGE_TABLE_CREATE = 7,
    BASE_CHANGE_TABLE_ALTER = 8,
    BASE_CHANGE_TABLE_DROP = 9,
    BASE_CHANGE_TABLE_TRUNCATE = 10,
    BASE_CHANGE_TOPOLOGY = 11, /* members and tokens: the schema stays, at the next epoch */
};
struct base_change {
    enum base_change_kind kind;
    /* the epoch it was made against: another change in between refuses it (STALE) */
    uint64_t expected_epoch;
    struct base_slice keyspace, name; /* what is changed */
    /* KEYSPACE_CREATE, KEYSPACE_ALTER: name, replication, durable_writes only */
    const struct base_keyspace *keyspace_new;
    const struct base_type *type_new;   /* TYPE_* */
    const struct base_table *table_new; /* TABLE_CREATE, TABLE_ALTER */
    struct base_uuid table_id;          /* TABLE_DROP, TABLE_TRUNCATE */
    int64_t time_us;                    /* TABLE_TRUNCATE: data with ts <= this go */
    struct base_slice topology;         /* TOPOLOGY: ring/cluster.h reads it */
    /* tells equal changes of two proposers apart; zero: proposed by nobody (a node alone) */
    struct base_uuid proposal;
};
/* Log entry bytes, and back (into the arena). docs/formats/catalog.md. A user type inside another
 * type or a column travels as a reference, by name: after decoding it has no fields, until
 * base_schema_apply gives it those of the snapshot. */
BASE_MUST int base_change_encode(const struct base_change *change, struct base_buf *out);
BASE_MUST int base_change_decode(struct base_arena *arena, struct base_slice bytes,
                                 struct base_change *out, struct base_err *err);
/* A new snapshot with the change applied, epoch + 1. EXISTS, NOTFOUND, INVALID, STALE, LIMIT,
 * NOMEM. User types are resolved anew, by name, wherever they are used: a change of a type reaches
 * the tables and types that use it. Dropping a keyspace drops its tables and types. */
BASE_MUST int base_schema_apply(const struct base_schema *schema, const struct base_change *change,
                                struct base_schema **out, struct base_err *err);
/* A whole snapshot as bytes, and back. */
BASE_MUST int base_schema_encode(const struct base_schema *schema, struct base_buf *out);
BASE_MUST int base_schema_decode(struct base_slice bytes, struct base_schema **out,
                                 struct base_err *err);

#endif
