/* CREATE VIRTUAL TABLE … USING ringlet(…): make the table, or see that the one there is the same.
 *
 * "The same" is judged by analysing the definition against the schema without the table, which is
 * exactly what would be created; so there is one analyser and no second parser of definitions.
 * Columns must agree in all; options only where the definition departs from the default, for who
 * writes none has no opinion. */
#include <stdio.h>

#include "node/cql_admin.h"
#include "node/schema_private.h"

static int differs(struct base_err *err, const struct base_table *table, const char *fmt, ...)
    BASE_PRINTF(3, 4);
static int differs(struct base_err *err, const struct base_table *table, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return base_err_set(err, BASE_E_EXISTS, "table %.*s.%.*s exists and differs: %s",
                        BASE_SLICE_ARG(table->keyspace), BASE_SLICE_ARG(table->name), what);
}

/* Columns. */

static int type_differs(const struct base_table *table, const struct base_column *there,
                        const struct base_column *wanted, struct base_err *err)
{
    struct base_buf a, b;
    base_buf_init(&a, 65536);
    base_buf_init(&b, 65536);
    bool printed =
        base_type_print(there->type, &a) == BASE_OK && base_type_print(wanted->type, &b) == BASE_OK;
    int rc = printed
                 ? differs(err, table, "column %.*s is %.*s, not %.*s", BASE_SLICE_ARG(there->name),
                           BASE_SLICE_ARG(base_buf_view(&a)), BASE_SLICE_ARG(base_buf_view(&b)))
                 : differs(err, table, "column %.*s has another type", BASE_SLICE_ARG(there->name));
    base_buf_fini(&a);
    base_buf_fini(&b);
    return rc;
}

static void describe_place(const struct base_column *column, char *text, size_t size)
{
    switch (column->kind) {
    case BASE_COLUMN_PARTITION_KEY:
        snprintf(text, size, "partition key column %u", column->position + 1);
        break;
    case BASE_COLUMN_CLUSTERING:
        snprintf(text, size, "clustering column %u %s", column->position + 1,
                 column->descending ? "DESC" : "ASC");
        break;
    case BASE_COLUMN_STATIC:
        snprintf(text, size, "a static column");
        break;
    case BASE_COLUMN_REGULAR:
        snprintf(text, size, "a regular column");
        break;
    }
}

static int compare_column(const struct base_table *table, const struct base_column *there,
                          const struct base_column *wanted, struct base_err *err)
{
    char a[64], b[64];
    if (!base_type_equal(there->type, wanted->type))
        return type_differs(table, there, wanted, err);
    describe_place(there, a, sizeof a);
    describe_place(wanted, b, sizeof b);
    if (strcmp(a, b) != 0)
        return differs(err, table, "column %.*s is %s, not %s", BASE_SLICE_ARG(there->name), a, b);
    return BASE_OK;
}

static int compare_columns(const struct base_table *table, const struct base_table *wanted,
                           struct base_err *err)
{
    for (size_t i = 0; i < wanted->column_count; i++) {
        const struct base_column *there = base_table_column(table, wanted->columns[i].name);
        if (!there)
            return differs(err, table,
                           "it has no column %.*s (attach with USING ringlet(%.*s.%.*s))",
                           BASE_SLICE_ARG(wanted->columns[i].name), BASE_SLICE_ARG(table->keyspace),
                           BASE_SLICE_ARG(table->name));
        int rc = compare_column(table, there, &wanted->columns[i], err);
        if (rc != BASE_OK)
            return rc;
    }
    for (size_t i = 0; i < table->column_count; i++)
        if (!base_table_column(wanted, table->columns[i].name))
            return differs(err, table,
                           "it also has a column %.*s (attach with USING ringlet(%.*s.%.*s))",
                           BASE_SLICE_ARG(table->columns[i].name), BASE_SLICE_ARG(table->keyspace),
                           BASE_SLICE_ARG(table->name));
    return BASE_OK;
}

/* Options. */

static bool maps_equal(const struct base_options *a, const struct base_options *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = base_slice_equal(a->items[i].key, b->items[i].key) &&
                base_slice_equal(a->items[i].value, b->items[i].value);
    return equal;
}

/* The name of the first option that `wanted` sets (departs from the default) and `there` has
 * otherwise; NULL: none. */
static const char *first_difference(const struct base_table_options *there,
                                    const struct base_table_options *wanted)
{
    struct base_table_options defaults;
    cql_table_options_default(&defaults);
#define NUMBER(field, name)                                                                        \
    if (wanted->field != defaults.field && wanted->field != there->field)                          \
        return name;
#define SLICE(field)                                                                               \
    if (!base_slice_equal(wanted->field, defaults.field) &&                                        \
        !base_slice_equal(wanted->field, there->field))                                            \
        return #field;
#define MAP(field)                                                                                 \
    if (!maps_equal(&wanted->field, &defaults.field) &&                                            \
        !maps_equal(&wanted->field, &there->field))                                                \
        return #field;
    SLICE(comment)
    NUMBER(default_time_to_live_s, "default_time_to_live")
    NUMBER(gc_grace_s, "gc_grace_seconds")
    NUMBER(bloom_filter_fp_chance, "bloom_filter_fp_chance")
    NUMBER(crc_check_chance, "crc_check_chance")
    NUMBER(memtable_flush_period_ms, "memtable_flush_period_in_ms")
    NUMBER(min_index_interval, "min_index_interval")
    NUMBER(max_index_interval, "max_index_interval")
    NUMBER(cdc, "cdc")
    NUMBER(allow_auto_snapshot, "allow_auto_snapshot")
    NUMBER(incremental_backups, "incremental_backups")
    SLICE(speculative_retry)
    SLICE(additional_write_policy)
    SLICE(read_repair)
    SLICE(memtable)
    MAP(caching)
    MAP(compaction)
    MAP(compression)
    MAP(extensions)
#undef NUMBER
#undef SLICE
#undef MAP
    return NULL;
}

/* Create or attach. */

struct definition {
    struct base_slice keyspace, name, columns, with;
    bool attached; /* it was there */
};

static int compare(struct node_session *session, struct base_arena *arena,
                   const struct base_schema *schema, const struct base_table *there,
                   const struct definition *d, struct base_err *err)
{
    struct cql_context context = nodei_cql_context(session->node, session->keyspace, schema);
    struct base_change drop = {.kind = BASE_CHANGE_TABLE_DROP,
                               .expected_epoch = schema->epoch,
                               .keyspace = there->keyspace,
                               .name = there->name,
                               .table_id = there->id};
    struct base_schema *without;
    struct cql_ddl ddl = {0};
    int rc = base_schema_apply(schema, &drop, &without, err);
    if (rc != BASE_OK)
        return rc;
    context.schema = without;
    rc = cql_analyze_table(arena, d->keyspace, d->name, d->columns, d->with, &context, &ddl, err);
    if (rc == BASE_OK)
        rc = compare_columns(there, ddl.change.table_new, err);
    if (rc == BASE_OK) {
        const char *option = first_difference(&there->options, &ddl.change.table_new->options);
        if (option)
            rc = differs(err, there, "its option %s has another value", option);
    }
    base_schema_release(without);
    return rc;
}

static int analyze(struct node_session *session, struct base_arena *arena,
                   const struct base_schema *schema, void *ctx, struct base_change *change,
                   bool *nothing, struct base_err *err)
{
    struct definition *d = ctx;
    const struct base_table *there = base_schema_table(schema, d->keyspace, d->name);
    *nothing = d->attached = there != NULL;
    if (there)
        return compare(session, arena, schema, there, d, err);
    struct cql_context context = nodei_cql_context(session->node, session->keyspace, schema);
    struct cql_ddl ddl = {0};
    int rc =
        cql_analyze_table(arena, d->keyspace, d->name, d->columns, d->with, &context, &ddl, err);
    if (rc != BASE_OK)
        return rc;
    BASE_ASSERT(!ddl.nothing && ddl.change.kind == BASE_CHANGE_TABLE_CREATE);
    *change = ddl.change;
    return BASE_OK;
}

int node_create_table(struct node_session *session, struct base_slice keyspace,
                      struct base_slice name, struct base_slice definitions, struct base_slice with,
                      bool *attached, struct base_err *err)
{
    struct definition d = {keyspace.len ? keyspace : base_slice_str(session->keyspace), name,
                           definitions, with, false};
    *attached = false;
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK)
        rc = nodei_ddl(session, analyze, &d, err);
    *attached = rc == BASE_OK && d.attached;
    return rc;
}
