/* ORDER BY, GROUP BY, DISTINCT: Cassandra's rules and messages. */
#include "cql/select_private.h"

bool cqli_select_only_statics(const struct cqli_prepare *p, const struct cqli_select *select)
{
    bool any = false;
    if (p->statement->select.star)
        return false;
    for (size_t i = 0; i < p->table->column_count; i++) {
        enum base_column_kind kind = p->table->columns[i].kind;
        if (select->fetch.wanted[i] && kind != BASE_COLUMN_PARTITION_KEY &&
            kind != BASE_COLUMN_STATIC)
            return false;
        any = any || (select->fetch.wanted[i] && kind == BASE_COLUMN_STATIC);
    }
    return any;
}

/* Is it fetched? What several partitions are sorted by is, too. */
static bool is_requested(const struct cqli_prepare *p, const struct cqli_select *select, size_t i)
{
    if (select->fetch.wanted[i])
        return true;
    for (const struct cql_name_item *item = p->statement->select.order_by;
         item && select->restrictions->key_is_in; item = item->next) {
        if (base_slice_equal(item->name, p->table->columns[i].name))
            return true;
    }
    return false;
}

static int distinct_rules(struct cqli_prepare *p, const struct cqli_select *select)
{
    const struct cqli_restrictions *r = select->restrictions;
    if (p->statement->select.per_partition_limit)
        return base_err_set(p->err, BASE_E_INVALID,
                            "PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries");
    if (r->ck_count || r->regular_restricted)
        return base_err_set(p->err, BASE_E_INVALID,
                            "SELECT DISTINCT with WHERE clause only supports restriction by "
                            "partition key and/or static columns.");
    for (size_t i = 0; i < p->table->column_count; i++) {
        const struct base_column *column = &p->table->columns[i];
        if (is_requested(p, select, i) && column->kind != BASE_COLUMN_PARTITION_KEY &&
            column->kind != BASE_COLUMN_STATIC)
            return base_err_set(p->err, BASE_E_INVALID,
                                "SELECT DISTINCT queries must only request partition key columns "
                                "and/or static columns (not %.*s)",
                                BASE_SLICE_ARG(column->name));
    }
    for (size_t i = 0; r->key_range && i < p->table->partition_key_count; i++) {
        if (!select->fetch.wanted[i])
            return base_err_set(
                p->err, BASE_E_INVALID,
                "SELECT DISTINCT queries must request all the partition key columns (missing %.*s)",
                BASE_SLICE_ARG(p->table->columns[i].name));
    }
    return BASE_OK;
}

/* GROUP BY. */

struct group_columns {
    const struct base_table *table;
    uint32_t column;
    size_t count;
    const char *second; /* for the message */
};

static void group_column(void *ctx, const struct base_column *column)
{
    struct group_columns *g = ctx;
    uint32_t i = (uint32_t)(column - g->table->columns);
    if (g->count == 0 || g->column != i)
        g->count++;
    g->column = g->count > 1 ? g->column : i;
}

/* The primary key's column that a GROUP BY element is about. */
static int group_element(struct cqli_prepare *p, const struct cqli_select *select,
                         const struct cql_term *term, uint32_t *out)
{
    const struct base_column *column;
    if (term->kind == CQL_TERM_COLUMN) {
        column = base_table_column(p->table, term->text);
        if (!column)
            return cqli_undefined_column(p->err, p->table, term->text);
        if (column->kind != BASE_COLUMN_PARTITION_KEY && column->kind != BASE_COLUMN_CLUSTERING)
            return base_err_set(
                p->err, BASE_E_INVALID,
                "Group by is currently only supported on the columns of the PRIMARY KEY, got %.*s",
                BASE_SLICE_ARG(column->name));
        *out = (uint32_t)(column - p->table->columns);
        return BASE_OK;
    }
    struct group_columns g = {.table = p->table};
    if (cqli_expr_has_aggregate(select->group_expr))
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Aggregate functions are not supported within the GROUP BY clause, got: %.*s",
            BASE_SLICE_ARG(term->name.name));
    cqli_expr_columns(select->group_expr, group_column, &g);
    if (g.count == 0)
        return base_err_set(p->err, BASE_E_INVALID,
                            "GROUP BY functions must have one clustering column name as parameter");
    if (g.count > 1)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "GROUP BY functions accept only one clustering column as parameter, got: %zu", g.count);
    column = &p->table->columns[g.column];
    if (column->kind != BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Group by functions are only supported on clustering columns, got %.*s",
                            BASE_SLICE_ARG(column->name));
    *out = g.column;
    return BASE_OK;
}

static int out_of_order(struct cqli_prepare *p)
{
    return base_err_set(p->err, BASE_E_INVALID,
                        "Group by currently only support groups of columns following their "
                        "declared order in the PRIMARY KEY");
}

static int group_rules(struct cqli_prepare *p, struct cqli_select *select)
{
    const struct base_table *table = p->table;
    size_t key = table->partition_key_count, end = key + table->clustering_count, at = 0;
    bool function = false;
    for (const struct cql_term *term = p->statement->select.group_by; term; term = term->next) {
        uint32_t column = 0;
        if (function)
            return base_err_set(
                p->err, BASE_E_INVALID,
                "Functions are only supported on the last element of the GROUP BY clause");
        int rc = group_element(p, select, term, &column);
        if (rc != BASE_OK)
            return rc;
        function = term->kind != CQL_TERM_COLUMN;
        while (at < end && at != column) {
            if (!cqli_restricted_by_eq(select->restrictions, (uint32_t)at++))
                return out_of_order(p);
        }
        if (at++ >= end)
            return out_of_order(p);
    }
    if (at < key)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Group by is not supported on only a part of the partition key");
    size_t clustering = at - key;
    if (clustering && select->distinct)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Grouping on clustering columns is not allowed for SELECT DISTINCT queries");
    select->group_clustering = function ? clustering - 1 : clustering;
    return BASE_OK;
}

int cqli_select_rules(struct cqli_prepare *p, struct cqli_select *select)
{
    int rc = BASE_OK;
    if (select->distinct)
        rc = distinct_rules(p, select);
    if (rc == BASE_OK && select->grouped)
        rc = group_rules(p, select);
    if (rc == BASE_OK && select->aggregated && !select->grouped &&
        p->statement->select.per_partition_limit)
        rc = base_err_set(p->err, BASE_E_INVALID,
                          "PER PARTITION LIMIT is not allowed with aggregate queries.");
    return rc;
}

/* ORDER BY. */

static int order_element(struct cqli_prepare *p, struct cqli_select *select,
                         const struct cql_name_item *item, size_t *position)
{
    const struct base_table *table = p->table;
    const struct base_column *column = base_table_column(table, item->name);
    if (!column)
        return cqli_undefined_column(p->err, table, item->name);
    if (column->kind != BASE_COLUMN_CLUSTERING)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Order by is currently only supported on the clustered columns of the "
                            "PRIMARY KEY, got %.*s",
                            BASE_SLICE_ARG(column->name));
    while (*position != column->position) {
        if (*position >= table->clustering_count ||
            !cqli_restricted_by_eq(select->restrictions,
                                   (uint32_t)(table->partition_key_count + (*position)++)))
            return base_err_set(p->err, BASE_E_INVALID,
                                "Order by currently only supports the ordering of columns "
                                "following their declared order in the "
                                "PRIMARY KEY");
    }
    ++*position;
    bool reversed = item->descending != column->descending;
    if (select->order_count && reversed != select->reversed)
        return base_err_set(p->err, BASE_E_INVALID, "Unsupported order by relation");
    select->reversed = reversed;
    select->order[select->order_count++] =
        (struct cqli_order){(uint32_t)(column - table->columns), item->descending};
    return BASE_OK;
}

int cqli_select_order(struct cqli_prepare *p, struct cqli_select *select)
{
    const struct cql_select *said = &p->statement->select;
    const struct cqli_restrictions *r = select->restrictions;
    size_t position = 0;
    if (said->ann_of)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "ANN ordering needs an index on a vector column, which this version does not have");
    if (!said->order_by)
        return BASE_OK;
    if (r->uses_index)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "ORDER BY with 2ndary indexes is not supported, except for ANN queries.");
    if (r->key_range)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "ORDER BY is only supported when the partition key is restricted by an EQ or an IN.");
    select->order =
        base_arena_zalloc(p->arena, (p->table->clustering_count + 1) * sizeof *select->order);
    if (!select->order)
        return cqli_prepare_no_memory(p);
    for (const struct cql_name_item *item = said->order_by; item; item = item->next) {
        int rc = order_element(p, select, item, &position);
        if (rc != BASE_OK)
            return rc;
    }
    select->sorted = r->key_is_in;
    for (size_t i = 0; select->sorted && i < select->order_count; i++)
        cqli_fetch_add(&select->fetch, &p->table->columns[select->order[i].column]);
    return BASE_OK;
}
