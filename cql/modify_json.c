/* INSERT JSON: the values of a document by column. Names as in CQL: folded to lower case unless
 * quoted ("\"Name\""). A column that is not there is null, or, with DEFAULT UNSET, left as it is.
 * Of a name that comes twice the last counts. */
#include "base/json.h"
#include "cql/modify_private.h"

static int column_name(struct cqli_update *u, const struct base_json_token *key,
                       struct base_slice *out)
{
    struct base_buf name;
    base_buf_init_in_arena(&name, u->eval.arena, CQLI_WRITE_LEN_MAX);
    int rc = base_json_unescape(key, &name);
    if (rc != BASE_OK)
        return cqli_no_room(u->eval.err, rc);
    *out = base_buf_view(&name);
    if (name.len > 1 && name.data[0] == '"' && name.data[name.len - 1] == '"') {
        *out = base_slice(name.data + 1, name.len - 2);
        return BASE_OK;
    }
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            name.data[i] = (uint8_t)(name.data[i] + 32);
    return BASE_OK;
}

/* Where a column's value belongs. */
static struct cql_value *slot(struct cqli_update *u, struct cql_value *keys,
                              const struct base_column *column)
{
    const struct base_table *table = u->m->table;
    size_t at = (size_t)(column - table->columns);
    if (at < table->partition_key_count + table->clustering_count)
        return &keys[at];
    for (size_t i = 0; i < u->m->operation_count; i++)
        if (u->m->operations[i].column == column)
            return &u->operands[i].value;
    BASE_ASSERT(!"INSERT JSON has an operation for every column");
    return NULL;
}

static int put_value(struct cqli_update *u, const struct base_column *column,
                     const struct base_json_walk *walk, struct cql_value *out)
{
    struct base_buf bytes;
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    if (walk->first.kind == BASE_JSON_NULL)
        return BASE_OK;
    base_buf_init_in_arena(&bytes, u->eval.arena, CQLI_WRITE_LEN_MAX);
    int rc = base_value_from_json(column->type, walk->value, &bytes, u->eval.err);
    if (rc != BASE_OK)
        return base_err_wrap(u->eval.err, rc, "Error decoding JSON value for %.*s",
                             BASE_SLICE_ARG(column->name));
    *out = (struct cql_value){CQL_VALUE_SET, base_buf_view(&bytes)};
    return BASE_OK;
}

static int no_map(struct cqli_update *u, struct base_slice text)
{
    struct base_err why = *u->eval.err;
    return base_err_set(u->eval.err, BASE_E_INVALID,
                        "Could not decode JSON string as a map: %s. (String was: %.*s)", why.text,
                        (int)(text.len < 200 ? text.len : 200), (const char *)text.data);
}

int cqli_json_eval(struct cqli_update *u, struct cql_value *keys)
{
    const struct base_table *table = u->m->table;
    struct cql_value document;
    struct base_json_walk walk;
    bool more = true;
    int rc = cqli_expr_eval(u->m->json, &u->eval, &document);
    if (rc != BASE_OK)
        return rc;
    if (document.state != CQL_VALUE_SET)
        return base_err_set(u->eval.err, BASE_E_INVALID, "Got null for INSERT JSON values");
    for (size_t i = 0; i < table->partition_key_count + table->clustering_count; i++)
        keys[i] = (struct cql_value){.state = CQL_VALUE_NULL};
    for (size_t i = 0; i < u->m->operation_count; i++)
        u->operands[i].value =
            (struct cql_value){.state = u->m->json_unset ? CQL_VALUE_UNSET : CQL_VALUE_NULL};
    size_t blank = 0;
    while (blank < document.bytes.len && strchr(" \t\r\n", document.bytes.data[blank]))
        blank++;
    if (blank == document.bytes.len || document.bytes.data[blank] != '{') {
        (void)base_err_set(u->eval.err, BASE_E_INVALID, "it is no object");
        return no_map(u, document.bytes);
    }
    for (base_json_walk_begin(&walk, document.bytes);;) {
        struct base_slice name;
        if (base_json_walk_next(&walk, &more, u->eval.err) != BASE_OK)
            return no_map(u, document.bytes);
        if (!more)
            return BASE_OK;
        rc = column_name(u, &walk.key, &name);
        if (rc != BASE_OK)
            return rc;
        const struct base_column *column = base_table_column(table, name);
        if (!column)
            return base_err_set(u->eval.err, BASE_E_INVALID,
                                "JSON values map contains unrecognized column: %.*s",
                                BASE_SLICE_ARG(name));
        rc = put_value(u, column, &walk, slot(u, keys, column));
        if (rc != BASE_OK)
            return rc;
    }
}
