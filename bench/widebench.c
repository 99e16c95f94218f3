/* widebench: one partition larger than memory should be. Fills a partition of --mib MiB and reads
 * it forward, backward and by slices; memory must not grow with the partition.
 *
 *   widebench [--mib 2048] [--dir DIR] [--extension ./ringlet] [--cache 16MiB] */
#include <getopt.h>

#include "bench/bench_sql.h"

enum { VALUE_LEN = 1000 };

static long long row_count;

static void fill(sqlite3 *db)
{
    static uint64_t value[VALUE_LEN / 8];
    sqlite3_stmt *stmt;
    bench_exec(db, "SELECT ringlet_cql('CREATE KEYSPACE bench WITH replication = {''class'': "
                   "''SimpleStrategy'', ''replication_factor'': 1}')");
    bench_exec(db, "CREATE VIRTUAL TABLE wide USING ringlet(keyspace='bench', p INT, c BIGINT, v "
                   "BLOB, PRIMARY KEY (p, c))");
    if (sqlite3_prepare_v2(db, "INSERT INTO wide VALUES (1, ?, ?)", -1, &stmt, NULL) != SQLITE_OK)
        bench_fail(db, "prepare");
    for (long long i = 0; i < row_count; i++) {
        for (size_t j = 0; j < VALUE_LEN / 8; j++)
            value[j] = bench_mix((uint64_t)i * 1000 + j);
        if (i % 1000 == 0)
            bench_exec(db, "BEGIN");
        sqlite3_bind_int64(stmt, 1, i);
        sqlite3_bind_blob(stmt, 2, value, VALUE_LEN, SQLITE_STATIC);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            bench_fail(db, "insert");
        sqlite3_reset(stmt);
        if (i % 1000 == 999 || i + 1 == row_count)
            bench_exec(db, "COMMIT");
    }
    sqlite3_finalize(stmt);
}

static void query(sqlite3 *db, const char *name, const char *sql, long long want_rows)
{
    sqlite3_stmt *stmt;
    long long rows = 0;
    double start = bench_now_s();
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        bench_fail(db, sql);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        rows += sqlite3_column_bytes(stmt, 1) == VALUE_LEN;
    if (rows != want_rows)
        bench_fail(db, sql);
    sqlite3_finalize(stmt);
    printf("%-28s %9lld rows %8.2f s   resident %6ld KiB, peak %6ld KiB\n", name, rows,
           bench_now_s() - start, bench_status_kib("VmRSS"), bench_status_kib("VmHWM"));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"mib", required_argument, NULL, 'm'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"extension", required_argument, NULL, 'x'},
                                            {"cache", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    const char *cache = "16MiB"; /* so that what grows is not the cache */
    const char *root = "/tmp/widebench", *extension = "./ringlet";
    long long mib = 2048;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'm')
            mib = atoll(optarg);
        else if (option == 'd')
            root = optarg;
        else if (option == 'x')
            extension = optarg;
        else if (option == 'c')
            cache = optarg;
        else
            return 2;
    }
    char text[600];
    char open_sql[700];
    snprintf(open_sql, sizeof open_sql,
             "SELECT ringlet_open('%s/wide.db-ringlet', 'file_cache_size=%s')", root, cache);
    sqlite3 *db;
    snprintf(text, sizeof text, "mkdir -p %s && rm -rf %s/wide.db*", root, root);
    if (system(text) != 0)
        return 1;
    snprintf(text, sizeof text, "%s/wide.db", root);
    if (sqlite3_open(text, &db) != SQLITE_OK)
        return 1;
    bench_load(db, extension);
    bench_exec(db, open_sql);
    bench_exec(db, "PRAGMA journal_mode=WAL");
    row_count = mib * 1048576 / VALUE_LEN;
    double start = bench_now_s();
    fill(db);
    printf("%-28s %9lld rows %8.2f s   resident %6ld KiB, peak %6ld KiB\n", "fill", row_count,
           bench_now_s() - start, bench_status_kib("VmRSS"), bench_status_kib("VmHWM"));
    sqlite3_close(db);
    /* A new process image would have a new peak; /proc/self/clear_refs 5 resets it for this one. */
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
    if (sqlite3_open(text, &db) != SQLITE_OK)
        return 1;
    bench_load(db, extension);
    bench_exec(db, open_sql);
    query(db, "forward", "SELECT c, v FROM wide WHERE p = 1", row_count);
    query(db, "backward", "SELECT c, v FROM wide WHERE p = 1 ORDER BY c DESC", row_count);
    snprintf(text, sizeof text, "SELECT c, v FROM wide WHERE p = 1 AND c >= %lld AND c < %lld",
             row_count / 2, row_count / 2 + 1000);
    query(db, "a slice of 1,000", text, 1000);
    snprintf(text, sizeof text,
             "SELECT c, v FROM wide WHERE p = 1 AND c IN (5, %lld, %lld) ORDER BY c DESC",
             row_count / 3, row_count - 1);
    query(db, "three rows by IN, backward", text, 3);
    sqlite3_close(db);
    return 0;
}
