/* vtabbench: the same SQL on a Ringlet table and on SQLite's own table in a WAL file, side by side.
 *
 *   vtabbench [--rows N] [--dir DIR] [--rounds N] [--extension build/ringlet]
 *             [--only ringlet|native] [--reuse]
 *
 * Inserts by random key in transactions of 1,000; point selects by full key inside BEGIN; a scan of
 * one partition of 100,000 rows of 2 columns; first query of a new process. */
#include <getopt.h>
#include <sys/resource.h>

#include "bench/bench_sql.h"

enum { ROUNDS_MAX = 15, SCAN_ROWS = 100000 };

static size_t row_count = 500000;
static int reuse; /* --reuse: read what an earlier run left, for profiles */
static const char *root = "/tmp/vtabbench", *extension = "./ringlet";

static void check(sqlite3 *db, int ok)
{
    if (!ok)
        bench_fail(db, "check");
}

enum side { RINGLET, NATIVE };
enum test { INSERT, POINT, POINT_AUTO, SCAN, TEST_COUNT };
static const char *const test_names[TEST_COUNT] = {
    "random insert, 1,000 a transaction", "point select inside BEGIN", "point select, autocommit",
    "scan of a partition, rows/s"};
/* Rates by the clock on the wall, and processor time by operation, all threads: on a busy machine
 * the second says more. */
static double results[2][TEST_COUNT][ROUNDS_MAX], cpu_us[2][TEST_COUNT][ROUNDS_MAX];
static double cpu_start;

static double cpu_now_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void measure(enum side side, enum test test, int round, double rate, double operations)
{
    results[side][test][round] = rate;
    cpu_us[side][test][round] = (cpu_now_us() - cpu_start) / operations;
    cpu_start = cpu_now_us();
}

static sqlite3 *open_database(enum side side, int fresh)
{
    char path[512], command[1100];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s.db", root, side == RINGLET ? "ringlet" : "native");
    snprintf(command, sizeof command, "mkdir -p %s && rm -rf %s %s-*", root, path, path);
    if (fresh && system(command) != 0)
        exit(1);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        exit(1);
    bench_exec(db, "PRAGMA journal_mode=WAL");
    bench_exec(db, "PRAGMA synchronous=NORMAL");
    if (side == RINGLET)
        bench_load(db, extension);
    return db;
}

static void create_tables(sqlite3 *db, enum side side)
{
    if (side == RINGLET) {
        bench_exec(db, "SELECT ringlet_cql('CREATE KEYSPACE bench WITH replication = {''class'': "
                       "''SimpleStrategy'', ''replication_factor'': 1}')");
        bench_exec(
            db,
            "CREATE VIRTUAL TABLE kv USING ringlet(keyspace='bench', k BLOB PRIMARY KEY, v BLOB)");
        bench_exec(db, "CREATE VIRTUAL TABLE series USING ringlet(keyspace='bench', p INT, c "
                       "BIGINT, v BIGINT, PRIMARY KEY (p, c))");
    } else {
        bench_exec(db, "CREATE TABLE kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
        bench_exec(
            db,
            "CREATE TABLE series(p INT, c INTEGER, v INTEGER, PRIMARY KEY (p, c)) WITHOUT ROWID");
    }
}

static double insert_random(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    uint8_t key[16], value[100];
    check(db, sqlite3_prepare_v2(db, "INSERT INTO kv(k, v) VALUES (?, ?)", -1, &stmt, NULL) ==
                  SQLITE_OK);
    double start = bench_now_s();
    for (size_t i = 0; i < row_count; i++) {
        uint64_t a = bench_mix(i), b = bench_mix(~i);
        memcpy(key, &a, 8);
        memcpy(key + 8, &b, 8);
        for (size_t at = 0; at < 48; at += 8) {
            uint64_t v = bench_mix(i * 31 + at);
            memcpy(value + at, &v, 8);
            memcpy(value + 50 + at, &v, 8);
        }
        if (i % 1000 == 0)
            bench_exec(db, "BEGIN");
        sqlite3_bind_blob(stmt, 1, key, 16, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, value, 100, SQLITE_STATIC);
        check(db, sqlite3_step(stmt) == SQLITE_DONE);
        sqlite3_reset(stmt);
        if (i % 1000 == 999)
            bench_exec(db, "COMMIT");
    }
    double rate = (double)row_count / (bench_now_s() - start);
    sqlite3_finalize(stmt);
    return rate;
}

static double select_points(sqlite3 *db, size_t n)
{
    static uint64_t seed = 1;
    sqlite3_stmt *stmt;
    uint8_t key[16];
    check(db, sqlite3_prepare_v2(db, "SELECT v FROM kv WHERE k = ?", -1, &stmt, NULL) == SQLITE_OK);
    double start = bench_now_s();
    for (size_t i = 0; i < n; i++) {
        uint64_t k = bench_mix(seed++) % row_count, a = bench_mix(k), b = bench_mix(~k);
        memcpy(key, &a, 8);
        memcpy(key + 8, &b, 8);
        sqlite3_bind_blob(stmt, 1, key, 16, SQLITE_STATIC);
        check(db, sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == 100);
        sqlite3_reset(stmt);
    }
    double rate = (double)n / (bench_now_s() - start);
    sqlite3_finalize(stmt);
    return rate;
}

static void fill_series(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    check(db, sqlite3_prepare_v2(db, "INSERT INTO series(p, c, v) VALUES (1, ?, ?)", -1, &stmt,
                                 NULL) == SQLITE_OK);
    bench_exec(db, "BEGIN");
    for (int i = 0; i < SCAN_ROWS; i++) {
        sqlite3_bind_int64(stmt, 1, i);
        sqlite3_bind_int64(stmt, 2, (int64_t)(bench_mix((uint64_t)i) >> 20));
        check(db, sqlite3_step(stmt) == SQLITE_DONE);
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    bench_exec(db, "COMMIT");
}

static double scan_partition(sqlite3 *db, int times)
{
    sqlite3_stmt *stmt;
    int64_t sum = 0;
    size_t rows = 0;
    check(db, sqlite3_prepare_v2(db, "SELECT c, v FROM series WHERE p = 1", -1, &stmt, NULL) ==
                  SQLITE_OK);
    double start = bench_now_s();
    for (int i = 0; i < times; i++) {
        while (sqlite3_step(stmt) == SQLITE_ROW) {
            sum += sqlite3_column_int64(stmt, 0) ^ sqlite3_column_int64(stmt, 1);
            rows++;
        }
        sqlite3_reset(stmt);
    }
    double rate = (double)rows / (bench_now_s() - start);
    check(db, rows == (size_t)times * SCAN_ROWS && sum != 0);
    sqlite3_finalize(stmt);
    return rate;
}

static void run(enum side side, int round)
{
    size_t n = row_count / 4 < 250000 ? row_count / 4 : 250000;
    sqlite3 *db;
    if (!reuse) {
        db = open_database(side, 1);
        create_tables(db, side);
        cpu_start = cpu_now_us();
        measure(side, INSERT, round, insert_random(db), (double)row_count);
        fill_series(db);
        /* Both sides read what is on disk. */
        bench_exec(db, side == RINGLET ? "SELECT ringlet_nodetool('flush')"
                                       : "PRAGMA wal_checkpoint(TRUNCATE)");
        sqlite3_close(db);
    }
    db = open_database(side, 0);
    bench_exec(db, "BEGIN");
    select_points(db, row_count / 4); /* until caches are as full as they get */
    cpu_start = cpu_now_us();
    measure(side, POINT, round, select_points(db, n), (double)n);
    bench_exec(db, "COMMIT");
    measure(side, POINT_AUTO, round, select_points(db, n), (double)n);
    bench_exec(db, "BEGIN");
    scan_partition(db, 3);
    cpu_start = cpu_now_us();
    measure(side, SCAN, round, scan_partition(db, 20), 20.0 * SCAN_ROWS);
    bench_exec(db, "COMMIT");
    sqlite3_close(db);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rows", required_argument, NULL, 'r'},
        {"dir", required_argument, NULL, 'd'},
        {"rounds", required_argument, NULL, 'n'},
        {"extension", required_argument, NULL, 'x'},
        {"only", required_argument, NULL, 'o'},
        {"reuse", no_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    int rounds = 3, only = -1, option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            row_count = strtoull(optarg, NULL, 10) / 1000 * 1000;
        else if (option == 'd')
            root = optarg;
        else if (option == 'n')
            rounds = atoi(optarg) < ROUNDS_MAX ? atoi(optarg) : ROUNDS_MAX;
        else if (option == 'x')
            extension = optarg;
        else if (option == 'o')
            only = strcmp(optarg, "ringlet") == 0 ? RINGLET : NATIVE;
        else if (option == 'u')
            reuse = 1;
        else
            return 2;
    }
    for (int round = 0; round < rounds; round++)
        for (int side = 0; side < 2; side++)
            if (only < 0 || only == side) {
                fprintf(stderr, "round %d: %s\n", round + 1,
                        side == RINGLET ? "ringlet" : "native");
                run((enum side)side, round);
            }
    printf("%zu rows, median of %d\n%-36s %12s %12s %7s %12s %12s %7s\n", row_count, rounds, "",
           "ringlet/s", "native/s", "ratio", "ringlet us", "native us", "by CPU");
    for (int t = 0; t < TEST_COUNT; t++) {
        for (int side = 0; side < 2; side++) {
            qsort(results[side][t], (size_t)rounds, sizeof(double), by_value);
            qsort(cpu_us[side][t], (size_t)rounds, sizeof(double), by_value);
        }
        double a = results[RINGLET][t][rounds / 2], b = results[NATIVE][t][rounds / 2];
        double c = cpu_us[RINGLET][t][rounds / 2], d = cpu_us[NATIVE][t][rounds / 2];
        printf("%-36s %12.0f %12.0f %7.2f %12.3f %12.3f %7.2f\n", test_names[t], a, b,
               b > 0 ? a / b : 0, c, d, c > 0 ? d / c : 0);
    }
    return 0;
}
