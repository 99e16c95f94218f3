/* Tables for tests. Mistakes in a test's own text abort with a message: they are no result. */
#include "tests/lib/make_table.h"

#include <stdio.h>

#define DIE(...) (fprintf(stderr, "make_table: " __VA_ARGS__), fprintf(stderr, "\n"), abort())

static const char *const kinds = "pcdsr";

static struct base_slice trim(struct base_slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\n'))
        s = base_slice(s.data + 1, s.len - 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\n'))
        s.len--;
    return s;
}

/* The part up to `mark`; *rest is what follows it. */
static struct base_slice cut(struct base_slice *rest, char mark)
{
    const uint8_t *at = rest->len ? memchr(rest->data, mark, rest->len) : NULL;
    struct base_slice part = *rest;
    if (at) {
        part.len = (size_t)(at - rest->data);
        *rest = base_slice(at + 1, rest->len - part.len - 1);
    } else {
        *rest = base_slice(NULL, 0);
    }
    return trim(part);
}

static const struct base_type *parse_type(struct base_arena *arena, struct base_slice text)
{
    const struct base_type *type;
    struct base_err err;
    if (base_type_parse(arena, text, NULL, &type, &err) != BASE_OK)
        DIE("type %.*s: %s", BASE_SLICE_ARG(text), err.text);
    return type;
}

/* Keys first and by place, then static and regular columns by name. */
static int column_order(const void *a, const void *b)
{
    const struct base_column *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind == BASE_COLUMN_PARTITION_KEY || x->kind == BASE_COLUMN_CLUSTERING)
        return x->position < y->position ? -1 : 1;
    return base_slice_compare(x->name, y->name);
}

static void add_column(struct base_arena *arena, struct base_table *table,
                       struct base_column *columns, struct base_slice text)
{
    struct base_slice rest = text, kind = cut(&rest, ' '), name = cut(&rest, ' ');
    const char *k = kind.len == 1 ? strchr(kinds, kind.data[0]) : NULL;
    if (!k || !*k || !name.len)
        DIE("column '%.*s'", BASE_SLICE_ARG(text));
    struct base_column *c = &columns[table->column_count++];
    *c = (struct base_column){
        .id = table->next_column_id++, .name = name, .type = parse_type(arena, trim(rest))};
    if (base_arena_copy(arena, name, &c->name) != BASE_OK)
        DIE("out of memory");
    switch (*k) {
    case 'p':
        c->kind = BASE_COLUMN_PARTITION_KEY;
        c->position = (uint32_t)table->partition_key_count++;
        break;
    case 'c':
    case 'd':
        c->kind = BASE_COLUMN_CLUSTERING;
        c->descending = *k == 'd';
        c->position = (uint32_t)table->clustering_count++;
        break;
    case 's':
        c->kind = BASE_COLUMN_STATIC;
        table->static_count++;
        break;
    default:
        c->kind = BASE_COLUMN_REGULAR;
    }
}

static size_t count_parts(const char *text)
{
    size_t n = 1;
    for (; *text; text++)
        n += *text == ';';
    return n;
}

struct base_table *make_table(struct base_arena *arena, const char *keyspace, const char *name,
                              const char *columns)
{
    struct base_table *table = base_arena_zalloc(arena, sizeof *table);
    struct base_column *list = base_arena_zalloc(arena, count_parts(columns) * sizeof *list);
    if (!table || !list)
        DIE("out of memory");
    table->keyspace = base_slice_str(base_arena_strdup(arena, base_slice_str(keyspace)));
    table->name = base_slice_str(base_arena_strdup(arena, base_slice_str(name)));
    snprintf((char *)table->id.b, sizeof table->id.b, "%.7s.%.7s", keyspace, name);
    table->next_column_id = 1;
    table->truncated_us = INT64_MIN;
    table->options = (struct base_table_options){.gc_grace_s = 864000,
                                                 .bloom_filter_fp_chance = 0.01,
                                                 .crc_check_chance = 1.0,
                                                 .min_index_interval = 128,
                                                 .max_index_interval = 2048,
                                                 .allow_auto_snapshot = true,
                                                 .incremental_backups = true};
    struct base_slice rest = base_slice_str(columns);
    while (trim(rest).len)
        add_column(arena, table, list, cut(&rest, ';'));
    qsort(list, table->column_count, sizeof *list, column_order);
    table->columns = list;
    return table;
}

const struct base_type *make_type_ref(struct base_arena *arena, const char *keyspace,
                                      const char *name, bool frozen)
{
    struct base_type *type = base_arena_zalloc(arena, sizeof *type);
    if (!type)
        DIE("out of memory");
    *type = (struct base_type){.kind = BASE_TYPE_UDT,
                               .frozen = frozen,
                               .keyspace = base_slice_str(keyspace),
                               .name = base_slice_str(name)};
    return type;
}

const struct base_type *make_user_type(struct base_arena *arena, const char *keyspace,
                                       const char *name, const char *fields)
{
    size_t max = count_parts(fields);
    struct base_type *type = base_arena_zalloc(arena, sizeof *type);
    struct base_slice *names = base_arena_zalloc(arena, max * sizeof *names);
    const struct base_type **params = base_arena_zalloc(arena, max * sizeof *params);
    if (!type || !names || !params)
        DIE("out of memory");
    *type = (struct base_type){.kind = BASE_TYPE_UDT,
                               .params = params,
                               .field_names = names,
                               .keyspace = base_slice_str(keyspace),
                               .name = base_slice_str(name)};
    for (struct base_slice rest = base_slice_str(fields); trim(rest).len;) {
        struct base_slice field = cut(&rest, ';'), field_name = cut(&field, ' ');
        names[type->param_count] = field_name;
        params[type->param_count++] = parse_type(arena, trim(field));
    }
    return type;
}

struct base_change make_create_keyspace(struct base_arena *arena, const struct base_schema *schema,
                                        const char *name)
{
    static const struct base_option replication[] = {
        {BASE_SLICE_LIT("class"), BASE_SLICE_LIT("SimpleStrategy")},
        {BASE_SLICE_LIT("replication_factor"), BASE_SLICE_LIT("1")},
    };
    struct base_keyspace *ks = base_arena_zalloc(arena, sizeof *ks);
    if (!ks)
        DIE("out of memory");
    *ks = (struct base_keyspace){
        .name = base_slice_str(name), .replication = {replication, 2}, .durable_writes = true};
    return (struct base_change){.kind = BASE_CHANGE_KEYSPACE_CREATE,
                                .expected_epoch = schema->epoch,
                                .keyspace = ks->name,
                                .keyspace_new = ks};
}

struct base_change make_create_table(const struct base_schema *schema,
                                     const struct base_table *table)
{
    return (struct base_change){.kind = BASE_CHANGE_TABLE_CREATE,
                                .expected_epoch = schema->epoch,
                                .keyspace = table->keyspace,
                                .name = table->name,
                                .table_new = table,
                                .table_id = table->id};
}

struct base_schema *make_applied(struct base_schema *schema, const struct base_change *change)
{
    struct base_schema *after;
    struct base_err err;
    if (base_schema_apply(schema, change, &after, &err) != BASE_OK)
        DIE("%s", err.text);
    base_schema_release(schema);
    return after;
}

struct base_schema *make_schema_of(struct base_arena *arena, const struct base_table *table)
{
    struct base_schema *schema = base_schema_new();
    char name[BASE_NAME_LEN_MAX + 1];
    if (!schema)
        DIE("out of memory");
    snprintf(name, sizeof name, "%.*s", BASE_SLICE_ARG(table->keyspace));
    struct base_change change = make_create_keyspace(arena, schema, name);
    schema = make_applied(schema, &change);
    change = make_create_table(schema, table);
    return make_applied(schema, &change);
}
