/* Functions that stand alone: uuid, token, to_json, from_json. */
#include "cql/function.h"

#include <stdio.h>

#include "base/json.h"
#include "base/key.h"

static int run_uuid(const struct cqli_expr *call, const struct cql_value *args,
                    struct cqli_eval *eval, struct cql_value *out)
{
    (void)call, (void)args;
    uint8_t *id = base_arena_alloc(eval->arena, 16);
    if (!id)
        return cqli_eval_no_memory(eval);
    eval->ports->ops->random(eval->ports, id, 16);
    id[6] = (uint8_t)((id[6] & 0x0F) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3F) | 0x80);
    *out = (struct cql_value){.bytes = base_slice(id, 16)};
    return BASE_OK;
}

static const struct cqli_function functions[] = {
    {"uuid", CQLI_FN_IMPURE, run_uuid, BASE_TYPE_UUID, 0, {0}, 0},
};
const struct cqli_signatures cqli_functions_basic = {functions, BASE_COUNT(functions)};

/* Token. */

/* The partition key of the columns' values: alone as it is; of several each with its length (2
 * bytes) and an end byte. */
static int run_token(const struct cqli_expr *call, const struct cql_value *args,
                     struct cqli_eval *eval, struct cql_value *out)
{
    struct base_buf key;
    int rc = BASE_OK;
    uint8_t *token = base_arena_alloc(eval->arena, 8);
    if (!token)
        return cqli_eval_no_memory(eval);
    base_buf_init(&key, CQLI_VALUE_LEN_MAX);
    for (uint32_t i = 0; rc == BASE_OK && i < call->item_count; i++) {
        uint8_t len[2];
        if (args[i].bytes.len > UINT16_MAX) {
            rc = base_err_set(eval->err, BASE_E_INVALID,
                              "Key length of %zu is longer than maximum of 65535",
                              args[i].bytes.len);
            break;
        }
        base_put_be16(len, (uint16_t)args[i].bytes.len);
        if (call->item_count > 1)
            rc = base_buf_put(&key, len, 2);
        if (rc == BASE_OK)
            rc = base_buf_put_slice(&key, args[i].bytes);
        if (rc == BASE_OK && call->item_count > 1)
            rc = base_buf_put_u8(&key, 0);
    }
    if (rc == BASE_OK) {
        base_put_be64(token, (uint64_t)base_token(base_buf_view(&key)));
        *out = (struct cql_value){.bytes = base_slice(token, 8)};
    }
    base_buf_fini(&key);
    return rc == BASE_E_NOMEM ? cqli_eval_no_memory(eval) : rc;
}

static int infer_token(struct cqli_scope *scope, const struct cqli_factory *factory,
                       const struct cql_term *call, const struct cqli_receiver *to,
                       const struct base_type **types, const struct base_type **result)
{
    const struct base_table *table = scope->p->table;
    const struct cql_term *arg = call->items;
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    (void)factory, (void)to;
    if (!table)
        return base_err_set(scope->p->err, BASE_E_INVALID, "token() needs a table");
    if (call->item_count != table->partition_key_count)
        return base_err_set(scope->p->err, BASE_E_INVALID,
                            "Invalid number of arguments in call to function system.token: %zu "
                            "required but %u provided",
                            table->partition_key_count, call->item_count);
    for (uint32_t i = 0; i < call->item_count; i++, arg = arg->next) {
        enum cqli_match match;
        int rc = cqli_term_match(scope, arg, table->columns[i].type, &match);
        if (rc != BASE_OK)
            return rc;
        if (match == CQLI_MATCH_NOT)
            return base_err_set(scope->p->err, BASE_E_INVALID,
                                "Type error: %s cannot be passed as argument %u of function "
                                "system.token of type %s",
                                cqli_term_text(arg, text), i,
                                cqli_type_text_of(table->columns[i].type, type));
        types[i] = table->columns[i].type;
    }
    *result = base_type_scalar(BASE_TYPE_BIGINT);
    return BASE_OK;
}

/* JSON. */

static int run_to_json(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    struct base_buf json;
    if (args[0].state != CQL_VALUE_SET)
        return cqli_eval_copy(eval, "null", 4, out);
    base_buf_init(&json, CQLI_VALUE_LEN_MAX);
    return cqli_eval_take(eval, &json,
                          base_value_to_json(call->items[0]->type, args[0].bytes, &json, eval->err),
                          out);
}

static int infer_to_json(struct cqli_scope *scope, const struct cqli_factory *factory,
                         const struct cql_term *call, const struct cqli_receiver *to,
                         const struct base_type **types, const struct base_type **result)
{
    (void)to;
    if (!types[0])
        return cqli_factory_untyped(scope, factory, call, 0);
    *result = base_type_scalar(BASE_TYPE_TEXT);
    return BASE_OK;
}

static bool is_json_null(struct base_slice json)
{
    struct base_json_reader reader;
    struct base_json_token token;
    base_json_begin(&reader, json);
    return base_json_next(&reader, &token, NULL) == BASE_OK && token.kind == BASE_JSON_NULL &&
           base_json_next(&reader, &token, NULL) == BASE_OK && token.kind == BASE_JSON_END;
}

static int run_from_json(const struct cqli_expr *call, const struct cql_value *args,
                         struct cqli_eval *eval, struct cql_value *out)
{
    struct base_slice json = args[0].bytes;
    struct base_buf value;
    if (is_json_null(json))
        return BASE_OK;
    base_buf_init(&value, CQLI_VALUE_LEN_MAX);
    int rc = base_value_from_json(call->type, json, &value, eval->err);
    if (rc == BASE_E_INVALID || rc == BASE_E_SYNTAX) {
        rc = base_err_wrap(eval->err, BASE_E_FUNCTION, "Could not decode JSON string '%.*s'",
                           json.len > 200 ? 200 : (int)json.len, (const char *)json.data);
        if (eval->err)
            snprintf(eval->err->function, sizeof eval->err->function, "from_json text");
    }
    return cqli_eval_take(eval, &value, rc, out);
}

static int infer_from_json(struct cqli_scope *scope, const struct cqli_factory *factory,
                           const struct cql_term *call, const struct cqli_receiver *to,
                           const struct base_type **types, const struct base_type **result)
{
    (void)factory, (void)call;
    if (!to)
        return base_err_set(scope->p->err, BASE_E_INVALID,
                            "%s() cannot be used in the selection clause of a SELECT statement",
                            factory->function.name);
    types[0] = base_type_scalar(BASE_TYPE_TEXT);
    *result = to->type;
    return BASE_OK;
}

static const struct cqli_factory factories[] = {
    {{"to_json", CQLI_FN_NULLS | CQLI_FN_OLD_NAME, run_to_json, BASE_TYPE_TEXT, 1, {0}, 0},
     "any",
     1,
     1,
     infer_to_json},
    {{"from_json", CQLI_FN_RECEIVER | CQLI_FN_OLD_NAME, run_from_json, BASE_TYPE_TEXT, 1, {0}, 0},
     "text",
     1,
     1,
     infer_from_json},
    {{"token", 0, run_token, BASE_TYPE_BIGINT, 0, {0}, 0},
     "partition key",
     0,
     UINT32_MAX,
     infer_token},
};
const struct cqli_factories cqli_factories_basic = {factories, BASE_COUNT(factories)};
