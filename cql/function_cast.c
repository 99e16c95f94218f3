/* CAST(x AS type): which casts there are, and casting.
 *
 * Any number to any other (narrowed as Java narrows), to text and ascii; times among each other and
 * to text; uuid, inet and boolean to text; ascii to text. A type to itself is nothing. */
#include "cql/function.h"

#include "base/arith.h"

static bool is_string(enum base_type_kind kind)
{
    return kind == BASE_TYPE_TEXT || kind == BASE_TYPE_ASCII;
}

static bool can_cast(const struct base_type *from, const struct base_type *to)
{
    if (cqli_type_is_number(from))
        return (cqli_type_is_number(to) && to->kind != BASE_TYPE_COUNTER) || is_string(to->kind);
    switch (from->kind) {
    case BASE_TYPE_ASCII:
        return to->kind == BASE_TYPE_TEXT;
    case BASE_TYPE_TIMEUUID:
        return is_string(to->kind) || to->kind == BASE_TYPE_DATE || to->kind == BASE_TYPE_TIMESTAMP;
    case BASE_TYPE_TIMESTAMP:
        return is_string(to->kind) || to->kind == BASE_TYPE_DATE;
    case BASE_TYPE_DATE:
        return is_string(to->kind) || to->kind == BASE_TYPE_TIMESTAMP;
    case BASE_TYPE_INET:
    case BASE_TYPE_BOOLEAN:
    case BASE_TYPE_TIME:
    case BASE_TYPE_UUID:
        return is_string(to->kind);
    default:
        return false;
    }
}

static int put_text(const struct base_type *from, struct base_slice value, struct cqli_eval *eval,
                    struct base_buf *out)
{
    if (from->kind == BASE_TYPE_DOUBLE)
        return base_double_java_text(cqli_number_double(from, value), out);
    if (from->kind == BASE_TYPE_FLOAT)
        return base_float_java_text(cqli_number_float(from, value), out);
    return base_value_to_text(from, value, out, eval->err);
}

/* The low bits of a decimal's whole part. */
static int put_decimal_bits(struct base_slice value, enum base_type_kind to, struct base_buf *out)
{
    struct base_buf whole;
    base_buf_init(&whole, CQLI_VALUE_LEN_MAX);
    int rc = base_decimal_to_varint(value, &whole);
    if (rc == BASE_OK)
        rc = cqli_number_put_i64(to, base_varint_to_i64(base_buf_view(&whole)), out);
    else if (rc == BASE_E_LIMIT) /* many powers of ten: of two, too */
        rc = cqli_number_put_i64(to, 0, out);
    base_buf_fini(&whole);
    return rc;
}

static int put_number(const struct base_type *from, enum base_type_kind to, struct base_slice value,
                      struct base_buf *out)
{
    const bool floating = from->kind == BASE_TYPE_DOUBLE || from->kind == BASE_TYPE_FLOAT;
    const bool exact = from->kind == BASE_TYPE_VARINT || from->kind == BASE_TYPE_DECIMAL;
    switch (to) {
    case BASE_TYPE_VARINT:
        return cqli_number_varint(from, value, out);
    case BASE_TYPE_DECIMAL:
        return cqli_number_decimal(from, value, out);
    case BASE_TYPE_DOUBLE:
        return exact ? cqli_number_from_exact(from, value, to, out)
                     : cqli_number_put_double(cqli_number_double(from, value), out);
    case BASE_TYPE_FLOAT:
        return exact ? cqli_number_from_exact(from, value, to, out)
                     : cqli_number_put_float(cqli_number_float(from, value), out);
    default:
        break;
    }
    if (from->kind == BASE_TYPE_DECIMAL)
        return put_decimal_bits(value, to, out);
    int64_t v = cqli_number_i64(from, value);
    if (floating && to != BASE_TYPE_BIGINT) /* by way of an int, as Java */
        v = cqli_number_saturate(cqli_number_double(from, value), INT32_MIN, INT32_MAX);
    return cqli_number_put_i64(to, v, out);
}

static int put_time(const struct base_type *from, enum base_type_kind to, struct base_slice value,
                    struct cqli_eval *eval, struct base_buf *out)
{
    uint8_t bytes[8];
    int64_t ms = cqli_time_ms(from, value);
    base_put_be64(bytes, (uint64_t)ms);
    if (to == BASE_TYPE_TIMESTAMP)
        return base_buf_put(out, bytes, 8);
    if (!cqli_time_date(ms, bytes))
        return base_err_set(eval->err, BASE_E_INVALID, "the timestamp %lld is beyond the dates",
                            (long long)ms);
    return base_buf_put(out, bytes, 4);
}

static int run_cast(const struct cqli_expr *call, const struct cql_value *args,
                    struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *from = call->items[0]->type;
    const enum base_type_kind to = call->type->kind;
    char a[CQLI_TYPE_TEXT], b[CQLI_TYPE_TEXT];
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = is_string(to)               ? put_text(from, args[0].bytes, eval, &buf)
             : cqli_type_is_number(from) ? put_number(from, to, args[0].bytes, &buf)
                                         : put_time(from, to, args[0].bytes, eval, &buf);
    if (rc == BASE_E_INVALID && cqli_type_is_number(from))
        rc = cqli_function_failed(eval->err,
                                  (const char *const[]){"cast", cqli_type_text_of(from, a),
                                                        cqli_type_text_of(call->type, b)},
                                  3, "execution of 'cast %s as %s' failed: the value has none", a,
                                  b);
    return cqli_eval_take(eval, &buf, rc, out);
}

static const struct cqli_function cast = {"cast", 0, run_cast, BASE_TYPE_INT, 1, {0}, 0};

int cqli_cast_prepare(struct cqli_scope *scope, const struct cql_term *term,
                      const struct cqli_expr **out)
{
    const struct base_type *to, *from = cqli_literal_preferred(term->items);
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    int rc = cqli_term_named_type(scope, term->text, &to);
    if (rc == BASE_OK && !from)
        rc = cqli_term_type(scope, term->items, &from);
    if (rc != BASE_OK)
        return rc;
    if (!from)
        return base_err_set(scope->p->err, BASE_E_INVALID,
                            "Ambiguous call to function system.cast_as_%s: use type hint to "
                            "disambiguate, example '(int) ?'",
                            cqli_type_text_of(to, type));
    if (cqli_type_same(from, to)) {
        const struct cqli_receiver same = {BASE_SLICE_LIT("[selection]"), to};
        return cqli_term_prepare(scope, term->items, &same, out);
    }
    if (!can_cast(from, to))
        return base_err_set(scope->p->err, BASE_E_INVALID, "%s cannot be cast to %s",
                            cqli_term_text(term->items, text), cqli_type_text_of(to, type));
    return cqli_call_make(scope, &cast, to, &from, term->items, 1, out);
}
