/* What the tests of the whole node share: a directory, a node, a session, and rows of one simple
 * table lab.readings (sensor text, ts int, celsius int, PRIMARY KEY (sensor, ts)) written and read
 * below SQL. */
#ifndef TESTS_UNIT_NODE_FIXTURE_H
#define TESTS_UNIT_NODE_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "base/key.h"
#include "node/node_private.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        int rc_ = (expr);                                                                          \
        ck_assert_msg(rc_ == 0, "%s: %d %s", #expr, rc_, fixture.err.text);                        \
    } while (0)
#define FAILS(code, expr)                                                                          \
    do {                                                                                           \
        fixture.err = (struct base_err){0};                                                        \
        int rc_ = (expr);                                                                          \
        ck_assert_msg(rc_ == (code), "%s: %d %s, not %d", #expr, rc_, fixture.err.text, (code));   \
    } while (0)
#define SAYS(part)                                                                                 \
    ck_assert_msg(strstr(fixture.err.text, part), "\"%s\" does not say \"%s\"", fixture.err.text,  \
                  part)

/* Until it is so; the limit ends a test that hangs. */
#define UNTIL(condition, ...)                                                                      \
    for (int tries_ = 0; !(condition); tries_++) {                                                 \
        ck_assert_msg(tries_ < 24000, __VA_ARGS__);                                                \
        usleep(5000);                                                                              \
    }
/* Options of nodes whose requests must succeed, on a machine however slow. */
#define FIXTURE_PATIENCE                                                                           \
    {"write_request_timeout", "60s"}, {"read_request_timeout", "60s"},                             \
        {"range_request_timeout", "60s"}, {"cas_contention_timeout", "60s"},                       \
    {                                                                                              \
        "metadata_request_timeout", "60s"                                                          \
    }

struct fixture {
    char dir[64];
    struct node *node;
    struct node_session *session;
    struct base_schema *schema;
    const struct base_table *table; /* lab.readings */
    struct node_read *read;
    struct base_err err;
};
extern struct fixture fixture;

/* A port that is free on 127.0.0.1 to .4, for this process: tests run beside each other. The same
 * one whenever it is asked for. */
int fixture_port(void);
void fixture_make_dir(void);
void fixture_remove_dir(void);
void fixture_open(void);  /* node and session */
void fixture_close(void); /* … and what hangs on them */
void fixture_setup(void); /* directory, node, session, keyspace, table */
void fixture_teardown(void);
/* One CQL statement that must succeed; the text of its result. */
const char *fixture_cql(const char *text);
int fixture_try_cql(const char *text);
void fixture_find_table(void); /* schema, table: of now */

/* A row, written now; celsius < 0: the row's deletion. */
int fixture_write(struct node_session *session, const char *sensor, int ts, int celsius);
/* Deletes the rows with from <= ts <= upto, or the whole partition. */
void fixture_delete_range(struct node_session *session, const char *sensor, int from, int upto);
void fixture_delete_partition(struct node_session *session, const char *sensor);
/* celsius of a row, -1: there is none. */
int fixture_get(struct node_session *session, const char *sensor, int ts);
int fixture_count(struct node_session *session); /* rows of the whole table */

#endif
