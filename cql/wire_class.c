/* Types by the names of Cassandra's classes, as the protocol has those that it knows no code for:
 * vectors in all versions,
 * "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)", and
 * younger types in older versions.
 *
 * Invariants:
 *  1. What is put is read back to an equal type.
 *  2. A class that is none of ours is no error: it is a custom type, by name, whose values are
 *     bytes. */
#include "cql/cql_private.h"
#include "cql/wire.h"

#include <stdio.h>

static const char package[] = "org.apache.cassandra.db.marshal.";
enum { PACKAGE_LEN = sizeof package - 1, FIELDS_MAX = 4096 };

static const struct {
    const char *name;
    enum base_type_kind kind;
} classes[] = {
    {"AsciiType", BASE_TYPE_ASCII},
    {"LongType", BASE_TYPE_BIGINT},
    {"BytesType", BASE_TYPE_BLOB},
    {"BooleanType", BASE_TYPE_BOOLEAN},
    {"CounterColumnType", BASE_TYPE_COUNTER},
    {"DecimalType", BASE_TYPE_DECIMAL},
    {"DoubleType", BASE_TYPE_DOUBLE},
    {"FloatType", BASE_TYPE_FLOAT},
    {"Int32Type", BASE_TYPE_INT},
    {"TimestampType", BASE_TYPE_TIMESTAMP},
    {"UUIDType", BASE_TYPE_UUID},
    {"UTF8Type", BASE_TYPE_TEXT},
    {"IntegerType", BASE_TYPE_VARINT},
    {"TimeUUIDType", BASE_TYPE_TIMEUUID},
    {"InetAddressType", BASE_TYPE_INET},
    {"SimpleDateType", BASE_TYPE_DATE},
    {"TimeType", BASE_TYPE_TIME},
    {"ShortType", BASE_TYPE_SMALLINT},
    {"ByteType", BASE_TYPE_TINYINT},
    {"DurationType", BASE_TYPE_DURATION},
    {"ListType", BASE_TYPE_LIST},
    {"MapType", BASE_TYPE_MAP},
    {"SetType", BASE_TYPE_SET},
    {"UserType", BASE_TYPE_UDT},
    {"TupleType", BASE_TYPE_TUPLE},
    {"VectorType", BASE_TYPE_VECTOR},
};

/* Putting. */

static int put_text(struct base_buf *buf, const char *text)
{
    return base_buf_put(buf, text, strlen(text));
}

static int put_hex(struct base_buf *buf, struct base_slice s)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < s.len && rc == BASE_OK; i++)
        rc = base_buf_printf(buf, "%02x", s.data[i]);
    return rc;
}

static int put_class(struct base_buf *buf, const struct base_type *type, unsigned depth);

static int put_parameters(struct base_buf *buf, const struct base_type *type, unsigned depth)
{
    int rc = put_text(buf, "(");
    bool is_udt = type->kind == BASE_TYPE_UDT;
    if (rc == BASE_OK && is_udt) {
        rc = base_buf_put_slice(buf, type->keyspace);
        if (rc == BASE_OK)
            rc = put_text(buf, ",");
        if (rc == BASE_OK)
            rc = put_hex(buf, type->name);
    }
    for (uint32_t i = 0; i < type->param_count && rc == BASE_OK; i++) {
        rc = i > 0 || is_udt ? put_text(buf, ",") : BASE_OK;
        if (rc == BASE_OK && is_udt)
            rc = put_hex(buf, type->field_names[i]);
        if (rc == BASE_OK && is_udt)
            rc = put_text(buf, ":");
        if (rc == BASE_OK)
            rc = put_class(buf, type->params[i], depth + 1);
    }
    if (rc == BASE_OK && type->kind == BASE_TYPE_VECTOR)
        rc = base_buf_printf(buf, " , %u", type->dimension);
    return rc == BASE_OK ? put_text(buf, ")") : rc;
}

static int put_class(struct base_buf *buf, const struct base_type *type, unsigned depth)
{
    bool wrapped = depth > 0 && type->frozen &&
                   (type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_MAP ||
                    type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_UDT);
    if (type->kind == BASE_TYPE_CUSTOM)
        return base_buf_put_slice(buf, type->name);
    int rc = wrapped ? base_buf_printf(buf, "%sFrozenType(", package) : BASE_OK;
    for (size_t i = 0; i < BASE_COUNT(classes) && rc == BASE_OK; i++)
        if (classes[i].kind == type->kind)
            rc = base_buf_printf(buf, "%s%s", package, classes[i].name);
    if (rc == BASE_OK && type->param_count)
        rc = put_parameters(buf, type, depth);
    return rc == BASE_OK && wrapped ? put_text(buf, ")") : rc;
}

int cql_wire_put_class(struct base_buf *buf, const struct base_type *type)
{
    return put_class(buf, type, 0);
}

/* Parsing. */

struct parser {
    struct base_arena *arena;
    struct base_reader r;
    struct base_err *err;
};

static int bad(struct parser *p)
{
    return base_err_set(p->err, BASE_E_INVALID, "A type's class is not well-formed");
}

static int no_memory(struct parser *p)
{
    return base_err_set(p->err, BASE_E_NOMEM, "types: out of memory");
}

static void skip_blanks(struct parser *p)
{
    while (p->r.p < p->r.end && *p->r.p == ' ')
        p->r.p++;
}

static bool take(struct parser *p, char c)
{
    skip_blanks(p);
    if (p->r.p == p->r.end || *p->r.p != (uint8_t)c)
        return false;
    p->r.p++;
    return true;
}

/* Up to the next of "(),: ". */
static struct base_slice take_word(struct parser *p)
{
    skip_blanks(p);
    const uint8_t *start = p->r.p;
    while (p->r.p < p->r.end && !memchr("(),: ", *p->r.p, 5))
        p->r.p++;
    return base_slice(start, (size_t)(p->r.p - start));
}

static int take_hex(struct parser *p, struct base_slice *out)
{
    struct base_slice hex = take_word(p);
    uint8_t *bytes = base_arena_alloc(p->arena, hex.len / 2 + 1);
    *out = (struct base_slice){0};
    if (!bytes)
        return no_memory(p);
    if (hex.len % 2)
        return bad(p);
    for (size_t i = 0; i < hex.len; i++) {
        uint8_t c = hex.data[i], low = c | 0x20;
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0)
            return bad(p);
        bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] << 4 | digit : digit);
    }
    *out = base_slice(bytes, hex.len / 2);
    return BASE_OK;
}

static int parse(struct parser *p, unsigned depth, bool frozen, const struct base_type **out);

static int parse_dimension(struct parser *p, struct base_type *type)
{
    struct base_slice digits = take(p, ',') ? take_word(p) : (struct base_slice){0};
    if (digits.len == 0 || digits.len > 5)
        return bad(p);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return bad(p);
        type->dimension = type->dimension * 10 + (digits.data[i] - '0');
    }
    return type->dimension >= 1 ? BASE_OK : bad(p);
}

/* The parameters between parentheses, gathered by doubling. */
static int parse_list(struct parser *p, struct base_type *type, unsigned depth)
{
    uint32_t room = 4;
    const struct base_type **params = base_arena_alloc(p->arena, room * sizeof *params);
    struct base_slice *names = base_arena_alloc(p->arena, room * sizeof *names);
    if (!params || !names)
        return no_memory(p);
    bool is_udt = type->kind == BASE_TYPE_UDT, more = !is_udt || take(p, ',');
    while (more) {
        uint32_t n = type->param_count;
        if (n == FIELDS_MAX)
            return bad(p);
        if (n == room) {
            const struct base_type **wider = base_arena_alloc(p->arena, 2 * room * sizeof *params);
            struct base_slice *wider_names = base_arena_alloc(p->arena, 2 * room * sizeof *names);
            if (!wider || !wider_names)
                return no_memory(p);
            memcpy(wider, params, n * sizeof *params);
            memcpy(wider_names, names, n * sizeof *names);
            params = wider;
            names = wider_names;
            room *= 2;
        }
        int rc = is_udt ? take_hex(p, &names[n]) : BASE_OK;
        if (rc == BASE_OK && is_udt && !take(p, ':'))
            rc = bad(p);
        if (rc == BASE_OK)
            rc = parse(p, depth + 1, true, &params[n]);
        if (rc != BASE_OK)
            return rc;
        type->param_count++;
        more = type->kind != BASE_TYPE_VECTOR && take(p, ',');
    }
    type->params = params;
    type->field_names = is_udt ? names : NULL;
    return BASE_OK;
}

static int parse_compound(struct parser *p, enum base_type_kind kind, unsigned depth, bool frozen,
                          const struct base_type **out)
{
    struct base_type *type = base_arena_zalloc(p->arena, sizeof *type);
    if (!type)
        return no_memory(p);
    type->kind = kind;
    type->frozen = frozen || depth > 0 || kind == BASE_TYPE_TUPLE || kind == BASE_TYPE_VECTOR;
    if (!take(p, '('))
        return bad(p);
    int rc = BASE_OK;
    if (kind == BASE_TYPE_UDT) {
        type->keyspace = take_word(p);
        rc = take(p, ',') ? take_hex(p, &type->name) : bad(p);
    }
    if (rc == BASE_OK)
        rc = parse_list(p, type, depth);
    if (rc == BASE_OK && kind == BASE_TYPE_VECTOR)
        rc = parse_dimension(p, type);
    if (rc != BASE_OK)
        return rc;
    uint32_t wanted = kind == BASE_TYPE_MAP ? 2 : 1;
    if (!take(p, ')') ||
        (kind != BASE_TYPE_UDT && kind != BASE_TYPE_TUPLE && type->param_count != wanted))
        return bad(p);
    *out = type;
    return BASE_OK;
}

/* A class that is none of ours, with whatever stands in its parentheses. */
static int parse_custom(struct parser *p, const uint8_t *start, const struct base_type **out)
{
    struct base_type *type = base_arena_zalloc(p->arena, sizeof *type);
    unsigned open = 0;
    if (!type)
        return no_memory(p);
    for (; p->r.p < p->r.end; p->r.p++) {
        if (*p->r.p == '(')
            open++;
        else if (open == 0 && (*p->r.p == ',' || *p->r.p == ')'))
            break;
        else if (*p->r.p == ')')
            open--;
    }
    type->kind = BASE_TYPE_CUSTOM;
    type->frozen = true;
    type->name = base_slice(start, (size_t)(p->r.p - start));
    *out = type;
    return type->name.len && open == 0 ? BASE_OK : bad(p);
}

static int parse_class(struct parser *p, const uint8_t *start, struct base_slice name,
                       unsigned depth, bool frozen, const struct base_type **out)
{
    for (size_t i = 0; i < BASE_COUNT(classes); i++) {
        if (!base_slice_equal(name, base_slice_str(classes[i].name)))
            continue;
        *out = base_type_scalar(classes[i].kind);
        return *out ? BASE_OK : parse_compound(p, classes[i].kind, depth, frozen, out);
    }
    p->r.p = start;
    return parse_custom(p, start, out);
}

static int parse(struct parser *p, unsigned depth, bool frozen, const struct base_type **out)
{
    size_t wrappers = 0;
    if (depth > BASE_TYPE_DEPTH_MAX)
        return base_err_set(p->err, BASE_E_INVALID, "A type is nested more than %d deep",
                            BASE_TYPE_DEPTH_MAX);
    for (;; wrappers++) {
        skip_blanks(p);
        const uint8_t *start = p->r.p;
        struct base_slice name = take_word(p);
        if (name.len > PACKAGE_LEN && memcmp(name.data, package, PACKAGE_LEN) == 0)
            name = base_slice(name.data + PACKAGE_LEN, name.len - PACKAGE_LEN);
        bool freezes = base_slice_equal(name, BASE_SLICE_LIT("FrozenType"));
        if (!freezes && !base_slice_equal(name, BASE_SLICE_LIT("ReversedType"))) {
            int rc = parse_class(p, start, name, depth, frozen, out);
            if (rc != BASE_OK)
                return rc;
            break;
        }
        frozen = frozen || freezes;
        if (!take(p, '('))
            return bad(p);
    }
    for (; wrappers; wrappers--)
        if (!take(p, ')'))
            return bad(p);
    return BASE_OK;
}

int cqli_wire_parse_class(struct base_arena *arena, struct base_slice text, unsigned depth,
                          const struct base_type **out, struct base_err *err)
{
    struct parser p = {.arena = arena, .r = base_reader(text), .err = err};
    *out = NULL;
    int rc = parse(&p, depth, false, out);
    skip_blanks(&p);
    if (rc == BASE_OK && p.r.p != p.r.end)
        rc = bad(&p);
    if (rc != BASE_OK)
        *out = NULL;
    return rc;
}

int cql_wire_parse_class(struct base_arena *arena, struct base_slice text,
                         const struct base_type **out, struct base_err *err)
{
    return cqli_wire_parse_class(arena, text, 0, out, err);
}
