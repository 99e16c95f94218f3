/* Predicates, and queries of every kind (differential.c). */
#include "tests/sql/differential.h"

/* Predicates. */

static void equals_or_in(struct test *t, struct pair *p, int column)
{
    diff_both(p, "%s", t->columns[column].name);
    unsigned how = (unsigned)rng_below(&t->rng, 10);
    if (how < 6) {
        diff_both(p, " = ");
        diff_value(t, p, column);
    } else if (how < 9) {
        int n = (int)rng_between(&t->rng, 1, 4);
        diff_both(p, " IN (");
        for (int i = 0; i < n; i++) {
            diff_both(p, i ? ", " : "");
            diff_value(t, p, column);
        }
        diff_both(p, ")");
    } else {
        diff_both(p, " IS ");
        diff_value(t, p, column);
    }
}

static bool is_number(enum kind kind)
{
    return kind == K_TINYINT || kind == K_SMALLINT || kind == K_INT;
}

/* A comparison of a column with a value, or with one between values or past all of them. */
static void compares(struct test *t, struct pair *p, int column)
{
    static const char *const ops[] = {"<", "<=", ">", ">=", "=", "<>"};
    enum kind kind = t->columns[column].kind;
    const char *op = ops[rng_below(&t->rng, kind == K_DURATION ? 1 : 6)];
    bool again = t->mentioned >> column & 1;
    t->mentioned |= 1u << column;
    if (kind == K_DURATION || (again && !t->plain)) { /* a duration has no order */
        diff_both(p, "%s IS NOT NULL", t->columns[column].name);
        return;
    }
    unsigned how = (unsigned)rng_below(&t->rng, 12);
    if (how == 0) {
        diff_both(p, "%s IS NULL", t->columns[column].name);
    } else if (how == 1) {
        diff_both(p, "%s %s NULL", t->columns[column].name, op);
    } else if (how == 2 && is_number(kind)) {
        diff_both(p, "%s %s %d.5", t->columns[column].name, op, (int)rng_between(&t->rng, -25, 50));
    } else if (how == 3 && is_number(kind)) {
        diff_both(p, "%s %s %s", t->columns[column].name, op,
                  rng_chance(&t->rng, 50) ? "99999999999" : "-99999999999");
    } else if (how == 4) {
        diff_both(p, "%s BETWEEN ", t->columns[column].name);
        diff_value(t, p, column);
        diff_both(p, " AND ");
        diff_value(t, p, column);
    } else {
        diff_both(p, "%s %s ", t->columns[column].name, op);
        diff_value(t, p, column);
    }
}

/* The whole partition key and perhaps a prefix of the clustering, then perhaps more. *single: one
 * partition. */
void diff_key_predicate(struct test *t, struct pair *p, bool *single)
{
    *single = true;
    t->plain = rng_chance(&t->rng, 50);
    t->mentioned = 0;
    for (int i = 0; i < t->partition_count; i++) {
        t->mentioned |= 1u << i;
        diff_both(p, i ? " AND " : "");
        if (rng_chance(&t->rng, 75)) {
            diff_both(p, "%s = ", t->columns[i].name);
            diff_value(t, p, i);
        } else {
            *single = false;
            equals_or_in(t, p, i);
        }
    }
    int i = t->partition_count, keys = i + t->clustering_count;
    for (; i < keys && rng_chance(&t->rng, 45); i++) {
        diff_both(p, " AND ");
        equals_or_in(t, p, i);
        t->mentioned |= 1u << i;
    }
    if (i < keys && rng_chance(&t->rng, 40)) {
        diff_both(p, " AND ");
        compares(t, p, i);
    }
    if (rng_chance(&t->rng, 20)) {
        diff_both(p, " AND ");
        compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
    }
    t->plain = false;
}

void diff_scan_predicate(struct test *t, struct pair *p)
{
    bool plain = t->plain = rng_chance(&t->rng, 50);
    t->mentioned = 0;
    diff_put(p, "allow_filtering = 1", "1");
    for (int n = (int)rng_below(&t->rng, 3); n > 0; n--) {
        diff_both(p, " AND ");
        if (plain && rng_chance(&t->rng, 40)) {
            diff_both(p, "(");
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
            diff_both(p, " OR ");
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
            diff_both(p, ")");
        } else {
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
        }
    }
    t->plain = false;
}

void diff_predicate(struct test *t, struct pair *p)
{
    bool single;
    if (rng_chance(&t->rng, 75))
        diff_key_predicate(t, p, &single);
    else
        diff_scan_predicate(t, p);
}

/* Queries. */

static void order_by_clustering(const struct test *t, struct pair *p, bool reversed)
{
    diff_both(p, " ORDER BY ");
    for (int i = t->partition_count; i < diff_key_count(t); i++)
        diff_both(p, "%s%s %s", i > t->partition_count ? ", " : "", t->columns[i].name,
                  t->columns[i].descending != reversed ? "DESC" : "ASC");
}

static void limit(struct test *t, struct pair *p)
{
    if (!rng_chance(&t->rng, 60))
        return;
    diff_both(p, " LIMIT %d", (int)rng_between(&t->rng, -1, 6));
    if (rng_chance(&t->rng, 50))
        diff_both(p, " OFFSET %d", (int)rng_between(&t->rng, -1, 4));
}

static void ordered_query(struct test *t)
{
    struct pair p = {0};
    bool single;
    diff_put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
    diff_key_predicate(t, &p, &single);
    if (single && t->clustering_count) {
        order_by_clustering(t, &p, rng_chance(&t->rng, 50));
    } else {
        diff_both(&p, " ORDER BY ");
        for (int i = 0; i < diff_key_count(t); i++)
            diff_both(&p, "%s%s%s", i ? ", " : "", t->columns[i].name,
                      rng_chance(&t->rng, 50) ? " DESC" : "");
    }
    limit(t, &p);
    diff_check_same(t, &p, true, false);
}

static void aggregate_query(struct test *t)
{
    static const char *const wholes[] = {"count(*)", "count(*), min(%s), max(%s)", "DISTINCT %s",
                                         "%s, count(*)"};
    struct pair p = {0};
    char list[200];
    size_t which = (size_t)rng_below(&t->rng, 4);
    const char *name = t->columns[rng_below(&t->rng, (uint64_t)t->column_count)].name;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(list, sizeof list, wholes[which], name, name);
#pragma GCC diagnostic pop
    diff_both(&p, "SELECT %s FROM ", list);
    diff_put(&p, "r WHERE ", "m WHERE ");
    diff_predicate(t, &p);
    if (which == 3)
        diff_both(&p, " GROUP BY %s", name);
    diff_check_same(t, &p, false, false);
}

/* (What is common to both sides SQLite tests itself: canonical spellings only.) */
static void or_query(struct test *t)
{
    struct pair p = {0};
    t->plain = true;
    diff_put(&p, "SELECT * FROM r WHERE (", "SELECT * FROM m WHERE (");
    diff_whole_key(t, &p);
    diff_both(&p, ") OR (");
    diff_whole_key(t, &p);
    diff_both(&p, ")");
    t->plain = false;
    diff_check_same(t, &p, false, false);
}

/* `loc` is a local table of keys; either side may come first. */
static void join_query(struct test *t)
{
    struct pair p = {0};
    const char *shape = rng_chance(&t->rng, 50) ? "SELECT loc.id, x.* FROM loc JOIN %s x ON "
                                                : "SELECT loc.id, x.* FROM %s x JOIN loc ON ";
    if (rng_chance(&t->rng, 30))
        shape = "SELECT loc.id, x.* FROM loc LEFT JOIN %s x ON ";
    for (int ringlet = 0; ringlet < 2; ringlet++) {
        char text[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, shape, ringlet ? "r" : "m");
#pragma GCC diagnostic pop
        diff_put(&p, ringlet ? text : "", ringlet ? "" : text);
    }
    for (int i = 0; i < t->partition_count; i++)
        diff_both(&p, "%sx.%s = loc.%s", i ? " AND " : "", t->columns[i].name, t->columns[i].name);
    if (rng_chance(&t->rng, 40))
        diff_both(&p, " WHERE loc.id < 3");
    diff_check_same(t, &p, false, false);
}

static void subquery(struct test *t)
{
    struct pair p = {0};
    if (rng_chance(&t->rng, 50)) {
        diff_both(&p, "SELECT id, (SELECT count(*) FROM ");
        diff_put(&p, "r", "m");
        diff_both(&p, " x WHERE ");
        for (int i = 0; i < t->partition_count; i++)
            diff_both(&p, "%sx.%s = loc.%s", i ? " AND " : "", t->columns[i].name,
                      t->columns[i].name);
        diff_both(&p, ") FROM loc");
    } else {
        diff_both(&p, "SELECT * FROM ");
        diff_put(&p, "r", "m");
        diff_both(&p, " WHERE (");
        diff_column_list(t, &p, 0, t->partition_count);
        diff_both(&p, ") IN (SELECT ");
        diff_column_list(t, &p, 0, t->partition_count);
        diff_both(&p, " FROM loc)");
        if (t->partition_count == 1)
            p.ringlet[0] = p.ringlet[0]; /* (a) IN (…) is a plain IN */
    }
    diff_check_same(t, &p, false, false);
}

/* More than sixteen terms: SQLite ignores `omit` for the last ones. */
static void many_terms_query(struct test *t)
{
    struct pair p = {0};
    diff_put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
    for (int i = 0; i < 16; i++)
        diff_both(&p, "%s IS NOT 'nothing' AND ", t->columns[0].name);
    for (int i = 0; i < t->partition_count; i++) {
        char text[80];
        diff_canonical(t->columns[i].kind, diff_draw_key(t, i), text);
        diff_both(&p, "%s%s = %s", i ? " AND " : "", t->columns[i].name, text);
    }
    diff_check_same(t, &p, false, false);
}

void diff_query(struct test *t)
{
    struct pair p = {0};
    t->queries++;
    switch (rng_below(&t->rng, 12)) {
    case 0:
    case 1:
    case 2:
        ordered_query(t);
        return;
    case 3:
        aggregate_query(t);
        return;
    case 4:
        or_query(t);
        return;
    case 5:
        join_query(t);
        return;
    case 6:
        subquery(t);
        return;
    case 7:
        many_terms_query(t);
        return;
    default:
        diff_put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
        diff_predicate(t, &p);
        diff_check_same(t, &p, false, false);
    }
}
