/* nodetool's commands about the cluster: what a node that is alone answers, and how answers are
 * laid out. Without these tests a column could move or a state letter be wrong, and the scripts
 * that read them would take one node for another. */
#include "base/json.h"
#include "tests/unit/node/node_fixture.h"

static struct base_buf json, text;

static void setup(void)
{
    fixture_setup();
    base_buf_init(&json, 1 << 24);
    base_buf_init(&text, 1 << 24);
}

static void teardown(void)
{
    base_buf_fini(&json);
    base_buf_fini(&text);
    fixture_teardown();
}

static void terminate(struct base_buf *buf)
{
    OK(base_buf_put_u8(buf, 0));
    buf->len--;
}

static int admin(const char *command, const char *const *args, size_t count)
{
    base_buf_reset(&json);
    base_buf_reset(&text);
    int rc = node_admin(fixture.node, command, args, count, &json, &fixture.err);
    if (rc == BASE_OK)
        OK(node_admin_render(command, base_buf_view(&json), &text, &fixture.err));
    else
        ck_assert_uint_eq(json.len, 0);
    terminate(&json);
    terminate(&text);
    return rc;
}

static int admin0(const char *command)
{
    return admin(command, NULL, 0);
}

#define ADMIN(command, ...)                                                                        \
    admin(command, (const char *const[]){__VA_ARGS__},                                             \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void render(const char *command, const char *answer)
{
    base_buf_reset(&text);
    OK(node_admin_render(command, base_slice_str(answer), &text, &fixture.err));
    terminate(&text);
}

#define JSON_HAS(part)                                                                             \
    ck_assert_msg(strstr((char *)json.data, part), "no %s in %s", part, (char *)json.data)
#define TEXT_HAS(part)                                                                             \
    ck_assert_msg(strstr((char *)text.data, part), "no %s in %s", part, (char *)text.data)
#define TEXT_IS(whole) ck_assert_str_eq((char *)text.data, whole)

/* Alone. */

START_TEST(alone_is_a_cluster_of_one)
{
    char id[37];
    base_uuid_print(fixture.node->identity.host_id, id);
    OK(admin0("status"));
    JSON_HAS("\"address\": \"127.0.0.1:7000\", \"code\": \"UN\"");
    JSON_HAS("\"owns\": 1");
    JSON_HAS("\"ownership\": \"effective\"");
    JSON_HAS("\"self\": true");
    TEXT_HAS("Datacenter: datacenter1\n=======================\n");
    TEXT_HAS("UN  127.0.0.1  ");
    TEXT_HAS("100.0%");
    TEXT_HAS(id);
    OK(ADMIN("status", "lab"));
    JSON_HAS("\"keyspace\": \"lab\"");
    OK(admin0("ring"));
    JSON_HAS("\"ring\": []");
    OK(admin0("describecluster"));
    JSON_HAS("\"live\": 1");
    TEXT_HAS("Name: Test Cluster");
    TEXT_HAS(": [127.0.0.1]\n");
    TEXT_HAS("datacenter1 #Nodes: 1 #Down: 0");
    TEXT_HAS("lab -> Replication class: SimpleStrategy {replication_factor=1}");
    OK(admin0("gossipinfo"));
    TEXT_HAS("/127.0.0.1\n  generation:1\n");
    TEXT_HAS("STATUS:NORMAL");
    OK(admin0("info"));
    TEXT_HAS("Gossip active          : false");
}
END_TEST

START_TEST(alone_has_no_peers)
{
    OK(admin0("tpstats"));
    TEXT_HAS("MemtableFlushWriter");
    ck_assert_ptr_null(strstr((char *)text.data, "MutationStage"));
    OK(admin0("netstats"));
    TEXT_HAS("Mode: NORMAL\n");
    JSON_HAS("\"peers\": []");
    OK(admin0("proxyhistograms"));
    JSON_HAS("\"read\": {\"50%\": 0");
    OK(admin0("statushandoff"));
    TEXT_IS("Hinted handoff is not running\n");
    OK(admin0("listpendinghints"));
    TEXT_IS("This node does not have any pending hints\n");
    static const char *const refused[] = {"pausehandoff", "resumehandoff", "truncatehints",
                                          "drain"};
    for (size_t i = 0; i < BASE_COUNT(refused); i++) {
        ck_assert(node_admin_changes_state(refused[i]));
        FAILS(BASE_E_CLOSED, admin0(refused[i]));
        SAYS("this node is in no cluster");
    }
    ck_assert(!node_admin_changes_state("status"));
    ck_assert(!node_admin_changes_state("frobnicate"));
}
END_TEST

START_TEST(endpoints_take_keys_as_people_write_them)
{
    char before[256];
    fixture_cql("CREATE TABLE lab.pairs (a text, b int, v int, PRIMARY KEY ((a, b)))");
    OK(ADMIN("getendpoints", "lab", "pairs", "x:7"));
    TEXT_IS("127.0.0.1\n");
    snprintf(before, sizeof before, "%s", (char *)json.data);
    OK(ADMIN("getendpoints", "lab", "pairs", "x", "7"));
    ck_assert_str_eq(before, (char *)json.data);
    OK(ADMIN("getendpoints", "lab", "pairs", "x\\:y:7"));
    ck_assert_str_ne(before, (char *)json.data);
    snprintf(before, sizeof before, "%s", (char *)json.data);
    OK(ADMIN("getendpoints", "lab", "pairs", "x:y", "7"));
    ck_assert_str_eq(before, (char *)json.data);
    FAILS(BASE_E_INVALID, ADMIN("getendpoints", "lab", "pairs", "x"));
    SAYS("has 2 columns, not 1");
    FAILS(BASE_E_INVALID, ADMIN("getendpoints", "lab", "pairs", "x", "y"));
    SAYS("column b");
    FAILS(BASE_E_INVALID, ADMIN("getendpoints", "lab", "pairs"));
    SAYS("usage: getendpoints KEYSPACE TABLE KEY");
    FAILS(BASE_E_NOTFOUND, ADMIN("getendpoints", "lab", "pear", "x"));
    SAYS("there is no table lab.pear");
    FAILS(BASE_E_NOTFOUND, ADMIN("status", "lob"));
    SAYS("there is no keyspace lob");
    FAILS(BASE_E_INVALID, ADMIN("status", "lab", "lab"));
    FAILS(BASE_E_INVALID, ADMIN("gossipinfo", "x"));
}
END_TEST

/* Layouts. */

#define NODE_A                                                                                     \
    "{\"datacenter\": \"dc1\", \"rack\": \"r1\", \"address\": \"127.0.0.1:7000\", "                \
    "\"code\": \"UN\", \"status\": \"Up\", \"state\": \"Normal\", \"load_bytes\": 1536, "          \
    "\"tokens\": 16, \"owns\": 0.6667, \"host_id\": \"11111111-2222-8333-8444-555555555555\"}"
#define NODE_B                                                                                     \
    "{\"datacenter\": \"dc2\", \"rack\": \"Süd\", \"address\": \"10.0.0.22:7001\", "              \
    "\"code\": \"DJ\", \"status\": \"Down\", \"state\": \"Joining\", \"load_bytes\": 0, "          \
    "\"tokens\": 0, \"owns\": null, \"host_id\": \"a\"}"

START_TEST(status_layout)
{
    render("status", "{\"ownership\": \"effective\", \"nodes\": [" NODE_A ", " NODE_B "]}");
    TEXT_IS("Datacenter: dc1\n"
            "===============\n"
            "Status=Up/Down\n"
            "|/ State=Normal/Leaving/Joining/Moving\n"
            "--  Address         Load      Tokens  Owns (effective)  Host ID                       "
            "        Rack\n"
            "UN  127.0.0.1       1.50 KiB  16      66.7%             "
            "11111111-2222-8333-8444-555555555555  r1\n"
            "\n"
            "Datacenter: dc2\n"
            "===============\n"
            "Status=Up/Down\n"
            "|/ State=Normal/Leaving/Joining/Moving\n"
            "--  Address         Load      Tokens  Owns (effective)  Host ID                       "
            "        Rack\n"
            "DJ  10.0.0.22:7001  0 bytes   0       ?                 a                             "
            "        Süd\n"
            "\n");
    render("status", "{\"ownership\": \"unknown\", \"nodes\": []}");
    TEXT_HAS("name a keyspace");
    ck_assert_int_ne(node_admin_render("status", BASE_SLICE_LIT("{}"), &text, &fixture.err), 0);
    ck_assert_int_ne(node_admin_render("status", BASE_SLICE_LIT("{\"nodes\": [1]}"), &text, NULL),
                     BASE_E_NOMEM);
}
END_TEST

START_TEST(ring_layout)
{
    render("ring", "{\"ownership\": \"tokens\", \"nodes\": [" NODE_A "], \"ring\": ["
                   "{\"token\": -5, \"node\": 0, \"datacenter\": \"dc1\"}, {\"token\": 9, "
                   "\"node\": 0, \"datacenter\": \"dc1\"},"
                   "{\"token\": 10, \"node\": 7, \"datacenter\": \"dc1\"}]}");
    TEXT_IS("Datacenter: dc1\n"
            "===============\n"
            "Address    Rack  Status  State    Load      Owns      Token\n"
            "                                                      10\n"
            "127.0.0.1  r1    Up      Normal   1.50 KiB  66.67%    -5\n"
            "127.0.0.1  r1    Up      Normal   1.50 KiB  66.67%    9\n"
            "\n");
}
END_TEST

START_TEST(other_layouts)
{
    render("describecluster", "{\"name\": \"c\", \"snitch\": \"SimpleSnitch\", \"dynamic_snitch\": "
                              "true, \"partitioner\": \"p\", \"epoch\": 3, "
                              "\"schema_versions\": {\"v\": [\"127.0.0.1:7000\", "
                              "\"127.0.0.2:7000\"], \"UNREACHABLE\": []}, \"live\": 2, "
                              "\"joining\": 0, \"unreachable\": 1, \"datacenters\": {\"d\": "
                              "{\"nodes\": 3, \"down\": 1}}, "
                              "\"keyspaces\": {\"k\": {\"class\": \"NetworkTopologyStrategy\", "
                              "\"d\": \"3\", \"e\": \"2\"}}}");
    TEXT_HAS("\t\tv: [127.0.0.1, 127.0.0.2]\n\t\tUNREACHABLE: []\n");
    TEXT_HAS("\tLive: 2\n");
    TEXT_HAS("\td #Nodes: 3 #Down: 1\n");
    TEXT_HAS("\tk -> Replication class: NetworkTopologyStrategy {d=3, e=2}\n");
    render("tpstats", "{\"pools\": [{\"name\": \"ReadStage\", \"active\": 1, \"pending\": 2, "
                      "\"completed\": 3, \"blocked\": 0}], "
                      "\"dropped\": {\"expired\": 4}}");
    TEXT_HAS(
        "ReadStage                               1          2              3                 0\n");
    TEXT_HAS("expired                                 4\n");
    render("netstats", "{\"mode\": \"NORMAL\", \"pools\": [], \"peers\": [{\"address\": "
                       "\"127.0.0.2:7000\", \"connected\": true, "
                       "\"pending\": 1, \"completed\": 2, \"dropped\": 3}], \"bytes_sent\": 2048}");
    TEXT_HAS("/127.0.0.2 ");
    TEXT_HAS("Sent: 2.00 KiB");
    render("proxyhistograms", "{\"read\": {\"50%\": 310, \"max\": 446, \"count\": 9}}");
    TEXT_HAS("50%                    310.00               0.00");
    render("getendpoints", "{\"endpoints\": [\"127.0.0.3:7000\", \"127.0.0.1:7001\"]}");
    TEXT_IS("127.0.0.3\n127.0.0.1:7001\n");
    render("statushandoff",
           "{\"running\": true, \"paused\": true, \"hints\": 2, \"hints_bytes\": 100}");
    TEXT_IS("Hinted handoff is paused\n2 hints are kept (100 bytes)\n");
    render("truncatehints", "{\"hosts\": 1}");
    TEXT_IS("hints for 1 host are being removed\n");
    render("listpendinghints", "[{\"host_id\": \"h\", \"address\": \"127.0.0.2:7000\", \"rack\": "
                               "\"r\", \"datacenter\": \"d\", \"status\": \"DOWN\", "
                               "\"hints\": 5, \"hints_bytes\": 600}]");
    TEXT_HAS("DOWN             5          600\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/admin_cluster");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, alone_is_a_cluster_of_one);
    tcase_add_test(tc, alone_has_no_peers);
    tcase_add_test(tc, endpoints_take_keys_as_people_write_them);
    tcase_add_test(tc, status_layout);
    tcase_add_test(tc, ring_layout);
    tcase_add_test(tc, other_layouts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
