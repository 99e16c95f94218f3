/* mask_null, mask_default, mask_replace, mask_inner, mask_outer, mask_hash: values made unreadable,
 * for whom they are not meant. */
#include "cql/function.h"

enum { INNER, OUTER };

static bool is_string(const struct base_type *type)
{
    return type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII;
}

/* Null, replace. */

static int run_null(const struct cqli_expr *call, const struct cql_value *args,
                    struct cqli_eval *eval, struct cql_value *out)
{
    (void)call, (void)args, (void)eval, (void)out;
    return BASE_OK;
}

static int run_replace(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    (void)call, (void)eval;
    *out = args[1];
    return BASE_OK;
}

/* Default. */

static int put_default(const struct base_type *type, struct base_buf *out)
{
    static const uint8_t zeros[16], day[4] = {0x80},
                                    timeuuid[16] = {0x13, 0x81, 0x40, 0x00, 0x1d, 0xd2, 0x11, 0xb2,
                                                    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    switch (type->kind) {
    case BASE_TYPE_TEXT:
    case BASE_TYPE_ASCII:
        return base_buf_put(out, "****", 4);
    case BASE_TYPE_BLOB:
        return BASE_OK;
    case BASE_TYPE_BOOLEAN:
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_VARINT:
        return base_buf_put(out, zeros, 1);
    case BASE_TYPE_SMALLINT:
        return base_buf_put(out, zeros, 2);
    case BASE_TYPE_DURATION:
        return base_buf_put(out, zeros, 3);
    case BASE_TYPE_INT:
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_INET:
        return base_buf_put(out, zeros, 4);
    case BASE_TYPE_DECIMAL:
        return base_buf_put(out, zeros, 5);
    case BASE_TYPE_UUID:
        return base_buf_put(out, zeros, 16);
    case BASE_TYPE_DATE:
        return base_buf_put(out, day, 4);
    case BASE_TYPE_TIMEUUID:
        return base_buf_put(out, timeuuid, 16);
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
        return base_buf_put(out, zeros, 4);
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
    case BASE_TYPE_VECTOR:
        break;
    default:
        return base_buf_put(out, zeros, 8);
    }
    const bool vector = type->kind == BASE_TYPE_VECTOR;
    const uint32_t count = vector ? type->dimension : type->param_count;
    int rc = BASE_OK;
    for (uint32_t i = 0; rc == BASE_OK && i < count; i++) {
        const struct base_type *inner = type->params[vector ? 0 : i];
        struct base_buf element;
        base_buf_init(&element, out->len_max);
        rc = put_default(inner, &element);
        if (rc == BASE_OK)
            rc = base_element_put(type, inner, base_buf_view(&element), false, out);
        base_buf_fini(&element);
    }
    return rc;
}

static int run_default(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    struct base_buf buf;
    (void)args;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    return cqli_eval_take(eval, &buf, put_default(call->type, &buf), out);
}

/* Inner, outer. */

static size_t char_len(const uint8_t *p, const uint8_t *end)
{
    size_t n = 1;
    while (p + n < end && (p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static int64_t char_count(struct base_slice text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len; n++)
        i += char_len(text.data + i, text.data + text.len);
    return n;
}

static int64_t int_or_zero(const struct cql_value *value)
{
    return value->state == CQL_VALUE_SET && value->bytes.len == 4
               ? (int32_t)base_get_be32(value->bytes.data)
               : 0;
}

static int run_partial(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    struct base_slice text = args[0].bytes, padding = BASE_SLICE_LIT("*");
    struct base_buf buf;
    if (args[0].state != CQL_VALUE_SET)
        return BASE_OK;
    if (call->item_count > 3 && args[3].state == CQL_VALUE_SET)
        padding = args[3].bytes;
    if (char_count(padding) != 1)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "The padding argument for function system.%s should be "
                            "single-character, but '%.*s' has %lld characters.",
                            call->function->name, padding.len > 100 ? 100 : (int)padding.len,
                            (const char *)padding.data, (long long)char_count(padding));
    const int64_t begin = int_or_zero(&args[1]), end = char_count(text) - 1 - int_or_zero(&args[2]);
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = BASE_OK;
    int64_t at = 0;
    for (size_t i = 0, n; rc == BASE_OK && i < text.len; i += n, at++) {
        const bool inside = at >= begin && at <= end;
        n = char_len(text.data + i, text.data + text.len);
        rc = inside == (call->function->op == INNER) ? base_buf_put_slice(&buf, padding)
                                                     : base_buf_put(&buf, text.data + i, n);
    }
    return cqli_eval_take(eval, &buf, rc, out);
}

/* Hash. */

static int run_hash(const struct cqli_expr *call, const struct cql_value *args,
                    struct cqli_eval *eval, struct cql_value *out)
{
    uint8_t hash[32];
    if (call->item_count > 1 && args[1].state == CQL_VALUE_SET &&
        !base_slice_equal_nocase(args[1].bytes, BASE_SLICE_LIT("SHA-256")))
        return base_err_set(eval->err, BASE_E_INVALID, "Hash algorithm not found: %.*s",
                            args[1].bytes.len > 100 ? 100 : (int)args[1].bytes.len,
                            (const char *)args[1].bytes.data);
    if (args[0].state != CQL_VALUE_SET)
        return BASE_OK;
    cqli_sha256(args[0].bytes, hash);
    return cqli_eval_copy(eval, hash, sizeof hash, out);
}

/* Types. */

static int infer(struct cqli_scope *scope, const struct cqli_factory *factory,
                 const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result)
{
    cqli_function_run_fn *const run = factory->function.run;
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    if (!types[0] && run == run_partial)
        types[0] = base_type_scalar(BASE_TYPE_TEXT);
    if (!types[0] && to && run == run_replace)
        types[0] = to->type;
    if (!types[0])
        return cqli_factory_untyped(scope, factory, call, 0);
    *result = run == run_hash ? base_type_scalar(BASE_TYPE_BLOB) : types[0];
    if (run == run_replace)
        types[1] = types[0];
    else if (run == run_hash)
        types[1] = call->item_count > 1 ? base_type_scalar(BASE_TYPE_TEXT) : NULL;
    else if (run == run_partial) {
        if (!is_string(types[0]))
            return base_err_set(scope->p->err, BASE_E_INVALID,
                                "Function system.%s requires an argument of type "
                                "[text|varchar|ascii], but found argument %s of type %s",
                                factory->function.name, cqli_term_text(call->items, text),
                                cqli_type_text_of(types[0], type));
        types[1] = types[2] = base_type_scalar(BASE_TYPE_INT);
        if (call->item_count > 3)
            types[3] = base_type_scalar(types[0]->kind); /* what the result can hold */
    }
    return BASE_OK;
}

#define OF(name, run, op, shape, min, max)                                                         \
    {                                                                                              \
        {name, CQLI_FN_NULLS, run, BASE_TYPE_INT, max, {0}, op}, shape, min, max, infer            \
    }
static const struct cqli_factory factories[] = {
    OF("mask_null", run_null, 0, "any", 1, 1),
    OF("mask_default", run_default, 0, "any", 1, 1),
    OF("mask_replace", run_replace, 0, "any, same", 2, 2),
    OF("mask_hash", run_hash, 0, "any, [text]", 1, 2),
    OF("mask_inner", run_partial, INNER, "[text|varchar|ascii], int, int, [text]", 3, 4),
    OF("mask_outer", run_partial, OUTER, "[text|varchar|ascii], int, int, [text]", 3, 4),
};
const struct cqli_factories cqli_factories_mask = {factories, BASE_COUNT(factories)};
