/* Restrictions that meet on a column: merged, or refused, as Cassandra does; which of them an index
 * serves; and the order in which clustering columns may be restricted.
 *
 * Invariants:
 * 1. by_column[i] is NULL or covers column i.
 * 2. EQ and IN stand alone on their columns; a slice has at most one lower and one upper bound. */
#include "cql/restrictions_private.h"

/* "a, b": the columns that both have. */
const char *cqli_common_columns(struct cqli_prepare *p, const struct cqli_restriction *a,
                                const struct cqli_restriction *b)
{
    struct base_buf text;
    base_buf_init_in_arena(&text, p->arena, 1 << 18);
    uint32_t from = a->first > b->first ? a->first : b->first;
    uint32_t to =
        a->first + a->count < b->first + b->count ? a->first + a->count : b->first + b->count;
    for (uint32_t i = from; i < to; i++) {
        if (base_buf_printf(&text, i > from ? ", %.*s" : "%.*s",
                            BASE_SLICE_ARG(p->table->columns[i].name)) != BASE_OK)
            return "";
    }
    return base_buf_put_u8(&text, 0) == BASE_OK ? (const char *)text.data : "";
}

static int merge_slices(struct cqli_prepare *p, struct cqli_restriction *old,
                        const struct cqli_restriction *more)
{
    if (old->first != more->first) {
        uint32_t later = old->first > more->first ? old->first : more->first;
        return base_err_set(p->err, BASE_E_INVALID,
                            "Column \"%.*s\" cannot be restricted by two inequalities not starting "
                            "with the same column",
                            BASE_SLICE_ARG(p->table->columns[later].name));
    }
    if (old->lo.count && more->lo.count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "More than one restriction was found for the start bound on %s",
                            cqli_common_columns(p, old, more));
    if (old->hi.count && more->hi.count)
        return base_err_set(p->err, BASE_E_INVALID,
                            "More than one restriction was found for the end bound on %s",
                            cqli_common_columns(p, old, more));
    if (more->lo.count) {
        old->lo = more->lo;
        old->lo_inclusive = more->lo_inclusive;
    } else {
        old->hi = more->hi;
        old->hi_inclusive = more->hi_inclusive;
    }
    old->multi = old->multi || more->multi;
    old->count = more->count > old->count ? more->count : old->count;
    return BASE_OK;
}

/* `more` is said of a column that `old` restricts already. */
int cqli_restriction_merge(struct cqli_prepare *p, struct cqli_restriction *old,
                           const struct cqli_restriction *more)
{
    if (old->kind == CQLI_RESTRICTION_EQ)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "%s cannot be restricted by more than one relation if it includes an Equal",
            cqli_common_columns(p, old, more));
    if (old->kind == CQLI_RESTRICTION_IN)
        return base_err_set(p->err, BASE_E_INVALID,
                            "%s cannot be restricted by more than one relation if it includes a IN",
                            cqli_common_columns(p, old, more));
    if (old->kind == CQLI_RESTRICTION_CONTAINS) {
        if (more->kind != CQLI_RESTRICTION_CONTAINS)
            return base_err_set(p->err, BASE_E_INVALID,
                                "Collection column %s can only be restricted by CONTAINS, CONTAINS "
                                "KEY, or map-entry equality",
                                cqli_common_columns(p, old, more));
        struct cqli_containment **end = &old->contains;
        while (*end)
            end = &(*end)->next;
        *end = more->contains;
        return BASE_OK;
    }
    if (more->kind != CQLI_RESTRICTION_SLICE)
        return base_err_set(
            p->err, BASE_E_INVALID,
            "Column \"%s\" cannot be restricted by both an equality and an inequality relation",
            cqli_common_columns(p, old, more));
    return merge_slices(p, old, more);
}

static bool index_serves(const struct base_index *index, const struct cql_relation *relation,
                         const struct cqli_restriction *r)
{
    if (relation->left == CQL_LEFT_ELEMENT)
        return index->target == BASE_INDEX_ENTRIES;
    switch (relation->op) {
    case CQL_OP_CONTAINS:
        return index->target == BASE_INDEX_VALUES;
    case CQL_OP_CONTAINS_KEY:
        return index->target == BASE_INDEX_KEYS;
    default:
        return r->kind == CQLI_RESTRICTION_EQ &&
               (index->target == BASE_INDEX_VALUE || index->target == BASE_INDEX_FULL);
    }
}

static bool ends_with_nocase(struct base_slice text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && base_slice_equal_nocase(base_slice(text.data + text.len - len, len),
                                                      base_slice(end, len));
}

static bool is_about(const struct cqli_prepare *p, const struct base_index *index,
                     const struct cqli_restriction *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (p->table->columns[r->first + i].id == index->column)
            return true;
    }
    return false;
}

void cqli_restriction_find_index(struct cqli_prepare *p, const struct cql_relation *relation,
                                 struct cqli_restriction *r)
{
    if (p->statement->kind != CQL_SELECT)
        return;
    for (size_t i = 0; i < p->table->index_count; i++) {
        const struct base_index *index = &p->table->indexes[i];
        if (!is_about(p, index, r) || !index_serves(index, relation, r))
            continue;
        r->indexed = true;
        r->sai = ends_with_nocase(index->index_class, "StorageAttachedIndex") ||
                 ends_with_nocase(index->index_class, "sai");
        if (r->contains)
            r->contains->indexed = true;
    }
}

static const struct cqli_restriction *last_clustering(const struct cqli_restrictions *r)
{
    for (size_t i = r->table->clustering_count; i-- > 0;) {
        if (r->by_column[r->table->partition_key_count + i])
            return r->by_column[r->table->partition_key_count + i];
    }
    return NULL;
}

/* Cassandra's questions when a clustering restriction joins others, which ask for order. */
static int check_order(struct cqli_prepare *p, const struct cqli_restrictions *r,
                       const struct cqli_restriction *last, const struct cqli_restriction *more)
{
    const struct base_table *table = p->table;
    if (!last || r->allow_filtering || more->indexed)
        return BASE_OK;
    if (last->kind == CQLI_RESTRICTION_SLICE && more->first > last->first)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Clustering column \"%.*s\" cannot be restricted "
                            "(preceding column \"%.*s\" is restricted by a non-EQ relation)",
                            BASE_SLICE_ARG(table->columns[more->first].name),
                            BASE_SLICE_ARG(table->columns[last->first].name));
    if (more->first < last->first && more->kind == CQLI_RESTRICTION_SLICE) {
        uint32_t next = more->first + 1;
        while (!r->by_column[next])
            next++;
        return base_err_set(p->err, BASE_E_INVALID,
                            "PRIMARY KEY column \"%.*s\" cannot be restricted "
                            "(preceding column \"%.*s\" is restricted by a non-EQ relation)",
                            BASE_SLICE_ARG(table->columns[next].name),
                            BASE_SLICE_ARG(table->columns[more->first].name));
    }
    return BASE_OK;
}

int cqli_restriction_put(struct cqli_prepare *p, struct cqli_restrictions *r,
                         struct cqli_restriction *more)
{
    struct cqli_restriction *merged = more;
    const struct cqli_restriction *last = last_clustering(r);
    int rc;
    for (uint32_t i = more->count; i-- > 0;) { /* the last one's fault is named, as in Cassandra */
        struct cqli_restriction *old = r->by_column[more->first + i];
        if (!old || old == merged)
            continue;
        if ((rc = cqli_restriction_merge(p, old, more)) != BASE_OK)
            return rc;
        old->indexed = old->indexed || more->indexed;
        old->sai = old->sai || more->sai;
        merged = old;
    }
    if (p->table->columns[more->first].kind == BASE_COLUMN_CLUSTERING &&
        (rc = check_order(p, r, last, more)) != BASE_OK)
        return rc;
    for (uint32_t i = 0; i < merged->count; i++) {
        BASE_ASSERT(!r->by_column[merged->first + i] || r->by_column[merged->first + i] == merged);
        r->by_column[merged->first + i] = merged;
    }
    return BASE_OK;
}
