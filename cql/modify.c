/* INSERT, UPDATE, DELETE: preparing. A statement is judged against the table once; executions only
 * evaluate and build.
 *
 * Invariants:
 *  1. Everything that can be refused without values is refused here.
 *  2. Operations stand in the order of cells in a row (by column id), static columns apart, so that
 *     executing is one pass.
 *  3. A statement that names no clustering column is about the partition's static part (INSERT,
 *     UPDATE), or about all of the partition (DELETE without columns). */
#include "cql/modify_private.h"

static int invalid(struct cqli_prepare *p, const char *text)
{
    return base_err_set(p->err, BASE_E_INVALID, "%s", text);
}

int cqli_column_find(struct cqli_prepare *p, struct base_slice name, const struct base_column **out)
{
    *out = base_table_column(p->table, name);
    return *out ? BASE_OK : cqli_undefined_column(p->err, p->table, name);
}

/* USING. */

int cqli_using_prepare(struct cqli_prepare *p, struct cqli_modify *m)
{
    const struct cql_modify *said = &p->statement->modify;
    struct cqli_expr *expr;
    if (said->timestamp) {
        int rc = cqli_expr_prepare(p, said->timestamp, BASE_SLICE_LIT("[timestamp]"),
                                   base_type_scalar(BASE_TYPE_BIGINT), &expr);
        if (rc != BASE_OK)
            return rc;
        m->timestamp = expr;
    }
    if (said->ttl) {
        int rc = cqli_expr_prepare(p, said->ttl, BASE_SLICE_LIT("[ttl]"),
                                   base_type_scalar(BASE_TYPE_INT), &expr);
        if (rc != BASE_OK)
            return rc;
        m->ttl = expr;
    }
    return BASE_OK;
}

/* Which keys. */

/* "a, b" of the clustering columns that are not given (of INSERT; with keys NULL: all). */
static int missing_clustering(struct cqli_prepare *p, const struct cqli_expr *const *keys)
{
    size_t at = 0, first = p->table->partition_key_count;
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 400);
    for (size_t i = first; i < first + p->table->clustering_count; i++) {
        if (keys && keys[i])
            continue;
        if (base_buf_printf(&text, "%s%.*s", at++ ? ", " : "",
                            BASE_SLICE_ARG(p->table->columns[i].name)) != BASE_OK)
            break; /* enough of them are named */
    }
    return base_err_set(p->err, BASE_E_INVALID, "Some clustering keys are missing: %.*s",
                        (int)text.len, (const char *)text.data);
}

/* Does WHERE name a clustering column? */
static bool restricts_clustering(const struct cqli_prepare *p)
{
    for (const struct cql_relation *r = p->statement->where; r; r = r->next)
        for (const struct cql_name_item *name = r->columns; name; name = name->next) {
            const struct base_column *column = base_table_column(p->table, name->name);
            if (column && column->kind == BASE_COLUMN_CLUSTERING)
                return true;
        }
    return false;
}

/* Only static columns are written, and only they are looked at. (DELETE without columns is about
 * all of them.) */
static bool is_about_statics(const struct cqli_modify *m)
{
    bool any = m->operation_count > 0;
    if (m->kind == CQL_DELETE && !any)
        return false;
    for (size_t i = 0; i < m->condition_count; i++) {
        if (m->conditions[i].column->kind != BASE_COLUMN_STATIC)
            return false;
        any = true;
    }
    return any && m->operation_count == m->static_count;
}

static int check_counters(struct cqli_prepare *p, const struct cqli_modify *m)
{
    for (size_t i = 0; i < m->operation_count; i++)
        if (m->operations[i].column->type->kind == BASE_TYPE_COUNTER)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Writing the counter column %.*s is not supported: counters come "
                                "with a later version",
                                BASE_SLICE_ARG(m->operations[i].column->name));
    return BASE_OK;
}

/* INSERT. */

static int by_column(const void *a, const void *b)
{
    const struct cqli_operation *x = a, *y = b;
    bool xs = x->column->kind == BASE_COLUMN_STATIC, ys = y->column->kind == BASE_COLUMN_STATIC;
    if (xs != ys)
        return xs ? -1 : 1;
    return (x->column->id > y->column->id) - (x->column->id < y->column->id);
}

static int insert_value(struct cqli_prepare *p, struct cqli_modify *m, struct base_slice name,
                        const struct cql_term *term)
{
    const struct base_column *column;
    struct cqli_expr *value;
    int rc = cqli_column_find(p, name, &column);
    if (rc == BASE_OK)
        rc = cqli_expr_prepare(p, term, column->name, column->type, &value);
    if (rc != BASE_OK)
        return rc;
    size_t at = (size_t)(column - p->table->columns);
    bool is_key = at < p->table->partition_key_count + p->table->clustering_count;
    bool twice = is_key && m->keys[at];
    for (size_t i = 0; i < m->operation_count; i++)
        twice = twice || m->operations[i].column == column;
    if (twice)
        return invalid(p, "The column names contains duplicates");
    if (is_key)
        m->keys[at] = value;
    else
        m->operations[m->operation_count++] = (struct cqli_operation){
            .kind = CQLI_SET, .column = column, .value_type = column->type, .value = value};
    return BASE_OK;
}

static int insert_values(struct cqli_prepare *p, struct cqli_modify *m)
{
    const struct cql_modify *said = &p->statement->modify;
    const struct cql_term *value = said->values;
    size_t names = 0, values = 0;
    for (const struct cql_name_item *name = said->columns; name; name = name->next)
        names++;
    for (; value; value = value->next)
        values++;
    if (names != values)
        return invalid(p, "Unmatched column names/values");
    if (names > p->table->column_count)
        return invalid(p, "The column names contains duplicates");
    value = said->values;
    for (const struct cql_name_item *name = said->columns; name;
         name = name->next, value = value->next) {
        int rc = insert_value(p, m, name->name, value);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int insert_json(struct cqli_prepare *p, struct cqli_modify *m)
{
    struct cqli_expr *json;
    int rc = cqli_expr_prepare(p, p->statement->modify.json, BASE_SLICE_LIT("[json]"),
                               base_type_scalar(BASE_TYPE_TEXT), &json);
    if (rc != BASE_OK)
        return rc;
    m->json = json;
    m->json_unset = p->statement->modify.json_default_unset;
    for (size_t i = p->table->partition_key_count + p->table->clustering_count;
         i < p->table->column_count; i++) {
        const struct base_column *column = &p->table->columns[i];
        m->operations[m->operation_count++] =
            (struct cqli_operation){.kind = CQLI_SET, .column = column, .value_type = column->type};
    }
    return BASE_OK;
}

static int insert_keys(struct cqli_prepare *p, struct cqli_modify *m)
{
    size_t partition = p->table->partition_key_count, clustering = p->table->clustering_count,
           given = 0;
    m->has_row = true;
    if (m->json)
        return BASE_OK;
    for (size_t i = 0; i < partition; i++)
        if (!m->keys[i])
            return base_err_set(p->err, BASE_E_INVALID,
                                "Some partition key parts are missing: %.*s",
                                BASE_SLICE_ARG(p->table->columns[i].name));
    for (size_t i = partition; i < partition + clustering; i++)
        given += m->keys[i] != NULL;
    if (given == 0 && clustering > 0 && is_about_statics(m))
        m->has_row = false;
    else if (given < clustering)
        return missing_clustering(p, m->keys);
    return BASE_OK;
}

static int insert_pk_binds(struct cqli_prepare *p, const struct cqli_modify *m,
                           struct cql_prepared *out)
{
    size_t n = p->table->partition_key_count;
    uint16_t *binds = base_arena_alloc(p->arena, n * sizeof *binds);
    if (!binds)
        return cqli_prepare_no_memory(p);
    for (size_t i = 0; i < n; i++) {
        int bind = m->json ? -1 : cqli_expr_bind(m->keys[i]);
        if (bind < 0)
            return BASE_OK;
        binds[i] = (uint16_t)bind;
    }
    out->pk_binds = binds;
    out->pk_bind_count = n;
    return BASE_OK;
}

static int prepare_insert(struct cqli_prepare *p, struct cqli_modify *m, struct cql_prepared *out)
{
    const struct cql_modify *said = &p->statement->modify;
    m->keys = base_arena_zalloc(p->arena, (p->table->column_count + 1) * sizeof *m->keys);
    m->operations =
        base_arena_alloc(p->arena, (p->table->column_count + 1) * sizeof *m->operations);
    if (!m->keys || !m->operations)
        return cqli_prepare_no_memory(p);
    int rc = said->json ? insert_json(p, m) : insert_values(p, m);
    if (rc != BASE_OK)
        return rc;
    qsort(m->operations, m->operation_count, sizeof *m->operations, by_column);
    for (size_t i = 0; i < m->operation_count; i++)
        m->static_count += m->operations[i].column->kind == BASE_COLUMN_STATIC;
    m->if_kind = said->if_not_exists ? CQLI_IF_NOT_EXISTS : CQLI_IF_NONE;
    rc = check_counters(p, m);
    if (rc == BASE_OK)
        rc = insert_keys(p, m);
    return rc == BASE_OK ? insert_pk_binds(p, m, out) : rc;
}

/* UPDATE, DELETE. */

static int check_place(struct cqli_prepare *p, struct cqli_modify *m)
{
    bool update = m->kind == CQL_UPDATE, statics = is_about_statics(m),
         restricted = restricts_clustering(p);
    m->has_row = p->table->clustering_count == 0 || restricted;
    if (p->table->clustering_count == 0)
        return BASE_OK;
    if (statics && restricted)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid restrictions on clustering columns since the %s statement "
                            "modifies only static columns",
                            update ? "UPDATE" : "DELETE");
    if (restricted || statics)
        return BASE_OK;
    if (update)
        return missing_clustering(p, NULL);
    if (m->if_kind != CQLI_IF_NONE)
        return base_err_set(p->err, BASE_E_INVALID,
                            "DELETE statements must restrict all PRIMARY KEY columns with equality "
                            "relations in order to %s",
                            m->operation_count > m->static_count || m->operation_count == 0
                                ? "delete non static columns"
                                : "use IF condition on non static columns");
    return m->operation_count > 0
               ? invalid(p, "Range deletions are not supported for specific columns")
               : BASE_OK;
}

/* May the key lose bytes of a value of this type? (1.0 and 1.00 are one decimal) */
static bool is_inexact(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_BLOB:
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_TIMESTAMP:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
        return false;
    default:
        return true;
    }
}

static int prepare_change(struct cqli_prepare *p, struct cqli_modify *m, struct cql_prepared *out)
{
    const struct cql_modify *said = &p->statement->modify;
    m->if_kind = said->if_exists    ? CQLI_IF_EXISTS
                 : said->conditions ? CQLI_IF_COLUMNS
                                    : CQLI_IF_NONE;
    int rc = cqli_operations_prepare(p, m);
    if (rc == BASE_OK)
        rc = check_counters(p, m);
    if (rc == BASE_OK)
        rc = cqli_restrictions_prepare(p, p->statement->where,
                                       m->kind == CQL_UPDATE ? CQLI_FOR_UPDATE : CQLI_FOR_DELETE,
                                       false, &m->where);
    if (rc == BASE_OK && m->if_kind == CQLI_IF_COLUMNS)
        rc = cqli_conditions_prepare(p, m);
    if (rc == BASE_OK)
        rc = check_place(p, m);
    for (size_t i = 0; i < p->table->clustering_count && m->kind == CQL_UPDATE; i++)
        m->inexact =
            m->inexact || is_inexact(p->table->columns[p->table->partition_key_count + i].type);
    return rc == BASE_OK
               ? cqli_restrictions_pk_binds(p, m->where, &out->pk_binds, &out->pk_bind_count)
               : rc;
}

/* The door. */

int cqli_modify_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    struct cqli_modify *m = base_arena_zalloc(p->arena, sizeof *m);
    const struct base_schema *system = p->context->system;
    if (!m)
        return cqli_prepare_no_memory(p);
    if (system && !p->context->internal &&
        base_schema_table(system, p->table->keyspace, p->table->name) == p->table)
        return base_err_set(p->err, BASE_E_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                            BASE_SLICE_ARG(p->table->keyspace));
    m->kind = p->statement->kind;
    m->table = p->table;
    m->epoch = p->context->schema->epoch;
    int rc = m->kind == CQL_INSERT ? prepare_insert(p, m, out) : prepare_change(p, m, out);
    if (rc == BASE_OK)
        rc = cqli_using_prepare(p, m);
    if (rc != BASE_OK)
        return rc;
    if (m->if_kind != CQLI_IF_NONE && m->timestamp)
        return invalid(p, "Cannot provide custom timestamp for conditional updates");
    for (size_t i = 0; i < m->operation_count; i++)
        m->reads = m->reads || cqli_operation_reads(m->operations[i].kind);
    out->modify = m;
    return BASE_OK;
}
