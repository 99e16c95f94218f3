/* Functions of one collection: map_keys, map_values, collection_count, _min, _max, _sum, _avg. */
#include "cql/aggregate.h"

enum { KEYS, VALUES, COUNT, MIN, MAX, SUM, AVG };

/* Running. */

static int damaged(const struct base_type *type, struct cqli_eval *eval)
{
    char text[CQLI_TYPE_TEXT];
    return base_err_set(eval->err, BASE_E_CORRUPT, "damaged value: its bytes are not a %s",
                        cqli_type_text_of(type, text));
}

/* Keys come in the map's order, which is the set's. */
static int run_half(const struct cqli_expr *call, const struct cql_value *args,
                    struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *type = call->items[0]->type;
    struct base_elements it;
    struct base_buf buf;
    if (!base_elements_begin(&it, type, args[0].bytes))
        return damaged(type, eval);
    base_buf_init(&buf, CQLI_VALUE_LEN_MAX);
    int rc = base_buf_put(&buf, args[0].bytes.data, 4);
    while (rc == BASE_OK && it.left) {
        struct base_slice half[2];
        bool is_null[2];
        if (!base_elements_next(&it, &half[0], &is_null[0]) ||
            !base_elements_next(&it, &half[1], &is_null[1]) || is_null[0] || is_null[1]) {
            rc = damaged(type, eval);
            break;
        }
        rc = base_element_put(call->type, call->type->params[0], half[call->function->op == VALUES],
                              false, &buf);
    }
    return cqli_eval_take(eval, &buf, rc, out);
}

static int run_count(const struct cqli_expr *call, const struct cql_value *args,
                     struct cqli_eval *eval, struct cql_value *out)
{
    if (args[0].bytes.len < 4)
        return damaged(call->items[0]->type, eval);
    return cqli_eval_copy(eval, args[0].bytes.data, 4, out);
}

static int run_aggregate(const struct cqli_expr *call, const struct cql_value *args,
                         struct cqli_eval *eval, struct cql_value *out)
{
    static const enum cqli_aggregate ops[] = {
        [MIN] = CQLI_MIN, [MAX] = CQLI_MAX, [SUM] = CQLI_SUM, [AVG] = CQLI_AVG};
    const struct base_type *type = call->items[0]->type;
    struct cqli_accumulator a;
    struct base_elements it;
    cqli_accumulator_init(&a, eval->arena, ops[call->function->op], type->params[0]);
    if (!base_elements_begin(&it, type, args[0].bytes))
        return damaged(type, eval);
    while (it.left) {
        struct base_slice element;
        bool is_null;
        if (!base_elements_next(&it, &element, &is_null) || is_null)
            return damaged(type, eval);
        int rc = cqli_accumulator_add(&a, element, eval->err);
        if (rc != BASE_OK)
            return rc;
    }
    return cqli_accumulator_result(&a, eval, out);
}

/* Types. */

static bool is_wanted(int op, const struct base_type *type)
{
    switch (op) {
    case KEYS:
    case VALUES:
        return type->kind == BASE_TYPE_MAP;
    case COUNT:
        return type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET ||
               type->kind == BASE_TYPE_MAP;
    default:
        return (type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_SET) &&
               (op < SUM || cqli_type_is_number(type->params[0]));
    }
}

static const char *wanted(int op)
{
    return op <= VALUES  ? "map"
           : op == COUNT ? "collection"
           : op < SUM    ? "set or list"
                         : "numeric set/list";
}

static int infer(struct cqli_scope *scope, const struct cqli_factory *factory,
                 const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result)
{
    const int op = factory->function.op;
    char text[CQLI_TERM_TEXT], type[CQLI_TYPE_TEXT];
    (void)to;
    if (!types[0])
        return cqli_factory_untyped(scope, factory, call, 0);
    if (!is_wanted(op, types[0]))
        return base_err_set(
            scope->p->err, BASE_E_INVALID,
            "Function system.%s requires a %s argument, but found argument %s of type %s",
            factory->function.name, wanted(op), cqli_term_text(call->items, text),
            cqli_type_text_of(types[0], type));
    if (op == COUNT)
        *result = base_type_scalar(BASE_TYPE_INT);
    else if (op <= VALUES)
        *result = cqli_type_collection(scope->p->arena, op == KEYS ? BASE_TYPE_SET : BASE_TYPE_LIST,
                                       &types[0]->params[op == VALUES], 1);
    else
        *result = types[0]->params[0];
    return *result ? BASE_OK : cqli_prepare_no_memory(scope->p);
}

#define OF(name, run, op, shape)                                                                   \
    {                                                                                              \
        {name, 0, run, BASE_TYPE_INT, 1, {0}, op}, shape, 1, 1, infer                              \
    }
static const struct cqli_factory factories[] = {
    OF("map_keys", run_half, KEYS, "map"),
    OF("map_values", run_half, VALUES, "map"),
    OF("collection_count", run_count, COUNT, "collection"),
    OF("collection_min", run_aggregate, MIN, "numeric_set_or_list"),
    OF("collection_max", run_aggregate, MAX, "numeric_set_or_list"),
    OF("collection_sum", run_aggregate, SUM, "numeric_set_or_list"),
    OF("collection_avg", run_aggregate, AVG, "numeric_set_or_list"),
};
const struct cqli_factories cqli_factories_collection = {factories, BASE_COUNT(factories)};
