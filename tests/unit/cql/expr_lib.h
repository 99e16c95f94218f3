/* Terms as text to values as text, against a table whose row the test sets: what the tests of
 * expressions talk to. */
#ifndef TESTS_UNIT_CQL_EXPR_LIB_H
#define TESTS_UNIT_CQL_EXPR_LIB_H

#include "cql/expr.h"
#include "tests/unit/cql/script.h"

enum { BINDS_MAX = 16, CELLS_MAX = 64 };
static struct cql_column_spec specs[BINDS_MAX];
static struct cql_value bound[BINDS_MAX];
static size_t bound_count;
static const struct base_table *of_table;

/* The row that selectors read. */

struct cqli_row {
    struct cql_value cells[CELLS_MAX], writetimes[CELLS_MAX], ttls[CELLS_MAX]; /* by column id */
};
static struct cqli_row the_row;

/* Linked in place of cql/row.c's (-Wl,--wrap). */
int __wrap_cqli_row_value(struct cqli_row *row, const struct base_column *column,
                          struct cql_value *out, struct base_err *e);
int __wrap_cqli_row_writetime(struct cqli_row *row, const struct base_column *column, bool max,
                              struct cql_value *out, struct base_err *e);
int __wrap_cqli_row_ttl(struct cqli_row *row, const struct base_column *column,
                        struct cql_value *out, struct base_err *e);

int __wrap_cqli_row_value(struct cqli_row *row, const struct base_column *column,
                          struct cql_value *out, struct base_err *e)
{
    (void)e;
    *out = row->cells[column->id];
    return BASE_OK;
}
int __wrap_cqli_row_writetime(struct cqli_row *row, const struct base_column *column, bool max,
                              struct cql_value *out, struct base_err *e)
{
    (void)e, (void)max;
    *out = row->writetimes[column->id];
    return BASE_OK;
}
int __wrap_cqli_row_ttl(struct cqli_row *row, const struct base_column *column,
                        struct cql_value *out, struct base_err *e)
{
    (void)e;
    *out = row->ttls[column->id];
    return BASE_OK;
}

/* Ports: a clock that stands, chance that counts. */

static int64_t clock_us = 1700000000123456;
static uint8_t chance;
static int64_t port_now_us(struct cql_ports *ports)
{
    (void)ports;
    return clock_us;
}
static void port_random(struct cql_ports *ports, void *out, size_t len)
{
    (void)ports;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = chance++;
}
static int64_t last_us;
static int64_t port_timestamp(struct cql_ports *ports)
{
    (void)ports;
    last_us = last_us < clock_us ? clock_us : last_us + 1;
    return last_us;
}
static const struct cql_port_ops port_ops = {
    .timestamp = port_timestamp, .now_us = port_now_us, .random = port_random};
static struct cql_ports ports = {.ops = &port_ops};

static inline struct cqli_eval evaluation(void)
{
    return (struct cqli_eval){.arena = &arena,
                              .values = bound,
                              .value_count = bound_count,
                              .row = &the_row,
                              .ports = &ports,
                              .now_us = clock_us,
                              .err = &err};
}

/* Terms. */

static const struct base_type *find_udt(void *ctx, struct base_slice ks, struct base_slice name)
{
    (void)ctx;
    const struct base_user_type *type = base_schema_type(schema, ks.len ? ks : S(keyspace), name);
    return type ? type->type : NULL;
}

static inline const struct base_type *type_of(const char *text)
{
    const struct base_type_resolver resolver = {find_udt, NULL};
    const struct base_type *type;
    ck_ok(base_type_parse(&arena, S(text), &resolver, &type, &err), err);
    return type;
}

static inline struct cqli_prepare preparation(const struct cql_statement *statement)
{
    static struct cql_context at;
    at = context();
    memset(specs, 0, sizeof specs);
    ck_assert_uint_le(statement->bind_count, BINDS_MAX);
    return (struct cqli_prepare){.arena = &arena,
                                 .statement = statement,
                                 .context = &at,
                                 .table = of_table,
                                 .binds = specs,
                                 .bind_count = statement->bind_count,
                                 .err = &err};
}

static inline const struct cql_statement *parsed(const char *form, struct base_slice term)
{
    struct cql_statement *statement;
    struct base_buf text;
    struct base_slice copy;
    base_buf_init(&text, CQL_TEXT_LEN_MAX);
    ck_assert_int_eq(base_buf_printf(&text, form, BASE_SLICE_ARG(term)), BASE_OK);
    ck_assert_int_eq(base_arena_copy(&arena, base_buf_view(&text), &copy), BASE_OK);
    base_buf_fini(&text);
    base_err_clear(&err);
    int rc = cql_parse(&arena, copy, &statement, &err);
    ck_assert_msg(rc == BASE_OK, "%.*s\n%s", BASE_SLICE_ARG(copy), err.text);
    return statement;
}

/* A term for a receiver "v" of the type. */
static inline int prepare_value(const struct base_type *type, struct base_slice text,
                                struct cqli_expr **out)
{
    const struct cql_statement *statement = parsed("INSERT INTO t (v) VALUES (%.*s)", text);
    struct cqli_prepare p = preparation(statement);
    int rc = cqli_expr_prepare(&p, statement->modify.values, S("v"), type, out);
    ck_assert((rc == BASE_OK) == (*out != NULL));
    ck_assert(rc == BASE_OK || err.text[0]);
    return rc;
}

static inline int value_of(const struct base_type *type, struct base_slice text,
                           struct cql_value *out)
{
    struct cqli_expr *expr;
    struct cqli_eval eval = evaluation();
    *out = (struct cql_value){.state = CQL_VALUE_NULL};
    int rc = prepare_value(type, text, &expr);
    return rc == BASE_OK ? cqli_expr_eval(expr, &eval, out) : rc;
}

static inline const char *printed(const struct base_type *type, const struct cql_value *value)
{
    struct base_buf text;
    if (value->state != CQL_VALUE_SET)
        return value->state == CQL_VALUE_NULL ? "null" : "unset";
    base_buf_init(&text, 1 << 20);
    ck_ok(base_value_validate(type, value->bytes, &err), err);
    ck_ok(base_value_to_text(type, value->bytes, &text, &err), err);
    const char *copy = base_arena_strdup(&arena, base_buf_view(&text));
    base_buf_fini(&text);
    return copy;
}

static inline void is_value(const char *type, const char *term, const char *wanted)
{
    struct cql_value value;
    int rc = value_of(type_of(type), S(term), &value);
    ck_assert_msg(rc == BASE_OK, "%s for %s: %s", term, type, err.text);
    const char *got = printed(type_of(type), &value);
    ck_assert_msg(strcmp(got, wanted) == 0, "%s for %s\ngave   %s\nwanted %s", term, type, got,
                  wanted);
}

/* What could not be computed is FUNCTION, what Cassandra's grammar refuses SYNTAX. */
static inline int code_of_text(void)
{
    if (strstr(err.text, "' failed: ") || strstr(err.text, "Could not decode JSON"))
        return BASE_E_FUNCTION;
    return strstr(err.text, "takes one column") || strstr(err.text, "is the name of a column")
               ? BASE_E_SYNTAX
               : BASE_E_INVALID;
}

static inline void no_value(const char *type, const char *term, const char *part)
{
    struct cql_value value;
    int rc = value_of(type_of(type), S(term), &value);
    ck_assert_msg(rc == code_of_text(), "%s for %s\ngave %d: %s", term, type, rc,
                  rc == BASE_OK ? printed(type_of(type), &value) : err.text);
    ck_assert_msg(strstr(err.text, part), "%s for %s\ngave: %s\nwithout: %s", term, type, err.text,
                  part);
}

/* Selectors. */

static inline int prepare_selector(const char *text, struct cqli_expr **out, const char **name)
{
    const struct cql_statement *statement = parsed("SELECT %.*s FROM t", S(text));
    struct cqli_prepare p = preparation(statement);
    struct base_slice called;
    int rc = cqli_expr_prepare_selector(&p, statement->select.selectors->term, out);
    ck_assert(rc == BASE_OK || err.text[0]);
    if (rc == BASE_OK) {
        ck_ok(cqli_expr_name(&p, statement->select.selectors->term, &called), err);
        *name = base_arena_strdup(&arena, called);
    }
    return rc;
}

/* type and value of a selector over the_row: "int 5" */
static inline void selects(const char *text, const char *wanted)
{
    struct cqli_expr *expr;
    struct cqli_eval eval = evaluation();
    struct cql_value value;
    struct base_buf type;
    const char *name;
    int rc = prepare_selector(text, &expr, &name);
    if (rc == BASE_OK)
        rc = cqli_expr_eval(expr, &eval, &value);
    ck_assert_msg(rc == BASE_OK, "%s: %s", text, err.text);
    base_buf_init(&type, 1 << 16);
    ck_assert_int_eq(base_type_print(cqli_expr_type(expr), &type), BASE_OK);
    ck_assert_int_eq(base_buf_printf(&type, " %s", printed(cqli_expr_type(expr), &value)), BASE_OK);
    ck_assert_msg(base_slice_equal(base_buf_view(&type), S(wanted)), "%s\ngave   %.*s\nwanted %s",
                  text, (int)type.len, (char *)type.data, wanted);
    base_buf_fini(&type);
}

static inline void is_named(const char *text, const char *wanted)
{
    struct cqli_expr *expr;
    const char *name;
    int rc = prepare_selector(text, &expr, &name);
    ck_assert_msg(rc == BASE_OK, "%s: %s", text, err.text);
    ck_assert_str_eq(name, wanted);
}

/* Refused when prepared or when evaluated. */
static inline void no_selector(const char *text, const char *part)
{
    struct cqli_expr *expr;
    struct cqli_eval eval = evaluation();
    struct cql_value value;
    const char *name;
    int rc = prepare_selector(text, &expr, &name);
    if (rc == BASE_OK)
        rc = cqli_expr_eval(expr, &eval, &value);
    ck_assert_msg(rc == code_of_text(), "%s: gave %d %s", text, rc, err.text);
    ck_assert_msg(strstr(err.text, part), "%s\ngave: %s\nwithout: %s", text, err.text, part);
}

/* A column's value in the_row. */
static inline void row_set(const char *column, const char *term)
{
    const struct base_column *c = base_table_column(of_table, S(column));
    ck_assert_msg(c != NULL, "no column %s", column);
    int rc = value_of(c->type, S(term), &the_row.cells[c->id]);
    ck_assert_msg(rc == BASE_OK, "%s = %s: %s", column, term, err.text);
}

static inline void expr_setup(const char *columns)
{
    setup();
    lab();
    must("CREATE TYPE address (street text, zip int, tags frozen<set<text>>)");
    must(columns);
    of_table = table("t");
    memset(&the_row, 0, sizeof the_row);
    for (size_t i = 0; i < CELLS_MAX; i++)
        the_row.cells[i].state = the_row.writetimes[i].state = the_row.ttls[i].state =
            CQL_VALUE_NULL;
    bound_count = 0;
    chance = 0;
    last_us = 0;
}

#endif
