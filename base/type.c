/* Types: the scalars, and making, printing, comparing, copying and freezing types. Parsing CQL's
 * syntax is type_parse.c.
 *
 * Types are immutable; a type made here points only into its own arena and to static scalars. */
#include "base/base_private.h"

#include <stdio.h>

#define SCALARS(X)                                                                                 \
    X(ASCII, "ascii", 0)                                                                           \
    X(BIGINT, "bigint", 8)                                                                         \
    X(BLOB, "blob", 0)                                                                             \
    X(BOOLEAN, "boolean", 1)                                                                       \
    X(COUNTER, "counter", 8)                                                                       \
    X(DECIMAL, "decimal", 0)                                                                       \
    X(DOUBLE, "double", 8)                                                                         \
    X(FLOAT, "float", 4)                                                                           \
    X(INT, "int", 4)                                                                               \
    X(TIMESTAMP, "timestamp", 8)                                                                   \
    X(UUID, "uuid", 16)                                                                            \
    X(TEXT, "text", 0)                                                                             \
    X(VARINT, "varint", 0)                                                                         \
    X(TIMEUUID, "timeuuid", 16)                                                                    \
    X(INET, "inet", 0)                                                                             \
    X(DATE, "date", 4)                                                                             \
    X(TIME, "time", 8)                                                                             \
    X(SMALLINT, "smallint", 2)                                                                     \
    X(TINYINT, "tinyint", 1)                                                                       \
    X(DURATION, "duration", 0)

#define X(name, text, size)                                                                        \
    static const struct base_type scalar_##name = {.kind = BASE_TYPE_##name};
SCALARS(X)
#undef X

const struct base_type *base_type_scalar(enum base_type_kind kind)
{
    switch (kind) {
#define X(name, text, size)                                                                        \
    case BASE_TYPE_##name:                                                                         \
        return &scalar_##name;
        SCALARS(X)
#undef X
    default:
        return NULL;
    }
}

const char *basei_kind_name(enum base_type_kind kind)
{
    switch (kind) {
#define X(name, text, size)                                                                        \
    case BASE_TYPE_##name:                                                                         \
        return text;
        SCALARS(X)
#undef X
    case BASE_TYPE_LIST:
        return "list";
    case BASE_TYPE_MAP:
        return "map";
    case BASE_TYPE_SET:
        return "set";
    case BASE_TYPE_UDT:
        return "user type";
    case BASE_TYPE_TUPLE:
        return "tuple";
    case BASE_TYPE_VECTOR:
        return "vector";
    default:
        return "custom type";
    }
}

const uint8_t basei_fixed_sizes[BASE_TYPE_LIST] = {
#define X(name, text, size) [BASE_TYPE_##name] = size,
    SCALARS(X)
#undef X
};

size_t basei_vector_element_size(const struct base_type *element)
{
    switch (element->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
        return 0;
    case BASE_TYPE_VECTOR:
        return element->dimension * basei_vector_element_size(element->params[0]);
    default:
        return basei_type_fixed_size(element);
    }
}

/* Printing. */

static int put_text(struct base_buf *out, const char *text)
{
    return base_buf_put(out, text, strlen(text));
}

/* The words that CQL's grammar keeps for itself (Cassandra's ReservedKeywords). */
static bool is_reserved(struct base_slice name)
{
    static const char *const words[] = {
        "add",    "allow",       "alter",  "and",          "apply",    "asc",      "authorize",
        "batch",  "begin",       "by",     "columnfamily", "create",   "default",  "delete",
        "desc",   "describe",    "drop",   "entries",      "execute",  "from",     "full",
        "grant",  "if",          "in",     "index",        "infinity", "insert",   "into",
        "is",     "keyspace",    "limit",  "materialized", "mbean",    "mbeans",   "modify",
        "nan",    "norecursive", "not",    "null",         "of",       "on",       "or",
        "order",  "primary",     "rename", "replace",      "revoke",   "schema",   "select",
        "set",    "table",       "to",     "token",        "truncate", "unlogged", "unset",
        "update", "use",         "using",  "view",         "where",    "with"};
    for (size_t i = 0; i < BASE_COUNT(words); i++)
        if (base_slice_equal(name, base_slice_str(words[i])))
            return true;
    return false;
}

int basei_put_identifier(struct base_buf *out, struct base_slice name)
{
    bool plain = name.len > 0 && name.data[0] >= 'a' && name.data[0] <= 'z';
    for (size_t i = 0; plain && i < name.len; i++) {
        uint8_t c = name.data[i];
        plain = (c >= 'a' && c <= 'z') || basei_is_digit(c) || c == '_';
    }
    if (plain && !is_reserved(name))
        return base_buf_put_slice(out, name);
    int rc = base_buf_put_u8(out, '"');
    for (size_t i = 0; rc == BASE_OK && i < name.len; i++) {
        rc = base_buf_put_u8(out, name.data[i]);
        if (rc == BASE_OK && name.data[i] == '"')
            rc = base_buf_put_u8(out, '"');
    }
    return rc == BASE_OK ? base_buf_put_u8(out, '"') : rc;
}

int base_type_print(const struct base_type *type, struct base_buf *out)
{
    size_t start = out->len;
    bool frozen = type->frozen && type->kind != BASE_TYPE_TUPLE && type->kind != BASE_TYPE_VECTOR;
    int rc = frozen ? put_text(out, "frozen<") : BASE_OK;
    if (rc == BASE_OK)
        rc = type->kind == BASE_TYPE_UDT ? basei_put_identifier(out, type->name)
                                         : put_text(out, basei_kind_name(type->kind));
    if (type->kind != BASE_TYPE_UDT && type->param_count) {
        for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++) {
            rc = put_text(out, i ? ", " : "<");
            if (rc == BASE_OK)
                rc = base_type_print(type->params[i], out);
        }
        if (rc == BASE_OK && type->kind == BASE_TYPE_VECTOR)
            rc = base_buf_printf(out, ", %u", type->dimension);
        if (rc == BASE_OK)
            rc = put_text(out, ">");
    }
    if (rc == BASE_OK && frozen)
        rc = put_text(out, ">");
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

const char *basei_type_text(const struct base_type *type, char *text, size_t size)
{
    struct base_buf buf;
    base_buf_init(&buf, 4096);
    if (base_type_print(type, &buf) != BASE_OK)
        snprintf(text, size, "%s", basei_kind_name(type->kind));
    else
        snprintf(text, size, "%.*s", BASE_SLICE_ARG(base_buf_view(&buf)));
    base_buf_fini(&buf);
    return text;
}

/* Equality, copies. */

bool base_type_equal(const struct base_type *a, const struct base_type *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->frozen != b->frozen || a->param_count != b->param_count ||
        a->dimension != b->dimension || !base_slice_equal(a->keyspace, b->keyspace) ||
        !base_slice_equal(a->name, b->name))
        return false;
    for (uint32_t i = 0; i < a->param_count; i++) {
        if (!base_type_equal(a->params[i], b->params[i]))
            return false;
        if (a->kind == BASE_TYPE_UDT && !base_slice_equal(a->field_names[i], b->field_names[i]))
            return false;
    }
    return true;
}

/* A new type like `type`, with its parameters made by `each`. Names are copied when `deep`. */
static const struct base_type *
remake(struct base_arena *arena, const struct base_type *type, bool deep,
       const struct base_type *(*each)(struct base_arena *, const struct base_type *))
{
    struct base_type *copy = base_arena_alloc(arena, sizeof *copy);
    const struct base_type **params =
        base_arena_alloc(arena, (type->param_count + 1) * sizeof *params);
    if (!copy || !params)
        return NULL;
    *copy = *type;
    copy->params = params;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (!(params[i] = each(arena, type->params[i])))
            return NULL;
    if (!deep || type->kind != BASE_TYPE_UDT)
        return copy;
    struct base_slice *names = base_arena_alloc(arena, (type->param_count + 1) * sizeof *names);
    if (!names || base_arena_copy(arena, type->keyspace, &copy->keyspace) != BASE_OK ||
        base_arena_copy(arena, type->name, &copy->name) != BASE_OK)
        return NULL;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (base_arena_copy(arena, type->field_names[i], &names[i]) != BASE_OK)
            return NULL;
    copy->field_names = names;
    return copy;
}

const struct base_type *base_type_copy(struct base_arena *arena, const struct base_type *type)
{
    if (basei_is_scalar(type))
        return base_type_scalar(type->kind);
    return remake(arena, type, true, base_type_copy);
}

static bool is_frozen_through(const struct base_type *type)
{
    if (basei_is_scalar(type))
        return true;
    if (!type->frozen)
        return false;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (!is_frozen_through(type->params[i]))
            return false;
    return true;
}

const struct base_type *base_type_freeze(struct base_arena *arena, const struct base_type *type)
{
    if (is_frozen_through(type))
        return type;
    struct base_type *copy =
        (struct base_type *)(uintptr_t)remake(arena, type, false, base_type_freeze);
    if (copy)
        copy->frozen = true;
    return copy;
}

static int check_key(const struct base_type *type, const struct base_type *whole,
                     struct base_err *err)
{
    char text[200];
    if (type->kind == BASE_TYPE_COUNTER)
        return base_err_set(err, BASE_E_INVALID, "a primary key column cannot be a counter");
    if (type->kind == BASE_TYPE_DURATION)
        return base_err_set(err, BASE_E_INVALID,
                            "duration type is not supported for a primary key column%s%s",
                            whole == type ? "" : ": ",
                            whole == type ? "" : basei_type_text(whole, text, sizeof text));
    if (base_type_is_multicell(type))
        return base_err_set(err, BASE_E_INVALID,
                            "%s is not frozen: a primary key column needs frozen<%s>",
                            basei_type_text(type, text, sizeof text), text);
    for (uint32_t i = 0; i < type->param_count; i++) {
        int rc = check_key(type->params[i], whole, err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int base_type_check_key(const struct base_type *type, struct base_err *err)
{
    return check_key(type, type, err);
}
