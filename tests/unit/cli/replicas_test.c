/* Who has a token, without a node. Without these `ringlet stress` could send each request to a node
 * that must pass it on, and SHOW REPLICAS could name the wrong ones. */
#include <stdio.h>

#include "cli/replicas.h"
#include "tests/lib/ck.h"

static struct base_arena arena;
static struct base_err err;

static struct base_slice text_list(const char *const *items, size_t count)
{
    struct base_buf buf;
    base_buf_init_in_arena(&buf, &arena, 65536);
    ck_assert_int_eq(cql_wire_put_int(&buf, (int32_t)count), BASE_OK);
    for (size_t i = 0; i < count; i++) {
        struct base_slice item = base_slice_str(items[i]);
        ck_assert_int_eq(cql_wire_put_bytes(&buf, &item), BASE_OK);
    }
    return base_buf_view(&buf);
}

/* A map has half as many elements as items. */
static struct cli_replication replication(const char *const *items, size_t count)
{
    struct cli_replication out;
    struct base_slice map = text_list(items, count);
    base_put_be32((uint8_t *)(uintptr_t)map.data, (uint32_t)(count / 2));
    ck_ok(cli_replication_parse(map, &out, &err), err);
    return out;
}
#define REPLICATION(...)                                                                           \
    replication((const char *const[]){__VA_ARGS__},                                                \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

struct place {
    const char *dc, *rack, *tokens[3];
};

static struct cli_ring make(const struct place *places, size_t count)
{
    struct cli_ring ring = {.node_count = count};
    ring.nodes = base_arena_zalloc(&arena, count * sizeof *ring.nodes);
    for (size_t i = 0; i < count; i++) {
        size_t tokens = 0;
        while (tokens < 3 && places[i].tokens[tokens])
            tokens++;
        ring.nodes[i].dc = base_slice_str(places[i].dc);
        ring.nodes[i].rack = base_slice_str(places[i].rack);
        if (tokens)
            ring.nodes[i].tokens = text_list(places[i].tokens, tokens);
    }
    ck_ok(cli_ring_build(&ring, &arena, &err), err);
    return ring;
}

static void expect(const struct cli_ring *ring, struct cli_replication replication, int64_t token,
                   const char *nodes)
{
    uint16_t out[16];
    char told[64] = "";
    size_t n = cli_ring_replicas(ring, &replication, token, out, 16);
    for (size_t i = 0; i < n; i++)
        snprintf(told + strlen(told), sizeof told - strlen(told), "%s%u", i ? " " : "", out[i]);
    ck_assert_msg(strcmp(told, nodes) == 0, "token %lld: %s, not %s", (long long)token, told,
                  nodes);
}

static void begin(void)
{
    base_arena_init(&arena);
}
static void end(void)
{
    base_arena_fini(&arena);
}

START_TEST(a_node_owns_up_to_its_token_and_the_next_ones_follow)
{
    static const struct place places[] = {{"a", "r", {"-100", "100"}},
                                          {"a", "r", {"0", "-9223372036854775808"}},
                                          {"a", "r", {"50", "9223372036854775807"}},
                                          {"a", "r", {NULL}}};
    struct cli_ring ring = make(places, 4);
    struct cli_replication simple = REPLICATION(
        "class", "org.apache.cassandra.locator.SimpleStrategy", "replication_factor", "2");
    expect(&ring, simple, INT64_MIN, "1 0");
    expect(&ring, simple, INT64_MIN + 1, "0 1");
    expect(&ring, simple, -100, "0 1");
    expect(&ring, simple, -99, "1 2");
    expect(&ring, simple, 51, "0 2");
    expect(&ring, simple, 100, "0 2");
    expect(&ring, simple, 101, "2 1");
    expect(&ring, simple, INT64_MAX, "2 1");
    expect(&ring, REPLICATION("class", "SimpleStrategy", "replication_factor", "9"), 0, "1 2 0");
    expect(&ring, REPLICATION("class", "LocalStrategy"), 0, "1");
    expect(&ring, REPLICATION("class", "EverywhereStrategy"), 0, "1 2 0");
    expect(&ring, REPLICATION("class", "example.MyStrategy", "x", "1"), 0, "");
    struct cli_ring none = make(&places[3], 1);
    expect(&none, simple, 0, "");
}
END_TEST

START_TEST(a_data_centre_spreads_its_replicas_over_its_racks)
{
    static const struct place places[] = {
        {"a", "r1", {"10"}}, {"a", "r1", {"20"}}, {"a", "r2", {"30"}}, {"b", "r1", {"15"}},
        {"a", "r1", {"40"}}, {"b", "r1", {"25"}}, {"a", "r3", {NULL}},
    };
    struct cli_ring ring = make(places, 7);
    /* 1, 2 as the ring goes would be one rack twice */
    expect(&ring, REPLICATION("class", "NetworkTopologyStrategy", "a", "2"), 5, "0 2");
    /* two racks for three: one repeat, taken where the walk meets it */
    expect(&ring, REPLICATION("class", "NetworkTopologyStrategy", "a", "3"), 5, "0 1 2");
    expect(&ring, REPLICATION("class", "NetworkTopologyStrategy", "b", "2", "a", "2"), 16,
           "5 3 1 2");
    expect(&ring, REPLICATION("class", "NetworkTopologyStrategy", "b", "9", "c", "3", "a", "0"), 16,
           "5 3");
    expect(&ring, REPLICATION("class", "NetworkTopologyStrategy", "a", "3/1"), 35, "4 0 2");
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
    struct cli_ring ring = {.node_count = 1};
    struct cli_ring_node node = {.host = "h"};
    struct cli_replication replication;
    static const char *const bad[] = {"12", "x"};
    ring.nodes = &node;
    node.tokens = text_list(bad, 2);
    ck_fails(cli_ring_build(&ring, &arena, &err), BASE_E_INVALID, err);
    ck_assert_uint_eq(ring.token_count, 0);
    node.tokens = text_list(bad, 1);
    node.tokens.len--; /* the last byte is missing */
    ck_fails(cli_ring_build(&ring, &arena, &err), BASE_E_INVALID, err);
    ck_fails(cli_replication_parse(base_slice("\0\0\0\1\0\0", 6), &replication, &err),
             BASE_E_INVALID, err);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replicas");
    TCase *tc = tcase_create("replicas");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, a_node_owns_up_to_its_token_and_the_next_ones_follow);
    tcase_add_test(tc, a_data_centre_spreads_its_replicas_over_its_racks);
    tcase_add_test(tc, what_cannot_be_read_is_refused);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
