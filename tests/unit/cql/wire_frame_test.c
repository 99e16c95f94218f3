/* The native protocol's frames and segments. Without these a damaged segment could pass for a
 * message, or a hostile client make us read past its bytes or take memory that it only claims to
 * fill. */
#include "tests/unit/cql/wire_lib.h"

/* Framing. */

struct mode {
    uint8_t version;
    enum cql_wire_compression compression;
    bool segments;
};
static const struct mode modes[] = {
    {3, CQL_WIRE_PLAIN, false}, {3, CQL_WIRE_LZ4, false},    {4, CQL_WIRE_PLAIN, false},
    {4, CQL_WIRE_LZ4, false},   {4, CQL_WIRE_SNAPPY, false}, {5, CQL_WIRE_PLAIN, false},
    {5, CQL_WIRE_PLAIN, true},  {5, CQL_WIRE_LZ4, true},
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
        *m = (struct sent){.opcode = (uint8_t)rng_below(&rng, 17),
                           .flags = rng_chance(&rng, 10) ? CQL_FLAG_TRACING : 0,
                           .stream = (int16_t)rng_u64(&rng),
                           .body = random_bytes(rng_below(&rng, len_max))};
        ck_assert_int_eq(cql_wire_begin(out, (enum cql_opcode)m->opcode, m->stream, m->flags),
                         BASE_OK);
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

static void check_message(const struct cql_message *m, size_t i, const struct mode *mode,
                          bool is_response)
{
    ck_assert_uint_lt(i, sent_count);
    ck_assert_uint_eq(m->version, mode->version);
    ck_assert(m->is_response == is_response);
    ck_assert_uint_eq(m->opcode, sent[i].opcode);
    ck_assert_uint_eq(m->flags, sent[i].flags);
    ck_assert_int_eq(m->stream, sent[i].stream);
    ck_assert(base_slice_equal(m->body, sent[i].body));
}

/* Feed `bytes` in pieces; the messages must be those that were sent, in order. Returns how many
 * came; *step is the last one. */
static size_t receive(struct cql_wire_in *in, const struct mode *mode, bool is_response,
                      struct base_slice bytes, size_t piece_max, enum cql_wire_step *step)
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
    static const uint8_t segment[] = {0x09, 0x00, 0x02, 0xa4, 0xc8, 0xc1, 0x05, 0x00, 0x00, 0x01,
                                      0x05, 0,    0,    0,    0,    0xb5, 0x55, 0x74, 0x86};
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

/* Each mode, both directions, many and few at a time, small and over several segments, in pieces of
 * any size. */
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
        ck_assert_uint_eq(receive(&in, mode, !is_client, base_buf_view(&out.bytes), pieces, &step),
                          sent_count);
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

/* One byte of a v5 stream is changed: never is another message read than one that was sent, and
 * never all of them. */
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
        ck_assert_uint_lt(receive(&in, mode, false, base_buf_view(&out.bytes), 0, &step),
                          sent_count);
        ck_assert_int_eq(step, CQL_WIRE_BAD);
        cql_wire_in_fini(&in);
        out.bytes.data[at] = was;
    }
    cql_wire_out_fini(&out);
}
END_TEST

static void expect_bad(const struct mode *mode, const void *bytes, size_t len, int code,
                       const char *part)
{
    struct cql_wire_in in;
    struct cql_message m;
    size_t used, wanted;
    in_init(&in, mode, false);
    ck_assert_int_eq(cql_wire_next(&in, base_slice(bytes, len), &used, &wanted, &m, &err),
                     CQL_WIRE_BAD);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s", err.text);
    cql_wire_in_fini(&in);
}

START_TEST(what_cannot_be_read)
{
    static const uint8_t big[] = {4, 0, 0, 9, 7, 0x7f, 0xff, 0xff, 0xff},
                         other[] = {3, 0, 0, 9, 7, 0, 0, 0, 0},
                         response[] = {0x84, 0, 0, 9, 7, 0, 0, 0, 0},
                         flagged[] = {4, 1, 0, 9, 7, 0, 0, 0, 1, 0},
                         bomb[] = {4, 1, 0, 9, 7, 0, 0, 0, 5, 0x7f, 0, 0, 0, 0},
                         lies[] = {4, 1, 0, 9, 7, 0, 0, 0, 5, 0, 0, 0, 9, 0},
                         cut[] = {4, 1, 0, 9, 7, 0, 0, 0, 2, 0, 0};
    expect_bad(&modes[2], big, sizeof big, BASE_E_LIMIT, "too big");
    expect_bad(&modes[2], other, sizeof other, BASE_E_INVALID,
               "previous messages on this connection had version 4");
    expect_bad(&modes[2], response, sizeof response, BASE_E_INVALID, "direction");
    expect_bad(&modes[2], flagged, sizeof flagged, BASE_E_INVALID, "no compression");
    expect_bad(&modes[3], bomb, sizeof bomb, BASE_E_LIMIT, "too big");
    expect_bad(&modes[3], lies, sizeof lies, BASE_E_INVALID, "damaged");
    expect_bad(&modes[3], cut, sizeof cut, BASE_E_INVALID, "cut off");
    expect_bad(&modes[4], lies, sizeof lies, BASE_E_INVALID, "damaged");
}
END_TEST

/* Who passes over what is too big reads on behind it, in every mode and however it comes in
 * pieces. */
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
            ck_assert_int_eq(base_buf_put_slice(&out.bytes, base_slice(take(lens[i]), lens[i])),
                             BASE_OK);
            ck_assert_int_eq(cql_wire_end(&out), BASE_OK);
        }
        ck_assert_int_eq(cql_wire_flush(&out), BASE_OK);
        while (there < out.bytes.len) {
            there += 1 + rng_below(&rng, piece_max);
            there = there < out.bytes.len ? there : out.bytes.len;
            for (enum cql_wire_step step = CQL_WIRE_MESSAGE; step != CQL_WIRE_MORE;) {
                struct cql_message m;
                size_t used, wanted;
                step = cql_wire_next(&in, base_slice(out.bytes.data + at, there - at), &used,
                                     &wanted, &m, &err);
                at += used;
                ck_assert_int_ne(step, CQL_WIRE_BAD);
                if (step == CQL_WIRE_MORE)
                    break;
                ck_assert_int_eq(m.stream, (int)count);
                ck_assert_int_eq(step,
                                 lens[count] > 1u << 20 ? CQL_WIRE_TOO_BIG : CQL_WIRE_MESSAGE);
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
    static const uint8_t whole[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1, 2},
                         half[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1},
                         more[] = {5, 0, 0, 9, 7, 0, 0, 0, 2, 1, 2, 3},
                         big[] = {5, 0, 0, 9, 7, 0x7f, 0, 0, 2, 1};
    uint8_t bytes[64];
    const struct mode *mode = &modes[6];
    expect_bad(mode, bytes, make_segment(bytes, half, sizeof half, true), BASE_E_INVALID,
               "ends inside");
    expect_bad(mode, bytes, make_segment(bytes, half, 5, true), BASE_E_INVALID, "ends inside");
    expect_bad(mode, bytes, make_segment(bytes, more, sizeof more, false), BASE_E_INVALID,
               "followed by something else");
    expect_bad(mode, bytes, make_segment(bytes, big, sizeof big, false), BASE_E_LIMIT, "too big");
    size_t len = make_segment(bytes, half, sizeof half, false);
    expect_bad(mode, bytes, len + make_segment(bytes + len, whole, sizeof whole, true),
               BASE_E_INVALID, "between the segments");
    /* An empty one is no fault. */
    struct cql_wire_in in;
    struct cql_message m;
    size_t used, wanted;
    in_init(&in, mode, false);
    len = make_segment(bytes, "", 0, true);
    len += make_segment(bytes + len, whole, sizeof whole, true);
    ck_assert_int_eq(cql_wire_next(&in, base_slice(bytes, len), &used, &wanted, &m, &err),
                     CQL_WIRE_MESSAGE);
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

int main(void)
{
    Suite *suite = suite_create("wire_frame");
    TCase *tc = tcase_create("all");
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
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
