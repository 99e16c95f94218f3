/* The syntax tree: what a statement says, before anything is looked up. All of it lives in the
 * arena given to cql_parse; slices point into the arena or into the statement's text. Lists are
 * singly linked, in the order of the text. */
#ifndef CQL_AST_H
#define CQL_AST_H

#include "cql/cql.h"

/* A name that may be qualified. keyspace.data is NULL when it is not. */
struct cql_name {
    struct base_slice keyspace, name;
};

/* Terms. */

/* Whatever may stand for a value: on the right of an operator, among VALUES, in SET, as a selector,
 * as a property. One tree, so that selectors and values share analysis and evaluation (cql/expr.h).
 * What may stand where is analysis' to say. */
enum cql_term_kind {
    CQL_TERM_STRING,
    CQL_TERM_INTEGER,
    CQL_TERM_FLOAT, /* FLOAT: NaN, Infinity and -Infinity too, as written */
    CQL_TERM_BOOLEAN,
    CQL_TERM_DURATION,
    CQL_TERM_UUID,
    CQL_TERM_BLOB,
    CQL_TERM_WORD, /* a property's unquoted word: ALWAYS, ttl. Never in statements on data */
    CQL_TERM_NULL,
    CQL_TERM_BIND,  /* ? or :name; `number`: its place in the statement, from 0; text: the name, or
                       empty */
    CQL_TERM_MAP,   /* {k: v, …}; items: key, value, key, value, …  Also {} */
    CQL_TERM_SET,   /* {v, …}, not empty */
    CQL_TERM_LIST,  /* [v, …]; a list or a vector */
    CQL_TERM_TUPLE, /* (v, …); of one: parentheses around it */
    CQL_TERM_UDT, /* {field: v, …}; items: the values, each with its field in .field; not empty. In
                   * a selector it may be a map whose keys are columns */
    CQL_TERM_CALL, /* f(args); name: the function (token, writetime, ttl, count … too); items: the
                      arguments */
    CQL_TERM_STAR, /* count(*)'s argument */
    CQL_TERM_CAST, /* CAST(items AS type); text: the type's text */
    CQL_TERM_HINT, /* (type) items; text: the type's text */
    CQL_TERM_BINARY,  /* items: left, right; op */
    CQL_TERM_NEGATE,  /* - items */
    CQL_TERM_COLUMN,  /* a column, text: its name */
    CQL_TERM_FIELD,   /* items.text: a field of a UDT. ks.f(…) is a CALL */
    CQL_TERM_ELEMENT, /* items[second item] */
    CQL_TERM_SLICE, /* items[from .. to]; a bound that is not given is CQL_TERM_NULL with empty text
                     */
};

/* Terms are never nested deeper than this (the parser refuses it), so code may recurse over
 * them. */
#define CQL_TERM_DEPTH_MAX 128

struct cql_term {
    enum cql_term_kind kind;
    struct base_slice text;  /* STRING: without quotes; NULL as written; see above */
    struct cql_name name;    /* CALL */
    char op;                 /* BINARY: + - * / % */
    uint32_t number;         /* BIND */
    uint32_t depth;          /* levels of terms below */
    struct base_slice field; /* of an item of a UDT: the field's name */
    uint32_t item_count;
    struct cql_term *items; /* linked by next */
    struct cql_term *next;
    /* the term as written, for column names and messages ("count(*)", "a + 1"); may be empty for
     * literals */
    struct base_slice source;
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

/* An element of a list of names: PRIMARY KEY (name, …), name DESC, RENAME name TO other, DROP
 * name. */
struct cql_name_item {
    struct base_slice name, other;
    bool descending;
    struct cql_name_item *next;
};

enum cql_alter {
    CQL_ALTER_NONE,
    CQL_ALTER_ADD,
    CQL_ALTER_DROP,
    CQL_ALTER_RENAME,
    CQL_ALTER_WITH,
    CQL_ALTER_COLUMN_TYPE
};

/* Data. */

enum cql_operator {
    CQL_OP_EQ,
    CQL_OP_NE,
    CQL_OP_LT,
    CQL_OP_LE,
    CQL_OP_GT,
    CQL_OP_GE,
    CQL_OP_IN,
    CQL_OP_CONTAINS,
    CQL_OP_CONTAINS_KEY,
    CQL_OP_LIKE,
    CQL_OP_IS_NOT_NULL,
};
enum cql_relation_left {
    CQL_LEFT_COLUMN,  /* columns: one */
    CQL_LEFT_TUPLE,   /* (a, b, …) */
    CQL_LEFT_TOKEN,   /* token(a, b, …) */
    CQL_LEFT_ELEMENT, /* column[element] */
    CQL_LEFT_FIELD,   /* column.field: conditions */
};
/* One condition of WHERE or IF. */
struct cql_relation {
    enum cql_relation_left left;
    struct cql_name_item *columns;
    const struct cql_term *element; /* ELEMENT */
    struct base_slice field;        /* FIELD */
    enum cql_operator op;
    /* The right side. IN (…): kind TUPLE, its items the alternatives (may be none); IN ?: the BIND
     * itself. NULL: IS NOT NULL. */
    const struct cql_term *value;
    struct cql_relation *next;
};

/* SELECT's list. */
struct cql_selector {
    const struct cql_term *term;
    struct base_slice alias; /* or empty */
    struct cql_selector *next;
};

/* UPDATE … SET */
struct cql_assignment {
    struct base_slice column;
    const struct cql_term *element; /* column[element] = value, or NULL */
    struct base_slice field;        /* column.field = value, or empty */
    /* `column = value`, where value may hold CQL_TERM_COLUMN (c = c + v, c = v + c, c = c - v).
     * `column += v` and `-= v` come as the same BINARY with COLUMN. */
    const struct cql_term *value;
    struct cql_assignment *next;
};

/* DELETE's list. */
struct cql_deletion {
    struct base_slice column;
    const struct cql_term *element; /* or NULL */
    struct base_slice field;        /* or empty */
    struct cql_deletion *next;
};

struct cql_select {
    bool star, distinct, json;
    struct cql_selector *selectors; /* NULL: star */
    struct cql_term *group_by;      /* COLUMN or CALL (floor), linked */
    struct cql_name_item *order_by;
    const struct cql_term *ann_of; /* ORDER BY column ANN OF: parsed, refused by analysis */
    const struct cql_term *per_partition_limit, *limit; /* or NULL */
    bool allow_filtering;
};

/* the native protocol's codes */
enum cql_batch_kind { CQL_BATCH_LOGGED, CQL_BATCH_UNLOGGED, CQL_BATCH_COUNTER };

/* INSERT, UPDATE, DELETE, BATCH */
struct cql_modify {
    /* INSERT */
    struct cql_name_item *columns;
    struct cql_term *values;
    const struct cql_term *json; /* INSERT JSON: STRING or BIND; then no columns and values */
    bool json_default_unset;
    /* UPDATE, DELETE */
    struct cql_assignment *assignments;
    struct cql_deletion *deletions;
    /* USING; or NULL. A BATCH has its own timestamp here */
    const struct cql_term *timestamp, *ttl;
    bool if_not_exists, if_exists;
    struct cql_relation *conditions; /* IF a = 1 AND … */
    /* BATCH */
    enum cql_batch_kind batch;
    struct cql_statement *statements; /* linked by next */
};

/* The rest. */

enum cql_index_target {
    CQL_INDEX_PLAIN,
    CQL_INDEX_VALUES,
    CQL_INDEX_KEYS,
    CQL_INDEX_ENTRIES,
    CQL_INDEX_FULL
};
struct cql_index_def {      /* CREATE INDEX; statement.target is the table */
    struct base_slice name; /* or empty */
    bool custom;
    struct base_slice column;
    enum cql_index_target target;
    struct base_slice using_class; /* or empty */
};

/* CREATE, ALTER, DROP, LIST of ROLE and USER. statement.target.name: the role, or empty (LIST).
 * Options come as properties: password, "hashed password", superuser, login, options, access (WORD
 * ALL, or a SET of data centres), "access from" (WORD ALL, or a SET of CIDRs). */
struct cql_role_def {
    bool user;            /* written with USER */
    bool list_recursive;  /* not NORECURSIVE */
    struct base_slice of; /* LIST ROLES OF */
};

enum cql_describe_what {
    CQL_DESCRIBE_CLUSTER,
    CQL_DESCRIBE_SCHEMA,
    CQL_DESCRIBE_FULL_SCHEMA,
    CQL_DESCRIBE_KEYSPACES,
    CQL_DESCRIBE_KEYSPACE,
    CQL_DESCRIBE_TABLES,
    CQL_DESCRIBE_TABLE,
    CQL_DESCRIBE_TYPES,
    CQL_DESCRIBE_TYPE,
    CQL_DESCRIBE_INDEX,
    CQL_DESCRIBE_VIEW,
    CQL_DESCRIBE_FUNCTIONS,
    CQL_DESCRIBE_FUNCTION,
    CQL_DESCRIBE_AGGREGATES,
    CQL_DESCRIBE_AGGREGATE,
    CQL_DESCRIBE_ANY, /* DESCRIBE name */
};
struct cql_describe {
    enum cql_describe_what what;
    bool only, with_internals; /* KEYSPACE … ONLY */
};

struct cql_statement {
    enum cql_statement_kind kind;
    bool conditional;       /* IF [NOT] EXISTS about the thing itself */
    struct cql_name target; /* USE and keyspaces: only .name. SELECT, INSERT …: the table */
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
    /* SELECT, UPDATE, DELETE */
    struct cql_relation *where;
    struct cql_select select;
    struct cql_modify modify;
    struct cql_index_def index;
    struct cql_role_def role;
    struct cql_describe describe;
    /* A statement that is understood and not carried out (CQL_REFUSED): its name, "CREATE
     * MATERIALIZED VIEW", and why, for people. */
    const char *refused, *refused_why;
    uint32_t bind_count;        /* markers in the whole text */
    struct cql_statement *next; /* in a BATCH */
};

#endif
