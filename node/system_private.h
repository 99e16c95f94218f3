/* The tables that the node makes up, for node/system*.c alone.
 *
 * To add one: a row in the table of its keyspace (system_tables.c: definition; NULL: it is always
 * empty), and a filler, which puts all its rows; what the read does not ask for is passed over by
 * nodei_fill_end. */
#ifndef NODE_SYSTEM_PRIVATE_H
#define NODE_SYSTEM_PRIVATE_H

#include "node/cql_private.h"
#include "replication/replication.h"

/* Drivers choose by it how they read the schema: a Cassandra version, of which these tables are. */
#define NODEI_CASSANDRA_VERSION "5.0.2"
#define NODEI_CQL_VERSION "3.4.7"
#define NODEI_PROTOCOL_VERSION "5"
#define NODEI_PARTITIONER "org.apache.cassandra.dht.Murmur3Partitioner"

struct nodei_fill;
typedef void nodei_fill_fn(struct nodei_fill *fill);

struct nodei_system_table {
    const char *keyspace, *name;
    const char *columns; /* what stands between the parentheses of CREATE TABLE */
    const char *comment;
    nodei_fill_fn *fill; /* NULL: nothing is ever in it */
};
extern const struct nodei_system_table nodei_system_tables[];
extern const size_t nodei_system_table_count;
/* Virtual keyspaces are not in system_schema, but in system_virtual_schema. */
bool nodei_is_virtual_keyspace(struct base_slice name);

/* Filling (system_fill.c). */

/* A read under preparation: what is known at this moment, and the rows so far. The first error
 * stays; fillers need not look. */
struct nodei_fill {
    struct node *node;
    struct repl *repl;                /* NULL: alone */
    const struct base_schema *schema; /* of the metadata log */
    const struct base_schema *system;
    const struct ring_state *ring; /* NULL: alone */
    const struct base_table *table;
    const struct base_read *cmd;
    int rc;
    struct base_err *err;
    /* The row under way: a value for each column, data NULL: none. */
    struct base_slice *values;
    struct base_arena arena;
    struct base_buf scratch, collection, row, mutation;
    struct base_buf pkey, ckey;
    uint32_t collection_count;
    struct lsm_overlay *overlay;
    int64_t ts_us;
};
BASE_MUST int nodei_fill_begin(struct nodei_fill *fill, struct base_err *err);
void nodei_fill_fini(struct nodei_fill *fill);

/* Values of the row under way; columns by name (they exist). Text is copied. */
void nodei_fill_put(struct nodei_fill *fill, const char *column, struct base_slice value);
void nodei_fill_text(struct nodei_fill *fill, const char *column, const char *text);
void nodei_fill_printf(struct nodei_fill *fill, const char *column, const char *fmt, ...)
    BASE_PRINTF(3, 4);
void nodei_fill_int(struct nodei_fill *fill, const char *column, int32_t value);
/* timestamps too: ms */
void nodei_fill_bigint(struct nodei_fill *fill, const char *column, int64_t value);
void nodei_fill_count(struct nodei_fill *fill, const char *column, uint64_t value); /* a bigint */
void nodei_fill_double(struct nodei_fill *fill, const char *column, double value);
void nodei_fill_bool(struct nodei_fill *fill, const char *column, bool value);
void nodei_fill_uuid(struct nodei_fill *fill, const char *column, struct base_uuid value);
/* An IP address as text; nothing when it is none (a host name). */
void nodei_fill_inet(struct nodei_fill *fill, const char *column, const char *host);
/* A list, set or map (keys and values alternate), element by element, then put. Order does not
 * matter. */
void nodei_fill_element(struct nodei_fill *fill, struct base_slice value);
void nodei_fill_collection(struct nodei_fill *fill, const char *column);
void nodei_fill_options(struct nodei_fill *fill, const char *column,
                        const struct base_options *options);
/* The row is whole: kept if the read's partition is its. */
void nodei_fill_end(struct nodei_fill *fill);
/* … or is none, after all. */
void nodei_fill_forget(struct nodei_fill *fill);
/* May the read want rows of this partition, whose first key column (a text) is `value`? Saves what
 * is costly. */
bool nodei_fill_wants(const struct nodei_fill *fill, struct base_slice value);
/* Every table of the metadata log that is in this node's store, with what the store knows of it. */
void nodei_fill_each_table(struct nodei_fill *fill,
                           void (*each)(struct nodei_fill *fill, const struct base_table *table,
                                        const struct lsm_table_stats *stats));
void nodei_fill_each_place(struct nodei_fill *fill,
                           void (*each)(struct nodei_fill *fill, const struct base_table *table,
                                        struct lsm_table *place));
bool nodei_fill_has(const struct nodei_fill *fill, const char *column);

/* Members (system_local.c). */

/* "HOST:PORT" → its parts. False: it is none. */
bool nodei_split_address(struct base_slice address, char host[64], uint16_t *port);
/* What this node is called in its data centre. */
struct base_slice nodei_own_dc(const struct node *node);
struct base_slice nodei_own_rack(const struct node *node);
const char *nodei_cluster_name(struct nodei_fill *fill); /* until the row's end */

/* Fillers. */
nodei_fill_fn nodei_fill_local, nodei_fill_peers, nodei_fill_peers_v2, nodei_fill_size_estimates,
    nodei_fill_table_estimates, nodei_fill_index_info,
    nodei_fill_sstable_tasks; /* system_local.c */
nodei_fill_fn nodei_fill_keyspaces, nodei_fill_tables, nodei_fill_columns,
    nodei_fill_dropped_columns, nodei_fill_types, nodei_fill_indexes, nodei_fill_virtual_keyspaces,
    nodei_fill_virtual_tables, nodei_fill_virtual_columns; /* system_catalog.c */
nodei_fill_fn nodei_fill_settings, nodei_fill_caches, nodei_fill_thread_pools,
    nodei_fill_pending_hints, nodei_fill_gossip_info, nodei_fill_disk_usage,
    nodei_fill_max_partition_size, nodei_fill_local_read_latency, nodei_fill_local_write_latency,
    nodei_fill_internode_outbound, nodei_fill_clients, nodei_fill_cql_metrics,
    nodei_fill_prepared_statements; /* system_views.c */

#endif
