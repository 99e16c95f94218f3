/* Indexes, roles, DESCRIBE, and what is understood and refused, as trees. Without these a driver's
 * or cqlsh's statement could be called a syntax error, or mean something else. */
#include <stdio.h>

#include "tests/unit/cql/sexpr.h"

START_TEST(indexes)
{
    TREES({"CREATE INDEX ON t (a)", "(create-index t plain a)"},
          {"CREATE INDEX IF NOT EXISTS \"I\" ON k.t (values(m))",
           "(create-index conditional k.t values m named I)"},
          {"CREATE INDEX ON t (values)", "(create-index t plain values)"},
          {"CREATE INDEX keys ON t (keys(keys))", "(create-index t keys keys named keys)"},
          {"CREATE INDEX ON t (ENTRIES(m))", "(create-index t entries m)"},
          {"CREATE INDEX ON t (full(l))", "(create-index t full l)"},
          {"CREATE CUSTOM INDEX i ON t (\"A\") USING 'StorageAttachedIndex' WITH OPTIONS = "
           "{'case_sensitive': 'false', 'ascii': true}",
           "(create-index t custom plain A named i using StorageAttachedIndex (with options= (map "
           "'case_sensitive' 'false' 'ascii' "
           "true)))"},
          {"CREATE INDEX custom ON t (a) USING 'sai'",
           "(create-index t plain a named custom using sai)"},
          {"DROP INDEX k.i", "(drop-index k.i)"},
          {"DROP INDEX IF EXISTS i", "(drop-index conditional i)"});
    fails("CREATE INDEX ON t (a, b)", BASE_E_INVALID, "several columns");
    fails("CREATE INDEX ON t (first(a))", BASE_E_SYNTAX,
          "line 1:19 no viable alternative at input 'first'");
}
END_TEST

START_TEST(roles)
{
    TREES({"CREATE ROLE IF NOT EXISTS r WITH PASSWORD = 'p''w' AND LOGIN = true AND SUPERUSER = "
           "false AND OPTIONS = {'a': 1}",
           "(create-role conditional r (with password= 'p'w' login= true superuser= false options= "
           "(map 'a' 1)))"},
          {"CREATE ROLE 'R S' WITH HASHED PASSWORD = '$2a$10$x' AND ACCESS TO DATACENTERS {'a', "
           "'b'} AND ACCESS FROM ALL CIDRS",
           "(create-role R S (with hashed password= '$2a$10$x' access= (set 'a' 'b') access from= "
           "ALL))"},
          {"CREATE ROLE \"R\"", "(create-role R)"}, {"CREATE ROLE role", "(create-role role)"},
          {"ALTER ROLE IF EXISTS r WITH ACCESS TO ALL DATACENTERS AND ACCESS FROM CIDRS {'x'}",
           "(alter-role conditional r (with access= ALL access from= (set 'x')))"},
          {"DROP ROLE IF EXISTS r", "(drop-role conditional r)"},
          {"CREATE USER IF NOT EXISTS u WITH PASSWORD 'x' SUPERUSER",
           "(create-role conditional u user (with password= 'x' superuser= true))"},
          {"CREATE USER 'U' NOSUPERUSER", "(create-role U user (with superuser= false))"},
          {"CREATE USER u WITH HASHED PASSWORD 'x'",
           "(create-role u user (with hashed password= 'x'))"},
          {"ALTER USER u WITH PASSWORD 'x'", "(alter-role u user (with password= 'x'))"},
          {"DROP USER user", "(drop-role user user)"}, {"LIST ROLES", "(list-roles recursive)"},
          {"LIST ROLES OF r NORECURSIVE", "(list-roles of r)"},
          {"LIST ROLES OF 'R S'", "(list-roles recursive of R S)"},
          {"LIST USERS", "(list-roles user recursive)"});
    fails("CREATE ROLE r WITH PASSWORD = 'a' AND HASHED PASSWORD = 'b'", BASE_E_SYNTAX,
          "mutually exclusive");
    fails("CREATE ROLE r WITH PASSWORD = 'a' AND PASSWORD = 'b'", BASE_E_SYNTAX,
          "Multiple definitions for property 'password'");
    fails("CREATE USER \"U\"", BASE_E_SYNTAX, "not supported for user names");
    fails("CREATE ROLE r WITH LOGIN = 'x'", BASE_E_SYNTAX, "expected true or false");
}
END_TEST

START_TEST(describes)
{
    TREES({"DESCRIBE CLUSTER", "(describe cluster)"}, {"desc schema", "(describe schema)"},
          {"DESCRIBE FULL SCHEMA WITH INTERNALS", "(describe full-schema internals)"},
          {"DESCRIBE KEYSPACES", "(describe keyspaces)"},
          {"DESCRIBE KEYSPACE", "(describe keyspace)"},
          {"DESCRIBE KEYSPACE \"K\" WITH INTERNALS", "(describe K keyspace internals)"},
          {"DESCRIBE ONLY KEYSPACE k", "(describe k keyspace only)"},
          {"DESC TABLES", "(describe tables)"}, {"DESC COLUMNFAMILIES", "(describe tables)"},
          {"DESC TABLE k.t WITH INTERNALS", "(describe k.t table internals)"},
          {"DESC COLUMNFAMILY t", "(describe t table)"},
          {"DESCRIBE INDEX k.i", "(describe k.i index)"},
          {"DESCRIBE MATERIALIZED VIEW v", "(describe v view)"},
          {"DESCRIBE TYPES", "(describe types)"},
          {"DESCRIBE TYPE k.type", "(describe k.type type)"},
          {"DESCRIBE FUNCTIONS", "(describe functions)"},
          {"DESCRIBE FUNCTION k.f", "(describe k.f function)"},
          {"DESCRIBE AGGREGATES", "(describe aggregates)"},
          {"DESCRIBE AGGREGATE f", "(describe f aggregate)"}, {"DESCRIBE x", "(describe x any)"},
          {"DESC k.\"T\"", "(describe k.T any)"}, {"DESC list", "(describe list any)"});
    fails("DESCRIBE", BASE_E_SYNTAX, "<EOF>");
    fails("DESCRIBE WITH INTERNALS", BASE_E_SYNTAX, "line 1:9");
}
END_TEST

START_TEST(what_comes_later_is_understood)
{
    TREES({"CREATE MATERIALIZED VIEW IF NOT EXISTS k.v AS SELECT a, b FROM k.t WHERE a IS NOT NULL "
           "AND b IS NOT NULL AND c > 1 "
           "PRIMARY KEY ((a), b) WITH CLUSTERING ORDER BY (b DESC) AND comment = 'x'",
           "(refused CREATE MATERIALIZED VIEW)"},
          {"CREATE MATERIALIZED VIEW v AS SELECT * FROM t PRIMARY KEY (a)",
           "(refused CREATE MATERIALIZED VIEW)"},
          {"ALTER MATERIALIZED VIEW IF EXISTS v WITH comment = 'x'",
           "(refused ALTER MATERIALIZED VIEW)"},
          {"DROP MATERIALIZED VIEW IF EXISTS k.v", "(refused DROP MATERIALIZED VIEW)"},
          {"CREATE OR REPLACE FUNCTION k.f (a int, b frozen<list<text>>) CALLED ON NULL INPUT "
           "RETURNS text LANGUAGE java AS $$return 1;$$",
           "(refused CREATE FUNCTION)"},
          {"CREATE FUNCTION IF NOT EXISTS f () RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE "
           "java AS 'x'",
           "(refused CREATE FUNCTION)"},
          {"DROP FUNCTION IF EXISTS f (int, text)", "(refused DROP FUNCTION)"},
          {"DROP FUNCTION k.f", "(refused DROP FUNCTION)"},
          {"CREATE OR REPLACE AGGREGATE a (int) SFUNC f STYPE tuple<int, bigint> FINALFUNC g "
           "INITCOND (0, 0)",
           "(refused CREATE AGGREGATE)"},
          {"CREATE AGGREGATE IF NOT EXISTS a () SFUNC f STYPE int", "(refused CREATE AGGREGATE)"},
          {"DROP AGGREGATE IF EXISTS a ()", "(refused DROP AGGREGATE)"},
          {"CREATE TRIGGER IF NOT EXISTS x ON k.t USING 'org.X'", "(refused CREATE TRIGGER)"},
          {"DROP TRIGGER IF EXISTS x ON t", "(refused DROP TRIGGER)"},
          {"ADD IDENTITY IF NOT EXISTS 'spiffe://x' TO ROLE 'r'", "(refused ADD IDENTITY)"},
          {"DROP IDENTITY IF EXISTS 'spiffe://x'", "(refused DROP IDENTITY)"},
          {"GRANT SELECT ON KEYSPACE k TO r", "(refused GRANT)"},
          {"GRANT ALL PERMISSIONS ON ALL KEYSPACES TO 'r'", "(refused GRANT)"},
          {"GRANT ALL ON k.t TO r", "(refused GRANT)"},
          {"GRANT CREATE, ALTER PERMISSION, UNMASK ON TABLE t TO r", "(refused GRANT)"},
          {"GRANT MODIFY ON ALL TABLES IN KEYSPACE k TO r", "(refused GRANT)"},
          {"GRANT EXECUTE ON FUNCTION k.f (int) TO r", "(refused GRANT)"},
          {"GRANT EXECUTE ON ALL FUNCTIONS IN KEYSPACE k TO r", "(refused GRANT)"},
          {"GRANT AUTHORIZE ON ROLE a TO r", "(refused GRANT)"},
          {"GRANT DESCRIBE ON ALL ROLES TO r", "(refused GRANT)"},
          {"GRANT EXECUTE ON MBEAN 'x' TO r", "(refused GRANT)"},
          {"REVOKE DROP ON ALL MBEANS FROM r", "(refused REVOKE)"},
          {"GRANT a TO b", "(refused GRANT ROLE)"},
          {"REVOKE role FROM 'b'", "(refused REVOKE ROLE)"},
          {"LIST ALL PERMISSIONS", "(refused LIST PERMISSIONS)"},
          {"LIST SELECT PERMISSION ON k.t OF r NORECURSIVE", "(refused LIST PERMISSIONS)"},
          {"CREATE TABLE t (k int PRIMARY KEY, v text MASKED WITH mask_inner(1, null), w int "
           "MASKED WITH DEFAULT)",
           "(refused MASKED WITH)"},
          {"ALTER TABLE t ALTER v MASKED WITH DEFAULT", "(refused MASKED WITH)"},
          {"ALTER TABLE t ALTER v DROP MASKED", "(refused DROP MASKED)"},
          {"ALTER TABLE t DROP COMPACT STORAGE", "(refused DROP COMPACT STORAGE)"});
    fails("GRANT SELECT ON t", BASE_E_SYNTAX, "<EOF>");
    fails("CREATE MATERIALIZED VIEW v AS SELECT a FROM t", BASE_E_SYNTAX, "<EOF>");
    refuses("CREATE TRIGGER x ON t USING 'y'", BASE_E_INVALID,
            "CREATE TRIGGER is not supported: a trigger is Java code");
    refuses("SELECT * FROM t", BASE_E_INVALID, "SELECT changes no schema");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin_grammar");
    TCase *tc = tcase_create("admin_grammar");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, indexes);
    tcase_add_test(tc, roles);
    tcase_add_test(tc, describes);
    tcase_add_test(tc, what_comes_later_is_understood);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
