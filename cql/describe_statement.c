/* DESCRIBE, in the server: Cassandra's rows (DescribeStatement), made of one snapshot and the
 * system schema.
 *
 * 1. Elements come so that executing them one after another on an empty node makes the same schema:
 *    a keyspace, its types (each after those it is made of), its tables, each with its indexes.
 *    Among equals by name, in any case, as Cassandra sorts.
 * 2. What no statement can make (virtual tables) is printed as a comment.
 * 3. Names are quoted if CQL needs it: cqlsh prints them as they come. */
#include <stdlib.h>

#include "cql/cql_private.h"
#include "cql/exec.h"

struct describe {
    struct base_arena *arena;
    const struct cql_statement *statement;
    const struct cql_context *context;
    struct base_err *err;
    struct cql_result *out;
    struct base_buf text; /* of the cell at hand */
    bool texts;           /* rows have create_statement */
};

static int no_memory(struct describe *d)
{
    return base_err_set(d->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
}

static int invalid(struct describe *d, const char *what, struct base_slice name, const char *where,
                   struct base_slice keyspace)
{
    return base_err_set(d->err, BASE_E_INVALID, "%s'%.*s' not found in %s'%.*s'", what,
                        BASE_SLICE_ARG(name), where, BASE_SLICE_ARG(keyspace));
}

/* Cells. */

static int put_cell(struct describe *d, struct base_slice bytes)
{
    uint8_t len[4];
    base_put_be32(len, (uint32_t)bytes.len);
    int rc = base_buf_put_slice(&d->out->rows, base_slice(len, sizeof len));
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&d->out->rows, bytes);
    return rc == BASE_OK ? BASE_OK : base_err_set(d->err, rc, "DESCRIBE: %s", base_err_words(rc));
}

static int put_name_cell(struct describe *d, struct base_slice name)
{
    base_buf_reset(&d->text);
    int rc = cql_put_identifier(name, &d->text);
    return rc == BASE_OK ? put_cell(d, base_buf_view(&d->text))
                         : base_err_set(d->err, rc, "DESCRIBE: %s", base_err_words(rc));
}

/* keyspace_name, type, name. */
static int put_element(struct describe *d, struct base_slice keyspace, const char *type,
                       struct base_slice name)
{
    int rc = put_name_cell(d, keyspace);
    if (rc == BASE_OK)
        rc = put_cell(d, base_slice_str(type));
    if (rc == BASE_OK)
        rc = put_name_cell(d, name);
    d->out->row_count++;
    return rc;
}

/* create_statement: what `rc` says is in d->text. */
static int put_text_cell(struct describe *d, int rc)
{
    return rc == BASE_OK ? put_cell(d, base_buf_view(&d->text))
                         : base_err_set(d->err, rc, "DESCRIBE: %s", base_err_words(rc));
}

/* In Cassandra's order. */

struct named {
    struct base_slice name;
    const void *thing;
};

/* As Java's CASE_INSENSITIVE_ORDER for the letters that names are made of; equal ones by their
 * bytes. */
static int compare_named(const void *a, const void *b)
{
    struct base_slice x = ((const struct named *)a)->name, y = ((const struct named *)b)->name;
    for (size_t i = 0; i < x.len && i < y.len; i++) {
        int cx = x.data[i] >= 'A' && x.data[i] <= 'Z' ? x.data[i] + 32 : x.data[i];
        int cy = y.data[i] >= 'A' && y.data[i] <= 'Z' ? y.data[i] + 32 : y.data[i];
        if (cx != cy)
            return cx - cy;
    }
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    return x.len ? memcmp(x.data, y.data, x.len) : 0;
}

static struct named *new_list(struct describe *d, size_t count)
{
    return base_arena_zalloc(d->arena, (count + 1) * sizeof(struct named));
}

static void sort(struct named *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof *list, compare_named);
}

static struct named *sorted_tables(struct describe *d, const struct base_keyspace *keyspace)
{
    struct named *list = new_list(d, keyspace->table_count);
    for (size_t i = 0; list && i < keyspace->table_count; i++)
        list[i] = (struct named){keyspace->tables[i]->name, keyspace->tables[i]};
    if (list)
        sort(list, keyspace->table_count);
    return list;
}

static struct named *sorted_types(struct describe *d, const struct base_keyspace *keyspace)
{
    struct named *list = new_list(d, keyspace->type_count);
    for (size_t i = 0; list && i < keyspace->type_count; i++)
        list[i] = (struct named){keyspace->types[i].name, &keyspace->types[i]};
    if (list)
        sort(list, keyspace->type_count);
    return list;
}

/* Keyspaces of the schema and of the system; the former's when both have one. */
static struct named *sorted_keyspaces(struct describe *d, size_t *count)
{
    const struct base_schema *const schemas[] = {d->context->schema, d->context->system};
    size_t room = schemas[0]->keyspace_count + (schemas[1] ? schemas[1]->keyspace_count : 0), n = 0;
    struct named *list = new_list(d, room);
    for (size_t s = 0; list && s < BASE_COUNT(schemas); s++)
        for (size_t i = 0; schemas[s] && i < schemas[s]->keyspace_count; i++) {
            const struct base_keyspace *keyspace = &schemas[s]->keyspaces[i];
            if (s == 0 || !base_schema_keyspace(schemas[0], keyspace->name))
                list[n++] = (struct named){keyspace->name, keyspace};
        }
    if (list)
        sort(list, n);
    *count = n;
    return list;
}

/* What there is. */

static const struct base_keyspace *keyspace_named(struct describe *d, struct base_slice name)
{
    const struct base_keyspace *keyspace = base_schema_keyspace(d->context->schema, name);
    return keyspace || !d->context->system ? keyspace
                                           : base_schema_keyspace(d->context->system, name);
}

bool cqli_keyspace_is_virtual(struct base_slice keyspace)
{
    return base_slice_equal(keyspace, BASE_SLICE_LIT("system_views")) ||
           base_slice_equal(keyspace, BASE_SLICE_LIT("system_virtual_schema"));
}

static bool is_system(struct describe *d, const struct base_keyspace *keyspace)
{
    static const char *const replicated[] = {"system_auth", "system_distributed", "system_traces"};
    for (size_t i = 0; i < BASE_COUNT(replicated); i++)
        if (base_slice_equal(keyspace->name, base_slice_str(replicated[i])))
            return true;
    return d->context->system && base_schema_keyspace(d->context->system, keyspace->name);
}

static int find_keyspace(struct describe *d, struct base_slice name,
                         const struct base_keyspace **out)
{
    *out = keyspace_named(d, name);
    return *out ? BASE_OK
                : base_err_set(d->err, BASE_E_INVALID, "'%.*s' not found in keyspaces",
                               BASE_SLICE_ARG(name));
}

/* The keyspace of the thing to describe: named, or the session's. */
static int target_keyspace(struct describe *d, struct base_slice named,
                           const struct base_keyspace **out)
{
    struct base_slice name = named.data ? named : d->context->keyspace;
    *out = NULL;
    if (name.len == 0)
        return base_err_set(d->err, BASE_E_INVALID,
                            "No keyspace specified and no current keyspace");
    return find_keyspace(d, name, out);
}

/* Elements. */

static int put_index(struct describe *d, const struct base_table *table,
                     const struct base_index *index)
{
    int rc = put_element(d, table->keyspace, "index", index->name);
    if (rc != BASE_OK)
        return rc;
    base_buf_reset(&d->text);
    return put_text_cell(d, cql_describe_index(table, index, &d->text));
}

/* The table and its indexes. */
static int put_table(struct describe *d, const struct base_table *table)
{
    int rc = put_element(d, table->keyspace, "table", table->name);
    if (rc != BASE_OK || !d->texts)
        return rc;
    base_buf_reset(&d->text);
    rc = put_text_cell(d, cqli_describe_table(table, cqli_keyspace_is_virtual(table->keyspace),
                                              d->statement->describe.with_internals, &d->text));
    struct named *list = rc == BASE_OK ? new_list(d, table->index_count) : NULL;
    if (!list)
        return rc == BASE_OK ? no_memory(d) : rc;
    for (size_t i = 0; i < table->index_count; i++)
        list[i] = (struct named){table->indexes[i].name, &table->indexes[i]};
    sort(list, table->index_count);
    for (size_t i = 0; rc == BASE_OK && i < table->index_count; i++)
        rc = put_index(d, table, list[i].thing);
    return rc;
}

static int put_type(struct describe *d, const struct base_user_type *type)
{
    int rc = put_element(d, type->keyspace, "type", type->name);
    if (rc != BASE_OK || !d->texts)
        return rc;
    base_buf_reset(&d->text);
    return put_text_cell(d, cql_describe_type(type, &d->text));
}

/* Types of a keyspace with those that are printed already. */
struct types {
    const struct named *list;
    const struct base_keyspace *keyspace;
    bool *done;
};

static int put_type_and_its_parts(struct describe *d, struct types *types,
                                  const struct base_user_type *type);

/* User types in it, first. Recursion ends: types are never nested deeper than
 * BASE_TYPE_DEPTH_MAX. */
static int put_parts(struct describe *d, struct types *types, const struct base_type *type)
{
    int rc = BASE_OK;
    for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++) {
        const struct base_type *part = type->params[i];
        const struct base_user_type *user = NULL;
        for (size_t k = 0; part->kind == BASE_TYPE_UDT && !user && k < types->keyspace->type_count;
             k++)
            if (base_slice_equal(types->keyspace->types[k].name, part->name))
                user = &types->keyspace->types[k];
        rc = user ? put_type_and_its_parts(d, types, user) : put_parts(d, types, part);
    }
    return rc;
}

static int put_type_and_its_parts(struct describe *d, struct types *types,
                                  const struct base_user_type *type)
{
    size_t at = (size_t)(type - types->keyspace->types);
    if (types->done[at])
        return BASE_OK;
    types->done[at] = true;
    int rc = put_parts(d, types, type->type);
    return rc == BASE_OK ? put_type(d, type) : rc;
}

static int put_types(struct describe *d, const struct base_keyspace *keyspace)
{
    struct types types = {.list = sorted_types(d, keyspace), .keyspace = keyspace};
    int rc = BASE_OK;
    types.done = base_arena_zalloc(d->arena, keyspace->type_count + 1);
    if (!types.list || !types.done)
        return no_memory(d);
    for (size_t i = 0; rc == BASE_OK && i < keyspace->type_count; i++)
        rc = d->texts ? put_type_and_its_parts(d, &types, types.list[i].thing)
                      : put_type(d, types.list[i].thing);
    return rc;
}

static int put_tables(struct describe *d, const struct base_keyspace *keyspace)
{
    const struct named *list = sorted_tables(d, keyspace);
    int rc = list ? BASE_OK : no_memory(d);
    for (size_t i = 0; rc == BASE_OK && i < keyspace->table_count; i++)
        rc = put_table(d, list[i].thing);
    return rc;
}

static int put_keyspace(struct describe *d, const struct base_keyspace *keyspace)
{
    int rc = put_element(d, keyspace->name, "keyspace", keyspace->name);
    if (rc != BASE_OK || !d->texts)
        return rc;
    base_buf_reset(&d->text);
    rc = put_text_cell(d, cqli_keyspace_is_virtual(keyspace->name)
                              ? cqli_describe_virtual_keyspace(keyspace, &d->text)
                              : cql_describe_keyspace(keyspace, &d->text));
    if (rc != BASE_OK || d->statement->describe.only)
        return rc;
    rc = put_types(d, keyspace);
    return rc == BASE_OK ? put_tables(d, keyspace) : rc;
}

/* Statements. */

static int describe_keyspaces(struct describe *d, bool all)
{
    size_t count;
    const struct named *list = sorted_keyspaces(d, &count);
    int rc = list ? BASE_OK : no_memory(d);
    for (size_t i = 0; rc == BASE_OK && i < count; i++)
        if (all || !is_system(d, list[i].thing))
            rc = put_keyspace(d, list[i].thing);
    return rc;
}

/* Names in the session's keyspace, or in all. */
static int describe_list(struct describe *d,
                         int (*put)(struct describe *d, const struct base_keyspace *keyspace))
{
    if (d->context->keyspace.len) {
        const struct base_keyspace *keyspace;
        int rc = find_keyspace(d, d->context->keyspace, &keyspace);
        return rc == BASE_OK ? put(d, keyspace) : rc;
    }
    size_t count;
    const struct named *list = sorted_keyspaces(d, &count);
    int rc = list ? BASE_OK : no_memory(d);
    for (size_t i = 0; rc == BASE_OK && i < count; i++)
        rc = put(d, list[i].thing);
    return rc;
}

/* There are none yet. */
static int put_nothing(struct describe *d, const struct base_keyspace *keyspace)
{
    (void)d, (void)keyspace;
    return BASE_OK;
}

static const struct base_table *table_in(const struct base_keyspace *keyspace,
                                         struct base_slice name)
{
    for (size_t i = 0; i < keyspace->table_count; i++)
        if (base_slice_equal(keyspace->tables[i]->name, name))
            return keyspace->tables[i];
    return NULL;
}

static int describe_type(struct describe *d, const struct base_keyspace *keyspace,
                         struct base_slice name)
{
    for (size_t i = 0; i < keyspace->type_count; i++)
        if (base_slice_equal(keyspace->types[i].name, name))
            return put_type(d, &keyspace->types[i]);
    return invalid(d, "User defined type ", name, "", keyspace->name);
}

static int describe_element(struct describe *d)
{
    const struct cql_name *target = &d->statement->target;
    struct base_slice name = target->name;
    const struct base_keyspace *keyspace;
    const struct base_table *table;
    const struct base_index *index;
    int rc = target_keyspace(d, target->keyspace, &keyspace);
    if (rc != BASE_OK)
        return rc;
    switch (d->statement->describe.what) {
    case CQL_DESCRIBE_TABLE:
        table = table_in(keyspace, name);
        return table ? put_table(d, table)
                     : invalid(d, "Table ", name, "keyspace ", keyspace->name);
    case CQL_DESCRIBE_INDEX:
        index = base_keyspace_index(keyspace, name, &table);
        return index ? put_index(d, table, index)
                     : invalid(d, "Table for existing index ", name, "", keyspace->name);
    case CQL_DESCRIBE_TYPE:
        return describe_type(d, keyspace, name);
    case CQL_DESCRIBE_VIEW:
        return invalid(d, "Materialized view ", name, "", keyspace->name);
    case CQL_DESCRIBE_FUNCTION:
        return invalid(d, "User defined function ", name, "", keyspace->name);
    case CQL_DESCRIBE_AGGREGATE:
        return invalid(d, "User defined aggregate ", name, "", keyspace->name);
    default:
        return base_err_set(d->err, BASE_E_INTERNAL, "DESCRIBE of what?");
    }
}

/* DESCRIBE name: a keyspace, or a table or an index of the keyspace at hand. */
static int describe_any(struct describe *d)
{
    const struct cql_name *target = &d->statement->target;
    const struct base_keyspace *keyspace =
        target->keyspace.data ? NULL : keyspace_named(d, target->name);
    struct base_slice in = target->keyspace.data ? target->keyspace : d->context->keyspace;
    if (keyspace)
        return put_keyspace(d, keyspace);
    int rc = find_keyspace(d, in.len ? in : target->name, &keyspace);
    if (rc != BASE_OK)
        return rc;
    const struct base_table *table = table_in(keyspace, target->name);
    if (table)
        return put_table(d, table);
    const struct base_index *index = base_keyspace_index(keyspace, target->name, &table);
    return index ? put_index(d, table, index)
                 : invalid(d, "", target->name, "keyspace ", keyspace->name);
}

static int describe_keyspace(struct describe *d)
{
    const struct base_keyspace *keyspace;
    int rc = target_keyspace(d, d->statement->target.name, &keyspace);
    return rc == BASE_OK ? put_keyspace(d, keyspace) : rc;
}

static int describe_cluster(struct describe *d, const struct cql_describe_facts *facts)
{
    struct base_slice snitch = base_slice_str(facts->snitch),
                      package = BASE_SLICE_LIT("org.apache.cassandra.locator.");
    if (snitch.len > package.len && memcmp(snitch.data, package.data, package.len) == 0)
        snitch = base_slice(snitch.data + package.len, snitch.len - package.len);
    int rc = put_cell(d, base_slice_str(facts->cluster_name));
    if (rc == BASE_OK)
        rc = put_cell(d, BASE_SLICE_LIT("Murmur3Partitioner"));
    if (rc == BASE_OK)
        rc = put_cell(d, snitch);
    d->out->row_count++;
    return rc;
}

static int describe(struct describe *d, const struct cql_describe_facts *facts)
{
    switch (d->statement->describe.what) {
    case CQL_DESCRIBE_CLUSTER:
        return describe_cluster(d, facts);
    case CQL_DESCRIBE_SCHEMA:
        return describe_keyspaces(d, false);
    case CQL_DESCRIBE_FULL_SCHEMA:
    case CQL_DESCRIBE_KEYSPACES:
        return describe_keyspaces(d, true);
    case CQL_DESCRIBE_KEYSPACE:
        return describe_keyspace(d);
    case CQL_DESCRIBE_TABLES:
        return describe_list(d, put_tables);
    case CQL_DESCRIBE_TYPES:
        return describe_list(d, put_types);
    case CQL_DESCRIBE_FUNCTIONS:
    case CQL_DESCRIBE_AGGREGATES:
        return describe_list(d, put_nothing);
    case CQL_DESCRIBE_TABLE:
    case CQL_DESCRIBE_TYPE:
    case CQL_DESCRIBE_INDEX:
    case CQL_DESCRIBE_VIEW:
    case CQL_DESCRIBE_FUNCTION:
    case CQL_DESCRIBE_AGGREGATE:
        return describe_element(d);
    case CQL_DESCRIBE_ANY:
        return describe_any(d);
    }
    return base_err_set(d->err, BASE_E_INTERNAL, "DESCRIBE of what?");
}

/* The columns of the answer, in the arena. */
static int make_columns(struct describe *d)
{
    static const char *const element[] = {"keyspace_name", "type", "name", "create_statement"};
    static const char *const cluster[] = {"cluster", "partitioner", "snitch"};
    enum cql_describe_what what = d->statement->describe.what;
    const char *const *names = what == CQL_DESCRIBE_CLUSTER ? cluster : element;
    d->texts = what != CQL_DESCRIBE_CLUSTER && what != CQL_DESCRIBE_KEYSPACES &&
               what != CQL_DESCRIBE_TABLES && what != CQL_DESCRIBE_TYPES &&
               what != CQL_DESCRIBE_FUNCTIONS && what != CQL_DESCRIBE_AGGREGATES;
    size_t count = d->texts ? 4 : 3;
    struct cql_column_spec *specs = base_arena_zalloc(d->arena, count * sizeof *specs);
    if (!specs)
        return no_memory(d);
    for (size_t i = 0; i < count; i++)
        specs[i] =
            (struct cql_column_spec){BASE_SLICE_LIT("system"), BASE_SLICE_LIT("describe"),
                                     base_slice_str(names[i]), base_type_scalar(BASE_TYPE_TEXT)};
    d->out->kind = CQL_RESULT_ROWS;
    d->out->columns = specs;
    d->out->column_count = count;
    return BASE_OK;
}

int cql_describe_run(struct base_arena *arena, const struct cql_statement *statement,
                     const struct cql_context *context, const struct cql_describe_facts *facts,
                     struct cql_result *out, struct base_err *err)
{
    struct describe d = {
        .arena = arena, .statement = statement, .context = context, .err = err, .out = out};
    BASE_ASSERT(statement->kind == CQL_DESCRIBE && context->schema);
    base_buf_init(&d.text, 1 << 24);
    int rc = make_columns(&d);
    if (rc == BASE_OK)
        rc = describe(&d, facts);
    if (rc != BASE_OK) {
        base_buf_reset(&out->rows);
        out->row_count = 0;
    }
    base_buf_fini(&d.text);
    return rc;
}
