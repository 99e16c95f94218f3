/* The planner. It relies on what tests/sql/ proves of SQLite 3.40 (docs: the extension's
 * reference):
 *
 * 1. A query may not fail here: SQLite asks for terms of an OR one by one. What cannot be served
 *    gets a plan that costs 1e50 and fails in xFilter, if it is ever run.
 * 2. A term is taken only if it compares as the column's type does: LIKE adds ranges with NOCASE.
 * 3. A taken term is omitted: SQLite must not test again as text what we converted. It ignores
 *    `omit` for terms past the 16th; the plan says so (echo).
 * 4. LIMIT is taken only when every other term is taken and the order is ours.
 * 5. IN lists are taken whole; then SQLite believes orderByConsumed, and slices come sorted. */
#include "vtab/vtab_private.h"

#include <stdio.h>

#define OMIT_INDEX_END 16 /* SQLite ignores omit from this constraint on */

int vtabi_plan_encode(const struct vtabi_plan *plan)
{
    BASE_ASSERT(plan->prefix_count <= VTABI_PLAN_PREFIX_MAX);
    BASE_ASSERT(plan->filter_count <= VTABI_PLAN_FILTERS_MAX);
    unsigned bits =
        (unsigned)plan->kind | (unsigned)plan->reversed << 2 | (unsigned)plan->in << 3 |
        (unsigned)plan->allow << 4 | (unsigned)plan->consistency << 5 | (unsigned)plan->limit << 6 |
        (unsigned)plan->offset << 7 | (unsigned)plan->echo << 8 | (unsigned)plan->lower << 9 |
        (unsigned)plan->upper << 11 | plan->prefix_count << 13 | plan->filter_count << 24;
    return (int)bits;
}

void vtabi_plan_decode(int idx_num, struct vtabi_plan *plan)
{
    unsigned bits = (unsigned)idx_num;
    *plan = (struct vtabi_plan){
        .kind = (enum vtabi_plan_kind)(bits & 3),
        .reversed = bits >> 2 & 1,
        .in = bits >> 3 & 1,
        .allow = bits >> 4 & 1,
        .consistency = bits >> 5 & 1,
        .limit = bits >> 6 & 1,
        .offset = bits >> 7 & 1,
        .echo = bits >> 8 & 1,
        .lower = (enum vtabi_bound)(bits >> 9 & 3),
        .upper = (enum vtabi_bound)(bits >> 11 & 3),
        .prefix_count = bits >> 13 & VTABI_PLAN_PREFIX_MAX,
        .filter_count = bits >> 24 & VTABI_PLAN_FILTERS_MAX,
    };
}

/* One call of xBestIndex. */
struct planner {
    struct vtabi_table *table;
    const struct vtabi_binding
        *binding;  /* NULL: the node cannot be asked; only REFUSED is possible */
    bool by_index; /* a scan that an index of the table serves */
    sqlite3_index_info *info;
    struct vtabi_plan plan;
    int argc;
    int exact_count; /* terms that nobody else tests */
    bool in_partition;
    double row_count; /* estimate */
    struct base_buf text;
    int rc; /* of building the text */
};

static void say(struct planner *p, const char *text)
{
    if (p->rc == BASE_OK)
        p->rc = base_buf_put(&p->text, text, strlen(text));
}

/* A column's name, with '?' for what is not a word character: xFilter finds the filters by blanks
 * and brackets. */
static void say_column(struct planner *p, int column, const char *op)
{
    struct base_slice name = vtabi_column_name(p->table, column);
    for (size_t i = 0; p->rc == BASE_OK && i < name.len; i++) {
        uint8_t c = name.data[i];
        bool word = c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
                    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        p->rc = base_buf_put_u8(&p->text, word ? c : '?');
    }
    say(p, op);
}

static bool is_equality(unsigned char op)
{
    return op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_IS;
}

/* Does the term compare as the column's type does? BINARY is what a comparison with another table's
 * column asks for, and what most types have; ours come with columns, and for all columns of a row
 * value SQLite names the first one's. Numbers and blobs have no collation. */
static bool collates(const struct planner *p, int i)
{
    const char *collation = sqlite3_vtab_collation(p->info, i);
    int index = p->info->aConstraint[i].iColumn - p->table->column_first;
    if (strcmp(collation, "BINARY") == 0 || sqlite3_strnicmp(collation, "ringlet_", 8) == 0)
        return true;
    const struct base_column *column =
        index >= 0 && index < p->table->column_count ? p->binding->columns[index] : NULL;
    return column && strcmp(vtabi_sql_type(column->type), "TEXT") != 0;
}

static bool may_take(const struct planner *p, int i)
{
    return p->info->aConstraint[i].usable && p->info->aConstraintUsage[i].argvIndex == 0 &&
           collates(p, i);
}

/* The constraint that fixes a key column, single values before IN lists; -1: none. IS counts where
 * the column cannot be NULL (a clustering column is in the row of a partition that has only static
 * values). */
static int find_equality(const struct planner *p, int column)
{
    int found = -1;
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->iColumn != column || !is_equality(c->op) || !may_take(p, i))
            continue;
        if (c->op == SQLITE_INDEX_CONSTRAINT_IS && p->binding->has_static)
            continue;
        if (!sqlite3_vtab_in(p->info, i, -1))
            return i;
        found = i;
    }
    return found;
}

static int find_bound(const struct planner *p, int column, int op_strict, int op_inclusive)
{
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->iColumn == column && (c->op == op_strict || c->op == op_inclusive) && may_take(p, i))
            return i;
    }
    return -1;
}

/* Take constraint i as the next argument. True when it is a whole IN list. */
static bool take(struct planner *p, int i)
{
    struct sqlite3_index_constraint_usage *usage = &p->info->aConstraintUsage[i];
    bool in = false;
    usage->argvIndex = ++p->argc;
    usage->omit = 1;
    if (i < OMIT_INDEX_END)
        in = sqlite3_vtab_in(p->info, i, 1);
    else
        p->plan.echo = true;
    p->plan.in |= in;
    p->exact_count += i < OMIT_INDEX_END;
    return in;
}

/* The key. */

static bool plan_key(struct planner *p)
{
    int i = find_equality(p, p->table->column_key);
    if (i < 0)
        return false;
    p->plan.kind = VTABI_PLAN_KEY;
    bool in = take(p, i);
    p->row_count = in ? 25 : 1;
    say(p, in ? "rows k=in" : "row k=");
    if (!in)
        p->info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    return true;
}

static void take_bounds(struct planner *p, int column)
{
    int lower = find_bound(p, column, SQLITE_INDEX_CONSTRAINT_GT, SQLITE_INDEX_CONSTRAINT_GE);
    int upper = find_bound(p, column, SQLITE_INDEX_CONSTRAINT_LT, SQLITE_INDEX_CONSTRAINT_LE);
    if (lower < 0 && upper < 0)
        return;
    say(p, " slice");
    if (lower >= 0) {
        bool strict = p->info->aConstraint[lower].op == SQLITE_INDEX_CONSTRAINT_GT;
        p->plan.lower = strict ? VTABI_BOUND_STRICT : VTABI_BOUND_INCLUSIVE;
        (void)take(p, lower);
        say(p, " ");
        say_column(p, column, strict ? ">" : ">=");
        p->row_count /= 4;
    }
    if (upper >= 0) {
        bool strict = p->info->aConstraint[upper].op == SQLITE_INDEX_CONSTRAINT_LT;
        p->plan.upper = strict ? VTABI_BOUND_STRICT : VTABI_BOUND_INCLUSIVE;
        (void)take(p, upper);
        say(p, " ");
        say_column(p, column, strict ? "<" : "<=");
        p->row_count /= 4;
    }
}

static bool plan_partition(struct planner *p)
{
    const struct base_table *schema = p->binding->table;
    for (size_t i = 0; i < schema->partition_key_count; i++)
        if (find_equality(p, p->binding->partition[i]) < 0)
            return false;
    bool single = true;
    p->plan.kind = VTABI_PLAN_PARTITION;
    p->row_count = 1000;
    say(p, "partition ");
    for (size_t i = 0; i < schema->partition_key_count; i++) {
        int column = p->binding->partition[i];
        bool in = take(p, find_equality(p, column));
        p->in_partition |= in;
        p->row_count *= in ? 4 : 1;
        say(p, i ? "," : "");
        say_column(p, column, in ? "=in" : "=");
    }
    single = !p->in_partition;
    while (p->plan.prefix_count < schema->clustering_count &&
           p->plan.prefix_count < VTABI_PLAN_PREFIX_MAX) {
        int column = p->binding->clustering[p->plan.prefix_count];
        int i = find_equality(p, column);
        if (i < 0) {
            take_bounds(p, column);
            break;
        }
        bool in = take(p, i);
        single &= !in;
        say(p, p->plan.prefix_count ? "," : " rows ");
        say_column(p, column, in ? "=in" : "=");
        p->row_count /= in ? 3 : 12;
        p->plan.prefix_count++;
    }
    if (single && p->plan.prefix_count == schema->clustering_count) {
        p->info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
        p->row_count = 1;
    }
    if (p->row_count < 1)
        p->row_count = 1;
    return true;
}

/* The whole table. */

/* allow_filtering in any form that reaches us: a comparison, or the bare word, which only shows in
 * colUsed (all ones means UPDATE, which tells nothing). */
static bool allows_filtering(struct planner *p)
{
    bool allowed = false;
    int column = p->table->column_allow;
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->iColumn != column || !c->usable)
            continue;
        if (is_equality(c->op) && !p->plan.allow) {
            p->info->aConstraintUsage[i].argvIndex = ++p->argc;
            p->info->aConstraintUsage[i].omit = 1;
            p->exact_count += i < OMIT_INDEX_END;
            p->plan.allow = true;
        }
        allowed |= is_equality(c->op) || c->op == SQLITE_INDEX_CONSTRAINT_NE ||
                   c->op == SQLITE_INDEX_CONSTRAINT_GT || c->op == SQLITE_INDEX_CONSTRAINT_GE;
    }
    sqlite3_uint64 used = p->info->colUsed;
    return allowed || (column < 63 && used != ~(sqlite3_uint64)0 && (used >> column & 1));
}

/* What a filter is called in idxStr; NULL: not one. cursor's filter.c reads it. */
static const char *filter_op(unsigned char op, bool in)
{
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return in ? "~" : "=";
    case SQLITE_INDEX_CONSTRAINT_NE:
        return "!";
    case SQLITE_INDEX_CONSTRAINT_GT:
        return ">";
    case SQLITE_INDEX_CONSTRAINT_GE:
        return ">=";
    case SQLITE_INDEX_CONSTRAINT_LT:
        return "<";
    case SQLITE_INDEX_CONSTRAINT_LE:
        return "<=";
    default:
        return NULL;
    }
}

/* A comparison that the cursor makes by the column's own type: any that no key took, on a scalar
 * column. */
static const char *may_filter(const struct planner *p, int i)
{
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    int index = c->iColumn - p->table->column_first;
    if (i >= OMIT_INDEX_END || index < 0 || index >= p->table->column_count ||
        !filter_op(c->op, false) || !may_take(p, i))
        return NULL;
    const struct base_column *column = p->binding->columns[index];
    if (!column || column->type->kind >= BASE_TYPE_LIST || column->type->kind == BASE_TYPE_DURATION)
        return NULL;
    return filter_op(c->op, sqlite3_vtab_in(p->info, i, -1));
}

/* Is there an equality that an index of the table serves? Then rows are found without their keys,
 * and nobody need allow it. */
static bool has_indexed_equality(const struct planner *p)
{
    const struct base_table *table = p->binding->table;
    for (int i = 0; i < p->info->nConstraint && table->index_count; i++) {
        const char *op = may_filter(p, i);
        if (!op || op[0] != '=')
            continue;
        const struct base_column *column =
            p->binding->columns[p->info->aConstraint[i].iColumn - p->table->column_first];
        for (size_t k = 0; k < table->index_count; k++)
            if (table->indexes[k].column == column->id &&
                table->indexes[k].target == BASE_INDEX_VALUE)
                return true;
    }
    return false;
}

/* Take what can be tested here. idxStr carries operator and column: " filter celsius>[3]". */
static void take_filters(struct planner *p)
{
    for (int i = 0; i < p->info->nConstraint && p->plan.filter_count < VTABI_PLAN_FILTERS_MAX;
         i++) {
        const char *op = may_filter(p, i);
        if (!op)
            continue;
        int column = p->info->aConstraint[i].iColumn;
        char number[32];
        snprintf(number, sizeof number, "[%d]", column);
        (void)take(p, i);
        say(p, p->plan.filter_count ? " " : " filter ");
        say_column(p, column, op);
        say(p, number);
        p->plan.filter_count++;
    }
}

/* Order, limit. */

/* Is the column the same in all rows of this plan? */
static bool is_fixed(const struct planner *p, int column)
{
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->iColumn == column && is_equality(c->op) &&
            p->info->aConstraintUsage[i].argvIndex > 0 && !sqlite3_vtab_in(p->info, i, -1))
            return true;
    }
    return false;
}

/* ORDER BY in clustering order or its exact reverse, within one partition. */
static void plan_order(struct planner *p)
{
    const struct vtabi_binding *binding = p->binding;
    bool decided = false, reversed = false;
    size_t next = 0; /* clustering columns consumed */
    if (p->info->nOrderBy == 0 || p->plan.kind != VTABI_PLAN_PARTITION || p->in_partition)
        return;
    for (int i = 0; i < p->info->nOrderBy; i++) {
        const struct sqlite3_index_orderby *by = &p->info->aOrderBy[i];
        if (is_fixed(p, by->iColumn))
            continue;
        while (next < binding->table->clustering_count &&
               binding->clustering[next] != by->iColumn && is_fixed(p, binding->clustering[next]))
            next++;
        if (next == binding->table->clustering_count)
            break; /* rows are unique by now: the rest orders nothing */
        int column = binding->clustering[next];
        if (column != by->iColumn)
            return;
        bool against =
            binding->columns[column - p->table->column_first]->descending != (by->desc != 0);
        if (decided && against != reversed)
            return;
        decided = true;
        reversed = against;
        next++;
    }
    p->info->orderByConsumed = 1;
    p->plan.reversed = reversed;
    say(p, reversed ? " order reversed" : " order");
}

/* consistency = '…', limit and offset: what every plan may carry. */
static void plan_common(struct planner *p)
{
    int limit = -1, offset = -1;
    int i = find_equality(p, p->table->column_consistency);
    if (i >= 0 && !sqlite3_vtab_in(p->info, i, -1)) {
        (void)take(p, i);
        p->plan.consistency = true;
        say(p, " consistency");
    }
    int wanted = p->info->nConstraint;
    for (i = 0; i < p->info->nConstraint; i++) {
        unsigned char op = p->info->aConstraint[i].op;
        if (op != SQLITE_INDEX_CONSTRAINT_LIMIT && op != SQLITE_INDEX_CONSTRAINT_OFFSET)
            continue;
        wanted--;
        if (!p->info->aConstraint[i].usable || i >= OMIT_INDEX_END)
            return;
        *(op == SQLITE_INDEX_CONSTRAINT_LIMIT ? &limit : &offset) = i;
    }
    if (limit < 0 || p->exact_count != wanted || (p->info->nOrderBy && !p->info->orderByConsumed))
        return;
    p->info->aConstraintUsage[limit].argvIndex = ++p->argc;
    p->info->aConstraintUsage[limit].omit = 1;
    p->plan.limit = true;
    say(p, " limit");
    if (offset >= 0) {
        p->info->aConstraintUsage[offset].argvIndex = ++p->argc;
        p->info->aConstraintUsage[offset].omit = 1;
        p->plan.offset = true;
        say(p, " offset");
    }
}

/* "refused: sensor, day": xFilter's message ends with it. */
static void say_missing(struct planner *p)
{
    const char *separator = "refused: ";
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->iColumn < 0 && is_equality(c->op)) { /* see refuse() in cursor.c */
            say(p, "refused: " VTABI_PLAN_AGAIN);
            return;
        }
    }
    for (size_t i = 0; p->binding && i < p->binding->table->partition_key_count; i++) {
        if (find_equality(p, p->binding->partition[i]) >= 0)
            continue;
        say(p, separator);
        say_column(p, p->binding->partition[i], "");
        separator = ", ";
    }
    if (!p->binding)
        say(p, "refused: not open");
}

static void plan_cost(struct planner *p)
{
    sqlite3_index_info *info = p->info;
    switch (p->plan.kind) {
    case VTABI_PLAN_REFUSED:
        info->estimatedCost = 1e50;
        info->estimatedRows = 1000000;
        return;
    case VTABI_PLAN_SCAN:
        info->estimatedCost = p->by_index ? 3e4 : 3e6;
        info->estimatedRows = p->by_index ? 4000 : 1000000;
        break;
    case VTABI_PLAN_PARTITION:
    case VTABI_PLAN_KEY:
        info->estimatedCost = 4 + 1.5 * p->row_count;
        info->estimatedRows = (sqlite3_int64)p->row_count;
        break;
    }
    if (p->plan.filter_count)
        info->estimatedRows = info->estimatedRows / 4 + 1;
}

int vtabi_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct planner p = {.table = table, .info = info};
    base_buf_init(&p.text, VTABI_BUF_MAX);
    /* When the node cannot be asked, xFilter will say why; DROP and .schema must work all the
     * same. */
    if (vtabi_table_bind(table, NULL) == BASE_OK)
        p.binding = table->binding;
    if (p.binding) {
        bool keyed = plan_key(&p) || plan_partition(&p);
        bool allowed = allows_filtering(&p);
        p.by_index = !keyed && has_indexed_equality(&p);
        if (!keyed && (allowed || p.by_index)) {
            p.plan.kind = VTABI_PLAN_SCAN;
            say(&p, p.by_index ? "index" : "scan");
        }
    }
    if (p.plan.kind == VTABI_PLAN_REFUSED) {
        for (int i = 0; i < info->nConstraint; i++)
            info->aConstraintUsage[i] = (struct sqlite3_index_constraint_usage){0};
        p.plan = (struct vtabi_plan){0};
        say_missing(&p);
    } else {
        take_filters(&p);
        plan_order(&p);
        plan_common(&p);
    }
    plan_cost(&p);
    info->idxNum = vtabi_plan_encode(&p.plan);
    if (p.rc == BASE_OK)
        p.rc = base_buf_put_u8(&p.text, 0);
    if (p.rc == BASE_OK) {
        info->idxStr = sqlite3_mprintf("%s", (const char *)p.text.data);
        info->needToFreeIdxStr = 1;
    }
    base_buf_fini(&p.text);
    return p.rc == BASE_OK && info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}
