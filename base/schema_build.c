/* A draft becomes a snapshot: everything is checked and copied into the snapshot's own arena.
 *
 * This is the one place where a snapshot is made, whether from a change or from bytes, so whatever
 * holds for snapshots is checked here once. Relies on base/type.h for scalars and for what may be a
 * key.
 *
 * 1. Names are valid and every array is strictly sorted (keys by position).
 * 2. Column ids are unique among a table's columns and dropped columns, and below next_column_id.
 * 3. A user type is one object per keyspace (and one frozen view): types form a graph without
 *    cycles, no deeper than BASE_TYPE_DEPTH_MAX, and are copied once each, so that size and
 *    recursion stay bounded however types are nested. */
#include "base/schema_private.h"

/* How large a type is, written out: user types share their parts, so a few definitions could stand
 * for billions of values, and whoever walks a type as a tree would never end. */
struct shape {
    unsigned height; /* levels it nests */
    uint32_t nodes;
};
enum { TYPE_NODES_MAX = 65536 };

/* A keyspace's user type while it is copied. */
struct udt {
    bool in_progress;
    struct shape shape;              /* height 0: not copied yet */
    const struct base_type *view[2]; /* plain, frozen */
};

struct build {
    struct base_arena *arena;
    const struct base_keyspace *from; /* the keyspace being copied */
    struct udt *udts;                 /* as from->types; in scratch */
    struct base_arena scratch;
    struct base_err *err;
};

static int no_memory(struct build *b)
{
    return base_err_set(b->err, BASE_E_NOMEM, "schema: %s", base_err_words(BASE_E_NOMEM));
}

static int copy_slice(struct build *b, struct base_slice s, struct base_slice *out)
{
    int rc = base_arena_copy(b->arena, s, out);
    return rc == BASE_OK ? rc : no_memory(b);
}

static void *alloc_array(struct build *b, size_t count, size_t size)
{
    /* Counts come from arrays that exist, so the product cannot overflow; never size 0. */
    return base_arena_zalloc(b->arena, count ? count * size : size);
}

static int copy_options(struct build *b, const struct base_options *from, struct base_options *to)
{
    *to = (struct base_options){0};
    struct base_option *items = alloc_array(b, from->count, sizeof *items);
    if (!items)
        return no_memory(b);
    for (size_t i = 0; i < from->count; i++) {
        if (i && base_slice_compare(from->items[i - 1].key, from->items[i].key) >= 0)
            return base_err_set(b->err, BASE_E_INVALID, "option %.*s: given twice or out of order",
                                BASE_SLICE_ARG(from->items[i].key));
        int rc = copy_slice(b, from->items[i].key, &items[i].key);
        if (rc == BASE_OK)
            rc = copy_slice(b, from->items[i].value, &items[i].value);
        if (rc != BASE_OK)
            return rc;
    }
    *to = (struct base_options){items, from->count};
    return BASE_OK;
}

/* Types. */

/* How a type is copied. */
struct type_mode {
    bool frozen;    /* inside frozen<>, a tuple or a vector: everything below is frozen */
    bool expand;    /* user types become tuples: nothing refers to them by name afterwards */
    unsigned depth; /* levels left */
};

static int copy_type(struct build *b, const struct base_type *from, struct type_mode mode,
                     const struct base_type **out, struct shape *shape);

static int too_deep(struct build *b)
{
    return base_err_set(b->err, BASE_E_LIMIT, "types nest deeper than %d levels",
                        BASE_TYPE_DEPTH_MAX);
}

/* May `param` stand inside `outer`? What is stored cell by cell cannot be an element. */
static int check_param(struct build *b, const struct base_type *outer,
                       const struct base_type *param)
{
    if (param->kind == BASE_TYPE_COUNTER)
        return base_err_set(b->err, BASE_E_INVALID, "counters are not allowed inside other types");
    if (!base_type_is_multicell(param))
        return BASE_OK;
    if (outer->kind == BASE_TYPE_UDT && param->kind != BASE_TYPE_UDT)
        return BASE_OK; /* Cassandra allows it; columns that would store it so are refused below */
    return base_err_set(b->err, BASE_E_INVALID,
                        "non-frozen %s are not allowed inside other types: use frozen<>",
                        param->kind == BASE_TYPE_UDT ? "user types" : "collections");
}

static int copy_params(struct build *b, const struct base_type *from, struct type_mode mode,
                       struct base_type *to, struct shape *shape)
{
    const struct base_type **params = alloc_array(b, from->param_count, sizeof *params);
    if (!params)
        return no_memory(b);
    *shape = (struct shape){.nodes = 1};
    mode.depth--;
    for (uint32_t i = 0; i < from->param_count; i++) {
        struct shape inner;
        int rc = copy_type(b, from->params[i], mode, &params[i], &inner);
        if (rc == BASE_OK)
            rc = check_param(b, to, params[i]);
        if (rc != BASE_OK)
            return rc;
        shape->height = inner.height > shape->height ? inner.height : shape->height;
        shape->nodes += inner.nodes;
        if (shape->nodes > TYPE_NODES_MAX)
            return base_err_set(b->err, BASE_E_LIMIT, "a type of more than %d parts",
                                TYPE_NODES_MAX);
    }
    shape->height++;
    to->params = params;
    to->param_count = from->param_count;
    return BASE_OK;
}

/* Copy the definition of a user type of this keyspace, plain or frozen, once. */
static int copy_udt(struct build *b, size_t index, struct type_mode mode,
                    const struct base_type **out, struct shape *shape)
{
    const struct base_user_type *user = &b->from->types[index];
    const struct base_type *from = user->type;
    struct udt *udt = &b->udts[index];
    if (udt->shape.height > mode.depth)
        return too_deep(b);
    if (udt->in_progress)
        return base_err_set(b->err, BASE_E_INVALID, "type %.*s.%.*s would contain itself",
                            BASE_SLICE_ARG(user->keyspace), BASE_SLICE_ARG(user->name));
    if (!udt->view[mode.frozen]) {
        struct base_type *to = base_arena_zalloc(b->arena, sizeof *to);
        struct base_slice *names = alloc_array(b, from->param_count, sizeof *names);
        if (!to || !names)
            return no_memory(b);
        *to =
            (struct base_type){.kind = BASE_TYPE_UDT, .frozen = mode.frozen, .field_names = names};
        int rc = copy_slice(b, user->keyspace, &to->keyspace);
        if (rc == BASE_OK)
            rc = copy_slice(b, user->name, &to->name);
        for (uint32_t i = 0; rc == BASE_OK && i < from->param_count; i++)
            rc = copy_slice(b, from->field_names[i], &names[i]);
        udt->in_progress = true;
        struct shape whole = {0};
        if (rc == BASE_OK)
            rc = copy_params(b, from, mode, to, &whole);
        udt->in_progress = false;
        if (rc != BASE_OK)
            return rc;
        udt->view[mode.frozen] = to;
        udt->shape = whole;
    }
    *out = udt->view[mode.frozen];
    *shape = udt->shape;
    return BASE_OK;
}

/* A tuple of the user type's field types; bounded, because the type itself has been copied and
 * its depth checked before any table is. */
static int expand_udt(struct build *b, size_t index, struct type_mode mode,
                      const struct base_type **out, struct shape *shape)
{
    struct base_type *to = base_arena_zalloc(b->arena, sizeof *to);
    if (!to)
        return no_memory(b);
    *to = (struct base_type){.kind = BASE_TYPE_TUPLE, .frozen = true};
    mode.frozen = true;
    *out = to;
    return copy_params(b, b->from->types[index].type, mode, to, shape);
}

static int copy_named(struct build *b, const struct base_type *from, struct type_mode mode,
                      const struct base_type **out, struct shape *shape)
{
    bool found = false;
    size_t i = 0;
    if (base_slice_equal(from->keyspace, b->from->name))
        i = basei_type_index(b->from->types, b->from->type_count, from->name, &found);
    if (!found)
        return base_err_set(b->err, BASE_E_INVALID, "unknown type %.*s.%.*s",
                            BASE_SLICE_ARG(from->keyspace), BASE_SLICE_ARG(from->name));
    mode.frozen = mode.frozen || from->frozen;
    return mode.expand ? expand_udt(b, i, mode, out, shape) : copy_udt(b, i, mode, out, shape);
}

static int copy_type(struct build *b, const struct base_type *from, struct type_mode mode,
                     const struct base_type **out, struct shape *shape)
{
    *out = NULL;
    *shape = (struct shape){1, 1};
    if (mode.depth == 0)
        return too_deep(b);
    uint32_t want;
    bool always_frozen = false;
    switch (from->kind) {
    case BASE_TYPE_UDT:
        return copy_named(b, from, mode, out, shape);
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
        want = 1;
        break;
    case BASE_TYPE_MAP:
        want = 2;
        break;
    case BASE_TYPE_VECTOR:
        want = from->dimension >= 1 && from->dimension <= 8192 ? 1 : UINT32_MAX;
        always_frozen = true;
        break;
    case BASE_TYPE_TUPLE:
        want = from->param_count ? from->param_count : UINT32_MAX;
        always_frozen = true;
        break;
    default:
        *out = base_type_scalar(from->kind);
        return *out ? BASE_OK
                    : base_err_set(b->err, BASE_E_INVALID, "unknown type kind 0x%02x",
                                   (unsigned)from->kind);
    }
    if (from->param_count != want)
        return base_err_set(b->err, BASE_E_INVALID, "a type of kind 0x%02x has wrong parameters",
                            (unsigned)from->kind);
    struct base_type *to = base_arena_zalloc(b->arena, sizeof *to);
    if (!to)
        return no_memory(b);
    mode.frozen = mode.frozen || from->frozen || always_frozen;
    *to =
        (struct base_type){.kind = from->kind, .frozen = mode.frozen, .dimension = from->dimension};
    *out = to;
    return copy_params(b, from, mode, to, shape);
}

static const struct type_mode mode_plain = {.depth = BASE_TYPE_DEPTH_MAX};

static int compare_names(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

/* No name twice. Sorts `names`. */
static int check_unique(struct build *b, struct base_slice *names, size_t count, const char *what)
{
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (base_slice_equal(names[i - 1], names[i]))
            return base_err_set(b->err, BASE_E_INVALID, "%s %.*s is there twice", what,
                                BASE_SLICE_ARG(names[i]));
    return BASE_OK;
}

static int check_fields(struct build *b, const struct base_user_type *user)
{
    const struct base_type *type = user->type;
    if (type->kind != BASE_TYPE_UDT || type->frozen || type->param_count == 0)
        return base_err_set(b->err, BASE_E_INVALID, "a user type needs at least one field");
    struct base_slice *names = base_arena_alloc(&b->scratch, type->param_count * sizeof *names);
    if (!names)
        return no_memory(b);
    for (uint32_t i = 0; i < type->param_count; i++) {
        names[i] = type->field_names[i];
        if (names[i].len == 0 || names[i].len > BASE_COLUMN_NAME_LEN_MAX)
            return base_err_set(b->err, BASE_E_INVALID, "field %u: a name has 1 to %d bytes",
                                (unsigned)i, BASE_COLUMN_NAME_LEN_MAX);
    }
    return check_unique(b, names, type->param_count, "field");
}

static int build_types(struct build *b, const struct base_keyspace *from, struct base_keyspace *to)
{
    struct base_user_type *types = alloc_array(b, from->type_count, sizeof *types);
    b->udts =
        base_arena_zalloc(&b->scratch, (from->type_count ? from->type_count : 1) * sizeof *b->udts);
    if (!types || !b->udts)
        return no_memory(b);
    for (size_t i = 0; i < from->type_count; i++) {
        const struct base_user_type *user = &from->types[i];
        int rc = BASE_OK;
        if (user->name.len == 0 || user->name.len > BASE_COLUMN_NAME_LEN_MAX ||
            !base_slice_equal(user->keyspace, from->name) ||
            (i && base_slice_compare(from->types[i - 1].name, user->name) >= 0))
            rc = base_err_set(b->err, BASE_E_INVALID, "misplaced, misnamed or there twice");
        if (rc == BASE_OK)
            rc = check_fields(b, user);
        if (rc != BASE_OK)
            return base_err_wrap(b->err, rc, "type %.*s", BASE_SLICE_ARG(user->name));
    }
    for (size_t i = 0; i < from->type_count; i++) {
        struct shape shape;
        int rc = copy_udt(b, i, mode_plain, &types[i].type, &shape);
        if (rc != BASE_OK)
            return base_err_wrap(b->err, rc, "type %.*s", BASE_SLICE_ARG(from->types[i].name));
        types[i].keyspace = types[i].type->keyspace;
        types[i].name = types[i].type->name;
    }
    to->types = types;
    to->type_count = from->type_count;
    return BASE_OK;
}

/* Tables. */

static int check_column_type(struct build *b, const struct base_column *column)
{
    if (column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_CLUSTERING)
        return base_type_check_key(column->type, b->err);
    if (column->type->kind != BASE_TYPE_UDT || column->type->frozen)
        return BASE_OK;
    for (uint32_t i = 0; i < column->type->param_count; i++)
        if (base_type_is_multicell(column->type->params[i]))
            return base_err_set(b->err, BASE_E_INVALID,
                                "a non-frozen user type with a non-frozen collection inside is not "
                                "supported: use frozen<%.*s>",
                                BASE_SLICE_ARG(column->type->name));
    return BASE_OK;
}

/* The place of column i: which kind and position it must have. */
static bool column_in_place(const struct base_table *table, size_t i)
{
    const struct base_column *column = &table->columns[i];
    size_t pk = table->partition_key_count, ck = pk + table->clustering_count,
           st = ck + table->static_count;
    enum base_column_kind kind = i < pk   ? BASE_COLUMN_PARTITION_KEY
                                 : i < ck ? BASE_COLUMN_CLUSTERING
                                 : i < st ? BASE_COLUMN_STATIC
                                          : BASE_COLUMN_REGULAR;
    size_t position = i < pk ? i : i < ck ? i - pk : 0;
    if (column->kind != kind || column->position != position)
        return false;
    if (column->descending && kind != BASE_COLUMN_CLUSTERING)
        return false;
    if (i > ck && i != st)
        return base_slice_compare(table->columns[i - 1].name, column->name) < 0;
    return true;
}

static int build_columns(struct build *b, const struct base_table *from, struct base_table *to)
{
    size_t keys = from->partition_key_count + from->clustering_count;
    if (from->column_count > BASE_COLUMNS_MAX)
        return base_err_set(b->err, BASE_E_LIMIT, "%zu columns: a table has at most %d",
                            from->column_count, BASE_COLUMNS_MAX);
    if (from->partition_key_count == 0 || from->partition_key_count > from->column_count ||
        from->clustering_count > from->column_count || from->static_count > from->column_count ||
        keys + from->static_count > from->column_count)
        return base_err_set(b->err, BASE_E_INVALID, "no partition key, or columns miscounted");
    if (from->static_count && from->clustering_count == 0)
        return base_err_set(
            b->err, BASE_E_INVALID,
            "static columns are only useful (and thus allowed) if the table has at least "
            "one clustering column");
    struct base_column *columns = alloc_array(b, from->column_count, sizeof *columns);
    if (!columns)
        return no_memory(b);
    for (size_t i = 0; i < from->column_count; i++) {
        const struct base_column *column = &from->columns[i];
        struct shape shape;
        columns[i] = *column;
        int rc = BASE_OK;
        if (column->name.len == 0 || column->name.len > BASE_COLUMN_NAME_LEN_MAX ||
            !column_in_place(from, i))
            rc = base_err_set(b->err, BASE_E_INVALID, "misnamed or out of order");
        if (rc == BASE_OK)
            rc = copy_slice(b, column->name, &columns[i].name);
        if (rc == BASE_OK)
            rc = copy_type(b, column->type, mode_plain, &columns[i].type, &shape);
        if (rc == BASE_OK)
            rc = check_column_type(b, &columns[i]);
        if (rc != BASE_OK)
            return base_err_wrap(b->err, rc, "column %.*s", BASE_SLICE_ARG(column->name));
    }
    to->columns = columns;
    return BASE_OK;
}

static int build_dropped(struct build *b, const struct base_table *from, struct base_table *to)
{
    struct base_dropped_column *dropped = alloc_array(b, from->dropped_count, sizeof *dropped);
    if (!dropped)
        return no_memory(b);
    for (size_t i = 0; i < from->dropped_count; i++) {
        struct type_mode mode = mode_plain;
        struct shape shape;
        mode.expand = true;
        dropped[i] = from->dropped[i];
        int rc = copy_slice(b, from->dropped[i].name, &dropped[i].name);
        if (rc == BASE_OK)
            rc = copy_type(b, from->dropped[i].type, mode, &dropped[i].type, &shape);
        if (rc != BASE_OK)
            return base_err_wrap(b->err, rc, "dropped column %.*s",
                                 BASE_SLICE_ARG(from->dropped[i].name));
    }
    to->dropped = dropped;
    return BASE_OK;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Ids are unique, dropped ones included; and the index by id. */
static int build_ids(struct build *b, struct base_table *table)
{
    size_t total = table->column_count + table->dropped_count, n = 0;
    uint64_t *ids = base_arena_alloc(&b->scratch, total * sizeof *ids);
    uint16_t *by_id = alloc_array(b, table->column_count, sizeof *by_id);
    if (!ids || !by_id)
        return no_memory(b);
    for (size_t i = 0; i < table->column_count; i++)
        ids[i] = (uint64_t)table->columns[i].id << 32 | i;
    for (size_t i = 0; i < table->dropped_count; i++)
        ids[table->column_count + i] = (uint64_t)table->dropped[i].id << 32 | UINT32_MAX;
    qsort(ids, total, sizeof *ids, compare_u64);
    for (size_t i = 0; i < total; i++) {
        uint32_t id = (uint32_t)(ids[i] >> 32), index = (uint32_t)ids[i];
        if (id == 0 || id >= table->next_column_id || (i && ids[i - 1] >> 32 == id))
            return base_err_set(b->err, BASE_E_INVALID,
                                "column id %u is used twice or out of range", (unsigned)id);
        if (index != UINT32_MAX)
            by_id[n++] = (uint16_t)index;
    }
    BASE_ASSERT(n == table->column_count);
    table->columns_by_id = by_id;
    return BASE_OK;
}

static int build_indexes(struct build *b, const struct base_table *from, struct base_table *to)
{
    struct base_index *indexes = alloc_array(b, from->index_count, sizeof *indexes);
    if (!indexes)
        return no_memory(b);
    for (size_t i = 0; i < from->index_count; i++) {
        indexes[i] = from->indexes[i];
        int rc = copy_slice(b, from->indexes[i].name, &indexes[i].name);
        if (rc == BASE_OK)
            rc = copy_slice(b, from->indexes[i].index_class, &indexes[i].index_class);
        if (rc != BASE_OK)
            return rc;
    }
    to->indexes = indexes;
    /* 0: made before there were indexes */
    to->next_index_id = from->next_index_id ? from->next_index_id : 1;
    return basei_indexes_check(to, b->err);
}

static int check_names(struct build *b, const struct base_table *table)
{
    struct base_slice *names = base_arena_alloc(&b->scratch, table->column_count * sizeof *names);
    if (!names)
        return no_memory(b);
    for (size_t i = 0; i < table->column_count; i++)
        names[i] = table->columns[i].name;
    return check_unique(b, names, table->column_count, "column");
}

static int build_table_options(struct build *b, const struct base_table_options *from,
                               struct base_table_options *to)
{
    *to = *from;
    int rc = copy_slice(b, from->comment, &to->comment);
    if (rc == BASE_OK)
        rc = copy_slice(b, from->speculative_retry, &to->speculative_retry);
    if (rc == BASE_OK)
        rc = copy_slice(b, from->additional_write_policy, &to->additional_write_policy);
    if (rc == BASE_OK)
        rc = copy_slice(b, from->read_repair, &to->read_repair);
    if (rc == BASE_OK)
        rc = copy_slice(b, from->memtable, &to->memtable);
    if (rc == BASE_OK)
        rc = copy_options(b, &from->caching, &to->caching);
    if (rc == BASE_OK)
        rc = copy_options(b, &from->compaction, &to->compaction);
    if (rc == BASE_OK)
        rc = copy_options(b, &from->compression, &to->compression);
    if (rc == BASE_OK)
        rc = copy_options(b, &from->extensions, &to->extensions);
    return rc;
}

static int build_table(struct build *b, const struct base_table *from,
                       const struct base_table **out)
{
    struct base_table *to = base_arena_zalloc(b->arena, sizeof *to);
    if (!to)
        return no_memory(b);
    *to = *from;
    to->columns_by_id = NULL;
    static const struct base_uuid zero;
    int rc = BASE_OK;
    if (!base_name_valid(from->name) || !base_slice_equal(from->keyspace, b->from->name) ||
        base_uuid_equal(from->id, zero))
        rc = base_err_set(b->err, BASE_E_INVALID, "misnamed, misplaced or without an id");
    if (rc == BASE_OK)
        rc = copy_slice(b, from->keyspace, &to->keyspace);
    if (rc == BASE_OK)
        rc = copy_slice(b, from->name, &to->name);
    if (rc == BASE_OK)
        rc = build_columns(b, from, to);
    if (rc == BASE_OK)
        rc = build_dropped(b, from, to);
    if (rc == BASE_OK)
        rc = build_ids(b, to);
    if (rc == BASE_OK)
        rc = build_indexes(b, from, to);
    if (rc == BASE_OK)
        rc = check_names(b, to);
    if (rc == BASE_OK)
        rc = build_table_options(b, &from->options, &to->options);
    if (rc != BASE_OK)
        return base_err_wrap(b->err, rc, "table %.*s.%.*s", BASE_SLICE_ARG(from->keyspace),
                             BASE_SLICE_ARG(from->name));
    *out = to;
    return BASE_OK;
}

/* Keyspaces, the snapshot. */

static int build_keyspace(struct build *b, const struct base_keyspace *from,
                          struct base_keyspace *to)
{
    if (!base_name_valid(from->name))
        return base_err_set(b->err, BASE_E_INVALID, "keyspace %.*s: misnamed",
                            BASE_SLICE_ARG(from->name));
    b->from = from;
    to->durable_writes = from->durable_writes;
    int rc = copy_slice(b, from->name, &to->name);
    if (rc == BASE_OK)
        rc = copy_options(b, &from->replication, &to->replication);
    if (rc == BASE_OK)
        rc = build_types(b, from, to);
    if (rc != BASE_OK)
        return base_err_wrap(b->err, rc, "keyspace %.*s", BASE_SLICE_ARG(from->name));
    const struct base_table **tables = alloc_array(b, from->table_count, sizeof *tables);
    if (!tables)
        return no_memory(b);
    for (size_t i = 0; i < from->table_count; i++) {
        if (i && base_slice_compare(from->tables[i - 1]->name, from->tables[i]->name) >= 0)
            return base_err_set(b->err, BASE_E_INVALID,
                                "table %.*s.%.*s is there twice or out of order",
                                BASE_SLICE_ARG(from->name), BASE_SLICE_ARG(from->tables[i]->name));
        rc = build_table(b, from->tables[i], &tables[i]);
        if (rc != BASE_OK)
            return rc;
    }
    to->tables = tables;
    to->table_count = from->table_count;
    return basei_index_names_check(to, &b->scratch, b->err);
}

static int compare_table_ids(const void *a, const void *b)
{
    const struct base_table *x = *(const struct base_table *const *)a,
                            *y = *(const struct base_table *const *)b;
    return memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

static int build_table_ids(struct build *b, struct base_schema *schema)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; i < schema->keyspace_count; i++)
        count += schema->keyspaces[i].table_count;
    const struct base_table **tables = alloc_array(b, count, sizeof *tables);
    if (!tables)
        return no_memory(b);
    for (size_t i = 0; i < schema->keyspace_count; i++)
        for (size_t k = 0; k < schema->keyspaces[i].table_count; k++)
            tables[n++] = schema->keyspaces[i].tables[k];
    qsort(tables, count, sizeof *tables, compare_table_ids);
    for (size_t i = 1; i < count; i++)
        if (base_uuid_equal(tables[i - 1]->id, tables[i]->id))
            return base_err_set(
                b->err, BASE_E_INVALID, "tables %.*s.%.*s and %.*s.%.*s have the same id",
                BASE_SLICE_ARG(tables[i - 1]->keyspace), BASE_SLICE_ARG(tables[i - 1]->name),
                BASE_SLICE_ARG(tables[i]->keyspace), BASE_SLICE_ARG(tables[i]->name));
    schema->tables_by_id = tables;
    schema->table_count = count;
    return BASE_OK;
}

int basei_schema_build(const struct basei_draft *draft, struct base_schema **out,
                       struct base_err *err)
{
    *out = NULL;
    struct base_schema *schema = base_schema_new();
    if (!schema)
        return base_err_set(err, BASE_E_NOMEM, "schema: %s", base_err_words(BASE_E_NOMEM));
    struct build b = {.arena = &schema->arena, .err = err};
    base_arena_init(&b.scratch);
    int rc = BASE_OK;
    schema->epoch = draft->epoch;
    struct base_keyspace *keyspaces = alloc_array(&b, draft->keyspace_count, sizeof *keyspaces);
    if (!keyspaces)
        rc = no_memory(&b);
    for (size_t i = 0; rc == BASE_OK && i < draft->keyspace_count; i++) {
        const struct base_keyspace *from = &draft->keyspaces[i];
        if (i && base_slice_compare(draft->keyspaces[i - 1].name, from->name) >= 0)
            rc = base_err_set(err, BASE_E_INVALID, "keyspace %.*s is there twice or out of order",
                              BASE_SLICE_ARG(from->name));
        else
            rc = build_keyspace(&b, from, &keyspaces[i]);
    }
    if (rc == BASE_OK) {
        schema->keyspaces = keyspaces;
        schema->keyspace_count = draft->keyspace_count;
        rc = build_table_ids(&b, schema);
    }
    base_arena_fini(&b.scratch);
    if (rc != BASE_OK)
        base_schema_release(schema);
    else
        *out = schema;
    return rc;
}
