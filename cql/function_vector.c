/* similarity_cosine, similarity_euclidean, similarity_dot_product: of two float vectors, as Lucene
 * scores them (1 is the same, 0 the opposite). */
#include "cql/function.h"

#include <math.h>

enum { COSINE, EUCLIDEAN, DOT_PRODUCT };

static int run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval,
               struct cql_value *out)
{
    const struct base_type *element = base_type_scalar(BASE_TYPE_FLOAT);
    const size_t dimension = call->items[0]->type->dimension;
    double dot = 0, a_square = 0, b_square = 0, distance = 0, score;
    if (args[0].bytes.len != dimension * 4 || args[1].bytes.len != dimension * 4)
        return base_err_set(eval->err, BASE_E_CORRUPT, "damaged value of a vector");
    for (size_t i = 0; i < dimension; i++) {
        double a = cqli_number_double(element, base_slice(args[0].bytes.data + 4 * i, 4));
        double b = cqli_number_double(element, base_slice(args[1].bytes.data + 4 * i, 4));
        dot += a * b;
        a_square += a * a;
        b_square += b * b;
        distance += (a - b) * (a - b);
    }
    if (call->function->op == COSINE && (a_square == 0 || b_square == 0))
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Function system.%s doesn't support all-zero vectors.",
                            call->function->name);
    switch (call->function->op) {
    case COSINE:
        score = (1 + dot / sqrt(a_square * b_square)) / 2;
        break;
    case EUCLIDEAN:
        score = 1 / (1 + distance);
        break;
    default:
        score = (1 + dot) / 2;
        break;
    }
    struct base_buf buf;
    base_buf_init(&buf, 4);
    return cqli_eval_take(eval, &buf, cqli_number_put_float((float)score, &buf), out);
}

/* vector<float, dimension>, in the arena. */
static const struct base_type *float_vector(struct base_arena *arena, uint32_t dimension)
{
    const struct base_type *element = base_type_scalar(BASE_TYPE_FLOAT);
    const struct base_type *list = cqli_type_collection(arena, BASE_TYPE_VECTOR, &element, 1);
    struct base_type *vector = list ? base_arena_alloc(arena, sizeof *vector) : NULL;
    if (!vector)
        return NULL;
    *vector = *list;
    vector->dimension = dimension;
    return vector;
}

/* What a term is as a vector: its own type, or [x, y] of its items; NULL when it is what the other
 * is (a marker, null). */
static int vector_of(struct cqli_scope *scope, const struct cqli_factory *factory,
                     const struct cql_term *arg, uint32_t i, const struct base_type **type)
{
    char text[CQLI_TERM_TEXT], name[CQLI_TYPE_TEXT];
    if (arg->kind == CQL_TERM_LIST) {
        enum cqli_match match;
        if (!(*type = float_vector(scope->p->arena, arg->item_count)))
            return cqli_prepare_no_memory(scope->p);
        int rc = cqli_term_match(scope, arg, *type, &match);
        if (rc == BASE_OK && (match == CQLI_MATCH_NOT || arg->item_count == 0))
            rc = base_err_set(
                scope->p->err, BASE_E_INVALID,
                "Type error: %s cannot be passed as argument %u of function system.%s of type %s",
                cqli_term_text(arg, text), i, factory->function.name,
                cqli_type_text_of(*type, name));
        return rc;
    }
    if (!*type ||
        ((*type)->kind == BASE_TYPE_VECTOR && (*type)->params[0]->kind == BASE_TYPE_FLOAT))
        return BASE_OK;
    return base_err_set(
        scope->p->err, BASE_E_INVALID,
        "Function system.%s requires a float vector argument, but found argument %s of type %s",
        factory->function.name, cqli_term_text(arg, text), cqli_type_text_of(*type, name));
}

static int infer(struct cqli_scope *scope, const struct cqli_factory *factory,
                 const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result)
{
    const struct cql_term *arg = call->items;
    (void)to;
    for (uint32_t i = 0; i < 2; i++, arg = arg->next) {
        int rc = vector_of(scope, factory, arg, i, &types[i]);
        if (rc != BASE_OK)
            return rc;
    }
    if (!types[0] && !types[1])
        return cqli_factory_untyped(scope, factory, call, 0);
    types[0] = types[0] ? types[0] : types[1];
    types[1] = types[1] ? types[1] : types[0];
    if (types[0]->dimension != types[1]->dimension)
        return base_err_set(scope->p->err, BASE_E_INVALID,
                            "All arguments must have the same vector dimensions");
    *result = base_type_scalar(BASE_TYPE_FLOAT);
    return BASE_OK;
}

#define OF(name, op)                                                                               \
    {                                                                                              \
        {name, 0, run, BASE_TYPE_FLOAT, 2, {0}, op}, "vector<float, n>, vector<float, n>", 2, 2,   \
            infer                                                                                  \
    }
static const struct cqli_factory factories[] = {
    OF("similarity_cosine", COSINE),
    OF("similarity_euclidean", EUCLIDEAN),
    OF("similarity_dot_product", DOT_PRODUCT),
};
const struct cqli_factories cqli_factories_vector = {factories, BASE_COUNT(factories)};
