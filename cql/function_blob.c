/* int_as_blob, blob_as_int and the like: a value's bytes, and bytes as a value. */
#include "cql/function.h"

static int run_as_blob(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    (void)call, (void)eval;
    *out = args[0];
    return BASE_OK;
}

static int run_from_blob(const struct cqli_expr *call, const struct cql_value *args,
                         struct cqli_eval *eval, struct cql_value *out)
{
    char type[CQLI_TYPE_TEXT];
    if (args[0].state != CQL_VALUE_SET)
        return BASE_OK;
    if (base_value_validate(call->type, args[0].bytes, NULL) == BASE_OK) {
        out->state = CQL_VALUE_SET;
        return cqli_value_take(eval->arena, call->type, args[0].bytes, &out->bytes, eval->err);
    }
    struct base_buf hex;
    base_buf_init(&hex, 1 << 20);
    struct base_slice shown =
        base_slice(args[0].bytes.data, args[0].bytes.len < 64 ? args[0].bytes.len : 64);
    int rc = base_value_to_text(base_type_scalar(BASE_TYPE_BLOB), shown, &hex, eval->err);
    if (rc == BASE_OK)
        rc = base_err_set(eval->err, BASE_E_INVALID,
                          "In call to function system.%s, value %.*s is not a valid binary "
                          "representation for type %s",
                          call->function->name, (int)hex.len, (const char *)hex.data,
                          cqli_type_text_of(call->type, type));
    base_buf_fini(&hex);
    return rc;
}

#define OF(name, type)                                                                             \
    {                                                                                              \
        name "_as_blob",                                                                           \
        CQLI_FN_NULLS | CQLI_FN_OLD_NAME,                                                          \
        run_as_blob,                                                                               \
        BASE_TYPE_BLOB,                                                                            \
        1,                                                                                         \
        {type},                                                                                    \
        0},                                                                                        \
    {                                                                                              \
        "blob_as_" name, CQLI_FN_NULLS | CQLI_FN_OLD_NAME, run_from_blob, type, 1,                 \
            {BASE_TYPE_BLOB}, 0                                                                    \
    }
static const struct cqli_function functions[] = {
    OF("ascii", BASE_TYPE_ASCII),
    OF("bigint", BASE_TYPE_BIGINT),
    OF("boolean", BASE_TYPE_BOOLEAN),
    OF("counter", BASE_TYPE_COUNTER),
    OF("date", BASE_TYPE_DATE),
    OF("decimal", BASE_TYPE_DECIMAL),
    OF("double", BASE_TYPE_DOUBLE),
    OF("duration", BASE_TYPE_DURATION),
    OF("float", BASE_TYPE_FLOAT),
    OF("inet", BASE_TYPE_INET),
    OF("int", BASE_TYPE_INT),
    OF("smallint", BASE_TYPE_SMALLINT),
    OF("text", BASE_TYPE_TEXT),
    OF("time", BASE_TYPE_TIME),
    OF("timestamp", BASE_TYPE_TIMESTAMP),
    OF("timeuuid", BASE_TYPE_TIMEUUID),
    OF("tinyint", BASE_TYPE_TINYINT),
    OF("uuid", BASE_TYPE_UUID),
    OF("varchar", BASE_TYPE_TEXT),
    OF("varint", BASE_TYPE_VARINT),
};
const struct cqli_signatures cqli_functions_blob = {functions, BASE_COUNT(functions)};
