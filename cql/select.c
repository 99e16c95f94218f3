/* SELECT, prepared: what is looked at, and what the result's columns are (cql/select_private.h).
 *
 * A selector that is a column and nothing else is copied from the row; all others are expressions.
 * When rows are gathered into groups all are expressions, for the aggregation keeps a group's first
 * row. */
#include "cql/select_private.h"

#include <stdio.h>

/* Selectors. */

static int find_column(struct cqli_prepare *p, struct base_slice name,
                       const struct base_column **out)
{
    *out = base_table_column(p->table, name);
    return *out ? BASE_OK : cqli_undefined_column(p->err, p->table, name);
}

static void wants_column(void *ctx, const struct base_column *column)
{
    cqli_fetch_add(ctx, column);
}

static int prepare_expr(struct cqli_prepare *p, struct cqli_select *select,
                        const struct cql_term *term, struct cqli_expr **out)
{
    int rc = cqli_expr_prepare_selector(p, term, out);
    if (rc == BASE_OK)
        cqli_expr_columns(*out, wants_column, &select->fetch);
    return rc;
}

static int prepare_selector(struct cqli_prepare *p, struct cqli_select *select,
                            const struct cql_selector *selector, size_t i,
                            struct cql_column_spec *spec)
{
    struct cqli_selector *out = &select->selectors[i];
    int rc;
    *spec = (struct cql_column_spec){.keyspace = p->table->keyspace, .table = p->table->name};
    if (selector->term->kind == CQL_TERM_COLUMN) {
        rc = find_column(p, selector->term->text, &out->column);
        if (rc != BASE_OK)
            return rc;
        cqli_fetch_add(&select->fetch, out->column);
        spec->name = out->column->name;
        spec->type = out->column->type;
    } else {
        rc = prepare_expr(p, select, selector->term, &out->expr);
        if (rc == BASE_OK && !selector->alias.len)
            rc = cqli_expr_name(p, selector->term, &spec->name);
        if (rc != BASE_OK)
            return rc;
        spec->type = cqli_expr_type(out->expr);
        select->aggregated = select->aggregated || cqli_expr_has_aggregate(out->expr);
    }
    if (selector->alias.len)
        spec->name = selector->alias;
    return BASE_OK;
}

static size_t count_selectors(const struct cqli_prepare *p)
{
    size_t n = 0;
    if (p->statement->select.star)
        return p->table->column_count;
    for (const struct cql_selector *s = p->statement->select.selectors; s; s = s->next)
        n++;
    return n;
}

static int prepare_selectors(struct cqli_prepare *p, struct cqli_select *select)
{
    size_t i = 0, n = count_selectors(p);
    struct cql_column_spec *specs = base_arena_zalloc(p->arena, (n + 1) * sizeof *specs);
    select->selectors = base_arena_zalloc(p->arena, (n + 1) * sizeof *select->selectors);
    if (!specs || !select->selectors ||
        cqli_fetch_init(p->arena, p->table, &select->fetch) != BASE_OK)
        return cqli_prepare_no_memory(p);
    select->columns = specs;
    select->selector_count = n;
    if (p->statement->select.star) {
        for (; i < n; i++) {
            const struct base_column *column = &p->table->columns[i];
            select->selectors[i].column = column;
            cqli_fetch_add(&select->fetch, column);
            specs[i] = (struct cql_column_spec){p->table->keyspace, p->table->name, column->name,
                                                column->type};
        }
        return BASE_OK;
    }
    for (const struct cql_selector *s = p->statement->select.selectors; s; s = s->next, i++) {
        int rc = prepare_selector(p, select, s, i, &specs[i]);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* For groups: expressions of them all. */
static int prepare_aggregation(struct cqli_prepare *p, struct cqli_select *select)
{
    select->exprs =
        base_arena_alloc(p->arena, (select->selector_count + 1) * sizeof(const struct cqli_expr *));
    if (!select->exprs)
        return cqli_prepare_no_memory(p);
    for (size_t i = 0; i < select->selector_count; i++) {
        struct cqli_selector *selector = &select->selectors[i];
        if (selector->column) {
            struct cql_term *term = base_arena_zalloc(p->arena, sizeof *term);
            if (!term)
                return cqli_prepare_no_memory(p);
            *term = (struct cql_term){.kind = CQL_TERM_COLUMN,
                                      .text = selector->column->name,
                                      .source = selector->column->name};
            int rc = prepare_expr(p, select, term, &selector->expr);
            if (rc != BASE_OK)
                return rc;
        }
        select->exprs[i] = selector->expr;
    }
    return BASE_OK;
}

static int prepare_limits(struct cqli_prepare *p, struct cqli_select *select)
{
    const struct cql_select *said = &p->statement->select;
    const struct base_type *type = base_type_scalar(BASE_TYPE_INT);
    int rc = BASE_OK;
    if (said->limit)
        rc = cqli_expr_prepare(p, said->limit, BASE_SLICE_LIT("[limit]"), type, &select->limit);
    if (rc == BASE_OK && said->per_partition_limit)
        rc =
            cqli_expr_prepare(p, said->per_partition_limit, BASE_SLICE_LIT("[per_partition_limit]"),
                              type, &select->partition_limit);
    return rc;
}

/* All of it. */

static int prepare_groups(struct cqli_prepare *p, struct cqli_select *select)
{
    const struct cql_term *group = p->statement->select.group_by;
    for (; group; group = group->next) {
        select->grouped = select->aggregated = true;
        if (group->kind == CQL_TERM_COLUMN)
            continue;
        int rc = prepare_expr(p, select, group, &select->group_expr);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static void give_columns(struct cqli_select *select, const struct cql_column_spec *json,
                         struct cql_prepared *out)
{
    out->select = select;
    out->columns = select->json ? json : select->columns;
    out->column_count = select->json ? 1 : select->selector_count;
}

int cqli_select_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    const struct cql_select *said = &p->statement->select;
    /* Cassandra filters tables that the node makes up without being told. */
    const bool may_filter = said->allow_filtering || cqli_keyspace_is_virtual(p->table->keyspace);
    struct cqli_select *select = base_arena_zalloc(p->arena, sizeof *select);
    struct cql_column_spec *json = base_arena_zalloc(p->arena, sizeof *json);
    if (!select || !json)
        return cqli_prepare_no_memory(p);
    select->table = p->table;
    select->json = said->json;
    select->distinct = said->distinct;
    *json = (struct cql_column_spec){p->table->keyspace, p->table->name, BASE_SLICE_LIT("[json]"),
                                     base_type_scalar(BASE_TYPE_TEXT)};
    int rc = prepare_selectors(p, select);
    if (rc == BASE_OK)
        rc =
            cqli_restrictions_of_select(p, p->statement->where, may_filter,
                                        cqli_select_only_statics(p, select), &select->restrictions);
    if (rc == BASE_OK)
        rc = prepare_groups(p, select);
    if (rc == BASE_OK)
        rc = cqli_select_rules(p, select);
    if (rc == BASE_OK && select->aggregated)
        rc = prepare_aggregation(p, select);
    if (rc == BASE_OK)
        rc = cqli_select_order(p, select);
    if (rc == BASE_OK)
        rc = cqli_restrictions_check_filtering(p, select->restrictions);
    if (rc == BASE_OK)
        rc = prepare_limits(p, select);
    if (rc == BASE_OK)
        rc = cqli_restrictions_pk_binds(p, select->restrictions, &out->pk_binds,
                                        &out->pk_bind_count);
    if (rc != BASE_OK)
        return rc;
    cqli_fetch_finish(&select->fetch);
    give_columns(select, json, out);
    return BASE_OK;
}
