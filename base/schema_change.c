/* Changes of the schema: a pure function from a snapshot and a change to the next snapshot.
 *
 * Each change edits a shallow draft of the old snapshot; basei_schema_build checks the draft and
 * resolves user types anew. So a change only has to know what is particular to it:
 *
 * 1. A change made against another epoch is refused (STALE), whoever asks and whatever it says: of
 *    two nodes that change the same thing at once one gets an error.
 * 2. An altered table keeps its id, its key (but for names) and the id, kind and type of every
 *    column; what is gone is among the dropped columns. Stored rows depend on all of these.
 *    Its indexes likewise: an id that was given is not given again.
 * 3. An altered type keeps its fields' types, in order (names may change); new ones come last. */
#include "base/schema_private.h"

struct apply {
    const struct base_schema *old;
    const struct base_change *change;
    struct base_arena scratch; /* the draft's own arrays */
    struct base_keyspace *keyspaces;
    size_t keyspace_count;
    struct base_keyspace *keyspace; /* the one the change names, or NULL */
    struct base_err *err;
};

#define NAME_FMT "%.*s.%.*s"
#define NAME_ARG(a) BASE_SLICE_ARG((a)->change->keyspace), BASE_SLICE_ARG((a)->change->name)

static int no_memory(struct apply *a)
{
    return base_err_set(a->err, BASE_E_NOMEM, "schema: %s", base_err_words(BASE_E_NOMEM));
}

/* A copy of `count` items of `size` bytes with item `at` left out (drop), made room for (insert),
 * or only copied (neither). NULL when out of memory. */
enum edit { EDIT_NONE, EDIT_INSERT, EDIT_REMOVE };
static void *edit_array(struct apply *a, const void *items, size_t count, size_t size, size_t at,
                        enum edit edit)
{
    uint8_t *out = base_arena_alloc(&a->scratch, (count + 1) * size);
    if (!out)
        return NULL;
    const uint8_t *in = items;
    if (at)
        memcpy(out, in, at * size);
    size_t from = edit == EDIT_REMOVE ? at + 1 : at, to = edit == EDIT_INSERT ? at + 1 : at;
    BASE_ASSERT(from <= count);
    if (count > from)
        memcpy(out + to * size, in + from * size, (count - from) * size);
    return out;
}

/* Keyspaces. */

static int apply_keyspace(struct apply *a)
{
    const struct base_change *c = a->change;
    if (c->kind == BASE_CHANGE_KEYSPACE_DROP) {
        size_t at = (size_t)(a->keyspace - a->keyspaces);
        memmove(a->keyspace, a->keyspace + 1, (a->keyspace_count - at - 1) * sizeof *a->keyspace);
        a->keyspace_count--;
        return BASE_OK;
    }
    if (!c->keyspace_new || !base_slice_equal(c->keyspace_new->name, c->keyspace))
        return base_err_set(a->err, BASE_E_INVALID,
                            "keyspace %.*s: the change holds no such keyspace",
                            BASE_SLICE_ARG(c->keyspace));
    if (c->kind == BASE_CHANGE_KEYSPACE_CREATE) {
        bool found;
        size_t at = basei_keyspace_index(a->keyspaces, a->keyspace_count, c->keyspace, &found);
        BASE_ASSERT(!found);
        a->keyspaces =
            edit_array(a, a->keyspaces, a->keyspace_count, sizeof *a->keyspaces, at, EDIT_INSERT);
        if (!a->keyspaces)
            return no_memory(a);
        a->keyspace = &a->keyspaces[at];
        a->keyspace_count++;
        *a->keyspace = (struct base_keyspace){.name = c->keyspace};
    }
    a->keyspace->replication = c->keyspace_new->replication;
    a->keyspace->durable_writes = c->keyspace_new->durable_writes;
    return BASE_OK;
}

/* Types. */

/* Does `type` name the user type? Not through other user types: they are asked themselves. */
static bool type_uses(const struct base_type *type, struct base_slice name)
{
    if (type->kind == BASE_TYPE_UDT)
        return base_slice_equal(type->name, name);
    for (uint32_t i = 0; i < type->param_count; i++)
        if (type_uses(type->params[i], name))
            return true;
    return false;
}

static int check_type_unused(struct apply *a, size_t index)
{
    const struct base_keyspace *ks = a->keyspace;
    struct base_slice name = a->change->name;
    for (size_t i = 0; i < ks->table_count; i++)
        for (size_t k = 0; k < ks->tables[i]->column_count; k++)
            if (type_uses(ks->tables[i]->columns[k].type, name))
                return base_err_set(a->err, BASE_E_INVALID,
                                    "Cannot drop user type '" NAME_FMT
                                    "' as it is still used by table " NAME_FMT " (column %.*s)",
                                    NAME_ARG(a), BASE_SLICE_ARG(ks->name),
                                    BASE_SLICE_ARG(ks->tables[i]->name),
                                    BASE_SLICE_ARG(ks->tables[i]->columns[k].name));
    for (size_t i = 0; i < ks->type_count; i++)
        for (uint32_t k = 0; i != index && k < ks->types[i].type->param_count; k++)
            if (type_uses(ks->types[i].type->params[k], name))
                return base_err_set(a->err, BASE_E_INVALID,
                                    "Cannot drop user type '" NAME_FMT
                                    "' as it is still used by user type %.*s",
                                    NAME_ARG(a), BASE_SLICE_ARG(ks->types[i].name));
    return BASE_OK;
}

/* Are two types spelled alike? User types by name: their own change is their own matter. */
static bool type_same(const struct base_type *a, const struct base_type *b)
{
    if (a->kind != b->kind || a->frozen != b->frozen)
        return false;
    if (a->kind == BASE_TYPE_UDT)
        return base_slice_equal(a->keyspace, b->keyspace) && base_slice_equal(a->name, b->name);
    if (a->param_count != b->param_count || a->dimension != b->dimension)
        return false;
    for (uint32_t i = 0; i < a->param_count; i++)
        if (!type_same(a->params[i], b->params[i]))
            return false;
    return true;
}

static int check_type_altered(struct apply *a, const struct base_type *from,
                              const struct base_type *to)
{
    bool kept = to->param_count >= from->param_count;
    for (uint32_t i = 0; kept && i < from->param_count; i++)
        kept = type_same(from->params[i], to->params[i]);
    return kept ? BASE_OK
                : base_err_set(a->err, BASE_E_INVALID,
                               "type " NAME_FMT ": a field may be added or renamed, no more",
                               NAME_ARG(a));
}

static int apply_type(struct apply *a)
{
    const struct base_change *c = a->change;
    struct base_keyspace *ks = a->keyspace;
    bool found, create = c->kind == BASE_CHANGE_TYPE_CREATE,
                drop = c->kind == BASE_CHANGE_TYPE_DROP;
    size_t at = basei_type_index(ks->types, ks->type_count, c->name, &found);
    if (create && found)
        return base_err_set(a->err, BASE_E_EXISTS,
                            "A user type with name '" NAME_FMT "' already exists", NAME_ARG(a));
    if (!create && !found)
        return base_err_set(a->err, BASE_E_NOTFOUND, "Type '" NAME_FMT "' doesn't exist",
                            NAME_ARG(a));
    if (!drop && (!c->type_new || c->type_new->kind != BASE_TYPE_UDT ||
                  !base_slice_equal(c->type_new->keyspace, c->keyspace) ||
                  !base_slice_equal(c->type_new->name, c->name)))
        return base_err_set(a->err, BASE_E_INVALID,
                            "type " NAME_FMT ": the change holds no such type", NAME_ARG(a));
    int rc = drop     ? check_type_unused(a, at)
             : create ? BASE_OK
                      : check_type_altered(a, ks->types[at].type, c->type_new);
    if (rc != BASE_OK)
        return rc;
    struct base_user_type *types = edit_array(a, ks->types, ks->type_count, sizeof *types, at,
                                              create ? EDIT_INSERT
                                              : drop ? EDIT_REMOVE
                                                     : EDIT_NONE);
    if (!types)
        return no_memory(a);
    if (!drop)
        types[at] = (struct base_user_type){c->keyspace, c->name, c->type_new};
    ks->types = types;
    ks->type_count = ks->type_count + create - drop;
    return BASE_OK;
}

/* Tables. */

static const struct base_dropped_column *find_dropped(const struct base_table *table, uint32_t id)
{
    for (size_t i = 0; i < table->dropped_count; i++)
        if (table->dropped[i].id == id)
            return &table->dropped[i];
    return NULL;
}

/* Rule 2 of the file's top. */
static int check_table_altered(struct apply *a, const struct base_table *from,
                               const struct base_table *to)
{
    const char *fault = NULL;
    if (!base_uuid_equal(from->id, to->id))
        return base_err_set(a->err, BASE_E_STALE,
                            "table " NAME_FMT " was dropped and made anew meanwhile", NAME_ARG(a));
    if (from->partition_key_count != to->partition_key_count ||
        from->clustering_count != to->clustering_count)
        fault = "the primary key's columns may not change";
    else if (to->next_column_id < from->next_column_id)
        fault = "column ids may not be used again";
    for (size_t i = 0; !fault && i < from->dropped_count; i++)
        if (!find_dropped(to, from->dropped[i].id))
            fault = "a dropped column is forgotten";
    for (size_t i = 0; !fault && i < from->column_count; i++) {
        const struct base_column *x = &from->columns[i], *y = base_table_column_by_id(to, x->id);
        if (!y && (x->kind == BASE_COLUMN_STATIC || x->kind == BASE_COLUMN_REGULAR))
            fault = find_dropped(to, x->id) ? NULL : "a column is gone without a record of it";
        else if (!y || y->kind != x->kind || y->position != x->position ||
                 y->descending != x->descending || !type_same(x->type, y->type))
            fault = "a column's place or type may not change";
    }
    for (size_t i = 0; !fault && i < to->column_count; i++)
        if (to->columns[i].id < from->next_column_id &&
            !base_table_column_by_id(from, to->columns[i].id))
            fault = "a new column needs a new id";
    if (!fault)
        fault = basei_indexes_altered(from, to);
    return fault
               ? base_err_set(a->err, BASE_E_INVALID, "table " NAME_FMT ": %s", NAME_ARG(a), fault)
               : BASE_OK;
}

/* The table as it is after TRUNCATE or ALTER: a truncation is never taken back. */
static int table_after(struct apply *a, const struct base_table *old, const struct base_table **out)
{
    const struct base_change *c = a->change;
    bool truncate = c->kind == BASE_CHANGE_TABLE_TRUNCATE;
    struct base_table *table = base_arena_alloc(&a->scratch, sizeof *table);
    if (!table)
        return no_memory(a);
    *table = truncate ? *old : *c->table_new;
    int64_t truncated_us = truncate ? c->time_us : c->table_new->truncated_us;
    table->truncated_us = truncated_us > old->truncated_us ? truncated_us : old->truncated_us;
    *out = table;
    return BASE_OK;
}

static int check_table_change(struct apply *a, const struct base_table *old)
{
    const struct base_change *c = a->change;
    bool whole = c->kind == BASE_CHANGE_TABLE_CREATE || c->kind == BASE_CHANGE_TABLE_ALTER;
    if (c->kind == BASE_CHANGE_TABLE_CREATE && old)
        return base_err_set(a->err, BASE_E_EXISTS,
                            "Cannot add already existing table \"%.*s\" to keyspace \"%.*s\"",
                            BASE_SLICE_ARG(c->name), BASE_SLICE_ARG(c->keyspace));
    if (c->kind != BASE_CHANGE_TABLE_CREATE && !old)
        return base_err_set(a->err, BASE_E_NOTFOUND, "Table '" NAME_FMT "' doesn't exist",
                            NAME_ARG(a));
    if (whole && (!c->table_new || !base_slice_equal(c->table_new->keyspace, c->keyspace) ||
                  !base_slice_equal(c->table_new->name, c->name)))
        return base_err_set(a->err, BASE_E_INVALID,
                            "table " NAME_FMT ": the change holds no such table", NAME_ARG(a));
    if (!whole && !base_uuid_equal(c->table_id, old->id))
        return base_err_set(a->err, BASE_E_STALE,
                            "table " NAME_FMT " was dropped and made anew meanwhile", NAME_ARG(a));
    return c->kind == BASE_CHANGE_TABLE_ALTER ? check_table_altered(a, old, c->table_new) : BASE_OK;
}

static int apply_table(struct apply *a)
{
    const struct base_change *c = a->change;
    struct base_keyspace *ks = a->keyspace;
    bool found, create = c->kind == BASE_CHANGE_TABLE_CREATE,
                drop = c->kind == BASE_CHANGE_TABLE_DROP;
    size_t at = basei_table_index(ks->tables, ks->table_count, c->name, &found);
    const struct base_table *old = found ? ks->tables[at] : NULL;
    int rc = check_table_change(a, old);
    if (rc != BASE_OK)
        return rc;
    const struct base_table **tables =
        edit_array(a, ks->tables, ks->table_count, sizeof *tables, at,
                   create ? EDIT_INSERT
                   : drop ? EDIT_REMOVE
                          : EDIT_NONE);
    if (!tables)
        return no_memory(a);
    if (create)
        tables[at] = c->table_new;
    else if (!drop)
        rc = table_after(a, old, &tables[at]);
    ks->tables = tables;
    ks->table_count = ks->table_count + create - drop;
    return rc;
}

/* The door. */

static int apply_kind(struct apply *a)
{
    const struct base_change *c = a->change;
    if (c->kind == BASE_CHANGE_TOPOLOGY)
        return BASE_OK;
    if (c->kind == BASE_CHANGE_KEYSPACE_CREATE && a->keyspace)
        return base_err_set(a->err, BASE_E_EXISTS, "Cannot add existing keyspace \"%.*s\"",
                            BASE_SLICE_ARG(c->keyspace));
    if (c->kind != BASE_CHANGE_KEYSPACE_CREATE && !a->keyspace)
        return base_err_set(a->err, BASE_E_NOTFOUND, "Keyspace '%.*s' doesn't exist",
                            BASE_SLICE_ARG(c->keyspace));
    switch (c->kind) {
    case BASE_CHANGE_KEYSPACE_CREATE:
    case BASE_CHANGE_KEYSPACE_ALTER:
    case BASE_CHANGE_KEYSPACE_DROP:
        return apply_keyspace(a);
    case BASE_CHANGE_TYPE_CREATE:
    case BASE_CHANGE_TYPE_ALTER:
    case BASE_CHANGE_TYPE_DROP:
        return apply_type(a);
    case BASE_CHANGE_TABLE_CREATE:
    case BASE_CHANGE_TABLE_ALTER:
    case BASE_CHANGE_TABLE_DROP:
    case BASE_CHANGE_TABLE_TRUNCATE:
        return apply_table(a);
    case BASE_CHANGE_TOPOLOGY:
        return BASE_OK;
    }
    return base_err_set(a->err, BASE_E_INVALID, "unknown kind of schema change: %d", (int)c->kind);
}

int base_schema_apply(const struct base_schema *schema, const struct base_change *change,
                      struct base_schema **out, struct base_err *err)
{
    *out = NULL;
    if (change->expected_epoch != schema->epoch)
        return base_err_set(
            err, BASE_E_STALE, "the schema changed meanwhile: made against epoch %llu, now %llu",
            (unsigned long long)change->expected_epoch, (unsigned long long)schema->epoch);
    struct apply a = {
        .old = schema, .change = change, .keyspace_count = schema->keyspace_count, .err = err};
    base_arena_init(&a.scratch);
    int rc = BASE_OK;
    a.keyspaces =
        edit_array(&a, schema->keyspaces, a.keyspace_count, sizeof *a.keyspaces, 0, EDIT_NONE);
    if (!a.keyspaces) {
        rc = no_memory(&a);
    } else {
        bool found;
        size_t at = basei_keyspace_index(a.keyspaces, a.keyspace_count, change->keyspace, &found);
        a.keyspace = found ? &a.keyspaces[at] : NULL;
        rc = apply_kind(&a);
    }
    if (rc == BASE_OK) {
        struct basei_draft draft = {schema->epoch + 1, a.keyspaces, a.keyspace_count};
        rc = basei_schema_build(&draft, out, err);
    }
    base_arena_fini(&a.scratch);
    return rc;
}
