/* similarity_cosine, similarity_euclidean, similarity_dot_product: of two float vectors, as Lucene scores them (1 is the same, 0 the
 * opposite). */
#include "cql/function.h"

#include <math.h>

enum { COSINE, EUCLIDEAN, DOT_PRODUCT };

static int run(const struct cqli_expr *call, const struct cql_value *args, struct cqli_eval *eval, struct cql_value *out)
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
    switch (call->function->op) {
    case COSINE: score = (1 + dot / sqrt(a_square * b_square)) / 2; break;
    case EUCLIDEAN: score = 1 / (1 + distance); break;
    default: score = (1 + dot) / 2; break;
    }
    struct base_buf buf;
    base_buf_init(&buf, 4);
    return cqli_eval_take(eval, &buf, cqli_number_put_float((float)score, &buf), out);
}

static int infer(struct cqli_scope *scope, const struct cqli_factory *factory, const struct cql_term *call, const struct cqli_receiver *to,
                 const struct base_type **types, const struct base_type **result)
{
    struct base_err *err = scope->p->err;
    const struct cql_term *arg = call->items;
    (void)to;
    /* A literal or marker is what the other is. [1, 2] with columns in it would be a list of its own. */
    const struct base_type *vector = types[0] && types[0]->kind == BASE_TYPE_VECTOR ? types[0] : types[1];
    if (!vector)
        return cqli_factory_untyped(scope, factory, call, 0);
    for (uint32_t i = 0; i < 2; i++, arg = arg->next) {
        if (types[i] && types[i]->kind != BASE_TYPE_VECTOR && arg->kind == CQL_TERM_LIST)
            types[i] = NULL;
        types[i] = types[i] ? types[i] : vector;
        if (types[i]->kind != BASE_TYPE_VECTOR || types[i]->params[0]->kind != BASE_TYPE_FLOAT)
            return base_err_set(err, BASE_E_INVALID,
                                "Only float vectors are supported by system.%s", factory->function.name);
    }
    if (types[0]->dimension != types[1]->dimension)
        return base_err_set(err, BASE_E_INVALID, "All arguments must have the same vector dimensions");
    *result = base_type_scalar(BASE_TYPE_FLOAT);
    return BASE_OK;
}

#define OF(name, op) {{name, 0, run, BASE_TYPE_FLOAT, 2, {0}, op}, "vector<float, n>, vector<float, n>", 2, 2, infer}
static const struct cqli_factory factories[] = {
    OF("similarity_cosine", COSINE), OF("similarity_euclidean", EUCLIDEAN), OF("similarity_dot_product", DOT_PRODUCT),
};
const struct cqli_factories cqli_factories_vector = {factories, BASE_COUNT(factories)};
