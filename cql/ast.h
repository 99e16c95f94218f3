/* The syntax tree: what a statement says, before anything is looked up. All of it lives in the arena
 * given to cql_parse; slices point into the arena or into the statement's text. Lists are singly
 * linked, in the order of the text. */
#ifndef CQL_AST_H
#define CQL_AST_H

#include "cql/cql.h"

/* A name that may be qualified. keyspace.data is NULL when it is not. */
struct cql_name {
    struct base_slice keyspace, name;
};

/* A literal. */
enum cql_term_kind {
    CQL_TERM_STRING, CQL_TERM_INTEGER, CQL_TERM_FLOAT, CQL_TERM_BOOLEAN, CQL_TERM_DURATION, CQL_TERM_UUID,
    CQL_TERM_BLOB, CQL_TERM_WORD, /* an unquoted word where a literal may stand: ALWAYS, ttl */
    CQL_TERM_MAP,                 /* items: key, value, key, value, … */
};
struct cql_term {
    enum cql_term_kind kind;
    struct base_slice text; /* STRING: without quotes; the others as written */
    struct cql_term *items; /* MAP */
    struct cql_term *next;
};

/* name = value, after WITH */
struct cql_property {
    struct base_slice name; /* lower case */
    const struct cql_term *value;
    struct cql_property *next;
};

/* A column of a table or a field of a type. */
struct cql_column_def {
    struct base_slice name;
    struct base_slice type; /* its text, as base_type_parse takes it */
    bool is_static, is_primary_key;
    struct cql_column_def *next;
};

/* An element of a list of names: PRIMARY KEY (name, …), name DESC, RENAME name TO other, DROP name. */
struct cql_name_item {
    struct base_slice name, other;
    bool descending;
    struct cql_name_item *next;
};

enum cql_alter { CQL_ALTER_NONE, CQL_ALTER_ADD, CQL_ALTER_DROP, CQL_ALTER_RENAME, CQL_ALTER_WITH, CQL_ALTER_COLUMN_TYPE };

struct cql_statement {
    enum cql_statement_kind kind;
    bool conditional;       /* IF [NOT] EXISTS about the thing itself */
    struct cql_name target; /* USE and keyspaces: only .name */
    struct cql_property *properties;
    /* CREATE TABLE, CREATE TYPE, ALTER … ADD */
    struct cql_column_def *columns;
    /* CREATE TABLE */
    unsigned primary_key_count; /* PRIMARY KEY (…) clauses */
    struct cql_name_item *partition_key, *clustering;
    struct cql_name_item *clustering_order;
    bool compact_storage;
    /* ALTER TABLE, ALTER TYPE */
    enum cql_alter alter;
    bool alter_conditional;      /* ADD IF NOT EXISTS, DROP IF EXISTS, RENAME IF EXISTS */
    struct cql_name_item *names; /* DROP, RENAME, COLUMN_TYPE */
    struct base_slice timestamp; /* DROP … USING TIMESTAMP: digits; else empty */
};

#endif
