/* Changes and snapshots as bytes, and back: docs/formats/catalog.md is the document.
 *
 * Bytes come from a disk or a peer. Decoding trusts none of them: every count is bounded by the
 * bytes that are left before anything is allocated, types nest no deeper than BASE_TYPE_DEPTH_MAX,
 * and a snapshot passes basei_schema_build. A user type is written as its name only (but where it
 * is defined), so that bytes cannot grow beyond what was declared. */
#include "base/schema_private.h"

/* The versions with indexes are written only where a table has, or had, one: older programs read
 * the rest. */
enum {
    CHANGE_VERSION = 1,
    CHANGE_VERSION_PROPOSED = 2,
    CHANGE_VERSION_INDEXED = 3,
    CHANGE_VERSION_INDEXED_PROPOSED = 4
};
enum { SNAPSHOT_VERSION = 1, SNAPSHOT_VERSION_INDEXED = 2 };
enum { TYPE_FROZEN = 0x01 };
enum { COLUMN_DESCENDING = 0x01 };
enum { OPTION_CDC = 0x01, OPTION_AUTO_SNAPSHOT = 0x02, OPTION_INCREMENTAL_BACKUPS = 0x04 };

/* Writing: the first error stays in rc. */

struct writer {
    struct base_buf *out;
    int rc;
};

static void put_u8(struct writer *w, unsigned v)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put_u8(w->out, (uint8_t)v);
}

static void put_varint(struct writer *w, uint64_t v)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put_varint(w->out, v);
}

static void put_bytes(struct writer *w, struct base_slice s)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put_bytes(w->out, s);
}

static void put_uuid(struct writer *w, struct base_uuid id)
{
    if (w->rc == BASE_OK)
        w->rc = base_buf_put(w->out, id.b, sizeof id.b);
}

static void put_double(struct writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (w->rc == BASE_OK)
        w->rc = base_buf_put_le64(w->out, bits);
}

static void put_options(struct writer *w, const struct base_options *options)
{
    put_varint(w, options->count);
    for (size_t i = 0; i < options->count; i++) {
        put_bytes(w, options->items[i].key);
        put_bytes(w, options->items[i].value);
    }
}

static void put_type(struct writer *w, const struct base_type *type)
{
    put_u8(w, type->kind);
    if (base_type_scalar(type->kind))
        return;
    put_u8(w, type->frozen ? TYPE_FROZEN : 0);
    if (type->kind == BASE_TYPE_UDT) {
        put_bytes(w, type->keyspace);
        put_bytes(w, type->name);
        return;
    }
    if (type->kind == BASE_TYPE_VECTOR)
        put_varint(w, type->dimension);
    if (type->kind == BASE_TYPE_TUPLE)
        put_varint(w, type->param_count);
    for (uint32_t i = 0; i < type->param_count; i++)
        put_type(w, type->params[i]);
}

/* A user type's definition: its fields. */
static void put_fields(struct writer *w, const struct base_type *type)
{
    put_varint(w, type->param_count);
    for (uint32_t i = 0; i < type->param_count; i++) {
        put_bytes(w, type->field_names[i]);
        put_type(w, type->params[i]);
    }
}

static void put_table_options(struct writer *w, const struct base_table_options *o)
{
    put_bytes(w, o->comment);
    put_varint(w, base_zigzag(o->default_time_to_live_s));
    put_varint(w, base_zigzag(o->gc_grace_s));
    put_double(w, o->bloom_filter_fp_chance);
    put_double(w, o->crc_check_chance);
    put_varint(w, base_zigzag(o->memtable_flush_period_ms));
    put_varint(w, base_zigzag(o->min_index_interval));
    put_varint(w, base_zigzag(o->max_index_interval));
    put_u8(w, (o->cdc ? OPTION_CDC : 0u) | (o->allow_auto_snapshot ? OPTION_AUTO_SNAPSHOT : 0u) |
                  (o->incremental_backups ? OPTION_INCREMENTAL_BACKUPS : 0u));
    put_bytes(w, o->speculative_retry);
    put_bytes(w, o->additional_write_policy);
    put_bytes(w, o->read_repair);
    put_bytes(w, o->memtable);
    put_options(w, &o->caching);
    put_options(w, &o->compaction);
    put_options(w, &o->compression);
    put_options(w, &o->extensions);
}

static bool had_index(const struct base_table *table)
{
    return table->next_index_id > 1;
}

static void put_indexes(struct writer *w, const struct base_table *table)
{
    put_varint(w, table->next_index_id ? table->next_index_id : 1);
    put_varint(w, table->index_count);
    for (size_t i = 0; i < table->index_count; i++) {
        put_varint(w, table->indexes[i].id);
        put_bytes(w, table->indexes[i].name);
        put_varint(w, table->indexes[i].column);
        put_u8(w, (unsigned)table->indexes[i].target);
        put_bytes(w, table->indexes[i].index_class);
    }
}

static void put_table(struct writer *w, const struct base_table *table, bool indexed)
{
    put_uuid(w, table->id);
    put_bytes(w, table->keyspace);
    put_bytes(w, table->name);
    put_varint(w, table->next_column_id);
    put_varint(w, base_zigzag(table->truncated_us));
    put_varint(w, table->partition_key_count);
    put_varint(w, table->clustering_count);
    put_varint(w, table->static_count);
    put_varint(w, table->column_count);
    for (size_t i = 0; i < table->column_count; i++) {
        put_varint(w, table->columns[i].id);
        put_u8(w, table->columns[i].descending ? COLUMN_DESCENDING : 0u);
        put_bytes(w, table->columns[i].name);
        put_type(w, table->columns[i].type);
    }
    put_varint(w, table->dropped_count);
    for (size_t i = 0; i < table->dropped_count; i++) {
        put_varint(w, table->dropped[i].id);
        put_u8(w, table->dropped[i].is_static);
        put_varint(w, base_zigzag(table->dropped[i].dropped_us));
        put_bytes(w, table->dropped[i].name);
        put_type(w, table->dropped[i].type);
    }
    put_table_options(w, &table->options);
    if (indexed)
        put_indexes(w, table);
}

int base_change_encode(const struct base_change *change, struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {out, BASE_OK};
    static const struct base_uuid nobody;
    bool proposed = !base_uuid_equal(change->proposal, nobody);
    bool indexed =
        (change->kind == BASE_CHANGE_TABLE_CREATE || change->kind == BASE_CHANGE_TABLE_ALTER) &&
        had_index(change->table_new);
    put_u8(&w, (unsigned)((indexed ? CHANGE_VERSION_INDEXED : CHANGE_VERSION) + proposed));
    if (proposed)
        put_uuid(&w, change->proposal);
    put_u8(&w, change->kind);
    put_varint(&w, change->expected_epoch);
    put_bytes(&w, change->keyspace);
    put_bytes(&w, change->name);
    switch (change->kind) {
    case BASE_CHANGE_KEYSPACE_CREATE:
    case BASE_CHANGE_KEYSPACE_ALTER:
        put_u8(&w, change->keyspace_new->durable_writes);
        put_options(&w, &change->keyspace_new->replication);
        break;
    case BASE_CHANGE_TYPE_CREATE:
    case BASE_CHANGE_TYPE_ALTER:
        put_fields(&w, change->type_new);
        break;
    case BASE_CHANGE_TABLE_CREATE:
    case BASE_CHANGE_TABLE_ALTER:
        put_table(&w, change->table_new, indexed);
        break;
    case BASE_CHANGE_TABLE_TRUNCATE:
        put_uuid(&w, change->table_id);
        put_varint(&w, base_zigzag(change->time_us));
        break;
    case BASE_CHANGE_TABLE_DROP:
        put_uuid(&w, change->table_id);
        break;
    case BASE_CHANGE_TOPOLOGY:
        put_bytes(&w, change->topology);
        break;
    case BASE_CHANGE_KEYSPACE_DROP:
    case BASE_CHANGE_TYPE_DROP:
        break;
    }
    if (w.rc != BASE_OK)
        out->len = start;
    return w.rc;
}

int base_schema_encode(const struct base_schema *schema, struct base_buf *out)
{
    size_t start = out->len;
    struct writer w = {out, BASE_OK};
    bool indexed = false;
    for (size_t i = 0; i < schema->table_count; i++)
        indexed |= had_index(schema->tables_by_id[i]);
    put_u8(&w, indexed ? SNAPSHOT_VERSION_INDEXED : SNAPSHOT_VERSION);
    put_varint(&w, schema->epoch);
    put_varint(&w, schema->keyspace_count);
    for (size_t i = 0; i < schema->keyspace_count; i++) {
        const struct base_keyspace *ks = &schema->keyspaces[i];
        put_bytes(&w, ks->name);
        put_u8(&w, ks->durable_writes);
        put_options(&w, &ks->replication);
        put_varint(&w, ks->type_count);
        for (size_t k = 0; k < ks->type_count; k++) {
            put_bytes(&w, ks->types[k].name);
            put_fields(&w, ks->types[k].type);
        }
        put_varint(&w, ks->table_count);
        for (size_t k = 0; k < ks->table_count; k++)
            put_table(&w, ks->tables[k], indexed);
    }
    if (w.rc != BASE_OK)
        out->len = start;
    return w.rc;
}

/* Reading: a failed get leaves zero, and the code in rc. */

struct decoder {
    struct base_reader in;
    struct base_arena *arena;
    bool indexed; /* tables are followed by their indexes */
    int rc;
};

static bool fail(struct decoder *d, int rc)
{
    if (d->rc == BASE_OK)
        d->rc = rc;
    return base_reader_fail(&d->in);
}

static uint8_t get_u8(struct decoder *d)
{
    uint8_t v;
    if (!base_get_u8(&d->in, &v))
        fail(d, BASE_E_CORRUPT);
    return v;
}

static uint64_t get_varint(struct decoder *d)
{
    uint64_t v;
    if (!base_get_varint(&d->in, &v))
        fail(d, BASE_E_CORRUPT);
    return v;
}

static uint32_t get_u32(struct decoder *d)
{
    uint64_t v = get_varint(d);
    if (v > UINT32_MAX)
        fail(d, BASE_E_CORRUPT);
    return (uint32_t)v;
}

static int32_t get_i32(struct decoder *d)
{
    int64_t v = base_unzigzag(get_varint(d));
    if (v < INT32_MIN || v > INT32_MAX)
        fail(d, BASE_E_CORRUPT);
    return (int32_t)v;
}

static double get_double(struct decoder *d)
{
    uint64_t bits;
    double v;
    if (!base_get_u64le(&d->in, &bits))
        fail(d, BASE_E_CORRUPT);
    memcpy(&v, &bits, sizeof v);
    return v;
}

static struct base_uuid get_uuid(struct decoder *d)
{
    struct base_uuid id = {{0}};
    struct base_slice s;
    if (base_get_raw(&d->in, sizeof id.b, &s))
        memcpy(id.b, s.data, sizeof id.b);
    else
        fail(d, BASE_E_CORRUPT);
    return id;
}

/* Bytes that stay: copied into the arena. */
static struct base_slice get_bytes(struct decoder *d)
{
    struct base_slice s, out = {0};
    if (!base_get_bytes(&d->in, &s))
        fail(d, BASE_E_CORRUPT);
    else if (base_arena_copy(d->arena, s, &out) != BASE_OK)
        fail(d, BASE_E_NOMEM);
    return out;
}

/* A count of things that take at least `size_min` bytes each, and room for them. */
static void *get_array(struct decoder *d, size_t size_min, size_t item_size, size_t *count)
{
    uint64_t n = get_varint(d);
    *count = 0;
    if (n > base_reader_left(&d->in) / size_min) {
        fail(d, BASE_E_CORRUPT);
        return NULL;
    }
    void *items = base_arena_zalloc(d->arena, n ? (size_t)n * item_size : item_size);
    if (!items)
        fail(d, BASE_E_NOMEM);
    else
        *count = (size_t)n;
    return items;
}

static struct base_options get_options(struct decoder *d)
{
    size_t count;
    struct base_option *items = get_array(d, 2, sizeof *items, &count);
    for (size_t i = 0; i < count && d->rc == BASE_OK; i++) {
        items[i].key = get_bytes(d);
        items[i].value = get_bytes(d);
    }
    return (struct base_options){items, count};
}

/* Never NULL: a failed decode gives some type, and rc says so. */
static const struct base_type *get_type(struct decoder *d, int depth)
{
    const struct base_type *none = base_type_scalar(BASE_TYPE_BLOB);
    uint8_t kind = get_u8(d);
    const struct base_type *scalar = base_type_scalar((enum base_type_kind)kind);
    if (d->rc == BASE_OK && scalar)
        return scalar;
    uint8_t flags = get_u8(d);
    if (d->rc != BASE_OK)
        return none;
    struct base_type *type = base_arena_zalloc(d->arena, sizeof *type);
    if (!type || depth == 0 || flags > TYPE_FROZEN) {
        fail(d, type ? BASE_E_CORRUPT : BASE_E_NOMEM);
        return none;
    }
    *type = (struct base_type){.kind = (enum base_type_kind)kind, .frozen = flags & TYPE_FROZEN};
    size_t count = 0;
    switch (kind) {
    case BASE_TYPE_UDT:
        type->keyspace = get_bytes(d);
        type->name = get_bytes(d);
        return type;
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
        count = 1;
        break;
    case BASE_TYPE_MAP:
        count = 2;
        break;
    case BASE_TYPE_VECTOR:
        type->dimension = get_u32(d);
        count = 1;
        break;
    case BASE_TYPE_TUPLE:
        count = get_u32(d);
        break;
    default:
        fail(d, BASE_E_CORRUPT);
    }
    if (d->rc != BASE_OK || count > base_reader_left(&d->in)) {
        fail(d, BASE_E_CORRUPT);
        return none;
    }
    const struct base_type **params =
        base_arena_zalloc(d->arena, (count ? count : 1) * sizeof *params);
    if (!params) {
        fail(d, BASE_E_NOMEM);
        return none;
    }
    for (size_t i = 0; i < count; i++)
        params[i] = get_type(d, depth - 1);
    type->params = params;
    type->param_count = (uint32_t)count;
    return type;
}

static const struct base_type *get_fields(struct decoder *d, struct base_slice keyspace,
                                          struct base_slice name)
{
    size_t count;
    struct base_slice *names = get_array(d, 2, sizeof *names, &count);
    const struct base_type **params =
        base_arena_zalloc(d->arena, (count ? count : 1) * sizeof *params);
    struct base_type *type = base_arena_zalloc(d->arena, sizeof *type);
    if (!params || !type) {
        fail(d, BASE_E_NOMEM);
        return base_type_scalar(BASE_TYPE_BLOB);
    }
    for (size_t i = 0; i < count && d->rc == BASE_OK; i++) {
        names[i] = get_bytes(d);
        params[i] = get_type(d, BASE_TYPE_DEPTH_MAX);
    }
    if (count > UINT32_MAX)
        fail(d, BASE_E_CORRUPT);
    *type = (struct base_type){.kind = BASE_TYPE_UDT,
                               .param_count = (uint32_t)count,
                               .params = params,
                               .keyspace = keyspace,
                               .name = name,
                               .field_names = names};
    return type;
}

static void get_table_options(struct decoder *d, struct base_table_options *o)
{
    o->comment = get_bytes(d);
    o->default_time_to_live_s = get_i32(d);
    o->gc_grace_s = get_i32(d);
    o->bloom_filter_fp_chance = get_double(d);
    o->crc_check_chance = get_double(d);
    o->memtable_flush_period_ms = get_i32(d);
    o->min_index_interval = get_i32(d);
    o->max_index_interval = get_i32(d);
    uint8_t flags = get_u8(d);
    o->cdc = flags & OPTION_CDC;
    o->allow_auto_snapshot = flags & OPTION_AUTO_SNAPSHOT;
    o->incremental_backups = flags & OPTION_INCREMENTAL_BACKUPS;
    o->speculative_retry = get_bytes(d);
    o->additional_write_policy = get_bytes(d);
    o->read_repair = get_bytes(d);
    o->memtable = get_bytes(d);
    o->caching = get_options(d);
    o->compaction = get_options(d);
    o->compression = get_options(d);
    o->extensions = get_options(d);
}

/* Kind and position follow from the place; whether the counts make sense is the build's to
 * check. */
static void place_column(const struct base_table *table, struct base_column *column, size_t i)
{
    size_t pk = table->partition_key_count, ck = table->clustering_count;
    if (i < pk) {
        column->kind = BASE_COLUMN_PARTITION_KEY;
        column->position = (uint32_t)i;
    } else if (i - pk < ck) {
        column->kind = BASE_COLUMN_CLUSTERING;
        column->position = (uint32_t)(i - pk);
    } else {
        column->kind = i - pk - ck < table->static_count ? BASE_COLUMN_STATIC : BASE_COLUMN_REGULAR;
    }
}

static void get_indexes(struct decoder *d, struct base_table *table)
{
    table->next_index_id = get_u32(d);
    struct base_index *indexes = get_array(d, 5, sizeof *indexes, &table->index_count);
    for (size_t i = 0; i < table->index_count && d->rc == BASE_OK; i++) {
        indexes[i].id = get_u32(d);
        indexes[i].name = get_bytes(d);
        indexes[i].column = get_u32(d);
        indexes[i].target = (enum base_index_target)get_u8(d);
        indexes[i].index_class = get_bytes(d);
        if (indexes[i].target > BASE_INDEX_FULL)
            fail(d, BASE_E_CORRUPT);
    }
    table->indexes = indexes;
}

static const struct base_table *get_table(struct decoder *d)
{
    static const struct base_table none;
    struct base_table *table = base_arena_zalloc(d->arena, sizeof *table);
    if (!table) {
        fail(d, BASE_E_NOMEM);
        return &none;
    }
    table->id = get_uuid(d);
    table->keyspace = get_bytes(d);
    table->name = get_bytes(d);
    table->next_column_id = get_u32(d);
    table->truncated_us = base_unzigzag(get_varint(d));
    table->partition_key_count = get_u32(d);
    table->clustering_count = get_u32(d);
    table->static_count = get_u32(d);
    struct base_column *columns = get_array(d, 4, sizeof *columns, &table->column_count);
    for (size_t i = 0; i < table->column_count && d->rc == BASE_OK; i++) {
        columns[i].id = get_u32(d);
        columns[i].descending = get_u8(d) & COLUMN_DESCENDING;
        columns[i].name = get_bytes(d);
        columns[i].type = get_type(d, BASE_TYPE_DEPTH_MAX);
        place_column(table, &columns[i], i);
    }
    table->columns = columns;
    struct base_dropped_column *dropped = get_array(d, 5, sizeof *dropped, &table->dropped_count);
    for (size_t i = 0; i < table->dropped_count; i++) {
        dropped[i].id = get_u32(d);
        dropped[i].is_static = get_u8(d) != 0;
        dropped[i].dropped_us = base_unzigzag(get_varint(d));
        dropped[i].name = get_bytes(d);
        dropped[i].type = get_type(d, BASE_TYPE_DEPTH_MAX);
    }
    table->dropped = dropped;
    get_table_options(d, &table->options);
    table->next_index_id = 1;
    if (d->indexed)
        get_indexes(d, table);
    return table;
}

static int finish(struct decoder *d, const char *what, struct base_slice bytes,
                  struct base_err *err)
{
    if (d->rc == BASE_OK && base_reader_left(&d->in))
        d->rc = BASE_E_CORRUPT;
    if (d->rc == BASE_E_CORRUPT)
        return base_err_set(err, d->rc, "%s of %zu bytes: cannot be decoded", what, bytes.len);
    if (d->rc != BASE_OK)
        return base_err_set(err, d->rc, "%s: %s", what, base_err_words(d->rc));
    return BASE_OK;
}

static void get_change_body(struct decoder *d, struct base_change *c)
{
    switch (c->kind) {
    case BASE_CHANGE_KEYSPACE_CREATE:
    case BASE_CHANGE_KEYSPACE_ALTER: {
        struct base_keyspace *ks = base_arena_zalloc(d->arena, sizeof *ks);
        if (!ks) {
            fail(d, BASE_E_NOMEM);
            return;
        }
        ks->name = c->keyspace;
        ks->durable_writes = get_u8(d) != 0;
        ks->replication = get_options(d);
        c->keyspace_new = ks;
        return;
    }
    case BASE_CHANGE_TYPE_CREATE:
    case BASE_CHANGE_TYPE_ALTER:
        c->type_new = get_fields(d, c->keyspace, c->name);
        return;
    case BASE_CHANGE_TABLE_CREATE:
    case BASE_CHANGE_TABLE_ALTER:
        c->table_new = get_table(d);
        return;
    case BASE_CHANGE_TABLE_TRUNCATE:
        c->table_id = get_uuid(d);
        c->time_us = base_unzigzag(get_varint(d));
        return;
    case BASE_CHANGE_TABLE_DROP:
        c->table_id = get_uuid(d);
        return;
    case BASE_CHANGE_TOPOLOGY:
        c->topology = get_bytes(d);
        return;
    case BASE_CHANGE_KEYSPACE_DROP:
    case BASE_CHANGE_TYPE_DROP:
        return;
    }
    fail(d, BASE_E_CORRUPT);
}

int base_change_decode(struct base_arena *arena, struct base_slice bytes, struct base_change *out,
                       struct base_err *err)
{
    struct decoder d = {.in = base_reader(bytes), .arena = arena};
    *out = (struct base_change){0};
    uint8_t version = get_u8(&d);
    if (d.rc == BASE_OK && (version < CHANGE_VERSION || version > CHANGE_VERSION_INDEXED_PROPOSED))
        return base_err_set(err, BASE_E_VERSION,
                            "schema change: version %u, this program knows %d to %d",
                            (unsigned)version, CHANGE_VERSION, CHANGE_VERSION_INDEXED_PROPOSED);
    d.indexed = version >= CHANGE_VERSION_INDEXED;
    struct base_change c = {0};
    if (version == CHANGE_VERSION_PROPOSED || version == CHANGE_VERSION_INDEXED_PROPOSED) {
        static const struct base_uuid nobody;
        c.proposal = get_uuid(&d);
        if (d.rc == BASE_OK && base_uuid_equal(c.proposal, nobody))
            d.rc = BASE_E_CORRUPT; /* a change has one form only */
    }
    c.kind = (enum base_change_kind)get_u8(&d);
    c.expected_epoch = get_varint(&d);
    c.keyspace = get_bytes(&d);
    c.name = get_bytes(&d);
    if (d.rc == BASE_OK)
        get_change_body(&d, &c);
    if (d.rc == BASE_OK && d.indexed && !(c.table_new && had_index(c.table_new)))
        d.rc = BASE_E_CORRUPT; /* likewise */
    int rc = finish(&d, "schema change", bytes, err);
    if (rc == BASE_OK)
        *out = c;
    return rc;
}

static void get_keyspace(struct decoder *d, struct base_keyspace *ks)
{
    ks->name = get_bytes(d);
    ks->durable_writes = get_u8(d) != 0;
    ks->replication = get_options(d);
    struct base_user_type *types = get_array(d, 2, sizeof *types, &ks->type_count);
    for (size_t i = 0; i < ks->type_count; i++) {
        types[i].keyspace = ks->name;
        types[i].name = get_bytes(d);
        types[i].type = get_fields(d, ks->name, types[i].name);
    }
    ks->types = types;
    const struct base_table **tables = get_array(d, 64, sizeof *tables, &ks->table_count);
    for (size_t i = 0; i < ks->table_count; i++)
        tables[i] = get_table(d);
    ks->tables = tables;
}

static bool any_had_index(const struct basei_draft *draft)
{
    for (size_t i = 0; i < draft->keyspace_count; i++)
        for (size_t k = 0; k < draft->keyspaces[i].table_count; k++)
            if (had_index(draft->keyspaces[i].tables[k]))
                return true;
    return false;
}

int base_schema_decode(struct base_slice bytes, struct base_schema **out, struct base_err *err)
{
    struct base_arena scratch;
    base_arena_init(&scratch);
    struct decoder d = {.in = base_reader(bytes), .arena = &scratch};
    struct basei_draft draft = {0};
    *out = NULL;
    int rc;
    uint8_t version = get_u8(&d);
    if (d.rc == BASE_OK && version != SNAPSHOT_VERSION && version != SNAPSHOT_VERSION_INDEXED) {
        rc = base_err_set(err, BASE_E_VERSION, "schema: version %u, this program knows %d and %d",
                          (unsigned)version, SNAPSHOT_VERSION, SNAPSHOT_VERSION_INDEXED);
        goto out;
    }
    d.indexed = version == SNAPSHOT_VERSION_INDEXED;
    draft.epoch = get_varint(&d);
    struct base_keyspace *keyspaces = get_array(&d, 5, sizeof *keyspaces, &draft.keyspace_count);
    for (size_t i = 0; i < draft.keyspace_count; i++)
        get_keyspace(&d, &keyspaces[i]);
    draft.keyspaces = keyspaces;
    if (d.rc == BASE_OK && d.indexed && !any_had_index(&draft))
        d.rc = BASE_E_CORRUPT; /* a snapshot has one form only */
    rc = finish(&d, "schema", bytes, err);
    if (rc == BASE_OK) {
        rc = basei_schema_build(&draft, out, err);
        if (rc == BASE_E_INVALID || rc == BASE_E_LIMIT)
            rc = base_err_wrap(err, BASE_E_CORRUPT, "stored schema");
    }
out:
    base_arena_fini(&scratch);
    return rc;
}
