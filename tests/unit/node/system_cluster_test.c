/* Three daemons: what each says of the others (drivers find the cluster by it), and the keyspaces
 * that the cluster keeps for itself. */
#include "tests/lib/ck.h"
#include "tests/unit/node/system_cluster.h"

#include <unistd.h>

static struct node *announced; /* whose */

static void announce(void *ctx, struct repl *repl)
{
    nodei_native_announce(announced, repl, *(uint16_t *)ctx);
}

/* As the listener does it. */
static void announce_port(int i, uint16_t port)
{
    announced = daemons[i].node;
    OK(nodei_on_loop(announced, announce, &port, &fixture.err));
}

static void three(void)
{
    daemon_open(0, NULL);
    daemon_open(1, "dc", "lab2", "rack", "r2", NULL);
    daemon_open(2, NULL);
    daemons_settle(3);
}

static const char *until(int i, const char *table, size_t count, const char *having)
{
    const char *rows = "";
    for (int tries = 0; tries < 6000; tries++) {
        rows = system_rows_on_loop(daemons[i].node, "system", table, NULL);
        if (system_count(rows) == count && strstr(rows, having))
            return rows;
        usleep(20000);
    }
    ck_abort_msg("node%d: %s has not %zu rows with %s, but:\n%s", i + 1, table, count, having,
                 rows);
}

START_TEST(peers)
{
    three();
    char id[37];
    for (int i = 0; i < 3; i++)
        announce_port(i, 0);
    until(0, "peers_v2", 0, ""); /* who serves none is left out */
    for (int i = 0; i < 3; i++)
        announce_port(i, (uint16_t)(9050 + i));
    const char *rows = until(0, "peers_v2", 2, "native_port=9052");
    base_uuid_print(daemons[1].node->identity.host_id, id);
    system_row_with(rows, "peer=127.0.0.2 ", with_port("peer_port=@"), "native_address=127.0.0.2",
                    "native_port=9051", "data_center=lab2", "rack=r2", "release_version=5.0.2",
                    "tokens={'-", id, "schema_version=", NULL);
    rows = until(0, "peers", 2, "127.0.0.3");
    system_row_with(rows, "peer=127.0.0.2 ", "rpc_address=127.0.0.2", "data_center=lab2", id,
                    "tokens={'-", NULL);
    rows = until(2, "peers_v2", 2, "native_port=9050");
    ck_assert(!strstr(rows, "9052")); /* not itself */
    rows = system_rows_on_loop(daemons[1].node, "system", "local", "local");
    system_row_with(rows, id, "rpc_address=127.0.0.2", "rpc_port=9051", "data_center=lab2",
                    "rack=r2", "tokens={'-", "cluster_name=unit", "broadcast_address=127.0.0.2",
                    with_port("broadcast_port=@"), NULL);
    announce_port(1, 0);
    until(0, "peers_v2", 1, "native_port=9052");
    system_row_with(system_rows_on_loop(daemons[0].node, "system_views", "gossip_info", NULL),
                    "address=127.0.0.2", "rpc_ready=false", NULL);
    system_row_with(
        system_rows_on_loop(daemons[0].node, "system_views", "internode_outbound", NULL), "dc=lab2",
        "sent_count=", NULL);
}
END_TEST

static void version_of(const char *row, char out[40])
{
    const char *at = strstr(row, "schema_version=");
    ck_assert_ptr_nonnull(at);
    snprintf(out, 40, "%.36s", at + strlen("schema_version="));
}

/* Drivers are told of a member that is down, also by nodes that have not met it since they were
 * started. */
START_TEST(peers_that_are_down)
{
    three();
    for (int i = 0; i < 3; i++)
        announce_port(i, (uint16_t)(9050 + i));
    for (int i = 0; i < 3; i++)
        until(i, "peers_v2", 2, i == 2 ? "native_port=9051" : "native_port=9052");
    daemon_close(2); /* it says first that it serves none any more */
    until(0, "peers_v2", 2, "native_port=9052");
    for (int i = 0; i < 2; i++)
        daemon_close(i);
    daemon_open(0, NULL);
    char id[37], own[40];
    base_uuid_print(daemons[0].node->identity.host_id, id);
    version_of(system_rows_on_loop(daemons[0].node, "system", "local", NULL), own);
    const char *rows = until(0, "peers_v2", 2, "native_port=9052");
    system_row_with(rows, "native_address=127.0.0.3", "peer=127.0.0.3 ", "data_center=lab1",
                    "release_version=5.0.2", "tokens={'-", NULL);
    ck_assert(!strstr(rows, id));
    system_row_with(rows, "native_address=127.0.0.3", own, NULL);
    until(0, "peers", 2, "rpc_address=127.0.0.3");
    daemon_open(1, "dc", "lab2", "rack", "r2", NULL);
    announce_port(1, 9061); /* elsewhere now */
    until(0, "peers_v2", 2, "native_port=9061");
    ck_assert(strstr(until(0, "peers_v2", 2, "native_port=9052"), "9061"));
}
END_TEST

/* What a driver polls after a change until it is one: on any node, soon. */
START_TEST(schema_agreement)
{
    three();
    for (int i = 0; i < 3; i++)
        announce_port(i, 9042);
    for (int i = 0; i < 3; i++)
        until(i, "peers_v2", 2, "9042");
    char before[40], own[40];
    version_of(system_rows_on_loop(daemons[0].node, "system", "local", NULL), before);
    daemon_cql(0, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                  "'replication_factor': 3}");
    /* The node that changed it knows the others' epoch from their own answers. */
    const char *rows = system_rows_on_loop(daemons[0].node, "system", "local", NULL);
    version_of(rows, own);
    ck_assert_str_ne(own, before);
    rows = system_rows_on_loop(daemons[0].node, "system", "peers_v2", NULL);
    system_row_with(rows, "127.0.0.2", own, NULL);
    system_row_with(rows, "127.0.0.3", own, NULL);
    for (int i = 1; i < 3; i++) {
        system_row_with(system_rows_on_loop(daemons[i].node, "system", "local", NULL), own, NULL);
        for (int tries = 0; tries < 6000; tries++) {
            rows = system_rows_on_loop(daemons[i].node, "system", "peers_v2", NULL);
            if (!strstr(rows, before))
                break;
            usleep(20000);
        }
        ck_assert_msg(!strstr(rows, before), "node%d: %s", i + 1, rows);
    }
}
END_TEST

START_TEST(keyspaces_are_made_once)
{
    daemon_open(0, NULL);
    daemons_settle(1);
    uint64_t epoch = node_schema_epoch(daemons[0].node);
    const char *rows =
        system_rows_on_loop(daemons[0].node, "system_schema", "tables", "system_auth");
    static const char *const tables[] = {"roles",
                                         "role_members",
                                         "role_permissions",
                                         "resource_role_permissons_index",
                                         "network_permissions",
                                         "cidr_permissions",
                                         "cidr_groups",
                                         "identity_to_role"};
    ck_assert_uint_eq(system_count(rows), BASE_COUNT(tables));
    for (size_t i = 0; i < BASE_COUNT(tables); i++)
        system_row_with(rows, tables[i], "gc_grace_seconds=7776000", NULL);
    daemon_close(0);
    daemon_open(0, NULL);
    daemons_settle(1);
    usleep(300000);
    ck_assert_uint_eq(node_schema_epoch(daemons[0].node), epoch);
}
END_TEST

/* Not in a node that serves no clients. */
START_TEST(only_for_clients)
{
    daemon_open(0, "start_native_transport", "false", NULL);
    usleep(500000);
    ck_assert_uint_eq(
        system_count(system_rows_on_loop(daemons[0].node, "system_schema", "keyspaces", NULL)), 2);
}
END_TEST

START_TEST(users_leave_them_alone)
{
    daemon_open(0, NULL);
    daemons_settle(1);
    static const char *const refused[] = {
        "DROP KEYSPACE system_auth",
        "DROP KEYSPACE system_traces",
        "DROP TABLE system_auth.roles",
        "DROP KEYSPACE system",
        "ALTER TABLE system_auth.roles ADD x int",
        "CREATE TABLE system_traces.mine (a int PRIMARY KEY)",
        "ALTER KEYSPACE system_schema WITH durable_writes = false",
    };
    for (size_t i = 0; i < BASE_COUNT(refused); i++)
        ck_assert_msg(daemon_try_cql(0, refused[i]) == BASE_E_UNAUTHORIZED, "%s: %s", refused[i],
                      fixture.err.text);
    daemon_cql(0, "ALTER KEYSPACE system_auth WITH replication = {'class': "
                  "'NetworkTopologyStrategy', 'lab1': 1}");
    system_row_with(
        system_rows_on_loop(daemons[0].node, "system_schema", "keyspaces", "system_auth"),
        "'lab1': '1'", NULL);
    daemon_cql(0, "TRUNCATE system_traces.events");
}
END_TEST

/* Traces are not in the way of a node that joins. */
START_TEST(traces_do_not_stop_joining)
{
    daemon_open(0, NULL);
    daemons_settle(1);
    fixture.schema = node_schema(daemons[0].node);
    fixture.table = base_schema_table(fixture.schema, BASE_SLICE_LIT("system_traces"),
                                      BASE_SLICE_LIT("sessions"));
    struct base_buf pkey, row, mutation;
    struct base_row_builder builder;
    const uint8_t ckey = BASE_KEY_AT;
    base_buf_init(&pkey, 100);
    base_buf_init(&row, 100);
    base_buf_init(&mutation, 1000);
    OK(base_pkey_put(base_slice("0123456789abcdef", 16), &pkey));
    OK(base_row_begin(&builder, &row, node_timestamp(daemons[0].node)));
    OK(base_row_put_liveness(&builder, 0, 0));
    base_row_end(&builder);
    OK(base_mutation_put_row(&mutation, fixture.table->id, base_buf_view(&pkey),
                             base_slice(&ckey, 1), base_buf_view(&row)));
    OK(node_write(daemons[0].session, fixture.table, base_buf_view(&mutation), 1, NODE_CL_ONE,
                  &fixture.err));
    base_buf_fini(&pkey);
    base_buf_fini(&row);
    base_buf_fini(&mutation);
    base_schema_release(fixture.schema);
    daemon_open(1, NULL);
    daemons_settle(2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("node/system_cluster");
    TCase *tc = tcase_create("system_cluster");
    tcase_add_checked_fixture(tc, daemons_setup, daemons_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, peers);
    tcase_add_test(tc, peers_that_are_down);
    tcase_add_test(tc, schema_agreement);
    tcase_add_test(tc, keyspaces_are_made_once);
    tcase_add_test(tc, only_for_clients);
    tcase_add_test(tc, users_leave_them_alone);
    tcase_add_test(tc, traces_do_not_stop_joining);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return ck_main(suite());
}
