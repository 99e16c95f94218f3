/* CQL's type syntax to types: a recursive descent over untrusted text, its depth bounded by
 * BASE_TYPE_DEPTH_MAX. The rules on freezing are Cassandra's (CQL3Type.Raw): frozen<> and tuples
 * freeze everything inside, a collection's elements must be frozen. */
#include "base/base_private.h"

#define PARAMS_MAX 65535
#define DIMENSION_MAX 8192

struct parser {
    struct base_arena *arena;
    const struct base_type_resolver *resolver;
    struct base_err *err;
    struct base_slice text;
    size_t at;
    unsigned depth;
};

static int fail(struct parser *p, const char *expected)
{
    char text[200];
    return base_err_set(p->err, BASE_E_SYNTAX, "type %s: %s expected at character %zu",
                        basei_bytes_text(p->text, text, sizeof text), expected, p->at + 1);
}

static int no_memory(struct parser *p)
{
    return base_err_set(p->err, BASE_E_NOMEM, "type: out of memory");
}

static void blanks(struct parser *p)
{
    while (p->at < p->text.len && strchr(" \t\r\n", p->text.data[p->at]) && p->text.data[p->at])
        p->at++;
}

static bool take(struct parser *p, uint8_t c)
{
    blanks(p);
    if (p->at >= p->text.len || p->text.data[p->at] != c)
        return false;
    p->at++;
    return true;
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || basei_is_digit(c) || c == '_';
}

/* An identifier, folded unless quoted. */
static int identifier(struct parser *p, struct base_slice *out, bool *quoted)
{
    blanks(p);
    size_t start = p->at;
    *quoted = take(p, '"');
    uint8_t *name = base_arena_alloc_aligned(p->arena, p->text.len - start + 1, 1);
    size_t len = 0;
    if (!name)
        return no_memory(p);
    if (*quoted) {
        for (;;) {
            if (p->at >= p->text.len)
                return fail(p, "a closing '\"'");
            uint8_t c = p->text.data[p->at++];
            if (c == '"' && (p->at >= p->text.len || p->text.data[p->at] != '"'))
                break;
            p->at += c == '"';
            name[len++] = c;
        }
    } else {
        for (; p->at < p->text.len && is_word(p->text.data[p->at]); p->at++) {
            uint8_t c = p->text.data[p->at];
            name[len++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
        }
    }
    if (len == 0)
        return fail(p, "a type's name");
    *out = base_slice(name, len);
    return BASE_OK;
}

static int parse(struct parser *p, const struct base_type **out);

static const struct base_type *scalar_by_name(struct base_slice name)
{
    if (base_slice_equal(name, BASE_SLICE_LIT("varchar")))
        return base_type_scalar(BASE_TYPE_TEXT);
    for (int kind = BASE_TYPE_ASCII; kind <= BASE_TYPE_DURATION; kind++) {
        const struct base_type *type = base_type_scalar((enum base_type_kind)kind);
        if (type && base_slice_equal(name, base_slice_str(basei_kind_name(type->kind))))
            return type;
    }
    return NULL;
}

/* An element of a collection: neither a counter nor multi-cell. */
static int check_element(struct parser *p, const struct base_type *type)
{
    char text[200];
    basei_type_text(type, text, sizeof text);
    if (type->kind == BASE_TYPE_COUNTER)
        return base_err_set(p->err, BASE_E_INVALID, "counters are not allowed inside collections");
    if (base_type_is_multicell(type) && type->kind == BASE_TYPE_UDT)
        return base_err_set(p->err, BASE_E_INVALID,
                            "non-frozen UDTs are not allowed inside collections: use frozen<%s>",
                            text);
    if (base_type_is_multicell(type))
        return base_err_set(
            p->err, BASE_E_INVALID,
            "non-frozen collections are not allowed inside collections: use frozen<%s>", text);
    return BASE_OK;
}

static bool has_duration(const struct base_type *type)
{
    if (type->kind == BASE_TYPE_DURATION)
        return true;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (has_duration(type->params[i]))
            return true;
    return false;
}

static int make(struct parser *p, enum base_type_kind kind, const struct base_type *const *params,
                uint32_t count, const struct base_type **out)
{
    struct base_type *type = base_arena_zalloc(p->arena, sizeof *type);
    const struct base_type **own = base_arena_alloc(p->arena, count * sizeof *own);
    if (!type || !own)
        return no_memory(p);
    type->kind = kind;
    type->frozen = kind == BASE_TYPE_TUPLE || kind == BASE_TYPE_VECTOR;
    type->param_count = count;
    type->params = own;
    for (uint32_t i = 0; i < count; i++) {
        own[i] = type->frozen ? base_type_freeze(p->arena, params[i]) : params[i];
        if (!own[i])
            return no_memory(p);
    }
    *out = type;
    return BASE_OK;
}

static int number(struct parser *p, uint32_t *out)
{
    blanks(p);
    uint32_t v = 0;
    size_t start = p->at;
    for (; p->at < p->text.len && basei_is_digit(p->text.data[p->at]) && v <= DIMENSION_MAX;
         p->at++)
        v = v * 10 + (uint32_t)(p->text.data[p->at] - '0');
    if (p->at == start)
        return fail(p, "the vector's dimension");
    if (v == 0 || v > DIMENSION_MAX)
        return base_err_set(p->err, BASE_E_INVALID, "vectors may have 1 to %d dimensions",
                            DIMENSION_MAX);
    *out = v;
    return BASE_OK;
}

static int vector(struct parser *p, const struct base_type **out)
{
    const struct base_type *element;
    uint32_t dimension = 0;
    int rc = parse(p, &element);
    if (rc == BASE_OK && !take(p, ','))
        rc = fail(p, "','");
    if (rc == BASE_OK)
        rc = number(p, &dimension);
    if (rc == BASE_OK && !take(p, '>'))
        rc = fail(p, "'>'");
    if (rc == BASE_OK && element->kind == BASE_TYPE_COUNTER)
        rc = base_err_set(p->err, BASE_E_INVALID, "counters are not allowed inside vectors");
    if (rc == BASE_OK)
        rc = make(p, BASE_TYPE_VECTOR, &element, 1, out);
    if (rc == BASE_OK)
        ((struct base_type *)(uintptr_t)*out)->dimension = dimension; /* just made, ours alone */
    return rc;
}

static int tuple(struct parser *p, const struct base_type **out)
{
    const struct base_type **params = NULL;
    uint32_t count = 0, cap = 0;
    do {
        if (count == cap) {
            cap = cap ? cap * 2 : 8;
            const struct base_type **more = base_arena_alloc(p->arena, cap * sizeof *more);
            if (!more)
                return no_memory(p);
            if (count)
                memcpy(more, params, count * sizeof *more);
            params = more;
        }
        int rc = parse(p, &params[count]);
        if (rc != BASE_OK)
            return rc;
        if (params[count]->kind == BASE_TYPE_COUNTER)
            return base_err_set(p->err, BASE_E_INVALID, "counters are not allowed inside tuples");
        if (++count > PARAMS_MAX)
            return base_err_set(p->err, BASE_E_LIMIT, "a tuple may have %d fields", PARAMS_MAX);
    } while (take(p, ','));
    return take(p, '>') ? make(p, BASE_TYPE_TUPLE, params, count, out) : fail(p, "',' or '>'");
}

static int collection(struct parser *p, enum base_type_kind kind, const struct base_type **out)
{
    const struct base_type *params[2];
    uint32_t count = kind == BASE_TYPE_MAP ? 2 : 1;
    for (uint32_t i = 0; i < count; i++) {
        if (i && !take(p, ','))
            return fail(p, "','");
        int rc = parse(p, &params[i]);
        if (rc != BASE_OK)
            return rc;
    }
    if (!take(p, '>'))
        return fail(p, "'>'");
    if (kind != BASE_TYPE_LIST && has_duration(params[0]))
        return base_err_set(p->err, BASE_E_INVALID, "durations are not allowed %s",
                            kind == BASE_TYPE_SET ? "inside sets" : "as map keys");
    return make(p, kind, params, count, out);
}

/* Elements are checked when it is known that nothing around freezes them. */
static int check_nesting(struct parser *p, const struct base_type *type)
{
    bool is_collection =
        type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_MAP;
    for (uint32_t i = 0; is_collection && i < type->param_count; i++) {
        int rc = check_element(p, type->params[i]);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

static int frozen(struct parser *p, const struct base_type **out)
{
    const struct base_type *inner;
    char text[200];
    int rc = parse(p, &inner);
    if (rc != BASE_OK)
        return rc;
    if (!take(p, '>'))
        return fail(p, "'>'");
    if (basei_is_scalar(inner))
        return base_err_set(
            p->err, BASE_E_INVALID,
            "frozen<> is only allowed on collections, tuples, and user-defined types (got %s)",
            basei_type_text(inner, text, sizeof text));
    *out = base_type_freeze(p->arena, inner);
    return *out ? check_nesting(p, *out) : no_memory(p);
}

static int user_type(struct parser *p, struct base_slice keyspace, struct base_slice name,
                     const struct base_type **out)
{
    *out = p->resolver ? p->resolver->find(p->resolver->ctx, keyspace, name) : NULL;
    if (*out)
        return BASE_OK;
    return base_err_set(p->err, BASE_E_NOTFOUND, "unknown type %.*s%s%.*s",
                        BASE_SLICE_ARG(keyspace), keyspace.len ? "." : "", BASE_SLICE_ARG(name));
}

static int parse_one(struct parser *p, const struct base_type **out)
{
    struct base_slice name, keyspace = {0};
    bool quoted;
    if (blanks(p), p->at < p->text.len && p->text.data[p->at] == '\'')
        return base_err_set(p->err, BASE_E_INVALID,
                            "custom types (a Java class in quotes) are not supported");
    int rc = identifier(p, &name, &quoted);
    if (rc != BASE_OK)
        return rc;
    if (take(p, '.')) {
        keyspace = name;
        rc = identifier(p, &name, &quoted);
        return rc == BASE_OK ? user_type(p, keyspace, name, out) : rc;
    }
    if (!quoted && take(p, '<')) {
        static const struct {
            const char *name;
            enum base_type_kind kind;
        } kinds[] = {{"list", BASE_TYPE_LIST}, {"set", BASE_TYPE_SET}, {"map", BASE_TYPE_MAP}};
        if (base_slice_equal(name, BASE_SLICE_LIT("frozen")))
            return frozen(p, out);
        if (base_slice_equal(name, BASE_SLICE_LIT("tuple")))
            return tuple(p, out);
        if (base_slice_equal(name, BASE_SLICE_LIT("vector")))
            return vector(p, out);
        for (size_t i = 0; i < BASE_COUNT(kinds); i++)
            if (base_slice_equal(name, base_slice_str(kinds[i].name)))
                return collection(p, kinds[i].kind, out);
        return base_err_set(p->err, BASE_E_SYNTAX, "type %.*s takes no parameters",
                            BASE_SLICE_ARG(name));
    }
    *out = quoted ? NULL : scalar_by_name(name);
    return *out ? BASE_OK : user_type(p, keyspace, name, out);
}

static int parse(struct parser *p, const struct base_type **out)
{
    if (++p->depth > BASE_TYPE_DEPTH_MAX)
        return base_err_set(p->err, BASE_E_LIMIT, "types may be nested %d deep, no deeper",
                            BASE_TYPE_DEPTH_MAX);
    int rc = parse_one(p, out);
    p->depth--;
    return rc;
}

static unsigned depth_of(const struct base_type *type)
{
    unsigned deepest = 0;
    for (uint32_t i = 0; i < type->param_count; i++) {
        unsigned depth = depth_of(type->params[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* No multi-cell type directly inside a collection, at any level. */
static int check_all_nesting(struct parser *p, const struct base_type *type)
{
    int rc = type->kind == BASE_TYPE_UDT ? BASE_OK : check_nesting(p, type);
    for (uint32_t i = 0; rc == BASE_OK && i < type->param_count; i++)
        rc = check_all_nesting(p, type->params[i]);
    return rc;
}

int base_type_parse(struct base_arena *arena, struct base_slice text,
                    const struct base_type_resolver *resolver, const struct base_type **out,
                    struct base_err *err)
{
    struct parser p = {.arena = arena, .resolver = resolver, .err = err, .text = text};
    const struct base_type *type;
    *out = NULL;
    int rc = parse(&p, &type);
    blanks(&p);
    if (rc == BASE_OK && p.at < text.len)
        rc = fail(&p, "the end");
    if (rc == BASE_OK &&
        depth_of(type) > BASE_TYPE_DEPTH_MAX) /* user types bring depth of their own */
        rc = base_err_set(err, BASE_E_LIMIT, "types may be nested %d deep, no deeper",
                          BASE_TYPE_DEPTH_MAX);
    if (rc == BASE_OK)
        rc = check_all_nesting(&p, type);
    if (rc == BASE_OK)
        *out = type;
    return rc;
}
