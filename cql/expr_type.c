/* How terms meet types: which type may take another's bytes, which literal fits which type, and
 * literals as values.
 *
 * The rules are Cassandra's (AssignmentTestable, isValueCompatibleWith): a match is exact, weak or
 * none, and among a function's signatures an exact one wins. Its literals are judged by kind first
 * and read by the type afterwards, so that a message says what was wrong. */
#include "cql/expr_private.h"

#include <stdio.h>

/* Types. */

bool cqli_type_same(const struct base_type *a, const struct base_type *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->param_count != b->param_count || a->dimension != b->dimension ||
        !base_slice_equal(a->keyspace, b->keyspace) || !base_slice_equal(a->name, b->name))
        return false;
    for (uint32_t i = 0; i < a->param_count; i++)
        if (!cqli_type_same(a->params[i], b->params[i]))
            return false;
    return true;
}

static bool scalar_takes(enum base_type_kind to, enum base_type_kind from)
{
    switch (to) {
    case BASE_TYPE_BLOB:
        return true; /* bytes are bytes */
    case BASE_TYPE_TEXT:
        return from == BASE_TYPE_ASCII;
    case BASE_TYPE_VARINT:
        return from == BASE_TYPE_INT || from == BASE_TYPE_BIGINT || from == BASE_TYPE_TIMESTAMP;
    case BASE_TYPE_BIGINT:
        return from == BASE_TYPE_TIMESTAMP;
    case BASE_TYPE_TIMESTAMP:
        return from == BASE_TYPE_BIGINT;
    case BASE_TYPE_UUID:
        return from == BASE_TYPE_TIMEUUID;
    default:
        return false;
    }
}

enum cqli_match cqli_type_match(const struct base_type *to, const struct base_type *from)
{
    if (cqli_type_same(to, from))
        return CQLI_MATCH_EXACT;
    if (to->kind < BASE_TYPE_LIST)
        return scalar_takes(to->kind, from->kind) ? CQLI_MATCH_WEAK : CQLI_MATCH_NOT;
    const bool fields = to->kind == BASE_TYPE_TUPLE;
    if (to->kind != from->kind || to->kind == BASE_TYPE_UDT || to->dimension != from->dimension ||
        to->param_count < from->param_count || (!fields && to->param_count != from->param_count))
        return CQLI_MATCH_NOT;
    for (uint32_t i = 0; i < from->param_count; i++) {
        /* The order of a set's elements and a map's keys must be the same one: blob does not take
         * what was sorted as int. */
        const bool ordered = to->kind == BASE_TYPE_SET || (to->kind == BASE_TYPE_MAP && i == 0);
        if (ordered ? !cqli_type_same(to->params[i], from->params[i])
                    : !cqli_type_match(to->params[i], from->params[i]))
            return CQLI_MATCH_NOT;
    }
    return CQLI_MATCH_WEAK;
}

bool cqli_type_is_number(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_VARINT:
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_DECIMAL:
        return true;
    default:
        return false;
    }
}

const struct base_type *cqli_type_collection(struct base_arena *arena, enum base_type_kind kind,
                                             const struct base_type *const *params,
                                             uint32_t param_count)
{
    struct base_type *type = base_arena_zalloc(arena, sizeof *type);
    const struct base_type **copy = base_arena_alloc(arena, (param_count + 1) * sizeof *copy);
    if (!type || !copy)
        return NULL;
    for (uint32_t i = 0; i < param_count; i++)
        if (!(copy[i] = base_type_freeze(arena, params[i])))
            return NULL;
    *type = (struct base_type){
        .kind = kind, .frozen = true, .param_count = param_count, .params = copy};
    return type;
}

const char *cqli_type_text_of(const struct base_type *type, char text[CQLI_TYPE_TEXT])
{
    struct base_buf buf;
    base_buf_init(&buf, 1 << 16);
    text[0] = 0;
    if (base_type_print(type, &buf) == BASE_OK)
        snprintf(text, CQLI_TYPE_TEXT, "%.*s", (int)buf.len, (const char *)buf.data);
    base_buf_fini(&buf);
    return text;
}

/* Literals. */

bool cqli_literal_is(const struct cql_term *term)
{
    return term->kind <= CQL_TERM_BLOB;
}

/* Does the text convert to a type whose values have at most 16 bytes? Into a buffer of our own:
 * asking for memory could fail. */
static bool converts(enum base_type_kind kind, struct base_slice text, uint8_t bytes[16])
{
    struct base_buf buf = {.data = bytes, .cap = 16, .len_max = 16};
    return base_scalar_from_text(base_type_scalar(kind), text, &buf) == BASE_OK;
}

/* A number's digits without zeros at either end, and the power of ten of the first. False: more of
 * them than a double can have. */
struct digits {
    char text[20];
    size_t count;
    int64_t exponent;
};
static bool take_digits(struct base_slice text, struct digits *out)
{
    int64_t exponent = 0, before = 0; /* digits before the point, from the first that is not zero */
    size_t zeros = 0, i = text.len && text.data[0] == '-';
    bool fraction = false;
    *out = (struct digits){.count = 0};
    for (; i < text.len && (text.data[i] | 0x20) != 'e'; i++) {
        const uint8_t c = text.data[i];
        if (c == '.') {
            fraction = true;
            continue;
        }
        if (c == '0' && !out->count) {
            before -= fraction;
            continue;
        }
        before += !fraction;
        zeros = c == '0' ? zeros + 1 : 0;
        if (out->count < sizeof out->text)
            out->text[out->count++] = (char)c;
        else if (c != '0')
            return false;
    }
    bool negative = ++i < text.len && text.data[i] == '-';
    for (; i < text.len && exponent < 100000; i++)
        if (text.data[i] >= '0' && text.data[i] <= '9')
            exponent = exponent * 10 + (text.data[i] - '0');
    while (out->count && out->text[out->count - 1] == '0')
        out->count--;
    out->exponent = out->count ? before + (negative ? -exponent : exponent) : 0;
    return out->count <= 17;
}

/* Is a double's shortest text the same number? */
static bool is_double(struct base_slice text)
{
    uint8_t bytes[16];
    char shortest[40];
    struct base_buf printed = {
        .data = (uint8_t *)shortest, .cap = sizeof shortest, .len_max = sizeof shortest};
    struct digits a, b;
    if (!converts(BASE_TYPE_DOUBLE, text, bytes))
        return false;
    if (text.len && (text.data[text.len - 1] | 0x20) >= 'a') /* NaN, Infinity */
        return true;
    if (base_value_to_text(base_type_scalar(BASE_TYPE_DOUBLE), base_slice(bytes, 8), &printed,
                           NULL) != BASE_OK ||
        !take_digits(text, &a) || !take_digits(base_buf_view(&printed), &b))
        return false;
    return a.count == b.count && a.exponent == b.exponent && memcmp(a.text, b.text, a.count) == 0;
}

static bool is_ascii(struct base_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

static enum base_type_kind preferred_integer(struct base_slice text)
{
    uint8_t bytes[16];
    if (converts(BASE_TYPE_INT, text, bytes))
        return BASE_TYPE_INT;
    return converts(BASE_TYPE_BIGINT, text, bytes) ? BASE_TYPE_BIGINT : BASE_TYPE_VARINT;
}

const struct base_type *cqli_literal_preferred(const struct cql_term *term)
{
    uint8_t bytes[16];
    switch (term->kind) {
    case CQL_TERM_STRING:
        return base_type_scalar(is_ascii(term->text) ? BASE_TYPE_ASCII : BASE_TYPE_TEXT);
    case CQL_TERM_INTEGER:
        return base_type_scalar(preferred_integer(term->text));
    case CQL_TERM_FLOAT:
        return base_type_scalar(is_double(term->text) ? BASE_TYPE_DOUBLE : BASE_TYPE_DECIMAL);
    case CQL_TERM_BOOLEAN:
        return base_type_scalar(BASE_TYPE_BOOLEAN);
    case CQL_TERM_DURATION:
        return base_type_scalar(BASE_TYPE_DURATION);
    case CQL_TERM_UUID:
        return base_type_scalar(converts(BASE_TYPE_TIMEUUID, term->text, bytes) ? BASE_TYPE_TIMEUUID
                                                                                : BASE_TYPE_UUID);
    case CQL_TERM_BLOB:
        return base_type_scalar(BASE_TYPE_BLOB);
    default:
        return NULL;
    }
}

/* Is a literal of this kind ever one of the type? */
static bool kind_fits(enum cql_term_kind literal, enum base_type_kind kind)
{
    switch (kind) {
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_INET:
        return literal == CQL_TERM_STRING;
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_TIMESTAMP:
        return literal == CQL_TERM_STRING || literal == CQL_TERM_INTEGER;
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_INT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_VARINT:
        return literal == CQL_TERM_INTEGER;
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_DOUBLE:
    case BASE_TYPE_FLOAT:
        return literal == CQL_TERM_INTEGER || literal == CQL_TERM_FLOAT;
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
        return literal == CQL_TERM_UUID;
    case BASE_TYPE_BOOLEAN:
        return literal == CQL_TERM_BOOLEAN;
    case BASE_TYPE_BLOB:
        return literal == CQL_TERM_BLOB;
    case BASE_TYPE_DURATION:
        /* the latter is refused when it is read */
        return literal == CQL_TERM_DURATION || literal == CQL_TERM_INTEGER;
    default:
        return false;
    }
}

enum cqli_match cqli_literal_match(const struct cql_term *term, const struct base_type *type)
{
    if (!kind_fits(term->kind, type->kind))
        return CQLI_MATCH_NOT;
    const struct base_type *preferred = cqli_literal_preferred(term);
    return preferred && preferred->kind == type->kind ? CQLI_MATCH_EXACT : CQLI_MATCH_WEAK;
}

static const char *kind_name(enum cql_term_kind kind)
{
    static const char *const names[] = {"STRING",   "INTEGER", "FLOAT", "BOOLEAN",
                                        "DURATION", "UUID",    "HEX"};
    BASE_ASSERT(kind <= CQL_TERM_BLOB);
    return names[kind];
}

/* Cassandra's words for text that its type does not take. */
static int refuse_text(struct cqli_prepare *p, enum base_type_kind kind, struct base_slice text)
{
    const char *form;
    switch (kind) {
    case BASE_TYPE_TINYINT:
        form = "Unable to make byte from '%.*s'";
        break;
    case BASE_TYPE_SMALLINT:
        form = "Unable to make short from '%.*s'";
        break;
    case BASE_TYPE_INT:
        form = "Unable to make int from '%.*s'";
        break;
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
        form = "Unable to make long from '%.*s'";
        break;
    case BASE_TYPE_VARINT:
        form = "unable to make int from '%.*s'";
        break;
    case BASE_TYPE_DECIMAL:
        form = "unable to make BigDecimal from '%.*s'";
        break;
    case BASE_TYPE_FLOAT:
        form = "Unable to make float from '%.*s'";
        break;
    case BASE_TYPE_DOUBLE:
        form = "Unable to make double from '%.*s'";
        break;
    case BASE_TYPE_INET:
        form = "Unable to make inet address from '%.*s'";
        break;
    case BASE_TYPE_TIMESTAMP:
        form = "Unable to parse a date/time from '%.*s'";
        break;
    case BASE_TYPE_DATE:
        form = "Unable to coerce '%.*s' to a formatted date (long)";
        break;
    case BASE_TYPE_TIME:
        form = "(TimeType) Unable to coerce '%.*s' to a formatted time (long)";
        break;
    case BASE_TYPE_TIMEUUID:
        form = "TimeUUID supports only version 1 UUIDs: '%.*s'";
        break;
    case BASE_TYPE_UUID:
        form = "Unable to make UUID from '%.*s'";
        break;
    case BASE_TYPE_ASCII:
        form = "Invalid ASCII character in string literal: '%.*s'";
        break;
    case BASE_TYPE_BLOB:
        form = "cannot parse '%.*s' as hex bytes";
        break;
    case BASE_TYPE_DURATION:
        form = "Unable to convert '%.*s' to a duration";
        break;
    default:
        form = "Invalid constant '%.*s'";
        break;
    }
    if (kind == BASE_TYPE_BLOB && text.len > 2) /* behind 0x */
        text = base_slice(text.data + 2, text.len - 2);
    int len = text.len > 200 ? 200 : (int)text.len;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return base_err_set(p->err, BASE_E_INVALID, form, len, (const char *)text.data);
#pragma GCC diagnostic pop
}

int cqli_literal_prepare(struct cqli_prepare *p, const struct cql_term *term,
                         const struct cqli_receiver *receiver, struct cql_value *out)
{
    const enum base_type_kind kind = receiver->type->kind;
    char type[CQLI_TYPE_TEXT];
    *out = (struct cql_value){0};
    if (!kind_fits(term->kind, kind))
        return base_err_set(p->err, BASE_E_INVALID,
                            "Invalid %s constant (%.*s) for \"%.*s\" of type %s",
                            kind_name(term->kind), term->text.len > 200 ? 200 : (int)term->text.len,
                            (const char *)term->text.data, BASE_SLICE_ARG(receiver->name),
                            cqli_type_text_of(receiver->type, type));
    /* '' is the empty value of what is written as a string, where there is one. */
    if (term->kind == CQL_TERM_STRING && term->text.len == 0 &&
        (kind == BASE_TYPE_INET || kind == BASE_TYPE_TIMESTAMP))
        return BASE_OK;
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = base_scalar_from_text(receiver->type, term->text, &buf);
    if (rc == BASE_OK)
        rc = base_arena_copy(p->arena, base_buf_view(&buf), &out->bytes);
    base_buf_fini(&buf);
    if (rc == BASE_E_INVALID)
        return refuse_text(p, kind, term->text);
    if (rc == BASE_E_LIMIT)
        return base_err_set(p->err, BASE_E_INVALID, "a number of too many digits for \"%.*s\"",
                            BASE_SLICE_ARG(receiver->name));
    return rc == BASE_OK ? rc : cqli_prepare_no_memory(p);
}
