/* CREATE, ALTER and DROP TYPE. */
#include "cql/cql_private.h"

/* The target's name, for messages: it is in the change by then. */
#define TYPE_ARG(a) BASE_SLICE_ARG((a)->out->change.keyspace), BASE_SLICE_ARG((a)->out->change.name)

enum { FIELDS_MAX = BASE_COLUMNS_MAX };

/* A user type under construction. */
struct draft {
    struct base_type type;
    struct base_slice names[FIELDS_MAX];
    const struct base_type *params[FIELDS_MAX];
};

static bool has_field(const struct draft *draft, struct base_slice name, uint32_t *at)
{
    for (uint32_t i = 0; i < draft->type.param_count; i++)
        if (base_slice_equal(draft->names[i], name)) {
            *at = i;
            return true;
        }
    return false;
}

static struct draft *new_draft(struct cqli_analysis *a)
{
    struct draft *draft = base_arena_zalloc(a->arena, sizeof *draft);
    if (draft)
        draft->type = (struct base_type){.kind = BASE_TYPE_UDT,
                                         .params = draft->params,
                                         .field_names = draft->names,
                                         .keyspace = a->out->change.keyspace,
                                         .name = a->out->change.name};
    return draft;
}

static int add_field(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                     struct draft *draft, const struct cql_column_def *def)
{
    const struct base_type *type;
    if (draft->type.param_count == FIELDS_MAX)
        return base_err_set(a->err, BASE_E_LIMIT, "a user type has at most %d fields", FIELDS_MAX);
    int rc = cqli_resolve_type(a, keyspace, def->type, &type);
    if (rc == BASE_OK && type->kind == BASE_TYPE_COUNTER)
        rc = base_err_set(a->err, BASE_E_INVALID, "A user type cannot contain counters");
    if (rc == BASE_OK && type->kind == BASE_TYPE_UDT && !type->frozen)
        rc = base_err_set(a->err, BASE_E_INVALID,
                          "A user type cannot contain non-frozen UDTs: use frozen<%.*s>",
                          BASE_SLICE_ARG(type->name));
    if (rc == BASE_OK && def->is_static)
        rc = base_err_set(a->err, BASE_E_INVALID, "a field cannot be static");
    if (rc != BASE_OK)
        return base_err_wrap(a->err, rc, "field %.*s", BASE_SLICE_ARG(def->name));
    draft->names[draft->type.param_count] = def->name;
    draft->params[draft->type.param_count++] = type;
    return BASE_OK;
}

static int create_type(struct cqli_analysis *a, const struct base_keyspace *keyspace)
{
    uint32_t at;
    if (cqli_type_name_is_builtin(a->out->change.name))
        return base_err_set(a->err, BASE_E_INVALID, "Invalid (reserved) user type name %.*s",
                            BASE_SLICE_ARG(a->out->change.name));
    struct draft *draft = new_draft(a);
    if (!draft)
        return cqli_no_memory(a);
    for (const struct cql_column_def *def = a->statement->columns; def; def = def->next) {
        if (has_field(draft, def->name, &at))
            return base_err_set(a->err, BASE_E_INVALID,
                                "Duplicate field name '%.*s' in type '%.*s'",
                                BASE_SLICE_ARG(def->name), BASE_SLICE_ARG(a->out->change.name));
        int rc = add_field(a, keyspace, draft, def);
        if (rc != BASE_OK)
            return rc;
    }
    a->out->change.kind = BASE_CHANGE_TYPE_CREATE;
    a->out->change.type_new = &draft->type;
    return BASE_OK;
}

/* Does a partition key hold the type? A new field would change the bytes of equal keys. */
static bool type_holds(const struct base_type *type, struct base_slice name)
{
    if (type->kind == BASE_TYPE_UDT && base_slice_equal(type->name, name))
        return true;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (type_holds(type->params[i], name))
            return true;
    return false;
}

static int check_not_in_key(struct cqli_analysis *a, const struct base_keyspace *keyspace)
{
    for (size_t i = 0; i < keyspace->table_count; i++)
        for (size_t k = 0; k < keyspace->tables[i]->partition_key_count; k++)
            if (type_holds(keyspace->tables[i]->columns[k].type, a->out->change.name))
                return base_err_set(
                    a->err, BASE_E_INVALID,
                    "Cannot add a field to user type %.*s.%.*s as the type is being used in the "
                    "partition key of table %.*s",
                    TYPE_ARG(a), BASE_SLICE_ARG(keyspace->tables[i]->name));
    return BASE_OK;
}

static int alter_add(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                     struct draft *draft)
{
    uint32_t at;
    int rc = check_not_in_key(a, keyspace);
    for (const struct cql_column_def *def = a->statement->columns; rc == BASE_OK && def;
         def = def->next) {
        if (!has_field(draft, def->name, &at))
            rc = add_field(a, keyspace, draft, def);
        else if (!a->statement->alter_conditional)
            rc = base_err_set(
                a->err, BASE_E_INVALID,
                "Cannot add field %.*s to type %.*s.%.*s: a field with name %.*s already exists",
                BASE_SLICE_ARG(def->name), TYPE_ARG(a), BASE_SLICE_ARG(def->name));
    }
    return rc;
}

static int alter_rename(struct cqli_analysis *a, struct draft *draft)
{
    for (const struct cql_name_item *item = a->statement->names; item; item = item->next) {
        uint32_t at, other;
        if (!has_field(draft, item->name, &at)) {
            if (a->statement->alter_conditional)
                continue;
            return base_err_set(a->err, BASE_E_INVALID, "Unknown field %.*s in user type %.*s.%.*s",
                                BASE_SLICE_ARG(item->name), TYPE_ARG(a));
        }
        if (has_field(draft, item->other, &other))
            return base_err_set(a->err, BASE_E_INVALID,
                                "Duplicate field name %.*s in type %.*s.%.*s",
                                BASE_SLICE_ARG(item->other), TYPE_ARG(a));
        draft->names[at] = item->other;
    }
    return BASE_OK;
}

static int alter_type(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                      const struct base_user_type *old)
{
    struct draft *draft = new_draft(a);
    if (!draft)
        return cqli_no_memory(a);
    if (old->type->param_count > FIELDS_MAX)
        return base_err_set(a->err, BASE_E_LIMIT, "a user type has at most %d fields", FIELDS_MAX);
    for (uint32_t i = 0; i < old->type->param_count; i++) {
        draft->names[i] = old->type->field_names[i];
        draft->params[i] = old->type->params[i];
    }
    draft->type.param_count = old->type->param_count;
    a->out->change.kind = BASE_CHANGE_TYPE_ALTER;
    a->out->change.type_new = &draft->type;
    switch (a->statement->alter) {
    case CQL_ALTER_ADD:
        return alter_add(a, keyspace, draft);
    case CQL_ALTER_RENAME:
        return alter_rename(a, draft);
    case CQL_ALTER_COLUMN_TYPE:
        return base_err_set(a->err, BASE_E_INVALID, "Altering field types is no longer supported");
    case CQL_ALTER_DROP:
        return base_err_set(a->err, BASE_E_INVALID, "A field of a user type cannot be dropped");
    case CQL_ALTER_WITH:
    case CQL_ALTER_NONE:
        break;
    }
    return base_err_set(a->err, BASE_E_SYNTAX, "ALTER TYPE takes ADD and RENAME");
}

int cqli_analyze_type(struct cqli_analysis *a)
{
    const struct base_keyspace *keyspace;
    int rc = cqli_target_keyspace(a, &keyspace);
    bool create = a->statement->kind == CQL_CREATE_TYPE;
    if (rc == BASE_E_NOTFOUND && a->statement->conditional && !create) {
        a->out->nothing = true;
        return BASE_OK;
    }
    if (rc != BASE_OK)
        return rc;
    a->out->change.name = a->statement->target.name;
    const struct base_user_type *old =
        base_schema_type(a->context->schema, keyspace->name, a->out->change.name);
    a->out->nothing = a->statement->conditional && create == !!old;
    if (a->out->nothing)
        return BASE_OK;
    if (create && old)
        return base_err_set(a->err, BASE_E_INVALID, "A user type with name '%.*s' already exists",
                            BASE_SLICE_ARG(old->name));
    if (!create && !old)
        return base_err_set(a->err, BASE_E_NOTFOUND,
                            a->statement->kind == CQL_ALTER_TYPE ? "Type %.*s.%.*s doesn't exist"
                                                                 : "Type '%.*s.%.*s' doesn't exist",
                            TYPE_ARG(a));
    if (create)
        return create_type(a, keyspace);
    if (a->statement->kind == CQL_ALTER_TYPE)
        return alter_type(a, keyspace, old);
    a->out->change.kind = BASE_CHANGE_TYPE_DROP;
    return BASE_OK;
}
