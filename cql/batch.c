/* BATCH: statements executed as one. The text's own (BEGIN BATCH … APPLY BATCH) and the native
 * protocol's message share everything but where the statements come from. Rules and words are
 * Cassandra's (BatchStatement). */
#include "cql/modify_private.h"

#include <stdlib.h>

/* Preparing the text's. */

/* Drivers route a batch by its first statement's partition key; not when it is about several
 * tables. */
static void take_pk_binds(const struct cqli_modify *m, struct cql_prepared *out)
{
    for (size_t i = 1; i < m->child_count; i++)
        if (m->children[i].table != m->children[0].table)
            return;
    if (m->child_count == 0)
        return;
    out->table = m->children[0].table;
    out->pk_binds = m->children[0].pk_binds;
    out->pk_bind_count = m->children[0].pk_bind_count;
}

static int prepare_child(struct cqli_prepare *p, const struct cql_statement *statement,
                         struct cql_prepared *out)
{
    struct cqli_prepare child = *p;
    child.statement = statement;
    int rc = cqli_prepare_table(&child, &statement->target, &child.table);
    if (rc != BASE_OK)
        return rc;
    *out = (struct cql_prepared){
        .kind = statement->kind, .statement = statement, .table = child.table};
    return cqli_modify_prepare(&child, out);
}

int cqli_batch_prepare(struct cqli_prepare *p, struct cql_prepared *out)
{
    const struct cql_modify *said = &p->statement->modify;
    struct cqli_modify *m = base_arena_zalloc(p->arena, sizeof *m);
    size_t count = 0;
    for (const struct cql_statement *s = said->statements; s; s = s->next)
        count++;
    struct cql_prepared *children = base_arena_alloc(p->arena, (count + 1) * sizeof *children);
    struct cqli_item *items = base_arena_alloc(p->arena, (count + 1) * sizeof *items);
    if (!m || !children || !items)
        return cqli_prepare_no_memory(p);
    m->kind = CQL_BATCH;
    m->batch = said->batch;
    m->children = children;
    if (said->ttl)
        return base_err_set(p->err, BASE_E_INVALID,
                            "Global TTL on the BATCH statement is not supported.");
    int rc = cqli_using_prepare(p, m);
    for (const struct cql_statement *s = said->statements; rc == BASE_OK && s; s = s->next) {
        rc = prepare_child(p, s, &children[m->child_count]);
        if (rc == BASE_OK) {
            items[m->child_count] = (struct cqli_item){.m = children[m->child_count].modify};
            m->child_count++;
        }
    }
    if (rc == BASE_OK)
        rc = cqli_batch_check(m->batch, m->timestamp != NULL, items, m->child_count, p->err);
    if (rc != BASE_OK)
        return rc;
    take_pk_binds(m, out);
    out->modify = m;
    return BASE_OK;
}

/* Rules. */

int cqli_batch_check(enum cql_batch_kind kind, bool has_timestamp, const struct cqli_item *items,
                     size_t count, struct base_err *err)
{
    bool conditional = false;
    for (size_t i = 0; i < count; i++)
        conditional = conditional || items[i].m->if_kind != CQLI_IF_NONE;
    if (has_timestamp && conditional)
        return base_err_set(err, BASE_E_INVALID,
                            "Cannot provide custom timestamp for conditional BATCH");
    if (has_timestamp && kind == CQL_BATCH_COUNTER)
        return base_err_set(err, BASE_E_INVALID,
                            "Cannot provide custom timestamp for counter BATCH");
    for (size_t i = 0; i < count; i++) {
        const struct cqli_modify *m = items[i].m;
        if (has_timestamp && m->timestamp)
            return base_err_set(err, BASE_E_INVALID,
                                "Timestamp must be set either on BATCH or individual statements");
        if (kind == CQL_BATCH_COUNTER) /* there are no counters yet (cql/README.md) */
            return base_err_set(err, BASE_E_INVALID,
                                "Cannot include non-counter statement in a counter batch");
        if (conditional && m->table != items[0].m->table &&
            !base_uuid_equal(m->table->id, items[0].m->table->id))
            return base_err_set(err, BASE_E_INVALID,
                                "Batch with conditions cannot span multiple tables");
    }
    return BASE_OK;
}

static int by_row(const void *a, const void *b)
{
    const struct cqli_judged *x = a, *y = b;
    int c = base_slice_compare(x->ckey, y->ckey);
    return c ? c : x->item < y->item ? -1 : x->item > y->item;
}

int cqli_batch_check_judged(struct cqli_run *run)
{
    if (run->judged_count < 2)
        return BASE_OK;
    qsort(run->judged, run->judged_count, sizeof *run->judged, by_row);
    for (size_t i = 1; i < run->judged_count; i++) {
        const struct cqli_judged *before = &run->judged[i - 1], *it = &run->judged[i];
        if (before->kind == it->kind || !base_slice_equal(before->ckey, it->ckey))
            continue;
        if (before->kind != CQLI_IF_COLUMNS && it->kind != CQLI_IF_COLUMNS)
            return base_err_set(
                &run->exec->err, BASE_E_INVALID,
                "Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row");
        return base_err_set(&run->exec->err, BASE_E_INVALID,
                            "Cannot mix IF conditions and IF %sEXISTS for the same row",
                            it->kind == CQLI_IF_EXISTS ? "" : "NOT ");
    }
    return BASE_OK;
}

/* Size. */

/* "[lab.a, lab.b]" */
static void print_tables(const struct cqli_mutations *all, struct base_buf *out)
{
    if (base_buf_put_u8(out, '[') != BASE_OK)
        return;
    for (const struct cqli_partition *p = all->first; p; p = p->next) {
        const struct cqli_partition *before = all->first;
        while (before != p && before->table != p->table)
            before = before->next;
        if (before == p && base_buf_printf(out, "%s%.*s.%.*s", p == all->first ? "" : ", ",
                                           BASE_SLICE_ARG(p->table->keyspace),
                                           BASE_SLICE_ARG(p->table->name)) != BASE_OK)
            break; /* enough of them are named */
    }
    if (base_buf_put_u8(out, ']') != BASE_OK)
        return;
}

/* As Cassandra prints memory. */
static double scaled(size_t size, const char **unit)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    double value = (double)size / 1024;
    size_t i = 0;
    while (value >= 1024 && i + 1 < BASE_COUNT(units)) {
        value /= 1024;
        i++;
    }
    *unit = units[i];
    return value;
}

static void warn_size(struct cqli_run *run, struct base_slice tables, size_t size, size_t threshold)
{
    const char *units[3];
    double values[] = {scaled(size, &units[0]), scaled(threshold, &units[1]),
                       scaled(size - threshold, &units[2])};
    cqli_warn(
        run->exec,
        "Batch for %.*s is of size %.3f%s, exceeding specified threshold of %.3f%s by %.3f%s.",
        BASE_SLICE_ARG(tables), values[0], units[0], values[1], units[1], values[2], units[2]);
}

int cqli_batch_check_size(struct cqli_run *run, const struct cql_limits *limits)
{
    const struct cqli_mutations *all = &run->mutations;
    struct base_buf tables;
    size_t size = run->bytes.len;
    if (run->mutation_count <= 1)
        return BASE_OK;
    base_buf_init_in_arena(&tables, run->exec->arena, 300);
    if (size > limits->batch_size_fail)
        return base_err_set(&run->exec->err, BASE_E_INVALID, "Batch too large");
    bool big = size > limits->batch_size_warn;
    bool wide = run->kind == CQL_BATCH_UNLOGGED &&
                run->mutation_count > limits->unlogged_batch_partitions_warn;
    if (!big && !wide)
        return BASE_OK;
    print_tables(all, &tables);
    if (big)
        warn_size(run, base_buf_view(&tables), size, limits->batch_size_warn);
    if (wide)
        cqli_warn(run->exec,
                  "Unlogged batch covering %zu partitions detected against table%s %.*s. You "
                  "should use a logged batch for "
                  "atomicity, or asynchronous writes for performance.",
                  run->mutation_count, memchr(tables.data, ',', tables.len) ? "s" : "",
                  BASE_SLICE_ARG(base_buf_view(&tables)));
    return BASE_OK;
}

/* The native protocol's. */

static int check_item(const struct cql_batch_item *item, struct base_err *err)
{
    enum cql_statement_kind kind = item->prepared->kind;
    if (kind != CQL_INSERT && kind != CQL_UPDATE && kind != CQL_DELETE)
        return base_err_set(
            err, BASE_E_INVALID,
            "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.");
    if (item->value_count != item->prepared->bind_count)
        return base_err_set(err, BASE_E_INVALID,
                            "There were %zu markers(?) in CQL but %zu bound variables",
                            item->prepared->bind_count, item->value_count);
    return BASE_OK;
}

enum cql_answer cqli_batch_start(struct cql_exec *exec, enum cql_batch_kind kind,
                                 const struct cql_batch_item *from, size_t count)
{
    struct cqli_item *items = base_arena_alloc(exec->arena, (count + 1) * sizeof *items);
    exec->state = NULL;
    exec->rc = items ? BASE_OK : cqli_no_room(&exec->err, BASE_E_NOMEM);
    for (size_t i = 0; exec->rc == BASE_OK && i < count; i++) {
        exec->rc = check_item(&from[i], &exec->err);
        items[i] =
            (struct cqli_item){from[i].prepared->modify, from[i].values, from[i].value_count};
    }
    return exec->rc == BASE_OK ? cqli_run_start(exec, items, count, true, kind, NULL) : CQL_DONE;
}
