/* Schema to CQL: statements that make the same thing again. Parsing what is written here gives the
 * same schema (a test says so), so names and strings are quoted wherever they must be. */
#include "cql/cql_private.h"

/* The first error stays; nothing is written after it. */
struct writer {
    struct base_buf *out;
    int rc;
    bool has_option; /* something stands behind WITH already */
};

static void put(struct writer *w, struct base_slice s)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put_slice(w->out, s);
}

static void put_text(struct writer *w, const char *text)
{
    put(w, base_slice_str(text));
}

static void put_name(struct writer *w, struct base_slice name)
{
    if (w->rc == BASE_OK)
        w->rc = cql_put_identifier(name, w->out);
}

static void put_qualified(struct writer *w, struct base_slice keyspace, struct base_slice name)
{
    put_name(w, keyspace);
    put_text(w, ".");
    put_name(w, name);
}

static void put_type(struct writer *w, const struct base_type *type)
{
    if (w->rc == BASE_OK)
        w->rc = base_type_print(type, w->out);
}

/* The bytes with every `quote` doubled, between quotes. */
static int put_quoted(struct base_slice s, uint8_t quote, struct base_buf *out)
{
    int rc = base_buf_put_u8(out, quote);
    for (size_t i = 0; rc == BASE_OK && i < s.len; i++) {
        if (s.data[i] == quote)
            rc = base_buf_put_u8(out, quote);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(out, s.data[i]);
    }
    return rc == BASE_OK ? base_buf_put_u8(out, quote) : rc;
}

static void put_string(struct writer *w, struct base_slice s)
{
    if (w->rc == BASE_OK)
        w->rc = put_quoted(s, '\'', w->out);
}

static void put_i64(struct writer *w, int64_t v)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_printf(w->out, "%lld", (long long)v);
}

static void put_double(struct writer *w, double v)
{
    uint8_t bytes[8];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    base_put_be64(bytes, bits);
    if (w->rc == BASE_OK) /* not printf: that one follows our host's locale */
        w->rc = base_value_to_text(base_type_scalar(BASE_TYPE_DOUBLE),
                                   base_slice(bytes, sizeof bytes), w->out, NULL);
}

/* Options that name a class: with its package, as Cassandra prints it. "" for none. */
static void put_class_map(struct writer *w, const struct base_options *options, const char *package)
{
    put_text(w, "{");
    for (size_t i = 0; i < options->count; i++) {
        put_text(w, i ? ", " : "");
        put_string(w, options->items[i].key);
        put_text(w, ": ");
        if (*package && base_slice_equal(options->items[i].key, BASE_SLICE_LIT("class"))) {
            put_text(w, "'");
            put_text(w, package);
            put(w, options->items[i].value); /* one of our own words: nothing to quote */
            put_text(w, "'");
        } else {
            put_string(w, options->items[i].value);
        }
    }
    put_text(w, "}");
}

static void put_map(struct writer *w, const struct base_options *options)
{
    put_class_map(w, options, "");
}

/* Quoted unless it is lower case and no reserved word. */
int cql_put_identifier(struct base_slice name, struct base_buf *out)
{
    const struct cqli_keyword *keyword = cqli_keyword_find(name);
    bool plain =
        name.len && name.data[0] >= 'a' && name.data[0] <= 'z' && !(keyword && keyword->reserved);
    for (size_t i = 0; plain && i < name.len; i++) {
        uint8_t c = name.data[i];
        plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    /* true and false are literals, though no keywords */
    if (plain && (base_slice_equal(name, BASE_SLICE_LIT("true")) ||
                  base_slice_equal(name, BASE_SLICE_LIT("false"))))
        plain = false;
    return plain ? base_buf_put_slice(out, name) : put_quoted(name, '"', out);
}

int cqli_undefined_column(struct base_err *err, const struct base_table *table,
                          struct base_slice name)
{
    struct base_buf text;
    base_buf_init(&text, 4096);
    struct writer w = {.out = &text};
    put_name(&w, name);
    put_text(&w, " in table ");
    put_qualified(&w, table->keyspace, table->name);
    int rc = base_err_set(err, BASE_E_INVALID, "Undefined column name %.*s", (int)text.len,
                          (const char *)text.data);
    base_buf_fini(&text);
    return rc;
}

static int finish(const struct writer *w, size_t start)
{
    if (w->rc != BASE_OK)
        w->out->len = start;
    return w->rc;
}

int cql_describe_keyspace(const struct base_keyspace *keyspace, struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {.out = out};
    put_text(&w, "CREATE KEYSPACE ");
    put_name(&w, keyspace->name);
    put_text(&w, " WITH replication = ");
    put_map(&w, &keyspace->replication);
    put_text(&w, "  AND durable_writes = "); /* Cassandra has two blanks here */
    put_text(&w, keyspace->durable_writes ? "true" : "false");
    put_text(&w, ";");
    return finish(&w, start);
}

int cql_describe_type(const struct base_user_type *type, struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {.out = out};
    put_text(&w, "CREATE TYPE ");
    put_qualified(&w, type->keyspace, type->name);
    put_text(&w, " (");
    for (uint32_t i = 0; i < type->type->param_count; i++) {
        put_text(&w, i ? ",\n    " : "\n    ");
        put_name(&w, type->type->field_names[i]);
        put_text(&w, " ");
        put_type(&w, type->type->params[i]);
    }
    put_text(&w, "\n);");
    return finish(&w, start);
}

static void put_names(struct writer *w, const struct base_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_text(w, i ? ", " : "");
        put_name(w, columns[i].name);
    }
}

static void put_column(struct writer *w, struct base_slice name, const struct base_type *type,
                       bool is_static)
{
    put_name(w, name);
    put_text(w, " ");
    put_type(w, type);
    put_text(w, is_static ? " static" : "");
}

/* The next (by id, the order of dropping) drop of a column of that name after `after`, NULL when
 * there is none. */
static const struct base_dropped_column *next_drop(const struct base_table *t,
                                                   struct base_slice name, uint32_t after)
{
    const struct base_dropped_column *next = NULL;
    for (size_t i = 0; i < t->dropped_count; i++) {
        const struct base_dropped_column *drop = &t->dropped[i];
        if (drop->id > after && base_slice_equal(drop->name, name) &&
            (!next || drop->id < next->id))
            next = drop;
    }
    return next;
}

/* With internals, a column that was dropped and came back is added by what follows the definition.
 * As Cassandra: of static and of regular columns those of several cells come last. */
static void put_columns(struct writer *w, const struct base_table *t, bool internals)
{
    bool single = t->partition_key_count == 1 && t->clustering_count == 0;
    const char *before = "\n    ";
    for (int pass = 0; pass < 2 * (BASE_COLUMN_REGULAR + 1); pass++)
        for (size_t i = 0; i < t->column_count; i++) {
            const struct base_column *column = &t->columns[i];
            if ((int)column->kind != pass / 2 ||
                base_type_is_multicell(column->type) != (pass % 2 == 1) ||
                (internals && next_drop(t, column->name, 0)))
                continue;
            put_text(w, before);
            put_column(w, column->name, column->type, column->kind == BASE_COLUMN_STATIC);
            put_text(w, single && i == 0 ? " PRIMARY KEY" : "");
            before = ",\n    ";
        }
    for (size_t i = 0; internals && i < t->dropped_count; i++) {
        const struct base_dropped_column *drop = &t->dropped[i];
        if (next_drop(t, drop->name, 0) != drop)
            continue;
        put_text(w, before);
        put_column(w, drop->name, drop->type, drop->is_static);
    }
    if (single)
        return;
    put_text(w, ",\n    PRIMARY KEY (");
    put_text(w, t->partition_key_count > 1 ? "(" : "");
    put_names(w, t->columns, t->partition_key_count);
    put_text(w, t->partition_key_count > 1 ? ")" : "");
    put_text(w, t->clustering_count ? ", " : "");
    put_names(w, t->columns + t->partition_key_count, t->clustering_count);
    put_text(w, ")");
}

static void put_alter_add(struct writer *w, const struct base_table *t, struct base_slice name,
                          const struct base_type *type, bool is_static)
{
    put_text(w, "\nALTER TABLE ");
    put_qualified(w, t->keyspace, t->name);
    put_text(w, " ADD ");
    put_column(w, name, type, is_static);
    put_text(w, ";");
}

/* What happened to columns that were dropped, in its order: name by name. */
static void put_drops(struct writer *w, const struct base_table *t)
{
    for (size_t i = 0; i < t->dropped_count; i++) {
        struct base_slice name = t->dropped[i].name;
        const struct base_dropped_column *drop = next_drop(t, name, 0), *next;
        const struct base_column *now = base_table_column(t, name);
        if (drop != &t->dropped[i])
            continue;
        for (; drop; drop = next) {
            put_text(w, "\nALTER TABLE ");
            put_qualified(w, t->keyspace, t->name);
            put_text(w, " DROP ");
            put_name(w, name);
            put_text(w, " USING TIMESTAMP ");
            put_i64(w, drop->dropped_us);
            put_text(w, ";");
            next = next_drop(t, name, drop->id);
            if (next)
                put_alter_add(w, t, name, next->type, next->is_static);
        }
        if (now)
            put_alter_add(w, t, name, now->type, now->kind == BASE_COLUMN_STATIC);
    }
}

static void put_with(struct writer *w)
{
    put_text(w, w->has_option ? "\n    AND " : " WITH ");
    w->has_option = true;
}

static void put_option(struct writer *w, const char *name)
{
    put_with(w);
    put_text(w, name);
    put_text(w, " = ");
}

static void put_table_options(struct writer *w, const struct base_table_options *o)
{
    put_option(w, "additional_write_policy");
    put_string(w, o->additional_write_policy);
    put_option(w, "allow_auto_snapshot");
    put_text(w, o->allow_auto_snapshot ? "true" : "false");
    put_option(w, "bloom_filter_fp_chance");
    put_double(w, o->bloom_filter_fp_chance);
    put_option(w, "caching");
    put_map(w, &o->caching);
    put_option(w, "cdc");
    put_text(w, o->cdc ? "true" : "false");
    put_option(w, "comment");
    put_string(w, o->comment);
    put_option(w, "compaction");
    put_class_map(w, &o->compaction, "org.apache.cassandra.db.compaction.");
    put_option(w, "compression");
    put_class_map(w, &o->compression, "org.apache.cassandra.io.compress.");
    put_option(w, "memtable");
    put_string(w, o->memtable);
    put_option(w, "crc_check_chance");
    put_double(w, o->crc_check_chance);
    put_option(w, "default_time_to_live");
    put_i64(w, o->default_time_to_live_s);
    put_option(w, "extensions");
    put_map(w, &o->extensions);
    put_option(w, "gc_grace_seconds");
    put_i64(w, o->gc_grace_s);
    put_option(w, "incremental_backups");
    put_text(w, o->incremental_backups ? "true" : "false");
    put_option(w, "max_index_interval");
    put_i64(w, o->max_index_interval);
    put_option(w, "memtable_flush_period_in_ms");
    put_i64(w, o->memtable_flush_period_ms);
    put_option(w, "min_index_interval");
    put_i64(w, o->min_index_interval);
    put_option(w, "read_repair");
    put_string(w, o->read_repair);
    put_option(w, "speculative_retry");
    put_string(w, o->speculative_retry);
}

static void put_clustering_order(struct writer *w, const struct base_table *t)
{
    put_with(w);
    put_text(w, "CLUSTERING ORDER BY (");
    for (size_t i = 0; i < t->clustering_count; i++) {
        const struct base_column *column = &t->columns[t->partition_key_count + i];
        put_text(w, i ? ", " : "");
        put_name(w, column->name);
        put_text(w, column->descending ? " DESC" : " ASC");
    }
    put_text(w, ")");
}

int cqli_describe_table(const struct base_table *table, bool is_virtual, bool internals,
                        struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {.out = out};
    if (is_virtual) {
        put_text(&w, "/*\nWarning: Table ");
        put_qualified(&w, table->keyspace, table->name);
        put_text(
            &w,
            " is a virtual table and cannot be recreated with CQL.\nStructure, for reference:\n");
    }
    put_text(&w, is_virtual ? "VIRTUAL TABLE " : "CREATE TABLE ");
    put_qualified(&w, table->keyspace, table->name);
    put_text(&w, " (");
    put_columns(&w, table, internals);
    put_text(&w, "\n)");
    if (internals) {
        struct base_slice id = base_slice(table->id.b, sizeof table->id.b);
        put_option(&w, "ID");
        if (w.rc == BASE_OK)
            w.rc = base_value_to_text(base_type_scalar(BASE_TYPE_UUID), id, out, NULL);
    }
    if (table->clustering_count)
        put_clustering_order(&w, table);
    if (is_virtual) {
        put_option(&w, "comment");
        put_string(&w, table->options.comment);
    } else {
        put_table_options(&w, &table->options);
    }
    put_text(&w, is_virtual ? ";\n*/" : ";");
    if (internals)
        put_drops(&w, table);
    return finish(&w, start);
}

int cql_describe_table(const struct base_table *table, struct base_buf *out)
{
    return cqli_describe_table(table, false, false, out);
}

int cqli_describe_virtual_keyspace(const struct base_keyspace *keyspace, struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {.out = out};
    put_text(&w, "/*\nWarning: Keyspace ");
    put_name(&w, keyspace->name);
    put_text(&w, " is a virtual keyspace and cannot be recreated with CQL.\nStructure, for "
                 "reference:\nVIRTUAL KEYSPACE ");
    put_name(&w, keyspace->name);
    put_text(&w, ";\n*/");
    return finish(&w, start);
}

int cql_describe_index(const struct base_table *table, const struct base_index *index,
                       struct base_buf *out)
{
    static const char *const targets[] = {[BASE_INDEX_VALUES] = "values(",
                                          [BASE_INDEX_KEYS] = "keys(",
                                          [BASE_INDEX_ENTRIES] = "entries(",
                                          [BASE_INDEX_FULL] = "full("};
    size_t start = out->len;
    struct writer w = {.out = out};
    const struct base_column *column = base_table_column_by_id(table, index->column);
    BASE_ASSERT(column);
    put_text(&w, index->index_class.len ? "CREATE CUSTOM INDEX " : "CREATE INDEX ");
    put_name(&w, index->name);
    put_text(&w, " ON ");
    put_qualified(&w, table->keyspace, table->name);
    put_text(&w, " (");
    if (index->target != BASE_INDEX_VALUE)
        put_text(&w, targets[index->target]);
    put_name(&w, column->name);
    put_text(&w, index->target != BASE_INDEX_VALUE ? "))" : ")");
    if (index->index_class.len) {
        put_text(&w, " USING ");
        put_string(&w, index->index_class);
    }
    put_text(&w, ";");
    return finish(&w, start);
}
