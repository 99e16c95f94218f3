/* The native protocol's outer layers: envelopes, bodies compressed one by one (v3, v4), segments
 * (v5).
 *
 * Invariants:
 *  1. The reader trusts a segment's payload only after both of its checksums; a message only when
 *     it is whole.
 *  2. A length is compared with frame_size_max before memory is taken for it.
 *  3. The writer's `bytes` between messages is: whole messages, or whole segments and at most one
 *     open one at the end, whose payload is not longer than CQL_WIRE_SEGMENT_PAYLOAD_MAX.
 *  4. A message longer than a segment is alone in its segments, none of which is self-contained. */
#include "cql/wire.h"

#include "base/compress.h"

enum { SEGMENT_HEADER_MAX = 8, SEGMENT_TRAILER = 4, COMPRESS_OVER = 512 };
#define SELF_CONTAINED_PLAIN (1u << 17)
#define SELF_CONTAINED_LZ4 (UINT64_C(1) << 34)
#define NONE SIZE_MAX

static size_t segment_header_len(enum cql_wire_compression compression)
{
    return compression == CQL_WIRE_LZ4 ? 8 : 6;
}

/* Checksums. */

uint32_t cql_wire_crc24(const uint8_t *data, size_t len)
{
    uint32_t crc = 0x875060;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)data[i] << 16;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ ((crc & 0x800000) ? 0x1974F0Bu : 0);
    }
    return crc;
}

uint32_t cql_wire_crc32(const uint8_t *data, size_t len)
{
    static const uint8_t seed[4] = {0xFA, 0x2D, 0x55, 0xCA};
    return base_crc32(base_crc32(0, seed, sizeof seed), data, len);
}

static void put_le24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
}

static uint32_t get_le24(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* Reading. */

void cql_wire_in_init(struct cql_wire_in *in, bool is_client, uint32_t frame_size_max)
{
    memset(in, 0, sizeof *in);
    in->is_client = is_client;
    in->frame_size_max = frame_size_max;
    base_buf_init(&in->assembly,
                  (size_t)frame_size_max + CQL_WIRE_HEADER_LEN + CQL_WIRE_SEGMENT_PAYLOAD_MAX);
    base_buf_init(&in->plain, frame_size_max);
}

void cql_wire_in_fini(struct cql_wire_in *in)
{
    base_buf_fini(&in->assembly);
    base_buf_fini(&in->plain);
}

void cql_wire_in_release(struct cql_wire_in *in)
{
    base_buf_fini(&in->plain);
    if (in->assembly_at == in->assembly.len) {
        base_buf_fini(&in->assembly);
        in->assembly_at = 0;
    }
}

/* The header at p, of which 9 bytes are there. */
static int read_header(const struct cql_wire_in *in, const uint8_t *p, struct cql_message *message,
                       uint32_t *len, struct base_err *err)
{
    message->version = p[0] & 0x7f;
    message->is_response = p[0] >> 7;
    message->flags = p[1];
    message->stream = (int16_t)base_get_be16(p + 2);
    message->opcode = p[4];
    *len = base_get_be32(p + 5);
    if (in->version && message->version != in->version)
        return base_err_set(err, BASE_E_INVALID,
                            "Invalid message version. Got %u/v%u but previous messages on this "
                            "connection had version %u/v%u",
                            message->version, message->version, in->version, in->version);
    if (message->is_response != in->is_client)
        return base_err_set(err, BASE_E_INVALID,
                            "Wrong protocol direction (expected %s, got %s) for opcode %u",
                            in->is_client ? "RESPONSE" : "REQUEST",
                            message->is_response ? "RESPONSE" : "REQUEST", message->opcode);
    if (*len > in->frame_size_max)
        return base_err_set(err, BASE_E_LIMIT,
                            "Request is too big: length %u exceeds maximum allowed length %u", *len,
                            in->frame_size_max);
    return BASE_OK;
}

/* The decompressed length that a body claims; `body` loses what came before the compressed
 * bytes. */
static bool plain_length(enum cql_wire_compression compression, struct base_slice *body,
                         uint64_t *len)
{
    struct base_reader r = base_reader(*body);
    struct base_slice be;
    if (compression == CQL_WIRE_SNAPPY) /* its own preamble */
        return base_get_varint(&r, len);
    if (!base_get_raw(&r, 4, &be))
        return false;
    *len = base_get_be32(be.data);
    *body = base_slice(r.p, base_reader_left(&r));
    return true;
}

static int decompress_body(struct cql_wire_in *in, struct cql_message *message,
                           struct base_err *err)
{
    uint64_t len;
    struct base_slice body = message->body;
    if (in->compression == CQL_WIRE_PLAIN)
        return base_err_set(err, BASE_E_INVALID,
                            "Message has a compressed body, but no compression was agreed on");
    if (!plain_length(in->compression, &body, &len))
        return base_err_set(err, BASE_E_INVALID, "Compressed body is cut off");
    if (len > in->frame_size_max)
        return base_err_set(err, BASE_E_LIMIT,
                            "Request is too big: length %llu exceeds maximum allowed length %u",
                            (unsigned long long)len, in->frame_size_max);
    message->body = (struct base_slice){0};
    base_buf_reset(&in->plain);
    int rc = base_buf_reserve(&in->plain, len ? len : 1);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "decompress: %s", base_err_words(rc));
    if (base_decompress(in->compression == CQL_WIRE_LZ4 ? BASE_COMPRESS_LZ4 : BASE_COMPRESS_SNAPPY,
                        body, in->plain.data, len) != BASE_OK)
        return base_err_set(err, BASE_E_INVALID, "Compressed body is damaged");
    in->plain.len = len;
    message->body = base_buf_view(&in->plain);
    return BASE_OK;
}

/* Whether a message that could not be read for its size may be passed over. */
static enum cql_wire_step verdict(const struct cql_wire_in *in, int rc, uint32_t len)
{
    return rc == BASE_E_LIMIT && in->passes_over && len <= INT32_MAX ? CQL_WIRE_TOO_BIG
                                                                     : CQL_WIRE_BAD;
}

/* The envelope at the front of `bytes`, which came as they are. */
static enum cql_wire_step next_bare(struct cql_wire_in *in, struct base_slice bytes, size_t *used,
                                    size_t *wanted, struct cql_message *message,
                                    struct base_err *err)
{
    uint32_t len;
    size_t dropped = in->discard < bytes.len ? in->discard : bytes.len;
    in->discard -= dropped;
    *used = dropped;
    *wanted = CQL_WIRE_HEADER_LEN;
    bytes = base_slice(bytes.data + dropped, bytes.len - dropped);
    if (bytes.len < CQL_WIRE_HEADER_LEN)
        return CQL_WIRE_MORE;
    int rc = read_header(in, bytes.data, message, &len, err);
    *wanted = CQL_WIRE_HEADER_LEN + (size_t)len;
    if (rc != BASE_OK) {
        enum cql_wire_step step = verdict(in, rc, len);
        in->discard = step == CQL_WIRE_TOO_BIG ? *wanted : 0;
        return step;
    }
    if (bytes.len < *wanted)
        return CQL_WIRE_MORE;
    message->body = base_slice(bytes.data + CQL_WIRE_HEADER_LEN, len);
    if ((message->flags & CQL_FLAG_COMPRESSED) && message->version < 5 &&
        (rc = decompress_body(in, message, err)) != BASE_OK) {
        enum cql_wire_step step = verdict(in, rc, len);
        *used += step == CQL_WIRE_TOO_BIG ? *wanted : 0;
        return step;
    }
    message->flags &= (uint8_t)~CQL_FLAG_COMPRESSED;
    *used += *wanted;
    return CQL_WIRE_MESSAGE;
}

/* The envelope at the front of a segment's payload: it must be whole there. */
static enum cql_wire_step next_inside(struct cql_wire_in *in, struct base_slice payload,
                                      size_t *len_used, struct cql_message *message,
                                      struct base_err *err)
{
    uint32_t len = 0;
    int rc = payload.len >= CQL_WIRE_HEADER_LEN ? read_header(in, payload.data, message, &len, err)
                                                : BASE_OK;
    if (rc != BASE_OK && verdict(in, rc, len) == CQL_WIRE_BAD)
        return CQL_WIRE_BAD;
    if (payload.len < CQL_WIRE_HEADER_LEN || payload.len - CQL_WIRE_HEADER_LEN < len) {
        base_err_set(err, BASE_E_INVALID, "A self-contained segment ends inside of a message");
        return CQL_WIRE_BAD;
    }
    message->flags &= (uint8_t)~CQL_FLAG_COMPRESSED;
    message->body = base_slice(payload.data + CQL_WIRE_HEADER_LEN, len);
    *len_used = CQL_WIRE_HEADER_LEN + (size_t)len;
    return rc == BASE_OK ? CQL_WIRE_MESSAGE : CQL_WIRE_TOO_BIG;
}

struct segment {
    size_t header_len, total; /* with header and trailer */
    struct base_slice payload;
    uint32_t plain_len; /* 0: it is plain */
    bool self_contained;
};

/* The segment at the front of `bytes`, its checksums looked at. */
static enum cql_wire_step read_segment(const struct cql_wire_in *in, struct base_slice bytes,
                                       struct segment *s, size_t *wanted, struct base_err *err)
{
    bool lz4 = in->compression == CQL_WIRE_LZ4;
    s->header_len = segment_header_len(in->compression);
    *wanted = s->header_len;
    if (bytes.len < s->header_len)
        return CQL_WIRE_MORE;
    size_t word_len = s->header_len - 3;
    uint64_t word = base_get_le32(bytes.data) & (lz4 ? UINT32_MAX : 0xFFFFFF);
    if (lz4)
        word |= (uint64_t)bytes.data[4] << 32;
    if (cql_wire_crc24(bytes.data, word_len) != get_le24(bytes.data + word_len)) {
        base_err_set(err, BASE_E_INVALID, "Segment header: checksum mismatch");
        return CQL_WIRE_BAD;
    }
    size_t len = word & CQL_WIRE_SEGMENT_PAYLOAD_MAX;
    s->plain_len = lz4 ? (uint32_t)(word >> 17) & CQL_WIRE_SEGMENT_PAYLOAD_MAX : 0;
    s->self_contained = word & (lz4 ? SELF_CONTAINED_LZ4 : SELF_CONTAINED_PLAIN);
    s->total = s->header_len + len + SEGMENT_TRAILER;
    *wanted = s->total;
    if (bytes.len < s->total)
        return CQL_WIRE_MORE;
    s->payload = base_slice(bytes.data + s->header_len, len);
    if (cql_wire_crc32(s->payload.data, len) != base_get_le32(s->payload.data + len)) {
        base_err_set(err, BASE_E_INVALID, "Segment payload: checksum mismatch");
        return CQL_WIRE_BAD;
    }
    return CQL_WIRE_MESSAGE;
}

/* A segment's payload to the end of `assembly`, decompressed. */
static int assemble(struct cql_wire_in *in, const struct segment *s, struct base_err *err)
{
    size_t len = s->plain_len ? s->plain_len : s->payload.len;
    int rc = base_buf_reserve(&in->assembly, len);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "segment: %s", base_err_words(rc));
    uint8_t *to = in->assembly.data + in->assembly.len;
    if (!s->plain_len && len)
        memcpy(to, s->payload.data, len);
    else if (s->plain_len && base_decompress(BASE_COMPRESS_LZ4, s->payload, to, len) != BASE_OK)
        return base_err_set(err, BASE_E_INVALID, "Compressed segment is damaged");
    in->assembly.len += len;
    return BASE_OK;
}

/* A piece of a message that is passed over. */
static enum cql_wire_step pass_over(struct cql_wire_in *in, const struct segment *s,
                                    struct base_err *err)
{
    size_t len = s->plain_len ? s->plain_len : s->payload.len;
    if (len > in->discard) {
        base_err_set(err, BASE_E_INVALID,
                     "A message of several segments is followed by something else in its last one");
        return CQL_WIRE_BAD;
    }
    in->discard -= len;
    in->partial = in->discard > 0;
    return CQL_WIRE_MORE;
}

/* A piece of a message came. MORE: it is not whole yet. */
static enum cql_wire_step next_piece(struct cql_wire_in *in, const struct segment *s,
                                     struct cql_message *message, struct base_err *err)
{
    uint32_t len = 0;
    if (in->discard)
        return pass_over(in, s, err);
    if (!in->partial) {
        base_buf_reset(&in->assembly);
        in->assembly_at = 0;
    }
    in->partial = true;
    if (assemble(in, s, err) != BASE_OK)
        return CQL_WIRE_BAD;
    if (in->assembly.len < CQL_WIRE_HEADER_LEN)
        return CQL_WIRE_MORE;
    int rc = read_header(in, in->assembly.data, message, &len, err);
    size_t total = CQL_WIRE_HEADER_LEN + (size_t)len;
    if (rc != BASE_OK && verdict(in, rc, len) == CQL_WIRE_TOO_BIG && in->assembly.len < total) {
        in->discard = total - in->assembly.len;
        base_buf_reset(&in->assembly);
        return CQL_WIRE_TOO_BIG;
    }
    if (rc != BASE_OK)
        return CQL_WIRE_BAD;
    if (in->assembly.len < total)
        return CQL_WIRE_MORE;
    if (in->assembly.len > total) {
        base_err_set(err, BASE_E_INVALID,
                     "A message of several segments is followed by something else in its last one");
        return CQL_WIRE_BAD;
    }
    in->partial = false;
    in->assembly_at = total;
    message->flags &= (uint8_t)~CQL_FLAG_COMPRESSED;
    message->body = base_slice(in->assembly.data + CQL_WIRE_HEADER_LEN, len);
    return CQL_WIRE_MESSAGE;
}

/* A self-contained segment: open it for next_inside. The bytes that are used up with it. */
static int open_segment(struct cql_wire_in *in, const struct segment *s, size_t *used,
                        struct base_err *err)
{
    if (in->partial)
        return base_err_set(err, BASE_E_INVALID,
                            "A self-contained segment comes between the segments of a message");
    if (!s->plain_len && s->payload.len) {
        in->segment_left = s->payload.len;
        *used += s->header_len;
        return BASE_OK;
    }
    *used += s->total;
    base_buf_reset(&in->assembly);
    in->assembly_at = 0;
    return assemble(in, s, err);
}

static enum cql_wire_step next_segmented(struct cql_wire_in *in, struct base_slice bytes,
                                         size_t *used, size_t *wanted, struct cql_message *message,
                                         struct base_err *err)
{
    for (;;) {
        struct base_slice rest = base_slice(bytes.data + *used, bytes.len - *used);
        struct segment s;
        size_t len = 0;
        if (in->segment_left) {
            /* the caller's: it was there, and is not dropped */
            BASE_ASSERT(rest.len >= in->segment_left + SEGMENT_TRAILER);
            enum cql_wire_step step =
                next_inside(in, base_slice(rest.data, in->segment_left), &len, message, err);
            in->segment_left -= len;
            *used += len + (in->segment_left == 0 ? SEGMENT_TRAILER : 0);
            return step;
        }
        if (!in->partial && in->assembly_at < in->assembly.len) {
            struct base_slice payload =
                base_slice(in->assembly.data + in->assembly_at, in->assembly.len - in->assembly_at);
            enum cql_wire_step step = next_inside(in, payload, &len, message, err);
            in->assembly_at += len;
            return step;
        }
        enum cql_wire_step step = read_segment(in, rest, &s, wanted, err);
        if (step != CQL_WIRE_MESSAGE)
            return step;
        if (s.self_contained) {
            if (open_segment(in, &s, used, err) != BASE_OK)
                return CQL_WIRE_BAD;
            continue;
        }
        *used += s.total;
        step = next_piece(in, &s, message, err);
        if (step != CQL_WIRE_MORE)
            return step;
        *message = (struct cql_message){0};
    }
}

enum cql_wire_step cql_wire_next(struct cql_wire_in *in, struct base_slice bytes, size_t *used,
                                 size_t *wanted, struct cql_message *message, struct base_err *err)
{
    BASE_ASSERT(in->frame_size_max > 0);
    BASE_ASSERT(!in->segments || in->compression != CQL_WIRE_SNAPPY);
    *used = *wanted = 0;
    *message = (struct cql_message){0};
    return in->segments ? next_segmented(in, bytes, used, wanted, message, err)
                        : next_bare(in, bytes, used, wanted, message, err);
}

/* The message whose envelope `bytes` begin with. */
static size_t announced(const struct cql_wire_in *in, struct base_slice bytes)
{
    if (bytes.len < CQL_WIRE_HEADER_LEN)
        return 0;
    size_t len = base_get_be32(bytes.data + 5);
    if (len > in->frame_size_max)
        return 0;
    uint64_t plain = 0;
    struct base_slice body =
        base_slice(bytes.data + CQL_WIRE_HEADER_LEN, bytes.len - CQL_WIRE_HEADER_LEN);
    bool compressed =
        !in->segments && in->compression != CQL_WIRE_PLAIN && (bytes.data[1] & CQL_FLAG_COMPRESSED);
    if (compressed && plain_length(in->compression, &body, &plain) && plain > len &&
        plain <= in->frame_size_max)
        len = (size_t)plain;
    return CQL_WIRE_HEADER_LEN + len;
}

size_t cql_wire_incoming(const struct cql_wire_in *in, struct base_slice bytes)
{
    if (in->discard)
        return 0;
    if (!in->segments || in->segment_left)
        return announced(in, bytes);
    if (in->partial)
        return announced(in, base_buf_view(&in->assembly));
    if (in->assembly_at < in->assembly.len)
        return announced(in, base_slice(in->assembly.data + in->assembly_at,
                                        in->assembly.len - in->assembly_at));
    return bytes.len && in->compression == CQL_WIRE_LZ4 ? CQL_WIRE_SEGMENT_PAYLOAD_MAX : 0;
}

/* Writing. */

void cql_wire_out_init(struct cql_wire_out *out, bool is_client, size_t len_max)
{
    memset(out, 0, sizeof *out);
    out->is_client = is_client;
    out->segment_at = out->message_at = NONE;
    base_buf_init(&out->bytes, len_max);
    base_buf_init(&out->scratch, len_max);
    base_buf_init(&out->spill, len_max);
}

void cql_wire_out_fini(struct cql_wire_out *out)
{
    base_buf_fini(&out->bytes);
    base_buf_fini(&out->scratch);
    base_buf_fini(&out->spill);
}

void cql_wire_out_release(struct cql_wire_out *out)
{
    BASE_ASSERT(out->message_at == NONE);
    base_buf_fini(&out->scratch);
    base_buf_fini(&out->spill);
    if (out->bytes.len == 0)
        base_buf_fini(&out->bytes);
}

static int begin_segment(struct cql_wire_out *out)
{
    static const uint8_t room[SEGMENT_HEADER_MAX];
    size_t at = out->bytes.len;
    int rc = base_buf_put(&out->bytes, room, segment_header_len(out->compression));
    if (rc == BASE_OK)
        out->segment_at = at;
    return rc;
}

int cql_wire_begin(struct cql_wire_out *out, enum cql_opcode opcode, int16_t stream, uint8_t flags)
{
    BASE_ASSERT(out->message_at == NONE && !(flags & CQL_FLAG_COMPRESSED));
    size_t at = out->bytes.len;
    bool opens = out->segments && out->segment_at == NONE;
    int rc = opens ? begin_segment(out) : BASE_OK;
    uint8_t header[CQL_WIRE_HEADER_LEN] = {(uint8_t)(out->version | (out->is_client ? 0 : 0x80)),
                                           flags, 0, 0, (uint8_t)opcode};
    base_put_be16(header + 2, (uint16_t)stream);
    size_t header_at = out->bytes.len;
    if (rc == BASE_OK)
        rc = base_buf_put(&out->bytes, header, sizeof header);
    if (rc == BASE_OK) {
        out->message_at = header_at;
    } else if (opens) {
        out->bytes.len = at;
        out->segment_at = NONE;
    }
    return rc;
}

void cql_wire_abandon(struct cql_wire_out *out)
{
    BASE_ASSERT(out->message_at != NONE && out->message_at <= out->bytes.len);
    out->bytes.len = out->message_at;
    out->message_at = NONE;
    if (out->segment_at != NONE &&
        out->bytes.len == out->segment_at + segment_header_len(out->compression)) {
        out->bytes.len = out->segment_at;
        out->segment_at = NONE;
    }
}

/* v3, v4: the body from body_at on, in its own compression if that is shorter. */
static int compress_body(struct cql_wire_out *out, size_t body_at)
{
    struct base_slice body = base_slice(out->bytes.data + body_at, out->bytes.len - body_at);
    int rc;
    base_buf_reset(&out->scratch);
    if (out->compression == CQL_WIRE_LZ4) {
        uint8_t len[4];
        base_put_be32(len, (uint32_t)body.len);
        rc = base_buf_put(&out->scratch, len, sizeof len);
        if (rc == BASE_OK)
            rc = base_compress(BASE_COMPRESS_LZ4, 0, body, &out->scratch);
    } else {
        rc = base_compress(BASE_COMPRESS_SNAPPY, 0, body, &out->scratch);
    }
    if (rc != BASE_OK || out->scratch.len >= body.len)
        return rc;
    memcpy(out->bytes.data + body_at, out->scratch.data, out->scratch.len);
    out->bytes.len = body_at + out->scratch.len;
    out->bytes.data[out->message_at + 1] |= CQL_FLAG_COMPRESSED;
    return BASE_OK;
}

/* Close the open segment over everything behind its header. On failure it is as it was. */
static int close_segment(struct cql_wire_out *out, bool self_contained)
{
    size_t header_len = segment_header_len(out->compression), start = out->segment_at + header_len;
    size_t len = out->bytes.len - start, stored = len;
    uint64_t word;
    BASE_ASSERT(len > 0 && len <= CQL_WIRE_SEGMENT_PAYLOAD_MAX);
    int rc = base_buf_reserve(&out->bytes, SEGMENT_TRAILER);
    if (rc != BASE_OK)
        return rc;
    if (out->compression == CQL_WIRE_LZ4) {
        base_buf_reset(&out->scratch);
        if (len > COMPRESS_OVER)
            rc = base_compress(BASE_COMPRESS_LZ4, 0, base_slice(out->bytes.data + start, len),
                               &out->scratch);
        if (rc != BASE_OK)
            return rc;
        bool shorter = out->scratch.len > 0 && out->scratch.len < len;
        if (shorter) {
            stored = out->scratch.len;
            memcpy(out->bytes.data + start, out->scratch.data, stored);
        }
        word = stored | (shorter ? (uint64_t)len << 17 : 0) |
               (self_contained ? SELF_CONTAINED_LZ4 : 0);
    } else {
        word = len | (self_contained ? SELF_CONTAINED_PLAIN : 0);
    }
    uint8_t bytes[8], *header = out->bytes.data + out->segment_at;
    base_put_le64(bytes, word);
    memcpy(header, bytes, header_len - 3);
    put_le24(header + header_len - 3, cql_wire_crc24(header, header_len - 3));
    base_put_le32(out->bytes.data + start + stored,
                  cql_wire_crc32(out->bytes.data + start, stored));
    out->bytes.len = start + stored + SEGMENT_TRAILER;
    out->segment_at = NONE;
    return BASE_OK;
}

static int put_segment(struct cql_wire_out *out, struct base_slice payload, bool close,
                       bool self_contained)
{
    int rc = begin_segment(out);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&out->bytes, payload);
    if (rc == BASE_OK && close)
        rc = close_segment(out, self_contained);
    return rc;
}

/* The message has no place in the open segment: it goes into the next one, or into as many as it
 * takes. */
static int spill(struct cql_wire_out *out)
{
    struct base_slice message =
        base_slice(out->bytes.data + out->message_at, out->bytes.len - out->message_at);
    base_buf_reset(&out->spill);
    int rc = base_buf_put_slice(&out->spill, message);
    if (rc != BASE_OK)
        return rc;
    cql_wire_abandon(out);
    if (out->segment_at != NONE)
        rc = close_segment(out, true);
    if (rc != BASE_OK)
        return rc;
    message = base_buf_view(&out->spill);
    size_t at = out->bytes.len;
    bool one = message.len <= CQL_WIRE_SEGMENT_PAYLOAD_MAX;
    while (rc == BASE_OK && message.len) {
        size_t len =
            message.len < CQL_WIRE_SEGMENT_PAYLOAD_MAX ? message.len : CQL_WIRE_SEGMENT_PAYLOAD_MAX;
        rc = put_segment(out, base_slice(message.data, len), !one, false);
        message = base_slice(message.data + len, message.len - len);
    }
    if (rc != BASE_OK) {
        out->bytes.len = at;
        out->segment_at = NONE;
    }
    return rc;
}

int cql_wire_end(struct cql_wire_out *out)
{
    BASE_ASSERT(out->message_at != NONE);
    size_t body_at = out->message_at + CQL_WIRE_HEADER_LEN;
    BASE_ASSERT(out->bytes.len >= body_at);
    int rc = out->bytes.len - body_at > INT32_MAX ? BASE_E_LIMIT : BASE_OK;
    if (rc == BASE_OK && !out->segments && out->compression != CQL_WIRE_PLAIN &&
        out->bytes.len - body_at > COMPRESS_OVER)
        rc = compress_body(out, body_at);
    if (rc == BASE_OK) {
        base_put_be32(out->bytes.data + out->message_at + 5, (uint32_t)(out->bytes.len - body_at));
        if (out->segments &&
            out->bytes.len - out->segment_at - segment_header_len(out->compression) >
                CQL_WIRE_SEGMENT_PAYLOAD_MAX)
            rc = spill(out);
    }
    if (rc != BASE_OK && out->message_at != NONE)
        cql_wire_abandon(out);
    out->message_at = NONE;
    return rc;
}

int cql_wire_flush(struct cql_wire_out *out)
{
    BASE_ASSERT(out->message_at == NONE);
    return out->segment_at == NONE ? BASE_OK : close_segment(out, true);
}
