/* Statements that write, from their text to their mutations: the world of modify_lib.h, a few
 * tables, and what a test asks. */
#ifndef TESTS_UNIT_CQL_MODIFY_RUN_H
#define TESTS_UNIT_CQL_MODIFY_RUN_H

#include "cql/exec.h"

#include "tests/unit/cql/modify_lib.h"
#include "tests/unit/cql/script.h"

static struct world world;
static struct cql_exec exec;
static struct base_arena exec_arena;
static struct base_buf printed;
static bool done;
static int64_t client_ts = WORLD_TS; /* 0: none */

static inline void finished(struct cql_exec *e)
{
    ck_assert_ptr_eq(e, &exec);
    ck_assert(!done);
    done = true;
}

static inline void begin(void)
{
    setup();
    lab();
    must("CREATE TYPE lab.point (x int, y int)");
    must("CREATE TABLE t (k int, c int, s text static, v int, w text, PRIMARY KEY (k, c))");
    must("CREATE TABLE p (k text PRIMARY KEY, v int)");
    must("CREATE TABLE pp (a int, b text, c decimal, d int, v int, PRIMARY KEY ((a, b), c, d)) "
         "WITH CLUSTERING ORDER BY (c DESC, d ASC)");
    must("CREATE TABLE l (k int PRIMARY KEY, l list<int>, st set<text>, m map<text, int>, u point, "
         "fl frozen<list<int>>, fu frozen<point>, "
         "fm frozen<map<text, int>>, tu tuple<int, text>)");
    must("CREATE TABLE ttl (k int PRIMARY KEY, v int, m map<int, int>) WITH default_time_to_live = "
         "60");
    must("CREATE TABLE sl (k int, c int, sl list<int> static, v list<int>, PRIMARY KEY (k, c))");
    base_arena_init(&exec_arena);
    base_buf_init(&printed, 1 << 20);
    world_init(&world, schema);
}

static inline void end(void)
{
    cql_result_fini(&exec.result);
    exec.result = (struct cql_result){0};
    world_fini(&world);
    base_buf_fini(&printed);
    base_arena_fini(&exec_arena);
    teardown();
}

static inline struct cql_prepared *prepare(const char *text, int *rc)
{
    struct cql_statement *statement;
    struct cql_prepared *prepared = NULL;
    const struct cql_context at = {.schema = schema, .keyspace = S(keyspace), .now_us = now_us};
    base_err_clear(&err);
    *rc = cql_parse(&arena, S(text), &statement, &err);
    if (*rc == BASE_OK)
        *rc = cql_prepare(&arena, statement, &at, &prepared, &err);
    return prepared;
}

static inline void exec_init(void)
{
    base_arena_reset(&exec_arena);
    cql_result_fini(&exec.result);
    exec = (struct cql_exec){.arena = &exec_arena,
                             .ports = &world.ports,
                             .consistency = 1,
                             .serial_consistency = 8,
                             .has_timestamp = client_ts != 0,
                             .timestamp_us = client_ts,
                             .done = finished,
                             .keyspace = S("lab")};
    cql_result_init(&exec.result, 1 << 20);
    base_buf_reset(&world.written);
    done = false;
}

static inline int finish_exec(enum cql_answer answer)
{
    while (answer == CQL_PENDING && !done)
        ck_assert(world_step(&world));
    ck_assert(answer == CQL_PENDING || !done);
    err = exec.err;
    base_buf_reset(&printed);
    world_print(schema, base_buf_view(&world.written), &printed);
    return exec.rc;
}

static inline int execute(const char *text, const struct cql_value *values, size_t count)
{
    int rc;
    struct cql_prepared *prepared = prepare(text, &rc);
    exec_init();
    if (rc != BASE_OK)
        return rc;
    exec.prepared = prepared;
    exec.values = values;
    exec.value_count = count;
    return finish_exec(cql_exec_start(&exec));
}

static inline void does_with(const char *text, const struct cql_value *values, size_t count,
                             const char *mutations)
{
    int rc = execute(text, values, count);
    ck_assert_msg(rc == BASE_OK, "%s\n%s", text, err.text);
    ck_assert_msg(strcmp((const char *)printed.data, mutations) == 0,
                  "%s\ngave      %s\nexpected  %s", text, (const char *)printed.data, mutations);
}

static inline void does(const char *text, const char *mutations)
{
    does_with(text, NULL, 0, mutations);
}

static inline void fails_with(const char *text, const struct cql_value *values, size_t count,
                              int code, const char *message)
{
    int rc = execute(text, values, count);
    ck_assert_msg(rc == code, "%s\ngave %d: %s", text, rc, err.text);
    ck_assert_msg(strcmp(err.text, message) == 0, "%s\ngave      %s\nexpected  %s", text, err.text,
                  message);
    ck_assert_uint_eq(world.written.len, 0);
}

static inline void fails(const char *text, const char *message)
{
    fails_with(text, NULL, 0, BASE_E_INVALID, message);
}

#define SET(bytes)                                                                                 \
    {                                                                                              \
        CQL_VALUE_SET,                                                                             \
        {                                                                                          \
            (const uint8_t *)(bytes), sizeof(bytes) - 1                                            \
        }                                                                                          \
    }
#define NIL                                                                                        \
    {                                                                                              \
        .state = CQL_VALUE_NULL                                                                    \
    }
#define UNSET                                                                                      \
    {                                                                                              \
        .state = CQL_VALUE_UNSET                                                                   \
    }
#define INT1 SET("\0\0\0\1")
#define INT2 SET("\0\0\0\2")
#define DOES(text, mutations, ...)                                                                 \
    do {                                                                                           \
        const struct cql_value v_[] = {__VA_ARGS__};                                               \
        does_with(text, v_, BASE_COUNT(v_), mutations);                                            \
    } while (0)
#define FAILS(text, message, ...)                                                                  \
    do {                                                                                           \
        const struct cql_value v_[] = {__VA_ARGS__};                                               \
        fails_with(text, v_, BASE_COUNT(v_), BASE_E_INVALID, message);                             \
    } while (0)

#endif
