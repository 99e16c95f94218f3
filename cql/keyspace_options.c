/* A keyspace's options: replication and durable_writes. Whether data centres exist is not judged
 * here: that is the ring's. */
#include "cql/cql_private.h"

enum { FACTOR_MAX = 1000 };
static const struct base_slice default_factor = BASE_SLICE_LIT("1"); /* default_keyspace_rf */

/* A replication factor: a number, quoted or not. */
static int check_factor(struct cqli_analysis *a, struct base_slice value, bool zero_allowed)
{
    int64_t factor;
    if (value.len && memchr(value.data, '/', value.len))
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Transient replication ('%.*s') is not supported",
                            BASE_SLICE_ARG(value));
    if (!cqli_slice_to_i64(value, &factor))
        return base_err_set(a->err, BASE_E_CONFIG, "Replication factor must be numeric; found %.*s",
                            BASE_SLICE_ARG(value));
    if (factor < 0)
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Replication factor must be non-negative, found %.*s",
                            BASE_SLICE_ARG(value));
    if (factor < (zero_allowed ? 0 : 1) || factor > FACTOR_MAX)
        return base_err_set(
            a->err, BASE_E_CONFIG, "Replication factor must be %s and at most %d; found %.*s",
            zero_allowed ? "non-negative" : "positive", FACTOR_MAX, BASE_SLICE_ARG(value));
    return BASE_OK;
}

static int simple_strategy(struct cqli_analysis *a, struct cqli_map *map)
{
    struct base_slice factor = cqli_map_take(map, "replication_factor");
    if (!factor.data)
        factor = default_factor;
    if (map->count)
        return base_err_set(
            a->err, BASE_E_CONFIG,
            "Unrecognized strategy option {%.*s} passed to SimpleStrategy for keyspace %.*s",
            BASE_SLICE_ARG(map->items[0].key), BASE_SLICE_ARG(a->statement->target.name));
    int rc = check_factor(a, factor, false);
    return rc == BASE_OK ? cqli_map_put(a, map, "replication_factor", factor) : rc;
}

/* Data centres and their factors; replication_factor stands for all data centres. */
static int topology_strategy(struct cqli_analysis *a, struct cqli_map *map)
{
    if (map->count == 0)
        return cqli_map_put(a, map, "replication_factor", default_factor);
    for (size_t i = 0; i < map->count; i++) {
        if (map->items[i].key.len == 0)
            return base_err_set(a->err, BASE_E_CONFIG, "a data centre needs a name");
        int rc = check_factor(a, map->items[i].value, true);
        if (rc != BASE_OK)
            return base_err_wrap(a->err, rc, "data centre %.*s", BASE_SLICE_ARG(map->items[i].key));
    }
    return BASE_OK;
}

static int replication(struct cqli_analysis *a, const struct cql_term *term,
                       struct base_options *out)
{
    struct cqli_map map;
    int rc = cqli_map_from_term(a, "replication", term, &map);
    if (rc != BASE_OK)
        return rc;
    struct base_slice class = cqli_map_take(&map, "class"), name = cqli_short_class(class);
    if (!class.data)
        return base_err_set(a->err, BASE_E_CONFIG, "Missing mandatory replication strategy class");
    if (base_slice_equal(name, BASE_SLICE_LIT("SimpleStrategy")))
        rc = simple_strategy(a, &map);
    else if (base_slice_equal(name, BASE_SLICE_LIT("NetworkTopologyStrategy")))
        rc = topology_strategy(a, &map);
    else if (base_slice_equal(name, BASE_SLICE_LIT("LocalStrategy")))
        rc = base_err_set(
            a->err, BASE_E_INVALID,
            "Unable to use given strategy class: LocalStrategy is reserved for internal use.");
    else
        rc = base_err_set(a->err, BASE_E_CONFIG,
                          "Unable to find replication strategy class '%.*s': SimpleStrategy and "
                          "NetworkTopologyStrategy are there",
                          BASE_SLICE_ARG(class));
    if (rc == BASE_OK)
        rc = cqli_map_put(a, &map, "class", name);
    return rc == BASE_OK ? cqli_map_to_options(a, &map, out) : rc;
}

int cqli_keyspace_options(struct cqli_analysis *a, struct base_keyspace *keyspace, bool create)
{
    bool replicated = !create;
    for (const struct cql_property *p = a->statement->properties; p; p = p->next) {
        if (base_slice_equal(p->name, BASE_SLICE_LIT("replication"))) {
            int rc = replication(a, p->value, &keyspace->replication);
            if (rc != BASE_OK)
                return rc;
            replicated = true;
        } else if (base_slice_equal(p->name, BASE_SLICE_LIT("durable_writes"))) {
            if (p->value->kind == CQL_TERM_MAP ||
                !cqli_slice_to_bool(p->value->text, &keyspace->durable_writes))
                return base_err_set(
                    a->err, BASE_E_SYNTAX,
                    "Invalid boolean value %.*s for 'durable_writes'. Positive values can be '1', "
                    "'true' or 'yes'. Negative values can be '0', 'false' or 'no'.",
                    BASE_SLICE_ARG(p->value->text));
        } else {
            return base_err_set(a->err, BASE_E_SYNTAX, "Unknown property '%.*s'",
                                BASE_SLICE_ARG(p->name));
        }
    }
    return replicated
               ? BASE_OK
               : base_err_set(a->err, BASE_E_INVALID, "Missing mandatory option 'replication'");
}
