/* Statements to schema changes: the door, keyspaces, and types' names.
 *
 * Analysis reads a snapshot and makes one change against its epoch; it decides nothing twice: what
 * must hold for any change, whoever makes it, base_schema_apply checks again. Messages are
 * Cassandra's where the facts are the same. */
#include <stdio.h>

#include "cql/cql_private.h"
#include "cql/wire.h"

#define LIT(text) BASE_SLICE_LIT(text)

static bool is_system(struct base_slice keyspace)
{
    return base_slice_equal(keyspace, LIT("system")) ||
           (keyspace.len > 7 && memcmp(keyspace.data, "system_", 7) == 0);
}

/* Those that the cluster keeps for itself in tables like any other: users may say where (ALTER
 * KEYSPACE) and empty them. */
static bool is_replicated_system(struct base_slice keyspace)
{
    return base_slice_equal(keyspace, LIT("system_auth")) ||
           base_slice_equal(keyspace, LIT("system_traces"));
}

static int check_not_system(struct cqli_analysis *a, struct base_slice keyspace)
{
    if (a->context->internal || !is_system(keyspace))
        return BASE_OK;
    if (!is_replicated_system(keyspace))
        return base_err_set(a->err, BASE_E_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                            BASE_SLICE_ARG(keyspace));
    switch (a->statement->kind) {
    case CQL_ALTER_KEYSPACE:
    case CQL_TRUNCATE:
        return BASE_OK;
    case CQL_DROP_KEYSPACE:
        return base_err_set(a->err, BASE_E_UNAUTHORIZED, "Cannot DROP <keyspace %.*s>",
                            BASE_SLICE_ARG(keyspace));
    case CQL_DROP_TABLE:
        return base_err_set(a->err, BASE_E_UNAUTHORIZED, "Cannot DROP <table %.*s.%.*s>",
                            BASE_SLICE_ARG(keyspace), BASE_SLICE_ARG(a->statement->target.name));
    default:
        return base_err_set(a->err, BASE_E_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                            BASE_SLICE_ARG(keyspace));
    }
}

int cqli_target_keyspace(struct cqli_analysis *a, const struct base_keyspace **out)
{
    struct base_slice name = a->statement->target.keyspace;
    *out = NULL;
    if (!name.data)
        name = a->context->keyspace;
    if (!name.len)
        return base_err_set(
            a->err, BASE_E_INVALID,
            "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.%s",
            a->statement->kind == CQL_CREATE_TYPE || a->statement->kind == CQL_ALTER_TYPE ||
                    a->statement->kind == CQL_DROP_TYPE
                ? "typename"
                : "tablename");
    int rc = check_not_system(a, name);
    if (rc != BASE_OK)
        return rc;
    *out = base_schema_keyspace(a->context->schema, name);
    a->out->change.keyspace = name;
    return *out ? BASE_OK
                : base_err_set(a->err, BASE_E_NOTFOUND, "Keyspace '%.*s' doesn't exist",
                               BASE_SLICE_ARG(name));
}

/* Types by name. */

/* What people who know another database write. */
static const struct {
    const char *name, *hint;
} type_hints[] = {
    {"integer", "int or bigint"},
    {"int4", "int"},
    {"int8", "bigint"},
    {"int2", "smallint"},
    {"mediumint", "int"},
    {"long", "bigint"},
    {"short", "smallint"},
    {"byte", "tinyint"},
    {"real", "double or float"},
    {"float4", "float"},
    {"float8", "double"},
    {"number", "decimal"},
    {"numeric", "decimal"},
    {"bigdecimal", "decimal"},
    {"money", "decimal"},
    {"string", "text"},
    {"str", "text"},
    {"char", "text"},
    {"character", "text"},
    {"nchar", "text"},
    {"nvarchar", "text"},
    {"varchar2", "text"},
    {"clob", "text"},
    {"json", "text or map<text, text>"},
    {"jsonb", "text or map<text, text>"},
    {"bool", "boolean"},
    {"bit", "boolean"},
    {"datetime", "timestamp"},
    {"timestamptz", "timestamp"},
    {"interval", "duration"},
    {"guid", "uuid"},
    {"serial", "timeuuid or bigint"},
    {"bytes", "blob"},
    {"bytea", "blob"},
    {"binary", "blob"},
    {"varbinary", "blob"},
    {"array", "list<…>"},
    {"struct", "a type made with CREATE TYPE"},
    {"any", "blob"},
};

static const char *const builtin_types[] = {
    "ascii",    "bigint",   "blob",  "boolean",  "counter", "date",     "decimal",
    "double",   "duration", "empty", "float",    "frozen",  "inet",     "int",
    "list",     "map",      "set",   "smallint", "text",    "time",     "timestamp",
    "timeuuid", "tinyint",  "tuple", "uuid",     "varchar", "varint",   "vector",
    "byte",     "complex",  "enum",  "interval", "macaddr", "bitstring"};

bool cqli_type_name_is_builtin(struct base_slice name)
{
    for (size_t i = 0; i < BASE_COUNT(builtin_types); i++)
        if (base_slice_equal(name, base_slice_str(builtin_types[i])))
            return true;
    return false;
}

/* Looks up user types for base_type_parse, and remembers what it did not find. */
struct type_lookup {
    const struct base_keyspace *keyspace;
    struct base_slice missing, foreign_keyspace;
};

static const struct base_type *find_type(void *ctx, struct base_slice keyspace,
                                         struct base_slice name)
{
    struct type_lookup *lookup = ctx;
    lookup->missing = name;
    if (keyspace.len && !base_slice_equal(keyspace, lookup->keyspace->name)) {
        lookup->foreign_keyspace = keyspace;
        return NULL;
    }
    for (size_t i = 0; i < lookup->keyspace->type_count; i++)
        if (base_slice_equal(lookup->keyspace->types[i].name, name))
            return lookup->keyspace->types[i].type;
    return NULL;
}

static int unknown_type(struct cqli_analysis *a, const struct type_lookup *lookup)
{
    struct base_slice name = lookup->missing;
    if (lookup->foreign_keyspace.data)
        return base_err_set(a->err, BASE_E_INVALID,
                            "Statement on keyspace %.*s cannot refer to a user type in keyspace "
                            "%.*s; user types can "
                            "only be used in the keyspace they are defined in",
                            BASE_SLICE_ARG(lookup->keyspace->name),
                            BASE_SLICE_ARG(lookup->foreign_keyspace));
    for (size_t i = 0; i < BASE_COUNT(type_hints); i++)
        if (base_slice_equal_nocase(name, base_slice_str(type_hints[i].name)))
            return base_err_set(a->err, BASE_E_INVALID, "unknown type %.*s: did you mean %s?",
                                BASE_SLICE_ARG(name), type_hints[i].hint);
    return base_err_set(a->err, BASE_E_INVALID, "Unknown type %.*s.%.*s",
                        BASE_SLICE_ARG(lookup->keyspace->name), BASE_SLICE_ARG(name));
}

static bool holds_custom(const struct base_type *type)
{
    bool found = type->kind == BASE_TYPE_CUSTOM;
    for (uint32_t i = 0; !found && i < type->param_count; i++)
        found = holds_custom(type->params[i]);
    return found;
}

/* 'org.apache.cassandra.db.marshal.Int32Type' → int: by way of its text in CQL, so that what CQL
 * forbids stays forbidden. */
static int type_of_class(struct cqli_analysis *a, struct base_slice quoted, struct base_slice *text)
{
    struct base_slice name = base_slice(quoted.data + 1, quoted.len - 2);
    const struct base_type *type;
    struct base_buf out;
    int rc = cql_wire_parse_class(a->arena, name, &type, a->err);
    if (rc != BASE_OK)
        return base_err_wrap(a->err, rc, "type %.*s", BASE_SLICE_ARG(quoted));
    if (holds_custom(type))
        return base_err_set(a->err, BASE_E_INVALID,
                            "custom types are not supported: there is no class %.*s here",
                            BASE_SLICE_ARG(quoted));
    base_buf_init(&out, 1 << 16);
    rc = base_type_print(type, &out);
    if (rc == BASE_OK)
        rc = base_arena_copy(a->arena, base_buf_view(&out), text);
    base_buf_fini(&out);
    return rc == BASE_OK ? rc
                         : base_err_set(a->err, rc, "type %.*s: %s", BASE_SLICE_ARG(quoted),
                                        base_err_words(rc));
}

int cqli_resolve_type(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                      struct base_slice text, const struct base_type **out)
{
    struct type_lookup lookup = {.keyspace = keyspace};
    struct base_type_resolver resolver = {find_type, &lookup};
    int rc = text.len > 2 && text.data[0] == '\'' ? type_of_class(a, text, &text) : BASE_OK;
    if (rc == BASE_OK)
        rc = base_type_parse(a->arena, text, &resolver, out, a->err);
    return rc == BASE_E_NOTFOUND ? unknown_type(a, &lookup) : rc;
}

/* Keyspaces. */

static int create_keyspace(struct cqli_analysis *a)
{
    struct base_slice name = a->statement->target.name;
    struct base_change *change = &a->out->change;
    if (!base_name_valid(name))
        return base_err_set(
            a->err, BASE_E_INVALID,
            "Keyspace name must not be empty, more than %d characters long, or contain "
            "non-alphanumeric-underscore characters (got \"%.*s\")",
            BASE_NAME_LEN_MAX, BASE_SLICE_ARG(name));
    struct base_keyspace *keyspace = base_arena_zalloc(a->arena, sizeof *keyspace);
    if (!keyspace)
        return cqli_no_memory(a);
    keyspace->name = name;
    keyspace->durable_writes = true;
    /* wrong options are an error also when it exists */
    int rc = cqli_keyspace_options(a, keyspace, true);
    if (rc != BASE_OK)
        return rc;
    if (base_schema_keyspace(a->context->schema, name)) {
        a->out->nothing = a->statement->conditional;
        return a->out->nothing
                   ? BASE_OK
                   : base_err_set(a->err, BASE_E_EXISTS, "Cannot add existing keyspace \"%.*s\"",
                                  BASE_SLICE_ARG(name));
    }
    change->kind = BASE_CHANGE_KEYSPACE_CREATE;
    change->keyspace_new = keyspace;
    return BASE_OK;
}

static int alter_keyspace(struct cqli_analysis *a, const struct base_keyspace *old)
{
    struct base_keyspace *keyspace = base_arena_alloc(a->arena, sizeof *keyspace);
    if (!keyspace)
        return cqli_no_memory(a);
    *keyspace = (struct base_keyspace){
        .name = old->name, .replication = old->replication, .durable_writes = old->durable_writes};
    a->out->change.kind = BASE_CHANGE_KEYSPACE_ALTER;
    a->out->change.keyspace_new = keyspace;
    return cqli_keyspace_options(a, keyspace, false);
}

static int analyze_keyspace(struct cqli_analysis *a)
{
    struct base_slice name = a->statement->target.name;
    int rc = check_not_system(a, name);
    if (rc != BASE_OK)
        return rc;
    a->out->change.keyspace = name;
    if (a->statement->kind == CQL_CREATE_KEYSPACE)
        return create_keyspace(a);
    const struct base_keyspace *old = base_schema_keyspace(a->context->schema, name);
    if (!old) {
        a->out->nothing = a->statement->conditional;
        return a->out->nothing
                   ? BASE_OK
                   : base_err_set(a->err, BASE_E_NOTFOUND, "Keyspace '%.*s' doesn't exist",
                                  BASE_SLICE_ARG(name));
    }
    if (a->statement->kind == CQL_ALTER_KEYSPACE)
        return alter_keyspace(a, old);
    a->out->change.kind = BASE_CHANGE_KEYSPACE_DROP;
    return BASE_OK;
}

/* The door. */

int cql_analyze_ddl(struct base_arena *arena, const struct cql_statement *statement,
                    const struct cql_context *context, struct cql_ddl *out, struct base_err *err)
{
    struct cqli_analysis a = {arena, statement, context, out, err};
    *out = (struct cql_ddl){.change = {.expected_epoch = context->schema->epoch}};
    int rc = BASE_E_INTERNAL;
    switch (statement->kind) {
    case CQL_CREATE_KEYSPACE:
    case CQL_ALTER_KEYSPACE:
    case CQL_DROP_KEYSPACE:
        rc = analyze_keyspace(&a);
        break;
    case CQL_CREATE_TYPE:
    case CQL_ALTER_TYPE:
    case CQL_DROP_TYPE:
        rc = cqli_analyze_type(&a);
        break;
    case CQL_CREATE_TABLE:
    case CQL_ALTER_TABLE:
    case CQL_DROP_TABLE:
    case CQL_TRUNCATE:
        rc = cqli_analyze_table(&a);
        break;
    case CQL_CREATE_INDEX:
    case CQL_DROP_INDEX:
        rc = cqli_analyze_index(&a);
        break;
    case CQL_REFUSED:
        rc = base_err_set(err, BASE_E_INVALID, "%s is not supported: %s", statement->refused,
                          statement->refused_why);
        break;
    case CQL_USE:
    case CQL_SELECT:
    case CQL_INSERT:
    case CQL_UPDATE:
    case CQL_DELETE:
    case CQL_BATCH:
    case CQL_CREATE_ROLE:
    case CQL_ALTER_ROLE:
    case CQL_DROP_ROLE:
    case CQL_LIST_ROLES:
    case CQL_DESCRIBE:
        rc = base_err_set(
            err, BASE_E_INVALID,
            "%s changes no schema: here only statements that do are carried out yet; rows are read "
            "and written with SQL",
            cqli_statement_name(statement->kind));
        break;
    }
    if (rc != BASE_OK)
        *out = (struct cql_ddl){0};
    return rc;
}

static int parse_part(struct base_arena *arena, struct cql_statement *statement,
                      enum cqli_entry entry, struct base_slice text, const char *what,
                      struct base_err *err)
{
    struct cqli_parse p = {.arena = arena, .text = text, .statement = statement, .err = err};
    int rc = cqli_parse(&p, entry);
    return rc == BASE_OK ? rc : base_err_wrap(err, rc, "%s", what);
}

int cql_analyze_table(struct base_arena *arena, struct base_slice keyspace, struct base_slice name,
                      struct base_slice definitions, struct base_slice with,
                      const struct cql_context *context, struct cql_ddl *out, struct base_err *err)
{
    *out = (struct cql_ddl){0};
    struct cql_statement *statement = base_arena_zalloc(arena, sizeof *statement);
    if (!statement)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    statement->kind = CQL_CREATE_TABLE;
    statement->target = (struct cql_name){keyspace, name};
    int rc =
        parse_part(arena, statement, CQLI_ENTRY_COLUMNS, definitions, "column definitions", err);
    if (rc == BASE_OK)
        rc = parse_part(arena, statement, CQLI_ENTRY_OPTIONS, with, "with", err);
    return rc == BASE_OK ? cql_analyze_ddl(arena, statement, context, out, err) : rc;
}
