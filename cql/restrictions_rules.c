/* What a WHERE may say, once its restrictions are merged: Cassandra's rules in Cassandra's order
 * (its StatementRestrictions), so that of several faults the same one is named.
 *
 * Filtering: a restriction that neither names partitions nor is part of a slice is a condition on
 * rows that are read for nothing. One condition that an index serves is no filtering; everything
 * beyond it is, and wants ALLOW FILTERING. */
#include "cql/restrictions_private.h"

const char cqli_needs_filtering[] =
    "Cannot execute this query as it might involve data filtering and thus may have unpredictable "
    "performance. If you want to execute "
    "this query despite the performance unpredictability, use ALLOW FILTERING";

static int needs_filtering(struct cqli_prepare *p)
{
    return base_err_set(p->err, BASE_E_INVALID, "%s", cqli_needs_filtering);
}

const char *cqli_use_text(const struct cqli_restrictions *r)
{
    return r->use == CQLI_FOR_SELECT ? "SELECT" : r->use == CQLI_FOR_UPDATE ? "UPDATE" : "DELETE";
}

/* The columns of [from, from + count) that nothing restricts: "a, b". */
static const char *unrestricted(struct cqli_prepare *p, const struct cqli_restrictions *r,
                                size_t from, size_t count)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 18);
    for (size_t i = from; i < from + count; i++) {
        if (!r->by_column[i] &&
            base_buf_printf(&text, text.len ? ", %.*s" : "%.*s",
                            BASE_SLICE_ARG(r->table->columns[i].name)) != BASE_OK)
            return "";
    }
    return base_buf_put_u8(&text, 0) == BASE_OK ? (const char *)text.data : "";
}

/* Clustering, in order. */

const struct cqli_restriction *cqli_clustering_next(const struct cqli_restrictions *r, uint32_t *i)
{
    const struct base_table *table = r->table;
    size_t end = table->partition_key_count + table->clustering_count;
    if (*i < table->partition_key_count)
        *i = (uint32_t)table->partition_key_count;
    while (*i < end && !r->by_column[*i])
        ++*i;
    if (*i >= end)
        return NULL;
    const struct cqli_restriction *c = r->by_column[*i];
    *i = c->first + c->count;
    return c;
}

bool cqli_clustering_filtered(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                              uint32_t position)
{
    return c->kind == CQLI_RESTRICTION_CONTAINS ||
           c->first != r->table->partition_key_count + position;
}

static void look_at_clustering(struct cqli_restrictions *r)
{
    const struct cqli_restriction *c;
    uint32_t position = 0, i = 0;
    while ((c = cqli_clustering_next(r, &i))) {
        r->ck_count += c->count;
        if (cqli_clustering_filtered(r, c, position))
            r->ck_filtered = true;
        else if (c->kind != CQLI_RESTRICTION_SLICE)
            position = i - (uint32_t)r->table->partition_key_count;
    }
}

/* "PRIMARY KEY column "c" cannot be restricted as preceding column "b" is not restricted" */
static int check_clustering_gap(struct cqli_prepare *p, const struct cqli_restrictions *r)
{
    const struct base_table *table = r->table;
    uint32_t first = (uint32_t)table->partition_key_count, expected = first;
    for (uint32_t i = first; i < first + table->clustering_count; i++) {
        if (!r->by_column[i])
            continue;
        if (i != expected)
            return base_err_set(p->err, BASE_E_INVALID,
                                "PRIMARY KEY column \"%.*s\" cannot be restricted as preceding "
                                "column \"%.*s\" is not restricted",
                                BASE_SLICE_ARG(table->columns[i].name),
                                BASE_SLICE_ARG(table->columns[expected].name));
        expected++;
    }
    return BASE_OK;
}

/* The partition key. */

struct key_facts {
    bool slice, contains, indexed;
};

static struct key_facts look_at_key(struct cqli_restrictions *r)
{
    struct key_facts facts = {0};
    for (size_t i = 0; i < r->table->partition_key_count; i++) {
        const struct cqli_restriction *c = r->by_column[i];
        if (!c)
            continue;
        r->pk_count++;
        facts.slice = facts.slice || c->kind == CQLI_RESTRICTION_SLICE;
        facts.contains = facts.contains || c->kind == CQLI_RESTRICTION_CONTAINS;
        facts.indexed = facts.indexed || c->indexed;
        r->key_is_in = r->key_is_in || c->kind == CQLI_RESTRICTION_IN;
    }
    r->pk_complete =
        r->pk_count == r->table->partition_key_count && !facts.slice && !facts.contains;
    r->pk_filtered = r->pk_count > 0 && !r->pk_complete;
    return facts;
}

static int judge_key_of_write(struct cqli_prepare *p, const struct cqli_restrictions *r,
                              struct key_facts facts)
{
    if (r->token && r->pk_count < r->table->partition_key_count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "The token function cannot be used in WHERE clauses for %s statements",
                            cqli_use_text(r));
    if (r->pk_count < r->table->partition_key_count)
        return base_err_set(p->err, BASE_E_INVALID, "Some partition key parts are missing: %s",
                            unrestricted(p, r, 0, r->table->partition_key_count));
    if (facts.slice || facts.contains)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Only EQ and IN relation are supported on the partition key (unless "
                            "you use the token() function) "
                            "for %s statements",
                            cqli_use_text(r));
    return BASE_OK;
}

static int judge_key(struct cqli_prepare *p, struct cqli_restrictions *r, bool queriable)
{
    if (r->token && r->pk_count < r->table->partition_key_count)
        r->key_range = true;
    if (!r->token && r->pk_count == 0) {
        r->key_range = true;
        r->uses_index = queriable;
    }
    if (!r->pk_filtered)
        return BASE_OK;
    if (!r->allow_filtering && !queriable)
        return needs_filtering(p);
    r->key_range = true;
    r->uses_index = queriable;
    return BASE_OK;
}

/* Clustering, the rest, and what they cost. */

static int judge_clustering(struct cqli_prepare *p, struct cqli_restrictions *r, bool queriable)
{
    bool slice = false, contains = false;
    const struct cqli_restriction *c;
    for (uint32_t i = 0; (c = cqli_clustering_next(r, &i));) {
        slice = slice || c->kind == CQLI_RESTRICTION_SLICE;
        contains = contains || c->kind == CQLI_RESTRICTION_CONTAINS;
    }
    if (r->use == CQLI_FOR_UPDATE) {
        if (slice)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Slice restrictions are not supported on the clustering columns in "
                                "UPDATE statements");
        if (!r->only_statics && r->ck_count < r->table->clustering_count)
            return base_err_set(
                p->err, BASE_E_INVALID, "Some clustering keys are missing: %s",
                unrestricted(p, r, r->table->partition_key_count, r->table->clustering_count));
    }
    if (contains && !queriable && !r->allow_filtering)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Clustering columns can only be restricted with CONTAINS with a "
                            "secondary index or filtering");
    if (!r->ck_filtered)
        return BASE_OK;
    if (queriable) {
        r->uses_index = true;
        return BASE_OK;
    }
    return r->allow_filtering ? BASE_OK : check_clustering_gap(p, r);
}

static bool clustering_indexed(const struct cqli_restrictions *r)
{
    const struct cqli_restriction *c;
    for (uint32_t i = 0; (c = cqli_clustering_next(r, &i));) {
        if (c->indexed)
            return true;
    }
    return false;
}

struct other_facts {
    bool indexed, multiple_contains;
};

static struct other_facts look_at_others(struct cqli_restrictions *r)
{
    struct other_facts facts = {0};
    for (size_t i = r->table->partition_key_count + r->table->clustering_count;
         i < r->table->column_count; i++) {
        const struct cqli_restriction *c = r->by_column[i];
        if (!c)
            continue;
        r->other_count++;
        facts.indexed = facts.indexed || c->indexed;
        facts.multiple_contains = facts.multiple_contains || (c->contains && c->contains->next);
        r->regular_restricted =
            r->regular_restricted || r->table->columns[i].kind == BASE_COLUMN_REGULAR;
    }
    return facts;
}

static int refuse_others(struct cqli_prepare *p, const struct cqli_restrictions *r)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 18);
    for (size_t i = r->table->partition_key_count + r->table->clustering_count;
         i < r->table->column_count; i++) {
        if (r->by_column[i] &&
            base_buf_printf(&text, text.len ? ", %.*s" : "%.*s",
                            BASE_SLICE_ARG(r->table->columns[i].name)) != BASE_OK)
            break;
    }
    return base_err_set(p->err, BASE_E_INVALID,
                        "Non PRIMARY KEY columns found in where clause: %.*s ", (int)text.len,
                        (const char *)text.data);
}

/* A tuple's IN or slice is no condition on a column. */
static int check_conditions(struct cqli_prepare *p, const struct cqli_restrictions *r)
{
    uint32_t position = 0, i = 0;
    const struct cqli_restriction *c;
    while ((c = cqli_clustering_next(r, &i))) {
        if (!cqli_clustering_filtered(r, c, position)) {
            if (c->kind != CQLI_RESTRICTION_SLICE)
                position = i - (uint32_t)r->table->partition_key_count;
            continue;
        }
        if (c->multi && c->kind == CQLI_RESTRICTION_SLICE)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Multi-column slice restrictions cannot be used for filtering.");
        if (c->count > 1 && c->kind == CQLI_RESTRICTION_IN)
            return base_err_set(p->err, BASE_E_INVALID, "Multicolumn IN filters are not supported");
    }
    return BASE_OK;
}

/* Are all restrictions in [from, from + count) served by an index, or (with several conditions) by
 * such as are intersected? */
static bool all_served(const struct cqli_restrictions *r, size_t from, size_t count, bool several)
{
    for (size_t i = from; i < from + count; i++) {
        const struct cqli_restriction *c = r->by_column[i];
        if (c && !(several ? c->sai : c->indexed))
            return false;
    }
    return true;
}

int cqli_restrictions_check_filtering(struct cqli_prepare *p, const struct cqli_restrictions *r)
{
    const struct base_table *table = r->table;
    bool key = r->key_conditions, clustering = r->clustering_conditions;
    size_t conditions = (key ? r->pk_count : 0) + (clustering ? r->ck_count : 0) + r->other_count;
    if (r->allow_filtering || !(r->key_range || r->uses_index))
        return check_conditions(p, r);
    if (conditions == 0)
        return r->ck_count ? needs_filtering(p) : BASE_OK;
    size_t pk = table->partition_key_count, ck = table->clustering_count;
    bool served = !r->multiple_contains && (!key || all_served(r, 0, pk, conditions > 1)) &&
                  (!clustering || all_served(r, pk, ck, conditions > 1)) &&
                  all_served(r, pk + ck, table->column_count - pk - ck, conditions > 1);
    return served ? check_conditions(p, r) : needs_filtering(p);
}

static int judge_write(struct cqli_prepare *p, struct cqli_restrictions *r, struct key_facts facts)
{
    int rc = judge_key_of_write(p, r, facts);
    if (rc == BASE_OK && r->only_statics && r->ck_count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid restrictions on clustering columns since the %s statement "
                            "modifies only static columns",
                            cqli_use_text(r));
    if (rc == BASE_OK)
        rc = judge_clustering(p, r, false);
    if (rc == BASE_OK && r->other_count)
        rc = refuse_others(p, r);
    return rc;
}

int cqli_restrictions_judge(struct cqli_prepare *p, struct cqli_restrictions *r)
{
    struct key_facts key_facts = look_at_key(r);
    struct other_facts other_facts = look_at_others(r);
    look_at_clustering(r);
    if (r->use != CQLI_FOR_SELECT)
        return judge_write(p, r, key_facts);
    bool clustering_index = clustering_indexed(r),
         queriable = key_facts.indexed || clustering_index || other_facts.indexed;
    int rc = judge_key(p, r, queriable);
    if (rc != BASE_OK)
        return rc;
    r->key_conditions = r->uses_index || r->pk_filtered;
    if (r->only_statics && r->ck_count)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Cannot restrict clustering columns when selecting only static columns");
    if ((rc = judge_clustering(p, r, queriable)) != BASE_OK)
        return rc;
    if (r->key_range && clustering_index)
        r->uses_index = true;
    r->clustering_conditions = r->uses_index || r->ck_filtered;
    r->multiple_contains = other_facts.multiple_contains;
    if (r->other_count && queriable)
        r->uses_index = true;
    else if (r->other_count && !r->allow_filtering)
        return needs_filtering(p);
    if (r->uses_index && r->key_is_in)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Select on indexed columns and with IN clause for the PRIMARY KEY are not supported");
    return BASE_OK;
}

bool cqli_restricted_by_eq(const struct cqli_restrictions *r, uint32_t column)
{
    return r->by_column[column] && r->by_column[column]->kind == CQLI_RESTRICTION_EQ;
}
