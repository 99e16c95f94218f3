/* CQL: text to statements (lexer: re2c, grammar: lemon), statements to schema changes or requests
 * by analysis against a schema snapshot. Pure functions over base: no I/O, clock or thread. */
#ifndef CQL_CQL_H
#define CQL_CQL_H

#include "base/schema.h"

#define CQL_TEXT_LEN_MAX (1u << 20)

enum cql_statement_kind {
    CQL_CREATE_KEYSPACE,
    CQL_ALTER_KEYSPACE,
    CQL_DROP_KEYSPACE,
    CQL_CREATE_TABLE,
    CQL_ALTER_TABLE,
    CQL_DROP_TABLE,
    CQL_CREATE_TYPE,
    CQL_ALTER_TYPE,
    CQL_DROP_TYPE,
    CQL_TRUNCATE,
    CQL_USE,
    CQL_CREATE_INDEX,
    CQL_DROP_INDEX,
    CQL_SELECT,
    CQL_INSERT,
    CQL_UPDATE,
    CQL_DELETE,
    CQL_BATCH,
    CQL_CREATE_ROLE,
    CQL_ALTER_ROLE,
    CQL_DROP_ROLE,
    CQL_LIST_ROLES,
    CQL_DESCRIBE,
    CQL_REFUSED, /* understood, and refused by name with the reason: what has its own issue later
                    (materialized views, GRANT, …) */
};

struct cql_statement; /* the AST; cql/ast.h */

/* Parse one statement (a ';' at the end is allowed). The AST lives in the arena. SYNTAX with "line
 * 1:8 …" in Cassandra's manner; LIMIT for a text over CQL_TEXT_LEN_MAX. */
BASE_MUST int cql_parse(struct base_arena *arena, struct base_slice text,
                        struct cql_statement **out, struct base_err *err);
enum cql_statement_kind cql_statement_kind(const struct cql_statement *statement);
/* Length of the first statement in a script (its ';' included), 0 at the end; comments and strings
 * are understood. */
size_t cql_split(struct base_slice script);

/* What a DDL statement does. */
struct cql_ddl {
    bool nothing;              /* IF [NOT] EXISTS said so: no change */
    struct base_change change; /* made against schema->epoch */
};
struct cql_context {
    const struct base_schema *schema;
    /* system, system_schema, system_views …: tables that are not in the metadata log; may be
     * NULL */
    const struct base_schema *system;
    struct base_slice keyspace; /* USE, or empty */
    struct base_uuid new_id;    /* for CREATE TABLE: a random (version 4) id */
    int64_t now_us;             /* dropped columns, truncation */
    bool internal;              /* the node's own statement: system keyspaces may be changed */
};
/* Analyse a DDL statement or TRUNCATE. Cassandra's rules and messages (INVALID, CONFIG, EXISTS,
 * NOTFOUND). */
BASE_MUST int cql_analyze_ddl(struct base_arena *arena, const struct cql_statement *statement,
                              const struct cql_context *context, struct cql_ddl *out,
                              struct base_err *err);
/* CQL_USE: the keyspace. */
struct base_slice cql_use_keyspace(const struct cql_statement *statement);

/* Table definition from CREATE VIRTUAL TABLE … USING ringlet(…): the part in parentheses as CQL's
 * column definitions ("sensor TEXT, …, PRIMARY KEY ((sensor, day), ts)") plus `with` ("CLUSTERING
 * ORDER BY (ts DESC) AND comment = 'x'", may be empty) → the same change as CREATE TABLE
 * keyspace.name (…) WITH …. */
BASE_MUST int cql_analyze_table(struct base_arena *arena, struct base_slice keyspace,
                                struct base_slice name, struct base_slice definitions,
                                struct base_slice with, const struct cql_context *context,
                                struct cql_ddl *out, struct base_err *err);

/* The CREATE statements of things, for DESCRIBE, dumps and messages. Appended. */
BASE_MUST int cql_describe_table(const struct base_table *table, struct base_buf *out);
/* The table's indexes are not among it: they follow, each by itself. */
BASE_MUST int cql_describe_index(const struct base_table *table, const struct base_index *index,
                                 struct base_buf *out);
BASE_MUST int cql_describe_type(const struct base_user_type *type, struct base_buf *out);
BASE_MUST int cql_describe_keyspace(const struct base_keyspace *keyspace, struct base_buf *out);
/* An identifier, quoted if CQL needs it. */
BASE_MUST int cql_put_identifier(struct base_slice name, struct base_buf *out);

/* Defaults as Cassandra 5 has them. Static text: valid for ever. */
void cql_table_options_default(struct base_table_options *options);
/* What the store needs of a table's option maps, as numbers; defaults for what the maps do not
 * say. */
struct cql_storage {
    int compressor, compression_level; /* enum base_compressor */
    bool compaction_enabled;
    uint32_t min_threshold, max_threshold;
    double bucket_low, bucket_high;
    uint64_t min_sstable_size;
};
void cql_table_storage(const struct base_table_options *options, struct cql_storage *out);

#endif
