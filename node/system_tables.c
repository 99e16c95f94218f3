/* Definitions of the tables that the node makes up: Cassandra 5's columns and types, as drivers,
 * cqlsh and people expect them.
 *
 * What is always empty says something all the same: that nothing of the kind is there (no view is
 * built, no snapshot was taken). */
#include "node/system_private.h"

const struct nodei_system_table nodei_system_tables[] = {
    /* system */
    {"system", "IndexInfo",
     "table_name text, index_name text, value blob, PRIMARY KEY (table_name, index_name)",
     "built column indexes", nodei_fill_index_info},
    {"system", "available_ranges", "keyspace_name text PRIMARY KEY, ranges set<blob>",
     "available keyspace/ranges during bootstrap/replace that are ready to be served", NULL},
    {"system", "available_ranges_v2",
     "keyspace_name text PRIMARY KEY, full_ranges set<blob>, transient_ranges set<blob>",
     "available keyspace/ranges during bootstrap/replace that are ready to be served", NULL},
    {"system", "batches", "id timeuuid PRIMARY KEY, mutations list<blob>, version int",
     "batches awaiting replay", NULL},
    {"system", "built_views",
     "keyspace_name text, view_name text, status_replicated boolean, PRIMARY KEY (keyspace_name, "
     "view_name)",
     "built views", NULL},
    {"system", "compaction_history",
     "id timeuuid PRIMARY KEY, bytes_in bigint, bytes_out bigint, columnfamily_name text, "
     "compacted_at timestamp, "
     "compaction_properties frozen<map<text, text>>, keyspace_name text, rows_merged map<int, "
     "bigint>",
     "week-long compaction history", NULL},
    {"system", "local",
     "key text PRIMARY KEY, bootstrapped text, broadcast_address inet, broadcast_port int, "
     "cluster_name text, "
     "cql_version text, data_center text, gossip_generation int, host_id uuid, listen_address "
     "inet, listen_port "
     "int, native_protocol_version text, partitioner text, rack text, release_version text, "
     "rpc_address inet, "
     "rpc_port int, schema_version uuid, tokens set<text>, truncated_at map<uuid, blob>",
     "information about the local node", nodei_fill_local},
    {"system", "paxos",
     "row_key blob, cf_id uuid, in_progress_ballot timeuuid, most_recent_commit blob, "
     "most_recent_commit_at "
     "timeuuid, most_recent_commit_version int, proposal blob, proposal_ballot timeuuid, "
     "proposal_version int, "
     "PRIMARY KEY (row_key, cf_id)",
     "in-progress paxos proposals", NULL},
    {"system", "paxos_repair_history",
     "keyspace_name text, table_name text, points frozen<list<blob>>, PRIMARY KEY (keyspace_name, "
     "table_name)",
     "paxos repair history", NULL},
    {"system", "peer_events", "peer inet PRIMARY KEY, hints_dropped map<uuid, int>",
     "events related to peers", NULL},
    {"system", "peer_events_v2",
     "peer inet, peer_port int, hints_dropped map<uuid, int>, PRIMARY KEY (peer, peer_port)",
     "events related to peers", NULL},
    {"system", "peers",
     "peer inet PRIMARY KEY, data_center text, host_id uuid, preferred_ip inet, rack text, "
     "release_version text, "
     "rpc_address inet, schema_version uuid, tokens set<text>",
     "information about known peers in the cluster", nodei_fill_peers},
    {"system", "peers_v2",
     "peer inet, peer_port int, data_center text, host_id uuid, native_address inet, native_port "
     "int, preferred_ip "
     "inet, preferred_port int, rack text, release_version text, schema_version uuid, tokens "
     "set<text>, PRIMARY "
     "KEY (peer, peer_port)",
     "information about known peers in the cluster", nodei_fill_peers_v2},
    {"system", "prepared_statements",
     "prepared_id blob PRIMARY KEY, logged_keyspace text, query_string text", "prepared statements",
     nodei_fill_prepared_statements},
    {"system", "repairs",
     "parent_id timeuuid PRIMARY KEY, cfids set<uuid>, coordinator inet, coordinator_port int, "
     "last_update "
     "timestamp, participants set<inet>, participants_wp set<text>, ranges set<blob>, repaired_at "
     "timestamp, "
     "started_at timestamp, state int",
     "repairs", NULL},
    {"system", "size_estimates",
     "keyspace_name text, table_name text, range_start text, range_end text, mean_partition_size "
     "bigint, "
     "partitions_count bigint, PRIMARY KEY (keyspace_name, table_name, range_start, range_end)",
     "per-table primary range size estimates, table is deprecated in favor of table_estimates",
     nodei_fill_size_estimates},
    {"system", "sstable_activity",
     "keyspace_name text, columnfamily_name text, generation int, rate_120m double, rate_15m "
     "double, PRIMARY KEY "
     "((keyspace_name, columnfamily_name, generation))",
     "historic sstable read rates", NULL},
    {"system", "sstable_activity_v2",
     "keyspace_name text, table_name text, id text, rate_120m double, rate_15m double, PRIMARY KEY "
     "((keyspace_name, table_name, id))",
     "historic sstable read rates", NULL},
    {"system", "table_estimates",
     "keyspace_name text, table_name text, range_type text, range_start text, range_end text, "
     "mean_partition_size "
     "bigint, partitions_count bigint, PRIMARY KEY (keyspace_name, table_name, range_type, "
     "range_start, range_end)",
     "per-table range size estimates", nodei_fill_table_estimates},
    {"system", "top_partitions",
     "keyspace_name text, table_name text, top_type text, last_update timestamp, top "
     "frozen<list<tuple<text, "
     "bigint>>>, PRIMARY KEY (keyspace_name, table_name, top_type)",
     "Stores the top partitions", NULL},
    {"system", "transferred_ranges",
     "operation text, keyspace_name text, peer inet, ranges set<blob>, PRIMARY KEY ((operation, "
     "keyspace_name), "
     "peer)",
     "record of transferred ranges for streaming operation", NULL},
    {"system", "transferred_ranges_v2",
     "operation text, keyspace_name text, peer inet, peer_port int, ranges set<blob>, PRIMARY KEY "
     "((operation, "
     "keyspace_name), peer, peer_port)",
     "record of transferred ranges for streaming operation", NULL},
    {"system", "view_builds_in_progress",
     "keyspace_name text, view_name text, start_token text, end_token text, keys_built bigint, "
     "last_token text, "
     "PRIMARY KEY (keyspace_name, view_name, start_token, end_token)",
     "views builds current progress", NULL},
    /* system_schema */
    {"system_schema", "aggregates",
     "keyspace_name text, aggregate_name text, argument_types frozen<list<text>>, final_func text, "
     "initcond text, "
     "return_type text, state_func text, state_type text, PRIMARY KEY (keyspace_name, "
     "aggregate_name, "
     "argument_types)",
     "user defined aggregate definitions", NULL},
    {"system_schema", "column_masks",
     "keyspace_name text, table_name text, column_name text, function_argument_nulls "
     "frozen<list<boolean>>, "
     "function_argument_types frozen<list<text>>, function_argument_values frozen<list<text>>, "
     "function_keyspace "
     "text, function_name text, PRIMARY KEY (keyspace_name, table_name, column_name)",
     "column dynamic data masks", NULL},
    {"system_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text, "
     "column_name_bytes blob, kind "
     "text, position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
     "column definitions", nodei_fill_columns},
    {"system_schema", "dropped_columns",
     "keyspace_name text, table_name text, column_name text, dropped_time timestamp, kind text, "
     "type text, PRIMARY "
     "KEY (keyspace_name, table_name, column_name)",
     "dropped column registry", nodei_fill_dropped_columns},
    {"system_schema", "functions",
     "keyspace_name text, function_name text, argument_types frozen<list<text>>, argument_names "
     "frozen<list<text>>, body text, called_on_null_input boolean, language text, return_type "
     "text, PRIMARY KEY "
     "(keyspace_name, function_name, argument_types)",
     "user defined function definitions", NULL},
    {"system_schema", "indexes",
     "keyspace_name text, table_name text, index_name text, kind text, options frozen<map<text, "
     "text>>, PRIMARY "
     "KEY (keyspace_name, table_name, index_name)",
     "secondary index definitions", nodei_fill_indexes},
    {"system_schema", "keyspaces",
     "keyspace_name text PRIMARY KEY, durable_writes boolean, replication frozen<map<text, text>>",
     "keyspace definitions", nodei_fill_keyspaces},
    {"system_schema", "tables",
     "keyspace_name text, table_name text, additional_write_policy text, allow_auto_snapshot "
     "boolean, "
     "bloom_filter_fp_chance double, caching frozen<map<text, text>>, cdc boolean, comment text, "
     "compaction "
     "frozen<map<text, text>>, compression frozen<map<text, text>>, crc_check_chance double, "
     "dclocal_read_repair_chance double, default_time_to_live int, extensions frozen<map<text, "
     "blob>>, flags "
     "frozen<set<text>>, gc_grace_seconds int, id uuid, incremental_backups boolean, "
     "max_index_interval int, "
     "memtable text, memtable_flush_period_in_ms int, min_index_interval int, read_repair text, "
     "read_repair_chance "
     "double, speculative_retry text, PRIMARY KEY (keyspace_name, table_name)",
     "table definitions", nodei_fill_tables},
    {"system_schema", "triggers",
     "keyspace_name text, table_name text, trigger_name text, options frozen<map<text, text>>, "
     "PRIMARY KEY "
     "(keyspace_name, table_name, trigger_name)",
     "trigger definitions", NULL},
    {"system_schema", "types",
     "keyspace_name text, type_name text, field_names frozen<list<text>>, field_types "
     "frozen<list<text>>, PRIMARY "
     "KEY (keyspace_name, type_name)",
     "user defined type definitions", nodei_fill_types},
    {"system_schema", "views",
     "keyspace_name text, view_name text, additional_write_policy text, allow_auto_snapshot "
     "boolean, base_table_id "
     "uuid, base_table_name text, bloom_filter_fp_chance double, caching frozen<map<text, text>>, "
     "cdc boolean, "
     "comment text, compaction frozen<map<text, text>>, compression frozen<map<text, text>>, "
     "crc_check_chance "
     "double, dclocal_read_repair_chance double, default_time_to_live int, extensions "
     "frozen<map<text, blob>>, "
     "gc_grace_seconds int, id uuid, include_all_columns boolean, incremental_backups boolean, "
     "max_index_interval "
     "int, memtable text, memtable_flush_period_in_ms int, min_index_interval int, read_repair "
     "text, "
     "read_repair_chance double, speculative_retry text, where_clause text, PRIMARY KEY "
     "(keyspace_name, view_name)",
     "view definitions", NULL},
    /* system_views */
    {"system_views", "batch_metrics",
     "name text PRIMARY KEY, max bigint, p50th double, p999th double, p99th double",
     "Metrics specific to batch statements", NULL},
    {"system_views", "caches",
     "name text PRIMARY KEY, capacity_bytes bigint, entry_count int, hit_count bigint, hit_ratio "
     "double, "
     "recent_hit_rate_per_second bigint, recent_request_rate_per_second bigint, request_count "
     "bigint, size_bytes "
     "bigint",
     "system caches", nodei_fill_caches},
    {"system_views", "clients",
     "address inet, port int, client_options frozen<map<text, text>>, connection_stage text, "
     "driver_name text, "
     "driver_version text, hostname text, keyspace_name text, protocol_version int, request_count "
     "bigint, "
     "ssl_cipher_suite text, ssl_enabled boolean, ssl_protocol text, username text, PRIMARY KEY "
     "(address, port)",
     "currently connected clients", nodei_fill_clients},
    {"system_views", "coordinator_read_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", NULL},
    {"system_views", "coordinator_scan_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", NULL},
    {"system_views", "coordinator_write_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", NULL},
    {"system_views", "cql_metrics", "name text PRIMARY KEY, value double",
     "Metrics specific to CQL prepared statement caching", nodei_fill_cql_metrics},
    {"system_views", "credentials_cache_keys", "role text PRIMARY KEY",
     "keys in the credentials cache", NULL},
    {"system_views", "disk_usage",
     "keyspace_name text, table_name text, mebibytes bigint, PRIMARY KEY ((keyspace_name, "
     "table_name))",
     "", nodei_fill_disk_usage},
    {"system_views", "gossip_info",
     "address inet, port int, dc text, dc_version int, disk_usage text, disk_usage_version int, "
     "generation int, "
     "heartbeat int, host_id text, host_id_version int, hostname text, index_status text, "
     "index_status_version "
     "int, internal_address_and_port text, internal_address_and_port_version int, internal_ip "
     "text, "
     "internal_ip_version int, load text, load_version int, native_address_and_port text, "
     "native_address_and_port_version int, net_version text, net_version_version int, rack text, "
     "rack_version int, "
     "release_version text, release_version_version int, removal_coordinator text, "
     "removal_coordinator_version "
     "int, rpc_address text, rpc_address_version int, rpc_ready text, rpc_ready_version int, "
     "\"schema\" text, "
     "schema_version int, severity text, severity_version int, sstable_versions text, "
     "sstable_versions_version "
     "int, status text, status_version int, status_with_port text, status_with_port_version int, "
     "tokens_version "
     "int, x1 text, x10 text, x10_version int, x1_version int, x2 text, x2_version int, x3 text, "
     "x3_version int, "
     "x4 text, x4_version int, x5 text, x5_version int, x6 text, x6_version int, x7 text, "
     "x7_version int, x8 text, "
     "x8_version int, x9 text, x9_version int, x_11_padding text, x_11_padding_version int, "
     "PRIMARY KEY (address, "
     "port)",
     "lists the gossip information for the cluster", nodei_fill_gossip_info},
    {"system_views", "internode_inbound",
     "address inet, port int, dc text, rack text, corrupt_frames_recovered bigint, "
     "corrupt_frames_unrecovered "
     "bigint, error_bytes bigint, error_count bigint, expired_bytes bigint, expired_count bigint, "
     "processed_bytes "
     "bigint, processed_count bigint, received_bytes bigint, received_count bigint, "
     "scheduled_bytes bigint, "
     "scheduled_count bigint, throttled_count bigint, throttled_nanos bigint, using_bytes bigint, "
     "using_reserve_bytes bigint, PRIMARY KEY ((address, port), dc, rack)",
     "", NULL},
    {"system_views", "internode_outbound",
     "address inet, port int, dc text, rack text, active_connections bigint, connection_attempts "
     "bigint, "
     "error_bytes bigint, error_count bigint, expired_bytes bigint, expired_count bigint, "
     "overload_bytes bigint, "
     "overload_count bigint, pending_bytes bigint, pending_count bigint, sent_bytes bigint, "
     "sent_count bigint, "
     "successful_connection_attempts bigint, using_bytes bigint, using_reserve_bytes bigint, "
     "PRIMARY KEY "
     "((address, port), dc, rack)",
     "", nodei_fill_internode_outbound},
    {"system_views", "jmx_permissions_cache_keys", "role text PRIMARY KEY",
     "keys in the JMX permissions cache", NULL},
    {"system_views", "local_read_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", nodei_fill_local_read_latency},
    {"system_views", "local_scan_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", NULL},
    {"system_views", "local_write_latency",
     "keyspace_name text, table_name text, \"50th_ms\" double, \"99th_ms\" double, count bigint, "
     "max_ms double, "
     "per_second double, PRIMARY KEY ((keyspace_name, table_name))",
     "", nodei_fill_local_write_latency},
    {"system_views", "max_partition_size",
     "keyspace_name text, table_name text, mebibytes bigint, PRIMARY KEY ((keyspace_name, "
     "table_name))",
     "", nodei_fill_max_partition_size},
    {"system_views", "network_permissions_cache_keys", "role text PRIMARY KEY",
     "keys in the network permissions cache", NULL},
    {"system_views", "pending_hints",
     "host_id uuid PRIMARY KEY, address inet, corrupted_files int, dc text, files int, newest "
     "timestamp, oldest "
     "timestamp, port int, rack text, status text, total_corrupted_files_size bigint, total_size "
     "bigint",
     "Pending hints that this node has for other nodes", nodei_fill_pending_hints},
    {"system_views", "permissions_cache_keys",
     "role text, resource text, PRIMARY KEY ((role, resource))", "keys in the permissions cache",
     NULL},
    {"system_views", "queries",
     "thread_id text PRIMARY KEY, queued_micros bigint, running_micros bigint, task text",
     "Lists the currently running queries", NULL},
    {"system_views", "roles_cache_keys", "role text PRIMARY KEY", "keys in the roles cache", NULL},
    {"system_views", "rows_per_read",
     "keyspace_name text, table_name text, \"50th\" double, \"99th\" double, count bigint, max "
     "double, PRIMARY KEY "
     "((keyspace_name, table_name))",
     "", NULL},
    {"system_views", "settings", "name text PRIMARY KEY, value text", "current settings",
     nodei_fill_settings},
    {"system_views", "snapshots",
     "name text, keyspace_name text, table_name text, created_at timestamp, ephemeral boolean, "
     "expires_at "
     "timestamp, size_on_disk bigint, true_size bigint, PRIMARY KEY (name, keyspace_name, "
     "table_name)",
     "available snapshots", NULL},
    {"system_views", "sstable_tasks",
     "keyspace_name text, table_name text, task_id timeuuid, completion_ratio double, kind text, "
     "progress bigint, "
     "sstables int, target_directory text, total bigint, unit text, PRIMARY KEY (keyspace_name, "
     "table_name, "
     "task_id)",
     "current sstable tasks", nodei_fill_sstable_tasks},
    {"system_views", "streaming",
     "id timeuuid PRIMARY KEY, bytes_received bigint, bytes_sent bigint, bytes_to_receive bigint, "
     "bytes_to_send "
     "bigint, duration_millis bigint, failure_cause text, files_received bigint, files_sent "
     "bigint, "
     "files_to_receive bigint, files_to_send bigint, follower boolean, last_updated_at timestamp, "
     "operation text, "
     "peers frozen<list<text>>, progress_percentage float, status text, status_failure_timestamp "
     "timestamp, "
     "status_init_timestamp timestamp, status_start_timestamp timestamp, status_success_timestamp "
     "timestamp, "
     "success_message text",
     "", NULL},
    {"system_views", "system_logs",
     "timestamp timestamp, order_in_millisecond int, level text, logger text, message text, "
     "PRIMARY KEY "
     "(timestamp, order_in_millisecond)",
     "Cassandra logs", NULL},
    {"system_views", "system_properties", "name text PRIMARY KEY, value text",
     "Cassandra relevant system properties", NULL},
    {"system_views", "thread_pools",
     "name text PRIMARY KEY, active_tasks int, active_tasks_limit int, blocked_tasks bigint, "
     "blocked_tasks_all_time bigint, completed_tasks bigint, pending_tasks int",
     "Thread pool metrics for all thread pools", nodei_fill_thread_pools},
    {"system_views", "tombstones_per_read",
     "keyspace_name text, table_name text, \"50th\" double, \"99th\" double, count bigint, max "
     "double, PRIMARY KEY "
     "((keyspace_name, table_name))",
     "", NULL},
    /* system_virtual_schema */
    {"system_virtual_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text, "
     "column_name_bytes blob, kind "
     "text, position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
     "virtual column definitions", nodei_fill_virtual_columns},
    {"system_virtual_schema", "keyspaces", "keyspace_name text PRIMARY KEY",
     "virtual keyspace definitions", nodei_fill_virtual_keyspaces},
    {"system_virtual_schema", "tables",
     "keyspace_name text, table_name text, comment text, PRIMARY KEY (keyspace_name, table_name)",
     "virtual table definitions", nodei_fill_virtual_tables},
};
const size_t nodei_system_table_count = BASE_COUNT(nodei_system_tables);
