/* A query plan: what xBestIndex chose and xFilter carries out. The encoding in idxNum is written
 * once, here; idxStr is the same for people (EXPLAIN QUERY PLAN) and carries the filters.
 *
 * Arguments of xFilter, in this order, each only if the plan has it:
 *   KEY:        k
 *   PARTITION:  every partition key column, the clustering prefix, lower bound, upper bound
 *   all:        allow_filtering, filters, consistency, limit, offset */
#ifndef VTAB_PLAN_H
#define VTAB_PLAN_H

#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdint.h>

enum vtabi_plan_kind {
    VTABI_PLAN_REFUSED, /* xFilter answers with the way out */
    VTABI_PLAN_SCAN, /* the whole table, allowed by allow_filtering, or what an index of it finds */
    VTABI_PLAN_PARTITION, /* partitions by key, slices of their rows */
    VTABI_PLAN_KEY,       /* single rows by k */
};
enum vtabi_bound { VTABI_BOUND_NONE, VTABI_BOUND_INCLUSIVE, VTABI_BOUND_STRICT };

struct vtabi_plan {
    enum vtabi_plan_kind kind;
    bool reversed;
    bool in;                                /* some key argument is a whole IN list */
    bool allow, consistency, limit, offset; /* an argument for each */
    bool echo;                              /* SQLite tests some taken term again: see request.c */
    enum vtabi_bound lower, upper;          /* on the clustering column after the prefix */
    unsigned prefix_count;                  /* clustering columns with = or IN */
    unsigned filter_count;
};
#define VTABI_PLAN_PREFIX_MAX 2047u
#define VTABI_PLAN_FILTERS_MAX 63u

/* What idxStr says instead of missing columns when the statement must be compiled again. */
#define VTABI_PLAN_AGAIN "rowid"

int vtabi_plan_encode(const struct vtabi_plan *plan);
void vtabi_plan_decode(int idx_num, struct vtabi_plan *plan);
/* xBestIndex. Never fails a legal query: without the key columns the plan is REFUSED and dear. */
int vtabi_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info);

#endif
