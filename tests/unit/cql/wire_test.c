/* The native protocol's codec. Without these a driver could be answered in a form it does not read, a damaged segment pass for a
 * message, or a hostile client make us read past its bytes or take memory that it only claims to fill. */
#include "tests/unit/cql/wire_lib.h"

/* --- framing --------------------------------------------------------------------------------------------------------- */

struct mode {
    uint8_t version;
    enum cql_wire_compression compression;
    bool segments;
};
static const struct mode modes[] = {
    {3, CQL_WIRE_PLAIN, false}, {3, CQL_WIRE_LZ4, false}, {4, CQL_WIRE_PLAIN, false}, {4, CQL_WIRE_LZ4, false},
    {4, CQL_WIRE_SNAPPY, false}, {5, CQL_WIRE_PLAIN, false}, {5, CQL_WIRE_PLAIN, true}, {5, CQL_WIRE_LZ4, true},
};

#define MESSAGES_MAX 64
struct sent {
    uint8_t opcode, flags;
    int16_t stream;
    struct base_slice body;
};
static struct sent sent[MESSAGES_MAX];
static size_t sent_count;

static void out_init(struct cql_wire_out *out, const struct mode *mode, bool is_client)
{
    cql_wire_out_init(out, is_client, 64u << 20);
    out->version = mode->version;
    out->compression = mode->compression;
    out->segments = mode->segments;
}

static void in_init(struct cql_wire_in *in, const struct mode *mode, bool is_client)
{
    cql_wire_in_init(in, is_client, 1u << 20);
    in->version = mode->version;
    in->compression = mode->compression;
    in->segments = mode->segments;
}

/* `count` random messages into out, remembered in `sent`. */
static void send_some(struct cql_wire_out *out, size_t count, size_t len_max)
{
    sent_count = count;
    for (size_t i = 0; i < count; i++) {
        struct sent *m = &sent[i];
        *m = (struct sent){.opcode = (uint8_t)rng_below(&rng, 17), .flags = rng_chance(&rng, 10) ? CQL_FLAG_TRACING : 0,
                           .stream = (int16_t)rng_u64(&rng), .body = random_bytes(rng_below(&rng, len_max))};
        ck_assert_int_eq(cql_wire_begin(out, (enum cql_opcode)m->opcode, m->stream, m->flags), BASE_OK);
        ck_assert_int_eq(base_buf_put_slice(&out->bytes, m->body), BASE_OK);
        if (rng_chance(&rng, 10)) { /* thought better of */
            cql_wire_abandon(out);
            i--;
            continue;
        }
        ck_assert_int_eq(cql_wire_end(out), BASE_OK);
        if (rng_chance(&rng, 20))
            ck_assert_int_eq(cql_wire_flush(out), BASE_OK);
    }
    ck_assert_int_eq(cql_wire_flush(out), BASE_OK);
}

static void check_message(const struct cql_message *m, size_t i, const struct mode *mode, bool is_response)
{
    ck_assert_uint_lt(i, sent_count);
    ck_assert_uint_eq(m->version, mode->version);
    ck_assert(m->is_response == is_response);
    ck_assert_uint_eq(m->opcode, sent[i].opcode);
    ck_assert_uint_eq(m->flags, sent[i].flags);
    ck_assert_int_eq(m->stream, sent[i].stream);
    ck_assert(base_slice_equal(m->body, sent[i].body));
}

/* Feed `bytes` in pieces; the messages must be those that were sent, in order. Returns how many came; *step is the last one. */
static size_t receive(struct cql_wire_in *in, const struct mode *mode, bool is_response, struct base_slice bytes, size_t piece_max,
                      enum cql_wire_step *step)
{
    size_t front = 0, there = 0, count = 0;
    while (there < bytes.len) {
        size_t piece = piece_max ? 1 + rng_below(&rng, piece_max) : bytes.len;
        there = piece < bytes.len - there ? there + piece : bytes.len;
        /* A copy of just what is there: the address sanitizer sees one byte too far. */
        uint8_t *copy = malloc(there - front ? there - front : 1);
        size_t len = there - front, at = 0;
        memcpy(copy, bytes.data + front, len);
        for (;;) {
            struct cql_message m;
            size_t used, wanted;
            *step = cql_wire_next(in, base_slice(copy + at, len - at), &used, &wanted, &m, &err);
            ck_assert_uint_le(used, len - at);
            at += used;
            if (*step == CQL_WIRE_MESSAGE)
                check_message(&m, count++, mode, is_response);
            else if (*step == CQL_WIRE_MORE)
                ck_assert_uint_gt(wanted, len - at);
            if (*step != CQL_WIRE_MESSAGE)
                break;
        }
        free(copy);
        front += at;
        if (*step == CQL_WIRE_BAD)
            return count;
    }
    if (front < bytes.len)
        *step = CQL_WIRE_MORE;
    return count;
}

START_TEST(checksums)
{
    static const uint8_t header[] = {0x09, 0x00, 0x02}, five[] = {1, 2, 3, 4, 5};
    ck_assert_uint_eq(cql_wire_crc24(header, 3), 0xc1c8a4);
    ck_assert_uint_eq(cql_wire_crc24((const uint8_t *)"\0\0\0", 3), 0x7de777);
    ck_assert_uint_eq(cql_wire_crc24(five, 5), 0x319669);
    ck_assert_uint_eq(cql_wire_crc32((const uint8_t *)"123456789", 9), 0xe2a261a7);
    ck_assert_uint_eq(cql_wire_crc32(NULL, 0), 0x44777ed3);
    ck_assert_uint_eq(base_crc32(0, "123456789", 9), 0xcbf43926); /* the well-known one */
}
END_TEST

START_TEST(bytes_as_specified)
{
    static const uint8_t bare[] = {0x04, 0x00, 0x00, 0x07, 0x05, 0, 0, 0, 0};
    static const uint8_t segment[] = {0x09, 0x00, 0x02, 0xa4, 0xc8, 0xc1, 0x05, 0x00, 0x00, 0x01, 0x05, 0,
                                      0,    0,    0,    0xb5, 0x55, 0x74, 0x86};
    struct cql_wire_out out;
    out_init(&out, &modes[2], true);
    ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_OPTIONS, 7, 0), BASE_OK);
    ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out.bytes), base_slice(bare, sizeof bare)));
    cql_wire_out_fini(&out);
    out_init(&out, &modes[6], true);
    ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_OPTIONS, 1, 0), BASE_OK);
    ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
    ck_assert_int_eq(cql_wire_flush(&out), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&out.bytes), base_slice(segment, sizeof segment)));
    cql_wire_out_fini(&out);
}
END_TEST

/* Each mode, both directions, many and few at a time, small and over several segments, in pieces of any size. */
START_TEST(messages_round_trip)
{
    static const size_t lens[] = {30, 3000, 500000};
    const struct mode *mode = &modes[_i];
    for (int round = 0; round < 30; round++) {
        struct cql_wire_out out;
        struct cql_wire_in in;
        enum cql_wire_step step = CQL_WIRE_MORE;
        bool is_client = round % 2;
        size_t len = lens[round % 3];
        out_init(&out, mode, is_client);
        in_init(&in, mode, !is_client);
        send_some(&out, 1 + rng_below(&rng, len > 100000 ? 5 : MESSAGES_MAX), len);
        size_t pieces = round < 3 ? 0 : round % 2 ? 50 + len / 100 : out.bytes.len;
        ck_assert_uint_eq(receive(&in, mode, !is_client, base_buf_view(&out.bytes), pieces, &step), sent_count);
        ck_assert_int_eq(step, CQL_WIRE_MORE);
        cql_wire_in_release(&in);
        cql_wire_in_fini(&in);
        cql_wire_out_fini(&out);
        base_arena_reset(&arena);
    }
}
END_TEST

START_TEST(compression_compresses)
{
    const struct mode *mode = &modes[_i];
    struct cql_wire_out out;
    struct base_slice body = base_slice(take(100000), 100000);
    out_init(&out, mode, true);
    ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_QUERY, 1, 0), BASE_OK);
    ck_assert_int_eq(base_buf_put_slice(&out.bytes, body), BASE_OK);
    ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
    ck_assert_int_eq(cql_wire_flush(&out), BASE_OK);
    if (mode->compression == CQL_WIRE_PLAIN)
        ck_assert_uint_ge(out.bytes.len, body.len);
    else
        ck_assert_uint_lt(out.bytes.len, 10000);
    cql_wire_out_fini(&out);
}
END_TEST

/* However a stream is cut, what came whole is read and the rest awaited. */
START_TEST(every_cut)
{
    const struct mode *mode = &modes[_i];
    struct cql_wire_out out;
    out_init(&out, mode, true);
    send_some(&out, 6, 900);
    size_t last = 0;
    for (size_t len = 0; len <= out.bytes.len; len++) {
        struct cql_wire_in in;
        enum cql_wire_step step = CQL_WIRE_MORE;
        in_init(&in, mode, false);
        size_t count = receive(&in, mode, false, base_slice(out.bytes.data, len), 0, &step);
        ck_assert_int_eq(step, CQL_WIRE_MORE);
        ck_assert_uint_ge(count, last);
        last = count;
        cql_wire_in_fini(&in);
    }
    ck_assert_uint_eq(last, sent_count);
    cql_wire_out_fini(&out);
}
END_TEST

/* One byte of a v5 stream is changed: never is another message read than one that was sent, and never all of them. */
START_TEST(every_damage_of_segments)
{
    const struct mode *mode = &modes[_i];
    struct cql_wire_out out;
    out_init(&out, mode, true);
    send_some(&out, 6, 900);
    for (size_t at = 0; at < out.bytes.len; at++) {
        struct cql_wire_in in;
        enum cql_wire_step step = CQL_WIRE_MORE;
        uint8_t was = out.bytes.data[at];
        out.bytes.data[at] ^= (uint8_t)(1 + rng_below(&rng, 255));
        in_init(&in, mode, false);
        ck_assert_uint_lt(receive(&in, mode, false, base_buf_view(&out.bytes), 0, &step), sent_count);
        ck_assert_int_eq(step, CQL_WIRE_BAD);
        cql_wire_in_fini(&in);
        out.bytes.data[at] = was;
    }
    cql_wire_out_fini(&out);
}
END_TEST

static void expect_bad(const struct mode *mode, const void *bytes, size_t len, int code, const char *part)
{
    struct cql_wire_in in;
    struct cql_message m;
    size_t used, wanted;
    in_init(&in, mode, false);
    ck_assert_int_eq(cql_wire_next(&in, base_slice(bytes, len), &used, &wanted, &m, &err), CQL_WIRE_BAD);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    cql_wire_in_fini(&in);
}

START_TEST(what_cannot_be_read)
{
    static const uint8_t big[] = {4, 0, 0, 9, 7, 0x7f, 0xff, 0xff, 0xff}, other[] = {3, 0, 0, 9, 7, 0, 0, 0, 0},
                         response[] = {0x84, 0, 0, 9, 7, 0, 0, 0, 0}, flagged[] = {4, 1, 0, 9, 7, 0, 0, 0, 1, 0},
                         bomb[] = {4, 1, 0, 9, 7, 0, 0, 0, 5, 0x7f, 0, 0, 0, 0}, lies[] = {4, 1, 0, 9, 7, 0, 0, 0, 5, 0, 0, 0, 9, 0},
                         cut[] = {4, 1, 0, 9, 7, 0, 0, 0, 2, 0, 0};
    expect_bad(&modes[2], big, sizeof big, BASE_E_LIMIT, "too big");
    expect_bad(&modes[2], other, sizeof other, BASE_E_INVALID, "previous messages on this connection had version 4");
    expect_bad(&modes[2], response, sizeof response, BASE_E_INVALID, "direction");
    expect_bad(&modes[2], flagged, sizeof flagged, BASE_E_INVALID, "no compression");
    expect_bad(&modes[3], bomb, sizeof bomb, BASE_E_LIMIT, "too big");
    expect_bad(&modes[3], lies, sizeof lies, BASE_E_INVALID, "damaged");
    expect_bad(&modes[3], cut, sizeof cut, BASE_E_INVALID, "cut off");
    expect_bad(&modes[4], lies, sizeof lies, BASE_E_INVALID, "damaged");
}
END_TEST

/* Who passes over what is too big reads on behind it, in every mode and however it comes in pieces. */
START_TEST(too_big_is_passed_over)
{
    const struct mode *mode = &modes[_i];
    static const size_t lens[] = {100, 3000000, 50, 1100000, 1100001, 7};
    for (size_t piece_max = 1000; piece_max <= 10000000; piece_max *= 100) {
        struct cql_wire_out out;
        struct cql_wire_in in;
        size_t at = 0, there = 0, count = 0;
        out_init(&out, mode, true);
        in_init(&in, mode, false);
        in.passes_over = true;
        for (size_t i = 0; i < BASE_COUNT(lens); i++) {
            ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_QUERY, (int16_t)i, 0), BASE_OK);
            ck_assert_int_eq(base_buf_put_slice(&out.bytes, base_slice(take(lens[i]), lens[i])), BASE_OK);
            ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
        }
        ck_assert_int_eq(cql_wire_flush(&out), BASE_OK);
        while (there < out.bytes.len) {
            there += 1 + rng_below(&rng, piece_max);
            there = there < out.bytes.len ? there : out.bytes.len;
            for (enum cql_wire_step step = CQL_WIRE_MESSAGE; step != CQL_WIRE_MORE;) {
                struct cql_message m;
                size_t used, wanted;
                step = cql_wire_next(&in, base_slice(out.bytes.data + at, there - at), &used, &wanted, &m, &err);
                at += used;
                ck_assert_int_ne(step, CQL_WIRE_BAD);
                if (step == CQL_WIRE_MORE)
                    break;
                ck_assert_int_eq(m.stream, (int)count);
                ck_assert_int_eq(step, lens[count] > 1u << 20 ? CQL_WIRE_TOO_BIG : CQL_WIRE_MESSAGE);
                ck_assert(step != CQL_WIRE_MESSAGE || m.body.len == lens[count]);
                count++;
            }
        }
        ck_assert_uint_eq(count, BASE_COUNT(lens));
        ck_assert_uint_lt(in.assembly.cap, 3u << 20); /* it was not gathered */
        cql_wire_in_fini(&in);
        cql_wire_out_fini(&out);
        base_arena_reset(&arena);
    }
}
END_TEST

/* A segment with right checksums and wrong contents. */
static size_t make_segment(uint8_t *out, const void *payload, size_t len, bool self_contained)
{
    uint32_t word = (uint32_t)len | (self_contained ? 1u << 17 : 0), crc;
    for (int i = 0; i < 3; i++)
        out[i] = (uint8_t)(word >> (8 * i));
    crc = cql_wire_crc24(out, 3);
    for (int i = 0; i < 3; i++)
        out[3 + i] = (uint8_t)(crc >> (8 * i));
    memcpy(out + 6, payload, len);
    base_put_le32(out + 6 + len, cql_wire_crc32(payload, len));
    return len + 10;
}

START_TEST(segments_that_lie)
{
    static const uint8_t whole[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1, 2}, half[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1},
                         more[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1, 2, 3}, big[] = {5, 0, 0, 9, 7, 0x7f, 0, 0, 2, 1};
    uint8_t bytes[64];
    const struct mode *mode = &modes[6];
    expect_bad(mode, bytes, make_segment(bytes, half, sizeof half, true), BASE_E_INVALID, "ends inside");
    expect_bad(mode, bytes, make_segment(bytes, half, 5, true), BASE_E_INVALID, "ends inside");
    expect_bad(mode, bytes, make_segment(bytes, more, sizeof more, false), BASE_E_INVALID, "followed by something else");
    expect_bad(mode, bytes, make_segment(bytes, big, sizeof big, false), BASE_E_LIMIT, "too big");
    size_t len = make_segment(bytes, half, sizeof half, false);
    expect_bad(mode, bytes, len + make_segment(bytes + len, whole, sizeof whole, true), BASE_E_INVALID, "between the segments");
    /* An empty one is no fault. */
    struct cql_wire_in in;
    struct cql_message m;
    size_t used, wanted;
    in_init(&in, mode, false);
    len = make_segment(bytes, "", 0, true);
    len += make_segment(bytes + len, whole, sizeof whole, true);
    ck_assert_int_eq(cql_wire_next(&in, base_slice(bytes, len), &used, &wanted, &m, &err), CQL_WIRE_MESSAGE);
    ck_assert_uint_eq(used, len);
    ck_assert_uint_eq(m.body.len, 2);
    cql_wire_in_fini(&in);
}
END_TEST

START_TEST(a_writer_past_its_limit_takes_the_message_back)
{
    struct cql_wire_out out;
    cql_wire_out_init(&out, false, 100);
    out.version = 5;
    out.segments = true;
    ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_READY, 1, 0), BASE_OK);
    ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
    size_t len = out.bytes.len;
    ck_assert_int_eq(cql_wire_begin(&out, CQL_OPCODE_RESULT, 2, 0), BASE_OK);
    ck_assert_int_eq(base_buf_put_slice(&out.bytes, random_bytes(200)), BASE_E_LIMIT);
    cql_wire_abandon(&out);
    ck_assert_uint_eq(out.bytes.len, len);
    ck_assert_int_eq(cql_wire_flush(&out), BASE_OK);
    ck_assert_uint_eq(out.bytes.len, len + 4);
    cql_wire_out_fini(&out);
}
END_TEST

/* --- requests ------------------------------------------------------------------------------------------------------------ */

static const enum cql_opcode request_opcodes[] = {CQL_OPCODE_QUERY, CQL_OPCODE_PREPARE, CQL_OPCODE_EXECUTE, CQL_OPCODE_BATCH};

/* decode(encode(x)) encodes to the same bytes; what is cut off is refused or, cut at an end, shorter; damage only must not harm. */
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
            ck_fails(recode(opcode, version, base_slice(copy + body.len - len, len), &again), BASE_E_INVALID, err);
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
    static const uint8_t v4[] = {0, 0, 0, 1, 'q', 0, 10, 0x25, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0x13, 0x88,
                                 0, 0, 0, 0, 0, 0, 0, 9};
    static const uint8_t v5[] = {0, 0, 0, 1, 'q', 0, 10, 0, 0, 1, 0xa1, 0, 1, 0xff, 0xff, 0xff, 0xff,
                                 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 'k', 's', 0, 0, 0, 77};
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
        ck_fails(cql_get_query(&arena, bad[i].version, base_slice(bad[i].bytes, bad[i].len), &q, &err), BASE_E_INVALID, err);
        ck_assert_msg(strstr(err.text, bad[i].part) != NULL, "%s", err.text);
    }
    static const uint8_t kind[] = {9, 0, 0, 0, 1, 0}, query_kind[] = {0, 0, 1, 2, 0, 0}, named[] = {0, 0, 0, 0, 1, 0x40};
    struct cql_batch_request b;
    ck_fails(cql_get_batch(&arena, 4, base_slice(kind, sizeof kind), &b, &err), BASE_E_INVALID, err);
    ck_fails(cql_get_batch(&arena, 4, base_slice(query_kind, sizeof query_kind), &b, &err), BASE_E_INVALID, err);
    ck_assert_str_eq(err.text, "Invalid query kind in BATCH messages. Must be 0 or 1 but got 2");
    ck_fails(cql_get_batch(&arena, 4, base_slice(named, sizeof named), &b, &err), BASE_E_INVALID, err);
    ck_assert_ptr_nonnull(strstr(err.text, "named"));
}
END_TEST

/* --- notations, types ----------------------------------------------------------------------------------------------------- */

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
    ck_assert_msg(base_slice_equal(base_slice(buf.data + 4, buf.len - 4), S(class)), "%.*s", (int)buf.len - 4, buf.data + 4);
    ck_ok(cql_wire_parse_class(&arena, S(class), &back, &err), err);
    ck_assert(same_type(type, back));
    base_buf_fini(&buf);
}

#define M "org.apache.cassandra.db.marshal."
START_TEST(types_by_class)
{
    expect_class("vector<float, 3>", 5, M "VectorType(" M "FloatType , 3)");
    expect_class("vector<frozen<list<int>>, 2>", 4, M "VectorType(" M "FrozenType(" M "ListType(" M "Int32Type)) , 2)");
    expect_class("vector<vector<double, 4>, 2>", 5, M "VectorType(" M "VectorType(" M "DoubleType , 4) , 2)");
    expect_class("duration", 4, M "DurationType");
    expect_class("date", 3, M "SimpleDateType");
    expect_class("tinyint", 3, M "ByteType");
    const struct base_type *type;
    ck_ok(cql_wire_parse_class(&arena, S(M "ReversedType(" M "TimestampType)"), &type, &err), err);
    ck_assert_int_eq(type->kind, BASE_TYPE_TIMESTAMP);
    ck_ok(cql_wire_parse_class(&arena, S(M "TupleType(a.b.Odd(x(y),z)," M "Int32Type)"), &type, &err), err);
    ck_assert_int_eq(type->params[0]->kind, BASE_TYPE_CUSTOM);
    ck_assert(base_slice_equal(type->params[0]->name, S("a.b.Odd(x(y),z)")));
    static const char *const bad[] = {"", M "ListType", M "ListType(", M "ListType(" M "Int32Type", M "MapType(" M "Int32Type)",
                                      M "VectorType(" M "Int32Type)", M "VectorType(" M "Int32Type , 0)", M "UserType(ks,6g)",
                                      M "UserType(ks,61,62)", M "Int32Type)", M "FrozenType(" M "Int32Type", "x(", M "VectorType(" M "Int32Type , 99999999999)"};
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
        struct cql_message m = {.version = 4, .is_response = true, .flags = cql_prefix_flags(&prefix),
                                .body = base_slice(buf.data, len)};
        if (len < buf.len - 4) {
            ck_fails(cql_get_prefix(&m, &arena, &got, &err), BASE_E_INVALID, err);
            continue;
        }
        ck_ok(cql_get_prefix(&m, &arena, &got, &err), err);
        ck_assert(got.has_tracing_id && got.tracing_id.b[2] == 3 && got.warning_count == 2 && got.payload_count == 2);
        ck_assert(got.payload[0].value.data == NULL && base_slice_equal(got.payload[1].value, S("v")));
        ck_assert_uint_eq(m.body.len, len + 4 - buf.len);
    }
    base_buf_fini(&buf);
}
END_TEST

/* --- errors --------------------------------------------------------------------------------------------------------------- */

START_TEST(errors_round_trip)
{
    static const int codes[] = {
        CQL_ERROR_SERVER, CQL_ERROR_PROTOCOL, CQL_ERROR_CREDENTIALS, CQL_ERROR_UNAVAILABLE, CQL_ERROR_OVERLOADED,
        CQL_ERROR_BOOTSTRAPPING, CQL_ERROR_TRUNCATE, CQL_ERROR_WRITE_TIMEOUT, CQL_ERROR_READ_TIMEOUT, CQL_ERROR_READ_FAILURE,
        CQL_ERROR_FUNCTION_FAILURE, CQL_ERROR_WRITE_FAILURE, CQL_ERROR_CDC_WRITE_FAILURE, CQL_ERROR_CAS_WRITE_UNKNOWN,
        CQL_ERROR_SYNTAX, CQL_ERROR_UNAUTHORIZED, CQL_ERROR_INVALID, CQL_ERROR_CONFIG, CQL_ERROR_ALREADY_EXISTS, CQL_ERROR_UNPREPARED,
    };
    static const struct base_slice types[] = {{(const uint8_t *)"int", 3}};
    static const struct cql_failure failures[] = {{{(const uint8_t *)"\x7f\0\0\2", 4}, 1}};
    struct base_buf buf;
    base_buf_init(&buf, 1 << 18);
    for (size_t i = 0; i < BASE_COUNT(codes); i++) {
        for (uint8_t version = 3; version <= 5; version++) {
            struct cql_error got, e = {
                .code = codes[i], .message = S("why"), .failure_map = failures, .failure_map_count = 1, .contentions = 3,
                .outcome = {.required = 2, .received = 1, .alive = 1, .failures = 1, .write_type = 5, .data_present = true, .consistency = 4},
                .keyspace = S("ks"), .name = S("t"), .arg_types = types, .arg_type_count = 1, .id = S("0123456789abcdef"),
            };
            base_buf_reset(&buf);
            ck_assert_int_eq(cql_put_error(&buf, version, &e), BASE_OK);
            ck_ok(cql_get_error(&arena, version, base_buf_view(&buf), &got, &err), err);
            ck_assert(base_slice_equal(got.message, e.message));
            bool told_otherwise = got.code != e.code;
            ck_assert_msg(!told_otherwise || version < 5, "0x%x", e.code);
            if (got.code == CQL_ERROR_UNAVAILABLE)
                ck_assert(got.outcome.required == 2 && got.outcome.alive == 1 && got.outcome.consistency == 4);
            if (got.code == CQL_ERROR_WRITE_TIMEOUT || got.code == CQL_ERROR_WRITE_FAILURE)
                ck_assert(got.outcome.required == 2 && got.outcome.received == 1 && got.outcome.write_type == 5);
            if (got.code == CQL_ERROR_WRITE_FAILURE || got.code == CQL_ERROR_READ_FAILURE)
                ck_assert(got.outcome.failures == 1 && got.failure_map_count == (version == 5));
            if (got.code == CQL_ERROR_WRITE_TIMEOUT && version == 5)
                ck_assert_uint_eq(got.contentions, 3);
            if (got.code == CQL_ERROR_READ_TIMEOUT)
                ck_assert(got.outcome.data_present && got.outcome.received == 1);
            if (got.code == CQL_ERROR_ALREADY_EXISTS)
                ck_assert(base_slice_equal(got.name, S("t")));
            if (got.code == CQL_ERROR_UNPREPARED)
                ck_assert(base_slice_equal(got.id, e.id));
            for (size_t len = 0; len < buf.len; len++) /* shorter: refused, or v5's contentions are not there */
                ck_assert(cql_get_error(&arena, version, base_slice(buf.data, len), &got, &err) == BASE_E_INVALID ||
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
        {3, CQL_ERROR_READ_FAILURE, CQL_ERROR_READ_TIMEOUT},     {3, CQL_ERROR_WRITE_FAILURE, CQL_ERROR_WRITE_TIMEOUT},
        {3, CQL_ERROR_FUNCTION_FAILURE, CQL_ERROR_INVALID},      {4, CQL_ERROR_READ_FAILURE, CQL_ERROR_READ_FAILURE},
        {4, CQL_ERROR_CAS_WRITE_UNKNOWN, CQL_ERROR_WRITE_TIMEOUT}, {5, CQL_ERROR_CAS_WRITE_UNKNOWN, CQL_ERROR_CAS_WRITE_UNKNOWN},
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
    const struct cql_outcome write = {.required = 2, .is_write = true}, read = {.required = 2}, cas = {.required = 1, .is_write = true, .write_type = 5};
    ck_assert_int_eq(cql_error_code(BASE_E_SYNTAX, NULL), CQL_ERROR_SYNTAX);
    ck_assert_int_eq(cql_error_code(BASE_E_INVALID, NULL), CQL_ERROR_INVALID);
    ck_assert_int_eq(cql_error_code(BASE_E_EXISTS, NULL), CQL_ERROR_ALREADY_EXISTS);
    ck_assert_int_eq(cql_error_code(BASE_E_TIMEOUT, &write), CQL_ERROR_WRITE_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_TIMEOUT, &read), CQL_ERROR_READ_TIMEOUT);
    ck_assert_int_eq(cql_error_code(BASE_E_IO, &write), CQL_ERROR_WRITE_FAILURE);
    ck_assert_int_eq(cql_error_code(BASE_E_CORRUPT, &read), CQL_ERROR_READ_FAILURE);
    ck_assert_int_eq(cql_error_code(BASE_E_IO, NULL), CQL_ERROR_SERVER);
    ck_assert_int_eq(cql_error_code(BASE_E_UNKNOWN, &cas), CQL_ERROR_CAS_WRITE_UNKNOWN);
    ck_assert_int_eq(cql_error_code(BASE_E_UNAVAILABLE, &read), CQL_ERROR_UNAVAILABLE);
    ck_assert_int_eq(cql_error_code(BASE_E_OVERLOADED, NULL), CQL_ERROR_OVERLOADED);
    struct cql_error e;
    cql_error_make(BASE_E_TIMEOUT, NULL, &write, &e);
    ck_assert(e.code == CQL_ERROR_WRITE_TIMEOUT && e.message.len > 0 && e.outcome.required == 2);
}
END_TEST

/* --- results, events ---------------------------------------------------------------------------------------------------- */

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
        ck_assert(got.has_more == result.has_more && (!got.has_more || base_slice_equal(got.paging_state, S("more"))));
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
            ck_fails(cql_get_result(&arena, version, base_slice(buf.data, len), &got, &err), BASE_E_INVALID, err);
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
        struct cql_prepared_info info = {.id = S("0123456789abcdef"), .result_metadata_id = S("fedcba9876543210"),
                                         .bind_count = 3, .binds = random_columns(3), .pk_indexes = pk, .pk_count = round % 2 ? 2 : 0,
                                         .column_count = rng_below(&rng, 4)};
        struct cql_result_info got;
        info.columns = random_columns(info.column_count);
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_prepared(&buf, version, &info), BASE_OK);
        ck_ok(cql_get_result(&arena, version, base_buf_view(&buf), &got, &err), err);
        ck_assert_int_eq(got.kind, CQL_RESULT_PREPARED);
        ck_assert(base_slice_equal(got.prepared.id, info.id));
        ck_assert(version < 5 || base_slice_equal(got.prepared.result_metadata_id, info.result_metadata_id));
        ck_assert_uint_eq(got.prepared.pk_count, version >= 4 ? info.pk_count : 0);
        ck_assert(got.prepared.pk_count == 0 || memcmp(got.prepared.pk_indexes, pk, sizeof pk) == 0);
        ck_assert(got.prepared.bind_count == 3 && same_columns(got.prepared.binds, info.binds, 3));
        ck_assert(got.prepared.column_count == info.column_count && same_columns(got.prepared.columns, info.columns, info.column_count));
        for (size_t len = 0; len < buf.len; len++)
            ck_fails(cql_get_result(&arena, version, base_slice(buf.data, len), &got, &err), BASE_E_INVALID, err);
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
        {.kind = CQL_EVENT_STATUS_CHANGE, .change = S("DOWN"), .address = base_slice("\x7f\0\0\3", 4), .port = 9042},
        {.kind = CQL_EVENT_TOPOLOGY_CHANGE, .change = S("NEW_NODE"), .address = base_slice("0123456789abcdef", 16), .port = 1},
        {.kind = CQL_EVENT_SCHEMA_CHANGE, .change = S("DROPPED"), .target = S("TYPE"), .keyspace = S("ks"), .name = S("u")},
    };
    for (size_t i = 0; i < BASE_COUNT(events); i++) {
        struct cql_event event;
        base_buf_reset(&buf);
        ck_assert_int_eq(cql_put_event(&buf, &events[i]), BASE_OK);
        ck_ok(cql_get_event(base_buf_view(&buf), &event, &err), err);
        ck_assert_int_eq(event.kind, events[i].kind);
        ck_assert(base_slice_equal(event.change, events[i].change) && base_slice_equal(event.address, events[i].address));
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
    struct cql_column_spec a[2] = {{S("k"), S("t"), S("x"), base_type_scalar(BASE_TYPE_INT)}, {S("k"), S("t"), S("y"), base_type_scalar(BASE_TYPE_INT)}};
    struct cql_column_spec b[2] = {{S("k"), S("t"), S("x"), base_type_scalar(BASE_TYPE_INT)}, {S("k"), S("t"), S("y"), base_type_scalar(BASE_TYPE_TEXT)}};
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
    TCase *tc = tcase_create("wire");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, checksums);
    tcase_add_test(tc, bytes_as_specified);
    tcase_add_loop_test(tc, messages_round_trip, 0, (int)BASE_COUNT(modes));
    tcase_add_loop_test(tc, compression_compresses, 0, (int)BASE_COUNT(modes));
    tcase_add_loop_test(tc, every_cut, 0, (int)BASE_COUNT(modes));
    tcase_add_loop_test(tc, every_damage_of_segments, 6, 8);
    tcase_add_test(tc, what_cannot_be_read);
    tcase_add_loop_test(tc, too_big_is_passed_over, 0, (int)BASE_COUNT(modes));
    tcase_add_test(tc, segments_that_lie);
    tcase_add_test(tc, a_writer_past_its_limit_takes_the_message_back);
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
