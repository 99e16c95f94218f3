/* Runs tests/sql/cases/NAME.sql through the real extension and compares with NAME.expected: every
 * statement's rows, messages of errors, in the order they come. Each case has an empty directory
 * and a database file app.db.
 *
 * Without it, what users type could change its answer and nobody would see.
 *
 * In a .sql file, lines that begin with a dot are commands:
 *   .reopen          close all connections, open app.db again
 *   .connect NAME    go on in connection NAME (opened on app.db at its first use; the first is
 *                    `main`)
 *   .memory NAME     the same on :memory:
 *   .plan            show EXPLAIN QUERY PLAN of the next statement instead of its rows
 *   .sort            sort the next statement's rows
 *   .like            of the next error show only "error" (its words are SQLite's and may change)
 *   .changes         show changes() after the next statement
 *
 *   sql_test         run all (a Check case a file)
 *   sql_test NAME    print what the case gives now, to be compared by eye and kept as
 *                    NAME.expected */
#include <errno.h>
#include <glob.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/ck.h"

#define CONNECTIONS_MAX 4

/* Check's assertions work only inside of a test: when a case is printed, its failure ends the
 * program. */
static bool in_check;
#define must(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            if (in_check)                                                                          \
                ck_abort_msg(__VA_ARGS__);                                                         \
            fprintf(stderr, __VA_ARGS__);                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct session {
    char dir[256];
    struct {
        char name[32];
        sqlite3 *db;
    } connections[CONNECTIONS_MAX];
    sqlite3 *db;
    bool plan, sort, like, changes;
    char *out;
    size_t len, cap;
};

static void say(struct session *s, const char *text, size_t len)
{
    if (s->len + len + 1 > s->cap) {
        s->cap = 2 * (s->len + len + 1);
        s->out = realloc(s->out, s->cap);
        must(s->out, "out of memory");
    }
    memcpy(s->out + s->len, text, len);
    s->len += len;
    s->out[s->len] = 0;
}

static void say_line(struct session *s, const char *text)
{
    say(s, text, strlen(text));
    say(s, "\n", 1);
}

/* A message, with DIR for the case's own directory. */
static void say_message(struct session *s, const char *text)
{
    const char *dir = strstr(text, s->dir);
    if (dir) {
        say(s, text, (size_t)(dir - text));
        say(s, "DIR", 3);
        text = dir + strlen(s->dir);
    }
    say_line(s, text);
}

static const char *extension(void)
{
    const char *path = getenv("RINGLET_EXTENSION");
    return path ? path : "./ringlet.so";
}

static void connect_to(struct session *s, const char *name, const char *file)
{
    char path[400], *message = NULL;
    int i = 0;
    for (; i < CONNECTIONS_MAX && s->connections[i].db; i++) {
        if (strcmp(s->connections[i].name, name) == 0) {
            s->db = s->connections[i].db;
            return;
        }
    }
    must(i < CONNECTIONS_MAX, "too many connections");
    if (file)
        snprintf(path, sizeof path, "%s", file);
    else
        snprintf(path, sizeof path, "%s/app.db", s->dir);
    snprintf(s->connections[i].name, sizeof s->connections[i].name, "%s", name);
    must(sqlite3_open(path, &s->connections[i].db) == SQLITE_OK, "cannot open %s", path);
    s->db = s->connections[i].db;
    sqlite3_enable_load_extension(s->db, 1);
    int rc = sqlite3_load_extension(s->db, extension(), NULL, &message);
    must(rc == SQLITE_OK, "%s: %s", extension(), message);
    sqlite3_exec(s->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
}

static void disconnect(struct session *s)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (s->connections[i].db)
            must(sqlite3_close(s->connections[i].db) == SQLITE_OK, "close: a statement is left");
        s->connections[i].db = NULL;
    }
}

/* Statements. */

static void put_row(struct session *s, sqlite3_stmt *statement, char **row)
{
    size_t from = s->len;
    for (int i = s->plan ? 3 : 0; i < sqlite3_column_count(statement); i++) {
        int type = sqlite3_column_type(statement, i), len = 0;
        const char *text = "NULL";
        char hex[3];
        if (i > (s->plan ? 3 : 0))
            say(s, "|", 1);
        if (type == SQLITE_BLOB) {
            const uint8_t *blob = sqlite3_column_blob(statement, i);
            say(s, "x'", 2);
            for (len = sqlite3_column_bytes(statement, i); len > 0; len--, blob++)
                say(s, hex, (size_t)snprintf(hex, sizeof hex, "%02x", *blob));
            text = "'";
        } else if (type != SQLITE_NULL) {
            text = (const char *)sqlite3_column_text(statement, i);
        }
        say(s, text, strlen(text));
    }
    say(s, "\n", 1);
    if (row) {
        *row = strndup(s->out + from, s->len - from);
        s->len = from;
    }
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_statement(struct session *s, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    char *rows[1000];
    size_t count = 0;
    char *explained = sqlite3_mprintf("%s%s", s->plan ? "EXPLAIN QUERY PLAN " : "", sql);
    int rc = sqlite3_prepare_v2(s->db, explained, -1, &statement, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        must(count < sizeof rows / sizeof rows[0], "too many rows to sort");
        put_row(s, statement, s->sort ? &rows[count++] : NULL);
        rc = SQLITE_OK;
    }
    if (count)
        qsort(rows, count, sizeof rows[0], compare_rows);
    for (size_t i = 0; i < count; i++) {
        say(s, rows[i], strlen(rows[i]));
        free(rows[i]);
    }
    if (rc != SQLITE_DONE && rc != SQLITE_OK) {
        say(s, "error: ", 7);
        say_message(s, s->like ? "(any)" : sqlite3_errmsg(s->db));
    }
    sqlite3_finalize(statement);
    sqlite3_free(explained);
    if (s->changes) {
        char text[32];
        snprintf(text, sizeof text, "changes %d", sqlite3_changes(s->db));
        say_line(s, text);
    }
    s->plan = s->sort = s->like = s->changes = false;
}

static void run_command(struct session *s, const char *line)
{
    if (strcmp(line, ".reopen") == 0) {
        disconnect(s);
        connect_to(s, "main", NULL);
    } else if (strncmp(line, ".connect ", 9) == 0) {
        connect_to(s, line + 9, NULL);
    } else if (strncmp(line, ".memory ", 8) == 0) {
        connect_to(s, line + 8, ":memory:");
    } else if (strcmp(line, ".plan") == 0) {
        s->plan = true;
    } else if (strcmp(line, ".sort") == 0) {
        s->sort = true;
    } else if (strcmp(line, ".like") == 0) {
        s->like = true;
    } else if (strcmp(line, ".changes") == 0) {
        s->changes = true;
    } else {
        must(false, "unknown command %s", line);
    }
}

/* Lines gather into a statement until SQLite calls it complete. */
static void run_script(struct session *s, FILE *script)
{
    char line[4096], sql[65536] = "";
    while (fgets(line, sizeof line, script)) {
        size_t len = strcspn(line, "\n");
        bool blank = strspn(line, " \t\r\n") == strlen(line);
        if (!sql[0] && line[0] == '.') {
            line[len] = 0;
            run_command(s, line);
            continue;
        }
        if (!sql[0] && (blank || strncmp(line, "--", 2) == 0)) {
            if (!blank)
                say(s, line, strlen(line));
            continue;
        }
        must(strlen(sql) + strlen(line) < sizeof sql, "a statement too long");
        strcat(sql, line);
        if (sqlite3_complete(sql)) {
            run_statement(s, sql);
            sql[0] = 0;
        }
    }
    must(!sql[0], "a statement without its end: %s", sql);
}

/* The output of a case; the caller frees it. */
static char *run_case(const char *path)
{
    struct session s = {0};
    char clean[400];
    const char *root = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(s.dir, sizeof s.dir, "%s/ringlet-sql-XXXXXX", root);
    must(mkdtemp(s.dir), "%s: %s", s.dir, strerror(errno));
    FILE *script = fopen(path, "r");
    must(script, "%s: %s", path, strerror(errno));
    connect_to(&s, "main", NULL);
    run_script(&s, script);
    fclose(script);
    disconnect(&s);
    snprintf(clean, sizeof clean, "rm -rf '%s'", s.dir);
    must(system(clean) == 0, "cannot remove %s", s.dir);
    if (!s.out)
        say(&s, "", 0);
    return s.out;
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    must(file, "%s: %s", path, strerror(errno));
    char *text = calloc(1, 1 << 20);
    must(text, "out of memory");
    size_t n = fread(text, 1, (1 << 20) - 1, file);
    must(n < (1 << 20) - 1, "%s is too long", path);
    fclose(file);
    return text;
}

/* Check. */

static glob_t cases;

static const char *case_folder(void)
{
    static char folder[1024];
    const char *srcdir = getenv("srcdir");
    snprintf(folder, sizeof folder, "%s/tests/sql/cases", srcdir ? srcdir : SRCDIR);
    return folder;
}

START_TEST(test_case)
{
    const char *path = cases.gl_pathv[_i];
    char expected_path[1024];
    snprintf(expected_path, sizeof expected_path, "%.*s.expected", (int)strlen(path) - 4, path);
    char *got = run_case(path), *expected = read_whole(expected_path);
    if (strcmp(got, expected) != 0) {
        size_t line = 1, i = 0;
        for (; got[i] && got[i] == expected[i]; i++)
            line += got[i] == '\n';
        while (i && got[i - 1] != '\n')
            i--;
        ck_abort_msg("%s:%zu\n  expected: %.*s\n  got:      %.*s", expected_path, line,
                     (int)strcspn(expected + i, "\n"), expected + i, (int)strcspn(got + i, "\n"),
                     got + i);
    }
    free(got);
    free(expected);
}
END_TEST

int main(int argc, char **argv)
{
    char pattern[1200];
    if (argc > 1) {
        snprintf(pattern, sizeof pattern, "%s/%s.sql", case_folder(), argv[1]);
        char *got = run_case(pattern);
        fputs(got, stdout);
        free(got);
        return 0;
    }
    snprintf(pattern, sizeof pattern, "%s/*.sql", case_folder());
    if (glob(pattern, 0, NULL, &cases) != 0) {
        fprintf(stderr, "no cases in %s\n", case_folder());
        return 1;
    }
    in_check = true;
    Suite *suite = suite_create("sql");
    TCase *tcase = tcase_create("cases");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_case, 0, (int)cases.gl_pathc);
    suite_add_tcase(suite, tcase);
    int status = ck_main(suite);
    globfree(&cases);
    return status;
}
