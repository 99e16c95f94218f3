/* Random schemas, statements and queries on a Ringlet table and on a plain WITHOUT ROWID table that
 * mirrors it, in one connection: rows, changes() and errors must be the same, also inside
 * transactions and savepoints.
 *
 * Without this test the planner could lose rows (a bound one off, a slice unsorted), the overlay
 * could show rows that were rolled back, or an update could write what it should not.
 *
 * What differs by design is modelled by rewriting the statement for the mirror: INSERT is an upsert
 * in which NULL leaves the column as it is; allow_filtering is Ringlet's. Values are drawn from
 * pools whose canonical text orders as CQL does, so that SQLite can judge; other spellings of a
 * value (2026-01-02 as milliseconds, 7 as '7' or 7.0) go to Ringlet only.
 *
 *   differential [--seed N] [--steps N] [--verbose]
 *
 * The seed is printed first; the same seed gives the same run.
 *
 * This file has over 800 lines because one generator draws everything from one stream of numbers:
 * schema, values, statement and mirror share that state. The seam, when it grows again, is "values"
 * and "predicates" against the rest. */
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/rng.h"

#define COLUMNS_MAX 10
#define SQL_MAX 8192

enum kind {
    K_ASCII,
    K_TEXT,
    K_TINYINT,
    K_SMALLINT,
    K_INT,
    K_BIGINT,
    K_VARINT,
    K_FLOAT,
    K_DOUBLE,
    K_DECIMAL,
    K_BOOLEAN,
    K_BLOB,
    K_TIMESTAMP,
    K_DATE,
    K_TIME,
    K_UUID,
    K_TIMEUUID,
    K_INET,
    K_DURATION,
    K_COUNT,
};
static const char *const kind_names[K_COUNT] = {
    "ascii", "text",   "tinyint",  "smallint", "int",      "bigint",    "varint",
    "float", "double", "decimal",  "boolean",  "blob",     "timestamp", "date",
    "time",  "uuid",   "timeuuid", "inet",     "duration",
};
static const char *const mirror_types[K_COUNT] = {
    "TEXT",    "TEXT", "INTEGER", "INTEGER", "INTEGER", "INTEGER", "TEXT", "REAL", "REAL", "TEXT",
    "INTEGER", "BLOB", "TEXT",    "TEXT",    "TEXT",    "TEXT",    "TEXT", "TEXT", "TEXT",
};

struct column {
    enum kind kind;
    bool descending;
    char name[16];
};
struct test {
    struct rng rng;
    sqlite3 *db;
    char dir[256];
    const char *extension;
    bool verbose;
    bool plain;         /* draw no other spellings: SQLite itself will compare (terms of an OR) */
    unsigned mentioned; /* columns of the predicate so far: SQLite puts a constant of one term into
                           another */
    uint64_t seed;
    int round;
    struct column columns[COLUMNS_MAX]; /* partition key, clustering, regular */
    int column_count, partition_count, clustering_count;
    bool in_transaction;
    int savepoints;
    char history[64][SQL_MAX]; /* the latest statements, for the report */
    unsigned history_count;
    unsigned long statements, queries, errors;
};

/* A statement in two spellings. */
struct pair {
    char ringlet[SQL_MAX], mirror[SQL_MAX];
    size_t a, b;
};

static void put(struct pair *p, const char *ringlet, const char *mirror)
{
    size_t a = strlen(ringlet), b = strlen(mirror);
    BASE_ASSERT(p->a + a < SQL_MAX && p->b + b < SQL_MAX);
    memcpy(p->ringlet + p->a, ringlet, a + 1);
    memcpy(p->mirror + p->b, mirror, b + 1);
    p->a += a;
    p->b += b;
}
static void both(struct pair *p, const char *fmt, ...) BASE_PRINTF(2, 3);
static void both(struct pair *p, const char *fmt, ...)
{
    char text[SQL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    put(p, text, text);
}

_Noreturn static void fail(struct test *t, const char *fmt, ...) BASE_PRINTF(2, 3);
_Noreturn static void fail(struct test *t, const char *fmt, ...)
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

static void remember(struct test *t, const char *sql)
{
    snprintf(t->history[t->history_count++ % 64], SQL_MAX, "%s", sql);
    if (t->verbose)
        printf("%s;\n", sql);
}

/* Values. */

static const char *const texts[] = {"''",    "'A'",    "'a'", "'a b'", "'ab'",
                                    "'abc'", "'b''c'", "'z'", "'é'",   "'日本'"};
static const char *const blobs[] = {"x''",     "x'00'", "x'0000'", "x'0001'", "x'01'",
                                    "x'01ff'", "x'7f'", "x'80'",   "x'ff'",   "x'ff00'"};
#define POOL 10

/* Value number i (0 … 9, ascending) as SQL, the way it comes back. */
static void canonical(enum kind kind, int i, char out[80])
{
    switch (kind) {
    case K_ASCII:
    case K_TEXT:
        snprintf(out, 80, "%s", texts[kind == K_ASCII ? i % 8 : i]);
        return;
    case K_TINYINT:
    case K_SMALLINT:
    case K_INT:
        snprintf(out, 80, "%d", i * 7 - 20);
        return;
    case K_BIGINT:
        snprintf(out, 80, "%lld", (i - 5) * 1000000007LL);
        return;
    case K_VARINT:
        snprintf(out, 80, "'%d'", 100 + i * 11);
        return;
    case K_FLOAT:
        snprintf(out, 80, "%.1f", i * 0.5 - 2);
        return;
    case K_DOUBLE:
        snprintf(out, 80, "%.2f", i * 1.25 - 3);
        return;
    case K_DECIMAL:
        snprintf(out, 80, "'%d.5'", i);
        return;
    case K_BOOLEAN:
        snprintf(out, 80, "%d", i & 1);
        return;
    case K_BLOB:
        snprintf(out, 80, "%s", blobs[i]);
        return;
    case K_TIMESTAMP:
        snprintf(out, 80, "'2026-01-0%dT00:00:00.000Z'", i % 9 + 1);
        return;
    case K_DATE:
        snprintf(out, 80, "'2026-02-%02d'", i * 2 + 1);
        return;
    case K_TIME:
        snprintf(out, 80, "'0%d:02:03.000000000'", i);
        return;
    case K_UUID:
        snprintf(out, 80, "'%d0000000-0000-4000-8000-00000000000a'", i);
        return;
    case K_TIMEUUID:
        snprintf(out, 80, "'0000000%d-0000-1000-8000-00000000000a'", i);
        return;
    case K_INET:
        snprintf(out, 80, "'10.0.0.%d'", i);
        return;
    case K_DURATION:
        snprintf(out, 80, "'%dh'", i + 1);
        return;
    case K_COUNT:
        break;
    }
    BASE_ASSERT(false);
}

/* Another spelling of the same value, that only Ringlet understands as the same. */
static void spelled(struct test *t, enum kind kind, int i, char out[80])
{
    canonical(kind, i, out);
    if (t->plain || !rng_chance(&t->rng, 30))
        return;
    switch (kind) {
    case K_TINYINT:
    case K_SMALLINT:
    case K_INT:
        snprintf(out, 80, rng_chance(&t->rng, 50) ? "'%d'" : "%d.0", i * 7 - 20);
        return;
    case K_VARINT:
        snprintf(out, 80, "%d", 100 + i * 11);
        return;
    case K_DOUBLE:
        snprintf(out, 80, "'%.2f'", i * 1.25 - 3);
        return;
    case K_DECIMAL:
        snprintf(out, 80, "%d.5", i);
        return;
    case K_BOOLEAN:
        snprintf(out, 80, i & 1 ? "'true'" : "'false'"); /* (IS TRUE is an operator of its own) */
        return;
    case K_TIMESTAMP:
        if (rng_chance(&t->rng, 50))
            snprintf(out, 80, "%lld", 1767225600000LL + (i % 9) * 86400000LL);
        else
            snprintf(out, 80, "'2026-01-0%d'", i % 9 + 1);
        return;
    case K_TIME:
        snprintf(out, 80, "'0%d:02:03'", i);
        return;
    case K_UUID:
        if (rng_chance(&t->rng, 50))
            snprintf(out, 80, "x'%d000000000004000800000000000000a'", i);
        else
            snprintf(out, 80, "'%d0000000-0000-4000-8000-00000000000A'", i);
        return;
    case K_TIMEUUID:
        snprintf(out, 80, "x'0000000%d00001000800000000000000a'", i);
        return;
    case K_ASCII:
    case K_TEXT:
    case K_BIGINT:
    case K_FLOAT:
    case K_BLOB:
    case K_DATE:
    case K_INET:
    case K_DURATION:
    case K_COUNT:
        return;
    }
}

static int draw(struct test *t, int column)
{
    int i = (int)rng_below(&t->rng, column < t->partition_count + t->clustering_count
                                        ? 4 + rng_below(&t->rng, 7)
                                        : POOL);
    if (i >= POOL)
        i = POOL - 1;
    if (column < t->partition_count && i == 0)
        i = 1; /* a partition key of one column may not be empty */
    return i;
}

/* An empty ascii in a single-column partition key comes from the pool's wrap-around too. */
static int draw_key(struct test *t, int column)
{
    int i = draw(t, column);
    return t->columns[column].kind == K_ASCII && i % 8 == 0 ? 1 : i;
}

static void value(struct test *t, struct pair *p, int column)
{
    char a[80], b[80];
    int i = column < t->partition_count ? draw_key(t, column) : draw(t, column);
    spelled(t, t->columns[column].kind, i, a);
    canonical(t->columns[column].kind, i, b);
    put(p, a, b);
}

/* Running. */

struct outcome {
    int rc; /* primary code */
    char message[512];
    int changes;
    char *rows;
    size_t row_count, len, cap;
};

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

static void run(struct test *t, const char *sql, struct outcome *o)
{
    sqlite3_stmt *statement = NULL;
    *o = (struct outcome){0};
    remember(t, sql);
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

static void must(struct test *t, const char *fmt, ...) BASE_PRINTF(2, 3);
static void must(struct test *t, const char *fmt, ...)
{
    char sql[SQL_MAX];
    struct outcome o;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    run(t, sql, &o);
    if (o.rc)
        fail(t, "%s\n  %s", sql, o.message);
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

static void check_same(struct test *t, const struct pair *p, bool ordered, bool changes)
{
    struct outcome a, b;
    run(t, p->ringlet, &a);
    run(t, p->mirror, &b);
    t->errors += a.rc != 0;
    if ((a.rc != 0) != (b.rc != 0) || ((a.rc == SQLITE_CONSTRAINT) != (b.rc == SQLITE_CONSTRAINT)))
        fail(t, "%s\n  ringlet: %d %s\n%s\n  mirror: %d %s", p->ringlet, a.rc, a.message, p->mirror,
             b.rc, b.message);
    if (changes && a.rc == 0 && a.changes != b.changes)
        fail(t, "%s\n  changes: ringlet %d, mirror %d", p->ringlet, a.changes, b.changes);
    if (a.rc == 0 && !ordered) {
        sort_rows(&a);
        sort_rows(&b);
    }
    if (a.rc == 0 && (a.row_count != b.row_count || (a.row_count && strcmp(a.rows, b.rows) != 0)))
        fail(t, "%s\n  ringlet, %zu rows:\n%s  mirror, %zu rows:\n%s", p->ringlet, a.row_count,
             a.rows ? a.rows : "", b.row_count, b.rows ? b.rows : "");
    free(a.rows);
    free(b.rows);
}

static void check_all(struct test *t)
{
    struct pair p = {0};
    put(&p, "SELECT * FROM r WHERE allow_filtering = 1", "SELECT * FROM m");
    check_same(t, &p, false, false);
}

/* Predicates. */

static void equals_or_in(struct test *t, struct pair *p, int column)
{
    both(p, "%s", t->columns[column].name);
    unsigned how = (unsigned)rng_below(&t->rng, 10);
    if (how < 6) {
        both(p, " = ");
        value(t, p, column);
    } else if (how < 9) {
        int n = (int)rng_between(&t->rng, 1, 4);
        both(p, " IN (");
        for (int i = 0; i < n; i++) {
            both(p, i ? ", " : "");
            value(t, p, column);
        }
        both(p, ")");
    } else {
        both(p, " IS ");
        value(t, p, column);
    }
}

static bool is_number(enum kind kind)
{
    return kind == K_TINYINT || kind == K_SMALLINT || kind == K_INT;
}

/* A comparison of a column with a value, or with one between values or past all of them. */
static void compares(struct test *t, struct pair *p, int column)
{
    static const char *const ops[] = {"<", "<=", ">", ">=", "=", "<>"};
    enum kind kind = t->columns[column].kind;
    const char *op = ops[rng_below(&t->rng, kind == K_DURATION ? 1 : 6)];
    bool again = t->mentioned >> column & 1;
    t->mentioned |= 1u << column;
    if (kind == K_DURATION || (again && !t->plain)) { /* a duration has no order */
        both(p, "%s IS NOT NULL", t->columns[column].name);
        return;
    }
    unsigned how = (unsigned)rng_below(&t->rng, 12);
    if (how == 0) {
        both(p, "%s IS NULL", t->columns[column].name);
    } else if (how == 1) {
        both(p, "%s %s NULL", t->columns[column].name, op);
    } else if (how == 2 && is_number(kind)) {
        both(p, "%s %s %d.5", t->columns[column].name, op, (int)rng_between(&t->rng, -25, 50));
    } else if (how == 3 && is_number(kind)) {
        both(p, "%s %s %s", t->columns[column].name, op,
             rng_chance(&t->rng, 50) ? "99999999999" : "-99999999999");
    } else if (how == 4) {
        both(p, "%s BETWEEN ", t->columns[column].name);
        value(t, p, column);
        both(p, " AND ");
        value(t, p, column);
    } else {
        both(p, "%s %s ", t->columns[column].name, op);
        value(t, p, column);
    }
}

/* The whole partition key and perhaps a prefix of the clustering, then perhaps more. *single: one
 * partition. */
static void key_predicate(struct test *t, struct pair *p, bool *single)
{
    *single = true;
    t->plain = rng_chance(&t->rng, 50);
    t->mentioned = 0;
    for (int i = 0; i < t->partition_count; i++) {
        t->mentioned |= 1u << i;
        both(p, i ? " AND " : "");
        if (rng_chance(&t->rng, 75)) {
            both(p, "%s = ", t->columns[i].name);
            value(t, p, i);
        } else {
            *single = false;
            equals_or_in(t, p, i);
        }
    }
    int i = t->partition_count, keys = i + t->clustering_count;
    for (; i < keys && rng_chance(&t->rng, 45); i++) {
        both(p, " AND ");
        equals_or_in(t, p, i);
        t->mentioned |= 1u << i;
    }
    if (i < keys && rng_chance(&t->rng, 40)) {
        both(p, " AND ");
        compares(t, p, i);
    }
    if (rng_chance(&t->rng, 20)) {
        both(p, " AND ");
        compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
    }
    t->plain = false;
}

static void scan_predicate(struct test *t, struct pair *p)
{
    bool plain = t->plain = rng_chance(&t->rng, 50);
    t->mentioned = 0;
    put(p, "allow_filtering = 1", "1");
    for (int n = (int)rng_below(&t->rng, 3); n > 0; n--) {
        both(p, " AND ");
        if (plain && rng_chance(&t->rng, 40)) {
            both(p, "(");
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
            both(p, " OR ");
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
            both(p, ")");
        } else {
            compares(t, p, (int)rng_below(&t->rng, (uint64_t)t->column_count));
        }
    }
    t->plain = false;
}

static void predicate(struct test *t, struct pair *p)
{
    bool single;
    if (rng_chance(&t->rng, 75))
        key_predicate(t, p, &single);
    else
        scan_predicate(t, p);
}

/* Statements. */

static int key_count(const struct test *t)
{
    return t->partition_count + t->clustering_count;
}

static void column_list(const struct test *t, struct pair *p, int from, int to)
{
    for (int i = from; i < to; i++)
        both(p, "%s%s", i > from ? ", " : "", t->columns[i].name);
}

/* A value that the column cannot take; false when the type takes about anything. */
static bool wrong_value(enum kind kind, struct pair *p)
{
    switch (kind) {
    case K_TINYINT:
        both(p, "300");
        return true;
    case K_INT:
    case K_DOUBLE:
    case K_UUID:
    case K_TIMESTAMP:
    case K_INET:
        both(p, "'warm'");
        return true;
    default:
        return false;
    }
}

/* INSERT. The mirror does an upsert that keeps what is NULL. */
static void insert_statement(struct test *t, const char *conflict)
{
    struct pair p = {0};
    bool wrong = false;
    put(&p, "INSERT ", "INSERT ");
    both(&p, "%s INTO ", conflict);
    put(&p, "r(", "m(");
    column_list(t, &p, 0, t->column_count);
    both(&p, ") VALUES ");
    int rows = rng_chance(&t->rng, 60) ? 1 : (int)rng_between(&t->rng, 2, 5);
    for (int row = 0; row < rows; row++) {
        both(&p, row ? ", (" : "(");
        for (int i = 0; i < t->column_count; i++) {
            both(&p, i ? ", " : "");
            if (rng_chance(&t->rng, i < key_count(t) ? 1 : 20))
                both(&p, "NULL");
            else if (rng_one_in(&t->rng, 200) && wrong_value(t->columns[i].kind, &p))
                wrong = true;
            else
                value(t, &p, i);
        }
        both(&p, ")");
    }
    if (wrong) { /* the mirror takes anything: here only Ringlet must refuse, and leave nothing
                    behind */
        struct outcome o;
        if (strstr(p.ringlet, "NULL") || conflict[0])
            return;
        run(t, p.ringlet, &o);
        if (o.rc == 0 || !strstr(o.message, "r."))
            fail(t, "%s\n  was taken, or its error names no column: %s", p.ringlet, o.message);
        t->errors++;
        free(o.rows);
        return;
    }
    if (!conflict[0]) {
        struct pair tail = {0};
        both(&tail, " ON CONFLICT(");
        column_list(t, &tail, 0, key_count(t));
        both(&tail, ") DO UPDATE SET ");
        for (int i = key_count(t); i < t->column_count; i++)
            both(&tail, "%s%s = coalesce(excluded.%s, %s)", i > key_count(t) ? ", " : "",
                 t->columns[i].name, t->columns[i].name, t->columns[i].name);
        put(&p, "", tail.mirror);
    }
    check_same(t, &p, false, true);
}

static void set_clause(struct test *t, struct pair *p)
{
    int n = 0;
    for (int i = key_count(t); i < t->column_count; i++) {
        if (n && !rng_chance(&t->rng, 40))
            continue;
        both(p, "%s%s = ", n++ ? ", " : "", t->columns[i].name);
        if (rng_chance(&t->rng, 15))
            both(p, "NULL");
        else if (t->columns[i].kind == K_INT && rng_chance(&t->rng, 50))
            both(p, "%s + 1", t->columns[i].name);
        else
            value(t, p, i);
    }
}

static void whole_key(struct test *t, struct pair *p)
{
    for (int i = 0; i < key_count(t); i++) {
        both(p, "%s%s = ", i ? " AND " : "", t->columns[i].name);
        value(t, p, i);
    }
}

static void update_statement(struct test *t)
{
    struct pair p = {0};
    unsigned how = (unsigned)rng_below(&t->rng, 10);
    put(&p, "UPDATE ", "UPDATE ");
    if (how < 6) {
        put(&p, "r SET ", "m SET ");
        set_clause(t, &p);
        both(&p, " WHERE ");
        predicate(t, &p);
    } else if (how < 8) { /* move one row; another may be in the way */
        int column = (int)rng_below(&t->rng, (uint64_t)key_count(t));
        if (rng_chance(&t->rng, 40))
            both(&p, rng_chance(&t->rng, 50) ? "OR REPLACE " : "OR IGNORE ");
        put(&p, "r SET ", "m SET ");
        both(&p, "%s = ", t->columns[column].name);
        value(t, &p, column);
        if (rng_chance(&t->rng, 40)) {
            both(&p, ", ");
            set_clause(t, &p);
        }
        both(&p, " WHERE ");
        whole_key(t, &p);
    } else { /* every column arrives as if assigned */
        int column =
            key_count(t) + (int)rng_below(&t->rng, (uint64_t)(t->column_count - key_count(t)));
        put(&p, "r SET ", "m SET ");
        both(&p, "%s = s.x FROM (SELECT ", t->columns[column].name);
        value(t, &p, column);
        both(&p, " AS x) AS s WHERE ");
        whole_key(t, &p);
    }
    check_same(t, &p, false, true);
}

static void delete_statement(struct test *t)
{
    struct pair p = {0};
    put(&p, "DELETE FROM r WHERE ", "DELETE FROM m WHERE ");
    if (rng_chance(&t->rng, 15)) {
        struct pair where = {0};
        bool single;
        key_predicate(t, &where, &single);
        put(&p, where.ringlet, where.mirror);
        both(&p, " ORDER BY ");
        column_list(t, &p, 0, key_count(t));
        both(&p, " LIMIT %d", (int)rng_between(&t->rng, 0, 3));
    } else if (rng_chance(&t->rng, 90)) {
        bool single;
        key_predicate(t, &p, &single);
    } else {
        scan_predicate(t, &p);
    }
    check_same(t, &p, false, true);
}

/* Queries. */

static void order_by_clustering(const struct test *t, struct pair *p, bool reversed)
{
    both(p, " ORDER BY ");
    for (int i = t->partition_count; i < key_count(t); i++)
        both(p, "%s%s %s", i > t->partition_count ? ", " : "", t->columns[i].name,
             t->columns[i].descending != reversed ? "DESC" : "ASC");
}

static void limit(struct test *t, struct pair *p)
{
    if (!rng_chance(&t->rng, 60))
        return;
    both(p, " LIMIT %d", (int)rng_between(&t->rng, -1, 6));
    if (rng_chance(&t->rng, 50))
        both(p, " OFFSET %d", (int)rng_between(&t->rng, -1, 4));
}

static void ordered_query(struct test *t)
{
    struct pair p = {0};
    bool single;
    put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
    key_predicate(t, &p, &single);
    if (single && t->clustering_count) {
        order_by_clustering(t, &p, rng_chance(&t->rng, 50));
    } else {
        both(&p, " ORDER BY ");
        for (int i = 0; i < key_count(t); i++)
            both(&p, "%s%s%s", i ? ", " : "", t->columns[i].name,
                 rng_chance(&t->rng, 50) ? " DESC" : "");
    }
    limit(t, &p);
    check_same(t, &p, true, false);
}

static void aggregate_query(struct test *t)
{
    static const char *const wholes[] = {"count(*)", "count(*), min(%s), max(%s)", "DISTINCT %s",
                                         "%s, count(*)"};
    struct pair p = {0};
    char list[200];
    size_t which = (size_t)rng_below(&t->rng, 4);
    const char *name = t->columns[rng_below(&t->rng, (uint64_t)t->column_count)].name;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(list, sizeof list, wholes[which], name, name);
#pragma GCC diagnostic pop
    both(&p, "SELECT %s FROM ", list);
    put(&p, "r WHERE ", "m WHERE ");
    predicate(t, &p);
    if (which == 3)
        both(&p, " GROUP BY %s", name);
    check_same(t, &p, false, false);
}

/* (What is common to both sides SQLite tests itself: canonical spellings only.) */
static void or_query(struct test *t)
{
    struct pair p = {0};
    t->plain = true;
    put(&p, "SELECT * FROM r WHERE (", "SELECT * FROM m WHERE (");
    whole_key(t, &p);
    both(&p, ") OR (");
    whole_key(t, &p);
    both(&p, ")");
    t->plain = false;
    check_same(t, &p, false, false);
}

/* `loc` is a local table of keys; either side may come first. */
static void join_query(struct test *t)
{
    struct pair p = {0};
    const char *shape = rng_chance(&t->rng, 50) ? "SELECT loc.id, x.* FROM loc JOIN %s x ON "
                                                : "SELECT loc.id, x.* FROM %s x JOIN loc ON ";
    if (rng_chance(&t->rng, 30))
        shape = "SELECT loc.id, x.* FROM loc LEFT JOIN %s x ON ";
    for (int ringlet = 0; ringlet < 2; ringlet++) {
        char text[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, shape, ringlet ? "r" : "m");
#pragma GCC diagnostic pop
        put(&p, ringlet ? text : "", ringlet ? "" : text);
    }
    for (int i = 0; i < t->partition_count; i++)
        both(&p, "%sx.%s = loc.%s", i ? " AND " : "", t->columns[i].name, t->columns[i].name);
    if (rng_chance(&t->rng, 40))
        both(&p, " WHERE loc.id < 3");
    check_same(t, &p, false, false);
}

static void subquery(struct test *t)
{
    struct pair p = {0};
    if (rng_chance(&t->rng, 50)) {
        both(&p, "SELECT id, (SELECT count(*) FROM ");
        put(&p, "r", "m");
        both(&p, " x WHERE ");
        for (int i = 0; i < t->partition_count; i++)
            both(&p, "%sx.%s = loc.%s", i ? " AND " : "", t->columns[i].name, t->columns[i].name);
        both(&p, ") FROM loc");
    } else {
        both(&p, "SELECT * FROM ");
        put(&p, "r", "m");
        both(&p, " WHERE (");
        column_list(t, &p, 0, t->partition_count);
        both(&p, ") IN (SELECT ");
        column_list(t, &p, 0, t->partition_count);
        both(&p, " FROM loc)");
        if (t->partition_count == 1)
            p.ringlet[0] = p.ringlet[0]; /* (a) IN (…) is a plain IN */
    }
    check_same(t, &p, false, false);
}

/* More than sixteen terms: SQLite ignores `omit` for the last ones. */
static void many_terms_query(struct test *t)
{
    struct pair p = {0};
    put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
    for (int i = 0; i < 16; i++)
        both(&p, "%s IS NOT 'nothing' AND ", t->columns[0].name);
    for (int i = 0; i < t->partition_count; i++) {
        char text[80];
        canonical(t->columns[i].kind, draw_key(t, i), text);
        both(&p, "%s%s = %s", i ? " AND " : "", t->columns[i].name, text);
    }
    check_same(t, &p, false, false);
}

static void query(struct test *t)
{
    struct pair p = {0};
    t->queries++;
    switch (rng_below(&t->rng, 12)) {
    case 0:
    case 1:
    case 2:
        ordered_query(t);
        return;
    case 3:
        aggregate_query(t);
        return;
    case 4:
        or_query(t);
        return;
    case 5:
        join_query(t);
        return;
    case 6:
        subquery(t);
        return;
    case 7:
        many_terms_query(t);
        return;
    default:
        put(&p, "SELECT * FROM r WHERE ", "SELECT * FROM m WHERE ");
        predicate(t, &p);
        check_same(t, &p, false, false);
    }
}

/* Transactions. */

static void transaction_step(struct test *t)
{
    unsigned how = (unsigned)rng_below(&t->rng, 10);
    if (!t->in_transaction) {
        must(t, how < 7 ? "BEGIN" : "SAVEPOINT s1");
        t->in_transaction = true;
        t->savepoints = how < 7 ? 0 : 1;
        return;
    }
    if (how < 4 && t->savepoints < 5) {
        must(t, "SAVEPOINT s%d", ++t->savepoints);
    } else if (how < 6 && t->savepoints) {
        int n = (int)rng_between(&t->rng, 1, t->savepoints);
        must(t, "ROLLBACK TO s%d", n);
        t->savepoints = n;
        check_all(t);
    } else if (how < 8 && t->savepoints) {
        int n = (int)rng_between(&t->rng, 1, t->savepoints);
        must(t, "RELEASE s%d", n);
        t->savepoints = n - 1;
        t->in_transaction = !sqlite3_get_autocommit(t->db);
    } else {
        must(t, how == 8 ? "ROLLBACK" : "COMMIT");
        t->in_transaction = false;
        t->savepoints = 0;
        check_all(t);
    }
}

/* Rounds. */

static void open_database(struct test *t)
{
    char path[300], *message = NULL;
    snprintf(path, sizeof path, "%s/app.db", t->dir);
    if (sqlite3_open(path, &t->db) != SQLITE_OK)
        fail(t, "open %s: %s", path, sqlite3_errmsg(t->db));
    sqlite3_enable_load_extension(t->db, 1);
    if (sqlite3_load_extension(t->db, t->extension, NULL, &message) != SQLITE_OK)
        fail(t, "load %s: %s", t->extension, message);
    must(t, "PRAGMA journal_mode = WAL");
    must(t, "PRAGMA synchronous = OFF");
}

static void reopen(struct test *t)
{
    if (sqlite3_close(t->db) != SQLITE_OK)
        fail(t, "close: %s", sqlite3_errmsg(t->db));
    remember(t, "-- opened again");
    open_database(t);
}

static void draw_schema(struct test *t)
{
    t->partition_count = (int)rng_between(&t->rng, 1, 3);
    t->clustering_count = (int)rng_between(&t->rng, 0, 3);
    int regular = (int)rng_between(&t->rng, 1, 4);
    t->column_count = key_count(t) + regular;
    for (int i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        bool clustering = i >= t->partition_count && i < key_count(t);
        c->kind = (enum kind)rng_below(&t->rng, i < key_count(t) ? K_DURATION : K_COUNT);
        c->descending = clustering && rng_chance(&t->rng, 40);
        snprintf(c->name, sizeof c->name, "%c%d",
                 i < t->partition_count ? 'p'
                 : clustering           ? 'c'
                                        : 'v',
                 i);
    }
}

static void create_tables(struct test *t)
{
    struct pair p = {0};
    put(&p, "CREATE VIRTUAL TABLE r USING ringlet(", "CREATE TABLE m(");
    char cql[64];
    snprintf(cql, sizeof cql, "keyspace='d', table='t%d', ", t->round);
    put(&p, cql, "");
    for (int i = 0; i < t->column_count; i++) {
        char a[64], b[64];
        snprintf(a, sizeof a, "%s %s, ", t->columns[i].name, kind_names[t->columns[i].kind]);
        snprintf(b, sizeof b, "%s %s, ", t->columns[i].name, mirror_types[t->columns[i].kind]);
        put(&p, a, b);
    }
    put(&p, "PRIMARY KEY ((", "PRIMARY KEY (");
    column_list(t, &p, 0, t->partition_count);
    put(&p, ")", "");
    for (int i = t->partition_count; i < key_count(t); i++)
        both(&p, ", %s", t->columns[i].name);
    put(&p, ")", "))");
    if (t->clustering_count) {
        put(&p, ", with='CLUSTERING ORDER BY (", "");
        for (int i = t->partition_count; i < key_count(t); i++) {
            char order[32];
            snprintf(order, sizeof order, "%s%s %s", i > t->partition_count ? ", " : "",
                     t->columns[i].name, t->columns[i].descending ? "DESC" : "ASC");
            put(&p, order, "");
        }
        put(&p, ")'", "");
    }
    put(&p, ")", " WITHOUT ROWID");
    must(t, "%s", p.ringlet);
    must(t, "%s", p.mirror);
    struct pair loc = {0};
    both(&loc, "CREATE TABLE loc(id INTEGER PRIMARY KEY");
    for (int i = 0; i < t->partition_count; i++)
        both(&loc, ", %s %s", t->columns[i].name, mirror_types[t->columns[i].kind]);
    both(&loc, ")");
    must(t, "%s", loc.mirror);
    for (int row = 0; row < 6; row++) {
        struct pair insert = {0};
        both(&insert, "INSERT INTO loc VALUES (%d", row);
        for (int i = 0; i < t->partition_count; i++) {
            both(&insert, ", ");
            value(t, &insert, i);
        }
        both(&insert, ")");
        must(t, "%s", insert.mirror);
    }
}

static void statement(struct test *t)
{
    static const char *const conflicts[] = {"OR REPLACE", "OR IGNORE", "OR FAIL"};
    t->statements++;
    switch (rng_below(&t->rng, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        insert_statement(t, "");
        return;
    case 6:
    case 7:
        insert_statement(t, conflicts[rng_below(&t->rng, 3)]);
        return;
    case 8:
    case 9:
    case 10:
        update_statement(t);
        return;
    case 11:
        delete_statement(t);
        return;
    case 12:
    case 13:
        transaction_step(t);
        return;
    default:
        query(t);
    }
}

static void one_round(struct test *t, unsigned long steps)
{
    t->round++;
    draw_schema(t);
    create_tables(t);
    for (unsigned long i = 0; i < steps; i++) {
        statement(t);
        if (rng_one_in(&t->rng, 40))
            check_all(t);
        if (!t->in_transaction && rng_one_in(&t->rng, 120))
            must(t, "SELECT ringlet_nodetool('%s')", rng_chance(&t->rng, 70) ? "flush" : "compact");
        if (!t->in_transaction && rng_one_in(&t->rng, 300)) {
            reopen(t);
            check_all(t); /* DELETE … LIMIT as the first statement is refused (cases/delete.sql) */
        }
    }
    if (t->in_transaction)
        must(t, "COMMIT");
    t->in_transaction = false;
    t->savepoints = 0;
    check_all(t);
    must(t, "DROP TABLE r");
    must(t, "SELECT ringlet_cql('DROP TABLE d.t%d')", t->round);
    must(t, "DROP TABLE m");
    must(t, "DROP TABLE loc");
}

int main(int argc, char **argv)
{
    static struct test t;
    const char *scale = getenv("RINGLET_TEST_SCALE");
    unsigned long steps = scale && strcmp(scale, "sanitized") == 0 ? 6000 : 40000;
    t.seed = (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32);
    const char *env = getenv("RINGLET_SEED");
    if (env)
        t.seed = strtoull(env, NULL, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            t.seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            steps = strtoul(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--verbose") == 0)
            t.verbose = true;
        else {
            fprintf(stderr, "usage: differential [--seed N] [--steps N] [--verbose]\n");
            return 2;
        }
    }
    printf("seed %llu\n", (unsigned long long)t.seed);
    fflush(stdout);
    t.rng = rng_seeded(t.seed);
    t.extension = getenv("RINGLET_EXTENSION") ? getenv("RINGLET_EXTENSION") : "./ringlet.so";
    snprintf(t.dir, sizeof t.dir, "%s/ringlet-differential-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(t.dir))
        fail(&t, "%s: %s", t.dir, strerror(errno));
    open_database(&t);
    must(&t,
         "SELECT ringlet_cql('CREATE KEYSPACE d WITH replication = {''class'': ''SimpleStrategy'', "
         "''replication_factor'': 1}')");
    while (t.statements < steps)
        one_round(&t, 250);
    sqlite3_close(t.db);
    char clean[400];
    snprintf(clean, sizeof clean, "rm -rf '%s'", t.dir);
    if (system(clean) != 0)
        fprintf(stderr, "%s is left\n", t.dir);
    printf("%d schemas, %lu steps, %lu queries, %lu errors that agree\n", t.round, t.statements,
           t.queries, t.errors);
    return 0;
}
