/* What the files of the differential test share (differential.c). */
#ifndef TESTS_SQL_DIFFERENTIAL_H
#define TESTS_SQL_DIFFERENTIAL_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

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

/* What a statement gave. */
struct outcome {
    int rc; /* primary code */
    char message[512];
    int changes;
    char *rows;
    size_t row_count, len, cap;
};

/* differential_run.c */
void diff_put(struct pair *p, const char *ringlet, const char *mirror);
void diff_both(struct pair *p, const char *fmt, ...) BASE_PRINTF(2, 3);
_Noreturn void diff_fail(struct test *t, const char *fmt, ...) BASE_PRINTF(2, 3);
void diff_remember(struct test *t, const char *sql);
void diff_run(struct test *t, const char *sql, struct outcome *o);
void diff_must(struct test *t, const char *fmt, ...) BASE_PRINTF(2, 3);
void diff_check_same(struct test *t, const struct pair *p, bool ordered, bool changes);
void diff_check_all(struct test *t);

/* differential_values.c */
void diff_canonical(enum kind kind, int i, char out[80]);
int diff_draw_key(struct test *t, int column);
void diff_value(struct test *t, struct pair *p, int column);

/* differential_query.c */
void diff_key_predicate(struct test *t, struct pair *p, bool *single);
void diff_scan_predicate(struct test *t, struct pair *p);
void diff_predicate(struct test *t, struct pair *p);
void diff_query(struct test *t);

/* differential.c */
int diff_key_count(const struct test *t);
void diff_column_list(const struct test *t, struct pair *p, int from, int to);
void diff_whole_key(struct test *t, struct pair *p);

#endif
