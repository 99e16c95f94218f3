/* startbench: what a guest costs its host. On a data directory of about --mib MiB: the time from
 * the start of a new process to the first row, the memory when idle, and the wake-ups of our
 * threads when idle.
 *
 *   startbench [--mib 1024] [--dir DIR] [--extension ./ringlet] [--rounds 9] */
#include <dirent.h>
#include <getopt.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench_sql.h"

static const char *root = "/tmp/startbench", *extension = "./ringlet";
static char path[512];

static sqlite3 *open_database(void)
{
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/start.db", root);
    if (sqlite3_open(path, &db) != SQLITE_OK)
        bench_fail(db, path);
    bench_load(db, extension);
    return db;
}

static void fill(size_t mib)
{
    char command[1200];
    snprintf(command, sizeof command, "mkdir -p %s && rm -rf %s/start.db*", root, root);
    if (system(command) != 0)
        exit(1);
    sqlite3 *db = open_database();
    sqlite3_stmt *stmt;
    uint64_t value[60];
    bench_exec(db, "PRAGMA journal_mode=WAL");
    bench_exec(db, "SELECT ringlet_cql('CREATE KEYSPACE bench WITH replication = {''class'': "
                   "''SimpleStrategy'', ''replication_factor'': 1}')");
    bench_exec(
        db,
        "CREATE VIRTUAL TABLE kv USING ringlet(keyspace='bench', k BIGINT PRIMARY KEY, v BLOB)");
    if (sqlite3_prepare_v2(db, "INSERT INTO kv VALUES (?, ?)", -1, &stmt, NULL) != SQLITE_OK)
        bench_fail(db, "prepare");
    for (size_t i = 0; i < (mib << 20) / sizeof value; i++) {
        for (size_t j = 0; j < 60; j++)
            value[j] = bench_mix(i * 60 + j);
        if (i % 1000 == 0)
            bench_exec(db, "BEGIN");
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)i);
        sqlite3_bind_blob(stmt, 2, value, sizeof value, SQLITE_STATIC);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            bench_fail(db, "insert");
        sqlite3_reset(stmt);
        if (i % 1000 == 999)
            bench_exec(db, "COMMIT");
    }
    if (!sqlite3_get_autocommit(db))
        bench_exec(db, "COMMIT");
    sqlite3_finalize(stmt);
    /* settled: nothing is due when the guest comes */
    bench_exec(db, "SELECT ringlet_nodetool('compact')");
    sqlite3_close(db);
}

/* Context switches of all threads but the main one. */
static long thread_wakeups(int *threads)
{
    long sum = 0;
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    *threads = 0;
    while (dir && (entry = readdir(dir))) {
        char name[300], line[256];
        long value;
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        (*threads)++;
        snprintf(name, sizeof name, "/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(name, "r");
        while (f && fgets(line, sizeof line, f))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &value) == 1)
                sum += value;
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return sum;
}

/* In a new process: the first row, then idle. Prints "ms rss_kib rss_before_kib threads
 * wakeups". */
static void guest(double started_s)
{
    long before = bench_status_kib("VmRSS");
    sqlite3 *db = open_database();
    sqlite3_stmt *stmt;
    int threads;
    if (sqlite3_prepare_v2(db, "SELECT v FROM kv WHERE k = 4711", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        bench_fail(db, "first query");
    double ms = (bench_now_s() - started_s) * 1000;
    sqlite3_finalize(stmt);
    bench_exec(db, "INSERT INTO kv VALUES (1, x'00')"); /* so that the log's thread has had work */
    sleep(1);
    long woken = thread_wakeups(&threads);
    sleep(5);
    woken = thread_wakeups(&threads) - woken;
    printf("%.1f %ld %ld %d %ld\n", ms, bench_status_kib("VmRSS"), before, threads, woken);
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
        {"mib", required_argument, NULL, 'm'},
        {"dir", required_argument, NULL, 'd'},
        {"rounds", required_argument, NULL, 'n'},
        {"extension", required_argument, NULL, 'x'},
        {"guest", required_argument, NULL, 'g'},
        {"keep", no_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    size_t mib = 1024;
    int rounds = 9, option, keep = 0;
    double started = 0, ms[64];
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            mib = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            root = optarg;
            break;
        case 'n':
            rounds = atoi(optarg) < 64 ? atoi(optarg) : 64;
            break;
        case 'x':
            extension = optarg;
            break;
        case 'g':
            started = atof(optarg);
            break;
        case 'k':
            keep = 1;
            break;
        default:
            return 2;
        }
    }
    if (started > 0) {
        guest(started);
        return 0;
    }
    if (!keep)
        fill(mib);
    long rss = 0, before = 0, woken = 0;
    int threads = 0;
    for (int i = 0; i < rounds; i++) {
        char command[2000], line[200] = "";
        snprintf(command, sizeof command, "%s --dir %s --extension %s --guest %.6f", argv[0], root,
                 extension, bench_now_s());
        FILE *f = popen(command, "r");
        if (!f || !fgets(line, sizeof line, f) ||
            sscanf(line, "%lf %ld %ld %d %ld", &ms[i], &rss, &before, &threads, &woken) != 5)
            bench_fail(NULL, command);
        pclose(f);
    }
    qsort(ms, (size_t)rounds, sizeof ms[0], by_value);
    printf("data %zu MiB: first row %.1f ms after the process began (median of %d, worst %.1f)\n",
           mib, ms[rounds / 2], rounds, ms[rounds - 1]);
    printf("idle: %ld KiB resident, of which the host had %ld before; %d threads of ours, %ld "
           "wake-ups in 5 s\n",
           rss, before, threads, woken);
    return 0;
}
