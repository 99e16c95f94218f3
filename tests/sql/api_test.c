/* What a program can do with SQLite's C interface and a script cannot: cursors that stay open while
 * the world changes, loading twice, another SQLite in the process, statements that run again,
 * threads.
 *
 * Without it a cursor could read memory of a schema that is gone, a second .load could lose a
 * transaction, or a statement that runs again could keep its first key. */
#include <dlfcn.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/ck.h"

static char dir[256];

static const char *extension(void)
{
    const char *path = getenv("RINGLET_EXTENSION");
    return path ? path : "./ringlet.so";
}

static void load(sqlite3 *db)
{
    char *message = NULL;
    sqlite3_enable_load_extension(db, 1);
    int rc = sqlite3_load_extension(db, extension(), NULL, &message);
    ck_assert_msg(rc == SQLITE_OK, "%s", message);
}

static sqlite3 *open_database(void)
{
    char path[300];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/app.db", dir);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 300000);
    load(db);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, message);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    return statement;
}

/* The one number that a query gives. */
static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = prepare(db, sql);
    ck_assert_msg(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(db));
    int64_t n = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return n;
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "%s/ringlet-api-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ck_assert(mkdtemp(dir) != NULL);
    sqlite3 *db = open_database();
    run(db, "PRAGMA journal_mode = WAL");
    run(db, "SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': "
            "''SimpleStrategy'', "
            "''replication_factor'': 1}')");
    run(db, "CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v TEXT, PRIMARY "
            "KEY (a, c))");
    run(db, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
            "INSERT INTO r SELECT 'x', i, 'value ' || i FROM n");
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void tear_down(void)
{
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

/* Read the rest of a scan of x and see that the rows are 0, 1, 2, … in order, `count` in all. */
static void read_rest(sqlite3_stmt *scan, int from, int count)
{
    for (int i = from; i < count; i++) {
        char text[32];
        ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
        ck_assert_int_eq(sqlite3_column_int(scan, 0), i);
        snprintf(text, sizeof text, "value %d", i);
        ck_assert_str_eq((const char *)sqlite3_column_text(scan, 1), text);
    }
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_DONE);
}

START_TEST(test_cursor_survives_transactions)
{
    sqlite3 *db = open_database();
    run(db, "BEGIN");
    run(db, "INSERT INTO r VALUES ('x', 1000, 'value 1000')");
    sqlite3_stmt *scan = prepare(db, "SELECT c, v FROM r WHERE a = 'x'");
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    run(db, "COMMIT");
    read_rest(scan, 1, 1001);
    sqlite3_reset(scan);
    run(db, "BEGIN");
    run(db, "INSERT INTO r VALUES ('x', 1001, 'value 1001')");
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    int rc = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    ck_assert_int_eq(rc, SQLITE_OK);
    /* SQLite aborts reads that a ROLLBACK pulls the schema from, or lets them go on: never other
     * rows. */
    while ((rc = sqlite3_step(scan)) == SQLITE_ROW)
        ck_assert_int_le(sqlite3_column_int(scan, 0), 1001);
    sqlite3_finalize(scan);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 'x'"), 1001);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

START_TEST(test_cursor_survives_schema_changes)
{
    sqlite3 *db = open_database();
    sqlite3_stmt *scan = prepare(db, "SELECT c, v FROM r WHERE a = 'x'");
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    run(db, "SELECT ringlet_cql('ALTER TABLE lab.r ADD w text')");
    run(db, "SELECT ringlet_cql('CREATE TABLE lab.other (a text PRIMARY KEY)')");
    run(db, "INSERT INTO r(a, c) VALUES ('y', 1)");
    run(db, "SELECT ringlet_nodetool('flush')");
    run(db, "SELECT ringlet_nodetool('compact')");
    read_rest(scan, 1, 1000);
    sqlite3_finalize(scan);
    /* … and a table dropped, or emptied, under it */
    scan = prepare(db, "SELECT c, v FROM r WHERE a = 'x'");
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    sqlite3_stmt *drop = prepare(db, "SELECT ringlet_cql('DROP TABLE lab.r')");
    int dropped = sqlite3_step(drop);
    sqlite3_finalize(drop);
    if (dropped == SQLITE_ROW)
        read_rest(scan, 1, 1000);
    sqlite3_finalize(scan);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

START_TEST(test_load_twice)
{
    sqlite3 *db = open_database();
    run(db, "BEGIN");
    run(db, "INSERT INTO r VALUES ('t', 1, 'one')");
    load(db);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 't'"), 1);
    run(db, "COMMIT");
    load(db);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 't'"), 1);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* Another SQLite's API table: refused with that SQLite's allocator (the table's first entries are
 * enough). */
START_TEST(test_second_sqlite)
{
    sqlite3 *db = open_database();
    void *library = dlopen(extension(), RTLD_NOW);
    ck_assert_msg(library != NULL, "%s", dlerror());
    union {
        void *pointer;
        int (*init)(sqlite3 *, char **, const void *);
    } entry = {dlsym(library, "sqlite3_ringlet_init")};
    ck_assert(entry.pointer != NULL);
    void *table[400];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        table[i] = (void *)(uintptr_t)sqlite3_mprintf; /* whichever entry it takes, it makes text */
    char *message = NULL;
    ck_assert_int_eq(entry.init(db, &message, table), SQLITE_ERROR);
    ck_assert(message && strstr(message, "another copy of SQLite"));
    sqlite3_free(message);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 'x'"), 1000);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    dlclose(library);
}
END_TEST

START_TEST(test_statement_runs_again)
{
    sqlite3 *db = open_database();
    run(db, "INSERT INTO r VALUES ('other', 5, 'five')");
    sqlite3_stmt *point = prepare(db, "SELECT v FROM r WHERE a = ?1 AND c = ?2");
    for (int i = 0; i < 3000; i++) {
        char text[32];
        bool there = i < 1000;
        sqlite3_bind_text(point, 1, "x", -1, SQLITE_STATIC);
        sqlite3_bind_int(point, 2, i);
        ck_assert_int_eq(sqlite3_step(point), there ? SQLITE_ROW : SQLITE_DONE);
        snprintf(text, sizeof text, "value %d", i);
        if (there)
            ck_assert_str_eq((const char *)sqlite3_column_text(point, 0), text);
        sqlite3_reset(point);
    }
    sqlite3_bind_text(point, 1, "other", -1, SQLITE_STATIC);
    sqlite3_bind_int(point, 2, 5);
    ck_assert_int_eq(sqlite3_step(point), SQLITE_ROW);
    sqlite3_reset(point);
    sqlite3_bind_null(point, 1);
    ck_assert_int_eq(sqlite3_step(point), SQLITE_DONE);
    sqlite3_finalize(point);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* Many cursors of one table at once, also within one statement. */
START_TEST(test_cursors_side_by_side)
{
    sqlite3 *db = open_database();
    sqlite3_stmt *scans[8];
    for (int s = 0; s < 8; s++) {
        scans[s] = prepare(db, "SELECT c, v FROM r WHERE a = 'x'");
        for (int i = 0; i <= s; i++)
            ck_assert_int_eq(sqlite3_step(scans[s]), SQLITE_ROW);
    }
    run(db, "UPDATE r SET v = v WHERE a = 'x' AND c = 999");
    for (int s = 7; s >= 0; s--) {
        read_rest(scans[s], s + 1, 1000);
        sqlite3_finalize(scans[s]);
    }
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r x JOIN r y ON y.a = 'x' AND y.c = x.c + 1 "
                                "JOIN r z ON z.a = 'x' "
                                "AND z.c = y.c + 1 WHERE x.a = 'x'"),
                     998);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

START_TEST(test_close_with_open_statement)
{
    sqlite3 *db = open_database();
    sqlite3_stmt *scan = prepare(db, "SELECT c, v FROM r WHERE a = 'x'");
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_BUSY);
    read_rest(scan, 1, 1000);
    sqlite3_reset(scan);
    ck_assert_int_eq(sqlite3_step(scan), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_close_v2(db), SQLITE_OK); /* finishes with the statement */
    sqlite3_finalize(scan);
    db = open_database();
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 'x'"), 1000);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

static void *write_rows(void *arg)
{
    sqlite3 *db = open_database();
    char sql[128];
    for (int i = 0; i < 100; i++) {
        snprintf(sql, sizeof sql, "BEGIN IMMEDIATE; INSERT INTO r VALUES ('%s', %d, 'v'); COMMIT",
                 (const char *)arg, i);
        run(db, sql);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM r WHERE a = '%s'", (const char *)arg);
        ck_assert_int_eq(number(db, sql), i + 1);
    }
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return NULL;
}

START_TEST(test_threads)
{
    static char names[3][8] = {"t0", "t1", "t2"};
    pthread_t threads[3];
    sqlite3 *db = open_database();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_rows, names[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a IN ('t0', 't1', 't2')"), 300);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
END_TEST

/* A filter that the scan tests by itself: SQLite sees no row, and before 3.41 cannot be asked. */
static void interrupt_now(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    (void)argv;
    sqlite3_interrupt(sqlite3_context_db_handle(context));
    usleep(30000); /* longer than the extension waits between two looks */
    sqlite3_result_int(context, 0);
}

START_TEST(test_interrupt_in_a_scan)
{
    sqlite3 *db = open_database();
    run(db, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999) "
            "INSERT INTO r SELECT 'y', i, 'v' FROM n");
    clock_t whole = clock();
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 'y' AND v < 'a'"), 0);
    whole = clock() - whole;
    ck_assert_int_eq(
        sqlite3_create_function(db, "interrupt_now", 0, SQLITE_UTF8, NULL, interrupt_now, 0, 0),
        SQLITE_OK);
    clock_t cut = whole;
    for (int i = 0; i < 10 && cut >= whole / 2; i++) { /* the store's own work counts as well */
        cut = clock();
        sqlite3_stmt *scan =
            prepare(db, "SELECT count(*) FROM r WHERE a = 'y' AND v < interrupt_now()");
        ck_assert_int_eq(sqlite3_step(scan), SQLITE_INTERRUPT);
        cut = clock() - cut;
        ck_assert_int_eq(sqlite3_finalize(scan), SQLITE_INTERRUPT);
    }
    ck_assert_msg(cut < whole / 2, "the scan went on: %ld of %ld", (long)cut, (long)whole);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM r WHERE a = 'x'"), 1000);
    sqlite3_close(db);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tcase = tcase_create("api");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_cursor_survives_transactions);
    tcase_add_test(tcase, test_cursor_survives_schema_changes);
    tcase_add_test(tcase, test_load_twice);
    tcase_add_test(tcase, test_second_sqlite);
    tcase_add_test(tcase, test_statement_runs_again);
    tcase_add_test(tcase, test_cursors_side_by_side);
    tcase_add_test(tcase, test_close_with_open_statement);
    tcase_add_test(tcase, test_threads);
    tcase_add_test(tcase, test_interrupt_in_a_scan);
    suite_add_tcase(suite, tcase);
    return ck_main(suite);
}
