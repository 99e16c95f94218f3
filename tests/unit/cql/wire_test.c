/* The native protocol's messages: requests, types, errors, results, events. Without these a driver
 * could be answered in a form it does not read. Frames and segments: wire_frame_test.c. */
#include "tests/unit/cql/wire_lib.h"

#include <stdio.h>

/* Requests. */

static const enum cql_opcode request_opcodes[] = {CQL_OPCODE_QUERY, CQL_OPCODE_PREPARE,
                                                  CQL_OPCODE_EXECUTE, CQL_OPCODE_BATCH};

/* decode(encode(x)) encodes to the same bytes; what is cut off is refused or, cut at an end,
 * shorter; damage only must not harm. */
START_TEST(requests_round_trip)
{
    enum cql_opcode opcode = request_opcodes[_i % 4];
    uint8_t version = (uint8_t)(3 + _i / 4);
    struct base_buf body, again;
    base_buf_init(&body, 1 << 20);
    base_buf_init(&again, 1 << 20);
    for (int round = 0; round < 150; round++) {
        base_buf_reset(&body);
        base_buf_reset(&again);
        random_body(&body, opcode, version);
        ck_ok(recode(opcode, version, base_buf_view(&body), &again), err);
        ck_assert(base_slice_equal(base_buf_view(&body), base_buf_view(&again)));
        for (size_t len = 0; len < body.len; len++) {
            uint8_t *copy = malloc(body.len);
            ck_assert_ptr_nonnull(copy);
            memcpy(copy + body.len - len, body.data, len); /* against the block's end */
            base_buf_reset(&again);
            ck_fails(recode(opcode, version, base_slice(copy + body.len - len, len), &again),
                     BASE_E_INVALID, err);
            memcpy(copy, body.data, body.len);
            copy[len] ^= (uint8_t)(1 + rng_below(&rng, 255));
            base_buf_reset(&again);
            int rc = recode(opcode, version, base_slice(copy, body.len), &again);
            ck_assert(rc == BASE_OK || rc == BASE_E_INVALID);
            free(copy);
        }
        base_arena_reset(&arena);
    }
    base_buf_fini(&body);
    base_buf_fini(&again);
}
END_TEST

/* As the Python driver writes it: SELECT with one value, page size, timestamp; v4 and v5. */
START_TEST(a_query_as_specified)
{
    static const uint8_t v4[] = {0,    0, 0, 1,    'q',  0, 10, 0x25, 0, 1, 0xff, 0xff, 0xff,
                                 0xfe, 0, 0, 0x13, 0x88, 0, 0,  0,    0, 0, 0,    0,    9};
    static const uint8_t v5[] = {0, 0, 0,    1,    'q',  0,    10,  0, 0, 1, 0xa1,
                                 0, 1, 0xff, 0xff, 0xff, 0xff, 0,   0, 0, 0, 0,
                                 0, 0, 9,    0,    2,    'k',  's', 0, 0, 0, 77};
    struct cql_query q;
    ck_ok(cql_get_query(&arena, 4, base_slice(v4, sizeof v4), &q, &err), err);
    ck_assert(base_slice_equal(q.text, S("q")));
    ck_assert_uint_eq(q.options.consistency, 10);
    ck_assert_uint_eq(q.options.value_count, 1);
    ck_assert_int_eq(q.options.values[0].state, CQL_VALUE_UNSET);
    ck_assert(q.options.has_page_size && q.options.page_size == 5000);
    ck_assert(q.options.has_timestamp && q.options.timestamp_us == 9);
    ck_assert_uint_eq(q.options.serial_consistency, CQL_SERIAL_DEFAULT);
    ck_ok(cql_get_query(&arena, 5, base_slice(v5, sizeof v5), &q, &err), err);
    ck_assert_int_eq(q.options.values[0].state, CQL_VALUE_NULL);
    ck_assert(base_slice_equal(q.options.keyspace, S("ks")));
    ck_assert(q.options.has_now && q.options.now_s == 77);
}
END_TEST

START_TEST(options_that_are_none)
{
    static const struct {
        uint8_t version, bytes[16];
        size_t len;
        const char *part;
    } bad[] = {
        {4, {0, 0, 0, 0, 0, 11, 0}, 7, "Unknown code 11 for a consistency level"},
        {4, {0, 0, 0, 0, 0, 1, 0x80}, 7, "Unknown flags 0x80"},
        {5, {0, 0, 0, 0, 0, 1, 0, 0, 2, 0}, 10, "Unknown flags 0x200"},
        {4, {0, 0, 0, 0, 0, 1, 0x10, 0, 99}, 9, "Unknown code 99"},
        {4, {0, 0, 0, 0, 0, 1, 0x20, 0x80, 0, 0, 0, 0, 0, 0, 0}, 15, "Out of bound timestamp"},
        {4, {0, 0, 0, 0, 0, 1, 1, 0, 1, 0xff, 0xff, 0xff, 0xfd}, 13, "Values"},
        {4, {0xff, 0xff, 0xff, 0xff, 0, 1, 0}, 7, "QUERY"},
        {4, {0, 0, 0, 0, 0, 1, 1, 0xff, 0xff}, 9, "Values"},
    };
    struct cql_query q;
    for (size_t i = 0; i < BASE_COUNT(bad); i++) {
        ck_fails(
            cql_get_query(&arena, bad[i].version, base_slice(bad[i].bytes, bad[i].len), &q, &err),
            BASE_E_INVALID, err);
        ck_assert_msg(strstr(err.text, bad[i].part) != NULL, "%s", err.text);
    }
    static const uint8_t kind[] = {9, 0, 0, 0, 1, 0}, query_kind[] = {0, 0, 1, 2, 0, 0},
                         named[] = {0, 0, 0, 0, 1, 0x40};
    struct cql_batch_request b;
    ck_fails(cql_get_batch(&arena, 4, base_slice(kind, sizeof kind), &b, &err), BASE_E_INVALID,
             err);
    ck_fails(cql_get_batch(&arena, 4, base_slice(query_kind, sizeof query_kind), &b, &err),
             BASE_E_INVALID, err);
    ck_assert_str_eq(err.text, "Invalid query kind in BATCH messages. Must be 0 or 1 but got 2");
    ck_fails(cql_get_batch(&arena, 4, base_slice(named, sizeof named), &b, &err), BASE_E_INVALID,
             err);
    ck_assert_ptr_nonnull(strstr(err.text, "named"));
}
END_TEST

/* Notations, types. */

START_TEST(types_round_trip)
{
    struct base_buf buf;
    base_buf_init(&buf, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        const struct base_type *type = random_type(0), *back;
        uint8_t version = (uint8_t)(3 + round % 3);
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_wire_put_type(&buf, version, type), BASE_OK);
        struct base_reader r = base_reader(base_buf_view(&buf));
        ck_ok(cql_wire_get_type(&r, &arena, &back, &err), err);
        ck_assert_uint_eq(base_reader_left(&r), 0);
        ck_assert(same_type(type, back));
        for (size_t len = 0; len < buf.len && len < 300; len++) {
            uint8_t *copy = malloc(len + 1);
            ck_assert_ptr_nonnull(copy);
            memcpy(copy + 1, buf.data, len);
            r = base_reader(base_slice(copy + 1, len));
            ck_fails(cql_wire_get_type(&r, &arena, &back, &err), BASE_E_INVALID, err);
            free(copy);
        }
        base_arena_reset(&arena);
    }
    base_buf_fini(&buf);
}
END_TEST

static void expect_class(const char *cql, uint8_t version, const char *class)
{
    struct base_buf buf;
    const struct base_type *type, *back;
    base_buf_init(&buf, 1 << 16);
    ck_ok(base_type_parse(&arena, S(cql), NULL, &type, &err), err);
    ck_assert_int_eq(cql_wire_put_type(&buf, version, type), BASE_OK);
    ck_assert_uint_gt(buf.len, 4);
    ck_assert_uint_eq(base_get_be16(buf.data), BASE_TYPE_CUSTOM);
    ck_assert_msg(base_slice_equal(base_slice(buf.data + 4, buf.len - 4), S(class)), "%.*s",
                  (int)buf.len - 4, buf.data + 4);
    ck_ok(cql_wire_parse_class(&arena, S(class), &back, &err), err);
    ck_assert(same_type(type, back));
    base_buf_fini(&buf);
}

#define M "org.apache.cassandra.db.marshal."
START_TEST(types_by_class)
{
    expect_class("vector<float, 3>", 5, M "VectorType(" M "FloatType , 3)");
    expect_class("vector<frozen<list<int>>, 2>", 4,
                 M "VectorType(" M "FrozenType(" M "ListType(" M "Int32Type)) , 2)");
    expect_class("vector<vector<double, 4>, 2>", 5,
                 M "VectorType(" M "VectorType(" M "DoubleType , 4) , 2)");
    expect_class("duration", 4, M "DurationType");
    expect_class("date", 3, M "SimpleDateType");
    expect_class("tinyint", 3, M "ByteType");
    const struct base_type *type;
    ck_ok(cql_wire_parse_class(&arena, S(M "ReversedType(" M "TimestampType)"), &type, &err), err);
    ck_assert_int_eq(type->kind, BASE_TYPE_TIMESTAMP);
    ck_ok(
        cql_wire_parse_class(&arena, S(M "TupleType(a.b.Odd(x(y),z)," M "Int32Type)"), &type, &err),
        err);
    ck_assert_int_eq(type->params[0]->kind, BASE_TYPE_CUSTOM);
    ck_assert(base_slice_equal(type->params[0]->name, S("a.b.Odd(x(y),z)")));
    static const char *const bad[] = {"",
                                      M "ListType",
                                      M "ListType(",
                                      M "ListType(" M "Int32Type",
                                      M "MapType(" M "Int32Type)",
                                      M "VectorType(" M "Int32Type)",
                                      M "VectorType(" M "Int32Type , 0)",
                                      M "UserType(ks,6g)",
                                      M "UserType(ks,61,62)",
                                      M "Int32Type)",
                                      M "FrozenType(" M "Int32Type",
                                      "x(",
                                      M "VectorType(" M "Int32Type , 99999999999)"};
    for (size_t i = 0; i < BASE_COUNT(bad); i++)
        ck_fails(cql_wire_parse_class(&arena, S(bad[i]), &type, &err), BASE_E_INVALID, err);
}
END_TEST

/* Deeper than types may be: refused, in both forms, however long. */
START_TEST(types_too_deep)
{
    const struct base_type *type;
    struct base_buf buf;
    base_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(cql_wire_put_short(&buf, BASE_TYPE_LIST), BASE_OK);
    struct base_reader r = base_reader(base_buf_view(&buf));
    ck_fails(cql_wire_get_type(&r, &arena, &type, &err), BASE_E_INVALID, err);
    base_buf_reset(&buf);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(base_buf_printf(&buf, "ListType("), BASE_OK);
    ck_fails(cql_wire_parse_class(&arena, base_buf_view(&buf), &type, &err), BASE_E_INVALID, err);
    base_buf_reset(&buf);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(base_buf_printf(&buf, "FrozenType("), BASE_OK);
    ck_fails(cql_wire_parse_class(&arena, base_buf_view(&buf), &type, &err), BASE_E_INVALID, err);
    base_buf_fini(&buf);
}
END_TEST

START_TEST(maps_and_prefixes)
{
    const struct base_slice values[] = {S("lz4"), S("snappy")};
    const struct cql_wire_entry entries[] = {{S("COMPRESSION"), values, 2}, {S("EMPTY"), NULL, 0}};
    const struct cql_wire_pair pairs[] = {{S("CQL_VERSION"), S("3.0.0")}, {S("X"), S("")}};
    struct cql_wire_entry *back;
    struct cql_wire_pair *pairs_back;
    struct base_slice address;
    int32_t port;
    size_t count;
    struct base_buf buf;
    base_buf_init(&buf, 1 << 16);
    ck_assert_int_eq(cql_wire_put_multimap(&buf, entries, 2), BASE_OK);
    ck_assert_int_eq(cql_wire_put_string_map(&buf, pairs, 2), BASE_OK);
    ck_assert_int_eq(cql_wire_put_inet(&buf, base_slice("\x7f\0\0\1", 4), 9042), BASE_OK);
    struct base_reader r = base_reader(base_buf_view(&buf));
    ck_assert(cql_wire_get_multimap(&r, &arena, &back, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert(base_slice_equal(back[0].values[1], S("snappy")) && back[1].value_count == 0);
    ck_assert(cql_wire_get_string_map(&r, &arena, &pairs_back, &count));
    ck_assert(base_slice_equal(cql_wire_map_get(pairs_back, count, "CQL_VERSION"), S("3.0.0")));
    ck_assert_ptr_nonnull(cql_wire_map_get(pairs_back, count, "X").data);
    ck_assert_ptr_null(cql_wire_map_get(pairs_back, count, "x").data);
    ck_assert(cql_wire_get_inet(&r, &address, &port));
    ck_assert(address.len == 4 && port == 9042);
    ck_assert(!cql_wire_get_inet(&r, &address, &port));

    struct cql_wire_pair payload[] = {{S("k"), {NULL, 0}}, {S("l"), S("v")}};
    struct cql_prefix prefix = {true, {{1, 2, 3}}, values, 2, payload, 2}, got;
    base_buf_reset(&buf);
    ck_assert_int_eq(cql_put_prefix(&buf, &prefix), BASE_OK);
    ck_assert_int_eq(base_buf_put(&buf, "body", 4), BASE_OK);
    for (size_t len = 0; len <= buf.len; len++) {
        struct cql_message m = {.version = 4,
                                .is_response = true,
                                .flags = cql_prefix_flags(&prefix),
                                .body = base_slice(buf.data, len)};
        if (len < buf.len - 4) {
            ck_fails(cql_get_prefix(&m, &arena, &got, &err), BASE_E_INVALID, err);
            continue;
        }
        ck_ok(cql_get_prefix(&m, &arena, &got, &err), err);
        ck_assert(got.has_tracing_id && got.tracing_id.b[2] == 3 && got.warning_count == 2 &&
                  got.payload_count == 2);
        ck_assert(got.payload[0].value.data == NULL &&
                  base_slice_equal(got.payload[1].value, S("v")));
        ck_assert_uint_eq(m.body.len, len + 4 - buf.len);
    }
    base_buf_fini(&buf);
}
END_TEST

/* Errors. */

START_TEST(errors_round_trip)
{
    static const int codes[] = {
        CQL_ERROR_SERVER,
        CQL_ERROR_PROTOCOL,
        CQL_ERROR_CREDENTIALS,
        CQL_ERROR_UNAVAILABLE,
        CQL_ERROR_OVERLOADED,
        CQL_ERROR_BOOTSTRAPPING,
        CQL_ERROR_TRUNCATE,
        CQL_ERROR_WRITE_TIMEOUT,
        CQL_ERROR_READ_TIMEOUT,
        CQL_ERROR_READ_FAILURE,
        CQL_ERROR_FUNCTION_FAILURE,
        CQL_ERROR_WRITE_FAILURE,
        CQL_ERROR_CDC_WRITE_FAILURE,
        CQL_ERROR_CAS_WRITE_UNKNOWN,
        CQL_ERROR_SYNTAX,
        CQL_ERROR_UNAUTHORIZED,
        CQL_ERROR_INVALID,
        CQL_ERROR_CONFIG,
        CQL_ERROR_ALREADY_EXISTS,
        CQL_ERROR_UNPREPARED,
    };
    static const struct base_slice types[] = {{(const uint8_t *)"int", 3}};
    struct base_buf buf;
    base_buf_init(&buf, 1 << 18);
    for (size_t i = 0; i < BASE_COUNT(codes); i++) {
        for (uint8_t version = 3; version <= 5; version++) {
            struct cql_error got, e = {
                                      .code = codes[i],
                                      .message = S("why"),
                                      .contentions = 3,
                                      .outcome = {.required = 2,
                                                  .received = 1,
                                                  .alive = 1,
                                                  .failures = 1,
                                                  .failed = {{{127, 0, 0, 2}, 4, 3}},
                                                  .failed_count = 1,
                                                  .write_type = 5,
                                                  .data_present = true,
                                                  .consistency = 4},
                                      .keyspace = S("ks"),
                                      .name = S("t"),
                                      .arg_types = types,
                                      .arg_type_count = 1,
                                      .id = S("0123456789abcdef"),
                                  };
            base_buf_reset(&buf);
            ck_assert_int_eq(cql_put_error(&buf, version, &e), BASE_OK);
            ck_ok(cql_get_error(&arena, version, base_buf_view(&buf), &got, &err), err);
            ck_assert(base_slice_equal(got.message, e.message));
            bool told_otherwise = got.code != e.code;
            ck_assert_msg(!told_otherwise || version < 5, "0x%x", e.code);
            if (got.code == CQL_ERROR_UNAVAILABLE)
                ck_assert(got.outcome.required == 2 && got.outcome.alive == 1 &&
                          got.outcome.consistency == 4);
            if (got.code == CQL_ERROR_WRITE_TIMEOUT || got.code == CQL_ERROR_WRITE_FAILURE)
                ck_assert(got.outcome.required == 2 && got.outcome.received == 1 &&
                          got.outcome.write_type == 5);
            if (got.code == CQL_ERROR_WRITE_FAILURE || got.code == CQL_ERROR_READ_FAILURE)
                ck_assert(got.outcome.failures == 1 && got.failure_map_count == (version == 5));
            if (got.failure_map_count)
                ck_assert(base_slice_equal(got.failure_map[0].address,
                                           base_slice((const uint8_t *)"\x7f\0\0\2", 4)) &&
                          got.failure_map[0].reason == CQL_FAILED_INCOMPATIBLE_SCHEMA);
            if (got.code == CQL_ERROR_WRITE_TIMEOUT && version == 5)
                ck_assert_uint_eq(got.contentions, 3);
            if (got.code == CQL_ERROR_READ_TIMEOUT)
                ck_assert(got.outcome.data_present && got.outcome.received == 1);
            if (got.code == CQL_ERROR_ALREADY_EXISTS)
                ck_assert(base_slice_equal(got.name, S("t")));
            if (got.code == CQL_ERROR_UNPREPARED)
                ck_assert(base_slice_equal(got.id, e.id));
            for (size_t len = 0; len < buf.len;
                 len++) /* shorter: refused, or v5's contentions are not there */
                ck_assert(
                    cql_get_error(&arena, version, base_slice(buf.data, len), &got, &err) ==
                        BASE_E_INVALID ||
                    (e.code == CQL_ERROR_WRITE_TIMEOUT && version == 5 && len == buf.len - 2));
        }
    }
    base_buf_fini(&buf);
}
END_TEST

/* What a version does not know becomes what Cassandra makes of it. */
START_TEST(errors_of_older_versions)
{
    static const struct {
        uint8_t version;
        int code, becomes;
    } cases[] = {
        {3, CQL_ERROR_READ_FAILURE, CQL_ERROR_READ_TIMEOUT},
        {3, CQL_ERROR_WRITE_FAILURE, CQL_ERROR_WRITE_TIMEOUT},
        {3, CQL_ERROR_FUNCTION_FAILURE, CQL_ERROR_INVALID},
        {4, CQL_ERROR_READ_FAILURE, CQL_ERROR_READ_FAILURE},
        {4, CQL_ERROR_CAS_WRITE_UNKNOWN, CQL_ERROR_WRITE_TIMEOUT},
        {5, CQL_ERROR_CAS_WRITE_UNKNOWN, CQL_ERROR_CAS_WRITE_UNKNOWN},
    };
    struct base_buf buf;
    base_buf_init(&buf, 1 << 18);
    for (size_t i = 0; i < BASE_COUNT(cases); i++) {
        struct cql_error got, e = {.code = cases[i].code, .message = S("x")};
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_error(&buf, cases[i].version, &e), BASE_OK);
        ck_ok(cql_get_error(&arena, cases[i].version, base_buf_view(&buf), &got, &err), err);
        ck_assert_int_eq(got.code, cases[i].becomes);
        if (cases[i].code == CQL_ERROR_CAS_WRITE_UNKNOWN && cases[i].version == 4)
            ck_assert_int_eq(got.outcome.write_type, 5);
    }
    /* A text of any length finds a place. */
    struct cql_error got, e = {.code = CQL_ERROR_INVALID, .message = random_bytes(70000)};
    base_buf_reset(&buf);
    ck_assert_int_eq(cql_put_error(&buf, 4, &e), BASE_OK);
    ck_ok(cql_get_error(&arena, 4, base_buf_view(&buf), &got, &err), err);
    ck_assert_uint_eq(got.message.len, 65535);
    base_buf_fini(&buf);
}
END_TEST

START_TEST(codes_of_ours)
{
    const struct cql_outcome write = {.required = 2, .is_write = true}, read = {.required = 2},
                             cas = {.required = 1, .is_write = true, .write_type = 5};
    ck_assert_int_eq(cql_error_code(BASE_E_SYNTAX, NULL), CQL_ERROR_SYNTAX);
    ck_assert_int_eq(cql_error_code(BASE_E_INVALID, NULL), CQL_ERROR_INVALID);
    ck_assert_int_eq(cql_error_code(BASE_E_EXISTS, NULL), CQL_ERROR_ALREADY_EXISTS);
    ck_assert_int_eq(cql_error_code(BASE_E_TIMEOUT, &write), CQL_ERROR_WRITE_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_TIMEOUT, &read), CQL_ERROR_READ_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_IO, &write), CQL_ERROR_WRITE_FAILURE);
    ck_assert_int_eq(cql_error_code(BASE_E_CORRUPT, &read), CQL_ERROR_READ_FAILURE);
    ck_assert_int_eq(cql_error_code(BASE_E_IO, NULL), CQL_ERROR_SERVER);
    ck_assert_int_eq(cql_error_code(BASE_E_UNKNOWN, &cas), CQL_ERROR_CAS_WRITE_UNKNOWN);
    const struct cql_outcome refused = {.required = 2, .failures = 1, .is_write = true},
                             batchlog = {.required = 2, .failures = 1, .write_type = 4},
                             nobody = {.required = 2, .is_write = true};
    ck_assert_int_eq(cql_error_code(BASE_E_UNKNOWN, &refused), CQL_ERROR_WRITE_FAILURE);
    ck_assert_int_eq(cql_error_code(BASE_E_UNKNOWN, &batchlog), CQL_ERROR_WRITE_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_UNKNOWN, &nobody), CQL_ERROR_WRITE_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_UNAVAILABLE, &read), CQL_ERROR_UNAVAILABLE);
    ck_assert_int_eq(cql_error_code(BASE_E_OVERLOADED, NULL), CQL_ERROR_OVERLOADED);
    struct cql_error e;
    struct base_err failed = {.code = BASE_OK};
    struct base_slice types[CQL_FAILED_TYPES_MAX];
    base_err_set(&failed, BASE_E_FUNCTION, "the operation failed");
    snprintf(failed.function, sizeof failed.function, "_divide decimal int");
    cql_error_make(BASE_E_FUNCTION, &failed, NULL, &e);
    cql_error_name_function(&failed, types, &e);
    ck_assert(e.code == CQL_ERROR_FUNCTION_FAILURE && e.arg_type_count == 2 &&
              base_slice_equal(e.keyspace, S("system")) && base_slice_equal(e.name, S("_divide")) &&
              base_slice_equal(e.arg_types[0], S("decimal")) &&
              base_slice_equal(e.arg_types[1], S("int")));
    cql_error_make(BASE_E_INVALID, &failed, NULL, &e);
    cql_error_name_function(&failed, types, &e);
    ck_assert(!e.keyspace.len && !e.name.len && !e.arg_type_count);
    cql_error_make(BASE_E_TIMEOUT, NULL, &write, &e);
    ck_assert(e.code == CQL_ERROR_WRITE_TIMEOUT && e.message.len > 0 && e.outcome.required == 2);
}
END_TEST

/* Results, events. */

START_TEST(rows_round_trip)
{
    struct base_buf buf;
    base_buf_init(&buf, 1 << 22);
    for (int round = 0; round < 300; round++) {
        uint8_t version = (uint8_t)(3 + round % 3);
        struct cql_result result;
        struct cql_result_info got;
        struct cql_rows_options options = {.skip_metadata = rng_chance(&rng, 30)};
        cql_result_init(&result, 1 << 20);
        result.kind = CQL_RESULT_ROWS;
        result.column_count = rng_below(&rng, 8);
        result.columns = random_columns(result.column_count);
        result.row_count = (uint32_t)rng_below(&rng, 10);
        struct cql_value *cells = random_values(result.row_count * result.column_count, 3), row[8];
        for (size_t i = 0; i < result.row_count * result.column_count; i++)
            ck_assert_int_eq(cql_wire_put_value(&result.rows, &cells[i]), BASE_OK);
        result.has_more = rng_chance(&rng, 50);
        if (result.has_more)
            ck_assert_int_eq(base_buf_put(&result.paging_state, "more", 4), BASE_OK);
        if (version == 5 && rng_chance(&rng, 30))
            options.new_metadata_id = S("0123456789abcdef");
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_result(&buf, version, &result, &options), BASE_OK);
        ck_ok(cql_get_result(&arena, version, base_buf_view(&buf), &got, &err), err);
        ck_assert_int_eq(got.kind, CQL_RESULT_ROWS);
        ck_assert(got.no_metadata == (options.skip_metadata && !options.new_metadata_id.data));
        ck_assert(got.has_more == result.has_more &&
                  (!got.has_more || base_slice_equal(got.paging_state, S("more"))));
        ck_assert(base_slice_equal(got.new_metadata_id, options.new_metadata_id));
        ck_assert(got.column_count == result.column_count && got.row_count == result.row_count);
        ck_assert(got.no_metadata || same_columns(got.columns, result.columns, got.column_count));
        struct base_reader r = base_reader(got.rows);
        for (size_t i = 0; i < got.row_count && got.column_count; i++) {
            ck_assert(cql_next_row(&r, row, got.column_count));
            for (size_t c = 0; c < got.column_count; c++)
                ck_assert(row[c].state == cells[i * got.column_count + c].state &&
                          base_slice_equal(row[c].bytes, cells[i * got.column_count + c].bytes));
        }
        ck_assert(!cql_next_row(&r, row, got.column_count));
        for (size_t len = 0; len < buf.len; len += 1 + len / 50)
            ck_fails(cql_get_result(&arena, version, base_slice(buf.data, len), &got, &err),
                     BASE_E_INVALID, err);
        cql_result_fini(&result);
        base_arena_reset(&arena);
    }
    base_buf_fini(&buf);
}
END_TEST

START_TEST(prepared_round_trips)
{
    static const uint16_t pk[] = {2, 0};
    struct base_buf buf;
    base_buf_init(&buf, 1 << 20);
    for (int round = 0; round < 60; round++) {
        uint8_t version = (uint8_t)(3 + round % 3);
        struct cql_prepared_info info = {.id = S("0123456789abcdef"),
                                         .result_metadata_id = S("fedcba9876543210"),
                                         .bind_count = 3,
                                         .binds = random_columns(3),
                                         .pk_indexes = pk,
                                         .pk_count = round % 2 ? 2 : 0,
                                         .column_count = rng_below(&rng, 4)};
        struct cql_result_info got;
        info.columns = random_columns(info.column_count);
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_prepared(&buf, version, &info), BASE_OK);
        ck_ok(cql_get_result(&arena, version, base_buf_view(&buf), &got, &err), err);
        ck_assert_int_eq(got.kind, CQL_RESULT_PREPARED);
        ck_assert(base_slice_equal(got.prepared.id, info.id));
        ck_assert(version < 5 ||
                  base_slice_equal(got.prepared.result_metadata_id, info.result_metadata_id));
        ck_assert_uint_eq(got.prepared.pk_count, version >= 4 ? info.pk_count : 0);
        ck_assert(got.prepared.pk_count == 0 ||
                  memcmp(got.prepared.pk_indexes, pk, sizeof pk) == 0);
        ck_assert(got.prepared.bind_count == 3 && same_columns(got.prepared.binds, info.binds, 3));
        ck_assert(got.prepared.column_count == info.column_count &&
                  same_columns(got.prepared.columns, info.columns, info.column_count));
        for (size_t len = 0; len < buf.len; len++)
            ck_fails(cql_get_result(&arena, version, base_slice(buf.data, len), &got, &err),
                     BASE_E_INVALID, err);
        base_arena_reset(&arena);
    }
    base_buf_fini(&buf);
}
END_TEST

START_TEST(other_results_and_events)
{
    struct cql_result result;
    struct cql_result_info got;
    struct base_buf buf;
    base_buf_init(&buf, 1 << 16);
    cql_result_init(&result, 1 << 10);
    result.kind = CQL_RESULT_SCHEMA_CHANGE;
    result.change = "CREATED";
    result.target = "TABLE";
    result.keyspace = S("ks");
    result.name = S("t");
    ck_assert_int_eq(cql_put_result(&buf, 4, &result, NULL), BASE_OK);
    ck_ok(cql_get_result(&arena, 4, base_buf_view(&buf), &got, &err), err);
    ck_assert(base_slice_equal(got.target, S("TABLE")) && base_slice_equal(got.name, S("t")));
    result.target = "KEYSPACE";
    base_buf_reset(&buf);
    ck_assert_int_eq(cql_put_result(&buf, 4, &result, NULL), BASE_OK);
    ck_ok(cql_get_result(&arena, 4, base_buf_view(&buf), &got, &err), err);
    ck_assert(base_slice_equal(got.keyspace, S("ks")) && got.name.len == 0);
    cql_result_fini(&result);

    const struct cql_event events[] = {
        {.kind = CQL_EVENT_STATUS_CHANGE,
         .change = S("DOWN"),
         .address = base_slice("\x7f\0\0\3", 4),
         .port = 9042},
        {.kind = CQL_EVENT_TOPOLOGY_CHANGE,
         .change = S("NEW_NODE"),
         .address = base_slice("0123456789abcdef", 16),
         .port = 1},
        {.kind = CQL_EVENT_SCHEMA_CHANGE,
         .change = S("DROPPED"),
         .target = S("TYPE"),
         .keyspace = S("ks"),
         .name = S("u")},
    };
    for (size_t i = 0; i < BASE_COUNT(events); i++) {
        struct cql_event event;
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_event(&buf, &events[i]), BASE_OK);
        ck_ok(cql_get_event(base_buf_view(&buf), &event, &err), err);
        ck_assert_int_eq(event.kind, events[i].kind);
        ck_assert(base_slice_equal(event.change, events[i].change) &&
                  base_slice_equal(event.address, events[i].address));
        ck_assert(event.port == events[i].port && base_slice_equal(event.name, events[i].name));
        ck_assert_int_eq(cql_event_by_name(S(cql_event_name(event.kind))), event.kind);
        for (size_t len = 0; len < buf.len; len++)
            ck_fails(cql_get_event(base_slice(buf.data, len), &event, &err), BASE_E_INVALID, err);
    }
    base_buf_fini(&buf);
}
END_TEST

/* Columns are known by what they are, not by where they were made. */
START_TEST(metadata_ids)
{
    struct cql_column_spec a[2] = {{S("k"), S("t"), S("x"), base_type_scalar(BASE_TYPE_INT)},
                                   {S("k"), S("t"), S("y"), base_type_scalar(BASE_TYPE_INT)}};
    struct cql_column_spec b[2] = {{S("k"), S("t"), S("x"), base_type_scalar(BASE_TYPE_INT)},
                                   {S("k"), S("t"), S("y"), base_type_scalar(BASE_TYPE_TEXT)}};
    uint8_t ids[4][BASE_DIGEST_LEN];
    ck_assert_int_eq(cql_metadata_id(a, 2, ids[0]), BASE_OK);
    ck_assert_int_eq(cql_metadata_id(b, 2, ids[1]), BASE_OK);
    ck_assert_int_eq(cql_metadata_id(a, 1, ids[2]), BASE_OK);
    b[1].type = a[1].type;
    ck_assert_int_eq(cql_metadata_id(b, 2, ids[3]), BASE_OK);
    ck_assert_mem_ne(ids[0], ids[1], BASE_DIGEST_LEN);
    ck_assert_mem_ne(ids[0], ids[2], BASE_DIGEST_LEN);
    ck_assert_mem_eq(ids[0], ids[3], BASE_DIGEST_LEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, requests_round_trip, 0, 12);
    tcase_add_test(tc, a_query_as_specified);
    tcase_add_test(tc, options_that_are_none);
    tcase_add_test(tc, types_round_trip);
    tcase_add_test(tc, types_by_class);
    tcase_add_test(tc, types_too_deep);
    tcase_add_test(tc, maps_and_prefixes);
    tcase_add_test(tc, errors_round_trip);
    tcase_add_test(tc, errors_of_older_versions);
    tcase_add_test(tc, codes_of_ours);
    tcase_add_test(tc, rows_round_trip);
    tcase_add_test(tc, prepared_round_trips);
    tcase_add_test(tc, other_results_and_events);
    tcase_add_test(tc, metadata_ids);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
