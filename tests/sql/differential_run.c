/* A statement on both sides, and what both say of it (differential.c). */
#include "tests/sql/differential.h"

#include <stdarg.h>

void diff_put(struct pair *p, const char *ringlet, const char *mirror)
{
    size_t a = strlen(ringlet), b = strlen(mirror);
    BASE_ASSERT(p->a + a < SQL_MAX && p->b + b < SQL_MAX);
    memcpy(p->ringlet + p->a, ringlet, a + 1);
    memcpy(p->mirror + p->b, mirror, b + 1);
    p->a += a;
    p->b += b;
}
void diff_both(struct pair *p, const char *fmt, ...)
{
    char text[SQL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diff_put(p, text, text);
}

_Noreturn void diff_fail(struct test *t, const char *fmt, ...)
{
    va_list ap;
    printf("FAILED, seed %llu, round %d:\n", (unsigned long long)t->seed, t->round);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    unsigned from = t->history_count > 64 ? t->history_count - 64 : 0;
    printf("\nthe statements before (data in %s):\n", t->dir);
    for (unsigned i = from; i < t->history_count; i++)
        printf("  %s;\n", t->history[i % 64]);
    exit(1);
}

void diff_remember(struct test *t, const char *sql)
{
    snprintf(t->history[t->history_count++ % 64], SQL_MAX, "%s", sql);
    if (t->verbose)
        printf("%s;\n", sql);
}

static void add_text(struct outcome *o, const char *text, size_t len)
{
    if (o->len + len + 1 > o->cap) {
        o->cap = (o->len + len + 1) * 2;
        o->rows = realloc(o->rows, o->cap);
        BASE_ASSERT(o->rows);
    }
    memcpy(o->rows + o->len, text, len);
    o->len += len;
    o->rows[o->len] = 0;
}

static void add_row(struct outcome *o, sqlite3_stmt *statement)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        char head[32];
        int type = sqlite3_column_type(statement, i);
        const void *data = type == SQLITE_BLOB ? sqlite3_column_blob(statement, i)
                                               : (const void *)sqlite3_column_text(statement, i);
        int len = sqlite3_column_bytes(statement, i);
        add_text(o, head, (size_t)snprintf(head, sizeof head, "%s%d:", i ? " | " : "", type));
        for (int b = 0; type == SQLITE_BLOB && b < len; b++)
            add_text(o, head,
                     (size_t)snprintf(head, sizeof head, "%02x", ((const uint8_t *)data)[b]));
        if (type != SQLITE_BLOB && len)
            add_text(o, data, (size_t)len);
    }
    add_text(o, "\n", 1);
    o->row_count++;
}

void diff_run(struct test *t, const char *sql, struct outcome *o)
{
    sqlite3_stmt *statement = NULL;
    *o = (struct outcome){0};
    diff_remember(t, sql);
    o->rc = sqlite3_prepare_v2(t->db, sql, -1, &statement, NULL);
    while (o->rc == SQLITE_OK && (o->rc = sqlite3_step(statement)) == SQLITE_ROW) {
        add_row(o, statement);
        o->rc = SQLITE_OK;
    }
    o->rc = (o->rc == SQLITE_DONE ? SQLITE_OK : o->rc) & 0xff;
    snprintf(o->message, sizeof o->message, "%s", o->rc ? sqlite3_errmsg(t->db) : "");
    sqlite3_finalize(statement);
    o->changes = sqlite3_changes(t->db);
}

void diff_must(struct test *t, const char *fmt, ...)
{
    char sql[SQL_MAX];
    struct outcome o;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    diff_run(t, sql, &o);
    if (o.rc)
        diff_fail(t, "%s\n  %s", sql, o.message);
    free(o.rows);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines in order, for queries that promise none. */
static void sort_rows(struct outcome *o)
{
    if (o->row_count < 2)
        return;
    char **lines = malloc(o->row_count * sizeof *lines), *copy = strdup(o->rows), *p = copy;
    size_t n = 0;
    BASE_ASSERT(lines && copy);
    for (char *end; n < o->row_count && (end = strchr(p, '\n')); p = end + 1) {
        *end = 0;
        lines[n++] = p;
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    o->len = 0;
    for (size_t i = 0; i < n; i++) {
        add_text(o, lines[i], strlen(lines[i]));
        add_text(o, "\n", 1);
    }
    free(lines);
    free(copy);
}

void diff_check_same(struct test *t, const struct pair *p, bool ordered, bool changes)
{
    struct outcome a, b;
    diff_run(t, p->ringlet, &a);
    diff_run(t, p->mirror, &b);
    t->errors += a.rc != 0;
    if ((a.rc != 0) != (b.rc != 0) || ((a.rc == SQLITE_CONSTRAINT) != (b.rc == SQLITE_CONSTRAINT)))
        diff_fail(t, "%s\n  ringlet: %d %s\n%s\n  mirror: %d %s", p->ringlet, a.rc, a.message,
                  p->mirror, b.rc, b.message);
    if (changes && a.rc == 0 && a.changes != b.changes)
        diff_fail(t, "%s\n  changes: ringlet %d, mirror %d", p->ringlet, a.changes, b.changes);
    if (a.rc == 0 && !ordered) {
        sort_rows(&a);
        sort_rows(&b);
    }
    if (a.rc == 0 && (a.row_count != b.row_count || (a.row_count && strcmp(a.rows, b.rows) != 0)))
        diff_fail(t, "%s\n  ringlet, %zu rows:\n%s  mirror, %zu rows:\n%s", p->ringlet, a.row_count,
                  a.rows ? a.rows : "", b.row_count, b.rows ? b.rows : "");
    free(a.rows);
    free(b.rows);
}

void diff_check_all(struct test *t)
{
    struct pair p = {0};
    diff_put(&p, "SELECT * FROM r WHERE allow_filtering = 1", "SELECT * FROM m");
    diff_check_same(t, &p, false, false);
}
