/* Who has a token (replicas.h): Cassandra's rules, without a node.
 *
 * 1. A node owns the tokens from its predecessor's (not included) to its own.
 * 2. SimpleStrategy: the owner and the next ones on the ring, each node once.
 * 3. NetworkTopologyStrategy: in each centre the same, but a rack that has a replica gets another
 *    only when every rack has one, or as many as there are too few racks for the factor. */
#include "cli/replicas.h"

#include <stdlib.h>

static int by_token(const void *a, const void *b)
{
    const struct cli_ring_token *x = a, *y = b;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* Whoever is named as one before has his number, others the next. */
static void number_places(struct cli_ring *ring)
{
    uint16_t dcs = 0, racks = 0;
    for (size_t i = 0; i < ring->node_count; i++) {
        struct cli_ring_node *n = &ring->nodes[i];
        size_t dc = 0, rack = 0;
        bool is_new = n->tokens.len > 0;
        while (dc < i && !base_slice_equal(ring->nodes[dc].dc, n->dc))
            dc++;
        n->dc_number = dc < i ? ring->nodes[dc].dc_number : dcs++;
        while (rack < i && (ring->nodes[rack].dc_number != n->dc_number ||
                            !base_slice_equal(ring->nodes[rack].rack, n->rack)))
            rack++;
        n->rack_number = rack < i ? ring->nodes[rack].rack_number : racks++;
        for (size_t k = rack; k < i && is_new; k++)
            is_new = ring->nodes[k].rack_number != n->rack_number || !ring->nodes[k].tokens.len;
        if (n->tokens.len)
            ring->dcs[n->dc_number].nodes++;
        if (is_new)
            ring->dcs[n->dc_number].racks++;
    }
}

static bool parse_token(struct base_slice text, int64_t *out)
{
    char digits[24], *end;
    if (text.len == 0 || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = 0;
    *out = strtoll(digits, &end, 10);
    return *end == 0;
}

int cli_ring_build(struct cli_ring *ring, struct base_arena *arena, struct base_err *err)
{
    size_t total = 0;
    int32_t count;
    for (size_t i = 0; i < ring->node_count; i++) {
        struct base_reader r = base_reader(ring->nodes[i].tokens);
        if (ring->nodes[i].tokens.len && cql_wire_get_int(&r, &count) && count > 0)
            total += (size_t)count;
    }
    ring->token_count = 0;
    ring->dcs = base_arena_zalloc(arena, (ring->node_count + 1) * sizeof *ring->dcs);
    if (ring->dcs)
        number_places(ring);
    if (total > CLI_RING_TOKENS_MAX)
        return base_err_set(err, BASE_E_LIMIT, "the ring has %zu tokens", total);
    ring->tokens = base_arena_alloc(arena, (total + 1) * sizeof *ring->tokens);
    if (!ring->tokens || !ring->dcs)
        return base_err_set(err, BASE_E_NOMEM, "the ring's tokens");
    for (size_t i = 0; i < ring->node_count; i++) {
        struct base_reader r = base_reader(ring->nodes[i].tokens);
        if (!ring->nodes[i].tokens.len || !cql_wire_get_int(&r, &count))
            continue;
        while (count-- > 0) {
            struct cli_ring_token *t = &ring->tokens[ring->token_count];
            struct base_slice text;
            bool is_null;
            if (!cql_wire_get_bytes(&r, &text, &is_null) || is_null ||
                !parse_token(text, &t->token)) {
                ring->token_count = 0;
                return base_err_set(err, BASE_E_INVALID, "%s: its tokens cannot be read",
                                    ring->nodes[i].host);
            }
            t->node = (uint16_t)i;
            ring->token_count++;
        }
    }
    qsort(ring->tokens, ring->token_count, sizeof *ring->tokens, by_token);
    return BASE_OK;
}

/* The replication. */

static enum cli_replication_kind kind_of(struct base_slice class)
{
    static const struct {
        const char *name;
        enum cli_replication_kind kind;
    } strategies[] = {{"SimpleStrategy", CLI_REPLICATION_SIMPLE},
                      {"NetworkTopologyStrategy", CLI_REPLICATION_TOPOLOGY},
                      {"LocalStrategy", CLI_REPLICATION_LOCAL},
                      {"EverywhereStrategy", CLI_REPLICATION_EVERYWHERE}};
    for (size_t i = class.len; i > 0; i--) {
        if (class.data[i - 1] != '.')
            continue;
        class = base_slice(class.data + i, class.len - i);
        break;
    }
    for (size_t i = 0; i < BASE_COUNT(strategies); i++)
        if (base_slice_equal(class, base_slice_str(strategies[i].name)))
            return strategies[i].kind;
    return CLI_REPLICATION_NONE;
}

/* "3", or "3/1" with transient ones. */
static unsigned factor_of(struct base_slice text)
{
    unsigned n = 0;
    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9' && n < 10000; i++)
        n = n * 10 + (unsigned)(text.data[i] - '0');
    return n;
}

int cli_replication_parse(struct base_slice map, struct cli_replication *out, struct base_err *err)
{
    struct base_reader r = base_reader(map);
    int32_t count = 0;
    memset(out, 0, sizeof *out);
    if (!cql_wire_get_int(&r, &count))
        return base_err_set(err, BASE_E_INVALID, "the replication cannot be read");
    while (count-- > 0) {
        struct base_slice key, value;
        bool no_key, no_value;
        if (!cql_wire_get_bytes(&r, &key, &no_key) || !cql_wire_get_bytes(&r, &value, &no_value))
            return base_err_set(err, BASE_E_INVALID, "the replication cannot be read");
        if (base_slice_equal(key, BASE_SLICE_LIT("class"))) {
            out->kind = kind_of(value);
        } else if (base_slice_equal(key, BASE_SLICE_LIT("replication_factor"))) {
            out->factor = factor_of(value);
        } else if (out->dc_count < CLI_RING_DCS_MAX) {
            out->dcs[out->dc_count].dc = key;
            out->dcs[out->dc_count++].factor = factor_of(value);
        }
    }
    return BASE_OK;
}

/* The walk. */

size_t cli_ring_place(const struct cli_ring *ring, int64_t token)
{
    size_t low = 0, high = ring->token_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring->tokens[middle].token < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ring->token_count ? 0 : low;
}

struct replica_list {
    uint16_t *nodes;
    size_t count, max;
};

static bool has_node(const struct replica_list *list, uint16_t node)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->nodes[i] == node)
            return true;
    return false;
}

static bool has_rack(const struct cli_ring *ring, const struct replica_list *list, uint16_t rack)
{
    for (size_t i = 0; i < list->count; i++)
        if (ring->nodes[list->nodes[i]].rack_number == rack)
            return true;
    return false;
}

static void walk_all(const struct cli_ring *ring, size_t from, size_t factor,
                     struct replica_list *list)
{
    for (size_t i = 0; i < ring->token_count && list->count < factor && list->count < list->max;
         i++) {
        uint16_t node = ring->tokens[(from + i) % ring->token_count].node;
        if (!has_node(list, node))
            list->nodes[list->count++] = node;
    }
}

static void walk_dc(const struct cli_ring *ring, size_t from, uint16_t dc, size_t factor,
                    struct replica_list *list)
{
    size_t first = list->count, nodes = ring->dcs[dc].nodes, racks = ring->dcs[dc].racks;
    factor = factor < nodes ? factor : nodes;
    size_t repeats = factor > racks ? factor - racks : 0;
    for (size_t i = 0;
         i < ring->token_count && list->count - first < factor && list->count < list->max; i++) {
        uint16_t node = ring->tokens[(from + i) % ring->token_count].node;
        if (ring->nodes[node].dc_number != dc || has_node(list, node))
            continue;
        if (has_rack(ring, list, ring->nodes[node].rack_number)) {
            if (repeats == 0)
                continue;
            repeats--;
        }
        list->nodes[list->count++] = node;
    }
}

size_t cli_ring_replicas(const struct cli_ring *ring, const struct cli_replication *replication,
                         int64_t token, uint16_t *out, size_t max)
{
    struct replica_list list = {.nodes = out, .max = max};
    if (ring->token_count == 0)
        return 0;
    size_t from = cli_ring_place(ring, token);
    switch (replication->kind) {
    case CLI_REPLICATION_NONE:
        break;
    case CLI_REPLICATION_LOCAL:
        walk_all(ring, from, 1, &list);
        break;
    case CLI_REPLICATION_EVERYWHERE:
        walk_all(ring, from, ring->node_count, &list);
        break;
    case CLI_REPLICATION_SIMPLE:
        walk_all(ring, from, replication->factor, &list);
        break;
    case CLI_REPLICATION_TOPOLOGY:
        for (size_t d = 0; d < replication->dc_count; d++)
            for (size_t i = 0; i < ring->node_count; i++)
                if (base_slice_equal(ring->nodes[i].dc, replication->dcs[d].dc)) {
                    walk_dc(ring, from, ring->nodes[i].dc_number, replication->dcs[d].factor,
                            &list);
                    break;
                }
        break;
    }
    BASE_ASSERT(list.count <= max);
    return list.count;
}
