/* Roles: CREATE, ALTER, DROP, LIST of them, and logging in. What breaks without it: a password that
 * does not count, one that counts after it was changed, a default superuser that anybody on the
 * network can be, or that comes back. */
#include "base/key.h"
#include "node/roles_private.h"
#include "tests/lib/ck.h"
#include "tests/unit/node/loop_client.h"

#include <unistd.h>

/* "ringlet" by bcrypt at its least cost. */
#define HASH_OF_RINGLET "$2a$04$abcdefghijklmnopqrstuuHoTJxgCf8blGfiONdixcCqfX7KabJKq"

static struct loop_client su;

static void setup(void)
{
    daemons_setup();
    daemon_open(0, "authenticator", "PasswordAuthenticator", "roles_validity", "200ms", NULL);
    daemons_settle(1);
    loop_client_init(&su, 0);
    snprintf(su.client.role, sizeof su.client.role, "cassandra");
}

/* A client logged in with this role. */
static struct loop_client client_of(const char *role, bool is_superuser)
{
    struct loop_client c;
    loop_client_init(&c, 0);
    snprintf(c.client.role, sizeof c.client.role, "%s", role);
    c.client.is_superuser = is_superuser;
    return c;
}

static void logs_in(const char *user, const char *password, bool superuser)
{
    struct nodei_login login;
    ck_assert_msg(loop_login(0, user, password, true, &login) == BASE_OK, "%s: %s", user,
                  fixture.err.text);
    ck_assert(login.can_login);
    ck_assert_int_eq(login.is_superuser, superuser);
}

static void does_not(const char *user, const char *password, const char *why)
{
    struct nodei_login login;
    ck_assert_int_eq(loop_login(0, user, password, true, &login), BASE_E_UNAUTHORIZED);
    ck_assert(!login.can_login && !login.is_superuser);
    SAYS(why);
}

#define WRONG "and/or password are incorrect"

START_TEST(default_superuser)
{
    ck_assert(nodei_auth_is_required(daemons[0].node));
    logs_in("cassandra", "cassandra", true);
    does_not("cassandra", "other", "Provided username cassandra " WRONG);
    does_not("cassandra", "", WRONG);
    does_not("nobody", "cassandra", "Provided username nobody " WRONG);
    /* not from afar */
    ck_assert_int_eq(loop_login(0, "cassandra", "cassandra", false, NULL), BASE_E_UNAUTHORIZED);
    SAYS(WRONG);
    ck_assert_str_eq(loop_run(&su, "LIST ROLES"), "cassandra|true|true|{}|ALL\n");
    loop_run(&su, "ALTER ROLE cassandra WITH PASSWORD = 'better'");
    does_not("cassandra", "cassandra", WRONG);
    logs_in("cassandra", "better", true);
    OK(loop_login(0, "cassandra", "better", false, NULL)); /* from everywhere now */
    ck_assert_str_eq(loop_run(&su, "SELECT role, can_login, is_superuser FROM system_auth.roles"),
                     "cassandra|true|true\n");
    ck_assert_ptr_nonnull(
        strstr(loop_run(&su, "SELECT salted_hash FROM system_auth.roles"), "$2a$10$"));
}
END_TEST

/* Other changes leave its password what it is. */
START_TEST(default_superuser_altered)
{
    loop_run(&su, "CREATE ROLE dba WITH PASSWORD = 'x' AND LOGIN = true AND SUPERUSER = true");
    struct loop_client dba = client_of("dba", true);
    loop_run(&dba, "ALTER ROLE cassandra WITH SUPERUSER = false");
    logs_in("cassandra", "cassandra", false);
    ck_assert_int_eq(loop_login(0, "cassandra", "cassandra", false, NULL), BASE_E_UNAUTHORIZED);
    loop_run(&dba, "ALTER ROLE cassandra WITH LOGIN = false");
    does_not("cassandra", "cassandra", "cassandra is not permitted to log in");
    loop_run(&dba, "DROP ROLE cassandra");
    does_not("cassandra", "cassandra", WRONG);
    ck_assert_str_eq(loop_run(&dba, "LIST ROLES"), "dba|true|true|{}|ALL\n");
    ck_assert_int_eq(loop_try(&dba, "DROP ROLE cassandra"), BASE_E_INVALID);
    SAYS("cassandra doesn't exist");
    loop_run(&dba, "CREATE ROLE cassandra WITH PASSWORD = 'again' AND LOGIN = true");
    logs_in("cassandra", "again", false);
}
END_TEST

START_TEST(statements)
{
    loop_run(&su, "CREATE ROLE alice WITH PASSWORD = 'secret' AND LOGIN = true");
    loop_run(&su, "CREATE USER bob WITH PASSWORD 'geheim' SUPERUSER");
    loop_run(&su, "CREATE ROLE staff");
    logs_in("alice", "secret", false);
    logs_in("bob", "geheim", true);
    does_not("staff", "", WRONG);
    ck_assert_str_eq(loop_run(&su, "LIST ROLES"),
                     "alice|false|true|{}|ALL\nbob|true|true|{}|ALL\ncassandra|true|true|{}|ALL\n"
                     "staff|false|false|{}|ALL\n");
    ck_assert_str_eq(loop_run(&su, "LIST USERS"),
                     "alice|false|ALL\nbob|true|ALL\ncassandra|true|ALL\n");
    ck_assert_str_eq(loop_run(&su, "LIST ROLES OF alice"), "alice|false|true|{}|ALL\n");
    loop_run(&su, "ALTER USER alice WITH PASSWORD 'new one' NOSUPERUSER");
    does_not("alice", "secret", WRONG);
    logs_in("alice", "new one", false);
    loop_run(&su, "ALTER ROLE alice WITH LOGIN = false");
    does_not("alice", "new one", "alice is not permitted to log in");
    loop_run(&su, "ALTER ROLE alice WITH LOGIN = true AND SUPERUSER = true");
    logs_in("alice", "new one", true); /* the password stayed */
    loop_run(&su, "DROP ROLE alice");
    does_not("alice", "new one", WRONG);
    loop_run(&su, "DROP USER IF EXISTS alice");
    loop_run(&su, "ALTER ROLE IF EXISTS alice WITH LOGIN = true");
    loop_run(&su, "CREATE ROLE IF NOT EXISTS bob WITH PASSWORD = 'other'");
    logs_in("bob", "geheim", true);
    ck_assert_str_eq(loop_run(&su, "LIST USERS"), "bob|true|ALL\ncassandra|true|ALL\n");
}
END_TEST

START_TEST(hashed_passwords)
{
    loop_run(&su, "CREATE ROLE h WITH HASHED PASSWORD = '" HASH_OF_RINGLET "' AND LOGIN = true");
    logs_in("h", "ringlet", false);
    does_not("h", "Ringlet", WRONG);
    ck_assert(nodei_hash_is_valid(BASE_SLICE_LIT(HASH_OF_RINGLET)));
    static const char *const bad[] = {
        "",
        "x",
        "$1$abc$def",
        "$2a$10$short",
        "$2a$99$abcdefghijklmnopqrstuuO1qZ2Yx3Wv4Ut5Sr6Qp7On8Ml9Kj0Iabc",
        "$2x$10$abcdefghijklmnopqrstuuO1qZ2Yx3Wv4Ut5Sr6Qp7On8Ml9Kj0Iabc",
        "$2a$17$abcdefghijklmnopqrstuuHoTJxgCf8blGfiONdixcCqfX7KabJKq"};
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        ck_assert(!nodei_hash_is_valid(base_slice_str(bad[i])));
    ck_assert_int_eq(loop_try(&su, "CREATE ROLE i WITH HASHED PASSWORD = 'plain'"), BASE_E_INVALID);
    SAYS("Invalid hashed password value");
    /* Written around us: it lets nobody in, and holds nobody up. */
    loop_run(&su,
             "INSERT INTO system_auth.roles (role, can_login, salted_hash) VALUES ('odd', true, "
             "'$2a$31$abcdefghijklmnopqrstuuHoTJxgCf8blGfiONdixcCqfX7KabJKq')");
    does_not("odd", "ringlet", WRONG);
}
END_TEST

START_TEST(refusals)
{
    static const struct {
        const char *text;
        int rc;
        const char *says;
    } cases[] = {
        {"CREATE ROLE cassandra", BASE_E_INVALID, "cassandra already exists"},
        {"ALTER ROLE nobody WITH LOGIN = true", BASE_E_INVALID, "Role nobody doesn't exist"},
        {"DROP ROLE nobody", BASE_E_INVALID, "nobody doesn't exist"},
        {"DROP ROLE cassandra", BASE_E_INVALID, "Cannot DROP primary role for current login"},
        {"ALTER ROLE cassandra WITH SUPERUSER = false", BASE_E_UNAUTHORIZED,
         "your own superuser status"},
        {"LIST ROLES OF nobody", BASE_E_INVALID, "nobody doesn't exist"},
        {"CREATE ROLE a WITH PASSWORD = 'x' AND HASHED PASSWORD = '" HASH_OF_RINGLET "'",
         BASE_E_SYNTAX, "mutually exclusive"},
        {"CREATE ROLE a WITH PASSWORD = 'x' AND PASSWORD = 'y'", BASE_E_SYNTAX,
         "Multiple definitions for property 'password'"},
        {"CREATE ROLE a WITH OPTIONS = {'a': 'b'}", BASE_E_INVALID, "OPTIONS"},
        {"CREATE ROLE a WITH ACCESS TO DATACENTERS {'dc1'}", BASE_E_INVALID,
         "ACCESS TO DATACENTERS"},
    };
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        ck_assert_msg(loop_try(&su, cases[i].text) == cases[i].rc, "%s: %s", cases[i].text,
                      fixture.err.text);
        SAYS(cases[i].says);
    }
    loop_run(&su, "CREATE ROLE a WITH ACCESS TO ALL DATACENTERS");
}
END_TEST

/* Who is no superuser: its own password, and nothing else; and the tables are not a way around. */
START_TEST(others)
{
    loop_run(&su, "CREATE ROLE eve WITH PASSWORD = 'e' AND LOGIN = true");
    loop_run(&su, "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                  "'replication_factor': 1}");
    loop_run(&su, "CREATE TABLE lab.t (k int PRIMARY KEY, v int)");
    struct loop_client eve = client_of("eve", false);
    static const char *const refused[] = {
        "CREATE ROLE x",
        "CREATE ROLE x WITH SUPERUSER = true",
        "ALTER ROLE eve WITH SUPERUSER = true",
        "ALTER ROLE eve WITH LOGIN = false",
        "ALTER ROLE cassandra WITH PASSWORD = 'mine'",
        "DROP ROLE cassandra",
        "LIST ROLES OF cassandra",
        "SELECT * FROM system_auth.roles",
        "INSERT INTO system_auth.roles (role, is_superuser) VALUES ('eve', true)",
        "UPDATE system_auth.roles SET is_superuser = true WHERE role = 'eve'",
        "DELETE FROM system_auth.roles WHERE role = 'cassandra'",
        "BEGIN BATCH INSERT INTO lab.t (k, v) VALUES (1, 1); INSERT INTO system_auth.roles (role, "
        "is_superuser) VALUES ('eve', true); "
        "APPLY BATCH",
        "TRUNCATE system_auth.roles",
        "ALTER KEYSPACE system_auth WITH durable_writes = false",
    };
    for (size_t i = 0; i < BASE_COUNT(refused); i++)
        ck_assert_msg(loop_try(&eve, refused[i]) == BASE_E_UNAUTHORIZED, "%s: %s", refused[i],
                      fixture.err.text);
    loop_run(&eve, "USE system_auth");
    ck_assert_int_eq(loop_try(&eve, "TRUNCATE roles"), BASE_E_UNAUTHORIZED);
    loop_run(&eve, "INSERT INTO lab.t (k, v) VALUES (1, 1)");
    ck_assert_str_eq(loop_run(&eve, "LIST ROLES"), "eve|false|true|{}|ALL\n");
    loop_run(&eve, "ALTER ROLE eve WITH PASSWORD = 'mine'");
    logs_in("eve", "mine", false);
    does_not("eve", "e", WRONG);
    logs_in("cassandra", "cassandra", true);
}
END_TEST

/* A superuser who is none any more, on a connection from before. */
START_TEST(demoted)
{
    loop_run(&su, "CREATE ROLE dba WITH PASSWORD = 'x' AND LOGIN = true AND SUPERUSER = true");
    struct loop_client dba = client_of("dba", true);
    loop_run(&dba, "CREATE ROLE a");
    loop_run(&su, "ALTER ROLE dba WITH SUPERUSER = false");
    ck_assert_int_eq(loop_try(&dba, "CREATE ROLE b"), BASE_E_UNAUTHORIZED);
    ck_assert(!dba.client.is_superuser);
    loop_run(&dba, "ALTER ROLE dba WITH PASSWORD = 'y'");
    loop_run(&su, "DROP ROLE dba");
    ck_assert_int_eq(loop_try(&dba, "DROP ROLE a"), BASE_E_UNAUTHORIZED);
}
END_TEST

/* What another node (here: a statement that goes around us) changes counts after roles_validity. */
START_TEST(validity)
{
    loop_run(&su, "CREATE ROLE v WITH PASSWORD = 'v' AND LOGIN = true");
    logs_in("v", "v", false);
    loop_run(&su, "UPDATE system_auth.roles SET is_superuser = true WHERE role = 'v'");
    usleep(300000);
    logs_in("v", "v", true);
}
END_TEST

/* A bcrypt each, known or not. (That the one for nobody is worked at is asserted where it is
 * made.) */
START_TEST(everybody_costs_the_same)
{
    static const char *const users[] = {"known", "unknown", "cassandra", ""};
    struct node_lane_stats before, after;
    loop_run(&su, "CREATE ROLE known WITH PASSWORD = 'k' AND LOGIN = true");
    for (size_t i = 0; i < BASE_COUNT(users); i++) {
        node_executor_get_stats(daemons[0].node->executor, BASE_LANE_AUTH, &before);
        does_not(users[i], "wrong", WRONG);
        for (int tries = 0; tries < 60000; tries++) { /* a job counts when its step has returned */
            node_executor_get_stats(daemons[0].node->executor, BASE_LANE_AUTH, &after);
            if (after.completed != before.completed)
                break;
            usleep(1000);
        }
        ck_assert_uint_eq(after.completed - before.completed, 1);
    }
}
END_TEST

/* The replica of the default superuser's row that a quorum asks last. */
static void find_last_replica(void *ctx, struct repl *repl)
{
    const struct base_keyspace *keyspace =
        base_schema_keyspace(repl_schema(repl), BASE_SLICE_LIT("system_auth"));
    const struct ring_placement *placement = repl_placement(repl, keyspace);
    const struct ring_range *range =
        ring_placement_find(placement, base_token(BASE_SLICE_LIT("cassandra")));
    ck_assert_uint_eq(range->read.count, 3);
    *(struct base_uuid *)ctx = placement->state->members[range->read.members[2]].host_id;
}

/* Into the store of one node: a row with a hash. */
static void store_role(struct node *node)
{
    struct base_schema *schema = node_schema(node);
    const struct base_table *table =
        base_schema_table(schema, BASE_SLICE_LIT("system_auth"), BASE_SLICE_LIT("roles"));
    struct base_buf pkey, row, mutation;
    struct base_row_builder builder;
    const uint8_t ckey = BASE_KEY_AT;
    base_buf_init(&pkey, 100);
    base_buf_init(&row, 1000);
    base_buf_init(&mutation, 2000);
    OK(base_pkey_put(BASE_SLICE_LIT("cassandra"), &pkey));
    OK(base_row_begin(&builder, &row, node_timestamp(node)));
    OK(base_row_put_liveness(&builder, 0, 0));
    for (size_t i = 0; i < table->column_count; i++) {
        const struct base_column *column = &table->columns[table->columns_by_id[i]];
        if (base_slice_equal(column->name, BASE_SLICE_LIT("salted_hash")))
            OK(base_row_put_value(&builder, column->id, BASE_SLICE_LIT(HASH_OF_RINGLET)));
        else if (column->type->kind == BASE_TYPE_BOOLEAN)
            OK(base_row_put_value(&builder, column->id, BASE_SLICE_LIT("\1")));
    }
    base_row_end(&builder);
    OK(base_mutation_put_row(&mutation, table->id, base_buf_view(&pkey), base_slice(&ckey, 1),
                             base_buf_view(&row)));
    OK(lsm_write(node->store, base_buf_view(&mutation), 1, LSM_DURABLE_LOG, UINT64_C(60000000000),
                 &fixture.err));
    base_buf_fini(&pkey);
    base_buf_fini(&row);
    base_buf_fini(&mutation);
    base_schema_release(schema);
}

/* A changed default password that one replica of three has: the others' silence does not bring the
 * default back. */
START_TEST(default_is_gone_for_good)
{
    struct base_uuid last;
    daemon_open(1, "authenticator", "PasswordAuthenticator", NULL);
    daemon_open(2, "authenticator", "PasswordAuthenticator", NULL);
    daemons_settle(3);
    loop_run(&su, "ALTER KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', "
                  "'replication_factor': 3}");
    OK(nodei_on_loop(daemons[0].node, find_last_replica, &last, &fixture.err));
    for (int i = 0; i < 3; i++)
        if (base_uuid_equal(daemons[i].node->identity.host_id, last))
            store_role(daemons[i].node);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(loop_login(i, "cassandra", "cassandra", true, NULL), BASE_E_UNAUTHORIZED);
        ck_assert_int_eq(loop_login(i, "cassandra", "ringlet", true, NULL), BASE_OK);
    }
}
END_TEST

/* Without the tables (a cluster that just began) there is the default superuser. */
START_TEST(before_the_tables)
{
    daemon_close(0);
    daemon_open(1, "seeds", with_port("127.0.0.2:@"), "start_native_transport", "false", NULL);
    struct nodei_login login;
    OK(loop_login(1, "cassandra", "cassandra", true, &login));
    ck_assert(login.is_superuser);
    struct loop_client c;
    loop_client_init(&c, 1);
    ck_assert_str_eq(loop_run(&c, "LIST ROLES"), "cassandra|true|true|{}|ALL\n");
    ck_assert_int_ne(loop_try(&c, "CREATE ROLE a"), BASE_OK);
}
END_TEST

struct many {
    struct nodei_login logins[64];
    _Atomic int done;
};

static void one_done(struct nodei_login *login)
{
    ((struct many *)login->ctx)->done++;
}

static void start_many(void *ctx, struct repl *repl)
{
    struct many *many = ctx;
    (void)repl;
    for (size_t i = 0; i < BASE_COUNT(many->logins); i++)
        nodei_login_start(daemons[0].node, &many->logins[i]);
}

/* The node ends while logins wait: each has its answer. */
START_TEST(closing)
{
    static struct many many;
    many.done = 0;
    for (size_t i = 0; i < BASE_COUNT(many.logins); i++)
        many.logins[i] = (struct nodei_login){
            .user = "cassandra", .password = "x", .done = one_done, .ctx = &many};
    OK(nodei_on_loop(daemons[0].node, start_many, &many, &fixture.err));
    daemon_close(0);
    ck_assert_int_eq(many.done, (int)BASE_COUNT(many.logins));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("node/roles");
    TCase *tc = tcase_create("roles");
    tcase_add_checked_fixture(tc, setup, daemons_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, default_superuser);
    tcase_add_test(tc, default_superuser_altered);
    tcase_add_test(tc, statements);
    tcase_add_test(tc, hashed_passwords);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, others);
    tcase_add_test(tc, demoted);
    tcase_add_test(tc, validity);
    tcase_add_test(tc, everybody_costs_the_same);
    tcase_add_test(tc, default_is_gone_for_good);
    tcase_add_test(tc, before_the_tables);
    tcase_add_test(tc, closing);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return ck_main(suite());
}
