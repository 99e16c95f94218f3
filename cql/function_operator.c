/* + - * / % and the sign: which types an operation takes, what it gives, and computing it.
 *
 * 1. Of two numbers the wider size decides (tinyint 1 … bigint and double 8, varint and decimal
 *    without end), and it is a floating type when one of them is: int + float is float, bigint +
 *    float double, varint + float decimal. Whole numbers wrap around.
 * 2. timestamp and date take a duration, strings are put together by +.
 * 3. Arithmetic on written numbers alone takes the type of what it is for; an operand that could be
 *    anything (a marker, null) what the rest leaves, when that is one type. */
#include "cql/function.h"

#include "base/arith.h"

#include <math.h>
#include <stdio.h>

/* Types. */

enum { SIZE_WITHOUT_END = 100 };

static int size_of(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
        return 1;
    case BASE_TYPE_SMALLINT:
        return 2;
    case BASE_TYPE_INT:
    case BASE_TYPE_FLOAT:
        return 4;
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_DOUBLE:
        return 8;
    default:
        return SIZE_WITHOUT_END;
    }
}

static bool is_floating(const struct base_type *type)
{
    return type->kind == BASE_TYPE_FLOAT || type->kind == BASE_TYPE_DOUBLE ||
           type->kind == BASE_TYPE_DECIMAL;
}

static bool is_string(const struct base_type *type)
{
    return type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII;
}

static enum base_type_kind number_result(const struct base_type *a, const struct base_type *b)
{
    const int size = size_of(a) > size_of(b) ? size_of(a) : size_of(b);
    if (is_floating(a) || is_floating(b))
        return size <= 4 ? BASE_TYPE_FLOAT : size == 8 ? BASE_TYPE_DOUBLE : BASE_TYPE_DECIMAL;
    switch (size) {
    case 1:
        return BASE_TYPE_TINYINT;
    case 2:
        return BASE_TYPE_SMALLINT;
    case 4:
        return BASE_TYPE_INT;
    case 8:
        return BASE_TYPE_BIGINT;
    default:
        return BASE_TYPE_VARINT;
    }
}

/* NULL: there is no such operation. */
static const struct base_type *result_type(char op, const struct base_type *a,
                                           const struct base_type *b)
{
    if (cqli_type_is_number(a) && cqli_type_is_number(b))
        return base_type_scalar(number_result(a, b));
    if ((op == '+' || op == '-') && (a->kind == BASE_TYPE_TIMESTAMP || a->kind == BASE_TYPE_DATE) &&
        b->kind == BASE_TYPE_DURATION)
        return a;
    if (op == '+' && is_string(a) && is_string(b))
        return base_type_scalar(a->kind == BASE_TYPE_ASCII && b->kind == BASE_TYPE_ASCII
                                    ? BASE_TYPE_ASCII
                                    : BASE_TYPE_TEXT);
    return NULL;
}

/* Computing. */

/* "substract" is how Cassandra spells it, and drivers show it. */
static const char *name_of(int op)
{
    return op == '+'   ? "_add"
           : op == '-' ? "_substract"
           : op == '*' ? "_multiply"
           : op == '/' ? "_divide"
                       : "_modulo";
}

static int failed(const struct cqli_expr *call, struct cqli_eval *eval, const char *why)
{
    char a[CQLI_TYPE_TEXT], b[CQLI_TYPE_TEXT];
    cqli_type_text_of(call->items[0]->type, a);
    cqli_type_text_of(call->items[1]->type, b);
    return cqli_function_failed(eval->err, (const char *const[]){name_of(call->function->op), a, b},
                                3, "the operation '%s %c %s' failed: %s", a, call->function->op, b,
                                why);
}

static int64_t wrap(char op, int64_t x, int64_t y)
{
    switch (op) {
    case '+':
        return (int64_t)((uint64_t)x + (uint64_t)y);
    case '-':
        return (int64_t)((uint64_t)x - (uint64_t)y);
    case '*':
        return (int64_t)((uint64_t)x * (uint64_t)y);
    case '/':
        return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
    default:
        return y == -1 ? 0 : x % y;
    }
}

static double compute_double(char op, double x, double y)
{
    switch (op) {
    case '+':
        return x + y;
    case '-':
        return x - y;
    case '*':
        return x * y;
    case '/':
        return x / y;
    default:
        return fmod(x, y);
    }
}

static float compute_float(char op, float x, float y)
{
    switch (op) {
    case '+':
        return x + y;
    case '-':
        return x - y;
    case '*':
        return x * y;
    case '/':
        return x / y;
    default:
        return fmodf(x, y);
    }
}

static enum base_arith_op exact_op(char op)
{
    return op == '+'   ? BASE_ADD
           : op == '-' ? BASE_SUBTRACT
           : op == '*' ? BASE_MULTIPLY
           : op == '/' ? BASE_DIVIDE
                       : BASE_MODULO;
}

/* A number as an operand of decimal arithmetic: as Cassandra, by way of a double's text (7 is 7.0,
 * and scales show it), as long as the double is exact. */
static int operand_decimal(const struct base_type *type, struct base_slice value,
                           struct base_buf *out)
{
    const bool exact = type->kind == BASE_TYPE_VARINT || type->kind == BASE_TYPE_DECIMAL;
    const bool floating = type->kind == BASE_TYPE_FLOAT || type->kind == BASE_TYPE_DOUBLE;
    const int64_t whole = exact || floating ? 0 : cqli_number_i64(type, value);
    struct base_buf text;
    if (exact || whole > 1LL << 53 || whole < -(1LL << 53))
        return cqli_number_decimal(type, value, out);
    base_buf_init(&text, 64);
    int rc = base_double_java_text(cqli_number_double(type, value), &text);
    if (rc == BASE_OK)
        rc = base_scalar_from_text(base_type_scalar(BASE_TYPE_DECIMAL), base_buf_view(&text), out);
    base_buf_fini(&text);
    return rc;
}

/* varint, decimal */
static int compute_exact(const struct cqli_expr *call, const struct cql_value *args,
                         struct cqli_eval *eval, struct base_buf *out)
{
    const bool decimal = call->type->kind == BASE_TYPE_DECIMAL;
    struct base_buf operands[2];
    int rc = BASE_OK;
    for (int i = 0; i < 2; i++)
        base_buf_init(&operands[i], CQLI_VALUE_LEN_MAX);
    for (int i = 0; i < 2 && rc == BASE_OK; i++) {
        const struct base_type *type = call->items[i]->type;
        rc = decimal ? operand_decimal(type, args[i].bytes, &operands[i])
                     : cqli_number_varint(type, args[i].bytes, &operands[i]);
        if (rc == BASE_E_INVALID)
            rc = failed(call, eval,
                        cqli_number_double(type, args[i].bytes) !=
                                cqli_number_double(type, args[i].bytes)
                            ? "A NaN cannot be converted into a decimal"
                            : "An infinite number cannot be converted into a decimal");
    }
    if (rc == BASE_OK) {
        rc = decimal
                 ? base_decimal_arith(exact_op((char)call->function->op),
                                      base_buf_view(&operands[0]), base_buf_view(&operands[1]), out)
                 : base_varint_arith(exact_op((char)call->function->op),
                                     base_buf_view(&operands[0]), base_buf_view(&operands[1]), out);
        if (rc == BASE_E_INVALID)
            rc = failed(call, eval,
                        decimal && call->function->op == '%' ? "Division by zero"
                                                             : "BigInteger divide by zero");
        else if (rc == BASE_E_LIMIT)
            rc = failed(call, eval, "the result has too many digits");
    }
    base_buf_fini(&operands[0]);
    base_buf_fini(&operands[1]);
    return rc;
}

static int run_number(const struct cqli_expr *call, const struct cql_value *args,
                      struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *a = call->items[0]->type, *b = call->items[1]->type;
    const char op = (char)call->function->op;
    struct base_buf buf;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc;
    switch (call->type->kind) {
    case BASE_TYPE_VARINT:
    case BASE_TYPE_DECIMAL:
        rc = compute_exact(call, args, eval, &buf);
        break;
    case BASE_TYPE_DOUBLE:
        rc = cqli_number_put_double(compute_double(op, cqli_number_double(a, args[0].bytes),
                                                   cqli_number_double(b, args[1].bytes)),
                                    &buf);
        break;
    case BASE_TYPE_FLOAT:
        rc = cqli_number_put_float(compute_float(op, cqli_number_float(a, args[0].bytes),
                                                 cqli_number_float(b, args[1].bytes)),
                                   &buf);
        break;
    default: {
        int64_t x = cqli_number_i64(a, args[0].bytes), y = cqli_number_i64(b, args[1].bytes);
        rc = (op == '/' || op == '%') && y == 0
                 ? failed(call, eval, "/ by zero")
                 : cqli_number_put_i64(call->type->kind, wrap(op, x, y), &buf);
        break;
    }
    }
    return cqli_eval_take(eval, &buf, rc, out);
}

static int run_temporal(const struct cqli_expr *call, const struct cql_value *args,
                        struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *type = call->items[0]->type;
    struct base_duration duration;
    uint8_t bytes[8];
    int64_t ms;
    if (!base_duration_decode(args[1].bytes, &duration))
        return failed(call, eval, "damaged duration");
    const bool date = type->kind == BASE_TYPE_DATE;
    if (date ? duration.ns != 0 : duration.ns % 1000000 != 0) {
        struct base_buf text;
        base_buf_init(&text, 256);
        int rc = base_value_to_text(call->items[1]->type, args[1].bytes, &text, eval->err);
        if (rc == BASE_OK) {
            char why[256];
            snprintf(why, sizeof why, "The duration must have a %s precision. Was: %.*s",
                     date ? "day" : "millisecond", (int)text.len, (const char *)text.data);
            rc = failed(call, eval, why);
        }
        base_buf_fini(&text);
        return rc;
    }
    if (!base_timestamp_add(cqli_time_ms(type, args[0].bytes), &duration,
                            call->function->op == '-' ? -1 : 1, &ms))
        return failed(call, eval, "the result is out of range");
    if (type->kind == BASE_TYPE_TIMESTAMP) {
        base_put_be64(bytes, (uint64_t)ms);
        return cqli_eval_copy(eval, bytes, 8, out);
    }
    return cqli_time_date(ms, bytes) ? cqli_eval_copy(eval, bytes, 4, out)
                                     : failed(call, eval, "the result is out of range");
}

static int run_concat(const struct cqli_expr *call, const struct cql_value *args,
                      struct cqli_eval *eval, struct cql_value *out)
{
    struct base_buf buf;
    (void)call;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = base_buf_put_slice(&buf, args[0].bytes);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&buf, args[1].bytes);
    return cqli_eval_take(eval, &buf, rc, out);
}

static int run_negate(const struct cqli_expr *call, const struct cql_value *args,
                      struct cqli_eval *eval, struct cql_value *out)
{
    struct base_buf buf;
    struct base_slice value = args[0].bytes;
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc;
    switch (call->type->kind) {
    case BASE_TYPE_VARINT:
        rc = base_varint_arith(BASE_SUBTRACT, base_slice("\0", 1), value, &buf);
        break;
    case BASE_TYPE_DECIMAL:
        rc = base_decimal_negate(value, &buf);
        break;
    case BASE_TYPE_DOUBLE:
        rc = cqli_number_put_double(-cqli_number_double(call->type, value), &buf);
        break;
    case BASE_TYPE_FLOAT:
        rc = cqli_number_put_float(-cqli_number_float(call->type, value), &buf);
        break;
    default:
        rc = cqli_number_put_i64(call->type->kind, wrap('-', 0, cqli_number_i64(call->type, value)),
                                 &buf);
        break;
    }
    return cqli_eval_take(eval, &buf, rc, out);
}

/* Preparing. */

#define OPERATION(name, run, op)                                                                   \
    {                                                                                              \
        name, 0, run, BASE_TYPE_INT, 2, {0}, op                                                    \
    }
static const struct cqli_function on_numbers[] = {
    OPERATION("_add", run_number, '+'),      OPERATION("_substract", run_number, '-'),
    OPERATION("_multiply", run_number, '*'), OPERATION("_divide", run_number, '/'),
    OPERATION("_modulo", run_number, '%'),
};
static const struct cqli_function on_temporals[] = {OPERATION("_add", run_temporal, '+'),
                                                    OPERATION("_substract", run_temporal, '-')};
static const struct cqli_function on_strings[] = {OPERATION("_add", run_concat, '+')};
static const struct cqli_function negation = {"_negate", 0, run_negate, BASE_TYPE_INT, 1, {0}, '-'};

static const struct cqli_function *function_of(char op, const struct base_type *a,
                                               const struct base_type *result)
{
    const bool number = cqli_type_is_number(result), temporal = !number && !is_string(a);
    const struct cqli_function *table = number ? on_numbers : temporal ? on_temporals : on_strings;
    while (table->op != op)
        table++;
    return table;
}

/* The type of an operand: its own, or what a literal prefers; NULL: it may be anything. */
static int operand_type(struct cqli_scope *scope, const struct cql_term *term,
                        const struct base_type **out)
{
    while (term->kind == CQL_TERM_TUPLE && term->item_count == 1) /* parentheses */
        term = term->items;
    *out = cqli_literal_preferred(term);
    return *out ? BASE_OK : cqli_term_type(scope, term, out);
}

static int refuse(struct cqli_scope *scope, const struct cql_term *term, bool ambiguous)
{
    char a[CQLI_TERM_TEXT], b[CQLI_TERM_TEXT];
    if (term->kind == CQL_TERM_NEGATE)
        return base_err_set(
            scope->p->err, BASE_E_INVALID,
            ambiguous ? "Ambiguous negation: use type hint to disambiguate, example '(int) ?'"
                      : "the '-' operation is not supported on %s",
            cqli_term_text(term->items, a));
    return base_err_set(scope->p->err, BASE_E_INVALID,
                        ambiguous ? "Ambiguous '%c' operation with args %s and %s: use type hint "
                                    "to disambiguate, example '(int) ?'"
                                  : "the '%c' operation is not supported between %s and %s",
                        term->op, cqli_term_text(term->items, a),
                        cqli_term_text(term->items->next, b));
}

/* What an operation is to be done on: the operands' types and the result's. */
struct operation {
    const struct base_type *types[2], *result;
};

static const struct base_type *
operation_result(const struct cql_term *term, const struct base_type *a, const struct base_type *b)
{
    if (term->kind == CQL_TERM_NEGATE)
        return cqli_type_is_number(a) ? a : NULL;
    return result_type(term->op, a, b);
}

/* Do the operands fit, and the result what it is for? */
static int fits(struct cqli_scope *scope, const struct cql_term *term,
                const struct cqli_receiver *to, struct operation *o, bool *out)
{
    enum cqli_match match = CQLI_MATCH_NOT;
    *out = false;
    o->result = operation_result(term, o->types[0], o->types[1]);
    if (!o->result || (to && cqli_type_match(to->type, o->result) == CQLI_MATCH_NOT))
        return BASE_OK;
    int rc = cqli_term_match(scope, term->items, o->types[0], &match);
    if (rc == BASE_OK && match != CQLI_MATCH_NOT && o->types[1])
        rc = cqli_term_match(scope, term->items->next, o->types[1], &match);
    *out = rc == BASE_OK && match != CQLI_MATCH_NOT;
    return rc;
}

/* An operand may be anything (a marker, null): what the other operand and the result leave. "? -
 * 5m" for a timestamp is one of a timestamp, "1 + ?" for a tinyint one of tinyints; else it must be
 * said. */
static int choose(struct cqli_scope *scope, const struct cql_term *term,
                  const struct cqli_receiver *to, struct operation *out)
{
    static const enum base_type_kind kinds[] = {
        BASE_TYPE_TINYINT, BASE_TYPE_SMALLINT, BASE_TYPE_INT,     BASE_TYPE_BIGINT,
        BASE_TYPE_FLOAT,   BASE_TYPE_DOUBLE,   BASE_TYPE_DECIMAL, BASE_TYPE_VARINT,
        BASE_TYPE_COUNTER, BASE_TYPE_TEXT,     BASE_TYPE_ASCII,   BASE_TYPE_TIMESTAMP,
        BASE_TYPE_DATE,    BASE_TYPE_DURATION,
    };
    const bool binary = term->kind == CQL_TERM_BINARY;
    size_t count = 0;
    bool fit;
    for (size_t i = 0; i < BASE_COUNT(kinds); i++)
        for (size_t k = 0; k < (binary ? BASE_COUNT(kinds) : 1); k++) {
            struct operation o = {
                .types = {base_type_scalar(kinds[i]), binary ? base_type_scalar(kinds[k]) : NULL}};
            int rc = fits(scope, term, to, &o, &fit);
            if (rc != BASE_OK)
                return rc;
            if (fit && count++ == 0)
                *out = o;
        }
    if (count == 1)
        return BASE_OK;
    const bool marker =
        term->items->kind == CQL_TERM_BIND || (binary && term->items->next->kind == CQL_TERM_BIND);
    if (count && to && !marker) { /* null: then all of one type */
        struct operation o = {.types = {to->type, binary ? to->type : NULL}};
        int rc = fits(scope, term, to, &o, &fit);
        *out = o;
        if (rc != BASE_OK || fit)
            return rc;
    }
    return refuse(scope, term, count > 0);
}

int cqli_operator_prepare(struct cqli_scope *scope, const struct cql_term *term,
                          const struct cqli_receiver *to, const struct cqli_expr **out)
{
    struct operation o = {.types = {NULL, NULL}};
    const bool binary = term->kind == CQL_TERM_BINARY;
    int rc = operand_type(scope, term->items, &o.types[0]);
    if (rc == BASE_OK && binary)
        rc = operand_type(scope, term->items->next, &o.types[1]);
    if (rc != BASE_OK)
        return rc;
    if (!o.types[0] || (binary && !o.types[1])) {
        rc = choose(scope, term, to, &o);
        if (rc != BASE_OK)
            return rc;
    } else if (!(o.result = operation_result(term, o.types[0], o.types[1]))) {
        return refuse(scope, term, false);
    } else if (to && cqli_type_match(to->type, o.result) != CQLI_MATCH_EXACT &&
               cqli_term_flexible_fits(term, to->type)) {
        o.types[0] = o.types[1] = o.result = to->type;
    }
    const struct cqli_function *function =
        binary ? function_of(term->op, o.types[0], o.result) : &negation;
    return cqli_call_make(scope, function, o.result, o.types, term->items, binary ? 2 : 1, out);
}
