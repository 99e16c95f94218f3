/* Random messages of the native protocol, for the codec's tests. */
#ifndef TESTS_UNIT_CQL_WIRE_LIB_H
#define TESTS_UNIT_CQL_WIRE_LIB_H

#include "cql/wire.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

#define S(text) base_slice_str(text)

static struct base_arena arena;
static struct base_err err;
static struct rng rng;

static inline void setup(void)
{
    base_arena_init(&arena);
    rng = rng_seeded(7);
}

static inline void teardown(void)
{
    base_arena_fini(&arena);
}

static inline void *take(size_t size)
{
    void *p = base_arena_zalloc(&arena, size ? size : 1);
    ck_assert_ptr_nonnull(p);
    return p;
}

static inline struct base_slice random_bytes(size_t len)
{
    uint8_t *p = take(len);
    for (size_t i = 0; i < len; i++)
        p[i] = rng_chance(&rng, 50) ? 'a' : (uint8_t)rng_u64(&rng);
    return base_slice(p, len);
}

static inline struct base_slice random_text(void)
{
    return random_bytes(rng_chance(&rng, 10) ? 0 : rng_below(&rng, 30));
}

static inline struct cql_value *random_values(size_t count, uint8_t version)
{
    struct cql_value *values = take(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i].state = (enum cql_value_state)rng_below(&rng, version >= 4 ? 3 : 2);
        if (values[i].state == CQL_VALUE_SET)
            values[i].bytes = random_bytes(rng_below(&rng, 20));
    }
    return values;
}

static inline struct base_slice *random_texts(size_t count)
{
    struct base_slice *texts = take(count * sizeof *texts);
    for (size_t i = 0; i < count; i++)
        texts[i] = random_text();
    return texts;
}

static inline void random_options(struct cql_query_options *o, uint8_t version, bool batch)
{
    memset(o, 0, sizeof *o);
    o->consistency = (uint16_t)rng_below(&rng, 11);
    o->serial_consistency = CQL_SERIAL_DEFAULT;
    if (!batch) {
        o->value_count = rng_chance(&rng, 50) ? rng_below(&rng, 6) : 0;
        o->values = random_values(o->value_count, version);
        o->names = o->value_count && rng_chance(&rng, 30) ? random_texts(o->value_count) : NULL;
        o->skip_metadata = rng_chance(&rng, 50);
        o->has_page_size = rng_chance(&rng, 50);
        o->page_size = o->has_page_size ? (int32_t)rng_below(&rng, 10000) : 0;
        if (rng_chance(&rng, 30))
            o->paging_state = random_bytes(1 + rng_below(&rng, 40));
    }
    o->has_serial_consistency = rng_chance(&rng, 30);
    if (o->has_serial_consistency)
        o->serial_consistency = 9;
    o->has_timestamp = rng_chance(&rng, 50);
    o->timestamp_us = o->has_timestamp ? (int64_t)(rng_u64(&rng) >> 1) : 0;
    if (version >= 5) {
        if (rng_chance(&rng, 30))
            o->keyspace = random_bytes(1 + rng_below(&rng, 10));
        o->has_now = rng_chance(&rng, 30);
        o->now_s = o->has_now ? (int32_t)rng_below(&rng, INT32_MAX) : 0;
    }
}

static inline const struct base_type *random_type(unsigned depth)
{
    static const enum base_type_kind compound[] = {BASE_TYPE_LIST,  BASE_TYPE_MAP,
                                                   BASE_TYPE_SET,   BASE_TYPE_UDT,
                                                   BASE_TYPE_TUPLE, BASE_TYPE_VECTOR};
    if (depth > 3 || rng_chance(&rng, 60)) {
        const struct base_type *scalar = NULL;
        while (!scalar)
            scalar =
                base_type_scalar((enum base_type_kind)(1 + rng_below(&rng, BASE_TYPE_DURATION)));
        return scalar;
    }
    struct base_type *type = take(sizeof *type);
    type->kind = compound[rng_below(&rng, BASE_COUNT(compound))];
    type->frozen = depth > 0 || type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_VECTOR;
    bool many = type->kind == BASE_TYPE_UDT || type->kind == BASE_TYPE_TUPLE;
    type->param_count = type->kind == BASE_TYPE_MAP ? 2
                        : many                      ? 1 + (uint32_t)rng_below(&rng, 9)
                                                    : 1;
    type->dimension = type->kind == BASE_TYPE_VECTOR ? 1 + (uint32_t)rng_below(&rng, 8192) : 0;
    const struct base_type **params = take(type->param_count * sizeof *params);
    for (uint32_t i = 0; i < type->param_count; i++)
        params[i] = random_type(depth + 1);
    type->params = params;
    if (type->kind == BASE_TYPE_UDT) {
        type->keyspace = S("ks");
        type->name = random_text();
        type->field_names = random_texts(type->param_count);
    }
    return type;
}

static inline struct cql_column_spec *random_columns(size_t count)
{
    struct cql_column_spec *columns = take(count * sizeof *columns);
    bool same = rng_chance(&rng, 70);
    for (size_t i = 0; i < count; i++) {
        columns[i].keyspace = same ? S("ks") : random_text();
        columns[i].table = same ? S("t") : random_text();
        columns[i].name = random_text();
        columns[i].type = random_type(0);
    }
    return columns;
}

/* A body of each opcode, appended. */
static inline void random_body(struct base_buf *buf, enum cql_opcode opcode, uint8_t version)
{
    int rc = BASE_OK;
    if (opcode == CQL_OPCODE_QUERY) {
        struct cql_query q = {.text = random_text()};
        random_options(&q.options, version, false);
        rc = cql_put_query(buf, version, &q);
    } else if (opcode == CQL_OPCODE_PREPARE) {
        struct cql_prepare_request p = {.text = random_text()};
        if (version >= 5 && rng_chance(&rng, 50))
            p.keyspace = random_bytes(3);
        rc = cql_put_prepare(buf, version, &p);
    } else if (opcode == CQL_OPCODE_EXECUTE) {
        struct cql_execute e = {.id = random_bytes(16),
                                .result_metadata_id = version >= 5 ? random_bytes(16) : S("")};
        random_options(&e.options, version, false);
        rc = cql_put_execute(buf, version, &e);
    } else if (opcode == CQL_OPCODE_BATCH) {
        struct cql_batch_request b = {.kind = (enum cql_batch_kind)rng_below(&rng, 3),
                                      .statement_count = rng_below(&rng, 5)};
        struct cql_batch_statement *statements = take(b.statement_count * sizeof *statements);
        for (size_t i = 0; i < b.statement_count; i++) {
            if (rng_chance(&rng, 50))
                statements[i].text = random_bytes(1 + rng_below(&rng, 20));
            else
                statements[i].id = random_bytes(16);
            statements[i].value_count = rng_below(&rng, 4);
            statements[i].values = random_values(statements[i].value_count, version);
        }
        b.statements = statements;
        random_options(&b.options, version, true);
        rc = cql_put_batch(buf, version, &b);
    } else {
        rc = base_buf_put_slice(buf, random_bytes(rng_below(&rng, 100)));
    }
    ck_assert_int_eq(rc, BASE_OK);
}

/* Decode a request's body and encode it again, appended. */
static inline int recode(enum cql_opcode opcode, uint8_t version, struct base_slice body,
                         struct base_buf *out)
{
    struct cql_query q;
    struct cql_prepare_request p;
    struct cql_execute e;
    struct cql_batch_request b;
    int rc;
    switch (opcode) {
    case CQL_OPCODE_QUERY:
        rc = cql_get_query(&arena, version, body, &q, &err);
        return rc == BASE_OK ? cql_put_query(out, version, &q) : rc;
    case CQL_OPCODE_PREPARE:
        rc = cql_get_prepare(version, body, &p, &err);
        return rc == BASE_OK ? cql_put_prepare(out, version, &p) : rc;
    case CQL_OPCODE_EXECUTE:
        rc = cql_get_execute(&arena, version, body, &e, &err);
        return rc == BASE_OK ? cql_put_execute(out, version, &e) : rc;
    case CQL_OPCODE_BATCH:
        rc = cql_get_batch(&arena, version, body, &b, &err);
        return rc == BASE_OK ? cql_put_batch(out, version, &b) : rc;
    default:
        return base_buf_put_slice(out, body);
    }
}

/* Equal but for being frozen: the protocol does not say it. */
static inline bool same_type(const struct base_type *a, const struct base_type *b)
{
    if (a->kind != b->kind || a->param_count != b->param_count || a->dimension != b->dimension ||
        !base_slice_equal(a->name, b->name) || !base_slice_equal(a->keyspace, b->keyspace))
        return false;
    for (uint32_t i = 0; i < a->param_count; i++)
        if (!same_type(a->params[i], b->params[i]) ||
            (a->kind == BASE_TYPE_UDT && !base_slice_equal(a->field_names[i], b->field_names[i])))
            return false;
    return true;
}

static inline bool same_columns(const struct cql_column_spec *a, const struct cql_column_spec *b,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!base_slice_equal(a[i].keyspace, b[i].keyspace) ||
            !base_slice_equal(a[i].table, b[i].table) || !base_slice_equal(a[i].name, b[i].name) ||
            !same_type(a[i].type, b[i].type))
            return false;
    return true;
}

#endif
