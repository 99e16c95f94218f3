/* A schema that CQL statements change one after another: what the tests of cql/ talk to. */
#ifndef TESTS_UNIT_CQL_SCRIPT_H
#define TESTS_UNIT_CQL_SCRIPT_H

#include <stdio.h>

#include "cql/cql.h"
#include "tests/lib/ck.h"

#define S(text) base_slice_str(text)

static struct base_arena arena;
static struct base_err err;
static struct base_schema *schema;
static const char *keyspace = "lab";
static int64_t now_us = 1000;
static unsigned next_id;
static struct cql_ddl ddl; /* of the last statement */

static inline void setup(void)
{
    base_arena_init(&arena);
    schema = base_schema_new();
    ck_assert_ptr_nonnull(schema);
}

static inline void teardown(void)
{
    base_schema_release(schema);
    base_arena_fini(&arena);
}

static inline struct cql_context context(void)
{
    next_id++;
    return (struct cql_context){.schema = schema,
                                .keyspace = S(keyspace),
                                .new_id = {{(uint8_t)next_id, (uint8_t)(next_id >> 8), 1}},
                                .now_us = now_us};
}

/* Analysed, and applied if it changes something. */
static inline int finish(int rc)
{
    struct base_schema *after;
    if (rc != BASE_OK || ddl.nothing)
        return rc;
    rc = base_schema_apply(schema, &ddl.change, &after, &err);
    if (rc == BASE_OK) {
        base_schema_release(schema);
        schema = after;
    }
    return rc;
}

static inline int run(const char *text)
{
    struct cql_statement *statement;
    struct cql_context at = context();
    base_err_clear(&err);
    int rc = cql_parse(&arena, S(text), &statement, &err);
    return rc == BASE_OK ? finish(cql_analyze_ddl(&arena, statement, &at, &ddl, &err)) : rc;
}

static inline void must(const char *text)
{
    int rc = run(text);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
}

/* Fails with the code, and the message has `part` in it. */
static inline void refuses(const char *text, int code, const char *part)
{
    int rc = run(text);
    ck_assert_msg(rc == code, "%s\ngave %d %s: %s", text, rc, base_err_words(rc), err.text);
    ck_assert_msg(strstr(err.text, part), "%s\ngave: %s\nwithout: %s", text, err.text, part);
}

static inline const struct base_table *table(const char *name)
{
    const struct base_table *t = base_schema_table(schema, S(keyspace), S(name));
    ck_assert_msg(t != NULL, "no table %s", name);
    return t;
}

static inline void lab(void)
{
    must("CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', 'replication_factor': "
         "1}");
}

/* Parse `count` times `part`, between head and tail. */
static inline int parse_many(const char *head, const char *part, size_t count, const char *tail)
{
    struct base_buf text;
    struct cql_statement *s;
    base_buf_init(&text, 2 * CQL_TEXT_LEN_MAX);
    ck_assert_int_eq(base_buf_put_slice(&text, S(head)), BASE_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(base_buf_put_slice(&text, S(part)), BASE_OK);
    ck_assert_int_eq(base_buf_put_slice(&text, S(tail)), BASE_OK);
    int rc = cql_parse(&arena, base_buf_view(&text), &s, &err);
    base_buf_fini(&text);
    return rc;
}

#endif
