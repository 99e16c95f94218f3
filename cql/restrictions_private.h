/* WHERE, prepared: what each column is restricted by. For restrictions*.c and the select part only.
 *
 * restrictions.c          relations → restrictions
 * restrictions_merge.c    … merged by column
 * restrictions_text.c     relations as text, for messages
 * restrictions_rules.c    what a statement may restrict: partition key, clustering, indexes,
 *                         filtering
 * restrictions_eval.c     restrictions + values → places (cql/expr.h)
 * restrictions_slices.c   clustering restrictions → slices of encoded keys */
#ifndef CQL_RESTRICTIONS_PRIVATE_H
#define CQL_RESTRICTIONS_PRIVATE_H

#include "cql/expr.h"

/* What one relation is compared with: a value a column, or all of them in one (a tuple, from a
 * marker). */
struct cqli_operand {
    struct cqli_expr **items;
    struct cqli_expr *whole; /* NULL: items */
    uint32_t count;          /* columns; 0: not there (a bound) */
};

struct cqli_containment {
    enum base_filter_op op; /* CONTAINS, CONTAINS_KEY, ENTRY */
    struct cqli_expr *key;  /* ENTRY */
    struct cqli_expr *value;
    bool indexed;
    struct cqli_containment *next;
};

enum cqli_restriction_kind {
    CQLI_RESTRICTION_EQ,
    CQLI_RESTRICTION_IN,
    CQLI_RESTRICTION_SLICE,
    CQLI_RESTRICTION_CONTAINS
};

struct cqli_restriction {
    enum cqli_restriction_kind kind;
    uint32_t first, count;         /* columns: indexes into table->columns */
    bool multi;                    /* written as a tuple */
    struct cqli_operand *operands; /* EQ: one. IN: the alternatives */
    size_t operand_count;
    struct cqli_expr *list;     /* IN ?: all alternatives in one list; then no operands */
    struct cqli_operand lo, hi; /* SLICE */
    bool lo_inclusive, hi_inclusive;
    struct cqli_containment *contains;
    bool indexed; /* an index serves it */
    bool sai;     /* … and that is one which is intersected with others */
};

struct cqli_restrictions {
    enum cqli_restrict_for use;
    const struct base_table *table;
    bool allow_filtering;
    /* by index into table->columns; a tuple's at each of its columns */
    struct cqli_restriction **by_column;
    struct cqli_restriction *token;           /* on token(…), or NULL */
    uint32_t pk_count, ck_count, other_count; /* columns restricted */
    bool pk_complete; /* every component is restricted by EQ or IN: partitions are named */
    bool pk_filtered; /* the partition key's restrictions are conditions on what a scan finds */
    bool key_is_in, key_range;
    bool ck_filtered; /* some clustering restriction is a condition, not a slice */
    bool uses_index, regular_restricted;
    bool only_statics; /* what is selected, or written */
    /* what counts as conditions, for the rule of filtering */
    bool key_conditions, clustering_conditions, multiple_contains;
};

/* cql/expr.h's cqli_restrictions_prepare for SELECT, which asks the last question later: is it
 * filtering? */
BASE_MUST int cqli_restrictions_of_select(struct cqli_prepare *p, const struct cql_relation *where,
                                          bool allow_filtering, bool only_statics,
                                          const struct cqli_restrictions **out);
BASE_MUST int cqli_restrictions_check_filtering(struct cqli_prepare *p,
                                                const struct cqli_restrictions *r);
/* The other rules, once all relations are in. */
BASE_MUST int cqli_restrictions_judge(struct cqli_prepare *p, struct cqli_restrictions *r);
extern const char cqli_needs_filtering[]; /* Cassandra's message */

/* Is it a condition at its place, when the slices go as far as clustering column `position`? */
bool cqli_clustering_filtered(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                              uint32_t position);
/* Clustering restrictions in order, each once: the next at or after column *i (set behind it),
 * NULL: no more. */
const struct cqli_restriction *cqli_clustering_next(const struct cqli_restrictions *r, uint32_t *i);

/* `more` is said of columns that `old` restricts already. */
BASE_MUST int cqli_restriction_merge(struct cqli_prepare *p, struct cqli_restriction *old,
                                     const struct cqli_restriction *more);
BASE_MUST int cqli_restriction_put(struct cqli_prepare *p, struct cqli_restrictions *r,
                                   struct cqli_restriction *more);
void cqli_restriction_find_index(struct cqli_prepare *p, const struct cql_relation *relation,
                                 struct cqli_restriction *r);
/* "a, b": the columns that both have; in the arena. Never NULL. */
const char *cqli_common_columns(struct cqli_prepare *p, const struct cqli_restriction *a,
                                const struct cqli_restriction *b);
const char *cqli_operator_text(enum cql_operator op);
const char *cqli_use_text(const struct cqli_restrictions *r); /* "SELECT" … */
/* "(a, b) > (1, ?)", for messages; in the arena. Never NULL. */
const char *cqli_relation_text(struct cqli_prepare *p, const struct cql_relation *relation);

/* A restriction's alternatives: count × columns values, checked not to be null; in eval->arena. */
struct cqli_alternatives {
    struct base_slice *values; /* count times `width` */
    size_t count;
    uint32_t width;
};
BASE_MUST int cqli_operand_values(const struct cqli_restrictions *r, uint32_t first,
                                  const struct cqli_operand *operand, struct cqli_eval *eval,
                                  struct base_slice *out);
BASE_MUST int cqli_alternatives(const struct cqli_restrictions *r, const struct cqli_restriction *c,
                                struct cqli_eval *eval, struct cqli_alternatives *out);
/* places->slices (and ->nothing) from the clustering restrictions. */
BASE_MUST int cqli_restrictions_slices(const struct cqli_restrictions *r, struct cqli_eval *eval,
                                       struct cqli_places *out);
int cqli_places_no_memory(struct cqli_eval *eval);

/* For SELECT's own rules. */
bool cqli_restricted_by_eq(const struct cqli_restrictions *r, uint32_t column);

#endif
